//! Page cursors. They are opaque, bound to one user and one list, can't be forged, and don't need
//! an additional secret.
//!
//! A cursor consists of a position and a MAC. The MAC's key is the account's random nonce, which is
//! never sent to clients. Every endpoint with a list reads the account anyway, so checking a cursor
//! doesn't need an additional read. The endpoint may read the page in parallel, because every
//! position is within the data that the caller may see.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::values::Account;
use crate::{Error, Result};

const MAC_LENGTH: usize = 16;

/// The maximum length of a position in a list, in bytes. The longest positions contain the key form
/// of an e-mail address.
const POSITION_LENGTH: usize = 1024;

/// A cursor from a client. [`UnverifiedCursor::prove`] verifies that [`seal`] created it.
#[derive(Debug)]
pub struct UnverifiedCursor {
    position: String,
    mac: Vec<u8>,
}

/// Returns the cursor for `position` in the list `scope` of this account.
pub fn seal(account: &Account, scope: &str, position: &str) -> String {
    let mut bytes = position.as_bytes().to_vec();
    bytes.extend_from_slice(
        mac(account, scope, position).as_ref().get(..MAC_LENGTH).unwrap_or_default(),
    );
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl UnverifiedCursor {
    /// Splits a cursor into a position and a MAC.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::InvalidCursor)?;
        if bytes.len() <= MAC_LENGTH || bytes.len() > MAC_LENGTH + POSITION_LENGTH {
            return Err(Error::InvalidCursor);
        }
        let mac = bytes.split_off(bytes.len() - MAC_LENGTH);
        let position = String::from_utf8(bytes).map_err(|_| Error::InvalidCursor)?;
        Ok(Self { position, mac })
    }

    /// Returns the position at which the page begins. Until [`prove`](Self::prove) succeeds, the
    /// position may be forged.
    pub fn position(&self) -> &str {
        &self.position
    }

    /// Returns an error unless [`seal`] created this cursor for this account and list.
    pub fn prove(&self, account: &Account, scope: &str) -> Result<()> {
        let expected = mac(account, scope, &self.position);
        let expected = expected.as_ref().get(..MAC_LENGTH).unwrap_or_default();
        aws_lc_rs::constant_time::verify_slices_are_equal(expected, &self.mac)
            .map_err(|_| Error::InvalidCursor)
    }
}

fn mac(account: &Account, scope: &str, position: &str) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, account.nonce.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [account.id.as_str(), scope, position] {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign()
}
