//! Thinking, ends of answers and search results in `POST /v1/messages`, as Anthropic's API has
//! them.

use serde_json::{Value, json};

use crate::ai::anthropic::{error, event, message, piece, says, text};
use crate::ai::providers::{Does, Provider};
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::order::anthropic;
use crate::endpoints::anthropic::streams::{assembled, events};
use crate::support::client::Api;

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
    // A display of Anthropic's beta, which Claude's Agent SDK asks for.
    let updates = json!({ "type": "adaptive", "display": "updates" });
    client.send(&[], thinks(updates, 4000)).await.is(200);
    assert_eq!(provider.last_asked().2["thinking"]["display"], "summarized");
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
        "content": [text("Line 9."), text("Line 11.")], "citations": { "enabled": false },
    });
    let messages = json!([{ "role": "user", "content": [found, text("Which lines?")] }]);
    client.send(&[], with(asking("hi"), "messages", messages)).await.is(200);
    let expected =
        json!([text("Trams\nhttps://example.com/trams\nLine 9.\nLine 11."), text("Which lines?")]);
    assert_eq!(provider.last_asked().2["messages"][0]["content"], expected);
}

#[tokio::test]
async fn citations_are_refused_or_left_out() {
    let provider = Provider::start().await;
    provider.does(says(json!([text("Hello.")]), "end_turn"));
    let source = json!({ "type": "text", "media_type": "text/plain", "data": "Line 9." });
    let cited = json!({ "enabled": true });
    let document = json!({ "type": "document", "source": source, "citations": cited });
    let found = json!({
        "type": "search_result", "title": "Trams", "source": "https://example.com/trams",
        "content": [text("Line 9.")], "citations": cited,
    });
    let call = json!({ "type": "tool_use", "id": "a", "name": "f", "input": {} });
    let result = json!({ "type": "tool_result", "tool_use_id": "a", "content": [found] });
    let hi = json!({ "role": "user", "content": "hi" });
    let bodies = [
        json!([{ "role": "user", "content": [document, text("Which lines?")] }]),
        json!([hi, { "role": "assistant", "content": [call] }, { "role": "user", "content": [result, text("Which?")] }]),
    ];
    // The text of an earlier answer may have had citations.
    let said = json!({ "type": "text", "text": "Hello.", "citations": [{ "cited_text": "Hi." }] });
    let plain = json!([hi, { "role": "assistant", "content": [said] }, hi]);
    for (unsupported, status) in [("refuse", 400), ("ignore", 200)] {
        let api = Api::own(&[
            ("AI_PROVIDER", "anthropic"),
            ("ANTHROPIC_BASE_URL", &provider.url),
            ("ANTHROPIC_MODEL", "claude"),
            ("UNSUPPORTED", unsupported),
        ])
        .await;
        let client = Client::of(&api.person("ann").await).await;
        for messages in &bodies {
            let answer = client.send(&[], with(asking("hi"), "messages", messages.clone())).await;
            assert_eq!(answer.status, status, "{answer:?}");
            let words = answer.body["error"]["message"].as_str().unwrap_or("citations: ");
            assert!(words.starts_with("citations: "), "{words}");
        }
        client.send(&[], with(asking("hi"), "messages", plain.clone())).await.is(200);
    }
    assert!(!provider.last_asked().2.to_string().contains("citations"));
}

#[tokio::test]
async fn thinking_becomes_an_effort_for_other_servers() {
    let provider = Provider::start().await;
    let client = Client::of(&provider.api("").await.person("ann").await).await;
    provider.says("Hello.");
    let enabled = |budget: u32| json!({ "type": "enabled", "budget_tokens": budget });
    let effort = json!({ "effort": "max" });
    for (thinking, output, sent) in [
        (enabled(1024), Value::Null, json!("low")),
        (enabled(10_000), Value::Null, json!("medium")),
        (enabled(31_999), Value::Null, json!("high")),
        (enabled(1024), effort.clone(), json!("max")),
        (json!({ "type": "adaptive" }), Value::Null, Value::Null),
        (json!({ "type": "disabled" }), effort, json!("none")),
    ] {
        let body = with(thinks(thinking.clone(), 4000), "output_config", output);
        client.send(&[], body).await.is(200);
        assert_eq!(provider.last_asked().2["reasoning_effort"], sent, "{thinking}");
    }

    // A model without reasoning answers too, even if its server names the field only in words. It
    // gets the functions and the earlier reasoning.
    let hello = json!({ "message": { "content": "Hello." }, "finish_reason": "stop" });
    let hello = json!({ "choices": [hello] });
    let says = |words: &str| json!({ "error": { "message": words, "param": null } });
    let forbidden = json!([{ "type": "extra_forbidden", "loc": ["body", "reasoning_effort"], "msg": "Extra inputs are not permitted", "input": "low" }]);
    let thought = json!({ "type": "thinking", "thinking": "Hm.", "signature": "s" });
    let messages = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": [thought, text("Hello.")] },
        { "role": "user", "content": "hi" },
    ]);
    let tools = json!([{ "name": "f", "input_schema": {} }]);
    let body = with(with(thinks(enabled(2000), 4000), "tools", tools), "messages", messages);
    for refusal in [
        json!({ "error": { "message": "No.", "param": "reasoning_effort" } }),
        says("Unrecognized request argument supplied: reasoning_effort"),
        says(
            "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.",
        ),
        says("\"llama3.1:8b\" does not support thinking"),
        says("\"functiongemma\" does not support thinking"),
        says("think value \"medium\" is not supported for this model"),
        json!({
            "code": "Client specified an invalid argument",
            "error": "Model grok-4-latest does not support parameter reasoningEffort.",
        }),
        json!([says("Budget 0 is invalid. This model only works in thinking mode.")]),
        json!({ "object": "error", "message": { "detail": forbidden }, "param": null }),
        json!({ "object": "Error", "detail": forbidden, "message": forbidden }),
    ] {
        provider.does(Does::Refuses("reasoning_effort", refusal.clone(), hello.clone()));
        let before = provider.times_asked();
        client.send(&[], body.clone()).await.is(200);
        let asked = provider.last_asked().2;
        assert_eq!(asked.get("reasoning_effort"), None, "{refusal}");
        assert_eq!(provider.times_asked() - before, 2, "{refusal}");
        assert!(asked["tools"].is_array(), "{asked}");
        assert!(asked["messages"].to_string().contains("Hm."), "{asked}");
    }

    // This model calls functions only if the request tells it not to reason.
    let words = "Function tools with reasoning_effort are not supported for gpt-5.6-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.";
    let refusal = json!({ "error": { "message": words, "param": "reasoning_effort" } });
    provider.does(Does::Demands("reasoning_effort", "none", refusal, hello));
    for thinking in [enabled(2000), json!({ "type": "adaptive" })] {
        client.send(&[], with(body.clone(), "thinking", thinking)).await.is(200);
        let asked = provider.last_asked().2;
        assert_eq!(asked["reasoning_effort"], "none");
        assert!(asked["tools"].is_array(), "{asked}");
    }
}

#[tokio::test]
async fn fields_of_functions_reach_anthropic() {
    let (provider, client) = asked().await;
    let examples = json!([{ "city": "Paris" }, {}]);
    let tool = json!({
        "name": "f", "description": "Tells the weather.", "input_schema": { "type": "object" },
        "input_examples": examples, "eager_input_streaming": true, "defer_loading": true,
    });
    let body = || with(asking("hi"), "tools", json!([tool]));
    client.send(&[], body()).await.is(200);
    let sent = provider.last_asked().2["tools"][0].clone();
    assert_eq!(
        (&sent["input_examples"], &sent["eager_input_streaming"]),
        (&examples, &json!(true))
    );
    assert_eq!(sent.get("defer_loading"), None, "nothing could load the function later");

    let invalid = json!([{ "name": "f", "input_schema": {}, "input_examples": ["Paris"] }]);
    let refused = client.send(&[], with(asking("hi"), "tools", invalid)).await;
    let refused = refused.expect_anthropic(400);
    assert_eq!(
        refused["error"]["message"],
        "tools[0].input_examples: Each example must be an object."
    );

    // Other providers have no such field.
    let described = "Tells the weather.\nExamples of the arguments:\n{\"city\":\"Paris\"}\n{}";
    let client = Client::of(&provider.api("").await.person("ben").await).await;
    provider.says("Hello.");
    client.send(&[], body()).await.is(200);
    let sent = provider.last_asked().2["tools"][0]["function"].clone();
    assert_eq!(sent["description"], described);
    assert!(sent.get("input_examples").is_none(), "{sent}");
}

#[tokio::test]
async fn known_betas_reach_anthropic_alone() {
    let (provider, client) = asked().await;
    let interleaved = "interleaved-thinking-2025-05-14";
    let sent = format!("claude-code-20250219, {interleaved},fast-mode-2026-02-01");
    for (betas, passed) in [
        (sent.as_str(), Some(interleaved)),
        ("fast-mode-2026-02-01", None),
        // It may raise the price of long prompts, and most accounts may not use it.
        ("context-1m-2025-08-07", None),
    ] {
        client.send(&[("anthropic-beta", betas)], asking("hi")).await.is(200);
        assert_eq!(provider.last_betas().as_deref(), passed, "{betas}");
    }
    client.asks("hi").await.is(200);
    assert_eq!(provider.last_betas(), None);

    // A server may have an older form of the API, or not offer a beta to this account.
    let hello = message(json!([text("Hello.")]), "end_turn");
    for words in [
        "Unexpected value(s) `interleaved-thinking-2025-05-14` for the `anthropic-beta` header.",
        "invalid beta flag",
        "The long context beta is not yet available for this subscription.",
    ] {
        let refusal = error("invalid_request_error", words);
        provider.does(Does::Refuses("anthropic-beta", refusal, hello.clone()));
        let before = provider.times_asked();
        client.send(&[("anthropic-beta", &sent)], asking("hi")).await.is(200);
        assert_eq!((provider.times_asked() - before, provider.last_betas()), (2, None), "{words}");
    }

    let client = Client::of(&provider.api("").await.person("ben").await).await;
    provider.says("Hello.");
    client.send(&[("anthropic-beta", &sent)], asking("hi")).await.is(200);
    assert_eq!(provider.last_betas(), None);
}
