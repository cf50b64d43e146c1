//! Sessions, which refresh tokens belong to.

use serde::{Deserialize, Serialize};

use super::Account;

/// A session. A log-in begins it; its time, a log-out or a stolen refresh token ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `session:<id>`.
    pub(crate) pk: String,
    /// The account's id.
    pub user_id: String,
    /// The `User-Agent` of the client that began it.
    #[serde(default = "unknown_device")]
    pub device: String,
    /// The second at which it began; `None` for items from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<u64>,
    /// The second of its log-in or last refresh; `None` for items from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The highest generation of its refresh tokens that was presented.
    pub(crate) generation: u64,
    /// The second at which that generation was first presented; `None` for the first generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<u64>,
    /// The account's epoch when it began.
    pub auth_epoch: u64,
    /// The second at which it ends, whether it is refreshed or not.
    pub ends: u64,
    /// DynamoDB deletes it some time after this second.
    pub(crate) expires_at: u64,
}

/// What a refresh token is to its session, before it is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is the session's current or next refresh token.
    Current,
    /// It is dead, as in [`Rotation::Dead`](crate::store::Rotation::Dead).
    Outdated,
    /// It was never issued, as far as the session knows.
    Unknown,
}

/// How long the current refresh token can be presented again, in seconds after the first time:
/// until then a client whose reply was lost, or its second tab, can't be told from a thief with a
/// copy.
const GRACE: u64 = 600;

impl Session {
    /// Ids sort by the beginning of the session.
    pub fn id(&self) -> &str {
        self.pk.split_once(':').map_or("", |(_, id)| id)
    }

    /// Whether a later refresh token was presented than `earlier`, the same session, knows of.
    pub(crate) fn is_ahead_of(&self, earlier: &Self) -> bool {
        self.generation > earlier.generation
    }

    /// What presenting its refresh token of this generation at the second `now` would find.
    pub fn freshness_of(&self, generation: u64, now: u64) -> Freshness {
        match generation.checked_sub(self.generation) {
            Some(0) if self.may_come_again(now) => Freshness::Current,
            Some(1) => Freshness::Current,
            None | Some(0) => Freshness::Outdated,
            Some(_) => Freshness::Unknown,
        }
    }

    /// Whether its current refresh token can be presented again at the second `now`.
    pub(crate) fn may_come_again(&self, now: u64) -> bool {
        self.rotated.is_none_or(|rotated| now <= rotated + GRACE)
    }

    /// Whether the account accepts its JWTs at the second `now`.
    pub fn opens(&self, account: &Account, now: u64) -> bool {
        self.user_id == account.id
            && self.auth_epoch == account.auth_epoch
            && self.ends > now
            && !account.revoked.contains_key(self.id())
    }
}

/// The name of a client without a `User-Agent`.
pub(crate) fn unknown_device() -> String {
    "unknown".into()
}
