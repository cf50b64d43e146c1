//! The steps of a request to the AI that all APIs for programs share: verifying the caller,
//! charging, and answering a retry from the store. A [`Dialect`] reads the request and writes the
//! answer. The modules in this folder check the parts of a request that several dialects have.

pub(crate) mod cache;
pub(crate) mod custom;
pub(crate) mod json;
pub(crate) mod numbers;
pub(crate) mod tools;
pub(crate) mod turns;

use serde::de::DeserializeOwned;
use shared::ai::{CallPiece, Piece, Prompt, ReasoningPiece};
use shared::app::{AiApp, HandlerState, UsesSettings};
use shared::charge::{
    self, AnswerForm, AnswerStream, BeginOutcome, Charge, ChosenModel, Context, NewChat, RequestKey,
};
use shared::clock::Clock;
use shared::config::{
    self, AiConfig, ConfigError, EmptyBalance, Names, Settings, UnknownModels, Unsupported,
};
use shared::error::Failure;
use shared::http::{self, Events, FailureFormat};
use shared::values::idempotency::Key;
use shared::values::{AnswerBlock, Chat, Credential, Limit, Message, ModelKind, PRICED_PICTURE};
use shared::{App, Error, Reply, Request, Result, auth, extends};
use utoipa::openapi::schema::{Object, SchemaType, Type};

/// The time limit for a request, in seconds. An answer of 32,000 model tokens takes minutes. The
/// limit can't be much longer, because a chat must end before its day's figures are stored
/// (docs/internals/money.md).
pub(crate) const SECONDS: u32 = 600;

// The descriptions of the endpoints contain these numbers: 64 KB for a message, 16 KB for a picture.
const _: () = assert!(config::rows::PRICED_BYTES.default == 65_536 && PRICED_PICTURE == 16_384);

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

/// An API through which clients call the AI. A value contains the request options that determine
/// the form of the answer.
///
/// To add a dialect, create a folder with an endpoint's file, which calls [`answer`], and a type
/// that implements this trait:
///
/// | to provide | in |
/// |---|---|
/// | the fields of a request, and the prompt in them | [`Body`](Self::Body), [`read`](Self::read) |
/// | the reply with a whole answer | [`reply`](Self::reply) |
/// | the events of a streamed answer, and of a failure after them | [`Writer`](Self::Writer) |
/// | the format of all other failures, as in the endpoint's row | [`FAILURES`](Self::FAILURES) |
/// | a word that no other dialect uses, for idempotency keys | [`FORM`](Self::FORM) |
/// | the headers with credentials, unless only `Authorization` has one | [`caller`](Self::caller) |
/// | the headers that change the answer, if there are any | [`read_headers`](Self::read_headers) |
/// | what the body refers to, if it can refer to anything | [`resolve`](Self::resolve) |
///
/// Dialects don't need to handle credits.
pub(crate) trait Dialect: Send + Sized + 'static {
    /// The form of the answers. A retry gets the stored answer only if it requests the same form.
    const FORM: AnswerForm;

    /// The format of failures.
    const FAILURES: FailureFormat;

    /// The body of a request.
    type Body: DeserializeOwned + Send;

    /// Writes the events of a streamed answer.
    type Writer: AnswerWriter;

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

    /// Returns the reply that contains a stored answer.
    fn reply(&self, chat: &Chat) -> Reply;

    /// Begins the stream for the answer with this id. `began` is the time of the request, in
    /// milliseconds since 1970.
    fn writer(self, events: Events, chat_id: &str, began: u64) -> Self::Writer;
}

/// Writes the events of one answer. All functions fail if the client has disconnected.
pub(crate) trait AnswerWriter: Send {
    /// Sends a piece of the answer.
    fn send_piece(&mut self, piece: &Piece) -> impl Future<Output = Result<()>> + Send;

    /// Ends the stream after the answer's last piece. The answer is already stored.
    fn end(&mut self, chat: &Chat) -> impl Future<Output = Result<()>> + Send;

    /// Ends the stream with a failure, and [notes](Events::note) the failure.
    fn fail(&mut self, error: &Error) -> impl Future<Output = Result<()>> + Send;
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
pub(crate) async fn answer<D: Dialect>(app: CompletionApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let (caller, mut body) = read::<D>(&app, &req).await?;
    let resolved = D::resolve(&app, &caller, &mut body).await;
    let (mut asked, dialect) = D::read(body, app.config.message_limit)?;
    D::read_headers(&req, &mut asked.prompt);
    let (streamed, silence) = (asked.streamed, app.ai.config.silence);
    match begin::<D>(&app, &req, &caller, key.as_ref(), asked, resolved).await? {
        BeginOutcome::Replayed(chat) if streamed => {
            let reply = http::events(&req, D::FAILURES, silence, async move |events| {
                let mut writer = dialect.writer(events, &chat.chat_id, chat.time);
                for piece in pieces(&chat) {
                    writer.send_piece(&piece).await?;
                }
                writer.end(&chat).await
            });
            reply.map(http::replayed)
        }
        BeginOutcome::Replayed(chat) => dialect.reply(&chat).map(http::replayed),
        BeginOutcome::Charge(charge) if streamed => {
            let mut answering = AnswerStream::begin(charge).await?;
            let this_minute = *answering.this_minute();
            let reply = http::events(&req, D::FAILURES, silence, async move |events| {
                let mut writer = dialect.writer(events, answering.chat_id(), answering.began());
                while let Some(piece) = answering.next().await {
                    writer.send_piece(&piece).await?;
                }
                match answering.end().await {
                    Ok(paid) => writer.end(&paid.chat).await,
                    Err(error) => writer.fail(&error).await,
                }
            });
            limited(reply, &this_minute, D::FAILURES)
        }
        BeginOutcome::Charge(charge) => {
            let paid = charge.answer(None).await?;
            limited(dialect.reply(&paid.chat), &paid.this_minute, D::FAILURES)
        }
    }
}

/// Adds the headers that show how many more requests the client may send.
fn limited(reply: Reply, limit: &Limit, format: FailureFormat) -> Reply {
    reply.map(|reply| match format.is_openai() {
        true => http::limited_as_openai(reply, limit),
        false => http::limited(reply, limit),
    })
}

/// Verifies the caller's credential, and then reads the body. Bodies may be large, so an unknown
/// caller's body isn't read.
///
/// # Errors
/// Returns an error if the credential or the body is invalid.
async fn read<D: Dialect>(app: &App, req: &Request) -> Result<(Credential, D::Body)> {
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
async fn begin<D: Dialect>(
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
    let key = RequestKey::of_program(app, req, caller, key, D::FORM).await?;
    let context = Context::Given(Box::new(prompt));
    let (attachments, temporary) = (Vec::new(), false);
    let asked = NewChat { message, attachments, context, temporary, key, model, max_cost: None };
    Charge::begin(app, req, caller, asked).await.map_err(|error| match error {
        error if D::FAILURES.is_openai() => as_openai(app, error),
        Error::KeyRunning { .. } => Error::KeyRunning { seconds: PROGRAM_RETRY_SECONDS },
        error => error,
    })
}

/// Adapts a failure to OpenAI's clients: sets how long a retry should wait for the first request,
/// and the status for an empty balance.
pub(crate) fn as_openai(app: &CompletionApp, error: Error) -> Error {
    match error {
        Error::KeyRunning { .. } => Error::KeyRunning { seconds: PROGRAM_RETRY_SECONDS },
        empty @ (Error::InsufficientTokens { .. } | Error::KeyLimitReached { .. })
            if app.empty_balance == EmptyBalance::TooManyRequests =>
        {
            Error::OutOfQuota(Box::new(empty))
        }
        error => error,
    }
}

/// Returns a stored answer as stream pieces, in the order of its blocks. A text or a call is one
/// piece.
fn pieces(chat: &Chat) -> Vec<Piece> {
    let of_block = |block: AnswerBlock<'_>| match block {
        AnswerBlock::Reasoning(part) => {
            let text = Some(part.text.clone()).filter(|text| !text.is_empty());
            let pieces = [
                text.map(ReasoningPiece::Text),
                part.signature.clone().map(ReasoningPiece::Signature),
                part.encrypted.clone().map(ReasoningPiece::Encrypted),
            ];
            let pieces = pieces.into_iter().flatten();
            pieces.map(|piece| Piece { reasoning: Some(piece), ..Piece::default() }).collect()
        }
        AnswerBlock::Text(text) => {
            let (text, is_refusal) = (text.to_owned(), chat.refused);
            vec![Piece { text, is_refusal, ..Piece::default() }]
        }
        AnswerBlock::Call(index, call) => {
            let begins = Some((call.id.clone(), call.name.clone()));
            let call = CallPiece { index, begins, arguments: call.arguments.clone() };
            vec![Piece { call: Some(call), ..Piece::default() }]
        }
    };
    let by_model = |piece: Piece| Piece { model: chat.model_name().to_owned(), ..piece };
    chat.in_blocks(true).into_iter().flat_map(of_block).map(by_model).collect()
}

/// Returns the schema of a field that is always null here, but may be a string on other servers.
/// Client generators don't support a type that is only null.
pub(crate) fn null() -> Object {
    Object::with_type(SchemaType::from_iter([Type::String, Type::Null]))
}
