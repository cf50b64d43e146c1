//! What a request for a chat asks, and under which idempotency key.

use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ai::Prompt;
use crate::auth::AccessToken;
use crate::chat::Message;
use crate::error::REQUIRED;
use crate::idempotency::{Key, Kind, fingerprint};
use crate::openapi::IdOrNone;
use crate::store::Call;
use crate::{App, Error, Request, Result, http};

/// What is asked, and under which key.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is to be answered.
    pub message: Message,
    /// After what.
    pub context: Context,
    /// Under which idempotency key, where there is one.
    pub key: Option<Keyed>,
}

/// What was said before a message.
#[derive(Clone, Debug)]
pub enum Context {
    /// Nothing: it begins a conversation.
    New,
    /// The conversation with this id.
    Conversation(String),
    /// What the caller says; the chat belongs to no conversation.
    Given(Prompt),
}

/// An idempotency key, and what is asked under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The key's id.
    pub id: String,
    /// What is asked, as a hash.
    pub fingerprint: String,
    /// Whether it was made for this request, so that nobody can have used it before.
    pub fresh: bool,
}

impl Keyed {
    /// The key that a client sent with a completion's body.
    pub fn of_completion(key: &Key, caller: &AccessToken, req: &Request) -> Self {
        Self::sent(key, caller, completion(req))
    }

    fn sent(key: &Key, caller: &AccessToken, fingerprint: String) -> Self {
        Self { id: key.id(Kind::Chat, &caller.user_id), fingerprint, fresh: false }
    }

    /// The key of a call whose client names none, but says whether it sends the same `again`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn of_call(
        app: &App,
        req: &Request,
        caller: &AccessToken,
        again: bool,
    ) -> Result<Self> {
        let (fresh, fingerprint) = (Uuid::new_v4().simple().to_string(), completion(req));
        let now = app.clock.millis();
        // SAM CLI says of every request that it came when SAM CLI was started.
        let came = if app.config.sam_local { now } else { http::came(req, now) };
        let call = Call { user_id: &caller.user_id, payload: &fingerprint, again, came };
        let id = app.store.key_of(call, &fresh).await?;
        Ok(Self { fresh: id == fresh, id, fingerprint })
    }
}

/// A completion that is asked for, as a hash that no other kind of request has.
fn completion(req: &Request) -> String {
    fingerprint(json!(["completion", fingerprint(req.body())]).to_string())
}

/// The body of a request for a chat.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatRequest)]
pub struct Body {
    #[schema(value_type = Message)]
    message: Option<String>,
    /// The conversation that it goes on in. Without one it begins a new one.
    #[schema(value_type = Option<IdOrNone>)]
    conversation_id: Option<String>,
    /// An access token, for clients that send none in the header `Authorization`.
    token: Option<String>,
}

/// Who asks, and what: a message in a conversation of theirs, or at the beginning of one.
///
/// # Errors
/// What of the request is missing or may not be so.
pub async fn read(app: &App, req: &Request) -> Result<(AccessToken, Asked)> {
    let key = http::idempotency_key(req)?;
    let Body { message, conversation_id, token } = http::json(req)?;
    let caller = match http::authorization(req)? {
        Some(token) => AccessToken::verify(app, token).await?,
        None => AccessToken::verify(app, &token.ok_or(Error::NotAuthenticated)?).await?,
    };
    let message = message.ok_or_else(|| REQUIRED.to_owned());
    let message = message
        .and_then(|text| Message::parse(text, app.config.message_limit))
        .map_err(|sentence| Error::field("message", sentence))?;
    let asked = Asked::new(&caller, message, conversation_id, key)?;
    Ok((caller, asked))
}

/// The id of a conversation in its usual form.
///
/// # Errors
/// [`Error::Invalid`] for what is no id.
pub fn conversation_id(text: &str) -> Result<String> {
    let id = Uuid::try_parse(text)
        .map_err(|_| Error::field("conversation_id", "This is not the id of a conversation."))?;
    Ok(id.to_string())
}

impl Asked {
    fn new(
        caller: &AccessToken,
        message: Message,
        conversation: Option<String>,
        key: Option<Key>,
    ) -> Result<Self> {
        let conversation =
            conversation.filter(|id| !id.is_empty()).map(|id| conversation_id(&id)).transpose()?;
        let payload = match &conversation {
            None => json!(["chat", message.text()]),
            Some(id) => json!(["chat", id, message.text()]),
        };
        let key = key.map(|key| Keyed::sent(&key, caller, fingerprint(payload.to_string())));
        Ok(Self { message, context: conversation.map_or(Context::New, Context::Conversation), key })
    }
}
