//! Traces of requests and scheduled work. If the collector fails, requests must neither fail nor be
//! delayed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept};
use aws_sdk_dynamodb::error::BoxError;
use reqwest::Method;
use serde_json::{Value, json};
use shared::aws;

use crate::support::client::{Api, Person};
use crate::support::collector::{Collector, CollectorMode, Span};
use crate::support::function::{self, event};
use crate::support::lambda::{Instance, Log, TRACE};
use crate::support::log;
use crate::support::program::{RunningServer, command};

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// The ids of a caller's trace and span.
const CALLERS: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let named: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = named.as_slice() else { panic!("{name}: {spans:#?}") };
    span
}

/// The request's span and the spans within it. Asserts that the spans' ids, parents and times are
/// consistent.
fn within(spans: &[Span]) -> (&Span, &[Span]) {
    let (root, within) = spans.split_last().unwrap();
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "each has an id of its own");
    for span in within {
        assert_eq!(span.parent.as_ref(), Some(&root.id), "{span:?}");
        assert!(root.from <= span.from && span.from <= span.to && span.to <= root.to, "{span:?}");
    }
    (root, within)
}

/// The names of the calls that a chat makes to the store and the AI. Reads of the public keys are
/// left out, because an instance reads them only when a JWT has an unknown key.
fn names(calls: &[Span]) -> Vec<&str> {
    calls.iter().map(|span| span.name.as_str()).filter(|name| *name != "Scan KeysTable").collect()
}

#[tokio::test]
async fn a_chat_is_one_trace_with_its_id_in_the_log() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting()]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.chat("hi").await.is(200);
    let spans = collector.trace(|span| span.name == "POST /api/chat").await;
    let (root, calls) = within(&spans);
    assert_eq!((root.kind, root.parent.as_ref(), root.has_failed), (SERVER, None, false));
    assert_eq!((root.service.as_str(), root.function.as_str()), ("farebox", "chat"));
    assert_eq!(root.says("http.request.method"), "POST");
    assert_eq!(root.says("http.route"), "/api/chat");
    assert_eq!(root.says("http.response.status_code"), "200");
    assert_eq!(root.says("faas.trigger"), "http");
    assert_eq!(root.attributes["faas.coldstart"], json!(true));

    assert_eq!(names(calls), ["UpdateItem UsersTable", "chat scripted", "TransactWriteItems"]);
    assert!(calls.iter().all(|span| span.kind == CLIENT && !span.has_failed));
    for (name, operation) in
        [("UpdateItem UsersTable", "UpdateItem"), ("TransactWriteItems", "TransactWriteItems")]
    {
        let call = named(&spans, name);
        assert_eq!(call.says("db.system.name"), "aws.dynamodb");
        assert_eq!(call.says("db.operation.name"), operation);
        assert_eq!(call.says("http.response.status_code"), "200");
    }
    let ai = named(&spans, "chat scripted");
    assert_eq!(ai.says("gen_ai.operation.name"), "chat");
    assert_eq!(ai.says("gen_ai.provider.name"), "scripted");
    assert_eq!(ai.says("gen_ai.request.model"), "scripted");
    assert_eq!(ai.says("gen_ai.response.model"), "scripted");

    let text = log::text();
    let lines = text.lines().filter(|line| line.contains("status=200"));
    for line in lines {
        assert!(line.contains(&format!("trace_id=\"{}\"", root.trace)), "{line}");
    }
    assert_eq!(root.trace.len(), 32);

    // The instance's next request has a different trace.
    ann.chat("again").await.is(200);
    let again = collector.trace(|span| span.name == "POST /api/chat" && span.trace != root.trace);
    let again = again.await;
    assert_eq!(again.last().unwrap().attributes["faas.coldstart"], json!(false));
}

#[tokio::test]
async fn traces_of_streams_end_with_the_stream() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting()]).await;
    let ann = api.person("ann").await;
    ann.post("/api/chat/stream", json!({ "message": "!words 20 one two three" })).await.is(200);
    let spans = collector.trace(|span| span.name == "POST /api/chat/stream").await;
    let (root, calls) = within(&spans);
    assert_eq!((root.says("http.response.status_code"), root.has_failed), ("200", false));
    assert_eq!(names(calls), ["UpdateItem UsersTable", "chat scripted", "TransactWriteItems"]);
}

#[tokio::test]
async fn failures_are_recorded_in_their_span() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting(), ("AI_PROVIDER", "scripted,echo")]).await;
    let ann = api.person("ann").await;
    ann.chat("!overloaded").await.is(200);
    let spans = collector.trace(|span| span.name == "POST /api/chat").await;
    let (root, _) = within(&spans);
    assert!(!root.has_failed);
    let (failed, answered) = (named(&spans, "chat scripted"), named(&spans, "chat echo"));
    assert_eq!((failed.has_failed, failed.says("error.type")), (true, "overloaded"));
    assert_eq!((answered.has_failed, answered.says("error.type")), (false, ""));

    // A failed condition is a normal reply from the store, and a refused request isn't a server
    // error.
    ann.has_left(0).await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    let spans = collector.trace(|span| span.says("http.response.status_code") == "402").await;
    let (root, _) = within(&spans);
    assert_eq!((root.has_failed, root.says("error.type")), (false, "insufficient_tokens"));
    let reserve = named(&spans, "UpdateItem UsersTable");
    let code = reserve.says("db.response.status_code");
    assert_eq!((reserve.has_failed, code), (false, "ConditionalCheckFailedException"));

    let (api, ann) = Api::without_a_store().await;
    let api = api.beside(&[collector.setting()]).await;
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str())];
    api.send(Method::GET, "/api/tokens/", &headers, None).await.is(503);
    let spans = collector.trace(|span| span.says("http.response.status_code") == "503").await;
    let (root, calls) = within(&spans);
    assert_eq!((root.has_failed, root.says("error.type")), (true, "unavailable"));
    assert!(calls.iter().any(|call| call.has_failed), "{calls:#?}");
}

/// Counts calls to the store.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<AtomicUsize>);

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// How many calls to the store a chat makes.
async fn calls_of_a_chat(api: &Api, ann: &Person) -> usize {
    let calls = Calls::default();
    let client = aws_sdk_dynamodb::Config::from(&aws::emulated()).to_builder();
    let app = function::app_with_store(
        &api.server().apps["chat"],
        &api.dynamodb,
        client.interceptor(calls.clone()),
    );
    let chat = api.server().functions["chat"].with_app(app);
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str())];
    let reply = function::ask(&chat, "chat", "/api/chat", &headers, json!({ "message": "hi" }));
    assert_eq!(reply.await.status, 200);
    calls.0.load(Ordering::Relaxed)
}

#[tokio::test]
async fn tracing_needs_a_collector_and_adds_no_store_calls() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    assert_eq!(calls_of_a_chat(&api, &ann).await, 2);
    assert!(api.server().apps.values().all(|app| app.traces.is_none()));
    assert!(!log::text().contains("trace_id"), "{}", log::text());
    assert_eq!(collector.bodies(), Vec::<String>::new());

    let api = api.beside(&[collector.setting()]).await;
    assert_eq!(calls_of_a_chat(&api, &ann).await, 2);
    collector.trace(|span| span.name == "POST /api/chat").await;
}

#[tokio::test]
async fn unsampled_traces_are_not_sent_but_have_an_id_in_the_log() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting(), ("TRACES_SAMPLING", "0")]).await;
    log::clear();
    let callers = format!("00-{}-{}-01", CALLERS.0, CALLERS.1);
    let headers = [("traceparent", callers.as_str())];
    api.send(Method::GET, "/api/health/", &headers, None).await.is(200);
    assert!(log::text().contains(&format!("trace_id=\"{}\"", CALLERS.0)), "{}", log::text());
    assert_eq!(collector.bodies(), Vec::<String>::new(), "the caller's flag records nothing");
}

#[tokio::test]
async fn valid_traceparents_are_continued_and_hostile_ones_ignored() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting()]).await;
    let asked = async |headers: &[(&str, &str)]| {
        let known: BTreeSet<String> = collector.spans().into_iter().map(|span| span.id).collect();
        api.send(Method::GET, "/api/health/", headers, None).await.is(200);
        let is_new = |span: &Span| span.name == "GET /api/health" && !known.contains(&span.id);
        let spans = collector.trace(is_new).await;
        spans.into_iter().rfind(is_new).unwrap()
    };
    let valid = format!("00-{}-{}-01", CALLERS.0, CALLERS.1);
    let continued = asked(&[("traceparent", valid.as_str())]).await;
    assert_eq!(
        (continued.trace.as_str(), continued.parent.as_deref()),
        (CALLERS.0, Some(CALLERS.1))
    );
    let with_state = [("traceparent", valid.as_str()), ("tracestate", "a=\"}],\"injected")];
    assert_eq!(asked(&with_state).await.trace, CALLERS.0);

    log::clear();
    for hostile in [
        "00-\",\"name\":\"injected\"-00f067aa0ba902b7-01",
        &valid.replace('4', "G"),
        &valid.to_uppercase(),
        &format!("{valid}-injected"),
        &"0".repeat(8000),
        "00-00000000000000000000000000000000-0000000000000000-01",
        "",
    ] {
        let own = asked(&[("traceparent", hostile)]).await;
        assert_eq!((own.trace.len(), own.parent), (32, None), "{hostile}");
        assert!(own.trace != CALLERS.0, "{hostile}");
    }
    let seen = collector.bodies().concat() + &log::text();
    assert!(!seen.contains("injected"), "{seen}");

    // The caller can ask the API not to record a request.
    let recorded = || {
        let spans = collector.spans();
        spans.iter().filter(|span| span.name == "GET /api/health").count()
    };
    let before = recorded();
    let unrecorded = format!("00-{}-{}-00", CALLERS.0, CALLERS.1);
    let headers = [("traceparent", unrecorded.as_str())];
    api.send(Method::GET, "/api/health/", &headers, None).await.is(200);
    assert_eq!(recorded(), before);
}

#[tokio::test]
async fn failing_collectors_fail_no_request_and_are_logged_once() {
    let collector = Collector::start(CollectorMode::Refuses).await;
    let api = Api::own(&[collector.setting()]).await;
    for _ in 0..5 {
        api.get("/api/health/").await.is(200);
    }
    for scheduled in ["sweep", "erase"] {
        collector.trace(|span| span.function == scheduled).await;
    }
    // The collector's last reply may not have arrived yet.
    let lines = async {
        while log::text().matches("traces can't be sent").count() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lines).await.unwrap();
    assert_eq!(log::text().matches("traces can't be sent").count(), 3, "{}", log::text());
    assert!(log::text().contains("status 503"), "{}", log::text());
}

#[tokio::test]
async fn slow_or_missing_collectors_delay_no_reply() {
    let hanging = Collector::start(CollectorMode::Hangs).await;
    // Nothing listens on this port.
    for endpoint in [hanging.url.as_str(), "http://127.0.0.1:1"] {
        let api = Api::own(&[("TRACES_ENDPOINT", endpoint)]).await;
        let began = Instant::now();
        api.get("/api/health/").await.is(200);
        // A request that waited for the export's time-out would take five seconds.
        assert!(began.elapsed() < Duration::from_secs(4), "{endpoint}: {:?}", began.elapsed());
        for _ in 0..20 {
            api.get("/api/health/").await.is(200);
        }
    }
    let spans = hanging.spans();
    let requests = spans.iter().filter(|span| span.name == "GET /api/health").count();
    assert!((1..=16).contains(&requests), "{requests} at once");
}

#[tokio::test]
async fn spans_have_only_documented_attributes_and_no_secrets() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting()]).await;
    let address = "Very.Private@example.com";
    let body = json!({ "username": "privateer", "email": address, "password": "private-password" });
    let ann = api.person_with(body).await;
    ann.log_in().await.is(200);
    ann.chat("a private message").await.is(200);
    ann.chat("!fail private").await.expect(502, "ai_failed");
    ann.post("/api/chat/stream", json!({ "message": "!words private words" })).await.is(200);
    let wrong = json!({ "username": "privateer", "password": "wrong-private-password" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
    api.get("/api/private-path/private@example.com?token=private").await.is(404);
    let administrator = api.administrator("root").await;
    let bearer = administrator.bearer();
    let headers = [("authorization", bearer.as_str()), ("user-agent", "private")];
    api.send(Method::GET, "/api/admin/users/?q=private", &headers, None).await.is(200);
    let user = format!("/api/admin/users/{}/", ann.id);
    api.send(Method::GET, &user, &headers, None).await.is(200);
    api.mails_to(address, 1).await;
    for function in ["mail", "admin_user"] {
        collector.trace(|span| span.function == function).await;
    }
    let seen = collector.bodies().concat();
    let secret = api.signing_secret();
    for private in
        ["rivate", "example.com", ann.id.as_str(), &ann.access, &ann.refresh, &ann.token, &secret]
    {
        assert!(!seen.contains(private), "{private} in {seen}");
    }

    let text = include_str!("../../docs/operate/observe.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Traces\n")).unwrap();
    let spans = collector.spans();
    let keys: BTreeSet<&String> = spans.iter().flat_map(|span| span.attributes.keys()).collect();
    assert!(keys.len() >= 15, "{keys:?}");
    for key in keys {
        assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
    }
}

#[tokio::test]
async fn scheduled_work_and_e_mails_have_their_own_traces() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[collector.setting()]).await;
    let address = "ann@example.com";
    let body = json!({ "username": "ann", "email": address, "password": "secret123" });
    api.register(body).await.is(201);
    api.mails_to(address, 1).await;
    for (function, trigger) in [("sweep", "timer"), ("erase", "timer"), ("mail", "datasource")] {
        let is_whole = |span: &Span| span.function == function && span.name == function;
        let spans = collector.trace(is_whole).await;
        let (root, calls) = within(&spans);
        assert_eq!((root.says("faas.trigger"), root.parent.as_ref()), (trigger, None));
        assert!(!calls.is_empty() && !root.has_failed, "{spans:#?}");
    }
}

#[tokio::test]
async fn lambda_functions_continue_the_lambda_trace() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let api = Api::own(&[]).await;
    let store = ("DYNAMODB_ENDPOINT", api.dynamodb.as_str());
    let log = Log::new();
    let mut function = Instance::logging("health", &[store, collector.setting()], &log).await;
    function.takes(&event("health", "/api/health", &[], &Value::Null));
    assert_eq!(function.answers().await.status, 200);
    let spans = collector.trace(|span| span.function == "health").await;
    let (root, _) = within(&spans);
    assert_eq!((root.trace.as_str(), root.parent.as_ref()), (TRACE, None));
    assert_eq!((root.service.as_str(), root.function.as_str()), ("AWS::StackName", "health"));
    let lines = log.lines();
    let line = lines.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!(line["span"]["trace_id"], TRACE);

    let log = Log::new();
    let mut sweep = Instance::logging("sweep", &[store, collector.setting()], &log).await;
    assert_eq!(sweep.does(&json!({ "source": "aws.events" })).await, Value::Null);
    let spans = collector.trace(|span| span.function == "sweep").await;
    let spans: Vec<Span> = spans.into_iter().filter(|span| span.function == "sweep").collect();
    let (root, calls) = within(&spans);
    assert_eq!((root.trace.as_str(), root.says("faas.trigger")), (TRACE, "timer"));
    assert!(!calls.is_empty());
    let lines = log.lines();
    let line = lines.iter().find(|line| line["message"] == "swept").unwrap();
    assert_eq!(line["span"]["trace_id"], TRACE);
}

#[tokio::test]
async fn cargo_run_sends_traces_if_a_collector_is_set() {
    let collector = Collector::start(CollectorMode::Accepts).await;
    let mut program = command(&["--port", "0", "--memory"]);
    program.env("TRACES_ENDPOINT", &collector.url);
    let server = tokio::task::spawn_blocking(move || RunningServer::of(program)).await.unwrap();
    let ann = json!({ "username": "ann", "password": "secret123" });
    assert_eq!(server.post("/api/register", ann).await.0, 201);
    let spans = collector.trace(|span| span.name == "POST /api/register").await;
    let (_, calls) = within(&spans);
    assert!(calls.iter().any(|call| call.name == "TransactWriteItems"), "{calls:#?}");
}
