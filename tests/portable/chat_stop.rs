//! `POST /api/chat/stop`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use shared::values::Account;
use shared::values::idempotency::{Key, Kind};

use crate::ai::providers::{Does, Provider, done, thought};
use crate::endpoints::openai::completions::Program;
use crate::endpoints::openai::responses::text;
use crate::portable::chat_stream::{events, text_of};
use crate::support::client::{Answer, Api, GRANT, PRICE, Person, without_comments};
use crate::support::counting_ai::CountingAi;
use crate::support::function::event;
use crate::support::lambda::{Instance, LEASE};
use crate::support::wait::until;

const PATH: &str = "/api/chat/stop/";

/// The longest time between a stop and the end of the answer. The function looks for a stop once a
/// second, but a busy machine may need seconds for a request. Without the stop, the answer would
/// take twenty seconds.
const SOON: Duration = Duration::from_secs(10);

/// Settings for slow answers. They allow many chats to wait for their answers at the same time.
pub const PATIENT: [(&str, &str); 2] = [("AI_TIMEOUT_SECONDS", "20"), ("PARALLEL_CHATS", "64")];

impl Api {
    /// Returns the number of the account's refunds, and the free work of its owner.
    pub async fn refunds(&self, person: &Person) -> (u32, u64) {
        let account = self.account(person).await;
        let minutes = account.minutes.iter().flatten();
        let refunds = minutes.filter(|(key, _)| key.starts_with('r')).map(|(_, count)| *count);
        (refunds.sum(), free_work(&account, ""))
    }
}

/// Returns the total free work that is counted under keys with this prefix. The prefix is empty for
/// the owner's free work, `k` for limited API keys, and `e` for earned credits.
pub fn free_work(account: &Account, prefix: &str) -> u64 {
    let days = account.free_work.iter().flatten();
    let of = days
        .filter(|(key, _)| key.trim_end_matches(|digit: char| digit.is_ascii_digit()) == prefix);
    of.map(|(_, credits)| credits.get()).sum()
}

impl Person {
    pub async fn stops(&self, key: &str) -> Answer {
        self.post(PATH, json!({ "idempotency_key": key })).await
    }

    /// Begins a stream with an idempotency key. Returns once the first piece has arrived.
    pub async fn hears(&self, path: &str, key: &str, body: Value) -> (Response, String) {
        let request = reqwest::Client::new().request(Method::POST, self.api.url.clone() + path);
        let request = request.bearer_auth(&self.access).header("idempotency-key", key);
        let mut reply = request.json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{reply:?}");
        let first = reply.chunk().await.unwrap().unwrap();
        (reply, String::from_utf8(first.into()).unwrap())
    }

    /// Sends a request with an idempotency key, and stops the answer while the AI is silent.
    /// Returns the reply to the request.
    pub async fn stops_silent(&self, path: &str, key: &str, body: Value) -> Answer {
        let (reply, ()) = tokio::join!(
            self.post_once(key, path, body),
            // The message may not have arrived yet.
            until("the request can be stopped", async || self.stops(key).await.status == 200)
        );
        reply
    }

    async fn hears_chat(&self, key: &str, message: &str) -> (Response, String) {
        self.hears("/api/chat/stream/", key, json!({ "message": message })).await
    }

    /// Asserts that exactly these chats were charged: their texts and finish reasons, newest first.
    async fn has_paid(&self, answers: &[(&str, &str)]) {
        let history = self.history("").await.is(200);
        let stored = history.as_array().unwrap().iter();
        let stored: Vec<_> = stored
            .map(|chat| ["response", "finish_reason"].map(|field| chat[field].as_str().unwrap()))
            .collect();
        let expected: Vec<_> = answers.iter().map(|(text, reason)| [*text, *reason]).collect();
        assert_eq!(stored, expected);
        let paid = u64::try_from(answers.len()).unwrap() * PRICE;
        assert_eq!(self.balance().await, GRANT - paid);
        let account = self.api.account(self).await;
        assert_eq!((account.reservations.len(), account.spent.get()), (0, paid));
        assert_eq!(self.api.store().audit(&self.name).await.unwrap().differences, []);
    }
}

/// Reads the rest of a stream. Returns all its events.
pub async fn all((reply, first): (Response, String)) -> Vec<(String, Value)> {
    events(&without_comments(&(first + &reply.text().await.unwrap())))
}

#[tokio::test]
async fn stopped_answers_end_soon_and_are_charged_once() {
    let api = Api::own(&PATIENT).await;
    let ann = api.person("ann").await;
    let stream = ann.hears_chat("k1", "!hold one two three").await;
    let began = Instant::now();
    let stopped = ann.stops("k1").await.is(200);
    assert_eq!(stopped["status"], "stopping");
    let said = all(stream).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    assert_eq!(text_of(&said), "one two");
    let (name, done) = said.last().unwrap();
    assert_eq!(
        [&json!(name), &done["response"], &done["finish_reason"], &done["id"]],
        [&json!("done"), &json!("one two"), &json!("stopped"), &stopped["id"]]
    );
    assert_eq!(done["tokens_left"], GRANT - PRICE);
    ann.has_paid(&[("one two", "stopped")]).await;

    // The statement and the export also show the stopped answer.
    let rows = ann.get("/api/user/ledger/").await.is(200);
    assert_eq!(
        [&rows[0]["kind"], &rows[0]["reason"], &rows[0]["chat_id"]],
        [&json!("chat"), &json!("stopped"), &stopped["id"]]
    );
    let export = ann.get("/api/user/export/").await.is(200);
    assert_eq!(export["chats"][0]["finish_reason"], "stopped");
    assert_eq!(export["ledger"][0]["reason"], "stopped");

    // The next message is answered at once and continues the conversation.
    let next = json!({ "message": "!recall", "conversation_id": done["conversation_id"] });
    let next = ann.post("/api/chat/", next).await.is(200);
    assert_eq!(next["response"], "user: !hold one two three\nassistant: one two\nuser: !recall");
}

#[tokio::test]
async fn stopping_closes_the_connection_to_the_provider() {
    let ai = CountingAi::start().await;
    let settings = [&PATIENT[..1], &ai.settings()].concat();
    let api = Api::own(&settings).await;
    let ann = api.person("ann").await;
    let message = format!("!hold one two {}", ann.name);
    let stream = ann.hears_chat("k1", &message).await;
    let began = Instant::now();
    ann.stops("k1").await.is(200);
    while ai.times_left(&message) == 0 {
        assert!(began.elapsed() < SOON, "the AI still writes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(all(stream).await.last().unwrap().1["finish_reason"], "stopped");

    let silent = format!("!hang {}", ann.name);
    let (stopped, _) = tokio::join!(ann.chat_once("k2", &silent), async {
        ai.is_asked(&silent).await;
        ann.stops("k2").await.is(200)
    });
    assert_eq!(stopped.is(200)["finish_reason"], "stopped");
    while ai.times_left(&silent) == 0 {
        assert!(began.elapsed() < 3 * SOON, "the AI still thinks");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((ai.times(&message), ai.times(&silent)), (1, 1), "it was asked once");
}

#[tokio::test]
async fn late_and_repeated_stops_change_nothing() {
    let api = Api::own(&PATIENT).await;
    let ann = api.person("ann").await;
    let stream = ann.hears_chat("k1", "!hold one two three").await;
    let first = ann.stops("k1").await.is(200);
    // The answer may have ended.
    assert_eq!(ann.stops("k1").await.is(200)["id"], first["id"]);
    all(stream).await;
    let whole = ann.chat_once("k2", "hi").await.is(200);
    let before = api.items(&ann.id).await;
    for (key, id) in [("k1", &first["id"]), ("k2", &whole["id"])] {
        for _ in 0..2 {
            let ended = ann.stops(key).await.is(200);
            assert_eq!(ended, json!({ "id": id, "status": "ended" }));
        }
    }
    assert_eq!(api.items(&ann.id).await, before);
    ann.has_paid(&[("You said: hi", "stop"), ("one two", "stopped")]).await;

    // A retry with the same idempotency key still gets the delivered text.
    let again = ann.chat_once("k1", "!hold one two three").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.is(200);
    assert_eq!([&again["id"], &again["finish_reason"]], [&first["id"], &json!("stopped")]);
}

#[tokio::test]
async fn streams_stopped_before_they_begin_cost_nothing() {
    let api = Api::at_an_hour(&PATIENT).await;
    let ann = api.person("ann").await;
    let refused = ann.stops_silent("/api/chat/stream/", "k1", json!({ "message": "!slow 4000" }));
    let refused = refused.await.expect(410, "stopped").to_string();
    assert!(refused.contains("Nothing was charged"), "{refused}");
    ann.has_paid(&[]).await;
    ann.stops("k1").await.expect(404, "not_found");
    assert_eq!(api.refunds(&ann).await, (1, PRICE));
    // A later request with the same idempotency key is answered as a new chat.
    let again = ann.chat_once("k1", "!slow 4000").await.is(200);
    assert_eq!(again["finish_reason"], "stop");
    ann.has_paid(&[("You said: !slow 4000", "stop")]).await;
}

#[tokio::test]
async fn streams_stopped_after_reasoning_are_charged() {
    let provider = Provider::start().await;
    let url = format!("{}/v1", provider.url);
    let settings = [
        ("AI_PROVIDER", "openai"),
        ("OPENAI_BASE_URL", url.as_str()),
        ("OPENAI_MODEL", "tiny"),
        PATIENT[0],
    ];
    let api = Api::at_an_hour(&settings).await;
    let ann = api.person("ann").await;
    provider.does(Does::Waits(vec![thought("Let me think."), done()], Arc::default()));
    let stream = ann.hears_chat("k1", "hi").await;
    ann.stops("k1").await.is(200);
    let said = all(stream).await;
    assert_eq!(said[0], ("reasoning".to_owned(), json!({ "text": "Let me think." })));
    let (name, chat) = said.last().unwrap();
    assert_eq!(
        [&json!(name), &chat["response"], &chat["reasoning"]],
        ["done", "", "Let me think."]
    );
    ann.has_paid(&[("", "stopped")]).await;
    assert_eq!(api.refunds(&ann).await, (0, 0));
}

#[tokio::test]
async fn stopped_whole_answers_are_charged_and_replayed() {
    let api = Api::at_an_hour(&PATIENT).await;
    let ann = api.person("ann").await;
    let body = json!({ "message": "!slow 4000" });
    let stopped = ann.stops_silent("/api/chat/", "k1", body.clone()).await.is(200);
    assert_eq!(
        [&stopped["response"], &stopped["finish_reason"], &stopped["tokens_deducted"]],
        [&json!(""), &json!("stopped"), &json!(PRICE)]
    );
    ann.has_paid(&[("", "stopped")]).await;
    assert_eq!(api.refunds(&ann).await, (0, 0));
    let again = ann.chat_once("k1", "!slow 4000").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(200), stopped);
    assert_eq!(ann.stops("k1").await.is(200)["status"], "ended");
    // The conversation can be continued.
    let next = json!({ "message": "!recall", "conversation_id": stopped["conversation_id"] });
    let told = ann.post("/api/chat/", next).await.is(200);
    assert_eq!(told["response"], "user: !slow 4000\nuser: !recall");
}

#[tokio::test]
async fn stopped_streams_of_long_prompts_are_charged() {
    let api = Api::at_an_hour(&PATIENT).await;
    let ann = api.person("ann").await;
    let prompt = |bytes: usize| {
        let context = json!({ "role": "system", "content": "x".repeat(bytes) });
        json!({ "messages": [context, { "role": "user", "content": "!hang" }], "stream": true })
    };
    let path = "/v1/chat/completions";
    ann.stops_silent(path, "k1", prompt(32_000)).await.expect(410, "stopped");
    ann.has_paid(&[]).await;
    let stopped = ann.stops_silent(path, "k2", prompt(33_000)).await.is(200);
    assert!(stopped.as_str().unwrap().contains(r#""finish_reason":"length""#), "{stopped}");
    ann.has_paid(&[("", "stopped")]).await;
    assert_eq!(api.refunds(&ann).await, (1, PRICE));
}

#[tokio::test]
async fn eighty_three_stops_cost_eighty_three_messages() {
    let api = Api::own(&[&PATIENT[..], &[("FIRST_GRANT", "10000")]].concat()).await;
    let ann = api.person("ann").await;
    for burst in [0..42, 42..83] {
        let stops = burst.map(|number| {
            let (ann, key) = (&ann, format!("k{number}"));
            let body = json!({ "messages": [{ "role": "user", "content": "!hang" }] });
            async move {
                ann.stops_silent("/v1/chat/completions", &key, body).await.is(200);
            }
        });
        join_all(stops).await;
    }
    assert_eq!(ann.balance().await, 10_000 - 83 * PRICE);
    let account = api.account(&ann).await;
    assert_eq!((account.reservations.len(), account.spent.get()), (0, 83 * PRICE));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn stopping_gives_no_free_use_of_the_ai() {
    let api = Api::at_an_hour(&[PATIENT[0], ("REFUNDS_PER_MINUTE", "2")]).await;
    let ann = api.person("ann").await;
    let body = json!({ "message": "!hang" });
    let is_stopped = async |key: &str| {
        let refused = ann.stops_silent("/api/chat/stream/", key, body.clone()).await;
        refused.expect(410, "stopped");
    };
    tokio::join!(is_stopped("k1"), is_stopped("k2"));
    ann.chat("hi").await.expect(429, "too_many_refunds");
    api.server().clock.advance(Duration::from_secs(60));
    ann.chat("hi").await.is(200);
}

#[tokio::test]
async fn unknown_and_foreign_requests_cannot_be_stopped() {
    let api = Api::own(&PATIENT).await;
    let (ann, ben) = (api.administrator("ann").await, api.person("ben").await);
    let stream = ann.hears_chat("k1", "!words 2000 one two three").await;
    let before = api.items(&ann.id).await;
    ben.stops("k1").await.expect(404, "not_found");
    ann.stops("k2").await.expect(404, "not_found");
    assert_eq!(api.items(&ann.id).await, before);
    let path = format!("/api/admin/users/{}/adjustments", ben.id);
    let gift = json!({ "amount": 5, "reason": "a gift" });
    ann.post_once("k3", &path, gift).await.is(201);
    ann.stops("k3").await.expect(404, "not_found");
    let said = all(stream).await;
    assert_eq!(said.last().unwrap().1["finish_reason"], "stop");
    ann.has_paid(&[("one two three", "stop")]).await;
}

#[tokio::test]
async fn stop_bodies_name_the_idempotency_key() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for body in [
        json!({}),
        json!({ "idempotency_key": null }),
        json!({ "idempotency_key": "" }),
        json!({ "idempotency_key": "é" }),
        json!({ "idempotency_key": "a\nb" }),
        json!({ "idempotency_key": "x".repeat(256) }),
    ] {
        let refused = ann.post(PATH, body).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["idempotency_key"][0].is_string(), "{refused}");
    }
    let number = json!({ "idempotency_key": 7 });
    assert_eq!(ann.post(PATH, number).await.status, 400);
    // Behind a different gateway, a different AI may answer, but stopping a complete answer has the
    // same result.
    let whole = ann.chat_once("k1", "hi").await.is(200);
    assert_eq!(ann.stops("k1").await.is(200), json!({ "id": whole["id"], "status": "ended" }));
}

#[tokio::test]
async fn answers_without_a_reader_can_be_stopped() {
    let api = Api::own(&PATIENT).await;
    let ann = api.person("ann").await;
    let (reply, _) = ann.hears_chat("k1", "!words 400 one two three four five six").await;
    drop(reply);
    let began = Instant::now();
    assert_eq!(ann.stops("k1").await.is(200)["status"], "stopping");
    while !api.account(&ann).await.reservations.is_empty() {
        assert!(began.elapsed() < SOON, "the answer goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let history = ann.history("").await.is(200);
    let heard = history[0]["response"].as_str().unwrap();
    assert!("one two three four ".starts_with(heard) && heard.len() >= 4, "{heard:?}");
    ann.has_paid(&[(heard, "stopped")]).await;
}

#[tokio::test]
async fn a_stop_at_the_end_of_an_answer_is_charged_once() {
    let api = Api::own(&PATIENT).await;
    let ann = api.person("ann").await;
    let words: Vec<String> = (0..20).map(|number| format!("word{number}")).collect();
    let message = format!("!words 60 {}", words.join(" "));
    // An answer takes 1.2 seconds. The function that generates the answer checks only once, after
    // one second, whether it should stop.
    let races = (0..24).map(|race: u64| {
        let (ann, message, words) = (&ann, &message, &words);
        async move {
            let key = format!("k{race}");
            let stream = ann.hears_chat(&key, message).await;
            tokio::time::sleep(Duration::from_millis(850 + race * 20)).await;
            let (stopped, said) = tokio::join!(ann.stops(&key), all(stream));
            let (stopped, done) = (stopped.is(200), &said.last().unwrap().1);
            assert_eq!(stopped["id"], done["id"]);
            let (whole, response) = (words.join(" "), done["response"].as_str().unwrap());
            match done["finish_reason"].as_str().unwrap() {
                "stop" => assert_eq!(response, whole),
                "stopped" => {
                    assert!(whole.starts_with(response));
                    assert_eq!(stopped["status"], "stopping", "it had not ended before");
                }
                other => panic!("{other}"),
            }
            assert_eq!(text_of(&said), response, "what is stored was heard");
        }
    });
    join_all(races).await;
    assert_eq!(ann.balance().await, GRANT - 24 * PRICE);
    let account = api.account(&ann).await;
    assert_eq!((account.reservations.len(), account.spent.get()), (0, 24 * PRICE));
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn stopped_completions_have_the_finish_reason_length() {
    let api = Api::own(&PATIENT).await;
    let ann = api.person("ann").await;
    let turns = json!([{ "role": "user", "content": "!hold one two three" }]);
    let body = json!({ "messages": turns, "stream": true });
    let (reply, first) = ann.hears("/v1/chat/completions", "k1", body.clone()).await;
    ann.stops("k1").await.is(200);
    let text = without_comments(&(first + &reply.text().await.unwrap()));
    let chunks = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    let chunks: Vec<Value> = chunks.filter_map(|data| serde_json::from_str(data).ok()).collect();
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length", "{text}");
    ann.has_paid(&[("one two", "stopped")]).await;

    let mut silent = body;
    silent["messages"][0]["content"] = json!("!hang");
    let refused = ann.stops_silent("/v1/chat/completions", "k2", silent.clone()).await;
    refused.expect(410, "stopped");
    silent["stream"] = json!(false);
    let whole = ann.stops_silent("/v1/chat/completions", "k3", silent).await.is(200);
    let choice = &whole["choices"][0];
    assert_eq!(
        [&choice["finish_reason"], &choice["message"]["content"]],
        [&json!("length"), &json!("")]
    );
    ann.has_paid(&[("", "stopped"), ("one two", "stopped")]).await;
}

#[tokio::test]
async fn programs_stop_responses_by_api_key_and_read_incomplete() {
    let api = Api::own(&PATIENT).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let of = async |person: &Person| person.using(Program::of(person).await.key);
    let (program, bens) = (of(&ann).await, of(&ben).await);
    let body = json!({ "input": "!hold one two three", "stream": true });
    let stream = program.hears("/v1/responses", "k1", body).await;
    bens.stops("k1").await.expect(404, "not_found");
    ann.using("sk-x").stops("k1").await.expect(401, "invalid_token");
    let stopped = program.stops("k1").await.is(200);
    assert_eq!(stopped["status"], "stopping");
    let said = all(stream).await;
    let (name, end) = said.last().unwrap();
    let response = &end["response"];
    assert_eq!(
        [&json!(name), &response["status"], &response["incomplete_details"]["reason"]],
        [&json!("response.incomplete"), &json!("incomplete"), &json!("max_output_tokens")]
    );
    let id = stopped["id"].as_str().unwrap();
    assert_eq!((text(response), &response["id"]), ("one two", &json!(format!("resp_{id}"))));
    ann.has_paid(&[("one two", "stopped")]).await;

    // A retry with the same idempotency key gets the same answer as a whole.
    let body = json!({ "input": "!hold one two three", "stream": true });
    let again = program.post_once("k1", "/v1/responses", body).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = events(again.is(200).as_str().unwrap());
    assert_eq!(text(&again.last().unwrap().1["response"]), "one two");

    let silent = json!({ "input": "!hang", "stream": true });
    let refused = program.stops_silent("/v1/responses", "k2", silent).await;
    refused.expect(410, "stopped");
    ann.has_paid(&[("one two", "stopped")]).await;
}

#[tokio::test]
async fn stopped_answers_of_dead_functions_cost_nothing() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let function = Instance::scripted("chat_stream", &api.dynamodb).await;
    let headers = [("authorization", ann.bearer()), ("idempotency-key", "k1".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let message = json!({ "message": "!hold one two" });
    function.takes(&event("chat_stream", "/api/chat/stream", &headers, &message));
    ann.is_waiting().await;
    // The function must not notice the stop.
    function.stops();
    let stopped = ann.stops("k1").await.is(200);
    function.kill();
    let key = Key::parse("k1").unwrap().id(Kind::Chat, &ann.id);
    let held = &api.account(&ann).await.reservations[&key];
    assert_eq!((held.stopped, &json!(held.owner)), (true, &stopped["id"]));
    assert_eq!(ann.balance().await, GRANT - PRICE, "the lease decides");

    api.server().clock.advance(LEASE);
    ann.stops("k1").await.expect(404, "not_found");
    assert_eq!(api.server().apps["sweep"].store.sweep(api.now()).await.unwrap().released, 1);
    ann.stops("k1").await.expect(404, "not_found");
    ann.has_paid(&[]).await;
    // Stopping the first run doesn't stop a later run with the same idempotency key.
    assert_eq!(ann.chat_once("k1", "!hold one two").await.status, 504, "it has no listener");
}

#[tokio::test]
async fn the_lambda_binaries_stop_answers() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let mut answers = Instance::scripted("chat_stream", &api.dynamodb).await;
    let mut stops = Instance::of("chat_stop", &[("DYNAMODB_ENDPOINT", &api.dynamodb)]).await;
    let bearer = ann.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let message = json!({ "message": "!hold one two three" });
    answers.takes(&event("chat_stream", "/api/chat/stream", &headers, &message));
    ann.is_waiting().await;
    let began = Instant::now();
    let body = json!({ "idempotency_key": "k1" });
    stops.takes(&event("chat_stop", "/api/chat/stop", &headers[..1], &body));
    let stopped = stops.answers().await;
    assert_eq!((stopped.status, &stopped.body["status"]), (200, &json!("stopping")));
    let said = answers.answers().await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let said = events(said.body.as_str().unwrap());
    let done = &said.last().unwrap().1;
    assert_eq!(
        [&done["response"], &done["finish_reason"], &done["id"]],
        [&json!("one two"), &json!("stopped"), &stopped.body["id"]]
    );
    ann.has_paid(&[("one two", "stopped")]).await;
    answers.end();
    stops.end();
}
