//! The parameters of an answer that only some providers support.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The parameters of an answer that only some providers support. `None` and empty values mean the
/// model's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How much the model reasons before it answers.
    pub effort: Option<Effort>,
    /// Whether the model reasons before it answers, as in Anthropic's API.
    pub thinking: Option<Thinking>,
    /// How long the answer is.
    pub verbosity: Option<Verbosity>,
    /// The number with which sampling begins. Requests with the same seed get similar answers.
    pub seed: Option<i64>,
    /// How many of the most likely tokens are considered at each step.
    pub top_k: Option<u32>,
    /// By how much tokens that are already in the text become less likely, from -2 to 2.
    pub presence_penalty: Option<f64>,
    /// By how much tokens become less likely each time they occur, from -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// By how much the tokens with these ids become more likely, from -100 to 100.
    pub logit_bias: BTreeMap<String, f64>,
    /// True if the request wants the model to search the web. No provider is called with it,
    /// because searches cost money that no fare covers.
    pub web_search: bool,
    /// The name under which the provider caches the beginning of the prompt. It doesn't change the
    /// answer.
    pub cache_key: Option<String>,
    /// True if parameters that a provider doesn't support are left out. Otherwise the request is
    /// refused, because its answer would differ from what the client expects.
    pub lenient: bool,
}

/// Calls a macro with the parameters that a provider may refuse: the name in OpenAI's API, and the
/// field of [`Options`].
macro_rules! refusable {
    ($use:ident) => {
        $use! {
            "reasoning_effort" => effort,
            "verbosity" => verbosity,
            "seed" => seed,
            "top_k" => top_k,
            "presence_penalty" => presence_penalty,
            "frequency_penalty" => frequency_penalty,
            "logit_bias" => logit_bias,
            "web_search_options" => web_search
        }
    };
}

impl Options {
    /// Returns the parameters that the request contains and a provider may refuse, by their names
    /// in OpenAI's API.
    pub(super) fn given(&self) -> impl Iterator<Item = &'static str> {
        let unset = Self::default();
        macro_rules! given {
            ($($name:literal => $field:ident),+) => {
                [$((self.$field != unset.$field).then_some($name)),+]
            };
        }
        refusable!(given).into_iter().flatten()
    }

    /// Removes a parameter, by its name in OpenAI's API. Returns false if the request doesn't
    /// contain it.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if !self.given().any(|given| given == name) {
            return false;
        }
        let unset = Self::default();
        macro_rules! remove {
            ($($name:literal => $field:ident),+) => {
                match name {
                    $($name => self.$field = unset.$field,)+
                    _ => return false,
                }
            };
        }
        refusable!(remove);
        true
    }
}

/// How much a model reasons before it answers, in the words of OpenAI's and Anthropic's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Effort {
    /// The model doesn't reason.
    None,
    /// The least reasoning of OpenAI's older models.
    Minimal,
    /// Less than usual.
    Low,
    /// The usual amount.
    Medium,
    /// More than usual.
    High,
    /// Even more.
    XHigh,
    /// As much as the model can.
    Max,
}

/// Whether a model reasons before it answers
/// ([reference](https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// The model decides.
    Adaptive,
    /// The model reasons with at most this many model tokens, which count as part of the answer.
    Enabled {
        /// The maximum number of model tokens.
        budget: u32,
    },
    /// The model doesn't reason.
    Disabled,
}

/// How long an answer is, in the words of OpenAI's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Verbosity {
    /// Short.
    Low,
    /// Of the usual length.
    Medium,
    /// Long.
    High,
}
