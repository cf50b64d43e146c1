//! Counts the instructions of a log-in, because its duration must not reveal anything about an
//! account.

use std::process::Command;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::client::Api;
use crate::support::function::event;
use crate::support::lambda::{Instance, binary};

/// The number of log-ins of each kind that are counted.
const LOG_INS: u64 = 4;

/// Returns how many instructions the real binary executes for this many log-ins, including its
/// start.
async fn instructions(api: &Api, log_ins: u64, name: &str, password: &str) -> u64 {
    let counted = tempfile(name, log_ins);
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            &format!("--log-file={}", counted.display()),
        ])
        .arg(binary("login"));
    let secret = api.signing_secret();
    let mut instance = Instance::start(
        command,
        "login",
        &[("DYNAMODB_ENDPOINT", &api.dynamodb), ("SIGNING_SECRET", &secret)],
    )
    .await;
    for _ in 0..log_ins {
        instance.takes(&event(
            "login",
            "/api/login",
            &[],
            &json!({ "username": name, "password": password }),
        ));
        assert_eq!(instance.answers().await.status, 401);
    }
    instance.end();
    let log = std::fs::read_to_string(&counted).unwrap();
    std::fs::remove_file(&counted).unwrap();
    let line =
        log.lines().find(|line| line.contains("Collected")).unwrap_or_else(|| panic!("{log}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn tempfile(name: &str, log_ins: u64) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("farebox-{}-{name}-{log_ins}", std::process::id()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valgrind, and a minute: scripts/check/log-in runs it"]
async fn failed_log_ins_cost_the_same_work_for_every_reason() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    api.set(&ben, "active", AttributeValue::Bool(false)).await;
    let start = instructions(&api, 0, "nobody", "secret124").await;
    let mut counted = Vec::new();
    for (what, name, password) in [
        ("wrong password", ann.name.as_str(), "secret124"),
        ("unknown user", "nobody", "secret124"),
        ("deactivated user", &ben.name, "secret123"),
    ] {
        let each = (instructions(&api, LOG_INS, name, password).await - start) / LOG_INS;
        println!("{what}: {each} instructions");
        counted.push(each);
    }
    let (least, most) = (counted.iter().min().unwrap(), counted.iter().max().unwrap());
    assert!((most - least) * 100 <= least * 5, "more than 5 % apart: {counted:?}");
}
