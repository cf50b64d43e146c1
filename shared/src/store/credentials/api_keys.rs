//! API keys in the Tokens table. The account stores how many keys it has. A key and this count are
//! written together, so parallel requests can't create more keys than an account can have.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::Error;
use crate::clock::{Day, month};
use crate::store::credentials::sessions::CALLER;
use crate::store::ledger::interventions::{CONTENDED, UNCHANGED};
use crate::store::schema::{API_KEY, api_key_pk, pk};
use crate::store::{
    Backoff, NEW, PlannedIntervention, Refusals, Result, Store, StoreError, Transaction, Write,
    is_id, n, s, to_item,
};
use crate::values::api_key::{API_KEYS, KeyChange, KeyName, LIMITED_KEYS, LimitChange};
use crate::values::restrictions::key_and_period;
use crate::values::{AccessToken, Account, ApiKey, LimitPeriod, Restrictions, StoredApiKey};

/// The maximum number of purses that one write removes. DynamoDB limits an expression to 4 KB.
const DEAD_PURSES: usize = 40;

impl StoredApiKey {
    /// Creates the stored form of the caller's new key. Equal bodies don't count as retries.
    pub fn new(
        key: &ApiKey,
        caller: &AccessToken,
        label: &KeyName,
        restrictions: Restrictions,
        created: u64,
    ) -> Self {
        let (hash, restricted) = match restrictions.is_empty() {
            true => (key.hash(), None),
            false => (String::new(), Some(Restrictions { hash: key.hash(), ..restrictions })),
        };
        Self {
            pk: api_key_pk(&key.id().to_string()),
            user_id: caller.user_id.clone(),
            name: caller.name.clone(),
            label: label.text().to_owned(),
            hash,
            restricted,
            hint: key.hint(),
            created,
            auth_epoch: caller.auth_epoch,
            used: None,
            equal_bodies: false,
            changes: 0,
        }
    }
}

impl Store {
    /// Stores a new key, if the account accepts the caller and can have another key. A key with a
    /// limit also gets a purse on the account. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], [`Error::TooManyApiKeys`] and [`Error::TooManyLimitedKeys`].
    pub async fn create_api_key(&self, caller: &AccessToken, key: &StoredApiKey) -> Result<()> {
        let mut backoff = Backoff::new();
        loop {
            let put = Write::put(&self.tables.tokens, to_item(key)?).condition(NEW).shows_item();
            let add = match key.limit() {
                None => NewPurse::default(),
                Some(limit) => self.new_purse(caller, key, limit.per).await?,
            };
            let NewPurse { set, condition, names, values } = add;
            let count = self
                .count_keys(
                    caller,
                    &format!("SET api_keys = if_not_exists(api_keys, :none) + :one{set}"),
                )
                .condition(format!(
                    "{CALLER} AND (attribute_not_exists(api_keys) OR api_keys < :most){condition}"
                ))
                .names(names)
                .values(values)
                .values([(":most", n(API_KEYS))]);
            // For a key without a limit, all attempts send the same bytes.
            let request = match key.limit() {
                None => key.id().to_owned(),
                Some(_) => Uuid::new_v4().to_string(),
            };
            let refusals = match self.transact(vec![put, count], &request).await? {
                Transaction::Applied => return Ok(()),
                Transaction::Refused(refusals) => refusals,
            };
            // An earlier copy stored the key, but the reply was lost.
            if refusals.read::<StoredApiKey>(0)?.as_ref() == Some(key) {
                return Ok(());
            }
            match refusing_account(&refusals, caller)? {
                Some(account) if account.api_keys >= API_KEYS => {
                    return Err(StoreError::Refused(Error::TooManyApiKeys { most: API_KEYS }));
                }
                // The account's purses have changed since they were read.
                _ if key.limit().is_some() => {
                    backoff
                        .try_again("an account's purses kept changing while a key was created")
                        .await?;
                }
                _ => {
                    return Err(StoreError::Internal(
                        "an API key was refused without a reason".into(),
                    ));
                }
            }
        }
    }

    /// Returns the part of the write that adds a new key's purse to the account. If the account has
    /// too many purses, removes the purses of keys that no longer exist or have no limit any more.
    async fn new_purse(
        &self,
        caller: &AccessToken,
        key: &StoredApiKey,
        per: LimitPeriod,
    ) -> Result<NewPurse> {
        let account = self.account_of(caller).await?;
        let purse = per.purse(key.id(), &month(key.created));
        let Some(purses) = &account.purses else {
            return Ok(NewPurse {
                set: ", purses = :purses".into(),
                condition: " AND attribute_not_exists(purses)".into(),
                names: Vec::new(),
                values: vec![(":purses".into(), AttributeValue::M([(purse, n(0))].into()))],
            });
        };
        let mut new = NewPurse {
            set: ", purses.#purse = :none".into(),
            // The purse of a revoked key is kept, so a delayed copy of this write is refused.
            condition: " AND size(purses) = :purses AND attribute_not_exists(purses.#purse)".into(),
            names: vec![("#purse".into(), purse)],
            values: vec![(":purses".into(), n(purses.len()))],
        };
        let keys: BTreeSet<&str> = purses.keys().map(|purse| key_and_period(purse).0).collect();
        let most = usize::try_from(LIMITED_KEYS).unwrap_or(usize::MAX);
        if keys.len() < most {
            return Ok(new);
        }
        let ids: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        let valid = self.api_keys(&account, &ids).await?;
        let limited = valid.iter().filter(|key| key.limit().is_some());
        let limited: HashSet<&str> = limited.map(StoredApiKey::id).collect();
        if limited.len() >= most {
            return Err(StoreError::Refused(Error::TooManyLimitedKeys { most: LIMITED_KEYS }));
        }
        let is_dead = |purse: &&String| {
            !limited.contains(key_and_period(purse).0) && !account.holds_in(purse)
        };
        for (index, purse) in purses.keys().filter(is_dead).take(DEAD_PURSES).enumerate() {
            let name = format!("#dead{index}");
            new.set.push_str(if index == 0 { " REMOVE " } else { ", " });
            new.set.push_str(&format!("purses.{name}"));
            new.condition.push_str(&format!(" AND attribute_exists(purses.{name})"));
            new.names.push((name, purse.clone()));
        }
        Ok(new)
    }

    /// Makes all changes in `change` to one of the caller's API keys, or none of them, if the
    /// account accepts the caller. Returns the account and the changed key. A new limit applies to
    /// requests that read the key afterwards: a chat under way keeps the limit under which its
    /// credits were reserved. The key's purses stay as they are. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], [`Error::NoSuchApiKey`] if the caller has no valid key with
    /// this id, [`Error::NoKeyLimit`] if the key has no limit whose amount could change, and
    /// [`Error::OtherLimitPeriod`].
    pub async fn change_api_key(
        &self,
        caller: &AccessToken,
        id: &str,
        change: &KeyChange,
    ) -> Result<(Account, StoredApiKey)> {
        let account = self.account_of(caller).await?;
        let is_valid =
            |key: &StoredApiKey| key.user_id == account.id && account.accepts_epoch(key.auth_epoch);
        let mut seen = self.api_key(id).await?;
        let mut backoff = Backoff::new();
        loop {
            let key = seen.filter(is_valid).ok_or(StoreError::Refused(Error::NoSuchApiKey))?;
            let changed = changed_key(&key, change)?;
            let writes = vec![self.change_of_key(&key, &changed), self.check_caller(caller)];
            match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok((account, changed)),
                Transaction::Refused(refusals) if refusals.has(1) => {
                    return Err(StoreError::NotAccepted);
                }
                Transaction::Refused(refusals) => seen = refusals.read(0)?,
            }
            backoff.try_again("an API key kept changing").await?;
        }
    }

    /// The write that turns `key` into `changed`. It is refused if the key has changed since it was
    /// read. So a late copy of a change can't undo a later change.
    fn change_of_key(&self, key: &StoredApiKey, changed: &StoredApiKey) -> Write {
        let mut expression = String::from("SET changes = :changes, label = :label");
        let mut values = vec![(":changes", n(changed.changes)), (":label", s(&changed.label))];
        match changed.limit() {
            Some(limit) => {
                expression.push_str(", restricted.#limit.tokens = :tokens");
                values.push((":tokens", n(limit.tokens)));
            }
            None if key.limit().is_some() => expression.push_str(" REMOVE restricted.#limit"),
            None => {}
        }
        Write::update(&self.tables.tokens, pk(&key.pk), expression)
            .condition("user_id = :user AND (attribute_not_exists(changes) OR changes = :seen)")
            // `limit` is a reserved word of DynamoDB.
            .names(key.limit().map(|_| ("#limit", "limit")))
            .values(values)
            .values([(":user", s(&key.user_id)), (":seen", n(key.changes))])
            .shows_item()
    }

    /// Records the day of the key's last use, unless this day is already recorded. Idempotent.
    pub async fn note_use(&self, key: &StoredApiKey, millis: u64) -> Result<()> {
        let today = Day::from_millis(millis).number();
        if key.used >= Some(today) {
            return Ok(());
        }
        let note = Write::update(&self.tables.tokens, pk(&key.pk), "SET used = :today")
            .condition("user_id = :user AND (attribute_not_exists(used) OR used < :today)")
            .values([(":user", s(&key.user_id)), (":today", n(today))]);
        self.send(&note).await.map(drop)
    }

    /// Deletes one of the caller's API keys, which is invalid from then on. A key that became
    /// invalid when the account's address was verified is treated as missing, because it is no
    /// longer counted.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], and [`Error::NoSuchApiKey`] if the caller has no key with this
    /// id.
    pub async fn revoke_api_key(&self, caller: &AccessToken, id: &str) -> Result<()> {
        if !is_id(id) {
            self.account_of(caller).await?;
            return Err(StoreError::Refused(Error::NoSuchApiKey));
        }
        // Most keys have the caller's epoch. If a key has an older epoch, the first write is
        // refused, and the refusal shows this epoch. The next write then requires that the account
        // still accepts keys from this epoch.
        let mut older = None;
        loop {
            let made = older.unwrap_or(caller.auth_epoch);
            let delete = Write::delete(&self.tables.tokens, pk(api_key_pk(id)))
                .values([(":user", s(&caller.user_id))])
                .shows_item();
            let delete = match older {
                None => delete
                    .condition("user_id = :user AND auth_epoch >= :made")
                    .values([(":made", n(made))]),
                Some(_) => delete.condition("user_id = :user"),
            };
            let count = self
                .count_keys(caller, "SET api_keys = api_keys - :one")
                .condition(format!("{CALLER} AND api_keys > :none AND (attribute_not_exists(keys_from) OR keys_from <= :made)"))
                .values([(":made", n(made))]);
            let writes = vec![delete, count];
            let refusals = match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok(()),
                Transaction::Refused(refusals) => refusals,
            };
            let account = refusing_account(&refusals, caller)?;
            if !refusals.has(0) {
                let is_dead = account.is_some_and(|account| account.keys_from > Some(made));
                return Err(if is_dead {
                    StoreError::Refused(Error::NoSuchApiKey)
                } else {
                    StoreError::Internal("an account has an API key that it doesn't count".into())
                });
            }
            let own = refusals
                .read::<StoredApiKey>(0)?
                .filter(|key| key.user_id == caller.user_id && older.is_none())
                .ok_or(StoreError::Refused(Error::NoSuchApiKey))?;
            older = Some(own.auth_epoch);
        }
    }

    /// Deletes a user's API keys on behalf of an administrator: the key with the id `only`, or all
    /// keys if `only` is `None`. Deleted keys are invalid from then on. Returns the number of
    /// deleted keys. Doesn't write anything if the user has no keys. Idempotent.
    ///
    /// # Errors
    /// [`Error::NoSuchApiKey`] if the user has no key with the id `only`, and the errors of
    /// [`Store::end_sessions_of_user`].
    pub async fn revoke_keys_of_user(
        &self,
        doing: &PlannedIntervention<'_>,
        only: Option<&str>,
    ) -> Result<usize> {
        let mut seen = doing.account.clone();
        let mut backoff = Backoff::new();
        loop {
            let ids = match only {
                Some(id) => vec![id.to_owned()],
                None => self.api_key_ids(&seen.id).await?,
            };
            let mut keys = self.api_keys(&seen, &ids).await?;
            keys.retain(|key| key.user_id == seen.id);
            let found = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            match only {
                Some(_) if keys.is_empty() => return Err(StoreError::Refused(Error::NoSuchApiKey)),
                None if keys.is_empty() && seen.api_keys == 0 => return Ok(0),
                // The index lags and shows fewer keys than the account has.
                None if found < seen.api_keys => seen = self.reread(&seen).await?,
                _ => {
                    let count = self
                        .update_unchanged(&seen, "SET api_keys = :left")
                        .condition(format!("{UNCHANGED} AND api_keys = :had"))
                        .values([
                            (":left", n(seen.api_keys.saturating_sub(found))),
                            (":had", n(seen.api_keys)),
                        ]);
                    let delete = |key: &StoredApiKey| {
                        Write::delete(&self.tables.tokens, pk(&key.pk))
                            .condition("user_id = :user")
                            .values([(":user", s(&key.user_id))])
                    };
                    let writes = [count].into_iter().chain(keys.iter().map(delete)).collect();
                    let Some(current) = self.intervene(doing, writes).await? else {
                        return Ok(keys.len());
                    };
                    seen = current;
                }
            }
            backoff.try_again(CONTENDED).await?;
        }
    }

    /// Deletes the API keys that became invalid when the account changed from `seen` to `after`.
    /// Keys that the index doesn't show yet aren't deleted. A failure is only logged. Remaining
    /// keys do no harm, because they are neither valid nor counted.
    pub(in crate::store) async fn delete_ended_keys(&self, seen: &Account, after: &Account) {
        if seen.api_keys == after.api_keys {
            return;
        }
        let delete = |id: String| async move {
            let delete = Write::delete(&self.tables.tokens, pk(api_key_pk(&id)))
                .condition(
                    "user_id = :user AND (attribute_not_exists(auth_epoch) OR auth_epoch < :from)",
                )
                .values([(":user", s(&after.id)), (":from", n(after.auth_epoch))]);
            self.send(&delete).await
        };
        let deleted = async {
            try_join_all(self.api_key_ids(&after.id).await?.into_iter().map(delete)).await
        };
        if let Err(error) = deleted.await {
            tracing::warn!(
                user = after.id,
                cause = error.cause(),
                "could not delete invalid API keys"
            );
        }
    }

    /// An update of the caller's account that can use the `:none` and `:one` values.
    fn count_keys(&self, caller: &AccessToken, expression: &str) -> Write {
        self.update_caller(caller, expression).values([(":none", n(0)), (":one", n(1))])
    }

    /// Returns the stored API key with this id. [`ApiKey::matches`] compares it with the key that a
    /// client sent.
    pub async fn api_key(&self, id: &str) -> Result<Option<StoredApiKey>> {
        if !is_id(id) {
            return Ok(None);
        }
        self.get(&self.tables.tokens, pk(api_key_pk(id))).await
    }

    /// Returns the ids of the user's API keys, newest first. The ids come from an index, which may
    /// be slightly out of date.
    pub async fn api_key_ids(&self, user_id: &str) -> Result<Vec<String>> {
        // One page has room for more keys than an account can have.
        self.ids_of_user(API_KEY, user_id, None).await.map(|(ids, _)| ids)
    }

    /// Returns the names of at most 100 of the user's API keys, keyed by id. Skips revoked keys.
    pub async fn names_of_keys<'a>(
        &self,
        user_id: &str,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, String>> {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let keys: Vec<StoredApiKey> = self.with_ids(API_KEY, &ids).await?;
        let own = keys.into_iter().filter(|key| key.user_id == user_id);
        Ok(own.map(|key| (key.id().to_owned(), key.label)).collect())
    }

    /// Returns the account's valid API keys with these ids, in the same order, with strong
    /// consistency.
    pub async fn api_keys(&self, account: &Account, ids: &[String]) -> Result<Vec<StoredApiKey>> {
        let keys: Vec<StoredApiKey> = self.with_ids(API_KEY, ids).await?;
        Ok(keys.into_iter().filter(|key| account.accepts_epoch(key.auth_epoch)).collect())
    }
}

/// Returns the key with these changes.
///
/// # Errors
/// [`Error::NoKeyLimit`] and [`Error::OtherLimitPeriod`].
fn changed_key(key: &StoredApiKey, change: &KeyChange) -> Result<StoredApiKey> {
    let mut changed = StoredApiKey { changes: key.changes + 1, ..key.clone() };
    if let Some(name) = &change.name {
        name.text().clone_into(&mut changed.label);
    }
    let limit = changed.restricted.as_mut().map(|restricted| &mut restricted.limit);
    match (change.limit, limit) {
        (None, _) | (Some(LimitChange::Removal), None) => {}
        (Some(LimitChange::Removal), Some(limit)) => *limit = None,
        (Some(LimitChange::Amount { tokens, per }), Some(Some(limit))) => {
            if per.is_some_and(|per| per != limit.per) {
                return Err(StoreError::Refused(Error::OtherLimitPeriod));
            }
            limit.tokens = tokens;
        }
        (Some(LimitChange::Amount { .. }), _) => {
            return Err(StoreError::Refused(Error::NoKeyLimit));
        }
    }
    Ok(changed)
}

/// The part of the write that adds a new API key's purse to the account.
#[derive(Default)]
struct NewPurse {
    set: String,
    condition: String,
    names: Vec<(String, String)>,
    values: Vec<(String, AttributeValue)>,
}

/// Returns the account that failed the condition of the transaction's second write. `None` if that
/// write wasn't refused.
///
/// # Errors
/// [`StoreError::NotAccepted`] if the account doesn't accept the caller.
fn refusing_account(refusals: &Refusals, caller: &AccessToken) -> Result<Option<Account>> {
    if !refusals.has(1) {
        return Ok(None);
    }
    caller.admits(refusals.read(1)?).map(Some).ok_or(StoreError::NotAccepted)
}
