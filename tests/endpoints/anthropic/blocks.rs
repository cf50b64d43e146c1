//! Functions, pictures, documents and reasoning in `POST /v1/messages`, as providers get them.

use serde_json::{Value, json};

use crate::ai::providers::{Does, Provider, bedrock};
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::streams::{assembled, events};
use crate::support::client::Api;

/// The data of a picture.
const PICTURE: &str = "aGVsbG8h";

fn weather() -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!([{
        "name": "get_weather",
        "description": "Tells the weather.",
        "input_schema": city,
        "cache_control": { "type": "ephemeral" },
        "defer_loading": true,
        "eager_input_streaming": true,
    }])
}

fn image() -> Value {
    json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PICTURE } })
}

/// A request with these messages, and a function.
fn after(messages: Value) -> Value {
    with(with(asking("hi"), "messages", messages), "tools", weather())
}

/// The assistant's call of the function.
fn call(id: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "get_weather", "input": { "city": "Paris" }, "caller": { "type": "direct" } })
}

fn user(content: Value) -> Value {
    json!({ "role": "user", "content": content })
}

fn assistant(content: Value) -> Value {
    json!({ "role": "assistant", "content": content })
}

#[tokio::test]
async fn answers_contain_calls_with_their_arguments() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    let body = with(asking(r#"!call get_weather {"city": "Paris"}"#), "tools", weather());
    let message = client.send(&[], body).await.is(200);
    let block = &message["content"][0];
    assert_eq!(
        (&block["type"], &block["name"], &block["input"], &message["stop_reason"]),
        (
            &json!("tool_use"),
            &json!("get_weather"),
            &json!({ "city": "Paris" }),
            &json!("tool_use")
        )
    );
    let result =
        json!({ "type": "tool_result", "tool_use_id": block["id"], "content": "It rains." });
    // Agents send a blank text beside a result.
    for beside in [
        json!([]),
        json!([{ "type": "text", "text": "" }]),
        json!([{ "type": "text", "text": " \n" }]),
    ] {
        let content: Vec<&Value> =
            [&result].into_iter().chain(beside.as_array().unwrap()).collect();
        let body = after(json!([
            user(json!("How is the weather?")),
            assistant(json!([block])),
            user(json!(content)),
        ]));
        let message = client.send(&[], body).await.is(200);
        assert_eq!(message["content"][0]["text"], "You said: It rains.", "{beside}");
    }
    // Others send it in a message of its own.
    let body = after(json!([
        user(json!("How is the weather?")),
        assistant(json!([block])),
        user(json!([result])),
        user(json!(" ")),
    ]));
    let message = client.send(&[], body).await.is(200);
    assert_eq!(message["content"][0]["text"], "You said: It rains.");
}

#[tokio::test]
async fn servers_get_calls_results_and_their_pictures() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    provider.says("It is wet.");
    let reference = json!({ "type": "tool_reference", "tool_name": "get_weather" });
    let result = json!([{ "type": "text", "text": "It rains." }, image(), reference]);
    let failed = json!({ "type": "tool_result", "tool_use_id": "b", "is_error": true });
    let source = json!({ "type": "text", "media_type": "text/plain", "data": "Umbrellas." });
    let body = after(json!([
        user(json!("How is the weather?")),
        assistant(json!([{ "type": "text", "text": "Let me see." }, call("a"), call("b")])),
        user(json!([{ "type": "tool_result", "tool_use_id": "a", "content": result }])),
        user(json!([failed, { "type": "document", "source": source, "title": "Notes" }])),
    ]));
    client.send(&[], body).await.is(200);
    let (_, _, asked) = provider.last_asked();
    let messages = asked["messages"].as_array().unwrap();
    let (calls, results) = (&messages[2], &messages[3..5]);
    assert_eq!(calls["content"], "Let me see.");
    assert_eq!(calls["tool_calls"][0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert_eq!(results[0]["tool_call_id"], "a");
    assert_eq!(
        [&results[0]["content"], &results[1]["content"]],
        ["It rains.\nThe function get_weather is available.", "The call failed."]
    );
    assert_eq!(
        messages[5]["content"][1]["image_url"]["url"],
        format!("data:image/png;base64,{PICTURE}")
    );
    assert_eq!(messages[6]["content"], "Notes\nUmbrellas.");
    let tool = &asked["tools"][0]["function"];
    assert_eq!(
        (&tool["name"], &tool["parameters"]["type"]),
        (&json!("get_weather"), &json!("object"))
    );
}

#[tokio::test]
async fn documents_may_contain_pictures_or_nothing() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    provider.says("A cat.");
    let text = |text: &str| json!({ "type": "text", "text": text });
    let content = json!([text("Before."), image(), text("After.")]);
    let source = json!({ "type": "content", "content": content });
    let document = json!({ "type": "document", "source": source, "title": "Cats" });
    let empty = json!({ "type": "text", "media_type": "text/plain", "data": "" });
    let empty = json!({ "type": "document", "source": empty });
    let body = after(json!([user(json!([document, empty, text("What is it?")]))]));
    client.send(&[], body).await.is(200);
    let (_, _, asked) = provider.last_asked();
    let parts = asked["messages"][1]["content"].as_array().unwrap();
    let kinds: Vec<&str> = parts.iter().map(|part| part["type"].as_str().unwrap()).collect();
    let is_of_texts = |part: &Value| part["text"].as_str().map(str::to_owned);
    let texts: Vec<String> = parts.iter().filter_map(is_of_texts).collect();
    assert!(kinds.contains(&"image_url"), "{asked}");
    let texts = texts.join("\n");
    let place = |word: &str| texts.find(word).unwrap_or_else(|| panic!("{word} in {texts}"));
    assert!(place("Cats") < place("Before.") && place("After.") < place("What is it?"));
    let nested = json!({ "type": "content", "content": [document] });
    let body = after(json!([user(json!([{ "type": "document", "source": nested }]))]));
    client.send(&[], body).await.expect_anthropic(400);
}

#[tokio::test]
async fn many_tools_and_long_names_reach_only_some_providers() {
    let provider = Provider::start().await;
    let name = format!("mcp__{}", "f".repeat(123));
    let tool = |name: &str| json!({ "name": name, "input_schema": { "type": "object" } });
    let tools = |count: usize| {
        let many = (0..count).map(|number| tool(&format!("f{number}"))).collect::<Vec<_>>();
        with(asking("hi"), "tools", json!(many))
    };
    let long = || with(asking("hi"), "tools", json!([tool(&name)]));
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    provider.says("Hello.");
    client.send(&[], tools(512)).await.is(200);
    assert_eq!(provider.last_asked().2["tools"].as_array().unwrap().len(), 512);
    client.send(&[], tools(513)).await.expect_anthropic(400);
    client.send(&[], long()).await.is(200);
    assert_eq!(provider.last_asked().2["tools"][0]["function"]["name"], name.as_str());

    let words = "Invalid 'tools[0].function.name': string too long.";
    provider.does(Does::Says(400, json!({ "error": { "message": words } })));
    let of_server = client.send(&[], long()).await.expect_anthropic(400);
    let times = provider.times_asked();
    let converse = bedrock(&provider, "").await;
    let ben = Client::of(&converse.person("ben").await).await;
    let of_bedrock = ben.send(&[], long()).await.expect_anthropic(400);
    assert_eq!(provider.times_asked(), times, "refused before the call");
    for refused in [of_server, of_bedrock] {
        let sentence = refused["error"]["message"].as_str().unwrap();
        assert!(sentence.contains("names with at most 64 characters"), "{sentence}");
    }
}

#[tokio::test]
async fn parameters_reach_the_provider() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    provider.says("{}");
    let schema = json!({ "type": "object", "properties": { "b": {}, "a": {} } });
    let mut body = with(asking("hi"), "tools", weather());
    for (field, value) in [
        ("max_tokens", json!(50)),
        ("temperature", json!(0.25)),
        ("top_p", json!(0.5)),
        ("top_k", json!(40)),
        ("stop_sequences", json!(["END", ""])),
        ("tool_choice", json!({ "type": "any", "disable_parallel_tool_use": true })),
        (
            "output_config",
            json!({ "effort": "high", "format": { "type": "json_schema", "schema": schema } }),
        ),
    ] {
        body[field] = value;
    }
    client.send(&[], body).await.is(200);
    let (_, _, asked) = provider.last_asked();
    for (field, value) in [
        ("max_tokens", json!(50)),
        ("temperature", json!(0.25)),
        ("top_p", json!(0.5)),
        ("top_k", json!(40)),
        ("stop", json!(["END"])),
        ("tool_choice", json!("required")),
        ("parallel_tool_calls", json!(false)),
        ("reasoning_effort", json!("high")),
    ] {
        assert_eq!(asked[field], value, "{field}");
    }
    assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
}

#[tokio::test]
async fn calls_need_their_results_in_the_next_message() {
    let api = Api::start().await;
    let client = Client::of(&api.person("ann").await).await;
    let hi = || user(json!("hi"));
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "x" });
    let text = json!({ "type": "text", "text": "x" });
    for (messages, words) in [
        (json!([hi(), assistant(json!([call("a")]))]), "without `tool_result` blocks"),
        (json!([hi(), assistant(json!([call("a")])), hi()]), "without `tool_result` blocks"),
        (
            json!([hi(), assistant(json!([call("a")])), user(json!([text, result("a")]))]),
            "without `tool_result` blocks",
        ),
        (json!([hi(), user(json!([result("a")]))]), "unexpected `tool_use_id`"),
        (
            json!([hi(), assistant(json!([call("a"), call("a")])), user(json!([result("a")]))]),
            "Each call must have its own id.",
        ),
        (
            json!([hi(), assistant(json!([call("a")])), user(json!([result("a"), result("a")]))]),
            "each tool_use must have a single result",
        ),
        (
            json!([
                hi(),
                assistant(json!([call("a"), call("a")])),
                user(json!([result("a"), result("a")])),
            ]),
            "each tool_use must have a single result",
        ),
    ] {
        let refused = client.send(&[], after(messages)).await.expect_anthropic(400);
        let sentence = refused["error"]["message"].as_str().unwrap();
        assert!(sentence.contains(words), "{sentence}");
        assert!(!words.contains("single") || !sentence.contains("unexpected"), "{sentence}");
    }
}

#[tokio::test]
async fn reasoning_returns_to_the_provider_that_signed_it() {
    let provider = Provider::start().await;
    let usage = json!({ "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 });
    let reasoning = json!({ "reasoningText": { "text": "Hm.", "signature": "c2ln" } });
    let content = json!([{ "reasoningContent": reasoning }, { "text": "4" }]);
    let says = json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": "end_turn", "usage": usage, "metrics": { "latencyMs": 1 } });
    provider.does(Does::Says(200, says));
    let api = bedrock(&provider, "").await;
    let client = Client::of(&api.person("ann").await).await;
    let thinks = |body: Value| with(body, "thinking", json!({ "type": "adaptive" }));
    let message = client.send(&[], thinks(asking("2 + 2?"))).await.is(200);
    assert_eq!(
        message["content"][0],
        json!({ "type": "thinking", "thinking": "Hm.", "signature": "c2ln" })
    );
    let silent = client.send(&[], asking("2 + 2?")).await.is(200);
    assert_eq!(silent["content"][0]["type"], "text");

    let failed =
        json!({ "type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": true });
    let mut answer = message["content"].clone();
    answer.as_array_mut().unwrap().push(call("a"));
    let body = after(json!([user(json!("2 + 2?")), assistant(answer), user(json!([failed]))]));
    client.send(&[], thinks(body)).await.is(200);
    let (_, _, asked) = provider.last_asked();
    let messages = &asked["messages"];
    assert_eq!(messages[1]["content"][0]["reasoningContent"], reasoning);
    assert_eq!(messages[2]["content"][0]["toolResult"]["status"], "error");
}

#[tokio::test]
async fn an_effort_is_left_out_if_the_provider_lacks_it() {
    let provider = Provider::start().await;
    let effort = || with(asking("2 + 2?"), "output_config", json!({ "effort": "high" }));
    let usage = json!({ "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 });
    let message = json!({ "role": "assistant", "content": [{ "text": "4" }] });
    let says = json!({ "output": { "message": message }, "stopReason": "end_turn", "usage": usage, "metrics": { "latencyMs": 1 } });
    provider.does(Does::Says(200, says));
    let api = bedrock(&provider, "").await;
    let client = Client::of(&api.person("ann").await).await;
    let thinks = with(effort(), "thinking", json!({ "type": "adaptive" }));
    client.send(&[], thinks).await.is(200);
    assert_eq!(provider.last_asked().2.get("additionalModelRequestFields"), None);
    let refused = client.send(&[], with(effort(), "top_k", json!(5))).await.expect_anthropic(400);
    let sentence = refused["error"]["message"].as_str().unwrap();
    assert!(sentence.starts_with("top_k: "), "{sentence}");

    // Only the server's reply shows that it doesn't have the parameter.
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    let error = json!({ "message": "Unknown parameter.", "param": "reasoning_effort" });
    let answer = json!({ "choices": [{ "message": { "content": "4" }, "finish_reason": "stop" }] });
    provider.does(Does::Refuses("reasoning_effort", json!({ "error": error }), answer));
    let message = client.send(&[], effort()).await.is(200);
    assert_eq!(message["content"][0]["text"], "4");
    assert_eq!(provider.last_asked().2.get("reasoning_effort"), None);
}

#[tokio::test]
async fn a_models_refusal_is_the_content_and_the_stop_reason() {
    let provider = Provider::start().await;
    let api = provider.api("").await;
    let client = Client::of(&api.person("ann").await).await;
    let message = json!({ "content": null, "refusal": "I can't." });
    let whole = json!({ "choices": [{ "message": message, "finish_reason": "stop" }] });
    provider.does(Does::Says(200, whole));
    for streamed in [false, true] {
        let answer = client.send(&[], with(asking("hi"), "stream", json!(streamed))).await;
        let message = match streamed {
            true => assembled(&events(&answer)),
            false => answer.is(200),
        };
        let text = json!([{ "type": "text", "text": "I can't.", "citations": null }]);
        assert_eq!((&message["content"], &message["stop_reason"]), (&text, &json!("refusal")));
        assert_eq!(message["stop_details"]["type"], "refusal");
    }
}
