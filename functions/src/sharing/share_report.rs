//! `POST /api/shares/{link}/reports` - report a shared chat to the administrators.
//!
//! Counts the report before it looks for the shared chat, so that a network can't try out links
//! without a limit.

use serde::Deserialize;
use shared::error::{Failure, required};
use shared::store::ShareReport;
use shared::values::{REPORTS_AN_HOUR, Reason};
use shared::view::Done;
use shared::{Error, Reply, Request, http};
use utoipa::ToSchema;

use super::share::{PathLink, SharingApp, link};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Takes reports about shared chats").throttled().permits(permits![
        scan(Keys),
        get(Users(&["user:*"])),
        get(Tokens(&["share:*"])),
        update(Tokens(&["share:*", "attempt:report:*"])),
        put(Tokens(&["report:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ShareReportRequest, examples(json!({ "reason": "It contains my address." })))]
struct Body {
    /// What is wrong with the shared chat.
    #[schema(value_type = Reason)]
    reason: Option<String>,
}

/// Report a shared chat
#[utoipa::path(
    post,
    path = super::path::share_report,
    tag = "Shared chats",
    description = format!(
        "Administrators can read the report, and end the shared chat. While ten reports about the \
         chat are open, further reports aren't stored. The request needs no access token. One \
         network can send {REPORTS_AN_HOUR} reports an hour."
    ),
    params(PathLink),
    request_body = Body,
    responses((status = 202, description = "The chat is reported.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchShare, Failure::TooManyReports, Failure::SharingOff]))),
)]
pub async fn handle(app: SharingApp, req: Request) -> Reply {
    let app = app.when_on()?;
    let Body { reason } = http::json(&req)?;
    let reason = required(reason)
        .and_then(|reason| Reason::parse(&reason))
        .map_err(|sentence| Error::field("reason", sentence))?;
    let link = link(&req)?;
    let network = http::source_network(&req);
    app.store.begin_report(network.as_deref(), app.clock.seconds()).await?;
    let share = app.store.open_share(&link).await?.ok_or(Error::NoSuchShare)?;
    let report = ShareReport::new(&share, &reason, &app.clock);
    app.store.report_share(&share, &report).await?;
    tracing::info!(share = share.id(), "a shared chat was reported");
    http::accepted(&Done {
        message: "Thank you. The administrators can see that this chat was reported.",
    })
}
