//! A front door to test, the people who use it, and the replies that they get: one verb per
//! endpoint.

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
use shared::BalanceChange;
use shared::app::IssuerApp;
use shared::clock::Clock;
use shared::config::{Config, Settings};
use shared::mail::Mail;
use shared::store::{AdjustOutcome, Adjustment, Link, Purpose, Store};
use shared::values::{AccessToken, LinkToken, Reason, Session};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::function::event;
use crate::support::lambda::Instance;
use crate::support::proxy::Proxy;
use crate::support::world::scan;
use crate::support::{document, log};

/// The price of a chat and the grant of a new account, which all clients know.
pub const PRICE: u64 = 100;
pub const GRANT: u64 = 4000;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// At most this many requests at a time are sent to another front door: `cargo lambda watch` stops
/// for good if a hundred wait for a function.
static TURNS: Semaphore = Semaphore::const_new(64);

/// A front door.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    /// The store behind it.
    pub dynamodb: String,
    http: reqwest::Client,
    own: Option<Arc<OwnServer>>,
}

/// A server of a test's own, and the account of its store if that is AWS's emulator.
struct OwnServer {
    server: Server,
    account: Option<Proxy>,
}

impl Api {
    /// The front door that `API_URL` names, or a server of this test's own.
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

    /// A server of this test's own with some settings changed, whatever `API_URL` says.
    pub async fn own(environment: &[(&str, &str)]) -> Self {
        Self::with_data(&Data::Memory, environment).await
    }

    /// The same with this clock.
    pub async fn with_clock(clock: Clock, environment: &[(&str, &str)]) -> Self {
        Self::running(&Data::Memory, clock, environment).await
    }

    /// A server of this test's own over a folder, whatever `API_URL` says.
    pub async fn in_folder(folder: &str) -> Self {
        Self::with_data(&Data::Folder(folder.into()), &[]).await
    }

    async fn with_data(data: &Data, environment: &[(&str, &str)]) -> Self {
        Self::running(data, Clock::default(), environment).await
    }

    async fn running(data: &Data, clock: Clock, environment: &[(&str, &str)]) -> Self {
        log::listen();
        let mut variables =
            HashMap::from([("AI_PROVIDER", "scripted"), ("AI_TIMEOUT_SECONDS", "1")]);
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
            own: Some(Arc::new(OwnServer { server, account })),
        }
    }

    /// A server of this test's own whose store has stopped answering, and a user who registered
    /// before that.
    pub async fn without_a_store() -> (Self, Person) {
        let store = Self::own(&[]).await;
        let api = store.beside(&[]).await;
        let person = api.person("ann").await;
        let OwnServer { server, account } = Arc::into_inner(store.own.unwrap()).unwrap();
        drop(account);
        server.stop().await;
        // Past the time for which public keys are cached.
        api.server().clock.advance(Duration::from_secs(300));
        (api, person)
    }

    /// Another server of this test's own, with some settings changed, over the store of this one.
    pub async fn beside(&self, environment: &[(&str, &str)]) -> Self {
        Self::at(&self.dynamodb, Clock::default(), environment).await
    }

    /// A server of this test's own over this store, with this clock.
    pub async fn at(dynamodb: &str, clock: Clock, environment: &[(&str, &str)]) -> Self {
        let environment = [environment, &[("DYNAMODB_ENDPOINT", dynamodb)]].concat();
        let own = Self::running(&Data::Memory, clock, &environment).await;
        Self { dynamodb: dynamodb.to_owned(), ..own }
    }

    /// This test's own server, whose clock can be moved and whose functions can be inspected.
    pub fn server(&self) -> &Server {
        &self.own.as_ref().expect("this test starts its own server").server
    }

    /// Whether this is a server of this test's own: no other test uses it, and there is no emulator
    /// in front of it.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The secret from which the key that signs this API's JWTs is derived.
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

    /// A request with a JSON body and headers, as any client might send it.
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

    /// A request with exactly these bytes and headers.
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
        let text = reply.text().await.unwrap();
        if self.is_own() {
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

    /// A user who has just registered, under a name made unique.
    pub async fn person(&self, name: &str) -> Person {
        self.person_with(json!({ "username": unique(name), "password": "secret123" })).await
    }

    /// An administrator, under a name made unique.
    pub async fn administrator(&self, name: &str) -> Person {
        let person = self.person(name).await;
        self.set(&person, "role", AttributeValue::S("admin".into())).await;
        person
    }

    /// A user who has just registered with this name and password.
    pub async fn person_with(&self, registration: Value) -> Person {
        let registered = self.register(registration.clone()).await.is(201);
        Person::of(self, &registration, &registered)
    }

    /// Changes one attribute of an account, behind the API's back.
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

    /// Gives this test a network from which the person has not registered.
    pub async fn moves(&self, person: &Person) {
        self.set(person, "home", AttributeValue::S("elsewhere".into())).await;
    }

    /// The account as the store holds it.
    pub async fn account(&self, person: &Person) -> shared::values::Account {
        let get = dynamo::client(&self.dynamodb)
            .get_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{}", person.name)));
        serde_dynamo::from_item(get.consistent_read(true).send().await.unwrap().item.unwrap())
            .unwrap()
    }

    /// The account, and the claims of an access token for it whose session is not in the store.
    pub async fn caller(&self, person: &Person) -> (shared::values::Account, AccessToken) {
        let account = self.account(person).await;
        let session = Session::new(
            &account,
            Some("a device".into()),
            &Clock::default(),
            Duration::from_secs(3600),
        );
        let caller = AccessToken::new(&account, &session, session.ends);
        (account, caller)
    }

    /// The store behind the front door, through this client.
    pub fn store_over(&self, client: aws_sdk_dynamodb::config::Builder) -> Store {
        let settings = Settings::new(|name| match name {
            "DYNAMODB_ENDPOINT" => Some(self.dynamodb.clone()),
            name => name
                .strip_suffix("_TABLE")
                .map(|table| format!("{}{}Table", &table[..1], table[1..].to_lowercase())),
        });
        Store::with_client(client, &Config::read(&settings).unwrap())
    }

    /// The part of an endpoint that issues JWTs.
    pub fn issuing(&self, endpoint: &str) -> &IssuerApp {
        self.server().functions[endpoint].needs().expect("it issues tokens")
    }

    /// The store behind the front door.
    pub fn store(&self) -> Store {
        self.store_over(aws_sdk_dynamodb::Config::from(&shared::aws::emulated()).to_builder())
    }

    /// Adds credits to an account or takes some, as `manage adjust` does.
    pub async fn adjust(&self, person: &Person, amount: i64, reason: &str) -> AdjustOutcome {
        let (account, clock) = (self.account(person).await, Clock::default());
        let adjustment = Adjustment::new(
            &account,
            BalanceChange::new(amount).unwrap(),
            Reason::parse(reason).unwrap(),
            "manage",
            &clock,
        );
        self.store().adjust(&adjustment, clock.seconds()).await.unwrap()
    }

    /// Waits until this many e-mails were sent to the address, and returns them. Two that are sent
    /// at the same time arrive in either order.
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
                // Another process sends them: it keeps each in a file.
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
        waited.unwrap_or_else(|_| panic!("no {count} mails to {address}"))
    }

    /// Waits until the outbox is empty, in a store of this test's own.
    pub async fn outbox_is_empty(&self) {
        while self.items("").await["TokensTable"]
            .iter()
            .any(|item| item["pk"].as_str().unwrap().starts_with("outbox:"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the first e-mail to the address, and returns the token of its link.
    pub async fn token_to(&self, address: &str) -> String {
        token_in(&self.mails_to(address, 1).await[0])
    }

    /// The token of a link to this account for this purpose, without an e-mail.
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

    pub fn now(&self) -> u64 {
        self.own
            .as_ref()
            .map_or_else(|| Clock::default().seconds(), |own| own.server.clock.seconds())
    }

    /// Deletes the account's item from the store, as if it had never existed.
    pub async fn forget(&self, person: &Person) {
        let delete = dynamo::client(&self.dynamodb)
            .delete_item()
            .table_name("UsersTable")
            .key("pk", AttributeValue::S(format!("user:{}", person.name)));
        delete.send().await.unwrap();
    }

    /// Withdraws a public key: JWTs that it verified are invalid from then on.
    pub async fn withdraw_key(&self, kid: &str) {
        let delete = dynamo::client(&self.dynamodb)
            .delete_item()
            .table_name("KeysTable")
            .key("kid", AttributeValue::S(kid.into()));
        delete.send().await.unwrap();
    }

    /// Everything in the store that mentions `who`, by table, except the counts of attempts. (A
    /// store of this test's own has no other users: there it is everything.)
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

/// The link token in an e-mail, with or without a link around it.
pub fn token_in(mail: &Mail) -> String {
    let link = mail
        .text
        .lines()
        .find(|line| line.len() >= 43 && !line.contains(' '))
        .unwrap_or_else(|| panic!("no link in {}", mail.text));
    link.rsplit('=').next().unwrap().to_owned()
}

/// The e-mails in the folder that `MAIL_FOLDER` names, oldest first.
fn kept_mails() -> Vec<Mail> {
    let folder = std::env::var("MAIL_FOLDER")
        .expect("with API_URL, MAIL_FOLDER names the folder of its mails");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    // A file that is being written has another name.
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

/// A name that no other user has.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", &Uuid::new_v4().simple().to_string()[..12])
}

fn http() -> reqwest::Client {
    // `sam local` starts a container for a function's first request.
    reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
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
    /// The user who sent this registration and got this reply.
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

    /// The body of a log-in.
    pub fn credentials(&self) -> Value {
        json!({ "username": self.name, "password": self.password })
    }

    /// Presents the first refresh token again after its successor was used, as a thief would: that
    /// ends the session.
    pub async fn is_robbed(&self) {
        let second = self.api.refresh(&self.refresh).await.is(200);
        self.api.refresh(second["refresh"].as_str().unwrap()).await.is(200);
        self.api.refresh(&self.refresh).await.expect(401, "token_not_valid");
    }

    /// The same person at another front door.
    pub fn at(&self, api: &Api) -> Self {
        Self { api: api.clone(), ..self.clone() }
    }

    /// Puts holds of a chat's price on the account, behind the API's back: their ids, and
    /// the seconds at which their leases end.
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

    /// Sets the balance, behind the API's back.
    pub async fn has_left(&self, tokens: u64) {
        self.api.set(self, "tokens", AttributeValue::N(tokens.to_string())).await;
    }

    /// The same person with another access token.
    pub fn using(&self, access: impl Into<String>) -> Self {
        Self { access: access.into(), ..self.clone() }
    }

    pub async fn chat(&self, message: &str) -> Answer {
        self.post("/api/chat/", json!({ "message": message })).await
    }

    /// The chats of a page; `query` follows the path.
    pub async fn history(&self, query: &str) -> Answer {
        self.get(&format!("/api/chat/{query}")).await
    }

    /// Returns when a chat of this user waits for the AI.
    pub async fn is_waiting(&self) {
        self.has_waiting(1).await;
    }

    /// Returns when this number of chats of this user waits for the AI.
    async fn has_waiting(&self, chats: usize) {
        let waiting = async {
            while self.api.account(self).await.reservations.len() < chats {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("chats that wait");
    }

    /// Sends this number of chats whose functions are killed while they wait for the AI. Their
    /// credits stay reserved until [`LEASE`](crate::support::lambda::LEASE) is over. (The functions
    /// are processes of their own: one of the server's would notice that the clock moves, and
    /// return its credits.)
    pub async fn chats_that_die(&self, chats: usize) {
        let event = event(
            "chat",
            "/api/chat",
            &[("authorization", &self.bearer())],
            &json!({ "message": "!hang" }),
        );
        let instances = (0..chats).map(|_| Instance::scripted("chat", &self.api.dynamodb));
        let instances = join_all(instances).await;
        instances.iter().for_each(|instance| instance.takes(&event));
        self.has_waiting(chats).await;
        instances.into_iter().for_each(Instance::kill);
    }

    pub async fn balance(&self) -> u64 {
        self.get("/api/tokens/").await.is(200)["tokens"].as_u64().unwrap()
    }

    pub async fn profile(&self) -> Answer {
        self.get("/api/user/profile/").await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api.send(Method::GET, path, &[("authorization", &self.bearer())], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.api.send(Method::POST, path, &[("authorization", &self.bearer())], Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.api.send(Method::DELETE, path, &[("authorization", &self.bearer())], None).await
    }

    /// The same person on another device, in a session of its own.
    pub async fn elsewhere(&self, device: &str) -> Self {
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

    /// The id of this session.
    pub fn session(&self) -> String {
        crate::support::forge::claims(&self.access)["sid"].as_str().unwrap().to_owned()
    }

    /// The account's sessions; `query` follows the path.
    pub async fn sessions(&self, query: &str) -> Answer {
        self.get(&format!("/api/user/sessions/{query}")).await
    }

    pub async fn ends(&self, session: &str) -> Answer {
        self.delete(&format!("/api/user/sessions/{session}")).await
    }

    pub async fn log_out(&self) -> Answer {
        self.api
            .send(Method::POST, "/api/logout/", &[("authorization", &self.bearer())], None)
            .await
    }

    pub async fn log_out_everywhere(&self) -> Answer {
        self.post("/api/logout/", json!({ "all": true })).await
    }

    /// Asserts that this session has ended: all its JWTs are refused.
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

    /// Asserts that this session goes on.
    /// Verifies an address by a link, in this session.
    pub async fn verifies(&self, token: &str) -> Answer {
        self.post("/api/user/email/verify/", json!({ "token": token })).await
    }

    pub async fn is_in(&self) {
        for token in [&self.access, &self.token] {
            self.using(token).profile().await.is(200);
        }
        self.api.refresh(&self.refresh).await.is(200);
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.api.send(Method::PATCH, path, &[("authorization", &self.bearer())], Some(body)).await
    }

    /// Changes the profile; for an address, with the password.
    pub async fn change(&self, mut fields: Value) -> Answer {
        fields["current_password"] = json!(self.password);
        self.patch("/api/user/profile/", fields).await
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.access)
    }
}

/// A reply.
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
    /// The body of a reply that has this status and the headers that every reply has.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.has_security_headers();
        self.body
    }

    /// The body of a refusal: a complete problem document with this status and code, or the form
    /// that OpenAI's clients read.
    #[track_caller]
    pub fn expect(self, status: u16, code: &str) -> Value {
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
            code == "insufficient_quota",
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

    /// The query of the next page, whose path is that of this one. `None` on the last page.
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
            false => assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{self:?}"),
        }
        assert_eq!(self.header("referrer-policy"), "no-referrer", "{self:?}");
        assert!(self.headers.contains_key("cache-control"), "{self:?}");
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
    }
}
