//! Each failure in each format. Clients rely on the statuses, headers, documents and events.

use std::future::pending;
use std::time::Duration;

use functions::ROUTES;
use futures_util::StreamExt;
use lambda_http::RequestExt;
use shared::config::{ClientStatuses, EdgeConfig};
use shared::error::{Failure, FieldErrors, NextAllowance, TokenFault, TooLong};
use shared::http::{Body, HeaderMap, HeaderValue, Method, Response, Route, edge, events};
use shared::values::Limit;
use shared::{Credits, Error, Request};

use crate::support::document::stated;
use crate::support::recorded::assert_recorded;

/// The recorded table of failures. Each row contains a reply, and the event that ends a stream.
const FAILURES: &str = "tests/recorded/failure_formats.tsv";

/// The recorded table of replies from the edge, with the headers for each kind of client.
const EDGE: &str = "tests/recorded/failures_at_the_edge.tsv";

/// A path for each format.
const PATHS: [&str; 7] = [
    "/api/chat/stream",
    "/api/chat",
    "/api/login",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/messages",
];

/// Fields whose names differ between APIs or are also members of a document, and some others.
const FIELDS: [&str; 20] = [
    "cost",
    "error",
    "errors",
    "input",
    "input[0].content",
    "max_tokens",
    "message",
    "messages",
    "messages[0].content",
    "model",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stop",
    "thinking",
    "title",
    "tokens_left",
    "tools",
    "username",
    "verbosity",
];

/// Statuses that an operator has chosen.
const CHOSEN: ClientStatuses = ClientStatuses { message: 201, balance: 403, login: 400 };

fn route(path: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.path == path).unwrap()
}

/// Returns each failure's example, and failures with other details.
fn failures() -> Vec<(String, Error)> {
    let stated = stated(&[]);
    let examples = Failure::all().iter().map(|failure| {
        (failure.name().to_owned(), stated.example(*failure, route("/api/chat/stream")))
    });
    let credits = |amount| Credits::new(amount).unwrap();
    let empty = |next, advice: Option<&str>| Error::InsufficientTokens {
        cost: credits(100),
        balance: credits(7),
        held: credits(3),
        by_usage: None,
        next,
        advice: advice.map(str::to_owned),
    };
    let (tokens, day) = (credits(1000), shared::clock::Day::parse("2027-01-01").unwrap());
    let next = Some(NextAllowance { tokens, day });
    let mut several = FieldErrors::default();
    for number in 0..12 {
        several.note(&format!("messages[{number}]"), "This is wrong.");
        several.note("stop", format!("Wrong {number}."));
    }
    let mut others = vec![
        ("no balance", empty(None, None)),
        ("no balance until a day", empty(next, Some("Buy more."))),
        ("no quota", Error::OutOfQuota(Box::new(empty(next, None)))),
        ("prompt too long", Error::PromptTooLong(None)),
        ("longer", Error::PromptTooLong(Some(TooLong { bytes: 800_004, most: 400_000 }))),
        ("no model", Error::NoSuchModel(None)),
        ("no model x", Error::NoSuchModel(Some("x".into()))),
        ("at once", Error::TooManyChats(Limit::at_once("chats", 1))),
        ("several fields", several.into_error()),
        ("no fields", FieldErrors::default().into_error()),
        ("internal", Error::Internal("x".into())),
        ("unavailable", Error::Unavailable("x".into())),
    ];
    others.extend(
        [
            ("unknown token", TokenFault::Unknown),
            ("expired token", TokenFault::Expired),
            ("other token", TokenFault::OtherType),
            ("ended token", TokenFault::Ended),
            ("bad header", TokenFault::Header),
        ]
        .map(|(name, fault)| (name, Error::InvalidToken(fault))),
    );
    let others = others.into_iter().map(|(name, error)| (name.to_owned(), error));
    let fields = FIELDS.map(|name| (format!("field {name}"), Error::field(name, "None.")));
    examples.chain(others).chain(fields).collect()
}

/// Returns the status, the sorted headers and the body.
async fn shown(response: Response<Body>) -> String {
    let (head, body) = response.into_parts();
    format!("{}\t{}\t{}", head.status.as_u16(), listed(&head.headers), body.text().await)
}

fn listed(headers: &HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| match name.as_str() {
            "openai-processing-ms" => format!("{name}: …"),
            _ => format!("{name}: {}", value.to_str().unwrap()),
        })
        .collect();
    lines.sort_unstable();
    lines.join(" | ")
}

/// Returns the event that ends a stream with this failure.
async fn ending(route: &Route, error: Error) -> String {
    let silence = Duration::from_secs(60);
    let stream = events(&Request::default(), route.failures, silence, async move |events| {
        events.fail(&error).await
    });
    stream.unwrap().into_body().text().await.replace('\n', "\\n")
}

/// Returns the sign that a stream is alive after its first event.
async fn sign_of_life(route: &Route) -> String {
    let silence = Duration::from_millis(1);
    let stream = events(&Request::default(), route.failures, silence, async |events| {
        events.send_data("1").await?;
        pending().await
    });
    let Body::Pieces(mut pieces) = stream.unwrap().into_body() else { panic!("no stream") };
    pieces.next().await.unwrap().unwrap();
    pieces.next().await.unwrap().unwrap().replace('\n', "\\n")
}

#[tokio::test]
async fn failures_keep_their_recorded_formats() {
    let mut rows = vec!["path\tfailure\tstatus\theaders\tbody\tevent".to_owned()];
    for path in PATHS {
        let route = route(path);
        rows.push(format!("{path}\tsign of life\t\t\t\t{}", sign_of_life(route).await));
        for (name, error) in failures() {
            let usual = route.failures.reply(&error, "r", ClientStatuses::default());
            let usual = shown(usual).await;
            let chosen = shown(route.failures.reply(&error, "r", CHOSEN)).await;
            let row = format!("{path}\t{name}");
            if usual != chosen {
                rows.push(format!("{row}, chosen status\t{chosen}\t"));
            }
            rows.push(format!("{row}\t{usual}\t{}", ending(route, error).await));
        }
    }
    assert_recorded(FAILURES, &(rows.join("\n") + "\n"));
}

/// Sends a request to the edge, in front of a handler that fails. An unknown path gets the reply of
/// the function that serves unknown paths.
async fn at_the_edge(method: Method, path: &str, other_header: Option<&'static str>) -> String {
    let mut request = Request::default().with_raw_http_path(path);
    *request.method_mut() = method;
    let headers = request.headers_mut();
    headers.insert("origin", HeaderValue::from_static("https://a.test"));
    if let Some(name) = other_header {
        headers.insert(name, HeaderValue::from_static("1"));
    }
    let config = EdgeConfig {
        body_limit: 100,
        v1_body_limit: 200,
        allowed_origins: vec!["https://a.test".into()],
        statuses: ClientStatuses::default(),
    };
    let handle = async |_| Err(Error::NotAuthenticated);
    let routes = match ROUTES.iter().any(|route| route.path == path) {
        true => ROUTES,
        false => functions::routes_of!("not_found"),
    };
    shown(edge::answer(routes, handle, &config, None, request).await).await
}

#[tokio::test]
async fn the_edge_sends_each_client_its_recorded_headers() {
    let mut rows = vec!["request\tstatus\theaders\tbody".to_owned()];
    let others = ["/v1/models", "/v1/models/x", "/v1/nothing", "/v1", "/api/nothing", "/nothing"];
    for path in PATHS.into_iter().chain(others) {
        let known = ROUTES.iter().find(|route| route.path == path);
        let method = known.map_or("GET", |route| route.method);
        for method in [method, "PUT", "OPTIONS"] {
            for header in [None, Some("anthropic-version")] {
                let as_method = Method::from_bytes(method.as_bytes()).unwrap();
                let reply = at_the_edge(as_method, path, header).await;
                let header = header.map(|name| format!(" with {name}")).unwrap_or_default();
                rows.push(format!("{method} {path}{header}\t{reply}"));
            }
        }
    }
    assert_recorded(EDGE, &(rows.join("\n") + "\n"));
}
