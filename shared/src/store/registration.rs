//! Creating accounts.

use uuid::Uuid;

use super::addresses::Claim;
use super::quotas::mailed_enough;
use super::schema::{account_key, user_month, user_shard};
use super::{
    Entry, EntryKind, Intervening, Intervention, Letter, NEW, Quota, Session, Store, Transaction,
    Write, from_item, to_item,
};
use crate::clock::{Clock, millis_of};
use crate::user::{Account, Email, Role, Username};
use crate::{Error, Result, Tokens};

/// The data of a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The username.
    pub name: Username,
    /// The e-mail address, which the account claims.
    pub email: Option<Email>,
    /// The hash of the password.
    pub password: String,
    /// The id of the registration's idempotency key.
    pub key: Option<String>,
    /// The role.
    pub role: Role,
    /// The first tokens.
    pub grant: Tokens,
    /// The reason of the grant, for the ledger.
    pub reason: &'static str,
}

/// The outcome of a registration.
#[derive(Clone, Debug)]
pub enum Registered {
    /// The account was created.
    New,
    /// This account has the username already.
    Taken(Box<Account>),
}

impl NewAccount {
    /// The failure if another account has claimed its address.
    fn claimed(&self) -> Error {
        let is_name = self.email.as_ref().is_some_and(|email| email.key() == self.name.key());
        if is_name { Error::UsernameTaken } else { Error::EmailTaken }
    }

    /// The account, with a new id.
    pub fn open(&self, clock: &Clock) -> Account {
        let id = clock.id().to_string();
        // The time in the id, which lists search by.
        let created = millis_of(&id).unwrap_or_else(|| clock.millis());
        Account {
            pk: account_key(self.name.key()),
            name: self.name.shown().to_owned(),
            email: self.email.as_ref().map(|email| email.shown().to_owned()),
            email_verified: false,
            pending_email: None,
            first_name: None,
            last_name: None,
            instructions: None,
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
    /// Creates an account with its first grant, its claim of an address, an e-mail to it, and its
    /// first session, in one transaction: of two registrations with one username or address, one
    /// succeeds. Idempotent.
    ///
    /// # Errors
    /// [`Error::UsernameTaken`] if the username is another account's address,
    /// [`Error::EmailTaken`], and [`Error::TooManyRegistrations`].
    pub async fn register(
        &self,
        new: &NewAccount,
        account: &Account,
        session: Option<&Session>,
        quota: Option<&Quota>,
    ) -> Result<Registered> {
        let now = account.created / 1000;
        let mut writes = self.opening(new, account, &account.id)?;
        if let Some(session) = session {
            let begin = Write::put(&self.tables.tokens, to_item(session)?);
            writes.push(begin.when(NEW).shows_item());
        }
        if let Some(email) = &new.email {
            writes.push(self.first_claim(account, email)?);
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
        let existing = refusals.item(0).map(from_item::<Account>).transpose()?;
        // The account was created before, and only the reply was lost.
        if existing.as_ref().is_some_and(|existing| existing.nonce == account.nonce) {
            return Ok(Registered::New);
        }
        // A network over its limit must not learn which usernames are taken either. A repeated
        // registration under its key isn't another one.
        let same_key =
            existing.as_ref().is_some_and(|existing| new.key.is_some() && new.key == existing.key);
        if let Some(quota) = quota.filter(|_| !same_key && refusals.has(counted)) {
            return Err(quota.exhausted());
        }
        if let Some(existing) = existing {
            return Ok(Registered::Taken(Box::new(existing)));
        }
        let mailed_too_often = new.email.is_some() && refusals.has(mailed);
        if mailed_too_often && !(0..mailed).any(|index| refusals.has(index)) {
            return Err(mailed_enough(now));
        }
        Err(new.claimed())
    }

    /// Creates an account for an administrator, with its grant and its claim of an address. An
    /// invitation also writes the letter with the link that sets the password; otherwise no e-mail
    /// is sent. Idempotent.
    ///
    /// # Errors
    /// [`Error::UsernameTaken`] if the username is another account's address, [`Error::EmailTaken`],
    /// [`Error::InvalidToken`] and [`Error::Forbidden`] if the caller is no longer an administrator.
    pub async fn create_account(
        &self,
        doing: &Intervening<'_>,
        new: &NewAccount,
    ) -> Result<Registered> {
        let account = doing.account;
        let mut writes = self.opening(new, account, &doing.by.account().id)?;
        let claims = writes.len();
        if let Some(email) = &new.email {
            writes.push(self.first_claim(account, email)?);
            if doing.what == Intervention::Invitation {
                let letter = Letter::Reset { address: email.key().to_owned(), invites: true };
                writes.push(self.post(&letter, account.created / 1000)?);
            }
        }
        if account.administers() {
            writes.push(self.note_administrator(&account.id));
        }
        writes.push(self.is_administrator(doing.by.caller()));
        writes.push(self.enter(&doing.row())?);

        let refusals = match self.transact(writes, &account.nonce).await? {
            Transaction::Applied => return Ok(Registered::New),
            Transaction::Refused(refusals) => refusals,
        };
        let existing = refusals.item(0).map(from_item::<Account>).transpose()?;
        // The account was created before, and only the reply was lost.
        if existing.as_ref().is_some_and(|existing| existing.nonce == account.nonce) {
            return Ok(Registered::New);
        }
        doing.by.still(self).await?;
        match existing {
            Some(existing) => Ok(Registered::Taken(Box::new(existing))),
            None if new.email.is_some() && refusals.has(claims) => Err(new.claimed()),
            None => Err(Error::Unavailable("an administrator was one again at once".into())),
        }
    }

    /// The first writes of every new account: itself, and the row of its grant.
    fn opening(&self, new: &NewAccount, account: &Account, actor: &str) -> Result<Vec<Write>> {
        let grant = Entry {
            user_id: account.id.clone(),
            entry_id: account.id.clone(),
            amount: account.granted.signed(),
            kind: EntryKind::Grant,
            reason: new.reason.into(),
            actor: actor.to_owned(),
            chat_id: None,
            units: None,
            act: None,
            intervention: None,
            granted: None,
            time: account.created,
        };
        let open = Write::put(&self.tables.users, to_item(account)?).when(NEW).shows_item();
        Ok(vec![open, self.enter(&grant)?])
    }

    /// Claims the address of a new account, if no account has it.
    fn first_claim(&self, account: &Account, email: &Email) -> Result<Write> {
        let claim = to_item(Claim::of(account, email.key(), false))?;
        Ok(Write::put(&self.tables.users, claim).when(NEW).shows_item())
    }
}
