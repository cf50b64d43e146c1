//! Embeddings are charged once or not at all, and a paid request is computed again at most twice.

use serde_json::{Value, json};
use shared::values::{Account, Entry};

use super::{Case, Matrix, Scenario, none, side_by_side};
use crate::portable::chat_stop::free_work;
use crate::support::client::{GRANT, Person};
use crate::support::counting_ai::CountingAi;
use crate::support::function::{Reply, ask};
use crate::support::proxy::{Fault, Plan};
use crate::support::rig::Rig;
use crate::support::world::{EMBEDDINGS, World};

/// The number of model tokens in each request, which each cost one credit.
const TOKENS: u64 = 7;

/// The request under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Embedding {
    Plain,
    Keyed,
    /// The client is an SDK that counts its retries.
    Counted,
    /// The AI fails.
    Failing,
    KeyedFailing,
    /// The AI has worked, but a vector is missing.
    Wasteful,
    /// An earlier request with the same idempotency key was paid for.
    Repeated,
}

impl Embedding {
    const ALL: [Self; 7] = [
        Self::Plain,
        Self::Keyed,
        Self::Counted,
        Self::Failing,
        Self::KeyedFailing,
        Self::Wasteful,
        Self::Repeated,
    ];

    fn has_a_key(self) -> bool {
        matches!(self, Self::Keyed | Self::KeyedFailing | Self::Repeated)
    }

    /// Returns true if the product recognizes a retry of this scenario's request.
    fn is_known_again(self) -> bool {
        self.has_a_key() || self == Self::Counted
    }

    /// A text that no other case sends.
    fn text(self, who: &Person) -> String {
        let command = match self {
            Self::Failing | Self::KeyedFailing => "!fail".to_owned(),
            Self::Wasteful => "!cut".to_owned(),
            _ => format!("!used {TOKENS}"),
        };
        format!("{command} {}", who.name)
    }

    /// The expected reply if there is no fault.
    fn usual(self) -> (u16, &'static str) {
        match self {
            Self::Failing | Self::KeyedFailing | Self::Wasteful => (502, "ai_failed"),
            _ => (200, ""),
        }
    }
}

impl Scenario for Embedding {
    type Reply = Reply;
    /// The rig's AI.
    type Own = CountingAi;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let mut case = Case::new(rig, "embeddings", self, plan, retries, who, rig.ai.clone());
        if self == Self::Repeated {
            case.asks().await;
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, count) = (case.who.bearer(), case.replies.len().to_string());
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(case.scenario.has_a_key().then_some(("idempotency-key", "k1")));
        let counts = case.scenario == Embedding::Counted;
        headers.extend(counts.then_some(("x-stainless-retry-count", count.as_str())));
        let body = json!({ "model": "small", "input": [case.scenario.text(&case.who), "a"] });
        let mut reply = ask(case.function(), "embeddings", "/v1/embeddings", &headers, body).await;
        if let Value::Object(error) = &reply.body["error"] {
            reply.body = json!({ "code": error["code"], "detail": error["message"] });
        }
        reply
    }

    fn is_usual(self, reply: &Reply) -> bool {
        (reply.status, reply.code()) == self.usual()
    }
}

impl Case<Embedding> {
    fn audit(&mut self, moment: &str, world: &World, now: u64) {
        let rows = world.ledger(&self.who.id).iter().filter(|row| row.reason == EMBEDDINGS);
        let audit = Audit {
            case: &*self,
            rows: rows.collect(),
            account: &world.accounts[&self.who.id],
            now,
        };
        let mut wrong = world.audit(&self.who.id);
        wrong.extend(audit.violations());
        self.notes(moment, wrong);
    }
}

/// A case, and the data that the store contains for its account.
struct Audit<'a> {
    case: &'a Case<Embedding>,
    rows: Vec<&'a Entry>,
    account: &'a Account,
    now: u64,
}

impl Audit<'_> {
    /// Returns the violations of all rules.
    fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.case.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        wrong.extend(self.wrong_replies());
        wrong.extend(self.wrong_charges());
        wrong.extend(self.wrong_repeats());
        wrong.extend(self.wrong_holds());
        wrong
    }

    /// Each reply has a status and a code that a client may get, and complete vectors.
    fn wrong_replies(&self) -> Vec<String> {
        let expected = [
            (200, ""),
            (409, "idempotency_key_running"),
            (410, "repeated_too_often"),
            (502, "ai_failed"),
            (503, "unavailable"),
            (503, "not_charged"),
        ];
        let mut wrong: Vec<_> =
            self.case.replies.iter().flat_map(|reply| reply.audit(&expected)).collect();
        let first = self.answered().next().map(|reply| &reply.body);
        if self.answered().any(|reply| Some(&reply.body) != first) {
            wrong.push("two replies have different vectors".into());
        }
        wrong
    }

    /// A request whose retries the product recognizes is charged at most once; any other request is
    /// charged once for each reply with vectors. A request with an unknown outcome may have been
    /// charged.
    fn wrong_charges(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let price = -i64::try_from(TOKENS).unwrap();
        if self.rows.iter().any(|row| row.amount != price) {
            wrong.push(format!("the rows are {:?}", self.rows));
        }
        let paid = self.answered().filter(|reply| !reply.replayed()).count();
        let unknown = self.count(|reply| reply.is_unknown());
        let (charged, mut most) = (self.rows.len(), paid + unknown);
        if self.case.scenario.is_known_again() {
            most = most.min(1);
        }
        let is_replayed = self.answered().any(Reply::replayed);
        if charged < paid.max(usize::from(is_replayed)) || charged > most.max(paid) {
            wrong.push(format!("{charged} are charged, {paid} were paid, {unknown} are unknown"));
        }
        wrong
    }

    /// A paid request is computed again at most twice. Work that wasn't paid for is counted.
    fn wrong_repeats(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let repeats = self.answered().filter(|reply| reply.replayed()).count();
        let failed = self.count(|reply| matches!(reply.status, 502 | 503));
        let asked = self.case.own.times(&self.case.scenario.text(&self.case.who));
        let answered = self.answered().count();
        if repeats > 2 || !(answered..=answered + failed).contains(&asked) {
            wrong.push(format!("the AI was asked {asked} times, with {repeats} repeats"));
        }
        let work = free_work(self.account, "");
        let most = u64::try_from(repeats + failed).unwrap() * TOKENS;
        if work > most || self.case.scenario == Embedding::Failing && work > 0 {
            wrong.push(format!("{work} of free work is counted, and at most {most} was done"));
        }
        // After an unknown outcome, the release may not have been applied.
        let is_wasteful = self.case.scenario == Embedding::Wasteful;
        if is_wasteful && work == 0 && self.count(|reply| reply.is_unknown()) == 0 && failed > 0 {
            let held = self.case.replies.iter().any(|reply| reply.detail().contains("tokens held"));
            wrong.extend((!held).then(|| "work that wasn't paid for isn't counted".to_owned()));
        }
        wrong
    }

    /// Only requests with an unknown outcome, and repeats, may have holds.
    fn wrong_holds(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let holds = self.account.reservations.values().filter(|held| held.expires_at > self.now);
        let held: Vec<u64> = holds.map(|held| held.cost.get()).collect();
        let open = self.count(|reply| {
            reply.is_unknown() || reply.detail().contains("tokens held") || reply.replayed()
        });
        let is_copied = self.case.plan.is_some_and(|plan| plan.fault == Fault::Again);
        if held.len() > open + usize::from(is_copied) {
            wrong.push(format!("{} holds exist and {open} outcomes are unknown", held.len()));
        }
        let all = self.account.balance(self.now).get() + held.iter().sum::<u64>();
        if all + self.account.spent.get() != GRANT {
            wrong.push(format!("the balance and the holds are {all}"));
        }
        wrong
    }

    fn answered(&self) -> impl Iterator<Item = &Reply> {
        self.case.replies.iter().filter(|reply| reply.status == 200)
    }

    fn count(&self, is_counted: impl Fn(&Reply) -> bool) -> usize {
        self.case.replies.iter().filter(|reply| is_counted(reply)).count()
    }
}

async fn run(rig: &Rig, matrix: Matrix<Embedding>) -> (usize, Vec<String>) {
    let again = async |case: &mut Case<Embedding>, _: &World| {
        let running = case.scenario.is_known_again().then_some((409, "idempotency_key_running"));
        let expected: Vec<_> = [case.scenario.usual()].into_iter().chain(running).collect();
        case.runs_again(&expected).await;
    };
    let now = rig.now();
    let late = async |case: &mut Case<Embedding>| case.lane.calm();
    let (mut cases, _) =
        matrix.run(rig, again, late, |case, moment, world| case.audit(moment, world, now)).await;

    rig.after_the_lease();
    side_by_side(&mut cases, async |case| {
        if case.retries && case.scenario.is_known_again() {
            let usual = case.scenario.usual();
            case.runs_again(&[usual, (410, "repeated_too_often")]).await;
        }
    })
    .await;
    rig.sweep().await;
    let rest = rig.world().await;
    for case in &mut cases {
        case.audit("after the sweep", &rest, rig.now());
        case.notes("after the sweep", rest.at_rest(&case.who.id));
    }

    // Late copies of calls may place a hold, but change nothing permanently.
    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    rig.after_the_lease();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, rig.now());
        case.notes("at the end", world.at_rest(&case.who.id));
        let same = |of: &World| {
            let account = &of.accounts[&case.who.id];
            (account.tokens, account.spent, of.ledger(&case.who.id).len())
        };
        let changed = same(&rest) != same(&world);
        case.notes("at the end", changed.then(|| "a late copy changed something for good".into()));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_are_charged_at_most_once_under_any_fault() {
    let rig = Rig::start().await;
    let fare = json!({ "input": 1_000_000 });
    rig.api
        .prices(&json!({ "models": [
            { "name": "quick", "via": ["openai"], "fare": { "message": 100 } },
            { "name": "small", "kind": "embedding", "via": ["openai"], "fare": fare },
        ]}))
        .await;
    // The first request also reads the price list, which the other requests then know.
    Embedding::Plain.begin(&rig, None, false).await.asks().await;
    none(run(&rig, Matrix::of(&Embedding::ALL)).await);
}
