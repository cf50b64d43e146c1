//! The endpoints for OpenAI's clients, and the code that they share: settings, the start of each
//! request, and the functions, formats and messages in a request.

pub mod completions;
pub mod models;
pub mod responses;

mod format;
mod json;
mod tools;
mod turns;

use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::ai::{CallPiece, Piece, Prompt};
use shared::app::{AiApp, Reads, Start};
use shared::charge::{AnswerForm, BeginOutcome, Charge, Context, NewChat, Offer, RequestKey};
use shared::clock::Clock;
use shared::config::{AiConfig, ConfigError, EmptyBalance, Names, Settings, UnknownModels};
use shared::http::{self, FailureFormat};
use shared::values::idempotency::Key;
use shared::values::{Chat, Credential, Message};
use shared::{App, Error, Request, Result, auth};
use utoipa::openapi::schema::{Object, SchemaType, Type};

endpoints! {
    FailureFormat::OpenAi => {
        completions: POST "/v1/chat/completions";
        models:
            GET "/v1/models",
            GET models::ONE_PATH,
            GET models::KEY_PATH,
            GET models::CREDITS_PATH => find_model, show_key, show_credits;
    }
    FailureFormat::Responses => {
        responses: POST "/v1/responses";
    }
}

/// The seconds in the `Retry-After` header of the reply to a retry that arrives while the first
/// request is running. The time is longer than most answers take, because OpenAI's SDKs give up
/// after two retries.
const COME_AGAIN: u32 = 10;

/// An [`AiApp`], and the status of a reply to a caller with an empty balance.
#[derive(Clone)]
pub struct CompletionApp {
    asking: AiApp,
    empty_balance: EmptyBalance,
    unknown_models: UnknownModels,
}

impl Reads for CompletionApp {
    const SETTINGS: &'static [Names] =
        &[AiConfig::SETTINGS, EmptyBalance::SETTINGS, UnknownModels::SETTINGS];
}

impl Start for CompletionApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let empty_balance = EmptyBalance::read(settings)?;
        let unknown_models = UnknownModels::read(settings)?;
        Ok(Self { asking: AiApp::start(settings, clock).await?, empty_balance, unknown_models })
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        self.asking.app_mut()
    }
}

impl Deref for CompletionApp {
    type Target = AiApp;

    fn deref(&self) -> &AiApp {
        &self.asking
    }
}

/// Verifies the caller's credential, and then reads the body. Bodies may be large, so the bodies of
/// unknown callers aren't read.
///
/// # Errors
/// Fails if the credential or the body is invalid.
pub(crate) async fn read<T: DeserializeOwned>(app: &App, req: &Request) -> Result<(Credential, T)> {
    http::require_json(req)?;
    let caller = auth::program(app, req).await?;
    Ok((caller, http::json(req)?))
}

/// The model, the message and the whole prompt of a request.
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    pub(crate) message: Message,
    pub(crate) prompt: Prompt,
}

/// Begins to charge a message, or returns the stored answer to an earlier request with the same
/// idempotency key.
///
/// # Errors
/// Fails if the prompt is invalid for every model, or if [`Charge::begin`] fails.
pub(crate) async fn begin(
    app: &CompletionApp,
    req: &Request,
    caller: &Credential,
    key: Option<&Key>,
    form: AnswerForm,
    Asked { model, message, prompt }: Asked,
) -> Result<BeginOutcome> {
    // A retry of a request that has finished gets its answer, even if the model is gone meanwhile.
    let offer = Offer::choose(app, model.as_deref(), app.unknown_models, caller).await;
    if let Ok(offer) = &offer {
        offer.ai.check(&prompt)?;
    }
    let key = RequestKey::of_program(app, req, caller, key, form).await?;
    let context = Context::Given(Box::new(prompt));
    let asked = NewChat { message, context, key, offer, max_cost: None };
    Charge::begin(app, req, caller, asked).await.map_err(|error| match error {
        Error::KeyRunning { .. } => Error::KeyRunning { seconds: COME_AGAIN },
        empty @ (Error::InsufficientTokens { .. } | Error::KeyLimitReached { .. })
            if app.empty_balance == EmptyBalance::TooManyRequests =>
        {
            Error::OutOfQuota(Box::new(empty))
        }
        error => error,
    })
}

/// Returns a stored answer as pieces of a stream: the text is one piece, and so is each call.
pub(crate) fn pieces(chat: &Chat) -> Vec<Piece> {
    let text = Some(chat.response.clone()).filter(|text| !text.is_empty());
    let text = text.map(|text| Piece { text, ..Piece::default() });
    let calls = chat.calls.iter().enumerate().map(|(index, call)| {
        let begins = Some((call.id.clone(), call.name.clone()));
        let call = CallPiece { index, begins, arguments: call.arguments.clone() };
        Piece { call: Some(call), ..Piece::default() }
    });
    let by_model = |piece: Piece| Piece { model: chat.model_name().to_owned(), ..piece };
    text.into_iter().chain(calls).map(by_model).collect()
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

/// Checks the limit of model tokens in an answer. Some clients send -1 for no limit.
pub(crate) fn max_model_tokens(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None | Some(-1.0) => Ok(None),
        Some(tokens) if (1.0..=f64::from(u32::MAX)).contains(&tokens) => Ok(Some(tokens as u32)),
        Some(_) => Err(format!("An answer can have 1 to {} tokens.", u32::MAX)),
    }
}

/// Returns the constraints of [`max_model_tokens`] for the OpenAPI document.
pub(crate) fn model_token_limits() -> Value {
    json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": -1 }, { "type": "null" }] })
}

/// Returns the schema of a field that is always null here, but may be a text on other servers.
/// Generators of clients don't support a type that is only null.
pub(crate) fn null() -> Object {
    Object::with_type(SchemaType::from_iter([Type::String, Type::Null]))
}
