//! Parameters of a request that only some providers support: they reach the provider, are refused by
//! name, or are ignored if the operator wants it.

use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock};
use crate::ai::refusals::is_refused;
use crate::ai::response_formats::converse;
use crate::endpoints::openai::completions::{Program, asking};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};

/// Returns a request that asks for this parameter.
fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// Starts an API that calls this provider as if it were this Bedrock model, and a program that uses
/// the API.
async fn of_bedrock(provider: &Provider, model: &str, unsupported: &str) -> Program {
    let api = Api::own(&[
        ("AI_PROVIDER", "bedrock"),
        ("BEDROCK_MODEL", model),
        ("BEDROCK_ENDPOINT", &provider.url),
        ("UNSUPPORTED", unsupported),
    ])
    .await;
    provider.does(Does::Says(200, converse(json!([{ "text": "Hello." }]), "end_turn")));
    Program::of(&api.person("ann").await).await
}

#[tokio::test]
async fn servers_get_the_parameters_of_a_completion() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    provider.says("Hello.");
    let sent = json!({
        "reasoning_effort": "xhigh", "verbosity": "low", "seed": -7, "top_k": 5,
        "presence_penalty": -2.0, "frequency_penalty": 0.5, "logit_bias": { "50256": -100.0 },
    });
    let mut body = asking("hi");
    for (field, value) in sent.as_object().unwrap() {
        body[field] = value.clone();
    }
    program.send(&[], body).await.is(200);
    let asked = provider.last_asked().2;
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(&asked[field], value, "{field}");
    }
    // Many clients always send the defaults.
    let plain = with(with(asking("hi"), "presence_penalty", json!(0)), "logit_bias", json!({}));
    program.send(&[], with(plain, "top_k", json!(0))).await.is(200);
    let asked = provider.last_asked().2;
    for field in sent.as_object().unwrap().keys() {
        assert_eq!(asked.get(field), None, "{field}");
    }
}

#[tokio::test]
async fn servers_get_the_parameters_of_a_response() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    provider.says("Hello.");
    let body = with(input("hi"), "reasoning", json!({ "effort": "high", "summary": "auto" }));
    let body = with(body, "text", json!({ "verbosity": "high" }));
    let response = program.responds(&[], body).await.is(200);
    assert_eq!(response["reasoning"]["effort"], "high");
    assert_eq!(response["text"]["verbosity"], "high");
    let asked = provider.last_asked().2;
    assert_eq!((&asked["reasoning_effort"], &asked["verbosity"]), (&json!("high"), &json!("high")));
    // The effort may also be sent in OpenRouter's form.
    let body = with(asking("hi"), "reasoning", json!({ "effort": "low" }));
    program.send(&[], body).await.is(200);
    assert_eq!(provider.last_asked().2["reasoning_effort"], "low");
}

#[tokio::test]
async fn invalid_parameters_are_refused_by_name() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (field, value, sentence) in [
        ("reasoning_effort", json!("much"), "reasoning_effort: This must be none, minimal"),
        ("reasoning", json!({ "effort": "" }), "reasoning.effort: This must be none, minimal"),
        ("verbosity", json!("long"), "verbosity: This must be low, medium or high."),
        ("presence_penalty", json!(2.1), "presence_penalty: This must be a number from -2 to 2."),
        ("frequency_penalty", json!(-3), "frequency_penalty: This must be a number from -2 to 2."),
        ("top_k", json!(-1), "top_k: This must be a number from 0 to 4294967295."),
        ("logit_bias", json!({ "1": 101 }), "logit_bias: Each bias must be a number from -100"),
        ("prompt_cache_key", json!("x".repeat(513)), "prompt_cache_key: This must have at most"),
        ("web_search_options", json!({}), "web_search_options"),
    ] {
        is_refused(program.send(&[], with(asking("hi"), field, value)).await, sentence);
    }
    let many: serde_json::Map<_, _> =
        (0..1025).map(|token| (token.to_string(), json!(1))).collect();
    let body = with(asking("hi"), "logit_bias", many.into());
    is_refused(program.send(&[], body).await, "at most 1024 tokens");
    let body = with(input("hi"), "reasoning", json!({ "effort": "much" }));
    is_refused(program.responds(&[], body).await, "reasoning.effort: This must be none, minimal");
    let body = with(input("hi"), "text", json!({ "verbosity": "long" }));
    is_refused(program.responds(&[], body).await, "text.verbosity: This must be low");
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn bedrock_models_refuse_the_parameters_they_lack() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (field, value) in [
        ("reasoning_effort", json!("low")),
        ("verbosity", json!("low")),
        ("seed", json!(7)),
        ("top_k", json!(7)),
        ("presence_penalty", json!(1)),
        ("frequency_penalty", json!(1)),
        ("logit_bias", json!({ "1": 1 })),
    ] {
        is_refused(program.send(&[], with(asking("hi"), field, value)).await, field);
    }
    assert_eq!((provider.times_asked(), ann.balance().await), (0, GRANT));
}

#[tokio::test]
async fn operators_may_ignore_unsupported_parameters() {
    let provider = Provider::start().await;
    let program = of_bedrock(&provider, "tiny.model-v1:0", "ignore").await;
    let body = with(with(asking("hi"), "seed", json!(7)), "reasoning_effort", json!("low"));
    program.send(&[], body).await.is(200);
    assert_eq!(provider.last_asked().2.get("additionalModelRequestFields"), None);

    // A parameter that only the server's reply reveals as unsupported is left out afterwards.
    let api = Api::own(&[
        ("AI_PROVIDER", "openai"),
        ("OPENAI_BASE_URL", &format!("{}/v1", provider.url)),
        ("OPENAI_MODEL", "tiny"),
        ("UNSUPPORTED", "ignore"),
    ])
    .await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let words = json!({ "error": { "message": "Unknown parameter.", "param": "seed" } });
    let answer =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    provider.does(Does::Refuses("seed", words, answer));
    let before = provider.times_asked();
    program.send(&[], with(asking("hi"), "seed", json!(7))).await.is(200);
    assert_eq!(provider.last_asked().2.get("seed"), None);
    assert_eq!((provider.times_asked() - before, ann.balance().await), (2, GRANT - PRICE));
}

#[tokio::test]
async fn a_servers_refusal_names_the_parameter() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let words = json!({ "error": { "message": "Unknown parameter.", "param": "seed" } });
    provider.does(Does::Says(400, words));
    is_refused(program.send(&[], with(asking("hi"), "seed", json!(7))).await, "seed");
    assert_eq!(provider.times_asked(), 1);
}

#[tokio::test]
async fn bedrock_models_reason_in_the_form_of_their_maker() {
    let provider = Provider::start().await;
    for (model, effort, sent) in [
        ("openai.gpt-oss-120b-1:0", "low", json!({ "reasoning_effort": "low" })),
        ("us.openai.gpt-oss-120b-1:0", "high", json!({ "reasoning_effort": "high" })),
        (
            "eu.anthropic.claude-opus-5-5-v1:0",
            "minimal",
            json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "low" } }),
        ),
        ("anthropic.claude-opus-5-5-v1:0", "none", json!({ "thinking": { "type": "disabled" } })),
    ] {
        let program = of_bedrock(&provider, model, "refuse").await;
        let body = with(asking("hi"), "reasoning_effort", json!(effort));
        program.send(&[], with(body, "temperature", json!(0.5))).await.is(200);
        let asked = provider.last_asked().2;
        assert_eq!(asked["additionalModelRequestFields"], sent, "{model}");
        // Anthropic's models refuse a temperature while they reason.
        let reasons = sent["thinking"]["type"] == "adaptive";
        assert_eq!(asked["inferenceConfig"].get("temperature").is_none(), reasons, "{model}");
    }
}
