//! `POST /api/user/api-keys` - create an API key for a program.
//!
//! In: `{name}`, 1 to 100 characters. Out: 201 with `id`, `name`, `key`, `hint` and `created`. The
//! key can't be shown again, because the store keeps only its hash.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, required};
use shared::values::api_key::KeyName;
use shared::values::{self, StoredApiKey};
use shared::view::ApiKey;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyRequest)]
struct Body {
    #[schema(value_type = KeyName)]
    name: Option<String>,
}

/// Creates the key in one transaction, which also checks the account and its number of keys.
#[utoipa::path(
    post,
    path = super::path::api_key_create,
    tag = "API keys",
    summary = "Create an API key",
    description = "A key is accepted under `/v1` only. It is valid until it is revoked or the account is deleted. An account has at most 50 keys.",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The key. Only this reply has it.", body = NewApiKey)),
    extensions(("x-fails" = json!([Failure::TooManyApiKeys]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { name } = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let name = required(name)
        .and_then(|name| KeyName::parse(&name))
        .map_err(|sentence| Error::field("name", sentence))?;

    let key = values::ApiKey::random(app.clock.id())?;
    let stored = StoredApiKey::new(&key, &caller, &name, app.clock.millis());
    app.store.create_api_key(&caller, &stored).await?;
    tracing::info!(user = caller.user_id, api_key = stored.id(), "an API key was made");
    http::created(&NewApiKey { shown: ApiKey::of(&stored), key: key.text() })
}

/// An API key with its secret.
#[derive(Serialize, ToSchema)]
struct NewApiKey<'a> {
    /// The fields that lists show.
    #[serde(flatten)]
    shown: ApiKey<'a>,
    /// The key, which programs send as `Authorization: Bearer`.
    #[schema(
        pattern = "^sk-[0-9a-f]{32}-[A-Za-z0-9_-]{43}$",
        example = "sk-01a1f7d16e2a7b0e9c410d5b8c1f7a36-qz4Jm1c8pT0V7yW3nH5sK9aX2bR6dE_fGuLiOtPv-QM"
    )]
    key: String,
}
