//! The input of a request: a string, or a list of items. Items are messages, calls of functions and
//! custom tools, their results, and reasoning.

use serde::{Deserialize, Deserializer};
use shared::error::{FieldErrors, REQUIRED, required};
use shared::values::{
    BlockKind, BlockMark, Invalid, Part, Picture, Reasoning, Speaker, TextFile, ToolCall, Turn,
};
use utoipa::ToSchema;

use crate::dialects::programs::custom::arguments_of;
use crate::dialects::programs::json::{at_most, text_or_list};
use crate::dialects::programs::tools::checked_name;
use crate::dialects::programs::turns::{KINDS, NO_FILES, OpenCalls, PARTS, joined};
use crate::dialects::responses::encrypted_content;

/// The maximum number of items in a request. The limit is higher than the limit on messages in a
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

/// A `message` (the type may be missing), a `function_call`, its `function_call_output`, a
/// `custom_tool_call`, its `custom_tool_call_output`, `reasoning`, which belongs to the assistant's
/// next message or call, or an `item_reference` to an item of an earlier answer.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ResponseInputItem)]
pub(super) struct InputItem {
    #[serde(rename = "type")]
    #[schema(examples("message"))]
    kind: Option<String>,
    /// In an `item_reference`: the id of the item. Ignored otherwise.
    #[schema(examples("msg_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: Option<String>,
    /// In a message: `user`, `assistant`, `system` or `developer`.
    #[schema(examples("user"))]
    role: Option<String>,
    /// The content of a message. In `reasoning`, the text; if it is missing, `summary` is used.
    content: Option<Content>,
    /// The text of `reasoning`.
    #[serde(default, deserialize_with = "summary_or_null")]
    summary: Option<Vec<InputPart>>,
    /// The field of a `reasoning` item in a response. Fields from other servers are ignored.
    encrypted_content: Option<String>,
    /// The id of the call. A result contains the id of the call that it belongs to.
    call_id: Option<String>,
    /// The name of the called function or custom tool.
    name: Option<String>,
    /// The arguments of a function call, as JSON.
    arguments: Option<String>,
    /// The text with which a custom tool was called.
    input: Option<String>,
    /// The call's result.
    output: Option<Content>,
}

impl InputItem {
    /// Returns the id of the item that this one refers to. `None` if this is no reference.
    pub(super) fn reference(&self) -> Option<&str> {
        let is_reference = self.kind.as_deref() == Some("item_reference");
        is_reference.then(|| self.id.as_deref().unwrap_or_default())
    }

    /// Returns the item for a text of an earlier answer.
    pub(super) fn of_text(text: &str) -> Self {
        let content = Some(Content::Text(text.to_owned()));
        Self { role: Some("assistant".into()), content, ..Self::default() }
    }

    /// Returns the item for a part of the reasoning in an earlier answer.
    pub(super) fn of_reasoning(part: &Reasoning) -> Self {
        Self {
            kind: Some("reasoning".into()),
            content: Some(Content::Text(part.text.clone())),
            encrypted_content: Some(encrypted_content::of(part)),
            ..Self::default()
        }
    }

    /// Returns the item for a call in an earlier answer.
    pub(super) fn of_call(call: &ToolCall) -> Self {
        Self {
            kind: Some("function_call".into()),
            call_id: Some(call.id.clone()),
            name: Some(call.name.clone()),
            arguments: Some(call.arguments.clone()),
            ..Self::default()
        }
    }
}

fn summary_or_null<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<InputPart>>, D::Error> {
    at_most(json, PARTS, "parts")
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

/// A part of a message: `input_text`, `output_text`, `refusal`, or, in a user's message or the
/// result of a call, `input_image` or `input_file`.
// A request can contain many parts, so the fields that few of them have are small.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseInputPart)]
struct InputPart {
    #[serde(rename = "type")]
    #[schema(examples("input_text"))]
    kind: String,
    #[schema(examples("Hello!"))]
    text: Option<String>,
    refusal: Option<Box<str>>,
    /// Either an `https` URL with a public host name, which the model's provider opens, or the data
    /// of a PNG, JPEG, GIF or WebP file.
    #[schema(examples("https://example.com/cat.png"))]
    image_url: Option<Box<str>>,
    /// The level of detail at which the model sees the picture: `auto`, `low` or `high`.
    #[schema(examples("low"))]
    detail: Option<Box<str>>,
    /// The name of a text file, which precedes the text on a line of its own. At most 255
    /// characters.
    #[schema(examples("notes.txt"))]
    filename: Option<Box<str>>,
    /// The text of a file in UTF-8, as a base64 data URL with a text type or `application/json`.
    #[schema(examples("data:text/plain;base64,SGVsbG8h"))]
    file_data: Option<Box<str>>,
}

/// Returns the conversation if all items are valid.
pub(super) fn turns(input: Option<Input>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    let items = match input {
        None => return Some(Vec::new()),
        Some(Input::Text(text)) => return Some(vec![Turn::new(Speaker::User, text)]),
        Some(Input::Items(items)) => items,
    };
    let unanswered = |id: &str| format!("No tool output found for function call {id}.");
    let mut history =
        History { turns: Vec::new(), reasoning: Vec::new(), open: OpenCalls::new(unanswered) };
    let mut is_valid = true;
    for (number, item) in items.into_iter().enumerate() {
        is_valid &= history.add(&format!("input[{number}]"), item, errors).is_some();
    }
    history.open.close(errors);
    for turn in &mut history.turns {
        if turn.order.is_sorted_by_key(|mark| mark.kind) {
            turn.order.clear();
        }
    }
    is_valid.then_some(history.turns)
}

/// The turns of the conversation, built item by item.
struct History {
    turns: Vec<Turn>,
    /// The reasoning before the next turn.
    reasoning: Vec<Reasoning>,
    open: OpenCalls,
}

impl History {
    /// Adds an item. Returns `None` if the item is invalid.
    fn add(&mut self, field: &str, item: InputItem, errors: &mut FieldErrors) -> Option<()> {
        let of = |name: &str| format!("{field}.{name}");
        let InputItem { kind, role, content, call_id, name, arguments, input, output, .. } = item;
        match kind.as_deref().unwrap_or("message") {
            "message" => {
                let role = errors.check(&of("role"), speaker(role))?;
                let content = parts(content, role == Speaker::User);
                let content = errors.check(&of("content"), content)?;
                self.push_message(role, content, errors);
            }
            kind @ ("function_call" | "custom_tool_call") => {
                let id = errors.check(&of("call_id"), required(call_id))?;
                let name = required(name).and_then(checked_name);
                let name = errors.check(&of("name"), name)?;
                let arguments = match kind {
                    "function_call" => arguments.unwrap_or_default(),
                    _ => arguments_of(&input.unwrap_or_default()),
                };
                let call = ToolCall { id, name, arguments };
                self.call(&of("call_id"), call, errors);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let id = errors.check(&of("call_id"), required(call_id))?;
                let none = "No function_call before this item has this id and no output yet.";
                let answers = self.open.answer(&id).ok_or_else(|| none.to_owned());
                let answers = errors.check(&of("call_id"), answers)?;
                let content = errors.check(&of("output"), parts(output, true))?;
                let role = Speaker::Tool;
                self.reasoning.clear();
                self.turns
                    .push(Turn { answers: Some(answers), ..Turn::with_content(role, content) });
            }
            "reasoning" => {
                let text = reasoning_text(content, item.summary);
                let field = item.encrypted_content.as_deref();
                self.reasoning.extend(encrypted_content::read(text, field));
            }
            _ => {
                let known = "This must be message, function_call, function_call_output, \
                    custom_tool_call, custom_tool_call_output or reasoning.";
                errors.note(&of("type"), known);
                return None;
            }
        }
        Some(())
    }

    /// Adds a message. If the assistant writes a message alongside its calls, both belong to the
    /// same turn, which keeps the order of its blocks.
    fn push_message(&mut self, role: Speaker, content: Vec<Part>, errors: &mut FieldErrors) {
        if role != Speaker::Assistant {
            self.open.close(errors);
            self.reasoning.clear();
            self.turns.push(Turn::with_content(role, content));
            return;
        }
        let has_calls = self.turns.last().is_some_and(|turn| !turn.calls.is_empty());
        if !has_calls {
            self.open.close(errors);
            self.turns.push(Turn::with_content(role, Vec::new()));
        }
        if let Some(turn) = self.turns.last_mut() {
            add_reasoning(turn, &mut self.reasoning);
            add_marks(turn, BlockKind::Content, content.len());
            turn.content.extend(content);
        }
    }

    /// Adds a call to the assistant's turn.
    fn call(&mut self, field: &str, call: ToolCall, errors: &mut FieldErrors) {
        if self.turns.last().is_none_or(|turn| turn.role != Speaker::Assistant) {
            self.push_message(Speaker::Assistant, Vec::new(), errors);
        }
        self.open.add(field, &call, errors);
        if let Some(turn) = self.turns.last_mut() {
            add_reasoning(turn, &mut self.reasoning);
            add_marks(turn, BlockKind::Call, 1);
            turn.calls.push(call);
        }
    }
}

/// Moves the parts of the reasoning to the end of the turn.
fn add_reasoning(turn: &mut Turn, parts: &mut Vec<Reasoning>) {
    add_marks(turn, BlockKind::Reasoning, parts.len());
    turn.reasoning.append(parts);
}

fn add_marks(turn: &mut Turn, kind: BlockKind, count: usize) {
    turn.order.extend(std::iter::repeat_n(BlockMark { kind, cache: None }, count));
}

/// Returns the text of a reasoning item: its content, or else its summary.
fn reasoning_text(content: Option<Content>, summary: Option<Vec<InputPart>>) -> String {
    let parts = match content {
        Some(Content::Text(text)) => return text,
        Some(Content::Parts(parts)) if !parts.is_empty() => parts,
        Some(Content::Parts(_)) | None => summary.unwrap_or_default(),
    };
    let texts: Vec<String> = parts.into_iter().filter_map(|part| part.text).collect();
    texts.join("\n")
}

fn speaker(role: Option<String>) -> Result<Speaker, Invalid> {
    match role.as_deref() {
        Some("user") => Ok(Speaker::User),
        Some("assistant") => Ok(Speaker::Assistant),
        Some("system" | "developer") => Ok(Speaker::System),
        _ => Err("This must be user, assistant, system or developer.".into()),
    }
}

/// Returns the parts. Pictures and files are accepted only if `takes_files` is true.
fn parts(content: Option<Content>, takes_files: bool) -> Result<Vec<Part>, Invalid> {
    let parts = match content.ok_or(REQUIRED)? {
        Content::Text(text) => return Ok(vec![Part::Text(text)]),
        Content::Parts(parts) => parts,
    };
    let parts = parts.into_iter().map(|part| part.read(takes_files));
    parts.collect::<Result<Vec<Part>, Invalid>>().map(joined)
}

impl InputPart {
    fn read(self, takes_files: bool) -> Result<Part, Invalid> {
        let text = match self.kind.as_str() {
            "input_text" | "output_text" => self.text,
            "refusal" => self.refusal.map(String::from),
            "input_image" if takes_files => {
                let no_files = "This API stores no files. Send an `image_url`.";
                let url = self.image_url.ok_or(no_files)?;
                return Picture::parse(url.into(), self.detail.as_deref()).map(Part::Picture);
            }
            "input_file" if takes_files => {
                let file = TextFile::parse(
                    self.filename.map(String::from),
                    &self.file_data.ok_or(NO_FILES)?,
                )?;
                Some(file.to_string())
            }
            _ => None,
        };
        text.map(Part::Text).ok_or_else(|| KINDS.into())
    }
}
