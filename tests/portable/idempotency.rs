//! `Idempotency-Key` in chats and registrations (`POST /api/chat`, `POST /v1/chat/completions`,
//! `POST /v1/responses`, `POST /api/register`): a retry doesn't repeat the work.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::values::idempotency::{Key, Kind};

use crate::support::client::{Answer, Api, GRANT, PRICE, Person, unique};

impl Person {
    /// Sends a message with an idempotency key.
    pub async fn chat_once(&self, key: &str, message: &str) -> Answer {
        self.post_once(key, "/api/chat/", json!({ "message": message })).await
    }
}

impl Api {
    async fn register_once(&self, key: &str, body: Value) -> Answer {
        self.send(Method::POST, "/api/register/", &[("idempotency-key", key)], Some(body)).await
    }
}

#[tokio::test]
async fn retried_chats_are_replayed_and_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let first = ann.chat_once("k1", "hi").await;
    assert!(!first.is_replay(), "{first:?}");
    let first = first.is(200);
    ann.chat("another one in between").await.is(200);
    for _ in 0..3 {
        let again = ann.chat_once("k1", "hi").await;
        assert!(again.is_replay(), "{again:?}");
        assert_eq!(again.is(200), first);
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(ann.history("").await.is(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn other_payloads_under_a_key_are_refused() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat_once("k1", "hi").await.is(200);
    ann.chat_once("k1", "ho").await.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn keys_are_separate_for_each_user() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ann.chat_once("k1", "hi").await.is(200);
    let of_ben = ben.chat_once("k1", "something else").await;
    assert!(!of_ben.is_replay());
    assert_eq!(of_ben.is(200)["message"], "something else");
}

#[tokio::test]
async fn replays_need_a_valid_credential() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat_once("k1", "hi").await.is(200);
    api.set(&ann, "active", AttributeValue::Bool(false)).await;
    ann.chat_once("k1", "hi").await.expect(401, "token_not_valid");
    ann.chat_once("k1", "something else").await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn one_of_twenty_parallel_requests_with_a_key_is_charged() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let answers = join_all((0..20).map(|_| ann.chat_once("k1", "hi"))).await;
    let mut answered = 0;
    for answer in answers {
        match answer.status.as_u16() {
            200 => answered += 1,
            _ => {
                assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
                answer.expect(409, "idempotency_key_running");
            }
        }
    }
    assert!(answered >= 1);
    assert!(ann.chat_once("k1", "hi").await.is_replay());
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn failed_chats_may_run_again_under_their_key() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat_once("k1", "!fail").await.expect(502, "ai_failed");
    ann.chat_once("k1", "!fail").await.expect(502, "ai_failed");
    ann.chat_once("k1", "hi").await.is(200);
    ann.has_left(PRICE - 1).await;
    ann.chat_once("k2", "hi").await.expect(402, "insufficient_tokens");
    ann.has_left(PRICE).await;
    ann.chat_once("k2", "hi").await.is(200);
    assert_eq!(ann.balance().await, 0);
}

#[tokio::test]
async fn keys_of_dead_functions_run_until_their_lease_ends() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "5")]).await;
    let ann = api.person("ann").await;
    let dying = tokio::spawn({
        let ann = ann.clone();
        async move { ann.chat_once("k1", "!hang").await }
    });
    ann.is_waiting().await;
    ann.chat_once("k1", "!hang").await.expect(409, "idempotency_key_running");
    ann.chat_once("k1", "hi").await.expect(422, "idempotency_key_reused");
    // The lease ends while the AI is still silent, so the credits are available and a new run may
    // start.
    api.server().clock.advance(Duration::from_secs(59));
    assert_eq!(ann.balance().await, GRANT);
    ann.chat_once("k1", "hi").await.is(200);
    // When the slow run ends, its credits have already been returned, so the run doesn't return
    // them again.
    dying.await.unwrap().expect(504, "ai_timed_out");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    let account = api.account(&ann).await;
    assert!(account.reservations.is_empty(), "{account:?}");
    assert_eq!(account.granted.get(), account.tokens.get() + account.spent.get());
}

#[tokio::test]
async fn old_closed_ids_and_dead_holds_are_removed_together() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key_id = Key::parse("k1").unwrap().id(Kind::Chat, &ann.id);
    api.set(&ann, "closed", AttributeValue::M([(key_id, AttributeValue::N("1".into()))].into()))
        .await;
    ann.has_left(0).await;
    ann.holds(&[("dead", 1)]).await;
    assert_eq!(ann.chat_once("k1", "hi").await.is(200)["tokens_left"], 0);
}

#[tokio::test]
async fn keys_are_remembered_for_a_day() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let of_the_session = ann.using(&ann.token);
    of_the_session.chat_once("k1", "hi").await.is(200);
    api.server().clock.advance(Duration::from_secs(24 * 3600 - 60));
    assert!(of_the_session.chat_once("k1", "hi").await.is_replay());
    api.server().clock.advance(Duration::from_secs(120));
    let another = of_the_session.chat_once("k1", "hi").await;
    assert!(!another.is_replay(), "{another:?}");
    another.is(200);
    assert_eq!(of_the_session.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn keys_have_up_to_255_visible_characters() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat_once(&"k".repeat(255), "hi").await.is(200);
    for bad in ["", &"k".repeat(256)] {
        ann.chat_once(bad, "hi").await.expect(400, "malformed_request");
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn retried_registrations_return_201_with_new_tokens() {
    let api = Api::start().await;
    let body = json!({ "username": unique("ann"), "email": format!("{}@example.com", unique("ann")), "password": "secret123" });
    let first = api.register_once("k1", body.clone()).await.is(201);
    let again = api.register_once("k1", body.clone()).await;
    assert!(again.is_replay(), "{again:?}");
    let again = again.is(201);
    assert_eq!(
        [&again["id"], &again["tokens"], &again["email"]],
        [&first["id"], &first["tokens"], &first["email"]]
    );
    assert_ne!(again["refresh"], first["refresh"]);
    for token in [&first, &again] {
        let ann = Person::of(&api, &body, token);
        assert_eq!(ann.balance().await, GRANT);
    }
}

#[tokio::test]
async fn only_equal_registrations_with_an_equal_key_are_retries() {
    let api = Api::start().await;
    let name = unique("ann");
    let body = |password: &str, email: Option<&str>| json!({ "username": name, "password": password, "email": email });
    api.register_once("k1", body("secret123", None)).await.is(201);
    api.register_once("k2", body("secret123", None)).await.expect(400, "username_taken");
    api.register(body("secret123", None)).await.expect(400, "username_taken");
    api.register_once("k1", body("another password", None)).await.expect(400, "username_taken");
    let address = format!("{}@example.com", unique("ann"));
    api.register_once("k1", body("secret123", Some(&address)))
        .await
        .expect(422, "idempotency_key_reused");
}

#[tokio::test]
async fn keys_are_refused_for_another_request_with_the_same_text() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["conversation_id"].clone();
    ann.chat_once("k1", &json!([id, "hi"]).to_string()).await.is(200);
    let body = json!({ "message": "hi", "conversation_id": id });
    ann.post_once("k1", "/api/chat/", body).await.expect(422, "idempotency_key_reused");

    let completion = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    let path = "/v1/chat/completions";
    ann.post_once("k2", path, completion.clone()).await.is(200);
    ann.chat_once("k2", &completion.to_string()).await.expect(422, "idempotency_key_reused");
    for (key, other, field) in
        [("k3", "/v1/responses", "input"), ("k4", "/v1/completions", "prompt")]
    {
        let mut both = completion.clone();
        both[field] = json!("hi");
        ann.post_once(key, path, both.clone()).await.is(200);
        ann.post_once(key, other, both).await.expect(422, "idempotency_key_reused");
    }
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE);
}

#[tokio::test]
async fn chats_and_adjustments_have_separate_keys() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let (root, ben) = (api.administrator("root").await, api.person("ben").await);
    let path = format!("/api/admin/users/{}/adjustments", ben.id);
    let adjusts = async |key: &str| {
        let gift = json!({ "amount": 5, "reason": "a gift" });
        root.post_once(key, &path, gift).await.is(201)
    };
    let stream = reqwest::Client::new()
        .post(format!("{}/api/chat/stream/", api.url))
        .bearer_auth(&root.access)
        .header("idempotency-key", "k1");
    let mut stream = stream.json(&json!({ "message": "!words 700 one two" })).send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    let adjusted = adjusts("k1").await;
    let rest = stream.text().await.unwrap();
    assert!(rest.contains("event: done"), "{rest}");
    assert_eq!((root.balance().await, ben.balance().await), (GRANT - PRICE, GRANT + 5));

    assert_eq!(adjusts("k1").await["id"], adjusted["id"]);
    adjusts("k2").await;
    root.chat_once("k2", "hi").await.is(200);
    assert!(root.chat_once("k1", "!words 700 one two").await.is_replay());
    assert_eq!((root.balance().await, ben.balance().await), (GRANT - 2 * PRICE, GRANT + 10));
    for person in [root, ben] {
        assert_eq!(api.store().audit(&person.name).await.unwrap().differences, []);
    }
}
