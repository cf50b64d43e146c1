//! Administrators' interventions other than changes to the role, state or balance. Each
//! intervention writes a row on the trail.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use shared::values::idempotency::fingerprint;
use shared::values::{Email, Intervention};

use super::{Case, Matrix, Scenario, none};
use crate::support::client::{Person, unique};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intervening {
    EndingSessions,
    /// Revokes one of two API keys.
    RevokingKey,
    /// Revokes two API keys in one request.
    RevokingKeys,
    SendingReset,
    /// Deletes an administrator who has an e-mail address.
    Deleting,
    ExportingAddresses,
}

impl Intervening {
    const ALL: [Self; 6] = [
        Self::EndingSessions,
        Self::RevokingKey,
        Self::RevokingKeys,
        Self::SendingReset,
        Self::Deleting,
        Self::ExportingAddresses,
    ];

    /// The endpoint, and the part of the request's path after the user's id. The path of an export
    /// ends with the id.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::ExportingAddresses => ("admin_export", ""),
            Self::EndingSessions => ("admin_sessions_end", "/sessions"),
            Self::RevokingKey | Self::RevokingKeys => ("admin_api_keys_revoke", "/api-keys"),
            Self::SendingReset => ("admin_password_reset", "/password-reset"),
            Self::Deleting => ("admin_user_delete", ""),
        }
    }

    fn what(self) -> Intervention {
        match self {
            Self::EndingSessions => Intervention::Sessions,
            Self::RevokingKey => Intervention::ApiKey,
            Self::RevokingKeys => Intervention::ApiKeys,
            Self::SendingReset => Intervention::PasswordReset,
            Self::Deleting => Intervention::Deletion,
            Self::ExportingAddresses => Intervention::Addresses,
        }
    }

    /// The possible replies if the request is repeated after a success or an unknown outcome.
    fn again(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::EndingSessions | Self::RevokingKeys | Self::ExportingAddresses => &[(200, "")],
            Self::RevokingKey => &[(200, ""), (404, "not_found")],
            Self::SendingReset => &[(202, "")],
            Self::Deleting => &[(202, ""), (404, "not_found")],
        }
    }

    /// How many API keys the account has before and after the request.
    fn keys(self) -> [usize; 2] {
        match self {
            Self::EndingSessions
            | Self::SendingReset
            | Self::Deleting
            | Self::ExportingAddresses => [0, 0],
            Self::RevokingKey => [2, 1],
            Self::RevokingKeys => [2, 0],
        }
    }
}

struct Own {
    root: Person,
    /// The part of the request's path after the user's id.
    place: String,
    /// The user's e-mail address.
    address: String,
}

impl Scenario for Intervening {
    type Reply = Reply;
    type Own = Own;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let (name, root) = (unique("ann"), rig.person().await);
        let email = Email::choose(&format!("{name}@example.com")).unwrap();
        let address = email.key().to_owned();
        let who = rig.person_with(name, "no hash of any password", Some(email)).await;
        let other = Some(&who).filter(|_| self == Self::Deleting);
        for admin in [Some(&root), other].into_iter().flatten() {
            rig.api.set(admin, "role", AttributeValue::S("admin".into())).await;
        }
        let (endpoint, place) = self.place();
        let mut place = place.to_owned();
        for _ in 0..self.keys()[0] {
            let key = who.makes_a_key("a program").await.is(201);
            if self == Self::RevokingKey {
                place = format!("/api-keys/{}", key["id"].as_str().unwrap());
            }
        }
        let case = Case::new(rig, endpoint, self, plan, retries, who, Own { root, place, address });
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let Own { root, place, .. } = &case.own;
        let (bearer, id) = (root.bearer(), &case.who.id);
        let path = match case.scenario {
            Self::ExportingAddresses => format!("/api/admin/export/addresses.csv?users={id}"),
            _ => format!("/api/admin/users/{id}{place}"),
        };
        let headers = [("authorization", bearer.as_str())];
        ask(case.function(), case.scenario.place().0, &path, &headers, Value::Null).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        let is_accepted = matches!(self, Self::SendingReset | Self::Deleting);
        reply.status == if is_accepted { 202 } else { 200 }
    }
}

impl Case<Intervening> {
    fn audit(&mut self, moment: &str, world: &World) {
        let scenario = self.scenario;
        let mut wrong = world.audit(&self.who.id);
        let expected = [&[(200, ""), (503, "unavailable")][..], scenario.again()].concat();
        for reply in &self.replies {
            wrong.extend(reply.audit(&expected));
        }
        let done = self.replies.iter().filter(|reply| scenario.is_usual(reply)).count();
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let account = &world.accounts[&self.who.id];
        let rows = world.acts(&self.who.id);
        let of_it = |row: &&shared::values::AdminAct| {
            row.intervention == Some(scenario.what()) && row.actor == self.own.root.id
        };
        let acts = rows.iter().filter(of_it).count();
        if acts != rows.len() {
            wrong.push(format!("other rows: {rows:?}"));
        }
        let epochs = usize::try_from(account.auth_epoch).unwrap() - 1;
        let keys = world.keys.iter().filter(|owner| **owner == self.who.id).count();
        let (least, most) = match scenario {
            Intervening::EndingSessions | Intervening::ExportingAddresses => (done, done + unknown),
            // A repeated request changes nothing.
            Intervening::RevokingKey | Intervening::RevokingKeys | Intervening::Deleting => {
                (done.min(1), (done + unknown).min(1))
            }
            // A second password reset within a minute does nothing.
            Intervening::SendingReset => (done.min(1), done + unknown),
        };
        let begins = matches!(scenario, Intervening::EndingSessions | Intervening::Deleting);
        let ends = if begins { acts } else { 0 };
        let left = scenario.keys()[acts.min(1)];
        if acts < least || acts > most || epochs != ends || keys != left {
            wrong.push(format!(
                "{acts} rows, {epochs} epochs and {keys} keys after {done} times, and {unknown} unknown"
            ));
        }
        let pause = world.pauses.get(&fingerprint(&self.own.address));
        let is_of_a_row = |pause: &String| rows.iter().any(|row| row.id == *pause);
        let expected = scenario == Intervening::SendingReset && acts > 0;
        if pause.is_some_and(is_of_a_row) != expected || pause.is_some() != expected {
            wrong.push(format!("the pause is of {pause:?} after {acts} rows"));
        }
        let claimed = world.claims.iter().any(|claim| claim["id"] == self.who.id.as_str());
        let gone = (account.deleted.is_some(), account.email.is_none(), !claimed);
        let is_gone = scenario == Intervening::Deleting && acts > 0;
        if gone != (is_gone, is_gone, is_gone) {
            wrong.push(format!("half deleted: {account:?}, claimed: {claimed}"));
        }
        let shows = |reply: &Reply| reply.body.to_string().contains(&self.own.address);
        if scenario == Intervening::ExportingAddresses
            && self.replies.iter().any(|reply| shows(reply) != (reply.status == 200))
        {
            wrong.push("an address is missing from a file, or in a failure".into());
        }
        if usize::try_from(account.api_keys) != Ok(keys) {
            wrong.push(format!("{} keys are counted of {keys}", account.api_keys));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interventions_happen_at_most_once_and_with_their_trail_row() {
    let rig = Rig::start().await;
    let again = async |case: &mut Case<Intervening>, _: &World| {
        // The store forgets the request tokens, so only its items show that it applied the
        // intervention.
        case.lane.forgets_tokens();
        case.runs_again(case.scenario.again()).await;
    };
    let late = async |case: &mut Case<Intervening>| case.lane.deliver_much_later().await;
    let matrix = Matrix::of(&Intervening::ALL);
    let (cases, _) = matrix.run(&rig, again, late, Case::<Intervening>::audit).await;
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
