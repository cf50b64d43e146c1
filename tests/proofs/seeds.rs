//! Random schedules: clients that chat, stop answers, refresh and read, functions that die, a store
//! that fails, and time that jumps, all in an order that a seed decides. After every write the books are
//! checked, and after every reply whether it was true.
//!
//! `SEED=17` runs one seed and prints its schedule, `SEEDS=0..1000000` runs as many. With
//! `--nocapture` a run says how long it took.

mod model;
mod tables;
mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
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
use shared::store::{NewAccount, Store};
use shared::values::{AccessToken, RefreshToken, Role, Session, Username};
use shared::view::PaidChat;
use shared::{App, Credits, Error, Reply, Request, auth};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use model::{Account, Limits, Person, Writer};
use tables::{Kind, Tables};
use wire::{Broken, Connection, HttpReply, Packet};

use crate::support::mistakes::{Mistake, Sabotage};

/// How many schedules a run makes; over another emulator, a fifth of them. CI continues from here
/// to 10,000.
const SCHEDULES: u64 = 2500;

/// How long a request may be on its way, in seconds: what the protocol's leases and closed ids are
/// made for.
const ON_ITS_WAY: u64 = 30;

/// A chat's lease: the time of a call without a limit, and 30 seconds.
const LEASE: u64 = 59;

const PRICE: i64 = 100;

/// How a violation begins where the store can't read a call.
const UNREADABLE: &str = "the store can't make sense of";

/// SplitMix64 (Steele, Lea and Flood, 2014).
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

    /// True in this many of a hundred cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// A store of its own and the functions over it: schedules run in it one after the other.
struct Lane {
    connection: Connection,
    app: App,
    accounts: Arc<AccountConfig>,
    signer: Signer,
    ai: Ai,
    /// Another AI: one that answers where the first provider fails.
    failing_over: Ai,
    /// An AI with time for answers that go on. Its functions look all the time whether they are
    /// stopped.
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
        // Only the time distinguishes an AI that hangs from one that fails.
        ai.timeout = Duration::from_millis(1);
        let connection = Connection::to(Arc::new(Tables::open(store).await), sabotage);
        let clock = Clock::default();
        let store = Store::with_client(connection.client(), &config);
        let secret = settings.signing_secret().unwrap();
        let signer = Signer::new(secret, &shared::aws::emulated(), clock.clone()).await.unwrap();
        let providers = vec![AiProvider::Scripted, AiProvider::Echo];
        let failing_over = Ai::connect(AiConfig { providers, ..ai.clone() }).await.unwrap();
        let (timeout, stop_pace) = (Duration::from_secs(3600), Duration::ZERO);
        let patient = Ai::connect(AiConfig { timeout, stop_pace, ..ai.clone() }).await.unwrap();
        let ai = Ai::connect(ai).await.unwrap();
        let app = App::from_parts(config, clock, store);
        let accounts = AccountConfig::read(&settings).unwrap().into();
        Self { connection, accounts, signer, ai, failing_over, patient, app }
    }

    fn tables(&self) -> Arc<Tables> {
        self.connection.wire().tables.clone()
    }
}

/// How a chat is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Streamed,
    /// The same, and the answer goes on until it is stopped or the schedule completes it.
    Held,
    /// By a client that sends no key, but counts its retries: for the first time, or again.
    First,
    Again,
}

impl Way {
    fn counts(self) -> bool {
        matches!(self, Self::First | Self::Again)
    }
}

/// How long a call without a key is recognized, in seconds.
const KNOWN: u64 = 900;

/// The message of all clients that count their retries.
const CALL: &str = "hi again";

/// What is heard of an answer.
type Hearing = Rc<RefCell<Option<UnboundedReceiver<Piece>>>>;

/// A request of a client, or scheduled work.
#[derive(Clone, Debug)]
enum What {
    Chat {
        key: Option<String>,
        message: String,
        way: Way,
        conversation: Option<String>,
        /// The chat of the conversation that it follows, or `start`; by default the newest one.
        after: Option<String>,
    },
    /// The stop of the chat under a key.
    Stop {
        key: String,
        /// Until when the key's chat is remembered, if it was paid before.
        known_until: u64,
    },
    Balance,
    /// The deletion of a conversation.
    Delete {
        conversation: String,
    },
    Refresh {
        generation: usize,
    },
    Sweep,
}

/// A request or a sweep, from its start on.
struct Task {
    what: What,
    client: usize,
    started: u64,
    /// The machine's time when it started.
    began: Instant,
    /// Whether, when it started, the client knew that the session had ended, or had refreshed with
    /// a later refresh token.
    after_the_end: bool,
    faults: u32,
    /// The id of its chat, once it has tried to take the credits.
    owner: Option<String>,
    settled_at: Option<u64>,
    /// The account as refusals and reads showed it.
    seen: Vec<Account>,
    hearing: Hearing,
    running: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
    /// The status of its reply, and whether that was a replay.
    told: Option<(u16, bool)>,
    code: String,
}

impl Task {
    /// Whether the machine may have been too slow for the limits of the AI and of calls, which count
    /// its time. The shortest is a call's, which ends earlier than it if a pause would exceed it.
    fn was_slow(&self) -> bool {
        self.began.elapsed() >= OPERATION / 2
    }

    /// Whether a time limit may have ended it: because time jumped, or because the machine was slow.
    fn may_time_out(&self, now: u64) -> bool {
        now > self.started || self.was_slow()
    }

    /// Records when it first sent its settle: that is the time in the settle.
    fn sends(&mut self, packet: &Packet) {
        if packet.operation == "TransactWriteItems" {
            self.settled_at = Some(self.settled_at.map_or(packet.sent, |at| at.min(packet.sent)));
        }
    }

    /// Whether the AI answers until the schedule completes the answer.
    fn goes_on(&self) -> bool {
        matches!(self.what, What::Chat { way: Way::Held, .. })
            && self.hearing.borrow().as_ref().is_some_and(|pieces| !pieces.is_closed())
    }

    /// Has the AI say the rest.
    fn complete(&self) {
        if let Some(pieces) = self.hearing.borrow_mut().as_mut() {
            pieces.close();
        }
    }
}

enum Outcome {
    Replied(Reply),
    SweepReport(shared::Result<()>),
}

/// A device of a user, with a session of its own.
struct Client {
    person: usize,
    /// The long-lived access token.
    token: String,
    /// The refresh tokens that it received, by generation.
    refresh: Vec<String>,
    /// The highest generation that it has presented.
    presented: usize,
    /// The second at which it presented each generation for the first time, by generation.
    first_presented: BTreeMap<usize, u64>,
    /// The highest generation for which it received a successor.
    taken: usize,
    /// Whether a refresh token may have been dead when it was presented.
    robbed: bool,
    /// Whether a reply said so.
    ended: bool,
}

/// The reply to a request with a key, and the second until which the key is remembered.
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
    ai: Ai,
    /// That of requests whose answers go on.
    patient: Ai,
    people: Vec<Person>,
    clients: Vec<Client>,
    tasks: Vec<Task>,
    /// The requests that keys belong to, by person and key.
    keys: HashMap<(usize, String), Remembered>,
    /// The conversations that each person knows, and whether a client has begun to delete them.
    conversations: Vec<Vec<(String, bool)>>,
    /// The messages that each person was answered in the first of these.
    messages: Vec<Vec<String>>,
    /// How many chats of clients that count their retries each person has paid.
    calls_paid: Vec<usize>,
    /// How many of a hundred calls meet a fault.
    storm: usize,
    /// How many of a hundred writes arrive twice.
    echoes: usize,
    /// How many of a hundred requests are refreshes.
    refreshes: usize,
    /// All clients chat under one key.
    one_key: bool,
    /// How many of a hundred chats fail at the AI.
    failures: usize,
    /// Clients chat in a conversation of each person, and delete it.
    talks: bool,
    /// All clients count their retries and send no key.
    all_count: bool,
    /// Clients chat under keys, most answers go on, and clients stop them.
    stops: bool,
    /// Most chats follow any chat of a conversation.
    branches: bool,
    /// Requests arrive after any time: then only the books must be right, not the replies.
    ancient: bool,
    pauses: u32,
    log: String,
    violation: Option<String>,
}

/// What went wrong, and the steps that led there.
#[derive(Debug)]
struct Failure {
    seed: u64,
    log: String,
    violation: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, log, violation } = self;
        write!(f, "\nSEED={seed} leads to what must not be:\n{log}\n=> {violation}\n")
    }
}

type Checked<T = ()> = Result<T, String>;

async fn run(lane: &Lane, seed: u64) -> Result<String, Failure> {
    let mut schedule = Schedule::new(lane, seed).await;
    // Without tokio's budget, which would make a task yield now and then without a reason.
    let ran = tokio::task::unconstrained(AssertUnwindSafe(schedule.play()).catch_unwind()).await;
    let verdict = match ran {
        Ok(verdict) => verdict,
        Err(panic) => {
            Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into()))
        }
    };
    // A task that is cut off leaves its requests behind.
    for task in &mut schedule.tasks {
        task.running = None;
    }
    let mut wire = lane.connection.wire();
    wire.current = None;
    wire.calls.clear();
    wire.adrift.clear();
    wire.pausing.clear();
    drop(wire);
    // Otherwise the sweep of a later schedule would find holds and closed ids.
    for person in &schedule.people {
        lane.tables().remove(&person.pk);
    }
    match verdict {
        Ok(()) => Ok(schedule.log),
        Err(violation) => Err(Failure { seed, log: schedule.log, violation }),
    }
}

/// How many chats of an account are refunded in a day although the AI may have worked. Low if the
/// limit of a minute is low, so that some schedules reach it.
fn refunds_a_day(app: &App) -> i64 {
    i64::from(app.config.refunds_per_minute) * 2
}

impl<'l> Schedule<'l> {
    async fn new(lane: &'l Lane, seed: u64) -> Self {
        let mut random = Random(seed);
        // The clock starts at a second that the seed decides and doesn't run, so that the machine's
        // speed decides nothing.
        let minute = Clock::default().seconds() / 60 * 60;
        let clock = Clock::standing((minute + random.next() % 60) * 1000);
        let mut config = (*lane.app.config).clone();
        config.parallel_chats = random.pick(&[1, 2, 3, 64]);
        config.chats_per_minute = random.pick(&[1, 2, 4, 300, 300]);
        config.refunds_per_minute = random.pick(&[2, 2, 3, 20, 20]);
        let refunds_per_day = config.refunds_per_minute * 2;
        let with_refunds = |mut ai: Ai| {
            ai.config = Arc::new(AiConfig { refunds_per_day, ..(*ai.config).clone() });
            ai
        };
        let ai = with_refunds(random.pick(&[lane.ai.clone(), lane.failing_over.clone()]));
        let patient = with_refunds(lane.patient.clone());
        let app = App { config: Arc::new(config), clock: clock.clone(), ..lane.app.clone() };
        let (accounts, signer) = (lane.accounts.clone(), lane.signer.clone());
        let issuing = IssuerApp { app: app.clone(), accounts, signer };
        let (mut people, mut clients) = (Vec::new(), Vec::new());
        let mut accounts = Vec::new();
        for name in ["ann", "ben"] {
            let grant =
                Credits::new(random.pick(&[50, 100, 150, 200, 300, 300, 400, 600, 2000])).unwrap();
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
            if seed.is_multiple_of(3) {
                lane.tables().instruct(&account.pk, &account.id);
            }
            people.push(Person::new(name, account.pk.clone(), account.id.clone(), &lane.tables()));
            accounts.push(account);
        }
        for index in 0..random.pick(&[2, 2, 3, 4]) {
            let person = if index < 2 { index } else { random.below(2) };
            let session = Session::new(
                &accounts[person],
                Some("a test".into()),
                &clock,
                app.config.session_life,
            );
            app.store.start_session(&session).await.unwrap();
            let token = AccessToken::new(&accounts[person], &session, session.ends)
                .sign(&issuing)
                .await
                .unwrap();
            let refresh = vec![
                RefreshToken::first(&accounts[person], &session).sign(&issuing).await.unwrap(),
            ];
            clients.push(Client {
                person,
                token,
                refresh,
                presented: 0,
                first_presented: BTreeMap::new(),
                taken: 0,
                robbed: false,
                ended: false,
            });
        }
        // Now, so that no schedule reads the keys, whichever ran here before.
        app.keyring.read().await.unwrap();
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
        // A stop that arrives late must find another chat under its key.
        let echoes = if stops { 40 } else { echoes };
        let mut log = String::new();
        let grants: Vec<_> = people
            .iter()
            .map(|person| format!("{} has {}", person.name, person.account.granted))
            .collect();
        let (limit, per_minute, refunds) =
            (app.config.parallel_chats, app.config.chats_per_minute, app.config.refunds_per_minute);
        let _ = writeln!(
            log,
            "{}, {limit} chats may wait, {per_minute} a minute and {refunds} refunds, faults {storm} %{}{}{}",
            grants.join(", "),
            if ancient { ", any delay" } else { "" },
            if stops { ", stops" } else { "" },
            if branches { ", branches" } else { "" }
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
            ai,
            patient,
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

    /// The whole schedule: the storm, the calm after it, and the clients' last requests.
    async fn play(&mut self) -> Checked {
        // A refresh token becomes invalid after three more refreshes, each of which needs the reply
        // to the one before.
        let mut starts = 4 + self.random.below(6) + if self.refreshes > 50 { 4 } else { 0 };
        starts += if self.stops { 6 } else { 0 };
        let mut jumps = 4;
        loop {
            self.settle_down().await?;
            let waiting = self.waiting();
            let running: Vec<_> =
                (0..self.tasks.len()).filter(|task| self.tasks[*task].running.is_some()).collect();
            let held: Vec<_> =
                running.iter().copied().filter(|task| self.tasks[*task].goes_on()).collect();
            let adrift = self.arriving();
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
                    self.jump(by);
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
                _ if !waiting.is_empty() => {
                    let call = self.random.pick(&waiting);
                    self.let_through(call)?;
                }
                _ => {}
            }
        }
        self.calm().await
    }

    /// The waiting calls, ordered by task, and within a task by their contents, since ids are
    /// random and parallel calls are sent in any order.
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

    /// Those of the requests adrift that may still arrive.
    fn arriving(&self) -> Vec<usize> {
        let (now, ancient) = (self.now(), self.ancient);
        let mut wire = self.lane.connection.wire();
        wire.adrift.retain(|packet| ancient || now <= packet.sent + ON_ITS_WAY);
        (0..wire.adrift.len()).collect()
    }

    fn start_something(&mut self) {
        if self.stops {
            return self.start_or_stop_a_chat();
        }
        if self.branches && self.random.percent(60) {
            return self.start_in_a_branch();
        }
        // If most requests are refreshes, one client sends them all: only then refresh tokens soon
        // become invalid.
        let client = if self.refreshes > 50 { 0 } else { self.random.below(self.clients.len()) };
        let what = match self.random.below(100) {
            refresh if refresh < self.refreshes => {
                let known = self.clients[client].refresh.len();
                // The newest, the one before, the one before that, or any.
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
                    // Mostly in the first conversation, so that its deletion meets a running chat.
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
                        // A key belongs to a message and its conversation.
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
                    // With one key, one message is always sent to one conversation.
                    let conversation = conversation
                        .filter(|_| !way.counts() && (key.is_none() || message.contains(" in ")))
                        .map(|(_, id)| id);
                    What::Chat { key, message, way, conversation, after: None }
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
        self.start(client, what);
    }

    /// A client chats under a key, or stops the chat under a key. Half of the words of `k1` are
    /// heard before it is complete, and none of `k2`, which can be sent again after a stop.
    fn start_or_stop_a_chat(&mut self) {
        let (mut client, mut key) =
            (self.random.below(self.clients.len()), self.random.pick(&["k1", "k2", "k2"]));
        let what = match self.random.below(100) {
            0..55 => What::Chat {
                key: Some(key.into()),
                message: if key == "k1" { "!hold k1 hi".into() } else { "!hold k2".into() },
                way: self.random.pick(&[
                    Way::Held,
                    Way::Held,
                    Way::Held,
                    Way::Streamed,
                    Way::Whole,
                ]),
                conversation: None,
                after: None,
            },
            55..95 => {
                let held: Vec<_> = self
                    .tasks
                    .iter()
                    .filter(|task| task.running.is_some())
                    .filter_map(|task| match &task.what {
                        What::Chat { way: Way::Held, message, .. } if message == "!hold k2" => {
                            Some((task.client, "k2"))
                        }
                        What::Chat { way: Way::Held, .. } => Some((task.client, "k1")),
                        _ => None,
                    })
                    .collect();
                if !held.is_empty() && self.random.percent(70) {
                    (client, key) = self.random.pick(&held);
                }
                let person = self.clients[client].person;
                let known = self.keys.get(&(person, key.to_owned()));
                let known_until = known.map_or(0, |known| known.until);
                What::Stop { key: key.into(), known_until }
            }
            _ => What::Sweep,
        };
        self.start(client, what);
    }

    /// A client chats in the first conversation of its person: at its end, at another beginning, or
    /// after any of its chats.
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
            // A key belongs to a message and what it follows.
            Some(key) => format!("{key} after {place}"),
            None => format!("hi {}", self.tasks.len()),
        };
        let way = self.random.pick(&[Way::Whole, Way::Streamed]);
        let conversation = Some(self.conversations[person][0].0.clone());
        self.start(client, What::Chat { key, message, way, conversation, after });
    }

    /// A client that counts its retries sends a call again, or begins one.
    fn call_of(&mut self, client: usize) -> Way {
        let has_called = self.tasks.iter().any(|task| {
            task.client == client && matches!(task.what, What::Chat { way: Way::First, .. })
        });
        if has_called && self.random.percent(70) { Way::Again } else { Way::First }
    }

    /// Starts a request of a client. Returns its number.
    fn start(&mut self, client: usize, what: What) -> usize {
        let id = self.tasks.len();
        let Client { person, token, refresh, .. } = &self.clients[client];
        let whose = self.people[*person].name;
        // What the clients of each person that count their retries ask for.
        let form = if *person == 0 { AnswerForm::Completion } else { AnswerForm::Response };
        let (app, hearing) = (self.app.clone(), Hearing::default());
        let ai = match what {
            What::Chat { way: Way::Held, .. } => &self.patient,
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
            What::Chat { key, message, way, conversation, after } => {
                let request = ask(
                    json!({ "message": message, "conversation_id": conversation, "after": after }),
                    key.as_deref(),
                );
                let place = match (conversation, after) {
                    (None, _) => "",
                    (Some(_), None) => " in a conversation",
                    (Some(_), Some(_)) => " in a branch",
                };
                let words = format!(
                    "client {client} of {whose} chats {message:?} under {}, {way:?}{place}",
                    key.as_deref().unwrap_or("no key")
                );
                match way {
                    Way::Whole => (
                        words,
                        Box::pin(
                            functions::chats::chat::handle(asking, request).map(Outcome::Replied),
                        ),
                    ),
                    way => {
                        let replied = in_pieces(asking, request, *way, form, hearing.clone());
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
            What::Sweep => (
                "the sweep begins".into(),
                Box::pin(functions::background::sweep::work(app).map(Outcome::SweepReport)),
            ),
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
            // Except for the first one, a refresh token that is presented again after ten minutes
            // may be a copy.
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
            started,
            began: Instant::now(),
            after_the_end,
            faults: 0,
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

    /// A function dies. The requests that it has sent are still on their way.
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

    /// Lets the tasks run until each waits for the store.
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

    /// Lets a call through to the store, or its reply through to the function; or not.
    fn let_through(&mut self, id: u64) -> Checked {
        let (packet, reply) = {
            let mut wire = self.lane.connection.wire();
            let call = wire.call(id).unwrap();
            (call.packet.clone(), call.reply.clone())
        };
        self.tasks[packet.task].sends(&packet);
        let faulty = self.random.percent(self.storm);
        let (task, operation) = (packet.task, packet.operation.clone());
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
        }
        self.say(format_args!("{task}: {operation} {words}"));
        if let Some(answer) = fate {
            self.lane.connection.wire().answer(id, answer);
        }
        Ok(())
    }

    /// A fault on the way there: nothing is applied, or not yet.
    fn before_the_store(
        &mut self,
        packet: &Packet,
    ) -> (Option<Result<HttpReply, Broken>>, &'static str) {
        let refused = |status, code: &str| {
            Some(Ok((status, json!({ "__type": code, "message": "a fault" }).to_string())))
        };
        let transaction = packet.operation == "TransactWriteItems";
        let writes = writes(packet);
        match self.random.below(8) {
            0 => (refused(500, "InternalServerError"), "fails before it is applied"),
            1 => (refused(503, "ServiceUnavailable"), "finds the store unavailable"),
            2 => (refused(400, "ThrottlingException"), "is throttled"),
            3 => (refused(400, "ProvisionedThroughputExceededException"), "exceeds the throughput"),
            4 => (Some(Err(Broken::Reset)), "is reset before it is applied"),
            5 | 6 if writes && self.pauses < 3 => {
                // The product retries after a pause. The schedule waits for it: otherwise the order
                // would depend on the machine.
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

    /// A fault on the way back: it was applied.
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
        // The store forgets a transaction's request token after a while.
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
        let is_reserve = packet.operation == "UpdateItem" && packet.body.contains(":reservation");
        if is_reserve && task.owner.is_none() {
            task.owner = text_after(&packet.body, r#""owner":{"S":""#).map(str::to_owned);
        }
        task.sends(packet);
        let reply = self.lane.connection.wire().apply(packet);
        if reply.0 == 400
            && !reply.1.contains("ConditionalCheckFailed")
            && !reply.1.contains("TransactionCanceled")
        {
            return Err(format!("{UNREADABLE} {}: {}", packet.body, reply.1));
        }
        if packet.body.contains("UsersTable") {
            let tables = self.lane.tables();
            let task = &mut self.tasks[packet.task];
            let number =
                |mark: &str| text_after(&packet.body, mark).and_then(|number| number.parse().ok());
            let (reserves_in, releases_in) =
                (number(r##""#minute":""##), number(r##""#refunds":"r"##));
            let releases_in_day =
                packet.body.contains(":units").then(|| number(r##""#day":"d"##)).flatten();
            let stops = packet.body.contains("stopped = :true").then(|| owner_of(&packet.body));
            let writer = Writer {
                owner: task.owner.as_deref(),
                settled_at: task.settled_at,
                reserves_in,
                releases_in,
                releases_in_day,
                stops,
            };
            let limits = Limits {
                chats: i64::from(self.app.config.chats_per_minute),
                refunds: i64::from(self.app.config.refunds_per_minute),
                refunds_a_day: refunds_a_day(&self.app),
                exact: !self.ancient,
            };
            let mut paid = Vec::new();
            for (index, person) in self.people.iter_mut().enumerate() {
                if !packet.body.contains(&person.pk) {
                    continue;
                }
                if reply.0 == 200 && packet.operation != "GetItem" {
                    let chats = person.observe(&tables, &writer, now, PRICE, &limits)?;
                    paid.extend(chats.into_iter().map(|chat_id| (index, chat_id)));
                }
                task.seen.push(person.account.clone());
            }
            for (person, chat_id) in paid {
                self.was_paid(person, &chat_id, packet.task, now)?;
            }
        }
        Ok(reply)
    }

    /// Checks a chat that was paid just now: it is stored, its key pays for no other chat, and no
    /// reply said that it wouldn't be charged.
    fn was_paid(&mut self, person: usize, chat_id: &str, task: usize, now: u64) -> Checked {
        let task = &self.tasks[task];
        let What::Chat { key, message, way, conversation, after } = &task.what else {
            return Err("something other than a chat was paid".into());
        };
        let (tables, id) = (self.lane.tables(), &self.people[person].id);
        let stored = model::chat(&tables, id, chat_id);
        let (asked_in, kept_in) = (
            conversation.as_deref().unwrap_or(chat_id),
            model::conversation_of(&tables, id, chat_id),
        );
        // A chat whose conversation was deleted meanwhile is paid nevertheless, and stored outside
        // of any conversation.
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
            // The end of the main line is not named.
            (Some(_), Some(asked), None) => model::after(&tables, id, asked).is_none(),
            (Some(_), None, Some(follows)) => model::chat(&tables, id, follows).is_some(),
            (Some(_), None, None) => true,
        };
        if !may_follow {
            return Err(format!("a chat after {after:?} is kept after {follows:?}"));
        }
        let end = model::end(&tables, id, chat_id);
        let may_answer = |answer: &str| match message.strip_prefix("!hold ") {
            Some(words) if end != Some("stop") => words.strip_suffix(" hi") == Some(answer),
            Some(words) if words == answer => true,
            _ => answer == format!("You said: {message}"),
        };
        if stored.is_none_or(|(stored, answer, cost, _)| {
            stored != *message || !may_answer(&answer) || cost != PRICE
        }) {
            return Err("a chat was paid that isn't stored as it was asked and answered".into());
        }
        let may_end = match end {
            Some("stopped") => self.people[person].has_stopped(chat_id),
            Some("length") => *way != Way::Held || task.may_time_out(now),
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
            // A request that takes a day doesn't find its key any more.
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
        let until = task.started + 86_400;
        self.keys.insert(
            (person, key.clone()),
            Remembered { chat_id: chat_id.into(), message: message.clone(), until, body: None },
        );
        Ok(())
    }

    /// How many calls the person's clients that count their retries have begun. A retry that is no
    /// longer recognized is a call too.
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

    /// Whether a reply was true.
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
                (error.status().as_u16(), false, error.code(), Value::Null)
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

    /// Each refresh token has one successor, for every client and every retry.
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
                // A run before the last may still be on its way to its client, and so may a replay
                // that began before the last run did.
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
            // A settle of the same key that was on its way for longer than an id stays closed was
            // applied first, and its record is valid.
            (503, _)
                if key
                    .is_some_and(|key| self.keys.contains_key(&(person_index, key.to_owned()))) =>
            {
                Ok(())
            }
            (502, "ai_failed") | (504, "ai_timed_out") if message.starts_with('!') => Ok(()),
            // The credits are still reserved, or the lease left too little time for the AI.
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
            (402, _) if task.seen.iter().any(|account| account.tokens < PRICE) => Ok(()),
            // This is decided before credits are reserved: once the AI was asked, a chat is paid
            // even if its conversation was deleted.
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
                let limit = i64::from(self.app.config.refunds_per_minute);
                let mut moments = (task.started..now).step_by(60).chain([now]);
                let of_day = refunds_a_day(&self.app);
                let closed = moments.any(|at| {
                    task.seen.iter().any(|account| {
                        account.is_closed_by_refunds(at / 60, limit)
                            || account.is_closed_by_refunds_of_its_day(at, of_day)
                    })
                });
                if closed {
                    Ok(())
                } else {
                    Err("429, though not too many chats were refunded".into())
                }
            }
            (429, "too_many_chats_this_minute") => {
                // A call reads the account, and the key of a counted retry, before it reserves
                // credits.
                let moments: Vec<u64> = (task.started..now).step_by(60).chain([now]).collect();
                let in_minute = |account: &Account| {
                    moments.iter().map(|at| account.chats_in_minute_of(*at)).max()
                };
                let begun = task.seen.iter().filter_map(in_minute).max().unwrap_or(0);
                if begun >= i64::from(self.app.config.chats_per_minute) {
                    Ok(())
                } else {
                    Err(format!("429, though only {begun} chats began"))
                }
            }
            (429, _)
                if task.seen.iter().any(|account| {
                    account.held.len() >= usize::try_from(self.app.config.parallel_chats).unwrap()
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

    /// Whether a client that stops the chat under its key was told what becomes of it.
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

    /// The faults stop: after one jump in time and one sweep nothing is reserved, and every client
    /// learns the outcome of its requests.
    async fn calm(&mut self) -> Checked {
        (self.storm, self.echoes) = (0, 0);
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
            // The index may list an account at rest again if the sweep met a hold in it.
            if *due && held.is_empty() {
                return Err(format!(
                    "{}: the account is at rest, and the index due still names it",
                    person.name
                ));
            }
        }
        let person = self.random.below(self.people.len());
        self.find_out(person).await?;
        for person in &self.people {
            person.audit(&tables)?;
        }
        Ok(())
    }

    /// A client retries one of the keys and reads the balance: no outcome stays unknown.
    async fn find_out(&mut self, person: usize) -> Checked {
        let clients: Vec<_> = (0..self.clients.len())
            .filter(|client| self.clients[*client].person == person)
            .collect();
        let client = self.random.pick(&clients);
        let key = self.random.pick(&["k1", "k1", "k2"]);
        let (message, now) = (format!("{key} hi"), self.now());
        let known = self.keys.get(&(person, key.to_owned())).filter(|known| now < known.until);
        let known = known.map(|known| known.message == message);
        let before = self.people[person].account.clone();
        let refunds = i64::from(self.app.config.refunds_per_minute);
        let probe = self
            .finish(
                client,
                What::Chat {
                    key: Some(key.into()),
                    message,
                    way: Way::Whole,
                    conversation: None,
                    after: None,
                },
            )
            .await?;
        let (status, replayed) = self.tasks[probe].told.unwrap();
        let expected = match known {
            _ if status == 401 => return Ok(()),
            Some(true) => (200, true),
            Some(false) => (422, false),
            None if before.tokens < PRICE => (402, false),
            // A minute in which more were refunded than its limit closes minutes after it, too.
            None if before.is_closed_by_refunds(now / 60, refunds) => (429, false),
            None if before.is_closed_by_refunds_of_its_day(now, refunds_a_day(&self.app)) => {
                (429, false)
            }
            None => (200, false),
        };
        if (status, replayed) != expected {
            return Err(format!(
                "after the storm {expected:?} was due for {key}, not {status} {}",
                self.tasks[probe].code
            ));
        }
        let after = &self.people[person].account;
        let unchanged =
            (after.tokens, after.spent, &after.held) == (before.tokens, before.spent, &before.held);
        if unchanged != (expected != (200, false)) {
            return Err(format!(
                "{expected:?} for {key}, and the account went from {before:?} to {after:?}"
            ));
        }
        self.finish(client, What::Balance).await.map(drop)
    }

    /// Starts a request and lets all its calls through.
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

/// Runs a streamed or counted chat as its endpoint does, but in the task of its request, so that
/// the schedule decides when it continues.
async fn in_pieces(
    app: AiApp,
    req: Request,
    way: Way,
    form: AnswerForm,
    hearing: Hearing,
) -> Reply {
    let (caller, mut asked) = charge::read(&app, &req).await?;
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
            // The rest of an answer that the schedule completes isn't heard.
            let is_completed = way == Way::Held && !chat.stopped;
            if heard == chat.response || is_completed && chat.response.starts_with(&heard) {
                http::ok(&PaidChat::of(&chat))
            } else {
                Err(Error::Internal(format!("{heard:?} was heard")))
            }
        }
    }
}

/// Deletes a conversation as its endpoint does.
async fn delete(app: App, req: Request, conversation: String) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    app.store.delete_conversation(&caller, &conversation, app.clock.seconds()).await?;
    http::accepted(&Value::Null)
}

fn writes(packet: &Packet) -> bool {
    !matches!(packet.operation.as_str(), "GetItem" | "BatchGetItem" | "Query" | "Scan")
}

/// The id of the chat of a release or settle. Empty for other writes.
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

/// Runs seeds on two threads with several lanes each, so that a lane that pauses blocks no other.
/// Stops at the first failure.
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

/// The seeds that the environment names.
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

/// Conditions without which the books would be wrong or a reply untrue.
const SABOTAGES: [(&str, Sabotage); 16] = [
    ("UpdateItem that stops a chat", Sabotage::Sends(stops_any_chat)),
    without!("UpdateItem", " OR minutes.#r0 < :r0" => " OR minutes.#r0 < :r0 OR attribute_exists(pk)"),
    without!("TransactWriteItems", " AND attribute_not_exists(deleted)" => ""),
    without!("UpdateItem", "came < :came" => "attribute_exists(pk)"),
    without!("UpdateItem", "expires_at <= :now OR #key" => "(expires_at <= :now OR attribute_exists(pk)) OR #key"),
    without!("UpdateItem", " AND attribute_not_exists(reservations.#rid)" => ""),
    without!("UpdateItem", " AND tokens >= :cost" => ""),
    without!("UpdateItem", " AND attribute_not_exists(closed.#rid)" => ""),
    without!("UpdateItem", " AND attribute_not_exists(revoked.#session)" => " AND #session <> :id"),
    without!("UpdateItem", " OR minutes.#minute < :per_minute" => " OR minutes.#minute < :per_minute OR attribute_exists(pk)"),
    without!("UpdateItem", "reservations.#rid.#owner = :owner" => "(reservations.#rid.#owner = :owner OR attribute_exists(reservations.#rid))"),
    without!("UpdateItem", " AND size(reservations) = :none" => " AND size(reservations) >= :none"),
    without!("UpdateItem", " AND generation = :presented" => " AND (generation = :presented OR attribute_exists(pk))"),
    without!("UpdateItem", " AND generation = :before" => " AND (generation = :before OR attribute_exists(pk))"),
    without!("TransactWriteItems", "reservations.#rid.#owner = :owner" => "(reservations.#rid.#owner = :owner OR attribute_exists(pk))"),
    without!("TransactWriteItems", "reservations.#rid.expires_at > :now" => "(reservations.#rid.expires_at > :now OR attribute_exists(pk))"),
];

/// Has a stop that arrives late end a later chat under the same key.
fn stops_any_chat(_: &str, body: &mut String) {
    if body.contains("stopped = :true") {
        *body = body.replace(
            "reservations.#rid.#owner = :owner",
            "(reservations.#rid.#owner = :owner OR attribute_exists(reservations.#rid))",
        );
    }
}

#[test]
fn a_store_that_forgets_a_condition_is_found_out() {
    let unnoticed: Vec<_> =
        SABOTAGES.into_iter().filter(|(condition, by)| !is_noticed(condition, *by)).collect();
    assert!(unnoticed.is_empty(), "no schedule misses {unnoticed:#?}");
}

#[test]
fn each_mistake_in_the_protocol_is_found_out() {
    let mut unnoticed = Mistake::ALL.to_vec();
    unnoticed.retain(|mistake| !is_noticed(&format!("{mistake:?}"), mistake.sabotage()));
    assert!(unnoticed.is_empty(), "no schedule finds {unnoticed:?}");
}

/// Whether a schedule finds it in the store under test. A seed makes the same schedule in each store,
/// so the embedded one, which is the fastest, is asked which. A schedule in which the store can't
/// read a rewritten call doesn't count.
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
        // Independent of the seeds that ran before it.
        for seed in (0..100).rev() {
            assert_eq!(run(&other, seed).await.unwrap(), schedules.pop().unwrap(), "seed {seed}");
        }
    });
}

#[test]
fn whatever_the_order_of_requests_faults_and_crashes_the_books_are_right_and_every_reply_is_true() {
    let begun = Instant::now();
    match run_all(seeds(), None, Kind::UnderTest) {
        Ok(ran) => println!("{ran} schedules in {:?}", begun.elapsed()),
        Err(failure) => panic!("{failure}"),
    }
}
