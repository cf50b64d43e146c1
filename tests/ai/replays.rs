//! The replay table: answers of every kind, from each provider's API and through each of our APIs
//! for programs. A retry gets the same answer, and when the client sends the answer back, the
//! provider gets its own blocks and ids.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::ai::anthropic::{says, text};
use crate::ai::providers::{Does, Provider, bedrock, done, frame, stop};
use crate::ai::response_formats::converse;
use crate::endpoints::anthropic::messages::{Client, with};
use crate::endpoints::anthropic::order::{anthropic, call, redacted, streamed, thinking};
use crate::endpoints::anthropic::streams;
use crate::endpoints::openai::completions::{Program, asking, data};
use crate::endpoints::openai::order::{assembled, blocks as interleaved};
use crate::endpoints::openai::responses::{PATCH, input};
use crate::portable::response_events::{events, whole};
use crate::support::client::{Answer, Api, Person};

/// An answer of a provider, in Anthropic's form.
struct Given {
    name: &'static str,
    blocks: Vec<Value>,
    reason: &'static str,
    /// True if `f` is a custom tool. Otherwise it is a function.
    is_custom: bool,
}

fn calls(ids: &[&str]) -> Vec<Value> {
    ids.iter().map(|id| call(id, &json!({ "x": 1 }))).collect()
}

/// The rows of the table.
fn answers() -> Vec<Given> {
    let given = |name, blocks, reason| Given { name, blocks, reason, is_custom: false };
    let hidden = vec![redacted("ZQ=="), text("Let me look."), call("toolu_1", &json!({}))];
    let patch = vec![call("toolu_1", &json!({ "input": PATCH }))];
    vec![
        given("a text", vec![text("Hello.")], "end_turn"),
        given("a refusal", vec![text("Not this.")], "refusal"),
        given("a call", calls(&["toolu_1"]), "tool_use"),
        given("calls with the same id or none", calls(&["a", "a", ""]), "tool_use"),
        given("calls with odd ids", calls(&["functions.f:0", "id_a"]), "tool_use"),
        given("redacted thinking", hidden, "tool_use"),
        given("interleaved thinking", interleaved().to_vec(), "tool_use"),
        Given { is_custom: true, ..given("a call of a custom tool", patch, "tool_use") },
    ]
}

/// A block's kind, and its text or the id of its call.
type Block = (&'static str, String);

/// For each kind of block in one of the APIs, where the text or the id is.
type Form = &'static [(&'static str, &'static str)];

const BLOCKS: Form = &[
    ("thinking", "/thinking"),
    ("redacted", "/data"),
    ("text", "/text"),
    ("call", "/id"),
    ("result", "/tool_use_id"),
];

const CONVERSE_BLOCKS: Form = &[
    ("thinking", "/reasoningContent/reasoningText/text"),
    ("redacted", "/reasoningContent/redactedContent"),
    ("text", "/text"),
    ("call", "/toolUse/toolUseId"),
    ("result", "/toolResult/toolUseId"),
];

const ITEMS: Form = &[
    ("thinking", "/summary/0/text"),
    ("redacted", "/encrypted_content"),
    ("text", "/content/0/text"),
    ("text", "/content/0/refusal"),
    ("call", "/call_id"),
];

fn block(of: &Value, form: Form) -> Block {
    let found = form.iter().find_map(|(kind, at)| Some((*kind, of.pointer(at)?.as_str()?)));
    let (kind, word) = found.unwrap_or_else(|| panic!("{of}"));
    (kind, word.trim_start_matches("farebox.1.encrypted.").to_owned())
}

/// The blocks of a message in OpenAI's form, which has no order. Line breaks may separate texts
/// that were blocks.
fn blocks_of_message(message: &Value) -> Vec<Block> {
    let fields = [("thinking", "reasoning_content"), ("text", "content"), ("text", "refusal")];
    let texts = fields.into_iter().filter_map(|(kind, field)| {
        let text = message[field].as_str()?;
        Some((kind, text.replace('\n', "")))
    });
    let details = list(&message["reasoning_details"]);
    let hidden = details.filter_map(|part| Some(("redacted", part["data"].as_str()?.to_owned())));
    let calls = list(&message["tool_calls"]).map(|call| block(call, &[("call", "/id")]));
    texts.chain(hidden).chain(calls).collect()
}

/// The assistant's blocks and the results of calls in a provider's request.
fn returned(asked: &Value, form: Form) -> Vec<Block> {
    let blocks = list(&asked["messages"]).flat_map(|message| {
        let is_assistants = message["role"] == "assistant";
        let blocks = list(&message["content"]).map(move |of| block(of, form));
        blocks.filter(move |block| is_assistants || block.0 == "result")
    });
    blocks.collect()
}

/// The blocks in the usual order, with one text of each kind.
fn usual(mut blocks: Vec<Block>) -> Vec<Block> {
    let order = ["thinking", "redacted", "text", "call", "result"];
    blocks.sort_by_key(|block| order.iter().position(|kind| *kind == block.0));
    let mut joined: Vec<Block> = Vec::new();
    for (kind, word) in blocks {
        match joined.last_mut() {
            Some((last, text)) if *last == kind && ["thinking", "text"].contains(&kind) => {
                text.push_str(&word);
            }
            _ => joined.push((kind, word)),
        }
    }
    joined
}

fn ordered(blocks: Vec<Block>, has_order: bool) -> Vec<Block> {
    if has_order { blocks } else { usual(blocks) }
}

fn ids(blocks: &[Block]) -> Vec<&str> {
    blocks.iter().filter(|block| block.0 == "call").map(|block| block.1.as_str()).collect()
}

/// The blocks with the index of the first call with an id in place of the id.
fn indexed(blocks: &[Block]) -> Vec<Block> {
    let ids = ids(blocks);
    let index = |id: &str| format!("{:?}", ids.iter().position(|known| *known == id));
    let indexed = blocks.iter().map(|(kind, word)| match *kind {
        "call" | "result" => (*kind, index(word)),
        _ => (*kind, word.clone()),
    });
    indexed.collect()
}

fn is_valid(id: &str, is_plain: bool) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !id.is_empty() && (!is_plain || id.bytes().all(is_allowed))
}

impl Given {
    /// The blocks, with an index of its own for each call.
    fn blocks(&self, has_redacted: bool) -> Vec<Block> {
        let mut calls = 0..;
        let blocks = self.blocks.iter().map(|of| match block(of, BLOCKS) {
            ("call", _) => ("call", format!("{:?}", calls.next())),
            other => other,
        });
        blocks.filter(|block| has_redacted || block.0 != "redacted").collect()
    }

    fn ids(&self) -> Vec<&str> {
        self.blocks.iter().filter_map(|block| block["id"].as_str()).collect()
    }
}

/// A provider's API.
trait Wire {
    const NAME: &'static str;
    /// True if the API has blocks, which may contain redacted thinking, and accepts only plain ids.
    /// False if a message has one text and a list of calls, with any ids.
    const HAS_BLOCKS: bool;

    /// Starts an API that calls this provider.
    async fn api(provider: &Provider) -> Api;

    fn whole(given: &Given) -> Does;

    fn streamed(given: &Given) -> Does;

    /// The blocks that the provider gets back.
    fn got(asked: &Value) -> Vec<Block>;
}

struct OpenAi;

impl OpenAi {
    fn chunks(given: &Given) -> Vec<Value> {
        let text = if given.reason == "refusal" { "refusal" } else { "content" };
        let mut calls = 0..;
        let delta = |block: &Value| match block["type"].as_str().unwrap() {
            "thinking" => Some(json!({ "reasoning_content": block["thinking"] })),
            "text" => Some(json!({ (text): block["text"] })),
            "tool_use" => {
                let (index, arguments) = (calls.next(), block["input"].to_string());
                let function = json!({ "name": block["name"], "arguments": arguments });
                let call = json!({ "index": index, "id": block["id"], "type": "function", "function": function });
                Some(json!({ "tool_calls": [call] }))
            }
            _ => None,
        };
        let deltas = given.blocks.iter().filter_map(delta);
        deltas.map(|delta| json!({ "choices": [{ "delta": delta }] })).collect()
    }

    fn reason(given: &Given) -> &'static str {
        if given.reason == "tool_use" { "tool_calls" } else { "stop" }
    }
}

impl Wire for OpenAi {
    const NAME: &'static str = "a server like OpenAI's";
    const HAS_BLOCKS: bool = false;

    async fn api(provider: &Provider) -> Api {
        provider.api("").await
    }

    fn whole(given: &Given) -> Does {
        let (message, reason) = (assembled(&Self::chunks(given)), Self::reason(given));
        let choice = json!({ "message": message, "finish_reason": reason });
        Does::Says(200, json!({ "choices": [choice] }))
    }

    fn streamed(given: &Given) -> Does {
        let end = json!({ "choices": [{ "delta": {}, "finish_reason": Self::reason(given) }] });
        let chunks = Self::chunks(given).into_iter().chain([end]);
        let pieces = chunks.map(|chunk| Bytes::from(format!("data: {chunk}\n\n")));
        Does::Streams(pieces.chain([done()]).collect())
    }

    fn got(asked: &Value) -> Vec<Block> {
        let blocks = list(&asked["messages"]).flat_map(|message| match message["role"].as_str() {
            Some("assistant") => blocks_of_message(message),
            Some("tool") => vec![block(message, &[("result", "/tool_call_id")])],
            _ => Vec::new(),
        });
        blocks.collect()
    }
}

struct Anthropic;

impl Wire for Anthropic {
    const NAME: &'static str = "Anthropic";
    const HAS_BLOCKS: bool = true;

    async fn api(provider: &Provider) -> Api {
        anthropic(provider).await
    }

    fn whole(given: &Given) -> Does {
        says(json!(given.blocks), given.reason)
    }

    fn streamed(given: &Given) -> Does {
        Does::Streams(streamed(&given.blocks, given.reason))
    }

    fn got(asked: &Value) -> Vec<Block> {
        returned(asked, BLOCKS)
    }
}

struct Bedrock;

impl Bedrock {
    fn block(of: &Value) -> Value {
        match of["type"].as_str().unwrap() {
            "thinking" => {
                let text = json!({ "text": of["thinking"], "signature": of["signature"] });
                json!({ "reasoningContent": { "reasoningText": text } })
            }
            "redacted_thinking" => json!({ "reasoningContent": { "redactedContent": of["data"] } }),
            "text" => json!({ "text": of["text"] }),
            _ => {
                let (id, name, input) = (&of["id"], &of["name"], &of["input"]);
                json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
            }
        }
    }

    /// The events of a streamed block.
    fn frames(index: usize, block: &Value) -> Vec<Bytes> {
        let event = |kind: &str, field: &str, value: Value| {
            frame("event", kind, &json!({ "contentBlockIndex": index, (field): value }))
        };
        let delta = |delta: Value| event("contentBlockDelta", "delta", delta);
        let whole = Self::block(block);
        let pieces = match block["type"].as_str().unwrap() {
            "thinking" => {
                let part = |field: &str| {
                    let value = &whole["reasoningContent"]["reasoningText"][field];
                    delta(json!({ "reasoningContent": { (field): value } }))
                };
                vec![part("text"), part("signature")]
            }
            "tool_use" => {
                let call = json!({ "toolUseId": block["id"], "name": block["name"] });
                let input = delta(json!({ "toolUse": { "input": block["input"].to_string() } }));
                vec![event("contentBlockStart", "start", json!({ "toolUse": call })), input]
            }
            _ => vec![delta(whole)],
        };
        let end = frame("event", "contentBlockStop", &json!({ "contentBlockIndex": index }));
        [pieces, vec![end]].concat()
    }

    fn reason(given: &Given) -> &'static str {
        if given.reason == "refusal" { "content_filtered" } else { given.reason }
    }
}

impl Wire for Bedrock {
    const NAME: &'static str = "Bedrock";
    const HAS_BLOCKS: bool = true;

    async fn api(provider: &Provider) -> Api {
        bedrock(provider, "").await
    }

    fn whole(given: &Given) -> Does {
        let content = given.blocks.iter().map(Self::block).collect();
        Does::Says(200, converse(content, Self::reason(given)))
    }

    fn streamed(given: &Given) -> Does {
        let begin = frame("event", "messageStart", &json!({ "role": "assistant" }));
        let blocks = given.blocks.iter().enumerate();
        let frames = blocks.flat_map(|(index, block)| Self::frames(index, block));
        let end = stop(Self::reason(given));
        Does::Streams([begin].into_iter().chain(frames).chain([end]).collect())
    }

    fn got(asked: &Value) -> Vec<Block> {
        returned(asked, CONVERSE_BLOCKS)
    }
}

/// One of our APIs for programs.
trait Door: Sized {
    const PATH: &'static str;
    /// True if an answer has blocks or items. False if it has one text and a list of calls.
    const HAS_BLOCKS: bool;
    /// True if clients accept only plain ids of calls.
    const PLAIN_IDS: bool;

    async fn of(person: &Person) -> Self;

    /// A request that offers the function or the custom tool `f`. `None` if the API has no custom
    /// tools.
    fn asks(is_custom: bool) -> Option<Value>;

    async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer;

    /// The message or response that a client reads, whole or assembled from events.
    fn assembled(answer: &Answer) -> Value;

    /// The blocks of an assembled answer.
    fn blocks(answer: &Value) -> Vec<Block>;

    /// The requests that continue the conversation after this answer.
    fn returns(asked: &Value, answer: &Value) -> Vec<Value>;
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// Returns the results of the answer's calls, or, if it has none, the user's next words.
fn or(results: impl Iterator<Item = Value>, words: Value) -> Vec<Value> {
    let results: Vec<Value> = results.collect();
    if results.is_empty() { vec![words] } else { results }
}

struct Completions(Program);

impl Door for Completions {
    const PATH: &'static str = "/v1/chat/completions";
    const HAS_BLOCKS: bool = false;
    const PLAIN_IDS: bool = false;

    async fn of(person: &Person) -> Self {
        Self(Program::of(person).await)
    }

    fn asks(is_custom: bool) -> Option<Value> {
        let tool = match is_custom {
            true => json!({ "type": "custom", "custom": { "name": "f" } }),
            false => json!({ "type": "function", "function": { "name": "f", "parameters": {} } }),
        };
        Some(with(asking("hi"), "tools", json!([tool])))
    }

    async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        self.0.send(headers, body).await
    }

    fn assembled(answer: &Answer) -> Value {
        match answer.body.is_string() {
            true => assembled(&data(answer)),
            false => answer.body["choices"][0]["message"].clone(),
        }
    }

    fn blocks(answer: &Value) -> Vec<Block> {
        blocks_of_message(answer)
    }

    fn returns(asked: &Value, answer: &Value) -> Vec<Value> {
        let results = list(&answer["tool_calls"]).map(|call| {
            let id = &call["id"];
            json!({ "role": "tool", "tool_call_id": id, "content": "ok" })
        });
        let before = vec![user("hi"), answer.clone()];
        let messages = [before, or(results, user("Go on."))].concat();
        vec![with(asked.clone(), "messages", json!(messages))]
    }
}

struct Responses(Program);

impl Door for Responses {
    const PATH: &'static str = "/v1/responses";
    const HAS_BLOCKS: bool = true;
    const PLAIN_IDS: bool = false;

    async fn of(person: &Person) -> Self {
        Self(Program::of(person).await)
    }

    fn asks(is_custom: bool) -> Option<Value> {
        let tool = match is_custom {
            true => json!({ "type": "custom", "name": "f" }),
            false => json!({ "type": "function", "name": "f", "parameters": {} }),
        };
        Some(with(input("hi"), "tools", json!([tool])))
    }

    async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        self.0.responds(headers, body).await
    }

    fn assembled(answer: &Answer) -> Value {
        match answer.body.is_string() {
            true => whole(&events(answer)).clone(),
            false => answer.body.clone(),
        }
    }

    fn blocks(answer: &Value) -> Vec<Block> {
        list(&answer["output"]).map(|item| block(item, ITEMS)).collect()
    }

    /// Sends the items, and then references to them.
    fn returns(asked: &Value, answer: &Value) -> Vec<Value> {
        let items = list(&answer["output"]);
        let calls = items.filter(|item| item["call_id"].is_string());
        let outputs = calls.map(|call| {
            let kind = format!("{}_output", call["type"].as_str().unwrap());
            json!({ "type": kind, "call_id": call["call_id"], "output": "ok" })
        });
        let next = or(outputs, user("Go on."));
        let reference = |item: &Value| json!({ "type": "item_reference", "id": item["id"] });
        let references = list(&answer["output"]).map(reference).collect();
        let items = list(&answer["output"]).cloned().collect();
        let continued = |items: Vec<Value>| {
            let input = [vec![user("hi")], items, next.clone()].concat();
            with(asked.clone(), "input", json!(input))
        };
        vec![continued(items), continued(references)]
    }
}

struct Messages(Client);

impl Door for Messages {
    const PATH: &'static str = "/v1/messages";
    const HAS_BLOCKS: bool = true;
    const PLAIN_IDS: bool = true;

    async fn of(person: &Person) -> Self {
        Self(Client::of(person).await)
    }

    fn asks(is_custom: bool) -> Option<Value> {
        (!is_custom).then(|| thinking(json!([user("hi")])))
    }

    async fn send(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        self.0.send(headers, body).await
    }

    fn assembled(answer: &Answer) -> Value {
        match answer.body.is_string() {
            true => streams::assembled(&streams::events(answer)),
            false => answer.body.clone(),
        }
    }

    fn blocks(answer: &Value) -> Vec<Block> {
        list(&answer["content"]).map(|of| block(of, BLOCKS)).collect()
    }

    fn returns(asked: &Value, answer: &Value) -> Vec<Value> {
        let content = &answer["content"];
        let calls = list(content).filter(|block| block["type"] == "tool_use");
        let results = calls.map(|call| {
            let id = &call["id"];
            json!({ "type": "tool_result", "tool_use_id": id, "content": "ok" })
        });
        let next = or(results, text("Go on."));
        let messages = json!([
            user("hi"),
            { "role": "assistant", "content": content },
            { "role": "user", "content": next },
        ]);
        vec![with(asked.clone(), "messages", messages)]
    }
}

/// Checks the answers of this provider through this API.
async fn check<W: Wire, D: Door>() {
    let provider = Provider::start().await;
    let ann = W::api(&provider).await.person("ann").await;
    ann.has_left(1_000_000).await;
    let door = D::of(&ann).await;
    for given in answers() {
        for is_streamed in [false, true] {
            check_cell::<W, D>(&provider, &door, &given, is_streamed).await;
        }
    }
}

async fn check_cell<W: Wire, D: Door>(
    provider: &Provider,
    door: &D,
    given: &Given,
    is_streamed: bool,
) {
    let Some(asked) = D::asks(given.is_custom) else { return };
    let form = if is_streamed { "streamed" } else { "whole" };
    let cell = format!("{}, {form}, from {} at {}", given.name, W::NAME, D::PATH);

    provider.does(if is_streamed { W::streamed(given) } else { W::whole(given) });
    let body = with(asked.clone(), "stream", json!(is_streamed));
    let key = [("idempotency-key", cell.as_str())];
    let first = door.send(&key, body.clone()).await;
    assert_eq!(first.status, 200, "{cell}: {first:?}");
    let again = door.send(&key, body).await;
    assert!(!first.is_replay() && again.is_replay(), "{cell}: {again:?}");
    let answer = D::assembled(&first);
    assert_eq!(D::assembled(&again), answer, "{cell}: the retry");
    if !is_streamed {
        assert_eq!(again.body, first.body, "{cell}: the retry");
    }

    let shown = D::blocks(&answer);
    let are_valid = ids(&shown).iter().all(|id| is_valid(id, D::PLAIN_IDS));
    assert!(are_valid, "{cell}: {shown:?}");
    let has_order = W::HAS_BLOCKS && D::HAS_BLOCKS;
    let sent = given.blocks(W::HAS_BLOCKS);
    let shown = indexed(&ordered(shown, has_order));
    assert_eq!(shown, ordered(sent.clone(), has_order), "{cell}: the answer");

    provider.does(W::whole(given));
    let results = ids(&sent).into_iter().map(|index| ("result", index.to_owned()));
    let results: Vec<Block> = results.collect();
    let expected = ordered([sent, results].concat(), W::HAS_BLOCKS);
    for (place, body) in D::returns(&asked, &answer).into_iter().enumerate() {
        let cell = format!("{cell}, sent back in form {place}");
        let reply = door.send(&[], body).await;
        assert_eq!(reply.status, 200, "{cell}: {reply:?}");
        let got = ordered(W::got(&provider.last_asked().2), W::HAS_BLOCKS);
        assert_eq!(indexed(&got), expected, "{cell}: {got:?}");
        let given_ids = given.ids();
        for (index, (id, given_id)) in ids(&got).into_iter().zip(&given_ids).enumerate() {
            let is_first = !given_ids[..index].contains(given_id);
            let is_kept = is_first && is_valid(given_id, W::HAS_BLOCKS);
            let is_right = if is_kept { id == *given_id } else { is_valid(id, W::HAS_BLOCKS) };
            assert!(is_right, "{cell}: {id} instead of {given_id}");
        }
    }
}

#[tokio::test]
async fn completions_return_to_servers_like_openais() {
    check::<OpenAi, Completions>().await;
}

#[tokio::test]
async fn completions_return_to_anthropic() {
    check::<Anthropic, Completions>().await;
}

#[tokio::test]
async fn completions_return_to_bedrock() {
    check::<Bedrock, Completions>().await;
}

#[tokio::test]
async fn responses_return_to_servers_like_openais() {
    check::<OpenAi, Responses>().await;
}

#[tokio::test]
async fn responses_return_to_anthropic() {
    check::<Anthropic, Responses>().await;
}

#[tokio::test]
async fn responses_return_to_bedrock() {
    check::<Bedrock, Responses>().await;
}

#[tokio::test]
async fn messages_return_to_servers_like_openais() {
    check::<OpenAi, Messages>().await;
}

#[tokio::test]
async fn messages_return_to_anthropic() {
    check::<Anthropic, Messages>().await;
}

#[tokio::test]
async fn messages_return_to_bedrock() {
    check::<Bedrock, Messages>().await;
}
