//! `GET /v1/models`, `GET /v1/models/{id}` - the configured models, as OpenAI's API lists them
//! ([reference](https://platform.openai.com/docs/api-reference/models)).
//!
//! In: an API key or an access token. Out: `{object: "list", data: [{id, object, created,
//! owned_by}]}`, in the order in which they are called, or one of them.

use std::sync::Arc;

use serde::Serialize;
use shared::app::Start;
use shared::clock::Clock;
use shared::config::{AiConfig, ConfigError, Settings};
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

/// Shows them only if the account accepts the token.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "OpenAI",
    summary = "List models",
    description = "The configured models, in the order in which they are called.",
    security(("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The models.", body = Models)),
)]
pub async fn handle(Catalog { app, models }: Catalog, req: Request) -> Reply {
    let caller = auth::program(&app, &req).await?;
    app.store.account_with(&caller).await?;
    let models = models.iter().map(String::as_str);
    match http::path_parameter(&req, "id") {
        "" => http::ok(&Models { object: "list", data: models.map(Model::of).collect() }),
        id => one(models, id),
    }
}

#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    operation_id = "model",
    tag = "OpenAI",
    summary = "Read a model",
    description = "One of the configured models.",
    security(("api_key" = []), ("access_token" = [])),
    params(("id" = String, Path, description = "The model's name.", example = "echo")),
    responses((status = 200, description = "The model.", body = Model)),
    extensions(("x-fails" = json!(["NoSuchModel"]))),
)]
pub(crate) fn one<'m>(mut models: impl Iterator<Item = &'m str>, id: &str) -> Reply {
    let named = models
        .find(|model| *model == id || http::escaped(model) == id)
        .ok_or(Error::NoSuchModel)?;
    http::ok(&Model::of(named))
}

/// An [`App`], and the names of the models. It never asks them.
#[derive(Clone)]
pub struct Catalog {
    app: App,
    models: Arc<[String]>,
}

impl Start for Catalog {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let models = AiConfig::models(settings)?.into();
        Ok(Self { app: App::start(settings, clock).await?, models })
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
struct Model<'a> {
    /// Its name.
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
}

impl<'a> Model<'a> {
    fn of(id: &'a str) -> Self {
        Self { id, object: "model", created: 0, owned_by: "system" }
    }
}
