//! `GET /v1/models`, `GET /v1/models/{id}` - the configured models, as OpenAI's API lists them
//! ([reference](https://platform.openai.com/docs/api-reference/models)).
//!
//! In: an API key or an access token. Out:
//! `{object: "list", data: [{id, object, created, owned_by}]}`, in the order in which the models
//! are called, or one model. If the operator has changed the maximum length of a prompt, each model
//! has this length in tokens as `max_model_len`. If there is a price list, the models are the list's,
//! with their fares. An API key that may use only some models sees only these.

use std::sync::Arc;

use serde::Serialize;
use shared::app::Start;
use shared::clock::Clock;
use shared::config::{AiConfig, ConfigError, Settings};
use shared::error::Failure;
use shared::store::StoredPrices;
use shared::values::{self, Fare, StoredFare, estimate_model_tokens};
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

/// The path of one model.
pub(crate) const ONE_PATH: &str = "/v1/models/{id}";

/// Shows the models only if the account accepts the caller's credential.
#[utoipa::path(
    get,
    path = super::path::models,
    tag = "OpenAI",
    summary = "List models",
    description = "The configured models, in the order in which they are called.",
    security(("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The models.", body = Models)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired]))),
)]
pub async fn handle(Catalog { app, models, longest, most }: Catalog, req: Request) -> Reply {
    let caller = auth::program(&app, &req).await?;
    app.store.account_with(&caller).await?;
    let prices = app.prices.current().await?;
    let models: Vec<Model<'_>> = match prices.as_deref() {
        None if caller.models().is_some() => Vec::new(),
        None => models.iter().map(|model| Model::of(model, longest)).collect(),
        Some(prices) => {
            let listed = prices.list.models.iter().filter(|model| caller.may_use(&model.name));
            listed.map(|model| Model::listed(model, prices, most, longest)).collect()
        }
    };
    let models = models.into_iter();
    match http::path_parameter(&req, "id") {
        "" => http::ok(&Models { object: "list", data: models.collect() }),
        id => find_model(models, id),
    }
}

#[utoipa::path(
    get,
    path = ONE_PATH,
    operation_id = "model",
    tag = "OpenAI",
    summary = "Read a model",
    description = "One of the configured models.",
    security(("api_key" = []), ("access_token" = [])),
    params(("id" = String, Path, description = "The model's name.", example = "echo")),
    responses((status = 200, description = "The model.", body = Model)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired, Failure::NoSuchModel]))),
)]
pub(crate) fn find_model<'m>(mut models: impl Iterator<Item = Model<'m>>, id: &str) -> Reply {
    let is_it = |model: &Model<'m>| model.id == id || http::escaped(model.id) == id;
    http::ok(&models.find(is_it).ok_or_else(|| Error::NoSuchModel(Some(id.to_owned())))?)
}

/// An [`App`], and the names of the models. Listing the models calls no provider.
#[derive(Clone)]
pub struct Catalog {
    app: App,
    models: Arc<[String]>,
    /// The maximum number of tokens in a prompt, if the operator has set it.
    longest: Option<usize>,
    /// The maximum number of tokens in an answer, for models whose entry in the price list has none.
    most: u32,
}

impl Start for Catalog {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let models = AiConfig::models(settings)?;
        let most = AiConfig::longest_answer(settings)?;
        let longest = AiConfig::chosen_prompt_limit(settings)?.map(estimate_model_tokens);
        let app = App::start(settings, clock).await?;
        Ok(Self { app, models: models.into(), longest, most })
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(&mut self.app)
    }
}

/// The configured models.
#[derive(Serialize, ToSchema)]
struct Models<'a> {
    /// Always `list`.
    #[schema(pattern = "^list$", examples("list"))]
    object: &'static str,
    /// The models.
    data: Vec<Model<'a>>,
}

/// A configured model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Model<'a> {
    /// The model's name.
    #[schema(examples("echo"))]
    id: &'a str,
    /// The model's name again, as OpenRouter's clients read it.
    #[schema(examples("echo"))]
    name: &'a str,
    /// Always `model`.
    #[schema(pattern = "^model$", examples("model"))]
    object: &'static str,
    /// When the price list was set, in seconds since 1970. 0 without a price list.
    #[schema(examples(0))]
    created: u64,
    /// Always `system`.
    #[schema(pattern = "^system$", examples("system"))]
    owned_by: &'static str,
    /// The maximum number of tokens in a prompt, counted as four bytes each. Missing if the
    /// operator hasn't changed the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(32_768))]
    max_model_len: Option<usize>,
    /// The number of tokens that a prompt and its answer can have. Missing if the price list doesn't
    /// have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(400_000))]
    context_length: Option<u32>,
    /// The maximum number of tokens in an answer. Missing without a price list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(4096))]
    max_output_tokens: Option<u32>,
    /// What a prompt and an answer can contain.
    architecture: Architecture,
    /// The model's fare. Missing without a price list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<StoredFare>)]
    fare: Option<Fare>,
    /// The price of the model's tokens, in money. Missing unless the price list says what the
    /// product's tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pricing: Option<Pricing>,
}

/// What a prompt and an answer can contain, in OpenRouter's fields.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelArchitecture)]
pub(crate) struct Architecture {
    /// Both in one text.
    #[schema(pattern = r"^text(\+image)?->text$", examples("text+image->text"))]
    modality: &'static str,
    /// `text`, and `image` if prompts may contain pictures.
    #[schema(min_items = 1, max_items = 2, examples("text"))]
    input_modalities: &'static [&'static str],
    /// Always `text`.
    #[schema(min_items = 1, max_items = 1, examples("text"))]
    output_modalities: [&'static str; 1],
}

impl Architecture {
    fn of(takes_pictures: bool) -> Self {
        let (modality, input_modalities): (_, &[_]) = match takes_pictures {
            true => ("text+image->text", &["text", "image"]),
            false => ("text->text", &["text"]),
        };
        Self { modality, input_modalities, output_modalities: ["text"] }
    }
}

/// The prices of a model, in money, as decimal texts in OpenRouter's fields. A fare by message is in
/// `request`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pricing {
    /// The price of a token in the prompt.
    #[schema(examples("0.000002"))]
    prompt: String,
    /// The price of a token in the answer.
    #[schema(examples("0.000016"))]
    completion: String,
    /// The price of a message.
    #[schema(examples("0.0"))]
    request: String,
    /// The price of a token in the prompt that was read from the cache.
    #[schema(examples("0.0000002"))]
    input_cache_read: String,
}

impl Pricing {
    fn of(fare: Fare, million_tokens: values::Money) -> Self {
        let price = |millionths: u64| million_tokens.of_millionths(millionths);
        let (message, input, cached, output) = match fare {
            Fare::Message(price) => (price.get().saturating_mul(1_000_000), 0, 0, 0),
            Fare::Usage(rates) => (0, rates.input, rates.cached, rates.output),
        };
        Self {
            prompt: price(input),
            completion: price(output),
            request: price(message),
            input_cache_read: price(cached),
        }
    }
}

impl<'a> Model<'a> {
    fn of(id: &'a str, max_model_len: Option<usize>) -> Self {
        Self {
            id,
            name: id,
            object: "model",
            created: 0,
            owned_by: "system",
            max_model_len,
            context_length: None,
            max_output_tokens: None,
            architecture: Architecture::of(true),
            fare: None,
            pricing: None,
        }
    }

    fn listed(
        model: &'a values::Model,
        prices: &StoredPrices,
        most: u32,
        longest: Option<usize>,
    ) -> Self {
        let million_tokens = prices.list.million_tokens;
        Self {
            created: prices.of.time / 1000,
            context_length: model.context,
            max_output_tokens: Some(model.most.unwrap_or(most)),
            architecture: Architecture::of(model.takes_pictures()),
            fare: Some(model.fare),
            pricing: million_tokens.map(|money| Pricing::of(model.fare, money)),
            ..Self::of(&model.name, longest)
        }
    }
}
