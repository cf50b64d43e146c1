//! The dialect of OpenAI's older completions
//! ([reference](https://platform.openai.com/docs/api-reference/completions)).

pub(crate) mod reply;
pub(crate) mod request;

use shared::charge::AnswerForm;
use shared::http::{self, Events, Failures};
use shared::values::Chat;
use shared::{Reply, Result};

use self::reply::{TextChunks, TextCompletion};
use self::request::Body;
use crate::dialects::Dialect;
use crate::dialects::openai::failures::OpenAiFormat;
use crate::dialects::programs::{Asked, ProgramDialect};

/// The format of failures.
pub(crate) const FAILURES: &dyn Failures = &FORMAT;

pub(super) const FORMAT: OpenAiFormat =
    OpenAiFormat { name: "TextCompletions", fields: &[("messages", "prompt")] };

/// The dialect of OpenAI's older completions.
pub(crate) struct TextCompletions {
    /// True if a streamed answer ends with its usage.
    with_usage: bool,
}

impl Dialect for TextCompletions {
    const FAILURES: &'static dyn Failures = FAILURES;

    type Writer = TextChunks;

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&TextCompletion::of(chat))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> TextChunks {
        TextChunks::new(events, self.with_usage, chat_id, began)
    }
}

impl ProgramDialect for TextCompletions {
    const FORM: AnswerForm = AnswerForm::stored("text_completion");

    type Body = Body;

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let dialect = Self { with_usage: body.wants_usage() };
        Ok((body.read(message_limit)?, dialect))
    }
}
