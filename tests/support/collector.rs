//! An OpenTelemetry collector that stores the spans that it receives, refuses them, or never
//! replies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Longer than any work that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handle to the collector. Cloning it is cheap.
#[derive(Clone)]
pub struct Collector {
    pub url: String,
    how: CollectorMode,
    bodies: Arc<watch::Sender<Vec<String>>>,
}

/// How the collector replies to spans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CollectorMode {
    Accepts,
    Refuses,
    Hangs,
}

/// A span that the collector received.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub function: String,
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub kind: u64,
    pub from: u64,
    pub to: u64,
    pub attributes: BTreeMap<String, Value>,
    pub has_failed: bool,
}

impl Span {
    /// Returns an attribute as a string. Empty if the attribute is missing.
    pub fn says(&self, key: &str) -> &str {
        self.attributes.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Collector {
    pub async fn start(how: CollectorMode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, how, bodies: Arc::new(watch::Sender::default()) };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        collector
    }

    /// The setting that makes the product send traces to this collector.
    pub fn setting(&self) -> (&'static str, &str) {
        ("TRACES_ENDPOINT", &self.url)
    }

    /// The bodies of the requests that the collector received.
    pub fn bodies(&self) -> Vec<String> {
        self.bodies.borrow().clone()
    }

    /// The spans that the collector received.
    pub fn spans(&self) -> Vec<Span> {
        self.bodies().iter().flat_map(|body| spans(body)).collect()
    }

    /// Waits for a span that satisfies `is_meant`, and returns all spans in the first such span's
    /// trace. The root span is the last one.
    pub async fn trace(&self, is_meant: impl Fn(&Span) -> bool) -> Vec<Span> {
        let mut bodies = self.bodies.subscribe();
        let found = bodies.wait_for(|bodies| {
            bodies.iter().flat_map(|body| spans(body)).any(|span| is_meant(&span))
        });
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("no such span in {:#?}", self.spans())).unwrap();
        let spans = self.spans();
        let meant = spans.iter().find(|span| is_meant(span)).unwrap().trace.clone();
        spans.into_iter().filter(|span| span.trace == meant).collect()
    }
}

async fn take(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    assert_eq!(headers["content-type"], "application/json");
    let body = String::from_utf8(body.to_vec()).unwrap();
    collector.bodies.send_modify(|bodies| bodies.push(body));
    match collector.how {
        CollectorMode::Accepts => (StatusCode::OK, "{}"),
        CollectorMode::Refuses => (StatusCode::SERVICE_UNAVAILABLE, "too much"),
        CollectorMode::Hangs => std::future::pending().await,
    }
}

/// Parses the spans in an OTLP request. Panics if the body isn't OTLP.
fn spans(body: &str) -> Vec<Span> {
    let request: Value = serde_json::from_str(body).unwrap();
    let [resource] = request["resourceSpans"].as_array().unwrap().as_slice() else {
        panic!("{request}")
    };
    let of = attributes(&resource["resource"]["attributes"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = |key: &str| of.get(key).map(text).unwrap_or_default();
    let nanos = |value: &Value| text(value).parse().unwrap();
    let span = |span: &Value| Span {
        service: named("service.name"),
        function: named("faas.name"),
        trace: text(&span["traceId"]),
        id: text(&span["spanId"]),
        parent: span["parentSpanId"].as_str().map(str::to_owned),
        name: text(&span["name"]),
        kind: span["kind"].as_u64().unwrap(),
        from: nanos(&span["startTimeUnixNano"]),
        to: nanos(&span["endTimeUnixNano"]),
        attributes: attributes(&span["attributes"]),
        has_failed: span["status"]["code"] == 2,
    };
    let scopes = resource["scopeSpans"].as_array().unwrap();
    scopes.iter().flat_map(|scope| scope["spans"].as_array().unwrap()).map(span).collect()
}

/// Parses attributes. Whole numbers become strings.
fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let attribute = |one: &Value| {
        let value = one["value"].as_object().unwrap().values().next().unwrap().clone();
        (one["key"].as_str().unwrap().to_owned(), value)
    };
    list.as_array().unwrap().iter().map(attribute).collect()
}
