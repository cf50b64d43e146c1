//! A model's reasoning in a completion, and in the messages that a client sends back: as a string
//! in `reasoning_content`, and as OpenRouter's `reasoning_details`, which also contain signatures
//! ([reference](https://openrouter.ai/docs/use-cases/reasoning-tokens)).

use std::mem;

use serde::{Deserialize, Deserializer, Serialize};
use shared::values::{AnswerBlock, BlockKind, BlockMark, Chat, Part, Reasoning, Turn};
use utoipa::ToSchema;

use crate::asking::json::at_most;

/// The maximum number of parts of the reasoning in a message of a request.
pub(super) const DETAILS: usize = 256;

/// The order of an answer's blocks up to here: `r` for a part of the reasoning, `c` for a call, and a
/// number for this many bytes of the text. Each part of the reasoning carries the order before it,
/// because a message has separate fields for its blocks.
#[derive(Default)]
pub(super) struct Order {
    word: String,
    /// The bytes of the text that aren't in the word yet.
    bytes: usize,
}

impl Order {
    pub(super) fn add_text(&mut self, text: &str) {
        self.bytes += text.len();
    }

    pub(super) fn add_call(&mut self) {
        self.end_text();
        self.word.push('c');
    }

    /// Adds a part of the reasoning. Returns the order before the part, unless only reasoning
    /// precedes it.
    pub(super) fn add_reasoning(&mut self) -> Option<String> {
        self.end_text();
        let before = self.word.clone();
        self.word.push('r');
        Some(before).filter(|word| word.contains(|letter| letter != 'r'))
    }

    fn end_text(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes > 0 {
            self.word.push_str(&bytes.to_string());
        }
    }
}

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
    /// The order of the blocks before the part: `r` for a part of the reasoning, `c` for a call, and
    /// a number for this many bytes of the text. Missing if only reasoning precedes the part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("r27c"))]
    id: Option<String>,
}

impl<'a> ReasoningDetail<'a> {
    /// Returns all parts. If the provider has neither signed nor encrypted a part, the list is
    /// empty, because `reasoning_content` contains the whole reasoning then.
    pub(super) fn all(chat: &'a Chat) -> Vec<Self> {
        let is_opaque = |part: &Reasoning| part.signature.is_some() || part.encrypted.is_some();
        if !chat.reasoning.iter().any(is_opaque) {
            return Vec::new();
        }
        let (mut details, mut order) = (Vec::new(), Order::default());
        for block in chat.in_blocks(true) {
            match block {
                AnswerBlock::Reasoning(part) => {
                    details.push(Self::of(details.len(), part, &mut order));
                }
                AnswerBlock::Text(text) => order.add_text(text),
                AnswerBlock::Call(..) => order.add_call(),
            }
        }
        details
    }

    /// Returns the part with this index, and adds it to the order.
    pub(super) fn of(index: usize, part: &'a Reasoning, order: &mut Order) -> Self {
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
            id: order.add_reasoning(),
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
    /// The order of the blocks before the part, as in an answer.
    id: Option<String>,
}

/// Reads a list of parts, or null.
pub(super) fn details_or_null<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<PromptReasoning>>, D::Error> {
    at_most(json, DETAILS, "parts")
}

impl PromptReasoning {
    fn read(self) -> Option<(Reasoning, Option<String>)> {
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
    let (parts, orders): (Vec<Reasoning>, Vec<Option<String>>) = details.unzip();
    turn.reasoning = parts;
    let text = text.filter(|text| !text.is_empty() && turn.reasoning.is_empty());
    turn.reasoning.extend(text.map(|text| Reasoning { text, ..Reasoning::default() }));
    if !turn.order.is_empty() {
        // The client has set cache breakpoints, which have an order of their own.
        let reasoning = BlockMark { kind: BlockKind::Reasoning, cache: None };
        turn.order.splice(0..0, vec![reasoning; turn.reasoning.len()]);
    } else if let Some((index, word)) = last_order(&orders)
        && let Some((content, order)) = ordered(turn, index, word)
    {
        (turn.content, turn.order) = (content, order);
    }
}

/// Returns the last of the orders, and the index of the part that carries it.
fn last_order(orders: &[Option<String>]) -> Option<(usize, &str)> {
    orders.iter().enumerate().rev().find_map(|(index, word)| Some((index, word.as_deref()?)))
}

/// Returns the turn's content and the order of its blocks, given the order before the part of the
/// reasoning with this index. `None` if the client has changed the text, the calls or the reasoning,
/// so that the order no longer fits. All other blocks follow in the usual order.
fn ordered(turn: &Turn, index: usize, word: &str) -> Option<(Vec<Part>, Vec<BlockMark>)> {
    let mut text = match turn.content.as_slice() {
        [] => "",
        [Part::Text(text)] => text,
        _ => return None,
    };
    let (mut content, mut order, mut rest) = (Vec::new(), Vec::new(), word);
    while let Some(letter) = rest.chars().next() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (first, after) = rest.split_at_checked(digits.max(1))?;
        order.push(match letter {
            'r' => BlockKind::Reasoning,
            'c' => BlockKind::Call,
            _ => {
                let (piece, later) = text.split_at_checked(first.parse().ok()?)?;
                content.push(Part::Text(piece.to_owned()));
                text = later;
                BlockKind::Content
            }
        });
        rest = after;
    }
    let count = |kind| order.iter().filter(|found| **found == kind).count();
    if count(BlockKind::Reasoning) != index || count(BlockKind::Call) > turn.calls.len() {
        return None;
    }
    if !text.is_empty() {
        content.push(Part::Text(text.to_owned()));
    }
    // The part itself precedes the rest of the text.
    order.push(BlockKind::Reasoning);
    Some((content, order.into_iter().map(|kind| BlockMark { kind, cache: None }).collect()))
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
        let (content, order) = ordered(&turn, index, word)?;
        let texts = content.iter().filter_map(|part| part.as_text().map(str::to_owned));
        Some((texts.collect(), order.into_iter().map(|mark| mark.kind).collect()))
    }

    #[test]
    fn reasoning_returns_to_its_place() {
        use BlockKind::{Call, Content, Reasoning};
        let mut order = Order::default();
        assert_eq!(order.add_reasoning(), None);
        order.add_text("F");
        order.add_text("ør.");
        order.add_call();
        order.add_text("Mellem.");
        assert_eq!(order.add_reasoning().as_deref(), Some("r5c7"));
        let texts = ["Før.", "Mellem.", "Efter."].map(str::to_owned).to_vec();
        let expected = (texts, vec![Reasoning, Content, Call, Content, Reasoning]);
        assert_eq!(read("Før.Mellem.Efter.", 1, "r5c7"), Some(expected));
    }

    #[test]
    fn orders_that_do_not_fit_are_ignored() {
        for (index, word) in [
            (1, "5"),
            (0, "r5"),
            (0, "2"),
            (0, "99"),
            (0, "ccc"),
            (0, "rs_1"),
            (0, "5é"),
            (0, "9".repeat(99).as_str()),
        ] {
            assert_eq!(read("Før.Mellem.", index, word), None, "{index} {word}");
        }
    }
}
