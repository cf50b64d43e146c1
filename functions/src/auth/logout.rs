//! `POST /api/logout` - end the caller's session, or all of the account's sessions.
//!
//! Updates the account and deletes the session in parallel. Idempotent.

use serde::Deserialize;
use shared::http::{self, cookie};
use shared::store::Ending;
use shared::view::Done;
use shared::{App, Reply, Request, auth};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Logs users out").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    delete(Tokens(&["session:*"])),
]);

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = LogOut, examples(json!({ "all": false })))]
struct Body {
    /// Whether to end all of the account's sessions.
    #[serde(default)]
    all: Option<bool>,
}

/// Log out
///
/// Ends the session of the request, or with `all` every session of the account. Their tokens are
/// invalid at once.
#[utoipa::path(
    post,
    path = super::path::logout,
    tag = "Sessions",
    security(("access_token" = [])),
    request_body = Option<Body>,
    responses((status = 200, description = "The session has ended.", body = Done, headers(("Set-Cookie" = String)))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let all = http::json_or_nothing::<Body>(&req)?.all.unwrap_or_default();
    let caller = auth::caller(&app, &req).await?;
    let ending = if all {
        Ending::All
    } else {
        Ending::One { session: &caller.session, ends: caller.session_ends }
    };

    let ended = app.store.end_sessions(&caller, ending, app.clock.seconds());
    tokio::try_join!(ended, app.store.delete_session(&caller.user_id, &caller.session))?;
    tracing::info!(user = caller.user_id, session = caller.session, all, "logged out");
    let reply =
        http::ok(&Done { message: if all { "Logged out everywhere." } else { "Logged out." } })?;
    cookie::cleared(reply, &req)
}
