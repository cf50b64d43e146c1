//! `POST /v1/completions`, as the clients of OpenAI's older API use it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider};
use crate::endpoints::openai::completions::{Program, asking, data};
use crate::support::client::{Answer, Api, GRANT, PRICE};

const PATH: &str = "/v1/completions";

impl Program {
    /// Sends a request to `/v1/completions`.
    async fn prompts(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.api.send(Method::POST, PATH, &headers, Some(body)).await
    }
}

fn prompt(prompt: impl Into<Value>) -> Value {
    json!({ "model": "gpt-3.5-turbo-instruct", "prompt": prompt.into() })
}

/// A request for a stream.
fn streamed(text: &str, with_usage: bool) -> Value {
    let mut body = prompt(text);
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": with_usage });
    body
}

/// Returns the text in each chunk that has a choice.
fn texts(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect()
}

#[tokio::test]
async fn text_completions_cost_a_chat_and_appear_in_the_history() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let answer = program.prompts(&[], prompt("hi")).await;
    assert!(answer.headers.contains_key("x-ratelimit-limit-requests"), "{answer:?}");
    let mut completion = answer.is(200);
    let kept = ann.history("").await.is(200)[0].clone();
    assert!(completion["created"].take().as_u64().unwrap() > 1_700_000_000);
    let fingerprint = completion["system_fingerprint"].take();
    assert!(fingerprint.as_str().unwrap().starts_with("fp_"), "{fingerprint}");
    let expected = json!({
        "id": format!("cmpl-{}", kept["id"].as_str().unwrap()),
        "object": "text_completion",
        "created": null,
        "model": "scripted",
        "system_fingerprint": null,
        "choices": [{ "text": "You said: hi", "index": 0, "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4 },
    });
    assert_eq!(completion, expected);
    let fields = ["message", "response", "tokens_deducted"].map(|field| kept[field].clone());
    assert_eq!(fields, [json!("hi"), json!("You said: hi"), json!(PRICE)]);
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_prompt_is_one_text_and_the_only_message() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for given in [json!("!recall"), json!(["!recall"])] {
        let completion = program.prompts(&[], prompt(given)).await.is(200);
        assert_eq!(completion["choices"][0]["text"], "user: !recall");
    }
    // Fields that don't ask for anything else are accepted, and so are unknown fields.
    let mut body = prompt("hi");
    for (field, value) in [
        ("n", json!(1)),
        ("best_of", json!(1)),
        ("echo", json!(false)),
        ("suffix", json!("")),
        ("logprobs", json!(0)),
        ("max_tokens", json!(-1)),
        ("user", json!("ann")),
        ("stop", json!([])),
    ] {
        body[field] = value;
    }
    program.prompts(&[], body).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn streamed_text_ends_with_a_reason_the_usage_and_done() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let usage = json!({ "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 });
    for with_usage in [false, true] {
        let asked = streamed("!used 5 0 3 one two", with_usage);
        let chunks = data(&program.prompts(&[], asked).await);
        let id = format!("cmpl-{}", ann.history("").await.is(200)[0]["id"].as_str().unwrap());
        let (done, chunks) = chunks.split_last().unwrap();
        assert_eq!(done, "[DONE]");
        for chunk in chunks {
            let named = ["id", "object", "model"].map(|field| chunk[field].as_str().unwrap());
            assert_eq!(named, [id.as_str(), "text_completion", "scripted"]);
        }
        let chunks = if with_usage {
            let (last, chunks) = chunks.split_last().unwrap();
            assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &usage));
            chunks
        } else {
            chunks
        };
        assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()), "{chunks:?}");
        let (end, pieces) = chunks.split_last().unwrap();
        let choice = json!({ "text": "", "index": 0, "logprobs": null, "finish_reason": "stop" });
        assert_eq!(end["choices"][0], choice);
        assert!(pieces.iter().all(|piece| piece["choices"][0]["finish_reason"].is_null()));
        assert_eq!(texts(pieces).concat(), "You said: !used 5 0 3 one two");
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn unsupported_prompts_and_fields_are_refused_by_name() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (param, value, words) in [
        ("prompt", Value::Null, "This field is required."),
        ("prompt", json!([]), "This field is required."),
        ("prompt", json!(" "), "must not be empty"),
        ("prompt", json!("a\0b"), "NUL"),
        ("prompt", json!(["one", "two"]), "one prompt"),
        ("prompt", json!([15339, 11]), "as a text"),
        ("prompt", json!([[15339, 11], [15339]]), "as a text"),
        ("prompt", json!(7), "This must be a text, or a list with one text, not the number 7."),
        ("prompt[0]", json!([null]), "This must be a text, not null."),
        ("n", json!(2), "one answer"),
        ("best_of", json!(2), "one answer"),
        ("echo", json!(true), "Omit this field"),
        ("suffix", json!("The end."), "Omit this field"),
        ("logprobs", json!(5), "Omit this field"),
        ("max_tokens", json!(0), "1 to"),
        ("temperature", json!(2.1), "from 0 to 2"),
        ("top_p", json!(-0.1), "from 0 to 1"),
        ("stop", json!(["a", "b", "c", "d", "e"]), "at most 4"),
        ("presence_penalty", json!(3), "from -2 to 2"),
        ("frequency_penalty", json!(-3), "from -2 to 2"),
        ("logit_bias", json!({ "50256": 101 }), "from -100 to 100"),
    ] {
        let mut body = prompt("hi");
        body[param.split('[').next().unwrap()] = value;
        let refused = program.prompts(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], param, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(words), "{refused}");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn parameters_of_a_prompt_reach_the_provider() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says("Hello.");
    let mut body = prompt("Greet me.");
    for (field, value) in [
        ("max_tokens", json!(20)),
        ("temperature", json!(0.25)),
        ("top_p", json!(0.5)),
        ("stop", json!("END")),
        ("seed", json!(7)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(-0.5)),
        ("logit_bias", json!({ "50256": -100.0 })),
    ] {
        body[field] = value;
    }
    let completion = program.prompts(&[], body.clone()).await.is(200);
    assert_eq!(completion["choices"][0]["text"], "Hello.");
    let asked = provider.last_asked().2;
    let message = json!({ "role": "user", "content": "Greet me." });
    assert_eq!(asked["messages"].as_array().unwrap().last(), Some(&message));
    for field in [
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
    ] {
        assert_eq!(asked[field], body[field], "{field}");
    }
    assert_eq!(asked["stop"], json!(["END"]));
    // Without `max_tokens`, the limit is the operator's, and not 16 tokens.
    program.prompts(&[], prompt("hi")).await.is(200);
    assert_eq!(provider.last_asked().2["max_tokens"], 77);

    // A failure of the whole prompt has the field's name in this API.
    let words = "This model's maximum context length is 8192 tokens.";
    provider.does(Does::Says(400, json!({ "error": { "message": words } })));
    let refused = program.prompts(&[], prompt("hi")).await.expect(400, "context_length_exceeded");
    assert_eq!(refused["error"]["param"], "prompt");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn cut_and_filtered_text_has_its_finish_reason() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for reason in ["length", "content_filter"] {
        let message = format!("!ends {reason} 5 0 3 hi");
        let whole = program.prompts(&[], prompt(message.as_str())).await.is(200);
        assert_eq!(whole["choices"][0]["finish_reason"], reason);
        let chunks = data(&program.prompts(&[], streamed(&message, false)).await);
        assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], reason);
    }
}

#[tokio::test]
async fn retried_prompts_are_free_only_in_the_same_form() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let first = program.prompts(&[("idempotency-key", "k1")], prompt("hi")).await.is(200);
    let again = program.prompts(&[("idempotency-key", "k1")], prompt("hi")).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    let other = program.prompts(&[("idempotency-key", "k1")], prompt("ho")).await;
    other.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, GRANT - PRICE);

    let mut both = asking("!words one two");
    both["prompt"] = json!("!words one two");
    both["stream"] = json!(true);
    let count = |count: &'static str| [("x-stainless-retry-count", count)];
    let whole = program.prompts(&count("0"), both.clone()).await;
    assert!(!whole.is_replay());
    let again = program.prompts(&count("1"), both.clone()).await;
    assert!(again.is_replay());
    assert_eq!(texts(&data(&again)).concat(), texts(&data(&whole)).concat());
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert!(!program.send(&count("1"), both).await.is_replay(), "another form of answer");
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    let program = Program::of_equal_bodies(&ann).await;
    let first = program.prompts(&[], prompt("hi")).await.is(200);
    let again = program.prompts(&[], prompt("hi")).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn prompts_above_the_balance_are_refused_for_free() {
    for (status, settings) in [(402, &[][..]), (429, &[("EMPTY_BALANCE_STATUS", "429")])] {
        let api = Api::own(settings).await;
        let ann = api.person("ann").await;
        let program = Program::of(&ann).await;
        ann.has_left(PRICE - 1).await;
        for body in [prompt("hi"), streamed("hi", false)] {
            let refused = program.prompts(&[], body).await;
            assert_eq!(refused.status, status);
            assert_eq!(refused.header("x-should-retry"), "false");
            assert_eq!(refused.body["error"]["code"], "insufficient_quota");
        }
        assert_eq!(ann.balance().await, PRICE - 1);
    }
}

#[tokio::test]
async fn failed_prompts_are_openai_errors_and_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    program.prompts(&[], prompt("!fail")).await.expect(502, "ai_failed");
    program.prompts(&[], streamed("!fail", false)).await.expect(502, "ai_failed");
    let chunks = data(&program.prompts(&[], streamed("!cut one two", true)).await);
    assert_eq!(texts(&chunks), ["one "]);
    assert_eq!(
        (chunks.len(), &chunks[1]["error"]["code"]),
        (2, &json!("ai_failed")),
        "nothing is done: {chunks:?}"
    );
    assert_eq!(ann.balance().await, GRANT);
}
