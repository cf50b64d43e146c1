//! The dialect of OpenAI's Responses API
//! ([reference](https://platform.openai.com/docs/api-reference/responses)).

mod encrypted_content;
pub(crate) mod events;
mod items;
pub(crate) mod reply;
pub(crate) mod request;
mod tools;

use shared::charge::AnswerForm;
use shared::http::{self, Events, Failures};
use shared::values::{Chat, Credential};
use shared::{Reply, Result};

use self::events::EventWriter;
use self::reply::{RepeatedFields, Response};
use self::request::Body;
use crate::dialects::Dialect;
use crate::dialects::openai::failures::OpenAiFormat;
use crate::dialects::programs::{Asked, CompletionApp, ProgramDialect};

/// The format of failures.
pub(crate) const FAILURES: &dyn Failures = &FORMAT;

pub(super) const FORMAT: OpenAiFormat = OpenAiFormat {
    name: "Responses",
    fields: &[
        ("messages", "input"),
        ("response_format", "text.format"),
        ("reasoning_effort", "reasoning.effort"),
        ("verbosity", "text.verbosity"),
    ],
};

/// The dialect of the Responses API.
pub(crate) struct Responses {
    repeated: RepeatedFields,
}

impl Dialect for Responses {
    const FAILURES: &'static dyn Failures = FAILURES;

    type Writer = EventWriter;

    fn reply(&self, chat: &Chat) -> Reply {
        http::ok(&Response::of(chat, &self.repeated))
    }

    fn writer(self, events: Events, chat_id: &str, began: u64) -> EventWriter {
        EventWriter::new(events, self.repeated, chat_id, began)
    }
}

impl ProgramDialect for Responses {
    const FORM: AnswerForm = AnswerForm::stored("response");

    type Body = Body;

    async fn resolve(app: &CompletionApp, caller: &Credential, body: &mut Body) -> Result<()> {
        body.resolve(app, caller).await
    }

    fn read(body: Body, message_limit: usize) -> Result<(Asked, Self)> {
        let (asked, repeated) = body.read(message_limit)?;
        Ok((asked, Self { repeated }))
    }
}
