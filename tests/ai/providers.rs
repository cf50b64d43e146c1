//! Tests the providers over their real protocols: a server that implements OpenAI's chat
//! completions and, for other tests, simulates Anthropic's Messages API, and Bedrock with its real
//! SDK.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use functions::ENDPOINTS;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Api, GRANT, PRICE, without_comments};
use crate::support::log;

pub const KEY: &str = "sk-a-key-that-no-log-may-hold-0123456789";

/// The simulated provider's reply to the next request.
#[derive(Clone)]
pub enum Does {
    Says(u16, Value),
    /// Sends these pieces in order.
    Streams(Vec<Bytes>),
    /// Sends the first piece at once, and the others after a notification.
    Waits(Vec<Bytes>, Arc<Notify>),
    /// Sends these pieces and closes the connection.
    Cuts(Vec<Bytes>),
    /// Refuses requests that contain this field or JSON pointer, or whose messages do, or whose text
    /// for Titan contains this word. The first body is the refusal, and the second is the reply to
    /// all other requests.
    Refuses(&'static str, Value, Value),
    /// Does the same, and refuses with this status.
    RefusesWith(u16, &'static str, Value, Value),
    /// Refuses all requests with 429 and Bedrock's code for it, and with this `Retry-After`.
    Limits(&'static str),
    /// Refuses requests with functions unless this field has this value.
    Demands(&'static str, &'static str, Value, Value),
}

/// A simulated provider that records the requests that it receives, with their paths and API keys.
#[derive(Clone)]
pub struct Provider {
    pub url: String,
    asked: Arc<Mutex<Vec<(String, String, Value)>>>,
    /// The connections that functions opened when they started.
    opened: Arc<Mutex<HashSet<SocketAddr>>>,
    /// The connection over which the last message arrived.
    asked_by: Arc<Mutex<Option<SocketAddr>>>,
    /// The header `anthropic-beta` of the last message.
    betas: Arc<Mutex<Option<String>>>,
    does: Arc<Mutex<Does>>,
}

impl Provider {
    /// Starts an API with two providers and this additional setting. The second provider is called
    /// if the first fails.
    pub async fn two(setting: (&str, &str)) -> (Api, Self, Self) {
        let (first, second) = (Self::start().await, Self::start().await);
        let urls = [&first, &second].map(|provider| format!("{}/v1", provider.url));
        let api = Api::own(&[
            ("AI_PROVIDER", "openai,openai2"),
            ("OPENAI_BASE_URL", &urls[0]),
            ("OPENAI_MODEL", "large"),
            ("OPENAI2_BASE_URL", &urls[1]),
            ("OPENAI2_MODEL", "tiny"),
            setting,
        ])
        .await;
        (api, first, second)
    }

    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self {
            url,
            asked: Arc::default(),
            opened: Arc::default(),
            asked_by: Arc::default(),
            betas: Arc::default(),
            does: Arc::new(Mutex::new(Does::Says(500, Value::Null))),
        };
        let router = Router::new().fallback(answer).with_state(provider.clone());
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    pub fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub fn says(&self, text: &str) {
        self.does(Does::Says(
            200,
            json!({ "model": "tiny-1", "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }] }),
        ));
    }

    pub fn last_asked(&self) -> (String, String, Value) {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }

    /// The header `anthropic-beta` of the last message.
    pub fn last_betas(&self) -> Option<String> {
        self.betas.lock().unwrap().clone()
    }

    /// How many messages the provider has received.
    pub fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Starts an API that calls this provider first. `others` names the backup providers.
    pub async fn api(&self, others: &str) -> Api {
        self.api_with(others, ("AI_TIMEOUT_SECONDS", "20")).await
    }

    /// Like [`Provider::api`], with this setting.
    async fn api_with(&self, others: &str, setting: (&str, &str)) -> Api {
        let url = format!("{}/v1/", self.url);
        Api::own(&[
            ("AI_PROVIDER", &format!("openai{others}")),
            ("OPENAI_BASE_URL", &url),
            ("OPENAI_MODEL", "tiny"),
            ("OPENAI_API_KEY", KEY),
            ("AI_SYSTEM_PROMPT", "Be kind."),
            ("AI_TEMPERATURE", "0.5"),
            ("AI_MAX_TOKENS", "77"),
            setting,
        ])
        .await
    }
}

async fn answer(
    State(provider): State<Provider>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if request.method() == Method::HEAD {
        provider.opened.lock().unwrap().insert(peer);
        return Response::default();
    }
    *provider.asked_by.lock().unwrap() = Some(peer);
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    if path.ends_with("/messages") {
        assert_eq!(header("anthropic-version").as_deref(), Some("2023-06-01"));
    }
    let key = header("authorization").or_else(|| header("x-api-key")).unwrap_or_default();
    let betas = header("anthropic-beta");
    provider.betas.lock().unwrap().clone_from(&betas);
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    provider.asked.lock().unwrap().push((path, key, asked.clone()));
    let does = provider.does.lock().unwrap().clone();
    let pieces = |pieces: Vec<Bytes>| stream::iter(pieces).map(Ok::<_, Infallible>);
    let has = |field: &str| {
        let messages = asked["messages"].as_array().into_iter().flatten();
        let is_in_text = asked["inputText"].as_str().is_some_and(|text| text.contains(field));
        let is_beta = field == "anthropic-beta" && betas.is_some();
        let is_nested = asked.pointer(field).is_some_and(|value| !value.is_null());
        let is_field = messages.chain([&asked]).any(|object| !object[field].is_null());
        is_in_text || is_beta || is_nested || is_field
    };
    let does = match does {
        Does::Refuses(field, words, _) if has(field) => Does::Says(400, words),
        Does::RefusesWith(status, field, words, _) if has(field) => Does::Says(status, words),
        Does::RefusesWith(_, _, _, says) => Does::Says(200, says),
        Does::Demands(field, value, words, _) if has("tools") && asked[field] != value => {
            Does::Says(400, words)
        }
        Does::Refuses(_, _, says) | Does::Demands(_, _, _, says) => Does::Says(200, says),
        other => other,
    };
    match does {
        Does::Refuses(..) | Does::RefusesWith(..) | Does::Demands(..) => unreachable!(),
        Does::Limits(seconds) => {
            let reply = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            let reply = reply.header("x-amzn-errortype", "ThrottlingException");
            reply.header("retry-after", seconds).body(Body::empty()).unwrap()
        }
        Does::Says(status, body) => {
            let reply = Response::builder()
                .status(StatusCode::from_u16(status).unwrap())
                .header("location", "http://127.0.0.1:1/elsewhere");
            reply
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap()
        }
        Does::Streams(all) => Response::new(Body::from_stream(pieces(all))),
        Does::Waits(all, go_on) => {
            let (first, rest) = (all[0].clone(), all[1..].to_vec());
            let rest = stream::once(async move { go_on.notified().await })
                .flat_map(move |()| stream::iter(rest.clone()));
            Response::new(Body::from_stream(
                stream::once(async move { first }).chain(rest).map(Ok::<_, Infallible>),
            ))
        }
        Does::Cuts(all) => {
            // Fail only after the pieces have been sent, because a body that fails immediately
            // sends nothing.
            let cut = stream::once(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("cut"))
            });
            Response::new(Body::from_stream(stream::iter(all).map(Ok).chain(cut)))
        }
    }
}

pub fn chunk(content: &str, finish: Option<&str>) -> Bytes {
    let chunk = json!({ "model": "tiny-1", "choices": [{ "delta": { "content": content }, "finish_reason": finish }] });
    Bytes::from(format!("data: {chunk}\n\n"))
}

/// A piece of the reasoning before an answer.
pub fn thought(text: &str) -> Bytes {
    let chunk =
        json!({ "model": "tiny-1", "choices": [{ "delta": { "reasoning_content": text } }] });
    Bytes::from(format!("data: {chunk}\n\n"))
}

pub fn done() -> Bytes {
    Bytes::from("data: [DONE]\n\n")
}

#[tokio::test]
async fn servers_get_the_key_the_model_and_the_conversation() {
    log::clear();
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    provider.says("Hello, Ann.");
    let first = ann.chat("I am Ann.").await.is(200);
    assert_eq!((&first["response"], &first["model"]), (&json!("Hello, Ann."), &json!("tiny-1")));
    assert_eq!(first["usage"]["estimated"], true, "the server counts nothing");
    ann.post(
        "/api/chat/",
        json!({ "message": "Who am I?", "conversation_id": first["conversation_id"] }),
    )
    .await
    .is(200);
    let (path, authorization, asked) = provider.last_asked();
    assert_eq!((path.as_str(), authorization), ("/v1/chat/completions", format!("Bearer {KEY}")));
    let expected = json!({
        "model": "tiny", "stream": false, "max_tokens": 77, "temperature": 0.5,
        "messages": [
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": "I am Ann." },
            { "role": "assistant", "content": "Hello, Ann." },
            { "role": "user", "content": "Who am I?" },
        ],
    });
    assert_eq!(asked, expected);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert!(!log::text().contains("sk-a-key"), "the key is in no log");
}

#[tokio::test]
async fn server_failures_are_clear_and_free() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let message = |content: Value, finish: &str| json!({ "choices": [{ "message": { "content": content }, "finish_reason": finish }] });
    for (does, status, code) in [
        (Does::Says(401, json!({ "error": { "message": "wrong key" } })), 502, "ai_failed"),
        (Does::Says(302, Value::Null), 502, "ai_failed"),
        (Does::Says(500, Value::Null), 502, "ai_failed"),
        (Does::Says(429, Value::Null), 503, "ai_overloaded"),
        (Does::Says(503, Value::Null), 503, "ai_overloaded"),
        (Does::Says(504, Value::Null), 504, "ai_timed_out"),
        (Does::Says(200, json!("not what it should be")), 502, "ai_failed"),
        (Does::Says(200, json!({ "choices": [] })), 502, "ai_failed"),
        (Does::Says(200, message(json!(" \n"), "stop")), 502, "ai_failed"),
        (Does::Says(200, message(Value::Null, "stop")), 502, "ai_failed"),
        (Does::Says(200, message(json!(" \n"), "content_filter")), 422, "content_filtered"),
        (Does::Says(402, Value::Null), 502, "ai_failed"),
        (Does::Says(200, message(json!("x".repeat(70_000)), "stop")), 502, "ai_failed"),
        (Does::Cuts(vec![Bytes::from("{\"choices\": [")]), 502, "ai_failed"),
    ] {
        provider.does(does);
        ann.chat("hi").await.expect(status, code);
    }
    let hurried = provider.api_with("", ("AI_TIMEOUT_SECONDS", "1")).await;
    provider.does(Does::Waits(vec![Bytes::from("{")], Arc::default()));
    hurried.person("ben").await.chat("hi").await.expect(504, "ai_timed_out");
    provider.does(Does::Says(200, json!({ "choices": [{ "message": { "content": "cut by its length" }, "finish_reason": "length" }] })));
    let chat = ann.chat("hi").await.is(200);
    assert_eq!(
        (&chat["response"], &chat["finish_reason"]),
        (&json!("cut by its length"), &json!("length"))
    );
    assert_eq!(ann.balance().await, GRANT - PRICE);
    let history = ann.history("").await.is(200);
    assert_eq!(history.as_array().unwrap().len(), 1);
    assert_eq!(history[0]["finish_reason"], "length");
}

#[tokio::test]
async fn unknown_fields_and_usage_formats_lose_no_answer() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    for usage in [
        json!({}),
        json!({ "prompt_tokens": 1 }),
        json!({ "prompt_tokens": 1.5, "completion_tokens": -1 }),
        json!("many"),
        Value::Null,
    ] {
        let choice = json!({ "message": { "content": "Hello." }, "delta": null, "finish_reason": "stop", "x": 1 });
        provider
            .does(Does::Says(200, json!({ "choices": [choice], "usage": usage, "citations": [] })));
        assert_eq!(ann.chat("hi").await.is(200)["response"], "Hello.");
    }
    let both = json!({ "choices": [{ "delta": { "content": "lo." }, "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    provider
        .does(Does::Streams(vec![chunk("Hel", None), Bytes::from(format!("data: {both}\n\n"))]));
    let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
    assert_eq!(text_of(&events(said.body.as_str().unwrap())), "Hello.");
}

#[tokio::test]
async fn the_next_provider_answers_if_a_server_fails() {
    let provider = Provider::start().await;
    let api = provider.api(",echo").await;
    let ann = api.person("ann").await;
    provider.does(Does::Says(429, Value::Null));
    assert_eq!(ann.chat("hi").await.is(200)["model"], "echo");
    provider.says("Hello.");
    assert_eq!(ann.chat("hi").await.is(200)["model"], "tiny-1");

    let settings = [
        ("AI_PROVIDER", "openai,echo"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1"),
        ("OPENAI_MODEL", "tiny"),
    ];
    let nobody = Api::own(&settings).await;
    assert_eq!(nobody.person("ben").await.chat("hi").await.is(200)["model"], "echo");
}

#[tokio::test]
async fn failed_providers_count_in_the_figures_of_the_day() {
    let (api, first, second) = Provider::two(("ANSWER_LIMIT", "1000")).await;
    let says = |status| Does::Says(status, Value::Null);
    let over_the_limit =
        json!({ "choices": [{ "message": { "content": "x".repeat(2_000_000) } }] });
    for (outcome, backup, counted) in [
        (says(500), says(429), false),
        (Does::Cuts(vec![Bytes::from("{")]), says(503), false),
        (says(504), says(500), true),
        (says(500), says(504), true),
        (Does::Says(200, over_the_limit), says(500), true),
    ] {
        let ann = api.person("ann").await;
        first.does(outcome);
        second.does(backup);
        assert!([502, 503, 504].contains(&ann.chat("hi").await.status.as_u16()));
        let worked = if counted { PRICE } else { 0 };
        assert_eq!(api.refunds(&ann).await, (1, worked));
    }
}

#[tokio::test]
async fn the_first_piece_is_delivered_before_the_server_goes_on() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let go_on = Arc::new(Notify::new());
    provider.does(Does::Waits(
        vec![chunk("Hel", None), chunk("lo.", None), chunk("", Some("stop")), done()],
        go_on.clone(),
    ));
    let request = reqwest::Client::new()
        .post(format!("{}/api/chat/stream/", api.url))
        .bearer_auth(&ann.access);
    let mut reply = request.json(&json!({ "message": "hi" })).send().await.unwrap();
    let first = reply.chunk().await.unwrap().unwrap();
    assert_eq!(text_of(&events(std::str::from_utf8(&first).unwrap())), "Hel");
    go_on.notify_one();
    let rest = events(&without_comments(&reply.text().await.unwrap()));
    assert_eq!(
        (text_of(&rest).as_str(), &rest.last().unwrap().1["response"]),
        ("lo.", &json!("Hello."))
    );
    assert_eq!(provider.last_asked().2["stream_options"], json!({ "include_usage": true }));
}

#[tokio::test]
async fn streams_may_be_split_anywhere_and_fail_if_truncated() {
    let provider = Provider::start().await;
    let api = provider.api(",echo").await;
    let ann = api.person("ann").await;
    let all =
        [Bytes::from(": a comment\n\n"), chunk("Grüße", None), chunk(" 😀", Some("stop")), done()]
            .concat();
    let bytes = all.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    provider.does(Does::Streams(bytes));
    let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
    assert_eq!(text_of(&events(said.body.as_str().unwrap())), "Grüße 😀");

    let error = Bytes::from("data: {\"error\": {\"message\": \"no more\"}}\n\n");
    for does in [
        Does::Streams(vec![chunk("Half", None)]),
        Does::Cuts(vec![chunk("Half", None)]),
        Does::Streams(vec![chunk("Half", None), error]),
    ] {
        provider.does(does);
        let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
        let said = events(said.body.as_str().unwrap());
        assert_eq!(
            (text_of(&said).as_str(), &said.last().unwrap().1["code"]),
            ("Half", &json!("ai_failed")),
            "{said:?}"
        );
    }
    provider.does(Does::Streams(vec![Bytes::from("data: \n\n")]));
    let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
    assert_eq!(
        text_of(&events(said.body.as_str().unwrap())),
        "You said: hi",
        "nothing had been delivered yet"
    );
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

/// Starts an API that calls this provider as if it were Bedrock, through Bedrock's SDK.
pub async fn bedrock(provider: &Provider, others: &str) -> Api {
    Api::own(&[
        ("AI_PROVIDER", &format!("bedrock{others}")),
        ("BEDROCK_MODEL", "tiny.model-v1:0"),
        ("BEDROCK_ENDPOINT", &provider.url),
        ("AI_SYSTEM_PROMPT", "Be kind."),
        ("AI_MAX_TOKENS", "77"),
    ])
    .await
}

/// A message in the event stream ([format](https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html)).
pub fn frame(kind: &str, name: &str, payload: &Value) -> Bytes {
    let header = |name: &'static str, value: &str| {
        Header::new(name, HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(payload.to_string()).add_header(header(":message-type", kind));
    let named = if kind == "event" { ":event-type" } else { ":exception-type" };
    let message = message
        .add_header(header(named, name))
        .add_header(header(":content-type", "application/json"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes.into()
}

/// A piece of a streamed answer from Bedrock.
pub fn delta(text: &str) -> Bytes {
    frame(
        "event",
        "contentBlockDelta",
        &json!({ "contentBlockIndex": 0, "delta": { "text": text } }),
    )
}

/// The end of a streamed answer from Bedrock.
pub fn stop(reason: &str) -> Bytes {
    frame("event", "messageStop", &json!({ "stopReason": reason }))
}

#[tokio::test]
async fn bedrock_converse_failures_are_distinguished() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let says = |text: &str, reason: &str| {
        let usage = json!({ "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 });
        json!({ "output": { "message": { "role": "assistant", "content": [{ "text": text }] } }, "stopReason": reason, "usage": usage, "metrics": { "latencyMs": 1 } })
    };
    provider.does(Does::Says(200, says("Hello, Ann.", "end_turn")));
    let first = ann.chat("I am Ann.").await.is(200);
    assert_eq!(
        (&first["response"], &first["model"]),
        (&json!("Hello, Ann."), &json!("tiny.model-v1:0"))
    );
    let counted = json!({ "prompt_tokens": 3, "completion_tokens": 4, "estimated": false });
    assert_eq!(first["usage"], counted);
    ann.post(
        "/api/chat/",
        json!({ "message": "Who am I?", "conversation_id": first["conversation_id"] }),
    )
    .await
    .is(200);
    let (path, _, asked) = provider.last_asked();
    assert!(path.starts_with("/model/tiny.model-v1") && path.ends_with("/converse"), "{path}");
    let text = |text: &str| json!([{ "text": text }]);
    assert_eq!(asked["system"], text("Be kind."));
    let messages = json!([
        { "role": "user", "content": text("I am Ann.") },
        { "role": "assistant", "content": text("Hello, Ann.") },
        { "role": "user", "content": text("Who am I?") },
    ]);
    assert_eq!(
        (&asked["messages"], &asked["inferenceConfig"]["maxTokens"]),
        (&messages, &json!(77))
    );
    let exception = |status: u16, kind: &str| {
        Does::Says(status, json!({ "__type": kind, "message": "a secret of the model" }))
    };
    for (does, status, code) in [
        (exception(429, "ThrottlingException"), 503, "ai_overloaded"),
        (exception(408, "ModelTimeoutException"), 504, "ai_timed_out"),
        (exception(403, "AccessDeniedException"), 502, "ai_failed"),
        (Does::Says(200, says(" ", "guardrail_intervened")), 422, "content_filtered"),
    ] {
        provider.does(does);
        ann.chat("hi").await.expect(status, code);
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    provider.does(Does::Says(200, says(" ", "end_turn")));
    assert_eq!(ann.chat("hi").await.is(200)["response"], " ");
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

/// A stream contains an exception's name in a header, and a reply contains it in its body.
#[tokio::test]
async fn streamed_exceptions_of_bedrock_mean_the_same_as_replies() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    for (kind, words, status, code) in [
        ("throttlingException", "slow down", 503, "ai_overloaded"),
        ("serviceUnavailableException", "later", 503, "ai_overloaded"),
        (
            "validationException",
            "Input is too long for requested model.",
            400,
            "context_length_exceeded",
        ),
        ("modelStreamErrorException", "no more", 502, "ai_failed"),
        ("internalServerException", "an error", 502, "ai_failed"),
    ] {
        let start = frame("event", "messageStart", &json!({ "role": "assistant" }));
        let exception = frame("exception", kind, &json!({ "message": words }));
        provider.does(Does::Streams(vec![start, exception]));
        let asked = json!({ "message": "hi" });
        ann.post("/api/chat/stream/", asked).await.expect(status, code);
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn truncated_bedrock_streams_are_failures() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, ",echo").await;
    let ann = api.person("ann").await;
    let start = frame("event", "messageStart", &json!({ "role": "assistant" }));
    provider.does(Does::Streams(vec![start.clone(), delta("Hel"), delta("lo."), stop("end_turn")]));
    let said = events(
        ann.post("/api/chat/stream/", json!({ "message": "hi" })).await.body.as_str().unwrap(),
    );
    assert_eq!((text_of(&said).as_str(), said.len()), ("Hello.", 3));
    assert!(provider.last_asked().0.ends_with("/converse-stream"), "{:?}", provider.last_asked().0);

    let exception =
        frame("exception", "modelStreamErrorException", &json!({ "message": "no more" }));
    for does in [
        Does::Streams(vec![start.clone(), delta("Half")]),
        Does::Streams(vec![start.clone(), delta("Half"), exception]),
        Does::Cuts(vec![start.clone(), delta("Half")]),
    ] {
        provider.does(does);
        let said = events(
            ann.post("/api/chat/stream/", json!({ "message": "hi" })).await.body.as_str().unwrap(),
        );
        assert_eq!(
            (text_of(&said).as_str(), &said.last().unwrap().1["code"]),
            ("Half", &json!("ai_failed")),
            "{said:?}"
        );
    }
    provider.does(Does::Streams(vec![start, stop("content_filtered")]));
    let said = events(
        ann.post("/api/chat/stream/", json!({ "message": "hi" })).await.body.as_str().unwrap(),
    );
    assert_eq!(text_of(&said), "You said: hi");
    ann.waits_for_nothing().await;
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn only_finished_empty_answers_reach_openai_clients() {
    let provider = Provider::start().await;
    let api = provider.api(",echo").await;
    let ann = api.person("ann").await;
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 0 });
    let says = |content: Value, finish: Value| {
        Does::Says(
            200,
            json!({ "model": "tiny-1", "usage": usage, "choices": [{ "message": { "content": content }, "finish_reason": finish }] }),
        )
    };
    let ask = |message: &str, streamed: bool| {
        let options = if streamed { json!({ "include_usage": true }) } else { Value::Null };
        json!({ "messages": [{ "role": "user", "content": message }], "stop": ["NO"], "stream": streamed, "stream_options": options })
    };
    for (content, finish) in [(json!(""), "stop"), (Value::Null, "length")] {
        provider.does(says(content, json!(finish)));
        let whole = ann.post("/v1/chat/completions", ask("hi", false)).await.is(200);
        let choice = &whole["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"], &whole["model"]),
            (&json!(""), &json!(finish), &json!("tiny-1"))
        );

        let counted = Bytes::from(format!(
            "data: {}\n\n",
            json!({ "model": "tiny-1", "choices": [], "usage": usage })
        ));
        provider.does(Does::Streams(vec![
            chunk("", None),
            chunk("", Some(finish)),
            counted,
            done(),
        ]));
        let reply = ann.post("/v1/chat/completions", ask("hi", true)).await.is(200);
        let events: Vec<&str> = reply
            .as_str()
            .unwrap()
            .split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").unwrap())
            .collect();
        let chunks: Vec<Value> =
            events[..3].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        assert_eq!((events.len(), events[3]), (4, "[DONE]"));
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
        assert_eq!(
            (&chunks[1]["choices"][0]["finish_reason"], &chunks[2]["usage"]["prompt_tokens"]),
            (&json!(finish), &json!(3))
        );
    }
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);

    for does in [
        says(Value::Null, Value::Null),
        Does::Says(200, json!({ "choices": [] })),
        Does::Streams(vec![done()]),
        Does::Streams(vec![]),
    ] {
        let streams = matches!(does, Does::Streams(_));
        provider.does(does);
        let said = ann.post("/v1/chat/completions", ask("hi", streams)).await.is(200);
        assert!(
            said.to_string().contains("\"echo\"") || said.to_string().contains("\\\"echo\\\""),
            "{said}"
        );
    }
    provider.does(says(json!(""), json!("stop")));
    assert_eq!(
        ann.chat("hi").await.is(200)["model"],
        "echo",
        "a person is not shown an empty answer"
    );
}

#[tokio::test]
async fn bedrock_may_return_empty_answers_to_openai_clients() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, ",echo").await;
    let ann = api.person("ann").await;
    let message = json!({ "output": { "message": { "role": "assistant", "content": [] } }, "stopReason": "max_tokens", "metrics": { "latencyMs": 1 } });
    provider.does(Does::Says(200, message));
    let ask = |streamed: bool| json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": streamed });
    let whole = ann.post("/v1/chat/completions", ask(false)).await.is(200);
    assert_eq!(
        (&whole["choices"][0]["message"]["content"], &whole["choices"][0]["finish_reason"]),
        (&json!(""), &json!("length"))
    );
    provider.does(Does::Streams(vec![
        frame("event", "messageStart", &json!({ "role": "assistant" })),
        stop("stop_sequence"),
    ]));
    let streamed = ann.post("/v1/chat/completions", ask(true)).await.is(200);
    assert!(
        !streamed.as_str().unwrap().contains("echo")
            && streamed.as_str().unwrap().ends_with("data: [DONE]\n\n"),
        "{streamed}"
    );
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn functions_connect_before_the_first_message() {
    let provider = Provider::start().await;
    let converse = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Hi!" }] } },
        "stopReason": "end_turn",
    });
    let store = Api::own(&[]).await;
    let ann = store.person("ann").await;
    let openai: &[_] = &[
        ("AI_PROVIDER", "openai"),
        ("OPENAI_MODEL", "tiny"),
        ("OPENAI_BASE_URL", provider.url.as_str()),
    ];
    let bedrock: &[_] = &[
        ("AI_PROVIDER", "bedrock"),
        ("BEDROCK_MODEL", "tiny.model-v1:0"),
        ("BEDROCK_ENDPOINT", provider.url.as_str()),
    ];
    for settings in [openai, bedrock] {
        let api = store.beside(settings).await;
        let opened = std::mem::take(&mut *provider.opened.lock().unwrap());
        let callers = ENDPOINTS.iter().filter(|endpoint| endpoint.calls_ai());
        assert_eq!(opened.len(), callers.count());
        provider.does(Does::Says(200, converse.clone()));
        ann.at(&api).chat("Hello!").await;
        let asked_by = provider.asked_by.lock().unwrap().take().unwrap();
        assert!(opened.contains(&asked_by), "{asked_by} was opened for the message");
    }
}

#[tokio::test]
async fn connections_are_used_again_unless_a_server_may_close_them() {
    // Node and uvicorn close a connection that was idle for five seconds.
    const CLOSES: Duration = Duration::from_secs(5);
    let provider = Provider::start().await;
    let ann = provider.api("").await.person("ann").await;
    provider.says("Hi!");
    let chats = async || {
        ann.chat("Hello!").await.is(200);
        provider.asked_by.lock().unwrap().take().unwrap()
    };
    // A busy machine may take seconds from one message to the next.
    let mut used = chats().await;
    let mut tries = 0..5;
    while tries.next().is_some() {
        let before = std::mem::replace(&mut used, chats().await);
        if used == before {
            break;
        }
    }
    assert!(!tries.is_empty(), "each message opens a connection");
    tokio::time::sleep(CLOSES).await;
    assert_ne!(chats().await, used);
}
