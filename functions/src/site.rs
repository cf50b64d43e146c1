//! `GET /`, `GET /admin`, `GET /docs`, `GET /assets/{version}/{file}`, `GET /verify-email`,
//! `GET /reset-password` - the pages for browsers.
//!
//! The chat, the administration and the documentation, each without a word of data: they ask the
//! API like every other client. Their files are those of `site/`, built in. All links are relative,
//! so that they hold under a stage, a custom domain and the local server alike.

use shared::http::HeaderValue;
use shared::{Error, Reply, Request, Result, http};

include!(concat!(env!("OUT_DIR"), "/site.rs"));

/// A page runs its own files and asks its own API, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Our own pages put no text together to HTML either. Swagger UI does, of the descriptions that it
/// shows.
const NO_HTML_OF_TEXT: &str = "; require-trusted-types-for 'script'";

const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A page's name without its last slash leads to the one with it, which its links are relative to.
pub async fn handle((): (), req: Request) -> Reply {
    let path = http::path(&req);
    match (path.trim_matches('/'), path.ends_with('/')) {
        ("", _) => match http::bare_stage(&req) {
            Some(stage) => http::moved(&format!("{stage}/")),
            None => page("chat.html", NO_HTML_OF_TEXT),
        },
        ("admin", true) => page("admin.html", NO_HTML_OF_TEXT),
        ("docs", true) => page("docs.html", ""),
        (name @ ("admin" | "docs"), false) => http::moved(&format!("{name}/")),
        (name @ ("verify-email" | "reset-password"), slash) => {
            mailed(&req, name, if slash { "../" } else { "./" })
        }
        _ => asset(http::path_parameter(&req, "version"), http::path_parameter(&req, "file")),
    }
}

/// Leads a mailed link to the chat, with the token behind the `#`, which browsers keep to
/// themselves.
fn mailed(req: &Request, name: &str, base: &str) -> Reply {
    let token = http::query(req, "token").unwrap_or_default();
    http::see_other(&format!("{base}#/{name}?token={}", http::escaped(token)))
}

/// A page whose files are asked for by the present version.
fn page(name: &str, further: &str) -> Reply {
    let text = file(name)?.replace("assets/", &format!("assets/{VERSION}/"));
    let policy = HeaderValue::try_from(format!("{POLICY}{further}"))
        .map_err(|error| Error::Internal(error.to_string()))?;
    let mut response = http::text("text/html; charset=utf-8", text);
    response.headers_mut().insert("content-security-policy", policy);
    // A page of another origin that opens one of ours gets no hold of its window.
    response.headers_mut().insert("cross-origin-opener-policy", SAME_ORIGIN);
    response.headers_mut().insert("cross-origin-resource-policy", SAME_ORIGIN);
    Ok(response)
}

/// A file, to be kept for a year under the present version. A page that an older deployment sent is
/// given today's, once.
fn asset(version: &str, name: &str) -> Reply {
    let content_type = content_type(name).ok_or(Error::NotFound)?;
    let mut response = http::text(content_type, file(name)?.to_owned());
    response.headers_mut().insert("cross-origin-resource-policy", SAME_ORIGIN);
    if version == VERSION {
        response.headers_mut().insert("cache-control", FOR_A_YEAR);
    }
    Ok(response)
}

fn file(name: &str) -> Result<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).ok_or(Error::NotFound)
}

/// The type of a page's file; pages themselves are none. Text alone: the gateway passes on no
/// bytes.
fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        _ => return None,
    })
}
