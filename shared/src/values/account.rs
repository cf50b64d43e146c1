//! Accounts, their roles and their holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::values::Invalid;
use crate::values::text::key;

/// An account, as the Users table stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// `user:<key form of the name>`.
    pub pk: String,
    /// A UUIDv7. Chats, ledger entries and JWTs refer to this id, because a later account may reuse
    /// the name.
    pub id: String,
    /// The username as its owner typed it.
    pub name: String,
    /// The e-mail address as its owner typed it. The account claims this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// True if the owner has verified `email`.
    #[serde(default)]
    pub email_verified: bool,
    /// A new address that another account has claimed but not verified. It replaces `email` as soon
    /// as this account's owner verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// The owner's first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The owner's last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// A marker that shows that the user has instructions for the AI. The instructions are stored
    /// as a separate item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The hash of the password, as a PHC string.
    pub password: String,
    /// The hash of the password that was imported from Django. The first log-in removes it. It is
    /// valid only while `password` is [its stand-in](crate::values::stand_in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// The id of the registration's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// An identifier of the network from which the account was registered. `None` if the network is
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The account's role.
    pub role: Role,
    /// False if the account was deactivated. A deactivated account can't be used.
    pub active: bool,
    /// The balance without held credits. `granted = tokens + reservations + spent` always holds.
    pub tokens: Credits,
    /// The sum of all grants and adjustments.
    pub granted: Credits,
    /// The sum of the prices of all settled chats.
    pub spent: Credits,
    /// The credits that must still be deducted for refunded purchases, because the balance was too
    /// low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Credits>,
    /// The last period for which the allowance was granted, or for which none was needed because
    /// the balance was high enough. Stored as its first day, in days since 1970. `None` before the
    /// first such period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<u64>,
    /// The value of `granted` when the last e-mail about a low balance was written. `None` before
    /// the first such e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted: Option<Credits>,
    /// The holds for chats that are waiting for an answer, by hold id.
    pub reservations: BTreeMap<String, StoredHold>,
    /// Hold ids that must not be used again, each with the Unix time until which it is closed.
    pub closed: BTreeMap<String, u64>,
    /// How many chats began in each recent minute. The keys are minutes since 1970. `None` for
    /// accounts created before chats were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<BTreeMap<String, u32>>,
    /// The credits that were spent with each limited API key or that are held for its chats, by
    /// [key and period](crate::values::LimitPeriod). `None` if the account never had an API key
    /// with a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purses: Option<BTreeMap<String, Credits>>,
    /// The estimated price of the AI's work on failed answers, and the free work that the account
    /// has earned with its charges. Both are stored by day, in days since 1970. `None` before the
    /// first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_work: Option<BTreeMap<String, Credits>>,
    /// The epoch, which is incremented by every change that invalidates all of the account's JWTs.
    pub auth_epoch: u64,
    /// The ids of sessions that ended early, each with the Unix time at which the session would
    /// have expired.
    pub revoked: BTreeMap<String, u64>,
    /// How many API keys the account has.
    #[serde(default)]
    pub api_keys: u32,
    /// The epoch that began when the current address was first verified. API keys from earlier
    /// epochs are invalid. `None` if the owner has never verified an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_from: Option<u64>,
    /// The time of the registration, in milliseconds since 1970.
    pub created: u64,
    /// The Unix time at which the account was deleted. A deleted account's item is a tombstone,
    /// which prevents the name from being reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// A secret random string. It distinguishes a retry of the registration from a different
    /// registration. It is also the key that seals this account's page cursors.
    pub nonce: String,
    /// The partition in the `by_time` index: `<yyyy-mm>#<shard>`. Tombstones have no partition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub month: String,
    /// The partition in the `by_label` index. Tombstones have no partition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shard: String,
    /// The sort key in the `by_label` index: the key form of the name.
    pub label: String,
}

impl Account {
    /// Returns the balance at the Unix time `now`. The credits in expired holds count as available,
    /// even if the holds haven't been released yet.
    pub fn balance(&self, now: u64) -> Credits {
        let free = self.reservations.values().filter(|held| held.expires_at <= now);
        free.fold(self.tokens, |sum, held| sum.checked_add(held.cost).unwrap_or(sum))
    }

    /// Returns the credits in holds whose lease hasn't ended at the Unix time `now`.
    pub fn held(&self, now: u64) -> Credits {
        let held = self.reservations.values().filter(|held| held.expires_at > now);
        held.fold(Credits::ZERO, |sum, held| sum.checked_add(held.cost).unwrap_or(sum))
    }

    /// Returns the e-mail address, if the owner has verified it.
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// Returns true if the account is active and belongs to an administrator.
    pub fn administers(&self) -> bool {
        self.active && self.role == Role::Admin
    }

    /// Returns the number of chats that began in the given minute since 1970.
    pub fn chats_in(&self, minute: u64) -> u32 {
        self.minutes
            .as_ref()
            .and_then(|minutes| minutes.get(&minute.to_string()))
            .copied()
            .unwrap_or(0)
    }

    /// Returns true if the account accepts API keys and sessions from this epoch. Keys and sessions
    /// from before the first verification of the account's address are invalid.
    pub(crate) fn accepts_epoch(&self, epoch: u64) -> bool {
        self.keys_from <= Some(epoch)
    }

    /// Returns true if a hold counts towards this purse.
    pub(crate) fn holds_in(&self, purse: &str) -> bool {
        self.reservations.values().any(|held| held.purse.as_deref() == Some(purse))
    }

    /// Returns the credits counted in this purse: the credits that were spent with an API key, plus
    /// the credits that are held for its chats.
    pub fn purse(&self, name: &str) -> Credits {
        let purse = self.purses.as_ref().and_then(|purses| purses.get(name));
        purse.copied().unwrap_or_default()
    }

    /// Returns the credits that are stored under this key in the free-work map.
    pub(crate) fn free_work(&self, key: &str) -> Credits {
        let counted = self.free_work.as_ref().and_then(|days| days.get(key));
        counted.copied().unwrap_or_default()
    }

    /// Returns when the last chat began, in milliseconds since 1970, rounded down to the minute.
    /// `None` if no chats were counted.
    pub fn last_message(&self) -> Option<u64> {
        let minutes = self.minutes.iter().flat_map(BTreeMap::keys);
        // The `minutes` map also counts refunds, under keys that aren't numbers.
        let last = minutes.filter_map(|minute| minute.parse::<u64>().ok()).max()?;
        Some(last.saturating_mul(60_000))
    }

    /// Returns the sum of the account's ledger entries, which is the balance plus all holds. The
    /// sum can be negative only if the account was tampered with.
    pub fn booked(&self) -> i64 {
        self.granted.signed().saturating_sub(self.spent.signed())
    }

    /// Returns the attributes that the owner can change, with their values.
    pub(crate) fn profile(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("first_name", self.first_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("instructions", self.instructions.as_deref()),
            ("email", self.email.as_deref()),
            ("pending_email", self.pending_email.as_deref()),
        ]
    }

    /// Returns the address that the owner hasn't verified yet. `None` if there is no such address.
    pub fn unverified(&self) -> Option<&str> {
        let own = self.email.as_deref().filter(|_| !self.email_verified);
        self.pending_email.as_deref().or(own)
    }

    /// Returns true if the owner has verified the address whose key form is `address_key`.
    pub fn has_proven(&self, address_key: &str) -> bool {
        self.email_verified && self.email.as_deref().map(key).as_deref() == Some(address_key)
    }

    /// Returns the account with `address` as its verified address. `None` if `address` isn't one of
    /// the account's addresses. The first verification of an address starts a new epoch and
    /// invalidates all existing sessions, API keys and links, because a different person may have
    /// registered the address.
    pub(crate) fn proving(&self, address: &str) -> Option<Self> {
        let is_it = |wanted: &Option<String>| {
            wanted.as_deref().is_some_and(|wanted| key(wanted) == key(address))
        };
        let was_pending = is_it(&self.pending_email);
        if !was_pending && !is_it(&self.email) {
            return None;
        }
        let pending_email = if was_pending { None } else { self.pending_email.clone() };
        let mut after = Self {
            email: Some(address.to_owned()),
            email_verified: true,
            pending_email,
            ..self.clone()
        };
        if !self.has_proven(&key(address)) {
            after.auth_epoch += 1;
            after.keys_from = Some(after.auth_epoch);
            after.revoked.clear();
            after.api_keys = 0;
        }
        Some(after)
    }
}

/// An account's role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Can send messages, and can see only the data of this account.
    User,
    /// Can manage users, messages and balances, in addition to everything that users can do.
    Admin,
    /// A role that a later release has added. An account with such a role has the same rights as an
    /// account with [`Role::User`].
    #[serde(untagged)]
    Other(String),
}

impl Role {
    /// Returns the role's name, as it is stored and shown.
    pub fn word(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Other(word) => word,
        }
    }

    /// Parses a role that an administrator can give to an account.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let role = [Self::User, Self::Admin].into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| "A role must be user or admin.".into())
    }
}

/// A hold: credits that are set aside for a chat that is waiting for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHold {
    /// How many credits are held.
    pub cost: Credits,
    /// The id of the chat. Until the hold expires, only this chat's request may settle or release
    /// it.
    pub owner: String,
    /// The Unix time at which the lease ends. Afterwards, the hold can't be settled, and any
    /// request may release it.
    pub expires_at: u64,
    /// The hash of the request, or an empty string if the request has no idempotency key. A request
    /// with the same idempotency key but a different hash is refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// The name of the purse that the hold counts towards. `None` unless the chat was sent with an
    /// API key that has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purse: Option<String>,
    /// True if the user has stopped the chat. The function that waits for the answer polls this
    /// field and ends the answer early.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_as_stored() {
        for role in [Role::User, Role::Admin] {
            assert_eq!(serde_json::to_value(&role).unwrap(), role.word());
            assert_eq!(Role::parse(role.word()), Ok(role));
        }
        assert!(Role::parse("Admin").is_err());
    }

    #[test]
    fn unknown_roles_are_kept_and_cannot_be_assigned() {
        for word in ["support", "Admin", "admin ", ""] {
            let role: Role = serde_json::from_value(word.into()).unwrap();
            assert_eq!((role.word(), &role), (word, &Role::Other(word.to_owned())));
            assert_eq!(serde_json::to_value(&role).unwrap(), word);
            assert!(Role::parse(word).is_err());
        }
    }

    #[test]
    fn expired_holds_are_free_and_the_last_minute_is_kept() {
        let tokens = |n| Credits::new(n).unwrap();
        let held = |expires_at| StoredHold {
            cost: tokens(100),
            owner: "o".into(),
            expires_at,
            fingerprint: String::new(),
            purse: None,
            stopped: false,
        };
        let account = Account {
            pk: "user:ann".into(),
            id: "i".into(),
            name: "ann".into(),
            email: None,
            email_verified: false,
            pending_email: None,
            first_name: None,
            last_name: None,
            instructions: None,
            password: String::new(),
            imported: None,
            key: None,
            home: None,
            role: Role::User,
            active: true,
            tokens: tokens(3800),
            granted: tokens(4000),
            spent: Credits::ZERO,
            owed: None,
            allowance: None,
            alerted: None,
            reservations: BTreeMap::from([("a".into(), held(10)), ("b".into(), held(20))]),
            closed: BTreeMap::new(),
            minutes: None,
            purses: None,
            free_work: None,
            auth_epoch: 1,
            revoked: BTreeMap::new(),
            api_keys: 0,
            keys_from: None,
            created: 0,
            deleted: None,
            nonce: String::new(),
            month: String::new(),
            shard: String::new(),
            label: String::new(),
        };
        assert_eq!([9, 10, 20].map(|now| account.balance(now).get()), [3800, 3900, 4000]);
        assert_eq!([9, 10, 20].map(|now| account.held(now).get()), [200, 100, 0]);

        assert_eq!(account.last_message(), None);
        let counted = ["29864448", "9", "r99999999"].map(|minute| (minute.to_owned(), 1));
        let account = Account { minutes: Some(BTreeMap::from(counted)), ..account };
        assert_eq!(account.last_message(), Some(29_864_448 * 60_000), "neither text nor refund");
    }
}
