//! The dialect of OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)).

mod reasoning;
pub(crate) mod reply;
pub(crate) mod request;

use shared::charge::AnswerForm;
use shared::http::{self, Events, Failures};
use shared::values::Chat;
use shared::{Reply, Result};

use self::reply::{Chunks, Completion, Completions, Form};
use self::request::Body;
use crate::dialects::Dialect;
use crate::dialects::openai::failures::OpenAiFormat;
use crate::dialects::programs::{Asked, ProgramDialect};

/// The format of failures. Other endpoints for OpenAI's clients also use it.
pub(crate) const FAILURES: &dyn Failures = &FORMAT;

pub(super) const FORMAT: OpenAiFormat =
    OpenAiFormat { name: "OpenAi", fields: &[("thinking", "reasoning.max_tokens")] };

impl Dialect for Completions {
    const FAILURES: &'static dyn Failures = FAILURES;

    type Writer = Chunks;

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Completion::of(chat, self))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> Chunks {
        Chunks::new(events, self, chat_id, began)
    }
}

impl ProgramDialect for Completions {
    const FORM: AnswerForm = AnswerForm::stored("completion");

    type Body = Body;

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let calls = if body.is_older() { Form::Function } else { Form::Tools };
        let (with_usage, hides_reasoning) = (body.wants_usage(), body.hides_reasoning());
        let (asked, custom) = body.read(message_limit)?;
        Ok((asked, Self { calls, custom, with_usage, hides_reasoning }))
    }
}
