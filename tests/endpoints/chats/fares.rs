//! `POST /api/chat` and `POST /api/chat/stream` with a price list: the model, its fare, the hold,
//! the charge and the receipt.

use std::sync::Arc;

use emulator::dynamo::Data;
use local::server::Server;
use serde_json::{Value, json};
use shared::Credits;
use shared::charge::prompt_overhead;
use shared::clock::Clock;
use shared::telemetry::metrics::Metric;
use shared::values::{CacheWrites, Factor, PriceList, Rates, TokenEstimate};
use tokio::sync::Notify;

use crate::ai::providers::{Does, Provider, chunk, done};
use crate::portable::chat_stop::{PATIENT, all};
use crate::support::client::{Answer, Api, GRANT, PRICE, PRICES_KEPT, Person};
use crate::support::log::{self, recorded};
use crate::support::world::put;

const PATH: &str = "/api/chat/";

/// The `deep` model's rates.
pub const RATES: Rates = Rates { input: 50_000, cached: 5000, write: None, output: 400_000 };

/// The default maximum number of model tokens in an answer.
const MOST: u64 = 1024;

/// The minimum number of model tokens that a hold must allow for an answer.
const LEAST: u64 = 64;

pub fn by_usage() -> Value {
    json!({ "input": RATES.input, "cached": RATES.cached, "output": RATES.output })
}

/// A price list with two models: `quick`, which has a flat fare, and `deep`, which is charged by
/// usage.
pub fn list(via: &str) -> Value {
    list_through(&[via])
}

/// The price list from [`list`], with several providers for each model.
pub fn list_through(via: &[&str]) -> Value {
    json!({ "models": [
        { "name": "quick", "via": via, "fare": { "message": PRICE } },
        { "name": "deep", "via": via, "fare": by_usage() },
    ]})
}

/// The rate of the tokens that a provider writes into its cache, in [`list_with_writes`].
const WRITE: u64 = 62_500;

/// The price list from [`list`], in which `deep` has a rate for cache writes.
pub fn list_with_writes(via: &str) -> Value {
    list_with_writes_through(&[via])
}

/// The price list from [`list_with_writes`], with several providers for each model.
pub fn list_with_writes_through(via: &[&str]) -> Value {
    let mut list = list_through(via);
    list["models"][1]["fare"]["write"] = json!(WRITE);
    list
}

/// Adds the model `small` for embeddings to a price list. Each model token costs a credit.
pub fn with_embeddings(mut list: Value, via: &str) -> Value {
    let fare = json!({ "input": 1_000_000 });
    let small = json!({ "name": "small", "kind": "embedding", "via": [via], "fare": fare });
    list["models"].as_array_mut().unwrap().push(small);
    list
}

/// A price list in which both models cost more than in [`list`].
fn dear_list(via: &str) -> Value {
    json!({ "models": [
        { "name": "quick", "via": [via], "fare": { "message": 2 * PRICE } },
        { "name": "deep", "via": [via], "fare": { "input": 100_000, "cached": 0, "output": 800_000 } },
    ]})
}

fn version(list: &Value) -> String {
    PriceList::read(list).unwrap().version()
}

/// A provider's answer with these model token counts.
pub fn counted(prompt: u64, cached: u64, answer: u64) -> Does {
    let message = json!({ "role": "assistant", "content": "Hello." });
    let choice = json!({ "message": message, "finish_reason": "stop" });
    let usage = usage_of(prompt, cached, answer);
    Does::Says(200, json!({ "model": "tiny-1", "choices": [choice], "usage": usage }))
}

/// Like [`counted`], but the provider has written a part of the prompt into its cache.
pub fn counted_with_writes(prompt: u64, cached: u64, written: u64, answer: u64) -> Does {
    let Does::Says(status, mut body) = counted(prompt, cached, answer) else { unreachable!() };
    body["usage"]["prompt_tokens_details"]["cache_write_tokens"] = json!(written);
    Does::Says(status, body)
}

fn usage_of(prompt: u64, cached: u64, answer: u64) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}

/// Starts a server that calls this provider, with this price list and these settings.
pub async fn priced(provider: &Provider, list: &Value, settings: &[(&str, &str)]) -> Api {
    let url = format!("{}/v1", provider.url);
    let asking =
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "tiny")];
    let api = Api::own(&[&asking[..], settings].concat()).await;
    api.prices(list).await;
    api
}

/// Starts a server with the scripted AI and the price list from [`list`].
pub async fn scripted(settings: &[(&str, &str)]) -> Api {
    let api = Api::own(settings).await;
    api.prices(&list("scripted")).await;
    api
}

/// The high count of the prompt `hi` in a new conversation, in model tokens.
fn hi() -> u64 {
    prompt_overhead(None, None).high + 2
}

/// The high count of a text for a provider whose model has an unknown name.
fn high(text: &str) -> u64 {
    let high = Factor::SECRET.times(TokenEstimate::high_of(text)).min(text.len());
    u64::try_from(high).unwrap()
}

/// The price of this prompt with the shortest answer that a hold must cover.
fn least(prompt: u64) -> u64 {
    RATES.bound(prompt, LEAST, CacheWrites::Excluded).get()
}

/// The price of the model tokens that a reply reports.
pub fn price(usage: &Value) -> u64 {
    price_by(RATES, usage)
}

/// The price of these model tokens under [`list_with_writes`].
pub fn price_with_writes(usage: &Value) -> u64 {
    price_by(Rates { write: Some(WRITE), ..RATES }, usage)
}

fn price_by(rates: Rates, usage: &Value) -> u64 {
    let number = |field: &str| usage[field].as_u64().unwrap_or(0);
    let [prompt, cached, written, answer] =
        ["prompt_tokens", "cached_tokens", "written_tokens", "completion_tokens"].map(number);
    rates.price(prompt, cached, written, answer).get()
}

pub fn held(chat: &Value) -> u64 {
    chat["receipt"]["held"].as_u64().unwrap_or_else(|| panic!("no receipt: {chat}"))
}

/// The credits that were held for the person's newest chat.
pub async fn newest_hold(person: &Person) -> u64 {
    held(&person.history("").await.is(200)[0])
}

impl Person {
    /// Sends a message to a model.
    pub async fn asks_model(&self, model: &str, message: &str) -> Answer {
        self.post(PATH, json!({ "model": model, "message": message })).await
    }

    /// Sends `hi` to `deep`, for at most this price.
    async fn pays_at_most(&self, max_cost: u64) -> Answer {
        self.post(PATH, json!({ "model": "deep", "message": "hi", "max_cost": max_cost })).await
    }

    async fn asks_once(&self, key: &str, mut body: Value) -> Answer {
        body["message"] = json!("hi");
        self.post_once(key, PATH, body).await
    }

    /// Asserts that nothing is held, that the balance is `left`, and that the audit finds no
    /// difference.
    async fn is_settled(&self, left: u64) {
        let account = self.api.account(self).await;
        assert!(account.reservations.is_empty(), "{account:?}");
        assert_eq!(account.tokens.get(), left, "{account:?}");
        assert_eq!(self.api.store().audit(&self.name).await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn chats_are_charged_their_usage_and_the_rest_returns() {
    let provider = Provider::start().await;
    let list = list("openai");
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 400, 500));
    let chat = ann.asks_model("deep", "hi").await.is(200);
    // 600 x 0.05 + 400 x 0.005 + 500 x 0.4
    assert_eq!(
        [&chat["tokens_deducted"], &chat["tokens_left"], &chat["model"]],
        [&json!(232), &json!(GRANT - 232), &json!("deep")]
    );
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 400, "estimated": false,
    });
    let receipt = json!({
        "prices": version(&list), "model": "deep", "fare": by_usage(), "held": held(&chat),
    });
    let kept = ann.history("").await.is(200)[0].clone();
    for shown in [&chat, &kept] {
        assert_eq!([&shown["usage"], &shown["receipt"]], [&usage, &receipt]);
        assert_eq!([&shown["tokens_deducted"], &shown["model"]], [&json!(232), &json!("deep")]);
    }
    let row = ann.get("/api/user/ledger/").await.is(200)[0].clone();
    assert_eq!([&row["amount"], &row["chat_id"]], [&json!(-232), &chat["id"]]);
    assert_eq!([&row["model"], &row["usage"], &row["fare"]], [&json!("deep"), &usage, &by_usage()]);
    let items = api.items(&ann.id).await;
    let entry = items["LedgerTable"].iter().find(|row| row["kind"] == "chat").unwrap();
    assert_eq!(entry["model"], "tiny-1", "the ledger also keeps the provider's model");
    assert_eq!(api.account(&ann).await.spent.get(), 232);
    ann.is_settled(GRANT - 232).await;
}

#[tokio::test]
async fn cache_writes_are_charged_at_their_own_rate() {
    let provider = Provider::start().await;
    let mut list = list_with_writes("openai");
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted_with_writes(1000, 400, 500, 500));
    let chat = ann.asks_model("deep", "hi").await.is(200);
    // 100 x 0.05 + 400 x 0.005 + 500 x 0.0625 + 500 x 0.4, rounded up.
    assert_eq!(chat["tokens_deducted"], 239);
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 400,
        "written_tokens": 500, "estimated": false,
    });
    let fare = list["models"][1]["fare"].clone();
    assert_eq!([&chat["usage"], &chat["receipt"]["fare"]], [&usage, &fare]);
    let row = ann.get("/api/user/ledger/").await.is(200)[0].clone();
    assert_eq!([&row["amount"], &row["usage"], &row["fare"]], [&json!(-239), &usage, &fare]);
    let csv = ann.get_csv("/api/user/ledger/").await.is(200).as_str().unwrap().to_owned();
    let columns = r#","prompt_tokens","cached_tokens","completion_tokens","written_tokens","#;
    assert!(csv.contains(columns) && csv.contains(r#","1000","400","500","500","#), "{csv}");
    ann.is_settled(GRANT - 239).await;

    // Without a rate of their own, they cost as much as the rest of the prompt.
    list["models"][1]["fare"] = by_usage();
    api.prices(&list).await;
    let chat = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!([&chat["tokens_deducted"], &chat["usage"]], [&json!(232), &usage]);
    ann.is_settled(GRANT - 239 - 232).await;
}

#[tokio::test]
async fn a_hold_covers_writes_that_the_provider_may_make() {
    let api = Api::own(&[("AI_PROVIDER", "scripted,echo")]).await;
    let ann = api.person("ann").await;
    let mut holds = Vec::new();
    for list in [list("scripted"), list_with_writes("echo"), list_with_writes("scripted")] {
        api.prices(&list).await;
        holds.push(held(&ann.asks_model("deep", "hi").await.is(200)));
    }
    // Echo doesn't write into a cache.
    assert_eq!(holds[0], holds[1]);
    let rates = Rates { write: Some(WRITE), ..RATES };
    let more = |prompt: u64| prompt * (WRITE - RATES.input) / 1_000_000;
    assert!(holds[2] >= holds[1] + more(hi()), "{holds:?}");
    assert!(holds[2] >= rates.bound(hi(), MOST, CacheWrites::Possible).get(), "{holds:?}");
    // The scripted provider writes into its cache unasked, up to the whole bound.
    let chat = ann.asks_model("deep", "!used 1000 0+1000 1024 hi").await.is(200);
    assert_eq!(chat["tokens_deducted"], rates.price(1000, 0, 1000, 1024).get());
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn the_hold_covers_the_longest_answer() {
    let api = scripted(&[("AI_TIMEOUT_SECONDS", "5")]).await;
    let ann = api.person("ann").await;
    let message = "!slow 2000 hi";
    let (chat, reserved) = tokio::join!(ann.asks_model("deep", message), async {
        ann.is_waiting().await;
        api.account(&ann).await
    });
    let amounts: Vec<u64> = reserved.reservations.values().map(|held| held.cost.get()).collect();
    let chat = chat.is(200);
    assert_eq!(amounts, [held(&chat)]);
    assert_eq!(reserved.tokens.get(), GRANT - held(&chat));
    let prompt = prompt_overhead(None, None).high + u64::try_from(message.len()).unwrap();
    assert!(held(&chat) >= RATES.bound(prompt, MOST, CacheWrites::Excluded).get(), "{chat}");
    assert_eq!(chat["tokens_deducted"], price(&chat["usage"]));
    ann.is_settled(GRANT - price(&chat["usage"])).await;
}

#[tokio::test]
async fn the_model_chooses_the_provider_and_the_fare() {
    let provider = Provider::start().await;
    let mut list = list("openai");
    list["models"][1]["via"] = json!(["openai:large"]);
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 0, 500));
    for model in [Value::Null, json!(""), json!("quick")] {
        let chat = ann.post(PATH, json!({ "model": model, "message": "hi" })).await.is(200);
        assert_eq!([&chat["model"], &chat["tokens_deducted"]], [&json!("quick"), &json!(PRICE)]);
        let fare = json!({ "message": PRICE });
        assert_eq!((&chat["receipt"]["fare"], held(&chat)), (&fare, PRICE));
        assert_eq!(provider.last_asked().2["model"], "tiny");
    }
    for deep in ["deep", "Deep"] {
        let chat = ann.asks_model(deep, "hi").await.is(200);
        assert_eq!([&chat["model"], &chat["tokens_deducted"]], [&json!("deep"), &json!(250)]);
        assert_eq!(provider.last_asked().2["model"], "large");
    }
    ann.is_settled(GRANT - 3 * PRICE - 2 * 250).await;
}

#[tokio::test]
async fn unknown_models_are_refused_by_name() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    for unknown in ["tiny", "Dee", "deep "] {
        for path in [PATH, "/api/chat/stream/"] {
            let body = json!({ "model": unknown, "message": "hi" });
            let refused = ann.post(path, body).await.expect(400, "invalid_fields");
            assert!(refused["errors"]["model"][0].is_string(), "{refused}");
        }
    }
    ann.is_settled(GRANT).await;
}

#[tokio::test]
async fn without_a_list_the_model_is_ignored() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let chat = ann.asks_once("k1", json!({ "model": "deep" })).await.is(200);
    assert_eq!([&chat["model"], &chat["tokens_deducted"]], [&json!("scripted"), &json!(PRICE)]);
    assert!(chat.get("receipt").is_none(), "{chat}");
    // An idempotency key identifies a request together with the model that it names, so a replay
    // still works after a price list is set.
    ann.asks_once("k1", json!({})).await.expect(422, "idempotency_key_reused");
    let row = ann.get("/api/user/ledger/").await.is(200)[0].clone();
    for field in ["model", "usage", "fare"] {
        assert!(row.get(field).is_none(), "{row}");
    }
    let refused = ann.pays_at_most(PRICE - 1).await.expect(409, "costs_more");
    assert_eq!(refused["cost"], PRICE);
    ann.pays_at_most(PRICE).await.is(200);
    ann.is_settled(GRANT - 2 * PRICE).await;
}

#[tokio::test]
async fn max_cost_shortens_the_answer_and_is_never_exceeded() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 0, 500));
    let chat = ann.pays_at_most(100).await.is(200);
    let tokens = RATES.affords(Credits::new(100).unwrap(), hi(), CacheWrites::Excluded).unwrap();
    assert!((LEAST..MOST).contains(&tokens), "{tokens}");
    assert_eq!(provider.last_asked().2["max_tokens"], tokens);
    assert_eq!([&chat["tokens_deducted"], &chat["receipt"]["held"]], [100, 100]);
    assert_eq!(chat["receipt"]["shortened"], true);
    assert_eq!(ann.history("").await.is(200)[0]["receipt"], chat["receipt"]);

    // The lowest price that covers the longest answer.
    let whole = RATES.bound(hi(), MOST, CacheWrites::Excluded).get();
    let chat = ann.pays_at_most(whole).await.is(200);
    assert_eq!(provider.last_asked().2["max_tokens"], MOST);
    assert_eq!([&chat["tokens_deducted"], &chat["receipt"]["held"]], [250, whole]);
    assert!(chat["receipt"].get("shortened").is_none(), "{chat}");
    ann.is_settled(GRANT - 350).await;
}

#[tokio::test]
async fn a_max_cost_below_the_shortest_answer_is_refused() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 0, 10));
    log::clear();
    let cost = least(hi());
    for max_cost in [0, 1, cost - 1] {
        let refused = ann.pays_at_most(max_cost).await.expect(409, "costs_more");
        assert_eq!([&refused["cost"], &refused["max_cost"]], [cost, max_cost]);
    }
    let flat = json!({ "model": "quick", "message": "hi", "max_cost": PRICE - 1 });
    assert_eq!(ann.post(PATH, flat).await.expect(409, "costs_more")["cost"], PRICE);
    assert_eq!((provider.times_asked(), recorded(Metric::Refunds, None)), (0, (0, 0)));
    assert_eq!(api.refunds(&ann).await, (0, 0), "a refusal is no refund");
    ann.is_settled(GRANT).await;
    ann.pays_at_most(cost).await.is(200);
    assert!(provider.last_asked().2["max_tokens"].as_u64() >= Some(LEAST));
}

#[tokio::test]
async fn invalid_limits_of_the_price_are_refused() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    for bad in [json!(-1), json!(1.5), json!("100"), json!(u64::MAX)] {
        let body = json!({ "message": "hi", "max_cost": bad });
        assert_eq!(ann.post(PATH, body).await.status, 400, "{bad}");
    }
    ann.is_settled(GRANT).await;
}

#[tokio::test]
async fn a_low_balance_holds_what_the_message_needs() {
    let provider = Provider::start().await;
    provider.does(counted(100, 0, 100));
    let whole = RATES.bound(hi(), MOST, CacheWrites::Excluded).get();
    for (grant, amount) in [("500", whole), ("100", 100)] {
        let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", grant)]).await;
        let ann = api.person("ann").await;
        let chat = ann.asks_model("deep", "hi").await.is(200);
        let is_shortened = amount < whole;
        assert_eq!((held(&chat), &chat["tokens_deducted"]), (amount, &json!(45)));
        assert_eq!(chat["receipt"]["shortened"] == true, is_shortened, "{chat}");
        let tokens = RATES
            .affords(Credits::new(amount).unwrap(), hi(), CacheWrites::Excluded)
            .unwrap()
            .min(MOST);
        assert_eq!(provider.last_asked().2["max_tokens"], tokens);
        ann.is_settled(grant.parse::<u64>().unwrap() - 45).await;
    }
}

#[tokio::test]
async fn a_balance_below_the_shortest_answer_is_refused() {
    let provider = Provider::start().await;
    let cost = least(hi());
    let grant = (cost - 1).to_string();
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", &grant)]).await;
    let ann = api.person("ann").await;
    for max_cost in [Value::Null, json!(cost)] {
        let body = json!({ "model": "deep", "message": "hi", "max_cost": max_cost });
        let refused = ann.post(PATH, body).await.expect(402, "insufficient_tokens");
        assert_eq!([&refused["cost"], &refused["tokens_left"]], [cost, cost - 1]);
    }
    // If two limits are too low, the reply reports the request's own limit.
    ann.pays_at_most(cost - 2).await.expect(409, "costs_more");
    ann.asks_model("quick", "hi").await.expect(402, "insufficient_tokens");
    assert_eq!(provider.times_asked(), 0);
    ann.is_settled(cost - 1).await;
}

#[tokio::test]
async fn earlier_messages_and_instructions_count_in_the_hold() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    provider.says("Hello.");
    let long = "x".repeat(2000);
    let first = ann.chat(&long).await.is(200);
    let next = json!({
        "model": "deep", "message": "hi", "max_cost": 1, "conversation_id": first["conversation_id"],
    });
    let refused = ann.post(PATH, next.clone()).await.expect(409, "costs_more");
    // Two turns, including the tokens that their templates add.
    let context = high(&long) + high("Hello.") + 2 * 9;
    assert_eq!(refused["cost"], least(hi() + context));
    ann.change(json!({ "instructions": "Be brief." })).await.is(200);
    let told = ann.pays_at_most(1).await.expect(409, "costs_more")["cost"].as_u64().unwrap();
    assert!(told > least(hi()));
    // Another function doesn't know that it would refuse the message, and reads the conversation.
    let url = format!("{}/v1", provider.url);
    let settings =
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "tiny")];
    let refused = ann.at(&api.beside(&settings).await).post(PATH, next).await;
    let refused = refused.expect(409, "costs_more")["cost"].as_u64().unwrap();
    assert!(refused >= told + RATES.price(context, 0, 0, 0).get() - 1, "{refused}");
    ann.is_settled(GRANT - PRICE).await;
}

#[tokio::test]
async fn stopped_streams_cost_what_was_heard() {
    let api = scripted(&PATIENT).await;
    // If the provider reports no token counts for a stopped answer, the stop counts as a hundredth
    // of the free work, or as what the prompt may have cost besides the charge.
    for rest in ["three", &"q#Z9^x_".repeat(1000)] {
        let ann = api.person("ann").await;
        let body = json!({ "model": "deep", "message": format!("!hold one two {rest}") });
        let stream = ann.hears("/api/chat/stream/", "k1", body.clone()).await;
        ann.stops("k1").await.is(200);
        let said = all(stream).await;
        let stopped = &said.last().unwrap().1;
        assert_eq!(
            [&stopped["response"], &stopped["finish_reason"], &stopped["usage"]["estimated"]],
            [&json!("one two"), &json!("stopped"), &json!(true)]
        );
        let charge = price(&stopped["usage"]);
        assert!((1..held(stopped)).contains(&charge), "{stopped}");
        assert_eq!(stopped["tokens_deducted"], charge);
        assert_eq!(stopped["tokens_left"], GRANT - charge);
        assert!(stopped["receipt"].get("whole").is_none(), "{stopped}");
        let message = body["message"].as_str().unwrap();
        let high = prompt_overhead(None, None).high
            + u64::try_from(TokenEstimate::high_of(message).min(message.len())).unwrap();
        let uncounted = high - stopped["usage"]["prompt_tokens"].as_u64().unwrap();
        let work = RATES.price(uncounted, 0, 0, 0).get().max(100);
        assert_eq!(work > 100, rest.len() > 100, "{stopped}");
        assert_eq!(api.refunds(&ann).await, (0, work));
        let again = ann.post_once("k1", PATH, body).await;
        assert!(again.is_replay(), "{again:?}");
        assert_eq!(again.is(200)["tokens_deducted"], charge);
        ann.is_settled(GRANT - charge).await;
    }
}

#[tokio::test]
async fn stopped_whole_answers_cost_their_hold() {
    let api = scripted(&PATIENT).await;
    let ann = api.person("ann").await;
    let body = json!({ "model": "deep", "message": "!slow 4000" });
    let stopped = ann.stops_silent(PATH, "k1", body).await.is(200);
    let shown = [&stopped["finish_reason"], &stopped["receipt"]["whole"]];
    assert_eq!(shown, [&json!("stopped"), &json!(true)]);
    assert_eq!(stopped["tokens_deducted"], held(&stopped));
    assert_eq!(api.refunds(&ann).await, (0, 0));
    ann.is_settled(GRANT - held(&stopped)).await;
}

#[tokio::test]
async fn a_usage_above_the_hold_is_capped_and_counted() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    log::clear();
    provider.does(counted(1000, 0, 500));
    ann.asks_model("deep", "hi").await.is(200);
    assert_eq!(recorded(Metric::Uncovered, None), (0, 0));
    provider.does(counted(100_000, 0, 100_000));
    let chat = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!(chat["tokens_deducted"], held(&chat));
    let uncovered = RATES.price(100_000, 0, 0, 100_000).get() - held(&chat);
    assert_eq!(recorded(Metric::Uncovered, None), (1, uncovered));
    ann.is_settled(GRANT - 250 - held(&chat)).await;
}

#[tokio::test]
async fn the_next_provider_answers_at_the_same_fare() {
    let (api, first, second) = Provider::two(("AI_TIMEOUT_SECONDS", "20")).await;
    let via = json!(["openai:huge", "openai2"]);
    let deep = json!({ "name": "deep", "via": via, "fare": by_usage() });
    api.prices(&json!({ "models": [deep] })).await;
    let ann = api.person("ann").await;
    first.does(Does::Says(500, Value::Null));
    second.does(counted(1000, 0, 500));
    let chat = ann.chat("hi").await.is(200);
    assert_eq!([&chat["model"], &chat["tokens_deducted"]], [&json!("deep"), &json!(250)]);
    assert_eq!(
        [first.last_asked(), second.last_asked()].map(|asked| asked.2["model"].clone()),
        ["huge", "tiny"]
    );
    ann.is_settled(GRANT - 250).await;
}

#[tokio::test]
async fn a_model_without_a_configured_provider_fails_for_free() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let model = |name: &str, via: Value| json!({ "name": name, "via": via, "fare": by_usage() });
    let models = [model("none", json!(["bedrock"])), model("one", json!(["bedrock", "scripted"]))];
    api.prices(&json!({ "models": models })).await;
    ann.asks_model("none", "hi").await.expect(502, "ai_failed");
    ann.chat("hi").await.expect(502, "ai_failed");
    ann.is_settled(GRANT).await;
    assert_eq!(ann.asks_model("one", "hi").await.is(200)["model"], "one");
}

#[tokio::test]
async fn replays_are_never_priced_again() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let first = ann.asks_once("k1", json!({ "model": "deep" })).await.is(200);
    let unnamed = ann.asks_once("k2", json!({})).await.is(200);
    let left = GRANT - price(&first["usage"]) - PRICE;
    // The model is part of the request that an idempotency key identifies, but `max_cost` isn't.
    for body in [json!({ "model": "deep", "max_cost": 1 }), json!({ "model": "deep" })] {
        let again = ann.asks_once("k1", body).await;
        assert!(again.is_replay(), "{again:?}");
        assert_eq!(again.is(200), first);
    }
    for model in [json!("quick"), Value::Null] {
        let other = ann.asks_once("k1", json!({ "model": model })).await;
        other.expect(422, "idempotency_key_reused");
    }
    let mut renamed = dear_list("scripted");
    renamed["models"][1]["name"] = json!("deeper");
    for changed in [dear_list("scripted"), renamed] {
        api.prices(&changed).await;
        let again = ann.asks_once("k1", json!({ "model": "deep" })).await;
        assert!(again.is_replay(), "{again:?}");
        assert_eq!(again.is(200), first);
    }
    api.prices(&Value::Null).await;
    for (key, body, kept) in [("k1", json!({ "model": "deep" }), first), ("k2", json!({}), unnamed)]
    {
        assert_eq!(ann.asks_once(key, body).await.is(200), kept);
    }
    ann.is_settled(left).await;
}

#[tokio::test]
async fn a_new_list_does_not_change_a_running_chat() {
    let provider = Provider::start().await;
    let (before, after) = (list("openai"), dear_list("openai"));
    let api = priced(&provider, &before, &[]).await;
    let ann = api.person("ann").await;
    let go_on = Arc::new(Notify::new());
    let usage = json!({ "choices": [], "usage": usage_of(1000, 0, 500) });
    let usage = format!("data: {usage}\n\n").into();
    let pieces = vec![chunk("Hel", None), chunk("lo.", Some("stop")), usage, done()];
    provider.does(Does::Waits(pieces, go_on.clone()));
    let body = json!({ "model": "deep", "message": "hi" });
    let stream = ann.hears("/api/chat/stream/", "k1", body).await;

    // The `chat` function hasn't read the list yet.
    api.stores_prices(&after).await;
    provider.does(counted(100, 0, 10));
    let new = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!(
        [&new["receipt"]["prices"], &new["tokens_deducted"]],
        [&json!(version(&after)), &json!(18)]
    );
    go_on.notify_one();
    let said = all(stream).await;
    let old = &said.last().unwrap().1;
    assert_eq!(
        [&old["receipt"]["prices"], &old["tokens_deducted"]],
        [&json!(version(&before)), &json!(250)]
    );
    ann.is_settled(GRANT - 18 - 250).await;
}

#[tokio::test]
async fn functions_read_a_new_list_within_a_minute() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    assert_eq!(ann.chat("hi").await.is(200)["tokens_deducted"], PRICE);
    api.stores_prices(&dear_list("scripted")).await;
    assert_eq!(ann.chat("hi").await.is(200)["tokens_deducted"], PRICE);
    api.server().clock.advance(PRICES_KEPT);
    assert_eq!(ann.chat("hi").await.is(200)["tokens_deducted"], 2 * PRICE);
    api.prices(&Value::Null).await;
    let flat = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!([&flat["model"], &flat["tokens_deducted"]], [&json!("scripted"), &json!(PRICE)]);
    assert!(flat.get("receipt").is_none(), "{flat}");
    ann.is_settled(GRANT - 5 * PRICE).await;
}

/// Replaces the current list with a list that no release can read.
async fn breaks_the_list(api: &Api) {
    let broken = json!({
        "pk": "models:current", "list": r#"{"models": 7}"#, "version": "0000000000000000",
        "author": "manage", "time": 0,
    });
    put(&api.dynamodb, "TokensTable", &[broken]).await;
}

#[tokio::test]
async fn a_list_that_cannot_be_used_keeps_the_last_one() {
    let provider = Provider::start().await;
    let list = list("openai");
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 0, 500));
    ann.asks_model("deep", "hi").await.is(200);
    breaks_the_list(&api).await;
    api.server().clock.advance(PRICES_KEPT);
    log::clear();
    let chat = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!(
        [&chat["receipt"]["prices"], &chat["tokens_deducted"]],
        [&json!(version(&list)), &json!(250)]
    );
    assert!(log::text().contains("the last price list stays in use"), "{}", log::text());
}

#[tokio::test]
async fn a_list_that_cannot_be_used_prevents_a_start() {
    let api = Api::own(&[]).await;
    breaks_the_list(&api).await;
    let settings = |name: &str| match name {
        "AI_PROVIDER" => Some("scripted".to_owned()),
        "DYNAMODB_ENDPOINT" => Some(api.dynamodb.clone()),
        _ => None,
    };
    let started = Server::start(0, &Data::Memory, Clock::default(), settings).await;
    let sentence = started.err().expect("a server without a usable list");
    assert!(sentence.contains("0000000000000000 can't be used: models: "), "{sentence}");
}
