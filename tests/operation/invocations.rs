//! The parts that all Lambda binaries share: the log, the metrics and the replies to Lambda.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::client::Api;
use crate::support::function::{Reply, TIME, event, invoke};
use crate::support::lambda::{Instance, Log, binary};
use crate::support::log;

/// A store that refuses every connection: nothing listens on this port.
const NO_STORE: (&str, &str) = ("DYNAMODB_ENDPOINT", "http://127.0.0.1:1");

/// Returns the lines of a log, without the metrics.
fn events(log: &Log) -> Vec<Value> {
    log.lines().into_iter().filter(|line| line["_aws"].is_null()).collect()
}

#[tokio::test]
async fn log_levels_filter_lines_but_never_metrics() {
    let api = Api::own(&[]).await;
    for (level, lines) in [("info", 1), ("warn", 0), ("error", 0)] {
        let log = Log::new();
        let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str()), ("LOG_LEVEL", level)];
        let mut function = Instance::logging("balance", &settings, &log).await;
        function.takes(&event("balance", "/api/tokens", &[], &Value::Null));
        assert_eq!(function.answers().await.code(), "not_authenticated");
        let logged = events(&log);
        let requests = logged.iter().filter(|line| line["message"] == "request").count();
        assert_eq!(requests, lines, "{level}: {logged:?}");
        assert!(level == "info" || logged.is_empty(), "{level}: {logged:?}");
        let metrics = log.lines().into_iter().filter(|line| line["Code"] == "not_authenticated");
        assert_eq!(metrics.map(|line| line["Failures"].clone()).collect::<Vec<_>>(), [json!(1)]);
        function.end();
    }
}

#[tokio::test]
async fn failures_are_logged_at_every_level() {
    let log = Log::new();
    let settings = [NO_STORE, ("LOG_LEVEL", "error")];
    let mut function = Instance::logging("health", &settings, &log).await;
    function.takes(&event("health", "/api/health", &[], &Value::Null));
    let answer = function.answers().await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable"));
    let logged = events(&log);
    let [line] = logged.as_slice() else { panic!("{logged:?}") };
    assert_eq!((&line["level"], &line["code"]), (&json!("ERROR"), &json!("unavailable")));
    assert_eq!(line["span"]["request_id"], answer.body["request_id"], "{line}");
}

#[tokio::test]
async fn functions_log_their_version_once_when_they_start() {
    let api = Api::own(&[]).await;
    let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
    let started = |log: &Log| {
        let lines = events(log).into_iter().filter(|line| line["message"] == "started");
        lines.map(|line| line["version"].clone()).collect::<Vec<_>>()
    };
    let log = Log::new();
    let mut balance = Instance::logging("balance", &settings, &log).await;
    for _ in 0..2 {
        balance.takes(&event("balance", "/api/tokens", &[], &Value::Null));
        assert_eq!(balance.answers().await.code(), "not_authenticated");
    }
    assert_eq!(started(&log), [env!("CARGO_PKG_VERSION")]);
    let requests = events(&log).into_iter().filter(|line| line["message"] == "request");
    assert_eq!(requests.filter(|line| line["version"].is_null()).count(), 2);

    let log = Log::new();
    let mut sweep = Instance::logging("sweep", &settings, &log).await;
    assert_eq!(sweep.does(&json!({ "source": "aws.events" })).await, Value::Null);
    assert_eq!(started(&log), [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn functions_with_an_unknown_level_name_it_and_do_not_start() {
    for function in ["site", "sweep"] {
        let mut program = Command::new(binary(function));
        let output = program.env_clear().env("LOG_LEVEL", "debug").output().unwrap();
        assert!(!output.status.success(), "{function}");
        let logged = String::from_utf8(output.stdout).unwrap();
        let line: Value = serde_json::from_str(&logged).unwrap();
        let sentence = r#"LOG_LEVEL must be error, warn or info (got "debug")"#;
        assert!(line["message"].as_str().unwrap().contains(sentence), "{line}");
    }
}

/// Returns the value of a field in the log's only line about a request.
fn field(text: &str, name: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("status=401")).collect();
    let [line] = lines.as_slice() else { panic!("{text}") };
    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{line}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn requests_have_the_gateway_id_and_clients_cannot_choose_it() {
    let api = Api::own(&[]).await;
    let chosen = [("x-amzn-requestid", "chosen"), ("x-request-id", "chosen")];
    let mut event = event("balance", "/api/tokens", &chosen, &Value::Null);
    event["requestContext"]["requestId"] = json!("chosen");
    event["requestContext"]["extendedRequestId"] = json!("JKJaXmPLvHcESHA=");
    log::clear();
    let reply = invoke(&api.server().functions["balance"], &event, TIME).await;
    let reply = Reply::of(reply).await;
    assert_eq!(reply.headers["x-request-id"], "JKJaXmPLvHcESHA=");
    assert_eq!(reply.body["request_id"], "JKJaXmPLvHcESHA=");
    let text = log::text();
    assert_eq!(field(&text, "{request_id"), "JKJaXmPLvHcESHA=");
    assert_eq!(field(&text, " function_request_id").len(), 36, "{text}");
    assert!(!text.contains("chosen"), "{text}");
}

#[tokio::test]
async fn requests_without_a_gateway_id_have_the_lambda_id() {
    let api = Api::own(&[]).await;
    for given in [Value::Null, json!("")] {
        // `sam local` sends events in this form.
        let mut event = event("balance", "/api/tokens", &[], &Value::Null);
        event["requestContext"]["extendedRequestId"] = given;
        log::clear();
        let reply = invoke(&api.server().functions["balance"], &event, TIME).await;
        let reply = Reply::of(reply).await;
        let id = field(&log::text(), " function_request_id");
        assert_eq!((reply.headers["x-request-id"].to_str().unwrap(), id.len()), (id.as_str(), 36));
    }
}

#[tokio::test]
async fn scheduled_failures_are_returned_and_logged_once() {
    for function in ["sweep", "erase"] {
        let log = Log::new();
        let mut instance = Instance::logging(function, &[NO_STORE], &log).await;
        let failed = instance.fails(&json!({ "source": "aws.events" })).await;
        assert_eq!(failed["errorType"], "unavailable");
        let message = failed["errorMessage"].as_str().unwrap();
        assert!(message.starts_with("the scheduled work failed: unavailable: "), "{message}");
        let errors = events(&log).into_iter().filter(|line| line["level"] == "ERROR");
        let errors: Vec<Value> = errors.collect();
        let [line] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(line["message"], message);
        let metrics = log.lines().into_iter().filter(|line| !line["_aws"].is_null());
        assert_eq!(metrics.count(), 0, "a run that fails is no sample");
    }
}

#[tokio::test]
async fn scheduled_successes_return_nothing_and_are_measured() {
    let api = Api::own(&[]).await;
    for (function, message, metric) in
        [("sweep", "swept", "SweptAccounts"), ("erase", "erased", "ErasedAccounts")]
    {
        let log = Log::new();
        let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
        let mut instance = Instance::logging(function, &settings, &log).await;
        assert_eq!(instance.does(&json!({ "source": "aws.events" })).await, Value::Null);
        let lines = log.lines();
        let samples: Vec<&Value> = lines.iter().filter(|line| line[metric].is_u64()).collect();
        let [sample] = samples.as_slice() else { panic!("{lines:?}") };
        let namespace = &sample["_aws"]["CloudWatchMetrics"][0]["Namespace"];
        assert_eq!(*namespace, "AWS::StackName", "the reference of the template");
        let line = lines.iter().find(|line| line["message"] == message).unwrap();
        let id = line["span"]["function_request_id"].as_str().unwrap();
        assert_eq!(id.len(), 36, "{line}");
    }
}
