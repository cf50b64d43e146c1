//! `POST /v1/messages/count_tokens`, `POST /v1/v1/messages/count_tokens` - estimate how many tokens
//! a message has ([reference](https://docs.anthropic.com/en/api/messages-count-tokens)).
//!
//! Reads the account, but writes nothing, and asks no provider.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use shared::error::Failure;
use shared::{App, Reply, Request, auth, http};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::dialects::messages::request::{Body, NOT_OFFERED, prompt_limits};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Estimates the tokens of messages")
    .permits(permits![VERIFY_TOKENS, get(Tokens(&["apikey:*"]))]);

/// Estimate the tokens of a message
///
/// Takes the body of a request for a message, and returns an estimate of the model tokens in its
/// prompt, without the operator's system prompt. The request is free. The provider of the model may
/// count otherwise.
#[utoipa::path(
    post,
    path = super::path::count_tokens,
    tag = "Anthropic",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    request_body = CountedBody,
    responses((
        status = 200,
        description = "The estimate.",
        body = TokenCount,
    )),
    extensions(
        ("x-fails" = json!([Failure::ApiKeyExpired, Failure::ThreadUnsupported, Failure::TwoCredentials])),
        ("x-narrow" = json!(prompt_limits())),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    http::require_json(&req)?;
    let caller = auth::program_with_x_api_key(&app, &req).await?;
    app.store.account_with(&caller).await?;
    let CountedBody(body) = http::json(&req)?;
    let prompt = body.prompt(app.config.message_limit)?;
    http::ok(&TokenCount { input_tokens: prompt.usual_tokens() })
}

/// The body of a request for a message. It doesn't have to limit the answer, and may contain the
/// fields that no provider gets.
#[derive(Deserialize)]
#[serde(transparent)]
struct CountedBody(Body);

impl PartialSchema for CountedBody {
    fn schema() -> RefOr<Schema> {
        let mut schema = Body::schema();
        if let RefOr::T(Schema::Object(body)) = &mut schema {
            body.required.retain(|name| name != "max_tokens");
            if let Some(RefOr::T(Schema::Object(limit))) = body.properties.get_mut("max_tokens") {
                limit.schema_type = SchemaType::from_iter([Type::Number, Type::Null]);
            }
            for name in NOT_OFFERED {
                let ignored = Object::builder()
                    .schema_type(SchemaType::AnyValue)
                    .description(Some("Ignored: this doesn't change the count."));
                body.properties.insert(name.into(), ignored.into());
            }
        }
        schema
    }
}

impl ToSchema for CountedBody {
    fn name() -> Cow<'static, str> {
        "AnthropicCountRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Body::schemas(schemas);
    }
}

/// The number of tokens in a prompt.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicTokenCount)]
struct TokenCount {
    /// An estimate of the number of model tokens.
    #[schema(examples(10))]
    input_tokens: u64,
}
