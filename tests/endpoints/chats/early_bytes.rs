//! The headers, comments and pings that a stream (`POST /api/chat/stream`, `POST
//! /v1/chat/completions`, `POST /v1/responses`, `POST /v1/completions`, `POST /v1/messages`) sends
//! while the model is silent, so that proxies don't close the connection.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::ai::answers::{Door, Replies, Step, event};
use crate::ai::providers::{chunk, done};
use crate::support::client::{Api, GRANT, Person};

/// A proxy closes a stream that is silent for this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pieces of a stream, each with the time when it arrived.
type Pieces = Vec<(Duration, String)>;

/// The event that Anthropic's clients get in place of a comment after the first event.
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

const STREAMS: [Door; 5] = [
    Door::ChatStream,
    Door::CompletionStream,
    Door::ResponseStream,
    Door::TextStream,
    Door::MessageStream,
];

fn seconds(number: u64) -> Step {
    Step::Waits(Duration::from_secs(number))
}

fn reasoning() -> Step {
    event(&json!({ "choices": [{ "delta": { "reasoning_content": "Let me think." } }] })).into()
}

fn refuses() -> Step {
    Step::Refuses(
        json!({ "error": { "message": "This model's maximum context length is 8192 tokens." } }),
    )
}

/// Requests a stream. Returns its status, the time until its headers arrive, and its pieces.
async fn listens(door: Door, person: &Person, message: &str) -> (u16, Duration, Pieces) {
    let (path, mut body) = door.request(message);
    if door == Door::MessageStream {
        // Without this field, Anthropic's clients don't get the reasoning.
        body["thinking"] = json!({ "type": "adaptive" });
    }
    let url = person.api.url.clone() + path;
    let began = Instant::now();
    let request = reqwest::Client::new().post(url).bearer_auth(&person.access).json(&body);
    let mut reply = request.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), began.elapsed());
    let mut pieces = Vec::new();
    while let Some(piece) = reply.chunk().await.unwrap() {
        pieces.push((began.elapsed(), String::from_utf8(piece.into()).unwrap()));
    }
    (status, headers, pieces)
}

/// Returns how the door's clients are told that the prompt is too long.
fn too_long(door: Door) -> &'static str {
    match door {
        Door::MessageStream => "prompt is too long: ",
        _ => "context_length_exceeded",
    }
}

async fn start(api: &Api) -> Vec<(Door, Person)> {
    join_all(STREAMS.map(async |door| (door, api.person("ann").await))).await
}

#[tokio::test]
async fn failures_within_ten_seconds_have_their_own_status() {
    let (provider, api) = Replies::start(&[]).await;
    // The function waits ten seconds, and a busy machine may be late by seconds.
    provider.to("early", [seconds(4), refuses()]);
    provider.to("late", [seconds(15), refuses()]);
    let people = start(&api).await;
    let asked = people.iter().flat_map(|who| [(who, "early"), (who, "late")]);
    join_all(asked.map(async |((door, ann), message)| {
        let (status, headers, pieces) = listens(*door, ann, message).await;
        let all: String = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        if message == "early" {
            assert_eq!(status, 400, "{door:?}: {all}");
            let problem: Value = serde_json::from_str(&all).unwrap();
            assert!(problem.to_string().contains(too_long(*door)), "{door:?}: {all}");
        } else {
            assert_eq!(status, 200, "{door:?}: {all}");
            assert!(headers < Duration::from_secs(15), "{door:?}: {headers:?}");
            assert!(all.contains(too_long(*door)), "{door:?}: {all}");
            if *door == Door::ResponseStream {
                let [begin, failure] = ["event: response.created", "event: error"]
                    .map(|event| all.find(event).unwrap_or_else(|| panic!("no {event}: {all}")));
                assert!(begin < failure, "{all}");
            }
        }
    }))
    .await;
    for (door, ann) in &people {
        assert_eq!(ann.balance().await, GRANT, "{door:?}");
    }
}

#[tokio::test]
async fn reasoning_models_are_not_cut_off() {
    let (provider, api) = Replies::start(&[("AI_TIMEOUT_SECONDS", "60")]).await;
    provider.to(
        "think",
        [reasoning(), seconds(32), chunk("Done.", Some("stop")).into(), done().into()],
    );
    provider.to("silent", [seconds(22), chunk("Done.", Some("stop")).into(), done().into()]);
    let people = start(&api).await;
    let asked = people.iter().flat_map(|who| [(who, "think"), (who, "silent")]);
    join_all(asked.map(async |((door, ann), message)| {
        let (status, headers, pieces) = listens(*door, ann, message).await;
        assert_eq!(status, 200, "{door:?}");
        let most = if message == "think" { 5 } else { 14 };
        assert!(headers < Duration::from_secs(most), "{door:?}, {message}: {headers:?}");
        let mut last = Duration::ZERO;
        for (at, piece) in &pieces {
            assert!(*at - last < PATIENCE, "{door:?}, {message}: silent until {at:?}: {piece}");
            last = *at;
        }
        let sign = match (door, message) {
            (Door::MessageStream, "think") => PING,
            _ => ":\n\n",
        };
        let signs = pieces.iter().filter(|(_, piece)| piece == sign).count();
        assert!(signs >= 2, "{door:?}, {message}: {pieces:?}");
        assert!(pieces.iter().any(|(_, piece)| piece.contains("Done.")), "{door:?}: {pieces:?}");
    }))
    .await;
}
