//! Requests of Anthropic's API ([reference](https://docs.anthropic.com/en/api/messages)).

mod blocks;
mod messages;
mod options;
mod tools;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use shared::ai::{Options, Prompt};
use shared::error::{FieldErrors, REQUIRED};
use shared::{Error, Result};
use utoipa::ToSchema;

use self::blocks::Content;
use self::messages::{InputMessage, turns};
use self::options::{OutputConfig, OutputFormat, ThinkingConfig, format};
use self::tools::{ChosenTool, EXAMPLES, OfferedTool, TOOLS, offered};
use crate::dialects::programs::Asked;
use crate::dialects::programs::cache::CacheControl;
use crate::dialects::programs::json::{at_most, object};
use crate::dialects::programs::numbers::{max_model_tokens, number_up_to, top_k, top_k_limits};
use crate::dialects::programs::turns::{PARTS, asked};

/// The maximum number of messages in a request.
const MESSAGES: usize = 4096;

/// The maximum number of non-empty strings in `stop_sequences`, and of all strings, including empty
/// ones.
const STOPS: (usize, usize) = (16, 64);

/// The name under which citations are refused, because answers are stored without them.
const CITATIONS: &str = "citations";

#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicRequest, examples(json!({ "max_tokens": 1024, "messages": [{ "role": "user", "content": "Hello!" }] })))]
pub(crate) struct Body {
    /// The conversation. The history shows the user's last text, which must not be blank.
    #[serde(default, deserialize_with = "read_messages")]
    #[schema(required, value_type = Vec<InputMessage>)]
    messages: Option<Vec<InputMessage>>,
    /// The maximum number of tokens in the answer.
    #[schema(required, value_type = f64)]
    max_tokens: Option<f64>,
    /// The model, by its name in the price list, in any case and with or without a provider before
    /// it (`anthropic/`). Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// The instructions for the model.
    system: Option<Content>,
    /// Whether to send the answer as events.
    stream: Option<bool>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// How many of the most likely tokens are considered at each step.
    top_k: Option<f64>,
    /// The answer ends before the first occurrence of one of these strings.
    #[serde(default, deserialize_with = "read_stops")]
    stop_sequences: Option<Vec<String>>,
    /// The functions that the model may call.
    #[serde(default, deserialize_with = "read_tools")]
    tools: Option<Vec<OfferedTool>>,
    tool_choice: Option<ChosenTool>,
    thinking: Option<ThinkingConfig>,
    #[serde(default, deserialize_with = "object")]
    output_config: Option<OutputConfig>,
    /// A cache breakpoint at the end of the prompt, for providers that cache prompts.
    #[serde(default, deserialize_with = "object")]
    cache_control: Option<CacheControl>,
    /// The older name for `format` in `output_config`.
    output_format: Option<OutputFormat>,
    /// Must be null: no code runs at Anthropic for a request.
    #[schema(value_type = Option<Object>)]
    container: Option<IgnoredAny>,
    /// Must be null: the operator chooses where the model runs.
    #[schema(value_type = Option<Object>)]
    inference_geo: Option<IgnoredAny>,
    /// Must be empty: this API calls no servers for the model.
    #[schema(value_type = Option<Vec<Object>>)]
    mcp_servers: Option<Vec<IgnoredAny>>,
    /// Must be null: this API stores no threads. If it is refused, Anthropic's SDKs send the whole
    /// conversation.
    #[schema(value_type = Option<Object>)]
    thread: Option<IgnoredAny>,
}

fn read_messages<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<InputMessage>>, D::Error> {
    at_most(json, MESSAGES, "messages")
}

fn read_tools<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<OfferedTool>>, D::Error> {
    at_most(json, TOOLS, "functions")
}

fn read_stops<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<String>>, D::Error> {
    at_most(json, STOPS.1, "texts")
}

/// The fields that a request for an answer must not contain.
pub(crate) const NOT_OFFERED: [&str; 2] = ["container", "inference_geo"];

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(crate) fn limits() -> Value {
    let mut limits = prompt_limits();
    if let Some(properties) = limits.get_mut("properties").and_then(Value::as_object_mut) {
        let refused = |field: &str| (field.to_owned(), json!({ "not": { "type": "object" } }));
        properties.extend(NOT_OFFERED.map(refused));
    }
    limits
}

/// Returns the constraints that [`Body::prompt`] enforces in addition to the fields' types.
pub(crate) fn prompt_limits() -> Value {
    let of_user = json!({
        "properties": { "role": { "const": "user" }, "content": { "not": { "type": "null" } } },
        "required": ["role", "content"],
    });
    let message = json!({ "properties": { "content": { "maxItems": PARTS } } });
    json!({
        "properties": {
            "messages": { "items": message, "contains": of_user, "minItems": 1, "maxItems": MESSAGES },
            "max_tokens": { "minimum": 1, "maximum": u32::MAX },
            "temperature": { "minimum": 0, "maximum": 1 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "top_k": top_k_limits(),
            "stop_sequences": { "contains": { "minLength": 1 }, "minContains": 0, "maxContains": STOPS.0, "maxItems": STOPS.1 },
            "tools": { "maxItems": TOOLS, "items": { "properties": { "input_examples": { "maxItems": EXAMPLES } } } },
            "mcp_servers": { "maxItems": 0 },
            "thread": { "not": { "type": "object" } },
        },
    })
}

impl Body {
    /// Returns the message for the history, and the prompt for the AI.
    pub(super) fn read(self, message_limit: usize) -> Result<Asked> {
        let mut errors = FieldErrors::default();
        let max_tokens = errors.check("max_tokens", longest_answer(self.max_tokens)).flatten();
        self.asked(message_limit, max_tokens, errors)
    }

    /// Returns the prompt alone. The request doesn't have to limit the answer.
    pub(crate) fn prompt(self, message_limit: usize) -> Result<Prompt> {
        let mut errors = FieldErrors::default();
        if self.max_tokens.is_some() {
            errors.check("max_tokens", longest_answer(self.max_tokens));
        }
        Ok(self.asked(message_limit, None, errors)?.prompt)
    }

    fn asked(
        self,
        message_limit: usize,
        max_tokens: Option<u32>,
        mut errors: FieldErrors,
    ) -> Result<Asked> {
        if self.thread.is_some() {
            return Err(Error::ThreadUnsupported);
        }
        let streamed = self.stream == Some(true);
        let temperature =
            errors.check("temperature", number_up_to(self.temperature, 1.0)).flatten();
        let top_p = errors.check("top_p", number_up_to(self.top_p, 1.0)).flatten();
        let top_k = errors.check("top_k", top_k(self.top_k)).flatten();
        let mut stop = self.stop_sequences.unwrap_or_default();
        stop.retain(|text| !text.is_empty());
        if stop.len() > STOPS.0 {
            let sentence = format!("Send at most {} texts that end an answer.", STOPS.0);
            errors.note("stop_sequences", sentence);
        }
        if self.mcp_servers.is_some_and(|servers| !servers.is_empty()) {
            errors.note("mcp_servers", "This API calls no MCP servers. Omit this field.");
        }
        let display = self.thinking.as_ref().and_then(|thinking| thinking.display(&mut errors));
        let thinking = self.thinking.and_then(|thinking| thinking.read(&mut errors));
        let output = self.output_config.unwrap_or_default();
        let effort = output.effort(&mut errors);
        let format = format(output.format.or(self.output_format), &mut errors);
        let (tools, parallel_calls) =
            offered(self.tools.unwrap_or_default(), self.tool_choice, &mut errors);
        let messages = self.messages.unwrap_or_default();
        let unoffered = [
            (CITATIONS, messages.iter().any(InputMessage::cites)),
            ("container", self.container.is_some()),
            ("inference_geo", self.inference_geo.is_some()),
        ];
        let unoffered =
            unoffered.into_iter().filter_map(|(field, is_sent)| is_sent.then_some(field));
        let unoffered = unoffered.collect();
        let turns = turns(self.system, messages, &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("messages", asked(turns, message_limit)));
        match (message, turns) {
            (Some(message), Some(mut turns)) if errors.is_empty() => {
                // Some providers reject blank turns.
                turns.retain(|turn| !turn.is_blank());
                let prompt = Prompt {
                    turns,
                    temperature,
                    top_p,
                    max_tokens,
                    stop,
                    tools: tools.tools,
                    tool_choice: tools.choice,
                    parallel_calls,
                    format,
                    options: Options {
                        effort,
                        thinking,
                        display,
                        top_k,
                        unoffered,
                        effort_is_hint: true,
                        ..Options::default()
                    },
                    has_blocks: true,
                    cache: self.cache_control.and_then(CacheControl::ttl),
                    given: true,
                    ..Prompt::default()
                };
                Ok(Asked { model: self.model, message, prompt, streamed })
            }
            _ => Err(errors.into_error()),
        }
    }
}

/// Validates the required limit on an answer's model tokens.
fn longest_answer(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None => Err(REQUIRED.into()),
        Some(0.0) => Err("With 0, Anthropic's API only fills its cache, and this API can't do that. Send at least 1.".into()),
        // Elsewhere, -1 means no limit.
        Some(tokens) => max_model_tokens(Some(tokens.max(0.0))),
    }
}
