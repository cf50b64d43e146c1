//! `POST /v1/responses` - a message in the format of OpenAI's Responses API
//! ([reference](https://platform.openai.com/docs/api-reference/responses/create)).
//!
//! In: an API key or an access token, and `input`, which is a string, or a list of messages,
//! reasoning, calls of functions and custom tools, and their results. The history shows the user's
//! last message. These fields take effect: `instructions`, `stream`, `temperature`, `top_p`,
//! `max_output_tokens`, `tools`, `tool_choice`, `parallel_tool_calls`, `reasoning.effort`,
//! `reasoning.summary`, `text.format`, `text.verbosity`, and the parameters of completions that
//! change how tokens are sampled. If the model's provider lacks a parameter that changes the
//! answer, the request is refused. The response repeats `metadata` and `user`. `model` selects a
//! model from the price list; without a list, the operator's settings determine the model. A
//! request contains the whole conversation, as if `store` were false, but an `item_reference` may
//! replace an item of an earlier answer. Therefore `previous_response_id`, `conversation`, `prompt`
//! and `background` are refused. Tools that aren't functions or custom tools, `truncation` and
//! `top_logprobs` are also refused. Other fields are ignored. Out: a response, or its events.
//! Prices, retries and calls work as they do for completions.

mod encrypted_content;
mod events;
mod items;
mod reply;
mod request;
mod tools;

use shared::charge::AnswerForm;
use shared::error::Failure;
use shared::http::{self, Events, FailureFormat};
use shared::openapi::IdempotencyKey;
use shared::values::{Chat, Credential};
use shared::{Reply, Request, Result};

use self::events::{EventWriter, ResponseEvent};
use self::reply::{RepeatedFields, Response};
use self::request::{Body, limits};
use crate::asking::{self, Asked, BLOCK_KB, CompletionApp, Dialect, PICTURE_KB};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's Responses API")
    .canary()
    .asks_ai()
    .streams(asking::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS, get_many(Chats)]);

/// Holds the tokens, calls the AI, and then stores the answer or returns the tokens.
#[utoipa::path(
    post,
    path = super::path::responses,
    tag = "OpenAI",
    summary = "Send the AI a message in the format of OpenAI's Responses API",
    description = format!("The request costs the price of a message for every {BLOCK_KB} KB of its prompt, rounded up. A picture counts as {PICTURE_KB} KB. If there is a price list, `model` chooses one of its models, and the fare of the model may be by usage. `instructions`, `stream`, `temperature`, `top_p`, \
                   `max_output_tokens`, `tools`, `tool_choice`, `parallel_tool_calls`, `reasoning.effort`, `reasoning.summary`, `text.format`, `text.verbosity`, `seed`, `top_k`, `min_p`, `logit_bias` and the penalties take effect. A parameter that the model's provider doesn't have is refused, unless the operator ignores such parameters. A request contains the whole conversation, in which an `item_reference` may replace an item of an earlier answer: \
                   `previous_response_id`, `conversation`, `prompt` and `background` are refused, and so are tools that aren't functions or custom tools, `truncation` and `top_logprobs`. Other fields are ignored. \
                   A model without functions answers with a text, unless `tool_choice` demands a call. \
                   With `x-stainless-retry-count`, which OpenAI's SDKs send, a retry is not charged again, \
                   and neither is a request that Codex sends again in a turn (`x-codex-turn-metadata`)."),
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
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!([asking::failures(), vec![Failure::NoSuchItem]].concat())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    asking::answer::<Responses>(app, req).await
}

/// The dialect of the Responses API.
struct Responses {
    repeated: RepeatedFields,
}

impl Dialect for Responses {
    const FORM: AnswerForm = AnswerForm::Response;
    const FAILURES: FailureFormat = FailureFormat::Responses;

    type Body = Body;
    type Writer = EventWriter;

    async fn resolve(app: &CompletionApp, caller: &Credential, body: &mut Body) -> Result<()> {
        body.resolve(app, caller).await
    }

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let (asked, repeated) = body.read(message_limit)?;
        Ok((asked, Self { repeated }))
    }

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Response::of(chat, &self.repeated))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> EventWriter {
        EventWriter::of(events, self.repeated, chat_id, began)
    }
}
