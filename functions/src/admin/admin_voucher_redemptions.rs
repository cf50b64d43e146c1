//! `GET /api/admin/vouchers/{id}/redemptions` - the users who redeemed vouchers of a batch, newest
//! first, as a bare list. For administrators.
//!
//! Reads the batch and the redemptions' ids from an index in parallel, then the redemptions with
//! strong consistency, and then the usernames.

use std::borrow::Cow;

use serde::Serialize;
use shared::error::Failure;
use shared::http::Paging;
use shared::openapi::{PageQuery, PathId};
use shared::{App, Credits, Error, Reply, Request, auth, clock, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists who redeemed vouchers").permits(permits![
    VERIFY_TOKENS,
    query(UsersByTime),
    query(TokensByUser),
    get(Tokens(&["vouchers:*"])),
    get_many(Tokens(&["redeemed:*"])),
]);

/// The columns of the CSV file.
const COLUMNS: [&str; 5] = ["id", "timestamp", "user_id", "username", "tokens"];

/// List the redemptions of vouchers
///
/// The users who redeemed codes of a batch, newest first. Redemptions that earlier releases made
/// aren't listed. With `Accept: text/csv` the reply is a file for spreadsheets.
#[utoipa::path(
    get,
    path = super::path::admin_voucher_redemptions,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId, PageQuery),
    responses((
        status = 200,
        description = "A page of the redemptions.",
        content(
            (Vec<RedemptionDetails> = "application/json"),
            (String = "text/csv", example = json!(
                "\"id\",\"timestamp\",\"user_id\",\"username\",\"tokens\"\r\n"
            ))
        ),
    )),
    extensions(("x-fails" = json!([Failure::NoSuchVouchers]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &[])?;
        let found = match http::path_id(&req) {
            Some(id) => app.store.redemptions(&id, paging.position()).await?,
            None => None,
        };
        Ok((paging, found))
    };
    let (administrator, (paging, found)) = auth::administrator(&app, &req, read).await?;
    let (batch, redemptions, more) = found.ok_or(Error::NoSuchVouchers)?;
    let scope = format!("admin/redemptions?of={}", batch.id());
    let page = paging.prove(administrator.account(), &scope)?;
    let (shown, cut) = paging.cut(redemptions, more);
    let next = shown.last().filter(|_| cut).map(|redemption| redemption.row().to_owned());
    let users = shown.iter().map(|redemption| redemption.account.as_str());
    let names = app.store.usernames(users).await?;
    let data: Vec<_> = shown
        .iter()
        .map(|redemption| RedemptionDetails {
            id: redemption.row(),
            timestamp: clock::rfc3339(redemption.time()),
            user_id: &redemption.account,
            username: names.get(&redemption.account).map(String::as_str),
            tokens: batch.tokens,
        })
        .collect();
    let reply = if http::wants_csv(&req) { csv(&data)? } else { http::ok(&data)? };
    page.linked(reply, next.as_deref())
}

/// A redemption of a voucher.
#[derive(Serialize, ToSchema)]
#[schema(as = VoucherRedemption)]
struct RedemptionDetails<'a> {
    /// The id of the row in the user's statement.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// The user's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<&'a str>,
    /// The number of tokens that the user received.
    tokens: Credits,
}

fn csv(rows: &[RedemptionDetails<'_>]) -> Reply {
    let header = COLUMNS.into_iter().map(Cow::from).collect();
    http::csv([header].into_iter().chain(rows.iter().map(cells)))
}

fn cells<'r>(row: &'r RedemptionDetails<'_>) -> Vec<Cow<'r, str>> {
    vec![
        row.id.into(),
        row.timestamp.as_str().into(),
        row.user_id.into(),
        row.username.unwrap_or_default().into(),
        row.tokens.to_string().into(),
    ]
}
