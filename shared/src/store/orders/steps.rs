//! The steps of an order. One transaction merges facts into the order, and moves the difference
//! between the credits that the buyer has received and the credits that the facts require.

use uuid::Uuid;

use crate::Credits;
use crate::clock::Clock;
use crate::store::orders::Order;
use crate::store::orders::items::BuyerListing;
use crate::store::schema::{pk, purchase_pk};
use crate::store::sources::StoredSource;
use crate::store::{Backoff, Result, Store, StoreError, Transaction, Write, n, s, to_item};
use crate::values::{Account, Entry, EntryKind, Payment, PaymentFacts, Progress, Source, Stranded};

impl Order {
    /// Returns the order after merging these facts and moving all credits that can be moved.
    /// `account` is the buyer's account, or `None` if it was deleted.
    fn with_facts(&self, facts: &PaymentFacts, account: Option<&Account>) -> Self {
        let facts = self.facts.clone().merged(facts);
        let mut next = Self { facts, owed: Credits::ZERO, stranded: None, ..self.clone() };
        next.money = next.facts.kept(self.price);
        let target = next.target();
        match (target.checked_sub(self.granted), account) {
            (Some(Credits::ZERO), _) => {}
            (Some(_), None) => next.stranded = Some(Stranded::AccountDeleted),
            (Some(more), Some(account)) => match account.granted.checked_add(more) {
                Some(_) => next.granted = target,
                None => next.stranded = Some(Stranded::GrantTooLarge),
            },
            // A deleted account doesn't owe credits.
            (None, None) => {}
            (None, Some(account)) => {
                let due = self.granted.checked_sub(target).unwrap_or_default();
                let taken = due.min(account.tokens);
                next.granted = self.granted.checked_sub(taken).unwrap_or_default();
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

    /// Returns the ledger entry for the step from `earlier` to this order. `None` if the step moved
    /// neither credits nor money.
    fn entry_since(&self, earlier: &Self, clock: &Clock) -> Option<Entry> {
        let amount = self.granted.signed() - earlier.granted.signed();
        let signed = |money: u64| i64::try_from(money).unwrap_or(i64::MAX);
        let money = signed(self.money) - signed(earlier.money);
        if amount == 0 && money == 0 {
            return None;
        }
        // The entry isn't listed among administrators' actions, because it results from the buyer's
        // payment.
        let entry = Entry::new(
            &self.account,
            clock.id().to_string(),
            amount,
            EntryKind::Adjustment,
            &self.name,
            &self.account,
            clock.millis(),
        );
        // Each step has its own source, so it moves credits only once.
        let source = Source::new("stripe", &format!("{}:{}", self.id(), self.version));
        Some(Entry {
            source: Some(source),
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
    /// Merges facts into a freshly read order, and moves its credits. Also returns whether the
    /// account owes credits for other orders.
    pub(super) async fn apply_facts(
        &self,
        mut order: Order,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<(Order, bool)> {
        let mut backoff = Backoff::new();
        loop {
            let account = self.buyer(&order).await?;
            let owed = account.as_ref().and_then(|account| account.owed).unwrap_or_default();
            let owes = owed > order.owed;
            let mut next = order.with_facts(facts, account.as_ref());
            if next == order {
                return Ok((order, owes));
            }
            // Each attempt uses a new row and a new request token. Only one attempt can be applied
            // to the same version.
            let entry = next.entry_since(&order, clock);
            if let Some(entry) = &entry {
                next.row = Some(entry.entry_id.clone());
            }
            let writes = self.writes_of_step(&order, &next, account.as_ref(), entry.as_ref())?;
            match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok((next, owes)),
                Transaction::Refused(_) => backoff.try_again(CONTENDED).await?,
            }
            // An unpaid order may just have been deleted. When the payment provider repeats the
            // event, the order won't be found.
            let gone = || StoreError::Unavailable(format!("the order {} is gone", order.id()));
            order = self.order(order.id()).await?.ok_or_else(gone)?;
        }
    }

    /// Returns the buyer's account. `None` if it was deleted.
    async fn buyer(&self, order: &Order) -> Result<Option<Account>> {
        let listing: Option<BuyerListing> =
            self.get(&self.tables.tokens, pk(purchase_pk(order.id()))).await?;
        let Some(BuyerListing { name, .. }) = listing else { return Ok(None) };
        let account = self.account_named(&name).await?;
        Ok(account.filter(|account| account.id == order.account && account.deleted.is_none()))
    }

    /// Returns the writes that turn `order` into `next` and move its credits.
    fn writes_of_step(
        &self,
        order: &Order,
        next: &Order,
        account: Option<&Account>,
        entry: Option<&Entry>,
    ) -> Result<Vec<Write>> {
        let mut writes = vec![self.update_of(order, next)?];
        let amount = next.granted.signed() - order.granted.signed();
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

    /// A write that turns `order` into `next`, if the order's version hasn't changed. Keeps
    /// attributes that later releases have added.
    pub(super) fn update_of(&self, order: &Order, next: &Order) -> Result<Write> {
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

    /// A write that moves the credits of an order, and changes the credits that the account owes.
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
}

/// The cause that is logged if all attempts at a step failed because other writes changed the
/// order.
pub(super) const CONTENDED: &str = "an order kept changing while facts were merged into it";
