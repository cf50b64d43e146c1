//! The order of reasoning, texts and calls in `POST /v1/messages`: as the provider sends them, and
//! as it gets them back.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::anthropic::{ends, event, says, text};
use crate::ai::providers::{Does, KEY, Provider, bedrock, frame, stop};
use crate::ai::response_formats::converse;
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::streams::{assembled, events};
use crate::support::client::Api;

/// The header that makes an equal body a retry.
const SESSION: [(&str, &str); 1] =
    [("x-claude-code-session-id", "01a20f2e-df49-7d50-9892-dddfbb391acf")];

/// Starts an API that calls this provider as if it were Anthropic.
pub async fn anthropic(provider: &Provider) -> Api {
    Api::own(&[
        ("AI_PROVIDER", "anthropic"),
        ("ANTHROPIC_BASE_URL", &provider.url),
        ("ANTHROPIC_MODEL", "claude"),
        ("ANTHROPIC_API_KEY", KEY),
        ("AI_MAX_TOKENS", "4096"),
    ])
    .await
}

pub fn thought(text: &str, signature: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": signature })
}

pub fn redacted(data: &str) -> Value {
    json!({ "type": "redacted_thinking", "data": data })
}

pub fn call(id: &str, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "f", "input": input })
}

/// A request that asks for thinking, and offers a function.
pub fn thinking(messages: Value) -> Value {
    let body = with(asking("hi"), "tools", json!([{ "name": "f", "input_schema": {} }]));
    let body = with(body, "thinking", json!({ "type": "adaptive" }));
    with(body, "messages", messages)
}

/// The events of an answer with these blocks.
pub fn streamed(blocks: &[Value], reason: &str) -> Vec<Bytes> {
    let mut all = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let of_block = |kind: &str, field: &str, value: Value| {
            event(&json!({ "type": kind, "index": index, (field): value }))
        };
        let delta = |delta: Value| of_block("content_block_delta", "delta", delta);
        let (mut empty, mut parts) = (block.clone(), Vec::new());
        for (field, kind) in [
            ("text", "text_delta"),
            ("thinking", "thinking_delta"),
            ("signature", "signature_delta"),
        ] {
            if let Some(whole) = block[field].as_str() {
                empty[field] = json!("");
                parts.push(delta(json!({ "type": kind, field: whole })));
            }
        }
        if !block["input"].is_null() {
            empty["input"] = json!({});
            let json = block["input"].to_string();
            parts.push(delta(json!({ "type": "input_json_delta", "partial_json": json })));
        }
        all.push(of_block("content_block_start", "content_block", empty));
        all.extend(parts);
        all.push(event(&json!({ "type": "content_block_stop", "index": index })));
    }
    all.push(ends(reason));
    all
}

/// Asserts that two lists have the same blocks in the same order. A client also gets fields that
/// the provider hasn't sent.
#[track_caller]
pub fn is_same(content: &Value, blocks: &[Value]) {
    let mut content = content.clone();
    for block in content.as_array_mut().unwrap() {
        let block = block.as_object_mut().unwrap();
        block.remove("citations");
        block.remove("caller");
    }
    assert_eq!(content, json!(blocks));
}

#[tokio::test]
async fn answers_have_the_order_of_the_provider_and_so_do_retries() {
    let provider = Provider::start().await;
    let api = anthropic(&provider).await;
    let client = Client::of(&api.person("ann").await).await;
    let blocks = [
        thought("One.", "s1"),
        text("Let me look."),
        redacted("ZQ=="),
        call("toolu_1", &json!({ "x": 1 })),
        text("And here."),
        thought("Two.", "s2"),
        call("toolu_2", &json!({})),
    ];
    let user = json!([{ "role": "user", "content": "hi" }]);
    let body = thinking(user);
    provider.does(says(json!(blocks), "tool_use"));
    let first = client.send(&SESSION, body.clone()).await.is(200);
    is_same(&first["content"], &blocks);
    let again = client.send(&SESSION, body.clone()).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);

    let body = with(body, "stream", json!(true));
    provider.does(Does::Streams(streamed(&blocks, "tool_use")));
    let first = assembled(&events(&client.send(&SESSION, body.clone()).await));
    is_same(&first["content"], &blocks);
    let again = client.send(&SESSION, body).await;
    assert!(again.is_replay());
    assert_eq!(assembled(&events(&again)), first);
    assert_eq!(provider.times_asked(), 2);
}

#[tokio::test]
async fn texts_around_hidden_reasoning_are_one_block() {
    let provider = Provider::start().await;
    let api = anthropic(&provider).await;
    let client = Client::of(&api.person("ann").await).await;
    let blocks = [text("Well, "), thought("Hm.", "s"), text("4.")];
    for is_streamed in [false, true] {
        provider.does(match is_streamed {
            true => Does::Streams(streamed(&blocks, "end_turn")),
            false => says(json!(blocks), "end_turn"),
        });
        let answer = client.send(&[], with(asking("2 + 2?"), "stream", json!(is_streamed))).await;
        let message = match is_streamed {
            true => assembled(&events(&answer)),
            false => answer.is(200),
        };
        is_same(&message["content"], &[text("Well, 4.")]);
    }
}

/// The assistant's turn with interleaved thinking, and the result of its call.
fn conversation(blocks: &[Value]) -> Value {
    let result = json!({ "type": "tool_result", "tool_use_id": "a", "content": "3" });
    json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": blocks },
        { "role": "user", "content": [result] },
    ])
}

#[tokio::test]
async fn providers_get_an_assistants_blocks_in_their_order() {
    let blocks = [
        thought("One.", "czE="),
        text("Let me look."),
        redacted("ZQ=="),
        text("Here:"),
        call("a", &json!({ "x": 1 })),
    ];
    let provider = Provider::start().await;
    let client = Client::of(&anthropic(&provider).await.person("ann").await).await;
    provider.does(says(json!([text("3")]), "end_turn"));
    client.send(&[], thinking(conversation(&blocks))).await.is(200);
    assert_eq!(provider.last_asked().2["messages"][1]["content"], json!(blocks));

    let client = Client::of(&bedrock(&provider, "").await.person("ann").await).await;
    provider.does(Does::Says(200, converse(json!([{ "text": "3" }]), "end_turn")));
    client.send(&[], thinking(conversation(&blocks))).await.is(200);
    let reasoning = json!({ "reasoningText": { "text": "One.", "signature": "czE=" } });
    let expected = json!([
        { "reasoningContent": reasoning },
        { "text": "Let me look." },
        { "reasoningContent": { "redactedContent": "ZQ==" } },
        { "text": "Here:" },
        { "toolUse": { "toolUseId": "a", "name": "f", "input": { "x": 1 } } },
    ]);
    assert_eq!(provider.last_asked().2["messages"][1]["content"], expected);

    // Servers like OpenAI's have one text, and the calls after it.
    let client = Client::of(&provider.api("").await.person("ann").await).await;
    provider.says("3");
    client.send(&[], thinking(conversation(&blocks))).await.is(200);
    let messages = &provider.last_asked().2["messages"];
    let turn = messages.as_array().unwrap().iter().find(|turn| turn["role"] == "assistant");
    assert_eq!(turn.unwrap()["content"], "Let me look.\nHere:");
}

#[tokio::test]
async fn instructions_stay_in_their_place() {
    let provider = Provider::start().await;
    let client = Client::of(&anthropic(&provider).await.person("ann").await).await;
    provider.does(says(json!([text("Hello.")]), "end_turn"));
    let effort = json!({ "effort": "low" });
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "I am Ann." },
        { "role": "system", "content": "It is late.", "clear_at": "never" },
        { "role": "assistant", "content": "Hello, Ann." },
        { "role": "user", "content": "hi" },
        { "role": "system", "content": "Once.", "clear_at": "next_user_message" },
        { "role": "system", "output_config": effort },
        { "role": "user", "content": "Well?" },
        { "role": "system", "content": "Now.", "clear_at": "next_user_message" },
    ]);
    client.send(&[], with(asking("hi"), "messages", messages)).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["system"], json!([text("Be brief.")]));
    let said = |role: &str, said: &str| json!({ "role": role, "content": [text(said)] });
    let expected = json!([
        said("user", "I am Ann."),
        said("system", "It is late."),
        said("assistant", "Hello, Ann."),
        { "role": "user", "content": [text("hi"), text("Well?")] },
        said("system", "Now."),
    ]);
    assert_eq!(asked["messages"], expected);
}

#[tokio::test]
async fn bedrocks_blocks_keep_their_order_too() {
    let provider = Provider::start().await;
    let client = Client::of(&bedrock(&provider, "").await.person("ann").await).await;
    let part = |index: u32, delta: Value| {
        let part = json!({ "contentBlockIndex": index, "delta": delta });
        frame("event", "contentBlockDelta", &part)
    };
    let reasoning = |index: u32, delta: Value| part(index, json!({ "reasoningContent": delta }));
    let all = vec![
        frame("event", "messageStart", &json!({ "role": "assistant" })),
        part(0, json!({ "text": "Well, " })),
        reasoning(1, json!({ "text": "Hm." })),
        reasoning(1, json!({ "signature": "c2ln" })),
        part(2, json!({ "text": "4." })),
        stop("end_turn"),
    ];
    provider.does(Does::Streams(all));
    let user = json!([{ "role": "user", "content": "2 + 2?" }]);
    let body = with(thinking(user), "stream", json!(true));
    let first = assembled(&events(&client.send(&SESSION, body.clone()).await));
    is_same(&first["content"], &[text("Well, "), thought("Hm.", "c2ln"), text("4.")]);
    let again = client.send(&SESSION, body).await;
    assert!(again.is_replay());
    assert_eq!(assembled(&events(&again)), first);
}
