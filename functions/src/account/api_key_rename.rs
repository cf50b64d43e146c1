//! `PATCH /api/user/api-keys/{id}` - change the name of one of the caller's API keys.
//!
//! In: `{name}`, 1 to 100 characters. Out: the key; 404 for a key that doesn't belong to the caller
//! or was revoked.

use serde::Deserialize;
use shared::error::{Failure, required};
use shared::openapi::PathId;
use shared::values::api_key::KeyName;
use shared::view::ApiKey;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Renames API keys").permits(permits![
    scan(Keys),
    get(Users(&["user:*"])),
    update(Tokens(&["apikey:*"])),
]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyName)]
struct Body {
    #[schema(value_type = KeyName)]
    name: Option<String>,
}

/// Changes the name with one conditional write, once the caller's token has been checked against
/// the account.
#[utoipa::path(
    patch,
    path = super::path::api_key_rename,
    tag = "API keys",
    summary = "Rename an API key",
    description = "Changes the key's name and nothing else.",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The key after the change.", body = ApiKey)),
    extensions(("x-fails" = json!([Failure::NoSuchApiKey]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { name } = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let name = required(name)
        .and_then(|name| KeyName::parse(&name))
        .map_err(|sentence| Error::field("name", sentence))?;
    let id = http::path_parameter(&req, "id");
    let (account, key) = app.store.rename_api_key(&caller, id, &name).await?;
    http::ok(&ApiKey::of(&key, Some(&account), app.clock.millis()))
}
