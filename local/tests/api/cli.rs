//! `cargo run`: what the program prints, keeps and refuses.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_local");

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("farebox-{}", Uuid::new_v4())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs as a program of its own.
struct Running {
    program: Child,
    url: String,
    printed: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut program = command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.as_mut().unwrap());
        let mut printed = String::new();
        // The last line of what it prints when it is ready.
        while !printed.lines().any(|line| line.trim_start().starts_with("curl") || line.starts_with("What functions need")) {
            assert_ne!(lines.read_line(&mut printed).unwrap(), 0, "{arguments:?} stopped after {printed}");
        }
        let url = printed.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { program, url, printed }
    }

    /// What Ctrl-C does.
    fn interrupt(mut self) {
        let killed = Command::new("kill").args(["-INT", &self.program.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        self.program.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert!(self.program.wait().unwrap().success(), "{rest}");
        assert!(rest.contains("Stopping."), "{rest}");
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let reply = Client::new().post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().env("ADMIN_PASSWORD", "correct horse");
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Asserts that the program ends at once with one sentence.
#[track_caller]
fn refuses(arguments: &[&str], sentence: &str) {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert!(said.contains(sentence), "{arguments:?}: {said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn ann() -> Value {
    json!({ "username": "ann", "password": "secret123" })
}

#[tokio::test]
async fn a_later_run_over_the_same_folder_still_has_its_users_and_chats() {
    let folder = Folder::new();
    let port = free_port();
    let server = Running::start(&["--port", &port, "--data", folder.path()]);
    assert_eq!(server.url, format!("http://127.0.0.1:{port}"));
    let first_curl = format!("curl -s {}/api/register -H 'Content-Type: application/json' -d", server.url);
    assert!(server.printed.contains(&first_curl), "{}", server.printed);
    assert!(server.printed.contains("POST /api/chat\n"), "{}", server.printed);
    let (status, registered) = server.post("/api/register", ann()).await;
    assert_eq!(status, 201);
    let token = registered["token"].as_str().unwrap().to_owned();
    assert_eq!(server.post("/api/chat", json!({ "message": "hi", "token": token })).await.0, 200);
    server.interrupt();

    let server = Running::start(&["--port", "0", "--data", folder.path()]);
    assert_eq!(server.post("/api/login", ann()).await.1["tokens"], 3900);
    // The token of the first run still opens the account: the signing secret is kept in the folder too.
    assert_eq!(server.post("/api/chat", json!({ "message": "hi", "token": token })).await.1["tokens"], 3800);
}

#[tokio::test]
async fn a_server_in_memory_keeps_nothing() {
    for _ in 0..2 {
        let server = Running::start(&["--port", "0", "--memory"]);
        assert_eq!(server.post("/api/register", ann()).await.0, 201);
        server.interrupt();
    }
}

#[test]
fn what_can_not_be_is_refused_in_one_sentence() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    refuses(&["--port", &taken, "--memory"], &format!("Port {taken} is taken. Stop what uses it, or choose another with --port."));
    refuses(&["dynamodb", "--port", &taken, "--data", folder.path()], &format!("Port {taken} is taken."));
    refuses(&["--prot", "1"], "unexpected argument '--prot'");
    refuses(&["--port", "x"], "invalid value 'x' for '--port <PORT>'");
    refuses(&["manage", "create-admin"], "<NAME>");
    let file = std::env::current_exe().unwrap();
    refuses(&["--port", "0", "--data", file.to_str().unwrap()], "can't be written");

    let server = Running::start(&["--port", "0", "--data", folder.path()]);
    refuses(&["--port", "0", "--data", folder.path()], "is in use by another run. Stop that one, or choose another folder with --data.");
    server.interrupt();
    let mut unusable = command(&["--port", "0", "--memory"]);
    let output = unusable.env("CHAT_PRICE", "-1").output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap().trim(), "error: CHAT_PRICE must be a whole number from 1 to 1000000 (got \"-1\").");
}

#[test]
fn help_is_no_failure() {
    for arguments in [&["--help"][..], &["manage", "--help"], &["--version"]] {
        assert!(run(arguments).status.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_administrator_is_made_beside_a_running_server_or_without_one() {
    let folder = Folder::new();
    let create = |name: &'static str, more: &[&'static str]| {
        let mut arguments = vec!["manage", "create-admin", name, "--password-env", "ADMIN_PASSWORD", "--data"];
        arguments.push(folder.path());
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    let created = create("root", &[]);
    assert!(created.status.success(), "{created:?}");
    assert_eq!(String::from_utf8(created.stdout).unwrap(), "root is an administrator with 10000 tokens.\n");

    let server = Running::start(&["--port", "0", "--data", folder.path()]);
    assert!(create("second", &["--tokens", "7"]).status.success());
    for (name, tokens) in [("root", 10_000), ("second", 7)] {
        let (status, body) = server.post("/api/login", json!({ "username": name, "password": "correct horse" })).await;
        assert_eq!((status, &body["user"]["role"], &body["tokens"]), (200, &json!("admin"), &json!(tokens)), "{body}");
    }
    for (name, more, sentence) in [
        ("ROOT", &[][..], "Another account has the name ROOT."),
        ("a b", &[], "can't be a name"),
        ("third", &["--tokens", "9999999999999"], "--tokens may be at most"),
    ] {
        let refused = create(name, more);
        assert!(!refused.status.success());
        assert!(String::from_utf8(refused.stderr).unwrap().contains(sentence), "{name}");
    }
    refuses(
        &["manage", "create-admin", "fourth", "--password-env", "NO_SUCH", "--data", folder.path()],
        "The environment variable NO_SUCH is not set.",
    );
}

#[tokio::test]
async fn the_embedded_dynamodb_alone_tells_both_emulators_how_to_reach_it() {
    let folder = Folder::new();
    let port = free_port();
    let server = Running::start(&["dynamodb", "--port", &port, "--data", folder.path()]);
    let read = |name: &str| std::fs::read_to_string(Path::new(folder.path()).join(name)).unwrap();
    assert!(read("lambda.env").contains(&format!("DYNAMODB_ENDPOINT=http://127.0.0.1:{port}\n")));
    let sam: Value = serde_json::from_str(&read("sam.json")).unwrap();
    assert_eq!(sam["Parameters"]["DYNAMODB_ENDPOINT"], format!("http://host.docker.internal:{port}"));
    assert_eq!(sam["Parameters"]["SIGNING_SECRET"].as_str().unwrap().len(), 64);
    let tables = local::dynamo::client(&server.url).list_tables().send().await.unwrap();
    assert_eq!(tables.table_names.unwrap().len(), 5);
}
