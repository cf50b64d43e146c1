//! `PATCH /api/user/api-keys/{id}` - change the name of one of the caller's API keys, or its limit.
//!
//! Makes all changes in one transaction. The transaction also checks the account, and that the key
//! hasn't changed since it was read.

use serde::{Deserialize, Deserializer};
use shared::error::{Failure, FieldErrors, required};
use shared::openapi::PathId;
use shared::values::api_key::{KeyChange, KeyName, LimitChange};
use shared::values::{LimitPeriod, Whole};
use shared::view::ApiKey;
use shared::{App, Credits, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Changes names and limits of API keys").permits(permits![
        VERIFY_TOKENS,
        check(Users(&["user:*"])),
        allow(&[GetItem, UpdateItem], Tokens(&["apikey:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyChange, examples(json!({ "name": "laptop", "limit": { "tokens": 10_000 } })))]
struct Body {
    #[schema(value_type = Option<KeyName>)]
    name: Option<String>,
    /// The new limit on the tokens that the key may spend. Null removes the limit: the key may then
    /// spend the whole balance, and can't get a limit again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Limit>)]
    limit: Option<Option<Limit>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with tokens")]
#[schema(as = KeyLimitChange)]
struct Limit {
    /// The new number of tokens. It may be less than the key has already spent.
    #[schema(value_type = u64, required, minimum = 1, maximum = 1_000_000_000_000_u64)]
    tokens: Option<Whole<u64>>,
    /// The limit's period, which can't change. The request is refused if the limit has a different
    /// period.
    #[schema(value_type = Option<LimitPeriod>)]
    per: Option<String>,
}

/// Change an API key
///
/// Changes its name, the number of tokens in its limit, or both. Missing fields don't change; one
/// of them is required. The tokens that the key has already spent in the limit's period still
/// count. A message that is being answered isn't affected.
#[utoipa::path(
    patch,
    path = super::path::api_key_rename,
    tag = "API keys",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The key after the change.", body = ApiKey)),
    extensions(
        ("x-fails" = json!([Failure::NoSuchApiKey, Failure::NoKeyLimit, Failure::OtherLimitPeriod])),
        ("x-narrow" = json!({ "anyOf": [
            { "required": ["name"], "properties": { "name": { "type": "string" } } },
            { "required": ["limit"], "properties": { "limit": {} } },
        ] })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let change = body.validate()?;
    let id = http::path_parameter(&req, "id");
    let (account, key) = app.store.change_api_key(&caller, id, &change).await?;
    tracing::info!(user = account.id, api_key = key.id(), "an API key was changed");
    http::ok(&ApiKey::of(&key, Some(&account), app.clock.millis()))
}

impl Body {
    fn validate(self) -> Result<KeyChange> {
        let mut invalid = FieldErrors::default();
        let Self { name, limit } = self;
        if name.is_none() && limit.is_none() {
            invalid.note("name", "Send name or limit.");
        }
        let name = name.and_then(|name| {
            invalid.check("name", required(Some(name)).and_then(|name| KeyName::parse(&name)))
        });
        let limit = limit.and_then(|limit| match limit {
            Some(limit) => limit.validate(&mut invalid),
            None => Some(LimitChange::Removal),
        });
        if invalid.is_empty() { Ok(KeyChange { name, limit }) } else { Err(invalid.into_error()) }
    }
}

impl Limit {
    fn validate(self, invalid: &mut FieldErrors) -> Option<LimitChange> {
        let tokens = Credits::positive(self.tokens.map_or(0, |Whole(tokens)| tokens));
        let tokens = invalid.check("limit.tokens", tokens);
        let per = self.per.as_deref().map(LimitPeriod::parse).transpose();
        let per = invalid.check("limit.per", per);
        tokens.zip(per).map(|(tokens, per)| LimitChange::Amount { tokens, per })
    }
}

/// Reads a field that may be null. A missing field isn't read.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<Limit>>, D::Error> {
    Option::deserialize(field).map(Some)
}
