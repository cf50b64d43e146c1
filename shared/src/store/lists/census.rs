//! The census, which reads every account once a day and stores totals and rankings. An index can't
//! sort users by balance or last chat, because every chat would have to update the index. Instead,
//! the census stores the first users in each sort order, and a page of the list reads their current
//! accounts.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::store::imports::HashCounts;
use crate::store::lists::users::PlacedAccount;
use crate::store::schema::{CENSUS, account_pk, pk, ranking_pk};
use crate::store::{Item, Result, Store, StoreError, Write, from_item, s, to_item};
use crate::values::{Account, Imports, Role};

/// How many users are stored for each sort order.
const RANKED: usize = 1000;

/// How many users one item of a ranking contains.
const CHUNK: usize = 100;

/// How many accounts a batch contains, and how many batches are read in parallel.
const BATCH: usize = 100;
const AT_ONCE: usize = 4;

/// How many accounts a census reads in parallel.
pub const CENSUS_AT_ONCE: usize = BATCH * AT_ONCE;

/// The figure that a sort order sorts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Balance,
    Spent,
    LastMessage,
}

/// A sort order for all users. The census stores the first users in each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserOrder {
    figure: Figure,
    falling: bool,
}

impl UserOrder {
    /// All sort orders.
    pub const ALL: [Self; 6] = [
        Self { figure: Figure::Balance, falling: false },
        Self { figure: Figure::Balance, falling: true },
        Self { figure: Figure::Spent, falling: false },
        Self { figure: Figure::Spent, falling: true },
        Self { figure: Figure::LastMessage, falling: false },
        Self { figure: Figure::LastMessage, falling: true },
    ];

    /// Returns the sort order's name: the name of a field, prefixed with `-` if the largest value
    /// comes first.
    pub fn word(self) -> &'static str {
        match (self.figure, self.falling) {
            (Figure::Balance, false) => "tokens",
            (Figure::Balance, true) => "-tokens",
            (Figure::Spent, false) => "spent",
            (Figure::Spent, true) => "-spent",
            (Figure::LastMessage, false) => "last_message",
            (Figure::LastMessage, true) => "-last_message",
        }
    }

    /// Returns the sort order with this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.word() == word)
    }

    /// Returns the account's rank; the lowest rank comes first. Users who never sent a message are
    /// ranked as if they had sent one in 1970.
    fn rank(self, account: &Account, now: u64) -> u64 {
        let figure = match self.figure {
            Figure::Balance => account.balance(now).get(),
            Figure::Spent => account.spent.get(),
            Figure::LastMessage => account.last_message().unwrap_or_default(),
        };
        if self.falling { u64::MAX - figure } else { figure }
    }
}

/// The totals of all accounts at the time of a census.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// When the census began, in milliseconds since 1970.
    pub made: u64,
    /// How many accounts there are.
    pub users: u64,
    /// How many accounts belong to administrators, including deactivated accounts.
    pub administrators: u64,
    /// How many accounts are deactivated.
    pub deactivated: u64,
    /// How many accounts never sent a message.
    pub silent: u64,
    /// The sum of all balances.
    pub tokens: u64,
    /// The sum of all credits that were granted to the accounts.
    pub granted: u64,
    /// The sum of all credits that the accounts spent.
    pub spent: u64,
}

impl Census {
    fn count(&mut self, account: &Account, now: u64) {
        let one_if = |is: bool| u64::from(is);
        self.users += 1;
        self.administrators += one_if(account.role == Role::Admin);
        self.deactivated += one_if(!account.active);
        self.silent += one_if(account.last_message().is_none());
        for (sum, amount) in [
            (&mut self.tokens, account.balance(now)),
            (&mut self.granted, account.granted),
            (&mut self.spent, account.spent),
        ] {
            *sum = sum.saturating_add(amount.get());
        }
    }
}

/// The first users in a sort order, as far as the census has collected them.
struct Ranking {
    order: UserOrder,
    /// Each user's rank, and the user's id with the key form of the username.
    first: Vec<(u64, String)>,
    /// The highest rank that can still be among the first users.
    last: u64,
}

impl Ranking {
    fn new(order: UserOrder) -> Self {
        Self { order, first: Vec::new(), last: u64::MAX }
    }

    fn note(&mut self, account: &Account, now: u64) {
        let rank = self.order.rank(account, now);
        if rank > self.last {
            return;
        }
        self.first.push((rank, format!("{} {}", account.id, account.label)));
        if self.first.len() >= 2 * RANKED {
            self.prune();
            self.last = self.first.last().map_or(u64::MAX, |(rank, _)| *rank);
        }
    }

    fn prune(&mut self) {
        self.first.sort_unstable();
        self.first.truncate(RANKED);
    }

    /// Returns all items for this sort order, including empty ones, so that they replace all items
    /// from an earlier census.
    fn parts(&self, now: u64) -> Result<Vec<Item>> {
        let mut users = self.first.iter().map(|(_, user)| user.clone());
        let parts = (0..RANKED / CHUNK).map(|part| {
            to_item(StoredRanking {
                pk: ranking_pk(self.order.word(), part),
                made: now,
                users: users.by_ref().take(CHUNK).collect(),
            })
        });
        parts.collect()
    }
}

/// An item that stores one part of the first users in a sort order.
#[derive(Serialize, Deserialize)]
struct StoredRanking {
    /// `ranking:<sort order>#<part number>`.
    pk: String,
    made: u64,
    /// Each user's id, and the key form of the username.
    users: Vec<String>,
}

impl Store {
    /// Reads every account, and replaces the previous census with the new totals and the first
    /// users in each sort order. Also counts the remaining imported hashes, if there is a record of
    /// imports. `now` is in milliseconds. Idempotent. If an account can't be read, the census skips
    /// it and returns an error at the end.
    pub async fn take_census(&self, now: u64, imports: Option<&Imports>) -> Result<Census> {
        let mut census = Census { made: now, ..Census::default() };
        let mut rankings = UserOrder::ALL.map(Ranking::new);
        let mut hashes = HashCounts::default();
        let seconds = now / 1000;
        let unreadable = self
            .each_account(|account| {
                census.count(account, seconds);
                hashes.count(account);
                rankings.iter_mut().for_each(|ranking| ranking.note(account, seconds));
            })
            .await?;
        let mut sums = to_item(&census)?;
        sums.extend([("pk".to_owned(), s(CENSUS))]);
        let mut items = vec![sums];
        for ranking in &mut rankings {
            ranking.prune();
            items.extend(ranking.parts(now)?);
        }
        let puts = items.into_iter().map(|item| Write::put(&self.tables.tokens, item));
        let puts: Vec<Write> = puts.collect();
        try_join_all(puts.iter().map(|put| self.send(put))).await?;
        if let Some(imports) = imports {
            self.recount_imports(imports, &hashes).await?;
        }
        unreadable.map_or(Ok(census), Err)
    }

    /// Calls `see` for every account that isn't deleted. Skips accounts that can't be read, and
    /// returns the last error at the end.
    pub(in crate::store) async fn each_account(
        &self,
        mut see: impl FnMut(&Account),
    ) -> Result<Option<StoreError>> {
        let (mut start, mut unreadable) = (None, None);
        loop {
            let (keys, next) = self.keys_of_users(start).await?;
            let batches: Vec<Vec<String>> = keys.chunks(BATCH).map(<[String]>::to_vec).collect();
            let read = |some: Vec<String>| async move {
                self.items(&self.tables.users, some.into_iter().map(pk).collect()).await
            };
            let mut batches = iter(batches).map(read).buffer_unordered(AT_ONCE);
            while let Some(items) = batches.try_next().await? {
                for account in items.into_iter().map(from_item::<Account>) {
                    match account {
                        Ok(account) if account.deleted.is_some() => {}
                        Ok(account) => see(&account),
                        Err(error) => unreadable = Some(error),
                    }
                }
            }
            if next.is_none() {
                return Ok(unreadable);
            }
            start = next;
        }
    }

    /// Returns a page of account pks. Also returns where the next page begins.
    async fn keys_of_users(&self, start: Option<Item>) -> Result<(Vec<String>, Option<Item>)> {
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.users)
            .index_name("by_time")
            .projection_expression("pk")
            .set_exclusive_start_key(start);
        let page = scan.send().await?;
        let key = |item: Item| item.get("pk").and_then(|pk| pk.as_s().ok()).cloned();
        let keys = page.items.unwrap_or_default().into_iter().filter_map(key).collect();
        Ok((keys, page.last_evaluated_key))
    }

    /// Returns the totals of the latest census. `None` before the first census.
    pub async fn census(&self) -> Result<Option<Census>> {
        self.get(&self.tables.tokens, pk(CENSUS)).await
    }

    /// Returns at most `count` users in a sort order, starting at `position`. Also returns the
    /// position of the next page, if there may be one.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if `position` doesn't exist in any sort order.
    pub(in crate::store) async fn ranked(
        &self,
        order: UserOrder,
        position: Option<&str>,
        count: usize,
    ) -> Result<(Vec<PlacedAccount>, Option<String>)> {
        let from = position.map_or(Ok(0), str::parse::<usize>);
        let from = from.map_err(|_| StoreError::Refused(Error::InvalidCursor))?;
        if from >= RANKED {
            return Err(StoreError::Refused(Error::InvalidCursor));
        }
        let end = (from + count).min(RANKED);
        let parts = from / CHUNK..end.div_ceil(CHUNK);
        let keys = parts.map(|part| pk(ranking_pk(order.word(), part))).collect();
        let mut kept = BTreeMap::new();
        for item in self.items(&self.tables.tokens, keys).await? {
            let StoredRanking { pk, users, .. } = from_item(item)?;
            kept.insert(pk, users);
        }
        let mut found = Vec::new();
        for place in from..end {
            let part = kept.get(&ranking_pk(order.word(), place / CHUNK));
            let Some(user) = part.and_then(|users| users.get(place % CHUNK)) else {
                return Ok((found, None));
            };
            let (id, name_key) = user.split_once(' ').unwrap_or_default();
            let (id, pk) = (id.to_owned(), account_pk(name_key));
            found.push(PlacedAccount { place: (place + 1).to_string(), id, pk });
        }
        Ok((found, Some(end.to_string()).filter(|_| end < RANKED)))
    }
}
