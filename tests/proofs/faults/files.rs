//! Deletes a message with files, or removes its files from the conversation's context. Sweeps the
//! files of messages that were never stored.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use shared::Error;
use shared::clock::Clock;
use shared::values::Chat;
use shared::values::file::{chat_of, file_id};

use super::{Case, Matrix, OwnStore, Scenario, none, one_store_each};
use crate::support::function::{Reply, ask};
use crate::support::proxy::Plan;
use crate::support::rig::{Rig, well_before_the_hour};
use crate::support::world::{World, put};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// The user deletes the message.
    Message,
    /// The user removes the files from the context. They stay with their message.
    Context,
}

/// A message with two files, which begins a conversation.
struct WithFiles {
    chat: String,
    conversation: String,
    files: Vec<String>,
}

impl Scenario for Leaving {
    type Reply = Reply;
    type Own = WithFiles;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        let files = ["one", "two"].map(|text| json!({ "name": "a.txt", "text": text }));
        let body = json!({ "message": "hi", "attachments": files });
        let chat = who.post("/api/chat", body).await.is(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let id = text(&chat["id"]);
        let own = WithFiles {
            conversation: text(&chat["conversation_id"]),
            files: (0..files.len()).map(|number| file_id(&id, number)).collect(),
            chat: id,
        };
        let function = match self {
            Self::Message => "chat_delete",
            Self::Context => "conversation_rename",
        };
        let case = Case::new(rig, function, self, plan, retries, who, own);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, own) = (case.who.bearer(), &case.own);
        let headers = [("authorization", bearer.as_str())];
        let (endpoint, path, body) = match case.scenario {
            Self::Message => ("chat_delete", format!("/api/chat/{}", own.chat), Value::Null),
            Self::Context => (
                "conversation_rename",
                format!("/api/conversations/{}", own.conversation),
                json!({ "remove_files": own.files }),
            ),
        };
        ask(case.function(), endpoint, &path, &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        reply.status == 200
    }
}

impl Leaving {
    /// The replies to a request that is sent again.
    fn again(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Message => &[(200, ""), (404, "not_found")],
            Self::Context => &[(200, "")],
        }
    }
}

impl Case<Leaving> {
    fn audit(&mut self, moment: &str, world: &World) {
        let expected = [self.scenario.again(), &[(503, "unavailable")]].concat();
        let mut wrong: Vec<_> =
            self.replies.iter().flat_map(|reply| reply.audit(&expected)).collect();
        let id = self.who.id.as_str();
        let chats = world.chats(id);
        let stored = world.files.get(id).map_or(0, |files| files.len());
        let context: usize = world.conversations[id]
            .iter()
            .map(|item| item["files"].as_array().map_or(0, Vec::len))
            .sum();
        let is_done = self.replies.iter().any(|reply| reply.status < 500);
        let is_unknown = self.replies.iter().all(|reply| reply.is_unknown());
        let found = (chats.len(), stored, context);
        let right = match self.scenario {
            // A function may die between the message's deletion and the files'. The sweep then
            // deletes the files.
            Leaving::Message if chats.is_empty() => {
                context == 0 && (stored == 0 || world.pending.contains_key(&self.own.chat))
            }
            Leaving::Message => !is_done,
            Leaving::Context => {
                let left = found == (1, 2, 0);
                (left || is_unknown && found == (1, 2, 2)) && keeps_its_files(chats)
            }
        };
        if !right {
            wrong.push(format!("{found:?} messages, files, and files in the context"));
        }
        self.notes(moment, wrong);
    }
}

fn keeps_its_files(chats: &[Chat]) -> bool {
    chats.iter().all(|chat| chat.files.len() == 2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_leave_with_their_message_or_alone_under_any_fault() {
    let rig = Rig::start().await;
    let matrix = Matrix::of(&[Leaving::Message, Leaving::Context]);
    let again = async |case: &mut Case<Leaving>, _: &World| {
        case.runs_again(case.scenario.again()).await;
    };
    let late = async |case: &mut Case<Leaving>| case.lane.deliver_much_later().await;
    let (mut cases, _) = matrix.run(&rig, again, late, Case::<Leaving>::audit).await;

    // The sweep deletes the files of deleted messages again, because copies of the writes that
    // stored them may have arrived since.
    rig.after_an_hour();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("an hour later", &world);
        case.notes("an hour later", world.at_rest(&case.who.id));
        let is_kept = world.pending.contains_key(&case.own.chat);
        case.notes("an hour later", is_kept.then(|| "the list of its files".into()));
    }
    none((cases.len(), cases.iter().flat_map(Case::verdict).collect()));
}

/// Sweeps a store with the files of messages in all states.
#[derive(Clone, Copy, Debug)]
struct SweepFiles;

/// A message whose files the item `pending:<chat id>` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    /// The lease has ended, so the message will never be stored.
    Abandoned,
    /// The lease lasts.
    Running,
    /// A restore has brought back the item of a stored message.
    Stored,
    /// The files were deleted an hour ago. A late copy of a write has stored them again.
    Returned,
}

impl Listed {
    const ALL: [Self; 4] = [Self::Abandoned, Self::Running, Self::Stored, Self::Returned];

    /// The end of the lease, in seconds. 0 marks files that are being deleted.
    fn until(self, now: u64) -> u64 {
        match self {
            Self::Abandoned | Self::Stored => now - 90,
            Self::Running => now + 2 * HOUR,
            Self::Returned => 0,
        }
    }

    /// How long ago the message began.
    fn age(self) -> Duration {
        Duration::from_secs(if self == Self::Returned { 4000 } else { 180 })
    }
}

const OWNER: &str = "ann";

/// After this time, in seconds, the sweep looks at a message's files for the last time.
const HOUR: u64 = 3600;

/// When the first case began, in milliseconds, by the clock of the cases. The ids of messages
/// contain their time, and must not change while a case runs.
static BEGAN: LazyLock<u64> = LazyLock::new(well_before_the_hour);

/// Returns the id of the message in this state.
fn chat_id(listed: Listed) -> String {
    let began = *BEGAN - u64::try_from(listed.age().as_millis()).unwrap();
    let id = Clock::standing(began).id().to_string();
    format!("{}-7000-8000-{:012}", &id[..13], listed as u8)
}

fn is_listed(world: &World, listed: Listed) -> bool {
    world.pending.contains_key(&chat_id(listed))
}

/// Returns true if both files of the message are stored.
fn is_kept(world: &World, listed: Listed) -> bool {
    stored(world, listed).count() == 2
}

/// Returns true if no file of the message is stored.
fn is_gone(world: &World, listed: Listed) -> bool {
    stored(world, listed).count() == 0
}

fn stored(world: &World, listed: Listed) -> impl Iterator<Item = &String> {
    let files = world.files.get(OWNER).into_iter().flatten();
    files.filter(move |file| chat_of(file) == chat_id(listed))
}

impl Scenario for SweepFiles {
    type Reply = Result<usize, Error>;
    type Own = OwnStore;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let case = Case::scheduled(rig, "sweep", self, plan, retries).await;
        let (dynamodb, now) = (&case.own.dynamo.url, case.app.clock.seconds());
        for listed in Listed::ALL {
            let id = chat_id(listed);
            let pending = json!({
                "pk": format!("pending:{id}"), "user_id": "pending:", "owner": OWNER,
                "files": 2, "until": listed.until(now),
            });
            put(dynamodb, "TokensTable", &[pending]).await;
            let file = |number| {
                json!({
                    "pk": file_id(&id, number), "user_id": OWNER, "name": "a.txt",
                    "type": "text/plain", "bytes": 2, "content": "hi",
                })
            };
            put(dynamodb, "FilesTable", &[file(0), file(1)]).await;
            if listed == Listed::Stored {
                let files = [0, 1].map(|number| {
                    json!({
                        "id": file_id(&id, number), "name": "a.txt", "type": "text/plain",
                        "bytes": 2,
                    })
                });
                let mut chat = serde_json::to_value(Chat {
                    user_id: OWNER.into(),
                    chat_id: id,
                    month: "2026-11".into(),
                    ..Chat::default()
                })
                .unwrap();
                chat["files"] = json!(files);
                put(dynamodb, "ChatsTable", &[chat]).await;
            }
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        Ok(case.app.store.sweep_files(case.app.clock.seconds()).await?)
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        *reply == Ok(1)
    }
}

impl Case<SweepFiles> {
    async fn runs_to_its_end(&mut self) {
        let done = self.runs_once().await;
        self.audit("after the sweep", done).await;
        self.succeeds("the second sweep").await;
        self.audit("after the second sweep", true).await;
        self.lane.deliver_much_later().await;
        self.audit("after late copies", true).await;

        let later = self.app.clock.seconds() + HOUR;
        let last = self.app.store.sweep_files(later).await;
        self.notes("the last sweep", last.is_err().then(|| format!("{last:?}")));
        let world = World::read(&self.own.dynamo.url).await;
        let left: BTreeSet<_> =
            Listed::ALL.into_iter().filter(|listed| !is_gone(&world, *listed)).collect();
        let listed = Listed::ALL.into_iter().filter(|listed| is_listed(&world, *listed));
        let listed: BTreeSet<_> = listed.collect();
        if left != BTreeSet::from([Listed::Running, Listed::Stored])
            || listed != BTreeSet::from([Listed::Running])
        {
            self.notes("an hour later", [format!("{left:?} have files, {listed:?} are listed")]);
        }
    }

    async fn audit(&mut self, moment: &str, swept: bool) {
        let world = World::read(&self.own.dynamo.url).await;
        let mut wrong = self.wrong_outcomes();
        let is_listed = |listed: &Listed| is_listed(&world, *listed);
        for listed in Listed::ALL {
            let may_be_gone = matches!(listed, Listed::Abandoned | Listed::Returned);
            if !may_be_gone && !is_kept(&world, listed) {
                wrong.push(format!("a file of {listed:?} is gone"));
            }
            // A later sweep deletes the files that an item lists.
            if may_be_gone && !is_gone(&world, listed) && !is_listed(&listed) {
                wrong.push(format!("a file of {listed:?} is stored, and nothing lists it"));
            }
        }
        // If a sweep has failed after it marked an item, the item stays for the rest of the hour.
        let must = [Listed::Abandoned, Listed::Running];
        if let Some(lost) = must.iter().find(|listed| !is_listed(listed)) {
            wrong.push(format!("{lost:?} isn't listed any more"));
        }
        if swept && is_listed(&Listed::Returned) {
            wrong.push("a message whose last hour is over is still listed".into());
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_delete_only_files_without_a_message_under_any_fault() {
    let rig = Rig::start().await;
    let matrix = Matrix::of(&[SweepFiles]);
    none(one_store_each(&rig, matrix, async |case| case.runs_to_its_end().await).await);
}
