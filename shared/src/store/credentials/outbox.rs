//! The outbox: e-mails in the Tokens table that wait to be sent. A request writes an outgoing
//! e-mail in the same transaction as its other changes. The `mail` function reads the item from the
//! table's stream, creates the link, sends the e-mail and deletes the item.
//!
//! Requests therefore don't wait for a mail server, and the timing of a reply doesn't reveal
//! whether an e-mail was sent. The store never contains a link token: an outgoing e-mail contains
//! only the purpose of its link, and the function creates the link token when it sends the e-mail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::store::requests::quotas::mailed_enough;
use crate::store::schema::{outbox_pk, pause_pk, pk};
use crate::store::{
    NEW, PlannedIntervention, Refusals, Result, Store, StoreError, Transaction, Write, n, to_item,
};
use crate::values::idempotency::fingerprint;
use crate::values::limit::MAIL_PAUSE;
use crate::values::text::key;
use crate::values::{Account, Email, Limit};

/// How long an outgoing e-mail may wait to be sent, in seconds: a day.
const WAITS: u64 = 24 * 3600;

/// An e-mail to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutgoingEmail {
    /// An e-mail with a link that verifies the address to which it is sent.
    Verify {
        /// The account's id.
        user_id: String,
        /// The key form of the account's username.
        name: String,
        /// The address as the user typed it.
        address: String,
        /// The account's epoch when the e-mail was written.
        auth_epoch: u64,
    },
    /// An e-mail with a link that resets the password of the account with this address. The account
    /// is looked up when the e-mail is sent.
    Reset {
        /// The key form of the address.
        address: String,
        /// True if the link sets the first password of an account that an administrator has
        /// created. Earlier releases ignore this field and send a password-reset e-mail.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        invites: bool,
    },
    /// A notice that an account's balance is low.
    LowBalance {
        /// The account's id.
        user_id: String,
        /// The key form of the account's username.
        name: String,
    },
    /// A notice to an administrator that a bank disputes a payment.
    Disputed {
        /// The id of the administrator's account.
        user_id: String,
        /// The key form of the administrator's username.
        name: String,
        /// The order's id.
        order: String,
        /// The order's price in the currency's smallest unit.
        price: u64,
        /// The currency, as three uppercase letters.
        currency: String,
    },
    /// A notice to an account's old address that it was replaced.
    AddressChanges {
        /// The replaced address.
        address: String,
    },
}

impl OutgoingEmail {
    /// Returns the e-mail with the link that verifies `address`.
    pub fn verify(account: &Account, address: &str) -> Self {
        Self::Verify {
            user_id: account.id.clone(),
            name: account.label.clone(),
            address: address.to_owned(),
            auth_epoch: account.auth_epoch,
        }
    }

    /// Returns the low-balance notice for the account with this id and name.
    pub(in crate::store) fn low_balance(user_id: &str, name: &str) -> Self {
        Self::LowBalance { user_id: user_id.to_owned(), name: name.to_owned() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct OutboxItem {
    /// `outbox:<random id>`.
    pk: String,
    /// The e-mail, stored under the attribute name that earlier releases read.
    #[serde(rename = "letter")]
    email: OutgoingEmail,
    /// The Unix time after which the e-mail is no longer sent. DynamoDB deletes the expired item
    /// some time later.
    expires_at: u64,
}

/// A pause after an e-mail, which protects the recipient from a flood of e-mails.
#[derive(Debug, Serialize, Deserialize)]
struct Pause {
    /// `mailed:<account's id, or hash of an address>`.
    pk: String,
    /// The id of the request that sent the e-mail and began the pause.
    request: String,
    /// The Unix time at which the pause ends.
    expires_at: u64,
}

impl Store {
    /// Returns an outgoing e-mail. `None` if the e-mail was already sent, or is too old at `now`.
    pub async fn outgoing_email(&self, key: &str, now: u64) -> Result<Option<OutgoingEmail>> {
        let posted: Option<OutboxItem> = self.get(&self.tables.tokens, pk(key)).await?;
        Ok(posted.filter(|posted| posted.expires_at > now).map(|posted| posted.email))
    }

    /// Deletes an outgoing e-mail that was sent. Idempotent.
    pub async fn take_from_outbox(&self, key: &str) -> Result<()> {
        self.send(&Write::delete(&self.tables.tokens, pk(key))).await.map(drop)
    }

    /// Writes an outgoing e-mail with a link that resets the password of the account with this
    /// address. An address gets at most one such e-mail a minute, and a limited number per hour and
    /// per day. The write is the same whether or not an account has the address, so neither the
    /// reply nor its timing reveals whether such an account exists.
    pub async fn post_reset(&self, address: &Email, now: u64) -> Result<()> {
        let request = Uuid::new_v4().to_string();
        let email = OutgoingEmail::Reset { address: address.key().to_owned(), invites: false };
        let mut writes =
            vec![self.pause(&fingerprint(address.key()), &request, now)?, self.post(&email, now)?];
        writes.extend(self.count_reset(address.key(), now));
        self.transact(writes, &request).await.map(drop)
    }

    /// Writes an outgoing e-mail with a link that resets a user's password, on behalf of an
    /// administrator. Writes nothing if such an e-mail to the address was written less than a
    /// minute ago.
    ///
    /// # Errors
    /// [`Error::NoAddress`], and the errors of [`Store::end_sessions_of_user`].
    pub async fn post_reset_of_user(
        &self,
        doing: &PlannedIntervention<'_>,
        now: u64,
    ) -> Result<()> {
        let address = doing.account.email.as_deref().filter(|_| doing.account.active);
        let address = key(address.ok_or(StoreError::Refused(Error::NoAddress))?);
        let pause = self.pause(&fingerprint(&address), &doing.id, now)?;
        let email = self.post(&OutgoingEmail::Reset { address, invites: false }, now)?;
        self.intervene(doing, vec![pause, email]).await.map(drop)
    }

    /// Writes another outgoing e-mail with a link that verifies the account's unverified address.
    ///
    /// # Errors
    /// [`Error::NothingToVerify`], and [`Error::TooManyMails`] if the last e-mail was sent less
    /// than a minute ago or if the address has received too many e-mails.
    pub async fn post_again(&self, account: &Account, now: u64) -> Result<()> {
        let address = account.unverified().ok_or(StoreError::Refused(Error::NothingToVerify))?;
        let request = Uuid::new_v4().to_string();
        let writes = vec![
            self.pause(&account.id, &request, now)?,
            self.count_mail(&key(address), now),
            self.post(&OutgoingEmail::verify(account, address), now)?,
        ];
        let Transaction::Refused(refusals) = self.transact(writes, &request).await? else {
            return Ok(());
        };
        pause_allows(&refusals, 0, &request, now)?;
        if refusals.has(1) { Err(mailed_enough(now)) } else { Ok(()) }
    }

    /// A write that adds an outgoing e-mail under a random pk.
    pub(in crate::store) fn post(&self, email: &OutgoingEmail, now: u64) -> Result<Write> {
        let posted = OutboxItem {
            pk: outbox_pk(&Uuid::new_v4().to_string()),
            email: email.clone(),
            expires_at: now + WAITS,
        };
        Ok(Write::put(&self.tables.tokens, to_item(&posted)?).condition(NEW).shows_item())
    }

    /// A write that allows one e-mail to `whom`, and refuses any others for a minute. `whom` is an
    /// account's id or the hash of an address.
    pub(in crate::store) fn pause(&self, whom: &str, request: &str, now: u64) -> Result<Write> {
        let pause =
            Pause { pk: pause_pk(whom), request: request.to_owned(), expires_at: now + MAIL_PAUSE };
        Ok(Write::put(&self.tables.tokens, to_item(&pause)?)
            .condition("attribute_not_exists(pk) OR expires_at <= :now")
            .values([(":now", n(now))])
            .shows_item())
    }
}

/// Checks whether a transaction was refused because of the pause, which is the write at `index`.
///
/// # Errors
/// [`Error::TooManyMails`], unless an earlier copy of this request began the pause and the reply
/// was lost.
pub(in crate::store) fn pause_allows(
    refusals: &Refusals,
    index: usize,
    request: &str,
    now: u64,
) -> Result<()> {
    let Some(pause) = refusals.read::<Pause>(index)? else { return Ok(()) };
    if pause.request == request {
        return Ok(());
    }
    let reset = pause.expires_at.saturating_sub(now).clamp(1, MAIL_PAUSE);
    Err(StoreError::Refused(Error::TooManyMails(Limit::mail_pause(reset))))
}
