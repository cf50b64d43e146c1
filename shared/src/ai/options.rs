//! The parameters of an answer that only some providers support.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::ai::Prompt;
use crate::ai::tools::Format;

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

    /// Returns the effort in the words of Anthropic's API. `None` means the model's default.
    pub(super) fn anthropic_effort(&self) -> Option<Effort> {
        match self.effort {
            None | Some(Effort::None) => None,
            Some(Effort::Minimal) => Some(Effort::Low),
            effort => effort,
        }
    }
}

/// The smallest budget for reasoning that Anthropic's models accept, in model tokens.
const LEAST_BUDGET: u32 = 1024;

impl Prompt {
    /// Returns whether one of Anthropic's models reasons, or `None` for the model's default.
    ///
    /// A budget that is too small, or that leaves no room for the answer, is left out, because the
    /// model would refuse it. With an effort alone, the model decides whether it reasons, unless
    /// the request forces it to call a function, because a model that reasons can't be forced.
    pub(super) fn anthropic_thinking(&self) -> Option<Thinking> {
        let Options { thinking, effort, effort_is_hint, .. } = self.options;
        match (thinking, effort) {
            (Some(Thinking::Enabled { budget }), _) => {
                // The budget is part of the answer's maximum length.
                let has_room = self.max_tokens.is_none_or(|most| budget < most);
                (budget >= LEAST_BUDGET && has_room).then_some(Thinking::Enabled { budget })
            }
            (Some(thinking), _) => Some(thinking),
            (None, Some(Effort::None)) => Some(Thinking::Disabled),
            (None, Some(_)) if !effort_is_hint && !self.is_answered_by_call() => {
                Some(Thinking::Adaptive)
            }
            (None, _) => None,
        }
    }

    /// Returns true if one of Anthropic's models is told to reason. It then refuses to sample in
    /// any other way than its default.
    pub(super) fn thinks(&self) -> bool {
        matches!(self.anthropic_thinking(), Some(Thinking::Adaptive | Thinking::Enabled { .. }))
    }

    /// Returns true if the request forces one of Anthropic's models to call a function. If the
    /// answer may be any JSON object, it is the arguments of such a call.
    fn is_answered_by_call(&self) -> bool {
        self.demands_a_call() || matches!(self.format, Some(Format::JsonObject))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::tools::ToolChoice;

    fn thinking(options: Options) -> Option<Thinking> {
        Prompt { options, max_tokens: Some(2000), ..Prompt::default() }.anthropic_thinking()
    }

    #[test]
    fn budgets_leave_room_for_the_answer() {
        for (budget, is_kept) in [(1023, false), (1024, true), (1999, true), (2000, false)] {
            let enabled = Some(Thinking::Enabled { budget });
            let effort = Some(Effort::High);
            let options = Options { thinking: enabled, effort, ..Options::default() };
            assert_eq!(thinking(options), enabled.filter(|_| is_kept), "{budget}");
        }
    }

    #[test]
    fn an_effort_alone_lets_the_model_decide() {
        let of = |effort: Effort, effort_is_hint: bool| {
            thinking(Options { effort: Some(effort), effort_is_hint, ..Options::default() })
        };
        assert_eq!(of(Effort::Minimal, false), Some(Thinking::Adaptive));
        assert_eq!(of(Effort::Minimal, true), None);
        assert_eq!(of(Effort::None, false), Some(Thinking::Disabled));
        assert_eq!(thinking(Options::default()), None);
        let options = Options { effort: Some(Effort::High), ..Options::default() };
        let prompt = Prompt { options, ..Prompt::default() };
        let forced = Prompt { tool_choice: ToolChoice::Required, ..prompt.clone() };
        let json = Prompt { format: Some(Format::JsonObject), ..prompt.clone() };
        assert!(prompt.thinks() && !forced.thinks() && !json.thinks());
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
