//! How often somebody may guess, and how often one address may guess or register.

use std::collections::BTreeMap;
use std::time::Duration;

use functions::{ENDPOINTS, ROUTES};
use futures_util::future::join_all;
use local::dynamo;
use serde_json::{Value, json};

use crate::client::{Answer, Api, Person, token_in, unique};
use crate::login::looks;
use crate::proxy::{At, Fault, Plan, Proxy, Strikes};

const RIGHT: &str = "secret123";
const WRONG: &str = "wrong-password";
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn log_in(api: &Api, login: &str, password: &str) -> Answer {
    api.log_in(json!({ "username": login, "password": password })).await
}

/// How many wrong passwords are checked until the next one is turned away.
async fn guesses(api: &Api, login: &str) -> u32 {
    for guess in 0.. {
        let answer = log_in(api, login, WRONG).await;
        if answer.status == 429 {
            answer.expect(429, "too_many_attempts");
            return guess;
        }
        answer.expect(401, "invalid_credentials");
    }
    unreachable!()
}

/// How an answer looks, but for the second at which it was given.
fn looks_at_any_time(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let (status, mut headers, body) = looks(answer);
    for (name, value) in &mut headers {
        if name == "retry-after" || name == "ratelimit" {
            *value = value.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        }
    }
    (status, headers, body)
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).parse().unwrap()
}

/// A request of the endpoint `name` as the gateway would send it for a client at `address`.
async fn from(api: &Api, address: &str, name: &str, body: &Value) -> (u16, Value) {
    let path = format!("/api/{name}");
    let event = json!({
        "resource": path, "path": path, "httpMethod": "POST", "headers": { "host": "x", "content-type": "application/json" },
        "requestContext": { "stage": "live", "httpMethod": "POST", "identity": { "sourceIp": address } },
        "body": body.to_string(), "isBase64Encoded": false,
    });
    let app = api.server().apps[name].clone();
    let request = local::gateway::request(&event.to_string(), name, app.clock.millis() + 28_000).unwrap();
    let handle = ENDPOINTS.iter().find(|endpoint| endpoint.name == name).unwrap().handle;
    let response = shared::http::answer(ROUTES, handle, app, request).await;
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), serde_json::from_str(&body.text().await).unwrap())
}

/// Moves the clock to where an hour begins, so that no test is in two.
fn begin_an_hour(api: &Api) {
    let clock = &api.server().clock;
    clock.advance(Duration::from_millis(3_600_000 - clock.millis() % 3_600_000));
}

/// Everything that is counted, by its key, and how often.
async fn counts(dynamodb: &str) -> BTreeMap<String, usize> {
    let items = dynamo::client(dynamodb).scan().table_name("TokensTable").send().await.unwrap().items.unwrap();
    let counted = items.into_iter().filter(|item| item["pk"].as_s().unwrap().starts_with("attempt:")).map(|item| {
        let tries = item.get("tries").map_or(0, |tries| tries.as_ss().unwrap().len());
        let registered = item.get("counted").map_or(0, |registered| registered.as_n().unwrap().parse().unwrap());
        (item["pk"].as_s().unwrap().clone(), tries + registered)
    });
    counted.collect()
}

/// How often something is counted whose key begins with this.
async fn counted(dynamodb: &str, key: &str) -> Vec<usize> {
    counts(dynamodb).await.into_iter().filter(|(pk, _)| pk.starts_with(key)).map(|(_, count)| count).collect()
}

#[tokio::test]
async fn after_ten_wrong_passwords_each_further_one_makes_the_next_log_in_wait_twice_as_long() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let clock = &api.server().clock;
    for _ in 0..10 {
        log_in(&api, &ann.name, WRONG).await.expect(401, "invalid_credentials");
    }
    for waits in [None, None, None, None, Some(16), Some(32), Some(64)] {
        log_in(&api, &ann.name, WRONG).await.expect(401, "invalid_credentials");
        if let Some(waits) = waits {
            for password in [RIGHT, WRONG] {
                let refused = log_in(&api, &ann.name, password).await;
                assert!((waits - 5..=waits).contains(&number(&refused, "retry-after")), "{:?}", refused.headers);
                assert_eq!(refused.header("ratelimit-policy"), "\"log-ins\";q=64;w=86400");
                assert_eq!(refused.header("ratelimit"), format!("\"log-ins\";r=0;t={}", refused.header("retry-after")));
                refused.expect(429, "too_many_attempts");
            }
        }
        clock.advance(Duration::from_secs(waits.unwrap_or(8)));
    }
    ann.log_in().await.is(200);
    for _ in 0..10 {
        log_in(&api, &ann.name, WRONG).await.expect(401, "invalid_credentials");
    }
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn of_a_thousand_guesses_at_once_a_hundred_are_looked_at_at_most() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (mut looked_at, mut turned_away) = (0, 0);
    for answer in join_all((0..1000).map(|_| log_in(&api, &ann.name, WRONG))).await {
        match answer.status.as_u16() {
            401 => looked_at += 1,
            429 => turned_away += 1,
            // The store of one machine, asked a thousand things at once.
            503 => {}
            status => panic!("{status}: {answer:?}"),
        }
    }
    assert!((1..=64).contains(&looked_at) && turned_away > 0, "{looked_at} were looked at, {turned_away} turned away");
    ann.log_in().await.expect(429, "too_many_attempts");
}

#[tokio::test]
async fn a_locked_account_and_an_unknown_name_answer_alike_and_a_right_password_does_not_show() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let (ann, gone) = (api.person("ann").await, api.person("gone").await);
    api.set(&gone, "active", aws_sdk_dynamodb::types::AttributeValue::Bool(false)).await;
    let mut seen = Vec::new();
    for name in [ann.name.as_str(), &gone.name, &unique("nobody"), "no name at all \0 😀", &"x".repeat(10_000)] {
        assert_eq!(guesses(&api, name).await, 7, "{name}");
        for password in [RIGHT, WRONG, &"x".repeat(500)] {
            let answer = log_in(&api, name, password).await;
            assert!((86_300..=86_400).contains(&number(&answer, "retry-after")), "{:?}", answer.headers);
            seen.push(looks_at_any_time(&answer));
            answer.expect(429, "too_many_attempts");
        }
    }
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    assert!(counts(&api.dynamodb).await.keys().all(|pk| pk.len() < 60), "what strangers type is not kept");
}

#[tokio::test]
async fn an_account_that_is_found_by_name_and_by_address_has_no_more_guesses_for_it() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let email = format!("{}@example.com", unique("ann"));
    let ann = api.somebody(json!({ "username": unique("Ann"), "email": email, "password": RIGHT })).await;
    // Nobody learns from one being locked that the other is the same account's.
    let unknown = format!("{}@example.com", unique("nobody"));
    let by_name = guesses(&api, &ann.name.to_uppercase()).await;
    log_in(&api, &ann.name, RIGHT).await.expect(429, "too_many_attempts");
    let by_address = guesses(&api, &email.to_uppercase()).await;
    assert_eq!((by_name, by_address), (7, 1));
    assert_eq!(guesses(&api, &unknown).await, by_address);
    log_in(&api, &email, RIGHT).await.expect(429, "too_many_attempts");
}

/// How many wrong current passwords are checked until the next one is turned away.
async fn owners_guesses(owner: &Person) -> u32 {
    for guess in 0.. {
        let body = json!({ "current_password": WRONG, "new_password": "another-one" });
        let answer = owner.post("/api/user/password/", body).await;
        if answer.status == 429 {
            answer.expect(429, "too_many_attempts");
            return guess;
        }
        answer.expect(403, "wrong_password");
    }
    unreachable!()
}

#[tokio::test]
async fn no_log_in_keeps_an_owner_from_using_the_password_and_a_reset_opens_all() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let email = format!("{}@example.com", unique("ann"));
    let ann = api.somebody(json!({ "username": unique("ann"), "email": email, "password": RIGHT })).await;
    // Written before the password is another: a link that opens nothing is not mailed.
    api.token_to(&email).await;
    for login in [&ann.id, &ann.name, &email] {
        guesses(&api, login).await;
    }
    let same = json!({ "current_password": RIGHT, "new_password": "another-one" });
    let changed = ann.post("/api/user/password/", same).await.is(200);
    let ann = ann.using(changed["access"].as_str().unwrap());
    assert_eq!(owners_guesses(&ann).await, 1, "of nine guesses in a row names have seven");

    api.post("/api/password/reset/", json!({ "email": email })).await.is(202);
    let token = token_in(&api.mails_to(&email, 2).await[1]);
    api.post("/api/password/reset/confirm/", json!({ "token": token, "password": RIGHT })).await.is(200);
    assert_eq!(counts(&api.dynamodb).await.into_keys().filter(|pk| !pk.contains("login:owner")).count(), 1, "what is no account's name stays");
    let ann = ann.using(ann.log_in().await.is(200)["access"].as_str().unwrap());
    ann.post("/api/user/password/", json!({ "current_password": RIGHT, "new_password": "another-one" })).await.is(200);
}

#[tokio::test]
async fn an_address_is_sent_so_many_mails_an_hour_whoever_gives_it() {
    let api = Api::own(&[]).await;
    begin_an_hour(&api);
    let address = format!("{}@example.com", unique("victim"));
    let registration = |email: &str| json!({ "username": unique("eve"), "email": email, "password": RIGHT });
    for _ in 0..9 {
        let eve = api.somebody(registration(&address)).await;
        let deleted = api.send(reqwest::Method::DELETE, "/api/user/", &[("authorization", &eve.bearer())], Some(json!({ "password": RIGHT }))).await;
        deleted.is(202);
    }
    let (ben, cat) = (api.person("ben").await, api.person("cat").await);
    let change = json!({ "email": address, "current_password": RIGHT });
    ben.patch("/api/user/profile/", change.clone()).await.is(200);
    let refused = cat.patch("/api/user/profile/", change.clone()).await;
    assert!((3500..=3600).contains(&number(&refused, "retry-after")), "{:?}", refused.headers);
    assert_eq!(refused.header("ratelimit-policy"), "\"mails\";q=10;w=3600");
    refused.expect(429, "too_many_mails");
    api.server().clock.advance(Duration::from_secs(61));
    ben.post("/api/user/email/", json!({})).await.expect(429, "too_many_mails");
    cat.patch("/api/user/profile/", json!({ "email": format!("{}@example.com", unique("cat")), "current_password": RIGHT })).await.is(200);
    api.register(registration(&address)).await.expect(409, "email_taken");
    ben.post("/api/logout/", json!({ "all": true })).await.is(200);
    api.server().clock.advance(Duration::from_secs(3600));
    let ben = ben.using(ben.log_in().await.is(200)["access"].as_str().unwrap());
    ben.post("/api/user/email/", json!({})).await.is(202);
}

#[tokio::test]
async fn a_locked_account_opens_after_a_day_or_when_it_is_unlocked() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let email = format!("{}@example.com", unique("ann"));
    let ann = api.somebody(json!({ "username": unique("ann"), "email": email, "password": RIGHT })).await;
    guesses(&api, &ann.name).await;
    api.server().clock.advance(DAY - Duration::from_secs(60));
    ann.log_in().await.expect(429, "too_many_attempts");
    api.server().clock.advance(Duration::from_secs(61));
    assert_eq!(guesses(&api, &ann.name).await, 7, "counted anew");
    api.server().clock.advance(DAY);
    let ann = ann.using(ann.log_in().await.is(200)["access"].as_str().unwrap());

    guesses(&api, &ann.name).await;
    guesses(&api, &email).await;
    owners_guesses(&ann).await;
    let account = api.account(&ann).await;
    api.store().forget_attempts(&account.id, &account.label, account.email.as_deref()).await.unwrap();
    ann.log_in().await.is(200);
    log_in(&api, &email, RIGHT).await.is(200);
    assert_eq!(counts(&api.dynamodb).await, BTreeMap::new(), "a log-in leaves no count behind");
}

#[tokio::test]
async fn sixty_four_right_log_ins_at_once_are_all_let_in() {
    let api = Api::own(&[("LOGIN_FAILURES_PER_ADDRESS", "64")]).await;
    let ann = api.person("ann").await;
    for _ in 0..2 {
        for answer in join_all((0..64).map(|_| ann.log_in())).await {
            answer.is(200);
        }
    }
}

#[tokio::test]
async fn an_address_may_fail_so_often_in_an_hour_whatever_it_calls_itself() {
    let api = Api::own(&[("LOGIN_FAILURES_PER_ADDRESS", "3")]).await;
    begin_an_hour(&api);
    let ann = api.person("ann").await;
    for _ in 0..5 {
        ann.log_in().await.is(200);
    }
    let claiming = async |address: &str, login: &str, password: &str| {
        let headers = [("x-forwarded-for", address), ("forwarded", address), ("x-real-ip", address)];
        api.send(reqwest::Method::POST, "/api/login", &headers, Some(json!({ "username": login, "password": password }))).await
    };
    for guess in 0..3 {
        claiming(&format!("203.0.113.{guess}"), &unique("nobody"), WRONG).await.expect(401, "invalid_credentials");
    }
    for (login, password) in [(unique("nobody"), WRONG), (ann.name.clone(), WRONG), (ann.name.clone(), RIGHT)] {
        let refused = claiming("203.0.113.9", &login, password).await;
        assert!((3500..=3600).contains(&number(&refused, "retry-after")), "{:?}", refused.headers);
        assert_eq!(refused.header("ratelimit-policy"), "\"failed-log-ins\";q=3;w=3600");
        refused.expect(429, "too_many_attempts");
    }
    let right = json!({ "username": ann.name, "password": RIGHT });
    assert_eq!(from(&api, "203.0.113.9", "login", &right).await.0, 200, "another address");
    api.server().clock.advance(Duration::from_secs(3600));
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn an_address_that_is_stopped_stops_nobody_else() {
    let api = Api::own(&[("LOGIN_FAILURES_PER_ADDRESS", "3"), ("LOGIN_ATTEMPTS", "9")]).await;
    begin_an_hour(&api);
    let ann = api.person("ann").await;
    for _ in 0..20 {
        log_in(&api, &ann.name, WRONG).await;
    }
    let right = json!({ "username": ann.name, "password": RIGHT });
    assert_eq!(from(&api, "203.0.113.9", "login", &right).await.0, 200);
}

#[tokio::test]
async fn an_ipv6_address_counts_as_its_network() {
    let api = Api::own(&[("LOGIN_FAILURES_PER_ADDRESS", "3"), ("REGISTRATIONS_PER_ADDRESS", "2")]).await;
    begin_an_hour(&api);
    let wrong = |name: &str| json!({ "username": unique(name), "password": WRONG });
    for host in 1..=3 {
        assert_eq!(from(&api, &format!("2001:db8:1:2::{host}"), "login", &wrong("ann")).await.0, 401);
    }
    assert_eq!(from(&api, "2001:db8:1:2:ffff::1", "login", &wrong("ann")).await.1["code"], "too_many_attempts");
    assert_eq!(from(&api, "2001:db8:1:3::1", "login", &wrong("ann")).await.0, 401);
    for (address, status) in [("2001:db8::1", 201), ("2001:db8::2", 201), ("2001:db8::3", 429), ("2001:db8:0:1::", 201), ("::ffff:192.0.2.1", 201)] {
        assert_eq!(from(&api, address, "register", &json!({ "username": unique("ann"), "password": RIGHT })).await.0, status, "{address}");
    }
}

#[tokio::test]
async fn without_a_limit_per_address_none_is_counted() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    log_in(&api, &ann.name, WRONG).await.expect(401, "invalid_credentials");
    assert_eq!(counted(&api.dynamodb, "attempt:login:").await, [1]);
    assert_eq!(counts(&api.dynamodb).await.len(), 1);
}

#[tokio::test]
async fn an_address_opens_so_many_accounts_in_an_hour() {
    let api = Api::own(&[("REGISTRATIONS_PER_ADDRESS", "3")]).await;
    begin_an_hour(&api);
    let registration = |name: &str| json!({ "username": name, "password": RIGHT });
    let ann = api.person("ann").await;
    // What opens no account isn't counted.
    for _ in 0..5 {
        api.register(registration(&ann.name)).await.expect(409, "username_taken");
        api.register(json!({ "username": unique("ann"), "password": "short" })).await.expect(400, "invalid_fields");
    }
    let keyed = registration(&unique("keyed"));
    let under_key = async || api.send(reqwest::Method::POST, "/api/register", &[("idempotency-key", "k1")], Some(keyed.clone())).await;
    let first = under_key().await.is(201);
    api.person("ben").await;

    for name in [unique("cleo"), ann.name.clone()] {
        let refused = api.register(registration(&name)).await;
        assert!((3500..=3600).contains(&number(&refused, "retry-after")), "{:?}", refused.headers);
        assert_eq!(refused.header("ratelimit-policy"), "\"registrations\";q=3;w=3600");
        refused.expect(429, "too_many_registrations");
    }
    assert_eq!(under_key().await.is(201)["id"], first["id"], "it is the one that it was");
    assert_eq!(from(&api, "203.0.113.9", "register", &registration(&unique("dan"))).await.0, 201, "another address");
    api.server().clock.advance(Duration::from_secs(3600));
    api.person("eve").await;
}

#[tokio::test]
async fn of_twenty_registrations_at_once_an_address_gets_its_share() {
    let api = Api::own(&[("REGISTRATIONS_PER_ADDRESS", "7")]).await;
    begin_an_hour(&api);
    let answers = join_all((0..20).map(|_| api.register(json!({ "username": unique("ann"), "password": RIGHT })))).await;
    let opened: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).filter(|status| *status == 201).collect();
    assert_eq!(opened.len(), 7);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect(429, "too_many_registrations");
    }
}

#[tokio::test]
async fn what_is_sent_again_since_its_reply_was_lost_counts_once() {
    let store = Api::own(&[]).await;
    let proxy = Proxy::start(&store.dynamodb).await;
    let wire = proxy.lane();
    let limits = [("LOGIN_FAILURES_PER_ADDRESS", "100"), ("REGISTRATIONS_PER_ADDRESS", "100"), ("DYNAMODB_ENDPOINT", wire.url.as_str())];
    let api = Api::own(&limits).await;
    begin_an_hour(&api);
    let strike = |operation, nth, fault| wire.strike(Some(Plan { at: At::Operation(operation, nth), fault, strikes: Strikes::Once }));
    let name = unique("nobody");
    let mut failed = 0;
    for fault in [Fault::Fail500After, Fault::ResetAfter] {
        // The counts of the name and of the address go out in any order.
        for nth in [1, 2] {
            strike("UpdateItem", nth, fault);
            log_in(&api, &name, WRONG).await.expect(401, "invalid_credentials");
            assert!(wire.was_struck());
            failed += 1;
            for key in ["attempt:login:", "attempt:address:"] {
                assert_eq!(counted(&store.dynamodb, key).await, [failed], "{key} after {fault:?}");
            }
        }
    }
    let mut people = Vec::new();
    for fault in [Fault::Fail500After, Fault::ResetAfter] {
        strike("TransactWriteItems", 1, fault);
        people.push(api.person("ann").await);
        assert_eq!(counted(&store.dynamodb, "attempt:register:").await, [people.len()]);
    }

    // A copy of a success that arrives late forgets nothing that failed since.
    strike("DeleteItem", 1, Fault::Again);
    people[0].log_in().await.is(200);
    log_in(&api, &people[0].name, WRONG).await.expect(401, "invalid_credentials");
    wire.deliver().await;
    let mut names = counted(&store.dynamodb, "attempt:login:").await;
    names.sort_unstable();
    assert_eq!(names, [1, failed]);
    assert_eq!(counted(&store.dynamodb, "attempt:address:").await, [failed + 1]);
}

/// Somebody for whom a minute begins.
async fn at_the_start_of_a_minute(per_minute: &str) -> Person {
    let api = Api::own(&[("CHATS_PER_MINUTE", per_minute)]).await;
    let clock = &api.server().clock;
    clock.advance(Duration::from_millis(60_000 - clock.millis() % 60_000));
    api.person("ann").await
}

#[tokio::test]
async fn an_account_begins_so_many_chats_a_minute() {
    let ann = at_the_start_of_a_minute("3").await;
    let clock = &ann.api.server().clock;
    for left in [2, 1] {
        let chat = ann.chat("hi").await;
        assert_eq!(chat.header("ratelimit-policy"), "\"chats\";q=3;w=60");
        let (told, seconds) = chat.header("ratelimit").split_once(";t=").unwrap();
        assert_eq!(told, format!("\"chats\";r={left}"));
        assert!((1..=60).contains(&seconds.parse::<u32>().unwrap()));
        chat.is(200);
    }
    ann.chat("!fail").await.expect(502, "ai_failed");
    let before = ann.api.items(&ann.id).await;
    let refused = ann.chat("hi").await;
    assert!((1..=60).contains(&number(&refused, "retry-after")), "{:?}", refused.headers);
    assert_eq!(refused.header("ratelimit"), format!("\"chats\";r=0;t={}", refused.header("retry-after")));
    refused.expect(429, "too_many_chats_this_minute");
    assert_eq!(ann.api.items(&ann.id).await, before, "nothing was taken");

    clock.advance(Duration::from_secs(60));
    ann.chat("hi").await.is(200);
    ann.chat("!fail").await.expect(502, "ai_failed");
    let minutes = ann.api.account(&ann).await.minutes.unwrap();
    assert_eq!(minutes.values().copied().collect::<Vec<_>>(), [2], "minutes that are over are forgotten");
    clock.advance(Duration::from_secs(60));
    ann.chat("!fail").await.expect(502, "ai_failed");
    assert_eq!(ann.api.account(&ann).await.minutes.unwrap().len(), 1, "by failures too");
}

#[tokio::test]
async fn of_twenty_chats_at_once_as_many_begin_as_a_minute_has() {
    let ann = at_the_start_of_a_minute("7").await;
    let answers = join_all((0..20).map(|_| ann.chat("hi"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.body["code"] == "too_many_chats_this_minute"), "{answers:?}");
    assert_eq!(ann.balance().await, 4000 - 700);
}

#[tokio::test]
async fn too_few_tokens_are_said_before_too_many_chats() {
    let ann = at_the_start_of_a_minute("1").await;
    ann.chat("hi").await.is(200);
    ann.chat("hi").await.expect(429, "too_many_chats_this_minute");
    ann.api.set(&ann, "tokens", aws_sdk_dynamodb::types::AttributeValue::N("99".into())).await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
}

#[tokio::test]
async fn an_account_from_before_minutes_were_counted_chats_as_ever() {
    let ann = at_the_start_of_a_minute("2").await;
    let update = dynamo::client(&ann.api.dynamodb).update_item().table_name("UsersTable").update_expression("REMOVE minutes");
    update.key("pk", aws_sdk_dynamodb::types::AttributeValue::S(format!("user:{}", ann.name))).send().await.unwrap();
    ann.chat("hi").await.is(200);
    ann.chat("hi").await.is(200);
    ann.chat("hi").await.expect(429, "too_many_chats_this_minute");
}
