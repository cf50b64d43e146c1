//! The events of a streamed `POST /v1/messages`, assembled as in Anthropic's SDKs.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, chunk, done};
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::support::client::{Answer, Api, GRANT, PRICE};

fn streamed(message: &str) -> Value {
    with(asking(message), "stream", json!(true))
}

/// The events of a stream. Asserts that each event's type equals its name.
pub fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").unwrap_or_else(|| panic!("{event:?}"));
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        data
    };
    answer.body.as_str().unwrap().split_terminator("\n\n").map(event).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// Appends a piece to a string, which may be null.
pub fn append(text: &mut Value, piece: &Value) {
    *text = json!(format!("{}{}", text.as_str().unwrap_or_default(), piece.as_str().unwrap()));
}

/// The message that a client assembles from the events. Asserts that a block ends before the next
/// one begins.
pub fn assembled(events: &[Value]) -> Value {
    let mut message = Value::Null;
    let mut is_open = false;
    for event in events {
        let place = event["index"].as_u64().map(|place| usize::try_from(place).unwrap());
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert!(!is_open && place == Some(content.len()), "{event}");
                content.push(event["content_block"].clone());
                is_open = true;
            }
            "content_block_delta" => {
                let content = message["content"].as_array_mut().unwrap();
                assert!(is_open && place == Some(content.len() - 1), "{event}");
                let (block, delta) = (content.last_mut().unwrap(), &event["delta"]);
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => append(&mut block["signature"], &delta["signature"]),
                    "input_json_delta" => append(&mut block["json"], &delta["partial_json"]),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                let content = message["content"].as_array_mut().unwrap();
                assert!(is_open && place == Some(content.len() - 1), "{event}");
                is_open = false;
                let block = content.last_mut().unwrap().as_object_mut().unwrap();
                if let Some(input) = block.remove("json") {
                    block["input"] = serde_json::from_str(input.as_str().unwrap()).unwrap();
                }
            }
            "message_delta" => {
                for (name, value) in event["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "ping" | "message_stop" => assert!(!is_open),
            other => panic!("{other}"),
        }
    }
    message
}

/// A chunk with a part of a call, from a server like OpenAI's.
fn call(index: u32, begins: Option<(&str, &str)>, arguments: &str) -> Bytes {
    let mut call = json!({ "index": index, "function": { "arguments": arguments } });
    if let Some((id, name)) = begins {
        call["id"] = json!(id);
        call["type"] = json!("function");
        call["function"]["name"] = json!(name);
    }
    let chunk = json!({ "model": "tiny-1", "choices": [{ "delta": { "tool_calls": [call] }, "finish_reason": null }] });
    Bytes::from(format!("data: {chunk}\n\n"))
}

/// A chunk with a part of the reasoning.
fn thought(text: &str) -> Bytes {
    let chunk = json!({ "model": "tiny-1", "choices": [{ "delta": { "reasoning_content": text }, "finish_reason": null }] });
    Bytes::from(format!("data: {chunk}\n\n"))
}

fn two_functions() -> Value {
    let function = |name: &str| json!({ "name": name, "input_schema": { "type": "object" } });
    json!([function("f"), function("g")])
}

#[tokio::test]
async fn streams_have_anthropics_events_and_are_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let answer = client.send(&[], streamed("!words one two")).await;
    assert!(!answer.header("request-id").is_empty());
    let events = events(&answer);
    assert_eq!(
        types(&events),
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let begun = &events[0]["message"];
    assert_eq!((&begun["content"], &begun["stop_reason"]), (&json!([]), &Value::Null));
    assert!(begun["usage"]["input_tokens"].as_u64() > Some(0), "{begun}");
    let message = assembled(&events);
    assert_eq!(
        (&message["content"], &message["stop_reason"]),
        (&json!([{ "type": "text", "text": "one two", "citations": null }]), &json!("end_turn"))
    );
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn replayed_streams_have_the_same_message() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let session = [("x-claude-code-session-id", "01a20f2e-df49-7d50-9892-dddfbb391acf")];
    let tool = json!([{ "name": "get_weather", "input_schema": {} }]);
    let body = with(streamed(r#"!call get_weather {"city": "Paris"}"#), "tools", tool);
    let first = client.send(&session, body.clone()).await;
    let again = client.send(&session, body).await;
    assert!(again.is_replay());
    let message = assembled(&events(&first));
    assert_eq!(assembled(&events(&again)), message);
    assert_eq!(message["content"][0]["input"], json!({ "city": "Paris" }));
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn failed_streams_end_with_an_error_event() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let client = Client::of(&ann).await;
    let events = events(&client.send(&[], streamed("!cut one two")).await);
    let last = events.last().unwrap();
    assert_eq!([&last["type"], &last["error"]["type"]], ["error", "api_error"]);
    assert!(last["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{last}");
    assert!(types(&events).contains(&"content_block_delta") && ann.balance().await == GRANT);
    client.send(&[], streamed("!overloaded")).await.expect_anthropic(529);
}

#[tokio::test]
async fn parts_of_several_calls_become_blocks_in_order() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    let (f, g) = (Some(("call_a", "f")), Some(("call_b", "g")));
    let [f1, f2] = [call(0, f, r#"{"x": "#), call(0, None, "1}")];
    let [g1, g2] = [call(1, g, r#"{"y": "#), call(1, None, "2}")];
    for parts in [vec![&f1, &f2, &g1, &g2], vec![&f1, &g1, &f2, &g2], vec![&f1, &g1, &g2, &f2]] {
        let all = [chunk("Well, ", None)].into_iter().chain(parts.into_iter().cloned());
        let all = all.chain([chunk("", Some("tool_calls")), done()]);
        provider.does(Does::Streams(all.collect()));
        let body = with(streamed("hi"), "tools", two_functions());
        let message = assembled(&events(&client.send(&[], body).await));
        let direct = json!({ "type": "direct" });
        let expected = json!([
            { "type": "text", "text": "Well, ", "citations": null },
            { "type": "tool_use", "id": "call_a", "name": "f", "input": { "x": 1 }, "caller": direct },
            { "type": "tool_use", "id": "call_b", "name": "g", "input": { "y": 2 }, "caller": direct },
        ]);
        assert_eq!((&message["content"], &message["stop_reason"]), (&expected, &json!("tool_use")));
    }
}

#[tokio::test]
async fn arguments_that_are_no_object_are_wrapped() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    for (arguments, input) in [("", json!({})), ("Paris", json!({ "arguments": "Paris" }))] {
        let parts = [call(0, Some(("a", "f")), ""), call(0, None, arguments)];
        let all = parts.into_iter().chain([chunk("", Some("tool_calls")), done()]);
        provider.does(Does::Streams(all.collect()));
        let body = with(streamed("hi"), "tools", two_functions());
        let message = assembled(&events(&client.send(&[], body).await));
        assert_eq!(message["content"][0]["input"], input, "{message}");
    }
}

#[tokio::test]
async fn reasoning_is_streamed_before_the_text_if_asked_for() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    let parts = [thought("Two and "), thought("two."), chunk("4", Some("stop")), done()];
    provider.does(Does::Streams(parts.to_vec()));
    let text = json!({ "type": "text", "text": "4", "citations": null });
    let thinking = json!({ "type": "thinking", "thinking": "Two and two.", "signature": "" });
    for (asked, content) in [
        (json!({ "type": "adaptive" }), json!([thinking, text])),
        (json!({ "type": "disabled" }), json!([text])),
    ] {
        let body = with(streamed("2 + 2?"), "thinking", asked);
        let message = assembled(&events(&client.send(&[], body).await));
        assert_eq!(message["content"], content);
    }
}
