//! `DELETE /api/admin/shares/{id}`, `DELETE /api/admin/shares/{id}/reports/{report}` - end a user's
//! shared chat, or dismiss a report about it. For administrators.
//!
//! Deletes the shared chat with its messages and reports in one transaction. The transaction also
//! checks that the caller is still an administrator.
//!
//! To dismiss a report, reads the report and the shared chat in parallel. One transaction deletes
//! the report, and checks that the caller is still an administrator.

use shared::error::Failure;
use shared::openapi::{self, PathId};
use shared::store::PlannedIntervention;
use shared::values::{Administrator, Intervention};
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::admin_user::ActReason;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators end shared chats").permits(permits![
        VERIFY_TOKENS,
        RECORD_ACTION,
        allow(&[GetItem, DeleteItem], Tokens(&["share:*", "report:*"])),
        update(Tokens(&["share:*", "shares:*"])),
    ]);

/// The path for dismissing a report.
pub(crate) const REPORT_PATH: &str = "/api/admin/shares/{id}/reports/{report}";

/// End a user's shared chat
///
/// The link stops working, and the copies of the messages and the reports are deleted. Caches may
/// show the shared chat for another minute. The audit log lists it. Administrators end their own
/// shared chats as users do.
#[utoipa::path(
    delete,
    path = super::path::admin_share_end,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Option<ActReason>,
    responses((status = 200, description = "The chat is no longer shared.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchShare, Failure::NoSuchUser, Failure::OwnAccount]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let why: ActReason = http::json_or_nothing(&req)?;
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchShare)?;
    match http::path_parameter(&req, "report") {
        "" => end(&app, &administrator, &id, why).await,
        report => dismiss(&app, &administrator, &id, report, why).await,
    }
}

async fn end(app: &App, administrator: &Administrator, id: &str, why: ActReason) -> Reply {
    let (share, author) = app.store.share_with_author(id).await?.ok_or(Error::NoSuchShare)?;
    let (what, reason) = (Intervention::Share, why.validate()?);
    let doing = PlannedIntervention::new(administrator, &author, what, reason, &app.clock)?;
    app.store.end_share_of_user(&doing, &share).await?;
    let by = &administrator.account().id;
    tracing::info!(subject = author.id, by, share = id, "a user's shared chat was ended");
    http::ok(&Done { message: "The chat is no longer shared." })
}

/// Dismiss a report about a shared chat
///
/// The report is deleted, and the chat stays shared. The audit log lists the dismissal, but not the
/// report's text.
#[utoipa::path(
    delete,
    path = REPORT_PATH,
    operation_id = "admin_share_report_dismiss",
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId, PathReport),
    request_body = Option<ActReason>,
    responses((status = 200, description = "The report is dismissed.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchReport, Failure::NoSuchShare]))),
)]
pub(crate) async fn dismiss(
    app: &App,
    administrator: &Administrator,
    id: &str,
    report: &str,
    why: ActReason,
) -> Reply {
    let report = http::id(report).ok_or(Error::NoSuchReport)?;
    let (store, reason) = (&app.store, why.validate()?);
    let reason = reason.as_ref();
    if !store.dismiss_report(administrator, id, &report, reason, &app.clock).await? {
        return Err(Error::NoSuchReport);
    }
    let by = &administrator.account().id;
    tracing::info!(by, share = id, report, "a report about a shared chat was dismissed");
    http::ok(&Done { message: "The report is dismissed." })
}

/// The `{report}` path parameter.
#[derive(Debug)]
pub struct PathReport;

impl IntoParams for PathReport {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = openapi::id().examples(["01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"]);
        vec![openapi::of_path("report", "The id of the report, as the list shows it.", id)]
    }
}
