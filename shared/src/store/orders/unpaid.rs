//! The beginning of an order, which is counted, stored, and linked to its payment page. Orders that
//! stay unpaid are deleted.

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::Error;
use crate::clock::{Clock, least_id, millis_of};
use crate::store::orders::Order;
use crate::store::orders::items::BuyerListing;
use crate::store::schema::{orders_of_pk, pk, purchase_pk};
use crate::store::{NEW, Result, Store, StoreError, Transaction, Write, n, s, to_item};
use crate::values::limit::{HOUR, ORDERS_AN_HOUR};
use crate::values::{Account, Limit, PaymentFacts, Progress};

/// How long an unpaid order is kept, in milliseconds. Its payment page expires after a day, and the
/// payment provider repeats an event for at most three days.
const UNPAID: u64 = 7 * 86_400_000;

/// The age up to which unpaid orders are searched for, in milliseconds. The daily runs find each
/// order several times.
const LOOKED_FOR: u64 = 14 * 86_400_000;

/// The number of orders that are deleted at a time.
const AT_A_TIME: usize = 10;

impl Order {
    /// Returns true if the buyer never completed the payment page, and no payment is known.
    fn is_unpaid(&self) -> bool {
        let progress = self.facts.progress;
        let nothing = PaymentFacts { progress, ..PaymentFacts::default() };
        matches!(progress, Progress::Open | Progress::Expired) && self.facts == nothing
    }
}

impl Store {
    /// Counts an order by this account in the current hour. Idempotent for the order's id.
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

    /// Deletes the orders that weren't paid within a week. Returns the number of deleted orders.
    pub async fn expire_orders(&self, clock: &Clock) -> Result<usize> {
        let now = clock.millis();
        let mut pages = self.all_orders(Some(least_id(now.saturating_sub(UNPAID))));
        let mut deleted = 0;
        while let Some(orders) = pages.next().await? {
            let unpaid: Vec<&Order> = orders.iter().filter(|order| order.is_unpaid()).collect();
            for some in unpaid.chunks(AT_A_TIME) {
                let each = try_join_all(some.iter().map(|order| self.delete_unpaid(order))).await?;
                deleted += each.into_iter().filter(|is_deleted| *is_deleted).count();
            }
            let oldest = orders.last().and_then(|order| millis_of(order.id()));
            if oldest < Some(now.saturating_sub(LOOKED_FOR)) {
                break;
            }
        }
        Ok(deleted)
    }

    /// Deletes an unpaid order that was just read. Returns false if the order has changed since
    /// then. Every release changes the version when it stores a fact about a payment.
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
