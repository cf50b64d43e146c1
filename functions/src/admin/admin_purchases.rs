//! `GET /api/admin/purchases` - all purchases, newest first, as a bare list. For administrators.
//!
//! In: `attention=true` for purchases that are stranded, disputed, or refunded with tokens still
//! owed, `state` for the purchases in the given states, `limit` (1 to 100, by default 20), `cursor`
//! from the `Link` of the previous page. Out: the fields of a purchase, and `user_id`, `username`,
//! `stranded`, `disputed`, `session` and `payment`, and a `Link` header to the next page. With
//! `state`, a page may contain few purchases, or none at all, even though there is a next page.

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::{self, PageQuery};
use shared::store::Order;
use shared::values::Stranded;
use shared::view::Purchase;
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoParams, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists purchases for administrators").permits(permits![
        VERIFY_TOKENS,
        query(UsersByTime),
        query(TokensByUser),
        get_many(Tokens(&["order:*"])),
    ]);

/// The scope of this list's cursors.
const SCOPE: &str = "admin/purchases";

/// The maximum number of batches, each of a hundred orders, that a request with `state` reads.
const READS: usize = 5;

/// Reads the orders' ids from an index, then reads the orders with strong consistency, and then
/// reads the buyers' names. Filtering may need many reads, so a filtered page is read only after
/// the caller's role is checked.
#[utoipa::path(
    get,
    path = super::path::admin_purchases,
    tag = "Administration",
    summary = "List purchases",
    description = "All purchases, newest first. With `attention=true` only those that owe tokens, because a refund couldn't take them from the balance, those whose tokens couldn't be granted, and those that a bank disputes. With `state`, a request looks at a limited number of purchases: a page may be short or empty, and still have a next page. Purchases that were never paid are deleted after a week.",
    security(("access_token" = [])),
    params(("attention" = Option<bool>, Query, description = "Whether only purchases are listed that an administrator should look at."), States, PageQuery),
    responses((status = 200, description = "A page of the purchases.", body = Vec<OrderDetails>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &["attention", "state"])?;
        let attention = http::query_flag(&req, "attention")? == Some(true);
        let states = states(&req)?;
        let read = match states {
            None => Some(orders(&app, attention, paging.position()).await?),
            Some(_) => None,
        };
        Ok((paging, attention, states, read))
    };
    let (administrator, (paging, attention, states, read)) =
        auth::administrator(&app, &req, read).await?;
    let scope = http::query(&req, "state")
        .map_or_else(|| SCOPE.to_owned(), |states| format!("{SCOPE}?state={states}"));
    let page = paging.prove(administrator.account(), &scope)?;
    let (shown, next) = match read {
        Some((orders, more)) => {
            let (shown, cut) = paging.cut(orders, more);
            let next = shown.last().filter(|_| cut).map(|order| order.id().to_owned());
            (shown, next)
        }
        None => chosen(&app, attention, &states.unwrap_or_default(), &paging).await?,
    };
    let names = app.store.usernames(shown.iter().map(|order| order.account.as_str())).await?;
    let data: Vec<_> = shown
        .iter()
        .map(|order| OrderDetails::of(order, names.get(&order.account).map(String::as_str)))
        .collect();
    page.reply(&data, next.as_deref())
}

async fn orders(app: &App, attention: bool, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
    Ok(match attention {
        true => app.store.orders_to_look_at(before).await?,
        false => app.store.orders(before).await?,
    })
}

/// Returns a page of the orders that are in one of the given states, and the position of the next
/// page.
async fn chosen(
    app: &App,
    attention: bool,
    states: &[&str],
    paging: &Paging<'_>,
) -> Result<(Vec<Order>, Option<String>)> {
    let mut chosen = Vec::new();
    let mut before = paging.position().map(str::to_owned);
    for _ in 0..READS {
        let (read, more) = orders(app, attention, before.as_deref()).await?;
        let mut read = read.into_iter().peekable();
        while let Some(order) = read.next() {
            before = Some(order.id().to_owned());
            if states.contains(&Purchase::of(&order).state()) {
                chosen.push(order);
            }
            if chosen.len() == paging.limit() {
                let is_last = !more && read.peek().is_none();
                return Ok((chosen, before.filter(|_| !is_last)));
            }
        }
        if !more {
            return Ok((chosen, None));
        }
    }
    Ok((chosen, before))
}

/// Reads the `state` query parameter. Returns `None` if it is missing.
fn states(req: &Request) -> Result<Option<Vec<&str>>> {
    let Some(text) = http::query(req, "state") else { return Ok(None) };
    let states: Vec<&str> = text.split(',').collect();
    if states.iter().all(|state| Purchase::STATES.contains(state)) {
        return Ok(Some(states));
    }
    let known = Purchase::STATES.join(", ");
    let sentence = format!("These must be states, separated by commas: {known}.");
    Err(Error::field("state", sentence))
}

/// The `state` query parameter.
#[derive(Debug)]
pub struct States;

impl IntoParams for States {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let state = Purchase::STATES.join("|");
        let text = Object::builder()
            .schema_type(Type::String)
            .pattern(Some(format!("^(({state})(,({state}))*)?$")))
            .examples(["paid,refunded"]);
        let about = "Only the purchases in these states, separated by commas.";
        vec![openapi::parameter("state", ParameterIn::Query, about, text)]
    }
}

/// A purchase as administrators see it.
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
    /// Whether the buyer's bank is disputing the payment and hasn't decided yet.
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
            disputed: facts.is_disputed(),
            session: order.session.as_deref(),
            payment: facts.payment.as_deref(),
        }
    }
}
