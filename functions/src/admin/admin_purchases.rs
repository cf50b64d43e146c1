//! `GET /api/admin/purchases` - all purchases, newest first, as a bare list. For administrators.
//!
//! Reads the orders' ids from an index, then reads the orders with strong consistency, and then
//! reads the buyers' names. Filtering may need many reads, so a filtered page is read only after
//! the caller's role is checked.

use std::borrow::Cow;

use serde::Serialize;
use shared::http::Paging;
use shared::openapi::{self, Days, PageQuery};
use shared::store::{Order, Span};
use shared::values::{Stranded, money};
use shared::view::Purchase;
use shared::{App, Error, Reply, Request, Result, auth, clock, http};
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

/// The query parameters that filter purchases.
const FILTERS: [&str; 5] = ["attention", "state", "user_id", "from", "to"];

/// The columns of the CSV file.
const COLUMNS: [&str; 18] = [
    "id",
    "created",
    "paid",
    "user_id",
    "username",
    "pack",
    "name",
    "tokens",
    "tokens_granted",
    "tokens_owed",
    "state",
    "price",
    "refunded",
    "kept",
    "currency",
    "stranded",
    "session",
    "payment",
];

/// The maximum number of batches, each of a hundred orders, that a filtered request reads.
const READS: usize = 5;

/// List purchases
///
/// All purchases, newest first. With `attention=true` only those that owe tokens, because a refund
/// couldn't take them from the balance, those whose tokens couldn't be granted, and those that a
/// bank disputes. With `state`, `user_id`, `from` or `to`, a request looks at a limited number of
/// purchases: a page may be short or empty, and still have a next page. Purchases that were never
/// paid are deleted after a week. With `Accept: text/csv` the reply is a file for spreadsheets,
/// with money in the currency's unit, such as 4.99.
#[utoipa::path(
    get,
    path = super::path::admin_purchases,
    tag = "Administration",
    security(("access_token" = [])),
    params(
        (
            "attention" = Option<bool>, Query,
            description = "Whether only purchases are listed that an administrator should look at."
        ),
        Filters, Days, PageQuery
    ),
    responses((
        status = 200,
        description = "A page of the purchases.",
        content(
            (Vec<OrderDetails> = "application/json"),
            (String = "text/csv", example = json!(
                "\"id\",\"created\",\"paid\",\"user_id\",\"username\",\"pack\",\"name\",\
                 \"tokens\",\"tokens_granted\",\"tokens_owed\",\"state\",\"price\",\"refunded\",\
                 \"kept\",\"currency\",\"stranded\",\"session\",\"payment\"\r\n"
            ))
        ),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let read = async {
        let paging = Paging::from_request(&req, &FILTERS)?;
        let filter = Filter::from_request(&req)?;
        let read = match filter.selects() {
            false => Some(filter.orders(&app, paging.position()).await?),
            true => None,
        };
        Ok((paging, filter, read))
    };
    let (administrator, (paging, filter, read)) = auth::administrator(&app, &req, read).await?;
    let scope = scope(&req);
    let page = paging.prove(administrator.account(), &scope)?;
    let (shown, next) = match read {
        Some((orders, more)) => {
            let (shown, cut) = paging.cut(orders, more);
            let next = shown.last().filter(|_| cut).map(|order| order.id().to_owned());
            (shown, next)
        }
        None => chosen(&app, &filter, &paging).await?,
    };
    let names = app.store.usernames(shown.iter().map(|order| order.account.as_str())).await?;
    let data: Vec<_> = shown
        .iter()
        .map(|order| OrderDetails::of(order, names.get(&order.account).map(String::as_str)))
        .collect();
    let reply = if http::wants_csv(&req) { csv(&shown, &data)? } else { http::ok(&data)? };
    page.linked(reply, next.as_deref())
}

/// Returns the scope of the list's cursors. A cursor is valid only with the filters with which it
/// was created.
fn scope(req: &Request) -> String {
    let filters = FILTERS.into_iter().skip(1);
    let given = filters.filter_map(|name| http::query(req, name).map(|text| (name, text)));
    given.enumerate().fold(SCOPE.to_owned(), |scope, (index, (name, text))| {
        let separator = if index == 0 { '?' } else { '&' };
        format!("{scope}{separator}{name}={text}")
    })
}

/// The purchases that a request asks for.
struct Filter<'r> {
    attention: bool,
    states: Option<Vec<&'r str>>,
    buyer: Option<String>,
    days: Span,
}

impl<'r> Filter<'r> {
    /// Reads the filter from the query.
    fn from_request(req: &'r Request) -> Result<Self> {
        let buyer = http::query(req, "user_id").map(|text| {
            let sentence = "This must be the id of a user.";
            http::id(text).ok_or_else(|| Error::field("user_id", sentence))
        });
        let (first, last) = http::query_days(req)?;
        Ok(Self {
            attention: http::query_flag(req, "attention")? == Some(true),
            states: states(req)?,
            buyer: buyer.transpose()?,
            days: Span { first, last },
        })
    }

    /// Returns true if the store's lists may contain purchases that the filter excludes.
    fn selects(&self) -> bool {
        self.states.is_some() || self.buyer.is_some() || self.days != Span::default()
    }

    /// Returns true if the request asks for this order. The days aren't compared.
    fn admits(&self, order: &Order) -> bool {
        let is_state = |states: &Vec<&str>| states.contains(&Purchase::of(order).state());
        self.states.as_ref().is_none_or(is_state)
            && self.buyer.as_ref().is_none_or(|buyer| *buyer == order.account)
    }

    /// Reads the orders that are older than `before`, from the shortest list that contains those
    /// that the request asks for. Also returns whether there may be more.
    async fn orders(&self, app: &App, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        Ok(match &self.buyer {
            _ if self.attention => app.store.orders_to_look_at(before).await?,
            Some(buyer) => app.store.purchases(buyer, before).await?,
            None => app.store.orders(before).await?,
        })
    }
}

/// Returns a page of the orders that the request asks for, and the position of the next page.
async fn chosen(
    app: &App,
    filter: &Filter<'_>,
    paging: &Paging<'_>,
) -> Result<(Vec<Order>, Option<String>)> {
    let mut chosen = Vec::new();
    let mut before = paging.position().map(str::to_owned).or_else(|| filter.days.after_last());
    let first = filter.days.least();
    for _ in 0..READS {
        let (read, more) = filter.orders(app, before.as_deref()).await?;
        let mut read = read.into_iter().peekable();
        while let Some(order) = read.next() {
            if order.id() < first.as_str() {
                return Ok((chosen, None));
            }
            before = Some(order.id().to_owned());
            if filter.admits(&order) {
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

/// The `state` and `user_id` query parameters.
#[derive(Debug)]
pub struct Filters;

impl IntoParams for Filters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let state = Purchase::STATES.join("|");
        let text = Object::builder()
            .schema_type(Type::String)
            .pattern(Some(format!("^(({state})(,({state}))*)?$")))
            .examples(["paid,refunded"]);
        let about = "Only the purchases in these states, separated by commas.";
        let buyer = "Only the purchases of this user. Empty if the account was deleted.";
        vec![
            openapi::parameter("state", ParameterIn::Query, about, text),
            openapi::parameter("user_id", ParameterIn::Query, buyer, openapi::id()),
        ]
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
    /// The part of the price that you keep, in the currency's smallest unit: 0 before the payment,
    /// and without the money that was refunded or that a bank has returned.
    #[schema(examples(499))]
    kept: u64,
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
            kept: facts.kept(order.price),
            stranded: order.stranded,
            disputed: facts.is_disputed(),
            session: order.session.as_deref(),
            payment: facts.payment.as_deref(),
        }
    }
}

fn csv(orders: &[Order], details: &[OrderDetails<'_>]) -> Reply {
    let header = COLUMNS.into_iter().map(Cow::from).collect();
    let rows = orders.iter().zip(details).map(|(order, details)| cells(order, details));
    http::csv([header].into_iter().chain(rows))
}

fn cells<'r>(order: &'r Order, details: &'r OrderDetails<'_>) -> Vec<Cow<'r, str>> {
    let money = |amount| money::in_units(amount, &order.currency);
    let facts = &order.facts;
    vec![
        order.id().into(),
        clock::rfc3339(order.time).into(),
        facts.paid_at.map(clock::rfc3339).unwrap_or_default().into(),
        details.user_id.into(),
        details.username.unwrap_or_default().into(),
        order.pack.as_str().into(),
        order.name.as_str().into(),
        order.tokens.to_string().into(),
        order.granted.to_string().into(),
        order.owed.to_string().into(),
        details.purchase.state().into(),
        money(order.price).into(),
        money(facts.refunded()).into(),
        money(details.kept).into(),
        order.currency.as_str().into(),
        details.stranded.map(Stranded::word).unwrap_or_default().into(),
        details.session.unwrap_or_default().into(),
        details.payment.unwrap_or_default().into(),
    ]
}
