//! E-mailed links, stored in the Tokens table under the hashes of their link tokens. The
//! transaction that uses a link also marks it as used, so that each link works only once. The mark
//! contains the request's id, so that a retried request recognizes its own mark.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::in_words;
use crate::store::schema::{link_pk, pk};
use crate::store::{NEW, Refusals, Result, Store, StoreError, Write, n, s, to_item};
use crate::values::limit::{DAY, HOUR};
use crate::values::{Account, LinkToken};

/// How long an invitation link is valid, in seconds. The link sets the first password of an account
/// that an administrator has created.
const INVITES: u64 = 7 * DAY;

/// The purpose of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Verifies an address.
    Verify,
    /// Resets a password.
    Reset,
    /// A purpose that a later release has added. The link is treated as invalid.
    #[serde(other)]
    Other,
}

impl Purpose {
    /// Returns how long a link with this purpose is valid, in seconds.
    pub fn life(self) -> u64 {
        match self {
            Self::Verify => 2 * DAY,
            Self::Reset => HOUR,
            Self::Other => 0,
        }
    }
}

/// An e-mailed link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `link:<hash of the token>`.
    pk: String,
    /// The link's purpose.
    pub purpose: Purpose,
    /// The account's id.
    pub user_id: String,
    /// The key form of the account's username.
    pub name: String,
    /// The address to which the link was sent.
    pub address: String,
    /// The account's epoch when the link was created. Changing the password raises the epoch, which
    /// invalidates every link.
    pub auth_epoch: u64,
    /// The Unix time at which the link expires. DynamoDB deletes the expired link some time later.
    expires_at: u64,
    /// The id of the request that used the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<String>,
}

impl Link {
    /// Creates a link. `name` is the key form of the account's username.
    pub fn new(
        token: &LinkToken,
        purpose: Purpose,
        user_id: &str,
        name: &str,
        address: &str,
        auth_epoch: u64,
        now: u64,
    ) -> Self {
        Self {
            pk: link_pk(&token.hash()),
            purpose,
            user_id: user_id.to_owned(),
            name: name.to_owned(),
            address: address.to_owned(),
            auth_epoch,
            expires_at: now + purpose.life(),
            used: None,
        }
    }

    /// Returns the same link with the longer validity of an invitation.
    pub fn inviting(self, now: u64) -> Self {
        Self { expires_at: now + INVITES, ..self }
    }

    /// Returns the link's remaining validity at the Unix time `now`, in words.
    pub fn life_in_words(&self, now: u64) -> String {
        in_words(self.expires_at.saturating_sub(now))
    }

    /// Returns the id of the request that used the link.
    pub(in crate::store) fn used_by(&self) -> Option<&str> {
        self.used.as_deref()
    }

    /// Returns the account, if it accepts the link.
    ///
    /// # Errors
    /// [`Error::InvalidLink`] if the account doesn't accept the link.
    pub(in crate::store) fn admits(&self, account: Option<Account>) -> Result<Account> {
        let same = |account: &Account| {
            account.id == self.user_id && account.active && account.auth_epoch == self.auth_epoch
        };
        account.filter(same).ok_or(StoreError::Refused(Error::InvalidLink))
    }
}

impl Store {
    /// Stores a link. The link's pk is unique, because it is the hash of a random link token.
    pub async fn put_link(&self, link: &Link) -> Result<()> {
        let put = Write::put(&self.tables.tokens, to_item(link)?).condition(NEW);
        self.send(&put).await.map(drop)
    }

    /// Returns the link that belongs to this token.
    ///
    /// # Errors
    /// [`Error::InvalidLink`] unless the link has this purpose, is unused, and hasn't expired at
    /// `now`.
    pub async fn link(&self, token: &LinkToken, purpose: Purpose, now: u64) -> Result<Link> {
        let link: Option<Link> = self.get(&self.tables.tokens, pk(link_pk(&token.hash()))).await?;
        link.filter(|link| link.purpose == purpose && link.used.is_none() && link.expires_at > now)
            .ok_or(StoreError::Refused(Error::InvalidLink))
    }

    /// A write that marks a link as used. The write must be the first in its transaction.
    pub(in crate::store) fn mark_used(&self, link: &Link, request: &str, now: u64) -> Write {
        Write::update(&self.tables.tokens, pk(&link.pk), "SET used = :request")
            .condition("user_id = :user AND attribute_not_exists(used) AND expires_at > :now")
            .values([(":user", s(&link.user_id)), (":now", n(now)), (":request", s(request))])
            .shows_item()
    }
}

/// Returns true if an earlier copy of this request has used the link, and only the reply was lost.
pub(in crate::store) fn was_used_by(refusals: &Refusals, request: &str) -> Result<bool> {
    let link: Option<Link> = refusals.read(0)?;
    Ok(link.is_some_and(|link| link.used.as_deref() == Some(request)))
}
