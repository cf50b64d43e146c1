//! Every fault at every call to the store, and what must be true all the same: after the request, after the client has sent it again,
//! after the lease, after the sweep, and after copies of old writes have come late.
//!
//! A run is a server, a wire in front of its store, and a user with a function instance of its own for each case, so that the cases wait
//! side by side.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::types::AttributeValue;
use functions::{ENDPOINTS, ROUTES};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use lambda_http::Body;
use lambda_http::http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::ai::asked;
use shared::chat::Chat;
use shared::store::{Bug, Entry, EntryKind, NewAccount, Registered, Session, Store};
use shared::user::{Account, Role, Username};
use shared::{App, Tokens};
use tokio::task::JoinHandle;

use crate::client::{Api, GRANT, PRICE, Person, unique};
use crate::proxy::{At, Fault, Lane, Plan, Proxy, Strikes};

/// The time of a function: the chat's. (Others have less, but here a hundred wait for each other's passwords.)
const TIME: Duration = Duration::from_secs(28);

/// Past the end of a lease that begins now: the function's time, half a minute, and a second.
const LEASE: Duration = Duration::from_secs(59);

/// How many cases run at a time.
const AT_A_TIME: usize = 96;

const ALL_STRIKES: [Strikes; 3] = [Strikes::Once, Strikes::EachAttempt, Strikes::FromThenOn];

/// What is tried.
struct Matrix<S> {
    scenarios: Vec<S>,
    faults: Vec<Fault>,
    strikes: Vec<Strikes>,
    /// At which calls, where those of an undisturbed run can't be counted: it may go on after its reply.
    calls: Option<Vec<String>>,
}

impl<S: Copy> Matrix<S> {
    fn one(scenario: S, fault: Fault, strikes: Strikes) -> Self {
        Self { scenarios: vec![scenario], faults: vec![fault], strikes: vec![strikes], calls: None }
    }

    fn whole(scenarios: &[S]) -> Self {
        Self { scenarios: scenarios.to_vec(), faults: Fault::ALL.to_vec(), strikes: ALL_STRIKES.to_vec(), calls: None }
    }
}

/// A server, the wire in front of its store, and the mistake that its functions make, if any.
pub struct Stand {
    pub api: Api,
    pub proxy: Proxy,
    bug: Option<Bug>,
}

/// A reply to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// Everything that the store holds.
pub struct World {
    pub accounts: HashMap<String, Account>,
    /// The ids of the accounts that stand in the index of those that may hold expired reservations.
    due: HashSet<String>,
    ledger: HashMap<String, Vec<Entry>>,
    chats: HashMap<String, Vec<Chat>>,
    /// The user ids of all sessions.
    sessions: Vec<String>,
    claims: Vec<Value>,
}

impl Stand {
    pub async fn start(bug: Option<Bug>) -> Self {
        let api = Api::own(&[("AI_TIMEOUT_SECONDS", "5")]).await;
        Self { proxy: Proxy::start(&api.dynamodb).await, api, bug }
    }

    /// An instance of a function behind a lane of its own, with the SDK's allowance of repeats to itself.
    fn app(&self, function: &str, lane: &Lane) -> App {
        let warm = &self.api.server().apps[function];
        let mut config = (*warm.config).clone();
        config.dynamodb_endpoint = Some(lane.url.clone());
        let client = aws_sdk_dynamodb::Config::from(&shared::aws::emulated()).to_builder();
        let store = Store::over(client.retry_partition(RetryPartition::custom("case").build()), &config);
        let store = match self.bug {
            Some(bug) => store.with(bug),
            None => store,
        };
        App { store, config: Arc::new(config), ..warm.clone() }
    }

    /// Somebody with an account and a session, without the cost of a password.
    pub async fn somebody(&self) -> Person {
        let app = &self.api.server().apps["register"];
        let name = unique("ann");
        let new = NewAccount {
            name: Username::parse(&name).unwrap(),
            email: None,
            password: "no hash of any password".into(),
            key: None,
            role: Role::User,
            grant: Tokens::new(GRANT).unwrap(),
            reason: "registration",
        };
        let account = new.open(&app.clock);
        let session = Session::new(&account, app.clock.seconds() + app.config.session_life.as_secs());
        assert!(matches!(app.store.register(&new, &account, Some(&session)).await, Ok(Registered::New)));
        let mut registered = shared::auth::issue(app, &account, &session).await.unwrap();
        registered["id"] = json!(account.id);
        Person::of(&self.api, &json!({ "username": name, "password": "none" }), &registered)
    }
}

/// What API Gateway sends for a request: a POST where there is a body.
pub fn event(path: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let mut all = json!({ "host": "x", "content-type": "application/json" });
    for (name, value) in headers {
        all[*name] = json!(value);
    }
    let method = if body.is_null() { "GET" } else { "POST" };
    let event = json!({
        "resource": path, "path": path, "httpMethod": method, "queryStringParameters": {}, "headers": all,
        "requestContext": { "stage": "live", "httpMethod": method, "identity": {} },
        "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
    });
    event.to_string()
}

/// One request to an instance of a function.
async fn ask(app: &App, function: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let event = event(path, headers, &body);
    let request = local::gateway::request(&event, function, app.clock.millis() + u64::try_from(TIME.as_millis()).unwrap()).unwrap();
    let handle = ENDPOINTS.iter().find(|known| known.name == function).unwrap().handle;
    match tokio::time::timeout(TIME, shared::http::answer(ROUTES, handle, app.clone(), request)).await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let Body::Text(text) = body else { panic!("no text") };
            Reply { status: parts.status.as_u16(), headers: parts.headers, body: serde_json::from_str(&text).unwrap() }
        }
        Err(_) => Reply { status: 504, headers: HeaderMap::new(), body: json!({ "detail": "the function ran out of time" }) },
    }
}

impl Stand {
    /// One request to the server's own instance of a function, where nothing goes wrong.
    async fn clean(&self, function: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        ask(&self.api.server().apps[function], function, path, headers, body).await
    }

    pub async fn sweep(&self) {
        let app = &self.api.server().apps["sweep"];
        app.store.sweep(app.clock.seconds()).await.unwrap();
    }

    pub fn after_the_lease(&self) {
        self.api.server().clock.advance(LEASE);
    }

    fn now(&self) -> u64 {
        self.api.server().clock.seconds()
    }

    async fn scan<T: DeserializeOwned>(&self, table: &str) -> Vec<T> {
        let client = local::dynamo::client(&self.api.dynamodb);
        let items = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
        items.collect::<Result<Vec<_>, _>>().await.unwrap().into_iter().map(|item| serde_dynamo::from_item(item).unwrap()).collect()
    }

    pub async fn world(&self) -> World {
        let mut world = World {
            accounts: HashMap::new(),
            due: HashSet::new(),
            ledger: HashMap::new(),
            chats: HashMap::new(),
            sessions: Vec::new(),
            claims: Vec::new(),
        };
        for user in self.scan::<Value>("UsersTable").await {
            if user["pk"].as_str().unwrap().starts_with("email:") {
                world.claims.push(user);
                continue;
            }
            let id = user["id"].as_str().unwrap().to_owned();
            if !user["due"].is_null() {
                world.due.insert(id.clone());
            }
            let account = serde_json::from_value(user).unwrap_or_else(|error| panic!("an account that can't be: {error}"));
            world.accounts.insert(id, account);
        }
        for entry in self.scan::<Entry>("LedgerTable").await {
            world.ledger.entry(entry.user_id.clone()).or_default().push(entry);
        }
        for chat in self.scan::<Chat>("ChatsTable").await {
            world.chats.entry(chat.user_id.clone()).or_default().push(chat);
        }
        let tokens = self.scan::<Value>("TokensTable").await;
        let sessions = tokens.iter().filter(|item| item["pk"].as_str().unwrap().starts_with("session:"));
        world.sessions = sessions.map(|session| session["user_id"].as_str().unwrap().to_owned()).collect();
        world
    }
}

impl World {
    fn ledger(&self, id: &str) -> &[Entry] {
        self.ledger.get(id).map_or(&[], Vec::as_slice)
    }

    pub fn chats(&self, id: &str) -> &[Chat] {
        self.chats.get(id).map_or(&[], Vec::as_slice)
    }

    /// What an account and everything that hangs on it is, to be compared.
    fn of(&self, id: &str) -> String {
        format!("{:?} {:?} {:?}", self.accounts.get(id), self.ledger(id), self.chats(id))
    }

    /// What is wrong with an account's money, whatever happened.
    pub fn audit(&self, id: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(account) = self.accounts.get(id) else { return vec!["the account is gone".into()] };
        let held: u64 = account.reservations.values().map(|reservation| reservation.cost.get()).sum();
        let [tokens, granted, spent] = [account.tokens, account.granted, account.spent].map(Tokens::get);
        if granted != tokens + held + spent {
            wrong.push(format!("granted {granted} is not tokens {tokens} + reservations {held} + spent {spent}"));
        }
        let sum = |kind: EntryKind| self.ledger(id).iter().filter(|entry| entry.kind == kind).map(|entry| entry.amount).sum::<i64>();
        if i64::try_from(granted).unwrap() != sum(EntryKind::Grant) {
            wrong.push(format!("granted {granted} is not the ledger's {}", sum(EntryKind::Grant)));
        }
        if i64::try_from(spent).unwrap() != -sum(EntryKind::Chat) {
            wrong.push(format!("spent {spent} is not the ledger's {}", -sum(EntryKind::Chat)));
        }
        let rows = self.ledger(id).iter().filter(|entry| entry.kind == EntryKind::Chat);
        let mut rows: Vec<_> = rows.map(|row| (row.chat_id.clone().unwrap_or_default(), -row.amount)).collect();
        let mut chats: Vec<_> = self.chats(id).iter().map(|chat| (chat.chat_id.clone(), i64::try_from(chat.cost.get()).unwrap())).collect();
        rows.sort();
        chats.sort();
        if rows != chats {
            wrong.push(format!("the chats {chats:?} are not the ledger's {rows:?}"));
        }
        wrong
    }

    /// Whether nothing is held any more.
    pub fn at_rest(&self, id: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.accounts.get(id).is_some_and(|account| !account.reservations.is_empty()) {
            wrong.push("a reservation outlived its lease and the sweep".into());
        }
        if self.due.contains(id) {
            wrong.push("an account at rest is still due".into());
        }
        wrong
    }
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    pub fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }

    fn is_unknown(&self) -> bool {
        self.code() == "unavailable"
    }

    /// What is wrong with it as a reply, where only `expected` (statuses and codes) may come.
    pub fn audit(&self, expected: &[(u16, &str)]) -> Vec<String> {
        let mut wrong = Vec::new();
        let shown = format!("{} {}", self.status, self.body);
        if !expected.contains(&(self.status, self.code())) {
            wrong.push(format!("this reply may not come: {shown}"));
        }
        let waits = self.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        if matches!(self.status, 409 | 503) && self.code() != "username_taken" && waits.is_none_or(|seconds| seconds == 0) {
            wrong.push(format!("no time to try again: {shown}"));
        }
        if self.status >= 400 && (self.code().is_empty() || self.detail().is_empty()) {
            wrong.push(format!("a failure without a code: {shown}"));
        }
        if self.is_unknown() && (self.detail().contains("othing was") || self.detail().contains("not charged")) {
            wrong.push(format!("an unknown outcome claims to be known: {shown}"));
        }
        for internal in ["amazon", "Exception", "Dynamo", "127.0.0.1", "wire's own", "Table", "connection"] {
            if self.status >= 400 && shown.contains(internal) {
                wrong.push(format!("internals in a reply: {shown}"));
            }
        }
        wrong
    }
}

/// One fault at one call, for one user.
struct Case<S> {
    scenario: S,
    plan: Option<Plan>,
    /// Whether the client sends its request again.
    retries: bool,
    lane: Lane,
    app: App,
    who: Person,
    key: Option<String>,
    replies: Vec<Reply>,
    wrong: Vec<String>,
}

impl<S: Copy + Debug> Case<S> {
    fn new(stand: &Stand, function: &str, scenario: S, plan: Option<Plan>, retries: bool, who: Person, key: Option<String>) -> Self {
        let lane = stand.proxy.lane();
        Self { scenario, plan, retries, app: stand.app(function, &lane), lane, who, key, replies: Vec::new(), wrong: Vec::new() }
    }

    fn notes(&mut self, moment: &str, wrong: impl IntoIterator<Item = String>) {
        self.wrong.extend(wrong.into_iter().map(|sentence| format!("{moment}: {sentence}")));
    }

    /// The violations under the case's full name.
    fn verdict(&self) -> Vec<String> {
        let again = if self.retries { "sent again" } else { "not sent again" };
        let plan = self.plan.map_or("no fault".into(), |plan| format!("{:?} {:?} at {:?}", plan.fault, plan.strikes, plan.at));
        let replies: Vec<_> = self.replies.iter().map(|reply| format!("{} {}", reply.status, reply.code())).collect();
        let calls: Vec<_> = self.lane.calls().iter().map(|call| format!("{} x{}", call.operation, call.attempts)).collect();
        let name = format!("{:?}, {plan}, {again}, {} {}, {replies:?} {calls:?}", self.scenario, self.who.name, self.who.id);
        self.wrong.iter().map(|sentence| format!("{name}\n    {sentence}")).collect()
    }

    /// Proves that the fault struck, and that it was met as it should be: once, nobody but the SDK noticed.
    fn was_struck(&mut self, undisturbed: u16) {
        let Some(plan) = self.plan else { return };
        if !self.lane.was_struck() {
            self.notes("the request", ["the fault never struck".into()]);
        }
        let reply = self.replies.last().unwrap();
        // The SDK doesn't repeat what was answered with something that it can't read.
        if plan.strikes == Strikes::Once && plan.fault != Fault::Garbled && reply.status != undisturbed {
            let sentence = format!("a single fault was noticed: {} {}", reply.status, reply.body);
            self.notes("the request", [sentence]);
        }
    }
}

/// Every fault at each of these calls.
fn plans(calls: &[String], faults: &[Fault], strikes: &[Strikes]) -> Vec<Plan> {
    let mut seen = BTreeMap::<&str, usize>::new();
    let mut plans = Vec::new();
    for operation in calls {
        let nth = seen.entry(operation).and_modify(|count| *count += 1).or_insert(1);
        let operation =
            ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].into_iter().find(|known| known == operation).unwrap();
        for fault in faults.iter().filter(|fault| fault.suits(operation)) {
            // What is done and answered isn't sent again.
            let strikes = strikes.iter().filter(|strikes| !(*fault == Fault::Again && **strikes == Strikes::EachAttempt));
            plans.extend(strikes.map(|strikes| Plan { at: At::Operation(operation, *nth), fault: *fault, strikes: *strikes }));
        }
    }
    plans
}

async fn side_by_side<C>(cases: &mut [C], each: impl AsyncFn(&mut C)) {
    iter(cases).for_each_concurrent(AT_A_TIME, |case| each(case)).await;
}

/// What is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paying {
    Chat,
    KeyedChat,
    /// The AI fails.
    FailingChat,
    KeyedFailingChat,
    /// Expired reservations hold all tokens.
    ChatBehindExpired,
    /// The key is finished.
    Replay,
}

impl Paying {
    const ALL: [Self; 6] = [Self::Chat, Self::KeyedChat, Self::FailingChat, Self::KeyedFailingChat, Self::ChatBehindExpired, Self::Replay];

    fn is_keyed(self) -> bool {
        matches!(self, Self::KeyedChat | Self::KeyedFailingChat | Self::Replay)
    }

    /// A message that nobody else sends.
    fn message(self, who: &Person) -> String {
        format!("{} {}", if self.succeeds() == 200 { "hi" } else { "!fail" }, who.name)
    }

    /// The status where nothing goes wrong.
    fn succeeds(self) -> u16 {
        if matches!(self, Self::FailingChat | Self::KeyedFailingChat) { 502 } else { 200 }
    }
}

impl Case<Paying> {
    async fn paying(stand: &Stand, scenario: Paying, plan: Option<Plan>, retries: bool) -> Self {
        let who = stand.somebody().await;
        let key = scenario.is_keyed().then(|| "k1".to_owned());
        let mut case = Self::new(stand, "chat", scenario, plan, retries, who, key);
        match scenario {
            Paying::ChatBehindExpired => {
                case.who.holds_everything().await;
            }
            Paying::Replay => case.asks().await,
            _ => {}
        }
        case.lane.strike(plan);
        case
    }

    async fn asks(&mut self) {
        let reply = self.says(&self.scenario.message(&self.who)).await;
        self.replies.push(reply);
    }

    fn says(&self, message: &str) -> impl Future<Output = Reply> + Send + use<> {
        let (app, bearer, key, body) = (self.app.clone(), self.who.bearer(), self.key.clone(), json!({ "message": message }));
        async move {
            let mut headers = vec![("authorization", bearer.as_str())];
            headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
            ask(&app, "chat", "/api/chat", &headers, body).await
        }
    }

    /// Begins a chat whose AI takes its time, and comes back when it was asked.
    async fn falls_asleep(&self) -> JoinHandle<Reply> {
        let message = format!("!slow 2500 {}", self.who.name);
        let before = asked::times(&message);
        let asleep = tokio::spawn(self.says(&message));
        while asked::times(&message) == before {
            assert!(!asleep.is_finished(), "a chat did not wait");
            tokio::task::yield_now().await;
        }
        asleep
    }

    /// The request under its fault, and whatever of it comes late.
    async fn runs(&mut self) {
        self.asks().await;
        self.lane.deliver().await;
        self.was_struck(self.scenario.succeeds());
    }

    /// The next request, where nothing goes wrong any more.
    async fn runs_again(&mut self, expected: &[(u16, &str)]) {
        self.asks().await;
        let wrong = self.replies.last().unwrap().audit(expected);
        self.notes("sent again", wrong);
    }

    /// What must be true at any moment at which nothing runs.
    fn audit(&mut self, moment: &str, world: &World, now: u64) {
        let id = self.who.id.clone();
        let mut wrong = world.audit(&id);
        if self.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        let expected: &[(u16, &str)] = &[(200, ""), (409, "idempotency_key_running"), (502, "ai_failed"), (503, "unavailable"), (503, "not_charged")];
        for reply in &self.replies {
            wrong.extend(reply.audit(expected));
        }

        let (chats, account) = (world.chats(&id), &world.accounts[&id]);
        let answered: Vec<_> = self.replies.iter().filter(|reply| reply.status == 200).collect();
        for reply in &answered {
            let Some(chat) = chats.iter().find(|chat| reply.body["id"] == chat.chat_id) else {
                wrong.push(format!("an answer was served and no chat is stored: {}", reply.body));
                continue;
            };
            if reply.body["response"] != chat.response || reply.body["message"] != chat.message || reply.body["tokens_left"] != chat.tokens_left.get()
            {
                wrong.push(format!("{} is not the chat {chat:?}", reply.body));
            }
            if reply.replayed() && answered.iter().any(|other| other.body != reply.body) {
                wrong.push(format!("a replay differs: {}", reply.body));
            }
        }
        let known: HashSet<_> = answered.iter().map(|reply| reply.body["id"].as_str().unwrap()).collect();
        if !self.scenario.is_keyed() && known.len() != answered.len() {
            wrong.push("two chats have one id".into());
        }
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let most = if self.scenario.is_keyed() { 1 } else { known.len() + unknown };
        if chats.len() < known.len() || chats.len() > most || chats.len() > known.len() + unknown {
            wrong.push(format!("{} chats were charged, {} were answered and {unknown} are unknown", chats.len(), known.len()));
        }

        // What is answered again, refused or running asks no AI.
        let failed = self.replies.iter().filter(|reply| matches!(reply.status, 502 | 503)).count();
        let asked = asked::times(&self.scenario.message(&self.who));
        if asked > known.len() + failed {
            wrong.push(format!("the AI was asked {asked} times"));
        }

        let open = self.replies.iter().filter(|reply| reply.is_unknown() || reply.detail().contains("tokens held")).count();
        // A copy of a reserve that was sent once is more than the SDK can do; what it holds comes back.
        let copied = usize::from(self.plan.is_some_and(|plan| plan.fault == Fault::Again));
        let live = account.reservations.values().filter(|reservation| reservation.expires_at > now).count();
        if live > open + copied {
            wrong.push(format!("{live} reservations stand and {open} requests have an unknown outcome"));
        }
        let free = account.balance(now).get() + u64::try_from(live).unwrap() * PRICE + account.spent.get();
        if free != account.granted.get() {
            wrong.push(format!("the balance that is shown, {}, is not what is free", account.balance(now)));
        }
        self.notes(moment, wrong);
    }
}

impl Person {
    /// Has all tokens held by a chat that died long ago.
    async fn holds_everything(&self) {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let fields = [("cost", number(GRANT)), ("owner", AttributeValue::S("a-chat".into())), ("expires_at", number(1))];
        let reservation = AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into());
        self.api.set(self, "due", number(1)).await;
        self.api.set(self, "reservations", AttributeValue::M([("dead".to_owned(), reservation)].into())).await;
        self.has_left(0).await;
    }
}

/// Runs the matrix, and says what is wrong: nothing, it is to be hoped; and how many cases there were.
async fn chats(stand: &Stand, matrix: Matrix<Paying>) -> (usize, Vec<String>) {
    let mut cases = Vec::new();
    for scenario in &matrix.scenarios {
        let mut undisturbed = Case::paying(stand, *scenario, None, true).await;
        undisturbed.asks().await;
        let status = undisturbed.replies.last().unwrap().status;
        undisturbed.notes("undisturbed", (status != scenario.succeeds()).then(|| format!("answered {status}")));
        let calls: Vec<_> = undisturbed.lane.calls().into_iter().map(|call| call.operation).collect();
        let calls = matrix.calls.clone().unwrap_or(calls);
        for plan in plans(&calls, &matrix.faults, &matrix.strikes) {
            cases.extend(join_all([true, false].map(|retries| Case::paying(stand, *scenario, Some(plan), retries))).await);
        }
        cases.push(undisturbed);
    }

    side_by_side(&mut cases, async |case| {
        if case.plan.is_some() {
            case.runs().await;
        }
    })
    .await;
    let world = stand.world().await;
    for case in &mut cases {
        case.audit("after the request", &world, stand.now());
        case.lane.calm();
    }

    // Another payload under a key that stands for something is refused, and changes nothing.
    let before = world;
    side_by_side(&mut cases, async |case| {
        let id = &case.who.id;
        if case.retries && case.key.is_some() && (!before.chats(id).is_empty() || !before.accounts[id].reservations.is_empty()) {
            let other = case.says("something else").await;
            case.notes("another payload", other.audit(&[(422, "idempotency_key_reused")]));
        }
    })
    .await;
    let world = stand.world().await;
    for case in &mut cases {
        case.notes("another payload", (before.of(&case.who.id) != world.of(&case.who.id)).then(|| "something changed".into()));
    }

    side_by_side(&mut cases, async |case| {
        if case.retries {
            let running = if case.key.is_some() { (409, "idempotency_key_running") } else { (200, "") };
            let usual = if case.scenario.succeeds() == 200 { (200, "") } else { (502, "ai_failed") };
            case.runs_again(&[usual, running]).await;
        }
    })
    .await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world, stand.now()));

    stand.after_the_lease();
    side_by_side(&mut cases, async |case| {
        if case.retries && case.key.is_some() {
            let usual = if case.scenario.succeeds() == 200 { (200, "") } else { (502, "ai_failed") };
            case.runs_again(&[usual]).await;
        }
    })
    .await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the lease", &world, stand.now()));

    stand.sweep().await;
    let rest = stand.world().await;
    for case in &mut cases {
        case.audit("after the sweep", &rest, stand.now());
        case.notes("after the sweep", rest.at_rest(&case.who.id));
    }

    // Copies come once more, when everything is over: they change nothing that lasts.
    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world, stand.now()));
    stand.after_the_lease();
    stand.sweep().await;
    let world = stand.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, stand.now());
        case.notes("at the end", world.at_rest(&case.who.id));
        let same = |of: &World| (of.accounts[&case.who.id].tokens, of.accounts[&case.who.id].spent, of.chats(&case.who.id).len());
        let changed = same(&rest) != same(&world);
        case.notes("at the end", changed.then(|| "a late copy changed something for good".into()));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registering {
    Once,
    Keyed,
    /// The key is finished.
    Again,
}

impl Case<Registering> {
    async fn registering(stand: &Stand, scenario: Registering, plan: Option<Plan>, retries: bool) -> Self {
        let name = unique("ben");
        let text = String::new;
        let who = Person { api: stand.api.clone(), id: text(), name, password: "secret123".into(), token: text(), access: text(), refresh: text() };
        let key = (scenario != Registering::Once).then(|| "k1".to_owned());
        let mut case = Self::new(stand, "register", scenario, plan, retries, who, key);
        if scenario == Registering::Again {
            case.asks().await;
        }
        case.lane.strike(plan);
        case
    }

    async fn asks(&mut self) {
        let headers: Vec<_> = self.key.as_deref().map(|key| ("idempotency-key", key)).into_iter().collect();
        let body = json!({ "username": self.who.name, "password": self.who.password, "email": self.address() });
        let reply = ask(&self.app, "register", "/api/register", &headers, body).await;
        self.replies.push(reply);
    }

    fn address(&self) -> String {
        format!("{}@example.com", self.who.name)
    }

    async fn runs(&mut self) {
        self.asks().await;
        self.lane.calm();
        self.lane.deliver().await;
        self.was_struck(201);
    }

    fn audit(&mut self, moment: &str, world: &World) {
        let mut wrong = Vec::new();
        for reply in &self.replies {
            wrong.extend(reply.audit(&[(201, ""), (409, "username_taken"), (503, "unavailable")]));
        }
        let accounts: Vec<_> = world.accounts.values().filter(|account| account.name == self.who.name).collect();
        let claims: Vec<_> = world.claims.iter().filter(|claim| claim["label"] == self.address()).collect();
        let done = self.replies.iter().any(|reply| matches!(reply.status, 201 | 409));
        let unknown = self.replies.iter().any(Reply::is_unknown);
        if accounts.len() > 1 || (done && accounts.is_empty()) || (!done && !unknown && !accounts.is_empty()) {
            wrong.push(format!("{} accounts have the name", accounts.len()));
        }
        if claims.len() != accounts.len() || claims.iter().zip(&accounts).any(|(claim, account)| claim["id"] != account.id) {
            wrong.push(format!("the address is claimed by {claims:?}"));
        }
        for account in accounts {
            wrong.extend(world.audit(&account.id));
            wrong.extend(world.at_rest(&account.id));
            let rows = world.ledger(&account.id);
            if rows.len() != 1 || account.granted.get() != GRANT || account.tokens.get() != GRANT {
                wrong.push(format!("not granted once: {account:?} {rows:?}"));
            }
            for reply in self.replies.iter().filter(|reply| reply.status == 201) {
                if reply.body["id"] != account.id || reply.body["tokens"] != GRANT || reply.body["email"] != self.address() {
                    wrong.push(format!("{} is not the account {account:?}", reply.body));
                }
            }
            // A session for each 201, and perhaps one for each unknown outcome.
            let granted = self.replies.iter().filter(|reply| reply.status == 201).count();
            let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
            let sessions = world.sessions.iter().filter(|user| **user == account.id).count();
            if sessions < granted || sessions > granted + unknown {
                wrong.push(format!("{sessions} sessions for {granted} answered registrations"));
            }
        }
        self.notes(moment, wrong);
    }

    /// Whether the tokens of every 201 open the account, and can be refreshed.
    async fn tokens_hold(&mut self, stand: &Stand) {
        let mut wrong = Vec::new();
        for reply in self.replies.iter().filter(|reply| reply.status == 201) {
            for token in ["access", "token"] {
                let bearer = format!("Bearer {}", reply.body[token].as_str().unwrap());
                let balance = stand.clean("balance", "/api/tokens", &[("authorization", &bearer)], Value::Null).await;
                if balance.status != 200 || balance.body["tokens"] != GRANT {
                    wrong.push(format!("a token of a registration doesn't hold: {} {}", balance.status, balance.body));
                }
            }
            let refreshed = stand.clean("token_refresh", "/api/token/refresh", &[], json!({ "refresh": reply.body["refresh"] })).await;
            if refreshed.status != 200 {
                wrong.push(format!("a registration can't be refreshed: {} {}", refreshed.status, refreshed.body));
            }
        }
        self.notes("with its tokens", wrong);
    }
}

async fn registrations(stand: &Stand, matrix: Matrix<Registering>) -> (usize, Vec<String>) {
    let mut cases = Vec::new();
    for scenario in &matrix.scenarios {
        let mut undisturbed = Case::registering(stand, *scenario, None, true).await;
        undisturbed.asks().await;
        let status = undisturbed.replies.last().unwrap().status;
        undisturbed.notes("undisturbed", (status != 201).then(|| format!("answered {status}")));
        let calls: Vec<_> = undisturbed.lane.calls().into_iter().map(|call| call.operation).collect();
        for plan in plans(&calls, &matrix.faults, &matrix.strikes) {
            cases.extend(join_all([true, false].map(|retries| Case::registering(stand, *scenario, Some(plan), retries))).await);
        }
        cases.push(undisturbed);
    }
    side_by_side(&mut cases, async |case| {
        if case.plan.is_some() {
            case.runs().await;
        }
    })
    .await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &world));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            case.asks().await;
            let (stood, reply) = (world.accounts.values().any(|account| account.name == case.who.name), case.replies.last().unwrap());
            let expected = if stood && case.key.is_none() { (409, "username_taken") } else { (201, "") };
            let mut wrong = reply.audit(&[expected]);
            if reply.replayed() != (stood && case.key.is_some()) {
                wrong.push(format!("replayed: {}", reply.replayed()));
            }
            case.notes("sent again", wrong);
        }
    })
    .await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world));

    side_by_side(&mut cases, async |case| {
        case.lane.deliver_much_later().await;
        case.tokens_hold(stand).await;
    })
    .await;
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world));
    let mut wrong: Vec<_> = cases.iter().flat_map(Case::verdict).collect();
    for user in world.ledger.keys().chain(&world.sessions).filter(|user| !world.accounts.contains_key(*user)) {
        wrong.push(format!("{user} has a ledger row or a session, and no account"));
    }
    (cases.len(), wrong)
}

/// What is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refreshing {
    /// The token that the session began with.
    First,
    /// Its successor.
    Second,
    /// The first, when its successor has been used: somebody has an old copy.
    Dead,
}

impl Case<Refreshing> {
    async fn refreshing(stand: &Stand, scenario: Refreshing, plan: Option<Plan>, retries: bool) -> Self {
        let who = stand.somebody().await;
        let mut case = Self::new(stand, "token_refresh", scenario, plan, retries, who, None);
        if scenario != Refreshing::First {
            let second = case.next_of(&case.who.refresh).await.unwrap();
            match scenario {
                Refreshing::Dead => drop(case.next_of(&second).await.unwrap()),
                _ => case.who.refresh = second,
            }
        }
        case.lane.strike(plan);
        case
    }

    /// The successor of a refresh token, where nothing goes wrong.
    async fn next_of(&self, refresh: &str) -> Option<String> {
        let reply = ask(&self.app, "token_refresh", "/api/token/refresh", &[], json!({ "refresh": refresh })).await;
        reply.body["refresh"].as_str().map(str::to_owned)
    }

    async fn asks(&mut self) {
        let reply = ask(&self.app, "token_refresh", "/api/token/refresh", &[], json!({ "refresh": self.who.refresh })).await;
        self.replies.push(reply);
    }

    fn succeeds(&self) -> (u16, &'static str) {
        if self.scenario == Refreshing::Dead { (401, "invalid_token") } else { (200, "") }
    }

    async fn runs(&mut self, stand: &Stand) {
        self.asks().await;
        self.lane.calm();
        self.lane.deliver().await;
        self.was_struck(self.succeeds().0);
        if self.retries {
            self.asks().await;
            let wrong = self.replies.last().unwrap().audit(&[self.succeeds()]);
            self.notes("sent again", wrong);
        }
        self.lane.deliver_much_later().await;
        let expected = [self.succeeds(), (503, "unavailable")];
        let wrong: Vec<_> = self.replies.iter().flat_map(|reply| reply.audit(&expected)).collect();
        self.notes("the replies", wrong);
        let wrong = match self.scenario {
            Refreshing::Dead => self.is_over(stand).await,
            _ => self.goes_on(stand).await,
        };
        self.notes("afterwards", wrong);
    }

    /// What is wrong with a session that must go on, until a dead token ends it.
    async fn goes_on(&self, stand: &Stand) -> Vec<String> {
        let mut wrong = Vec::new();
        let given: HashSet<_> = self.replies.iter().filter_map(|reply| reply.body["refresh"].as_str()).collect();
        if given.len() > 1 {
            wrong.push(format!("{} different successors", given.len()));
        }
        for reply in self.replies.iter().filter(|reply| reply.status == 200) {
            wrong.extend((!self.opens(stand, reply.body["access"].as_str().unwrap()).await).then(|| "an access token that opens nothing".into()));
        }
        let Some(next) = self.next_of(&self.who.refresh).await else { return vec!["the session is over".into()] };
        if given.iter().any(|given| *given != next) {
            wrong.push("another successor than before".into());
        }
        let Some(last) = self.next_of(&next).await else { return vec!["the successor is refused".into()] };
        if !self.opens(stand, &self.who.access).await {
            wrong.push("the session's first access token opens nothing".into());
        }
        if self.next_of(&self.who.refresh).await.is_some() || self.next_of(&last).await.is_some() {
            wrong.push("a dead token didn't end the session".into());
        }
        wrong
    }

    /// What is wrong with a session whose dead token was presented.
    async fn is_over(&self, stand: &Stand) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.replies.iter().all(Reply::is_unknown) && self.next_of(&self.who.refresh).await.is_some() {
            wrong.push("a dead token was taken".into());
        }
        if self.opens(stand, &self.who.access).await {
            wrong.push("an access token of an ended session holds".into());
        }
        wrong
    }

    async fn opens(&self, stand: &Stand, access: &str) -> bool {
        let bearer = format!("Bearer {access}");
        stand.clean("balance", "/api/tokens", &[("authorization", &bearer)], Value::Null).await.status == 200
    }
}

async fn refreshes(stand: &Stand, matrix: Matrix<Refreshing>) -> (usize, Vec<String>) {
    let mut cases = Vec::new();
    for scenario in &matrix.scenarios {
        let mut undisturbed = Case::refreshing(stand, *scenario, None, true).await;
        undisturbed.asks().await;
        let calls: Vec<_> = undisturbed.lane.calls().into_iter().map(|call| call.operation).collect();
        for plan in plans(&calls, &matrix.faults, &matrix.strikes) {
            cases.extend(join_all([true, false].map(|retries| Case::refreshing(stand, *scenario, Some(plan), retries))).await);
        }
        cases.push(undisturbed);
    }
    side_by_side(&mut cases, async |case| case.runs(stand).await).await;
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

/// Functions that sleep past their leases and wake: what is wrong, if they store a chat or give back tokens that came back before.
async fn sleepers(stand: &Stand) -> (usize, Vec<String>) {
    let [mut swept, mut retaken, mut unswept] = [
        Case::paying(stand, Paying::Chat, None, false).await,
        Case::paying(stand, Paying::KeyedChat, None, true).await,
        Case::paying(stand, Paying::Chat, None, false).await,
    ];
    let swept_wakes = swept.falls_asleep().await;
    let retaken_wakes = retaken.falls_asleep().await;
    stand.after_the_lease();
    stand.sweep().await;
    let unswept_wakes = unswept.falls_asleep().await;
    stand.after_the_lease();
    // Another run of the same key holds tokens when the first one wakes.
    let second_run = retaken.falls_asleep().await;

    for (case, wakes) in [(&mut swept, swept_wakes), (&mut retaken, retaken_wakes), (&mut unswept, unswept_wakes)] {
        let woken = wakes.await.unwrap();
        case.notes("the sleeper", woken.audit(&[(503, "not_charged")]));
        case.replies.push(woken);
    }
    let second = second_run.await.unwrap();
    retaken.notes("the second run", second.audit(&[(200, "")]));
    retaken.replies.push(second);
    let mut cases = [swept, retaken, unswept];
    let world = stand.world().await;
    cases.iter_mut().for_each(|case| case.audit("after they woke", &world, stand.now()));
    stand.after_the_lease();
    stand.sweep().await;
    let world = stand.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, stand.now());
        case.notes("at the end", world.at_rest(&case.who.id));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[track_caller]
fn none((cases, wrong): (usize, Vec<String>)) {
    assert!(wrong.is_empty(), "{} violations in {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_at_whichever_call_a_chat_is_charged_once_or_not_at_all() {
    let stand = Stand::start(None).await;
    none(chats(&stand, Matrix::whole(&Paying::ALL)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_at_whichever_call_a_name_is_registered_and_granted_once() {
    let stand = Stand::start(None).await;
    none(registrations(&stand, Matrix::whole(&[Registering::Once, Registering::Keyed, Registering::Again])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_at_whichever_call_a_refresh_has_one_successor_and_only_a_dead_token_ends_the_session() {
    let stand = Stand::start(None).await;
    none(refreshes(&stand, Matrix::whole(&[Refreshing::First, Refreshing::Second, Refreshing::Dead])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_sleeps_past_its_lease_stores_nothing_and_gives_nothing_back_twice() {
    let stand = Stand::start(None).await;
    none(sleepers(&stand).await);
}

/// What a mistake does is seen by the part of the matrix that is run with it.
async fn finds(bug: Bug, sentence: &str) {
    let stand = Stand::start(Some(bug)).await;
    let (cases, wrong) = match bug {
        Bug::DeductWithoutGuard => chats(&stand, Matrix::one(Paying::Chat, Fault::Fail500After, Strikes::Once)).await,
        Bug::RefundUnconditionally => chats(&stand, Matrix::one(Paying::FailingChat, Fault::Fail500After, Strikes::Once)).await,
        Bug::ReplyBeforeSettling => {
            let matrix = Matrix::one(Paying::Chat, Fault::ResetBefore, Strikes::EachAttempt);
            chats(&stand, Matrix { calls: Some(vec!["TransactWriteItems".into()]), ..matrix }).await
        }
        Bug::RotateStrictly => refreshes(&stand, Matrix::one(Refreshing::First, Fault::Fail500After, Strikes::Once)).await,
        Bug::SettleWithoutOwner => sleepers(&stand).await,
    };
    assert!(wrong.iter().any(|found| found.contains(sentence)), "{bug:?} in {cases} cases: {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_that_is_put_into_the_protocol_is_found() {
    tokio::join!(
        finds(Bug::DeductWithoutGuard, "is not tokens"),
        finds(Bug::RefundUnconditionally, "is not tokens"),
        finds(Bug::ReplyBeforeSettling, "an answer was served and no chat is stored"),
        finds(Bug::RotateStrictly, "the session is over"),
        finds(Bug::SettleWithoutOwner, "the sleeper: this reply may not come: 200"),
    );
}
