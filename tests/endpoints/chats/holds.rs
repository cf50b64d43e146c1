//! Holds by usage: how much is held, and what happens if the price of an answer exceeds its hold.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::charge::prompt_overhead;
use shared::telemetry::metrics::Metric;
use shared::values::{CacheWrites, Factor, TokenEstimate};

use crate::ai::providers::Provider;
use crate::endpoints::chats::fares::{RATES, counted, held, list, newest_hold, priced, scripted};
use crate::endpoints::openai::completions::{Program, asking};
use crate::portable::chat_stop::free_work;
use crate::support::client::{Api, GRANT, PRICE, Person};
use crate::support::log::{self, recorded};

/// The maximum number of model tokens in the answers of these requests.
const MOST: u64 = 100;

/// A day in milliseconds.
const DAY: u64 = 86_400_000;

/// A text of which tokenizers make about four times as many model tokens as of English.
fn odd() -> String {
    "q#Z9^x ".repeat(400)
}

/// The high count and the bound of a prompt that consists of this message.
fn counts(message: &str, factor: Factor) -> [u64; 2] {
    let overhead = prompt_overhead(None, None);
    let bound = message.len();
    let high = factor.times(TokenEstimate::high_of(message)).min(bound);
    [overhead.high + high as u64, overhead.bound + bound as u64]
}

/// The price of this many model tokens in a prompt, with the longest answer.
fn whole(prompt: u64) -> u64 {
    RATES.bound(prompt, MOST, CacheWrites::Excluded).get()
}

fn asks(message: &str) -> Value {
    let mut body = asking(message);
    (body["model"], body["max_tokens"]) = (json!("deep"), json!(MOST));
    body
}

/// What the person's messages have cost above their holds in this month.
async fn underheld(api: &Api, person: &Person) -> u64 {
    free_work(&api.account(person).await, "h")
}

async fn is_in_order(api: &Api, person: &Person) {
    assert_eq!(api.store().audit(&person.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_hold_covers_the_high_count_and_the_whole_answer() {
    let provider = Provider::start().await;
    let mut prices = list("openai");
    let api = priced(&provider, &prices, &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(300, 0, 10));
    let message = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let said = [
        // The name of the provider's model says nothing about its tokenizer.
        ("openai", json!(null), Factor::SECRET),
        ("openai:gpt-5", json!(null), Factor::ONE),
        (
            "openai:gpt-5",
            json!({ "text": 1.5, "functions": 1 }),
            Factor::parse(&json!(1.5)).unwrap(),
        ),
    ];
    for (via, counts_as, factor) in said {
        let deep = &mut prices["models"][1];
        (deep["via"], deep["counts_as"]) = (json!([via]), counts_as.clone());
        if counts_as.is_null() {
            deep.as_object_mut().unwrap().remove("counts_as");
        }
        api.prices(&prices).await;
        program.send(&[], asks(&message)).await.is(200);
        let [high, bound] = counts(&message, factor);
        assert_eq!(newest_hold(&ann).await, whole(high), "{via}");
        assert!(2 * whole(high) < whole(bound) + whole(0), "{high} of {bound}");
    }
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn a_price_above_the_hold_is_counted_once_for_the_month() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    log::clear();
    let message = odd();
    let [high, bound] = counts(&message, Factor::SECRET);
    assert!(high < bound, "{high} of {bound}");
    provider.does(counted(bound, 0, MOST));
    program.send(&[], asks(&message)).await.is(200);
    let hold = newest_hold(&ann).await;
    let above = whole(bound) - hold;
    assert_eq!((hold, ann.balance().await), (whole(high), GRANT - hold));
    assert_eq!(underheld(&api, &ann).await, above);
    assert_eq!(recorded(Metric::Underheld, None), (1, above));
    assert_eq!(recorded(Metric::Charged, None), (1, hold));
    assert_eq!(recorded(Metric::Uncovered, None), (0, 0));
    assert_eq!(api.refunds(&ann).await, (0, 0), "it isn't free work");

    // An answer above its limit counts up to the limit.
    provider.does(counted(bound, 0, 10 * MOST));
    program.send(&[], asks(&message)).await.is(200);
    assert_eq!(underheld(&api, &ann).await, 2 * above);
    // A prompt can't have more model tokens than its bound.
    provider.does(counted(bound + 1, 0, MOST));
    program.send(&[], asks(&message)).await.is(200);
    assert_eq!(underheld(&api, &ann).await, 2 * above);
    assert_eq!(recorded(Metric::Uncovered, None).0, 2);
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn max_cost_lowers_the_hold_and_not_the_ceiling() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let [high, bound] = counts("hi", Factor::SECRET);
    provider.does(counted(bound, 0, 64));
    let least = RATES.bound(high, 64, CacheWrites::Excluded).get();
    let body = json!({ "model": "deep", "message": "hi", "max_cost": least });
    let chat = ann.post("/api/chat/", body).await.is(200);
    assert_eq!((held(&chat), &chat["tokens_deducted"]), (least, &json!(least)));
    let price = RATES.price(bound, 0, 0, 64).get();
    assert_eq!(underheld(&api, &ann).await, price - least);
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn above_the_limit_the_bound_is_held_until_the_month_ends() {
    let provider = Provider::start().await;
    let message = odd();
    let [high, bound] = counts(&message, Factor::SECRET);
    let above = whole(bound) - whole(high);
    let limit = (2 * above - 1).to_string();
    let api = priced(&provider, &list("openai"), &[("FREE_WORK", &limit)]).await;
    let clock = &api.server().clock;
    clock.advance(Duration::from_millis(DAY - clock.millis() % DAY));
    let (ann, root) = (api.person("ann").await, api.administrator("root").await);
    let program = Program::of(&ann).await;
    provider.does(counted(bound, 0, MOST));
    let asks = async |holds: [u64; 3]| {
        for hold in holds {
            program.send(&[], asks(&message)).await.is(200);
            assert_eq!(newest_hold(&ann.elsewhere("laptop").await).await, hold);
        }
    };
    // Nobody is refused: above the limit, the bound is held.
    asks([whole(high), whole(high), whole(bound)]).await;
    assert_eq!(underheld(&api, &ann).await, 2 * above);

    // An administrator may remove the count.
    let unlock = json!({ "unlock": true, "reason": "an outage" });
    root.patch(&format!("/api/admin/users/{}", ann.id), unlock).await.is(200);
    assert_eq!(underheld(&api, &ann).await, 0);
    asks([whole(high), whole(high), whole(bound)]).await;

    // The next month begins without a count, and removes the old one.
    clock.advance(Duration::from_millis(31 * DAY));
    asks([whole(high), whole(high), whole(bound)]).await;
    assert_eq!(underheld(&api, &ann).await, 2 * above);
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn a_limit_that_is_reached_needs_the_balance_for_the_bound() {
    let provider = Provider::start().await;
    let message = odd();
    let [high, bound] = counts(&message, Factor::SECRET);
    let grant = whole(high) + whole(bound) - 1;
    let settings = [("FREE_WORK", "1"), ("FIRST_GRANT", &grant.to_string())];
    let api = priced(&provider, &list("openai"), &settings).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(bound, 0, MOST));
    program.send(&[], asks(&message)).await.is(200);
    assert_eq!(ann.balance().await, whole(bound) - 1);
    program.send(&[], asks(&message)).await.expect(402, "insufficient_quota");
    // A shorter answer needs less.
    let mut shorter = asks(&message);
    shorter["max_tokens"] = json!(MOST - 10);
    program.send(&[], shorter).await.is(200);
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn parallel_messages_never_pay_above_their_holds() {
    let provider = Provider::start().await;
    let message = odd();
    let [high, bound] = counts(&message, Factor::SECRET);
    let above = whole(bound) - whole(high);
    let (grant, limit) = (20 * whole(high), 3 * above);
    let [grant_setting, limit_setting] = [grant, limit].map(|credits| credits.to_string());
    let settings = [
        ("FIRST_GRANT", grant_setting.as_str()),
        ("FREE_WORK", limit_setting.as_str()),
        ("PARALLEL_CHATS", "64"),
    ];
    let api = priced(&provider, &list("openai"), &settings).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(bound, 0, MOST));
    let replies = join_all((0..64).map(|_| program.send(&[], asks(&message)))).await;
    let mut answered = 0;
    for reply in replies {
        match reply.status.as_u16() {
            200 => answered += 1,
            _ => drop(reply.expect(402, "insufficient_quota")),
        }
    }
    let chats = ann.history("?limit=100").await.is(200);
    let chats = chats.as_array().unwrap();
    assert_eq!(chats.len(), answered);
    assert!(chats.iter().all(|chat| chat["tokens_deducted"] == held(chat)), "{chats:?}");
    let left = ann.balance().await;
    assert_eq!(chats.iter().map(held).sum::<u64>(), grant - left);
    assert!(left < whole(bound), "{left} would have paid for another answer");
    // The messages that are under way when the limit is reached may still exceed their holds.
    let counted = underheld(&api, &ann).await;
    let under_way = chats.iter().filter(|chat| held(chat) == whole(high)).count() as u64;
    assert_eq!(counted, under_way * above);
    assert!(counted >= limit, "{counted} of {limit}");
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn work_that_no_user_pays_for_counts_up_to_the_ceiling() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = asks("!ends error 1000 0 64");
    body["max_tokens"] = json!(64);
    program.send(&[], body).await.is(502);
    let work = RATES.price(1000, 0, 0, 64).get();
    let [high, _] = counts("!ends error 1000 0 64", Factor::ONE);
    assert!(work > RATES.bound(high, 64, CacheWrites::Possible).get());
    assert_eq!(api.refunds(&ann).await, (1, work));
    assert_eq!(underheld(&api, &ann).await, 0, "it counts once");
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn refusals_tell_the_usual_and_the_highest_price() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", "50")]).await;
    let ann = api.person("ann").await;
    let message = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let [high, bound] = counts(&message, Factor::SECRET);
    let refused = ann.asks_model("deep", &message).await.expect(402, "insufficient_tokens");
    let least = RATES.bound(high, 64, CacheWrites::Excluded).get();
    let most = RATES.bound(bound, 1024, CacheWrites::Excluded).get();
    assert_eq!([&refused["cost"], &refused["most"]], [least, most]);
    let usual = refused["prompt"].as_u64().unwrap();
    assert!((1..least).contains(&usual), "{refused}");
    let body = json!({ "model": "deep", "message": message, "max_cost": 1 });
    let too_dear = ann.post("/api/chat/", body).await.expect(409, "costs_more");
    for field in ["cost", "prompt", "most"] {
        assert_eq!(too_dear[field], refused[field], "{field}");
    }
    // A flat price has no other numbers.
    let flat = ann.asks_model("quick", "hi").await.expect(402, "insufficient_tokens");
    assert!(flat.get("prompt").is_none() && flat.get("most").is_none(), "{flat}");
    assert_eq!(provider.times_asked(), 0);
}

#[tokio::test]
async fn a_refused_conversation_is_accepted_as_soon_as_it_may_be() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", "1000")]).await;
    let ann = api.person("ann").await;
    provider.says("Hello.");
    let first = ann.asks_model("quick", &"a b c ".repeat(1000)).await.is(200);
    let mut body = json!({
        "model": "deep", "message": "hi", "max_cost": 1,
        "conversation_id": first["conversation_id"],
    });
    let mut costs = Vec::new();
    for _ in 0..3 {
        let refused = ann.post("/api/chat/", body.clone()).await.expect(409, "costs_more");
        costs.push(refused["cost"].as_u64().unwrap());
    }
    // Only the first refusal has read the conversation. The others name what surely suffices.
    assert!(costs[0] < costs[1] && costs[1] == costs[2], "{costs:?}");
    body["max_cost"] = json!(costs[0]);
    ann.post("/api/chat/", body.clone()).await.is(200);

    let balance = ann.balance().await;
    api.adjust(&ann, 1 - i64::try_from(balance).unwrap(), "a correction").await;
    body.as_object_mut().unwrap().remove("max_cost");
    for _ in 0..3 {
        ann.post("/api/chat/", body.clone()).await.expect(402, "insufficient_tokens");
    }
    // Bought credits are accepted at once.
    api.adjust(&ann, 500, "bought").await;
    ann.post("/api/chat/", body).await.is(200);
    is_in_order(&api, &ann).await;
}

#[tokio::test]
async fn whatever_lifts_a_refusal_is_accepted_at_once() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", "1000")]).await;
    let (ann, root) = (api.person("ann").await, api.administrator("root").await);
    let program = Program::of(&ann).await;
    let batch = json!({ "name": "Spring campaign", "tokens": 500, "count": 1 });
    let voucher = root.post("/api/admin/vouchers/", batch).await.is(201)["codes"][0].clone();
    provider.says("Hello.");
    let file = json!({ "name": "a.txt", "text": "a b c ".repeat(1000) });
    let body = json!({ "model": "quick", "message": "hi", "attachments": [file] });
    let first = ann.post("/api/chat/", body).await.is(200);
    let conversation = first["conversation_id"].as_str().unwrap();
    let asks_there = async |model: &str| {
        let body = json!({ "model": model, "message": "hi", "conversation_id": conversation });
        ann.post("/api/chat/", body).await
    };
    let is_refused = async || {
        let balance = i64::try_from(ann.balance().await).unwrap();
        api.adjust(&ann, i64::try_from(PRICE).unwrap() - balance, "a correction").await;
        for _ in 0..3 {
            asks_there("deep").await.expect(402, "insufficient_tokens");
        }
    };

    is_refused().await;
    ann.asks_model("deep", "hi").await.is(200);
    is_refused().await;
    asks_there("quick").await.is(200);
    is_refused().await;
    program.send(&[], asks("hi")).await.is(200);
    is_refused().await;
    ann.post("/api/user/vouchers/", json!({ "code": voucher })).await.is(200);
    asks_there("deep").await.is(200);
    is_refused().await;
    let of_conversation = format!("/api/conversations/{conversation}");
    let files = ann.get(&of_conversation).await.is(200)["files"].clone();
    ann.patch(&of_conversation, json!({ "remove_files": [files[0]["id"]] })).await.is(200);
    asks_there("deep").await.is(200);
    is_in_order(&api, &ann).await;
}
