//! What administrators see of accounts, and what they change of them: whether somebody may do
//! anything, and what.
//!
//! Whoever changes somebody's standing is an active administrator in the transaction that does it,
//! and never that somebody: so two who demote each other at once leave one of them. Only a deletion
//! of one's own account could leave none; it asks the item `admins`, which holds the ids
//! of active administrators and is written with every change of who is one. Each id in it is one;
//! one that is from before it was kept may be missing, until a deletion looks for all of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::addresses::Claim;
use super::read::{names, values};
use super::schema::{
    ACCOUNT, ADMINISTRATORS, USER_SHARDS, account_key, pk, standing_of, user_month,
};
use super::timeline::Timeline;
use super::{
    Act, Entry, EntryKind, Item, Patience, Place, Reason, Session, Store, Transaction, Write, flag,
    from_item, n, no_entries, s,
};
use crate::auth::{AccessToken, Administrator};
use crate::clock::{self, Clock, Day, least_id, millis_of};
use crate::user::{Account, Role, key};
use crate::{Error, Result};

/// Sorts after everything that begins like a text which it is added to.
const LAST: char = '\u{10ffff}';

/// The longest text that a label can begin with, in bytes: a sort key has 1024.
const LABEL_LENGTH: usize = 1020;

/// How many names are looked for at a time.
const AT_A_TIME: usize = 16;

/// An account as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The account's id.
    pub id: String,
    /// Its name as it was typed.
    pub name: String,
    /// Its address, where it has one.
    #[serde(default)]
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether it may do anything.
    pub active: bool,
    /// `user:<key of the name>`.
    pk: String,
}

impl Listed {
    /// This account.
    pub fn of(account: &Account) -> Self {
        let Account { id, name, email, role, active, pk, .. } = account.clone();
        Self { id, name, email, role, active, pk }
    }

    /// When it was registered, as replies show it.
    pub fn joined(&self) -> String {
        clock::rfc3339(millis_of(&self.id).unwrap_or_default())
    }
}

/// What is to become of somebody's standing, and why. Nothing stays as it is.
#[derive(Clone, Debug)]
pub struct StandingChange {
    /// Whether the account may do anything.
    pub active: Option<bool>,
    /// What it may do.
    pub role: Option<Role>,
    /// Why, if somebody says.
    pub reason: Option<Reason>,
}

/// Where something stands in the index by_label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Label {
    label: String,
    pk: String,
}

impl Label {
    /// The place that a page of such a search begins behind.
    fn behind(pk: &str, prefix: &str) -> Option<Self> {
        let (_, label) = pk.split_once(':')?;
        label.starts_with(prefix).then(|| Self { label: label.to_owned(), pk: pk.to_owned() })
    }
}

impl Store {
    /// At most `count` accounts, newest first, from `place` on; and where the next page begins.
    /// `now` is in milliseconds.
    pub async fn users(
        &self,
        place: Option<&Place>,
        now: u64,
        count: usize,
    ) -> Result<(Vec<Listed>, Option<Place>)> {
        let (found, next) = self.newest(self.users_by_time(), place, now, count).await?;
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next))
    }

    /// Some accounts that were registered on a day, oldest first, behind the id `after`; and the
    /// last id, where there may be more.
    pub async fn users_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<Listed>, Option<String>)> {
        let list = self.users_by_time();
        let first = least_id(day.begins());
        let partitions = list.partitions(&day.month());
        let (found, next) = self
            .oldest(list, &partitions, after.unwrap_or(&first), &least_id(day.after(1).begins()))
            .await?;
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next))
    }

    fn users_by_time(&self) -> Timeline<'_> {
        Timeline {
            table: &self.tables.users,
            index: "by_time",
            partition: "month",
            id: "id",
            shards: USER_SHARDS,
        }
    }

    /// At most `count` names and addresses that begin with `prefix`, in their order, behind the
    /// place `after`; and where the next page begins.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] where nothing of this search is at that place.
    pub async fn labels(
        &self,
        prefix: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Label>, Option<String>)> {
        let prefix = key(prefix);
        if prefix.len() > LABEL_LENGTH {
            return Ok((Vec::new(), None));
        }
        let after =
            after.map(|pk| Label::behind(pk, &prefix).ok_or(Error::InvalidCursor)).transpose()?;
        let from = after.as_ref().map_or(prefix.as_str(), |after| &after.label);
        let lanes = (0..USER_SHARDS).map(|shard| {
            let query = self
                .client
                .query()
                .table_name(&self.tables.users)
                .index_name("by_label")
                .key_condition_expression("#shard = :shard AND label BETWEEN :from AND :to")
                .set_expression_attribute_names(names([("#shard", "shard")]))
                .set_expression_attribute_values(values([
                    (":shard", s(shard.to_string())),
                    (":from", s(from)),
                    (":to", s(format!("{prefix}{LAST}"))),
                ]));
            // One more tells whether there are more, and one may be the place that the page begins
            // behind.
            query.limit(i32::try_from(count + 2).unwrap_or(i32::MAX)).send()
        });
        let found =
            try_join_all(lanes).await?.into_iter().flat_map(|lane| lane.items.unwrap_or_default());
        let mut labels: Vec<Label> = found.map(from_item).collect::<Result<_>>()?;
        labels.retain(|label| Some(label) > after.as_ref());
        labels.sort();
        let more = labels.len() > count;
        labels.truncate(count);
        let next = labels.last().filter(|_| more).map(|last| last.pk.clone());
        Ok((labels, next))
    }

    /// Whose these names and addresses are, in their order, strongly consistent; somebody who has
    /// two of them is there once.
    pub async fn users_labelled(&self, labels: Vec<Label>) -> Result<Vec<Listed>> {
        let mut items =
            self.users_with_keys(labels.iter().map(|label| label.pk.clone()).collect()).await?;
        let mut claims = HashMap::new();
        for Label { pk, .. } in labels.iter().filter(|label| !label.pk.starts_with(ACCOUNT)) {
            claims.extend(
                items
                    .remove(pk)
                    .map(from_item::<Claim>)
                    .transpose()?
                    .map(|claim| (pk.clone(), claim)),
            );
        }
        let behind: BTreeSet<String> = claims
            .values()
            .map(|claim| account_key(&claim.name))
            .filter(|pk| !items.contains_key(pk))
            .collect();
        items.extend(self.users_with_keys(behind).await?);

        let (mut shown, mut seen) = (Vec::new(), HashSet::new());
        for Label { pk, .. } in labels {
            let (pk, id) = match claims.get(&pk) {
                Some(claim) => (account_key(&claim.name), Some(&claim.id)),
                None => (pk, None),
            };
            let Some(account) = items.get(&pk).cloned().map(from_item::<Account>).transpose()?
            else {
                continue;
            };
            if account.deleted.is_none()
                && id.is_none_or(|id| *id == account.id)
                && seen.insert(account.id.clone())
            {
                shown.push(Listed::of(&account));
            }
        }
        Ok(shown)
    }

    /// The items of the table Users with these keys that stand, by key.
    async fn users_with_keys(&self, keys: BTreeSet<String>) -> Result<HashMap<String, Item>> {
        let keys = keys.into_iter().map(pk).collect();
        let key =
            |item: &Item| item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
        Ok(self
            .items(&self.tables.users, keys)
            .await?
            .into_iter()
            .map(|item| (key(&item), item))
            .collect())
    }

    /// The account with this id, as an index knows it: a moment later than it was written.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub async fn find_user(&self, id: Option<&str>) -> Result<Listed> {
        let Some(id) = id else { return Err(Error::NoSuchUser) };
        self.listed(id).await?.ok_or(Error::NoSuchUser)
    }

    async fn listed(&self, id: &str) -> Result<Option<Listed>> {
        let Some(millis) = millis_of(id) else { return Ok(None) };
        let query = self
            .client
            .query()
            .table_name(&self.tables.users)
            .index_name("by_time")
            .key_condition_expression("#month = :month AND id = :id")
            .set_expression_attribute_names(names([("#month", "month")]))
            .set_expression_attribute_values(values([
                (":month", s(user_month(id, millis))),
                (":id", s(id)),
            ]));
        let found = query.send().await?.items.unwrap_or_default();
        found.into_iter().next().map(from_item).transpose()
    }

    /// The account that an index knew, strongly consistent.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] where it is gone.
    pub async fn user(&self, listed: &Listed) -> Result<Account> {
        self.user_again(listed.pk.strip_prefix(ACCOUNT).unwrap_or_default(), &listed.id).await
    }

    /// The account with this key of a name, if it is still the one with this id.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub async fn user_again(&self, name_key: &str, id: &str) -> Result<Account> {
        let account = self.account_by_key(name_key).await?;
        account
            .filter(|account| account.id == id && account.deleted.is_none())
            .ok_or(Error::NoSuchUser)
    }

    /// The newest sessions of an account whose tokens open it at the second `now`, newest first, at
    /// most 100.
    pub async fn open_sessions(&self, account: &Account, now: u64) -> Result<Vec<Session>> {
        let (ids, _) = self.session_ids(&account.id, None).await?;
        let mut sessions = self.sessions(&ids).await?;
        sessions.retain(|session| account.active && session.opens(account, now));
        Ok(sessions)
    }

    /// The names of these accounts, by id, but for those that are gone.
    pub async fn names(
        &self,
        ids: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, String>> {
        let ids: BTreeSet<String> = ids.into_iter().map(str::to_owned).collect();
        let found: Vec<Option<Listed>> = iter(ids)
            .map(|id| async move { self.listed(&id).await })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().map(|listed| (listed.id, listed.name)).collect())
    }

    /// Changes what somebody may do, and ends all their sessions; a row of the ledger says who did
    /// it and why. `account` is theirs, as it was just read. Where nothing is to change nothing
    /// is written. Sent again, it is the success it was.
    ///
    /// # Errors
    /// [`Error::OwnStanding`], [`Error::NoSuchUser`] where the account was deleted since,
    /// [`Error::InvalidToken`] and [`Error::Forbidden`] where whoever does it was an
    /// administrator a moment ago.
    pub async fn change_standing(
        &self,
        by: &Administrator,
        account: &Account,
        change: &StandingChange,
        clock: &Clock,
    ) -> Result<Account> {
        let (rows, time) = ([clock.id(), clock.id()].map(|id| id.to_string()), clock.millis());
        let mut seen = account.clone();
        let mut patience = Patience::new();
        loop {
            let after = Account {
                active: change.active.unwrap_or(seen.active),
                role: change.role.unwrap_or(seen.role),
                auth_epoch: seen.auth_epoch + 1,
                ..seen.clone()
            };
            let acts = [
                (after.active != seen.active).then_some(if after.active {
                    Act::Activation
                } else {
                    Act::Deactivation
                }),
                (after.role != seen.role).then_some(Act::Role(after.role)),
            ];
            if acts == [None, None] {
                return Ok(seen);
            }
            if seen.id == by.account().id {
                return Err(Error::OwnStanding);
            }
            let mut writes =
                vec![self.set_standing(&seen, &after), self.is_administrator(by.caller())];
            for (act, id) in acts.into_iter().zip(&rows) {
                let Some(act) = act else { continue };
                let row = Entry {
                    user_id: standing_of(&seen.id),
                    entry_id: id.clone(),
                    amount: 0,
                    kind: EntryKind::Standing,
                    reason: change
                        .reason
                        .as_ref()
                        .map(|reason| reason.text().to_owned())
                        .unwrap_or_default(),
                    actor: by.account().id.clone(),
                    chat_id: None,
                    act: Some(act),
                    time,
                };
                writes.push(self.enter(&row)?);
            }
            writes.extend(self.note_change(&seen, &after));
            // A token of its own for each attempt: what it holds depends on what was read.
            if matches!(
                self.transact(writes, &Uuid::new_v4().to_string()).await?,
                Transaction::Applied
            ) {
                return Ok(after);
            }
            // If a copy of this very change was applied, its rows stand.
            let standing = self
                .account_by_key(&account.label)
                .await?
                .filter(|standing| standing.id == account.id && standing.deleted.is_none());
            for row in &rows {
                if self.has_entry(&standing_of(&account.id), row).await? {
                    return standing.ok_or(Error::NoSuchUser);
                }
            }
            by.still(self).await?;
            seen = standing.ok_or(Error::NoSuchUser)?;
            if !patience.lasts().await {
                return Err(Error::Unavailable(
                    "an account kept changing while its standing was to change".into(),
                ));
            }
        }
    }

    /// The write of another standing, on condition that it is still what it is in `seen`. The epoch
    /// rises, so that a late copy changes nothing.
    fn set_standing(&self, seen: &Account, after: &Account) -> Write {
        Write::update(
            &self.tables.users,
            pk(&seen.pk),
            "SET active = :active, #role = :role, auth_epoch = :next, revoked = :none",
        )
        .when("id = :id AND attribute_not_exists(deleted) AND active = :was_active AND #role = :was_role AND auth_epoch = :seen")
        .names([("#role", "role")])
        .values([
            (":id", s(&seen.id)),
            (":active", flag(after.active)),
            (":was_active", flag(seen.active)),
            (":role", s(after.role.word())),
            (":was_role", s(seen.role.word())),
            (":seen", n(seen.auth_epoch)),
            (":next", n(after.auth_epoch)),
            (":none", no_entries()),
        ])
    }

    /// The check that a caller is an active administrator still.
    pub(super) fn is_administrator(&self, caller: &AccessToken) -> Write {
        let check = Write::check(&self.tables.users, pk(account_key(&caller.name)));
        administers(check, caller).when(ADMINISTERS)
    }

    /// The write that notes who is an administrator now, where that changes.
    fn note_change(&self, seen: &Account, after: &Account) -> Option<Write> {
        match (seen.administers(), after.administers()) {
            (false, true) => Some(self.note_administrator(&after.id)),
            (true, false) => Some(self.administrators("DELETE ids :id", &seen.id)),
            _ => None,
        }
    }

    /// The write that notes that an account is an administrator's.
    pub(super) fn note_administrator(&self, id: &str) -> Write {
        self.administrators("ADD ids :id", id)
    }

    /// The write that notes that an administrator is none any more, on condition that another one
    /// is left.
    pub(super) fn leave_administrators(&self, id: &str) -> Write {
        self.administrators("DELETE ids :id", id)
            .when("attribute_exists(ids) AND (size(ids) > :one OR NOT contains(ids, :leaving))")
            .values([(":one", n(1)), (":leaving", s(id))])
            .shows_item()
    }

    fn administrators(&self, expression: &str, id: &str) -> Write {
        Write::update(&self.tables.users, pk(ADMINISTRATORS), expression)
            .values([(":id", AttributeValue::Ss(vec![id.to_owned()]))])
    }

    /// Looks for every administrator there is, so that the item that refused a deletion knows all
    /// of them. Whether it didn't before.
    pub(super) async fn find_administrators(&self, refused: &Item) -> Result<bool> {
        if refused.contains_key("complete") {
            return Ok(false);
        }
        let active_admin = [(":admin", s(Role::Admin.word())), (":true", flag(true))];
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.users)
            .index_name("by_time")
            .filter_expression("#role = :admin AND active = :true")
            .set_expression_attribute_names(names([("#role", "role")]))
            .set_expression_attribute_values(values(active_admin.clone()));
        let mut found = scan.into_paginator().items().send();
        while let Some(item) = found.try_next().await? {
            let Listed { id, pk: key, .. } = from_item(item)?;
            let check = Write::check(&self.tables.users, pk(key))
                .when("id = :id AND #role = :admin AND active = :true")
                .names([("#role", "role")])
                .values([(":id", s(&id))])
                .values(active_admin.clone());
            let writes = vec![check, self.note_administrator(&id)];
            // One that is none any more is left out.
            self.transact(writes, &Uuid::new_v4().to_string()).await?;
        }
        let complete =
            Write::update(&self.tables.users, pk(ADMINISTRATORS), "SET #complete = :true")
                .names([("#complete", "complete")])
                .values([(":true", flag(true))]);
        Ok(self.send(&complete).await?.is_applied())
    }
}

/// That a caller is an active administrator.
pub(super) const ADMINISTERS: &str = "id = :by AND active = :by_active AND #by_role = :by_admin AND auth_epoch = :by_epoch \
     AND attribute_not_exists(revoked.#by_session)";

/// A write with the names and values of [`ADMINISTERS`].
pub(super) fn administers(write: Write, caller: &AccessToken) -> Write {
    write.names([("#by_role", "role"), ("#by_session", caller.session.as_str())]).values([
        (":by", s(&caller.user_id)),
        (":by_active", flag(true)),
        (":by_admin", s(Role::Admin.word())),
        (":by_epoch", n(caller.auth_epoch)),
    ])
}
