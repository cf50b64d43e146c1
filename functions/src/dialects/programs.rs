//! The steps of a request to the AI that all APIs for programs share: verifying the caller, reading
//! the request, and recognizing retries. A [`ProgramDialect`] reads the request. The modules in this
//! folder check the parts of a request that several dialects have.

pub(crate) mod cache;
pub(crate) mod custom;
pub(crate) mod json;
pub(crate) mod numbers;
pub(crate) mod retries;
pub(crate) mod tools;
pub(crate) mod turns;

use serde::de::DeserializeOwned;
use shared::ai::Prompt;
use shared::app::{AiApp, HandlerState, UsesSettings};
use shared::charge::{self, AnswerForm, BeginOutcome, Charge, ChosenModel, Context, NewChat};
use shared::clock::Clock;
use shared::config::{
    self, AiConfig, ConfigError, EmptyBalance, Names, Settings, UnknownModels, Unsupported,
};
use shared::error::Failure;
use shared::http::{self, HeaderValue};
use shared::values::idempotency::Key;
use shared::values::{Credential, Message, ModelKind, PRICED_PICTURE};
use shared::{App, Error, Reply, Request, Result, auth, extends};
use utoipa::openapi::schema::{Object, SchemaType, Type};

use self::retries::Work;
use super::{Dialect, answer_in_pieces, answer_whole};

/// The time limit for a request, in seconds. An answer of 32,000 model tokens takes minutes. The
/// limit can't be much longer, because a chat must end before its day's figures are stored
/// (docs/internals/money.md).
pub(crate) const SECONDS: u32 = 600;

// The descriptions of the endpoints contain these numbers: 64 KB for a message, 16 KB for a picture.
const _: () = assert!(config::rows::PRICED_BYTES.default == 65_536 && PRICED_PICTURE == 16_384);

/// The request headers that web pages from other origins may send. In a browser, the SDKs of OpenAI,
/// Anthropic and OpenRouter send many.
pub(crate) const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, anthropic-beta, \
     anthropic-dangerous-direct-browser-access, anthropic-user-profile-id, anthropic-version, \
     anthropic-workspace-id, http-referer, openai-beta, openai-organization, openai-project, \
     user-agent, x-api-key, x-app, x-stainless-arch, x-stainless-helper, \
     x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, \
     x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, \
     x-stainless-timeout, x-title",
);

/// An [`AiApp`], together with the status code that callers with an empty balance get.
#[derive(Clone)]
pub struct CompletionApp {
    asking: AiApp,
    pub(crate) empty_balance: EmptyBalance,
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

/// A [`Dialect`] whose requests contain the whole prompt.
pub(crate) trait ProgramDialect: Dialect {
    /// The form of the answers. A retry gets the stored answer only if it requests the same form.
    const FORM: AnswerForm;

    /// The body of a request.
    type Body: DeserializeOwned + Send;

    /// Verifies the caller's credential. By default, the credential is in the header
    /// `Authorization`.
    ///
    /// # Errors
    /// Returns the errors of [`auth::program`].
    fn caller(app: &App, req: &Request) -> impl Future<Output = Result<Credential>> + Send {
        auth::program(app, req)
    }

    /// Replaces what the body refers to by what is stored. By default, bodies refer to nothing.
    ///
    /// # Errors
    /// Returns an error if the body refers to something that the caller can't read. The body then
    /// contains no references, and only the stored answer to an earlier request can be the reply.
    fn resolve(
        _app: &CompletionApp,
        _caller: &Credential,
        _body: &mut Self::Body,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Reads a request. The message that is stored in the history is shortened to `message_limit`
    /// characters.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] with each invalid field.
    fn read(body: Self::Body, message_limit: usize) -> Result<(Asked, Self)>;

    /// Adds what a request's headers ask for to the prompt. By default, headers don't change it.
    fn read_headers(_req: &Request, _prompt: &mut Prompt) {}

    /// Returns the work within which the client sends this request again after a failure, if the
    /// request tells it. [`retries`] recognizes the retries of other clients.
    fn work(_req: &Request) -> Option<Work> {
        None
    }

    /// Returns the status for a chat that costs more than the balance. By default, the operator
    /// chooses it.
    fn empty_balance(app: &CompletionApp) -> EmptyBalance {
        app.empty_balance
    }
}

/// The parts of a request: the model, the message and the whole prompt.
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    pub(crate) message: Message,
    pub(crate) prompt: Prompt,
    /// True if the client reads the answer as a stream.
    pub(crate) streamed: bool,
}

/// Returns the failures that a dialect's endpoint can reply with, for the OpenAPI document.
pub(crate) fn failures() -> Vec<Failure> {
    use Failure::{ApiKeyExpired, KeyLimitReached, NoSuchModel, OutOfQuota};
    [charge::FAILURES, &[ApiKeyExpired, KeyLimitReached, OutOfQuota, NoSuchModel]].concat()
}

/// Answers a request: holds the tokens, calls the AI, and then stores the answer or returns the
/// tokens. A retry gets the stored answer.
///
/// Returns an error if the request is refused or can't be answered. Failures after the first event
/// are sent as events.
pub(crate) async fn answer<D: ProgramDialect>(app: CompletionApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let (caller, mut body) = read::<D>(&app, &req).await?;
    let resolved = D::resolve(&app, &caller, &mut body).await;
    let (mut asked, dialect) = D::read(body, app.config.message_limit)?;
    D::read_headers(&req, &mut asked.prompt);
    let streamed = asked.streamed;
    let outcome = begin::<D>(&app, &req, &caller, key.as_ref(), asked, resolved).await?;
    match streamed {
        true => answer_in_pieces(outcome, dialect, &req, app.ai.config.silence).await,
        false => answer_whole(outcome, &dialect).await,
    }
}

/// Verifies the caller's credential, and then reads the body. Bodies may be large, so an unknown
/// caller's body isn't read.
///
/// # Errors
/// Returns an error if the credential or the body is invalid.
async fn read<D: ProgramDialect>(app: &App, req: &Request) -> Result<(Credential, D::Body)> {
    http::require_json(req)?;
    let caller = D::caller(app, req).await?;
    Ok((caller, http::json(req)?))
}

/// The value of `Retry-After`, in seconds, if a program's retry arrives while the first request is
/// still running. Most answers take less time, so the first request has probably finished by then.
/// OpenAI's SDKs give up after two retries.
const PROGRAM_RETRY_SECONDS: u32 = 10;

/// Begins charging for a message, or returns the stored answer to an earlier request with the same
/// idempotency key.
///
/// # Errors
/// Returns the error in `resolved`, an error if the model's providers don't support a feature that
/// the prompt needs, or an error of [`Charge::begin`].
async fn begin<D: ProgramDialect>(
    app: &CompletionApp,
    req: &Request,
    caller: &Credential,
    key: Option<&Key>,
    Asked { model, message, mut prompt, .. }: Asked,
    resolved: Result<()>,
) -> Result<BeginOutcome> {
    prompt.options.lenient |= app.unsupported == Unsupported::Ignore;
    // A retry of a finished request gets the stored answer, even if the model has since been
    // removed or supports fewer features, or if what the request refers to has been deleted.
    let (name, unknown) = (model.as_deref(), app.unknown_models);
    let model = ChosenModel::choose(app, ModelKind::Chat, name, unknown, caller).await;
    let model = resolved.and(model).and_then(|model| {
        model.ai.leave_out_unsent(&mut prompt);
        model.ai.check(&prompt).map(|()| model)
    });
    let key = retries::request_key(app, req, caller, key, D::FORM, D::work(req)).await?;
    let context = Context::Given(Box::new(prompt));
    let (attachments, temporary) = (Vec::new(), false);
    let asked = NewChat { message, attachments, context, temporary, key, model, max_cost: None };
    let begun = Charge::begin(app, req, caller, asked).await;
    begun.map_err(|error| refused(error, D::empty_balance(app)))
}

/// Adapts a refusal to programs: sets how long a retry should wait for the first request, and the
/// status for an empty balance.
pub(crate) fn refused(error: Error, empty_balance: EmptyBalance) -> Error {
    match error {
        Error::KeyRunning { .. } => Error::KeyRunning { seconds: PROGRAM_RETRY_SECONDS },
        empty @ (Error::InsufficientTokens { .. } | Error::KeyLimitReached { .. })
            if empty_balance == EmptyBalance::TooManyRequests =>
        {
            Error::OutOfQuota(Box::new(empty))
        }
        error => error,
    }
}

/// Returns the schema of a field that is always null here, but may be a string on other servers.
/// Client generators don't support a type that is only null.
pub(crate) fn null() -> Object {
    Object::with_type(SchemaType::from_iter([Type::String, Type::Null]))
}
