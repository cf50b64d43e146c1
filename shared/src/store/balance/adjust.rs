//! Adjustments: changes that an administrator, an operator or the user makes to a balance, with a
//! reason.

use crate::clock::Clock;
use crate::store::balance::release::expired_holds;
use crate::store::balance::{CLOSED, append_removals, outdated};
use crate::store::schema::{account_pk, pk};
use crate::store::sources::StoredSource;
use crate::store::{
    Backoff, Record, Refusals, Result, Store, StoreError, Transaction, Write, n, s,
};
use crate::values::{AccessToken, Account, Administrator, Entry, EntryKind, Reason, Source};
use crate::{BalanceChange, Credits, Error};

/// An adjustment of one account's balance. All its values are fixed before the first attempt, so
/// that a retry sends the same bytes.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// The key form of the account's username.
    name_key: String,
    change: BalanceChange,
    entry: Entry,
    /// The caller, who must be an administrator when the transaction is applied.
    by: Option<AccessToken>,
    /// The records that the transaction creates, such as the idempotency key's record. They must
    /// not exist yet.
    records: Vec<Record>,
    /// Additional writes in the transaction, set by [`Adjustment::using`].
    uses: Vec<(Write, Error)>,
    /// The item that lists the adjustment, set by [`Adjustment::listed`].
    listing: Option<Write>,
    /// True if the account owes credits for refunded purchases.
    owes: bool,
    clock: Clock,
}

impl Adjustment {
    /// Creates an adjustment. `actor` is the id of the administrator's account, or `manage` for the
    /// command line.
    pub fn new(
        account: &Account,
        change: BalanceChange,
        reason: Reason,
        actor: &str,
        clock: &Clock,
    ) -> Self {
        let entry = Entry::new(
            &account.id,
            clock.id().to_string(),
            change.amount(),
            EntryKind::Adjustment,
            reason.text(),
            actor,
            clock.millis(),
        );
        Self {
            name_key: account.label.clone(),
            change,
            entry,
            by: None,
            records: Vec::new(),
            uses: Vec::new(),
            listing: None,
            owes: account.owed > Some(Credits::ZERO),
            clock: clock.clone(),
        }
    }

    /// Sets the administrator. The adjustment is refused if this account no longer belongs to an
    /// administrator when the transaction is applied.
    ///
    /// # Errors
    /// [`Error::OwnBalance`] if the account is the administrator's own.
    pub fn made_by(mut self, administrator: &Administrator) -> Result<Self> {
        if administrator.account().id == self.entry.user_id {
            return Err(StoreError::Refused(Error::OwnBalance));
        }
        self.entry.actor.clone_from(&administrator.account().id);
        Ok(Self { by: Some(administrator.caller().clone()), ..self })
    }

    /// Adds an idempotency key, which is remembered until the Unix time `until`. Can be called
    /// several times; the adjustment is then applied only if none of the keys has been used.
    #[must_use]
    pub fn keyed(mut self, key_id: &str, fingerprint: &str, until: u64) -> Self {
        self.records.push(Record::new(key_id, fingerprint, &self.entry.entry_id, until));
        self
    }

    /// Sets the chat whose price the adjustment returns. A chat's price can be returned only once.
    #[must_use]
    pub fn refunding(mut self, chat_id: &str) -> Self {
        self.entry.chat_id = Some(chat_id.to_owned());
        let source = Source::new("refund", &format!("{}:{chat_id}", self.entry.user_id));
        self.using(source, Vec::new())
    }

    /// Sets the source of the credits, which grants them only once. `uses` are the writes that use
    /// up the source, each with the failure that the client receives if the write's condition
    /// doesn't hold. Once a condition doesn't hold, it must never hold again. If several conditions
    /// don't hold, the client receives the last failure.
    pub(in crate::store) fn using(mut self, source: Source, uses: Vec<(Write, Error)>) -> Self {
        self.entry.source = Some(source);
        Self { uses, ..self }
    }

    /// Sets an unconditional write that lists the adjustment.
    pub(in crate::store) fn listed(self, listing: Write) -> Self {
        Self { listing: Some(listing), ..self }
    }

    /// Returns the adjustment's ledger entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns the credits that the adjustment deducts.
    fn taken(&self) -> Credits {
        match self.change {
            BalanceChange::Credit(_) => Credits::ZERO,
            BalanceChange::Debit(tokens) => tokens,
        }
    }

    /// Returns the highest value of the account's `granted` that leaves room for this adjustment.
    fn room(&self) -> Credits {
        match self.change {
            BalanceChange::Credit(tokens) => Credits::MAX.checked_sub(tokens).unwrap_or_default(),
            BalanceChange::Debit(_) => Credits::MAX,
        }
    }

    /// Returns the failure if the transaction was refused because the source is used up. `first` is
    /// the index of the first write that uses the source.
    fn used_up(&self, refusals: &Refusals, first: usize) -> Option<Error> {
        let mut uses = self.uses.iter().enumerate().rev();
        uses.find(|(index, _)| refusals.has(first + index)).map(|(_, (_, failure))| failure.clone())
    }

    /// Returns the outcome if the account's balance or its granted credits don't allow the
    /// adjustment; otherwise `None`. Credits in expired holds count as available.
    fn blocked_by_numbers(&self, account: &Account, now: u64) -> Option<AdjustOutcome> {
        match account.balance(now) {
            balance if balance < self.taken() => Some(AdjustOutcome::TooLittle(balance)),
            _ if account.granted > self.room() => Some(AdjustOutcome::TooMuch),
            _ => None,
        }
    }
}

/// The outcome of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustOutcome {
    /// The balance has changed, and the ledger contains the adjustment's entry.
    Applied,
    /// The account was deleted; nothing was changed.
    Gone,
    /// The balance, which this variant contains, is lower than the amount to deduct. Nothing was
    /// changed.
    TooLittle(Credits),
    /// The sum of all grants would exceed [`Credits::MAX`]. Nothing was changed.
    TooMuch,
    /// One of the adjustment's idempotency keys already has a record. Nothing was changed.
    KeyUsed,
    /// The adjustment's source has granted credits before. Nothing was changed.
    SourceUsed,
}

/// The reason for a refused adjustment.
enum Refusal {
    /// The outcome is final: a delayed copy of the adjustment can't change it.
    Final(AdjustOutcome),
    /// The only possible reason is this account's balance or its granted credits.
    Numbers(Box<Account>),
}

/// The condition that the account exists, has enough credits, doesn't exceed the maximum of granted
/// credits, and hasn't closed the adjustment's id.
const ADJUST_CONDITION: &str = "id = :id AND attribute_not_exists(deleted) AND tokens >= :taken AND granted >= :taken AND granted <= :room \
    AND attribute_not_exists(closed.#entry)";

impl Store {
    /// Adds or deducts credits and writes the ledger entry, in one transaction. Releases expired
    /// holds first if the adjustment needs their credits. If the account owes credits, they are
    /// deducted after credits were added. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the outcome remains unknown, [`StoreError::NotAccepted`] or
    /// [`Error::Forbidden`] if the caller is no longer an administrator, and the source's own
    /// failure if the source is used up.
    pub async fn adjust(&self, adjustment: &Adjustment, now: u64) -> Result<AdjustOutcome> {
        let outcome = self.move_credits(adjustment, now).await?;
        let pays = matches!(adjustment.change, BalanceChange::Credit(_)) && adjustment.owes;
        if outcome == AdjustOutcome::Applied
            && pays
            && let Err(error) =
                self.collect_owed(&adjustment.entry.user_id, &adjustment.clock).await
        {
            // The daily collection will deduct the credits instead.
            tracing::warn!(cause = error.cause(), "owed credits could not be taken");
        }
        Ok(outcome)
    }

    /// Sends the adjustment's transaction until its outcome is final.
    async fn move_credits(&self, adjustment: &Adjustment, now: u64) -> Result<AdjustOutcome> {
        let writes = self.writes_of_adjustment(adjustment, now)?;
        let first_use = writes.len() - adjustment.uses.len();
        let (user_id, id) = (&adjustment.entry.user_id, &adjustment.entry.entry_id);
        let mut cleared = false;
        let mut sent_again = false;
        let mut backoff = Backoff::new();
        loop {
            let sent = self.transact_watched(writes.clone(), id, &mut sent_again).await?;
            let Transaction::Refused(refusals) = sent else { return Ok(AdjustOutcome::Applied) };
            let used_up = adjustment.used_up(&refusals, first_use);
            let account = match self.reread_after_refusal(adjustment, used_up, now).await? {
                Refusal::Numbers(account) => account,
                Refusal::Final(outcome) => return Ok(outcome),
            };
            if let Some(refused) = adjustment.blocked_by_numbers(&account, now) {
                // Close the adjustment's id, so that a copy that arrives after this refusal isn't
                // applied. Close it even if the SDK has sent only one request, because the network
                // may deliver the request twice. In that case, the closed id is outdated
                // immediately, but copies are refused until another write removes it.
                let until = if sent_again { now + CLOSED } else { now };
                self.close(&account, id, until, now).await?;
                // A copy may have been applied before the id was closed.
                return Ok(match self.has_row(user_id, id).await? {
                    true => AdjustOutcome::Applied,
                    false => refused,
                });
            }
            if account.tokens < adjustment.taken() && !cleared {
                cleared = true;
                self.release_all_expired(&account, &expired_holds(&account, now)).await?;
            } else {
                backoff
                    .try_again(
                        "an adjustment kept being refused, each time for a reason that had passed",
                    )
                    .await?;
            }
        }
    }

    /// Returns the writes in an adjustment's transaction.
    fn writes_of_adjustment(&self, adjustment: &Adjustment, now: u64) -> Result<Vec<Write>> {
        let Adjustment { name_key, change, entry, by, records, uses, listing, .. } = adjustment;
        let change_balance = Write::update(
            &self.tables.users,
            pk(account_pk(name_key)),
            "SET tokens = tokens + :amount, granted = granted + :amount",
        )
        .condition(ADJUST_CONDITION)
        .names([("#entry", &entry.entry_id)])
        .values([
            (":id", s(&entry.user_id)),
            (":amount", n(change.amount())),
            (":taken", n(adjustment.taken())),
            (":room", n(adjustment.room())),
        ]);
        let mut writes = vec![change_balance];
        writes.extend(by.as_ref().map(|by| self.is_administrator(by)));
        writes.push(self.put_entry(entry)?);
        for record in records {
            writes.push(self.remember(record, now)?);
        }
        let source = StoredSource::of(entry);
        writes.extend(source.map(|source| self.use_source(&source)).transpose()?);
        writes.extend(listing.clone());
        // `move_credits` relies on these writes being the last ones.
        writes.extend(uses.iter().map(|(write, _)| write.clone()));
        Ok(writes)
    }

    /// Finds out why the adjustment was refused, by reading its account and records again.
    /// `used_up` is the failure if the source is used up.
    async fn reread_after_refusal(
        &self,
        adjustment: &Adjustment,
        used_up: Option<Error>,
        now: u64,
    ) -> Result<Refusal> {
        let Adjustment { name_key, entry, by, records, .. } = adjustment;
        // If a copy of this adjustment was applied, its ledger entry exists. Look for the entry
        // after reading the account: otherwise, a copy applied between the two reads would lower
        // the balance, and the adjustment would be reported as refused although it was applied.
        let account = self.account_named(name_key).await?;
        if self.has_row(&entry.user_id, &entry.entry_id).await? {
            return Ok(Refusal::Final(AdjustOutcome::Applied));
        }
        if let Some(by) = by {
            self.administrator(by).await?;
        }
        if let Some(source) = &entry.source
            && self.row_of(source).await?.is_some()
        {
            return Ok(Refusal::Final(AdjustOutcome::SourceUsed));
        }
        for record in records {
            if self.record(record.key_id(), now).await?.is_some() {
                return Ok(Refusal::Final(AdjustOutcome::KeyUsed));
            }
        }
        // A source that is used up stays used up, so a delayed copy is refused as well.
        if let Some(failure) = used_up {
            return Err(StoreError::Refused(failure));
        }
        let is_there = |account: &Account| account.id == entry.user_id && account.deleted.is_none();
        Ok(match account.filter(is_there) {
            Some(account) => Refusal::Numbers(Box::new(account)),
            None => Refusal::Final(AdjustOutcome::Gone),
        })
    }

    /// Closes an id. The account refuses adjustments with this id until the Unix time `until` has
    /// passed and another write has removed the id. Also removes outdated closed ids.
    async fn close(&self, account: &Account, id: &str, until: u64, now: u64) -> Result<()> {
        let mut remove = String::new();
        let mut outdated = outdated(account, now);
        outdated.retain(|other| other != id);
        let names = append_removals(&mut remove, "closed", &outdated);
        let remove = if remove.is_empty() {
            remove
        } else {
            format!(" REMOVE {}", remove.trim_start_matches(", "))
        };
        let close = Write::update(
            &self.tables.users,
            pk(&account.pk),
            format!("SET closed.#id = :until{remove}"),
        )
        .condition("id = :user AND (attribute_not_exists(closed.#id) OR closed.#id < :until)")
        .names(names)
        .names([("#id", id)])
        .values([(":user", s(&account.id)), (":until", n(until))]);
        self.send(&close).await.map(drop)
    }
}
