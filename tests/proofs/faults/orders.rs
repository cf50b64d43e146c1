//! Payments, refunds and owed credits move credits only once, whatever the store does.

use shared::BalanceChange;
use shared::store::{Order, StoreError};
use shared::values::{PaymentFacts, Progress, RefundState, Refunded};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::{GRANT, Person, a_pack};
use crate::support::mistakes::PaymentMistake;
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::World;

/// The credits of a pack, and its price.
const TOKENS: u64 = 1000;
const PRICE: u64 = 300;

/// The event under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merging {
    /// The order is paid after a refund of a third of its price was reported.
    Paid,
    /// The whole price of a paid order is refunded.
    Refunded,
    /// The whole price is refunded after all credits were spent.
    Owing,
    /// Another order is paid, and its credits cover the credits that the first order owes.
    Collecting,
}

/// The account's order, and the order that the event is about.
#[derive(Clone, Debug)]
struct Orders {
    first: Order,
    told: Order,
}

fn paid(order: &Order) -> PaymentFacts {
    PaymentFacts {
        progress: Progress::Paid,
        payment: Some(format!("pi_{}", order.id())),
        ..PaymentFacts::default()
    }
}

fn refunded(amount: u64) -> PaymentFacts {
    let refund = Refunded { amount, state: RefundState::Made };
    PaymentFacts { refunds: [(format!("re_{amount}"), refund)].into(), ..PaymentFacts::default() }
}

impl Merging {
    const ALL: [Self; 4] = [Self::Paid, Self::Refunded, Self::Owing, Self::Collecting];

    /// The balance and the owed credits, before and after the event.
    fn states(self) -> [(u64, u64); 2] {
        match self {
            Self::Paid => [(GRANT, 0), (GRANT + 666, 0)],
            Self::Refunded => [(GRANT + TOKENS, 0), (GRANT, 0)],
            Self::Owing => [(400, 0), (0, 600)],
            Self::Collecting => [(0, 600), (400, 0)],
        }
    }

    fn facts(self, order: &Order) -> PaymentFacts {
        match self {
            Self::Paid | Self::Collecting => paid(order),
            Self::Refunded | Self::Owing => refunded(PRICE),
        }
    }

    /// Puts a user into the state before the event.
    async fn prepare(self, rig: &Rig, who: &Person) -> Orders {
        let (store, clock) = (rig.api.store(), &rig.api.server().clock);
        let account = rig.api.account(who).await;
        let pack = a_pack(TOKENS, PRICE);
        let order = async || {
            let order = Order::new(&account, &pack, clock);
            store.create_order(&account, &order).await.unwrap();
            order
        };
        let first = order().await;
        if self == Self::Paid {
            let payment = format!("pi_{}", first.id());
            store.merge_facts_of_payment(&payment, &refunded(100), clock).await.unwrap();
            return Orders { told: first.clone(), first };
        }
        store.merge_facts(first.clone(), &paid(&first), clock).await.unwrap();
        if self == Self::Refunded {
            return Orders { told: first.clone(), first };
        }
        let spent = i64::try_from(GRANT + TOKENS - 400).unwrap();
        rig.api.adjust(who, BalanceChange::new(-spent).unwrap().amount(), "spent").await;
        if self == Self::Owing {
            return Orders { told: first.clone(), first };
        }
        let read = store.order(first.id()).await.unwrap().unwrap();
        store.merge_facts(read, &refunded(PRICE), clock).await.unwrap();
        Orders { told: order().await, first }
    }
}

impl Scenario for Merging {
    type Reply = Result<Order, StoreError>;
    type Own = Orders;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let orders = self.prepare(rig, &who).await;
        let case = Case::new(rig, "stripe_webhook", self, plan, retries, who, orders);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        let store = &case.app.store;
        let order = store.order(case.own.told.id()).await?.expect("the order is stored");
        let facts = case.scenario.facts(&order);
        store.merge_facts(order, &facts, &case.app.clock).await
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        reply.as_ref().is_ok_and(|order| {
            order.granted.checked_sub(order.owed) == Some(order.target())
                && order.stranded.is_none()
        })
    }
}

impl Case<Merging> {
    /// Compares the account with the state after the event, or with either state if no reply has
    /// confirmed the event.
    fn audit(&mut self, moment: &str, world: &World) {
        let id = &self.who.id;
        let mut wrong = world.audit(id);
        if self.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        for reply in &self.replies {
            let is_expected = self.scenario.is_usual(reply)
                || matches!(reply, Err(StoreError::Unavailable(_) | StoreError::Throttled(_)));
            if !is_expected {
                wrong.push(format!("this reply is wrong: {reply:?}"));
            }
        }
        let account = &world.accounts[id];
        let owed = account.owed.unwrap_or_default().get();
        let state = (account.balance(self.app.clock.seconds()).get(), owed);
        let [before, after] = self.scenario.states();
        let is_done = self.replies.iter().any(|reply| self.scenario.is_usual(reply));
        // The event has been stored, but the owed credits haven't been collected yet.
        let between = self.scenario == Merging::Collecting && state == (TOKENS, 600);
        if state != after && (is_done || (state != before && !between)) {
            wrong.push(format!("the balance and the owed credits are {state:?}"));
        }
        self.notes(moment, wrong);
    }
}

async fn run(rig: &Rig, matrix: Matrix<Merging>) -> (usize, Vec<String>) {
    let mut cases = matrix.cases(rig).await;
    disturb(&mut cases).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the event", &world));

    // Stripe resends an event until it is confirmed. The store forgets the request tokens.
    side_by_side(&mut cases, async |case| {
        case.lane.calm();
        if case.retries || !case.replies.iter().any(Result::is_ok) {
            case.lane.forgets_tokens();
            case.asks().await;
            let reply = case.replies.last().unwrap();
            let unusual = (!case.scenario.is_usual(reply)).then(|| format!("{reply:?}"));
            case.notes("sent again", unusual);
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world));

    let before = rig.world().await;
    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    let world = rig.world().await;
    let store = rig.api.store();
    for case in &mut cases {
        case.audit("after late copies", &world);
        let changed = before.of(&case.who.id) != world.of(&case.who.id);
        case.notes("after late copies", changed.then(|| "something changed".into()));
        let found = store.audit(&case.who.name).await.unwrap().differences;
        case.notes("after late copies", found.iter().map(ToString::to_string));
        let first = store.order(case.own.first.id()).await.unwrap().unwrap();
        let owed = case.scenario.states()[1].1;
        case.notes("after late copies", (first.owed.get() != owed).then(|| format!("{first:?}")));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_payments_move_credits_once_under_any_fault() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&Merging::ALL)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_with_payments_is_found() {
    for (mistake, sentence) in PaymentMistake::ALL
        .into_iter()
        .zip(["after late copies: something changed", "the balance and the owed credits are"])
    {
        let rig = Rig::sabotaged(mistake.sabotage()).await;
        let scenarios = [Merging::Refunded];
        let (cases, wrong) = run(&rig, Matrix::of(&scenarios)).await;
        let is_found = wrong.iter().any(|wrong| wrong.contains(sentence));
        assert!(is_found, "{mistake:?} in {cases} cases: {wrong:#?}");
    }
}
