//! Anthropic's Messages API: what a request must contain, how its answers are charged, and which
//! failures its statuses and errors mean.

use std::future::pending;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};
use shared::ai::{Ai, Effort, Options, Prompt, Thinking, Tool};
use shared::clock::Clock;
use shared::config::{AiConfig, Settings};
use shared::telemetry::metrics::Metric;
use shared::values::{Reasoning, Speaker, ToolCall, Turn};

use crate::ai::answers::price;
use crate::ai::providers::{Does, KEY, Provider};
use crate::ai::response_formats::formatted;
use crate::endpoints::chats::fares::{list_through, list_with_writes};
use crate::endpoints::openai::completions::{Program, asking, data, offering, said, words};
use crate::endpoints::openai::responses::input;
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Api, GRANT, PRICE};
use crate::support::log::{self, recorded};

/// Starts an API that calls this provider as if it were Anthropic. `others` names the backup
/// providers.
pub async fn anthropic(provider: &Provider, others: &str) -> Api {
    Api::own(&[
        ("AI_PROVIDER", &format!("anthropic{others}")),
        ("ANTHROPIC_BASE_URL", &provider.url),
        ("ANTHROPIC_MODEL", "claude"),
        ("ANTHROPIC_API_KEY", KEY),
        ("AI_SYSTEM_PROMPT", "Be kind."),
        ("AI_TEMPERATURE", "1.5"),
        ("AI_MAX_TOKENS", "77"),
    ])
    .await
}

/// Starts a provider that answers `Hello.`, and a program that calls it.
async fn asked() -> (Provider, Program) {
    let provider = Provider::start().await;
    let api = anthropic(&provider, "").await;
    let program = Program::of(&api.person("ann").await).await;
    provider.does(says(json!([text("Hello.")]), "end_turn"));
    (provider, program)
}

pub fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

pub fn message(content: Value, reason: &str) -> Value {
    json!({
        "type": "message", "role": "assistant", "model": "claude-1", "content": content,
        "stop_reason": reason, "usage": { "input_tokens": 3, "output_tokens": 4 },
    })
}

pub fn says(content: Value, reason: &str) -> Does {
    Does::Says(200, message(content, reason))
}

pub fn error(kind: &str, words: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": words } })
}

pub fn event(data: &Value) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
}

pub fn delta(delta: Value) -> Bytes {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

pub fn piece(text: &str) -> Bytes {
    delta(json!({ "type": "text_delta", "text": text }))
}

pub fn start(block: Value) -> Bytes {
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

pub fn ends(reason: &str) -> Bytes {
    let delta = json!({ "stop_reason": reason });
    event(&json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 4 } }))
}

#[tokio::test]
async fn anthropic_gets_the_key_the_model_and_the_conversation() {
    log::clear();
    let provider = Provider::start().await;
    let api = anthropic(&provider, "").await;
    let ann = api.person("ann").await;
    provider.does(says(json!([text("Hello, Ann.")]), "end_turn"));
    let first = ann.chat("I am Ann.").await.is(200);
    assert_eq!((&first["response"], &first["model"]), (&json!("Hello, Ann."), &json!("claude-1")));
    let counted = json!({ "prompt_tokens": 3, "completion_tokens": 4, "estimated": false });
    assert_eq!(first["usage"], counted);
    let body = json!({ "message": "Who am I?", "conversation_id": first["conversation_id"] });
    ann.post("/api/chat/", body).await.is(200);
    let (path, key, asked) = provider.last_asked();
    assert_eq!((path.as_str(), key.as_str()), ("/v1/messages", KEY));
    let expected = json!({
        "model": "claude", "stream": false, "max_tokens": 77, "temperature": 1.0,
        "system": [text("Be kind.")],
        "messages": [
            { "role": "user", "content": [text("I am Ann.")] },
            { "role": "assistant", "content": [text("Hello, Ann.")] },
            { "role": "user", "content": [text("Who am I?")] },
        ],
    });
    assert_eq!(asked, expected);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert!(!log::text().contains("sk-a-key"), "the key is in no log");
}

#[tokio::test]
async fn anthropics_failures_are_distinguished_and_free() {
    let provider = Provider::start().await;
    let api = anthropic(&provider, "").await;
    let ann = api.person("ann").await;
    let fails = |status, kind: &str| Does::Says(status, error(kind, "a secret"));
    log::clear();
    for (does, status, code) in [
        (fails(401, "authentication_error"), 502, "ai_failed"),
        (fails(403, "permission_error"), 502, "ai_failed"),
        (fails(404, "not_found_error"), 502, "ai_failed"),
        (fails(429, "rate_limit_error"), 503, "ai_overloaded"),
        (fails(500, "api_error"), 502, "ai_failed"),
        (fails(504, "timeout_error"), 504, "ai_timed_out"),
        (fails(529, "overloaded_error"), 503, "ai_overloaded"),
        (Does::Streams(vec![event(&error("overloaded_error", ""))]), 503, "ai_overloaded"),
        (says(json!([text(" ")]), "refusal"), 422, "content_filtered"),
        (Does::Cuts(vec![Bytes::from("{\"content\": [")]), 502, "ai_failed"),
    ] {
        provider.does(does);
        ann.chat("hi").await.expect(status, code);
    }
    assert_eq!(recorded(Metric::AiUnfunded, Some("anthropic")).1, 0);
    let balance = "Your credit balance is too low to access the Anthropic API.";
    for (status, kind) in
        [(400, "invalid_request_error"), (402, "billing_error"), (403, "billing_error")]
    {
        provider.does(Does::Says(status, error(kind, balance)));
        ann.chat("hi").await.expect(502, "ai_failed");
    }
    assert_eq!(recorded(Metric::AiUnfunded, Some("anthropic")).1, 3);
    assert!(!log::text().contains("secret"), "{}", log::text());
    assert_eq!(ann.balance().await, GRANT);
    // Claude ends a turn without words if it has nothing to add.
    provider.does(says(json!([]), "end_turn"));
    assert_eq!(ann.chat("hi").await.is(200)["response"], "");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn streams_are_delivered_until_they_end_or_fail() {
    let provider = Provider::start().await;
    let api = anthropic(&provider, ",echo").await;
    let ann = api.person("ann").await;
    let asks = async |does: Does| {
        provider.does(does);
        let said = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
        events(said.body.as_str().unwrap())
    };
    let begin = event(&json!({
        "type": "message_start",
        "message": { "model": "claude-1", "usage": { "input_tokens": 3, "output_tokens": 1 } },
    }));
    let pieces = [
        begin.clone(),
        event(&json!({ "type": "ping" })),
        start(text("")),
        piece("Grüße"),
        piece(" 😀"),
        ends("end_turn"),
        event(&json!({ "type": "message_stop" })),
    ];
    let bytes = pieces.concat().iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    let said = asks(Does::Streams(bytes)).await;
    let (_, done) = said.last().unwrap();
    assert_eq!((text_of(&said).as_str(), &done["model"]), ("Grüße 😀", &json!("claude-1")));
    let counted = json!({ "prompt_tokens": 3, "completion_tokens": 4, "estimated": false });
    assert_eq!(done["usage"], counted);
    assert_eq!(provider.last_asked().2["stream"], true);

    for does in [
        Does::Streams(vec![begin.clone(), piece("Half")]),
        Does::Streams(vec![begin.clone(), piece("Half"), event(&error("api_error", ""))]),
        Does::Cuts(vec![begin.clone(), piece("Half")]),
    ] {
        let said = asks(does).await;
        let (_, failed) = said.last().unwrap();
        assert_eq!((text_of(&said).as_str(), &failed["code"]), ("Half", &json!("ai_failed")));
    }
    let overloaded = vec![begin, event(&error("overloaded_error", ""))];
    let said = asks(Does::Streams(overloaded)).await;
    assert_eq!(text_of(&said), "You said: hi", "nothing had been delivered yet");
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn cached_tokens_are_charged_at_their_own_rate() {
    let provider = Provider::start().await;
    let api = anthropic(&provider, "").await;
    api.prices(&list_through(&["anthropic:claude-large"])).await;
    let ann = api.person("ann").await;
    let usage = |input: u64| {
        json!({
            "input_tokens": input, "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 400, "output_tokens": 50,
            "output_tokens_details": { "thinking_tokens": 30 },
        })
    };
    let mut balance = GRANT;
    for (input, prompt) in [(10, 2410), (0, 2400)] {
        let mut counted = message(json!([text("Hello.")]), "end_turn");
        counted["usage"] = usage(input);
        provider.does(Does::Says(200, counted));
        let chat = ann.asks_model("deep", "hi").await.is(200);
        let expected = json!({
            "prompt_tokens": prompt, "cached_tokens": 2000, "written_tokens": 400,
            "completion_tokens": 50, "reasoning_tokens": 30, "estimated": false,
        });
        assert_eq!(chat["usage"], expected);
        balance -= price([prompt, 2000, 50]);
        assert_eq!(ann.balance().await, balance);
        assert_eq!(provider.last_asked().2["model"], "claude-large");
    }
    api.prices(&list_with_writes("anthropic:claude-large")).await;
    let chat = ann.asks_model("deep", "hi").await.is(200);
    // 2000 x 0.005 + 400 x 0.0625 + 50 x 0.4
    assert_eq!(chat["tokens_deducted"], 55);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn calls_and_their_results_are_translated() {
    let (provider, program) = asked().await;
    let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": { "city": "Paris" } });
    provider.does(says(json!([text("Let me look."), call]), "tool_use"));
    let completion = program.send(&[], offering("hi")).await.is(200);
    let choice = &completion["choices"][0];
    let calls = &choice["message"]["tool_calls"];
    assert_eq!(
        (&choice["finish_reason"], &calls[0]["id"]),
        (&json!("tool_calls"), &json!("toolu_1"))
    );
    assert_eq!(calls[0]["function"]["arguments"], r#"{"city":"Paris"}"#);

    let mut body = offering("hi");
    body["parallel_tool_calls"] = json!(false);
    body["stop"] = json!(["END", " "]);
    body["messages"] = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": null, "tool_calls": calls },
        { "role": "tool", "tool_call_id": "toolu_1", "content": "rain" },
    ]);
    provider.does(says(json!([text("It rains.")]), "end_turn"));
    assert_eq!(said(&program.send(&[], body).await.is(200)), "It rains.");
    let asked = provider.last_asked().2;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    assert_eq!(asked["tools"], json!([{ "name": "get_weather", "input_schema": schema }]));
    let one = json!({ "type": "auto", "disable_parallel_tool_use": true });
    assert_eq!((&asked["tool_choice"], &asked["stop_sequences"]), (&one, &json!(["END"])));
    let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": { "city": "Paris" } });
    let result =
        json!({ "type": "tool_result", "tool_use_id": "toolu_1", "content": [text("rain")] });
    let messages = json!([
        { "role": "user", "content": [text("hi")] },
        { "role": "assistant", "content": [call] },
        { "role": "user", "content": [result] },
    ]);
    assert_eq!(asked["messages"], messages);
}

#[tokio::test]
async fn answers_to_be_continued_end_without_white_space() {
    let (provider, program) = asked().await;
    let mut body = offering("hi");
    body["messages"] = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": "The answer is \n" },
    ]);
    program.send(&[], body).await.is(200);
    let messages = provider.last_asked().2["messages"].clone();
    assert_eq!(messages[1]["content"], json!([text("The answer is")]));
}

#[tokio::test]
async fn streamed_calls_arrive_in_pieces() {
    let (provider, program) = asked().await;
    let part = |json: &str| delta(json!({ "type": "input_json_delta", "partial_json": json }));
    let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {} });
    let stop = event(&json!({ "type": "content_block_stop", "index": 0 }));
    let whole = vec![start(call.clone()), part("{\"city\": "), part("\"Paris\"}"), stop.clone()];
    let bare = vec![start(call), part(""), stop];
    for (pieces, arguments) in [(whole, "{\"city\": \"Paris\"}"), (bare, "{}")] {
        provider.does(Does::Streams([pieces, vec![ends("tool_use")]].concat()));
        let mut body = offering("hi");
        body["stream"] = json!(true);
        let chunks = data(&program.send(&[], body).await);
        let calls = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
        let parts = calls.filter_map(|call| call["function"]["arguments"].as_str());
        assert_eq!(parts.collect::<String>(), arguments);
    }
}

#[tokio::test]
async fn pictures_are_sent_as_data_or_by_url() {
    let (provider, program) = asked().await;
    let picture = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    let mut body = asking("hi");
    body["messages"][0]["content"] =
        json!([picture("data:image/jpg;base64,aGVsbG8="), picture("https://example.com/a.png")]);
    program.send(&[], body).await.is(200);
    let data = json!({ "type": "base64", "media_type": "image/jpeg", "data": "aGVsbG8=" });
    let url = json!({ "type": "url", "url": "https://example.com/a.png" });
    let content = &provider.last_asked().2["messages"][0]["content"];
    let images = [data, url].map(|source| json!({ "type": "image", "source": source }));
    assert_eq!(content, &json!(images));
}

/// A response format with this schema.
fn of_schema(schema: &Value) -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "days", "schema": schema } })
}

#[tokio::test]
async fn formats_become_a_function_if_the_model_lacks_them() {
    let (provider, program) = asked().await;
    let days = json!({ "type": "array", "items": { "type": "string" } });
    provider.does(says(json!([text(r#"["Monday"]"#)]), "end_turn"));
    let completion = program.send(&[], formatted(of_schema(&days))).await.is(200);
    assert_eq!(said(&completion), r#"["Monday"]"#);
    let format = json!({ "type": "json_schema", "schema": days });
    assert_eq!(provider.last_asked().2["output_config"], json!({ "format": format }));

    let unsupported = "output_config.format: Extra inputs are not permitted";
    let call =
        |input: Value| json!([{ "type": "tool_use", "id": "a", "name": "days", "input": input }]);
    let answer = message(call(json!({ "answer": ["Monday"] })), "tool_use");
    provider.does(Does::Refuses(
        "output_config",
        error("invalid_request_error", unsupported),
        answer,
    ));
    let completion = program.send(&[], formatted(of_schema(&days))).await.is(200);
    assert_eq!((said(&completion), provider.times_asked()), (r#"["Monday"]"#, 3));
    let asked = provider.last_asked().2;
    let takes =
        json!({ "type": "object", "properties": { "answer": days }, "required": ["answer"] });
    let function = json!([{ "name": "days", "description": "Takes the whole answer.", "input_schema": takes }]);
    assert_eq!(
        (&asked["tools"], &asked["tool_choice"]),
        (&function, &json!({ "type": "tool", "name": "days" }))
    );

    // The model can't be forced to call the function either.
    let any_object = json!({ "type": "json_object" });
    let words = "Thinking may not be enabled when tool_choice forces tool use.";
    provider.does(Does::Says(400, error("invalid_request_error", words)));
    let refused = program.send(&[], formatted(any_object)).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "response_format");

    provider.does(says(call(json!({ "rain": true })), "tool_use"));
    let any_object = json!({ "type": "json_object" });
    let completion = program.send(&[], formatted(any_object.clone())).await.is(200);
    assert_eq!(said(&completion), r#"{"rain":true}"#);
    let mut body = offering("hi");
    body["response_format"] = any_object;
    let refused = program.send(&[], body).await.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], "response_format");
}

#[tokio::test]
async fn refusals_name_the_field_of_the_request() {
    let (provider, program) = asked().await;
    let mut body = offering("hi");
    (body["temperature"], body["stop"]) = (json!(0.5), json!(["END"]));
    for (words, param) in [
        ("messages.0.content.0.text: a secret", "messages"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("stop_sequences: a secret", "stop"),
        ("tools.0.custom.name: a secret", "tools"),
        ("\"temperature\" is a secret", "temperature"),
        ("tool_choice 'any' is a secret", "tool_choice"),
        ("This model does not support assistant message prefill. A secret.", "messages"),
        ("Thinking may not be enabled when tool_choice forces tool use.", "tool_choice"),
        ("tool_choice: type 'tool' is not supported. A secret.", "tool_choice"),
    ] {
        provider.does(Does::Says(400, error("invalid_request_error", words)));
        let refused = program.send(&[], body.clone()).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], param, "{words}");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
    for (status, kind, words) in [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        (413, "request_too_large", "Request exceeds the maximum size"),
    ] {
        provider.does(Does::Says(status, error(kind, words)));
        program.send(&[], body.clone()).await.expect(400, "context_length_exceeded");
    }
    provider.does(Does::Says(400, error("invalid_request_error", "max_tokens: too many")));
    program.send(&[], body).await.expect(502, "ai_failed");
}

#[tokio::test]
async fn filtered_answers_keep_their_text_for_programs() {
    let (provider, program) = asked().await;
    for (content, text) in [(json!([text("Well,")]), "Well,"), (json!([]), "")] {
        provider.does(says(content, "refusal"));
        let completion = program.send(&[], asking("hi")).await.is(200);
        let reason = &completion["choices"][0]["finish_reason"];
        assert_eq!((said(&completion), reason), (text, &json!("content_filter")));
    }
    provider.does(Does::Streams(vec![piece("Well,"), ends("refusal")]));
    let mut body = asking("hi");
    body["stream"] = json!(true);
    assert_eq!(words(&data(&program.send(&[], body).await)).concat(), "Well,");
}

/// Calls the provider without an API.
async fn answer(provider: &Provider, prompt: Prompt) -> shared::ai::Answer {
    let settings = Settings::new(|name| match name {
        "AI_PROVIDER" => Some("anthropic".to_owned()),
        "ANTHROPIC_BASE_URL" => Some(provider.url.clone()),
        "ANTHROPIC_MODEL" => Some("claude".to_owned()),
        "AI_MAX_TOKENS" => Some("4096".to_owned()),
        _ => None,
    });
    let ai = Ai::connect(AiConfig::read(&settings).unwrap(), &Clock::default()).await.unwrap();
    ai.answer(prompt, Duration::from_secs(10), None, pending()).await.unwrap()
}

#[tokio::test]
async fn thinking_is_returned_unchanged() {
    let provider = Provider::start().await;
    let thought = json!([
        { "type": "thinking", "thinking": "Hm.\n", "signature": "c2lnbmVk" },
        { "type": "redacted_thinking", "data": "aGlkZGVu" },
        { "type": "thinking", "thinking": "", "signature": "YWdhaW4=" },
    ]);
    let mut content = thought.clone();
    content.as_array_mut().unwrap().push(text("Hello."));
    provider.does(says(content, "end_turn"));
    let thinking = Some(Thinking::Enabled { budget: 2000 });
    let options = Options { thinking, effort: Some(Effort::High), ..Options::default() };
    let prompt = Prompt { options, temperature: Some(0.5), ..Prompt::after(vec![], "hi") };
    let first = answer(&provider, prompt).await;
    let asked = provider.last_asked().2;
    assert_eq!(asked["thinking"], json!({ "type": "enabled", "budget_tokens": 2000 }));
    assert_eq!(asked["output_config"], json!({ "effort": "high" }));
    assert!(asked.get("temperature").is_none(), "{asked}");

    let mut reasoning = first.reasoning.clone();
    reasoning.push(Reasoning { text: "Of another provider.".into(), ..Reasoning::default() });
    let turn = Turn { reasoning, ..Turn::new(Speaker::Assistant, first.text) };
    let turns = vec![Turn::new(Speaker::User, "hi"), turn];
    answer(&provider, Prompt::after(turns, "And?")).await;
    let mut expected = thought;
    expected.as_array_mut().unwrap().push(text("Hello."));
    assert_eq!(provider.last_asked().2["messages"][1]["content"], expected);
}

#[tokio::test]
async fn reasoning_of_other_providers_is_left_out_if_refused() {
    let provider = Provider::start().await;
    let words = "messages.1.content.0: Invalid `signature` in `thinking` block";
    let refusal = error("invalid_request_error", words);
    let hello = message(json!([text("Hello.")]), "end_turn");
    provider.does(Does::Refuses("thinking", refusal, hello));
    // Without the reasoning of this series of calls, Anthropic would also refuse the budget.
    let foreign = Some("of another server".to_owned());
    let reasoning = vec![Reasoning { text: "Hm.".into(), signature: foreign, encrypted: None }];
    let call = ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into() };
    let called = Turn { reasoning, calls: vec![call], ..Turn::new(Speaker::Assistant, "") };
    let result = Turn { answers: Some("a".into()), ..Turn::new(Speaker::Tool, "1") };
    let options =
        Options { thinking: Some(Thinking::Enabled { budget: 2000 }), ..Options::default() };
    let tool = Tool { name: "f".into(), ..Tool::default() };
    let turns = vec![Turn::new(Speaker::User, "hi"), called, result];
    let prompt = Prompt { turns, options, tools: vec![tool], ..Prompt::default() };
    assert_eq!(answer(&provider, prompt).await.text, "Hello.");
    assert_eq!(provider.times_asked(), 2);
    let asked = provider.last_asked().2;
    assert!(asked.get("thinking").is_none(), "{asked}");
    assert_eq!(asked["messages"][1]["content"][0]["type"], "tool_use");
}

#[tokio::test]
async fn a_length_that_agents_send_becomes_an_instruction() {
    let (provider, program) = asked().await;
    let mut body = asking("hi");
    for (verbosity, instructions) in [
        ("low", "Be kind.|Answer briefly."),
        ("medium", "Be kind."),
        ("high", "Be kind.|Answer in detail."),
    ] {
        body["verbosity"] = json!(verbosity);
        program.send(&[], body.clone()).await.is(200);
        let system = provider.last_asked().2["system"].clone();
        let texts = system.as_array().unwrap().iter().map(|block| block["text"].as_str().unwrap());
        assert_eq!(texts.collect::<Vec<_>>().join("|"), instructions, "{verbosity}");
    }
    let mut response = input("hi");
    response["text"] = json!({ "verbosity": "low" });
    let answer = program.responds(&[], response).await.is(200);
    assert_eq!(answer["text"]["verbosity"], "low");
    assert_eq!(provider.last_asked().2["system"][1]["text"], "Answer briefly.");
}

#[tokio::test]
async fn parameters_that_anthropic_lacks_are_refused() {
    let (provider, program) = asked().await;
    for (field, value) in [
        ("seed", json!(7)),
        ("min_p", json!(0.5)),
        ("presence_penalty", json!(1)),
        ("frequency_penalty", json!(-1)),
        ("repetition_penalty", json!(1.5)),
        ("logit_bias", json!({ "1": 1 })),
        ("web_search_options", json!({})),
    ] {
        let mut body = asking("hi");
        body[field] = value;
        let refused = program.send(&[], body).await.expect(400, "invalid_fields");
        assert_eq!(refused["error"]["param"], field);
    }
    assert_eq!(provider.times_asked(), 0);
    // Many clients always send penalties of zero.
    let mut body = asking("hi");
    (body["presence_penalty"], body["top_k"]) = (json!(0), json!(5));
    body["reasoning_effort"] = json!("none");
    program.send(&[], body).await.is(200);
    let asked = provider.last_asked().2;
    assert_eq!((&asked["top_k"], &asked["thinking"]["type"]), (&json!(5), &json!("disabled")));
}
