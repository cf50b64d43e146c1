//! `POST /v1/embeddings`, as the clients of OpenAI's API use it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::openai::completions::{Program, asking};
use crate::portable::chat_stop::free_work;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};

const PATH: &str = "/v1/embeddings";

/// The price of a million model tokens.
const RATE: u64 = 50_000;

/// The header with which OpenAI's SDKs count their attempts.
const COUNT: &str = "x-stainless-retry-count";

impl Program {
    /// Sends a request to `/v1/embeddings`.
    pub async fn embeds(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.api.send(Method::POST, PATH, &headers, Some(body)).await
    }
}

fn texts(input: impl Into<Value>) -> Value {
    json!({ "model": "small", "input": input.into() })
}

/// A price list with a model for messages, and a model for embeddings that is charged by usage.
fn list(via: &str) -> Value {
    json!({ "models": [
        { "name": "quick", "via": [via], "fare": { "message": PRICE } },
        { "name": "small", "kind": "embedding", "via": [via], "fare": { "input": RATE } },
    ]})
}

/// Starts a server with the scripted AI and the price list.
async fn priced() -> (Api, Person, Program) {
    let api = Api::own(&[]).await;
    api.prices(&list("scripted")).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    (api, ann, program)
}

/// A text of more than 2,000 bytes for which the provider counts this number of model tokens.
fn counted(tokens: u64) -> String {
    format!("!used {tokens} {}", "word ".repeat(400))
}

fn price(tokens: u64) -> u64 {
    (tokens * RATE).div_ceil(1_000_000)
}

fn vectors(list: &Value) -> Vec<Vec<f64>> {
    let data = list["data"].as_array().unwrap().iter();
    let vector = |item: &Value| {
        let numbers = item["embedding"].as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    data.map(vector).collect()
}

#[tokio::test]
async fn models_for_embeddings_answer_no_messages() {
    let (_, ann, program) = priced().await;
    let mut message = asking("hi");
    message["model"] = json!("small");
    program.send(&[], message.clone()).await.expect(404, "model_not_found");
    message["model"] = json!("unknown");
    assert_eq!(program.send(&[], message).await.is(200)["model"], "quick");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn embeddings_cost_a_flat_price_and_leave_only_a_row() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let answer = program.embeds(&[], texts("hi")).await;
    assert!(answer.headers.contains_key("x-ratelimit-limit-requests"), "{answer:?}");
    let list = answer.is(200);
    assert_eq!((&list["object"], &list["model"]), (&json!("list"), &json!("scripted")));
    assert_eq!(list["usage"], json!({ "prompt_tokens": 1, "total_tokens": 1 }));
    assert_eq!(vectors(&list)[0].len(), 256);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(ann.history("").await.is(200), json!([]));
    let row = ann.get("/api/user/ledger").await.is(200)[0].clone();
    let fields = ["kind", "reason", "amount"].map(|field| row[field].clone());
    assert_eq!(fields, [json!("chat"), json!("embeddings"), json!(-i64::try_from(PRICE).unwrap())]);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn vectors_have_the_order_and_the_form_of_the_request() {
    let (_, _, program) = priced().await;
    let list = program.embeds(&[], texts(json!(["a", "b", "a"]))).await.is(200);
    let indexes: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|one| &one["index"]).collect();
    assert_eq!(indexes, [0, 1, 2]);
    let floats = vectors(&list);
    assert!(floats[0] == floats[2] && floats[0] != floats[1]);
    let mut body = texts(json!(["a", "b", "a"]));
    body["encoding_format"] = json!("base64");
    let list = program.embeds(&[], body).await.is(200);
    for (item, floats) in list["data"].as_array().unwrap().iter().zip(&floats) {
        let bytes = BASE64_STANDARD.decode(item["embedding"].as_str().unwrap()).unwrap();
        let (numbers, _) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let floats: Vec<f32> = floats.iter().map(|number| *number as f32).collect();
        assert_eq!(numbers, floats);
    }
    let mut body = texts(json!([[1, 2], [3]]));
    body["dimensions"] = json!(8);
    let list = program.embeds(&[], body).await.is(200);
    assert_eq!(vectors(&list).iter().map(Vec::len).collect::<Vec<_>>(), [8, 8]);
    assert_eq!(list["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn a_reply_may_be_larger_than_six_megabytes() {
    let (_, _, program) = priced().await;
    let mut body = texts(json!(vec!["a"; 512]));
    body["dimensions"] = json!(4096);
    body["encoding_format"] = json!("base64");
    let list = program.embeds(&[], body).await.is(200);
    let last = list["data"][511]["embedding"].as_str().unwrap();
    assert_eq!(BASE64_STANDARD.decode(last).unwrap().len(), 4 * 4096);
    assert!(list.to_string().len() > 10_000_000);
}

#[tokio::test]
async fn the_usage_is_charged_with_a_receipt() {
    let (api, ann, program) = priced().await;
    let list = program.embeds(&[], texts(counted(1000))).await.is(200);
    assert_eq!(list["usage"], json!({ "prompt_tokens": 1000, "total_tokens": 1000 }));
    assert_eq!(list["model"], "small");
    assert_eq!(ann.balance().await, GRANT - price(1000));
    // A number above the bound costs what was held.
    program.embeds(&[], texts("!used 1000000 a")).await.is(200);
    let held = price(u64::try_from("!used 1000000 a".len()).unwrap() + 16);
    assert_eq!(ann.balance().await, GRANT - price(1000) - held);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_retry_is_computed_again_twice_without_a_charge() {
    let (api, ann, program) = priced().await;
    let body = texts(counted(1000));
    let key = ("idempotency-key", "one");
    let first = program.embeds(&[key], body.clone()).await.is(200);
    let left = ann.balance().await;
    assert_eq!(left, GRANT - price(1000));
    for repeat in 1..=2 {
        let answer = program.embeds(&[key], body.clone()).await;
        assert!(answer.is_replay());
        assert_eq!(answer.is(200), first);
        let account = api.account(&ann).await;
        assert_eq!(free_work(&account, ""), repeat * price(1000));
    }
    program.embeds(&[key], body.clone()).await.expect(410, "repeated_too_often");
    program.embeds(&[key], texts("another")).await.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, left);
    assert!(api.account(&ann).await.reservations.is_empty());
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    program.embeds(&[("idempotency-key", "two")], body).await.is(200);
    assert_eq!(ann.balance().await, left - price(1000));
}

#[tokio::test]
async fn clients_that_count_their_retries_pay_once() {
    let (_, ann, program) = priced().await;
    for (count, is_replay) in [("0", false), ("1", true), ("2", true)] {
        let answer = program.embeds(&[(COUNT, count)], texts(counted(1000))).await;
        assert_eq!((answer.status.as_u16(), answer.is_replay()), (200, is_replay), "{count}");
    }
    assert_eq!(ann.balance().await, GRANT - price(1000));
    // The next call is new.
    program.embeds(&[(COUNT, "0")], texts(counted(1000))).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * price(1000));
}

#[tokio::test]
async fn a_repeat_needs_no_balance() {
    let (_, ann, program) = priced().await;
    let key = ("idempotency-key", "one");
    program.embeds(&[key], texts("hi")).await.is(200);
    ann.has_left(0).await;
    assert!(program.embeds(&[key], texts("hi")).await.is_replay());
    program.embeds(&[], texts("hi")).await.expect(402, "insufficient_quota");
}

#[tokio::test]
async fn a_repeat_needs_no_room_in_a_lowered_limit() {
    let (api, ann, _) = priced().await;
    let limited = json!({ "name": "a program", "limit": { "tokens": 200 } });
    let key = ann.post("/api/user/api-keys", limited).await.is(201);
    let program = Program { api, key: key["key"].as_str().unwrap().to_owned() };
    let (once, body) = ("idempotency-key", texts(counted(1000)));
    program.embeds(&[(once, "one")], body.clone()).await.is(200);
    let path = format!("/api/user/api-keys/{}", key["id"].as_str().unwrap());
    ann.patch(&path, json!({ "limit": { "tokens": 1 } })).await.is(200);
    assert!(program.embeds(&[(once, "one")], body.clone()).await.is_replay());
    program.embeds(&[(once, "two")], body).await.expect(402, "insufficient_quota");
}

#[tokio::test]
async fn failures_return_the_hold() {
    let (api, ann, program) = priced().await;
    for (text, status) in [("!fail", 502), ("!overloaded", 503)] {
        assert_eq!(program.embeds(&[], texts(text)).await.status, status, "{text}");
    }
    assert_eq!(free_work(&api.account(&ann).await, ""), 0);
    // The provider has worked, but a vector is missing.
    assert_eq!(program.embeds(&[], texts(json!(["!cut", "a"]))).await.status, 502);
    let account = api.account(&ann).await;
    assert!(account.reservations.is_empty() && free_work(&account, "") > 0);
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn invalid_requests_are_refused_before_anything_is_held() {
    let (_, ann, program) = priced().await;
    for (field, value) in [
        ("input", json!("")),
        ("input", json!([])),
        ("input", json!(["a", ""])),
        ("input", json!([[]])),
        ("input", json!(["a", 1])),
        ("input", json!([-1])),
        ("input", json!(vec!["a"; 2049])),
        ("input", json!(vec![1; 8193])),
        ("input", Value::Null),
        ("model", Value::Null),
        ("model", json!("")),
        ("dimensions", json!(0)),
        ("dimensions", json!(4097)),
        ("dimensions", json!(1.5)),
        ("encoding_format", json!("int8")),
    ] {
        let mut body = texts("hi");
        body[field] = value.clone();
        let answer = program.embeds(&[], body).await;
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
    }
    let long = "a".repeat(512 * 1024 + 1);
    program.embeds(&[], texts(long)).await.expect(400, "context_length_exceeded");
    // Neither a model for messages nor an unknown model has embeddings.
    for model in ["quick", "text-embedding-3-small"] {
        let body = json!({ "model": model, "input": "hi" });
        program.embeds(&[], body).await.expect(404, "model_not_found");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn a_list_without_a_model_for_embeddings_says_so() {
    let (api, _, program) = priced().await;
    let mut chats = list("scripted");
    chats["models"].as_array_mut().unwrap().pop();
    api.prices(&chats).await;
    let failure = program.embeds(&[], texts("hi")).await.expect(404, "model_not_found");
    let sentence = failure["error"]["message"].as_str().unwrap();
    assert!(sentence.contains("price list"), "{sentence}");
}

#[tokio::test]
async fn restricted_keys_use_their_models_and_limits() {
    let (_, ann, _) = priced().await;
    let key = async |restrictions: Value| {
        let mut body = json!({ "name": "a program" });
        body.as_object_mut().unwrap().extend(restrictions.as_object().unwrap().clone());
        let made = ann.post("/api/user/api-keys", body).await.is(201);
        Program { api: ann.api.clone(), key: made["key"].as_str().unwrap().to_owned() }
    };
    let other = key(json!({ "models": ["quick"] })).await;
    other.embeds(&[], texts("hi")).await.expect(404, "model_not_found");
    let own = key(json!({ "models": ["small"] })).await;
    own.embeds(&[], json!({ "model": "openai/SMALL", "input": "hi" })).await.is(200);
    let limited = key(json!({ "limit": { "tokens": 60, "per": "total" } })).await;
    limited.embeds(&[], texts("hi")).await.is(200);
    limited.embeds(&[], texts(counted(1000))).await.expect(402, "insufficient_quota");
}

#[tokio::test]
async fn a_model_may_have_its_own_limit_on_texts() {
    let (api, _, program) = priced().await;
    let mut list = list("scripted");
    list["models"][1]["prompt_limit"] = json!(1024);
    api.prices(&list).await;
    let failure = program.embeds(&[], texts("a".repeat(1025))).await;
    failure.expect(400, "context_length_exceeded");
    program.embeds(&[], texts("a".repeat(1024))).await.is(200);
}
