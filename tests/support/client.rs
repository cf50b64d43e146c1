//! The gateway under test ([`Api`]), its users ([`Person`]) with a method for each endpoint, and
//! the replies that they get ([`Answer`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo::{self, Data};
use futures_util::future::join_all;
use local::server::Server;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::app::{IssuerApp, LoginApp};
use shared::clock::Clock;
use shared::config::{Config, Settings};
use shared::mail::Mail;
use shared::store::{AdjustOutcome, Adjustment, Link, Purpose, SetPricesOutcome, Store};
use shared::values::{AccessToken, LinkToken, Pack, PriceList, Reason, Session};
use shared::{BalanceChange, Credits};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::function::event;
use crate::support::lambda::Instance;
use crate::support::proxy::Proxy;
use crate::support::rig::hash_cost;
use crate::support::wait::until;
use crate::support::world::scan;
use crate::support::{document, log};

/// The price of a chat. All clients assume this price and [`GRANT`], the credits of a new account.
pub const PRICE: u64 = 100;
pub const GRANT: u64 = 4000;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A pack of `tokens` at this price in cents.
pub fn a_pack(tokens: u64, price: u64) -> Pack {
    Pack {
        id: "small".into(),
        name: "A pack".into(),
        tokens: Credits::new(tokens).unwrap(),
        price,
        currency: "EUR".into(),
    }
}

/// How long a function caches a price list.
pub const PRICES_KEPT: Duration = Duration::from_secs(60);

/// Limits how many requests the tests send to another gateway at the same time. `cargo lambda
/// watch` hangs if a hundred requests wait for one function.
static TURNS: Semaphore = Semaphore::const_new(64);

/// Limits how many passwords are hashed for tests that need many users or sessions. On a busy
/// machine, a hash takes a second, and the gateway waits for a function for ten seconds.
static HASHES: Semaphore = Semaphore::const_new(4);

/// A gateway of the API.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    /// The URL of the DynamoDB behind the gateway.
    pub dynamodb: String,
    http: reqwest::Client,
    own: Option<Arc<OwnServer>>,
}

/// A server that one test started. `account` is the server's account in DynamoDB Local, if
/// `TEST_DYNAMODB` is set.
struct OwnServer {
    server: Server,
    account: Option<Proxy>,
    /// False if the server replies with statuses other than those in the OpenAPI document, or
    /// accepts more than the document does.
    is_described: bool,
}

impl Api {
    /// Returns the gateway at `API_URL`, or starts a server for this test if the variable isn't
    /// set.
    pub async fn start() -> Self {
        match std::env::var("API_URL") {
            Ok(url) => {
                let dynamodb = std::env::var("DYNAMODB_ENDPOINT")
                    .expect("with API_URL, DYNAMODB_ENDPOINT names the store behind it");
                Self { url, dynamodb, http: http(), own: None }
            }
            Err(_) => Self::own(&[]).await,
        }
    }

    /// Starts a server for this test with some settings changed, even if `API_URL` is set.
    pub async fn own(environment: &[(&str, &str)]) -> Self {
        Self::with_data(&Data::Memory, environment).await
    }

    /// Starts this test's own server with its clock stopped at the start of an hour and with some
    /// settings changed, even if `API_URL` is set. Per-minute and per-hour limits then apply to the
    /// whole test, however long it takes on a busy machine.
    pub async fn at_an_hour(environment: &[(&str, &str)]) -> Self {
        const HOUR: u64 = 3_600_000;
        let next = Clock::default().millis().next_multiple_of(HOUR);
        Self::with_clock(Clock::standing(next), environment).await
    }

    /// Starts a server for this test with `clock` and some settings changed, even if `API_URL` is
    /// set.
    pub async fn with_clock(clock: Clock, environment: &[(&str, &str)]) -> Self {
        Self::running(&Data::Memory, clock, environment).await
    }

    /// Starts this test's own server with its store in a folder, even if `API_URL` is set.
    pub async fn in_folder(folder: &str) -> Self {
        Self::with_data(&Data::Folder(folder.into()), &[]).await
    }

    async fn with_data(data: &Data, environment: &[(&str, &str)]) -> Self {
        Self::running(data, Clock::default(), environment).await
    }

    async fn running(data: &Data, clock: Clock, environment: &[(&str, &str)]) -> Self {
        log::listen();
        shared::passwords::set_cost(hash_cost());
        // A busy machine may need seconds for a reply of a simulated provider.
        let is_remote =
            |(name, _): &(&str, &str)| name.ends_with("_BASE_URL") || *name == "BEDROCK_ENDPOINT";
        let patience = if environment.iter().any(is_remote) { "20" } else { "1" };
        let mut variables = HashMap::from([
            ("AI_PROVIDER", "scripted"),
            ("AI_TIMEOUT_SECONDS", patience),
            ("SHARING", "on"),
        ]);
        variables.extend(environment.iter().copied());
        let account = match std::env::var("TEST_DYNAMODB") {
            Ok(emulator)
                if !variables.contains_key("DYNAMODB_ENDPOINT") && matches!(data, Data::Memory) =>
            {
                Some(Proxy::account(&emulator).await)
            }
            _ => None,
        };
        let store = account.as_ref().map(|account| account.lane().url);
        if let Some(store) = &store {
            dynamo::create_tables(store).await.unwrap();
            variables.insert("DYNAMODB_ENDPOINT", store);
        }
        let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let server = Server::start(0, data, clock, lookup).await.unwrap();
        let dynamodb = store.clone().unwrap_or_else(|| server.dynamo.url.clone());
        Self {
            url: server.url.clone(),
            dynamodb,
            http: http(),
            own: Some(Arc::new(OwnServer {
                server,
                account,
                is_described: !variables.contains_key("CLIENT_STATUSES")
                    && variables.get("UNSUPPORTED") != Some(&"ignore"),
            })),
        }
    }

    /// Starts a server for this test, registers a user, and then stops the server's store.
    pub async fn without_a_store() -> (Self, Person) {
        Self::without_a_store_and(&[]).await
    }

    /// Like [`Api::without_a_store`], with some settings changed.
    pub async fn without_a_store_and(environment: &[(&str, &str)]) -> (Self, Person) {
        let store = Self::own(&[]).await;
        let api = store.beside(environment).await;
        let person = api.person("ann").await;
        let OwnServer { server, account, .. } = Arc::into_inner(store.own.unwrap()).unwrap();
        drop(account);
        server.stop().await;
        // Expires the cached public keys.
        api.server().clock.advance(Duration::from_secs(300));
        (api, person)
    }

    /// Starts another server for this test with the same store and clock, and some settings changed.
    pub async fn beside(&self, environment: &[(&str, &str)]) -> Self {
        Self::at(&self.dynamodb, self.clock(), environment).await
    }

    /// Starts a server for this test that uses the store at `dynamodb` and `clock`.
    pub async fn at(dynamodb: &str, clock: Clock, environment: &[(&str, &str)]) -> Self {
        let environment = [environment, &[("DYNAMODB_ENDPOINT", dynamodb)]].concat();
        let own = Self::running(&Data::Memory, clock, &environment).await;
        Self { dynamodb: dynamodb.to_owned(), ..own }
    }

    /// This test's server. Tests can move its clock and inspect its functions. Panics if `API_URL`
    /// is set.
    pub fn server(&self) -> &Server {
        &self.own.as_ref().expect("this test starts its own server").server
    }

    /// Returns true if this test started the server. No other test uses a test's own server, and no
    /// Lambda emulator runs in front of it.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The secret from which the API derives its signing key.
    pub fn signing_secret(&self) -> String {
        match &self.own {
            Some(own) => own.server.dynamo.secret.clone(),
            None => {
                let secret = std::env::var("SIGNING_SECRET")
                    .expect("with API_URL, SIGNING_SECRET is the secret behind it");
                match secret.strip_prefix("file://") {
                    Some(path) => std::fs::read_to_string(path).unwrap().trim().to_owned(),
                    None => secret,
                }
            }
        }
    }

    /// Sends a request with a JSON body and headers, as any client might.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let body = body.map(|body| body.to_string().into_bytes());
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.raw(
            method,
            path,
            if body.is_some() { &all } else { headers },
            body.unwrap_or_default(),
        )
        .await
    }

    /// Sends a request with exactly these bytes and headers.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let _turn = if self.is_own() { None } else { TURNS.acquire().await.ok() };
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.url)).body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply =
            request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        let (status, headers) = (reply.status(), reply.headers().clone());
        let text = without_comments(&reply.text().await.unwrap());
        if self.own.as_ref().is_some_and(|own| own.is_described) {
            document::describes(&method, path, &body, status, &headers, &text);
        }
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { asked: format!("{method} {path}"), status, headers, body }
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn register(&self, body: Value) -> Answer {
        self.post("/api/register/", body).await
    }

    pub async fn log_in(&self, body: Value) -> Answer {
        self.post("/api/login/", body).await
    }

    pub async fn refresh(&self, refresh: &str) -> Answer {
        self.post("/api/token/refresh/", json!({ "refresh": refresh })).await
    }

    /// Registers a user under a unique name that begins with `name`.
    pub async fn person(&self, name: &str) -> Person {
        self.person_with(json!({ "username": unique(name), "password": "secret123" })).await
    }

    /// Registers an administrator under a unique name that begins with `name`.
    pub async fn administrator(&self, name: &str) -> Person {
        let person = self.person(name).await;
        self.set(&person, "role", AttributeValue::S("admin".into())).await;
        person
    }

    /// Registers a user with this username and password.
    pub async fn person_with(&self, registration: Value) -> Person {
        let _turn = HASHES.acquire().await.unwrap();
        let registered = self.register(registration.clone()).await.is(201);
        Person::of(self, &registration, &registered)
    }

    /// Registers a user with exactly this username and this e-mail address.
    pub async fn person_at(&self, name: &str, email: &str) -> Person {
        self.person_with(json!({ "username": name, "email": email, "password": "secret123" })).await
    }

    /// Registers a user with a unique e-mail address. Returns the user and the address.
    pub async fn person_with_email(&self) -> (Person, String) {
        let address = format!("{}@example.com", unique("ann"));
        (self.person_at(&unique("ann"), &address).await, address)
    }

    /// Changes one attribute of an account directly in the store.
    pub async fn set(&self, person: &Person, attribute: &str, value: AttributeValue) {
        let update = dynamo::client(&self.dynamodb)
            .update_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{}", person.name)));
        let update = update
            .update_expression("SET #attribute = :value")
            .expression_attribute_names("#attribute", attribute);
        update.expression_attribute_values(":value", value).send().await.unwrap();
    }

    /// Makes the test's network unknown to the account, as if its owner had registered from a
    /// different network.
    pub async fn moves(&self, person: &Person) {
        self.set(person, "home", AttributeValue::S("elsewhere".into())).await;
    }

    /// Reads the account from the store.
    pub async fn account(&self, person: &Person) -> shared::values::Account {
        let get = dynamo::client(&self.dynamodb)
            .get_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{}", person.name)));
        serde_dynamo::from_item(get.consistent_read(true).send().await.unwrap().item.unwrap())
            .unwrap()
    }

    /// Returns the account, and the claims of an access token for a session that isn't in the
    /// store.
    pub async fn caller(&self, person: &Person) -> (shared::values::Account, AccessToken) {
        let account = self.account(person).await;
        let session = Session::new(
            &account,
            Some("a device".into()),
            &self.clock(),
            Duration::from_secs(3600),
        );
        let caller = AccessToken::new(&account, &session, session.ends);
        (account, caller)
    }

    /// Returns the store behind the gateway, called through `client`.
    pub fn store_over(&self, client: aws_sdk_dynamodb::config::Builder) -> Store {
        let settings = Settings::new(|name| match name {
            "DYNAMODB_ENDPOINT" => Some(self.dynamodb.clone()),
            name => name
                .strip_suffix("_TABLE")
                .map(|table| format!("{}{}Table", &table[..1], table[1..].to_lowercase())),
        });
        Store::with_client(client, &Config::read(&settings).unwrap())
    }

    /// Returns the `App` of an endpoint that issues JWTs.
    pub fn issuing(&self, endpoint: &str) -> &IssuerApp {
        let function = &self.server().functions[endpoint];
        let login = || function.needs::<LoginApp>().map(|login| &login.app);
        function.needs().or_else(login).expect("it issues tokens")
    }

    /// Returns the store behind the gateway, called through a plain client.
    pub fn store(&self) -> Store {
        self.store_over(aws_sdk_dynamodb::Config::from(&shared::aws::emulated()).to_builder())
    }

    /// Adjusts an account's balance by `amount`, as `manage adjust` does.
    pub async fn adjust(&self, person: &Person, amount: i64, reason: &str) -> AdjustOutcome {
        let (account, clock) = (self.account(person).await, self.clock());
        let adjustment = Adjustment::new(
            &account,
            BalanceChange::new(amount).unwrap(),
            Reason::parse(reason).unwrap(),
            "manage",
            &clock,
        );
        self.store().adjust(&adjustment, clock.seconds()).await.unwrap()
    }

    /// Sets the price list, as `manage models set` does, or removes it if `list` is null. Functions
    /// that have read an earlier list use it for [`PRICES_KEPT`].
    pub async fn stores_prices(&self, list: &Value) {
        let list = (!list.is_null()).then(|| PriceList::read(list).unwrap());
        let store = self.store();
        let seen = store.prices().await.unwrap();
        let seen = seen.as_ref().map(|seen| seen.of.version.as_str());
        let set = store.set_list(None, list.as_ref(), seen, &self.clock()).await.unwrap();
        assert!(matches!(set, SetPricesOutcome::Set(_)), "{set:?}");
    }

    /// Sets or removes the price list, and moves the clock until all functions read it again.
    pub async fn prices(&self, list: &Value) {
        self.stores_prices(list).await;
        self.server().clock.advance(PRICES_KEPT);
    }

    /// Waits until `count` e-mails have been sent to the address, and returns them. E-mails that
    /// are sent at the same time may arrive in any order.
    pub async fn mails_to(&self, address: &str, count: usize) -> Vec<Mail> {
        let to_it = |mails: &[Mail]| {
            mails.iter().filter(|mail| mail.to == address).cloned().collect::<Vec<_>>()
        };
        let waiting = async {
            match &self.own {
                Some(own) => {
                    let mut mails = own.server.mails.clone().unwrap();
                    let enough = mails.wait_for(|mails| to_it(mails).len() >= count).await.unwrap();
                    to_it(&enough)
                }
                // Another process sends the e-mails, and stores each of them in a file.
                None => loop {
                    let mails = to_it(&kept_mails());
                    if mails.len() >= count {
                        return mails;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                },
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.unwrap_or_else(|_| panic!("fewer than {count} e-mails to {address}"))
    }

    /// Waits until the outbox is empty. Only for a store that no other test uses.
    pub async fn outbox_is_empty(&self) {
        let is_outgoing = |item: &Value| item["pk"].as_str().unwrap().starts_with("outbox:");
        until("the outbox is empty", async || {
            !self.items("").await["TokensTable"].iter().any(is_outgoing)
        })
        .await;
    }

    /// Waits for the first e-mail to the address, and returns the token in its link.
    pub async fn token_to(&self, address: &str) -> String {
        token_in(&self.mails_to(address, 1).await[0])
    }

    /// Stores a link for this account and purpose without sending an e-mail, and returns the link's
    /// token.
    pub async fn link(&self, person: &Person, purpose: Purpose, address: &str) -> String {
        let (token, now) = (LinkToken::random().unwrap(), self.now());
        let link = Link::new(
            &token,
            purpose,
            &person.id,
            &person.name,
            address,
            self.account(person).await.auth_epoch,
            now,
        );
        self.store().put_link(&link).await.unwrap();
        token.text()
    }

    /// Returns the server's clock. A server in another process has the system's time.
    pub fn clock(&self) -> Clock {
        self.own.as_ref().map_or_else(Clock::default, |own| own.server.clock.clone())
    }

    pub fn now(&self) -> u64 {
        self.clock().seconds()
    }

    /// Deletes the account's item from the store, as if it had never existed.
    pub async fn forget(&self, person: &Person) {
        let delete = dynamo::client(&self.dynamodb)
            .delete_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{}", person.name)));
        delete.send().await.unwrap();
    }

    /// Deletes a public key. After the deletion, the API refuses JWTs that were signed with the
    /// matching private key.
    pub async fn withdraw_key(&self, kid: &str) {
        let delete = dynamo::client(&self.dynamodb)
            .delete_item()
            .table_name("KeysTable")
            .key("kid", AttributeValue::S(kid.into()));
        delete.send().await.unwrap();
    }

    /// Returns every item in the store that mentions `who`, except the attempt counts, grouped by
    /// table. If no other test uses the store, returns all items, because they all belong to this
    /// test.
    pub async fn items(&self, who: &str) -> BTreeMap<&'static str, Vec<Value>> {
        let mut items = BTreeMap::new();
        for table in ["UsersTable", "TokensTable", "KeysTable", "ChatsTable", "LedgerTable"] {
            let found: Vec<Value> = scan(&self.dynamodb, table).await;
            let counts =
                |item: &Value| item["pk"].as_str().is_some_and(|pk| pk.starts_with("attempt:"));
            let found = found.into_iter().filter(|item| !counts(item));
            let mut found: Vec<_> =
                found.filter(|item| self.is_own() || item.to_string().contains(who)).collect();
            found.sort_by_key(Value::to_string);
            items.insert(table, found);
        }
        items
    }
}

/// Returns the link token in an e-mail. The e-mail may contain the whole link or only the token.
pub fn token_in(mail: &Mail) -> String {
    let link = mail
        .text
        .lines()
        .find(|line| line.len() >= 43 && !line.contains(' '))
        .unwrap_or_else(|| panic!("no link in {}", mail.text));
    link.rsplit('=').next().unwrap().to_owned()
}

/// Reads the e-mails in the folder that `MAIL_FOLDER` names, oldest first.
fn kept_mails() -> Vec<Mail> {
    let folder = std::env::var("MAIL_FOLDER")
        .expect("with API_URL, MAIL_FOLDER names the folder of its mails");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    // The sender adds `.txt` to a file's name only when the file is complete.
    let files = files.filter(|file| file.extension().is_some_and(|is| is == "txt"));
    let mut files: Vec<_> = files.collect();
    files.sort();
    let read = |file: std::path::PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let (head, text) = text.split_once("\n\n")?;
        let (to, subject) = head.strip_prefix("To: ")?.split_once("\nSubject: ")?;
        Some(Mail { to: to.into(), subject: subject.into(), text: text.into() })
    };
    files.into_iter().filter_map(read).collect()
}

/// Returns a username that no other user has: `name` with a random suffix.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", &Uuid::new_v4().simple().to_string()[..12])
}

/// How long a client keeps an idle connection. The servers under test close a connection after ten
/// seconds without a first request, or after thirty idle seconds. A request that is sent at that
/// moment fails.
const IDLE: Duration = Duration::from_secs(3);

/// Returns a client that never uses a connection that the server may be closing.
pub fn http() -> reqwest::Client {
    // `sam local` starts a container for a function's first request.
    reqwest::Client::builder()
        .timeout(Duration::from_secs(300))
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// A user with an account and a session.
#[derive(Clone)]
pub struct Person {
    pub api: Api,
    pub id: String,
    pub name: String,
    pub password: String,
    pub token: String,
    pub access: String,
    pub refresh: String,
}

impl Person {
    /// Returns the user that `registration` created, with the tokens in the reply `registered`.
    pub fn of(api: &Api, registration: &Value, registered: &Value) -> Self {
        let [name, password] =
            ["username", "password"].map(|field| registration[field].as_str().unwrap().to_owned());
        let text = |field: &str| registered[field].as_str().unwrap().to_owned();
        Self {
            api: api.clone(),
            name,
            password,
            id: text("id"),
            token: text("token"),
            access: text("access"),
            refresh: text("refresh"),
        }
    }

    pub async fn log_in(&self) -> Answer {
        self.api.log_in(self.credentials()).await
    }

    /// Returns the body of a log-in request.
    pub fn credentials(&self) -> Value {
        json!({ "username": self.name, "password": self.password })
    }

    /// Ends this session as a thief would: presents the first refresh token again after its
    /// successor was used.
    pub async fn is_robbed(&self) {
        let second = self.api.refresh(&self.refresh).await.is(200);
        self.api.refresh(second["refresh"].as_str().unwrap()).await.is(200);
        self.api.refresh(&self.refresh).await.expect(401, "token_not_valid");
    }

    /// Returns the same user as a client of a different gateway.
    pub fn at(&self, api: &Api) -> Self {
        Self { api: api.clone(), ..self.clone() }
    }

    /// Writes holds for a chat's price directly to the account. `reservations` contains each hold's
    /// id, and the end of its lease in seconds.
    pub async fn holds(&self, reservations: &[(&str, u64)]) {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let held = |ends: u64| {
            let fields = [
                ("cost", number(PRICE)),
                ("owner", AttributeValue::S("a-chat".into())),
                ("expires_at", number(ends)),
            ];
            AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into())
        };
        let held = reservations.iter().map(|(id, ends)| ((*id).to_owned(), held(*ends))).collect();
        self.api.set(self, "reservations", AttributeValue::M(held)).await;
    }

    /// Sets the balance directly in the store.
    pub async fn has_left(&self, tokens: u64) {
        self.api.set(self, "tokens", AttributeValue::N(tokens.to_string())).await;
    }

    /// Returns the same user with a different access token.
    pub fn using(&self, access: impl Into<String>) -> Self {
        Self { access: access.into(), ..self.clone() }
    }

    pub async fn chat(&self, message: &str) -> Answer {
        self.post("/api/chat/", json!({ "message": message })).await
    }

    /// Lists a page of chats. `query` is appended to the path.
    pub async fn history(&self, query: &str) -> Answer {
        self.get(&format!("/api/chat/{query}")).await
    }

    /// Returns when one of this user's chats waits for the AI.
    pub async fn is_waiting(&self) {
        self.has_waiting(1).await;
    }

    /// Returns when at least `chats` of this user's chats wait for the AI.
    pub async fn has_waiting(&self, chats: usize) {
        until("a chat waits for the AI", async || {
            self.api.account(self).await.reservations.len() >= chats
        })
        .await;
    }

    /// Returns when no chat of this user waits for the AI.
    pub async fn waits_for_nothing(&self) {
        until("no chat waits for the AI", async || {
            self.api.account(self).await.reservations.is_empty()
        })
        .await;
    }

    /// Sends `chats` messages to functions that are killed while they wait for the AI. The user's
    /// holds remain until [`LEASE`](crate::support::lambda::LEASE) has passed. The functions run in
    /// separate processes, because the server's own functions would notice when a test moves the
    /// clock, and would release the holds.
    pub async fn chats_that_die(&self, chats: usize) {
        self.requests_that_die("chat", "/api/chat", &json!({ "message": "!hang" }), chats).await;
    }

    /// Requests embeddings, like [`Person::chats_that_die`], from the model `small`.
    pub async fn embeddings_that_die(&self, requests: usize) {
        let body = json!({ "model": "small", "input": "!hang" });
        self.requests_that_die("embeddings", "/v1/embeddings", &body, requests).await;
    }

    async fn requests_that_die(&self, endpoint: &str, path: &str, body: &Value, count: usize) {
        let event = event(endpoint, path, &[("authorization", &self.bearer())], body);
        let instances = (0..count).map(|_| Instance::scripted(endpoint, &self.api.dynamodb));
        let instances = join_all(instances).await;
        instances.iter().for_each(|instance| instance.takes(&event));
        self.has_waiting(count).await;
        instances.into_iter().for_each(Instance::kill);
    }

    /// Requests embeddings of 7 model tokens from the model `small`.
    pub async fn pays_for_embeddings(&self) -> Answer {
        let body = json!({ "model": "small", "input": "!used 7 and more words" });
        self.post("/v1/embeddings", body).await
    }

    pub async fn balance(&self) -> u64 {
        self.get("/api/tokens/").await.is(200)["tokens"].as_u64().unwrap()
    }

    pub async fn profile(&self) -> Answer {
        self.get("/api/user/profile/").await
    }

    /// Sends a request with this user's access token and additional headers.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let bearer = self.bearer();
        let headers = [headers, &[("authorization", bearer.as_str())]].concat();
        self.api.send(method, path, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// Gets a list as a CSV file.
    pub async fn get_csv(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", "text/csv")], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// Sends a POST request with an idempotency key.
    pub async fn post_once(&self, key: &str, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    pub async fn deletes_the_account(&self) -> Answer {
        let body = json!({ "password": self.password });
        self.send(Method::DELETE, "/api/user/", &[], Some(body)).await
    }

    /// Logs the same user in on another device, which starts a new session.
    pub async fn elsewhere(&self, device: &str) -> Self {
        let _turn = HASHES.acquire().await.unwrap();
        let body = json!({ "username": self.name, "password": self.password });
        let session = self
            .api
            .send(Method::POST, "/api/login/", &[("user-agent", device)], Some(body))
            .await
            .is(200);
        let text = |field: &str| session[field].as_str().unwrap().to_owned();
        Self {
            token: text("token"),
            access: text("access"),
            refresh: text("refresh"),
            ..self.clone()
        }
    }

    /// The id of this user's session.
    pub fn session(&self) -> String {
        crate::support::forge::claims(&self.access)["sid"].as_str().unwrap().to_owned()
    }

    /// Lists the account's sessions. `query` is appended to the path.
    pub async fn sessions(&self, query: &str) -> Answer {
        self.get(&format!("/api/user/sessions/{query}")).await
    }

    pub async fn ends(&self, session: &str) -> Answer {
        self.delete(&format!("/api/user/sessions/{session}")).await
    }

    pub async fn log_out(&self) -> Answer {
        self.send(Method::POST, "/api/logout/", &[], None).await
    }

    pub async fn log_out_everywhere(&self) -> Answer {
        self.post("/api/logout/", json!({ "all": true })).await
    }

    /// Asserts that this session has ended: the API refuses all its JWTs.
    #[track_caller]
    pub fn is_out(&self) -> impl Future<Output = ()> + '_ {
        let at = std::panic::Location::caller();
        async move {
            for token in [&self.access, &self.token] {
                let answer = self.using(token).profile().await;
                assert_eq!(answer.status, 401, "at {at}: {answer:?}");
                answer.expect(401, "token_not_valid");
                self.using(token).chat("hi").await.expect(401, "token_not_valid");
            }
            let answer = self.api.refresh(&self.refresh).await;
            assert_eq!(answer.status, 401, "at {at}: {answer:?}");
            answer.expect(401, "token_not_valid");
        }
    }

    /// Verifies an e-mail address with a link token, in this session.
    pub async fn verifies(&self, token: &str) -> Answer {
        self.post("/api/user/email/verify/", json!({ "token": token })).await
    }

    /// Asserts that this session is valid: the API accepts all its JWTs.
    pub async fn is_in(&self) {
        for token in [&self.access, &self.token] {
            self.using(token).profile().await.is(200);
        }
        self.api.refresh(&self.refresh).await.is(200);
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, &[], Some(body)).await
    }

    /// Changes the profile. The request includes the password, which a change of address requires.
    pub async fn change(&self, mut fields: Value) -> Answer {
        fields["current_password"] = json!(self.password);
        self.patch("/api/user/profile/", fields).await
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.access)
    }
}

/// A reply to a client.
pub struct Answer {
    pub asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.asked, self.status, self.body)
    }
}

impl Answer {
    /// Asserts the status and the headers that every reply has, and returns the body.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.has_security_headers();
        self.body
    }

    /// Asserts that the reply is a failure with this status and code, and returns the body. The
    /// body must be a complete problem document, or under `/v1/` a failure in OpenAI's or Anthropic's
    /// form. Anthropic's form has no codes.
    #[track_caller]
    pub fn expect(self, status: u16, code: &str) -> Value {
        if self.body["type"] == "error" {
            return self.expect_anthropic(status);
        }
        if self.asked.contains(" /v1/") {
            return match (status, code) {
                (401, _) => self.expect_openai(status, "invalid_request_error", "invalid_api_key"),
                (402, _) => self.expect_openai(status, "insufficient_quota", "insufficient_quota"),
                (429, _) => self.expect_openai(status, "rate_limit_error", "rate_limit_exceeded"),
                (500.., _) => self.expect_openai(status, "server_error", code),
                _ => self.expect_openai(status, "invalid_request_error", code),
            };
        }
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["code"], code, "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json; charset=utf-8",
            "{self:?}"
        );
        for field in ["type", "title", "detail", "request_id"] {
            assert!(
                self.body[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field} of {self:?}"
            );
        }
        self.has_security_headers();
        self.body
    }

    /// Asserts that the reply is a failure in Anthropic's form with this status, and returns the
    /// body.
    #[track_caller]
    pub fn expect_anthropic(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let kind = match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let (whole, error) = (&self.body, &self.body["error"]);
        assert_eq!([&whole["type"], &error["type"]], ["error", kind], "{self:?}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert_eq!(whole["request_id"], self.header("request-id"), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8", "{self:?}");
        self.has_security_headers();
        self.body
    }

    #[track_caller]
    fn expect_openai(self, status: u16, kind: &str, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.body["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!(kind), &json!(code)), "{self:?}");
        assert!(
            error["message"].as_str().is_some_and(|text| !text.is_empty())
                && error.get("param").is_some(),
            "{self:?}"
        );
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8", "{self:?}");
        assert_eq!(
            self.headers.get("x-should-retry").is_some_and(|retry| retry == "false"),
            code == "insufficient_quota" || is_denied(&error["message"]),
            "{self:?}"
        );
        self.has_security_headers();
        self.body
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name} on {self:?}"))
            .to_str()
            .unwrap()
    }

    /// Returns true if the reply is a replay: an earlier request with the same idempotency key got
    /// the same reply.
    pub fn is_replay(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }

    /// Returns the query of the next page's URL. The next page has the same path as this page.
    /// `None` on the last page.
    pub fn next_page(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().unwrap();
        let path = self.asked.split([' ', '?']).nth(1).unwrap();
        let query = link
            .strip_prefix("<http://")
            .and_then(|link| link.find('/').map(|host| &link[host..]))
            .and_then(|link| link.strip_prefix(path))
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .unwrap_or_else(|| panic!("{link} on {}", self.asked));
        Some(query.to_owned())
    }

    #[track_caller]
    fn has_security_headers(&self) {
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
        assert_eq!(self.header("strict-transport-security"), "max-age=31536000", "{self:?}");
        let policy = self.header("content-security-policy");
        let is_page =
            self.headers.get("content-type").is_some_and(|kind| kind == "text/html; charset=utf-8");
        match is_page {
            true => assert!(
                policy.starts_with("default-src 'none'; ")
                    && policy.contains("; frame-ancestors 'none'"),
                "{policy}"
            ),
            // The brand's files are also in a sandbox and contain a picture, and the worker that
            // reads PDFs decodes pictures with WebAssembly.
            false => {
                let more = ["", "; sandbox; img-src data:", "; script-src 'wasm-unsafe-eval'"];
                let rest = policy.strip_prefix("default-src 'none'; frame-ancestors 'none'");
                assert!(rest.is_some_and(|rest| more.contains(&rest)), "{self:?}");
            }
        }
        assert_eq!(self.header("referrer-policy"), "no-referrer", "{self:?}");
        assert!(self.headers.contains_key("cache-control"), "{self:?}");
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
    }
}

/// Returns true if a failure's sentence says that the AI's provider refuses the request.
fn is_denied(message: &Value) -> bool {
    message.as_str().is_some_and(|text| text.contains("its provider refuses this request"))
}

/// Returns the events of a stream without its comments, which clients ignore. Returns other bodies
/// unchanged.
pub fn without_comments(text: &str) -> String {
    text.split_inclusive("\n\n").filter(|block| !block.starts_with(":\n")).collect()
}
