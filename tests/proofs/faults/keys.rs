//! Changes to an API key: its name and its limit change together or not at all, its purse stays as
//! it is, and late copies of a change don't undo a later one.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::PRICE;
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::scan;

/// The number of tokens to which the owner lowers the limit after the request.
const LOWERED: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changing {
    /// The key gets another name and a lower limit.
    Limit,
    /// The key gets another name and loses its limit.
    Removal,
    /// The key never had a limit, and gets another name. The request also removes the limit.
    Nothing,
}

impl Changing {
    const ALL: [Self; 3] = [Self::Limit, Self::Removal, Self::Nothing];

    fn body(self) -> Value {
        match self {
            Self::Limit => json!({ "name": "new", "limit": { "tokens": 5, "per": "total" } }),
            Self::Removal | Self::Nothing => json!({ "name": "new", "limit": null }),
        }
    }

    /// The key's name and limit before the change.
    fn before(self) -> (&'static str, Option<u64>) {
        ("old", (self != Self::Nothing).then_some(1000))
    }

    /// The key's name and limit after the change.
    fn after(self) -> (&'static str, Option<u64>) {
        ("new", (self == Self::Limit).then_some(5))
    }
}

/// The key that has sent a message.
struct Key {
    id: String,
    /// True if the owner has lowered its limit after the request.
    is_lowered: bool,
}

impl Key {
    fn path(&self) -> String {
        format!("/api/user/api-keys/{}", self.id)
    }
}

impl Scenario for Changing {
    type Reply = Reply;
    type Own = Key;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let (name, limit) = self.before();
        let limit = limit.map(|tokens| json!({ "tokens": tokens }));
        let body = json!({ "name": name, "limit": limit });
        let made = who.post("/api/user/api-keys", body).await.is(201);
        who.using(made["key"].as_str().unwrap()).completes().await.is(200);
        let key = Key { id: made["id"].as_str().unwrap().to_owned(), is_lowered: false };
        let case = Case::new(rig, "api_key_rename", self, plan, retries, who, key);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, body) = (case.who.bearer(), case.scenario.body());
        let headers = [("authorization", bearer.as_str())];
        ask(case.function(), "api_key_rename", &case.own.path(), &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200
    }
}

/// The name and the limit of each API key, and the purses of each account.
struct Found {
    keys: HashMap<String, (String, Option<u64>)>,
    purses: HashMap<String, Value>,
}

impl Found {
    async fn read(rig: &Rig) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tokens: Vec<Value> = scan(&rig.api.dynamodb, "TokensTable").await;
        let keys = tokens.iter().filter_map(|item| {
            let id = item["pk"].as_str()?.strip_prefix("apikey:")?.to_owned();
            Some((id, (text(&item["label"]), item["restricted"]["limit"]["tokens"].as_u64())))
        });
        let users: Vec<Value> = scan(&rig.api.dynamodb, "UsersTable").await;
        let purses = users.iter().map(|user| (text(&user["id"]), user["purses"].clone()));
        Self { keys: keys.collect(), purses: purses.collect() }
    }
}

impl Case<Changing> {
    /// Lowers the limit without a fault. The request is refused if the key has no limit.
    async fn lowers(&mut self) {
        let change = json!({ "limit": { "tokens": LOWERED } });
        let answer = self.who.patch(&self.own.path(), change).await;
        self.own.is_lowered = answer.status == 200;
        if !self.own.is_lowered {
            answer.expect(409, "no_key_limit");
        }
    }

    fn audit(&mut self, moment: &str, found: &Found) {
        let allowed = [(200, ""), (503, "unavailable")];
        let mut wrong: Vec<_> =
            self.replies.iter().flat_map(|reply| reply.audit(&allowed)).collect();
        let (name, limit) = &found.keys[&self.own.id];
        let is = (name.as_str(), *limit);
        let [before, after] = [self.scenario.before(), self.scenario.after()]
            .map(|(name, limit)| (name, if self.own.is_lowered { Some(LOWERED) } else { limit }));
        let is_done = self.replies.iter().any(|reply| reply.status == 200);
        // A request whose reply is a failure may have been applied.
        let may_be = |state| !is_done && !self.replies.is_empty() && state == is;
        if is != after && !may_be(before) {
            wrong.push(format!("{is:?} after {:?}", self.replies));
        }
        let purses = match self.scenario {
            Changing::Nothing => Value::Null,
            Changing::Limit | Changing::Removal => {
                json!({ format!("{}#total", self.own.id): PRICE })
            }
        };
        if found.purses[&self.who.id] != purses {
            wrong.push(format!("the purses are {}", found.purses[&self.who.id]));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_change_atomically_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&Changing::ALL).cases(&rig).await;
    disturb(&mut cases).await;
    let found = Found::read(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &found));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            case.runs_again(&[(200, "")]).await;
        }
        case.lowers().await;
        case.lane.deliver_much_later().await;
    })
    .await;
    let found = Found::read(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &found));
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
