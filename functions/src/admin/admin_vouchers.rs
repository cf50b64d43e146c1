//! `GET /api/admin/vouchers` - the batches of vouchers, newest first, as a bare list. For
//! administrators.
//!
//! Reads the batches' ids from an index first, and then reads the batches with strong consistency.
//! The store contains only hashes of the codes.

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::VoucherBatch;
use shared::{App, Credits, Reply, Request, auth, clock};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists vouchers").permits(permits![
    VERIFY_TOKENS,
    query(TokensByUser),
    get_many(Tokens(&["vouchers:*"])),
]);

/// The scope of this list's cursors.
const SCOPE: &str = "admin/vouchers";

/// List vouchers
///
/// The batches of vouchers, newest first. Only the reply that created a batch has its codes.
#[utoipa::path(
    get,
    path = super::path::admin_vouchers,
    tag = "Administration",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of the batches.", body = Vec<Vouchers>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &[])?;
        let batches = app.store.voucher_batches(paging.position()).await?;
        Ok((paging, batches))
    };
    let (administrator, (paging, (batches, more))) = auth::administrator(&app, &req, read).await?;
    let page = paging.prove(administrator.account(), SCOPE)?;
    let (shown, cut) = paging.cut(batches, more);
    let next = shown.last().filter(|_| cut).map(|batch| batch.id().to_owned());
    let data: Vec<_> = shown.iter().map(Vouchers::of).collect();
    page.reply(&data, next.as_deref())
}

/// A batch of vouchers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Vouchers<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// The name, which users see in their statement.
    #[schema(examples("Spring campaign"))]
    name: &'a str,
    /// The number of tokens that each use of a code grants.
    tokens: Credits,
    /// The number of codes.
    count: u32,
    /// The number of accounts that can use each code.
    uses: u32,
    /// How many times the codes have been used in total.
    redeemed: u64,
    /// When the codes expire. Null if they don't expire.
    #[schema(format = "date-time")]
    ends: Option<String>,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    created: String,
    /// The id of the administrator who created the batch, or `manage` for the command line.
    creator: &'a str,
    /// When the batch was voided. Null if it wasn't.
    #[schema(format = "date-time")]
    voided: Option<String>,
}

impl<'a> Vouchers<'a> {
    pub(crate) fn of(batch: &'a VoucherBatch) -> Self {
        Self {
            id: batch.id(),
            name: &batch.name,
            tokens: batch.tokens,
            count: batch.count,
            uses: batch.uses,
            redeemed: batch.redeemed,
            ends: batch.ends.map(|second| clock::rfc3339(second * 1000)),
            created: clock::rfc3339(batch.time),
            creator: &batch.actor,
            voided: batch.void.map(clock::rfc3339),
        }
    }
}
