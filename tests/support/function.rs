//! The functions of a server without HTTP: over a connection to the store that a test can watch and
//! break, and with events as API Gateway sends them.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryPartition;
use functions::{Function, ROUTES};
use lambda_http::http::HeaderMap;
use lambda_http::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use shared::App;
use shared::aws::{self, Endpoint};
use shared::http::{Body, Response};
use shared::store::Store;

use crate::support::client::Api;
use crate::support::permissions::PermissionCheck;
use crate::support::proxy::Lane;

/// The time of the function `chat`. (Other functions have less, but in the tests a hundred wait for
/// each other's password hashes.)
pub const TIME: Duration = Duration::from_secs(28);

impl Api {
    /// The [`App`] of a function over a lane of the wire. The SDK counts the retries of this lane
    /// apart from those of other lanes.
    pub fn app_over(&self, function: &str, lane: &Lane) -> App {
        app_with_store(&self.server().apps[function], &lane.url, client())
    }

    /// The same for an endpoint, ready to answer. It panics at a call that the template doesn't
    /// allow it.
    pub fn function_over(&self, endpoint: &str, lane: &Lane) -> Function {
        let server = self.server();
        let client = client().interceptor(PermissionCheck(endpoint.to_owned()));
        server.functions[endpoint].with_app(app_with_store(
            &server.apps[endpoint],
            &lane.url,
            client,
        ))
    }
}

/// The client of a lane, with the time-outs that calls of AWS have.
fn client() -> aws_sdk_dynamodb::config::Builder {
    let retries = RetryPartition::custom("a lane").build();
    let client = aws_sdk_dynamodb::Config::from(&aws::emulated()).to_builder();
    client.retry_partition(retries).timeout_config(aws::timeouts())
}

/// The same `App` with another client for the store, at this URL.
pub fn app_with_store(app: &App, url: &str, client: aws_sdk_dynamodb::config::Builder) -> App {
    let mut config = (*app.config).clone();
    config.dynamodb_endpoint = Endpoint::parse(url);
    App { store: Store::with_client(client, &config), config: Arc::new(config), ..app.clone() }
}

/// What API Gateway sends to an endpoint for a request with this path, which may have a query.
/// `Null` is no body.
pub fn event(endpoint: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let route = ROUTES.iter().find(|route| route.endpoint == endpoint);
    let method = route.unwrap_or_else(|| panic!("no endpoint {endpoint}")).method;
    let mut event = json!({
        "resource": path, "path": path, "httpMethod": method, "queryStringParameters": {},
        "headers": { "host": "x", "content-type": "application/json" },
        "requestContext": {
            "domainName": "x", "stage": "live", "httpMethod": method, "identity": {},
        },
        "body": if body.is_null() { Value::Null } else { body.to_string().into() },
        "isBase64Encoded": false,
    });
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        event["queryStringParameters"][name] = json!(value);
    }
    for (name, value) in headers {
        event["headers"][*name] = json!(value);
    }
    event
}

/// Gives an event to a function that has this time to answer.
pub async fn invoke(function: &Function, event: &Value, time: Duration) -> Response<Body> {
    function.answer(request(function, event, time)).await
}

/// The request that a function gets for an event.
pub fn request(function: &Function, event: &Value, time: Duration) -> shared::Request {
    let now = function.app().map(|app| app.clock).unwrap_or_default().millis();
    let ends = now + u64::try_from(time.as_millis()).unwrap();
    emulator::gateway::request(&event.to_string(), "a test", ends).unwrap()
}

/// Sends one request to a function, and reads its reply: of a stream the last event.
pub async fn ask(
    function: &Function,
    endpoint: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    let event = event(endpoint, path, headers, &body);
    match tokio::time::timeout(TIME, invoke(function, &event, TIME)).await {
        Ok(response) => Reply::of(response).await.at_its_end(),
        Err(_) => Reply {
            status: 504,
            headers: HeaderMap::new(),
            body: json!({ "detail": "the function ran out of time" }),
        },
    }
}

/// The reply of a function.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

impl Reply {
    /// The whole reply. A body that isn't JSON is a text.
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let text = body.text().await;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A stream as if it were its last event, with the status of that.
    pub fn at_its_end(mut self) -> Self {
        let Some((before, last)) = self.body.as_str().and_then(|text| text.rsplit_once("data: "))
        else {
            return self;
        };
        let failed = before.ends_with("event: error\n");
        self.body = serde_json::from_str(last).unwrap();
        if failed {
            self.status = u16::try_from(self.body["status"].as_u64().unwrap()).unwrap();
            let wait = self.body["retry_after"].as_u64();
            self.headers.extend(wait.map(|seconds| (RETRY_AFTER, seconds.into())));
        }
        self
    }

    /// The code of a failure, or an empty text.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Whether it is the recorded reply to an earlier request with the same key.
    pub fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }
}
