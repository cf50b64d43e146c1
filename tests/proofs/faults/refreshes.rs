//! Refreshes. A refresh token has one successor, and only an invalid refresh token ends the
//! session.

use std::collections::HashSet;

use serde_json::json;

use super::{Case, Matrix, Scenario, none, side_by_side};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;

/// The refresh token under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshing {
    /// The session's first refresh token.
    First,
    /// The successor of the first refresh token.
    Second,
    /// The first refresh token, presented after its successor was used, as a thief might present an
    /// old copy.
    Dead,
}

impl Refreshing {
    fn succeeds(self) -> (u16, &'static str) {
        if self == Self::Dead { (401, "token_not_valid") } else { (200, "") }
    }
}

impl Scenario for Refreshing {
    type Reply = Reply;
    type Own = ();

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let mut case = Case::new(rig, "token_refresh", self, plan, retries, who, ());
        if self != Self::First {
            let second = case.next_of(&case.who.refresh).await.unwrap();
            match self {
                Self::Dead => drop(case.next_of(&second).await.unwrap()),
                _ => case.who.refresh = second,
            }
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        ask(
            case.function(),
            "token_refresh",
            "/api/token/refresh",
            &[],
            json!({ "refresh": case.who.refresh }),
        )
        .await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        (reply.status, reply.code()) == self.succeeds()
    }
}

impl Case<Refreshing> {
    /// Gets a refresh token's successor, with no faults injected.
    async fn next_of(&self, refresh: &str) -> Option<String> {
        let reply = ask(
            self.function(),
            "token_refresh",
            "/api/token/refresh",
            &[],
            json!({ "refresh": refresh }),
        )
        .await;
        reply.body["refresh"].as_str().map(str::to_owned)
    }

    async fn runs_to_its_end(&mut self, rig: &Rig) {
        self.runs().await;
        self.lane.calm();
        if self.retries {
            self.runs_again(&[self.scenario.succeeds()]).await;
        }
        self.lane.deliver_much_later().await;
        let expected = [self.scenario.succeeds(), (503, "unavailable")];
        let wrong: Vec<_> = self.replies.iter().flat_map(|reply| reply.audit(&expected)).collect();
        self.notes("the replies", wrong);
        let wrong = match self.scenario {
            Refreshing::Dead => self.is_over(rig).await,
            _ => self.goes_on(rig).await,
        };
        self.notes("afterwards", wrong);
    }

    /// Returns the violations in a session that must remain valid until an invalid refresh token
    /// ends it.
    async fn goes_on(&self, rig: &Rig) -> Vec<String> {
        let mut wrong = Vec::new();
        let given: HashSet<_> =
            self.replies.iter().filter_map(|reply| reply.body["refresh"].as_str()).collect();
        if given.len() > 1 {
            wrong.push(format!("{} different successors", given.len()));
        }
        for reply in self.replies.iter().filter(|reply| reply.status == 200) {
            wrong.extend(
                rig.balance(reply.body["access"].as_str().unwrap())
                    .await
                    .is_none()
                    .then(|| "an access token that opens nothing".into()),
            );
        }
        let Some(next) = self.next_of(&self.who.refresh).await else {
            return vec!["the session is over".into()];
        };
        if given.iter().any(|given| *given != next) {
            wrong.push("another successor than before".into());
        }
        let Some(last) = self.next_of(&next).await else {
            return vec!["the successor is refused".into()];
        };
        if rig.balance(&self.who.access).await.is_none() {
            wrong.push("the session's first access token opens nothing".into());
        }
        if self.next_of(&self.who.refresh).await.is_some() || self.next_of(&last).await.is_some() {
            wrong.push("a dead token didn't end the session".into());
        }
        wrong
    }

    /// Returns the violations in a session after a client has presented an invalid refresh token.
    async fn is_over(&self, rig: &Rig) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.replies.iter().all(Reply::is_unknown)
            && self.next_of(&self.who.refresh).await.is_some()
        {
            wrong.push("a dead token was taken".into());
        }
        if rig.balance(&self.who.access).await.is_some() {
            wrong.push("an access token of an ended session holds".into());
        }
        wrong
    }
}

pub async fn run(rig: &Rig, matrix: Matrix<Refreshing>) -> (usize, Vec<String>) {
    let mut cases = matrix.cases(rig).await;
    side_by_side(&mut cases, async |case| case.runs_to_its_end(rig).await).await;
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_have_one_successor_and_only_reuse_ends_a_session() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&[Refreshing::First, Refreshing::Second, Refreshing::Dead])).await);
}
