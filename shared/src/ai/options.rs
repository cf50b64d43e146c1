//! The parameters of an answer that only some providers support.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The smallest budget for reasoning that Anthropic's models accept, in model tokens.
const LEAST_BUDGET: u32 = 1024;

/// The parameters of an answer that only some providers support. `None` and empty values mean the
/// model's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How much the model reasons before it answers.
    pub effort: Option<Effort>,
    /// Whether the model reasons before it answers, as in Anthropic's API.
    pub thinking: Option<Thinking>,
    /// Whether the answer contains the text of Anthropic's reasoning. `None` for the model's
    /// default.
    pub display: Option<Display>,
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
    /// True if `effort` and `thinking` are left out if a provider doesn't have them. Programs that
    /// use Anthropic's API always send an effort, and expect an answer from models without one too.
    /// In this API, an effort alone doesn't tell the model to reason.
    pub effort_is_hint: bool,
}

/// Calls a macro with the parameters that a provider may refuse: the name in OpenAI's API, and the
/// field of [`Options`].
macro_rules! refusable {
    ($use:ident) => {
        $use! {
            "reasoning_effort" => effort,
            "thinking" => thinking,
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

    /// Returns true if a parameter may be left out if the provider doesn't support it. `name` is
    /// the parameter's name in OpenAI's API.
    pub(super) fn may_leave_out(&self, name: &str) -> bool {
        self.lenient || (self.effort_is_hint && ["reasoning_effort", "thinking"].contains(&name))
    }

    /// Returns the parameter because of which a request to one of Anthropic's models contains
    /// `thinking`.
    pub(super) fn thinking_parameter(&self) -> &'static str {
        if self.thinking.is_some() { "thinking" } else { "reasoning_effort" }
    }

    /// Returns whether one of Anthropic's models reasons, or `None` for the model's default.
    /// `max_tokens` is the maximum length of the answer, and `must_call` is true if the request
    /// forces the model to call a function.
    ///
    /// The budget is shortened to leave room for the answer. If it is then too small, it is left
    /// out, because the model would refuse it. With an effort alone, the model decides whether it
    /// reasons, unless it must call a function, because a model that reasons can't be forced to.
    pub(super) fn anthropic_thinking(
        &self,
        max_tokens: Option<u32>,
        must_call: bool,
    ) -> Option<Thinking> {
        match (self.thinking, self.effort) {
            (Some(Thinking::Enabled { budget }), _) => {
                // The budget is part of the answer's maximum length.
                let room = max_tokens.map_or(u32::MAX, |most| most.saturating_sub(1));
                let budget = budget.min(room);
                (budget >= LEAST_BUDGET).then_some(Thinking::Enabled { budget })
            }
            (Some(thinking), _) => Some(thinking),
            (None, Some(Effort::None)) => Some(Thinking::Disabled),
            (None, Some(_)) if !self.effort_is_hint && !must_call => Some(Thinking::Adaptive),
            (None, _) => None,
        }
    }

    /// Returns the effort in the words of Anthropic's API. `None` means the model's default.
    pub(super) fn anthropic_effort(&self) -> Option<Effort> {
        match self.effort {
            None | Some(Effort::None) => None,
            Some(Effort::Minimal) => Some(Effort::Low),
            effort => effort,
        }
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
    /// The model doesn't reason, but returns what it writes between calls of functions as
    /// reasoning.
    BetweenTools,
    /// The model doesn't reason.
    Disabled,
}

impl Thinking {
    /// Returns its name in Anthropic's API.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Enabled { .. } => "enabled",
            Self::BetweenTools => "between_tools",
            Self::Disabled => "disabled",
        }
    }
}

/// Whether an answer contains the text of the reasoning, in the words of Anthropic's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Display {
    /// The text or a summary.
    Summarized,
    /// Only the signatures.
    Omitted,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_leave_room_for_the_answer() {
        for (budget, most, sent) in [
            (1023, 2000, None),
            (1024, 2000, Some(1024)),
            (1999, 2000, Some(1999)),
            (31_999, 2000, Some(1999)),
            (31_999, 1025, Some(1024)),
            (31_999, 1024, None),
        ] {
            let enabled = Some(Thinking::Enabled { budget });
            let effort = Some(Effort::High);
            let options = Options { thinking: enabled, effort, ..Options::default() };
            let expected = sent.map(|budget| Thinking::Enabled { budget });
            assert_eq!(options.anthropic_thinking(Some(most), true), expected, "{budget}, {most}");
        }
    }

    #[test]
    fn an_effort_alone_lets_the_model_decide() {
        let of = |effort: Option<Effort>, effort_is_hint: bool, must_call: bool| {
            let options = Options { effort, effort_is_hint, ..Options::default() };
            options.anthropic_thinking(None, must_call)
        };
        assert_eq!(of(Some(Effort::Minimal), false, false), Some(Thinking::Adaptive));
        assert_eq!(of(Some(Effort::Minimal), true, false), None);
        assert_eq!(of(Some(Effort::Minimal), false, true), None);
        assert_eq!(of(Some(Effort::None), false, false), Some(Thinking::Disabled));
        assert_eq!(of(None, false, false), None);
    }

    #[test]
    fn a_hint_may_be_left_out_and_other_parameters_may_not() {
        let hint = Options { effort_is_hint: true, ..Options::default() };
        let lenient = Options { lenient: true, ..Options::default() };
        for (name, is_hint) in [("reasoning_effort", true), ("thinking", true), ("top_k", false)] {
            assert_eq!(hint.may_leave_out(name), is_hint, "{name}");
            assert!(lenient.may_leave_out(name) && !Options::default().may_leave_out(name));
        }
    }
}
