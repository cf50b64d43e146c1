//! Changes of passwords. Each raises the account's epoch, which ends every session and link, and
//! forgets a pending address.

use uuid::Uuid;

use crate::store::accounts::addresses::{BEGIN_EPOCH, beginning_epoch};
use crate::store::credentials::links::{Link, was_used_by};
use crate::store::schema::{account_pk, claim_pk, pk};
use crate::store::{
    NEW, Result, Store, StoreError, Transaction, Write, flag, n, no_entries, s, to_item,
};
use crate::values::{AccessToken, Account, Session, text};

/// The account is active and has the epoch that was read.
const UNCHANGED: &str = "id = :id AND active = :true AND auth_epoch = :seen";

/// A new password, for an account that keeps its API keys.
const KEEPS_KEYS: &str =
    "SET #password = :hash, auth_epoch = :next, revoked = :none REMOVE pending_email";

impl Store {
    /// Replaces the password's hash and begins `session`, which must have the next epoch. `account`
    /// is the caller's, as it was just read. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the account has changed its password or ended this session since.
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
        // Every hash has its own salt: if the account has this one, only the reply was lost.
        if current.is_some_and(|current| current.password == hash) {
            Ok(())
        } else {
            Err(StoreError::NotAccepted)
        }
    }

    /// Replaces the password's hash by a link. The client has read the e-mail, so the same
    /// transaction verifies the address. Sessions and links end. API keys stay valid if the address
    /// was verified before, and end otherwise, since anyone could have made them.
    ///
    /// # Errors
    /// [`StoreError::InvalidLink`] if the link was used, or the account with its address doesn't accept
    /// it.
    pub async fn reset_password(&self, link: &Link, hash: &str, now: u64) -> Result<()> {
        let request = Uuid::new_v4().to_string();
        let address = pk(claim_pk(&text::key(&link.address)));
        let claim = Write::update(&self.tables.users, address, "SET verified = :true")
            .condition("id = :id")
            .values([(":true", flag(true)), (":id", s(&link.user_id))]);
        // Usually the address was verified before. Otherwise the refusal shows the account.
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
                        "SET #password = :hash, email_verified = :true, {BEGIN_EPOCH} REMOVE pending_email"
                    )),
                    link.auth_epoch + 1,
                ),
            };
            let writes = vec![self.mark_used(link, &request, now), update, claim.clone()];
            // A new request token for each attempt: their bytes differ.
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

    /// Replaces the hash by a stronger one of the same password, unless the password has changed
    /// since it was read.
    pub async fn strengthen_password(&self, account: &Account, hash: &str) -> Result<()> {
        let strengthen =
            Write::update(&self.tables.users, pk(&account.pk), "SET #password = :strong")
                .condition("id = :id AND #password = :weak")
                .names([("#password", "password")])
                .values([
                    (":id", s(&account.id)),
                    (":weak", s(&account.password)),
                    (":strong", s(hash)),
                ]);
        self.send(&strengthen).await.map(drop)
    }

    /// Changes the password of an account that is still as it was read, with the values `:hash`,
    /// `:next`, `:none` and `:true`.
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
