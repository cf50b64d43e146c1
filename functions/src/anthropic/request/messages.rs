//! The messages in a request: the conversation, with function calls and their results.

use serde::Deserialize;
use shared::error::{FieldErrors, REQUIRED};
use shared::values::{Invalid, Part, Reasoning, Speaker, Turn};
use utoipa::ToSchema;

use super::blocks::{Block, Content, ResultBlock};
use crate::asking::turns::{OpenCalls, append, joined};

/// The content of a failed call whose result is empty, because some providers can't be told
/// otherwise that it failed.
const FAILED: &str = "The call failed.";

#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicInputMessage)]
pub(super) struct InputMessage {
    #[schema(pattern = "^(user|assistant|system)$", examples("user"))]
    role: String,
    content: Option<Content>,
}

/// Returns the conversation if all messages are valid.
pub(super) fn turns(
    system: Option<Content>,
    messages: Vec<InputMessage>,
    errors: &mut FieldErrors,
) -> Option<Vec<Turn>> {
    let mut history = History { turns: Vec::new(), open: OpenCalls::new(unanswered) };
    let mut is_valid = true;
    if let Some(system) = system {
        is_valid &= history.instruct("system", system, errors).is_some();
    }
    for (number, message) in messages.into_iter().enumerate() {
        is_valid &= history.add(&format!("messages[{number}]"), message, errors).is_some();
    }
    history.open.close(errors);
    is_valid.then_some(history.turns)
}

/// Returns the error message for a call without a result, which begins as Anthropic's.
fn unanswered(id: &str) -> String {
    format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each `tool_use` block must have a corresponding `tool_result` block at the beginning of the next message."
    )
}

/// Returns the error message for a result without a call, which begins as Anthropic's.
fn unexpected(id: &str) -> String {
    let id: String = id.chars().take(100).collect();
    format!(
        "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message, and precede the other blocks of its message."
    )
}

/// The turns of the conversation, built message by message.
struct History {
    turns: Vec<Turn>,
    open: OpenCalls,
}

impl History {
    /// Adds a message. Returns `None` if the message is invalid.
    fn add(&mut self, field: &str, message: InputMessage, errors: &mut FieldErrors) -> Option<()> {
        let InputMessage { role, content } = message;
        let of_content = format!("{field}.content");
        let content = errors.check(&of_content, content.ok_or(REQUIRED))?;
        match role.as_str() {
            "system" => self.instruct(&of_content, content, errors),
            "user" => self.add_users(&of_content, content.blocks(), errors),
            "assistant" => self.add_assistants(&of_content, content.blocks(), errors),
            _ => {
                errors.note(&format!("{field}.role"), "This must be user, assistant or system.");
                None
            }
        }
    }

    /// Adds instructions, which contain only text.
    fn instruct(&mut self, field: &str, content: Content, errors: &mut FieldErrors) -> Option<()> {
        self.open.close(errors);
        let blocks = content.blocks().into_iter();
        let parts: Result<Vec<Part>, Invalid> =
            blocks.map(|block| block.text().map(Part::Text)).collect();
        let parts = errors.check(field, parts)?;
        self.turns.push(Turn::of(Speaker::System, joined(parts)));
        Some(())
    }

    /// Adds a user's message. It begins with the results of calls, which become turns of their own.
    fn add_users(
        &mut self,
        field: &str,
        blocks: Vec<Block>,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let mut parts = Vec::new();
        let mut is_valid = true;
        let has_results = blocks.iter().any(|block| matches!(block, Block::Result(_)));
        for (number, block) in blocks.into_iter().enumerate() {
            let field = format!("{field}[{number}]");
            match block {
                Block::Result(result) => {
                    is_valid &= self.add_result(&field, *result, errors).is_some();
                }
                other => {
                    self.open.close(errors);
                    let added = errors.check(&field, other.parts());
                    is_valid &= added.is_some();
                    parts.extend(added.into_iter().flatten());
                }
            }
        }
        if !has_results || !parts.is_empty() {
            self.open.close(errors);
            self.turns.push(Turn::of(Speaker::User, joined(parts)));
        }
        is_valid.then_some(())
    }

    /// Adds the result of a call.
    fn add_result(
        &mut self,
        field: &str,
        result: ResultBlock,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let ResultBlock { tool_use_id, content, has_failed } = result;
        let id = tool_use_id.unwrap_or_default();
        let answers = self.open.answer(&id).ok_or_else(|| unexpected(&id));
        let answers = errors.check(&format!("{field}.tool_use_id"), answers)?;
        let blocks = content.map(Content::blocks).unwrap_or_default().into_iter();
        let parts: Result<Vec<Vec<Part>>, Invalid> = blocks.map(Block::parts).collect();
        let parts = errors.check(&format!("{field}.content"), parts)?;
        let content = joined(parts.into_iter().flatten().collect());
        let mut turn = Turn::of(Speaker::Tool, content);
        if has_failed && turn.text().trim().is_empty() {
            turn.content = vec![Part::Text(FAILED.into())];
        }
        self.turns.push(Turn { answers: Some(answers), has_failed, ..turn });
        Some(())
    }

    /// Adds a message of the assistant. Consecutive messages become one turn.
    fn add_assistants(
        &mut self,
        field: &str,
        blocks: Vec<Block>,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let mut turn = match self.turns.pop() {
            Some(turn) if turn.role == Speaker::Assistant => turn,
            other => {
                self.turns.extend(other);
                self.open.close(errors);
                Turn::of(Speaker::Assistant, Vec::new())
            }
        };
        let mut parts = Vec::new();
        let mut is_valid = true;
        for (number, block) in blocks.into_iter().enumerate() {
            let field = format!("{field}[{number}]");
            match block {
                Block::Thinking(thinking) => turn.reasoning.push(thinking.read()),
                Block::Redacted(data) => {
                    turn.reasoning.push(Reasoning { encrypted: data, ..Reasoning::default() });
                }
                Block::Call(call) => match errors.check(&field, call.read()) {
                    Some(call) => {
                        is_valid &= self.open.add(&format!("{field}.id"), &call, errors);
                        turn.calls.push(call);
                    }
                    None => is_valid = false,
                },
                other => {
                    let text = errors.check(&field, other.text());
                    is_valid &= text.is_some();
                    parts.extend(text.map(Part::Text));
                }
            }
        }
        if !parts.is_empty() {
            append(&mut turn.content, parts);
        }
        self.turns.push(turn);
        is_valid.then_some(())
    }
}
