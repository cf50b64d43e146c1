//! The ratio between the model tokens that a model's tokenizer counts in a text, and those of the
//! public tokenizers that [`TokenEstimate`](super::TokenEstimate) was fitted to.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// The factors by which a model's tokenizer exceeds the high estimate of [`TokenEstimate`]. They
/// only affect holds, never charges.
///
/// [`TokenEstimate`]: super::TokenEstimate
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CountsAs {
    /// The factor for texts.
    pub text: Factor,
    /// The factor for the JSON of functions and schemas.
    pub functions: Factor,
}

/// A factor of at least 1, in hundredths.
///
/// ```
/// use shared::values::Factor;
///
/// let factor = Factor::parse(&serde_json::json!(1.35)).unwrap();
/// assert_eq!((factor.times(100), Factor::ONE.times(7)), (135, 7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(u32);

/// The beginnings of the parts of names by which models with a public tokenizer are recognized: the
/// models of `OpenAI`, Meta, Alibaba, Mistral, `DeepSeek`, Google (Gemma) and Microsoft (Phi). The
/// built-in models `echo` and `scripted` count with the estimate itself.
const PUBLIC: [&str; 19] = [
    "gpt",
    "chatgpt",
    "o1",
    "o3",
    "o4",
    "llama",
    "codellama",
    "qwen",
    "qwq",
    "mistral",
    "mixtral",
    "ministral",
    "codestral",
    "devstral",
    "deepseek",
    "gemma",
    "phi",
    "echo",
    "scripted",
];

/// The beginnings of the parts of names by which models with a secret tokenizer are recognized, even
/// if another part of the name is in [`PUBLIC`].
const SECRET: [&str; 6] = ["claude", "gemini", "nova", "titan", "grok", "palm"];

impl CountsAs {
    /// Returns the same factor for texts and functions.
    pub const fn both(factor: Factor) -> Self {
        Self { text: factor, functions: factor }
    }
}

impl Factor {
    /// The factor of models whose tokenizer is public.
    pub const ONE: Self = Self(100);

    /// The factor of all other models. Claude's newest tokenizer makes up to 1.35 times as many
    /// model tokens as the one before it
    /// ([Anthropic](https://docs.claude.com/en/docs/about-claude/models/whats-new-claude-4-7)).
    pub const SECRET: Self = Self(135);

    /// The greatest factor that a price list may set.
    pub const MAX: Self = Self(1000);

    /// Parses a number from 1 to 10 with at most two decimals.
    pub fn parse(number: &Value) -> Option<Self> {
        let number = number.as_number()?.to_string();
        let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
        let hundredths: u32 = match decimals.len() {
            0..=2 => format!("{decimals:0<2}").parse().ok()?,
            _ => return None,
        };
        let factor = Self(whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)?);
        (Self::ONE..=Self::MAX).contains(&factor).then_some(factor)
    }

    /// Returns the factor for a model by its provider's name for it, such as
    /// `us.anthropic.claude-sonnet-4-20250514-v1:0` on Bedrock, or `meta-llama/Llama-3.3-70B` from a
    /// reseller.
    pub fn of_model(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let has = |beginnings: &[&str]| {
            name.split(|c: char| !c.is_ascii_alphanumeric())
                .any(|part| beginnings.iter().any(|beginning| part.starts_with(beginning)))
        };
        match has(&PUBLIC) && !has(&SECRET) {
            true => Self::ONE,
            false => Self::SECRET,
        }
    }

    /// Returns this many times the number of model tokens, rounded up.
    pub fn times(self, tokens: usize) -> usize {
        let factor = usize::try_from(self.0).unwrap_or(usize::MAX);
        tokens.saturating_mul(factor).div_ceil(100)
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (f64::from(self.0) / 100.0).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn factors_are_numbers_with_two_decimals() {
        for (number, hundredths) in [(json!(1), 100), (json!(1.3), 130), (json!(10.0), 1000)] {
            assert_eq!(Factor::parse(&number), Some(Factor(hundredths)), "{number}");
        }
        for hundredths in 100..=1000 {
            let written = serde_json::to_value(Factor(hundredths)).unwrap();
            assert_eq!(Factor::parse(&written), Some(Factor(hundredths)), "{written}");
        }
        for wrong in [json!(0.99), json!(10.01), json!(1.355), json!("1.3"), json!(-1), json!(1e9)]
        {
            assert_eq!(Factor::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn models_with_a_public_tokenizer_are_known_in_every_spelling() {
        for name in [
            "gpt-5-mini",
            "openai/gpt-oss-120b",
            "openai.gpt-oss-20b-1:0",
            "ft:gpt-4o-mini:acme::abc",
            "o3-mini",
            "meta.llama3-3-70b-instruct-v1:0",
            "meta-llama/Llama-3.3-70B-Instruct",
            "accounts/fireworks/models/llama-v3p1-8b-instruct",
            "Qwen/Qwen3-235B-A22B",
            "us.deepseek.r1-v1:0",
            "mistral.mistral-large-2407-v1:0",
            "gemma3:4b",
            "echo",
        ] {
            assert_eq!(Factor::of_model(name), Factor::ONE, "{name}");
        }
        for name in [
            "claude-opus-4-7",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "anthropic/claude-3.5-sonnet",
            "google/gemini-2.5-pro",
            "us.amazon.nova-pro-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            "grok-4",
            "llama-claude-distill",
            "counter",
            "",
        ] {
            assert_eq!(Factor::of_model(name), Factor::SECRET, "{name}");
        }
    }
}
