//! Every fault at every call to the store, and what must be true all the same: after the request,
//! after the client has sent it again, after the lease, after the sweep, and after copies of old
//! writes have come late.
//!
//! A run is a server, a wire in front of its store, and a user with a function instance of its own
//! for each case, so that the cases wait side by side.

mod adjustments;
mod administration;
mod chats;
mod deletions;
mod log_outs;
pub mod logins;
mod refreshes;
mod registrations;
mod sweeps;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::types::AttributeValue;
use functions::{Function, ROUTES};
use futures_util::StreamExt;
use futures_util::stream::iter;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::RETRY_AFTER;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::aws::Endpoint;
use shared::chat::Chat;
use shared::http::{self, Route};
use shared::store::{Entry, EntryKind, NewAccount, Registered, Session, Store};
use shared::user::{Account, Email, Role, Username};
use shared::{App, Request, Tokens};
use tokio::sync::Mutex;

use self::chats::Paying;
use self::refreshes::Refreshing;
use crate::support::client::{Api, GRANT, Person, unique};
use crate::support::counting_ai::CountingAi;
use crate::support::mistakes::Mistake;
use crate::support::proxy::{At, Fault, Lane, Plan, Proxy, Strikes};

/// The time of a function: the chat's. (Others have less, but here a hundred wait for each other's
/// passwords.)
const TIME: Duration = Duration::from_secs(28);

/// Past the end of a lease that begins now: the function's time, half a minute, and a second.
const LEASE: Duration = Duration::from_secs(59);

/// How many cases run at a time.
const AT_A_TIME: usize = 96;

/// How late a timer may be where the machine keeps up with the cases that run.
const LATE: Duration = Duration::from_millis(20);

/// How long it is believed that the machine keeps up.
const BELIEVED: Duration = Duration::from_millis(10);

/// Lets one case after the other begin, and none while the machine is behind: the functions under
/// test give each call to the store a second and a half, which a busy machine exceeds by itself.
async fn keeping_up() {
    static KEPT_UP: Mutex<Option<Instant>> = Mutex::const_new(None);
    let mut kept_up = KEPT_UP.lock().await;
    while kept_up.is_none_or(|at| at.elapsed() > BELIEVED) {
        let tick = Duration::from_millis(1);
        let began = Instant::now();
        tokio::time::sleep(tick).await;
        *kept_up = (began.elapsed() < tick + LATE).then(Instant::now);
    }
}

/// Of which share of the plans a whole matrix is made over another emulator, where a call takes
/// many times as long: one in so many. It has no factor in common with the strikes of a fault or
/// the plans of a call, so that every fault, strike and call has its turn.
const OVER_A_WIRE: usize = 5;

const ALL_STRIKES: [Strikes; 3] = [Strikes::Once, Strikes::EachAttempt, Strikes::FromThenOn];

/// Something that is tried.
trait Scenario: Copy + Debug {
    type Reply: Debug;
    /// What a case has to itself besides: the key that it is asked under, the adjustment that it
    /// is, the store that it sweeps.
    type Own;

    /// A case of it in which nothing was asked yet.
    async fn begin(self, stand: &Stand, plan: Option<Plan>, retries: bool) -> Case<Self>;

    async fn ask(case: &Case<Self>) -> Self::Reply;

    /// Whether this is the reply where nothing goes wrong.
    fn is_usual(self, reply: &Self::Reply) -> bool;
}

/// What is tried.
struct Matrix<S> {
    scenarios: Vec<S>,
    faults: Vec<Fault>,
    strikes: Vec<Strikes>,
    /// At which calls, where those of an undisturbed run can't be counted: it may go on after its
    /// reply.
    calls: Option<Vec<String>>,
    /// One in how many plans is tried.
    one_in: usize,
}

impl<S: Scenario> Matrix<S> {
    fn one(scenario: S, fault: Fault, strikes: Strikes) -> Self {
        Self {
            scenarios: vec![scenario],
            faults: vec![fault],
            strikes: vec![strikes],
            calls: None,
            one_in: 1,
        }
    }

    fn whole(scenarios: &[S]) -> Self {
        let one_in = if std::env::var_os("TEST_DYNAMODB").is_some() { OVER_A_WIRE } else { 1 };
        Self {
            scenarios: scenarios.to_vec(),
            faults: Fault::ALL.to_vec(),
            strikes: ALL_STRIKES.to_vec(),
            calls: None,
            one_in,
        }
    }

    /// Each scenario undisturbed, asked once; and its share of the plans at each of its calls.
    async fn plans(&self, stand: &Stand) -> Vec<(Case<S>, Vec<Plan>)> {
        let mut all = Vec::new();
        for scenario in &self.scenarios {
            let mut undisturbed = scenario.begin(stand, None, true).await;
            undisturbed.asks().await;
            let reply = undisturbed.replies.last().unwrap();
            let unusual = (!scenario.is_usual(reply)).then(|| format!("{reply:?}"));
            undisturbed.notes("undisturbed", unusual);
            let calls = undisturbed.lane.calls().into_iter().map(|call| call.operation).collect();
            let plans = plans(&self.calls.clone().unwrap_or(calls), &self.faults, &self.strikes)
                .into_iter()
                .step_by(self.one_in)
                .collect();
            all.push((undisturbed, plans));
        }
        all
    }

    /// The undisturbed cases; and one for every plan with a client that sends its request again,
    /// and with one that doesn't.
    async fn cases(&self, stand: &Stand) -> Vec<Case<S>> {
        let mut cases = Vec::new();
        for (undisturbed, plans) in self.plans(stand).await {
            let scenario = undisturbed.scenario;
            let begun = plans.into_iter().flat_map(|plan| {
                [true, false].map(|retries| async move {
                    keeping_up().await;
                    scenario.begin(stand, Some(plan), retries).await
                })
            });
            cases.extend(iter(begun).buffered(AT_A_TIME).collect::<Vec<_>>().await);
            cases.push(undisturbed);
        }
        cases
    }
}

/// A server, the AI that it asks, and the wire in front of its store.
pub struct Stand {
    pub api: Api,
    ai: CountingAi,
    pub proxy: Proxy,
}

/// A reply to one request.
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

/// Everything that the store holds.
pub struct World {
    pub accounts: HashMap<String, Account>,
    /// The ids of the accounts that stand in the index of those that may hold expired
    /// reservations.
    due: HashSet<String>,
    ledger: HashMap<String, Vec<Entry>>,
    chats: HashMap<String, Vec<Chat>>,
    /// The user ids of all sessions.
    sessions: Vec<String>,
    claims: Vec<Value>,
    /// The ids of those who are noted as administrators.
    administrators: HashSet<String>,
}

impl Stand {
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// One whose wire makes a mistake.
    async fn with(mistake: Option<Mistake>) -> Self {
        let ai = CountingAi::start().await;
        let settings = [&[("AI_TIMEOUT_SECONDS", "5")], ai.settings().as_slice()].concat();
        let api = Api::own(&settings).await;
        let sabotage = mistake.map(Mistake::sabotage);
        Self { proxy: Proxy::sabotaged(&api.dynamodb, sabotage).await, api, ai }
    }

    /// An instance of a function behind a lane of its own, with the SDK's allowance of repeats to
    /// itself.
    pub fn app(&self, function: &str, lane: &Lane) -> App {
        let warm = &self.api.server().apps[function];
        let mut config = (*warm.config).clone();
        config.dynamodb_endpoint = Endpoint::parse(&lane.url);
        let client = aws_sdk_dynamodb::Config::from(&shared::aws::emulated()).to_builder();
        let store =
            Store::over(client.retry_partition(RetryPartition::custom("case").build()), &config);
        App { store, config: Arc::new(config), ..warm.clone() }
    }

    /// The same for an endpoint, ready to answer.
    pub fn function(&self, name: &str, lane: &Lane) -> Function {
        self.api.server().functions[name].over(self.app(name, lane))
    }

    /// Somebody with an account and a session, without the cost of a password.
    pub async fn somebody(&self) -> Person {
        self.somebody_with(unique("ann"), "no hash of any password", None).await
    }

    pub async fn somebody_with(&self, name: String, hash: &str, email: Option<Email>) -> Person {
        let app = self.api.issuing("register");
        let (account, session) = open(app, &name, hash, email).await;
        let (registered, _) =
            shared::auth::issue(app, &Request::default(), &account, &session).await.unwrap();
        let mut registered = json!(registered);
        registered["id"] = json!(account.id);
        Person::of(&self.api, &json!({ "username": name, "password": "none" }), &registered)
    }

    /// Somebody without an account.
    fn nobody(&self, name: String, password: &str) -> Person {
        let text = String::new;
        Person {
            api: self.api.clone(),
            id: text(),
            name,
            password: password.into(),
            token: text(),
            access: text(),
            refresh: text(),
        }
    }
}

/// Writes an account and its first session.
async fn open(app: &App, name: &str, hash: &str, email: Option<Email>) -> (Account, Session) {
    let new = NewAccount {
        name: Username::parse(name).unwrap(),
        email,
        password: hash.into(),
        key: None,
        role: Role::User,
        grant: Tokens::new(GRANT).unwrap(),
        reason: "registration",
    };
    let account = new.open(&app.clock);
    let session =
        Session::new(&account, Some("a test".into()), &app.clock, app.config.session_life);
    assert!(matches!(
        app.store.register(&new, &account, Some(&session), None).await,
        Ok(Registered::New)
    ));
    (account, session)
}

/// What API Gateway sends for a request: a GET or a DELETE, or where there is a body what the path
/// takes with one.
pub fn event(path: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let mut all = json!({ "host": "x", "content-type": "application/json" });
    for (name, value) in headers {
        all[*name] = json!(value);
    }
    let serves =
        |route: &&Route| route.method != "ANY" && http::parameters(route.path, path).is_some();
    let mut methods: Vec<&str> = ROUTES.iter().filter(serves).map(|route| route.method).collect();
    methods.sort_by_key(|method| (*method == "GET") != body.is_null());
    let method = methods[0];
    let event = json!({
        "resource": path, "path": path, "httpMethod": method, "queryStringParameters": {}, "headers": all,
        "requestContext": { "stage": "live", "httpMethod": method, "identity": {} },
        "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
    });
    event.to_string()
}

/// One request to an instance of a function.
pub async fn ask(
    function: &Function,
    name: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    let event = event(path, headers, &body);
    let ends = function.app().unwrap().clock.millis() + u64::try_from(TIME.as_millis()).unwrap();
    let request = local::gateway::request(&event, name, ends).unwrap();
    match tokio::time::timeout(TIME, function.answer(request)).await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let (mut reply, text) = (
                Reply { status: parts.status.as_u16(), headers: parts.headers, body: Value::Null },
                body.text().await,
            );
            // Of a stream, its last event: what came of it.
            let (before, last) = text.rsplit_once("data: ").unwrap_or(("", &text));
            reply.body = serde_json::from_str(last).unwrap();
            if before.ends_with("event: error\n") {
                reply.status = u16::try_from(reply.body["status"].as_u64().unwrap()).unwrap();
                reply.headers.extend(
                    reply.body["retry_after"].as_u64().map(|seconds| (RETRY_AFTER, seconds.into())),
                );
            }
            reply
        }
        Err(_) => Reply {
            status: 504,
            headers: HeaderMap::new(),
            body: json!({ "detail": "the function ran out of time" }),
        },
    }
}

impl Stand {
    /// One request to the server's own instance of a function, where nothing goes wrong.
    async fn clean(
        &self,
        function: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Reply {
        ask(&self.api.server().functions[function], function, path, headers, body).await
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

    pub async fn world(&self) -> World {
        World::at(&self.api.dynamodb).await
    }

    /// The balance that a token opens, if it opens one.
    async fn balance(&self, token: &str) -> Option<u64> {
        let bearer = format!("Bearer {token}");
        let reply =
            self.clean("balance", "/api/tokens", &[("authorization", &bearer)], Value::Null).await;
        (reply.status == 200).then(|| reply.body["tokens"].as_u64().unwrap())
    }

    async fn refresh(&self, refresh: &Value) -> Reply {
        self.clean("token_refresh", "/api/token/refresh", &[], json!({ "refresh": refresh })).await
    }
}

async fn scan<T: DeserializeOwned>(dynamodb: &str, table: &str) -> Vec<T> {
    let items = local::dynamo::client(dynamodb)
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    items
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap()
        .into_iter()
        .map(|item| serde_dynamo::from_item(item).unwrap())
        .collect()
}

/// Whether an item of the table Chats is one, and not a conversation.
pub fn is_chat(item: &Value) -> bool {
    !item["chat_id"].as_str().unwrap().starts_with("c#")
}

impl World {
    /// What the DynamoDB at this URL holds.
    async fn at(dynamodb: &str) -> Self {
        let mut world = Self {
            accounts: HashMap::new(),
            due: HashSet::new(),
            ledger: HashMap::new(),
            chats: HashMap::new(),
            sessions: Vec::new(),
            claims: Vec::new(),
            administrators: HashSet::new(),
        };
        for user in scan::<Value>(dynamodb, "UsersTable").await {
            match user["pk"].as_str().unwrap() {
                "admins" => {
                    world.administrators.extend(
                        user["ids"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .map(|id| id.as_str().unwrap().to_owned()),
                    );
                    continue;
                }
                pk if pk.starts_with("email:") => {
                    world.claims.push(user);
                    continue;
                }
                _ => {}
            }
            let id = user["id"].as_str().unwrap().to_owned();
            if !user["due"].is_null() {
                world.due.insert(id.clone());
            }
            let account = serde_json::from_value(user)
                .unwrap_or_else(|error| panic!("an account that can't be: {error}"));
            world.accounts.insert(id, account);
        }
        for entry in scan::<Entry>(dynamodb, "LedgerTable").await {
            world.ledger.entry(entry.user_id.clone()).or_default().push(entry);
        }
        for chat in scan::<Value>(dynamodb, "ChatsTable")
            .await
            .into_iter()
            .filter(is_chat)
            .map(|chat| serde_json::from_value::<Chat>(chat).unwrap())
        {
            world.chats.entry(chat.user_id.clone()).or_default().push(chat);
        }
        let tokens = scan::<Value>(dynamodb, "TokensTable").await;
        let sessions =
            tokens.iter().filter(|item| item["pk"].as_str().unwrap().starts_with("session:"));
        world.sessions =
            sessions.map(|session| session["user_id"].as_str().unwrap().to_owned()).collect();
        world
    }

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
        let Some(account) = self.accounts.get(id) else {
            return vec!["the account is gone".into()];
        };
        let held: u64 =
            account.reservations.values().map(|reservation| reservation.cost.get()).sum();
        let [tokens, granted, spent] =
            [account.tokens, account.granted, account.spent].map(Tokens::get);
        if granted != tokens + held + spent {
            wrong.push(format!(
                "granted {granted} is not tokens {tokens} + reservations {held} + spent {spent}"
            ));
        }
        let sum = |kind: EntryKind| {
            self.ledger(id)
                .iter()
                .filter(|entry| entry.kind == kind)
                .map(|entry| entry.amount)
                .sum::<i64>()
        };
        let given = sum(EntryKind::Grant) + sum(EntryKind::Adjustment);
        if i64::try_from(granted).unwrap() != given {
            wrong.push(format!("granted {granted} is not the ledger's {given}"));
        }
        if i64::try_from(spent).unwrap() != -sum(EntryKind::Chat) {
            wrong.push(format!("spent {spent} is not the ledger's {}", -sum(EntryKind::Chat)));
        }
        let rows = self.ledger(id).iter().filter(|entry| entry.kind == EntryKind::Chat);
        let mut rows: Vec<_> =
            rows.map(|row| (row.chat_id.clone().unwrap_or_default(), -row.amount)).collect();
        let mut chats: Vec<_> = self
            .chats(id)
            .iter()
            .map(|chat| (chat.chat_id.clone(), i64::try_from(chat.cost.get()).unwrap()))
            .collect();
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
        let waits = self
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        if matches!(self.status, 409 | 503)
            && self.code() != "username_taken"
            && waits.is_none_or(|seconds| seconds == 0)
        {
            wrong.push(format!("no time to try again: {shown}"));
        }
        if self.status >= 400 && (self.code().is_empty() || self.detail().is_empty()) {
            wrong.push(format!("a failure without a code: {shown}"));
        }
        if self.is_unknown()
            && (self.detail().contains("othing was") || self.detail().contains("not charged"))
        {
            wrong.push(format!("an unknown outcome claims to be known: {shown}"));
        }
        for internal in
            ["amazon", "Exception", "Dynamo", "127.0.0.1", "wire's own", "Table", "connection"]
        {
            if self.status >= 400 && shown.contains(internal) {
                wrong.push(format!("internals in a reply: {shown}"));
            }
        }
        wrong
    }
}

/// One fault at one call, for one user.
struct Case<S: Scenario> {
    scenario: S,
    plan: Option<Plan>,
    /// Whether the client sends its request again.
    retries: bool,
    lane: Lane,
    app: App,
    /// The endpoint over `app`. `None` for work that no request begins.
    function: Option<Function>,
    who: Person,
    own: S::Own,
    replies: Vec<S::Reply>,
    wrong: Vec<String>,
}

impl<S: Scenario> Case<S> {
    fn new(
        stand: &Stand,
        function: &str,
        scenario: S,
        plan: Option<Plan>,
        retries: bool,
        who: Person,
        own: S::Own,
    ) -> Self {
        let lane = stand.proxy.lane();
        let app = stand.app(function, &lane);
        let of_endpoint = stand.api.server().functions.get(function);
        Self {
            scenario,
            plan,
            retries,
            function: of_endpoint.map(|function| function.over(app.clone())),
            app,
            lane,
            who,
            own,
            replies: Vec::new(),
            wrong: Vec::new(),
        }
    }

    fn function(&self) -> &Function {
        self.function.as_ref().expect("an endpoint")
    }

    async fn asks(&mut self) {
        let reply = S::ask(self).await;
        self.replies.push(reply);
    }

    /// The request under its fault, and whatever of it comes late.
    async fn runs(&mut self) {
        self.asks().await;
        let struck = self.plan.is_none() || self.lane.strikes().await;
        self.lane.deliver().await;
        self.was_met(struck);
    }

    /// Proves that the fault struck, and that it was met as it should be: once, nobody but the SDK
    /// noticed.
    fn was_met(&mut self, struck: bool) {
        let Some(plan) = self.plan else { return };
        if !struck {
            self.notes("the request", ["the fault never struck".into()]);
        }
        let reply = self.replies.last().unwrap();
        if plan.strikes == Strikes::Once
            && plan.fault.is_sent_again()
            && !self.scenario.is_usual(reply)
        {
            let sentence = format!("a single fault was noticed: {reply:?}");
            self.notes("the request", [sentence]);
        }
    }

    fn notes(&mut self, moment: &str, wrong: impl IntoIterator<Item = String>) {
        self.wrong.extend(wrong.into_iter().map(|sentence| format!("{moment}: {sentence}")));
    }

    /// The violations under the case's full name.
    fn verdict(&self) -> Vec<String> {
        let again = if self.retries { "sent again" } else { "not sent again" };
        let plan = self.plan.map_or("no fault".into(), |plan| {
            format!("{:?} {:?} at {:?}", plan.fault, plan.strikes, plan.at)
        });
        let calls: Vec<_> = self
            .lane
            .calls()
            .iter()
            .map(|call| format!("{} x{}", call.operation, call.attempts))
            .collect();
        let name = format!(
            "{:?}, {plan}, {again}, {} {}, {:?} {calls:?}",
            self.scenario, self.who.name, self.who.id, self.replies
        );
        let weak = self
            .lane
            .weak_reads()
            .into_iter()
            .map(|read| format!("a read without its consistency: {read}"));
        self.wrong
            .iter()
            .cloned()
            .chain(weak)
            .map(|sentence| format!("{name}\n    {sentence}"))
            .collect()
    }
}

impl<S: Scenario<Reply = Reply>> Case<S> {
    /// The next request, where nothing goes wrong any more.
    async fn runs_again(&mut self, expected: &[(u16, &str)]) {
        self.asks().await;
        let wrong = self.replies.last().unwrap().audit(expected);
        self.notes("sent again", wrong);
    }

    /// Whether the tokens of every success open the account, and can be refreshed.
    async fn tokens_hold(&mut self, stand: &Stand) {
        let mut wrong = Vec::new();
        for reply in self.replies.iter().filter(|reply| reply.status < 300) {
            for token in ["access", "token"] {
                let balance = stand.balance(reply.body[token].as_str().unwrap()).await;
                if balance != Some(GRANT) {
                    wrong.push(format!("a token doesn't hold: it opens {balance:?}"));
                }
            }
            let refreshed = stand.refresh(&reply.body["refresh"]).await;
            if refreshed.status != 200 {
                wrong.push(format!("a session can't be refreshed: {refreshed:?}"));
            }
        }
        self.notes("with its tokens", wrong);
    }
}

/// Every fault at each of these calls.
fn plans(calls: &[String], faults: &[Fault], strikes: &[Strikes]) -> Vec<Plan> {
    let mut seen = BTreeMap::<&str, usize>::new();
    let mut plans = Vec::new();
    for operation in calls {
        let nth = seen.entry(operation).and_modify(|count| *count += 1).or_insert(1);
        let known = [
            "GetItem",
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "TransactWriteItems",
            "BatchGetItem",
            "BatchWriteItem",
            "Query",
            "Scan",
        ];
        let operation = known.into_iter().find(|known| known == operation).unwrap();
        for fault in faults.iter().filter(|fault| fault.suits(operation)) {
            // What is done and answered isn't sent again.
            let strikes = strikes
                .iter()
                .filter(|strikes| !(*fault == Fault::Again && **strikes == Strikes::EachAttempt));
            plans.extend(strikes.map(|strikes| Plan {
                at: At::Operation(operation, *nth),
                fault: *fault,
                strikes: *strikes,
            }));
        }
    }
    plans
}

async fn side_by_side<C>(cases: &mut [C], each: impl AsyncFn(&mut C)) {
    let each = &each;
    iter(cases)
        .for_each_concurrent(AT_A_TIME, |case| async move {
            keeping_up().await;
            each(case).await;
        })
        .await;
}

/// Runs each case that has a fault, and lets its wire be as it should from then on.
async fn disturb<S: Scenario>(cases: &mut [Case<S>]) {
    side_by_side(cases, async |case| {
        if case.plan.is_some() {
            case.runs().await;
            case.lane.calm();
        }
    })
    .await;
}

#[track_caller]
fn none((cases, wrong): (usize, Vec<String>)) {
    assert!(wrong.is_empty(), "{} violations in {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn nothing_but_an_index_is_read_as_it_may_have_been_before() {
    let stand = Stand::start().await;
    let (ann, lane) = (stand.somebody().await, stand.proxy.lane());
    let bearer = ann.bearer();
    let pages = [
        ("balance", "/api/tokens"),
        ("profile", "/api/user/profile"),
        ("chat_history", "/api/chat"),
        ("ledger", "/api/user/ledger"),
        ("export", "/api/user/export"),
        ("admin_users", "/api/admin/users"),
        ("admin_user", &format!("/api/admin/users/{}", ann.id)),
        ("admin_ledger", &format!("/api/admin/users/{}/ledger", ann.id)),
        ("admin_chats", "/api/admin/chats"),
        ("admin_trail", "/api/admin/trail"),
        ("admin_figures", "/api/admin/figures"),
    ];
    stand.api.set(&ann, "role", AttributeValue::S("admin".into())).await;
    for (function, path) in pages {
        lane.strike(None);
        let reply = ask(
            &stand.function(function, &lane),
            function,
            path,
            &[("authorization", &bearer)],
            Value::Null,
        )
        .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!lane.calls().is_empty(), "{function} reads nothing");
    }
    let store = stand.app("sweep", &lane).store;
    store.public_keys().await.unwrap();
    store.account_keys(None).await.unwrap();
    assert_eq!(store.audit(&ann.name).await.unwrap().differences, []);
    assert_eq!(lane.weak_reads(), [""; 0]);
}

/// What a mistake does is seen by the part of the matrix that is run with it.
async fn finds(mistake: Mistake, sentence: &str) {
    let stand = Stand::with(Some(mistake)).await;
    let (cases, wrong) = match mistake {
        Mistake::DeductWithoutGuard => {
            chats::run(&stand, Matrix::one(Paying::Chat, Fault::Fail500After, Strikes::Once)).await
        }
        Mistake::RefundUnconditionally => {
            chats::run(&stand, Matrix::one(Paying::FailingChat, Fault::Fail500After, Strikes::Once))
                .await
        }
        Mistake::ReplyBeforeSettling => {
            let matrix = Matrix::one(Paying::Chat, Fault::ResetBefore, Strikes::EachAttempt);
            chats::run(&stand, Matrix { calls: Some(vec!["TransactWriteItems".into()]), ..matrix })
                .await
        }
        Mistake::RotateStrictly => {
            refreshes::run(
                &stand,
                Matrix::one(Refreshing::First, Fault::Fail500After, Strikes::Once),
            )
            .await
        }
        Mistake::SettleWithoutOwner => chats::sleepers(&stand).await,
    };
    assert!(
        wrong.iter().any(|found| found.contains(sentence)),
        "{mistake:?} in {cases} cases: {wrong:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_that_is_put_into_the_protocol_is_found() {
    // Five large futures would not have room on a test's stack.
    let finds = |mistake, sentence| Box::pin(finds(mistake, sentence));
    tokio::join!(
        finds(Mistake::DeductWithoutGuard, "is not tokens"),
        finds(Mistake::RefundUnconditionally, "is not tokens"),
        finds(Mistake::ReplyBeforeSettling, "an answer was served and no chat is stored"),
        finds(Mistake::RotateStrictly, "the session is over"),
        finds(Mistake::SettleWithoutOwner, "the sleeper: this reply may not come: 200"),
    );
}
