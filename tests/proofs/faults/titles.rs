//! Titles that a model writes. The model is asked at most once for each claim of a title, and the
//! user isn't charged.

use std::collections::HashMap;

use serde_json::Value;

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::client::{GRANT, PRICE};
use crate::support::counting_ai::CountingAi;
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::Rig;
use crate::support::world::{World, scan};

/// The beginning of the text from which the model makes a title. The model repeats the text.
const ASKED: &str = "The chat begins with this message:\n\n";

/// The title that the model gives to each conversation.
const TITLE: &str = "You said: The chat begins with this message:";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Titling;

struct Own {
    ai: CountingAi,
    /// The message that begins the conversation.
    message: String,
    conversation: String,
}

impl Scenario for Titling {
    type Reply = Reply;
    type Own = Own;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let message = format!("hi {}", who.name);
        let chat = who.chat(&message).await.is(200);
        let conversation = chat["conversation_id"].as_str().unwrap().to_owned();
        let own = Own { ai: rig.ai.clone(), message, conversation };
        let case = Case::new(rig, "conversation_title", self, plan, retries, who, own);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let bearer = case.who.bearer();
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/api/conversations/{}/title", case.own.conversation);
        ask(case.function(), "conversation_title", &path, &headers, Value::Null).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200 && reply.body["title"] == TITLE
    }
}

/// Returns how many calls to the model are counted for each account.
async fn counts(rig: &Rig) -> HashMap<String, u64> {
    let items: Vec<Value> = scan(&rig.api.dynamodb, "TokensTable").await;
    let counted = |item: &Value| {
        let key = item["pk"].as_str().unwrap().strip_prefix("attempt:title:")?;
        let (user_id, _day) = key.split_once('#').unwrap();
        Some((user_id.to_owned(), item["counted"].as_u64().unwrap()))
    };
    items.iter().filter_map(counted).collect()
}

impl Case<Titling> {
    fn audit(&mut self, moment: &str, world: &World, counts: &HashMap<String, u64>) {
        let id = &self.who.id;
        let mut wrong = world.audit(id);
        let allowed = [(200, ""), (503, "unavailable")];
        wrong.extend(self.replies.iter().flat_map(|reply| reply.audit(&allowed)));
        let [conversation] = world.conversations[id].as_slice() else {
            panic!("{:?}", world.conversations[id])
        };
        let claims = u64::from(!conversation["title_asked"].is_null());
        let asked = self.own.ai.times_with(&format!("{ASKED}{}\n", self.own.message));
        if asked as u64 > claims || counts.get(id).copied().unwrap_or(0) != claims {
            wrong.push(format!("the model was asked {asked} times, {claims} claimed: {counts:?}"));
        }
        let title = &conversation["title"];
        let is_of_model = *title == TITLE && conversation["ai_title"] == TITLE;
        let is_of_message =
            *title == self.own.message.as_str() && conversation["ai_title"].is_null();
        if !is_of_model && !is_of_message || is_of_model && asked == 0 {
            wrong.push(format!("the title of {conversation}"));
        }
        let is_shown = self.replies.iter().any(|reply| self.scenario.is_usual(reply));
        if is_shown && !is_of_model {
            wrong.push("the title that a reply showed isn't stored".into());
        }
        let account = &world.accounts[id];
        let money = (account.tokens.get(), account.spent.get(), account.reservations.len());
        if money != (GRANT - PRICE, PRICE, 0) || world.ledger(id).len() != 2 {
            wrong.push(format!("the title was charged: {account:?}"));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_asked_once_for_a_title_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&[Titling]).cases(&rig).await;
    disturb(&mut cases).await;
    let (world, counted) = (rig.world().await, counts(&rig).await);
    cases.iter_mut().for_each(|case| case.audit("after the request", &world, &counted));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            // The store forgets the request tokens, so only its items show that it applied the
            // claim.
            case.lane.forgets_tokens();
            case.runs_again(&[(200, "")]).await;
        }
    })
    .await;
    let (world, counted) = (rig.world().await, counts(&rig).await);
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world, &counted));

    // Late copies of a claim may arrive, and then the client asks again.
    side_by_side(&mut cases, async |case| {
        case.lane.deliver_much_later().await;
        case.runs_again(&[(200, "")]).await;
    })
    .await;
    let (world, counted) = (rig.world().await, counts(&rig).await);
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world, &counted));
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
