//! `POST /api/user/shares` - share a copy of a chat with everybody who gets its link.
//!
//! Reads the messages, and then stores all copies in one transaction. The transaction also checks
//! the account and how many shared chats it has, and counts how many it shares in an hour.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors, required};
use shared::store::NewShare;
use shared::values::{
    ParentChat, SHARED_BYTES, SHARED_MESSAGES, SHARES, SHARES_AN_HOUR, ShareLink,
};
use shared::view::OwnShare;
use shared::{Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use super::share::SharingApp;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shares chats").throttled().permits(permits![
    VERIFY_TOKENS,
    check(Users(&["user:*"])),
    allow(&[GetItem, BatchGetItem], Chats),
    query(ChatsByConversation),
    put(Tokens(&["share:*"])),
    update(Tokens(&["shares:*", "attempt:share:*"])),
]);

/// The error message for a temporary conversation, whose copy would outlive it.
const TEMPORARY: &str = "A temporary chat can't be shared, because it is deleted after a day.";

#[derive(Deserialize, ToSchema)]
#[schema(as = ShareRequest)]
struct Body {
    /// The id of the conversation. It can't be temporary.
    #[schema(value_type = String, required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    conversation_id: Option<String>,
    /// The id of the last message in the copy. It and the messages before it in its branch are
    /// copied. Without it, the branch with the newest message is copied.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    last_message_id: Option<String>,
    /// True if readers see the account's username. The default is false.
    show_author: Option<bool>,
}

/// Share a chat
#[utoipa::path(
    post,
    path = super::path::share_create,
    tag = "Shared chats",
    description = format!(
        "Copies a chat, so that everybody who knows the link can read the copy at `/s/{{link}}`, \
         until it is ended. Messages that are sent later aren't added. Readers see the title, the \
         messages, the answers and the models' names, but no prices, instructions or data of the \
         account. A shared chat has at most {SHARED_MESSAGES} messages and {SHARED_BYTES} bytes. \
         An account has at most {SHARES} shared chats, and shares at most {SHARES_AN_HOUR} an \
         hour."
    ),
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The shared chat.", body = OwnShare)),
    extensions(
        ("x-fails" = json!([
            Failure::NoSuchConversation, Failure::NoSuchChat, Failure::ShareTooLong,
            Failure::TooManyShares, Failure::TooManySharesNow, Failure::SharingOff
        ])),
        ("x-gives" = json!({
            "/api/user/shares/{id}": "/id",
            "/api/admin/shares/{id}": "/id",
            "/api/shares/{link}": "/link",
        })),
    ),
)]
pub async fn handle(app: SharingApp, req: Request) -> Reply {
    let app = app.when_on()?;
    let body: Body = http::json(&req)?;
    let caller = auth::caller(app, &req).await?;
    let (account, seconds) = (app.store.account_of(&caller).await?, app.clock.seconds());
    let Wanted { conversation, last, show_author } = body.validate()?;
    let (conversation, messages) = tokio::try_join!(
        app.store.conversation(&account.id, &conversation),
        app.store.messages_to_share(&account.id, &conversation, last.as_ref(), seconds),
    )?;
    let conversation = conversation.filter(|conversation| !conversation.is_expired(seconds));
    let conversation = conversation.ok_or(Error::NoSuchConversation)?;
    if conversation.expires_at.is_some() {
        return Err(Error::field("conversation_id", TEMPORARY));
    }
    let messages = messages.ok_or(Error::NoSuchChat)?;

    let link = ShareLink::random()?;
    let now = app.clock.millis();
    let new = NewShare::new(&link, &account, &conversation, &messages, show_author, now)?;
    app.store.create_share(&caller, &new).await?;
    tracing::info!(user = account.id, share = new.share().id(), "a chat was shared");
    http::created(&OwnShare::of(new.share()))
}

/// The valid fields of a request.
struct Wanted {
    conversation: String,
    last: Option<ParentChat>,
    show_author: bool,
}

impl Body {
    fn validate(self) -> Result<Wanted> {
        let mut invalid = FieldErrors::default();
        let conversation = required(self.conversation_id).and_then(|text| {
            http::id(&text).ok_or_else(|| "This must be the id of a conversation.".into())
        });
        let conversation = invalid.check("conversation_id", conversation);
        let last = self.last_message_id.map(|text| {
            http::id(&text).map(ParentChat::Message).ok_or("This must be the id of a message.")
        });
        let last = invalid.check("last_message_id", last.transpose());
        match (conversation, last) {
            (Some(conversation), Some(last)) => {
                let show_author = self.show_author.unwrap_or(false);
                Ok(Wanted { conversation, last, show_author })
            }
            _ => Err(invalid.into_error()),
        }
    }
}
