//! `GET /api/user/sessions` - where the caller is logged in: the account's live sessions, newest
//! first, as a bare list.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`.
//! Out: `id`, `device`, `began`, `last_used`, `ends` and `current` of each, and a `Link` header to
//! the next page. A page looks at a bounded number of sessions, so that it may hold few, or none,
//! and still have a next one.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::view::OwnSession;
use shared::{App, Reply, Request, auth};

/// What the cursors of this list are sealed for.
const SCOPE: &str = "sessions";

/// An index names the sessions while the account is read; the sessions themselves are then read
/// consistently.
#[utoipa::path(
    get,
    path = "/api/user/sessions",
    tag = "Sessions",
    summary = "List sessions",
    description = "Where somebody is logged in, newest first. A page looks at a bounded number of sessions: it may hold few, or none, and still have a next one.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the sessions.", body = Vec<OwnSession>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::of(&req, &[])?;

    let (account, ids) = tokio::join!(
        app.store.account_of(&caller),
        app.store.session_ids(&caller.user_id, paging.position())
    );
    let account = account?;
    let page = paging.prove(&account, SCOPE)?;
    let (ids, more) = ids?;
    let now = app.clock.seconds();
    let mut live = app.store.sessions(&ids).await?;
    live.retain(|session| session.opens(&account, now));

    let (shown, cut) = paging.cut(live, false);
    let next = match shown.last() {
        Some(last) if cut => Some(last.id()),
        _ => ids.last().filter(|_| more).map(String::as_str),
    };
    let data: Vec<_> =
        shown.iter().map(|session| OwnSession::of(session, &caller.session)).collect();
    page.reply(&data, next)
}
