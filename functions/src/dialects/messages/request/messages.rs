//! The messages in a request: the conversation, with function calls and their results.

use serde::Deserialize;
use shared::error::{FieldErrors, REQUIRED};
use shared::values::call_id::decoded;
use shared::values::{BlockKind, BlockMark, CacheTtl, Part, Reasoning, Speaker, Turn};
use utoipa::ToSchema;

use super::blocks::{Block, Content, InputBlock, ResultBlock};
use crate::dialects::programs::turns::{OpenCalls, joined};

#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicInputMessage)]
pub(super) struct InputMessage {
    #[schema(pattern = "^(user|assistant|system)$", examples("user"))]
    role: String,
    content: Option<Content>,
    /// In a `system` message: `next_user_message` if the model gets the message only until the
    /// user's next message.
    clear_at: Option<String>,
}

impl InputMessage {
    /// Returns true if the answer should cite a part of the message.
    pub(super) fn cites(&self) -> bool {
        self.content.as_ref().is_some_and(Content::cites)
    }

    /// Returns true if the model no longer gets the message after the user's next message.
    fn is_cleared(&self) -> bool {
        self.role == "system" && self.clear_at.as_deref() == Some("next_user_message")
    }
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
    let last_of_user = messages.iter().rposition(|message| message.role == "user");
    for (number, message) in messages.into_iter().enumerate() {
        if message.is_cleared() && last_of_user > Some(number) {
            continue;
        }
        is_valid &= history.add(&format!("messages[{number}]"), message, errors).is_some();
    }
    history.open.close(errors);
    is_valid.then_some(history.turns)
}

/// Returns the error message for a call without a result, which begins as Anthropic's.
fn unanswered(id: &str) -> String {
    format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each \
         `tool_use` block must have a corresponding `tool_result` block at the beginning of the \
         next message."
    )
}

/// Returns the error message for a second result of a call, which begins as Anthropic's.
fn doubled(id: &str) -> String {
    let id: String = id.chars().take(100).collect();
    format!(
        "each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}. Omit all but one."
    )
}

/// Returns the error message for a result without a call, which begins as Anthropic's.
fn unexpected(id: &str) -> String {
    let id: String = id.chars().take(100).collect();
    format!(
        "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block \
         must have a corresponding `tool_use` block in the previous message, and precede the other \
         blocks of its message."
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
        let InputMessage { role, content, .. } = message;
        // A message without content only sets options.
        if role == "system" && content.is_none() {
            return Some(());
        }
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
        let mut marked = MarkedContent::default();
        for InputBlock { block, cache } in content.blocks() {
            marked.add(Part::Text(errors.check(field, block.text())?), cache);
        }
        self.turns.push(marked.turn(Speaker::System));
        Some(())
    }

    /// Adds a user's message. It begins with the results of calls, which become turns of their own.
    fn add_users(
        &mut self,
        field: &str,
        blocks: Vec<InputBlock>,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let mut content = MarkedContent::default();
        let mut is_valid = true;
        let has_results =
            blocks.iter().any(|InputBlock { block, .. }| matches!(block, Block::Result(_)));
        for (number, InputBlock { block, cache }) in blocks.into_iter().enumerate() {
            let field = format!("{field}[{number}]");
            match block {
                Block::Result(result) => {
                    is_valid &= self.add_result(&field, *result, cache, errors).is_some();
                }
                other => {
                    self.open.close(errors);
                    let parts = errors.check(&field, other.parts());
                    is_valid &= parts.is_some();
                    content.add_all(parts.unwrap_or_default(), cache);
                }
            }
        }
        // Agents send a blank text beside results, and couldn't continue if it were refused.
        if !has_results || !content.is_blank() {
            self.open.close(errors);
            self.turns.push(content.turn(Speaker::User));
        }
        is_valid.then_some(())
    }

    /// Adds the result of a call. A cache breakpoint inside the result moves to the result's end.
    fn add_result(
        &mut self,
        field: &str,
        result: ResultBlock,
        mut cache: Option<CacheTtl>,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let ResultBlock { tool_use_id, content, has_failed } = result;
        let id = tool_use_id.unwrap_or_default();
        let call = decoded(&id);
        let answers = self.open.answer(&call).ok_or_else(|| match self.open.is_answered(&call) {
            true => doubled(&id),
            false => unexpected(&id),
        });
        let answers = errors.check(&format!("{field}.tool_use_id"), answers)?;
        let mut parts = Vec::new();
        for InputBlock { block, cache: inside } in content.map(Content::blocks).unwrap_or_default()
        {
            parts.extend(errors.check(&format!("{field}.content"), block.parts())?);
            cache = cache.or(inside);
        }
        let order = cache.map(|_| BlockMark { kind: BlockKind::Content, cache });
        let order = order.into_iter().collect();
        let turn = Turn::with_content(Speaker::Tool, joined(parts));
        self.turns.push(Turn { answers: Some(answers), has_failed, order, ..turn });
        Some(())
    }

    /// Adds a message of the assistant. Consecutive messages become one turn. The turn keeps the
    /// order of its blocks.
    fn add_assistants(
        &mut self,
        field: &str,
        blocks: Vec<InputBlock>,
        errors: &mut FieldErrors,
    ) -> Option<()> {
        let mut turn = match self.turns.pop() {
            Some(turn) if turn.role == Speaker::Assistant => turn,
            other => {
                self.turns.extend(other);
                self.open.close(errors);
                Turn::with_content(Speaker::Assistant, Vec::new())
            }
        };
        let mut is_valid = true;
        for (number, InputBlock { block, cache }) in blocks.into_iter().enumerate() {
            let field = format!("{field}[{number}]");
            let kind = match block {
                Block::Thinking(thinking) => {
                    turn.reasoning.push(thinking.read());
                    BlockKind::Reasoning
                }
                Block::Redacted(encrypted) => {
                    turn.reasoning.push(Reasoning { encrypted, ..Reasoning::default() });
                    BlockKind::Reasoning
                }
                Block::Call(call) => {
                    let call = errors.check(&field, call.read());
                    let open = |call| self.open.add(&format!("{field}.id"), call, errors);
                    is_valid &= call.as_ref().is_some_and(open);
                    turn.calls.extend(call);
                    BlockKind::Call
                }
                other => {
                    let text = errors.check(&field, other.text());
                    is_valid &= text.is_some();
                    turn.content.extend(text.map(Part::Text));
                    BlockKind::Content
                }
            };
            // A breakpoint can't follow reasoning.
            let cache = cache.filter(|_| kind != BlockKind::Reasoning);
            turn.order.push(BlockMark { kind, cache });
        }
        self.turns.push(turn);
        is_valid.then_some(())
    }
}

/// The content of a turn, with its cache breakpoints. Each text stays a block of its own, so that
/// the provider finds the same prompt in its cache again, wherever the breakpoints are.
#[derive(Default)]
struct MarkedContent {
    parts: Vec<Part>,
    order: Vec<BlockMark>,
}

impl MarkedContent {
    fn add(&mut self, part: Part, cache: Option<CacheTtl>) {
        self.parts.push(part);
        self.order.push(BlockMark { kind: BlockKind::Content, cache });
    }

    /// Adds the parts of one block. Its cache breakpoint comes after the last one.
    fn add_all(&mut self, parts: Vec<Part>, cache: Option<CacheTtl>) {
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.into_iter().enumerate() {
            self.add(part, cache.filter(|_| index == last));
        }
    }

    fn is_blank(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(text) if text.trim().is_empty()))
    }

    fn turn(self, role: Speaker) -> Turn {
        let Self { parts, mut order } = self;
        if order.iter().all(|mark| mark.cache.is_none()) {
            order = Vec::new();
        }
        Turn { order, ..Turn::with_content(role, parts) }
    }
}
