//! A model's reasoning, from the provider to the client and back.

use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock, chunk, delta, done, frame, stop, thought};
use crate::ai::refusals::is_refused;
use crate::ai::response_formats::converse;
use crate::endpoints::openai::completions::{Program, asking, data, said, words};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};

const THOUGHT: &str = "Let me think.";

/// Starts an API with a provider that sends reasoning in OpenAI's format, and creates a program
/// that uses it.
async fn asked_by_openai() -> (Provider, Program) {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let message = json!({ "content": "Hello.", "reasoning_content": THOUGHT });
    let choice = json!({ "message": message, "finish_reason": "stop" });
    provider.does(Does::Says(200, json!({ "choices": [choice] })));
    (provider, program)
}

/// Starts an API with a provider that signs its reasoning, as Anthropic's models on Bedrock do, and
/// creates a program that uses it.
async fn asked_by_converse() -> (Provider, Program) {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let program = Program::of(&api.person("ann").await).await;
    let [signed, redacted] = blocks();
    let content = json!([signed, redacted, { "text": "Hello." }]);
    provider.does(Does::Says(200, converse(content, "end_turn")));
    (provider, program)
}

/// The reasoning in Bedrock's messages: a signed part, and an encrypted part.
fn blocks() -> [Value; 2] {
    let text = json!({ "text": THOUGHT, "signature": "c2ln" });
    let blocks = [json!({ "reasoningText": text }), json!({ "redactedContent": "ZW5j" })];
    blocks.map(|block| json!({ "reasoningContent": block }))
}

/// The pieces of the same answer, streamed.
fn streamed_blocks() -> Vec<axum::body::Bytes> {
    let piece = |block: u64, thought: Value| {
        let delta = json!({ "reasoningContent": thought });
        frame("event", "contentBlockDelta", &json!({ "contentBlockIndex": block, "delta": delta }))
    };
    vec![
        frame("event", "messageStart", &json!({ "role": "assistant" })),
        piece(0, json!({ "text": "Let me " })),
        piece(0, json!({ "text": "think." })),
        piece(0, json!({ "signature": "c2ln" })),
        piece(1, json!({ "redactedContent": "ZW5j" })),
        delta("Hello."),
        stop("end_turn"),
    ]
}

/// The parts of the reasoning in a completion.
fn details() -> Value {
    let format = "anthropic-claude-v1";
    json!([
        { "type": "reasoning.text", "text": THOUGHT, "signature": "c2ln", "format": format, "index": 0 },
        { "type": "reasoning.encrypted", "data": "ZW5j", "format": format, "index": 1 },
    ])
}

/// A completion request that continues the conversation after this message of the assistant.
fn after(message: &Value) -> Value {
    let mut body = asking("hi");
    body["messages"] = json!([
        { "role": "user", "content": "hi" }, message, { "role": "user", "content": "Go on." },
    ]);
    body
}

#[tokio::test]
async fn reasoning_is_a_field_of_a_completion_and_sent_back() {
    let (provider, program) = asked_by_openai().await;
    let completion = program.send(&[], asking("hi")).await.is(200);
    let message = &completion["choices"][0]["message"];
    let expected = json!({
        "role": "assistant", "content": "Hello.", "reasoning_content": THOUGHT, "refusal": null,
    });
    assert_eq!(*message, expected);
    let sent = json!({ "role": "assistant", "content": "Hello.", "reasoning_content": THOUGHT });
    let told = |name: &str| json!({ "role": "assistant", "content": "Hello.", (name): THOUGHT });
    let parts = json!([{ "type": "reasoning.summary", "summary": THOUGHT }, { "type": "later" }]);
    let part = json!({ "role": "assistant", "content": "Hello.", "reasoning": "-", "reasoning_details": parts });
    for message in [message, &told("reasoning_content"), &told("reasoning"), &part] {
        program.send(&[], after(message)).await.is(200);
        assert_eq!(provider.last_asked().2["messages"][2], sent, "{message}");
    }
    let many = json!({ "role": "assistant", "content": "", "reasoning_details": vec![json!({ "type": "x" }); 257] });
    is_refused(program.send(&[], after(&many)).await, "at most 256 parts");
}

#[tokio::test]
async fn streamed_reasoning_precedes_the_text_of_a_completion() {
    let (provider, program) = asked_by_openai().await;
    let pieces = [thought("Let me "), thought("think."), chunk("Hello.", Some("stop")), done()];
    provider.does(Does::Streams(pieces.to_vec()));
    let mut body = asking("hi");
    body["stream"] = json!(true);
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], body.clone()).await;
        let chunks = data(&answer);
        let deltas: Vec<&Value> =
            chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        let first = &deltas[0];
        assert_eq!((&first["role"], &first["content"]), (&json!("assistant"), &Value::Null));
        let all = |field: &str| -> String {
            deltas.iter().filter_map(|delta| delta[field].as_str()).collect()
        };
        assert_eq!((all("reasoning_content"), all("content")), (THOUGHT.into(), "Hello.".into()));
        assert_eq!(all("role"), "assistant", "once");
        assert!(deltas.iter().all(|delta| delta.get("reasoning_details").is_none()), "{chunks:?}");
    }
    assert_eq!(provider.times_asked(), 1, "the retry is replayed");
}

#[tokio::test]
async fn refusals_after_reasoning_have_no_text() {
    const NO: &str = "I can't help with that.";
    let (provider, program) = asked_by_openai().await;
    let refusal = json!({ "choices": [{ "delta": { "refusal": NO }, "finish_reason": "stop" }] });
    let refusal = axum::body::Bytes::from(format!("data: {refusal}\n\n"));
    provider.does(Does::Streams(vec![thought(THOUGHT), refusal, done()]));
    let mut body = asking("hi");
    body["stream"] = json!(true);
    for count in ["0", "1"] {
        let answer = program.send(&[("x-stainless-retry-count", count)], body.clone()).await;
        let chunks = data(&answer);
        let all = |field: &str| -> String {
            let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
            deltas.filter_map(|delta| delta[field].as_str()).collect()
        };
        assert_eq!([all("reasoning_content"), all("refusal")], [THOUGHT, NO]);
        assert!(words(&chunks).is_empty(), "{chunks:?}");
    }
    assert_eq!(provider.times_asked(), 1, "the retry is replayed");
}

#[tokio::test]
async fn completions_keep_signatures_for_the_next_request() {
    let (provider, program) = asked_by_converse().await;
    let completion = program.send(&[], asking("hi")).await.is(200);
    let message = &completion["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], THOUGHT);
    assert_eq!(message["reasoning_details"], details());
    program.send(&[], after(message)).await.is(200);
    let [signed, redacted] = blocks();
    let content = json!([signed, redacted, { "text": "Hello." }]);
    assert_eq!(provider.last_asked().2["messages"][1]["content"], content);

    provider.does(Does::Streams(streamed_blocks()));
    let mut body = asking("hi");
    body["stream"] = json!(true);
    let chunks = data(&program.send(&[], body).await);
    let details_of = |chunk: &Value| chunk["choices"][0]["delta"]["reasoning_details"].clone();
    let sent = chunks.iter().map(details_of).filter(Value::is_array);
    let sent: Vec<Value> = sent.flat_map(|list| list.as_array().cloned().unwrap()).collect();
    assert_eq!(json!(sent), details());
}

#[tokio::test]
async fn responses_keep_signatures_for_the_next_request() {
    let (provider, program) = asked_by_converse().await;
    let [signed, redacted] = blocks();
    let content = json!([signed, redacted, { "text": "Hello." }]);
    let mut body = input("hi");
    for is_streamed in [false, true] {
        body["stream"] = json!(is_streamed);
        if is_streamed {
            provider.does(Does::Streams(streamed_blocks()));
        }
        let answer = program.responds(&[], body.clone()).await;
        let response = match is_streamed {
            true => {
                let text = answer.body.as_str().unwrap();
                let (_, last) = text.trim_end().rsplit_once("data: ").unwrap();
                serde_json::from_str::<Value>(last).unwrap()["response"].clone()
            }
            false => answer.is(200),
        };
        let output = response["output"].as_array().unwrap();
        let kinds: Vec<&str> = output.iter().filter_map(|item| item["type"].as_str()).collect();
        assert_eq!(kinds, ["reasoning", "reasoning", "message"]);
        let summary = json!([{ "type": "summary_text", "text": THOUGHT }]);
        assert_eq!([&output[0]["summary"], &output[1]["summary"]], [&summary, &json!([])]);

        provider.does(Does::Says(200, converse(content.clone(), "end_turn")));
        let user = |text: &str| json!({ "role": "user", "content": text });
        let items = [user("hi")].into_iter().chain(output.iter().cloned()).chain([user("Go on.")]);
        program.responds(&[], input(items.collect::<Vec<Value>>())).await.is(200);
        assert_eq!(provider.last_asked().2["messages"][1]["content"], content);
    }
}

#[tokio::test]
async fn reasoning_items_belong_to_the_next_message_or_call() {
    let (provider, program) = asked_by_openai().await;
    let item = |text: &str| json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }], "encrypted_content": "from another server" });
    let call = |id: &str| json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" });
    let output = |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "1" });
    let whole = json!({ "type": "reasoning", "summary": [], "content": [{ "type": "reasoning_text", "text": "d" }] });
    program
        .responds(
            &[],
            input(json!([
                { "role": "user", "content": "hi" },
                item("a"), call("1"), item("b"), call("2"), output("1"), output("2"),
                item("c"), { "role": "user", "content": "No." },
                whole, { "role": "assistant", "content": "Well." },
                { "role": "user", "content": "Go on." },
            ])),
        )
        .await
        .is(200);
    let asked = provider.last_asked().2;
    let messages = asked["messages"].as_array().unwrap();
    let thoughts: Vec<_> = messages
        .iter()
        .filter(|message| message["role"] == "assistant")
        .map(|message| message["reasoning_content"].as_str())
        .collect();
    assert_eq!(thoughts, [Some("ab"), Some("d")], "{asked}");
    assert!(
        messages
            .iter()
            .all(|message| message["role"] != "user" || message["reasoning_content"].is_null())
    );
}

#[tokio::test]
async fn reasoning_is_in_the_chat_views_but_not_in_later_prompts() {
    let (provider, program) = asked_by_openai().await;
    let api: &Api = &program.api;
    let ann = api.person("ben").await;
    let chat = ann.chat("hi").await.is(200);
    assert_eq!([&chat["response"], &chat["reasoning"]], ["Hello.", THOUGHT]);
    let id = chat["id"].as_str().unwrap();
    let stored = ann.get(&format!("/api/chat/{id}/")).await.is(200);
    let export = ann.get("/api/user/export/").await.is(200);
    let history = ann.history("").await.is(200);
    for view in [&stored, &history[0], &export["chats"][0]] {
        assert_eq!(view["reasoning"], THOUGHT, "{view}");
    }
    let next = json!({ "message": "Go on.", "conversation_id": chat["conversation_id"] });
    ann.post("/api/chat/", next).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["messages"][2], json!({ "role": "assistant", "content": "Hello." }));
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn reasoning_that_a_provider_does_not_get_is_free() {
    let provider = Provider::start().await;
    let long = "s".repeat(100_000);
    let details = json!([
        { "type": "reasoning.text", "text": THOUGHT, "signature": long, "index": 0 },
        { "type": "reasoning.encrypted", "data": long, "index": 1 },
    ]);
    let message = json!({ "role": "assistant", "content": "Well.", "reasoning_details": details });
    let ann = provider.api("").await.person("ann").await;
    provider.says("Hello.");
    Program::of(&ann).await.send(&[], after(&message)).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!(asked["messages"][2]["reasoning_content"], THOUGHT);
    assert!(asked.to_string().len() < 1000);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    // Bedrock gets both, and 200 KB cost four times as much.
    let ann = bedrock(&provider, "").await.person("ann").await;
    provider.does(Does::Says(200, converse(json!([{ "text": "Hello." }]), "end_turn")));
    Program::of(&ann).await.send(&[], after(&message)).await.is(200);
    assert!(provider.last_asked().2.to_string().len() > 200_000);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn servers_that_refuse_reasoning_are_asked_without_it() {
    let (provider, program) = asked_by_openai().await;
    let hello =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    let place = json!(["body", "messages", 2, "assistant", "reasoning_content"]);
    let problem = json!({ "type": "extra_forbidden", "loc": place, "msg": "Extra inputs are not permitted", "input": THOUGHT });
    let message = json!({ "role": "assistant", "content": "Well.", "reasoning_content": THOUGHT });
    for words in [
        json!({ "error": { "message": "property 'reasoning_content' is unsupported" } }),
        json!({ "detail": [problem] }),
    ] {
        provider.does(Does::Refuses("reasoning_content", words, hello.clone()));
        assert_eq!(said(&program.send(&[], after(&message)).await.is(200)), "Hello.");
        let asked = provider.last_asked().2;
        assert_eq!(asked["messages"][2], json!({ "role": "assistant", "content": "Well." }));
    }
    assert_eq!(provider.times_asked(), 4);
}
