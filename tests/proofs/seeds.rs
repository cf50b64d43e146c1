//! Runs random schedules: clients chat, stop answers, refresh and read, functions die, the store
//! fails, and time jumps, all in an order that a seed decides. The test checks the balances and the
//! ledger after every write, and checks that every reply is true.
//!
//! `SEED=17` runs one seed and prints its schedule. `SEEDS=0..1000000` runs a range. With
//! `--nocapture` a run prints how long it took.

mod model;
mod prices;
mod tables;
mod wire;

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::future::poll_fn;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use emulator::template::Template;
use futures_util::FutureExt;
use lambda_http::http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use shared::ai::{Ai, Piece};
use shared::app::{AiApp, IssuerApp};
use shared::aws::OPERATION;
use shared::charge::{self, AnswerForm, BeginOutcome, Charge, RequestKey};
use shared::clock::Clock;
use shared::config::{AccountConfig, AiConfig, AiProvider, Config, Settings};
use shared::http::{self, Body};
use shared::keys::Signer;
use shared::store::{
    AdjustOutcome, Adjustment, NewAccount, SetPricesOutcome, Store, StoreError, StoredPrices,
};
use shared::values::api_key::KeyName;
use shared::values::{
    self, AccessToken, Allowances, ApiKey, Credential, KeyLimit, LimitPeriod, Reason, RefreshToken,
    Restrictions, Role, Session, StoredApiKey, Username,
};
use shared::view::PaidChat;
use shared::{App, BalanceChange, Credits, Error, Reply, Request, auth};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use model::{Account, Limits, Person, Writer};
use prices::{Asked, BY_USAGE, FAILS, Instance, LISTS, MODELS, USED};
use tables::{Kind, PRICE_LIST, Tables};
use wire::{Broken, Call, Connection, HttpReply, Packet};

use crate::support::mistakes::{FreeWorkMistake, Mistake, PricingMistake, Sabotage, TillMistake};

/// The number of schedules that a run tries. With DynamoDB Local, a run tries only a fifth of these
/// schedules. The nightly workflow runs the schedules from this number to 10,000.
const SCHEDULES: u64 = 2500;

/// How long a request may be in transit, in seconds. The protocol's leases and closed ids are
/// designed for this time.
const ON_ITS_WAY: u64 = 30;

/// A chat's lease in seconds: 29 seconds for an invocation without a deadline, and 30 more seconds.
const LEASE: u64 = 59;

const PRICE: i64 = 100;

/// The allowances of schedules with limits and grants.
const ALLOWANCES: [&str; 4] = ["none", "150/day", "300/day", "250/week"];

/// The credits from each of a person's sources.
const GRANTS: [u64; 2] = [100, 250];

const NO_LIMIT: KeyLimit = KeyLimit { tokens: Credits::ZERO, per: LimitPeriod::Total };

/// The beginning of a violation's text if the store can't read a call.
const UNREADABLE: &str = "the store can't make sense of";

/// The random number generator SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Returns true in `percent` of a hundred cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// A store, and the functions that use it. In a lane, schedules run one after the other.
struct Lane {
    connection: Connection,
    app: App,
    accounts: Arc<AccountConfig>,
    signer: Signer,
    ai: Ai,
    /// An AI whose second provider answers when the first one fails.
    failing_over: Ai,
    /// An AI with a long time limit, so that an answer can continue until it is stopped or
    /// completed. Functions that ask this AI check for stops all the time.
    patient: Ai,
}

impl Lane {
    async fn open(store: Kind, sabotage: Option<Sabotage>) -> Self {
        let template = Template::load().unwrap();
        let settings = Settings::new(|name| match name {
            "DYNAMODB_ENDPOINT" => Some("http://store".into()),
            "SIGNING_SECRET" => Some("0123456789abcdefghijklmnopqrstuvwxyz".into()),
            "AI_PROVIDER" => Some("scripted".into()),
            name => template
                .functions
                .iter()
                .find_map(|function| function.environment.get(name).cloned()),
        });
        let config = Config::read(&settings).unwrap();
        let mut ai = AiConfig::read(&settings).unwrap();
        // A hanging AI differs from a failing AI only by the time that it takes.
        ai.timeout = Duration::from_millis(1);
        let connection = Connection::to(Arc::new(Tables::open(store).await), sabotage);
        let clock = Clock::default();
        let store = Store::with_client(connection.client(), &config);
        let secret = settings.signing_secret().unwrap();
        let signer = Signer::new(secret, &shared::aws::emulated(), clock.clone()).await.unwrap();
        let providers = vec![AiProvider::Scripted, AiProvider::Echo];
        let failing_over = AiConfig { providers, ..ai.clone() };
        let failing_over = Ai::connect(failing_over, &clock).await.unwrap();
        let (timeout, stop_pace) = (Duration::from_secs(3600), Duration::ZERO);
        let patient = AiConfig { timeout, stop_pace, ..ai.clone() };
        let patient = Ai::connect(patient, &clock).await.unwrap();
        let ai = Ai::connect(ai, &clock).await.unwrap();
        let app = App::from_parts(config, clock, store);
        let accounts = AccountConfig::read(&settings).unwrap().into();
        Self { connection, accounts, signer, ai, failing_over, patient, app }
    }

    fn tables(&self) -> Arc<Tables> {
        self.connection.wire().tables.clone()
    }
}

/// How a client requests a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Streamed,
    /// The answer is streamed, and doesn't end until a client stops it or the schedule completes
    /// it.
    Held,
    /// The answer isn't streamed, and doesn't end until a client stops it.
    Silent,
    /// The client sends no idempotency key, but counts its retries. `First` is a new call, and
    /// `Again` a retry.
    First,
    Again,
}

impl Way {
    fn counts(self) -> bool {
        matches!(self, Self::First | Self::Again)
    }

    /// Returns true if the answer doesn't end by itself.
    fn holds(self) -> bool {
        matches!(self, Self::Held | Self::Silent)
    }
}

/// How long a call without an idempotency key is recognized, in seconds.
const KNOWN: u64 = 900;

/// The message of every client that counts its retries.
const CALL: &str = "hi again";

/// The pieces of an answer, as its client receives them.
type Hearing = Rc<RefCell<Option<UnboundedReceiver<Piece>>>>;

/// A client's request, or scheduled work.
#[derive(Clone, Debug)]
enum What {
    Chat {
        key: Option<String>,
        message: String,
        way: Way,
        conversation: Option<String>,
        /// The chat that the new chat follows in its conversation, or `start`. By default, a new
        /// chat follows the newest chat.
        after: Option<String>,
        /// The model in the price list. `None` for the list's first model.
        model: Option<&'static str>,
        max_cost: Option<i64>,
    },
    /// Stops the chat under an idempotency key.
    Stop {
        key: String,
        /// The second until which the idempotency key is remembered. 0 if no chat with this key was
        /// paid before the stop.
        known_until: u64,
    },
    Balance,
    /// Deletes a conversation.
    Delete {
        conversation: String,
    },
    Refresh {
        generation: usize,
    },
    Sweep,
    /// Grants credits from the source with this number. Several clients may do so.
    Grant {
        source: usize,
    },
    /// Replaces the price list of the version `seen`, or removes it.
    ChangePrices {
        list: Option<usize>,
        seen: Option<String>,
    },
}

/// A request or a sweep that has started.
struct Task {
    what: What,
    client: usize,
    /// The number of the function instance that works on the task.
    instance: usize,
    started: u64,
    /// The second at which the chat began: after the function has read the price list.
    chat_began: u64,
    /// The machine's time when the task started.
    began: Instant,
    /// True if, when the task started, the client knew that the session had ended, or had already
    /// refreshed with a later refresh token.
    after_the_end: bool,
    faults: u32,
    /// True if a reserve's call or reply was lost, so that a copy of the reserve may arrive late.
    lost_a_reserve: bool,
    /// The amounts that the task has tried to reserve.
    reserved: BTreeSet<i64>,
    /// True if a reserve was refused because the user had too few credits.
    was_poor: bool,
    /// True if the price list was changed by the task.
    has_changed_prices: bool,
    /// True if the task has refused its chat for its price, and has closed the id of its hold.
    has_refused: bool,
    /// The chat's id, once the task has tried to reserve credits.
    owner: Option<String>,
    settled_at: Option<u64>,
    /// The states of the account that refusals and reads have shown to the task.
    seen: Vec<Account>,
    hearing: Hearing,
    running: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
    /// The reply's status, and true if the reply was a replay.
    told: Option<(u16, bool)>,
    code: String,
}

impl Task {
    /// Returns true if the machine may have been too slow: the time limits of the AI and of calls
    /// to the store count real time. The shortest of these limits is the time limit of a call. A
    /// call ends before its limit if the pause before the next attempt would exceed the limit.
    fn was_slow(&self) -> bool {
        self.began.elapsed() >= OPERATION / 2
    }

    /// Returns true if a time limit may have ended the task, because time jumped or the machine was
    /// slow.
    fn may_time_out(&self, now: u64) -> bool {
        now > self.started || self.was_slow()
    }

    /// Records the time at which the task first sent its settle. The settle's condition contains
    /// this time.
    fn sends(&mut self, packet: &Packet) {
        if packet.body.contains("SET spent = spent") {
            self.settled_at = Some(self.settled_at.map_or(packet.sent, |at| at.min(packet.sent)));
        }
    }

    /// Returns true if the answer doesn't end until the schedule completes it.
    fn goes_on(&self) -> bool {
        matches!(self.what, What::Chat { way: Way::Held, .. })
            && self.hearing.borrow().as_ref().is_some_and(|pieces| !pieces.is_closed())
    }

    /// Lets the AI complete the answer.
    fn complete(&self) {
        if let Some(pieces) = self.hearing.borrow_mut().as_mut() {
            pieces.close();
        }
    }
}

enum Outcome {
    Replied(Reply),
    SweepReport(shared::Result<()>),
    PricesChanged(Result<SetPricesOutcome, StoreError>),
    Granted(Result<AdjustOutcome, StoreError>),
}

/// A user's device, with its session.
struct Client {
    person: usize,
    /// The long-lived access token.
    token: String,
    /// The API key with which the client's programs chat. `None` if they use the access token.
    key: Option<StoredApiKey>,
    /// The refresh tokens that the device received, by generation.
    refresh: Vec<String>,
    /// The highest generation that the device has presented.
    presented: usize,
    /// The second at which the device first presented each generation.
    first_presented: BTreeMap<usize, u64>,
    /// The highest generation for which the device received a successor.
    taken: usize,
    /// True if the device may have presented an invalid refresh token.
    robbed: bool,
    /// True if a reply said that the session had ended.
    ended: bool,
}

/// A paid chat under an idempotency key, with its reply (once a client has received it), and the
/// second until which the key is remembered.
struct Remembered {
    chat_id: String,
    message: String,
    until: u64,
    body: Option<Value>,
}

struct Schedule<'l> {
    lane: &'l Lane,
    random: Random,
    clock: Clock,
    app: App,
    /// The function instances. There are several if there are price lists, because each instance
    /// keeps its own copy of the list.
    instances: Vec<Instance>,
    ai: Ai,
    /// The AI for requests whose answers don't end.
    patient: Ai,
    accounts: Vec<values::Account>,
    people: Vec<Person>,
    clients: Vec<Client>,
    tasks: Vec<Task>,
    /// The chat under each idempotency key, by person and key.
    keys: HashMap<(usize, String), Remembered>,
    /// The conversations that each person knows. True means that a client has begun to delete the
    /// conversation.
    conversations: Vec<Vec<(String, bool)>>,
    /// The ids of the answered chats in each person's first conversation.
    messages: Vec<Vec<String>>,
    /// The number of chats of retry-counting clients that each person has paid for.
    calls_paid: Vec<usize>,
    /// The percentage of calls that get a fault.
    storm: usize,
    /// The percentage of writes that arrive twice.
    echoes: usize,
    /// The percentage of requests that are refreshes.
    refreshes: usize,
    /// True if all clients chat under one idempotency key.
    one_key: bool,
    /// The percentage of chats that fail at the AI.
    failures: usize,
    /// True if clients chat in each person's conversations, and delete them.
    talks: bool,
    /// True if all clients count their retries and send no idempotency key.
    all_count: bool,
    /// True if clients chat under idempotency keys and stop the chats. In schedules with stops,
    /// most answers don't end until they are stopped.
    stops: bool,
    /// True if most chats follow an arbitrary chat in a conversation.
    branches: bool,
    /// True if requests may arrive after any delay. With such late requests, the test checks the
    /// balances and the ledger, but not the replies.
    ancient: bool,
    /// True if an administrator sets price lists, clients choose models, and users buy credits.
    listed: bool,
    /// True if users have few credits, prices depend on the usage, and most reserves are lost. Then
    /// many chats are reserved twice or refused, and copies of their reserves arrive late.
    poor: bool,
    /// True if programs have API keys with limits, users get allowances, and sources grant credits.
    till: bool,
    /// The model under each idempotency key and of all counted calls, with the command before the
    /// message.
    chosen: [(Option<&'static str>, &'static str); 3],
    /// The percentage of reserves that get a fault, if there are price lists.
    lost_reserves: usize,
    /// True if most settles arrive late, so that leases end before that.
    slow_settles: bool,
    pauses: u32,
    log: String,
    violation: Option<String>,
}

/// A violation, and the steps that led to it.
#[derive(Debug)]
struct Failure {
    seed: u64,
    log: String,
    violation: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, log, violation } = self;
        write!(f, "\nSEED={seed} violates a rule:\n{log}\n=> {violation}\n")
    }
}

type Checked<T = ()> = Result<T, String>;

/// Returns a panic's message.
fn message(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = literal.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

async fn run(lane: &Lane, seed: u64) -> Result<String, Failure> {
    let mut schedule = Schedule::new(lane, seed).await;
    // Turns tokio's budget off. With tokio's budget, a task would sometimes yield although the
    // schedule didn't decide that.
    let ran = tokio::task::unconstrained(AssertUnwindSafe(schedule.play()).catch_unwind()).await;
    let verdict = match ran {
        Ok(verdict) => verdict,
        Err(panic) => Err(message(&*panic)),
    };
    // Drops the tasks before the wire is cleared, because a dropped task leaves its requests on the
    // wire.
    for task in &mut schedule.tasks {
        task.running = None;
    }
    let mut wire = lane.connection.wire();
    wire.current = None;
    wire.calls.clear();
    wire.adrift.clear();
    wire.pausing.clear();
    drop(wire);
    // Removes the schedule's accounts. Otherwise a later schedule's sweep would find their holds
    // and closed ids.
    for person in &schedule.people {
        lane.tables().remove(&person.pk);
    }
    if schedule.listed {
        lane.tables().remove_price_list();
    }
    match verdict {
        Ok(()) => Ok(schedule.log),
        Err(violation) => Err(Failure { seed, log: schedule.log, violation }),
    }
}

impl<'l> Schedule<'l> {
    async fn new(lane: &'l Lane, seed: u64) -> Self {
        let mut random = Random(seed);
        // The clock starts at a second that the seed decides and then stands still, so that the
        // machine's speed can't influence the schedule.
        let minute = Clock::default().seconds() / 60 * 60;
        let clock = Clock::standing((minute + random.next() % 60) * 1000);
        let mut config = (*lane.app.config).clone();
        config.parallel_chats = random.pick(&[1, 2, 3, 64]);
        config.chats_per_minute = random.pick(&[1, 2, 4, 300, 300]);
        config.refunds_per_minute = random.pick(&[2, 2, 3, 20, 20]);
        let listed = seed % 3 == 1;
        // Stops need whole schedules of their own.
        let till = seed % 3 == 2 && seed % 8 != 7;
        if till {
            let allowance = random.pick(&ALLOWANCES);
            config.allowances = Allowances::parse(allowance).unwrap();
        }
        let slow_settles = seed % 12 == 1;
        let poor = slow_settles || seed % 12 == 10;
        if poor {
            (config.parallel_chats, config.chats_per_minute) = (64, 300);
        }
        // If the limit on refunds per minute is low, the free work is also low, so that some schedules
        // use it up.
        let messages = u64::from(config.refunds_per_minute / 2);
        config.free_work = Credits::new(messages * PRICE.unsigned_abs()).unwrap();
        let ai = random.pick(&[lane.ai.clone(), lane.failing_over.clone()]);
        let patient = lane.patient.clone();
        let app = App { config: Arc::new(config), clock: clock.clone(), ..lane.app.clone() };
        let (accounts, signer) = (lane.accounts.clone(), lane.signer.clone());
        let issuing = IssuerApp { app: app.clone(), accounts, signer };
        let (mut people, mut clients) = (Vec::new(), Vec::new());
        let mut accounts = Vec::new();
        for name in ["ann", "ben"] {
            let grants = match (listed, poor) {
                (false, _) if till => [0, 0, 50, 100, 150, 200, 300, 400, 600],
                (false, _) => [50, 100, 150, 200, 300, 300, 400, 600, 2000],
                (true, false) => [20, 40, 60, 90, 120, 150, 250, 500, 2000],
                (true, true) => [20, 30, 40, 60, 70, 80, 90, 100, 110],
            };
            let grant = Credits::new(random.pick(&grants)).unwrap();
            let new = NewAccount {
                name: Username::parse(&format!("{name}-{seed}")).unwrap(),
                email: None,
                password: "a hash".into(),
                key: None,
                role: Role::User,
                grant,
                reason: "registration",
            };
            let account = new.open(&clock);
            app.store.register(&new, &account, None, None).await.unwrap();
            if seed.is_multiple_of(3) || listed && random.percent(30) {
                lane.tables().instruct(&account.pk, &account.id);
            }
            people.push(Person::new(name, account.pk.clone(), account.id.clone(), &lane.tables()));
            accounts.push(account);
        }
        let mut limit = || KeyLimit {
            tokens: Credits::new(random.pick(&[50, 100, 200, 250, 600])).unwrap(),
            per: random.pick(&[LimitPeriod::Month, LimitPeriod::Total]),
        };
        let limits = if till { [limit(), limit()] } else { [NO_LIMIT; 2] };
        for index in 0..random.pick(&[2, 2, 3, 4]) {
            let person = if index < 2 { index } else { random.below(2) };
            let session = Session::new(
                &accounts[person],
                Some("a test".into()),
                &clock,
                app.config.session_life,
            );
            app.store.start_session(&session).await.unwrap();
            let access = AccessToken::new(&accounts[person], &session, session.ends);
            let key = match till && random.percent(70) {
                true => Some(limited_key(&app, &access, limits[person]).await),
                false => None,
            };
            let token = access.sign(&issuing).await.unwrap();
            let refresh = vec![
                RefreshToken::first(&accounts[person], &session).sign(&issuing).await.unwrap(),
            ];
            clients.push(Client {
                person,
                token,
                key,
                refresh,
                presented: 0,
                first_presented: BTreeMap::new(),
                taken: 0,
                robbed: false,
                ended: false,
            });
        }
        for (person, limit) in people.iter_mut().zip(limits) {
            let Person { name, pk, id, .. } = person;
            *person = Person::new(name, pk.clone(), id.clone(), &lane.tables());
            person.limit = limit.tokens.signed();
            let allowance = app.config.allowances.users;
            person.filled_to = allowance.map_or(0, |allowance| allowance.tokens.signed());
        }
        // Reads the public keys before the schedules, because otherwise only the first schedule in
        // each lane would read them.
        app.keyring.read().await.unwrap();
        let mut instances = Vec::new();
        let mut chosen = [(None, ""); 3];
        if listed {
            let first = random.pick(&[Some(0), Some(0), Some(1), Some(2), None]);
            let first = if poor { Some(random.below(2)) } else { first };
            if let Some(list) = first {
                app.store.set_offer(None, Some(&LISTS[list]), None, &clock).await.unwrap();
            }
            for _ in 0..2 {
                instances.push(Instance::start(&app, &clock).await);
            }
            let models = if poor { BY_USAGE } else { &MODELS };
            chosen = chosen.map(|_| (random.pick(models), random.pick(&USED)));
        } else {
            // With this clock the list never gets old, so no schedule reads it again.
            instances.push(Instance::start(&app, &Clock::standing(clock.millis())).await);
        }
        let app = instances[0].app.clone();
        let storm = random.pick(&[0, 5, 10, 20, 35]);
        let ancient = random.percent(20);
        let echoes = random.pick(&[0, storm / 2, storm / 2, 40]);
        let refreshes = random.pick(&[10, 10, 10, 10, 10, 60]);
        let one_key = random.percent(20);
        let failures = random.pick(&[4, 4, 4, 4, 80]);
        let talks = random.percent(20);
        let all_count = random.percent(10);
        let stops = seed % 8 == 7;
        let branches = seed % 16 == 3;
        // In schedules with stops, many writes arrive twice, so that a late stop may find another
        // chat with the same idempotency key.
        let echoes = if stops { 40 } else { echoes };
        let ancient = if poor { slow_settles } else { ancient };
        let (storm, echoes, refreshes) = if poor { (5, 5, 0) } else { (storm, echoes, refreshes) };
        let (failures, all_count) = if poor { (0, false) } else { (failures, all_count) };
        let lost_reserves = match listed {
            true if poor => 60,
            true => random.pick(&[0, 30, 60]),
            false => 0,
        };
        let mut log = String::new();
        let grants: Vec<_> = people
            .iter()
            .map(|person| format!("{} has {}", person.name, person.account.granted))
            .collect();
        let (limit, per_minute, refunds) =
            (app.config.parallel_chats, app.config.chats_per_minute, app.config.refunds_per_minute);
        let _ = writeln!(
            log,
            "{}, {limit} chats may wait, {per_minute} a minute and {refunds} refunds, faults {storm} %{}{}{}{}{}{}",
            grants.join(", "),
            if ancient { ", any delay" } else { "" },
            if stops { ", stops" } else { "" },
            if branches { ", branches" } else { "" },
            if listed { ", price lists" } else { "" },
            if till {
                format!(", limits of {limits:?} and {:?}", app.config.allowances)
            } else {
                String::new()
            },
            match (poor, slow_settles) {
                (true, true) => ", poor users, slow settles",
                (true, false) => ", poor users",
                _ => "",
            }
        );
        let (tasks, keys) = Default::default();
        let (messages, calls_paid) = (vec![Vec::new(); people.len()], vec![0; people.len()]);
        let conversations = people
            .iter()
            .map(|person| lane.tables().begin_conversation(&person.id))
            .map(|id| vec![(id, false)])
            .collect();
        Self {
            lane,
            random,
            clock,
            app,
            instances,
            ai,
            patient,
            accounts,
            people,
            clients,
            tasks,
            keys,
            conversations,
            messages,
            calls_paid,
            storm,
            echoes,
            refreshes,
            one_key,
            failures,
            talks,
            all_count,
            stops,
            branches,
            ancient,
            listed,
            poor,
            till,
            chosen,
            lost_reserves,
            slow_settles,
            pauses: 0,
            log,
            violation: None,
        }
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.log, "  {what}");
    }

    fn now(&self) -> u64 {
        self.clock.seconds()
    }

    /// Runs the whole schedule: the storm, the calm after it, and the clients' last requests.
    async fn play(&mut self) -> Checked {
        // A refresh token becomes invalid after three more refreshes, and each refresh needs the
        // reply to the previous refresh.
        let mut starts = 4 + self.random.below(6) + if self.refreshes > 50 { 4 } else { 0 };
        starts += if self.stops { 6 } else { 0 };
        let mut jumps = 4;
        let (mut purchases, mut changes) = match (self.listed, self.poor) {
            (false, _) => (0, 0),
            (true, false) => (4, 4),
            (true, true) => (5, 1),
        };
        loop {
            self.settle_down().await?;
            let waiting = self.waiting();
            let running: Vec<_> =
                (0..self.tasks.len()).filter(|task| self.tasks[*task].running.is_some()).collect();
            let held: Vec<_> =
                running.iter().copied().filter(|task| self.tasks[*task].goes_on()).collect();
            let mut adrift = self.arriving();
            if self.poor {
                let wire = self.lane.connection.wire();
                adrift.retain(|index| !is_reserve(&wire.adrift[*index]));
            }
            let (unpaid, late) = self.late_reserves();
            if starts == 0 && running.is_empty() {
                break;
            }
            match self.random.below(100) {
                0..30 if starts > 0 && running.len() < 6 => {
                    starts -= 1;
                    self.start_something();
                }
                30..34 if jumps > 0 => {
                    jumps -= 1;
                    let by = self
                        .random
                        .pick(&[1, 5, 29, 30, 31, 58, LEASE, 60, 61, 61, 120, 400, 86_341, 86_400]);
                    // Stray reserves of poor users may still arrive after this jump.
                    self.jump(if self.poor { by.min(5) } else { by });
                }
                34..37 if !running.is_empty() => {
                    let task = self.random.pick(&running);
                    self.crash(task);
                }
                37..45 if !adrift.is_empty() => {
                    let index = self.random.pick(&adrift);
                    let packet = self.lane.connection.wire().adrift.remove(index);
                    self.arrive_late(packet)?;
                }
                45..49 if !held.is_empty() => {
                    let task = self.random.pick(&held);
                    self.tasks[task].complete();
                    self.say(format_args!("{task}: the AI says the rest"));
                }
                49..54 if purchases > 0 && !self.poor => {
                    purchases -= 1;
                    let person = self.random.below(self.people.len());
                    self.buy(person).await?;
                }
                54..57 if changes > 0 => {
                    changes -= 1;
                    self.change_prices();
                }
                57..63 if self.listed && !adrift.is_empty() => {
                    let index = self.random.pick(&adrift);
                    let packet = self.lane.connection.wire().adrift.remove(index);
                    self.arrive_late(packet)?;
                }
                63..67 if let Some((client, key)) = self.silent() => self.stop(client, key),
                67..92 if let Some(step) = self.overtaking() => match step {
                    Step::Jump => self.jump(LEASE + 1),
                    Step::Sweep => drop(self.start(0, What::Sweep)),
                    Step::Purchase(person) => self.buy(person).await?,
                    Step::Arrival(index) => {
                        let packet = self.lane.connection.wire().adrift.remove(index);
                        self.arrive_late(packet)?;
                    }
                },
                75..82 if !unpaid.is_empty() && purchases > 0 => {
                    purchases -= 1;
                    let person = self.random.pick(&unpaid);
                    self.buy(person).await?;
                }
                82..92 if !late.is_empty() => {
                    let index = self.random.pick(&late);
                    let packet = self.lane.connection.wire().adrift.remove(index);
                    self.arrive_late(packet)?;
                }
                _ if !waiting.is_empty() => {
                    let call = self.random.pick(&waiting);
                    if self.listed && self.is_swept(call) {
                        self.let_sweep_through(call).await?;
                    } else if !self.is_slow(call) {
                        self.let_through(call)?;
                    }
                }
                _ => {}
            }
        }
        self.calm().await
    }

    /// Returns the waiting calls, ordered by task and then by contents. Ids are random, and
    /// parallel calls are sent in any order, so neither the ids nor the order of sending is the
    /// same in each run.
    fn waiting(&self) -> Vec<u64> {
        let wire = self.lane.connection.wire();
        let mut waiting: Vec<_> = wire.calls.iter().collect();
        let order = |packet: &Packet| {
            (
                packet.task,
                packet.operation.clone(),
                table_of(&packet.body).to_owned(),
                owner_of(&packet.body).to_owned(),
            )
        };
        waiting.sort_by_cached_key(|call| (order(&call.packet), call.id));
        waiting.into_iter().map(|call| call.id).collect()
    }

    /// Returns the number of the task that sends a call.
    fn task_of(&self, call: u64) -> Option<usize> {
        self.lane.connection.wire().call(call).map(|call| call.packet.task)
    }

    /// Returns true if a sweep sends the call to change an account.
    fn is_swept(&self, call: u64) -> bool {
        let mut wire = self.lane.connection.wire();
        let Some(Call { packet, .. }) = wire.call(call) else { return false };
        matches!(self.tasks[packet.task].what, What::Sweep) && writes(packet)
    }

    /// Lets all changes of an account by a sweep through, without faults. A sweep releases holds in
    /// the order of their ids, which are random. With price lists, holds have different amounts, so
    /// the schedule must not continue between two of the releases.
    async fn let_sweep_through(&mut self, call: u64) -> Checked {
        let usual = (self.storm, self.echoes);
        (self.storm, self.echoes) = (0, 0);
        let said = self.log.len();
        let sweep = self.task_of(call);
        let mut next = Some(call);
        while let Some(call) = next {
            self.let_through(call)?;
            self.settle_down().await?;
            let is_next = |call: &u64| self.task_of(*call) == sweep && self.is_swept(*call);
            next = self.waiting().into_iter().find(is_next);
        }
        (self.storm, self.echoes) = usual;
        // The outcomes in their random order must not be part of the log.
        self.log.truncate(said);
        self.say(format_args!("a sweep changes an account"));
        Ok(())
    }

    /// Returns the next step after which a slow settle finds a hold with another amount than its
    /// own: the lease ends, a sweep releases the hold, the user buys credits, and a copy of the
    /// chat's first and larger reserve arrives.
    fn overtaking(&self) -> Option<Step> {
        let wire = self.lane.connection.wire();
        let settles =
            |task: usize| wire.calls.iter().any(|call| is_settle(call) && call.packet.task == task);
        let is_overtaking = |packet: &Packet| is_reserve(packet) && settles(packet.task);
        let strays = wire.adrift.iter().enumerate().filter(|_| self.slow_settles);
        let (index, stray) = strays.rev().find(|(_, packet)| is_overtaking(packet))?;
        let task = &self.tasks[stray.task];
        let person = self.clients[task.client].person;
        let Account { tokens, held, .. } = &self.people[person].account;
        let own = held.values().find(|held| Some(&held.owner) == task.owner.as_ref());
        let sweeps = |task: &Task| task.running.is_some() && matches!(task.what, What::Sweep);
        match own {
            Some(own) if own.cost == cost_of(stray) => None,
            Some(own) if own.expires_at > self.now() => Some(Step::Jump),
            Some(_) if self.tasks.iter().any(sweeps) => None,
            Some(_) => Some(Step::Sweep),
            None if *tokens < cost_of(stray) => Some(Step::Purchase(person)),
            None => Some(Step::Arrival(index)),
        }
    }

    /// Returns true if a call has to wait longer, because it is a settle and settles are slow.
    fn is_slow(&mut self, call: u64) -> bool {
        let is_settle = self.lane.connection.wire().call(call).is_some_and(|call| is_settle(call));
        self.slow_settles && is_settle && self.random.percent(96)
    }

    /// Returns a client and the idempotency key of an answer that ends only if it is stopped.
    fn silent(&self) -> Option<(usize, &'static str)> {
        let mut running = self.tasks.iter().filter(|task| task.running.is_some());
        running.find_map(|task| match &task.what {
            What::Chat { way: Way::Silent, message, .. } => Some((task.client, held_key(message))),
            _ => None,
        })
    }

    /// Looks for stray reserves that were refused when they were sent again, because the user had
    /// too few credits. Returns the users who still have too few, and the indexes of the reserves
    /// that the users can pay now.
    fn late_reserves(&self) -> (Vec<usize>, Vec<usize>) {
        let (mut unpaid, mut late) = (Vec::new(), Vec::new());
        let wire = self.lane.connection.wire();
        let strays = wire.adrift.iter().enumerate().filter(|(_, packet)| is_reserve(packet));
        for (index, packet) in strays.filter(|_| self.poor) {
            let task = &self.tasks[packet.task];
            let person = self.clients[task.client].person;
            let is_held = task.owner.as_ref().is_some_and(|id| self.people[person].holds_for(id));
            match self.people[person].account.tokens >= cost_of(packet) {
                _ if is_held => {}
                true => late.push(index),
                false => unpaid.extend(task.was_poor.then_some(person)),
            }
        }
        (unpaid, late)
    }

    /// Lets a user buy credits.
    async fn buy(&mut self, person: usize) -> Checked {
        let bought = self.random.pick(if self.poor { &[150, 400] } else { &[50, 150, 400, 2000] });
        let change = BalanceChange::Credit(Credits::new(bought).unwrap());
        let reason = Reason::parse("bought").unwrap();
        let account = &self.accounts[person];
        let adjustment = Adjustment::new(account, change, reason, "manage", &self.clock);
        let outcome = self.app.store.adjust(&adjustment, self.now()).await;
        if outcome != Ok(AdjustOutcome::Applied) {
            return Err(format!("{outcome:?} to a purchase"));
        }
        let tables = self.lane.tables();
        let name = self.people[person].name;
        self.say(format_args!("{name} buys {bought}"));
        self.people[person].buys(&tables, bought.cast_signed())
    }

    /// Lets an administrator replace or remove the price list. Some administrators have read an
    /// older list.
    fn change_prices(&mut self) {
        let list = self.random.pick(&[Some(0), Some(1), Some(2), None]);
        let seen = match self.random.below(10) {
            0 => Some(LISTS[0].version()),
            _ => self.current_version(),
        };
        self.start(0, What::ChangePrices { list, seen });
    }

    /// Returns the version of the price list in the store.
    fn current_version(&self) -> Option<String> {
        let list = self.lane.tables().price_list()?;
        Some(values::PriceList::read(&list).unwrap().version())
    }

    /// Chooses a chat's model and the most that it may cost, if there are price lists. An
    /// idempotency key belongs to a message and its model. Clients that count their retries always
    /// send the same request.
    fn priced(&mut self, what: What) -> What {
        let What::Chat { key, message, way, conversation, after, .. } = what else { return what };
        let (mut model, mut used, mut max_cost) = (None, "", None);
        if self.listed {
            (model, used) = match key.as_deref() {
                None if way.counts() => self.chosen[2],
                None if self.poor => (self.random.pick(BY_USAGE), self.random.pick(&USED)),
                None => (self.random.pick(&MODELS), self.random.pick(&USED)),
                Some("k1") => self.chosen[0],
                Some(_) => self.chosen[1],
            };
            let most = [None, None, None, None, Some(10), Some(40), Some(70), Some(100), Some(160)];
            max_cost = self.random.pick(&most).filter(|_| !way.counts());
            max_cost = max_cost.filter(|_| !self.poor || self.random.percent(30));
        }
        let message = if message.starts_with('!') { message } else { format!("{used}{message}") };
        What::Chat { key, message, way, conversation, after, model, max_cost }
    }

    /// Returns the indexes of the stray requests that may still arrive.
    fn arriving(&self) -> Vec<usize> {
        let (now, ancient) = (self.now(), self.ancient);
        let mut wire = self.lane.connection.wire();
        wire.adrift.retain(|packet| ancient || now <= packet.sent + ON_ITS_WAY);
        (0..wire.adrift.len()).collect()
    }

    fn start_something(&mut self) {
        if self.till && self.random.percent(15) {
            let client = self.random.below(self.clients.len());
            let what = match self.random.below(3) {
                0 => What::Balance,
                _ => What::Grant { source: self.random.below(2) },
            };
            self.start(client, what);
            return;
        }
        if self.stops {
            return self.start_or_stop_a_chat();
        }
        if self.branches && self.random.percent(60) {
            return self.start_in_a_branch();
        }
        // If most requests are refreshes, one client sends all of them. With several clients, the
        // schedule would end before a refresh token becomes invalid.
        let client = if self.refreshes > 50 { 0 } else { self.random.below(self.clients.len()) };
        let what = match self.random.below(100) {
            refresh if refresh < self.refreshes => {
                let known = self.clients[client].refresh.len();
                // The client presents one of its three newest refresh tokens, or any of its refresh
                // tokens.
                let generation = match self.random.below(20) {
                    0..12 => known - 1,
                    12..15 => known.saturating_sub(2),
                    15..18 => known.saturating_sub(3),
                    _ => self.random.below(known),
                };
                What::Refresh { generation }
            }
            _ => match self.random.below(100) {
                chats if chats < if self.talks { 70 } else { 78 } => {
                    let key = match self.one_key {
                        _ if self.all_count => None,
                        true => Some("k1".to_owned()),
                        false => self
                            .random
                            .percent(65)
                            .then(|| self.random.pick(&["k1", "k1", "k2"]).to_owned()),
                    };
                    let known = &self.conversations[self.clients[client].person];
                    // Most chats are in the first conversation, so that a chat is likely to run
                    // while the conversation is deleted.
                    let conversation = (self.talks && self.random.percent(80)).then(|| {
                        let index = if self.random.percent(80) {
                            0
                        } else {
                            self.random.below(known.len())
                        };
                        (index, known[index].0.clone())
                    });
                    let message = match (&key, self.random.below(100)) {
                        (_, fails) if fails < self.failures => "!fail".into(),
                        (_, 4..6) => "!empty".into(),
                        (_, 6..7) => "!hang".into(),
                        (Some(key), 7..17) => format!("{key} other"),
                        // An idempotency key belongs to a message and its conversation.
                        (Some(key), _) => conversation.as_ref().map_or_else(
                            || format!("{key} hi"),
                            |(index, _)| format!("{key} in {index}"),
                        ),
                        (None, _) => format!("hi {}", self.tasks.len()),
                    };
                    let way = match key {
                        None if self.all_count || self.random.percent(50) => self.call_of(client),
                        _ => self.random.pick(&[Way::Whole, Way::Whole, Way::Streamed]),
                    };
                    let message = if way.counts() { CALL.into() } else { message };
                    // Chats with the same idempotency key and the same message always belong to the
                    // same conversation.
                    let conversation = conversation
                        .filter(|_| !way.counts() && (key.is_none() || message.contains(" in ")))
                        .map(|(_, id)| id);
                    let after = None;
                    What::Chat {
                        key,
                        message,
                        way,
                        conversation,
                        after,
                        model: None,
                        max_cost: None,
                    }
                }
                70..84 if self.talks => {
                    let known = &mut self.conversations[self.clients[client].person];
                    let index =
                        if self.random.percent(80) { 0 } else { self.random.below(known.len()) };
                    let (id, deleted) = &mut known[index];
                    *deleted = true;
                    What::Delete { conversation: id.clone() }
                }
                78..84 => What::Balance,
                _ => What::Sweep,
            },
        };
        let what = self.priced(what);
        self.start(client, what);
    }

    /// Starts a client's chat with an idempotency key, or a request that stops such a chat. The
    /// answer to a chat with the key `k1` delivers its first word before it is complete. The answer
    /// to a chat with the key `k2` delivers nothing, so the chat can be sent again after a stop.
    fn start_or_stop_a_chat(&mut self) {
        let (mut client, mut key) =
            (self.random.below(self.clients.len()), self.random.pick(&["k1", "k2", "k2"]));
        let what = match self.random.below(100) {
            0..55 => What::Chat {
                key: Some(key.into()),
                message: if key == "k1" { "!hold k1 hi".into() } else { "!hold k2".into() },
                way: match self.listed {
                    true if self.random.percent(25) => Way::Silent,
                    _ => self.random.pick(&[
                        Way::Held,
                        Way::Held,
                        Way::Held,
                        Way::Streamed,
                        Way::Whole,
                    ]),
                },
                conversation: None,
                after: None,
                model: None,
                max_cost: None,
            },
            55..95 => {
                let held: Vec<_> = self
                    .tasks
                    .iter()
                    .filter(|task| task.running.is_some())
                    .filter_map(|task| match &task.what {
                        What::Chat { way, message, .. } if way.holds() => {
                            Some((task.client, held_key(message)))
                        }
                        _ => None,
                    })
                    .collect();
                if !held.is_empty() && self.random.percent(70) {
                    (client, key) = self.random.pick(&held);
                }
                return self.stop(client, key);
            }
            _ => What::Sweep,
        };
        let what = self.priced(what);
        self.start(client, what);
    }

    /// Lets a client stop the chat under an idempotency key.
    fn stop(&mut self, client: usize, key: &str) {
        let person = self.clients[client].person;
        let known = self.keys.get(&(person, key.to_owned()));
        let known_until = known.map_or(0, |known| known.until);
        self.start(client, What::Stop { key: key.into(), known_until });
    }

    /// Starts a client's chat in the first conversation of the client's user. The chat follows the
    /// newest chat, begins a new branch, or follows any of the chats.
    fn start_in_a_branch(&mut self) {
        let client = self.random.below(self.clients.len());
        let person = self.clients[client].person;
        let known = &self.messages[person];
        let place = self.random.below(known.len() + 2);
        let after = match place {
            0 => None,
            1 => Some("start".to_owned()),
            place => Some(known[place - 2].clone()),
        };
        let key = self.random.percent(60).then(|| self.random.pick(&["k1", "k2"]).to_owned());
        let message = match &key {
            // An idempotency key belongs to a message and the chat that it follows.
            Some(key) => format!("{key} after {place}"),
            None => format!("hi {}", self.tasks.len()),
        };
        let way = self.random.pick(&[Way::Whole, Way::Streamed]);
        let conversation = Some(self.conversations[person][0].0.clone());
        let what =
            What::Chat { key, message, way, conversation, after, model: None, max_cost: None };
        let what = self.priced(what);
        self.start(client, what);
    }

    /// Decides whether a client that counts its retries repeats a call or begins a new call.
    fn call_of(&mut self, client: usize) -> Way {
        let has_called = self.tasks.iter().any(|task| {
            task.client == client && matches!(task.what, What::Chat { way: Way::First, .. })
        });
        if has_called && self.random.percent(70) { Way::Again } else { Way::First }
    }

    /// Starts a client's request, and returns the number of its task.
    fn start(&mut self, client: usize, what: What) -> usize {
        let id = self.tasks.len();
        let instance = match self.instances.len() {
            1 => 0,
            several => self.random.below(several),
        };
        let Client { person, token, key: api_key, refresh, .. } = &self.clients[client];
        let whose = self.people[*person].name;
        // The form of the answers that this person's clients request if they count their retries.
        let form = if *person == 0 { AnswerForm::Completion } else { AnswerForm::Response };
        let (app, hearing) = (self.instances[instance].app.clone(), Hearing::default());
        let ai = match what {
            What::Chat { way, .. } if way.holds() => &self.patient,
            _ => &self.ai,
        };
        let asking = AiApp { app: app.clone(), ai: ai.clone() };
        let ask = |body: Value, key: Option<&str>| {
            let mut request = Request::new(body.to_string().into());
            request
                .headers_mut()
                .insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/json"));
            if let Some(key) = key {
                request
                    .headers_mut()
                    .insert("idempotency-key", HeaderValue::try_from(key).unwrap());
            }
            request
        };
        let (words, running): (String, Pin<Box<dyn Future<Output = Outcome>>>) = match &what {
            What::Chat { key, message, way, conversation, after, model, max_cost } => {
                let mut body =
                    json!({ "message": message, "conversation_id": conversation, "after": after });
                let mut price = String::new();
                if self.listed {
                    body["model"] = json!(model);
                    body["max_cost"] = json!(max_cost);
                    price = format!(", {} in instance {instance}", model.unwrap_or("any model"));
                    if let Some(most) = max_cost {
                        let _ = write!(price, " for at most {most}");
                    }
                }
                let request = ask(body, key.as_deref());
                let place = match (conversation, after) {
                    (None, _) => "",
                    (Some(_), None) => " in a conversation",
                    (Some(_), Some(_)) => " in a branch",
                };
                let words = format!(
                    "client {client} of {whose} chats {message:?} under {}, {way:?}{place}{price}",
                    key.as_deref().unwrap_or("no key")
                );
                match way {
                    Way::Whole | Way::Silent => (
                        words,
                        Box::pin(
                            functions::chats::chat::handle(asking.into(), request)
                                .map(Outcome::Replied),
                        ),
                    ),
                    way => {
                        let words = match api_key {
                            Some(_) => format!("{words} by API key"),
                            None => words,
                        };
                        let by = api_key.clone();
                        let replied = in_pieces(asking, request, by, *way, form, hearing.clone());
                        (words, Box::pin(replied.map(Outcome::Replied)))
                    }
                }
            }
            What::Stop { key, .. } => {
                let request = ask(json!({ "idempotency_key": key }), None);
                (
                    format!("client {client} of {whose} stops {key}"),
                    Box::pin(
                        functions::chats::chat_stop::handle(app, request).map(Outcome::Replied),
                    ),
                )
            }
            What::Balance => {
                let request = ask(json!({}), None);
                (
                    format!("client {client} of {whose} asks for the balance"),
                    Box::pin(
                        functions::account::balance::handle(app, request).map(Outcome::Replied),
                    ),
                )
            }
            What::Delete { conversation } => {
                let (request, conversation) = (ask(json!({}), None), conversation.clone());
                (
                    format!("client {client} of {whose} deletes a conversation"),
                    Box::pin(delete(app, request, conversation).map(Outcome::Replied)),
                )
            }
            What::Refresh { generation } => {
                let request = ask(json!({ "refresh": refresh[*generation] }), None);
                let words =
                    format!("client {client} of {whose} presents refresh token {generation}");
                let (accounts, signer) = (self.lane.accounts.clone(), self.lane.signer.clone());
                let issuing = IssuerApp { app, accounts, signer };
                let reply = functions::auth::token_refresh::handle(issuing, request);
                (words, Box::pin(reply.map(Outcome::Replied)))
            }
            What::Grant { source } => {
                let words = format!("the source {source} of {whose} grants credits");
                let grant = self.grant(*person, *source);
                let granting = async move {
                    let now = app.clock.seconds();
                    app.store.adjust(&grant, now).await
                };
                (words, Box::pin(granting.map(Outcome::Granted)))
            }
            What::Sweep => (
                "the sweep begins".into(),
                Box::pin(functions::background::sweep::work(app).map(Outcome::SweepReport)),
            ),
            What::ChangePrices { list, seen } => {
                let words = format!("the administrator sets {list:?} in place of {seen:?}");
                let (list, seen) = (list.map(|list| &LISTS[list]), seen.clone());
                let changing = async move {
                    app.store.set_offer(None, list, seen.as_deref(), &app.clock).await
                };
                (words, Box::pin(changing.map(Outcome::PricesChanged)))
            }
        };
        if let What::Refresh { generation } = what {
            let older = |task: &Task| matches!(task.what, What::Refresh { generation: other } if other < generation);
            let overtaken = self
                .tasks
                .iter()
                .any(|task| task.client == client && task.running.is_some() && older(task));
            let now = self.now();
            let client = &mut self.clients[client];
            let first = *client.first_presented.entry(generation).or_insert(now);
            // If a refresh token is presented again after ten minutes, it counts as stolen, unless
            // it is the session's first refresh token.
            let late = generation > 0 && now > first + 600;
            client.robbed |= overtaken || late || generation < client.presented;
            client.presented = client.presented.max(generation);
        }
        self.say(format_args!("{id}: {words}"));
        let started = self.now();
        let of = &self.clients[client];
        let after_the_end =
            of.ended || matches!(what, What::Refresh { generation } if generation < of.taken);
        let (owner, settled_at, told) = (None, None, None);
        let (seen, code) = Default::default();
        self.tasks.push(Task {
            what,
            client,
            instance,
            started,
            chat_began: started,
            began: Instant::now(),
            after_the_end,
            faults: 0,
            lost_a_reserve: false,
            reserved: BTreeSet::new(),
            was_poor: false,
            has_changed_prices: false,
            has_refused: false,
            owner,
            settled_at,
            seen,
            hearing,
            running: Some(running),
            told,
            code,
        });
        id
    }

    fn jump(&mut self, by: u64) {
        self.clock.advance(Duration::from_secs(by));
        self.say(format_args!("{by} seconds go by"));
    }

    /// Kills a function. The function's requests are still in transit.
    fn crash(&mut self, task: usize) {
        self.tasks[task].running = None;
        let kept = self.random.percent(50);
        let mut wire = self.lane.connection.wire();
        wire.pausing.retain(|(who, _)| *who != task);
        let mut left = Vec::new();
        for call in wire.calls.extract_if(.., |call| call.packet.task == task) {
            left.push(call);
        }
        for call in left {
            if kept && call.reply.is_none() && writes(&call.packet) {
                wire.adrift.push(call.packet);
            }
        }
        drop(wire);
        self.say(format_args!("{task}: the function dies"));
    }

    /// Lets the tasks run until each of them waits for the store.
    async fn settle_down(&mut self) -> Checked {
        let begun = Instant::now();
        let quiet = poll_fn(|context| {
            let mut all_wait = true;
            for id in 0..self.tasks.len() {
                let now = self.clock.seconds();
                let mut wire = self.lane.connection.wire();
                // A task whose calls all wait can't make progress.
                if self.tasks[id].running.is_none() || wire.waits(id) {
                    continue;
                }
                let Some(mut running) = self.tasks[id].running.take() else { continue };
                (wire.current, wire.now) = (Some(id), now);
                drop(wire);
                let polled = running.as_mut().poll(context);
                self.lane.connection.wire().current = None;
                match polled {
                    Poll::Pending => self.tasks[id].running = Some(running),
                    Poll::Ready(outcome) => {
                        drop(running);
                        if let Err(violation) = self.judge(id, outcome) {
                            self.violation.get_or_insert(violation);
                        }
                    }
                }
                let mut wire = self.lane.connection.wire();
                if self.tasks[id].running.is_none() {
                    wire.pausing.retain(|(who, _)| *who != id);
                } else {
                    all_wait &= wire.waits(id);
                }
            }
            if all_wait || self.violation.is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        if tokio::time::timeout(Duration::from_secs(60), quiet).await.is_err() {
            return Err(format!("after {:?} a task still waits for nothing", begun.elapsed()));
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Lets a call through to the store, or its reply through to the function, or injects a fault.
    fn let_through(&mut self, id: u64) -> Checked {
        let (packet, reply) = {
            let mut wire = self.lane.connection.wire();
            let call = wire.call(id).unwrap();
            (call.packet.clone(), call.reply.clone())
        };
        self.tasks[packet.task].sends(&packet);
        let is_reserve = is_reserve(&packet);
        // In poor users' schedules, only the first copy of a reserve is likely to be lost.
        let is_first = !self.poor || !self.tasks[packet.task].lost_a_reserve;
        let storm = match is_reserve && is_first {
            true => self.storm.max(self.lost_reserves),
            false => self.storm,
        };
        let faulty = self.random.percent(storm);
        let (task, operation) = (packet.task, packet.operation.clone());
        if is_list_read(&packet)
            && matches!(self.tasks[task].what, What::Chat { .. })
            && (faulty || reply.is_some())
        {
            let delivered = reply.as_ref().filter(|_| !faulty).map(|(_, body)| body.as_str());
            let now = self.now();
            self.instances[self.tasks[task].instance].reads(delivered, now);
        }
        let (fate, words) = match reply {
            None if faulty => self.before_the_store(&packet),
            None => {
                let reply = self.apply(&packet)?;
                self.say(format_args!("{task}: {operation} -> {}", in_words(&reply)));
                let again = writes(&packet) && self.random.percent(self.echoes);
                let mut wire = self.lane.connection.wire();
                wire.call(id).unwrap().reply = Some(reply);
                if again {
                    wire.adrift.push(packet);
                }
                return Ok(());
            }
            Some(reply) if faulty => self.after_the_store(reply),
            Some(reply) => (Some(Ok(reply)), "is answered"),
        };
        if faulty {
            self.tasks[task].faults += 1;
            // The SDK doesn't send a refused reserve again, even if the refusal lacks the item.
            let is_refusal = |fate: &Result<HttpReply, Broken>| {
                fate.as_ref().is_ok_and(|reply| in_words(reply) == "refused")
            };
            let is_lost = is_reserve && !fate.as_ref().is_some_and(is_refusal);
            self.tasks[task].lost_a_reserve |= is_lost;
        }
        self.say(format_args!("{task}: {operation} {words}"));
        if let Some(answer) = fate {
            self.lane.connection.wire().answer(id, answer);
        }
        Ok(())
    }

    /// Injects a fault before a call reaches the store. The store doesn't apply the call, or
    /// applies it later.
    fn before_the_store(
        &mut self,
        packet: &Packet,
    ) -> (Option<Result<HttpReply, Broken>>, &'static str) {
        let refused = |status, code: &str| {
            Some(Ok((status, json!({ "__type": code, "message": "a fault" }).to_string())))
        };
        let transaction = packet.operation == "TransactWriteItems";
        let writes = writes(packet);
        let is_lost =
            self.lost_reserves > 0 && is_reserve(packet) && (self.poor || self.random.percent(60));
        match if is_lost { 7 } else { self.random.below(8) } {
            0 => (refused(500, "InternalServerError"), "fails before it is applied"),
            1 => (refused(503, "ServiceUnavailable"), "finds the store unavailable"),
            2 => (refused(400, "ThrottlingException"), "is throttled"),
            3 => (refused(400, "ProvisionedThroughputExceededException"), "exceeds the throughput"),
            4 => (Some(Err(Broken::Reset)), "is reset before it is applied"),
            5 | 6 if writes && self.pauses < 3 => {
                // The product retries after a pause. The schedule waits for the retry, because
                // otherwise the machine's speed would influence the order.
                self.pauses += 1;
                self.lane.connection.wire().pausing.push((packet.task, packet.operation.clone()));
                if !transaction {
                    return (refused(400, "TransactionConflictException"), "meets a conflict");
                }
                if self.random.percent(30) {
                    return (refused(400, "TransactionInProgressException"), "is in progress");
                }
                let reasons = json!([{ "Code": "TransactionConflict", "Message": "a fault" }, { "Code": "None" }, { "Code": "None" }]);
                let body = json!({ "__type": "TransactionCanceledException", "Message": "a fault", "CancellationReasons": reasons });
                (Some(Ok((400, body.to_string()))), "meets a conflict")
            }
            _ => {
                if writes {
                    self.lane.connection.wire().adrift.push(packet.clone());
                }
                (Some(Err(Broken::TimedOut)), "is lost sight of on its way")
            }
        }
    }

    /// Injects a fault after the store has applied the call.
    fn after_the_store(
        &mut self,
        (status, body): HttpReply,
    ) -> (Option<Result<HttpReply, Broken>>, &'static str) {
        match self.random.below(6) {
            0 => (
                Some(Ok((
                    500,
                    json!({ "__type": "InternalServerError", "message": "a fault" }).to_string(),
                ))),
                "fails after it was applied",
            ),
            1 => (Some(Err(Broken::Reset)), "is reset after it was applied"),
            2 => (
                Some(Ok((status, body.get(..body.len() / 2).unwrap_or("{").to_owned()))),
                "is answered with half a reply",
            ),
            3 if status == 400 => {
                let mut refusal: Value = serde_json::from_str(&body).unwrap();
                refusal.as_object_mut().unwrap().remove("Item");
                (Some(Ok((status, refusal.to_string()))), "is refused without the item")
            }
            _ => (Some(Err(Broken::TimedOut)), "is answered too late"),
        }
    }

    fn arrive_late(&mut self, mut packet: Packet) -> Checked {
        // After a while, the store forgets a transaction's request token, so it applies a late copy
        // again.
        if packet.operation == "TransactWriteItems" && self.random.percent(50) {
            let mut body: Value = serde_json::from_str(&packet.body).unwrap();
            body.as_object_mut().unwrap().remove("ClientRequestToken");
            packet.body = body.to_string();
        }
        let reply = self.apply(&packet)?;
        let Packet { task, operation, .. } = packet;
        self.say(format_args!("{task}: a {operation} arrives late -> {}", in_words(&reply)));
        Ok(())
    }

    /// Applies a request to the store, and checks its effect.
    fn apply(&mut self, packet: &Packet) -> Checked<HttpReply> {
        let now = self.now();
        let task = &mut self.tasks[packet.task];
        if is_reserve(packet) {
            let tokens = self.people[self.clients[task.client].person].account.tokens;
            task.was_poor |= tokens < cost_of(packet);
            task.reserved.insert(cost_of(packet));
        }
        if is_reserve(packet) && task.owner.is_none() {
            task.owner = text_after(&packet.body, r#""owner":{"S":""#).map(str::to_owned);
            let lease_ends = text_after(&packet.body, r#""expires_at":{"N":""#).unwrap();
            task.chat_began = lease_ends.parse::<u64>().unwrap() - LEASE;
        }
        task.sends(packet);
        let reply = self.lane.connection.wire().apply(packet);
        if reply.0 == 400
            && !reply.1.contains("ConditionalCheckFailed")
            && !reply.1.contains("TransactionCanceled")
        {
            return Err(format!("{UNREADABLE} {}: {}", packet.body, reply.1));
        }
        let is_change = packet.operation == "TransactWriteItems" && reply.0 == 200;
        task.has_changed_prices |= is_change && matches!(task.what, What::ChangePrices { .. });
        if packet.body.contains("UsersTable") {
            let tables = self.lane.tables();
            let task = &mut self.tasks[packet.task];
            let number =
                |mark: &str| text_after(&packet.body, mark).and_then(|number| number.parse().ok());
            let (reserves_in, releases_in) =
                (number(r##""#minute":""##), number(r##""#refunds":"r"##));
            let stops = packet.body.contains("stopped = :true").then(|| owner_of(&packet.body));
            let amount = |mark: &str| -> Option<i64> {
                text_after(&packet.body, mark).map(|number| number.parse().unwrap())
            };
            let free_work = free_work_of(packet);
            let work = free_work.as_ref().map(|(_, work)| *work);
            let writer = Writer {
                free_work: free_work.clone(),
                earns: amount(r#"":earned":{"N":""#).zip(amount(r#"":before":{"N":""#)),
                owner: task.owner.as_deref(),
                settled_at: task.settled_at,
                reserves_in,
                releases_in,
                stops,
                period: match self.app.config.allowances.users {
                    Some(_) if is_reserve(packet) => {
                        let period = text_after(&packet.body, r#"":allowance":{"N":""#);
                        period.map_or(i64::MAX, |period| period.parse().unwrap())
                    }
                    _ => 0,
                },
                may_hold: match task.what {
                    What::Chat { max_cost, .. } if self.listed => 0..=max_cost.unwrap_or(i64::MAX),
                    _ => PRICE..=PRICE,
                },
                has_refused: task.has_refused,
            };
            let is_limited = is_limited(&self.clients, task);
            let limits = limits_of(&self.app.config, is_limited, !self.ancient);
            let mut paid = Vec::new();
            for (index, person) in self.people.iter_mut().enumerate() {
                if !packet.body.contains(&person.pk) {
                    continue;
                }
                if reply.0 == 200 && packet.operation != "GetItem" {
                    let chats = person.observe(&tables, &writer, now, &limits)?;
                    paid.extend(chats.into_iter().map(|chat_id| (index, chat_id)));
                }
                task.seen.push(person.account.clone());
            }
            for (person, chat_id) in paid {
                self.was_paid(person, &chat_id, packet.task, now)?;
                self.is_priced(person, &chat_id, packet.task, work)?;
            }
        }
        Ok(reply)
    }

    /// Returns a task's chat as its client has requested it.
    fn asked<'t>(&self, task: &'t Task) -> Option<Asked<'t>> {
        let What::Chat { message, way, conversation, model, max_cost, .. } = &task.what else {
            return None;
        };
        let person = &self.people[self.clients[task.client].person];
        Some(Asked {
            message,
            model: *model,
            max_cost: *max_cost,
            in_conversation: conversation.is_some(),
            instructed: person.instructed,
            streamed: !matches!(way, Way::Whole | Way::Silent),
        })
    }

    /// Checks the price of a chat that was just paid. A chat that was stopped before its model
    /// tokens were counted counts a hundredth of the free work.
    fn is_priced(&self, person: usize, chat_id: &str, task: usize, work: Option<i64>) -> Checked {
        if !self.listed {
            return match work {
                None => Ok(()),
                Some(work) => Err(format!("{work} of free work for a paid chat")),
            };
        }
        let (task, tables, person) = (&self.tasks[task], self.lane.tables(), &self.people[person]);
        let asked = self.asked(task).unwrap();
        let known = self.instances[task.instance].known(task.started);
        let chat = model::stored_chat(&tables, &person.id, chat_id);
        let row = model::stored_row(&tables, &person.id, chat_id);
        let held = person.held_for(chat_id);
        asked.is_priced(&known, &chat, &row, held)?;
        let is_closed = chat["stopped"] == true || chat["cut"] == "length";
        let is_uncounted = is_closed
            && chat["usage"]["estimated"] == true
            && chat["receipt"]["fare"]["input"].is_i64()
            && chat["receipt"]["whole"] != true;
        let expected = self.app.config.free_work.signed().cast_unsigned().div_ceil(100);
        if work != is_uncounted.then_some(expected.cast_signed()) {
            return Err(format!("{chat} counts as {work:?} of free work"));
        }
        // The function has seen the account when it took the credits.
        let back = held - chat["cost"].as_i64().unwrap();
        let left = |account: &Account| account.balance(task.chat_began) + back;
        let holds = |account: &&Account| account.held.values().any(|held| held.owner == chat_id);
        let told = &chat["tokens_left"];
        if task.seen.iter().filter(holds).any(|account| *told == left(account)) {
            return Ok(());
        }
        Err(format!("no balance was {told} after {chat}"))
    }

    /// Checks a chat that was just paid: the chat is stored, its idempotency key pays for no other
    /// chat, and no reply said that the chat wouldn't be charged.
    fn was_paid(&mut self, person: usize, chat_id: &str, task: usize, now: u64) -> Checked {
        let task = &self.tasks[task];
        let What::Chat { key, message, way, conversation, after, .. } = &task.what else {
            return Err("something other than a chat was paid".into());
        };
        let (tables, id) = (self.lane.tables(), &self.people[person].id);
        let stored = model::chat(&tables, id, chat_id);
        let (asked_in, kept_in) = (
            conversation.as_deref().unwrap_or(chat_id),
            model::conversation_of(&tables, id, chat_id),
        );
        // A chat whose conversation was deleted in the meantime is still paid, and is stored
        // outside of any conversation.
        let expected =
            model::conversation_exists(&tables, id, asked_in).then(|| asked_in.to_owned());
        if kept_in != expected {
            return Err(format!(
                "a chat in {asked_in} is kept in {kept_in:?}, and not in {expected:?}"
            ));
        }
        let follows = model::after(&tables, id, chat_id);
        let may_follow = match (&kept_in, after.as_deref(), follows.as_deref()) {
            (None, _, follows) => follows.is_none(),
            (Some(_), Some(asked), Some(follows)) => asked == follows,
            // A chat that follows the newest chat of the main line doesn't store that chat's id.
            (Some(_), Some(asked), None) => model::after(&tables, id, asked).is_none(),
            (Some(_), None, Some(follows)) => model::chat(&tables, id, follows).is_some(),
            (Some(_), None, None) => true,
        };
        if !may_follow {
            return Err(format!("a chat after {after:?} is kept after {follows:?}"));
        }
        let end = model::end(&tables, id, chat_id);
        let may_answer = |answer: &str| match message.strip_prefix("!hold ") {
            Some(words) if end != Some("stop") => {
                words.strip_suffix(" hi").unwrap_or_default() == answer
            }
            Some(words) if words == answer => true,
            _ => answer == format!("You said: {message}"),
        };
        if stored.is_none_or(|(stored, answer, cost, _)| {
            stored != *message || !may_answer(&answer) || !self.listed && cost != PRICE
        }) {
            return Err("a chat was paid that isn't stored as it was asked and answered".into());
        }
        let may_end = match end {
            Some("stopped") => self.people[person].has_stopped(chat_id),
            Some("length") => !way.holds() || task.may_time_out(now),
            _ => true,
        };
        if !may_end {
            return Err(format!("an answer ends with {end:?} for no reason"));
        }
        if let (Some((status, _)), false) = (task.told, self.ancient)
            && status != 200
            && task.code != "unavailable"
        {
            return Err(format!(
                "a client was told {status} {}, and charged after that",
                task.code
            ));
        }
        if way.counts() {
            // After a day, the idempotency key of a request is no longer found.
            self.calls_paid[person] += usize::from(now < task.started + 86_400);
            let (paid, calls) = (self.calls_paid[person], self.calls_of(person));
            return if paid <= calls {
                Ok(())
            } else {
                Err(format!(
                    "{} was charged {paid} times for {calls} calls",
                    self.people[person].name
                ))
            };
        }
        let Some(key) = key else { return Ok(()) };
        if self.keys.get(&(person, key.clone())).is_some_and(|before| now < before.until) {
            return Err(format!("{} was charged twice for {key}", self.people[person].name));
        }
        let until = task.chat_began + 86_400;
        let (chat_id, message) = (chat_id.to_owned(), message.clone());
        let remembered = Remembered { chat_id, message, until, body: None };
        self.keys.insert((person, key.clone()), remembered);
        Ok(())
    }

    /// Returns the number of calls that a person's retry-counting clients have begun. A retry that
    /// the product no longer recognizes counts as a new call.
    fn calls_of(&self, person: usize) -> usize {
        let mut known_until = 0;
        let mut calls = 0;
        for task in &self.tasks {
            if let What::Chat { way: way @ (Way::First | Way::Again), .. } = task.what
                && self.clients[task.client].person == person
            {
                calls += usize::from(way == Way::First || task.started >= known_until);
                known_until = task.started + KNOWN;
            }
        }
        calls
    }

    /// Checks that a reply was true.
    fn judge(&mut self, id: usize, outcome: Outcome) -> Checked {
        let (status, replayed, code, body) = match outcome {
            Outcome::SweepReport(swept) => {
                let words = if swept.is_ok() { "done" } else { "cut off" };
                self.say(format_args!("{id}: the sweep is {words}"));
                return match swept {
                    Err(Error::Unavailable(_)) if self.tasks[id].faults > 0 => Ok(()),
                    Err(error) => Err(format!("a sweep failed without a fault: {error:?}")),
                    Ok(()) => Ok(()),
                };
            }
            Outcome::PricesChanged(outcome) => return self.judge_change(id, outcome),
            Outcome::Granted(outcome) => return self.judge_grant(id, outcome),
            Outcome::Replied(Ok(response)) => {
                let replayed = response.headers().contains_key("idempotent-replayed");
                let Body::Text(text) = response.body() else {
                    return Err("a reply without a text".into());
                };
                (response.status().as_u16(), replayed, "", serde_json::from_str(text).unwrap())
            }
            Outcome::Replied(Err(Error::Internal(cause))) => {
                return Err(format!("{id}: 500: {cause}"));
            }
            Outcome::Replied(Err(error)) => {
                let body = match &error {
                    Error::InsufficientTokens { cost, by_usage, .. } => {
                        json!({ "cost": cost, "by_usage": by_usage })
                    }
                    Error::CostsMore { cost, most } => json!({ "cost": cost, "most": most }),
                    _ => Value::Null,
                };
                (error.status().as_u16(), false, error.code(), body)
            }
        };
        self.say(format_args!(
            "{id}: is told {status} {code}{}",
            if replayed { "as before" } else { "" }
        ));
        let now = self.now();
        let task = &mut self.tasks[id];
        task.told = Some((status, replayed));
        task.code = code.into();
        let task = &self.tasks[id];
        let client = &self.clients[task.client];
        if status == 401 && !client.robbed {
            return Err("a session ended although no token was reused".into());
        }
        if task.after_the_end && status < 300 {
            return Err(format!(
                "{status} for a session that had ended, or a refresh token that was dead"
            ));
        }
        if code == "unavailable" && task.faults == 0 && !task.was_slow() {
            return Err("the store was unavailable without a fault".into());
        }
        match task.what.clone() {
            What::Chat { key, message, way, .. } => {
                self.judge_chat(id, key.as_deref(), way.counts(), &message, &body)
            }
            What::Stop { key, known_until } => self.judge_stop(id, &key, known_until, &body),
            What::Delete { .. } if status == 202 => Ok(()),
            What::Delete { ref conversation } if status == 404 => {
                let deletes = |task: &&Task| matches!(&task.what, What::Delete { conversation: other } if other == conversation);
                if self.tasks.iter().filter(deletes).count() > 1 || self.tasks[id].faults > 0 {
                    Ok(())
                } else {
                    Err("404 for a conversation that no client deleted".into())
                }
            }
            What::Balance if status == 200 => {
                let told = body["tokens"].as_i64();
                let read = task.seen.last().map(|account| account.balance(now));
                if told == read {
                    Ok(())
                } else {
                    Err(format!("the balance was {read:?}, and the client was told {told:?}"))
                }
            }
            What::Refresh { generation } if status == 200 => {
                let client = task.client;
                self.given(client, generation, body["refresh"].as_str().unwrap_or_default())
            }
            What::Refresh { .. } if status == 401 => {
                let client = task.client;
                self.clients[client].ended = true;
                Ok(())
            }
            What::Balance | What::Delete { .. } | What::Refresh { .. }
                if status == 401 || status == 503 =>
            {
                Ok(())
            }
            other => Err(format!("{status} to {other:?}")),
        }
    }

    /// Checks what an administrator was told about a change of the price list.
    fn judge_change(
        &mut self,
        id: usize,
        outcome: Result<SetPricesOutcome, StoreError>,
    ) -> Checked {
        let task = &self.tasks[id];
        let What::ChangePrices { list, seen } = &task.what else { unreachable!() };
        let wanted = list.map(|list| LISTS[list].version());
        let version =
            |stored: &Option<StoredPrices>| stored.as_ref().map(|stored| stored.of.version.clone());
        let (words, is_true) = match &outcome {
            Ok(SetPricesOutcome::Set(stored)) => {
                let is_set = task.has_changed_prices || wanted == *seen;
                ("set", version(stored) == wanted && is_set)
            }
            Ok(SetPricesOutcome::Changed) => ("changed meanwhile", !task.has_changed_prices),
            Err(StoreError::Unavailable(_) | StoreError::Throttled(_)) => {
                ("perhaps set", task.faults > 0 || task.was_slow())
            }
            Err(_) => ("not set", false),
        };
        self.say(format_args!("{id}: the price list is {words}"));
        if is_true { Ok(()) } else { Err(format!("{outcome:?} to a new price list")) }
    }

    /// Returns the grant from one of a person's sources.
    fn grant(&self, person: usize, source: usize) -> Adjustment {
        let account = &self.accounts[person];
        let change = BalanceChange::Credit(Credits::new(GRANTS[source]).unwrap());
        let reason = Reason::parse("a bad answer").unwrap();
        let grant = Adjustment::new(account, change, reason, "manage", &self.clock);
        grant.refunding(&source.to_string())
    }

    /// Checks what was told about a grant from a source: the source has granted credits once.
    fn judge_grant(&mut self, id: usize, outcome: Result<AdjustOutcome, StoreError>) -> Checked {
        let task = &self.tasks[id];
        let What::Grant { source } = task.what else { unreachable!() };
        let person = self.clients[task.client].person;
        let source = self.grant(person, source).entry().source.clone().unwrap();
        let was_granted = self.people[person].was_granted(source.text());
        let (words, is_true) = match &outcome {
            Ok(AdjustOutcome::Applied) => ("granted", was_granted),
            Ok(AdjustOutcome::SourceUsed) => ("had been granted", was_granted),
            Err(StoreError::Unavailable(_) | StoreError::Throttled(_)) => {
                ("perhaps granted", task.faults > 0 || task.was_slow())
            }
            _ => ("not granted", false),
        };
        self.say(format_args!("{id}: the credits are {words}"));
        if is_true { Ok(()) } else { Err(format!("{outcome:?} to a grant from {source:?}")) }
    }

    /// Checks that a refusal for the price is true, and that the chat's hold can't be taken later.
    fn judge_price(&mut self, id: usize, body: &Value) -> Checked {
        let task = &self.tasks[id];
        let person = &self.people[self.clients[task.client].person];
        let (asked, cost) = (self.asked(task).unwrap(), body["cost"].as_i64().unwrap());
        let known = self.instances[task.instance].known(task.started);
        let is_needed = match asked.max_cost {
            Some(most) if body["most"] == most => cost > most,
            _ => body["most"].is_null() && task.seen.iter().any(|account| account.tokens < cost),
        };
        if !is_needed || !asked.costs(cost, &known) {
            let had: Vec<_> = task.seen.iter().map(|account| account.tokens).collect();
            return Err(format!("{} with {body} for {had:?}, and {known:?} was known", task.code));
        }
        // A flat price is reserved only once, and its id stays open.
        let has_closed = task.lost_a_reserve && body["by_usage"] != false && !self.ancient;
        if has_closed && task.owner.as_deref().is_some_and(|owner| person.holds_for(owner)) {
            return Err(format!("{}, but tokens are held for the chat", task.code));
        }
        self.tasks[id].has_refused = has_closed;
        Ok(())
    }

    /// Checks that a refresh token has one successor, for every client and every retry.
    fn given(&mut self, client: usize, generation: usize, successor: &str) -> Checked {
        let Client { refresh: known, taken, .. } = &mut self.clients[client];
        *taken = generation.max(*taken);
        match known.get(generation + 1) {
            Some(known) if known != successor => Err("two successors to one refresh token".into()),
            Some(_) => Ok(()),
            None => {
                known.push(successor.to_owned());
                Ok(())
            }
        }
    }

    fn judge_chat(
        &mut self,
        id: usize,
        key: Option<&str>,
        counts: bool,
        message: &str,
        body: &Value,
    ) -> Checked {
        let now = self.now();
        let task = &self.tasks[id];
        let (status, replayed) = task.told.unwrap();
        let person_index = self.clients[task.client].person;
        let person = &self.people[person_index];
        let own_is_paid = task.owner.as_deref().is_some_and(|owner| person.paid(owner));
        let mates = |other: &Task| {
            let What::Chat { key: others, way, .. } = &other.what else { return false };
            let same =
                if counts { way.counts() } else { key.is_some() && others.as_deref() == key };
            same && self.clients[other.client].person == person_index
        };
        let limits = limits_of(&self.app.config, is_limited(&self.clients, task), true);
        match (status, task.code.as_str()) {
            (200, _) => {
                let chat_id = body["id"].as_str().unwrap_or_default();
                if !replayed && task.owner.as_deref() != Some(chat_id) {
                    return Err("a client got another user's answer".into());
                }
                if replayed && (key.is_none() && !counts || own_is_paid) {
                    return Err("a replay, though there was nothing to replay".into());
                }
                if !person.paid(chat_id) {
                    return Err("200 for a chat that was not charged".into());
                }
                let stored = model::chat(&self.lane.tables(), &person.id, chat_id);
                let told = ["message", "response"]
                    .map(|field| body[field].as_str().unwrap_or_default().to_owned());
                let [cost, left] = ["tokens_deducted", "tokens_left"]
                    .map(|field| body[field].as_i64().unwrap_or(-1));
                let end = model::end(&self.lane.tables(), &person.id, chat_id);
                if stored != Some((told[0].clone(), told[1].clone(), cost, left))
                    || told[0] != message
                    || body["finish_reason"].as_str() != end
                {
                    return Err(format!("200 with {body}, but {stored:?} is stored"));
                }
                if self.listed {
                    let mut kept = model::stored_chat(&self.lane.tables(), &person.id, chat_id);
                    let receipt = &mut kept["receipt"];
                    if !receipt.is_null() {
                        receipt["prices"] = receipt["list"].take();
                        receipt.as_object_mut().unwrap().remove("list");
                    }
                    let is_listed =
                        kept["receipt"].is_null() || body["model"] == kept["receipt"]["model"];
                    if ["receipt", "usage"].iter().any(|of| body[of] != kept[of]) || !is_listed {
                        return Err(format!("200 with {body}, but {kept} is stored"));
                    }
                }
                let known = &mut self.conversations[person_index];
                if let Some(conversation) = body["conversation_id"].as_str()
                    && !known.iter().any(|(id, _)| id == conversation)
                {
                    known.push((conversation.to_owned(), false));
                }
                let first = self.conversations[person_index][0].0.as_str();
                let messages = &mut self.messages[person_index];
                if body["conversation_id"] == first && !messages.iter().any(|id| id == chat_id) {
                    messages.push(chat_id.to_owned());
                }
                let Some(key) = key else { return Ok(()) };
                let remembered = self
                    .keys
                    .get_mut(&(person_index, key.to_owned()))
                    .ok_or("a key without a request")?;
                // The reply to an earlier chat with the same idempotency key, or to a replay that
                // began before the last chat, may still be in transit.
                if remembered.chat_id != chat_id {
                    let began_after = task.started + 86_400 >= remembered.until;
                    return if replayed && began_after && now < remembered.until {
                        Err("a replay of another chat".into())
                    } else {
                        Ok(())
                    };
                }
                match &remembered.body {
                    Some(before) if before != body => Err(format!("told {before}, then {body}")),
                    _ => {
                        remembered.body = Some(body.clone());
                        Ok(())
                    }
                }
            }
            _ if own_is_paid && task.code != "unavailable" => {
                Err(format!("{status} {}, but the chat was charged", task.code))
            }
            (401 | 503, _) if task.code != "not_charged" => Ok(()),
            (503, _) if task.faults > 0 || task.may_time_out(now) => Ok(()),
            // An earlier settle with the same idempotency key was in transit for longer than an id
            // stays closed, and the store applied it before this task's settle. The earlier settle
            // has written the idempotency key's record.
            (503, _)
                if key
                    .is_some_and(|key| self.keys.contains_key(&(person_index, key.to_owned()))) =>
            {
                Ok(())
            }
            (502, "ai_failed") | (504, "ai_timed_out")
                if message.starts_with('!')
                    && !USED
                        .iter()
                        .any(|used| !matches!(*used, "" | FAILS) && message.starts_with(used)) =>
            {
                Ok(())
            }
            // After a fault, the credits may still be held. After a delay, the AI may have had too
            // little time before the end of the lease.
            (502, "ai_failed") | (504, "ai_timed_out")
                if task.faults > 0 || task.may_time_out(now) =>
            {
                Ok(())
            }
            (410, "stopped")
                if task.owner.as_deref().is_some_and(|owner| person.has_stopped(owner)) =>
            {
                Ok(())
            }
            (402, "insufficient_tokens") | (409, "costs_more") if self.listed => {
                self.judge_price(id, body)
            }
            (400, "invalid_fields") if self.listed => {
                let (asked, known) =
                    (self.asked(task).unwrap(), self.instances[task.instance].known(task.started));
                match known.iter().any(|version| asked.terms(*version).is_none()) {
                    true => Ok(()),
                    false => Err("400 for a model that each list has".into()),
                }
            }
            (402, "key_limit_reached") => {
                let limit = person.limit;
                let is_over =
                    |account: &Account| account.purses.values().any(|purse| purse + PRICE > limit);
                match task.seen.iter().any(is_over) {
                    true => Ok(()),
                    false => Err("402 for an API key within its limit".into()),
                }
            }
            (402, _) if task.seen.iter().any(|account| account.tokens < PRICE) => Ok(()),
            // The product answers 404 only before it reserves credits. Once the AI was asked, a
            // chat is paid even if its conversation was deleted.
            (404, "not_found") if task.owner.is_none() => {
                let What::Chat { conversation, .. } = &task.what else {
                    return Err("404 to no chat".into());
                };
                let deleted = self.conversations[person_index]
                    .iter()
                    .any(|(id, deleted)| *deleted && conversation.as_ref() == Some(id));
                if deleted {
                    Ok(())
                } else {
                    Err("404 for a conversation that no client has deleted".into())
                }
            }
            (429, "too_many_refunds") => {
                let mut moments = (task.started..now).step_by(60).chain([now]);
                let closed = moments.any(|at| {
                    task.seen.iter().any(|account| {
                        account.is_closed_by_refunds(at / 60, &limits)
                            || account.is_closed_by_free_work(at, &limits)
                    })
                });
                if closed {
                    Ok(())
                } else {
                    Err("429, though not too many chats were refunded".into())
                }
            }
            (429, "too_many_chats_this_minute") => {
                // If the client counts its retries, the function first reads the account and the
                // idempotency key of an earlier call, and then reserves credits.
                let moments: Vec<u64> = (task.started..now).step_by(60).chain([now]).collect();
                let in_minute = |account: &Account| {
                    moments.iter().map(|at| account.chats_in_minute_of(*at)).max()
                };
                let begun = task.seen.iter().filter_map(in_minute).max().unwrap_or(0);
                if begun >= limits.chats {
                    Ok(())
                } else {
                    Err(format!("429, though only {begun} chats began"))
                }
            }
            (429, _)
                if task.seen.iter().any(|account| {
                    i64::try_from(account.held.len()).unwrap() >= limits.parallel
                }) =>
            {
                Ok(())
            }
            (409, "idempotency_key_running")
                if self.tasks.iter().filter(|other| mates(other)).count() > 1 =>
            {
                Ok(())
            }
            (422, "idempotency_key_reused") => {
                let other = |other: &&Task| matches!(&other.what, What::Chat { message: other, .. } if other != message);
                let used = self.tasks.iter().filter(|task| mates(task)).any(|task| other(&task));
                if used {
                    Ok(())
                } else {
                    Err("422, though the key was used for nothing else".into())
                }
            }
            (_, code) => Err(format!("{status} {code} without a reason")),
        }
    }

    /// Checks that the reply to a client that stops a chat is true.
    fn judge_stop(&self, id: usize, key: &str, known_until: u64, body: &Value) -> Checked {
        let (task, now) = (&self.tasks[id], self.now());
        let person_index = self.clients[task.client].person;
        let person = &self.people[person_index];
        let chats: Vec<&str> = self
            .tasks
            .iter()
            .filter(|other| self.clients[other.client].person == person_index)
            .filter(|other| matches!(&other.what, What::Chat { key: Some(others), .. } if others == key))
            .filter_map(|other| other.owner.as_deref())
            .collect();
        let was_held = |owner: &&str| {
            !task.seen.is_empty()
                && task.seen.iter().all(|account| {
                    account.held.values().any(|held| held.owner == *owner && held.expires_at > now)
                })
        };
        let chat_id = body["id"].as_str().unwrap_or_default();
        match (task.told.unwrap().0, body["status"].as_str()) {
            (401 | 503, _) => Ok(()),
            (200, _) if !chats.contains(&chat_id) => Err(format!("{body} to a stop of {key}")),
            (200, Some("stopping")) if person.has_stopped(chat_id) => Ok(()),
            (200, Some("ended")) if person.paid(chat_id) => Ok(()),
            (404, _) if now < known_until => Err("404 for an answer that was paid".into()),
            (404, _) if chats.iter().any(was_held) => {
                Err("404 for an answer that was being written".into())
            }
            (404, _) => Ok(()),
            (status, _) => Err(format!("{status} with {body} to a stop of {key}")),
        }
    }

    /// Ends the faults, and checks that nothing is reserved after one jump in time and one sweep,
    /// and that every client learns the outcome of its requests.
    async fn calm(&mut self) -> Checked {
        (self.storm, self.echoes, self.lost_reserves) = (0, 0, 0);
        for index in self.arriving().into_iter().rev() {
            let packet = self.lane.connection.wire().adrift.remove(index);
            if self.random.percent(50) {
                self.arrive_late(packet)?;
            }
        }
        self.lane.connection.wire().adrift.clear();
        self.jump(61);
        self.finish(0, What::Sweep).await?;
        let tables = self.lane.tables();
        for person in &self.people {
            let Account { tokens, granted, spent, held, due, .. } = &person.account;
            if !held.is_empty() || *granted != tokens + spent {
                return Err(format!(
                    "{}: tokens are held after the sweep: {:?}",
                    person.name, person.account
                ));
            }
            // The sweep removes accounts without holds from the index.
            if *due && held.is_empty() {
                return Err(format!(
                    "{}: the account is at rest, and the index due still names it",
                    person.name
                ));
            }
        }
        let person = self.random.below(self.people.len());
        self.find_out(person).await?;
        for (person, account) in self.people.iter().zip(&self.accounts) {
            person.audit(&tables)?;
            if self.listed || self.till {
                let found = self.app.store.audit(&account.label).await.unwrap();
                if !found.differences.is_empty() {
                    return Err(format!(
                        "{}: the audit finds {:?}",
                        person.name, found.differences
                    ));
                }
            }
        }
        Ok(())
    }

    /// Lets a client repeat a request under an idempotency key and read the balance, so that no
    /// outcome stays unknown.
    async fn find_out(&mut self, person: usize) -> Checked {
        let clients: Vec<_> = (0..self.clients.len())
            .filter(|client| self.clients[*client].person == person)
            .collect();
        let client = self.random.pick(&clients);
        let key = self.random.pick(&["k1", "k1", "k2"]);
        let now = self.now();
        let probe = self.priced(What::Chat {
            key: Some(key.into()),
            message: format!("{key} hi"),
            way: Way::Whole,
            conversation: None,
            after: None,
            model: None,
            max_cost: None,
        });
        let What::Chat { key: probed, message, way, conversation, after, model, .. } = probe else {
            unreachable!()
        };
        let known = self.keys.get(&(person, key.to_owned())).filter(|known| now < known.until);
        let known = known.map(|known| known.message == message);
        let current = self.current_version();
        let before = self.people[person].account.clone();
        let limits = limits_of(&self.app.config, false, true);
        let max_cost = None;
        let probe = What::Chat { key: probed, message, way, conversation, after, model, max_cost };
        let probe = self.finish(client, probe).await?;
        let (instructed, streamed) = (self.people[person].instructed, false);
        let What::Chat { message, .. } = &self.tasks[probe].what else { unreachable!() };
        let asked =
            Asked { message, model, max_cost, in_conversation: false, instructed, streamed };
        let terms = asked.terms(current.as_deref());
        let price = terms.map(|terms| *asked.least(terms).start());
        let (status, replayed) = self.tasks[probe].told.unwrap();
        // A reserve fills the balance up first.
        let after = &self.people[person].account;
        let filled = after.granted - before.granted;
        let expected = match known {
            _ if status == 401 => return Ok(()),
            Some(true) => (200, true),
            Some(false) => (422, false),
            None if price.is_none() => (400, false),
            None if price.is_some_and(|price| before.tokens + filled < price) => (402, false),
            // After a minute with too many refunds, an account must also wait in the following
            // minutes.
            None if before.is_closed_by_refunds(now / 60, &limits) => (429, false),
            None if before.is_closed_by_free_work(now, &limits) => (429, false),
            // Some price lists have a second provider for the model.
            None if asked.message.starts_with(FAILS) && status == 502 => (502, false),
            None => (200, false),
        };
        if (status, replayed) != expected {
            return Err(format!(
                "after the storm {expected:?} was due for {key}, not {status} {}",
                self.tasks[probe].code
            ));
        }
        let unchanged = (after.tokens, after.spent, &after.held)
            == (before.tokens + filled, before.spent, &before.held);
        let is_free = price == Some(0);
        if unchanged != (expected != (200, false)) && !is_free {
            return Err(format!(
                "{expected:?} for {key}, and the account went from {before:?} to {after:?}"
            ));
        }
        self.finish(client, What::Balance).await.map(drop)
    }

    /// Starts a request and lets all its calls through. Returns the number of the request's task.
    async fn finish(&mut self, client: usize, what: What) -> Checked<usize> {
        let id = self.start(client, what);
        while self.tasks[id].running.is_some() {
            self.settle_down().await?;
            if let Some(call) = self.waiting().first() {
                self.let_through(*call)?;
            }
        }
        Ok(id)
    }
}

/// Returns the key and the credits of the free work that a write counts. The first free work creates
/// the map.
fn free_work_of(packet: &Packet) -> Option<(String, i64)> {
    let (_, value) = packet.body.split_once(r#"":work":"#)?;
    let value = serde_json::Deserializer::from_str(value).into_iter::<Value>().next();
    let value = value.unwrap().unwrap();
    let number = |value: &Value| value["N"].as_str().unwrap().parse().unwrap();
    match value["M"].as_object() {
        Some(days) => days.iter().next().map(|(key, credits)| (key.clone(), number(credits))),
        None => {
            let key = text_after(&packet.body, r##""#free_work":""##).unwrap();
            Some((key.to_owned(), number(&value)))
        }
    }
}

/// Returns true if the task chats with an API key that has a limit.
fn is_limited(clients: &[Client], task: &Task) -> bool {
    let by_key =
        matches!(&task.what, What::Chat { way, .. } if !matches!(way, Way::Whole | Way::Silent));
    by_key && clients[task.client].key.is_some()
}

/// Returns the limits of a caller. A caller with a limited API key gets half of them.
fn limits_of(config: &Config, is_limited: bool, exact: bool) -> Limits {
    let (parallel, refunds) = (config.parallel_chats, config.refunds_per_minute);
    let share = |whole: u32| if is_limited { (whole / 2).max(1) } else { whole };
    let parallel = if is_limited { parallel.min(refunds) } else { parallel };
    Limits {
        is_limited,
        parallel: share(parallel).into(),
        chats: share(config.chats_per_minute).into(),
        refunds: refunds.into(),
        refunds_of_caller: share(refunds).into(),
        free_work: config.free_work.signed(),
        exact,
    }
}

/// Runs a streamed or counted chat like its endpoint, but in the request's task, so that the
/// schedule decides when the chat continues.
async fn in_pieces(
    app: AiApp,
    req: Request,
    api_key: Option<StoredApiKey>,
    way: Way,
    form: AnswerForm,
    hearing: Hearing,
) -> Reply {
    let (caller, mut asked) = charge::read(&app, &req).await?;
    let caller = api_key.map_or(caller, Credential::ApiKey);
    if way.counts() {
        asked.key = Some(RequestKey::of_call(&app, &req, &caller, form, way == Way::Again).await?);
    }
    match Charge::begin(&app, &req, &caller, asked).await? {
        BeginOutcome::Replayed(chat) => http::ok(&PaidChat::of(&chat)).map(http::replayed),
        BeginOutcome::Charge(charge) => {
            let (listener, pieces) = unbounded_channel();
            *hearing.borrow_mut() = Some(pieces);
            let chat = charge.answer(Some(listener)).await?.chat;
            let (mut heard, pieces) = (String::new(), hearing.take());
            if let Some(mut pieces) = pieces {
                while let Some(piece) = pieces.recv().await {
                    heard.push_str(&piece.text);
                }
            }
            // If the schedule completes an answer, the client doesn't receive the rest of the
            // answer.
            let is_completed = way == Way::Held && !chat.stopped;
            if heard == chat.response || is_completed && chat.response.starts_with(&heard) {
                http::ok(&PaidChat::of(&chat))
            } else {
                Err(Error::Internal(format!("{heard:?} was heard")))
            }
        }
    }
}

/// Creates an API key with a limit. Its last use isn't noted, so a chat with it makes the same calls
/// on every day.
async fn limited_key(app: &App, caller: &AccessToken, limit: KeyLimit) -> StoredApiKey {
    let key = ApiKey::random(app.clock.id()).unwrap();
    let name = KeyName::parse("a program").unwrap();
    let limits = Restrictions::new(None, None, Some(limit));
    let mut stored = StoredApiKey::new(&key, caller, &name, limits, app.clock.millis());
    stored.used = Some(u64::MAX);
    app.store.create_api_key(caller, &stored).await.unwrap();
    stored
}

/// Deletes a conversation as its endpoint does.
async fn delete(app: App, req: Request, conversation: String) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    app.store.delete_conversation(&caller, &conversation, app.clock.seconds()).await?;
    http::accepted(&Value::Null)
}

/// Returns the idempotency key of an answer that doesn't end by itself.
fn held_key(message: &str) -> &'static str {
    if message == "!hold k2" { "k2" } else { "k1" }
}

fn is_reserve(packet: &Packet) -> bool {
    packet.operation == "UpdateItem" && packet.body.contains(":reservation")
}

/// A step of a schedule in which a reserve arrives before an earlier settle.
enum Step {
    Jump,
    Sweep,
    Purchase(usize),
    Arrival(usize),
}

/// Returns true if the call is a transaction that the store hasn't applied yet.
fn is_settle(call: &Call) -> bool {
    call.reply.is_none() && call.packet.operation == "TransactWriteItems"
}

/// Returns the credits that a reserve takes.
fn cost_of(packet: &Packet) -> i64 {
    text_after(&packet.body, r#"":cost":{"N":""#).unwrap().parse().unwrap()
}

fn is_list_read(packet: &Packet) -> bool {
    packet.operation == "GetItem" && packet.body.contains(PRICE_LIST)
}

fn writes(packet: &Packet) -> bool {
    !matches!(packet.operation.as_str(), "GetItem" | "BatchGetItem" | "Query" | "Scan")
}

/// Returns the id of the chat that a release or settle belongs to. Empty for other writes.
fn owner_of(body: &str) -> &str {
    text_after(body, r#"":owner":{"S":""#).unwrap_or_default()
}

fn table_of(body: &str) -> &str {
    text_after(body, r#""TableName":""#).unwrap_or_default()
}

fn text_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark)?.1.split('"').next()
}

fn in_words((status, body): &HttpReply) -> &'static str {
    match status {
        200 => "done",
        400 if body.contains("ConditionalCheckFailed") => "refused",
        _ => "failed",
    }
}

/// Runs the schedules of `seeds` on two threads with several lanes each, so that a paused lane
/// doesn't block other lanes. Stops at the first failure.
fn run_all(seeds: Range<u64>, sabotage: Option<Sabotage>, store: Kind) -> Result<u64, Failure> {
    let next = AtomicU64::new(seeds.start);
    let ran = AtomicU64::new(0);
    let failure = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _quiet =
                    tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let lane = || async {
                    let lane = Lane::open(store, sabotage).await;
                    while failure.lock().unwrap().is_none() {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            break;
                        }
                        match run(&lane, seed).await {
                            Err(failed) => {
                                failure.lock().unwrap().get_or_insert(failed);
                            }
                            Ok(log) if seeds.end - seeds.start == 1 => {
                                println!("SEED={seed}\n{log}")
                            }
                            Ok(_) => {}
                        }
                        ran.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                };
                runtime.block_on(async { tokio::join!(lane(), lane(), lane(), lane()) });
            });
        }
    });
    match failure.into_inner().unwrap() {
        Some(failure) => Err(failure),
        None => Ok(ran.into_inner()),
    }
}

/// Returns the seeds that the environment selects.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    if let Ok(seed) = std::env::var("SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    let range = std::env::var("SEEDS").ok();
    let usual = if std::env::var_os("TEST_DYNAMODB").is_some() { SCHEDULES / 5 } else { SCHEDULES };
    range
        .as_deref()
        .and_then(|range| range.split_once(".."))
        .map_or(0..usual, |(from, to)| number(from)..number(to))
}

/// Removes a part of an operation's conditions.
macro_rules! without {
    ($operation:literal, $($from:literal => $to:literal),+) => {
        (concat!($operation, $(" ", $from),+), Sabotage::Sends(|operation, body| {
            if operation == $operation {
                $(*body = body.replace($from, $to);)+
            }
        }))
    };
}

/// Sabotages that each drop a condition of a write. Without any one of these conditions, a balance
/// could be wrong or a reply untrue.
const SABOTAGES: [(&str, Sabotage); 21] = [
    ("UpdateItem that stops a chat", Sabotage::Sends(stops_any_chat)),
    without!("UpdateItem", " OR minutes.#r0 < :r0" => " OR minutes.#r0 < :r0 OR attribute_exists(pk)"),
    without!("TransactWriteItems", " AND attribute_not_exists(deleted)" => ""),
    without!("UpdateItem", "came < :came" => "attribute_exists(pk)"),
    without!("UpdateItem", "expires_at <= :now OR #key" => "(expires_at <= :now OR attribute_exists(pk)) OR #key"),
    without!("UpdateItem", " AND attribute_not_exists(reservations.#rid)" => ""),
    without!("UpdateItem", " AND tokens >= :cost" => ""),
    without!("UpdateItem", " OR purses.#purse <= :room" => " OR purses.#purse <= :room OR attribute_exists(pk)"),
    without!("UpdateItem", " AND allowance >= :allowance" => " AND (allowance >= :allowance OR attribute_exists(pk))"),
    without!("TransactWriteItems", " AND granted = :granted AND spent = :spent" => " AND (granted = :granted OR spent = :spent OR attribute_exists(pk))"),
    without!("UpdateItem", " AND attribute_not_exists(closed.#rid)" => ""),
    without!("UpdateItem", " AND attribute_not_exists(revoked.#session)" => " AND #session <> :id"),
    without!("UpdateItem", " OR minutes.#minute < :per_minute" => " OR minutes.#minute < :per_minute OR attribute_exists(pk)"),
    without!("UpdateItem", "reservations.#rid.#owner = :owner" => "(reservations.#rid.#owner = :owner OR attribute_exists(reservations.#rid))"),
    without!("UpdateItem", " AND size(reservations) = :none" => " AND size(reservations) >= :none"),
    without!("UpdateItem", " AND generation = :presented" => " AND (generation = :presented OR attribute_exists(pk))"),
    without!("UpdateItem", " AND generation = :before" => " AND (generation = :before OR attribute_exists(pk))"),
    without!("TransactWriteItems", "reservations.#rid.#owner = :owner" => "(reservations.#rid.#owner = :owner OR attribute_exists(pk))"),
    without!("TransactWriteItems", "reservations.#rid.#cost = :held" => "(reservations.#rid.#cost = :held OR attribute_exists(pk))"),
    without!("UpdateItem", "id = :id AND attribute_not_exists(reservations.#rid)" => "id = :id"),
    without!("TransactWriteItems", "reservations.#rid.expires_at > :now" => "(reservations.#rid.expires_at > :now OR attribute_exists(pk))"),
];

/// Weakens the condition of a stop, so that a late stop also ends a later chat with the same
/// idempotency key.
fn stops_any_chat(_: &str, body: &mut String) {
    if body.contains("stopped = :true") {
        *body = body.replace(
            "reservations.#rid.#owner = :owner",
            "(reservations.#rid.#owner = :owner OR attribute_exists(reservations.#rid))",
        );
    }
}

#[test]
fn every_dropped_condition_is_noticed() {
    let unnoticed: Vec<_> =
        SABOTAGES.into_iter().filter(|(condition, by)| !is_noticed(condition, *by)).collect();
    assert!(unnoticed.is_empty(), "no schedule notices these mistakes: {unnoticed:#?}");
}

#[test]
fn every_protocol_mistake_is_noticed() {
    let mut unnoticed = Mistake::ALL.to_vec();
    unnoticed.retain(|mistake| !is_noticed(&format!("{mistake:?}"), mistake.sabotage()));
    assert!(unnoticed.is_empty(), "no schedule finds {unnoticed:?}");
}

#[test]
fn every_pricing_mistake_is_noticed() {
    let mut unnoticed = PricingMistake::ALL.to_vec();
    unnoticed.retain(|mistake| !is_noticed(&format!("{mistake:?}"), mistake.sabotage()));
    assert!(unnoticed.is_empty(), "no schedule finds {unnoticed:?}");
}

#[test]
fn every_mistake_of_limits_and_grants_is_noticed() {
    let mut unnoticed = TillMistake::ALL.to_vec();
    unnoticed.retain(|mistake| !is_noticed(&format!("{mistake:?}"), mistake.sabotage()));
    assert!(unnoticed.is_empty(), "no schedule finds {unnoticed:?}");
}

#[test]
fn every_mistake_of_free_work_is_noticed() {
    let mut unnoticed = FreeWorkMistake::ALL.to_vec();
    unnoticed.retain(|mistake| !is_noticed(&format!("{mistake:?}"), mistake.sabotage()));
    assert!(unnoticed.is_empty(), "no schedule finds {unnoticed:?}");
}

/// Returns true if a schedule finds the sabotage in the store under test. A seed makes the same
/// schedule in each store, so the function first looks for a seed in the embedded store, which is
/// the fastest. A schedule doesn't count if the store can't read a rewritten call.
fn is_noticed(name: &str, sabotage: Sabotage) -> bool {
    let Err(Failure { seed, .. }) = run_all(0..SCHEDULES, Some(sabotage), Kind::Embedded) else {
        return false;
    };
    let found = run_all(seed..seed + 1, Some(sabotage), Kind::UnderTest);
    let Err(Failure { violation, .. }) = found else {
        return false;
    };
    println!("{name}: seed {seed}: {violation}");
    !violation.starts_with(UNREADABLE)
}

#[test]
fn a_seed_makes_the_same_schedule_every_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (one, other) =
            (Lane::open(Kind::UnderTest, None).await, Lane::open(Kind::UnderTest, None).await);
        let mut schedules = Vec::new();
        for seed in 0..100 {
            schedules.push(run(&one, seed).await.unwrap());
        }
        // A schedule must not depend on the seeds that ran before it.
        for seed in (0..100).rev() {
            assert_eq!(run(&other, seed).await.unwrap(), schedules.pop().unwrap(), "seed {seed}");
        }
    });
}

#[test]
fn books_and_replies_are_right_in_every_schedule() {
    let begun = Instant::now();
    match run_all(seeds(), None, Kind::UnderTest) {
        Ok(ran) => println!("{ran} schedules in {:?}", begun.elapsed()),
        Err(failure) => panic!("{failure}"),
    }
}
