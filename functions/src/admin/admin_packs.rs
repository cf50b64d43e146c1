//! `GET /api/admin/packs` - the packs that users can buy. For administrators.
//!
//! Reads the packs with strong consistency.

use serde::Serialize;
use shared::store::StoredList;
use shared::values::{Pack, Packs};
use shared::{App, Reply, Request, auth, clock, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows administrators the packs")
    .permits(permits![VERIFY_TOKENS, get(Tokens(&["packs:*"]))]);

/// Read the packs
///
/// The packs of tokens that users can buy, and who set them when. Everything is null if nothing is
/// sold.
#[utoipa::path(
    get,
    path = super::path::admin_packs,
    tag = "Administration",
    security(("access_token" = [])),
    responses((status = 200, description = "The packs.", body = PacksOnSale)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async { Ok(app.store.packs().await?) };
    let (_, stored) = auth::administrator(&app, &req, read).await?;
    http::ok(&PacksOnSale::of(stored.as_ref()))
}

/// The packs, with their version, author and time.
#[derive(Serialize, ToSchema)]
pub(crate) struct PacksOnSale<'a> {
    /// The version: a hash of the packs.
    #[schema(required, examples("3f2a9c0d51b7e684"))]
    version: Option<&'a str>,
    /// The id of the administrator who set the packs, or `manage` for the command line.
    #[schema(required, examples("manage"))]
    author: Option<&'a str>,
    /// When the packs were set.
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    time: Option<String>,
    /// The packs, in the order in which they are shown.
    #[schema(required)]
    packs: Option<&'a [Pack]>,
}

impl<'a> PacksOnSale<'a> {
    pub(crate) fn of(stored: Option<&'a StoredList<Packs>>) -> Self {
        Self {
            version: stored.map(|stored| stored.of.version.as_str()),
            author: stored.map(|stored| stored.of.author.as_str()),
            time: stored.map(|stored| clock::rfc3339(stored.of.time)),
            packs: stored.map(|stored| stored.list.packs.as_slice()),
        }
    }
}
