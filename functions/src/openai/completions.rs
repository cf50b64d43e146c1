//! `POST /v1/chat/completions` - a message in the format of OpenAI's API
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).
//!
//! In: an API key or an access token, and `messages`. The history shows the user's last message.
//! These fields take effect: `stream`, `stream_options`, `temperature`, `top_p`, `max_tokens`,
//! `max_completion_tokens`, `stop`, `tools`, `tool_choice`, `parallel_tool_calls`,
//! `response_format`, `reasoning_effort`, `reasoning`, `verbosity`, `seed`, `top_k`, `min_p`,
//! `presence_penalty`, `frequency_penalty`, `repetition_penalty`, `logit_bias`, and the older
//! `functions`, `function_call` and `include_reasoning`. If the model's provider lacks a parameter
//! that changes the answer, the request is refused. `model` chooses a model from the price list;
//! without a list, the operator's settings determine the model. `n` above 1, `audio`, `logprobs` and
//! `web_search_options` are refused. Other fields are ignored.
//!
//! Out: a completion, or its chunks, with the model's reasoning if the provider shows it. Assistant
//! messages in a request may contain the reasoning before them. A completion that calls functions
//! ends with the calls: the client runs the functions, and sends the results with its next request.
//! The request costs the price of a message for every 64 KB of its prompt, rounded up. A request
//! gets the completion that was already paid for if it says that it is a retry
//! (`x-stainless-retry-count`), belongs to the same Codex turn (`x-codex-turn-metadata`), or
//! repeats the body of a request in the last minute, if equal bodies count as retries for the API
//! key.

mod reasoning;
pub(super) mod reply;
pub(super) mod request;

use shared::charge::AnswerForm;
use shared::http::{self, Events, FailureFormat};
use shared::openapi::IdempotencyKey;
use shared::values::Chat;
use shared::{Reply, Request, Result};

use self::reply::{ChunkEvent, Chunks, Completion, Completions, Form};
use self::request::{Body, limits};
use crate::asking::{self, Asked, BLOCK_KB, CompletionApp, Dialect, PICTURE_KB};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's API")
    .canary()
    .asks_ai()
    .streams(asking::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Holds the tokens, calls the AI, and then stores the answer or returns the tokens.
#[utoipa::path(
    post,
    path = super::path::completions,
    tag = "OpenAI",
    summary = "Send the AI a message in OpenAI's format",
    description = format!("The request costs the price of a message for every {BLOCK_KB} KB of its prompt, rounded up. A picture counts as {PICTURE_KB} KB. If there is a price list, `model` chooses one of its models, and the fare of the model may be by usage. `stream`, `stream_options`, `temperature`, \
                   `top_p`, `max_tokens`, `max_completion_tokens`, `stop`, `tools`, `tool_choice`, `parallel_tool_calls`, `response_format`, `reasoning_effort`, `reasoning`, `verbosity`, `seed`, `top_k`, `min_p`, `presence_penalty`, `frequency_penalty`, `repetition_penalty`, `logit_bias`, `functions`, \
                   `function_call` and `include_reasoning` take effect. A parameter that the model's provider doesn't have is refused, unless the operator ignores such parameters. If the provider shows the model's reasoning, it is in `reasoning_content`. `n` above 1, `audio`, `logprobs` and `web_search_options` are refused, other fields are ignored. A model without functions \
                   answers with a text, unless `tool_choice` demands a call. With `x-stainless-retry-count`, which OpenAI's SDKs send, a retry is not charged again, \
                   and neither is a request that Codex sends again in a turn (`x-codex-turn-metadata`)."),
    security(("api_key" = []), ("access_token" = [])),
    params(
        IdempotencyKey,
        ("x-stainless-retry-count" = Option<String>, Header, description = "How often this request was sent before. Values that aren't numbers are ignored.", example = "0"),
    ),
    request_body = Body,
    responses((
        status = 200,
        description = "A completion; with `stream` its chunks, as server-sent events.",
        content((Completion = "application/json"), (ChunkEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(asking::failures())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    asking::answer::<Completions>(app, req).await
}

impl Dialect for Completions {
    const FORM: AnswerForm = AnswerForm::Completion;
    const FAILURES: FailureFormat = FailureFormat::OpenAi;

    type Body = Body;
    type Writer = Chunks;

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let calls = if body.is_older() { Form::Function } else { Form::Tools };
        let (with_usage, hides_reasoning) = (body.wants_usage(), body.hides_reasoning());
        let (asked, custom) = body.read(message_limit)?;
        Ok((asked, Self { calls, custom, with_usage, hides_reasoning }))
    }

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Completion::of(chat, self))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> Chunks {
        Chunks::of(events, self, chat_id, began)
    }
}
