//! Secrets that are replaced while functions run. No request fails, and the functions soon stop
//! using the old secret.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::Region;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use emulator::checkout::signature;
use functions::Function;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::app::WebhookApp;
use shared::aws::SdkConfig;
use shared::clock::Clock;
use shared::config::Secret;
use shared::secrets::{self, CachedSecret};
use shared::stripe::Secrets;
use tokio::net::TcpListener;

use super::keys::{ARN, secrets_manager};
use crate::ai::providers::{chunk, done};
use crate::portable::chat_stream::{events, text_of};
use crate::support::amazon::{Amazon, Asked, Does};
use crate::support::client::{Api, GRANT, PRICE, Person};
use crate::support::function::{Reply, ask};
use crate::support::log;
use crate::support::program::Folder;
use crate::support::wait::until;

const OLD: &str = "whsec_the_old_secret_0123456789";
const NEW: &str = "whsec_the_new_secret_9876543210";

/// How long functions keep a secret before they read it again.
const KEPT: Duration = Duration::from_secs(900);

/// How long functions wait before they retry a failed read, or before they read the secret again
/// after another refusal.
const AGAIN: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// A secret in a file.
struct SecretFile(Folder);

impl SecretFile {
    fn new() -> Self {
        let file = Self(Folder::new());
        std::fs::create_dir(file.0.path()).unwrap();
        file.replace(OLD);
        file
    }

    fn path(&self) -> String {
        format!("{}/secret", self.0.path())
    }

    fn url(&self) -> String {
        format!("file://{}", self.path())
    }

    /// Replaces the secret in one step, so that no function reads only a part of it.
    fn replace(&self, secret: &str) {
        let next = format!("{}/next", self.0.path());
        std::fs::write(&next, format!("{secret}\n")).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    fn remove(&self) {
        std::fs::remove_file(self.path()).unwrap();
    }
}

/// A server that accepts some API keys. It simulates a provider that answers every message, and a
/// Stripe that opens payment pages.
#[derive(Clone)]
struct KeyedServer {
    url: String,
    accepted: Arc<Mutex<Vec<&'static str>>>,
    refusal: Arc<Mutex<(u16, Value)>>,
    /// The key of each request, and whether it was accepted.
    asked: Arc<Mutex<Vec<(String, bool)>>>,
}

impl KeyedServer {
    async fn start(accepted: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(Mutex::new(accepted.to_vec()));
        let refusal = Arc::new(Mutex::new((401, Value::Null)));
        let server = Self { url, accepted, refusal, asked: Arc::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    fn accepts(&self, keys: &[&'static str]) {
        *self.accepted.lock().unwrap() = keys.to_vec();
    }

    fn refuses_with(&self, status: u16, body: Value) {
        *self.refusal.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> Vec<(String, bool)> {
        self.asked.lock().unwrap().clone()
    }

    /// Replaces the old key in the file, and revokes it while requests that use it are arriving.
    async fn replaces(&self, file: &SecretFile) {
        until("the old key is in use", async || self.asked().len() >= 8).await;
        file.replace(NEW);
        self.accepts(&[NEW]);
    }

    fn uses_no_new_key(&self) -> bool {
        !self.asked().contains(&(NEW.to_owned(), true))
    }

    /// The key of the last request.
    fn last_key(&self) -> String {
        self.asked().last().unwrap().0.clone()
    }

    /// Starts an API that calls this server for answers, with the key in this file. The API's clock
    /// is stopped.
    async fn answering(&self, file: &SecretFile) -> Api {
        self.answering_as("openai", file).await
    }

    /// Starts an API that calls this server as the provider `name`.
    async fn answering_as(&self, name: &str, file: &SecretFile) -> Api {
        Api::at_an_hour(&[
            ("AI_PROVIDER", name),
            ("OPENAI_BASE_URL", &format!("{}/v1", self.url)),
            ("OPENAI_MODEL", "tiny"),
            ("OPENAI_API_KEY", &file.url()),
            ("ANTHROPIC_BASE_URL", &self.url),
            ("ANTHROPIC_MODEL", "tiny"),
            ("ANTHROPIC_API_KEY", &file.url()),
            ("AI_TIMEOUT_SECONDS", "20"),
        ])
        .await
    }
}

async fn answer(
    State(server): State<KeyedServer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A starting function sends `HEAD` to open its connection.
    if method == Method::HEAD {
        return Response::default();
    }
    let key = match headers.get("x-api-key") {
        Some(key) => key.to_str().unwrap(),
        None => headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap(),
    };
    let is_accepted = server.accepted.lock().unwrap().contains(&key);
    let number = {
        let mut asked = server.asked.lock().unwrap();
        asked.push((key.to_owned(), is_accepted));
        asked.len()
    };
    if !is_accepted {
        let (status, body) = server.refusal.lock().unwrap().clone();
        return Response::builder().status(status).body(Body::from(body.to_string())).unwrap();
    }
    if uri.path() == "/v1/checkout/sessions" {
        let url = format!("https://checkout.stripe.com/c/pay/cs_{number}");
        let page = json!({ "id": format!("cs_{number}"), "url": url });
        return Response::new(Body::from(page.to_string()));
    }
    if uri.path() == "/v1/messages" {
        let content = json!([{ "type": "text", "text": "Hello." }]);
        let message = json!({ "type": "message", "content": content, "stop_reason": "end_turn" });
        return Response::new(Body::from(message.to_string()));
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    if asked["stream"] == true {
        let pieces = [chunk("Hello.", Some("stop")), done()].concat();
        return Response::new(Body::from(pieces));
    }
    let message = json!({ "role": "assistant", "content": "Hello." });
    let choices = json!([{ "message": message, "finish_reason": "stop" }]);
    Response::new(Body::from(json!({ "choices": choices }).to_string()))
}

#[tokio::test]
async fn no_message_fails_while_a_provider_key_is_replaced() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[OLD]).await);
    let api = server.answering(&file).await;
    let people = join_all((0..8).map(|_| api.person("ann"))).await;
    let load = people.iter().map(async |person| {
        let mut sent = 0;
        while sent < 4 || server.uses_no_new_key() {
            person.chat("hi").await.is(200);
            sent += 1;
        }
        assert_eq!(person.balance().await, GRANT - sent * PRICE);
        sent
    });
    let (sent, ()) = tokio::join!(join_all(load), server.replaces(&file));
    let asked = server.asked();
    let refused = asked.iter().filter(|(_, is_accepted)| !is_accepted).count();
    // Each message that was sent before the key was read again is refused once.
    assert!((1..=8).contains(&refused), "{asked:?}");
    let answered = u64::try_from(asked.len() - refused).unwrap();
    assert_eq!(answered, sent.iter().sum::<u64>());
}

#[tokio::test]
async fn streamed_messages_use_a_replaced_key_at_once() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[NEW]).await);
    let api = server.answering(&file).await;
    let ann = api.person("ann").await;
    file.replace(NEW);
    let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await.is(200);
    assert_eq!(text_of(&events(said.as_str().unwrap())), "Hello.");
    assert_eq!(server.asked(), [(OLD.to_owned(), false), (NEW.to_owned(), true)]);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn anthropic_messages_use_a_replaced_key_at_once() {
    for (status, kind) in [(401, "authentication_error"), (403, "permission_error")] {
        let (file, server) = (SecretFile::new(), KeyedServer::start(&[NEW]).await);
        let api = server.answering_as("anthropic", &file).await;
        let ann = api.person("ann").await;
        let error = json!({ "type": kind, "message": "invalid x-api-key" });
        server.refuses_with(status, json!({ "type": "error", "error": error }));
        file.replace(NEW);
        ann.chat("hi").await.is(200);
        assert_eq!(server.asked(), [(OLD.to_owned(), false), (NEW.to_owned(), true)]);
        assert_eq!(ann.balance().await, GRANT - PRICE);
    }
}

#[tokio::test]
async fn an_old_provider_key_is_unused_after_fifteen_minutes() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[OLD, NEW]).await);
    let api = server.answering(&file).await;
    let (ann, clock) = (api.person("ann").await, &api.server().clock);
    let key = async || {
        ann.chat("hi").await.is(200);
        server.last_key()
    };
    file.replace(NEW);
    clock.advance(KEPT - SECOND);
    assert_eq!(key().await, OLD);
    clock.advance(SECOND);
    assert_eq!(key().await, NEW, "the first message after the time");
}

#[tokio::test]
async fn messages_go_on_while_the_key_cannot_be_read() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[OLD, NEW]).await);
    let api = server.answering(&file).await;
    let (ann, clock) = (api.person("ann").await, &api.server().clock);
    let key = async || {
        ann.chat("hi").await.is(200);
        server.last_key()
    };
    log::clear();
    file.remove();
    clock.advance(KEPT);
    assert_eq!([key().await, key().await], [OLD, OLD]);
    let warnings = log::text().matches("a secret can't be read again").count();
    assert_eq!(warnings, 1, "{}", log::text());
    file.replace(NEW);
    assert_eq!(key().await, OLD);
    clock.advance(AGAIN);
    assert_eq!(key().await, NEW);
    assert!(log::text().contains("a replaced secret is in use"), "{}", log::text());
    assert!(![OLD, NEW].iter().any(|secret| log::text().contains(secret)), "{}", log::text());
}

#[tokio::test]
async fn providers_refuse_keys_with_401_403_or_a_sentence() {
    let wrong = |words: &str| json!({ "error": { "message": words } });
    let (refused, again) = ((OLD.to_owned(), false), (NEW.to_owned(), true));
    for (status, body, is_of_key) in [
        (401, Value::Null, true),
        (403, wrong("Forbidden"), true),
        (400, wrong("API key not valid. Please pass a valid API key."), true),
        (400, wrong("Incorrect API key provided: wh***10."), true),
        (400, wrong("Invalid value"), false),
        (403, json!({ "error": { "code": "insufficient_quota" } }), false),
        (404, Value::Null, false),
        (429, Value::Null, false),
        (500, wrong("API key"), false),
    ] {
        let (file, server) = (SecretFile::new(), KeyedServer::start(&[NEW]).await);
        let api = server.answering(&file).await;
        let ann = api.person("ann").await;
        server.refuses_with(status, body);
        file.replace(NEW);
        let answered = ann.chat("hi").await.status == 200;
        assert_eq!(answered, is_of_key, "{status}");
        let expected = [Some(refused.clone()), Some(again.clone()).filter(|_| is_of_key)];
        let expected: Vec<_> = expected.into_iter().flatten().collect();
        assert_eq!(server.asked(), expected, "{status}");
        let paid = if answered { PRICE } else { 0 };
        assert_eq!(ann.balance().await, GRANT - paid, "{status}");
    }
}

#[tokio::test]
async fn refused_keys_are_read_again_once_a_minute() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[]).await);
    let api = server.answering(&file).await;
    let (ann, clock) = (api.person("ann").await, &api.server().clock);
    ann.chat("hi").await.expect(502, "ai_failed");
    assert_eq!(server.asked().len(), 1, "the secret hasn't changed");
    file.replace(NEW);
    server.accepts(&[NEW]);
    clock.advance(AGAIN - SECOND);
    ann.chat("hi").await.expect(502, "ai_failed");
    assert_eq!(server.last_key(), OLD, "the secret isn't read again yet");
    clock.advance(SECOND);
    ann.chat("hi").await.is(200);
    assert_eq!(server.last_key(), NEW);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn no_purchase_fails_while_stripes_key_is_replaced() {
    let (file, server) = (SecretFile::new(), KeyedServer::start(&[OLD]).await);
    let settings = [("STRIPE_URL", server.url.as_str()), ("STRIPE_API_KEY", &file.url())];
    let api = Api::at_an_hour(&settings).await;
    let root = api.administrator("root").await;
    let pack =
        json!({ "id": "small", "name": "A", "tokens": 1000, "price": 299, "currency": "EUR" });
    root.put("/api/admin/packs/", json!({ "packs": [pack], "version": null })).await.is(200);
    let people = join_all((0..8).map(|_| api.person("ann"))).await;
    let orders = async |person: &Person| {
        person.post("/api/user/purchases/", json!({ "pack": "small" })).await.is(201);
    };
    let load = people.iter().map(async |person| {
        let mut ordered = 0;
        while ordered < 2 || server.uses_no_new_key() {
            orders(person).await;
            ordered += 1;
        }
        ordered
    });
    let (ordered, ()) = tokio::join!(join_all(load), server.replaces(&file));
    let asked = server.asked();
    let refused = asked.iter().filter(|(_, is_accepted)| !is_accepted).count();
    assert!((1..=8).contains(&refused), "{asked:?}");
    assert_eq!(asked.len() - refused, ordered.iter().sum::<usize>());

    // If no request is refused, functions stop using the old key after fifteen minutes.
    server.accepts(&[OLD, NEW]);
    file.replace(OLD);
    api.server().clock.advance(KEPT);
    orders(&api.person("ben").await).await;
    assert_eq!(server.last_key(), OLD);
}

/// An event that doesn't concern an order.
fn event() -> Value {
    json!({ "id": "evt_1", "object": "event", "type": "customer.created", "created": 1, "data": { "object": {} } })
}

/// Sends an event that this secret has signed. Returns the reply's status.
async fn hears(api: &Api, secret: &str) -> u16 {
    let body = event().to_string();
    let signature = signature(secret, &body, api.now());
    let headers = [("content-type", "application/json"), ("stripe-signature", &signature)];
    let path = "/api/stripe/webhook/";
    api.raw(Method::POST, path, &headers, body.into_bytes()).await.status.as_u16()
}

#[tokio::test]
async fn no_event_fails_while_the_webhook_secret_is_replaced() {
    let file = SecretFile::new();
    let api = Api::at_an_hour(&[("STRIPE_WEBHOOK_SECRET", &file.url())]).await;
    let all = async |secret| join_all((0..16).map(|_| hears(&api, secret))).await;
    assert_eq!(all(OLD).await, [200; 16]);
    file.replace(NEW);
    assert_eq!(all(NEW).await, [200; 16]);
    assert_eq!(all(OLD).await, [400; 16]);

    // If no event with the new secret arrives, the old secret is refused after fifteen minutes.
    file.replace(OLD);
    api.server().clock.advance(KEPT - SECOND);
    assert_eq!(hears(&api, NEW).await, 200);
    api.server().clock.advance(SECOND);
    assert_eq!([hears(&api, NEW).await, hears(&api, OLD).await], [400, 200]);
}

#[tokio::test]
async fn signatures_of_strangers_cause_one_read_a_minute() {
    let secret = Arc::new(Mutex::new(Some(OLD.to_owned())));
    let amazon = secrets_manager(secret.clone()).await;
    let api = Api::at_an_hour(&[("STRIPE_WEBHOOK_SECRET", OLD)]).await;
    let server = api.server();
    let clock = &server.clock;
    let endpoint = &server.functions["stripe_webhook"];
    let app = WebhookApp {
        secrets: Some(kept(&amazon.config(), clock).await),
        ..endpoint.needs::<WebhookApp>().unwrap().clone()
    };
    let handle = functions::service::stripe_webhook::handle;
    let function = Function::new(endpoint.routes, endpoint.edge.clone(), app, handle);
    let send = async |signature: &str| -> Reply {
        let headers = [("stripe-signature", signature)];
        ask(&function, "stripe_webhook", "/api/stripe/webhook", &headers, event()).await
    };
    let signed = |secret: &str| signature(secret, &event().to_string(), api.now());
    assert_eq!(amazon.times_asked(), 1);
    for unreadable in ["", "t=1", &signature(NEW, "", 1)] {
        assert_eq!(send(unreadable).await.status, 400);
    }
    assert_eq!(amazon.times_asked(), 1, "malformed and outdated signatures cause no read");
    let strange = signed("whsec_of_a_stranger_0123456789");
    let all = async || join_all((0..20).map(|_| send(&strange))).await;
    assert!(all().await.iter().all(|reply| reply.status == 400));
    assert_eq!(amazon.times_asked(), 2);
    clock.advance(AGAIN - SECOND);
    assert!(all().await.iter().all(|reply| reply.code() == "invalid_signature"));
    assert_eq!((amazon.times_asked(), send(&signed(OLD)).await.status), (2, 200));

    *secret.lock().unwrap() = Some(NEW.to_owned());
    assert_eq!(send(&signed(NEW)).await.status, 400, "Stripe sends it again");
    clock.advance(SECOND);
    assert_eq!((send(&signed(NEW)).await.status, amazon.times_asked()), (200, 3));
}

/// Reads the secret in a fake Secrets Manager.
async fn kept(aws: &SdkConfig, clock: &Clock) -> CachedSecret<Secrets> {
    let secret = Secret::Arn(ARN.into());
    CachedSecret::read("STRIPE_WEBHOOK_SECRET", secret, aws, clock.clone()).await.unwrap()
}

#[tokio::test]
async fn refused_requests_share_one_read_of_a_new_secret() {
    let secret = Arc::new(Mutex::new(Some(OLD.to_owned())));
    let (amazon, clock) = (secrets_manager(secret.clone()).await, Clock::standing(0));
    let kept = kept(&amazon.config(), &clock).await;
    let used = kept.current();
    let refused = async || join_all((0..16).map(|_| kept.renew_refused(&used))).await;
    assert!(refused().await.iter().all(Option::is_none), "the secret hasn't changed");
    assert_eq!(amazon.times_asked(), 2);
    *secret.lock().unwrap() = Some(NEW.to_owned());
    clock.advance(AGAIN);
    let renewed = refused().await;
    assert_eq!(amazon.times_asked(), 3);
    let current = kept.current();
    assert!(renewed.iter().all(|value| value.as_ref().is_some_and(|it| Arc::ptr_eq(it, &current))));
    assert_eq!(format!("{kept:?}"), r#"CachedSecret("STRIPE_WEBHOOK_SECRET")"#);
    // A request that still used the old secret gets the new secret without another read.
    assert!(kept.renew_refused(&used).await.is_some());
    assert_eq!(amazon.times_asked(), 3);
}

#[tokio::test]
async fn a_failed_renewal_is_one_call_and_is_repeated_in_a_minute() {
    let reply = Arc::new(Mutex::new((200, json!({ "SecretString": OLD }))));
    let says = reply.clone();
    let answer = move |_: &Asked| {
        let (status, body) = says.lock().unwrap().clone();
        Does::Says(status, body)
    };
    let amazon = Amazon::start("secretsmanager", answer).await;
    let clock = Clock::standing(0);
    let kept = kept(&amazon.config(), &clock).await;
    let first = kept.current();
    let renew = async |after: Duration| {
        clock.advance(after);
        kept.renew().await;
        amazon.times_asked()
    };
    assert_eq!([renew(KEPT - SECOND).await, renew(SECOND).await, renew(SECOND).await], [1, 2, 2]);
    for broken in [
        (500, json!({ "__type": "InternalServiceError" })),
        (200, json!({ "SecretBinary": "AAAA" })),
        (200, json!({ "SecretString": "not a webhook secret" })),
        (200, json!("no object")),
    ] {
        *reply.lock().unwrap() = broken;
        let before = renew(KEPT).await;
        assert_eq!(renew(AGAIN - SECOND).await, before);
        assert_eq!(renew(SECOND).await, before + 1);
        assert!(Arc::ptr_eq(&kept.current(), &first));
    }
    *reply.lock().unwrap() = (200, json!({ "SecretString": NEW }));
    renew(AGAIN).await;
    assert!(!Arc::ptr_eq(&kept.current(), &first));
}

#[tokio::test]
async fn secrets_manager_gets_signed_calls_in_its_protocol() {
    let secret = Arc::new(Mutex::new(None));
    let amazon = secrets_manager(secret).await;
    let aws = amazon.config();
    let named = Secret::Arn(ARN.into());
    let refused = secrets::read(&named, &aws).await.unwrap_err();
    assert_eq!(refused.to_string(), "AccessDeniedException: no");
    secrets::put(ARN, NEW, &aws).await.unwrap();
    assert_eq!(secrets::read(&named, &aws).await.unwrap(), NEW);
    let asked = amazon.asked();
    let targets: Vec<_> = asked.iter().map(|asked| asked.target.as_str()).collect();
    let [get, put] = ["secretsmanager.GetSecretValue", "secretsmanager.PutSecretValue"];
    assert_eq!(targets, [get, put, get]);
    let is_in_protocol = |asked: &Asked| {
        (asked.path.as_str(), asked.content_type.as_str()) == ("/", "application/x-amz-json-1.1")
    };
    assert!(asked.iter().all(is_in_protocol), "{asked:?}");
    assert_eq!(asked[2].body, json!({ "SecretId": ARN }));

    // The fake returns the secret to these credentials, but not to a different access key.
    let foreign = shared::aws::emulated();
    let foreign = foreign.to_builder().endpoint_url(aws.endpoint_url().unwrap()).build();
    let refused = secrets::read(&named, &foreign).await.unwrap_err();
    assert_eq!(refused.to_string(), "InvalidSignatureException: no message");
    let nowhere = aws.to_builder().region(None::<Region>).build();
    let refused = secrets::read(&named, &nowhere).await.unwrap_err();
    assert_eq!(refused.to_string(), "AWS_REGION must be set");
}
