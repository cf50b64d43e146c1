//! `POST /api/user/api-keys` - create an API key for a program.
//!
//! Creates the key in one transaction, which also checks the account and how many keys it has. The
//! store contains only the key's hash.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, FieldErrors, last_day, required};
use shared::values::api_key::{API_KEYS, KeyName, LIMITED_KEYS, Retries};
use shared::values::{self, KeyLimit, LimitPeriod, Restrictions, StoredApiKey, Whole};
use shared::view::ApiKey;
use shared::{App, Credits, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Creates API keys").permits(permits![
    scan(Keys),
    get(Users(&["user:*"])),
    update(Users(&["user:*"])),
    get(Tokens(&["models:*"])),
    get_many(Tokens(&["apikey:*"])),
    put(Tokens(&["apikey:*"])),
]);

/// The maximum number of models to which a key can be restricted.
const MODELS: usize = 20;

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyRequest, examples(json!({ "name": "build server", "limit": { "tokens": 5000, "per": "month" } })))]
struct Body {
    #[schema(value_type = KeyName)]
    name: Option<String>,
    /// The last day on which the key is accepted, in UTC. Without `expires`, the key doesn't
    /// expire.
    #[schema(format = "date", examples("2027-03-31"))]
    expires: Option<String>,
    /// The names of the models that the key may use. Without `models`, it may use all models.
    #[schema(min_items = 1, examples("echo"))]
    models: Option<Vec<String>>,
    /// The limit on the tokens that the key may spend. Without `limit`, the key may spend the whole
    /// balance, and can't get a limit later.
    limit: Option<Limit>,
    /// `equal_bodies` if a request without an `Idempotency-Key` counts as a retry when its body
    /// equals that of a request in the last minute. A retry gets the same answer, and isn't charged
    /// again. The option is for programs that send a request again when they lose the reply, but
    /// don't mark it as a retry. It isn't for programs that repeat prompts on purpose.
    #[schema(value_type = Option<Retries>)]
    retries: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with tokens and per")]
#[schema(as = KeyLimit)]
struct Limit {
    /// The number of tokens.
    #[schema(value_type = u64, required, minimum = 1, maximum = 1_000_000_000_000_u64)]
    tokens: Option<Whole<u64>>,
    /// `month` if the limit is reset at the start of each month in UTC. The default is `total`: the
    /// limit applies to the key's whole lifetime.
    #[schema(value_type = Option<LimitPeriod>)]
    per: Option<String>,
}

/// Create an API key
#[utoipa::path(
    post,
    path = super::path::api_key_create,
    tag = "API keys",
    description = format!(
        "A key is accepted under `/v1` only. It is valid until it expires, it is revoked or the \
         account is deleted. Later, only its name and the tokens of its limit can be changed, and \
         the limit can be removed. An account has at most {API_KEYS} keys, and at most \
         {LIMITED_KEYS} with a limit."
    ),
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The key. Only this reply has it.", body = NewApiKey)),
    extensions(
        ("x-fails" = json!([Failure::TooManyApiKeys, Failure::TooManyLimitedKeys])),
        ("x-gives" = json!({ "/api/user/api-keys/{id}": "/id" })),
        ("x-narrow" = json!({ "properties": { "models": { "maxItems": MODELS } } })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let NewKey { name, restrictions, retries } = body.validate(&app).await?;

    let key = values::ApiKey::random(app.clock.id())?;
    let now = app.clock.millis();
    let mut stored = StoredApiKey::new(&key, &caller, &name, restrictions, now);
    stored.equal_bodies = retries == Some(Retries::EqualBodies);
    app.store.create_api_key(&caller, &stored).await?;
    tracing::info!(user = caller.user_id, api_key = stored.id(), "an API key was made");
    http::created(&NewApiKey { shown: ApiKey::of(&stored, None, now), key: key.text() })
}

/// The caller's choices for a new key.
struct NewKey {
    name: KeyName,
    restrictions: Restrictions,
    retries: Option<Retries>,
}

impl Body {
    /// Validates the body. An error lists every invalid field. The price list is read only if the
    /// key is restricted to certain models.
    async fn validate(self, app: &App) -> Result<NewKey> {
        let mut invalid = FieldErrors::default();
        let name =
            invalid.check("name", required(self.name).and_then(|name| KeyName::parse(&name)));
        let expires = self.expires.map(|day| last_day(&day, app.clock.seconds()));
        let expires = invalid.check("expires", expires.transpose());
        let limit = self.limit.map(|limit| limit.validate(&mut invalid));
        let retries = self.retries.as_deref().map(Retries::parse).transpose();
        let retries = invalid.check("retries", retries);
        if let Some(names) = &self.models {
            let listed = listed_models(app).await?;
            invalid.check("models", check_models(names, listed.as_deref()));
        }
        match (name, expires, retries) {
            (Some(name), Some(expires), Some(retries)) if invalid.is_empty() => {
                let restrictions = Restrictions::new(expires, self.models, limit.flatten());
                Ok(NewKey { name, restrictions, retries })
            }
            _ => Err(invalid.into_error()),
        }
    }
}

impl Limit {
    fn validate(self, invalid: &mut FieldErrors) -> Option<KeyLimit> {
        let tokens = Credits::positive(self.tokens.map_or(0, |Whole(tokens)| tokens));
        let tokens = invalid.check("limit.tokens", tokens);
        let per = self.per.as_deref().map(LimitPeriod::parse);
        let per = invalid.check("limit.per", per.unwrap_or(Ok(LimitPeriod::Total)));
        tokens.zip(per).map(|(tokens, per)| KeyLimit { tokens, per })
    }
}

/// Returns the names of the models in the price list, or `None` if there is no list.
async fn listed_models(app: &App) -> Result<Option<Vec<String>>> {
    let prices = app.prices.current().await?;
    let names = prices.map(|prices| {
        let models = prices.list.models.iter();
        models.map(|model| model.name.clone()).collect()
    });
    Ok(names)
}

fn check_models(names: &[String], listed: Option<&[String]>) -> Result<(), String> {
    let Some(listed) = listed else {
        return Err("There is no price list, so a key can't be restricted to models.".into());
    };
    if !(1..=MODELS).contains(&names.len()) {
        return Err(format!("Name 1 to {MODELS} models."));
    }
    match names.iter().all(|name| listed.contains(name)) {
        true => Ok(()),
        false => {
            Err("The price list doesn't have all of these models; GET /api/models shows it.".into())
        }
    }
}

/// An API key with its secret.
#[derive(Serialize, ToSchema)]
struct NewApiKey<'a> {
    /// The fields shown in lists.
    #[serde(flatten)]
    shown: ApiKey<'a>,
    /// The key, which programs send as `Authorization: Bearer`.
    #[schema(
        pattern = "^sk-[0-9a-f]{32}-[A-Za-z0-9_-]{43}$",
        example = "sk-01a1f7d16e2a7b0e9c410d5b8c1f7a36-qz4Jm1c8pT0V7yW3nH5sK9aX2bR6dE_fGuLiOtPv-QM"
    )]
    key: String,
}
