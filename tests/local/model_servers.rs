//! The search for a chat model on this machine: the replies of model servers, and the output of
//! `cargo run`.

use std::convert::Infallible;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures_util::stream::{pending, repeat_with};
use local::server::model_servers::{Answering, ChatModel, ModelServer, PATIENCE, Program, find};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::program::{Folder, RunningServer, command};

/// A port on which nothing listens.
const UNUSED: u16 = 1;

/// More time than any search needs.
const LONG: Duration = Duration::from_secs(30);

/// The answer of every model.
const ANSWER: &str = "Hello from the model.";

/// A request that reached a server.
#[derive(Debug)]
struct Received {
    path: String,
    headers: HeaderMap,
    /// The body. Null if it isn't JSON.
    body: Value,
}

/// A server on a port of this machine. Cloning the handle is cheap.
#[derive(Clone)]
struct Fake {
    port: u16,
    reply: Arc<dyn Fn(&str) -> Response + Send + Sync>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Fake {
    /// Starts a server whose replies depend on the path.
    async fn start(reply: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Self { port, reply: Arc::new(reply), received: Arc::default() };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    /// The paths of the requests that the server has received.
    fn paths(&self) -> Vec<String> {
        self.received.lock().unwrap().iter().map(|request| request.path.clone()).collect()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 65_536).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let response = (fake.reply)(&path);
    fake.received.lock().unwrap().push(Received { path, headers: head.headers, body });
    response
}

fn says(json: &Value) -> Response {
    Response::new(Body::from(json.to_string()))
}

fn status(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// The model list in OpenAI's format.
fn list(ids: impl Iterator<Item = Value>, owner: &str) -> Value {
    let model = |id| json!({ "id": id, "object": "model", "created": 1, "owned_by": owner });
    let data: Vec<Value> = ids.map(model).collect();
    json!({ "object": "list", "data": data })
}

/// Ollama's replies if it has these models. Without models, its list in OpenAI's format is null.
fn ollama(tags: Vec<Value>) -> impl Fn(&str) -> Response + Send + Sync + 'static {
    move |path| match path {
        "/api/tags" => says(&json!({ "models": tags })),
        "/v1/models" if tags.is_empty() => says(&json!({ "object": "list", "data": null })),
        "/v1/models" => says(&list(tags.iter().map(|tag| tag["model"].clone()), "library")),
        "/v1/chat/completions" => {
            let said = json!({ "message": { "content": ANSWER }, "finish_reason": "stop" });
            says(&json!({ "choices": [said] }))
        }
        _ => status(404),
    }
}

/// An Ollama model, as listed by versions that report no capabilities.
fn tag(name: &str, family: &str) -> Value {
    json!({
        "name": name, "model": name, "modified_at": "2026-11-01T10:00:00Z", "size": 2_019_393_189,
        "digest": "a80c4f17acd5", "details": { "parent_model": "", "format": "gguf", "family": family,
        "families": [family], "parameter_size": "3.2B", "quantization_level": "Q4_K_M" },
    })
}

/// The same model, listed with capabilities.
fn tag_with(name: &str, family: &str, capabilities: &[&str]) -> Value {
    let mut tag = tag(name, family);
    tag["capabilities"] = json!(capabilities);
    tag
}

fn llama() -> Vec<Value> {
    vec![tag("llama3.2:latest", "llama")]
}

/// LM Studio's replies if it has these models.
fn lm_studio(models: Vec<Value>) -> impl Fn(&str) -> Response + Send + Sync + 'static {
    move |path| match path {
        "/api/v0/models" => says(&json!({ "object": "list", "data": models })),
        "/v1/models" => {
            says(&list(models.iter().map(|model| model["id"].clone()), "organization_owner"))
        }
        _ => status(404),
    }
}

fn described(id: &str, kind: &str, state: &str) -> Value {
    json!({ "id": id, "object": "model", "type": kind, "publisher": "x", "arch": "x", "state": state })
}

/// The replies from llama.cpp's server with this list of models.
fn llama_cpp(models: Value) -> impl Fn(&str) -> Response + Send + Sync + 'static {
    move |path| match path {
        "/v1/models" => says(&models),
        "/props" => says(&json!({ "model_alias": "x", "total_slots": 1 })),
        _ => status(404),
    }
}

/// The model list that llama.cpp's server returns for one model.
fn one(id: &str) -> Value {
    list([json!(id)].into_iter(), "llamacpp")
}

/// The name of the chat model that is found on this port.
async fn found(program: Program, port: u16, patience: Duration) -> Option<String> {
    let servers = [ModelServer { program, port }];
    let search = timeout(LONG / 2, find(&servers, patience)).await;
    search.expect("the search must end").map(|model| model.name)
}

/// The name of the chat model that is found on a server that sends these replies.
async fn found_at(
    program: Program,
    reply: impl Fn(&str) -> Response + Send + Sync + 'static,
) -> Option<String> {
    found(program, Fake::start(reply).await.port, LONG).await
}

/// Returns the program with model servers on these ports: Ollama, LM Studio, llama.cpp's server.
fn beside([ollama, lm_studio, llama_cpp]: [u16; 3], arguments: &[&str]) -> Command {
    let mut program = command(&[]);
    program.env_remove("AI_PROVIDER").args(["--port", "0"]);
    program.args(["--ollama-port", &ollama.to_string()]);
    program.args(["--lm-studio-port", &lm_studio.to_string()]);
    program.args(["--llama-cpp-port", &llama_cpp.to_string()]).args(arguments);
    program
}

/// Starts a server in a separate thread, so that this test's model servers can reply.
async fn started(program: Command) -> RunningServer {
    tokio::task::spawn_blocking(move || RunningServer::of(program)).await.unwrap()
}

/// Starts the program until it prints this line. A busy machine may take longer than [`PATIENCE`] for
/// the replies of a model server.
async fn started_with(line: &str, program: impl Fn() -> Command) -> RunningServer {
    for _ in 0..4 {
        let server = started(program()).await;
        if has_printed(&server, line) {
            return server;
        }
    }
    started(program()).await
}

/// Sends a message as a new user.
async fn chat(server: &RunningServer, name: &str) -> Value {
    let account = json!({ "username": name, "password": "secret123" });
    let (status, registered) = server.post("/api/register", account).await;
    assert_eq!(status, 201, "{registered}");
    let body = json!({ "message": "Hello!", "token": registered["token"] });
    let (status, chat) = server.post("/api/chat", body).await;
    assert_eq!(status, 200, "{chat}");
    chat
}

fn has_printed(server: &RunningServer, line: &str) -> bool {
    server.printed.lines().any(|printed| printed == line)
}

#[track_caller]
fn prints(server: &RunningServer, line: &str) {
    assert!(has_printed(server, line), "{}", server.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_on_this_machine_answers_without_any_setting() {
    let ollama = Fake::start(ollama(llama())).await;
    // The servers named in the environment get no requests, and no server gets the API key from the
    // environment.
    let other = Fake::start(|_| status(500)).await;
    let url = format!("http://127.0.0.1:{}", other.port);
    let line = format!(
        "Ollama on port {} answers messages, with the model llama3.2:latest. AI_PROVIDER=echo chooses the offline echo instead.",
        ollama.port
    );
    let server = started_with(&line, || {
        let mut program = beside([ollama.port, UNUSED, UNUSED], &["--memory"]);
        program.env("OPENAI_API_KEY", "sk-of-the-environment").env("OPENAI_MODEL", "gpt");
        for name in ["OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            program.env(name, &url);
        }
        program
    })
    .await;
    prints(&server, &line);
    let chat = chat(&server, "ann").await;
    assert_eq!([&chat["response"], &chat["model"]], [ANSWER, "llama3.2:latest"]);
    assert_eq!(chat["tokens"], 3900);

    assert_eq!(other.paths(), [""; 0]);
    let received = ollama.received.lock().unwrap();
    for request in received.iter() {
        assert!(!request.headers.contains_key(header::AUTHORIZATION), "{request:?}");
    }
    let asked = received.iter().find(|request| request.path == "/v1/chat/completions").unwrap();
    assert_eq!(asked.body["model"], "llama3.2:latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_echo_answers_without_a_request_to_a_model() {
    let ollama = Fake::start(ollama(llama())).await;
    let mut program = beside([ollama.port, UNUSED, UNUSED], &["--memory"]);
    program.env("AI_PROVIDER", "echo");
    let server = started(program).await;
    assert_eq!(chat(&server, "ann").await["response"], "You said: Hello!");
    assert_eq!(ollama.paths(), [""; 0]);
    prints(&server, "AI_PROVIDER=echo answers messages.");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_echo_answers_and_says_so() {
    let embeddings = Fake::start(ollama(vec![tag("nomic-embed-text:latest", "nomic-bert")])).await;
    let server = started(beside([embeddings.port, UNUSED, UNUSED], &["--memory"])).await;
    prints(
        &server,
        "An offline echo answers messages, because no model server on this machine has offered a chat model. For real answers, install Ollama (https://ollama.com), run `ollama pull llama3.2`, and start Farebox again, or choose a provider with AI_PROVIDER.",
    );
    assert_eq!(chat(&server, "ann").await["response"], "You said: Hello!");
    // A busy machine may not ask for both lists in time.
    for _ in 0..4 {
        if embeddings.paths().len() < 2 {
            started(beside([embeddings.port, UNUSED, UNUSED], &["--memory"])).await;
        }
    }
    let mut asked = embeddings.paths();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["/api/tags", "/v1/models"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_price_list_no_model_server_is_asked() {
    let (folder, ollama) = (Folder::new(), Fake::start(ollama(llama())).await);
    let prices = Folder::new();
    std::fs::create_dir_all(prices.path()).unwrap();
    let file = format!("{}/prices.json", prices.path());
    let quick = json!({ "name": "quick", "via": ["echo"], "fare": { "message": 7 } });
    std::fs::write(&file, json!({ "models": [quick] }).to_string()).unwrap();
    // The second run finds the list in the store.
    for (name, models) in [("ann", format!("file://{file}")), ("ben", String::new())] {
        let mut program = beside([ollama.port, UNUSED, UNUSED], &["--data", folder.path()]);
        program.env("MODELS", models);
        let server = started(program).await;
        let chat = chat(&server, name).await;
        assert_eq!(
            [&chat["response"], &chat["tokens"]],
            [&json!("You said: Hello!"), &json!(3993)]
        );
        server.interrupt();
    }
    assert_eq!(ollama.paths(), [""; 0]);
}

#[tokio::test]
async fn chat_models_of_all_three_servers_are_found() {
    let studio = lm_studio(vec![
        described("text-embedding-nomic", "embeddings", "loaded"),
        described("qwen2-vl-7b-instruct", "vlm", "not-loaded"),
    ]);
    for (program, fake, line) in [
        (Program::Ollama, Fake::start(ollama(llama())).await, "Ollama on port "),
        (Program::LmStudio, Fake::start(studio).await, "LM Studio on port "),
        (
            Program::LlamaCpp,
            Fake::start(llama_cpp(one("models/gemma-4-12B-it-Q8_0.gguf"))).await,
            "llama.cpp's server on port ",
        ),
    ] {
        let server = ModelServer { program, port: fake.port };
        let model = find(&[server], LONG).await.unwrap();
        assert_eq!(model.server, server);
        let name = match program {
            Program::Ollama => "llama3.2:latest",
            Program::LmStudio => "qwen2-vl-7b-instruct",
            Program::LlamaCpp => "models/gemma-4-12B-it-Q8_0.gguf",
        };
        assert_eq!(model.name, name);
        let line = format!(
            "{line}{} answers messages, with the model {name}. AI_PROVIDER=echo chooses the offline echo instead.",
            fake.port
        );
        assert_eq!(Answering::Model(model).to_string(), line);
    }
}

#[tokio::test]
async fn the_first_chat_model_in_the_list_answers() {
    let tags = vec![
        tag("all-minilm:latest", "bert"),
        tag_with("snowflake:latest", "other", &["embedding"]),
        tag_with("qwen3:4b", "qwen3", &["completion", "tools"]),
        tag("llama3.2:latest", "llama"),
    ];
    assert_eq!(found_at(Program::Ollama, ollama(tags)).await.as_deref(), Some("qwen3:4b"));
}

#[tokio::test]
async fn loaded_models_come_before_models_on_disk() {
    let models = vec![
        described("large", "llm", "not-loaded"),
        described("small", "llm", "loaded"),
        described("other", "llm", "loaded"),
    ];
    assert_eq!(found_at(Program::LmStudio, lm_studio(models)).await.as_deref(), Some("small"));
    let mut models = list(["large", "small"].map(|id| json!(id)).into_iter(), "llamacpp");
    for (model, status) in [(0, "unloaded"), (1, "loaded")] {
        models["data"][model]["status"] = json!({ "value": status, "args": ["--model", "x"] });
    }
    assert_eq!(found_at(Program::LlamaCpp, llama_cpp(models)).await.as_deref(), Some("small"));
}

#[tokio::test]
async fn models_for_embeddings_and_of_the_cloud_never_answer() {
    let mut remote = tag("gpt-oss:120b", "gptoss");
    remote["remote_host"] = json!("https://ollama.com:443");
    let mut forwarded = tag("mine", "gptoss");
    forwarded["remote_model"] = json!("gpt-oss:120b");
    for tag in [
        tag("mxbai-embed-large:latest", "other"),
        tag("bge-m3:latest", "other"),
        tag("paraphrase-multilingual:latest", "bert"),
        tag_with("z-image:latest", "other", &["image"]),
        remote,
        forwarded,
        tag("qwen3-coder:480b-cloud", "qwen3"),
        tag("glm:cloud", "glm"),
    ] {
        let name = tag["name"].to_string();
        assert_eq!(found_at(Program::Ollama, ollama(vec![tag])).await, None, "{name}");
    }
    for kind in ["embeddings", "", "tts"] {
        let models = vec![described("a-model", kind, "loaded")];
        assert_eq!(found_at(Program::LmStudio, lm_studio(models)).await, None, "{kind}");
    }
    for name in ["Qwen3-Embedding-0.6B-Q8_0.gguf", "/models/multilingual-e5-large.Q8_0.gguf"] {
        assert_eq!(found_at(Program::LlamaCpp, llama_cpp(one(name))).await, None, "{name}");
    }
}

#[tokio::test]
async fn servers_without_models_do_not_answer() {
    assert_eq!(found_at(Program::Ollama, ollama(vec![])).await, None);
    assert_eq!(found_at(Program::LmStudio, lm_studio(vec![])).await, None);
    let empty = json!({ "object": "list", "data": [] });
    assert_eq!(found_at(Program::LlamaCpp, llama_cpp(empty)).await, None);
    assert_eq!(found(Program::LlamaCpp, UNUSED, LONG).await, None);
}

#[tokio::test]
async fn other_programs_on_the_ports_do_not_answer() {
    let page = |_: &str| Response::new(Body::from("<!doctype html><title>A page</title>"));
    let all = [Program::Ollama, Program::LmStudio, Program::LlamaCpp];
    for program in all {
        assert_eq!(found_at(program, page).await, None);
        assert_eq!(found_at(program, |_| status(401)).await, None);
        assert_eq!(found_at(program, |_| says(&json!(["llama3.2"]))).await, None);
        // Another server that implements OpenAI's API. Its models may not be chat models.
        let models = list([json!("llama3.2")].into_iter(), "vllm");
        assert_eq!(found_at(program, move |_| says(&models)).await, None);
    }
    // llama.cpp's server lists its models without a key even if it requires an API key elsewhere.
    let guarded = |path: &str| if path == "/props" { status(401) } else { says(&one("llama")) };
    assert_eq!(found_at(Program::LlamaCpp, guarded).await, None);
    for name in ["\u{1b}[2Jllama", "two\nlines", "turned\u{202e}round", "", &"x".repeat(201)] {
        assert_eq!(found_at(Program::LlamaCpp, llama_cpp(one(name))).await, None, "{name:?}");
        assert_eq!(found_at(Program::Ollama, ollama(vec![tag(name, "llama")])).await, None);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Fake::start(ollama(llama())).await;
    let port = elsewhere.port;
    for status in [301_u16, 302, 307, 308] {
        let reply = move |path: &str| {
            let to = format!("http://127.0.0.1:{port}{path}");
            let reply = Response::builder().status(status).header(header::LOCATION, to);
            reply.body(Body::empty()).unwrap()
        };
        assert_eq!(found_at(Program::Ollama, reply).await, None);
    }
    assert_eq!(elsewhere.paths(), [""; 0]);
}

#[tokio::test]
async fn silent_servers_and_endless_pauses_end_the_search() {
    // The operating system accepts connections for this server, which never reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    assert_eq!(found(Program::Ollama, port, PATIENCE).await, None);
    let paused = |_: &str| Response::new(Body::from_stream(pending::<Result<Bytes, Infallible>>()));
    let paused = Fake::start(paused).await;
    assert_eq!(found(Program::Ollama, paused.port, PATIENCE).await, None);
}

#[tokio::test]
async fn replies_over_the_limit_end_the_search() {
    let endless = |_: &str| {
        let spaces = || Ok::<_, Infallible>(Bytes::from_static(&[b' '; 65_536]));
        Response::new(Body::from_stream(repeat_with(spaces)))
    };
    assert_eq!(found_at(Program::Ollama, endless).await, None);
    for (size, name) in [(1000, Some("llama3.2:latest")), (2 * 1024 * 1024, None)] {
        let padded = move |path: &str| {
            let mut reply = match path {
                "/api/tags" => json!({ "models": llama() }),
                _ => list([json!("llama3.2:latest")].into_iter(), "library"),
            };
            reply["more"] = json!("x".repeat(size));
            says(&reply)
        };
        assert_eq!(found_at(Program::Ollama, padded).await.as_deref(), name);
    }
}

#[tokio::test]
async fn servers_have_a_fixed_order_whichever_replies_first() {
    let ollama = Fake::start(ollama(llama())).await;
    let studio = Fake::start(lm_studio(vec![described("qwen", "llm", "loaded")])).await;
    let llama_cpp = Fake::start(llama_cpp(one("gemma"))).await;
    let servers = |ports: [u16; 3]| {
        let programs = [Program::Ollama, Program::LmStudio, Program::LlamaCpp];
        [0, 1, 2].map(|at| ModelServer { program: programs[at], port: ports[at] })
    };
    let name = |model: Option<ChatModel>| model.map(|model| model.name);
    let all = servers([ollama.port, studio.port, llama_cpp.port]);
    assert_eq!(name(find(&all, LONG).await).as_deref(), Some("llama3.2:latest"));
    let two = servers([UNUSED, studio.port, llama_cpp.port]);
    assert_eq!(name(find(&two, LONG).await).as_deref(), Some("qwen"));
    // A server that never replies doesn't hide a later server, and doesn't delay an earlier
    // server's model.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let last = servers([silent, UNUSED, llama_cpp.port]);
    assert_eq!(name(find(&last, Duration::from_secs(1)).await).as_deref(), Some("gemma"));
    let first = servers([ollama.port, silent, silent]);
    let found = timeout(LONG / 2, find(&first, LONG)).await.expect("the search must not wait");
    assert_eq!(name(found).as_deref(), Some("llama3.2:latest"));
    assert_eq!(find(&[], LONG).await, None);
}
