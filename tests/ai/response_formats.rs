//! `response_format` in `POST /v1/chat/completions`: answers in JSON.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock, done, frame, stop};
use crate::endpoints::openai::completions::{Program, asking, data, said, weather, words};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};

const RAIN: &str = r#"{"rain": true}"#;

fn schema() -> Value {
    json!({ "type": "object", "properties": { "rain": { "type": "boolean" } }, "required": ["rain"], "additionalProperties": false })
}

/// A response format with the schema above.
fn rain() -> Value {
    let named = json!({ "name": "weather", "description": "The weather.", "schema": schema(), "strict": true });
    json!({ "type": "json_schema", "json_schema": named })
}

pub fn formatted(format: Value) -> Value {
    let mut body = asking("hi");
    body["response_format"] = format;
    body
}

#[tokio::test]
async fn servers_get_the_format_and_their_refusal_is_explained() {
    let provider = Provider::start().await;
    let api = provider.api(",echo").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says(RAIN);
    for format in [rain(), json!({ "type": "json_object" })] {
        assert_eq!(said(&program.send(&[], formatted(format.clone())).await.is(200)), RAIN);
        assert_eq!(provider.last_asked().2["response_format"], format);
    }
    program.send(&[], formatted(json!({ "type": "text" }))).await.is(200);
    assert!(provider.last_asked().2.get("response_format").is_none());

    for (words, param) in [
        (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        ),
        (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
            "response_format",
        ),
        ("Invalid schema for response_format 'rain': a secret", "tools"),
        ("a secret about response_format", "response_format"),
    ] {
        provider.does(Does::Says(400, json!({ "error": { "message": words } })));
        let refused = program.send(&[], formatted(rain())).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], param);
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn text_only_providers_refuse_formats_for_free() {
    let api = Api::own(&[("AI_PROVIDER", "echo")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for format in [rain(), json!({ "type": "json_object" })] {
        let refused = program.send(&[], formatted(format)).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "response_format");
    }
    let deep = (0..60).fold(json!({}), |inner, _| json!({ "not": inner }));
    for (param, format) in [
        ("response_format.type", json!({ "type": "yaml" })),
        ("response_format.json_schema", json!({ "type": "json_schema" })),
        (
            "response_format.json_schema.name",
            json!({ "type": "json_schema", "json_schema": { "name": "a b" } }),
        ),
        (
            "response_format.json_schema.schema",
            json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": deep } }),
        ),
        (
            "response_format.json_schema.schema",
            json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": { "$ref": "#" } } }),
        ),
    ] {
        let refused = program.send(&[], formatted(format)).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], param);
    }
    let mut body = asking("hi");
    body["logprobs"] = json!(false);
    body["top_logprobs"] = json!(0);
    let answer = program.send(&[], body).await.is(200);
    assert_eq!(answer["choices"][0]["logprobs"], Value::Null);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

/// An answer from Bedrock with this content.
pub fn converse(content: Value, reason: &str) -> Value {
    json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": reason, "metrics": { "latencyMs": 1 } })
}

#[tokio::test]
async fn bedrock_formats_use_its_own_format_or_a_function() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.does(Does::Says(200, converse(json!([{ "text": RAIN }]), "end_turn")));
    assert_eq!(said(&program.send(&[], formatted(rain())).await.is(200)), RAIN);
    let format = provider.last_asked().2["outputConfig"]["textFormat"].clone();
    assert_eq!(format["type"], "json_schema");
    let named = &format["structure"]["jsonSchema"];
    assert_eq!(
        (&named["name"], &named["description"]),
        (&json!("weather"), &json!("The weather."))
    );
    let sent: Value = serde_json::from_str(named["schema"].as_str().unwrap()).unwrap();
    assert_eq!(sent, schema());

    // This model doesn't support response formats.
    let by_function = json!([
        { "text": "Here it is:" },
        { "toolUse": { "toolUseId": "use_1", "name": "weather", "input": { "rain": true } } },
    ]);
    let words = json!({ "__type": "ValidationException", "message": "This model doesn't support the outputConfig field." });
    provider.does(Does::Refuses("outputConfig", words, converse(by_function.clone(), "tool_use")));
    let answer = program.send(&[], formatted(rain())).await.is(200);
    assert_eq!(
        (said(&answer), &answer["choices"][0]["finish_reason"]),
        (r#"{"rain":true}"#, &json!("stop"))
    );
    let tools = json!({
        "tools": [{ "toolSpec": { "name": "weather", "description": "The weather.", "inputSchema": { "json": schema() } } }],
        "toolChoice": { "tool": { "name": "weather" } },
    });
    assert_eq!(provider.last_asked().2["toolConfig"], tools);

    let program_sends = async |format: Value| program.send(&[], formatted(format)).await;
    program_sends(json!({ "type": "json_object" })).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(
        asked["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"],
        json!({ "json": { "type": "object" } })
    );

    let mut body = formatted(rain());
    body["tools"] = json!([weather()]);
    let refused = program.send(&[], body).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "response_format", "no model does both in this way");
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn bedrock_streams_function_answers_as_text() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let program = Program::of(&api.person("ann").await).await;
    let event = |kind: &str, field: &str, value: Value| {
        let mut event = json!({ "contentBlockIndex": 0 });
        event[field] = value;
        frame("event", kind, &event)
    };
    let part =
        |text: &str| event("contentBlockDelta", "delta", json!({ "toolUse": { "input": text } }));
    let begin = json!({ "toolUse": { "toolUseId": "use_1", "name": "answer" } });
    provider.does(Does::Streams(vec![
        frame("event", "messageStart", &json!({ "role": "assistant" })),
        event("contentBlockStart", "start", begin),
        part("{\"rain\": "),
        part("true}"),
        frame("event", "contentBlockStop", &json!({ "contentBlockIndex": 0 })),
        stop("tool_use"),
    ]));
    let mut body = formatted(json!({ "type": "json_object" }));
    body["stream"] = json!(true);
    let chunks = data(&program.send(&[], body).await);
    assert_eq!(words(&chunks), ["{\"rain\": ", "true}"]);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn refusals_instead_of_json_are_marked_and_charged() {
    const NO: &str = "I can't help with that.";
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let message = json!({ "role": "assistant", "content": null, "refusal": NO });
    let choice = json!({ "message": message, "finish_reason": "stop" });
    provider.does(Does::Says(200, json!({ "choices": [choice] })));
    let refused = program.send(&[], formatted(rain())).await.is(200)["choices"][0].clone();
    assert_eq!(refused["message"], message);
    assert_eq!(refused["finish_reason"], "stop");
    let mut body = input("hi");
    body["text"] =
        json!({ "format": { "type": "json_schema", "name": "weather", "schema": schema() } });
    let response = program.responds(&[], body).await.is(200);
    let content = json!([{ "type": "refusal", "refusal": NO }]);
    assert_eq!(
        (&response["output"][0]["content"], &response["status"]),
        (&content, &json!("completed"))
    );

    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({ "choices": [{ "delta": delta, "finish_reason": finish }] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    provider.does(Does::Streams(vec![
        chunk(json!({ "role": "assistant", "content": null, "refusal": null }), Value::Null),
        chunk(json!({ "refusal": "I can't " }), Value::Null),
        chunk(json!({ "refusal": "help with that." }), Value::Null),
        chunk(json!({}), json!("stop")),
        done(),
    ]));
    let mut streamed = formatted(rain());
    streamed["stream"] = json!(true);
    for (count, pieces) in [("0", 2), ("1", 1)] {
        let answer = program.send(&[("x-stainless-retry-count", count)], streamed.clone()).await;
        let chunks = data(&answer);
        let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
        let refusals: Vec<&str> = deltas.filter_map(|delta| delta["refusal"].as_str()).collect();
        assert_eq!((refusals.concat().as_str(), refusals.len()), (NO, pieces));
        assert_eq!(words(&chunks), [""; 0]);
        let first = &chunks[0]["choices"][0]["delta"];
        assert_eq!((&first["role"], &first["content"]), (&json!("assistant"), &Value::Null));
    }
    assert_eq!(ann.history("").await.is(200)[0]["response"], NO);

    // In the next request's history, the refusal is the assistant's message.
    provider.says("Hello.");
    let mut body = asking("hi");
    body["messages"] = json!([{ "role": "user", "content": "hi" }, message, { "role": "user", "content": "Why?" }]);
    program.send(&[], body).await.is(200);
    let asked = provider.last_asked().2["messages"].clone();
    assert_eq!(asked[2], json!({ "role": "assistant", "content": NO }));
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}
