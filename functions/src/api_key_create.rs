//! `POST /api/user/api-keys` - make an API key for a program.
//!
//! In: `{name}`, 1 to 100 characters. Out: 201 with `id`, `name`, `key`, `hint` and `created`. The
//! key is shown this once: the store has no more than a hash of it.

use serde::{Deserialize, Serialize};
use shared::auth;
use shared::auth::api_key::KeyName;
use shared::error::required;
use shared::store::StoredKey;
use shared::view::ApiKey;
use shared::{App, Error, Reply, Request, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyRequest)]
struct Body {
    #[schema(value_type = KeyName)]
    name: Option<String>,
}

/// Makes the key in the one write that lets the caller in and counts it.
#[utoipa::path(
    post,
    path = "/api/user/api-keys",
    tag = "API keys",
    summary = "Make an API key",
    description = "It opens `/v1`, and lasts until it is revoked or the account ends. An account has 50 at most.",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The key, which is shown this once.", body = NewApiKey)),
    extensions(("x-fails" = json!(["TooManyApiKeys"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { name } = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let name = required(name)
        .and_then(|name| KeyName::parse(&name))
        .map_err(|sentence| Error::field("name", sentence))?;

    let key = auth::ApiKey::random(app.clock.id())?;
    let stored = StoredKey::new(&key, &caller, &name, app.clock.millis());
    app.store.create_api_key(&caller, &stored).await?;
    tracing::info!(user = caller.user_id, api_key = stored.id(), "an API key was made");
    http::created(&NewApiKey { shown: ApiKey::of(&stored), key: key.text() })
}

/// An API key with its secret.
#[derive(Serialize, ToSchema)]
struct NewApiKey<'a> {
    /// What is shown of it later on.
    #[serde(flatten)]
    shown: ApiKey<'a>,
    /// The key: what programs send as `Authorization: Bearer`.
    #[schema(
        pattern = "^sk-[0-9a-f]{32}-[A-Za-z0-9_-]{43}$",
        example = "sk-01a1f7d16e2a7b0e9c410d5b8c1f7a36-qz4Jm1c8pT0V7yW3nH5sK9aX2bR6dE_fGuLiOtPv-QM"
    )]
    key: String,
}
