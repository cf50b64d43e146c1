//! `GET /api/user/api-keys` - all of the caller's API keys, newest first, as a bare list.
//!
//! Reads the account and the ids of its keys in parallel, and then the keys. The ids come from an
//! index. Unlike the index, the keys are read with strong consistency. An account has few keys, so
//! the list isn't split into pages.

use shared::values::api_key::API_KEYS;
use shared::view::ApiKey;
use shared::{App, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists API keys").permits(permits![
    VERIFY_TOKENS,
    query(TokensByUser),
    get_many(Tokens(&["apikey:*"])),
]);

/// List API keys
#[utoipa::path(
    get,
    path = super::path::api_keys,
    tag = "API keys",
    description = format!("All keys of the account, newest first: at most {API_KEYS}."),
    security(("access_token" = [])),
    responses((status = 200, description = "The keys.", body = Vec<ApiKey>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let (account, ids) =
        tokio::join!(app.store.account_of(&caller), app.store.api_key_ids(&caller.user_id));
    let account = account?;
    let keys = app.store.api_keys(&account, &ids?).await?;
    let now = app.clock.millis();
    let data: Vec<_> = keys.iter().map(|key| ApiKey::of(key, Some(&account), now)).collect();
    http::ok(&data)
}
