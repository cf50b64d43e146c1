//! The dialect of Anthropic's Messages API ([reference](https://docs.anthropic.com/en/api/messages)).

pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod reply;
pub(crate) mod request;
mod retries;

use shared::ai::{BETA_HEADER, Display, Prompt, Thinking, known_betas};
use shared::charge::AnswerForm;
use shared::config::EmptyBalance;
use shared::http::{self, Events, Failures};
use shared::values::{Chat, Credential};
use shared::{App, Reply, Request, Result, auth};

use self::events::EventWriter;
pub(crate) use self::failures::{CLIENTS, FAILURES, VERSION_HEADER};
use self::reply::{Message, message_id};
use self::request::Body;
use crate::dialects::Dialect;
use crate::dialects::programs::retries::Work;
use crate::dialects::programs::{Asked, CompletionApp, ProgramDialect};

/// The dialect of Anthropic's API.
pub(crate) struct Messages {
    /// How much of the model's reasoning the answer contains.
    shown: ShownReasoning,
    /// An estimate of the prompt's model tokens, which the beginning of a stream contains.
    prompt_estimate: u32,
}

/// How much of the model's reasoning an answer contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownReasoning {
    Nothing,
    /// Encrypted reasoning, and the signatures by which the provider recognizes its reasoning.
    Signatures,
    Everything,
}

impl Dialect for Messages {
    const FAILURES: &'static dyn Failures = FAILURES;

    type Writer = EventWriter;

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Message::of(chat, &message_id(&chat.chat_id), self.shown))
    }

    fn writer(self, events: Events, chat_id: &str, _: u64) -> EventWriter {
        EventWriter::new(events, self, chat_id)
    }
}

impl ProgramDialect for Messages {
    const FORM: AnswerForm = AnswerForm::stored("message");

    type Body = Body;

    async fn caller(app: &App, req: &Request) -> Result<Credential> {
        auth::program_with_x_api_key(app, req).await
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

    fn work(req: &Request) -> Option<Work> {
        retries::session(req)
    }

    /// Anthropic's clients retry a 429.
    fn empty_balance(_: &CompletionApp) -> EmptyBalance {
        EmptyBalance::PaymentRequired
    }
}
