//! The payments that Stripe reports in events and in lists. The facts in events are merged into the
//! orders. The orders are also compared with the lists, to find payments that no event has
//! reported.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::store::{Order, Store};
use crate::stripe::{OrderMetadata, PaymentRef, SessionReport, Stripe, StripeReport};
use crate::values::{Pack, Packs, PaymentFacts, Progress};
use crate::view::Purchase;
use crate::{App, Credits, Error, Result};

/// The Stripe lists that are compared. Sessions come first, because they link payments to orders.
/// Refunds and disputes contain only the payment.
const LISTS: [&str; 3] = ["checkout/sessions", "refunds", "disputes"];

/// The minimum number of days for which disputes are compared. A bank may decide weeks after a
/// dispute was opened, but Stripe lists the dispute under the day on which it was opened.
const DISPUTES: u64 = 180;

/// The order or payment that a Stripe report is about, with the reported facts.
enum Subject {
    /// A stored order.
    Order(Box<Order>, PaymentFacts),
    /// A payment whose order may not be known.
    Payment(String, PaymentFacts),
    /// An order that isn't stored. Contains `None` if the report contains only the order's id.
    MissingOrder(Option<SessionReport>),
    /// An order that wasn't paid in time. Such orders are deleted after a week, but Stripe may
    /// repeat older events.
    ExpiredOrder,
}

impl Subject {
    async fn find(report: StripeReport, store: &Store) -> Result<Self> {
        let session = match report {
            StripeReport::Session(session) => session,
            StripeReport::Facts(PaymentRef::Payment(payment), facts) => {
                return Ok(Self::Payment(payment, facts));
            }
            StripeReport::Facts(PaymentRef::Order(id), facts) => {
                let order = store.order(&id).await?;
                return Ok(order.map_or(Self::MissingOrder(None), |order| {
                    Self::Order(Box::new(order), facts)
                }));
            }
        };
        Ok(match store.order(&session.order.order).await? {
            Some(order) => {
                let facts = session.facts(order.price, &order.currency);
                Self::Order(Box::new(order), facts)
            }
            None if session.has_expired() => Self::ExpiredOrder,
            None => Self::MissingOrder(Some(session)),
        })
    }
}

/// Merges a report's facts into the order, and returns the order. Returns `None` if the payment's
/// order isn't known yet, or was deleted because it wasn't paid.
///
/// # Errors
/// Returns [`Error::UnknownOrder`] if the order is missing, or an error from the store.
pub async fn merge(app: &App, report: StripeReport) -> Result<Option<Order>> {
    let (store, clock) = (&app.store, &app.clock);
    match Subject::find(report, store).await? {
        Subject::Order(order, facts) => Ok(Some(store.merge_facts(*order, &facts, clock).await?)),
        Subject::Payment(payment, facts) => {
            Ok(store.merge_facts_of_payment(&payment, &facts, clock).await?)
        }
        Subject::MissingOrder(_) => Err(Error::UnknownOrder),
        Subject::ExpiredOrder => Ok(None),
    }
}

/// Which orders a comparison may change. In addition, every comparison may add disputed orders to
/// the administrators' list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair<'a> {
    /// No orders.
    Nothing,
    /// Merge into these orders the facts that no event has reported.
    Merge(&'a HashSet<String>),
    /// Merge into all orders the facts that no event has reported, and recreate the orders that
    /// were lost when the tables were restored.
    Restore,
}

/// A difference between an order and Stripe's data about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The order's id, or the id of Stripe's object if the object can't be read.
    pub order: String,
    /// A line that describes the difference, or what was done about it.
    pub line: String,
    /// True if money was paid, refunded or disputed. False if only a payment page expired.
    pub is_about_money: bool,
}

/// Compares the orders of the last `days` days with Stripe's lists, in both directions. Calls
/// `each` for each difference as soon as it is found, so that it is reported even if the comparison
/// fails later. Adds each disputed order to the list of orders that need attention, because
/// releases before 0.14.0 don't do this.
///
/// # Errors
/// Returns [`Error::PaymentsUnavailable`] if Stripe doesn't answer, or an error from the store. An
/// order that can't be changed is reported as a difference.
pub async fn compare_and_repair(
    app: &App,
    stripe: &Stripe,
    days: u64,
    repair: Repair<'_>,
    mut each: impl FnMut(Difference),
) -> Result<()> {
    let ago = |days: u64| app.clock.seconds().saturating_sub(days * 86_400);
    let since = ago(days);
    let mut comparison = Comparison { app, repair, known: HashSet::new() };
    for list in LISTS {
        let since = if list == "disputes" { ago(days.max(DISPUTES)) } else { since };
        let mut after = None;
        loop {
            let page = stripe.list(list, since, after.as_deref()).await?;
            after =
                page.data.last().and_then(|object| object.get("id")?.as_str().map(str::to_owned));
            for object in page.data {
                comparison.object(object).await?.into_iter().for_each(&mut each);
            }
            if !page.has_more || after.is_none() {
                break;
            }
        }
    }
    // Leave out the orders from the first hour: their payment pages may have been created before
    // `since`, in which case Stripe's list doesn't contain them.
    for order in app.store.orders_since((since + 3600) * 1000).await? {
        if order.facts.progress == Progress::Paid && !comparison.known.contains(order.id()) {
            let line = "paid here, but Stripe doesn't list the payment".to_owned();
            each(Difference { order: order.id().to_owned(), line, is_about_money: true });
        }
    }
    Ok(())
}

/// Like [`compare_and_repair`], but for a check that runs while events arrive. Merges only
/// differences about money that still exist after `grace`, because an event may still be on its
/// way. Calls `each` for each of these differences.
///
/// # Errors
/// Returns the same errors as [`compare_and_repair`].
pub async fn check(
    app: &App,
    stripe: &Stripe,
    days: u64,
    grace: Duration,
    mut each: impl FnMut(&Difference),
) -> Result<()> {
    let mut first = HashSet::new();
    compare_and_repair(app, stripe, days, Repair::Nothing, |found| {
        if found.is_about_money {
            first.insert(found.order);
        }
    })
    .await?;
    if first.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(grace).await;
    compare_and_repair(app, stripe, days, Repair::Merge(&first), |found| {
        if found.is_about_money && first.contains(&found.order) {
            each(&found);
        }
    })
    .await
}

struct Comparison<'a> {
    app: &'a App,
    repair: Repair<'a>,
    /// The orders that the listed sessions belong to.
    known: HashSet<String>,
}

impl Comparison<'_> {
    /// Compares an order with one of Stripe's objects.
    async fn object(&mut self, object: Value) -> Result<Option<Difference>> {
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        match StripeReport::from_object(object, self.app.clock.millis()) {
            Ok(Some(report)) => self.report(report).await,
            // Other products may use the same Stripe account.
            Ok(None) => Ok(None),
            Err(why) => {
                let line = format!("can't be read: {why}");
                Ok(Some(Difference { order: id, line, is_about_money: true }))
            }
        }
    }

    /// Compares an order with a report.
    async fn report(&mut self, report: StripeReport) -> Result<Option<Difference>> {
        if let StripeReport::Session(session) = &report {
            self.known.insert(session.order.order.clone());
        }
        // A charge reports only a receipt, which no comparison needs.
        if matches!(report, StripeReport::Facts(PaymentRef::Order(_), _)) {
            return Ok(None);
        }
        let store = &self.app.store;
        match Subject::find(report, store).await? {
            Subject::Order(order, facts) => self.merge(*order, &facts, None).await,
            Subject::Payment(payment, facts) => match store.order_of_payment(&payment).await? {
                Some(order) => self.merge(order, &facts, None).await,
                None => Ok(None),
            },
            Subject::MissingOrder(Some(session)) => self.missing(&session).await,
            Subject::MissingOrder(None) | Subject::ExpiredOrder => Ok(None),
        }
    }

    /// Restores a session's order, if that is allowed and possible. Otherwise, reports the missing
    /// order as a difference.
    async fn missing(&self, session: &SessionReport) -> Result<Option<Difference>> {
        if let Some(order) = self.restored(&session.order).await? {
            let facts = session.facts(order.price, &order.currency);
            return self.merge(order, &facts, Some("restored from Stripe")).await;
        }
        let line = match self.repair {
            // The page may belong to a different stack that uses the same Stripe account.
            _ if !session.is_paid() => return Ok(None),
            Repair::Restore => "Stripe lists this purchase, and it can't be restored",
            Repair::Nothing | Repair::Merge(_) => {
                "Stripe lists this purchase, and it is missing here"
            }
        };
        let order = session.order.order.clone();
        Ok(Some(Difference { order, line: line.to_owned(), is_about_money: true }))
    }

    /// Merges facts into an order, if it may be changed.
    async fn merge(
        &self,
        before: Order,
        facts: &PaymentFacts,
        done: Option<&str>,
    ) -> Result<Option<Difference>> {
        let id = before.id().to_owned();
        let merges = match self.repair {
            Repair::Nothing => false,
            Repair::Merge(orders) => orders.contains(&id),
            Repair::Restore => true,
        };
        let mut after = before.clone();
        if merges {
            match self.app.store.merge_facts(after, facts, &self.app.clock).await {
                Ok(merged) => after = merged,
                // Report the error as a difference, so that the other orders are still compared.
                Err(error) => {
                    let line = format!("can't be changed: {error}");
                    return Ok(Some(Difference { order: id, line, is_about_money: true }));
                }
            }
        } else {
            after.facts = after.facts.merged(facts);
        }
        if after.facts.is_disputed() {
            self.app.store.list_order(&after).await?;
        }
        let is_about_money = before.granted != after.granted || !before.facts.agrees(&after.facts);
        let state = Purchase::of(&after).state();
        let has_changed = is_about_money || Purchase::of(&before).state() != state;
        let change = has_changed.then(|| format!("{state} now, {} tokens given", after.granted));
        let line = match (done, change) {
            (None, None) => return Ok(None),
            (None, Some(change)) => change,
            (Some(done), None) => done.to_owned(),
            (Some(done), Some(change)) => format!("{done}; {change}"),
        };
        Ok(Some(Difference { order: id, line, is_about_money: is_about_money || done.is_some() }))
    }

    /// Recreates an order that was lost when the tables were restored. Returns `None` if that isn't
    /// allowed, or if the order's account is unknown.
    async fn restored(&self, of: &OrderMetadata) -> Result<Option<Order>> {
        if self.repair != Repair::Restore {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u64>().ok();
        let (Some(tokens), Some(price)) =
            (number(&of.tokens).and_then(Credits::new), number(&of.price))
        else {
            return Ok(None);
        };
        let store = &self.app.store;
        let Some(account) = store.account_with_id(&of.account).await? else { return Ok(None) };
        let pack = Pack {
            id: of.pack.clone(),
            name: of.name.clone(),
            tokens,
            price,
            currency: of.currency.clone(),
        };
        // Accept only values that this product could have written into the metadata.
        if Packs::new(vec![pack.clone()]).is_err() {
            return Ok(None);
        }
        let order = Order::new(&account, &pack, &self.app.clock).with_id(&of.order);
        store.restore_order(&account, &order).await?;
        Ok(store.order(order.id()).await?)
    }
}
