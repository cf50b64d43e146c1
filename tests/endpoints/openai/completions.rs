//! `POST /v1/chat/completions`, `GET /v1/models` and `GET /v1/models/{id}`, as OpenAI's clients use
//! them. `GET /v1/v1/models` and `GET /v1/v1/models/{id}` are the same.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use functions::ROUTES;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::http::Route;
use shared::store::UnkeyedRequest;

use crate::endpoints::openai::responses::input;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};
use crate::support::function::{TIME, event, invoke};
use crate::support::lambda::Instance;
use crate::support::log;

const PATH: &str = "/v1/chat/completions";

/// A program that has a user's API key.
pub struct Program {
    pub api: Api,
    pub key: String,
}

impl Program {
    pub async fn of(person: &Person) -> Self {
        let key = person.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
        Self { api: person.api.clone(), key }
    }

    /// A program with an API key for which equal bodies are retries.
    pub async fn of_equal_bodies(person: &Person) -> Self {
        let body = json!({ "name": "a program", "retries": "equal_bodies" });
        let made = person.post("/api/user/api-keys", body).await.is(201);
        Self { api: person.api.clone(), key: made["key"].as_str().unwrap().to_owned() }
    }

    pub async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.api.send(Method::POST, PATH, &headers, Some(body)).await
    }

    async fn asks(&self, message: &str) -> Answer {
        self.send(&[], asking(message)).await
    }

    /// Sends a request as an SDK does after `count` earlier attempts.
    async fn tries(&self, count: u32, message: &str) -> Answer {
        self.send(&[("x-stainless-retry-count", &count.to_string())], asking(message)).await
    }

    pub async fn gets(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.api.send(Method::GET, path, &[("authorization", &bearer)], None).await
    }

    async fn models(&self) -> Answer {
        self.gets("/v1/models").await
    }
}

/// The modalities of a model that accepts pictures, or of a text-only model.
pub fn architecture(takes_pictures: bool) -> Value {
    let (modality, inputs) = match takes_pictures {
        true => ("text+image->text", json!(["text", "image"])),
        false => ("text->text", json!(["text"])),
    };
    json!({ "modality": modality, "input_modalities": inputs, "output_modalities": ["text"] })
}

pub fn asking(message: &str) -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": message }] })
}

/// A function that a request offers to the model.
pub fn weather() -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!({ "type": "function", "function": { "name": "get_weather", "parameters": city } })
}

pub fn offering(message: &str) -> Value {
    let mut body = asking(message);
    body["tools"] = json!([weather()]);
    body
}

pub fn streamed(message: &str) -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": message }], "stream": true })
}

pub fn said(completion: &Value) -> &str {
    completion["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_else(|| panic!("{completion}"))
}

/// Returns the data of a stream's events. Data that isn't JSON becomes a string.
pub fn data(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let data = |event: &str| {
        event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}")).to_owned()
    };
    let text = answer.body.as_str().unwrap();
    text.split_terminator("\n\n")
        .map(data)
        .map(|data| serde_json::from_str(&data).unwrap_or(Value::String(data)))
        .collect()
}

pub fn words(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn completions_cost_a_chat_and_appear_in_both_histories() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut completion = program.asks("hi").await.is(200);
    let kept = ann.history("").await.is(200)[0].clone();
    assert!(completion["created"].take().as_u64().unwrap() > 1_700_000_000);
    let expected = json!({
        "id": format!("chatcmpl-{}", kept["id"].as_str().unwrap()),
        "object": "chat.completion",
        "created": null,
        "model": "scripted",
        "system_fingerprint": completion["system_fingerprint"],
        "choices": [{
            "index": 0, "message": { "role": "assistant", "content": "You said: hi", "refusal": null }, "logprobs": null, "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4 },
    });
    assert_eq!(completion, expected);
    let fields = ["message", "response", "tokens_deducted", "conversation_id"]
        .map(|field| kept[field].clone());
    assert_eq!(fields, [json!("hi"), json!("You said: hi"), json!(PRICE), Value::Null]);
    assert_eq!(ann.get("/api/user/ledger/").await.is(200)[0]["chat_id"], kept["id"]);
    assert_eq!(ann.get("/api/conversations/").await.is(200), json!([]));
    assert_eq!(ann.balance().await, GRANT - PRICE);
    let person = Program { api: api.clone(), key: ann.access.clone() };
    person.asks("hi").await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn streamed_completions_end_with_a_finish_reason_and_done() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let chunks = data(&program.send(&[], streamed("!words one two three")).await);
    assert_eq!(words(&chunks), ["one ", "two ", "three"]);
    let id = format!("chatcmpl-{}", ann.history("").await.is(200)[0]["id"].as_str().unwrap());
    let (done, chunks) = chunks.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    for chunk in chunks {
        let named = ["id", "object", "model"].map(|field| chunk[field].as_str().unwrap());
        assert_eq!(named, [id.as_str(), "chat.completion.chunk", "scripted"]);
    }
    // Every chunk contains the fingerprint of the whole answer, which is a string.
    let whole = program.asks("hi").await.is(200)["system_fingerprint"].clone();
    assert!(whole.as_str().is_some_and(|text| text.starts_with("fp_")), "{whole}");
    assert!(chunks.iter().all(|chunk| chunk["system_fingerprint"] == whole), "{chunks:?}");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let (end, delta) =
        (&chunks[3]["choices"][0]["finish_reason"], &chunks[3]["choices"][0]["delta"]);
    assert_eq!((chunks.len(), end, delta), (4, &json!("stop"), &json!({})));
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn the_conversation_is_answered_and_its_last_message_stored() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let part = |text: &str| json!({ "type": "text", "text": text });
    let messages = json!([
        { "role": "developer", "content": "Be kind." },
        { "role": "system", "content": "" },
        { "role": "user", "content": "I am Ann.", "name": "ann" },
        { "role": "assistant", "content": [part("Hello,"), part("Ann.")], "refusal": null },
        { "role": "user", "content": [part("!recall")] },
    ]);
    let asked = json!({
        "messages": messages, "n": 1.0, "tools": [weather()], "tool_choice": "none", "seed": 7, "user": "x", "top_p": 0.5, "max_tokens": -1, "stop": "",
        "response_format": { "type": "text" }, "modalities": ["text"],
    });
    let completion = program.send(&[], asked).await.is(200);
    assert_eq!(
        said(&completion),
        "system: Be kind.\nuser: I am Ann.\nassistant: Hello,\nAnn.\nuser: !recall"
    );
    assert_eq!(ann.history("").await.is(200)[0]["message"], "!recall");
}

#[tokio::test]
async fn unsupported_fields_are_refused_by_name_for_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let message = |role: &str, content: Value| json!([{ "role": role, "content": content }]);
    for (param, value) in [
        ("messages", Value::Null),
        ("messages", json!([])),
        ("messages", message("assistant", json!("hi"))),
        ("messages", message("user", json!(" "))),
        (
            "messages",
            json!([{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "yo" }, { "role": "user", "content": " " }]),
        ),
        ("messages[0].role", message("parrot", json!("hi"))),
        ("messages[0].name", message("tool", json!("hi"))),
        ("messages[0].content", message("user", json!(7))),
        ("n", json!(2)),
        ("n", json!(0)),
        ("tools[0].function", json!([{ "type": "function" }])),
        ("tools[0].type", json!([{ "type": "mcp", "function": { "name": "x" } }])),
        ("tools[0].custom", json!([{ "type": "custom" }])),
        (
            "tools[0]",
            json!([{ "type": "function", "function": { "name": "a" }, "custom": { "name": "b" } }]),
        ),
        ("tools[0].custom.name", json!([{ "type": "custom", "custom": { "name": "a b" } }])),
        (
            "tools[0].custom.format",
            json!([{ "type": "custom", "custom": { "name": "a", "format": { "type": "grammar" } } }]),
        ),
        (
            "tools",
            json!([{ "type": "custom", "custom": { "name": "a" } }, { "type": "custom", "custom": { "name": "a" } }]),
        ),
        ("tools[0].function.name", json!([{ "type": "function", "function": { "name": "a b" } }])),
        (
            "tools[0].function.parameters",
            json!([{ "type": "function", "function": { "name": "a", "parameters": [] } }]),
        ),
        ("tool_choice", json!("required")),
        ("tool_choice", json!("perhaps")),
        ("tool_choice", json!({ "type": "function", "function": { "name": "a" } })),
        ("tool_choice", json!({ "type": "custom", "custom": { "name": "a" } })),
        ("functions[0].name", json!([{ "name": "" }])),
        ("function_call", json!({ "name": "a" })),
        ("audio", json!({})),
        ("temperature", json!(2.1)),
        ("top_p", json!(-0.1)),
        ("max_tokens", json!(0)),
        ("max_completion_tokens", json!(-2)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("stop", json!(7)),
    ] {
        let mut body = asking("hi");
        let field = param.split('[').next().unwrap();
        body[field] = value;
        if field == "function_call" {
            body["functions"] = json!([{ "name": "b" }]);
        }
        let refused = program.send(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], param, "{refused}");
        assert!(!refused["error"]["message"].as_str().unwrap().contains("untagged"), "{refused}");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn wrong_types_are_named_in_the_words_of_json() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    let url = json!([{ "type": "image_url", "image_url": "https://example.com/cat.png" }]);
    for (field, value, sentence) in [
        ("messages", json!({}), "messages: This must be a list of messages, not an object."),
        ("messages", json!(["hi"]), "messages[0]: This must be an object, not a text."),
        ("messages", json!([{ "content": "hi" }]), "messages[0].role: This field is required."),
        (
            "messages",
            user(json!(7)),
            "messages[0].content: This must be a text, or a list of parts, not the number 7.",
        ),
        (
            "messages",
            user(url),
            "messages[0].content[0].image_url: This must be an object, not a text.",
        ),
        (
            "tools",
            json!([{ "type": "function", "function": "f" }]),
            "tools[0].function: This must be an object, not a text.",
        ),
        (
            "tool_choice",
            json!(7),
            "tool_choice: This must be auto, none, required, or a function, not the number 7.",
        ),
        ("response_format", json!("json"), "response_format: This must be an object, not a text."),
        ("stream_options", json!([true]), "stream_options: This must be an object, not a list."),
        ("reasoning", json!(["low"]), "reasoning: This must be an object, not a list."),
        ("stream", json!("yes"), "stream: This must be true or false, not a text."),
        ("max_tokens", json!("many"), "max_tokens: This must be a number, not a text."),
    ] {
        let mut body = asking("hi");
        body[field] = value;
        let refused = program.send(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["message"], sentence);
    }
}

#[tokio::test]
async fn failures_are_openai_errors_and_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (message, status, code) in [
        ("!fail", 502, "ai_failed"),
        ("!overloaded", 503, "ai_overloaded"),
        ("!hang", 504, "ai_timed_out"),
    ] {
        program.asks(message).await.expect(status, code);
        program.send(&[], streamed(message)).await.expect(status, code);
    }
    let chunks = data(&program.send(&[], streamed("!cut one two")).await);
    assert_eq!(words(&chunks), ["one "]);
    assert_eq!(
        (chunks.len(), &chunks[1]["error"]["code"]),
        (2, &json!("ai_failed")),
        "nothing is done: {chunks:?}"
    );
    ann.has_left(PRICE - 1).await;
    program.asks("hi").await.expect(402, "insufficient_tokens");
    program.send(&[], streamed("hi")).await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, PRICE - 1);
    assert_eq!(ann.history("").await.is(200), json!([]));
}

#[tokio::test]
async fn answers_have_usage_and_mark_estimates() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = streamed("hi");
    body["stream_options"] = json!({ "include_usage": true });
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], body.clone()).await;
        let chunks = data(&answer);
        let (last, others) = chunks[..chunks.len() - 1].split_last().unwrap();
        let usage = json!({ "prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4 });
        assert_eq!((&last["usage"], &last["choices"]), (&usage, &json!([])));
        assert!(others.iter().all(|chunk| chunk["usage"].is_null()), "{others:?}");
    }
    let estimate = json!({ "prompt_tokens": 1, "completion_tokens": 3, "estimated": true });
    assert_eq!(ann.history("").await.is(200)[0]["usage"], estimate);
    assert_eq!(ann.chat("hi").await.is(200)["usage"], estimate);
}

#[tokio::test]
async fn models_are_listed_as_configured() {
    let settings = [
        ("AI_PROVIDER", "openai,bedrock,echo"),
        ("OPENAI_MODEL", "gpt-x"),
        ("BEDROCK_MODEL", "eu.nova-v1:0"),
        ("BEDROCK_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let api = Api::own(&settings).await;
    let program = Program::of(&api.person("ann").await).await;
    let models = program.models().await.is(200);
    let of = |id: &str| {
        json!({
            "id": id, "name": id, "object": "model", "created": 0, "owned_by": "system",
            "architecture": architecture(true),
        })
    };
    assert_eq!(
        models,
        json!({ "object": "list", "data": [of("gpt-x"), of("eu.nova-v1:0"), of("echo")] })
    );
    let one = async |id: &str| program.gets(&format!("/v1/models/{id}")).await;
    for id in ["eu.nova-v1:0", "eu.nova-v1%3A0"] {
        assert_eq!(one(id).await.is(200), of("eu.nova-v1:0"));
    }
    one("gpt-y").await.expect(404, "model_not_found");
    api.get("/v1/nothing").await.expect(404, "not_found");
}

#[tokio::test]
async fn models_have_a_prompt_limit_if_configured() {
    for (limit, tokens) in [("131072", json!(32_768)), ("524288", Value::Null)] {
        let api = Api::own(&[("PROMPT_LIMIT", limit)]).await;
        let program = Program::of(&api.person("ann").await).await;
        assert_eq!(program.models().await.is(200)["data"][0]["max_model_len"], tokens);
    }
}

#[tokio::test]
async fn api_keys_open_only_these_routes_while_valid() {
    log::clear();
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let key = program.key.clone();
    let is_other = |route: &&Route| !route.path.starts_with("/v1/") && route.page.is_none();
    for route in ROUTES.iter().filter(is_other) {
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        let path = route.path.replace("{id}", "00000000-0000-7000-8000-000000000000");
        let answer =
            api.send(method, &path, &[("authorization", &format!("Bearer {key}"))], None).await;
        assert!(
            answer.status.is_client_error()
                || ["discovery", "health", "jwks", "openapi", "site"].contains(&route.endpoint),
            "{answer:?}"
        );
    }
    let is_open = async |program: &Program| {
        program.models().await.is(200);
        program.asks("hi").await.is(200);
    };
    let is_shut = async |key: String| {
        let program = Program { api: api.clone(), key };
        program.models().await.expect(401, "invalid_api_key");
        program.asks("hi").await.expect(401, "invalid_api_key");
        program.send(&[], streamed("hi")).await.expect(401, "invalid_api_key");
        program.tries(0, "hi").await.expect(401, "invalid_api_key");
    };
    ann.elsewhere("a browser").await.log_out_everywhere().await.is(200);
    is_open(&program).await;
    let ann = ann.elsewhere("a browser").await;

    let (head, last) = key.split_at(key.len() - 2);
    is_shut(format!("{head}{}", if last == "AA" { "AQ" } else { "AA" })).await;
    is_shut(key.replacen("sk-", "sk-0", 1)).await;
    is_shut(format!("sk-{}", "x".repeat(76))).await;

    api.set(&ann, "active", AttributeValue::Bool(false)).await;
    is_shut(key.clone()).await;
    api.set(&ann, "active", AttributeValue::Bool(true)).await;
    is_open(&program).await;

    let id = ann.api_keys().await[0]["id"].as_str().unwrap().to_owned();
    ann.revokes(&id).await.is(200);
    is_shut(key.clone()).await;

    let other = Program::of(&ann).await;
    ann.deletes_the_account().await.is(202);
    is_shut(other.key.clone()).await;
    assert!(
        !log::text().contains(&key[36..]) && !log::text().contains(&other.key[36..]),
        "no key is in a log"
    );
}

#[tokio::test]
async fn sdk_retries_are_replayed_and_new_calls_are_not() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let (program, bens) = (Program::of(&ann).await, Program::of(&ben).await);
    let first = program.tries(0, "hi").await;
    assert!(!first.is_replay());
    let first = first.is(200);
    for count in [1, 2] {
        let again = program.tries(count, "hi").await;
        assert!(again.is_replay());
        assert_eq!(again.is(200), first);
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);

    assert_ne!(
        program.tries(0, "hi").await.is(200)["id"],
        first["id"],
        "a call of the same payload"
    );
    assert!(!program.tries(1, "ho").await.is_replay(), "another payload");
    assert!(!bens.tries(1, "hi").await.is_replay(), "another user");
    assert_ne!(program.asks("hi").await.is(200)["id"], first["id"], "who doesn't count");
    assert_eq!((ann.balance().await, ben.balance().await), (GRANT - 4 * PRICE, GRANT - PRICE));

    let streams = async |count: &str| {
        program.send(&[("x-stainless-retry-count", count)], streamed("!words one two")).await
    };
    let (whole, again) = (data(&streams("0").await), streams("1").await);
    assert!(again.is_replay());
    assert_eq!((words(&whole).concat(), words(&data(&again))), ("one two".into(), vec!["one two"]));
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE);
}

#[tokio::test]
async fn empty_balances_are_402_or_the_configured_status() {
    for (status, settings) in [
        (402, &[][..]),
        (402, &[("EMPTY_BALANCE_STATUS", "402")]),
        (429, &[("EMPTY_BALANCE_STATUS", "429")]),
    ] {
        let advice = ("TOP_UP_URL", "https://shop.example.com/tokens");
        let api = Api::own(&[settings, &[advice][..]].concat()).await;
        let ann = api.person("ann").await;
        let program = Program::of(&ann).await;
        ann.has_left(PRICE - 1).await;
        let asked = input("hi");
        let mut events = asked.clone();
        events["stream"] = json!(true);
        for answer in [
            program.asks("hi").await,
            program.send(&[], streamed("hi")).await,
            program.responds(&[], asked).await,
            program.responds(&[], events).await,
        ] {
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("x-should-retry"), "false");
            assert!(!answer.headers.contains_key("retry-after"), "{answer:?}");
            let error = &answer.body["error"];
            assert_eq!([&error["type"], &error["code"]], ["insufficient_quota"; 2]);
            let sentence = error["message"].as_str().unwrap();
            assert!(sentence.starts_with("You exceeded your current quota. "), "{sentence}");
            assert!(sentence.ends_with(": https://shop.example.com/tokens"), "{sentence}");
        }
        // `EMPTY_BALANCE_STATUS` doesn't change the API's own endpoints.
        ann.chat("hi").await.expect(402, "insufficient_tokens");
        assert_eq!(ann.balance().await, PRICE - 1);
    }
}

#[tokio::test]
async fn idempotency_keys_take_precedence_over_the_retry_count() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let sent = async |key: &str, count: &str, message: &str| {
        program
            .send(&[("idempotency-key", key), ("x-stainless-retry-count", count)], asking(message))
            .await
    };
    let first = sent("k1", "0", "hi").await.is(200);
    assert_eq!(sent("k1", "0", "hi").await.is(200), first);
    assert_ne!(sent("k2", "1", "hi").await.is(200)["id"], first["id"]);
    sent("k1", "1", "ho").await.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn retries_wait_for_a_running_request_and_rerun_failures() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let running = tokio::spawn({
        let (api, key) = (api.clone(), program.key.clone());
        async move { Program { api, key }.tries(0, "!slow 4000").await.is(200) }
    });
    ann.is_waiting().await;
    let early = program.tries(1, "!slow 4000").await;
    assert!(early.header("retry-after").parse::<u32>().unwrap() == 10, "{early:?}");
    early.expect(409, "idempotency_key_running");
    let first = running.await.unwrap();
    assert_eq!(program.tries(2, "!slow 4000").await.is(200), first);
    assert_eq!(ann.balance().await, GRANT - PRICE);

    program.tries(0, "!fail").await.expect(502, "ai_failed");
    program.tries(1, "!fail").await.expect(502, "ai_failed");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn one_of_twenty_parallel_retries_is_charged() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (first_came, message) in [(true, "!slow 100"), (false, "!slow 101")] {
        if first_came {
            program.tries(0, message).await.is(200);
        }
        let before = ann.balance().await;
        for answer in join_all((0..20).map(|_| program.tries(1, message))).await {
            assert!([200, 409].contains(&answer.status.as_u16()), "{answer:?}");
        }
        assert_eq!(before - ann.balance().await, if first_came { 0 } else { PRICE });
    }
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn requests_overtaken_by_their_retry_run_under_its_key() {
    let api = Api::start().await;
    let (store, now) = (api.store(), api.now() * 1000);
    let user = uuid::Uuid::new_v4().to_string();
    let key_of = async |came: u64, again: bool, fresh: &str| {
        store
            .key_of(
                UnkeyedRequest { user_id: &user, api_key: None, payload: "hi", again, came },
                fresh,
            )
            .await
            .unwrap()
    };
    assert_eq!(key_of(now + 50, true, "second").await, "second", "nothing is known yet");
    assert_eq!(key_of(now, false, "first").await, "second");
    assert_eq!(key_of(now + 60, true, "third").await, "second");
    assert_eq!(key_of(now + 70, false, "new").await, "new", "a later call");
    assert_eq!(
        key_of(now + 65, false, "beside").await,
        "beside",
        "another one that came before it"
    );
    assert_eq!(key_of(now + 80, true, "again").await, "new");
    assert_eq!(key_of(now + 899_000, true, "late").await, "new");
    assert_eq!(key_of(now + 971_000, true, "too late").await, "too late");
}

#[tokio::test]
async fn equal_bodies_are_retries_if_the_key_says_so() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let program = Program::of_equal_bodies(&ann).await;
    let first = program.asks("hi").await;
    assert!(!first.is_replay());
    let first = first.is(200);
    for count in [None, Some("0"), Some("1"), Some("x")] {
        let count: Vec<_> =
            count.map(|count| ("x-stainless-retry-count", count)).into_iter().collect();
        let again = program.send(&count, asking("hi")).await;
        assert!(again.is_replay(), "{count:?}");
        assert_eq!(again.is(200), first);
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);

    let others = [
        Program::of_equal_bodies(&ann).await,
        Program::of(&ann).await,
        Program { api: api.clone(), key: ann.access.clone() },
    ];
    for other in &others {
        assert!(!other.asks("hi").await.is_replay(), "another key, or none");
    }
    for plain in &others[1..] {
        assert!(!plain.asks("hi").await.is_replay(), "a key without the option, or none");
    }
    assert!(!Program::of_equal_bodies(&ben).await.asks("hi").await.is_replay(), "another user");
    assert!(!program.asks("ho").await.is_replay(), "another body");
    let keyed = program.send(&[("idempotency-key", "k1")], asking("hi")).await;
    assert!(!keyed.is_replay(), "a key of its own");
    assert_eq!(ann.balance().await, GRANT - 8 * PRICE);

    let streams = async || program.send(&[], streamed("!words one two")).await;
    let (whole, again) = (data(&streams().await), streams().await);
    assert!(again.is_replay());
    assert_eq!(words(&whole).concat(), words(&data(&again)).concat());
    let mut both = asking("!words one two");
    both["input"] = json!("!words one two");
    assert!(!program.send(&[], both.clone()).await.is_replay());
    let response = program.responds(&[], both.clone()).await;
    assert!(!response.is_replay(), "another form of answer");
    let again = program.responds(&[], both).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), response.is(200));
    assert_eq!(ann.balance().await, GRANT - 11 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn equal_bodies_after_a_minute_are_new_requests() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (program, clock) = (Program::of_equal_bodies(&ann).await, &api.server().clock);
    let first = program.asks("hi").await.is(200);
    clock.advance(Duration::from_secs(40));
    assert_eq!(program.asks("hi").await.is(200), first);
    clock.advance(Duration::from_secs(21));
    let second = program.asks("hi").await;
    assert!(!second.is_replay(), "the minute begins with the first request");
    let second = second.is(200);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(program.asks("hi").await.is(200), second);
    clock.advance(Duration::from_secs(61));
    // A client that counts its retries may send the request again for a quarter of an hour.
    assert_eq!(program.tries(1, "hi").await.is(200), second);
    assert!(!program.tries(0, "hi").await.is_replay());
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn equal_bodies_wait_for_a_running_request_and_rerun_failures() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let program = Program::of_equal_bodies(&ann).await;
    let running = tokio::spawn({
        let (api, key) = (api.clone(), program.key.clone());
        async move { Program { api, key }.asks("!slow 4000").await.is(200) }
    });
    ann.is_waiting().await;
    let early = program.asks("!slow 4000").await;
    assert_eq!(early.header("retry-after"), "10");
    early.expect(409, "idempotency_key_running");
    let first = running.await.unwrap();
    assert_eq!(program.asks("!slow 4000").await.is(200), first);
    assert_eq!(ann.balance().await, GRANT - PRICE);

    for _ in 0..2 {
        program.asks("!fail").await.expect(502, "ai_failed");
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn one_of_twenty_parallel_equal_bodies_is_charged() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of_equal_bodies(&ann).await;
    let answers = join_all((0..20).map(|_| program.asks("!slow 100"))).await;
    let is_new = |answer: &&Answer| answer.status == 200 && !answer.is_replay();
    assert_eq!(answers.iter().filter(is_new).count(), 1, "{answers:?}");
    for answer in &answers {
        assert!([200, 409].contains(&answer.status.as_u16()), "{answer:?}");
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn equal_bodies_share_a_key_for_a_minute() {
    let api = Api::start().await;
    let (store, now) = (api.store(), api.now() * 1000);
    let user = uuid::Uuid::new_v4().to_string();
    let key_of = async |api_key: &str, came: u64, again: bool, fresh: &str| {
        let api_key = Some(api_key);
        let request = UnkeyedRequest { user_id: &user, api_key, payload: "hi", again, came };
        store.key_of(request, fresh).await.unwrap()
    };
    assert_eq!(key_of("a", now, false, "first").await, "first");
    assert_eq!(key_of("a", now, false, "first").await, "first", "a copy of the same write");
    assert_eq!(key_of("a", now, false, "equal").await, "first", "in the same millisecond");
    assert_eq!(key_of("a", now - 500, false, "slow").await, "first", "it was sent before");
    assert_eq!(key_of("b", now, false, "other").await, "other", "another API key");
    assert_eq!(key_of("a", now + 30_000, true, "again").await, "first");
    assert_eq!(key_of("a", now + 59_999, false, "late").await, "first");
    assert_eq!(key_of("a", now + 60_000, false, "new").await, "new", "another call");
    assert_eq!(key_of("a", now + 899_000, true, "retry").await, "new");
    assert_eq!(key_of("a", now + 899_000, false, "third").await, "third");
}

#[tokio::test]
async fn the_gateway_time_orders_retries() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let app = &api.server().apps["completions"];
    let sent = async |count: &str, came: u64| {
        let headers =
            [("authorization", ann.bearer()), ("x-stainless-retry-count", count.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let mut event = event("completions", PATH, &headers, &asking("hi"));
        event["requestContext"]["requestTimeEpoch"] = json!(came);
        let reply = invoke(&api.server().functions["completions"], &event, TIME).await;
        (reply.status().as_u16(), reply.headers().contains_key("idempotent-replayed"))
    };
    let now = app.clock.millis();
    assert_eq!(sent("1", now - 400).await, (200, false));
    assert_eq!(
        sent("0", now - 900).await,
        (200, true),
        "it has waited for a cold start, and its own repetition has not"
    );
    assert_eq!(sent("0", now).await, (200, false), "another call");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn the_lambda_binary_streams_chunks() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut function =
        Instance::of("completions", &[("DYNAMODB_ENDPOINT", api.dynamodb.as_str())]).await;
    let bearer = format!("Bearer {}", program.key);
    function.takes(&event("completions", PATH, &[("authorization", &bearer)], &streamed("hi")));
    let reply = tokio::time::timeout(Duration::from_secs(20), function.answers()).await.unwrap();
    assert!(
        reply.headers.contains_key("x-came-as")
            && reply.body.as_str().unwrap().ends_with("data: [DONE]\n\n"),
        "{:?}",
        reply.body
    );
    function.end();
}

#[tokio::test]
async fn finished_empty_answers_are_valid_and_charged() {
    let settings = [("AI_PROVIDER", "scripted,echo")];
    let api = Api::own(&settings).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let whole = program.asks("!quiet").await.is(200);
    assert_eq!(
        (said(&whole), &whole["model"], &whole["choices"][0]["finish_reason"]),
        (" \n", &json!("scripted"), &json!("stop"))
    );
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], streamed("!quiet")).await;
        assert_eq!(answer.is_replay(), count == "1");
        let chunks = data(&answer);
        assert_eq!((chunks.len(), words(&chunks)), (3, vec![" \n"]), "{chunks:?}");
        assert_eq!(
            (&chunks[1]["choices"][0]["finish_reason"], &chunks[2]),
            (&json!("stop"), &json!("[DONE]"))
        );
    }
    assert_eq!(ann.chat("!quiet").await.is(200)["model"], "scripted");
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    assert_eq!(program.asks("!empty").await.is(200)["model"], "echo", "without any work, it fails");
    assert_eq!(ann.chat("!empty").await.is(200)["model"], "echo");
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}
