//! Accounts as an index shows them, which may be a moment old.

use serde::{Deserialize, Serialize};

use crate::clock::{self, millis_of};
use crate::store::schema::ACCOUNT;
use crate::store::{Result, Store};
use crate::values::{Account, Role};

/// An account as lists show it, read from an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAccount {
    /// The account's id.
    pub id: String,
    /// The username as it was typed.
    pub name: String,
    /// The e-mail address as it was typed.
    #[serde(default)]
    pub email: Option<String>,
    /// Its role.
    pub role: Role,
    /// A deactivated account can do nothing.
    pub active: bool,
    /// `user:<key of the name>`.
    pub(in crate::store) pk: String,
}

impl ListedAccount {
    /// The row of this account.
    pub fn from_account(account: &Account) -> Self {
        let Account { id, name, email, role, active, pk, .. } = account.clone();
        Self { id, name, email, role, active, pk }
    }

    /// The key of its username.
    pub(in crate::store) fn name_key(&self) -> &str {
        self.pk.strip_prefix(ACCOUNT).unwrap_or_default()
    }

    /// When it was created, as replies show it.
    pub fn joined(&self) -> String {
        clock::rfc3339(millis_of(&self.id).unwrap_or_default())
    }
}

impl Store {
    /// # Errors
    /// [`StoreError::NoSuchUser`] if it was deleted.
    pub async fn account_of_user(&self, listed: &ListedAccount) -> Result<Account> {
        self.account_with_id_and_name(&listed.id, listed.name_key()).await
    }
}
