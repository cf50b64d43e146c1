//! The record of imports from other systems.

use argon2::Params;
use aws_lc_rs::digest;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::values::{Account, Source};

/// The facts about imports that functions need: the first day with data, and the kinds of imported
/// password hashes.
///
/// A refused log-in must not reveal whether an account exists. While accounts have imported hashes,
/// however, the cost of a password check depends on the kind of the account's hash. For an unknown
/// name, the password is therefore checked against a decoy. A keyed hash of the name selects the
/// decoy's kind, so that each kind is selected in proportion to its share of the accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imports {
    /// A random string that is replaced whenever the record changes.
    pub version: String,
    /// The first day with data, in days since 1970.
    pub first_day: u64,
    /// The random key for the keyed hash.
    pub key: String,
    /// How many accounts existed after the latest import.
    pub accounts: u64,
    /// How many accounts existed at the latest count.
    pub accounts_now: u64,
    /// True while an import is unfinished. Some of its accounts may be missing, so the census
    /// doesn't replace the counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unfinished: bool,
    /// The imported hashes, by kind.
    #[serde(default)]
    pub hashes: Vec<ImportedHashes>,
}

impl Source {
    /// Returns the source for an imported account's balance. `account` identifies the account in
    /// the other system.
    pub fn import(name: &str, account: &str) -> Self {
        Self::new("import", &format!("{name}:{account}"))
    }
}

/// The accounts with one kind of imported hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedHashes {
    /// The [kind](hash_kind).
    pub kind: String,
    /// A hash of this kind that no password matches.
    pub decoy: String,
    /// How many accounts had a hash of this kind after the latest import.
    pub imported: u64,
    /// How many of the accounts still had their imported hash at the latest count. An account's
    /// first log-in replaces its hash.
    pub left: u64,
}

impl Imports {
    /// Returns the decoy to check for a login without an account. `None` if the check should cost
    /// as much as for a hash that isn't imported.
    ///
    /// Each kind is assigned a range of the keyed hash's values. At first, every value in the range
    /// selects the kind's decoy. As accounts with this kind of hash log in, only a shrinking part
    /// at the beginning of the range still selects it. The cost for an unknown name therefore
    /// changes at most once, just as an account's cost changes at its first log-in.
    pub fn decoy(&self, login: &str) -> Option<&str> {
        let key = hmac::Key::new(HMAC_SHA256, self.key.as_bytes());
        let tag = hmac::sign(&key, login.as_bytes());
        let bytes = tag.as_ref().first_chunk::<8>()?;
        let place = u128::from(u64::from_be_bytes(*bytes));
        let share = |part: u64, whole: u64| (u128::from(part) << 64) / u128::from(whole.max(1));
        let mut begin = 0;
        for hashes in &self.hashes {
            let stretch = share(hashes.imported, self.accounts);
            let left = share(hashes.left, self.accounts_now).min(stretch);
            if (begin..begin + left).contains(&place) {
                return Some(&hashes.decoy);
            }
            begin += stretch;
        }
        None
    }
}

/// Returns the stand-in that an imported account stores as its [`password`](Account::password),
/// alongside the hash from Django. No password matches the stand-in, so releases that don't support
/// imported hashes refuse the log-in. If such a release changes the password, the imported hash is
/// no longer checked.
pub fn stand_in(imported: &str) -> String {
    phc_of(digest::digest(&digest::SHA384, imported.as_bytes()).as_ref())
}

/// Returns a PHC string with the parameters of current hashes. The salt is the first 16 of the 48
/// bytes, and the hash is the rest.
pub(crate) fn phc_of(bytes: &[u8]) -> String {
    let (salt, hash) = bytes.split_at_checked(16).unwrap_or_default();
    let [salt, hash] = [salt, hash].map(|part| BASE64_STANDARD_NO_PAD.encode(part));
    let (memory, passes, lanes) =
        (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
}

impl Account {
    /// Returns the hash from Django. `None` if the account's password was set or strengthened after
    /// the import.
    pub fn imported_hash(&self) -> Option<&str> {
        self.imported.as_deref().filter(|imported| self.password == stand_in(imported))
    }
}

/// Returns the part of Django's hash that determines the cost of a check: the algorithm and its
/// parameters, without the salt and the digest.
pub fn hash_kind(django: &str) -> String {
    let parts: Vec<&str> = django.split('$').collect();
    let kind: Vec<&str> = match parts.as_slice() {
        ["scrypt", n, _, r, p, ..] => vec!["scrypt", n, r, p],
        [algorithm @ ("argon2" | "bcrypt" | "bcrypt_sha256"), ..] => {
            [algorithm].into_iter().chain(parts.iter().skip(1).take(3)).copied().collect()
        }
        _ => parts.into_iter().take(2).collect(),
    };
    kind.join("$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(hashes: &[(&str, u64, u64)], accounts: u64, accounts_now: u64) -> Imports {
        let of = |(kind, imported, left): &(&str, u64, u64)| ImportedHashes {
            kind: (*kind).into(),
            decoy: format!("{kind} decoy"),
            imported: *imported,
            left: *left,
        };
        let hashes = hashes.iter().map(of).collect();
        Imports { key: "key".into(), accounts, accounts_now, hashes, ..Imports::default() }
    }

    /// Returns how many of a thousand names get the first decoy, the second decoy, and no decoy.
    fn chosen(imports: &Imports) -> [usize; 3] {
        let names: Vec<String> = (0..1000).map(|number| format!("name{number}")).collect();
        let count =
            |decoy: Option<&str>| names.iter().filter(|name| imports.decoy(name) == decoy).count();
        [count(Some("a decoy")), count(Some("b decoy")), count(None)]
    }

    #[test]
    fn unknown_names_cost_as_much_as_accounts_do_in_proportion() {
        let is_near = |[a, b, own]: [usize; 3], [x, y, z]: [usize; 3]| {
            [(a, x), (b, y), (own, z)].iter().all(|(one, other)| one.abs_diff(*other) < 60)
        };
        let begin = imports(&[("a", 500, 500), ("b", 300, 300)], 1000, 1000);
        assert!(is_near(chosen(&begin), [500, 300, 200]), "{:?}", chosen(&begin));
        let later = imports(&[("a", 500, 200), ("b", 300, 100)], 1000, 1000);
        assert!(is_near(chosen(&later), [200, 100, 700]), "{:?}", chosen(&later));
        let grown = imports(&[("a", 500, 500), ("b", 300, 300)], 1000, 2000);
        assert!(is_near(chosen(&grown), [250, 150, 600]), "{:?}", chosen(&grown));
        let over = imports(&[("a", 500, 0), ("b", 300, 0)], 1000, 1000);
        assert_eq!(chosen(&over), [0, 0, 1000]);
        assert_eq!(chosen(&Imports::default()), [0, 0, 1000]);
        assert_eq!(chosen(&imports(&[("a", 5, 5)], 5, 5)), [1000, 0, 0]);
    }

    #[test]
    fn the_cost_of_an_unknown_name_only_falls() {
        let mut before = imports(&[("a", 500, 500), ("b", 300, 300)], 1000, 1000);
        for left in [(400, 300), (400, 100), (50, 90), (0, 10), (0, 0)] {
            let after = imports(&[("a", 500, left.0), ("b", 300, left.1)], 1000, 1100);
            for name in (0..1000).map(|number| format!("name{number}")) {
                let (one, other) = (before.decoy(&name), after.decoy(&name));
                assert!(other.is_none() || one == other, "{name}: {one:?} {other:?}");
            }
            before = after;
        }
    }

    #[test]
    fn deleted_accounts_make_no_kind_more_frequent() {
        let deleted = imports(&[("a", 500, 500), ("b", 300, 300)], 1000, 10);
        let [a, b, own] = chosen(&deleted);
        assert!(a.abs_diff(500) < 60 && b.abs_diff(300) < 60 && own.abs_diff(200) < 60);
    }

    #[test]
    fn kinds_are_algorithms_with_their_parameters() {
        for (hash, kind) in [
            ("pbkdf2_sha256$1000000$salt$hash", "pbkdf2_sha256$1000000"),
            ("pbkdf2_sha1$1000$salt$hash", "pbkdf2_sha1$1000"),
            (
                "argon2$argon2id$v=19$m=102400,t=2,p=8$salt$hash",
                "argon2$argon2id$v=19$m=102400,t=2,p=8",
            ),
            ("bcrypt_sha256$$2b$12$saltandhash", "bcrypt_sha256$$2b$12"),
            ("bcrypt$$2b$12$saltandhash", "bcrypt$$2b$12"),
            ("scrypt$16384$salt$8$5$hash", "scrypt$16384$8$5"),
            ("", ""),
        ] {
            assert_eq!(hash_kind(hash), kind);
        }
    }
}
