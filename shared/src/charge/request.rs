//! A request to the AI: the message, the conversation before it, and the idempotency key.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AiApp;
use crate::charge::chosen_model::ChosenModel;
use crate::charge::context::Context;
use crate::config::UnknownModels;
use crate::error::REQUIRED;
use crate::openapi::{AfterOrNone, IdOrNone};
use crate::store::UnkeyedRequest;
use crate::values::file::{FILE_BYTES, FILES_OF_MESSAGE, PICTURES_IN_PROMPT};
use crate::values::idempotency::{Key, Kind, fingerprint};
use crate::values::{
    AccessToken, Attachment, Credential, Invalid, Message, ModelKind, NOT_IN_FOLDER, ParentChat,
    Whole,
};
use crate::{App, Credits, Error, Request, Result, http};

/// The chat that a request asks for.
#[derive(Clone)]
pub struct NewChat {
    /// The message to answer.
    pub message: Message,
    /// The files of the message.
    pub attachments: Vec<Attachment>,
    /// The context of the message.
    pub context: Context,
    /// True if the chat begins a temporary conversation.
    pub temporary: bool,
    /// The idempotency key, if there is one.
    pub key: Option<RequestKey>,
    /// The requested model. If the model can't be used, or if the request refers to something that
    /// can't be read, the error is returned only if no earlier request with the same idempotency key
    /// has finished or is running.
    pub model: Result<ChosenModel>,
    /// The request's limit on the chat's cost, if it sets one.
    pub max_cost: Option<Credits>,
}

/// An idempotency key, with the hash of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key's id.
    pub id: String,
    /// The hash of the payload.
    pub fingerprint: String,
    /// True if the key was generated for this request, so that no earlier request can have used it.
    pub fresh: bool,
    /// True if the client chose the key, and can therefore stop the chat.
    pub by_client: bool,
}

/// The form of the answers that a program asks for. A retry gets the stored answer only if it asks
/// for the same form.
#[derive(Clone, Copy, Debug)]
pub struct AnswerForm {
    /// A word that no other form uses. It is part of stored fingerprints, so it must never change.
    pub word: &'static str,
    /// False if the answers aren't stored. Requests with equal bodies then never count as retries,
    /// because each would be free work.
    pub is_stored: bool,
}

impl AnswerForm {
    /// A form whose answers are stored.
    pub const fn stored(word: &'static str) -> Self {
        Self { word, is_stored: true }
    }

    /// Returns the hash of a request with this payload. Requests with the same body, but for
    /// different forms, have different hashes.
    pub fn fingerprint(self, payload: &str) -> String {
        fingerprint(json!([self.word, payload]).to_string())
    }

    /// Returns the caller's API key if requests with equal bodies are retries.
    pub fn key_of_equal_bodies(self, caller: &Credential) -> Option<&str> {
        caller.key_of_equal_bodies().filter(|_| self.is_stored)
    }
}

impl RequestKey {
    /// Returns the key that the client sent. `fingerprint` is the hash of the payload.
    pub fn sent(key: &Key, caller: &Credential, fingerprint: String) -> Self {
        let id = key.id(Kind::Chat, caller.user_id());
        Self { id, fingerprint, fresh: false, by_client: true }
    }

    /// Returns the key for a request without a key, within a unit of the client's work that has an
    /// id, such as a session. `within` names the kind of unit and the client; it is part of stored
    /// ids. Such a unit has many requests with different bodies, so the key contains the payload's
    /// hash. It also contains a control character, so it never equals a key that a client sends.
    pub fn within((kind, unit): (&str, &str), caller: &Credential, fingerprint: String) -> Self {
        let key = Key::within(kind, unit, &fingerprint);
        Self { by_client: false, ..Self::sent(&key, caller, fingerprint) }
    }

    /// Returns the key for a call that was sent without a key. `again` is true if the client marks
    /// the request as a retry.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the store doesn't answer.
    pub async fn of_call(
        app: &App,
        req: &Request,
        caller: &Credential,
        form: AnswerForm,
        again: bool,
    ) -> Result<Self> {
        let fresh = Uuid::new_v4().simple().to_string();
        let fingerprint = form.fingerprint(&fingerprint(req.body()));
        let now = app.clock.millis();
        // SAM CLI reports its own start time as the time of every request.
        let came = if app.config.sam_local { now } else { http::received_at(req, now) };
        let (user_id, api_key) = (caller.user_id(), form.key_of_equal_bodies(caller));
        let request = UnkeyedRequest { user_id, api_key, payload: &fingerprint, again, came };
        let id = app.store.key_of(request, &fresh).await?;
        Ok(Self { fresh: id == fresh, id, fingerprint, by_client: false })
    }
}

/// A message for the AI.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatRequest, examples(json!({ "message": "Hello!" })))]
pub struct Body {
    #[schema(value_type = Message)]
    message: Option<String>,
    /// The files that the AI gets with this message and with all later messages of the
    /// conversation: at most 8, of which at most 4 are pictures.
    #[schema(max_items = 8)]
    attachments: Option<Vec<AttachmentBody>>,
    /// The conversation that the message continues. Without `conversation_id`, the message begins a
    /// new conversation.
    #[schema(value_type = Option<IdOrNone>)]
    conversation_id: Option<String>,
    /// The message in the conversation that this message follows, or `start` if this message is
    /// another version of the conversation's first message. Use `after` to edit a message, or to
    /// have a message answered again. Without `after`, this message follows the newest message.
    #[schema(value_type = Option<AfterOrNone>)]
    after: Option<String>,
    /// The folder in which the message begins a conversation, which can't be temporary. For a
    /// conversation that exists, use `PATCH /api/conversations/{id}`.
    #[schema(value_type = Option<IdOrNone>)]
    folder_id: Option<String>,
    /// The name, in the price list, of the model that should answer. Without `model`, the list's
    /// first model answers. Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// The most tokens that the message may cost. If the answer could cost more, it is shortened.
    /// If even the shortest answer would cost more, the message is refused with `costs_more`.
    #[schema(value_type = Option<Credits>)]
    max_cost: Option<Whole<u64>>,
    /// True if the message begins a temporary conversation. Lists and searches don't show it, and
    /// it is deleted after a day. It is charged like any other. Can't be combined with
    /// `conversation_id`: further messages are as temporary as their conversation.
    temporary: Option<bool>,
    /// An access token, for clients that don't send the `Authorization` header.
    token: Option<String>,
}

/// A file in a request, with either `data` or `text`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Attachment, examples(json!({ "name": "notes.txt", "text": "Hello world" })))]
struct AttachmentBody {
    /// The name. If it is a path, only the part after the last slash is kept. Invisible characters
    /// are removed.
    #[schema(min_length = 1, examples("notes.txt"))]
    name: String,
    /// The media type. For a picture, it must be the type of its data if it is sent.
    #[serde(rename = "type")]
    #[schema(examples("text/plain"))]
    kind: Option<String>,
    /// A PNG, JPEG or WebP of at most 307,200 bytes, as Base64.
    #[schema(content_encoding = "base64")]
    data: Option<String>,
    /// A text of at most 307,200 bytes.
    #[schema(min_length = 1, examples("Hello world"))]
    text: Option<String>,
}

// `max_items` and the comments above contain these numbers.
const _: () = assert!(FILES_OF_MESSAGE == 8 && FILE_BYTES == 307_200);

/// Checks a message's files.
fn attachments(sent: Vec<AttachmentBody>) -> Result<Vec<Attachment>, Invalid> {
    if sent.len() > FILES_OF_MESSAGE {
        return Err(format!("A message can have at most {FILES_OF_MESSAGE} files.").into());
    }
    let parse = |sent: AttachmentBody| {
        let AttachmentBody { name, kind, data, text } = sent;
        Attachment::parse(&name, kind.as_deref(), data.as_deref(), text)
    };
    let files: Vec<Attachment> = sent.into_iter().map(parse).collect::<Result<_, _>>()?;
    if files.iter().filter(|file| file.is_picture()).count() > PICTURES_IN_PROMPT {
        return Err(format!("A message can have at most {PICTURES_IN_PROMPT} pictures.").into());
    }
    Ok(files)
}

/// Reads the caller and the message from a request. The message continues one of the caller's
/// conversations, or begins a new conversation.
///
/// # Errors
/// Returns an error if the request or the access token is invalid.
pub async fn read(app: &AiApp, req: &Request) -> Result<(Credential, NewChat)> {
    let key = http::idempotency_key(req)?;
    asked(app, key, http::json(req)?, http::authorization(req)?).await
}

/// Like [`read`], but for the routes of old clients, which also accept a form as the body and an
/// `Authorization` header that contains only the token.
///
/// # Errors
/// Returns the same errors as [`read`].
pub async fn read_of_old_client(app: &AiApp, req: &Request) -> Result<(Credential, NewChat)> {
    let key = http::idempotency_key(req)?;
    asked(app, key, http::fields(req)?, http::authorization_or_token(req)?).await
}

async fn asked(
    app: &AiApp,
    key: Option<Key>,
    body: Body,
    authorization: Option<&str>,
) -> Result<(Credential, NewChat)> {
    let Body {
        message,
        attachments: sent,
        conversation_id,
        after,
        folder_id,
        model,
        max_cost,
        temporary,
        token,
    } = body;
    let caller = match authorization {
        Some(token) => AccessToken::verify(app, token).await?,
        None => AccessToken::verify(app, &token.ok_or(Error::NotAuthenticated)?).await?,
    };
    let caller = Credential::Session(caller);
    let message = message.ok_or_else(|| REQUIRED.into());
    let message = message
        .and_then(|text| Message::parse(text, app.config.message_limit))
        .map_err(|sentence| Error::field("message", sentence))?;
    let attachments = attachments(sent.unwrap_or_default())
        .map_err(|sentence| Error::field("attachments", sentence))?;
    let context = context(conversation_id, after, folder_id)?;
    let temporary = temporary.unwrap_or_default();
    match context {
        Context::New { folder: Some(_) } if temporary => {
            return Err(Error::field("folder_id", NOT_IN_FOLDER));
        }
        Context::Conversation { .. } if temporary => {
            return Err(Error::field("temporary", NOT_NEW));
        }
        _ => {}
    }
    let max_cost = max_cost.map(|Whole(most)| Credits::new(most).ok_or(TOO_MUCH)).transpose();
    let max_cost = max_cost.map_err(|sentence| Error::field("max_cost", sentence))?;
    let (kind, unknown) = (ModelKind::Chat, UnknownModels::Refuse);
    let chosen = ChosenModel::choose(app, kind, model.as_deref(), unknown, &caller).await;
    let chosen =
        chosen.and_then(|model| model.ai.check_message(message.text().len()).map(|()| model));
    let chosen = chosen.map_err(|error| match error {
        Error::NoSuchModel(_) => Error::field("model", UNLISTED),
        error => error,
    });
    let key = key.map(|key| {
        let model = model.as_deref().filter(|model| !model.is_empty());
        let payload = payload(&context, &message, model);
        let payload = if temporary { json!(["temporary", payload]) } else { payload };
        let payload = match attachments.is_empty() {
            true => payload,
            false => {
                let files: Vec<String> = attachments.iter().map(Attachment::fingerprint).collect();
                json!([payload, files])
            }
        };
        RequestKey::sent(&key, &caller, fingerprint(payload.to_string()))
    });
    Ok((caller, NewChat { message, attachments, context, temporary, key, model: chosen, max_cost }))
}

/// Parses the id of a conversation. Returns the id as a hyphenated lower-case UUID.
///
/// # Errors
/// Returns [`Error::Invalid`] if `text` isn't an id.
pub fn conversation_id(text: &str) -> Result<String> {
    let id = Uuid::try_parse(text)
        .map_err(|_| Error::field("conversation_id", "This must be the id of a conversation."))?;
    Ok(id.to_string())
}

/// Parses the id of a folder. Returns the id as a hyphenated lower-case UUID.
///
/// # Errors
/// Returns [`Error::Invalid`] if `text` isn't an id.
pub fn folder_id(text: &str) -> Result<String> {
    let id = Uuid::try_parse(text)
        .map_err(|_| Error::field("folder_id", "This must be the id of a folder."))?;
    Ok(id.to_string())
}

/// The error message for a `max_cost` above the largest possible balance.
const TOO_MUCH: &str = "This must be a whole number of at most a trillion.";

/// The error message for a request with `temporary` that continues a conversation.
const NOT_NEW: &str =
    "Only a new conversation can be temporary. Send this without conversation_id, or omit it.";

/// The error message for a model that isn't in the price list.
const UNLISTED: &str =
    "The price list has no model with this name; GET /api/models shows the list.";

/// The error message for a request with `after` but without a conversation.
const NO_CONVERSATION: &str = "Also send the conversation_id of the message that this one follows.";

/// The error message for a request with a conversation and a folder.
const HAS_FOLDER: &str = "Send this only with a message that begins a conversation.";

/// The error message if `after` refers to a deleted message, or to a message in a different
/// conversation.
pub(super) const NOT_IN_CONVERSATION: &str =
    "The conversation has no message with this id. It may have been deleted.";

/// Returns the conversation that precedes the request's message.
fn context(
    conversation: Option<String>,
    after: Option<String>,
    folder: Option<String>,
) -> Result<Context> {
    let after = after.filter(|word| !word.is_empty());
    let folder = folder.filter(|id| !id.is_empty());
    let folder = folder.map(|id| folder_id(&id)).transpose()?;
    match (conversation.filter(|id| !id.is_empty()), after) {
        (None, None) => Ok(Context::New { folder }),
        (Some(_), _) if folder.is_some() => Err(Error::field("folder_id", HAS_FOLDER)),
        (None, Some(_)) => Err(Error::field("after", NO_CONVERSATION)),
        (Some(id), None) => Ok(Context::Conversation { id: conversation_id(&id)?, after: None }),
        (Some(id), Some(word)) => {
            let after = ParentChat::parse(&word).ok_or_else(|| {
                Error::field("after", "This must be the id of a message, or start.")
            });
            Ok(Context::Conversation { id: conversation_id(&id)?, after: Some(after?) })
        }
    }
}

/// Returns the payload of a request. When an idempotency key is used again, the hashes of the
/// payloads are compared. Requests that differ only in `max_cost` have the same payload. Without a
/// model, the payload is the same as in earlier releases.
fn payload(context: &Context, message: &Message, model: Option<&str>) -> Value {
    let payload = match context {
        Context::New { folder: None } | Context::Given(_) => json!(["chat", message.text()]),
        Context::New { folder: Some(id) } => json!(["chat", message.text(), { "folder": id }]),
        Context::Conversation { id, after: None } => json!(["chat", id, message.text()]),
        Context::Conversation { id, after: Some(after) } => {
            json!(["chat", id, message.text(), after.word()])
        }
    };
    match model {
        None => payload,
        Some(model) => json!([payload, model]),
    }
}
