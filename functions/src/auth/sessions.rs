//! `GET /api/user/sessions` - the caller's active sessions, newest first, as a bare list.
//!
//! Reads the account and the ids of its sessions in parallel, and then the sessions. The ids come
//! from an index. Unlike the index, the sessions are read with strong consistency.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::view::OwnSession;
use shared::{App, Reply, Request, auth};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists sessions").permits(permits![
    VERIFY_TOKENS,
    query(TokensByUser),
    get_many(Tokens(&["session:*"])),
]);

/// The scope of this list's cursors.
const SCOPE: &str = "sessions";

/// List sessions
///
/// The account's active sessions, newest first. A page reads a limited number of sessions: it may
/// be short or empty, and still have a next page.
#[utoipa::path(
    get,
    path = super::path::sessions,
    tag = "Sessions",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the sessions.", body = Vec<OwnSession>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::from_request(&req, &[])?;

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
