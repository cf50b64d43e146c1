//! `GET /api/admin/shares` - the reports about shared chats, newest first, as a bare list. For
//! administrators.
//!
//! Reads the reports' ids from an index first, and then the reports and their shared chats with
//! strong consistency.

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::{Share, ShareReport};
use shared::{App, Reply, Request, auth, clock};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists reports about shared chats").permits(permits![
        VERIFY_TOKENS,
        query(TokensByUser),
        get_many(Tokens(&["report:*", "share:*"])),
    ]);

/// The scope of this list's cursors.
const SCOPE: &str = "admin/shares";

/// List reports about shared chats
///
/// The readers' reports, newest first. A report is kept for 90 days, or until the shared chat is
/// ended or an administrator dismisses the report.
#[utoipa::path(
    get,
    path = super::path::admin_shares,
    tag = "Administration",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the reports.", body = Vec<ReportedShare>)),
    extensions(("x-gives" = json!({ "/api/admin/shares/{id}/reports/{report}": "/0/id" }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &[])?;
        let reports = app.store.share_reports(paging.position(), app.clock.seconds()).await?;
        Ok((paging, reports))
    };
    let (administrator, (paging, (reports, more))) = auth::administrator(&app, &req, read).await?;
    let page = paging.prove(administrator.account(), SCOPE)?;
    let (shown, cut) = paging.cut(reports, more);
    let next = shown.last().filter(|_| cut).map(|(report, _)| report.id().to_owned());
    let data: Vec<_> =
        shown.iter().map(|(report, share)| ReportedShare::of(report, share.as_ref())).collect();
    page.reply(&data, next.as_deref())
}

/// A report about a shared chat.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportedShare<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// What is wrong with the shared chat, in the reader's words.
    #[schema(examples("It contains my address."))]
    reason: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    reported: String,
    /// The id of the shared chat.
    #[schema(format = "uuid", examples("8f14e45f-ceea-867a-9c41-0d5b8c1f7a36"))]
    share_id: &'a str,
    /// The link of the shared chat. Null if it has ended.
    #[schema(required)]
    link: Option<&'a str>,
    /// The title of the shared chat. Null if it has ended.
    #[schema(required)]
    title: Option<&'a str>,
    /// The id of the author's account. Null if the shared chat has ended.
    #[schema(required, format = "uuid")]
    user_id: Option<&'a str>,
    /// The key form of the author's username. Null if the shared chat has ended.
    #[schema(required)]
    username: Option<&'a str>,
    /// When the chat was shared. Null if the shared chat has ended.
    #[schema(required, format = "date-time")]
    shared: Option<String>,
}

impl<'a> ReportedShare<'a> {
    fn of(report: &'a ShareReport, share: Option<&'a Share>) -> Self {
        Self {
            id: report.id(),
            reason: &report.reason,
            reported: clock::rfc3339(report.time),
            share_id: &report.share,
            link: share.map(|share| share.link.as_str()),
            title: share.map(|share| share.title.as_str()),
            user_id: share.map(|share| share.user_id.as_str()),
            username: share.map(Share::username),
            shared: share.map(|share| clock::rfc3339(share.time)),
        }
    }
}
