//! Sessions of logged-in clients.

use serde::{Deserialize, Serialize};

use super::Account;

/// A session of a logged-in client. A session begins with a log-in. It ends when the client logs
/// out, when it expires, or when a stolen refresh token is detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `session:<id>`.
    pub(crate) pk: String,
    /// The account's id.
    pub user_id: String,
    /// The `User-Agent` header of the client that logged in.
    #[serde(default = "unknown_device")]
    pub device: String,
    /// The Unix time at which the session began. `None` for sessions from before this field
    /// existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<u64>,
    /// The Unix time of the log-in or the last refresh. `None` for sessions from before this field
    /// existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The highest generation among the session's refresh tokens that clients have presented.
    pub(crate) generation: u64,
    /// The Unix time at which the highest generation was first presented. `None` for the first
    /// generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<u64>,
    /// The account's epoch when the session began.
    pub auth_epoch: u64,
    /// The Unix time at which the session ends. Refreshing doesn't extend it.
    pub ends: u64,
    /// The Unix time after which DynamoDB deletes the item.
    pub(crate) expires_at: u64,
}

/// The state of a refresh token within its session, before it is redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The refresh token is the session's current or next refresh token.
    Current,
    /// The refresh token can no longer be redeemed: see
    /// [`Rotation::Dead`](crate::store::Rotation::Dead).
    Outdated,
    /// According to the session, this refresh token was never issued.
    Unknown,
}

/// How long the current refresh token can be presented again, in seconds after its first use.
/// Within this time, a client that presents it again isn't necessarily a thief: a reply may have
/// been lost, or a second tab may share the token.
const GRACE: u64 = 600;

impl Session {
    /// Returns the id. Ids sort by the time at which the session began.
    pub fn id(&self) -> &str {
        self.pk.split_once(':').map_or("", |(_, id)| id)
    }

    /// Returns true if this session has a later generation than `earlier`, which is a copy of the
    /// same session.
    pub(crate) fn is_ahead_of(&self, earlier: &Self) -> bool {
        self.generation > earlier.generation
    }

    /// Returns the state that the session's refresh token of this generation has at the Unix time
    /// `now`.
    pub fn freshness_of(&self, generation: u64, now: u64) -> Freshness {
        match generation.checked_sub(self.generation) {
            Some(0) if self.may_come_again(now) => Freshness::Current,
            Some(1) => Freshness::Current,
            None | Some(0) => Freshness::Outdated,
            Some(_) => Freshness::Unknown,
        }
    }

    /// Returns true if the session's current refresh token can be presented again at the Unix time
    /// `now`.
    pub(crate) fn may_come_again(&self, now: u64) -> bool {
        self.rotated.is_none_or(|rotated| now <= rotated + GRACE)
    }

    /// Returns true if the account accepts the session's JWTs at the Unix time `now`.
    pub fn opens(&self, account: &Account, now: u64) -> bool {
        self.user_id == account.id
            && self.auth_epoch == account.auth_epoch
            && self.ends > now
            && !account.revoked.contains_key(self.id())
    }
}

/// The device name of a client without a `User-Agent` header.
pub(crate) fn unknown_device() -> String {
    "unknown".into()
}
