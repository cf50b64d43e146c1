//! Branches of conversations (`after` in `POST /api/chat`): edited messages and regenerated
//! answers. The AI gets a message only with earlier messages in the same branch. If one version of
//! a message is deleted, the other versions remain.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::chats::chat_history::exported;
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};

/// A valid id that belongs to no chat.
const UNKNOWN: &str = "01a1f7d1-6dd1-703a-9600-a369c76325b7";

impl Person {
    /// Begins a conversation with these messages. Returns their ids. The first id is also the
    /// conversation's id.
    async fn says_all(&self, messages: &[&str]) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for message in messages {
            let body = json!({ "message": message, "conversation_id": ids.first() });
            ids.push(id_of(&self.post("/api/chat/", body).await.is(200)));
        }
        ids
    }

    /// Sends a message with this parent.
    async fn says_after(&self, message: &str, conversation: &str, after: &str) -> Answer {
        let body = json!({ "message": message, "conversation_id": conversation, "after": after });
        self.post("/api/chat/", body).await
    }

    /// Sends a message with this parent. Returns the chat's id.
    async fn branches(&self, message: &str, conversation: &str, after: &str) -> String {
        id_of(&self.says_after(message, conversation, after).await.is(200))
    }

    /// Sends a message with this parent, and returns the user's earlier messages that the AI gets
    /// with it.
    async fn is_told(&self, conversation: &str, after: &str) -> Vec<String> {
        repeated_messages(&self.says_after("!recall", conversation, after).await.is(200))
    }

    async fn removes(&self, id: &str) {
        self.delete(&format!("/api/chat/{id}/")).await.is(200);
    }

    /// The `after` field of each chat in the conversation, oldest first.
    async fn order(&self, conversation: &str) -> Vec<Value> {
        let query = format!("?limit=100&conversation_id={conversation}");
        let history = self.history(&query).await.is(200);
        history.as_array().unwrap().iter().rev().map(|chat| chat["after"].clone()).collect()
    }
}

fn id_of(chat: &Value) -> String {
    chat["id"].as_str().unwrap().to_owned()
}

/// Returns the user's messages from an answer to `!recall`, except `!recall` itself. Such an answer
/// repeats the conversation. Asserts that each message is followed by its answer.
fn repeated_messages(chat: &Value) -> Vec<String> {
    let lines: Vec<&str> = chat["response"].as_str().unwrap().split('\n').collect();
    let (asked, before) = lines.split_last().unwrap();
    assert_eq!(*asked, "user: !recall");
    let turns = before.chunks(2).map(|turn| {
        let message = turn[0].strip_prefix("user: ").unwrap();
        assert_eq!(turn[1], format!("assistant: You said: {message}"));
        message.to_owned()
    });
    turns.collect()
}

#[tokio::test]
async fn the_ai_gets_only_the_branch_of_the_message() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two", "three"]).await;
    let id = main[0].as_str();
    let edited = ann.branches("two again", id, &main[0]).await;
    let later = ann.branches("four", id, &edited).await;
    assert_eq!(ann.is_told(id, &later).await, ["one", "two again", "four"]);
    assert_eq!(ann.is_told(id, &main[2]).await, ["one", "two", "three"]);
    assert_eq!(ann.is_told(id, &main[0]).await, ["one"]);
    assert_eq!(ann.is_told(id, "start").await, [""; 0]);

    // A branch that begins at the conversation's start continues like the main line.
    let other = ann.branches("another one", id, "start").await;
    let goes_on = ann.branches("and two", id, &other).await;
    assert_eq!(ann.is_told(id, &goes_on).await, ["another one", "and two"]);
    assert_eq!(ann.is_told(id, &edited).await, ["one", "two again"]);
    assert_eq!(ann.balance().await, GRANT - 13 * PRICE, "each version is a message");
    let rows = ann.get("/api/user/ledger/?limit=100").await.is(200);
    let paid = rows.as_array().unwrap().iter().filter(|row| row["reason"] == "chat");
    assert_eq!(paid.count(), 13);
}

#[tokio::test]
async fn messages_without_a_parent_follow_the_newest_one() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let edited = ann.branches("two again", &main[0], &main[0]).await;
    for none in [Value::Null, json!("")] {
        let body =
            json!({ "message": "!recall", "conversation_id": main[0], "after": none.clone() });
        let answer = ann.post("/api/chat/", body).await.is(200);
        let newest = answer["after"].as_str().unwrap().to_owned();
        assert_eq!(repeated_messages(&answer), ["one", "two again"], "{none}");
        assert_eq!(newest, edited);
        ann.removes(&id_of(&answer)).await;
    }
}

#[tokio::test]
async fn lists_and_exports_have_parents_only_off_the_main_line() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let id = main[0].as_str();
    // The parent isn't stored if the chat would follow it even without `after`.
    let third = ann.says_after("three", id, &main[1]).await.is(200);
    assert_eq!(third.get("after"), None);
    let edited = ann.says_after("two again", id, &main[0]).await.is(200);
    assert_eq!(edited["after"], main[0].as_str());
    let other = ann.says_after("one again", id, "START").await;
    assert!(other.expect(400, "invalid_fields")["errors"]["after"].is_array());
    let other = ann.says_after("one again", id, "start").await.is(200);
    // The main line continues after its last chat.
    let fourth = ann.says_after("four", id, third["id"].as_str().unwrap()).await.is(200);
    assert_eq!(fourth.get("after"), None);

    let history = ann.history("").await.is(200);
    let after: Vec<Option<&Value>> =
        history.as_array().unwrap().iter().map(|chat| chat.get("after")).collect();
    let (first, start) = (json!(main[0]), json!("start"));
    assert_eq!(after, [None, Some(&start), Some(&first), None, None, None]);
    let expected = [Value::Null, Value::Null, Value::Null, first, start, Value::Null];
    assert_eq!(ann.order(id).await, expected);
    let export = ann.get("/api/user/export/").await.is(200);
    assert_eq!(export["chats"], exported(history));
    let read = ann.get(&format!("/api/chat/{}/", id_of(&other))).await.is(200);
    assert_eq!(read["after"], "start");

    let items = api.items(&ann.id).await;
    let place = |chat: &Value| {
        let of_chat = |item: &&Value| item["chat_id"] == chat["id"];
        items["ChatsTable"].iter().find(of_chat).unwrap()["thread"].clone()
    };
    let expected = format!("{id}#{}", id_of(&third));
    assert_eq!(place(&third), expected, "it stores nothing new");
    let expected = format!("{id}#{}#{id}", id_of(&edited));
    assert_eq!(place(&edited), expected);
}

#[tokio::test]
async fn histories_have_all_versions_page_by_page() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    for message in ["three", "four", "five"] {
        ann.branches(message, &main[0], &main[0]).await;
    }
    let pages = ann.pages(&format!("?limit=2&conversation_id={}", main[0])).await;
    assert_eq!(pages, [vec!["five", "four"], vec!["three", "two"], vec!["one"]]);
}

#[tokio::test]
async fn foreign_parents_are_refused_before_the_hold() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let main = ann.says_all(&["one", "two", "three"]).await;
    let elsewhere = ann.says_all(&["elsewhere"]).await;
    let bens = ben.says_all(&["ben's"]).await;
    ann.removes(&main[2]).await;
    let before = api.items(&ann.id).await;
    let long = "x".repeat(5000);
    let ids = [&elsewhere[0], &bens[0], &main[2]].map(String::as_str);
    let bad = [&ids[..], &[UNKNOWN, "x", "c#x", &long]].concat();
    for path in ["/api/chat/", "/api/chat/stream/"] {
        for after in &bad {
            let body = json!({ "message": "hi", "conversation_id": main[0], "after": after });
            let refused = ann.post(path, body).await.expect(400, "invalid_fields");
            assert!(refused["errors"]["after"].is_array(), "{refused}");
        }
        let alone = json!({ "message": "hi", "after": main[0] });
        let refused = ann.post(path, alone).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["after"].is_array(), "{refused}");
    }
    for conversation in [bens[0].as_str(), UNKNOWN] {
        ann.says_after("hi", conversation, &main[0]).await.expect(404, "not_found");
        ann.says_after("hi", conversation, "start").await.expect(404, "not_found");
    }
    assert_eq!(api.items(&ann.id).await, before);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
    // A client that has logged out can't learn which messages exist.
    ann.log_out().await.is(200);
    ann.says_after("hi", &main[0], &main[1]).await.expect(401, "token_not_valid");
    ann.says_after("hi", &main[0], &main[2]).await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn keyed_retries_need_the_same_parent() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two", "three"]).await;
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let once = async |after: Option<&str>| {
        let mut body = json!({ "message": "two again", "conversation_id": main[0] });
        if let Some(after) = after {
            body["after"] = json!(after);
        }
        api.send(Method::POST, "/api/chat/", &headers, Some(body)).await
    };
    let after = main[0].as_str();
    let first = once(Some(after)).await.is(200);
    let again = once(Some(after.to_uppercase().as_str())).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(200), first);
    for other in [Some(main[1].as_str()), Some("start"), None] {
        once(other).await.expect(422, "idempotency_key_reused");
    }
    // A retry gets the same reply even after the parent is deleted.
    ann.removes(&main[0]).await;
    let again = once(Some(after)).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(200), first);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn answers_are_streamed_to_versions() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let body = json!({ "message": "!recall", "conversation_id": main[0], "after": main[0] });
    let reply = ann.post("/api/chat/stream/", body).await.is(200);
    let said = events(reply.as_str().unwrap());
    let (name, done) = said.last().unwrap();
    assert_eq!((name.as_str(), &done["after"]), ("done", &json!(main[0])));
    assert_eq!(done["response"], text_of(&said));
    assert_eq!(repeated_messages(done), ["one"]);
}

#[tokio::test]
async fn parallel_versions_are_all_stored_and_paid() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let versions = (0..8).map(|_| ann.says_after("!recall", &main[0], &main[0]));
    for version in join_all(versions).await {
        assert_eq!(repeated_messages(&version.is(200)), ["one"]);
    }
    let after: Vec<Value> = ann.order(&main[0]).await.split_off(2);
    assert_eq!(after, vec![json!(main[0]); 8]);
    assert_eq!(ann.balance().await, GRANT - 10 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn children_of_a_deleted_message_follow_its_parent() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two", "three"]).await;
    let id = main[0].as_str();
    // If a chat in a branch is deleted, only the two chats that followed it get a new parent.
    let edited = ann.branches("two again", id, &main[0]).await;
    let left = ann.branches("left", id, &edited).await;
    let right = ann.branches("right", id, &edited).await;
    let last = ann.branches("last", id, &right).await;
    ann.removes(&edited).await;
    assert_eq!(ann.is_told(id, &left).await, ["one", "left"]);
    assert_eq!(ann.is_told(id, &last).await, ["one", "right", "last"]);
    assert_eq!(ann.is_told(id, &main[2]).await, ["one", "two", "three"]);
    // Delete chats on the main line.
    ann.removes(&main[1]).await;
    assert_eq!(ann.is_told(id, &main[2]).await, ["one", "three"]);
    ann.removes(&main[0]).await;
    assert_eq!(ann.is_told(id, &main[2]).await, ["three"]);
    assert_eq!(ann.is_told(id, &last).await, ["right", "last"]);
    // Delete the first chat of a branch that begins at the conversation's start.
    let start = ann.branches("another one", id, "start").await;
    let next = ann.branches("next", id, &start).await;
    ann.removes(&start).await;
    assert_eq!(ann.is_told(id, &next).await, ["next"]);
    assert_eq!(ann.is_told(id, &left).await, ["left"]);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_deleted_message_may_have_many_children() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let edited = ann.branches("two again", &main[0], &main[0]).await;
    for _ in 0..2 {
        let versions = (0..30).map(|_| ann.says_after("hi", &main[0], &edited));
        for version in join_all(versions).await {
            version.is(200);
        }
    }
    ann.removes(&edited).await;
    let after: Vec<Value> = ann.order(&main[0]).await.split_off(2);
    assert_eq!(after, vec![json!(main[0]); 60]);
}

#[tokio::test]
async fn a_message_with_a_deleted_parent_continues_the_main_line() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let edited = ann.branches("two again", &main[0], &main[0]).await;
    let slow = tokio::spawn({
        let (ann, id, edited) = (ann.clone(), main[0].clone(), edited.clone());
        async move { ann.says_after("!slow 4000", &id, &edited).await }
    });
    ann.is_waiting().await;
    ann.removes(&edited).await;
    let kept = slow.await.unwrap().is(200);
    assert_eq!(kept["after"], edited.as_str());
    let told = ann.is_told(&main[0], &id_of(&kept)).await;
    assert_eq!(told, ["one", "two", "!slow 4000"]);
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE);
}

#[tokio::test]
async fn a_running_retry_is_reported_despite_a_deleted_parent() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    let edited = ann.branches("two again", &main[0], &main[0]).await;
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let sends = async |after: &str| {
        let body = json!({ "message": "!slow 4000", "conversation_id": main[0], "after": after });
        api.send(Method::POST, "/api/chat/", &headers, Some(body)).await
    };
    let (first, ()) = tokio::join!(sends(&edited), async {
        ann.is_waiting().await;
        ann.removes(&edited).await;
        sends(&edited).await.expect(409, "idempotency_key_running");
        sends(UNKNOWN).await.expect(422, "idempotency_key_reused");
    });
    let first = first.is(200);
    assert_eq!(sends(&edited).await.is(200), first);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn a_version_without_its_conversation_is_still_charged() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    ann.branches("two again", &main[0], &main[0]).await;
    let slow = tokio::spawn({
        let (ann, id) = (ann.clone(), main[0].clone());
        async move { ann.says_after("!slow 4000", &id, &id).await }
    });
    ann.is_waiting().await;
    ann.delete(&format!("/api/conversations/{}/", main[0])).await.is(202);
    let kept = slow.await.unwrap().is(200);
    assert_eq!((&kept["conversation_id"], kept.get("after")), (&Value::Null, None));
    // Deleting the conversation erases all versions.
    let app = &api.server().apps["erase"];
    let erased = app.store.erase(api.now(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(erased.items, 4, "three messages and the conversation");
    let left = ann.history("").await.is(200);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &kept["id"]));
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn branches_that_begin_far_back_are_followed() {
    let api = Api::own(&[("CONTEXT_CHATS", "3")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["1", "2", "3", "4", "5", "6", "7", "8"]).await;
    let id = main[0].as_str();
    assert_eq!(ann.is_told(id, &main[7]).await, ["6", "7", "8"]);
    assert_eq!(ann.is_told(id, &main[1]).await, ["1", "2"]);
    let far = ann.branches("far", id, &main[1]).await;
    assert_eq!(ann.is_told(id, &far).await, ["1", "2", "far"]);
    assert_eq!(ann.is_told(id, &main[4]).await, ["3", "4", "5"]);
    // Chats in other branches don't count towards the limit.
    let next = ann.branches("next", id, &far).await;
    for _ in 0..5 {
        ann.branches("beside", id, &main[7]).await;
    }
    assert_eq!(ann.is_told(id, &next).await, ["2", "far", "next"]);
    assert_eq!(ann.is_told(id, &main[7]).await, ["6", "7", "8"]);
}

#[tokio::test]
async fn messages_may_have_parents_that_the_ai_does_not_see() {
    let api = Api::own(&[("CONTEXT_CHATS", "0")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one", "two"]).await;
    assert_eq!(ann.is_told(&main[0], &main[0]).await, [""; 0]);
    assert_eq!(ann.order(&main[0]).await, [Value::Null, Value::Null, json!(main[0])]);
    ann.says_after("hi", &main[0], UNKNOWN).await.expect(400, "invalid_fields");
}

#[tokio::test]
async fn branches_with_many_turns_are_read_within_a_limit() {
    let api = Api::own(&[("CONTEXT_CHATS", "12"), ("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let main = ann.says_all(&["one"]).await;
    let (id, mut last) = (main[0].as_str(), main[0].clone());
    // Give each chat in the branch more siblings than the store reads at a time.
    for turning in 0..11 {
        let next = ann.branches(&format!("turning {turning}"), id, &last).await;
        for answer in join_all((0..13).map(|_| ann.says_after("beside", id, &last))).await {
            answer.is(200);
        }
        last = next;
    }
    let expected: Vec<String> = (3..11).map(|turning| format!("turning {turning}")).collect();
    assert_eq!(ann.is_told(id, &last).await, expected);
}

#[tokio::test]
async fn cut_answers_are_continued_by_an_ordinary_message() {
    let api = Api::own(&[("ANSWER_LIMIT", "10")]).await;
    let ann = api.person("ann").await;
    let streams = async |body: Value| {
        let reply = ann.post("/api/chat/stream/", body).await.is(200);
        events(reply.as_str().unwrap()).pop().unwrap().1
    };
    let cut = streams(json!({ "message": "!words 0 one two three" })).await;
    assert_eq!((&cut["finish_reason"], &cut["response"]), (&json!("length"), &json!("one two th")));
    let (id, price) = (&cut["conversation_id"], &cut["tokens_deducted"]);
    let body = json!({ "message": "Continue", "conversation_id": id, "after": cut["id"] });
    let more = streams(body).await;
    assert_eq!((&more["conversation_id"], &more["tokens_deducted"]), (id, price));
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    let rows = ann.get("/api/user/ledger/").await.is(200);
    assert_eq!([&rows[0]["reason"], &rows[1]["reason"]], ["chat", "chat"]);
    let history = ann.history("").await.is(200);
    assert_eq!(history[1]["finish_reason"], "length");
}
