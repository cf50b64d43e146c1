//! The reasons why a provider didn't answer, with their texts for the log, traces and clients.

use crate::Error;
use crate::ai::Prompt;
use crate::values::{CutReason, Usage};

/// The reason why a provider didn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider can't be reached or fails, or its answer is unreadable or incomplete.
    Failed(String),
    /// The provider's answer is empty.
    Empty(&'static str),
    /// The provider refuses the prompt without giving a reason. The text is the HTTP status or the
    /// error code.
    Denied(String),
    /// The provider is overloaded.
    Overloaded,
    /// The provider was too slow.
    TimedOut,
    /// The answer is over the limit.
    TooLong,
    /// The provider's filter ended the answer before any of it was delivered.
    Filtered,
    /// The user stopped the answer.
    Stopped,
    /// The model doesn't support something that the prompt demands.
    Refused(Refusal),
    /// The provider refuses a prompt that demands more than text, for a reason that Farebox doesn't
    /// recognize.
    Rejected(String),
}

/// The reason why no provider answered a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFailure {
    /// The failure that is sent to the client.
    pub failure: Failure,
    /// True if any provider may have worked for the chat and the caller could have caused its
    /// failure.
    pub may_have_worked: bool,
    /// The usage of the part that was delivered before the provider failed. `None` if no part was
    /// delivered.
    pub wasted: Option<Usage>,
}

/// A demand of a prompt that the model doesn't support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The model doesn't support a limit of one function call per answer.
    ParallelCalls,
    /// The model can't call functions.
    Tools,
    /// The model can't answer in this format.
    Format,
    /// The conversation doesn't mention JSON, and some models refuse to answer with JSON unless it
    /// does.
    JsonUnmentioned,
    /// The model can't read pictures.
    Pictures,
    /// The provider can't fetch pictures from URLs.
    PicturesByUrl,
    /// The prompt is too long for the model.
    TooLong,
}

impl Refusal {
    /// Recognizes a refusal by the provider's words, which must be in lower case.
    fn from_words(words: &str, prompt: &Prompt) -> Option<Self> {
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let context = ["context length", "context size", "context window", "maximum model length"];
        if has(&context) || has(&["context_length", "is too long"]) {
            return Some(Self::TooLong);
        }
        if prompt.parallel_calls.is_some() && has(&["parallel_tool_calls"]) {
            return Some(Self::ParallelCalls);
        }
        let is_unable = has(&["support", "enable-auto-tool-choice", "--jinja"])
            || has(&["cannot be provided in the same turn"]);
        if prompt.has_tools() && has(&["tool", "function"]) && is_unable && !has(&["schema"]) {
            return Some(Self::Tools);
        }
        if prompt.format.is_some() && has(&["must contain the word"]) {
            return Some(Self::JsonUnmentioned);
        }
        let formats = ["response_format", "response format", "json_object", "json_schema"];
        let is_format = has(&formats) || has(&["structured output", "outputconfig"]);
        if prompt.format.is_some() && is_format {
            return Some(Self::Format);
        }
        let is_picture = has(&["image", "picture", "vision", "multimodal", "multi-modal"]);
        (prompt.has_pictures() && is_picture).then_some(Self::Pictures)
    }

    fn cause(self) -> &'static str {
        match self {
            Self::ParallelCalls => "it can't be told how many functions it may call at once",
            Self::Tools => "it can't call functions",
            Self::Format | Self::JsonUnmentioned => "it can't answer in this format",
            Self::TooLong => "the prompt is too long for it",
            Self::Pictures | Self::PicturesByUrl => "it can't look at the pictures",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ParallelCalls => Self::field(
                "parallel_tool_calls",
                "The model of this server doesn't know this field. Omit it. Nothing was charged.",
            ),
            Refusal::Tools => Self::field(
                "tools",
                "The model of this server can't call functions. Send `tool_choice` `auto` or \
                 `none` for an answer in words. Nothing was charged.",
            ),
            Refusal::Format => Self::field(
                "response_format",
                "The model of this server can't answer in this format. Nothing was charged.",
            ),
            Refusal::JsonUnmentioned => Self::field(
                "messages",
                "One of the messages must contain the word JSON. Nothing was charged.",
            ),
            Refusal::TooLong => Self::PromptTooLong(None),
            Refusal::Pictures => Self::field(
                "messages",
                "The model of this server can't look at these pictures. Nothing was charged.",
            ),
            Refusal::PicturesByUrl => Self::field(
                "messages",
                "The model of this server can't fetch pictures. Send them as data URLs \
                 (data:image/png;base64,..). Nothing was charged.",
            ),
        }
    }
}

impl Failure {
    pub(super) fn failed(cause: impl Into<String>) -> Self {
        Self::Failed(cause.into())
    }

    /// Creates the failure for a provider that refuses a program's prompt. The reason is recognized
    /// by the provider's `words`, because providers have no common codes. The words may contain the
    /// prompt, so they are neither stored nor logged.
    pub(super) fn refused(words: &str, prompt: &Prompt, cause: &str) -> Self {
        match Refusal::from_words(&words.to_lowercase(), prompt) {
            Some(refusal) => Self::Refused(refusal),
            None if prompt.demands_more_than_words() => {
                Self::Rejected(format!("it refuses the request: {cause}"))
            }
            None => Self::Denied(cause.to_owned()),
        }
    }

    /// Returns true if the provider may have worked for the chat and the caller could have caused
    /// the failure.
    pub(super) fn may_have_worked(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Overloaded => false,
            Self::Empty(_)
            | Self::Denied(_)
            | Self::TimedOut
            | Self::TooLong
            | Self::Filtered
            | Self::Stopped
            | Self::Refused(_)
            | Self::Rejected(_) => true,
        }
    }

    /// Returns true if the request is the cause, as far as is known.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Rejected(_))
    }

    /// Returns the cause, for the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Failed(cause) | Self::Denied(cause) | Self::Rejected(cause) => cause,
            Self::Empty(cause) => cause,
            Self::Overloaded => "overloaded",
            Self::TimedOut => "too slow",
            Self::TooLong => "the answer is over the limit",
            Self::Filtered => "refused by the provider's filter",
            Self::Stopped => "stopped by its user",
            Self::Refused(refusal) => refusal.cause(),
        }
    }

    /// Returns the kind of failure, for traces.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) | Self::Empty(_) | Self::Denied(_) => "failed",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timeout",
            Self::TooLong => CutReason::Length.word(),
            Self::Filtered => CutReason::ContentFilter.word(),
            Self::Stopped => "stopped",
            Self::Refused(_) | Self::Rejected(_) => "refused",
        }
    }
}

impl From<Failure> for AnswerFailure {
    fn from(failure: Failure) -> Self {
        Self { may_have_worked: failure.may_have_worked(), failure, wasted: None }
    }
}

impl From<AnswerFailure> for Error {
    fn from(unanswered: AnswerFailure) -> Self {
        unanswered.failure.into()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(_)
            | Failure::Empty(_)
            | Failure::Denied(_)
            | Failure::TooLong
            | Failure::Filtered => Self::AiFailed,
            Failure::Overloaded => Self::AiOverloaded,
            Failure::TimedOut => Self::AiTimedOut,
            Failure::Stopped => Self::Stopped,
            Failure::Refused(refusal) => refusal.into(),
            Failure::Rejected(_) => Self::field(
                "messages",
                "The model refuses this request; its tools, pictures or format may not be valid \
                 for it. Nothing was charged.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::{Format, Tool};
    use crate::values::{Part, Picture, Speaker, Turn};

    #[test]
    fn refusals_are_recognized_by_the_provider_wording() {
        let mut turn = Turn::new(Speaker::User, "hi");
        let picture = Picture::parse("https://example.com/a.png".into(), None).unwrap();
        turn.content.push(Part::Picture(picture));
        let tool = Tool { name: "f".into(), description: None, parameters: None, strict: None };
        let everything = Prompt {
            turns: vec![turn],
            tools: vec![tool],
            parallel_calls: Some(false),
            format: Some(Format::JsonObject),
            given: true,
            ..Prompt::default()
        };
        let (too_long, tools) = (Some(Refusal::TooLong), Some(Refusal::Tools));
        for (words, refusal) in [
            ("This model's maximum context length is 8192 tokens.", too_long),
            ("the request exceeds the available context size, try increasing it", too_long),
            ("The prompt is longer than the maximum model length of 8192.", too_long),
            ("prompt is too long: 210000 tokens > 200000 maximum", too_long),
            ("library/tiny:latest does not support tools", tools),
            ("\"auto\" tool choice requires --enable-auto-tool-choice", tools),
            ("No endpoints found that support tool use.", tools),
            ("tools param requires --jinja flag", tools),
            ("Conversation blocks and tool use blocks cannot be provided in the same turn.", tools),
            (
                "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
                Some(Refusal::ParallelCalls),
            ),
            ("'messages' must contain the word 'json'", Some(Refusal::JsonUnmentioned)),
            ("'response_format' of type 'json_schema' is not supported", Some(Refusal::Format)),
            ("This model doesn't support the outputConfig field.", Some(Refusal::Format)),
            ("image_url is only supported by certain models", Some(Refusal::Pictures)),
            ("Invalid schema for function 'f'", None),
        ] {
            let failure = Failure::refused(words, &everything, "status 400");
            let rejected = Failure::Rejected("it refuses the request: status 400".into());
            assert_eq!(failure, refusal.map_or(rejected, Failure::Refused), "{words}");
            let failure = Failure::refused(words, &Prompt::after(vec![], "hi"), "status 400");
            let failed = Failure::Denied("status 400".into());
            let refusal = refusal.filter(|refusal| *refusal == Refusal::TooLong);
            assert_eq!(failure, refusal.map_or(failed, Failure::Refused), "{words}");
        }
    }
}
