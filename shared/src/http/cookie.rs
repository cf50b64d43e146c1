//! The refresh token and the device token that a client stores alongside its access token. A page
//! that sends `X-Refresh-Token: cookie` gets both tokens in cookies, which scripts can't read.
//! Other clients get and send the device token in the `X-Device-Token` header.
//!
//! The page also sends `X-Page-Key`, a random value from its `localStorage`. The refresh token and
//! the device token contain a hash of the page's key, and are invalid without the key. The key is
//! needed because a browser sends cookies to every port of a host. A server on a different port
//! gets the tokens, but not the key, because `localStorage` belongs to one origin.
//!
//! Cookies are read only in requests with `X-Refresh-Token`. Only pages from the same origin can
//! send `X-Refresh-Token` and `X-Page-Key`, because no preflight allows these headers. If a
//! different site makes a browser send a request with cookies, the cookies are ignored, because the
//! request lacks `X-Refresh-Token`.

use std::net::IpAddr;

use lambda_http::http::header::{self, HeaderName};

use super::{Body, HeaderValue, Request, Response};
use crate::values::idempotency::fingerprint;
use crate::{Error, Result};

/// The header for the device token of clients without cookies.
const DEVICE: HeaderName = HeaderName::from_static("x-device-token");

/// The header for the page's key.
const PAGE_KEY: HeaderName = HeaderName::from_static("x-page-key");

/// A reply header that the client must store: a cookie or the device token.
pub struct StoredHeader(HeaderName, HeaderValue);

/// The permitted lengths of a page's key. 32 hexadecimal digits are 128 bits.
const KEY: std::ops::RangeInclusive<usize> = 32..=128;

/// Returns true if the client requests its refresh token in a cookie. Pages from releases that
/// predate page keys don't send a key. A page without a key still gets a cookie, except on a
/// loopback address, where other ports may belong to other users.
pub fn is_wanted(req: &Request) -> bool {
    let wish = req.headers().get("x-refresh-token");
    let is_wished = wish.is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"cookie"));
    is_wished && page_key(req).map_or(!is_loopback(req), is_key)
}

/// Returns a hash of the page's key, which binds tokens to the page's origin. Returns `None` if the
/// request doesn't contain a valid key.
pub fn origin(req: &Request) -> Option<String> {
    let key = page_key(req).filter(|key| is_wanted(req) && is_key(key))?;
    Some(fingerprint(format!("origin {key}")))
}

/// Returns the value of the `X-Page-Key` header. If the value isn't text, returns an empty key,
/// which is invalid.
fn page_key(req: &Request) -> Option<&str> {
    Some(req.headers().get(PAGE_KEY)?.to_str().unwrap_or_default())
}

fn is_key(key: &str) -> bool {
    KEY.contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Returns the refresh token in the cookie. Call this function only if [`is_wanted`] is true.
pub fn refresh_token(req: &Request) -> Option<&str> {
    cookie(req, "refresh")
}

/// Returns the device token in the request's cookie or header.
pub fn device_token(req: &Request) -> Option<&str> {
    if is_wanted(req) { cookie(req, "device") } else { req.headers().get(DEVICE)?.to_str().ok() }
}

fn cookie<'r>(req: &'r Request, name: &str) -> Option<&'r str> {
    let name = name_at(req, name);
    let cookies =
        req.headers().get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(known, _)| known.trim() == name)
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
}

/// Returns a cookie that stores this refresh token for the given number of seconds.
pub fn keeping(req: &Request, refresh: &str, seconds: u64) -> Result<StoredHeader> {
    keeping_as(req, "refresh", refresh, seconds)
}

/// Returns a cookie that stores this device token for the given number of seconds. For clients
/// without cookies, returns a header instead.
pub fn keeping_device(req: &Request, device: &str, seconds: u64) -> Result<StoredHeader> {
    if is_wanted(req) {
        return keeping_as(req, "device", device, seconds);
    }
    HeaderValue::try_from(device)
        .map(|token| StoredHeader(DEVICE, token))
        .map_err(|error| Error::Internal(error.to_string()))
}

fn keeping_as(req: &Request, name: &str, token: &str, seconds: u64) -> Result<StoredHeader> {
    let secure = if is_loopback(req) { "" } else { "; Secure" };
    let cookie = format!(
        "{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        name_at(req, name)
    );
    HeaderValue::try_from(cookie)
        .map(|cookie| StoredHeader(header::SET_COOKIE, cookie))
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Adds to a reply the headers that the client must store.
pub fn set(
    mut reply: Response<Body>,
    kept: impl IntoIterator<Item = StoredHeader>,
) -> Response<Body> {
    for StoredHeader(name, value) in kept {
        reply.headers_mut().append(name, value);
    }
    reply
}

/// Deletes the cookie with the refresh token, if the browser may have stored one.
pub fn cleared(reply: Response<Body>, req: &Request) -> Result<Response<Body>> {
    let kept = is_wanted(req) || refresh_token(req).is_some();
    Ok(set(reply, kept.then(|| keeping(req, "", 0)).transpose()?))
}

/// Returns a cookie's name. The `__Host-` prefix prevents other hosts under the same domain from
/// replacing the cookie ([RFC
/// 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-__host-prefix)).
fn name_at(req: &Request, name: &str) -> String {
    format!("{}farebox_{name}", if is_loopback(req) { "" } else { "__Host-" })
}

/// Returns true if the request is for a loopback host, where TLS isn't used. Safari doesn't store
/// `Secure` cookies from a loopback host.
pub(super) fn is_loopback(req: &Request) -> bool {
    let host =
        req.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name =
        host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(headers: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::default();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn only_loopback_works_without_tls() {
        for host in [
            "localhost",
            "localhost:3000",
            "farebox.localhost:3000",
            "127.0.0.1:3000",
            "127.8.8.8",
            "[::1]:3000",
            "[::1]",
        ] {
            assert!(is_loopback(&asking(&[("host", host)])), "{host}");
        }
        for host in [
            "",
            "api.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1:3000",
            "xlocalhost",
            "[::2]:1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(&asking(&[("host", host)])), "{host}");
        }
        assert!(!is_loopback(&asking(&[])));
    }

    #[test]
    fn page_keys_are_long_and_required_on_loopback() {
        let key = "0123456789abcdef0123456789abcdef";
        let with = |host, wish, key| {
            asking(&[("host", host), ("x-refresh-token", wish), ("x-page-key", key)])
        };
        for host in ["localhost:3000", "api.example.com"] {
            let keyed = with(host, "Cookie", key);
            assert!(is_wanted(&keyed));
            assert_eq!(origin(&keyed), Some(fingerprint(format!("origin {key}"))));
            for (wish, bad) in [
                ("cookie", ""),
                ("cookie", "short"),
                ("cookie", "0123456789abcdef0123456789abcde;"),
                ("body", key),
                ("", key),
            ] {
                let bad = with(host, wish, bad);
                assert_eq!((is_wanted(&bad), origin(&bad)), (false, None), "{bad:?}");
            }
        }
        let unkeyed = |host| asking(&[("host", host), ("x-refresh-token", "cookie")]);
        assert!(is_wanted(&unkeyed("api.example.com")));
        assert!(!is_wanted(&unkeyed("127.0.0.1:3000")));
    }

    #[test]
    fn cookies_are_bound_to_their_host_and_hidden_from_scripts() {
        let StoredHeader(_, cookie) =
            keeping(&asking(&[("host", "api.example.com")]), "a.b.c", 60).unwrap();
        assert_eq!(
            cookie,
            "__Host-farebox_refresh=a.b.c; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        let StoredHeader(_, cookie) =
            keeping(&asking(&[("host", "localhost:3000")]), "a.b.c", 60).unwrap();
        assert_eq!(cookie, "farebox_refresh=a.b.c; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let at = ("host", "api.example.com");
        for (cookies, token) in [
            ("__Host-farebox_refresh=a.b.c", Some("a.b.c")),
            ("x=1; __Host-farebox_refresh=a.b.c; y=2", Some("a.b.c")),
            ("x=1;__Host-farebox_refresh = a.b.c ;y", Some("a.b.c")),
            ("farebox_refresh=a.b.c", None),
            ("x__Host-farebox_refresh=a.b.c", None),
            ("__Host-farebox_refresh=", None),
            ("__Host-farebox_refresh", None),
            ("", None),
        ] {
            assert_eq!(refresh_token(&asking(&[at, ("cookie", cookies)])), token, "{cookies}");
        }
        assert_eq!(
            refresh_token(&asking(&[
                at,
                ("cookie", "x=1"),
                ("cookie", "__Host-farebox_refresh=a")
            ])),
            Some("a")
        );
        assert_eq!(
            refresh_token(&asking(&[("host", "localhost"), ("cookie", "farebox_refresh=a")])),
            Some("a")
        );
    }
}
