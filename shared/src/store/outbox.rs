//! The outbox in the table Tokens: what is to be mailed. A request writes a letter in its own
//! transaction and is done; the function `mail` hears of it from the table's stream, makes the
//! link, sends the mail and deletes the letter.
//!
//! So nobody waits for a mail server, no reply tells by its time whether a mail went out, and no
//! link's token is ever at rest: a letter says what the mail is for, and the token is made when it
//! is sent.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::quotas::mailed_enough;
use super::schema::{letter_key, pause_key, pk};
use super::{NEW, Refusals, Store, Transaction, Write, n, to_item};
use crate::idempotency::fingerprint;
use crate::limit::Limit;
use crate::user::{Account, Email, key};
use crate::{Error, Result};

/// How long a letter waits to be sent, in seconds: a day.
const WAITS: u64 = 24 * 3600;

/// How long somebody is sent no further mail, in seconds.
const PAUSE: u64 = 60;

/// What is to be mailed, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letter {
    /// To an address that an account gave for its own: a link that verifies it.
    Verify {
        /// The account's id.
        user_id: String,
        /// The key of the account's name.
        name: String,
        /// The address as it was typed.
        address: String,
        /// The account's epoch.
        auth_epoch: u64,
    },
    /// To the address with this key, if an account has it: a link that resets its password. Whether
    /// there is one, is looked up when it is sent.
    Reset {
        /// The key of the address.
        address: String,
    },
    /// To an account's address: that it is to be another one.
    AddressChanges {
        /// The address that it was.
        address: String,
    },
}

impl Letter {
    /// The one that asks for a proof of `address`.
    pub fn verify(account: &Account, address: &str) -> Self {
        Self::Verify {
            user_id: account.id.clone(),
            name: account.label.clone(),
            address: address.to_owned(),
            auth_epoch: account.auth_epoch,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Posted {
    /// `outbox:<random id>`.
    pk: String,
    letter: Letter,
    /// The second from which it isn't sent any more; DynamoDB deletes it some time after.
    expires_at: u64,
}

/// When somebody was last sent a mail, so that nobody is flooded.
#[derive(Debug, Serialize, Deserialize)]
struct Pause {
    /// `mailed:<account's id, or hash of an address>`.
    pk: String,
    /// The request that began it.
    request: String,
    /// The second at which it is over.
    expires_at: u64,
}

impl Store {
    /// The letter with this key, if it still waits at `now`.
    pub async fn letter(&self, key: &str, now: u64) -> Result<Option<Letter>> {
        let posted: Option<Posted> = self.get(&self.tables.tokens, pk(key)).await?;
        Ok(posted.filter(|posted| posted.expires_at > now).map(|posted| posted.letter))
    }

    /// Takes a letter out of the outbox: it was sent. Taken twice, it is gone all the same.
    pub async fn take_letter(&self, key: &str) -> Result<()> {
        self.send(&Write::delete(&self.tables.tokens, pk(key))).await.map(drop)
    }

    /// Asks for a link that resets the password of whoever has this address; at most one a minute.
    /// It is the same write for an address that nobody has, so that neither its reply nor its
    /// time tells.
    pub async fn post_reset(&self, address: &Email, now: u64) -> Result<()> {
        let request = Uuid::new_v4().to_string();
        let letter = Letter::Reset { address: address.key().to_owned() };
        let writes =
            vec![self.pause(&fingerprint(address.key()), &request, now)?, self.post(&letter, now)?];
        self.transact(writes, &request).await.map(drop)
    }

    /// Asks for another link to the address that this account has not verified yet.
    ///
    /// # Errors
    /// [`Error::NothingToVerify`], and [`Error::TooManyMails`] within a minute of the last one, or
    /// after too many to one address.
    pub async fn post_again(&self, account: &Account, now: u64) -> Result<()> {
        let address = account.unverified().ok_or(Error::NothingToVerify)?;
        let request = Uuid::new_v4().to_string();
        let writes = vec![
            self.pause(&account.id, &request, now)?,
            self.count_mail(&key(address), now),
            self.post(&Letter::verify(account, address), now)?,
        ];
        let Transaction::Refused(refusals) = self.transact(writes, &request).await? else {
            return Ok(());
        };
        pause_allows(&refusals, 0, &request, now)?;
        if refusals.has(1) { Err(mailed_enough(now)) } else { Ok(()) }
    }

    /// The write that puts a letter into the outbox, under a random key.
    pub(super) fn post(&self, letter: &Letter, now: u64) -> Result<Write> {
        let posted = Posted {
            pk: letter_key(&Uuid::new_v4().to_string()),
            letter: letter.clone(),
            expires_at: now + WAITS,
        };
        Ok(Write::put(&self.tables.tokens, to_item(&posted)?).when(NEW).shows_item())
    }

    /// The write that lets `whom` be mailed once, and then not for a minute.
    pub(super) fn pause(&self, whom: &str, request: &str, now: u64) -> Result<Write> {
        let pause =
            Pause { pk: pause_key(whom), request: request.to_owned(), expires_at: now + PAUSE };
        Ok(Write::put(&self.tables.tokens, to_item(&pause)?)
            .when("attribute_not_exists(pk) OR expires_at <= :now")
            .values([(":now", n(now))])
            .shows_item())
    }
}

/// Reads why a transaction was refused whose `index`-th write is a pause: its own copy began it (a
/// lost reply), or another request.
pub(super) fn pause_allows(
    refusals: &Refusals,
    index: usize,
    request: &str,
    now: u64,
) -> Result<()> {
    let Some(standing) = refusals.read::<Pause>(index)? else { return Ok(()) };
    if standing.request == request {
        return Ok(());
    }
    let reset = standing.expires_at.saturating_sub(now).clamp(1, PAUSE);
    Err(Error::TooManyMails(Limit { name: "mails", most: 1, window: Some(PAUSE), left: 0, reset }))
}
