//! `GET /`, `GET /admin`, `GET /docs`, `GET /s/{link}`, `GET /assets/{version}/{file+}`,
//! `GET /verify-email`, `GET /reset-password` - the pages for browsers.
//!
//! The pages are the chat, the administration, the documentation and shared chats. They don't
//! contain any data; they call the API like any other client. The binary embeds the pages' files
//! from `site/`. All links are relative, so the pages work under a stage, under a custom domain and
//! on the local server.

use shared::http::{self, HeaderValue};
use shared::values::ShareLink;
use shared::{Error, Reply, Request, Result};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Serves the pages for browsers");

include!(concat!(env!("OUT_DIR"), "/site.rs"));

/// The content security policy. A page loads scripts and styles only from this site, calls only
/// this API, and can't build HTML from strings. The font for formulas is inside a style sheet,
/// because the gateway forwards only text. Pictures in a chat are read as JSON and shown as blobs,
/// because an `<img>` sends no access token.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src \
     data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'",
);

/// The content security policy of the worker that reads PDFs, which decodes pictures with
/// WebAssembly. It may load or call nothing else, even when it is opened as a page.
const WORKER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; script-src 'wasm-unsafe-eval'",
);

/// The file to which [`WORKER_POLICY`] applies.
const WORKER: &str = "vendor/pdfjs/pdf.worker.min.mjs";

/// The permissions policy. It disables the browser features that the pages don't use, and allows
/// writing to the clipboard.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), \
     clipboard-write=(self), display-capture=(), encrypted-media=(), fullscreen=(), \
     geolocation=(), gyroscope=(), hid=(), local-fonts=(), magnetometer=(), microphone=(), \
     midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), \
     screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
);

pub(super) const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

pub(super) const FOR_A_YEAR: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");

/// Serves a page or a file. If a page's path lacks the trailing slash, redirects to the path with
/// the slash, because the page's links are relative to it.
pub async fn handle((): (), req: Request) -> Reply {
    let path = http::path(&req);
    match (path.trim_matches('/'), path.ends_with('/')) {
        ("", _) => match http::bare_stage(&req) {
            Some(stage) => http::moved(&format!("{stage}/")),
            None => page("chat/page.html"),
        },
        ("admin", true) => page("admin/page.html"),
        ("docs", true) => page("docs/page.html"),
        (name @ ("admin" | "docs"), false) => http::moved(&format!("{name}/")),
        (name @ ("verify-email" | "reset-password"), slash) => {
            opened_link(&req, name, if slash { "../" } else { "./" })
        }
        _ if !http::path_parameter(&req, "link").is_empty() => {
            shared_chat(http::path_parameter(&req, "link"), path.ends_with('/'))
        }
        _ => asset(http::path_parameter(&req, "version"), http::path_parameter(&req, "file")),
    }
}

/// Redirects an e-mailed link to the chat page. The redirect puts the token after the `#`, because
/// browsers don't send that part of a URL to the server.
fn opened_link(req: &Request, name: &str, base: &str) -> Reply {
    let token = http::query(req, "token").unwrap_or_default();
    http::see_other(&format!("{base}#/{name}?token={}", http::escaped(token)))
}

/// Serves the page of a shared chat, which reads the chat from the API. Search engines must not list
/// the page. If the path has a trailing slash, redirects to the path without it, because the page's
/// links are relative to it.
fn shared_chat(link: &str, slash: bool) -> Reply {
    let link = ShareLink::parse(link).ok_or(Error::NotFound)?;
    match slash {
        true => http::moved(&format!("../{}", link.text())),
        false => page("share/page.html").map(http::unlisted),
    }
}

/// Replies with a page. Its links point to this version of the files.
fn page(name: &str) -> Reply {
    let text = file(name)?.replace("assets/", &format!("assets/{VERSION}/"));
    let mut response = http::text("text/html; charset=utf-8", text);
    response.headers_mut().insert("content-security-policy", POLICY);
    response.headers_mut().insert("permissions-policy", PERMISSIONS);
    // With this header, a page from a different origin that opens this page can't access its
    // window.
    response.headers_mut().insert("cross-origin-opener-policy", SAME_ORIGIN);
    response.headers_mut().insert("cross-origin-resource-policy", SAME_ORIGIN);
    Ok(response)
}

/// Replies with a file. Clients cache the file for a year if they request the current version.
/// Pages from an older deployment get the current file, which clients don't cache.
fn asset(version: &str, name: &str) -> Reply {
    let content_type = content_type(name).ok_or(Error::NotFound)?;
    let mut response = http::text(content_type, file(name)?.to_owned());
    if name == WORKER {
        response.headers_mut().insert("content-security-policy", WORKER_POLICY);
    }
    response.headers_mut().insert("cross-origin-resource-policy", SAME_ORIGIN);
    if version == VERSION {
        response.headers_mut().insert("cache-control", FOR_A_YEAR);
    }
    Ok(response)
}

fn file(name: &str) -> Result<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).ok_or(Error::NotFound)
}

/// Returns the content type of a page's file. All types are text, because the gateway doesn't
/// forward binary data.
fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        // Libraries that are modules have file names that end in `mjs`.
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        _ => return None,
    })
}
