//! Lists, statements, adjustments, refunds, figures and exports: `GET /api/admin/users`,
//! `GET /api/admin/users/{id}`, `PATCH /api/admin/users/{id}`, `GET /api/admin/users/{id}/ledger`,
//! `POST /api/admin/users/{id}/adjustments`, `GET /api/admin/chats`, `GET /api/admin/figures`,
//! `GET /api/admin/trail`, `GET /api/admin/export/{list}`.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use functions::Function;
use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Day;
use shared::http::Body;
use shared::store::{Adjustment, NewAccount, RegisterOutcome, StoreError, chat_month};
use shared::values::{Account, Administrator, Chat, Reason, Role, Username};
use shared::{BalanceChange, Credits, Error, auth};

use crate::endpoints::account::ledger::{csv_columns, csv_line};
use crate::endpoints::openai::completions::asking;
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person, unique};
use crate::support::function::{self, TIME, event, invoke};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan, Proxy};
use crate::support::rig::in_the_first_month;
use crate::support::world::put;

impl Person {
    pub async fn admin(&self, path: &str) -> Answer {
        self.get(&format!("/api/admin/{path}")).await
    }

    /// A user's data as this administrator sees it.
    pub async fn sees(&self, user: &Person) -> Value {
        self.admin(&format!("users/{}", user.id)).await.is(200)
    }

    pub async fn changes(&self, user: &Person, change: Value) -> Answer {
        self.patch(&format!("/api/admin/users/{}/", user.id), change).await
    }

    pub async fn adjusts(&self, user: &Person, amount: i64, reason: &str) -> Answer {
        self.post(
            &format!("/api/admin/users/{}/adjustments/", user.id),
            json!({ "amount": amount, "reason": reason }),
        )
        .await
    }

    async fn adjusts_under(&self, key: &str, user: &Person, amount: i64) -> Answer {
        let path = format!("/api/admin/users/{}/adjustments", user.id);
        self.post_once(key, &path, json!({ "amount": amount, "reason": "a correction" })).await
    }

    /// The items of a list, read page by page, and the number of pages.
    pub async fn every(&self, list: &str, query: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut next) = (Vec::new(), 0, Some(query.to_owned()));
        while let Some(query) = next {
            let page = self.admin(&format!("{list}{query}")).await;
            next = page.next_page();
            items.extend(page.is(200).as_array().unwrap().clone());
            pages += 1;
            assert!(pages < 200, "the pages have no end");
        }
        (items, pages)
    }

    /// The actions that concern this user, newest first.
    pub async fn trail_of(&self, user: &Person) -> Vec<Value> {
        let (acts, _) = self.every("trail", "?limit=100").await;
        acts.into_iter().filter(|act| act["user_id"] == user.id.as_str()).collect()
    }

    /// Returns the `Administrator` that an endpoint gets from this administrator's request.
    pub async fn at_the_door(&self) -> Administrator {
        let app = &self.api.server().apps["admin_adjustment"];
        let bearer = self.bearer();
        let headers = [("authorization", bearer.as_str())];
        let event = event("admin_users", "/api/admin/users", &headers, &Value::Null);
        let function = &self.api.server().functions["admin_users"];
        let request = function::request(function, &event, TIME);
        auth::administrator(app, &request, async { Ok(()) }).await.unwrap().0
    }

    /// Returns a CSV file of an export.
    async fn exports(&self, list: &str, query: &str) -> String {
        let answer = self.admin(&format!("export/{list}{query}")).await;
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(
            answer.header("content-disposition"),
            format!("attachment; filename=\"farebox-{list}\"")
        );
        answer.is(200).as_str().unwrap().to_owned()
    }
}

pub fn texts(list: &[Value], field: &str) -> Vec<String> {
    list.iter()
        .map(|item| item[field].as_str().unwrap_or_else(|| panic!("{field} of {item}")).to_owned())
        .collect()
}

/// Returns the status and body of a function's reply to a request with this time limit.
async fn answer(
    function: &Function,
    name: &str,
    path: &str,
    person: &Person,
    time: Duration,
) -> (u16, Body) {
    let event = event(name, path, &[("authorization", &person.bearer())], &Value::Null);
    let (parts, body) = invoke(function, &event, time).await.into_parts();
    (parts.status.as_u16(), body)
}

/// Writes chats with answers of this size directly to the store.
async fn with_chats(api: &Api, person: &Person, count: usize, size: usize) {
    let clock = api.clock();
    let chats: Vec<Chat> = (0..count)
        .map(|_| {
            let id = clock.id().to_string();
            Chat {
                user_id: person.id.clone(),
                month: chat_month(&person.id, &id),
                chat_id: id,
                message: "hi".into(),
                response: "x".repeat(size),
                cost: Credits::new(PRICE).unwrap(),
                time: 1,
                name: person.name.clone(),
                ..Chat::default()
            }
        })
        .collect();
    put(&api.dynamodb, "ChatsTable", &chats).await;
}

/// A server whose clock shows noon, so that no test reaches the next day.
pub async fn at_noon() -> Api {
    let api = Api::own(&[("ADMIN_CHATS", "search")]).await;
    let now = api.server().clock.millis();
    api.server().clock.advance(Duration::from_millis(
        Day::from_millis(now).after(1).begins() + 12 * 3_600_000 - now,
    ));
    api
}

#[tokio::test]
async fn users_are_listed_newest_first_page_by_page() {
    let api = Api::with_clock(in_the_first_month(), &[]).await;
    let root = api.administrator("root").await;
    let mut people = vec![root.clone()];
    for number in 0..7 {
        people.push(api.person(&format!("user{number}")).await);
    }
    let (all, pages) = root.every("users", "").await;
    assert_eq!(pages, 1);
    assert_eq!(
        texts(&all, "id"),
        people.iter().rev().map(|person| person.id.clone()).collect::<Vec<_>>()
    );
    let of_root = root.profile().await.is(200);
    let expected = json!({
        "id": root.id, "username": root.name, "email": null, "role": "admin", "is_staff": true, "active": true, "date_joined": of_root["date_joined"],
    });
    assert_eq!(all[7], expected);
    for (limit, pages) in [(1, 8), (3, 3), (7, 2), (8, 1), (100, 1)] {
        assert_eq!(
            root.every("users", &format!("?limit={limit}")).await,
            (all.clone(), pages),
            "{limit}"
        );
    }
    // A user who registers while the pages are read doesn't shift them.
    let first = root.admin("users?limit=3").await.next_page().unwrap();
    api.person("late").await;
    assert_eq!(root.admin(&format!("users{first}")).await.is(200), json!(all[3..6]));
}

#[tokio::test]
async fn lists_skip_empty_months() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let ann = api.person("ann").await;
    api.server().clock.advance(Duration::from_secs(400 * 24 * 3600));
    let ben = api.person("ben").await;
    let root = root.elsewhere("a year later").await;
    let (users, pages) = root.every("users", "").await;
    assert_eq!(texts(&users, "id"), [&ben, &ann, &root].map(|person| person.id.clone()));
    assert!(pages > 1, "a page looks at a bounded number of months");
    assert_eq!(root.every("chats", "").await.0, [Value::Null; 0]);
    assert_eq!(root.sees(&ann).await["username"], ann.name.as_str());
}

#[tokio::test]
async fn page_costs_do_not_grow_with_the_data() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let proxy = Proxy::start(&api.dynamodb).await;
    let mut costs = Vec::new();
    for _ in 0..2 {
        with_chats(&api, &ann, 120, 10).await;
        for number in 0..12 {
            api.person(&format!("user{number}")).await;
        }
        for (function, path) in [
            ("admin_users", "/api/admin/users?limit=5"),
            ("admin_users", "/api/admin/users?limit=5&q=user"),
            ("admin_chats", "/api/admin/chats?limit=5"),
        ] {
            let lane = proxy.lane();
            let (status, body) = answer(
                &api.function_over(function, &lane),
                function,
                path,
                &root,
                Duration::from_secs(10),
            )
            .await;
            let page: Value = serde_json::from_str(&body.text().await).unwrap();
            assert_eq!((status, page.as_array().unwrap().len()), (200, 5), "{path}: {page}");
            costs.push(lane.calls().len());
        }
    }
    assert_eq!(costs[..3], costs[3..]);
    assert_eq!(
        costs[..3],
        [5, 6, 19],
        "the account, the shards, the items that an index doesn't hold, and the reading"
    );
}

#[tokio::test]
async fn names_and_addresses_are_found_by_prefix_in_any_case() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let somebody = async |name: &str, email: Option<&str>| {
        api.person_with(json!({ "username": name, "email": email, "password": "secret123" }))
            .await
            .id
    };
    let anna = somebody("Anna", Some("anna@example.com")).await;
    let andrew = somebody("andrew", Some("zoe@example.com")).await;
    let ann = somebody("ANN", None).await;
    let zed = somebody("zed", Some("Anders@example.org")).await;
    somebody("ben", Some("ben@example.com")).await;

    let search = async |q: &str| texts(&root.every("users", &format!("?q={q}")).await.0, "id");
    assert_eq!(
        search("an").await,
        [&zed, &andrew, &ann, &anna].map(Clone::clone),
        "by the label, each once"
    );
    assert_eq!(search("AN").await, search("an").await);
    assert_eq!(search("ann").await, [ann.clone(), anna.clone()]);
    assert_eq!(search("anna%40").await, [anna.as_str()]);
    assert_eq!(search("zoe").await, [andrew.as_str()]);
    assert_eq!(search("ZED").await, [zed.as_str()]);
    for nobody in ["xyz", "annas", "%00", "%F4%8F%BF%BF", &"%EF%B7%BA".repeat(254)] {
        assert_eq!(search(nobody).await, [""; 0], "{nobody}");
    }
    root.admin(&format!("users?q={}", "x".repeat(255))).await.expect(400, "invalid_fields");
    // Each user is listed once, except a user who is found by name on one page and by address on
    // another.
    let (found, pages) = root.every("users", "?q=an&limit=1").await;
    assert_eq!(
        (texts(&found, "id").into_iter().collect::<BTreeSet<_>>(), pages),
        (BTreeSet::from([zed, andrew, ann, anna]), 5)
    );
    let own = search(&root.name).await;
    assert_eq!(own, [root.id.as_str()]);
}

#[tokio::test]
async fn users_are_shown_with_balance_holds_sessions_and_keys() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let ann = api.person_at("ann", "ann@example.com").await;
    let there = ann.elsewhere("a phone").await;
    ann.chat("hi").await.is(200);
    ann.makes_a_key("a program").await.is(201);
    ann.holds(&[("crashed", 1), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - 3 * PRICE).await;

    let seen = root.sees(&ann).await;
    let mut expected = ann.profile().await.is(200);
    for own in ["chat_price", "message_limit", "top_up", "instructions"] {
        expected.as_object_mut().unwrap().remove(own);
    }
    let left = GRANT - 2 * PRICE;
    let held = |id: &str, expires: &str, expired: bool| json!({ "id": id, "cost": PRICE, "chat_id": "a-chat", "expires": expires, "expired": expired });
    let mut sessions = ann.sessions("").await.is(200);
    sessions
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|session| drop(session.as_object_mut().unwrap().remove("current")));
    assert_eq!(
        (sessions[0]["id"].as_str(), sessions[1]["id"].as_str()),
        (Some(there.session().as_str()), Some(ann.session().as_str()))
    );
    for (field, value) in [
        ("active", json!(true)),
        ("granted", json!(GRANT)),
        ("spent", json!(PRICE)),
        (
            "reservations",
            json!([
                held("crashed", "1970-01-01T00:00:01.000Z", true),
                held("running", "2106-02-07T06:28:15.000Z", false)
            ]),
        ),
        (
            "free_work",
            json!({ "used": 0, "most": 10_000, "used_by_limited_keys": 0, "most_for_limited_keys": 5000, "locked": false, "limited_keys_locked": false }),
        ),
        ("sessions", sessions),
        ("api_keys", json!(1)),
    ] {
        expected[field] = value;
    }
    assert_eq!(expected["tokens"], left);
    assert_eq!(seen, expected);
    let account = api.account(&ann).await;
    for secret in [&account.password, &account.nonce, &ann.access, &ann.refresh] {
        assert!(!seen.to_string().contains(secret));
    }
}

#[tokio::test]
async fn unknown_user_ids_are_not_found() {
    let api = Api::own(&[]).await;
    let (root, gone) = (api.administrator("root").await, api.person("gone").await);
    gone.deletes_the_account().await.is(202);
    for id in [
        "x",
        "manage",
        "00000000-0000-7000-8000-000000000000",
        "5a2f1c9e-0000-4000-8000-000000000000",
        &gone.id,
    ] {
        root.admin(&format!("users/{id}")).await.expect(404, "not_found");
        root.admin(&format!("users/{id}/ledger")).await.expect(404, "not_found");
        root.patch(&format!("/api/admin/users/{id}"), json!({ "active": "odd" }))
            .await
            .expect(404, "not_found");
        root.post(&format!("/api/admin/users/{id}/adjustments"), json!({ "amount": 0 }))
            .await
            .expect(404, "not_found");
    }
    assert_eq!(root.sees(&root).await["id"], root.id.as_str());
    assert_eq!(
        root.every("users", "").await.0.len(),
        1,
        "an account that was deleted is in no list"
    );
    assert_eq!(root.every("users", &format!("?q={}", gone.name)).await.0.len(), 0);
}

#[tokio::test]
async fn deactivated_users_are_out_until_reactivated() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let key = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    let completion = async || {
        program
            .post(
                "/v1/chat/completions",
                json!({ "messages": [{ "role": "user", "content": "hi" }] }),
            )
            .await
    };
    completion().await.is(200);

    let seen = root.changes(&ann, json!({ "active": false, "reason": " spam " })).await.is(200);
    assert_eq!(
        (&seen["active"], &seen["sessions"], &seen["tokens"]),
        (&json!(false), &json!([]), &json!(GRANT - PRICE))
    );
    ann.is_out().await;
    ann.log_in().await.expect(401, "invalid_credentials");
    completion().await.expect(401, "invalid_token");

    let seen = root.changes(&ann, json!({ "active": true })).await.is(200);
    assert_eq!(seen["active"], true);
    ann.is_out().await;
    ann.elsewhere("a test").await.is_in().await;
    completion().await.is(200);
    let trail = root.trail_of(&ann).await;
    let acts: Vec<_> = trail
        .iter()
        .map(|act| {
            (
                act["act"].as_str().unwrap(),
                act["reason"].as_str().unwrap(),
                act["actor"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(acts, [("activation", "", root.id.as_str()), ("deactivation", "spam", &root.id)]);
    assert_eq!(
        ann.elsewhere("a test")
            .await
            .get("/api/user/ledger")
            .await
            .is(200)
            .as_array()
            .unwrap()
            .len(),
        3,
        "a statement is of tokens alone"
    );
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn role_changes_end_all_sessions_at_once() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    assert_eq!(root.changes(&ann, json!({ "role": "admin" })).await.is(200)["role"], "admin");
    ann.is_out().await;
    let ann = ann.elsewhere("a test").await;
    assert_eq!(ann.sees(&root).await["role"], "admin");
    assert_eq!(
        ann.changes(&root, json!({ "role": "user", "active": false, "reason": "gone" }))
            .await
            .is(200)["is_staff"],
        false
    );
    root.admin("users").await.expect(401, "invalid_token");
    let trail = ann.trail_of(&root).await;
    assert_eq!(
        texts(&trail, "act").into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["deactivation".into(), "role".into()])
    );
    assert!(trail.iter().all(|act| act["reason"] == "gone"
        && act["actor_name"] == ann.name.as_str()
        && act["username"] == root.name.as_str()));
    assert_eq!(trail.iter().find(|act| act["act"] == "role").unwrap()["role"], "user");
}

#[tokio::test]
async fn administrators_neither_deactivate_nor_demote_themselves() {
    let api = Api::own(&[]).await;
    let (root, _) = (api.administrator("root").await, api.administrator("other").await);
    for change in [
        json!({ "active": false }),
        json!({ "role": "user" }),
        json!({ "active": false, "role": "admin" }),
    ] {
        root.changes(&root, change).await.expect(409, "own_standing");
    }
    assert_eq!(
        root.changes(&root, json!({ "active": true, "role": "admin" })).await.is(200)["is_staff"],
        true
    );
    root.is_in().await;
    assert_eq!(root.trail_of(&root).await, [Value::Null; 0]);
}

#[tokio::test]
async fn empty_changes_write_nothing_and_invalid_ones_are_refused() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let before = api.items("").await;
    for same in [
        json!({ "active": true }),
        json!({ "role": "user" }),
        json!({ "active": true, "role": "user", "reason": "x" }),
    ] {
        assert_eq!(root.changes(&ann, same).await.is(200)["active"], true);
    }
    for (bad, field) in [
        (json!({}), "active"),
        (json!({ "reason": "x" }), "active"),
        (json!({ "active": "false" }), "active"),
        (json!({ "active": null, "role": null }), "active"),
        (json!({ "role": "root" }), "role"),
        (json!({ "role": "Admin" }), "role"),
        (json!({ "role": 1 }), "role"),
        (json!({ "active": false, "reason": "two\nlines" }), "reason"),
        (json!({ "active": false, "reason": "x".repeat(201) }), "reason"),
    ] {
        let refused = root.changes(&ann, bad.clone()).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{bad}: {refused}");
    }
    assert_eq!(api.items("").await, before);
    ann.is_in().await;
}

#[tokio::test]
async fn one_of_two_admins_who_demote_each_other_remains() {
    let api = Api::own(&[]).await;
    let (mut one, mut other) = (api.administrator("one").await, api.administrator("other").await);
    for round in 0..50 {
        let change =
            if round % 2 == 0 { json!({ "role": "user" }) } else { json!({ "active": false }) };
        let (first, second) =
            tokio::join!(one.changes(&other, change.clone()), other.changes(&one, change));
        let [first, second] = [first, second].map(|answer| answer.status.as_u16());
        let left = [&one, &other].map(|person| api.account(person));
        let left = join_all(left)
            .await
            .iter()
            .map(shared::values::Account::administers)
            .collect::<Vec<_>>();
        assert_eq!(left.iter().filter(|stays| **stays).count(), 1, "{round}: {first} {second}");
        assert!(
            left[0] == (first == 200)
                && left[1] == (second == 200)
                && [401, 403].contains(&first.max(second)),
            "{round}: {first} {second}"
        );
        let (winner, loser) = if left[0] { (&one, &other) } else { (&other, &one) };
        winner.changes(loser, json!({ "active": true, "role": "admin" })).await.is(200);
        let again = loser.elsewhere("a test").await;
        if left[0] { other = again } else { one = again }
    }
}

#[tokio::test]
async fn the_last_administrators_cannot_delete_their_accounts() {
    let api = Api::own(&[]).await;
    // Like administrators from early releases, these two aren't on the list of administrators.
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let ann = api.person("ann").await;
    ann.deletes_the_account().await.is(202);
    for _ in 0..4 {
        let another = api.person("another").await;
        root.changes(&another, json!({ "role": "admin" })).await.is(200);
        let another = another.elsewhere("a test").await;
        another.deletes_the_account().await.is(202);
    }
    let (one, two) = tokio::join!(root.deletes_the_account(), other.deletes_the_account());
    let (last, refused) = if one.status == 409 { (root, one) } else { (other, two) };
    refused.expect(409, "last_administrator");
    last.is_in().await;
    for _ in 0..2 {
        last.deletes_the_account().await.expect(409, "last_administrator");
    }
    let ben = api.person("ben").await;
    last.changes(&ben, json!({ "role": "admin" })).await.is(200);
    last.changes(&ben, json!({ "active": false })).await.is(200);
    last.deletes_the_account().await.expect(409, "last_administrator");
    last.changes(&ben, json!({ "active": true })).await.is(200);
    last.deletes_the_account().await.is(202);
    assert_eq!(ben.elsewhere("a test").await.every("users", "").await.0.len(), 1);
}

#[tokio::test]
async fn administrators_made_by_command_are_audited() {
    let api = Api::own(&[]).await;
    let (name, clock) = (Username::parse(&unique("root")).unwrap(), api.clock());
    let grant = Credits::ZERO;
    let new = NewAccount {
        name,
        email: None,
        password: "none".into(),
        key: None,
        role: Role::Admin,
        grant,
        reason: "administrator created",
    };
    let account = new.open(&clock);
    assert!(matches!(
        api.store().register(&new, &account, None, None).await,
        Ok(RegisterOutcome::New)
    ));
    let noted = async || {
        api.items("").await["UsersTable"]
            .iter()
            .find(|item| item["pk"] == "admins")
            .cloned()
            .unwrap()["ids"]
            .clone()
    };
    assert_eq!(noted().await, json!([account.id]));
    let (root, ann) = (api.administrator("other").await, api.person("ann").await);
    root.changes(&ann, json!({ "role": "admin" })).await.is(200);
    assert_eq!(
        noted().await.as_array().unwrap().iter().collect::<HashSet<_>>(),
        HashSet::from([&json!(account.id), &json!(ann.id)])
    );
    root.changes(&ann, json!({ "active": false })).await.is(200);
    assert_eq!(noted().await, json!([account.id]));
}

#[tokio::test]
async fn adjustments_appear_in_balance_statement_and_trail() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    let given = root.adjusts(&ann, 500, " for the outage ").await.is(201);
    let left = GRANT - PRICE + 500;
    let fields = [
        "amount",
        "id",
        "reason",
        "remaining_tokens",
        "timestamp",
        "tokens",
        "tokens_left",
        "tokens_remaining",
    ];
    assert_eq!(given.as_object().unwrap().keys().collect::<Vec<_>>(), fields);
    assert_eq!(
        (&given["amount"], &given["reason"], &given["tokens"]),
        (&json!(500), &json!("for the outage"), &json!(left))
    );
    let taken = root.adjusts(&ann, -i64::try_from(left).unwrap(), "a mistake").await.is(201);
    assert_eq!(taken["tokens_left"], 0);
    assert_eq!(ann.balance().await, 0);
    api.adjust(&ann, 1, "by hand").await;

    let statement = ann.get("/api/user/ledger").await.is(200);
    assert_eq!((&statement[1]["id"], &statement[2]["id"]), (&taken["id"], &given["id"]));
    assert_eq!(statement[0]["kind"], "adjustment");
    let trail = root.trail_of(&ann).await;
    assert_eq!(texts(&trail, "actor"), ["manage", &root.id, &root.id]);
    let expected = json!({
        "id": given["id"], "timestamp": given["timestamp"], "act": "adjustment", "user_id": ann.id, "username": ann.name, "actor": root.id,
        "actor_name": root.name, "amount": 500, "role": null, "reason": "for the outage",
    });
    assert_eq!((&trail[2], &trail[0]["actor_name"]), (&expected, &Value::Null));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);

    let whole = root
        .post(
            &format!("/api/admin/users/{}/adjustments", ann.id),
            json!({ "amount": 5.0, "reason": "a whole number" }),
        )
        .await
        .is(201);
    assert_eq!(whole["amount"].to_string(), "5");

    ann.deletes_the_account().await.is(202);
    assert_eq!(root.trail_of(&ann).await[2]["username"], Value::Null, "a deleted user has no name");
}

#[tokio::test]
async fn invalid_adjustments_change_nothing() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let path = format!("/api/admin/users/{}/adjustments", ann.id);
    let before = api.items("").await["LedgerTable"].clone();
    let max = i64::try_from(Credits::MAX.get()).unwrap();
    for (bad, field) in [
        (json!({ "reason": "x" }), "amount"),
        (json!({ "amount": 0, "reason": "x" }), "amount"),
        (json!({ "amount": 1.5, "reason": "x" }), "amount"),
        (json!({ "amount": "5", "reason": "x" }), "amount"),
        (json!({ "amount": max + 1, "reason": "x" }), "amount"),
        (json!({ "amount": 5 }), "reason"),
        (json!({ "amount": 5, "reason": " " }), "reason"),
        (json!({ "amount": 5, "reason": "two\nlines" }), "reason"),
        (json!({ "amount": 5, "reason": "x".repeat(201) }), "reason"),
    ] {
        let refused = root.post(&path, bad.clone()).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{bad}: {refused}");
    }
    root.adjusts(&ann, -4001, "too much").await.expect(409, "balance_too_low");
    root.adjusts(&ann, max, "too much").await.expect(409, "grant_too_large");
    ann.holds(&[("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - PRICE).await;
    root.adjusts(&ann, -4000, "what is held").await.expect(409, "balance_too_low");
    assert_eq!(api.items("").await["LedgerTable"], before);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn keyed_adjustments_happen_once() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let first = root.adjusts_under("k1", &ann, 500).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let first = first.is(201);
    let again = root.adjusts_under("k1", &ann, 500).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(201), first);
    root.adjusts_under("k1", &ann, 501).await.expect(422, "idempotency_key_reused");
    root.adjusts_under("k1", &ben, 500).await.expect(422, "idempotency_key_reused");
    root.adjusts_under("", &ben, 500).await.expect(400, "malformed_request");
    assert_ne!(
        other.adjusts_under("k1", &ann, 500).await.is(201)["id"],
        first["id"],
        "a key is an administrator's own"
    );
    // A refused adjustment can be retried with the same idempotency key.
    root.adjusts_under("k2", &ben, -4100).await.expect(409, "balance_too_low");
    api.adjust(&ben, 100, "more").await;
    root.adjusts_under("k2", &ben, -4100).await.is(201);

    let cat = api.person("cat").await;
    let answers = join_all((0..12).map(|_| root.adjusts_under("k3", &cat, -3000))).await;
    let ids: BTreeSet<String> = answers
        .into_iter()
        .map(|answer| answer.is(201)["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        (ids.len(), cat.balance().await, ann.balance().await, ben.balance().await),
        (1, GRANT - 3000, GRANT + 1000, 0)
    );
    assert_eq!(api.store().audit(&cat.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn answers_are_refunded_once() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let chat = ann.chat("hi").await.is(200)["id"].clone();
    let path = format!("/api/admin/users/{}/adjustments", ann.id);
    let refund = json!({ "chat_id": chat, "reason": "a bad answer" });
    let asking = [&root, &other].repeat(4);
    let answers = join_all(asking.iter().map(|who| who.post(&path, refund.clone()))).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), ann.balance().await), (1, GRANT));
    for answer in refused {
        answer.expect(409, "already_refunded");
    }
    let rows = ann.get("/api/user/ledger").await.is(200);
    let row = ["kind", "amount", "reason", "chat_id"].map(|field| rows[0][field].clone());
    assert_eq!(row, [json!("adjustment"), json!(PRICE), json!("a bad answer"), chat.clone()]);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    // The answer can't be refunded a second time, either with a different idempotency key or after
    // its chat was deleted.
    ann.delete(&format!("/api/chat/{}", chat.as_str().unwrap())).await.is(200);
    api.server().clock.advance(400 * DAY);
    let root = root.elsewhere("a test").await;
    root.post(&path, refund.clone()).await.expect(409, "already_refunded");

    // A retry with the idempotency key gets the row that was written.
    let second = ann.elsewhere("a test").await.chat("hi").await.is(200)["id"].clone();
    let refund = json!({ "chat_id": second, "reason": "a bad answer" });
    let bearer = root.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "r1")];
    let send = || api.send(Method::POST, &path, &headers, Some(refund.clone()));
    let first = send().await.is(201);
    let again = send().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(201)["id"], first["id"]);
    assert_eq!(first["amount"], PRICE);

    let of_ben = format!("/api/admin/users/{}/adjustments", ben.id);
    let grant = json!({ "chat_id": ben.id, "reason": "x" });
    for (path, body, field) in [
        (&of_ben, refund, "chat_id"),
        (&of_ben, grant, "chat_id"),
        (&path, json!({ "chat_id": "x", "reason": "x" }), "chat_id"),
        (&path, json!({ "chat_id": second, "reason": "x", "amount": 5 }), "amount"),
        (&path, json!({ "chat_id": second }), "reason"),
    ] {
        let refused = root.post(path, body).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{refused}");
    }
    assert_eq!(ben.elsewhere("a test").await.balance().await, GRANT);
}

#[tokio::test]
async fn former_administrators_change_nothing() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    without_rights(&root, async |was, refusal| {
        let account = api.account(&ann).await;
        let adjusting = |subject: &Account| {
            let (change, reason) = (BalanceChange::new(5).unwrap(), Reason::parse("x").unwrap());
            Adjustment::new(subject, change, reason, "", &api.clock()).made_by(&was)
        };
        let adjustment = adjusting(&account).unwrap();
        assert_eq!(api.store().adjust(&adjustment, api.now()).await, Err(refusal.clone()));
        let own = adjusting(&api.account(&root).await);
        assert_eq!(own.map(drop), Err(StoreError::Refused(Error::OwnBalance)));
        let change =
            shared::store::StandingChange { active: Some(false), role: None, reason: None };
        assert_eq!(
            api.store().change_standing(&was, &account, &change, &api.clock()).await.map(drop),
            Err(refusal)
        );
    })
    .await;
}

/// Takes away an administrator's role, deactivates the account and ends its sessions, one at a time
/// and directly in the store. After each change, calls `acts` with the expected refusal and with
/// the administrator as an endpoint loaded them before the change. Refused actions change nothing.
pub async fn without_rights(root: &Person, acts: impl AsyncFn(Administrator, StoreError)) {
    let ends = [
        ("role", AttributeValue::S("user".into()), StoreError::Refused(Error::Forbidden)),
        ("active", AttributeValue::Bool(false), StoreError::NotAccepted),
        ("auth_epoch", AttributeValue::N("9".into()), StoreError::NotAccepted),
    ];
    for (attribute, value, refusal) in ends {
        let was = root.elsewhere("a test").await.at_the_door().await;
        root.api.set(root, attribute, value).await;
        let before = root.api.items("").await;
        acts(was, refusal).await;
        assert_eq!(root.api.items("").await, before);
        for (attribute, value) in [
            ("role", AttributeValue::S("admin".into())),
            ("active", AttributeValue::Bool(true)),
            ("auth_epoch", AttributeValue::N("1".into())),
        ] {
            root.api.set(root, attribute, value).await;
        }
    }
}

#[tokio::test]
async fn statements_show_administrators_the_actor_of_each_row() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    for amount in [500, -50] {
        ann.chat("hi").await.is(200);
        root.adjusts(&ann, amount, "=1+1").await.is(201);
    }
    let own = ann.get("/api/user/ledger").await.is(200);
    let list = format!("users/{}/ledger", ann.id);
    let (mut rows, _) = root.every(&list, "").await;
    assert_eq!(
        texts(&rows, "actor"),
        [&root.id, &ann.id, &root.id, &ann.id, &ann.id].map(Clone::clone)
    );
    for limit in [1, 2, 4, 5] {
        assert_eq!(root.every(&list, &format!("?limit={limit}")).await.0, rows);
    }
    rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("actor")));
    assert_eq!(json!(rows), own);

    let csv = root.get_csv(&format!("/api/admin/{list}")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let csv = csv.is(200).as_str().unwrap().to_owned();
    let lines: Vec<&str> = csv.lines().collect();
    let columns = csv_columns(
        "id timestamp kind amount reason chat_id balance actor excerpt key_name model prompt_tokens cached_tokens completion_tokens written_tokens money currency",
    );
    assert_eq!((lines[0], lines.len()), (columns.trim_end(), 6));
    assert!(
        lines[1].ends_with(
            csv_line(&[
                "",
                "adjustment",
                "-50",
                "'=1+1",
                "",
                "4250",
                &root.id,
                "",
                "",
                "",
                "",
                "",
                "",
                "",
                "",
                ""
            ])
            .trim_start_matches('"')
            .trim_end()
        ),
        "{csv}"
    );
    let of_ann = root.admin(&format!("{list}?limit=1")).await.next_page().unwrap();
    root.admin(&format!("users/{}/ledger{of_ann}", root.id)).await.expect(400, "invalid_cursor");
    root.get(&format!("/api/user/ledger{of_ann}")).await.expect(400, "invalid_cursor");
}

#[tokio::test]
async fn administrators_read_statements_of_a_span() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.chat("on the first day").await.is(200);
    let first = Day::from_millis(api.server().clock.millis());
    api.server().clock.advance(2 * DAY);
    let ann = ann.elsewhere("a test").await;
    ann.chat("two days later").await.is(200);
    let root = api.administrator("root").await;
    let ledger = format!("users/{}/ledger", ann.id);
    let excerpts = async |query: &str| {
        let rows = root.every(&ledger, query).await.0;
        rows.iter().map(|row| row["excerpt"].clone()).collect::<Vec<_>>()
    };
    let (later, earlier) = (json!("two days later"), json!("on the first day"));
    let after = first.after(1);
    assert_eq!(excerpts("").await, [later.clone(), earlier.clone(), Value::Null]);
    assert_eq!(excerpts(&format!("?from={after}")).await, [later]);
    for limit in [1, 20] {
        let days = format!("?limit={limit}&from={first}&to={after}");
        assert_eq!(excerpts(&days).await, [earlier.clone(), Value::Null]);
    }
    let days = format!("{ledger}?from={after}&to={first}");
    root.admin(&days).await.expect(400, "invalid_fields");
}

#[tokio::test]
async fn administrators_limit_statements_to_an_api_key() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let key = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    for message in ["one", "two"] {
        ann.chat(message).await.is(200);
        program.post("/v1/chat/completions", asking(message)).await.is(200);
    }
    let ledger = format!("users/{}/ledger", ann.id);
    let of_key = format!("?key={}", key["id"].as_str().unwrap());
    for limit in [1, 20] {
        let (rows, _) = root.every(&ledger, &format!("{of_key}&limit={limit}")).await;
        assert_eq!(texts(&rows, "key_name"), ["a program", "a program"]);
        let balances: Vec<_> = rows.iter().map(|row| row["balance"].as_u64().unwrap()).collect();
        assert_eq!(balances, [GRANT - 4 * PRICE, GRANT - 2 * PRICE]);
    }
    // Without a price list, rows have no model.
    assert_eq!(root.admin(&format!("{ledger}?model=scripted")).await.is(200), json!([]));
    root.admin(&format!("{ledger}?key=program")).await.expect(400, "invalid_fields");
    let next = root.admin(&format!("{ledger}{of_key}&limit=1")).await.next_page().unwrap();
    let other = next.replace(&of_key.replace('?', ""), "key=");
    root.admin(&format!("{ledger}{other}")).await.expect(400, "invalid_cursor");
}

#[tokio::test]
async fn chats_of_all_users_or_of_one_are_newest_first() {
    let api = Api::with_clock(in_the_first_month(), &[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let mut expected = Vec::new();
    for number in 0..5 {
        let who = if number % 2 == 0 { &ann } else { &ben };
        let mut chat = who.chat(&format!("message {number}")).await.is(200);
        for field in
            ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining", "chat_id", "user"]
        {
            chat.as_object_mut().unwrap().remove(field);
        }
        (chat["user_id"], chat["username"]) = (json!(who.id), json!(who.name));
        expected.insert(0, chat);
    }
    assert_eq!(root.every("chats", "").await, (expected.clone(), 1));
    for (limit, pages) in [(1, 5), (2, 3), (5, 1)] {
        assert_eq!(
            root.every("chats", &format!("?limit={limit}")).await,
            (expected.clone(), pages),
            "{limit}"
        );
    }
    let of = |who: &Person| {
        expected
            .iter()
            .filter(|chat| chat["user_id"] == who.id.as_str())
            .cloned()
            .collect::<Vec<_>>()
    };
    for limit in [1, 2, 100] {
        assert_eq!(
            root.every("chats", &format!("?user_id={}&limit={limit}", ben.id)).await.0,
            of(&ben)
        );
    }
    assert_eq!(root.every("chats", &format!("?user_id={}", root.id)).await.0, [Value::Null; 0]);
    root.admin("chats?user_id=ann").await.expect(400, "invalid_fields");
    let of_all = root.admin("chats?limit=1").await.next_page().unwrap();
    root.admin(&format!("chats{of_all}&user_id={}", ann.id)).await.expect(400, "invalid_cursor");

    ann.delete(&format!("/api/chat/{}", expected[0]["id"].as_str().unwrap())).await.is(200);
    assert_eq!(root.every("chats", "").await.0, expected[1..]);
}

#[tokio::test]
async fn pages_of_long_chats_end_near_a_megabyte() {
    let api = Api::with_clock(in_the_first_month(), &[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    with_chats(&api, &ann, 60, 60_000).await;
    for query in ["?limit=100", &format!("?limit=100&user_id={}", ann.id)] {
        let first = root.admin(&format!("chats{query}")).await;
        assert!(
            first.body.to_string().len() < 1_200_000 && first.next_page().is_some(),
            "{}",
            first.body.to_string().len()
        );
        let (all, pages) = root.every("chats", query).await;
        assert_eq!((texts(&all, "id").into_iter().collect::<BTreeSet<_>>().len(), pages), (60, 4));
        assert!(texts(&all, "id").is_sorted_by(|one, other| one > other));
    }
}

#[tokio::test]
async fn cursors_are_bound_to_their_list_and_administrator() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    for amount in [1, 2] {
        root.adjusts(&other, amount, "x").await.is(201);
        root.chat("hi").await.is(200);
    }
    let cursor = async |path: &str| {
        root.admin(path)
            .await
            .next_page()
            .unwrap_or_else(|| panic!("{path}"))
            .split_once("cursor=")
            .unwrap()
            .1
            .to_owned()
    };
    let paths = ["users", "users?q=o", "chats", "trail"];
    let mut cursors = Vec::new();
    for path in ["users?limit=1", "users?limit=1&q=o", "chats?limit=1", "trail?limit=1"] {
        // Only one name begins with an "o", so this search has no second page.
        cursors.push(if path.contains("q=") { None } else { Some(cursor(path).await) });
    }
    for (path, at) in paths.iter().zip(0..) {
        let and = if path.contains('?') { '&' } else { '?' };
        for (cursor, of) in cursors.iter().zip(0..) {
            let Some(cursor) = cursor else { continue };
            let answer = root.admin(&format!("{path}{and}cursor={cursor}")).await;
            if at == of {
                drop(answer.is(200))
            } else {
                drop(answer.expect(400, "invalid_cursor"))
            }
            other.admin(&format!("{path}{and}cursor={cursor}")).await.expect(400, "invalid_cursor");
        }
        for forged in
            ["AAAA", "not!base64", "%00", &"A".repeat(2000), &"A".repeat(1300), &"A".repeat(40)]
        {
            root.admin(&format!("{path}{and}cursor={forged}")).await.expect(400, "invalid_cursor");
        }
        for limit in ["0", "101", "x"] {
            root.admin(&format!("{path}{and}limit={limit}")).await.expect(400, "invalid_fields");
        }
    }
}

#[tokio::test]
async fn figures_have_daily_counts_and_totals() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    ann.chat("!fail").await.expect(502, "ai_failed");
    root.adjusts(&ann, 500, "x").await.is(201);
    root.adjusts(&ann, -20, "x").await.is(201);
    let today = Day::from_millis(api.server().clock.millis());
    let usual = root.admin("figures").await.is(200);
    let days = usual["days"].as_array().unwrap();
    assert_eq!((days.len(), &days[0]["day"]), (30, &json!(today.before(29).to_string())));
    let counted = json!({ "day": today, "users": 2, "chats": 1, "granted": 2 * GRANT + 480, "spent": PRICE, "closed": false });
    assert_eq!(days[29], counted);
    assert_eq!(
        usual["totals"],
        json!({ "users": 2, "chats": 1, "granted": 2 * GRANT + 480, "spent": PRICE })
    );
    assert!(
        days[..29]
            .iter()
            .all(|day| day["users"] == 0 && day["granted"] == 0 && day["closed"] == true)
    );

    // Continue on the next day.
    api.server().clock.advance(Duration::from_secs(24 * 3600));
    let root = root.elsewhere("a test").await;
    ann.elsewhere("a test").await.chat("hi").await.is(200);
    let range = format!("figures?from={today}&to={}", today.after(2));
    let both = root.admin(&range).await.is(200);
    let of = |day: &Value| {
        ["users", "chats", "granted", "spent"].map(|field| day[field].as_i64().unwrap())
    };
    let (all, price) = (i64::try_from(2 * GRANT + 480).unwrap(), i64::try_from(PRICE).unwrap());
    assert_eq!(
        [0, 1, 2].map(|at| of(&both["days"][at])),
        [[2, 1, all, price], [0, 1, 0, price], [0; 4]]
    );
    assert_eq!(
        (of(&both["totals"]), &both["days"][2]["closed"]),
        ([2, 2, all, 2 * price], &json!(false))
    );
    for bad in [
        format!("from={}&to={today}", today.after(1)),
        format!("from={}&to={today}", today.before(366)),
        format!("from={}", today.after(9)),
        "from=yesterday".into(),
        "to=2026-02-30".into(),
    ] {
        root.admin(&format!("figures?{bad}")).await.expect(400, "invalid_fields");
    }
    assert_eq!(
        root.admin(&format!("figures?from={}&to={today}", today.before(365))).await.is(200)["days"]
            .as_array()
            .unwrap()
            .len(),
        366
    );
    assert_eq!(
        root.admin("figures?from=1970-01-01&to=1970-01-02").await.is(200)["totals"],
        json!({ "users": 0, "chats": 0, "granted": 0, "spent": 0 })
    );
}

#[tokio::test]
async fn closed_days_are_counted_once() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    let today = Day::from_millis(api.server().clock.millis());
    let path = format!("/api/admin/figures?from={today}&to={today}");
    let proxy = Proxy::start(&api.dynamodb).await;
    let mut root = root;
    // Request the figures shortly after the day's end, half an hour later, and a day later.
    let until = (today.after(1).begins() - api.server().clock.millis()) / 1000;
    for (seconds, queries) in [(0, 9), (until + 60, 9), (1800, 9), (0, 0), (24 * 3600, 0)] {
        api.server().clock.advance(Duration::from_secs(seconds));
        root = root.elsewhere("a test").await;
        let lane = proxy.lane();
        let (status, body) =
            answer(&api.function_over("admin_figures", &lane), "admin_figures", &path, &root, TIME)
                .await;
        let figures: Value = serde_json::from_str(&body.text().await).unwrap();
        assert_eq!((status, &figures["days"][0]["chats"]), (200, &json!(1)), "{figures}");
        assert_eq!(
            lane.calls().iter().filter(|call| call.operation == "Query").count(),
            queries,
            "{seconds}: {:?}",
            lane.calls()
        );
        assert_eq!(lane.weak_reads(), [""; 0]);
    }
    let kept = api.items("").await["TokensTable"]
        .iter()
        .find(|item| item["pk"] == format!("figures:{today}"))
        .cloned();
    assert_eq!(
        kept,
        Some(
            json!({ "pk": format!("figures:{today}"), "users": 2, "chats": 1, "granted": 2 * GRANT, "spent": PRICE })
        )
    );
}

#[tokio::test]
async fn slow_figures_ask_for_a_retry_and_continue() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    api.server().clock.advance(Duration::from_secs(3 * 24 * 3600));
    let root = root.elsewhere("a test").await;
    let function = &api.server().functions["admin_figures"];
    let path = "/api/admin/figures";
    let (status, body) =
        answer(function, "admin_figures", path, &root, Duration::from_secs(4)).await;
    let refused: Value = serde_json::from_str(&body.text().await).unwrap();
    assert_eq!((status, &refused["code"]), (503, &json!("unavailable")));
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // If the store fails halfway, the figures of the days that were already counted are kept.
    lane.strike(Some(Plan {
        at: FaultPoint::Operation("Query", 60),
        fault: Fault::Fail500Before,
        strikes: FaultRepeat::FromThenOn,
    }));
    assert_eq!(
        answer(&api.function_over("admin_figures", &lane), "admin_figures", path, &root, TIME)
            .await
            .0,
        503
    );
    let kept = api.items("").await["TokensTable"]
        .iter()
        .filter(|item| item["pk"].as_str().unwrap().starts_with("figures:"))
        .count();
    assert!(kept >= 2, "{kept}");
    assert_eq!(answer(function, "admin_figures", path, &root, TIME).await.0, 200);
}

/// The string in a field of a reply.
fn text(reply: &Value, field: &str) -> String {
    reply[field].as_str().unwrap().to_owned()
}

/// The expected export of a test's two users.
async fn exported_users(root: &Person, ann: &Person) -> String {
    let joined = text(&root.sees(root).await, "date_joined");
    let columns = "id username email role is_staff active date_joined tokens spent last_message";
    let of_root =
        csv_line(&[&root.id, &root.name, "", "admin", "true", "true", &joined, "4000", "0", ""]);
    let (id, email) = (ann.id.as_str(), "ann@example.com");
    let joined = text(&root.sees(ann).await, "date_joined");
    let last = text(&root.admin("users?details=true&q=ann").await.is(200)[0], "last_message");
    let of_ann =
        csv_line(&[id, "ann", email, "user", "false", "false", &joined, "3895", "100", &last]);
    [csv_columns(columns), of_root, of_ann].concat()
}

/// The expected export of Ann's only chat, whose message begins like a formula.
fn exported_chats(ann: &Person, chat: &Value) -> String {
    let [id, response, model, time] =
        ["id", "response", "model", "timestamp"].map(|field| text(chat, field));
    let (message, response) = ("'=1+1,\n\"\"quoted\"\"", response.replace('"', "\"\""));
    [
        csv_columns(
            "id user_id username conversation_id message response model tokens_deducted timestamp",
        ),
        csv_line(&[&id, &ann.id, "ann", &id, message, &response, &model, "100", &time]),
    ]
    .concat()
}

/// The expected export of the ledger: the grants of two users, Ann's chat, and an adjustment of her
/// balance.
async fn exported_ledger(root: &Person, ann: &Person, chat: &Value, adjusted: &Value) -> String {
    let (ann_id, root_id) = (ann.id.as_str(), root.id.as_str());
    let [chat, time] = ["id", "timestamp"].map(|field| text(chat, field));
    let [adjustment, adjusted] = ["id", "timestamp"].map(|field| text(adjusted, field));
    let mut lines = vec![csv_columns("id timestamp user_id kind amount reason chat_id actor")];
    for user in [root, ann] {
        let (id, joined) = (user.id.as_str(), text(&root.sees(user).await, "date_joined"));
        lines.push(csv_line(&[id, &joined, id, "grant", "4000", "registration", "", id]));
    }
    lines.extend([
        csv_line(&[&chat, &time, ann_id, "chat", "-100", "chat", &chat, ann_id]),
        csv_line(&[&adjustment, &adjusted, ann_id, "adjustment", "-5", "'@a", "", root_id]),
    ]);
    lines.concat()
}

#[tokio::test]
async fn exports_have_all_items_of_their_days_oldest_first() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let ann = api.person_at("ann", "ann@example.com").await;
    let chat = ann.chat("=1+1,\n\"quoted\"").await.is(200);
    let adjusted = root.adjusts(&ann, -5, "@a").await.is(201);
    root.changes(&ann, json!({ "active": false })).await.is(200);
    let today = Day::from_millis(api.server().clock.millis());
    let yesterday = today.before(1);
    for (list, expected) in [
        ("users.csv", exported_users(&root, &ann).await),
        ("chats.csv", exported_chats(&ann, &chat)),
        ("ledger.csv", exported_ledger(&root, &ann, &chat, &adjusted).await),
    ] {
        assert_eq!(root.exports(list, "").await, expected);
        assert_eq!(root.exports(list, &format!("?from={today}&to={today}")).await, expected);
        let columns = format!("{}\r\n", expected.lines().next().unwrap());
        let before = root.exports(list, &format!("?to={yesterday}")).await;
        assert_eq!(before, columns, "nothing but the columns");
        let before = root.exports(list, "?to=1999-12-31").await;
        assert_eq!(before, columns, "nothing was there yet");
        for query in [format!("?from={today}&to={yesterday}"), "?from=x".to_owned()] {
            let refused = root.admin(&format!("export/{list}{query}")).await;
            refused.expect(400, "invalid_fields");
        }
    }
    for list in ["users", "keys.csv", "users.json", "Users.csv"] {
        root.admin(&format!("export/{list}")).await.expect(404, "not_found");
    }
}

#[tokio::test]
async fn exports_of_many_pages_have_each_item_once() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    with_chats(&api, &ann, 330, 10).await;
    let file = root.admin("export/chats.csv").await.is(200);
    let ids: Vec<&str> = file
        .as_str()
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(ids.len(), 330);
    assert!(ids.is_sorted_by(|one, other| one < other), "each once, oldest first");
}

#[tokio::test]
async fn truncated_exports_lack_their_end() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    with_chats(&api, &ann, 60, 10).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let app = |lane: &Lane| api.function_over("admin_export", lane);
    let path = "/api/admin/export/chats.csv";
    let whole = answer(&app(&proxy.lane()), "admin_export", path, &root, Duration::from_secs(300))
        .await
        .1
        .text()
        .await;
    assert!(whole.ends_with("\r\n") && whole.lines().count() == 61);
    let lane = proxy.lane();
    lane.strike(Some(Plan {
        at: FaultPoint::Operation("BatchGetItem", 2),
        fault: Fault::Fail500Before,
        strikes: FaultRepeat::EachAttempt,
    }));
    let (status, body) =
        answer(&app(&lane), "admin_export", path, &root, Duration::from_secs(300)).await;
    let cut = body.text().await;
    assert!(
        status == 200 && whole.starts_with(&cut) && cut.len() < whole.len() && !cut.ends_with('\n'),
        "{cut}"
    );

    // An administrator who loses the role during an export doesn't get the end of the file.
    let (_, body) =
        answer(&app(&proxy.lane()), "admin_export", path, &root, Duration::from_secs(300)).await;
    let Body::Pieces(mut pieces) = body else { panic!("no stream") };
    let first = pieces.next().await.unwrap().unwrap();
    api.set(&root, "role", AttributeValue::S("user".into())).await;
    let rest = Body::Pieces(pieces).text().await;
    assert_eq!(format!("{first}{rest}\r\n"), whole);
}
