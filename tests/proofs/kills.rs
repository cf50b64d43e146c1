//! Kills (SIGKILL) the real Lambda binaries of `chat` and `chat_stream` at every point of a chat,
//! including stopped chats, with both flat and usage-based prices. Checks the store's contents, the
//! reply to a retry with the same idempotency key, and the recovery if the client doesn't retry.

mod embeddings;
mod grants;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use serde_json::{Value, json};

use crate::endpoints::chats::fares;
use crate::support::client::{GRANT, PRICE, Person};
use crate::support::function::{Reply, event};
use crate::support::lambda::{Instance, binary};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan};
use crate::support::rig::Rig;
use crate::support::world::World;

/// How many model tokens of a prompt the AI writes into its cache, if it reports its counts.
const WRITTEN: u32 = 5;

/// Starts an instance of a function that uses this lane.
async fn instance(function: &str, lane: &Lane) -> Instance {
    let settings = [
        ("DYNAMODB_ENDPOINT", lane.url.as_str()),
        ("AI_PROVIDER", "scripted"),
        ("AI_TIMEOUT_SECONDS", "20"),
    ];
    Instance::of(function, &settings).await
}

/// The point where the function is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    BeforeRecordIsRead,
    AfterRecordIsRead,
    BeforeReserve,
    AfterReserve,
    DuringTheAi,
    BeforeSettle,
    AfterSettle,
    AfterTheReply,
    /// The message has files.
    BeforeFilesAreListed,
    AfterFilesAreListed,
    BetweenFiles,
    FilesBeforeSettle,
    FilesAfterSettle,
    BeforeRelease,
    AfterRelease,
    /// The AI has failed at the end of a streamed answer.
    FailedBeforeRelease,
    FailedAfterRelease,
    /// The AI has cut a streamed answer short.
    CutBeforeSettle,
    CutAfterSettle,
    /// The user has stopped a stream that had not yet delivered a piece.
    StoppedBeforeItIsNoticed,
    StoppedBeforeRelease,
    StoppedAfterRelease,
    /// The user has stopped a chat whose client waits for the whole answer.
    WholeStoppedBeforeSettle,
    WholeStoppedAfterSettle,
    /// The user has stopped a stream that had delivered a part of its answer.
    StreamStoppedBeforeSettle,
    StreamStoppedAfterSettle,
}

/// What the store contains for the chat after the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    StoredHold,
    Chat,
}

impl Killed {
    const ALL: [Self; 26] = [
        Self::BeforeRecordIsRead,
        Self::AfterRecordIsRead,
        Self::BeforeReserve,
        Self::AfterReserve,
        Self::DuringTheAi,
        Self::BeforeSettle,
        Self::AfterSettle,
        Self::AfterTheReply,
        Self::BeforeFilesAreListed,
        Self::AfterFilesAreListed,
        Self::BetweenFiles,
        Self::FilesBeforeSettle,
        Self::FilesAfterSettle,
        Self::BeforeRelease,
        Self::AfterRelease,
        Self::FailedBeforeRelease,
        Self::FailedAfterRelease,
        Self::CutBeforeSettle,
        Self::CutAfterSettle,
        Self::StoppedBeforeItIsNoticed,
        Self::StoppedBeforeRelease,
        Self::StoppedAfterRelease,
        Self::WholeStoppedBeforeSettle,
        Self::WholeStoppedAfterSettle,
        Self::StreamStoppedBeforeSettle,
        Self::StreamStoppedAfterSettle,
    ];

    fn has_files(self) -> bool {
        matches!(
            self,
            Self::BeforeFilesAreListed
                | Self::AfterFilesAreListed
                | Self::BetweenFiles
                | Self::FilesBeforeSettle
                | Self::FilesAfterSettle
        )
    }

    fn is_stream(self) -> bool {
        let with_files = [Self::AfterFilesAreListed, Self::FilesAfterSettle];
        self.is_heard() || self.is_silent() || self.is_cut() || with_files.contains(&self)
    }

    /// Returns true if the AI ends its answer with a reason other than `stop`.
    fn is_cut(self) -> bool {
        self.has_failed() || self.is_cut_by_length()
    }

    fn has_failed(self) -> bool {
        matches!(self, Self::FailedBeforeRelease | Self::FailedAfterRelease)
    }

    fn is_cut_by_length(self) -> bool {
        matches!(self, Self::CutBeforeSettle | Self::CutAfterSettle)
    }

    /// Returns true if a part of the answer was delivered before the stop.
    fn is_heard(self) -> bool {
        matches!(self, Self::StreamStoppedBeforeSettle | Self::StreamStoppedAfterSettle)
    }

    fn is_silent(self) -> bool {
        let silent =
            [Self::StoppedBeforeItIsNoticed, Self::StoppedBeforeRelease, Self::StoppedAfterRelease];
        silent.contains(&self)
    }

    fn is_stopped(self) -> bool {
        let is_whole =
            matches!(self, Self::WholeStoppedBeforeSettle | Self::WholeStoppedAfterSettle);
        self.is_heard() || self.is_silent() || is_whole
    }

    fn endpoint(self) -> (&'static str, &'static str) {
        if self.is_stream() { ("chat_stream", "/api/chat/stream") } else { ("chat", "/api/chat") }
    }

    fn plan(self) -> Option<Plan> {
        let (at, fault) = match self {
            Self::BeforeRecordIsRead => (FaultPoint::Call(1), Fault::StallBefore),
            Self::AfterRecordIsRead => (FaultPoint::Call(1), Fault::StallAfter),
            Self::BeforeReserve => (FaultPoint::Operation("UpdateItem", 1), Fault::StallBefore),
            Self::AfterReserve => (FaultPoint::Operation("UpdateItem", 1), Fault::StallAfter),
            Self::BeforeFilesAreListed => (FaultPoint::Operation("PutItem", 1), Fault::StallBefore),
            Self::AfterFilesAreListed => (FaultPoint::Operation("PutItem", 1), Fault::StallAfter),
            Self::BetweenFiles => (FaultPoint::Operation("PutItem", 3), Fault::StallBefore),
            Self::BeforeSettle
            | Self::FilesBeforeSettle
            | Self::CutBeforeSettle
            | Self::WholeStoppedBeforeSettle
            | Self::StreamStoppedBeforeSettle => {
                (FaultPoint::Operation("TransactWriteItems", 1), Fault::StallBefore)
            }
            Self::AfterSettle
            | Self::FilesAfterSettle
            | Self::CutAfterSettle
            | Self::WholeStoppedAfterSettle
            | Self::StreamStoppedAfterSettle => {
                (FaultPoint::Operation("TransactWriteItems", 1), Fault::StallAfter)
            }
            Self::BeforeRelease | Self::FailedBeforeRelease | Self::StoppedBeforeRelease => {
                (FaultPoint::Operation("UpdateItem", 2), Fault::StallBefore)
            }
            Self::AfterRelease | Self::FailedAfterRelease | Self::StoppedAfterRelease => {
                (FaultPoint::Operation("UpdateItem", 2), Fault::StallAfter)
            }
            // The function's first read is the idempotency key's record.
            Self::StoppedBeforeItIsNoticed => {
                (FaultPoint::Operation("GetItem", 2), Fault::StallBefore)
            }
            Self::DuringTheAi | Self::AfterTheReply => return None,
        };
        Some(Plan { at, fault, strikes: FaultRepeat::FromThenOn })
    }

    fn message(self) -> &'static str {
        match self {
            // A busy machine may notice only after seconds that the AI is at work.
            _ if self.is_heard() => "!words 5000 one two",
            Self::DuringTheAi => "!slow 10000",
            _ if self.is_stopped() => "!slow 10000",
            Self::BeforeRelease | Self::AfterRelease => "!fail",
            _ if self.has_failed() => "!ends error 30 0 20",
            _ if self.is_cut_by_length() => "!ends length 30 10+5 20",
            _ if self.has_files() => "hi",
            _ => "!used 30 10+5 20 hi",
        }
    }

    fn leaves(self) -> Holds {
        match self {
            Self::BeforeRecordIsRead
            | Self::AfterRecordIsRead
            | Self::BeforeReserve
            | Self::AfterRelease
            | Self::FailedAfterRelease
            | Self::StoppedAfterRelease => Holds::Nothing,
            Self::AfterReserve
            | Self::DuringTheAi
            | Self::BeforeSettle
            | Self::BeforeFilesAreListed
            | Self::AfterFilesAreListed
            | Self::BetweenFiles
            | Self::FilesBeforeSettle
            | Self::BeforeRelease
            | Self::FailedBeforeRelease
            | Self::CutBeforeSettle
            | Self::StoppedBeforeItIsNoticed
            | Self::StoppedBeforeRelease
            | Self::WholeStoppedBeforeSettle
            | Self::StreamStoppedBeforeSettle => Holds::StoredHold,
            Self::AfterSettle
            | Self::AfterTheReply
            | Self::FilesAfterSettle
            | Self::CutAfterSettle
            | Self::WholeStoppedAfterSettle
            | Self::StreamStoppedAfterSettle => Holds::Chat,
        }
    }
}

/// A chat whose function is killed.
struct Case {
    killed: Killed,
    /// The model. Only `quick` has a flat fare.
    model: &'static str,
    lane: Lane,
    who: Person,
    first_reply: Option<Reply>,
}

impl Case {
    async fn of(rig: &Rig, killed: Killed, model: &'static str) -> Self {
        Self { killed, model, lane: rig.proxy.lane(), who: rig.person().await, first_reply: None }
    }

    fn body(&self) -> Value {
        let mut body = json!({ "message": self.killed.message(), "model": self.model });
        if self.killed.has_files() {
            // In this list, the model with a price by usage doesn't accept pictures.
            let picture = BASE64_STANDARD.encode(b"\x89PNG\r\n\x1a\n");
            let second = match self.model {
                "quick" => json!({ "name": "b.png", "data": picture }),
                _ => json!({ "name": "b.txt", "text": "two" }),
            };
            body["attachments"] = json!([{ "name": "a.txt", "text": "one" }, second]);
        }
        body
    }

    /// Returns the event that requests the chat, with an idempotency key.
    fn request(&self) -> Value {
        let headers = [("authorization", self.who.bearer()), ("idempotency-key", "k1".into())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let (endpoint, path) = self.killed.endpoint();
        event(endpoint, path, &headers, &self.body())
    }

    async fn is_killed(&mut self) {
        let mut instance = instance(self.killed.endpoint().0, &self.lane).await;
        self.lane.strike(self.killed.plan());
        instance.takes(&self.request());
        if self.killed.is_stopped() {
            self.who.is_waiting().await;
            assert_eq!(self.who.stops("k1").await.is(200)["status"], "stopping");
        }
        match self.killed {
            Killed::AfterTheReply => self.first_reply = Some(instance.answers().await),
            Killed::DuringTheAi => self.who.is_waiting().await,
            _ => self.lane.struck().await,
        }
        instance.kill();
        self.lane.calm();
    }

    /// Sends the same request to a new instance, and returns its reply.
    async fn is_sent_again(&self) -> Reply {
        let mut instance = instance(self.killed.endpoint().0, &self.lane).await;
        instance.takes(&self.request());
        instance.answers().await.at_its_end()
    }

    fn balance_is(&self, world: &World, holds: Holds) {
        let (account, chats) = (&world.accounts[&self.who.id], world.chats(&self.who.id));
        let held: Vec<_> = account.reservations.values().map(|held| held.cost.get()).collect();
        let paid: Vec<_> = chats.iter().map(|chat| chat.cost.get()).collect();
        let numbers = (held.len(), paid.len());
        let expected = match holds {
            Holds::Nothing => (0, 0),
            Holds::StoredHold => (1, 0),
            Holds::Chat => (0, 1),
        };
        assert_eq!(numbers, expected, "reservations and chats, killed {:?}", self.killed);
        let taken = [held, paid].concat().into_iter().sum::<u64>();
        assert_eq!(account.tokens.get(), GRANT - taken, "killed {:?}", self.killed);
        if holds != Holds::Nothing {
            assert_eq!(taken == PRICE, self.model == "quick", "{taken} taken");
        }
        let reports = self.killed.message().contains(" 30 10+5 20");
        for chat in chats.iter().filter(|_| reports) {
            let written = chat.usage.map(|usage| usage.written_tokens);
            assert_eq!(written, Some(WRITTEN), "killed {:?}", self.killed);
        }
        // The AI's work on a failed or stopped answer counts at most once.
        let work =
            account.free_work.iter().flatten().filter(|(key, _)| !key.starts_with('e')).count();
        let counts = self.killed.has_failed() || self.killed.is_silent() || self.killed.is_heard();
        assert!(work <= usize::from(counts), "killed {:?}", self.killed);
        assert_eq!(world.audit(&self.who.id), [""; 0], "killed {:?}", self.killed);
    }

    /// Checks the reply to a chat that ran again.
    fn ran(&self, reply: &Reply) {
        assert!(!reply.replayed(), "{:?}: {reply:?}", self.killed);
        match self.after_it_ran() {
            Holds::Nothing => {
                assert_eq!((reply.status, reply.code()), (502, "ai_failed"), "{:?}", self.killed)
            }
            _ => assert_eq!(reply.status, 200, "{:?}: {reply:?}", self.killed),
        }
    }

    /// What the store contains after the chat ran again.
    fn after_it_ran(&self) -> Holds {
        let is_refunded = self.killed.message() == "!fail" || self.killed.has_failed();
        if is_refunded { Holds::Nothing } else { Holds::Chat }
    }
}

async fn killed_everywhere(rig: &Rig) -> Vec<Case> {
    rig.api.prices(&fares::list_with_writes_through(&["scripted", "openai"])).await;
    let cases = ["quick", "deep"].map(|model| Killed::ALL.map(|killed| (killed, model)));
    let cases = cases.as_flattened().iter();
    let mut cases = join_all(cases.map(|(killed, model)| Case::of(rig, *killed, model))).await;
    // Kills four functions at a time. If all functions started at the same time, they would exceed
    // their time limits on a busy machine.
    iter(cases.iter_mut()).for_each_concurrent(4, Case::is_killed).await;
    let world = rig.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.killed.leaves()));
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_of_killed_chats_get_one_answer_per_key() {
    for name in ["chat", "chat_stream"] {
        binary(name);
    }
    let rig = Rig::of_processes().await;
    let cases = killed_everywhere(&rig).await;
    let replies = join_all(cases.iter().map(Case::is_sent_again)).await;
    let world = rig.world().await;
    for (case, reply) in cases.iter().zip(&replies) {
        match case.killed.leaves() {
            Holds::Nothing => {
                case.ran(reply);
                case.balance_is(&world, case.after_it_ran());
            }
            Holds::StoredHold => {
                assert_eq!(
                    (reply.status, reply.code()),
                    (409, "idempotency_key_running"),
                    "{:?}",
                    case.killed
                );
                assert!(reply.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
                case.balance_is(&world, Holds::StoredHold);
            }
            Holds::Chat => {
                assert_eq!(
                    (reply.status, reply.replayed()),
                    (200, true),
                    "{:?}: {reply:?}",
                    case.killed
                );
                let reason = match case.killed {
                    killed if killed.is_stopped() => "stopped",
                    killed if killed.is_cut_by_length() => "length",
                    _ => "stop",
                };
                assert_eq!(reply.body["finish_reason"], reason, "{:?}", case.killed);
                assert!(
                    case.first_reply.as_ref().is_none_or(|first| first.body == reply.body),
                    "{reply:?}"
                );
                let reads = ["GetItem", "BatchGetItem"];
                let mut calls = case.lane.calls().into_iter().rev().take(4);
                assert!(
                    calls.all(|call| reads.contains(&call.operation.as_str())),
                    "a replay writes nothing"
                );
                case.balance_is(&world, Holds::Chat);
            }
        }
    }

    // Once the lease has ended, a new run replaces the old hold. A stored answer stays unchanged.
    rig.after_the_lease();
    let again =
        join_all(cases.iter().map(|case| case.who.post_once("k1", "/api/chat/", case.body())))
            .await;
    for ((case, reply), again) in cases.iter().zip(&replies).zip(again) {
        let again =
            Reply { status: again.status.as_u16(), headers: again.headers, body: again.body };
        match (case.killed.leaves(), case.after_it_ran()) {
            (Holds::StoredHold, _) | (_, Holds::Nothing) => case.ran(&again),
            _ => assert_eq!(
                (&again.body, again.replayed()),
                (&reply.body, true),
                "{:?}",
                case.killed
            ),
        }
    }
    let world = rig.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.after_it_ran()));
    rig.after_the_lease();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &cases {
        case.balance_is(&world, case.after_it_ran());
        assert_eq!(world.at_rest(&case.who.id), [""; 0], "killed {:?}", case.killed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_alone_returns_exactly_what_killed_chats_held() {
    for name in ["chat", "chat_stream"] {
        binary(name);
    }
    let rig = Rig::of_processes().await;
    let cases = killed_everywhere(&rig).await;
    rig.sweep().await;
    let world = rig.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.killed.leaves()));
    rig.after_the_lease();
    for _ in 0..2 {
        rig.sweep().await;
        let world = rig.world().await;
        for case in &cases {
            case.balance_is(
                &world,
                if case.killed.leaves() == Holds::Chat { Holds::Chat } else { Holds::Nothing },
            );
            assert_eq!(world.at_rest(&case.who.id), [""; 0], "killed {:?}", case.killed);
        }
    }
}
