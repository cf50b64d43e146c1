//! `cache_control` in `POST /v1/messages`: which providers get it, and where.

use serde_json::{Value, json};

use crate::ai::anthropic::{error, message, says, text};
use crate::ai::providers::{Does, Provider};
use crate::ai::response_formats::converse;
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::order::anthropic;
use crate::endpoints::chats::fares::{held, list_with_writes};
use crate::endpoints::openai::completions::{self, Program};
use crate::support::client::Api;

fn five_minutes() -> Value {
    json!({ "type": "ephemeral" })
}

fn an_hour() -> Value {
    json!({ "type": "ephemeral", "ttl": "1h" })
}

fn cached(block: Value, cache: Value) -> Value {
    with(block, "cache_control", cache)
}

/// A request with four cache breakpoints: after a function, the instructions, the user's first
/// text, and the result of a call.
fn body() -> Value {
    let tool = cached(json!({ "name": "f", "input_schema": { "type": "object" } }), an_hour());
    let call = json!({ "type": "tool_use", "id": "a", "name": "f", "input": {} });
    let result = json!({ "type": "tool_result", "tool_use_id": "a", "content": "3" });
    let messages = json!([
        { "role": "user", "content": [cached(text("A file."), five_minutes()), text("Sum it up.")] },
        { "role": "assistant", "content": [call] },
        { "role": "user", "content": [cached(result, with(five_minutes(), "ttl", json!("5m")))] },
    ]);
    let body = with(with(asking("hi"), "messages", messages), "tools", json!([tool]));
    with(body, "system", json!([cached(text("Be brief."), an_hour()), text("Be kind.")]))
}

#[tokio::test]
async fn anthropic_gets_cache_breakpoints_in_their_places() {
    let provider = Provider::start().await;
    let client = Client::of(&anthropic(&provider).await.person("ann").await).await;
    provider.does(says(json!([text("3")]), "end_turn"));
    client.send(&[], body()).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["tools"][0]["cache_control"], an_hour());
    let system = json!([cached(text("Be brief."), an_hour()), text("Be kind.")]);
    assert_eq!(asked["system"], system);
    let user = json!([cached(text("A file."), five_minutes()), text("Sum it up.")]);
    assert_eq!(asked["messages"][0]["content"], user);
    assert_eq!(asked["messages"][2]["content"][0]["cache_control"], five_minutes());
    assert_eq!(asked.get("cache_control"), None);

    // Anthropic accepts four. A later breakpoint also covers what precedes it.
    client.send(&[], cached(body(), five_minutes())).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["cache_control"], five_minutes());
    assert_eq!(asked["tools"][0].get("cache_control"), None);
    assert_eq!(asked["system"], system);
}

/// Starts an API that calls this model through Bedrock.
async fn bedrock(provider: &Provider, model: &str) -> Api {
    Api::own(&[
        ("AI_PROVIDER", "bedrock"),
        ("BEDROCK_MODEL", model),
        ("BEDROCK_ENDPOINT", &provider.url),
    ])
    .await
}

#[tokio::test]
async fn bedrock_gets_cache_points_for_models_that_take_them() {
    let point = json!({ "cachePoint": { "type": "default" } });
    let hour = json!({ "cachePoint": { "type": "default", "ttl": "1h" } });
    for (model, of_system, has_tools) in [
        ("eu.anthropic.claude-1", Some(&hour), true),
        ("amazon.nova-lite-v1:0", Some(&point), false),
        ("tiny.model-v1:0", None, false),
    ] {
        let provider = Provider::start().await;
        let client = Client::of(&bedrock(&provider, model).await.person("ann").await).await;
        provider.does(Does::Says(200, converse(json!([{ "text": "3" }]), "end_turn")));
        client.send(&[], cached(body(), five_minutes())).await.is(200);
        let asked = provider.last_asked().2;
        let Some(of_system) = of_system else {
            assert!(!asked.to_string().contains("cachePoint"), "{asked}");
            assert_eq!(asked["system"], json!([{ "text": "Be brief.\nBe kind." }]));
            continue;
        };
        let system = json!([{ "text": "Be brief." }, of_system, { "text": "Be kind." }]);
        assert_eq!(asked["system"], system);
        let user = json!([{ "text": "A file." }, point, { "text": "Sum it up." }]);
        assert_eq!(asked["messages"][0]["content"], user);
        let results = asked["messages"][2]["content"].as_array().unwrap();
        assert_eq!((results.len(), &results[1]), (2, &point), "the whole prompt ends here too");
        assert_eq!(asked["toolConfig"]["tools"].as_array().unwrap().len(), 1, "at most four");

        client.send(&[], body()).await.is(200);
        let tools = provider.last_asked().2["toolConfig"]["tools"].clone();
        assert_eq!(tools.get(1), Some(&hour).filter(|_| has_tools), "{model}");
    }
}

/// A request to `/v1/chat/completions` with cache breakpoints after its instructions, and after the
/// first two texts of its message.
fn chat() -> Value {
    let mut body = completions::asking("hi");
    body["messages"] = json!([
        { "role": "system", "content": [cached(text("Be brief."), an_hour())] },
        { "role": "user", "content": [text("A"), cached(text("file."), five_minutes()), text("Sum it up.")] },
    ]);
    body
}

#[tokio::test]
async fn breakpoints_in_chat_completions_reach_claude() {
    let provider = Provider::start().await;
    let program = Program::of(&anthropic(&provider).await.person("ann").await).await;
    provider.does(says(json!([text("3")]), "end_turn"));
    program.send(&[], chat()).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["system"], json!([cached(text("Be brief."), an_hour())]));
    let user = json!([cached(text("A\nfile."), five_minutes()), text("Sum it up.")]);
    assert_eq!(asked["messages"][0]["content"], user);
    assert_eq!(asked.get("cache_control"), None, "no breakpoint that the client didn't set");

    let api = bedrock(&provider, "eu.anthropic.claude-1").await;
    let program = Program::of(&api.person("ann").await).await;
    provider.does(Does::Says(200, converse(json!([{ "text": "3" }]), "end_turn")));
    program.send(&[], chat()).await.is(200);
    let point = json!({ "cachePoint": { "type": "default" } });
    let user = json!([{ "text": "A\nfile." }, point, { "text": "Sum it up." }]);
    assert_eq!(provider.last_asked().2["messages"][0]["content"], user);

    // Other servers get the texts as one string.
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    provider.says("3");
    program.send(&[], chat()).await.is(200);
    let messages = provider.last_asked().2["messages"].clone();
    let expected = json!([
        { "role": "system", "content": "Be kind." },
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "A\nfile.\nSum it up." },
    ]);
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn a_model_without_a_cache_answers_without_it() {
    let provider = Provider::start().await;
    let client = Client::of(&anthropic(&provider).await.person("ann").await).await;
    let refusal = error("invalid_request_error", "cache_control: Extra inputs are not permitted");
    let answer = message(json!([text("3")]), "end_turn");
    provider.does(Does::Refuses("cache_control", refusal, answer));
    let body = cached(asking("hi"), json!({ "type": "ephemeral" }));
    assert_eq!(client.send(&[], body).await.is(200)["content"][0]["text"], "3");
    assert_eq!(provider.times_asked(), 2);

    // A server like OpenAI's has no such field.
    let client = Client::of(&provider.api("").await.person("ann").await).await;
    provider.says("3");
    client.send(&[], self::body()).await.is(200);
    assert!(!provider.last_asked().2.to_string().contains("cache_control"));
}

#[tokio::test]
async fn a_hold_covers_the_writes_that_a_breakpoint_asks_for() {
    let provider = Provider::start().await;
    let api = anthropic(&provider).await;
    api.prices(&list_with_writes("anthropic:claude-large")).await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let mut answer = message(json!([text("3")]), "end_turn");
    answer["usage"] = json!({
        "input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 400,
        "output_tokens": 50,
    });
    provider.does(Does::Says(200, answer));
    let plain = with(asking("hi"), "model", json!("deep"));
    let mut holds = Vec::new();
    for body in [plain.clone(), cached(plain, five_minutes())] {
        let usage = client.send(&[], body).await.is(200)["usage"].clone();
        let written = [&usage["input_tokens"], &usage["cache_creation_input_tokens"]];
        assert_eq!(written, [10, 400]);
        let chat = ann.history("").await.is(200)[0].clone();
        // 10 x 0.05 + 200 x 0.005 + 400 x 0.0625 + 50 x 0.4, rounded up.
        assert_eq!(chat["tokens_deducted"], 47);
        holds.push(held(&chat));
    }
    assert!(holds[1] > holds[0], "{holds:?}");
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}
