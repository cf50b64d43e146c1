//! Administrators' changes. A change to a user's role or state writes a row on the trail, and
//! updates the list of administrators. A balance change either has an idempotency key or belongs to
//! a file of grants.

use std::sync::LazyLock;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::values::{EntryKind, Role};

use super::{Case, Matrix, Scenario, none};
use crate::support::client::{GRANT, Person};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::{Rig, standing};
use crate::support::world::World;

/// The id of a file of grants, as created by its preview. Each case grants to a different user.
static FILE: LazyLock<String> = LazyLock::new(|| standing().id().to_string());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Administering {
    Deactivating,
    Promoting,
    Demoting,
    /// Demotes and deactivates a user in one request.
    Expelling,
    Adjusting,
    Keyed,
    /// Takes the whole balance. After this, the empty balance alone prevents a second adjustment.
    TakingAll,
    /// Grants credits from a file.
    Granting,
}

impl Administering {
    const ALL: [Self; 8] = [
        Self::Deactivating,
        Self::Promoting,
        Self::Demoting,
        Self::Expelling,
        Self::Adjusting,
        Self::Keyed,
        Self::TakingAll,
        Self::Granting,
    ];

    fn body(self, user: &str) -> Value {
        match self {
            Self::Deactivating => json!({ "active": false, "reason": "a test" }),
            Self::Promoting => json!({ "role": "admin" }),
            Self::Demoting => json!({ "role": "user" }),
            Self::Expelling => json!({ "active": false, "role": "user" }),
            Self::Adjusting | Self::Keyed => json!({ "amount": 500, "reason": "a test" }),
            Self::TakingAll => json!({ "amount": -4000, "reason": "a test" }),
            Self::Granting => {
                let grants = json!([{ "user": user, "amount": 500 }]);
                json!({ "id": *FILE, "reason": "a test", "grants": grants })
            }
        }
    }

    fn adjusts(self) -> bool {
        matches!(self, Self::Adjusting | Self::Keyed | Self::TakingAll | Self::Granting)
    }

    fn has_key(self) -> bool {
        matches!(self, Self::Keyed | Self::TakingAll | Self::Granting)
    }

    /// The expected status if there is no fault.
    fn status(self) -> u16 {
        if self.adjusts() && self != Self::Granting { 201 } else { 200 }
    }

    fn was(self) -> (bool, Role) {
        (
            true,
            if matches!(self, Self::Demoting | Self::Expelling) { Role::Admin } else { Role::User },
        )
    }

    fn endpoint(self) -> &'static str {
        match self {
            Self::Granting => "admin_grants",
            _ if self.adjusts() => "admin_adjustment",
            _ => "admin_user_change",
        }
    }

    fn becomes(self) -> (bool, Role) {
        let active = !matches!(self, Self::Deactivating | Self::Expelling);
        (active, if self == Self::Promoting { Role::Admin } else { Role::User })
    }
}

impl Scenario for Administering {
    type Reply = Reply;
    /// The administrator who sends the request.
    type Own = Person;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let (who, root) = (rig.person().await, rig.person().await);
        for admin in
            [Some(&root), Some(&who).filter(|_| self.was().1 == Role::Admin)].into_iter().flatten()
        {
            rig.api.set(admin, "role", AttributeValue::S("admin".into())).await;
        }
        let case = Case::new(rig, self.endpoint(), self, plan, retries, who, root);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, user) = (case.own.bearer(), format!("/api/admin/users/{}", case.who.id));
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(case.scenario.has_key().then_some(("idempotency-key", "k1")));
        let path = match case.scenario.endpoint() {
            "admin_grants" => "/api/admin/grants".to_owned(),
            "admin_adjustment" => format!("{user}/adjustments"),
            _ => user,
        };
        let (endpoint, body) = (case.scenario.endpoint(), case.scenario.body(&case.who.id));
        ask(case.function(), endpoint, &path, &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == self.status()
    }
}

impl Case<Administering> {
    fn audit(&mut self, moment: &str, world: &World) {
        let scenario = self.scenario;
        let mut wrong = world.audit(&self.who.id);
        for reply in &self.replies {
            wrong.extend(reply.audit(&[(scenario.status(), ""), (503, "unavailable")]));
        }
        let done = self.replies.iter().filter(|reply| scenario.is_usual(reply)).count();
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let account = &world.accounts[&self.who.id];
        let rows = world
            .ledger(&self.who.id)
            .iter()
            .filter(|row| row.kind == EntryKind::Adjustment)
            .count();
        let acts = world.acts(&self.who.id).len();
        let state = (
            account.active,
            account.role.clone(),
            account.auth_epoch,
            acts,
            world.administrators.contains(&self.who.id),
        );
        if scenario.adjusts() {
            let (least, most) = if scenario.has_key() {
                (done.min(1), (done + unknown).min(1))
            } else {
                (done, done + unknown)
            };
            let amount = if scenario == Administering::TakingAll { -4000 } else { 500 };
            let granted = i64::try_from(GRANT).unwrap() + i64::try_from(rows).unwrap() * amount;
            if rows < least || rows > most || i64::try_from(account.granted.get()) != Ok(granted) {
                wrong.push(format!(
                    "{rows} rows for {done} adjustments, and {unknown} unknown: {account:?}"
                ));
            }
        } else {
            let ((was, role), (active, other)) = (scenario.was(), scenario.becomes());
            let changes = usize::from(was != active) + usize::from(role != other);
            let before = (was, role, 1, 0, false);
            let after = (active, other, 2, changes, scenario == Administering::Promoting);
            if state != after && (done > 0 || state != before) {
                wrong.push(format!(
                    "the state is {state:?} after {done} changes, and {unknown} unknown"
                ));
            }
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_changes_are_applied_at_most_once_under_any_fault() {
    let rig = Rig::start().await;
    let again = async |case: &mut Case<Administering>, _: &World| {
        // The store forgets the request tokens, so only the account shows that the store applied
        // the change.
        case.lane.forgets_tokens();
        case.runs_again(&[(case.scenario.status(), "")]).await;
    };
    let late = async |case: &mut Case<Administering>| case.lane.deliver_much_later().await;
    let matrix = Matrix::of(&Administering::ALL);
    let (cases, _) = matrix.run(&rig, again, late, Case::<Administering>::audit).await;
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
