//! The messages of a request: the conversation, with calls of functions and their results.

use serde::Deserialize;
use shared::ai::{Part, Picture, Speaker, ToolCall, Turn};
use shared::chat::Message;
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

/// The most messages of a request.
pub(super) const MESSAGES: usize = 2048;

#[derive(Deserialize, ToSchema)]
pub(super) struct PromptMessage {
    #[schema(pattern = "^(system|developer|user|assistant|tool|function)$", examples("user"))]
    role: String,
    content: Option<Content>,
    /// The functions that the assistant called. A message with the role `tool` must answer each.
    tool_calls: Option<Vec<CallOfTool>>,
    /// The id of the call whose result this message is, with the role `tool`.
    tool_call_id: Option<String>,
    /// The older form of `tool_calls`. A message with the role `function` must answer it.
    function_call: Option<CalledFunction>,
    /// The name of the function whose result this message is, with the role `function`.
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<PromptPart>),
}

/// A part of a message: `text`, `refusal`, or, in a message of the user, `image_url`.
#[derive(Deserialize, ToSchema)]
struct PromptPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
}

/// A picture.
#[derive(Deserialize, ToSchema)]
struct ImageUrl {
    /// An `https` URL, which the model's provider opens, or the data of a PNG, JPEG, GIF or WebP.
    #[schema(
        pattern = r"^(https://[A-Za-z0-9.:-]+([/?#][!-~]*)?|data:image/(png|jpe?g|gif|webp);base64,([A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2}([A-Za-z0-9+/]{2}|[A-Za-z0-9+/]=|==))$",
        examples("https://example.com/cat.png")
    )]
    url: String,
    /// How closely the model looks at it.
    detail: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CallOfTool {
    id: String,
    #[serde(rename = "type", default = "function")]
    #[schema(pattern = "^function$", examples("function"))]
    kind: String,
    function: Option<CalledFunction>,
}

fn function() -> String {
    "function".into()
}

#[derive(Deserialize, ToSchema)]
struct CalledFunction {
    name: String,
    /// The arguments, as JSON.
    arguments: String,
}

/// The conversation, if all of it is valid.
pub(super) fn turns(messages: Vec<PromptMessage>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    if messages.len() > MESSAGES {
        errors.note("messages", format!("A request has at most {MESSAGES} messages."));
        return None;
    }
    let mut open = Open::default();
    let turns = messages.into_iter().enumerate();
    let turns: Vec<Option<Turn>> =
        turns.map(|(number, message)| turn(number, message, &mut open, errors)).collect();
    open.close(errors);
    turns.into_iter().collect()
}

fn turn(
    number: usize,
    message: PromptMessage,
    open: &mut Open,
    errors: &mut FieldErrors,
) -> Option<Turn> {
    let field = |name: &str| format!("messages[{number}].{name}");
    let PromptMessage { role, content, tool_calls, tool_call_id, function_call, name } = message;
    let is_users = role == "user";
    let content = content.map_or(Ok(Vec::new()), |content| content.parts(is_users));
    let content = errors.check(&field("content"), content);
    let role = match role.as_str() {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "tool" | "function" => Speaker::Tool,
        _ => {
            let roles = "This is system, developer, user, assistant, tool or function.";
            errors.note(&field("role"), roles);
            return None;
        }
    };
    if role == Speaker::Tool {
        let (told_by, answers) = match tool_call_id {
            Some(id) => ("tool_call_id", open.answer(|call| call.id == id)),
            None => {
                let name = name.unwrap_or_default();
                ("name", open.answer(|call| call.name == name))
            }
        };
        let none = "No message of the assistant before this one makes this call.";
        let answers = errors.check(&field(told_by), answers.ok_or_else(|| none.to_owned()))?;
        return Some(Turn { role, content: content?, calls: Vec::new(), answers: Some(answers) });
    }
    open.close(errors);
    let mut turn = Turn { role, content: content?, calls: Vec::new(), answers: None };
    if role == Speaker::Assistant {
        let calls = tool_calls.unwrap_or_default().into_iter().map(CallOfTool::call);
        let older = function_call.map(|function| Ok(function.call(format!("call_{number}"))));
        let calls: Result<Vec<ToolCall>, String> = calls.chain(older).collect();
        turn.calls = errors.check(&field("tool_calls"), calls)?;
        open.begin(field("tool_calls"), &turn.calls, errors);
    }
    Some(turn)
}

/// The calls of the last message of the assistant that have no results yet.
#[derive(Default)]
struct Open {
    field: String,
    calls: Vec<ToolCall>,
}

impl Open {
    fn begin(&mut self, field: String, calls: &[ToolCall], errors: &mut FieldErrors) {
        let mut ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < calls.len() {
            errors.note(&field, "Each call has an id of its own.");
        }
        *self = Self { field, calls: calls.to_vec() };
    }

    /// The id of the first such call, which has its result now.
    fn answer(&mut self, is_it: impl Fn(&ToolCall) -> bool) -> Option<String> {
        let place = self.calls.iter().position(is_it)?;
        Some(self.calls.remove(place).id)
    }

    fn close(&mut self, errors: &mut FieldErrors) {
        if let Some(call) = self.calls.first() {
            let id: String = call.id.chars().take(100).collect();
            let sentence = format!("A message with the role tool must follow for the call {id}.");
            errors.note(&self.field, sentence);
            self.calls.clear();
        }
    }
}

/// The last message by the user, shortened to `limit` characters, and how many results of calls
/// have come since.
pub(super) fn asked(turns: &[Turn], limit: usize) -> Result<Message, String> {
    if turns.is_empty() {
        return Err(REQUIRED.into());
    }
    let place = turns.iter().rposition(|turn| turn.role == Speaker::User);
    let (before, after) = turns.split_at(place.map_or(0, |place| place + 1));
    let last = before.last().ok_or("At least one message must have the role user.")?;
    let results = after.iter().filter(|turn| turn.role == Speaker::Tool).count();
    let note = match results {
        0 => String::new(),
        results => format!("\n\n(Results of calls: {results})"),
    };
    let room = limit.saturating_sub(note.len()).max(1);
    let message = Message::shortened(last.text().into_owned(), room)?;
    Message::parse(format!("{}{note}", message.text()), limit.max(note.len() + 1))
}

impl Content {
    /// The texts, and the pictures if it is the user's. Texts without pictures are one text, which
    /// is the only form that some servers know.
    fn parts(self, is_users: bool) -> Result<Vec<Part>, String> {
        let parts = match self {
            Self::Text(text) => return Ok(vec![Part::Text(text)]),
            Self::Parts(parts) => parts,
        };
        let parts = parts.into_iter().map(|part| part.read(is_users));
        let parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
        let texts: Option<Vec<&str>> = parts.iter().map(Part::as_text).collect();
        Ok(match texts {
            Some(texts) => vec![Part::Text(texts.join("\n"))],
            None => parts,
        })
    }
}

impl PromptPart {
    fn read(self, is_users: bool) -> Result<Part, String> {
        let text = match self.kind.as_str() {
            "text" => self.text,
            "refusal" => self.refusal,
            "image_url" if is_users => {
                let ImageUrl { url, detail } = self.image_url.ok_or(REQUIRED)?;
                return Picture::parse(url, detail).map(Part::Picture);
            }
            _ => None,
        };
        let known = "Only texts are supported, and pictures in messages of the user.";
        text.map(Part::Text).ok_or_else(|| known.to_owned())
    }
}

impl CallOfTool {
    fn call(self) -> Result<ToolCall, String> {
        match self.function {
            Some(function) if self.kind == "function" => Ok(function.call(self.id)),
            _ => Err("Only functions can be called.".into()),
        }
    }
}

impl CalledFunction {
    fn call(self, id: String) -> ToolCall {
        ToolCall { id, name: self.name, arguments: self.arguments }
    }
}
