//! Reads the answer from the content blocks of a reply, as Anthropic and Bedrock send them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ai::{AnswerBuilder, Failure};

/// The part of a reply that contains the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerIn {
    /// The text and the calls.
    Blocks,
    /// The arguments of the function that the model calls with its answer.
    Arguments,
    /// The `answer` field in the arguments of the function that the model calls with its answer.
    Field,
}

impl AnswerIn {
    /// The name of the field for [`AnswerIn::Field`].
    pub const FIELD: &'static str = "answer";
}

/// The function's arguments for [`AnswerIn::Field`]. The field's name is [`AnswerIn::FIELD`].
#[derive(Deserialize)]
struct WrappedAnswer<'a> {
    #[serde(borrow)]
    answer: &'a RawValue,
}

/// Reads a reply's content blocks in order.
pub struct Blocks {
    answer: AnswerIn,
    /// The text alongside the function call that contains the answer. If the model doesn't call the
    /// function, this text becomes the answer.
    aside: String,
    /// The arguments for [`AnswerIn::Field`].
    wrapped: String,
    /// The number of a call that hasn't received any arguments yet.
    bare: Option<u64>,
}

impl Blocks {
    pub fn new(answer: AnswerIn) -> Self {
        Self { answer, aside: String::new(), wrapped: String::new(), bare: None }
    }

    pub fn text(&mut self, text: &str, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        if self.answer == AnswerIn::Blocks {
            return builder.push_text(text);
        }
        keep(&mut self.aside, text, builder.limit);
        Ok(())
    }

    /// Begins a content block with a call.
    pub fn begin(
        &mut self,
        number: u64,
        id: &str,
        name: &str,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        self.bare = Some(number);
        match self.answer {
            AnswerIn::Blocks => builder.push_call(number, id, name, ""),
            _ => Ok(()),
        }
    }

    /// Appends to a call's arguments.
    pub fn push_arguments(
        &mut self,
        number: u64,
        arguments: &str,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        if arguments.is_empty() {
            return Ok(());
        }
        self.bare = None;
        match self.answer {
            AnswerIn::Blocks => builder.push_call(number, "", "", arguments),
            AnswerIn::Arguments => builder.push_text(arguments),
            AnswerIn::Field => {
                keep(&mut self.wrapped, arguments, builder.limit);
                Ok(())
            }
        }
    }

    /// Ends a content block. A function without parameters is called without arguments; the
    /// arguments become `{}`, because clients expect an object.
    pub fn end(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        match self.bare {
            Some(number) => self.push_arguments(number, "{}", builder),
            None => Ok(()),
        }
    }

    /// Ends the reply.
    pub fn finish(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        if !self.wrapped.is_empty() {
            let whole = serde_json::from_str::<WrappedAnswer<'_>>(&self.wrapped);
            let answer = whole.map(|whole| whole.answer.get());
            builder.push_text(answer.unwrap_or(&self.wrapped))?;
        }
        if builder.is_empty() { builder.push_text(&self.aside) } else { Ok(()) }
    }
}

/// Appends text, unless the kept text already exceeds the maximum length of an answer.
fn keep(kept: &mut String, text: &str, limit: usize) {
    if kept.len() <= limit {
        kept.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::Prompt;
    use crate::ai::answer_builder::{Close, Progress};

    /// A content block: text, or a call with the parts of its arguments.
    enum Block {
        Text(&'static str),
        Call(&'static [&'static str]),
    }

    /// Builds an answer of at most 20 bytes from these content blocks, and returns its text.
    fn text(answer: AnswerIn, blocks: &[Block]) -> Result<String, Failure> {
        let prompt = Prompt { given: true, ..Prompt::default() };
        let progress = Progress::default();
        let mut builder = AnswerBuilder::new(&prompt, "model", 20, None, &progress);
        let mut read = Blocks::new(answer);
        for block in blocks {
            match block {
                Block::Text(text) => read.text(text, &mut builder)?,
                Block::Call(parts) => {
                    read.begin(0, "id", "name", &mut builder)?;
                    for part in *parts {
                        read.push_arguments(0, part, &mut builder)?;
                    }
                }
            }
            read.end(&mut builder)?;
        }
        read.finish(&mut builder)?;
        let answer = builder.answer(Close::Read(Ok(())), &prompt);
        answer.map(|answer| answer.text).map_err(|unanswered| unanswered.failure)
    }

    #[test]
    fn answers_are_read_from_arguments_or_else_from_text() {
        let (arguments, field) = (AnswerIn::Arguments, AnswerIn::Field);
        for (answer, blocks, expected) in [
            (AnswerIn::Blocks, &[Block::Text("Hello.")][..], "Hello."),
            (
                arguments,
                &[Block::Text("Here:"), Block::Call(&["{\"a\":", "", " 1}"])],
                "{\"a\": 1}",
            ),
            (arguments, &[Block::Call(&[])], "{}"),
            (arguments, &[Block::Call(&["", ""])], "{}"),
            (arguments, &[Block::Text("No "), Block::Text("object.")], "No object."),
            (field, &[Block::Text("Here:"), Block::Call(&["{\"answer\":", " [2, 1]}"])], "[2, 1]"),
            (field, &[Block::Call(&["{\"answer\": [2,"])], "{\"answer\": [2,"),
            (field, &[Block::Call(&[]), Block::Text("No.")], "{}"),
            (field, &[Block::Text("No.")], "No."),
        ] {
            assert_eq!(text(answer, blocks).as_deref(), Ok(expected));
        }
        assert_eq!(text(arguments, &[]), Err(Failure::Empty("an empty answer")));
        let long = Failure::TooLong;
        for blocks in [
            [Block::Text("a text that is too long")],
            [Block::Call(&["{\"answer\": \"this is much too long for it\"}"])],
        ] {
            assert_eq!(text(field, &blocks), Err(long.clone()));
        }
    }
}
