//! Registrations. Only one account is registered for a name, and it gets one grant.

use serde_json::json;
use shared::values::Account;

use super::{Case, Matrix, Scenario, none};
use crate::support::client::{GRANT, unique};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::World;

/// The registration under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registering {
    Once,
    Keyed,
    /// An earlier request with the same idempotency key has finished.
    Again,
}

impl Scenario for Registering {
    type Reply = Reply;
    /// The idempotency key.
    type Own = Option<String>;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let key = (self != Self::Once).then(|| "k1".to_owned());
        let mut case = Case::new(
            rig,
            "register",
            self,
            plan,
            retries,
            rig.without_account(unique("ben"), "secret123"),
            key,
        );
        if self == Self::Again {
            case.asks().await;
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let headers: Vec<_> =
            case.own.as_deref().map(|key| ("idempotency-key", key)).into_iter().collect();
        let body = json!({ "username": case.who.name, "password": case.who.password, "email": case.address() });
        ask(case.function(), "register", "/api/register", &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 201
    }
}

impl<S: Scenario<Reply = Reply>> Case<S> {
    /// The e-mail address of the account that a user or an administrator creates.
    pub(super) fn address(&self) -> String {
        format!("{}@example.com", self.who.name)
    }

    /// Returns the account if it exists, and the rules that the account violates. The account must
    /// be created once, with one grant and one address, and must be the account in the replies.
    /// `taken` is the status of the reply if the name is taken.
    pub(super) fn created<'w>(
        &self,
        world: &'w World,
        taken: u16,
    ) -> (Option<&'w Account>, Vec<String>) {
        let mut wrong = Vec::new();
        for reply in &self.replies {
            wrong.extend(reply.audit(&[
                (201, ""),
                (taken, "username_taken"),
                (503, "unavailable"),
            ]));
        }
        let accounts: Vec<_> =
            world.accounts.values().filter(|account| account.name == self.who.name).collect();
        let claims: Vec<_> =
            world.claims.iter().filter(|claim| claim["label"] == self.address()).collect();
        let done = self.replies.iter().any(|reply| [201, taken].contains(&reply.status));
        let unknown = self.replies.iter().any(Reply::is_unknown);
        if accounts.len() > 1
            || (done && accounts.is_empty())
            || (!done && !unknown && !accounts.is_empty())
        {
            wrong.push(format!("{} accounts have the name", accounts.len()));
        }
        if claims.len() != accounts.len()
            || claims.iter().zip(&accounts).any(|(claim, account)| claim["id"] != account.id)
        {
            wrong.push(format!("the address is claimed by {claims:?}"));
        }
        let account = accounts.first().copied();
        if let Some(account) = account {
            wrong.extend(world.audit(&account.id));
            wrong.extend(world.at_rest(&account.id));
            let rows = world.ledger(&account.id);
            if rows.len() != 1 || account.granted.get() != GRANT || account.tokens.get() != GRANT {
                wrong.push(format!("not granted once: {account:?} {rows:?}"));
            }
            for reply in self.replies.iter().filter(|reply| reply.status == 201) {
                if reply.body["id"] != account.id || reply.body["email"] != self.address() {
                    wrong.push(format!("{} is not the account {account:?}", reply.body));
                }
            }
        }
        (account, wrong)
    }
}

impl Case<Registering> {
    fn audit(&mut self, moment: &str, world: &World) {
        let (account, mut wrong) = self.created(world, 400);
        if let Some(account) = account {
            // Each request with the reply 201 has started a session, and each request with an
            // unknown outcome may have started a session.
            let answered = self.replies.iter().filter(|reply| reply.status == 201);
            let granted = answered.clone().count();
            let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
            let sessions = world.sessions.iter().filter(|user| **user == account.id).count();
            if sessions < granted || sessions > granted + unknown {
                wrong.push(format!("{sessions} sessions for {granted} answered registrations"));
            }
            for reply in answered.filter(|reply| reply.body["tokens"] != GRANT) {
                wrong.push(format!("{} doesn't show the grant", reply.body));
            }
        }
        self.notes(moment, wrong);
    }
}

async fn run(rig: &Rig, matrix: Matrix<Registering>) -> (usize, Vec<String>) {
    let again = async |case: &mut Case<Registering>, world: &World| {
        let stood = world.accounts.values().any(|account| account.name == case.who.name);
        let keyed = case.own.is_some();
        case.runs_again(&[if stood && !keyed { (400, "username_taken") } else { (201, "") }]).await;
        let replayed = case.replies.last().unwrap().replayed();
        case.notes(
            "sent again",
            (replayed != (stood && keyed)).then(|| format!("replayed: {replayed}")),
        );
    };
    let late = async |case: &mut Case<Registering>| {
        case.lane.deliver_much_later().await;
        case.tokens_hold(rig).await;
    };
    let (cases, world) = matrix.run(rig, again, late, Case::<Registering>::audit).await;
    let mut wrong: Vec<_> = cases.iter().flat_map(Case::verdict).collect();
    for user in world
        .ledger
        .keys()
        .chain(&world.sessions)
        .filter(|user| !world.accounts.contains_key(*user))
    {
        wrong.push(format!("{user} has a ledger row or a session, and no account"));
    }
    (cases.len(), wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_registered_and_granted_once_under_any_fault() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&[Registering::Once, Registering::Keyed, Registering::Again])).await);
}
