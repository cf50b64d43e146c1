//! `POST /v1/responses` - a message in the format of OpenAI's Responses API
//! ([reference](https://platform.openai.com/docs/api-reference/responses/create)).
//!
//! In: an API key or an access token, and `input`: a text, or a list of messages, function calls
//! and their results; the history shows the user's last message. These fields take effect:
//! `instructions`, `stream`, `temperature`, `top_p`, `max_output_tokens`, `tools`, `tool_choice`,
//! `parallel_tool_calls` and `text.format`. The response repeats `metadata` and `user`. `model`
//! chooses a model of the price list; without a list, the operator's settings choose it. No response is stored for later
//! requests, as with `store: false`. Therefore `previous_response_id`, `conversation`, `prompt` and
//! `background` are refused, and so are tools that aren't functions. Other fields are ignored. Out:
//! a response, or its events. Prices, retries and function calls work as in a completion.

mod events;
mod items;
mod reply;
mod request;
mod tools;

use shared::charge::{self, AnswerForm, AnswerStream, BeginOutcome};
use shared::error::Failure;
use shared::http::{self, FailureFormat};
use shared::openapi::IdempotencyKey;
use shared::{Reply, Request};

use self::events::{ResponseEvent, Steps};
use self::reply::Response;
use self::request::{Body, limits};
use crate::lambda::Lambda;
use crate::openai::{self, CompletionApp};

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's Responses API")
    .canary()
    .asks_ai()
    .streams(120)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Reserves the tokens, calls the AI, and then stores the answer or returns the tokens.
#[utoipa::path(
    post,
    path = super::path::responses,
    tag = "OpenAI",
    summary = "Send the AI a message in the format of OpenAI's Responses API",
    description = "The request costs the price of a message for every 64 KB of its prompt, rounded up. A picture counts as 16 KB. If there is a price list, `model` chooses one of its models, and the fare of the model may be by usage. `instructions`, `stream`, `temperature`, `top_p`, \
                   `max_output_tokens`, `tools`, `tool_choice`, `parallel_tool_calls` and `text.format` take effect. No response is stored for later requests: \
                   `previous_response_id`, `conversation`, `prompt` and `background` are refused, and so are tools that aren't functions. Other fields are ignored. \
                   A model without functions answers with a text, unless `tool_choice` demands a call. \
                   With `x-stainless-retry-count`, which OpenAI's SDKs send, a retry is not charged again, \
                   and neither is a request that Codex sends again in a turn (`x-codex-turn-metadata`).",
    security(("api_key" = []), ("access_token" = [])),
    params(
        IdempotencyKey,
        ("x-stainless-retry-count" = Option<String>, Header, description = "How often this request was sent before. Values that aren't numbers are ignored.", example = "0"),
    ),
    request_body = Body,
    responses((
        status = 200,
        description = "A response; with `stream` its events, as server-sent events.",
        content((Response = "application/json"), (ResponseEvent = "text/event-stream")),
        headers(
            ("RateLimit" = String),
            ("RateLimit-Policy" = String),
            ("X-RateLimit-Limit-Requests" = String),
            ("X-RateLimit-Remaining-Requests" = String),
            ("X-RateLimit-Reset-Requests" = String)
        ),
    )),
    extensions(("x-fails" = json!([charge::FAILURES, &[Failure::ApiKeyExpired, Failure::KeyLimitReached, Failure::OutOfQuota, Failure::NoSuchModel]].concat())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let (caller, body): (_, Body) = openai::read(&app, &req).await?;
    let streamed = body.stream == Some(true);
    let (asked, echo) = body.read(app.config.message_limit)?;
    let response = AnswerForm::Response;
    match openai::begin(&app, &req, &caller, key.as_ref(), response, asked).await? {
        BeginOutcome::Replayed(chat) if streamed => {
            let said = http::events(
                &req,
                FailureFormat::Responses,
                app.ai.config.silence,
                async move |events| {
                    Steps::of(events, echo, &chat.chat_id, chat.time).repeat(&chat).await
                },
            );
            said.map(http::replayed)
        }
        BeginOutcome::Replayed(chat) => http::ok(&Response::of(&chat, &echo)).map(http::replayed),
        BeginOutcome::Charge(charge) if streamed => {
            let mut answering = AnswerStream::begin(charge).await?;
            http::events(
                &req,
                FailureFormat::Responses,
                app.ai.config.silence,
                async move |events| {
                    let mut steps = Steps::of(events, echo, answering.chat_id(), answering.began());
                    while let Some(piece) = answering.next().await {
                        steps.pass(&piece).await?;
                    }
                    match answering.end().await {
                        Ok(paid) => steps.end(&paid.chat).await,
                        Err(error) => steps.fail(&error).await,
                    }
                },
            )
        }
        BeginOutcome::Charge(charge) => {
            let paid = charge.answer(None).await?;
            let response = http::ok(&Response::of(&paid.chat, &echo))?;
            Ok(http::limited_as_openai(response, &paid.this_minute))
        }
    }
}
