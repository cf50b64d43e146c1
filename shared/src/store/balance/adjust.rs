//! Changing a balance by hand.

use futures_util::future::try_join_all;

use super::{CLOSED, also, outdated};
use crate::auth::{AccessToken, Administrator};
use crate::clock::Clock;
use crate::store::administration::{ADMINISTERS, administers};
use crate::store::schema::{account_key, pk};
use crate::store::{Entry, EntryKind, Patience, Reason, Record, Store, Transaction, Write, n, s};
use crate::user::Account;
use crate::{Change, Error, Result, Tokens};

/// A change of one account's balance by hand, with everything fixed before the first send: sent
/// again, it is the same one.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// The key of the account's name.
    name_key: String,
    change: Change,
    entry: Entry,
    /// The administrator on whose being one it depends.
    by: Option<AccessToken>,
    /// What an idempotency key comes to stand for.
    record: Option<Record>,
}

impl Adjustment {
    /// An adjustment of this account; `actor` is the id of the account that does it.
    pub fn new(
        account: &Account,
        change: Change,
        reason: Reason,
        actor: &str,
        clock: &Clock,
    ) -> Self {
        let entry = Entry {
            user_id: account.id.clone(),
            entry_id: clock.id().to_string(),
            amount: change.amount(),
            kind: EntryKind::Adjustment,
            reason: reason.text().to_owned(),
            actor: actor.to_owned(),
            chat_id: None,
            act: None,
            time: clock.millis(),
        };
        Self { name_key: account.label.clone(), change, entry, by: None, record: None }
    }

    /// The same by this administrator, who must be one when it is done.
    #[must_use]
    pub fn by(mut self, administrator: &Administrator) -> Self {
        self.entry.actor.clone_from(&administrator.account().id);
        Self { by: Some(administrator.caller().clone()), ..self }
    }

    /// The same under an idempotency key, which is remembered until the second `until`.
    #[must_use]
    pub fn keyed(self, key_id: &str, fingerprint: &str, until: u64) -> Self {
        Self { record: Some(Record::new(key_id, fingerprint, &self.entry.entry_id, until)), ..self }
    }

    /// Its row.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// What became of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// It is in the balance and in the ledger.
    Applied,
    /// The account no longer stands; nothing was changed.
    Gone,
    /// The balance, which this is, is less than was to be taken; nothing was changed.
    TooLittle(Tokens),
    /// Everything ever granted would be more than [`Tokens::MAX`]; nothing was changed.
    TooMuch,
    /// Its idempotency key stands for something already: its record tells what. Nothing was
    /// changed.
    KeyUsed,
}

/// On what condition an adjustment is made: the account stands, has what is taken, and isn't
/// granted too much.
const ADJUSTS: &str = "id = :id AND attribute_not_exists(deleted) AND tokens >= :taken AND granted >= :taken AND granted <= :room \
    AND attribute_not_exists(closed.#entry)";

impl Store {
    /// Gives or takes tokens and writes the ledger row that says why, in one transaction. The same
    /// adjustment sent again acts once. Where expired reservations hold what is to be taken,
    /// they are released first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the outcome stays unknown; [`Error::InvalidToken`] and
    /// [`Error::Forbidden`] where whoever does it was an administrator a moment ago.
    pub async fn adjust(&self, adjustment: &Adjustment, now: u64) -> Result<Adjusted> {
        let Adjustment { name_key, change, entry, by, record } = adjustment;
        let (given, taken) = match *change {
            Change::Give(tokens) => (tokens, Tokens::ZERO),
            Change::Take(tokens) => (Tokens::ZERO, tokens),
        };
        let room = Tokens::MAX.checked_sub(given).unwrap_or(Tokens::ZERO);
        let account = account_key(name_key);
        let move_tokens = Write::update(
            &self.tables.users,
            pk(&account),
            "SET tokens = tokens + :amount, granted = granted + :amount",
        )
        .when(ADJUSTS)
        .names([("#entry", &entry.entry_id)])
        .values([
            (":id", s(&entry.user_id)),
            (":amount", n(change.amount())),
            (":taken", n(taken)),
            (":room", n(room)),
        ]);
        let mut writes = match by {
            None => vec![move_tokens],
            // A transaction writes to an account once: the condition on their own says that they
            // are one.
            Some(by) if by.user_id == entry.user_id => {
                vec![administers(move_tokens, by).when(format!("{ADJUSTS} AND {ADMINISTERS}"))]
            }
            Some(by) => vec![move_tokens, self.is_administrator(by)],
        };
        writes.push(self.enter(entry)?);
        if let Some(record) = record {
            writes.push(self.remember(record, now)?);
        }

        let mut cleared = false;
        let mut sent_again = false;
        let mut patience = Patience::new();
        loop {
            if matches!(
                self.transact_watched(writes.clone(), &entry.entry_id, &mut sent_again).await?,
                Transaction::Applied
            ) {
                return Ok(Adjusted::Applied);
            }
            // If a copy of this very adjustment was applied, its row stands: read last, so that no
            // balance is judged that the copy made.
            let standing = self.account_named(name_key).await?;
            if self.has_entry(&entry.user_id, &entry.entry_id).await? {
                return Ok(Adjusted::Applied);
            }
            if let Some(by) = by {
                self.account_of_administrator(by).await?;
            }
            if let Some(record) = record
                && self.record(record.key_id(), now).await?.is_some()
            {
                return Ok(Adjusted::KeyUsed);
            }
            let standing = standing
                .filter(|standing| standing.id == entry.user_id && standing.deleted.is_none());
            let Some(standing) = standing else { return Ok(Adjusted::Gone) };
            let refused = match standing.balance(now) {
                balance if balance < taken => Some(Adjusted::TooLittle(balance)),
                _ if standing.granted > room => Some(Adjusted::TooMuch),
                _ => None,
            };
            if let Some(refused) = refused {
                // No copy that is still on its way may make this untrue. Where none can be, the
                // next write may remove the id.
                let until = if sent_again { now + CLOSED } else { now };
                self.close(&standing, &entry.entry_id, until, now).await?;
                return Ok(if self.has_entry(&entry.user_id, &entry.entry_id).await? {
                    Adjusted::Applied
                } else {
                    refused
                });
            }
            if standing.tokens < taken && !cleared {
                cleared = true;
                let expired = standing
                    .reservations
                    .iter()
                    .filter(|(_, reservation)| reservation.expires_at <= now);
                try_join_all(expired.map(|(rid, reservation)| {
                    self.give_back(&account, &entry.user_id, rid, reservation)
                }))
                .await?;
            } else if !patience.lasts().await {
                return Err(Error::Unavailable(
                    "an adjustment was refused without a reason that lasts".into(),
                ));
            }
        }
    }

    /// Has the account refuse whatever still comes under this id, until the second `until` has come
    /// and another write removes it; removes those that were over before.
    async fn close(&self, account: &Account, id: &str, until: u64, now: u64) -> Result<()> {
        let mut remove = String::new();
        let mut outdated = outdated(account, now);
        outdated.retain(|other| other != id);
        let names = also(&mut remove, "closed", &outdated);
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
        .when("id = :user AND (attribute_not_exists(closed.#id) OR closed.#id < :until)")
        .names(names)
        .names([("#id", id)])
        .values([(":user", s(&account.id)), (":until", n(until))]);
        self.send(&close).await.map(drop)
    }
}
