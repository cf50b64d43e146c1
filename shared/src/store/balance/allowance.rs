//! Filling balances up to an [`Allowance`], once in each period.
//!
//! No schedule does this. The first reserve or read of a balance in a period fills it up, in one
//! transaction with its ledger entry. Held credits count as the account's, so that an account which
//! holds all its credits at midnight gains nothing.

use crate::Credits;
use crate::clock::{Day, id_at};
use crate::store::schema::pk;
use crate::store::{Patience, Result, Store, StoreError, Transaction, Write, flag, n, s};
use crate::values::{AccessToken, Account, Allowance, Allowances, Entry, EntryKind};

/// The condition that the account is as it was read, and hasn't got its allowance in this period.
const DUE: &str = "id = :id AND active = :true AND attribute_not_exists(deleted) AND granted = :granted AND spent = :spent \
    AND (attribute_not_exists(allowance) OR allowance < :period)";

/// Returns the account's allowance, and the first day of its period, if the account hasn't got the
/// allowance in this period.
pub(super) fn due(account: &Account, of: Allowances, now: u64) -> Option<(Allowance, Day)> {
    let allowance = of.of(&account.role)?;
    let period = allowance.period(now);
    let is_due = account.allowance.is_none_or(|last| last < period.number());
    (account.active && account.deleted.is_none() && is_due).then_some((allowance, period))
}

/// Returns the condition that an account has got its allowance in this period, with its values.
/// `None` if no account has an allowance.
pub(super) fn has_allowance(
    of: Allowances,
    now: u64,
) -> Option<(String, Vec<(&'static str, u64)>)> {
    let period =
        |allowance: Option<Allowance>| allowance.map(|allowance| allowance.period(now).number());
    let (users, administrators) = (period(of.users), period(of.administrators));
    let has = |value: &str| format!("allowance >= {value}");
    Some(match (users, administrators) {
        (None, None) => return None,
        (Some(users), Some(administrators)) if users == administrators => {
            (format!(" AND {}", has(":allowance")), vec![(":allowance", users)])
        }
        (users, administrators) => {
            let of_role = |period: Option<u64>, role: &str, value: &'static str| match period {
                None => (role.to_owned(), None),
                Some(period) => (format!("({role} AND {})", has(value)), Some((value, period))),
            };
            let (user, of_users) = of_role(users, "#role <> :admin", ":allowance");
            let (admin, of_admins) = of_role(administrators, "#role = :admin", ":of_admins");
            let values = of_users.into_iter().chain(of_admins).collect();
            (format!(" AND ({user} OR {admin})"), values)
        }
    })
}

impl Store {
    /// Fills the caller's balance up if an allowance is due, and returns the account, strongly
    /// consistent. If the balance can't be filled up now, the next reserve or reading tries again.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`].
    pub async fn filled_account_of(
        &self,
        caller: &AccessToken,
        of: Allowances,
        now: u64,
    ) -> Result<Account> {
        let account = self.account_of(caller).await?;
        match self.fill_up(&account, of, now).await {
            Ok(true) => self.account_of(caller).await,
            Ok(false) => Ok(account),
            // The outcome may be unknown, so read the account again.
            Err(error) => {
                tracing::warn!(cause = error.cause(), "a balance may not have been filled up");
                self.account_of(caller).await
            }
        }
    }

    /// Fills the account's balance up to its allowance, if it hasn't got the allowance in this
    /// period. `account` is the account as just read. Returns true if the account has changed since.
    /// Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the outcome remains unknown.
    pub async fn fill_up(&self, account: &Account, of: Allowances, now: u64) -> Result<bool> {
        let mut seen = account.clone();
        let mut has_changed = false;
        let mut patience = Patience::new();
        while let Some((allowance, period)) = due(&seen, of, now) {
            let (writes, request) = self.filling(&seen, allowance, period, now)?;
            let Transaction::Refused(refusals) = self.transact(writes, &request).await? else {
                return Ok(true);
            };
            has_changed = true;
            let current = refusals.read::<Account>(0)?;
            match current.filter(|current| current.id == seen.id) {
                Some(current) => seen = current,
                None => return Ok(true),
            }
            if !patience.lasts().await {
                return Err(StoreError::Unavailable(
                    "an account kept changing while its balance was filled up".into(),
                ));
            }
        }
        Ok(has_changed)
    }

    /// Returns the transaction that fills the balance up, and its request token. If the account has
    /// enough credits, the transaction only marks the period.
    fn filling(
        &self,
        account: &Account,
        allowance: Allowance,
        period: Day,
        now: u64,
    ) -> Result<(Vec<Write>, String)> {
        let owned = account.granted.checked_sub(account.spent).unwrap_or_default();
        let amount = allowance.tokens.checked_sub(owned).unwrap_or_default();
        // An account can't be granted more than the maximum in total.
        let room = Credits::MAX.checked_sub(account.granted).unwrap_or_default();
        let amount = amount.min(room);
        // The entry comes after the first grant, and before the chat that waits for the allowance.
        let time = (now * 1000).max(account.created + 1);
        let id = id_at(time).to_string();
        let fill = Write::update(
            &self.tables.users,
            pk(&account.pk),
            "SET allowance = :period, tokens = tokens + :amount, granted = granted + :amount",
        )
        .condition(DUE)
        .values([
            (":id", s(&account.id)),
            (":true", flag(true)),
            (":granted", n(account.granted)),
            (":spent", n(account.spent)),
            (":period", n(period.number())),
            (":amount", n(amount)),
        ])
        .shows_item();
        let mut writes = vec![fill];
        if amount > Credits::ZERO {
            let entry = Entry {
                allowance: Some(period.number()),
                ..Entry::new(
                    &account.id,
                    id.clone(),
                    amount.signed(),
                    EntryKind::Adjustment,
                    &allowance.reason(period),
                    &account.id,
                    time,
                )
            };
            writes.push(self.put_entry(&entry)?);
        }
        Ok((writes, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of this day, in seconds.
    fn noon(day: &str) -> u64 {
        Day::parse(day).unwrap().begins() / 1000 + 43_200
    }

    fn of(text: &str) -> Allowances {
        Allowances::parse(text).unwrap()
    }

    #[test]
    fn conditions_compare_the_period_of_the_role() {
        let condition = |text| has_allowance(of(text), noon("2026-11-26"));
        assert_eq!(condition("none"), None);
        let (text, values) = condition("5/day,admin=9/day").unwrap();
        assert_eq!((text.as_str(), values.len()), (" AND allowance >= :allowance", 1));
        let (text, values) = condition("5/day,admin=none").unwrap();
        assert_eq!(text, " AND ((#role <> :admin AND allowance >= :allowance) OR #role = :admin)");
        assert_eq!(values.len(), 1);
        let (text, values) = condition("5/day,admin=9/month").unwrap();
        assert!(text.contains("(#role = :admin AND allowance >= :of_admins)"), "{text}");
        assert_eq!(values.len(), 2);
    }
}
