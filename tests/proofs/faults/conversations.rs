//! Changes to conversations: the title, the instructions, and the position in the list. The
//! position depends on the pin or, if the conversation isn't pinned, on its last use.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::{is_chat, scan};

/// A conversation's title, its instructions, and whether it is pinned.
type State = (&'static str, Option<&'static str>, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changing {
    Title,
    Pin,
    /// Sets the title, the instructions and the pin in one request.
    All,
    EndOfPin,
    /// Resets the title, the instructions and the pin in one request.
    EndOfAll,
}

impl Changing {
    const ALL: [Self; 5] = [Self::Title, Self::Pin, Self::All, Self::EndOfPin, Self::EndOfAll];

    fn body(self) -> Value {
        match self {
            Self::Title => json!({ "title": "Fares" }),
            Self::Pin => json!({ "pinned": true }),
            Self::All => json!({ "title": "Fares", "instructions": "Be brief.", "pinned": true }),
            Self::EndOfPin => json!({ "pinned": false }),
            Self::EndOfAll => json!({ "title": "hi", "instructions": "", "pinned": false }),
        }
    }

    /// The change that must precede this change.
    fn after(self) -> Option<Self> {
        match self {
            Self::Title | Self::Pin | Self::All => None,
            Self::EndOfPin => Some(Self::Pin),
            Self::EndOfAll => Some(Self::All),
        }
    }

    fn was(self) -> State {
        self.after().map_or(("hi", None, false), Self::becomes)
    }

    fn becomes(self) -> State {
        match self {
            Self::Title => ("Fares", None, false),
            Self::Pin => ("hi", None, true),
            Self::All => ("Fares", Some("Be brief."), true),
            Self::EndOfPin | Self::EndOfAll => ("hi", None, false),
        }
    }
}

fn path(id: &str) -> String {
    format!("/api/conversations/{id}")
}

impl Scenario for Changing {
    type Reply = Reply;
    /// The conversation's id.
    type Own = String;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let id = who.chat("hi").await.is(200)["conversation_id"].as_str().unwrap().to_owned();
        if let Some(before) = self.after() {
            who.patch(&path(&id), before.body()).await.is(200);
        }
        let case = Case::new(rig, "conversation_rename", self, plan, retries, who, id);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, body) = (case.who.bearer(), case.scenario.body());
        let headers = [("authorization", bearer.as_str())];
        ask(case.function(), "conversation_rename", &path(&case.own), &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200
    }
}

/// Returns each user's conversation.
async fn conversations(rig: &Rig) -> HashMap<String, Value> {
    let items: Vec<Value> = scan(&rig.api.dynamodb, "ChatsTable").await;
    let conversations = items.into_iter().filter(|item| !is_chat(item));
    conversations.map(|item| (item["user_id"].as_str().unwrap().to_owned(), item)).collect()
}

impl Case<Changing> {
    fn audit(&mut self, moment: &str, conversations: &HashMap<String, Value>) {
        let mut wrong = Vec::new();
        for reply in &self.replies {
            wrong.extend(reply.audit(&[(200, ""), (503, "unavailable")]));
        }
        let conversation = &conversations[&self.who.id];
        let pin = conversation["pinned"].as_str();
        let by_use = format!("c#{:013}#{}", conversation["used"].as_u64().unwrap(), self.own);
        if conversation["thread"] != pin.unwrap_or(&by_use) {
            wrong.push(format!("another place in the list: {conversation}"));
        }
        let instructions = conversation["instructions"].as_str();
        let is = (conversation["title"].as_str().unwrap(), instructions, pin.is_some());
        let done = self.replies.iter().any(|reply| reply.status == 200);
        if is != self.scenario.becomes() && (done || is != self.scenario.was()) {
            wrong.push(format!("{is:?} after {:?}", self.replies));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_change_atomically_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&Changing::ALL).cases(&rig).await;
    disturb(&mut cases).await;
    let found = conversations(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &found));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            case.runs_again(&[(200, "")]).await;
        }
        case.lane.deliver_much_later().await;
    })
    .await;
    let found = conversations(&rig).await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &found));
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
