//! Temporary chats: `POST /api/chat` with `temporary`. They are charged like all others. Lists and
//! searches don't show them, and a day after they began they are deleted with their files.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Bytes;
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::sync::Notify;

use crate::ai::providers::{Does, Provider};
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person};
use crate::support::proxy::{Fault, Proxy};
use crate::support::world::scan;

/// The time that `manage erase` may take.
const TIME: Duration = Duration::from_secs(60);

impl Person {
    async fn begins_temporary(&self, message: &str) -> Answer {
        let body = json!({ "message": message, "temporary": true });
        self.post("/api/chat/", body).await
    }

    /// Begins a temporary conversation with two messages, and returns its id.
    pub async fn whispers(&self) -> String {
        let begun = self.begins_temporary("hi").await.is(200);
        let id = begun["conversation_id"].as_str().unwrap().to_owned();
        let more = json!({ "message": "more", "conversation_id": id });
        self.post("/api/chat/", more).await.is(200);
        id
    }

    async fn reads_file(&self, id: &str) -> Answer {
        self.get(&format!("/api/files/{id}")).await
    }

    async fn titles(&self, query: &str) -> Vec<String> {
        let found = self.get(&format!("/api/conversations/{query}")).await.is(200);
        let title = |one: &Value| one["title"].as_str().unwrap().to_owned();
        found.as_array().unwrap().iter().map(title).collect()
    }
}

async fn after_a_day(api: &Api, ann: &Person) -> Person {
    api.server().clock.advance(DAY);
    ann.elsewhere("a day later").await
}

#[tokio::test]
async fn temporary_chats_are_in_no_list_and_no_search() {
    let api = Api::own(&[]).await;
    let (ann, root) = (api.person("ann").await, api.administrator("root").await);
    let id = ann.whispers().await;
    ann.chat("kept").await.is(200);
    assert_eq!(ann.titles("").await, ["kept"]);
    assert_eq!(ann.titles("?q=hi").await, Vec::<String>::new());
    assert_eq!(ann.pages("").await.concat(), ["kept"]);
    assert_eq!(ann.pages("?q=hi").await.concat(), Vec::<String>::new());
    for query in ["", &format!("?user_id={}", ann.id), &format!("?user_id={}&chat_id={id}", ann.id)]
    {
        let found = root.get(&format!("/api/admin/chats/{query}")).await.is(200).to_string();
        assert!(!found.contains("\"hi\""), "{query}: {found}");
    }
    // The owner can open and continue the conversation, and gets it in the export.
    assert_eq!(ann.pages(&format!("?conversation_id={id}")).await.concat(), ["more", "hi"]);
    let continued = json!({ "message": "!recall", "conversation_id": id });
    let answer = ann.post("/api/chat/", continued).await.is(200);
    assert!(answer["response"].as_str().unwrap().contains("user: more"), "{answer}");
    assert_eq!(ann.titles("").await, ["kept"], "a further message doesn't list it");
    let shown = ann.get(&format!("/api/conversations/{id}")).await.is(200);
    assert!(shown["expires"].is_string(), "{shown}");
    let exported = ann.get("/api/user/export/").await.is(200);
    assert_eq!(exported["temporary_conversations"][0]["id"], id.as_str());
    assert_eq!(exported["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(exported["chats"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn temporary_chats_are_charged_and_in_the_statement() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.whispers().await;
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    let statement = ann.get("/api/user/ledger/").await.is(200);
    let rows: Vec<&Value> =
        statement.as_array().unwrap().iter().filter(|row| row["kind"] == "chat").collect();
    assert_eq!(rows.len(), 2, "{statement}");
    assert!(!statement.to_string().contains("\"hi\""), "without the message: {statement}");
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    // The row stays, and its missing chat is no fault.
    ann.delete(&format!("/api/conversations/{id}")).await.is(202);
    api.store().erase(api.now() + 3600, TIME).await.unwrap();
    assert_eq!(ann.get("/api/user/ledger/").await.is(200).as_array().unwrap().len(), 3);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn expired_chats_are_gone_before_they_are_deleted() {
    let api = Api::with_clock(Clock::standing(Clock::default().millis()), &[]).await;
    let ann = api.person("ann").await;
    let id = ann.whispers().await;
    let ann = after_a_day(&api, &ann).await;
    assert_ne!(ann.stored_conversation(&id).await, Value::Null, "DynamoDB is late");
    let (chat, conversation) = (format!("/api/chat/{id}"), format!("/api/conversations/{id}"));
    ann.get(&chat).await.expect(404, "not_found");
    ann.delete(&chat).await.expect(404, "not_found");
    ann.get(&conversation).await.expect(404, "not_found");
    for change in
        [json!({ "title": "x" }), json!({ "pinned": false }), json!({ "remove_files": ["x"] })]
    {
        ann.patch(&conversation, change).await.expect(404, "not_found");
    }
    let continued = json!({ "message": "hi", "conversation_id": id });
    ann.post("/api/chat/", continued).await.expect(404, "not_found");
    assert_eq!(ann.pages(&format!("?conversation_id={id}")).await.concat(), Vec::<String>::new());
    let exported = ann.get("/api/user/export/").await.is(200);
    assert_eq!(exported["temporary_conversations"], json!([]));
    assert_eq!(exported["chats"], json!([]));
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE, "the refused message cost nothing");
}

#[tokio::test]
async fn files_expire_with_their_temporary_chat() {
    let api = Api::with_clock(Clock::standing(Clock::default().millis()), &[]).await;
    let ann = api.person("ann").await;
    let file = json!([{ "name": "a.txt", "text": "one" }]);
    let sends = async |body: Value| {
        let sent = ann.post("/api/chat/", body).await.is(200);
        (sent["files"][0]["id"].as_str().unwrap().to_owned(), sent["conversation_id"].clone())
    };
    let begins = json!({ "message": "hi", "temporary": true, "attachments": file });
    let (first, conversation) = sends(begins).await;
    let kept = json!({ "message": "hi", "attachments": file });
    let (kept, _) = sends(kept).await;
    api.server().clock.advance(Duration::from_secs(3600));
    let more = json!({ "message": "hi", "conversation_id": conversation, "attachments": file });
    let (second, _) = sends(more).await;
    for id in [&first, &second, &kept] {
        ann.reads_file(id).await.is(200);
    }

    api.server().clock.advance(DAY - Duration::from_secs(3600));
    let ann = ann.elsewhere("a day later").await;
    let stored = async || scan::<Value>(&api.dynamodb, "FilesTable").await.len();
    assert_eq!(stored().await, 3, "DynamoDB is late");
    for id in [&first, &second] {
        ann.reads_file(id).await.expect(404, "not_found");
    }
    ann.reads_file(&kept).await.is(200);
    let exported = ann.get("/api/user/export/").await.is(200)["files"].clone();
    let ids: Vec<&Value> = exported.as_array().unwrap().iter().map(|file| &file["id"]).collect();
    assert_eq!(ids, [&json!(kept)]);

    // DynamoDB deletes expired items in any order.
    let client = emulator::dynamo::client(&api.dynamodb);
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let file = client.delete_item().table_name("FilesTable").key("pk", s(&first));
    file.send().await.unwrap();
    let chat = client.delete_item().table_name("ChatsTable").key("user_id", s(&ann.id));
    chat.key("chat_id", s(second.split_once('.').unwrap().0)).send().await.unwrap();
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    assert_eq!(api.store().audit_files(None).await.unwrap().0, []);
}

#[tokio::test]
async fn temporary_conversations_cannot_be_pinned() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let path = format!("/api/conversations/{}", ann.whispers().await);
    ann.patch(&path, json!({ "pinned": true })).await.expect(400, "invalid_fields");
    ann.patch(&path, json!({ "title": "Secret", "pinned": false })).await.is(200);
    assert_eq!(ann.titles("").await, Vec::<String>::new());
}

#[tokio::test]
async fn temporary_conversations_cannot_be_in_a_folder() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let folder = ann.post("/api/folders/", json!({ "name": "Travel" })).await.is(201)["id"].clone();
    let body = json!({ "message": "hi", "temporary": true, "folder_id": folder });
    let refused = ann.post("/api/chat/", body).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["folder_id"].is_array(), "{refused}");
    assert_eq!(ann.balance().await, GRANT);
    let path = format!("/api/conversations/{}", ann.whispers().await);
    for change in [json!({ "folder_id": folder }), json!({ "folder_id": folder, "pinned": false })]
    {
        let refused = ann.patch(&path, change).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["folder_id"].is_array(), "{refused}");
    }
    assert_eq!(ann.get(&path).await.is(200)["folder_id"], Value::Null);
    ann.patch(&path, json!({ "folder_id": "" })).await.is(200);
}

#[tokio::test]
async fn only_new_conversations_can_be_temporary() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.converses(1).await;
    let body = json!({ "message": "hi", "conversation_id": id, "temporary": true });
    ann.post("/api/chat/", body).await.expect(400, "invalid_fields");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    // A retry with the same key must ask for the same kind of chat.
    let path = "/api/chat/";
    let temporary = json!({ "message": "hi", "temporary": true });
    let first = ann.post_once("k", path, temporary.clone()).await.is(200);
    assert_eq!(ann.post_once("k", path, temporary).await.is(200), first);
    let kept = json!({ "message": "hi" });
    ann.post_once("k", path, kept).await.expect(422, "idempotency_key_reused");
}

#[tokio::test]
async fn temporary_conversations_are_erased_after_a_day() {
    let api = Api::with_clock(Clock::standing(Clock::default().millis()), &[]).await;
    let ann = api.person("ann").await;
    let kept = ann.converses(1).await;
    let early = ann.whispers().await;
    api.server().clock.advance(Duration::from_secs(3600));
    let late = ann.whispers().await;
    let left = async || {
        api.store().erase(api.now(), TIME).await.unwrap();
        let items: Vec<Value> = scan(&api.dynamodb, "ChatsTable").await;
        let has = |id: &str| items.iter().any(|item| item.to_string().contains(id));
        [&early, &late, &kept].map(|id| has(id))
    };
    assert_eq!(left().await, [true, true, true]);
    api.server().clock.advance(DAY - Duration::from_secs(3600));
    assert_eq!(left().await, [false, true, true]);
    api.server().clock.advance(Duration::from_secs(3600));
    assert_eq!(left().await, [false, false, true]);
    let account = api.account(&ann).await;
    assert_eq!(account.balance(api.now()).get(), GRANT - 5 * PRICE);
    let users: Vec<Value> = scan(&api.dynamodb, "UsersTable").await;
    assert!(users.iter().all(|user| user["erasing"].is_null()), "nothing is left to erase");
}

#[tokio::test]
async fn late_answers_to_an_erased_temporary_chat_stay_hidden() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let id = ann.whispers().await;
    let slow = json!({ "message": "!slow 4000 psst", "conversation_id": id });
    let sending = tokio::spawn({
        let ann = ann.clone();
        async move { ann.post("/api/chat/", slow).await }
    });
    ann.is_waiting().await;
    ann.delete(&format!("/api/conversations/{id}")).await.is(202);
    let answer = sending.await.unwrap().is(200);
    assert_eq!(answer["conversation_id"], Value::Null);
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    assert_eq!(ann.pages("").await.concat(), Vec::<String>::new());
}

#[tokio::test]
async fn late_answers_to_a_deleted_temporary_chat_keep_no_files() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let id = ann.whispers().await;
    let file = json!([{ "name": "a.txt", "text": "one" }]);
    let message = "!slow 4000 psst";
    let slow = json!({ "message": message, "conversation_id": id, "attachments": file });
    let sending = tokio::spawn({
        let ann = ann.clone();
        async move { ann.post("/api/chat/", slow).await }
    });
    ann.is_waiting().await;
    ann.delete(&format!("/api/conversations/{id}")).await.is(202);
    let answer = sending.await.unwrap().is(200);
    assert_eq!(answer["conversation_id"], Value::Null);
    let files = async || scan::<Value>(&api.dynamodb, "FilesTable").await.len();
    assert_eq!(files().await, 1);
    let store = api.store();
    assert_eq!(store.sweep_files(api.now() + 3600).await, Ok(1));
    store.erase(api.now() + 3600, TIME).await.unwrap();
    assert_eq!(files().await, 0);
    ann.deletes_the_account().await.is(202);
    store.erase(api.now() + 3600, TIME).await.unwrap();
    assert_eq!(scan::<Value>(&api.dynamodb, "ChatsTable").await.len(), 0);
    assert_eq!(files().await, 0);
}

#[tokio::test]
async fn no_answer_is_added_while_a_temporary_chat_is_erased() {
    let clock = Clock::standing(Clock::default().millis());
    let provider = Provider::start().await;
    let url = format!("{}/v1", provider.url);
    let settings =
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "tiny")];
    let api = Api::with_clock(clock, &settings).await;
    let ann = api.person("ann").await;
    provider.says("Yes?");
    let id = ann.whispers().await;
    let last = Duration::from_secs(10);
    api.server().clock.advance(DAY - last);
    let ann = ann.elsewhere("a day later").await;
    let go_on = Arc::new(Notify::new());
    let answer = json!({ "choices": [{ "message": { "content": "Psst!" } }] }).to_string();
    let (first, rest) = answer.split_at(1);
    let pieces = [first, rest].map(|piece| Bytes::copy_from_slice(piece.as_bytes()));
    provider.does(Does::Waits(pieces.to_vec(), go_on.clone()));
    let sending = tokio::spawn({
        let (ann, message) = (ann.clone(), json!({ "message": "psst", "conversation_id": id }));
        async move { ann.post("/api/chat/", message).await }
    });
    ann.is_waiting().await;
    api.server().clock.advance(last);
    // The answer arrives after the messages were deleted, and before the conversation is.
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.strike_once("BatchWriteItem", 2, Fault::StallBefore);
    let app = api.app_over("erase", &lane);
    let (erased, ()) = tokio::join!(app.store.erase(api.now(), TIME), async {
        lane.struck().await;
        go_on.notify_one();
    });
    erased.unwrap();
    let answer = sending.await.unwrap().is(200);
    assert_eq!(answer["conversation_id"], Value::Null);
    assert_eq!(ann.stored_conversation(&id).await, Value::Null);
}
