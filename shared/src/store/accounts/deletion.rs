//! Account deletion. One transaction ends an account. Its data, which may be large, is erased later
//! by background runs.
//!
//! The transaction turns the account into a tombstone, which isn't shown in any list of users. The
//! sparse `erasing` index lists tombstones, sorted by the time of their next inspection.
//! [`Store::erase`] reads only that index, so its cost doesn't grow with the number of active
//! accounts. Chats in progress are settled or released as usual. The tombstone is kept until all
//! chats in progress have ended, and for at least a day. The ledger is kept because it contains
//! only amounts under a random id.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use uuid::Uuid;

use crate::Error;
use crate::store::ledger::interventions::{CONTENDED, UNCHANGED};
use crate::store::read::values;
use crate::store::schema::pk;
use crate::store::{
    Backoff, Item, PlannedIntervention, Result, Store, StoreError, Transaction, Write, files_of,
    flag, n, no_entries, s,
};
use crate::values::{AccessToken, Account};

/// How long the username of a deleted account can't be reused, in seconds.
pub(in crate::store) const TAKEN: u64 = 24 * 3600;

/// How many items one `BatchWriteItem` accepts.
pub(in crate::store) const BATCH: usize = 25;

/// How long other runs skip an account while one run erases it, in seconds. No run takes this long.
const RUN: u64 = 600;

/// The results of an erasure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureReport {
    /// How many accounts were inspected: deleted accounts, and accounts with deleted conversations.
    pub accounts: usize,
    /// How many items were erased.
    pub items: usize,
    /// How many accounts were erased completely. Their usernames can be used again.
    pub gone: usize,
}

impl Store {
    /// Deletes the caller's account. The account's JWTs become invalid, other accounts can claim
    /// its address, and its personal data is erased later. `account` must be freshly read.
    /// `no_password` is a hash that no password matches. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if this session has ended since the account was read, and
    /// [`Error::LastAdministrator`] if no other administrator would remain. After an error, the
    /// account isn't deleted.
    pub async fn delete_account(
        &self,
        caller: &AccessToken,
        account: &Account,
        no_password: &str,
        now: u64,
    ) -> Result<()> {
        let mut seen = account.clone();
        let mut backoff = Backoff::new();
        loop {
            let mut writes = vec![self.end_account(caller, &seen, no_password, now)];
            writes.extend(self.free_address(&seen));
            let leaving = writes.len();
            if seen.administers() {
                writes.push(self.leave_administrators(&seen.id));
            }
            // Each attempt needs a new request token, because the transaction's bytes depend on the
            // account that was just read.
            let refusals = match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok(()),
                Transaction::Refused(refusals) => refusals,
            };
            let current = self
                .account_named(&account.label)
                .await?
                .filter(|current| current.id == account.id);
            seen = current.ok_or(StoreError::NotAccepted)?;
            if seen.deleted.is_some() {
                return Ok(());
            }
            seen = caller.admits(Some(seen)).ok_or(StoreError::NotAccepted)?;
            if let Some(known) = refusals.item(leaving)
                && !self.find_administrators(&known).await?
            {
                return Err(StoreError::Refused(Error::LastAdministrator));
            }
            // Either the account's address has changed since the read, or the `admins` item now
            // lists more administrators.
            backoff.try_again("the account kept changing during its deletion").await?;
        }
    }

    /// Deletes a user's account on behalf of an administrator. The transaction requires that the
    /// caller is still an administrator, so at least one administrator remains. Idempotent.
    ///
    /// # Errors
    /// The errors of [`Store::end_sessions_of_user`].
    pub async fn delete_user(
        &self,
        doing: &PlannedIntervention<'_>,
        no_password: &str,
        now: u64,
    ) -> Result<()> {
        let mut seen = doing.account.clone();
        let mut backoff = Backoff::new();
        loop {
            let end = at_its_address(self.tombstone(&seen, no_password, now), UNCHANGED, &seen)
                .values([(":seen", n(seen.auth_epoch))]);
            let mut writes = vec![end];
            writes.extend(self.free_address(&seen));
            writes.extend(seen.administers().then(|| self.dismiss_administrator(&seen.id)));
            let Some(current) = self.intervene(doing, writes).await? else { return Ok(()) };
            // The account's epoch or address has changed since the read.
            seen = current;
            backoff.try_again(CONTENDED).await?;
        }
    }

    /// Turns the account into a tombstone, if the caller's session hasn't ended and the account's
    /// address still equals the address in `seen`. The tombstone keeps the account's credits, holds
    /// and closed ids.
    fn end_account(
        &self,
        caller: &AccessToken,
        seen: &Account,
        no_password: &str,
        now: u64,
    ) -> Write {
        let mine = "id = :id AND active = :true AND auth_epoch = :seen AND attribute_not_exists(revoked.#session)";
        at_its_address(self.tombstone(seen, no_password, now), mine, seen)
            .names([("#session", caller.session.as_str())])
            .values([(":true", flag(true)), (":seen", n(seen.auth_epoch))])
    }

    /// Turns an account into a tombstone again if it was deleted after the point in time to which
    /// the tables were restored. `deleted` is the Unix time of the deletion. The claim to the
    /// account's address is kept. Idempotent.
    pub(in crate::store) async fn end_account_again(
        &self,
        seen: &Account,
        no_password: &str,
        deleted: u64,
    ) -> Result<()> {
        let end = self
            .tombstone(seen, no_password, deleted)
            .condition("id = :id AND attribute_not_exists(deleted)");
        self.send(&end).await.map(drop)
    }

    /// Turns the account into a tombstone. Callers add a condition, which can use the `:id` value.
    fn tombstone(&self, seen: &Account, no_password: &str, now: u64) -> Write {
        Write::update(
            &self.tables.users,
            pk(&seen.pk),
            "SET active = :false, auth_epoch = :next, revoked = :none, deleted = :now, erasing = :now, #password = :no_password \
             REMOVE email, email_verified, pending_email, home, first_name, last_name, instructions, imported, #key, #month, #shard",
        )
        .names([("#password", "password"), ("#key", "key"), ("#month", "month"), ("#shard", "shard")])
        .values([
            (":id", s(&seen.id)),
            (":false", flag(false)),
            (":next", n(seen.auth_epoch + 1)),
            (":none", no_entries()),
            (":now", n(now)),
            (":no_password", s(no_password)),
        ])
    }

    /// Erases the data of deleted accounts for at most `time`; the next call continues where this
    /// call stopped. Parallel and interrupted calls are safe, because every delete is idempotent
    /// and every other write is conditional. If an account can't be read, the call skips it and
    /// returns an error at the end.
    pub async fn erase(&self, now: u64, time: Duration) -> Result<ErasureReport> {
        let until = Instant::now() + time;
        let mut erased = ErasureReport::default();
        let mut unreadable = None;
        let mut start = None;
        loop {
            let (due, next) = self.due_accounts("erasing", now, start).await?;
            for (pk, look) in due {
                if Instant::now() >= until {
                    return Ok(erased);
                }
                erased.accounts += 1;
                match self.erase_account(&pk, look, now, until, &mut erased).await {
                    Ok(()) => {}
                    Err(error @ StoreError::Internal(_)) => unreadable = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if next.is_none() {
                return unreadable.map_or(Ok(erased), Err);
            }
            start = next;
        }
    }

    async fn erase_account(
        &self,
        pk: &str,
        look: u64,
        now: u64,
        until: Instant,
        erased: &mut ErasureReport,
    ) -> Result<()> {
        // Read the account before its data: if the deleted account has no holds at this point, no
        // chats can be added later.
        let Some(account) = self.account_at(pk).await? else { return Ok(()) };
        let Some(deleted) = account.deleted else {
            return self.erase_conversations(&account, look, now, until, erased).await;
        };
        loop {
            let left = self.remaining_items(&account.id).await?;
            if left.is_empty() {
                break;
            }
            self.expect_late_copies(&account.id, &left, now).await?;
            for some in left.chunks(BATCH) {
                if Instant::now() >= until {
                    return Ok(());
                }
                self.delete_all(some).await?;
                erased.items += some.len();
            }
        }
        if !account.reservations.is_empty() {
            return Ok(());
        }
        let free = deleted + TAKEN;
        if now < free {
            return self.look_again(&account, look, free).await.map(drop);
        }
        erased.gone += usize::from(self.free_name(&account).await?);
        Ok(())
    }

    /// Erases the conversations that the account's owner has deleted, and the temporary
    /// conversations that have expired. If another temporary conversation exists, the account is
    /// inspected again when that expires. Otherwise removes the account from the `erasing` index,
    /// unless another conversation was deleted in the meantime.
    async fn erase_conversations(
        &self,
        account: &Account,
        look: u64,
        now: u64,
        until: Instant,
        erased: &mut ErasureReport,
    ) -> Result<()> {
        let mine = now + RUN;
        if !self.look_again(account, look, mine).await? {
            return Ok(());
        }
        loop {
            let deleted = self.deleted_conversations(&account.id).await?;
            if deleted.is_empty() {
                break;
            }
            for id in deleted {
                let items = &mut erased.items;
                if !self.erase_conversation(&account.id, &id, now, until, items).await? {
                    return Ok(());
                }
            }
        }
        let items = &mut erased.items;
        if !self.erase_expired_conversations(&account.id, now, until, items).await? {
            return Ok(());
        }
        if let Some(end) = self.first_expiry(&account.id).await? {
            return self.look_again(account, mine, end).await.map(drop);
        }
        let update = |expression| Write::update(&self.tables.users, pk(&account.pk), expression);
        let done = update("REMOVE erasing")
            .condition("id = :id AND erasing = :mine AND attribute_not_exists(deleted)")
            .values([(":id", s(&account.id)), (":mine", n(mine))]);
        if !self.send(&done).await?.is_applied() {
            return Ok(());
        }
        // A temporary conversation that began before this write hasn't changed `erasing`.
        let Some(end) = self.first_expiry(&account.id).await? else { return Ok(()) };
        let again = update("SET erasing = if_not_exists(erasing, :end)")
            .condition("id = :id AND attribute_not_exists(deleted)")
            .values([(":id", s(&account.id)), (":end", n(end))]);
        self.send(&again).await.map(drop)
    }

    /// Returns some of the user's items, each as a table and a key. The result is empty only if no
    /// items are left. Idempotency records aren't included, because they don't contain personal
    /// data and DynamoDB deletes them by TTL.
    async fn remaining_items(&self, user_id: &str) -> Result<Vec<(&str, Item)>> {
        let of_user = |table: &str| {
            self.client
                .query()
                .table_name(table)
                .key_condition_expression("user_id = :user")
                .set_expression_attribute_values(values([(":user", s(user_id))]))
        };
        let chats = of_user(&self.tables.chats)
            .consistent_read(true)
            .projection_expression("user_id, chat_id, files")
            .send();
        // The index may be slightly out of date. The tombstone remains for a day, so items that the
        // index doesn't show yet can still be erased later.
        let others =
            of_user(&self.tables.tokens).index_name("by_user").projection_expression("pk").send();
        let (chats, others) = tokio::join!(chats, others);
        let mut chats = chats?.items.unwrap_or_default();
        // A chat lists its files, so they are deleted first.
        let mut left = self.file_keys(chats.iter().flat_map(files_of));
        chats.iter_mut().for_each(|chat| chat.retain(|name, _| name != "files"));
        let keys = |table, items: Vec<Item>| items.into_iter().map(move |key| (table, key));
        left.extend(keys(self.tables.chats.as_str(), chats));
        left.extend(keys(self.tables.tokens.as_str(), others?.items.unwrap_or_default()));
        Ok(left)
    }

    /// Deletes up to [`BATCH`] items. Retries the deletes that a busy table didn't process.
    pub(in crate::store) async fn delete_all(&self, keys: &[(&str, Item)]) -> Result<()> {
        let mut requests = HashMap::<String, Vec<WriteRequest>>::new();
        for (table, key) in keys {
            let delete = DeleteRequest::builder()
                .set_key(Some(key.clone()))
                .build()
                .map_err(|error| StoreError::Internal(error.to_string()))?;
            requests
                .entry((*table).to_owned())
                .or_default()
                .push(WriteRequest::builder().delete_request(delete).build());
        }
        let mut backoff = Backoff::new();
        loop {
            let written =
                self.client.batch_write_item().set_request_items(Some(requests)).send().await?;
            requests = written.unprocessed_items.unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
            backoff.try_again("a batch of items was not deleted in time").await?;
        }
    }

    /// Sets the time of the account's next inspection. Returns `false` if the time has changed
    /// since it was read.
    async fn look_again(&self, account: &Account, look: u64, at: u64) -> Result<bool> {
        let again = Write::update(&self.tables.users, pk(&account.pk), "SET erasing = :at")
            .condition("id = :id AND erasing = :look")
            .values([(":id", s(&account.id)), (":look", n(look)), (":at", n(at))]);
        Ok(self.send(&again).await?.is_applied())
    }

    /// Deletes the tombstone if it has no holds. Returns `false` if it has holds or was already
    /// deleted.
    async fn free_name(&self, account: &Account) -> Result<bool> {
        let free = Write::delete(&self.tables.users, pk(&account.pk))
            .condition("id = :id AND attribute_exists(deleted) AND size(reservations) = :none")
            .values([(":id", s(&account.id)), (":none", n(0))]);
        Ok(self.send(&free).await?.is_applied())
    }
}

/// Adds a condition to the write: the account must have the same address as in `seen`, or no
/// address if `seen` has none.
fn at_its_address(write: Write, condition: &str, seen: &Account) -> Write {
    let same = if seen.email.is_some() { "email = :email" } else { "attribute_not_exists(email)" };
    write
        .condition(format!("{condition} AND {same}"))
        .values(seen.email.as_ref().map(|email| (":email", s(email))))
}
