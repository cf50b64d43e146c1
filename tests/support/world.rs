//! The contents of a store, and the rules that they must satisfy.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::Credits;
use shared::values::{Account, AdminAct, Chat, Entry, EntryKind};

/// The reason in the rows of embeddings.
pub const EMBEDDINGS: &str = "embeddings";

/// The contents of a store.
pub struct World {
    pub accounts: HashMap<String, Account>,
    /// The ids in the index of accounts that may have expired holds.
    pub due: HashSet<String>,
    pub ledger: HashMap<String, Vec<Entry>>,
    /// Administrators' actions, keyed by the id of the affected account.
    pub acts: HashMap<String, Vec<AdminAct>>,
    pub chats: HashMap<String, Vec<Chat>>,
    /// The conversations' items, by the account's id.
    pub conversations: HashMap<String, Vec<Value>>,
    /// The ids of each user's stored files.
    pub files: HashMap<String, HashSet<String>>,
    /// The ids of messages that have files and aren't stored yet, with their users' ids.
    pub pending: HashMap<String, String>,
    /// The account, row and amount of each source that has granted credits.
    pub sources: HashMap<String, (String, String, i64)>,
    /// The user id of each session.
    pub sessions: Vec<String>,
    /// The user id of each API key.
    pub keys: Vec<String>,
    /// The ids of the API keys without a limit. A purse that is left of an earlier limit no longer
    /// counts.
    unlimited: HashSet<String>,
    /// For each recipient, the request whose e-mail began the pause before the next e-mail.
    pub pauses: HashMap<String, String>,
    pub claims: Vec<Value>,
    /// The ids in the list of administrators.
    pub administrators: HashSet<String>,
}

/// Reads all items in a table. Strongly consistent.
pub async fn scan<T: DeserializeOwned>(dynamodb: &str, table: &str) -> Vec<T> {
    let items = emulator::dynamo::client(dynamodb)
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    items
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap()
        .into_iter()
        .map(|item| serde_dynamo::from_item(item).unwrap())
        .collect()
}

/// Reads the ids of all files, by their users. Doesn't read the contents, which JSON can't represent.
async fn files_by_user(dynamodb: &str) -> HashMap<String, HashSet<String>> {
    let items = emulator::dynamo::client(dynamodb)
        .scan()
        .table_name("FilesTable")
        .projection_expression("pk, user_id")
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut files = HashMap::<String, HashSet<String>>::new();
    for item in items.collect::<Result<Vec<_>, _>>().await.unwrap() {
        let [id, user] = ["pk", "user_id"].map(|name| item[name].as_s().unwrap().clone());
        files.entry(user).or_default().insert(id);
    }
    files
}

/// Returns true if an item in the Chats table is a chat and not a conversation.
pub fn is_chat(item: &Value) -> bool {
    !item["chat_id"].as_str().unwrap().starts_with("c#")
}

impl World {
    /// Reads the DynamoDB at `dynamodb`.
    pub async fn read(dynamodb: &str) -> Self {
        let mut world = Self {
            accounts: HashMap::new(),
            due: HashSet::new(),
            ledger: HashMap::new(),
            acts: HashMap::new(),
            chats: HashMap::new(),
            conversations: HashMap::new(),
            files: files_by_user(dynamodb).await,
            pending: HashMap::new(),
            sources: HashMap::new(),
            sessions: Vec::new(),
            keys: Vec::new(),
            unlimited: HashSet::new(),
            pauses: HashMap::new(),
            claims: Vec::new(),
            administrators: HashSet::new(),
        };
        for user in scan::<Value>(dynamodb, "UsersTable").await {
            match user["pk"].as_str().unwrap() {
                "admins" => {
                    world.administrators.extend(
                        user["ids"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .map(|id| id.as_str().unwrap().to_owned()),
                    );
                    continue;
                }
                pk if pk.starts_with("email:") => {
                    world.claims.push(user);
                    continue;
                }
                _ => {}
            }
            let id = user["id"].as_str().unwrap().to_owned();
            if !user["due"].is_null() {
                world.due.insert(id.clone());
            }
            let account = serde_json::from_value(user)
                .unwrap_or_else(|error| panic!("an invalid account: {error}"));
            world.accounts.insert(id, account);
        }
        for mut row in scan::<Value>(dynamodb, "LedgerTable").await {
            let owner = row["user_id"].as_str().unwrap().to_owned();
            match owner.strip_prefix("standing#") {
                None => {
                    let entry = serde_json::from_value(row).unwrap();
                    world.ledger.entry(owner).or_default().push(entry);
                }
                Some(owner) => {
                    row["user_id"] = owner.into();
                    let act = serde_json::from_value(row).unwrap();
                    world.acts.entry(owner.to_owned()).or_default().push(act);
                }
            }
        }
        for item in scan::<Value>(dynamodb, "ChatsTable").await {
            let owner = item["user_id"].as_str().unwrap().to_owned();
            if is_chat(&item) {
                let chat = serde_json::from_value(item).unwrap();
                world.chats.entry(owner).or_default().push(chat);
            } else {
                world.conversations.entry(owner).or_default().push(item);
            }
        }
        let tokens = scan::<Value>(dynamodb, "TokensTable").await;
        let owners = |kind: &str| -> Vec<String> {
            let items = tokens.iter().filter(|item| item["pk"].as_str().unwrap().starts_with(kind));
            items.map(|item| item["user_id"].as_str().unwrap().to_owned()).collect()
        };
        world.pending = tokens
            .iter()
            .filter_map(|item| {
                let chat = item["pk"].as_str().unwrap().strip_prefix("pending:")?;
                Some((chat.to_owned(), item["owner"].as_str().unwrap().to_owned()))
            })
            .collect();
        world.sources = tokens
            .iter()
            .filter_map(|item| {
                let source = item["pk"].as_str().unwrap().strip_prefix("source:")?;
                let [account, row] = ["account", "row"].map(|of| item[of].as_str().unwrap().into());
                Some((source.to_owned(), (account, row, item["amount"].as_i64().unwrap())))
            })
            .collect();
        (world.sessions, world.keys) = (owners("session:"), owners("apikey:"));
        let unlimited = tokens.iter().filter(|item| item["restricted"]["limit"].is_null());
        world.unlimited = unlimited
            .filter_map(|item| item["pk"].as_str().unwrap().strip_prefix("apikey:"))
            .map(str::to_owned)
            .collect();
        let pauses = tokens.iter().filter(|item| item["request"].is_string());
        world.pauses = pauses
            .filter_map(|item| {
                let whom = item["pk"].as_str().unwrap().strip_prefix("mailed:")?;
                Some((whom.to_owned(), item["request"].as_str().unwrap().to_owned()))
            })
            .collect();
        world
    }

    pub fn ledger(&self, id: &str) -> &[Entry] {
        self.ledger.get(id).map_or(&[], Vec::as_slice)
    }

    pub fn acts(&self, id: &str) -> &[AdminAct] {
        self.acts.get(id).map_or(&[], Vec::as_slice)
    }

    pub fn chats(&self, id: &str) -> &[Chat] {
        self.chats.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns an account with its ledger and chats as a string, for comparisons.
    pub fn of(&self, id: &str) -> String {
        format!("{:?} {:?} {:?}", self.accounts.get(id), self.ledger(id), self.chats(id))
    }

    /// Returns the money rules that the account violates. Checks only the rules that always apply.
    pub fn audit(&self, id: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(account) = self.accounts.get(id) else {
            return vec!["the account is gone".into()];
        };
        let held: u64 = account.reservations.values().map(|held| held.cost.get()).sum();
        let [tokens, granted, spent] =
            [account.tokens, account.granted, account.spent].map(Credits::get);
        if granted != tokens + held + spent {
            wrong.push(format!(
                "granted {granted} is not tokens {tokens} + reservations {held} + spent {spent}"
            ));
        }
        let sum = |kind: EntryKind| {
            self.ledger(id)
                .iter()
                .filter(|entry| entry.kind == kind)
                .map(|entry| entry.amount)
                .sum::<i64>()
        };
        let given = sum(EntryKind::Grant) + sum(EntryKind::Adjustment);
        if i64::try_from(granted).unwrap() != given {
            wrong.push(format!("granted {granted} is not the ledger's {given}"));
        }
        if i64::try_from(spent).unwrap() != -sum(EntryKind::Chat) {
            wrong.push(format!("spent {spent} is not the ledger's {}", -sum(EntryKind::Chat)));
        }
        for (purse, credits) in account.purses.iter().flatten() {
            let (key, period) = purse.split_once('#').unwrap();
            if self.unlimited.contains(key) {
                continue;
            }
            let spent = self.ledger(id).iter().filter(|entry| {
                let month = shared::clock::month(entry.time);
                entry.key_id.as_deref() == Some(key) && (period == "total" || month == period)
            });
            let spent: i64 = spent.map(|entry| -entry.amount).sum();
            let held = account.reservations.values();
            let held = held.filter(|held| held.purse.as_ref() == Some(purse));
            let held: u64 = held.map(|held| held.cost.get()).sum();
            if credits.get() != u64::try_from(spent).unwrap() + held {
                wrong.push(format!("the purse {purse} is {credits}, not {spent} + {held}"));
            }
        }
        // Only the row of embeddings is stored.
        let rows = self
            .ledger(id)
            .iter()
            .filter(|entry| entry.kind == EntryKind::Chat && entry.reason != EMBEDDINGS);
        let mut rows: Vec<_> =
            rows.map(|row| (row.chat_id.clone().unwrap_or_default(), -row.amount)).collect();
        let mut chats: Vec<_> = self
            .chats(id)
            .iter()
            .map(|chat| (chat.chat_id.clone(), i64::try_from(chat.cost.get()).unwrap()))
            .collect();
        rows.sort();
        chats.sort();
        if rows != chats {
            wrong.push(format!("the chats {chats:?} are not the ledger's {rows:?}"));
        }
        wrong.extend(self.conversations_of(id));
        let of_row = |entry: &Entry| {
            let source = entry.source.as_ref()?.text().to_owned();
            Some((source, (entry.user_id.clone(), entry.entry_id.clone(), entry.amount)))
        };
        let rows: HashMap<_, _> = self.ledger(id).iter().filter_map(of_row).collect();
        let mut sources = self.sources.clone();
        sources.retain(|_, (account, _, _)| account == id);
        if rows != sources {
            wrong.push(format!("the sources {sources:?} are not the ledger's {rows:?}"));
        }
        wrong.extend(self.audit_files(id));
        wrong
    }

    /// Returns the conversations that count other charges than those of their chats. No chat may
    /// have been deleted.
    fn conversations_of(&self, id: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for item in self.conversations.get(id).into_iter().flatten() {
            let conversation = item["chat_id"].as_str().unwrap().strip_prefix("c#");
            let chats = self.chats(id).iter();
            let chats = chats.filter(|chat| chat.conversation.as_deref() == conversation);
            let cost: u64 = chats.map(|chat| chat.cost.get()).sum();
            let charged = item["charged"].as_u64();
            if charged.is_some_and(|charged| charged != cost) {
                wrong.push(format!("{conversation:?} was charged {charged:?}, not {cost}"));
            }
        }
        wrong
    }

    /// Returns the rules about files that the account violates: a stored chat has all its files,
    /// and a file whose chat isn't stored is listed, so that the sweep deletes it.
    fn audit_files(&self, id: &str) -> Vec<String> {
        let listed: HashSet<&str> = self
            .chats(id)
            .iter()
            .flat_map(|chat| &chat.files)
            .map(|file| file.id.as_str())
            .collect();
        let stored = self.files.get(id).cloned().unwrap_or_default();
        let lost = listed.iter().filter(|file| !stored.contains(**file));
        let lost = lost.map(|file| format!("the file {file} isn't stored"));
        let is_pending = |file: &str| {
            let chat = file.split_once('.').map_or(file, |(chat, _)| chat);
            self.pending.get(chat).is_some_and(|owner| owner == id)
        };
        let orphans =
            stored.iter().filter(|file| !listed.contains(file.as_str()) && !is_pending(file));
        lost.chain(orphans.map(|file| format!("the file {file} belongs to no chat"))).collect()
    }

    /// Returns the rules that an account violates if it is expected to have no holds.
    pub fn at_rest(&self, id: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.accounts.get(id).is_some_and(|account| !account.reservations.is_empty()) {
            wrong.push("a reservation outlived its lease and the sweep".into());
        }
        if self.due.contains(id) {
            wrong.push("an account at rest is still due".into());
        }
        let mut stored = self.files.get(id).into_iter().flatten();
        let is_pending = |file: &String| {
            file.split_once('.').is_some_and(|(chat, _)| self.pending.contains_key(chat))
        };
        if stored.any(is_pending) {
            wrong.push("the files of a chat outlived its lease and the sweep".into());
        }
        wrong
    }
}

/// Writes items to a table directly.
pub async fn put<T: Serialize>(dynamodb: &str, table: &str, items: &[T]) {
    let put = |item: &T| {
        let put = PutRequest::builder().set_item(Some(serde_dynamo::to_item(item).unwrap()));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    // DynamoDB accepts at most 25 writes in a batch.
    for some in items.chunks(25) {
        let puts = some.iter().map(put).collect();
        let batch =
            emulator::dynamo::client(dynamodb).batch_write_item().request_items(table, puts);
        assert!(batch.send().await.unwrap().unprocessed_items.is_none_or(|left| left.is_empty()));
    }
}
