//! Replies that other projects have recorded from real providers. For each reply, a client must get
//! the same answer as a parser that shares no code with the product
//! (`scripts/check/suites/recorded-replies/read.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::endpoints::chats::fares;
use crate::endpoints::openai::completions::Program;
use crate::support::client::{Answer, Api, Person};

/// The environment variable that contains the path of the manifest. `read.py` writes the manifest.
const MANIFEST: &str = "RECORDED_REPLIES";

/// How many requests are sent at the same time.
const AT_A_TIME: usize = 6;

/// Used instead of a finish reason if the client doesn't get the answer.
const FAILED: &str = "failed";

/// A line of the manifest.
#[derive(Deserialize)]
struct Recorded {
    id: String,
    /// The provider's host, or the file's folder.
    host: String,
    /// True if `body` is an event stream.
    streamed: bool,
    /// The reply's bytes in base64.
    body: String,
    expected: Meaning,
}

/// The content of a reply, as the independent parser reads it.
#[derive(Deserialize)]
struct Meaning {
    text: String,
    calls: Vec<Call>,
    end: End,
    usage: Usage,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Call {
    name: String,
    /// The arguments as JSON. Null if they aren't JSON.
    arguments: Value,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum End {
    Complete,
    Length,
    ContentFilter,
    Failed,
}

/// The token counts in a reply. `None` if the reply lacks the count.
#[derive(Deserialize)]
struct Usage {
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: u64,
    reasoning: u64,
}

/// A field whose value in an answer differs from what the independent parser read.
struct Difference<'a> {
    id: &'a str,
    asked: &'static str,
    field: &'static str,
    expected: String,
    got: String,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, asked, field, expected, got } = self;
        let same = expected.chars().zip(got.chars()).take_while(|(expected, got)| expected == got);
        let skipped = same.count().saturating_sub(20);
        let rest = |text: &str| text.chars().skip(skipped).take(300).collect::<String>();
        let (expected, got) = (rest(expected), rest(got));
        write!(f, "{id}\n  {asked}, {field}, from character {skipped}\n")?;
        write!(f, "    expected {expected}\n    got      {got}")
    }
}

/// For one host's replies, how many requests were sent and how many answers agree: first for
/// requests in the same form as the reply (streamed or whole), then for requests in the other form.
#[derive(Default)]
struct Counts {
    asked: [usize; 2],
    agree: [usize; 2],
}

impl Recorded {
    /// The request that the provider answers with the reply `number`. The request offers the
    /// functions that the reply calls.
    fn request(&self, number: usize, stream: bool) -> Value {
        let mut body = json!({
            "model": "deep", "stream": stream,
            "messages": [{ "role": "user", "content": number.to_string() }],
        });
        if stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        // A call without a name is invalid, even if the request offers functions.
        let name = |call: &Call| match call.name.as_str() {
            "" => "unnamed".to_owned(),
            name => name.to_owned(),
        };
        let names: BTreeSet<_> = self.expected.calls.iter().map(name).collect();
        if !names.is_empty() {
            let tool = |name| json!({ "type": "function", "function": { "name": name, "parameters": {} } });
            body["tools"] = names.into_iter().map(tool).collect();
        }
        body
    }

    /// Sends the request, and compares the answer with what the independent parser read.
    async fn compare(
        &self,
        number: usize,
        stream: bool,
        program: &Program,
        ann: &Person,
    ) -> Vec<Difference<'_>> {
        let answer = program.send(&[], self.request(number, stream)).await;
        let got = Got::of(&answer, stream);
        let expected = &self.expected;
        let mut differences = Vec::new();
        let mut compare = |field, expected: String, got: String| {
            if expected != got {
                let asked = if stream { "streamed" } else { "whole" };
                differences.push(Difference { id: &self.id, asked, field, expected, got });
            }
        };
        let has_failed = got.finish == FAILED;
        if has_failed && expected.end == End::Failed {
            return differences;
        }
        compare("end", expected.finish().to_owned(), got.finish + &got.failure);
        if has_failed || expected.end == End::Failed {
            return differences;
        }
        compare("text", format!("{:?}", expected.text), format!("{:?}", got.text));
        compare("calls", format!("{:?}", expected.calls), format!("{:?}", got.calls));
        let Usage { prompt, completion, cached, reasoning } = &expected.usage;
        let number = |path: &str| got.usage.pointer(path).and_then(Value::as_u64);
        for (field, expected, path) in [
            ("prompt", *prompt, "/prompt_tokens"),
            ("completion", *completion, "/completion_tokens"),
            ("cached", Some(*cached), "/prompt_tokens_details/cached_tokens"),
            ("reasoning", Some(*reasoning), "/completion_tokens_details/reasoning_tokens"),
        ] {
            if let Some(expected) = expected {
                compare(field, expected.to_string(), number(path).unwrap_or(0).to_string());
            }
        }
        let chat = ann.get(&format!("/api/chat/{}", got.chat)).await.is(200);
        let is_estimated = prompt.is_none() || completion.is_none();
        compare("estimated", is_estimated.to_string(), chat["usage"]["estimated"].to_string());
        differences
    }
}

impl Meaning {
    /// The `finish_reason` that a client gets.
    fn finish(&self) -> &'static str {
        match self.end {
            End::Complete if self.calls.is_empty() => "stop",
            End::Complete => "tool_calls",
            End::Length => "length",
            End::ContentFilter => "content_filter",
            End::Failed => FAILED,
        }
    }
}

/// An answer as a client reads it.
#[derive(Default)]
struct Got {
    text: String,
    calls: Vec<Call>,
    /// The `finish_reason`, or `failed`.
    finish: String,
    failure: String,
    usage: Value,
    /// The chat's id.
    chat: String,
}

impl Got {
    fn of(answer: &Answer, stream: bool) -> Self {
        if answer.status != StatusCode::OK {
            return Self::failed(format!(": {answer:?}"));
        }
        let chunks = if stream { chunks(answer) } else { vec![answer.body.clone()] };
        let (mut got, mut calls) = (Self::default(), Vec::<(String, String)>::new());
        for chunk in chunks {
            if !chunk["error"].is_null() {
                return Self::failed(format!(": {chunk}"));
            }
            let choice = &chunk["choices"][0];
            let message = if stream { &choice["delta"] } else { &choice["message"] };
            got.text += text(&message["content"]);
            got.text += text(&message["refusal"]);
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                if call["id"].is_string() {
                    calls.push((text(&function["name"]).to_owned(), String::new()));
                }
                calls.last_mut().unwrap().1 += text(&function["arguments"]);
            }
            got.finish += text(&choice["finish_reason"]);
            got.chat = text(&chunk["id"]).trim_start_matches("chatcmpl-").to_owned();
            if !chunk["usage"].is_null() {
                got.usage = chunk["usage"].clone();
            }
        }
        let read = |(name, arguments): (String, String)| {
            let arguments = serde_json::from_str(&arguments).unwrap_or(Value::Null);
            Call { name, arguments }
        };
        got.calls = calls.into_iter().map(read).collect();
        got
    }

    fn failed(failure: String) -> Self {
        Self { finish: FAILED.into(), failure, ..Self::default() }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The chunks of a streamed answer. Skips comments.
fn chunks(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.as_str().unwrap().lines();
    lines
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// Starts a provider that answers the message `N` with the reply `N`, and returns its URL.
async fn provider(replies: &Arc<Vec<Recorded>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(reply).with_state(replies.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn reply(State(replies): State<Arc<Vec<Recorded>>>, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        // When a function starts, it opens its connections with HEAD requests.
        return Response::default();
    };
    let message = asked["messages"].as_array().unwrap().last().unwrap();
    let reply = &replies[text(&message["content"]).parse::<usize>().unwrap()];
    let kind = if reply.streamed { "text/event-stream" } else { "application/json" };
    let bytes = Bytes::from(BASE64_STANDARD.decode(&reply.body).unwrap());
    Response::builder().header("content-type", kind).body(Body::from(bytes)).unwrap()
}

#[tokio::test]
#[ignore = "needs recorded replies: scripts/check/recorded-replies runs it"]
async fn recorded_replies_mean_what_another_reader_says() {
    let manifest = std::env::var(MANIFEST)
        .unwrap_or_else(|_| panic!("{MANIFEST} must be the path of a manifest of read.py"));
    let lines = std::fs::read_to_string(manifest).unwrap();
    let replies = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let replies: Arc<Vec<Recorded>> = Arc::new(replies);
    let api = Api::own(&[
        ("AI_PROVIDER", "openai"),
        ("OPENAI_BASE_URL", &provider(&replies).await),
        ("OPENAI_MODEL", "tiny"),
        ("AI_TIMEOUT_SECONDS", "20"),
        ("ANSWER_LIMIT", "131072"),
        ("CHATS_PER_MINUTE", "10000"),
        ("REFUNDS_PER_MINUTE", "10000"),
        ("FREE_WORK", "1000000"),
    ])
    .await;
    api.prices(&fares::list("openai")).await;
    let ann = api.person("ann").await;
    ann.has_left(1_000_000_000).await;
    let program = Program::of(&ann).await;

    let requests = (0..replies.len()).flat_map(|number| [(number, true), (number, false)]);
    let compared: Vec<_> = stream::iter(requests)
        .map(|(number, stream)| {
            let (reply, program, ann) = (&replies[number], &program, &ann);
            async move { (number, stream, reply.compare(number, stream, program, ann).await) }
        })
        .buffered(AT_A_TIME)
        .collect()
        .await;

    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for (number, stream, differences) in &compared {
        let reply = &replies[*number];
        let form = usize::from(reply.streamed != *stream);
        let counts = counts.entry(&reply.host).or_default();
        counts.asked[form] += 1;
        counts.agree[form] += usize::from(differences.is_empty());
    }
    println!("Answers that agree, in the reply's form and in the other form:");
    let mut total = Counts::default();
    for (host, Counts { asked, agree }) in counts {
        println!("{:4} of {:4} {:4} of {:4}  {host}", agree[0], asked[0], agree[1], asked[1]);
        for form in [0, 1] {
            total.asked[form] += asked[form];
            total.agree[form] += agree[form];
        }
    }
    let Counts { asked, agree } = total;
    println!("{:4} of {:4} {:4} of {:4}  in total", agree[0], asked[0], agree[1], asked[1]);
    let differences: Vec<_> = compared.iter().flat_map(|(_, _, differences)| differences).collect();
    differences.iter().for_each(|difference| println!("{difference}"));
    assert!(differences.is_empty(), "{} differences", differences.len());
}
