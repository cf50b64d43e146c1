//! Replays how real programs send an answer back, with the results of its calls. The program's
//! model must get what it got when `scripts/check/suites/peers/returns.py` made the recording.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ai::anthropic::{says, text};
use crate::ai::providers::{Does, Provider};
use crate::endpoints::anthropic::order::{anthropic, streamed};
use crate::endpoints::openai::completions::Program;

#[derive(Deserialize)]
struct Recording {
    path: String,
    /// The blocks of the model's answer to the first request.
    blocks: Vec<Value>,
    first: Value,
    /// The fields in which the second request differs. `CHAT` is the id of the reply to the first.
    second: Map<String, Value>,
    /// The blocks that the model gets back.
    returned: Vec<Value>,
}

/// The recordings with the names of their programs.
fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recorded/returns");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    files.map(|file| (file.file_stem().unwrap().display().to_string(), read(file))).collect()
}

fn answers(blocks: &[Value], reason: &str, is_streamed: bool) -> Does {
    match is_streamed {
        true => Does::Streams(streamed(blocks, reason)),
        false => says(json!(blocks), reason),
    }
}

#[tokio::test]
async fn answers_return_from_programs_as_recorded() {
    let provider = Provider::start().await;
    let ann = anthropic(&provider).await.person("ann").await;
    ann.has_left(1_000_000).await;
    let key = Program::of(&ann).await.key;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("anthropic-version", "2023-06-01")];
    let recordings = recordings();
    assert!(!recordings.is_empty());
    for (program, Recording { path, blocks, first, second, returned }) in recordings {
        let is_streamed = first["stream"] == true;
        let send = async |body: Value| {
            let reply = ann.api.send(Method::POST, &path, &headers, Some(body)).await;
            assert_eq!(reply.status, 200, "{program}: {reply:?}");
            reply.body.to_string()
        };
        provider.does(answers(&blocks, "tool_use", is_streamed));
        let reply = send(first.clone()).await;

        let history = ann.history("").await.is(200);
        let chat = history[0]["id"].as_str().unwrap();
        assert!(reply.contains(chat), "{program}: {reply}");
        let second = json!(second).to_string().replace("CHAT", chat);
        let second: Map<String, Value> = serde_json::from_str(&second).unwrap();
        let mut body = first;
        body.as_object_mut().unwrap().extend(second);
        provider.does(answers(&[text("Done.")], "end_turn", is_streamed));
        send(body).await;

        let asked = provider.last_asked().2;
        let turns = asked["messages"].as_array().unwrap().iter();
        let got: Vec<&Value> =
            turns.filter(|turn| turn["role"] == "assistant").map(|turn| &turn["content"]).collect();
        assert_eq!(got, [&json!(returned)], "{program}");
    }
}
