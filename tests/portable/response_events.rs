//! The events of a streamed `POST /v1/responses`, assembled the way OpenAI's SDKs assemble them.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, chunk, done, thought};
use crate::endpoints::openai::completions::Program;
use crate::endpoints::openai::responses::{PATCH, PATH, in_paris, input, patching, text};
use crate::support::client::{Answer, Api, GRANT, PRICE};
use crate::support::function::event;
use crate::support::lambda::Instance;

fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

/// The events of a stream. Asserts that each event's type equals its name, and that the sequence
/// numbers ascend.
pub fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let text = answer.body.as_str().unwrap();
    let event = |(number, event): (usize, &str)| {
        let (name, data) = event.split_once("\ndata: ").unwrap_or_else(|| panic!("{event:?}"));
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        assert_eq!(data["sequence_number"], number, "{data}");
        data
    };
    text.split_terminator("\n\n").enumerate().map(event).collect()
}

/// The event types, without the `response.` prefix.
fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .map(|name| name.strip_prefix("response.").unwrap_or(name))
        .collect()
}

fn deltas(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["delta"].as_str()).collect()
}

/// The output that a client assembles from the events.
fn put_together(events: &[Value]) -> Vec<Value> {
    let (mut output, mut ended): (Vec<Value>, usize) = (Vec::new(), 0);
    let add = |text: &mut Value, delta: &Value| {
        *text = json!(format!("{}{}", text.as_str().unwrap(), delta.as_str().unwrap()));
    };
    for event in events {
        let place =
            event["output_index"].as_u64().map_or(0, |place| usize::try_from(place).unwrap());
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(
                    (place, &event["item"]["status"]),
                    (output.len(), &json!("in_progress"))
                );
                output.push(event["item"].clone());
            }
            "response.content_part.added" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                output[place]["content"].as_array_mut().unwrap().push(event["part"].clone());
            }
            "response.output_text.delta" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                add(&mut output[place]["content"][0]["text"], &event["delta"]);
            }
            "response.function_call_arguments.delta" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                add(&mut output[place]["arguments"], &event["delta"]);
            }
            "response.reasoning_summary_part.added" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                output[place]["summary"].as_array_mut().unwrap().push(event["part"].clone());
            }
            "response.reasoning_summary_text.delta" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                add(&mut output[place]["summary"][0]["text"], &event["delta"]);
            }
            "response.reasoning_summary_text.done" => {
                assert_eq!(event["text"], output[place]["summary"][0]["text"]);
            }
            "response.reasoning_summary_part.done" => {
                assert_eq!(event["part"], output[place]["summary"][0]);
            }
            "response.custom_tool_call_input.delta" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                add(&mut output[place]["input"], &event["delta"]);
            }
            "response.refusal.delta" => {
                assert_eq!(event["item_id"], output[place]["id"]);
                add(&mut output[place]["content"][0]["refusal"], &event["delta"]);
            }
            "response.output_text.done" => {
                assert_eq!(event["text"], output[place]["content"][0]["text"]);
            }
            "response.custom_tool_call_input.done" => {
                assert_eq!(event["input"], output[place]["input"]);
            }
            "response.refusal.done" => {
                assert_eq!(event["refusal"], output[place]["content"][0]["refusal"]);
            }
            "response.content_part.done" => {
                assert_eq!(event["part"], output[place]["content"][0]);
            }
            "response.function_call_arguments.done" => {
                let [name, arguments] = ["name", "arguments"].map(|field| &output[place][field]);
                assert_eq!((&event["name"], &event["arguments"]), (name, arguments));
            }
            "response.output_item.done" => {
                assert_eq!(place, ended, "items end in their order");
                ended += 1;
                if let Some(content) = event["item"].get("encrypted_content") {
                    output[place]["encrypted_content"] = content.clone();
                }
                output[place]["status"] = event["item"]["status"].clone();
                assert_eq!(event["item"], output[place]);
            }
            _ => {}
        }
    }
    output
}

/// The response in the last event. Asserts that the response's output equals the output assembled
/// from the other events.
pub fn whole(events: &[Value]) -> &Value {
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"], json!(put_together(events)));
    for event in &events[..2] {
        let begun = &event["response"];
        assert_eq!(
            (&begun["id"], &begun["created_at"]),
            (&response["id"], &response["created_at"])
        );
        assert_eq!((&begun["status"], &begun["output"]), (&json!("in_progress"), &json!([])));
        assert_eq!(begun["usage"], Value::Null);
    }
    response
}

#[tokio::test]
async fn responses_are_streamed_as_events_and_replayed_whole() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = streamed(input("!words one two three"));
    body["metadata"] = json!({ "topic": "numbers" });
    let send = async || program.responds(&[("idempotency-key", "k1")], body.clone()).await;
    let (first, again) = (send().await, send().await);
    assert!(!first.is_replay() && again.is_replay());
    let (first, again) = (events(&first), events(&again));
    assert_eq!(
        types(&first),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(deltas(&first), ["one ", "two ", "three"]);
    assert_eq!(deltas(&again), ["one two three"]);
    let response = whole(&first);
    assert_eq!(whole(&again), response);
    assert_eq!((text(response), &response["status"]), ("one two three", &json!("completed")));
    let kept = ann.history("").await.is(200)[0].clone();
    assert_eq!(response["id"], format!("resp_{}", kept["id"].as_str().unwrap()));
    assert_eq!(kept["response"], "one two three");
    assert_eq!(response["metadata"], json!({ "topic": "numbers" }));
    assert_eq!(response["usage"]["total_tokens"], 5);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn streamed_calls_equal_those_of_a_whole_response() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut outputs = Vec::new();
    for count in ["0", "1"] {
        let count = [("x-stainless-retry-count", count)];
        let answer = program.responds(&count, streamed(in_paris())).await;
        let events = events(&answer);
        let (begin, end) = (["created", "in_progress", "output_item.added"], events.len() - 3);
        assert_eq!(types(&events)[..3], begin);
        let ends = ["function_call_arguments.done", "output_item.done", "completed"];
        assert_eq!(types(&events)[end..], ends);
        let pieces: Vec<&str> = deltas(&events);
        assert_eq!(pieces.concat(), r#"{"city": "Paris"}"#);
        assert_eq!(pieces.len(), if answer.is_replay() { 1 } else { 2 });
        outputs.push(whole(&events)["output"].clone());
    }
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0][0]["name"], "get_weather");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn custom_calls_are_streamed_once_their_text_is_whole() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut outputs = Vec::new();
    for count in ["0", "1"] {
        let count = [("x-stainless-retry-count", count)];
        let events = events(&program.responds(&count, streamed(patching())).await);
        let names = [
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed",
        ];
        assert_eq!(types(&events)[2..], names);
        assert_eq!(deltas(&events), [PATCH]);
        outputs.push(whole(&events)["output"].clone());
    }
    assert_eq!(outputs[0], outputs[1]);
    let fields = ["type", "name", "input"].map(|field| outputs[0][0][field].as_str().unwrap());
    assert_eq!(fields, ["custom_tool_call", "apply_patch", PATCH]);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn refusals_are_streamed_as_refusals() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let body = streamed(input("!refuse Not this."));
    let mut outputs = Vec::new();
    for (count, pieces) in [("0", &["Not ", "this."][..]), ("1", &["Not this."])] {
        let events =
            events(&program.responds(&[("x-stainless-retry-count", count)], body.clone()).await);
        assert_eq!(deltas(&events), pieces);
        let ends = ["refusal.done", "content_part.done", "output_item.done", "completed"];
        assert_eq!(types(&events)[4 + pieces.len()..], ends);
        outputs.push(whole(&events)["output"].clone());
    }
    let content = json!([{ "type": "refusal", "refusal": "Not this." }]);
    assert_eq!([&outputs[0][0]["content"], &outputs[1][0]["content"]], [&content; 2]);
    assert_eq!(ann.history("").await.is(200)[0]["response"], "Not this.");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn interleaved_text_and_calls_become_separate_items() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let call = |index: u64, id: &str, name: &str, arguments: &str| {
        let mut call = json!({ "index": index, "function": { "arguments": arguments } });
        if !id.is_empty() {
            call["id"] = json!(id);
            call["function"]["name"] = json!(name);
        }
        let chunk = json!({ "choices": [{ "delta": { "tool_calls": [call] } }] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    provider.does(Does::Streams(vec![
        chunk("Let me ", None),
        call(0, "a", "f", "{\"x\":"),
        call(1, "b", "g", "{"),
        chunk("look.", None),
        call(0, "", "", " 1}"),
        call(1, "", "", "}"),
        chunk("", Some("tool_calls")),
        done(),
    ]));
    let events = events(&program.responds(&[], streamed(in_paris())).await);
    let response = whole(&events);
    for (place, text) in [(0_usize, "Let me "), (3, "look.")] {
        assert_eq!(response["output"][place]["content"][0]["text"], text);
    }
    let calls = [("a", "f", "{\"x\": 1}"), ("b", "g", "{}")];
    for (item, (id, name, arguments)) in
        [1_usize, 2].map(|place| &response["output"][place]).iter().zip(calls)
    {
        let fields = ["call_id", "name", "arguments"].map(|field| item[field].as_str().unwrap());
        assert_eq!(fields, [id, name, arguments]);
    }
    assert_eq!(response["status"], "completed");
}

/// Programs keep the items in the order in which they end, which [`whole`] checks.
#[tokio::test]
async fn items_end_in_order_although_names_or_arguments_are_late() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let call = |call: Value| {
        let chunk = json!({ "choices": [{ "delta": { "tool_calls": [call] } }] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let (a, b) = (r#"{"a": 1}"#, r#"{"b": 2}"#);
    let late_name = vec![
        call(json!({ "index": 0, "id": "a", "function": { "arguments": "" } })),
        call(json!({ "index": 1, "id": "b", "function": { "name": "g", "arguments": "" } })),
        call(json!({ "index": 0, "function": { "name": "f", "arguments": a } })),
        call(json!({ "index": 1, "function": { "arguments": b } })),
        chunk("Done.", Some("tool_calls")),
        done(),
    ];
    let late_arguments = vec![
        call(json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "" } })),
        thought("Hm."),
        call(json!({ "index": 1, "id": "b", "function": { "name": "g", "arguments": b } })),
        chunk("Done.", None),
        call(json!({ "index": 0, "function": { "arguments": a } })),
        chunk("", Some("tool_calls")),
        done(),
    ];
    for pieces in [late_name, late_arguments] {
        provider.does(Does::Streams(pieces));
        let events = events(&program.responds(&[], streamed(in_paris())).await);
        let output = whole(&events)["output"].as_array().unwrap();
        let mut calls: Vec<_> = output
            .iter()
            .filter(|item| item["type"] == "function_call")
            .map(|item| ["call_id", "name", "arguments"].map(|field| item[field].as_str().unwrap()))
            .collect();
        calls.sort_unstable();
        assert_eq!(calls, [["a", "f", a], ["b", "g", b]]);
    }
}

#[tokio::test]
async fn reasoning_is_an_item_that_ends_before_the_message() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let pieces = [thought("Let me "), thought("think."), chunk("Hello.", Some("stop")), done()];
    provider.does(Does::Streams(pieces.to_vec()));
    let body = streamed(input("hi"));
    let send = async || program.responds(&[("idempotency-key", "k1")], body.clone()).await;
    let (first, again) = (events(&send().await), events(&send().await));
    assert_eq!(
        types(&first),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    let response = whole(&first);
    assert_eq!(whole(&again), response);
    let id = response["id"].as_str().unwrap().replacen("resp_", "rs_", 1);
    let item = json!({
        "id": format!("{id}_0"), "type": "reasoning", "status": "completed",
        "summary": [{ "type": "summary_text", "text": "Let me think." }],
        "encrypted_content": "farebox.1.unsigned",
    });
    assert_eq!(response["output"][0], item);
    assert_eq!(response["output"][1]["content"][0]["text"], "Hello.");

    // A message follows even if the model only reasons.
    let end = json!({ "choices": [{ "delta": {}, "finish_reason": "length" }] });
    let end = Bytes::from(format!("data: {end}\n\n"));
    provider.does(Does::Streams(vec![thought("Let me think."), end, done()]));
    let events = events(&program.responds(&[], streamed(input("hi"))).await);
    let statuses: Vec<&Value> =
        whole(&events)["output"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, ["completed", "incomplete"]);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn refusals_may_follow_reasoning() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let refusal = json!({ "delta": { "refusal": "Not this." }, "finish_reason": "stop" });
    let refusal = Bytes::from(format!("data: {}\n\n", json!({ "choices": [refusal] })));
    provider.does(Does::Streams(vec![thought("Let me think."), refusal, done()]));
    let body = streamed(input("hi"));
    for count in ["0", "1"] {
        let count = [("x-stainless-retry-count", count)];
        let events = events(&program.responds(&count, body.clone()).await);
        let output = &whole(&events)["output"];
        assert_eq!(output[0]["summary"][0]["text"], "Let me think.");
        assert_eq!(output[1]["content"], json!([{ "type": "refusal", "refusal": "Not this." }]));
    }
}

#[tokio::test]
async fn cut_streams_end_as_incomplete() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (finish, reason) in [("length", "max_output_tokens"), ("content_filter", "content_filter")]
    {
        provider.does(Does::Streams(vec![
            chunk("Once upon", None),
            chunk("", Some(finish)),
            done(),
        ]));
        let events = events(&program.responds(&[], streamed(input("A story."))).await);
        assert_eq!(types(&events).last(), Some(&"incomplete"));
        let response = whole(&events);
        assert_eq!(response["incomplete_details"], json!({ "reason": reason }));
        let status = [&response["status"], &response["output"][0]["status"]];
        assert_eq!(status, ["incomplete", "incomplete"]);
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn failures_during_a_stream_are_error_events_and_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let events = events(&program.responds(&[], streamed(input("!cut one two"))).await);
    let (failed, before) = events.split_last().unwrap();
    let (error, before) = before.split_last().unwrap();
    assert_eq!((types(before).last(), deltas(before)), (Some(&"output_text.delta"), vec!["one "]));
    assert_eq!(
        [&error["type"], &error["code"], &error["param"]],
        [&json!("error"), &json!("ai_failed"), &Value::Null]
    );
    assert!(error["message"].as_str().unwrap().contains("Nothing was charged"), "{error}");
    let response = &failed["response"];
    assert_eq!([&failed["type"], &response["status"]], ["response.failed", "failed"]);
    assert_eq!(response["error"], json!({ "code": "server_error", "message": error["message"] }));
    assert_eq!(
        (&response["id"], &response["model"]),
        (&before[0]["response"]["id"], &json!("scripted"))
    );
    for (message, status, code) in [
        ("!fail", 502, "ai_failed"),
        ("!overloaded", 503, "ai_overloaded"),
        ("!hang", 504, "ai_timed_out"),
    ] {
        program.responds(&[], streamed(input(message))).await.expect(status, code);
    }
    ann.has_left(PRICE - 1).await;
    program.responds(&[], streamed(input("hi"))).await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, PRICE - 1);
    assert_eq!(ann.history("").await.is(200), json!([]));
}

#[tokio::test]
async fn failures_before_the_first_text_follow_the_beginning() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let begun = json!({ "choices": [{ "delta": { "role": "assistant" } }] });
    let error = json!({ "error": { "message": "no more" } });
    let sent = [begun, error].map(|data| Bytes::from(format!("data: {data}\n\n")));
    provider.does(Does::Streams(sent.to_vec()));
    let events = events(&program.responds(&[], streamed(input("hi"))).await);
    assert_eq!(types(&events), ["created", "in_progress", "error", "failed"]);
    let [begun, failed] = [&events[0]["response"], &events[3]["response"]];
    assert_eq!([&begun["status"], &failed["status"]], ["in_progress", "failed"]);
    assert_eq!([&begun["id"], &begun["model"]], [&failed["id"], &failed["model"]]);
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn empty_answers_are_messages_without_text() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let worked = json!({ "prompt_tokens": 9, "completion_tokens": 1 });
    let counted = json!({ "choices": [], "usage": worked });
    let counted = Bytes::from(format!("data: {counted}\n\n"));
    provider.does(Does::Streams(vec![chunk("", Some("stop")), counted, done()]));
    let events = events(&program.responds(&[], streamed(input("hi"))).await);
    assert_eq!(deltas(&events), [""; 0]);
    assert_eq!(text(whole(&events)), "");
    let choice = json!({ "message": { "content": "" }, "finish_reason": "stop" });
    provider.does(Does::Says(200, json!({ "choices": [choice], "usage": worked })));
    assert_eq!(text(&program.responds(&[], input("hi")).await.is(200)), "");
    // Without any work, an empty answer is a failure.
    provider.says("");
    program.responds(&[], input("hi")).await.expect(502, "ai_failed");
}

#[tokio::test]
async fn the_lambda_binary_streams_events() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let store = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
    let mut function = Instance::of("responses", &store).await;
    let bearer = format!("Bearer {}", program.key);
    let headers = [("authorization", bearer.as_str())];
    function.takes(&event("responses", PATH, &headers, &streamed(input("hi"))));
    let reply = tokio::time::timeout(Duration::from_secs(20), function.answers()).await.unwrap();
    let text = reply.body.as_str().unwrap();
    assert!(
        reply.headers.contains_key("x-came-as") && text.contains("event: response.completed\n"),
        "{text}"
    );
    function.end();
}
