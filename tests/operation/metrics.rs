//! The metrics. The tests trigger each metric and read its line in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};
use shared::telemetry::metrics::Metric;

use crate::endpoints::openai::completions::Program;
use crate::support::client::{Api, DAY, GRANT, PRICE, Person};
use crate::support::function;
use crate::support::log::{self, recorded};
use crate::support::program::{Folder, RunningServer, command};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Plan, Proxy};

#[tokio::test]
async fn charged_and_refunded_messages_are_counted() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.chat("hi").await.is(200);
    assert_eq!(recorded(Metric::Chats, None), (1, 1));
    assert_eq!(recorded(Metric::Refunds, None), (0, 0));

    ann.chat("!fail").await.expect(502, "ai_failed");
    assert_eq!(recorded(Metric::Chats, None), (1, 1));
    assert_eq!(recorded(Metric::Refunds, None), (1, 1));
    assert_eq!(recorded(Metric::Failures, Some("ai_failed")), (1, 1));

    // A stream that fails still has the status 200, because the head of the reply was sent before
    // the failure.
    ann.post("/api/chat/stream", json!({ "message": "!cut one two" })).await.is(200);
    assert_eq!(recorded(Metric::Refunds, None), (2, 2));
    assert_eq!(recorded(Metric::Failures, Some("ai_failed")), (2, 2));
    assert_eq!(recorded(Metric::TokensHeld, None), (0, 0));
}

#[tokio::test]
async fn replayed_messages_are_not_counted_again() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    for _ in 0..2 {
        let (bearer, body) = (ann.bearer(), json!({ "message": "hi" }));
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
        api.send(Method::POST, "/api/chat/", &headers, Some(body)).await.is(200);
    }
    assert_eq!(recorded(Metric::Chats, None), (1, 1));
    assert_eq!(recorded(Metric::AiFailures, Some("scripted")), (1, 0));
}

#[tokio::test]
async fn provider_calls_are_counted_as_successes_or_failures() {
    let api = Api::own(&[("AI_PROVIDER", "scripted,echo")]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.chat("!slow 20 hi").await.is(200);
    let (answers, ms) = recorded(Metric::AiLatency, Some("scripted"));
    assert!(answers == 1 && ms >= 20, "{answers} answers in {ms} ms");
    assert_eq!(recorded(Metric::AiFailures, Some("scripted")), (1, 0));
    assert_eq!(recorded(Metric::AiFailures, Some("echo")), (0, 0));

    ann.chat("!fail").await.is(200);
    assert_eq!(recorded(Metric::AiFailures, Some("scripted")), (2, 1));
    assert_eq!(recorded(Metric::AiLatency, Some("scripted")).0, 1, "a failure has no latency");
    assert_eq!(recorded(Metric::AiFailures, Some("echo")), (1, 0));
    assert_eq!(recorded(Metric::AiLatency, Some("echo")).0, 1);
}

#[tokio::test]
async fn calls_are_recorded_for_models_of_the_list_only() {
    let api = Api::own(&[("UNKNOWN_MODELS", "default")]).await;
    let fare = json!({ "message": 1 });
    api.prices(&json!({ "models": [
        { "name": "quick", "via": ["scripted"], "fare": fare },
        { "name": "deep", "via": ["scripted"], "fare": fare, "aliases": ["deep-*"] },
    ] }))
    .await;
    let program = Program::of(&api.person("ann").await).await;
    log::clear();
    for (named, meant) in [("deep", "deep"), ("deep-2026", "deep"), ("no-such-model", "quick")] {
        let before = recorded(Metric::AiFailures, Some(meant)).0;
        let messages = json!([{ "role": "user", "content": "hi" }]);
        let asked = json!({ "model": named, "messages": messages });
        program.send(&[], asked).await.is(200);
        assert_eq!(recorded(Metric::AiFailures, Some(meant)).0, before + 1, "{named}");
    }
    let models: BTreeSet<String> = log::metrics()
        .iter()
        .filter_map(|line| line["Model"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(models, BTreeSet::from(["deep", "quick"].map(str::to_owned)));
}

#[tokio::test]
async fn first_tokens_are_timed_in_streamed_answers_only() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.chat("hi").await.is(200);
    assert_eq!(recorded(Metric::AiFirstToken, Some("scripted")), (0, 0));
    ann.post("/api/chat/stream", json!({ "message": "!slow 20 hi" })).await.is(200);
    let (answers, ms) = recorded(Metric::AiFirstToken, Some("scripted"));
    assert!(answers == 1 && ms >= 20, "{answers} answers in {ms} ms");
    assert!(recorded(Metric::AiLatency, Some("scripted")).1 >= ms, "the whole answer takes longer");
    ann.post("/api/chat/stream", json!({ "message": "!cut one two" })).await.is(200);
    assert_eq!(recorded(Metric::AiFirstToken, Some("scripted")).0, 1, "a failure isn't timed");
}

#[tokio::test]
async fn unconfirmed_releases_count_as_held_credits() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    let chat = api.function_over("chat", &lane);
    // The reserve succeeds, but the release fails.
    lane.strike(Some(Plan {
        at: FaultPoint::Operation("UpdateItem", 2),
        fault: Fault::Fail500Before,
        strikes: FaultRepeat::FromThenOn,
    }));
    log::clear();
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str())];
    let reply =
        function::ask(&chat, "chat", "/api/chat", &headers, json!({ "message": "!fail" })).await;
    assert_eq!((reply.status, reply.code()), (502, "ai_failed"));
    assert_eq!(recorded(Metric::TokensHeld, None), (1, PRICE));
    assert_eq!(recorded(Metric::Refunds, None), (0, 0));
}

#[tokio::test]
async fn answers_after_their_lease_are_conflicts_and_refunds() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    log::clear();
    let late = tokio::spawn({
        let ann = ann.clone();
        async move { ann.chat("!slow 4000 hi").await }
    });
    ann.is_waiting().await;
    api.server().clock.advance(Duration::from_secs(120));
    late.await.unwrap().expect(503, "not_charged");
    assert_eq!(recorded(Metric::SettleConflicts, None), (1, 1));
    assert_eq!(recorded(Metric::Refunds, None), (1, 1));
    assert_eq!(recorded(Metric::Chats, None), (0, 0));
}

#[tokio::test]
async fn log_ins_and_refusals_are_counted_by_code() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.log_in().await.is(200);
    assert_eq!(recorded(Metric::LogIns, None), (1, 1));

    let wrong = json!({ "username": ann.name, "password": "wrong-password" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
    ann.has_left(PRICE - 1).await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(recorded(Metric::LogIns, None), (1, 1));
    for code in ["invalid_credentials", "insufficient_tokens"] {
        assert_eq!(recorded(Metric::Failures, Some(code)), (1, 1), "{code}");
    }
}

#[tokio::test]
async fn sweeps_and_erasures_are_measured_even_when_idle() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let [sweep, erase] = ["sweep", "erase"].map(|name| api.server().apps[name].clone());
    ann.has_left(GRANT - 2 * PRICE).await;
    ann.holds(&[("crashed", 1), ("crashed too", 1)]).await;
    api.set(&ann, "due", AttributeValue::N("1".into())).await;
    log::clear();
    functions::background::sweep::work(sweep.clone()).await.unwrap();
    assert_eq!(recorded(Metric::SweptAccounts, None), (1, 1));
    assert_eq!(recorded(Metric::TokensReturned, None), (1, 2 * PRICE));
    functions::background::sweep::work(sweep).await.unwrap();
    assert_eq!(recorded(Metric::SweptAccounts, None), (2, 1));
    assert_eq!(recorded(Metric::TokensReturned, None), (2, 2 * PRICE));

    let (bearer, body) = (ben.bearer(), json!({ "password": ben.password }));
    let headers = [("authorization", bearer.as_str())];
    api.send(Method::DELETE, "/api/user/", &headers, Some(body)).await.is(202);
    functions::background::erase::work(erase.clone()).await.unwrap();
    assert_eq!(recorded(Metric::ErasedAccounts, None), (1, 0), "the name stays taken for a day");
    api.server().clock.advance(DAY);
    functions::background::erase::work(erase).await.unwrap();
    assert_eq!(recorded(Metric::ErasedAccounts, None), (2, 1));
}

/// The output of `manage audit` with this `METRICS_NAMESPACE`. An empty namespace turns metrics
/// off.
fn audit(folder: &Folder, namespace: &str) -> String {
    let mut audit = command(&["manage", "audit", "--data", folder.path()]);
    String::from_utf8(audit.env("METRICS_NAMESPACE", namespace).output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn audits_report_their_differences_as_metrics_on_request() {
    let folder = Folder::new();
    let server = RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let ann = json!({ "username": "ann", "password": "secret123" });
    assert_eq!(server.post("/api/register", ann).await.0, 201);
    let sound = "1 account, 1 row, no difference\n";
    assert_eq!(audit(&folder, ""), sound, "no metrics without a namespace");
    let metric = |printed: &str| {
        let line = printed.lines().find(|line| line.starts_with('{')).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "farebox-prod");
        line["AuditDifferences"].as_u64()
    };
    let printed = audit(&folder, "farebox-prod");
    assert!(printed.ends_with(sound), "{printed}");
    assert_eq!(metric(&printed), Some(0));

    let dynamodb = std::fs::read_to_string(Path::new(folder.path()).join("dynamodb-url")).unwrap();
    let update = emulator::dynamo::client(&dynamodb)
        .update_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("user:ann".into()))
        .update_expression("SET tokens = tokens + :a")
        .expression_attribute_values(":a", AttributeValue::N("1".into()));
    update.send().await.unwrap();
    assert_eq!(metric(&audit(&folder, "farebox-prod")), Some(1));
}

#[tokio::test]
async fn metric_lines_use_the_embedded_format_of_cloudwatch() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log::clear();
    ann.log_in().await.is(200);
    ann.chat("hi").await.is(200);
    ann.chat("!fail").await.expect(502, "ai_failed");
    functions::background::sweep::work(api.server().apps["sweep"].clone()).await.unwrap();
    let lines = log::metrics();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in lines {
        assert!(line["timestamp"].is_string() && line["level"] == "INFO", "{line}");
        assert!(line["_aws"]["Timestamp"].as_u64() > Some(1_700_000_000_000), "{line}");
        let [directive] = line["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
            panic!("{line}")
        };
        assert_eq!(directive["Namespace"], "tests");
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!(!metrics.is_empty(), "{line}");
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            let known = Metric::ALL.iter().find(|known| known.name() == name).unwrap();
            assert_eq!(metric["Unit"], known.unit());
            let names = known.dimensions();
            let sets: Vec<Vec<&str>> = match names {
                [] => vec![Vec::new()],
                names => names.iter().map(|name| vec![*name]).collect(),
            };
            assert_eq!(directive["Dimensions"], json!(sets), "{line}");
            assert!(line[name].is_u64(), "{line}");
            assert!(names.iter().all(|name| line[*name].is_string()), "{line}");
        }
    }
}

#[test]
fn documented_metrics_match_the_code() {
    let text = include_str!("../../docs/operate/observe.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Metrics\n")).unwrap();
    let cell =
        |row: &str, number: usize| row.split('|').nth(number).unwrap().trim().replace('`', "");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<String, (String, String)> =
        rows.map(|row| (cell(row, 1), (cell(row, 2), cell(row, 3)))).collect();
    let of = |metric: &Metric| {
        let dimensions = match metric.dimensions() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        (metric.name().to_owned(), (metric.unit().to_owned(), dimensions))
    };
    let known: BTreeMap<String, (String, String)> = Metric::ALL.iter().map(of).collect();
    assert_eq!(documented, known);
}

#[tokio::test]
async fn metrics_name_no_person() {
    let api = Api::own(&[]).await;
    log::clear();
    let ann: Person = api.person("ann").await;
    ann.log_in().await.is(200);
    ann.chat("a most private message").await.is(200);
    let lines = json!(log::metrics()).to_string();
    assert!(lines.contains("LogIns") && lines.contains("Chats"), "{lines}");
    for private in [ann.name.as_str(), &ann.id, "private"] {
        assert!(!lines.contains(private), "{private} in {lines}");
    }
}
