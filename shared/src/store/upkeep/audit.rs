//! The audit, which recomputes each account from its ledger, compares the account's chats with the
//! ledger, and its conversations with their chats. The audit doesn't write anything. It keeps a
//! number for each of the account's conversations in memory, and no list of chats or rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::clock::Day;
use crate::store::credentials::Purses;
use crate::store::orders::{OrderTotals, orders};
use crate::store::read::{names, values};
use crate::store::schema::{ACCOUNT, CONVERSATION, account_pk, entry_key, pk};
use crate::store::sources::{StoredSource, sources};
use crate::store::{
    Item, Order, PriceVersions, Result, Store, StoreError, files_of, from_item, s, text,
};
use crate::values::restrictions::key_and_period;
use crate::values::{Account, Entry, Receipt, Usage};

/// The maximum number of times that an account is audited. An account is audited again if it
/// changes in the meantime.
const READINGS: usize = 10;

/// The pause before an account is audited again. Within this time, all items of a transaction
/// become visible.
const PAUSE: Duration = Duration::from_millis(50);

/// How many ledger rows a batch contains, and how many batches are read in parallel. More batches
/// could use up table capacity that running functions need.
const BATCH: usize = 100;
const AT_ONCE: usize = 4;

/// The result of auditing one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many ledger rows the account has.
    pub rows: u64,
    /// All differences that were found.
    pub differences: Vec<Difference>,
}

/// An inconsistency. `Display` describes it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// The account's own numbers don't add up.
    Account {
        /// The credits that the account was granted.
        granted: i128,
        /// The sum of balance, holds and spent credits.
        accounted: i128,
    },
    /// The account's granted credits differ from the ledger's.
    Granted {
        /// The value in the account.
        account: i128,
        /// The sum of the ledger's grants and adjustments.
        ledger: i128,
    },
    /// The account's spent credits differ from the ledger's.
    Spent {
        /// The value in the account.
        account: i128,
        /// The sum of the ledger's charges for chats.
        ledger: i128,
    },
    /// The ledger contains no charge for a stored chat.
    Uncharged {
        /// The chat's id.
        chat_id: String,
    },
    /// A stored chat's cost differs from the ledger's charge.
    Cost {
        /// The chat's id.
        chat_id: String,
        /// The cost in the chat.
        chat: Credits,
        /// The charge in the ledger.
        ledger: i128,
    },
    /// A ledger row's amount differs from the price computed from its receipt.
    Price {
        /// The chat's id.
        chat_id: String,
        /// The price computed from the receipt.
        price: Credits,
        /// The charge in the ledger.
        ledger: i128,
    },
    /// A receipt's fare differs from the model's fare in the receipt's version of the price list.
    Fare {
        /// The chat's id.
        chat_id: String,
        /// The list's version.
        list: String,
        /// The model's name.
        model: String,
    },
    /// A stored chat's receipt or model token counts differ from those in its ledger row.
    Receipt {
        /// The chat's id.
        chat_id: String,
    },
    /// The stored chats of a conversation cost more than the conversation was charged. Deleted chats
    /// may make them cost less.
    Conversation {
        /// The conversation's id.
        conversation: String,
        /// The value in the conversation.
        charged: i128,
        /// The sum of its stored chats' costs.
        chats: i128,
    },
    /// A chat's ledger row doesn't contain the chat's id.
    Unnamed {
        /// The row's id.
        entry_id: String,
    },
    /// A ledger row's source doesn't exist, or belongs to another row.
    Source {
        /// The row's id.
        entry_id: String,
        /// The source.
        source: String,
    },
    /// An order's credits or money differ from its ledger rows, or from what its payment requires.
    Order {
        /// The order's id.
        order: String,
    },
    /// The credits that the account owes differ from the sum that its orders owe.
    Owed {
        /// The value in the account.
        account: i128,
        /// The sum that its orders owe.
        orders: i128,
    },
    /// The purse of an API key differs from the sum of the key's charges and holds in the period.
    Purse {
        /// The key's id and the period.
        purse: String,
        /// The value of the purse.
        account: i128,
        /// The sum of the ledger's charges and the account's holds.
        accounted: i128,
    },
    /// The account received an allowance twice in a period, or the account hasn't recorded the
    /// allowance's period.
    Allowance {
        /// The first day of the period.
        period: Day,
    },
    /// A source's ledger row is missing, or contains a different amount.
    Rowless {
        /// The source.
        source: String,
    },
    /// An item of a shared chat doesn't match the shared chat's other items.
    Share {
        /// The item's key.
        item: String,
    },
    /// A stored chat lists a file that isn't stored.
    FileMissing {
        /// The file's id.
        file: String,
    },
    /// A stored file belongs to no chat.
    FileOrphaned {
        /// The file's id.
        file: String,
    },
    /// The account, a row or a chat can't be read.
    Unreadable {
        /// A description of the item and the cause.
        what: String,
    },
    /// The account changed each time that it was audited.
    Moving,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { granted, accounted } => write!(
                f,
                "granted is {granted}, but tokens, reservations and spent make {accounted}"
            ),
            Self::Granted { account, ledger } => write!(
                f,
                "granted is {account}, but the ledger's grants and adjustments make {ledger}"
            ),
            Self::Spent { account, ledger } => {
                write!(f, "spent is {account}, but the ledger's chats make {ledger}")
            }
            Self::Uncharged { chat_id } => {
                write!(f, "the chat {chat_id} is not charged in the ledger")
            }
            Self::Cost { chat_id, chat, ledger } => {
                write!(f, "the chat {chat_id} cost {chat}, but the ledger charged {ledger}")
            }
            Self::Price { chat_id, price, ledger } => {
                write!(
                    f,
                    "by its receipt the chat {chat_id} costs {price}, but the ledger charged {ledger}"
                )
            }
            Self::Fare { chat_id, list, model } => {
                write!(
                    f,
                    "the chat {chat_id} was priced by a fare that {model} doesn't have in the price list {list}"
                )
            }
            Self::Receipt { chat_id } => {
                write!(f, "the chat {chat_id} and its ledger row were priced differently")
            }
            Self::Conversation { conversation, charged, chats } => write!(
                f,
                "the conversation {conversation} was charged {charged}, but its messages cost {chats}"
            ),
            Self::Unnamed { entry_id } => {
                write!(f, "the ledger's row {entry_id} does not name its chat")
            }
            Self::Source { entry_id, source } => {
                write!(
                    f,
                    "the ledger's row {entry_id} has the source {source}, which names another row or none"
                )
            }
            Self::Order { order } => {
                write!(
                    f,
                    "the purchase {order} has moved other tokens or money than its ledger rows or its payment say"
                )
            }
            Self::Owed { account, orders } => {
                write!(f, "the account owes {account}, but its purchases make {orders}")
            }
            Self::Purse { purse, account, accounted } => {
                write!(
                    f,
                    "the purse {purse} is {account}, but the ledger and the holds make {accounted}"
                )
            }
            Self::Allowance { period } => {
                write!(
                    f,
                    "the account has got the allowance of the period from {period} twice, or could get it again"
                )
            }
            Self::Rowless { source } => {
                write!(
                    f,
                    "the source {source} has no row in the ledger, or one with another amount"
                )
            }
            Self::Share { item } => {
                write!(f, "the item {item} doesn't match the other items of its shared chat")
            }
            Self::FileMissing { file } => {
                write!(f, "the file {file} of a message is not stored")
            }
            Self::FileOrphaned { file } => {
                write!(f, "the file {file} belongs to no message")
            }
            Self::Unreadable { what } => write!(f, "{what}"),
            Self::Moving => write!(f, "changed during every reading; audit it again"),
        }
    }
}

/// The attributes of a chat that the audit reads.
#[derive(Deserialize)]
struct Cost {
    cost: Credits,
    #[serde(default)]
    units: Option<u32>,
    #[serde(default)]
    receipt: Option<Receipt>,
    #[serde(default)]
    usage: Option<Usage>,
}

impl Store {
    /// Returns a page of usernames in key form. Also returns where the next page begins.
    pub async fn account_keys(&self, after: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.users)
            .set_exclusive_start_key(after.map(pk))
            .filter_expression("begins_with(pk, :accounts)")
            .set_expression_attribute_values(values([(":accounts", s(ACCOUNT))]))
            .projection_expression("pk")
            .consistent_read(true);
        let page = scan.send().await?;
        let keys = page
            .items
            .unwrap_or_default()
            .iter()
            .filter_map(|item| text(item, "pk").strip_prefix(ACCOUNT).map(str::to_owned))
            .collect();
        Ok((keys, page.last_evaluated_key.map(|key| text(&key, "pk").to_owned())))
    }

    /// Audits the account with this username. Reads the account before and after its ledger and
    /// chats, and starts again if the account has changed in between. A difference is reported only
    /// if a second audit also finds it, because the items of a transaction don't become visible at
    /// the same time. If the account no longer exists, the report doesn't contain any differences.
    pub async fn audit(&self, name_key: &str) -> Result<AuditReport> {
        let mut last = None;
        for _ in 0..READINGS {
            let account = match self.account_or_difference(name_key).await? {
                None => return Ok(AuditReport::default()),
                Some(Ok(account)) => account,
                Some(Err(what)) => return Ok(AuditReport { rows: 0, differences: vec![what] }),
            };
            let found = self.compare(&account).await?;
            let numbers = |account: &Account| {
                (account.id.clone(), account.granted, account.spent, account.allowance)
            };
            let held_still = self
                .account_or_difference(name_key)
                .await?
                .is_some_and(|again| again.is_ok_and(|again| numbers(&again) == numbers(&account)));
            if held_still && (found.differences.is_empty() || last.as_ref() == Some(&found)) {
                return Ok(found);
            }
            last = held_still.then_some(found);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(AuditReport { rows: 0, differences: vec![Difference::Moving] })
    }

    async fn account_or_difference(
        &self,
        name_key: &str,
    ) -> Result<Option<Result<Account, Difference>>> {
        let get = self
            .client
            .get_item()
            .table_name(&self.tables.users)
            .set_key(Some(pk(account_pk(name_key))));
        let item = get.consistent_read(true).send().await?.item;
        Ok(item
            .map(|item| from_item(item).map_err(|error| unreadable("the account", error.cause()))))
    }

    /// Reads the ledger and the chats side by side. Both are sorted by id, and a chat's entry has
    /// the same id as the chat.
    async fn compare(&self, account: &Account) -> Result<AuditReport> {
        let mut rows =
            self.all_of(&self.tables.ledger, &account.id).into_paginator().items().send();
        let chats = self
            .all_of(&self.tables.chats, &account.id)
            .projection_expression(
                "chat_id, conversation, charged, charged_before, #cost, #units, #receipt, #usage, files, expires_at",
            )
            .set_expression_attribute_names(names([
                ("#cost", "cost"),
                ("#units", "units"),
                ("#receipt", "receipt"),
                ("#usage", "usage"),
            ]));
        let mut chats = chats.into_paginator().items().send();
        let mut conversations = ConversationCosts::default();
        let mut missing = Vec::new();
        let mut next_chat = async || -> Result<Option<Item>> {
            loop {
                match chats.try_next().await? {
                    None => return Ok(None),
                    Some(item) if text(&item, "chat_id").starts_with(CONVERSATION) => {
                        conversations.check(&item);
                    }
                    Some(item) => {
                        conversations.add(&item);
                        let files: Vec<String> = files_of(&item).map(str::to_owned).collect();
                        // DynamoDB may delete the files of a temporary chat before the chat.
                        if !files.is_empty() && !item.contains_key("expires_at") {
                            let lost = self.missing_files(&files).await?.into_iter();
                            missing.extend(lost.map(str::to_owned));
                        }
                        return Ok(Some(item));
                    }
                }
            }
        };

        let mut audited = AuditReport::default();
        let (mut granted, mut spent) = (0, 0);
        let mut purses = Purses::of_holds(account);
        let mut allowances = SeenAllowances::default();
        let mut orders = OrderTotals::default();
        let mut lists = PriceVersions::default();
        let mut chat = next_chat().await?;
        while let Some(row) = rows.try_next().await? {
            audited.rows += 1;
            let entry_id = text(&row, "entry_id").to_owned();
            while let Some(earlier) = chat.take_if(|chat| text(chat, "chat_id") < entry_id.as_str())
            {
                audited.differences.push(uncharged(&earlier));
                chat = next_chat().await?;
            }
            let stored = chat.take_if(|chat| text(chat, "chat_id") == entry_id);
            if stored.is_some() {
                chat = next_chat().await?;
            }
            match from_item::<Entry>(row) {
                Err(error) => audited
                    .differences
                    .push(unreadable(&format!("the ledger's row {entry_id}"), error.cause())),
                Ok(entry) if entry.charges() => {
                    spent -= i128::from(entry.amount);
                    purses.add(&entry);
                    audited.differences.extend(charge(&entry, stored));
                    audited.differences.extend(self.price(&entry, &mut lists).await?);
                }
                Ok(entry) => {
                    granted += i128::from(entry.amount);
                    orders.add(&entry);
                    audited.differences.extend(allowances.check(account, &entry));
                    audited.differences.extend(self.check_source(&entry).await?);
                    audited.differences.extend(stored.as_ref().map(uncharged));
                }
            }
        }
        while let Some(later) = chat {
            audited.differences.push(uncharged(&later));
            chat = next_chat().await?;
        }
        audited.differences.extend(conversations.differences);
        let missing = missing.into_iter().map(|file| Difference::FileMissing { file });
        audited.differences.extend(missing);
        audited.differences.extend(sums(account, granted, spent));
        audited.differences.extend(self.audit_purses(account, &purses).await?);
        let is_deleted = account.deleted.is_some();
        let (unexplained, owed) = self.audit_orders(is_deleted, &orders).await?;
        let unexplained = unexplained.into_iter().map(|order| Difference::Order { order });
        audited.differences.extend(unexplained);
        let owes = i128::from(account.owed.unwrap_or_default().get());
        if owes != owed && !is_deleted {
            audited.differences.push(Difference::Owed { account: owes, orders: owed });
        }
        Ok(audited)
    }

    /// Compares the purses of the account's API keys with the ledger and the holds. If a key with a
    /// limit was used, its purse must exist. The purses of revoked keys and of keys without a limit
    /// are ignored.
    async fn audit_purses(&self, account: &Account, purses: &Purses) -> Result<Vec<Difference>> {
        if account.api_keys == 0 {
            return Ok(Vec::new());
        }
        let keys = self.api_keys(account, &self.api_key_ids(&account.id).await?).await?;
        let limited = keys.iter().filter_map(|key| Some((key.id(), key.limit()?.per)));
        let mut names = BTreeSet::new();
        for (key, per) in limited {
            names.extend(purses.of_key(key, per));
            let counted = account.purses.iter().flat_map(BTreeMap::keys);
            names.extend(counted.filter(|purse| key_and_period(purse).0 == key).cloned());
        }
        let differs = |purse: String| {
            let (account, accounted) =
                (i128::from(account.purse(&purse).get()), purses.get(&purse));
            (account != accounted).then_some(Difference::Purse { purse, account, accounted })
        };
        Ok(names.into_iter().filter_map(differs).collect())
    }

    /// Recomputes the price of a chat's ledger row, and compares the row's fare with the price
    /// list.
    async fn price(&self, entry: &Entry, lists: &mut PriceVersions) -> Result<Vec<Difference>> {
        let Some(receipt) = &entry.receipt else { return Ok(Vec::new()) };
        let (chat_id, ledger) = (entry.entry_id.clone(), -i128::from(entry.amount));
        let mut found = Vec::new();
        let price = receipt.charge(entry.usage.as_ref(), entry.units);
        if i128::from(price.get()) != ledger {
            found.push(Difference::Price { chat_id: chat_id.clone(), price, ledger });
        }
        let prices = lists.get(self, &receipt.list).await?;
        let model = prices.and_then(|prices| prices.list.model(&receipt.model));
        let fare = model.map(|model| model.fare);
        if fare != Some(receipt.fare) {
            let Receipt { list, model, .. } = receipt.clone();
            found.push(Difference::Fare { chat_id, list, model });
        }
        Ok(found)
    }

    /// Compares a ledger entry with its source's item.
    async fn check_source(&self, entry: &Entry) -> Result<Option<Difference>> {
        let Some(source) = StoredSource::of(entry) else { return Ok(None) };
        let is_stored = self.is_stored(&source).await?;
        Ok((!is_stored).then(|| Difference::Source {
            entry_id: source.row.clone(),
            source: source.text().to_owned(),
        }))
    }

    /// Compares the sources and orders on a page of the Tokens table with the ledger, and the items
    /// of shared chats with one another. Returns a difference for each source whose entry is
    /// missing, for each order whose last entry is missing, and for each item of a shared chat that
    /// doesn't match the others. Also returns where the next page begins. A difference is
    /// reported only if a second read also finds it, because a transaction's items in two tables
    /// don't become visible at the same time.
    pub async fn audit_sources(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<Difference>, Option<String>)> {
        let (items, next) = self.page(&self.tables.tokens, after.map(pk)).await?;
        let demands = Demand::of(&items)?;
        let mut unmet = self.unmet(demands.iter().collect()).await?;
        if !unmet.is_empty() {
            tokio::time::sleep(PAUSE).await;
            unmet = self.unmet(unmet).await?;
        }
        let mut found: Vec<Difference> = unmet.into_iter().map(Demand::difference).collect();
        let shares = self.audit_shares(&items).await?;
        found.extend(shares.into_iter().map(|item| Difference::Share { item }));
        Ok((found, next.map(|key| text(&key, "pk").to_owned())))
    }

    /// Returns a difference for each file on a page of the Files table that belongs to no chat. Also
    /// returns where the next page begins. A difference is reported only if a second read also
    /// finds it, because a chat's files and the chat aren't deleted at the same time.
    pub async fn audit_files(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<Difference>, Option<String>)> {
        let (mut orphans, mut next) = self.orphans(after).await?;
        if !orphans.is_empty() {
            tokio::time::sleep(PAUSE).await;
            (orphans, next) = self.orphans(after).await?;
        }
        let found = orphans.into_iter().map(|file| Difference::FileOrphaned { file }).collect();
        Ok((found, next))
    }

    /// Returns the demands whose rows are missing from the ledger, in the same order. Strongly
    /// consistent.
    async fn unmet<'d>(&self, demands: Vec<&'d Demand>) -> Result<Vec<&'d Demand>> {
        let batches: Vec<Vec<&'d Demand>> =
            demands.chunks(BATCH).map(<[&Demand]>::to_vec).collect();
        let compare = |some: Vec<&'d Demand>| async move {
            // A batch must not contain the same key twice.
            let keys: HashSet<(&str, &str)> = some.iter().map(|demand| demand.key()).collect();
            let keys = keys.into_iter().map(|(user_id, id)| entry_key(user_id, id)).collect();
            let rows = self.items(&self.tables.ledger, keys).await?;
            let key = |row| (text(row, "user_id"), text(row, "entry_id"));
            let rows: HashMap<(&str, &str), &Item> =
                rows.iter().map(|row| (key(row), row)).collect();
            let mut unmet = Vec::new();
            for demand in some {
                if !demand.is_met_by(rows.get(&demand.key()).copied())? {
                    unmet.push(demand);
                }
            }
            Ok::<_, StoreError>(unmet)
        };
        let unmet = iter(batches).map(compare).buffered(AT_ONCE);
        Ok(unmet.try_collect::<Vec<_>>().await?.concat())
    }

    /// A query for all of a user's items in the Ledger or Chats table, in ascending order.
    pub(in crate::store) fn all_of(&self, table: &str, user_id: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(table)
            .key_condition_expression("user_id = :user")
            .set_expression_attribute_values(values([(":user", s(user_id))]))
            .consistent_read(true)
    }
}

/// A ledger row that must exist, because an item in the Tokens table refers to it.
enum Demand {
    /// The entry of a source, with its account and amount.
    Source(StoredSource),
    /// The last row of an order.
    Order { id: String, account: String, row: String },
}

impl Demand {
    /// Returns the ledger rows that the sources and orders among these items require. The items are
    /// from the Tokens table.
    fn of(items: &[Item]) -> Result<Vec<Self>> {
        let of_order = |order: &Order| {
            let row = order.last_row()?.to_owned();
            Some(Self::Order { id: order.id().to_owned(), account: order.account.clone(), row })
        };
        let (sources, orders) = (sources(items)?, orders(items)?);
        Ok(sources
            .into_iter()
            .map(Self::Source)
            .chain(orders.iter().filter_map(of_order))
            .collect())
    }

    /// Returns the row's key: the account's id and the row's id.
    fn key(&self) -> (&str, &str) {
        match self {
            Self::Source(source) => (&source.account, &source.row),
            Self::Order { account, row, .. } => (account, row),
        }
    }

    /// Returns true if `row`, which was read under this demand's key, is the row that the demand
    /// requires.
    fn is_met_by(&self, row: Option<&Item>) -> Result<bool> {
        match (self, row) {
            (_, None) => Ok(false),
            (Self::Order { .. }, Some(_)) => Ok(true),
            (Self::Source(source), Some(row)) => {
                let entry: Entry = from_item(row.clone())?;
                Ok(StoredSource::of(&entry).as_ref() == Some(source))
            }
        }
    }

    fn difference(&self) -> Difference {
        match self {
            Self::Source(source) => Difference::Rowless { source: source.text().to_owned() },
            Self::Order { id, .. } => Difference::Order { order: id.clone() },
        }
    }
}

/// The costs of an account's stored chats, by conversation. Conversations are read after all chats.
#[derive(Default)]
struct ConversationCosts {
    sums: HashMap<String, i128>,
    differences: Vec<Difference>,
}

impl ConversationCosts {
    /// Adds a chat's cost to that of its conversation.
    fn add(&mut self, chat: &Item) {
        let conversation = text(chat, "conversation");
        if let (false, Some(cost)) = (conversation.is_empty(), number(chat, "cost")) {
            *self.sums.entry(conversation.to_owned()).or_default() += cost;
        }
    }

    /// Compares a conversation with the sum of its chats, if its number includes all of them.
    fn check(&mut self, conversation: &Item) {
        let id = text(conversation, "chat_id").strip_prefix(CONVERSATION).unwrap_or_default();
        let Some(before) = number(conversation, "charged_before") else { return };
        let charged = before + number(conversation, "charged").unwrap_or_default();
        let chats = self.sums.remove(id).unwrap_or_default();
        if chats > charged {
            let conversation = id.to_owned();
            self.differences.push(Difference::Conversation { conversation, charged, chats });
        }
    }
}

/// Returns a whole number attribute. `None` if the attribute is missing.
fn number(item: &Item, attribute: &str) -> Option<i128> {
    item.get(attribute)?.as_n().ok()?.parse().ok()
}

/// The period of the last allowance among the rows that were read so far. Rows are sorted by time.
#[derive(Default)]
struct SeenAllowances(Option<u64>);

impl SeenAllowances {
    /// Returns a difference if the row is an allowance whose period isn't later than the previous
    /// allowance's, or is later than the account's recorded period.
    fn check(&mut self, account: &Account, entry: &Entry) -> Option<Difference> {
        let period = entry.allowance?;
        let is_twice = self.0.replace(period) >= Some(period);
        let is_unknown = account.allowance < Some(period) && account.deleted.is_none();
        (is_twice || is_unknown).then(|| Difference::Allowance { period: Day::from_number(period) })
    }
}

/// Compares a chat's ledger row with the stored chat, unless the chat was deleted.
fn charge(entry: &Entry, stored: Option<Item>) -> Option<Difference> {
    if entry.chat_id.as_ref() != Some(&entry.entry_id) {
        return Some(Difference::Unnamed { entry_id: entry.entry_id.clone() });
    }
    let (chat_id, ledger) = (entry.entry_id.clone(), -i128::from(entry.amount));
    match from_item::<Cost>(stored?) {
        Err(error) => Some(unreadable(&format!("the chat {chat_id}"), error.cause())),
        Ok(Cost { cost, .. }) if i128::from(cost.get()) != ledger => {
            Some(Difference::Cost { chat_id, chat: cost, ledger })
        }
        Ok(Cost { units, receipt, usage, .. }) => {
            let usage = usage.filter(|_| receipt.is_some());
            let of_chat = (receipt.as_ref(), usage, units);
            let of_row = (entry.receipt.as_ref(), entry.usage, entry.units);
            (of_chat != of_row).then_some(Difference::Receipt { chat_id })
        }
    }
}

/// Compares the account's values with one another and with the ledger's totals.
fn sums(
    account: &Account,
    ledger_granted: i128,
    ledger_spent: i128,
) -> impl Iterator<Item = Difference> {
    let number = |tokens: Credits| i128::from(tokens.get());
    let (granted, spent) = (number(account.granted), number(account.spent));
    let held: i128 = account.reservations.values().map(|held| number(held.cost)).sum();
    let accounted = number(account.tokens) + held + spent;
    let differences = [
        (granted != accounted).then_some(Difference::Account { granted, accounted }),
        (granted != ledger_granted)
            .then_some(Difference::Granted { account: granted, ledger: ledger_granted }),
        (spent != ledger_spent)
            .then_some(Difference::Spent { account: spent, ledger: ledger_spent }),
    ];
    differences.into_iter().flatten()
}

fn uncharged(chat: &Item) -> Difference {
    Difference::Uncharged { chat_id: text(chat, "chat_id").to_owned() }
}

fn unreadable(what: &str, cause: Option<&str>) -> Difference {
    Difference::Unreadable { what: format!("{what} can't be read: {}", cause.unwrap_or_default()) }
}
