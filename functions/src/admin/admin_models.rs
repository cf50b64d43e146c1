//! `GET /api/admin/models` - the price list, or an earlier version of it. For administrators.
//!
//! Reads the list from the store, bypassing the functions' cache.

use serde::Serialize;
use serde_json::{Value, json};
use shared::error::Failure;
use shared::store::StoredPrices;
use shared::{App, Error, Reply, Request, auth, clock, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows administrators the price list")
    .permits(permits![VERIFY_TOKENS, get(Tokens(&["models:*"]))]);

/// Read the price list
///
/// The models with their fares and system prompts, and who set the list when. Everything is null if
/// there is no list.
#[utoipa::path(
    get,
    path = super::path::admin_models,
    tag = "Administration",
    security(("access_token" = [])),
    params(("version" = Option<String>, Query, description = "An earlier version.", example = "")),
    responses((status = 200, description = "The list.", body = Prices)),
    extensions(("x-fails" = json!([Failure::NoSuchPriceList]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let version = http::query(&req, "version").filter(|version| !version.is_empty());
    let read = async {
        match version {
            None => Ok(app.store.prices().await?),
            Some(version) => {
                // A version is a hash. Any other value could be the key of a different item in the
                // store.
                if !version.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(Error::NoSuchPriceList);
                }
                let stored = app.store.prices_of(version).await?;
                stored.map(Some).ok_or(Error::NoSuchPriceList)
            }
        }
    };
    let (_, stored) = auth::administrator(&app, &req, read).await?;
    http::ok(&Prices::of(stored.as_ref()))
}

/// The price list, with its version, author and time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Prices<'a> {
    /// The version: a hash of the list.
    #[schema(required, examples("3f2a9c0d51b7e684"))]
    version: Option<&'a str>,
    /// The id of the administrator who set the list, or `manage` for the command line.
    #[schema(required, examples("manage"))]
    author: Option<&'a str>,
    /// When the list was set.
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    time: Option<String>,
    /// The list.
    #[schema(required, value_type = Option<Object>, example = json!(null))]
    list: Value,
}

impl<'a> Prices<'a> {
    pub(crate) fn of(stored: Option<&'a StoredPrices>) -> Self {
        Self {
            version: stored.map(|stored| stored.of.version.as_str()),
            author: stored.map(|stored| stored.of.author.as_str()),
            time: stored.map(|stored| clock::rfc3339(stored.of.time)),
            list: stored.map_or(Value::Null, |stored| json!(stored.list)),
        }
    }
}
