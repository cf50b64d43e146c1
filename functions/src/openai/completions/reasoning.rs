//! A model's reasoning in a completion, and in the messages that a client sends back: as a string
//! in `reasoning_content`, and as OpenRouter's `reasoning_details`, which also contain signatures
//! ([reference](https://openrouter.ai/docs/use-cases/reasoning-tokens)).

use serde::{Deserialize, Deserializer, Serialize};
use shared::values::Reasoning;
use utoipa::ToSchema;

use crate::asking::json::at_most;

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
}

impl<'a> ReasoningDetail<'a> {
    /// Returns all parts. If the provider has neither signed nor encrypted a part, the list is
    /// empty, because `reasoning_content` contains the whole reasoning then.
    pub(super) fn all(parts: &'a [Reasoning]) -> Vec<Self> {
        if parts.iter().all(|part| part.signature.is_none() && part.encrypted.is_none()) {
            return Vec::new();
        }
        parts.iter().enumerate().map(|(index, part)| Self::of(index, part)).collect()
    }

    /// Returns the part with this index.
    pub(super) fn of(index: usize, part: &'a Reasoning) -> Self {
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
}

/// Reads a list of parts, or null.
pub(super) fn details_or_null<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<PromptReasoning>>, D::Error> {
    at_most(json, DETAILS, "parts")
}

impl PromptReasoning {
    fn read(self) -> Option<Reasoning> {
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
        Some(part).filter(|part| *part != Reasoning::default())
    }
}

/// Returns the reasoning of an earlier answer. `details` contain the same text as `text`, and
/// signatures, so they take precedence.
pub(super) fn read_reasoning(
    details: Option<Vec<PromptReasoning>>,
    text: Option<String>,
) -> Vec<Reasoning> {
    let details = details.into_iter().flatten().filter_map(PromptReasoning::read);
    let details: Vec<Reasoning> = details.collect();
    let text = text.filter(|text| !text.is_empty() && details.is_empty());
    let text = text.map(|text| Reasoning { text, ..Reasoning::default() });
    details.into_iter().chain(text).collect()
}
