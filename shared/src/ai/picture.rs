//! Pictures in messages. Nothing here opens a URL: the provider does, or gets the data.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The types of pictures that all providers know. `jpg` is no type, but common.
const TYPES: [&str; 5] = ["png", "jpeg", "jpg", "gif", "webp"];

/// The most characters of the URL of a picture, unless it has the data.
const URL_LENGTH: usize = 8192;

/// A picture, as its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    url: String,
    /// How closely the model should look at it.
    pub detail: Option<String>,
}

impl Picture {
    /// # Errors
    /// If it is neither an `https` URL nor a `data` URL of a known type.
    pub fn parse(url: String, detail: Option<String>) -> Result<Self, String> {
        let picture = Self { url, detail };
        let is_valid = match picture.data() {
            Some((kind, data)) => TYPES.contains(&kind) && is_base64(data),
            None => picture.host().is_some(),
        };
        if is_valid { Ok(picture) } else { Err(NO_PICTURE.into()) }
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The type and the data in Base64 of a `data` URL.
    fn data(&self) -> Option<(&str, &str)> {
        self.url.strip_prefix("data:image/")?.split_once(";base64,")
    }

    /// The type and the bytes, if it is a `data` URL.
    pub(super) fn bytes(&self) -> Option<(&str, Vec<u8>)> {
        let (kind, data) = self.data()?;
        let kind = if kind == "jpg" { "jpeg" } else { kind };
        Some((kind, BASE64_STANDARD.decode(data).ok()?))
    }

    /// The host of an `https` URL.
    fn host(&self) -> Option<&str> {
        let rest = self.url.strip_prefix("https://").filter(|_| self.url.len() <= URL_LENGTH)?;
        let host = rest.split(['/', '?', '#']).next()?;
        let is_host = |c: char| c.is_alphanumeric() || "-.:[]".contains(c);
        let is_url = !self.url.contains(|c: char| c.is_control() || c.is_whitespace());
        (is_url && !host.is_empty() && host.chars().all(is_host)).then_some(host)
    }
}

const NO_PICTURE: &str = "A picture has an https URL, or a data URL (data:image/png;base64,..) of a \
                          PNG, JPEG, GIF or WebP.";

/// The note that is stored in place of a picture: a URL may contain a secret.
impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.data(), self.host()) {
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

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_data_of_a_known_type_or_an_https_url_and_its_note_has_neither() {
        for (url, note) in [
            ("data:image/png;base64,aGVsbG8=", "[a picture: png, 1 KB]"),
            ("data:image/jpeg;base64,aGVsbG8h", "[a picture: jpeg, 1 KB]"),
            ("https://example.com/a.png?key=secret", "[a picture from example.com]"),
            ("https://example.com:8443", "[a picture from example.com:8443]"),
        ] {
            let picture = Picture::parse(url.into(), None).unwrap();
            assert_eq!((picture.to_string().as_str(), picture.url()), (note, url));
        }
        let long = format!("https://example.com/{}", "x".repeat(URL_LENGTH));
        for bad in [
            "",
            "http://example.com/a.png",
            "https://",
            "https:///a.png",
            "https://user:secret@example.com/a.png",
            "https://example.com/a b",
            "https://example.com/a\n",
            "file:///etc/passwd",
            "data:image/svg+xml;base64,aGVsbG8=",
            "data:text/html;base64,aGVsbG8=",
            "data:image/png,hello",
            "data:image/png;base64,",
            "data:image/png;base64,hello",
            "data:image/png;base64,aGVsbG8!",
            long.as_str(),
        ] {
            assert_eq!(Picture::parse(bad.into(), None).unwrap_err(), NO_PICTURE, "{bad}");
        }
    }
}
