//! The order of an answer's blocks in OpenAI's APIs: as the provider sends them, and as it gets them
//! back.

use serde_json::{Value, json};

use crate::ai::anthropic::{says, text};
use crate::ai::providers::{Does, Provider};
use crate::endpoints::anthropic::order::{anthropic, call, is_same, redacted, streamed, thought};
use crate::endpoints::anthropic::streams::append;
use crate::endpoints::openai::completions::{Program, asking, data};
use crate::endpoints::openai::responses::input;
use crate::portable::response_events::{events, whole};
use crate::support::client::Answer;

/// An answer with interleaved thinking.
pub fn blocks() -> [Value; 7] {
    [
        thought("One.", "s1"),
        text("Let me look."),
        redacted("ZQ=="),
        call("toolu_1", &json!({ "x": 1 })),
        text("And here."),
        thought("Two.", "s2"),
        call("toolu_2", &json!({})),
    ]
}

/// Lets the provider answer with the blocks, whole or streamed.
fn answers(provider: &Provider, is_streamed: bool) {
    provider.does(match is_streamed {
        true => Does::Streams(streamed(&blocks(), "tool_use")),
        false => says(json!(blocks()), "tool_use"),
    });
}

/// Asserts that the provider got the blocks back in its own order.
fn got_the_blocks_back(provider: &Provider) {
    is_same(&provider.last_asked().2["messages"][1]["content"], &blocks());
}

#[tokio::test]
async fn items_have_the_order_of_the_provider_and_return_in_it() {
    let provider = Provider::start().await;
    let program = Program::of(&anthropic(&provider).await.person("ann").await).await;
    let mut body = input("hi");
    body["tools"] = json!([{ "type": "function", "name": "f", "parameters": {} }]);
    body["reasoning"] = json!({ "effort": "low" });
    for is_streamed in [false, true] {
        body["stream"] = json!(is_streamed);
        body["input"] = json!("hi");
        answers(&provider, is_streamed);
        let key = if is_streamed { "streamed" } else { "whole" };
        let output = |answer: &Answer| match is_streamed {
            true => whole(&events(answer))["output"].clone(),
            false => answer.body["output"].clone(),
        };
        let send = async || program.responds(&[("idempotency-key", key)], body.clone()).await;
        let (first, again) = (send().await, send().await);
        assert!(again.is_replay());
        let items = output(&first);
        assert_eq!(output(&again), items);
        let kinds: Vec<_> = items.as_array().unwrap().iter().map(|item| &item["type"]).collect();
        let [thinks, says, calls] = ["reasoning", "message", "function_call"];
        assert_eq!(kinds, [thinks, says, thinks, calls, says, thinks, calls]);

        let ids = |item: &Value| json!({ "type": "item_reference", "id": item["id"] });
        let references: Vec<Value> = items.as_array().unwrap().iter().map(ids).collect();
        for returned in [items.as_array().unwrap(), &references] {
            let mut history = vec![json!({ "role": "user", "content": "hi" })];
            history.extend(returned.iter().cloned());
            for call in items.as_array().unwrap().iter().filter(|item| item["type"] == calls) {
                let id = &call["call_id"];
                history
                    .push(json!({ "type": "function_call_output", "call_id": id, "output": "ok" }));
            }
            body["stream"] = json!(false);
            body["input"] = json!(history);
            answers(&provider, false);
            program.responds(&[], body.clone()).await.is(200);
            got_the_blocks_back(&provider);
        }
    }
}

#[tokio::test]
async fn completions_return_in_the_order_of_the_provider() {
    let provider = Provider::start().await;
    let program = Program::of(&anthropic(&provider).await.person("ann").await).await;
    let mut body = asking("hi");
    body["tools"] = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    body["reasoning_effort"] = json!("low");
    let hi = body["messages"][0].clone();
    for is_streamed in [false, true] {
        body["stream"] = json!(is_streamed);
        body["messages"] = json!([hi]);
        answers(&provider, is_streamed);
        let key = if is_streamed { "streamed" } else { "whole" };
        let send = async || program.send(&[("idempotency-key", key)], body.clone()).await;
        let (first, again) = (send().await, send().await);
        assert!(again.is_replay());
        let message = match is_streamed {
            true => assembled(&data(&first)),
            false => first.body["choices"][0]["message"].clone(),
        };
        let orders: Vec<&Value> = message["reasoning_details"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["id"])
            .collect();
        assert_eq!(orders, [&Value::Null, &json!("r12r"), &json!("r12rc9r")]);
        if is_streamed {
            assert_eq!(assembled(&data(&again)), message);
        }

        let results = message["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "ok" }));
        body["stream"] = json!(false);
        body["messages"] = [hi.clone(), message.clone()].into_iter().chain(results).collect();
        answers(&provider, false);
        program.send(&[], body.clone()).await.is(200);
        got_the_blocks_back(&provider);

        // If a client has changed the text, the usual order remains.
        body["messages"][1]["content"] = json!("Look.");
        answers(&provider, false);
        program.send(&[], body.clone()).await.is(200);
        let [one, _, secret, first_call, _, two, second_call] = blocks();
        let usual = [one, secret, two, text("Look."), first_call, second_call];
        is_same(&provider.last_asked().2["messages"][1]["content"], &usual);
    }
}

/// The message that a client assembles from the chunks.
pub fn assembled(chunks: &[Value]) -> Value {
    let mut message = json!({ "role": "assistant", "content": null });
    let (mut details, mut calls) = (Vec::new(), Vec::<Value>::new());
    for delta in chunks.iter().filter_map(|chunk| chunk["choices"].get(0)?.get("delta")) {
        for field in ["content", "refusal", "reasoning_content"] {
            if delta[field].is_string() {
                append(&mut message[field], &delta[field]);
            }
        }
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
            match calls.get_mut(index) {
                None => calls.push(piece.clone()),
                Some(call) => {
                    for (kind, field) in [("function", "arguments"), ("custom", "input")] {
                        if let Some(more) = piece[kind].get(field) {
                            append(&mut call[kind][field], more);
                        }
                    }
                }
            }
        }
    }
    for (field, list) in [("reasoning_details", details), ("tool_calls", calls)] {
        if !list.is_empty() {
            message[field] = json!(list);
        }
    }
    message
}
