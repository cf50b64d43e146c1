//! Passwords that their owners change. Each change raises the account's epoch, which ends every
//! session and every mailed link, and forgets an address that is still pending.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Update};
use uuid::Uuid;

use super::addresses::{BEGIN_EPOCH, beginning_epoch};
use super::links::{Link, was_used_by};
use super::schema::{account_key, claim_key};
use super::{Session, Store, Transaction, from_item, n, s, to_item, updates};
use crate::auth::AccessToken;
use crate::user::{self, Account};
use crate::{Error, Result};

/// The account whose password is to change is still what it was when it was read.
const UNCHANGED: &str = "id = :id AND active = :true AND auth_epoch = :seen";

impl Store {
    /// Puts a new password's hash in the place of the account's, and begins `session`, which must
    /// be of the next epoch. `account` is the caller's, as it was just read. Sent again, it is
    /// the success it was.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] where the account has changed its password or ended this session
    /// since.
    pub async fn change_password(
        &self,
        caller: &AccessToken,
        account: &Account,
        hash: &str,
        session: &Session,
    ) -> Result<()> {
        let update = self.new_password(&account.label, &account.id, account.auth_epoch, hash);
        let update = update
            .condition_expression(format!("{UNCHANGED} AND attribute_not_exists(revoked.#session)"))
            .expression_attribute_names("#session", &caller.session);
        let update = update.update_expression(
            "SET #password = :hash, auth_epoch = :next, revoked = :none REMOVE pending_email",
        );
        let update = updates(update.return_values_on_condition_check_failure(AllOld))?;
        let begin =
            self.put_new(&self.tables.tokens, "attribute_not_exists(pk)", to_item(session)?)?;
        let reasons = match self.transact(vec![update, begin], &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => return Ok(()),
            Transaction::Refused(reasons) => reasons,
        };
        let standing = Transaction::refused(&reasons, 0)
            .filter(|item| !item.is_empty())
            .map(from_item::<Account>)
            .transpose()?;
        // Every hash has a salt of its own: where this one stands, only the reply was lost.
        if standing.is_some_and(|standing| standing.password == hash) {
            Ok(())
        } else {
            Err(Error::InvalidToken)
        }
    }

    /// Sets a new password's hash by a link. Who read the mail has the address, so that it is
    /// verified by the same transaction. Sessions and mailed links end; API keys go on where
    /// the address had been proven before, and end otherwise, since anybody may have made them.
    ///
    /// # Errors
    /// [`Error::InvalidLink`] where the link was used, or no longer opens the account that has its
    /// address.
    pub async fn reset_password(&self, link: &Link, hash: &str, now: u64) -> Result<()> {
        let request = Uuid::new_v4().to_string();
        let claim = Update::builder()
            .table_name(&self.tables.users)
            .key("pk", s(claim_key(&user::key(&link.address))))
            .update_expression("SET verified = :true")
            .condition_expression("id = :id")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":id", s(&link.user_id));
        let claim = updates(claim)?;
        // Usually the address was proven before. Otherwise the account, which refuses, is shown.
        let mut unproven: Option<Account> = None;
        loop {
            let update = self.new_password(&link.name, &link.user_id, link.auth_epoch, hash);
            let update = match unproven {
                None => update
                    .condition_expression(format!("{UNCHANGED} AND email_verified = :true"))
                    .update_expression("SET #password = :hash, auth_epoch = :next, revoked = :none REMOVE pending_email"),
                Some(_) => beginning_epoch(update, link.auth_epoch + 1)
                    .update_expression(format!("SET #password = :hash, email_verified = :true, {BEGIN_EPOCH} REMOVE pending_email")),
            };
            let update = updates(update.return_values_on_condition_check_failure(AllOld))?;
            // A token of its own for each attempt: they differ.
            let reasons = match self
                .transact(
                    vec![self.mark_used(link, &request, now)?, update, claim.clone()],
                    &Uuid::new_v4().to_string(),
                )
                .await?
            {
                Transaction::Refused(reasons) if !was_used_by(&reasons, &request)? => reasons,
                Transaction::Applied | Transaction::Refused(_) => break,
            };
            let standing = Transaction::refused(&reasons, 1)
                .filter(|item| !item.is_empty())
                .map(from_item::<Account>)
                .transpose()?;
            let is_first = unproven.is_none() && Transaction::refused(&reasons, 0).is_none();
            unproven =
                Some(link.admits(standing.filter(|account| is_first && !account.email_verified))?);
        }
        if let Some((seen, after)) =
            unproven.and_then(|seen| seen.proving(&link.address).map(|after| (seen, after)))
        {
            self.delete_ended_keys(&seen, &after).await;
        }
        Ok(())
    }

    /// What both changes have in common: the condition, and the values of `:hash`, `:next`, `:none`
    /// and `:true`.
    fn new_password(&self, name_key: &str, user_id: &str, epoch: u64, hash: &str) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.tables.users)
            .key("pk", s(account_key(name_key)))
            .condition_expression(UNCHANGED)
            .expression_attribute_names("#password", "password")
            .expression_attribute_values(":hash", s(hash))
            .expression_attribute_values(":next", n(epoch + 1))
            .expression_attribute_values(":seen", n(epoch))
            .expression_attribute_values(":none", AttributeValue::M(Default::default()))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":id", s(user_id))
    }
}
