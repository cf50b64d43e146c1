//! Tests a table in docs/internals/money.md. For each way in which a streamed answer can end, the
//! table says whether the client pays if it has received nothing, only reasoning, or a part of the
//! answer. Also tests that the reasoning of several providers isn't mixed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::ai::answers::{Door, Replies, Script, Step, event};
use crate::ai::providers::{Does, KEY, Provider, chunk, done, thought};
use crate::endpoints::anthropic::messages::{Client, asking, with};
use crate::endpoints::anthropic::streams;
use crate::endpoints::openai::completions::{self, Program};
use crate::endpoints::openai::responses::input;
use crate::portable::chat_stop::free_work;
use crate::portable::chat_stream::events;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person};

const MONEY: &str = include_str!("../../docs/internals/money.md");

/// The first row of the table.
const HEAD: &str =
    "| a streamed answer that is | nothing | only reasoning | a part of the answer |";

/// What the provider sends before its answer ends.
const THOUGHT: &str = "Four little rabbits lived with their mother, so there were five of them.";
const PART: &str = "Five rabbits.";

/// The maximum length of an answer, in bytes. It doesn't limit the reasoning that is shown.
const LIMIT: usize = 40;

/// A delay that is longer than the time limit of an answer.
const FOREVER: Duration = Duration::from_secs(600);

/// The endpoints that stream answers with their reasoning.
const DOORS: [Door; 4] =
    [Door::ChatStream, Door::CompletionStream, Door::ResponseStream, Door::MessageStream];

/// A way to play one cell of the table.
#[derive(Clone, Copy, Debug)]
struct Play {
    /// How the answer ends, as in the first column.
    ends: &'static str,
    /// What the client gets before the answer ends, as in the first row.
    shown: &'static str,
    /// Who pays, according to the cell.
    pays: &'static str,
    door: Door,
    is_flat: bool,
}

fn plays() -> Vec<Play> {
    let table = MONEY.split_once(HEAD).expect("money.md has the table").1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut plays = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [ends, cells @ ..] = cells.as_slice() else { panic!("{line}") };
        let columns = ["nothing", "only reasoning", "a part of the answer"];
        assert_eq!(cells.len(), columns.len(), "{line}");
        for (shown, pays) in columns.into_iter().zip(cells) {
            for door in DOORS {
                for is_flat in [false, true] {
                    plays.push(Play { ends, shown, pays, door, is_flat });
                }
            }
        }
    }
    plays
}

impl Play {
    /// The message that selects the provider's script.
    fn message(&self) -> String {
        let Self { ends, shown, door, is_flat, .. } = self;
        format!("{ends}, {shown}, {door:?}, {is_flat}")
    }

    fn script(&self) -> Vec<Step> {
        let shown = match self.shown {
            "nothing" => Bytes::new(),
            "only reasoning" => thought(THOUGHT),
            _ => Bytes::from([thought(THOUGHT), chunk(PART, None)].concat()),
        };
        let ended = |reason: &str| {
            event(&json!({ "choices": [{ "delta": { "content": "" }, "finish_reason": reason }] }))
        };
        let mut steps = vec![shown.into(), Step::Tells];
        match self.ends {
            "complete" => steps.push(ended("stop").into()),
            "cut by `max_tokens`" => steps.push(ended("length").into()),
            "filtered" => steps.push(ended("content_filter").into()),
            "called failed by its provider" => steps.push(ended("error").into()),
            "broken off" => return [&steps[..], &[Step::Breaks]].concat(),
            "over the time" | "stopped" => steps.push(Step::Waits(FOREVER)),
            // White space is delivered only if visible text follows.
            "over `ANSWER_LIMIT`" => steps.push(chunk(&" ".repeat(LIMIT + 1), None).into()),
            other => panic!("{other}"),
        }
        steps.push(done().into());
        steps
    }

    fn is_paid(&self) -> bool {
        match self.pays {
            "paid" => true,
            "returned" => false,
            "paid on `/v1`" => self.door.serves_programs(),
            other => panic!("{other}"),
        }
    }

    /// Sends the message, and stops the answer if the row says so.
    async fn ask(&self, person: &Person, script: &Script) -> Answer {
        let (path, mut body) = self.door.request(&self.message());
        if self.door == Door::MessageStream {
            body["thinking"] = json!({ "type": "adaptive" });
        }
        let asking = person.post_once("k1", path, body);
        if self.ends != "stopped" {
            return asking.await;
        }
        let stopping = async {
            script.told.notified().await;
            person.stops("k1").await.is(200);
        };
        tokio::join!(asking, stopping).0
    }

    /// Plays the cell, and returns how the outcome differs from the table.
    async fn check(&self, (provider, api): &(Replies, Api)) -> Result<(), String> {
        let ann = api.person("ann").await;
        let script = provider.to(&self.message(), self.script());
        let reply = self.ask(&ann, &script).await;
        let shows = reply.body.to_string().contains(THOUGHT);
        let charged = GRANT - ann.balance().await;
        let account = api.account(&ann).await;
        let stored = ann.history("").await.is(200).as_array().unwrap().len();
        let work = free_work(&account, "");
        let differences = api.store().audit(&ann.name).await.unwrap().differences.len();
        // A broken connection costs the provider nothing if it hasn't sent anything.
        let is_wasted = !self.is_paid() && (self.ends, self.shown) != ("broken off", "nothing");
        let is_right = (charged > 0) == self.is_paid()
            && (stored == 1) == self.is_paid()
            && (work > 0 || !is_wasted)
            && (!self.is_flat || [0, PRICE].contains(&charged))
            && (account.reservations.is_empty(), differences) == (true, 0)
            && shows == (self.shown != "nothing");
        is_right.then_some(()).ok_or_else(|| {
            format!("{self:?}: {charged} charged, {stored} stored, {work} of free work: {reply:?}")
        })
    }
}

/// Starts a provider and an API with this fare and these settings.
async fn start(is_flat: bool, settings: &[(&str, &str)]) -> (Replies, Api) {
    let (provider, api) = Replies::start(settings).await;
    if is_flat {
        let deep = json!({ "name": "deep", "via": ["openai"], "fare": { "message": PRICE } });
        api.prices(&json!({ "models": [deep] })).await;
    }
    (provider, api)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_pays_for_a_stream_depends_on_what_was_shown() {
    let limit = LIMIT.to_string();
    let (hurry, short) = ([("AI_TIMEOUT_SECONDS", "3")], [("ANSWER_LIMIT", limit.as_str())]);
    let mut apis = Vec::new();
    for is_flat in [false, true] {
        let settings: [&[(&str, &str)]; 3] = [&[], &hurry, &short];
        for settings in settings {
            apis.push(start(is_flat, settings).await);
        }
    }
    let plays = plays();
    assert_eq!(plays.len(), 8 * 3 * 4 * 2);
    let playing = plays.iter().map(async |play| {
        let api = match play.ends {
            "over the time" => 1,
            "over `ANSWER_LIMIT`" => 2,
            _ => 0,
        };
        play.check(&apis[api + if play.is_flat { 3 } else { 0 }]).await
    });
    let outcomes: Vec<_> = stream::iter(playing).buffer_unordered(24).collect().await;
    let wrong: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {} plays:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

/// Starts two providers: one like OpenAI, which breaks its connection after this reasoning, and
/// Anthropic, which then reasons and answers.
async fn failing_over(first: &str) -> (Provider, Provider, Api) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let api = Api::own(&[
        ("AI_PROVIDER", "openai,anthropic"),
        ("OPENAI_BASE_URL", &format!("{}/v1", openai.url)),
        ("OPENAI_MODEL", "tiny"),
        ("ANTHROPIC_BASE_URL", &anthropic.url),
        ("ANTHROPIC_MODEL", "claude"),
        ("ANTHROPIC_API_KEY", KEY),
        ("AI_TIMEOUT_SECONDS", "10"),
    ])
    .await;
    openai.does(Does::Cuts(vec![thought(first)]));
    let of = |data: Value| {
        Bytes::from(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
    };
    let start = |index: u64, block: Value| {
        of(json!({ "type": "content_block_start", "index": index, "content_block": block }))
    };
    let delta = |index: u64, delta: Value| {
        of(json!({ "type": "content_block_delta", "index": index, "delta": delta }))
    };
    let usage = json!({ "input_tokens": 3, "output_tokens": 1 });
    anthropic.does(Does::Streams(vec![
        of(json!({ "type": "message_start", "message": { "model": "claude-1", "usage": usage } })),
        start(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
        delta(0, json!({ "type": "thinking_delta", "thinking": "Second." })),
        delta(0, json!({ "type": "signature_delta", "signature": "c2ln" })),
        start(1, json!({ "type": "text", "text": "" })),
        delta(1, json!({ "type": "text_delta", "text": "5" })),
        of(json!({
            "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 9 },
        })),
        of(json!({ "type": "message_stop" })),
    ]));
    (openai, anthropic, api)
}

#[tokio::test]
async fn signatures_sign_only_their_own_providers_reasoning() {
    let (_openai, _anthropic, api) = failing_over("First.").await;
    let ann = api.person("ann").await;
    let thinks = with(asking("2 + 3?"), "thinking", json!({ "type": "adaptive" }));
    let streamed = with(thinks, "stream", json!(true));
    let answer = Client::of(&ann).await.send(&[], streamed).await;
    let content = streams::assembled(&streams::events(&answer))["content"].clone();
    let thinking = |text: &str, signature: &str| json!({ "type": "thinking", "thinking": text, "signature": signature });
    let text = json!({ "type": "text", "text": "5", "citations": null });
    assert_eq!(content, json!([thinking("First.", ""), thinking("Second.", "c2ln"), text]));
    // The incomplete reasoning isn't stored.
    assert_eq!(ann.history("").await.is(200)[0]["reasoning"], "Second.");
    assert_eq!(ann.balance().await, GRANT - PRICE);

    let program = Program::of(&ann).await;
    let mut body = completions::asking("2 + 3?");
    body["stream"] = json!(true);
    let chunks = completions::data(&program.send(&[], body).await);
    let details = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["reasoning_details"]);
    let details: Vec<&Value> = details.filter_map(Value::as_array).flatten().collect();
    let fields = ["text", "signature", "index"].map(|field| &details[0][field]);
    assert_eq!((details.len(), fields), (1, [&json!("Second."), &json!("c2ln"), &json!(1)]));

    let mut body = input("2 + 3?");
    body["stream"] = json!(true);
    let answer = program.responds(&[], body).await;
    let events = events(answer.body.as_str().unwrap());
    let ended = events.iter().filter(|(name, _)| name == "response.reasoning_summary_text.done");
    let texts: Vec<&Value> = ended.map(|(_, event)| &event["text"]).collect();
    assert_eq!(texts, ["First.", "Second."]);
}

#[tokio::test]
async fn shown_reasoning_gives_a_provider_the_whole_time() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let urls = [&first, &second].map(|provider| format!("{}/v1", provider.url));
    let api = Api::own(&[
        ("AI_PROVIDER", "openai,openai2"),
        ("OPENAI_BASE_URL", &urls[0]),
        ("OPENAI_MODEL", "tiny"),
        ("OPENAI2_BASE_URL", &urls[1]),
        ("OPENAI2_MODEL", "large"),
        ("AI_TIMEOUT_SECONDS", "3"),
    ])
    .await;
    let ann = api.person("ann").await;
    // The first provider never answers. A client that got its reasoning pays, and the second
    // provider isn't called.
    first.does(Does::Waits(vec![thought(THOUGHT), done()], Arc::default()));
    second.does(Does::Streams(vec![chunk("Five.", Some("stop")), done()]));
    let answer = ann.post("/api/chat/stream/", json!({ "message": "How many?" })).await;
    let events = events(answer.body.as_str().unwrap());
    let (name, chat) = events.last().unwrap();
    assert_eq!((name.as_str(), &chat["response"]), ("done", &json!("")));
    assert_eq!([&chat["reasoning"], &chat["finish_reason"]], [THOUGHT, "length"]);
    assert_eq!((ann.balance().await, second.times_asked()), (GRANT - PRICE, 0));
    // If no reasoning is shown, the second provider is called after half of the time.
    first.does(Does::Waits(vec![Bytes::new(), done()], Arc::default()));
    let answer = ann.chat("How many?").await.is(200);
    assert_eq!((&answer["response"], second.times_asked()), (&json!("Five."), 1));
}
