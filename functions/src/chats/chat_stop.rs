//! `POST /api/chat/stop` - stop the answer to one of the caller's messages.
//!
//! If the caller owns the message, marks its hold as stopped. The function that generates the
//! answer checks the hold once a second. A stopped function closes the connection to the AI, stores
//! the text that was delivered so far, and charges the message like any other message. Idempotent.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, required};
use shared::openapi::SentKey;
use shared::store::StopOutcome;
use shared::values::idempotency::{Key, Kind, LENGTH};
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Stops answers").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    get(Tokens(&["idem:*", "apikey:*"])),
]);

/// The message whose answer should be stopped.
#[derive(Deserialize, ToSchema)]
#[schema(as = StopRequest, examples(json!({ "idempotency_key": "a-key-7" })))]
struct Body {
    #[schema(value_type = SentKey)]
    idempotency_key: Option<String>,
}

/// A message, and the state of its answer after the stop request.
#[derive(Serialize, ToSchema)]
struct StoppedMessage<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    status: Status,
}

/// The state of the answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StopStatus)]
enum Status {
    /// The answer ends within two seconds, unless it is completed earlier.
    Stopping,
    /// The answer had already ended before this request.
    Ended,
}

/// Stop an answer
///
/// Stops the answer to a message. The text delivered so far is stored, with the `finish_reason`
/// `stopped`, and costs what an answer costs. A message whose request waits for the whole answer is
/// charged too, and its answer is empty. If nothing of a stream was delivered yet, nothing is
/// charged, and its request gets 410 `stopped`, unless its prompt has more than 32 KB. Only a
/// message that was sent with an `Idempotency-Key` can be stopped, also a completion or a response.
#[utoipa::path(
    post,
    path = super::path::chat_stop,
    tag = "Chat",
    security(("api_key" = []), ("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The answer is stopping, or had ended before.", body = StoppedMessage)),
    extensions(("x-fails" = json!([Failure::ApiKeyExpired, Failure::NothingToStop]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { idempotency_key } = http::json(&req)?;
    let caller = auth::program(&app, &req).await?;
    let key = required(idempotency_key).and_then(|text| {
        Key::parse(&text).ok_or_else(|| {
            format!("A key must have 1 to {LENGTH} visible ASCII characters.").into()
        })
    });
    let key = key.map_err(|sentence| Error::field("idempotency_key", sentence))?;
    let account = app.store.account_with(&caller).await?;
    let key_id = key.id(Kind::Chat, &account.id);
    let (id, status) = match app.store.stop(&account, &key_id, app.clock.seconds()).await? {
        StopOutcome::Marked(id) => {
            tracing::info!(user = account.id, chat = id, "chat stopped");
            (id, Status::Stopping)
        }
        StopOutcome::Settled(id) => (id, Status::Ended),
        StopOutcome::Unknown => return Err(Error::NothingToStop),
    };
    http::ok(&StoppedMessage { id: &id, status })
}
