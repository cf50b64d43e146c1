//! The configured models, in the form of Anthropic's API
//! ([reference](https://docs.anthropic.com/en/api/models-list)).

use serde::Serialize;
use shared::clock;
use utoipa::ToSchema;

use super::Model;
use crate::dialects::programs::null;

/// The configured models, in the form of Anthropic's API.
#[derive(Serialize, ToSchema)]
pub(super) struct AnthropicModels<'a> {
    /// The models.
    data: Vec<AnthropicModel<'a>>,
    /// Always false.
    #[schema(examples(false))]
    has_more: bool,
    /// The name of the first model. Null if there is none.
    #[schema(required, examples("echo"))]
    first_id: Option<&'a str>,
    /// The name of the last model. Null if there is none.
    #[schema(required, examples("echo"))]
    last_id: Option<&'a str>,
}

/// A configured model, in the form of Anthropic's API.
#[derive(Serialize, ToSchema)]
pub(super) struct AnthropicModel<'a> {
    /// Always `model`.
    #[schema(pattern = "^model$", examples("model"))]
    r#type: &'static str,
    /// The model's name.
    #[schema(examples("echo"))]
    id: &'a str,
    /// The model's name again.
    #[schema(examples("echo"))]
    display_name: &'a str,
    /// For an alias, the name of the model that answers. Missing if `id` is the model's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("deep"))]
    canonical_slug: Option<&'a str>,
    /// When the price list was set. The beginning of 1970 without a price list.
    #[schema(format = "date-time", examples("1970-01-01T00:00:00.000Z"))]
    created_at: String,
    /// Always `active`.
    #[schema(pattern = "^active$", examples("active"))]
    lifecycle: &'static str,
    /// The maximum number of tokens in a prompt and its answer together, or else in a prompt. Null
    /// if neither is known.
    #[schema(required, examples(400_000))]
    max_input_tokens: Option<usize>,
    /// The maximum number of tokens in an answer. Null without a price list.
    #[schema(required, examples(4096))]
    max_tokens: Option<u32>,
    /// Always null.
    #[schema(schema_with = null)]
    allowed_fallback_models: (),
    /// Always null.
    #[schema(schema_with = null)]
    capabilities: (),
    /// Always null.
    #[schema(schema_with = null)]
    line: (),
    /// Always null.
    #[schema(schema_with = null)]
    deprecated_at: (),
    /// Always null.
    #[schema(schema_with = null)]
    retires_at: (),
}

impl<'a> AnthropicModels<'a> {
    pub(super) fn of(models: &[Model<'a>]) -> Self {
        Self {
            data: models.iter().map(AnthropicModel::of).collect(),
            has_more: false,
            first_id: models.first().map(|model| model.id),
            last_id: models.last().map(|model| model.id),
        }
    }
}

impl<'a> AnthropicModel<'a> {
    pub(super) fn of(model: &Model<'a>) -> Self {
        let context = model.context_length.and_then(|tokens| usize::try_from(tokens).ok());
        Self {
            r#type: "model",
            id: model.id,
            display_name: model.name,
            canonical_slug: model.canonical_slug,
            created_at: clock::rfc3339(model.created * 1000),
            lifecycle: "active",
            max_input_tokens: context.or(model.max_model_len),
            max_tokens: model.max_output_tokens,
            allowed_fallback_models: (),
            capabilities: (),
            line: (),
            deprecated_at: (),
            retires_at: (),
        }
    }
}
