//! `POST /api/chat/stream`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, chunk, done, thought};
use crate::support::client::{Answer, Api, GRANT, PRICE, Person, without_comments};
use crate::support::function::event;
use crate::support::lambda::{Instance, LEASE};

const PATH: &str = "/api/chat/stream/";

/// The events of a stream: their names and data.
pub fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("{block:?}"));
        let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{block:?}"));
        (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
    };
    text.split_terminator("\n\n").map(event).collect()
}

/// The text of all `delta` events, joined.
pub fn text_of(events: &[(String, Value)]) -> String {
    events
        .iter()
        .filter(|(name, _)| name == "delta")
        .map(|(_, data)| data["text"].as_str().unwrap())
        .collect()
}

impl Person {
    async fn streams(&self, body: Value) -> Answer {
        self.post(PATH, body).await
    }

    /// Sends a message and returns the reply, whose body is still arriving.
    async fn begins(&self, message: &str) -> Response {
        let request =
            reqwest::Client::new().request(Method::POST, format!("{}{PATH}", self.api.url));
        request.bearer_auth(&self.access).json(&json!({ "message": message })).send().await.unwrap()
    }
}

fn is_a_stream(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(
        (answer.header("cache-control"), answer.header("x-content-type-options")),
        ("no-store", "nosniff")
    );
    events(answer.body.as_str().unwrap())
}

#[tokio::test]
async fn streams_have_pieces_and_end_with_the_chat_and_balance() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let said = is_a_stream(&ann.streams(json!({ "message": "!words one two three" })).await);
    let names: Vec<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["delta", "delta", "delta", "done"]);
    assert_eq!(text_of(&said), "one two three");
    let done = &said[3].1;
    assert_eq!(
        (&done["response"], &done["tokens_left"]),
        (&json!("one two three"), &json!(GRANT - PRICE))
    );
    let mut kept = ann.history("").await.is(200)[0].clone();
    let fields = kept.as_object_mut().unwrap();
    for field in ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"] {
        fields.insert(field.into(), json!(GRANT - PRICE));
    }
    assert_eq!(*done, kept, "the same that a chat answers");
    assert_eq!(ann.balance().await, GRANT - PRICE);

    let next = is_a_stream(
        &ann.streams(json!({ "message": "!recall", "conversation_id": done["conversation_id"] }))
            .await,
    );
    assert_eq!(
        text_of(&next),
        "user: !words one two three\nassistant: one two three\nuser: !recall"
    );
}

#[tokio::test]
async fn reasoning_has_events_of_its_own() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let pieces = [thought("Let me "), thought("think."), chunk("Hello.", Some("stop")), done()];
    provider.does(Does::Streams(pieces.to_vec()));
    let ask = async || ann.post_once("k1", PATH, json!({ "message": "hi" })).await;
    let (said, again) = (is_a_stream(&ask().await), is_a_stream(&ask().await));
    let event = |name: &str, text: &str| (name.to_owned(), json!({ "text": text }));
    let (done, pieces) = said.split_last().unwrap();
    let reasoning = [event("reasoning", "Let me "), event("reasoning", "think.")];
    assert_eq!(pieces, [&reasoning[..], &[event("delta", "Hello.")]].concat());
    assert_eq!([&done.1["response"], &done.1["reasoning"]], ["Hello.", "Let me think."]);
    let (replayed, pieces) = again.split_last().unwrap();
    assert_eq!(pieces, [event("reasoning", "Let me think."), event("delta", "Hello.")]);
    assert_eq!(replayed, done);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn the_first_piece_arrives_before_the_answer_is_finished() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let mut reply = ann.begins("!words 3000 one two three").await;
    let first = reply.chunk().await.unwrap().unwrap();
    assert_eq!(
        events(std::str::from_utf8(&first).unwrap()),
        [("delta".to_owned(), json!({ "text": "one " }))]
    );
    assert_eq!(api.account(&ann).await.reservations.len(), 1, "nothing is settled yet");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    let rest = reply.text().await.unwrap();
    assert!(rest.contains("event: done"), "{rest}");
}

#[tokio::test]
async fn failures_before_the_first_piece_are_problem_documents() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (message, status, code) in [
        ("!fail", 502, "ai_failed"),
        ("!empty", 502, "ai_failed"),
        ("!cut one", 502, "ai_failed"),
        ("!overloaded", 503, "ai_overloaded"),
        ("!hang", 504, "ai_timed_out"),
        ("", 400, "invalid_fields"),
    ] {
        ann.streams(json!({ "message": message })).await.expect(status, code);
    }
    ann.has_left(PRICE - 1).await;
    ann.streams(json!({ "message": "hi" })).await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, PRICE - 1);
    assert_eq!(ann.history("").await.is(200), json!([]));
}

#[tokio::test]
async fn failures_after_the_first_piece_are_uncharged_events() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let said = is_a_stream(&ann.streams(json!({ "message": "!cut one two three" })).await);
    assert_eq!(text_of(&said), "one two ");
    let (name, problem) = said.last().unwrap();
    assert_eq!(
        (name.as_str(), &problem["code"], &problem["status"]),
        ("error", &json!("ai_failed"), &json!(502))
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("Nothing was charged")
            && problem["request_id"].is_string(),
        "{problem}"
    );
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(ann.history("").await.is(200), json!([]));
}

#[tokio::test]
async fn cut_answers_and_deleted_conversations_are_still_charged() {
    let api = Api::own(&[("ANSWER_LIMIT", "10")]).await;
    let ann = api.person("ann").await;
    for message in
        ["!words 0 one two three four".to_owned(), format!("!words 300 {}", "a ".repeat(50))]
    {
        let said = is_a_stream(&ann.streams(json!({ "message": message })).await);
        let (name, done) = said.last().unwrap();
        assert_eq!(
            (name.as_str(), done["response"].as_str().unwrap()),
            ("done", text_of(&said).as_str())
        );
        assert!(text_of(&said).len() <= 10);
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);

    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["conversation_id"].clone();
    let request =
        reqwest::Client::new().post(format!("{}{PATH}", api.url)).bearer_auth(&ann.access);
    let mut reply = request
        .json(&json!({ "message": "!words 3000 one two", "conversation_id": id }))
        .send()
        .await
        .unwrap();
    reply.chunk().await.unwrap().unwrap();
    ann.delete(&format!("/api/conversations/{}/", id.as_str().unwrap())).await.is(202);
    let said = events(&without_comments(&reply.text().await.unwrap()));
    let (name, done) = said.last().unwrap();
    assert_eq!(
        (name.as_str(), &done["response"], &done["conversation_id"]),
        ("done", &json!("one two"), &Value::Null)
    );
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn clients_that_disconnect_are_charged_once() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let mut reply = ann.begins("!words 2000 one two three four").await;
    reply.chunk().await.unwrap().unwrap();
    drop(reply);
    assert_eq!(api.account(&ann).await.reservations.len(), 1);
    ann.waits_for_nothing().await;
    assert_eq!(ann.history("").await.is(200)[0]["response"], "one two three four");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn functions_that_die_during_a_stream_charge_nothing() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let function = Instance::scripted("chat_stream", &api.dynamodb).await;
    function.takes(&event(
        "chat_stream",
        "/api/chat/stream",
        &[("authorization", &ann.bearer())],
        &json!({ "message": "!words 5000 one two" }),
    ));
    ann.is_waiting().await;
    function.kill();
    assert_eq!(ann.balance().await, GRANT - PRICE, "the lease decides");
    api.server().clock.advance(LEASE);
    assert_eq!(api.server().apps["sweep"].store.sweep(api.now()).await.unwrap().released, 1);
    let account = api.account(&ann).await;
    assert_eq!((account.tokens.get(), account.reservations.len()), (GRANT, 0));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn retried_streams_replay_the_same_chat() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let body = json!({ "message": "!words one two three" });
    let first = ann.post_once("k1", PATH, body.clone()).await;
    let again = ann.post_once("k1", PATH, body.clone()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let (first, again) = (is_a_stream(&first), is_a_stream(&again));
    assert_eq!((again.len(), text_of(&again)), (2, text_of(&first)));
    assert_eq!(again.last(), first.last());
    let whole = ann.post_once("k1", "/api/chat/", body).await;
    assert_eq!(
        (whole.header("idempotent-replayed"), &whole.body["id"]),
        ("true", &first[3].1["id"]),
        "the key is the same at both"
    );
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

/// An event that asks for a streamed answer to "hi".
fn hello(headers: &[(&str, &str)]) -> Value {
    event("chat_stream", "/api/chat/stream", headers, &json!({ "message": "hi" }))
}

#[tokio::test]
async fn the_lambda_binary_streams_or_buffers_answers() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    for (sam, streams) in [("false", true), ("true", false)] {
        let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str()), ("AWS_SAM_LOCAL", sam)];
        let mut function = Instance::of("chat_stream", &settings).await;
        function.takes(&hello(&[("authorization", &ann.bearer())]));
        let reply = function.answers().await;
        assert_eq!(
            (reply.status, reply.headers.contains_key("x-came-as")),
            (200, streams),
            "{:?}",
            reply.headers
        );
        assert_eq!(text_of(&events(reply.body.as_str().unwrap())), "You said: hi");
        function.takes(&hello(&[]));
        let refused = function.answers().await;
        assert_eq!((refused.status, refused.code()), (401, "not_authenticated"));
        function.end();
    }
}

#[tokio::test]
async fn pieces_are_sent_without_waiting_for_acknowledgements() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
    let mut function = Instance::of("chat_stream", &settings).await;
    let (mut fastest, mut tries) = (u64::MAX, 0..100);
    while fastest > 20_000 && tries.next().is_some() {
        function.takes(&hello(&[("authorization", &ann.bearer())]));
        let reply = function.answers().await;
        let micros = reply.headers["x-took-micros"].to_str().unwrap().parse().unwrap();
        fastest = fastest.min(micros);
    }
    // If the function waited for TCP's delayed acknowledgements, each acknowledgement would take 40
    // ms.
    assert!(fastest < 40_000, "{fastest} µs from the head to the end");
    function.end();
}

#[tokio::test]
async fn delivered_answers_are_charged_even_if_the_key_has_a_record() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let request = reqwest::Client::new()
        .post(format!("{}{PATH}", api.url))
        .bearer_auth(&ann.access)
        .header("idempotency-key", "k1");
    let mut reply =
        request.json(&json!({ "message": "!words 3000 one two" })).send().await.unwrap();
    reply.chunk().await.unwrap().unwrap();
    let held = api.account(&ann).await.reservations;
    let (key, held) = held.iter().next().unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let fields = [
        ("pk", format!("idem:{key}")),
        ("fingerprint", held.fingerprint.clone()),
        ("chat_id", "another chat".to_owned()),
    ];
    let mut record: HashMap<_, _> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    record.insert("expires_at".into(), AttributeValue::N((api.now() + 3600).to_string()));
    dynamo::client(&api.dynamodb)
        .put_item()
        .table_name("TokensTable")
        .set_item(Some(record))
        .send()
        .await
        .unwrap();
    let said = events(&without_comments(&reply.text().await.unwrap()));
    let (name, done) = said.last().unwrap();
    assert_eq!((name.as_str(), &done["response"]), ("done", &json!("one two")));
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}
