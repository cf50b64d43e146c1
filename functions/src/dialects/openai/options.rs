//! The parameters of a request that only some providers support.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use shared::ai::{Display, Effort, Options, Verbosity};
use shared::error::FieldErrors;
use shared::values::Invalid;
use strum::VariantArray;

use crate::dialects::programs::numbers::{number_up_to, top_k};

/// The maximum number of tokens in a `logit_bias`, and the maximum number of characters in a
/// token's id.
const BIASES: (usize, usize) = (1024, 16);

/// The maximum number of characters in a `prompt_cache_key`.
pub(crate) const CACHE_KEY: usize = 512;

/// The greatest penalty, the greatest factor of repetitions, and the greatest bias of a token.
const PENALTY: f64 = 2.0;
const REPETITION: f64 = 2.0;
const BIAS: f64 = 100.0;

/// The parameters for the probabilities of tokens. No provider is called with them, because an
/// answer is stored, and sent again to a retry, without probabilities.
pub(crate) const LOGPROBS: &str = "logprobs";
pub(crate) const TOP_LOGPROBS: &str = "top_logprobs";

/// Returns the constraint that a field is one of these words or null, for the OpenAPI document.
pub(crate) fn one_of<T: VariantArray + Into<&'static str> + Copy>() -> Value {
    let words = T::VARIANTS.iter().map(|word| Value::from(Into::<&'static str>::into(*word)));
    json!({ "enum": words.chain([Value::Null]).collect::<Vec<_>>() })
}

/// Returns the constraints on a penalty, for the OpenAPI document.
pub(crate) fn penalty_limits() -> Value {
    json!({ "minimum": -PENALTY, "maximum": PENALTY })
}

/// Returns the constraints on a `repetition_penalty`, for the OpenAPI document.
pub(crate) fn repetition_limits() -> Value {
    json!({ "exclusiveMinimum": 0, "maximum": REPETITION })
}

/// Returns the constraints on a `logit_bias`, for the OpenAPI document.
pub(crate) fn bias_limits() -> Value {
    json!({
        "maxProperties": BIASES.0,
        "propertyNames": { "maxLength": BIASES.1 },
        "additionalProperties": { "minimum": -BIAS, "maximum": BIAS },
    })
}

/// Reads a model's effort to reason. `field` is the field's name in the request.
pub(crate) fn effort(field: &str, word: Option<&str>, errors: &mut FieldErrors) -> Option<Effort> {
    let parse = |word: &str| {
        word.parse().map_err(|_| "This must be none, minimal, low, medium, high, xhigh or max.")
    };
    errors.check(field, word.map(parse).transpose().map_err(Invalid::from)).flatten()
}

/// Reads the length that an answer should have. `field` is the field's name in the request.
pub(crate) fn verbosity(
    field: &str,
    word: Option<&str>,
    errors: &mut FieldErrors,
) -> Option<Verbosity> {
    let parse = |word: &str| word.parse().map_err(|_| "This must be low, medium or high.");
    errors.check(field, word.map(parse).transpose().map_err(Invalid::from)).flatten()
}

/// Reads how the reasoning is summarized. Only Anthropic's models can be told whether they show their
/// reasoning, not how long its summary is. `field` is the field's name in the request.
pub(crate) fn summary(
    field: &str,
    word: Option<&str>,
    errors: &mut FieldErrors,
) -> Option<Display> {
    match word {
        None => None,
        Some("auto" | "concise" | "detailed") => Some(Display::Summarized),
        Some(_) => {
            errors.note(field, "This must be auto, concise or detailed.");
            None
        }
    }
}

/// Returns the constraints that [`summary`] checks, for the OpenAPI document.
pub(crate) fn summary_limits() -> Value {
    json!({ "enum": ["auto", "concise", "detailed", null] })
}

/// Checks a `prompt_cache_key`.
pub(crate) fn cache_key(key: Option<String>, errors: &mut FieldErrors) -> Option<String> {
    if key.as_ref().is_some_and(|key| key.chars().count() > CACHE_KEY) {
        errors.note("prompt_cache_key", format!("This must have at most {CACHE_KEY} characters."));
    }
    key
}

/// The parameters of a completion that change how tokens are sampled.
pub(crate) struct Sampling {
    pub(crate) seed: Option<i64>,
    pub(crate) top_k: Option<f64>,
    pub(crate) min_p: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) repetition_penalty: Option<f64>,
    pub(crate) logit_bias: Option<LogitBias>,
}

impl Sampling {
    /// Returns the parameters that aren't the models' default. Many clients always send penalties
    /// of zero, and a penalty for repetitions of 1.
    pub(crate) fn read(self, errors: &mut FieldErrors) -> Options {
        let mut penalty = |field: &str, number: Option<f64>| {
            let checked = match number {
                Some(number) if !(-PENALTY..=PENALTY).contains(&number) => {
                    Err(format!("This must be a number from -{PENALTY} to {PENALTY}."))
                }
                number => Ok(number.filter(|number| *number != 0.0)),
            };
            errors.check(field, checked).flatten()
        };
        let presence_penalty = penalty("presence_penalty", self.presence_penalty);
        let frequency_penalty = penalty("frequency_penalty", self.frequency_penalty);
        let logit_bias = self.logit_bias.map(|LogitBias(biases)| biases).unwrap_or_default();
        if logit_bias.values().any(|bias| !(-BIAS..=BIAS).contains(bias)) {
            errors
                .note("logit_bias", format!("Each bias must be a number from -{BIAS} to {BIAS}."));
        }
        let min_p = errors.check("min_p", number_up_to(self.min_p, 1.0)).flatten();
        let repetition = match self.repetition_penalty {
            Some(factor) if factor <= 0.0 || factor > REPETITION => {
                Err(format!("This must be a number above 0, and at most {REPETITION}."))
            }
            factor => Ok(factor),
        };
        let repetition = errors.check("repetition_penalty", repetition).flatten();
        Options {
            seed: self.seed,
            top_k: errors.check("top_k", top_k(self.top_k)).flatten(),
            min_p: min_p.filter(|least| *least != 0.0),
            presence_penalty,
            frequency_penalty,
            repetition_penalty: repetition.filter(|factor| *factor != 1.0),
            logit_bias,
            ..Options::default()
        }
    }
}

/// A request's `logit_bias`: numbers by which tokens become more likely, by the tokens' ids.
pub(crate) struct LogitBias(BTreeMap<String, f64>);

impl<'de> Deserialize<'de> for LogitBias {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Biases)
    }
}

struct Biases;

impl<'de> Visitor<'de> for Biases {
    type Value = LogitBias;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<LogitBias, A::Error> {
        let (most, of_id) = BIASES;
        let mut biases = BTreeMap::new();
        while let Some((id, bias)) = fields.next_entry::<String, f64>()? {
            if biases.len() == most || id.chars().count() > of_id {
                return Err(de::Error::custom(format!(
                    "This must have at most {most} tokens, with ids of at most {of_id} characters"
                )));
            }
            biases.insert(id, bias);
        }
        Ok(LogitBias(biases))
    }
}
