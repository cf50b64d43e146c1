//! Vouchers: `POST /api/user/vouchers`, `GET /api/admin/vouchers`, `POST /api/admin/vouchers`,
//! `DELETE /api/admin/vouchers/{id}`, `GET /api/admin/vouchers/{id}/redemptions`, and the `manage
//! vouchers` command.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use local::manage::vouchers;
use serde_json::{Value, json};
use shared::Error;
use shared::clock::Day;
use shared::store::{StoreError, Voucher};
use shared::values::VoucherCode;

use crate::support::client::{Answer, Api, DAY, GRANT, Person};
use crate::support::function::{Reply, TIME, event, invoke};
use crate::support::log;
use crate::support::program::{Folder, run};
use crate::support::rig::{Rig, at_once};
use crate::support::world::put;

const PATH: &str = "/api/user/vouchers/";
const BATCHES: &str = "/api/admin/vouchers/";

impl Person {
    async fn redeems(&self, code: &str) -> Answer {
        self.post(PATH, json!({ "code": code })).await
    }

    async fn creates_vouchers(&self, batch: Value) -> Value {
        self.post(BATCHES, batch).await.is(201)
    }

    async fn voids(&self, id: &Value) -> Answer {
        self.delete(&format!("{BATCHES}{}", id.as_str().unwrap())).await
    }
}

fn codes(created: &Value) -> Vec<String> {
    serde_json::from_value(created["codes"].clone()).unwrap()
}

fn wrong_code() -> String {
    VoucherCode::random().unwrap().text()
}

#[tokio::test]
async fn vouchers_grant_their_tokens_once() {
    let api = Api::own(&[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let batch = json!({ "name": "Spring campaign", "tokens": 500, "count": 2 });
    let created = root.creates_vouchers(batch).await;
    let [first, second] = codes(&created).try_into().unwrap();

    let mut row = ann.redeems(&first.to_lowercase().replace('-', " ")).await.is(200);
    assert_eq!([&row["amount"], &row["reason"]], [&json!(500), &json!("Spring campaign")]);
    assert_eq!(row["tokens"], GRANT + 500);
    assert_eq!(row["already_redeemed"], false);
    row["already_redeemed"] = json!(true);
    assert_eq!(ann.redeems(&first).await.is(200), row);
    ben.redeems(&first).await.expect(409, "voucher_used");
    ben.redeems(&second).await.is(200);
    let shown = ann.get("/api/user/ledger/").await.is(200)[0].clone();
    assert_eq!(
        [&shown["id"], &shown["kind"], &shown["voucher"]],
        [&row["id"], &json!("adjustment"), &json!(true)]
    );
    for person in [&ann, &ben] {
        assert_eq!(person.balance().await, GRANT + 500);
        assert_eq!(api.store().audit(&person.name).await.unwrap().differences, []);
    }
    assert_eq!(api.store().audit_sources(None).await.unwrap(), (vec![], None));
    assert_eq!(root.get(BATCHES).await.is(200)[0]["redeemed"], 2);
}

#[tokio::test]
async fn administrators_do_not_redeem_their_own_vouchers() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let created = root.creates_vouchers(json!({ "name": "gift", "tokens": 5, "count": 1 })).await;
    let [code] = codes(&created).try_into().unwrap();
    root.redeems(&code).await.expect(409, "own_balance");
    other.redeems(&code).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contended_codes_are_used_exactly_as_often_as_allowed() {
    let rig = Rig::start().await;
    let root = rig.api.administrator("root").await;
    let people = join_all((0..300).map(|_| rig.person())).await;
    let function = rig.api.server().functions["voucher_redeem"].clone();
    let redeem = async |person: &Person, code: &str| {
        let bearer = person.bearer();
        let headers = [("authorization", bearer.as_str())];
        let event =
            event("voucher_redeem", "/api/user/vouchers", &headers, &json!({ "code": code }));
        Reply::of(invoke(&function, &event, TIME).await).await.status
    };
    let shared =
        root.creates_vouchers(json!({ "name": "all", "tokens": 7, "count": 1, "uses": 299 })).await;
    let [code] = codes(&shared).try_into().unwrap();
    let uses = people.iter().map(|person| redeem(person, &code));
    let statuses: Vec<u16> = iter(uses).buffered(at_once(people.len())).collect().await;
    let of = |status: u16| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((of(200), of(409)), (299, 1), "{statuses:?}");

    let single =
        root.creates_vouchers(json!({ "name": "one each", "tokens": 9, "count": 100 })).await;
    let codes = codes(&single);
    let rounds = (0..20).flat_map(|turn| {
        let codes = codes.iter().enumerate();
        codes.map(move |(index, code)| (index * 3 + turn * 7, code))
    });
    let uses = rounds.map(|(index, code)| redeem(&people[index % people.len()], code));
    let statuses: Vec<u16> = iter(uses).buffered(at_once(20 * codes.len())).collect().await;
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let world = rig.world().await;
    let mut granted = 0;
    for person in &people {
        assert_eq!(world.audit(&person.id), [""; 0]);
        granted += world.accounts[&person.id].granted.get() - GRANT;
    }
    assert_eq!(granted, 299 * 7 + 100 * 9);
    let batches = root.get(BATCHES).await.is(200);
    assert_eq!([&batches[0]["redeemed"], &batches[1]["redeemed"]], [&json!(100), &json!(299)]);
}

/// Sends a code from a network. Returns the status, and whether the function searched the store for
/// a voucher.
async fn guess(rig: &Rig, person: &Person, network: &str, code: &str) -> (u16, bool) {
    let lane = rig.proxy.lane();
    let function = rig.api.function_over("voucher_redeem", &lane);
    let bearer = person.bearer();
    let headers = [("authorization", bearer.as_str())];
    let mut event =
        event("voucher_redeem", "/api/user/vouchers", &headers, &json!({ "code": code }));
    event["requestContext"]["identity"]["sourceIp"] = json!(network);
    let reply = Reply::of(invoke(&function, &event, TIME).await).await;
    // The first read loads the account.
    let reads = lane.calls().into_iter().filter(|call| call.operation == "GetItem").count();
    (reply.status, reads > 1)
}

#[tokio::test]
async fn codes_are_not_looked_up_after_too_many_guesses() {
    let rig = Rig::start().await;
    let root = rig.api.administrator("root").await;
    let created = root.creates_vouchers(json!({ "name": "gift", "tokens": 5, "count": 1 })).await;
    let [code] = codes(&created).try_into().unwrap();
    // An account may make ten guesses an hour, whether from one network or from many.
    let ann = rig.person().await;
    for network in 0..10 {
        let network = format!("203.0.113.{network}");
        assert_eq!(guess(&rig, &ann, &network, &wrong_code()).await, (404, true));
    }
    for network in 0..100 {
        let network = format!("198.51.100.{network}");
        assert_eq!(guess(&rig, &ann, &network, &code).await, (429, false));
    }
    // A network may make fifty guesses, across all of its accounts.
    let network = "192.0.2.1";
    for _ in 0..5 {
        let person = rig.person().await;
        for _ in 0..10 {
            assert_eq!(guess(&rig, &person, network, &wrong_code()).await, (404, true));
        }
    }
    let ben = rig.person().await;
    assert_eq!(guess(&rig, &ben, network, &code).await, (429, false));
    rig.api.server().clock.advance(Duration::from_secs(3600));
    let ben = rig.session_of(&ben).await;
    assert_eq!(guess(&rig, &ben, network, &code).await, (200, true));
}

#[tokio::test]
async fn right_codes_are_no_guesses() {
    let api = Api::at_an_hour(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let created = root.creates_vouchers(json!({ "name": "gift", "tokens": 5, "count": 12 })).await;
    for code in codes(&created) {
        ann.redeems(&code).await.is(200);
    }
    // Strings that can't be codes are refused before they are counted.
    for code in ["", "x", &wrong_code()[1..]] {
        let refused = ann.redeems(code).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["code"].is_array(), "{refused}");
    }
    let limited = async {
        for _ in 0..10 {
            ann.redeems(&wrong_code()).await.expect(404, "no_such_voucher");
        }
        ann.redeems(&wrong_code()).await
    };
    let limited = limited.await;
    assert!(limited.header("retry-after").parse::<u32>().unwrap() <= 3600);
    limited.expect(429, "too_many_guesses");
}

#[tokio::test]
async fn ended_and_voided_vouchers_are_refused() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let today = Day::from_millis(api.server().clock.millis());
    let ending = json!({ "name": "today", "tokens": 5, "count": 2, "ends": today.to_string() });
    let ending = root.creates_vouchers(ending).await;
    let voided = root.creates_vouchers(json!({ "name": "leaked", "tokens": 5, "count": 2 })).await;
    for created in [&ending, &voided] {
        ann.redeems(&codes(created)[0]).await.is(200);
    }
    let shown = root.voids(&voided["id"]).await.is(200);
    assert!(shown["voided"].is_string() && shown.get("codes").is_none(), "{shown}");
    assert_eq!(root.voids(&voided["id"]).await.is(200), shown);
    ann.redeems(&codes(&voided)[1]).await.expect(410, "voucher_ended");
    // A user who redeemed a voucher before it was voided still gets the same reply.
    ann.redeems(&codes(&voided)[0]).await.is(200);
    api.server().clock.advance(DAY);
    let (root, ann) = (root.elsewhere("a test").await, ann.elsewhere("a test").await);
    ann.redeems(&codes(&ending)[1]).await.expect(410, "voucher_ended");
    assert_eq!(ann.balance().await, GRANT + 10);
    for id in [json!(ann.id), json!("x")] {
        root.voids(&id).await.expect(404, "not_found");
    }
    ann.voids(&voided["id"]).await.expect(403, "forbidden");
}

#[tokio::test]
async fn vouchers_that_end_after_they_were_read_are_refused() {
    let api = Api::own(&[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let created = root.creates_vouchers(json!({ "name": "gift", "tokens": 5, "count": 3 })).await;
    let store = api.store();
    let read = async |code: &str| {
        store.voucher(&VoucherCode::parse(code).unwrap()).await.unwrap().unwrap()
    };
    let redeem = async |voucher: &Voucher| {
        let (account, clock) = (api.account(&ann).await, &api.server().clock);
        let adjustment = store.redemption(&account, voucher, clock.seconds(), clock).unwrap();
        store.adjust(&adjustment, clock.seconds()).await
    };
    let [used, voided, both] = codes(&created).try_into().unwrap();
    let [used_before, voided_before, both_before] =
        [read(&used).await, read(&voided).await, read(&both).await];
    for code in [&used, &both] {
        ben.redeems(code).await.is(200);
    }
    assert_eq!(redeem(&used_before).await, Err(StoreError::Refused(Error::VoucherUsed)));
    root.voids(&created["id"]).await.is(200);
    for voucher in [&voided_before, &both_before] {
        assert_eq!(redeem(voucher).await, Err(StoreError::Refused(Error::VoucherEnded)));
    }
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(store.audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn batches_are_created_once_per_key_and_listed() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    log::clear();
    let batch = json!({ "name": "gift", "tokens": 5, "count": 250, "uses": 3 });
    let created = root.post_once("k1", BATCHES, batch.clone()).await.is(201);
    let mut shown = codes(&created);
    assert_eq!(shown.len(), 250);
    let logged = log::text();
    assert!(shown.iter().all(|code| !logged.contains(code)), "a code was logged");
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), 250);
    root.post_once("k1", BATCHES, batch).await.expect(409, "codes_shown");
    let other = json!({ "name": "gift", "tokens": 6, "count": 1 });
    root.post_once("k1", BATCHES, other.clone()).await.expect(422, "idempotency_key_reused");
    for _ in 0..2 {
        root.creates_vouchers(other.clone()).await;
    }
    let page = root.get(&format!("{BATCHES}?limit=2")).await;
    let next = page.next_page().unwrap();
    assert_eq!(page.is(200).as_array().unwrap().len(), 2);
    let last = root.get(&format!("{BATCHES}{next}")).await.is(200);
    let mut expected = created;
    expected.as_object_mut().unwrap().remove("codes");
    assert_eq!(last, json!([expected]));
    let trail = root.get("/api/admin/trail?act=vouchers").await.is(200);
    assert_eq!(trail[2]["reason"], "250 of 5 tokens, 3 uses each: gift");
    assert_eq!([&trail[2]["user_id"], &trail[2]["actor"]], [&Value::Null, &json!(root.id)]);
}

#[tokio::test]
async fn redemptions_are_listed_with_their_users() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let batch = json!({ "name": "gift", "tokens": 5, "count": 1, "uses": 150 });
    let created = root.creates_vouchers(batch).await;
    let list = format!("{BATCHES}{}/redemptions", created["id"].as_str().unwrap());
    assert_eq!(root.get(&list).await.is(200), json!([]));
    let [code] = codes(&created).try_into().unwrap();
    let row = ann.redeems(&code).await.is(200);
    assert_eq!(ann.redeems(&code).await.is(200)["already_redeemed"], true);
    let redeemed = root.get(&list).await.is(200);
    let mut expected =
        json!({ "id": row["id"], "user_id": ann.id, "username": ann.name, "tokens": 5 });
    expected["timestamp"] = redeemed[0]["timestamp"].clone();
    assert_eq!(redeemed, json!([expected]));

    let clock = &api.server().clock;
    let gone = clock.id().to_string();
    let planted: Vec<Value> = (0..120)
        .map(|index| {
            json!({
                "pk": format!("redeemed:{}", clock.id()),
                "user_id": format!("redeemed:{}", created["id"].as_str().unwrap()),
                "account": if index % 2 == 0 { &ann.id } else { &gone },
            })
        })
        .collect();
    put(&api.dynamodb, "TokensTable", &planted).await;
    let page = root.get(&format!("{list}?limit=100")).await;
    let next = page.next_page().unwrap();
    let first = page.is(200);
    assert_eq!(first.as_array().unwrap().len(), 100);
    assert_eq!(first[0]["username"], Value::Null);
    assert_eq!([&first[1]["user_id"], &first[1]["username"]], [&json!(ann.id), &json!(ann.name)]);
    assert_eq!(first[1]["tokens"], 5);
    let rest = root.get(&format!("{list}{next}")).await.is(200);
    assert_eq!(rest.as_array().unwrap().len(), 21);
    assert_eq!(rest[20], redeemed[0]);

    let other = root.creates_vouchers(json!({ "name": "other", "tokens": 1, "count": 1 })).await;
    let other = format!("{BATCHES}{}/redemptions", other["id"].as_str().unwrap());
    root.get(&format!("{other}{next}")).await.expect(400, "invalid_cursor");
    root.get(&format!("{BATCHES}{gone}/redemptions")).await.expect(404, "not_found");
    root.get(&format!("{BATCHES}none/redemptions")).await.expect(404, "not_found");
    ann.get(&list).await.expect(403, "forbidden");
}

#[tokio::test]
async fn vouchers_of_an_ended_administrator_are_listed_and_voided() {
    let api = Api::own(&[]).await;
    let (root, eve, ann) =
        (api.administrator("root").await, api.administrator("eve").await, api.person("ann").await);
    let app = &api.server().apps["admin_vouchers"];
    let batch = |name: &str| json!({ "name": name, "tokens": 5, "count": 2 });
    let other = root.creates_vouchers(batch("gift")).await;
    let voided = eve.creates_vouchers(batch("mistake")).await;
    eve.voids(&voided["id"]).await.is(200);
    let sold = eve.creates_vouchers(batch("sold")).await;
    let valid_of = async |creator: &str| {
        let batches = vouchers::valid_of(app, creator).await.unwrap();
        batches.into_iter().map(|batch| batch.name).collect::<Vec<_>>()
    };
    assert_eq!(valid_of(&eve.name).await, ["sold"]);

    root.delete(&format!("/api/admin/users/{}", eve.id)).await.is(202);
    let [first, second] = codes(&sold).try_into().unwrap();
    ann.redeems(&first).await.is(200);
    assert_eq!(root.get(BATCHES).await.is(200)[0]["creator"], eve.id);
    assert_eq!(valid_of(&eve.id).await, ["sold"]);
    assert_eq!(vouchers::void_valid_of(app, &eve.id).await, Ok(1));
    assert_eq!((valid_of(&eve.id).await, valid_of(&root.id).await), (vec![], vec!["gift".into()]));
    ann.redeems(&second).await.expect(410, "voucher_ended");
    ann.redeems(&codes(&other)[0]).await.is(200);
    vouchers::valid_of(app, "nobody").await.unwrap_err();
}

#[tokio::test]
async fn invalid_batches_name_their_fields() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let refused = root.post(BATCHES, json!({})).await.expect(400, "invalid_fields");
    let named: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
    assert_eq!(named, ["count", "name", "tokens"]);
    for (field, value) in [
        ("name", json!("a\nb")),
        ("name", json!("\u{200b}")),
        ("tokens", json!(0)),
        ("count", json!(0)),
        ("count", json!(1001)),
        ("uses", json!(0)),
        ("ends", json!("2020-01-01")),
        ("ends", json!("soon")),
    ] {
        let mut batch = json!({ "name": "gift", "tokens": 5, "count": 1 });
        batch[field] = value;
        let refused = root.post(BATCHES, batch).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{field}: {refused}");
    }
    assert_eq!(root.get(BATCHES).await.is(200), json!([]));
}

#[test]
fn vouchers_are_created_listed_and_voided() {
    let folder = Folder::with_store();
    let vouchers = |arguments: &[&str]| {
        let output =
            run(&[&["manage", "vouchers"], arguments, &["--data", folder.path()]].concat());
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    assert_eq!(vouchers(&["list"]), (true, "There are no vouchers.\n".to_owned()));
    let (success, codes) = vouchers(&["create", "500", "--name", "Spring", "--count", "3"]);
    assert!(success, "{codes}");
    assert_eq!(codes.lines().filter(|code| VoucherCode::parse(code).is_ok()).count(), 3);
    let (_, list) = vouchers(&["list"]);
    let line = "3 codes of 500 tokens, 1 use each, 0 redeemed, no end, by manage: Spring\n";
    assert!(list.ends_with(line), "{list}");
    let id = list.split(' ').next().unwrap();
    let voided = "No code of \"Spring\" is accepted any more; 0 uses before.\n";
    assert_eq!(vouchers(&["void", id]), (true, voided.to_owned()));
    assert!(vouchers(&["list"]).1.contains(", voided 20"));
    for wrong in [
        &["create", "0", "--name", "x"][..],
        &["create", "5", "--name", "x", "--ends", "2020-01-01"],
        &["create", "5", "--name", "x", "--count", "1001"],
        &["void", "x"],
        &["void"],
        &["void", "x", "--creator", "ann"],
        &["void", "--creator", "ann"],
        &["list", "--creator", "ann"],
    ] {
        assert!(!vouchers(wrong).0, "{wrong:?}");
    }
}
