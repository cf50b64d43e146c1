//! Requests to `POST /v1/chat/completions`
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).

mod format;
mod messages;
mod tools;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use shared::Result;
use shared::ai::Prompt;
use shared::error::FieldErrors;
use utoipa::ToSchema;

use self::format::ResponseFormat;
use self::messages::{CALLS, MESSAGES, PromptMessage, turns};
use self::tools::{Choice, FunctionChoice, OfferedTool};
use crate::asking::Asked;
use crate::asking::json::{at_most, text_or_list};
use crate::asking::numbers::{max_model_tokens, model_token_limits, number_up_to};
use crate::asking::tools::{OfferedFunction, TOOLS, functions_or_null};
use crate::asking::turns::{PARTS, asked};

/// The maximum number of non-empty strings in `stop`, and of all strings, including empty ones.
const STOPS: (usize, usize) = (4, 64);

#[derive(Deserialize, ToSchema)]
#[schema(as = CompletionRequest, examples(json!({ "messages": [{ "role": "user", "content": "Hello!" }] })))]
pub(super) struct Body {
    /// The conversation. The history shows the user's last message, which must not be blank.
    #[serde(default, deserialize_with = "read_messages")]
    #[schema(required, value_type = Vec<PromptMessage>)]
    messages: Option<Vec<PromptMessage>>,
    /// The model, by its name in the price list, in any case and with or without a provider before
    /// it (`openai/`). Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// Whether to send the answer in chunks.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The older name for `max_completion_tokens`.
    max_tokens: Option<f64>,
    /// The maximum number of tokens in the answer. With -1 the request sets no limit.
    max_completion_tokens: Option<f64>,
    /// The answer ends before the first occurrence of one of these strings.
    #[schema(value_type = Option<Value>)]
    stop: Option<Stop>,
    n: Option<f64>,
    /// The functions that the model may call.
    #[serde(default, deserialize_with = "functions_or_null")]
    tools: Option<Vec<OfferedTool>>,
    /// Whether the model may, must or must not call a function.
    tool_choice: Option<Choice>,
    /// Whether the model may call several functions in one answer.
    parallel_tool_calls: Option<bool>,
    /// The older form of `tools`. If a request contains `functions`, its answer contains the older
    /// `function_call`.
    #[serde(default, deserialize_with = "functions_or_null")]
    functions: Option<Vec<OfferedFunction>>,
    /// The older form of `tool_choice`.
    function_call: Option<FunctionChoice>,
    /// The format of the answer: text or JSON.
    response_format: Option<ResponseFormat>,
    #[schema(value_type = Option<Value>)]
    audio: Option<IgnoredAny>,
}

fn read_messages<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<PromptMessage>>, D::Error> {
    at_most(json, MESSAGES, "messages")
}

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(super) fn limits() -> Value {
    let stop = json!({ "oneOf": [
        { "type": "null" },
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "contains": { "minLength": 1 }, "minContains": 0, "maxContains": STOPS.0, "maxItems": STOPS.1 },
    ] });
    let of_user = json!({ "properties": { "role": { "const": "user" }, "content": { "not": { "type": "null" } } }, "required": ["role", "content"] });
    let part = json!({ "anyOf": [
        { "properties": { "type": { "const": "text" }, "text": { "type": "string" } }, "required": ["text"] },
        { "properties": { "type": { "const": "refusal" }, "refusal": { "type": "string" } }, "required": ["refusal"] },
        { "properties": { "type": { "const": "image_url" }, "image_url": { "not": { "type": "null" } } }, "required": ["image_url"] },
    ] });
    let message = json!({ "properties": {
        "content": { "items": part, "maxItems": PARTS },
        "tool_calls": { "maxItems": CALLS },
    } });
    json!({
        "properties": {
            "messages": { "items": message, "contains": of_user, "minItems": 1, "maxItems": MESSAGES },
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "max_tokens": model_token_limits(),
            "max_completion_tokens": model_token_limits(),
            "stop": stop,
            "n": { "enum": [1, null] },
            "tools": { "maxItems": TOOLS },
            "functions": { "maxItems": TOOLS },
            "audio": { "type": ["object", "null"], "enum": [null] },
        },
    })
}

#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    /// Whether to send the usage in the last chunk before `[DONE]`.
    include_usage: Option<bool>,
}

enum Stop {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (STOPS.1, "texts"), Self::One, Self::Several)
    }
}

impl Body {
    pub(super) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// Returns true if function calls in the answer must use the older form.
    pub(super) fn is_older(&self) -> bool {
        self.functions.as_ref().is_some_and(|functions| !functions.is_empty())
    }

    /// Returns the message for the history, and the prompt for the AI.
    pub(super) fn read(self, message_limit: usize) -> Result<Asked> {
        let mut errors = FieldErrors::default();
        let is_older = self.is_older();
        let streamed = self.stream == Some(true);
        if self.n.is_some_and(|n| n != 1.0) {
            errors.note("n", "This API gives one answer only. Omit this field.");
        }
        if self.audio.is_some() {
            errors.note("audio", "This API answers with a text only. Omit this field.");
        }
        let format = self.response_format.and_then(|format| format.read(&mut errors));
        let temperature =
            errors.check("temperature", number_up_to(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", number_up_to(self.top_p, 1.0)).flatten();
        let older = errors.check("max_tokens", max_model_tokens(self.max_tokens)).flatten();
        let max_tokens = errors
            .check("max_completion_tokens", max_model_tokens(self.max_completion_tokens))
            .flatten()
            .or(older);
        let mut stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Several(texts)) => texts,
        };
        stop.retain(|text| !text.is_empty());
        if stop.len() > STOPS.0 {
            errors.note("stop", format!("Send at most {} texts that end an answer.", STOPS.0));
        }
        let tools = self.tools.unwrap_or_default();
        let tools = match self.functions.filter(|functions| !functions.is_empty()) {
            Some(_) if !tools.is_empty() => {
                errors.note("functions", "Send either tools or functions, not both.");
                None
            }
            Some(functions) => Some(tools::older(functions, self.function_call, &mut errors)),
            None => Some(tools::offered(tools, self.tool_choice, &mut errors)),
        };
        let turns = turns(self.messages.unwrap_or_default(), &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("messages", asked(turns, message_limit)));
        match (message, turns, tools) {
            (Some(message), Some(mut turns), Some(tools)) if errors.is_empty() => {
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
                    // The older form can represent only one call.
                    parallel_calls: if is_older { Some(false) } else { self.parallel_tool_calls },
                    format,
                    given: true,
                    ..Prompt::default()
                };
                Ok(Asked { model: self.model, message, prompt, streamed })
            }
            _ => Err(errors.into_error()),
        }
    }
}
