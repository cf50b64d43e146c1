//! The round trips of each endpoint, counted: a round trip is a step to the store that waits for the one before.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::types::AttributeValue;
use functions::{ENDPOINTS, ROUTES};
use lambda_http::Body;
use lambda_http::http::StatusCode;
use serde_json::{Value, json};
use shared::App;
use shared::config::Config;
use shared::store::Store;

use crate::client::{Api, Person};

/// Calls that overlap count as one round trip.
#[derive(Clone, Debug, Default)]
struct RoundTrips {
    running: Arc<AtomicU32>,
    counted: Arc<AtomicU32>,
    operations: Arc<Mutex<Vec<String>>>,
}

impl Intercept for RoundTrips {
    fn name(&self) -> &'static str {
        "RoundTrips"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.counted.fetch_add(1, Ordering::SeqCst);
        }
        let operation = context.request().headers().get("x-amz-target").unwrap_or_default().to_owned();
        self.operations.lock().unwrap().push(operation);
        Ok(())
    }

    fn read_after_execution(&self, _: &FinalizerInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The functions of a server, over its store, through connections that count.
struct Counted {
    api: Api,
    /// The idempotency key that requests are sent with.
    key: Mutex<Option<String>>,
    trips: RoundTrips,
}

impl Counted {
    async fn start() -> Self {
        Self { api: Api::own(&[]).await, key: Mutex::default(), trips: RoundTrips::default() }
    }

    /// The round trips of one request to an endpoint whose instance is warm, and the reply.
    async fn ask(&self, endpoint: &str, method: &str, path: &str, token: &str, body: Option<Value>) -> (u32, StatusCode, Value) {
        let warm = &self.api.server().apps[endpoint];
        let config: Config = (*warm.config).clone();
        let aws = shared::aws::connect(&config).await.unwrap();
        let client = aws_sdk_dynamodb::Config::from(&aws).to_builder().interceptor(self.trips.clone());
        let store = Store::over(client, &config);
        let app = App { store, ..warm.clone() };

        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: serde_json::Map<String, Value> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        let event = json!({
            "resource": path, "path": path, "httpMethod": method, "queryStringParameters": query,
            "headers": { "host": "x", "content-type": "application/json", "authorization": format!("Bearer {token}") },
            "requestContext": { "stage": "live", "httpMethod": method, "identity": {} },
            "body": body.map(|body| body.to_string()), "isBase64Encoded": false,
        });
        let mut request = local::gateway::request(&event.to_string(), endpoint, app.clock.millis() + 28_000).unwrap();
        if token.is_empty() {
            request.headers_mut().remove("authorization");
        }
        if let Some(key) = self.key.lock().unwrap().as_deref() {
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        self.trips.counted.store(0, Ordering::SeqCst);
        self.trips.operations.lock().unwrap().clear();
        let handle = ENDPOINTS.iter().find(|known| known.name == endpoint).unwrap().handle;
        let response = shared::http::answer(ROUTES, handle, app, request).await;
        let Body::Text(text) = response.body() else { panic!("no text") };
        (self.trips.counted.load(Ordering::SeqCst), response.status(), serde_json::from_str(text).unwrap())
    }

    async fn expect(&self, budget: u32, endpoint: &str, method: &str, path: &str, token: &str, body: Option<Value>) -> Value {
        let (trips, status, reply) = self.ask(endpoint, method, path, token, body).await;
        assert!(status.is_success(), "{endpoint}: {status} {reply}");
        assert_eq!(trips, budget, "{endpoint}: {:?}", self.trips.operations.lock().unwrap());
        reply
    }

    async fn log_in(&self, budget: u32, login: &str) -> Value {
        self.expect(budget, "login", "POST", "/api/login", "", Some(json!({ "username": login, "password": "secret123" }))).await
    }

    /// A chat under an idempotency key.
    async fn chat_once(&self, budget: u32, who: &Person, key: &str) -> Value {
        *self.key.lock().unwrap() = Some(key.to_owned());
        let reply = self.chat(budget, who).await;
        *self.key.lock().unwrap() = None;
        reply
    }

    async fn chat(&self, budget: u32, who: &Person) -> Value {
        self.expect(budget, "chat", "POST", "/api/chat", &who.access, Some(json!({ "message": "hi" }))).await
    }
}

#[tokio::test]
async fn each_endpoint_keeps_to_its_round_trips() {
    let counted = Counted::start().await;
    let new = json!({ "username": "ann", "email": "ann@example.com", "password": "secret123" });
    counted.expect(1, "register", "POST", "/api/register", "", Some(new)).await;
    let tokens = counted.log_in(2, "ann").await;
    counted.log_in(3, "ann@example.com").await;
    let (access, refresh) = (tokens["access"].as_str().unwrap(), &tokens["refresh"]);
    counted.expect(1, "token_refresh", "POST", "/api/token/refresh", "", Some(json!({ "refresh": refresh }))).await;
    counted.expect(2, "chat", "POST", "/api/chat", access, Some(json!({ "message": "hi" }))).await;
    counted.expect(1, "chat_history", "GET", "/api/chat", access, None).await;
    counted.expect(1, "chat_history", "GET", "/api/chat?q=hi", access, None).await;
    counted.expect(1, "balance", "GET", "/api/tokens", access, None).await;
    counted.expect(1, "profile", "GET", "/api/user/profile", access, None).await;
    counted.expect(3, "ledger", "GET", "/api/user/ledger?limit=1", access, None).await;
    counted.expect(1, "health", "GET", "/api/health", "", None).await;
    counted.expect(0, "jwks", "GET", "/.well-known/jwks.json", "", None).await;
}

#[tokio::test]
async fn a_key_costs_a_chat_one_more_round_trip_and_a_replay_two() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let first = counted.chat_once(3, &ann, "k1").await;
    assert_eq!(counted.chat_once(2, &ann, "k1").await, first);
}

#[tokio::test]
async fn a_refused_chat_costs_one_round_trip_and_an_ai_that_fails_two() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let (trips, status, _) = counted.ask("chat", "POST", "/api/chat", &ann.access, Some(json!({ "message": "!fail" }))).await;
    assert_eq!((trips, status), (2, StatusCode::BAD_GATEWAY));
    counted.api.set(&ann, "tokens", AttributeValue::N("99".into())).await;
    let (trips, status, _) = counted.ask("chat", "POST", "/api/chat", &ann.access, Some(json!({ "message": "hi" }))).await;
    assert_eq!((trips, status), (1, StatusCode::PAYMENT_REQUIRED));
    let (trips, status, _) = counted.ask("chat", "POST", "/api/chat", &ann.access, Some(json!({ "message": "" }))).await;
    assert_eq!((trips, status), (0, StatusCode::BAD_REQUEST));
}

#[tokio::test]
async fn expired_reservations_in_the_way_cost_two_more_round_trips() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let expired = json!({ "cost": 4000, "owner": "gone", "expires_at": 1 });
    let reservations: std::collections::HashMap<String, Value> = [("rid".to_owned(), expired)].into();
    counted.api.set(&ann, "reservations", AttributeValue::M(serde_dynamo::to_item(reservations).unwrap())).await;
    counted.api.set(&ann, "tokens", AttributeValue::N("0".into())).await;
    // The refusal, the release, then the two of every chat.
    assert_eq!(counted.chat(4, &ann).await["tokens_left"], 3900);
}

#[tokio::test]
async fn a_weak_hash_is_strengthened_at_log_in_without_a_further_round_trip() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8192, 1, 1, None).unwrap());
    let weak = weak.hash_password(b"secret123").unwrap().to_string();
    counted.api.set(&ann, "password", AttributeValue::S(weak)).await;
    counted.log_in(2, &ann.name).await;
    assert!(counted.api.account(&ann).await.password.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    counted.log_in(2, &ann.name).await;
}
