//! The parameters of an answer that only some providers support.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The smallest budget for reasoning that Anthropic's models accept, in model tokens.
pub const LEAST_BUDGET: u32 = 1024;

/// The largest budgets for reasoning that models without budgets get as a low and as a medium
/// effort. They lie between the budgets that Claude Code has sent for its three degrees: 4,000,
/// 10,000 and 31,999.
const LOW_BUDGET: u32 = 4096;
const MEDIUM_BUDGET: u32 = 16_384;

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
    /// How likely a token must be to be considered, as a fraction of the most likely token's
    /// probability.
    pub min_p: Option<f64>,
    /// By how much tokens that are already in the text become less likely, from -2 to 2.
    pub presence_penalty: Option<f64>,
    /// By how much tokens become less likely each time they occur, from -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// By what factor tokens that are already in the text or in the prompt become less likely.
    pub repetition_penalty: Option<f64>,
    /// By how much the tokens with these ids become more likely, from -100 to 100.
    pub logit_bias: BTreeMap<String, f64>,
    /// The names of the parameters that the request contains and no provider is called with, as the
    /// client's API calls them. For example, searches of the web cost money that no fare covers, and
    /// the probabilities of tokens aren't stored with an answer.
    pub unoffered: Vec<&'static str>,
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

/// Calls a macro with the parameters that a provider may refuse: the name in OpenAI's or Anthropic's
/// API, and the field of [`Options`].
macro_rules! refusable {
    ($use:ident) => {
        $use! {
            "reasoning_effort" => effort,
            "thinking" => thinking,
            "display" => display,
            "verbosity" => verbosity,
            "seed" => seed,
            "top_k" => top_k,
            "min_p" => min_p,
            "presence_penalty" => presence_penalty,
            "frequency_penalty" => frequency_penalty,
            "repetition_penalty" => repetition_penalty,
            "logit_bias" => logit_bias
        }
    };
}

impl Options {
    /// Returns the parameters that the request contains and a provider may refuse, by their names
    /// in OpenAI's API, and those that no provider is called with.
    pub(super) fn given(&self) -> impl Iterator<Item = &'static str> {
        let unset = Self::default();
        macro_rules! given {
            ($($name:literal => $field:ident),+) => {
                [$((self.$field != unset.$field).then_some($name)),+]
            };
        }
        refusable!(given).into_iter().flatten().chain(self.unoffered.iter().copied())
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
                    _ => self.unoffered.retain(|given| *given != name),
                }
            };
        }
        refusable!(remove);
        true
    }

    /// Returns true if a parameter may be left out if the provider doesn't support it. `name` is
    /// the parameter's name in OpenAI's API.
    pub(super) fn may_leave_out(&self, name: &str) -> bool {
        let is_hint = self.effort_is_hint && ["reasoning_effort", "thinking"].contains(&name);
        // The display doesn't change how the model reasons, and the instructions can ask for an
        // answer's length instead.
        self.lenient || is_hint || ["display", "verbosity"].contains(&name)
    }

    /// Returns the effort for a model that has no budgets, and the parameter that it comes from, by
    /// its name in OpenAI's API. `None` means the model's default: a model with efforts decides
    /// itself how much it reasons, so that it needs no other word for `adaptive`.
    pub(super) fn effort_alone(&self) -> Option<(&'static str, Effort)> {
        let of_thinking = match (self.thinking, self.effort) {
            // In Anthropic's API, an effort doesn't tell the model to reason.
            (Some(Thinking::BetweenTools | Thinking::Disabled), _) => Some(Effort::None),
            (Some(Thinking::Enabled { budget }), None) => Some(Effort::of_budget(budget)),
            _ => None,
        };
        let of_thinking = of_thinking.map(|effort| ("thinking", effort));
        of_thinking.or(self.effort.map(|effort| ("reasoning_effort", effort)))
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

impl Effort {
    /// Returns the effort that corresponds to a budget for reasoning, in model tokens.
    fn of_budget(budget: u32) -> Self {
        if budget <= LOW_BUDGET {
            Self::Low
        } else if budget <= MEDIUM_BUDGET {
            Self::Medium
        } else {
            Self::High
        }
    }
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

impl Verbosity {
    /// Returns the instructions for a model whose provider doesn't have the parameter. `None` for
    /// the usual length.
    pub(super) fn instructions(self) -> Option<&'static str> {
        match self {
            Self::Low => Some("Answer briefly."),
            Self::Medium => None,
            Self::High => Some("Answer in detail."),
        }
    }
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
    fn budgets_become_efforts_for_models_without_them() {
        let enabled = |budget: u32| Some(Thinking::Enabled { budget });
        for (thinking, effort, sent) in [
            (enabled(1024), None, Some(("thinking", Effort::Low))),
            (enabled(4096), None, Some(("thinking", Effort::Low))),
            (enabled(4097), None, Some(("thinking", Effort::Medium))),
            (enabled(31_999), None, Some(("thinking", Effort::High))),
            (enabled(1024), Some(Effort::Max), Some(("reasoning_effort", Effort::Max))),
            (Some(Thinking::Adaptive), None, None),
            (Some(Thinking::Adaptive), Some(Effort::Low), Some(("reasoning_effort", Effort::Low))),
            (Some(Thinking::Disabled), Some(Effort::Low), Some(("thinking", Effort::None))),
            (Some(Thinking::BetweenTools), None, Some(("thinking", Effort::None))),
            (None, None, None),
        ] {
            let options = Options { thinking, effort, ..Options::default() };
            assert_eq!(options.effort_alone(), sent, "{thinking:?}, {effort:?}");
        }
    }

    #[test]
    fn parameters_that_no_provider_gets_can_be_removed() {
        let unoffered = vec!["logprobs", "truncation"];
        let mut options = Options { seed: Some(7), unoffered, ..Options::default() };
        assert!(options.remove("logprobs") && !options.remove("logprobs"));
        assert_eq!(options.given().collect::<Vec<_>>(), ["seed", "truncation"]);
        assert!(options.remove("seed") && options.remove("truncation"));
        assert_eq!(options, Options::default());
    }

    #[test]
    fn a_hint_may_be_left_out_and_other_parameters_may_not() {
        let hint = Options { effort_is_hint: true, ..Options::default() };
        let lenient = Options { lenient: true, ..Options::default() };
        for (name, is_hint) in [("reasoning_effort", true), ("thinking", true), ("top_k", false)] {
            assert_eq!(hint.may_leave_out(name), is_hint, "{name}");
            assert!(lenient.may_leave_out(name) && !Options::default().may_leave_out(name));
        }
        assert!(Options::default().may_leave_out("display"));
    }
}
