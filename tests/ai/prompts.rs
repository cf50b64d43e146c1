//! Long prompts and large bodies in `POST /v1/chat/completions`, and the shortened text that is
//! stored.

use reqwest::Method;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider};
use crate::endpoints::openai::completions::{Program, asking, data, offering, said};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};

fn text_of(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[tokio::test]
async fn prompts_of_coding_tools_are_answered_and_stored_shortened() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = asking(&text_of(100_000));
    body["messages"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({ "role": "system", "content": text_of(200_000) }));
    let answer = program.send(&[], body.clone()).await;
    // The scripted AI would repeat the prompt, which exceeds the limit on answers.
    answer.expect(502, "ai_failed");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": "Go on." }),
        json!({ "role": "user", "content": "hi" }),
    ]);
    assert_eq!(said(&program.send(&[], body).await.is(200)), "You said: hi");

    let mut body = asking(&format!("!words one {}", text_of(40_000)));
    body["stream"] = json!(true);
    data(&program.send(&[], body).await);
    let kept = ann.history("").await.is(200)[0]["message"].as_str().unwrap().to_owned();
    let mark = "\n[shortened: 40011 characters were sent]";
    assert!(kept.starts_with("!words one xxx") && kept.ends_with(mark), "{kept}");
    assert_eq!(kept.chars().count(), 32_000);
    // A prompt costs the price of one message per 64 KB, rounded up.
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE - PRICE);
}

/// A completion request whose prompt has this many bytes.
fn sized(bytes: usize) -> Value {
    let mut body = asking("hi");
    let context = json!({ "role": "system", "content": text_of(bytes - 2) });
    body["messages"].as_array_mut().unwrap().insert(0, context);
    body
}

#[tokio::test]
async fn each_started_64_kilobytes_cost_the_price_again() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut left = GRANT;
    for (bytes, units) in [(65_536, 1), (65_537, 2), (131_072, 2), (131_073, 3), (524_288, 8)] {
        program.send(&[], sized(bytes)).await.is(200);
        left -= units * PRICE;
        assert_eq!(ann.balance().await, left, "{bytes} bytes");
        let history = ann.history("").await.is(200);
        assert_eq!(history[0]["tokens_deducted"], units * PRICE);
        let rows = ann.get("/api/user/ledger/").await.is(200);
        assert_eq!(rows[0]["amount"], -i64::try_from(units * PRICE).unwrap());
        let stored = api.items(&ann.id).await;
        for table in ["ChatsTable", "LedgerTable"] {
            let is_it = |item: &&Value| item["chat_id"] == history[0]["id"];
            let kept = &stored[table].iter().find(is_it).unwrap()["units"];
            assert_eq!(*kept, if units == 1 { Value::Null } else { json!(units) }, "{bytes} bytes");
        }
    }
    let mut response = input("hi");
    response["instructions"] = json!(text_of(65_536));
    program.responds(&[], response).await.is(200);
    left -= 2 * PRICE;
    assert_eq!(ann.balance().await, left);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn refusals_of_long_prompts_name_the_price() {
    let api = Api::own(&[("FIRST_GRANT", "199")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let before = api.items(&ann.id).await;
    let refused = program.send(&[], sized(65_537)).await.body.to_string();
    assert!(refused.contains("insufficient_quota") && refused.contains("200 tokens"), "{refused}");
    assert_eq!(api.items(&ann.id).await, before);
    program.send(&[], sized(65_536)).await.is(200);
    assert_eq!(ann.balance().await, 99);
}

#[tokio::test]
async fn a_picture_counts_as_16_kilobytes() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let picture =
        json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } });
    // Three pictures fit into 64 KB together with the text, but four don't.
    for (count, units) in [(3, 1), (4, 2), (8, 3)] {
        let before = ann.balance().await;
        let mut body = asking("hi");
        body["messages"][0]["content"] = json!(vec![picture.clone(); count]);
        let text = json!({ "role": "user", "content": "?" });
        let said = json!({ "message": { "content": "A cat." }, "finish_reason": "stop" });
        provider.does(Does::Says(200, json!({ "choices": [said] })));
        body["messages"].as_array_mut().unwrap().push(text);
        program.send(&[], body).await.is(200);
        assert_eq!(before - ann.balance().await, units * PRICE, "{count} pictures");
    }
}

#[tokio::test]
async fn messages_of_this_api_have_one_price_at_any_length() {
    let api = Api::own(&[("PRICED_BYTES", "1024"), ("CONTEXT_BYTES", "200000")]).await;
    let ann = api.person("ann").await;
    let first = ann.chat(&text_of(32_000)).await.is(200);
    let next = json!({ "message": text_of(32_000), "conversation_id": first["conversation_id"] });
    ann.post("/api/chat/", next).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn prompts_over_the_limit_get_openai_errors_for_free() {
    let api = Api::own(&[("PROMPT_LIMIT", "10000"), ("V1_BODY_LIMIT", "20000")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    program.send(&[], asking(&text_of(10_000))).await.is(200);
    let mut with_schema = offering("hi");
    with_schema["tools"][0]["function"]["description"] = json!(text_of(10_000));
    let picture =
        json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } });
    let mut with_pictures = asking("hi");
    with_pictures["messages"][0]["content"] = json!([picture, picture, picture]);
    let named = json!({ "name": "a", "description": text_of(10_000) });
    let mut with_format = asking("hi");
    with_format["response_format"] = json!({ "type": "json_schema", "json_schema": named });
    let mut with_stops = asking("hi");
    with_stops["stop"] = json!(["a", text_of(10_000)]);
    let mut with_long_ids = offering("hi");
    let id = text_of(5000);
    let call =
        json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "" } });
    with_long_ids["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "tool_calls": [call] }),
        json!({ "role": "tool", "tool_call_id": id, "content": "" }),
    ]);
    let is_too_long = |refused: Value, param: &str| {
        assert_eq!(refused["error"]["param"], param);
        let words = refused["error"]["message"].as_str().unwrap();
        assert!(words.starts_with("This model's maximum context length is 10000 bytes"), "{words}");
    };
    for body in [
        asking(&text_of(10_001)),
        with_schema,
        with_pictures,
        with_format,
        with_stops,
        with_long_ids,
    ] {
        let refused = program.send(&[], body).await.expect(400, "context_length_exceeded");
        is_too_long(refused, "messages");
    }
    let mut with_format = input("hi");
    with_format["text"]["format"] =
        json!({ "type": "json_schema", "name": "a", "description": text_of(10_000) });
    let refused = program.responds(&[], with_format).await.expect(400, "context_length_exceeded");
    is_too_long(refused, "input");
    let data = format!("data:image/png;base64,{}", "AAAA".repeat(5000));
    let huge = json!([{ "type": "image_url", "image_url": { "url": data } }]);
    let mut body = asking("hi");
    body["messages"][0]["content"] = huge;
    program.send(&[], body).await.expect(413, "body_too_large");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn prompts_too_long_for_the_model_get_the_same_error() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (status, words) in [
        (400, "This model's maximum context length is 8192 tokens. a secret"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum: a secret"),
        (413, "the request exceeds the available context size: context_length_exceeded"),
    ] {
        provider.does(Does::Says(status, json!({ "error": { "message": words } })));
        let refused = program.send(&[], asking("hi")).await.expect(400, "context_length_exceeded");
        assert!(!refused.to_string().contains("secret"), "{refused}");
        ann.chat("hi").await.expect(400, "context_length_exceeded");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn the_longest_message_and_answer_fit_into_an_item() {
    let provider = Provider::start().await;
    let url = format!("{}/v1", provider.url);
    let api = Api::own(&[
        ("AI_PROVIDER", "openai"),
        ("OPENAI_BASE_URL", &url),
        ("OPENAI_MODEL", "tiny"),
        ("AI_TIMEOUT_SECONDS", "10"),
        ("MESSAGE_LIMIT", "32000"),
        ("ANSWER_LIMIT", "131072"),
    ])
    .await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = offering(&"😀".repeat(40_000));
    let says = |text: &str, calls: Vec<Value>| {
        let message = json!({ "content": text, "tool_calls": calls });
        Does::Says(200, json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }))
    };
    let call = |number: usize, arguments: &str| json!({ "id": format!("{number:04}"), "function": { "name": "f", "arguments": arguments } });
    // Each call without arguments counts as 45 bytes of the answer.
    let many = |count: usize| (0..count).map(|number| call(number, "")).collect::<Vec<_>>();
    for (does, fits) in [
        (says(&text_of(131_072), vec![]), true),
        (says(&text_of(131_073), vec![]), false),
        (says("", vec![call(1, &text_of(131_027))]), true),
        (says("", vec![call(1, &text_of(131_028))]), false),
        (says("", many(2912)), true),
        (says("", many(2913)), false),
    ] {
        provider.does(does);
        let answer = program.send(&[], body.clone()).await;
        if fits { drop(answer.is(200)) } else { drop(answer.expect(502, "ai_failed")) }
    }
    let stored = api.items(&ann.id).await;
    for chat in &stored["ChatsTable"] {
        let message = chat["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), 32_000);
        assert!(chat.to_string().len() < 400 * 1024, "{}", chat.to_string().len());
    }
    assert_eq!(ann.history("").await.is(200).as_array().unwrap().len(), 3);
    // A stream ends when the answer reaches the limit.
    body["stream"] = json!(true);
    let chunk = |delta: Value| {
        axum::body::Bytes::from(format!("data: {}\n\n", json!({ "choices": [{ "delta": delta }] })))
    };
    provider.does(Does::Streams(vec![
        chunk(json!({ "content": "a" })),
        chunk(json!({ "tool_calls": [call(1, &text_of(140_000))] })),
    ]));
    let chunks = data(&program.send(&[], body).await);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "length");
    // These prompts are 160 KB long, which is rounded up to three times 64 KB, so each costs three
    // times the price.
    assert_eq!(ann.balance().await, GRANT - 4 * 3 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn bodies_of_unknown_callers_are_not_read() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (json, bearer) = (("content-type", "application/json"), ann.bearer());
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/completions"] {
        for body in ["{", "[]", r#"{"messages": 7, "input": 7, "prompt": 7}"#] {
            let send = |headers: Vec<(&'static str, String)>| {
                let (api, path) = (api.clone(), path.to_owned());
                async move {
                    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
                    let headers: Vec<_> = headers.chain([json]).collect();
                    api.raw(Method::POST, &path, &headers, body.into()).await
                }
            };
            send(vec![]).await.expect(401, "not_authenticated");
            let wrong = vec![("authorization", "Bearer sk-x".to_owned())];
            send(wrong).await.expect(401, "invalid_token");
            let known = send(vec![("authorization", bearer.clone())]).await;
            assert_eq!(known.status, 400, "{known:?}");
        }
    }
}
