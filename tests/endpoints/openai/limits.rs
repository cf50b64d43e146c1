//! `POST /v1/chat/completions`, `POST /v1/messages`, `POST /api/chat/`, `POST /api/chat/stream/`
//! `GET /v1/models` and `GET /v1/models/{id}` with limits and aliases of the price list's models.

use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider};
use crate::endpoints::anthropic::messages::{self, Client};
use crate::endpoints::chats::fares::{list, priced, with_embeddings};
use crate::endpoints::openai::completions::{Program, asking, data, streamed, words};
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Api, GRANT, PRICE, Person};

/// Starts a server with these settings. The price list sets this field of the first model, `quick`.
async fn limited(field: &str, limit: Value, settings: &[(&str, &str)]) -> Api {
    let mut list = list("scripted");
    list["models"][0][field] = limit;
    let api = Api::own(settings).await;
    api.prices(&list).await;
    api
}

fn to(model: &str, mut body: Value) -> Value {
    body["model"] = json!(model);
    body
}

/// Sends a message to a model from the pages, and returns the streamed answer.
async fn answer_of(person: &Person, model: &str, message: &str) -> String {
    let body = json!({ "model": model, "message": message });
    let said = person.post("/api/chat/stream/", body).await.is(200);
    text_of(&events(said.as_str().unwrap()))
}

#[tokio::test]
async fn a_models_prompt_limit_replaces_the_setting() {
    for (limit, own) in [(2000, "2000"), (20_000, "20000")] {
        let api = limited("prompt_limit", json!(limit), &[("PROMPT_LIMIT", "10000")]).await;
        let ann = api.person("ann").await;
        let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
        let of_size = |size: usize| "x".repeat(size);
        for (model, limit, words) in [("quick", limit, own), ("deep", 10_000, "10000")] {
            let body = to(model, asking(&of_size(limit + 1)));
            let refused = program.send(&[], body).await.expect(400, "context_length_exceeded");
            let sentence = refused["error"]["message"].as_str().unwrap();
            assert!(sentence.contains(&format!("length is {words} bytes")), "{sentence}");
            let body = to(model, messages::asking(&of_size(limit + 1)));
            let refused = client.send(&[], body).await.expect_anthropic(400);
            let sentence = refused["error"]["message"].as_str().unwrap();
            assert!(sentence.starts_with("prompt is too long: "), "{sentence}");
        }
        assert_eq!(ann.balance().await, GRANT);
        program.send(&[], to("quick", asking(&of_size(limit)))).await.is(200);
        assert_eq!(ann.balance().await, GRANT - PRICE);
    }
}

#[tokio::test]
async fn a_models_prompt_limit_also_limits_conversations() {
    let api = limited("prompt_limit", json!(1024), &[("PROMPT_LIMIT", "1024")]).await;
    let ann = api.person("ann").await;
    let long = "x".repeat(1025);
    ann.asks_model("quick", &long).await.expect(400, "context_length_exceeded");
    assert_eq!(ann.balance().await, GRANT);
    // The setting applies only to `/v1`.
    ann.asks_model("deep", &long).await.is(200);

    let first = ann.asks_model("quick", "I am Ann.").await.is(200);
    let recalled = async |words: &str| {
        let id = &first["conversation_id"];
        let body = json!({ "model": "quick", "message": words, "conversation_id": id, "after": first["id"] });
        ann.post("/api/chat/", body).await.is(200)["response"].as_str().unwrap().to_owned()
    };
    assert!(recalled("!recall").await.starts_with("user: I am Ann.\n"));
    let long = format!("!recall {}", "x".repeat(1000));
    assert_eq!(recalled(&long).await, format!("user: {long}"), "earlier messages don't fit");
}

#[tokio::test]
async fn a_models_answer_limit_replaces_the_setting() {
    // The answer to `!long` has a million bytes.
    let api = limited("answer_limit", json!(262_144), &[("ANSWER_LIMIT", "4000")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (model, limit) in [("quick", 262_144), ("deep", 4000)] {
        assert_eq!(answer_of(&ann, model, "!long").await.len(), limit);
        let stored = ann.history("?limit=1").await.is(200)[0].clone();
        assert_eq!(stored["response"].as_str().unwrap().len(), limit);
        let chunks = data(&program.send(&[], to(model, streamed("!long"))).await);
        assert_eq!(words(&chunks).concat().len(), limit);
    }
    let short = limited("answer_limit", json!(1024), &[]).await.person("ben").await;
    assert_eq!(answer_of(&short, "quick", "!long").await.len(), 1024);
    short.asks_model("quick", "!long").await.expect(502, "ai_failed");
}

#[tokio::test]
async fn a_models_longest_answer_bounds_max_tokens() {
    let provider = Provider::start().await;
    let mut list = list("openai");
    list["models"][0]["most"] = json!(100);
    let api = priced(&provider, &list, &[("AI_MAX_TOKENS", "50")]).await;
    let client = Client::of(&api.person("ann").await).await;
    let choice = json!({ "message": { "content": "On and on" }, "finish_reason": "length" });
    provider.does(Does::Says(200, json!({ "choices": [choice] })));
    for (max_tokens, asked) in [(128_000, 100), (32_000, 100), (100, 100), (7, 7)] {
        let mut body = to("quick", messages::asking("hi"));
        body["max_tokens"] = json!(max_tokens);
        let message = client.send(&[], body).await.is(200);
        assert_eq!(message["stop_reason"], "max_tokens");
        assert_eq!(provider.last_asked().2["max_tokens"], asked);
    }
}

#[tokio::test]
async fn the_catalog_has_each_models_prompt_limit() {
    for (setting, others) in [("131072", json!(32_768)), ("524288", Value::Null)] {
        let api = limited("prompt_limit", json!(1_048_576), &[("PROMPT_LIMIT", setting)]).await;
        let program = Program::of(&api.person("ann").await).await;
        let models = program.gets("/v1/models").await.is(200)["data"].clone();
        assert_eq!(models[0]["max_model_len"], 262_144);
        assert_eq!(models[1]["max_model_len"], others);
    }
}

#[tokio::test]
async fn aliases_are_listed_with_the_model_that_answers() {
    let aliases = json!(["gpt-4o", "claude-*", "claude-haiku-5-5"]);
    let api = limited("aliases", aliases, &[("UNKNOWN_MODELS", "refuse")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let models = program.gets("/v1/models").await.is(200)["data"].clone();
    let names: Vec<[&Value; 3]> = models
        .as_array()
        .unwrap()
        .iter()
        .map(|model| [&model["id"], &model["name"], &model["canonical_slug"]])
        .collect();
    let (none, quick) = (json!(null), json!("quick"));
    let [gpt, haiku, deep] = ["gpt-4o", "claude-haiku-5-5", "deep"].map(Value::from);
    let expected = [
        [&quick, &quick, &none],
        [&gpt, &gpt, &quick],
        [&haiku, &haiku, &quick],
        [&deep, &deep, &none],
    ];
    assert_eq!(names, expected);
    assert_eq!(models[1]["fare"], models[0]["fare"]);
    let one = program.gets("/v1/models/gpt-4o").await.is(200);
    assert_eq!(one, models[1]);

    let client = Client::of(&ann).await;
    let listed = client.gets("/v1/models").await.is(200);
    assert_eq!([&listed["data"][2]["id"], &listed["data"][2]["canonical_slug"]], [&haiku, &quick]);
    assert_eq!(listed["last_id"], "deep");
    for name in ["gpt-4o", "GPT-4O", "openai/gpt-4o", "claude-opus-5-5"] {
        assert_eq!(program.send(&[], to(name, asking("hi"))).await.is(200)["model"], "quick");
    }
    program.send(&[], to("gpt-4", asking("hi"))).await.expect(404, "model_not_found");
}

#[tokio::test]
async fn one_model_is_found_under_each_name_of_requests() {
    let mut list = with_embeddings(list("scripted"), "scripted");
    list["models"][0]["aliases"] = json!(["gpt-4o", "claude-haiku-*"]);
    list["models"][1]["aliases"] = json!(["claude-*"]);
    list["models"][2]["aliases"] = json!(["text-embedding-*"]);
    let api = Api::own(&[("UNKNOWN_MODELS", "refuse")]).await;
    api.prices(&list).await;
    let ann = api.person("ann").await;
    let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
    let models = program.gets("/v1/models").await.is(200)["data"].clone();
    let deep = models.as_array().unwrap().iter().find(|model| model["id"] == "deep").unwrap();
    for (name, model) in [
        ("claude-opus-5-5", "deep"),
        ("CLAUDE-OPUS-5-5", "deep"),
        ("claude-haiku-5-5", "quick"),
        ("DEEP", "deep"),
        ("gpt-4O", "quick"),
    ] {
        let path = format!("/v1/models/{name}");
        let one = program.gets(&path).await.is(200);
        assert_eq!([&one["id"], &one["name"], &one["canonical_slug"]], [name, name, model]);
        assert_eq!(program.send(&[], to(name, asking("hi"))).await.is(200)["model"], model);
        let anthropics = client.gets(&path).await.is(200);
        assert_eq!([&anthropics["id"], &anthropics["canonical_slug"]], [name, model]);
    }
    let one = program.gets("/v1/models/claude-opus-5-5").await.is(200);
    assert_eq!([&one["fare"], &one["created"]], [&deep["fare"], &deep["created"]]);
    // A model for embeddings isn't part of Anthropic's API.
    let path = "/v1/models/text-embedding-3-small";
    assert_eq!(program.gets(path).await.is(200)["canonical_slug"], "small");
    client.gets(path).await.expect_anthropic(404);
    for unknown in ["claude", "gpt-5"] {
        program.gets(&format!("/v1/models/{unknown}")).await.expect(404, "model_not_found");
    }
}

#[tokio::test]
async fn replies_show_the_rate_limit_and_the_time_they_took() {
    let api = Api::at_an_hour(&[]).await;
    let ann = api.person("ann").await;
    let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
    for (body, left) in [(asking("hi"), "299"), (streamed("hi"), "298")] {
        let answer = program.send(&[], body).await;
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
        assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok(), "{answer:?}");
    }
    let mut body = messages::asking("hi");
    body["stream"] = json!(true);
    let answer = client.send(&[], body).await;
    assert!(answer.header("ratelimit").starts_with("\"chats\";r=297;"), "{answer:?}");
    assert!(!answer.headers.contains_key("openai-processing-ms"), "{answer:?}");
}
