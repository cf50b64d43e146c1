//! `PATCH /api/conversations/{id}` - change the title of one of the caller's conversations.
//!
//! In: `{title}` of 1 to 100 characters. Out: the conversation; 404 if it isn't the caller's or was
//! deleted.

use serde::Deserialize;
use shared::chat::Title;
use shared::error::required;
use shared::openapi::PathId;
use shared::view::Conversation;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = Rename)]
struct Body {
    #[schema(value_type = Title)]
    title: Option<String>,
}

/// One conditional write, after the account has accepted the token.
#[utoipa::path(
    patch,
    path = "/api/conversations/{id}",
    tag = "Conversations",
    summary = "Rename a conversation",
    description = "Changes its title.",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The conversation with its new title.", body = Conversation)),
    extensions(("x-fails" = json!(["NoSuchConversation"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let Body { title } = http::json(&req)?;
    let title = required(title)
        .and_then(|text| Title::parse(&text))
        .map_err(|sentence| Error::field("title", sentence))?;
    app.store.account_of(&caller).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchConversation)?;
    let renamed = app.store.rename_conversation(&caller.user_id, &id, title.text()).await?;
    http::ok(&Conversation::of(&renamed))
}
