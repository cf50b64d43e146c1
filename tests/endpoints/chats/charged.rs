//! What the messages of a conversation were charged: `POST /api/chat` counts, and
//! `GET /api/conversations/{id}` shows it.

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use serde_json::{Value, json};
use shared::store::Difference;

use crate::support::client::{Api, PRICE, Person};
use crate::support::proxy::Proxy;
use crate::support::world::{put, scan};

impl Person {
    /// Sends `messages` in a new conversation, and returns the conversation's id.
    pub async fn converses(&self, messages: u64) -> String {
        let begun = self.chat("hi").await.is(200);
        let id = begun["conversation_id"].as_str().unwrap().to_owned();
        for _ in 1..messages {
            let body = json!({ "message": "more", "conversation_id": id });
            self.post("/api/chat/", body).await.is(200);
        }
        id
    }

    /// Returns the conversation's item in the store.
    pub async fn stored_conversation(&self, id: &str) -> Value {
        let items: Vec<Value> = scan(&self.api.dynamodb, "ChatsTable").await;
        let key = format!("c#{id}");
        items.into_iter().find(|item| item["chat_id"] == key.as_str()).unwrap_or_default()
    }

    /// Changes a conversation directly in the store.
    pub async fn changes_stored(&self, id: &str, update: &str, values: &[(&str, u64)]) {
        let mut change = dynamo::client(&self.api.dynamodb)
            .update_item()
            .table_name("ChatsTable")
            .key("user_id", AttributeValue::S(self.id.clone()))
            .key("chat_id", AttributeValue::S(format!("c#{id}")))
            .update_expression(update);
        for (name, value) in values {
            let value = AttributeValue::N(value.to_string());
            change = change.expression_attribute_values(*name, value);
        }
        change.send().await.unwrap();
    }

    async fn differs_in_conversations(&self) -> Vec<Difference> {
        let report = self.api.store().audit(&self.name).await.unwrap();
        report.differences
    }
}

#[tokio::test]
async fn each_settle_adds_its_charge_to_the_conversation() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(3).await;
    ann.post("/api/chat/", json!({ "message": "!fail", "conversation_id": id }))
        .await
        .expect(502, "ai_failed");
    assert_eq!(ann.stored_conversation(&id).await["charged"], 3 * PRICE);
    // A deleted message was charged.
    ann.delete(&format!("/api/chat/{id}")).await.is(200);
    assert_eq!(ann.stored_conversation(&id).await["charged"], 3 * PRICE);
    assert_eq!(ann.differs_in_conversations().await, []);
}

#[tokio::test]
async fn the_audit_finds_conversations_that_count_too_little() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(2).await;
    let counts = |charged: u64, before: u64| {
        let values = [(":charged", charged), (":before", before)];
        let (ann, id) = (ann.clone(), id.clone());
        async move {
            let update = "SET charged = :charged, charged_before = :before";
            ann.changes_stored(&id, update, &values).await;
            ann.differs_in_conversations().await
        }
    };
    assert_eq!(counts(PRICE, PRICE).await, []);
    assert_eq!(counts(PRICE, 2 * PRICE).await, [], "a message may have been deleted");
    let (charged, chats) = (i128::from(PRICE), i128::from(2 * PRICE));
    let short = Difference::Conversation { conversation: id.clone(), charged, chats };
    assert_eq!(counts(PRICE, 0).await, [short]);
    // A release that doesn't count may have settled a message, as long as the rest isn't known.
    ann.changes_stored(&id, "REMOVE charged_before", &[]).await;
    assert_eq!(ann.differs_in_conversations().await, []);
}

#[tokio::test]
async fn restored_conversations_forget_a_split_charge() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(2).await;
    let whole = ann.converses(1).await;
    // The restored conversation contains a charge whose message and row are lost.
    ann.changes_stored(&id, "SET charged = :charged", &[(":charged", 3 * PRICE)]).await;
    let second = api.now() + 60;
    for repairs in [1, 0] {
        let done = api.store().reconcile(second, &api.clock()).await.unwrap().unwrap();
        assert_eq!(done.repairs.len(), repairs, "{:?}", done.repairs);
    }
    assert_eq!(ann.stored_conversation(&id).await["charged"], Value::Null);
    assert_eq!(ann.stored_conversation(&whole).await["charged"], PRICE);
}

#[tokio::test]
async fn a_conversation_shows_what_its_messages_were_charged() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(2).await;
    let path = format!("/api/conversations/{id}");
    let shown = async || ann.get(&path).await.is(200)["charged"].clone();
    assert_eq!(shown().await, 2 * PRICE);
    ann.delete(&format!("/api/chat/{id}")).await.is(200);
    assert_eq!(shown().await, 2 * PRICE, "a deleted message was charged");
    assert_eq!(ann.get("/api/conversations/").await.is(200)[0]["charged"], 2 * PRICE);
    let renamed = ann.patch(&path, json!({ "title": "x" })).await.is(200);
    assert_eq!(renamed["charged"], 2 * PRICE);
    let exported = ann.get("/api/user/export/").await.is(200);
    assert_eq!(exported["conversations"][0]["charged"], 2 * PRICE);
}

#[tokio::test]
async fn messages_of_earlier_releases_are_added_when_a_chat_is_opened() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let path = |id: &str| format!("/api/conversations/{id}");
    let shown = async |id: &str| ann.get(&path(id)).await.is(200)["charged"].clone();
    // Before any release counted, and while two releases settled messages.
    let [none, some] = [ann.converses(3).await, ann.converses(3).await];
    ann.changes_stored(&none, "REMOVE charged, charged_before", &[]).await;
    let update = "SET charged = :charged REMOVE charged_before";
    ann.changes_stored(&some, update, &[(":charged", PRICE)]).await;
    for id in [&none, &some] {
        let listed = ann.get("/api/conversations/").await.is(200);
        let listed = listed.as_array().unwrap().iter().find(|one| one["id"] == id.as_str());
        assert_eq!(listed.unwrap()["charged"], Value::Null);
        assert_eq!(shown(id).await, 3 * PRICE);
        let more = json!({ "message": "more", "conversation_id": id });
        ann.post("/api/chat/", more).await.is(200);
        assert_eq!(shown(id).await, 4 * PRICE);
    }
    assert_eq!(ann.stored_conversation(&none).await["charged_before"], 3 * PRICE);
    assert_eq!(ann.stored_conversation(&some).await["charged_before"], 2 * PRICE);
    assert_eq!(ann.differs_in_conversations().await, []);
}

#[tokio::test]
async fn a_message_during_the_count_is_counted_once() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(2).await;
    for _ in 0..10 {
        ann.changes_stored(&id, "REMOVE charged, charged_before", &[]).await;
        let more = json!({ "message": "more", "conversation_id": id });
        let path = format!("/api/conversations/{id}");
        let (sent, read) = tokio::join!(ann.post("/api/chat/", more), ann.get(&path));
        sent.is(200);
        read.is(200);
        let chats = ann.get(&format!("/api/chat/?conversation_id={id}&limit=100")).await.is(200);
        let sum = u64::try_from(chats.as_array().unwrap().len()).unwrap() * PRICE;
        assert_eq!(ann.get(&path).await.is(200)["charged"], sum);
    }
}

#[tokio::test]
async fn the_messages_of_a_very_long_chat_are_read_once() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(1).await;
    let chats: Vec<Value> = (0..2001)
        .map(|_| {
            let chat = api.server().clock.id().to_string();
            let thread = format!("{id}#{chat}");
            json!({ "user_id": ann.id, "chat_id": chat, "thread": thread, "cost": 1, "time": 1 })
        })
        .collect();
    put(&api.dynamodb, "ChatsTable", &chats).await;
    ann.changes_stored(&id, "REMOVE charged_before", &[]).await;
    let path = format!("/api/conversations/{id}");
    assert_eq!(ann.get(&path).await.is(200)["charged"], Value::Null);

    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    let store = api.app_over("conversation", &lane).store;
    let conversation = store.conversation(&ann.id, &id).await.unwrap().unwrap();
    let conversation = store.count_charged(conversation).await.unwrap();
    assert_eq!(conversation.charged(), None);
    assert_eq!(lane.calls().len(), 1, "only the conversation is read");
}
