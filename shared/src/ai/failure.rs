//! The reasons why a provider didn't answer, and how they are reported in the log, in traces and to
//! clients.

use crate::Error;
use crate::ai::prompt::USUAL_NAME;
use crate::ai::{Effort, Prompt};
use crate::values::{CutReason, Usage, whole};

/// The reason why a provider didn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider can't be reached or fails, or its answer is unreadable or incomplete.
    Failed(String),
    /// The provider's answer is empty.
    Empty(&'static str),
    /// The provider says that its answer has failed. Contains the provider's word for the failure.
    Ended(&'static str),
    /// The provider refuses the prompt for a reason that Farebox doesn't recognize. Contains the
    /// HTTP status or the error code.
    Denied(String),
    /// The provider is overloaded, or limits the operator's requests. Contains the number of seconds
    /// after which the provider accepts the next request, if it says so.
    Overloaded(Option<u32>),
    /// The operator's account with the provider has run out of money.
    Unfunded,
    /// The provider was too slow.
    TimedOut,
    /// The answer exceeds the limit.
    TooLong,
    /// The provider's filter removed the whole answer.
    Filtered,
    /// The user stopped the answer.
    Stopped,
    /// The model can't answer the prompt for a reason that the prompt's sender can change.
    Refused(Refusal),
}

/// The reason why no provider answered a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFailure {
    /// The failure that is sent to the client.
    pub failure: Failure,
    /// The token counts for each provider that may have done any work, as far as they are known.
    pub worked: Vec<Usage>,
}

/// The part of a prompt that its sender must change, because the model doesn't support it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The model doesn't support a limit of one function call per answer.
    ParallelCalls,
    /// The server doesn't accept the reasoning of earlier answers.
    Reasoning,
    /// The model can't call functions.
    Tools,
    /// The model can call functions only if the request tells it not to reason.
    EffortWithTools,
    /// The name of a function is too long for the provider.
    LongNames,
    /// The provider refuses the id of a call, which another provider or model has given.
    CallIds,
    /// The model accepts instructions only before the conversation.
    LateInstructions,
    /// The model or the server doesn't cache parts of prompts.
    Cache,
    /// The server has an older form of Anthropic's API, or doesn't offer a beta.
    Extensions,
    /// The model can't answer in this format.
    Format,
    /// The conversation doesn't mention JSON, and some models refuse to answer with JSON unless it
    /// does.
    JsonUnmentioned,
    /// The model can't read pictures.
    Pictures,
    /// The provider can't fetch pictures from URLs.
    PicturesByUrl,
    /// The model can't use a function's parameters, or the schema of the answer.
    Schema,
    /// The prompt is too long for the model.
    TooLong,
    /// A text is too long for the model for embeddings.
    TextTooLong,
    /// The request for embeddings has too many texts for the provider.
    TooManyTexts,
    /// The provider accepts texts, but no lists of token ids.
    TokenIds,
    /// The provider refuses the value of this field in the request.
    Field(&'static str),
}

/// A provider's reason for a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reason {
    /// The provider's messages and codes. They may contain the prompt, so they are neither stored
    /// nor logged.
    pub words: String,
    /// The provider's codes, which never contain the prompt.
    pub codes: String,
    /// The name of the refused field, such as `messages[0].content`. Empty if no field is named.
    pub param: String,
    /// The HTTP status that an error in a reply with status 200 contains as its code. `None` if the
    /// reply has a status of its own.
    pub status: Option<u16>,
}

/// The longest time that clients are told to wait for an overloaded provider, in seconds.
const LONGEST_WAIT: u32 = 3600;

/// The length of the longest code that is logged, in bytes.
const LONGEST_CODE: usize = 64;

/// Reads the value of a `Retry-After`: the number of seconds after which the provider accepts the
/// next request, up to an hour. `None` for a date.
pub(super) fn seconds_to_wait(retry_after: &str) -> Option<u32> {
    let seconds: f64 = retry_after.trim().parse().ok()?;
    let seconds = u32::try_from(whole(seconds.ceil())?).unwrap_or(u32::MAX);
    Some(seconds.clamp(1, LONGEST_WAIT))
}

impl Reason {
    /// Returns the failure for an error that a provider sends as its reply with status 200.
    /// `refused` returns the failure for a request that the provider refuses for this reason.
    pub(super) fn failure_of_reply(self, refused: impl FnOnce(Self, &str) -> Failure) -> Failure {
        let is = |kinds: &[&str]| kinds.iter().any(|kind| self.codes.lines().any(|is| is == *kind));
        let status = match self.status {
            _ if self.is_unfunded() => Some(402),
            _ if is(&["overloaded_error", "rate_limit_error", "rate_limit_exceeded"]) => Some(529),
            _ if is(&["timeout_error"]) => Some(504),
            status => status,
        };
        let of_status = status.and_then(|status| Failure::of_status(status, None));
        of_status.unwrap_or_else(|| refused(self, IN_REPLY).unless_unknown())
    }

    /// Returns the cause for the log: `status`, and the provider's codes. Words instead of a code
    /// aren't logged, because they might quote the prompt.
    fn cause(&self, status: &str) -> String {
        let is_code = |code: &&str| {
            let is_of_code = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            !code.is_empty() && code.len() <= LONGEST_CODE && code.chars().all(is_of_code)
        };
        let mut causes = vec![status];
        for code in self.codes.lines().filter(is_code) {
            if !causes.contains(&code) {
                causes.push(code);
            }
        }
        causes.join(", ")
    }

    /// Returns true if the provider's code says that the operator's account has run out of money.
    pub(super) fn is_unfunded(&self) -> bool {
        let codes = self.codes.to_lowercase();
        UNFUNDED_CODES.iter().any(|code| codes.contains(code))
    }

    /// Returns true if the message mentions the API key. Gemini and xAI refuse an invalid key with
    /// 400, the same status as for an invalid request. If the message merely quotes the request,
    /// the secret is read again needlessly.
    pub(super) fn names_key(&self) -> bool {
        self.words.to_lowercase().contains("api key")
    }

    /// Returns true if the provider's code or message says that the operator's account has run out
    /// of money. A message may quote the request, so this check comes after all others.
    pub(super) fn says_unfunded(&self) -> bool {
        let words = self.words.to_lowercase();
        self.is_unfunded() || UNFUNDED_WORDS.iter().any(|part| words.contains(part))
    }
}

/// The number of seconds after which clients retry if an overloaded provider doesn't say when it
/// accepts the next request.
pub(super) const UNKNOWN_WAIT: u32 = 5;

/// The cause of a failure that is an error in a reply with status 200, for the log.
const IN_REPLY: &str = "an error in the reply";

/// OpenAI's and Anthropic's error codes for an account that has run out of money
/// ([OpenAI](https://platform.openai.com/docs/guides/error-codes),
/// [Anthropic](https://docs.anthropic.com/en/api/errors)).
const UNFUNDED_CODES: [&str; 3] = ["insufficient_quota", "billing_hard_limit", "billing_error"];

/// The messages that Anthropic, DeepSeek and OpenRouter send if an account has run out of money.
/// OpenAI's message isn't listed, because Gemini sends the same one for a per-minute limit.
const UNFUNDED_WORDS: [&str; 3] =
    ["credit balance is too low", "insufficient balance", "insufficient credits"];

/// Parts of the messages with which providers refuse a prompt that is too long. The third is
/// llama.cpp's. The last eleven are those of xAI, Gemini, Groq, Moonshot, Z.AI, DashScope, Amazon's
/// models (two), Cohere, GitHub Copilot, and Hugging Face's TGI.
const TOO_LONG: [&str; 20] = [
    "context length",
    "context size",
    "context shift",
    "context window",
    "context limit",
    "maximum model length",
    "context_length",
    "is too long",
    "request_too_large",
    "maximum prompt length",
    "exceeds the maximum number of tokens",
    "reduce the length of the messages",
    "model token limit",
    "exceeds max length",
    "range of input length",
    "too many input tokens",
    "input tokens exceeded",
    "too many tokens",
    "prompt token count",
    "`inputs` tokens",
];

/// Parts of the messages with which providers refuse the wish to reason, and not the reasoning of
/// earlier answers: those of OpenAI (two), xAI, Ollama (two), Gemini, OpenRouter and Anthropic (two).
const OF_EFFORT: [&str; 9] = [
    "reasoning_effort",
    "reasoning effort",
    "reasoningeffort",
    "support thinking",
    "think value",
    "thinking mode",
    "reasoning is mandatory",
    "thinking.type",
    ".display",
];

impl Refusal {
    /// Anthropic's word for the HTTP status 413, which servers often send without a reason.
    pub(super) const TOO_LARGE: &str = "request_too_large";

    /// Recognizes a refusal from the wording of the provider's message, because providers have no
    /// error codes in common. If the wording doesn't reveal the reason, uses the field that the
    /// provider mentions, provided that the request contains this field.
    fn recognize(reason: &Reason, prompt: &Prompt) -> Option<Self> {
        let field = prompt.sent_field(&reason.param);
        Self::from_words(&reason.words.to_lowercase(), field, prompt)
            .or_else(|| field.map(Self::Field))
    }

    /// Recognizes a refusal from the wording of the provider's message, which must be in lower
    /// case. `field` is the field of the request that the provider mentions.
    fn from_words(words: &str, field: Option<&str>, prompt: &Prompt) -> Option<Self> {
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let lengths = ["too long", "maximum length", "at most", "less than or equal to", "pattern"];
        let is_of_prompt = has(&["prompt", "context", "token"]);
        if has(&["name"]) && has(&lengths) && !is_of_prompt && prompt.has_long_names() {
            return Some(Self::LongNames);
        }
        if Self::is_too_long(words) {
            // The user can't shorten the operator's part of the prompt.
            return (!prompt.is_mostly_added()).then_some(Self::TooLong);
        }
        // OpenAI's and Mistral's words. Anthropic and Bedrock get only ids that they accept.
        let is_id = has(&["tool call id", "tool_call_id", "].id"]);
        if prompt.has_calls() && !prompt.has_foreign_ids && is_id {
            return Some(Self::CallIds);
        }
        if prompt.has_extensions() && has(&["beta", "input_examples", "eager_input_streaming"]) {
            return Some(Self::Extensions);
        }
        if prompt.parallel_calls.is_some() && has(&["parallel_tool_calls"]) {
            return Some(Self::ParallelCalls);
        }
        // "Unexpected role \"system\"", "System message must be at the beginning."
        let is_placed = has(&["system"]) && has(&["role", "beginning", "must be first"]);
        if prompt.has_late_instructions() && is_placed {
            return Some(Self::LateInstructions);
        }
        if prompt.has_cache_breakpoints() && has(&["cache"]) {
            return Some(Self::Cache);
        }
        if has(&["tool_choice:", "tool_choice forces tool use"]) {
            // A format that the model lacks becomes a function that the model must call.
            let is_of_format = prompt.format.is_some() && !prompt.demands_a_call();
            let field = || prompt.sent_field("tool_choice").map(Self::Field);
            return if is_of_format { Some(Self::Format) } else { field() };
        }
        // A conversation that ends with the beginning of an answer.
        if has(&["prefill", "pre-fill"]) {
            return prompt.sent_field("messages").map(Self::Field);
        }
        let is_unable = has(&["support", "enable-auto-tool-choice", "--jinja"])
            || has(&["cannot be provided in the same turn"]);
        let is_of_tools = has(&["tool", "function"]) && is_unable && !has(&["schema"]);
        let is_of_tools = is_of_tools && prompt.has_tools();
        // "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        let wants_none = has(&["reasoning_effort"]) && has(&["'none'"]);
        let effort = prompt.options.effort_alone().map(|(_, effort)| effort);
        if is_of_tools && wants_none && effort != Some(Effort::None) {
            return Some(Self::EffortWithTools);
        }
        let is_option = matches!(field, Some("reasoning_effort" | "thinking" | "display"));
        let is_of_effort = is_option && has(&OF_EFFORT);
        let is_thought = has(&["reasoning", "thinking", "signature"]);
        if prompt.has_reasoning() && is_thought && !is_of_effort {
            return Some(Self::Reasoning);
        }
        // "Function tools with reasoning_effort are not supported", where an effort can be left out.
        if is_of_tools && (wants_none || !is_of_effort) {
            return Some(Self::Tools);
        }
        if prompt.format.is_some() && has(&["must contain the word"]) {
            return Some(Self::JsonUnmentioned);
        }
        let schemas = ["invalid schema", "inputschema", "function_parameters"];
        if prompt.has_schemas() && has(&schemas) {
            return Some(Self::Schema);
        }
        let formats = ["response_format", "response format", "json_object", "json_schema"];
        let is_format =
            has(&formats) || has(&["structured output", "outputconfig", "output_config.format"]);
        if prompt.format.is_some() && is_format {
            return Some(Self::Format);
        }
        if prompt.has_schemas() && has(&["schema", "compiled grammar"]) {
            return Some(Self::Schema);
        }
        let is_picture = has(&["image", "picture", "vision", "multimodal", "multi-modal"]);
        (prompt.has_pictures() && is_picture).then_some(Self::Pictures)
    }

    /// Returns true if the provider's message, which must be in lower case, says that the prompt is
    /// too long.
    pub(super) fn is_too_long(words: &str) -> bool {
        TOO_LONG.iter().any(|part| words.contains(part))
    }

    /// Returns true if the provider's message, which must be in lower case, may refuse the wish to
    /// reason.
    pub(super) fn is_of_effort(words: &str) -> bool {
        words.contains("thinking") || OF_EFFORT.iter().any(|part| words.contains(part))
    }

    fn cause(self) -> &'static str {
        match self {
            Self::ParallelCalls => "it can't be told how many functions it may call at once",
            Self::Reasoning => "it refuses the reasoning of earlier answers",
            Self::Tools => "it can't call functions",
            Self::EffortWithTools => "it can call functions only if it doesn't reason",
            Self::LongNames => "a function's name is too long for it",
            Self::CallIds => "it refuses the id of a call",
            Self::LateInstructions => "it accepts instructions only before the conversation",
            Self::Cache => "it doesn't cache prompts",
            Self::Extensions => "it refuses a beta or a newer field of Anthropic's API",
            Self::Format | Self::JsonUnmentioned => "it can't answer in this format",
            Self::Schema => "it can't use a schema of the request",
            Self::Field(_) => "it refuses a field of the request",
            Self::TooLong => "the prompt is too long for it",
            Self::TextTooLong => "a text is too long for it",
            Self::TooManyTexts => "it accepts fewer texts in a request",
            Self::TokenIds => "it doesn't accept token ids",
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
            Refusal::Reasoning => Self::field(
                "messages",
                "The model of this server doesn't accept the reasoning in these messages. Omit it. \
                 Nothing was charged.",
            ),
            Refusal::Tools => Self::field(
                "tools",
                "The model of this server can't call functions. Send `tool_choice` `auto` or \
                 `none` for an answer in words. Nothing was charged.",
            ),
            Refusal::EffortWithTools => Self::field(
                "reasoning_effort",
                "The model of this server can call functions only with `reasoning_effort` `none`. \
                 Nothing was charged.",
            ),
            Refusal::LongNames => Self::field(
                "tools",
                format!(
                    "The model of this server accepts names with at most {USUAL_NAME} characters. \
                     Shorten the longer names of functions. Nothing was charged."
                ),
            ),
            Refusal::CallIds => Self::field(
                "messages",
                "The model of this server refuses the id of a call. Send other ids. Nothing was \
                 charged.",
            ),
            Refusal::LateInstructions => Self::field(
                "messages",
                "The model of this server accepts instructions only before the conversation. \
                 Nothing was charged.",
            ),
            Refusal::Cache => Self::field(
                "cache_control",
                "The model of this server doesn't cache prompts. Omit this field. Nothing was charged.",
            ),
            Refusal::Extensions => Self::field(
                "tools",
                "The model of this server refuses `input_examples`, `eager_input_streaming` or a \
                 beta. Omit them. Nothing was charged.",
            ),
            Refusal::Format => Self::field(
                "response_format",
                "The model of this server can't answer in this format. Nothing was charged.",
            ),
            Refusal::JsonUnmentioned => Self::field(
                "messages",
                "One of the messages must contain the word JSON. Nothing was charged.",
            ),
            Refusal::Schema => Self::field(
                "tools",
                "The model of this server can't use a schema in this request. Check the parameters of \
                 the functions, and the schema in `response_format`. Nothing was charged.",
            ),
            Refusal::Field(name) => Self::field(
                name,
                "The model of this server refuses this value. Change or omit it. Nothing was charged.",
            ),
            Refusal::TooLong => Self::PromptTooLong(None),
            Refusal::TextTooLong => Self::TextTooLong(None),
            Refusal::TooManyTexts => Self::field(
                "input",
                "The model of this server accepts fewer texts in a request. Send fewer texts. Nothing \
                 was charged.",
            ),
            Refusal::TokenIds => Self::field(
                "input",
                "The model of this server accepts texts, but no token ids. Send the texts (in \
                 LangChain, set `check_embedding_ctx_length=False`). Nothing was charged.",
            ),
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

    /// Returns the failure that an HTTP status means for every request. `seconds` is the number of
    /// seconds after which the provider accepts the next request, if it says so.
    pub(super) fn of_status(status: u16, seconds: Option<u32>) -> Option<Self> {
        match status {
            402 => Some(Self::Unfunded),
            408 | 504 => Some(Self::TimedOut),
            429 | 503 | 529 => Some(Self::Overloaded(seconds)),
            _ => None,
        }
    }

    /// Returns the provider's failure instead of a refusal for an unknown reason.
    pub(super) fn unless_unknown(self) -> Self {
        match self {
            Self::Denied(cause) => Self::Failed(cause),
            failure => failure,
        }
    }

    /// Creates the failure for a provider that refuses a prompt for this reason. If Farebox doesn't
    /// recognize the reason, the cause may be a wrong setting, so the refusal counts as the
    /// provider's failure. `cause` is the HTTP status or the error code.
    pub(super) fn refused(reason: &Reason, prompt: &Prompt, cause: &str) -> Self {
        match Refusal::recognize(reason, prompt) {
            _ if reason.is_unfunded() => Self::Unfunded,
            Some(refusal) => Self::Refused(refusal),
            None if reason.says_unfunded() => Self::Unfunded,
            None => Self::Denied(reason.cause(cause)),
        }
    }

    /// Returns true if the provider may have worked on the chat even though it hasn't sent any part
    /// of the answer. A refused request or a failed connection doesn't cost anything.
    pub(super) fn may_have_worked(&self) -> bool {
        match self {
            Self::Failed(_)
            | Self::Overloaded(_)
            | Self::Unfunded
            | Self::Denied(_)
            | Self::Refused(_) => false,
            Self::Ended(_)
            | Self::Empty(_)
            | Self::TimedOut
            | Self::TooLong
            | Self::Filtered
            | Self::Stopped => true,
        }
    }

    /// Returns true if the request caused the failure.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Returns the cause, for the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Failed(cause) | Self::Denied(cause) => cause,
            Self::Ended(word) => word,
            Self::Empty(cause) => cause,
            Self::Unfunded => "the operator's account at the provider has no money",
            Self::Overloaded(_) => "overloaded",
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
            Self::Failed(_) | Self::Ended(_) | Self::Empty(_) | Self::Denied(_) => "failed",
            Self::Unfunded => "unfunded",
            Self::Overloaded(_) => "overloaded",
            Self::TimedOut => "timeout",
            Self::TooLong => CutReason::Length.word(),
            Self::Filtered => CutReason::ContentFilter.word(),
            Self::Stopped => "stopped",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<Failure> for AnswerFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, worked: Vec::new() }
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
            | Failure::Ended(_)
            | Failure::Empty(_)
            | Failure::Unfunded
            | Failure::TooLong => Self::AiFailed,
            Failure::Denied(_) => Self::AiDenied,
            Failure::Filtered => Self::Filtered,
            Failure::Overloaded(seconds) => Self::AiOverloaded(seconds.unwrap_or(UNKNOWN_WAIT)),
            Failure::TimedOut => Self::AiTimedOut,
            Failure::Stopped => Self::Stopped,
            Failure::Refused(refusal) => refusal.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::ai::{Format, JsonSchema, Options, Thinking, Tool, ToolChoice};
    use crate::values::{CacheTtl, Part, Picture, Reasoning, Speaker, Turn};

    #[test]
    fn refusals_are_recognized_by_the_provider_wording() {
        let mut turn = Turn::new(Speaker::User, "hi");
        turn.reasoning = vec![Reasoning { text: "Well.".into(), ..Reasoning::default() }];
        let picture = Picture::parse("https://example.com/a.png".into(), None).unwrap();
        turn.content.push(Part::Picture(picture));
        let any = RawValue::from_string("{}".into()).unwrap();
        let parameters = Some(JsonSchema::parse(any).unwrap());
        let tool = Tool { name: "f".into(), parameters, ..Tool::default() };
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
            ("input length and `max_tokens` exceed context limit: 199000 + 4096", too_long),
            ("request_too_large\nRequest exceeds the maximum size", too_long),
            ("Your input exceeds the context window of this model.", too_long),
            ("Input is too long for requested model.", too_long),
            ("Input Tokens Exceeded: Number of input tokens exceeds maximum length.", too_long),
            ("Too many input tokens. Max input tokens: 300000", too_long),
            ("This model's maximum prompt length is 131072, but yours has 537812.", too_long),
            (
                "The input token count (2) exceeds the maximum number of tokens allowed (1).",
                too_long,
            ),
            ("Please reduce the length of the messages or completion.", too_long),
            ("Invalid request: Your request exceeded model token limit: 262144", too_long),
            ("Prompt exceeds max length", too_long),
            ("Range of input length should be [1, 30720]", too_long),
            ("too many tokens: the prompt has 9000 tokens", too_long),
            ("prompt token count of 70000 exceeds the limit of 64000", too_long),
            ("`inputs` tokens + `max_new_tokens` must be <= 8193.", too_long),
            ("max_tokens exceeds the limit of 8192", None),
            ("library/tiny:latest does not support tools", tools),
            ("\"auto\" tool choice requires --enable-auto-tool-choice", tools),
            ("No endpoints found that support tool use.", tools),
            ("tools param requires --jinja flag", tools),
            ("Conversation blocks and tool use blocks cannot be provided in the same turn.", tools),
            (
                "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
                Some(Refusal::ParallelCalls),
            ),
            ("property 'reasoning_content' is unsupported", Some(Refusal::Reasoning)),
            ("messages.1: Invalid `signature` in `thinking` block", Some(Refusal::Reasoning)),
            ("This model doesn't support the reasoningContent field.", Some(Refusal::Reasoning)),
            ("'messages' must contain the word 'json'", Some(Refusal::JsonUnmentioned)),
            ("The compiled grammar is too large.", Some(Refusal::Schema)),
            ("'response_format' of type 'json_schema' is not supported", Some(Refusal::Format)),
            ("This model doesn't support the outputConfig field.", Some(Refusal::Format)),
            ("output_config.format: Extra inputs are not permitted", Some(Refusal::Format)),
            ("image_url is only supported by certain models", Some(Refusal::Pictures)),
            ("Invalid schema for function 'f'", Some(Refusal::Schema)),
            ("The value at toolSpec.inputSchema.json.type must be object", Some(Refusal::Schema)),
            ("I don't like it", None),
        ] {
            let reason = Reason { words: words.into(), ..Reason::default() };
            let denied = Failure::Denied("status 400".into());
            let failure = Failure::refused(&reason, &everything, "status 400");
            assert_eq!(failure, refusal.map_or(denied.clone(), Failure::Refused), "{words}");
            let plain = Prompt::after(vec![], "hi");
            let refusal = refusal.filter(|refusal| *refusal == Refusal::TooLong);
            let failure = Failure::refused(&reason, &plain, "status 400");
            assert_eq!(failure, refusal.map_or(denied, Failure::Refused), "{words}");
        }
    }

    #[test]
    fn a_refused_effort_is_not_taken_for_earlier_reasoning() {
        let mut turn = Turn::new(Speaker::User, "hi");
        turn.reasoning = vec![Reasoning { text: "Well.".into(), ..Reasoning::default() }];
        let with = |options: Options| {
            let tools = vec![Tool { name: "f".into(), ..Tool::default() }];
            Prompt { turns: vec![turn.clone()], tools, options, given: true, ..Prompt::default() }
        };
        let low = with(Options { effort: Some(Effort::Low), ..Options::default() });
        let none = with(Options { effort: Some(Effort::None), ..Options::default() });
        let thinking = with(Options { thinking: Some(Thinking::Adaptive), ..Options::default() });
        let plain = with(Options::default());
        let unsupported = "Function tools with reasoning_effort are not supported for gpt-5.4 in \
            /v1/chat/completions. Please use /v1/responses instead.";
        let only_none = "Function tools with reasoning_effort are not supported for gpt-5.6 in \
            /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort \
            to 'none'.";
        let xai = "Model grok-4-latest does not support parameter reasoningEffort.";
        let of_type = "\"thinking.type.enabled\" is not supported for this model.";
        let effort = Some(Refusal::Field("reasoning_effort"));
        let reasoning = Some(Refusal::Reasoning);
        for (prompt, words, param, refusal) in [
            (&low, "Unsupported value: 'reasoning_effort'", "reasoning_effort", effort),
            (&low, xai, "reasoning_effort", effort),
            (&low, "\"functiongemma\" does not support thinking", "reasoning_effort", effort),
            (&low, "property 'reasoning_content' is unsupported", "", reasoning),
            (&low, "Invalid `signature` in `thinking` block", "reasoning_effort", reasoning),
            (&thinking, of_type, "thinking", Some(Refusal::Field("thinking"))),
            (&low, unsupported, "reasoning_effort", effort),
            (&low, only_none, "reasoning_effort", Some(Refusal::EffortWithTools)),
            (&plain, only_none, "reasoning_effort", Some(Refusal::EffortWithTools)),
            (&none, only_none, "reasoning_effort", Some(Refusal::Tools)),
        ] {
            let reason = Reason { words: words.into(), param: param.into(), ..Reason::default() };
            assert_eq!(Refusal::recognize(&reason, prompt), refusal, "{words}");
        }
    }

    #[test]
    fn refused_calls_are_those_of_the_request_or_of_the_format() {
        let parameters = JsonSchema::parse(RawValue::from_string("{}".into()).unwrap()).unwrap();
        let of = |name: &str| Tool {
            name: name.into(),
            parameters: Some(parameters.clone()),
            ..Tool::default()
        };
        let with = |tools: Vec<Tool>, tool_choice: ToolChoice, format: Option<Format>| Prompt {
            tools,
            tool_choice,
            format,
            given: true,
            ..Prompt::after(vec![], "hi")
        };
        let forced = with(vec![of("f")], ToolChoice::Required, None);
        let json = with(vec![], ToolChoice::Auto, Some(Format::JsonObject));
        let plain = with(vec![], ToolChoice::Auto, None);
        let long = with(vec![of(&"f".repeat(65))], ToolChoice::Auto, None);
        let thinks = "Thinking may not be enabled when tool_choice forces tool use.";
        let choice = "tool_choice: type 'any' is not supported for this model";
        let prefill = "This model does not support assistant message prefill.";
        let name = "Invalid 'tools[0].function.name': string too long. Expected at most 64.";
        for (words, prompt, refusal) in [
            (thinks, &forced, Some(Refusal::Field("tool_choice"))),
            (choice, &forced, Some(Refusal::Field("tool_choice"))),
            (choice, &json, Some(Refusal::Format)),
            (thinks, &json, Some(Refusal::Format)),
            (choice, &plain, None),
            (prefill, &forced, Some(Refusal::Field("messages"))),
            (prefill, &Prompt::after(vec![], "hi"), None),
            (name, &long, Some(Refusal::LongNames)),
            (name, &forced, None),
            ("prompt is too long for model_name", &long, Some(Refusal::TooLong)),
        ] {
            let reason = Reason { words: words.into(), ..Reason::default() };
            let denied = Failure::Denied("status 400".into());
            let failure = Failure::refused(&reason, prompt, "status 400");
            assert_eq!(failure, refusal.map_or(denied, Failure::Refused), "{words}");
        }
    }

    #[test]
    fn places_of_instructions_and_caches_are_recognized() {
        let mut late = Prompt::after(vec![], "hi");
        late.turns.push(Turn::new(Speaker::System, "Be brief."));
        let first = late.with_instructions_first();
        let cached = Prompt { cache: Some(CacheTtl::OneHour), ..first.clone() };
        let extended = Prompt { betas: vec!["x"], ..cached.clone() };
        let beta = "Unexpected value(s) `extended-cache-ttl` for the `anthropic-beta` header.";
        let subscription = "The long context beta is not yet available for this subscription.";
        let role = "messages: Unexpected role \"system\".";
        let (place, cache) = (Some(Refusal::LateInstructions), Some(Refusal::Cache));
        for (prompt, words, refusal) in [
            (&late, role, place),
            (&late, "System message must be at the beginning.", place),
            (&late, "cache_control: Extra inputs are not permitted", None),
            (&first, role, None),
            (&cached, role, None),
            (&cached, "cache_control: Extra inputs are not permitted", cache),
            (&cached, "This model doesn't support the cachePoint field.", cache),
            (&extended, beta, Some(Refusal::Extensions)),
            (&extended, subscription, Some(Refusal::Extensions)),
            (&cached, beta, cache),
            (&cached, subscription, None),
        ] {
            let recognized = Refusal::from_words(&words.to_lowercase(), None, prompt);
            assert_eq!(recognized, refusal, "{words}");
        }
    }

    #[test]
    fn a_long_system_prompt_is_not_the_users_fault() {
        let reason = Reason { words: "maximum context length".into(), ..Reason::default() };
        let refused = |message: &str| {
            let mut prompt = Prompt::after(vec![], message);
            prompt.begin(Some(&"word ".repeat(300)));
            Failure::refused(&reason, &prompt, "status 400")
        };
        assert_eq!(refused("hi"), Failure::Denied("status 400".into()));
        assert_eq!(refused(&"word ".repeat(301)), Failure::Refused(Refusal::TooLong));
    }

    #[test]
    fn only_fields_of_the_request_are_blamed() {
        let given = Prompt { given: true, ..Prompt::after(vec![], "hi") };
        let cool = Prompt { temperature: Some(0.2), ..given.clone() };
        let operators = Prompt { has_own_temperature: false, ..cool.clone() };
        let own = Prompt { has_own_temperature: true, ..cool };
        let mut instructed = given.clone();
        instructed.begin(Some("Be kind."));
        for (prompt, param, field) in [
            (&own, "temperature", Some("temperature")),
            (&operators, "temperature", None),
            (&given, "messages[1].content[0]", Some("messages")),
            (&given, "messages.[1].role", Some("messages")),
            (&instructed, "messages[1].content", Some("messages")),
            (&instructed, "messages[0].role", None),
            (&instructed, "messages.[0].role", None),
            (&given, "tools[0].function.name", None),
            (&given, "model", None),
            (&given, "max_tokens", None),
            (&given, "", None),
            (&Prompt::after(vec![], "hi"), "messages", None),
        ] {
            let reason = Reason { words: "no".into(), param: param.into(), ..Reason::default() };
            let refused = field.map(|field| Failure::Refused(Refusal::Field(field)));
            let expected = refused.unwrap_or_else(|| Failure::Denied("status 400".into()));
            assert_eq!(Failure::refused(&reason, prompt, "status 400"), expected, "{param}");
        }
    }

    #[test]
    fn provider_accounts_without_money_are_recognized() {
        let prompt = Prompt::after(vec![], "hi");
        let exceeded =
            "You exceeded your current quota, please check your plan and billing details.";
        for (words, codes, is_unfunded) in [
            (exceeded, "insufficient_quota", true),
            (exceeded, "429", false),
            ("Your credit balance is too low to access the Anthropic API.", "", true),
            ("Insufficient Balance", "invalid_request_error", true),
            ("Invalid model 'insufficient_quota'", "", false),
            ("Your account is on hold.", "billing_error", true),
        ] {
            let (words, codes) = (words.to_owned(), codes.to_owned());
            let reason = Reason { words, codes, ..Reason::default() };
            let failure = Failure::refused(&reason, &prompt, "status 400");
            assert_eq!(failure == Failure::Unfunded, is_unfunded, "{reason:?}");
        }
    }
}
