//! API keys in the table Tokens, and their number on the account. A key and its count are written
//! together, so that of any number of requests at once no more keys come to be than an account may
//! have.

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schema::{API_KEY, api_key_key, pk};
use super::sessions::CALLER;
use super::{NEW, Refusals, Store, Transaction, Write, is_id, n, s, to_item};
use crate::auth::api_key::KeyName;
use crate::auth::{AccessToken, ApiKey};
use crate::user::Account;
use crate::{Error, Result};

/// How many API keys an account may have.
pub const API_KEYS: u32 = 50;

/// An API key as the store knows it: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// `apikey:<id>`.
    pk: String,
    /// The account's id.
    pub user_id: String,
    /// The key of the account's name, which the account is found by.
    pub name: String,
    /// What its owner calls it.
    pub label: String,
    /// SHA-256 of its secret.
    pub hash: String,
    /// The last characters of its text.
    pub hint: String,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// The account's epoch at that time.
    #[serde(default)]
    pub auth_epoch: u64,
}

impl StoredKey {
    /// What is kept of a key of the caller's that is made at `created`.
    pub fn new(key: &ApiKey, caller: &AccessToken, label: &KeyName, created: u64) -> Self {
        Self {
            pk: api_key_key(&key.id().to_string()),
            user_id: caller.user_id.clone(),
            name: caller.name.clone(),
            label: label.text().to_owned(),
            hash: key.hash(),
            hint: key.hint(),
            created,
            auth_epoch: caller.auth_epoch,
        }
    }

    /// Its id: keys sort by it in the order in which they were made.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(API_KEY).unwrap_or_default()
    }
}

impl Store {
    /// Writes a new key of the caller's, if the account admits the caller and has room for one
    /// more. Sent again, it is the success it was.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], and [`Error::TooManyApiKeys`].
    pub async fn create_api_key(&self, caller: &AccessToken, key: &StoredKey) -> Result<()> {
        let put = Write::put(&self.tables.tokens, to_item(key)?).when(NEW).shows_item();
        let count = self
            .count_keys(caller, "SET api_keys = if_not_exists(api_keys, :none) + :one")
            .when(format!("{CALLER} AND (attribute_not_exists(api_keys) OR api_keys < :most)"))
            .values([(":most", n(API_KEYS))]);
        let refusals = match self.transact(vec![put, count], key.id()).await? {
            Transaction::Applied => return Ok(()),
            Transaction::Refused(refusals) => refusals,
        };
        // This very key stands: only the reply was lost.
        if refusals.read::<StoredKey>(0)?.as_ref() == Some(key) {
            return Ok(());
        }
        match refusing_account(&refusals, caller)? {
            Some(account) if account.api_keys >= API_KEYS => {
                Err(Error::TooManyApiKeys { most: API_KEYS })
            }
            _ => Err(Error::Internal("an API key was refused without a reason".into())),
        }
    }

    /// Deletes a key of the caller's: from here on it opens nothing. One that opens nothing since
    /// the account's address was proven isn't counted, and is none of the caller's keys any
    /// more.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], and [`Error::NoSuchApiKey`] where no key of the caller's has this
    /// id.
    pub async fn revoke_api_key(&self, caller: &AccessToken, id: &str) -> Result<()> {
        if !is_id(id) {
            self.account_of(caller).await?;
            return Err(Error::NoSuchApiKey);
        }
        // Most keys are of the caller's epoch. The epoch of an older one the refusal shows; whether
        // it still opens the account, the account then tells.
        let mut older = None;
        loop {
            let made = older.unwrap_or(caller.auth_epoch);
            let delete = Write::delete(&self.tables.tokens, pk(api_key_key(id)))
                .values([(":user", s(&caller.user_id))])
                .shows_item();
            let delete = match older {
                None => delete
                    .when("user_id = :user AND auth_epoch >= :made")
                    .values([(":made", n(made))]),
                Some(_) => delete.when("user_id = :user"),
            };
            let count = self
                .count_keys(caller, "SET api_keys = api_keys - :one")
                .when(format!("{CALLER} AND api_keys > :none AND (attribute_not_exists(keys_from) OR keys_from <= :made)"))
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
                    Error::NoSuchApiKey
                } else {
                    Error::Internal("an account has an API key that it doesn't count".into())
                });
            }
            let own = refusals
                .read::<StoredKey>(0)?
                .filter(|key| key.user_id == caller.user_id && older.is_none())
                .ok_or(Error::NoSuchApiKey)?;
            older = Some(own.auth_epoch);
        }
    }

    /// Deletes the API keys that ended when the account `seen` became `after`, as far as an index
    /// knows them. They open nothing and aren't counted whatever becomes of this, so that a
    /// failure is only a line of the log.
    pub(super) async fn delete_ended_keys(&self, seen: &Account, after: &Account) {
        if seen.api_keys == after.api_keys {
            return;
        }
        let delete = |id: String| async move {
            let delete = Write::delete(&self.tables.tokens, pk(api_key_key(&id)))
                .when(
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
                "API keys that had ended could not be deleted"
            );
        }
    }

    /// A write to the caller's account, with the numbers `:none` and `:one`.
    fn count_keys(&self, caller: &AccessToken, expression: &str) -> Write {
        self.update_caller(caller, expression).values([(":none", n(0)), (":one", n(1))])
    }

    /// The key with this id, strongly consistent. Whether it is the one that a client sent,
    /// [`ApiKey::matches`] tells.
    pub async fn api_key(&self, id: &str) -> Result<Option<StoredKey>> {
        if !is_id(id) {
            return Ok(None);
        }
        self.get(&self.tables.tokens, pk(api_key_key(id))).await
    }

    /// The ids of a user's keys, newest first. An index tells, which knows a moment later of a new
    /// one, and of one that was revoked.
    pub async fn api_key_ids(&self, user_id: &str) -> Result<Vec<String>> {
        // One page holds more than an account may have.
        self.ids_of_user(API_KEY, user_id, None).await.map(|(ids, _)| ids)
    }

    /// The account's keys with these ids, in their order, strongly consistent. Those that were
    /// revoked, or ended when the address was proven, are left out.
    pub async fn api_keys(&self, account: &Account, ids: &[String]) -> Result<Vec<StoredKey>> {
        let keys: Vec<StoredKey> = self.with_ids(API_KEY, ids).await?;
        Ok(keys.into_iter().filter(|key| account.keys_from <= Some(key.auth_epoch)).collect())
    }
}

/// The account that refused a transaction's second write, where it did; a failure where it is the
/// caller that it doesn't admit.
fn refusing_account(refusals: &Refusals, caller: &AccessToken) -> Result<Option<Account>> {
    if refusals.has(1) { caller.admits(refusals.read(1)?).map(Some) } else { Ok(None) }
}
