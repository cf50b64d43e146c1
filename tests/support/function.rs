//! A server's functions without HTTP. Tests send them API Gateway events, and can watch and break
//! their connections to the store.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryPartition;
use functions::chats::chat::ChatApp;
use functions::{Function, ROUTES};
use lambda_http::http::HeaderMap;
use lambda_http::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use shared::App;
use shared::app::AiApp;
use shared::aws::{self, SdkConfig, ServiceUrl};
use shared::config::AiConfig;
use shared::http::{Body, Response};
use shared::store::Store;

use crate::support::client::Api;
use crate::support::permissions::PermissionCheck;
use crate::support::proxy::{Fault, Lane};

/// How long the `chat` function may take to answer. On AWS, other functions have less time. In the
/// tests, all functions have as much time as `chat`, because a hundred functions may wait for each
/// other's password hashes.
pub const TIME: Duration = Duration::from_secs(28);

impl Api {
    /// Returns a function's [`App`] that calls the store over a lane of the wire. The SDK limits
    /// the retries of each lane separately.
    pub fn app_over(&self, function: &str, lane: &Lane) -> App {
        app_with_store(&self.server().apps[function], &lane.url, client(lane.aws()))
    }

    /// Returns an endpoint that calls the store over a lane, ready to answer. The endpoint panics
    /// if it makes a call that the template doesn't allow.
    pub fn function_over(&self, endpoint: &str, lane: &Lane) -> Function {
        let server = self.server();
        let client = client(lane.aws()).interceptor(PermissionCheck(endpoint.to_owned()));
        server.functions[endpoint].with_app(app_with_store(
            &server.apps[endpoint],
            &lane.url,
            client,
        ))
    }
}

/// Returns the configuration of a store client for one lane, with the time-outs that the product
/// uses on AWS. The client uses the connections of `aws`.
pub fn client(aws: &SdkConfig) -> aws_sdk_dynamodb::config::Builder {
    let retries = RetryPartition::custom("a lane").build();
    let client = aws_sdk_dynamodb::Config::from(aws).to_builder();
    client.retry_partition(retries).timeout_config(aws::timeouts())
}

/// Returns a copy of an `App` that calls the store at `url` through a different client.
pub fn app_with_store(app: &App, url: &str, client: aws_sdk_dynamodb::config::Builder) -> App {
    let mut config = (*app.config).clone();
    config.dynamodb_endpoint = ServiceUrl::parse(url);
    let store = Store::with_client(client, &config);
    let (prices, imports) = (app.prices.over(store.clone()), app.imports.over(store.clone()));
    let (brand, usual) = (app.brand.over(store.clone()), app.usual.over(store.clone()));
    App { store, prices, brand, usual, imports, config: Arc::new(config), ..app.clone() }
}

/// Returns the event that API Gateway sends to an endpoint for this request. The path may contain a
/// query, and a `Null` body means no body.
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

/// Sends an event to a function, which has `time` to answer.
pub async fn invoke(function: &Function, event: &Value, time: Duration) -> Response<Body> {
    function.answer(request(function, event, time)).await
}

/// Returns the `chat` function with its settings and connections changed.
pub fn changed_chat(chat: &Function, change: impl FnOnce(&mut AiApp)) -> Function {
    let mut app = chat.needs::<ChatApp>().unwrap().clone();
    change(&mut app.asking);
    Function::new(chat.routes, chat.edge.clone(), app, functions::chats::chat::handle)
}

/// Returns the `chat` function with the settings of its AI changed.
pub fn chat_with(chat: &Function, change: impl FnOnce(&mut AiConfig)) -> Function {
    changed_chat(chat, |asking| change(Arc::make_mut(&mut asking.ai.config)))
}

/// Returns the request that a function gets for an event.
pub fn request(function: &Function, event: &Value, time: Duration) -> shared::Request {
    let now = function.app().map(|app| app.clock).unwrap_or_default().millis();
    let ends = now + u64::try_from(time.as_millis()).unwrap();
    emulator::gateway::request(&event.to_string(), "a test", ends).unwrap()
}

/// Sends a request to a function and reads its reply. A streamed reply is reduced to its last
/// event.
pub async fn ask(
    function: &Function,
    endpoint: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    ask_for_all(function, endpoint, path, headers, body).await.at_its_end()
}

/// Sends a request to a function and reads its whole reply.
pub async fn ask_for_all(
    function: &Function,
    endpoint: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    let event = event(endpoint, path, headers, &body);
    match tokio::time::timeout(TIME, invoke(function, &event, TIME)).await {
        Ok(response) => Reply::of(response).await,
        Err(_) => Reply {
            status: 504,
            headers: HeaderMap::new(),
            body: json!({ "detail": "the function ran out of time" }),
        },
    }
}

/// A function's reply.
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
    /// Reads the whole reply. A body that isn't JSON becomes a string.
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let text = body.text().await;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Reduces a stream to its last event. The body is the event's data. If the event is a failure,
    /// the status is the failure's status.
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

    /// The code of a failure. Empty if the reply isn't a failure.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Asserts that a request succeeded although a fault struck its write. An unreadable reply from
    /// the store leaves the outcome unknown, although the write was applied.
    #[track_caller]
    pub fn succeeds_despite(&self, fault: Fault) {
        let status = if fault == Fault::Garbled { 503 } else { 200 };
        assert_eq!(self.status, status, "{fault:?}: {}", self.body);
    }

    /// Returns true if the reply is a replay: an earlier request with the same idempotency key got
    /// the same reply.
    pub fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }
}
