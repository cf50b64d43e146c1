//! Adjustments are applied once, in the balance and in the ledger.

use shared::store::{AdjustOutcome, Adjustment};
use shared::values::{EntryKind, Reason};
use shared::{BalanceChange, Credits, Error};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::GRANT;
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::World;

/// The adjustment under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adjusting {
    Giving,
    /// Returns the price of a message, which can be refunded only once.
    Refunding,
    Taking,
    /// Takes the whole balance. After this, the empty balance alone would prevent a second
    /// adjustment.
    TakingAll,
    /// Takes the whole balance, all of which is in expired holds.
    TakingExpired,
    /// Takes more than the balance.
    TakingTooMuch,
}

fn amount_of(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap()
}

impl Adjusting {
    const ALL: [Self; 6] = [
        Self::Giving,
        Self::Refunding,
        Self::Taking,
        Self::TakingAll,
        Self::TakingExpired,
        Self::TakingTooMuch,
    ];

    fn amount(self) -> i64 {
        let all = amount_of(GRANT);
        match self {
            Self::Giving | Self::Refunding => 500,
            Self::Taking => -500,
            Self::TakingAll | Self::TakingExpired => -all,
            Self::TakingTooMuch => -all - 1,
        }
    }
}

impl Scenario for Adjusting {
    type Reply = Result<AdjustOutcome, Error>;
    type Own = Adjustment;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        if self == Self::TakingExpired {
            who.holds_everything().await;
        }
        let (change, reason) =
            (BalanceChange::new(self.amount()).unwrap(), Reason::parse("a correction").unwrap());
        let adjustment = Adjustment::new(
            &rig.api.account(&who).await,
            change,
            reason,
            "manage",
            &rig.api.server().clock,
        );
        let adjustment = match self {
            Self::Refunding => adjustment.refunding(&rig.api.server().clock.id().to_string()),
            _ => adjustment,
        };
        let case = Case::new(rig, "register", self, plan, retries, who, adjustment);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        Ok(case.app.store.adjust(&case.own, case.app.clock.seconds()).await?)
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        let grant = Credits::new(GRANT).unwrap();
        *reply
            == Ok(if self == Self::TakingTooMuch {
                AdjustOutcome::TooLittle(grant)
            } else {
                AdjustOutcome::Applied
            })
    }
}

impl Case<Adjusting> {
    fn audit(&mut self, moment: &str, world: &World) {
        let (id, amount) = (&self.who.id, self.scenario.amount());
        let mut wrong = world.audit(id);
        if self.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        for reply in self.replies.iter().filter(|reply| {
            !self.scenario.is_usual(reply) && !matches!(reply, Err(Error::Unavailable(_)))
        }) {
            wrong.push(format!("this outcome is wrong: {reply:?}"));
        }

        let rows = world.ledger(id).iter().filter(|entry| entry.kind == EntryKind::Adjustment);
        let (rows, others): (Vec<_>, Vec<_>) =
            rows.map(|row| row.amount).partition(|row| *row == amount);
        let (stands, applied) =
            (rows == [amount], self.replies.contains(&Ok(AdjustOutcome::Applied)));
        let unknown =
            self.scenario != Adjusting::TakingTooMuch && self.replies.iter().any(Result::is_err);
        if stands == rows.is_empty() || (applied && !stands) || (stands && !applied && !unknown) {
            wrong.push(format!("the rows are {rows:?}"));
        }
        let account = &world.accounts[id];
        let expected = amount_of(GRANT) + rows.iter().chain(&others).sum::<i64>();
        let has = (account.balance(self.app.clock.seconds()).get(), account.spent.get());
        if has != (u64::try_from(expected).unwrap(), 0) {
            wrong.push(format!("the balance and what was spent are {has:?}"));
        }
        self.notes(moment, wrong);
    }
}

async fn run(rig: &Rig, matrix: Matrix<Adjusting>) -> (usize, Vec<String>) {
    let mut cases = matrix.cases(rig).await;
    disturb(&mut cases).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the adjustment", &world));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            // The store forgets the request tokens, so only the ledger entry shows that it applied
            // the adjustment.
            case.lane.forgets_tokens();
            case.asks().await;
            let outcome = case.replies.last().unwrap();
            let unusual = (!case.scenario.is_usual(outcome)).then(|| format!("{outcome:?}"));
            case.notes("sent again", unusual);
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world));

    // A refused adjustment stays refused, even when the balance becomes sufficient.
    side_by_side(&mut cases, async |case| {
        if case.scenario == Adjusting::TakingTooMuch && case.replies.iter().any(Result::is_ok) {
            case.who.api.adjust(&case.who, amount_of(GRANT), "a gift").await;
        }
    })
    .await;
    let before = rig.world().await;
    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("after late copies", &world);
        let changed = before.of(&case.who.id) != world.of(&case.who.id);
        case.notes("after late copies", changed.then(|| "something changed".into()));
    }

    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("after the sweep", &world);
        case.notes("after the sweep", world.at_rest(&case.who.id));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adjustments_are_applied_at_most_once_under_any_fault() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&Adjusting::ALL)).await);
}
