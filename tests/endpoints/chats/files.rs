//! `POST /api/chat` and `POST /api/chat/stream` with `attachments`, `GET /api/files/{id}` and `PATCH
//! /api/conversations/{id}` with `remove_files`: pictures and texts in messages, their prices, and
//! who can read them.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use functions::background::{erase, sweep};
use serde_json::{Value, json};
use shared::Error;
use shared::values::{Factor, TokenEstimate};

use crate::ai::providers::Provider;
use crate::endpoints::chats::fares::{RATES, by_usage, counted, priced};
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};
use crate::support::function::ask;
use crate::support::proxy::{Fault, Proxy};
use crate::support::world::{World, put, scan};

/// The first bytes of a PNG, which are enough to recognize it.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

const FILES: &str = "/api/files/";

fn picture(name: &str) -> Value {
    json!({ "name": name, "type": "image/png", "data": BASE64_STANDARD.encode(PNG) })
}

fn file(name: &str, text: &str) -> Value {
    json!({ "name": name, "text": text })
}

impl Person {
    /// Sends a message with these files, in a conversation if there is one.
    async fn attaches(&self, message: &str, conversation: Option<&Value>, files: Value) -> Answer {
        let body = json!({
            "message": message, "conversation_id": conversation, "attachments": files,
        });
        self.post("/api/chat/", body).await
    }

    /// Returns the names of the files in the conversation's context.
    async fn context(&self, conversation: &Value) -> Vec<String> {
        let path = format!("/api/conversations/{}", conversation.as_str().unwrap());
        let conversation = self.get(&path).await.is(200);
        let files = conversation["files"].as_array().cloned().unwrap_or_default();
        files.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn removes_files(&self, conversation: &Value, files: &[&Value]) -> Answer {
        let path = format!("/api/conversations/{}", conversation.as_str().unwrap());
        self.patch(&path, json!({ "remove_files": files })).await
    }

    async fn reads(&self, file: &Value) -> Answer {
        self.get(&format!("{FILES}{}", file["id"].as_str().unwrap())).await
    }
}

impl Api {
    /// Adds files to the context of a person's conversation, directly in the store.
    async fn lists(&self, person: &Person, conversation: &str, files: &[Value]) {
        let listed = files.iter().map(Value::to_string).collect();
        emulator::dynamo::client(&self.dynamodb)
            .update_item()
            .table_name("ChatsTable")
            .key("user_id", AttributeValue::S(person.id.clone()))
            .key("chat_id", AttributeValue::S(format!("c#{conversation}")))
            .update_expression("ADD files :files")
            .expression_attribute_values(":files", AttributeValue::Ss(listed))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn files_reach_the_ai_and_stay_in_the_history() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let files = json!([file("../a\u{202e}b.txt", "one"), picture("photo.png")]);
    let asked = ann.attaches("!recall", None, files).await.is(200);
    assert_eq!(asked["response"], "user: ab.txt:\none\n[a picture: png, 1 KB]\n!recall");
    let [text, png] = [&asked["files"][0], &asked["files"][1]];
    let id = asked["id"].as_str().unwrap();
    assert_eq!(
        *png,
        json!({ "id": format!("{id}.1"), "name": "photo.png", "type": "image/png", "bytes": PNG.len(), "tokens": null })
    );
    assert_eq!((&text["type"], &text["bytes"]), (&json!("text/plain"), &json!(3)));

    let read = ann.get(&format!("/api/chat/{id}")).await.is(200);
    assert_eq!(read["files"], asked["files"]);
    let listed = ann.history("?limit=1").await.is(200);
    assert_eq!(listed[0]["files"], asked["files"]);
    let png = ann.reads(png).await;
    assert_eq!(png.header("x-content-type-options"), "nosniff");
    assert_eq!(png.is(200)["data"], BASE64_STANDARD.encode(PNG));
    assert_eq!(ann.reads(text).await.is(200)["text"], "one");

    let next = json!({ "message": "!recall", "conversation_id": id });
    let later = ann.post("/api/chat/stream/", next).await.is(200);
    let later = text_of(&events(later.as_str().unwrap()));
    assert!(later.starts_with("user: ab.txt:\none\n[a picture: png, 1 KB]\n!recall\n"), "{later}");
}

#[tokio::test]
async fn a_retry_waits_for_its_run_even_if_files_were_added() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["conversation_id"].clone();
    let slow = json!({ "message": "!slow 4000", "conversation_id": id, "max_cost": PRICE });
    let (first, ()) = tokio::join!(ann.post_once("k", "/api/chat/", slow.clone()), async {
        ann.is_waiting().await;
        // Now the same message would cost more.
        ann.attaches("hi", Some(&id), json!([file("a.txt", &"a".repeat(100_000))])).await.is(200);
        let again = ann.post_once("k", "/api/chat/", slow.clone()).await;
        again.expect(409, "idempotency_key_running");
        let unlike = json!({ "message": "hi", "conversation_id": id, "max_cost": PRICE });
        let unlike = ann.post_once("k", "/api/chat/", unlike).await;
        unlike.expect(422, "idempotency_key_reused");
    });
    let first = first.is(200);
    assert_eq!(ann.post_once("k", "/api/chat/", slow.clone()).await.is(200), first);
    ann.post_once("another", "/api/chat/", slow).await.expect(409, "costs_more");
}

#[tokio::test]
async fn files_stay_in_the_context_until_they_are_removed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let first = ann.attaches("hi", None, json!([file("a.txt", "1")])).await.is(200);
    let id = &first["conversation_id"];
    let second = json!([file("b.txt", "2"), file("c.txt", "3")]);
    let second = ann.attaches("hi", Some(id), second).await.is(200);
    assert_eq!(ann.context(id).await, ["a.txt", "b.txt", "c.txt"]);

    let gone = [&first["files"][0]["id"], &second["files"][1]["id"], &json!("unknown")];
    let left = ann.removes_files(id, &gone).await.is(200);
    assert_eq!(left["files"], json!([second["files"][0]]));
    let again = ann.removes_files(id, &gone).await.is(200);
    assert_eq!(again["files"], left["files"]);
    let recalled = ann.attaches("!recall", Some(id), json!([])).await.is(200);
    let said = recalled["response"].as_str().unwrap();
    assert!(said.contains("b.txt:\n2") && !said.contains("a.txt"), "{said}");
    assert_eq!(ann.reads(&first["files"][0]).await.is(200)["text"], "1");

    // The files of a deleted message leave the context and the store.
    let path = format!("/api/chat/{}", second["id"].as_str().unwrap());
    ann.delete(&path).await.is(200);
    assert_eq!(ann.context(id).await, [""; 0]);
    ann.reads(&second["files"][0]).await.expect(404, "not_found");
    assert_eq!(ann.removes_files(id, &[]).await.is(400)["code"], "invalid_fields");
}

#[tokio::test]
async fn only_the_last_four_pictures_are_in_the_context() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let three = json!([picture("1"), picture("2"), picture("3")]);
    let first = ann.attaches("hi", None, three.clone()).await.is(200);
    let id = &first["conversation_id"];
    let four = json!([picture("4"), picture("5"), file("a.txt", "x")]);
    ann.attaches("hi", Some(id), four).await.is(200);
    assert_eq!(ann.context(id).await, ["2", "3", "4", "5", "a.txt"]);
    let recalled = ann.attaches("!recall", Some(id), json!([])).await.is(200);
    assert_eq!(recalled["response"].as_str().unwrap().matches("[a picture").count(), 4);
}

#[tokio::test]
async fn only_their_owner_reads_files() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let asked = ann.attaches("hi", None, json!([file("a.txt", "secret")])).await.is(200);
    let file = &asked["files"][0];
    ben.reads(file).await.expect(404, "not_found");
    for id in ["x", "1.0", &format!("{}.x", file["id"].as_str().unwrap()), "pending:1"] {
        ann.get(&format!("{FILES}{id}")).await.expect(404, "not_found");
    }
    let path = format!("{FILES}{}", file["id"].as_str().unwrap());
    api.get(&path).await.expect(401, "not_authenticated");
    ben.removes_files(&asked["conversation_id"], &[&file["id"]]).await.expect(404, "not_found");
}

#[tokio::test]
async fn invalid_files_are_refused_before_anything_is_taken() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let data = |bytes: &[u8]| json!([{ "name": "a", "data": BASE64_STANDARD.encode(bytes) }]);
    let nine: Vec<Value> = (0..9).map(|_| file("a", "x")).collect();
    let five: Vec<Value> = (0..5).map(|_| picture("a")).collect();
    for (files, sentence) in [
        (data(b"<svg onload='alert(1)'/>"), "PNG, JPEG or WebP"),
        (data(b"GIF89a"), "PNG, JPEG or WebP"),
        (
            json!([{ "name": "a", "type": "text/html", "data": BASE64_STANDARD.encode(PNG) }]),
            "type",
        ),
        (json!([{ "name": "a", "data": "no Base64" }]), "Base64"),
        (json!([{ "name": "a" }]), "either"),
        (json!([{ "name": "\u{202e}/", "text": "x" }]), "name"),
        (json!([file("a", " ")]), "empty"),
        (json!([file("a", &"x".repeat(307_201))]), "307200"),
        (json!(nine), "8 files"),
        (json!(five), "4 pictures"),
    ] {
        let refused = ann.attaches("hi", None, files).await.expect(400, "invalid_fields");
        let said = refused["errors"]["attachments"].to_string();
        assert!(said.contains(sentence), "{said}");
    }
    let huge = json!([file("a", &"x".repeat(2_200_000))]);
    ann.attaches("hi", None, huge).await.expect(413, "body_too_large");
    assert_eq!(ann.balance().await, GRANT);
    let world = World::read(&api.dynamodb).await;
    assert!(!world.files.contains_key(&ann.id) && world.chats(&ann.id).is_empty());
}

#[tokio::test]
async fn a_context_has_at_most_twenty_files() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let some = |count: usize| json!((0..count).map(|_| file("a", "x")).collect::<Vec<_>>());
    let first = ann.attaches("hi", None, some(8)).await.is(200);
    let id = &first["conversation_id"];
    ann.attaches("hi", Some(id), some(8)).await.is(200);
    let refused = ann.attaches("hi", Some(id), some(5)).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["attachments"].to_string().contains("at most 20"), "{refused}");
    ann.attaches("hi", Some(id), some(4)).await.is(200);
    assert_eq!(ann.context(id).await.len(), 20);
}

/// Messages that are sent in parallel can together exceed the limit.
#[tokio::test]
async fn a_conversation_may_list_hundreds_of_files() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.attaches("hi", None, json!([])).await.is(200)["conversation_id"].clone();
    let id = id.as_str().unwrap();
    let infos: Vec<Value> = (0..201)
        .map(|number| {
            let file = format!("{id}.{number}");
            json!({ "id": file, "name": "a.txt", "type": "text/plain", "bytes": 1, "tokens": 9 })
        })
        .collect();
    let stored: Vec<Value> = infos
        .iter()
        .map(|info| {
            let mut file = info.clone();
            file["pk"] = info["id"].clone();
            file["user_id"] = json!(ann.id);
            file["content"] = json!("x");
            file
        })
        .collect();
    put(&api.dynamodb, "FilesTable", &stored).await;
    api.lists(&ann, id, &infos).await;
    let asked = ann.attaches("!recall", Some(&json!(id)), json!([])).await.is(200);
    assert_eq!(asked["response"].as_str().unwrap().matches("a.txt:\nx").count(), 201);
    let more = ann.attaches("hi", Some(&json!(id)), json!([file("b", "x")])).await;
    more.expect(400, "invalid_fields");
}

#[tokio::test]
async fn a_flat_fare_is_paid_for_each_64_kb_of_files() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let long = file("a.txt", &"x".repeat(65_537));
    let first = ann.attaches("hi", None, json!([long])).await.is(200);
    assert_eq!(first["tokens_deducted"], 2 * PRICE);
    let id = &first["conversation_id"];
    let more = json!([picture("1"), picture("2"), picture("3"), picture("4")]);
    let second = ann.attaches("hi", Some(id), more).await.is(200);
    assert_eq!(second["tokens_deducted"], 3 * PRICE, "64 KB and a byte, and 64 KB of pictures");
    ann.removes_files(id, &[&first["files"][0]["id"]]).await.is(200);
    let third = ann.chat_in(id).await;
    assert_eq!(third["tokens_deducted"], PRICE);
    assert_eq!(ann.balance().await, GRANT - 6 * PRICE);
    let audited = api.store().audit(&ann.name).await.unwrap();
    assert_eq!(audited.differences, []);
}

impl Person {
    async fn chat_in(&self, conversation: &Value) -> Value {
        self.attaches("hi", Some(conversation), json!([])).await.is(200)
    }
}

#[tokio::test]
async fn files_count_in_the_hold_of_a_fare_by_usage() {
    let provider = Provider::start().await;
    provider.does(counted(10, 0, 5));
    let list = json!({ "models": [
        { "name": "sees", "via": ["openai"], "fare": by_usage(), "picture": 1000 },
        { "name": "blind", "via": ["openai"], "fare": by_usage() },
    ]});
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    let held = |chat: &Value| chat["receipt"]["held"].as_u64().unwrap();
    let plain = held(&ann.attaches("hi", None, json!([])).await.is(200));
    let seen = ann.attaches("hi", None, json!([picture("a")])).await.is(200);
    // 1,000 model tokens at 50,000 per million.
    assert_eq!(held(&seen), plain + 50);
    let text = "words ".repeat(3332);
    let read = ann.attaches("hi", None, json!([file("a.txt", &text)])).await.is(200);
    let tokens = read["files"][0]["tokens"].as_u64().unwrap();
    // The hold has the text with the line before it, and a token between two texts.
    let high = TokenEstimate::high_of(&format!("a.txt:\n{text}")) + 1;
    let high = RATES.price(u64::try_from(Factor::SECRET.times(high)).unwrap(), 0, 0, 0).get();
    assert_eq!(tokens, 20_000);
    // All three prices are rounded up.
    assert!((plain + high - 1..=plain + high).contains(&held(&read)), "{read}");

    let id = &seen["conversation_id"];
    let mut body = json!({ "message": "hi", "conversation_id": id, "model": "blind" });
    ann.post("/api/chat/", body.clone()).await.is(200);
    let (.., prompt) = provider.last_asked();
    assert!(!prompt.to_string().contains("image_url"), "earlier pictures are left out");
    body["attachments"] = json!([picture("b")]);
    let before = ann.balance().await;
    let refused = ann.post("/api/chat/", body).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["attachments"].to_string().contains("takes no pictures"));
    assert_eq!(ann.balance().await, before);
}

#[tokio::test]
async fn retries_must_send_the_same_files() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let body = |text: &str| json!({ "message": "hi", "attachments": [file("a.txt", text)] });
    let first = ann.post_once("k1", "/api/chat/", body("1")).await.is(200);
    let again = ann.post_once("k1", "/api/chat/", body("1")).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    ann.post_once("k1", "/api/chat/", body("2")).await.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn the_files_of_failed_messages_are_swept() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.attaches("!fail", None, json!([file("a.txt", "1"), picture("b")]))
        .await
        .expect(502, "ai_failed");
    assert_eq!(ann.balance().await, GRANT);
    let files = async || World::read(&api.dynamodb).await.files.contains_key(&ann.id);
    let store = api.store();
    assert_eq!(store.sweep_files(api.now()).await, Ok(0));
    assert!(files().await, "the lease lasts");
    assert_eq!(store.sweep_files(api.now() + 3600).await, Ok(1));
    assert!(!files().await);
    assert_eq!(store.sweep_files(api.now() + 3600).await, Ok(0));
}

#[tokio::test]
async fn unreadable_items_do_not_stop_the_sweep_of_files() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.attaches("!fail", None, json!([file("a.txt", "1")])).await.expect(502, "ai_failed");
    let list =
        json!({ "pk": "pending:01900000-0000-7000-8000-000000000000", "user_id": "pending:" });
    put(&api.dynamodb, "TokensTable", &[list]).await;
    let account = json!({ "pk": "user:unreadable", "id": "unreadable", "due": 1 });
    put(&api.dynamodb, "UsersTable", &[account]).await;
    api.server().clock.advance(Duration::from_secs(3600));
    let swept = sweep::work(api.server().apps["sweep"].clone()).await;
    assert!(matches!(&swept, Err(Error::Internal(_))), "{swept:?}");
    let left: Vec<Value> = scan(&api.dynamodb, "FilesTable").await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn deletions_erase_files() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let asked = ann.attaches("hi", None, json!([file("a.txt", "1"), picture("b")])).await.is(200);
    let path = format!("/api/conversations/{}", asked["conversation_id"].as_str().unwrap());
    ann.delete(&path).await.is(202);
    ben.attaches("hi", None, json!([picture("c")])).await.is(200);
    ben.deletes_the_account().await.is(202);
    erase::work(api.server().apps["erase"].clone()).await.unwrap();
    let world = World::read(&api.dynamodb).await;
    assert!(world.files.is_empty(), "{:?}", world.files);
}

/// The SDK sends a write again if its reply is late, and the first copy may arrive last.
#[tokio::test]
async fn late_copies_of_deleted_files_are_swept() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (proxy, bearer) = (Proxy::start(&api.dynamodb).await, ann.bearer());
    let lane = proxy.lane();
    let chat = api.function_over("chat", &lane);
    let sends = async || {
        // The first put lists the file.
        lane.strike_once("PutItem", 2, Fault::Again);
        let body = json!({ "message": "hi", "attachments": [file("a.txt", "1")] });
        let headers = [("authorization", bearer.as_str())];
        let sent = ask(&chat, "chat", "/api/chat", &headers, body).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        sent.body["id"].as_str().unwrap().to_owned()
    };
    let left = async || scan::<Value>(&api.dynamodb, "FilesTable").await.len();
    let (message, conversation, _) = (sends().await, sends().await, sends().await);
    assert_eq!(left().await, 3);
    ann.delete(&format!("/api/chat/{message}")).await.is(200);
    ann.delete(&format!("/api/conversations/{conversation}")).await.is(202);
    erase::work(api.server().apps["erase"].clone()).await.unwrap();
    assert_eq!(left().await, 1);
    ann.deletes_the_account().await.is(202);
    erase::work(api.server().apps["erase"].clone()).await.unwrap();
    assert_eq!(left().await, 0);

    lane.deliver().await;
    assert_eq!(left().await, 3);
    api.store().sweep_files(api.now() + 3600).await.unwrap();
    assert_eq!(left().await, 0);
    let world = World::read(&api.dynamodb).await;
    assert!(world.pending.is_empty(), "{:?}", world.pending);
}

#[tokio::test]
async fn the_audit_and_a_restore_find_files_without_messages() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let kept =
        ann.attaches("hi", None, json!([file("a.txt", "1"), file("b.txt", "2")])).await.is(200);
    let lost = ann.attaches("hi", None, json!([picture("c")])).await.is(200);
    let client = emulator::dynamo::client(&api.dynamodb);
    let s = |text: &Value| AttributeValue::S(text.as_str().unwrap().into());
    let file = client.delete_item().table_name("FilesTable").key("pk", s(&kept["files"][1]["id"]));
    file.send().await.unwrap();
    let chat = client.delete_item().table_name("ChatsTable").key("chat_id", s(&lost["id"]));
    chat.key("user_id", s(&json!(ann.id))).send().await.unwrap();

    let store = api.store();
    let said = async || {
        let (orphans, _) = store.audit_files(None).await.unwrap();
        let missing = store.audit(&ann.name).await.unwrap().differences;
        [missing, orphans].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let [missing, orphan] =
        [&kept["files"][1]["id"], &lost["files"][0]["id"]].map(|id| id.as_str().unwrap());
    assert_eq!(
        said().await,
        [
            format!("the file {missing} of a message is not stored"),
            format!("the file {orphan} belongs to no message")
        ]
    );
    let now = api.now();
    let clock = shared::clock::Clock::standing(now * 1000);
    let repairs = store.reconcile(now, &clock).await.unwrap().unwrap().repairs;
    assert_eq!(repairs.len(), 4, "{repairs:?}");
    assert_eq!(said().await, [""; 0]);
    let left = ann.get(&format!("/api/chat/{}", kept["id"].as_str().unwrap())).await.is(200);
    assert_eq!(left["files"], json!([kept["files"][0]]));
    assert_eq!(ann.context(&kept["conversation_id"]).await, ["a.txt"]);
    assert_eq!(ann.context(&lost["conversation_id"]).await, [""; 0]);
}

#[tokio::test]
async fn exports_contain_files_with_their_contents() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let asked = ann.attaches("hi", None, json!([file("a.txt", "1"), picture("b")])).await.is(200);
    let export = ann.get("/api/user/export/").await.is(200);
    assert_eq!(export["chats"][0]["files"], asked["files"]);
    assert_eq!(export["files"][0]["text"], "1");
    assert_eq!(export["files"][1]["data"], BASE64_STANDARD.encode(PNG));

    // Without the contents, which may be too large, the messages still list their files.
    let export = ann.get("/api/user/export/?files=false").await.is(200);
    assert_eq!((&export["files"], &export["chats"][0]["files"]), (&json!([]), &asked["files"]));
    ann.get("/api/user/export/?files=off").await.expect(400, "invalid_fields");
}

#[tokio::test]
async fn exports_read_the_messages_of_files_once() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    for message in 0..6 {
        let files: Vec<Value> =
            (0..8).map(|number| file(&format!("{message}-{number}"), "x")).collect();
        ann.attaches("hi", None, json!(files)).await.is(200);
    }
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.records();
    let export = api.function_over("export", &lane);
    let (bearer, path) = (ann.bearer(), "/api/user/export");
    let headers = [("authorization", bearer.as_str())];
    let exported = ask(&export, "export", path, &headers, Value::Null).await;
    let names: HashSet<&str> = exported.body["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 48, "{exported:?}");
    let is_query = |(operation, body): &(String, Value)| {
        operation == "Query" && body["TableName"] == "ChatsTable" && body["IndexName"].is_null()
    };
    // One page for the list of messages, and two for the list of files.
    assert_eq!(lane.recorded().iter().filter(|call| is_query(call)).count(), 3);
}
