//! Accounts that administrators create. A name is assigned only once, with one grant, one row on
//! the trail and, for an invitation, one e-mail.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shared::values::Intervention;

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::{Person, unique};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creating {
    Administrator,
    /// The request has an idempotency key.
    Inviting,
}

impl Scenario for Creating {
    type Reply = Reply;
    /// The administrator who sends the request.
    type Own = Person;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let (who, root) = (rig.without_account(unique("ben"), "none"), rig.person().await);
        rig.api.set(&root, "role", AttributeValue::S("admin".into())).await;
        let case = Case::new(rig, "admin_user_create", self, plan, retries, who, root);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, invites) = (case.own.bearer(), case.scenario == Self::Inviting);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(invites.then_some(("idempotency-key", "k1")));
        let role = if invites { "user" } else { "admin" };
        let body = json!({ "username": case.who.name, "email": case.address(), "role": role, "invite": invites });
        ask(case.function(), "admin_user_create", "/api/admin/users", &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 201
    }
}

impl Case<Creating> {
    fn audit(&mut self, moment: &str, world: &World) {
        let (account, mut wrong) = self.created(world, 409);
        let (what, administers) = match self.scenario {
            Creating::Administrator => (Intervention::Creation, true),
            Creating::Inviting => (Intervention::Invitation, false),
        };
        if let Some(account) = account {
            let rows = world.ledger(&account.id);
            if rows.iter().any(|row| row.actor != self.own.id) {
                wrong.push(format!("granted by another account: {rows:?}"));
            }
            let acts = world.acts(&account.id);
            if acts.len() != 1
                || acts[0].intervention != Some(what)
                || acts[0].granted != Some(account.granted)
                || acts[0].actor != self.own.id
            {
                wrong.push(format!("not once on the trail: {acts:?}"));
            }
            if world.administrators.contains(&account.id) != administers {
                wrong.push(format!("the list of administrators is {:?}", world.administrators));
            }
            if world.sessions.contains(&account.id) {
                wrong.push("a session has begun".into());
            }
        }
        self.notes(moment, wrong);
    }

    /// Checks that an invited account got one e-mail, and that other accounts got no e-mail.
    fn was_sent(&mut self, rig: &Rig, world: &World) {
        let (name, address) = (&self.who.name, self.address());
        let exists = world.accounts.values().any(|account| account.name == *name);
        let expected = usize::from(exists && self.scenario == Creating::Inviting);
        let mails = rig.api.server().mails.as_ref().unwrap().borrow();
        let sent = mails.iter().filter(|mail| mail.to == address).count();
        drop(mails);
        let wrong = (sent != expected).then(|| format!("{sent} e-mails instead of {expected}"));
        self.notes("in the end", wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_created_granted_and_invited_once_under_any_fault() {
    let rig = Rig::start().await;
    let matrix = Matrix::of(&[Creating::Administrator, Creating::Inviting]);
    let mut cases = matrix.cases(&rig).await;
    disturb(&mut cases).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &world));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            let stood = world.accounts.values().any(|account| account.name == case.who.name);
            let keyed = case.scenario == Creating::Inviting;
            // The store forgets the request tokens, so only the account's item shows that the
            // request was applied.
            case.lane.forgets_tokens();
            case.runs_again(&[if stood && !keyed { (409, "username_taken") } else { (201, "") }])
                .await;
            let replayed = case.replies.last().unwrap().replayed();
            case.notes(
                "sent again",
                (replayed != (stood && keyed)).then(|| format!("replayed: {replayed}")),
            );
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world));

    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    rig.api.outbox_is_empty().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("after late copies", &world);
        case.was_sent(&rig, &world);
    }
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
