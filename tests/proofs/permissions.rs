//! Checks least privilege. The tests make every function send each kind of call that it can send to
//! the store, Secrets Manager, Bedrock, SES and CloudWatch. The template's policies must allow each
//! call, and each permission must be needed by at least one call.
//!
//! The tests start the functions one by one, as Lambda starts them. Each function has a separate
//! connection to each service, which records its calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use emulator::checkout::signature;
use emulator::dynamo::{self, Data, Dynamo};
use functions::background::payments_check;
use functions::{ENDPOINTS, Endpoint, Function, ROUTES};
use serde_json::{Value, json};
use shared::app::{CensusApp, MailApp, PaymentsApp, Scheduled};
use shared::clock::{Clock, Day, id_at};
use shared::config::{Secret, Settings};
use shared::mail::{Mail, MailTransport};
use shared::store::Order;
use shared::telemetry::model_calls::{CallSource, CloudWatch};
use shared::values::Pack;
use shared::values::idempotency::{Key, Kind};
use shared::{App, Credits, secrets};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::ai::providers::{delta, stop};
use crate::support::client::{DAY, PRICES_KEPT, token_in};
use crate::support::django::{self, DumpFile};
use crate::support::function::{Reply, TIME, event, invoke};
use crate::support::mistakes::Sabotage;
use crate::support::permissions::{
    self, Call, FUNCTIONS, KMS_KEY, MODEL, Permission, STACK, needless, of_bedrock,
    of_managed_policy, of_statements, of_store, refused,
};
use crate::support::proxy::{Fault, Lane, Proxy};
use crate::support::rig::weak_hash;
use crate::support::stack::Stack;
use crate::support::world::scan;

/// Permissions that no call in these tests needs, by function and action.
const ARGUED: [(&str, &str); 5] = [
    // The functions that call the AI share a policy. One action gets a model's answer as a whole
    // and the other gets it in pieces, so a function gains nothing by having both.
    ("chat", "bedrock:InvokeModelWithResponseStream"),
    ("chat_stream", "bedrock:InvokeModel"),
    ("conversation_title", "bedrock:InvokeModelWithResponseStream"),
    // In these tests, embeddings come from the provider that works offline.
    ("embeddings", "bedrock:InvokeModel"),
    ("embeddings", "bedrock:InvokeModelWithResponseStream"),
];

const PASSWORD: &str = "secret123";
const WRONG: &str = "not-the-password";

/// The source address of the requests.
const NETWORK: &str = "203.0.113.7";

/// The value of every secret.
const SECRET: &str = "whsec_0123456789abcdefghijklmnopqrstuvwxyz";

/// Bedrock, SES, CloudWatch and Secrets Manager on one server. The first segment of a path names the calling
/// function.
#[derive(Clone)]
struct Amazon {
    url: String,
    called: Arc<Mutex<Vec<(String, Call)>>>,
    sent: Arc<Mutex<Vec<Mail>>>,
    /// Pairs of a function and the ARN of a secret in its settings.
    secrets: Arc<Mutex<BTreeSet<(String, String)>>>,
    /// The objects in Stripe's lists.
    listed: Arc<Mutex<BTreeMap<String, Vec<Value>>>>,
}

impl Amazon {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let amazon = Self {
            url,
            called: Arc::default(),
            sent: Arc::default(),
            secrets: Arc::default(),
            listed: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(amazon.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        amazon
    }

    fn at(&self, function: &str) -> String {
        format!("{}/{function}", self.url)
    }

    /// Returns the function's calls since `calls_of` was last called.
    fn calls_of(&self, function: &str) -> Vec<Call> {
        let mut called = self.called.lock().unwrap();
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *called).into_iter().partition(|(of, _)| of == function);
        *called = others;
        own.into_iter().map(|(_, call)| call).collect()
    }
}

/// A Checkout Session that was paid.
fn paid_session(order: &Value, payment: &str) -> Value {
    json!({
        "object": "checkout.session", "id": "cs_1", "client_reference_id": order,
        "metadata": { "order": order }, "status": "complete", "payment_status": "paid",
        "amount_total": 100, "amount_subtotal": 100, "currency": "eur", "payment_intent": payment,
    })
}

async fn answer(State(amazon): State<Amazon>, request: Request) -> Response {
    // A starting function may send `HEAD` to open its connection.
    if request.method() == Method::HEAD {
        return Response::default();
    }
    if request.method() == Method::GET
        && let Some((_, list)) = request.uri().path().split_once("/v1/")
    {
        let data = amazon.listed.lock().unwrap().get(list).cloned().unwrap_or_default();
        return Response::new(Body::from(json!({ "data": data, "has_more": false }).to_string()));
    }
    if request.uri().path().ends_with("/v1/checkout/sessions") {
        let page = json!({ "id": "cs_1", "url": "https://checkout.stripe.com/c/pay/cs_1" });
        return Response::new(Body::from(page.to_string()));
    }
    let (parts, body) = request.into_parts();
    let asked: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    let path = parts.uri.path().trim_matches('/');
    let (function, path) = path.split_once('/').unwrap_or((path, ""));
    let called = |call: Call| amazon.called.lock().unwrap().push((function.to_owned(), call));
    if path == "v2/email/outbound-emails" {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (from, message) = (text(&asked["FromEmailAddress"]), &asked["Content"]["Simple"]);
        // SES checks the sender and the configuration set.
        let set = asked["ConfigurationSetName"].as_str().unwrap_or("the-senders-own");
        for used in [format!("identity/{from}"), format!("configuration-set/{set}")] {
            let used = format!("arn:aws:ses:us-east-1:000000000000:{used}");
            called(Call::of("ses:SendEmail", used).with("ses:FromAddress", [from.clone()]));
        }
        amazon.sent.lock().unwrap().push(Mail {
            to: text(&asked["Destination"]["ToAddresses"][0]),
            subject: text(&message["Subject"]["Data"]),
            text: text(&message["Body"]["Text"]["Data"]),
        });
        return Response::new(Body::from(json!({ "MessageId": "1" }).to_string()));
    }
    let Some(asks) = path.strip_prefix("model/") else {
        let target = parts.headers["x-amz-target"].to_str().unwrap();
        if let Some(operation) = target.strip_prefix("GraniteServiceVersion20100801.") {
            // IAM doesn't know the namespace or the metric of these calls.
            called(Call::of(&format!("cloudwatch:{operation}"), "*"));
            let dimensions = json!([{ "Name": "Model", "Value": "deep" }]);
            let metrics = json!([{ "MetricName": "AiFailures", "Dimensions": dimensions }]);
            let reply = json!({ "Metrics": metrics, "MetricDataResults": [] });
            return Response::new(Body::from(reply.to_string()));
        }
        let action = target.replace('.', ":");
        let secret = asked["SecretId"].as_str().unwrap().to_owned();
        called(Call::of(&action, secret.clone()));
        // If the operator's KMS key encrypts a secret, Secrets Manager decrypts the secret on the
        // caller's behalf.
        let by = "secretsmanager.us-east-1.amazonaws.com".to_owned();
        let decrypt = Call::of("kms:Decrypt", KMS_KEY).with("kms:ViaService", [by]);
        called(decrypt.with("kms:EncryptionContext:SecretARN", [secret]));
        return Response::new(Body::from(json!({ "SecretString": SECRET }).to_string()));
    };
    let (model, operation) = asks.split_once('/').unwrap();
    assert_eq!(model.replace("%3A", ":"), MODEL);
    let message = json!({ "role": "assistant", "content": [{ "text": "Hello!" }] });
    let (action, answer) = match operation {
        "converse" => (
            "bedrock:InvokeModel",
            json!({ "output": { "message": message }, "stopReason": "end_turn" })
                .to_string()
                .into_bytes(),
        ),
        "converse-stream" => (
            "bedrock:InvokeModelWithResponseStream",
            [&delta("Hello!")[..], &stop("end_turn")[..]].concat(),
        ),
        other => panic!("{other}"),
    };
    of_bedrock(action, MODEL).into_iter().for_each(called);
    Response::new(Body::from(answer))
}

/// A started function, and its lane to the store.
struct Instance {
    function: Function,
    lane: Lane,
}

impl Instance {
    async fn start(endpoint: &Endpoint, wire: &Proxy, amazon: &Amazon, clock: &Clock) -> Self {
        let lane = recording(wire);
        let settings = settings(endpoint.name, &lane, amazon);
        let function = endpoint.start(&settings, clock.clone()).await;
        Self { function: function.unwrap(), lane: lane.clone() }
    }
}

fn recording(wire: &Proxy) -> Lane {
    let lane = wire.lane();
    lane.records();
    lane
}

/// Returns the template's environment, with the addresses of this test's services. No setting
/// contains Secrets Manager's address. If the template sets a variable to a secret's ARN, this
/// function records the ARN and sets the variable to the secret's value.
fn settings<'s>(function: &'s str, lane: &'s Lane, amazon: &'s Amazon) -> Settings<'s> {
    let environment = STACK.environment(function);
    Settings::new(move |name| {
        let value = environment.get(name)?;
        Some(match name {
            "DYNAMODB_ENDPOINT" => lane.url.clone(),
            "BEDROCK_ENDPOINT" | "STRIPE_URL" => amazon.at(function),
            // The function starts the other providers, but calls them only if Bedrock fails.
            "AI_PROVIDER" if function == "embeddings" => {
                "echo,bedrock,openai,openai2,anthropic".to_owned()
            }
            "AI_PROVIDER" => "bedrock,openai,openai2,anthropic".to_owned(),
            "OPENAI_BASE_URL" | "OPENAI2_BASE_URL" | "ANTHROPIC_BASE_URL" => {
                "http://127.0.0.1:1/v1".to_owned()
            }
            "OPENAI_MODEL" | "OPENAI2_MODEL" | "ANTHROPIC_MODEL" => "tiny".to_owned(),
            "SHARING" => "on".to_owned(),
            "TITLE_MODEL" => MODEL.to_owned(),
            // The limit is low, so that few wrong passwords reach it.
            "LOGIN_ATTEMPTS" => "3".to_owned(),
            _ if value.starts_with("arn:aws:secretsmanager:") => {
                amazon.secrets.lock().unwrap().insert((function.to_owned(), value.clone()));
                SECRET.to_owned()
            }
            _ => value.clone(),
        })
    })
}

/// Makes the store refuse writes without returning the item that caused the refusal. AWS's reply
/// may also lack the item, for example if the item no longer exists. After a refusal that lacks the
/// item, the function must read the item.
fn hides_the_reason(operation: &str, body: &mut String) {
    if matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem") {
        let mut call: Value = serde_json::from_str(body).unwrap();
        call.as_object_mut().unwrap().remove("ReturnValuesOnConditionCheckFailure");
        *body = call.to_string();
    }
}

/// A request to a function.
struct Ask<'a> {
    endpoint: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    bearer: String,
    network: Option<&'a str>,
    body: Value,
    blindly: bool,
}

fn to<'a>(endpoint: &'a str, path: &'a str) -> Ask<'a> {
    Ask {
        endpoint,
        path,
        headers: Vec::new(),
        bearer: String::new(),
        network: Some(NETWORK),
        body: Value::Null,
        blindly: false,
    }
}

impl<'a> Ask<'a> {
    fn by(self, token: &str) -> Self {
        Self { bearer: format!("Bearer {token}"), ..self }
    }

    fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }

    fn keyed(self, key: &'a str) -> Self {
        Self { headers: vec![("idempotency-key", key)], ..self }
    }

    fn counted(self, retries: &'a str) -> Self {
        Self { headers: vec![("x-stainless-retry-count", retries)], ..self }
    }

    /// Sends the request without a source address from the gateway.
    fn without_address(self) -> Self {
        Self { network: None, ..self }
    }

    /// Sends the request through a store that [hides the reason](hides_the_reason) for a refusal.
    fn blindly(self) -> Self {
        Self { blindly: true, ..self }
    }
}

fn registration<'a>(name: &'a str, password: &str) -> Ask<'a> {
    let body = json!({ "username": name, "password": password });
    to("register", "/api/register").keyed(name).with(body)
}

fn log_in(name: &str, password: &str) -> Ask<'static> {
    to("login", "/api/login").with(json!({ "username": name, "password": password }))
}

fn refresh(token: &str) -> Ask<'static> {
    to("token_refresh", "/api/token/refresh").with(json!({ "refresh": token }))
}

fn verify(token: &str) -> Ask<'static> {
    to("token_verify", "/api/token/verify").with(json!({ "token": token }))
}

fn blacklist(token: &str) -> Ask<'static> {
    to("token_blacklist", "/api/token/blacklist").with(json!({ "refresh": token }))
}

struct User {
    id: String,
    token: String,
    refresh: String,
}

impl User {
    fn of(reply: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        // Registrations and log-ins both return the account.
        let id = text(&reply["user"]["id"]);
        Self { id, token: text(&reply["access"]), refresh: text(&reply["refresh"]) }
    }
}

/// All functions in the template, and each function's calls.
struct Watched {
    dynamo: Dynamo,
    amazon: Amazon,
    clock: Clock,
    instances: BTreeMap<&'static str, Instance>,
    /// The functions, connected to a store that hides the reasons for refusals.
    blind: BTreeMap<&'static str, Instance>,
    sweep: (App, Lane),
    erase: (App, Lane),
    census: (CensusApp, Lane),
    payments: (PaymentsApp, Lane),
    mail: (MailApp, Lane),
    /// The endpoints that got a request.
    asked: Mutex<BTreeSet<String>>,
    calls: Mutex<BTreeMap<String, BTreeSet<Call>>>,
    _wires: [Proxy; 2],
}

impl Watched {
    async fn start() -> Self {
        let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let wire = Proxy::start(&dynamo.url).await;
        let hiding = Some(Sabotage::Sends(hides_the_reason));
        let hides = Proxy::sabotaged(&dynamo.url, hiding).await;
        let (amazon, clock) = (Amazon::start().await, Clock::default());
        let (mut instances, mut blind) = (BTreeMap::new(), BTreeMap::new());
        for publishes in [true, false] {
            for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.publishes == publishes) {
                for (wire, started) in [(&wire, &mut instances), (&hides, &mut blind)] {
                    if publishes {
                        publish_an_older_key(&dynamo.url, endpoint.name).await;
                    }
                    let instance = Instance::start(endpoint, wire, &amazon, &clock).await;
                    started.insert(endpoint.name, instance);
                }
            }
        }
        let connect = async |function: &str| {
            let lane = recording(&wire);
            let settings = settings(function, &lane, &amazon);
            (App::connect(&settings, clock.clone()).await.unwrap(), lane.clone())
        };
        let (sweep, erase) = (connect("sweep").await, connect("erase").await);
        let census = {
            let (app, lane) = connect("census").await;
            let aws = shared::aws::emulated().to_builder();
            let aws = aws.endpoint_url(amazon.at("census")).build();
            let calls = CallSource::CloudWatch(CloudWatch::new(&aws, "farebox-prod".into()));
            (CensusApp { app, calls }, lane)
        };
        let payments = {
            let lane = recording(&wire);
            let settings = settings("payments_check", &lane, &amazon);
            (PaymentsApp::connect(&settings, clock.clone()).await.unwrap(), lane.clone())
        };
        let mail = {
            let lane = recording(&wire);
            let settings = settings("mail", &lane, &amazon);
            let mailing = MailApp::connect(&settings, clock.clone()).await.unwrap();
            let MailTransport::Ses { from, configuration_set, .. } = &mailing.transport else {
                panic!("no e-mail is sent")
            };
            let ses = shared::aws::emulated().to_builder().endpoint_url(amazon.at("mail")).build();
            let transport = MailTransport::ses(&ses, from.clone(), configuration_set.clone());
            (MailApp { transport, ..mailing }, lane.clone())
        };
        let watched = Self {
            dynamo,
            amazon,
            clock,
            instances,
            blind,
            sweep,
            erase,
            census,
            payments,
            mail,
            asked: Mutex::default(),
            calls: Mutex::default(),
            _wires: [wire, hides],
        };
        let started = watched.instances.iter().chain(&watched.blind);
        started.for_each(|(name, instance)| watched.note(name, &instance.lane));
        watched
    }

    /// Records a function's calls. The template must allow each call.
    #[track_caller]
    fn note(&self, function: &str, lane: &Lane) {
        let store = lane.recorded().into_iter();
        let store = store.flat_map(|(operation, body)| of_store(&operation, &body));
        self.keep(function, store.chain(self.amazon.calls_of(function)));
    }

    #[track_caller]
    fn keep(&self, function: &str, calls: impl IntoIterator<Item = Call>) {
        for call in calls {
            let is_allowed = permissions::allows(function, &call);
            assert!(is_allowed, "the template does not let {function} do {call}");
            self.calls.lock().unwrap().entry(function.to_owned()).or_default().insert(call);
        }
    }

    /// Sends a request, and asserts the status of its reply.
    async fn is(&self, status: u16, ask: Ask<'_>) -> Value {
        let Ask { endpoint, path, headers, bearer, network, body, blindly } = ask;
        let instances = if blindly { &self.blind } else { &self.instances };
        let Instance { function, lane } = &instances[endpoint];
        self.asked.lock().unwrap().insert(endpoint.to_owned());
        let mut headers: Vec<(&str, &str)> = headers;
        if !bearer.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        let mut event = event(endpoint, path, &headers, &body);
        event["requestContext"]["identity"]["sourceIp"] = json!(network);
        let reply = Reply::of(invoke(function, &event, TIME).await).await;
        self.note(endpoint, lane);
        assert_eq!(reply.status, status, "{endpoint} {path}: {}", reply.body);
        reply.body
    }

    /// Sends a request. The store applies the request's transaction, but the reply is lost, and the
    /// store doesn't recognize the retry, as if a long time had passed. Because the reply was lost,
    /// the function looks for the items that it wrote.
    async fn loses_a_reply(&self, status: u16, ask: Ask<'_>) {
        self.loses_reply(1, status, ask).await;
    }

    /// Like [`Self::loses_a_reply`], for the reply to the request's nth transaction. Returns the
    /// request's reply.
    async fn loses_reply(&self, nth: usize, status: u16, ask: Ask<'_>) -> Value {
        let lane = &self.instances[ask.endpoint].lane;
        lane.forgets_tokens();
        lane.strike_once("TransactWriteItems", nth, Fault::Fail500After);
        let reply = self.is(status, ask).await;
        lane.calm();
        reply
    }

    async fn register(&self, name: &str) -> User {
        let address = format!("{name}@example.com");
        let body = json!({ "username": name, "password": PASSWORD, "email": address });
        User::of(&self.is(201, to("register", "/api/register").with(body)).await)
    }

    async fn log_in(&self, name: &str) -> User {
        User::of(&self.is(200, log_in(name, PASSWORD)).await)
    }

    async fn api_key(&self, user: &User) -> Value {
        let ask = to("api_key_create", "/api/user/api-keys").by(&user.token);
        self.is(201, ask.with(json!({ "name": "a program" }))).await
    }

    /// Makes the next chat write an e-mail about a low balance, or makes sure that no chat does.
    async fn can_be_told(&self, name: &str, can: bool) {
        self.set_value(name, "email_verified", AttributeValue::Bool(can)).await;
        self.set_value(name, "alerted", AttributeValue::N("0".into())).await;
    }

    /// Changes an attribute of an account directly in the store.
    async fn set(&self, name: &str, attribute: &str, value: &str) {
        self.set_value(name, attribute, AttributeValue::S(value.to_owned())).await;
    }

    /// Writes one hold to an account, for a chat with this idempotency key. `None` removes all
    /// holds.
    async fn holds(&self, name: &str, user: &User, key: Option<&str>) {
        let number = |number: u32| AttributeValue::N(number.to_string());
        let held = || {
            let owner = AttributeValue::S("a-chat".to_owned());
            let fields = [("cost", number(1)), ("owner", owner), ("expires_at", number(u32::MAX))];
            AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into())
        };
        let held = key.map(|key| (Key::parse(key).unwrap().id(Kind::Chat, &user.id), held()));
        self.set_value(name, "reservations", AttributeValue::M(held.into_iter().collect())).await;
    }

    /// Makes a conversation one whose charges an earlier release hasn't counted.
    async fn uncounts(&self, user: &User, id: &str) {
        let update = dynamo::client(&self.dynamo.url)
            .update_item()
            .table_name("ChatsTable")
            .key("user_id", AttributeValue::S(user.id.clone()))
            .key("chat_id", AttributeValue::S(format!("c#{id}")))
            .update_expression("REMOVE charged_before");
        update.send().await.unwrap();
    }

    async fn set_value(&self, name: &str, attribute: &str, value: AttributeValue) {
        let update = dynamo::client(&self.dynamo.url)
            .update_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{name}")))
            .update_expression("SET #attribute = :value")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", value);
        update.send().await.unwrap();
    }

    /// Creates a folder that contains this conversation. Returns the folder's path.
    async fn files(&self, user: &User, conversation: &str) -> String {
        let body = json!({ "name": "Travel", "instructions": "Be brief." });
        let create = to("folder_create", "/api/folders").by(&user.token).with(body);
        let id = self.is(201, create).await["id"].as_str().unwrap().to_owned();
        let move_to = to("conversation_rename", conversation).by(&user.token);
        self.is(200, move_to.with(json!({ "folder_id": id }))).await;
        format!("/api/folders/{id}")
    }

    /// Sends the e-mails in the outbox, and returns the link token for this address.
    async fn token_to(&self, address: &str) -> String {
        let (mailing, lane) = &self.mail;
        for item in scan::<Value>(&self.dynamo.url, "TokensTable").await {
            let key = item["pk"].as_str().unwrap();
            if key.starts_with("outbox:") {
                functions::background::mail::work(mailing.clone(), key.to_owned()).await.unwrap();
            }
        }
        self.note("mail", lane);
        let sent = std::mem::take(&mut *self.amazon.sent.lock().unwrap());
        let mail = sent.iter().find(|mail| mail.to == address);
        token_in(mail.unwrap_or_else(|| panic!("no e-mail to {address}")))
    }
}

/// Publishes the public key of an earlier signing secret. The next function that starts must set
/// the time when this public key ends.
async fn publish_an_older_key(dynamodb: &str, name: &str) {
    let put = dynamo::client(dynamodb)
        .put_item()
        .table_name("KeysTable")
        .item("kid", AttributeValue::S(format!("before {name} {}", uuid::Uuid::new_v4())))
        .item("x", AttributeValue::S("A".repeat(43)))
        .item("from", AttributeValue::N("1".to_owned()));
    put.send().await.unwrap();
}

impl Watched {
    /// Retries registrations, which check the password as a log-in does.
    async fn registrations(&self) {
        for _ in 0..2 {
            self.is(201, registration("ben", PASSWORD).without_address()).await;
        }
        for _ in 0..2 {
            self.is(201, registration("carol", PASSWORD)).await;
        }
        // Unknown clients have used up their attempts. This test's network is known, so its
        // attempts are counted separately.
        self.is(400, registration("carol", WRONG)).await;
        self.is(201, registration("carol", PASSWORD)).await;
        self.is(400, registration("carol", WRONG)).await;
        self.is(429, registration("carol", PASSWORD).blindly()).await;
    }

    async fn log_ins(&self) {
        self.register("ann").await;
        self.is(200, log_in("ann", PASSWORD)).await;
        self.is(200, log_in("ann@example.com", PASSWORD)).await;
        self.is(200, log_in("ben", PASSWORD).without_address()).await;
        self.set("ann", "password", weak_hash()).await;
        self.is(200, log_in("ann", PASSWORD)).await;
        self.register("dora").await;
        self.is(200, log_in("dora", PASSWORD)).await;
        self.is(401, log_in("dora", WRONG)).await;
        self.is(200, log_in("dora", PASSWORD)).await;
        self.is(401, log_in("dora", WRONG)).await;
        self.is(429, log_in("dora", PASSWORD).blindly()).await;
    }

    async fn sessions(&self) {
        let eve = self.register("eve").await;
        let next = self.is(200, refresh(&eve.refresh)).await;
        self.is(200, refresh(next["refresh"].as_str().unwrap())).await;
        // The first refresh token, presented a second time, ends its session. The session no longer
        // exists when the token is presented a third time.
        self.is(401, refresh(&eve.refresh)).await;
        self.is(401, refresh(&eve.refresh)).await;
        self.is(400, verify(&eve.refresh)).await;
        let ended = self.log_in("eve").await;
        self.is(200, verify(&ended.token)).await;
        self.is(200, verify(&ended.refresh)).await;
        self.is(200, blacklist(&ended.refresh)).await;
        self.is(401, blacklist(&ended.refresh)).await;
        self.is(200, blacklist(&self.log_in("eve").await.refresh).blindly()).await;
        let (eve, _) = (self.log_in("eve").await, self.log_in("eve").await);
        let sessions = self.is(200, to("sessions", "/api/user/sessions").by(&eve.token)).await;
        let other = sessions.as_array().unwrap().iter().find(|one| one["current"] == false);
        let other = format!("/api/user/sessions/{}", other.unwrap()["id"].as_str().unwrap());
        self.is(200, to("session_end", &other).by(&eve.token)).await;
        self.is(200, to("logout", "/api/logout").by(&eve.token)).await;
        self.is(200, to("logout", "/api/logout").by(&eve.token).blindly()).await;
    }

    async fn chats(&self) {
        let ann = self.log_in("ann").await;
        for instructions in ["Be kind.", "", "Be brief."] {
            let body = json!({ "instructions": instructions });
            self.is(200, to("profile_change", "/api/user/profile").by(&ann.token).with(body)).await;
        }
        let conversations = || to("conversations", "/api/conversations").by(&ann.token);
        for (endpoint, path) in [("chat", "/api/chat"), ("chat_stream", "/api/chat/stream")] {
            self.can_be_told("ann", true).await;
            let chat = |body: Value| to(endpoint, path).by(&ann.token).with(body);
            for _ in 0..2 {
                self.is(200, chat(json!({ "message": "hi" })).keyed(endpoint)).await;
            }
            let begun = self.is(200, conversations()).await[0]["id"].clone();
            let more = json!({ "message": "hi", "conversation_id": begun, "after": begun });
            self.is(200, chat(more)).await;
            let file = json!([{ "name": "a.txt", "text": "one" }]);
            let first = chat(json!({ "message": "hi", "attachments": file }));
            let id = self.is(200, first).await["conversation_id"].clone();
            let more = json!({ "message": "hi", "conversation_id": id, "attachments": file });
            self.is(200, chat(more)).await;
            self.loses_a_reply(200, chat(json!({ "message": "hi" }))).await;
        }
        let stop = |key: &str| {
            let body = json!({ "idempotency_key": key });
            to("chat_stop", "/api/chat/stop").by(&ann.token).with(body)
        };
        self.is(200, stop("chat")).await;
        self.holds("ann", &ann, Some("waiting")).await;
        self.is(200, stop("waiting")).await;
        self.holds("ann", &ann, None).await;
        let key = async || self.api_key(&ann).await["key"].as_str().unwrap().to_owned();
        let first = key().await;
        let stop = to("chat_stop", "/api/chat/stop").by(&first);
        self.is(200, stop.with(json!({ "idempotency_key": "chat" }))).await;
        for (endpoint, path) in [
            ("completions", "/v1/chat/completions"),
            ("responses", "/v1/responses"),
            ("text_completions", "/v1/completions"),
            ("messages", "/v1/messages"),
        ] {
            self.can_be_told("ann", true).await;
            let key = key().await;
            let complete = |streamed: bool| {
                let turns = json!([{ "role": "user", "content": "hi" }]);
                let mut body = json!({
                    "messages": turns, "input": turns, "max_tokens": 100, "stream": streamed,
                });
                if endpoint == "text_completions" {
                    body["prompt"] = json!("hi");
                }
                to(endpoint, path).by(&key).with(body)
            };
            for retries in ["0", "1"] {
                self.is(200, complete(false).counted(retries)).await;
            }
            for _ in 0..2 {
                self.is(200, complete(true).keyed(endpoint)).await;
            }
            self.loses_a_reply(200, complete(false)).await;
            if endpoint == "responses" {
                let said = self.is(200, complete(false)).await;
                let said = json!({ "type": "item_reference", "id": said["output"][0]["id"] });
                let input = json!([said, { "role": "user", "content": "hi" }]);
                self.is(200, to(endpoint, path).by(&key).with(json!({ "input": input }))).await;
            }
        }
        self.embeddings(&ann).await;
        self.can_be_told("ann", false).await;
        self.is(200, to("models", "/v1/models").by(&first)).await;
        let counted = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        let path = "/v1/messages/count_tokens";
        self.is(200, to("count_tokens", path).by(&first).with(counted)).await;
    }

    /// Requests embeddings, and requests them again.
    async fn embeddings(&self, ann: &User) {
        self.can_be_told("ann", true).await;
        let key = self.api_key(ann).await["key"].as_str().unwrap().to_owned();
        let embed = || {
            let body = json!({ "model": "echo", "input": "hi" });
            to("embeddings", "/v1/embeddings").by(&key).with(body)
        };
        for retries in ["0", "1"] {
            self.is(200, embed().counted(retries)).await;
        }
        for _ in 0..2 {
            self.is(200, embed().keyed("embeddings")).await;
        }
        // A key that was used for other texts.
        let other = json!({ "model": "echo", "input": "ho" });
        self.is(422, embed().with(other).keyed("embeddings")).await;
        self.loses_a_reply(200, embed()).await;
    }

    /// Reads, changes and deletes an account's data.
    async fn own_data(&self) {
        let ann = self.log_in("ann").await;
        // The balance is below the allowance of a later period.
        for (endpoint, path) in [("balance", "/api/tokens"), ("profile", "/api/user/profile")] {
            for attribute in ["tokens", "granted", "spent", "allowance"] {
                self.set_value("ann", attribute, AttributeValue::N("0".into())).await;
            }
            self.is(200, to(endpoint, path).by(&ann.token)).await;
        }
        for (endpoint, path) in [
            ("ledger", "/api/user/ledger?limit=100"),
            ("export", "/api/user/export"),
            ("api_keys", "/api/user/api-keys"),
            ("chat_history", "/api/chat"),
        ] {
            self.is(200, to(endpoint, path).by(&ann.token)).await;
        }
        let file = json!([{ "name": "a.txt", "text": "one" }]);
        let begins = to("chat", "/api/chat").by(&ann.token);
        self.is(200, begins.with(json!({ "message": "hi", "attachments": file }))).await;
        let conversations = to("conversations", "/api/conversations").by(&ann.token);
        // A conversation has the id of its first chat.
        let id = self.is(200, conversations).await[0]["id"].as_str().unwrap().to_owned();
        let (chat, conversation) = (format!("/api/chat/{id}"), format!("/api/conversations/{id}"));
        let history = format!("/api/chat?conversation_id={id}");
        self.is(200, to("chat_history", &history).by(&ann.token)).await;
        self.is(200, to("chat_read", &chat).by(&ann.token)).await;
        self.is(200, to("file_read", &format!("/api/files/{id}.0")).by(&ann.token)).await;
        self.is(200, to("conversation", &conversation).by(&ann.token)).await;
        self.uncounts(&ann, &id).await;
        self.is(200, to("conversation", &conversation).by(&ann.token)).await;
        let title = format!("{conversation}/title");
        self.is(200, to("conversation_title", &title).by(&ann.token)).await;
        for change in
            [json!({ "title": "hi" }), json!({ "pinned": true }), json!({ "pinned": false })]
        {
            let ask = to("conversation_rename", &conversation).by(&ann.token);
            self.is(200, ask.with(change)).await;
        }
        let follow = async |after: &str| {
            let body = json!({ "message": "hi", "conversation_id": id, "after": after });
            self.is(200, to("chat", "/api/chat").by(&ann.token).with(body)).await
        };
        let folder = self.files(&ann, &conversation).await;
        for (endpoint, path) in [("chat", "/api/chat"), ("chat_stream", "/api/chat/stream")] {
            let body = json!({ "message": "hi", "conversation_id": id });
            self.is(200, to(endpoint, path).by(&ann.token).with(body)).await;
        }
        self.is(200, to("conversation", &conversation).by(&ann.token)).await;
        self.is(200, to("conversations", "/api/conversations").by(&ann.token)).await;
        self.is(200, to("conversation_title", &title).by(&ann.token)).await;
        let again = to("conversation_rename", &conversation).by(&ann.token);
        self.is(200, again.with(json!({ "title": "hi" }))).await;
        self.is(200, to("export", "/api/user/export").by(&ann.token)).await;
        self.is(200, to("folders", "/api/folders").by(&ann.token)).await;
        let change = to("folder_change", &folder).by(&ann.token);
        self.is(200, change.with(json!({ "name": "Fares" }))).await;
        self.is(200, to("folder_delete", &folder).by(&ann.token)).await;
        let branch = follow("start").await["id"].as_str().unwrap().to_owned();
        follow(&branch).await;
        for message in [format!("/api/chat/{branch}"), chat] {
            self.is(200, to("chat_delete", &message).by(&ann.token)).await;
        }
        self.is(202, to("conversation_delete", &conversation).by(&ann.token)).await;
        let malformed = "/api/conversations/x";
        self.is(404, to("conversation_delete", malformed).by(&ann.token)).await;

        let create =
            |body: Value| to("api_key_create", "/api/user/api-keys").by(&ann.token).with(body);
        self.is(400, create(json!({ "name": "x", "models": ["deep"] }))).await;
        let limited = json!({ "name": "x", "limit": { "tokens": 100 } });
        self.is(201, create(limited.clone())).await;
        // The purses of twenty keys, which may have been revoked.
        let purse = |key: usize| (format!("{key}#total"), AttributeValue::N("0".into()));
        self.set_value("ann", "purses", AttributeValue::M((0..20).map(purse).collect())).await;
        self.is(201, create(limited)).await;
        let key = self.api_key(&ann).await["id"].as_str().unwrap().to_owned();
        let key = format!("/api/user/api-keys/{key}");
        let change = |body: Value| to("api_key_rename", &key).by(&ann.token).with(body);
        self.is(200, change(json!({ "name": "laptop" }))).await;
        self.is(409, change(json!({ "limit": { "tokens": 5 } }))).await;
        self.is(200, change(json!({ "limit": null }))).await;
        self.is(200, to("api_key_revoke", &key).by(&ann.token)).await;
        self.is(404, to("api_key_revoke", "/api/user/api-keys/x").by(&ann.token)).await;
    }

    async fn addresses(&self) {
        let ann = self.log_in("ann").await;
        self.is(202, to("email_resend", "/api/user/email").by(&ann.token)).await;
        let verify = |ann: &User, token: String| {
            let body = json!({ "token": token });
            to("email_verify", "/api/user/email/verify").by(&ann.token).with(body)
        };
        // The first verification of an address revokes the API keys.
        self.is(200, verify(&ann, self.token_to("ann@example.com").await)).await;

        self.register("bob").await;
        self.token_to("bob@example.com").await;
        self.clock.advance(Duration::from_secs(61));
        let ann = self.log_in("ann").await;
        let change =
            |body: Value| to("profile_change", "/api/user/profile").by(&ann.token).with(body);
        self.is(200, change(json!({ "first_name": "Ann" }))).await;
        let address = json!({ "email": "bob@example.com", "current_password": PASSWORD });
        self.is(200, change(address)).await;
        // The address passes from Bob, who hasn't verified it, to Ann.
        self.is(200, verify(&ann, self.token_to("bob@example.com").await)).await;
    }

    async fn passwords(&self) {
        let fred = self.register("fred").await;
        self.api_key(&fred).await;
        self.token_to("fred@example.com").await;
        let address = json!({ "email": "fred@example.com" });
        self.is(202, to("password_reset", "/api/password/reset").with(address)).await;
        let token = self.token_to("fred@example.com").await;
        let body = json!({ "token": token, "password": "another-password" });
        let confirm = to("password_reset_confirm", "/api/password/reset/confirm");
        self.is(200, confirm.with(body)).await;

        let new = json!({ "current_password": PASSWORD, "new_password": "another-password" });
        let change = || to("password_change", "/api/user/password").with(new.clone());
        let hal = self.register("hal").await;
        self.is(200, change().by(&hal.token)).await;

        let gil = self.register("gil").await;
        let address = |password: &str| {
            let body = json!({ "email": "gil@example.org", "current_password": password });
            to("profile_change", "/api/user/profile").by(&gil.token).with(body)
        };
        let password = json!({ "password": PASSWORD });
        let delete = to("account_delete", "/api/user").by(&gil.token).with(password);
        self.is(403, address(WRONG)).await;
        self.is(429, address(PASSWORD).blindly()).await;
        self.is(429, change().by(&gil.token).blindly()).await;
        self.is(429, delete.blindly()).await;
    }

    /// Sends administrators' requests. The two administrators are stored the way they were in
    /// releases that had no list of administrators.
    async fn administration(&self) {
        let (root, ruth) = (self.register("root").await, self.register("ruth").await);
        for name in ["root", "ruth"] {
            self.set(name, "role", "admin").await;
        }
        self.administrator_leaves(&ruth).await;
        let ida = self.register("ida").await;
        let user = format!("/api/admin/users/{}", ida.id);
        self.interventions(&root, &ida, &user).await;
        self.lists(&root, &ida, &user).await;
        self.price_lists(&root).await;
        self.vouchers(&root).await;
        self.shares(&root).await;
        self.purchases(&root).await;
        // Deletes a user who is an active administrator and has an address.
        let change = to("admin_user_change", &user).by(&root.token);
        self.is(200, change.with(json!({ "active": true }))).await;
        self.loses_a_reply(202, to("admin_user_delete", &user).by(&root.token)).await;
    }

    /// Deletes an administrator's account, which has a shared chat, an API key, instructions and a
    /// folder.
    async fn administrator_leaves(&self, ruth: &User) {
        let hi = json!({ "message": "hi" });
        let chat = self.is(200, to("chat", "/api/chat").by(&ruth.token).with(hi)).await;
        let body = json!({ "conversation_id": chat["conversation_id"] });
        self.is(201, to("share_create", "/api/user/shares").by(&ruth.token).with(body)).await;
        self.api_key(ruth).await;
        let instructions = json!({ "instructions": "Be brief." });
        let change = to("profile_change", "/api/user/profile").by(&ruth.token);
        self.is(200, change.with(instructions)).await;
        let folder = to("folder_create", "/api/folders").by(&ruth.token);
        self.is(201, folder.with(json!({ "name": "Travel" }))).await;
        self.token_to("ruth@example.com").await;
        let delete = to("account_delete", "/api/user").by(&ruth.token);
        self.is(202, delete.with(json!({ "password": PASSWORD }))).await;
    }

    /// Changes the user Ida's balance and role, ends her sessions, and revokes her API keys.
    async fn interventions(&self, root: &User, ida: &User, user: &str) {
        let hi = json!({ "message": "hi" });
        self.is(200, to("chat", "/api/chat").by(&ida.token).with(hi)).await;
        let keys = format!("{user}/api-keys");
        let key = format!("{keys}/{}", self.api_key(ida).await["id"].as_str().unwrap());
        let other = self.api_key(ida).await["key"].as_str().unwrap().to_owned();
        let turns = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        self.is(200, to("completions", "/v1/chat/completions").by(&other).with(turns)).await;
        let jan = json!({ "username": "jan", "email": "jan@example.com", "role": "admin", "invite": true });
        let create = to("admin_user_create", "/api/admin/users").by(&root.token);
        self.loses_a_reply(201, create.with(jan)).await;
        let reset = format!("{user}/password-reset");
        self.loses_a_reply(202, to("admin_password_reset", &reset).by(&root.token)).await;
        self.adjustments(root, ida, user).await;
        let change = |body: Value| to("admin_user_change", user).by(&root.token).with(body);
        self.is(200, change(json!({ "role": "admin" }))).await;
        self.loses_a_reply(200, change(json!({ "active": false }))).await;
        let sessions = format!("{user}/sessions");
        self.loses_a_reply(200, to("admin_sessions_end", &sessions).by(&root.token)).await;
        self.loses_a_reply(200, to("admin_api_keys_revoke", &key).by(&root.token)).await;
        self.is(200, to("admin_api_keys", &keys).by(&root.token)).await;
        self.is(200, to("admin_api_keys_revoke", &keys).by(&root.token)).await;
    }

    /// Adjusts a user's balance in three ways: with an idempotency key, for a chat, and through a
    /// file of grants.
    async fn adjustments(&self, root: &User, ida: &User, user: &str) {
        let adjust = format!("{user}/adjustments");
        let adjust = || to("admin_adjustment", &adjust).by(&root.token);
        let body = json!({ "amount": 5, "reason": "a correction" });
        for _ in 0..2 {
            self.is(201, adjust().keyed("adjustment").with(body.clone())).await;
        }
        let hi = json!({ "message": "hi" });
        let chat = self.is(200, to("chat", "/api/chat").by(&ida.token).with(hi)).await;
        let refund = json!({ "chat_id": chat["id"], "reason": "a bad answer" });
        for status in [201, 409] {
            self.is(status, adjust().with(refund.clone())).await;
        }
        let grants = |id: Value, amount: i64| {
            let grants =
                json!([{ "user": ida.id, "amount": amount }, { "user": "b", "amount": 5 }]);
            let body = json!({ "id": id, "reason": "a correction", "grants": grants });
            to("admin_grants", "/api/admin/grants").by(&root.token).with(body)
        };
        let id = self.is(200, grants(Value::Null, 5)).await["id"].clone();
        for amount in [-1_000_000, 5, 5] {
            self.is(200, grants(id.clone(), amount)).await;
        }
    }

    /// Reads administrators' lists, both for all users and for a single user.
    async fn lists(&self, root: &User, ida: &User, user: &str) {
        let day = Day::from_millis(self.clock.millis());
        let days = format!("?from={day}&to={day}");
        let (ledger, chats) =
            (format!("{user}/ledger"), format!("/api/admin/chats?user_id={}", ida.id));
        let export = |list: &str| format!("/api/admin/export/{list}.csv{days}");
        for (endpoint, path) in [
            ("admin_users", "/api/admin/users"),
            ("admin_users", "/api/admin/users?q=b"),
            ("admin_user", user),
            ("admin_ledger", &ledger),
            ("admin_chats", "/api/admin/chats"),
            ("admin_chats", &chats),
            ("admin_models", "/api/admin/models"),
            ("admin_vouchers", "/api/admin/vouchers"),
            ("admin_trail", "/api/admin/trail"),
            ("admin_export", &export("users")),
            ("admin_export", &export("chats")),
            ("admin_export", &export("ledger")),
        ] {
            self.is(200, to(endpoint, path).by(&root.token)).await;
        }
        let addresses = format!("/api/admin/export/addresses.csv?users={}", ida.id);
        self.loses_a_reply(200, to("admin_export", &addresses).by(&root.token)).await;
    }

    /// Sets, reads and removes the price list.
    async fn price_lists(&self, root: &User) {
        let models = "/api/admin/models";
        let set = |list: Value, version: &Value| {
            let body = json!({ "list": list, "version": version });
            to("admin_models_change", models).by(&root.token).with(body)
        };
        let quick = json!({ "name": "quick", "via": ["bedrock", "openai", "openai2"], "fare": { "message": 100 } });
        let list = json!({ "models": [quick] });
        self.loses_a_reply(200, set(list.clone(), &Value::Null)).await;
        let shown = self.is(200, to("admin_models", models).by(&root.token)).await;
        self.is(200, set(list, &shown["version"])).await;
        // For a minute, functions cache the list that they have read, or the fact that there is no
        // list.
        self.clock.advance(Duration::from_secs(60));
        let chat = to("chat", "/api/chat").by(&root.token).with(json!({ "message": "hi" }));
        self.is(200, chat).await;
        self.is(200, set(Value::Null, &shown["version"])).await;
    }

    /// Creates, redeems and voids vouchers.
    async fn vouchers(&self, root: &User) {
        let kim = self.register("kim").await;
        let vouchers = "/api/admin/vouchers";
        let batch = json!({ "name": "gift", "tokens": 5, "count": 2, "uses": 2 });
        let create = to("admin_vouchers_create", vouchers).by(&root.token).keyed("vouchers");
        let batch = self.loses_reply(2, 201, create.with(batch)).await;
        self.is(200, to("admin_vouchers", vouchers).by(&root.token)).await;
        let redeem = |code: &Value| {
            let body = json!({ "code": code });
            to("voucher_redeem", "/api/user/vouchers").by(&kim.token).with(body)
        };
        self.loses_a_reply(200, redeem(&batch["codes"][0])).await;
        self.is(200, redeem(&batch["codes"][0])).await;
        let redemptions = format!("{vouchers}/{}/redemptions", batch["id"].as_str().unwrap());
        let listed = to("admin_voucher_redemptions", &redemptions).by(&root.token);
        assert_eq!(self.is(200, listed).await[0]["username"], "kim");
        let void = format!("{vouchers}/{}", batch["id"].as_str().unwrap());
        self.loses_a_reply(200, to("admin_vouchers_void", &void).by(&root.token)).await;
        self.is(410, redeem(&batch["codes"][1])).await;
    }

    /// Sets a brand twice, removes it and sets it again, and shows it.
    async fn brand(&self, root: &User) {
        let path = "/api/admin/brand";
        let set = |brand: Value, version: &Value| {
            let body = json!({ "brand": brand, "version": version });
            to("admin_brand_change", path).by(&root.token).with(body)
        };
        let brand = json!({ "name": "Acme" });
        self.loses_a_reply(200, set(brand.clone(), &Value::Null)).await;
        let shown = self.is(200, to("admin_brand", path).by(&root.token)).await;
        self.is(200, set(brand.clone(), &shown["version"])).await;
        self.is(200, set(Value::Null, &shown["version"])).await;
        self.is(200, set(brand, &Value::Null)).await;
        // The function has read at its start that there was no brand.
        self.clock.advance(PRICES_KEPT);
        self.is(200, to("brand", "/brand/0/logo.svg")).await;
    }

    /// Shares chats, reads and reports them, and ends them.
    async fn shares(&self, root: &User) {
        let kit = self.register("kit").await;
        let hi = json!({ "message": "hi" });
        let chat = self.is(200, to("chat", "/api/chat").by(&kit.token).with(hi)).await;
        let (path, reported) = ("/api/user/shares", "/api/admin/shares");
        let body = json!({ "conversation_id": chat["conversation_id"] });
        let mut shares = Vec::new();
        for _ in 0..2 {
            let create = to("share_create", path).by(&kit.token).with(body.clone());
            shares.push(self.loses_reply(1, 201, create).await);
        }
        self.is(200, to("shares", path).by(&kit.token)).await;
        self.is(200, to("export", "/api/user/export").by(&kit.token)).await;
        let reason = json!({ "reason": "a private address" });
        for share in &shares {
            let link = format!("/api/shares/{}", share["link"].as_str().unwrap());
            self.is(200, to("share", &link)).await;
            for _ in 0..2 {
                let report = format!("{link}/reports");
                self.is(202, to("share_report", &report).with(reason.clone())).await;
            }
        }
        let reports = self.is(200, to("admin_shares", reported).by(&root.token)).await;
        let (share, report) = (&reports[0]["share_id"], &reports[0]["id"]);
        let dismiss =
            format!("{reported}/{}/reports/{}", share.as_str().unwrap(), report.as_str().unwrap());
        self.loses_a_reply(200, to("admin_share_end", &dismiss).by(&root.token)).await;
        let id = |index: usize| shares[index]["id"].as_str().unwrap();
        let end = format!("{reported}/{}", id(0));
        self.loses_a_reply(200, to("admin_share_end", &end).by(&root.token)).await;
        let end = format!("{path}/{}", id(1));
        self.loses_a_reply(200, to("share_end", &end).by(&kit.token)).await;
    }

    /// Sells packs to a user who owes refunded tokens. Each function that grants tokens collects
    /// the owed tokens.
    async fn purchases(&self, root: &User) {
        let packs = "/api/admin/packs";
        let set = |list: Value, version: &Value| {
            let body = json!({ "packs": list, "version": version });
            to("admin_packs_change", packs).by(&root.token).with(body)
        };
        let pack =
            json!({ "id": "few", "name": "A few", "tokens": 5, "price": 100, "currency": "EUR" });
        self.loses_a_reply(200, set(json!([pack]), &Value::Null)).await;
        let shown = self.is(200, to("admin_packs", packs).by(&root.token)).await;
        self.is(200, set(json!([pack]), &shown["version"])).await;
        self.brand(root).await;

        let lee = self.register("lee").await;
        self.is(200, to("purchases", "/api/user/purchases").by(&lee.token)).await;
        let user = format!("/api/admin/users/{}", lee.id);
        let adjust = |amount: i64| {
            let body = json!({ "amount": amount, "reason": "a test" });
            let path = format!("{user}/adjustments").leak();
            to("admin_adjustment", path).by(&root.token).with(body)
        };
        self.is(201, adjust(-4000)).await;
        let batch = json!({ "name": "gift", "tokens": 5, "count": 1 });
        let create = to("admin_vouchers_create", "/api/admin/vouchers").by(&root.token);
        let batch = self.is(201, create.with(batch)).await;
        let code = json!({ "code": batch["codes"][0] });
        let mut grants = json!({ "grants": [{ "user": "lee", "amount": 5 }], "reason": "a test" });
        let preview = to("admin_grants", "/api/admin/grants").by(&root.token);
        grants["id"] = self.is(200, preview.with(grants.clone())).await["id"].clone();
        for ask in [
            adjust(5),
            to("voucher_redeem", "/api/user/vouchers").by(&lee.token).with(code),
            to("admin_grants", "/api/admin/grants").by(&root.token).with(grants),
        ] {
            self.owes(&lee).await;
            let endpoint = ask.endpoint;
            let status = if endpoint == "admin_adjustment" { 201 } else { 200 };
            self.loses_reply(2, status, ask).await;
            assert_eq!(self.tokens_owed(&lee).await, 0, "{endpoint}");
        }
        // The tokens of a later purchase also pay off the owed tokens.
        self.owes(&lee).await;
        self.pays(&lee, "pi_later").await;
        assert_eq!(self.tokens_owed(&lee).await, 0);
        self.is(200, to("export", "/api/user/export").by(&lee.token)).await;
        let all = to("admin_purchases", "/api/admin/purchases").by(&root.token);
        assert_eq!(self.is(200, all).await.as_array().unwrap().len(), 5);
        // The census collects these owed tokens.
        self.owes(&lee).await;
        self.set_value("lee", "tokens", AttributeValue::N("5".into())).await;
        let max = self.register("max").await;
        self.pays(&max, "pi_max").await;
        let delete = to("account_delete", "/api/user").by(&max.token);
        self.is(202, delete.with(json!({ "password": PASSWORD }))).await;
        self.is(200, set(Value::Null, &shown["version"])).await;
    }

    /// Buys a pack, and refunds it when its tokens are spent.
    async fn owes(&self, user: &User) {
        let payment = Uuid::new_v4().to_string();
        let refund = json!({
            "object": "refund", "id": payment, "amount": 100, "status": "succeeded",
            "payment_intent": payment,
        });
        // The refund is reported first.
        self.hears("refund.created", refund.clone()).await;
        self.pays(user, &payment).await;
        let failed = json!({
            "object": "refund", "id": payment, "amount": 100, "status": "failed",
            "payment_intent": payment,
        });
        self.hears("refund.failed", failed).await;
        self.set_value("lee", "tokens", AttributeValue::N("0".into())).await;
        let again = json!({
            "object": "refund", "id": format!("{payment}-2"), "amount": 100, "status": "succeeded",
            "payment_intent": payment,
        });
        self.hears("refund.created", again).await;
        assert_eq!(self.tokens_owed(user).await, 5);
    }

    async fn pays(&self, user: &User, payment: &str) {
        let ask = to("purchase_create", "/api/user/purchases").by(&user.token);
        let order = self.is(201, ask.with(json!({ "pack": "few" }))).await;
        let session = paid_session(&order["id"], payment);
        self.hears("checkout.session.completed", session).await;
    }

    async fn tokens_owed(&self, user: &User) -> u64 {
        let ask = to("purchases", "/api/user/purchases").by(&user.token);
        self.is(200, ask).await["tokens_owed"].as_u64().unwrap()
    }

    async fn hears(&self, kind: &str, object: Value) {
        let now = self.clock.seconds();
        let event = json!({ "type": kind, "created": now, "data": { "object": object } });
        let signed = signature(SECRET, &event.to_string(), now);
        let ask = to("stripe_webhook", "/api/stripe/webhook").with(event);
        let headers = vec![("stripe-signature", signed.as_str())];
        self.is(200, Ask { headers, ..ask }).await;
    }

    /// Lists a settled order among those that need attention, as an earlier release may have left it.
    async fn lists_a_settled_order(&self) {
        let lee = self.log_in("lee").await;
        let ask = to("purchases", "/api/user/purchases").by(&lee.token);
        let shown = self.is(200, ask).await;
        let purchases = shown["purchases"].as_array().unwrap();
        let settled = purchases.iter().find(|order| order["tokens_owed"] == 0).unwrap();
        let text = |text: String| AttributeValue::S(text);
        let put = dynamo::client(&self.dynamo.url).put_item().table_name("TokensTable");
        let put = put.item("pk", text(format!("attention:{}", settled["id"].as_str().unwrap())));
        put.item("user_id", text("attention:".into())).send().await.unwrap();
    }

    /// Compares payments with Stripe's lists. The lists contain a payment, its refund and its
    /// dispute, none of which an event has reported. The buyer owes tokens for a different order,
    /// and has spent the new tokens.
    async fn compares_payments(&self) {
        let (root, lee) = (self.log_in("root").await, self.log_in("lee").await);
        let pack =
            json!({ "id": "few", "name": "A few", "tokens": 5, "price": 100, "currency": "EUR" });
        let offer = json!({ "packs": [pack], "version": Value::Null });
        let sell = to("admin_packs_change", "/api/admin/packs").by(&root.token).with(offer);
        self.is(200, sell).await;
        self.owes(&lee).await;
        self.set_value("root", "email", AttributeValue::S("root@example.com".into())).await;
        self.set_value("root", "email_verified", AttributeValue::Bool(true)).await;
        let ask = to("purchase_create", "/api/user/purchases").by(&lee.token);
        let order = self.is(201, ask.with(json!({ "pack": "few" }))).await;
        let refund = json!({
            "object": "refund", "id": "re_missed", "amount": 100, "status": "succeeded",
            "payment_intent": "pi_missed",
        });
        let dispute = json!({
            "object": "dispute", "id": "dp_missed", "status": "needs_response",
            "payment_intent": "pi_missed",
        });
        *self.amazon.listed.lock().unwrap() = BTreeMap::from([
            ("checkout/sessions".to_owned(), vec![paid_session(&order["id"], "pi_missed")]),
            ("refunds".to_owned(), vec![refund]),
            ("disputes".to_owned(), vec![dispute]),
        ]);
        let (payments, lane) = &self.payments;
        payments_check::run(payments, Duration::ZERO).await.unwrap();
        self.note("payments_check", lane);
    }

    /// Imports a user directly into the store, and stores an old unpaid order.
    async fn imports(&self) {
        let direct = Proxy::start(&self.dynamo.url).await;
        let lane = direct.lane();
        let settings = settings("census", &lane, &self.amazon);
        let app = App::connect(&settings, self.clock.clone()).await.unwrap();
        DumpFile::of(&[django::user(1, "ida", 5)]).import_into(&app).await.unwrap();
        let lee = app.store.account_named("lee").await.unwrap().unwrap();
        let (id, name, currency) = ("few".into(), "Few".into(), "EUR".into());
        let pack = Pack { id, name, tokens: Credits::new(5).unwrap(), price: 100, currency };
        let old = id_at(self.clock.millis() - 8 * 86_400_000).to_string();
        let order = Order::new(&lee, &pack, &self.clock).with_id(&old);
        app.store.create_order(&lee, &order).await.unwrap();
    }

    /// Lists the file of a message that was never stored, as a function that died leaves it.
    async fn leaves_a_file(&self) {
        let chat = id_at(self.clock.millis() - 3_600_000);
        let text = |value: &str| AttributeValue::S(value.into());
        let number = |value: &str| AttributeValue::N(value.into());
        let put = dynamo::client(&self.dynamo.url).put_item().table_name("TokensTable");
        let put =
            put.item("pk", text(&format!("pending:{chat}"))).item("user_id", text("pending:"));
        let put = put.item("owner", text("nobody")).item("files", number("1"));
        put.item("until", number("1")).send().await.unwrap();
    }

    /// Stores a temporary conversation that has expired, with a young message that has a file.
    async fn leaves_a_temporary_conversation(&self) {
        let lee = self.log_in("lee").await;
        let text = |value: &str| AttributeValue::S(value.into());
        let put = || {
            let put = dynamo::client(&self.dynamo.url).put_item().table_name("ChatsTable");
            put.item("user_id", text(&lee.id))
        };
        let conversation = put().item("chat_id", text("c#over"));
        conversation.item("thread", text("t#00000000001#over")).send().await.unwrap();
        let chat = id_at(self.clock.millis()).to_string();
        let file = HashMap::from([("id".to_owned(), text(&format!("{chat}.0")))]);
        let files = AttributeValue::L(vec![AttributeValue::M(file)]);
        let message = put().item("chat_id", text(&chat)).item("files", files);
        message.item("thread", text(&format!("over#{chat}"))).send().await.unwrap();
        self.set_value("lee", "erasing", AttributeValue::N("1".into())).await;
    }

    /// Runs the scheduled work, and reads the figures of a closed day.
    async fn days(&self) {
        let day = Day::from_millis(self.clock.millis());
        let more = "accounts=true&top=spent&models=true&calls=true";
        let figures = format!("/api/admin/figures?from={day}&to={day}&{more}");
        // The statistics count the models' costs while the day isn't closed. Later the census does.
        let root = self.log_in("root").await;
        self.is(200, to("admin_figures", &figures).by(&root.token)).await;
        self.leaves_a_file().await;
        self.leaves_a_temporary_conversation().await;
        for wait in [Duration::from_secs(120), DAY + DAY] {
            self.clock.advance(wait);
            functions::background::sweep::work(self.sweep.0.clone()).await.unwrap();
            self.note("sweep", &self.sweep.1);
            functions::background::erase::work(self.erase.0.clone()).await.unwrap();
            self.note("erase", &self.erase.1);
        }
        self.imports().await;
        self.lists_a_settled_order().await;
        self.census.1.forgets_tokens();
        self.census.1.strike_once("TransactWriteItems", 1, Fault::Fail500After);
        functions::background::census::work(self.census.0.clone()).await.unwrap();
        self.note("census", &self.census.1);
        self.compares_payments().await;
        let root = self.log_in("root").await;
        self.is(200, to("admin_figures", &figures).by(&root.token)).await;
        let sorted = to("admin_users", "/api/admin/users?sort=-tokens").by(&root.token);
        assert!(!self.is(200, sorted).await.as_array().unwrap().is_empty());
    }

    /// Sends a request without a body to each endpoint that hasn't had a request yet.
    async fn others(&self) {
        let ann = self.log_in("ann").await;
        for route in ROUTES {
            let is_asked = self.asked.lock().unwrap().contains(route.endpoint);
            if !is_asked && self.instances[route.endpoint].function.app().is_some() {
                self.is(200, to(route.endpoint, route.path).by(&ann.token)).await;
            }
        }
    }

    /// Reads each secret in a function's settings as the function would, and records these calls.
    async fn secrets(&self) {
        let secrets = self.amazon.secrets.lock().unwrap().clone();
        for (function, arn) in secrets {
            let aws = shared::aws::emulated().to_builder();
            let aws = aws.endpoint_url(self.amazon.at(&function)).build();
            assert_eq!(secrets::read(&Secret::Arn(arn), &aws).await.unwrap(), SECRET);
            self.keep(&function, self.amazon.calls_of(&function));
        }
    }
}

#[tokio::test]
async fn every_permission_is_needed_and_every_call_is_allowed() {
    let watched = Watched::start().await;
    watched.registrations().await;
    watched.log_ins().await;
    watched.sessions().await;
    watched.chats().await;
    watched.own_data().await;
    watched.addresses().await;
    watched.passwords().await;
    watched.administration().await;
    watched.days().await;
    watched.others().await;
    watched.secrets().await;

    let calls = watched.calls.into_inner().unwrap();
    let (mut wrong, mut argued) = (Vec::new(), BTreeSet::new());
    for (function, permissions) in &*FUNCTIONS {
        let calls = calls.get(function).cloned().unwrap_or_default();
        assert!(permissions.is_empty() || !calls.is_empty(), "{function} has called nothing");
        for permission in needless(permissions, &calls) {
            let is_argued =
                |(of, action): &&(&str, &str)| of == function && permission.is_for(action);
            match ARGUED.iter().find(is_argued) {
                Some(reason) => {
                    argued.insert(*reason);
                }
                None => wrong.push(format!("{function} does not need {permission}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(argued, BTreeSet::from(ARGUED), "the others are needed");
}

/// A policy for the tests of `refused` and `needless`.
fn sample() -> Vec<Permission> {
    of_statements(
        "Sample",
        &json!([
            { "Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": "table" },
            {
                "Effect": "Allow",
                "Action": ["dynamodb:BatchGetItem"],
                "Resource": ["other"],
                "Condition": { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["user:*", "admins"] } },
            },
        ]),
    )
}

fn batch(keys: &[&str]) -> Call {
    let keys = keys.iter().map(|key| (*key).to_owned());
    Call::of("dynamodb:BatchGetItem", "other").with("dynamodb:LeadingKeys", keys)
}

/// Calls that together need every permission in the sample policy.
fn samples() -> BTreeSet<Call> {
    let of = |action: &str| Call::of(action, "table");
    BTreeSet::from([of("dynamodb:GetItem"), of("dynamodb:Query"), batch(&["user:ann", "admins"])])
}

#[test]
fn a_missing_permission_is_noticed() {
    assert!(refused(&sample(), &samples()).is_empty());
    for index in 0..sample().len() {
        let mut fewer = sample();
        fewer.remove(index);
        assert_eq!(refused(&fewer, &samples()).len(), 1, "{fewer:?}");
    }
}

#[test]
fn an_unneeded_permission_is_noticed() {
    assert_eq!(needless(&sample(), &samples()), []);
    let statement = |action: &str, resource: &str| json!([{ "Effect": "Allow", "Action": [action], "Resource": resource }]);
    for (action, resource) in [
        ("dynamodb:PutItem", "table"),
        ("dynamodb:GetItem", "other"),
        ("secretsmanager:GetSecretValue", "secret"),
    ] {
        let added = of_statements("Added", &statement(action, resource));
        let more = [sample(), added.clone()].concat();
        assert_eq!(needless(&more, &samples()), added);
    }
    // If the policy contains a permission twice, one copy is needless.
    let twice = of_statements("Added", &statement("dynamodb:Query", "table"));
    assert_eq!(needless(&[sample(), twice].concat(), &samples()).len(), 2);
    // The comparison also finds a permission for a kind of item that no call uses.
    let users = BTreeSet::from([batch(&["user:ann"])]);
    let found: Vec<String> =
        needless(&sample()[2..], &users).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [r#"dynamodb:BatchGetItem on other, dynamodb:LeadingKeys ["admins"] (Sample)"#]
    );
}

#[test]
fn one_statement_must_allow_all_keys_of_a_call() {
    let kind = |kind: &str| {
        of_statements(
            "Sample",
            &json!([{
                "Effect": "Allow",
                "Action": ["dynamodb:BatchGetItem"],
                "Resource": "other",
                "Condition": { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": [kind] } },
            }]),
        )
    };
    let apart = [kind("user:*"), kind("admins")].concat();
    assert!(refused(&apart, &[batch(&["user:ann"]), batch(&["admins"])]).is_empty());
    assert_eq!(refused(&apart, &[batch(&["user:ann", "admins"])]).len(), 1);
    assert_eq!(refused(&sample(), &[batch(&["user:ann", "email:x"])]).len(), 1);
}

#[test]
fn a_transaction_needs_the_permissions_of_its_operations() {
    let item = |key: &str| json!({ "TableName": "UsersTable", "Key": { "pk": { "S": key } } });
    let writes = [
        json!({ "Update": item("user:ann") }),
        json!({ "Update": item("admins") }),
        json!({ "ConditionCheck": item("user:root") }),
    ];
    let users = STACK.table("UsersTable", None);
    let call = |action: &str, keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned());
        Call::of(action, users.clone()).with("dynamodb:LeadingKeys", keys)
    };
    assert_eq!(
        of_store("TransactWriteItems", &json!({ "TransactItems": writes })),
        [
            call("dynamodb:ConditionCheckItem", &["user:root"]),
            call("dynamodb:UpdateItem", &["admins", "user:ann"]),
        ]
    );
}

#[test]
fn only_the_configured_model_is_allowed_by_its_id_or_arn() {
    let id = "abc123";
    let account = "arn:aws:bedrock:us-east-1:000000000000";
    for configured in [
        id.to_owned(),
        format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"),
        format!("{account}:inference-profile/{id}"),
        format!("{account}:application-inference-profile/{id}"),
    ] {
        let policy =
            of_managed_policy(&Stack::with(&[("BedrockModel", &configured)]), "AskAiPolicy");
        for action in ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"] {
            let own = of_bedrock(action, id);
            assert_eq!(refused(&policy, &own), [&own[0]; 0], "{configured}");
            // The policy doesn't allow other models, or a direct call to a model that only a
            // profile may use.
            let others = of_bedrock(action, "another");
            assert_eq!(refused(&policy, &others).len(), others.len(), "{configured}");
        }
    }
    let without = of_managed_policy(&Stack::with(&[]), "AskAiPolicy");
    let own = of_bedrock("bedrock:InvokeModel", id);
    assert_eq!(refused(&without, &own).len(), own.len());
}
