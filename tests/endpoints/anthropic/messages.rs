//! `POST /v1/messages` and the same at `POST /v1/v1/messages`, and `GET /v1/models` as Anthropic's
//! clients use it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Answer, Api, GRANT, PRICE, Person};

pub const PATH: &str = "/v1/messages";

/// A program that calls Anthropic's API with a user's API key.
pub struct Client {
    pub api: Api,
    pub key: String,
}

impl Client {
    pub async fn of(person: &Person) -> Self {
        let key = person.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
        Self { api: person.api.clone(), key }
    }

    pub async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        self.send_to(PATH, headers, body).await
    }

    pub async fn send_to(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let own = [("x-api-key", self.key.as_str()), ("anthropic-version", "2023-06-01")];
        self.api.send(Method::POST, path, &[headers, &own].concat(), Some(body)).await
    }

    pub async fn asks(&self, message: &str) -> Answer {
        self.send(&[], asking(message)).await
    }

    pub async fn gets(&self, path: &str) -> Answer {
        let own = [("x-api-key", self.key.as_str()), ("anthropic-version", "2023-06-01")];
        self.api.send(Method::GET, path, &own, None).await
    }
}

pub fn asking(message: &str) -> Value {
    json!({ "model": "claude-opus-5-5", "max_tokens": 1000, "messages": [{ "role": "user", "content": message }] })
}

/// Returns a request with one more field.
pub fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// Returns the sentence of a failure.
fn sentence(failure: &Value) -> &str {
    failure["error"]["message"].as_str().unwrap_or_else(|| panic!("{failure}"))
}

#[tokio::test]
async fn messages_cost_a_chat_and_have_anthropics_form() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let answer = client.asks("hi").await;
    assert!(!answer.header("request-id").is_empty());
    let mut message = answer.is(200);
    let kept = ann.history("").await.is(200)[0].clone();
    let usage = message["usage"].take();
    let expected = json!({
        "id": format!("msg_{}", kept["id"].as_str().unwrap()),
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [{ "type": "text", "text": "You said: hi", "citations": null }],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "stop_details": null,
        "container": null,
        "context_management": null,
        "diagnostics": null,
        "usage": null,
    });
    assert_eq!(message, expected);
    assert!(usage["input_tokens"].as_u64() > Some(0) && usage["output_tokens"].as_u64() > Some(0));
    assert_eq!(
        [&usage["cache_creation_input_tokens"], &usage["cache_read_input_tokens"]],
        [&json!(0), &json!(0)]
    );
    // Anthropic's types require these fields.
    for field in ["inference_geo", "server_tool_use", "speed"] {
        assert_eq!(usage.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!((&kept["message"], &kept["response"]), (&json!("hi"), &json!("You said: hi")));
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn cached_tokens_are_not_counted_as_input() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    let message = client.asks("!used 90 40 7 words").await.is(200);
    let count = |field: &str| message["usage"][field].as_u64().unwrap();
    assert_eq!(
        [count("input_tokens"), count("cache_read_input_tokens"), count("output_tokens")],
        [50, 40, 7]
    );
    let of_time = json!({ "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 });
    assert_eq!(message["usage"]["cache_creation"], of_time);
    let message = client.asks("!used 90 40+30 7 words").await.is(200);
    let usage = &message["usage"];
    assert_eq!(
        [&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]],
        [20, 40, 7]
    );
    assert_eq!(usage["cache_creation_input_tokens"], 30);
    assert_eq!(usage["cache_creation"], Value::Null, "it isn't known which time they are kept");
}

#[tokio::test]
async fn the_user_and_the_system_are_heard_in_order() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    let cached =
        json!({ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } });
    let body = json!({
        "max_tokens": 1000,
        "system": [cached],
        "messages": [
            { "role": "user", "content": "I am Ann." },
            { "role": "assistant", "content": [{ "type": "text", "text": "Hello, " }] },
            { "role": "assistant", "content": "Ann." },
            { "role": "system", "content": "It is late." },
            { "role": "user", "content": [{ "type": "text", "text": "!recall" }] },
        ],
        "metadata": { "user_id": "x" },
        "service_tier": "auto",
        "context_management": { "edits": [{ "type": "compact_20260112" }] },
        "thread": null,
        "unknown": [1],
    });
    let message = client.send(&[("anthropic-beta", "a,b"), ("x-app", "cli")], body).await.is(200);
    assert_eq!(
        message["content"][0]["text"],
        "system: Be brief.\nuser: I am Ann.\nassistant: Hello, \nAnn.\nsystem: It is late.\nuser: !recall"
    );
}

#[tokio::test]
async fn both_headers_and_both_paths_accept_a_key() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (client, other) = (Client::of(&ann).await, Client::of(&ann).await);
    let (key, bearer) = (client.key.as_str(), format!("Bearer {}", client.key));
    let (session, others) = (ann.bearer(), format!("Bearer {}", other.key));
    for (headers, status) in [
        (vec![("x-api-key", key)], 200),
        (vec![("authorization", bearer.as_str())], 200),
        (vec![("authorization", session.as_str())], 200),
        (vec![("authorization", bearer.as_str()), ("x-api-key", "")], 200),
        (vec![("authorization", bearer.as_str()), ("x-api-key", key)], 200),
        (vec![("authorization", others.as_str()), ("x-api-key", key)], 401),
        (vec![("authorization", session.as_str()), ("x-api-key", key)], 401),
        (vec![("x-api-key", key), ("x-api-key", key)], 200),
        (vec![("x-api-key", key), ("x-api-key", "sk-ant-x")], 401),
        (vec![("x-api-key", "sk-ant-x"), ("x-api-key", key)], 401),
        (vec![("authorization", others.as_str()), ("authorization", bearer.as_str())], 401),
        (vec![("x-api-key", ann.access.as_str())], 401),
        (vec![("x-api-key", "sk-ant-x")], 401),
        (vec![], 401),
    ] {
        for path in ["/v1/messages?beta=true", "/v1/v1/messages", "/v1/messages/"] {
            let answer = api.send(Method::POST, path, &headers, Some(asking("hi"))).await;
            match status {
                200 => drop(answer.is(200)),
                _ => drop(answer.expect_anthropic(401)),
            }
        }
    }
    let differ = [("authorization", others.as_str()), ("x-api-key", key)];
    let refused = api.send(Method::POST, PATH, &differ, Some(asking("hi"))).await.is(401);
    assert!(sentence(&refused).contains("different credentials"), "{refused}");
    assert_eq!(ann.balance().await, GRANT - 18 * PRICE);
}

#[tokio::test]
async fn unsupported_requests_are_refused_in_words() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let of = |field: &str, value: Value| with(asking("hi"), field, value);
    let content = |block: Value| of("messages", json!([{ "role": "user", "content": [block] }]));
    let pdf = json!({ "type": "base64", "media_type": "application/pdf", "data": "aGk=" });
    for (body, words) in [
        (of("max_tokens", Value::Null), "max_tokens: This field is required."),
        (of("max_tokens", json!(0)), "max_tokens: With 0, Anthropic's API only fills its cache"),
        (of("max_tokens", json!(-1)), "max_tokens: An answer can have 1 to"),
        (of("temperature", json!(1.5)), "temperature: "),
        (of("top_k", json!(-1)), "top_k: "),
        (of("stop_sequences", json!(vec!["x"; 17])), "stop_sequences: Send at most 16"),
        (of("mcp_servers", json!([{ "type": "url" }])), "mcp_servers: "),
        (of("thinking", json!({ "type": "enabled" })), "thinking.budget_tokens: "),
        (of("thinking", json!({ "type": "maybe" })), "thinking.type: "),
        (of("output_config", json!({ "effort": "some" })), "output_config.effort: "),
        (of("output_config", json!({ "format": { "type": "xml" } })), "output_config.format.type"),
        (
            of("tools", json!([{ "type": "web_search_20250305", "name": "web_search" }])),
            "tools[0].type: The tool web_search_20250305 runs at Anthropic",
        ),
        (
            of("tools", json!([{ "type": "bash_20250124", "name": "bash" }])),
            "tools[0].type: This API offers the model only tools with an input_schema.",
        ),
        (of("tools", json!([{ "name": "no name" }])), "tools[0].name: "),
        (of("tools", json!([{ "name": "f".repeat(129) }])), "tools[0].name: "),
        (of("tool_choice", json!({ "type": "any" })), "tool_choice: The request has no functions."),
        (of("tool_choice", json!({ "type": "maybe" })), "tool_choice.type: "),
        (of("messages", json!([])), "messages: "),
        (of("messages", json!([{ "role": "tool", "content": "hi" }])), "messages[0].role: "),
        (content(json!({ "type": "compaction", "content": "x" })), "blocks of the type compaction"),
        (
            content(json!({ "type": "server_tool_use" })),
            "messages[0].content[0]: Blocks of the type",
        ),
        (content(json!({ "type": "document", "source": pdf })), "Only documents of text"),
        (content(json!({ "type": "thinking", "thinking": "x" })), "Blocks of the type thinking"),
        (content(json!({ "type": "image", "source": { "type": "file" } })), "stores no files"),
    ] {
        let refused = client.send(&[], body).await.expect_anthropic(400);
        assert!(sentence(&refused).contains(words), "{refused} has no {words}");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn threads_are_refused_so_that_sdks_send_everything() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    for path in [PATH, "/v1/messages/count_tokens"] {
        for thread in [json!({}), json!({ "type": "create" }), json!(7)] {
            let body = with(asking("hi"), "thread", thread);
            let refused = client.send_to(path, &[], body).await.expect_anthropic(400);
            let details = json!({ "error_code": "thread_unsupported_request" });
            assert_eq!(refused["error"]["details"], details);
        }
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn only_failures_that_may_pass_are_retried() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    let stranger = Client { api: api.clone(), key: "sk-x".into() };
    let invalid = with(asking("hi"), "max_tokens", json!(0));
    for (answer, is_final) in [
        (stranger.asks("hi").await, true),
        (client.send(&[], invalid).await, true),
        (client.gets("/v1/models/other").await, true),
        (client.asks("!fail").await, false),
        (client.asks("!overloaded").await, false),
    ] {
        let shown = answer.headers.get("x-should-retry").map(|value| value.to_str().unwrap());
        assert_eq!(shown, is_final.then_some("false"), "{answer:?}");
    }
}

#[tokio::test]
async fn failures_have_the_statuses_that_anthropics_clients_know() {
    let api = Api::own(&[("PROMPT_LIMIT", "1024")]).await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let long = client.asks(&"x".repeat(2000)).await.expect_anthropic(400);
    assert_eq!(
        sentence(&long).split(". ").next(),
        Some("prompt is too long: 500 tokens > 256 maximum"),
    );
    client.asks("!fail").await.expect_anthropic(502);
    client.asks("!hang").await.expect_anthropic(504);
    let overloaded = client.asks("!overloaded").await;
    assert_eq!(overloaded.header("retry-after"), "5");
    overloaded.expect_anthropic(529);
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn empty_balances_are_402_whatever_other_clients_get() {
    let advice = ("TOP_UP_URL", "https://shop.example.com/tokens");
    let api = Api::own(&[("EMPTY_BALANCE_STATUS", "429"), advice]).await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    ann.has_left(PRICE - 1).await;
    for streamed in [false, true] {
        let answer = client.send(&[], with(asking("hi"), "stream", json!(streamed))).await;
        assert!(!answer.headers.contains_key("retry-after"), "{answer:?}");
        let failure = answer.expect_anthropic(402);
        assert!(sentence(&failure).ends_with(": https://shop.example.com/tokens"), "{failure}");
    }
}

#[tokio::test]
async fn retries_with_a_count_are_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let tries =
        async |count: &str| client.send(&[("x-stainless-retry-count", count)], asking("hi")).await;
    let first = tries("0").await.is(200);
    let again = tries("1").await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    assert_ne!(tries("0").await.is(200)["id"], first["id"]);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn equal_bodies_of_a_session_are_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let asks = async |session: &str, message: &str| {
        let headers = [("x-claude-code-session-id", session), ("x-stainless-retry-count", "0")];
        client.send(&headers, asking(message)).await
    };
    let one = "01a20f2e-df49-7d50-9892-dddfbb391acf";
    let first = asks(one, "hi").await.is(200);
    let again = asks(one, "hi").await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    assert!(!asks(one, "ho").await.is_replay(), "another body");
    let other = "01a20f2e-df49-7d50-9892-dddfbb391ad0";
    assert!(!asks(other, "hi").await.is_replay(), "another session");
    assert!(!asks("x", "hi").await.is_replay(), "no session");
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn equal_bodies_are_charged_once_if_the_key_says_so() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let body = json!({ "name": "a program", "retries": "equal_bodies" });
    let key = ann.post("/api/user/api-keys", body).await.is(201)["key"].take();
    let client = Client { api: api.clone(), key: key.as_str().unwrap().to_owned() };
    let first = client.asks("hi").await.is(200);
    let again = client.asks("hi").await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    let session = [("x-claude-code-session-id", "01a20f2e-df49-7d50-9892-dddfbbb391ac")];
    assert!(!client.send(&session, asking("hi")).await.is_replay(), "a request in a session");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);

    api.server().clock.advance(Duration::from_secs(61));
    assert_ne!(client.asks("hi").await.is(200)["id"], first["id"]);
    assert!(client.send(&session, asking("hi")).await.is_replay());
    let plain = Client::of(&ann).await;
    let [one, other] = [plain.asks("hi").await.is(200), plain.asks("hi").await.is(200)];
    assert_ne!(one["id"], other["id"]);
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE);
}

#[tokio::test]
async fn models_are_listed_in_anthropics_form() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let model = json!({
        "type": "model",
        "id": "scripted",
        "display_name": "scripted",
        "created_at": "1970-01-01T00:00:00.000Z",
        "lifecycle": "active",
        "max_input_tokens": null,
        "max_tokens": null,
        "allowed_fallback_models": null,
        "capabilities": null,
        "line": null,
        "deprecated_at": null,
        "retires_at": null,
    });
    let list = client.gets("/v1/models").await.is(200);
    assert_eq!(
        list,
        json!({ "data": [model], "has_more": false, "first_id": "scripted", "last_id": "scripted" })
    );
    assert_eq!(client.gets("/v1/models/scripted").await.is(200), model);
    assert_eq!(client.gets("/v1/v1/models").await.is(200), list);
    assert_eq!(client.gets("/v1/v1/models/scripted").await.is(200), model);
    assert_eq!(ann.get("/v1/models").await.is(200)["object"], "list");
}

#[tokio::test]
async fn refused_lists_of_models_have_the_clients_form() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    for path in ["/v1/models/other", "/v1/v1/models/other"] {
        client.gets(path).await.expect_anthropic(404);
        assert_eq!(ann.get(path).await.is(404)["error"]["code"], "model_not_found");
    }
    let stranger = Client { api: api.clone(), key: "sk-x".into() };
    for path in ["/v1/models", "/v1/key"] {
        stranger.gets(path).await.expect_anthropic(401);
    }
    assert!(!client.gets("/v1/models").await.header("request-id").is_empty());
    let without_version = [("x-api-key", client.key.as_str())];
    let answer = api.send(Method::GET, "/v1/models", &without_version, None).await;
    answer.expect(401, "invalid_api_key");
}
