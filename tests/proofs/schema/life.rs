//! Sends a server all kinds of requests, so that its store contains all kinds of items with all
//! their attributes. Also records the data that clients keep between requests.

use std::collections::BTreeMap;
use std::pin::pin;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use emulator::dynamo::{Data, Dynamo};
use emulator::template::Template;
use functions::ENDPOINTS;
use futures_util::future::{Either, select};
use local::server::environment_of;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::Credits;
use shared::clock::{Clock, Day, FIRST_DAY};
use shared::config::Settings;
use shared::store::Order;
use shared::values::{
    Allowances, Dispute, ModelCalls, PaymentFacts, Progress, RefundState, Refunded, VoucherCode,
};
use tokio::task::JoinHandle;

use super::record::{self, Head, Record};
use crate::support::client::{Answer, Api, DAY, Person, token_in};
use crate::support::django::{self, DumpFile};
use crate::support::function::{ask, chat_with};
use crate::support::program;
use crate::support::rig::well_before_the_hour;
use crate::support::wait::until;
use crate::support::world::put;

pub const PASSWORD: &str = "secret123";

/// The signing secrets of recorded servers. No other server uses these secrets.
pub const OLD_SECRET: &str = "the-first-secret-of-the-recorded-store-0123456789";
pub const SECRET: &str = "the-second-secret-of-the-recorded-store-0123456789";

/// The settings of recorded servers. `scripts/dev/record-store` reads this list, and starts an
/// earlier release with the same settings.
pub const SETTINGS: [(&str, &str); 8] = [
    ("AI_PROVIDER", "scripted"),
    ("AI_TIMEOUT_SECONDS", "25"),
    ("LOGIN_ATTEMPTS", "9"),
    ("LOGIN_FAILURES_PER_ADDRESS", "1000"),
    ("MESSAGE_LIMIT", "8000"),
    ("REGISTRATIONS_PER_ADDRESS", "1000"),
    ("SHARING", "on"),
    ("TITLE_MODEL", "scripted"),
];

/// How many times a test tries to find an e-mail in the outbox.
const TURNS: usize = 8;

/// The data that clients keep between requests.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// Users with their JWTs, keyed by a name for each session.
    people: BTreeMap<String, Session>,
    /// Replies, link tokens, API keys and ids.
    words: BTreeMap<String, String>,
    /// The server's last replies.
    pub seen: Vec<RecordedReply>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Session {
    id: String,
    name: String,
    token: String,
    access: String,
    refresh: String,
}

/// A reply, the user who got it, and the request's path.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecordedReply {
    pub by: String,
    pub path: String,
    pub reply: Value,
}

impl ClientCredentials {
    fn keeps(&mut self, session: &str, person: &Person) {
        let Person { id, name, token, access, refresh, .. } = person.clone();
        self.people.insert(session.into(), Session { id, name, token, access, refresh });
    }

    fn word(&mut self, name: &str, word: impl Into<String>) {
        self.words.insert(name.into(), word.into());
    }

    /// Returns the user of this session, as a client of `api`.
    pub fn person(&self, session: &str, api: &Api) -> Person {
        let Session { id, name, token, access, refresh } = self.people[session].clone();
        Person { api: api.clone(), id, name, password: PASSWORD.into(), token, access, refresh }
    }

    pub fn said(&self, name: &str) -> &str {
        &self.words[name]
    }
}

/// Starts a server of this release with [`SETTINGS`]. The server's store also contains the public
/// key of an earlier signing secret.
pub async fn server() -> (Dynamo, Api) {
    let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
    // Stay within the hour. In a new hour, the count of attempts would contain only successful
    // log-ins. They are removed from the count, and DynamoDB removes a set together with its last
    // element.
    let now = well_before_the_hour();
    let template = Template::load().unwrap();
    let function = template.functions.iter().find(|function| function.name == "login").unwrap();
    let url = dynamo.url.clone();
    let settings = Settings::new(|name| environment_of(function, name, &url, OLD_SECRET));
    let login = ENDPOINTS.iter().find(|endpoint| endpoint.name == "login").unwrap();
    login.start(&settings, Clock::standing(now - 60_000)).await.unwrap();
    let settings = [&SETTINGS[..], &[("SIGNING_SECRET", SECRET)]].concat();
    let api = Api::at(&dynamo.url, Clock::standing(now), &settings).await;
    (dynamo, api)
}

/// Creates and redeems a voucher, guesses at another, voids both, and refunds a message.
async fn vouchers(root: &Person, ann: &Person) {
    let batch = json!({ "name": "gift", "tokens": 5, "count": 1, "uses": 2, "ends": "2100-01-01" });
    let batch = root.post("/api/admin/vouchers/", batch).await.is(201);
    let redeem = "/api/user/vouchers/";
    ann.post(redeem, json!({ "code": batch["codes"][0] })).await.is(200);
    let guess = VoucherCode::random().unwrap().text();
    ann.post(redeem, json!({ "code": guess })).await.expect(404, "no_such_voucher");
    let id = batch["id"].as_str().unwrap();
    root.delete(&format!("/api/admin/vouchers/{id}")).await.is(200);
    let chat = ann.post("/api/chat/", json!({ "message": "hi" })).await.is(200);
    let refund = json!({ "chat_id": chat["id"], "reason": "a bad answer" });
    root.post(&format!("/api/admin/users/{}/adjustments", ann.id), refund).await.is(201);
}

/// Shares chats, reports them, and ends some of them.
async fn shares(root: &Person, ann: &Person) {
    let chat = ann.post("/api/chat/", json!({ "message": "hi" })).await.is(200);
    let body =
        |author| json!({ "conversation_id": chat["conversation_id"], "show_author": author });
    ann.post("/api/user/shares/", body(false)).await.is(201);
    for nth in 0..3 {
        let share = ann.post("/api/user/shares/", body(true)).await.is(201);
        let id = share["id"].as_str().unwrap();
        let report = format!("/api/shares/{}/reports", share["link"].as_str().unwrap());
        root.api.post(&report, json!({ "reason": "a private address" })).await.is(202);
        match nth {
            0 => ann.delete(&format!("/api/user/shares/{id}")).await.is(200),
            1 => root.delete(&format!("/api/admin/shares/{id}")).await.is(200),
            _ => share,
        };
    }
}

/// Sets and removes packs. On a server of this release, also buys some.
async fn packs(api: &Api, root: &Person, ann: &Person) {
    let packs =
        json!([{ "id": "small", "name": "A few", "tokens": 50, "price": 299, "currency": "EUR" }]);
    let set = root.put("/api/admin/packs/", json!({ "packs": packs, "version": null })).await;
    let version = set.is(200)["version"].clone();
    if api.is_own() {
        purchases(api, ann).await;
    }
    root.put("/api/admin/packs/", json!({ "packs": null, "version": version })).await.is(200);
}

/// Pays for packs and refunds one of them. The payment of another has the wrong amount.
async fn purchases(api: &Api, ann: &Person) {
    let (store, clock) = (api.store(), &api.server().clock);
    let account = api.account(ann).await;
    let packs = store.packs().await.unwrap().unwrap();
    let orders: Vec<Order> =
        (0..3).map(|_| Order::new(&account, &packs.list.packs[0], clock)).collect();
    store.begin_order(&ann.id, orders[0].id(), clock.seconds()).await.unwrap();
    for order in &orders {
        store.create_order(&account, order).await.unwrap();
        store.open_payment(order, "cs_test_1").await.unwrap();
    }
    let paid = |payment: &str| PaymentFacts {
        progress: Progress::Paid,
        paid_at: Some(clock.millis()),
        payment: Some(payment.into()),
        total: Some(299),
        receipt: Some("https://pay.stripe.com/receipts/1".into()),
        ..PaymentFacts::default()
    };
    let back = Refunded { amount: 100, state: RefundState::Made };
    let refunded = PaymentFacts {
        refunds: [("re_1".to_owned(), back)].into(),
        disputes: [("dp_1".to_owned(), Dispute::Open)].into(),
        ..PaymentFacts::default()
    };
    let stored = async |index: usize| store.order(orders[index].id()).await.unwrap().unwrap();
    // The payment of an order that isn't known yet, and of an order that will never be known.
    for payment in ["pi_1", "pi_9"] {
        store.merge_facts_of_payment(payment, &refunded, clock).await.unwrap();
    }
    store.merge_facts(stored(0).await, &paid("pi_1"), clock).await.unwrap();
    let wrong = PaymentFacts { progress: Progress::Wrong, ..paid("pi_2") };
    store.merge_facts(stored(1).await, &wrong, clock).await.unwrap();
    assert_eq!(store.tell_disputes(clock).await.unwrap().disputes, 1);
    // A payment on a day whose figures are stored next.
    let earlier = Clock::standing(closed_day(api).begins());
    let order = Order::new(&account, &packs.list.packs[0], &earlier);
    store.create_order(&account, &order).await.unwrap();
    store.open_payment(&order, "cs_test_2").await.unwrap();
    let order = store.order(order.id()).await.unwrap().unwrap();
    store.merge_facts(order, &paid("pi_3"), &earlier).await.unwrap();
}

/// Sets and removes a brand.
async fn brand(root: &Person) {
    let brand = json!({ "name": "Acme Chat", "terms_url": "https://www.example.com/terms" });
    let set = root.put("/api/admin/brand/", json!({ "brand": brand, "version": null })).await;
    let version = set.is(200)["version"].clone();
    root.put("/api/admin/brand/", json!({ "brand": null, "version": version })).await.is(200);
}

/// Sends messages priced by a price list, one of them with a restricted API key, and removes the
/// list. The last message is never answered.
async fn priced(api: &Api) -> JoinHandle<()> {
    let fare = json!({ "input": 50_000, "cached": 5000, "output": 400_000 });
    let model = json!({ "name": "deep", "via": ["scripted"], "fare": fare });
    let fare = json!({ "input": 50_000, "cached": 5000, "write": 60_000, "output": 400_000 });
    let caching = json!({ "name": "caching", "via": ["scripted"], "fare": fare });
    let models = [model, caching];
    api.prices(&json!({ "currency": "USD", "million_tokens": "40", "models": models })).await;
    let pia = api.person("pia").await;
    pia.post("/api/chat/", json!({ "message": "hi" })).await.is(200);
    pia.post("/api/chat/", json!({ "message": "hi", "max_cost": 100 })).await.is(200);
    // The provider has read parts of the prompt from its cache, and written others into it.
    let cached = json!({ "message": "!used 100 40+30 10", "model": "caching" });
    pia.post("/api/chat/", cached).await.is(200);
    let restrictions = json!({
        "name": "x", "expires": "2999-12-31", "models": ["deep"],
        "limit": { "tokens": 100_000, "per": "month" },
    });
    let key = pia.post("/api/user/api-keys", restrictions).await.is(201);
    let program = pia.using(key["key"].as_str().unwrap());
    program.completes().await.is(200);
    let waiting = tokio::spawn(async move {
        let messages = json!([{ "role": "user", "content": "!hang" }]);
        let body = json!({ "messages": messages });
        keyed(&program, "/v1/chat/completions", "limited", body).await;
    });
    pia.is_waiting().await;
    api.prices(&Value::Null).await;
    waiting
}

/// Sends a message that leaves a low balance, so that an e-mail about it is written.
async fn warned(api: &Api) {
    let lin = registers(api, "lin", Some("lin@example.com")).await;
    let token = api.token_to("lin@example.com").await;
    let verify = json!({ "token": token, "password": PASSWORD });
    api.post("/api/user/email/verify/", verify).await.is(200);
    let lin = lin.elsewhere("a browser").await;
    lin.makes_a_key("unused").await.is(201);
    let low_balance = Credits::new(1_000_000).unwrap();
    let chat = chat_with(&api.server().functions["chat"], |ai| ai.low_balance = low_balance);
    let bearer = lin.bearer();
    let headers = [("authorization", bearer.as_str())];
    let reply = ask(&chat, "chat", "/api/chat", &headers, json!({ "message": "hi" })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    api.mails_to("lin@example.com", 2).await;
    api.outbox_is_empty().await;
}

/// Imports a user with a message from Django.
async fn imported(api: &Api) {
    let time = "2021-03-04T05:06:07.891Z";
    let dump = DumpFile::of(&[django::user(1, "ida", 5), django::message(1, 1, "hi", time)]);
    dump.import_into(&api.server().apps["chat"]).await.unwrap();
}

/// Sends the server all kinds of requests, and returns the contents of the server's store.
pub async fn record(api: &Api, release: &str) -> Record {
    let mut kept = ClientCredentials::default();
    let root = create_administrator(api).await;
    kept.keeps("root", &root);

    if api.is_own() {
        imported(api).await;
    }
    erased_user(api).await;
    let ann = owner(api, &mut kept).await;
    talks(&ann, &mut kept).await;
    sessions(&ann, &mut kept).await;
    administration(api, &root, &ann, &mut kept).await;
    let mut emails = addresses(api, &root, &ann, &mut kept).await;
    guesses(api, &ann, &mut kept).await;
    deletions(api, &root, &mut kept).await;

    if api.is_own() {
        let now = now(api) / 1000;
        let account = api.account(&ann).await;
        let of = Allowances::parse("100000/day").unwrap();
        api.store().fill_up(&account, of, now).await.unwrap();
    }
    if api.is_own() {
        warned(api).await;
    }
    // Send the waiting chats last, because the store must be read before they time out.
    let priced = if api.is_own() { Some(priced(api).await) } else { None };
    let waiting = waits(&ann, "waiting").await;
    kept.seen = look(&root, &ann, &kept).await;
    let at = now(api);
    let mut items = items_with_a_stop(&kept.person("mia", api)).await;
    waiting.abort();
    priced.inspect(JoinHandle::abort);
    let tokens = items.get_mut("TokensTable").unwrap();
    emails.retain(|email| !tokens.iter().any(|item| item["pk"] == email["pk"]));
    tokens.extend(emails);
    if api.is_own() {
        tokens.extend(guess_of_a_later_day(api).await);
    }
    let head = Head {
        note: "A store for tests, written by scripts/dev/record-store. Its secrets were made for it and open nothing else.".into(),
        release: release.into(),
        at,
        signing_secret: SECRET.into(),
        unneeded: String::new(),
        kept,
    };
    Record { head, tables: record::tables(&api.dynamodb).await, items }
}

/// Returns the server's time in milliseconds.
fn now(api: &Api) -> u64 {
    api.clock().millis()
}

async fn registers(api: &Api, name: &str, email: Option<&str>) -> Person {
    let mut body = json!({ "username": name, "password": PASSWORD });
    if let Some(email) = email {
        body["email"] = json!(email);
    }
    api.person_with(body).await
}

/// Runs a `manage` command of the recorded release on the server's store.
fn manage(api: &Api, arguments: &[&str]) {
    let mut command = program::of_release(&[&["manage"][..], arguments].concat());
    let output = program::over_tables(&mut command, &api.dynamodb).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn create_administrator(api: &Api) -> Person {
    let named = ["create-admin", "root", "--email", "root@example.com"];
    manage(api, &[&named[..], &["--password-env", "ADMIN_PASSWORD"]].concat());
    let credentials = json!({ "username": "root", "password": program::ADMIN_PASSWORD });
    let session = api.log_in(credentials.clone()).await.is(200);
    let mut registered = session.clone();
    registered["id"] = session["user"]["id"].clone();
    Person::of(api, &credentials, &registered)
}

/// Registers Eve, deletes her account and erases it. Only the tombstone of Eve's name remains.
async fn erased_user(api: &Api) {
    let eve = registers(api, "eve", None).await;
    deletes_account(&eve).await;
    manage(api, &["erase"]);
}

async fn deletes_account(person: &Person) {
    let body = json!({ "password": PASSWORD });
    let authorization = person.bearer();
    let headers = [("authorization", authorization.as_str())];
    person.api.send(Method::DELETE, "/api/user/", &headers, Some(body)).await.is(202);
}

/// Registers Ann with an idempotency key, and verifies her address.
async fn owner(api: &Api, kept: &mut ClientCredentials) -> Person {
    let body = json!({ "username": "ann", "email": "ann@example.com", "password": PASSWORD });
    let headers = [("idempotency-key", "registration")];
    let registered =
        api.send(Method::POST, "/api/register/", &headers, Some(body.clone())).await.is(201);
    let token = api.token_to("ann@example.com").await;
    let ann = Person::of(api, &body, &registered);
    ann.verifies(&token).await.is(200);
    let ann = ann.elsewhere("a laptop").await;
    let profile = json!({ "first_name": "Ann", "last_name": "Smith", "instructions": "Be brief." });
    ann.change(profile).await.is(200);
    kept.keeps("ann", &ann);
    ann
}

pub async fn keyed(person: &Person, path: &str, key: &str, body: Value) -> Answer {
    let authorization = person.bearer();
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", key)];
    person.api.send(Method::POST, path, &headers, Some(body)).await
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Sends messages with a text and a picture: one that begins a conversation, one that continues it,
/// and one for which the AI fails.
async fn attaches(ann: &Person, kept: &mut ClientCredentials) {
    let picture = BASE64_STANDARD.encode(b"\x89PNG\r\n\x1a\n");
    let files = json!([{ "name": "a.txt", "text": "one" }, { "name": "b.png", "data": picture }]);
    let begins = json!({ "message": "with files", "attachments": files });
    let begun = ann.post("/api/chat/", begins).await.is(200)["conversation_id"].clone();
    kept.word("conversation with files", text(&begun));
    let more = json!({ "message": "more", "conversation_id": begun, "attachments": files });
    ann.post("/api/chat/stream/", more).await.is(200);
    let fails = json!({ "message": "!fail", "attachments": files });
    ann.post("/api/chat/", fails).await.expect(502, "ai_failed");
}

/// Creates conversations and many kinds of chats: with and without an idempotency key, edited, from
/// a program, with a function call, refused by the AI, with reasoning, with reasoning between the
/// answer's texts, with details of the answer's end, with a long prompt, failed, stopped and
/// deleted. Also requests embeddings twice with the same idempotency key.
async fn talks(ann: &Person, kept: &mut ClientCredentials) {
    let begun = ann.chat("the first message").await.is(200);
    let conversation = text(&begun["conversation_id"]);
    let more = json!({ "message": "the second", "conversation_id": conversation });
    ann.post("/api/chat/stream/", more).await.is(200);
    let once = json!({ "message": "only once", "conversation_id": conversation });
    let keyed_message = keyed(ann, "/api/chat/", "message", once).await.is(200);
    kept.word("message", text(&keyed_message["id"]));
    kept.word("keyed message", keyed_message.to_string());
    keyed(ann, "/api/chat/", "failed", json!({ "message": "!fail" }))
        .await
        .expect(502, "ai_failed");
    // A failure after a part of an answer counts as free work.
    ann.post("/api/chat/stream/", json!({ "message": "!cut one two" })).await.is(200);
    let change =
        json!({ "title": "Fares", "instructions": "Answer in one sentence.", "pinned": true });
    ann.patch(&format!("/api/conversations/{conversation}"), change).await.is(200);
    let folder = json!({ "name": "Travel", "instructions": "Be brief." });
    let folder = ann.post("/api/folders/", folder).await.is(201)["id"].clone();
    let moved = json!({ "folder_id": folder });
    ann.patch(&format!("/api/conversations/{conversation}"), moved).await.is(200);
    kept.word("conversation", conversation);
    let stop = async {
        ann.is_waiting().await;
        ann.stops("stopped").await.is(200);
    };
    let hold = json!({ "message": "!hold one two" });
    let (stopped, ()) = tokio::join!(keyed(ann, "/api/chat/stream/", "stopped", hold), stop);
    stopped.is(200);

    attaches(ann, kept).await;
    let mistyped = text(&ann.chat("mistyped").await.is(200)["conversation_id"]);
    for after in ["start", mistyped.as_str()] {
        let edited = json!({ "message": "edited", "conversation_id": mistyped, "after": after });
        ann.post("/api/chat/", edited).await.is(200);
    }
    let files = json!([{ "name": "a.txt", "text": "one" }]);
    let whispered =
        json!({ "message": "a temporary one", "temporary": true, "attachments": files });
    ann.post("/api/chat/", whispered).await.is(200);
    ann.post(&format!("/api/conversations/{mistyped}/title"), Value::Null).await.is(200);
    if ann.api.is_own() {
        has_too_many_chats(ann, &mistyped).await;
    }
    let other = text(&ann.chat("to be deleted").await.is(200)["conversation_id"]);
    ann.delete(&format!("/api/chat/{other}")).await.is(200);
    kept.word("emptied conversation", other);

    let key = ann.makes_a_key("a program").await.is(201);
    let revoked = ann.makes_a_key("an old program").await.is(201);
    ann.delete(&format!("/api/user/api-keys/{}", text(&revoked["id"]))).await.is(200);
    kept.word("api key", text(&key["key"]));
    kept.word("api key id", text(&key["id"]));
    kept.word("revoked api key", text(&revoked["key"]));
    let program = ann.using(text(&key["key"]));
    completes(&program, "0").await.is(200);
    let calling = json!({
        "messages": [{ "role": "user", "content": "!call ring_the_bell {}" }],
        "tools": [{ "type": "function", "function": { "name": "ring_the_bell" } }],
    });
    program.post("/v1/chat/completions", calling).await.is(200);
    for message in ["!refuse Not this.", "!think Hm. An answer."] {
        let body = json!({ "messages": [{ "role": "user", "content": message }] });
        program.post("/v1/chat/completions", body).await.is(200);
    }
    for message in ["!weave END Well, then.", "!ends model_context_window_exceeded 3 0 2 words"] {
        let messages = json!([{ "role": "user", "content": message }]);
        let body = json!({ "max_tokens": 1000, "messages": messages });
        program.post("/v1/messages", body).await.is(200);
    }
    for _ in 0..2 {
        let body = json!({ "model": "scripted", "input": "the text" });
        keyed(&program, "/v1/embeddings", "vectors", body).await.is(200);
    }
    let file = json!({ "role": "system", "content": "x".repeat(70_000) });
    let long = json!({ "messages": [file, { "role": "user", "content": "summarise it" }] });
    program.post("/v1/chat/completions", long).await.is(200);
    let careful = json!({ "name": "a careful program", "retries": "equal_bodies" });
    ann.post("/api/user/api-keys", careful).await.is(201);
}

/// Marks a conversation as one with too many chats to add up their costs, because thousands of chats
/// take too long.
async fn has_too_many_chats(ann: &Person, conversation: &str) {
    let items = ann.api.items(&ann.id).await["ChatsTable"].clone();
    let key = format!("c#{conversation}");
    let mut item = items.into_iter().find(|item| item["chat_id"] == key.as_str()).unwrap();
    item["uncounted"] = json!(true);
    put(&ann.api.dynamodb, "ChatsTable", &[item]).await;
}

/// Sends a message as a program that counts its attempts.
pub async fn completes(program: &Person, attempts_before: &str) -> Answer {
    let authorization = program.bearer();
    let headers =
        [("authorization", authorization.as_str()), ("x-stainless-retry-count", attempts_before)];
    let body = json!({ "messages": [{ "role": "user", "content": "a program's message" }] });
    program.api.send(Method::POST, "/v1/chat/completions", &headers, Some(body)).await
}

/// Returns a day whose figures are final.
fn closed_day(api: &Api) -> Day {
    Day::from_millis(now(api)).before(2).max(FIRST_DAY)
}

/// Creates sessions that are refreshed, ended by their owner, and logged out.
async fn sessions(ann: &Person, kept: &mut ClientCredentials) {
    let mut tablet = ann.elsewhere("a tablet").await;
    for _ in 0..2 {
        let refreshed = ann.api.refresh(&tablet.refresh).await.is(200);
        (tablet.access, tablet.refresh) = (text(&refreshed["access"]), text(&refreshed["refresh"]));
    }
    kept.keeps("tablet", &tablet);
    let phone = ann.elsewhere("a phone").await;
    ann.ends(&phone.session()).await.is(200);
    kept.keeps("ended session", &phone);
    ann.elsewhere("a watch").await.log_out().await.is(200);
}

async fn administration(api: &Api, root: &Person, ann: &Person, kept: &mut ClientCredentials) {
    let (ben, cat) =
        (registers(api, "ben", Some("ben@example.com")).await, registers(api, "cat", None).await);
    // Waits for Ben's e-mail before the deactivation, because a deactivated account gets no e-mail.
    api.mails_to("ben@example.com", 1).await;
    let user = |person: &Person| format!("/api/admin/users/{}", person.id);
    let adjust = json!({ "amount": 500, "reason": "for the outage" });
    let path = format!("{}/adjustments", user(ann));
    let adjusted = keyed(root, &path, "adjustment", adjust).await.is(201);
    kept.word("adjustment", adjusted.to_string());
    manage(api, &["adjust", "ann", "-50", "--reason", "too much"]);
    vouchers(root, ann).await;
    shares(root, ann).await;
    packs(api, root, ann).await;
    brand(root).await;
    root.deletes_the_account().await.expect(409, "last_administrator");
    root.patch(&user(&cat), json!({ "role": "admin", "reason": "helps" })).await.is(200);
    root.delete(&format!("{}/sessions", user(&cat))).await.is(200);
    root.patch(&user(&ben), json!({ "active": false, "reason": "is away" })).await.is(200);
    // The requests above have ended all of Cat's earlier sessions.
    kept.keeps("cat", &cat.elsewhere("a laptop").await);
    kept.keeps("ben", &ben);
    let closed = closed_day(api);
    let figures = format!("/api/admin/figures?from={closed}&to={closed}");
    root.get(&figures).await.is(200);
    root.get(&format!("{figures}&top=spent")).await.is(200);
    kept.word("figures", figures);
    manage(api, &["census"]);
    let calls = ModelCalls { model: "echo".into(), calls: 1, ..ModelCalls::default() };
    api.store().keep_model_calls(closed, vec![calls]).await.unwrap();
}

/// Sends wrong passwords: from unknown clients until they are refused, from a known device, and
/// from a logged-in user.
async fn guesses(api: &Api, ann: &Person, kept: &mut ClientCredentials) {
    let guess = |name: &str| json!({ "username": name, "password": "not-the-password" });
    let mut refused = false;
    for _ in 0..9 {
        refused |= api.log_in(guess("nobody")).await.status == 429;
    }
    assert!(refused, "unknown clients may guess too often");
    let device = ann.log_in().await.header("x-device-token").to_owned();
    let headers = [("x-device-token", device.as_str())];
    // Once unknown clients have used up their attempts, a known device's attempts are counted
    // separately.
    for _ in 0..2 {
        let wrong = api.send(Method::POST, "/api/login/", &headers, Some(guess("ann"))).await;
        wrong.expect(401, "invalid_credentials");
    }
    let body = json!({ "current_password": "not-the-password", "new_password": "another-one" });
    let cat = kept.person("cat", api);
    cat.post("/api/user/password/", body).await.expect(403, "wrong_password");
    kept.word("device", device);
}

/// Sends a wrong password after a long pause, and returns the items that count wrong passwords.
/// Panics if the server isn't this test's own, because the test can't move another server's clock.
async fn guess_of_a_later_day(api: &Api) -> Vec<Value> {
    api.server().clock.advance(DAY / 2);
    let guess = json!({ "username": "nobody", "password": "not-the-password" });
    api.log_in(guess).await.expect(401, "invalid_credentials");
    let mut counts = record::items_of(&api.dynamodb, "TokensTable").await;
    counts.retain(|item| !item["latest"].is_null());
    assert!(!counts.is_empty(), "no guess was admitted after a pause");
    counts
}

/// Deletes Mia's conversation and the account of Dan, an administrator. Nothing is erased yet.
async fn deletions(api: &Api, root: &Person, kept: &mut ClientCredentials) {
    let dan = registers(api, "dan", Some("dan@example.com")).await;
    let user = format!("/api/admin/users/{}", dan.id);
    root.patch(&user, json!({ "role": "admin", "reason": "helps too" })).await.is(200);
    let dan = dan.elsewhere("a laptop").await;
    dan.chat("to be erased").await.is(200);
    dan.makes_a_key("a program").await.is(201);
    deletes_account(&dan).await;
    kept.keeps("dan", &dan);
    let mia = registers(api, "mia", None).await;
    let conversation = text(&mia.chat("to be erased").await.is(200)["conversation_id"]);
    mia.delete(&format!("/api/conversations/{conversation}")).await.is(202);
    kept.word("deleted conversation", conversation);
    kept.keeps("mia", &mia);
}

/// Creates unverified addresses, a link that resets a password, and an unsent e-mail of each kind.
async fn addresses(
    api: &Api,
    root: &Person,
    ann: &Person,
    kept: &mut ClientCredentials,
) -> Vec<Value> {
    let mut emails = Vec::new();
    emails.push(
        outgoing(api, "verify", async |turn| {
            registers(api, &format!("fay{turn}"), Some(&format!("fay{turn}@example.com"))).await;
        })
        .await,
    );
    emails.push(
        outgoing(api, "reset", async |turn| {
            let address = format!("ida{turn}@example.com");
            registers(api, &format!("ida{turn}"), Some(&address)).await;
            let body = json!({ "email": address });
            api.post("/api/password/reset/", body).await.is(202);
        })
        .await,
    );
    emails.push(
        outgoing(api, "reset/M/invites", async |turn| {
            let (name, address) = (format!("joe{turn}"), format!("joe{turn}@example.com"));
            let body = json!({ "username": name, "email": address, "invite": true });
            root.post("/api/admin/users/", body).await.is(201);
        })
        .await,
    );
    let mut movers = Vec::new();
    for mover in 0..TURNS {
        let address = format!("gus{mover}@example.com");
        movers.push(registers(api, &format!("gus{mover}"), Some(&address)).await);
    }
    let lea = registers(api, "lea", Some("lea@example.com")).await;
    kept.keeps("lea", &lea);
    emails.push(
        outgoing(api, "address_changes", async |turn| {
            let address = json!({ "email": format!("gus{turn}@example.org") });
            movers[turn].change(address).await.is(200);
        })
        .await,
    );
    // Ben has claimed this address but hasn't verified it.
    ann.change(json!({ "email": "ben@example.com" })).await.is(200);
    kept.word("verify", token_in(api.mails_to("ben@example.com", 2).await.last().unwrap()));
    api.post("/api/password/reset/", json!({ "email": "lea@example.com" })).await.is(202);
    kept.word("reset", token_in(api.mails_to("lea@example.com", 2).await.last().unwrap()));
    for email in &emails {
        let email = &email["letter"]["M"];
        let (kind, of) = email.as_object().unwrap().iter().next().unwrap();
        let invites = !of["M"]["invites"].is_null();
        let kind = if invites { "invitation" } else { kind.as_str() };
        kept.word(&format!("letter {kind}"), text(&of["M"]["address"]["S"]));
    }
    emails
}

/// Returns an unsent e-mail of this kind, or with this field, from the outbox. The server sends
/// e-mails within a tenth of a second. If this function doesn't see an e-mail in time, it calls
/// `post` again.
async fn outgoing(api: &Api, kind: &str, post: impl AsyncFn(usize)) -> Value {
    let place = format!("/letter/M/{kind}");
    let seen = async || loop {
        let items = record::items_of(&api.dynamodb, "TokensTable").await;
        let is_it = |item: &Value| item.pointer(&place).is_some();
        if let Some(email) = items.into_iter().find(is_it) {
            return email;
        }
    };
    for turn in 0..TURNS {
        let posted = async {
            post(turn).await;
            api.outbox_is_empty().await;
        };
        if let Either::Left((email, posted)) = select(pin!(seen()), pin!(posted)).await {
            posted.await;
            return email;
        }
    }
    panic!("no outgoing e-mail of kind {kind} was seen")
}

/// Sends a chat with an idempotency key, and returns once it waits for the AI.
async fn waits(person: &Person, key: &str) -> JoinHandle<()> {
    let (waiting, key) = (person.clone(), key.to_owned());
    let waiting = tokio::spawn(async move {
        keyed(&waiting, "/api/chat/", &key, json!({ "message": "!hang" })).await;
    });
    person.is_waiting().await;
    waiting
}

/// Returns all items in the store, including the hold of a stopped chat. The `chat` function
/// notices a stop within a second and releases the hold. If the test misses the hold, it stops
/// another chat.
async fn items_with_a_stop(person: &Person) -> BTreeMap<String, Vec<Value>> {
    let is_it = |item: &Value| item["reservations"].to_string().contains("stopped");
    for turn in 0..TURNS {
        let key = format!("stopped {turn}");
        let waiting = waits(person, &key).await;
        // `waits` may return early because the user still has the previous chat's hold, so the stop
        // may not find the new chat yet.
        until("the chat is found", async || person.stops(&key).await.status != 404).await;
        let items = record::items(&person.api.dynamodb).await;
        waiting.abort();
        if items["UsersTable"].iter().any(is_it) {
            return items;
        }
    }
    panic!("no stopped chat was seen")
}

/// Records the replies that an administrator and a user get when they read data.
async fn look(root: &Person, ann: &Person, kept: &ClientCredentials) -> Vec<RecordedReply> {
    let user = format!("/api/admin/users/{}", ann.id);
    let own = [
        "/api/tokens/",
        "/api/user/profile/",
        "/api/chat/?limit=100",
        &format!("/api/chat/{}", kept.said("message")),
        "/api/conversations/",
        &format!("/api/conversations/{}", kept.said("conversation")),
        "/api/user/ledger/?limit=100",
        "/api/user/sessions/?limit=100",
        "/api/user/api-keys/",
        "/.well-known/jwks.json",
    ]
    .map(str::to_owned);
    let of_all = [
        user.clone(),
        format!("{user}/ledger/?limit=100"),
        "/api/admin/users/?limit=100".into(),
        format!("/api/admin/chats?limit=100&user_id={}", ann.id),
        "/api/admin/trail?limit=100".into(),
        kept.said("figures").to_owned(),
    ];
    let mut seen = Vec::new();
    for (by, person, paths) in [("ann", ann, &own[..]), ("root", root, &of_all[..])] {
        for path in paths {
            let reply = person.get(path).await.is(200);
            seen.push(RecordedReply { by: by.into(), path: path.clone(), reply });
        }
    }
    seen
}
