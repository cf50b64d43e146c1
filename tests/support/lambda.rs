//! Instances of the real Lambda binaries. An instance gets its events from a Runtime API that the
//! test serves.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path as InPath, State};
use axum::response::Response;
use axum::routing::{get, post};
use emulator::template::Template;
use lambda_http::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared::clock;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::function::Reply;
use crate::support::program::{clear_environment, memory};

/// The trace id of every invocation, as Lambda reports it.
pub const TRACE: &str = "5759e988bd862e3fe1be46a994272793";

/// Returns the path of a function's binary. The first call for a function builds it from the
/// current sources.
pub fn binary(function: &str) -> PathBuf {
    static BUILT: LazyLock<std::sync::Mutex<HashSet<String>>> = LazyLock::new(Default::default);
    let target = Path::new(env!("CARGO_BIN_EXE_farebox")).ancestors().nth(2).unwrap();
    let mut built = BUILT.lock().unwrap();
    if !built.contains(function) {
        build(function, target);
        built.insert(function.to_owned());
    }
    target.join("debug").join(function)
}

fn build(function: &str, target: &Path) {
    // Like `cargo test --workspace`, so that the binary and this test share the builds of all
    // libraries.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bin", function])
        .args(["--test", "api", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success(), "{function} can't be built");
}

/// The pause between two checks that the instance still runs.
const LOOK: Duration = Duration::from_millis(100);

/// An instance of a function: its process, and the Runtime API from which it gets its events.
pub struct Instance {
    function: String,
    process: Child,
    /// The instance's last output, if it panics or can't start.
    errors: Log,
    work: mpsc::UnboundedSender<String>,
    done: mpsc::UnboundedReceiver<Value>,
    server: JoinHandle<()>,
}

/// A process's output, in a file that is deleted at the end of the test.
pub struct Log(PathBuf);

impl Log {
    pub fn new() -> Self {
        let log = Self(std::env::temp_dir().join(format!("farebox-{}.log", uuid::Uuid::new_v4())));
        std::fs::write(&log.0, "").unwrap();
        log
    }

    pub fn writer(&self) -> Stdio {
        std::fs::OpenOptions::new().append(true).open(&self.0).unwrap().into()
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }

    /// Returns the lines that the instance has written so far: one line of JSON for each event and
    /// each metric.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Runtime {
    work: Mutex<mpsc::UnboundedReceiver<String>>,
    done: mpsc::UnboundedSender<Value>,
    /// Notified when the instance asks for an event.
    asks: Notify,
}

impl Instance {
    /// Starts an instance with the template's environment and some settings changed, and waits
    /// until it asks for its first event.
    pub async fn of(function: &str, settings: &[(&str, &str)]) -> Self {
        Self::start(Command::new(binary(function)), function, settings).await
    }

    /// Starts an instance that calls the scripted AI and uses the store at `dynamodb`.
    pub async fn scripted(function: &str, dynamodb: &str) -> Self {
        let ai = [("AI_PROVIDER", "scripted"), ("AI_TIMEOUT_SECONDS", "20")];
        Self::of(function, &[("DYNAMODB_ENDPOINT", dynamodb), ai[0], ai[1]]).await
    }

    /// Starts an instance of `function` with this command.
    pub async fn start(command: Command, function: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(command, function, settings, Stdio::null()).await
    }

    /// Starts an instance that writes its log to `log`, in the form that CloudWatch gets.
    pub async fn logging(function: &str, settings: &[(&str, &str)], log: &Log) -> Self {
        Self::run(Command::new(binary(function)), function, settings, log.writer()).await
    }

    async fn run(
        mut command: Command,
        function: &str,
        settings: &[(&str, &str)],
        log: Stdio,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (work, to_do) = mpsc::unbounded_channel();
        let (finished, done) = mpsc::unbounded_channel();
        let runtime =
            Arc::new(Runtime { work: Mutex::new(to_do), done: finished, asks: Notify::new() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(answered))
            .with_state(runtime.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let template = Template::load().unwrap();
        let described =
            template.functions.iter().find(|described| described.name == function).unwrap();
        let errors = Log::new();
        clear_environment(&mut command).stdout(log).stderr(errors.writer());
        command.envs(described.environment.iter().filter(|(_, value)| !value.is_empty()));
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", function),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", function),
            ("AWS_LAMBDA_LOG_STREAM_NAME", function),
        ]);
        command.envs(settings.iter().copied());
        let process = command.spawn().unwrap();
        let mut instance =
            Self { function: function.to_owned(), process, errors, work, done, server };
        while timeout(LOOK, runtime.asks.notified()).await.is_err() {
            instance.is_running();
        }
        instance
    }

    /// Asserts that the process runs. Without this check, a test would wait forever for a process
    /// that has failed.
    fn is_running(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("{} ended: {status}\n{}", self.function, self.errors.text());
        }
    }

    /// Waits for the instance's next response.
    async fn response(&mut self) -> Value {
        loop {
            if let Ok(response) = timeout(LOOK, self.done.recv()).await {
                return response.unwrap();
            }
            self.is_running();
        }
    }

    /// Sends the instance an event.
    pub fn takes(&self, event: &Value) {
        self.work.send(event.to_string()).unwrap();
    }

    /// Sends the instance an event that isn't a request, and waits for its response.
    pub async fn does(&mut self, event: &Value) -> Value {
        self.takes(event);
        self.response().await
    }

    /// Sends the instance an event that isn't a request, and waits for the failure that it reports
    /// to Lambda.
    pub async fn fails(&mut self, event: &Value) -> Value {
        let told = self.does(event).await;
        assert_eq!(told["statusCode"], 500, "it did not fail: {told}");
        serde_json::from_str(told["body"].as_str().unwrap()).unwrap()
    }

    /// Waits for the reply to the next event.
    pub async fn answers(&mut self) -> Reply {
        let reply = self.response().await;
        let headers =
            reply["multiValueHeaders"].as_object().or(reply["headers"].as_object()).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().or_else(|| value[0].as_str()).unwrap();
                (name.parse().unwrap(), value.parse().unwrap())
            })
            .collect();
        let text = reply["body"].as_str().unwrap();
        let body = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        Reply { status: reply["statusCode"].as_u64().unwrap().try_into().unwrap(), headers, body }
    }

    /// The most memory that the instance has used, in MiB.
    pub fn peak(&self) -> u64 {
        memory(&self.process, "VmHWM")
    }

    /// Sends SIGSTOP. The process continues only when it is killed.
    pub fn stops(&self) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &process]).status().unwrap().success());
    }

    /// Sends SIGTERM, as Lambda does, and waits until the instance has ended.
    pub fn end(mut self) {
        assert!(
            Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success()
        );
        self.process.wait().unwrap();
    }

    /// Sends SIGKILL.
    pub fn kill(mut self) {
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

/// The time limit of an invocation. It is longer than the template's time-out of every function
/// that is killed (`embeddings` has 120 seconds, the longest), because a busy machine may need more
/// time.
const FUNCTION_TIME: Duration = Duration::from_secs(600);

/// Longer than the lease of a hold that is placed now, by an instance or by the local server: a
/// lease ends half a minute after the function's time-out.
pub const LEASE: Duration = FUNCTION_TIME.saturating_add(Duration::from_secs(31));

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.asks.notify_one();
    let Some(event) = runtime.work.lock().await.recv().await else { std::future::pending().await };
    let deadline = clock::system_time() + FUNCTION_TIME;
    let mut response = Response::new(event.into());
    for (name, value) in [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        // Lambda sends this header even if X-Ray records nothing.
        (
            "lambda-runtime-trace-id",
            format!("Root=1-{}-{};Parent=53995c3f42cd8ad8;Sampled=0", &TRACE[..8], &TRACE[8..]),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:chat".to_owned(),
        ),
    ] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn answered(
    State(runtime): State<Arc<Runtime>>,
    InPath((_, what)): InPath<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let began = Instant::now();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let took = began.elapsed();
    let streamed = headers
        .get("lambda-runtime-function-response-mode")
        .is_some_and(|mode| mode == "streaming");
    let body = if streamed {
        whole(&body, took)
    } else {
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    };
    let done = if what == "response" {
        body
    } else {
        json!({ "statusCode": 500, "headers": {}, "body": body.to_string() })
    };
    let _ = runtime.done.send(done);
    StatusCode::ACCEPTED
}

/// Returns a streamed reply in the form of an unstreamed one. In a streamed reply, the part before
/// the eight zero bytes contains the status and the headers
/// ([format](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming)).
fn whole(streamed: &[u8], took: Duration) -> Value {
    let text = std::str::from_utf8(streamed).unwrap();
    let (prelude, body) = text.split_once("\0\0\0\0\0\0\0\0").unwrap();
    let mut whole: Value = serde_json::from_str(prelude).unwrap();
    whole["headers"]["x-came-as"] = json!("a stream");
    // The time between the reply's head and its end.
    whole["headers"]["x-took-micros"] = json!(took.as_micros().to_string());
    whole["body"] = json!(body);
    whole
}
