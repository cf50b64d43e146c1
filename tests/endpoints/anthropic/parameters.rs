//! Thinking, ends of answers and search results in `POST /v1/messages`, as Anthropic's API has
//! them.

use serde_json::{Value, json};

use crate::ai::anthropic::{event, message, piece, says, text};
use crate::ai::providers::{Does, Provider};
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::order::anthropic;
use crate::endpoints::anthropic::streams::{assembled, events};

/// A provider that answers `Hello.` as Anthropic does, and a client whose requests reach it.
async fn asked() -> (Provider, Client) {
    let provider = Provider::start().await;
    let client = Client::of(&anthropic(&provider).await.person("ann").await).await;
    provider.does(says(json!([text("Hello.")]), "end_turn"));
    (provider, client)
}

fn thinks(thinking: Value, max_tokens: u32) -> Value {
    with(with(asking("hi"), "thinking", thinking), "max_tokens", json!(max_tokens))
}

#[tokio::test]
async fn budgets_leave_room_for_the_answer() {
    let (provider, client) = asked().await;
    for (budget, most, sent) in [
        (1024, 4000, json!(1024)),
        (31_999, 32_000, json!(4095)),
        (2000, 2000, json!(1999)),
        (2000, 1024, Value::Null),
        (1000, 4000, Value::Null),
    ] {
        let enabled = json!({ "type": "enabled", "budget_tokens": budget });
        client.send(&[], thinks(enabled, most)).await.is(200);
        assert_eq!(provider.last_asked().2["thinking"]["budget_tokens"], sent, "{budget}, {most}");
    }
}

#[tokio::test]
async fn thinking_is_passed_on_in_anthropics_words() {
    let (provider, client) = asked().await;
    for thinking in [
        json!({ "type": "adaptive" }),
        json!({ "type": "adaptive", "display": "summarized" }),
        json!({ "type": "enabled", "budget_tokens": 1024, "display": "omitted" }),
        json!({ "type": "between_tools" }),
        json!({ "type": "disabled" }),
    ] {
        let body = with(thinks(thinking.clone(), 4000), "top_p", json!(0.97));
        client.send(&[], body).await.is(200);
        let asked = provider.last_asked().2;
        assert_eq!((&asked["thinking"], &asked["top_p"]), (&thinking, &json!(0.97)));
    }
    let unknown = json!({ "type": "adaptive", "display": "some" });
    client.send(&[], thinks(unknown, 4000)).await.expect_anthropic(400);
}

#[tokio::test]
async fn omitted_thinking_has_only_its_signature() {
    let (provider, client) = asked().await;
    let thought = |text: &str| json!({ "type": "thinking", "thinking": text, "signature": "s" });
    // A provider may ignore the field.
    provider.does(says(json!([thought("Hm."), text("Hello.")]), "end_turn"));
    for (display, shown) in [("omitted", ""), ("summarized", "Hm.")] {
        let thinking = json!({ "type": "adaptive", "display": display });
        let message = client.send(&[], thinks(thinking.clone(), 4000)).await.is(200);
        assert_eq!(message["content"][0], thought(shown));
    }
    let delta =
        |delta: Value| event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    let ends = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } });
    provider.does(Does::Streams(vec![
        delta(json!({ "type": "thinking_delta", "thinking": "Hm." })),
        delta(json!({ "type": "signature_delta", "signature": "s" })),
        piece("Hello."),
        event(&ends),
    ]));
    let thinking = json!({ "type": "adaptive", "display": "omitted" });
    let body = with(thinks(thinking, 4000), "stream", json!(true));
    let message = assembled(&events(&client.send(&[], body).await));
    assert_eq!(message["content"][0], thought(""));
}

#[tokio::test]
async fn a_budget_is_left_out_amid_calls_without_reasoning() {
    let (provider, client) = asked().await;
    let call = json!({ "type": "tool_use", "id": "a", "name": "f", "input": {} });
    let result = json!({ "type": "tool_result", "tool_use_id": "a", "content": "3" });
    let signed = json!({ "type": "thinking", "thinking": "Hm.", "signature": "s" });
    let unsigned = json!({ "type": "thinking", "thinking": "Hm.", "signature": "" });
    let enabled = json!({ "type": "enabled", "budget_tokens": 1024 });
    let adaptive = json!({ "type": "adaptive" });
    for (thinking, before, is_sent) in [
        (&enabled, Some(&signed), true),
        (&enabled, Some(&unsigned), false),
        (&enabled, None, false),
        (&adaptive, None, true),
    ] {
        let turn: Vec<&Value> = before.into_iter().chain([&call]).collect();
        let messages = json!([
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": turn },
            { "role": "user", "content": [result, text("Go on.")] },
        ]);
        let body = with(thinks(thinking.clone(), 4000), "messages", messages);
        let body = with(body, "tools", json!([{ "name": "f", "input_schema": {} }]));
        client.send(&[], body).await.is(200);
        let asked = provider.last_asked().2;
        assert_eq!(asked.get("thinking"), Some(thinking).filter(|_| is_sent), "{before:?}");
    }
}

#[tokio::test]
async fn the_provider_tells_how_an_answer_ends() {
    let (provider, client) = asked().await;
    let session = [("x-claude-code-session-id", "01a20f2e-df49-7d50-9892-dddfbb391acf")];
    let details = json!({ "type": "refusal", "category": "cyber", "explanation": "No." });
    for (reason, sequence, details) in [
        ("end_turn", Value::Null, Value::Null),
        ("stop_sequence", json!("END"), Value::Null),
        ("model_context_window_exceeded", Value::Null, Value::Null),
        ("max_tokens", Value::Null, Value::Null),
        ("refusal", Value::Null, details),
    ] {
        let end =
            json!({ "stop_reason": reason, "stop_sequence": sequence, "stop_details": details });
        let mut whole = message(json!([text("Hello.")]), reason);
        whole.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        let delta =
            json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 4 } });
        let streamed = vec![piece("Hello."), event(&delta)];
        for (is_streamed, does) in
            [(false, Does::Says(200, whole)), (true, Does::Streams(streamed))]
        {
            provider.does(does);
            let body = with(asking(&format!("{reason}?")), "stream", json!(is_streamed));
            for is_retry in [false, true] {
                let answer = client.send(&session, body.clone()).await;
                assert_eq!(answer.is_replay(), is_retry);
                let said = match is_streamed {
                    true => assembled(&events(&answer)),
                    false => answer.is(200),
                };
                for field in ["stop_reason", "stop_sequence", "stop_details"] {
                    assert_eq!(said[field], end[field], "{said}");
                }
            }
        }
    }
}

#[tokio::test]
async fn search_results_are_read_as_text() {
    let (provider, client) = asked().await;
    let found = json!({
        "type": "search_result", "title": "Trams", "source": "https://example.com/trams",
        "content": [text("Line 9."), text("Line 11.")], "citations": { "enabled": true },
    });
    let messages = json!([{ "role": "user", "content": [found, text("Which lines?")] }]);
    client.send(&[], with(asking("hi"), "messages", messages)).await.is(200);
    let expected =
        json!([text("Trams\nhttps://example.com/trams\nLine 9.\nLine 11."), text("Which lines?")]);
    assert_eq!(provider.last_asked().2["messages"][0]["content"], expected);
}
