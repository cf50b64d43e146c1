//! A log-out ends its session. It ends the other sessions only if the client asks for this, or if
//! the account can't remember another ended session.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{Case, Matrix, Scenario, none, side_by_side};
use crate::support::client::Person;
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;

/// How the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// A log-out ends the session.
    Here,
    /// A log-out ends all sessions.
    Everywhere,
    /// A log-out ends the session. The account already remembers the maximum number of ended
    /// sessions, all of which have expired.
    Outdated,
    /// A log-out ends all sessions, because the account already remembers the maximum number of
    /// ended sessions, and these haven't expired.
    Full,
    /// A request from another session ends the session by the session's id.
    FromElsewhere,
}

impl Leaving {
    const ALL: [Self; 5] =
        [Self::Here, Self::Everywhere, Self::Outdated, Self::Full, Self::FromElsewhere];

    fn ends_all(self) -> bool {
        matches!(self, Self::Everywhere | Self::Full)
    }
}

impl Scenario for Leaving {
    type Reply = Reply;
    /// Another session of the same account.
    type Own = Person;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        if let Self::Outdated | Self::Full = self {
            let ends = if self == Self::Full { "9999999999" } else { "1" };
            let revoked = (0..50)
                .map(|index| (format!("old-{index}"), AttributeValue::N(ends.into())))
                .collect();
            rig.api.set(&who, "revoked", AttributeValue::M(revoked)).await;
        }
        let other = rig.session_of(&who).await;
        let function = if self == Self::FromElsewhere { "session_end" } else { "logout" };
        let case = Case::new(rig, function, self, plan, retries, who, other);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, others) = (case.who.bearer(), case.own.bearer());
        match case.scenario {
            Self::FromElsewhere => {
                let path = format!("/api/user/sessions/{}", case.who.session());
                ask(
                    case.function(),
                    "session_end",
                    &path,
                    &[("authorization", &others)],
                    Value::Null,
                )
                .await
            }
            scenario => {
                ask(
                    case.function(),
                    "logout",
                    "/api/logout",
                    &[("authorization", &bearer)],
                    json!({ "all": scenario == Self::Everywhere }),
                )
                .await
            }
        }
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200
    }
}

impl Case<Leaving> {
    async fn runs_to_its_end(&mut self, rig: &Rig) {
        self.runs().await;
        self.lane.calm();
        let mut known = vec![(200, "")];
        if self.scenario == Leaving::FromElsewhere && self.retries {
            // The first request has already ended the session.
            known.push((404, "not_found"));
        }
        if self.retries {
            self.runs_again(&known).await;
        }
        let left = self.replies.last().is_some_and(|reply| !reply.is_unknown());
        let again = rig.session_of(&self.who).await;
        self.lane.deliver_much_later().await;

        known.push((503, "unavailable"));
        let wrong: Vec<_> = self.replies.iter().flat_map(|reply| reply.audit(&known)).collect();
        self.notes("the replies", wrong);
        let all = self.scenario.ends_all();
        let [here, elsewhere, later] =
            [rig.lives(&self.who).await, rig.lives(&self.own).await, rig.lives(&again).await];
        if left && (here > 0 || (all && elsewhere > 0)) {
            self.notes("afterwards", [format!("a session lives on: {here} {elsewhere}")]);
        }
        if (!all && elsewhere < 3) || (left && later < 3) {
            self.notes("afterwards", [format!("another session ended: {elsewhere} {later}")]);
        }
        let remembered = rig.api.account(&self.who).await.revoked.len();
        self.notes(
            "afterwards",
            (remembered > 50).then(|| format!("{remembered} sessions are remembered")),
        );
    }
}

impl Rig {
    /// Returns how many of a session's three JWTs the API accepts.
    async fn lives(&self, who: &Person) -> usize {
        let opens =
            [self.balance(&who.access).await.is_some(), self.balance(&who.token).await.is_some()];
        let refreshed = self.refresh(&json!(who.refresh)).await.status == 200;
        opens.into_iter().chain([refreshed]).filter(|opens| *opens).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_outs_end_only_their_session_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&Leaving::ALL).cases(&rig).await;
    side_by_side(&mut cases, async |case| {
        if case.plan.is_some() {
            case.runs_to_its_end(&rig).await
        }
    })
    .await;
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
