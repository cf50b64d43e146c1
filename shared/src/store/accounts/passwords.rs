//! Password changes. Each change raises the account's epoch, which ends every session and link, and
//! removes a pending address.

use uuid::Uuid;

use crate::store::accounts::addresses::{BEGIN_EPOCH, beginning_epoch};
use crate::store::credentials::links::{Link, was_used_by};
use crate::store::schema::{account_pk, claim_pk, pk};
use crate::store::{
    NEW, Result, Store, StoreError, Transaction, Write, flag, n, no_entries, s, to_item,
};
use crate::values::{AccessToken, Account, Session, text};

/// The condition that the account is active and still has the epoch that was read.
const UNCHANGED: &str = "id = :id AND active = :true AND auth_epoch = :seen";

/// The assignment that replaces the password's hash with a different hash of the same password.
const STRENGTHEN: &str = "SET #password = :strong REMOVE imported";

/// The assignments that change an account's password but keep its API keys.
const KEEPS_KEYS: &str =
    "SET #password = :hash, auth_epoch = :next, revoked = :none REMOVE pending_email, imported";

impl Store {
    /// Replaces the password's hash and begins `session`, which must have the account's next epoch.
    /// `account` is the caller's account, and must be freshly read. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the password has changed or this session has ended since the
    /// account was read.
    pub async fn change_password(
        &self,
        caller: &AccessToken,
        account: &Account,
        hash: &str,
        session: &Session,
    ) -> Result<()> {
        let update = self
            .new_password(&account.label, &account.id, account.auth_epoch, hash, KEEPS_KEYS)
            .condition(format!("{UNCHANGED} AND attribute_not_exists(revoked.#session)"))
            .names([("#session", &caller.session)]);
        let begin = Write::put(&self.tables.tokens, to_item(session)?).condition(NEW).shows_item();
        let refusals = match self.transact(vec![update, begin], &Uuid::new_v4().to_string()).await?
        {
            Transaction::Applied => return Ok(()),
            Transaction::Refused(refusals) => refusals,
        };
        let current: Option<Account> = refusals.read(0)?;
        // Every hash has a different salt. If the account has exactly this hash, the change was
        // applied but the reply was lost.
        if current.is_some_and(|current| current.password == hash) {
            Ok(())
        } else {
            Err(StoreError::NotAccepted)
        }
    }

    /// Replaces the password's hash for a client that has an e-mailed link. The link proves that
    /// the client can read e-mails to the address, so the same transaction verifies the address.
    /// All sessions and links become invalid. If the address wasn't verified before, API keys
    /// become invalid too, because someone else may have created them.
    ///
    /// # Errors
    /// [`Error::InvalidLink`](crate::Error::InvalidLink) if the link was used, the account doesn't
    /// accept the link, or the account no longer claims the link's address.
    pub async fn reset_password(&self, link: &Link, hash: &str, now: u64) -> Result<()> {
        let request = Uuid::new_v4().to_string();
        let address = pk(claim_pk(&text::key(&link.address)));
        let claim = Write::update(&self.tables.users, address, "SET verified = :true")
            .condition("id = :id")
            .values([(":true", flag(true)), (":id", s(&link.user_id))]);
        // First assume that the address is already verified. If it isn't, the refusal returns the
        // account.
        let mut unproven: Option<Account> = None;
        loop {
            let new_password = |expression: &str| {
                let (name, id) = (&link.name, &link.user_id);
                self.new_password(name, id, link.auth_epoch, hash, expression)
            };
            let update = match unproven {
                None => new_password(KEEPS_KEYS)
                    .condition(format!("{UNCHANGED} AND email_verified = :true")),
                Some(_) => beginning_epoch(
                    new_password(&format!(
                        "SET #password = :hash, email_verified = :true, {BEGIN_EPOCH} REMOVE pending_email, imported"
                    )),
                    link.auth_epoch + 1,
                ),
            };
            let writes = vec![self.mark_used(link, &request, now), update, claim.clone()];
            // Each attempt needs a new request token, because its transaction contains different
            // bytes.
            let refusals = match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Refused(refusals) if !was_used_by(&refusals, &request)? => refusals,
                Transaction::Applied | Transaction::Refused(_) => break,
            };
            let current: Option<Account> = refusals.read(1)?;
            let is_first = unproven.is_none() && !refusals.has(0);
            unproven =
                Some(link.admits(current.filter(|account| is_first && !account.email_verified))?);
        }
        if let Some((seen, after)) =
            unproven.and_then(|seen| seen.proving(&link.address).map(|after| (seen, after)))
        {
            self.delete_ended_keys(&seen, &after).await;
        }
        Ok(())
    }

    /// Replaces the hash with a stronger hash of the same password, unless the password has changed
    /// since the account was read.
    pub async fn strengthen_password(&self, account: &Account, hash: &str) -> Result<()> {
        let strengthen = Write::update(&self.tables.users, pk(&account.pk), STRENGTHEN)
            .condition("id = :id AND #password = :weak")
            .names([("#password", "password")])
            .values([
                (":id", s(&account.id)),
                (":weak", s(&account.password)),
                (":strong", s(hash)),
            ]);
        self.send(&strengthen).await.map(drop)
    }

    /// A write that changes the password if the account hasn't changed since it was read.
    /// `expression` can use the `:hash`, `:next`, `:none` and `:true` values.
    fn new_password(
        &self,
        name_key: &str,
        user_id: &str,
        epoch: u64,
        hash: &str,
        expression: &str,
    ) -> Write {
        Write::update(&self.tables.users, pk(account_pk(name_key)), expression)
            .condition(UNCHANGED)
            .names([("#password", "password")])
            .values([
                (":hash", s(hash)),
                (":next", n(epoch + 1)),
                (":seen", n(epoch)),
                (":none", no_entries()),
                (":true", flag(true)),
                (":id", s(user_id)),
            ])
            .shows_item()
    }
}
