//! Requests to `POST /v1/completions`
//! ([reference](https://platform.openai.com/docs/api-reference/completions/create)).

mod prompt;

use serde::Deserialize;
use serde_json::{Value, json};
use shared::Result;
use shared::ai::Prompt;
use shared::error::{FieldErrors, REQUIRED};
use shared::values::{Invalid, Message, Speaker, Turn};
use utoipa::ToSchema;

use self::prompt::GivenPrompt;
use crate::dialects::completions::request::{Stop, StreamOptions};
use crate::dialects::openai::options::{
    LogitBias, Sampling, bias_limits, penalty_limits, repetition_limits,
};
use crate::dialects::programs::Asked;
use crate::dialects::programs::json::object;
use crate::dialects::programs::numbers::{
    max_model_tokens, model_token_limits, number_up_to, top_k_limits,
};

/// The error message for fields that ask for several answers.
const ONE_ANSWER: &str = "This API gives one answer only. Omit this field.";

#[derive(Deserialize, ToSchema)]
#[schema(as = TextCompletionRequest, examples(json!({ "prompt": "Hello!" })))]
pub(crate) struct Body {
    /// The prompt, which must not be blank: a text, or a list with one text. Several prompts and
    /// lists of tokens are refused.
    #[schema(required, value_type = Value)]
    prompt: Option<GivenPrompt>,
    /// The model's name in the price list, in upper or lower case, with or without a provider
    /// prefix (`openai/`). Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// Whether to send the answer in chunks.
    stream: Option<bool>,
    #[serde(default, deserialize_with = "object")]
    stream_options: Option<StreamOptions>,
    /// The maximum number of tokens in the answer. Without this field, or with -1, the request sets
    /// no limit; on OpenAI's servers the default is 16.
    max_tokens: Option<f64>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The answer ends before the first occurrence of any of these strings.
    #[schema(value_type = Option<Value>)]
    stop: Option<Stop>,
    /// Requests with the same seed get similar answers.
    seed: Option<i64>,
    /// How many of the most likely tokens are considered at each step. 0 sets no limit.
    top_k: Option<f64>,
    /// From 0 to 1: how likely a token must be to be considered, as a fraction of the most likely
    /// token's probability. 0 sets no limit.
    min_p: Option<f64>,
    /// From -2 to 2: by how much tokens that are already in the text become less likely.
    presence_penalty: Option<f64>,
    /// From -2 to 2: by how much tokens become less likely each time they occur.
    frequency_penalty: Option<f64>,
    /// Above 0, up to 2: by what factor tokens that are already in the text or in the prompt become
    /// less likely. 1 changes nothing.
    repetition_penalty: Option<f64>,
    /// From -100 to 100: by how much tokens become more likely, by the tokens' ids.
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    logit_bias: Option<LogitBias>,
    /// Refused unless it is 1: this API gives one answer only.
    n: Option<f64>,
    /// Refused above 1, like `n`.
    best_of: Option<f64>,
    /// Refused if true: an answer doesn't contain its prompt.
    echo: Option<bool>,
    /// Refused unless it is empty: the models can't insert text before another text.
    suffix: Option<String>,
    /// Refused unless it is 0: the probabilities of tokens aren't stored with an answer.
    logprobs: Option<f64>,
}

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(crate) fn limits() -> Value {
    let prompt = json!({ "oneOf": [
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 1 },
    ] });
    json!({
        "properties": {
            "prompt": prompt,
            "max_tokens": model_token_limits(),
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "stop": Stop::limits(),
            "presence_penalty": penalty_limits(),
            "frequency_penalty": penalty_limits(),
            "logit_bias": bias_limits(),
            "top_k": top_k_limits(),
            "min_p": { "minimum": 0, "maximum": 1 },
            "repetition_penalty": repetition_limits(),
            "n": { "enum": [1, null] },
            "best_of": { "enum": [0, 1, null] },
            "echo": { "not": { "const": true } },
            "suffix": { "enum": ["", null] },
            "logprobs": { "enum": [0, null] },
        },
    })
}

impl Body {
    pub(super) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(StreamOptions::wants_usage)
    }

    /// Notes each field that asks for something other than one answer's text.
    fn check_supported(&self, errors: &mut FieldErrors) {
        let has_suffix = self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty());
        for (field, is_unsupported, sentence) in [
            ("n", self.n.is_some_and(|n| n != 1.0), ONE_ANSWER),
            ("best_of", self.best_of.is_some_and(|best| ![0.0, 1.0].contains(&best)), ONE_ANSWER),
            (
                "echo",
                self.echo == Some(true),
                "An answer doesn't contain its prompt. Omit this field, and put the prompt before \
                 the answer yourself.",
            ),
            (
                "suffix",
                has_suffix,
                "The models can't insert text before another text. Omit this field, and describe \
                 the task in `prompt`.",
            ),
            (
                "logprobs",
                self.logprobs.is_some_and(|logprobs| logprobs != 0.0),
                "This API doesn't return the probabilities of tokens. Omit this field.",
            ),
        ] {
            if is_unsupported {
                errors.note(field, sentence);
            }
        }
    }

    /// Returns the message for the history, and the prompt for the AI.
    pub(super) fn read(self, message_limit: usize) -> Result<Asked> {
        let mut errors = FieldErrors::default();
        self.check_supported(&mut errors);
        let streamed = self.stream == Some(true);
        let max_tokens = errors.check("max_tokens", max_model_tokens(self.max_tokens)).flatten();
        let temperature =
            errors.check("temperature", number_up_to(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", number_up_to(self.top_p, 1.0)).flatten();
        let stop = Stop::read(self.stop, &mut errors);
        let sampling = Sampling {
            seed: self.seed,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repetition_penalty: self.repetition_penalty,
            logit_bias: self.logit_bias,
        };
        let options = sampling.read(&mut errors);
        let text = self.prompt.ok_or_else(|| Invalid::from(REQUIRED)).and_then(GivenPrompt::text);
        let asked = text.and_then(|text| {
            let message = Message::shortened(text.clone(), message_limit.max(1))?;
            Ok((message, Turn::new(Speaker::User, text)))
        });
        match errors.check("prompt", asked) {
            Some((message, turn)) if errors.is_empty() => {
                let prompt = Prompt {
                    turns: vec![turn],
                    temperature,
                    top_p,
                    max_tokens,
                    stop,
                    options,
                    hides_reasoning: true,
                    given: true,
                    ..Prompt::default()
                };
                Ok(Asked { model: self.model, message, prompt, streamed })
            }
            _ => Err(errors.into_error()),
        }
    }
}
