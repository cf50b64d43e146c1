//! `POST /v1/messages`, `POST /v1/v1/messages` - a message in the format of Anthropic's API
//! ([reference](https://docs.anthropic.com/en/api/messages)).
//!
//! Holds the tokens, calls the AI, and then stores the answer or returns the tokens. If the
//! provider is Anthropic, it gets those names in `anthropic-beta` that are known not to change what
//! the operator pays.

mod events;
mod reply;

use shared::ai::{BETA_HEADER, Display, Prompt, Thinking, known_betas};
use shared::charge::AnswerForm;
use shared::error::Failure;
use shared::http::{self, Events, FailureFormat};
use shared::openapi::{IdempotencyKey, RetryCount};
use shared::values::{Chat, Credential};
use shared::{App, Reply, Request, Result, auth};

use self::events::{EventWriter, MessageEvent};
use self::reply::{Message, message_id};
use crate::anthropic::request::{Body, limits};
use crate::asking::{self, Asked, CompletionApp, Dialect};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Answers Anthropic's clients")
    .canary()
    .asks_ai()
    .streams(asking::SECONDS)
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
    asking::answer::<Messages>(app, req).await
}

/// Returns the failures that the endpoint can reply with, for the OpenAPI document. An empty
/// balance is always a 402 here, because Anthropic's clients retry a 429.
fn failures() -> Vec<Failure> {
    let shared = asking::failures().into_iter().filter(|failure| *failure != Failure::OutOfQuota);
    shared.chain([Failure::ThreadUnsupported, Failure::TwoCredentials]).collect()
}

/// The dialect of Anthropic's API.
struct Messages {
    /// How much of the model's reasoning the answer contains.
    shown: ShownReasoning,
    /// An estimate of the prompt's model tokens, which the beginning of a stream contains.
    prompt_estimate: u32,
}

/// How much of the model's reasoning an answer contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShownReasoning {
    Nothing,
    /// Encrypted reasoning, and the signatures by which the provider recognizes its reasoning.
    Signatures,
    Everything,
}

impl Dialect for Messages {
    const FORM: AnswerForm = AnswerForm::Message;
    const FAILURES: FailureFormat = FailureFormat::Anthropic;

    type Body = Body;
    type Writer = EventWriter;

    async fn caller(app: &App, req: &Request) -> Result<Credential> {
        auth::program_of_anthropic(app, req).await
    }

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let mut asked = body.read(message_limit)?;
        // Many programs read the text from the first block, so reasoning precedes it only if the
        // program expects it.
        let shown = match (asked.prompt.options.thinking, asked.prompt.options.display) {
            (None | Some(Thinking::Disabled), _) => ShownReasoning::Nothing,
            (_, Some(Display::Omitted)) => ShownReasoning::Signatures,
            (_, Some(Display::Summarized) | None) => ShownReasoning::Everything,
        };
        asked.prompt.hides_reasoning = shown == ShownReasoning::Nothing;
        let estimate = if asked.streamed { asked.prompt.estimated_tokens() } else { 0 };
        let prompt_estimate = u32::try_from(estimate).unwrap_or(u32::MAX);
        Ok((asked, Self { shown, prompt_estimate }))
    }

    fn read_headers(req: &Request, prompt: &mut Prompt) {
        let values = req.headers().get_all(BETA_HEADER).iter();
        prompt.betas = known_betas(values.filter_map(|value| value.to_str().ok()));
    }

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Message::of(chat, &message_id(&chat.chat_id), self.shown))
    }

    fn writer(self, events: Events, chat_id: &str, _: u64) -> EventWriter {
        EventWriter::of(events, self, chat_id)
    }
}
