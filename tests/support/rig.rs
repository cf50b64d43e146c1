//! A test rig: a server, the AI that it calls, and a wire to the store that breaks on demand.

use std::sync::OnceLock;
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use shared::clock::{Clock, FIRST_DAY};
use shared::store::{NewAccount, RegisterOutcome};
use shared::values::{Account, Email, Role, Session, Username};
use shared::{App, Credits, Request};

use crate::support::client::{Api, GRANT, Person, unique};
use crate::support::counting_ai::CountingAi;
use crate::support::function::{self, Reply};
use crate::support::lambda::LEASE;
use crate::support::mistakes::{Mistake, Sabotage};
use crate::support::proxy::Proxy;
use crate::support::world::World;

/// How many requests a test sends at once if each needs its own store, which is slow to set up, or
/// if all tests share the emulator in `TEST_DYNAMODB`, which answers calls one after the other.
pub const FEWER_AT_ONCE: usize = 24;

/// Returns how many requests a test sends at once, if it sends `many` to the embedded store.
pub fn at_once(many: usize) -> usize {
    if std::env::var_os("TEST_DYNAMODB").is_some() { many.min(FEWER_AT_ONCE) } else { many }
}

pub struct Rig {
    pub api: Api,
    pub ai: CountingAi,
    pub proxy: Proxy,
}

impl Rig {
    pub async fn start() -> Self {
        Self::at(standing(), None, "5").await
    }

    /// Starts a rig whose wire makes `mistake`.
    pub async fn with(mistake: Mistake) -> Self {
        Self::sabotaged(mistake.sabotage()).await
    }

    /// Starts a rig whose wire changes calls.
    pub async fn sabotaged(sabotage: Sabotage) -> Self {
        Self::at(standing(), Some(sabotage), "5").await
    }

    /// Starts a rig for functions that run as processes. The clock of a separate process can't be
    /// stopped, so the server's clock isn't stopped either. The AI has as much time as in the
    /// functions that are killed.
    pub async fn of_processes() -> Self {
        Self::at(Clock::default(), None, "20").await
    }

    async fn at(clock: Clock, sabotage: Option<Sabotage>, ai_seconds: &str) -> Self {
        let ai = CountingAi::start().await;
        let own = [("AI_TIMEOUT_SECONDS", ai_seconds), ("TITLE_MODEL", "scripted")];
        let settings = [own.as_slice(), ai.settings().as_slice()].concat();
        let api = Api::with_clock(clock, &settings).await;
        Self { proxy: Proxy::sabotaged(&api.dynamodb, sabotage).await, api, ai }
    }

    /// Creates an account with a session, without the cost of a password hash.
    pub async fn person(&self) -> Person {
        self.person_with(unique("ann"), "no hash of any password", None).await
    }

    pub async fn person_with(&self, name: String, hash: &str, email: Option<Email>) -> Person {
        let app = self.api.issuing("register");
        let (account, session) = create_account(app, &name, hash, email).await;
        self.signed_in(&account, &session).await
    }

    /// Starts another session for a user.
    pub async fn session_of(&self, who: &Person) -> Person {
        let app = self.api.issuing("login");
        let account = self.api.account(who).await;
        let session = session_of(app, &account);
        app.store.start_session(&session).await.unwrap();
        self.signed_in(&account, &session).await
    }

    async fn signed_in(&self, account: &Account, session: &Session) -> Person {
        let app = self.api.issuing("login");
        let issued = shared::auth::issue(app, &Request::default(), account, session).await;
        let mut issued = json!(issued.unwrap().0);
        issued["id"] = json!(account.id);
        Person::of(&self.api, &json!({ "username": account.name, "password": "none" }), &issued)
    }

    /// Returns a user who doesn't have an account yet.
    pub fn without_account(&self, name: String, password: &str) -> Person {
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

    pub async fn sweep(&self) {
        let app = &self.api.server().apps["sweep"];
        app.store.sweep(app.clock.seconds()).await.unwrap();
        // Files are kept for a minute after the lease.
        app.store.sweep_files(app.clock.seconds() + 60).await.unwrap();
    }

    pub fn after_the_lease(&self) {
        self.api.server().clock.advance(LEASE);
    }

    pub fn after_an_hour(&self) {
        self.api.server().clock.advance(Duration::from_secs(3600));
    }

    pub fn now(&self) -> u64 {
        self.api.server().clock.seconds()
    }

    pub async fn world(&self) -> World {
        World::read(&self.api.dynamodb).await
    }

    /// Returns the balance as read with an access token. `None` if the API refuses the token.
    pub async fn balance(&self, token: &str) -> Option<u64> {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let reply = self.ask("balance", "/api/tokens", &headers, Value::Null).await;
        (reply.status == 200).then(|| reply.body["tokens"].as_u64().unwrap())
    }

    pub async fn refresh(&self, refresh: &Value) -> Reply {
        self.ask("token_refresh", "/api/token/refresh", &[], json!({ "refresh": refresh })).await
    }

    /// Sends a request to the server's own instance of a function. The server's own instance calls
    /// the store without the wire.
    async fn ask(
        &self,
        endpoint: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Reply {
        let function = &self.api.server().functions[endpoint];
        function::ask(function, endpoint, path, headers, body).await
    }
}

/// A clock that only `after_the_lease` moves. With a running clock, leases could end during a test
/// on a busy machine.
pub fn standing() -> Clock {
    Clock::standing(well_before_the_hour())
}

/// A clock that stands in the first month that may contain data. A page of a list that isn't full
/// also reads earlier months, but only a bounded number of them, so in later years a test's lists
/// would have more pages and cost more.
pub fn in_the_first_month() -> Clock {
    const HALF_A_DAY: u64 = 12 * 3_600_000;
    Clock::standing(FIRST_DAY.after(14).begins() + HALF_A_DAY)
}

/// Returns the current time in milliseconds, or the time a few minutes ago if the hour ends within
/// ten minutes. A test that moves a stopped clock by minutes then stays within the hour, so that
/// hourly, daily and monthly counts don't start again.
pub fn well_before_the_hour() -> u64 {
    const HOUR: u64 = 3_600_000;
    const MARGIN: u64 = 600_000;
    let now = Clock::default().millis();
    now.min(now / HOUR * HOUR + HOUR - MARGIN)
}

/// Stores an account and its first session.
pub async fn create_account(
    app: &App,
    name: &str,
    hash: &str,
    email: Option<Email>,
) -> (Account, Session) {
    let new = NewAccount {
        name: Username::parse(name).unwrap(),
        email,
        password: hash.into(),
        key: None,
        role: Role::User,
        grant: Credits::new(GRANT).unwrap(),
        reason: "registration",
    };
    let account = new.open(&app.clock);
    let session = session_of(app, &account);
    let registered = app.store.register(&new, &account, Some(&session), None).await;
    assert!(matches!(registered, Ok(RegisterOutcome::New)), "{registered:?}");
    (account, session)
}

fn session_of(app: &App, account: &Account) -> Session {
    Session::new(account, Some("a test".into()), &app.clock, app.config.session_life)
}

/// Returns a hash of `secret123` with [`hash_cost`].
pub fn strong_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(hash_cost()))
}

/// Returns a hash of `secret123` that the product replaces at the next log-in.
pub fn weak_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(Params::new(8, 1, 1, None).unwrap()))
}

/// Returns the parameters of the hashes that servers in this process create: 64 KiB and one pass.
/// With a release's parameters, hashes would take half of the tests' processor time.
pub fn hash_cost() -> Params {
    Params::new(64, 1, 1, None).unwrap()
}

/// Returns true if a server in this process created the hash.
pub fn is_current(hash: &str) -> bool {
    hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")
}

fn hash(params: Params) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(b"secret123").unwrap().to_string()
}
