//! `DELETE /api/user/sessions/{id}` - end one of the caller's sessions.
//!
//! Reads the session and the account in parallel, and then ends the session.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Ends one session of the caller").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    allow(&[GetItem, DeleteItem], Tokens(&["session:*"])),
]);

/// End a session
///
/// For example, the session of a lost device. All its tokens are invalid at once.
#[utoipa::path(
    delete,
    path = super::path::session_end,
    tag = "Sessions",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The session has ended.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchSession]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let now = app.clock.seconds();
    let (account, session) = tokio::join!(
        app.store.account_of(&caller),
        app.store.session(http::path_parameter(&req, "id"))
    );
    let account = account?;
    let session =
        session?.filter(|session| session.opens(&account, now)).ok_or(Error::NoSuchSession)?;

    app.store.end_session(&caller, &session, now).await?;
    tracing::info!(user = account.id, session = session.id(), "a session was ended");
    http::ok(&Done { message: "The session has ended." })
}
