//! Unpaid orders. A new order is counted, stored, and linked to its payment page. If it isn't paid
//! in time, it is deleted.

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::Error;
use crate::clock::{Clock, Day, FIRST_DAY, least_id, millis_of};
use crate::store::orders::Order;
use crate::store::orders::items::BuyerListing;
use crate::store::schema::{orders_of_pk, pk, purchase_pk};
use crate::store::{NEW, Result, Store, StoreError, Transaction, Write, n, s, to_item};
use crate::values::limit::HOUR;
use crate::values::{Account, Limit, ORDERS_AN_HOUR, PaymentFacts, Progress};

/// How long an unpaid order is kept, in milliseconds. The payment page expires after a day, and the
/// payment provider repeats an event for at most three days.
const UNPAID: u64 = 7 * 86_400_000;

/// The maximum age of the orders that each run inspects, in milliseconds. The daily runs inspect
/// each order several times.
const LOOKED_FOR: u64 = 14 * 86_400_000;

/// The length, in days, of the earlier period that each run also inspects.
const PERIOD_DAYS: u64 = 28;

/// How many orders are deleted at a time.
const ORDERS_AT_ONCE: usize = 10;

/// Returns the first day of the older period that a run on this day inspects. The daily runs
/// inspect the periods in turn, starting with the oldest. The number of turns is a power of two, so
/// that it rarely changes as periods are added. If it is the turn of a future period, the run finds
/// no older orders.
fn older_period(today: Day) -> Day {
    let days = today.number().saturating_sub(FIRST_DAY.number());
    let periods = days / PERIOD_DAYS + 1;
    let turn = days % periods.next_power_of_two();
    FIRST_DAY.after(turn * PERIOD_DAYS)
}

impl Order {
    /// Returns true if the buyer didn't complete the payment page, and no payment is known.
    fn is_unpaid(&self) -> bool {
        let progress = self.facts.progress;
        let nothing = PaymentFacts { progress, ..PaymentFacts::default() };
        matches!(progress, Progress::Open | Progress::Expired) && self.facts == nothing
    }
}

impl Store {
    /// Counts an order by this account in the current hour. Idempotent for the same order id.
    ///
    /// # Errors
    /// [`Error::TooManyOrders`] if the account has ordered too often in this hour.
    pub async fn begin_order(&self, user_id: &str, order: &str, now: u64) -> Result<()> {
        let key = orders_of_pk(user_id, now / HOUR);
        let full = self.count_in_hour(&key, ORDERS_AN_HOUR, order, now).await?;
        let Some(reset) = full else { return Ok(()) };
        Err(StoreError::Refused(Error::TooManyOrders(Limit::orders(reset))))
    }

    /// Stores a new order of this account. Idempotent.
    pub async fn create_order(&self, account: &Account, order: &Order) -> Result<()> {
        let listing = BuyerListing {
            pk: purchase_pk(order.id()),
            user_id: order.account.clone(),
            name: account.label.clone(),
        };
        let puts = vec![
            Write::put(&self.tables.tokens, to_item(order)?).condition(NEW),
            Write::put(&self.tables.tokens, to_item(listing)?),
        ];
        // Ids are unique, so a refusal means that an earlier copy was applied.
        self.transact(puts, &Uuid::new_v4().to_string()).await.map(drop)
    }

    /// Stores the id of an order's payment page. Idempotent.
    pub async fn open_payment(&self, order: &Order, session: &str) -> Result<()> {
        let open = Write::update(
            &self.tables.tokens,
            pk(&order.pk),
            "SET #session = :session, version = version + :one",
        )
        .condition("attribute_exists(pk) AND attribute_not_exists(#session)")
        .names([("#session", "session")])
        .values([(":session", s(session)), (":one", n(1))]);
        self.send(&open).await.map(drop)
    }

    /// Deletes the orders that weren't paid within a week. Returns the number of deleted orders. A
    /// run inspects the week before last and one earlier period, so that its work doesn't grow with
    /// the number of orders. Earlier periods contain unpaid orders only if runs failed or were
    /// missed.
    pub async fn expire_orders(&self, clock: &Clock) -> Result<usize> {
        let now = clock.millis();
        let (end, recent) = (now.saturating_sub(UNPAID), now.saturating_sub(LOOKED_FOR));
        let older = older_period(Day::from_millis(now));
        let older_end = older.after(PERIOD_DAYS).begins().min(recent);
        let deleted = self.delete_unpaid_between(recent, end).await?;
        Ok(deleted + self.delete_unpaid_between(older.begins(), older_end).await?)
    }

    /// Deletes the unpaid orders that were created at or after `first` and before `end`, both in
    /// milliseconds since 1970. Returns how many orders were deleted. May also delete some older
    /// unpaid orders.
    async fn delete_unpaid_between(&self, first: u64, end: u64) -> Result<usize> {
        if first >= end {
            return Ok(0);
        }
        let mut pages = self.all_orders(Some(least_id(end)));
        let mut deleted = 0;
        while let Some(orders) = pages.next().await? {
            let unpaid: Vec<&Order> = orders.iter().filter(|order| order.is_unpaid()).collect();
            for some in unpaid.chunks(ORDERS_AT_ONCE) {
                let each = try_join_all(some.iter().map(|order| self.delete_unpaid(order))).await?;
                deleted += each.into_iter().filter(|is_deleted| *is_deleted).count();
            }
            if orders.last().and_then(|order| millis_of(order.id())) < Some(first) {
                break;
            }
        }
        Ok(deleted)
    }

    /// Deletes a freshly read unpaid order. Returns false if the order has changed since it was
    /// read: all releases change the version when they store facts about a payment.
    async fn delete_unpaid(&self, order: &Order) -> Result<bool> {
        let writes = vec![
            Write::delete(&self.tables.tokens, pk(&order.pk))
                .condition("version = :seen")
                .values([(":seen", n(order.version))]),
            Write::delete(&self.tables.tokens, pk(purchase_pk(order.id()))),
        ];
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }
}
