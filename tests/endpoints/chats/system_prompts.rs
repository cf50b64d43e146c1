//! The operator's system prompts in the price list, for all models and for one model:
//! `POST /api/chat`, `POST /api/chat/stream`.

use serde_json::{Value, json};
use shared::Credits;
use shared::ai::Prompt;
use shared::charge::prompt_overhead;
use shared::values::{CacheWrites, CountsAs, Factor};

use crate::ai::providers::{Does, Provider};
use crate::endpoints::chats::fares::{RATES, counted, held, list, list_through, priced};
use crate::endpoints::openai::completions::{Program, asking, data, said, streamed, words};
use crate::endpoints::openai::responses::{input, text};
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Api, Person};

/// The default maximum number of model tokens in an answer.
const MOST: u64 = 1024;

/// The longest system prompt, made of characters that become 11 times as many bytes in NFKC.
fn longest() -> String {
    "\u{fdfa}".repeat(8192 / 3)
}

/// Returns the request with its model set to this one.
fn by(model: &str, mut body: Value) -> Value {
    body["model"] = json!(model);
    body
}

/// Returns the prompt that the scripted AI gets with a message to this model. Asserts that the
/// prompt is the same through all endpoints that call the AI.
async fn prompt_of(person: &Person, program: &Program, model: &str) -> String {
    let message = "!recall";
    let first = person.asks_model(model, message).await.is(200);
    let prompt = first["response"].as_str().unwrap().to_owned();
    let body = by(model, json!({ "message": message }));
    let stream = person.post("/api/chat/stream/", body.clone()).await.is(200);
    let mut again = body;
    (again["conversation_id"], again["after"]) = (first["conversation_id"].clone(), json!("start"));
    let again = person.post("/api/chat/", again).await.is(200);
    let completion = program.send(&[], by(model, asking(message))).await.is(200);
    let chunks = data(&program.send(&[], by(model, streamed(message))).await);
    let response = program.responds(&[], by(model, input(message))).await.is(200);
    for same in [
        text_of(&events(stream.as_str().unwrap())),
        again["response"].as_str().unwrap().to_owned(),
        said(&completion).to_owned(),
        words(&chunks).concat(),
        text(&response).to_owned(),
    ] {
        assert_eq!(same, prompt);
    }
    prompt
}

#[tokio::test]
async fn the_model_comes_before_the_list_and_the_setting_last() {
    let settings = [("AI_SYSTEM_PROMPT", "Be kind."), ("FIRST_GRANT", "100000")];
    let api = Api::own(&settings).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let told = |system: &str| format!("system: {system}\nuser: !recall");
    for (of_list, of_deep, quick, deep) in [
        (None, None, "Be kind.", "Be kind."),
        (None, Some("Be bold."), "Be kind.", "Be bold."),
        (Some("Be brief."), None, "Be brief.", "Be brief."),
        (Some("Be brief."), Some("Be bold."), "Be brief.", "Be bold."),
    ] {
        let mut list = list("scripted");
        if let Some(text) = of_list {
            list["system"] = json!(text);
        }
        if let Some(text) = of_deep {
            list["models"][1]["system"] = json!(text);
        }
        api.prices(&list).await;
        for (model, system) in [("quick", quick), ("deep", deep)] {
            assert_eq!(prompt_of(&ann, &program, model).await, told(system));
        }
    }
}

#[tokio::test]
async fn a_backup_provider_gets_the_models_system_prompt() {
    let provider = Provider::start().await;
    provider.does(Does::Says(500, json!({})));
    let mut list = list_through(&["openai", "scripted"]);
    (list["system"], list["models"][1]["system"]) = (json!("Be kind."), json!("Be brief."));
    let api = priced(&provider, &list, &[("AI_PROVIDER", "openai,scripted")]).await;
    let ann = api.person("ann").await;
    for (model, system) in [("quick", "Be kind."), ("deep", "Be brief.")] {
        let chat = ann.asks_model(model, "!recall").await.is(200);
        assert_eq!(chat["response"], format!("system: {system}\nuser: !recall"));
        assert_eq!(provider.last_asked().2["messages"][0]["content"], system);
    }
}

#[tokio::test]
async fn the_shown_price_and_the_hold_count_the_system_prompt() {
    let provider = Provider::start().await;
    provider.does(counted(1000, 0, 500));
    let mut list = list("openai");
    list["models"][1]["system"] = json!(longest());
    let settings = [("AI_SYSTEM_PROMPT", "Be kind."), ("FIRST_GRANT", "20000")];
    let api = priced(&provider, &list, &settings).await;
    let ann = api.person("ann").await;
    let overhead = prompt_overhead(Some(&longest()), None).bound;
    let models = ann.get("/api/models/").await.is(200)["models"].clone();
    let shown = [&models[0]["prompt_overhead"], &models[1]["prompt_overhead"]];
    assert_eq!(shown, [&json!(prompt_overhead(Some("Be kind."), None).bound), &json!(overhead)]);

    // The name of the provider's model says nothing about its tokenizer.
    let counts_as = CountsAs::both(Factor::SECRET);
    let prompt = Prompt::after(Vec::new(), "hi").tokens(Some(&longest()), 0, counts_as).high;
    let most = RATES.bound(prompt, MOST, CacheWrites::Excluded).get();
    let asks = async |max_cost: u64| {
        let body = json!({ "model": "deep", "message": "hi", "max_cost": max_cost });
        let chat = ann.post("/api/chat/", body).await.is(200);
        (held(&chat), chat["receipt"]["shortened"] == true, provider.last_asked().2)
    };
    let (amount, is_shortened, asked) = asks(most).await;
    assert_eq!((amount, is_shortened, &asked["max_tokens"]), (most, false, &json!(MOST)));
    assert_eq!(asked["messages"][0]["content"], longest());

    // The answer is limited to the credits that remain after the whole prompt is paid for.
    let (amount, is_shortened, asked) = asks(most - 100).await;
    let tokens =
        RATES.affords(Credits::new(most - 100).unwrap(), prompt, CacheWrites::Excluded).unwrap();
    assert_eq!((amount, is_shortened, &asked["max_tokens"]), (most - 100, true, &json!(tokens)));
    let least = RATES.bound(prompt, 64, CacheWrites::Excluded).get();
    let body = json!({ "model": "deep", "message": "hi", "max_cost": least - 1 });
    assert_eq!(ann.post("/api/chat/", body).await.expect(409, "costs_more")["cost"], least);

    let program = Program::of(&ann).await;
    program.send(&[], by("deep", asking("hi"))).await.is(200);
    program.responds(&[], by("deep", input("hi"))).await.is(200);
    for chat in &ann.history("?limit=2").await.is(200).as_array().unwrap()[..2] {
        assert_eq!(held(chat), most, "{chat}");
    }
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn users_never_see_system_prompts() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let program = Program::of(&ann).await;
    let mut list = list("scripted");
    (list["system"], list["models"][1]["system"]) = (json!("Hush: list."), json!("Hush: deep."));
    api.prices(&list).await;
    let mut answers = vec![
        ann.asks_model("quick", "hi").await,
        ann.post("/api/chat/stream/", by("deep", json!({ "message": "hi" }))).await,
        program.send(&[], by("deep", asking("hi"))).await,
        program.responds(&[], by("quick", input("hi"))).await,
    ];
    for path in [
        "/api/models/",
        "/v1/models",
        "/v1/models/deep",
        "/api/chat/",
        "/api/user/ledger/",
        "/api/user/profile/",
        "/api/user/export/",
    ] {
        answers.push(ann.get(path).await);
    }
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.to_string().contains("Hush"), "{answer:?}");
    }
    let shown = root.get("/api/admin/models/").await.is(200);
    assert_eq!(shown["list"], list);
}
