//! The credential that identifies a request's caller: an access token or an API key.

use std::ops::RangeInclusive;

use crate::values::{AccessToken, Account, KeyLimit, Role, StoredApiKey};

/// A credential that was verified without reading its account. [`Credential::admits`], or the write
/// that places a hold, checks whether the account still accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token, which becomes invalid when its session ends.
    Session(AccessToken),
    /// An API key, which doesn't belong to a session.
    ApiKey(StoredApiKey),
}

impl Credential {
    /// Returns the account's id.
    pub fn user_id(&self) -> &str {
        match self {
            Self::Session(token) => &token.user_id,
            Self::ApiKey(key) => &key.user_id,
        }
    }

    /// Returns the key form of the username.
    pub fn name(&self) -> &str {
        match self {
            Self::Session(token) => &token.name,
            Self::ApiKey(key) => &key.name,
        }
    }

    /// Returns the id of the session or the API key.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Session(token) => &token.session,
            Self::ApiKey(key) => key.id(),
        }
    }

    /// Returns the id of the API key. `None` for an access token.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.api_key().map(StoredApiKey::id)
    }

    /// Returns the API key. `None` for an access token.
    pub fn api_key(&self) -> Option<&StoredApiKey> {
        match self {
            Self::Session(_) => None,
            Self::ApiKey(key) => Some(key),
        }
    }

    /// Returns the id of the API key, if requests with this key and equal bodies count as retries.
    pub(crate) fn key_of_equal_bodies(&self) -> Option<&str> {
        self.api_key().filter(|key| key.equal_bodies).map(StoredApiKey::id)
    }

    /// Returns the names of the models that the credential may use. `None` if it may use all
    /// models.
    pub fn models(&self) -> Option<&[String]> {
        self.api_key()?.restricted.as_ref()?.models.as_deref()
    }

    /// Returns true if the credential may use the model with this name.
    pub fn may_use(&self, model: &str) -> bool {
        self.models().is_none_or(|models| models.iter().any(|name| name == model))
    }

    /// Returns the limit on the credits that may be spent with the credential.
    pub(crate) fn limit(&self) -> Option<KeyLimit> {
        self.api_key()?.limit()
    }

    /// Returns the account's epoch when the session began or the API key was created.
    pub(crate) fn auth_epoch(&self) -> u64 {
        match self {
            Self::Session(token) => token.auth_epoch,
            Self::ApiKey(key) => key.auth_epoch,
        }
    }

    /// Returns the account epochs in which this credential is valid. An API key is valid in all
    /// epochs.
    pub(crate) fn epochs(&self) -> RangeInclusive<u64> {
        match self {
            Self::Session(token) => token.auth_epoch..=token.auth_epoch,
            Self::ApiKey(_) => 0..=u64::MAX,
        }
    }

    /// Returns the account if it accepts the credential, like [`AccessToken::admits`]. An account
    /// accepts API keys from all epochs since its address was first verified.
    pub fn admits(&self, account: Option<Account>) -> Option<Account> {
        account.filter(|account| {
            account.id == self.user_id()
                && account.active
                && self.epochs().contains(&account.auth_epoch)
                && account.accepts_epoch(self.auth_epoch())
                && !account.revoked.contains_key(self.id())
        })
    }
}

/// Proof that the caller is an administrator.
#[derive(Clone, Debug)]
pub struct Administrator {
    caller: AccessToken,
    account: Account,
}

impl Administrator {
    /// Returns `None` if the account doesn't accept the access token or doesn't belong to an
    /// administrator.
    pub(crate) fn new(caller: AccessToken, account: Account) -> Option<Self> {
        let account = caller.admits(Some(account)).filter(|account| account.role == Role::Admin)?;
        Some(Self { caller, account })
    }

    /// Returns the administrator's access token.
    pub fn caller(&self) -> &AccessToken {
        &self.caller
    }

    /// Returns the administrator's account, as read for this request.
    pub fn account(&self) -> &Account {
        &self.account
    }
}
