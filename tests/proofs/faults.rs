//! Injects every fault at every call to the store. Checks the product's rules after the request,
//! after the client's retry, after the lease has expired, after the sweep, and after late copies of
//! old writes have arrived.
//!
//! A run has one server and one wire in front of its store. Each case has its own user and function
//! instance, so that cases can run in parallel.

mod adjustments;
mod administration;
mod branches;
mod chats;
mod conversations;
mod creations;
mod deletions;
mod embeddings;
mod files;
mod folders;
mod interventions;
mod keys;
mod log_outs;
mod logins;
mod orders;
mod prices;
mod refreshes;
mod registrations;
mod shares;
mod sweeps;
mod titles;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo::{Data, Dynamo};
use functions::{Function, ROUTES};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Value;
use shared::http::Route;
use shared::{App, Error};
use tokio::sync::Mutex;

use self::chats::Paying;
use self::refreshes::Refreshing;
use crate::support::client::{GRANT, Person};
use crate::support::document;
use crate::support::function::{Reply, ask};
use crate::support::mistakes::Mistake;
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan, Proxy};
use crate::support::rig::{FEWER_AT_ONCE, Rig, at_once};
use crate::support::world::World;

/// How many cases run at a time in the embedded store.
const AT_A_TIME: usize = 96;

/// How late a timer may be if the machine keeps up with the running cases.
const LATE: Duration = Duration::from_millis(20);

/// How long a call to the emulator in `TEST_DYNAMODB` may take while the emulator keeps up.
const SLOW: Duration = Duration::from_millis(100);

/// How long a case waits for a slow emulator before it starts anyway.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a measurement of the emulator's speed is valid.
const BELIEVED: Duration = Duration::from_millis(10);

/// Starts cases one after the other, and only while the machine keeps up. The tested functions wait
/// one and a half seconds for each call to the store, and on a busy machine a call may take longer
/// without any fault.
async fn keeping_up() {
    static KEPT_UP: Mutex<Option<Instant>> = Mutex::const_new(None);
    let mut kept_up = KEPT_UP.lock().await;
    let waiting = Instant::now();
    while kept_up.is_none_or(|at| at.elapsed() > BELIEVED) {
        let tick = Duration::from_millis(1);
        let began = Instant::now();
        tokio::time::sleep(tick).await;
        let punctual = began.elapsed() < tick + LATE;
        let answers = punctual && emulator_keeps_up().await;
        let is_given_up = punctual && waiting.elapsed() > PATIENCE;
        *kept_up = (answers || is_given_up).then(Instant::now);
    }
}

/// Returns true if the emulator in `TEST_DYNAMODB` answers quickly, or if the variable isn't set.
async fn emulator_keeps_up() -> bool {
    static EMULATOR: LazyLock<Option<Client>> = LazyLock::new(|| {
        std::env::var("TEST_DYNAMODB").ok().map(|emulator| emulator::dynamo::client(&emulator))
    });
    let Some(emulator) = &*EMULATOR else { return true };
    let began = Instant::now();
    // This connection is always new, because a connection from an earlier test can't be used again.
    let answer = emulator.list_tables().send().await;
    answer.is_ok() && began.elapsed() < SLOW
}

/// How many cases run at a time.
fn at_a_time() -> usize {
    at_once(AT_A_TIME)
}

/// A test run uses every fifth plan. With `FAULTS=whole`, `.ci/nightly` runs all plans. Neither the
/// number of strikes per fault nor the number of plans per call is a multiple of five, so every
/// fault, strike and call is covered in each run.
const SAMPLE: usize = 5;

/// Returns `n` if the tests run every `n`-th plan.
fn one_in() -> usize {
    match std::env::var("FAULTS").as_deref() {
        Ok("whole") => 1,
        Ok(other) => panic!("FAULTS is {other}, and must be `whole` if it is set"),
        Err(_) => SAMPLE,
    }
}

const ALL_STRIKES: [FaultRepeat; 3] =
    [FaultRepeat::Once, FaultRepeat::EachAttempt, FaultRepeat::FromThenOn];

/// A request, or scheduled work, that the tests run under faults.
trait Scenario: Copy + Debug {
    type Reply: Debug;
    /// Data that only this scenario's cases need, such as an idempotency key or a separate store.
    type Own;

    /// Sets up a case that hasn't sent a request yet.
    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self>;

    async fn ask(case: &Case<Self>) -> Self::Reply;

    /// Returns true if `reply` is the reply that the client gets when there is no fault.
    fn is_usual(self, reply: &Self::Reply) -> bool;
}

/// The scenarios, faults and calls of a run.
struct Matrix<S> {
    scenarios: Vec<S>,
    faults: Vec<Fault>,
    strikes: Vec<FaultRepeat>,
    /// The calls to disturb. `None` selects all calls of an undisturbed run. A scenario that may
    /// continue after its reply must list its calls here.
    calls: Option<Vec<String>>,
    /// The tests run every `one_in`-th plan.
    one_in: usize,
}

impl<S: Scenario> Matrix<S> {
    fn one(scenario: S, fault: Fault, strikes: FaultRepeat) -> Self {
        Self {
            scenarios: vec![scenario],
            faults: vec![fault],
            strikes: vec![strikes],
            calls: None,
            one_in: 1,
        }
    }

    /// Returns the matrix of all faults, strikes and calls. A run tests only a sample of it.
    fn of(scenarios: &[S]) -> Self {
        Self {
            scenarios: scenarios.to_vec(),
            faults: Fault::ALL.to_vec(),
            strikes: ALL_STRIKES.to_vec(),
            calls: None,
            one_in: one_in(),
        }
    }

    /// Runs each scenario without faults. Returns each case with plans for the calls that the case
    /// made.
    async fn plans(&self, rig: &Rig) -> Vec<(Case<S>, Vec<Plan>)> {
        let mut all = Vec::new();
        for scenario in &self.scenarios {
            let mut undisturbed = scenario.begin(rig, None, true).await;
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

    /// Returns the undisturbed cases and two cases for each plan: in one the client retries, in the
    /// other it doesn't.
    async fn cases(&self, rig: &Rig) -> Vec<Case<S>> {
        let mut cases = Vec::new();
        for (undisturbed, plans) in self.plans(rig).await {
            let scenario = undisturbed.scenario;
            let begun = plans.into_iter().flat_map(|plan| {
                [true, false].map(|retries| async move {
                    keeping_up().await;
                    scenario.begin(rig, Some(plan), retries).await
                })
            });
            cases.extend(iter(begun).buffered(at_a_time()).collect::<Vec<_>>().await);
            cases.push(undisturbed);
        }
        cases
    }

    /// Runs each case with its fault injected. If the case's client retries, sends the request
    /// `again`. Then delivers `late` copies of the case's writes. After each of these steps,
    /// `audit` checks all cases. `again` also gets the store's contents after the first step.
    async fn run(
        &self,
        rig: &Rig,
        again: impl AsyncFn(&mut Case<S>, &World),
        late: impl AsyncFn(&mut Case<S>),
        audit: impl Fn(&mut Case<S>, &str, &World),
    ) -> (Vec<Case<S>>, World) {
        let mut cases = self.cases(rig).await;
        disturb(&mut cases).await;
        let world = rig.world().await;
        cases.iter_mut().for_each(|case| audit(case, "after the request", &world));

        side_by_side(&mut cases, async |case| {
            if case.retries {
                again(case, &world).await;
            }
        })
        .await;
        let world = rig.world().await;
        cases.iter_mut().for_each(|case| audit(case, "after it was sent again", &world));

        side_by_side(&mut cases, async |case| late(case).await).await;
        let world = rig.world().await;
        cases.iter_mut().for_each(|case| audit(case, "after late copies", &world));
        (cases, world)
    }
}

impl Reply {
    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    fn is_unknown(&self) -> bool {
        self.code() == "unavailable"
    }

    /// Returns the rules that this reply violates. A reply must have a status and a code from
    /// `expected`.
    pub fn audit(&self, expected: &[(u16, &str)]) -> Vec<String> {
        let mut wrong = Vec::new();
        let shown = format!("{} {}", self.status, self.body);
        if !expected.contains(&(self.status, self.code())) {
            wrong.push(format!("this reply is wrong: {shown}"));
        }
        let waits = self
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        if matches!(self.status, 409 | 503)
            && !["username_taken", "costs_more"].contains(&self.code())
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
    /// True if the client retries.
    retries: bool,
    lane: Lane,
    app: App,
    /// The endpoint, whose calls use `lane`. `None` for scheduled work.
    function: Option<Function>,
    who: Person,
    own: S::Own,
    replies: Vec<S::Reply>,
    wrong: Vec<String>,
}

impl<S: Scenario> Case<S> {
    fn new(
        rig: &Rig,
        function: &str,
        scenario: S,
        plan: Option<Plan>,
        retries: bool,
        who: Person,
        own: S::Own,
    ) -> Self {
        let lane = rig.proxy.lane();
        let app = rig.api.app_over(function, &lane);
        let is_endpoint = rig.api.server().functions.contains_key(function);
        Self {
            scenario,
            plan,
            retries,
            function: is_endpoint.then(|| rig.api.function_over(function, &lane)),
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

    /// Sends the request with its fault injected, and delivers the late copies.
    async fn runs(&mut self) {
        self.asks().await;
        let struck = self.plan.is_none() || self.lane.strikes().await;
        self.lane.deliver().await;
        self.was_met(struck);
    }

    /// Checks that the fault struck, and that the client didn't notice it if the SDK's retry was
    /// enough.
    fn was_met(&mut self, struck: bool) {
        let Some(plan) = self.plan else { return };
        if !struck {
            self.notes("the request", ["the fault never struck".into()]);
        }
        let reply = self.replies.last().unwrap();
        if plan.strikes == FaultRepeat::Once
            && plan.fault.is_sent_again()
            && !self.scenario.is_usual(reply)
        {
            let sentence = format!("the client noticed a single fault: {reply:?}");
            self.notes("the request", [sentence]);
        }
    }

    fn notes(&mut self, moment: &str, wrong: impl IntoIterator<Item = String>) {
        self.wrong.extend(wrong.into_iter().map(|sentence| format!("{moment}: {sentence}")));
    }

    /// Returns the violations, each with the case's full name.
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
        let mishaps = self.lane.mishaps().into_iter();
        let mishaps = mishaps.map(|mishap| format!("a failure without a fault: {mishap}"));
        self.wrong
            .iter()
            .cloned()
            .chain(weak)
            .chain(mishaps)
            .map(|sentence| format!("{name}\n    {sentence}"))
            .collect()
    }
}

/// A separate store for a single case, and the wire in front of the store. The case needs its own
/// store because scheduled work processes a whole store.
struct OwnStore {
    dynamo: Dynamo,
    _proxy: Proxy,
}

impl<S: Scenario<Own = OwnStore>> Case<S> {
    /// Sets up a case for scheduled work, with a new store.
    async fn scheduled(
        rig: &Rig,
        function: &str,
        scenario: S,
        plan: Option<Plan>,
        retries: bool,
    ) -> Self {
        let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let proxy = Proxy::start(&dynamo.url).await;
        let lane = proxy.lane();
        Self {
            scenario,
            plan,
            retries,
            app: rig.api.app_over(function, &lane),
            function: None,
            lane,
            who: rig.without_account("everyone".into(), "none"),
            own: OwnStore { dynamo, _proxy: proxy },
            replies: Vec::new(),
            wrong: Vec::new(),
        }
    }
}

impl<T: Debug, S: Scenario<Reply = Result<T, Error>>> Case<S> {
    /// Runs the work with its fault injected, and ends the faults. Returns true if it succeeded.
    async fn runs_once(&mut self) -> bool {
        self.runs().await;
        self.lane.calm();
        self.replies.last().is_some_and(Result::is_ok)
    }

    /// Runs the work again without faults, and checks that it succeeds.
    async fn succeeds(&mut self, moment: &str) {
        self.asks().await;
        let outcome = self.replies.last().unwrap();
        let failed = outcome.is_err().then(|| format!("{outcome:?}"));
        self.notes(moment, failed);
    }

    /// Returns the outcomes that are neither a success nor unknown.
    fn wrong_outcomes(&self) -> Vec<String> {
        let is_wrong = |reply: &&S::Reply| !matches!(reply, Ok(_) | Err(Error::Unavailable(_)));
        let wrong = self.replies.iter().filter(is_wrong);
        wrong.map(|reply| format!("this outcome is wrong: {reply:?}")).collect()
    }
}

impl<S: Scenario<Reply = Reply>> Case<S> {
    /// Sends the request again without faults.
    async fn runs_again(&mut self, expected: &[(u16, &str)]) {
        self.asks().await;
        let wrong = self.replies.last().unwrap().audit(expected);
        self.notes("sent again", wrong);
    }

    /// Checks that the API accepts and refreshes the JWTs in every successful reply.
    async fn tokens_hold(&mut self, rig: &Rig) {
        let mut wrong = Vec::new();
        for reply in self.replies.iter().filter(|reply| reply.status < 300) {
            for token in ["access", "token"] {
                let balance = rig.balance(reply.body[token].as_str().unwrap()).await;
                if balance != Some(GRANT) {
                    wrong.push(format!("a token doesn't hold: it opens {balance:?}"));
                }
            }
            let refreshed = rig.refresh(&reply.body["refresh"]).await;
            if refreshed.status != 200 {
                wrong.push(format!("a session can't be refreshed: {refreshed:?}"));
            }
        }
        self.notes("with its tokens", wrong);
    }
}

/// Returns the plans that combine each fault, strike and call.
fn plans(calls: &[String], faults: &[Fault], strikes: &[FaultRepeat]) -> Vec<Plan> {
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
            // The SDK doesn't retry a call that the store applied and answered.
            let strikes = strikes.iter().filter(|strikes| {
                !(*fault == Fault::Again && **strikes == FaultRepeat::EachAttempt)
            });
            plans.extend(strikes.map(|strikes| Plan {
                at: FaultPoint::Operation(operation, *nth),
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
        .for_each_concurrent(at_a_time(), |case| async move {
            keeping_up().await;
            each(case).await;
        })
        .await;
}

/// Runs a case for each plan, and the undisturbed cases. Returns the number of cases, and the
/// violations.
async fn one_store_each<S: Scenario<Own = OwnStore>>(
    rig: &Rig,
    matrix: Matrix<S>,
    runs: impl AsyncFn(&mut Case<S>),
) -> (usize, Vec<String>) {
    let (mut cases, mut wrong) = (0, Vec::new());
    for (mut undisturbed, plans) in matrix.plans(rig).await {
        cases += plans.len() + 1;
        let scenario = undisturbed.scenario;
        let verdicts = iter(plans).map(async |plan| {
            keeping_up().await;
            let mut case = scenario.begin(rig, Some(plan), true).await;
            keeping_up().await;
            runs(&mut case).await;
            case.verdict()
        });
        wrong.extend(verdicts.buffer_unordered(FEWER_AT_ONCE).concat().await);
        runs(&mut undisturbed).await;
        wrong.extend(undisturbed.verdict());
    }
    (cases, wrong)
}

/// Runs each case that has a fault, and then ends the faults on its lane.
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
async fn reads_are_strongly_consistent_except_from_indexes() {
    let rig = Rig::start().await;
    let (ann, lane) = (rig.person().await, rig.proxy.lane());
    let bearer = ann.bearer();
    rig.api.set(&ann, "role", AttributeValue::S("admin".into())).await;
    let is_read = |route: &&Route| route.method == "GET" && document::takes_a_credential(route);
    for route in ROUTES.iter().filter(is_read) {
        let path = route.path.replace("/users/{id}", &format!("/users/{}", ann.id));
        if path.contains('{') {
            // This test knows no other ids.
            continue;
        }
        lane.strike(None);
        let reply = ask(
            &rig.api.function_over(route.endpoint, &lane),
            route.endpoint,
            &path,
            &[("authorization", &bearer)],
            Value::Null,
        )
        .await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(!lane.calls().is_empty(), "{path} reads nothing");
    }
    let store = rig.api.app_over("sweep", &lane).store;
    store.public_keys().await.unwrap();
    store.account_keys(None).await.unwrap();
    assert_eq!(store.audit(&ann.name).await.unwrap().differences, []);
    assert_eq!(lane.weak_reads(), [""; 0]);
}

/// Runs the part of the matrix that must find `mistake`.
async fn finds(mistake: Mistake, sentence: &str) {
    let rig = Rig::with(mistake).await;
    let (cases, wrong) = match mistake {
        Mistake::DeductWithoutGuard => {
            chats::run(&rig, Matrix::one(Paying::Chat, Fault::Fail500After, FaultRepeat::Once))
                .await
        }
        Mistake::RefundUnconditionally => {
            chats::run(
                &rig,
                Matrix::one(Paying::FailingChat, Fault::Fail500After, FaultRepeat::Once),
            )
            .await
        }
        Mistake::ReplyBeforeSettling => {
            let matrix = Matrix::one(Paying::Chat, Fault::ResetBefore, FaultRepeat::EachAttempt);
            chats::run(&rig, Matrix { calls: Some(vec!["TransactWriteItems".into()]), ..matrix })
                .await
        }
        Mistake::RotateStrictly => {
            refreshes::run(
                &rig,
                Matrix::one(Refreshing::First, Fault::Fail500After, FaultRepeat::Once),
            )
            .await
        }
        Mistake::SettleWithoutOwner => chats::sleepers(&rig).await,
    };
    assert!(
        wrong.iter().any(|found| found.contains(sentence)),
        "{mistake:?} in {cases} cases: {wrong:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_protocol_mistake_is_found() {
    // Box the futures, because five large ones don't fit on a test's stack.
    let finds = |mistake, sentence| Box::pin(finds(mistake, sentence));
    tokio::join!(
        finds(Mistake::DeductWithoutGuard, "is not tokens"),
        finds(Mistake::RefundUnconditionally, "is not tokens"),
        finds(Mistake::ReplyBeforeSettling, "an answer was served and no chat is stored"),
        finds(Mistake::RotateStrictly, "the session is over"),
        finds(Mistake::SettleWithoutOwner, "the sleeper: this reply is wrong: 200"),
    );
}
