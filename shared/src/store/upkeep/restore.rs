//! Repeats deletions, revocations and other changes to access in restored tables.
//!
//! A restore brings back everything that existed at the restore point, including accounts that were
//! deleted later, revoked sessions and API keys, used links, withdrawn keys and old passwords. The
//! newer tables, if they can be read, still show what was deleted, revoked or used since then.
//! After this module's repairs, an account, a session, an API key or a right exists only if it
//! existed at the restore point and still exists in the newer tables. An API key's limit is the
//! lower of both. Passwords and addresses are taken from the newer tables, because changing them
//! requires a proof of identity.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::accounts::deletion::{BATCH, TAKEN};
use crate::store::schema::{
    ACCOUNT, API_KEY, LINK, SESSION, SHARE, SHARES_OF, VOUCHERS, chat_key, pk,
};
use crate::store::upkeep::reconcile::is_younger;
use crate::store::{
    Item, Link, Result, Store, StoreError, Transaction, Write, files_of, flag, from_item, n, s,
    text, to_item,
};
use crate::values::{Account, Act, AdminAct, Role, STANDING, Session, StoredApiKey};

/// How many items one `BatchGetItem` accepts.
const GET: usize = 100;

/// The newer tables, and which of them to read. Damaged tables aren't read.
#[derive(Clone, Debug)]
pub struct NewerTables {
    /// A store that uses the newer tables.
    pub store: Store,
    /// True if the Users table is read.
    pub users: bool,
    /// True if the Tokens table is read.
    pub tokens: bool,
    /// True if the Keys table is read.
    pub keys: bool,
}

/// The input of [`Store::reapply`]: the restore point, and what is known about later deletions and
/// revocations.
#[derive(Clone, Debug)]
pub struct ReapplyInput<'a> {
    /// The restore point: the Unix time to which the tables were restored.
    pub second: u64,
    /// The newer tables.
    pub newer: &'a NewerTables,
    /// The ids of all accounts that were deleted after the restore point, if they are known from
    /// another source.
    pub deleted: Option<&'a HashSet<String>>,
    /// True if every chat that is missing from the newer Chats table was deleted by its owner.
    pub messages: bool,
    /// A hash that no password matches.
    pub no_password: &'a str,
}

/// The results of [`Store::reapply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapplyReport {
    /// How many accounts were deleted.
    pub deleted: usize,
    /// How many restored accounts are kept although they are missing from the newer table, because
    /// they weren't deleted by a user.
    pub returned: usize,
    /// The ids and usernames of accounts that are missing from the newer table and may have been
    /// either deleted or lost. These accounts weren't changed.
    pub unclear: Vec<String>,
    /// How many accounts had their password, address, rights or ended sessions changed.
    pub changed: usize,
    /// How many sessions were ended, or advanced to the generation of newer refresh tokens.
    pub sessions: usize,
    /// How many API keys were revoked, or had their limit lowered.
    pub api_keys: usize,
    /// How many links were marked as used.
    pub links: usize,
    /// How many vouchers were voided.
    pub vouchers: usize,
    /// How many shared chats were ended.
    pub shares: usize,
    /// How many public keys were withdrawn or given an expiry.
    pub public_keys: usize,
    /// How many chats and conversations were deleted.
    pub messages: usize,
}

impl ReapplyReport {
    /// Returns the counts of ended and changed items, each with its noun.
    pub fn ended(&self) -> [(usize, &'static str); 9] {
        [
            (self.deleted, "deleted account"),
            (self.changed, "changed account"),
            (self.sessions, "session"),
            (self.api_keys, "API key"),
            (self.links, "link"),
            (self.vouchers, "voucher"),
            (self.shares, "shared chat"),
            (self.public_keys, "public key"),
            (self.messages, "message"),
        ]
    }
}

impl Store {
    /// Repeats, in these restored tables, all deletions and revocations that happened after the
    /// restore point. [`Store::reconcile`] must be called afterwards. Returns `None` and doesn't
    /// change anything if the tables are already in use, that is, if they contain a session or an
    /// API key created after the restore point. Idempotent.
    ///
    /// # Errors
    /// Fails if one of the stores fails or contains an item that can't be read.
    pub async fn reapply(
        &self,
        since: &ReapplyInput<'_>,
        clock: &Clock,
    ) -> Result<Option<ReapplyReport>> {
        let mut done = ReapplyReport::default();
        if !self.reapply_tokens(since, &mut done).await? {
            return Ok(None);
        }
        if since.newer.keys {
            self.reapply_public_keys(&since.newer.store, &mut done).await?;
        }
        self.reapply_accounts(since, clock, &mut done).await?;
        if since.messages {
            self.reapply_deleted_messages(&since.newer.store, &mut done).await?;
        }
        Ok(Some(done))
    }

    /// Reapplies changes to sessions, API keys, links, vouchers and shared chats. Returns `false` if
    /// the tables are in use.
    async fn reapply_tokens(
        &self,
        since: &ReapplyInput<'_>,
        done: &mut ReapplyReport,
    ) -> Result<bool> {
        let kinds = [SESSION, API_KEY, LINK, VOUCHERS, SHARE, SHARES_OF];
        let mut start = None;
        loop {
            let (mut items, next) = self.page(&self.tables.tokens, start).await?;
            items.retain(|item| kinds.iter().any(|kind| text(item, "pk").starts_with(*kind)));
            let in_use = |item: &Item| {
                let key = text(item, "pk");
                let id = key.strip_prefix(SESSION).or_else(|| key.strip_prefix(API_KEY));
                id.is_some_and(|id| is_younger(id, since.second))
            };
            if items.iter().any(in_use) {
                return Ok(false);
            }
            if since.newer.tokens {
                let newer = &since.newer.store;
                for some in items.chunks(GET) {
                    let mut known = by_key(newer.with_keys_of(&newer.tables.tokens, some).await?);
                    for item in some {
                        self.reapply_token(item, known.remove(text(item, "pk")), done).await?;
                    }
                }
            }
            if next.is_none() {
                return Ok(true);
            }
            start = next;
        }
    }

    /// Reapplies the changes to one item. If the newer table no longer contains the item, the item
    /// was deleted after the restore point, so it is deleted from the restored table too. A session
    /// advances to the generation of its newer refresh tokens, because a stolen token could
    /// otherwise be used again. An API key's limit that was lowered is lowered again, but one that
    /// was removed stays. A link that was used since then is marked as used, vouchers that were
    /// voided are voided again, and shared chats that were ended are ended again.
    async fn reapply_token(
        &self,
        item: &Item,
        newer: Option<Item>,
        done: &mut ReapplyReport,
    ) -> Result<()> {
        let (table, key) = (&self.tables.tokens, text(item, "pk"));
        if key.starts_with(VOUCHERS) {
            done.vouchers += self.void_again(item, newer).await?;
            return Ok(());
        }
        if key.starts_with(SHARE) || key.starts_with(SHARES_OF) {
            done.shares += self.end_share_again(item, newer).await?;
            return Ok(());
        }
        let counted = match key {
            key if key.starts_with(SESSION) => &mut done.sessions,
            key if key.starts_with(API_KEY) => &mut done.api_keys,
            _ => &mut done.links,
        };
        let Some(newer) = newer else {
            *counted += 1;
            return self.send(&Write::delete(table, pk(key))).await.map(drop);
        };
        if key.starts_with(SESSION) {
            let (earlier, later): (Session, Session) =
                (from_item(item.clone())?, from_item(newer)?);
            if later.is_ahead_of(&earlier) {
                *counted += 1;
                let put = Write::put(table, to_item(&later)?).condition("attribute_exists(pk)");
                self.send(&put).await?;
            }
        } else if key.starts_with(API_KEY) {
            let (earlier, later): (StoredApiKey, StoredApiKey) =
                (from_item(item.clone())?, from_item(newer)?);
            if let (Some(earlier), Some(later)) = (earlier.limit(), later.limit())
                && later.tokens < earlier.tokens
            {
                *counted += 1;
                let lower = Write::update(table, pk(key), "SET restricted.#limit.tokens = :tokens")
                    .condition("attribute_exists(restricted.#limit)")
                    .names([("#limit", "limit")])
                    .values([(":tokens", n(later.tokens))]);
                self.send(&lower).await?;
            }
        } else if key.starts_with(LINK) {
            let (earlier, later): (Link, Link) = (from_item(item.clone())?, from_item(newer)?);
            if let (None, Some(request)) = (earlier.used_by(), later.used_by()) {
                *counted += 1;
                let mark = Write::update(table, pk(key), "SET used = :request")
                    .condition("attribute_exists(pk)")
                    .values([(":request", s(request))]);
                self.send(&mark).await?;
            }
        }
        Ok(())
    }

    async fn reapply_public_keys(&self, newer: &Self, done: &mut ReapplyReport) -> Result<()> {
        let known = newer.public_keys().await?;
        for key in self.public_keys().await? {
            let later = known.iter().find(|known| known.kid == key.kid);
            match later.map(|later| later.until) {
                None => self.withdraw_key(&key.kid).await?,
                Some(Some(until)) if key.until.is_none() => {
                    self.end_key(&key.kid, until).await?;
                }
                Some(_) => continue,
            }
            done.public_keys += 1;
        }
        Ok(())
    }

    async fn reapply_accounts(
        &self,
        since: &ReapplyInput<'_>,
        clock: &Clock,
        done: &mut ReapplyReport,
    ) -> Result<()> {
        let newer = &since.newer.store;
        let mut start = None;
        loop {
            let (mut items, next) = self.page(&self.tables.users, start).await?;
            items.retain(|item| text(item, "pk").starts_with(ACCOUNT));
            for some in items.chunks(GET) {
                let mut known = HashMap::new();
                if since.newer.users {
                    known = by_key(newer.with_keys_of(&newer.tables.users, some).await?);
                }
                for item in some {
                    let later = known.remove(text(item, "pk"));
                    let later: Option<Account> = later.map(from_item).transpose()?;
                    let account: Account = from_item(item.clone())?;
                    self.reapply_account(&account, later, since, clock, done).await?;
                }
            }
            if next.is_none() {
                return Ok(());
            }
            start = next;
        }
    }

    /// Reapplies the changes to one account. `later` is the newer account with the same username.
    async fn reapply_account(
        &self,
        account: &Account,
        later: Option<Account>,
        since: &ReapplyInput<'_>,
        clock: &Clock,
        done: &mut ReapplyReport,
    ) -> Result<()> {
        if account.deleted.is_some() {
            return Ok(());
        }
        let now = clock.seconds();
        let listed = since.deleted.is_some_and(|ids| ids.contains(&account.id));
        let is_recent = now <= since.second + TAKEN;
        let later = later.filter(|later| later.id == account.id);
        let deleted = match &later {
            Some(later) => later.deleted.or(listed.then_some(now)),
            None if listed => Some(now),
            // This account wasn't deleted: otherwise, its deletion would be listed, or its
            // tombstone would still exist, because tombstones are kept for a day.
            None if since.deleted.is_some() || (since.newer.users && is_recent) => {
                done.returned += usize::from(since.newer.users);
                return Ok(());
            }
            None => {
                done.unclear.push(format!("{} {}", account.id, account.label));
                return Ok(());
            }
        };
        if let Some(deleted) = deleted {
            done.deleted += 1;
            return self.end_account_again(account, since.no_password, deleted).await;
        }
        let Some(later) = later else { return Ok(()) };
        let after = with_access_of(account, &later);
        if has_same_access(&after, account) {
            return Ok(());
        }
        done.changed += 1;
        self.set_access(account, &after, clock).await
    }

    /// Stores all fields of `after` that [`has_same_access`] compares. If the role or state
    /// changes, a ledger row records it.
    async fn set_access(&self, seen: &Account, after: &Account, clock: &Clock) -> Result<()> {
        let mut set = String::from(
            "SET active = :active, #role = :role, auth_epoch = :next, #password = :password, revoked = :revoked, email_verified = :verified",
        );
        let mut remove = Vec::new();
        let mut values = Vec::new();
        let optional = [
            ("email", after.email.as_deref().map(s)),
            ("pending_email", after.pending_email.as_deref().map(s)),
            ("keys_from", after.keys_from.map(n)),
            ("imported", after.imported.as_deref().map(s)),
        ];
        for (attribute, value) in optional {
            match value {
                Some(value) => {
                    set.push_str(&format!(", {attribute} = :{attribute}"));
                    values.push((format!(":{attribute}"), value));
                }
                None => remove.push(attribute),
            }
        }
        if !remove.is_empty() {
            set.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        let revoked = after.revoked.iter().map(|(session, ends)| (session.clone(), n(*ends)));
        let change = Write::update(&self.tables.users, pk(&seen.pk), set)
            .condition("id = :id AND auth_epoch = :seen AND active = :was_active AND #role = :was_role AND attribute_not_exists(deleted)")
            .names([("#role", "role"), ("#password", "password")])
            .values(values)
            .values([
                (":id", s(&seen.id)),
                (":seen", n(seen.auth_epoch)),
                (":was_active", flag(seen.active)),
                (":was_role", s(seen.role.word())),
                (":active", flag(after.active)),
                (":role", s(after.role.word())),
                (":next", n(after.auth_epoch)),
                (":password", s(&after.password)),
                (":revoked", AttributeValue::M(revoked.collect())),
                (":verified", flag(after.email_verified)),
            ]);
        let acts = [
            (after.active != seen.active).then_some(Act::Deactivation),
            (after.role != seen.role).then(|| Act::Role(after.role.clone())),
        ];
        let mut writes = vec![change];
        for act in acts.into_iter().flatten() {
            writes.push(self.put_act(&AdminAct {
                user_id: seen.id.clone(),
                id: clock.id().to_string(),
                kind: STANDING.into(),
                act: Some(act),
                intervention: None,
                reason: "decided before the tables were restored".into(),
                actor: self.operator().into(),
                granted: None,
                time: clock.millis(),
            })?);
        }
        match self.transact(writes, &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => Ok(()),
            Transaction::Refused(_) => {
                Err(StoreError::Unavailable("an account changed while it was restored".into()))
            }
        }
    }

    /// Deletes the chats and conversations that are missing from the newer table.
    async fn reapply_deleted_messages(&self, newer: &Self, done: &mut ReapplyReport) -> Result<()> {
        let place =
            |item: &Item| (text(item, "user_id").to_owned(), text(item, "chat_id").to_owned());
        let mut start = None;
        loop {
            let (items, next) = self.page(&self.tables.chats, start).await?;
            for some in items.chunks(GET) {
                let keys = some.iter().map(place).map(|(user, chat)| chat_key(&user, &chat));
                let kept = newer.items(&newer.tables.chats, keys.collect()).await?;
                let kept: HashSet<(String, String)> = kept.iter().map(place).collect();
                let gone: Vec<&Item> =
                    some.iter().filter(|item| !kept.contains(&place(item))).collect();
                done.messages += gone.len();
                // A chat lists its files, so they are deleted first.
                let mut keys = self.file_keys(gone.iter().copied().flat_map(files_of));
                let chats = gone.iter().copied().map(place);
                keys.extend(
                    chats.map(|(user, chat)| (self.tables.chats.as_str(), chat_key(&user, &chat))),
                );
                for some in keys.chunks(BATCH) {
                    self.delete_all(some).await?;
                }
            }
            if next.is_none() {
                return Ok(());
            }
            start = next;
        }
    }

    /// Returns the items in this store's table that have the same pks as these items.
    async fn with_keys_of(&self, table: &str, items: &[Item]) -> Result<Vec<Item>> {
        self.items(table, items.iter().map(|item| pk(text(item, "pk"))).collect()).await
    }
}

fn by_key(items: Vec<Item>) -> HashMap<String, Item> {
    items.into_iter().map(|item| (text(&item, "pk").to_owned(), item)).collect()
}

/// Returns true if both accounts accept the same callers, passwords and addresses.
fn has_same_access(one: &Account, other: &Account) -> bool {
    one.active == other.active
        && one.role == other.role
        && one.auth_epoch == other.auth_epoch
        && one.password == other.password
        && one.keys_from == other.keys_from
        && one.revoked == other.revoked
        && one.email == other.email
        && one.email_verified == other.email_verified
        && one.pending_email == other.pending_email
}

/// Returns the restored account, reduced to the access that the newer account also allows. The
/// password and the address are taken from the newer account, because their changes were
/// authorized.
fn with_access_of(restored: &Account, newer: &Account) -> Account {
    let mut after = restored.clone();
    after.active &= newer.active;
    match (&restored.role, &newer.role) {
        (Role::Admin, role) => after.role.clone_from(role),
        (_, Role::Admin) => {}
        (role, other) if role == other => {}
        _ => after.role = Role::User,
    }
    if newer.auth_epoch > restored.auth_epoch {
        after.auth_epoch = newer.auth_epoch;
        after.password.clone_from(&newer.password);
        after.imported.clone_from(&newer.imported);
        after.keys_from = restored.keys_from.max(newer.keys_from);
        after.revoked.clone_from(&newer.revoked);
    } else if newer.auth_epoch == restored.auth_epoch {
        after.revoked.extend(newer.revoked.iter().map(|(session, ends)| (session.clone(), *ends)));
    }
    after.email.clone_from(&newer.email);
    after.email_verified = newer.email_verified;
    after.pending_email.clone_from(&newer.pending_email);
    after
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Credits;
    use crate::store::NewAccount;
    use crate::values::Username;

    fn account(epoch: u64) -> Account {
        let new = NewAccount {
            name: Username::parse("ann").unwrap(),
            email: None,
            password: "old".into(),
            key: None,
            role: Role::Admin,
            grant: Credits::ZERO,
            reason: "a test",
        };
        Account {
            email: Some("old@example.com".into()),
            email_verified: true,
            auth_epoch: epoch,
            revoked: BTreeMap::from([("a".into(), 1)]),
            ..new.open(&Clock::default())
        }
    }

    #[test]
    fn accounts_without_changes_keep_their_access() {
        assert!(has_same_access(&with_access_of(&account(1), &account(1)), &account(1)));
    }

    #[test]
    fn rights_remain_only_if_both_accounts_have_them() {
        let lesser = Account { role: Role::User, active: false, ..account(2) };
        for (restored, newer) in [(account(1), lesser.clone()), (lesser, account(3))] {
            let after = with_access_of(&restored, &newer);
            assert_eq!((after.role, after.active), (Role::User, false));
        }
        let [support, audit] = ["support", "audit"].map(|word| Role::Other(word.to_owned()));
        for (restored, newer, expected) in [
            (Role::Admin, support.clone(), support.clone()),
            (support.clone(), Role::Admin, support.clone()),
            (support.clone(), support.clone(), support.clone()),
            (support.clone(), audit, Role::User),
            (support.clone(), Role::User, Role::User),
            (Role::User, support, Role::User),
        ] {
            let [restored, newer] = [restored, newer].map(|role| Account { role, ..account(1) });
            assert_eq!(with_access_of(&restored, &newer).role, expected);
        }
    }

    #[test]
    fn a_higher_epoch_takes_the_password_and_ended_sessions() {
        let newer = Account {
            password: "new".into(),
            revoked: BTreeMap::from([("b".into(), 2)]),
            keys_from: Some(2),
            email: Some("new@example.com".into()),
            ..account(2)
        };
        let after = with_access_of(&account(1), &newer);
        assert!(has_same_access(&after, &newer));
    }

    #[test]
    fn an_equal_epoch_merges_ended_sessions_only() {
        let newer = Account {
            password: "the same, with another salt".into(),
            revoked: BTreeMap::from([("b".into(), 2)]),
            ..account(1)
        };
        let after = with_access_of(&account(1), &newer);
        assert_eq!(after.password, "old");
        assert_eq!(after.revoked.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
