//! Registration.

use uuid::Uuid;

use super::addresses::Claim;
use super::quotas::mailed_enough;
use super::schema::{account_key, user_month, user_shard};
use super::{
    Entry, EntryKind, Letter, NEW, Quota, Session, Store, Transaction, Write, from_item, to_item,
};
use crate::clock::{Clock, millis_of};
use crate::user::{Account, Email, Role, Username};
use crate::{Error, Result, Tokens};

/// What a new account is made of.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: Username,
    /// Its address, which becomes its own too.
    pub email: Option<Email>,
    /// The hash of its password.
    pub password: String,
    /// The id of the idempotency key that it was registered under.
    pub key: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What it is given.
    pub grant: Tokens,
    /// Why, for the ledger.
    pub reason: &'static str,
}

/// What became of a registration.
#[derive(Clone, Debug)]
pub enum Registered {
    /// The account is written.
    New,
    /// Another account has the name: this one.
    Taken(Box<Account>),
}

impl NewAccount {
    /// The account, with an id of its own.
    pub fn open(&self, clock: &Clock) -> Account {
        let id = clock.id().to_string();
        // Of the very moment that the id tells, by which lists find it.
        let created = millis_of(&id).unwrap_or_else(|| clock.millis());
        Account {
            pk: account_key(self.name.key()),
            name: self.name.shown().to_owned(),
            email: self.email.as_ref().map(|email| email.shown().to_owned()),
            email_verified: false,
            pending_email: None,
            first_name: None,
            last_name: None,
            password: self.password.clone(),
            key: self.key.clone(),
            role: self.role,
            active: true,
            tokens: self.grant,
            granted: self.grant,
            spent: Tokens::ZERO,
            reservations: Default::default(),
            closed: Default::default(),
            minutes: Some(Default::default()),
            auth_epoch: 1,
            revoked: Default::default(),
            api_keys: 0,
            keys_from: None,
            created,
            deleted: None,
            nonce: Uuid::new_v4().to_string(),
            month: user_month(&id, created),
            shard: user_shard(&id).to_string(),
            label: self.name.key().to_owned(),
            id,
        }
    }
}

impl Store {
    /// Writes a new account with its first grant, its claim of an address, a letter to it, and its
    /// first session, all or nothing: of two registrations with one name or address exactly one
    /// is written. Sent again, it is the success it was.
    ///
    /// # Errors
    /// [`Error::UsernameTaken`] where the name is another account's address, [`Error::EmailTaken`],
    /// and [`Error::TooManyRegistrations`].
    pub async fn register(
        &self,
        new: &NewAccount,
        account: &Account,
        session: Option<&Session>,
        quota: Option<&Quota>,
    ) -> Result<Registered> {
        let grant = Entry {
            user_id: account.id.clone(),
            entry_id: account.id.clone(),
            amount: account.granted.signed(),
            kind: EntryKind::Grant,
            reason: new.reason.into(),
            actor: account.id.clone(),
            chat_id: None,
            act: None,
            time: account.created,
        };
        let now = account.created / 1000;
        let mut writes = vec![
            Write::put(&self.tables.users, to_item(account)?).when(NEW).shows_item(),
            self.enter(&grant)?,
        ];
        if let Some(session) = session {
            let begin = Write::put(&self.tables.tokens, to_item(session)?);
            writes.push(begin.when(NEW).shows_item());
        }
        if let Some(email) = &new.email {
            let claim = Claim::of(account, email.key(), false);
            let claim = Write::put(&self.tables.users, to_item(&claim)?);
            writes.push(claim.when(NEW).shows_item());
            writes.push(self.post(&Letter::verify(account, email.shown()), now)?);
        }

        let mailed = writes.len();
        if let Some(email) = &new.email {
            writes.push(self.count_mail(email.key(), now));
        }

        let counted = writes.len();
        if let Some(quota) = quota {
            writes.push(self.count_registration(quota));
        }
        if account.administers() {
            writes.push(self.note_administrator(&account.id));
        }

        let refusals = match self.transact(writes, &account.nonce).await? {
            Transaction::Applied => return Ok(Registered::New),
            Transaction::Refused(refusals) => refusals,
        };
        let standing = refusals.item(0).map(from_item::<Account>).transpose()?;
        // This very account stands: only the reply was lost.
        if standing.as_ref().is_some_and(|standing| standing.nonce == account.nonce) {
            return Ok(Registered::New);
        }
        // Who may open no more accounts isn't told which names are taken either. A key's own
        // registration is no further one.
        let same_key =
            standing.as_ref().is_some_and(|standing| new.key.is_some() && new.key == standing.key);
        if let Some(quota) = quota.filter(|_| !same_key && refusals.has(counted)) {
            return Err(quota.exhausted());
        }
        if let Some(standing) = standing {
            return Ok(Registered::Taken(Box::new(standing)));
        }
        let mailed_too_often = new.email.is_some() && refusals.has(mailed);
        if mailed_too_often && !(0..mailed).any(|index| refusals.has(index)) {
            return Err(mailed_enough(now));
        }
        let is_name = new.email.as_ref().is_some_and(|email| email.key() == new.name.key());
        Err(if is_name { Error::UsernameTaken } else { Error::EmailTaken })
    }
}
