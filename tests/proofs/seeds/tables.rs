//! The DynamoDB that schedules use: embedded in this process, or DynamoDB Local if `TEST_DYNAMODB`
//! is set.

use std::sync::{LazyLock, mpsc};

use dynoxide::{AttributeValue, Database, Item};
use emulator::dynamo::{Data, Dynamo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::runtime::Runtime;

use super::wire::HttpReply;
use crate::support::proxy::Proxy;

/// A store with the template's tables. Calls block until they are answered, so that nothing else
/// happens in the meantime.
pub enum Tables {
    Embedded(Database),
    Emulator { url: String, http: reqwest::Client, _account: Proxy },
}

/// The key of the current price list in the Tokens table.
pub const PRICE_LIST: &str = "models:current";

/// The kind of store that schedules use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    /// DynamoDB Local if `TEST_DYNAMODB` is set, otherwise the embedded store.
    UnderTest,
}

impl Tables {
    pub async fn open(kind: Kind) -> Self {
        match std::env::var("TEST_DYNAMODB") {
            Ok(emulator) if kind == Kind::UnderTest => Self::in_emulator(emulator),
            _ => Self::embedded().await,
        }
    }

    async fn embedded() -> Self {
        let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let database = dynamo.database.clone();
        dynamo.stop().await;
        // Deletes indexes that the schedules don't read, because updating these indexes would take
        // half of a schedule's time.
        for (table, index) in [
            ("UsersTable", "by_time"),
            ("UsersTable", "by_label"),
            ("ChatsTable", "by_time"),
            ("LedgerTable", "trail"),
        ] {
            let without = json!({ "TableName": table, "GlobalSecondaryIndexUpdates": [{ "Delete": { "IndexName": index } }] });
            database.update_table(serde_json::from_value(without).unwrap()).unwrap();
        }
        Self::Embedded(database)
    }

    fn in_emulator(emulator: String) -> Self {
        wait_for(async move {
            let account = Proxy::account(&emulator).await;
            let url = account.lane().url;
            emulator::dynamo::create_tables(&url).await.unwrap();
            Self::Emulator { url, http: reqwest::Client::new(), _account: account }
        })
    }

    /// Executes a call in DynamoDB's JSON.
    pub fn execute(&self, operation: &str, body: &str) -> HttpReply {
        match self {
            Self::Embedded(database) => match operation {
                "GetItem" => reply(body, |request| database.get_item(request)),
                "PutItem" => reply(body, |request| database.put_item(request)),
                "UpdateItem" => reply(body, |request| database.update_item(request)),
                "DeleteItem" => reply(body, |request| database.delete_item(request)),
                "BatchGetItem" => reply(body, |request| database.batch_get_item(request)),
                "Query" => reply(body, |request| database.query(request)),
                "Scan" => reply(body, |request| database.scan(request)),
                "TransactWriteItems" => {
                    reply(body, |request| database.transact_write_items(request))
                }
                other => panic!("the store is not asked to {other}"),
            },
            Self::Emulator { url, http, .. } => {
                let call =
                    http.post(url).header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
                let call =
                    call.header("content-type", "application/x-amz-json-1.0").body(body.to_owned());
                wait_for(async {
                    let reply = call.send().await.unwrap();
                    (reply.status().as_u16(), reply.text().await.unwrap())
                })
            }
        }
    }

    /// Reads an item directly from a table.
    pub fn item(&self, table: &str, key: &[(&str, &str)]) -> Option<Item> {
        let key: serde_json::Map<_, _> =
            key.iter().map(|(name, value)| ((*name).to_owned(), json!({ "S": value }))).collect();
        let reply = self
            .call("GetItem", &json!({ "TableName": table, "Key": key, "ConsistentRead": true }));
        serde_json::from_value(reply["Item"].clone()).unwrap()
    }

    /// Writes an empty conversation for a user directly to the store, and returns its id.
    pub fn begin_conversation(&self, user_id: &str) -> String {
        let id = Clock::default().id().to_string();
        let texts = [
            ("user_id", user_id.to_owned()),
            ("chat_id", format!("c#{id}")),
            ("thread", format!("c#{:013}#{id}", 1)),
            ("title", "a title".into()),
        ];
        let mut item: serde_json::Map<_, _> =
            texts.into_iter().map(|(name, text)| (name.to_owned(), json!({ "S": text }))).collect();
        item.extend(["created", "used"].map(|name| (name.to_owned(), json!({ "N": "1" }))));
        self.call("PutItem", &json!({ "TableName": "ChatsTable", "Item": item }));
        id
    }

    /// Writes an account's instructions for the AI directly to the store.
    pub fn instruct(&self, pk: &str, user_id: &str) {
        let mark = json!({
            "TableName": "UsersTable",
            "Key": { "pk": { "S": pk } },
            "UpdateExpression": "SET instructions = :mark",
            "ExpressionAttributeValues": { ":mark": { "S": "a mark" } },
        });
        self.call("UpdateItem", &mark);
        let key = format!("instructions:{user_id}");
        let texts = [("pk", key.as_str()), ("user_id", user_id), ("text", "Be brief.")];
        let item: serde_json::Map<_, _> =
            texts.map(|(name, text)| (name.to_owned(), json!({ "S": text }))).into_iter().collect();
        self.call("PutItem", &json!({ "TableName": "TokensTable", "Item": item }));
    }

    /// Deletes an account's item directly from the store.
    pub fn remove(&self, pk: &str) {
        self.remove_from("UsersTable", pk);
    }

    /// Returns the current price list. `None` if no list is set.
    pub fn price_list(&self) -> Option<Value> {
        let item = self.item("TokensTable", &[("pk", PRICE_LIST)])?;
        let Some(AttributeValue::S(list)) = item.get("list") else { panic!("a list is a text") };
        Some(serde_json::from_str(list).unwrap())
    }

    /// Deletes the current price list directly from the store.
    pub fn remove_price_list(&self) {
        self.remove_from("TokensTable", PRICE_LIST);
    }

    fn remove_from(&self, table: &str, pk: &str) {
        self.call("DeleteItem", &json!({ "TableName": table, "Key": { "pk": { "S": pk } } }));
    }

    /// Returns a user's ledger rows.
    pub fn ledger(&self, user_id: &str) -> Vec<Item> {
        let values = json!({ ":user": { "S": user_id } });
        let query = json!({ "TableName": "LedgerTable", "KeyConditionExpression": "user_id = :user", "ExpressionAttributeValues": values, "ConsistentRead": true });
        serde_json::from_value(self.call("Query", &query)["Items"].take()).unwrap()
    }

    fn call(&self, operation: &str, request: &Value) -> Value {
        let (status, body) = self.execute(operation, &request.to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// The runtime that sends the calls to an emulator. A schedule's own thread can't send them,
/// because it is blocked during a call.
static ASIDE: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// Panics on the caller's thread if the work panics, because the test that fails must show why.
fn wait_for<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, answer) = mpsc::channel();
    ASIDE.spawn(async move { done.send(tokio::spawn(work).await) });
    answer.recv().unwrap().unwrap_or_else(|panicked| panic!("{panicked}"))
}

/// Returns a numeric attribute. 0 if it is missing.
pub fn number(item: &Item, name: &str) -> i64 {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().unwrap(),
        _ => 0,
    }
}

pub fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    }
}

pub fn flag(item: &Item, name: &str) -> bool {
    matches!(item.get(name), Some(AttributeValue::BOOL(true)))
}

pub fn map(item: &Item, name: &str) -> Item {
    match item.get(name) {
        Some(AttributeValue::M(map)) => map.clone(),
        _ => Item::new(),
    }
}

/// Returns an attribute as plain JSON.
pub fn plain(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::N(number) => number.parse::<i64>().unwrap().into(),
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::BOOL(flag) => (*flag).into(),
        AttributeValue::M(map) => {
            map.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        _ => Value::Null,
    }
}

fn reply<Q: DeserializeOwned, P: Serialize>(
    body: &str,
    call: impl FnOnce(Q) -> dynoxide::Result<P>,
) -> HttpReply {
    let request = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    match call(request) {
        Ok(reply) => (200, serde_json::to_string(&reply).unwrap()),
        Err(error) => (error.status_code(), error.to_json()),
    }
}
