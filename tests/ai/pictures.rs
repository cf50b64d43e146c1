//! Pictures in the messages of `POST /v1/chat/completions`, and in results of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ai::providers::{Does, Provider, bedrock};
use crate::endpoints::openai::completions::{Program, asking, said};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};
use crate::support::log;

/// The Base64 data of a picture.
const DATA: &str = "aGVsbG8=";

fn picture(url: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": url, "detail": "low" } })
}

fn drawn() -> Value {
    picture(&format!("data:image/png;base64,{DATA}"))
}

fn showing(parts: &[Value]) -> Value {
    let mut body = asking("");
    body["messages"][0]["content"] = json!(parts);
    body
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

#[tokio::test]
async fn servers_get_the_picture_and_the_store_gets_a_note() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says("A cat.");
    let linked = picture("https://example.com/cat.png?key=secret");
    let parts = [text("What is this?"), drawn(), text("And this?"), linked];
    assert_eq!(said(&program.send(&[], showing(&parts)).await.is(200)), "A cat.");
    assert_eq!(provider.last_asked().2["messages"][1]["content"], json!(parts));
    let kept = ann.history("").await.is(200)[0]["message"].clone();
    assert_eq!(
        kept,
        "What is this?\n[a picture: png, 1 KB]\nAnd this?\n[a picture from example.com]"
    );
    let items = json!(api.items(&ann.id).await).to_string();
    assert!(!items.contains(DATA) && !items.contains("key=secret"), "{items}");

    // If all parts of a message are text, the provider gets them as one string.
    program.send(&[], showing(&[text("a"), text("b")])).await.is(200);
    assert_eq!(provider.last_asked().2["messages"][1]["content"], "a\nb");

    let refusals = [("This model does not support image input.", ""), ("a secret", "messages[1]")];
    for (words, param) in refusals {
        let error = json!({ "message": words, "param": param });
        provider.does(Does::Says(400, json!({ "error": error })));
        let refused = program.send(&[], showing(&[drawn()])).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "messages");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
    assert!(!log::text().contains("a secret"), "{}", log::text());
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn bedrock_gets_the_bytes_of_pictures_and_fetches_none() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let content = json!([{ "text": "A cat." }]);
    provider.does(Does::Says(200, json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": "end_turn", "metrics": { "latencyMs": 1 } })));
    let jpg = picture(&format!("data:image/jpg;base64,{DATA}"));
    program.send(&[], showing(&[drawn(), text("What is this?"), jpg])).await.is(200);
    let image =
        |format: &str| json!({ "image": { "format": format, "source": { "bytes": DATA } } });
    assert_eq!(
        provider.last_asked().2["messages"][0]["content"],
        json!([image("png"), { "text": "What is this?" }, image("jpeg")])
    );
    let linked = showing(&[text("What is this?"), picture("https://example.com/cat.png")]);
    let refused = program.send(&[], linked).await.expect(400, "invalid_fields");
    assert!(refused["error"]["message"].as_str().unwrap().contains("data URLs"), "{refused}");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn pictures_in_results_reach_every_provider() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says("A cat.");
    let call = json!({ "id": "call_1", "type": "function", "function": { "name": "look", "arguments": "{}" } });
    let with = |result: Value| {
        let mut body = asking("");
        body["messages"] = json!([
            { "role": "user", "content": "What is this?" },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "call_1", "content": result },
        ]);
        body
    };
    let shown = with(json!([text("Here it is."), drawn()]));
    program.send(&[], shown.clone()).await.is(200);
    let asked = provider.last_asked().2["messages"].clone();
    assert_eq!([&asked[3]["role"], &asked[3]["content"]], ["tool", "Here it is."]);
    assert_eq!([&asked[4]["role"], &asked[4]["content"][1]], [&json!("user"), &drawn()]);

    let url = format!("data:image/png;base64,{DATA}");
    let output = json!([{ "type": "input_image", "image_url": url, "detail": "low" }]);
    let items = json!([
        { "role": "user", "content": "What is this?" },
        { "type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "call_1", "output": output },
    ]);
    program.responds(&[], input(items)).await.is(200);
    let asked = provider.last_asked().2["messages"].clone();
    assert_eq!([&asked[3]["role"], &asked[4]["content"][1]], [&json!("tool"), &drawn()]);

    let broken = with(json!([picture("http://example.com/cat.png")]));
    let refused = program.send(&[], broken).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "messages[2].content");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);

    let api = bedrock(&provider, "").await;
    let program = Program::of(&api.person("ann").await).await;
    let content = json!([{ "text": "A cat." }]);
    provider.does(Does::Says(200, json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": "end_turn", "metrics": { "latencyMs": 1 } })));
    let mut shown = shown;
    shown["messages"][2]["content"] =
        json!([text("First."), drawn(), text("Second."), text("Third."), drawn()]);
    shown["tools"] = json!([{ "type": "function", "function": { "name": "look" } }]);
    program.send(&[], shown).await.is(200);
    let result = provider.last_asked().2["messages"][2]["content"][0]["toolResult"].clone();
    let image = json!({ "image": { "format": "png", "source": { "bytes": DATA } } });
    let [first, rest] = ["First.", "Second.\nThird."].map(|text| json!({ "text": text }));
    assert_eq!(result["content"], json!([first, image, rest, image]));
}

#[tokio::test]
async fn invalid_pictures_are_refused_for_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for part in [
        picture("http://example.com/cat.png"),
        picture("file:///etc/passwd"),
        picture("data:image/svg+xml;base64,aGVsbG8="),
        picture("data:image/png;base64,hello!"),
        picture("data:image/png;base64,aGVsbG9="),
        json!({ "type": "image_url" }),
        json!({ "type": "image_url", "image_url": { "url": "https://example.com", "detail": "x" } }),
        json!({ "type": "input_audio", "input_audio": { "data": DATA, "format": "wav" } }),
        json!({ "type": "file", "file": { "file_data": DATA } }),
    ] {
        let refused = program.send(&[], showing(&[part])).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "messages[0].content");
    }
    let mut body = showing(&[drawn()]);
    for role in ["system", "assistant"] {
        body["messages"] =
            json!([{ "role": role, "content": [drawn()] }, { "role": "user", "content": "hi" }]);
        let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "messages[0].content");
    }
    assert_eq!(ann.balance().await, GRANT);
    let seen = program.send(&[], showing(&[drawn(), text("hi")])).await.is(200);
    assert_eq!(said(&seen), "You said: [a picture: png, 1 KB]\nhi", "the echo sees a note");
}

#[tokio::test]
async fn pictures_on_private_networks_are_refused_and_not_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://2130706433:{port}/"),
        "https://169.254.169.254/latest/meta-data/".into(),
        "https://10.0.0.1/".into(),
        "https://metadata.google.internal/".into(),
        "https://printer.local/".into(),
        "https://ollama/".into(),
        "https://:443/".into(),
    ] {
        let refused = program.send(&[], showing(&[picture(&url)])).await;
        let refused = refused.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "messages[0].content", "{url}");
        let part = json!({ "type": "input_image", "image_url": url });
        let body = input(json!([{ "role": "user", "content": [part] }]));
        let refused = program.responds(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "input[0].content", "{url}");
    }
    assert_eq!((provider.times_asked(), connections.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(ann.balance().await, GRANT);
}
