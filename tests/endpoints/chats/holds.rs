//! Holds by usage: how much is held, and what happens if the price of an answer exceeds its hold.

use std::time::Duration;

use serde_json::{Value, json};
use shared::charge::prompt_overhead;
use shared::telemetry::metrics::Metric;
use shared::values::{CacheWrites, Factor, TokenEstimate};

use crate::ai::providers::Provider;
use crate::endpoints::chats::fares::{RATES, counted, held, list, priced, scripted};
use crate::endpoints::openai::completions::{Program, asking};
use crate::portable::chat_stop::free_work;
use crate::support::client::{Api, GRANT, Person};
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
    let high = factor.of(TokenEstimate::high_of(message)).min(bound);
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

/// The credits that were held for the person's newest chat.
async fn newest_hold(person: &Person) -> u64 {
    held(&person.history("").await.is(200)[0])
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
