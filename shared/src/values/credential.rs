//! The credential of a request that accepts access tokens and API keys.

use std::ops::RangeInclusive;

use crate::values::{AccessToken, Account, Role, StoredApiKey};

/// A valid credential. Only the store knows whether the account still accepts it:
/// [`Credential::admits`], or the condition of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token, which ends with its session.
    Session(AccessToken),
    /// An API key, which has no session and no end.
    ApiKey(StoredApiKey),
}

impl Credential {
    /// The account's id.
    pub fn user_id(&self) -> &str {
        match self {
            Self::Session(token) => &token.user_id,
            Self::ApiKey(key) => &key.user_id,
        }
    }

    /// The username in its key form.
    pub fn name(&self) -> &str {
        match self {
            Self::Session(token) => &token.name,
            Self::ApiKey(key) => &key.name,
        }
    }

    /// The id of the session or API key.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Session(token) => &token.session,
            Self::ApiKey(key) => key.id(),
        }
    }

    /// The id of the API key, if it is one.
    pub(crate) fn key_id(&self) -> Option<&str> {
        match self {
            Self::Session(_) => None,
            Self::ApiKey(key) => Some(key.id()),
        }
    }

    /// The account's epoch when the session began, or the API key was created.
    pub(crate) fn auth_epoch(&self) -> u64 {
        match self {
            Self::Session(token) => token.auth_epoch,
            Self::ApiKey(key) => key.auth_epoch,
        }
    }

    /// The epochs at which the account accepts it: for an API key all of them.
    pub(crate) fn epochs(&self) -> RangeInclusive<u64> {
        match self {
            Self::Session(token) => token.auth_epoch..=token.auth_epoch,
            Self::ApiKey(_) => 0..=u64::MAX,
        }
    }

    /// The account, if it accepts the credential: see [`AccessToken::admits`]. An API key is
    /// accepted at any epoch, unless it is older than the first verification of the account's
    /// address.
    pub fn admits(&self, account: Option<Account>) -> Option<Account> {
        account.filter(|account| {
            account.id == self.user_id()
                && account.active
                && self.epochs().contains(&account.auth_epoch)
                && account.keys_from <= Some(self.auth_epoch())
                && !account.revoked.contains_key(self.id())
        })
    }
}

/// The proof that the caller is an administrator.
#[derive(Clone, Debug)]
pub struct Administrator {
    caller: AccessToken,
    account: Account,
}

impl Administrator {
    /// `None` unless the account accepts the access token and is an administrator's.
    pub(crate) fn new(caller: AccessToken, account: Account) -> Option<Self> {
        let account = caller.admits(Some(account)).filter(|account| account.role == Role::Admin)?;
        Some(Self { caller, account })
    }

    /// The administrator's access token.
    pub fn caller(&self) -> &AccessToken {
        &self.caller
    }

    /// The administrator's account, as it was just read.
    pub fn account(&self) -> &Account {
        &self.account
    }
}
