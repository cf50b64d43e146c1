//! `GET /v1/models`, `GET /v1/models/{id}` - the configured models, as OpenAI's API lists them
//! ([reference](https://platform.openai.com/docs/api-reference/models)).
//!
//! In: an API key or an access token. Out:
//! `{object: "list", data: [{id, object, created, owned_by}]}`, in the order in which the models
//! are called, or one model. If the operator has changed the maximum length of a prompt, each model
//! has this length in tokens as `max_model_len`.

use std::sync::Arc;

use serde::Serialize;
use shared::app::Start;
use shared::clock::Clock;
use shared::config::{AiConfig, ConfigError, Settings};
use shared::error::Failure;
use shared::values::estimate_model_tokens;
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
)]
pub async fn handle(Catalog { app, models, longest }: Catalog, req: Request) -> Reply {
    let caller = auth::program(&app, &req).await?;
    app.store.account_with(&caller).await?;
    let models = models.iter().map(|model| Model::of(model, longest));
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
    extensions(("x-fails" = json!([Failure::NoSuchModel]))),
)]
pub(crate) fn find_model<'m>(mut models: impl Iterator<Item = Model<'m>>, id: &str) -> Reply {
    let is_it = |model: &Model<'m>| model.id == id || http::escaped(model.id) == id;
    http::ok(&models.find(is_it).ok_or(Error::NoSuchModel)?)
}

/// An [`App`], and the names of the models. Listing the models calls no provider.
#[derive(Clone)]
pub struct Catalog {
    app: App,
    models: Arc<[String]>,
    /// The maximum number of tokens in a prompt, if the operator has set it.
    longest: Option<usize>,
}

impl Start for Catalog {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let models = AiConfig::models(settings)?.into();
        let longest = AiConfig::chosen_prompt_limit(settings)?.map(estimate_model_tokens);
        Ok(Self { app: App::start(settings, clock).await?, models, longest })
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
    /// Always `model`.
    #[schema(pattern = "^model$", examples("model"))]
    object: &'static str,
    /// Always 0.
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
}

impl<'a> Model<'a> {
    fn of(id: &'a str, max_model_len: Option<usize>) -> Self {
        Self { id, object: "model", created: 0, owned_by: "system", max_model_len }
    }
}
