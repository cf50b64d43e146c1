//! The parameters of an answer: how much the model reasons, and the answer's format.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::ai::{AnswerSchema, Display, Effort, Format, JsonSchema, Thinking};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

/// The name of an answer's schema. Anthropic's API has none, but others need one.
const ANSWER: &str = "answer";

/// Whether the model reasons before it answers. The answer contains the reasoning unless the type
/// is `disabled`, or this field is missing.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicThinking)]
pub(super) struct ThinkingConfig {
    #[serde(rename = "type")]
    #[schema(pattern = "^(adaptive|enabled|between_tools|disabled)$", examples("adaptive"))]
    kind: String,
    /// With `enabled`: the maximum number of tokens for the reasoning, which count as part of the
    /// answer. The model gets fewer if the maximum length of the answer is lower.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    budget_tokens: Option<f64>,
    /// Whether the answer contains the text of the reasoning: `summarized`, or `omitted` for
    /// signatures alone. `updates`, a beta of Anthropic's API, is taken for `summarized`. The
    /// default depends on the model.
    #[schema(pattern = "^(summarized|updates|omitted)$", examples("summarized"))]
    display: Option<String>,
}

impl ThinkingConfig {
    /// Returns whether the answer contains the text of the reasoning.
    pub(super) fn display(&self, errors: &mut FieldErrors) -> Option<Display> {
        let display = match self.display.as_deref()? {
            "updates" => Ok(Display::Summarized),
            word => word.parse().map_err(|_| "This must be summarized, updates or omitted."),
        };
        errors.check("thinking.display", display)
    }

    pub(super) fn read(self, errors: &mut FieldErrors) -> Option<Thinking> {
        let budget = match self.budget_tokens {
            Some(tokens) if !(1.0..=f64::from(u32::MAX)).contains(&tokens) => {
                Err("This must be a number of tokens, such as 1024.")
            }
            tokens => Ok(tokens.map(|tokens| tokens as u32)),
        };
        let budget = errors.check("thinking.budget_tokens", budget)?;
        match self.kind.as_str() {
            "adaptive" => Some(Thinking::Adaptive),
            "between_tools" => Some(Thinking::BetweenTools),
            "disabled" => Some(Thinking::Disabled),
            "enabled" => {
                let budget = budget.ok_or(REQUIRED);
                let budget = errors.check("thinking.budget_tokens", budget)?;
                Some(Thinking::Enabled { budget })
            }
            _ => {
                let known = "This must be adaptive, enabled, between_tools or disabled.";
                errors.note("thinking.type", known);
                None
            }
        }
    }
}

/// The effort and the format of the answer.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = AnthropicOutputConfig)]
pub(super) struct OutputConfig {
    /// How much the model reasons before it answers.
    #[schema(pattern = "^(none|minimal|low|medium|high|xhigh|max)$", examples("medium"))]
    effort: Option<String>,
    pub(super) format: Option<OutputFormat>,
}

impl OutputConfig {
    pub(super) fn effort(&self, errors: &mut FieldErrors) -> Option<Effort> {
        let word = self.effort.as_deref()?;
        let effort: Result<Effort, _> = word.parse();
        let known = "This must be low, medium, high, xhigh or max.";
        errors.check("output_config.effort", effort.map_err(|_| known))
    }
}

/// The JSON Schema that the answer conforms to.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicOutputFormat)]
pub(super) struct OutputFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^json_schema$", examples("json_schema"))]
    kind: String,
    /// The JSON Schema, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    schema: Option<Box<RawValue>>,
}

/// Returns the format of the answer. `None` means plain text.
pub(super) fn format(format: Option<OutputFormat>, errors: &mut FieldErrors) -> Option<Format> {
    let OutputFormat { kind, schema } = format?;
    if kind != "json_schema" {
        errors.note("output_config.format.type", "This must be json_schema.");
        return None;
    }
    let field = "output_config.format.schema";
    let schema = errors.check(field, schema.ok_or(REQUIRED))?;
    let schema = errors.check(field, JsonSchema::parse(schema))?;
    let (name, schema) = (ANSWER.to_owned(), Some(schema));
    Some(Format::JsonSchema(AnswerSchema { name, description: None, schema, strict: None }))
}
