//! Rehearses a restore without AWS. The test copies the tables while chats are settled, which
//! splits more transactions than DynamoDB's restore can. The newer tables then lose data, and
//! `manage` and the functions work on the copies.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, BillingMode, GlobalSecondaryIndex, LocalSecondaryIndex, PutRequest,
    WriteRequest,
};
use emulator::dynamo;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::clock::{Clock, rfc3339};
use shared::config::{Config, Settings};
use shared::store::{
    self, NewerTables, Order, Purpose, ReapplyInput, ReapplyReport, ReconcileReport, Store,
    StoreError,
};
use shared::values::{Allowances, PaymentFacts, Progress};
use shared::{Credits, passwords};

use crate::endpoints::chats::fares::{list, with_embeddings};
use crate::support::client::{Api, DAY, GRANT, PRICE, Person, a_pack};
use crate::support::program::{command, output_of};
use crate::support::proxy::{Fault, Proxy};
use crate::support::world::{World, put, scan};

/// The ledger is copied first, so chats that are settled while the other tables are copied have no
/// row in the copy.
const TABLES: [&str; 6] =
    ["LedgerTable", "UsersTable", "FilesTable", "ChatsTable", "TokensTable", "KeysTable"];

/// The prefix of the restored tables' names.
const RESTORED: &str = "restored-";

/// How many users send messages during the copy.
const BUSY: usize = 8;

/// A public key from RFC 8037. No JWT was signed with its private key.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Returns the environment variable for a table's name, such as `UsersTable`.
fn variable(table: &str) -> String {
    format!("{}_TABLE", table.strip_suffix("Table").unwrap().to_uppercase())
}

/// Creates the `target` table with the items and the indexes of `source`, as DynamoDB's restore
/// does.
async fn restore_table(client: &Client, source: &str, target: &str) {
    let described = client.describe_table().table_name(source).send().await.unwrap();
    let described = described.table.unwrap();
    let global = described.global_secondary_indexes.unwrap_or_default().into_iter().map(|index| {
        let builder = GlobalSecondaryIndex::builder().set_index_name(index.index_name);
        let builder = builder.set_key_schema(index.key_schema).set_projection(index.projection);
        builder.build().unwrap()
    });
    let local = described.local_secondary_indexes.unwrap_or_default().into_iter().map(|index| {
        let builder = LocalSecondaryIndex::builder().set_index_name(index.index_name);
        let builder = builder.set_key_schema(index.key_schema).set_projection(index.projection);
        builder.build().unwrap()
    });
    let (global, local): (Vec<_>, Vec<_>) = (global.collect(), local.collect());
    let create = client
        .create_table()
        .table_name(target)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(described.attribute_definitions)
        .set_key_schema(described.key_schema)
        .set_global_secondary_indexes(Some(global).filter(|indexes| !indexes.is_empty()))
        .set_local_secondary_indexes(Some(local).filter(|indexes| !indexes.is_empty()))
        .set_stream_specification(described.stream_specification);
    create.send().await.unwrap();

    let items = client.scan().table_name(source).consistent_read(true).into_paginator().items();
    let items = items.send().collect::<Result<Vec<_>, _>>().await.unwrap();
    for some in items.chunks(25) {
        let mut puts = Vec::new();
        for item in some {
            let put = PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
            puts.push(WriteRequest::builder().put_request(put).build());
        }
        let written = client.batch_write_item().request_items(target, puts).send().await.unwrap();
        assert!(written.unprocessed_items.is_none_or(|left| left.is_empty()));
    }
}

async fn restore_all(api: &Api) {
    let client = dynamo::client(&api.dynamodb);
    for table in TABLES {
        restore_table(&client, table, &format!("{RESTORED}{table}")).await;
    }
}

/// Deletes all items of a user directly from a table.
async fn lose(api: &Api, table: &str, sort: &str, who: &Person) {
    let client = dynamo::client(&api.dynamodb);
    let items = client
        .query()
        .table_name(table)
        .key_condition_expression("user_id = :user")
        .expression_attribute_values(":user", AttributeValue::S(who.id.clone()));
    for item in items.send().await.unwrap().items.unwrap_or_default() {
        let delete = client.delete_item().table_name(table);
        let delete = delete.key("user_id", item["user_id"].clone()).key(sort, item[sort].clone());
        delete.send().await.unwrap();
    }
}

/// Runs a `manage` command on the restored tables and the newer tables. Returns whether the command
/// succeeded, and its output. The command blocks this thread, so the store must run on other
/// threads.
fn manage(api: &Api, arguments: &[&str]) -> (bool, String) {
    let mut program = command(&[&["manage"][..], arguments].concat());
    for table in TABLES {
        program.env(variable(table), format!("{RESTORED}{table}"));
        program.env(format!("NEWER_{}", variable(table)), table);
    }
    let output = output_of(program.env("DYNAMODB_ENDPOINT", &api.dynamodb));
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out + &err)
}

/// Runs a `manage` command that must succeed, and returns its output.
#[track_caller]
fn managed(api: &Api, arguments: &[&str]) -> String {
    let (success, said) = manage(api, arguments);
    assert!(success, "{arguments:?}: {said}");
    said
}

/// Starts a server whose functions use the restored tables.
async fn functions_on_restored(api: &Api) -> Api {
    let names = TABLES.map(|table| (variable(table), format!("{RESTORED}{table}")));
    let mut environment = vec![("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
    environment.extend(names.iter().map(|(variable, name)| (variable.as_str(), name.as_str())));
    Api::own(&environment).await
}

/// Returns the restored tables as a store.
fn restored_store(api: &Api) -> Store {
    let settings = Settings::new(|name| match name {
        "DYNAMODB_ENDPOINT" => Some(api.dynamodb.clone()),
        name => TABLES
            .into_iter()
            .find(|table| variable(table) == name)
            .map(|table| format!("{RESTORED}{table}")),
    });
    let config = Config::read(&settings).unwrap();
    Store::with_client(
        aws_sdk_dynamodb::Config::from(&shared::aws::emulated()).to_builder(),
        &config,
    )
}

fn newer(api: &Api) -> NewerTables {
    NewerTables { store: api.store(), users: true, tokens: true, keys: true }
}

/// Returns the current second in the format that operators write.
fn this_second(api: &Api) -> String {
    rfc3339(api.now() * 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_under_load_balances_and_revives_nothing_ended() {
    let api = Api::own(&[("CHAT_PRICE", "1"), ("CHATS_PER_MINUTE", "10000")]).await;
    let [ann, ben, fay] = [api.person("ann"), api.person("ben"), api.person("fay")];
    let (ann, ben, fay) = (ann.await, ben.await, fay.await);
    let phone = ann.elsewhere("a phone").await;
    let key = ann.makes_a_key("a program").await.is(201);
    let (eve, address) = api.person_with_email().await;
    let link = api.link(&eve, Purpose::Reset, &address).await;
    fay.chat("do not lose this").await.is(200);
    api.store().publish_key("another", PUBLIC_KEY, api.now()).await.unwrap();
    api.outbox_is_empty().await;

    // Copies the tables while chats are settled.
    let busy = join_all((0..BUSY).map(|_| api.person("busy"))).await;
    let over = Arc::new(AtomicBool::new(false));
    let load = busy.iter().cloned().map(|person| {
        let over = over.clone();
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                person.chat("hi").await.is(200);
            }
        })
    });
    let load: Vec<_> = load.collect();
    let client = dynamo::client(&api.dynamodb);
    for table in TABLES {
        let before = api.account(&busy[0]).await.spent;
        restore_table(&client, table, &format!("{RESTORED}{table}")).await;
        while api.account(&busy[0]).await.spent == before {
            assert!(!load[0].is_finished(), "a chat failed");
            tokio::task::yield_now().await;
        }
    }
    let second = this_second(&api);
    over.store(true, Ordering::Relaxed);
    for chats in load {
        chats.await.unwrap();
    }

    // After the restore point, a session, an API key, a link and a public key become invalid, an
    // account is deleted, and Fay's data is lost.
    ann.revokes(key["id"].as_str().unwrap()).await.is(200);
    ann.ends(&phone.session()).await.is(200);
    ben.deletes_the_account().await.is(202);
    let reset = json!({ "token": link, "password": "another-one" });
    api.post("/api/password/reset/confirm/", reset.clone()).await.is(200);
    api.withdraw_key("another").await;
    lose(&api, "ChatsTable", "chat_id", &fay).await;
    lose(&api, "LedgerTable", "entry_id", &fay).await;
    api.forget(&fay).await;

    let (clean, said) = manage(&api, &["audit"]);
    assert!(!clean && said.contains("difference"), "the copies cut no transaction: {said}");
    let reapply = ["reapply", second.as_str()];
    assert_eq!(
        managed(&api, &reapply),
        "Ended again: 1 deleted account, 2 changed accounts, 1 session, 1 API key, 1 link, 0 vouchers, 0 shared chats, 1 public key, 0 messages. 1 lost account came back\n"
    );
    assert_eq!(
        managed(&api, &reapply),
        "Ended again: 0 deleted accounts, 0 changed accounts, 0 sessions, 0 API keys, 0 links, 0 vouchers, 0 shared chats, 0 public keys, 0 messages. 1 lost account came back\n"
    );
    let reconcile = ["reconcile", second.as_str()];
    let accounts = format!("{} accounts, ", BUSY + 4);
    let repaired = managed(&api, &reconcile);
    assert!(repaired.contains(&accounts) && !repaired.ends_with(", 0 repairs\n"), "{repaired}");
    assert_eq!(managed(&api, &reconcile), format!("{accounts}0 repairs\n"));
    assert!(managed(&api, &["audit"]).ends_with(", no difference\n"));

    let again = functions_on_restored(&api).await;
    ann.at(&again).is_in().await;
    phone.at(&again).is_out().await;
    let program = ann.at(&again).using(key["key"].as_str().unwrap());
    program.get("/v1/models").await.expect(401, "invalid_token");
    ben.at(&again).log_in().await.expect(401, "invalid_credentials");
    eve.at(&again).log_in().await.expect(401, "invalid_credentials");
    again.log_in(json!({ "username": eve.name, "password": "another-one" })).await.is(200);
    again.post("/api/password/reset/confirm/", reset).await.expect(400, "invalid_link");
    let fay = fay.at(&again);
    assert_eq!(fay.history("").await.is(200)[0]["message"], "do not lose this");
    fay.chat("and this").await.is(200);
    for person in &busy {
        person.at(&again).chat("go on").await.is(200);
    }
    let published = restored_store(&api).public_keys().await.unwrap();
    assert!(published.iter().all(|key| key.kid != "another"), "{published:?}");
    assert!(managed(&api, &["audit"]).ends_with(", no difference\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_survive_a_restore_only_if_both_tables_have_them() {
    let api = Api::own(&[]).await;
    let (root, second_root) = (api.administrator("root").await, api.administrator("root").await);
    let (ben, cat) = (api.person("ben").await, api.person("cat").await);
    let change = async |user: &Person, change: Value| {
        root.patch(&format!("/api/admin/users/{}/", user.id), change).await.is(200);
    };
    restore_all(&api).await;
    change(&ben, json!({ "active": false })).await;
    change(&cat, json!({ "role": "admin" })).await;
    change(&second_root, json!({ "role": "user" })).await;

    let second = this_second(&api);
    managed(&api, &["reapply", &second]);
    managed(&api, &["reconcile", &second]);
    let again = functions_on_restored(&api).await;
    ben.at(&again).log_in().await.expect(401, "invalid_credentials");
    for (person, status) in [(&root, 200), (&second_root, 403), (&cat, 403)] {
        let person = person.at(&again).elsewhere("a test").await;
        assert_eq!(person.get("/api/admin/users/").await.status, status, "{}", person.name);
    }
    let trail = root.at(&again).elsewhere("a test").await.get("/api/admin/trail/").await.is(200);
    assert_eq!(trail.as_array().unwrap().len(), 2, "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lowered_limits_of_keys_stay_lowered() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let makes = async || {
        let key = json!({ "name": "a program", "limit": { "tokens": 1000 } });
        let key = ann.post("/api/user/api-keys", key).await.is(201);
        key["id"].as_str().unwrap().to_owned()
    };
    let (lowered, raised, free) = (makes().await, makes().await, makes().await);
    restore_all(&api).await;
    for (key, limit) in [
        (&lowered, json!({ "tokens": 500 })),
        (&raised, json!({ "tokens": 2000 })),
        (&free, Value::Null),
    ] {
        let path = format!("/api/user/api-keys/{key}");
        ann.patch(&path, json!({ "limit": limit })).await.is(200);
    }

    let second = this_second(&api);
    for expected in [", 1 API key, ", ", 0 API keys, "] {
        let said = managed(&api, &["reapply", &second]);
        assert!(said.contains(expected), "{said}");
    }
    managed(&api, &["reconcile", &second]);
    assert!(managed(&api, &["audit"]).ends_with(", no difference\n"));
    let store = restored_store(&api);
    for (key, tokens) in [(lowered, 500), (raised, 1000), (free, 1000)] {
        let key = store.api_key(&key).await.unwrap().unwrap();
        assert_eq!(key.limit().map(|limit| limit.tokens.get()), Some(tokens));
    }
}

/// The account's state at the restore point.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Start,
    Reserved,
    Settled,
}

#[tokio::test]
async fn settles_cut_by_a_restore_are_completed_or_undone() {
    let api = Api::own(&[]).await;
    let number = |number: u64| AttributeValue::N(number.to_string());
    for at in [Moment::Start, Moment::Reserved, Moment::Settled] {
        for (has_chat, has_row) in [(false, false), (false, true), (true, false), (true, true)] {
            let ann = api.person("ann").await;
            ann.chat("hi").await.is(200);
            match at {
                Moment::Start => {
                    ann.has_left(GRANT).await;
                    api.set(&ann, "spent", number(0)).await;
                }
                Moment::Reserved => {
                    ann.holds(&[("reserved", 1)]).await;
                    api.set(&ann, "spent", number(0)).await;
                }
                Moment::Settled => {}
            }
            if !has_chat {
                lose(&api, "ChatsTable", "chat_id", &ann).await;
            }
            if !has_row {
                let (rows, _) = api.store().entries(&ann.id, None, 100).await.unwrap();
                let delete = dynamo::client(&api.dynamodb).delete_item().table_name("LedgerTable");
                let delete = delete.key("user_id", AttributeValue::S(ann.id.clone()));
                let delete = delete.key("entry_id", AttributeValue::S(rows[0].entry_id.clone()));
                delete.send().await.unwrap();
            }

            let case = format!("{at:?}, chat {has_chat}, row {has_row}");
            let (store, now) = (api.store(), api.now());
            store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
            let audited = store.audit(&ann.name).await.unwrap();
            assert_eq!(audited.differences, [], "{case}");
            let spent = if has_chat || has_row { PRICE } else { 0 };
            let account = api.account(&ann).await;
            let numbers = [account.granted, account.spent, account.tokens].map(Credits::get);
            assert_eq!(numbers, [GRANT, spent, GRANT - spent], "{case}");
            assert!(account.reservations.is_empty(), "{case}");
            let again = store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
            assert_eq!(again.repairs, Vec::<String>::new(), "{case}");
        }
    }
}

#[tokio::test]
async fn embeddings_cut_by_a_restore_cost_what_their_rows_say() {
    let api = Api::own(&[]).await;
    api.prices(&with_embeddings(list("scripted"), "scripted")).await;
    let number = |number: u64| AttributeValue::N(number.to_string());
    for at in [Moment::Start, Moment::Reserved, Moment::Settled] {
        for has_row in [false, true] {
            let ann = api.person("ann").await;
            ann.pays_for_embeddings().await.is(200);
            match at {
                Moment::Start => {
                    ann.has_left(GRANT).await;
                    api.set(&ann, "spent", number(0)).await;
                }
                Moment::Reserved => {
                    ann.holds(&[("reserved", 1)]).await;
                    ann.has_left(GRANT - PRICE).await;
                    api.set(&ann, "spent", number(0)).await;
                }
                Moment::Settled => {}
            }
            if !has_row {
                let (rows, _) = api.store().entries(&ann.id, None, 100).await.unwrap();
                let delete = dynamo::client(&api.dynamodb).delete_item().table_name("LedgerTable");
                let delete = delete.key("user_id", AttributeValue::S(ann.id.clone()));
                let delete = delete.key("entry_id", AttributeValue::S(rows[0].entry_id.clone()));
                delete.send().await.unwrap();
            }

            let case = format!("{at:?}, row {has_row}");
            let (store, now) = (api.store(), api.now());
            store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
            assert_eq!(store.audit(&ann.name).await.unwrap().differences, [], "{case}");
            let spent = if has_row { 7 } else { 0 };
            let account = api.account(&ann).await;
            let numbers = [account.granted, account.spent, account.tokens].map(Credits::get);
            assert_eq!(numbers, [GRANT, spent, GRANT - spent], "{case}");
            assert!(account.reservations.is_empty(), "{case}");
            assert_eq!(ann.history("").await.is(200), json!([]), "{case}");
            let again = store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
            assert_eq!(again.repairs, Vec::<String>::new(), "{case}");
        }
    }
}

#[tokio::test]
async fn other_writes_cut_by_a_restore_are_completed_or_undone() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, address) = api.person_with_email().await;
    ann.makes_a_key("a program").await.is(201);
    let ben = api.person("ben").await;
    let cat = api.person("cat").await;
    let mut refunds = Vec::new();
    for _ in 0..2 {
        let chat = cat.chat("hi").await.is(200)["id"].clone();
        let path = format!("/api/admin/users/{}/adjustments", cat.id);
        let refund = json!({ "chat_id": chat, "reason": "a bad answer" });
        let row = root.post(&path, refund).await.is(201)["id"].as_str().unwrap().to_owned();
        refunds.push((row, format!("source:refund:{}:{}", cat.id, chat.as_str().unwrap())));
    }
    // Simulates transactions that the restore split. The tables then contain these faults: an
    // adjustment, a registration and a refund without a ledger row, a refund without a source, a
    // wrong count of API keys, an address without a claim, and a claim without an account.
    api.adjust(&ann, 500, "for the outage").await;
    lose(&api, "LedgerTable", "entry_id", &ben).await;
    let (rows, _) = api.store().entries(&ann.id, None, 1).await.unwrap();
    let client = dynamo::client(&api.dynamodb);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let delete = client.delete_item().table_name("LedgerTable").key("user_id", text(&ann.id));
    delete.key("entry_id", text(&rows[0].entry_id)).send().await.unwrap();
    let delete = client.delete_item().table_name("LedgerTable").key("user_id", text(&cat.id));
    delete.key("entry_id", text(&refunds[0].0)).send().await.unwrap();
    let delete = client.delete_item().table_name("TokensTable").key("pk", text(&refunds[1].1));
    delete.send().await.unwrap();
    api.set(&ann, "api_keys", AttributeValue::N("5".into())).await;
    let claim = client.delete_item().table_name("UsersTable");
    claim.key("pk", text(&format!("email:{address}"))).send().await.unwrap();
    let ghost = json!({
        "pk": "email:ghost@example.com", "id": "0", "name": "ghost", "verified": false,
        "shard": "0", "label": "ghost@example.com",
    });
    put(&api.dynamodb, "UsersTable", &[ghost]).await;

    let (store, now) = (api.store(), api.now());
    let done = store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
    assert_eq!((done.accounts, done.repairs.len()), (4, 9), "{:?}", done.repairs);
    for (person, balance) in [(&ann, GRANT), (&ben, GRANT), (&cat, GRANT - PRICE)] {
        assert_eq!(store.audit(&person.name).await.unwrap().differences, []);
        assert_eq!(person.balance().await, balance, "{}", person.name);
    }
    assert_eq!(store.audit_sources(None).await.unwrap(), (vec![], None));
    ann.has_keys(1).await;
    let world = World::read(&api.dynamodb).await;
    assert_eq!(world.administrators, HashSet::from([root.id]));
    assert_eq!(world.claims.len(), 1, "{:?}", world.claims);
    assert_eq!(world.claims[0]["id"], ann.id.as_str());
    assert_eq!(
        store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap().repairs,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn each_changed_number_of_an_account_is_reported() {
    let api = Api::own(&[]).await;
    let (store, now) = (api.store(), api.now());
    let clock = Clock::standing(now * 1000);
    let repairs = async || store.reconcile(now, &clock).await.unwrap().unwrap().repairs;
    for (attribute, repair) in [
        ("owed", "set what it owes to 0 tokens, as in its purchases; it owed 5".to_owned()),
        ("tokens", format!("set its balance to {GRANT} tokens, as in its ledger; it was 5")),
    ] {
        let ann = api.person("ann").await;
        api.set(&ann, attribute, AttributeValue::N("5".into())).await;
        assert_eq!(repairs().await, [format!("{}: {repair}", ann.name)]);
        assert_eq!(repairs().await, [""; 0]);
    }
}

/// Reconciles the tables, and makes a change before the first write of this operation arrives.
async fn reconciled_during(
    api: &Api,
    operation: &'static str,
    change: impl AsyncFnOnce(),
) -> store::Result<Option<ReconcileReport>> {
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // The SDK sends the write again when the change is made.
    lane.strike_once(operation, 1, Fault::StallBefore);
    let (store, now) = (api.app_over("sweep", &lane).store, api.now());
    let clock = Clock::standing(now * 1000);
    let changed = async {
        lane.struck().await;
        change().await;
    };
    tokio::join!(store.reconcile(now, &clock), changed).0
}

#[tokio::test]
async fn an_order_that_changes_stops_its_reconciliation() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (store, clock) = (api.store(), &api.server().clock);
    let account = api.account(&ann).await;
    let order = Order::new(&account, &a_pack(1000, 300), clock);
    store.create_order(&account, &order).await.unwrap();
    let paid = PaymentFacts { progress: Progress::Paid, ..PaymentFacts::default() };
    store.merge_facts(order.clone(), &paid, clock).await.unwrap();
    let set = async |attribute: &str, number: u64| {
        let update = dynamo::client(&api.dynamodb).update_item().table_name("TokensTable");
        let update = update.key("pk", AttributeValue::S(format!("order:{}", order.id())));
        let update = update.update_expression(format!("SET {attribute} = :number"));
        let number = AttributeValue::N(number.to_string());
        update.expression_attribute_values(":number", number).send().await.unwrap();
    };
    set("given", 5).await;
    let stopped = reconciled_during(&api, "UpdateItem", async || set("version", 9).await).await;
    let cause = "an order changed while it was reconciled".to_owned();
    assert_eq!(stopped, Err(StoreError::Unavailable(cause)));
    let now = api.now();
    store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
    assert_eq!(store.order(order.id()).await.unwrap().unwrap().granted.get(), 1000);
}

#[tokio::test]
async fn repairs_that_other_writes_prevent_are_not_reported() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let chats: Vec<Value> = scan(&api.dynamodb, "ChatsTable").await;
    let is_conversation = |item: &Value| item["chat_id"].as_str().unwrap().starts_with("c#");
    let conversation = chats.into_iter().find(is_conversation).unwrap();
    let key = AttributeValue::S(conversation["chat_id"].as_str().unwrap().to_owned());
    let delete = dynamo::client(&api.dynamodb).delete_item().table_name("ChatsTable");
    let delete = delete.key("user_id", AttributeValue::S(ann.id.clone())).key("chat_id", key);
    delete.send().await.unwrap();
    let comes_back = async || put(&api.dynamodb, "ChatsTable", &[conversation]).await;
    let done = reconciled_during(&api, "PutItem", comes_back).await.unwrap().unwrap();
    assert_eq!(done.repairs, [""; 0]);

    api.set(&ann, "api_keys", AttributeValue::N("5".into())).await;
    let is_replaced = async || api.set(&ann, "id", AttributeValue::S("another".into())).await;
    let done = reconciled_during(&api, "UpdateItem", is_replaced).await.unwrap().unwrap();
    assert_eq!(done.repairs, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reapply_and_reconcile_refuse_tables_in_use() {
    let api = Api::own(&[]).await;
    api.person("ann").await;
    restore_all(&api).await;
    let an_hour_ago = rfc3339((api.now() - 3600) * 1000);
    for command in ["reapply", "reconcile"] {
        let (success, said) = manage(&api, &[command, &an_hour_ago]);
        assert!(!success && said.contains("These tables are in use"), "{said}");
    }
    for wrong in ["yesterday", "2026-11-21"] {
        let (success, said) = manage(&api, &["reconcile", wrong]);
        assert!(!success && said.contains("is not a time such as"), "{said}");
    }
}

#[tokio::test]
async fn an_account_without_a_tombstone_returns_unless_deleted() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    restore_all(&api).await;
    for person in [&ann, &ben] {
        api.forget(person).await;
    }
    let clock = Clock::default();
    clock.advance(2 * DAY);
    let (store, newer, no_password) =
        (restored_store(&api), newer(&api), passwords::none().unwrap());
    let mut since = ReapplyInput {
        second: api.now(),
        newer: &newer,
        deleted: None,
        messages: false,
        no_password: &no_password,
    };
    let done = store.reapply(&since, &clock).await.unwrap().unwrap();
    assert_eq!((done.deleted, done.returned, done.unclear.len()), (0, 0, 2), "{done:?}");

    let deleted = HashSet::from([ben.id.clone()]);
    since.deleted = Some(&deleted);
    let done = store.reapply(&since, &clock).await.unwrap().unwrap();
    assert_eq!(done, ReapplyReport { deleted: 1, returned: 1, ..ReapplyReport::default() });
    let again = functions_on_restored(&api).await;
    ann.at(&again).is_in().await;
    ben.at(&again).is_out().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reapply_deletes_messages_again_only_if_told_to() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let kept = ann.chat("keep this").await.is(200)["id"].clone();
    let file = json!([{ "name": "a.txt", "text": "one" }]);
    let body = json!({ "message": "not this", "attachments": file });
    let sent = ann.post("/api/chat/", body).await.is(200);
    let (deleted, file) = (sent["id"].clone(), sent["files"][0]["id"].clone());
    restore_all(&api).await;
    ann.delete(&format!("/api/chat/{}", deleted.as_str().unwrap())).await.is(200);
    let second = this_second(&api);
    managed(&api, &["reapply", &second]);
    let at = functions_on_restored(&api).await;
    let history = async || -> Vec<Value> {
        let chats = ann.at(&at).history("").await.is(200);
        chats.as_array().unwrap().iter().map(|chat| chat["id"].clone()).collect()
    };
    let file = format!("/api/files/{}", file.as_str().unwrap());
    assert_eq!(history().await, [deleted, kept.clone()]);
    ann.at(&at).get(&file).await.is(200);
    let said = managed(&api, &["reapply", &second, "--deleted-messages"]);
    assert!(said.contains(", 1 message. "), "{said}");
    assert_eq!(history().await, [kept]);
    ann.at(&at).get(&file).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_list_only_files_of_restored_messages() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let sends = async |conversation: &Value| {
        let file = json!([{ "name": "a.txt", "text": "one" }]);
        let body = json!({ "message": "hi", "conversation_id": conversation, "attachments": file });
        ann.post("/api/chat/", body).await.is(200)
    };
    let kept = sends(&Value::Null).await;
    let conversation = &kept["conversation_id"];
    let (lost, split) = (sends(conversation).await, sends(conversation).await);
    restore_all(&api).await;

    // Simulates settles that the restore split: it has restored neither of the two messages. It has
    // restored the file of one of them, and the item that lists it until the message is stored.
    let client = dynamo::client(&api.dynamodb);
    let text = |value: &Value| AttributeValue::S(value.as_str().unwrap().to_owned());
    for chat in [&lost, &split] {
        let delete = client.delete_item().table_name(format!("{RESTORED}ChatsTable"));
        let delete = delete.key("user_id", text(&json!(ann.id))).key("chat_id", text(&chat["id"]));
        delete.send().await.unwrap();
    }
    let delete = client.delete_item().table_name(format!("{RESTORED}FilesTable"));
    delete.key("pk", text(&lost["files"][0]["id"])).send().await.unwrap();
    let pending = format!("pending:{}", split["id"].as_str().unwrap());
    let pending = json!({
        "pk": pending, "user_id": "pending:", "owner": ann.id, "files": 1, "until": 1,
    });
    put(&api.dynamodb, &format!("{RESTORED}TokensTable"), &[pending]).await;

    let repairs = managed(&api, &["reconcile", &this_second(&api)]);
    for chat in [&lost, &split] {
        let file = chat["files"][0]["id"].as_str().unwrap();
        assert!(repairs.contains(&format!("lost the file {file}")), "{repairs}");
    }
    managed(&api, &["audit"]);
    let restored = functions_on_restored(&api).await;
    let path = format!("/api/conversations/{}", conversation.as_str().unwrap());
    assert_eq!(ann.at(&restored).get(&path).await.is(200)["files"], kept["files"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_are_counted_again_and_stay_voided() {
    let api = Api::own(&[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let vouchers = "/api/admin/vouchers/";
    let create = async |name: &str| {
        let batch = json!({ "name": name, "tokens": 5, "count": 1, "uses": 2 });
        root.post(vouchers, batch).await.is(201)
    };
    let (kept, voided) = (create("kept").await, create("voided").await);
    let redeem = async |who: &Person, batch: &Value| {
        who.post("/api/user/vouchers/", json!({ "code": batch["codes"][0] })).await
    };
    redeem(&ann, &kept).await.is(200);
    restore_all(&api).await;
    root.delete(&format!("{vouchers}{}", voided["id"].as_str().unwrap())).await.is(200);

    // Simulates transactions that the restore split: two uses were counted, but only one has a row.
    // The redemption with the row isn't listed, and the other one is.
    let tokens: Vec<Value> = scan(&api.dynamodb, &format!("{RESTORED}TokensTable")).await;
    let redeemed = |item: &&Value| item["pk"].as_str().unwrap().starts_with("redeemed:");
    let [redemption] =
        tokens.iter().filter(redeemed).cloned().collect::<Vec<_>>().try_into().unwrap();
    let key = AttributeValue::S(redemption["pk"].as_str().unwrap().to_owned());
    let delete = dynamo::client(&api.dynamodb).delete_item().key("pk", key);
    delete.table_name(format!("{RESTORED}TokensTable")).send().await.unwrap();
    let mut undone = redemption.clone();
    undone["pk"] = json!(format!("redeemed:{}", api.server().clock.id()));
    put(&api.dynamodb, &format!("{RESTORED}TokensTable"), &[undone.clone()]).await;
    let counted = tokens.into_iter().filter(|item| item["used"] == 1 || item["redeemed"] == 1);
    for mut item in counted {
        let count = if item["used"] == 1 { "used" } else { "redeemed" };
        item[count] = json!(2);
        put(&api.dynamodb, &format!("{RESTORED}TokensTable"), &[item]).await;
    }
    let again = managed(&api, &["reapply", &this_second(&api)]);
    assert!(again.contains(" 1 voucher,"), "{again}");
    managed(&api, &["reconcile", &this_second(&api)]);
    managed(&api, &["audit"]);
    let tokens: Vec<Value> = scan(&api.dynamodb, &format!("{RESTORED}TokensTable")).await;
    assert_eq!(tokens.iter().filter(redeemed).collect::<Vec<_>>(), [&redemption]);
    let restored = functions_on_restored(&api).await;
    let ben = Person { api: restored.clone(), ..ben };
    redeem(&ben, &kept).await.is(200);
    redeem(&ben, &voided).await.expect(410, "voucher_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_shared_chats_stay_ended() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let conversation = ann.chat("hi").await.is(200)["id"].clone();
    let share = async || {
        let body = json!({ "conversation_id": conversation });
        ann.post("/api/user/shares/", body).await.is(201)
    };
    let (kept, ended) = (share().await, share().await);
    restore_all(&api).await;
    ann.delete(&format!("/api/user/shares/{}", ended["id"].as_str().unwrap())).await.is(200);

    let again = managed(&api, &["reapply", &this_second(&api)]);
    assert!(again.contains(" 1 shared chat,"), "{again}");
    managed(&api, &["reconcile", &this_second(&api)]);
    managed(&api, &["audit"]);
    let restored = functions_on_restored(&api).await;
    let open = async |share: &Value| {
        restored.get(&format!("/api/shares/{}", share["link"].as_str().unwrap())).await
    };
    open(&kept).await.is(200);
    open(&ended).await.expect(404, "no_such_share");
    let ann = Person { api: restored.clone(), ..ann };
    assert_eq!(ann.get("/api/user/shares/").await.is(200), json!([kept]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_allowances_are_counted_again() {
    let api = Api::own(&[("ALLOWANCE", "5000/month")]).await;
    let ann = api.person("ann").await;
    let limit = json!({ "name": "x", "limit": { "tokens": 250 } });
    let key = ann.post("/api/user/api-keys", limit).await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    program.completes().await.is(200);
    restore_all(&api).await;

    // Simulates transactions that the restore split: the allowance has a row, but the account
    // doesn't record it, and the purse was lost while it contained a hold.
    let users = format!("{RESTORED}UsersTable");
    let accounts: Vec<Value> = scan(&api.dynamodb, &users).await;
    let mut account = accounts.into_iter().find(|user| user["id"] == ann.id.as_str()).unwrap();
    let purse = format!("{}#total", key["id"].as_str().unwrap());
    let granted = account["granted"].as_u64().unwrap();
    account["purses"] = json!({ &purse: 200 });
    account["granted"] = json!(granted - 1000);
    account["tokens"] = json!(granted - 1200);
    account["reservations"] =
        json!({ "dead": { "cost": 100, "owner": "x", "expires_at": 1, "purse": &purse } });
    account.as_object_mut().unwrap().remove("allowance");
    put(&api.dynamodb, &users, &[account]).await;
    let repairs = managed(&api, &["reconcile", &this_second(&api)]);
    assert!(repairs.contains("counted again what its API keys have spent"), "{repairs}");
    managed(&api, &["audit"]);
    let restored = restored_store(&api);
    let account = restored.account_named(&ann.name).await.unwrap().unwrap();
    assert_eq!(account.purses.as_ref().unwrap()[&purse].get(), 100);
    assert_eq!((account.granted.get(), account.tokens.get()), (granted, granted - 100));
    // The account has received its allowance in this period.
    let of = Allowances::parse("5000/month").unwrap();
    assert_eq!(restored.fill_up(&account, of, api.now()).await, Ok(false));
}
