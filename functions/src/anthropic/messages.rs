//! `POST /v1/messages`, `POST /v1/v1/messages` - a message in the format of Anthropic's API
//! ([reference](https://docs.anthropic.com/en/api/messages)).
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens. If the
//! provider is Anthropic, it gets those names in `anthropic-beta` that are known not to change what
//! the operator pays.

use shared::error::Failure;
use shared::openapi::{IdempotencyKey, RetryCount};
use shared::{Reply, Request};

use crate::dialects::messages::Messages;
use crate::dialects::messages::events::MessageEvent;
use crate::dialects::messages::reply::Message;
use crate::dialects::messages::request::{Body, limits};
use crate::dialects::programs::{self, CompletionApp};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers Anthropic's clients")
    .canary()
    .asks_ai()
    .streams(programs::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Send the AI a message in Anthropic's format
///
/// The request costs the price of a message for every 64 KB of its prompt, rounded up. A picture
/// counts as 16 KB. If there is a price list, `model` chooses one of its models, and the fare of
/// the model may be by usage.
///
/// The fields of the body take effect, unless their description says otherwise. Other fields, such
/// as `context_management`, and headers whose names begin with `anthropic-` are ignored. Tools that
/// run at Anthropic, PDFs and citations are refused. The answer contains the model's reasoning only
/// if `thinking` asks for it. A model without functions answers with a text, unless `tool_choice`
/// demands a call.
///
/// A request that Claude Code sends again in a session (`x-claude-code-session-id`) is not charged
/// again.
#[utoipa::path(
    post,
    path = super::path::messages,
    tag = "Anthropic",
    security(("x_api_key" = []), ("api_key" = []), ("access_token" = [])),
    params(IdempotencyKey, RetryCount),
    request_body = Body,
    responses((
        status = 200,
        description = "A message; with `stream` its events, as server-sent events.",
        content((Message = "application/json"), (MessageEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(failures())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    programs::answer::<Messages>(app, req).await
}

/// Returns the failures that the endpoint can reply with, for the OpenAPI document. An empty
/// balance is always a 402 here, because Anthropic's clients retry a 429.
fn failures() -> Vec<Failure> {
    let shared = programs::failures().into_iter().filter(|failure| *failure != Failure::OutOfQuota);
    shared.chain([Failure::ThreadUnsupported, Failure::TwoCredentials]).collect()
}
