//! API keys that expire, are restricted to certain models or have a spending limit, changes of names
//! and limits, and the day on which a key was last used: `POST /api/user/api-keys`,
//! `PATCH /api/user/api-keys/{id}`, `GET /v1/key`, `GET /v1/credits`.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::Credits;
use shared::clock::{Clock, Day};
use shared::store::Difference;
use shared::values::StoredApiKey;
use shared::values::api_key::LIMITED_KEYS;
use tokio::sync::Notify;

use crate::ai::providers::{Does, Provider};
use crate::endpoints::chats::fares::{counted, held, list, priced, scripted};
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person};
use crate::support::world::World;

const PATH: &str = "/api/user/api-keys";

/// The evening of the last day of November 2026, an hour before midnight in UTC.
const NOVEMBER: u64 = 1_796_079_600_000;

/// An API key as its owner sees it, and the program that uses it.
pub struct Key {
    id: String,
    pub program: Person,
}

impl Person {
    async fn asks_for_a_key(&self, mut restrictions: Value) -> Answer {
        restrictions["name"] = json!("a program");
        self.post(PATH, restrictions).await
    }

    async fn gets_a_key(&self, restrictions: Value) -> Key {
        let made = self.asks_for_a_key(restrictions).await.is(201);
        let program = self.using(made["key"].as_str().unwrap());
        Key { id: made["id"].as_str().unwrap().to_owned(), program }
    }

    /// A key that may spend this many tokens.
    pub async fn gets_a_limited_key(&self, tokens: u64) -> Key {
        self.gets_a_key(json!({ "limit": { "tokens": tokens } })).await
    }

    /// Returns how much of its limit a key has spent, in credits.
    async fn spent(&self, key: &Key) -> u64 {
        self.shows(key).await["limit"]["spent"].as_u64().unwrap()
    }

    /// Changes a key's name or its limit.
    async fn changes_key(&self, key: &Key, change: Value) -> Answer {
        self.patch(&format!("{PATH}/{}", key.id), change).await
    }

    async fn shows(&self, key: &Key) -> Value {
        let keys = self.api_keys().await;
        let keys = keys.as_array().unwrap();
        keys.iter().find(|shown| shown["id"] == key.id.as_str()).unwrap().clone()
    }

    async fn is_clean(&self) {
        assert_eq!(self.api.store().audit(&self.name).await.unwrap().differences, []);
        let world = World::read(&self.api.dynamodb).await;
        assert_eq!(world.audit(&self.id), Vec::<String>::new());
        assert!(world.accounts[&self.id].reservations.is_empty());
    }
}

impl Key {
    async fn says(&self, message: &str) -> Answer {
        self.asks("gpt-4o", message).await
    }

    async fn asks(&self, model: &str, message: &str) -> Answer {
        let messages = json!([{ "role": "user", "content": message }]);
        let body = json!({ "model": model, "messages": messages });
        self.program.post("/v1/chat/completions", body).await
    }

    /// Sends a request with a header that identifies retries.
    async fn retries(&self, header: (&str, &str), body: &Value) -> Answer {
        let (api, bearer) = (&self.program.api, self.program.bearer());
        let headers = [header, ("authorization", bearer.as_str())];
        api.send(Method::POST, "/v1/chat/completions", &headers, Some(body.clone())).await
    }
}

async fn at(clock: Clock, settings: &[(&str, &str)]) -> Api {
    Api::with_clock(clock, settings).await
}

#[tokio::test]
async fn keys_show_their_restrictions() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let restricted = json!({
        "expires": "2999-12-31", "models": ["deep"], "limit": { "tokens": 500, "per": "month" },
    });
    let key = ann.gets_a_key(restricted).await;
    let shown = ann.shows(&key).await;
    assert_eq!([&shown["expires"], &shown["models"]], [&json!("2999-12-31"), &json!(["deep"])]);
    let next = Day::from_millis(api.now() * 1000).next_month().to_string();
    let limit = json!({ "tokens": 500, "per": "month", "spent": 0, "resets": next });
    assert_eq!([&shown["limit"], &shown["last_used"]], [&limit, &Value::Null]);

    let total = ann.gets_a_limited_key(500).await;
    let limit = json!({ "tokens": 500, "per": "total", "spent": 0, "resets": null });
    assert_eq!(ann.shows(&total).await["limit"], limit);
    let free = ann.gets_a_key(json!({})).await;
    let shown = ann.shows(&free).await;
    assert_eq!([&shown["expires"], &shown["models"], &shown["limit"]], [&Value::Null; 3]);
    let admin = api.administrator("admin").await;
    let seen = admin.get(&format!("/api/admin/users/{}/api-keys", ann.id)).await.is(200);
    assert_eq!(seen, ann.api_keys().await);
}

#[tokio::test]
async fn invalid_restrictions_are_refused_field_by_field() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    for (restrictions, field) in [
        (json!({ "expires": "2026-11-20" }), "expires"),
        (json!({ "expires": "soon" }), "expires"),
        (json!({ "models": [] }), "models"),
        (json!({ "models": ["deep", "tiny-1"] }), "models"),
        (json!({ "limit": {} }), "limit.tokens"),
        (json!({ "limit": { "tokens": 0 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": Credits::MAX.get() + 1 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": 5, "per": "day" } }), "limit.per"),
    ] {
        let refused = ann.asks_for_a_key(restrictions).await.expect(400, "invalid_fields");
        let fields: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
        assert_eq!(fields, [field], "{refused}");
    }
    // Without a price list, no models can be selected.
    api.prices(&Value::Null).await;
    ann.asks_for_a_key(json!({ "models": ["deep"] })).await.expect(400, "invalid_fields");
    ann.has_keys(0).await;
}

#[tokio::test]
async fn expired_keys_are_refused() {
    let clock = Clock::standing(NOVEMBER);
    let api = at(clock.clone(), &[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({ "expires": "2026-11-30" })).await;
    key.says("hi").await.is(200);
    clock.advance(Duration::from_secs(3600));
    let refused = key.says("hi").await.is(401);
    assert_eq!(
        refused["error"],
        json!({
            "message": "This API key has expired. Create another one.",
            "type": "invalid_request_error", "param": null, "code": "invalid_api_key",
        })
    );
    key.program.get("/v1/models").await.is(401);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn keys_use_only_their_models() {
    let api = scripted(&[("UNKNOWN_MODELS", "default")]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({ "models": ["deep"] })).await;
    assert_eq!(key.asks("deep", "hi").await.is(200)["model"], "deep");
    assert_eq!(key.asks("gpt-4o", "hi").await.is(200)["model"], "deep", "its first model");
    assert_eq!(key.asks("openai/DEEP", "hi").await.is(200)["model"], "deep");
    for other in ["quick", "QUICK", "openai/quick"] {
        key.asks(other, "hi").await.expect(404, "model_not_found");
    }
    let listed = key.program.get("/v1/models").await.is(200);
    let listed: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(listed, ["deep"]);
    key.program.get("/v1/models/quick").await.expect(404, "model_not_found");
    key.program.get("/v1/models/deep").await.is(200);
    // Without a price list, the key can't use any model.
    api.prices(&Value::Null).await;
    key.asks("deep", "hi").await.expect(404, "model_not_found");
    assert_eq!(key.program.get("/v1/models").await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn keys_are_restricted_by_the_model_behind_an_alias() {
    let api = Api::own(&[]).await;
    let mut list = list("scripted");
    list["models"][0]["aliases"] = json!(["claude-haiku-*", "gpt-4o"]);
    list["models"][1]["aliases"] = json!(["claude-*", "gpt-5"]);
    api.prices(&list).await;
    let ann = api.person("ann").await;
    let any = ann.gets_a_key(json!({})).await;
    let deep = ann.gets_a_key(json!({ "models": ["deep"] })).await;
    for (alias, model) in [("claude-opus-5-5", "deep"), ("gpt-5", "deep"), ("gpt-4o", "quick")] {
        let header = ("idempotency-key", alias);
        let body = json!({ "model": alias, "messages": [{ "role": "user", "content": "hi" }] });
        let answer = any.retries(header, &body).await.is(200);
        assert_eq!(answer["model"], model);
        let (new, replayed) = (deep.asks(alias, "hi").await, deep.retries(header, &body).await);
        match model {
            "deep" => {
                new.is(200);
                assert_eq!(replayed.is(200), answer);
            }
            _ => {
                new.expect(404, "model_not_found");
                replayed.expect(404, "model_not_found");
            }
        }
    }
    let listed = deep.program.get("/v1/models").await.is(200);
    let listed: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(listed, ["deep", "gpt-5"]);
    let one = deep.program.get("/v1/models/claude-opus-5-5").await.is(200);
    assert_eq!(one["canonical_slug"], "deep");
    for other in ["claude-haiku-5-5", "gpt-4o", "GPT-4O"] {
        deep.program.get(&format!("/v1/models/{other}")).await.expect(404, "model_not_found");
    }
}

#[tokio::test]
async fn keys_get_no_stored_answers_of_other_models() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let any = ann.gets_a_key(json!({})).await;
    let deep = ann.gets_a_key(json!({ "models": ["deep"] })).await;
    let messages = json!([{ "role": "user", "content": "hi" }]);
    // The first model of the list is `quick`, and the first model of the restricted key is `deep`.
    for body in
        [json!({ "messages": messages }), json!({ "messages": messages, "model": "gpt-4o" })]
    {
        let left = ann.balance().await;
        let key = format!("once-{left}");
        for (header, first, again) in
            [("idempotency-key", key.as_str(), key.as_str()), ("x-stainless-retry-count", "0", "1")]
        {
            let answer = any.retries((header, first), &body).await.is(200);
            assert_eq!(answer["model"], "quick");
            deep.retries((header, again), &body).await.expect(404, "model_not_found");
            assert_eq!(any.retries((header, again), &body).await.is(200), answer);
        }
        assert_eq!(ann.balance().await, left - 2 * PRICE);
    }
    let mut body = json!({ "messages": messages, "model": "deep" });
    let answer = any.retries(("idempotency-key", "deep"), &body).await.is(200);
    assert_eq!(deep.retries(("idempotency-key", "deep"), &body).await.is(200), answer);
    // A stored answer remains available even if its model is no longer in the list.
    let mut list = list("scripted");
    list["models"].as_array_mut().unwrap().remove(1);
    api.prices(&list).await;
    assert_eq!(deep.retries(("idempotency-key", "deep"), &body).await.is(200), answer);
    body["stream"] = json!(true);
    deep.retries(("idempotency-key", "other"), &body).await.expect(404, "model_not_found");
}

#[tokio::test]
async fn keys_and_credits_are_shown_in_openrouters_fields() {
    let api = at(Clock::standing(NOVEMBER), &[("CHATS_PER_MINUTE", "70")]).await;
    let ann = api.person("ann").await;
    let limit = json!({ "tokens": 250, "per": "month" });
    let key = ann.gets_a_key(json!({ "expires": "2026-12-31", "limit": limit })).await;
    let free = ann.gets_a_key(json!({})).await;
    key.says("hi").await.is(200);
    free.says("hi").await.is(200);
    let rate = |requests: u64| {
        json!({
            "requests": requests, "interval": "1m",
            "note": "All keys of the account share this limit.",
        })
    };
    let limited = json!({
        "label": "a program", "limit": 250, "limit_remaining": 250 - PRICE, "limit_reset": "monthly",
        "usage": PRICE, "expires_at": "2027-01-01T00:00:00.000Z", "is_free_tier": false,
        // Half of the account's limit.
        "rate_limit": rate(35),
    });
    let unlimited = |label: &str| {
        json!({
            "label": label, "limit": null, "limit_remaining": null, "limit_reset": null,
            "usage": 2 * PRICE, "expires_at": null, "is_free_tier": false, "rate_limit": rate(70),
        })
    };
    for (who, facts) in [
        (&key.program, limited),
        (&free.program, unlimited("a program")),
        (&ann, unlimited(&ann.name)),
    ] {
        for slash in ["", "/"] {
            let shown = who.get(&format!("/v1/key{slash}")).await.is(200);
            assert_eq!(shown, json!({ "data": facts }));
            let totals = json!({ "total_credits": GRANT, "total_usage": 2 * PRICE });
            let shown = who.get(&format!("/v1/credits{slash}")).await.is(200);
            assert_eq!(shown, json!({ "data": totals }));
        }
    }
    ann.delete(&format!("{PATH}/{}", key.id)).await.is(200);
    for path in ["/v1/key", "/v1/credits"] {
        key.program.get(path).await.expect(401, "invalid_api_key");
        api.get(path).await.expect(401, "invalid_api_key");
    }
}

#[tokio::test]
async fn sixty_four_parallel_chats_never_pass_a_limit() {
    // Keys with a limit can use half of the chats and refunds that the account is allowed.
    let settings = [("PARALLEL_CHATS", "64"), ("REFUNDS_PER_MINUTE", "64")];
    let api = Api::own(&settings).await;
    let ann = api.person("ann").await;
    api.adjust(&ann, 10_000, "for the test").await;
    let key = ann.gets_a_limited_key(2350).await;
    let answers = join_all((0..64).map(|_| key.says("hi"))).await;
    let answered = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(answered, 23);
    for refused in answers.into_iter().filter(|answer| answer.status != 200) {
        assert!([402, 429].contains(&refused.status.as_u16()), "{refused:?}");
    }
    assert_eq!([ann.spent(&key).await, ann.balance().await], [2300, GRANT + 10_000 - 2300]);
    ann.is_clean().await;
    // The rest remains available to another key and to the owner.
    ann.gets_a_limited_key(100).await.says("hi").await.is(200);
    ann.chat("hi").await.is(200);
}

#[tokio::test]
async fn reached_limits_are_refused_as_an_empty_balance() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(250).await;
    for _ in 0..2 {
        key.says("hi").await.is(200);
    }
    let refused = key.says("hi").await.is(402);
    assert_eq!(
        refused["error"],
        json!({
            "message": "You exceeded your current quota. This API key may spend 250 tokens, and has 50 left. This message can cost 100 tokens. Nothing was charged. Raise its limit, or use another key.",
            "type": "insufficient_quota", "param": null, "code": "insufficient_quota",
        })
    );
    // A key whose limit is below the price never places a hold.
    ann.gets_a_limited_key(99).await.says("hi").await.is(402);
    let program = ann.gets_a_key(json!({ "limit": { "tokens": 50, "per": "month" } })).await;
    let next = Day::from_millis(api.now() * 1000).next_month();
    let refused = program.says("hi").await.is(402)["error"]["message"].to_string();
    assert!(refused.contains(&format!("50 tokens in a month, and has 50 left. This message can cost 100 tokens. Nothing was charged. Wait until {next}, raise its limit, or use another key.")), "{refused}");
    ann.is_clean().await;

    let other = api.beside(&[("EMPTY_BALANCE_STATUS", "429")]).await;
    let key = Key { program: key.program.at(&other), ..key };
    assert_eq!(key.says("hi").await.is(429)["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn limits_begin_again_each_month() {
    let clock = Clock::standing(NOVEMBER);
    let api = at(clock.clone(), &[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({ "limit": { "tokens": 100, "per": "month" } })).await;
    key.says("hi").await.is(200);
    key.says("hi").await.is(402);
    clock.advance(Duration::from_secs(3600));
    let ann = ann.elsewhere("a browser").await;
    assert_eq!(ann.spent(&key).await, 0);
    key.says("hi").await.is(200);
    key.says("hi").await.is(402);
    ann.is_clean().await;
    // Months later, the purses of earlier months are removed.
    for _ in 0..3 {
        clock.advance(DAY * 31);
        key.says("hi").await.is(200);
    }
    let purses = api.account(&ann).await.purses.unwrap();
    let months: Vec<_> = purses.keys().map(|purse| purse.split_once('#').unwrap().1).collect();
    assert_eq!(months, ["2027-02", "2027-03"]);
    ann.is_clean().await;
}

#[tokio::test]
async fn credits_return_to_the_month_in_which_they_were_held() {
    let clock = Clock::standing(NOVEMBER);
    let api = at(clock.clone(), &[("AI_TIMEOUT_SECONDS", "5")]).await;
    api.prices(&list("scripted")).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({ "limit": { "tokens": 3000, "per": "month" } })).await;
    let purse = async |month: &str| {
        let purses = api.account(&ann).await.purses.unwrap();
        purses.get(&format!("{}#{month}", key.id)).map(|purse| purse.get())
    };
    // Setting the price list has advanced the clock by a minute.
    clock.advance(Duration::from_secs(3530));
    // Three chats begin in November and end in December: one is cheaper than its hold, one has a
    // flat fare, and one fails.
    let (cheap, flat, failed, ()) = tokio::join!(
        key.asks("deep", "!slow 3000"),
        key.asks("quick", "!slow 3000"),
        key.asks("deep", "!hang"),
        async {
            ann.has_waiting(3).await;
            clock.advance(Duration::from_secs(20));
        }
    );
    for answer in [cheap, flat] {
        answer.is(200);
    }
    failed.is(504);
    let spent: u64 = api.account(&ann).await.spent.get();
    assert_eq!([purse("2026-11").await, purse("2026-12").await], [Some(spent), None]);
    ann.is_clean().await;
}

#[tokio::test]
async fn refused_answers_return_to_the_limit() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(100).await;
    for _ in 0..3 {
        key.says("!fail").await.is(502);
        assert_eq!(ann.spent(&key).await, 0);
    }
    key.says("hi").await.is(200);
    key.says("hi").await.is(402);
    assert_eq!([ann.spent(&key).await, ann.balance().await], [100, GRANT - PRICE]);
    ann.is_clean().await;
}

#[tokio::test]
async fn the_rest_of_a_hold_returns_to_the_limit() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 400, 500));
    let key = ann.gets_a_limited_key(1000).await;
    key.asks("deep", "hi").await.is(200);
    assert_eq!(ann.spent(&key).await, 232);
    let hold = held(&ann.history("").await.is(200)[0]);
    assert!(hold > 232, "{hold}");
    // The limit must cover the longest answer.
    let small = ann.gets_a_limited_key(hold - 1).await;
    small.asks("deep", "hi").await.is(402);
    let enough = ann.gets_a_limited_key(hold).await;
    enough.asks("deep", "hi").await.is(200);
    ann.is_clean().await;
}

#[tokio::test]
async fn expired_holds_return_to_the_limit() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(100).await;
    // The hold of a function that crashed still contains the whole limit.
    let now = api.now();
    let hold = |expires_at: u64| json!({ "cost": 100, "owner": "dead", "expires_at": expires_at, "purse": format!("{}#total", key.id) });
    let account = api.account(&ann).await;
    let mut stored = serde_json::to_value(&account).unwrap();
    stored["reservations"] = json!({ "dead": hold(now + 3600) });
    stored["tokens"] = json!(GRANT - PRICE);
    stored["purses"][format!("{}#total", key.id)] = json!(100);
    crate::support::world::put(&api.dynamodb, "UsersTable", &[&stored]).await;
    key.says("hi").await.is(402);
    // The hold's lease expires, and the key's next chat first returns the held credits.
    stored["reservations"] = json!({ "dead": hold(now - 1) });
    crate::support::world::put(&api.dynamodb, "UsersTable", &[&stored]).await;
    key.says("hi").await.is(200);
    assert_eq!(ann.spent(&key).await, 100);
    api.store().sweep(now + 7200).await.unwrap();
    ann.is_clean().await;
}

#[tokio::test]
async fn keys_revoked_during_a_stream_lock_nothing() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "30")]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(100).await;
    let streamed = json!({
        "stream": true,
        "messages": [{ "role": "user", "content": "!words 200 one two three four five" }],
    });
    let (answer, ()) = tokio::join!(key.program.post("/v1/chat/completions", streamed), async {
        ann.has_waiting(1).await;
        ann.revokes(&key.id).await.is(200);
        key.says("hi").await.is(401);
    });
    let answer = answer.is(200).to_string();
    assert!(answer.contains("five") && answer.contains("[DONE]"), "{answer}");
    assert_eq!(ann.balance().await, GRANT - PRICE);
    ann.is_clean().await;
}

#[tokio::test]
async fn twenty_keys_of_an_account_have_a_limit() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let made =
        join_all((0..26).map(|_| ann.asks_for_a_key(json!({ "limit": { "tokens": 5 } })))).await;
    let mut ids = Vec::new();
    for answer in made {
        match answer.status.as_u16() {
            201 => ids.push(answer.body["id"].as_str().unwrap().to_owned()),
            _ => drop(answer.expect(409, "too_many_limited_keys")),
        }
    }
    assert_eq!(ids.len(), LIMITED_KEYS as usize);
    ann.makes_a_key("without a limit").await.is(201);
    // Revoking a key makes room for another key.
    ann.revokes(&ids[0]).await.is(200);
    let other = ann.gets_a_limited_key(100).await;
    other.says("hi").await.is(200);
    ann.asks_for_a_key(json!({ "limit": { "tokens": 5 } }))
        .await
        .expect(409, "too_many_limited_keys");
    assert_eq!(api.account(&ann).await.purses.unwrap().len(), LIMITED_KEYS as usize);
    ann.has_keys(LIMITED_KEYS + 1).await;
    ann.is_clean().await;
}

#[tokio::test]
async fn releases_without_restrictions_refuse_restricted_keys() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(100).await;
    let free = ann.gets_a_key(json!({})).await;
    let tokens = api.items(&ann.id).await["TokensTable"].clone();
    // The previous release compares the secret with this attribute.
    let hash = |key: &Key| {
        let pk = format!("apikey:{}", key.id);
        tokens.iter().find(|item| item["pk"] == pk.as_str()).unwrap()["hash"].clone()
    };
    assert_eq!(hash(&key), "");
    assert_eq!(hash(&free).as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn keys_can_be_renamed() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let key = ann.gets_a_limited_key(100).await;
    key.says("hi").await.is(200);
    let path = format!("{PATH}/{}", key.id);
    let rename = async |person: &Person, name: Value| {
        let bearer = person.bearer();
        let headers = [("authorization", bearer.as_str())];
        api.send(Method::PATCH, &path, &headers, Some(json!({ "name": name }))).await
    };
    let renamed = rename(&ann, json!(" laptop ")).await.is(200);
    assert_eq!([&renamed["name"], &renamed["limit"]["spent"]], [&json!("laptop"), &json!(100)]);
    assert_eq!(renamed, ann.shows(&key).await);
    key.says("hi").await.is(402);
    for bad in [json!(""), json!(null), json!("a\nb")] {
        rename(&ann, bad).await.expect(400, "invalid_fields");
    }
    rename(&ben, json!("mine")).await.expect(404, "not_found");
    ann.revokes(&key.id).await.is(200);
    rename(&ann, json!("gone")).await.expect(404, "not_found");
    assert_eq!(ann.api_keys().await, json!([]));
}

#[tokio::test]
async fn a_limits_tokens_can_be_changed() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(300).await;
    for _ in 0..2 {
        key.says("hi").await.is(200);
    }
    // Less than the key has spent: the next message is refused, and nothing is counted again.
    let lowered = ann.changes_key(&key, json!({ "limit": { "tokens": 150 } })).await.is(200);
    let limit = json!({ "tokens": 150, "per": "total", "spent": 200, "resets": null });
    assert_eq!(lowered["limit"], limit);
    assert_eq!(lowered, ann.shows(&key).await);
    let refused = key.says("hi").await.expect(402, "insufficient_quota")["error"]["message"].take();
    let words = "This API key may spend 150 tokens, and has 0 left.";
    assert!(refused.as_str().unwrap().contains(words), "{refused}");
    let shown = key.program.get("/v1/key").await.is(200)["data"].take();
    assert_eq!([&shown["limit"], &shown["limit_remaining"]], [&json!(150), &json!(0)]);

    // A retry of the change has the same effect.
    let change = json!({ "name": "build server", "limit": { "tokens": 400, "per": "total" } });
    for _ in 0..2 {
        let raised = ann.changes_key(&key, change.clone()).await.is(200);
        assert_eq!(
            [&raised["name"], &raised["limit"]["spent"]],
            [&json!("build server"), &json!(200)]
        );
    }
    for _ in 0..2 {
        key.says("hi").await.is(200);
    }
    key.says("hi").await.is(402);
    assert_eq!([ann.spent(&key).await, ann.balance().await], [400, GRANT - 4 * PRICE]);
    ann.is_clean().await;
}

#[tokio::test]
async fn a_monthly_limit_keeps_its_period_and_its_purses() {
    let clock = Clock::standing(NOVEMBER);
    let api = at(clock.clone(), &[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({ "limit": { "tokens": 100, "per": "month" } })).await;
    key.says("hi").await.is(200);
    let purses = api.account(&ann).await.purses;
    let limit = json!({ "tokens": 200, "per": "total" });
    let other = ann.changes_key(&key, json!({ "name": "renamed", "limit": limit })).await;
    other.expect(409, "other_limit_period");
    assert_eq!(ann.shows(&key).await["name"], "a program", "nothing was changed");
    key.says("hi").await.is(402);
    for limit in [json!({ "tokens": 200, "per": "month" }), json!({ "tokens": 200 })] {
        let changed = ann.changes_key(&key, json!({ "limit": limit })).await.is(200);
        let expected =
            json!({ "tokens": 200, "per": "month", "spent": 100, "resets": "2026-12-01" });
        assert_eq!(changed["limit"], expected);
    }
    assert_eq!(api.account(&ann).await.purses, purses);
    key.says("hi").await.is(200);
    key.says("hi").await.is(402);
    clock.advance(Duration::from_secs(3600));
    for _ in 0..2 {
        key.says("hi").await.is(200);
    }
    key.says("hi").await.is(402);
    ann.is_clean().await;
}

#[tokio::test]
async fn chats_under_way_keep_the_limit_of_their_reserve() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("AI_TIMEOUT_SECONDS", "30")]).await;
    let ann = api.person("ann").await;
    let usual = counted(1000, 400, 500);
    provider.does(usual.clone());
    ann.gets_a_key(json!({})).await.asks("deep", "hi").await.is(200);
    let hold = held(&ann.history("").await.is(200)[0]);
    let Does::Says(_, reply) = &usual else { unreachable!() };
    let reply = reply.to_string();
    // Each answer costs less than its hold. The rest returns to the purse, although the limit has
    // changed.
    for (change, next) in
        [(json!({ "limit": { "tokens": 1 } }), 402_u16), (json!({ "limit": null }), 200)]
    {
        let key = ann.gets_a_limited_key(hold).await;
        let before = ann.balance().await;
        let go_on = Arc::new(Notify::new());
        let (begin, rest) = reply.split_at(1);
        let pieces = [begin, rest].map(|piece| piece.to_owned().into()).to_vec();
        provider.does(Does::Waits(pieces, go_on.clone()));
        let (answered, ()) = tokio::join!(key.asks("deep", "hi"), async {
            ann.has_waiting(1).await;
            ann.changes_key(&key, change).await.is(200);
            go_on.notify_one();
        });
        answered.is(200);
        let spent = before - ann.balance().await;
        assert!((1..hold).contains(&spent), "{spent} of {hold}");
        let purse = api.account(&ann).await.purse(&format!("{}#total", key.id));
        assert_eq!(purse.get(), spent);
        provider.does(usual.clone());
        assert_eq!(key.asks("quick", "hi").await.status, next);
        ann.is_clean().await;
    }
}

#[tokio::test]
async fn a_limit_can_be_removed_but_not_added() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(100).await;
    key.says("hi").await.is(200);
    key.says("hi").await.is(402);
    for _ in 0..2 {
        let changed = ann.changes_key(&key, json!({ "limit": null })).await.is(200);
        assert_eq!(changed["limit"], json!(null));
        assert_eq!(changed, ann.shows(&key).await);
    }
    key.says("hi").await.is(200);
    ann.is_clean().await;

    // What these keys have spent isn't counted, so they can't get a limit.
    let never = ann.gets_a_key(json!({})).await;
    let expiring = ann.gets_a_key(json!({ "expires": "2999-12-31" })).await;
    for key in [&key, &never, &expiring] {
        for change in [
            json!({ "limit": { "tokens": 500 } }),
            json!({ "name": "limited", "limit": { "tokens": 500, "per": "month" } }),
        ] {
            ann.changes_key(key, change).await.expect(409, "no_key_limit");
        }
        let unchanged = ann.shows(key).await;
        assert_eq!([&unchanged["name"], &unchanged["limit"]], [&json!("a program"), &json!(null)]);
        assert_eq!(ann.changes_key(key, json!({ "limit": null })).await.is(200), unchanged);
        let renamed = ann.changes_key(key, json!({ "name": "free", "limit": null })).await.is(200);
        assert_eq!([&renamed["name"], &renamed["limit"]], [&json!("free"), &json!(null)]);
        key.says("hi").await.is(200);
    }
    assert_eq!(ann.shows(&expiring).await["expires"], "2999-12-31");
}

#[tokio::test]
async fn a_removed_limit_makes_room_for_another_key() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let mut keys = Vec::new();
    for _ in 0..LIMITED_KEYS {
        keys.push(ann.gets_a_limited_key(5).await);
    }
    let another = json!({ "limit": { "tokens": 5 } });
    ann.asks_for_a_key(another.clone()).await.expect(409, "too_many_limited_keys");
    ann.changes_key(&keys[0], json!({ "limit": null })).await.is(200);
    ann.asks_for_a_key(another.clone()).await.is(201);
    ann.asks_for_a_key(another).await.expect(409, "too_many_limited_keys");
    assert_eq!(api.account(&ann).await.purses.unwrap().len(), LIMITED_KEYS as usize);
    keys[0].says("hi").await.is(200);
    ann.is_clean().await;
}

#[tokio::test]
async fn invalid_changes_of_keys_change_nothing() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let key = ann.gets_a_limited_key(500).await;
    let before = ann.shows(&key).await;
    for (change, field) in [
        (json!({}), "name"),
        (json!({ "name": null }), "name"),
        (json!({ "name": "", "limit": { "tokens": 5 } }), "name"),
        (json!({ "name": "laptop", "limit": {} }), "limit.tokens"),
        (json!({ "limit": { "tokens": 0 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": null } }), "limit.tokens"),
        (json!({ "limit": { "tokens": -1 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": 1.5 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": Credits::MAX.get() + 1 } }), "limit.tokens"),
        (json!({ "limit": { "tokens": 5, "per": "day" } }), "limit.per"),
        (json!({ "limit": 5 }), "limit"),
    ] {
        let refused = ann.changes_key(&key, change).await.expect(400, "invalid_fields");
        let fields: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
        assert_eq!(fields, [field], "{refused}");
    }
    ben.changes_key(&key, json!({ "limit": { "tokens": 5 } })).await.expect(404, "not_found");
    ben.changes_key(&key, json!({ "limit": null })).await.expect(404, "not_found");
    assert_eq!(ann.shows(&key).await, before);
    // A program can't change its own key.
    let bearer = key.program.bearer();
    let headers = [("authorization", bearer.as_str())];
    let path = format!("{PATH}/{}", key.id);
    let body = json!({ "limit": null });
    api.send(Method::PATCH, &path, &headers, Some(body)).await.is(401);
    ann.revokes(&key.id).await.is(200);
    for change in [json!({ "limit": { "tokens": 5 } }), json!({ "limit": null })] {
        ann.changes_key(&key, change).await.expect(404, "not_found");
    }
    assert_eq!(ann.api_keys().await, json!([]));
}

#[tokio::test]
async fn the_last_use_is_noted_once_a_day() {
    let clock = Clock::standing(NOVEMBER);
    let api = at(clock.clone(), &[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_key(json!({})).await;
    key.says("!fail").await.is(502);
    assert_eq!(ann.shows(&key).await["last_used"], "2026-11-30");
    let stored = async || {
        let stored: StoredApiKey = api.store().api_key(&key.id).await.unwrap().unwrap();
        stored
    };
    let noted = stored().await;
    key.says("hi").await.is(200);
    assert_eq!(stored().await, noted);
    clock.advance(Duration::from_secs(3600));
    key.says("hi").await.is(200);
    let ann = ann.elsewhere("a browser").await;
    assert_eq!(ann.shows(&key).await["last_used"], "2026-12-01");
}

#[tokio::test]
async fn purses_that_differ_from_the_ledger_are_found() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.gets_a_limited_key(1000).await;
    key.says("hi").await.is(200);
    let purse = format!("{}#total", key.id);
    for planted in [0, 200] {
        let map = [(purse.clone(), AttributeValue::N(planted.to_string()))].into();
        api.set(&ann, "purses", AttributeValue::M(map)).await;
        let found = api.store().audit(&ann.name).await.unwrap().differences;
        let difference =
            Difference::Purse { purse: purse.clone(), account: planted.into(), accounted: 100 };
        assert_eq!(found, [difference]);
    }
    // Without the purse, the whole limit could be spent again.
    api.set(&ann, "purses", AttributeValue::M(Default::default())).await;
    let found = api.store().audit(&ann.name).await.unwrap().differences;
    assert_eq!(found, [Difference::Purse { purse: purse.clone(), account: 0, accounted: 100 }]);
    // A revoked key no longer has a limit.
    ann.revokes(&key.id).await.is(200);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}
