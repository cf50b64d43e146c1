//! `GET /brand/{version}/{file}` - the files that the pages show for the operator's brand.
//!
//! `logo.svg` is the logo, which contains the PNG as a `data:` URL. `app.webmanifest` describes the
//! installed app. `GET /api/models` contains the rest of the brand. The files' URLs contain the
//! brand's version, so clients cache them for a year.

use serde_json::json;
use shared::app::BrandApp;
use shared::http::{self, HeaderValue};
use shared::values::Brand;
use shared::{Error, Reply, Request};

use super::site::{FOR_A_YEAR, SAME_ORIGIN};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Serves the brand's logo").permits(permits![get(Tokens(&["brand:*"]))]);

/// The content security policy. Even when the logo is opened as a page, it can't run a script or
/// load anything but the PNG that it contains. This is the policy of all replies that aren't pages,
/// a sandbox, and the permission for that PNG.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox; img-src data:");

/// Serves a file of the current brand. Pages that show an earlier version get the current one,
/// which clients don't cache.
pub async fn handle(app: BrandApp, req: Request) -> Reply {
    let stored = app.brand.usable().await?.ok_or(Error::NotFound)?;
    let (content_type, text) = match http::path_parameter(&req, "file") {
        "logo.svg" => ("image/svg+xml; charset=utf-8", stored.list.mark()),
        "app.webmanifest" => ("application/manifest+json; charset=utf-8", manifest(&stored.list)),
        _ => return Err(Error::NotFound),
    };
    let mut response = http::text(content_type, text);
    response.headers_mut().insert("content-security-policy", POLICY);
    response.headers_mut().insert("cross-origin-resource-policy", SAME_ORIGIN);
    if http::path_parameter(&req, "version") == stored.of.version {
        response.headers_mut().insert("cache-control", FOR_A_YEAR);
    }
    Ok(response)
}

/// Returns the description of the installed app. Without a brand, the pages use
/// `site/chat/app.webmanifest`, which has the same `id`. The icon is the PNG itself, because not
/// every browser waits for a picture inside an SVG when it draws an icon.
fn manifest(brand: &Brand) -> String {
    let (src, kind, sizes) = match brand.picture() {
        Some((url, [width, height])) => (url, "image/png", format!("{width}x{height}")),
        None => ("logo.svg".to_owned(), "image/svg+xml", "any".to_owned()),
    };
    let mut manifest = json!({
        "name": brand.name,
        "short_name": brand.name,
        "id": "farebox",
        "start_url": "../../",
        "scope": "../../",
        "display": "standalone",
        "background_color": "#f6f6f2",
        "icons": [{ "src": src, "type": kind, "sizes": sizes, "purpose": "any maskable" }],
    });
    if let (Some(color), Some(fields)) = (&brand.color, manifest.as_object_mut()) {
        fields.insert("theme_color".to_owned(), json!(color));
    }
    manifest.to_string()
}
