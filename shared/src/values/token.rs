//! The claims of access, refresh and device tokens. [`crate::auth`] signs and verifies them.

use super::{Account, Session};

/// The tolerance, in seconds, with which the times in a JWT are checked, because clocks differ.
pub(crate) const LEEWAY: u64 = 60;

/// An access token with a valid signature and valid times. [`AccessToken::admits`], or the
/// condition of a write, checks whether the account still accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The account's id.
    pub user_id: String,
    /// The key form of the username.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// The account's epoch when the session began.
    pub auth_epoch: u64,
    /// The Unix time at which the session ends. Its access and refresh tokens become invalid at
    /// this time or earlier.
    pub session_ends: u64,
    /// The Unix time at which the access token expires.
    pub(crate) ends: u64,
}

impl AccessToken {
    /// Creates an access token for this session. It expires at `ends` or with the session,
    /// whichever is earlier.
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

    /// Returns the account if it accepts this access token. The account must be active, its id and
    /// epoch must equal those in the token, and the session must not have ended.
    pub fn admits(&self, account: Option<Account>) -> Option<Account> {
        account.filter(|account| {
            account.id == self.user_id
                && account.active
                && account.auth_epoch == self.auth_epoch
                && !account.revoked.contains_key(&self.session)
        })
    }
}

/// A refresh token with a valid signature and valid times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The account's id.
    pub user_id: String,
    /// The key form of the username.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// The generation. The refresh token from the log-in has generation 0.
    pub generation: u64,
    /// The Unix time at which the refresh token expires.
    pub ends: u64,
    /// If a web page keeps the refresh token in a cookie, the hash of the page's origin key. The
    /// refresh token is invalid without this key. `None` for clients without cookies, and for pages
    /// that were loaded before origin keys existed.
    pub origin: Option<String>,
}

impl RefreshToken {
    /// Creates the first refresh token of a session.
    pub fn first(account: &Account, session: &Session) -> Self {
        let (user_id, name) = (account.id.clone(), account.label.clone());
        let session_id = session.id().to_owned();
        Self { user_id, name, session: session_id, generation: 0, ends: session.ends, origin: None }
    }

    /// Returns the refresh token, bound to the page with this origin key. A refresh token that is
    /// already bound isn't changed.
    pub fn bound_to(&self, origin: Option<String>) -> Self {
        Self { origin: self.origin.clone().or(origin), ..self.clone() }
    }

    /// Returns the refresh token that replaces this one.
    pub fn successor(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }
}

/// How long a device token is valid after the device's last log-in, in seconds: half a year.
const LIFE: u64 = 183 * 86_400;

/// A device token with a valid signature and valid times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// The account's id.
    pub user_id: String,
    /// The device's id, which remains the same as long as the client keeps its device tokens.
    pub id: String,
    /// The Unix time at which the device token expires.
    pub ends: u64,
    pub(crate) name: String,
    pub(crate) auth_epoch: u64,
    /// The hash of the page's origin key, as in a [`RefreshToken`].
    pub(crate) origin: Option<String>,
}

impl DeviceToken {
    /// Creates the token for a device that logs in to this account at the Unix time `now`. `origin`
    /// is the hash of the page's origin key if the client is a page.
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

    /// Returns true if the token belongs to this account, and the account's epoch still equals the
    /// token's. A new epoch begins when all of an account's sessions are ended.
    pub fn knows(&self, account: &Account) -> bool {
        self.user_id == account.id && self.auth_epoch == account.auth_epoch
    }
}
