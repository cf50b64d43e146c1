//! Replies as real providers send them, tested through every endpoint that calls the AI: formats,
//! finish reasons, and token counts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::ai::providers::{chunk, done};
use crate::endpoints::chats::fares::{RATES, by_usage};
use crate::endpoints::openai::completions::{data, weather};
use crate::endpoints::openai::responses::tool;
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Answer, Api, GRANT, Person};

/// A step of a provider's reply.
#[derive(Clone, Debug)]
pub enum Step {
    Sends(Bytes),
    /// Refuses the request with status 400 and this body, after any pauses that precede this step.
    Refuses(Value),
    /// Waits. The connection stays open.
    Waits(Duration),
    /// Notifies the test that the reply has reached this step.
    Tells,
    /// Waits until the test has stopped the answer.
    IsStopped,
    /// Breaks the connection.
    Breaks,
}

impl From<Bytes> for Step {
    fn from(bytes: Bytes) -> Self {
        Self::Sends(bytes)
    }
}

/// A provider that replies to each message with a script, whether or not the request asks for a
/// stream.
#[derive(Clone, Default)]
pub struct Replies {
    scripts: Arc<Mutex<HashMap<String, Script>>>,
}

/// The reply to a message.
#[derive(Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    /// Notified when the reply reaches [`Step::Tells`].
    pub told: Arc<Notify>,
    /// Notified when the test has stopped the answer.
    pub stopped: Arc<Notify>,
}

impl Replies {
    /// Starts the provider, and an API that calls it. The only model, `deep`, is charged by usage.
    pub async fn start(settings: &[(&str, &str)]) -> (Self, Api) {
        Self::start_as("openai", settings).await
    }

    /// Starts the provider, and an API that calls it as the provider `name`.
    pub async fn start_as(name: &str, settings: &[(&str, &str)]) -> (Self, Api) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let url = format!("{server}/v1");
        let replies = Self::default();
        let router = Router::new().fallback(reply).with_state(replies.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let asking = [
            ("AI_PROVIDER", name),
            ("OPENAI_BASE_URL", url.as_str()),
            ("OPENAI_MODEL", "tiny"),
            ("ANTHROPIC_BASE_URL", server.as_str()),
            ("ANTHROPIC_MODEL", "tiny"),
            ("AI_TIMEOUT_SECONDS", "20"),
            ("AI_MAX_TOKENS", "8192"),
            ("CHATS_PER_MINUTE", "10000"),
            ("PARALLEL_CHATS", "64"),
            ("REFUNDS_PER_MINUTE", "1000"),
            ("FREE_WORK", "1000000"),
        ];
        let api = Api::own(&[&asking[..], settings].concat()).await;
        let deep = json!({ "name": "deep", "via": [name], "fare": by_usage() });
        api.prices(&json!({ "models": [deep] })).await;
        (replies, api)
    }

    /// Sets the reply to a message.
    pub fn to(&self, message: &str, steps: impl IntoIterator<Item = impl Into<Step>>) -> Script {
        let steps = steps.into_iter().map(Into::into).collect();
        let script = Script { steps, ..Script::default() };
        self.scripts.lock().unwrap().insert(message.to_owned(), script.clone());
        script
    }
}

async fn reply(State(replies): State<Replies>, request: Request) -> Response {
    if request.method() == Method::HEAD {
        return Response::default();
    }
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let content = &asked["messages"].as_array().unwrap().last().unwrap()["content"];
    // Anthropic gets a list of blocks.
    let message = content.as_str().or_else(|| content[0]["text"].as_str()).unwrap();
    let script = replies.scripts.lock().unwrap().get(message).cloned();
    let script = script.unwrap_or_else(|| panic!("no script for {message}"));
    if script.steps.iter().any(|step| matches!(step, Step::Refuses(_))) {
        return refusal(script.steps).await;
    }
    let broken = script.steps.iter().any(|step| matches!(step, Step::Breaks));
    let sent = stream::iter(script.steps.clone()).filter_map(move |step| {
        let script = script.clone();
        async move {
            match step {
                Step::Sends(bytes) => return Some(bytes),
                Step::Waits(time) => tokio::time::sleep(time).await,
                Step::Tells => script.told.notify_one(),
                Step::IsStopped => script.stopped.notified().await,
                Step::Breaks | Step::Refuses(_) => {}
            }
            None
        }
    });
    match broken {
        false => Response::new(Body::from_stream(sent.map(Ok::<_, Infallible>))),
        true => {
            // Fail only after the pieces have been sent, because a body that fails immediately
            // sends nothing.
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("broken off"))
            });
            Response::new(Body::from_stream(sent.map(Ok).chain(broken)))
        }
    }
}

async fn refusal(steps: Vec<Step>) -> Response {
    for step in steps {
        match step {
            Step::Waits(time) => tokio::time::sleep(time).await,
            Step::Refuses(body) => {
                return (StatusCode::BAD_REQUEST, body.to_string()).into_response();
            }
            _ => {}
        }
    }
    Response::default()
}

/// An endpoint that calls the AI, with or without streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Chat,
    ChatStream,
    Completion,
    CompletionStream,
    Response,
    ResponseStream,
    Text,
    TextStream,
    Message,
    MessageStream,
}

/// The content of a reply to a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Got {
    pub text: String,
    /// The names and arguments of the calls.
    pub calls: Vec<[String; 2]>,
    /// The finish reason in OpenAI's terms, or the code of the failure.
    pub end: String,
    /// The model token counts of the prompt, its cached part, and the answer.
    pub usage: [u64; 3],
}

impl Door {
    pub const ALL: [Self; 10] = [
        Self::Chat,
        Self::ChatStream,
        Self::Completion,
        Self::CompletionStream,
        Self::Response,
        Self::ResponseStream,
        Self::Text,
        Self::TextStream,
        Self::Message,
        Self::MessageStream,
    ];

    pub fn is_streamed(self) -> bool {
        matches!(
            self,
            Self::ChatStream
                | Self::CompletionStream
                | Self::ResponseStream
                | Self::TextStream
                | Self::MessageStream
        )
    }

    /// Returns true for endpoints of OpenAI's and Anthropic's APIs.
    pub fn serves_programs(self) -> bool {
        !matches!(self, Self::Chat | Self::ChatStream)
    }

    /// Returns true for endpoints where clients may offer functions.
    fn takes_functions(self) -> bool {
        self.serves_programs() && !matches!(self, Self::Text | Self::TextStream)
    }

    /// Sends a message with an idempotency key.
    pub async fn ask(self, person: &Person, key: &str, message: &str) -> Answer {
        let (path, body) = self.request(message);
        person.post_once(key, path, body).await
    }

    /// Returns the path and the body of a request with this message.
    pub fn request(self, message: &str) -> (&'static str, Value) {
        match self {
            Self::Chat => ("/api/chat/", json!({ "message": message })),
            Self::ChatStream => ("/api/chat/stream/", json!({ "message": message })),
            Self::Completion | Self::CompletionStream => (
                "/v1/chat/completions",
                json!({
                    "model": "deep", "messages": [{ "role": "user", "content": message }],
                    "stream": self.is_streamed(), "tools": [weather()],
                    "stream_options": if self.is_streamed() { json!({ "include_usage": true }) } else { Value::Null },
                }),
            ),
            Self::Response | Self::ResponseStream => (
                "/v1/responses",
                json!({
                    "model": "deep", "input": message, "stream": self.is_streamed(),
                    "tools": [tool()],
                }),
            ),
            Self::Text | Self::TextStream => (
                "/v1/completions",
                json!({
                    "model": "deep", "prompt": message, "stream": self.is_streamed(),
                    "stream_options": { "include_usage": true },
                }),
            ),
            Self::Message | Self::MessageStream => (
                "/v1/messages",
                json!({
                    "model": "deep", "messages": [{ "role": "user", "content": message }],
                    "max_tokens": 8192, "stream": self.is_streamed(),
                    "tools": [{
                        "name": "get_weather",
                        "input_schema": weather()["function"]["parameters"],
                    }],
                }),
            ),
        }
    }

    /// Reads a reply.
    pub fn read(self, answer: Answer) -> Got {
        let failure = |body: &Value| {
            let code = body["code"].as_str().or_else(|| body["error"]["code"].as_str());
            let code = code.or_else(|| code_of_anthropic(&body["error"]));
            code.unwrap_or_else(|| panic!("{body}")).to_owned()
        };
        if answer.status != 200 {
            return Got { end: failure(&answer.body), ..Got::default() };
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |call: &Value| [text(&call["name"]), text(&call["arguments"])];
        let numbers = |usage: &Value, names: [&str; 3]| {
            names.map(|name| usage.pointer(name).and_then(Value::as_u64).unwrap_or(0))
        };
        let own = |usage: &Value| {
            numbers(usage, ["/prompt_tokens", "/cached_tokens", "/completion_tokens"])
        };
        let of_completion = |usage: &Value| {
            let cached = "/prompt_tokens_details/cached_tokens";
            numbers(usage, ["/prompt_tokens", cached, "/completion_tokens"])
        };
        match self {
            Self::Chat => Got {
                text: text(&answer.body["response"]),
                calls: Vec::new(),
                end: text(&answer.body["finish_reason"]),
                usage: own(&answer.body["usage"]),
            },
            Self::ChatStream => {
                let events = events(answer.body.as_str().unwrap());
                let (name, last) = events.last().unwrap();
                let said = text_of(&events);
                match name.as_str() {
                    "done" => {
                        assert_eq!(last["response"], said);
                        let usage = own(&last["usage"]);
                        Got {
                            text: said,
                            end: text(&last["finish_reason"]),
                            usage,
                            ..Got::default()
                        }
                    }
                    _ => Got { text: said, end: failure(last), ..Got::default() },
                }
            }
            Self::Completion => {
                let choice = &answer.body["choices"][0];
                let calls = choice["message"]["tool_calls"].as_array();
                Got {
                    text: text(&choice["message"]["content"]),
                    calls: calls.into_iter().flatten().map(|of| call(&of["function"])).collect(),
                    end: text(&choice["finish_reason"]),
                    usage: of_completion(&answer.body["usage"]),
                }
            }
            Self::CompletionStream => {
                let mut got = Got::default();
                for chunk in data(&answer) {
                    if chunk.get("error").is_some() {
                        got.end = failure(&chunk);
                        continue;
                    }
                    let choice = &chunk["choices"][0];
                    got.text += choice["delta"]["content"].as_str().unwrap_or_default();
                    for part in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                        let [name, arguments] = call(&part["function"]);
                        let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
                        got.calls.resize_with(got.calls.len().max(index + 1), Default::default);
                        got.calls[index][0] += &name;
                        got.calls[index][1] += &arguments;
                    }
                    if let Some(reason) = choice["finish_reason"].as_str() {
                        got.end = reason.to_owned();
                    }
                    if chunk["usage"].is_object() {
                        got.usage = of_completion(&chunk["usage"]);
                    }
                }
                got
            }
            Self::Response => of_response(&answer.body),
            Self::ResponseStream => {
                let events = events(answer.body.as_str().unwrap());
                let last = &events.last().unwrap().1;
                let deltas = events.iter().filter(|(name, _)| name == "response.output_text.delta");
                let said: String = deltas.map(|(_, of)| of["delta"].as_str().unwrap()).collect();
                let got = of_response(&last["response"]);
                Got { text: said, ..got }
            }
            Self::Text => Got {
                text: text(&answer.body["choices"][0]["text"]),
                end: text(&answer.body["choices"][0]["finish_reason"]),
                usage: of_completion(&answer.body["usage"]),
                ..Got::default()
            },
            Self::TextStream => {
                let mut got = Got::default();
                for chunk in data(&answer) {
                    if chunk.get("error").is_some() {
                        got.end = failure(&chunk);
                        continue;
                    }
                    let choice = &chunk["choices"][0];
                    got.text += choice["text"].as_str().unwrap_or_default();
                    if let Some(reason) = choice["finish_reason"].as_str() {
                        got.end = reason.to_owned();
                    }
                    if chunk["usage"].is_object() {
                        got.usage = of_completion(&chunk["usage"]);
                    }
                }
                got
            }
            Self::Message => {
                let mut got = of_message(&answer.body, &answer.body["usage"]);
                for block in answer.body["content"].as_array().unwrap() {
                    got.text += block["text"].as_str().unwrap_or_default();
                    if block["type"] == "tool_use" {
                        got.calls.push([text(&block["name"]), block["input"].to_string()]);
                    }
                }
                got
            }
            Self::MessageStream => {
                let mut got = Got::default();
                for (name, of) in events(answer.body.as_str().unwrap()) {
                    let (block, delta) = (&of["content_block"], &of["delta"]);
                    match name.as_str() {
                        "content_block_start" if block["type"] == "tool_use" => {
                            got.calls.push([text(&block["name"]), String::new()]);
                        }
                        "content_block_delta" => {
                            got.text += delta["text"].as_str().unwrap_or_default();
                            if let Some(part) = delta["partial_json"].as_str() {
                                got.calls.last_mut().unwrap()[1] += part;
                            }
                        }
                        "message_delta" => {
                            let Got { end, usage, .. } = of_message(delta, &of["usage"]);
                            (got.end, got.usage) = (end, usage);
                        }
                        "error" => got.end = failure(&of),
                        _ => {}
                    }
                }
                got
            }
        }
    }
}

/// The beginnings of failures' sentences.
const AI_FAILED: &str = "The AI did not answer";
const STOPPED: &str = "The message was stopped";

/// Returns Farebox's code for a failure in Anthropic's format, which doesn't contain codes.
fn code_of_anthropic(error: &Value) -> Option<&'static str> {
    let message = error["message"].as_str()?;
    match error["type"].as_str()? {
        "api_error" if message.starts_with(AI_FAILED) => Some("ai_failed"),
        "timeout_error" => Some("ai_timed_out"),
        "invalid_request_error" if message.starts_with(STOPPED) => Some("stopped"),
        _ => None,
    }
}

/// Returns the end of a message in Anthropic's format, and its token counts.
fn of_message(ending: &Value, usage: &Value) -> Got {
    let end = match ending["stop_reason"].as_str().unwrap() {
        "end_turn" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => panic!("{other}"),
    };
    let [other, cached, written, answer] =
        ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"]
            .map(|name| usage[name].as_u64().unwrap());
    used("", end, [other + cached + written, cached, answer])
}

fn of_response(response: &Value) -> Got {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items: Vec<Value> = response["output"].as_array().cloned().unwrap_or_default();
    let calls: Vec<_> = items.iter().filter(|item| item["type"] == "function_call").collect();
    let end = match response["status"].as_str().unwrap_or_else(|| panic!("{response}")) {
        "completed" if calls.is_empty() => "stop".to_owned(),
        "completed" => "tool_calls".to_owned(),
        "incomplete" => match response["incomplete_details"]["reason"].as_str().unwrap() {
            "max_output_tokens" => "length".to_owned(),
            reason => reason.to_owned(),
        },
        "failed" => text(&response["error"]["code"]),
        other => other.to_owned(),
    };
    let number = |name: &str| response["usage"].pointer(name).and_then(Value::as_u64).unwrap_or(0);
    Got {
        text: items.iter().map(|item| text(&item["content"][0]["text"])).collect(),
        calls: calls.iter().map(|call| [text(&call["name"]), text(&call["arguments"])]).collect(),
        end,
        usage: ["/input_tokens", "/input_tokens_details/cached_tokens", "/output_tokens"]
            .map(number),
    }
}

/// The price of the given model token counts: prompt, cached part and answer.
pub fn price([prompt, cached, answer]: [u64; 3]) -> u64 {
    RATES.price(prompt, cached, 0, answer).get()
}

/// An event with this data.
pub fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// A piece of an answer with this finish reason and these additional fields.
fn ends(content: &str, finish: &str, more: Value) -> Bytes {
    let mut choice =
        json!({ "index": 0, "delta": { "content": content }, "finish_reason": finish });
    choice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event(&json!({ "model": "tiny-1", "choices": [choice] }))
}

fn counts(usage: Value) -> Bytes {
    event(&json!({ "model": "tiny-1", "choices": [], "usage": usage }))
}

fn whole(message: Value, finish: &str) -> Value {
    json!({ "model": "tiny-1", "choices": [{ "index": 0, "message": message, "finish_reason": finish }] })
}

fn said(text: &str, end: &str) -> Got {
    Got { text: text.into(), end: end.into(), ..Got::default() }
}

fn used(text: &str, end: &str, usage: [u64; 3]) -> Got {
    Got { usage, ..said(text, end) }
}

/// Provider replies, each with the content that a client should get. If an answer fails, the text
/// is the part that was delivered before the failure.
fn replies() -> Vec<(&'static str, Vec<Bytes>, Got)> {
    let failed = |text: &str| said(text, "ai_failed");
    let raw = |text: &'static str| Bytes::from_static(text.as_bytes());
    let of_tokens = |prompt: u64, answer: u64| json!({ "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer });
    let numbers = || of_tokens(100, 50);
    let with = |mut usage: Value, more: Value| {
        usage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        usage
    };
    let hello = || whole(json!({ "role": "assistant", "content": "Hello." }), "stop");
    let thinking = || {
        json!([
            { "type": "thinking", "thinking": [{ "type": "text", "text": "Adding." }] },
            { "type": "text", "text": "The sum " },
            { "type": "reference", "reference_ids": [1] },
            { "type": "text", "text": "is 2." },
        ])
    };
    let part = |content: Value| event(&json!({ "choices": [{ "delta": { "content": content } }] }));
    vec![
        // The provider reports that its answer has failed.
        (
            "abort",
            vec![chunk("Half of", None), ends(" it", "abort", json!({})), done()],
            failed("Half of"),
        ),
        (
            "error",
            vec![
                chunk("Half of", None),
                ends("", "error", json!({ "error": { "code": 502, "message": "gone" } })),
                done(),
            ],
            failed("Half of"),
        ),
        (
            "insufficient_system_resource",
            vec![
                chunk("Half of", None),
                ends(" it", "insufficient_system_resource", json!({})),
                done(),
            ],
            failed("Half of"),
        ),
        (
            "a whole reply that failed",
            vec![Bytes::from(whole(json!({ "content": "Half of it" }), "error").to_string())],
            failed(""),
        ),
        (
            "an event named error",
            vec![
                chunk("Half of", None),
                raw("event:error\ndata:{\"message\":\"gone\",\"code\":502}\n\n"),
                done(),
            ],
            failed("Half of"),
        ),
        (
            "an object named error",
            vec![
                chunk("Half of", None),
                event(&json!({ "object": "error", "message": "out of memory", "code": 500 })),
                done(),
            ],
            failed("Half of"),
        ),
        (
            "a native reason that failed",
            vec![ends("", "stop", json!({ "native_finish_reason": "network_error" })), done()],
            failed(""),
        ),
        // The provider has cut its answer short.
        (
            "MAX_TOKENS",
            vec![chunk("Cut by its", None), ends(" length", "MAX_TOKENS", json!({})), done()],
            said("Cut by its length", "length"),
        ),
        (
            "incomplete",
            vec![chunk("Cut by its", None), ends(" length", "incomplete", json!({})), done()],
            said("Cut by its length", "length"),
        ),
        (
            "model_length",
            vec![chunk("Cut by its", None), ends(" length", "model_length", json!({})), done()],
            said("Cut by its length", "length"),
        ),
        // Fields with unexpected types.
        (
            "a list of parts",
            vec![
                part(json!([thinking()[0]])),
                part(json!("The")),
                part(json!([{ "type": "text", "text": " sum" }])),
                part(json!([thinking()[2]])),
                ends(" is 2.", "stop", json!({})),
                done(),
            ],
            said("The sum is 2.", "stop"),
        ),
        (
            "a whole list of parts",
            vec![Bytes::from(whole(json!({ "content": thinking() }), "stop").to_string())],
            said("The sum is 2.", "stop"),
        ),
        (
            "no list of choices",
            vec![
                chunk("Hello.", None),
                ends("", "stop", json!({})),
                event(&json!({ "choices": null, "usage": of_tokens(3, 2) })),
                done(),
            ],
            used("Hello.", "stop", [3, 0, 2]),
        ),
        (
            "other types",
            vec![
                event(&json!({
                    "model": 7, "error": "", "system_fingerprint": [],
                    "choices": [{ "index": "0", "delta": { "content": "Hel", "tool_calls": "none" }, "finish_reason": {} }],
                })),
                event(
                    &json!({ "choices": [{ "delta": { "content": "lo.", "role": 7 }, "finish_reason": "" }], "usage": "many" }),
                ),
                event(
                    &json!({ "choices": [{ "delta": 7, "finish_reason": "stop" }], "usage": { "prompt_tokens": "3", "completion_tokens": 2.0 } }),
                ),
                done(),
            ],
            used("Hello.", "stop", [3, 0, 2]),
        ),
        // Events in every notation that the standard allows. They are read as leniently as OpenAI's
        // SDKs read them.
        (
            "no last blank line",
            vec![chunk("Hello", None), {
                let last = ends(".", "stop", json!({}));
                last.slice(..last.len() - 2)
            }],
            said("Hello.", "stop"),
        ),
        (
            "no blank lines",
            {
                let all =
                    [chunk("Hel", None), chunk("lo.", None), ends("", "stop", json!({})), done()];
                let all = String::from_utf8(all.concat()).unwrap().replace("\n\n", "\n");
                vec![all.into()]
            },
            said("Hello.", "stop"),
        ),
        (
            "halves of a character",
            vec![
                raw(r#"data: {"choices":[{"index":0,"delta":{"content":"Hi \ud83d"}}]}"#),
                raw("\n\n"),
                raw(
                    r#"data: {"choices":[{"index":0,"delta":{"content":"\ude00!"},"finish_reason":"stop"}]}"#,
                ),
                raw("\n\n"),
                done(),
            ],
            said("Hi 😀!", "stop"),
        ),
        (
            "bytes that are not UTF-8",
            vec![
                Bytes::from_static(
                    b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi \xf0\x9f!\"}}]}\n\n",
                ),
                ends("", "stop", json!({})),
                done(),
            ],
            said("Hi \u{fffd}!", "stop"),
        ),
        (
            "other lines",
            vec![
                raw("retry: soon\n\n"),
                chunk("Hel", None),
                raw("keepalive\n\n: a comment\n\nevent: ping\nevent: message\n"),
                chunk("lo.", None),
                ends("", "stop", json!({})),
                done(),
            ],
            said("Hello.", "stop"),
        ),
        // The reply is streamed although the request didn't ask for a stream, or the reverse.
        ("JSON", vec![Bytes::from(hello().to_string())], said("Hello.", "stop")),
        (
            "JSON over several lines",
            vec![Bytes::from(format!("\n{}\n", serde_json::to_string_pretty(&hello()).unwrap()))],
            said("Hello.", "stop"),
        ),
        (
            "JSON and the mark of the end",
            vec![Bytes::from(format!("{}\n\n", hello())), done()],
            said("Hello.", "stop"),
        ),
        ("JSON as an event", vec![event(&hello()), done()], said("Hello.", "stop")),
        (
            "lines of JSON",
            vec![Bytes::from(format!(
                "{}\n{}\n",
                json!({ "choices": [{ "delta": { "content": "Hel" } }] }),
                json!({ "choices": [{ "delta": { "content": "lo." }, "finish_reason": "stop" }] }),
            ))],
            said("Hello.", "stop"),
        ),
        (
            "half of the lines of JSON",
            vec![Bytes::from(format!(
                "{}\n{}",
                json!({ "choices": [{ "delta": { "content": "Half of" } }] }),
                "{\"choices\": [",
            ))],
            failed("Half of"),
        ),
        // Pieces after the finish don't change the outcome.
        (
            "an error after the finish",
            vec![
                chunk("Hello.", None),
                ends("", "stop", json!({})),
                event(&json!({ "error": { "message": "late" } })),
                counts(numbers()),
                done(),
            ],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        (
            "garbage after the finish",
            vec![
                ends("Hello.", "stop", json!({})),
                counts(numbers()),
                raw("data: {\"choi\n\n"),
                raw("data: x"),
            ],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        (
            "another reason after the finish",
            vec![
                ends("Hello.", "length", json!({})),
                ends("", "error", json!({})),
                counts(numbers()),
                done(),
            ],
            used("Hello.", "length", [100, 0, 50]),
        ),
        (
            "no mark of the end",
            vec![ends("Hello.", "stop", json!({})), counts(numbers())],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        // Token counts in every field that a provider uses for them.
        (
            "numbers in the choice",
            vec![chunk("Hello.", None), ends("", "stop", json!({ "usage": numbers() })), done()],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        (
            "numbers in x_groq",
            vec![
                chunk("Hello.", None),
                event(&json!({
                    "choices": [{ "delta": {}, "finish_reason": "stop" }],
                    "x_groq": { "id": "r", "usage": numbers() },
                })),
                done(),
            ],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        (
            "numbers before zeros",
            vec![
                event(
                    &json!({ "choices": [{ "delta": { "content": "Hello." } }], "usage": numbers() }),
                ),
                event(
                    &json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": of_tokens(0, 0) }),
                ),
                done(),
            ],
            used("Hello.", "stop", [100, 0, 50]),
        ),
        (
            "DeepSeek's cache",
            vec![
                ends("Hello.", "stop", json!({})),
                counts(with(
                    numbers(),
                    json!({ "prompt_cache_hit_tokens": 80, "prompt_cache_miss_tokens": 20 }),
                )),
                done(),
            ],
            used("Hello.", "stop", [100, 80, 50]),
        ),
        (
            "Mistral's cache",
            vec![
                ends("Hello.", "stop", json!({})),
                counts(with(numbers(), json!({ "num_cached_tokens": 80 }))),
                done(),
            ],
            used("Hello.", "stop", [100, 80, 50]),
        ),
        (
            "Moonshot's cache",
            vec![
                ends("Hello.", "stop", json!({})),
                counts(with(numbers(), json!({ "cached_tokens": 80 }))),
                done(),
            ],
            used("Hello.", "stop", [100, 80, 50]),
        ),
    ]
}

/// Replies that call functions, which only OpenAI's clients can request.
fn calls() -> Vec<(&'static str, Vec<Bytes>, Got)> {
    let part = |function: Value, finish: Value| {
        let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": function });
        event(
            &json!({ "choices": [{ "delta": { "tool_calls": [call] }, "finish_reason": finish }] }),
        )
    };
    vec![
        (
            "a call without arguments",
            vec![
                part(json!({ "name": "get_weather" }), Value::Null),
                ends("", "tool_calls", json!({})),
                done(),
            ],
            Got { calls: vec![["get_weather".into(), "{}".into()]], ..said("", "tool_calls") },
        ),
        (
            "a call without a name",
            vec![
                part(json!({ "arguments": "{}" }), Value::Null),
                ends("", "tool_calls", json!({})),
                done(),
            ],
            said("", "ai_failed"),
        ),
        (
            "half of a call",
            vec![
                part(
                    json!({ "name": "get_weather", "arguments": "{\"city\": \"Par" }),
                    Value::Null,
                ),
                part(json!({ "name": "get_weather", "arguments": "is" }), json!("error")),
                done(),
            ],
            said("", "ai_failed"),
        ),
    ]
}

/// Creates a person who sends this message through an endpoint. Returns the reply's content, and
/// the person.
async fn asks(api: &Api, door: Door, message: &str) -> (Got, Person) {
    let ann = api.person("ann").await;
    let got = door.read(door.ask(&ann, "k1", message).await);
    (got, ann)
}

#[tokio::test]
async fn replies_are_read_by_what_they_are() {
    let (provider, api) = Replies::start(&[]).await;
    let everywhere = replies().into_iter().map(|reply| (reply, false));
    for ((name, bytes, expected), has_calls) in
        everywhere.chain(calls().into_iter().map(|reply| (reply, true)))
    {
        provider.to(name, bytes);
        let doors = Door::ALL.into_iter().filter(|door| door.takes_functions() || !has_calls);
        let api = &api;
        join_all(doors.map(async |door| {
            let (mut got, ann) = asks(api, door, name).await;
            let is_failed = expected.end == "ai_failed";
            let charged = GRANT - ann.balance().await;
            let stored = ann.history("").await.is(200);
            if is_failed {
                assert_eq!((charged, &stored), (0, &json!([])), "{name}, {door:?}");
                got.calls.clear();
                let text = if door.is_streamed() { expected.text.as_str() } else { "" };
                assert_eq!(
                    (got.text.as_str(), is_our_failure(&got.end)),
                    (text, true),
                    "{name}, {door:?}: {got:?}"
                );
                return;
            }
            assert_eq!(charged, price(got.usage), "{name}, {door:?}");
            if got.calls.is_empty() {
                assert_eq!(stored[0]["response"], json!(got.text), "{name}, {door:?}");
            }
            if expected.usage == [0, 0, 0] {
                assert_eq!(stored[0]["usage"]["estimated"], true, "{name}, {door:?}");
                got.usage = expected.usage;
            }
            assert_eq!(got, expected, "{name}, {door:?}");
            assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
        }))
        .await;
    }
}

/// Returns true if the code means that the AI has failed. For this failure, the Responses API uses
/// one of OpenAI's codes.
fn is_our_failure(code: &str) -> bool {
    matches!(code, "ai_failed" | "server_error")
}

#[tokio::test]
async fn finished_answers_do_not_wait_for_the_connection() {
    let (provider, api) = Replies::start(&[("AI_TIMEOUT_SECONDS", "60")]).await;
    let numbers = json!({ "prompt_tokens": 3, "completion_tokens": 2 });
    let open = Step::Waits(Duration::from_secs(60));
    let ended = Step::Sends(ends("Hello.", "stop", json!({})));
    provider.to("counted", [ended.clone(), counts(numbers).into(), open.clone()]);
    provider.to("uncounted", [ended, open]);
    let (api, began) = (&api, Instant::now());
    let asked = Door::ALL.into_iter().flat_map(|door| [(door, "counted"), (door, "uncounted")]);
    join_all(asked.map(async |(door, message)| {
        let (got, _) = asks(api, door, message).await;
        assert_eq!((got.text.as_str(), got.end.as_str()), ("Hello.", "stop"), "{door:?}");
        if message == "counted" {
            assert_eq!(got.usage, [3, 0, 2], "{door:?}");
        }
    }))
    .await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_filtered_stream_always_costs_its_usage() {
    let (provider, api) = Replies::start(&[]).await;
    let usage = json!({ "prompt_tokens": 20, "completion_tokens": 4020, "total_tokens": 4040 });
    provider.to(
        "filtered",
        [
            chunk(&"word ".repeat(20), None),
            ends("", "content_filter", json!({})),
            counts(usage),
            done(),
        ],
    );
    let streams: Vec<Door> = Door::ALL.into_iter().filter(|door| door.is_streamed()).collect();
    let api = &api;
    for _ in 0..15 {
        let ten = streams.iter().flat_map(|door| [*door; 10]);
        join_all(ten.map(async |door| {
            let (got, ann) = asks(api, door, "filtered").await;
            assert_eq!(
                (got.end.as_str(), got.usage),
                ("content_filter", [20, 0, 4020]),
                "{door:?}"
            );
            assert_eq!(ann.balance().await, GRANT - 1609, "{door:?}");
        }))
        .await;
    }
}
