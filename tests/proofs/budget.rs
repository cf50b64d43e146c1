//! Measures each request's cost, and compares it with the record in `docs/internals/costs.tsv`.
//! Also checks that the template allows the function to make the request's calls. A cost consists
//! of the number of round trips to the store and the units that AWS bills. Parallel calls count as
//! one round trip.
//!
//! The embedded DynamoDB reports the units. The units follow [AWS's
//! rules](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html).
//! Where AWS has no rule (for an index in a transaction), the units follow [the units that AWS has
//! reported](https://github.com/nubo-db/dynoxide/pull/188).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
    FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dynoxide::types::{Item, item_size, write_capacity_units};
use emulator::checkout::signature;
use functions::ROUTES;
use local::estimate::quotas::PLACES;
use local::estimate::requests::{self, Cost};
use serde_json::{Value, json};
use shared::clock::Day;
use shared::config::Config;
use shared::store::{DataPeriod, Purpose};
use shared::values::file::{FILE_BYTES, PICTURES_IN_PROMPT};
use shared::values::{Allowances, VoucherCode};
use shared::{App, Credits};
use uuid::Uuid;

use crate::endpoints::chats::fares;
use crate::support::client::{Api, DAY, GRANT, PRICE, PRICES_KEPT, Person};
use crate::support::function::{self, Reply, TIME, event, invoke};
use crate::support::permissions;
use crate::support::recorded::assert_recorded;
use crate::support::rig::{in_the_first_month, is_current, weak_hash};

/// Measures the cost of requests. A call that begins after another one has ended is a further round
/// trip, and units are counted the way AWS bills them.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<Mutex<Reading>>);

#[derive(Debug, Default)]
struct Reading {
    round_trips: u32,
    /// True if a call of the last round trip has ended.
    has_ended: bool,
    write_units: f64,
    read_units: f64,
    /// The write units used in each table and each global index.
    places: BTreeMap<String, f64>,
    /// Each call's operation and body.
    calls: Vec<(String, Value)>,
}

/// The number of the round trip that a call belongs to.
#[derive(Debug)]
struct RoundTrip(u32);

impl Storable for RoundTrip {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut reading = self.0.lock().unwrap();
        if reading.has_ended || reading.round_trips == 0 {
            reading.round_trips += 1;
            reading.has_ended = false;
        }
        config.interceptor_state().store_put(RoundTrip(reading.round_trips));
        Ok(())
    }

    /// Asks DynamoDB to report the units of each call. The product itself doesn't ask for them.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap())?;
        let operation = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default()
            .to_owned();
        self.0.lock().unwrap().calls.push((operation, body.clone()));
        body["ReturnConsumedCapacity"] = json!("INDEXES");
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = body.into();
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let reply: Value =
            serde_json::from_slice(context.response().unwrap().body().bytes().unwrap())?;
        // A refused call, which has no output, counts as a write.
        let written = context.output_or_error().and_then(Result::ok).is_none_or(|output| {
            output.downcast_ref::<PutItemOutput>().is_some()
                || output.downcast_ref::<UpdateItemOutput>().is_some()
                || output.downcast_ref::<DeleteItemOutput>().is_some()
                || output.downcast_ref::<TransactWriteItemsOutput>().is_some()
        });
        let mut reading = self.0.lock().unwrap();
        let of_last = config.load::<RoundTrip>().is_some_and(|of| of.0 == reading.round_trips);
        reading.has_ended |= of_last;
        *(if written { &mut reading.write_units } else { &mut reading.read_units }) +=
            units(&reply);
        if written {
            let tables = &reply["ConsumedCapacity"];
            let tables = tables.as_array().map_or(std::slice::from_ref(tables), Vec::as_slice);
            tables.iter().for_each(|table| places(table, &mut reading.places));
        }
        Ok(())
    }
}

/// Adds the units that a call uses in a table: the units of the table, including its local indexes,
/// and the units of each global index.
fn places(table: &Value, places: &mut BTreeMap<String, f64>) {
    let Some(name) = table["TableName"].as_str() else { return };
    let indexes = |kind: &str| {
        let indexes = table[kind].as_object().into_iter().flatten();
        indexes.map(|(name, index)| (name.clone(), index["CapacityUnits"].as_f64().unwrap()))
    };
    let local: f64 = indexes("LocalSecondaryIndexes").map(|(_, units)| units).sum();
    let own = table["Table"]["CapacityUnits"].as_f64().unwrap_or_default() + local;
    let global = indexes("GlobalSecondaryIndexes");
    let global = global.map(|(index, units)| (format!("{name}/{index}"), units));
    for (place, units) in global.chain([(name.to_owned(), own)]).filter(|(_, units)| *units > 0.0) {
        *places.entry(place).or_default() += units;
    }
}

/// Returns the units of a call. The reply to a transaction lists the units of each table. The reply
/// to a refused call lists no units, but contains the item that caused the refusal, and AWS bills a
/// write of that item.
fn units(reply: &Value) -> f64 {
    match &reply["ConsumedCapacity"] {
        Value::Array(tables) => {
            tables.iter().map(|table| table["CapacityUnits"].as_f64().unwrap()).sum()
        }
        Value::Object(table) => table["CapacityUnits"].as_f64().unwrap(),
        // AWS bills every write in a refused transaction, but the reply contains only the items
        // that caused the refusal.
        _ if reply["CancellationReasons"].is_array() => {
            let items = reply["CancellationReasons"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|reason| serde_json::from_value(reason["Item"].clone()).ok());
            items.map(|item: Item| 2.0 * write_capacity_units(item_size(&item))).sum()
        }
        _ => {
            let refused: Item = serde_json::from_value(reply["Item"].clone())
                .unwrap_or_else(|error| panic!("{error}: {reply}"));
            write_capacity_units(item_size(&refused))
        }
    }
}

/// A server's functions, with metered connections to its store.
struct Counted {
    api: Api,
    meter: Meter,
    /// A header that is added to the requests.
    header: Option<(&'static str, &'static str)>,
    /// True if the functions must read the price list and the import record again.
    is_kept_old: bool,
    /// The allowances of all accounts.
    allowances: Allowances,
    /// The balance below which users get an e-mail.
    low_balance: Credits,
    costs: Costs,
}

/// The measured rows of `docs/internals/costs.tsv` by request, without the `steps` column.
type Costs = BTreeMap<String, Cost>;

impl Counted {
    async fn start() -> Self {
        let limits = [
            ("LOGIN_FAILURES_PER_ADDRESS", "100"),
            ("REGISTRATIONS_PER_ADDRESS", "20"),
            ("AI_TIMEOUT_SECONDS", "5"),
            ("PAYMENTS", "simulated"),
            ("TITLE_MODEL", "scripted"),
            ("ADMIN_CHATS", "search"),
        ];
        Self {
            api: Api::with_clock(in_the_first_month(), &limits).await,
            meter: Meter::default(),
            header: None,
            is_kept_old: false,
            allowances: Allowances::default(),
            low_balance: Credits::ZERO,
            costs: Costs::new(),
        }
    }

    /// Returns a function's state, with a metered connection to the store.
    fn metered(&self, app: &App) -> App {
        let client = aws_sdk_dynamodb::Config::from(&shared::aws::emulated())
            .to_builder()
            .interceptor(self.meter.clone());
        function::app_with_store(app, &self.api.dynamodb, client)
    }

    /// Sends a request to a warm instance. Returns the request's cost, and the reply's status and
    /// body.
    async fn ask(
        &self,
        endpoint: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> (Reading, u16, Value) {
        let server = self.api.server();
        // The clock stands still, but the items of two requests must not have the same time.
        server.clock.advance(Duration::from_millis(1));
        let mut function = server.functions[endpoint].clone();
        if let Some(warm) = function.app() {
            if !self.is_kept_old {
                warm.prices.current().await.unwrap();
                warm.imports.current().await.unwrap();
                warm.usual.current().await.unwrap();
            }
            let mut app = self.metered(&warm);
            let config = Config { allowances: self.allowances, ..(*app.config).clone() };
            app.config = Arc::new(config);
            function = function.with_app(app);
            if self.low_balance > Credits::ZERO {
                function = function::chat_with(&function, |ai| ai.low_balance = self.low_balance);
            }
        }

        let bearer = format!("Bearer {token}");
        let mut headers: Vec<_> = self.header.into_iter().collect();
        headers.extend((!token.is_empty()).then_some(("authorization", bearer.as_str())));
        let mut event = event(endpoint, path, &headers, &body);
        event["requestContext"]["identity"]["sourceIp"] = json!("203.0.113.7");
        let reply = Reply::of(invoke(&function, &event, TIME).await).await;
        let reading = std::mem::take(&mut *self.meter.0.lock().unwrap());
        reading
            .calls
            .iter()
            .for_each(|(operation, body)| permissions::allow(endpoint, operation, body));
        (reading, reply.status, reply.body)
    }

    /// Creates an API key, and records the request's cost under `name`, its name in the
    /// documentation.
    async fn new_key(&mut self, name: &str, person: &Person) -> Value {
        let body = json!({ "name": "a program" });
        self.count(name, 201, "api_key_create", "/api/user/api-keys", &person.access, body).await
    }

    /// Sends a request, and records its cost under `name`, its name in the documentation.
    async fn count(
        &mut self,
        name: &str,
        status: u16,
        endpoint: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> Value {
        let (reading, answered, reply) = Box::pin(self.ask(endpoint, path, token, body)).await;
        assert_eq!(answered, status, "{name}: {reply}");
        if !name.is_empty() {
            self.note(name, endpoint, &reading);
        }
        reply
    }

    /// Records the cost of a request to `function` under `name`, the request's name in the
    /// documentation.
    fn note(&mut self, name: &str, function: &str, reading: &Reading) {
        let cost = Cost {
            request: name.to_owned(),
            function: function.to_owned(),
            round_trips: reading.round_trips,
            writes: reading.write_units,
            reads: reading.read_units,
            steps: String::new(),
        };
        self.costs.insert(name.to_owned(), cost);
    }

    /// Records the cost of the first sweep of a store, which finds one idle account.
    async fn sweep(&mut self) {
        self.api.person("fay").await.chat("hi").await.is(200);
        let app = self.api.server().functions["chat"].app().unwrap();
        // By this time every lease has ended.
        let later = app.clock.seconds() + 3600;
        assert_eq!(self.metered(&app).store.sweep(later).await.unwrap().accounts, 1);
        let reading = std::mem::take(&mut *self.meter.0.lock().unwrap());
        self.note(requests::SWEEP, "sweep", &reading);
    }

    /// Records the cost of a census in a store with one account.
    async fn census(&mut self) {
        let other = Self::start().await;
        other.api.person("fay").await;
        let warm = other.api.server().functions["chat"].app().unwrap();
        let period = warm.data_period().await.unwrap();
        let until = Instant::now() + TIME;
        // The census of the day before has counted the earlier days.
        warm.store.note_usual_usage(period, until).await.unwrap();
        other.api.server().clock.advance(DAY);
        let app = other.metered(&warm);
        let now = app.clock.millis();
        assert_eq!(app.store.take_census(now, None).await.unwrap().users, 1);
        app.store.note_usual_usage(DataPeriod { now, ..period }, until).await.unwrap();
        let reading = std::mem::take(&mut *other.meter.0.lock().unwrap());
        self.note(requests::CENSUS, "census", &reading);
    }

    async fn chat(&mut self, name: &str, status: u16, who: &Person, message: &str) -> Value {
        self.count(name, status, "chat", "/api/chat", &who.access, json!({ "message": message }))
            .await
    }

    /// Sends a request without a body, and records its cost.
    async fn get(&mut self, name: &str, endpoint: &str, path: &str, who: &Person) -> Value {
        self.count(name, 200, endpoint, path, &who.access, Value::Null).await
    }

    /// Writes holds for `others` other chats to the account. The leases end at `expires_at`, a time
    /// in seconds.
    async fn others_wait(&self, who: &Person, others: usize, expires_at: u32) {
        let held = || json!({ "cost": PRICE, "owner": Uuid::new_v4().to_string(), "expires_at": expires_at });
        let reservations: HashMap<_, _> =
            (0..others).map(|_| (Uuid::new_v4().simple().to_string(), held())).collect();
        self.api
            .set(
                who,
                "reservations",
                AttributeValue::M(serde_dynamo::to_item(reservations).unwrap()),
            )
            .await;
    }
}

impl Counted {
    /// Records the costs of chats that can be stopped, and of the requests that stop them.
    async fn stops(&mut self, who: &Person) {
        let body = |key: &str| json!({ "idempotency_key": key });
        let path = "/api/chat/stop";
        let name = "keyed chat whose answer takes 2.5 seconds";
        let most = Duration::from_millis(2800);
        let slow = async |counted: &mut Self, _: &'static str| {
            counted.chat(name, 200, who, "!slow 2500").await;
        };
        let key = self.in_time("s", most, slow).await;
        let name = "chat stop after the answer";
        self.count(name, 200, "chat_stop", path, &who.access, body(key)).await;

        let waits = who.clone();
        let waiting = tokio::spawn(async move { waits.chat_once("k4", "!hang").await });
        who.is_waiting().await;
        self.count("chat stop", 200, "chat_stop", path, &who.access, body("k4")).await;
        waiting.await.unwrap().is(200);

        let key = who.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
        let waits = who.clone();
        let waiting = tokio::spawn(async move { waits.chat_once("k5", "!hang").await });
        who.is_waiting().await;
        self.count("chat stop by API key", 200, "chat_stop", path, &key, body("k5")).await;
        waiting.await.unwrap().is(200);

        let name = "keyed chat that is stopped before its answer";
        let most = Duration::from_millis(1500);
        let stop = async |key: &'static str| {
            who.is_waiting().await;
            who.stops(key).await.is(200);
        };
        let stopped = async |counted: &mut Self, key: &'static str| {
            tokio::join!(counted.chat(name, 200, who, "!hang"), stop(key));
        };
        self.in_time("h", most, stopped).await;
        let name = "streamed keyed chat that is stopped before its answer";
        let stopped = async |counted: &mut Self, key: &'static str| {
            let (path, body) = ("/api/chat/stream", json!({ "message": "!hang" }));
            let asked = counted.count(name, 410, "chat_stream", path, &who.access, body);
            tokio::join!(asked, stop(key));
        };
        self.in_time("i", most, stopped).await;
    }

    /// Records the cost of a chat. During a chat, the product checks once a second for a stop. If
    /// the chat takes longer than `most` because the machine is busy, measures a new chat with
    /// another idempotency key, up to twenty times. The keys begin with `prefix`. Returns the last
    /// chat's idempotency key.
    async fn in_time(
        &mut self,
        prefix: &str,
        most: Duration,
        chat: impl AsyncFn(&mut Self, &'static str),
    ) -> &'static str {
        let mut key = "";
        for number in 10..30 {
            key = format!("{prefix}{number}").leak();
            self.header = Some(("idempotency-key", key));
            let began = Instant::now();
            chat(self, key).await;
            if began.elapsed() < most {
                break;
            }
        }
        self.header = None;
        key
    }

    /// Records the costs of topping up a balance.
    async fn allowances(&mut self) {
        let (amy, art) = (self.api.person("amy").await, self.api.person("art").await);
        self.allowances = Allowances::parse("5000/month").unwrap();
        let body = json!({ "message": "hi" });
        for name in ["chat that gets an allowance", "chat after an allowance"] {
            self.count(name, 200, "chat", "/api/chat", &amy.access, body.clone()).await;
        }
        self.get("balance that gets an allowance", "balance", "/api/tokens", &art).await;
        self.get("balance after an allowance", "balance", "/api/tokens", &art).await;
        self.allowances = Allowances::default();
        // A verified address makes the account larger, so also measure a chat of this account that
        // doesn't write an e-mail.
        let amy = self.api.person("amy").await;
        let email = format!("{}@example.com", amy.name);
        self.api.set(&amy, "email", AttributeValue::S(email)).await;
        self.api.set(&amy, "email_verified", AttributeValue::Bool(true)).await;
        self.low_balance = Credits::new(1_000_000).unwrap();
        let chat = json!({ "message": "hi" });
        amy.chat("hi").await.is(200);
        for name in ["chat that writes an e-mail about a low balance", "chat after this e-mail"] {
            self.count(name, 200, "chat", "/api/chat", &amy.access, chat.clone()).await;
        }
        self.low_balance = Credits::ZERO;
    }

    /// Records the costs of chats that are charged by usage, and of requests that show or change
    /// the price list.
    async fn priced(&mut self) {
        self.api.prices(&fares::list("scripted")).await;
        let (root, who) = (self.api.administrator("root").await, self.api.person("fay").await);
        let body = json!({ "model": "deep", "message": "hi" });
        let chat = who.asks_model("deep", "hi").await.is(200);
        self.api.server().clock.advance(PRICES_KEPT);
        self.is_kept_old = true;
        for name in ["chat by usage that reads the price list again", "chat by usage"] {
            self.count(name, 200, "chat", "/api/chat", &who.access, body.clone()).await;
        }
        let name = "log-in that reads the record of imports again";
        self.count(name, 200, "login", "/api/login", "", who.credentials()).await;
        self.is_kept_old = false;
        let held = chat["receipt"]["held"].as_u64().unwrap();
        self.api.set(&who, "tokens", AttributeValue::N((held - 1).to_string())).await;
        let name = "chat by usage with a balance below its hold";
        self.count(name, 200, "chat", "/api/chat", &who.access, body).await;
        let long = json!({ "model": "quick", "message": "x".repeat(20_000) });
        self.api.set(&who, "tokens", AttributeValue::N("1000".into())).await;
        let first = who.post("/api/chat", long).await.is(200);
        let next = json!({
            "model": "deep", "message": "hi", "conversation_id": first["conversation_id"],
        });
        self.api.set(&who, "tokens", AttributeValue::N("1".into())).await;
        let name = "refused chat in a conversation";
        self.count(name, 402, "chat", "/api/chat", &who.access, next.clone()).await;
        let name = "chat in a conversation that is refused again";
        self.count(name, 402, "chat", "/api/chat", &who.access, next).await;
        self.get("list of the models and prices", "model_list", "/api/models", &who).await;
        let path = "/api/admin/models";
        let name = "price list, for administrators";
        let seen = self.get(name, "admin_models", path, &root).await["version"].clone();
        let change = json!({ "version": seen, "list": null });
        let name = "change of the price list";
        self.count(name, 200, "admin_models_change", path, &root.access, change).await;
    }

    /// Records the costs of requests that create, redeem and void vouchers.
    async fn vouchers(&mut self) {
        let (root, who) = (self.api.administrator("root").await, self.api.person("gus").await);
        let path = "/api/admin/vouchers";
        let batch = json!({ "name": "gift", "tokens": 5, "count": 100 });
        let name = "creation of 100 vouchers";
        let batch = self.count(name, 201, "admin_vouchers_create", path, &root.access, batch).await;
        self.get("list of the vouchers", "admin_vouchers", path, &root).await;
        let redeem = "/api/user/vouchers";
        let code = |code: &str| json!({ "code": code });
        let first = code(batch["codes"][0].as_str().unwrap());
        for (name, status, body) in [
            ("redeemed voucher", 200, first.clone()),
            ("voucher that the account has redeemed before", 200, first),
            ("wrong voucher", 404, code(&VoucherCode::random().unwrap().text())),
        ] {
            self.count(name, status, "voucher_redeem", redeem, &who.access, body).await;
        }
        let void = format!("{path}/{}", batch["id"].as_str().unwrap());
        let redemptions = format!("{void}/redemptions");
        self.get("list of a batch's redemptions", "admin_voucher_redemptions", &redemptions, &root)
            .await;
        let name = "end of vouchers";
        self.count(name, 200, "admin_vouchers_void", &void, &root.access, Value::Null).await;
    }

    /// Records the costs of requests that share a chat, read and report it, and end it.
    async fn shares(&mut self) {
        let (root, who) = (self.api.administrator("root").await, self.api.person("kay").await);
        let body = json!({ "message": "hi" });
        let chat = self.count("", 200, "chat", "/api/chat", &who.access, body).await;
        let (path, body) = ("/api/user/shares", json!({ "conversation_id": chat["id"] }));
        let mut shares = Vec::new();
        for name in ["shared chat", "", ""] {
            let share =
                self.count(name, 201, "share_create", path, &who.access, body.clone()).await;
            shares.push(share);
        }
        self.get("list of the shared chats", "shares", path, &who).await;
        let link = |share: &Value| format!("/api/shares/{}", share["link"].as_str().unwrap());
        let opened = link(&shares[0]);
        self.count("opened shared chat", 200, "share", &opened, "", Value::Null).await;
        let reason = json!({ "reason": "a private address" });
        for (share, name) in shares[..2].iter().zip(["report about a shared chat", ""]) {
            let path = format!("{}/reports", link(share));
            self.count(name, 202, "share_report", &path, "", reason.clone()).await;
        }
        let path = "/api/admin/shares";
        let reports = self.get("reports about shared chats", "admin_shares", path, &root).await;
        let id = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
        let (share, report) = (id(&reports[0], "share_id"), id(&reports[0], "id"));
        let dismiss = format!("{path}/{share}/reports/{report}");
        let name = "dismissed report";
        self.count(name, 200, "admin_share_end", &dismiss, &root.access, Value::Null).await;
        let end = format!("{path}/{}", id(&shares[0], "id"));
        let name = "end of a shared chat by an administrator";
        self.count(name, 200, "admin_share_end", &end, &root.access, Value::Null).await;
        let end = format!("/api/user/shares/{}", id(&shares[2], "id"));
        let name = "end of a shared chat";
        self.count(name, 200, "share_end", &end, &who.access, Value::Null).await;
    }

    /// Records the costs of a purchase and its refund, and of requests that show or change the
    /// packs.
    async fn purchases(&mut self) {
        let (root, who) = (self.api.administrator("root").await, self.api.person("hal").await);
        let path = "/api/user/purchases";
        let order = json!({ "pack": "small" });
        let order =
            self.count("order of a pack", 201, "purchase_create", path, &who.access, order).await;
        let id = order["id"].as_str().unwrap();
        let session = json!({
            "object": "checkout.session", "id": "cs_1", "client_reference_id": id,
            "metadata": { "order": id }, "status": "complete", "payment_status": "paid",
            "amount_total": 299, "amount_subtotal": 299, "currency": "eur", "payment_intent": "pi_1",
        });
        let refund = json!({
            "object": "refund", "id": "re_1", "amount": 299, "status": "succeeded",
            "payment_intent": "pi_1",
        });
        let completed = "checkout.session.completed";
        for (name, kind, object) in [
            ("event of a payment", completed, &session),
            ("event of a payment again", completed, &session),
            ("event of a refund", "refund.created", &refund),
        ] {
            let now = self.api.now();
            let event = json!({ "type": kind, "created": now, "data": { "object": object } });
            let secret = &self.api.server().checkout.as_ref().unwrap().secret;
            let signed = signature(secret, &event.to_string(), now);
            self.header = Some(("stripe-signature", signed.leak()));
            self.count(name, 200, "stripe_webhook", "/api/stripe/webhook", "", event).await;
            self.header = None;
        }
        self.get("list of packs and purchases", "purchases", path, &who).await;
        self.get("list of all purchases", "admin_purchases", "/api/admin/purchases", &root).await;
        let path = "/api/admin/packs";
        let packs = self.get("packs", "admin_packs", path, &root).await;
        let change = json!({ "packs": null, "version": packs["version"] });
        let name = "change of the packs";
        self.count(name, 200, "admin_packs_change", path, &root.access, change).await;
        let path = "/api/admin/brand";
        self.get("brand, for administrators", "admin_brand", path, &root).await;
        let change = json!({ "brand": { "name": "Acme" }, "version": null });
        let name = "change of the brand";
        self.count(name, 200, "admin_brand_change", path, &root.access, change).await;
    }

    /// Records the costs of administrators' requests in a store with a few users.
    async fn administration(&mut self) {
        let (root, dan) = (self.api.administrator("root").await, self.api.person("dan").await);
        dan.chat("hi").await.is(200);
        let user = format!("/api/admin/users/{}", dan.id);
        self.get("page of the users", "admin_users", "/api/admin/users?limit=2", &root).await;
        self.get("search of the users", "admin_users", "/api/admin/users?limit=2&q=dan", &root)
            .await;
        for (name, chosen) in [
            ("page of the users with details", "details=true"),
            ("filtered page of the users", "role=user"),
        ] {
            let path = format!("/api/admin/users?limit=2&{chosen}");
            self.get(name, "admin_users", &path, &root).await;
        }
        let inside = "/api/admin/users?match=anywhere&q=dan";
        self.get("search inside of names", "admin_users", inside, &root).await;
        self.get("user, for administrators", "admin_user", &user, &root).await;
        self.get(
            "first page of a user's statement, for administrators",
            "admin_ledger",
            &format!("{user}/ledger"),
            &root,
        )
        .await;
        self.get("page of all chats", "admin_chats", "/api/admin/chats?limit=2", &root).await;
        self.get(
            "page of one user's chats",
            "admin_chats",
            &format!("/api/admin/chats?user_id={}", dan.id),
            &root,
        )
        .await;
        let search = "/api/admin/chats?limit=2&q=said";
        self.get("search of the messages", "admin_chats", search, &root).await;
        let (path, body) =
            (format!("{user}/adjustments"), json!({ "amount": 5, "reason": "a correction" }));
        self.count("adjustment", 201, "admin_adjustment", &path, &root.access, body.clone()).await;
        self.header = Some(("idempotency-key", "k1"));
        for name in ["adjustment with a key", "replayed adjustment"] {
            self.count(name, 201, "admin_adjustment", &path, &root.access, body.clone()).await;
        }
        self.header = None;
        let grants = "/api/admin/grants";
        let mut body = json!({ "reason": "a gift", "grants": [{ "user": dan.id, "amount": 5 }] });
        let preview = "preview of a grant";
        let shown =
            self.count(preview, 200, "admin_grants", grants, &root.access, body.clone()).await;
        body["id"] = shown["id"].clone();
        for name in ["grant of a file", "grant of a file that is sent again"] {
            self.count(name, 200, "admin_grants", grants, &root.access, body.clone()).await;
        }
        body["id"] = json!(null);
        let again = "preview of a grant that was made";
        self.count(again, 200, "admin_grants", grants, &root.access, body).await;
        for (name, change) in [
            ("deactivation of a user", json!({ "active": false })),
            ("change that changes nothing", json!({ "active": false })),
        ] {
            self.count(name, 200, "admin_user_change", &user, &root.access, change).await;
        }
        self.get("page of the trail", "admin_trail", "/api/admin/trail", &root).await;
        let filtered = "/api/admin/trail?act=adjustment";
        self.get("filtered page of the trail", "admin_trail", filtered, &root).await;
        let mut days = Self::start().await;
        days.days().await;
        self.costs.append(&mut days.costs);
        let day = Day::from_millis(self.api.server().clock.millis());
        self.get(
            "export of the users of a day",
            "admin_export",
            &format!("/api/admin/export/users.csv?from={day}&to={day}"),
            &root,
        )
        .await;
        self.api.server().clock.advance(Duration::from_secs(2 * 24 * 3600));
        let root = root.elsewhere("a test").await;
        // The first request for a day's top users computes them, so the test measures the second
        // request.
        let figures = format!("/api/admin/figures?from={day}&to={day}");
        let top = format!("{figures}&top=spent");
        root.get(&top).await.is(200);
        self.get("top users of a closed day", "admin_figures", &top, &root).await;
        let app = self.api.server().apps["census"].clone();
        app.store.take_census(app.clock.millis(), None).await.unwrap();
        let sums = format!("{figures}&accounts=true");
        self.get("figures with the sums of all accounts", "admin_figures", &sums, &root).await;
        let calls = format!("{figures}&calls=true");
        self.get("figures with the calls to models", "admin_figures", &calls, &root).await;
        let sorted = "/api/admin/users?limit=2&sort=-tokens";
        self.get("sorted page of the users", "admin_users", sorted, &root).await;
        self.interventions(&root).await;
    }
}

impl Counted {
    /// Records the costs of a day's figures and ledger, in a store with two accounts. With more
    /// accounts, the costs would depend on how their rows are spread over the shards.
    async fn days(&mut self) {
        let root = self.api.administrator("root").await;
        self.api.person("ann").await.chat("hi").await.is(200);
        let day = Day::from_millis(self.api.server().clock.millis());
        let figures = format!("/api/admin/figures?from={day}&to={day}");
        self.get("figures of today", "admin_figures", &figures, &root).await;
        self.get(
            "export of the ledger of a day",
            "admin_export",
            &format!("/api/admin/export/ledger.csv?from={day}&to={day}"),
            &root,
        )
        .await;
        self.api.server().clock.advance(Duration::from_secs(2 * 24 * 3600));
        let root = root.elsewhere("a test").await;
        for name in ["figures of a closed day for the first time", "figures of a closed day"] {
            self.get(name, "admin_figures", &figures, &root).await;
        }
    }
}

impl Counted {
    /// Records the costs of administrators' interventions other than changes to the role, state or
    /// balance.
    async fn interventions(&mut self, root: &Person) {
        let bob = self.api.person_at("bob", "bob@example.com").await;
        let user = format!("/api/admin/users/{}", bob.id);
        let sessions = format!("{user}/sessions");
        let keys = format!("{user}/api-keys");
        let key = bob.makes_a_key("a program").await.is(201);
        let key = format!("{keys}/{}", key["id"].as_str().unwrap());
        bob.makes_a_key("a program").await.is(201);
        for (name, endpoint, path) in [
            ("end of a user's API key", "admin_api_keys_revoke", &key),
            ("list of a user's API keys", "admin_api_keys", &keys),
            ("end of all API keys of a user", "admin_api_keys_revoke", &keys),
            ("end of a user's sessions", "admin_sessions_end", &sessions),
        ] {
            self.get(name, endpoint, path, root).await;
        }
        let new = "/api/admin/users";
        let zoe = json!({ "username": "zoe", "password": "secret123" });
        self.count("creation of a user", 201, "admin_user_create", new, &root.access, zoe).await;
        let yan = json!({ "username": "yan", "email": "yan@example.com", "invite": true });
        self.count("invitation of a user", 201, "admin_user_create", new, &root.access, yan).await;
        let (reset, sue) = (format!("{user}/password-reset"), self.api.person("sue").await);
        let sue = format!("/api/admin/users/{}", sue.id);
        for (name, endpoint, path) in [
            ("reset e-mail to a user", "admin_password_reset", &reset),
            ("deletion of a user", "admin_user_delete", &sue),
        ] {
            self.count(name, 202, endpoint, path, &root.access, Value::Null).await;
        }
    }
}

impl Counted {
    /// Records the costs of a program's requests to `/v1/responses`,
    /// `/v1/completions` and `/v1/embeddings`.
    async fn responses(&mut self) {
        let pam = self.api.person("pam").await;
        // The first chat after an idle period costs more.
        pam.chat("hi").await.is(200);
        let key = pam.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
        pam.using(key.clone()).completes().await.is(200);
        let (count, turn) = ("x-stainless-retry-count", "x-codex-turn-metadata");
        let codex = r#"{"turn_id":"01a20f2e-df49-7d50-9892-dddfbb391acf"}"#;
        for (name, header) in [
            ("response by API key", None),
            ("response by a client that counts", Some((count, "0"))),
            ("response that is sent again", Some((count, "1"))),
            ("response of Codex", Some((turn, codex))),
            ("response that Codex sends again", Some((turn, codex))),
        ] {
            self.header = header;
            let body = json!({ "input": "hi" });
            self.count(name, 200, "responses", "/v1/responses", &key, body).await;
        }
        for (name, header) in [
            ("text completion by API key", None),
            ("text completion by a client that counts", Some((count, "0"))),
            ("text completion that is sent again", Some((count, "1"))),
        ] {
            self.header = header;
            let body = json!({ "prompt": "hi" });
            self.count(name, 200, "text_completions", "/v1/completions", &key, body).await;
        }
        for (name, header) in [
            ("embeddings by API key", None),
            ("embeddings by a client that counts", Some((count, "0"))),
            ("embeddings that are requested again", Some((count, "1"))),
        ] {
            self.header = header;
            let body = json!({ "model": "echo", "input": "hi" });
            self.count(name, 200, "embeddings", "/v1/embeddings", &key, body).await;
        }
        self.header = None;
        let body = json!({ "prompt": "hi", "stream": true });
        let (name, path) = ("streamed text completion by API key", "/v1/completions");
        self.count(name, 200, "text_completions", path, &key, body).await;
        self.equal_bodies(&pam).await;
        self.messages(&key).await;
    }

    /// Records the costs of completions by an API key for which equal bodies are retries.
    async fn equal_bodies(&mut self, who: &Person) {
        let key = json!({ "name": "a program", "retries": "equal_bodies" });
        let key = who.post("/api/user/api-keys", key).await.is(201)["key"].take();
        let program = who.using(key.as_str().unwrap());
        // The day's first message with a key costs more.
        program.completes().await.is(200);
        let path = "/v1/chat/completions";
        let body = json!({ "messages": [{ "role": "user", "content": "ho" }] });
        for name in
            ["completion by an API key with equal bodies", "completion with a body of this minute"]
        {
            self.count(name, 200, "completions", path, &program.access, body.clone()).await;
        }
    }

    /// Records the costs of requests by Anthropic's clients, with this API key.
    async fn messages(&mut self, key: &str) {
        let session = "01a20f2e-df49-7d50-9892-dddfbb391acf";
        let claude = Some(("x-claude-code-session-id", session));
        let body = json!({ "max_tokens": 1000, "messages": [{ "role": "user", "content": "hi" }] });
        for (name, header) in [
            ("message by API key", None),
            ("message by a client that counts", Some(("x-stainless-retry-count", "0"))),
            ("message that is sent again", Some(("x-stainless-retry-count", "1"))),
            ("message of Claude Code", claude),
            ("message that Claude Code sends again", claude),
        ] {
            self.header = header;
            self.count(name, 200, "messages", "/v1/messages", key, body.clone()).await;
        }
        self.header = None;
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        let name = "streamed message by API key";
        self.count(name, 200, "messages", "/v1/messages", key, streamed).await;
        let path = "/v1/messages/count_tokens";
        self.count("count of tokens", 200, "count_tokens", path, key, body).await;
    }
}

impl Counted {
    /// Records the costs of requests by a user whose instructions have the maximum length. The
    /// requests use a separate store, because the costs of pages that show all users' data are
    /// measured in a store with few rows.
    async fn instructions(&mut self) {
        let mut apart = Self::start().await;
        let zoe = apart.api.person("zoe").await;
        let begun = zoe.chat("hi").await.is(200);
        let id = begun["conversation_id"].as_str().unwrap();
        let (path, instructions) =
            (format!("/api/conversations/{id}"), json!({ "instructions": "x".repeat(2000) }));
        apart
            .count(
                "instructions of a conversation",
                200,
                "conversation_rename",
                &path,
                &zoe.access,
                instructions,
            )
            .await;
        let body = json!({ "message": "hi", "conversation_id": id });
        apart
            .count(
                "chat in a conversation with instructions",
                200,
                "chat",
                "/api/chat",
                &zoe.access,
                body,
            )
            .await;
        let (path, instructions) =
            ("/api/user/profile", json!({ "instructions": "x".repeat(2000) }));
        apart
            .count(
                "instructions of an account",
                200,
                "profile_change",
                path,
                &zoe.access,
                instructions,
            )
            .await;
        apart.get("profile of an account with instructions", "profile", path, &zoe).await;
        apart.chat("chat of an account with instructions", 200, &zoe, "hi").await;
        self.costs.append(&mut apart.costs);
    }

    /// Records the costs of a user's folders, and of chats in them. The folder's instructions have
    /// the maximum length. Uses a separate store.
    async fn folders(&mut self) {
        let mut apart = Self::start().await;
        let zoe = apart.api.person("zoe").await;
        let (path, body) =
            ("/api/folders", json!({ "name": "Travel", "instructions": "x".repeat(2000) }));
        apart.count("first folder", 201, "folder_create", path, &zoe.access, body.clone()).await;
        apart.count("folder", 201, "folder_create", path, &zoe.access, body).await;
        apart.get("folders", "folders", path, &zoe).await;
        let folder = zoe.get("/api/folders").await.is(200)[0]["id"].clone();
        let begins = json!({ "message": "hi", "folder_id": folder });
        let access = &zoe.access;
        apart.count("chat in a new folder chat", 200, "chat", "/api/chat", access, begins).await;
        let id = zoe.get("/api/conversations").await.is(200)[0]["id"].clone();
        let continues = json!({ "message": "hi", "conversation_id": id });
        apart.count("chat in a folder", 200, "chat", "/api/chat", access, continues).await;
        let one = format!("/api/conversations/{}", id.as_str().unwrap());
        let moves = json!({ "folder_id": folder });
        apart.count("move to a folder", 200, "conversation_rename", &one, access, moves).await;
        apart.get("conversation in a folder", "conversation", &one, &zoe).await;
        let listed = format!("/api/conversations?folder_id={}", folder.as_str().unwrap());
        apart.get("conversations of a folder", "conversations", &listed, &zoe).await;
        let path = format!("{path}/{}", folder.as_str().unwrap());
        let renames = json!({ "name": "Fares" });
        apart.count("change of a folder", 200, "folder_change", &path, access, renames).await;
        self.costs.append(&mut apart.costs);
    }
}

impl Counted {
    /// Records the cost of a message with as many and as large pictures as possible. Uses a separate
    /// store.
    async fn pictures(&mut self) {
        let mut apart = Self::start().await;
        let zoe = apart.api.person("zoe").await;
        zoe.chat("hi").await.is(200);
        let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
        picture.resize(FILE_BYTES, 0);
        let picture = json!({ "name": "a.png", "data": BASE64_STANDARD.encode(&picture) });
        let body = json!({ "message": "hi", "attachments": vec![picture; PICTURES_IN_PROMPT] });
        let name = "chat with four large pictures";
        apart.count(name, 200, "chat", "/api/chat", &zoe.access, body).await;
        self.costs.append(&mut apart.costs);
    }

    /// Records the cost of an export of addresses. Uses a separate store.
    async fn exported_addresses(&mut self) {
        let mut apart = Self::start().await;
        let root = apart.api.administrator("root").await;
        let (ann, _) = apart.api.person_with_email().await;
        let path = format!("/api/admin/export/addresses.csv?users={}", ann.id);
        apart.get("export of the address of a user", "admin_export", &path, &root).await;
        self.costs.append(&mut apart.costs);
    }

    /// Records the costs of chats that don't follow the newest chat in their conversation, and of
    /// deleting these chats. Uses a separate store.
    async fn branches(&mut self) {
        let mut apart = Self::start().await;
        let zoe = apart.api.person("zoe").await;
        let id = zoe.chat("hi").await.is(200)["id"].as_str().unwrap().to_owned();
        let body = |after: &Value| {
            let after = after.as_str().unwrap_or_default();
            json!({ "message": "hi", "conversation_id": id, "after": after })
        };
        let send = async |after: &Value| {
            let reply = zoe.post("/api/chat/", body(after)).await.is(200);
            reply["id"].clone()
        };
        let (first, token) = (json!(id), zoe.access.clone());
        let second = send(&Value::Null).await;
        let name = "chat in a conversation after an earlier message";
        let branch = apart.count(name, 200, "chat", "/api/chat", &token, body(&first)).await;
        send(&branch["id"]).await;
        for (name, id) in
            [("deletion of a chat", &second), ("deletion of a chat of a branch", &branch["id"])]
        {
            let path = format!("/api/chat/{}", id.as_str().unwrap());
            apart.get(name, "chat_delete", &path, &zoe).await;
        }
        for _ in 0..20 {
            send(&Value::Null).await;
        }
        let name = "chat in a conversation after a message far back";
        apart.count(name, 200, "chat", "/api/chat", &token, body(&first)).await;
        self.costs.append(&mut apart.costs);
    }
}

impl Counted {
    /// Records the cost of each documented request that hasn't been measured yet, is named after
    /// its endpoint and has no body.
    async fn plain(&mut self, documented: &[Cost]) {
        let dan = self.api.person("plain").await;
        for Cost { request, function, .. } in documented {
            let route = ROUTES.iter().find(|route| route.endpoint == function);
            let named = request.replace(' ', "_") == *function;
            if let (false, true, Some(route)) = (self.costs.contains_key(request), named, route) {
                self.get(request, function, route.path, &dan).await;
            }
        }
    }
}

/// Returns the content of `docs/internals/costs.tsv` with measured costs. Requests that have no row
/// yet come last, with an empty `steps` column.
fn table(mut measured: Costs, documented: &[Cost]) -> String {
    let rows = documented.iter().filter_map(|row| {
        let cost = measured.remove(&row.request)?;
        Some(Cost { steps: row.steps.clone(), ..cost })
    });
    let mut rows: Vec<Cost> = rows.collect();
    rows.extend(measured.into_values());
    let lines = rows.iter().map(|row| {
        let Cost { request, function, round_trips, writes, reads, steps } = row;
        format!("{request}\t{function}\t{round_trips}\t{writes}\t{reads}\t{steps}\n")
    });
    let head = "request\tfunction\tround trips\twrite units\tread units\tsteps\n".to_owned();
    std::iter::once(head).chain(lines).collect()
}

impl Counted {
    /// Records the costs of registrations. Returns a user with an e-mail address.
    async fn registrations(&mut self) -> Person {
        let (endpoint, path) = ("register", "/api/register");
        let ben = json!({ "username": "ben", "password": "secret123" });
        self.count("registration", 201, endpoint, path, "", ben).await;
        let ann = json!({ "username": "ann", "password": "secret123", "email": "ann@example.com" });
        let name = "registration with an e-mail address";
        let registered = self.count(name, 201, endpoint, path, "", ann.clone()).await;
        Person::of(&self.api, &ann, &registered)
    }

    /// Records the costs of log-ins, and of requests with a JWT in the body.
    async fn tokens(&mut self, who: &Person) {
        for (name, login) in [("log-in", "ann"), ("log-in by e-mail address", "ann@example.com")] {
            let body = json!({ "username": login, "password": who.password });
            self.count(name, 200, "login", "/api/login", "", body).await;
        }
        let body = json!({ "refresh": who.refresh });
        self.count("refresh", 200, "token_refresh", "/api/token/refresh", "", body).await;
        for (name, token) in
            [("check of an access token", &who.access), ("check of a refresh token", &who.refresh)]
        {
            let body = json!({ "token": token });
            self.count(name, 200, "token_verify", "/api/token/verify", "", body).await;
        }
        // Ends a session of a new account, because an ended session stays in its account's item for
        // a while and makes the item larger.
        let finn = self.api.person("finn").await;
        let (name, path) = ("end of a session by its refresh token", "/api/token/blacklist");
        let body = json!({ "refresh": finn.refresh });
        self.count(name, 200, "token_blacklist", path, "", body).await;
    }

    /// Records the costs of single chats. Returns the reply to the last one.
    async fn chats(&mut self, who: &Person) -> Value {
        self.chat("first chat after a rest", 200, who, "hi").await;
        self.chat("chat", 200, who, "hi").await;
        for others in [5, 63] {
            self.others_wait(who, others, u32::MAX).await;
            self.chat(&format!("chat while {others} others wait"), 200, who, "hi").await;
        }
        self.others_wait(who, 1, 1).await;
        who.has_left(0).await;
        self.chat("chat with expired holds in the way", 200, who, "hi").await;
        who.has_left(99).await;
        self.chat("refused chat", 402, who, "hi").await;
        self.chat("chat without a message", 400, who, "").await;
        who.has_left(GRANT).await;
        self.chat("chat whose AI fails", 502, who, "!fail").await;
        for name in ["first temporary chat", "temporary chat"] {
            let body = json!({ "message": "hi", "temporary": true });
            self.count(name, 200, "chat", "/api/chat", &who.access, body).await;
        }
        self.header = Some(("idempotency-key", "k1"));
        let first = self.chat("chat with a key", 200, who, "hi").await;
        assert_eq!(self.chat("replayed chat", 200, who, "hi").await, first);
        self.header = None;
        first
    }

    /// Records the costs of requests that read and change a conversation. `id` is the id of the
    /// conversation and of its first chat.
    async fn conversation(&mut self, who: &Person, id: &str) {
        let more = json!({ "message": "hi", "conversation_id": id });
        self.count("chat in a conversation", 200, "chat", "/api/chat", &who.access, more).await;
        self.get("page of the conversations", "conversations", "/api/conversations", who).await;
        let search = "/api/conversations?q=hi";
        self.get("search of the conversations", "conversations", search, who).await;
        let path = format!("/api/conversations/{id}");
        self.get("conversation", "conversation", &path, who).await;
        who.changes_stored(id, "REMOVE charged_before", &[]).await;
        let name = "conversation whose charges are counted";
        self.get(name, "conversation", &path, who).await;
        let title = format!("{path}/title");
        self.count("title by a model", 200, "conversation_title", &title, &who.access, Value::Null)
            .await;
        let history = format!("/api/chat?conversation_id={id}");
        self.get("page of a conversation's history", "chat_history", &history, who).await;
        for (name, change) in [
            ("other title", json!({ "title": "x" })),
            ("pin of a conversation", json!({ "pinned": true })),
            ("end of a pin", json!({ "pinned": false })),
        ] {
            self.count(name, 200, "conversation_rename", &path, &who.access, change).await;
        }
        let file = json!([{ "name": "a.txt", "text": "one" }]);
        let with = json!({ "message": "hi", "attachments": file });
        let first =
            self.count("chat with a file", 200, "chat", "/api/chat", &who.access, with).await;
        let id_of_first = first["id"].as_str().unwrap();
        let more = json!({ "message": "hi", "conversation_id": id_of_first });
        let name = "chat in a conversation with a file";
        self.count(name, 200, "chat", "/api/chat", &who.access, more).await;
        let of_file = format!("/api/files/{id_of_first}.0");
        self.get("file", "file_read", &of_file, who).await;
        let path_of_first = format!("/api/conversations/{id_of_first}");
        let removal = json!({ "remove_files": [format!("{id_of_first}.0")] });
        let name = "removal of a file from the context";
        self.count(name, 200, "conversation_rename", &path_of_first, &who.access, removal).await;
        self.get("single chat", "chat_read", &format!("/api/chat/{id}"), who).await;
        self.get("page of the history", "chat_history", "/api/chat", who).await;
        self.get("page of a search", "chat_history", "/api/chat?q=hi", who).await;
    }

    async fn statements(&mut self, who: &Person) {
        let path = "/api/user/ledger";
        let first = format!("{path}?limit=1");
        self.get("first page of a statement", "ledger", &first, who).await;
        let next = who.get(&first).await.next_page().unwrap();
        self.get("later page of a statement", "ledger", &format!("{path}{next}"), who).await;
        let yesterday = Day::from_millis(self.api.server().clock.millis()).before(1);
        let earlier = format!("{path}?to={yesterday}");
        self.get("statement of earlier days", "ledger", &earlier, who).await;
        let of_model = format!("{path}?model=deep");
        self.get("statement of a model", "ledger", &of_model, who).await;
        self.get("months of a statement", "ledger", &format!("{path}/months"), who).await;
        self.get("export of a page", "export", "/api/user/export", who).await;
    }

    async fn sessions(&mut self, who: &Person) {
        let path = "/api/user/sessions";
        let sessions = self.get("page of the sessions", "sessions", path, who).await;
        let other = format!("{path}/{}", sessions[0]["id"].as_str().unwrap());
        self.get("end of another session", "session_end", &other, who).await;
    }

    /// Records the costs of requests about API keys, and of completions.
    async fn programs(&mut self, who: &Person) {
        let keys = "/api/user/api-keys";
        let key = self.new_key("new API key", who).await;
        self.get("list of the API keys", "api_keys", keys, who).await;
        let program = who.using(key["key"].as_str().unwrap());
        let path = "/v1/chat/completions";
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        for (name, count) in [
            ("first completion of a day by API key", None),
            ("completion by API key", None),
            ("completion by a client that counts", Some("0")),
            ("completion that is sent again", Some("1")),
        ] {
            self.header = count.map(|count| ("x-stainless-retry-count", count));
            self.count(name, 200, "completions", path, &program.access, body.clone()).await;
        }
        self.header = None;
        let restricted = json!({ "name": "a program", "limit": { "tokens": 1000 } });
        let name = "new API key with a limit";
        let limited = self.count(name, 201, "api_key_create", keys, &who.access, restricted).await;
        let robot = who.using(limited["key"].as_str().unwrap());
        robot.completes().await.is(200);
        let name = "completion by API key with a limit";
        self.count(name, 200, "completions", path, &robot.access, body).await;
        self.get("list of the models", "models", "/v1/models", &program).await;
        let key = format!("{keys}/{}", key["id"].as_str().unwrap());
        let name = json!({ "name": "laptop" });
        self.count("new name of an API key", 200, "api_key_rename", &key, &who.access, name).await;
        let other = format!("{keys}/{}", limited["id"].as_str().unwrap());
        let limit = json!({ "limit": { "tokens": 2000 } });
        let name = "new limit of an API key";
        self.count(name, 200, "api_key_rename", &other, &who.access, limit).await;
        self.get("end of an API key", "api_key_revoke", &key, who).await;
    }

    /// Records the costs of a log-out, and of requests that need no session.
    async fn without_a_session(&mut self, who: &Person) {
        self.count("log-out", 200, "logout", "/api/logout", &who.access, json!({})).await;
        for (name, endpoint, path) in [
            ("public keys", "jwks", "/.well-known/jwks.json"),
            ("place of the public keys", "discovery", "/.well-known/openid-configuration"),
            ("this API as a document", "openapi", "/api/openapi.json"),
        ] {
            self.get(name, endpoint, path, who).await;
        }
    }

    /// Records the costs of requests about e-mail addresses and lost passwords.
    async fn addresses(&mut self) {
        let cat = self.api.person_at("cat", "cat@example.com").await;
        let (profile, names) = ("/api/user/profile", json!({ "first_name": "Cat" }));
        self.count("change of names", 200, "profile_change", profile, &cat.access, names).await;
        let address = "cat@example.org";
        let other = json!({ "email": address, "current_password": cat.password });
        let name = "change of the address";
        self.count(name, 200, "profile_change", profile, &cat.access, other).await;
        self.api.server().clock.advance(Duration::from_secs(60));
        let (name, path) = ("another e-mail to verify", "/api/user/email");
        self.count(name, 202, "email_resend", path, &cat.access, Value::Null).await;
        let verify = "/api/user/email/verify";
        let body = json!({ "token": self.api.link(&cat, Purpose::Verify, address).await });
        let name = "verification of an address";
        self.count(name, 200, "email_verify", verify, &cat.access, body).await;
        let dora = self.api.person_at("dora", "dora@example.com").await;
        let token = self.api.link(&dora, Purpose::Verify, "dora@example.com").await;
        let body = json!({ "token": token, "password": "secret456" });
        let name = "verification of an address with a new password";
        self.count(name, 200, "email_verify", verify, "", body).await;
        // The cost doesn't depend on whether an account has the address.
        for (name, someone) in [
            ("request of a reset", address),
            ("request of a reset for an unknown address", "nobody@example.org"),
        ] {
            let (path, body) = ("/api/password/reset", json!({ "email": someone }));
            self.count(name, 202, "password_reset", path, "", body).await;
        }
        let token = self.api.link(&cat, Purpose::Reset, address).await;
        let new = json!({ "token": token, "password": "secret456" });
        let (name, path) = ("reset of the password", "/api/password/reset/confirm");
        self.count(name, 200, "password_reset_confirm", path, "", new).await;
        let cat = Person { password: "secret456".into(), ..cat };
        let access = cat.log_in().await.is(200)["access"].as_str().unwrap().to_owned();
        let new = json!({ "current_password": cat.password, "new_password": "secret789" });
        let (name, path) = ("change of the password", "/api/user/password");
        self.count(name, 200, "password_change", path, &access, new).await;
    }

    async fn deletion(&mut self) {
        let cat = self.api.person("cat").await;
        let (name, body) = ("deletion of an account", json!({ "password": cat.password }));
        self.count(name, 202, "account_delete", "/api/user", &cat.access, body).await;
    }

    /// Records the costs of the chats on which the estimate is based.
    async fn estimated(&mut self) {
        let eve = self.api.person("eve").await;
        for (name, endpoint, path, key) in [
            (requests::CHAT, "chat", "/api/chat", "k1"),
            (requests::STREAMED, "chat_stream", "/api/chat/stream", "k2"),
        ] {
            let first = eve.chat("hi").await.is(200);
            self.header = Some(("idempotency-key", key));
            let body = json!({ "message": "hi", "conversation_id": first["conversation_id"] });
            self.count(name, 200, endpoint, path, &eve.access, body).await;
            self.header = None;
        }
    }
}

#[tokio::test]
async fn each_request_costs_what_the_documentation_says() {
    let mut counted = Counted::start().await;
    let ann = counted.registrations().await;
    counted.tokens(&ann).await;
    counted.sweep().await;
    counted.census().await;
    let first = counted.chats(&ann).await;
    counted.conversation(&ann, first["conversation_id"].as_str().unwrap()).await;
    counted.statements(&ann).await;
    counted.sessions(&ann).await;
    counted.programs(&ann).await;
    counted.without_a_session(&ann).await;
    counted.addresses().await;
    counted.deletion().await;
    counted.estimated().await;
    counted.administration().await;
    counted.responses().await;
    Box::pin(counted.allowances()).await;
    counted.instructions().await;
    counted.folders().await;
    counted.pictures().await;
    counted.exported_addresses().await;
    counted.branches().await;
    // Stopped chats use a separate store, because they would add rows to the day whose figures are
    // measured above.
    let mut stopping = Counted::start().await;
    let eve = stopping.api.person("eve").await;
    eve.chat("hi").await.is(200);
    stopping.stops(&eve).await;
    counted.costs.extend(stopping.costs);
    let mut priced = Counted::start().await;
    priced.priced().await;
    priced.vouchers().await;
    priced.shares().await;
    priced.purchases().await;
    counted.costs.extend(priced.costs);
    let documented = requests::costs().unwrap();
    counted.plain(&documented).await;
    assert_recorded("docs/internals/costs.tsv", &table(counted.costs, &documented));
}

#[tokio::test]
async fn chats_that_no_client_can_stop_are_not_checked_for_stops() {
    let mut counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let mut cost = async |count: Option<&'static str>, endpoint: &str, path: &str, body: Value| {
        counted.header = count.map(|count| ("x-stainless-retry-count", count));
        let (reading, status, reply) = counted.ask(endpoint, path, &ann.access, body).await;
        assert_eq!(status, 200, "{reply}");
        (reading.round_trips, reading.read_units)
    };
    let slow = "!slow 2200";
    let chat = json!({ "message": slow });
    assert_eq!(cost(None, "chat", "/api/chat", chat).await, (2, 0.0), "it has no key");
    // If a client counts its retries but sends no idempotency key, the function chooses a key. The
    // client doesn't know this key, and therefore can't stop the chat.
    let completion = json!({ "messages": [{ "role": "user", "content": slow }] });
    let costs = cost(Some("0"), "completions", "/v1/chat/completions", completion).await;
    assert_eq!(costs, (3, 0.0), "the last call; reserve; settle");
    let costs = cost(Some("0"), "responses", "/v1/responses", json!({ "input": slow })).await;
    assert_eq!(costs, (3, 0.0), "the same");
    let text = json!({ "prompt": slow });
    let costs = cost(Some("0"), "text_completions", "/v1/completions", text).await;
    assert_eq!(costs, (3, 0.0), "the same");
    let turns = json!([{ "role": "user", "content": slow }]);
    let message = json!({ "messages": turns, "max_tokens": 1000 });
    let costs = cost(Some("0"), "messages", "/v1/messages", message).await;
    assert_eq!(costs, (3, 0.0), "the same");
}

#[tokio::test]
async fn chats_in_conversations_write_what_the_estimate_says() {
    let mut counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    for (endpoint, path, key) in
        [("chat", "/api/chat", "k1"), ("chat_stream", "/api/chat/stream", "k2")]
    {
        let first = ann.chat("hi").await.is(200);
        let body = json!({ "message": "hi", "conversation_id": first["conversation_id"] });
        counted.header = Some(("idempotency-key", key));
        let (reading, status, reply) = counted.ask(endpoint, path, &ann.access, body).await;
        assert_eq!(status, 200, "{reply}");
        let estimated = PLACES.iter().map(|(place, units)| ((*place).to_owned(), *units));
        assert_eq!(reading.places, estimated.collect());
    }
}

#[tokio::test]
async fn log_ins_strengthen_weak_hashes_without_more_round_trips() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    counted.api.set(&ann, "password", AttributeValue::S(weak_hash().into())).await;
    for _ in 0..2 {
        let (reading, status, _) = counted
            .ask(
                "login",
                "/api/login",
                "",
                json!({ "username": ann.name, "password": "secret123" }),
            )
            .await;
        assert_eq!((reading.round_trips, status), (2, 200));
        assert!(is_current(&counted.api.account(&ann).await.password));
    }
}

#[tokio::test]
async fn refused_log_ins_cost_at_most_two_round_trips() {
    let counted = Counted::start().await;
    let ann = counted.api.person("ann").await;
    let log_in = async |password: &str| {
        let (reading, status, _) = counted
            .ask("login", "/api/login", "", json!({ "username": ann.name, "password": password }))
            .await;
        (reading.round_trips, status)
    };
    for failure in 1..=13 {
        assert_eq!(log_in("wrong-password").await, (1, 401), "{failure}");
    }
    assert_eq!(log_in("secret123").await, (1, 429));
    // After the pause that wrong passwords cause, the next log-in needs a second write, which
    // counts the log-in.
    counted.api.server().clock.advance(Duration::from_secs(3086));
    let (trips, status) = log_in("wrong-password").await;
    assert!(trips <= 2 && status == 401, "{trips} {status}");
    assert_eq!(log_in("secret123").await, (1, 429));
    // Restarting an expired count of log-ins needs a second write.
    counted.api.server().clock.advance(Duration::from_secs(24 * 3600));
    let (trips, status) = log_in("secret123").await;
    assert!(trips <= 3 && status == 200, "{trips} {status}");
}

#[tokio::test]
async fn the_template_allows_rare_calls() {
    let mut counted = Counted::start().await;
    let ann = counted.api.person_at("ann", "ann@example.com").await;
    let log_in = json!({ "username": "ann", "password": "secret123" });
    counted.ask("login", "/api/login", "", log_in.clone()).await;
    // Once unknown clients have used up their attempts, the attempts of clients that logged in
    // before are counted separately.
    for guess in 0..15 {
        let (_, status, reply) = counted
            .ask("login", "/api/login", "", json!({ "username": "ann", "password": "wrong" }))
            .await;
        assert_eq!(status, 401, "{guess}: {reply}");
    }
    assert_eq!(counted.ask("login", "/api/login", "", log_in).await.1, 200);

    counted.header = Some(("idempotency-key", "k1"));
    let ben = json!({ "username": "ben", "password": "secret123" });
    for _ in 0..2 {
        assert_eq!(counted.ask("register", "/api/register", "", ben.clone()).await.1, 201);
    }
    counted.header = None;

    // The first verification of an address revokes API keys.
    counted.new_key("", &ann).await;
    let token = counted.api.link(&ann, Purpose::Verify, "ann@example.com").await;
    counted
        .count(
            "",
            200,
            "email_verify",
            "/api/user/email/verify",
            &ann.access,
            json!({ "token": token }),
        )
        .await;
    let cat = counted.api.person_at("cat", "cat@example.com").await;
    counted.new_key("", &cat).await;
    let token = counted.api.link(&cat, Purpose::Reset, "cat@example.com").await;
    let reset = json!({ "token": token, "password": "secret456" });
    counted
        .count("", 200, "password_reset_confirm", "/api/password/reset/confirm", "", reset)
        .await;
}

impl Counted {
    /// Returns, as JSON, the items in a table that contain this string. The table may contain at
    /// most a megabyte.
    fn items(&self, table: &str, text: &str) -> Vec<String> {
        let scan = serde_json::from_value(json!({ "TableName": table })).unwrap();
        let found = self.api.server().dynamo.database.scan(scan).unwrap();
        let found = serde_json::to_value(found).unwrap();
        let items = found["Items"].as_array().unwrap().iter().map(Value::to_string);
        let items: Vec<String> = items.filter(|item| item.contains(text)).collect();
        assert!(!items.is_empty(), "{text} in {table}");
        items
    }

    /// Adds `count` copies of each item to a table. In each copy, `texts` are replaced by the
    /// strings that `others` returns for the copy's number.
    fn copy<const N: usize>(
        &self,
        table: &str,
        items: &[String],
        texts: [&str; N],
        count: usize,
        others: impl Fn(usize) -> [String; N],
    ) {
        let database = &self.api.server().dynamo.database;
        let puts = items.iter().flat_map(|item| {
            let others = &others;
            (0..count).map(move |number| {
                let replace = |item: String, (old, new): (&str, String)| item.replace(old, &new);
                let item = texts.into_iter().zip(others(number)).fold(item.clone(), replace);
                format!(r#"{{"PutRequest":{{"Item":{item}}}}}"#)
            })
        });
        let puts: Vec<String> = puts.collect();
        // DynamoDB accepts at most 25 writes in a batch.
        for batch in puts.chunks(25) {
            let batch = format!(r#"{{"RequestItems":{{"{table}":[{}]}}}}"#, batch.join(","));
            database.batch_write_item(serde_json::from_str(&batch).unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn page_costs_do_not_grow_with_the_number_of_items() {
    let counted = Counted::start().await;
    let root = counted.api.administrator("root").await;
    let ann = counted.api.person("ann").await;
    let chat = ann.chat("hi").await.is(200);
    let (chat_id, conversation) = (chat["id"].as_str().unwrap(), &chat["conversation_id"]);
    // The list of users has four partitions, and each user is assigned to one of them at random.
    let mut others = Vec::new();
    for number in 0..8 {
        others.push(counted.api.person(&format!("u{number}000000")).await);
    }
    let history = format!("/api/chat?conversation_id={}", conversation.as_str().unwrap());
    let pages = [
        ("chat_history", "/api/chat?x=", &ann),
        ("chat_history", &*history, &ann),
        ("conversations", "/api/conversations?x=", &ann),
        ("ledger", "/api/user/ledger?x=", &ann),
        ("admin_ledger", &*format!("/api/admin/users/{}/ledger?x=", ann.id), &root),
        ("admin_users", "/api/admin/users?x=", &root),
        ("admin_users", "/api/admin/users?q=u", &root),
        ("admin_users", "/api/admin/users?match=anywhere&q=0", &root),
        ("admin_users", "/api/admin/users?role=user", &root),
        ("admin_users", "/api/admin/users?details=true", &root),
        ("admin_users", "/api/admin/users?active=true&tokens_from=1", &root),
        ("admin_users", "/api/admin/users?sort=-tokens", &root),
        ("admin_users", "/api/admin/users?sort=last_message&role=user", &root),
        ("admin_chats", "/api/admin/chats?x=", &root),
        ("admin_chats", &*format!("/api/admin/chats?user_id={}", ann.id), &root),
        ("admin_chats", "/api/admin/chats?q=HI", &root),
        ("admin_chats", &*format!("/api/admin/chats?q=hi&user_id={}", ann.id), &root),
    ];
    let mut costs = Vec::new();
    let clock = counted.api.clock();
    let id = || clock.id().to_string();
    let of_chat = ["ChatsTable", "LedgerTable"].map(|table| (table, counted.items(table, chat_id)));
    let of_others = others.iter().map(|person| counted.items("UsersTable", &person.name));
    let of_others: Vec<_> = of_others.collect();
    for (chats, users, from) in [(100, 25, 1), (99_900, 2_475, 26)] {
        for (table, items) in &of_chat {
            counted.copy(table, items, [chat_id], chats, |_| [id()]);
        }
        for (Person { name, id: user_id, .. }, items) in others.iter().zip(&of_others) {
            counted.copy("UsersTable", items, [name, user_id], users, |number| {
                [format!("{}{:06}", &name[..2], from + number), id()]
            });
        }
        let census = &counted.api.server().apps["census"];
        census.store.take_census(census.clock.millis(), None).await.unwrap();
        let mut read = Vec::new();
        for (endpoint, path, who) in &pages {
            let path = format!("{path}&limit=20");
            let (reading, status, page) =
                counted.ask(endpoint, &path, &who.access, Value::Null).await;
            assert_eq!(status, 200, "{path}: {page}");
            let entries = page.as_array().unwrap_or_else(|| panic!("{path}: {page}")).len();
            let Reading { round_trips, read_units, calls, .. } = reading;
            read.push((path, entries, round_trips, calls.len(), read_units));
        }
        costs.push(read);
    }
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0].iter().filter(|(_, entries, ..)| *entries == 20).count() >= 8, "{costs:?}");
}
