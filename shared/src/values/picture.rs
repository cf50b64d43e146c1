//! Pictures in messages. A picture's URL is never opened here: the provider either opens it or
//! receives the picture's data.

use crate::values::Invalid;
use crate::values::data_url::data_url;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The picture types that all providers support.
const TYPES: [&str; 4] = ["png", "jpeg", "gif", "webp"];

/// The levels of detail at which a model can view a picture.
const DETAILS: [&str; 3] = ["auto", "low", "high"];

/// Domains of hosts that exist only within a private network, or on one machine: names that no
/// registry may assign ([RFC 6761](https://www.rfc-editor.org/rfc/rfc6761)), and those that routers,
/// Kubernetes, Consul, Docker and VPNs use.
const WITHIN: [&str; 21] = [
    "arpa",
    "box",
    "consul",
    "corp",
    "docker",
    "home",
    "internal",
    "intra",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mshome.net",
    "onion",
    "priv",
    "private",
    "svc",
    "test",
    "ts.net",
];

/// The ports of a picture's `https` URL. Other services listen on other ports.
const PORTS: [u16; 2] = [443, 8443];

/// The maximum length of a picture's `https` URL, in bytes.
const URL_LENGTH: usize = 8192;

/// A picture's share of a prompt's size, in bytes. Most pictures need about a thousand model tokens.
pub const PICTURE_BYTES: usize = 4096;

/// A picture's share of the size that determines a flat price, in bytes. In full detail, a picture
/// needs several thousand model tokens
/// ([OpenAI](https://platform.openai.com/docs/guides/images-vision)).
pub const PRICED_PICTURE: usize = 16_384;

/// A picture, given by its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    url: String,
    /// The level of detail at which the model should view the picture.
    detail: Option<&'static str>,
}

impl Picture {
    /// Parses a picture's URL and level of detail.
    ///
    /// # Errors
    /// Fails unless the URL is an `https` URL with a public host or a `data` URL with a supported
    /// type, and the level of detail is `auto`, `low` or `high`.
    pub fn parse(url: String, detail: Option<&str>) -> Result<Self, Invalid> {
        let known = |detail: &str| DETAILS.into_iter().find(|known| *known == detail);
        let detail = detail.map(|detail| known(detail).ok_or(NO_DETAIL)).transpose()?;
        // Providers may be strict.
        let plain = data_url(&url).map(|(kind, data)| format!("data:{kind};base64,{data}"));
        let picture = Self { url: plain.unwrap_or(url), detail };
        let wrong = match (picture.encoded(), picture.host()) {
            (Some((kind, _)), _) if !TYPES.contains(&kind) => Some(NO_PICTURE),
            (Some((_, data)), _) => (!is_base64(data)).then_some(NO_DATA),
            (None, None) => Some(NO_PICTURE),
            (None, Some(host)) => (!is_public(host)).then_some(NO_PUBLIC_HOST),
        };
        wrong.map_or(Ok(picture), |wrong| Err(wrong.into()))
    }

    /// Creates a picture from its media type and its bytes.
    pub(crate) fn of_bytes(kind: &str, bytes: &[u8]) -> Self {
        let url = format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes));
        Self { url, detail: None }
    }

    /// Returns the URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the level of detail: `auto`, `low` or `high`.
    pub(crate) fn detail(&self) -> Option<&'static str> {
        self.detail
    }

    /// Returns true if the provider has to fetch the picture.
    pub(crate) fn is_linked(&self) -> bool {
        self.encoded().is_none()
    }

    /// Returns the type and the Base64 data of a `data` URL. `None` for an `https` URL.
    pub(crate) fn encoded(&self) -> Option<(&str, &str)> {
        self.url.strip_prefix("data:image/")?.split_once(";base64,")
    }

    /// Returns the type and the bytes of a `data` URL. `None` for an `https` URL.
    pub(crate) fn bytes(&self) -> Option<(&str, Vec<u8>)> {
        let (kind, data) = self.encoded()?;
        Some((kind, BASE64_STANDARD.decode(data).ok()?))
    }

    /// Returns the host of an `https` URL, including the port if there is one.
    fn host(&self) -> Option<&str> {
        let rest = self.url.strip_prefix("https://").filter(|_| self.url.len() <= URL_LENGTH)?;
        let host = rest.split(['/', '?', '#']).next()?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        let is_url = !self.url.contains(|c: char| c.is_control() || c.is_whitespace());
        (is_url && !host.is_empty() && host.chars().all(is_host)).then_some(host)
    }
}

const NO_PICTURE: &str = "A picture must have an https URL, or a data URL (data:image/png;base64,..) of a \
                          PNG, JPEG, GIF or WebP.";

const NO_DATA: &str = "The data of this PNG, JPEG, GIF or WebP isn't Base64 with padding.";

const NO_PUBLIC_HOST: &str = "The URL of a picture must have a public host name, not an IP address, \
                              and no port but 443 or 8443.";

const NO_DETAIL: &str = "The detail of a picture must be auto, low or high.";

/// Writes the note that is stored in place of the picture, because the URL may contain a secret.
impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.encoded(), self.host()) {
            (Some((kind, data)), _) => {
                let kilobytes = (data.len() / 4 * 3).div_ceil(1024);
                write!(f, "[a picture: {kind}, {kilobytes} KB]")
            }
            (None, host) => write!(f, "[a picture from {}]", host.unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns true if a strict Base64 decoder accepts `text`. Providers' decoders may be strict.
fn is_base64(text: &str) -> bool {
    BASE64_STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty())
}

/// Returns true if the host name may be public. A provider may be a server in the operator's
/// network, and an attacker could otherwise make it open internal addresses.
fn is_public(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let Some((before, last)) = name.rsplit_once('.') else { return false };
    let is_label =
        |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let is_within = |domain: &&str| {
        name.strip_suffix(*domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    // The last label of an IP address begins with a digit, because it is decimal or begins with
    // `0x`.
    port.parse().is_ok_and(|port| PORTS.contains(&port))
        && before.split('.').all(is_label)
        && last.starts_with(|c: char| c.is_ascii_alphabetic())
        && !WITHIN.iter().any(is_within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_data_or_https_urls_and_notes_omit_them() {
        for (url, note) in [
            ("data:image/png;base64,aGVsbG8=", "[a picture: png, 1 KB]"),
            ("data:image/jpeg;base64,aGVsbG8h", "[a picture: jpeg, 1 KB]"),
            ("https://example.com/a.png?key=secret", "[a picture from example.com]"),
            ("https://example.com:8443", "[a picture from example.com:8443]"),
        ] {
            let picture = Picture::parse(url.into(), None).unwrap();
            assert_eq!((picture.to_string().as_str(), picture.url()), (note, url));
        }
        for url in [
            "data:IMAGE/PNG;base64,aGVsbG8=",
            "DATA:image/png;charset=binary;base64,aGVsbG8=",
            "data:image/png; name=a.png ;BASE64,aGVsbG8=",
        ] {
            let picture = Picture::parse(url.into(), None).unwrap();
            assert_eq!(picture.url(), "data:image/png;base64,aGVsbG8=", "{url}");
        }
        let jpg = Picture::parse("data:image/jpg;base64,aGVsbG8=".into(), None).unwrap();
        assert_eq!(jpg.encoded(), Some(("jpeg", "aGVsbG8=")));
        let long = format!("https://example.com/{}", "x".repeat(URL_LENGTH));
        for bad in [
            "",
            "http://example.com/a.png",
            "https://",
            "https:///a.png",
            "https://user:secret@example.com/a.png",
            "https://example.com\\@10.0.0.1/a.png",
            "https://example.com/a b",
            "https://example.com/a\n",
            "https://[::1]/a.png",
            "https://１２７.0.0.1/a.png",
            "file:///etc/passwd",
            "data:image/svg+xml;base64,aGVsbG8=",
            "data:text/html;base64,aGVsbG8=",
            "data:image/png,hello",
            long.as_str(),
        ] {
            assert_eq!(
                Picture::parse(bad.into(), None).unwrap_err().sentence(),
                NO_PICTURE,
                "{bad}"
            );
        }
        for bad in ["", "hello", "aGVsbG8!", "aGVsbG9=", "aGVsbG8", "aGVsbG8=="] {
            let url = format!("data:image/png;base64,{bad}");
            assert_eq!(Picture::parse(url, None).unwrap_err().sentence(), NO_DATA, "{bad}");
        }
    }

    #[test]
    fn urls_have_a_public_host() {
        for host in [
            "example.com",
            "EXAMPLE.com.",
            "a.b-c.example:443",
            "a.example:8443",
            "xn--bcher-kva.example",
            "mytests.net",
            "svc.example",
        ] {
            Picture::parse(format!("https://{host}/a.png"), None).unwrap();
        }
        for host in [
            "127.0.0.1",
            "169.254.169.254",
            "10.0.0.1:8443",
            "127.1",
            "0177.0.0.0x1",
            "10.0.0.1.",
            "2130706433",
            "localhost",
            "localhost:8443",
            "a.localhost",
            "LOCALHOST.",
            "ollama",
            "printer.local",
            "metadata.google.internal",
            "metadata.google.INTERNAL.:443",
            ":443",
            ".",
            "..",
            "com.",
            ".com",
            "example..com",
            "example.com..",
            "example.com:",
            "example.com:x",
            "example.com:65536",
            "example.com:443:443",
            "example.com:0",
            "example.com:22",
            "-.com",
            "a-.com",
            "kubernetes.default.svc",
            "vault.service.consul",
            "db.localdomain",
            "nas.fritz.box",
            "registry.docker",
            "wiki.intra",
            "wiki.priv",
            "pc.mshome.net",
            "pc.tailnet.ts.net",
            "a.test",
            "a.invalid",
            "a.onion",
        ] {
            let url = format!("https://{host}/a.png");
            assert_eq!(Picture::parse(url, None).unwrap_err().sentence(), NO_PUBLIC_HOST, "{host}");
        }
    }

    #[test]
    fn detail_levels_are_known_words() {
        let parse = |detail| Picture::parse("https://example.com".into(), detail);
        assert_eq!(parse(None).unwrap().detail(), None);
        for detail in DETAILS {
            assert_eq!(parse(Some(detail)).unwrap().detail(), Some(detail));
        }
        assert_eq!(parse(Some("closely")).unwrap_err().sentence(), NO_DETAIL);
    }
}
