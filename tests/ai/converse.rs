//! Requests and replies of Amazon Bedrock's Converse API: what a request must contain, and which
//! part of a reply is the answer.

use std::collections::HashSet;

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock, delta, frame, stop};
use crate::ai::response_formats::{converse, formatted};
use crate::endpoints::openai::completions::{Program, data, offering, said, words};
use crate::endpoints::openai::responses::{input, text, tool};

/// Returns a provider that answers with text through Converse, and a program whose requests reach
/// this provider.
async fn asked_by_converse() -> (Provider, Program) {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let program = Program::of(&api.person("ann").await).await;
    provider.does(Does::Says(200, converse(json!([{ "text": "Hello." }]), "end_turn")));
    (provider, program)
}

fn call(id: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } })
}

fn result(id: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": id })
}

#[tokio::test]
async fn prompts_start_with_the_user_and_drop_orphaned_results() {
    let (provider, program) = asked_by_converse().await;
    let mut body = offering("hi");
    body["messages"] = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "assistant", "content": "Well.", "tool_calls": [call("a")] },
        result("a"),
        { "role": "user", "content": "hi" },
    ]);
    program.send(&[], body).await.is(200);
    let hi = json!([{ "role": "user", "content": [{ "text": "hi" }] }]);
    assert_eq!(provider.last_asked().2["messages"], hi);
    let items = json!([
        { "type": "function_call", "call_id": "a", "name": "f", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "a", "output": "1" },
        { "role": "user", "content": "hi" },
    ]);
    let mut body = input(items);
    body["tools"] = json!([tool()]);
    program.responds(&[], body).await.is(200);
    assert_eq!(provider.last_asked().2["messages"], hi);
}

#[tokio::test]
async fn bedrock_continues_answers_without_white_space() {
    let (provider, program) = asked_by_converse().await;
    let mut body = offering("hi");
    body["messages"] = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": "The answer is " },
    ]);
    program.send(&[], body).await.is(200);
    let messages = provider.last_asked().2["messages"].clone();
    assert_eq!(messages[1]["content"], json!([{ "text": "The answer is" }]));
}

#[tokio::test]
async fn bedrock_gets_valid_unique_call_ids() {
    let (provider, program) = asked_by_converse().await;
    let [long, other] = ["1", "2"].map(|last| format!("{}{last}", "x".repeat(70)));
    let ids = ["", "a.1", "a_1", long.as_str(), other.as_str()];
    let mut body = offering("hi");
    let (calls, results) = (ids.map(call), ids.map(result));
    let mut messages = vec![
        json!({ "role": "user", "content": "hi" }),
        json!({ "role": "assistant", "tool_calls": calls }),
    ];
    messages.extend(results.into_iter().rev());
    // A later function call may have the same id as an earlier one.
    messages.extend([json!({ "role": "assistant", "tool_calls": [call("a.1")] }), result("a.1")]);
    body["messages"] = json!(messages);
    program.send(&[], body).await.is(200);
    let asked = provider.last_asked().2["messages"].clone();
    let ids_in = |message: &Value, field: &str| {
        let blocks = message["content"].as_array().unwrap().iter();
        let id = |block: &Value| block[field]["toolUseId"].as_str().unwrap().to_owned();
        blocks.map(id).collect::<Vec<_>>()
    };
    let mut all = ids_in(&asked[1], "toolUse");
    assert_eq!(all[2], "a_1", "a valid id is kept");
    let mut results = ids_in(&asked[2], "toolResult");
    results.reverse();
    assert_eq!(results, all);
    all.extend(ids_in(&asked[3], "toolUse"));
    assert_eq!(ids_in(&asked[4], "toolResult"), all[5..]);
    let is_valid = |id: &String| id.len() <= 64 && id.bytes().all(|byte| byte != b'.');
    assert!(all.iter().all(is_valid) && HashSet::<&String>::from_iter(&all).len() == 6, "{all:?}");
}

#[tokio::test]
async fn function_parameters_always_have_the_type_object() {
    let (provider, program) = asked_by_converse().await;
    let of_object = json!({ "type": "object", "required": [] });
    for (parameters, sent) in [
        (Value::Null, json!({ "type": "object" })),
        (json!({}), json!({ "type": "object" })),
        (json!({ "anyOf": [{}] }), json!({ "type": "object", "anyOf": [{}] })),
        (of_object.clone(), of_object),
    ] {
        let mut body = offering("hi");
        body["tools"][0]["function"]["parameters"] = parameters;
        program.send(&[], body).await.is(200);
        let tool = provider.last_asked().2["toolConfig"]["tools"][0]["toolSpec"].clone();
        assert_eq!(tool["inputSchema"]["json"], sent);
    }
}

/// A response format with this schema.
fn of_schema(schema: Value) -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "days", "schema": schema } })
}

#[tokio::test]
async fn answers_that_are_not_objects_are_wrapped_in_a_function() {
    let (provider, program) = asked_by_converse().await;
    let unsupported = "This model doesn't support the outputConfig field.";
    let unsupported = json!({ "__type": "ValidationException", "message": unsupported });
    let days = json!({ "type": "array", "items": { "$ref": "#/$defs/day" } });
    let definitions = json!({ "day": { "type": "string" } });
    let mut schema = days.clone();
    schema["$defs"] = definitions.clone();
    let block = json!({ "toolUse": { "toolUseId": "a", "name": "days", "input": { "answer": ["Monday"] } } });
    let answer = converse(json!([block]), "tool_use");
    provider.does(Does::Refuses("outputConfig", unsupported, answer));
    let completion = program.send(&[], formatted(of_schema(schema.clone()))).await.is(200);
    assert_eq!(said(&completion), r#"["Monday"]"#);
    let tool = provider.last_asked().2["toolConfig"]["tools"][0]["toolSpec"].clone();
    let takes = json!({ "type": "object", "properties": { "answer": days }, "required": ["answer"], "$defs": definitions });
    assert_eq!((&tool["name"], &tool["inputSchema"]["json"]), (&json!("days"), &takes));

    let mut body = input("hi");
    body["text"] = json!({ "format": { "type": "json_schema", "name": "days", "schema": schema } });
    assert_eq!(text(&program.responds(&[], body).await.is(200)), r#"["Monday"]"#);

    // A schema without a type describes an object, unless other keywords exclude objects.
    for (schema, is_object) in [
        (json!({ "properties": {} }), true),
        (json!({ "$ref": "#/$defs/day", "$defs": {} }), true),
        (json!({ "anyOf": [{ "type": "string" }] }), false),
        (json!({ "type": ["object", "null"] }), false),
    ] {
        program.send(&[], formatted(of_schema(schema))).await.is(200);
        let tool = provider.last_asked().2["toolConfig"]["tools"][0]["toolSpec"].clone();
        let takes = &tool["inputSchema"]["json"];
        assert_eq!(takes["type"], "object");
        assert_eq!(takes["properties"].get("answer").is_none(), is_object, "{takes}");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_sent_once() {
    let (provider, program) = asked_by_converse().await;
    let words = "Input is too long for requested model.";
    let exception = json!({ "__type": "ValidationException", "message": words });
    provider.does(Does::Says(400, exception));
    let format = of_schema(json!({ "type": "object" }));
    program.send(&[], formatted(format)).await.expect(400, "context_length_exceeded");
    assert_eq!(provider.times_asked(), 1);
}

#[tokio::test]
async fn charged_objects_are_never_lost() {
    let (provider, program) = asked_by_converse().await;
    let any_object = formatted(json!({ "type": "json_object" }));
    // To answer with a JSON object, the model should call a function whose argument is the object.
    // Here the model answers with text instead.
    assert_eq!(said(&program.send(&[], any_object.clone()).await.is(200)), "Hello.");

    let mut streamed = any_object;
    streamed["stream"] = json!(true);
    let start = || frame("event", "messageStart", &json!({ "role": "assistant" }));
    let block = |kind: &str, more: Value| {
        let mut event = json!({ "contentBlockIndex": 0 });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame("event", kind, &event)
    };
    let begin = json!({ "start": { "toolUse": { "toolUseId": "a", "name": "answer" } } });
    let empty: Vec<Bytes> = vec![
        start(),
        delta("Here it is:"),
        block("contentBlockStart", begin),
        block("contentBlockStop", json!({})),
        stop("tool_use"),
    ];
    let in_words = vec![start(), delta("No "), delta("object."), stop("end_turn")];
    for (events, answer) in [(empty, "{}"), (in_words, "No object.")] {
        provider.does(Does::Streams(events));
        let chunks = data(&program.send(&[], streamed.clone()).await);
        assert_eq!(words(&chunks), [answer]);
    }
}
