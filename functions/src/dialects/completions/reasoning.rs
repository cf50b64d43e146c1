//! A model's reasoning in a completion, and in the messages that a client sends back: as a string
//! in `reasoning_content`, and as OpenRouter's `reasoning_details`, which also contain signatures
//! ([reference](https://openrouter.ai/docs/use-cases/reasoning-tokens)).

use serde::{Deserialize, Deserializer, Serialize};
use shared::values::{
    AnswerBlock, AnswerMark, BlockKind, BlockMark, BlockOrder, Chat, Part, Reasoning, Turn,
};
use utoipa::ToSchema;

use crate::dialects::programs::json::at_most;

/// The maximum number of parts of the reasoning in a message of a request.
pub(super) const DETAILS: usize = 256;

/// A part of the model's reasoning. A client sends the parts back unchanged with the message,
/// because some models continue a series of function calls only with their earlier reasoning.
#[derive(Serialize, ToSchema)]
pub(super) struct ReasoningDetail<'a> {
    /// `reasoning.text`, or `reasoning.encrypted` for a part that only the provider can read.
    #[schema(pattern = r"^reasoning\.(text|encrypted)$", examples("reasoning.text"))]
    r#type: &'static str,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("The user greets me."))]
    text: Option<&'a str>,
    /// The provider's proof that the text is the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("EqQBCgIYAhIM"))]
    signature: Option<&'a str>,
    /// The part in the provider's own form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("EmwKAhgBEgy3"))]
    data: Option<&'a str>,
    /// The form of `signature` and `data`. `unknown` if there are neither.
    #[schema(pattern = "^(anthropic-claude-v1|unknown)$", examples("anthropic-claude-v1"))]
    format: &'static str,
    /// The index of the part.
    #[schema(examples(0))]
    index: usize,
    /// The order of the blocks up to the part: `r` for a part of the reasoning, `c` for a call, and
    /// a number for this many bytes of the text. Missing if only reasoning precedes the part.
    /// A message has a field for each kind of block, so nothing else shows their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, examples("r27cr"))]
    id: Option<BlockOrder>,
}

impl<'a> ReasoningDetail<'a> {
    /// Returns all parts. If the provider has neither signed nor encrypted a part, the list is
    /// empty, because `reasoning_content` contains the whole reasoning then.
    pub(super) fn all(chat: &'a Chat) -> Vec<Self> {
        let is_opaque = |part: &Reasoning| part.signature.is_some() || part.encrypted.is_some();
        if !chat.reasoning.iter().any(is_opaque) {
            return Vec::new();
        }
        let (mut details, mut marks) = (Vec::new(), Vec::new());
        for block in chat.in_blocks(true) {
            match block {
                AnswerBlock::Reasoning(part) => {
                    details.push(Self::of(details.len(), part, &mut marks));
                }
                AnswerBlock::Text(text) => AnswerMark::Text(text.len()).push(&mut marks),
                AnswerBlock::Call(..) => AnswerMark::Call.push(&mut marks),
            }
        }
        details
    }

    /// Returns the part with this index, and adds it to the marks of the answer's blocks.
    pub(super) fn of(index: usize, part: &'a Reasoning, marks: &mut Vec<AnswerMark>) -> Self {
        AnswerMark::Reasoning.push(marks);
        let Reasoning { text, signature, encrypted } = part;
        let (signature, data) = (signature.as_deref(), encrypted.as_deref());
        let is_text = data.is_none();
        let is_opaque = signature.is_some() || data.is_some();
        Self {
            r#type: if is_text { "reasoning.text" } else { "reasoning.encrypted" },
            text: is_text.then_some(text.as_str()),
            signature,
            data,
            // Only Anthropic's models sign or encrypt their reasoning.
            format: if is_opaque { "anthropic-claude-v1" } else { "unknown" },
            index,
            id: BlockOrder::of(marks),
        }
    }
}

/// A part of the reasoning in a message of a request.
#[derive(Deserialize, ToSchema)]
pub(super) struct PromptReasoning {
    /// `reasoning.text`, `reasoning.summary` or `reasoning.encrypted`. Parts of other types are
    /// ignored.
    #[serde(rename = "type")]
    #[schema(examples("reasoning.text"))]
    kind: String,
    /// In a part of the type `reasoning.text`: the text.
    text: Option<String>,
    /// In a part of the type `reasoning.text`: the signature of the text.
    signature: Option<String>,
    /// In a part of the type `reasoning.summary`: the text.
    summary: Option<String>,
    /// In a part of the type `reasoning.encrypted`: the part in the provider's own form.
    data: Option<String>,
    /// The order of the blocks up to the part, as in an answer.
    #[schema(value_type = Option<String>)]
    id: Option<BlockOrder>,
}

/// Reads a list of parts, or null.
pub(super) fn details_or_null<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<PromptReasoning>>, D::Error> {
    at_most(json, DETAILS, "parts")
}

impl PromptReasoning {
    fn read(self) -> Option<(Reasoning, Option<BlockOrder>)> {
        let part = match self.kind.as_str() {
            "reasoning.text" => Reasoning {
                text: self.text.unwrap_or_default(),
                signature: self.signature,
                encrypted: None,
            },
            "reasoning.summary" => {
                Reasoning { text: self.summary.unwrap_or_default(), ..Reasoning::default() }
            }
            "reasoning.encrypted" => Reasoning { encrypted: self.data, ..Reasoning::default() },
            _ => return None,
        };
        Some((part, self.id)).filter(|(part, _)| *part != Reasoning::default())
    }
}

/// Adds the reasoning of an earlier answer to its turn. `details` contain the same text as `text`,
/// signatures and the order of the blocks, so they take precedence.
pub(super) fn add_reasoning(
    turn: &mut Turn,
    details: Option<Vec<PromptReasoning>>,
    text: Option<String>,
) {
    let details = details.into_iter().flatten().filter_map(PromptReasoning::read);
    let (parts, orders): (Vec<Reasoning>, Vec<Option<BlockOrder>>) = details.unzip();
    turn.reasoning = parts;
    let text = text.filter(|text| !text.is_empty() && turn.reasoning.is_empty());
    turn.reasoning.extend(text.map(|text| Reasoning { text, ..Reasoning::default() }));
    if !turn.order.is_empty() {
        // The client has set cache breakpoints, which have an order of their own.
        let reasoning = BlockMark { kind: BlockKind::Reasoning, cache: None };
        turn.order.splice(0..0, vec![reasoning; turn.reasoning.len()]);
    } else if let Some((index, order)) = last_order(&orders)
        && let Some((content, order)) = ordered(turn, index, order)
    {
        (turn.content, turn.order) = (content, order);
    }
}

/// Returns the last of the orders, and the index of the part that carries it.
fn last_order(orders: &[Option<BlockOrder>]) -> Option<(usize, &BlockOrder)> {
    orders.iter().enumerate().rev().find_map(|(index, order)| Some((index, order.as_ref()?)))
}

/// Returns the turn's content and the order of its blocks, given the order up to the part of the
/// reasoning with this index. `None` if the client has changed the text, the calls or the reasoning,
/// so that the order no longer fits. All other blocks follow in the usual order.
fn ordered(turn: &Turn, index: usize, order: &BlockOrder) -> Option<(Vec<Part>, Vec<BlockMark>)> {
    let mut text = match turn.content.as_slice() {
        [] => "",
        [Part::Text(text)] => text,
        _ => return None,
    };
    let (mut content, mut marks) = (Vec::new(), Vec::new());
    let (mut reasoning, mut calls) = (0, 0);
    for mark in order.marks() {
        let mark = mark?;
        match mark {
            AnswerMark::Reasoning => reasoning += 1,
            AnswerMark::Call => calls += 1,
            AnswerMark::Text(0) => return None,
            AnswerMark::Text(length) => {
                let (piece, later) = text.split_at_checked(length)?;
                content.push(Part::Text(piece.to_owned()));
                text = later;
            }
        }
        if reasoning > index + 1 || calls > turn.calls.len() {
            return None;
        }
        marks.push(BlockMark { kind: mark.kind(), cache: None });
    }
    let ends_with_part = marks.last().is_some_and(|mark| mark.kind == BlockKind::Reasoning);
    if !ends_with_part || reasoning != index + 1 {
        return None;
    }
    if !text.is_empty() {
        content.push(Part::Text(text.to_owned()));
    }
    Some((content, marks))
}

#[cfg(test)]
mod tests {
    use shared::values::{Speaker, ToolCall};

    use super::*;

    /// Returns the texts of an answer with this text, two calls, and a part of reasoning that carries
    /// this order, and the order of its blocks.
    fn read(text: &str, index: usize, word: &str) -> Option<(Vec<String>, Vec<BlockKind>)> {
        let calls = vec![ToolCall::default(), ToolCall::default()];
        let turn = Turn { calls, ..Turn::new(Speaker::Assistant, text) };
        let order = serde_json::from_value(word.into()).unwrap();
        let (content, marks) = ordered(&turn, index, &order)?;
        let texts = content.iter().filter_map(|part| part.as_text().map(str::to_owned));
        Some((texts.collect(), marks.into_iter().map(|mark| mark.kind).collect()))
    }

    #[test]
    fn reasoning_returns_to_its_place() {
        use BlockKind::{Call, Content, Reasoning};
        let texts = ["Før.", "Mellem.", "Efter."].map(str::to_owned).to_vec();
        let expected = (texts, vec![Reasoning, Content, Call, Content, Reasoning]);
        assert_eq!(read("Før.Mellem.Efter.", 1, "r5c7r"), Some(expected));
    }

    #[test]
    fn orders_that_do_not_fit_are_ignored() {
        for (index, word) in [
            (0, ""),
            (0, "5"),
            (1, "5r"),
            (0, "r5r"),
            (0, "2r"),
            (0, "99r"),
            (0, "cccr"),
            (0, "rs_1"),
            (0, "5ér"),
            (0, "0r"),
            (0, "9".repeat(99).as_str()),
        ] {
            assert_eq!(read("Før.Mellem.", index, word), None, "{index} {word}");
        }
    }
}
