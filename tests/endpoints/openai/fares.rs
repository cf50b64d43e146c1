//! `POST /v1/chat/completions`, `POST /v1/responses`, `GET /v1/models` and `GET /v1/models/{id}`
//! with a price list: the model, its fare, the model tokens and the catalog.

use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, chunk, done};
use crate::endpoints::chats::fares::{
    by_usage, counted, counted_with_writes, held, list, list_with_writes, newest_hold, priced,
    scripted,
};
use crate::endpoints::openai::completions::{Program, architecture, asking, data, offering};
use crate::endpoints::openai::responses::{input, tool};
use crate::support::client::{Api, GRANT, PRICE};

/// The price list from [`list`], with a million credits priced at 20 dollars.
fn sold(via: &str) -> Value {
    let mut list = list(via);
    (list["currency"], list["million_tokens"]) = (json!("USD"), json!("20.00"));
    list
}

/// A provider's answer of 500 model tokens, of which 30 are reasoning, to a prompt of 1,000, of
/// which 400 are cached. The answer costs 232.
fn reasoned() -> Does {
    let Does::Says(status, mut body) = counted(1000, 400, 500) else { unreachable!() };
    body["usage"]["completion_tokens_details"] = json!({ "reasoning_tokens": 30 });
    Does::Says(status, body)
}

fn asking_for(model: &str, message: &str) -> Value {
    let mut body = asking(message);
    body["model"] = json!(model);
    body
}

fn input_for(model: &str, message: &str) -> Value {
    let mut body = input(message);
    body["model"] = json!(model);
    body
}

#[tokio::test]
async fn the_model_of_a_request_chooses_the_fare() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(1000, 400, 500));
    let mut left = GRANT;
    // By default, the first model answers requests for an unknown model.
    for (model, name, price) in [
        ("deep", "deep", 232),
        ("quick", "quick", PRICE),
        ("DEEP", "deep", 232),
        ("openai/deep", "deep", 232),
        ("gpt-4o", "quick", PRICE),
    ] {
        let completion = program.send(&[], asking_for(model, "hi")).await.is(200);
        let response = program.responds(&[], input_for(model, "hi")).await.is(200);
        assert_eq!([&completion["model"], &response["model"]], [name, name]);
        left -= 2 * price;
        assert_eq!(ann.balance().await, left, "{model}");
    }
    let mut unnamed = asking("hi");
    unnamed.as_object_mut().unwrap().remove("model");
    assert_eq!(program.send(&[], unnamed).await.is(200)["model"], "quick");
    let rows = ann.history("").await.is(200);
    assert_eq!([&rows[0]["model"], &rows[0]["tokens_deducted"]], [&json!("quick"), &json!(PRICE)]);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn unknown_models_are_refused_by_name_if_the_operator_wants() {
    let api = scripted(&[("UNKNOWN_MODELS", "refuse")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let long = format!("x\n{}", "é".repeat(200));
    for (unknown, shown) in [
        ("gpt-4o", "gpt-4o".to_owned()),
        ("scripted", "scripted".into()),
        (long.as_str(), format!("x{}…", "é".repeat(99))),
    ] {
        for refused in [
            program.send(&[], asking_for(unknown, "hi")).await,
            program.responds(&[], input_for(unknown, "hi")).await,
        ] {
            let error = refused.expect(404, "model_not_found")["error"].clone();
            let named = format!("The model `{shown}` does not exist or you do not have access");
            assert!(error["message"].as_str().unwrap().starts_with(&named), "{error}");
            assert_eq!(error["param"], "model");
        }
    }
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(program.send(&[], asking_for("deep", "hi")).await.is(200)["model"], "deep");
    // Without a price list, any model name is accepted.
    api.prices(&Value::Null).await;
    assert_eq!(program.send(&[], asking("hi")).await.is(200)["model"], "scripted");
}

#[tokio::test]
async fn usage_has_the_details_that_the_provider_reports() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(reasoned());
    let completion = program.send(&[], asking_for("deep", "hi")).await.is(200);
    let expected = json!({
        "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
        "prompt_tokens_details": { "cached_tokens": 400 },
        "completion_tokens_details": { "reasoning_tokens": 30 },
    });
    assert_eq!(completion["usage"], expected);
    let response = program.responds(&[], input_for("deep", "hi")).await.is(200);
    let expected = json!({
        "input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500,
        "input_tokens_details": { "cached_tokens": 400, "cache_write_tokens": 0 },
        "output_tokens_details": { "reasoning_tokens": 30 },
    });
    assert_eq!(response["usage"], expected);
    let own = ann.history("").await.is(200)[0]["usage"].clone();
    assert_eq!([&own["cached_tokens"], &own["reasoning_tokens"]], [400, 30]);
    provider.does(counted(1000, 0, 500));
    let plain = program.send(&[], asking_for("deep", "hi")).await.is(200);
    let expected = json!({ "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500 });
    assert_eq!(plain["usage"], expected);
}

#[tokio::test]
async fn usage_has_the_tokens_that_were_written_into_the_cache() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list_with_writes("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for cached in [0, 400] {
        provider.does(counted_with_writes(1000, cached, 500, 500));
        let completion = program.send(&[], asking_for("deep", "hi")).await.is(200);
        let details = json!({ "cached_tokens": cached, "cache_write_tokens": 500 });
        assert_eq!(completion["usage"]["prompt_tokens_details"], details);
        let response = program.responds(&[], input_for("deep", "hi")).await.is(200);
        assert_eq!(response["usage"]["input_tokens_details"], details);
    }
    // Both messages of each kind: 257 and 239.
    assert_eq!(ann.balance().await, GRANT - 2 * (257 + 239));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn usage_has_its_cost_in_money_if_the_list_does() {
    let provider = Provider::start().await;
    let api = priced(&provider, &sold("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(reasoned());
    for (model, cost) in [("deep", 0.00464), ("quick", 0.002)] {
        let completion = program.send(&[], asking_for(model, "hi")).await.is(200);
        let response = program.responds(&[], input_for(model, "hi")).await.is(200);
        assert_eq!([&completion["usage"]["cost"], &response["usage"]["cost"]], [cost, cost]);
    }
}

#[tokio::test]
async fn streams_have_the_lists_name_and_the_cost() {
    let provider = Provider::start().await;
    let api = priced(&provider, &sold("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
        "prompt_tokens_details": { "cached_tokens": 400 },
    });
    let counts = format!("data: {}\n\n", json!({ "choices": [], "usage": usage }));
    provider.does(Does::Streams(vec![
        chunk("Hel", None),
        chunk("lo.", Some("stop")),
        counts.into(),
        done(),
    ]));
    let mut body = asking_for("deep", "hi");
    (body["stream"], body["stream_options"]) = (json!(true), json!({ "include_usage": true }));
    let chunks = data(&program.send(&[], body).await);
    let (end, chunks) = chunks.split_last().unwrap();
    assert_eq!(end, "[DONE]");
    assert!(chunks.iter().all(|chunk| chunk["model"] == "deep"), "{chunks:?}");
    assert_eq!(chunks.last().unwrap()["usage"]["cost"], 0.00464);

    let mut body = input_for("deep", "hi");
    body["stream"] = json!(true);
    let streamed = program.responds(&[], body).await.is(200);
    let last = streamed.as_str().unwrap().rsplit("data: ").next().unwrap();
    let completed: Value = serde_json::from_str(last.trim()).unwrap();
    let response = &completed["response"];
    assert_eq!((&response["model"], &response["usage"]["cost"]), (&json!("deep"), &json!(0.00464)));
    assert_eq!(ann.balance().await, GRANT - 2 * 232);
}

#[tokio::test]
async fn the_catalog_has_fares_prices_and_limits() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut list = sold("scripted");
    (list["models"][1]["most"], list["models"][1]["context"]) = (json!(4096), json!(400_000));
    api.prices(&list).await;
    let models = program.gets("/v1/models").await.is(200)["data"].clone();
    let created = models[0]["created"].as_u64().unwrap();
    assert!(created > 1_700_000_000, "{models}");
    let quick = json!({
        "id": "quick", "name": "quick", "object": "model", "created": created,
        "owned_by": "system", "max_output_tokens": 1024, "fare": { "message": PRICE },
        "architecture": architecture(true),
        "pricing": { "prompt": "0.0", "completion": "0.0", "request": "0.002", "input_cache_read": "0.0" },
    });
    let pricing = json!({
        "prompt": "0.000001", "completion": "0.000008", "request": "0.0",
        "input_cache_read": "0.0000001",
    });
    let deep = json!({
        "id": "deep", "name": "deep", "object": "model", "created": created,
        "owned_by": "system", "context_length": 400_000, "max_output_tokens": 4096,
        "architecture": architecture(false), "fare": by_usage(), "pricing": pricing,
    });
    assert_eq!(models, json!([quick, deep]));
    assert_eq!(program.gets("/v1/models/deep").await.is(200), deep);
    list["models"][1]["fare"]["write"] = json!(62_500);
    api.prices(&list).await;
    let with_writes = program.gets("/v1/models/deep").await.is(200);
    assert_eq!(with_writes["fare"]["write"], 62_500);
    assert_eq!(with_writes["pricing"]["input_cache_write"], "0.00000125");
    program.gets("/v1/models/scripted").await.expect(404, "model_not_found");

    let unsold = self::list("scripted");
    api.prices(&unsold).await;
    let model = program.gets("/v1/models/deep").await.is(200);
    assert!(model.get("pricing").is_none() && model.get("context_length").is_none(), "{model}");
    assert_eq!([&model["fare"], &model["max_output_tokens"]], [&by_usage(), &json!(1024)]);
}

#[tokio::test]
async fn aliases_and_kinds_choose_the_model() {
    let api = Api::own(&[("UNKNOWN_MODELS", "refuse")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut list = list("scripted");
    list["models"][1]["aliases"] = json!(["gpt-5", "claude-*"]);
    let small = json!({
        "name": "small", "aliases": ["text-*"], "kind": "embedding", "via": ["scripted"],
        "fare": { "input": 20 },
    });
    list["models"].as_array_mut().unwrap().insert(0, small);
    api.prices(&list).await;
    for (model, name) in [
        ("gpt-5", "deep"),
        ("GPT-5", "deep"),
        ("claude-opus-5-5", "deep"),
        ("anthropic/claude-opus-5-5", "deep"),
        ("quick", "quick"),
    ] {
        let completion = program.send(&[], asking_for(model, "hi")).await.is(200);
        assert_eq!(completion["model"], name, "{model}");
    }
    for model in ["gpt-5-mini", "small", "text-embedding-3-small"] {
        program.send(&[], asking_for(model, "hi")).await.expect(404, "model_not_found");
    }
    let mut unnamed = asking("hi");
    unnamed.as_object_mut().unwrap().remove("model");
    assert_eq!(program.send(&[], unnamed).await.is(200)["model"], "quick");
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);

    let model = program.gets("/v1/models").await.is(200)["data"][0].clone();
    assert_eq!([&model["id"], &model["architecture"]["modality"]], ["small", "text->embeddings"]);
    assert_eq!(model["architecture"]["output_modalities"], json!(["embeddings"]));
    assert!(model.get("max_output_tokens").is_none(), "{model}");
}

/// An agent's first message has a long prompt and a short answer.
#[tokio::test]
async fn answers_to_programs_are_shortened_to_the_balance() {
    let provider = Provider::start().await;
    let settings = [("AI_MAX_TOKENS", "8192")];
    let api = priced(&provider, &list("openai"), &settings).await;
    provider.does(counted(9000, 0, 300));
    let long = |body: &mut Value, most: Option<(&str, u64)>| {
        body["messages"] = json!([
            { "role": "system", "content": "q#Z9^x ".repeat(6000) },
            { "role": "user", "content": "hi" },
        ]);
        if let Some((name, most)) = most {
            body[name] = json!(most);
        }
    };
    // 4,000 tokens cover a prompt of 42,000 bytes and an answer of 1,024 model tokens, but not an
    // answer of 8,192. A requested maximum has an effect only if it is below the model's.
    for most in [None, Some(("max_tokens", 8192)), Some(("max_completion_tokens", 32_000))] {
        let ann = api.person("ann").await;
        let program = Program::of(&ann).await;
        let mut body = asking_for("deep", "hi");
        long(&mut body, most);
        program.send(&[], body).await.is(200);
        let asked = provider.last_asked().2["max_tokens"].as_u64().unwrap();
        assert!((1024..8192).contains(&asked), "{asked}");
        let kept = ann.history("").await.is(200)[0].clone();
        assert_eq!(
            [&kept["receipt"]["shortened"], &kept["receipt"]["held"]],
            [&json!(true), &json!(GRANT)]
        );
        assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    }
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = asking_for("deep", "hi");
    long(&mut body, Some(("max_tokens", 8191)));
    let refused =
        program.send(&[], body.clone()).await.expect(402, "insufficient_quota").to_string();
    assert!(refused.contains("This message may cost up to "), "{refused}");
    // The balance covers fewer than 1,024 model tokens.
    ann.has_left(2400).await;
    long(&mut body, Some(("max_tokens", 8192)));
    program.send(&[], body).await.expect(402, "insufficient_quota");
    // An API key's limit shortens an answer, just as the balance does.
    ann.has_left(GRANT).await;
    let key = ann.gets_a_limited_key(1000).await.program;
    let answer = key.post("/v1/chat/completions", asking_for("deep", "hi")).await.is(200);
    assert!(
        (1024..2500).contains(&provider.last_asked().2["max_tokens"].as_u64().unwrap()),
        "{answer}"
    );
    let key = ann.gets_a_limited_key(400).await.program;
    let refused =
        key.post("/v1/chat/completions", asking_for("deep", "hi")).await.is(402).to_string();
    assert!(refused.contains("and has 400 left"), "{refused}");
}

#[tokio::test]
async fn answers_to_programs_are_refused_and_not_shortened() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[("FIRST_GRANT", "400")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(100, 0, 100));
    program.send(&[], asking_for("deep", "hi")).await.expect(402, "insufficient_tokens");
    program.responds(&[], input_for("deep", "hi")).await.expect(402, "insufficient_tokens");
    let account = api.account(&ann).await;
    assert_eq!(
        (provider.times_asked(), account.tokens.get(), account.reservations.len()),
        (0, 400, 0)
    );

    // The client itself asks for a shorter answer.
    let mut body = asking_for("deep", "hi");
    body["max_tokens"] = json!(800);
    program.send(&[], body).await.is(200);
    assert_eq!(provider.last_asked().2["max_tokens"], 800);
    let kept = ann.history("").await.is(200)[0].clone();
    assert!(held(&kept) <= 400 && kept["receipt"].get("shortened").is_none(), "{kept}");
    assert_eq!(ann.balance().await, 400 - 45);
}

fn showing(model: &str, pictures: usize) -> Value {
    let url = json!({ "url": "data:image/png;base64,aGVsbG8=", "detail": "low" });
    let picture = json!({ "type": "image_url", "image_url": url });
    let mut parts = vec![json!({ "type": "text", "text": "hi" })];
    parts.extend(vec![picture; pictures]);
    let mut body = asking_for(model, "");
    body["messages"][0]["content"] = json!(parts);
    body
}

#[tokio::test]
async fn pictures_need_a_bound_in_the_list_and_count() {
    let provider = Provider::start().await;
    let mut list = list("openai");
    let mut seeing = list["models"][1].clone();
    (seeing["name"], seeing["picture"]) = (json!("seeing"), json!(4784));
    list["models"].as_array_mut().unwrap().push(seeing);
    let api = priced(&provider, &list, &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(1000, 0, 10));
    let refused = program.send(&[], showing("deep", 1)).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "messages", "{refused}");
    assert_eq!((provider.times_asked(), ann.balance().await), (0, GRANT));
    program.send(&[], showing("quick", 1)).await.is(200);
    let mut holds = Vec::new();
    for pictures in 0..3 {
        program.send(&[], showing("seeing", pictures)).await.is(200);
        holds.push(newest_hold(&ann).await);
    }
    // A picture costs at most 4,784 x 0.05.
    assert!(holds[1] >= holds[0] + 239 && holds[2] >= holds[1] + 239, "{holds:?}");
}

#[tokio::test]
async fn retries_get_the_answer_of_a_model_that_can_do_less_now() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(1000, 0, 10));
    let send =
        async |key: &str| program.send(&[("idempotency-key", key)], showing("quick", 1)).await;
    let first = send("k1").await.is(200);
    // When the model is charged by usage, it doesn't accept pictures.
    let mut blind = list("openai");
    blind["models"][0]["fare"] = by_usage();
    api.prices(&blind).await;
    let again = send("k1").await;
    assert!(again.is_replay(), "{again:?}");
    assert_eq!(again.is(200)["choices"], first["choices"]);
    send("k2").await.expect(400, "invalid_fields");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn functions_and_formats_count_in_the_hold() {
    let provider = Provider::start().await;
    let api = priced(&provider, &list("openai"), &[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(counted(1000, 0, 10));
    program.send(&[], asking_for("deep", "hi")).await.is(200);
    let alone = newest_hold(&ann).await;

    let mut offered = offering("hi");
    offered["model"] = json!("deep");
    program.send(&[], offered).await.is(200);
    let with_function = newest_hold(&ann).await;
    let mut offered = input_for("deep", "hi");
    offered["tools"] = json!([tool()]);
    program.responds(&[], offered).await.is(200);
    assert_eq!(newest_hold(&ann).await, with_function);

    let schema = json!({ "type": "object", "description": "q#Z9^x ".repeat(600) });
    let mut formatted = asking_for("deep", "hi");
    formatted["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } });
    program.send(&[], formatted).await.is(200);
    // Providers give their models up to 544 model tokens of instructions about functions.
    assert!(with_function >= alone + 27, "{alone} {with_function}");
    assert!(newest_hold(&ann).await >= alone + 27 + 100, "{alone}");
}

#[tokio::test]
async fn flat_fares_pay_for_each_started_unit_of_a_prompt() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut long = asking_for("quick", "hi");
    let context = json!({ "role": "system", "content": "x".repeat(70_000) });
    long["messages"].as_array_mut().unwrap().insert(0, context);
    program.send(&[], long).await.is(200);
    let kept = ann.history("").await.is(200)[0].clone();
    assert_eq!((held(&kept), &kept["tokens_deducted"]), (2 * PRICE, &json!(2 * PRICE)));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}
