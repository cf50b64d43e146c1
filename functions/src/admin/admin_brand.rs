//! `GET /api/admin/brand` - the operator's brand. For administrators.
//!
//! Reads the brand with strong consistency.

use serde::Serialize;
use shared::values::{Brand, ListVersion};
use shared::{App, Reply, Request, auth, clock, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows administrators the brand")
    .permits(permits![VERIFY_TOKENS, get(Tokens(&["brand:*"]))]);

/// Read the brand
///
/// The name, address, links, colours and logo that pages and e-mails show, and who set them when.
/// Everything is null if no brand is set. Only `brand` is null if this release can't use the stored
/// brand; set a new one or remove it with its `version`.
#[utoipa::path(
    get,
    path = super::path::admin_brand,
    tag = "Administration",
    security(("access_token" = [])),
    responses((status = 200, description = "The brand.", body = BrandInUse)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async { Ok(app.store.current_version::<Brand>().await?) };
    let (_, stored) = auth::administrator(&app, &req, read).await?;
    let Some((of, brand)) = stored else { return http::ok(&BrandInUse::of(None, None)) };
    if let Err(error) = &brand {
        tracing::error!(cause = error.cause(), "the brand can't be used");
    }
    http::ok(&BrandInUse::of(Some(&of), brand.as_ref().ok()))
}

/// The brand, with its version, author and time.
#[derive(Serialize, ToSchema)]
pub(crate) struct BrandInUse<'a> {
    /// The version: a hash of the brand.
    #[schema(required, examples("3f2a9c0d51b7e684"))]
    version: Option<&'a str>,
    /// The id of the administrator who set the brand, or `manage` for the command line.
    #[schema(required, examples("manage"))]
    author: Option<&'a str>,
    /// When the brand was set.
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    time: Option<String>,
    /// The brand. Null if no brand is set, or if this release can't use the stored one.
    #[schema(required)]
    brand: Option<&'a Brand>,
}

impl<'a> BrandInUse<'a> {
    pub(crate) fn of(of: Option<&'a ListVersion>, brand: Option<&'a Brand>) -> Self {
        Self {
            version: of.map(|of| of.version.as_str()),
            author: of.map(|of| of.author.as_str()),
            time: of.map(|of| clock::rfc3339(of.time)),
            brand,
        }
    }
}
