//! Shared chats: `POST /api/user/shares`, `GET /api/user/shares`, `DELETE /api/user/shares/{id}`,
//! `GET /s/{link}`, `GET /api/shares/{link}`, `POST /api/shares/{link}/reports`,
//! `GET /api/admin/shares`, `DELETE /api/admin/shares/{id}`,
//! `DELETE /api/admin/shares/{id}/reports/{report}`.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::http::Body;
use shared::store::Difference;
use shared::values::{Chat, ParentChat, REPORTS_AN_HOUR, SHARES, SHARES_AN_HOUR, ShareLink};

use crate::support::client::{Answer, Api, DAY, Person};
use crate::support::function::{event, invoke};
use crate::support::log;
use crate::support::world::{put, scan};

const PATH: &str = "/api/user/shares/";
const REPORTED: &str = "/api/admin/shares/";
const TOKENS: &str = "TokensTable";
const CHATS: &str = "ChatsTable";

/// Fields that only the author may see, as they appear in the JSON of other endpoints.
const PRIVATE: [&str; 12] = [
    "id",
    "user_id",
    "chat_id",
    "conversation_id",
    "link",
    "email",
    "instructions",
    "cost",
    "tokens",
    "tokens_left",
    "usage",
    "receipt",
];

impl Person {
    async fn sends_in(
        &self,
        message: &str,
        conversation: Option<&str>,
        after: Option<&str>,
    ) -> String {
        let body = json!({ "message": message, "conversation_id": conversation, "after": after });
        id(&self.post("/api/chat/", body).await.is(200))
    }

    async fn shares(&self, conversation: &str, more: Value) -> Answer {
        let mut body = json!({ "conversation_id": conversation });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(PATH, body).await
    }

    /// Shares a new chat with this message.
    async fn shares_a_chat(&self, message: &str) -> Value {
        let conversation = self.sends_in(message, None, None).await;
        self.shares(&conversation, json!({})).await.is(201)
    }

    async fn has_shares(&self, count: usize) {
        assert_eq!(self.get(PATH).await.is(200).as_array().unwrap().len(), count);
    }
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

async fn opens(api: &Api, share: &Value) -> Answer {
    api.get(&format!("/api/shares/{}", share["link"].as_str().unwrap())).await
}

async fn report(api: &Api, share: &Value, reason: &str) -> Answer {
    let path = format!("/api/shares/{}/reports", share["link"].as_str().unwrap());
    api.post(&path, json!({ "reason": reason })).await
}

fn messages(shared: &Value) -> Vec<&str> {
    let messages = shared["messages"].as_array().unwrap();
    messages.iter().map(|message| message["message"].as_str().unwrap()).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| [key.clone()].into_iter().chain(keys(value)))
            .collect(),
        Value::Array(all) => all.iter().flat_map(keys).collect(),
        _ => BTreeSet::new(),
    }
}

/// Returns the pks of all items of shared chats and reports.
async fn stored(api: &Api) -> Vec<String> {
    let items: Vec<Value> = scan(&api.dynamodb, TOKENS).await;
    let keys = items.iter().map(|item| item["pk"].as_str().unwrap().to_owned());
    keys.filter(|key| key.starts_with("share:") || key.starts_with("report:")).collect()
}

async fn is_consistent(api: &Api) {
    assert_eq!(api.store().audit_sources(None).await.unwrap(), (vec![], None));
}

#[tokio::test]
async fn shared_chats_need_no_session_and_show_nothing_private() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let conversation = ann.sends_in("hi", None, None).await;
    let instructions = json!({ "instructions": "Answer in secret." });
    ann.patch(&format!("/api/conversations/{conversation}/"), instructions).await.is(200);
    ann.sends_in("more", Some(&conversation), None).await;
    let share = ann.shares(&conversation, json!({})).await.is(201);

    let reply = opens(&api, &share).await;
    assert_eq!(reply.header("cache-control"), "public, max-age=60, must-revalidate");
    assert_eq!(reply.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    let shown = reply.is(200);
    assert_eq!((&shown["title"], messages(&shown)), (&json!("hi"), vec!["hi", "more"]));
    assert_eq!(shown["author"], Value::Null);
    let expected =
        ["answer", "author", "message", "messages", "model", "shared", "title"].map(str::to_owned);
    assert_eq!(keys(&shown), BTreeSet::from(expected));
    assert!(PRIVATE.iter().all(|field| !keys(&shown).contains(*field)));
    let text = shown.to_string();
    for private in [&ann.id, &ann.name, &conversation, "secret"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    is_consistent(&api).await;

    let named = ann.shares(&conversation, json!({ "show_author": true })).await.is(201);
    assert_eq!(opens(&api, &named).await.is(200)["author"], ann.name.as_str());
    assert_ne!(named["link"], share["link"]);
}

#[tokio::test]
async fn shared_chats_are_copies_of_a_branch() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let first = ann.sends_in("one", None, None).await;
    let second = ann.sends_in("two", Some(&first), None).await;
    let other = ann.sends_in("two, edited", Some(&first), Some(&first)).await;
    let newest = ann.shares(&first, json!({})).await.is(201);
    let older = ann.shares(&first, json!({ "last_message_id": second })).await.is(201);
    let beginning = ann.shares(&first, json!({ "last_message_id": first })).await.is(201);
    let shown = async |share: &Value| opens(&api, share).await.is(200);

    ann.sends_in("three", Some(&first), Some(&other)).await;
    ann.patch(&format!("/api/conversations/{first}/"), json!({ "title": "Changed" })).await.is(200);
    for (share, expected) in [
        (&newest, vec!["one", "two, edited"]),
        (&older, vec!["one", "two"]),
        (&beginning, vec!["one"]),
    ] {
        let shown = shown(share).await;
        assert_eq!((messages(&shown), &shown["title"]), (expected, &json!("one")));
    }
    let before = shown(&newest).await;
    ann.delete(&format!("/api/conversations/{first}/")).await.is(202);
    assert_eq!(shown(&newest).await, before);
    ann.has_shares(3).await;
    ann.shares(&first, json!({})).await.expect(404, "not_found");
}

#[tokio::test]
async fn copies_without_the_first_message_do_not_show_its_title() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let first = ann.sends_in("My password is heron. Explain hashing.", None, None).await;
    ann.sends_in("Explain hashing.", Some(&first), Some("start")).await;
    let shared = ann.shares(&first, json!({})).await.is(201);
    let shown = opens(&api, &shared).await.is(200);
    assert_eq!((messages(&shown), &shown["title"]), (vec!["Explain hashing."], &shared["title"]));
    assert!(!shown.to_string().contains("heron") && !shared.to_string().contains("heron"));
}

#[tokio::test]
async fn ended_shares_are_gone_at_once() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let (kept, ended) = (ann.shares_a_chat("kept").await, ann.shares_a_chat("ended").await);
    report(&api, &ended, "It is wrong.").await.is(202);
    let path = format!("{PATH}{}", id(&ended));
    ben.delete(&path).await.expect(404, "no_such_share");
    opens(&api, &ended).await.is(200);
    ann.delete(&path).await.is(200);
    let gone = opens(&api, &ended).await;
    assert_eq!(gone.header("cache-control"), "no-store");
    gone.expect(404, "no_such_share");
    ann.delete(&path).await.expect(404, "no_such_share");
    report(&api, &ended, "It is wrong.").await.expect(404, "no_such_share");
    opens(&api, &kept).await.is(200);
    assert!(stored(&api).await.iter().all(|key| key.contains(&id(&kept))));
    is_consistent(&api).await;
}

#[tokio::test]
async fn hostile_links_and_ids_open_nothing() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let share = ann.shares_a_chat("hi").await;
    let link = share["link"].as_str().unwrap();
    let unknown = ShareLink::random().unwrap().text();
    let upper = link.to_uppercase().replace(|symbol: char| symbol.is_ascii_digit(), "A");
    let long = "a".repeat(5000);
    for wrong in [
        &unknown,
        &upper,
        &long,
        &link[1..],
        &format!("{link}0"),
        &id(&share),
        &format!("{}%230", id(&share)),
        "%00",
        "..%2f..%2fetc",
        "%F0%9F%98%80",
        "'%20OR%201=1",
    ] {
        api.get(&format!("/api/shares/{wrong}")).await.expect(404, "no_such_share");
        let body = json!({ "reason": "no" });
        api.post(&format!("/api/shares/{wrong}/reports"), body).await.expect(404, "no_such_share");
    }
    for wrong in ["x", "%00", &format!("{}%230", id(&share)), link] {
        ann.delete(&format!("{PATH}{wrong}")).await.expect(404, "no_such_share");
    }
    for (body, field) in [
        (json!({}), "conversation_id"),
        (json!({ "conversation_id": "x" }), "conversation_id"),
        (json!({ "conversation_id": ann.id, "last_message_id": "x" }), "last_message_id"),
    ] {
        let refused = ann.post(PATH, body).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{refused}");
    }
    let foreign = api.person("ben").await;
    let conversation = share["conversation_id"].as_str().unwrap();
    foreign.shares(conversation, json!({})).await.expect(404, "not_found");
    ann.shares(conversation, json!({ "last_message_id": ann.id })).await.expect(404, "not_found");
    api.get(PATH).await.expect(401, "not_authenticated");
}

#[tokio::test]
async fn deleted_and_deactivated_accounts_share_nothing() {
    let api = Api::own(&[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let (of_ann, of_ben) = (ann.shares_a_chat("a").await, ben.shares_a_chat("b").await);
    let user = format!("/api/admin/users/{}/", ben.id);
    root.patch(&user, json!({ "active": false })).await.is(200);
    opens(&api, &of_ben).await.expect(404, "no_such_share");
    report(&api, &of_ben, "bad").await.expect(404, "no_such_share");
    root.patch(&user, json!({ "active": true })).await.is(200);
    opens(&api, &of_ben).await.is(200);

    ann.deletes_the_account().await.is(202);
    opens(&api, &of_ann).await.expect(404, "no_such_share");
    report(&api, &of_ann, "bad").await.expect(404, "no_such_share");
    assert_eq!(root.get(REPORTED).await.is(200), json!([]));
    let erase = &api.server().apps["erase"];
    let time = functions::background::erase::TIME;
    erase.store.erase(erase.clock.seconds(), time).await.unwrap();
    let left: Vec<Value> = scan(&api.dynamodb, TOKENS).await;
    assert!(left.iter().all(|item| item["user_id"] != ann.id.as_str()), "{left:?}");
    assert!(stored(&api).await.iter().all(|key| key.contains(&id(&of_ben))));
    is_consistent(&api).await;
}

#[tokio::test]
async fn an_account_has_a_limited_number_of_shares() {
    let api = Api::at_an_hour(&[]).await;
    let ann = api.person("ann").await;
    // The access token expires while the test moves the clock.
    let ann = ann.using(&ann.token);
    let conversation = ann.sends_in("hi", None, None).await;
    let share = async || ann.shares(&conversation, json!({})).await;
    for _ in 0..SHARES_AN_HOUR {
        share().await.is(201);
    }
    share().await.expect(429, "too_many_shares_now");
    for _ in 0..2 {
        api.server().clock.advance(Duration::from_secs(3600));
        let replies = join_all((0..SHARES_AN_HOUR).map(|_| share())).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        assert!(
            made > 0 && replies.iter().all(|reply| [201, 409].contains(&reply.status.as_u16()))
        );
    }
    ann.has_shares(SHARES as usize).await;
    api.server().clock.advance(Duration::from_secs(3600));
    // Refused requests don't count.
    for _ in 0..=SHARES_AN_HOUR {
        share().await.expect(409, "too_many_shares");
        ann.shares(&ann.id, json!({})).await.expect(404, "not_found");
    }
    let first = ann.get(PATH).await.is(200)[0].clone();
    ann.delete(&format!("{PATH}{}", id(&first))).await.is(200);
    share().await.is(201);
    is_consistent(&api).await;
}

#[tokio::test]
async fn long_chats_are_shared_in_parts_or_refused() {
    let api = Api::own(&[("AI_MAX_TOKENS", "65536"), ("FIRST_GRANT", "100000")]).await;
    let ann = api.person("ann").await;
    let long = "\u{20ac}".repeat(7900);
    let first = ann.sends_in(&long, None, None).await;
    let mut parted = false;
    for number in 1.. {
        let message = ann.sends_in(&long, Some(&first), None).await;
        // The account may share 20 chats an hour.
        if number % 4 != 0 {
            continue;
        }
        let reply = ann.shares(&first, json!({ "last_message_id": message })).await;
        if reply.status == 409 {
            reply.expect(409, "share_too_long");
            break;
        }
        let share = reply.is(201);
        let shown = opens(&api, &share).await.is(200);
        assert_eq!(json!(messages(&shown).len()), share["messages"]);
        parted |= stored(&api).await.contains(&format!("share:{}#1", id(&share)));
        ann.delete(&format!("{PATH}{}", id(&share))).await.is(200);
    }
    assert!(parted);
    assert_eq!(stored(&api).await, Vec::<String>::new());
}

#[tokio::test]
async fn reports_reach_administrators_who_end_shares() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let (bad, good) = (ann.shares_a_chat("bad").await, ann.shares_a_chat("good").await);
    report(&api, &bad, "It contains my address.").await.is(202);
    report(&api, &good, "I don't like it.").await.is(202);
    report(&api, &good, " ").await.expect(400, "invalid_fields");
    ann.get(REPORTED).await.expect(403, "forbidden");
    api.get(REPORTED).await.expect(401, "not_authenticated");

    let reports = root.get(REPORTED).await.is(200);
    let reasons: Vec<&Value> =
        reports.as_array().unwrap().iter().map(|report| &report["reason"]).collect();
    assert_eq!(reasons, ["I don't like it.", "It contains my address."]);
    assert_eq!((&reports[1]["title"], &reports[1]["link"]), (&json!("bad"), &bad["link"]));
    assert_eq!(reports[1]["user_id"], ann.id.as_str());

    let dismiss = format!("{REPORTED}{}/reports/{}", id(&good), id(&reports[0]));
    ann.delete(&dismiss).await.expect(403, "forbidden");
    let reason = json!({ "reason": "a matter of taste" });
    root.send(Method::DELETE, &dismiss, &[], Some(reason)).await.is(200);
    root.delete(&dismiss).await.expect(404, "not_found");
    opens(&api, &good).await.is(200);
    assert_eq!(dismissals(&root).await, [[json!("a matter of taste"), json!(ann.id)]]);

    let end = format!("{REPORTED}{}", id(&bad));
    let reason = json!({ "reason": "a private address" });
    ann.send(Method::DELETE, &end, &[], Some(reason.clone())).await.expect(403, "forbidden");
    root.send(Method::DELETE, &end, &[], Some(reason)).await.is(200);
    opens(&api, &bad).await.expect(404, "no_such_share");
    root.delete(&end).await.expect(404, "no_such_share");
    ann.has_shares(1).await;
    assert_eq!(root.get(REPORTED).await.is(200), json!([]));
    let trail = root.get("/api/admin/trail?act=share").await.is(200);
    assert_eq!(
        (trail[0]["reason"].as_str(), &trail[0]["user_id"]),
        (Some("a private address"), &json!(ann.id))
    );
    is_consistent(&api).await;

    let own = root.shares_a_chat("mine").await;
    root.delete(&format!("{REPORTED}{}", id(&own))).await.expect(409, "own_account");
}

/// Returns the reason and the affected user of each dismissed report, newest first.
async fn dismissals(root: &Person) -> Vec<[Value; 2]> {
    let trail = root.get("/api/admin/trail?act=report_dismissal").await.is(200);
    let row = |row: &Value| ["reason", "user_id"].map(|name| row[name].clone());
    trail.as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn every_dismissal_of_a_report_is_on_the_trail() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let (own, gone) = (root.shares_a_chat("mine").await, ann.shares_a_chat("gone").await);
    report(&api, &own, "bad").await.is(202);
    report(&api, &gone, "bad").await.is(202);
    // An erased account leaves the reports about its shared chats.
    root.delete(&format!("/api/admin/users/{}", ann.id)).await.is(202);
    let erase = &api.server().apps["erase"];
    let time = functions::background::erase::TIME;
    erase.store.erase(erase.clock.seconds(), time).await.unwrap();

    let reports = root.get(REPORTED).await.is(200);
    assert_eq!(reports[0]["link"], Value::Null);
    for reported in reports.as_array().unwrap().iter().rev() {
        let share = reported["share_id"].as_str().unwrap();
        let dismiss = format!("{REPORTED}{share}/reports/{}", id(reported));
        root.delete(&dismiss).await.is(200);
    }
    assert_eq!(root.get(REPORTED).await.is(200), json!([]));
    let by_root = [json!(""), json!(root.id)];
    assert_eq!(dismissals(&root).await, [[json!(""), Value::Null], by_root]);
}

#[tokio::test]
async fn reports_are_limited() {
    let api = Api::at_an_hour(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let root = root.using(&root.token);
    let share = ann.shares_a_chat("hi").await;
    for _ in 0..2 {
        for _ in 0..REPORTS_AN_HOUR {
            report(&api, &share, "bad").await.is(202);
        }
        report(&api, &share, "bad").await.expect(429, "too_many_reports");
        api.server().clock.advance(Duration::from_secs(3600));
    }
    // Only the first ten reports are stored.
    let reports = root.get(&format!("{REPORTED}?limit=100")).await.is(200);
    assert_eq!(reports.as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn expired_reports_make_room_for_new_ones() {
    let api = Api::at_an_hour(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let share = ann.shares_a_chat("hi").await;
    for _ in 0..REPORTS_AN_HOUR {
        report(&api, &share, "old").await.is(202);
    }
    api.server().clock.advance(DAY * 90);
    let (root, ann) = (root.elsewhere("later").await, ann.elsewhere("later").await);
    assert_eq!(root.get(REPORTED).await.is(200), json!([]), "DynamoDB is late");
    for reason in ["new", "newer"] {
        report(&api, &share, reason).await.is(202);
    }
    let reports = root.get(REPORTED).await.is(200);
    let reasons: Vec<&Value> =
        reports.as_array().unwrap().iter().map(|report| &report["reason"]).collect();
    assert_eq!(reasons, ["newer", "new"]);
    ann.delete(&format!("{PATH}{}", id(&share))).await.is(200);
    assert_eq!(root.get(REPORTED).await.is(200), json!([]));
    is_consistent(&api).await;
}

#[tokio::test]
async fn parallel_ends_reports_and_new_shares_leave_nothing_behind() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    for _ in 0..2 {
        let share = ann.shares_a_chat("hi").await;
        let (own, end) = (format!("{PATH}{}", id(&share)), format!("{REPORTED}{}", id(&share)));
        let (by_ann, by_root, reports, _) = tokio::join!(
            ann.delete(&own),
            root.delete(&end),
            join_all((0..5).map(|_| report(&api, &share, "bad"))),
            join_all((0..3).map(|_| ann.shares_a_chat("another"))),
        );
        let ends = [by_ann.status.as_u16(), by_root.status.as_u16()];
        assert!(ends.contains(&200) && ends.iter().all(|end| [200, 404].contains(end)), "{ends:?}");
        assert!(reports.iter().all(|reply| [202, 404].contains(&reply.status.as_u16())));
        opens(&api, &share).await.expect(404, "no_such_share");
    }
    let kept = ann.get(PATH).await.is(200);
    let kept: Vec<String> = kept.as_array().unwrap().iter().map(id).collect();
    assert_eq!(kept.len(), 6);
    let is_kept = |key: &String| kept.iter().any(|id| key.contains(id.as_str()));
    assert!(stored(&api).await.iter().all(is_kept), "no part and no report is left");
    assert_eq!(root.get(REPORTED).await.is(200), json!([]));
    is_consistent(&api).await;
}

#[tokio::test]
async fn links_are_in_no_log() {
    log::clear();
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let share = ann.shares_a_chat("hi").await;
    let link = share["link"].as_str().unwrap();
    opens(&api, &share).await.is(200);
    report(&api, &share, "It is wrong.").await.is(202);
    assert_eq!(api.get(&format!("/s/{link}")).await.status, 200);
    ann.delete(&format!("{PATH}{}", id(&share))).await.is(200);
    api.get(&format!("/api/shares/{link}/")).await.expect(404, "no_such_share");
    let log = log::text();
    for pattern in ["\"/api/shares/{link}\"", "\"/api/shares/{link}/reports\"", "\"/s/{link}\""] {
        assert!(log.contains(pattern), "{pattern} in {log}");
    }
    assert!(!log.contains(link), "{log}");
}

#[tokio::test]
async fn temporary_chats_cannot_be_shared() {
    let api = Api::with_clock(Clock::standing(Clock::default().millis()), &[]).await;
    let ann = api.person("ann").await;
    let conversation = ann.whispers().await;
    let refused = ann.shares(&conversation, json!({})).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["conversation_id"].is_array(), "{refused}");
    api.server().clock.advance(DAY);
    let ann = ann.elsewhere("a day later").await;
    assert_ne!(ann.stored_conversation(&conversation).await, Value::Null, "DynamoDB is late");
    ann.shares(&conversation, json!({})).await.expect(404, "not_found");
    ann.has_shares(0).await;
}

#[tokio::test]
async fn files_and_reasoning_are_not_shared() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let first = ann.sends_in("hi", None, None).await;
    ann.sends_in("more", Some(&first), None).await;
    let items: Vec<Value> = scan(&api.dynamodb, CHATS).await;
    let mut chat = items.into_iter().find(|item| item["chat_id"] == first.as_str()).unwrap();
    let file = |number: u8| {
        let id = format!("{first}.{number}");
        json!({ "id": id, "name": "private.txt", "type": "text/plain", "bytes": 5 })
    };
    chat["files"] = json!([file(0), file(1)]);
    chat["response"] = json!("<think>They are shy.</think>\nHello!");
    put(&api.dynamodb, CHATS, &[chat]).await;
    let share = ann.shares(&first, json!({})).await.is(201);
    let shown = opens(&api, &share).await.is(200);
    assert_eq!(shown["messages"][0]["files"], 2);
    assert_eq!(shown["messages"][0]["answer"], "Hello!");
    assert_eq!(shown["messages"][1]["files"], Value::Null);
    let text = shown.to_string();
    assert!(!text.contains("private.txt") && !text.contains("shy"), "{text}");
}

/// A branch that can't be read to its beginning isn't shared in part.
#[tokio::test]
async fn branches_that_are_too_scattered_are_refused() {
    const APART: usize = 502;
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let conversation = ann.sends_in("hi", None, None).await;
    let clock = api.clock();
    let ids: Vec<String> = (0..APART * 10).map(|_| clock.id().to_string()).collect();
    let chat = |(number, id): (usize, &String)| {
        let after = number.checked_sub(APART).map(|before| ids[before].clone());
        let after = after.map_or(ParentChat::Start, ParentChat::Message);
        let chat = Chat {
            user_id: ann.id.clone(),
            chat_id: id.clone(),
            message: "hi".into(),
            response: "hello".into(),
            model: "echo".into(),
            time: 1,
            name: ann.name.clone(),
            month: "1970-01#0".into(),
            ..Chat::default()
        };
        chat.with_place(Some(conversation.clone()), Some(&after))
    };
    let chats: Vec<Chat> = ids.iter().enumerate().map(chat).collect();
    put(&api.dynamodb, CHATS, &chats).await;
    ann.shares(&conversation, json!({})).await.expect(409, "share_too_long");
    let last = json!({ "last_message_id": ids[APART * 6] });
    let share = ann.shares(&conversation, last).await.is(201);
    assert_eq!(share["messages"], 7);
}

#[tokio::test]
async fn shared_chats_that_end_during_an_export_lose_no_others() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    for message in ["one", "two", "three", "four"] {
        ann.shares_a_chat(message).await;
    }
    let shares = ann.get(PATH).await.is(200);
    let link = |index: usize| shares[index]["link"].as_str().unwrap();
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str())];
    let event = event("export", "/api/user/export", &headers, &Value::Null);
    let reply = invoke(&api.server().functions["export"], &event, Duration::from_secs(300)).await;
    let Body::Pieces(mut pieces) = reply.into_body() else { panic!("no stream") };
    let mut text = String::new();
    while !text.contains(link(0)) {
        text.push_str(&pieces.next().await.unwrap().unwrap());
    }
    // The function may have read the second one already.
    for index in 0..2 {
        ann.delete(&format!("{PATH}{}", id(&shares[index]))).await.is(200);
    }
    text.push_str(&Body::Pieces(pieces).text().await);
    let exported: Value = serde_json::from_str(&text).unwrap();
    assert!(text.contains(link(2)) && text.contains(link(3)), "{exported}");
}

#[tokio::test]
async fn exports_contain_shared_chats() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let shares = [ann.shares_a_chat("one").await, ann.shares_a_chat("two").await];
    let exported = ann.get("/api/user/export/").await.is(200);
    let exported = exported["shares"].as_array().unwrap();
    let links: BTreeSet<&str> =
        exported.iter().map(|share| share["link"].as_str().unwrap()).collect();
    assert_eq!(links, shares.iter().map(|share| share["link"].as_str().unwrap()).collect());
    for share in exported {
        assert_eq!(share["chat"], opens(&api, share).await.is(200));
    }
}

#[tokio::test]
async fn nothing_is_shared_unless_the_operator_allows_it() {
    let on = Api::own(&[]).await;
    let (root, ann) = (on.administrator("root").await, on.person("ann").await);
    let (share, other) = (ann.shares_a_chat("hi").await, ann.shares_a_chat("hello").await);
    for _ in 0..2 {
        report(&on, &other, "bad").await.is(202);
    }
    assert_eq!(ann.get("/api/models").await.is(200)["sharing"], true);
    let off = on.beside(&[("SHARING", "off")]).await;
    let (root, ann) = (root.at(&off), ann.at(&off));
    assert_eq!(ann.get("/api/models").await.is(200)["sharing"], false);
    opens(&off, &share).await.expect(404, "sharing_off");
    report(&off, &share, "bad").await.expect(404, "sharing_off");
    let conversation = share["conversation_id"].as_str().unwrap();
    ann.shares(conversation, json!({})).await.expect(404, "sharing_off");
    // What was shared before can still be ended.
    ann.has_shares(2).await;
    ann.delete(&format!("{PATH}{}", id(&share))).await.is(200);
    let reports = root.get(REPORTED).await.is(200);
    assert_eq!(reports.as_array().unwrap().len(), 2);
    let reported = format!("{REPORTED}{}", id(&other));
    root.delete(&format!("{reported}/reports/{}", id(&reports[0]))).await.is(200);
    root.delete(&reported).await.is(200);
    ann.has_shares(0).await;
    opens(&on, &share).await.expect(404, "no_such_share");
    opens(&on, &other).await.expect(404, "no_such_share");
}

#[tokio::test]
async fn the_audit_finds_incomplete_shares() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let share = ann.shares_a_chat("hi").await;
    let all: Vec<Value> = scan(&api.dynamodb, TOKENS).await;
    let (head, part) = (format!("share:{}", id(&share)), format!("share:{}#0", id(&share)));
    let mut extra = all.iter().find(|item| item["pk"] == part.as_str()).unwrap().clone();
    extra["pk"] = json!(format!("share:{}#7", id(&share)));
    put(&api.dynamodb, TOKENS, &[extra.clone()]).await;
    let item = extra["pk"].as_str().unwrap().to_owned();
    let found = async || api.store().audit_sources(None).await.unwrap().0;
    assert_eq!(found().await, [Difference::Share { item }]);

    let mut head = all.iter().find(|item| item["pk"] == head.as_str()).unwrap().clone();
    head["parts"] = json!(8);
    put(&api.dynamodb, TOKENS, &[head.clone()]).await;
    let item = head["pk"].as_str().unwrap().to_owned();
    assert_eq!(found().await, [Difference::Share { item }]);
}

#[tokio::test]
async fn the_page_of_a_shared_chat_is_not_indexed() {
    let api = Api::own(&[]).await;
    let link = ShareLink::random().unwrap().text();
    let page = api.get(&format!("/s/{link}")).await;
    assert_eq!(page.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.status, 200);
    assert!(format!("{page:?}").contains("noindex"));
    assert_eq!(api.get("/s/hostile%3Cscript%3E").await.status, 404);
}
