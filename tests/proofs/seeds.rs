//! Runs random schedules. Clients chat, request embeddings, stop answers, refresh tokens and read
//! data; functions die; the store fails; and time jumps forward. A seed decides the order. The test
//! checks the balances and the ledger after every write, and checks that every reply is true.
//!
//! `SEED=17` runs one seed and prints its schedule. `SEEDS=0..1000000` runs a range. With
//! `--nocapture` a run prints how long it took.
//!
//! A schedule takes one [step](steps) after another: it starts an [action](task), lets a call
//! through, or injects a [fault](faults). After each write, the [model] compares the accounts with
//! the steps that the protocol allows, and [`writes`] checks the chats that were paid for.
//! [`replies`] checks the replies that clients get.

mod account;
mod faults;
mod lane;
mod model;
mod overtaken;
mod prices;
mod replies;
mod requests;
mod setup;
mod steps;
mod stored_chat;
mod tables;
mod task;
mod wire;
mod writes;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Display, Write};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use serde_json::Value;
use shared::App;
use shared::ai::Ai;
use shared::clock::{Clock, Day};
use shared::values::{self, StoredApiKey};

use lane::Lane;
use model::Person;
use prices::{Chosen, Instance};
use setup::{Features, Options, first_minute};
use tables::Kind;
use task::Task;

use crate::support::mistakes::{
    FreeWorkMistake, Mistake, PricingMistake, Sabotage, TillMistake, UnderheldMistake,
};
use crate::support::random::Random;
use crate::support::recorded::{assert_recorded, recorded};

/// How many schedules a run tries. With DynamoDB Local, a run tries only a fifth of these
/// schedules. The nightly workflow runs the schedules from this number to [`MOST_SCHEDULES`].
const SCHEDULES: u64 = 2500;

/// The number of schedules that are tried for a mistake that its recorded seed doesn't notice.
const MOST_SCHEDULES: u64 = 10_000;

/// A chat's lease in seconds: 29 for an invocation without a deadline, plus 30.
const LEASE: u64 = 59;

const PRICE: i64 = 100;

/// The prefix of a violation's message if the store can't read a call.
const UNREADABLE: &str = "the store can't make sense of";

/// A user's device, with its session.
struct Client {
    person: usize,
    /// The long-lived access token.
    token: String,
    /// The API key that the client's programs use for chats and embeddings. `None` if they use the
    /// access token.
    key: Option<StoredApiKey>,
    /// The refresh tokens that the device received, by generation.
    refresh: Vec<String>,
    /// The highest generation that the device has presented.
    presented: usize,
    /// When the device first presented each generation, in seconds.
    first_presented: BTreeMap<usize, u64>,
    /// The highest generation for which the device received a successor.
    taken: usize,
    /// True if the device may have presented an invalid refresh token.
    robbed: bool,
    /// True if a reply said that the session had ended.
    ended: bool,
}

/// A paid chat with an idempotency key, its reply (once a client has received it), and the time
/// until which the key is remembered, in seconds. Embeddings have no reply here.
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
    features: Features,
    options: Options,
    /// The model for each idempotency key, and the model for all calls whose retries are recognized
    /// without a key.
    chosen: [Chosen; 3],
    accounts: Vec<values::Account>,
    people: Vec<Person>,
    clients: Vec<Client>,
    tasks: Vec<Task>,
    /// The chat for each idempotency key, by person and key.
    keys: HashMap<(usize, String), Remembered>,
    /// The first reply with the embeddings of each text.
    vectors: HashMap<String, Value>,
    /// The conversations that each person knows. True means that a client has begun to delete the
    /// conversation.
    conversations: Vec<Vec<(String, bool)>>,
    /// The ids of the answered chats in each person's first conversation.
    messages: Vec<Vec<String>>,
    /// For each person, how many chats from clients that count their retries were paid.
    calls_paid: Vec<usize>,
    /// How many pauses before retries the faults have caused.
    pauses: u32,
    log: String,
    violation: Option<String>,
}

impl Schedule<'_> {
    fn say(&mut self, what: fmt::Arguments<'_>) {
        let _ = writeln!(self.log, "  {what}");
    }

    fn now(&self) -> u64 {
        self.clock.seconds()
    }
}

/// A violation, and the steps that led to it.
#[derive(Debug)]
struct Failure {
    seed: u64,
    log: String,
    violation: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, log, violation } = self;
        write!(f, "\nSEED={seed} violates a rule:\n{log}\n=> {violation}\n")
    }
}

type Checked<T = ()> = Result<T, String>;

/// Returns `violation` if the rule doesn't hold.
fn ensure(holds: bool, violation: &str) -> Checked {
    if holds { Ok(()) } else { Err(violation.to_owned()) }
}

/// Returns a panic's message.
fn message(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = literal.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

/// Runs a random schedule.
async fn run(lane: &Lane, seed: u64) -> Result<String, Failure> {
    run_as(lane, seed, async |schedule| schedule.play().await).await
}

/// Runs a schedule that `play` plays. The seed determines its users, settings and prices.
async fn run_as(
    lane: &Lane,
    seed: u64,
    play: impl AsyncFnOnce(&mut Schedule<'_>) -> Checked,
) -> Result<String, Failure> {
    let mut schedule = Schedule::new(lane, seed).await;
    // Turns tokio's budget off. With tokio's budget, a task would sometimes yield although the
    // schedule hasn't decided that it should.
    let ran =
        tokio::task::unconstrained(AssertUnwindSafe(play(&mut schedule)).catch_unwind()).await;
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
    if schedule.features.listed {
        lane.tables().remove_price_list();
    }
    match verdict {
        Ok(()) => Ok(schedule.log),
        Err(violation) => Err(Failure { seed, log: schedule.log, violation }),
    }
}

/// Runs a schedule that `play` plays in the store under test, and no other.
fn run_alone(
    sabotage: Option<Sabotage>,
    seed: u64,
    play: impl AsyncFnOnce(&mut Schedule<'_>) -> Checked,
) -> Result<String, Failure> {
    let _quiet = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lane = Lane::open(Kind::UnderTest, sabotage).await;
        run_as(&lane, seed, play).await
    })
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

/// Sabotages, each of which drops one condition of a write. Without any one of these conditions, a
/// balance could be wrong, or a reply could be untrue.
const SABOTAGES: [(&str, Sabotage); 22] = [
    ("UpdateItem that stops a chat", Sabotage::Sends(stops_any_chat)),
    without!("UpdateItem", " OR minutes.#r0 < :r0" => " OR minutes.#r0 < :r0 OR attribute_exists(pk)"),
    without!("TransactWriteItems", " AND attribute_not_exists(deleted)" => ""),
    without!("UpdateItem", "came < :came" => "attribute_exists(pk)"),
    without!("UpdateItem", "size(repeats) < :most" => "(size(repeats) < :most OR attribute_exists(pk))"),
    without!("UpdateItem", " OR contains(repeats, :id)" => " OR (contains(repeats, :id) AND attribute_not_exists(pk))"),
    without!("UpdateItem", "expires_at <= :expired OR #key" => "(expires_at <= :expired OR attribute_exists(pk)) OR #key"),
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

/// A settle must find a hold with its own amount. A random schedule seldom notices that this
/// condition is missing, so a schedule without chance does.
#[test]
fn a_settle_of_a_replaced_hold_is_refused() {
    let (condition, sabotage) = without!("TransactWriteItems", "reservations.#rid.#cost = :held" => "(reservations.#rid.#cost = :held OR attribute_exists(pk))");
    let played = |sabotage| {
        run_alone(sabotage, overtaken::SEED, async |schedule| schedule.play_overtaken().await)
    };
    played(None).unwrap_or_else(|failure| panic!("{failure}"));
    let Err(Failure { violation, .. }) = played(Some(sabotage)) else {
        panic!("the schedule doesn't notice {condition}");
    };
    assert!(violation.contains("granted is not tokens + reservations + spent"), "{violation}");
}

/// For each mistake, the seed of a schedule that notices it. Thousands of schedules may pass before
/// one notices a mistake, so a run tries the recorded seed first.
const NOTICED: &str = "tests/recorded/noticed.tsv";

/// The sabotages that drop a condition, and those that imitate a mistake, by name.
fn mistakes() -> Vec<(String, Sabotage)> {
    fn named<M: Copy + Debug>(all: &[M], sabotage: fn(M) -> Sabotage) -> Vec<(String, Sabotage)> {
        all.iter().map(|mistake| (format!("{mistake:?}"), sabotage(*mistake))).collect()
    }
    let conditions = SABOTAGES.map(|(condition, sabotage)| (condition.to_owned(), sabotage));
    [
        conditions.to_vec(),
        named(&Mistake::ALL, Mistake::sabotage),
        named(&PricingMistake::ALL, PricingMistake::sabotage),
        named(&TillMistake::ALL, TillMistake::sabotage),
        named(&FreeWorkMistake::ALL, FreeWorkMistake::sabotage),
        named(&UnderheldMistake::ALL, UnderheldMistake::sabotage),
    ]
    .concat()
}

#[test]
fn every_mistake_is_noticed() {
    let recorded = recorded(NOTICED);
    let recorded: HashMap<&str, u64> = recorded
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(mistake, seed)| (mistake, seed.parse().unwrap()))
        .collect();
    let mut noticed = String::new();
    for (mistake, sabotage) in mistakes() {
        let known = recorded.get(mistake.as_str()).copied();
        let seed = known.filter(|seed| is_noticed(*seed, sabotage)).or_else(|| {
            println!("searching for a schedule that notices {mistake}");
            // A seed produces the same schedule in each store. The embedded one is the fastest.
            let found = run_all(0..MOST_SCHEDULES, Some(sabotage), Kind::Embedded);
            found.err().map(|failure| failure.seed).filter(|seed| is_noticed(*seed, sabotage))
        });
        let seed = seed.unwrap_or_else(|| panic!("no schedule notices {mistake}"));
        writeln!(noticed, "{mistake}\t{seed}").unwrap();
    }
    assert_recorded(NOTICED, &noticed);
}

/// Returns true if the schedule of this seed notices the sabotage in the store under test. A
/// schedule doesn't count if the store can't read a rewritten call. Panics if the schedule also fails
/// without the sabotage.
fn is_noticed(seed: u64, sabotage: Sabotage) -> bool {
    let played = |sabotage| run_alone(sabotage, seed, async |schedule| schedule.play().await);
    played(None).unwrap_or_else(|failure| panic!("{failure}"));
    match played(Some(sabotage)) {
        Ok(_) => false,
        Err(Failure { violation, .. }) => !violation.starts_with(UNREADABLE),
    }
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
fn some_schedules_pass_the_end_of_a_day_a_week_or_a_month() {
    // Schedules that start in the last five minutes of a day run into the next day.
    let passed: Vec<Day> = (0..SCHEDULES)
        .map(first_minute)
        .map(|start| (start, Day::from_millis(start * 1000)))
        .filter(|(start, day)| day.after(1).begins() / 1000 - start <= 300)
        .map(|(_, day)| day)
        .collect();
    assert!(!passed.is_empty(), "no schedule passes the end of a day");
    let ends_week = |day: &Day| day.monday() != day.after(1).monday();
    assert!(passed.iter().any(ends_week), "no schedule passes the end of a week");
    let ends_month = |day: &Day| day.month() != day.after(1).month();
    assert!(passed.iter().any(ends_month), "no schedule passes the end of a month");
}

#[test]
fn books_and_replies_are_right_in_every_schedule() {
    let begun = Instant::now();
    match run_all(seeds(), None, Kind::UnderTest) {
        Ok(ran) => println!("{ran} schedules in {:?}", begun.elapsed()),
        Err(failure) => panic!("{failure}"),
    }
}
