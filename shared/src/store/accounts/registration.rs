//! Account creation.

use uuid::Uuid;

use crate::clock::{Clock, id_at, millis_of};
use crate::store::accounts::addresses::Claim;
use crate::store::requests::quotas::mailed_enough;
use crate::store::schema::{account_pk, user_month, user_shard};
use crate::store::{
    NEW, OutgoingEmail, PlannedIntervention, Quota, Result, Store, StoreError, Transaction, Write,
    from_item, to_item,
};
use crate::values::idempotency::fingerprint;
use crate::values::{
    Account, AdminAct, Email, Entry, Intervention, Role, STANDING, Session, Username,
};
use crate::{Credits, Error};

/// The data of a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The username.
    pub name: Username,
    /// The e-mail address that the account claims.
    pub email: Option<Email>,
    /// The hash of the password.
    pub password: String,
    /// The id of the registration's idempotency key.
    pub key: Option<String>,
    /// The role.
    pub role: Role,
    /// The credits of the first grant.
    pub grant: Credits,
    /// The reason for the grant, which the ledger records.
    pub reason: &'static str,
}

/// The outcome of the transaction that creates an account.
enum OpenOutcome {
    /// The account was created.
    Done,
    /// The username is taken by this account.
    Taken(Box<Account>),
    /// Another account claims the address.
    Claimed(Claim),
}

/// The outcome of a registration.
#[derive(Clone, Debug)]
pub enum RegisterOutcome {
    /// The account was created.
    New,
    /// The account was created. Its address is pending, because another account has claimed the
    /// address but not verified it.
    Pending(Box<Account>),
    /// The username is taken by this account.
    Taken(Box<Account>),
}

impl NewAccount {
    /// Returns the error to report if another account claims the address.
    fn claimed(&self) -> StoreError {
        let is_name = self.email.as_ref().is_some_and(|email| email.key() == self.name.key());
        if is_name {
            StoreError::Refused(Error::UsernameTaken)
        } else {
            StoreError::Refused(Error::EmailTaken)
        }
    }

    /// Builds the account with a new id.
    pub fn open(&self, clock: &Clock) -> Account {
        self.open_as(clock.id(), nonce(Uuid::new_v4().as_bytes()))
    }

    /// Builds the account with this id, a UUIDv7, and this [nonce](Account::nonce).
    pub fn open_as(&self, id: Uuid, nonce: String) -> Account {
        let id = id.to_string();
        // Take the time from the id, because lists are searched by id.
        let created = millis_of(&id).unwrap_or_default();
        Account {
            pk: account_pk(self.name.key()),
            name: self.name.shown().to_owned(),
            email: self.email.as_ref().map(|email| email.shown().to_owned()),
            email_verified: false,
            pending_email: None,
            first_name: None,
            last_name: None,
            instructions: None,
            password: self.password.clone(),
            imported: None,
            key: self.key.clone(),
            home: None,
            role: self.role.clone(),
            active: true,
            tokens: self.grant,
            granted: self.grant,
            spent: Credits::ZERO,
            owed: None,
            allowance: None,
            alerted: None,
            reservations: Default::default(),
            closed: Default::default(),
            minutes: Some(Default::default()),
            purses: None,
            free_work: None,
            auth_epoch: 1,
            revoked: Default::default(),
            api_keys: 0,
            keys_from: None,
            created,
            deleted: None,
            nonce,
            month: user_month(&id, created),
            shard: user_shard(&id).to_string(),
            label: self.name.key().to_owned(),
            id,
        }
    }
}

/// Returns a hash of random or secret bytes. It is only 22 characters long, because it makes every
/// write to the account larger.
pub fn nonce(secret: &[u8]) -> String {
    let mut nonce = fingerprint(secret);
    nonce.truncate(22);
    nonce
}

impl Store {
    /// Creates an account in one transaction, which also writes its first grant, its claim to an
    /// address, an e-mail to that address, and its first session. If two registrations use the same
    /// username, only one of them succeeds. If another account has claimed the address but not
    /// verified it, the registration still succeeds: the address is pending, and goes to the first
    /// account that verifies it. If `session` is `None`, as in operator commands, the registration
    /// fails when another account claims the address. Idempotent.
    ///
    /// # Errors
    /// [`Error::EmailTaken`] if another account has verified the address, or
    /// [`Error::UsernameTaken`] if this address is also the new account's username.
    /// [`Error::TooManyRegistrations`] after too many registrations from the network, and
    /// [`Error::TooManyMails`] after too many e-mails to the address.
    pub async fn register(
        &self,
        new: &NewAccount,
        account: &Account,
        session: Option<&Session>,
        quota: Option<&Quota>,
    ) -> Result<RegisterOutcome> {
        match self.open(new, account, session, quota).await? {
            OpenOutcome::Done => Ok(RegisterOutcome::New),
            OpenOutcome::Taken(existing) => Ok(RegisterOutcome::Taken(existing)),
            OpenOutcome::Claimed(claim) if claim.verified || session.is_none() => {
                Err(new.claimed())
            }
            OpenOutcome::Claimed(_) => {
                let pending = Account {
                    email: None,
                    pending_email: account.email.clone(),
                    ..account.clone()
                };
                match self.open(new, &pending, session, quota).await? {
                    OpenOutcome::Done => Ok(RegisterOutcome::Pending(Box::new(pending))),
                    OpenOutcome::Taken(existing) => Ok(RegisterOutcome::Taken(existing)),
                    OpenOutcome::Claimed(_) => Err(new.claimed()),
                }
            }
        }
    }

    /// Creates an account in one transaction. Claims the account's address, unless it is pending.
    async fn open(
        &self,
        new: &NewAccount,
        account: &Account,
        session: Option<&Session>,
        quota: Option<&Quota>,
    ) -> Result<OpenOutcome> {
        let now = account.created / 1000;
        let mut writes = self.opening(new, account, &account.id)?;
        if let Some(session) = session {
            let begin = Write::put(&self.tables.tokens, to_item(session)?);
            writes.push(begin.condition(NEW).shows_item());
        }
        let claimed = writes.len();
        if let Some(email) = &new.email {
            if account.pending_email.is_none() {
                writes.push(self.first_claim(account, email)?);
            }
            writes.push(self.post(&OutgoingEmail::verify(account, email.shown()), now)?);
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
            writes.push(self.put_act(&self.creation(new, account))?);
        }

        // If the address is pending, the transaction differs from the first one, so it needs a new
        // request token.
        let token = match account.pending_email {
            None => account.nonce.clone(),
            Some(_) => Uuid::new_v4().to_string(),
        };
        let refusals = match self.transact(writes, &token).await? {
            Transaction::Applied => return Ok(OpenOutcome::Done),
            Transaction::Refused(refusals) => refusals,
        };
        let existing = refusals.item(0).map(from_item::<Account>).transpose()?;
        // An earlier copy created the account, but the reply was lost.
        if existing.as_ref().is_some_and(|existing| existing.nonce == account.nonce) {
            return Ok(OpenOutcome::Done);
        }
        // If the network has reached its limit, don't reveal whether the username is taken. A retry
        // with the same idempotency key isn't counted again.
        let same_key =
            existing.as_ref().is_some_and(|existing| new.key.is_some() && new.key == existing.key);
        if let Some(quota) = quota.filter(|_| !same_key && refusals.has(counted)) {
            return Err(quota.exhausted());
        }
        if let Some(existing) = existing {
            return Ok(OpenOutcome::Taken(Box::new(existing)));
        }
        let mailed_too_often = new.email.is_some() && refusals.has(mailed);
        if mailed_too_often && !(0..mailed).any(|index| refusals.has(index)) {
            return Err(mailed_enough(now));
        }
        if account.pending_email.is_none()
            && let Some(claim) = refusals.read(claimed)?
        {
            return Ok(OpenOutcome::Claimed(claim));
        }
        Err(new.claimed())
    }

    /// Creates an account on behalf of an administrator, with its grant and its claim to an
    /// address. For an invitation, also writes an outgoing e-mail with a link that sets the
    /// password; otherwise no e-mail is sent. Idempotent.
    ///
    /// # Errors
    /// [`Error::UsernameTaken`] if the username is the address of another account,
    /// [`Error::EmailTaken`] if another account claims the address, [`StoreError::NotAccepted`] and
    /// [`Error::Forbidden`] if the caller is no longer an administrator.
    pub async fn create_account(
        &self,
        doing: &PlannedIntervention<'_>,
        new: &NewAccount,
    ) -> Result<RegisterOutcome> {
        let account = doing.account;
        let mut writes = self.opening(new, account, &doing.by.account().id)?;
        let claims = writes.len();
        if let Some(email) = &new.email {
            writes.push(self.first_claim(account, email)?);
            if doing.what == Intervention::Invitation {
                let invitation =
                    OutgoingEmail::Reset { address: email.key().to_owned(), invites: true };
                writes.push(self.post(&invitation, account.created / 1000)?);
            }
        }
        if account.administers() {
            writes.push(self.note_administrator(&account.id));
        }
        writes.push(self.is_administrator(doing.by.caller()));
        writes.push(self.put_act(&doing.act())?);

        let refusals = match self.transact(writes, &account.nonce).await? {
            Transaction::Applied => return Ok(RegisterOutcome::New),
            Transaction::Refused(refusals) => refusals,
        };
        let existing = refusals.item(0).map(from_item::<Account>).transpose()?;
        // An earlier copy created the account, but the reply was lost.
        if existing.as_ref().is_some_and(|existing| existing.nonce == account.nonce) {
            return Ok(RegisterOutcome::New);
        }
        self.administrator(doing.by.caller()).await?;
        match existing {
            Some(existing) => Ok(RegisterOutcome::Taken(Box::new(existing))),
            None if new.email.is_some() && refusals.has(claims) => Err(new.claimed()),
            None => Err(StoreError::Unavailable(
                "the caller's administrator role changed during the request".into(),
            )),
        }
    }

    /// Returns the action that records the creation of an administrator by a command.
    fn creation(&self, new: &NewAccount, account: &Account) -> AdminAct {
        let what = Intervention::Creation;
        AdminAct {
            user_id: account.id.clone(),
            id: id_at(account.created).to_string(),
            kind: STANDING.into(),
            act: Some(what.nearest(&account.role)),
            intervention: Some(what),
            reason: new.reason.into(),
            actor: self.operator().into(),
            granted: Some(account.granted),
            time: account.created,
        }
    }

    /// Returns the writes that every new account needs: the account itself, and the ledger entry
    /// for its first grant.
    fn opening(&self, new: &NewAccount, account: &Account, actor: &str) -> Result<Vec<Write>> {
        let grant = Entry::first_grant(account, account.granted.signed(), new.reason, actor);
        let open = Write::put(&self.tables.users, to_item(account)?).condition(NEW).shows_item();
        Ok(vec![open, self.put_entry(&grant)?])
    }

    /// Claims the address for a new account, unless another account has already claimed it.
    fn first_claim(&self, account: &Account, email: &Email) -> Result<Write> {
        let claim = to_item(Claim::new(account, email.key(), false))?;
        Ok(Write::put(&self.tables.users, claim).condition(NEW).shows_item())
    }
}
