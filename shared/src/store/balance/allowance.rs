//! Tops up balances to an [`Allowance`], once per period.
//!
//! Balances aren't topped up on a schedule. Instead, the first reserve in a period, or the first
//! read of the balance, tops it up. The same transaction writes the ledger entry. Held credits
//! count as part of the balance, so an account doesn't gain anything by holding all its credits at
//! midnight.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Credits;
use crate::clock::{Day, id_at};
use crate::store::schema::pk;
use crate::store::{Backoff, Result, Store, Transaction, Write, flag, n, s};
use crate::values::{AccessToken, Account, Allowance, Allowances, Entry, EntryKind, Role};

/// The condition that the account hasn't changed since it was read, and hasn't received its
/// allowance for this period.
const DUE_CONDITION: &str = "id = :id AND active = :true AND attribute_not_exists(deleted) AND granted = :granted AND spent = :spent \
    AND (attribute_not_exists(allowance) OR allowance < :period)";

/// Returns the account's allowance and the first day of its period, if the account hasn't received
/// the allowance for this period.
pub(super) fn due(account: &Account, of: Allowances, now: u64) -> Option<(Allowance, Day)> {
    let allowance = of.for_role(&account.role)?;
    let period = allowance.period(now);
    let is_due = account.allowance.is_none_or(|last| last < period.number());
    (account.active && account.deleted.is_none() && is_due).then_some((allowance, period))
}

/// Extends the condition of a reserve: the account must have received its allowance for this
/// period. The period may depend on the role. Adds the attribute names and the values that the
/// condition uses. Changes nothing if there are no allowances.
pub(super) fn require_allowance(
    condition: &mut String,
    names: &mut Vec<(String, String)>,
    values: &mut Vec<(String, AttributeValue)>,
    of: Allowances,
    now: u64,
) {
    let period = |of_role: Option<Allowance>, value: &str| {
        of_role.map(|allowance| (value.to_owned(), n(allowance.period(now).number())))
    };
    let users = period(of.users, ":allowance");
    let administrators = period(of.administrators, ":of_admins");
    let number = |period: &Option<(String, AttributeValue)>| {
        period.as_ref().map(|(_, number)| number.clone())
    };
    if number(&users) == number(&administrators) {
        if users.is_some() {
            condition.push_str(" AND allowance >= :allowance");
        }
        values.extend(users);
        return;
    }
    let of_role = |role: &str, period: &Option<(String, AttributeValue)>| match period {
        None => role.to_owned(),
        Some((value, _)) => format!("({role} AND allowance >= {value})"),
    };
    condition.push_str(&format!(
        " AND ({} OR {})",
        of_role("#role <> :admin", &users),
        of_role("#role = :admin", &administrators)
    ));
    names.push(("#role".into(), "role".into()));
    values.push((":admin".into(), s(Role::Admin.word())));
    values.extend(users.into_iter().chain(administrators));
}

impl Store {
    /// Tops up the caller's balance if an allowance is due, and returns the account. Strongly
    /// consistent. If the balance can't be topped up now, the next reserve or read tries again.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`](crate::store::StoreError::NotAccepted).
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

    /// Tops up the account's balance to its allowance, if it hasn't received the allowance for this
    /// period. `account` must be freshly read. Returns true if the account has changed since it was
    /// read. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable) if the outcome remains
    /// unknown.
    pub async fn fill_up(&self, account: &Account, of: Allowances, now: u64) -> Result<bool> {
        let mut seen = account.clone();
        let mut has_changed = false;
        let mut backoff = Backoff::new();
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
            backoff.try_again("an account kept changing while its balance was filled up").await?;
        }
        Ok(has_changed)
    }

    /// Returns the transaction that tops up the balance, and its request token. If the account has
    /// enough credits, the transaction only records the period.
    fn filling(
        &self,
        account: &Account,
        allowance: Allowance,
        period: Day,
        now: u64,
    ) -> Result<(Vec<Write>, String)> {
        let owned = account.granted.checked_sub(account.spent).unwrap_or_default();
        let amount = allowance.tokens.checked_sub(owned).unwrap_or_default();
        // The sum of an account's grants must not exceed the maximum.
        let room = Credits::MAX.checked_sub(account.granted).unwrap_or_default();
        let amount = amount.min(room);
        // The entry must sort after the first grant, and before the chat that waits for the
        // allowance.
        let time = (now * 1000).max(account.created + 1);
        let id = id_at(time).to_string();
        let fill = Write::update(
            &self.tables.users,
            pk(&account.pk),
            "SET allowance = :period, tokens = tokens + :amount, granted = granted + :amount",
        )
        .condition(DUE_CONDITION)
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

    /// A Thursday.
    const NOW: u64 = 1_795_694_400;

    #[test]
    fn conditions_compare_the_period_of_the_role() {
        let condition = |text| {
            let (mut condition, mut names, mut values) = Default::default();
            let of = Allowances::parse(text).unwrap();
            require_allowance(&mut condition, &mut names, &mut values, of, NOW);
            let values: Vec<_> = values.into_iter().map(|(name, _)| name).collect();
            (condition, names.len(), values)
        };
        let used = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(condition("none"), (String::new(), 0, vec![]));
        let text = " AND allowance >= :allowance".to_owned();
        assert_eq!(condition("5/day,admin=9/day"), (text, 0, used(&[":allowance"])));
        let text = " AND ((#role <> :admin AND allowance >= :allowance) OR #role = :admin)";
        let values = used(&[":admin", ":allowance"]);
        assert_eq!(condition("5/day,admin=none"), (text.to_owned(), 1, values));
        let (text, names, values) = condition("5/day,admin=9/month");
        assert!(text.contains("(#role = :admin AND allowance >= :of_admins)"), "{text}");
        assert_eq!((names, values.len()), (1, 3));
    }
}
