//! The claims of access, refresh and device tokens. [`crate::auth`] signs and verifies them.

use super::{Account, Session};

/// The tolerance for a JWT's times, in seconds: clocks differ.
pub(crate) const LEEWAY: u64 = 60;

/// An access token whose signature and times are valid. Only the store knows whether the account
/// still accepts it: [`AccessToken::admits`], or the condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The account's id.
    pub user_id: String,
    /// The username in its key form.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// The account's epoch when the session began.
    pub auth_epoch: u64,
    /// The second at which the session ends, and with it the last of its JWTs.
    pub session_ends: u64,
    /// The second at which it ends.
    pub(crate) ends: u64,
}

impl AccessToken {
    /// An access token of this session that ends at `ends`, or with the session.
    pub fn new(account: &Account, session: &Session, ends: u64) -> Self {
        Self {
            user_id: account.id.clone(),
            name: account.label.clone(),
            session: session.id().to_owned(),
            auth_epoch: session.auth_epoch,
            session_ends: session.ends,
            ends: ends.min(session.ends),
        }
    }

    /// The account, if it accepts this access token: it has its id and epoch, is active,
    /// and the session hasn't ended.
    pub fn admits(&self, account: Option<Account>) -> Option<Account> {
        account.filter(|account| {
            account.id == self.user_id
                && account.active
                && account.auth_epoch == self.auth_epoch
                && !account.revoked.contains_key(&self.session)
        })
    }
}

/// A refresh token whose signature and times are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The account's id.
    pub user_id: String,
    /// The username in its key form.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// Its generation: 0 for the refresh token of the log-in.
    pub generation: u64,
    /// The second at which it ends.
    pub ends: u64,
    /// The origin of the page that keeps it in a cookie: a hash of that origin's key. Without the
    /// key the refresh token is invalid. `None` for clients without cookies, and for pages that
    /// were loaded before keys existed.
    pub origin: Option<String>,
}

impl RefreshToken {
    /// The first refresh token of a session.
    pub fn first(account: &Account, session: &Session) -> Self {
        let (user_id, name) = (account.id.clone(), account.label.clone());
        let session_id = session.id().to_owned();
        Self { user_id, name, session: session_id, generation: 0, ends: session.ends, origin: None }
    }

    /// The same token for a page of this origin, unless it is bound to one already.
    pub fn bound_to(&self, origin: Option<String>) -> Self {
        Self { origin: self.origin.clone().or(origin), ..self.clone() }
    }

    /// The refresh token that replaces this one.
    pub fn successor(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }
}

/// How long after its last log-in a client is still known, in seconds: half a year.
const LIFE: u64 = 183 * 86_400;

/// A device token whose signature and times are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// The account's id.
    pub user_id: String,
    /// The device's id, which stays the same as long as the client keeps its device tokens.
    pub id: String,
    /// The second at which it ends.
    pub ends: u64,
    pub(crate) name: String,
    pub(crate) auth_epoch: u64,
    /// As in a [`RefreshToken`](super::RefreshToken).
    pub(crate) origin: Option<String>,
}

impl DeviceToken {
    /// The token of a device that has logged in to this account at `now`, through a page of this
    /// origin if it is one.
    pub fn new(account: &Account, id: String, origin: Option<String>, now: u64) -> Self {
        Self {
            user_id: account.id.clone(),
            id,
            ends: now + LIFE,
            name: account.label.clone(),
            auth_epoch: account.auth_epoch,
            origin,
        }
    }

    /// Whether it belongs to this account, and the account hasn't ended all its sessions since.
    pub fn knows(&self, account: &Account) -> bool {
        self.user_id == account.id && self.auth_epoch == account.auth_epoch
    }
}
