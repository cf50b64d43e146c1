//! A sweep releases expired holds once, and doesn't touch other holds.

use shared::store::{ChatLimits, Hold, ReserveOutcome, SweepReport};
use shared::values::{AccessToken, Allowances, Credential, Quote};
use shared::{Credits, Error};

use super::{Case, Matrix, OwnStore, Scenario, none, one_store_each};
use crate::support::client::{GRANT, PRICE};
use crate::support::proxy::Plan;
use crate::support::rig::{Rig, create_account};
use crate::support::world::World;

/// The users, and the times at which their leases end.
const PEOPLE: [(&str, &[u64]); 3] =
    [("ann", &[OVER]), ("ben", &[OVER, OVER, LASTS]), ("cat", &[LASTS])];

/// The end of an expired lease. A lease that ends at [`LASTS`] is valid throughout the test.
const OVER: u64 = 1;
const LASTS: u64 = u32::MAX as u64;

#[derive(Clone, Copy, Debug)]
struct Sweep;

impl Scenario for Sweep {
    type Reply = Result<SweepReport, Error>;
    type Own = OwnStore;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let case = Case::scheduled(rig, "sweep", self, plan, retries).await;
        let app = &case.app;
        let limits = ChatLimits {
            parallel: 64,
            parallel_of_account: 64,
            per_minute: 64,
            refunds: 64,
            refunds_of_caller: 64,
            free_work: Credits::MAX,
            allowances: Allowances::default(),
        };
        for (name, leases) in PEOPLE {
            let (account, session) =
                create_account(app, name, "no hash of any password", None).await;
            let caller = Credential::Session(AccessToken::new(&account, &session, session.ends));
            for ends in leases {
                let mut hold = Hold::new(
                    &caller,
                    app.clock.id(),
                    Quote::flat(Credits::new(PRICE).unwrap()),
                    *ends,
                );
                assert_eq!(
                    app.store.reserve(&caller, &mut hold, limits, 0).await,
                    Ok(ReserveOutcome::Held)
                );
            }
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        Ok(case.app.store.sweep(case.app.clock.seconds()).await?)
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        *reply == Ok(SweepReport { accounts: 2, released: 3, credits: 3 * PRICE })
    }
}

impl Case<Sweep> {
    async fn runs_to_its_end(&mut self) {
        let done = self.runs_once().await;
        self.audit("after the sweep", done).await;

        self.succeeds("the second sweep").await;
        let before = self.audit("after the second sweep", true).await;
        let third = self.app.store.sweep(self.app.clock.seconds()).await;
        self.notes(
            "the third sweep",
            (third != Ok(SweepReport::default())).then(|| format!("{third:?}")),
        );

        self.lane.deliver_much_later().await;
        let world = self.audit("after late copies", true).await;
        self.notes(
            "after late copies",
            (world != before).then(|| format!("{before:?} became {world:?}")),
        );

        // When a sweep has run after the end of the last lease, all balances are the same as at the
        // start.
        self.app.store.sweep(LASTS).await.unwrap();
        self.lane.deliver_much_later().await;
        let world = World::read(&self.own.dynamo.url).await;
        for (id, account) in &world.accounts {
            self.notes("at the end", world.audit(id).into_iter().chain(world.at_rest(id)));
            let tokens = account.tokens.get();
            self.notes(
                "at the end",
                (tokens != GRANT).then(|| format!("{} has {tokens}", account.name)),
            );
        }
    }

    /// Records the violations, and returns each user's account, ledger and chats.
    async fn audit(&mut self, moment: &str, swept: bool) -> Vec<String> {
        let world = World::read(&self.own.dynamo.url).await;
        let mut wrong = Vec::new();
        if self.lane.overdrawn() {
            wrong.push("a balance was negative".into());
        }
        wrong.extend(self.wrong_outcomes());
        let mut everybody = Vec::new();
        for (name, leases) in PEOPLE {
            let account = world.accounts.values().find(|account| account.name == name).unwrap();
            wrong.extend(world.audit(&account.id));
            let count =
                |leases: &[u64], end: u64| leases.iter().filter(|lease| **lease == end).count();
            let left: Vec<_> = account.reservations.values().map(|held| held.expires_at).collect();
            if count(&left, LASTS) != count(leases, LASTS) {
                wrong.push(format!("the lasting reservations of {name} are {left:?}"));
            }
            if swept && count(&left, OVER) > 0 {
                wrong.push(format!(
                    "expired reservations of {name} are left after a sweep: {left:?}"
                ));
            }
            if swept && world.due.contains(&account.id) == left.is_empty() {
                wrong.push(format!("{name} holds {left:?}, and the index disagrees"));
            }
            everybody.push(world.of(&account.id));
        }
        self.notes(moment, wrong);
        everybody
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_release_only_expired_holds_and_once_under_any_fault() {
    let rig = Rig::start().await;
    let matrix = Matrix::of(&[Sweep]);
    none(one_store_each(&rig, matrix, async |case| case.runs_to_its_end().await).await);
}
