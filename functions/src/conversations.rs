//! `GET /api/conversations` - the caller's conversations: the pinned ones, and then the others, the
//! most recently used one first.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page. Out: `id`,
//! `title`, `created`, `last_used`, `pinned` and `instructions` of each, as a bare list, and a `Link`
//! header to the next page.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::view::Conversation;
use shared::{App, Reply, Request, auth};

/// The scope of this list's cursors.
const SCOPE: &str = "conversations";

/// Reads the keys from an index at the same time as the account, and then the conversations.
#[utoipa::path(
    get,
    path = "/api/conversations",
    tag = "Conversations",
    summary = "List conversations",
    description = "The pinned ones come first, the most recently pinned one at the top, and then the others, the most recently used one first.",
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
