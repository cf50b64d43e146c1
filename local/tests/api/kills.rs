//! The real Lambda binary of the chat, killed at every point of a chat (SIGKILL), under a Runtime API of the test's own: what the store
//! holds then, what the client gets who asks again with the same key, and what recovery alone makes of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as InPath, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::future::join_all;
use lambda_http::http::{HeaderMap, StatusCode};
use local::template::Template;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use crate::client::{GRANT, PRICE, Person};
use crate::faults::{Reply, Stand, World, event};
use crate::proxy::{At, Fault, Lane, Plan, Strikes};

/// The binary as the sources are now, built once.
fn binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_BIN_EXE_local")).ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "functions", "--bin", "chat", "--target-dir"]).arg(target);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "the chat's binary can't be built");
        target.join("debug").join("chat")
    })
}

/// An instance of the function: a process, and the Runtime API that it asks for work.
struct Instance {
    process: Child,
    work: mpsc::UnboundedSender<String>,
    done: mpsc::UnboundedReceiver<Value>,
    server: JoinHandle<()>,
}

struct Runtime {
    work: Mutex<mpsc::UnboundedReceiver<String>>,
    done: mpsc::UnboundedSender<Value>,
    waiting: watch::Sender<bool>,
}

impl Instance {
    /// Starts one on this lane, and comes back when it waits for its first request.
    async fn start(lane: &Lane) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (work, to_do) = mpsc::unbounded_channel();
        let (finished, done) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime { work: Mutex::new(to_do), done: finished, waiting: watch::Sender::new(false) });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(answered))
            .with_state(runtime.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let template = Template::load().unwrap();
        let function = template.functions.iter().find(|function| function.name == "chat").unwrap();
        let mut command = Command::new(binary());
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(function.environment.iter().filter(|(_, value)| !value.is_empty()));
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "chat"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "chat"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "chat"),
            ("DYNAMODB_ENDPOINT", &lane.url),
            ("AI_PROVIDER", "scripted"),
            ("AI_TIMEOUT_SECONDS", "5"),
        ]);
        let process = command.spawn().unwrap();
        runtime.waiting.subscribe().wait_for(|waiting| *waiting).await.unwrap();
        Self { process, work, done, server }
    }

    /// Hands it a chat under a key.
    fn takes(&self, who: &Person, message: &str) {
        let headers = [("authorization", who.bearer()), ("idempotency-key", "k1".into())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.work.send(event("/api/chat", &headers, &json!({ "message": message }))).unwrap();
    }

    async fn answers(&mut self) -> Reply {
        let reply = self.done.recv().await.unwrap();
        let headers = reply["multiValueHeaders"].as_object().or(reply["headers"].as_object()).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().or_else(|| value[0].as_str()).unwrap();
                (name.parse().unwrap(), value.parse().unwrap())
            })
            .collect();
        let body = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
        Reply { status: reply["statusCode"].as_u64().unwrap().try_into().unwrap(), headers, body }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.server.abort();
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.waiting.send_replace(true);
    let Some(event) = runtime.work.lock().await.recv().await else { std::future::pending().await };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(28);
    let mut response = Response::new(event.into());
    for (name, value) in [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:chat".to_owned()),
    ] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn answered(State(runtime): State<Arc<Runtime>>, InPath((_, what)): InPath<(String, String)>, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let done = if what == "response" { body } else { json!({ "statusCode": 500, "headers": {}, "body": body.to_string() }) };
    let _ = runtime.done.send(done);
    StatusCode::ACCEPTED
}

/// When it is killed.
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
    BeforeRelease,
    AfterRelease,
}

/// What the store holds then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    Reservation,
    Chat,
}

impl Killed {
    const ALL: [Self; 10] = [
        Self::BeforeRecordIsRead,
        Self::AfterRecordIsRead,
        Self::BeforeReserve,
        Self::AfterReserve,
        Self::DuringTheAi,
        Self::BeforeSettle,
        Self::AfterSettle,
        Self::AfterTheReply,
        Self::BeforeRelease,
        Self::AfterRelease,
    ];

    fn plan(self) -> Option<Plan> {
        let (at, fault) = match self {
            Self::BeforeRecordIsRead => (At::Call(1), Fault::StallBefore),
            Self::AfterRecordIsRead => (At::Call(1), Fault::StallAfter),
            Self::BeforeReserve => (At::Operation("UpdateItem", 1), Fault::StallBefore),
            Self::AfterReserve => (At::Operation("UpdateItem", 1), Fault::StallAfter),
            Self::BeforeSettle => (At::Operation("TransactWriteItems", 1), Fault::StallBefore),
            Self::AfterSettle => (At::Operation("TransactWriteItems", 1), Fault::StallAfter),
            Self::BeforeRelease => (At::Operation("UpdateItem", 2), Fault::StallBefore),
            Self::AfterRelease => (At::Operation("UpdateItem", 2), Fault::StallAfter),
            Self::DuringTheAi | Self::AfterTheReply => return None,
        };
        Some(Plan { at, fault, strikes: Strikes::FromThenOn })
    }

    fn message(self) -> &'static str {
        match self {
            Self::DuringTheAi => "!slow 3000",
            Self::BeforeRelease | Self::AfterRelease => "!fail",
            _ => "hi",
        }
    }

    fn leaves(self) -> Holds {
        match self {
            Self::BeforeRecordIsRead | Self::AfterRecordIsRead | Self::BeforeReserve | Self::AfterRelease => Holds::Nothing,
            Self::AfterReserve | Self::DuringTheAi | Self::BeforeSettle | Self::BeforeRelease => Holds::Reservation,
            Self::AfterSettle | Self::AfterTheReply => Holds::Chat,
        }
    }
}

/// One user's chat that is cut off.
struct Case {
    killed: Killed,
    lane: Lane,
    who: Person,
    first_reply: Option<Reply>,
}

impl Case {
    async fn of(stand: &Stand, killed: Killed) -> Self {
        Self { killed, lane: stand.proxy.lane(), who: stand.somebody().await, first_reply: None }
    }

    async fn is_killed(&mut self) {
        let mut instance = Instance::start(&self.lane).await;
        self.lane.strike(self.killed.plan());
        instance.takes(&self.who, self.killed.message());
        match self.killed {
            Killed::AfterTheReply => self.first_reply = Some(instance.answers().await),
            Killed::DuringTheAi => while self.who.api.account(&self.who).await.reservations.is_empty() {},
            _ => self.lane.struck().await,
        }
        instance.kill();
        self.lane.calm();
    }

    /// What a fresh instance says to the same request.
    async fn is_sent_again(&self) -> Reply {
        let mut instance = Instance::start(&self.lane).await;
        instance.takes(&self.who, self.killed.message());
        instance.answers().await
    }

    fn balance_is(&self, world: &World, holds: Holds) {
        let account = &world.accounts[&self.who.id];
        let numbers = (account.tokens.get(), account.reservations.len(), world.chats(&self.who.id).len());
        let expected = match holds {
            Holds::Nothing => (GRANT, 0, 0),
            Holds::Reservation => (GRANT - PRICE, 1, 0),
            Holds::Chat => (GRANT - PRICE, 0, 1),
        };
        assert_eq!(numbers, expected, "tokens, reservations and chats, killed {:?}", self.killed);
        assert_eq!(world.audit(&self.who.id), [""; 0], "killed {:?}", self.killed);
    }

    /// A chat that ran anew, as it must be answered.
    fn ran(&self, reply: &Reply) {
        assert!(!reply.replayed(), "{:?}: {reply:?}", self.killed);
        match self.killed.message() {
            "!fail" => assert_eq!((reply.status, reply.code()), (502, "ai_failed"), "{:?}", self.killed),
            _ => assert_eq!(reply.status, 200, "{:?}: {reply:?}", self.killed),
        }
    }

    /// What the store holds after a chat that ran anew.
    fn after_it_ran(&self) -> Holds {
        if self.killed.message() == "!fail" { Holds::Nothing } else { Holds::Chat }
    }
}

async fn killed_everywhere(stand: &Stand) -> Vec<Case> {
    let mut cases = join_all(Killed::ALL.map(|killed| Case::of(stand, killed))).await;
    join_all(cases.iter_mut().map(Case::is_killed)).await;
    let world = stand.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.killed.leaves()));
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_chat_is_killed_its_key_is_answered_once() {
    binary();
    let stand = Stand::start(None).await;
    let cases = killed_everywhere(&stand).await;
    let replies = join_all(cases.iter().map(Case::is_sent_again)).await;
    let world = stand.world().await;
    for (case, reply) in cases.iter().zip(&replies) {
        match case.killed.leaves() {
            Holds::Nothing => {
                case.ran(reply);
                case.balance_is(&world, case.after_it_ran());
            }
            Holds::Reservation => {
                assert_eq!((reply.status, reply.code()), (409, "idempotency_key_running"), "{:?}", case.killed);
                assert!(reply.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
                case.balance_is(&world, Holds::Reservation);
            }
            Holds::Chat => {
                assert_eq!((reply.status, reply.replayed()), (200, true), "{:?}: {reply:?}", case.killed);
                assert!(case.first_reply.as_ref().is_none_or(|first| first.body == reply.body), "{reply:?}");
                assert!(case.lane.calls().iter().rev().take(3).all(|call| call.operation == "GetItem"), "a replay writes nothing");
                case.balance_is(&world, Holds::Chat);
            }
        }
    }

    // When the lease is over, what was held is a fresh run, and what was answered stays so.
    stand.after_the_lease();
    let again = join_all(cases.iter().map(|case| case.who.chat_once("k1", case.killed.message()))).await;
    for ((case, reply), again) in cases.iter().zip(&replies).zip(again) {
        let again = Reply { status: again.status.as_u16(), headers: again.headers, body: again.body };
        match (case.killed.leaves(), case.after_it_ran()) {
            (Holds::Reservation, _) | (_, Holds::Nothing) => case.ran(&again),
            _ => assert_eq!((&again.body, again.replayed()), (&reply.body, true), "{:?}", case.killed),
        }
    }
    let world = stand.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.after_it_ran()));
    stand.after_the_lease();
    stand.sweep().await;
    let world = stand.world().await;
    for case in &cases {
        case.balance_is(&world, case.after_it_ran());
        assert_eq!(world.at_rest(&case.who.id), [""; 0], "killed {:?}", case.killed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_chat_is_killed_recovery_alone_gives_back_what_it_held_and_no_more() {
    binary();
    let stand = Stand::start(None).await;
    let cases = killed_everywhere(&stand).await;
    stand.sweep().await;
    let world = stand.world().await;
    cases.iter().for_each(|case| case.balance_is(&world, case.killed.leaves()));
    stand.after_the_lease();
    for _ in 0..2 {
        stand.sweep().await;
        let world = stand.world().await;
        for case in &cases {
            case.balance_is(&world, if case.killed.leaves() == Holds::Chat { Holds::Chat } else { Holds::Nothing });
            assert_eq!(world.at_rest(&case.who.id), [""; 0], "killed {:?}", case.killed);
        }
    }
}
