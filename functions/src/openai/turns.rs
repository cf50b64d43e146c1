//! The conversation of a request, with calls of functions and their results.

use std::collections::HashSet;

use shared::ai::{Part, Speaker, ToolCall, Turn};
use shared::chat::Message;
use shared::error::{FieldErrors, REQUIRED};

/// What a message may have.
pub(crate) const PARTS: &str = "Only texts are supported, and pictures in messages of the user.";

/// The parts of a message. Texts without pictures are one text, which is the only form that some
/// servers know.
pub(crate) fn joined(parts: Vec<Part>) -> Vec<Part> {
    let texts: Option<Vec<&str>> = parts.iter().map(Part::as_text).collect();
    match texts {
        Some(texts) => vec![Part::Text(texts.join("\n"))],
        None => parts,
    }
}

/// The calls of the assistant's last turn that have no results yet.
pub(crate) struct Open {
    /// What is said of a call with this id that gets no result.
    unanswered: fn(&str) -> String,
    /// All calls of that turn, in their order.
    calls: Vec<OpenCall>,
    /// The ids of those without a result.
    ids: HashSet<String>,
}

struct OpenCall {
    field: String,
    id: String,
    name: String,
}

impl Open {
    pub(crate) fn new(unanswered: fn(&str) -> String) -> Self {
        Self { unanswered, calls: Vec::new(), ids: HashSet::new() }
    }

    /// Adds a call that this field makes. Returns whether no other call has its id.
    pub(crate) fn add(&mut self, field: &str, call: &ToolCall, errors: &mut FieldErrors) -> bool {
        let is_new = self.ids.insert(call.id.clone());
        if is_new {
            let (id, name) = (call.id.clone(), call.name.clone());
            self.calls.push(OpenCall { field: field.to_owned(), id, name });
        } else {
            errors.note(field, "Each call has an id of its own.");
        }
        is_new
    }

    /// The id, if a call with it had no result until now.
    pub(crate) fn answer(&mut self, id: &str) -> Option<String> {
        self.ids.take(id)
    }

    /// The id of the first call of this function that had no result until now.
    pub(crate) fn answer_named(&mut self, name: &str) -> Option<String> {
        let is_open = |call: &&OpenCall| call.name == name && self.ids.contains(&call.id);
        let id = self.calls.iter().find(is_open)?.id.clone();
        self.ids.take(&id)
    }

    /// Ends the turn: each of its calls must have a result.
    pub(crate) fn close(&mut self, errors: &mut FieldErrors) {
        if let Some(call) = self.calls.iter().find(|call| self.ids.contains(&call.id)) {
            let id: String = call.id.chars().take(100).collect();
            errors.note(&call.field, (self.unanswered)(&id));
        }
        self.calls.clear();
        self.ids.clear();
    }
}

/// The last message by the user, shortened to `limit` characters, and how many results of calls
/// have come since.
pub(crate) fn asked(turns: &[Turn], limit: usize) -> Result<Message, String> {
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
