//! Changes to a user's folders: their creation, their names and instructions, their order, and
//! their deletion. All folders are in one item.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::scan;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changing {
    Creation,
    /// Changes the first folder's name, instructions and position in one request.
    Change,
    Deletion,
}

impl Changing {
    const ALL: [Self; 3] = [Self::Creation, Self::Change, Self::Deletion];

    fn endpoint(self) -> &'static str {
        match self {
            Self::Creation => "folder_create",
            Self::Change => "folder_change",
            Self::Deletion => "folder_delete",
        }
    }

    fn body(self) -> Value {
        match self {
            Self::Creation => json!({ "name": "New" }),
            Self::Change => json!({ "name": "Fares", "instructions": "Be brief.", "position": 1 }),
            Self::Deletion => Value::Null,
        }
    }

    /// The status of a success, and of a retry after the change was applied.
    fn statuses(self) -> [(u16, &'static str); 2] {
        match self {
            Self::Creation => [(201, ""), (201, "")],
            Self::Change => [(200, ""), (200, "")],
            Self::Deletion => [(200, ""), (404, "not_found")],
        }
    }

    /// Returns the names and instructions of the folders after the change was applied this many
    /// times.
    fn becomes(self, times: usize) -> Vec<(&'static str, &'static str)> {
        let before = [("One", ""), ("Two", "")];
        match self {
            _ if times == 0 => before.to_vec(),
            Self::Creation => before.into_iter().chain(vec![("New", ""); times]).collect(),
            Self::Change => vec![("Two", ""), ("Fares", "Be brief.")],
            Self::Deletion => vec![("Two", "")],
        }
    }
}

impl Scenario for Changing {
    type Reply = Reply;
    /// The first folder's id.
    type Own = String;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let one = who.post("/api/folders", json!({ "name": "One" })).await.is(201);
        who.post("/api/folders", json!({ "name": "Two" })).await.is(201);
        let id = one["id"].as_str().unwrap().to_owned();
        let case = Case::new(rig, self.endpoint(), self, plan, retries, who, id);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, body) = (case.who.bearer(), case.scenario.body());
        let headers = [("authorization", bearer.as_str())];
        let path = match case.scenario {
            Self::Creation => "/api/folders".to_owned(),
            Self::Change | Self::Deletion => format!("/api/folders/{}", case.own),
        };
        ask(case.function(), case.scenario.endpoint(), &path, &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == self.statuses()[0].0
    }
}

/// Returns the names and instructions of each user's folders.
async fn folders(rig: &Rig) -> HashMap<String, Vec<(String, String)>> {
    let mut items: Vec<Value> = scan(&rig.api.dynamodb, "TokensTable").await;
    items.retain(|item| item["pk"].as_str().unwrap().starts_with("folders:"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shown = |folder: &Value| (text(&folder["name"]), text(&folder["instructions"]));
    let of_item = |item: &Value| item["folders"].as_array().unwrap().iter().map(shown).collect();
    items.iter().map(|item| (text(&item["user_id"]), of_item(item))).collect()
}

impl Case<Changing> {
    fn audit(&mut self, moment: &str, folders: &HashMap<String, Vec<(String, String)>>) {
        let allowed = [&self.scenario.statuses()[..], &[(503, "unavailable")][..]].concat();
        let mut wrong: Vec<_> =
            self.replies.iter().flat_map(|reply| reply.audit(&allowed)).collect();
        let is = &folders[&self.who.id];
        let is: Vec<_> = is.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let done = self.replies.iter().filter(|reply| reply.status < 300).count();
        let sent = self.replies.len();
        // A request whose reply is a failure may have been applied.
        if (done..=sent).all(|times| is != self.scenario.becomes(times)) {
            wrong.push(format!("{is:?} after {:?}", self.replies));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_change_atomically_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&Changing::ALL).cases(&rig).await;
    disturb(&mut cases).await;
    let found = folders(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &found));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            let expected = case.scenario.statuses();
            case.runs_again(&expected).await;
        }
        case.lane.deliver_much_later().await;
    })
    .await;
    let found = folders(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &found));
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
