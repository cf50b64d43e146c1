//! `GET /api/admin/purchases` - all orders of packs, newest first, as a bare list. For
//! administrators.
//!
//! In: `attention=true` for the orders that owe tokens or are stranded, `limit` (1 to 100, by default
//! 20), `cursor` from the `Link` of the previous page. Out: the fields of a purchase, and `user_id`,
//! `username`, `stranded`, `disputed`, `session` and `payment`, and a `Link` header to the next page.

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::store::Order;
use shared::values::{Dispute, Stranded};
use shared::view::Purchase;
use shared::{App, Reply, Request, auth, http};
use utoipa::ToSchema;

/// The scope of this list's cursors.
const SCOPE: &str = "admin/purchases";

/// Reads the ids of the orders from an index, then the orders with strong consistency, and then the
/// buyers' names.
#[utoipa::path(
    get,
    path = super::path::admin_purchases,
    tag = "Administration",
    summary = "List purchases",
    description = "All orders of packs, newest first. With `attention=true` only those that owe tokens, because a refund couldn't take them from the balance, and those whose tokens couldn't be granted.",
    security(("access_token" = [])),
    params(("attention" = Option<bool>, Query, description = "Whether only orders are listed that an administrator should look at."), PageQuery),
    responses((status = 200, description = "A page of the orders.", body = Vec<OrderDetails>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &["attention"])?;
        let orders = match http::query_flag(&req, "attention")? {
            Some(true) => app.store.orders_to_look_at(paging.position()).await?,
            _ => app.store.orders(paging.position()).await?,
        };
        Ok((paging, orders))
    };
    let (administrator, (paging, (orders, more))) = auth::administrator(&app, &req, read).await?;
    let page = paging.prove(administrator.account(), SCOPE)?;
    let (shown, cut) = paging.cut(orders, more);
    let next = shown.last().filter(|_| cut).map(|order| order.id().to_owned());
    let names = app.store.usernames(shown.iter().map(|order| order.account.as_str())).await?;
    let data: Vec<_> = shown
        .iter()
        .map(|order| OrderDetails::of(order, names.get(&order.account).map(String::as_str)))
        .collect();
    page.reply(&data, next.as_deref())
}

/// An order as administrators see it.
#[derive(Serialize, ToSchema)]
struct OrderDetails<'a> {
    #[serde(flatten)]
    purchase: Purchase<'a>,
    /// The id of the buyer's account.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// The buyer's name. Null if the account was deleted.
    #[schema(required, examples("ann"))]
    username: Option<&'a str>,
    /// Why the tokens couldn't be granted: `account_deleted`, `grant_too_large` or `wrong_amount`.
    /// Null if they could.
    #[schema(required, value_type = Option<String>)]
    stranded: Option<Stranded>,
    /// Whether the buyer's bank demands the money back and hasn't decided yet.
    disputed: bool,
    /// The id of the Checkout Session at Stripe. Null if the payment page wasn't opened.
    #[schema(required, examples("cs_test_a1"))]
    session: Option<&'a str>,
    /// The id of the payment at Stripe. Null before the payment.
    #[schema(required, examples("pi_3"))]
    payment: Option<&'a str>,
}

impl<'a> OrderDetails<'a> {
    fn of(order: &'a Order, username: Option<&'a str>) -> Self {
        let facts = &order.facts;
        Self {
            purchase: Purchase::of(order),
            user_id: &order.account,
            username,
            stranded: order.stranded,
            disputed: facts.disputes.values().any(|dispute| *dispute == Dispute::Open),
            session: order.session.as_deref(),
            payment: facts.payment.as_deref(),
        }
    }
}
