//! Password hashes that were created by Django. An import stores them unchanged, and the first
//! log-in with the correct password replaces them.
//!
//! The formats are those in
//! [`django.contrib.auth.hashers`](https://github.com/django/django/blob/5.2/django/contrib/auth/hashers.py).

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Block, Params, Version};
use aws_lc_rs::{constant_time, digest, pbkdf2, rand};
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};

use crate::passwords::verify;
use crate::values::{Invalid, hash_kind};
use crate::{Error, Result};

/// The maximum length of a hash in bytes. Django's field holds 128 characters.
const LONGEST: usize = 512;

/// The maximum number of PBKDF2 iterations. Django 6.1 uses 1,500,000.
const MOST_ITERATIONS: u32 = 2_000_000;

/// The maximum memory for argon2, in KiB. Django uses 102,400.
const MOST_MEMORY: u32 = 131_072;

/// The maximum number of argon2 passes. Django uses 2.
const MOST_PASSES: u32 = 8;

/// The maximum bcrypt cost, as a power of two. Django uses 12.
const MOST_ROUNDS: u32 = 14;

/// The maximum scrypt work, as [`scrypt_work`] computes it. Django's parameters result in 656,000.
const MOST_SCRYPT_WORK: u64 = 2_200_000;

/// The maximum memory for scrypt, in bytes: a table of 64 MiB, and 1 MiB for the other blocks.
/// Django's parameters need 16 MiB.
const MOST_SCRYPT_MEMORY: u64 = 68_157_440;

/// The time that PBKDF2 takes to fill and hash one block of size r = 1, measured in steps of
/// scrypt's mixing.
const SCRYPT_FRAME: u64 = 16;

/// The number of bytes in a bcrypt hash. The crate computes one more byte, which bcrypt doesn't
/// store.
const BCRYPT_HASH: usize = 23;

/// The maximum number of bytes that bcrypt reads from a password.
const BCRYPT_PASSWORD: usize = 72;

/// The alphabet in which bcrypt writes its salt and its hash.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// A password hash that was created by Django, and that this server can check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DjangoHash {
    text: String,
    scheme: Scheme,
}

/// The parts of a hash, which depend on its algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Pbkdf2 {
        is_sha1: bool,
        iterations: NonZeroU32,
        salt: String,
        hash: Vec<u8>,
    },
    /// The hash is a PHC string.
    Argon2(String),
    /// With `sha256`, bcrypt hashes the hexadecimal digits of the password's SHA-256 hash.
    Bcrypt {
        sha256: bool,
        cost: u32,
        salt: [u8; 16],
        hash: Vec<u8>,
    },
    Scrypt {
        n: u64,
        r: u32,
        p: u32,
        salt: String,
        hash: Vec<u8>,
    },
}

impl DjangoHash {
    /// Parses the value of Django's `password` field.
    ///
    /// # Errors
    /// Refuses an unusable password (`!`), MD5 and unsalted hashes, unknown algorithms, damaged
    /// hashes, and parameters that would make a log-in too expensive. A hash that is accepted can
    /// always be checked.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > LONGEST {
            return Err(malformed());
        }
        let mut parts = text.split('$');
        let scheme = match parts.next().unwrap_or_default() {
            "pbkdf2_sha256" => pbkdf2_of(false, parts),
            "pbkdf2_sha1" => pbkdf2_of(true, parts),
            "argon2" => argon2_of(text),
            "bcrypt_sha256" => bcrypt_of(true, parts),
            "bcrypt" => bcrypt_of(false, parts),
            "scrypt" => scrypt_of(parts),
            unusable if unusable.starts_with('!') => {
                return Err("The account has no usable password.".into());
            }
            weak @ ("md5" | "sha1" | "unsalted_md5" | "unsalted_sha1" | "crypt") => {
                return Err(format!("The password's hash is too weak: {weak}.").into());
            }
            _ => return Err("The password's hash has no known algorithm.".into()),
        }?;
        Ok(Self { text: text.to_owned(), scheme })
    }

    /// Returns the hash as Django stores it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the algorithm and the parameters that determine how expensive a check is, such as
    /// `pbkdf2_sha256$1000000`.
    pub fn kind(&self) -> String {
        hash_kind(&self.text)
    }

    /// Returns a hash of the same kind that doesn't match any password. Checking it is as expensive
    /// as checking this hash.
    ///
    /// # Errors
    /// Returns [`Error::Internal`] if the system can't provide random numbers.
    pub fn decoy(&self) -> Result<String> {
        let algorithm = self.algorithm();
        Ok(match &self.scheme {
            Scheme::Pbkdf2 { iterations, salt, hash, .. } => {
                let (salt, hash) = (random_text(salt.len())?, random(hash.len())?);
                format!("{algorithm}${iterations}${salt}${}", BASE64_STANDARD.encode(hash))
            }
            Scheme::Argon2(phc) => {
                // In base64, four characters encode three bytes.
                let new =
                    |part: &str| Ok(BASE64_STANDARD_NO_PAD.encode(random(part.len() * 3 / 4)?));
                let parts: Vec<&str> = phc.split('$').skip(4).collect();
                let parts: Vec<String> = parts.into_iter().map(new).collect::<Result<_>>()?;
                format!("{}${}", self.kind(), parts.join("$"))
            }
            Scheme::Bcrypt { .. } => {
                let (salt, hash) = (random(16)?, random(BCRYPT_HASH)?);
                let [salt, hash] = [salt, hash].map(|part| BCRYPT_BASE64.encode(part));
                format!("{}${salt}{hash}", self.kind())
            }
            Scheme::Scrypt { n, r, p, salt, hash } => {
                let (salt, hash) = (random_text(salt.len())?, random(hash.len())?);
                format!("{algorithm}${n}${salt}${r}${p}${}", BASE64_STANDARD.encode(hash))
            }
        })
    }

    fn algorithm(&self) -> &str {
        self.text.split('$').next().unwrap_or_default()
    }

    /// Returns true if `password` matches this hash. Django hashes the bytes that the client sent,
    /// in any Unicode form. Compares in constant time.
    pub(super) fn verify(&self, password: &str, blocks: &mut Vec<Block>) -> Result<bool> {
        let is = |computed: &[u8], hash: &[u8]| {
            constant_time::verify_slices_are_equal(computed, hash).is_ok()
        };
        match &self.scheme {
            Scheme::Pbkdf2 { is_sha1, iterations, salt, hash } => {
                let algorithm = match is_sha1 {
                    true => pbkdf2::PBKDF2_HMAC_SHA1,
                    false => pbkdf2::PBKDF2_HMAC_SHA256,
                };
                let (salt, password) = (salt.as_bytes(), password.as_bytes());
                Ok(pbkdf2::verify(algorithm, *iterations, salt, password, hash).is_ok())
            }
            Scheme::Argon2(phc) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    Error::Internal(format!("an imported hash: {error}"))
                };
                let parsed = PasswordHash::new(phc).map_err(|error| unusable(&error))?;
                let params = Params::try_from(&parsed).map_err(|error| unusable(&error))?;
                verify(password, &parsed, &params, blocks)
            }
            Scheme::Bcrypt { sha256, cost, salt, hash } => {
                let mut password = match sha256 {
                    true => {
                        hexadecimal(digest::digest(&digest::SHA256, password.as_bytes()).as_ref())
                    }
                    false => password.to_owned(),
                }
                .into_bytes();
                password.push(0);
                password.truncate(BCRYPT_PASSWORD);
                let computed = bcrypt::bcrypt(*cost, *salt, &password);
                Ok(computed.get(..BCRYPT_HASH).is_some_and(|computed| is(computed, hash)))
            }
            Scheme::Scrypt { n, r, p, salt, hash } => {
                let params = scrypt_params(*n, *r, *p)
                    .ok_or_else(|| Error::Internal("an imported hash of scrypt".into()))?;
                let mut computed = vec![0; hash.len()];
                scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut computed)
                    .map_err(|error| Error::Internal(format!("scrypt: {error}")))?;
                Ok(is(&computed, hash))
            }
        }
    }
}

/// Returns the error for a hash that isn't in Django's format.
fn malformed() -> Invalid {
    "The password's hash is damaged.".into()
}

/// Returns the error for parameters that would make a log-in too expensive.
fn too_expensive(what: &str) -> Invalid {
    format!("The password's hash is too expensive to check: {what}.").into()
}

fn number<N: std::str::FromStr>(text: Option<&str>) -> Result<N, Invalid> {
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(malformed)
}

/// Parses a salt. Django's salts consist of ASCII letters and digits.
fn salt_of(text: Option<&str>) -> Result<String, Invalid> {
    text.filter(|salt| !salt.is_empty()).map(str::to_owned).ok_or_else(malformed)
}

/// Parses a hash of `length` bytes in base64.
fn hash_of(text: Option<&str>, length: usize) -> Result<Vec<u8>, Invalid> {
    let hash = text.and_then(|text| BASE64_STANDARD.decode(text).ok());
    hash.filter(|hash| hash.len() == length).ok_or_else(malformed)
}

fn pbkdf2_of<'t>(
    is_sha1: bool,
    mut parts: impl Iterator<Item = &'t str>,
) -> Result<Scheme, Invalid> {
    let iterations: NonZeroU32 = number(parts.next())?;
    let (salt, length) = (salt_of(parts.next())?, if is_sha1 { 20 } else { 32 });
    let hash = hash_of(parts.next(), length)?;
    if iterations.get() > MOST_ITERATIONS {
        return Err(too_expensive(&format!("{iterations} iterations")));
    }
    Ok(Scheme::Pbkdf2 { is_sha1, iterations, salt, hash })
}

fn argon2_of(text: &str) -> Result<Scheme, Invalid> {
    let phc = text.strip_prefix("argon2").ok_or_else(malformed)?;
    let parsed = PasswordHash::new(phc).map_err(|_| malformed())?;
    let params = Params::try_from(&parsed).map_err(|_| malformed())?;
    let is_known = Algorithm::try_from(parsed.algorithm.as_str()).is_ok()
        && parsed.version.is_some_and(|version| Version::try_from(version).is_ok());
    // Django never writes these two parameters.
    let is_plain = params.keyid().is_empty() && params.data().is_empty();
    if !is_known || !is_plain || parsed.salt.is_none() || parsed.hash.is_none() {
        return Err(malformed());
    }
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
        let (memory, passes) = (params.m_cost(), params.t_cost());
        return Err(too_expensive(&format!("{memory} KiB of memory and {passes} passes")));
    }
    Ok(Scheme::Argon2(phc.to_owned()))
}

/// Parses the parts after the algorithm: an empty part, `2b`, the cost, and the salt with the hash.
fn bcrypt_of<'t>(
    sha256: bool,
    mut parts: impl Iterator<Item = &'t str>,
) -> Result<Scheme, Invalid> {
    let (empty, version) = (parts.next(), parts.next());
    if empty != Some("") || !matches!(version, Some("2a" | "2b" | "2y")) {
        return Err(malformed());
    }
    let cost: u32 = number(parts.next())?;
    let (salt, hash) =
        parts.next().and_then(|both| both.split_at_checked(22)).ok_or_else(malformed)?;
    let [salt, hash] = [salt, hash].map(|part| BCRYPT_BASE64.decode(part).map_err(|_| malformed()));
    let (salt, hash) = (salt?.try_into().map_err(|_| malformed())?, hash?);
    if hash.len() != BCRYPT_HASH || cost < 4 {
        return Err(malformed());
    }
    if cost > MOST_ROUNDS {
        return Err(too_expensive(&format!("2^{cost} rounds")));
    }
    Ok(Scheme::Bcrypt { sha256, cost, salt, hash })
}

fn scrypt_of<'t>(mut parts: impl Iterator<Item = &'t str>) -> Result<Scheme, Invalid> {
    let n: u64 = number(parts.next())?;
    let salt = salt_of(parts.next())?;
    let (r, p): (u32, u32) = (number(parts.next())?, number(parts.next())?);
    let hash = hash_of(parts.next(), 64)?;
    let is_cheap = scrypt_memory(n, r, p).is_some_and(|memory| memory <= MOST_SCRYPT_MEMORY)
        && scrypt_work(n, r, p).is_some_and(|work| work <= MOST_SCRYPT_WORK);
    if !is_cheap {
        return Err(too_expensive(&format!("the parameters {n}, {r} and {p}")));
    }
    scrypt_params(n, r, p).ok_or_else(malformed)?;
    Ok(Scheme::Scrypt { n, r, p, salt, hash })
}

/// Returns the memory that a check needs, in bytes: N blocks of 128·r bytes for the table, p blocks
/// that are mixed, and one working block ([RFC
/// 7914](https://www.rfc-editor.org/rfc/rfc7914#section-5)). Returns `None` on overflow.
fn scrypt_memory(n: u64, r: u32, p: u32) -> Option<u64> {
    n.checked_add(u64::from(p))?.checked_add(1)?.checked_mul(128)?.checked_mul(u64::from(r))
}

/// Returns a number that is proportional to the duration of a check. It covers N steps for each of
/// p blocks of size r, plus PBKDF2 over all blocks. PBKDF2 dominates if N is small. Returns `None`
/// on overflow.
fn scrypt_work(n: u64, r: u32, p: u32) -> Option<u64> {
    n.checked_add(SCRYPT_FRAME)?.checked_mul(u64::from(r))?.checked_mul(u64::from(p))
}

/// Returns scrypt's parameters, or `None` if scrypt doesn't allow them or `n` isn't a power of two.
fn scrypt_params(n: u64, r: u32, p: u32) -> Option<scrypt::Params> {
    let log_n = n.is_power_of_two().then(|| n.ilog2())?;
    scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()
}

fn random(length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

/// Returns a random string of this length without a `$`.
fn random_text(length: usize) -> Result<String> {
    let mut text = BASE64_STANDARD_NO_PAD.encode(random(length)?);
    text.truncate(length);
    Ok(text)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that were created by Django 5.2 with few iterations. The first six are hashes of
    /// `secret123`. The others are hashes of `cafe\u{301} cre\u{300}me 🐕`, which isn't in composed
    /// form.
    const MADE_BY_DJANGO: [&str; 12] = [
        "pbkdf2_sha256$1000$ughDLyFihs0RmEU0WQfF20$B55Uyh15iWuvAB5T76VHBTvC9c0cGCJLwytOjz0W/H4=",
        "pbkdf2_sha1$1000$7PVyXRm5juZJAqhWh0xc2L$7mgkf2JieR3sBfwrqZ6pCP7gK78=",
        "argon2$argon2id$v=19$m=1024,t=1,p=2$dG9KbU5GWVg3cFFlRFp3bzgzZDdwdA$ap7mjGKLCpOGCvzHZvCvN0jsXzxxWWPhWo3nfTU93Lo",
        "bcrypt_sha256$$2b$04$9.4XMg2Fiy4M6W0SWtcB5.Vo3ZHaAOPAC/VM4iNAwzdXkiCE7lv6G",
        "bcrypt$$2b$04$vLmtJqvazpuqwSWVM7YyY.X.aHuwb9ZKeFwq0t8WDcqxh/MAPWOca",
        "scrypt$16$3Bp8WlcHuWDHJfpGKQDw9W$8$5$Exs9IgH/zOA88gKLzHrMvJHinru9qoxggy2YgN9ajgDhgBfv/RiBN24bHFP0te9DyPjOyIKxbMNiZz27Plr7MA==",
        "pbkdf2_sha256$1000$9wCTRPjNRTt2cbzy1pR3zP$Sgu5F/s75+v5cbWZBCbNT5N4Za70JwTg6AXG+xzODts=",
        "pbkdf2_sha1$1000$xQUpIWQ21A3RAi48yzXUF1$jo3rPX3eNlYxq/WoSq9gjeTLON0=",
        "argon2$argon2id$v=19$m=1024,t=1,p=2$ZWxTQ0RYOFI3SnUyRVlaTnlyVDExdg$jx6EWQc5JkgnDO4SPKTk1/G1Z2WjcGzH1iKYqZfsR1k",
        "bcrypt_sha256$$2b$04$FHYZFZ8or/AsTE3vNZakcOlvUxliMCEVYaNCBPwMlSQQYiPjz5Iry",
        "bcrypt$$2b$04$E.08EOQ3LaFRBlFXPP8ApuURR.b5QHJXn.i2bOseg.zy11rwkAC7.",
        "scrypt$16$lUm9uUHcM0ne8ctGUizTZP$8$5$RGKVl7djrmXFr/t+72SW71vnImoZ3QQFbhz0fhGkUsySU30hlB58NnGFCSA3crYviXZtuNfLhWfXrVLhZrsnuA==",
    ];

    fn verifies(hash: &str, password: &str) -> bool {
        DjangoHash::parse(hash).unwrap().verify(password, &mut Vec::new()).unwrap()
    }

    #[test]
    fn hashes_that_django_made_verify_over_the_bytes() {
        let passwords = ["secret123", "cafe\u{301} cre\u{300}me \u{1f415}"];
        for (index, hash) in MADE_BY_DJANGO.into_iter().enumerate() {
            let (right, wrong) = (passwords[index / 6], passwords[1 - index / 6]);
            assert!(verifies(hash, right), "{hash}");
            assert!(!verifies(hash, wrong) && !verifies(hash, ""), "{hash}");
        }
        assert!(!verifies(MADE_BY_DJANGO[6], "caf\u{e9} cr\u{e8}me \u{1f415}"));
    }

    #[test]
    fn decoys_have_the_kind_of_the_hash_and_match_no_password() {
        for hash in MADE_BY_DJANGO {
            let hash = DjangoHash::parse(hash).unwrap();
            let decoy = DjangoHash::parse(&hash.decoy().unwrap()).unwrap();
            assert_eq!(decoy.kind(), hash.kind());
            assert_eq!(decoy.text().len(), hash.text().len());
            assert_ne!(decoy, DjangoHash::parse(&hash.decoy().unwrap()).unwrap());
            assert!(!verifies(decoy.text(), "secret123"));
        }
    }

    #[test]
    fn weak_damaged_and_expensive_hashes_are_refused() {
        let many = |count: &str| MADE_BY_DJANGO[0].replacen("1000", count, 1);
        for (bad, sentence) in [
            ("!8DgFq1Yn2zmjNpTRlsswEQgT7CeoD8RdG5FmZKbR".to_owned(), "no usable password"),
            ("md5$abc$2b351f919b10d94b2c8e832b45957090".into(), "too weak: md5"),
            ("unsalted_sha1$$0000".into(), "too weak: unsalted_sha1"),
            ("2b351f919b10d94b2c8e832b45957090".into(), "no known algorithm"),
            (String::new(), "no known algorithm"),
            (many("2000001"), "2000001 iterations"),
            (many("0"), "damaged"),
            (many("-1"), "damaged"),
            (many("99999999999"), "damaged"),
            (MADE_BY_DJANGO[0].replace("/H4=", ""), "damaged"),
            ("pbkdf2_sha256$1000".into(), "damaged"),
            (MADE_BY_DJANGO[1].replace("sha1", "sha256"), "damaged"),
            (MADE_BY_DJANGO[2].replace("m=1024", "m=200000"), "200000 KiB"),
            (MADE_BY_DJANGO[2].replace("t=1", "t=9"), "9 passes"),
            (MADE_BY_DJANGO[2].replace("argon2id", "argon3"), "damaged"),
            (MADE_BY_DJANGO[2].replace("$v=19", ""), "damaged"),
            (MADE_BY_DJANGO[3].replace("$04$", "$15$"), "2^15 rounds"),
            (MADE_BY_DJANGO[3].replace("$04$", "$31$"), "2^31 rounds"),
            (MADE_BY_DJANGO[3].replace("$2b$", "$1$"), "damaged"),
            (MADE_BY_DJANGO[4].replace("ca", ""), "damaged"),
            (MADE_BY_DJANGO[2].replace("v=19", "v=18"), "damaged"),
            (MADE_BY_DJANGO[2].replace("p=2", "p=2,data=c2VjcmV0"), "damaged"),
            (MADE_BY_DJANGO[0].replace("$1000$", &format!("$1000${}", "x".repeat(500))), "damaged"),
            (MADE_BY_DJANGO[5].replace("$16$", "$15$"), "damaged"),
            (MADE_BY_DJANGO[5].replace("$16$", "$1048576$"), "1048576, 8 and 5"),
            (MADE_BY_DJANGO[5].replace("$8$5$", "$8$4294967295$"), "too expensive"),
        ] {
            let refused = DjangoHash::parse(&bad).map(drop).unwrap_err();
            assert!(refused.sentence().contains(sentence), "{bad}: {refused}");
        }
    }

    #[test]
    fn every_parameter_of_scrypt_counts_towards_its_caps() {
        let parse = |n: u64, r: u32, p: u32| {
            let parameters = |hash: &str| hash.replace("$16$", &format!("${n}$"));
            let hash = parameters(MADE_BY_DJANGO[5]).replace("$8$5$", &format!("${r}${p}$"));
            DjangoHash::parse(&hash).map(drop)
        };
        for (n, r, p) in [
            // Django's own parameters.
            (16_384, 8, 5),
            // The parameters that RFC 7914 uses for a log-in, and OWASP's alternatives.
            (16_384, 8, 1),
            (32_768, 8, 3),
            (65_536, 8, 2),
            (16_384, 8, 16),
            (1024, 8, 256),
            (2, 8, 10_000),
        ] {
            assert_eq!(parse(n, r, p), Ok(()), "{n}, {r}, {p}");
        }
        for (n, r, p) in [
            // With a large p, a check needs 128 MiB, and several seconds for PBKDF2.
            (2, 8, 131_072),
            (2, 8, 65_000),
            (2, 131_072, 8),
            // The table needs 49 MiB, and the other blocks need 24 MiB.
            (4, 100_000, 1),
            (131_072, 8, 1),
            (16_384, 8, 17),
            (u64::MAX, u32::MAX, u32::MAX),
        ] {
            let refused = parse(n, r, p).unwrap_err();
            assert!(refused.sentence().contains("too expensive"), "{n}, {r}, {p}: {refused}");
        }
    }
}
