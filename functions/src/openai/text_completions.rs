//! `POST /v1/completions` - one prompt in the format of OpenAI's older API
//! ([reference](https://platform.openai.com/docs/api-reference/completions/create)).
//!
//! In: an API key or an access token, and `prompt`, which is a text, or a list with one text. The
//! AI gets the prompt as a chat with one message of the user, because the models are models for
//! chats: they answer the prompt, and don't continue its text. These fields take effect: `model`,
//! `stream`, `stream_options`, `max_tokens`, `temperature`, `top_p`, `stop`, `seed`, `top_k`,
//! `min_p`, `presence_penalty`, `frequency_penalty`, `repetition_penalty` and `logit_bias`. Without
//! `max_tokens`, an answer may be as long as the settings allow, and not only 16 tokens long as on
//! OpenAI's servers. If the model's provider lacks a parameter that changes the answer, the request
//! is refused. Several prompts, prompts of tokens, `echo`, `suffix`, and `n`, `best_of` and
//! `logprobs` that ask for more than one answer's text are also refused. Other fields are ignored.
//!
//! Out: a text completion, or its chunks, which have the same form, without the model's reasoning.
//! Prices and retries work as they do for completions.

mod reply;
mod request;

use shared::charge::AnswerForm;
use shared::http::{self, Events, FailureFormat};
use shared::openapi::IdempotencyKey;
use shared::values::Chat;
use shared::{Reply, Request, Result};

use self::reply::{TextChunkEvent, TextChunks, TextCompletion};
use self::request::{Body, limits};
use crate::asking::{self, Asked, BLOCK_KB, CompletionApp, Dialect};
use crate::lambda::Lambda;

// Programs call this endpoint rarely. A canary would watch too few requests to notice a failure.
pub(crate) const LAMBDA: Lambda = Lambda::new("Answers the clients of OpenAI's older API")
    .asks_ai()
    .streams(asking::SECONDS)
    .permits(permits![VERIFY_TOKENS, ASK_AI, ACCEPT_PROGRAMS]);

/// Holds the tokens, calls the AI, and then stores the answer or returns the tokens.
#[utoipa::path(
    post,
    path = super::path::text_completions,
    tag = "OpenAI",
    summary = "Send the AI a prompt in the format of OpenAI's older completions",
    description = format!("For programs that don't use `/v1/chat/completions`. `prompt` is a text, or a list with one text; the AI gets it as a user's message. The request costs the price of a message for every {BLOCK_KB} KB of its prompt, rounded up. If there is a price list, `model` chooses one of its models, and the \
                   fare of the model may be by usage. `stream`, `stream_options`, `max_tokens`, `temperature`, `top_p`, `stop`, `seed`, `top_k`, `min_p`, `presence_penalty`, `frequency_penalty`, `repetition_penalty` and `logit_bias` take effect. A parameter that the model's provider doesn't have is refused, unless the operator \
                   ignores such parameters. Without `max_tokens`, an answer isn't limited to 16 tokens, as it is on OpenAI's servers. Several prompts, prompts of tokens, `n` and `best_of` above 1, `echo`, `suffix`, and `logprobs` above 0 are refused, other fields are ignored. \
                   With `x-stainless-retry-count`, which OpenAI's SDKs send, a retry is not charged again."),
    security(("api_key" = []), ("access_token" = [])),
    params(
        IdempotencyKey,
        ("x-stainless-retry-count" = Option<String>, Header, description = "How often this request was sent before. Values that aren't numbers are ignored.", example = "0"),
    ),
    request_body = Body,
    responses((
        status = 200,
        description = "A text completion; with `stream` its chunks, as server-sent events.",
        content((TextCompletion = "application/json"), (TextChunkEvent = "text/event-stream")),
        headers(("RateLimit" = String)),
    )),
    extensions(("x-fails" = json!(asking::failures())), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: CompletionApp, req: Request) -> Reply {
    asking::answer::<TextCompletions>(app, req).await
}

/// The dialect of OpenAI's older completions.
struct TextCompletions {
    /// True if a streamed answer ends with its usage.
    with_usage: bool,
}

impl Dialect for TextCompletions {
    const FORM: AnswerForm = AnswerForm::TextCompletion;
    const FAILURES: FailureFormat = FailureFormat::TextCompletions;

    type Body = Body;
    type Writer = TextChunks;

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let dialect = Self { with_usage: body.wants_usage() };
        Ok((body.read(message_limit)?, dialect))
    }

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&TextCompletion::of(chat))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> TextChunks {
        TextChunks::of(events, self.with_usage, chat_id, began)
    }
}
