//! `POST /v1/responses`, as the clients of OpenAI's Responses API use it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider};
use crate::endpoints::openai::completions::{Program, asking, said, weather};
use crate::support::client::{Answer, Api, GRANT, PRICE};
use crate::support::log;

pub const PATH: &str = "/v1/responses";

const PARIS: &str = r#"{"city": "Paris"}"#;

impl Program {
    /// Sends a request to `/v1/responses`.
    pub async fn responds(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.api.send(Method::POST, PATH, &headers, Some(body)).await
    }

    /// Sends a request to `/v1/responses` as an SDK does after `count` earlier attempts.
    async fn tries_to_respond(&self, count: u32, body: Value) -> Answer {
        self.responds(&[("x-stainless-retry-count", &count.to_string())], body).await
    }
}

pub fn input(input: impl Into<Value>) -> Value {
    json!({ "model": "gpt-4o", "input": input.into() })
}

/// A function that a request offers to the model.
pub fn tool() -> Value {
    let mut tool = weather()["function"].clone();
    tool["type"] = json!("function");
    tool
}

/// A request that the scripted AI answers with a function call.
pub fn in_paris() -> Value {
    let mut body = input(format!("!call get_weather {PARIS}"));
    body["tools"] = json!([tool()]);
    body
}

/// The text of a call of [`patch_tool`].
pub const PATCH: &str = "*** Begin Patch\n+\"Hello!\"\n";

/// A custom tool that a request offers to the model, with a grammar.
fn patch_tool() -> Value {
    let format = json!({ "type": "grammar", "syntax": "lark", "definition": "start: \"a\"" });
    json!({ "type": "custom", "name": "apply_patch", "description": "Edits files.", "format": format })
}

/// A request that the scripted AI answers with a call of a custom tool.
pub fn patching() -> Value {
    let mut body = input(format!("!call apply_patch {}", json!({ "input": PATCH })));
    body["tools"] = json!([patch_tool()]);
    body
}

/// Returns the text of a response that consists of one item.
pub fn text(response: &Value) -> &str {
    let content = &response["output"][0]["content"];
    assert_eq!(response["output"].as_array().unwrap().len(), 1, "{response}");
    content[0]["text"].as_str().unwrap_or_else(|| panic!("{response}"))
}

/// Asserts that the request is refused because of this field. Returns the error message.
fn is_refused(answer: Answer, param: &str) -> String {
    let refused = answer.expect(400, "invalid_fields");
    assert_eq!(refused["error"]["param"], param, "{refused}");
    refused["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn responses_cost_a_chat_and_appear_in_all_lists() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = input("hi");
    body["store"] = json!(true);
    body["include"] = json!(["reasoning.encrypted_content"]);
    body["reasoning"] = json!({ "effort": "low", "summary": "auto" });
    body["text"] = json!({ "verbosity": "low" });
    let answer = program.responds(&[], body).await;
    assert!(answer.headers.contains_key("ratelimit"), "{answer:?}");
    let mut response = answer.is(200);
    let kept = ann.history("").await.is(200)[0].clone();
    let id = kept["id"].as_str().unwrap();
    assert!(response["created_at"].take().as_u64().unwrap() > 1_700_000_000);
    let content = json!([{ "type": "output_text", "text": "You said: hi", "annotations": [], "logprobs": [] }]);
    let expected = json!({
        "id": format!("resp_{id}"),
        "object": "response",
        "created_at": null,
        "status": "completed",
        "error": null,
        "incomplete_details": null,
        "model": "scripted",
        "output": [{ "id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant", "content": content }],
        "usage": {
            "input_tokens": 1, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
            "output_tokens": 3, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 4,
        },
        "store": false,
        "previous_response_id": null,
        "truncation": "disabled",
        "reasoning": { "effort": "low", "summary": "auto" },
        "text": { "format": { "type": "text" }, "verbosity": "low" },
        "instructions": null,
        "max_output_tokens": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "user": null,
    });
    assert_eq!(response, expected);
    let fields = ["message", "response", "tokens_deducted", "conversation_id"]
        .map(|field| kept[field].clone());
    assert_eq!(fields, [json!("hi"), json!("You said: hi"), json!(PRICE), Value::Null]);
    assert_eq!(ann.get("/api/user/ledger/").await.is(200)[0]["chat_id"], kept["id"]);
    assert_eq!(ann.get("/api/user/export/").await.is(200)["chats"][0]["id"], kept["id"]);
    let person = Program { api: api.clone(), key: ann.access.clone() };
    person.responds(&[], input("hi")).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn items_follow_the_instructions_and_are_echoed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let mut body = input(json!([
        { "role": "developer", "content": "Be kind." },
        { "type": "message", "role": "system", "content": "" },
        { "role": "user", "content": "I am Ann." },
        { "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" },
        { "type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part("Hello,"), part("Ann.")] },
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "!recall" }] },
    ]));
    let asked = json!({
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "metadata": { "topic": "names", "a": "" },
        "parallel_tool_calls": false,
        "temperature": 0.5,
        "tool_choice": { "type": "allowed_tools", "mode": "none", "tools": [{ "type": "function", "name": "get_weather" }] },
        "top_p": 0.25,
        "user": "ann",
    });
    for (field, value) in asked.as_object().unwrap() {
        body[field] = value.clone();
    }
    body["tools"] = json!([tool()]);
    let response = program.responds(&[], body).await.is(200);
    assert_eq!(
        text(&response),
        "system: Be brief.\nsystem: Be kind.\nuser: I am Ann.\nassistant: Hello,\nAnn.\nuser: !recall"
    );
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(response[field], *value, "{field}");
    }
    let mut offered = tool();
    (offered["description"], offered["strict"]) = (Value::Null, Value::Null);
    assert_eq!(response["tools"], json!([offered]));
    assert_eq!(ann.history("").await.is(200)[0]["message"], "!recall");
}

#[tokio::test]
async fn unsupported_fields_are_refused_by_name_for_free() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let said = |role: &str, content: Value| json!([{ "role": role, "content": content }]);
    let format = |format: Value| json!({ "format": format });
    let many: Value = (0..17).map(|number| (number.to_string(), json!(""))).collect();
    for (param, value) in [
        ("input", Value::Null),
        ("input", json!(7)),
        ("input", json!([])),
        ("input", json!(" ")),
        ("input", said("assistant", json!("hi"))),
        ("input", said("user", json!(" "))),
        ("input[0].role", said("parrot", json!("hi"))),
        ("input[0].role", json!([{ "content": "hi" }])),
        ("input[0].role", json!([{ "role": 7, "content": "hi" }])),
        ("input[0].content", json!([{ "role": "user" }])),
        ("input[0].content", said("user", json!(7))),
        ("input[0].content", said("user", json!([{ "type": "input_file", "file_id": "f" }]))),
        ("input[0].content", said("user", json!([{ "type": "input_image", "file_id": "f" }]))),
        ("input[0].type", json!([{ "type": "web_search_call", "id": "ws_1" }])),
        ("input[0].name", json!([{ "type": "function_call", "call_id": "a" }])),
        ("input[0].call_id", json!([{ "type": "function_call", "name": "f" }])),
        ("input[0].call_id", json!([{ "type": "custom_tool_call", "name": "f", "input": "" }])),
        ("input[0].call_id", json!([{ "type": "custom_tool_call_output", "call_id": "a" }])),
        ("background", json!(true)),
        ("conversation", json!("conv_1")),
        ("conversation", json!({ "id": "conv_1" })),
        ("previous_response_id", json!("resp_1")),
        ("prompt", json!({ "id": "pmpt_1" })),
        ("tools[0].type", json!([{ "type": "web_search", "filters": {} }])),
        ("tools[0].name", json!([{ "type": "function" }])),
        ("tools[0].name", json!([{ "type": "custom" }])),
        ("tools[0].name", json!([{ "type": "custom", "name": "a b" }])),
        (
            "tools[0].format",
            json!([{ "type": "custom", "name": "a", "format": { "type": "grammar", "syntax": "ebnf", "definition": "" } }]),
        ),
        ("tools", json!([{ "type": "custom", "name": "a" }, { "type": "function", "name": "a" }])),
        ("tools[0].name", json!([{ "type": "function", "name": "a b" }])),
        ("tools[0].parameters", json!([{ "type": "function", "name": "a", "parameters": [] }])),
        ("tool_choice", json!("required")),
        ("tool_choice", json!("perhaps")),
        ("tool_choice", json!({ "type": "function", "name": "a" })),
        ("tool_choice", json!({ "type": "web_search" })),
        ("tool_choice", json!({ "type": "custom", "name": "a" })),
        ("tool_choice", json!({ "type": "function", "name": "a", "mode": "x".repeat(65) })),
        (
            "tool_choice",
            json!({ "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "x".repeat(65) }] }),
        ),
        ("temperature", json!(2.1)),
        ("top_p", json!(-0.1)),
        ("max_output_tokens", json!(0)),
        ("user", json!("x".repeat(513))),
        ("metadata", many),
        ("metadata", json!({ "a": "x".repeat(513) })),
        ("metadata.a", json!({ "a": 7 })),
        ("text.format.type", format(json!({ "type": "yaml" }))),
        ("text.format.name", format(json!({ "type": "json_schema", "schema": {} }))),
        ("text.format.name", format(json!({ "type": "json_schema", "name": "a b" }))),
        ("text.format.schema", format(json!({ "type": "json_schema", "name": "a", "schema": [] }))),
    ] {
        let mut body = input("hi");
        body[param.split(['[', '.']).next().unwrap()] = value;
        let sentence = is_refused(program.responds(&[], body).await, param);
        assert!(sentence.starts_with(&format!("{param}: ")), "{sentence}");
        assert!(!sentence.contains("untagged"), "{sentence}");
    }
    let mut body = input("hi");
    for field in ["conversation", "previous_response_id", "prompt", "tools", "text", "metadata"] {
        body[field] = Value::Null;
    }
    body["background"] = json!(false);
    program.responds(&[], body).await.is(200);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn responses_echo_no_long_text_but_the_prompt() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = input("hi");
    body["stream"] = json!(true);
    body["user"] = json!("x".repeat(1_900_000));
    is_refused(program.responds(&[], body.clone()).await, "user");
    body["user"] = json!("\u{20ac}".repeat(512));
    // A function that `tool_choice` excludes isn't part of the prompt.
    let mut long = tool();
    long["description"] = json!("x".repeat(1_900_000));
    body["tools"] = json!([long]);
    body["tool_choice"] = json!({ "type": "allowed_tools", "mode": "auto", "tools": [] });
    let reply = program.responds(&[], body).await.is(200).to_string();
    assert!(reply.contains(&"\u{20ac}".repeat(512)), "it repeats a short one");
    assert!(reply.len() < 20_000, "{} bytes", reply.len());
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn previous_response_ids_are_refused_first() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    // Clients that rely on stored responses send only the result of a call.
    let mut body =
        input(json!([{ "type": "function_call_output", "call_id": "call_1", "output": "21" }]));
    for (field, value) in
        [("previous_response_id", json!("resp_1")), ("conversation", json!("conv_1"))]
    {
        body[field] = value;
        let sentence = is_refused(program.responds(&[], body.clone()).await, field);
        assert!(
            sentence.contains("the whole conversation") && sentence.contains("`store: false`"),
            "{sentence}"
        );
        body[field] = Value::Null;
    }
    is_refused(program.responds(&[], body).await, "input[0].call_id");
}

#[tokio::test]
async fn codex_retries_are_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let turn = |turn: &str| json!({ "session_id": "s", "turn_id": turn }).to_string();
    let (one, other) = (
        turn("01a20f2e-df49-7d50-9892-dddfbb391acf"),
        turn("01a20f2e-e15f-70e1-9be7-2e3f9dde10df"),
    );
    let sent = async |metadata: &str, message: &str| {
        let headers = [("x-codex-turn-metadata", metadata)];
        let answer = program.responds(&headers, input(message)).await;
        (answer.is_replay(), answer.is(200)["id"].clone())
    };
    let (_, first) = sent(&one, "hi").await;
    assert_eq!(sent(&one, "hi").await, (true, first.clone()));
    assert_eq!(ann.balance().await, GRANT - PRICE);
    // Codex also sends its metadata in the body, with its fields in any order.
    for client_metadata in [json!({ "a": "1" }), json!({ "b": "2" })] {
        let mut body = input("hi");
        body["client_metadata"] = client_metadata;
        let answer = program.responds(&[("x-codex-turn-metadata", one.as_str())], body).await;
        assert_eq!(answer.is(200)["id"], first);
    }
    // These requests aren't retries: a different request in the same turn, the same request in a
    // different turn, and the same request from another account.
    let (is_replay, next) = sent(&one, "ho").await;
    assert!(!is_replay && next != first);
    assert!(!sent(&other, "hi").await.0);
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    let ben = Program::of(&api.person("ben").await).await;
    let headers = [("x-codex-turn-metadata", one.as_str())];
    assert_ne!(ben.responds(&headers, input("hi")).await.is(200)["id"], first);
    // A repeated request counts as a retry only if its metadata has Codex's form. An
    // `Idempotency-Key` takes precedence over the metadata.
    for metadata in ["{}", "01a20f2e", "{\"turn_id\": \"1\"}"] {
        assert!(!sent(metadata, "hi").await.0, "{metadata}");
        assert!(!sent(metadata, "hi").await.0, "{metadata}");
    }
    let with_key = |key| [("x-codex-turn-metadata", one.as_str()), ("idempotency-key", key)];
    let keyed = program.responds(&with_key("k1"), input("hi")).await.is(200);
    assert_ne!(keyed["id"], first);
}

#[tokio::test]
async fn codex_retries_wait_for_the_first_answer() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let ann = api.person("ann").await;
    let turn = [("x-codex-turn-metadata", r#"{"turn_id":"01a20f2e-df49-7d50-9892-dddfbb391acf"}"#)];
    let body = input("!slow 4000");
    let running = tokio::spawn({
        let (program, body) = (Program::of(&ann).await, body.clone());
        async move { program.responds(&turn, body).await.is(200) }
    });
    ann.is_waiting().await;
    let program = Program::of(&ann).await;
    let answer = program.responds(&turn, body.clone()).await;
    assert_eq!(answer.header("retry-after"), "10");
    answer.expect(409, "idempotency_key_running");
    let first = running.await.unwrap();
    assert_eq!(program.responds(&turn, body).await.is(200)["id"], first["id"]);
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn failures_are_openai_errors_and_free() {
    log::clear();
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    for (message, status, code) in [
        ("!fail", 502, "ai_failed"),
        ("!overloaded", 503, "ai_overloaded"),
        ("!hang", 504, "ai_timed_out"),
    ] {
        program.responds(&[], input(message)).await.expect(status, code);
    }
    ann.has_left(PRICE - 1).await;
    program.responds(&[], input("hi")).await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, PRICE - 1);
    assert_eq!(ann.history("").await.is(200), json!([]));
    let stranger = Program { api: api.clone(), key: format!("sk-{}", "x".repeat(76)) };
    stranger.responds(&[], input("hi")).await.expect(401, "invalid_api_key");
    let id = ann.api_keys().await[0]["id"].as_str().unwrap().to_owned();
    ann.revokes(&id).await.is(200);
    program.responds(&[], input("hi")).await.expect(401, "invalid_api_key");
    assert!(!log::text().contains(&program.key[36..]), "no key is in a log");
}

#[tokio::test]
async fn responses_with_calls_are_charged_once_and_replayed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let first = program.tries_to_respond(0, in_paris()).await;
    let again = program.tries_to_respond(1, in_paris()).await;
    assert!(!first.is_replay() && again.is_replay());
    let first = first.is(200);
    assert_eq!(again.is(200), first);
    let call = &first["output"][0];
    let id = first["id"].as_str().unwrap().strip_prefix("resp_").unwrap();
    assert!(call["call_id"].as_str().unwrap().starts_with("call_"), "{call}");
    assert_eq!(
        *call,
        json!({
            "id": format!("fc_{id}_0"), "type": "function_call", "status": "completed",
            "call_id": call["call_id"], "name": "get_weather", "arguments": PARIS,
        })
    );
    assert_eq!(first["output"].as_array().unwrap().len(), 1, "no empty message");

    let mut body = in_paris();
    body["input"] = json!([
        { "role": "user", "content": "How is the weather?" },
        call,
        { "type": "function_call_output", "call_id": call["call_id"], "output": "It rains." },
    ]);
    let second = program.responds(&[], body.clone()).await.is(200);
    assert_eq!(text(&second), "You said: It rains.");
    body["input"][2]["output"] = json!([{ "type": "input_text", "text": "It snows." }]);
    assert_eq!(text(&program.responds(&[], body).await.is(200)), "You said: It snows.");

    let history = ann.history("").await.is(200);
    let texts = |chat: &Value| (chat["message"].clone(), chat["response"].clone());
    assert_eq!(history[2]["response"], format!("Calls get_weather({PARIS})"));
    let asked = "How is the weather?\n\n(Results of calls: 1)";
    assert_eq!(texts(&history[1]), (json!(asked), json!("You said: It rains.")));
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn custom_calls_are_items_and_get_their_outputs() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = patching();
    body["tool_choice"] = json!({ "type": "custom", "name": "apply_patch" });
    let first = program.tries_to_respond(0, body.clone()).await.is(200);
    let again = program.tries_to_respond(1, body.clone()).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    assert_eq!(first["tools"], json!([patch_tool()]));
    assert_eq!(first["tool_choice"], body["tool_choice"]);
    let call = &first["output"][0];
    let id = first["id"].as_str().unwrap().strip_prefix("resp_").unwrap();
    assert_eq!(
        first["output"],
        json!([{
            "id": format!("ctc_{id}_0"), "type": "custom_tool_call", "status": "completed",
            "call_id": call["call_id"], "name": "apply_patch", "input": PATCH,
        }])
    );

    body["tool_choice"] = json!("auto");
    body["input"] = json!([
        { "role": "user", "content": "Edit it." },
        call,
        { "type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Done." },
    ]);
    assert_eq!(text(&program.responds(&[], body).await.is(200)), "You said: Done.");
    let called = format!("Calls apply_patch({})", json!({ "input": PATCH }));
    assert_eq!(ann.history("").await.is(200)[1]["response"], called);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn calls_and_outputs_must_match() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let call = |id: &str| json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" });
    let output = |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "1" });
    let says = |role: &str| json!({ "role": role, "content": "hi" });
    let none = "No tool output found for function call";
    for (param, sentence, items) in [
        ("input[1].call_id", none, json!([says("user"), call("a")])),
        ("input[2].call_id", none, json!([says("user"), call("a"), call("b"), output("a")])),
        ("input[1].call_id", none, json!([says("user"), call("a"), says("user"), output("a")])),
        ("input[2].call_id", "an id of its own", json!([says("user"), call("a"), call("a")])),
        ("input[1].call_id", "No function_call", json!([says("user"), output("a")])),
        (
            "input[3].call_id",
            "No function_call",
            json!([says("user"), call("a"), output("a"), output("a")]),
        ),
        (
            "input[2].output",
            "required",
            json!([says("user"), call("a"), { "type": "function_call_output", "call_id": "a" }]),
        ),
    ] {
        let answer = program.responds(&[], input(items)).await;
        let refused = answer.expect(400, "invalid_fields");
        let said = refused["error"]["message"].as_str().unwrap();
        // If several fields are invalid, the reply names the first one.
        let told = refused["error"]["param"].as_str().unwrap();
        assert!(told == param && said.contains(sentence) || told < param, "{refused}");
    }
    // Clients may send calls and outputs in any of these orders.
    for items in [
        json!([says("user"), call("a"), call("b"), output("b"), output("a"), says("user")]),
        json!([says("user"), call("a"), output("a"), call("b"), output("b")]),
        json!([says("user"), call("a"), says("assistant"), output("a")]),
        json!([says("user"), says("assistant"), call("a"), { "type": "reasoning", "summary": [] }, output("a")]),
        json!([says("user"), call("a"), output("a"), call("a"), output("a")]),
    ] {
        program.responds(&[], input(items)).await.is(200);
    }
    assert_eq!(ann.balance().await, GRANT - 5 * PRICE);
}

#[tokio::test]
async fn providers_get_the_same_request_as_for_a_completion() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    provider.says(r#"{"rain": true}"#);
    let schema = json!({ "type": "object", "properties": { "rain": { "type": "boolean" } } });
    let named = json!({ "name": "weather", "schema": schema, "strict": true });
    let mut format = named.clone();
    format["type"] = json!("json_schema");
    let picture = |url: &str| json!({ "type": "input_image", "image_url": url, "detail": "low" });
    let drawn = "data:image/png;base64,aGVsbG8=";
    let linked = "https://example.com/cat.png?key=secret";
    let shown =
        json!([{ "type": "input_text", "text": "And this?" }, picture(drawn), picture(linked)]);
    let call = json!({ "type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": PARIS });
    let mut body = in_paris();
    body["input"] = json!([
        { "role": "user", "content": "How is the weather?" },
        call,
        { "role": "assistant", "content": "Let me look." },
        { "type": "function_call_output", "call_id": "call_1", "output": "It rains." },
        { "role": "user", "content": shown },
    ]);
    body["text"] = json!({ "format": format });
    body["tool_choice"] = json!({ "type": "function", "name": "get_weather" });
    body["max_output_tokens"] = json!(20);
    let response = program.responds(&[], body.clone()).await.is(200);
    assert_eq!(text(&response), r#"{"rain": true}"#);
    assert_eq!(response["text"]["format"], format);
    let asked = provider.last_asked().2;
    let function = json!({ "name": "get_weather", "arguments": PARIS });
    let image =
        |url: &str| json!({ "type": "image_url", "image_url": { "url": url, "detail": "low" } });
    assert_eq!(
        asked["messages"],
        json!([
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": "How is the weather?" },
            { "role": "assistant", "content": "Let me look.", "tool_calls": [{ "id": "call_1", "type": "function", "function": function }] },
            { "role": "tool", "content": "It rains.", "tool_call_id": "call_1" },
            { "role": "user", "content": [{ "type": "text", "text": "And this?" }, image(drawn), image(linked)] },
        ])
    );
    assert_eq!(asked["tools"], json!([weather()]));
    let chosen = json!({ "type": "function", "function": { "name": "get_weather" } });
    assert_eq!((&asked["tool_choice"], &asked["max_tokens"]), (&chosen, &json!(20)));
    assert_eq!(asked["response_format"], json!({ "type": "json_schema", "json_schema": named }));
    let kept = ann.history("").await.is(200)[0]["message"].clone();
    assert_eq!(kept, "And this?\n[a picture: png, 1 KB]\n[a picture from example.com]");
    let items = json!(api.items(&ann.id).await).to_string();
    assert!(!items.contains("aGVsbG8=") && !items.contains("key=secret"), "{items}");

    // If a provider refuses a request, the client's reply uses this API's field names, and doesn't
    // repeat the wording of the provider's message.
    for (words, param) in [
        (
            "'response_format' of type 'json_schema' is not supported with this model.",
            "text.format",
        ),
        ("'messages' must contain the word 'json' in some form.", "input"),
        ("This model does not support image input: a secret", "input"),
    ] {
        provider.does(Does::Says(400, json!({ "error": { "message": words } })));
        let sentence = is_refused(program.responds(&[], body.clone()).await, param);
        assert!(sentence.starts_with(param) && !sentence.contains("secret"), "{sentence}");
    }
    let words = "This model's maximum context length is 8192 tokens.";
    provider.does(Does::Says(400, json!({ "error": { "message": words } })));
    let refused = program.responds(&[], body).await.expect(400, "context_length_exceeded");
    assert_eq!(refused["error"]["param"], "input");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn text_only_providers_answer_or_refuse_by_field_name() {
    let api = Api::own(&[("AI_PROVIDER", "echo")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let mut body = input("hi");
    body["tools"] = json!([tool()]);
    assert_eq!(text(&program.responds(&[], body.clone()).await.is(200)), "You said: hi");
    body["tool_choice"] = json!("required");
    is_refused(program.responds(&[], body).await, "tools");
    let mut body = input("hi");
    body["text"] = json!({ "format": { "type": "json_object" } });
    is_refused(program.responds(&[], body.clone()).await, "text.format");
    body["text"] = json!({ "format": { "type": "text" } });
    program.responds(&[], body).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}

#[tokio::test]
async fn cut_answers_are_incomplete_with_a_reason() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let message = json!({ "content": "Once upon" });
    let choice = json!({ "message": message, "finish_reason": "length" });
    provider.does(Does::Says(200, json!({ "choices": [choice] })));
    for count in [0, 1] {
        let answer = program.tries_to_respond(count, input("Tell me a story.")).await;
        assert_eq!(answer.is_replay(), count == 1);
        let response = answer.is(200);
        assert_eq!(text(&response), "Once upon");
        assert_eq!((&response["status"], &response["error"]), (&json!("incomplete"), &Value::Null));
        assert_eq!(response["incomplete_details"], json!({ "reason": "max_output_tokens" }));
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn retried_responses_are_replayed_and_charged_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let keyed = async |key: &str, message: &str| {
        program.responds(&[("idempotency-key", key)], input(message)).await
    };
    let first = keyed("k1", "hi").await.is(200);
    let again = keyed("k1", "hi").await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), first);
    keyed("k1", "ho").await.expect(422, "idempotency_key_reused");
    assert_eq!(ann.balance().await, GRANT - PRICE);

    // Without an `Idempotency-Key`, the header with the retry count identifies a retry, but only of
    // the same kind of request.
    let mut both = asking("hi");
    both["input"] = json!("hi");
    let count = [("x-stainless-retry-count", "1")];
    let completion = program.send(&count, both.clone()).await;
    assert!(!completion.is_replay());
    assert_eq!(said(&completion.is(200)), "You said: hi");
    let response = program.responds(&count, both.clone()).await;
    assert!(!response.is_replay());
    let again = program.responds(&count, both).await;
    assert!(again.is_replay());
    assert_eq!(again.is(200), response.is(200));
    assert_eq!(ann.balance().await, GRANT - 3 * PRICE);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn hostile_histories_schemas_and_pictures_are_refused() {
    let api = Api::own(&[("PROMPT_LIMIT", "10000")]).await;
    let ann = api.person("ann").await;
    let program = Program::of(&ann).await;
    let call = |id: usize| json!({ "type": "function_call", "call_id": id.to_string(), "name": "f", "arguments": "" });
    let output = |id: usize| json!({ "type": "function_call_output", "call_id": id.to_string(), "output": "" });
    let user = || json!({ "role": "user", "content": "hi" });
    let with = |items: Vec<Value>| input(items.into_iter().chain([user()]).collect::<Value>());
    let is_refused = |answer: Answer, says: &str| {
        let refused = answer.expect(400, "invalid_fields").to_string();
        assert!(refused.contains(says), "{refused}");
    };
    let calls = with((0..10_000).map(call).collect());
    is_refused(program.responds(&[], calls).await, "at most 4096 items");
    let open = with((0..4095).map(call).collect());
    is_refused(program.responds(&[], open).await, "No tool output found for function call 0.");
    let alike = with((0..4094).map(|_| call(0)).chain([output(0)]).collect());
    is_refused(program.responds(&[], alike).await, "its own id");
    let long = "x".repeat(100_000);
    let unknown = json!({ "type": "function_call_output", "call_id": long, "output": "" });
    is_refused(program.responds(&[], with(vec![unknown])).await, "No function_call before");

    let mut offering = input("hi");
    let deep = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({ "not": inner }));
    for depth in [60, 1000] {
        offering["tools"] = json!([{ "type": "function", "name": "f", "parameters": deep(depth) }]);
        is_refused(program.responds(&[], offering.clone()).await, "50 levels");
    }
    offering["tools"] = (0..129).map(|_| tool()).collect();
    is_refused(program.responds(&[], offering).await, "at most 128 functions");

    let picture = |url: String| {
        with(vec![
            json!({ "role": "user", "content": [{ "type": "input_image", "image_url": url }] }),
        ])
    };
    let data = "AAAA".repeat(300_000);
    let broken = picture(format!("data:image/png;base64,{data}!"));
    is_refused(program.responds(&[], broken).await, "PNG, JPEG, GIF or WebP");
    let huge = picture(format!("data:image/png;base64,{data}{data}"));
    program.responds(&[], huge).await.expect(413, "body_too_large");
    let mut wordy = input("hi");
    wordy["instructions"] = json!("x".repeat(10_000));
    let refused = program.responds(&[], wordy).await.expect(400, "context_length_exceeded");
    assert_eq!(refused["error"]["param"], "input");
    assert_eq!(ann.balance().await, GRANT);

    // A large picture counts as much as a small one. A request may contain 60 calls with their
    // results.
    program.responds(&[], picture(format!("data:image/png;base64,{data}"))).await.is(200);
    let pairs = with((0..60).flat_map(|id| [call(id), output(id)]).collect());
    program.responds(&[], pairs).await.is(200);
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE);
}
