//! Parameters of a request that only some providers support: they reach the provider, are refused by
//! name, or are ignored if the operator wants it.

use serde_json::{Value, json};

use crate::ai::anthropic::{error, message, says, text};
use crate::ai::providers::{Does, Provider, bedrock};
use crate::ai::refusals::is_refused;
use crate::ai::response_formats::converse;
use crate::endpoints::anthropic::order::anthropic;
use crate::endpoints::openai::completions::{Program, asking, offering};
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
        "reasoning_effort": "xhigh", "verbosity": "low", "seed": -7, "top_k": 5, "min_p": 0.25,
        "presence_penalty": -2.0, "frequency_penalty": 0.5, "repetition_penalty": 1.5,
        "logit_bias": { "50256": -100.0 },
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
    // Ids are limited in characters, which may have several bytes.
    program
        .send(&[], with(asking("hi"), "logit_bias", json!({ "\u{20ac}".repeat(16): 1 })))
        .await
        .is(200);
    // Many clients always send the defaults.
    let plain = with(with(asking("hi"), "presence_penalty", json!(0)), "logit_bias", json!({}));
    let plain = with(with(plain, "min_p", json!(0)), "repetition_penalty", json!(1));
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
    let mut body = with(body, "text", json!({ "verbosity": "high" }));
    let sent = json!({
        "seed": 7, "top_k": 5, "min_p": 0.25, "presence_penalty": 1.0, "frequency_penalty": 0.5,
        "repetition_penalty": 1.5, "logit_bias": { "50256": -100.0 },
    });
    body.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
    let response = program.responds(&[], body).await.is(200);
    assert_eq!(response["reasoning"], json!({ "effort": "high", "summary": "auto" }));
    assert_eq!(response["text"]["verbosity"], "high");
    let asked = provider.last_asked().2;
    assert_eq!((&asked["reasoning_effort"], &asked["verbosity"]), (&json!("high"), &json!("high")));
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(&asked[field], value, "{field}");
    }
}

#[tokio::test]
async fn openrouters_reasoning_becomes_an_effort_or_a_budget() {
    let provider = Provider::start().await;
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    provider.says("Hello.");
    for (reasoning, effort) in [
        (json!({ "effort": "low" }), json!("low")),
        (json!({ "effort": "high", "max_tokens": 2000 }), json!("high")),
        (json!({ "max_tokens": 2000 }), json!("low")),
        (json!({ "max_tokens": 10_000 }), json!("medium")),
        (json!({ "max_tokens": 20_000 }), json!("high")),
        (json!({ "enabled": true }), json!("medium")),
        (json!({ "enabled": true, "max_tokens": 2000 }), json!("low")),
        (json!({ "enabled": false, "effort": "high" }), json!("none")),
        (json!({ "exclude": true, "summary": "auto" }), Value::Null),
    ] {
        program.send(&[], with(asking("hi"), "reasoning", reasoning.clone())).await.is(200);
        assert_eq!(provider.last_asked().2["reasoning_effort"], effort, "{reasoning}");
    }

    let program = Program::of(&anthropic(&provider).await.person("ben").await).await;
    provider.does(says(json!([text("Hello.")]), "end_turn"));
    for (reasoning, thinking) in [
        (json!({ "max_tokens": 2000 }), json!({ "type": "enabled", "budget_tokens": 2000 })),
        (json!({ "max_tokens": 10 }), json!({ "type": "enabled", "budget_tokens": 1024 })),
        (json!({ "enabled": true }), json!({ "type": "adaptive" })),
        (json!({ "enabled": false }), json!({ "type": "disabled" })),
    ] {
        program.send(&[], with(asking("hi"), "reasoning", reasoning.clone())).await.is(200);
        assert_eq!(provider.last_asked().2["thinking"], thinking, "{reasoning}");
    }
    // These models hide their reasoning unless a request asks for a summary.
    let shown = json!({ "type": "adaptive", "display": "summarized" });
    let reasoning = json!({ "effort": "low", "summary": "detailed" });
    program.send(&[], with(asking("hi"), "reasoning", reasoning.clone())).await.is(200);
    assert_eq!(provider.last_asked().2["thinking"], shown);
    let response = program.responds(&[], with(input("hi"), "reasoning", reasoning.clone())).await;
    assert_eq!(response.is(200)["reasoning"], reasoning);
    assert_eq!(provider.last_asked().2["thinking"], shown);
}

#[tokio::test]
async fn excluded_reasoning_is_not_in_the_answer() {
    let provider = Provider::start().await;
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    let message = json!({ "content": "Hello.", "reasoning_content": "Let me think." });
    let choice = json!({ "message": message, "finish_reason": "stop" });
    provider.does(Does::Says(200, json!({ "choices": [choice] })));
    for (number, (field, value, is_shown)) in [
        ("reasoning", json!({ "exclude": false }), true),
        ("reasoning", json!({ "exclude": true }), false),
        ("include_reasoning", json!(false), false),
    ]
    .into_iter()
    .enumerate()
    {
        for is_streamed in [false, true] {
            let key = format!("key-{number}-{is_streamed}");
            let body = with(asking("hi"), field, value.clone());
            let body = with(body, "stream", json!(is_streamed));
            for is_retry in [false, true] {
                let answer = program.send(&[("idempotency-key", &key)], body.clone()).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.is_replay()),
                    (200, is_retry),
                    "{answer:?}"
                );
                let said = answer.body.to_string();
                assert!(said.contains("Hello."), "{said}");
                assert_eq!(said.contains("Let me think."), is_shown, "{field}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn parameters_that_no_provider_gets_are_refused() {
    let completions =
        [("logprobs", json!(true)), ("top_logprobs", json!(2)), ("web_search_options", json!({}))];
    let included = json!(["reasoning.encrypted_content", "message.output_text.logprobs"]);
    let responses =
        [("truncation", json!("auto")), ("top_logprobs", json!(2)), ("include", included)];
    for (unsupported, status) in [("refuse", 400), ("ignore", 200)] {
        let api = Api::own(&[("AI_PROVIDER", "echo"), ("UNSUPPORTED", unsupported)]).await;
        let program = Program::of(&api.person("ann").await).await;
        let mut answers = Vec::new();
        for (field, value) in &completions {
            let body = with(asking("hi"), field, value.clone());
            answers.push((field, program.send(&[], body).await));
        }
        for (field, value) in &responses {
            let body = with(input("hi"), field, value.clone());
            answers.push((field, program.responds(&[], body).await));
        }
        for (field, answer) in answers {
            assert_eq!(answer.status, status, "{field}: {answer:?}");
            if status == 400 {
                assert_eq!(answer.expect(400, "invalid_fields")["error"]["param"], *field);
            }
        }
        // Some clients always send what doesn't ask for anything.
        let mut body = with(input("hi"), "truncation", json!("disabled"));
        (body["top_logprobs"], body["max_tool_calls"]) = (json!(0), json!(3));
        body["include"] = json!(["reasoning.encrypted_content"]);
        program.responds(&[], body).await.is(200);
    }
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
        ("min_p", json!(1.1), "min_p: This must be a number from 0 to 1."),
        ("repetition_penalty", json!(3), "repetition_penalty: This must be a number above 0"),
        ("repetition_penalty", json!(0), "repetition_penalty: This must be a number above 0"),
        ("reasoning", json!({ "max_tokens": 0 }), "reasoning.max_tokens: An answer can have 1 to"),
        ("reasoning", json!({ "summary": "" }), "reasoning.summary: This must be auto, concise"),
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
        ("seed", json!(7)),
        ("top_k", json!(7)),
        ("min_p", json!(0.5)),
        ("reasoning", json!({ "max_tokens": 2000 })),
        ("presence_penalty", json!(1)),
        ("frequency_penalty", json!(1)),
        ("repetition_penalty", json!(1.5)),
        ("logit_bias", json!({ "1": 1 })),
    ] {
        is_refused(program.send(&[], with(asking("hi"), field, value)).await, field);
    }
    assert_eq!((provider.times_asked(), ann.balance().await), (0, GRANT));
    provider.does(Does::Says(200, converse(json!([{ "text": "Hello." }]), "end_turn")));
    program.send(&[], with(asking("hi"), "verbosity", json!("low"))).await.is(200);
    let system = provider.last_asked().2["system"].to_string();
    assert!(system.contains("Be kind.\\nAnswer briefly."), "{system}");
}

#[tokio::test]
async fn a_server_without_lengths_gets_an_instruction() {
    let provider = Provider::start().await;
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    let refusal = json!({ "error": { "message": "Unknown parameter.", "param": "verbosity" } });
    let answer =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    provider.does(Does::Refuses("verbosity", refusal, answer));
    program.send(&[], with(asking("hi"), "verbosity", json!("high"))).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(
        (&asked["messages"][0]["content"], asked.get("verbosity")),
        (&json!("Be kind.\nAnswer in detail."), None)
    );
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
    let answer =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    let refusals = refusals();
    for (field, value, words) in refusals.clone() {
        provider.does(Does::Refuses(field, words, answer.clone()));
        let before = provider.times_asked();
        program.send(&[], with(asking("hi"), field, value)).await.is(200);
        assert_eq!(provider.last_asked().2.get(field), None);
        assert_eq!(provider.times_asked() - before, 2, "{field}");
    }
    let answers = u64::try_from(refusals.len()).unwrap();
    assert_eq!(ann.balance().await, GRANT - answers * PRICE);
}

/// Servers' refusals of a parameter: OpenAI's, Gemini's, xAI's, FastAPI's, vLLM's and Mistral's.
fn refusals() -> [(&'static str, Value, Value); 6] {
    let says = |words: &str| json!({ "error": { "message": words } });
    let unknown = "Invalid JSON payload received. Unknown name \"top_k\": Cannot find field.";
    let found = |field: &str| json!([{ "type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted", "input": 7 }]);
    let listed = "[{'type': 'extra_forbidden', 'loc': ('body', 'repetition_penalty'), 'msg': 'Extra inputs are not permitted', 'input': 1.5}]";
    [
        (
            "seed",
            json!(7),
            json!({ "error": { "message": "Unknown parameter.", "param": "seed" } }),
        ),
        ("top_k", json!(5), json!([says(unknown)])),
        (
            "presence_penalty",
            json!(1),
            json!({ "code": "Client specified an invalid argument", "error": "Model grok-4-latest does not support parameter presencePenalty." }),
        ),
        ("min_p", json!(0.5), json!({ "detail": found("min_p") })),
        (
            "repetition_penalty",
            json!(1.5),
            json!({ "object": "error", "message": listed, "type": "BadRequestError", "param": null, "code": 400 }),
        ),
        (
            "frequency_penalty",
            json!(1),
            json!({ "object": "error", "message": { "detail": found("frequency_penalty") }, "type": "invalid_request_error", "param": null, "code": null }),
        ),
    ]
}

#[tokio::test]
async fn a_servers_refusal_names_the_parameter() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let refusals = refusals();
    for (field, value, words) in refusals.clone() {
        provider.does(Does::Says(400, words));
        let refused = program.send(&[], with(asking("hi"), field, value)).await;
        assert_eq!(refused.expect(400, "invalid_fields")["error"]["param"], field);
    }
    assert_eq!(provider.times_asked(), refusals.len());

    // A part of a model's name isn't a parameter.
    let words = "Model doubao-seed-1-6 is busy with min_px.";
    provider.does(Does::Says(400, json!({ "error": { "message": words } })));
    let body = with(with(asking("hi"), "seed", json!(7)), "min_p", json!(0.5));
    program.send(&[], body).await.expect(502, "ai_failed");
}

#[tokio::test]
async fn functions_are_kept_by_setting_the_effort_to_none() {
    let provider = Provider::start().await;
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    let words = "Function tools with reasoning_effort are not supported for gpt-5.6-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.";
    let refusal = json!({ "error": { "message": words, "type": "invalid_request_error", "param": "reasoning_effort", "code": null } });
    let answer =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    provider.does(Does::Demands("reasoning_effort", "none", refusal.clone(), answer.clone()));
    program.send(&[], offering("hi")).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!((&asked["reasoning_effort"], provider.times_asked()), (&json!("none"), 2));
    assert!(asked["tools"].is_array(), "{asked}");
    // A client that asks for an effort decides itself.
    let refused = program.send(&[], with(offering("hi"), "reasoning_effort", json!("low"))).await;
    is_refused(refused, "only with `reasoning_effort` `none`");

    // A server that refuses even this gets no functions.
    provider.does(Does::Refuses("tools", refusal, answer));
    program.send(&[], offering("hi")).await.is(200);
    assert_eq!(provider.last_asked().2.get("tools"), None);
}

#[tokio::test]
async fn a_refused_display_is_left_out_alone() {
    let provider = Provider::start().await;
    let words = "thinking.adaptive.display: Extra inputs are not permitted";
    let reasoning = json!({ "effort": "low", "summary": "auto" });
    let said = json!([{ "role": "user", "content": "hi" }, {
        "role": "assistant", "content": "Hello.",
        "reasoning_details": [{ "type": "reasoning.text", "text": "Hm.", "signature": "s" }],
    }, { "role": "user", "content": "hi" }]);
    let program = Program::of(&anthropic(&provider).await.person("ben").await).await;
    let hello = message(json!([text("Hello.")]), "end_turn");
    provider.does(Does::Refuses("/thinking/display", error("invalid_request_error", words), hello));
    let body = with(with(asking("hi"), "reasoning", reasoning.clone()), "messages", said);
    program.send(&[], body).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!((&asked["thinking"], provider.times_asked()), (&json!({ "type": "adaptive" }), 2));
    assert!(asked["messages"].to_string().contains("Hm."), "{asked}");

    let program = of_bedrock(&provider, "anthropic.claude-opus-5-5-v1:0", "refuse").await;
    let words = format!("The model returned the following errors: {words}");
    let exception = json!({ "__type": "ValidationException", "message": words });
    let hello = converse(json!([{ "text": "Hello." }]), "end_turn");
    let display = "/additionalModelRequestFields/thinking/display";
    provider.does(Does::Refuses(display, exception, hello));
    program.send(&[], with(asking("hi"), "reasoning", reasoning)).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["additionalModelRequestFields"]["thinking"], json!({ "type": "adaptive" }));
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
