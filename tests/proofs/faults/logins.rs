//! Log-ins. The right password is accepted, and the issued JWTs are valid.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shared::values::Email;

use super::{Case, Matrix, Scenario, none, side_by_side};
use crate::support::client::{GRANT, unique};
use crate::support::function::{Reply, ask};
use crate::support::proxy::{Fault, FaultRepeat, Plan};
use crate::support::rig::{Rig, is_current, strong_hash, weak_hash};
use crate::support::world::World;

const PASSWORD: &str = "secret123";

/// The log-in under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoggingIn {
    /// The client logs in with the account's e-mail address.
    Address,
    /// The client logs in with a username, and the password's stored hash is weak.
    WeakHash,
    WrongPassword,
}

impl LoggingIn {
    fn succeeds(self) -> (u16, &'static str) {
        if self == Self::WrongPassword { (401, "invalid_credentials") } else { (200, "") }
    }

    /// The hash that the account starts with.
    fn hash(self) -> &'static str {
        if self == Self::WeakHash { weak_hash() } else { strong_hash() }
    }
}

impl Scenario for LoggingIn {
    type Reply = Reply;
    type Own = ();

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let name = unique("ann");
        let address = Email::parse(&format!("{name}@example.com")).unwrap();
        let who = rig.person_with(name, self.hash(), Some(address)).await;
        let case = Case::new(rig, "login", self, plan, retries, who, ());
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let name = &case.who.name;
        let body = match case.scenario {
            Self::Address => {
                json!({ "email": format!("{name}@example.com"), "password": PASSWORD })
            }
            Self::WeakHash => json!({ "username": name, "password": PASSWORD }),
            Self::WrongPassword => json!({ "username": name, "password": "another-secret" }),
        };
        ask(case.function(), "login", "/api/login", &[], body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        (reply.status, reply.code()) == self.succeeds()
    }
}

impl Case<LoggingIn> {
    fn audit(&mut self, moment: &str, world: &World) {
        let id = &self.who.id;
        let mut wrong = world.audit(id);
        wrong.extend(world.at_rest(id));
        for reply in &self.replies {
            wrong.extend(reply.audit(&[self.scenario.succeeds(), (503, "unavailable")]));
            if reply.status == 200
                && (&reply.body["user"]["id"], &reply.body["tokens"]) != (&json!(id), &json!(GRANT))
            {
                wrong.push(format!("{reply:?} is another user's"));
            }
        }
        let account = &world.accounts[id];
        if (account.tokens.get(), account.granted.get(), world.ledger(id).len())
            != (GRANT, GRANT, 1)
        {
            wrong.push(format!("a log-in moved tokens: {account:?}"));
        }
        let strengthened = self.scenario == LoggingIn::WeakHash && is_current(&account.password);
        if account.password != self.scenario.hash() && !strengthened {
            wrong.push(format!("the password became {}", account.password));
        }
        let unnoticed = self
            .plan
            .is_none_or(|plan| plan.strikes == FaultRepeat::Once && plan.fault.is_sent_again());
        if self.scenario == LoggingIn::WeakHash
            && (unnoticed || self.replies.len() > 1)
            && !strengthened
        {
            wrong.push("a weak hash stays".into());
        }
        // The account has its first session, one for each successful log-in, and possibly one for
        // each log-in with an unknown outcome.
        let given = self.replies.iter().filter(|reply| reply.status == 200).count() + 1;
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let sessions = world.sessions.iter().filter(|user| *user == id).count();
        if sessions < given || sessions > given + unknown {
            wrong.push(format!("{sessions} sessions exist after {given} were issued"));
        }
        self.notes(moment, wrong);
    }

    /// Checks that a late copy doesn't move a session back to an earlier generation, revive a
    /// session that a reused refresh token has ended, or restore an old password.
    async fn outlives_late_copies(&mut self, rig: &Rig) {
        let mut wrong = Vec::new();
        for reply in self.replies.iter().filter(|reply| reply.status == 200) {
            let first = &reply.body["refresh"];
            let second = rig.refresh(first).await;
            let third = rig.refresh(&second.body["refresh"]).await;
            self.lane.deliver_much_later().await;
            wrong.extend(rig.refresh(&third.body["refresh"]).await.audit(&[(200, "")]));
            wrong.extend(rig.refresh(first).await.audit(&[(401, "token_not_valid")]));
            self.lane.deliver_much_later().await;
            wrong.extend(rig.refresh(first).await.audit(&[(401, "token_not_valid")]));
            if rig.balance(reply.body["access"].as_str().unwrap()).await.is_some() {
                wrong.push("an access token of an ended session holds".into());
            }
        }
        rig.api.set(&self.who, "password", AttributeValue::S("a new one".into())).await;
        self.lane.deliver_much_later().await;
        if rig.api.account(&self.who).await.password != "a new one" {
            wrong.push("a late copy took back a new password".into());
        }
        self.notes("at the end", wrong);
    }
}

async fn run(rig: &Rig, matrix: Matrix<LoggingIn>) -> (usize, Vec<String>) {
    let again = async |case: &mut Case<LoggingIn>, _: &World| {
        case.runs_again(&[case.scenario.succeeds()]).await;
    };
    let late = async |case: &mut Case<LoggingIn>| {
        case.lane.deliver_much_later().await;
        case.tokens_hold(rig).await;
    };
    let (mut cases, _) = matrix.run(rig, again, late, Case::<LoggingIn>::audit).await;
    side_by_side(&mut cases, async |case| {
        if case.plan.is_some_and(|plan| matches!(plan.fault, Fault::Again | Fault::Late)) {
            case.outlives_late_copies(rig).await;
        }
    })
    .await;
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_ins_start_valid_sessions_and_move_no_credits() {
    let rig = Rig::start().await;
    none(
        run(&rig, Matrix::of(&[LoggingIn::Address, LoggingIn::WeakHash, LoggingIn::WrongPassword]))
            .await,
    );
}
