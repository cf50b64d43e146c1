//! Requests of OpenAI's clients
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).

use serde::Deserialize;
use serde_json::{Value, json};
use shared::Result;
use shared::ai::{Prompt, Speaker, Turn};
use shared::chat::Message;
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

/// The most texts of `stop`.
const STOPS: usize = 4;

#[derive(Deserialize, ToSchema)]
#[schema(as = CompletionRequest)]
pub(super) struct Body {
    /// The conversation. The history shows the user's last message, which must not be blank.
    #[schema(value_type = Vec<PromptMessage>)]
    messages: Option<Vec<PromptMessage>>,
    /// Whether the answer is sent in chunks.
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The older name of `max_completion_tokens`.
    max_tokens: Option<f64>,
    /// The most tokens of the answer; -1 for no limit by the request.
    max_completion_tokens: Option<f64>,
    /// The texts before which the answer ends.
    #[schema(value_type = Option<Value>)]
    stop: Option<Stop>,
    n: Option<f64>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    functions: Option<Vec<Value>>,
    response_format: Option<Typed>,
    logprobs: Option<bool>,
    audio: Option<Value>,
}

/// What [`Body::read`] requires of the fields beyond their types.
pub(super) fn limits() -> Value {
    let tokens = || json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": -1 }, { "type": "null" }] });
    let stop = json!({ "oneOf": [
        { "type": "null" },
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "contains": { "minLength": 1 }, "minContains": 0, "maxContains": STOPS },
    ] });
    let of_user = json!({ "properties": { "role": { "const": "user" }, "content": { "not": { "type": "null" } } }, "required": ["role", "content"] });
    let part = json!({ "anyOf": [
        { "properties": { "type": { "const": "text" }, "text": { "type": "string" } }, "required": ["text"] },
        { "properties": { "type": { "const": "refusal" }, "refusal": { "type": "string" } }, "required": ["refusal"] },
    ] });
    json!({
        "properties": {
            "messages": { "items": { "properties": { "content": { "items": part } } }, "contains": of_user, "minItems": 1 },
            "response_format": { "properties": { "type": { "const": "text" } } },
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "max_tokens": tokens(),
            "max_completion_tokens": tokens(),
            "stop": stop,
            "n": { "enum": [1, null] },
            "tools": { "type": ["array", "null"], "description": "Must be empty, unless `tool_choice` is `none`." },
            "functions": { "maxItems": 0 },
            "logprobs": { "enum": [false, null] },
            "audio": { "type": ["object", "null"], "enum": [null] },
        },
        "anyOf": [
            { "properties": { "tools": { "maxItems": 0 } } },
            { "properties": { "tool_choice": { "const": "none" } }, "required": ["tool_choice"] },
        ],
    })
}

#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    /// Whether the last chunk before `[DONE]` has the usage.
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or a list of texts")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, ToSchema)]
struct PromptMessage {
    #[schema(pattern = "^(system|developer|user|assistant)$", examples("user"))]
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Typed>),
}

/// A part of a message, or another object with a type.
#[derive(Deserialize, ToSchema)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl Body {
    pub(super) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// The message for the history, and the prompt for the AI.
    pub(super) fn read(self, message_limit: usize) -> Result<(Message, Prompt)> {
        let mut errors = FieldErrors::default();
        for (field, asked) in [
            ("n", self.n.is_some_and(|n| n != 1.0)),
            (
                "tools",
                self.tools.is_some_and(|tools| !tools.is_empty())
                    && self.tool_choice.is_none_or(|choice| choice != "none"),
            ),
            ("functions", self.functions.is_some_and(|functions| !functions.is_empty())),
            ("response_format", self.response_format.is_some_and(|format| format.kind != "text")),
            ("logprobs", self.logprobs == Some(true)),
            ("audio", self.audio.is_some()),
        ] {
            if asked {
                errors.note(field, "This API answers with one text only. Omit this field.");
            }
        }
        let within = |number: Option<f64>, most: f64| match number {
            Some(number) if !(0.0..=most).contains(&number) => {
                Err(format!("This is a number from 0 to {most}."))
            }
            number => Ok(number),
        };
        let temperature = errors.check("temperature", within(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", within(self.top_p, 1.0)).flatten();
        let older = errors.check("max_tokens", most(self.max_tokens)).flatten();
        let max_tokens = errors
            .check("max_completion_tokens", most(self.max_completion_tokens))
            .flatten()
            .or(older);
        let mut stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Several(texts)) => texts,
        };
        stop.retain(|text| !text.is_empty());
        if stop.len() > STOPS {
            errors.note("stop", format!("At most {STOPS} texts can end an answer."));
        }
        let turns = turns(self.messages.unwrap_or_default(), &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("messages", asked(turns, message_limit)));
        match (message, turns) {
            (Some(message), Some(mut turns)) if errors.is_empty() => {
                // Some providers refuse blank turns.
                turns.retain(|turn| !turn.content.trim().is_empty());
                Ok((
                    message,
                    Prompt {
                        turns,
                        temperature,
                        top_p,
                        max_tokens,
                        stop,
                        empty_is_an_answer: true,
                    },
                ))
            }
            _ => Err(errors.into_error()),
        }
    }
}

/// The most tokens of an answer. Some clients send -1 for no limit.
fn most(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None | Some(-1.0) => Ok(None),
        Some(tokens) if (1.0..=f64::from(u32::MAX)).contains(&tokens) => Ok(Some(tokens as u32)),
        Some(_) => Err("An answer has at least one token.".into()),
    }
}

/// The conversation, if all of it is valid.
fn turns(messages: Vec<PromptMessage>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    let turns =
        messages.into_iter().enumerate().map(|(number, PromptMessage { role, content })| {
            let role = match role.as_str() {
                "system" | "developer" => Ok(Speaker::System),
                "user" => Ok(Speaker::User),
                "assistant" => Ok(Speaker::Assistant),
                _ => Err("This is system, developer, user or assistant.".to_owned()),
            };
            let role = errors.check(&format!("messages[{number}].role"), role);
            let content = errors.check(
                &format!("messages[{number}].content"),
                content.map_or(Ok(String::new()), Content::text),
            );
            Some(Turn { role: role?, content: content? })
        });
    turns.collect()
}

/// The last message by the user.
fn asked(turns: &[Turn], limit: usize) -> Result<Message, String> {
    let last = turns.iter().rev().find(|turn| turn.role == Speaker::User).ok_or(REQUIRED)?;
    Message::parse(last.content.clone(), limit)
}

impl Content {
    fn text(self) -> Result<String, String> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let text = |part: Typed| match part.kind.as_str() {
            "text" => part.text,
            "refusal" => part.refusal,
            _ => None,
        };
        let texts: Option<Vec<String>> = parts.into_iter().map(text).collect();
        texts.map(|texts| texts.join("\n")).ok_or_else(|| "Only texts are supported.".into())
    }
}
