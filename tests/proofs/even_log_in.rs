//! Counts the instructions of a log-in, because its duration must not reveal anything about an
//! account.

use std::process::Command;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shared::values::hash_kind;

use crate::support::client::Api;
use crate::support::django::{self, DumpFile};
use crate::support::function::event;
use crate::support::lambda::{Instance, binary};

/// How many log-ins of each kind are counted.
const LOG_INS: u64 = 4;

/// Starts a server whose hashes cost as much as those of a release, to which the binary belongs.
async fn with_costly_hashes() -> Api {
    shared::passwords::set_cost(argon2::Params::default());
    Api::own(&[]).await
}

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

/// Returns how many instructions one refused log-in executes, not counting the start.
async fn of_one(api: &Api, name: &str, password: &str) -> u64 {
    let start = instructions(api, 0, name, password).await;
    (instructions(api, LOG_INS, name, password).await - start) / LOG_INS
}

/// Asserts that these costs differ by at most 5 %.
fn are_even(what: &str, counted: &[u64]) {
    println!("{what}: {counted:?} instructions");
    let (least, most) = (counted.iter().min().unwrap(), counted.iter().max().unwrap());
    assert!((most - least) * 100 <= least * 5, "more than 5 % apart: {counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valgrind, and a minute: scripts/check/log-in runs it"]
async fn failed_log_ins_cost_the_same_work_for_every_reason() {
    let api = with_costly_hashes().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    api.set(&ben, "active", AttributeValue::Bool(false)).await;
    let mut counted = Vec::new();
    for (name, password) in
        [(ann.name.as_str(), "secret124"), ("nobody", "secret124"), (&ben.name, &ben.password)]
    {
        counted.push(of_one(&api, name, password).await);
    }
    are_even("wrong password, unknown user, deactivated user", &counted);
}

/// A log-in to an imported account costs as much as checking its kind of hash. A log-in with an
/// unknown name costs the same if the decoy that is assigned to the name is a hash of this kind.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valgrind, and minutes: scripts/check/log-in runs it"]
async fn unknown_names_cost_what_imported_accounts_cost() {
    let api = with_costly_hashes().await;
    let own = api.person("own").await;
    let kinds = [
        django::HASH.replacen("1000", "50000", 1),
        "argon2$argon2id$v=19$m=40960,t=2,p=4$dG9KbU5GWVg3cFFlRFp3bzgzZDdwdA$ap7mjGKLCpOGCvzHZvCvN0jsXzxxWWPhWo3nfTU93Lo".into(),
        "bcrypt_sha256$$2b$08$9.4XMg2Fiy4M6W0SWtcB5.Vo3ZHaAOPAC/VM4iNAwzdXkiCE7lv6G".into(),
        "scrypt$16384$ODrRq4MZ72JI0l3RTMygAK$8$5$pszYL/o2pQM77VJp+fCw9MGhOCW0Vla0ecMH2CB8PEaHvyTKdOk72PddEiGCnAm4IUe/2u63ONsH2o0Yx+xpag==".into(),
    ];
    let rows: Vec<_> = (1..)
        .zip(&kinds)
        .map(|(pk, hash)| {
            let user = django::user(pk, &format!("user{pk}"), 1);
            django::with(user, json!({ "password": hash }))
        })
        .collect();
    DumpFile::of(&rows).import_into(&api.server().apps["chat"]).await.unwrap();
    let imports = api.store().imports().await.unwrap().unwrap();
    let unknown = |of: Option<&str>| {
        let names = (0..).map(|number| format!("nobody{number}"));
        let is_of = |name: &String| imports.decoy(name).map(hash_kind).as_deref() == of;
        names.into_iter().find(is_of).unwrap()
    };
    let costs = [
        of_one(&api, &own.name, "secret124").await,
        of_one(&api, &unknown(None), "secret124").await,
    ];
    are_even("a current hash", &costs);
    for (row, hash) in (1..).zip(&kinds) {
        let kind = hash_kind(hash);
        let costs = [
            of_one(&api, &format!("user{row}"), "secret124").await,
            of_one(&api, &unknown(Some(&kind)), "secret124").await,
        ];
        are_even(&kind, &costs);
    }
}
