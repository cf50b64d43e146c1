//! The messages in a request: the conversation, with function calls and their results.

use std::mem;

use serde::{Deserialize, Deserializer};
use shared::error::{FieldErrors, REQUIRED};
use shared::values::{
    BlockKind, BlockMark, Invalid, Part, Picture, Speaker, TextFile, ToolCall, Turn,
};
use utoipa::ToSchema;

use crate::dialects::completions::reasoning::{PromptReasoning, add_reasoning, details_or_null};
use crate::dialects::programs::cache::CacheControl;
use crate::dialects::programs::custom::arguments_of;
use crate::dialects::programs::json::{at_most, object, text_or_list};
use crate::dialects::programs::tools::checked_name;
use crate::dialects::programs::turns::{KINDS, NO_FILES, OpenCalls, PARTS, joined};

/// The maximum number of messages in a request.
pub(super) const MESSAGES: usize = 2048;

/// The maximum number of calls in a message. Each call needs a message with its result.
pub(super) const CALLS: usize = MESSAGES;

#[derive(Deserialize, ToSchema)]
pub(super) struct PromptMessage {
    #[schema(pattern = "^(system|developer|user|assistant|tool|function)$", examples("user"))]
    role: String,
    content: Option<Content>,
    /// The assistant's refusal, instead of an answer.
    refusal: Option<String>,
    /// In a message with the role `assistant`: the model's reasoning before its answer.
    reasoning_content: Option<String>,
    /// Another name for `reasoning_content`.
    reasoning: Option<String>,
    /// The reasoning again, part by part and with signatures. Takes precedence over
    /// `reasoning_content` and `reasoning`.
    #[serde(default, deserialize_with = "details_or_null")]
    reasoning_details: Option<Vec<PromptReasoning>>,
    /// The functions and custom tools that the assistant called. Each call must be answered by a
    /// message with the role `tool`.
    #[serde(default, deserialize_with = "read_calls")]
    tool_calls: Option<Vec<CallOfTool>>,
    /// In a message with the role `tool`: the id of the call that the result belongs to.
    tool_call_id: Option<String>,
    /// The older form of `tool_calls`. A message with the role `function` must answer the call.
    function_call: Option<CalledFunction>,
    /// In a message with the role `function`: the name of the function that the result belongs to.
    name: Option<String>,
}

fn read_calls<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<CallOfTool>>, D::Error> {
    at_most(json, CALLS, "calls")
}

#[derive(ToSchema)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<PromptPart>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (PARTS, "parts"), Self::Text, Self::Parts)
    }
}

/// A part of a message: `text`, `refusal`, or, in a user's message or the result of a call,
/// `image_url` or `file`.
// A request can contain many parts, so the fields that few of them have are small.
#[derive(Deserialize, ToSchema)]
struct PromptPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<Box<str>>,
    image_url: Option<Box<ImageUrl>>,
    #[serde(default, deserialize_with = "object")]
    file: Option<Box<FileData>>,
    #[serde(default, deserialize_with = "object")]
    cache_control: Option<Box<CacheControl>>,
}

/// A text file.
#[derive(Deserialize, ToSchema)]
#[schema(as = PromptFile)]
struct FileData {
    /// The name, which precedes the text on a line of its own.
    #[schema(max_length = 255, examples("notes.txt"))]
    filename: Option<String>,
    /// The text in UTF-8, as a data URL with a text type or `application/json`.
    #[schema(
        pattern = r"^data:(text/[^;,]*|application/json)(;[^;,]+)*;base64,[A-Za-z0-9+/]*={0,2}$",
        examples("data:text/plain;base64,SGVsbG8h")
    )]
    file_data: Option<String>,
}

/// A picture.
#[derive(Deserialize, ToSchema)]
struct ImageUrl {
    /// Either an `https` URL with a public host name, which the model's provider opens, or the data
    /// of a PNG, JPEG, GIF or WebP file.
    #[schema(
        pattern = r"^(https://([A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]*(:[0-9]{1,4})?([/?#][!-~]*)?|data:image/(png|jpe?g|gif|webp);base64,([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==))$",
        examples("https://example.com/cat.png")
    )]
    url: String,
    /// The level of detail at which the model sees the picture.
    #[schema(pattern = "^(auto|low|high)$", examples("low"))]
    detail: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CallOfTool {
    id: String,
    #[serde(rename = "type", default = "function")]
    #[schema(pattern = "^(function|custom)$", examples("function"))]
    kind: String,
    function: Option<CalledFunction>,
    // Boxed, because a request can contain many calls, and few of them are of custom tools.
    custom: Option<Box<CalledCustomTool>>,
}

fn function() -> String {
    "function".into()
}

#[derive(Deserialize, ToSchema)]
struct CalledFunction {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("get_weather"))]
    name: String,
    /// The arguments as JSON.
    arguments: String,
}

#[derive(Deserialize, ToSchema)]
struct CalledCustomTool {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("apply_patch"))]
    name: String,
    /// The text for the tool.
    input: String,
}

/// Returns the conversation if all messages are valid.
pub(super) fn turns(messages: Vec<PromptMessage>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    let mut open =
        OpenCalls::new(|id| format!("A message with the role tool must follow for the call {id}."));
    let turns = messages.into_iter().enumerate();
    let turns: Vec<Option<Turn>> =
        turns.map(|(number, message)| turn(number, message, &mut open, errors)).collect();
    open.close(errors);
    turns.into_iter().collect()
}

fn turn(
    number: usize,
    message: PromptMessage,
    open: &mut OpenCalls,
    errors: &mut FieldErrors,
) -> Option<Turn> {
    let field = |name: &str| format!("messages[{number}].{name}");
    let PromptMessage {
        role,
        content,
        refusal,
        reasoning_content,
        reasoning,
        reasoning_details,
        tool_calls,
        tool_call_id,
        function_call,
        name,
    } = message;
    let takes_files = ["user", "tool", "function"].contains(&role.as_str());
    let refused = refusal.filter(|_| role == "assistant").map(Content::Text);
    let content =
        content.or(refused).map_or(Ok(Default::default()), |content| content.parts(takes_files));
    let content = errors.check(&field("content"), content);
    let role = match role.as_str() {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "tool" | "function" => Speaker::Tool,
        _ => {
            let roles = "This must be system, developer, user, assistant, tool or function.";
            errors.note(&field("role"), roles);
            return None;
        }
    };
    if role == Speaker::Tool {
        let (told_by, answers) = match tool_call_id {
            Some(id) => ("tool_call_id", open.answer(&id)),
            None => ("name", open.answer_named(&name.unwrap_or_default())),
        };
        let none = "No message of the assistant before this one makes this call, or the call has a result already.";
        let answers = errors.check(&field(told_by), answers.ok_or_else(|| none.to_owned()))?;
        let (content, mut order) = content?;
        // A result has one breakpoint, at its end.
        order.drain(..order.len().saturating_sub(1));
        return Some(Turn { answers: Some(answers), order, ..Turn::with_content(role, content) });
    }
    open.close(errors);
    let (content, order) = content?;
    let mut turn = Turn { order, ..Turn::with_content(role, content) };
    if role == Speaker::Assistant {
        let calls = tool_calls.unwrap_or_default().into_iter().map(CallOfTool::call);
        let older = function_call.map(|function| function.call(format!("call_{number}")));
        let calls: Result<Vec<ToolCall>, Invalid> = calls.chain(older).collect();
        let field = field("tool_calls");
        turn.calls = errors.check(&field, calls)?;
        // If several calls use the same id, only the first duplicate is reported.
        let _ = turn.calls.iter().all(|call| open.add(&field, call, errors));
        add_reasoning(&mut turn, reasoning_details, reasoning_content.or(reasoning));
    }
    Some(turn)
}

impl Content {
    /// Returns the parts, and marks for those up to the last cache breakpoint. The texts between two
    /// breakpoints become one part. Pictures and files are accepted only if `takes_files` is true.
    fn parts(self, takes_files: bool) -> Result<(Vec<Part>, Vec<BlockMark>), Invalid> {
        let parts = match self {
            Self::Text(text) => return Ok((vec![Part::Text(text)], Vec::new())),
            Self::Parts(parts) => parts,
        };
        let (mut content, mut order, mut cached) = (Vec::new(), Vec::new(), Vec::new());
        for mut part in parts {
            let cache = part.cache_control.take().and_then(|cache| cache.ttl());
            cached.push(part.read(takes_files)?);
            if cache.is_some() {
                content.extend(joined(mem::take(&mut cached)));
                order.resize(content.len(), BlockMark { kind: BlockKind::Content, cache: None });
                if let Some(last) = order.last_mut() {
                    last.cache = cache;
                }
            }
        }
        if content.is_empty() || !cached.is_empty() {
            content.extend(joined(cached));
        }
        Ok((content, order))
    }
}

impl PromptPart {
    fn read(self, takes_files: bool) -> Result<Part, Invalid> {
        let text = match self.kind.as_str() {
            "text" => self.text,
            "refusal" => self.refusal.map(String::from),
            "image_url" if takes_files => {
                let ImageUrl { url, detail } = *self.image_url.ok_or(REQUIRED)?;
                return Picture::parse(url, detail.as_deref()).map(Part::Picture);
            }
            "file" if takes_files => {
                let FileData { filename, file_data } = *self.file.ok_or(REQUIRED)?;
                let file = TextFile::parse(filename, &file_data.ok_or(NO_FILES)?)?;
                Some(file.to_string())
            }
            _ => None,
        };
        text.map(Part::Text).ok_or_else(|| KINDS.into())
    }
}

impl CallOfTool {
    fn call(self) -> Result<ToolCall, Invalid> {
        let Self { id, kind, function, custom } = self;
        match (kind.as_str(), function, custom) {
            ("function", Some(function), _) => function.call(id),
            ("custom", _, Some(custom)) => {
                let CalledCustomTool { name, input } = *custom;
                CalledFunction { name, arguments: arguments_of(&input) }.call(id)
            }
            _ => Err("Only functions and custom tools can be called.".into()),
        }
    }
}

impl CalledFunction {
    /// # Errors
    /// Returns an error if the name is invalid, because no provider would accept it.
    fn call(self, id: String) -> Result<ToolCall, Invalid> {
        let Self { name, arguments } = self;
        Ok(ToolCall { id, name: checked_name(name)?, arguments })
    }
}
