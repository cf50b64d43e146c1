//! Why a provider didn't answer: what the log and traces say of it, and what the client is told.

use crate::Error;
use crate::ai::Prompt;
use crate::values::CutReason;

/// Why a provider didn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It can't be reached, fails, or its answer can't be read or is incomplete.
    Failed(String),
    /// Its answer is empty.
    Empty(&'static str),
    /// It refuses the prompt, and its reply says only this.
    Denied(String),
    /// It is overloaded.
    Overloaded,
    /// It was too slow.
    TimedOut,
    /// Its answer is cut off here, for this reason.
    Cut(CutReason),
    /// Its user stopped it.
    Stopped,
    /// The model can't do what the prompt asks for.
    Refused(Refusal),
    /// It refuses a prompt that asks for more than words, and doesn't say why in words that are
    /// known.
    Rejected(String),
}

/// Why no provider answered a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFailure {
    /// What the client is told.
    pub failure: Failure,
    /// Whether any of the providers may have worked for the chat, and the caller could have
    /// caused its failure.
    pub may_have_worked: bool,
}

/// What a model can't do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can't be told how many functions it may call at once.
    ParallelCalls,
    /// It can't call functions.
    Tools,
    /// It can't answer in this format.
    Format,
    /// Some models answer with JSON only if the conversation mentions it.
    JsonUnmentioned,
    /// It can't look at pictures.
    Pictures,
    /// It can't look at pictures that it would have to fetch.
    PicturesByUrl,
    /// The prompt is too long for it.
    TooLong,
}

impl Refusal {
    /// The refusal that a provider tells in these words, in lower case.
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

    /// The failure of a provider that refuses a program's prompt with these words. Providers have no
    /// common codes for this. The words may contain the prompt, so they go nowhere else.
    pub(super) fn refused(words: &str, prompt: &Prompt, cause: &str) -> Self {
        match Refusal::from_words(&words.to_lowercase(), prompt) {
            Some(refusal) => Self::Refused(refusal),
            None if prompt.demands_more_than_words() => {
                Self::Rejected(format!("it refuses the request: {cause}"))
            }
            None => Self::Denied(cause.to_owned()),
        }
    }

    /// Whether the provider may have worked for the chat, and the caller could have caused the
    /// failure.
    pub(super) fn may_have_worked(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Overloaded => false,
            Self::Empty(_)
            | Self::Denied(_)
            | Self::TimedOut
            | Self::Cut(_)
            | Self::Stopped
            | Self::Refused(_)
            | Self::Rejected(_) => true,
        }
    }

    /// Whether the request is the cause, as far as is known.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Rejected(_))
    }

    /// For the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Failed(cause) | Self::Denied(cause) | Self::Rejected(cause) => cause,
            Self::Empty(cause) => cause,
            Self::Overloaded => "overloaded",
            Self::TimedOut => "too slow",
            Self::Cut(CutReason::Length) => "the answer is over the limit",
            Self::Cut(CutReason::ContentFilter) => "refused by the provider's filter",
            Self::Stopped => "stopped by its user",
            Self::Refused(refusal) => refusal.cause(),
        }
    }

    /// Its kind, for traces.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) | Self::Empty(_) | Self::Denied(_) => "failed",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timeout",
            Self::Cut(cut) => cut.word(),
            Self::Stopped => "stopped",
            Self::Refused(_) | Self::Rejected(_) => "refused",
        }
    }
}

impl From<Failure> for AnswerFailure {
    fn from(failure: Failure) -> Self {
        Self { may_have_worked: failure.may_have_worked(), failure }
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
            Failure::Failed(_) | Failure::Empty(_) | Failure::Denied(_) | Failure::Cut(_) => {
                Self::AiFailed
            }
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
