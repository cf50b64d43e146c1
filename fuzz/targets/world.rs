//! The environment of every fuzz target: functions that use an embedded DynamoDB, and a user who
//! has an account in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use emulator::dynamo::Data;
use local::server::Server;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::http::{Body, Response};
use shared::values::Account;
use shared::{App, Request};
use tokio::runtime::Runtime;

/// The runtime that drives all futures.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The server that all inputs of a run share.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let settings = HashMap::from([("AI_PROVIDER", "scripted"), ("AI_TIMEOUT_SECONDS", "1")]);
    let lookup = |name: &str| settings.get(name).map(|value| (*value).to_owned());
    RUNTIME.block_on(Server::start(0, &Data::Memory, Clock::default(), lookup)).expect("a server")
});

/// A user with an account.
pub struct Person {
    /// The reply to the registration.
    pub registered: Value,
    /// The account in the store.
    pub account: Account,
}

/// The user Ann.
pub static ANN: LazyLock<Person> = LazyLock::new(|| {
    let body =
        json!({ "username": "ann", "email": "ann@example.com", "password": "correct horse" })
            .to_string();
    let event = event(
        "POST",
        "/api/register",
        &[("content-type".into(), "application/json".into())],
        &[],
        &body,
        false,
    );
    let reply = answer("register", &event).expect("an event");
    let text = RUNTIME.block_on(reply.into_body().text());
    let account = RUNTIME.block_on(app("register").store.account_named("ann"));
    Person {
        registered: serde_json::from_str(&text).expect("JSON"),
        account: account.expect("a store").expect("an account"),
    }
});

/// Returns the `App` of a function.
pub fn app(function: &str) -> &'static App {
    &SERVER.apps[function]
}

/// Builds a REST API's event.
pub fn event(
    method: &str,
    path: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    body: &str,
    base64: bool,
) -> String {
    let map = |pairs: &[(String, String)]| {
        Value::Object(pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
    };
    let lists = |pairs: &[(String, String)]| {
        Value::Object(pairs.iter().map(|(name, value)| (name.clone(), json!([value]))).collect())
    };
    let event = json!({
        "resource": path, "path": path, "httpMethod": method,
        "headers": map(headers), "multiValueHeaders": lists(headers),
        "queryStringParameters": map(query), "multiValueQueryStringParameters": lists(query),
        "pathParameters": null, "stageVariables": null,
        "requestContext": { "stage": "live", "httpMethod": method, "identity": { "sourceIp": "203.0.113.7" }, "requestId": "r" },
        "body": body, "isBase64Encoded": base64,
    });
    event.to_string()
}

/// Returns a function's reply to an event, or `None` if lambda_http can't read the event.
pub fn answer(function: &str, event: &str) -> Option<Response<Body>> {
    let ends = SERVER.clock.millis() + 28_000;
    let request: Request = emulator::gateway::request(event, function, ends)?;
    Some(RUNTIME.block_on(SERVER.functions[function].answer(request)))
}
