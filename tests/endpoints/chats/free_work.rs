//! Work by the AI that no user pays for: what counts, how much is allowed per day, and which users
//! are locked out of `POST /api/chat` and `POST /v1/chat/completions`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::values::Account;

use crate::ai::providers::{Does, Provider, chunk};
use crate::endpoints::chats::fares::{RATES, counted, list, priced, scripted};
use crate::endpoints::openai::completions::asking;
use crate::portable::chat_stop::{PATIENT, free_work};
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person};
use crate::support::function::ask;
use crate::support::proxy::Proxy;
use crate::support::world::put;

const COMPLETIONS: &str = "/v1/chat/completions";

/// The settings of a server that allows little free work, but many failed messages per minute.
const LITTLE: [(&str, &str); 3] =
    [("FREE_WORK", "600"), ("REFUNDS_PER_MINUTE", "1000"), ("ACCESS_TOKEN_SECONDS", "86400")];

/// A request to `deep` with a prompt of this many bytes.
fn long(message: &str, bytes: usize) -> Value {
    let context = json!({ "role": "system", "content": "word ".repeat(bytes / 5) });
    let messages = json!([context, { "role": "user", "content": message }]);
    json!({ "model": "deep", "messages": messages, "max_tokens": 16 })
}

impl Api {
    /// Sets the clock to the beginning of a day.
    fn at_midnight(&self) {
        let clock = &self.server().clock;
        clock.advance(Duration::from_millis(86_400_000 - clock.millis() % 86_400_000));
    }

    async fn work(&self, person: &Person) -> [u64; 3] {
        let account: Account = self.account(person).await;
        ["", "k", "e"].map(|prefix| free_work(&account, prefix))
    }
}

impl Person {
    /// Returns the person as a program whose API key has no limit. Unlike an access token, the key
    /// is valid for days.
    async fn program(&self) -> Self {
        let made = self.post("/api/user/api-keys", json!({ "name": "a program" })).await.is(201);
        self.using(made["key"].as_str().unwrap())
    }

    async fn is_locked_out(&self) {
        self.chat("hi").await.expect(429, "too_many_refunds");
    }

    /// Grants tokens, as `manage` does.
    async fn is_granted(&self, tokens: i64) {
        let admin = self.api.administrator("admin").await;
        let path = format!("/api/admin/users/{}/adjustments", self.id);
        admin.post(&path, json!({ "amount": tokens, "reason": "a test" })).await.is(201);
    }
}

#[tokio::test]
async fn free_work_is_limited_per_day() {
    let api = Api::own(&LITTLE).await;
    api.at_midnight();
    let clock = &api.server().clock;
    let ann = api.person("ann").await;
    // A provider that fails costs nothing, so an outage doesn't lock users out.
    for message in ["!fail", "!overloaded", "!fail", "!overloaded", "!fail", "!fail", "!fail"] {
        assert!([502, 503].contains(&ann.chat(message).await.status.as_u16()), "{message}");
    }
    assert_eq!(api.work(&ann).await, [0, 0, 0]);
    // A client can cause an empty answer, a long answer, a time-out and a failure at the end.
    for message in ["!empty", "!long", "!hang", "!ends error 1 1 1 a", "!cut a b"] {
        assert!([502, 504].contains(&ann.chat(message).await.status.as_u16()), "{message}");
    }
    assert_eq!(api.work(&ann).await, [500, 0, 0]);
    // All chats that are already running when the limit is reached are free.
    for last in join_all((0..2).map(|_| ann.chat("!hang"))).await {
        last.expect(504, "ai_timed_out");
    }
    clock.advance(Duration::from_secs(3600));
    let before = api.items(&ann.id).await;
    let refused = ann.chat("hi").await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400 - 3600).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), "\"free-work\";q=600;w=86400");
    let refused = refused.expect(429, "too_many_refunds").to_string();
    assert!(refused.contains("would have cost 600 tokens"), "{refused}");
    assert_eq!(api.items(&ann.id).await, before, "nothing was taken");
    assert_eq!(ann.balance().await, GRANT);

    clock.advance(Duration::from_secs(wait));
    ann.chat("hi").await.is(200);
    assert_eq!(api.work(&ann).await, [0, 0, 0], "days that are over are forgotten");
}

#[tokio::test]
async fn a_quarter_of_each_charge_is_earned_for_two_days() {
    let api = Api::own(&[&LITTLE[1..], &[("FREE_WORK", "100")]].concat()).await;
    api.at_midnight();
    let ann = api.person("ann").await;
    ann.is_granted(5000).await;
    assert_eq!(api.work(&ann).await, [0, 0, 0], "a grant earns nothing");
    let program = ann.program().await;
    let fails = async |times: u64| {
        for _ in 0..times {
            program.post(COMPLETIONS, asking("!cut a b")).await.expect(502, "ai_failed");
        }
        program.post(COMPLETIONS, asking("hi")).await.expect(429, "rate_limit_exceeded");
    };
    for _ in 0..12 {
        program.post(COMPLETIONS, asking("hi")).await.is(200);
    }
    fails(3).await;
    api.server().clock.advance(DAY);
    for _ in 0..4 {
        program.post(COMPLETIONS, asking("hi")).await.is(200);
    }
    fails(4).await;
    api.server().clock.advance(DAY);
    // Only yesterday's charges count now.
    fails(1).await;
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn limited_keys_cannot_lock_their_owner_out() {
    let api = Api::own(&[&LITTLE[..], &[("PARALLEL_CHATS", "4")]].concat()).await;
    api.at_midnight();
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(13_000).await.program;
    for _ in 0..3 {
        key.post(COMPLETIONS, asking("!hang")).await.expect(504, "ai_timed_out");
    }
    key.post(COMPLETIONS, asking("hi")).await.expect(429, "rate_limit_exceeded");
    assert_eq!(api.work(&ann).await, [0, 600, 0], "what limited keys waste counts twice");
    for _ in 0..6 {
        ann.chat("!empty").await.expect(502, "ai_failed");
    }
    ann.is_locked_out().await;
}

#[tokio::test]
async fn limited_keys_get_half_of_each_limit() {
    let settings =
        [("PARALLEL_CHATS", "4"), ("CHATS_PER_MINUTE", "10"), ("REFUNDS_PER_MINUTE", "6")];
    let api = Api::at_an_hour(&[&settings[..], &PATIENT[..1]].concat()).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    // Two chats that use the limited key may wait, and so may two of its owner's.
    let key = ann.gets_a_limited_key(13_000).await.program;
    let streaming = || {
        let mut body = asking("!hold one two");
        body["stream"] = json!(true);
        body
    };
    let first = key.hears(COMPLETIONS, "k1", streaming()).await;
    let second = key.hears(COMPLETIONS, "k2", streaming()).await;
    key.post(COMPLETIONS, asking("hi")).await.expect(429, "rate_limit_exceeded");
    ann.chat("hi").await.is(200);
    for (name, stream) in [("k1", first), ("k2", second)] {
        ann.stops(name).await.is(200);
        stream.0.text().await.unwrap();
    }
    // The key has sent two of its five messages in this minute.
    for _ in 0..2 {
        key.post(COMPLETIONS, asking("hi")).await.is(200);
    }
    key.post(COMPLETIONS, asking("hi")).await.expect(429, "rate_limit_exceeded");
    for _ in 0..5 {
        ann.chat("hi").await.is(200);
    }
    // After three failed chats, the key's chats are refused, but its owner's aren't.
    let key = ben.gets_a_limited_key(13_000).await.program;
    for _ in 0..3 {
        key.post(COMPLETIONS, asking("!fail")).await.expect(502, "ai_failed");
    }
    key.post(COMPLETIONS, asking("hi")).await.expect(429, "rate_limit_exceeded");
    ben.chat("!fail").await.expect(502, "ai_failed");
    ben.chat("hi").await.is(200);
}

/// Earlier releases count refunds in a different attribute, and have no map of free work.
#[tokio::test]
async fn counts_of_earlier_releases_are_ignored() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let day = api.now() / 86_400;
    let mut account = api.account(&ann).await;
    account.minutes = Some(BTreeMap::from([(format!("d{day}"), 5000)]));
    account.free_work = None;
    put(&api.dynamodb, "UsersTable", &[account]).await;
    ann.chat("hi").await.is(200);
    ann.chat("!empty").await.expect(502, "ai_failed");
    assert_eq!(api.work(&ann).await, [PRICE, 0, 0]);
}

#[tokio::test]
async fn refused_requests_are_not_free_work() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &LITTLE).await;
    let ann = api.person("ann").await;
    ann.is_granted(100_000).await;
    let refusal = json!({ "error": { "message": "maximum context length", "code": "context_length_exceeded" } });
    provider.does(Does::Says(400, refusal));
    for _ in 0..10 {
        ann.post(COMPLETIONS, long("hi", 200_000)).await.expect(400, "context_length_exceeded");
    }
    for status in [400, 402, 429, 500] {
        provider.does(Does::Says(status, Value::Null));
        let failed = ann.post(COMPLETIONS, long("hi", 200_000)).await;
        assert!([502, 503].contains(&failed.status.as_u16()), "{failed:?}");
    }
    assert_eq!(api.work(&ann).await, [0, 0, 0]);
}

/// The store has written the files, even if the provider has refused the message.
#[tokio::test]
async fn failed_messages_with_files_are_free_work() {
    let provider = Provider::start().await;
    let settings = [&LITTLE[1..], &[("FREE_WORK", "300")]].concat();
    let api = priced(&provider, &list("openai"), &settings).await;
    api.at_midnight();
    let ann = api.person("ann").await;
    let fails = async |files: usize| {
        let file = json!({ "name": "a.txt", "text": "one" });
        let body = json!({ "message": "hi", "model": "deep", "attachments": vec![file; files] });
        let failed = ann.post("/api/chat", body).await;
        assert_ne!(failed.status, 200, "{failed:?}");
        failed.status
    };
    let refusal = json!({ "error": { "message": "maximum context length", "code": "context_length_exceeded" } });
    provider.does(Does::Says(400, refusal));
    fails(0).await;
    assert_eq!(api.work(&ann).await, [0, 0, 0]);
    for failures in 1..=99 {
        assert_ne!(fails(4).await, 429);
        assert_eq!(api.work(&ann).await, [3 * failures, 0, 0]);
    }
    assert_ne!(fails(1).await, 429);
    ann.is_locked_out().await;
}

/// Each of five providers works for a minute, and none answers.
#[tokio::test]
async fn each_provider_that_worked_counts() {
    let api = Api::own(&[("AI_PROVIDER", "scripted,scripted,scripted,scripted,scripted")]).await;
    let ann = api.person("ann").await;
    ann.chat("!hang").await.expect(504, "ai_timed_out");
    assert_eq!(api.work(&ann).await, [5 * PRICE, 0, 0]);
}

/// A thief who has stolen a new account makes as many messages fail as possible.
#[tokio::test]
async fn a_thief_gets_limited_free_work_per_day() {
    let thief = async |settings: &[(&str, &str)], body: Value, parallel: u64| {
        let api = scripted(&[&[("REFUNDS_PER_MINUTE", "10000")], settings].concat()).await;
        api.at_midnight();
        let ann = api.person("ann").await;
        let mut failed = 0;
        loop {
            let asking = (0..parallel).map(|_| ann.post(COMPLETIONS, body.clone()));
            let answers: Vec<Answer> = join_all(asking).await;
            let locked = |answer: &&Answer| answer.status == 429;
            failed += parallel - answers.iter().filter(locked).count() as u64;
            if answers.iter().any(|answer| answer.status == 429) {
                break;
            }
            assert!(answers.iter().all(|answer| [502, 504].contains(&answer.status.as_u16())));
        }
        let [work, ..] = api.work(&ann).await;
        assert_eq!(ann.balance().await, GRANT);
        (failed, work)
    };
    let mut flat = asking("!cut a b");
    flat["model"] = json!("quick");
    assert_eq!(thief(&[], flat.clone(), 8).await, (104, 104 * PRICE));
    flat["messages"][0]["content"] = json!("!ends malformed_function_call 1 1 1 a");
    assert_eq!(thief(&[], flat, 8).await, (104, 104 * PRICE));
    // If the prompt is charged by usage, this is the largest one that the grant covers.
    let body = long("!ends malformed_function_call 0 0 0 a", 60_000);
    let (_, work) = thief(&[("FREE_WORK", "2000")], body, 1).await;
    assert!((2000..4000).contains(&work), "{work}");
}

/// Many requests from an agent that has paid a lot fail on the same day.
#[tokio::test]
async fn an_agent_that_pays_is_never_locked_out() {
    let provider = Provider::start().await;
    // A busy machine needs seconds for eight prompts of this length.
    let settings = [("AI_TIMEOUT_SECONDS", "4"), ("PROMPT_LIMIT", "1000000")];
    let api = priced(&provider, &list("openai"), &settings).await;
    api.at_midnight();
    let ann = api.person("ann").await;
    ann.is_granted(500_000).await;
    let agent = ann.program().await;
    // The agent spends 100,000 tokens in two days.
    for _ in 0..2 {
        api.server().clock.advance(DAY);
        for _ in 0..5 {
            provider.does(counted(200_000, 0, 0));
            // Letters and signs in odd order, of which tokenizers make many model tokens.
            let mut body = long("hi", 0);
            body["messages"][0]["content"] = json!("q#Z9^x ".repeat(60_000));
            let answer = agent.post(COMPLETIONS, body).await.is(200);
            assert_eq!(RATES.price(200_000, 0, 0, 0).get(), 10_000, "{answer}");
        }
    }
    let spent = api.account(&ann).await.spent.get();
    assert!((100_000..100_100).contains(&spent), "{spent}");
    // The provider hangs while eight requests wait, and refuses ten prompts because they are too
    // long.
    provider.does(Does::Waits(vec![Bytes::from_static(b":\n\n")], Arc::default()));
    for failed in join_all((0..8).map(|_| agent.post(COMPLETIONS, long("hi", 200_000)))).await {
        failed.expect(504, "ai_timed_out");
    }
    provider.does(Does::Says(400, json!({ "error": { "message": "prompt is too long" } })));
    for _ in 0..10 {
        agent.post(COMPLETIONS, long("hi", 200_000)).await.expect(400, "context_length_exceeded");
    }
    // Five answers are cut short, but still charged.
    provider.does(Does::Waits(vec![chunk("Once", None)], Arc::default()));
    let mut body = long("hi", 200_000);
    body["stream"] = json!(true);
    for cut in join_all((0..5).map(|_| agent.post(COMPLETIONS, body.clone()))).await {
        cut.is(200);
    }
    let [work, _, earned] = api.work(&ann).await;
    assert!(work > 10_000 && work < earned, "{work} of {earned}");
    provider.does(counted(10, 0, 10));
    agent.post(COMPLETIONS, long("hi", 200_000)).await.is(200);
}

/// An account's chats have reached the largest size that DynamoDB allows.
#[tokio::test]
async fn answers_that_cannot_be_stored_are_paid_or_counted() {
    let api = Api::at_an_hour(&[("FREE_WORK", "10000")]).await;
    let ann = api.person("ann").await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.is_full();
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let asks = async |name: &str, path: &str, headers: &[(&str, &str)]| {
        ask(&api.function_over(name, &lane), name, path, headers, json!({ "message": "hi" })).await
    };

    // The client has received a streamed answer.
    let done = asks("chat_stream", "/api/chat/stream", &headers).await;
    assert_eq!((done.status, &done.body["response"]), (200, &json!("You said: hi")));
    assert_eq!(done.body["conversation_id"], Value::Null);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(ann.history("").await.is(200), json!([]));
    let again = asks("chat_stream", "/api/chat/stream", &headers).await;
    assert_eq!((again.status, again.code()), (410, "chat_deleted"));

    let whole = asks("chat", "/api/chat", &headers[..1]).await;
    assert_eq!((whole.status, whole.code()), (403, "chats_full"));
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.refunds(&ann).await, (1, PRICE));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn administrators_unlock_users() {
    let api = Api::own(&[&LITTLE[1..], &[("FREE_WORK", "100")]].concat()).await;
    api.at_midnight();
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let path = format!("/api/admin/users/{}", ann.id);
    let free_work = async || root.get(&path).await.is(200)["free_work"].clone();
    let expected = |used: u64, locked: bool| json!({ "used": used, "most": 100, "used_by_limited_keys": 0, "most_for_limited_keys": 50, "locked": locked, "limited_keys_locked": false });
    assert_eq!(free_work().await, expected(0, false));
    ann.chat("!empty").await.expect(502, "ai_failed");
    ann.is_locked_out().await;
    assert_eq!(free_work().await, expected(100, true));
    let unlock = json!({ "unlock": true, "reason": "an outage" });
    let unlocked = root.patch(&path, unlock.clone()).await.is(200);
    assert_eq!(unlocked["free_work"], expected(0, false));
    ann.chat("hi").await.is(200);
    ann.get("/api/user/profile").await.is(200);
    let acts = root.admin("trail?act=unlock").await.is(200);
    let act = &acts[0];
    assert_eq!([&act["reason"], &act["user_id"]], [&json!("an outage"), &json!(ann.id)], "{acts}");
    let own = format!("/api/admin/users/{}", root.id);
    root.patch(&own, unlock).await.expect(409, "own_account");
    root.patch(&path, json!({ "unlock": false })).await.expect(400, "invalid_fields");
}
