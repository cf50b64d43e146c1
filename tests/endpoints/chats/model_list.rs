//! `GET /api/models`, and the highest price that a page computes from it.

use reqwest::Method;
use serde_json::{Value, json};
use shared::charge::prompt_overhead;
use shared::values::PriceList;

use crate::ai::providers::Provider;
use crate::endpoints::chats::fares::{by_usage, counted, held, list, priced};
use crate::support::client::{Api, DAY, GRANT, PRICE, PRICES_KEPT, Person};

const PATH: &str = "/api/models/";

impl Person {
    async fn models(&self) -> Value {
        self.get(PATH).await.is(200)
    }
}

/// The limits on files.
fn attachments() -> Value {
    json!({
        "files": 8, "pictures": 4, "bytes": 307_200, "context_files": 20, "body": 2_097_152,
        "priced_bytes": 65_536, "priced_picture": 16_384,
    })
}

/// Computes the highest price of a message, as a page does. `earlier` is the upper bound for the
/// earlier messages, and `turns` is the total number of turns, including the message's own.
fn at_most(models: &Value, name: &str, message: u64, earlier: u64, turns: u64) -> u64 {
    let listed = models["models"].as_array().unwrap();
    let model = listed.iter().find(|model| model["name"] == name).unwrap();
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{models}"));
    let fare = &model["fare"];
    if let Some(price) = fare["message"].as_u64() {
        return price;
    }
    let context = earlier.min(number(&models["context"]["bytes"])) + 16 * turns;
    let prompt = number(&model["prompt_overhead"]) + message + context;
    let millionths =
        prompt * number(&fare["input"]) + number(&model["most"]) * number(&fare["output"]);
    millionths.div_ceil(1_000_000)
}

#[tokio::test]
async fn without_a_list_there_is_one_flat_model() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let overhead = prompt_overhead(None, None);
    let model = json!({
        "name": "scripted", "about": "", "default": true, "fare": { "message": PRICE },
        "most": 1024, "pictures": true, "prompt_overhead": overhead.bound,
        "usual_overhead": overhead.usual(),
    });
    let expected = json!({
        "version": null, "currency": "tokens", "sharing": true, "titles": false,
        "context": { "chats": 20, "bytes": 32_768 }, "attachments": attachments(),
        "models": [model],
    });
    assert_eq!(ann.models().await, expected);
    assert_eq!(api.get(PATH).await.is(200), expected);
}

#[tokio::test]
async fn the_models_are_listed_in_order_with_their_limits() {
    let settings = [("CURRENCY", "credits"), ("CONTEXT_CHATS", "3"), ("AI_MAX_TOKENS", "77")];
    let api = Api::own(&settings).await;
    let ann = api.person("ann").await;
    let mut list = list("scripted");
    for (field, value) in [
        ("most", json!(4096)),
        ("context", json!(400_000)),
        ("picture", json!(4784)),
        ("about", json!("Slow, thorough")),
    ] {
        list["models"][1][field] = value;
    }
    let blind = json!({ "name": "blind", "via": ["scripted"], "fare": by_usage() });
    list["models"].as_array_mut().unwrap().push(blind);
    let small = json!({
        "name": "small", "via": ["scripted"], "kind": "embedding", "fare": { "input": 20 },
    });
    list["models"].as_array_mut().unwrap().insert(0, small);
    api.prices(&list).await;
    let overhead = prompt_overhead(None, None);
    let quick = json!({
        "name": "quick", "about": "", "default": true, "fare": { "message": PRICE }, "most": 77,
        "pictures": true, "prompt_overhead": overhead.bound,
        "usual_overhead": overhead.usual(),
    });
    let deep = json!({
        "name": "deep", "about": "Slow, thorough", "default": false, "fare": by_usage(),
        "most": 4096, "context_length": 400_000, "pictures": true, "picture": 4784,
        "prompt_overhead": overhead.bound,
        "usual_overhead": overhead.usual(),
    });
    let blind = json!({
        "name": "blind", "about": "", "default": false, "fare": by_usage(), "most": 77,
        "pictures": false, "prompt_overhead": overhead.bound,
        "usual_overhead": overhead.usual(),
    });
    let small = json!({
        "name": "small", "kind": "embedding", "about": "", "default": true,
        "fare": { "input": 20, "cached": 20, "output": 0 }, "most": 0, "pictures": false,
        "prompt_overhead": 0, "usual_overhead": 0,
    });
    let expected = json!({
        "version": PriceList::read(&list).unwrap().version(), "currency": "credits",
        "sharing": true, "titles": false,
        "context": { "chats": 3, "bytes": 32_768 }, "attachments": attachments(),
        "models": [small, quick, deep, blind],
    });
    assert_eq!(ann.models().await, expected);
    assert_eq!(api.get("/api/health/").await.is(200)["currency"], "credits");
}

#[tokio::test]
async fn the_overhead_has_the_system_prompt_and_instructions() {
    let api = Api::own(&[("AI_SYSTEM_PROMPT", "Be kind.")]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ann.change(json!({ "instructions": "Be brief.\nUse metres." })).await.is(200);
    for (person, instructions) in [(&ann, Some("Be brief.\nUse metres.")), (&ben, None)] {
        let overhead = prompt_overhead(Some("Be kind."), instructions);
        assert_eq!(person.models().await["models"][0]["prompt_overhead"], overhead.bound);
    }
}

#[tokio::test]
async fn visitors_get_the_prices_of_new_accounts() {
    let api = Api::own(&[("AI_SYSTEM_PROMPT", "Be kind.")]).await;
    api.prices(&list("scripted")).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ann.change(json!({ "instructions": "Be brief." })).await.is(200);
    let seen = api.get(PATH).await.is(200);
    assert_eq!(seen, ben.models().await);
    assert_eq!(seen["models"][0]["prompt_overhead"], prompt_overhead(Some("Be kind."), None).bound);
}

#[tokio::test]
async fn the_usual_answer_is_the_mean_of_a_weeks_answers() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", "100000")]).await;
    let ann = api.person("ann").await;
    for _ in 0..10 {
        for (model, usage) in [
            ("deep", counted(1000, 0, 500)),
            ("deep", counted(100, 0, 10)),
            ("quick", counted(9000, 0, 9000)),
        ] {
            provider.does(usage);
            ann.post("/api/chat/", json!({ "model": model, "message": "hi" })).await.is(200);
        }
    }
    let census = api.server().apps["census"].clone();
    let usual = async || {
        let listed = api.get(PATH).await.is(200)["models"].clone();
        ["quick", "deep"].map(|name| {
            let models = listed.as_array().unwrap();
            models.iter().find(|model| model["name"] == name).unwrap()["usual_answer"].clone()
        })
    };
    functions::background::census::run(&census).await.unwrap();
    api.server().clock.advance(PRICES_KEPT);
    assert_eq!(usual().await, [Value::Null, Value::Null], "the day isn't closed");
    api.server().clock.advance(DAY + DAY);
    functions::background::census::run(&census).await.unwrap();
    // 500 or 10 model tokens.
    assert_eq!(usual().await, [Value::Null, json!(255)]);
    // A week later the number is unknown.
    api.server().clock.advance(7 * DAY);
    functions::background::census::run(&census).await.unwrap();
    assert_eq!(usual().await, [Value::Null, Value::Null]);
}

#[tokio::test]
async fn invalid_tokens_get_no_prices() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for value in ["Bearer", "Bearer a.b.c", "Basic YW5uOnNlY3JldDEyMw==", &ann.access] {
        let refused = api.send(Method::GET, PATH, &[("authorization", value)], None).await;
        refused.expect(401, "invalid_token");
    }
    ann.is_robbed().await;
    for person in [ann.using(&ann.token), ann] {
        person.get(PATH).await.expect(401, "invalid_token");
    }
}

#[tokio::test]
async fn the_price_that_a_page_shows_pays_for_a_full_answer() {
    let provider = Provider::start().await;
    let settings = [("AI_SYSTEM_PROMPT", "Be kind."), ("FIRST_GRANT", "20000")];
    let mut list = list("openai");
    list["models"][1]["most"] = json!(2000);
    let api = priced(&provider, &list, &settings).await;
    let ann = api.person("ann").await;
    provider.does(counted(1000, 0, 10));
    for instructions in ["", "Be brief.\nUse metres."] {
        ann.change(json!({ "instructions": instructions })).await.is(200);
        let models = ann.models().await;
        assert_eq!(at_most(&models, "quick", 2, 0, 0), PRICE);
        // The longest form of U+FDFA is 33 bytes long.
        for (message, bound) in
            [("hi", 2), ("你好", 6), ("\u{fdfa}", 33), (&"x".repeat(32_000), 32_000)]
        {
            let shown = at_most(&models, "deep", bound, 0, 0);
            let body = json!({ "model": "deep", "message": message, "max_cost": shown });
            let chat = ann.post("/api/chat/", body).await.is(200);
            assert!(held(&chat) <= shown, "{chat}");
            assert!(chat["receipt"].get("shortened").is_none(), "{chat}");
            assert_eq!(provider.last_asked().2["max_tokens"], 2000);

            // The next message in the conversation, after the answer "Hello.".
            let shown = at_most(&models, "deep", 2, bound + 6, 4);
            let body = json!({
                "model": "deep", "message": "hi", "max_cost": shown,
                "conversation_id": chat["conversation_id"],
            });
            let chat = ann.post("/api/chat/", body).await.is(200);
            assert!(held(&chat) <= shown, "{chat}");
            assert!(chat["receipt"].get("shortened").is_none(), "{chat}");
            assert_eq!(provider.last_asked().2["max_tokens"], 2000);
        }
    }
}

#[tokio::test]
async fn a_shown_price_holds_although_the_list_gets_dearer() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let shown = at_most(&ann.models().await, "deep", 2, 0, 0);
    let mut dear = list("openai");
    dear["models"][1]["fare"] = json!({ "input": 100_000, "cached": 0, "output": 4_000_000 });
    api.prices(&dear).await;
    provider.does(counted(1000, 0, 500));
    let body = json!({ "model": "deep", "message": "hi", "max_cost": shown });
    let chat = ann.post("/api/chat/", body).await.is(200);
    assert_eq!((held(&chat), &chat["tokens_deducted"]), (shown, &json!(shown)));
    assert_eq!(chat["receipt"]["shortened"], true);
    assert_eq!(ann.balance().await, GRANT - shown);
}
