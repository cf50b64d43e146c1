//! Accounts as read from an index, which may be slightly out of date.

use serde::{Deserialize, Serialize};

use crate::clock::{self, millis_of};
use crate::store::schema::ACCOUNT;
use crate::store::{Result, Store};
use crate::values::{Account, Role};

/// An account in a list, as read from an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAccount {
    /// The account's id.
    pub id: String,
    /// The username as the user typed it.
    pub name: String,
    /// The e-mail address as the user typed it.
    #[serde(default)]
    pub email: Option<String>,
    /// The account's role.
    pub role: Role,
    /// True if the account is active. A deactivated account can't be used.
    pub active: bool,
    /// `user:<key form of the username>`.
    pub(in crate::store) pk: String,
}

impl ListedAccount {
    /// Returns this account's row in a list.
    pub fn from_account(account: &Account) -> Self {
        let Account { id, name, email, role, active, pk, .. } = account.clone();
        Self { id, name, email, role, active, pk }
    }

    /// Returns the key form of the username.
    pub(in crate::store) fn name_key(&self) -> &str {
        self.pk.strip_prefix(ACCOUNT).unwrap_or_default()
    }

    /// Returns when the account was created, in RFC 3339 format.
    pub fn joined(&self) -> String {
        clock::rfc3339(millis_of(&self.id).unwrap_or_default())
    }
}

impl Store {
    /// Reads a listed account's complete item from the Users table.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`](crate::Error::NoSuchUser) if the account was deleted.
    pub async fn account_of_user(&self, listed: &ListedAccount) -> Result<Account> {
        self.account_with_id_and_name(&listed.id, listed.name_key()).await
    }
}
