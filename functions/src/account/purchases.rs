//! `GET /api/user/purchases` - the packs on sale, and the caller's purchases, newest first.
//!
//! Reads the packs and the purchases' ids first, and then reads the purchases with strong
//! consistency.

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::values::Pack;
use shared::view::Purchase;
use shared::{App, Credits, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists packs and purchases").permits(permits![
    VERIFY_TOKENS,
    query(TokensByUser),
    get(Tokens(&["packs:*"])),
    get_many(Tokens(&["order:*"])),
]);

/// The scope of this list's cursors.
const SCOPE: &str = "purchases";

/// List packs and purchases
///
/// The packs that can be bought, and your purchases, newest first. Without packs, nothing is sold.
#[utoipa::path(
    get,
    path = super::path::purchases,
    tag = "Tokens",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "The packs, and a page of the purchases.", body = PacksAndPurchases)),
    extensions(("x-gives" = json!({ "purchase_create.pack": "/packs/0/id" }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::from_request(&req, &[])?;
    let (account, packs) = tokio::try_join!(app.store.account_of(&caller), app.store.packs())?;
    let page = paging.prove(&account, SCOPE)?;
    let (orders, more) = app.store.purchases(&account.id, paging.position()).await?;
    let (shown, cut) = paging.cut(orders, more);
    let next = shown.last().filter(|_| cut).map(|order| order.id().to_owned());
    let body = PacksAndPurchases {
        packs: packs.as_ref().map(|packs| packs.list.packs.as_slice()).unwrap_or_default(),
        tokens_owed: account.owed.unwrap_or_default(),
        purchases: shown.iter().map(Purchase::of).collect(),
    };
    page.linked(http::ok(&body)?, next.as_deref())
}

/// The packs on sale, and the account's purchases.
#[derive(Serialize, ToSchema)]
struct PacksAndPurchases<'a> {
    /// The packs that can be bought. Empty if nothing is sold.
    packs: &'a [Pack],
    /// The tokens that you owe for refunded purchases, because the balance was too low. They will
    /// be deducted from the next tokens you receive.
    #[schema(examples(0))]
    tokens_owed: Credits,
    /// The purchases.
    purchases: Vec<Purchase<'a>>,
}
