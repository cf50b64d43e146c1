//! Voucher codes, which users exchange for credits.
//!
//! A code consists of 120 random bits, so an unsalted hash of it is safe in the store ([ASVS
//! 6.5.2](https://github.com/OWASP/ASVS/blob/v5.0.0/5.0/en/0x15-V6-Authentication.md)). Codes are
//! written in [Crockford's Base32](https://www.crockford.com/base32.html). The check symbol detects
//! most typing mistakes before the store is read.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::limit::HOUR;
use super::{Invalid, Limit};

/// How many wrong codes an account may send per hour.
pub(crate) const GUESSES_AN_HOUR: u32 = 10;

/// How many symbols precede the check symbol.
const SYMBOLS: usize = 24;

/// The symbols of Base32. A check symbol could also be one of five further characters. Codes with
/// such a check symbol aren't used, because these characters are hard to read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The modulus of the check symbol.
const MODULUS: u128 = 37;

/// How many symbols form a group in a written code.
const GROUP: usize = 5;

/// The code of a voucher.
#[derive(Clone, PartialEq, Eq)]
pub struct VoucherCode(String);

impl fmt::Debug for VoucherCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherCode(redacted)")
    }
}

impl VoucherCode {
    /// Creates a random code.
    ///
    /// # Errors
    /// Fails if the operating system can't provide random bytes.
    pub fn random() -> Result<Self, Unspecified> {
        loop {
            let mut bytes = [0; 16];
            rand::fill(&mut bytes)?;
            if let Some(code) = Self::from_number(u128::from_be_bytes(bytes) >> 8) {
                return Ok(code);
            }
        }
    }

    /// Creates this many random codes.
    ///
    /// # Errors
    /// Returns the same errors as [`VoucherCode::random`].
    pub fn several(count: u32) -> Result<Vec<Self>, Unspecified> {
        (0..count).map(|_| Self::random()).collect()
    }

    /// Returns the code for a 120-bit number. `None` if the check symbol isn't in the alphabet.
    fn from_number(number: u128) -> Option<Self> {
        let symbol = |value: u128| {
            let index = usize::try_from(value).ok()?;
            ALPHABET.get(index).copied().map(char::from)
        };
        let symbols = (0..SYMBOLS).rev().map(|place| symbol(number >> (5 * place) & 31));
        symbols.chain([symbol(number % MODULUS)]).collect::<Option<String>>().map(Self)
    }

    /// Parses a code that a person has typed, in upper or lower case, with or without hyphens and
    /// spaces. The letters O, I and L count as the digits that they look like.
    ///
    /// # Errors
    /// Fails if `text` isn't a code.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let symbols = text.chars().filter(|symbol| !symbol.is_whitespace() && *symbol != '-');
        let symbols = symbols.map(|symbol| match symbol.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            symbol => symbol,
        });
        // Don't read the rest of a long string, because it can't be a code.
        let typed: String = symbols.take(SYMBOLS + 2).collect();
        let value = |symbol: char| {
            let index = ALPHABET.iter().position(|known| char::from(*known) == symbol)?;
            u128::try_from(index).ok()
        };
        let number = typed
            .chars()
            .take(SYMBOLS)
            .try_fold(0, |number: u128, symbol| Some(number << 5 | value(symbol)?));
        let code = number.and_then(Self::from_number).filter(|code| code.0 == typed);
        code.ok_or_else(|| "This isn't a voucher's code. Check it for typing mistakes.".into())
    }

    /// Returns the code in groups, separated by hyphens.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, symbol) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        text
    }

    /// Returns the code's hash. The voucher is stored under this hash.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl Limit {
    /// Returns the limit on the number of wrong voucher codes per hour.
    pub(crate) fn voucher_codes(most: u32, reset: u64) -> Self {
        Self::used_up("voucher-codes", most, HOUR, reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_codes_are_read_generously() {
        for _ in 0..100 {
            let code = VoucherCode::random().unwrap();
            let text = code.text();
            assert_eq!((text.len(), format!("{code:?}").contains(&text)), (29, false));
            let typed = [
                text.to_lowercase(),
                text.replace('-', ""),
                format!("  {} ", text.replace('-', " ")),
                text.replace('0', "o").replace('1', "l"),
            ];
            for typed in typed {
                assert_eq!(VoucherCode::parse(&typed), Ok(code.clone()), "{typed}");
            }
        }
    }

    #[test]
    fn single_mistakes_and_swaps_are_found() {
        let code = VoucherCode::random().unwrap().0;
        for place in 0..=SYMBOLS {
            for symbol in ALPHABET {
                let mut typed: Vec<char> = code.chars().collect();
                typed[place] = char::from(*symbol);
                let typed: String = typed.into_iter().collect();
                assert_eq!(VoucherCode::parse(&typed).is_ok(), typed == code, "{typed}");
            }
        }
        for place in 1..SYMBOLS {
            let mut typed: Vec<char> = code.chars().collect();
            typed.swap(place - 1, place);
            let typed: String = typed.into_iter().collect();
            assert_eq!(VoucherCode::parse(&typed).is_ok(), typed == code, "{typed}");
        }
        for bad in ["", "-", &code[1..], &format!("{code}0"), &"x".repeat(1 << 20), "Ünïcödé"] {
            let refused = VoucherCode::parse(bad).unwrap_err();
            assert!(refused.sentence().contains("typing mistakes"), "{bad:.40}");
        }
    }
}
