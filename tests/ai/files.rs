//! Text files in messages and in results of calls.

use serde_json::{Value, json};

use crate::ai::providers::Provider;
use crate::ai::refusals::is_refused;
use crate::endpoints::openai::completions::{Program, asking};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE};

/// A data URL of the text `Hello!`.
const HELLO: &str = "data:text/plain;base64,SGVsbG8h";

/// A request whose message has these parts.
fn showing(parts: Value) -> Value {
    let mut body = asking("");
    body["messages"][0]["content"] = parts;
    body
}

fn file(name: &str, data: &str) -> Value {
    json!({ "type": "file", "file": { "filename": name, "file_data": data } })
}

fn input_file(name: &str, data: &str) -> Value {
    json!({ "type": "input_file", "filename": name, "file_data": data })
}

#[tokio::test]
async fn text_files_become_text_below_their_name() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says("A greeting.");
    let text = "What is this?\nnotes.txt:\nHello!";
    let parts = json!([{ "type": "text", "text": "What is this?" }, file("notes.txt", HELLO)]);
    program.send(&[], showing(parts)).await.is(200);
    assert_eq!(provider.last_asked().2["messages"][1]["content"], text);
    assert_eq!(ann.history("").await.is(200)[0]["message"], text);

    let parts =
        json!([{ "type": "input_text", "text": "What is this?" }, input_file("notes.txt", HELLO)]);
    let user = json!({ "role": "user", "content": parts });
    let json_file = input_file("a.json", "data:application/json;base64,e30=");
    let items = json!([
        user,
        { "type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "call_1", "output": [json_file] },
    ]);
    program.responds(&[], input(items)).await.is(200);
    let asked = provider.last_asked().2["messages"].clone();
    assert_eq!([&asked[1]["content"], &asked[3]["content"]], [text, "a.json:\n{}"]);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn other_files_are_refused_for_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let pdf = "data:application/pdf;base64,aGVsbG8=";
    for (name, data, sentence) in [
        ("a.pdf", pdf, "Only text files"),
        ("a.txt", "https://example.com/a.txt", "Only text files"),
        ("a.txt", "data:text/plain;base64,hello!", "isn't UTF-8 text"),
        ("a.txt", "data:text/plain;base64,/w==", "isn't UTF-8 text"),
        ("a\nb", HELLO, "must be one line"),
    ] {
        is_refused(program.send(&[], showing(json!([file(name, data)]))).await, sentence);
        let items = json!([{ "role": "user", "content": [input_file(name, data)] }]);
        is_refused(program.responds(&[], input(items)).await, sentence);
    }
    let stored = json!([{ "type": "file", "file": { "file_id": "file_1" } }]);
    is_refused(program.send(&[], showing(stored)).await, "stores no files");
    let linked = json!([{ "type": "input_file", "file_url": "https://example.com/a.txt" }]);
    let items = json!([{ "role": "user", "content": linked }]);
    is_refused(program.responds(&[], input(items)).await, "stores no files");
    let mut body = showing(json!("hi"));
    body["messages"] = json!([
        { "role": "system", "content": [file("a.txt", HELLO)] },
        { "role": "user", "content": "hi" },
    ]);
    is_refused(program.send(&[], body).await, "Only texts are supported");
    assert_eq!(ann.balance().await, GRANT);
}
