//! Calls of functions and custom tools in `POST /v1/chat/completions`, as agents use them.

use std::collections::BTreeSet;

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock, done, frame, stop};
use crate::ai::refusals::is_refused;
use crate::endpoints::openai::completions::{
    Program, asking, data, offering, said, streamed, weather, words,
};
use crate::endpoints::openai::responses::{PATCH, input, tool};
use crate::support::client::{Api, GRANT, PRICE};
use crate::support::log;

const PARIS: &str = r#"{"city": "Paris"}"#;

/// A message that the scripted AI answers with a function call.
fn in_paris() -> String {
    format!("!call get_weather {PARIS}")
}

/// The request that follows a function call and contains its result.
fn after(call: &Value, result: &str) -> Value {
    let mut body = offering(&in_paris());
    body["messages"] = json!([
        { "role": "user", "content": "How is the weather?" },
        { "role": "assistant", "content": null, "tool_calls": [call] },
        { "role": "tool", "tool_call_id": call["id"], "content": result },
    ]);
    body
}

fn message(completion: &Value) -> &Value {
    &completion["choices"][0]["message"]
}

/// The calls in a streamed answer, assembled the way OpenAI's clients assemble them.
fn calls_of(chunks: &[Value]) -> Vec<(String, String, String)> {
    let mut calls: Vec<(String, String, String)> = Vec::new();
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls"));
    for call in deltas.flat_map(|calls| calls.as_array().unwrap()) {
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        if index == calls.len() {
            assert_eq!(call["type"], "function");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            calls.push((text(&call["id"]), text(&call["function"]["name"]), String::new()));
        } else {
            assert!(call.get("id").is_none() && call["function"].get("name").is_none(), "{call}");
        }
        calls[index].2.push_str(call["function"]["arguments"].as_str().unwrap());
    }
    calls
}

#[tokio::test]
async fn completions_with_calls_are_charged_once_and_replayed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let tries = async |count: &str| {
        program.send(&[("x-stainless-retry-count", count)], offering(&in_paris())).await
    };
    let (first, again) = (tries("0").await, tries("1").await);
    assert!(!first.is_replay() && again.is_replay());
    let first = first.is(200);
    assert_eq!(again.is(200), first);
    assert_eq!(first["choices"][0]["finish_reason"], "tool_calls");
    let call = &message(&first)["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"), "{call}");
    assert_eq!(
        (&call["type"], &call["function"], &message(&first)["content"]),
        (&json!("function"), &json!({ "name": "get_weather", "arguments": PARIS }), &Value::Null)
    );

    let second = program.send(&[], after(call, "It rains.")).await.is(200);
    assert_eq!(
        (said(&second), &second["choices"][0]["finish_reason"]),
        ("You said: It rains.", &json!("stop"))
    );
    assert!(message(&second).get("tool_calls").is_none(), "{second}");

    let history = ann.history("").await.is(200);
    let texts = |chat: &Value| (chat["message"].clone(), chat["response"].clone());
    let called = format!("Calls get_weather({PARIS})");
    assert_eq!(texts(&history[1]), (json!(in_paris()), json!(called)));
    assert_eq!(
        texts(&history[0]),
        (json!("How is the weather?\n\n(Results of calls: 1)"), json!("You said: It rains."))
    );
    assert_eq!(ann.history("?q=calls+get_").await.is(200).as_array().unwrap().len(), 1);
    let exported = ann.get("/api/user/export/").await.is(200);
    assert_eq!(exported["chats"][1]["response"], json!(called));
    let statement = ann.get("/api/user/ledger/").await.is(200);
    assert_eq!(
        [&statement[0]["chat_id"], &statement[1]["chat_id"]],
        [&history[0]["id"], &history[1]["id"]]
    );
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn blank_messages_after_results_are_left_out() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says("Take an umbrella.");
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "get_weather", "arguments": PARIS } });
    for blank in [json!(""), json!(" \n"), json!([{ "type": "text", "text": "" }])] {
        let mut body = after(&call("call_1"), "It rains.");
        let sent = body["messages"].clone();
        let blank = json!({ "role": "user", "content": blank });
        body["messages"].as_array_mut().unwrap().push(blank);
        program.send(&[], body.clone()).await.is(200);
        let asked = provider.last_asked().2;
        let (_, messages) = asked["messages"].as_array().unwrap().split_first().unwrap();
        assert_eq!(json!(messages), sent);
        let kept = ann.history("").await.is(200)[0]["message"].clone();
        assert_eq!(kept, "How is the weather?\n\n(Results of calls: 1)");
        // The blank message stays in the agent's history.
        body["messages"].as_array_mut().unwrap().extend([
            json!({ "role": "assistant", "content": null, "tool_calls": [call("call_2")] }),
            json!({ "role": "tool", "tool_call_id": "call_2", "content": "It snows." }),
        ]);
        program.send(&[], body).await.is(200);
    }
    let mut body = input(json!([
        { "role": "user", "content": "How is the weather?" },
        { "type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": PARIS },
        { "type": "function_call_output", "call_id": "call_1", "output": "It rains." },
        { "role": "user", "content": " " },
    ]));
    body["tools"] = json!([tool()]);
    program.responds(&[], body.clone()).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["messages"].as_array().unwrap().last().unwrap()["content"], "It rains.");
    // Without a result before it, a blank message is refused.
    body["input"].as_array_mut().unwrap().drain(1..3);
    program.responds(&[], body).await.expect(400, "invalid_fields");
    assert_eq!(ann.balance().await, GRANT - 7 * PRICE);
}

#[tokio::test]
async fn null_arguments_become_an_object_only_where_needed() {
    let provider = Provider::start().await;
    let program = Program::of(&provider.api("").await.person("ann").await).await;
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "get_weather", "arguments": "null" } });
    provider.says("It rains.");
    program.send(&[], after(&call, "It rains.")).await.is(200);
    assert_eq!(provider.last_asked().2["messages"][2]["tool_calls"], json!([call]));

    let program = Program::of(&bedrock(&provider, "").await.person("ann").await).await;
    let content = json!([{ "text": "It rains." }]);
    provider.does(Does::Says(200, json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": "end_turn", "metrics": { "latencyMs": 1 } })));
    program.send(&[], after(&call, "It rains.")).await.is(200);
    let sent = provider.last_asked().2["messages"][1]["content"][0]["toolUse"].clone();
    assert_eq!((&sent["name"], &sent["input"]), (&json!("get_weather"), &json!({})));
}

#[tokio::test]
async fn calls_are_streamed_in_pieces_and_replayed_whole() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = offering(&in_paris());
    body["stream"] = json!(true);
    let mut seen = Vec::new();
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], body.clone()).await;
        assert_eq!(answer.is_replay(), count == "1");
        let chunks = data(&answer);
        let delta = &chunks[0]["choices"][0]["delta"];
        assert_eq!((&delta["role"], &delta["content"]), (&json!("assistant"), &Value::Null));
        let end = &chunks[chunks.len() - 2]["choices"][0];
        assert_eq!((&end["finish_reason"], &end["delta"]), (&json!("tool_calls"), &json!({})));
        assert_eq!((words(&chunks), &chunks[chunks.len() - 1]), (vec![], &json!("[DONE]")));
        seen.push((chunks.len(), calls_of(&chunks)));
    }
    let [(pieces, first), (one, again)] = seen.try_into().unwrap();
    assert_eq!((pieces, one, &again), (5, 3, &first));
    assert_eq!((first.len(), first[0].1.as_str(), first[0].2.as_str()), (1, "get_weather", PARIS));
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn legacy_functions_get_legacy_calls() {
    let api = Api::start().await;
    let program = Program::of(&api.person("ann").await).await;
    let mut body = asking(&in_paris());
    body["functions"] = json!([weather()["function"]]);
    let whole = program.send(&[], body.clone()).await.is(200);
    let call = json!({ "name": "get_weather", "arguments": PARIS });
    assert_eq!(whole["choices"][0]["finish_reason"], "function_call");
    assert_eq!(message(&whole)["function_call"], call);
    assert!(message(&whole).get("tool_calls").is_none(), "{whole}");

    body["stream"] = json!(true);
    let chunks = data(&program.send(&[], body.clone()).await);
    let deltas: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"].get("function_call"))
        .collect();
    assert_eq!(deltas[0]["name"], "get_weather");
    let arguments = deltas.iter().map(|delta| delta["arguments"].as_str().unwrap());
    assert_eq!(arguments.collect::<String>(), PARIS);

    body["stream"] = json!(false);
    body["messages"] = json!([
        { "role": "user", "content": "How is the weather?" },
        { "role": "assistant", "content": null, "function_call": call },
        { "role": "function", "name": "get_weather", "content": "It rains." },
    ]);
    assert_eq!(said(&program.send(&[], body).await.is(200)), "You said: It rains.");
}

#[tokio::test]
async fn text_only_providers_ignore_functions_unless_required() {
    let api = Api::own(&[("AI_PROVIDER", "echo")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = offering("hi");
    assert_eq!(said(&program.send(&[], body.clone()).await.is(200)), "You said: hi");
    let named = json!({ "type": "function", "function": { "name": "get_weather" } });
    let allowed = |mode: &str| {
        let allowed = json!({ "mode": mode, "tools": [named] });
        json!({ "type": "allowed_tools", "allowed_tools": allowed })
    };
    for choice in [json!("required"), named.clone(), allowed("required")] {
        body["tool_choice"] = choice;
        let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "tools");
    }
    for choice in [json!("auto"), json!("none"), allowed("auto")] {
        body["tool_choice"] = choice;
        program.send(&[], body.clone()).await.is(200);
    }
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn calls_and_results_must_match() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let user = || json!({ "role": "user", "content": "hi" });
    let calls = |ids: &[&str]| {
        let calls: Vec<Value> = ids.iter().map(|id| call(id)).collect();
        json!({ "role": "assistant", "tool_calls": calls })
    };
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "1" });
    for (param, messages) in [
        ("messages[1].tool_calls", json!([user(), calls(&["a"])])),
        ("messages[1].tool_calls", json!([user(), calls(&["a", "b"]), result("a"), user()])),
        ("messages[1].tool_calls", json!([user(), calls(&["a", "a"]), result("a"), result("a")])),
        ("messages[1].tool_call_id", json!([user(), result("a")])),
        ("messages[3].tool_call_id", json!([user(), calls(&["a"]), result("a"), result("a")])),
        ("messages[2].tool_call_id", json!([user(), calls(&["a"]), result("b")])),
    ] {
        let mut body = offering("hi");
        body["messages"] = messages;
        let refused = program.send(&[], body).await.expect(400, "invalid_fields");
        let params = refused["error"]["param"].as_str().unwrap();
        assert!(
            params == param || param.ends_with("tool_call_id") && params.ends_with("tool_calls"),
            "{refused}"
        );
    }
    let mut body = offering("hi");
    body["messages"] = json!([user(), calls(&["a", "b"]), result("b"), result("a"), user()]);
    program.send(&[], body).await.is(200);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

/// A provider's reply that calls functions.
fn calls(calls: Value) -> Does {
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    Does::Says(200, json!({ "choices": [{ "message": message, "finish_reason": "tool_calls" }] }))
}

#[tokio::test]
async fn servers_get_functions_and_calls_unchanged() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "get_weather", "arguments": PARIS } });
    provider.does(calls(json!([call])));
    let mut body = after(&call, "It rains.");
    body["tools"][0]["function"]["description"] = json!("The weather of a city.");
    body["tools"][0]["function"]["strict"] = json!(true);
    body["tool_choice"] = json!({ "type": "function", "function": { "name": "get_weather" } });
    body["parallel_tool_calls"] = json!(false);
    let completion = program.send(&[], body.clone()).await.is(200);
    assert_eq!(message(&completion)["tool_calls"], json!([call]));
    let asked = provider.last_asked().2;
    for field in ["tools", "tool_choice", "parallel_tool_calls"] {
        assert_eq!(asked[field], body[field], "{field}");
    }
    let (system, messages) = asked["messages"].as_array().unwrap().split_first().unwrap();
    assert_eq!(system["content"], "Be kind.");
    assert_eq!(json!(messages), body["messages"]);
    for (choice, sent) in [
        (json!("required"), json!("required")),
        (json!("none"), json!("none")),
        (json!("auto"), Value::Null),
    ] {
        body["tool_choice"] = choice;
        program.send(&[], body.clone()).await.is(200);
        assert_eq!(provider.last_asked().2["tool_choice"], sent);
    }
    program.send(&[], asking("hi")).await.is(200);
    let asked = provider.last_asked().2;
    assert!(["tools", "tool_choice"].iter().all(|field| asked.get(field).is_none()), "{asked}");
}

/// A custom tool that a request offers to the model.
fn patch_tool(format: Value) -> Value {
    let tool = json!({ "name": "apply_patch", "description": "Edits files.", "format": format });
    json!({ "type": "custom", "custom": tool })
}

/// A call of the custom tool, with the arguments that a provider sends or gets.
fn patch_call(arguments: &str) -> Value {
    let function = json!({ "name": "apply_patch", "arguments": arguments });
    json!({ "id": "call_1", "type": "function", "function": function })
}

#[tokio::test]
async fn custom_tools_reach_providers_as_functions() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let in_json = json!({ "input": PATCH }).to_string();
    let custom = json!({ "name": "apply_patch", "input": PATCH });
    let custom = json!([{ "id": "call_1", "type": "custom", "custom": custom }]);
    let named = json!({ "type": "custom", "custom": { "name": "apply_patch" } });
    let grammar = json!({ "syntax": "regex", "definition": "a+" });
    let mut body = offering("Edit it.");
    body["tools"] =
        json!([weather(), patch_tool(json!({ "type": "grammar", "grammar": grammar }))]);
    body["tool_choice"] = named.clone();
    // Some models don't write the arguments as JSON.
    for arguments in [in_json.as_str(), PATCH] {
        provider.does(calls(json!([patch_call(arguments)])));
        let completion = program.send(&[], body.clone()).await.is(200);
        assert_eq!(message(&completion)["tool_calls"], custom);
        assert_eq!(completion["choices"][0]["finish_reason"], "tool_calls");
    }
    let asked = provider.last_asked().2;
    assert_eq!(asked["tools"][0], weather());
    let function = &asked["tools"][1]["function"];
    assert_eq!(
        [&asked["tools"][1]["type"], &function["name"], &function["description"]],
        [
            "function",
            "apply_patch",
            "Edits files.\n\nThe whole input must match this regular expression:\na+"
        ]
    );
    let schema = &function["parameters"];
    assert_eq!(
        (&schema["required"], &schema["properties"]["input"]["type"]),
        (&json!(["input"]), &json!("string"))
    );
    let chosen = json!({ "type": "function", "function": { "name": "apply_patch" } });
    assert_eq!(asked["tool_choice"], chosen);

    provider.says("Done.");
    let allowed = json!({ "mode": "required", "tools": [named] });
    body["tool_choice"] = json!({ "type": "allowed_tools", "allowed_tools": allowed });
    body["messages"] = json!([
        { "role": "user", "content": "Edit it." },
        { "role": "assistant", "content": null, "tool_calls": custom },
        { "role": "tool", "tool_call_id": "call_1", "content": "Edited." },
    ]);
    assert_eq!(said(&program.send(&[], body).await.is(200)), "Done.");
    let asked = provider.last_asked().2;
    assert_eq!(asked["messages"][2]["tool_calls"], json!([patch_call(&in_json)]));
    assert_eq!(asked["messages"][3]["tool_call_id"], "call_1");
    assert_eq!(
        (asked["tools"].as_array().unwrap().len(), &asked["tool_choice"]),
        (1, &json!("required"))
    );
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn custom_calls_are_streamed_with_their_whole_text() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = streamed(&format!("!call apply_patch {}", json!({ "input": PATCH })));
    body["tools"] = json!([patch_tool(json!({ "type": "text" }))]);
    let mut ids = Vec::new();
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], body.clone()).await;
        assert_eq!(answer.is_replay(), count == "1");
        let chunks = data(&answer);
        let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
        let calls: Vec<&Value> =
            deltas.filter_map(|delta| delta.get("tool_calls")).map(|calls| &calls[0]).collect();
        let custom = json!({ "name": "apply_patch", "input": "" });
        let begun = json!({ "index": 0, "id": calls[0]["id"], "type": "custom", "custom": custom });
        assert_eq!(calls, [&begun, &json!({ "index": 0, "custom": { "input": PATCH } })]);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
        ids.push(calls[0]["id"].clone());
    }
    assert!(ids[0].is_string() && ids[0] == ids[1], "{ids:?}");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn calls_are_read_in_every_numbering() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let part = |call: Value| {
        let chunk = json!({ "choices": [{ "delta": { "tool_calls": [call] } }] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let end = || {
        let chunk = json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let call = |index: Value, id: &str, name: &str, arguments: Value| {
        let mut call = json!({ "function": { "arguments": arguments } });
        for (field, value) in [("index", index), ("id", json!(id))] {
            if !value.is_null() && value != "" {
                call[field] = value;
            }
        }
        if !name.is_empty() {
            call["function"]["name"] = json!(name);
        }
        call
    };
    let mut body = offering("hi");
    body["stream"] = json!(true);
    let of = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
    for (parts, expected) in [
        // Calls numbered as OpenAI numbers them.
        (
            vec![
                call(json!(0), "a", "f", json!("")),
                call(json!(0), "", "", json!("{\"x\":")),
                call(json!(0), "", "", json!(" 1}")),
                call(json!(1), "b", "g", json!("{}")),
            ],
            vec![of("f", "{\"x\": 1}"), of("g", "{}")],
        ),
        // All calls have the same number.
        (
            vec![call(json!(0), "a", "f", json!("{}")), call(json!(0), "b", "g", json!("{}"))],
            vec![of("f", "{}"), of("g", "{}")],
        ),
        // Each part of a call has a new id.
        (
            vec![call(json!(0), "a", "f", json!("{")), call(json!(0), "b", "", json!("}"))],
            vec![of("f", "{}")],
        ),
        // A call without a number or an id. The call's arguments are an object.
        (vec![call(Value::Null, "", "f", json!({ "x": 1 }))], vec![of("f", "{\"x\":1}")]),
        // Several complete calls without numbers or ids.
        (
            vec![
                call(Value::Null, "", "f", json!("{\"x\":1}")),
                call(Value::Null, "", "g", json!("{\"y\":2}")),
                call(Value::Null, "", "g", json!("{\"y\":3}")),
            ],
            vec![of("f", "{\"x\":1}"), of("g", "{\"y\":2}"), of("g", "{\"y\":3}")],
        ),
        // A call whose name arrives after its first part.
        (
            vec![call(json!(0), "a", "", json!("")), call(json!(0), "", "f", json!("{}"))],
            vec![of("f", "{}")],
        ),
        // All calls have the same id, with numbers of their own or without.
        (
            vec![
                call(json!(0), "a", "f", json!("{\"x\":1}")),
                call(json!(1), "a", "f", json!("{\"x\":")),
                call(json!(1), "a", "f", json!("2}")),
                call(json!(1), "a", "f", json!("")),
            ],
            vec![of("f", "{\"x\":1}"), of("f", "{\"x\":2}")],
        ),
        (
            vec![
                call(json!(0), "a", "f", json!("{\"x\":1}")),
                call(json!(0), "a", "f", json!("{\"x\":2}")),
                call(json!(0), "a", "g", json!("{}")),
            ],
            vec![of("f", "{\"x\":1}"), of("f", "{\"x\":2}"), of("g", "{}")],
        ),
        // The arguments are the text `null`, or contain it in a piece of its own.
        (vec![call(json!(0), "a", "f", json!("null"))], vec![of("f", "{}")]),
        (
            [r#"{"city":"#, " null", r#","text":"x"#, " null", " y\"}"]
                .map(|piece| call(json!(0), "a", "f", json!(piece)))
                .into(),
            vec![of("f", r#"{"city": null,"text":"x null y"}"#)],
        ),
        // A call number that is too large to be a list index.
        (vec![call(json!(u64::MAX), "a", "f", json!("{}"))], vec![of("f", "{}")]),
    ] {
        let mut stream: Vec<Bytes> = parts.into_iter().map(part).collect();
        stream.extend([end(), done()]);
        provider.does(Does::Streams(stream));
        let calls = calls_of(&data(&program.send(&[], body.clone()).await));
        let ids: BTreeSet<&str> = calls.iter().map(|call| call.0.as_str()).collect();
        assert!(ids.len() == calls.len() && !ids.contains(""), "{calls:?}");
        let calls: Vec<_> = calls.into_iter().map(|(_, name, text)| (name, text)).collect();
        assert_eq!(calls, expected);
    }

    // If only one call is allowed, the parts of other calls are dropped, even if all calls have the
    // same number.
    body["parallel_tool_calls"] = json!(false);
    let parts = [("a", "f", "{"), ("b", "g", ""), ("", "", "[1]"), ("a", "", "}")];
    let parts = parts.map(|(id, name, text)| part(call(json!(0), id, name, json!(text))));
    provider.does(Does::Streams(parts.into_iter().chain([end(), done()]).collect()));
    let calls_of_one = calls_of(&data(&program.send(&[], body.clone()).await));
    assert_eq!(calls_of_one, [("a".to_owned(), "f".to_owned(), "{}".to_owned())]);

    body["stream"] = json!(false);
    let function = json!({ "name": "f", "arguments": "{}" });
    provider.does(calls(
        json!([{ "id": "a", "function": function }, { "id": "b", "function": function }]),
    ));
    let one = program.send(&[], body).await.is(200);
    assert_eq!(message(&one)["tool_calls"].as_array().unwrap().len(), 1, "one call was allowed");
    let unasked = program.send(&[], asking("hi")).await.is(200);
    assert!(message(&unasked).get("tool_calls").is_none(), "no function was offered: {unasked}");
}

/// Some models give all calls in an answer the same id. The client must be able to send a result for
/// each call, and a retry must get the same ids.
#[tokio::test]
async fn calls_with_one_id_get_results_of_their_own() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let function = |x: u32| json!({ "name": "f", "arguments": format!("{{\"x\":{x}}}") });
    provider.does(calls(
        json!([{ "id": "step:3", "function": function(1) }, { "id": "step:3", "function": function(2) }]),
    ));
    let key = [("idempotency-key", "one")];
    let asked = offering("hi");
    let answer = program.send(&key, asked.clone()).await.is(200);
    let made = message(&answer)["tool_calls"].as_array().unwrap().clone();
    let [one, two] = [&made[0]["id"], &made[1]["id"]];
    assert!(one == "step:3" && one != two, "{made:?}");
    assert_eq!(
        message(&program.send(&key, asked.clone()).await.is(200))["tool_calls"],
        json!(made)
    );

    let mut next = asked;
    let result =
        |id: &Value, text: &str| json!({ "role": "tool", "tool_call_id": id, "content": text });
    let sent = next["messages"].as_array_mut().unwrap();
    sent.extend([message(&answer).clone(), result(one, "first"), result(two, "second")]);
    program.send(&[], next).await.is(200);
    let (_, _, got) = provider.last_asked();
    let ids = |role: &str, at: &str| -> Vec<Value> {
        let messages = got["messages"].as_array().unwrap().iter();
        messages
            .filter(|message| message["role"] == role)
            .map(|message| message[at].clone())
            .collect()
    };
    assert_eq!(ids("tool", "tool_call_id"), [one.clone(), two.clone()]);
}

#[tokio::test]
async fn functions_are_dropped_if_the_model_refuses_them() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let said_instead =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "get_weather", "arguments": PARIS } });
    for words in [
        "registry.ollama.ai/library/tiny:latest does not support tools",
        "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
    ] {
        let words = json!({ "error": { "message": words } });
        provider.does(Does::Refuses("tools", words, said_instead.clone()));
        let mut body = after(&call, "It rains.");
        assert_eq!(said(&program.send(&[], body.clone()).await.is(200)), "Hello.");
        let messages = provider.last_asked().2["messages"].clone();
        assert_eq!(
            [&messages[2], &messages[3]],
            [
                &json!({ "role": "assistant", "content": format!("Calls get_weather({PARIS})") }),
                &json!({ "role": "user", "content": "The result of the call:\nIt rains." }),
            ]
        );
        body["tool_choice"] = json!("required");
        let refused = program.send(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "tools");
    }
    let secret =
        json!({ "error": { "message": "Invalid schema for function 'get_weather': a secret" } });
    provider.does(Does::Says(400, secret));
    let refused = program.send(&[], offering("hi")).await.expect(400, "invalid_fields");
    assert!(!refused.to_string().contains("secret"), "{refused}");
    program.send(&[], asking("hi")).await.expect(502, "ai_failed");
    assert!(!log::text().contains("a secret"), "{}", log::text());
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.account(&ann).await.reservations.len(), 0);
}

#[tokio::test]
async fn bedrock_gets_functions_calls_and_results() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let uses = json!([
        { "text": "Let me look." },
        { "toolUse": { "toolUseId": "tooluse_1", "name": "get_weather", "input": { "city": "Paris", "days": 3, "far": -1, "exact": 0.5 } } },
    ]);
    provider.does(Does::Says(200, json!({ "output": { "message": { "role": "assistant", "content": uses } }, "stopReason": "tool_use", "metrics": { "latencyMs": 1 } })));
    let mut body = offering("hi");
    body["messages"] = json!([
        { "role": "user", "content": "How is the weather?" },
        { "role": "assistant", "content": "Well.", "tool_calls": [
            { "id": "call.1", "type": "function", "function": { "name": "get_weather", "arguments": PARIS } },
            { "id": "call.2", "type": "function", "function": { "name": "get_time", "arguments": "now" } },
        ] },
        { "role": "tool", "tool_call_id": "call.2", "content": "" },
        { "role": "tool", "tool_call_id": "call.1", "content": "It rains." },
        { "role": "user", "content": "And tomorrow?" },
    ]);
    body["tool_choice"] = json!("required");
    let completion = program.send(&[], body.clone()).await.is(200);
    let answer = message(&completion);
    assert_eq!(
        (said(&completion), &completion["choices"][0]["finish_reason"]),
        ("Let me look.", &json!("tool_calls"))
    );
    let call = &answer["tool_calls"][0];
    assert_eq!(
        (&call["id"], &call["function"]["name"]),
        (&json!("tooluse_1"), &json!("get_weather"))
    );
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "city": "Paris", "days": 3, "far": -1, "exact": 0.5 }));

    let asked = provider.last_asked().2;
    let schema = weather()["function"]["parameters"].clone();
    assert_eq!(
        asked["toolConfig"],
        json!({
            "tools": [{ "toolSpec": { "name": "get_weather", "inputSchema": { "json": schema } } }],
            "toolChoice": { "any": {} },
        })
    );
    let result = |id: &Value, text: &str| json!({ "toolResult": { "toolUseId": id, "content": [{ "text": text }] } });
    let [first, second] = [1, 2]
        .map(|block: usize| asked["messages"][1]["content"][block]["toolUse"]["toolUseId"].clone());
    assert_eq!(
        asked["messages"],
        json!([
            { "role": "user", "content": [{ "text": "How is the weather?" }] },
            { "role": "assistant", "content": [
                { "text": "Well." },
                { "toolUse": { "toolUseId": first, "name": "get_weather", "input": { "city": "Paris" } } },
                { "toolUse": { "toolUseId": second, "name": "get_time", "input": { "arguments": "now" } } },
            ] },
            { "role": "user", "content": [result(&second, "nothing"), result(&first, "It rains."), { "text": "And tomorrow?" }] },
        ])
    );
    body["tool_choice"] = json!({ "type": "function", "function": { "name": "get_weather" } });
    program.send(&[], body.clone()).await.is(200);
    assert_eq!(
        provider.last_asked().2["toolConfig"]["toolChoice"],
        json!({ "tool": { "name": "get_weather" } })
    );
    body["tool_choice"] = json!("none");
    program.send(&[], body.clone()).await.is(200);
    let asked = provider.last_asked().2;
    assert!(asked.get("toolConfig").is_none() && !asked.to_string().contains("toolUse"), "{asked}");

    // Some models don't support functions, and some refuse the request for a different reason.
    let exception =
        |words: &str| Does::Says(400, json!({ "__type": "ValidationException", "message": words }));
    body["tool_choice"] = json!("required");
    for words in [
        "This model doesn't support tool use.",
        "The value at toolConfig is a secret.",
        "The text field in the ContentBlock object at messages.0.content.0 is a secret.",
    ] {
        provider.does(exception(words));
        let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
    assert!(!log::text().contains("a secret"), "{}", log::text());
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn bedrock_streams_function_calls() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let event = |kind: &str, index: u64, field: &str, value: Value| {
        let mut event = json!({ "contentBlockIndex": index });
        if !field.is_empty() {
            event[field] = value;
        }
        frame("event", kind, &event)
    };
    let begin = |index: u64, name: &str| {
        let call = json!({ "toolUse": { "toolUseId": format!("use_{index}"), "name": name } });
        event("contentBlockStart", index, "start", call)
    };
    let part = |index: u64, text: &str| {
        event("contentBlockDelta", index, "delta", json!({ "toolUse": { "input": text } }))
    };
    let end = |index: u64| event("contentBlockStop", index, "", Value::Null);
    provider.does(Does::Streams(vec![
        frame("event", "messageStart", &json!({ "role": "assistant" })),
        event("contentBlockDelta", 0, "delta", json!({ "text": "Let me look." })),
        end(0),
        begin(1, "get_weather"),
        part(1, ""),
        part(1, "{\"city\": "),
        part(1, "\"Paris\"}"),
        end(1),
        begin(2, "get_time"),
        end(2),
        stop("tool_use"),
    ]));
    let mut body = offering("hi");
    body["stream"] = json!(true);
    let chunks = data(&program.send(&[], body).await);
    assert_eq!(words(&chunks), ["Let me look."]);
    let call = |id: &str, name: &str, text: &str| (id.to_owned(), name.to_owned(), text.to_owned());
    assert_eq!(
        calls_of(&chunks),
        [call("use_1", "get_weather", PARIS), call("use_2", "get_time", "{}")],
        "a function without parameters gets an empty object"
    );
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn hostile_histories_and_schemas_are_refused_for_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let call = |id: usize| json!({ "id": id.to_string(), "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let mut body = offering("hi");
    let turns = |count: usize| {
        let of_call = |id: usize| {
            [
                json!({ "role": "assistant", "tool_calls": [call(id)] }),
                json!({ "role": "tool", "tool_call_id": id.to_string(), "content": "" }),
            ]
        };
        (0..count / 2).flat_map(of_call).collect::<Value>()
    };
    body["messages"] = turns(10_000);
    is_refused(program.send(&[], body.clone()).await, "at most 2048 messages");
    body["messages"] = turns(100);
    is_refused(program.send(&[], body).await, "must have the role user");

    let with = |parameters: Value| {
        let mut body = offering("hi");
        body["tools"][0]["function"]["parameters"] = parameters;
        body
    };
    let deep = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({ "not": inner }));
    for depth in [60, 1000] {
        is_refused(program.send(&[], with(deep(depth))).await, "50 levels");
    }
    let circle = json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
    is_refused(program.send(&[], with(circle)).await, "leads back to itself");
    let many: Vec<Value> = (0..129).map(|_| weather()).collect();
    let mut body = offering("hi");
    body["tools"] = json!(many);
    is_refused(program.send(&[], body).await, "at most 128 functions");
    assert_eq!(ann.balance().await, GRANT);

    let node = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
    program.send(&[], with(node)).await.is(200);
    let mut body = streamed("!call f {}");
    body["tools"] = json!([weather()]);
    program.send(&[], body).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}
