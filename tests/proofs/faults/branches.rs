//! Deletes a chat in a branch. The chats that followed it must then follow the chat before it, and
//! nothing else may change.

use serde_json::Value;
use shared::values::{Chat, ParentChat};

use super::{Case, Matrix, Scenario, disturb, none, side_by_side};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::{Rig, standing};
use crate::support::world::{World, put};

/// Deletes a chat that two other chats follow.
#[derive(Clone, Copy, Debug)]
struct Deleting;

/// The chats in a conversation.
struct Messages {
    /// The chats of the main line.
    main: [Chat; 2],
    /// The deleted chat, which follows the first chat.
    deleted: Chat,
    /// The chats that follow the deleted one.
    following: [Chat; 2],
}

impl Messages {
    fn of(user_id: &str) -> Self {
        let clock = standing();
        let ids: [String; 5] = std::array::from_fn(|_| clock.id().to_string());
        let message = |number: usize, after: Option<usize>| {
            let text = || "hi".to_owned();
            let after = after.map(|number| ParentChat::Message(ids[number].clone()));
            let chat = Chat {
                user_id: user_id.into(),
                chat_id: ids[number].clone(),
                message: text(),
                response: text(),
                month: text(),
                ..Chat::default()
            };
            chat.with_place(Some(ids[0].clone()), after.as_ref())
        };
        Self {
            main: [message(0, None), message(1, None)],
            deleted: message(2, Some(0)),
            following: [message(3, Some(2)), message(4, Some(2))],
        }
    }

    fn all(&self) -> Vec<&Chat> {
        self.main.iter().chain([&self.deleted]).chain(&self.following).collect()
    }
}

impl Scenario for Deleting {
    type Reply = Reply;
    type Own = Messages;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let messages = Messages::of(&who.id);
        put(&rig.api.dynamodb, "ChatsTable", &messages.all()).await;
        let case = Case::new(rig, "chat_delete", self, plan, retries, who, messages);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, id) = (case.who.bearer(), &case.own.deleted.chat_id);
        let (path, headers) = (format!("/api/chat/{id}"), [("authorization", bearer.as_str())]);
        ask(case.function(), "chat_delete", &path, &headers, Value::Null).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200
    }
}

impl Case<Deleting> {
    fn audit(&mut self, moment: &str, world: &World) {
        let mut wrong = Vec::new();
        for reply in &self.replies {
            let expected = [(200, ""), (404, "not_found"), (503, "unavailable")];
            wrong.extend(reply.audit(&expected));
        }
        let Messages { main, deleted, following } = &self.own;
        let chats = world.chats(&self.who.id);
        let left = |of: &Chat| chats.iter().find(|chat| chat.chat_id == of.chat_id);
        let is_gone = left(deleted).is_none();
        if !is_gone && self.replies.iter().any(|reply| reply.status < 500) {
            wrong.push("a message is left that was said to be deleted".into());
        }
        if chats.len() != 5 - usize::from(is_gone) || main.iter().any(|one| left(one) != Some(one))
        {
            wrong.push(format!("other messages have changed: {chats:?}"));
        }
        for before in following {
            let after = left(before).and_then(Chat::after);
            let is_moved = after == Some(main[0].chat_id.as_str());
            if !(is_moved || !is_gone && after == Some(deleted.chat_id.as_str())) {
                wrong.push(format!("a message follows {after:?}"));
            }
            let as_before =
                left(before).map(|chat| Chat { thread: before.thread.clone(), ..chat.clone() });
            if as_before.as_ref() != Some(before) {
                wrong.push(format!("more of a message has changed: {before:?}"));
            }
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_after_a_deleted_one_keep_their_branch_under_any_fault() {
    let rig = Rig::start().await;
    let mut cases = Matrix::of(&[Deleting]).cases(&rig).await;
    disturb(&mut cases).await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the request", &world));

    side_by_side(&mut cases, async |case| {
        if case.retries {
            case.runs_again(&[(200, ""), (404, "not_found")]).await;
        }
        case.lane.deliver_much_later().await;
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after late copies", &world));
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}
