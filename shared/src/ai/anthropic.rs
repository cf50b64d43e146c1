//! Anthropic, through its Messages API ([reference](https://docs.anthropic.com/en/api/messages)),
//! and other servers that implement it.

mod reply;
mod request;

use std::borrow::Cow;

use lambda_http::http::request::Builder;

use crate::ai::anthropic::reply::ReplyReader;
use crate::ai::anthropic::request::MessagesRequest;
use crate::ai::blocks::AnswerIn;
use crate::ai::server::{Api, Server};
use crate::ai::{AnswerBuilder, Failure, Format, Prompt, Refusal};
use crate::clock::Clock;
use crate::config::{AiServer, ConfigError};
use crate::secrets::ServiceKey;

static MESSAGES: Api = Api {
    path: "/v1/messages",
    with_headers,
    more_headers,
    refused_field: |reason, prompt| field_in_words(&reason.words, prompt),
};

/// The version of the API ([versions](https://docs.anthropic.com/en/api/versioning)).
const VERSION: &str = "2023-06-01";

fn with_headers(request: Builder, key: Option<&ServiceKey>) -> Builder {
    let request = request.header("anthropic-version", VERSION);
    match key {
        Some(key) => request.header("x-api-key", &key.bare),
        None => request,
    }
}

/// The header with the names of betas.
pub const BETA_HEADER: &str = "anthropic-beta";

/// The betas that a request may turn on
/// ([reference](https://docs.anthropic.com/en/api/beta-headers)): those whose fields are passed on,
/// and that don't change what a token costs. A beta can change what the operator pays or where data
/// is stored, so no other name is passed on.
const BETAS: [&str; 6] = [
    "interleaved-thinking-2025-05-14",
    "fine-grained-tool-streaming-2025-05-14",
    "advanced-tool-use-2025-11-20",
    "structured-outputs-2025-11-13",
    "effort-2025-11-24",
    "extended-cache-ttl-2025-04-11",
];

/// Returns the betas in the values of a request's headers that are passed on to Anthropic.
pub fn known_betas<'h>(headers: impl Iterator<Item = &'h str>) -> Vec<&'static str> {
    let named: Vec<&str> = headers.flat_map(|names| names.split(',')).map(str::trim).collect();
    BETAS.into_iter().filter(|beta| named.contains(beta)).collect()
}

fn more_headers(prompt: &Prompt) -> Option<(&'static str, String)> {
    (!prompt.betas.is_empty()).then(|| (BETA_HEADER, prompt.betas.join(",")))
}

/// The fields with which Anthropic's error messages begin. Each is paired with the corresponding
/// field in OpenAI's API.
const FIELDS: [(&str, &str); 11] = [
    ("messages", "messages"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("stop_sequences", "stop"),
    ("tools", "tools"),
    ("tool_choice.disable_parallel_tool_use", "parallel_tool_calls"),
    ("tool_choice", "tool_choice"),
    ("output_config.effort", "reasoning_effort"),
    ("output_config.format", "response_format"),
    ("thinking", "thinking"),
];

/// Phrases from those of Anthropic's sentences that don't begin with a field. Each is paired with
/// the corresponding field in OpenAI's API. Many phrases refer to a part of the conversation.
/// Sentences without any of the phrases are about the operator's account or settings.
const SENTENCES: [(&str, &str); 10] = [
    ("effort parameter", "reasoning_effort"),
    ("adaptive thinking", "thinking"),
    ("budget_tokens", "thinking"),
    ("tool_use", "messages"),
    ("tool_result", "messages"),
    ("thinking block", "messages"),
    ("content block", "messages"),
    ("assistant message", "messages"),
    ("user message", "messages"),
    // A picture at a URL.
    ("download the file", "messages"),
];

/// Returns the field that a refusal mentions: before a colon, as in `messages.0.content: ..`, first
/// in a sentence, as in `` `temperature` is .. `` or `"thinking.type.enabled" is ..`, or in one of
/// the [`SENTENCES`]. The index of a message isn't a part of the result, because Anthropic doesn't
/// count the system prompt.
fn field_in_words(words: &str, prompt: &Prompt) -> Option<&'static str> {
    // `thinking.adaptive.display: ..`
    if prompt.options.display.is_some() && words.contains(".display") {
        return Some("display");
    }
    let begins = |line: &str, name: &str| {
        let rest = line.trim_start_matches(['`', '"']).strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([':', '.', '`', '"']) || rest.starts_with(" '"))
    };
    let mut fields = FIELDS.iter();
    let named = fields.find(|(name, _)| words.lines().any(|line| begins(line, name)));
    let named = named.or_else(|| SENTENCES.iter().find(|(part, _)| words.contains(part)))?;
    match named.1 {
        "thinking" => Some(prompt.options.thinking_parameter()),
        field => Some(field),
    }
}

/// Returns a feature of the prompt that Anthropic doesn't support for any model. An answer that may
/// be any JSON object is returned as a function call, so it can't be combined with other functions.
/// A model that thinks can't be forced to call a function, or to choose from a few tokens.
pub fn refuses(prompt: &Prompt) -> Option<Refusal> {
    let thinks = prompt.thinks();
    if matches!(prompt.format, Some(Format::JsonObject)) && (prompt.offers_calls() || thinks) {
        return Some(Refusal::Format);
    }
    let field = match thinks {
        true if prompt.demands_a_call() => "tool_choice",
        true if prompt.options.top_k.is_some() && !prompt.options.may_leave_out("top_k") => "top_k",
        _ => return None,
    };
    Some(Refusal::Field(field))
}

/// Returns true unless Anthropic's API lacks the parameter with this name in OpenAI's API.
pub fn supports(parameter: &str) -> bool {
    let lacking = [
        "verbosity",
        "seed",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
    ];
    !lacking.contains(&parameter)
}

pub struct Anthropic {
    server: Server,
}

impl Anthropic {
    pub async fn connect(server: &AiServer, clock: &Clock) -> Result<Self, ConfigError> {
        Ok(Self { server: Server::connect(&MESSAGES, server, clock).await? })
    }

    /// Opens a connection for the next request.
    pub async fn open(&self) {
        self.server.open().await;
    }

    /// Reads the API key again if it is due for renewal.
    pub async fn renew_key(&self) {
        self.server.renew_key().await;
    }

    /// Calls the model for an answer. The API supports only formats with a schema, and only for
    /// some models and schemas. Otherwise the model answers in a format by calling a function; the
    /// call's arguments are the answer. A format with a schema is tried first, because only a
    /// refusal reveals that a model doesn't support it.
    pub async fn answer(
        &self,
        model: &str,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let has_format = match &prompt.format {
            Some(Format::JsonSchema(named)) => named.schema.is_some(),
            Some(Format::JsonObject) => false,
            None => return self.ask(model, prompt, prompt, AnswerIn::Blocks, builder).await,
        };
        let mut refusal = Failure::Refused(Refusal::Format);
        if has_format {
            match self.ask(model, prompt, prompt, AnswerIn::Blocks, builder).await {
                Err(
                    refused @ (Failure::Refused(Refusal::Format | Refusal::Schema)
                    | Failure::Denied(_)),
                ) => refusal = refused,
                outcome => return outcome,
            }
        }
        match prompt.by_function()? {
            // A model that thinks can't be forced to call a function.
            Some((calling, answer)) if !calling.thinks() => {
                self.ask(model, prompt, &calling, answer, builder).await
            }
            _ => Err(refusal),
        }
    }

    /// Sends `sent`, which is the prompt or a form of it, and reads the answer.
    async fn ask(
        &self,
        model: &str,
        prompt: &Prompt,
        sent: &Prompt,
        answer: AnswerIn,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        // Anthropic refuses a conversation with earlier calls unless functions are declared.
        let sent = match sent.tools.is_empty() && sent.has_tools() {
            true => Cow::Owned(sent.without_tools()),
            false => Cow::Borrowed(sent),
        };
        let request = MessagesRequest::of(&sent, model, builder.has_listener())?;
        self.server.answer(&request, prompt, ReplyReader::new(answer), builder).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::{Effort, Options, Thinking, Tool, ToolChoice};

    #[test]
    fn refused_fields_are_found_at_the_beginning_of_a_sentence() {
        let plain = Prompt::default();
        for (words, field) in [
            ("messages.1.content.0: Invalid signature", Some("messages")),
            ("`temperature` and `top_p` cannot both be specified", Some("temperature")),
            ("stop_sequences: each must contain non-whitespace", Some("stop")),
            ("output_config.effort: not supported", Some("reasoning_effort")),
            ("thinking.type: not supported", Some("reasoning_effort")),
            ("This model does not support the effort parameter.", Some("reasoning_effort")),
            ("adaptive thinking is not supported on this model", Some("reasoning_effort")),
            (
                "\"thinking.type.enabled\" is not supported for this model.",
                Some("reasoning_effort"),
            ),
            ("\"temperature\" is deprecated for this model.", Some("temperature")),
            ("tool_choice 'any' is not supported for this model.", Some("tool_choice")),
            ("The final user message must not be empty.", Some("messages")),
            ("`tool_use` ids were found without `tool_result` blocks", Some("messages")),
            ("Unable to download the file.", Some("messages")),
            ("This organization has been disabled.", None),
            ("invalid_request_error\ntools.0.custom.input_schema: no", Some("tools")),
            ("max_tokens: 9 > 8, which is the maximum", None),
            ("messages are too many", None),
            ("I don't like your temperature: 7", None),
        ] {
            assert_eq!(field_in_words(words, &plain), field, "{words}");
        }
        let options = Options { thinking: Some(Thinking::Adaptive), ..Options::default() };
        let thinking = Prompt { options, ..Prompt::default() };
        assert_eq!(field_in_words("thinking: no", &thinking), Some("thinking"));
    }

    #[test]
    fn only_known_betas_are_passed_on() {
        let of = |headers: &[&str]| known_betas(headers.iter().copied());
        let (interleaved, eager) = (BETAS[0], BETAS[1]);
        let several = format!("{eager}, x,{interleaved}");
        assert_eq!(of(&[several.as_str()]), [interleaved, eager]);
        assert_eq!(of(&[interleaved, interleaved, ""]), [interleaved]);
        assert_eq!(of(&["Interleaved-Thinking-2025-05-14", "fast-mode-2026-02-01"]), [""; 0]);
    }

    #[test]
    fn few_tokens_exclude_thinking_unless_left_out() {
        let of = |effort: Option<Effort>, lenient: bool| {
            let options = Options { top_k: Some(5), effort, lenient, ..Options::default() };
            refuses(&Prompt { options, ..Prompt::default() })
        };
        assert_eq!(of(Some(Effort::High), false), Some(Refusal::Field("top_k")));
        assert_eq!(of(Some(Effort::High), true), None);
        assert_eq!(of(None, false), None);
    }

    #[test]
    fn thinking_excludes_forced_calls() {
        let tool = Tool { name: "f".into(), ..Tool::default() };
        let prompt = |thinking: Thinking, format: Option<Format>, tool_choice: ToolChoice| {
            let options = Options { thinking: Some(thinking), ..Options::default() };
            let tools = if format.is_some() { vec![] } else { vec![tool.clone()] };
            refuses(&Prompt { options, format, tool_choice, tools, ..Prompt::default() })
        };
        let refused = Some(Refusal::Field("tool_choice"));
        let enabled = |budget: u32| Thinking::Enabled { budget };
        assert_eq!(prompt(Thinking::Adaptive, None, ToolChoice::Required), refused);
        assert_eq!(prompt(enabled(1024), None, ToolChoice::Required), refused);
        assert_eq!(prompt(enabled(1023), None, ToolChoice::Required), None);
        assert_eq!(prompt(Thinking::Disabled, None, ToolChoice::Required), None);
        assert_eq!(prompt(Thinking::Adaptive, None, ToolChoice::Auto), None);
        let json = Some(Format::JsonObject);
        assert_eq!(prompt(Thinking::Adaptive, json, ToolChoice::Auto), Some(Refusal::Format));
    }
}
