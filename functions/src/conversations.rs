//! `GET /api/conversations` - the caller's conversations, the one that was used last first.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`. Out: `id`, `title`,
//! `created` and `last_used` of each, as a bare list, and a `Link` header to the next page.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::view::Conversation;
use shared::{App, Reply, Request, auth};

/// What the cursors of this list are sealed for.
const SCOPE: &str = "conversations";

/// The index names the conversations while the account is read; they are read for whom it admits.
#[utoipa::path(
    get,
    path = "/api/conversations",
    tag = "Conversations",
    summary = "List conversations",
    description = "The one that was used last comes first.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the conversations.", body = Vec<Conversation>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::of(&req, &[])?;

    let (account, keys) = tokio::join!(
        app.store.account_of(&caller),
        app.store.conversation_keys(&caller.user_id, paging.position(), paging.limit())
    );
    let account = account?;
    let page = paging.prove(&account, SCOPE)?;
    let (keys, more) = keys?;
    let conversations = app.store.conversations(&caller.user_id, &keys).await?;
    let data: Vec<_> = conversations.iter().map(Conversation::of).collect();
    page.reply(&data, conversations.last().filter(|_| more).map(|last| last.place()))
}
