//! Accounts: their roles, and the tokens that are held for their chats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::key;
use crate::Tokens;

/// An account as the table Users holds it, under `user:<key of its name>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// `user:<key of the name>`.
    pub pk: String,
    /// UUIDv7: what chats, the ledger and tokens hang on. A name that is used again is another
    /// account.
    pub id: String,
    /// The name as it was typed.
    pub name: String,
    /// The e-mail address as it was typed, which the account's claim stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether somebody has read a mail to that address.
    #[serde(default)]
    pub email_verified: bool,
    /// An address that is to take its place once it is verified: another account claims it without
    /// proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// What the owner is called; shown to the owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The password's hash, a PHC string.
    pub password: String,
    /// The id of the idempotency key that it was registered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it may do.
    pub role: Role,
    /// A deactivated account can do nothing.
    pub active: bool,
    /// What can be spent: `granted = tokens + reservations + spent` at every moment.
    pub tokens: Tokens,
    /// Everything ever granted, adjustments included.
    pub granted: Tokens,
    /// Everything ever spent on settled chats.
    pub spent: Tokens,
    /// Tokens that are held for chats whose answer is awaited, by reservation id.
    pub reservations: BTreeMap<String, Reservation>,
    /// Reservation ids that may not be used again, with the second until which that holds.
    pub closed: BTreeMap<String, u64>,
    /// How many chats began in which minute since 1970. Nothing where the account is from before
    /// they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<BTreeMap<String, u32>>,
    /// Raised by everything that ends all tokens of the account.
    pub auth_epoch: u64,
    /// Sessions that were ended before their time, with the second at which that would have come.
    pub revoked: BTreeMap<String, u64>,
    /// How many API keys it has.
    #[serde(default)]
    pub api_keys: u32,
    /// API keys of earlier epochs open nothing: they were made before the address was proven.
    /// `None` where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_from: Option<u64>,
    /// When it was registered, in milliseconds since 1970.
    pub created: u64,
    /// The second at which it was deleted: what stands since then is a tombstone, which keeps the
    /// name taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// Random: tells a retried registration from another one, and seals this account's page
    /// cursors.
    pub nonce: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`. A tombstone has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub month: String,
    /// Partition of the index by_label. A tombstone has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shard: String,
    /// Sort key of the index by_label: the name's key.
    pub label: String,
}

impl Account {
    /// What can be spent at `now` (seconds): reservations whose lease is over count as free, though
    /// nobody released them yet.
    pub fn balance(&self, now: u64) -> Tokens {
        let free = self.reservations.values().filter(|reservation| reservation.expires_at <= now);
        free.fold(self.tokens, |sum, reservation| sum.checked_add(reservation.cost).unwrap_or(sum))
    }

    /// Whether it is an active administrator's.
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

    /// What the ledger sums to: the balance with everything that is held. Below zero only where the
    /// account was tampered with.
    pub fn booked(&self) -> i64 {
        self.granted.signed().saturating_sub(self.spent.signed())
    }

    /// What the owner says of themselves, by attribute.
    pub(crate) fn profile(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("first_name", self.first_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("email", self.email.as_deref()),
            ("pending_email", self.pending_email.as_deref()),
        ]
    }

    /// The address that waits to be verified, if one does.
    pub fn unverified(&self) -> Option<&str> {
        let own = self.email.as_deref().filter(|_| !self.email_verified);
        self.pending_email.as_deref().or(own)
    }

    /// Whether it has proven this address, which is compared by its key.
    pub fn has_proven(&self, address_key: &str) -> bool {
        self.email_verified && self.email.as_deref().map(key).as_deref() == Some(address_key)
    }

    /// The same account with `address` as its own, proven one. Nothing where it wants another one.
    /// A first proof begins an epoch: until then anybody may have registered the address, so
    /// that nothing made before opens the account.
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

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Chats, and sees what is its own.
    User,
    /// Manages users, chats and balances too.
    Admin,
}

impl Role {
    /// The role in one word, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role that this word stands for.
    pub fn parse(word: &str) -> Result<Self, String> {
        let role = [Self::User, Self::Admin].into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| "A role is user or admin.".into())
    }
}

/// Tokens taken from a balance for a chat whose answer is awaited, as the account holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many were taken.
    pub cost: Tokens,
    /// The id of the chat they were taken for: only who knows it may settle or release.
    pub owner: String,
    /// The second at which the lease ends: from then on it can't be settled, and anybody may
    /// release it.
    pub expires_at: u64,
    /// What was asked, as a hash: an idempotency key with another payload is refused. Empty where
    /// there is no key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_role_is_the_one_that_is_stored() {
        for role in [Role::User, Role::Admin] {
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
            assert_eq!(Role::parse(role.word()), Ok(role));
        }
        assert!(Role::parse("Admin").is_err());
    }

    #[test]
    fn an_expired_reservation_counts_as_free() {
        let tokens = |n| Tokens::new(n).unwrap();
        let reservation = |expires_at| Reservation {
            cost: tokens(100),
            owner: "o".into(),
            expires_at,
            fingerprint: String::new(),
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
            password: String::new(),
            key: None,
            role: Role::User,
            active: true,
            tokens: tokens(3800),
            granted: tokens(4000),
            spent: Tokens::ZERO,
            reservations: BTreeMap::from([
                ("a".into(), reservation(10)),
                ("b".into(), reservation(20)),
            ]),
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
    }
}
