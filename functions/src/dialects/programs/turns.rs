//! The conversation in a request, with function calls and their results.

use std::collections::{HashMap, HashSet, VecDeque};

use shared::error::{FieldErrors, REQUIRED};
use shared::values::{Invalid, Message, Part, Speaker, ToolCall, Turn};

/// The maximum number of parts in a message.
pub(crate) const PARTS: usize = 2048;

/// The rule for the kinds of parts, for error messages.
pub(crate) const KINDS: &str = "Only texts are supported, and pictures and text files in messages of the user and in results of calls.";

/// The error message for a file without `file_data`.
pub(crate) const NO_FILES: &str =
    "This API stores no files and opens no links to them. Send the `file_data`.";

/// Joins a message's parts. If all parts are text, they become one string, because some providers
/// only accept a string.
pub(crate) fn joined(parts: Vec<Part>) -> Vec<Part> {
    let texts: Option<Vec<&str>> = parts.iter().map(Part::as_text).collect();
    match texts {
        Some(texts) => vec![Part::Text(texts.join("\n"))],
        None => parts,
    }
}

/// The calls in the assistant's last turn that don't have results yet.
pub(crate) struct OpenCalls {
    /// Creates the error message for a call without a result. The parameter is the call's id.
    unanswered: fn(&str) -> String,
    /// All calls in the assistant's last turn, in order.
    calls: Vec<OpenCall>,
    /// The ids of the calls without results.
    ids: HashSet<String>,
    /// The ids of the calls with results.
    answered: HashSet<String>,
    /// For each function, the indices of its calls in `calls`. `answer_named` removes the indices
    /// of calls that have results.
    of_function: HashMap<String, VecDeque<usize>>,
}

struct OpenCall {
    field: String,
    id: String,
}

impl OpenCalls {
    pub(crate) fn new(unanswered: fn(&str) -> String) -> Self {
        let (calls, of_function) = (Vec::new(), HashMap::new());
        Self { unanswered, calls, ids: HashSet::new(), answered: HashSet::new(), of_function }
    }

    /// Adds the call in this request field. Returns false if another call uses the same id.
    pub(crate) fn add(&mut self, field: &str, call: &ToolCall, errors: &mut FieldErrors) -> bool {
        let is_new = self.ids.insert(call.id.clone());
        if is_new {
            self.of_function.entry(call.name.clone()).or_default().push_back(self.calls.len());
            self.calls.push(OpenCall { field: field.to_owned(), id: call.id.clone() });
        } else {
            errors.note(field, "Each call must have its own id.");
        }
        is_new
    }

    /// Marks a call as answered. Returns the call's id, or `None` if there is no open call with
    /// this id.
    pub(crate) fn answer(&mut self, id: &str) -> Option<String> {
        let id = self.ids.take(id)?;
        self.answered.insert(id.clone());
        Some(id)
    }

    /// Returns true if the call with this id already has a result.
    pub(crate) fn is_answered(&self, id: &str) -> bool {
        self.answered.contains(id)
    }

    /// Marks the first open call of this function as answered. Returns the call's id.
    pub(crate) fn answer_named(&mut self, name: &str) -> Option<String> {
        let places = self.of_function.get_mut(name)?;
        while let Some(place) = places.pop_front() {
            if let Some(id) = self.calls.get(place).and_then(|call| self.ids.take(&call.id)) {
                self.answered.insert(id.clone());
                return Some(id);
            }
        }
        None
    }

    /// Ends the turn. Each call without a result becomes an error.
    pub(crate) fn close(&mut self, errors: &mut FieldErrors) {
        if let Some(call) = self.calls.iter().find(|call| self.ids.contains(&call.id)) {
            let id: String = call.id.chars().take(100).collect();
            errors.note(&call.field, (self.unanswered)(&id));
        }
        self.calls.clear();
        self.ids.clear();
        self.answered.clear();
        self.of_function.clear();
    }
}

/// Returns the user's last message, shortened to `limit` characters, and the number of call results
/// that follow it. Passes over a blank message after results, because agents send it, and couldn't
/// continue if it were refused.
pub(crate) fn asked(turns: &[Turn], limit: usize) -> Result<Message, Invalid> {
    if turns.is_empty() {
        return Err(REQUIRED.into());
    }
    let follows_result = |place: usize| {
        let before = place.checked_sub(1).and_then(|before| turns.get(before));
        before.is_some_and(|turn| turn.role == Speaker::Tool)
    };
    let is_asked = |(place, turn): &(usize, &Turn)| {
        turn.role == Speaker::User && !(turn.is_blank() && follows_result(*place))
    };
    let place = turns.iter().enumerate().rfind(is_asked).map(|(place, _)| place);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns open calls to these functions. The calls' ids are 0, 1 and so on.
    fn calls(functions: &[&str]) -> OpenCalls {
        let (mut open, mut errors) = (OpenCalls::new(str::to_owned), FieldErrors::default());
        for (number, name) in functions.iter().enumerate() {
            let (id, name, arguments) = (number.to_string(), (*name).to_owned(), String::new());
            assert!(open.add("field", &ToolCall { id, name, arguments }, &mut errors));
        }
        open
    }

    #[test]
    fn results_answer_calls_by_id_or_function() {
        let mut open = calls(&["f", "g", "f", "f"]);
        assert_eq!(open.answer("2").as_deref(), Some("2"));
        for (function, id) in
            [("f", Some("0")), ("f", Some("3")), ("f", None), ("h", None), ("g", Some("1"))]
        {
            assert_eq!(open.answer_named(function).as_deref(), id);
        }
        assert_eq!(["2", "0", "4"].map(|id| open.is_answered(id)), [true, true, false]);
        let mut errors = FieldErrors::default();
        open.close(&mut errors);
        assert!(errors.is_empty());
    }

    #[test]
    fn a_turn_ends_with_a_result_for_each_call() {
        let (mut open, mut errors) = (calls(&["f", "f", "f"]), FieldErrors::default());
        open.answer("0");
        open.close(&mut errors);
        assert_eq!(errors.first(), Some(("field", "field: 1".into())));
        assert_eq!((open.answer("1"), open.answer_named("f")), (None, None), "it has ended");
        assert!(!open.is_answered("0"));
    }
}
