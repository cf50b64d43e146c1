//! The input of a request: a string, or a list of items. Items are messages, function calls and
//! their results.

use std::mem;

use serde::{Deserialize, Deserializer};
use shared::error::{FieldErrors, REQUIRED, required};
use shared::values::{Invalid, Part, Picture, Speaker, ToolCall, Turn};
use utoipa::ToSchema;

use crate::asking::json::text_or_list;
use crate::asking::tools::{NAME, is_name};
use crate::asking::turns::{KINDS, OpenCalls, PARTS, joined};

/// The maximum number of items in a request. The limit is higher than the one for messages in a
/// completion, because each call is a separate item here.
const ITEMS: usize = 4096;

/// A user's text, or a list of items.
#[derive(ToSchema)]
#[schema(as = ResponseInput)]
#[serde(untagged)]
pub(super) enum Input {
    Text(String),
    Items(Vec<InputItem>),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (ITEMS, "items"), Self::Text, Self::Items)
    }
}

/// A `message` (the type may be missing), a `function_call`, its `function_call_output`, or
/// `reasoning`, which is ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseInputItem)]
pub(super) struct InputItem {
    #[serde(rename = "type")]
    #[schema(examples("message"))]
    kind: Option<String>,
    /// In a message: `user`, `assistant`, `system` or `developer`.
    #[schema(examples("user"))]
    role: Option<String>,
    /// The content of a message.
    content: Option<Content>,
    /// The id of the function call. A result contains the id of the call that it belongs to.
    call_id: Option<String>,
    /// The name of the called function.
    name: Option<String>,
    /// The call's arguments as JSON.
    arguments: Option<String>,
    /// The call's result.
    output: Option<Content>,
}

#[derive(ToSchema)]
#[schema(as = ResponseInputContent)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<InputPart>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (PARTS, "parts"), Self::Text, Self::Parts)
    }
}

/// A part of a message: `input_text`, `output_text`, `refusal`, or, in a user's message,
/// `input_image`.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseInputPart)]
struct InputPart {
    #[serde(rename = "type")]
    #[schema(examples("input_text"))]
    kind: String,
    #[schema(examples("Hello!"))]
    text: Option<String>,
    refusal: Option<String>,
    /// An `https` URL with a public host name, which the model's provider opens, or the data of a
    /// PNG, JPEG, GIF or WebP file.
    #[schema(examples("https://example.com/cat.png"))]
    image_url: Option<String>,
    /// The level of detail in which the model sees the picture: `auto`, `low` or `high`.
    #[schema(examples("low"))]
    detail: Option<String>,
}

/// Returns the conversation if all items are valid.
pub(super) fn turns(input: Option<Input>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    let items = match input {
        None => return Some(Vec::new()),
        Some(Input::Text(text)) => return Some(vec![Turn::new(Speaker::User, text)]),
        Some(Input::Items(items)) => items,
    };
    let unanswered = |id: &str| format!("No tool output found for function call {id}.");
    let mut history = History { turns: Vec::new(), open: OpenCalls::new(unanswered) };
    let mut is_valid = true;
    for (number, item) in items.into_iter().enumerate() {
        is_valid &= history.add(&format!("input[{number}]"), item, errors).is_some();
    }
    history.open.close(errors);
    is_valid.then_some(history.turns)
}

/// The turns of the conversation, built item by item.
struct History {
    turns: Vec<Turn>,
    open: OpenCalls,
}

impl History {
    /// Adds an item. Returns `None` if the item is invalid.
    fn add(&mut self, field: &str, item: InputItem, errors: &mut FieldErrors) -> Option<()> {
        let of = |name: &str| format!("{field}.{name}");
        let InputItem { kind, role, content, call_id, name, arguments, output } = item;
        match kind.as_deref().unwrap_or("message") {
            "message" => {
                let role = errors.check(&of("role"), speaker(role))?;
                let content = parts(content, role == Speaker::User);
                let content = errors.check(&of("content"), content)?;
                self.push_message(role, content, errors);
            }
            "function_call" => {
                let id = errors.check(&of("call_id"), required(call_id))?;
                let name = required(name);
                let name =
                    name.and_then(|name| if is_name(&name) { Ok(name) } else { Err(NAME.into()) });
                let name = errors.check(&of("name"), name)?;
                let call = ToolCall { id, name, arguments: arguments.unwrap_or_default() };
                self.call(&of("call_id"), call, errors);
            }
            "function_call_output" => {
                let id = errors.check(&of("call_id"), required(call_id))?;
                let none = "No function_call before this item has this id and no output yet.";
                let answers = self.open.answer(&id).ok_or_else(|| none.to_owned());
                let answers = errors.check(&of("call_id"), answers)?;
                let content = errors.check(&of("output"), parts(output, false))?;
                let role = Speaker::Tool;
                self.turns.push(Turn { answers: Some(answers), ..Turn::of(role, content) });
            }
            "reasoning" => {}
            "item_reference" => {
                errors.note(&of("type"), "This API stores no items. Send the item itself.");
                return None;
            }
            _ => {
                let known =
                    "This must be message, function_call, function_call_output or reasoning.";
                errors.note(&of("type"), known);
                return None;
            }
        }
        Some(())
    }

    /// Adds a message. If the assistant writes a message next to its calls, both belong to the same
    /// turn.
    fn push_message(&mut self, role: Speaker, content: Vec<Part>, errors: &mut FieldErrors) {
        if role == Speaker::Assistant
            && let Some(turn) = self.turns.last_mut()
            && !turn.calls.is_empty()
        {
            let mut parts = mem::take(&mut turn.content);
            parts.extend(content);
            turn.content = joined(parts);
            return;
        }
        self.open.close(errors);
        self.turns.push(Turn::of(role, content));
    }

    /// Adds a call to the assistant's turn.
    fn call(&mut self, field: &str, call: ToolCall, errors: &mut FieldErrors) {
        if self.turns.last().is_none_or(|turn| turn.role != Speaker::Assistant) {
            self.push_message(Speaker::Assistant, Vec::new(), errors);
        }
        self.open.add(field, &call, errors);
        if let Some(turn) = self.turns.last_mut() {
            turn.calls.push(call);
        }
    }
}

fn speaker(role: Option<String>) -> Result<Speaker, Invalid> {
    match role.as_deref() {
        Some("user") => Ok(Speaker::User),
        Some("assistant") => Ok(Speaker::Assistant),
        Some("system" | "developer") => Ok(Speaker::System),
        _ => Err("This must be user, assistant, system or developer.".into()),
    }
}

/// Returns the text parts. For a user's message, returns the pictures as well.
fn parts(content: Option<Content>, is_users: bool) -> Result<Vec<Part>, Invalid> {
    let parts = match content.ok_or(REQUIRED)? {
        Content::Text(text) => return Ok(vec![Part::Text(text)]),
        Content::Parts(parts) => parts,
    };
    let parts = parts.into_iter().map(|part| part.read(is_users));
    parts.collect::<Result<Vec<Part>, Invalid>>().map(joined)
}

impl InputPart {
    fn read(self, is_users: bool) -> Result<Part, Invalid> {
        let text = match self.kind.as_str() {
            "input_text" | "output_text" => self.text,
            "refusal" => self.refusal,
            "input_image" if is_users => {
                let no_files = "This API stores no files. Send an `image_url`.";
                let url = self.image_url.ok_or(no_files)?;
                return Picture::parse(url, self.detail.as_deref()).map(Part::Picture);
            }
            _ => None,
        };
        text.map(Part::Text).ok_or_else(|| KINDS.into())
    }
}
