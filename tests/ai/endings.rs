//! Tests a table in docs/internals/money.md. For each way in which an answer can end, the table
//! says what is delivered, charged and recorded. Each cell is played through every endpoint that
//! calls the AI.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use shared::values::{Account, TokenEstimate};

use crate::ai::answers::{Door, Got, Replies, Script, Step, event, price};
use crate::ai::providers::{chunk, done, thought};
use crate::portable::chat_stop::free_work;
use crate::support::client::{Answer, Api, GRANT, Person};

const MONEY: &str = include_str!("../../docs/internals/money.md");

/// The first row of the table.
const HEAD: &str = "| request | the answer | stopped | delivered | ends with |";

/// The token counts that the provider sends for an answer. An early count is too low or, with
/// hidden reasoning, above the estimate.
const NUMBERS: [(&str, u64); 6] =
    [("none", 0), ("early", 1), ("early", 900), ("zeros", 0), ("last", 700), ("late", 700)];

const PROMPT: u64 = 30;

/// One hundredth of the `FREE_WORK` setting on these servers.
const HUNDREDTH: u64 = 10_000;

/// The beginning of an answer, and its end.
const BEGIN: &str = "Once upon a time there were four little rabbits, and their names were Flora, Mona, Cora and Peter. ";
const END: &str = "They lived with their mother in a sandbank.";

/// The maximum length of an answer, in bytes. Longer answers are cut off.
const LIMIT: usize = BEGIN.len() / 2;

/// A delay that makes token counts late, but not too late to be accepted.
const LATE: Duration = Duration::from_millis(50);

/// A delay that is longer than the time limit of an answer.
const FOREVER: Duration = Duration::from_secs(600);

/// A row of the table.
#[derive(Clone, Debug)]
struct Row {
    is_streamed: bool,
    answer: String,
    stopped: String,
    delivered: String,
    end: String,
    /// What is charged, for each column of token counts.
    charged: [String; 5],
    free_work: String,
}

fn rows() -> Vec<Row> {
    let table = MONEY.split_once(HEAD).expect("money.md has the table").1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [request, answer, stopped, delivered, end, none, early, zeros, last, late, free_work]: [String; 11] =
            cells.try_into().unwrap_or_else(|cells| panic!("{cells:?}"));
        Row {
            is_streamed: request == "streamed",
            answer,
            stopped,
            delivered,
            end,
            charged: [none, early, zeros, last, late],
            free_work,
        }
    };
    lines.map(row).collect()
}

/// One way to play a cell of the table.
#[derive(Clone, Debug)]
struct Play {
    row: Row,
    door: Door,
    /// How the provider ends its answer.
    ends: &'static str,
    numbers: &'static str,
    number: u64,
}

impl Play {
    /// The message that selects the provider's script.
    fn message(&self) -> String {
        let Self { row, door, ends, numbers, number } = self;
        let Row { answer, stopped, .. } = row;
        format!("{door:?}: {answer}, {ends}, numbers {numbers} {number}, stopped {stopped}")
    }

    /// What is charged or recorded, according to the table's cell.
    fn charged(&self) -> &str {
        let column = ["none", "early", "zeros", "last", "late"];
        let column = column.iter().position(|column| *column == self.numbers).unwrap();
        &self.row.charged[column]
    }

    /// Returns true if the provider's answer consists of reasoning.
    fn reasons(&self) -> bool {
        self.row.delivered.ends_with("reasoning")
    }

    fn script(&self) -> Vec<Step> {
        let usage = |number: u64| {
            let prompt = if number == 0 { 0 } else { PROMPT };
            let total = prompt + number;
            json!({ "prompt_tokens": prompt, "completion_tokens": number, "total_tokens": total })
        };
        let forever = Step::Waits(FOREVER);
        let first = match self.numbers {
            "early" => event(
                &json!({ "choices": [{ "delta": { "content": "" } }], "usage": usage(self.number) }),
            ),
            _ => Bytes::new(),
        };
        // Answers without text consist only of reasoning.
        let (begin, end) = match self.reasons() {
            true => (thought(BEGIN), ""),
            false => (chunk(BEGIN, None), END),
        };
        let reason = match self.ends {
            "complete" => Some("stop"),
            "cut by its length" => Some("length"),
            "filtered" => Some("content_filter"),
            "failed" => Some("error"),
            _ => None,
        };
        let mut last = json!({ "choices": [{ "delta": { "content": if reason == Some("error") { "" } else { end } }, "finish_reason": reason }] });
        if matches!(self.numbers, "last" | "zeros") {
            last["usage"] = usage(self.number);
        }
        let late = event(&json!({ "choices": [], "usage": usage(self.number) }));
        let mut steps: Vec<Step> = Vec::new();
        match self.row.stopped.as_str() {
            "before" => steps.extend([Step::Tells, forever.clone()]),
            // The end arrives together with the beginning, so a stop can't come between them.
            "after the end" => {
                let all = Bytes::from([first, chunk(BEGIN, None), event(&last)].concat());
                steps.extend([all.into(), Step::Tells, Step::IsStopped]);
                steps.push(if self.numbers == "late" { Step::Waits(LATE) } else { forever });
                steps.extend([late.into(), done().into()]);
                return steps;
            }
            _ => {}
        }
        steps.extend([first.into(), begin.into(), Step::Tells]);
        if self.row.stopped == "in the middle" || self.row.answer == "over the time" {
            steps.push(forever);
        }
        if self.ends == "broken off" {
            steps.push(Step::Breaks);
            return steps;
        }
        steps.push(event(&last).into());
        if self.numbers == "late" {
            steps.extend([Step::Waits(LATE), late.into()]);
        }
        steps.push(done().into());
        steps
    }

    /// Sends the message, and stops the answer if the row says so.
    async fn ask(&self, person: &Person, message: &str, script: &Script) -> Answer {
        let (path, mut body) = self.door.request(message);
        if self.door == Door::MessageStream && self.row.delivered == "reasoning" {
            body["thinking"] = json!({ "type": "adaptive" });
        }
        let asking = person.post_once("k1", path, body);
        if self.row.stopped == "never" {
            return asking.await;
        }
        let stopping = async {
            script.told.notified().await;
            person.stops("k1").await.is(200);
            script.stopped.notify_one();
        };
        tokio::join!(asking, stopping).0
    }

    /// Plays the cell until the outcome is as in the table. Late token counts may arrive too late on a
    /// busy machine, so these cells are played up to three times.
    async fn holds(
        &self,
        provider: &Replies,
        api: &Api,
        changed: fn(Vec<Value>) -> Vec<Value>,
    ) -> Result<(), String> {
        for _ in 0..if self.numbers == "late" { 2 } else { 0 } {
            if self.check(provider, api, changed).await.is_ok() {
                return Ok(());
            }
        }
        self.check(provider, api, changed).await
    }

    /// Plays the cell, and returns how the outcome differs from the table. `changed` modifies the
    /// provider's reply.
    async fn check(
        &self,
        provider: &Replies,
        api: &Api,
        changed: fn(Vec<Value>) -> Vec<Value>,
    ) -> Result<(), String> {
        let ann = api.person("ann").await;
        let message = self.message();
        let script = self.script().into_iter().map(|step| match step {
            Step::Sends(events) => Step::Sends(rewritten(&events, changed)),
            step => step,
        });
        let script = provider.to(&message, script);
        let answer = self.ask(&ann, &message, &script).await;
        let shows = answer.body.to_string().contains(BEGIN.trim());
        let got = self.door.read(answer);
        let played = Played {
            account: api.account(&ann).await,
            stored: ann.history("").await.is(200)[0].clone(),
            charged: GRANT - ann.balance().await,
            differences: api.store().audit(&ann.name).await.unwrap().differences.len(),
            play: self,
            got,
        };
        let is_shown = self.row.delivered == "reasoning";
        played.is("reasoning", &(self.reasons() && shows), &is_shown)?;
        played.is_delivered()?;
        played.is_charged()?;
        played.is_free_work()?;
        played.is("holds", &played.account.reservations.len(), &0)?;
        played.is("audit", &played.differences, &0)
    }
}

/// The result of playing one cell of the table: what the client got, and what the store contains.
struct Played<'p> {
    play: &'p Play,
    got: Got,
    account: Account,
    /// The stored chat. Null if no chat is stored.
    stored: Value,
    charged: u64,
    /// How many differences an audit of the account finds.
    differences: usize,
}

impl Played<'_> {
    /// Returns an error if the outcome differs from the table.
    fn is(&self, what: &str, found: &dyn Debug, expected: &dyn Debug) -> Result<(), String> {
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        if found == expected {
            return Ok(());
        }
        let (door, message) = (self.play.door, self.play.message());
        Err(format!("{what}: {found} for {expected} at {door:?}, {message}: {:?}", self.got))
    }

    /// Returns the text that the client should have received.
    fn text(&self) -> String {
        let Row { delivered, answer, .. } = &self.play.row;
        match delivered.as_str() {
            "all" => format!("{BEGIN}{END}"),
            "a part" if answer == "over the limit" => BEGIN[..LIMIT].to_owned(),
            "a part" => BEGIN.to_owned(),
            _ => String::new(),
        }
    }

    fn is_delivered(&self) -> Result<(), String> {
        self.is("text", &self.got.text, &self.text())?;
        let end = match self.got.end.as_str() {
            // OpenAI's and Anthropic's APIs have no finish reason for a stopped answer.
            "length" if self.play.row.end == "stopped" && self.play.door.serves_programs() => {
                "stopped"
            }
            "server_error" => "ai_failed",
            end => end,
        };
        self.is("end", &end, &self.play.row.end)
    }

    fn is_charged(&self) -> Result<(), String> {
        let (stored, number) = (&self.stored, self.play.number);
        let text = self.text();
        let estimate = estimate(if self.play.reasons() { BEGIN } else { &text });
        let counted = match self.play.charged() {
            "nothing" => {
                self.is("chats", stored, &Value::Null)?;
                return self.is("charge", &self.charged, &0);
            }
            "hold" => {
                self.is("whole", &stored["receipt"]["whole"], &json!(true))?;
                return self.is("charge", &json!(self.charged), &stored["receipt"]["held"]);
            }
            "numbers" => (number, false),
            "estimate" => (estimate, true),
            "the larger" => (estimate.max(number), true),
            other => panic!("{other}"),
        };
        let usage = ["prompt_tokens", "cached_tokens", "completion_tokens"]
            .map(|name| stored["usage"][name].as_u64().unwrap_or(0));
        let is_estimated = stored["usage"]["estimated"] == true;
        self.is("stored text", &stored["response"].as_str(), &Some(text))?;
        self.is("model tokens", &(usage[2], is_estimated), &counted)?;
        self.is("charge", &self.charged, &price(usage))
    }

    fn is_free_work(&self) -> Result<(), String> {
        let expected = match self.play.row.free_work.as_str() {
            "nothing" => 0..1,
            "a hundredth" => HUNDREDTH..HUNDREDTH + 1,
            // The prompt costs less than a hundredth.
            "the prompt" => HUNDREDTH..HUNDREDTH + 1,
            "what was sent" => self.sent_work(),
            other => panic!("{other}"),
        };
        let work = free_work(&self.account, "");
        self.is("free work", &(work, true), &(work, expected.contains(&work)))
    }

    /// Returns the range of free work for the part that the provider sent before the answer failed.
    fn sent_work(&self) -> Range<u64> {
        let Play { row, ends, numbers, number, .. } = self.play;
        // Token counts that arrived before or with the failure are used. A stop in the middle comes
        // before the failure.
        let is_known = *numbers == "last" && *ends == "failed" && row.stopped == "never";
        let known = if is_known || *numbers == "early" { *number } else { 0 };
        let sent = if row.answer == "over the limit" { &BEGIN[..LIMIT] } else { BEGIN };
        let least = price([0, 0, estimate(sent).max(known)]);
        // Unless the token counts cover the whole answer, at least a hundredth of the day's free
        // work is counted.
        let least = if is_known { least } else { least.max(HUNDREDTH) };
        // The prompt's tokens add only a little.
        least..least + 20
    }
}

/// Returns the estimated number of model tokens in a string.
fn estimate(text: &str) -> u64 {
    u64::try_from(TokenEstimate::of(text)).unwrap()
}

/// Changes the events in a piece of a reply.
fn rewritten(piece: &Bytes, changed: fn(Vec<Value>) -> Vec<Value>) -> Bytes {
    let text = std::str::from_utf8(piece).unwrap();
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    // The event that marks the end isn't JSON.
    let events = events.map(|data| serde_json::from_str(data).unwrap_or(json!(data)));
    let events = changed(events.collect()).into_iter().map(|data| match data.as_str() {
        Some(mark) => Bytes::from(format!("data: {mark}\n\n")),
        None => event(&data),
    });
    events.collect::<Vec<_>>().concat().into()
}

/// A mistake that the code could make when it reads a reply. The test changes the provider's reply
/// so that the product behaves as if it had made the mistake.
#[derive(Clone, Copy, Debug)]
enum ReadingMistake {
    /// An answer is charged according to the estimate although its provider has sent token counts.
    IgnoreNumbers,
    /// An error after the end of an answer makes it a failure.
    UndoTheEnd,
    /// An answer that its provider calls failed is stored as complete.
    StoreFailures,
    /// Token counts are trusted although a part of the answer follows them.
    BelieveEarlyNumbers,
}

impl ReadingMistake {
    const ALL: [Self; 4] =
        [Self::IgnoreNumbers, Self::UndoTheEnd, Self::StoreFailures, Self::BelieveEarlyNumbers];

    fn changed(self) -> fn(Vec<Value>) -> Vec<Value> {
        match self {
            Self::IgnoreNumbers => |mut events| {
                for event in events.iter_mut().filter_map(Value::as_object_mut) {
                    event.remove("usage");
                }
                events
            },
            Self::UndoTheEnd => |mut events| {
                if events.iter().any(|event| event["choices"][0]["finish_reason"] == "stop") {
                    events.iter_mut().for_each(|event| {
                        if event.is_object() {
                            event["choices"][0]["finish_reason"] = Value::Null;
                        }
                    });
                    events.push(json!({ "error": { "message": "late" } }));
                }
                events
            },
            Self::StoreFailures => |mut events| {
                for event in &mut events {
                    if event["choices"][0]["finish_reason"] == "error" {
                        event["choices"][0]["finish_reason"] = json!("stop");
                    }
                }
                events
            },
            Self::BelieveEarlyNumbers => |mut events| {
                // The product uses the last count. To imitate the mistake, repeat the early count
                // at the end.
                if events.iter().any(|event| event["choices"][0]["finish_reason"] == "stop") {
                    let usage = json!({ "prompt_tokens": PROMPT, "completion_tokens": 1 });
                    events.push(json!({ "choices": [], "usage": usage }));
                }
                events
            },
        }
    }

    /// Returns true if playing this cell can reveal the mistake.
    fn shows_in(self, play: &Play) -> bool {
        let complete = play.row.answer == "complete" && play.row.stopped == "never";
        match self {
            Self::IgnoreNumbers => complete && play.numbers == "last",
            Self::UndoTheEnd => complete && play.numbers == "none",
            Self::StoreFailures => play.row.answer == "failed" && play.numbers == "none",
            Self::BelieveEarlyNumbers => complete && play.numbers == "early" && play.number == 1,
        }
    }
}

/// Returns all ways to play the table's cells.
fn plays() -> Vec<Play> {
    let mut plays = Vec::new();
    for row in rows() {
        let hides = |door: &Door| matches!(door, Door::TextStream | Door::MessageStream);
        let doors = Door::ALL.into_iter().filter(|door| match row.delivered.as_str() {
            "reasoning" => door.is_streamed() && *door != Door::TextStream,
            "hidden reasoning" => hides(door),
            _ => door.is_streamed() == row.is_streamed,
        });
        let ends = match row.answer.as_str() {
            "any" => vec!["complete", "cut by its length", "filtered", "failed", "broken off"],
            "over the time" | "over the limit" => vec!["complete"],
            "complete" => vec!["complete"],
            "cut by its length" => vec!["cut by its length"],
            "filtered" => vec!["filtered"],
            "failed" => vec!["failed"],
            "broken off" => vec!["broken off"],
            other => panic!("{other}"),
        };
        for door in doors {
            for ends in &ends {
                for (numbers, number) in NUMBERS {
                    plays.push(Play { row: row.clone(), door, ends, numbers, number });
                }
            }
        }
    }
    plays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_an_answer_costs_what_the_table_says() {
    let limit = LIMIT.to_string();
    let patient = Replies::start(&[]).await;
    let hurried = Replies::start(&[("AI_TIMEOUT_SECONDS", "3")]).await;
    let limited = Replies::start(&[("ANSWER_LIMIT", &limit)]).await;
    let plays = plays();
    assert!(plays.len() > 500, "{} plays", plays.len());
    let playing = plays.iter().map(async |play| {
        let (provider, api) = match play.row.answer.as_str() {
            "over the time" => &hurried,
            "over the limit" => &limited,
            _ => &patient,
        };
        play.holds(provider, api, |events| events).await
    });
    let outcomes: Vec<_> = stream::iter(playing).buffer_unordered(24).collect().await;
    let wrong: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {} plays:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

/// Translates the events of OpenAI's chat completions into Anthropic's. Anthropic has no word for an
/// answer that has failed; it sends an error.
fn as_anthropic(events: Vec<Value>) -> Vec<Value> {
    let mut translated = Vec::new();
    for event in events {
        if event.is_string() {
            translated.push(json!({ "type": "message_stop" }));
            continue;
        }
        let choice = &event["choices"][0];
        let usage = &event["usage"];
        let counted = json!({
            "input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"],
        });
        if choice["delta"]["content"] == "" && choice["finish_reason"].is_null() {
            translated.push(json!({ "type": "message_start", "message": { "usage": counted } }));
            continue;
        }
        if let Some(thought) = choice["delta"]["reasoning_content"].as_str() {
            let delta = json!({ "type": "thinking_delta", "thinking": thought });
            translated.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
            continue;
        }
        if let Some(text) = choice["delta"]["content"].as_str() {
            let delta = json!({ "type": "text_delta", "text": text });
            translated.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
        }
        let reason = choice["finish_reason"].as_str().map(|reason| match reason {
            "stop" => "end_turn",
            "length" => "max_tokens",
            "content_filter" => "refusal",
            other => other,
        });
        let has_failed = reason == Some("error");
        if usage.is_object() || reason.is_some() {
            let delta = json!({ "stop_reason": reason.filter(|_| !has_failed) });
            translated.push(json!({ "type": "message_delta", "delta": delta, "usage": counted }));
        }
        if has_failed {
            translated.push(json!({ "type": "error", "error": { "type": "api_error" } }));
        }
    }
    translated
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_costs_the_same_through_anthropic() {
    let limit = LIMIT.to_string();
    let patient = Replies::start_as("anthropic", &[]).await;
    let limited = Replies::start_as("anthropic", &[("ANSWER_LIMIT", &limit)]).await;
    let is_played = |play: &Play| {
        let doors = [Door::Chat, Door::ChatStream, Door::CompletionStream];
        doors.contains(&play.door) && play.row.answer != "over the time"
    };
    let plays: Vec<Play> = plays().into_iter().filter(is_played).collect();
    assert!(plays.len() > 100, "{} plays", plays.len());
    let playing = plays.iter().map(async |play| {
        let over = play.row.answer == "over the limit";
        let (provider, api) = if over { &limited } else { &patient };
        play.holds(provider, api, as_anthropic).await
    });
    let outcomes: Vec<_> = stream::iter(playing).buffer_unordered(24).collect().await;
    let wrong: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {} plays:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

#[tokio::test]
async fn the_table_notices_mistakes_of_the_reader() {
    let (provider, api) = Replies::start(&[]).await;
    let plays = plays();
    for mistake in ReadingMistake::ALL {
        let shown = plays.iter().filter(|play| mistake.shows_in(play));
        for play in shown {
            let wrong = play.check(&provider, &api, mistake.changed()).await;
            assert!(wrong.is_err(), "{mistake:?} passes: {play:?}");
        }
    }
}
