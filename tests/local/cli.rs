//! `cargo run`: the program's output, its data folder and its errors.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo::Data;
use local::server::Server;
use reqwest::Client;
use serde_json::{Value, json};
use shared::clock::{Clock, rfc3339};
use shared::store::Order;
use shared::values::PriceList;
use uuid::Uuid;

use crate::support::client::{Api, GRANT, a_pack};
use crate::support::django::HASH;
use crate::support::program::{Folder, RunningServer, command, over_tables, run};
use crate::support::proxy::Proxy;

/// Asserts that the program fails at once with a one-sentence error message.
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
async fn later_runs_over_a_folder_keep_its_users_and_chats() {
    let folder = Folder::new();
    let port = free_port();
    let server = RunningServer::start(&["--port", &port, "--data", folder.path()]);
    assert_eq!(server.url, format!("http://127.0.0.1:{port}"));
    let first_curl =
        format!("curl -s {}/api/register -H 'Content-Type: application/json' -d", server.url);
    assert!(server.printed.contains(&first_curl), "{}", server.printed);
    assert!(server.printed.contains("POST   /api/chat\n"), "{}", server.printed);
    let (status, registered) = server.post("/api/register", ann()).await;
    assert_eq!(status, 201);
    let token = registered["token"].as_str().unwrap().to_owned();
    assert_eq!(server.post("/api/chat", json!({ "message": "hi", "token": token })).await.0, 200);
    server.interrupt();

    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    assert_eq!(server.post("/api/login", ann()).await.1["tokens"], 3900);
    // The first run's access token is still valid, because the folder also contains the signing
    // secret.
    assert_eq!(
        server.post("/api/chat", json!({ "message": "hi", "token": token })).await.1["tokens"],
        3800
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_over_another_store_use_no_data_folder() {
    let (api, folder) = (Api::own(&[]).await, Folder::new());
    let mut program = command(&["--port", "0", "--data", folder.path()]);
    program.env("DYNAMODB_ENDPOINT", &api.dynamodb);
    let server = RunningServer::of(program);
    let body = json!({ "username": "ann", "email": "ann@example.com", "password": "secret123" });
    assert_eq!(server.post("/api/register", body).await.0, 201);
    api.outbox_is_empty().await;
    server.interrupt();
    assert!(!Path::new(folder.path()).exists(), "{}", folder.path());
}

#[tokio::test]
async fn servers_in_memory_keep_nothing() {
    for _ in 0..2 {
        let server = RunningServer::start(&["--port", "0", "--memory"]);
        assert_eq!(server.post("/api/register", ann()).await.0, 201);
        server.interrupt();
    }
}

#[test]
fn impossible_commands_are_refused_in_one_sentence() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    refuses(
        &["--port", &taken, "--memory"],
        &format!("Port {taken} is taken. Stop what uses it, or choose another with --port."),
    );
    refuses(
        &["dynamodb", "--port", &taken, "--data", folder.path()],
        &format!("Port {taken} is taken."),
    );
    refuses(&["--prot", "1"], "unexpected argument '--prot'");
    refuses(&["--port", "x"], "invalid value 'x' for '--port <PORT>'");
    refuses(&["manage", "create-admin"], "<NAME>");
    refuses(&["estimate", "--users", "10"], "--chats-per-day <C>");
    let slow = ["--users", "10", "--chats-per-day", "1", "--ai-seconds", "30"];
    refuses(&[&["estimate"], &slow[..]].concat(), "an answer that takes 30 seconds fails");
    let tokens = ["--prompt-tokens", "1"];
    refuses(&[&["estimate"], &slow[..], &tokens].concat(), "--models <FILE>");
    refuses(
        &[&["estimate"], &slow[..], &["--models", "no-such.json"]].concat(),
        "no-such.json can't be read",
    );
    for command in ["reapply", "reconcile"] {
        refuses(
            &["manage", command, "2026-11-21T10:00:00Z"],
            "Export the names of the restored tables: USERS_TABLE, TOKENS_TABLE",
        );
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    refuses(&["--port", "0", "--data", file], "is not a folder");
    refuses(&["manage"], "requires a subcommand");
    refuses(&["manage", "till", "packs"], "requires a subcommand");
    for users in ["1e300", "inf", "NaN", "0"] {
        let load = ["estimate", "--users", users, "--chats-per-day", "1", "--ai-seconds", "4"];
        refuses(&load, "--users must be more than 0, and at most 1000000000000000000.");
    }
    for command in ["reapply", "reconcile"] {
        refuses(&["manage", command, "2999-01-01T00:00:00Z"], "isn't over");
    }
    let damaged = Folder::new();
    std::fs::create_dir_all(damaged.path()).unwrap();
    std::fs::write(format!("{}/dynamodb.sqlite", damaged.path()), "not a database").unwrap();
    refuses(&["manage", "audit", "--data", damaged.path()], "file is not a database");

    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    refuses(
        &["--port", "0", "--data", folder.path()],
        "is in use by another run. Stop that one, or choose another folder with --data.",
    );
    server.interrupt();
    std::fs::write(format!("{}/dynamodb.sqlite", folder.path()), "").unwrap();
    let empty = "dynamodb.sqlite is empty, and its folder was used before.";
    refuses(&["--port", "0", "--data", folder.path()], empty);
    refuses(&["manage", "audit", "--data", folder.path()], empty);
    let mut unusable = command(&["--port", "0", "--memory"]);
    let output = unusable.env("CHAT_PRICE", "-1").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap().trim(),
        "error: CHAT_PRICE must be a whole number from 1 to 1000000 (got \"-1\")."
    );
    let mut unfiltered = command(&["--port", "0", "--memory"]);
    let output = unfiltered.env("RUST_LOG", "farebox=loud").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(said.starts_with("error: RUST_LOG can't be used: "), "{said}");
}

#[test]
fn help_is_a_success() {
    for arguments in
        [&["--help"][..], &["manage", "--help"], &["estimate", "--help"], &["--version"]]
    {
        assert!(run(arguments).status.success(), "{arguments:?}");
    }
}

/// The commands in the documents, after the name of the program. Excludes commands whose output
/// another program reads.
fn documented_commands() -> Vec<Vec<String>> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let folders = [docs.clone(), docs.join("use"), docs.join("operate"), docs.join("internals")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let documents = files.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let mut commands = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(document).unwrap();
        let mut is_shell = false;
        for line in text.lines().map(str::trim) {
            if let Some(language) = line.strip_prefix("```") {
                is_shell = language == "sh";
            }
            let command =
                line.strip_prefix("farebox ").or_else(|| line.strip_prefix("cargo run -- "));
            let Some(words) = command.filter(|_| is_shell).and_then(shlex::split) else { continue };
            let own = words
                .into_iter()
                .take_while(|word| word != "|" && word != "&&" && !word.starts_with('>'));
            commands.push(own.collect());
        }
    }
    commands
}

/// With `--help`, the program only parses the command, so it refuses unknown commands and options,
/// but does nothing else.
#[test]
fn commands_in_the_documents_exist() {
    let commands = documented_commands();
    assert!(commands.len() > 40, "{commands:?}");
    for command in commands {
        let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
        words.push("--help");
        let output = run(&words);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    assert!(!run(&["manage", "audit", "--every", "--help"]).status.success());
}

#[test]
fn the_program_prints_the_version_of_the_workspace() {
    let printed = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert_eq!(printed, concat!("farebox ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(shared::VERSION, env!("CARGO_PKG_VERSION"));
}

/// The example command in docs/operate/cost.md and docs/operate/release.md.
const ESTIMATE: &str =
    "cargo run -- estimate --users 10000 --chats-per-day 10 --ai-seconds 4 --streamed 0.8";

#[test]
fn estimates_match_the_documentation() {
    let (cost, release) =
        (include_str!("../../docs/operate/cost.md"), include_str!("../../docs/operate/release.md"));
    assert!(cost.contains(ESTIMATE) && release.contains(ESTIMATE));
    let arguments: Vec<&str> = ESTIMATE.split_whitespace().skip(3).collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let shown = cost.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let (own, by_kind) = printed.split_once("\ndollars for a million").unwrap();
    assert!(shown.starts_with(own), "run `cargo xtask generate` for this example:\n{own}");
    // docs/operate/cost.md shows only some kinds of requests.
    let some: Vec<&str> = shown.lines().skip(own.lines().count() + 2).collect();
    assert!(some.len() > 10);
    for line in some {
        assert!(by_kind.lines().any(|kind| kind == line), "{line:?} is not in:\n{by_kind}");
    }

    let json = run(&[&arguments[..], &["--json"]].concat()).stdout;
    let estimate: Value = serde_json::from_slice(&json).unwrap();
    let first = estimate["first_that_breaks"]["what"].as_str().unwrap();
    assert!(printed.contains(&format!("First limit reached: {first}, at ")), "{printed}");
    let items = estimate["month"].as_array().unwrap();
    assert!(items.iter().all(|item| printed.contains(item["item"].as_str().unwrap())));
    let at_rest = estimate["at_rest_dollars"].as_f64().unwrap();
    let of = |name: &str| {
        let item = items.iter().find(|item| item["item"] == name).unwrap();
        item["dollars"].as_f64().unwrap()
    };
    let watching = of("CloudWatch, alarms") + of("CloudWatch, dashboards");
    // README.md and docs/operate/cost.md state these prices.
    assert!((32.5..37.5).contains(&at_rest), "{at_rest} is not about 35 dollars");
    let others = at_rest - watching;
    assert!((2.45..2.55).contains(&others), "{others} is not about 2.50 dollars");
}

/// Writes a price list into the folder, and returns its path.
fn write_prices(folder: &Folder, list: &str) -> String {
    std::fs::create_dir_all(folder.path()).unwrap();
    let path = format!("{}/prices.json", folder.path());
    std::fs::write(&path, list).unwrap();
    path
}

#[test]
fn estimates_of_a_price_list_match_the_documentation() {
    let prices = include_str!("../../docs/operate/prices.md");
    let list = prices.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = Folder::new();
    let path = write_prices(&folder, list);
    let example = format!("{ESTIMATE} --models prices.json");
    assert!(prices.contains(&example));
    let arguments: Vec<&str> = example
        .split_whitespace()
        .skip(3)
        .map(|word| if word == "prices.json" { path.as_str() } else { word })
        .collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let from = printed.find("On average, a prompt has").unwrap();
    let section = printed[from..].split("\n\n").next().unwrap();
    let shown = format!("```text\n{section}\n```");
    assert!(prices.contains(&shown), "docs/operate/prices.md needs this example:\n{shown}");

    // docs/operate/prices.md shows the price of this message.
    let message = ["--prompt-tokens", "1000", "--answer-tokens", "500", "--json"];
    let json = run(&[&arguments[..], &message].concat()).stdout;
    let estimate: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(estimate["currency"], "USD");
    assert_eq!(estimate["average_chat"], json!({ "prompt_tokens": 1000, "answer_tokens": 500 }));
    let [quick, deep] = [&estimate["models"][0], &estimate["models"][1]];
    assert_eq!((&quick["tokens"], &quick["most"]), (&json!(100), &json!(100)));
    assert_eq!((&quick["month"]["cost"], &quick["margin"]), (&Value::Null, &Value::Null));
    assert_eq!((&deep["model"], &deep["tokens"]), (&json!("deep"), &json!(250)));
    for (amount, expected) in [
        (&quick["thousand_chats"]["income"], 4.0),
        (&deep["thousand_chats"]["cost"], 6.25),
        (&deep["thousand_chats"]["income"], 10.0),
        (&deep["month"]["cost"], 18_750.0),
        (&deep["month"]["income"], 30_000.0),
        (&deep["margin"], 0.375),
    ] {
        let amount = amount.as_f64().unwrap();
        assert!((amount - expected).abs() < 1e-6, "{amount} is not {expected}");
    }
}

#[test]
fn estimates_name_every_problem_of_a_price_list() {
    let folder = Folder::new();
    let list = json!({ "models": [
        { "name": "quick", "via": ["azure"], "fare": { "message": 1 } },
        { "name": "deep", "via": ["echo"], "fare": { "input": 1, "cached": 1, "output": -1 } },
    ]});
    let path = write_prices(&folder, &list.to_string());
    let arguments: Vec<&str> = ESTIMATE.split_whitespace().skip(3).collect();
    let output = run(&[&arguments[..], &["--models", &path]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("has 2 problems:"), "{said}");
    for field in ["models[0].via[0]: ", "models[1].fare.output: "] {
        assert!(said.lines().any(|line| line.starts_with(field)), "{said}");
    }
}

/// A price list with two models: one has a flat fare, and the other is charged by usage.
fn example_prices() -> Value {
    json!({ "models": [
        { "name": "quick", "via": ["echo"], "fare": { "message": 7 } },
        { "name": "deep", "via": ["echo"], "fare": { "input": 50_000, "cached": 5000, "output": 400_000 } },
    ]})
}

/// A price list with two problems, and the fields that contain them.
fn wrong_prices() -> (Value, [&'static str; 2]) {
    let mut wrong = example_prices();
    (wrong["models"][0]["via"][0], wrong["models"][1]["fare"]["output"]) =
        (json!("azure"), json!(-1));
    (wrong, ["models[0].via[0]: ", "models[1].fare.output: "])
}

/// Runs `manage models`. Returns whether the command succeeded, and its output.
fn manage_models(arguments: &[&str]) -> (bool, String) {
    let output = run(&[&["manage", "models"], arguments].concat());
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out + &err)
}

#[test]
fn price_lists_are_checked_without_a_store() {
    let folder = Folder::new();
    let list = example_prices();
    let version = PriceList::read(&list).unwrap().version();
    let path = write_prices(&folder, &list.to_string());
    let prices = "quick: 7 tokens\ndeep: 250 tokens\n";
    let expected = format!(
        "2 models, version {version}. A prompt of 1000 model tokens and an answer of 500 cost:\n{prices}"
    );
    assert_eq!(manage_models(&["check", &path]), (true, expected.clone()));
    write_prices(&folder, &format!("\u{feff}{list}"));
    assert_eq!(manage_models(&["check", &path]), (true, expected));

    let (wrong, fields) = wrong_prices();
    write_prices(&folder, &wrong.to_string());
    let (success, said) = manage_models(&["check", &path]);
    assert!(!success && said.contains("prices.json has 2 problems:\n"), "{said}");
    for field in fields {
        assert!(said.lines().any(|line| line.starts_with(field)), "{said}");
    }
    write_prices(&folder, "{");
    let (success, said) = manage_models(&["check", &path]);
    assert!(!success && said.contains("This isn't JSON"), "{said}");
    let (success, said) = manage_models(&["check", "no-such.json"]);
    assert!(!success && said.contains("no-such.json can't be read"), "{said}");
    assert!(!manage_models(&["check"]).0);
}

#[test]
fn price_lists_are_set_shown_and_removed() {
    let (files, folder) = (Folder::new(), Folder::with_store());
    let list = example_prices();
    let version = PriceList::read(&list).unwrap().version();
    let path = write_prices(&files, &list.to_string());
    let models =
        |arguments: &[&str]| manage_models(&[arguments, &["--data", folder.path()]].concat());
    let none = "There is no price list: every message costs CHAT_PRICE.\n";
    assert_eq!(models(&["show"]), (true, none.to_owned()));
    let set = format!("The price list {version} is set. Functions use it within a minute.\n");
    for _ in 0..2 {
        assert_eq!(models(&["set", &path]), (true, set.clone()), "a repetition changes nothing");
    }
    let (success, shown) = models(&["show"]);
    assert!(success, "{shown}");
    let (json, line) = shown.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), list);
    assert!(line.starts_with(&format!("version {version}, ")), "{line}");
    assert!(line.ends_with("Z by manage"), "{line}");
    // The list that `show` prints can be set again.
    let (success, said) = models(&["set", &write_prices(&files, json)]);
    assert!(success && said == set, "{said}");

    write_prices(&files, &wrong_prices().0.to_string());
    let (success, said) = models(&["set", &path]);
    assert!(!success && said.contains("has 2 problems:"), "{said}");
    assert_eq!(models(&["show"]), (true, shown.clone()), "a wrong list changes nothing");

    let (success, said) = models(&["remove"]);
    assert!(success && said.starts_with("There is no price list now"), "{said}");
    assert_eq!(models(&["show"]), (true, none.to_owned()));
    assert_eq!(models(&["show", &version]), (true, shown));
    let (success, said) = models(&["show", "0000000000000000"]);
    let unknown = "The price list never had the version \"0000000000000000\".";
    assert!(!success && said.contains(unknown), "{said}");
}

/// The [`example_prices`] with system prompts.
fn prompted_prices() -> Value {
    let mut list = example_prices();
    (list["system"], list["models"][1]["system"]) = (json!("Be kind."), json!("Be brief."));
    list
}

#[test]
fn system_prompts_in_files_are_checked_set_and_shown() {
    let (files, folder) = (Folder::new(), Folder::with_store());
    let list = prompted_prices();
    let path = write_prices(&files, &list.to_string());
    let (success, said) = manage_models(&["check", &path]);
    assert!(success, "{said}");
    let (success, said) = manage_models(&["set", &path, "--data", folder.path()]);
    assert!(success, "{said}");
    let (success, shown) = manage_models(&["show", "--data", folder.path()]);
    let (json, _) = shown.trim_end().rsplit_once('\n').unwrap();
    assert_eq!((success, serde_json::from_str::<Value>(json).unwrap()), (true, list.clone()));

    // The estimate counts the bytes of the model's own system prompt.
    let most = |list: &Value| {
        write_prices(&files, &list.to_string());
        let arguments: Vec<&str> = ESTIMATE.split_whitespace().skip(3).collect();
        let output = run(&[&arguments[..], &["--models", &path, "--json"]].concat());
        let estimate: Value = serde_json::from_slice(&output.stdout).unwrap();
        estimate["models"][1]["most"].as_u64().unwrap()
    };
    let mut long = list.clone();
    long["models"][1]["system"] = json!("x".repeat(8192));
    // 8,183 more bytes x 0.05
    assert!((409..=410).contains(&(most(&long) - most(&list))));

    for (text, pointer, field) in [
        ("", "", "system: "),
        ("a\u{1b}b", "/models/1", "models[1].system: "),
        (&"x".repeat(8193), "/models/1", "models[1].system: "),
    ] {
        let mut wrong = list.clone();
        wrong.pointer_mut(pointer).unwrap()["system"] = json!(text);
        write_prices(&files, &wrong.to_string());
        let (success, said) = manage_models(&["set", &path, "--data", folder.path()]);
        assert!(!success && said.lines().any(|line| line.starts_with(field)), "{said}");
    }
}

#[tokio::test]
async fn the_list_in_models_may_have_system_prompts() {
    let (files, folder) = (Folder::new(), Folder::new());
    let mut list = prompted_prices();
    for model in list["models"].as_array_mut().unwrap() {
        model["via"] = json!(["scripted"]);
    }
    let url = format!("file://{}", write_prices(&files, &list.to_string()));
    let mut program = with_models(&folder, &url);
    program.env("AI_PROVIDER", "scripted");
    let server = RunningServer::of(program);
    let (status, registered) = server.post("/api/register", ann()).await;
    assert_eq!(status, 201);
    for (model, system) in [("quick", "Be kind."), ("deep", "Be brief.")] {
        let body = json!({ "message": "!recall", "model": model, "token": registered["token"] });
        let chat = server.post("/api/chat", body).await.1;
        assert_eq!(chat["response"], format!("system: {system}\nuser: !recall"));
    }
}

#[tokio::test]
async fn price_lists_are_set_beside_a_running_server() {
    let (files, folder) = (Folder::new(), Folder::new());
    let path = write_prices(&files, &example_prices().to_string());
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let (success, said) = manage_models(&["set", &path, "--data", folder.path()]);
    assert!(success && said.contains("Functions use it within a minute."), "{said}");
    // For a minute, the server has cached that there is no list.
    let (status, registered) = server.post("/api/register", ann()).await;
    assert_eq!(status, 201);
    let body = json!({ "message": "hi", "token": registered["token"] });
    assert_eq!(server.post("/api/chat", body).await.1["tokens"], 3900);
    let (success, shown) = manage_models(&["show", "--data", folder.path()]);
    assert!(success && shown.contains("by manage"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_for_named_tables_need_a_confirmation() {
    let (api, files) = (Api::own(&[]).await, Folder::new());
    let path = write_prices(&files, &example_prices().to_string());
    let models = |arguments: &[&str]| {
        let mut program = command(&[&["manage", "models"], arguments].concat());
        let output = over_tables(&mut program, &api.dynamodb).output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), out + &err)
    };
    for arguments in [&["set", path.as_str()][..], &["remove"]] {
        let (success, said) = models(arguments);
        assert!(!success && said.contains("--yes"), "{said}");
        assert_eq!(api.store().prices().await.unwrap(), None);
    }
    let prompted = Folder::new();
    let prompted = write_prices(&prompted, &prompted_prices().to_string());
    let (success, said) = models(&["set", &prompted]);
    assert!(!success && said.contains("--yes") && said.contains("0.15.0"), "{said}");
    for (arguments, models_left) in
        [(&["set", path.as_str(), "--yes"][..], 2), (&["remove", "--yes"], 0)]
    {
        let (success, said) = models(arguments);
        assert!(success, "{said}");
        let stored = api.store().prices().await.unwrap();
        assert_eq!(stored.map_or(0, |stored| stored.list.models.len()), models_left);
    }
}

/// A price list with every field that an earlier release can't read.
fn further_prices() -> Value {
    json!({ "currency": "USD", "million_tokens": "20", "models": [
        {
            "name": "deep", "aliases": ["claude-*", "gpt-5"], "via": ["anthropic:claude", "echo"],
            "fare": { "input": 50_000, "cached": 5000, "write": 62_500, "output": 400_000 },
            "most": 128_000, "context": 200_000, "picture": 4784, "about": "Slow, thorough",
            "prompt_limit": 1_048_576, "answer_limit": 131_072, "system": "Be brief.",
            "counts_as": { "text": 1.2, "functions": 1.5 },
            "cost": { "input": "3", "cached": "0.3", "write": "3.75", "output": "15" },
        },
        {
            "name": "vectors", "kind": "embedding", "via": ["echo"], "fare": { "input": 20 },
            "cost": { "input": "0.02" },
        },
    ]})
}

#[test]
fn lists_with_every_field_are_checked_set_and_shown() {
    let (files, folder) = (Folder::new(), Folder::with_store());
    let list = further_prices();
    let path = write_prices(&files, &list.to_string());
    let (success, said) = manage_models(&["check", &path]);
    let prices = "deep: 250 tokens\nvectors: 1 tokens, for the prompt alone\n";
    assert!(success && said.ends_with(prices), "{said}");
    let (success, said) = manage_models(&["set", &path, "--data", folder.path()]);
    assert!(success, "{said}");
    let (success, shown) = manage_models(&["show", "--data", folder.path()]);
    assert!(success, "{shown}");
    let (json, _) = shown.trim_end().rsplit_once('\n').unwrap();
    // The list that `show` prints writes money with two places, and can be set again.
    let shown: Value = serde_json::from_str(json).unwrap();
    assert_eq!(PriceList::read(&shown).unwrap(), PriceList::read(&list).unwrap());
    for field in ["aliases", "via", "fare", "most", "counts_as", "prompt_limit", "answer_limit"] {
        assert_eq!(shown["models"][0][field], list["models"][0][field], "{field}");
    }
    assert_eq!(shown["models"][1]["kind"], "embedding");
    let (success, said) =
        manage_models(&["set", &write_prices(&files, json), "--data", folder.path()]);
    assert!(success, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_older_releases_lack_need_a_confirmation() {
    let (api, files) = (Api::own(&[]).await, Folder::new());
    let path = format!("{}/prices.json", files.path());
    let set = |list: &Value, more: &[&str]| {
        write_prices(&files, &list.to_string());
        let mut program = command(&[&["manage", "models", "set", &path], more].concat());
        let output = over_tables(&mut program, &api.dynamodb).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    let further = further_prices();
    for (place, field, since) in [
        ("/models/0/via", "models[1].via[0]", "0.18.0"),
        ("/models/0/most", "models[1].most", "0.18.0"),
        ("/models/0/aliases", "models[1].aliases", "0.18.0"),
        ("/models/0/fare", "models[1].fare.write", "0.18.0"),
        ("/models/0/cost", "models[1].cost.write", "0.18.0"),
        ("/models/0/prompt_limit", "models[1].prompt_limit", "0.18.0"),
        ("/models/0/answer_limit", "models[1].answer_limit", "0.18.0"),
        ("/models/0/counts_as", "models[1].counts_as", "0.22.0"),
    ] {
        let mut list = example_prices();
        list["currency"] = json!("USD");
        let name = place.rsplit('/').next().unwrap();
        list["models"][1][name] = further.pointer(place).unwrap().clone();
        let (success, said) = set(&list, &[]);
        assert!(!success && said.contains("--yes") && said.contains(since), "{said}");
        assert!(said.contains(&format!("a price list with {field},")), "{said}");
    }
    let mut list = example_prices();
    list["models"][1] =
        json!({ "name": "vectors", "kind": "embedding", "via": ["echo"], "fare": { "input": 20 } });
    let (success, said) = set(&list, &[]);
    assert!(!success && said.contains("a price list with models[1].kind,"), "{said}");
    assert_eq!(api.store().prices().await.unwrap(), None);

    let (success, said) = set(&further, &["--yes"]);
    assert!(success, "{said}");
    let stored = api.store().prices().await.unwrap().unwrap();
    assert_eq!(stored.list, PriceList::read(&further).unwrap());
}

/// Returns the program with this price list in `MODELS`.
fn with_models(folder: &Folder, url: &str) -> Command {
    let mut program = command(&["--port", "0", "--data", folder.path()]);
    program.env("MODELS", url);
    program
}

#[tokio::test]
async fn the_server_starts_with_the_list_in_models() {
    let (files, folder) = (Folder::new(), Folder::new());
    let url = format!("file://{}", write_prices(&files, &example_prices().to_string()));
    let token = {
        let server = RunningServer::of(with_models(&folder, &url));
        let (status, registered) = server.post("/api/register", ann()).await;
        assert_eq!(status, 201);
        let token = registered["token"].clone();
        let chat = server.post("/api/chat", json!({ "message": "hi", "token": token })).await.1;
        assert_eq!([&chat["model"], &chat["tokens"]], [&json!("quick"), &json!(3993)]);
        let body = json!({ "message": "hi", "model": "deep", "token": token });
        let chat = server.post("/api/chat", body).await.1;
        assert_eq!(chat["receipt"]["model"], "deep", "{chat}");
        server.interrupt();
        token
    };
    // Without the variable, the list remains, and the same list can be set again.
    for program in [command(&["--port", "0", "--data", folder.path()]), with_models(&folder, &url)]
    {
        let server = RunningServer::of(program);
        let chat = server.post("/api/chat", json!({ "message": "hi", "token": token })).await.1;
        assert_eq!([&chat["model"], &chat["tokens_deducted"]], [&json!("quick"), &json!(7)]);
        server.interrupt();
    }
}

#[test]
fn the_server_does_not_start_with_a_wrong_list() {
    let (files, folder) = (Folder::new(), Folder::new());
    let (wrong, fields) = wrong_prices();
    let path = write_prices(&files, &wrong.to_string());
    for (url, sentence) in [
        (format!("file://{path}"), fields[1]),
        (format!("file://{}/none.json", files.path()), "can't be read"),
        (path, "MODELS must be the URL of a file: file:///path."),
    ] {
        let output = with_models(&folder, &url).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(sentence), "{url}: {said}");
    }
}

#[tokio::test]
async fn the_server_does_not_start_if_its_list_was_not_set() {
    let api = Api::own(&[]).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // Neither server finds a price list before one of them sets its own.
    lane.gathers("TransactWriteItems", 2);
    let (one, other) = (Folder::new(), Folder::new());
    let [one, other] = [(&one, example_prices()), (&other, prompted_prices())]
        .map(|(folder, list)| format!("file://{}", write_prices(folder, &list.to_string())));
    let start = async |models: &str| {
        let environment = |name: &str| match name {
            "MODELS" => Some(models.to_owned()),
            "DYNAMODB_ENDPOINT" => Some(lane.url.clone()),
            "AI_PROVIDER" => Some("echo".to_owned()),
            _ => None,
        };
        Server::start(0, &Data::Memory, Clock::default(), environment).await
    };
    let (one, other) = tokio::join!(start(&one), start(&other));
    let mut refusals = Vec::new();
    for started in [one, other] {
        match started {
            Ok(server) => server.stop().await,
            Err(refusal) => refusals.push(refusal),
        }
    }
    let changed = "Someone else has just changed the price list. MODELS has changed nothing.";
    assert_eq!(refusals, [changed]);
}

#[tokio::test]
async fn administrators_are_made_with_or_without_a_running_server() {
    let folder = Folder::new();
    let create = |name: &'static str, more: &[&'static str]| {
        let mut arguments =
            vec!["manage", "create-admin", name, "--password-env", "ADMIN_PASSWORD", "--data"];
        arguments.push(folder.path());
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    let created = create("root", &[]);
    assert!(created.status.success(), "{created:?}");
    assert_eq!(
        String::from_utf8(created.stdout).unwrap(),
        "root is an administrator with 10000 tokens.\n"
    );

    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    assert!(create("second", &["--tokens", "7"]).status.success());
    for (name, tokens) in [("root", 10_000), ("second", 7)] {
        let (status, body) = server
            .post("/api/login", json!({ "username": name, "password": "correct horse" }))
            .await;
        assert_eq!(
            (status, &body["user"]["role"], &body["tokens"]),
            (200, &json!("admin"), &json!(tokens)),
            "{body}"
        );
    }
    for (name, more, sentence) in [
        ("ROOT", &[][..], "Another account has the name ROOT."),
        ("a b", &[], "can't be a username"),
        ("third", &["--tokens", "9999999999999"], "--tokens must be at most"),
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
async fn administrators_have_an_address_and_reset_their_password() {
    let folder = Folder::new();
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let create = |name: &str, more: &[&str]| {
        let named = [
            "manage",
            "create-admin",
            name,
            "--password-env",
            "ADMIN_PASSWORD",
            "--data",
            folder.path(),
        ];
        let output = run(&[&named[..], more].concat());
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(create("root", &["--email", "root@example.com"]), (true, String::new()));
    assert_eq!(create("second@example.com", &[]), (true, String::new()));
    for (login, name) in
        [("root@example.com", "root"), ("second@example.com", "second@example.com")]
    {
        let (status, body) = server
            .post("/api/login", json!({ "username": login, "password": "correct horse" }))
            .await;
        assert_eq!(
            (status, &body["user"]["username"], &body["user"]["role"]),
            (200, &json!(name), &json!("admin")),
            "{body}"
        );
        assert_eq!(
            (&body["user"]["email"], &body["user"]["email_verified"]),
            (&json!(login), &json!(false)),
            "{body}"
        );
    }
    for (name, more, sentence) in [
        (
            "third",
            &["--email", "root@example.com"][..],
            "Another account has the address root@example.com.",
        ),
        ("third", &["--email", "root"], "--email \"root\": This is not an e-mail address."),
        (
            "third@example.com",
            &["--email", "fourth@example.com"],
            "A username with an @ is the account's e-mail address: give the same address as --email, or leave it out.",
        ),
        (
            "@third",
            &[],
            "\"@third\" can't be a username: A name with an @ must be an e-mail address",
        ),
    ] {
        let (success, said) = create(name, more);
        assert!(!success && said.contains(sentence), "{said}");
    }

    let (status, _) =
        server.post("/api/password/reset", json!({ "email": "root@example.com" })).await;
    assert_eq!(status, 202);
    let mails = Path::new(folder.path()).join("mail");
    let reset = async {
        loop {
            let mails = std::fs::read_dir(&mails)
                .into_iter()
                .flatten()
                .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
            if let Some(mail) =
                mails.into_iter().find(|mail| mail.contains("Choose a new password"))
            {
                return mail.lines().find(|line| line.len() == 43).unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let token = tokio::time::timeout(Duration::from_secs(60), reset).await.unwrap();
    assert_eq!(
        server
            .post(
                "/api/password/reset/confirm",
                json!({ "token": token, "password": "another horse" })
            )
            .await
            .0,
        200
    );
    assert_eq!(
        server
            .post("/api/login", json!({ "username": "root", "password": "another horse" }))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn local_e_mails_link_to_the_local_pages() {
    let folder = Folder::new();
    let port = free_port();
    let server = RunningServer::start(&["--port", &port, "--data", folder.path()]);
    let ann = json!({ "username": "ann", "email": "ann@example.com", "password": "secret123" });
    assert_eq!(server.post("/api/register", ann).await.0, 201);
    let mails = Path::new(folder.path()).join("mail");
    let link = async {
        loop {
            let files = std::fs::read_dir(&mails).into_iter().flatten();
            let mut mails =
                files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
            if let Some(mail) = mails.find(|mail| mail.contains("Verify your e-mail address")) {
                return mail.lines().find(|line| line.starts_with("http")).map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let link = tokio::time::timeout(Duration::from_secs(60), link).await.unwrap().unwrap();
    let page = format!("http://127.0.0.1:{port}/verify-email/?token=");
    assert_eq!(link.strip_prefix(&page).expect("a link to a page").len(), 43);
    let page = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    assert_eq!(page.build().unwrap().get(&link).send().await.unwrap().status(), 303);
}

#[tokio::test]
async fn ambiguous_accounts_are_refused_and_ids_are_not() {
    let folder = Folder::new();
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let register = async |body: Value| {
        let (status, registered) = server.post("/api/register", body).await;
        assert_eq!(status, 201, "{registered}");
        registered["id"].as_str().unwrap().to_owned()
    };
    let squatter =
        register(json!({ "username": "owner@example.com", "password": "secret123" })).await;
    let dynamodb = std::fs::read_to_string(Path::new(folder.path()).join("dynamodb-url")).unwrap();
    let database = emulator::dynamo::client(&dynamodb);
    let manage =
        |arguments: &[&str]| run(&[&["manage"], arguments, &["--data", folder.path()]].concat());
    let commands = |who: &str| {
        [
            vec!["adjust".into(), who.to_owned(), "5".into(), "--reason".into(), "x".into()],
            vec!["unlock".into(), who.into()],
            vec!["audit".into(), who.into()],
        ]
    };
    let refused = |sentence: &str| {
        for command in commands("owner@example.com") {
            let output = manage(&command.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(!output.status.success(), "{command:?}");
            assert_eq!(
                String::from_utf8(output.stderr).unwrap(),
                format!("error: {sentence}\n"),
                "{command:?}"
            );
        }
    };
    refused(&format!(
        "The account {squatter} has not verified the address \"owner@example.com\". If you mean this account, give its id."
    ));

    // Undo the squatter's claim to the address: in earlier versions, a username with an `@` didn't
    // claim the address, so its owner could register with it.
    let claim = database
        .delete_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("email:owner@example.com".into()));
    claim.send().await.unwrap();
    let owner = register(
        json!({ "username": "owner", "email": "owner@example.com", "password": "secret123" }),
    )
    .await;
    refused(&format!(
        "The accounts {squatter} and {owner} both log in as \"owner@example.com\". Give the id of the one that you mean."
    ));

    for (id, balance) in [(&owner, 4005), (&squatter, 4010)] {
        let output = manage(&["adjust", id, &(balance - 4000).to_string(), "--reason", "x"]);
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .ends_with(&format!("has {balance} tokens now.\n")),
            "{id}"
        );
    }
    for command in commands(&owner).iter().skip(1).chain(&commands("owner")[..]) {
        assert!(
            manage(&command.iter().map(String::as_str).collect::<Vec<_>>()).status.success(),
            "{command:?}"
        );
    }
    let unknown = Clock::default().id().to_string();
    refuses(
        &["manage", "audit", &unknown, "--data", folder.path()],
        &format!("No account has the id \"{unknown}\"."),
    );
}

#[tokio::test]
async fn balances_are_adjusted_and_audited_with_or_without_a_server() {
    let folder = Folder::new();
    let manage = |arguments: &[&str]| {
        let output = run(&[&["manage"], arguments, &["--data", folder.path()]].concat());
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), out, err)
    };
    let says = |line: &str| (Some(0), format!("{line}\n"), String::new());
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    assert_eq!(manage(&["audit"]), says("0 accounts, 0 rows, no difference"));
    for name in ["Ann", "ben"] {
        let (status, registered) = server
            .post("/api/register", json!({ "username": name, "password": "secret123" }))
            .await;
        assert_eq!(status, 201);
        assert_eq!(
            server
                .post("/api/chat", json!({ "message": "hi", "token": registered["token"] }))
                .await
                .0,
            200
        );
    }
    assert_eq!(
        manage(&["adjust", "ann", "500", "--reason", "for the outage"]),
        says("Ann has 4400 tokens now.")
    );
    assert_eq!(
        manage(&["adjust", "ANN", "-400", "--reason", "too much"]),
        says("Ann has 4000 tokens now.")
    );
    assert_eq!(
        server.post("/api/login", json!({ "username": "Ann", "password": "secret123" })).await.1["tokens"],
        4000
    );
    for (arguments, sentence) in [
        (
            ["adjust", "ann", "-4001", "--reason", "x"],
            "Ann has only 4000 tokens. Nothing was changed.",
        ),
        (
            ["adjust", "ann", "999999999999", "--reason", "x"],
            "Ann can't be granted more than 1000000000000 tokens in all. Nothing was changed.",
        ),
        (
            ["adjust", "ann", "0", "--reason", "x"],
            "AMOUNT must be a whole number from -1000000000000 to 1000000000000 other than 0.",
        ),
        (
            ["adjust", "ann", "-9223372036854775808", "--reason", "x"],
            "AMOUNT must be a whole number from",
        ),
        (["adjust", "ann", "1", "--reason", ""], "A reason must not be empty."),
        (
            ["adjust", "ann", "1", "--reason", &"x".repeat(201)],
            "A reason can have at most 200 characters.",
        ),
        (["adjust", "nobody", "1", "--reason", "x"], "No account has the name \"nobody\"."),
        (["adjust", "a b", "1", "--reason", "x"], "No account has the name \"a b\"."),
        (["adjust", "ann", "1.5", "--reason", "x"], "invalid value '1.5' for '<AMOUNT>'"),
    ] {
        let (code, out, err) = manage(&arguments);
        assert!(
            code != Some(0) && out.is_empty() && err.contains(sentence) && err.lines().count() == 1,
            "{arguments:?}: {out}{err}"
        );
    }
    refuses(&["manage", "adjust", "ann", "1"], "--reason <TEXT>");

    assert_eq!(manage(&["audit"]), says("2 accounts, 6 rows, no difference"));
    assert_eq!(manage(&["audit", "ben"]), says("1 account, 2 rows, no difference"));
    assert_eq!(
        manage(&["audit", "nobody"]),
        (Some(1), String::new(), "error: No account has the name \"nobody\".\n".into())
    );
    let dynamodb = std::fs::read_to_string(Path::new(folder.path()).join("dynamodb-url")).unwrap();
    let update = emulator::dynamo::client(&dynamodb)
        .update_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("user:ben".into()));
    update
        .update_expression("SET tokens = tokens + :a")
        .expression_attribute_values(":a", AttributeValue::N("1".into()))
        .send()
        .await
        .unwrap();
    let found = "ben: granted is 4000, but tokens, reservations and spent make 4001\n";
    assert_eq!(
        manage(&["audit"]),
        (Some(1), found.into(), "error: 2 accounts, 6 rows, 1 difference\n".into())
    );
    server.interrupt();
    assert_eq!(
        manage(&["audit", "ben"]),
        (Some(1), found.into(), "error: 1 account, 2 rows, 1 difference\n".into())
    );
    assert_eq!(manage(&["audit", "ann"]), says("1 account, 4 rows, no difference"));
}

#[tokio::test]
async fn locked_accounts_are_unlocked_beside_a_running_server() {
    let folder = Folder::new();
    let mut program = command(&["--port", "0", "--data", folder.path()]);
    program.env("LOGIN_ATTEMPTS", "3");
    let server = RunningServer::of(program);
    assert_eq!(server.post("/api/register", ann()).await.0, 201);
    // Unknown clients may make one guess. A client in the network from which the account was
    // registered may make a second guess.
    for status in [401, 401, 429] {
        assert_eq!(
            server
                .post("/api/login", json!({ "username": "ann", "password": "wrong-password" }))
                .await
                .0,
            status
        );
    }
    assert_eq!(server.post("/api/login", ann()).await.0, 429);
    let unlocked = run(&["manage", "unlock", "ANN", "--data", folder.path()]);
    assert_eq!(
        String::from_utf8(unlocked.stdout).unwrap(),
        "ann can log in and send messages again. Today's failed messages were worth 0 of 10000 tokens; those by API keys with a limit, 0 of 5000 tokens. This month, prices exceeded their holds by 0 of 10000 tokens.\n"
    );
    assert_eq!(server.post("/api/login", ann()).await.0, 200);
    refuses(
        &["manage", "unlock", "nobody", "--data", folder.path()],
        "No account has the name \"nobody\".",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_purchases_and_keys_can_be_printed_as_json() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let printed = |arguments: &[&str]| {
        let mut program = command(&[&["manage"][..], arguments, &["--json"]].concat());
        let output = over_tables(&mut program, &api.dynamodb).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        (output.status.success(), lines.collect::<Vec<Value>>())
    };
    let counts = |differences| json!({ "accounts": 1, "rows": 1, "differences": differences });
    assert_eq!(printed(&["audit"]), (true, vec![counts(0)]));
    api.set(&ann, "tokens", AttributeValue::N("5".into())).await;
    let difference = json!({
        "username": ann.name,
        "difference": { "kind": "account", "granted": GRANT, "accounted": 5 },
        "text": format!("granted is {GRANT}, but tokens, reservations and spent make 5"),
    });
    assert_eq!(printed(&["audit"]), (false, vec![difference.clone(), counts(1)]));
    assert_eq!(printed(&["audit", &ann.name]), (false, vec![difference, counts(1)]));

    assert_eq!(printed(&["till", "orders"]), (true, vec![]));
    let account = api.account(&ann).await;
    let order = Order::new(&account, &a_pack(1000, 300), &api.clock());
    api.store().create_order(&account, &order).await.unwrap();
    let (_, orders) = printed(&["till", "orders"]);
    assert_eq!(orders.len(), 1);
    let expected = json!({
        "id": order.id(), "user_id": ann.id, "tokens": 1000, "tokens_granted": 0, "price": 300,
        "state": "open", "paid": null, "stranded": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(orders[0][field], *value, "{field}");
    }
    assert_eq!(printed(&["till", "orders", "--attention"]), (true, vec![]));

    let (_, keys) = printed(&["keys"]);
    let published = api.store().public_keys().await.unwrap();
    assert_eq!(keys.len(), published.len());
    let from = rfc3339(published[0].from * 1000);
    assert_eq!(keys[0], json!({ "kid": published[0].kid, "from": from, "until": null }));
}

#[test]
fn interrupted_imports_say_how_far_they_came() {
    let (folder, of_file) = (Folder::new(), Folder::new());
    let user = |number: u32| {
        json!({ "id": number, "username": format!("user-{number}"), "password": HASH, "tokens": 1 })
            .to_string()
    };
    // A debug build writes a few hundred users a second.
    let lines: Vec<String> = (0..30_000).map(user).collect();
    std::fs::create_dir_all(of_file.path()).unwrap();
    let file = format!("{}/users.jsonl", of_file.path());
    std::fs::write(&file, lines.join("\n")).unwrap();
    let import = ["manage", "import", "users", &file, "--apply", "--data", folder.path()];
    let mut program = command(&import).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(program.stderr.take().unwrap()).lines().map(Result::unwrap);
    let progress = said.find_map(|line| line.strip_prefix("Imported so far: ").map(str::to_owned));
    let progress = progress.expect("a line about the progress");
    let (done, of_all) = progress.split_once(' ').unwrap();
    assert!(done.parse::<u32>().unwrap() > 0, "{progress}");
    assert_eq!(of_all, "of 30000 users.");
    let id = program.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let last: Vec<String> = said.collect();
    assert_eq!(program.wait().unwrap().code(), Some(143), "{last:?}");
    let last = last.last().unwrap();
    assert!(last.starts_with("Interrupted. ") && last.contains(" of 30000 users are"), "{last}");
    assert!(last.ends_with("Run the same command again: it goes on from there."), "{last}");
}

#[tokio::test]
async fn the_audit_log_names_the_caller_of_commands() {
    let folder = Folder::new();
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    assert_eq!(server.post("/api/register", ann()).await.0, 201);
    let manage = |user: &str, logname: &str, arguments: &[&str]| {
        let mut program = command(&[&["manage"], arguments, &["--data", folder.path()]].concat());
        program.env("USER", user).env("LOGNAME", logname).env_remove("USERNAME");
        let output = program.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    manage("carol", "", &["create-admin", "root", "--password-env", "ADMIN_PASSWORD"]);
    manage("", "dave", &["adjust", "ann", "1", "--reason", "a gift"]);
    manage("", "", &["unlock", "ann"]);
    let root = json!({ "username": "root", "password": "correct horse" });
    let (_, session) = server.post("/api/login", root).await;
    let list = Client::new()
        .get(format!("{}/api/admin/trail?actor=manage", server.url))
        .bearer_auth(session["access"].as_str().unwrap());
    let list: Value = list.send().await.unwrap().json().await.unwrap();
    let shown = |act: &Value| {
        ["act", "actor", "username"].map(|name| act[name].as_str().unwrap().to_owned())
    };
    let shown: Vec<_> = list.as_array().unwrap().iter().map(shown).collect();
    let expected = [
        ["unlock", "manage", "ann"],
        ["adjustment", "manage:dave", "ann"],
        ["creation", "manage:carol", "root"],
    ];
    assert_eq!(shown, expected);
    server.interrupt();
}

#[tokio::test]
async fn deleted_accounts_can_be_erased_by_hand() {
    let folder = Folder::new();
    let manage = |command: &str| {
        String::from_utf8(run(&["manage", command, "--data", folder.path()]).stdout).unwrap()
    };
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let (_, registered) = server.post("/api/register", ann()).await;
    let token = registered["access"].as_str().unwrap();
    assert_eq!(server.post("/api/chat", json!({ "message": "hi", "token": token })).await.0, 200);
    let delete = Client::new()
        .delete(format!("{}/api/user", server.url))
        .bearer_auth(token)
        .json(&json!({ "password": "secret123" }));
    assert_eq!(delete.send().await.unwrap().status(), 202);
    assert_eq!(manage("erase"), "3 items of 1 deleted account erased, 0 names free again\n");
    assert_eq!(manage("erase"), "0 items of 0 deleted accounts erased, 0 names free again\n");
    assert_eq!(manage("audit"), "1 account, 2 rows, no difference\n");
    assert_eq!(manage("census"), "0 accounts with 0 tokens\n");
    let adjusted = run(&["manage", "adjust", "ann", "1", "--reason", "x", "--data", folder.path()]);
    assert_eq!(
        String::from_utf8(adjusted.stderr).unwrap(),
        "error: No account has the name \"ann\".\n"
    );
    server.interrupt();
}

#[tokio::test]
async fn the_embedded_dynamodb_says_how_emulators_reach_it() {
    let folder = Folder::new();
    let port = free_port();
    let server = RunningServer::start(&["dynamodb", "--port", &port, "--data", folder.path()]);
    let read = |name: &str| std::fs::read_to_string(Path::new(folder.path()).join(name)).unwrap();
    let key = read("dynamodb-url")
        .strip_prefix("http://")
        .and_then(|url| url.strip_suffix(&format!("@127.0.0.1:{port}")))
        .unwrap()
        .to_owned();
    assert!(
        read("lambda.env").contains(&format!("DYNAMODB_ENDPOINT=http://{key}@127.0.0.1:{port}\n"))
    );
    assert!(
        read("lambda.env").contains("REGISTRATIONS_PER_ADDRESS=0\n")
            && read("lambda.env").contains("LOGIN_FAILURES_PER_ADDRESS=0\n")
    );
    let sam: Value = serde_json::from_str(&read("sam.json")).unwrap();
    assert_eq!(
        sam["Parameters"]["DYNAMODB_ENDPOINT"],
        format!("http://{key}@host.docker.internal:{port}")
    );
    assert_eq!(
        sam["Parameters"]["SIGNING_SECRET"].as_str().unwrap(),
        read("signing-secret"),
        "containers don't see the folder"
    );
    let file = std::fs::canonicalize(folder.path()).unwrap().join("signing-secret");
    assert!(read("lambda.env").contains(&format!("SIGNING_SECRET=file://{}\n", file.display())));
    assert_eq!(server.url, format!("http://127.0.0.1:{port}"), "the key is not shown");
    let tables =
        emulator::dynamo::client(&read("dynamodb-url")).list_tables().send().await.unwrap();
    assert_eq!(tables.table_names.unwrap().len(), 6);
}

#[tokio::test]
async fn dynamodb_in_memory_writes_no_file_and_prints_its_key() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path()).unwrap();
    let port = free_port();
    let mut program = command(&["dynamodb", "--port", &port, "--memory"]);
    program.current_dir(folder.path()).env("TMPDIR", folder.path());
    let server = RunningServer::of(program);
    let printed = |name: &str| {
        let line = server.printed.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", server.printed)).to_owned()
    };
    let endpoint = printed("DYNAMODB_ENDPOINT=");
    assert!(endpoint.ends_with(&format!("@127.0.0.1:{port}")), "{endpoint}");
    assert_eq!(printed("SIGNING_SECRET=").len(), 64);
    let tables = emulator::dynamo::client(&endpoint).list_tables().send().await.unwrap();
    assert_eq!(tables.table_names.unwrap().len(), 6);
    server.interrupt();
    let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(written.is_empty(), "{written:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn data_folders_are_always_private() {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(
                |path| if path.is_dir() { [files(&path), vec![path]].concat() } else { vec![path] },
            )
            .collect()
    }
    let modes = |folder: &Path| -> Vec<(PathBuf, u32)> {
        let all = files(folder).into_iter().chain([folder.to_owned()]);
        all.map(|path| {
            (path.clone(), std::fs::metadata(&path).unwrap().permissions().mode() & 0o777)
        })
        .collect()
    };
    let is_private = |folder: &Path| {
        for (path, mode) in modes(folder) {
            assert_eq!(
                mode,
                if path.is_dir() { 0o700 } else { 0o600 },
                "{} has {mode:o}",
                path.display()
            );
        }
    };

    let folder = Folder::new();
    let path = Path::new(folder.path());
    let work = async || {
        let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
        let name = Uuid::new_v4().simple().to_string();
        let ann = json!({ "username": name, "email": format!("{name}@example.com"), "password": "secret123" });
        assert_eq!(server.post("/api/register", ann).await.0, 201);
        while !path.join("mail").read_dir().is_ok_and(|mut mails| {
            mails.any(|mail| mail.unwrap().path().to_string_lossy().contains(".txt"))
        }) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // While the server runs, the folder also contains SQLite's log.
        assert!(files(path).iter().any(|file| file.ends_with("dynamodb.sqlite-wal")));
        is_private(path);
        server.interrupt();
        is_private(path);
    };
    work().await;

    // The state in which an earlier version left the folder when it was killed.
    for (path, mode) in modes(path) {
        set_permissions(
            &path,
            Permissions::from_mode(mode | 0o055 & if mode == 0o700 { 0o055 } else { 0o044 }),
        )
        .unwrap();
    }
    assert!(modes(path).iter().all(|(_, mode)| [0o755, 0o644].contains(mode)));
    work().await;

    // When the program first uses a folder, it doesn't touch the other files in it.
    let folder = Folder::new();
    create_dir(folder.path()).unwrap();
    let other = Path::new(folder.path()).join("notes.txt");
    write(&other, "x").unwrap();
    set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
    drop(RunningServer::start(&["dynamodb", "--port", &free_port(), "--data", folder.path()]));
    assert_eq!(std::fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o644);
    std::fs::remove_file(other).unwrap();
    is_private(Path::new(folder.path()));
}

#[tokio::test]
async fn logs_have_no_hashes_messages_addresses_or_keys() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path()).unwrap();
    let log = Path::new(folder.path()).join("log");
    let mut program = command(&["--port", "0", "--data", folder.path()]);
    program.env("RUST_LOG", "trace");
    let server = RunningServer::logging(program, std::fs::File::create(&log).unwrap().into());
    let ann = json!({ "username": "ann", "email": "ann@example.com", "password": "secret123" });
    let (status, registered) = server.post("/api/register", ann.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(server.post("/api/login", ann).await.0, 200);
    let (status, said) = server
        .post(
            "/api/chat",
            json!({ "message": "a question of mine", "token": registered["access"] }),
        )
        .await;
    assert_eq!((status, &said["tokens"]), (200, &json!(3900)));
    let key = std::fs::read_to_string(Path::new(folder.path()).join("dynamodb-url")).unwrap();
    server.interrupt();

    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("/api/chat") && log.contains("INFO"), "{log}");
    let key = key.split(['/', ':', '@']).filter(|part| part.len() == 64).collect::<Vec<_>>();
    assert_eq!(key.len(), 2);
    let tokens = ["access", "refresh", "token"].map(|field| registered[field].as_str().unwrap());
    for secret in ["argon2id", "secret123", "example.com", "a question of mine"]
        .into_iter()
        .chain(key)
        .chain(tokens)
    {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
