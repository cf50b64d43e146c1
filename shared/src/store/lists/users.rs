//! Lists of users, for administrators: sorted by time, or by username and address.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::operation::query::QueryOutput;
use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::Deserialize;
use uuid::Uuid;

use crate::Error;
use crate::clock::{Day, millis_of};
use crate::store::accounts::addresses::Claim;
use crate::store::read::{names, values};
use crate::store::schema::{ACCOUNT, USER_SHARDS, account_pk, pk, user_month};
use crate::store::timeline::Timeline;
use crate::store::{
    DataPeriod, Item, ListedAccount, PageStart, Result, Store, StoreError, from_item, s,
};
use crate::values::text::key;
use crate::values::{Account, login_key};

/// The greatest character. A prefix followed by this character sorts after every string with that
/// prefix.
const LAST: char = '\u{10ffff}';

/// The maximum length of a prefix in a search, in bytes. A sort key can be at most 1024 bytes long.
const LABEL_LENGTH: usize = 1020;

/// A string that sorts before every label.
const FIRST: &str = "\u{1}";

/// The maximum number of times that a search for labels containing a string reads all partitions
/// for one page, and how many labels it reads from each partition at a time.
const LABEL_ROUNDS: usize = 8;
const LABELS: usize = 250;

/// How many usernames are read at a time.
const NAMES_AT_ONCE: usize = 16;

/// The position of a username or address in the `by_label` index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Label {
    label: String,
    pk: String,
}

impl Label {
    /// Parses the position in a cursor. `None` if the cursor isn't from this search.
    fn from_cursor(pk: &str, prefix: &str) -> Option<Self> {
        let (_, label) = pk.split_once(':')?;
        label.starts_with(prefix).then(|| Self { label: label.to_owned(), pk: pk.to_owned() })
    }
}

/// An account in a list, with its position. A page that begins at this position shows the accounts
/// that follow.
pub(in crate::store) struct PlacedAccount {
    pub(in crate::store) place: String,
    pub(in crate::store) id: String,
    /// The account's pk.
    pub(in crate::store) pk: String,
}

impl Store {
    /// Returns at most `count` accounts, newest first, starting at `start`. Also returns where the
    /// next page begins.
    pub async fn users(
        &self,
        start: Option<&PageStart>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<ListedAccount>, Option<PageStart>)> {
        let (found, next) = self.newest(self.users_by_time(), start, period, count).await?;
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next))
    }

    /// Returns a page of the accounts that were created on a day, oldest first, starting after the
    /// id `after`. Also returns the page's last id, if there may be more accounts.
    pub async fn users_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<ListedAccount>, Option<String>)> {
        let list = self.users_by_time();
        self.of_day(list, &list.partitions(&day.month()), day, after).await
    }

    /// Returns these accounts (at most 100), keyed by id. Skips deleted accounts. Strongly
    /// consistent.
    pub async fn accounts_listed(
        &self,
        users: &[ListedAccount],
    ) -> Result<HashMap<String, Account>> {
        let keys = users.iter().map(|user| user.pk.clone()).collect();
        let found = self.users_with_keys(keys).await?.into_values().map(from_item::<Account>);
        let accounts = found.collect::<Result<Vec<_>>>()?.into_iter();
        let accounts = accounts.filter(|account| account.deleted.is_none());
        Ok(accounts.map(|account| (account.id.clone(), account)).collect())
    }

    pub(in crate::store) fn users_by_time(&self) -> Timeline<'_> {
        Timeline {
            table: &self.tables.users,
            index: "by_time",
            partition: "month",
            id: "id",
            shards: USER_SHARDS,
        }
    }

    /// Returns at most `count` usernames and addresses that begin with `prefix`, in alphabetical
    /// order, starting after the position `after`. Also returns where the next page begins.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if `after` isn't a position in this search.
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
        let after = after
            .map(|pk| {
                Label::from_cursor(pk, &prefix).ok_or(StoreError::Refused(Error::InvalidCursor))
            })
            .transpose()?;
        let from = after.as_ref().map_or(prefix.as_str(), |after| &after.label);
        // Read two extra labels: the one after which the page begins, and one that shows whether
        // there are more.
        let lanes = self.label_lanes(from, &format!("{prefix}{LAST}"), count + 2).await?;
        let found = lanes.into_iter().flat_map(|lane| lane.items.unwrap_or_default());
        let mut labels: Vec<Label> = found.map(from_item).collect::<Result<_>>()?;
        labels.retain(|label| Some(label) > after.as_ref());
        labels.sort();
        let more = labels.len() > count;
        labels.truncate(count);
        let next = labels.last().filter(|_| more).map(|last| last.pk.clone());
        Ok((labels, next))
    }

    /// Returns at most `count` usernames and addresses that contain `text`, in alphabetical order,
    /// starting after the position `after`. Also returns where the next page begins. Reads a
    /// bounded number of labels, so a page may be short or empty; the next page continues where
    /// this page ended.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if `after` isn't a position in this index.
    pub(in crate::store) async fn labels_containing(
        &self,
        text: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Label>, Option<String>)> {
        let text = key(text);
        let mut after = after
            .map(|pk| Label::from_cursor(pk, "").ok_or(StoreError::Refused(Error::InvalidCursor)))
            .transpose()?;
        // Read three extra labels: the one after which the page begins, the one at which the
        // partition's result is truncated, and one in case a username and an address are the same
        // label.
        let (mut found, mut limit) = (Vec::new(), count + 3);
        for _ in 0..LABEL_ROUNDS {
            let from = after.as_ref().map_or(FIRST, |after| after.label.as_str());
            let (mut labels, mut end) = (Vec::<Label>::new(), None::<String>);
            for lane in self.label_lanes(from, &LAST.to_string(), limit).await? {
                let some: Vec<Label> = lane
                    .items
                    .unwrap_or_default()
                    .into_iter()
                    .map(from_item)
                    .collect::<Result<_>>()?;
                // A partition whose result was truncated may have unread labels that sort before
                // other partitions' labels.
                let cut = some.last().filter(|_| lane.last_evaluated_key.is_some());
                let ends = end.into_iter().chain(cut.map(|cut| cut.label.clone()));
                end = ends.min();
                labels.extend(some);
            }
            labels.retain(|label| Some(label) > after.as_ref());
            labels.retain(|label| end.as_ref().is_none_or(|end| label.label < *end));
            labels.sort();
            for label in labels {
                after = Some(label.clone());
                if label.label.contains(&text) {
                    found.push(label);
                }
                if found.len() == count {
                    return Ok((found, after.map(|after| after.pk)));
                }
            }
            if end.is_none() {
                return Ok((found, None));
            }
            limit = LABELS;
        }
        Ok((found, after.map(|after| after.pk)))
    }

    /// Queries each partition of the index for at most `limit` labels between `from` and `to`.
    async fn label_lanes(&self, from: &str, to: &str, limit: usize) -> Result<Vec<QueryOutput>> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let lanes = (0..USER_SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.tables.users)
                .index_name("by_label")
                .key_condition_expression("#shard = :shard AND label BETWEEN :from AND :to")
                .set_expression_attribute_names(names([("#shard", "shard")]))
                .set_expression_attribute_values(values([
                    (":shard", s(shard.to_string())),
                    (":from", s(from)),
                    (":to", s(to)),
                ]))
                .limit(limit)
                .send()
        });
        Ok(try_join_all(lanes).await?)
    }

    /// Returns the accounts with these usernames and addresses, which begin with `prefix`, in the
    /// same order. Strongly consistent. An account whose username and address both begin with
    /// `prefix` is listed only under its username, so it never appears on two pages.
    pub async fn users_labelled(
        &self,
        labels: Vec<Label>,
        prefix: &str,
    ) -> Result<Vec<ListedAccount>> {
        let prefix = key(prefix);
        let accounts = self.accounts_labelled(labels, |name| name.starts_with(&prefix)).await?;
        Ok(accounts.iter().map(|(_, account)| ListedAccount::from_account(account)).collect())
    }

    /// Like [`Store::users_labelled`], but returns the stored accounts, each with the position of
    /// the username or address that was found. `matches` returns true if the search finds the
    /// username.
    pub(in crate::store) async fn accounts_labelled(
        &self,
        labels: Vec<Label>,
        matches: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Account)>> {
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
            .map(|claim| account_pk(&claim.name))
            .filter(|pk| !items.contains_key(pk))
            .collect();
        items.extend(self.users_with_keys(behind).await?);

        let (mut shown, mut seen) = (Vec::new(), HashSet::new());
        for Label { pk: place, .. } in labels {
            let (pk, id) = match claims.get(&place) {
                Some(claim) if matches(&claim.name) => continue,
                Some(claim) => (account_pk(&claim.name), Some(&claim.id)),
                None => (place.clone(), None),
            };
            let Some(account) = items.get(&pk).cloned().map(from_item::<Account>).transpose()?
            else {
                continue;
            };
            if account.deleted.is_none()
                && id.is_none_or(|id| *id == account.id)
                && seen.insert(account.id.clone())
            {
                shown.push((place, account));
            }
        }
        Ok(shown)
    }

    /// Returns the items in the Users table that have these pks, keyed by pk. Skips deleted items.
    pub(in crate::store) async fn users_with_keys(
        &self,
        keys: BTreeSet<String>,
    ) -> Result<HashMap<String, Item>> {
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

    /// Returns the account with this id. Reads an index, which may be slightly out of date.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] if the index contains no account with this id.
    pub async fn user_with_id(&self, id: Option<&str>) -> Result<ListedAccount> {
        let Some(id) = id else { return Err(StoreError::Refused(Error::NoSuchUser)) };
        self.listed(id).await?.ok_or(StoreError::Refused(Error::NoSuchUser))
    }

    /// Returns the accounts with these ids, in the order of the ids. Skips deleted accounts. Reads
    /// an index, which may be slightly out of date.
    pub async fn users_with_ids(&self, ids: BTreeSet<String>) -> Result<Vec<ListedAccount>> {
        let found: Vec<Option<ListedAccount>> = iter(ids)
            .map(|id| async move { self.listed(&id).await })
            .buffered(NAMES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Returns, for each of these strings, the accounts that it may identify: the account with this
    /// id, or otherwise the accounts with this username or address.
    pub async fn accounts_matching_each(&self, texts: Vec<String>) -> Result<Vec<Vec<Account>>> {
        iter(texts)
            .map(|text| async move {
                // A string that is an id, in any notation, never counts as a username. Otherwise, a
                // user could choose another account's id as a username and be mistaken for that
                // account.
                if let Ok(id) = Uuid::try_parse(&text) {
                    let found = self.account_with_id(&id.to_string()).await?;
                    return Ok(found.into_iter().collect());
                }
                match login_key(&text) {
                    Some(login) => self.accounts_matching(&login).await,
                    None => Ok(Vec::new()),
                }
            })
            .buffered(NAMES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Returns the account with this id. `None` if no account has this id.
    pub async fn account_with_id(&self, id: &str) -> Result<Option<Account>> {
        let Some(listed) = self.listed(id).await? else { return Ok(None) };
        match self.account_of_user(&listed).await {
            Err(StoreError::Refused(Error::NoSuchUser)) => Ok(None),
            account => account.map(Some),
        }
    }

    async fn listed(&self, id: &str) -> Result<Option<ListedAccount>> {
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

    /// Returns the usernames of these accounts, keyed by id. Skips deleted accounts.
    pub async fn usernames(
        &self,
        ids: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, String>> {
        let ids: BTreeSet<String> = ids.into_iter().map(str::to_owned).collect();
        let found: Vec<Option<ListedAccount>> = iter(ids)
            .map(|id| async move { self.listed(&id).await })
            .buffer_unordered(NAMES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().map(|listed| (listed.id, listed.name)).collect())
    }
}
