//! The import of a Django system.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo::Holder;
use local::manage::Target;
use local::manage::import::dump::Dump;
use local::manage::import::pace::Waits;
use local::manage::import::plan::{Plan, Rules};
use local::manage::import::{self, Import};
use local::terminal::Failure;
use serde_json::{Value, json};
use shared::App;
use shared::clock::{Clock, Day};
use shared::values::Imports;

use crate::support::client::{Api, Person};
use crate::support::django::{DumpFile, HASH, PASSWORD, message, run, user, waiting, with};
use crate::support::program::{self, Folder};
use crate::support::proxy::{
    Fault, FaultPoint, FaultRepeat, Plan as Cut, Proxy, TransactionAttempt,
};
use crate::support::world::World;

/// Two users with three messages.
fn shop() -> DumpFile {
    DumpFile::of(&[
        with(user(1, "Ann", 2600), json!({ "email": "ann@example.com", "last_name": "Lee" })),
        user(2, "ben", 0),
        message(1, 1, "one", "2021-04-01T10:00:00Z"),
        message(2, 2, "two", "2022-05-01T10:00:00.500+02:00"),
        message(3, 1, "three", "2023-06-01T10:00:00.123Z"),
    ])
}

fn app(api: &Api) -> App {
    api.server().functions["admin_chats"].app().unwrap()
}

/// Advances the clock by a minute, after which functions no longer use the values that they have
/// cached.
fn a_minute_passes(api: &Api) {
    api.server().clock.advance(Duration::from_secs(61));
}

async fn is_clean(api: &Api) {
    for account in World::read(&api.dynamodb).await.accounts.values() {
        let audited = api.store().audit(&account.label).await.unwrap();
        assert_eq!(audited.differences, [], "{}", account.name);
    }
    assert_eq!(api.store().audit_sources(None).await.unwrap().0, []);
}

/// Logs an imported user in.
async fn log_in(api: &Api, name: &str) -> Person {
    let credentials = json!({ "username": name, "password": PASSWORD });
    let mut session = api.log_in(credentials.clone()).await.is(200);
    session["id"] = session["user"]["id"].clone();
    Person::of(api, &credentials, &session)
}

/// Returns the rows that an import refuses, each with its reason.
async fn refused_rows(api: &Api, dump: &DumpFile) -> Vec<String> {
    let import = dump.import();
    let opened = Dump::open(&import.file, &import.choices).unwrap();
    let now = api.server().clock.millis();
    let rules = Rules {
        name: &import.name,
        superusers: false,
        reset_passwords: false,
        clear_text_passwords: false,
        rename: false,
        now,
    };
    let plan = Plan::make(&app(api), &opened, rules).await.unwrap();
    plan.refused.iter().map(|bad| format!("{}: {}", bad.row, bad.reason)).collect()
}

async fn imports(api: &Api) -> Imports {
    api.store().imports().await.unwrap().unwrap()
}

#[tokio::test]
async fn people_go_on_with_their_password_balance_and_history() {
    let api = Api::own(&[]).await;
    let done = shop().import_into(&app(&api)).await.unwrap();
    assert_eq!(
        done,
        "2 accounts with 2600 tokens and 3 messages imported; 0 accounts and 0 messages imported before"
    );
    is_clean(&api).await;

    let wrong = json!({ "username": "ann", "password": "secret124" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
    let ann = log_in(&api, "ANN").await;
    log_in(&api, "ann@example.com").await;
    assert_eq!(ann.balance().await, 2600);
    let history = ann.history("").await.is(200);
    let seen: Vec<[&Value; 3]> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| [&chat["message"], &chat["response"], &chat["timestamp"]])
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["three", "three!", "2023-06-01T10:00:00.123Z"],
            ["one", "one!", "2021-04-01T10:00:00.000Z"]
        ])
    );
    let profile = ann.profile().await.is(200);
    assert_eq!(profile["username"], "Ann");
    assert_eq!(profile["last_name"], "Lee");
    assert_eq!(profile["date_joined"], "2021-03-04T05:06:07.891Z");
    assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], 2500);
    is_clean(&api).await;
}

#[tokio::test]
async fn the_first_log_in_replaces_the_hash() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let before = api.store().account_named("ann").await.unwrap().unwrap();
    assert_eq!(before.imported.as_deref(), Some(HASH));
    api.log_in(json!({ "username": "ann", "password": PASSWORD })).await.is(200);
    let after = api.store().account_named("ann").await.unwrap().unwrap();
    assert_eq!(after.imported, None);
    assert_ne!(after.password, before.password);
    api.log_in(json!({ "username": "ann", "password": PASSWORD })).await.is(200);
}

#[tokio::test]
async fn a_second_import_adds_only_what_is_new() {
    let api = Api::own(&[]).await;
    let first = shop();
    first.import_into(&app(&api)).await.unwrap();
    let before = api.items("").await;
    let done = first.import_into(&app(&api)).await.unwrap();
    assert_eq!(
        done,
        "0 accounts with 0 tokens and 0 messages imported; 2 accounts and 3 messages imported before"
    );
    assert_eq!(api.items("").await, before);

    let more = DumpFile::of(&[
        user(1, "Ann", 9),
        user(3, "Cat", 7),
        message(1, 1, "one", "2021-04-01T10:00:00Z"),
        message(4, 1, "four", "2024-04-01T10:00:00Z"),
    ]);
    let done = more.import_into(&app(&api)).await.unwrap();
    assert_eq!(
        done,
        "1 account with 7 tokens and 1 message imported; 1 account and 1 message imported before\n\
         1 balance differs from what was imported (-2591 tokens); balances are imported once"
    );
    let ann = api.store().account_named("ann").await.unwrap().unwrap();
    assert_eq!(ann.tokens.get(), 2600, "a balance is imported once");
    is_clean(&api).await;
}

#[tokio::test]
async fn deleted_messages_and_accounts_dont_come_back() {
    let api = Api::own(&[]).await;
    let dump = shop();
    dump.import_into(&app(&api)).await.unwrap();
    let (ann, ben) = (log_in(&api, "ann").await, log_in(&api, "ben").await);
    let history = ann.history("").await.is(200);
    ann.delete(&format!("/api/chat/{}", history[0]["id"].as_str().unwrap())).await.is(200);
    ben.deletes_the_account().await.is(202);

    let before = api.items("").await;
    let refused = dump.import_into(&app(&api)).await.unwrap_err();
    assert_eq!(
        refused, "2 rows can't be imported. --report FILE lists them.",
        "ben and his message"
    );
    assert_eq!(api.items("").await, before);
    assert_eq!(ann.history("").await.is(200).as_array().unwrap().len(), 1);

    // After the deletion is complete, the name is free again.
    let free = emulator::dynamo::client(&api.dynamodb)
        .delete_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("user:ben".into()));
    free.send().await.unwrap();
    let before = api.items("").await;
    let dry = Import { apply: false, ..dump.import() };
    assert_eq!(run(&app(&api), dry).await.unwrap_err(), refused);
    assert_eq!(dump.import_into(&app(&api)).await.unwrap_err(), refused);
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn messages_of_another_model_are_not_taken_for_known_ones() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let question = |pk, time| {
        let mut row = message(pk, 1, "another", time);
        row["model"] = json!("shop.prompt");
        row
    };
    let dump = DumpFile::of(&[
        user(1, "Ann", 2600),
        question(1, "2021-04-01T12:00:00Z"),
        question(9, "2021-04-01T13:00:00Z"),
    ]);
    let done = dump.import_into(&app(&api)).await;
    assert_eq!(done.unwrap_err(), "1 row can't be imported. --report FILE lists them.");
    assert_eq!(log_in(&api, "ann").await.history("").await.is(200).as_array().unwrap().len(), 3);
    is_clean(&api).await;
}

#[tokio::test]
async fn a_restored_account_stays_an_imported_one() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let ann = api.store().account_named("ann").await.unwrap().unwrap();
    let before = api.items("").await;
    // Pretend that the restore has split the transaction that imported the account.
    let split = emulator::dynamo::client(&api.dynamodb)
        .delete_item()
        .table_name("LedgerTable")
        .key("user_id", AttributeValue::S(ann.id.clone()))
        .key("entry_id", AttributeValue::S(ann.id.clone()));
    split.send().await.unwrap();
    let second = api.server().clock.seconds() + 1;
    let clock = Clock::standing((second + 1) * 1000);
    let done = api.store().reconcile(second, &clock).await.unwrap().unwrap();
    assert_eq!(done.repairs, ["ann: restored the ledger entry of its first grant"]);
    assert_eq!(api.items("").await, before);
    is_clean(&api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_anywhere_ends_like_one_run() {
    let dump = &shop();
    let whole = {
        let api = Api::own(&[]).await;
        dump.import_into(&app(&api)).await.unwrap();
        lasting(&api).await
    };
    for fault in [Fault::StallBefore, Fault::StallAfter] {
        for call in 1.. {
            let api = Api::own(&[]).await;
            let proxy = Proxy::start(&api.dynamodb).await;
            let lane = proxy.lane();
            let at = FaultPoint::Call(call);
            lane.strike(Some(Cut { at, fault, strikes: FaultRepeat::EachAttempt }));
            let cut = api.app_over("admin_chats", &lane);
            let is_over = tokio::select! {
                done = dump.import_into(&cut) => done.is_ok(),
                () = lane.struck() => false,
            };
            if is_over {
                assert!(call > 8, "{call} calls");
                break;
            }
            dump.import_into(&app(&api)).await.unwrap();
            assert_eq!(lasting(&api).await, whole, "{fault:?} at the call {call}");
            is_clean(&api).await;
        }
    }
}

/// Several users. The first has so many messages that they need three transactions.
fn large_shop() -> DumpFile {
    let users = (1..=12).map(|pk| user(pk, &format!("user{pk}"), 10));
    let of_first = |pk: u64| {
        let time = format!("2021-04-01T10:{:02}:{:02}Z", pk / 60, pk % 60);
        message(pk, 1, &format!("message {pk}"), &time)
    };
    let of_second = message(121, 2, "hi", "2021-05-01T10:00:00Z");
    DumpFile::of(&users.chain((1..=120).map(of_first)).chain([of_second]).collect::<Vec<_>>())
}

/// Pauses of a throttled import that are short enough for a test.
const SHORT: Waits = Waits {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(4),
    standstill: Duration::from_secs(60),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_import_ends_like_one_that_is_not() {
    let dump = large_shop();
    let whole = {
        let api = Api::own(&[]).await;
        dump.import_into(&app(&api)).await.unwrap();
        lasting(&api).await
    };
    let api = Api::own(&[]).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.throttles(|attempt, _| attempt < 200 || attempt % 5 == 0);
    let done = waiting(&api.app_over("admin_chats", &lane), dump.import(), SHORT).await;
    assert_eq!(
        done.unwrap(),
        "12 accounts with 120 tokens and 121 messages imported; 0 accounts and 0 messages imported before"
    );
    assert!(lane.attempts().iter().filter(|attempt| attempt.is_throttled).count() > 200);
    assert_eq!(lasting(&api).await, whole);
    is_clean(&api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_writes_are_repeated_before_others_begin() {
    let (api, dump) = (Api::own(&[]).await, large_shop());
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.throttles(|attempt, _| attempt < 200);
    waiting(&api.app_over("admin_chats", &lane), dump.import(), SHORT).await.unwrap();
    let mut waiting: Vec<Value> = Vec::new();
    for TransactionAttempt { write, is_throttled } in lane.attempts() {
        let known = waiting.iter().position(|waits| *waits == write);
        match (known, is_throttled) {
            (None, true) => waiting.push(write),
            (Some(index), false) => drop(waiting.remove(index)),
            (None, false) => assert_eq!(waiting, [Value::Null; 0], "{write} began before these"),
            (Some(_), true) => {}
        }
    }
    assert_eq!(waiting, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_transactions_are_split_until_they_fit() {
    let (api, dump) = (Api::own(&[]).await, large_shop());
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // The store accepts no transaction of more than ten messages.
    lane.throttles(|_, writes| writes > 2 * 10 + 1);
    waiting(&api.app_over("admin_chats", &lane), dump.import(), SHORT).await.unwrap();
    assert_eq!(World::read(&api.dynamodb).await.chats.values().flatten().count(), 121);
    is_clean(&api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_without_progress_says_what_to_do() {
    let api = Api::own(&[]).await;
    let rows = (1..=60).map(|pk| message(pk, 1, "hi", &format!("2021-04-01T10:00:{:02}Z", pk - 1)));
    let rows: Vec<Value> = [user(1, "ann", 9)].into_iter().chain(rows).collect();
    let dump = DumpFile::of(&rows);
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // The account and 49 messages are stored before the throttling begins.
    let at = FaultPoint::Operation("TransactWriteItems", 3);
    let strikes = FaultRepeat::FromThenOn;
    lane.strike(Some(Cut { at, fault: Fault::Exceeded, strikes }));
    let cut = api.app_over("admin_chats", &lane);
    let waits = Waits { standstill: Duration::ZERO, ..SHORT };
    assert_eq!(
        waiting(&cut, dump.import(), waits).await.unwrap_err(),
        "For 0 minutes, DynamoDB has throttled every write. 0 of 1 user and 49 of 60 messages are imported. Run the same command again: it goes on from there. If DynamoDB throttles it again, first raise the tables' warm throughput, as \"Move from Django\" describes."
    );
    lane.calm();
    let done = waiting(&cut, dump.import(), waits).await.unwrap();
    assert_eq!(
        done,
        "0 accounts with 0 tokens and 11 messages imported; 1 account and 49 messages imported before"
    );
    is_clean(&api).await;
}

/// Returns all items, without the random values in the import records.
async fn lasting(api: &Api) -> BTreeMap<&'static str, Vec<Value>> {
    let mut items = api.items("").await;
    items.remove("KeysTable");
    for item in items.get_mut("TokensTable").unwrap() {
        if item["pk"] == "imports:all" {
            for random in ["version", "key"] {
                item[random].take();
            }
            for hashes in item["hashes"].as_array_mut().unwrap() {
                hashes["decoy"].take();
            }
        }
    }
    items
}

#[tokio::test]
async fn rows_that_cannot_be_imported_are_listed_with_their_reasons() {
    let api = Api::own(&[]).await;
    api.person_with(json!({ "username": "taken", "password": PASSWORD })).await;
    api.person_at("eve", "eve@example.com").await;
    let of = |pk, fields| with(user(pk, &format!("user{pk}"), 1), fields);
    let time = "2021-04-01T10:00:00Z";
    let said = |pk, fields| with(message(pk, 1, "hi", time), fields);
    let dump = DumpFile::of(&[
        user(1, "good", 5),
        of(2, json!({ "tokens": -1 })),
        of(3, json!({ "tokens": 1_000_000_000_001_u64 })),
        of(4, json!({ "tokens": 1.5 })),
        user(5, "Dan", 1),
        user(6, "dan", 1),
        of(7, json!({ "email": "Sue@example.com" })),
        of(8, json!({ "email": "sue@example.com" })),
        of(9, json!({ "password": "!4yXnR4vwpSJZBXs0cJ7oLN0jUIVtUuYi8Kj2Vd1N" })),
        of(10, json!({ "password": "md5$abc$2b351f919b10d94b2c8e832b45957090" })),
        of(11, json!({ "password": HASH.replacen("1000", "100000000", 1) })),
        of(12, json!({ "password": &HASH[..60] })),
        user(13, "a b", 1),
        user(14, "@ann", 1),
        of(15, json!({ "email": "ann@localhost" })),
        of(16, json!({ "is_active": "yes" })),
        of(17, json!({ "date_joined": "2999-01-01T00:00:00Z" })),
        of(18, json!({ "date_joined": "1999-01-01T00:00:00Z" })),
        user(19, "taken", 1),
        of(20, json!({ "email": "eve@example.com" })),
        of(21, json!({ "first_name": "a\u{202e}b" })),
        user(22, "one", 1),
        user(22, "two", 1),
        message(1, 1, "good", time),
        message(2, 99, "hi", time),
        message(3, 2, "hi", time),
        message(4, 16, "hi", time),
        said(5, json!({ "message": "" })),
        said(6, json!({ "message": "a\u{0}b" })),
        said(7, json!({ "response": "x".repeat(400_000) })),
        said(8, json!({ "timestamp": "yesterday" })),
        said(9, json!({ "timestamp": "2999-01-01T00:00:00Z" })),
        said(10, json!({ "message": null })),
        said(11, json!({ "model": "gpt\u{1b}[2J" })),
        said(12, json!({ "response": "a\u{0}b" })),
    ]);
    let mut refused = refused_rows(&api, &dump).await;
    refused.sort();
    let mut expected = [
        "shop.user 2 (line 3): the balance -1 isn't a number from 0 to 1000000000000",
        "shop.user 3 (line 4): the balance 1000000000001 isn't a number from 0 to 1000000000000",
        "shop.user 4 (line 5): `tokens` isn't a whole number",
        "shop.user 5 (line 6): the username differs from that of 6 only in case or Unicode form",
        "shop.user 6 (line 7): the username differs from that of 5 only in case or Unicode form",
        "shop.user 7 (line 8): the e-mail address is also that of 8",
        "shop.user 8 (line 9): the e-mail address is also that of 7",
        "shop.user 9 (line 10): the account has no usable password",
        "shop.user 10 (line 11): the password's hash is too weak: md5",
        "shop.user 11 (line 12): the password's hash is too expensive to check: 100000000 iterations",
        "shop.user 12 (line 13): the password's hash is damaged",
        "shop.user 13 (line 14): a name can only have letters, digits and @ . + - _",
        "shop.user 14 (line 15): a name with an @ must be an e-mail address, such as ann@example.com",
        "shop.user 15 (line 16): this is not an e-mail address",
        "shop.user 16 (line 17): `is_active` is neither true nor false",
        "shop.user 17 (line 18): the time of registration is in the future: 2999-01-01T00:00:00.000Z",
        "shop.user 18 (line 19): the time of registration is before 2005: 1999-01-01T00:00:00.000Z",
        "shop.user 19 (line 20): another account here has the username",
        "shop.user 20 (line 21): another account here has the e-mail address",
        "shop.user 21 (line 22): a name must not have characters that change the direction of text",
        "shop.user 22 (line 23): the same pk is on line 24",
        "shop.user 22 (line 24): the same pk is on line 23",
        "shop.chat 2 (line 26): the user 99 isn't in the dump",
        "shop.chat 3 (line 27): the user 2 is refused",
        "shop.chat 4 (line 28): the user can't be read: shop.user 16 (line 17)",
        "shop.chat 5 (line 29): a message must not be empty",
        "shop.chat 6 (line 30): a message must not contain NUL characters",
        "shop.chat 7 (line 31): 400002 bytes are more than the 380000 that fit",
        "shop.chat 8 (line 32): `timestamp` isn't a time such as 2026-11-24T18:05:46.226Z",
        "shop.chat 9 (line 33): the time is in the future: 2999-01-01T00:00:00.000Z",
        "shop.chat 10 (line 34): `message` is null",
        "shop.chat 11 (line 35): the model's name has control characters",
        "shop.chat 12 (line 36): the response has a null character",
    ];
    expected.sort_unstable();
    assert_eq!(refused, expected);

    // Eve's e-mail is sent in the background.
    api.outbox_is_empty().await;
    let before = api.items("").await;
    let dry = Import { apply: false, ..dump.import() };
    let refused = Err("33 rows can't be imported. --report FILE lists them.".to_owned());
    assert_eq!(run(&app(&api), dry).await, refused);
    assert_eq!(api.items("").await, before, "a dry run writes nothing");
    assert_eq!(dump.import_into(&app(&api)).await, refused);
    assert_eq!(World::read(&api.dynamodb).await.accounts.len(), 3);
    is_clean(&api).await;
}

#[tokio::test]
async fn superusers_and_new_passwords_need_the_operators_word() {
    let api = Api::own(&[]).await;
    let unusable = json!({ "password": "!", "email": "cat@example.com" });
    let dump = DumpFile::of(&[
        with(user(1, "ann", 1), json!({ "is_superuser": true })),
        with(user(2, "ben", 1), json!({ "password": "!", "is_superuser": true })),
        with(user(3, "cat", 1), unusable),
    ]);
    let plain = run(&app(&api), Import { apply: false, ..dump.import() }).await;
    assert_eq!(plain.unwrap_err(), "2 rows can't be imported. --report FILE lists them.");
    let import = Import { superusers: true, reset_passwords: true, ..dump.import() };
    let done = run(&app(&api), import).await.unwrap_err();
    assert_eq!(done, "1 row can't be imported. --report FILE lists them.", "ben has no address");
    let ann = api.log_in(json!({ "username": "ann", "password": PASSWORD })).await.is(200);
    assert_eq!(ann["user"]["role"], "admin");
    let wrong = json!({ "username": "cat", "password": "!" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
    let address = json!({ "email": "cat@example.com" });
    api.post("/api/password/reset/", address).await.is(202);
    let token = api.token_to("cat@example.com").await;
    let reset = json!({ "token": token, "password": "another secret" });
    api.post("/api/password/reset/confirm/", reset).await.is(200);
    api.log_in(json!({ "username": "cat", "password": "another secret" })).await.is(200);
    is_clean(&api).await;
}

#[tokio::test]
async fn lists_and_figures_reach_the_first_imported_day() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let of_march = "/api/admin/figures?from=2021-03-01&to=2021-03-31";
    let closed = root.get(of_march).await.is(200);
    assert_eq!(closed["totals"]["users"], 0);
    shop().import_into(&app(&api)).await.unwrap();
    a_minute_passes(&api);
    let all = async |base: &str| {
        let (mut found, mut next) = (Vec::new(), Some(base.to_owned()));
        while let Some(path) = next {
            let page = root.get(&path).await;
            next = page.next_page().map(|query| format!("{base}{query}"));
            found.extend(page.is(200).as_array().unwrap().clone());
        }
        found
    };
    let chats = all("/api/admin/chats").await;
    assert_eq!(chats.len(), 3);
    assert_eq!(chats[2]["message"], "one");
    let users = all("/api/admin/users").await;
    assert_eq!(users.len(), 3);
    assert_eq!(users[2]["date_joined"], "2021-03-04T05:06:07.891Z");
    let counted = root.get(of_march).await.is(200);
    assert_eq!(counted["totals"]["users"], 2);
    assert_eq!(counted["totals"]["granted"], 2600);
    let file = root.get("/api/admin/export/chats.csv").await.is(200);
    assert_eq!(file.as_str().unwrap().trim_end().lines().count(), 4, "{file}");
}

#[tokio::test]
async fn counted_days_are_counted_again_after_an_import() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    shop().import_into(&app(&api)).await.unwrap();
    a_minute_passes(&api);
    let of_april = "/api/admin/figures?from=2021-04-01&to=2021-04-01";
    assert_eq!(root.get(of_april).await.is(200)["totals"]["chats"], 1);
    let more = DumpFile::of(&[user(1, "Ann", 9), message(9, 1, "nine", "2021-04-01T11:00:00Z")]);
    more.import_into(&app(&api)).await.unwrap();
    assert_eq!(root.get(of_april).await.is(200)["totals"]["chats"], 2);
}

#[tokio::test]
async fn the_census_counts_the_hashes_that_are_left() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let begun = imports(&api).await;
    assert_eq!(Day::from_number(begun.first_day).to_string(), "2021-03-04");
    let hashes = &begun.hashes[0];
    assert_eq!((begun.accounts, hashes.imported, hashes.left), (2, 2, 2));
    assert_eq!(hashes.kind, "pbkdf2_sha256$1000");
    let count = async || functions::background::census::run(&app(&api)).await.unwrap();
    for (name, left) in [("ann", 1), ("ben", 0)] {
        api.log_in(json!({ "username": name, "password": PASSWORD })).await.is(200);
        a_minute_passes(&api);
        count().await;
        let left_now: u64 = imports(&api).await.hashes.iter().map(|hashes| hashes.left).sum();
        assert_eq!(left_now, left);
    }
    assert_eq!(imports(&api).await.hashes, []);
}

#[tokio::test]
async fn unknown_names_are_checked_against_decoys() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    a_minute_passes(&api);
    let wrong = json!({ "username": "nobody", "password": PASSWORD });
    api.log_in(wrong.clone()).await.expect(401, "invalid_credentials");
    // All accounts have imported hashes, so every unknown name is checked against a decoy. An
    // unusable decoy makes the check fail visibly.
    let mut broken = imports(&api).await;
    broken.hashes[0].decoy = "broken".into();
    let seen = broken.version.clone();
    broken.version = "another".into();
    assert!(api.store().record_imports(&broken, Some(&seen)).await.unwrap());
    a_minute_passes(&api);
    api.log_in(wrong).await.expect(500, "internal_error");
    let wrong = json!({ "username": "ann", "password": "secret124" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
}

/// The previous release ignores the `imported` attribute: it compares passwords only with
/// `password`, and leaves `imported` unchanged when it changes the password.
#[tokio::test]
async fn a_password_of_the_release_before_is_the_only_one() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let ann = api.person("other").await;
    let other = api.account(&ann).await;
    let change = emulator::dynamo::client(&api.dynamodb)
        .update_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("user:ann".into()))
        .update_expression("SET #password = :hash")
        .expression_attribute_names("#password", "password")
        .expression_attribute_values(":hash", AttributeValue::S(other.password));
    change.send().await.unwrap();
    let account = api.store().account_named("ann").await.unwrap().unwrap();
    assert!(account.imported.is_some());
    a_minute_passes(&api);
    functions::background::census::run(&app(&api)).await.unwrap();
    assert_eq!(imports(&api).await.hashes[0].left, 1, "only ben's hash is left");
    api.log_in(json!({ "username": "ann", "password": ann.password })).await.is(200);
    if ann.password != PASSWORD {
        let old = json!({ "username": "ann", "password": PASSWORD });
        api.log_in(old).await.expect(401, "invalid_credentials");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_into_a_store_in_use_need_confirmation() {
    let (folder, dump) = (Folder::new(), shop());
    let command = ["manage", "import", "django", dump.path(), "--data", folder.path()];
    let apply = [&command[..], &["--apply"]].concat();
    let said = |output: std::process::Output| {
        let texts = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(texts).unwrap())
    };
    let server = program::RunningServer::start(&["--port", "0", "--data", folder.path()]);
    let (is_done, text) = said(program::run(&command));
    assert!(is_done && text.contains("2 new accounts"), "{text}");
    let (is_done, text) = said(program::run(&apply));
    assert!(!is_done && text.contains("Stop the server first"), "{text}");
    let mut named = program::command(&["manage", "import", "django", dump.path(), "--apply"]);
    let holder = emulator::dynamo::holder(folder.path().as_ref());
    let Holder::Server { url, .. } = holder else { panic!("{holder:?}") };
    let named = program::over_tables(&mut named, &url);
    let (is_done, text) = said(named.output().unwrap());
    assert!(!is_done && text.contains("Add --yes when no alias"), "{text}");
    server.interrupt();
    let (is_done, text) = said(program::run(&apply));
    assert!(is_done && text.contains("2 accounts with 2600 tokens"), "{text}");
    let (is_done, text) = said(program::run(&["manage", "audit", "--data", folder.path()]));
    assert!(is_done && text.contains("no difference"), "{text}");
    let bad = [&command[..], &["--name", "A b"]].concat();
    let (is_done, text) = said(program::run(&bad));
    assert!(!is_done && text.contains("lower-case letters"), "{text}");
}

#[tokio::test]
async fn corrected_messages_of_one_moment_dont_duplicate_the_others() {
    let api = Api::own(&[]).await;
    let time = "2021-04-01T00:00:00Z";
    let dump = |first: Value| {
        let rest = [2, 3].map(|pk| message(pk, 1, &format!("message {pk}"), time));
        DumpFile::of(
            &[&[user(1, "ann", 5), with(message(1, 1, "", time), first)], &rest[..]].concat(),
        )
    };
    let empty = dump(json!({})).import_into(&app(&api)).await;
    assert_eq!(empty.unwrap_err(), "1 row can't be imported. --report FILE lists them.");
    let corrected = dump(json!({ "message": "message 1" })).import_into(&app(&api)).await.unwrap();
    assert!(corrected.contains("1 message imported"), "{corrected}");
    let ann = log_in(&api, "ann").await;
    let history = ann.history("").await.is(200);
    let mut seen: Vec<_> =
        history.as_array().unwrap().iter().map(|chat| &chat["message"]).collect();
    seen.sort_by_key(|message| message.to_string());
    assert_eq!(json!(seen), json!(["message 1", "message 2", "message 3"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_census_during_an_import_counts_no_hashes() {
    let api = Api::own(&[]).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    let at = FaultPoint::Operation("TransactWriteItems", 1);
    let strikes = FaultRepeat::EachAttempt;
    lane.strike(Some(Cut { at, fault: Fault::StallBefore, strikes }));
    let (cut, dump) = (api.app_over("admin_chats", &lane), shop());
    tokio::select! {
        done = dump.import_into(&cut) => panic!("{done:?}"),
        () = lane.struck() => {}
    }
    a_minute_passes(&api);
    functions::background::census::run(&app(&api)).await.unwrap();
    let left = async || imports(&api).await.hashes.iter().map(|hashes| hashes.left).sum::<u64>();
    assert_eq!(left().await, 2);
    dump.import_into(&app(&api)).await.unwrap();
    assert_eq!((left().await, imports(&api).await.is_unfinished), (2, false));
}

#[tokio::test]
async fn a_second_system_keeps_the_first_ones_hashes() {
    let api = Api::own(&[]).await;
    shop().import_into(&app(&api)).await.unwrap();
    let other = DumpFile::of(&[with(
        user(1, "cat", 1),
        json!({ "password": HASH.replacen("1000", "2000", 1) }),
    )]);
    run(&app(&api), Import { name: "other".into(), ..other.import() }).await.unwrap();
    let kinds: Vec<_> =
        imports(&api).await.hashes.into_iter().map(|hashes| (hashes.kind, hashes.left)).collect();
    assert_eq!(kinds, [("pbkdf2_sha256$1000".to_owned(), 2), ("pbkdf2_sha256$2000".to_owned(), 1)]);
}

#[tokio::test]
async fn keys_and_names_that_are_too_long_for_the_store_are_refused() {
    let api = Api::own(&[]).await;
    let mut long = user(1, "ann", 1);
    long["pk"] = json!("x".repeat(2000));
    let time = "2021-04-01T00:00:00Z";
    let model = json!({ "model": "x".repeat(400_000) });
    let salt = HASH.replacen("$1000$", &format!("$1000${}", "x".repeat(400_000)), 1);
    let salted = with(user(3, "cat", 1), json!({ "password": salt }));
    let said = with(message(1, 2, "hi", time), model);
    let dump = DumpFile::of(&[long, user(2, "ben", 1), salted, said]);
    let done = dump.import_into(&app(&api)).await;
    assert_eq!(done.unwrap_err(), "3 rows can't be imported. --report FILE lists them.");
    assert_eq!(World::read(&api.dynamodb).await.accounts.len(), 1);
    is_clean(&api).await;
}

#[tokio::test]
async fn an_import_that_ends_late_still_forgets_counted_days() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    shop().import_into(&app(&api)).await.unwrap();
    a_minute_passes(&api);
    let of_april = "/api/admin/figures?from=2021-04-01&to=2021-04-01";
    root.get(of_april).await.is(200);
    // Pretend that the day was counted before an import that was killed just before it ended.
    let stale = emulator::dynamo::client(&api.dynamodb)
        .update_item()
        .table_name("TokensTable")
        .key("pk", AttributeValue::S("figures:2021-04-01".into()))
        .update_expression("SET chats = :none")
        .expression_attribute_values(":none", AttributeValue::N("0".into()));
    stale.send().await.unwrap();
    assert_eq!(root.get(of_april).await.is(200)["totals"]["chats"], 0);
    shop().import_into(&app(&api)).await.unwrap();
    assert_eq!(root.get(of_april).await.is(200)["totals"]["chats"], 1);
}

#[tokio::test]
async fn a_hundred_kinds_of_hashes_are_imported_and_no_more() {
    let api = Api::own(&[]).await;
    let of = |pk: u64| {
        let hash = HASH.replacen("1000", &(1000 + pk).to_string(), 1);
        with(user(pk, &format!("user{pk}"), 1), json!({ "password": hash }))
    };
    let dump = DumpFile::of(&(1..=102).map(of).collect::<Vec<_>>());
    let refused = dump.import_into(&app(&api)).await.unwrap_err();
    assert_eq!(refused, "2 rows can't be imported. --report FILE lists them.");
    assert_eq!(imports(&api).await.hashes.len(), 100);
    let again = dump.import_into(&app(&api)).await.unwrap_err();
    assert_eq!(again, refused);
}

#[tokio::test]
async fn reasons_name_a_few_rows() {
    let api = Api::own(&[]).await;
    let shared = |pk| with(user(pk, &format!("user{pk}"), 1), json!({ "email": "a@example.com" }));
    let mut long = user(9, "ann", 1);
    long["pk"] = json!("x".repeat(2000));
    let rows: Vec<Value> = (1..=8).map(shared).chain([long]).collect();
    let dump = DumpFile::of(&rows);
    let reasons = refused_rows(&api, &dump).await;
    assert_eq!(
        reasons[1],
        "shop.user 1 (line 2): the e-mail address is also that of 2, 3, 4, 5, 6 and 2 more"
    );
    assert!(reasons[0].len() < 200, "{}", reasons[0]);
}

#[tokio::test]
async fn names_in_a_dump_cannot_control_the_terminal() {
    let api = Api::own(&[]).await;
    let renamed = |name: &str| {
        let mut row = user(1, "ann", 1);
        row["model"] = json!(name);
        row
    };
    let dump = DumpFile::of(&[renamed("shop.\u{1b}[31muser")]);
    let dry = Import { apply: false, ..dump.import() };
    let text = run(&app(&api), dry).await.unwrap();
    assert!(text.contains("1 user from shop.\\u{1b}[31muser"), "{text}");
    let two = DumpFile::of(&[renamed("shop.\u{1b}one"), renamed("shop.\u{1b}two")]);
    let folder = Folder::new();
    let target = Target::from(PathBuf::from(folder.path()));
    let Err(Failure::Failed(refused)) = import::django(&target, two.import()).await else {
        panic!("two models of users were imported");
    };
    assert!(refused.contains("shop.\\u{1b}one") && !refused.contains('\u{1b}'), "{refused}");
}
