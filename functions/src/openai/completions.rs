//! `POST /v1/chat/completions` - a message in the format of OpenAI's API
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens.

use shared::openapi::{IdempotencyKey, RetryCount};
use shared::{Reply, Request};

use crate::dialects::completions::reply::{ChunkEvent, Completion, Completions};
use crate::dialects::completions::request::{Body, limits};
use crate::dialects::programs::{self, CompletionApp};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's API")
    .canary()
    .asks_ai()
    .streams(programs::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Send the AI a message in OpenAI's format
///
/// The request costs the price of a message for every 64 KB of its prompt, rounded up. A picture
/// counts as 16 KB. If there is a price list, `model` chooses one of its models, and the fare of
/// the model may be by usage.
///
/// The fields of the body take effect, unless their description says otherwise; other fields are
/// ignored. A parameter that the model's provider doesn't have is refused, unless the operator
/// ignores such parameters. If the provider shows the model's reasoning, it is in
/// `reasoning_content`. A model without functions answers with a text, unless `tool_choice` demands
/// a call. A completion that calls functions ends with the calls: run the functions, and send their
/// results with the next request.
///
/// A request that Codex sends again in a turn (`x-codex-turn-metadata`) is not charged again.
#[utoipa::path(
    post,
    path = super::path::completions,
    tag = "OpenAI",
    security(("api_key" = []), ("access_token" = [])),
    params(IdempotencyKey, RetryCount),
    request_body = Body,
    responses((
        status = 200,
        description = "A completion; with `stream` its chunks, as server-sent events.",
        content((Completion = "application/json"), (ChunkEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(programs::failures())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    programs::answer::<Completions>(app, req).await
}
