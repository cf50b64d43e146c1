//! `POST /v1/completions` - one prompt in the format of OpenAI's older API
//! ([reference](https://platform.openai.com/docs/api-reference/completions/create)).
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens. The AI gets
//! the prompt as a chat with one message, because the models are models for chats.

use shared::openapi::{IdempotencyKey, RetryCount};
use shared::{Reply, Request};

use crate::dialects::programs::{self, CompletionApp};
use crate::dialects::text_completions::TextCompletions;
use crate::dialects::text_completions::reply::{TextChunkEvent, TextCompletion};
use crate::dialects::text_completions::request::{Body, limits};
use crate::lambda::Lambda;

// Programs call this endpoint rarely. A canary would watch too few requests to notice a failure.
pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's older API")
    .asks_ai()
    .streams(programs::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Send the AI a prompt in the format of OpenAI's older completions
///
/// For programs that don't use `/v1/chat/completions`. The AI gets `prompt` as a user's message: it
/// answers the prompt, and doesn't continue its text. The answer doesn't contain the model's
/// reasoning. The request costs the price of a message for every 64 KB of its prompt, rounded up.
/// If there is a price list, `model` chooses one of its models, and the fare of the model may be by
/// usage.
///
/// The fields of the body take effect, unless their description says otherwise; other fields are
/// ignored. A parameter that the model's provider doesn't have is refused, unless the operator
/// ignores such parameters.
#[utoipa::path(
    post,
    path = super::path::text_completions,
    tag = "OpenAI",
    security(("api_key" = []), ("access_token" = [])),
    params(IdempotencyKey, RetryCount),
    request_body = Body,
    responses((
        status = 200,
        description = "A text completion; with `stream` its chunks, as server-sent events.",
        content((TextCompletion = "application/json"), (TextChunkEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(programs::failures())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    programs::answer::<TextCompletions>(app, req).await
}
