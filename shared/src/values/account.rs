//! Accounts: their roles, and the credits that are reserved for their chats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::values::Invalid;
use crate::values::text::key;

/// An account as the table Users stores it, under `user:<key of its name>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// `user:<key of the name>`.
    pub pk: String,
    /// UUIDv7. Chats, the ledger and JWTs refer to it: an account that reuses a name has
    /// another id.
    pub id: String,
    /// The name as it was typed.
    pub name: String,
    /// The e-mail address as it was typed. The account has the claim of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the owner has verified this address.
    #[serde(default)]
    pub email_verified: bool,
    /// An address that replaces it once it is verified: another account claims it without proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// The first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// A mark of the instructions for the AI, which are an item of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The password's hash, a PHC string.
    pub password: String,
    /// The id of the idempotency key of its registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The mark of the network from which it was registered, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The role.
    pub role: Role,
    /// A deactivated account can do nothing.
    pub active: bool,
    /// The balance without holds: `granted = tokens + reservations + spent` at every moment.
    pub tokens: Credits,
    /// All credits ever granted, including adjustments.
    pub granted: Credits,
    /// All credits ever spent on settled chats.
    pub spent: Credits,
    /// The holds for chats that wait for an answer, by hold id.
    pub reservations: BTreeMap<String, StoredHold>,
    /// Hold ids that must not be used again, each with the second until which this holds.
    pub closed: BTreeMap<String, u64>,
    /// How many chats began in which minute since 1970. `None` for accounts from before they
    /// were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<BTreeMap<String, u32>>,
    /// Incremented by everything that invalidates all JWTs of the account.
    pub auth_epoch: u64,
    /// Sessions that were ended early, each with the second at which it would have expired.
    pub revoked: BTreeMap<String, u64>,
    /// How many API keys the account has.
    #[serde(default)]
    pub api_keys: u32,
    /// API keys of earlier epochs are invalid: they were created before the address was proven.
    /// `None` if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_from: Option<u64>,
    /// When it was registered, in milliseconds since 1970.
    pub created: u64,
    /// The second at which it was deleted. From then on the item is a tombstone, which keeps the
    /// name taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Random: distinguishes a retried registration from another one, and seals this account's page
    /// cursors.
    pub nonce: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`. Missing in a tombstone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub month: String,
    /// Partition of the index by_label. Missing in a tombstone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shard: String,
    /// Sort key of the index by_label: the name's key.
    pub label: String,
}

impl Account {
    /// The balance at the second `now`. Holds whose lease has ended count as free even
    /// before a release.
    pub fn balance(&self, now: u64) -> Credits {
        let free = self.reservations.values().filter(|held| held.expires_at <= now);
        free.fold(self.tokens, |sum, held| sum.checked_add(held.cost).unwrap_or(sum))
    }

    /// The credits in holds whose lease hasn't ended at the second `now`.
    pub fn held(&self, now: u64) -> Credits {
        let held = self.reservations.values().filter(|held| held.expires_at > now);
        held.fold(Credits::ZERO, |sum, held| sum.checked_add(held.cost).unwrap_or(sum))
    }

    /// Whether it is an active administrator.
    pub fn administers(&self) -> bool {
        self.active && self.role == Role::Admin
    }

    /// How many chats began in this minute since 1970.
    pub fn chats_in(&self, minute: u64) -> u32 {
        self.minutes
            .as_ref()
            .and_then(|minutes| minutes.get(&minute.to_string()))
            .copied()
            .unwrap_or(0)
    }

    /// When the last chat began, to the minute, in milliseconds since 1970: the newest minute
    /// in which chats were counted. `None` if there is none.
    pub fn last_message(&self) -> Option<u64> {
        let minutes = self.minutes.iter().flat_map(BTreeMap::keys);
        // The refunds of a minute have a key that isn't a number.
        let last = minutes.filter_map(|minute| minute.parse::<u64>().ok()).max()?;
        Some(last.saturating_mul(60_000))
    }

    /// The sum of the ledger: the balance with all holds. Below zero only if the account was
    /// tampered with.
    pub fn booked(&self) -> i64 {
        self.granted.signed().saturating_sub(self.spent.signed())
    }

    /// What the owner can change, by attribute.
    pub(crate) fn profile(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("first_name", self.first_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("instructions", self.instructions.as_deref()),
            ("email", self.email.as_deref()),
            ("pending_email", self.pending_email.as_deref()),
        ]
    }

    /// The unverified address, if there is one.
    pub fn unverified(&self) -> Option<&str> {
        let own = self.email.as_deref().filter(|_| !self.email_verified);
        self.pending_email.as_deref().or(own)
    }

    /// Whether the account has proven this address, which is compared by its key.
    pub fn has_proven(&self, address_key: &str) -> bool {
        self.email_verified && self.email.as_deref().map(key).as_deref() == Some(address_key)
    }

    /// The same account with `address` as its own, proven one. `None` if the account wants another
    /// address. The first proof begins a new epoch: until then a stranger may have registered the
    /// address, so everything created before becomes invalid.
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

/// The role of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends messages, and sees its own data.
    User,
    /// Also manages users, messages and balances.
    Admin,
    /// A role that only later releases know. Here it gives the same rights as [`Role::User`].
    #[serde(untagged)]
    Other(String),
}

impl Role {
    /// The role as it is stored and shown.
    pub fn word(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Other(word) => word,
        }
    }

    /// The role with this name, which an account can be given.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let role = [Self::User, Self::Admin].into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| "A role must be user or admin.".into())
    }
}

/// Credits that are taken from a balance for a chat that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHold {
    /// How many.
    pub cost: Credits,
    /// The id of the chat. Only its request may settle or release the hold before it
    /// expires.
    pub owner: String,
    /// The second at which the lease ends. From then on the hold can't be settled, and any
    /// request may release it.
    pub expires_at: u64,
    /// The hash of the request, with which an idempotency key refuses another payload. Empty
    /// without an idempotency key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// Whether its user has stopped the chat: its function ends the answer where it is.
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
            key: None,
            home: None,
            role: Role::User,
            active: true,
            tokens: tokens(3800),
            granted: tokens(4000),
            spent: Credits::ZERO,
            reservations: BTreeMap::from([("a".into(), held(10)), ("b".into(), held(20))]),
            closed: BTreeMap::new(),
            minutes: None,
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
