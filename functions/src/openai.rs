//! The endpoints for OpenAI's clients, and the code that these endpoints share: their settings, the
//! steps of a request to the AI, and the functions, formats and messages in such a request.

pub mod completions;
pub mod models;
pub mod responses;
pub mod text_completions;

mod asking;
mod custom;
mod format;
mod json;
mod options;
mod reasoning;
mod tools;
mod turns;

use serde_json::{Value, json};
use shared::app::{AiApp, HandlerState, UsesSettings};
use shared::clock::Clock;
use shared::config::{
    AiConfig, ConfigError, EmptyBalance, Names, Settings, UnknownModels, Unsupported,
};
use shared::extends;
use shared::http::{BodyLimit, FailureFormat, Route};
use utoipa::openapi::schema::{Object, SchemaType, Type};

endpoints! {
    v1(FailureFormat::OpenAi) => {
        completions: POST "/v1/chat/completions";
        models:
            GET "/v1/models",
            GET models::ONE_PATH,
            GET models::KEY_PATH,
            GET models::CREDITS_PATH => find_model, show_key, show_credits;
    }
    v1(FailureFormat::Responses) => {
        responses: POST "/v1/responses";
    }
    v1(FailureFormat::TextCompletions) => {
        text_completions: POST "/v1/completions";
    }
}

/// Returns the fields that routes under `/v1` share.
const fn v1(failures: FailureFormat) -> Route {
    Route { body_limit: BodyLimit::Conversation, ..Route::without_path(failures) }
}

/// An [`AiApp`], together with the status code that callers with an empty balance get.
#[derive(Clone)]
pub struct CompletionApp {
    asking: AiApp,
    empty_balance: EmptyBalance,
    unknown_models: UnknownModels,
    unsupported: Unsupported,
}

extends!(CompletionApp, asking: AiApp);

impl UsesSettings for CompletionApp {
    const SETTINGS: &'static [Names] = &[
        AiConfig::SETTINGS,
        EmptyBalance::SETTINGS,
        UnknownModels::SETTINGS,
        Unsupported::SETTINGS,
    ];
}

impl HandlerState for CompletionApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let empty_balance = EmptyBalance::read(settings)?;
        let unknown_models = UnknownModels::read(settings)?;
        let unsupported = Unsupported::read(settings)?;
        let asking = AiApp::start(settings, clock).await?;
        Ok(Self { asking, empty_balance, unknown_models, unsupported })
    }
}

/// Checks that a number is between 0 and `most`.
pub(crate) fn number_up_to(number: Option<f64>, most: f64) -> Result<Option<f64>, String> {
    match number {
        Some(number) if !(0.0..=most).contains(&number) => {
            Err(format!("This must be a number from 0 to {most}."))
        }
        number => Ok(number),
    }
}

/// Validates the limit on an answer's model tokens. Some clients send -1 to mean no limit.
pub(crate) fn max_model_tokens(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None | Some(-1.0) => Ok(None),
        Some(tokens) if (1.0..=f64::from(u32::MAX)).contains(&tokens) => Ok(Some(tokens as u32)),
        Some(_) => Err(format!("An answer can have 1 to {} tokens.", u32::MAX)),
    }
}

/// Returns the constraints that [`max_model_tokens`] checks, for the OpenAPI document.
pub(crate) fn model_token_limits() -> Value {
    json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": -1 }, { "type": "null" }] })
}

/// Returns the schema of a field that is always null here, but may be a string on other servers.
/// Client generators don't support a type that is only null.
pub(crate) fn null() -> Object {
    Object::with_type(SchemaType::from_iter([Type::String, Type::Null]))
}
