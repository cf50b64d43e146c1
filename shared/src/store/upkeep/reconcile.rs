//! Makes restored tables consistent. All tables are restored to the same point in time, but the
//! restore may split a transaction that was in progress at that time: the restored tables, or even
//! a single restored table, may contain only some of its writes. Such a transaction is completed or
//! undone. For balances, the ledger is authoritative. For claims to addresses, the list of
//! administrators and the number of API keys, the account is authoritative.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::future::try_join_all;

use crate::clock::{Clock, millis_of};
use crate::store::orders::{Order, orders};
use crate::store::schema::{ACCOUNT, API_KEY, CLAIM, SESSION, pk};
use crate::store::sources::{StoredSource, sources};
use crate::store::vouchers::RestoredVouchers;
use crate::store::{Item, Result, Store, Write, from_item, n, s, text};
use crate::values::{Account, StoredApiKey};

/// How many accounts are reconciled at a time.
const ACCOUNTS_AT_ONCE: usize = 8;

/// How far a function's clock may be ahead of the store's clock, in seconds.
const SKEW: u64 = 60;

/// The results of a reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// How many accounts were reconciled.
    pub accounts: usize,
    /// One sentence for each repair.
    pub repairs: Vec<String>,
}

/// Returns true if the session or API key with this id was created after `second`, the point in
/// time to which the tables were restored.
pub(in crate::store) fn is_younger(id: &str, second: u64) -> bool {
    millis_of(id).is_some_and(|began| began / 1000 > second + SKEW)
}

/// The items in the Tokens table that [`Store::reconcile`] needs.
#[derive(Default)]
struct RestoredTokens {
    /// All API keys, grouped by user.
    keys: HashMap<String, Vec<StoredApiKey>>,
    /// All sources of named grants.
    sources: Vec<StoredSource>,
    vouchers: RestoredVouchers,
    /// All orders, grouped by buyer.
    orders: HashMap<String, Vec<Order>>,
}

impl Store {
    /// Makes restored tables consistent, before any function uses them. `second` is the point in
    /// time to which the tables were restored. Afterwards, the audit doesn't find any differences
    /// that result from the restore. Returns `None` and doesn't repair anything if the tables are
    /// already in use, that is, if they contain a session or an API key created after `second`.
    /// Idempotent.
    ///
    /// # Errors
    /// Fails if the store fails or contains an item that can't be read.
    pub async fn reconcile(&self, second: u64, clock: &Clock) -> Result<Option<ReconcileReport>> {
        let Some(tokens) = self.restored_tokens(second).await? else { return Ok(None) };
        let RestoredTokens { keys, mut sources, vouchers, orders } = tokens;
        let imports: HashMap<&str, &StoredSource> = sources
            .iter()
            .filter(|source| source.is_first_grant())
            .map(|source| (source.account.as_str(), source))
            .collect();
        let now = clock.seconds();
        let mut done = ReconcileReport::default();
        let mut administrators = BTreeSet::new();
        let mut start = None;
        loop {
            let (items, next) = self.page(&self.tables.users, start).await?;
            let mut accounts: Vec<Account> = Vec::new();
            for item in items {
                if text(&item, "pk").starts_with(CLAIM) {
                    done.repairs.extend(self.check_claim(item).await?);
                } else if text(&item, "pk").starts_with(ACCOUNT) {
                    accounts.push(from_item(item)?);
                }
            }
            for some in accounts.chunks(ACCOUNTS_AT_ONCE) {
                let each = some.iter().map(|account| {
                    let keys = keys.get(&account.id).map(Vec::as_slice).unwrap_or_default();
                    let orders = orders.get(&account.id).map(Vec::as_slice).unwrap_or_default();
                    let import = imports.get(account.id.as_str()).copied();
                    self.reconcile_account(account, keys, orders, import, (second, now))
                });
                done.repairs.extend(try_join_all(each).await?.into_iter().flatten());
            }
            done.accounts += accounts.len();
            administrators.extend(
                accounts.into_iter().filter(Account::administers).map(|account| account.id),
            );
            if next.is_none() {
                break;
            }
            start = next;
        }
        let mut undone = HashSet::new();
        for source in &sources {
            if self.undo_source(source).await? {
                done.repairs
                    .push(format!("deleted the source {}, which has no row", source.text()));
                undone.insert(source.text().to_owned());
            }
        }
        sources.retain(|source| !undone.contains(source.text()));
        // Do this after the sources have been checked. Each step of an order writes a source, so
        // the source of a step that was undone must be deleted before the step is repeated.
        for order in orders.values().flatten() {
            done.repairs.extend(self.move_missing_credits(order.id(), clock).await?);
        }
        done.repairs.extend(self.count_uses_again(vouchers, &sources).await?);
        if self.list_administrators(administrators).await? {
            done.repairs.push("the list of administrators".into());
        }
        done.repairs.extend(self.reconcile_files().await?);
        // Do this last, after every claim has been checked against its account.
        self.claim_all_again(&mut done).await?;
        Ok(Some(done))
    }

    async fn claim_all_again(&self, done: &mut ReconcileReport) -> Result<()> {
        let mut start = None;
        loop {
            let (items, next) = self.page(&self.tables.users, start).await?;
            for item in items {
                if text(&item, "pk").starts_with(ACCOUNT) {
                    let account: Account = from_item(item)?;
                    done.repairs.extend(self.claim_again(&account).await?);
                }
            }
            if next.is_none() {
                return Ok(());
            }
            start = next;
        }
    }

    /// Reconciles one account: its balance, orders, API keys and purses. `import` is the source of
    /// an imported account's balance.
    async fn reconcile_account(
        &self,
        account: &Account,
        keys: &[StoredApiKey],
        orders: &[Order],
        import: Option<&StoredSource>,
        (second, now): (u64, u64),
    ) -> Result<Vec<String>> {
        let valid: Vec<&StoredApiKey> =
            keys.iter().filter(|key| account.accepts_epoch(key.auth_epoch)).collect();
        let mut repairs =
            self.reconcile_balance(account, &valid, orders, import, (second, now)).await?;
        let valid = u32::try_from(valid.len()).unwrap_or(u32::MAX);
        if account.deleted.is_none() && account.api_keys != valid {
            let count = Write::update(&self.tables.users, pk(&account.pk), "SET api_keys = :valid")
                .condition("id = :id")
                .values([(":id", s(&account.id)), (":valid", n(valid))]);
            if self.send(&count).await?.is_applied() {
                repairs.push(format!("API keys: {valid}"));
            }
        }
        Ok(repairs.into_iter().map(|repair| format!("{}: {repair}", account.label)).collect())
    }

    /// Reads the restored Tokens table. `None` if a session or an API key was created after
    /// `second`.
    async fn restored_tokens(&self, second: u64) -> Result<Option<RestoredTokens>> {
        let mut found = RestoredTokens::default();
        let mut start = None;
        loop {
            let (items, next) = self.page(&self.tables.tokens, start).await?;
            found.sources.extend(sources(&items)?);
            for order in orders(&items)? {
                found.orders.entry(order.account.clone()).or_default().push(order);
            }
            for item in items {
                let key = text(&item, "pk");
                let id = key.strip_prefix(SESSION).or_else(|| key.strip_prefix(API_KEY));
                if id.is_some_and(|id| is_younger(id, second)) {
                    return Ok(None);
                }
                found.vouchers.add(&item)?;
                if key.starts_with(API_KEY) {
                    let key: StoredApiKey = from_item(item)?;
                    found.keys.entry(key.user_id.clone()).or_default().push(key);
                }
            }
            if next.is_none() {
                return Ok(Some(found));
            }
            start = next;
        }
    }

    /// Returns a page of a table, with strong consistency. Also returns where the next page begins.
    pub(in crate::store) async fn page(
        &self,
        table: &str,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>)> {
        let scan = self.client.scan().table_name(table).set_exclusive_start_key(start);
        let page = scan.consistent_read(true).send().await?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }
}
