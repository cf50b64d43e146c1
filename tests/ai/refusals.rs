//! Requests under `/v1` that this API or a provider refuses, and the errors that clients get.

use reqwest::Method;
use serde_json::{Value, json};
use shared::telemetry::metrics::Metric;

use crate::ai::anthropic::anthropic;
use crate::ai::providers::{Does, Provider, bedrock};
use crate::endpoints::anthropic::messages::Client;
use crate::endpoints::openai::completions::{Program, asking, offering, said, streamed, weather};
use crate::endpoints::openai::responses::{input, text, tool};
use crate::support::client::{Answer, Api, GRANT, PRICE};
use crate::support::log::{self, recorded};

/// Asserts that a request is refused with an error message that contains this string.
pub fn is_refused(answer: Answer, says: &str) {
    let refused = answer.expect(400, "invalid_fields");
    assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{refused}");
}

/// A provider's refusal with this status and message.
fn refuses(status: u16, words: &str) -> Does {
    Does::Says(status, json!({ "error": { "message": words } }))
}

/// A request to `/v1/responses` that offers a function to the model.
fn offering_a_response(message: &str) -> Value {
    let mut body = input(message);
    body["tools"] = json!([tool()]);
    body
}

#[tokio::test]
async fn refusals_name_the_problem_and_the_remedy() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let must_call = json!("required");
    let f = json!({ "type": "function", "function": { "name": "f" } });
    for (field, value, sentence) in [
        ("n", json!(2), "one answer only"),
        ("audio", json!({}), "a text only"),
        ("tool_choice", must_call.clone(), "The request has no functions."),
        ("tool_choice", f, "The request has no function with this name."),
    ] {
        let mut body = asking("hi");
        body[field] = value;
        is_refused(program.send(&[], body).await, sentence);
    }
    let mut body = input("hi");
    body["tool_choice"] = must_call;
    is_refused(program.responds(&[], body).await, "The request has no functions.");

    // No provider accepts this function name in any field.
    let named = json!({ "id": "a", "type": "function", "function": { "name": "f.g h", "arguments": "{}" } });
    let mut body = offering("hi");
    body["messages"] = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "tool_calls": [named] },
        { "role": "tool", "tool_call_id": "a", "content": "1" },
    ]);
    is_refused(
        program.send(&[], body).await,
        "messages[1].tool_calls: A name must have 1 to 64 letters",
    );
    let call = json!({ "type": "function_call", "call_id": "a", "name": "f.g h" });
    let body = input(json!([{ "role": "user", "content": "hi" }, call]));
    is_refused(
        program.responds(&[], body).await,
        "input[1].name: A name must have 1 to 64 letters",
    );

    // These schemas are strings because JSON parsers, including this test's, can't read them.
    let bearer = ann.bearer();
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    for schema in [r#"{"maximum": 1e999}"#, r#"{"title": "\ud800"}"#] {
        let body = offering("hi").to_string().replace(r#"{"city":{"type":"string"}}"#, schema);
        assert!(body.contains(schema), "{body}");
        let refused =
            api.raw(Method::POST, "/v1/chat/completions", &headers, body.into_bytes()).await;
        is_refused(
            refused,
            "This schema has a number that is too large, or an incomplete character escape.",
        );
        let mut body = input("hi");
        body["tools"] = json!([tool()]);
        let body = body.to_string().replace(r#"{"city":{"type":"string"}}"#, schema);
        let refused = api.raw(Method::POST, "/v1/responses", &headers, body.into_bytes()).await;
        is_refused(
            refused,
            "This schema has a number that is too large, or an incomplete character escape.",
        );
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn quoted_prompt_text_is_not_taken_for_a_refusal() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    // Servers that use FastAPI report an invalid request in this form.
    let repeats = |message: &str| {
        let sent = json!({ "messages": [{ "role": "user", "content": message }] });
        let detail = json!([{ "type": "extra_forbidden", "loc": ["body"], "msg": "Not permitted", "input": sent }]);
        Does::Says(422, json!({ "detail": detail }))
    };
    let about_tools = "Does the tool support unicode?";
    provider.does(repeats(about_tools));
    program.send(&[], offering(about_tools)).await.expect(502, "ai_failed");
    assert_eq!(provider.times_asked(), 1, "not again without the functions");
    program.responds(&[], offering_a_response(about_tools)).await.expect(502, "ai_failed");
    let about_context = "Summarise the paper on context window sizes.";
    provider.does(repeats(about_context));
    program.send(&[], asking(about_context)).await.expect(502, "ai_failed");
    program.responds(&[], input(about_context)).await.expect(502, "ai_failed");

    // The provider's own message is read even if the rest of its reply is long.
    let own = json!({ "message": "This model's maximum context length is 8192 tokens." });
    provider.does(Does::Says(400, json!({ "error": own, "request": "x".repeat(200_000) })));
    program.send(&[], asking("hi")).await.expect(400, "context_length_exceeded");
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn sdks_do_not_repeat_what_a_provider_refuses() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
    for (does, is_final) in [(refuses(400, "a reason"), true), (refuses(500, "a reason"), false)] {
        provider.does(does);
        for answer in [
            program.send(&[], asking("hi")).await,
            program.send(&[], streamed("hi")).await,
            program.responds(&[], input("hi")).await,
            client.asks("hi").await,
        ] {
            assert_eq!(answer.status, 502, "{answer:?}");
            let shown = answer.headers.get("x-should-retry").map(|value| value.to_str().unwrap());
            assert_eq!(shown, is_final.then_some("false"), "{answer:?}");
        }
    }
    assert_eq!(ann.balance().await, GRANT);

    // Another provider may answer a retry.
    let (api, first, second) = Provider::two(("AI_TIMEOUT_SECONDS", "20")).await;
    let program = Program::of(&api.person("ben").await).await;
    for (outcome, backup, is_final) in [
        (refuses(500, "a reason"), refuses(400, "a reason"), false),
        (refuses(400, "a reason"), refuses(500, "a reason"), false),
        (refuses(400, "a reason"), refuses(400, "a reason"), true),
    ] {
        first.does(outcome);
        second.does(backup);
        let answer = program.send(&[], asking("hi")).await;
        assert_eq!(answer.headers.contains_key("x-should-retry"), is_final, "{answer:?}");
    }
}

#[tokio::test]
async fn providers_words_for_too_long_make_programs_compact() {
    let provider = Provider::start().await;
    let exception =
        |words: &str| Does::Says(400, json!({ "__type": "ValidationException", "message": words }));
    let anthropics = |kind: &str, words: &str| json!({ "type": "error", "error": { "type": kind, "message": words } });
    let exceeded = json!({ "error": {
        "message": "This model's maximum context length is 128000 tokens.",
        "param": "messages", "code": "context_length_exceeded",
    } });
    let long = "prompt is too long: 210000 tokens > 200000 maximum";
    let overflow = json!({
        "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 900, "n_ctx": 512,
        "message": "request (900 tokens) exceeds the available context size (512 tokens)",
    });
    let event = |data: &Value| Does::Streams(vec![format!("data: {data}\n\n").into()]);
    let apis = [
        (
            provider.api("").await,
            vec![
                Does::Says(400, exceeded),
                refuses(400, "Your input exceeds the context window of this model."),
                refuses(
                    400,
                    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
                ),
                Does::Says(
                    413,
                    json!({ "error": { "message": "Too large", "code": "rate_limit_exceeded" } }),
                ),
                Does::Says(413, Value::Null),
                refuses(500, "Context size has been exceeded."),
                refuses(500, "context shift is disabled"),
                Does::Says(500, json!({ "error": overflow })),
                refuses(200, "the request exceeds the available context size"),
                Does::Says(200, json!({ "error": overflow })),
                Does::Says(200, json!([{ "error": overflow }])),
                Does::Says(200, json!({ "object": "error", "message": "maximum context length" })),
                event(&json!({ "error": overflow })),
                event(&json!({ "choices": [{ "error": overflow }] })),
                Does::Streams(vec![
                    format!("event: error\ndata: {}\n\n", json!({ "error": overflow })).into(),
                ]),
                Does::Streams(vec![format!("event: error\ndata: {overflow}\n\n").into()]),
            ],
        ),
        (
            anthropic(&provider, "").await,
            vec![
                Does::Says(400, anthropics("invalid_request_error", long)),
                Does::Says(
                    413,
                    anthropics("request_too_large", "Request exceeds the maximum size"),
                ),
                Does::Says(200, anthropics("invalid_request_error", long)),
                event(&anthropics("invalid_request_error", long)),
            ],
        ),
        (
            bedrock(&provider, "").await,
            vec![
                exception("Input is too long for requested model."),
                exception(&format!("The model returned the following errors: {long}")),
                exception("Input Tokens Exceeded: Number of input tokens exceeds maximum length."),
                Does::Says(
                    424,
                    json!({ "__type": "ModelErrorException", "message": format!("400: {long}") }),
                ),
            ],
        ),
    ];
    for (api, refusals) in apis {
        for refusal in refusals {
            let ann = api.person("ann").await;
            let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
            provider.does(refusal);
            program.send(&[], streamed("hi")).await.expect(400, "context_length_exceeded");
            program.responds(&[], input("hi")).await.expect(400, "context_length_exceeded");
            ann.chat("hi").await.expect(400, "context_length_exceeded");
            let refused = client.asks("hi").await.expect_anthropic(400);
            let words = refused["error"]["message"].as_str().unwrap();
            assert!(words.starts_with("prompt is too long: "), "{words}");
            assert_eq!(ann.balance().await, GRANT);
        }
    }
}

#[tokio::test]
async fn refusals_mean_the_same_with_status_200_or_500() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut pictured = asking("hi");
    let picture = json!({ "url": "https://example.com/a.png" });
    pictured["messages"][0]["content"] = json!([{ "type": "image_url", "image_url": picture }]);
    let unsupported = "This model does not support tools";
    let hello =
        json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });
    for status in [400, 500, 200] {
        for words in [
            "Could not process image",
            "The image data you provided does not represent a valid image.",
            "No endpoints found that support image input",
        ] {
            provider.does(refuses(status, words));
            let refused = program.send(&[], pictured.clone()).await;
            is_refused(refused, "The model of this server can't look at these pictures.");
        }
        for code in ["image_parse_error", "invalid_image_format", "invalid_base64_image"] {
            let error = json!({ "error": { "message": "Invalid.", "code": code } });
            provider.does(Does::Says(status, error));
            let refused = program.send(&[], pictured.clone()).await;
            is_refused(refused, "The model of this server can't look at these pictures.");
        }
        // The request is repeated without the functions.
        let refusal = json!({ "error": { "message": unsupported } });
        provider.does(Does::RefusesWith(status, "tools", refusal, hello.clone()));
        let before = provider.times_asked();
        assert_eq!(said(&program.send(&[], offering("hi")).await.is(200)), "Hello.");
        assert_eq!(provider.times_asked() - before, 2, "{status}");
    }
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
}

#[tokio::test]
async fn an_error_after_a_part_of_the_answer_is_the_providers_failure() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let begins = json!({ "choices": [{ "delta": { "content": "Hello" } }] });
    let fails = json!({ "error": { "message": "This model does not support tools" } });
    let pieces = [begins, fails].map(|event| format!("data: {event}\n\n").into());
    provider.does(Does::Streams(pieces.to_vec()));
    program.send(&[], offering("hi")).await.expect(502, "ai_failed");
    assert_eq!((provider.times_asked(), ann.balance().await), (1, GRANT));
}

#[tokio::test]
async fn clients_wait_as_long_as_the_provider_says() {
    let provider = Provider::start().await;
    for api in [provider.api("").await, bedrock(&provider, "").await] {
        for (said, seconds) in [
            ("42", "42"),
            ("1.5", "2"),
            ("0", "1"),
            ("86400", "3600"),
            ("Wed, 21 Oct 2026 07:28:00 GMT", "5"),
            ("-1", "5"),
            ("", "5"),
        ] {
            provider.does(Does::Limits(said));
            let ann = api.person("ann").await;
            let (program, client) = (Program::of(&ann).await, Client::of(&ann).await);
            for (refused, status) in [
                (program.send(&[], asking("hi")).await, 503),
                (program.send(&[], streamed("hi")).await, 503),
                (client.asks("hi").await, 529),
                (ann.chat("hi").await, 503),
            ] {
                assert_eq!(
                    (refused.status.as_u16(), refused.header("retry-after")),
                    (status, seconds),
                    "{said}"
                );
            }
            assert_eq!(ann.balance().await, GRANT);
        }
    }
}

#[tokio::test]
async fn clients_wait_for_the_provider_that_is_available_first() {
    let (api, first, second) = Provider::two(("AI_TIMEOUT_SECONDS", "20")).await;
    let program = Program::of(&api.person("ann").await).await;
    for (one, other, seconds) in [("42", "7", "7"), ("7", "42", "7"), ("", "42", "5")] {
        first.does(Does::Limits(one));
        second.does(Does::Limits(other));
        let refused = program.send(&[], asking("hi")).await;
        assert_eq!(refused.header("retry-after"), seconds, "{one}, {other}");
    }
    first.does(Does::Limits("42"));
    second.does(Does::Says(500, Value::Null));
    program.send(&[], asking("hi")).await.expect(502, "ai_failed");
}

#[tokio::test]
async fn models_without_call_limits_still_get_functions() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let words = json!({ "error": {
        "message": "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
        "param": "parallel_tool_calls", "code": "unsupported_parameter",
    } });
    let call = |id: &str| {
        let function = json!({ "name": "get_weather", "arguments": "{}" });
        json!({ "id": id, "type": "function", "function": function })
    };
    let message = json!({ "content": null, "tool_calls": [call("a"), call("b")] });
    let calls = json!({ "choices": [{ "message": message, "finish_reason": "tool_calls" }] });
    provider.does(Does::Refuses("parallel_tool_calls", words, calls));

    let mut body = offering("hi");
    body["parallel_tool_calls"] = json!(false);
    let completion = program.send(&[], body).await.is(200);
    assert_eq!(completion["choices"][0]["message"]["tool_calls"], json!([call("a")]));
    let asked = provider.last_asked().2;
    assert_eq!((&asked["tools"], provider.times_asked()), (&json!([weather()]), 2));
    assert!(asked.get("parallel_tool_calls").is_none(), "{asked}");

    // A request with OpenAI's legacy field `functions` allows only one call.
    let mut older = asking("hi");
    older["functions"] = json!([weather()["function"]]);
    let completion = program.send(&[], older).await.is(200);
    assert_eq!(completion["choices"][0]["message"]["function_call"]["name"], "get_weather");

    let mut body = offering_a_response("hi");
    body["parallel_tool_calls"] = json!(false);
    let response = program.responds(&[], body).await.is(200);
    assert_eq!(response["output"].as_array().unwrap().len(), 1, "{response}");
    assert_eq!(response["output"][0]["call_id"], "a");
    assert_eq!((ann.balance().await, provider.times_asked()), (GRANT - 3 * PRICE, 6));
}

#[tokio::test]
async fn backup_refusals_do_not_hide_retryable_failures() {
    let (api, first, second) = Provider::two(("AI_TIMEOUT_SECONDS", "20")).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut must_call = offering("hi");
    must_call["tool_choice"] = json!("required");
    let unable = || refuses(400, "This model does not support tools.");
    for (outcome, backup, status, code) in [
        (refuses(429, "busy"), unable(), 503, "ai_overloaded"),
        (refuses(400, "a reason"), refuses(429, "busy"), 503, "ai_overloaded"),
        (refuses(504, "slow"), refuses(400, "prompt is too long"), 504, "ai_timed_out"),
        (refuses(401, "wrong key"), unable(), 502, "ai_failed"),
        (unable(), refuses(429, "busy"), 503, "ai_overloaded"),
        (refuses(400, "a reason"), unable(), 502, "ai_failed"),
        (unable(), unable(), 400, "invalid_fields"),
    ] {
        first.does(outcome);
        second.does(backup);
        program.send(&[], must_call.clone()).await.expect(status, code);
    }
    assert_eq!((first.times_asked(), second.times_asked()), (7, 7));
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn features_missing_in_bedrock_are_refused_before_the_hold() {
    let provider = Provider::start().await;
    let api = bedrock(&provider, "").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let url = "https://example.com/cat.png";
    let mut linked = asking("hi");
    linked["messages"][0]["content"] =
        json!([{ "type": "image_url", "image_url": { "url": url } }]);
    let mut any_object = offering("hi");
    any_object["response_format"] = json!({ "type": "json_object" });
    let mut of_responses = input(json!([{ "role": "user", "content": [
        { "type": "input_text", "text": "hi" }, { "type": "input_image", "image_url": url },
    ] }]));
    // Send more requests than the API refunds in a minute.
    for _ in 0..25 {
        for (body, param) in [(&linked, "messages"), (&any_object, "response_format")] {
            let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
            assert_eq!(refused["error"]["param"], param);
        }
        let refused = program.responds(&[], of_responses.clone()).await;
        assert_eq!(refused.expect(400, "invalid_fields")["error"]["param"], "input");
    }
    assert_eq!((provider.times_asked(), ann.balance().await), (0, GRANT));

    let api = bedrock(&provider, ",echo").await;
    let program = Program::of(&api.person("ben").await).await;
    let answer = "You said: [a picture from example.com]";
    assert_eq!(said(&program.send(&[], linked).await.is(200)), answer);
    of_responses["input"][0]["content"].as_array_mut().unwrap().remove(0);
    assert_eq!(text(&program.responds(&[], of_responses).await.is(200)), answer);
    assert_eq!(provider.times_asked(), 0, "the next provider is asked at once");
}

#[tokio::test]
async fn ambiguous_statuses_are_refusals_only_with_known_words() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = offering("hi");
    body["tool_choice"] = json!("required");
    for (status, words) in [
        (404, "No endpoints found that support tool use. Try disabling \"get_weather\"."),
        (500, "tools param requires --jinja flag"),
        (501, "This model does not support tools."),
    ] {
        provider.does(refuses(status, words));
        let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], "tools", "{words}");
        program.send(&[], asking("hi")).await.expect(502, "ai_failed");
        provider.does(refuses(status, "a reason"));
        program.send(&[], body.clone()).await.expect(502, "ai_failed");
    }
    assert_eq!(ann.balance().await, GRANT);
}

#[tokio::test]
async fn unknown_refusals_are_logged_by_status_without_their_text() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let program = Program::of(&api.person("ann").await).await;
    let mut body = offering("hi");
    body["tool_choice"] = json!("required");
    log::clear();
    provider.does(refuses(422, "a confidential reason"));
    let refused = program.send(&[], body.clone()).await.expect(502, "ai_failed");
    assert!(!refused.to_string().contains("confidential"), "{refused}");
    assert_eq!(recorded(Metric::AiFailures, Some("openai")), (1, 1));
    assert!(log::text().contains("status 422"), "{}", log::text());

    // The log contains the provider's codes, and the model.
    for (code, cause) in [
        ("model_gone", "\"status 422, model_gone, strange_error\""),
        ("a confidential code", "\"status 422, strange_error\""),
    ] {
        log::clear();
        let error = json!({ "message": "confidential", "type": "strange_error", "code": code });
        provider.does(Does::Says(422, json!({ "error": error })));
        program.send(&[], body.clone()).await.expect(502, "ai_failed");
        let log = log::text();
        assert!(log.contains(" model=") && log.contains(cause), "{log}");
        assert!(!log.contains("confidential"), "{log}");
    }
    log::clear();

    provider.does(refuses(400, "This confidential model does not support tools."));
    program.send(&[], body).await.expect(400, "invalid_fields");
    assert_eq!(recorded(Metric::AiFailures, Some("openai")), (1, 0), "the model has not failed");
    let converse = bedrock(&provider, "").await;
    let program = Program::of(&converse.person("ben").await).await;
    let words = "The value at toolConfig is confidential.";
    let exception = json!({ "__type": "ValidationException", "message": words });
    provider.does(Does::Says(400, exception));
    program.send(&[], offering("hi")).await.expect(400, "invalid_fields");
    assert_eq!(recorded(Metric::AiFailures, Some("bedrock")), (1, 0), "the program's functions");
    let log = log::text();
    assert!(log.contains("it refuses a field of the request"), "{log}");
    assert!(!log.contains("confidential"), "{log}");
}
