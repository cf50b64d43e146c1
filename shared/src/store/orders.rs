//! Orders of packs in the Tokens table, and the credits that they move.
//!
//! An order has the facts about its payment, and how many credits it has `given` so far. What it
//! should have given follows from the facts. One transaction merges new facts and moves the
//! difference, on condition that the order's version hasn't changed. So it doesn't matter in which
//! order facts arrive, how often, or where a function dies.
//!
//! If credits must return that the account no longer has, the rest is `owed`: the account's next
//! grant pays it, or the daily collection.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Credits;
use crate::clock::{Clock, least_id, millis_of};
use crate::store::credentials::outbox::OutgoingEmail;
use crate::store::schema::{
    ATTENTION, ORDER, PURCHASE, attention_pk, order_pk, payment_pk, pk, purchase_pk,
};
use crate::store::sources::StoredSource;
use crate::store::{
    Item, NEW, Outcome, Patience, Result, Store, StoreError, Transaction, Write, from_item, is_id,
    n, s, text, to_item,
};
use crate::values::{
    Account, Entry, EntryKind, Pack, Payment, PaymentFacts, Progress, Source, Stranded, credits_for,
};

/// How long facts about a payment are kept for which no order is known, in seconds. Most such
/// payments belong to another product with the same account at the payment provider.
const UNCLAIMED: u64 = 90 * 86_400;

/// How long an unpaid order is kept, in milliseconds. Its payment page ends after a day, and the
/// payment provider repeats an event for three days.
const UNPAID: u64 = 7 * 86_400_000;

/// The age up to which unpaid orders are looked for, in milliseconds. A daily run sees each order
/// several times.
const LOOKED_FOR: u64 = 14 * 86_400_000;

/// The number of orders that are deleted at a time.
const AT_A_TIME: usize = 10;

/// An order of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// `order:<id>`, where the id is a UUIDv7.
    pk: String,
    /// The partition of the index that lists all orders. An order isn't erased with its account.
    user_id: String,
    /// The id of the buyer's account.
    pub account: String,
    /// The id of the pack.
    pub pack: String,
    /// The name of the pack at the time of the order.
    pub name: String,
    /// The credits of the pack at the time of the order.
    pub tokens: Credits,
    /// The price in the currency's smallest unit.
    pub price: u64,
    /// The currency, in three capital letters.
    pub currency: String,
    /// When the pack was ordered, in milliseconds since 1970.
    pub time: u64,
    /// The id of the payment page: a Checkout Session of Stripe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The facts about the payment.
    #[serde(flatten)]
    pub facts: PaymentFacts,
    /// The credits that the buyer has got, and that haven't returned.
    pub given: Credits,
    /// The money in the order's ledger rows, in the currency's smallest unit.
    pub money: u64,
    /// The credits that must still return.
    pub owed: Credits,
    /// Why the credits can't be moved. `None` if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Stranded>,
    /// The id of the order's last ledger row. `None` if neither credits nor money have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    /// The number of disputes about which administrators were told by e-mail.
    #[serde(default, skip_serializing_if = "is_zero")]
    told: u64,
    /// The number of changes since the order was created.
    pub version: u64,
}

/// The item that lists an order among the buyer's items, which are erased with the account.
#[derive(Serialize, Deserialize)]
struct Purchase {
    pk: String,
    user_id: String,
    /// The key form of the buyer's username.
    name: String,
}

/// The item of a payment. It names the order, or keeps facts until the order is known.
#[derive(Default, Deserialize)]
struct StoredPayment {
    order: Option<String>,
    #[serde(default)]
    facts: PaymentFacts,
    version: u64,
}

/// The item that lists an order which an administrator should look at.
#[derive(Serialize)]
struct Attention<'a> {
    pk: String,
    user_id: &'a str,
}

/// The orders that wait for an administrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingOrders {
    /// The number of orders that are stranded or disputed.
    pub orders: u64,
    /// The number of disputes of which administrators have been told now.
    pub disputes: u64,
}

/// What [`Store::learn_of_payment`] did with the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentClaim {
    /// The facts were merged into the payment's order.
    Known(Box<Order>),
    /// No order is known yet. The facts are kept for it.
    Kept,
}

impl Order {
    /// Creates an order of this pack.
    pub fn new(account: &Account, pack: &Pack, clock: &Clock) -> Self {
        Self {
            pk: order_pk(&clock.id().to_string()),
            user_id: ORDER.into(),
            account: account.id.clone(),
            pack: pack.id.clone(),
            name: pack.name.clone(),
            tokens: pack.tokens,
            price: pack.price,
            currency: pack.currency.clone(),
            time: clock.millis(),
            session: None,
            facts: PaymentFacts::default(),
            given: Credits::ZERO,
            money: 0,
            owed: Credits::ZERO,
            stranded: None,
            row: None,
            told: 0,
            version: 0,
        }
    }

    /// Returns the order with another id, such as one that a payment provider has kept.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.pk = order_pk(id);
        self
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(ORDER).unwrap_or_default()
    }

    /// Returns the order with further facts. No credits have moved.
    #[must_use]
    pub fn with_facts(&self, facts: &PaymentFacts) -> Self {
        Self { facts: self.facts.clone().merged(facts), ..self.clone() }
    }

    /// Returns the id of the order's last ledger row. `None` if neither credits nor money have
    /// moved.
    pub(in crate::store) fn last_row(&self) -> Option<&str> {
        self.row.as_deref()
    }

    /// Returns the credits that the buyer should have by the facts.
    pub fn target(&self) -> Credits {
        credits_for(self.tokens, self.facts.kept(self.price), self.price)
    }

    /// Returns the order with what its ledger rows say.
    fn booked(&self, book: &OrderBook) -> Self {
        let Booked { given, money, step, row } = book.0.get(self.id()).cloned().unwrap_or_default();
        Self {
            given: u64::try_from(given).ok().and_then(Credits::new).unwrap_or_default(),
            money: u64::try_from(money).unwrap_or_default(),
            row,
            version: self.version.max(step),
            ..self.clone()
        }
    }

    /// Returns true if the buyer never finished the payment page, and nothing is known about a
    /// payment.
    fn is_unpaid(&self) -> bool {
        let progress = self.facts.progress;
        let nothing = PaymentFacts { progress, ..PaymentFacts::default() };
        matches!(progress, Progress::Open | Progress::Expired) && self.facts == nothing
    }

    /// Returns true if an administrator should look at the order.
    fn needs_attention(&self) -> bool {
        self.owed > Credits::ZERO || self.waits() || self.untold_disputes().is_some()
    }

    /// Returns true if only a person can do something about the order. Nothing needs to be done about
    /// owed credits.
    fn waits(&self) -> bool {
        self.stranded.is_some() || self.facts.is_disputed()
    }

    /// Returns the number of disputes if administrators haven't been told about all of them.
    fn untold_disputes(&self) -> Option<u64> {
        let disputes = u64::try_from(self.facts.disputes.len()).unwrap_or(u64::MAX);
        (disputes > self.told).then_some(disputes)
    }

    /// Returns the order after these facts were merged and all credits were moved that can be
    /// moved. `account` is the buyer's account, or `None` if it was deleted.
    fn after(&self, facts: &PaymentFacts, account: Option<&Account>) -> Self {
        let facts = self.facts.clone().merged(facts);
        let mut next = Self { facts, owed: Credits::ZERO, stranded: None, ..self.clone() };
        next.money = next.facts.kept(self.price);
        let target = next.target();
        match (target.checked_sub(self.given), account) {
            (Some(Credits::ZERO), _) => {}
            (Some(_), None) => next.stranded = Some(Stranded::AccountDeleted),
            (Some(more), Some(account)) => match account.granted.checked_add(more) {
                Some(_) => next.given = target,
                None => next.stranded = Some(Stranded::GrantTooLarge),
            },
            // A deleted account owes nothing.
            (None, None) => {}
            (None, Some(account)) => {
                let due = self.given.checked_sub(target).unwrap_or_default();
                let taken = due.min(account.tokens);
                next.given = self.given.checked_sub(taken).unwrap_or_default();
                next.owed = due.checked_sub(taken).unwrap_or_default();
            }
        }
        if next.facts.progress == Progress::Wrong && !next.facts.is_returned() {
            next.stranded = Some(Stranded::WrongAmount);
        }
        if next != *self {
            next.version += 1;
        }
        next
    }

    /// Returns the ledger entry for the step from `earlier` to this order. `None` if neither credits
    /// nor money moved.
    fn entry_since(&self, earlier: &Self, clock: &Clock) -> Option<Entry> {
        let amount = self.given.signed() - earlier.given.signed();
        let signed = |money: u64| i64::try_from(money).unwrap_or(i64::MAX);
        let money = signed(self.money) - signed(earlier.money);
        if amount == 0 && money == 0 {
            return None;
        }
        // The buyer's payments cause the entry, so it isn't among administrators' acts.
        let entry = Entry::new(
            &self.account,
            clock.id().to_string(),
            amount,
            EntryKind::Adjustment,
            &self.name,
            &self.account,
            clock.millis(),
        );
        Some(Entry {
            source: Some(Source::payment(self.id(), self.version)),
            payment: Some(Payment {
                order: self.id().to_owned(),
                money,
                currency: self.currency.clone(),
            }),
            ..entry
        })
    }
}

impl Store {
    /// Stores an order again that a restore of the tables has lost, with what its ledger rows say.
    /// Idempotent.
    pub async fn restore_order(&self, account: &Account, order: &Order) -> Result<()> {
        let mut book = OrderBook::default();
        let mut rows =
            self.all_of(&self.tables.ledger, &account.id).into_paginator().items().send();
        while let Some(row) = rows.try_next().await? {
            book.add(&from_item(row)?);
        }
        self.create_order(account, &order.booked(&book)).await
    }

    /// Stores a new order of this account. Idempotent.
    pub async fn create_order(&self, account: &Account, order: &Order) -> Result<()> {
        let purchase = Purchase {
            pk: purchase_pk(order.id()),
            user_id: order.account.clone(),
            name: account.label.clone(),
        };
        let puts = vec![
            Write::put(&self.tables.tokens, to_item(order)?).condition(NEW),
            Write::put(&self.tables.tokens, to_item(purchase)?),
        ];
        // Ids are unique, so a refusal means that an earlier copy was applied.
        self.transact(puts, &Uuid::new_v4().to_string()).await.map(drop)
    }

    /// Stores the payment page of an order. Idempotent.
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

    /// Returns the order with this id. Strongly consistent.
    pub async fn order(&self, id: &str) -> Result<Option<Order>> {
        match is_id(id) {
            true => self.get(&self.tables.tokens, pk(order_pk(id))).await,
            false => Ok(None),
        }
    }

    /// Returns the order of a payment. `None` if no order is known.
    pub async fn order_of_payment(&self, payment: &str) -> Result<Option<Order>> {
        let stored: Option<StoredPayment> =
            self.get(&self.tables.tokens, pk(payment_pk(payment))).await?;
        match stored.and_then(|stored| stored.order) {
            Some(order) => self.order(&order).await,
            None => Ok(None),
        }
    }

    /// Returns at most a hundred orders that are older than the order `before`, newest first, and
    /// whether there may be more.
    pub async fn orders(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in((ORDER, ORDER), before).await
    }

    /// Returns all orders since a time in milliseconds, newest first.
    pub async fn orders_since(&self, since: u64) -> Result<Vec<Order>> {
        let mut all: Vec<Order> = Vec::new();
        loop {
            let (page, more) = self.orders(all.last().map(Order::id)).await?;
            let is_last = page.last().is_some_and(|order| order.time < since);
            all.extend(page.into_iter().filter(|order| order.time >= since));
            if !more || is_last {
                return Ok(all);
            }
        }
    }

    /// Like [`Store::orders`], for one buyer.
    pub async fn purchases(
        &self,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        self.orders_in((PURCHASE, user_id), before).await
    }

    /// Like [`Store::orders`], for orders that owe credits, are stranded or are disputed.
    pub async fn orders_to_look_at(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in((ATTENTION, ATTENTION), before).await
    }

    async fn orders_in(
        &self,
        (kind, user_id): (&str, &str),
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        let mut before = before.map(str::to_owned);
        loop {
            let (ids, more) = self.ids_of_user(kind, user_id, before.as_deref()).await?;
            let orders = self.with_ids(ORDER, &ids).await?;
            // The index still lists orders that were just deleted. The caller continues at the
            // page's last order, so only the last page may be empty.
            if !orders.is_empty() || !more {
                return Ok((orders, more));
            }
            before = ids.last().cloned();
        }
    }

    /// Deletes the orders that were not paid within a week. Returns their number.
    pub async fn expire_orders(&self, clock: &Clock) -> Result<usize> {
        let now = clock.millis();
        let mut before = Some(least_id(now.saturating_sub(UNPAID)));
        let mut deleted = 0;
        loop {
            let (orders, more) = self.orders(before.as_deref()).await?;
            before = orders.last().map(|order| order.id().to_owned());
            let oldest = before.as_deref().and_then(millis_of).unwrap_or_default();
            let unpaid: Vec<&Order> = orders.iter().filter(|order| order.is_unpaid()).collect();
            for some in unpaid.chunks(AT_A_TIME) {
                let each = try_join_all(some.iter().map(|order| self.delete_unpaid(order))).await?;
                deleted += each.into_iter().filter(|is_deleted| *is_deleted).count();
            }
            if !more || oldest < now.saturating_sub(LOOKED_FOR) {
                return Ok(deleted);
            }
        }
    }

    /// Deletes an order that was just read and is unpaid. Returns false if the order has changed
    /// since then: each fact about a payment changes the version, whichever release writes it.
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

    /// Merges facts into an order that was just read, and moves its credits. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the outcome remains unknown: send the facts again.
    pub async fn learn(&self, order: Order, facts: &PaymentFacts, clock: &Clock) -> Result<Order> {
        let mut facts = facts.clone();
        if let Some(payment) = facts.payment.clone() {
            let waiting = self.claim_payment(&payment, order.id()).await?;
            facts = facts.merged(&waiting);
        }
        self.merge_into_order(order, &facts, clock).await
    }

    /// Merges facts into the order of a payment. If no order is known, keeps the facts for it.
    /// Idempotent.
    ///
    /// # Errors
    /// As [`Store::learn`].
    pub async fn learn_of_payment(
        &self,
        payment: &str,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<PaymentClaim> {
        let key = payment_pk(payment);
        let mut patience = Patience::new();
        loop {
            let stored: Option<StoredPayment> = self.get(&self.tables.tokens, pk(&key)).await?;
            let seen = stored.as_ref().map(|stored| stored.version);
            let stored = stored.unwrap_or_default();
            if let Some(order) = &stored.order {
                let lost = || StoreError::Internal(format!("the order of {payment} is missing"));
                let order = self.order(order).await?.ok_or_else(lost)?;
                let order = self.merge_into_order(order, facts, clock).await?;
                return Ok(PaymentClaim::Known(Box::new(order)));
            }
            let facts = to_item(stored.facts.merged(facts))?;
            let keep = Write::update(
                &self.tables.tokens,
                pk(&key),
                "SET facts = :facts, version = :next, expires_at = :ends",
            )
            .values([
                (":facts", AttributeValue::M(facts)),
                (":next", n(seen.unwrap_or_default() + 1)),
                (":ends", n(clock.seconds() + UNCLAIMED)),
            ]);
            let keep = match seen {
                None => keep.condition(NEW),
                Some(seen) => keep
                    .condition("version = :seen AND attribute_not_exists(#order)")
                    .names([("#order", "order")])
                    .values([(":seen", n(seen))]),
            };
            if self.send(&keep).await?.is_applied() {
                return Ok(PaymentClaim::Kept);
            }
            patience.try_again(CONTENDED).await?;
        }
    }

    /// Records that a payment belongs to an order, unless it belongs to another one. Returns the facts
    /// that were kept for the order.
    async fn claim_payment(&self, payment: &str, order: &str) -> Result<PaymentFacts> {
        let claim = Write::update(
            &self.tables.tokens,
            pk(payment_pk(payment)),
            "SET #order = :order, version = if_not_exists(version, :none) + :one REMOVE expires_at",
        )
        .condition("attribute_not_exists(#order) OR #order = :order")
        .names([("#order", "order")])
        .values([(":order", s(order)), (":none", n(0)), (":one", n(1))])
        .returns(ReturnValue::AllNew);
        match self.send(&claim).await? {
            Outcome::Applied(item) => Ok(from_item::<StoredPayment>(item)?.facts),
            Outcome::Refused(_) => {
                tracing::warn!(payment, order, "the payment belongs to another order");
                Ok(PaymentFacts::default())
            }
        }
    }

    /// Merges facts into an order that was just read. Credits that the order grants first pay what
    /// the account owes for other orders.
    async fn merge_into_order(
        &self,
        order: Order,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<Order> {
        let (order, owes) = self.settle_order(order, facts, clock).await?;
        if owes && order.given > Credits::ZERO {
            self.collect_of(&order.account, clock).await?;
        }
        Ok(order)
    }

    /// Merges facts into an order that was just read, and moves its credits. Also returns whether
    /// the account owes credits for other orders.
    async fn settle_order(
        &self,
        mut order: Order,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<(Order, bool)> {
        let mut patience = Patience::new();
        loop {
            let account = self.buyer(&order).await?;
            let owed = account.as_ref().and_then(|account| account.owed).unwrap_or_default();
            let owes = owed > order.owed;
            let mut next = order.after(facts, account.as_ref());
            if next == order {
                return Ok((order, owes));
            }
            // Each attempt has a row and a token of its own. Of all attempts at one version, only
            // one can be applied.
            let entry = next.entry_since(&order, clock);
            if let Some(entry) = &entry {
                next.row = Some(entry.entry_id.clone());
            }
            let writes = self.step(&order, &next, account.as_ref(), entry.as_ref())?;
            match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok((next, owes)),
                Transaction::Refused(_) => patience.try_again(CONTENDED).await?,
            }
            // An unpaid order may just have been deleted. The next copy of the event finds no order.
            let gone = || StoreError::Unavailable(format!("the order {} is gone", order.id()));
            order = self.order(order.id()).await?.ok_or_else(gone)?;
        }
    }

    /// Returns the buyer's account. `None` if it was deleted.
    async fn buyer(&self, order: &Order) -> Result<Option<Account>> {
        let purchase: Option<Purchase> =
            self.get(&self.tables.tokens, pk(purchase_pk(order.id()))).await?;
        let Some(Purchase { name, .. }) = purchase else { return Ok(None) };
        let account = self.account_named(&name).await?;
        Ok(account.filter(|account| account.id == order.account && account.deleted.is_none()))
    }

    /// The writes of the step from `order` to `next`.
    fn step(
        &self,
        order: &Order,
        next: &Order,
        account: Option<&Account>,
        entry: Option<&Entry>,
    ) -> Result<Vec<Write>> {
        let mut writes = vec![self.change(order, next)?];
        let amount = next.given.signed() - order.given.signed();
        let owing = next.owed.signed() - order.owed.signed();
        if let Some(account) = account
            && (amount != 0 || owing != 0)
        {
            writes.push(self.move_bought(account, amount, owing));
        }
        if let Some(entry) = entry {
            writes.push(self.put_entry(entry)?);
            let source = StoredSource::of(entry);
            writes.extend(source.map(|source| self.use_source(&source)).transpose()?);
        }
        match (order.needs_attention(), next.needs_attention()) {
            (false, true) => writes.push(self.list_for_attention(next)?),
            (true, false) => writes.push(self.unlist(next)),
            _ => {}
        }
        Ok(writes)
    }

    /// The write that turns `order` into `next`, if its version hasn't changed. Attributes that only
    /// later releases know are kept.
    fn change(&self, order: &Order, next: &Order) -> Result<Write> {
        let (before, mut after) = (to_item(order)?, to_item(next)?);
        let gone: Vec<String> =
            before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
        after.retain(|name, value| before.get(name) != Some(value));
        let set: Vec<String> = after.keys().map(|name| format!("#{name} = :{name}")).collect();
        let mut expression = format!("SET {}", set.join(", "));
        if !gone.is_empty() {
            let gone: Vec<String> = gone.iter().map(|name| format!("#{name}")).collect();
            expression.push_str(&format!(" REMOVE {}", gone.join(", ")));
        }
        let names: Vec<(String, String)> =
            after.keys().chain(&gone).map(|name| (format!("#{name}"), name.clone())).collect();
        Ok(Write::update(&self.tables.tokens, pk(&order.pk), expression)
            .condition("version = :seen")
            .names(names)
            .values(after.into_iter().map(|(name, value)| (format!(":{name}"), value)))
            .values([(":seen", n(order.version))]))
    }

    /// The write that moves the credits of an order, and changes what the account owes.
    fn move_bought(&self, account: &Account, amount: i64, owing: i64) -> Write {
        let room = Credits::MAX.signed() - amount.max(0);
        let taken = (-amount).max(0);
        Write::update(
            &self.tables.users,
            pk(&account.pk),
            "SET tokens = tokens + :amount, granted = granted + :amount, owed = if_not_exists(owed, :none) + :owing",
        )
        .condition(
            "id = :id AND attribute_not_exists(deleted) AND tokens >= :taken AND granted <= :room",
        )
        .values([
            (":id", s(&account.id)),
            (":amount", n(amount)),
            (":owing", n(owing)),
            (":none", n(0)),
            (":taken", n(taken)),
            (":room", n(room)),
        ])
    }

    /// Lists an order among those that an administrator should look at. If it needs no attention any
    /// more, the next collection removes it from the list. Idempotent.
    pub async fn list_order(&self, order: &Order) -> Result<()> {
        self.send(&self.list_for_attention(order)?).await.map(drop)
    }

    fn list_for_attention(&self, order: &Order) -> Result<Write> {
        let item = Attention { pk: attention_pk(order.id()), user_id: ATTENTION };
        Ok(Write::put(&self.tables.tokens, to_item(item)?))
    }

    fn unlist(&self, order: &Order) -> Write {
        Write::delete(&self.tables.tokens, pk(attention_pk(order.id())))
    }

    /// Takes the credits that an account owes, as far as the account has them.
    pub(in crate::store) async fn collect_of(&self, user_id: &str, clock: &Clock) -> Result<()> {
        let mut before = None;
        loop {
            let (orders, more) = self.purchases(user_id, before.as_deref()).await?;
            before = orders.last().map(|order| order.id().to_owned());
            for order in orders.into_iter().filter(|order| order.owed > Credits::ZERO) {
                self.settle_order(order, &PaymentFacts::default(), clock).await?;
            }
            if !more || before.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes all owed credits that accounts have got since then, and tries again to move stranded
    /// ones. Returns the number of orders that still need an administrator's attention. An order that
    /// fails doesn't keep the others from being collected.
    pub async fn collect(&self, clock: &Clock) -> Result<usize> {
        let (mut before, mut left) = (None, 0);
        loop {
            let (orders, more) = self.orders_to_look_at(before.as_deref()).await?;
            before = orders.last().map(|order| order.id().to_owned());
            for order in orders {
                let known = PaymentFacts::default();
                let id = order.id().to_owned();
                let needs_attention = match self.settle_order(order, &known, clock).await {
                    Ok((after, _)) if after.needs_attention() => true,
                    Ok((after, _)) => !self.stop_listing(&after).await.unwrap_or_else(|error| {
                        tracing::error!(order = id, cause = error.cause(), "is still listed");
                        false
                    }),
                    Err(error) => {
                        tracing::error!(order = id, cause = error.cause(), "can't be collected");
                        true
                    }
                };
                left += usize::from(needs_attention);
            }
            if !more || before.is_none() {
                return Ok(left);
            }
        }
    }
}

impl Store {
    /// Removes an order that was just read, and needs no attention, from the list of those that do.
    /// An earlier release may have left it there, because it doesn't list disputed orders. Returns
    /// false if the order has changed since then.
    async fn stop_listing(&self, order: &Order) -> Result<bool> {
        let unchanged = Write::check(&self.tables.tokens, pk(&order.pk))
            .condition("version = :seen")
            .values([(":seen", n(order.version))]);
        let writes = vec![unchanged, self.unlist(order)];
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }

    /// Writes an outgoing e-mail to each administrator with a verified address, for each order with
    /// new disputes. Each dispute is told once. Also counts the orders that wait for an administrator.
    pub async fn tell_disputes(&self, clock: &Clock) -> Result<WaitingOrders> {
        let (mut waiting, mut before) = (WaitingOrders::default(), None);
        let mut administrators = None;
        loop {
            let (orders, more) = self.orders_to_look_at(before.as_deref()).await?;
            before = orders.last().map(|order| order.id().to_owned());
            for order in &orders {
                waiting.orders += u64::from(order.waits());
                let Some(disputes) = order.untold_disputes() else { continue };
                let told = match &administrators {
                    Some(told) => told,
                    None => administrators.insert(self.administrators_by_email().await?),
                };
                if self.tell(order, disputes, told, clock.seconds()).await? {
                    waiting.disputes += disputes - order.told;
                }
            }
            if !more || before.is_none() {
                return Ok(waiting);
            }
        }
    }

    /// Writes the e-mails about an order that was just read, and records how many disputes they are
    /// about. If nothing else needs attention, the order is no longer listed. Returns false if the
    /// order has changed, or the e-mails have been written already. Idempotent.
    async fn tell(
        &self,
        order: &Order,
        disputes: u64,
        administrators: &[Account],
        now: u64,
    ) -> Result<bool> {
        let told = Write::update(&self.tables.tokens, pk(&order.pk), "SET told = :disputes")
            .condition("version = :seen AND (attribute_not_exists(told) OR told < :disputes)")
            .values([(":seen", n(order.version)), (":disputes", n(disputes))]);
        let mut writes = vec![told];
        for Account { id, label, .. } in administrators {
            let letter = OutgoingEmail::Disputed {
                user_id: id.clone(),
                name: label.clone(),
                order: order.id().to_owned(),
                price: order.price,
                currency: order.currency.clone(),
            };
            writes.push(self.post(&letter, now)?);
        }
        if order.owed == Credits::ZERO && !order.waits() {
            writes.push(self.unlist(order));
        }
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the ledger rows of an account's orders say.
#[derive(Default)]
pub(in crate::store) struct OrderBook(BTreeMap<String, Booked>);

/// The sums of an order's ledger rows.
#[derive(Clone, Debug, Default)]
struct Booked {
    given: i128,
    money: i128,
    /// The order's version after the last row.
    step: u64,
    row: Option<String>,
}

impl OrderBook {
    /// Adds an entry, if it belongs to an order. Entries are added oldest first.
    pub(in crate::store) fn add(&mut self, entry: &Entry) {
        let Some(Payment { order, money, .. }) = &entry.payment else { return };
        let booked = self.0.entry(order.clone()).or_default();
        booked.given += i128::from(entry.amount);
        booked.money += i128::from(*money);
        let step = entry.source.as_ref().and_then(|source| source.text().rsplit(':').next());
        booked.step = booked.step.max(step.and_then(|step| step.parse().ok()).unwrap_or(0));
        booked.row = Some(entry.entry_id.clone());
    }
}

impl Store {
    /// Compares orders with their ledger rows. Returns the ids of the orders that the rows don't
    /// explain, and the credits that all these orders owe. Orders of a deleted account move no credits
    /// any more.
    pub(in crate::store) async fn audit_orders(
        &self,
        is_deleted: bool,
        book: &OrderBook,
    ) -> Result<(Vec<String>, i128)> {
        let (mut unexplained, mut owed) = (Vec::new(), 0);
        for (id, booked) in &book.0 {
            let order = self.order(id).await?;
            let explains = |order: &Order| {
                owed += i128::from(order.owed.get());
                let settled = order.given.checked_sub(order.owed) == Some(order.target());
                i128::from(order.given.get()) == booked.given
                    && i128::from(order.money) == booked.money
                    && (settled || order.stranded.is_some() || is_deleted)
            };
            if !order.as_ref().is_some_and(explains) {
                unexplained.push(id.clone());
            }
        }
        Ok((unexplained, owed))
    }

    /// Makes the restored orders of an account agree with their ledger rows. Returns descriptions of
    /// the repairs, and the credits that the account owes.
    pub(in crate::store) async fn reconcile_orders(
        &self,
        orders: &[Order],
        book: &OrderBook,
    ) -> Result<(Vec<String>, Credits)> {
        let (mut repairs, mut owed) = (Vec::new(), Credits::ZERO);
        for order in orders {
            let fixed = order.booked(book);
            let due = fixed.given.checked_sub(fixed.target()).unwrap_or_default();
            let fixed = Order { owed: due, ..fixed };
            owed = owed.checked_add(fixed.owed).unwrap_or(Credits::MAX);
            if fixed != *order {
                self.send(&self.change(order, &fixed)?).await?;
                repairs.push(format!(
                    "the order {} has given {} tokens, as in the ledger",
                    fixed.id(),
                    fixed.given
                ));
            }
            if fixed.needs_attention() {
                self.send(&self.list_for_attention(&fixed)?).await?;
            }
        }
        Ok((repairs, owed))
    }

    /// Moves the credits of a restored order whose payment was stored without them. Returns a
    /// description of the repair.
    pub(in crate::store) async fn settle_restored(
        &self,
        id: &str,
        clock: &Clock,
    ) -> Result<Option<String>> {
        let Some(order) = self.order(id).await? else { return Ok(None) };
        let had = order.given;
        let (settled, _) = self.settle_order(order, &PaymentFacts::default(), clock).await?;
        Ok((settled.given != had)
            .then(|| format!("the order {id} has given {} tokens now", settled.given)))
    }
}

/// Returns the orders among items of the Tokens table.
pub(in crate::store) fn orders(items: &[Item]) -> Result<Vec<Order>> {
    let is_order = |item: &&Item| text(item, "pk").starts_with(ORDER);
    items.iter().filter(is_order).cloned().map(from_item).collect()
}

/// The cause if other writes changed the order before each attempt of a step.
const CONTENDED: &str = "an order kept changing while facts were merged into it";
