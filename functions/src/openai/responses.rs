//! `POST /v1/responses` - a message in the format of OpenAI's Responses API
//! ([reference](https://platform.openai.com/docs/api-reference/responses/create)).
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens.

use shared::error::Failure;
use shared::openapi::{IdempotencyKey, RetryCount};
use shared::{Reply, Request};

use crate::dialects::programs::{self, CompletionApp};
use crate::dialects::responses::Responses;
use crate::dialects::responses::events::ResponseEvent;
use crate::dialects::responses::reply::Response;
use crate::dialects::responses::request::{Body, limits};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's Responses API")
    .canary()
    .asks_ai()
    .streams(programs::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS, get_many(Chats)]);

/// Send the AI a message in the format of OpenAI's Responses API
///
/// The request costs the price of a message for every 64 KB of its prompt, rounded up. A picture
/// counts as 16 KB. If there is a price list, `model` chooses one of its models, and the fare of
/// the model may be by usage.
///
/// A request contains the whole conversation, as with `store: false`. An `item_reference` may
/// replace an item of an earlier answer. The fields of the body take effect, unless their
/// description says otherwise; other fields are ignored. A parameter that the model's provider
/// doesn't have is refused, unless the operator ignores such parameters. A model without functions
/// answers with a text, unless `tool_choice` demands a call. A response that calls functions ends
/// with the calls: run the functions, and send their results with the next request.
///
/// A request that Codex sends again in a turn (`x-codex-turn-metadata`) is not charged again.
#[utoipa::path(
    post,
    path = super::path::responses,
    tag = "OpenAI",
    security(("api_key" = []), ("access_token" = [])),
    params(IdempotencyKey, RetryCount),
    request_body = Body,
    responses((
        status = 200,
        description = "A response; with `stream` its events, as server-sent events.",
        content((Response = "application/json"), (ResponseEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!([programs::failures(), vec![Failure::NoSuchItem]].concat())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    programs::answer::<Responses>(app, req).await
}
