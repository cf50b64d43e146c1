//! Password hashing with argon2id. Accounts that were imported from Django keep Django's hash until
//! their first log-in.

mod django;

use std::fmt::Display;
use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand;
use icu_normalizer::ComposingNormalizer;
use tokio::sync::Semaphore;

use crate::values::limit::WAITING_PASSWORDS;
use crate::values::{Account, Invalid, Limit, phc_of};
use crate::{Error, Result};

pub use django::DjangoHash;

/// The minimum length of a password, in characters. Existing clients of this API use passwords of
/// nine characters.
pub(crate) const LEAST_CHARS: usize = 8;

/// The maximum length of a password, in bytes. Longer passwords are refused before they are hashed.
pub const MOST_BYTES: usize = 256;

/// The most common passwords, one per line. Only [`NewPassword::parse`] refers to this list, so
/// only the binaries that set passwords contain it.
const COMMON: &str = include_str!("passwords/common.txt");

/// Common passwords that are allowed because the documentation of existing clients uses them.
const DOCUMENTED: [&str; 4] = ["secret123", "strongpassword", "StrongPass123!", "testpass123"];

/// A valid new password in Unicode's composed form (NFC).
#[derive(Clone)]
pub struct NewPassword(String);

impl NewPassword {
    /// Parses a password of at least 8 characters and at most 256 bytes. Refuses the most common
    /// passwords, the user's `names` (the username and the address), and the part of an address
    /// before its `@`. The password doesn't have to contain certain kinds of characters.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self, Invalid> {
        let password = composed(text);
        if text.len() > MOST_BYTES || password.len() > MOST_BYTES {
            return Err(format!("A password can have at most {MOST_BYTES} bytes.").into());
        }
        if password.chars().count() < LEAST_CHARS {
            return Err(format!("A password must have at least {LEAST_CHARS} characters.").into());
        }
        let folded = crate::values::text::key(&password);
        let own = |name: &&str| {
            let name = crate::values::text::key(name);
            name == folded || name.rsplit_once('@').is_some_and(|(before, _)| before == folded)
        };
        if names.iter().any(own) {
            return Err(
                "The password must not be the username, the e-mail address or the part before its @.".into(),
            );
        }
        if !DOCUMENTED.contains(&password.as_str()) && COMMON.lines().any(|common| common == folded)
        {
            return Err("This is one of the most common passwords, which attackers try first. Choose another one.".into());
        }
        Ok(Self(password))
    }
}

/// Returns the form in which passwords are hashed. It is the same no matter how a keyboard composes
/// accents.
fn composed(text: &str) -> String {
    ComposingNormalizer::new_nfc().normalize(text).into_owned()
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    queue: Arc<Semaphore>,
}

/// The result of a password check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or the account doesn't exist.
    Wrong,
    /// The password is correct.
    Right,
    /// The password is correct, but the stored hash is weak or was imported, so a new hash should
    /// replace it.
    Outdated,
}

impl Passwords {
    /// Creates an instance with an empty queue. Each function has a separate queue.
    pub fn new() -> Self {
        Self { queue: Arc::new(Semaphore::new(WAITING_PASSWORDS as usize)) }
    }

    /// Hashes a password with a random salt of 16 bytes. Returns a PHC string.
    pub async fn hash(&self, password: &NewPassword) -> Result<String> {
        let NewPassword(password) = password.clone();
        self.in_slot(move |blocks| hash(&password, blocks)).await?
    }

    /// Hashes an existing password. It may violate the rules for new passwords.
    pub async fn hash_again(&self, password: &str) -> Result<String> {
        let password = composed(password);
        self.in_slot(move |blocks| hash(&password, blocks)).await?
    }

    /// Compares a password with a stored hash, which is a PHC string or was created by Django. If
    /// `stored` is `None`, returns [`Verdict::Wrong`], but first hashes the password, so that the
    /// check takes as long as for a current hash.
    pub async fn check(&self, password: &str, stored: Option<String>) -> Result<Verdict> {
        if password.len() > MOST_BYTES {
            return Ok(Verdict::Wrong);
        }
        let (sent, password) = (password.to_owned(), composed(password));
        self.in_slot(move |blocks| match stored {
            None => hash(&password, blocks).map(|_| Verdict::Wrong),
            Some(phc) if phc.starts_with('$') => check_phc(&password, &phc, blocks),
            Some(django) => {
                let stored = DjangoHash::parse(&django).map_err(unusable)?;
                let trimmed = sent.trim();
                Ok(if stored.verify(&sent, blocks)? {
                    Verdict::Outdated
                } else if trimmed != sent && stored.verify(trimmed, blocks)? {
                    // Django REST framework removes blanks around a password. Keep the stored hash,
                    // because a new hash would match the password only with the blanks, or only
                    // without them.
                    Verdict::Right
                } else {
                    Verdict::Wrong
                })
            }
        })
        .await?
    }

    async fn in_slot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T> {
        let _place = self.queue.try_acquire().map_err(|_| Error::Busy(Limit::passwords()))?;
        let slot =
            HASH_SLOTS.acquire().await.map_err(|error| Error::Internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = in_kept_memory(work);
            drop(slot);
            done
        });
        done.await.map_err(|error| Error::Internal(error.to_string()))
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Limits how many hashes this process computes at the same time to one per processor.
static HASH_SLOTS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)));

/// The memory for computing hashes, one vector for each concurrent computation. It is reused,
/// because otherwise the allocator would keep memory for each thread that has ever computed a hash.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Runs `work` in memory that only `work` uses, and then clears the memory.
fn in_kept_memory<T>(work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
    let kept = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut blocks = kept().pop().unwrap_or_default();
    let done = work(&mut blocks);
    blocks.fill(Block::default());
    // A hash from Django may have needed five times as much memory.
    blocks.truncate(Params::DEFAULT.block_count());
    blocks.shrink_to_fit();
    kept().push(blocks);
    done
}

/// The cost of new hashes: 19 MiB, two passes and one lane. These parameters are the crate's
/// defaults, and the minimum that
/// [OWASP](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html)
/// recommends.
fn cost() -> &'static Params {
    COST.get_or_init(Params::default)
}

static COST: OnceLock<Params> = OnceLock::new();

/// Sets the cost of this process's hashes, unless it is already set. Tests call this function,
/// because they create thousands of accounts. Releases don't contain it (`build.rs`).
#[cfg(debug_build)]
pub fn set_cost(params: Params) {
    let _ = COST.set(params);
}

/// Hashes with argon2id.
fn hash(password: &str, blocks: &mut Vec<Block>) -> Result<String> {
    let (algorithm, version, params) = (Algorithm::default(), Version::default(), cost());
    let failed = |error: &dyn std::fmt::Display| Error::Internal(format!("argon2: {error}"));
    let mut random = [0; Salt::RECOMMENDED_LENGTH];
    rand::fill(&mut random)?;
    let salt = Salt::new(&random).map_err(|error| failed(&error))?;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(&Argon2::new(algorithm, version, params.clone()), password, &salt, &mut output, blocks)?;
    let params = ParamsString::try_from(params).map_err(|error| failed(&error))?;
    let hash = Some(Output::new(&output).map_err(|error| failed(&error))?);
    let hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params,
        salt: Some(salt),
        hash,
    };
    Ok(hash.to_string())
}

/// Compares a password with a PHC string.
fn check_phc(password: &str, phc: &str, blocks: &mut Vec<Block>) -> Result<Verdict> {
    let parsed = PasswordHash::new(phc).map_err(unusable)?;
    let params = Params::try_from(&parsed).map_err(unusable)?;
    if !verify(password, &parsed, &params, blocks)? {
        return Ok(Verdict::Wrong);
    }
    if params.m_cost() < cost().m_cost() || params.t_cost() < cost().t_cost() {
        return Ok(Verdict::Outdated);
    }
    Ok(Verdict::Right)
}

fn unusable(error: impl Display) -> Error {
    Error::Internal(format!("a stored hash: {error}"))
}

/// Returns true if `password` matches the stored hash. Compares in constant time.
fn verify(
    password: &str,
    stored: &PasswordHash,
    params: &Params,
    blocks: &mut Vec<Block>,
) -> Result<bool> {
    let (Some(salt), Some(hash)) = (&stored.salt, &stored.hash) else {
        return Err(unusable("no salt or no hash"));
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(unusable)?;
    let version = stored.version.map(Version::try_from).transpose().map_err(unusable)?;
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..hash.len()).ok_or_else(|| unusable("too long"))?;
    fill(
        &Argon2::new(algorithm, version.unwrap_or_default(), params.clone()),
        password,
        salt,
        output,
        blocks,
    )?;
    Ok(Output::new(output).is_ok_and(|output| output == *hash))
}

fn fill(
    argon2: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    output: &mut [u8],
    blocks: &mut Vec<Block>,
) -> Result<()> {
    let needed = argon2.params().block_count();
    if blocks.len() < needed {
        blocks.resize(needed, Block::default());
    }
    let hashed =
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut *blocks);
    hashed.map_err(|error| Error::Internal(format!("argon2: {error}")))
}

/// Returns a hash for deleted accounts. It doesn't match any password, and checking it takes as
/// long as checking a current hash.
pub fn none() -> Result<String> {
    let mut bytes = [0_u8; 48];
    rand::fill(&mut bytes)?;
    Ok(phc_of(&bytes))
}

/// Returns the hash that a password for this account must match.
pub(crate) fn hash_of(account: &Account) -> &str {
    account.imported_hash().unwrap_or(&account.password)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[tokio::test]
    async fn hashes_are_salted_argon2id_and_verify() {
        let passwords = Passwords::new();
        let password = NewPassword::parse("secret123", &[]).unwrap();
        let hash = passwords.hash(&password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(&password).await.unwrap());
        assert_eq!(passwords.check("secret123", Some(hash.clone())).await, Ok(Verdict::Right));
        assert_eq!(passwords.check("secret124", Some(hash)).await, Ok(Verdict::Wrong));
        assert_eq!(passwords.check("secret123", None).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn weak_hashes_are_replaced_after_a_right_password() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8192, 1, 1, None).unwrap(),
        );
        let weak = weak.hash_password(b"secret123").unwrap().to_string();
        let passwords = Passwords::new();
        assert_eq!(passwords.check("secret124", Some(weak.clone())).await, Ok(Verdict::Wrong));
        assert_eq!(passwords.check("secret123", Some(weak)).await, Ok(Verdict::Outdated));
        let strong = passwords.hash_again("secret123").await.unwrap();
        assert_eq!(passwords.check("secret123", Some(strong)).await, Ok(Verdict::Right));
    }

    #[tokio::test]
    async fn hashes_of_django_are_replaced_after_a_right_password() {
        // Django 5.2 created this hash from a password in decomposed form.
        let django = "pbkdf2_sha256$1000$9wCTRPjNRTt2cbzy1pR3zP$Sgu5F/s75+v5cbWZBCbNT5N4Za70JwTg6AXG+xzODts=";
        let passwords = Passwords::new();
        let check = |password: &'static str, hash: &str| {
            let (passwords, hash) = (passwords.clone(), hash.to_owned());
            async move { passwords.check(password, Some(hash)).await.unwrap() }
        };
        let (decomposed, composed) =
            ("cafe\u{301} cre\u{300}me \u{1f415}", "caf\u{e9} cr\u{e8}me \u{1f415}");
        assert_eq!(check(composed, django).await, Verdict::Wrong);
        assert_eq!(check(decomposed, django).await, Verdict::Outdated);
        let own = passwords.hash_again(decomposed).await.unwrap();
        assert!(own.starts_with("$argon2id$"));
        assert_eq!(check(composed, &own).await, Verdict::Right);
        assert!(passwords.check("x", Some("md5$a$b".into())).await.is_err());
    }

    #[tokio::test]
    async fn the_dummy_hash_looks_real_and_matches_nothing() {
        let hash = none().unwrap();
        let parsed = PasswordHash::new(&hash).unwrap();
        let real =
            Passwords::new().hash(&NewPassword::parse("secret123", &[]).unwrap()).await.unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(
            (parsed.algorithm, parsed.version, &parsed.params),
            (real.algorithm, real.version, &real.params)
        );
        let lengths = |hash: &PasswordHash| {
            (
                hash.salt.as_ref().map(|salt| salt.as_ref().len()),
                hash.hash.as_ref().map(|hash| hash.len()),
            )
        };
        assert_eq!(lengths(&parsed), lengths(&real));
        assert_ne!(hash, none().unwrap());
        for password in ["", "secret123", &hash] {
            assert_eq!(
                Passwords::new().check(password, Some(hash.clone())).await,
                Ok(Verdict::Wrong)
            );
        }
    }

    #[tokio::test]
    async fn composed_and_decomposed_accents_are_equal() {
        let passwords = Passwords::new();
        let hash = passwords
            .hash(&NewPassword::parse("caf\u{e9} cr\u{e8}me", &[]).unwrap())
            .await
            .unwrap();
        assert_eq!(
            passwords.check("cafe\u{301} cre\u{300}me", Some(hash)).await,
            Ok(Verdict::Right)
        );
    }

    #[tokio::test]
    async fn callers_above_the_queue_limit_are_told_to_retry() {
        let passwords = Passwords::new();
        let waiting = passwords.queue.acquire_many(WAITING_PASSWORDS).await.unwrap();
        let refused = passwords.check("secret123", None).await.unwrap_err();
        assert_eq!((refused.code(), refused.retry_after()), ("busy", Some(1)));
        assert_eq!(
            refused.limit().map(|limit| (limit.most, limit.left)),
            Some((WAITING_PASSWORDS, 0))
        );
        drop(waiting);
        assert_eq!(passwords.check("secret123", None).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn hashing_memory_is_reused_and_wiped() {
        let passwords = Passwords::new();
        let hash = passwords.hash(&NewPassword::parse("secret123", &[]).unwrap()).await.unwrap();
        let checks = (0..24).map(|_| passwords.check("secret123", Some(hash.clone())));
        assert!(
            futures_util::future::join_all(checks)
                .await
                .iter()
                .all(|verdict| *verdict == Ok(Verdict::Right))
        );
        let processors = std::thread::available_parallelism().unwrap().get();
        let _all = HASH_SLOTS.acquire_many(processors.try_into().unwrap()).await.unwrap();
        let kept = MEMORY.lock().unwrap();
        assert!(
            (1..=processors).contains(&kept.len()),
            "{} for {processors} processors",
            kept.len()
        );
        assert!(kept.iter().all(|blocks| blocks.len() == Params::default().block_count()));
        assert!(kept.iter().flatten().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        // This hash was computed by a different implementation.
        assert_eq!(Argon2::default().verify_password(b"secret123", &*hash), Ok(()));
    }

    #[test]
    fn passwords_have_length_limits_and_differ_from_the_name() {
        for good in [
            "secret123",
            "strongpassword",
            "StrongPass123!",
            "testpass123",
            "my dog 🐕",
            &"x".repeat(256),
        ] {
            assert!(NewPassword::parse(good, &["ann"]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1234567",
            "éééé",
            &"x".repeat(257),
            "annabella",
            "AnnaBella@example.com",
            "ANNA.BELLA",
        ] {
            assert!(
                NewPassword::parse(
                    bad,
                    &["AnnaBella", "annabella@example.com", "anna.bella@example.com"]
                )
                .is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn common_passwords_are_refused_except_four_examples() {
        for bad in [
            "password",
            "PassWord123",
            "ｐａｓｓｗｏｒｄ",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "SECRET123",
            "11111111",
        ] {
            let refused = NewPassword::parse(bad, &[]).map(drop).unwrap_err();
            assert!(refused.sentence().contains("most common"), "{bad}: {refused}");
        }
        for good in DOCUMENTED {
            assert!(NewPassword::parse(good, &[]).is_ok(), "{good}");
        }
    }

    #[test]
    fn common_passwords_are_unique_and_normalized() {
        let listed: Vec<&str> = COMMON.lines().filter(|line| !line.starts_with("# ")).collect();
        assert!(
            listed.len() > 1000
                && listed.is_sorted()
                && listed.windows(2).all(|pair| pair[0] != pair[1])
        );
        for common in listed {
            assert!(
                common.len() >= LEAST_CHARS && crate::values::text::key(common) == common,
                "{common}"
            );
        }
    }
}
