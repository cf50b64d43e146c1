//! The start of a schedule: its features, the draws that decide how clients behave, its accounts
//! and their clients.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use shared::clock::{Clock, Day, rfc3339};
use shared::config::Config;
use shared::store::NewAccount;
use shared::values::api_key::KeyName;
use shared::values::{
    self, AccessToken, Allowances, ApiKey, KeyLimit, LimitPeriod, RefreshToken, Restrictions, Role,
    Session, StoredApiKey, Username,
};
use shared::{App, Credits};

use super::lane::Lane;
use super::model::Person;
use super::prices::{BY_USAGE, Chosen, Instance, LISTS, MODELS, USED};
use super::{Client, PRICE, Schedule};
use crate::support::random::Random;

/// The first day on which a schedule may start. The day is far in the future, because DynamoDB
/// Local deletes items that have expired according to the machine's clock.
const FIRST_START: &str = "2050-01-01";

/// The users, whose usernames also contain the seed.
const NAMES: [&str; 2] = ["ann", "ben"];

/// The allowances of schedules with limits and grants.
const ALLOWANCES: [&str; 4] = ["none", "150/day", "300/day", "250/week"];

/// The messages of clients whose retries are recognized without an idempotency key.
const CALLS: [&str; 4] = ["hi again", "hi again", "hi again", "!think Hm. hi again"];

const NO_LIMIT: KeyLimit = KeyLimit { tokens: Credits::ZERO, per: LimitPeriod::Total };

/// The features that a schedule uses. Its seed decides which.
#[derive(Clone, Copy)]
pub struct Features {
    /// True if an administrator sets price lists, clients choose models, and users buy credits.
    pub listed: bool,
    /// True if users have few credits, chats are charged by usage, and most reserves are lost. In
    /// such a schedule, many chats reserve credits twice or are refused, and copies of their
    /// reserves arrive late.
    pub poor: bool,
    /// True if most settles arrive late, so that their leases expire first.
    pub slow_settles: bool,
    /// True if programs have API keys with limits, users get allowances, and sources grant credits.
    pub till: bool,
    /// True if clients chat with idempotency keys and stop the chats. In schedules with stops, most
    /// answers don't end until they are stopped.
    pub stops: bool,
    /// True if most chats follow an arbitrary chat in a conversation.
    pub branches: bool,
    /// True if one client requests the same embeddings again and again.
    pub repeats: bool,
    /// True if all accounts have instructions for the AI.
    instructed: bool,
}

impl Features {
    fn of(seed: u64) -> Self {
        let (stops, slow_settles) = (seed % 8 == 7, seed % 12 == 1);
        Self {
            listed: seed % 3 == 1,
            poor: slow_settles || seed % 12 == 10,
            slow_settles,
            // Schedules with stops must not spend steps on grants.
            till: seed % 3 == 2 && !stops,
            stops,
            branches: seed % 16 == 3,
            repeats: seed % 16 == 5,
            instructed: seed.is_multiple_of(3),
        }
    }

    /// Returns the settings of the schedule's functions.
    fn config(self, usual: &Config, random: &mut Random) -> Config {
        let mut config = usual.clone();
        config.parallel_chats = random.pick(&[1, 2, 3, 64]);
        config.chats_per_minute = random.pick(&[1, 2, 4, 300, 300]);
        config.refunds_per_minute = random.pick(&[2, 2, 3, 20, 20]);
        if self.till {
            config.allowances = Allowances::parse(random.pick(&ALLOWANCES)).unwrap();
        }
        if self.poor || self.repeats {
            (config.parallel_chats, config.chats_per_minute) = (64, 300);
        }
        if self.repeats {
            config.refunds_per_minute = 20;
        }
        // If the limit on refunds per minute is low, the free work is also low, so that some
        // schedules use it up.
        let messages = u64::from(config.refunds_per_minute / 2);
        config.free_work = Credits::new(messages * PRICE.unsigned_abs()).unwrap();
        config
    }

    /// Returns the credits that a new account may get.
    fn grants(self) -> [u64; 9] {
        match (self.listed, self.poor) {
            (false, _) if self.till => [0, 0, 50, 100, 150, 200, 300, 400, 600],
            (false, _) => [50, 100, 150, 200, 300, 300, 400, 600, 2000],
            (true, false) => [20, 40, 60, 90, 120, 150, 250, 500, 2000],
            (true, true) => [20, 30, 40, 60, 70, 80, 90, 100, 110],
        }
    }

    /// Returns the limit of each user's API keys.
    fn key_limits(self, random: &mut Random) -> [KeyLimit; 2] {
        let mut limit = || KeyLimit {
            tokens: Credits::new(random.pick(&[50, 100, 200, 250, 600])).unwrap(),
            per: random.pick(&[LimitPeriod::Month, LimitPeriod::Total]),
        };
        if self.till { [limit(), limit()] } else { [NO_LIMIT; 2] }
    }

    /// Returns the model for each idempotency key, and the model for all calls from clients that
    /// count their retries.
    fn chosen(self, random: &mut Random) -> [Chosen; 3] {
        let none: [Chosen; 3] = [(None, ""); 3];
        if !self.listed {
            return none;
        }
        let models = if self.poor { BY_USAGE } else { &MODELS };
        none.map(|_| (random.pick(models), random.pick(&USED)))
    }
}

/// How often things happen in a schedule, and how its clients behave.
pub struct Options {
    /// The percentage of calls that get a fault.
    pub storm: usize,
    /// True if requests may arrive after any delay. With such late requests, the test checks the
    /// balances and the ledger, but not the replies.
    pub ancient: bool,
    /// The percentage of writes that arrive twice.
    pub echoes: usize,
    /// The percentage of requests that are refreshes.
    pub refreshes: usize,
    /// True if all clients chat with the same idempotency key.
    pub one_key: bool,
    /// The percentage of chats that fail at the AI.
    pub failures: usize,
    /// True if clients chat in each person's conversations, and delete them.
    pub talks: bool,
    /// True if all clients send no idempotency key, and most of them count their retries.
    pub all_count: bool,
    /// The message of all clients whose retries are recognized without an idempotency key.
    pub call: &'static str,
    /// The percentage of chats that are requests for embeddings instead.
    pub embeddings: usize,
    /// The percentage of reserves that get a fault, if there are price lists.
    pub lost_reserves: usize,
}

impl Options {
    fn draw(features: Features, random: &mut Random) -> Self {
        let Features { listed, poor, stops, slow_settles, repeats, .. } = features;
        let storm = random.pick(&[0, 5, 10, 20, 35]);
        let embeddings = match (poor, repeats) {
            (true, _) => 0,
            (_, true) => 90,
            _ => random.pick(&[0, 0, 0, 0, 10, 10, 10, 80]),
        };
        let drawn = Self {
            storm,
            ancient: random.percent(20),
            echoes: random.pick(&[0, storm / 2, storm / 2, 40]),
            refreshes: random.pick(&[10, 10, 10, 10, 10, 60]),
            // Only requests with the same idempotency key are repetitions.
            one_key: random.percent(20) || embeddings > 50,
            failures: random.pick(&[4, 4, 4, 4, 80]),
            talks: random.percent(20),
            all_count: random.percent(10),
            call: random.pick(&CALLS),
            embeddings,
            lost_reserves: match listed {
                true if poor => 60,
                true => random.pick(&[0, 30, 60]),
                false => 0,
            },
        };
        if poor {
            let ancient = slow_settles;
            let (storm, echoes, refreshes, failures, all_count) = (5, 5, 0, 0, false);
            return Self { storm, echoes, refreshes, failures, all_count, ancient, ..drawn };
        }
        if repeats {
            return Self { refreshes: 0, failures: 0, all_count: false, ..drawn };
        }
        // In schedules with stops, many writes arrive twice, so that a late stop may find another
        // chat with the same idempotency key.
        let echoes = if stops { 40 } else { drawn.echoes };
        Self { echoes, ..drawn }
    }
}

/// Returns the minute in which a seed's schedule starts, in seconds since 1970. A quarter of the
/// schedules start shortly before midnight, and some of these at the end of a week or a month.
pub(super) fn first_minute(seed: u64) -> u64 {
    // A separate generator decides this, so that the other draws stay the same.
    let mut random = Random(!seed);
    let day = Day::parse(FIRST_START).unwrap().after(random.next() % 366);
    let minute = match random.percent(25) {
        true => 1435 + random.next() % 5,
        false => random.next() % 1440,
    };
    day.begins() / 1000 + 60 * minute
}

impl<'l> Schedule<'l> {
    /// Sets up the schedule that is determined by a seed.
    pub(super) async fn new(lane: &'l Lane, seed: u64) -> Self {
        let (mut random, features) = (Random(seed), Features::of(seed));
        // The clock starts at a second that is determined by the seed, and then stands still, so
        // that neither the machine's clock nor its speed can influence the schedule.
        let clock = Clock::standing((first_minute(seed) + random.next() % 60) * 1000);
        let config = Arc::new(features.config(&lane.app.config, &mut random));
        let ai = random.pick(&[lane.ai.clone(), lane.failing_over.clone()]);
        let app = App { config, clock: clock.clone(), ..lane.app.clone() };
        let accounts = register(lane, &app, features, seed, &mut random).await;
        let limits = features.key_limits(&mut random);
        let clients = log_in(lane, &app, features, &accounts, limits, &mut random).await;
        let people = people(lane, &app, &accounts, limits);
        // Reads the public keys before the schedules, because otherwise only the first schedule in
        // each lane would read them.
        app.keyring.read().await.unwrap();
        let instances = start_instances(&app, features, &mut random).await;
        let chosen = features.chosen(&mut random);
        let app = instances[0].app.clone();
        let options = Options::draw(features, &mut random);
        let conversations = people
            .iter()
            .map(|person| lane.tables().begin_conversation(&person.id))
            .map(|id| vec![(id, false)])
            .collect();
        Self {
            log: headline(clock.millis(), &people, &app.config, features, &options, limits),
            lane,
            random,
            clock,
            app,
            instances,
            ai,
            patient: lane.patient.clone(),
            features,
            options,
            chosen,
            accounts,
            clients,
            tasks: Vec::new(),
            keys: HashMap::new(),
            vectors: HashMap::new(),
            conversations,
            messages: vec![Vec::new(); people.len()],
            calls_paid: vec![0; people.len()],
            people,
            pauses: 0,
            violation: None,
        }
    }
}

/// Creates the users' accounts.
async fn register(
    lane: &Lane,
    app: &App,
    features: Features,
    seed: u64,
    random: &mut Random,
) -> Vec<values::Account> {
    let mut accounts = Vec::new();
    for name in NAMES {
        let new = NewAccount {
            name: Username::parse(&format!("{name}-{seed}")).unwrap(),
            email: None,
            password: "a hash".into(),
            key: None,
            role: Role::User,
            grant: Credits::new(random.pick(&features.grants())).unwrap(),
            reason: "registration",
        };
        let account = new.open(&app.clock);
        app.store.register(&new, &account, None, None).await.unwrap();
        if features.instructed || features.listed && random.percent(30) {
            lane.tables().instruct(&account.pk, &account.id);
        }
        accounts.push(account);
    }
    accounts
}

/// Logs the users' devices in.
async fn log_in(
    lane: &Lane,
    app: &App,
    features: Features,
    accounts: &[values::Account],
    limits: [KeyLimit; 2],
    random: &mut Random,
) -> Vec<Client> {
    let issuing = lane.issuing(app.clone());
    let mut clients = Vec::new();
    for index in 0..random.pick(&[2, 2, 3, 4]) {
        let person = if index < 2 { index } else { random.below(2) };
        let account = &accounts[person];
        let session =
            Session::new(account, Some("a test".into()), &app.clock, app.config.session_life);
        app.store.start_session(&session).await.unwrap();
        let access = AccessToken::new(account, &session, session.ends);
        let limit = (features.till && random.percent(70)).then_some(limits[person]);
        let equal_bodies = random.percent(20);
        let key = match limit.is_some() || equal_bodies {
            true => Some(api_key(app, &access, limit, equal_bodies).await),
            false => None,
        };
        let token = access.sign(&issuing).await.unwrap();
        let refresh = RefreshToken::first(account, &session).sign(&issuing).await.unwrap();
        clients.push(Client {
            person,
            token,
            key,
            refresh: vec![refresh],
            presented: 0,
            first_presented: BTreeMap::new(),
            taken: 0,
            robbed: false,
            ended: false,
        });
    }
    clients
}

/// Returns the users with their accounts, as they are stored.
fn people(
    lane: &Lane,
    app: &App,
    accounts: &[values::Account],
    limits: [KeyLimit; 2],
) -> Vec<Person> {
    let allowance = app.config.allowances.users;
    let filled_to = allowance.map_or(0, |allowance| allowance.tokens.signed());
    let mut people = Vec::new();
    for ((name, account), limit) in NAMES.into_iter().zip(accounts).zip(limits) {
        let (limit, tables) = (limit.tokens.signed(), lane.tables());
        people.push(Person::new(name, account, limit, filled_to, &tables));
    }
    people
}

/// Sets the first price list, and starts the function instances. There are several if there are
/// price lists, because each instance keeps its own copy of the list.
async fn start_instances(app: &App, features: Features, random: &mut Random) -> Vec<Instance> {
    if !features.listed {
        // With this clock the list never becomes outdated, so no schedule reads it again.
        return vec![Instance::start(app, &Clock::standing(app.clock.millis())).await];
    }
    let first = random.pick(&[Some(0), Some(0), Some(1), Some(2), None]);
    let first = if features.poor { Some(random.below(2)) } else { first };
    if let Some(list) = first {
        app.store.set_list(None, Some(&LISTS[list]), None, &app.clock).await.unwrap();
    }
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(Instance::start(app, &app.clock).await);
    }
    instances
}

/// Returns the first line of a schedule's log.
fn headline(
    start: u64,
    people: &[Person],
    config: &Config,
    features: Features,
    options: &Options,
    limits: [KeyLimit; 2],
) -> String {
    let grants =
        people.iter().map(|person| format!("{} has {}", person.name, person.account.granted));
    let grants: Vec<_> = grants.collect();
    let (limit, per_minute, refunds) =
        (config.parallel_chats, config.chats_per_minute, config.refunds_per_minute);
    let mut line = format!(
        "{}: {}, {limit} chats may wait, {per_minute} a minute and {refunds} refunds, faults {} %",
        rfc3339(start),
        grants.join(", "),
        options.storm
    );
    for (is_so, words) in [
        (options.ancient, ", any delay"),
        (options.embeddings > 50, ", embeddings"),
        (features.stops, ", stops"),
        (features.branches, ", branches"),
        (features.repeats, ", repetitions"),
        (features.listed, ", price lists"),
        (features.poor, ", poor users"),
        (features.slow_settles, ", slow settles"),
    ] {
        line += if is_so { words } else { "" };
    }
    if features.till {
        let _ = write!(line, ", limits of {limits:?} and {:?}", config.allowances);
    }
    line + "\n"
}

/// Creates an API key. If `equal_bodies` is true, equal requests with the key count as retries. The
/// key's last use isn't recorded, so a chat with the key makes the same calls every day.
async fn api_key(
    app: &App,
    caller: &AccessToken,
    limit: Option<KeyLimit>,
    equal_bodies: bool,
) -> StoredApiKey {
    let key = ApiKey::random(app.clock.id()).unwrap();
    let name = KeyName::parse("a program").unwrap();
    let limits = Restrictions::new(None, None, limit);
    let mut stored = StoredApiKey::new(&key, caller, &name, limits, app.clock.millis());
    (stored.used, stored.equal_bodies) = (Some(u64::MAX), equal_bodies);
    app.store.create_api_key(caller, &stored).await.unwrap();
    stored
}
