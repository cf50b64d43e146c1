//! `GET /api/user/export`.

use std::process::Command;
use std::time::Duration;

use functions::{Function, ROUTES};
use futures_util::StreamExt;
use serde_json::{Value, json};
use shared::Credits;
use shared::http::{self, edge};
use shared::http::{Body, Pieces};
use shared::values::{Chat, Entry, EntryKind};

use crate::endpoints::chats::chat_history::exported;
use crate::support::client::{Api, GRANT, PRICE, Person};
use crate::support::function::{self, TIME, event, invoke};
use crate::support::lambda::{self, Instance};
use crate::support::log;
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan, Proxy};
use crate::support::world::put;

const PATH: &str = "/api/user/export";

impl Person {
    async fn export(&self) -> Value {
        self.get("/api/user/export/").await.is(200)
    }

    /// Writes chats with answers of this size, and a ledger row for each chat, directly to the
    /// store. Returns the ids of the chats, newest first.
    async fn has_chats(&self, count: usize, size: usize) -> Vec<String> {
        let clock = self.api.clock();
        let ids: Vec<String> = (0..count).map(|_| clock.id().to_string()).collect();
        let chats: Vec<_> = ids.iter().map(|id| self.chat_of(id, size)).collect();
        let rows: Vec<_> = ids.iter().map(|id| self.row_of(id)).collect();
        put(&self.api.dynamodb, "ChatsTable", &chats).await;
        put(&self.api.dynamodb, "LedgerTable", &rows).await;
        ids.into_iter().rev().collect()
    }

    fn chat_of(&self, id: &str, size: usize) -> Chat {
        Chat {
            user_id: self.id.clone(),
            chat_id: id.into(),
            message: "hi".into(),
            response: "x".repeat(size),
            model: "echo".into(),
            cost: Credits::new(PRICE).unwrap(),
            tokens_left: Credits::ZERO,
            time: 1,
            name: self.name.clone(),
            month: "1970-01#0".into(),
            ..Chat::default()
        }
    }

    fn row_of(&self, id: &str) -> Entry {
        Entry {
            chat_id: Some(id.into()),
            ..Entry::new(&self.id, id.into(), -100, EntryKind::Chat, "chat", &self.id, 1)
        }
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// The function's reply as the gateway would get it: the status and the unread body.
async fn answer(function: &Function, person: &Person) -> (u16, Body) {
    let event = event("export", PATH, &[("authorization", &person.bearer())], &Value::Null);
    let (parts, body) = invoke(function, &event, Duration::from_secs(300)).await.into_parts();
    (parts.status.as_u16(), body)
}

fn queries(lane: &Lane) -> usize {
    lane.calls().iter().filter(|call| call.operation == "Query").count()
}

#[tokio::test]
async fn exports_contain_all_data_of_the_user_and_no_other() {
    let api = Api::start().await;
    let (ann, _) = api.person_with_email().await;
    let ben = api.person("ben").await;
    ben.chat("Ben's own").await.is(200);
    for message in ["one \"quoted\"", "two", "three"] {
        ann.chat(message).await.is(200);
    }
    api.adjust(&ann, 500, "for the outage").await;
    let key = ann.makes_a_key("a program").await.is(201);
    ann.makes_a_key("another program").await.is(201);
    ben.makes_a_key("Ben's own").await.is(201);

    let answer = ann.get("/api/user/export/").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"farebox-export.json\""
    );
    let export = answer.is(200);
    let parts = [
        "api_keys",
        "balance",
        "chats",
        "conversations",
        "exported",
        "files",
        "folders",
        "instructions",
        "ledger",
        "profile",
        "purchases",
        "sessions",
        "shares",
        "temporary_conversations",
    ];
    assert_eq!(export.as_object().unwrap().keys().collect::<Vec<_>>(), parts);
    let left = GRANT + 500 - 3 * PRICE;
    let balance = json!({ "tokens": left, "tokens_left": left, "remaining_tokens": left, "tokens_remaining": left, "granted": GRANT + 500, "spent": 3 * PRICE });
    assert_eq!(export["balance"], balance);
    assert_eq!(export["chats"], exported(ann.history("").await.is(200)));
    assert_eq!(export["conversations"], ann.get("/api/conversations/").await.is(200));
    assert_eq!(export["conversations"].as_array().unwrap().len(), 3);
    assert_eq!(export["sessions"], ann.sessions("").await.is(200));
    assert_eq!(export["api_keys"], ann.api_keys().await);
    assert_eq!(export["api_keys"][1]["id"], key["id"]);
    let mut statement = ann.get("/api/user/ledger/").await.is(200);
    for row in statement.as_array_mut().unwrap() {
        // The export's ledger rows contain neither the balance nor the fields about the exported
        // chats and API keys.
        for field in ["balance", "excerpt", "key_name", "key_id"] {
            row.as_object_mut().unwrap().remove(field);
        }
    }
    assert_eq!(export["ledger"], statement);
    let mut profile = ann.profile().await.is(200);
    for field in [
        "tokens",
        "tokens_left",
        "remaining_tokens",
        "tokens_remaining",
        "tokens_held",
        "chat_price",
        "message_limit",
        "top_up",
        "instructions",
    ] {
        profile.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(export["profile"], profile);
    let text = export.to_string();
    let account = api.account(&ann).await;
    let key = key["key"].as_str().unwrap();
    for foreign in
        ["argon2id", "Ben's own", &ben.id, &ben.name, &account.nonce, &ann.access, key, &key[36..]]
    {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}

#[tokio::test]
async fn exports_of_new_accounts_have_empty_lists() {
    let ann = Api::start().await.person("ann").await;
    let export = ann.export().await;
    assert_eq!([&export["chats"], &export["api_keys"]], [&json!([]), &json!([])]);
    assert_eq!(export["ledger"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn exports_of_many_pages_have_each_item_once() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    for count in [100, 101, 199] {
        let before = ann.export().await["chats"].as_array().unwrap().len();
        let new = ann.has_chats(count, 10).await;
        let export = ann.export().await;
        assert_eq!(ids(&export["chats"])[..count], new);
        assert_eq!(export["chats"].as_array().unwrap().len(), before + count);
        assert_eq!(export["ledger"].as_array().unwrap().len(), before + count + 1);
    }
}

#[tokio::test]
async fn exports_beyond_the_buffered_limit_arrive_whole() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let new = ann.has_chats(150, 60_000).await;
    let export = ann.export().await;
    assert!(export.to_string().len() > 8_000_000);
    assert_eq!(ids(&export["chats"]), new);
    assert!(
        export["chats"].as_array().unwrap().iter().all(|chat| chat["response"]
            .as_str()
            .unwrap()
            .len()
            == 60_000)
    );
}

#[tokio::test]
async fn exports_read_at_most_one_page_ahead() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.has_chats(150, 60_000).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    let (status, body) = answer(&api.function_over("export", &lane), &ann).await;
    assert_eq!((status, queries(&lane)), (200, 0), "no page is read before the reply begins");
    let Body::Pieces(mut pieces) = body else { panic!("no stream") };
    let (mut taken, mut longest, mut text) = (0, 0, String::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.unwrap();
        taken += 1;
        assert!(
            queries(&lane) <= taken + 1,
            "{} pages were read when {taken} pieces were taken",
            queries(&lane)
        );
        longest = longest.max(piece.len());
        text.push_str(&piece);
    }
    assert!(queries(&lane) >= 10, "{}", queries(&lane));
    assert!(longest < 1_200_000, "{longest}");
    serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(lane.weak_reads(), [""; 0]);
}

#[tokio::test]
async fn failed_exports_are_truncated_json() {
    log::clear();
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.has_chats(150, 10).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let parts = [
        "\"sessions\":[",
        "\"api_keys\":[",
        "\"conversations\":[",
        "\"temporary_conversations\":[",
        "\"chats\":[",
        "},{",
        "\"ledger\":[",
        "\"kind\"",
    ];
    for (at, begins) in (1..).zip(parts) {
        let lane = proxy.lane();
        lane.strike(Some(Plan {
            at: FaultPoint::Operation("Query", at),
            fault: Fault::Fail500Before,
            strikes: FaultRepeat::EachAttempt,
        }));
        let (status, body) = answer(&api.function_over("export", &lane), &ann).await;
        let text = body.text().await;
        assert_eq!(status, 200);
        assert!(
            text.contains(begins) && serde_json::from_str::<Value>(&text).is_err(),
            "{at}: {text}"
        );
    }
    assert!(log::text().contains("the reply was cut off"), "{}", log::text());

    // Over HTTP, the reply also ends when the store fails, and later requests succeed.
    let lane = proxy.lane();
    let broken = Api::own(&[("DYNAMODB_ENDPOINT", &lane.url)]).await;
    // The server's background work may begin with a query too.
    lane.strike(Some(Plan {
        at: FaultPoint::Operation("Query", 7),
        fault: Fault::Fail500Before,
        strikes: FaultRepeat::EachAttempt,
    }));
    let answer = ann.at(&broken).get(PATH).await;
    assert!(
        answer.status == 200 && answer.body.as_str().is_some_and(|text| text.contains("},{")),
        "{answer:?}"
    );
    lane.calm();
    ann.at(&broken).export().await;
}

#[tokio::test]
async fn exports_are_truncated_if_the_account_is_deleted() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let (_, body) = answer(&api.server().functions["export"], &ann).await;
    let Body::Pieces(mut pieces) = body else { panic!("no stream") };
    let first = pieces.next().await.unwrap().unwrap();
    let (account, caller) = api.caller(&ann).await;
    api.store().delete_account(&caller, &account, "no hash", 1).await.unwrap();
    let rest = Body::Pieces(pieces).text().await;
    assert!(serde_json::from_str::<Value>(&format!("{first}{rest}")).is_err(), "{first}{rest}");
    assert!(
        serde_json::from_str::<Value>(&format!("{first}{rest}]}}")).is_ok(),
        "only its end is missing: {first}{rest}"
    );
}

#[tokio::test]
async fn panics_in_a_writer_end_only_their_reply() {
    log::clear();
    let api = Api::own(&[]).await;
    let handle = async |_: shared::Request| {
        http::download("x.json", async |pieces: Pieces| {
            pieces.send("[1,").await?;
            tokio::task::yield_now().await;
            panic!("for a test")
        })
    };
    let function = &api.server().functions["export"];
    let event = event("export", PATH, &[], &Value::Null);
    let request = function::request(function, &event, TIME);
    let response = edge::answer(ROUTES, handle, &function.edge, None, request).await;
    assert_eq!(response.into_body().text().await, "[1,");
    assert!(log::text().contains("the writer panicked"), "{}", log::text());
}

#[tokio::test]
async fn the_lambda_binary_streams_or_buffers_exports() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let new = ann.has_chats(150, 60_000).await;
    let binary = lambda::binary("export");
    for (settings, streams) in [
        (&[("DYNAMODB_ENDPOINT", api.dynamodb.as_str()), ("AWS_SAM_LOCAL", "false")], true),
        (&[("DYNAMODB_ENDPOINT", api.dynamodb.as_str()), ("AWS_SAM_LOCAL", "true")], false),
    ] {
        let mut function = Instance::start(Command::new(&binary), "export", settings).await;
        function.takes(&event("export", PATH, &[("authorization", &ann.bearer())], &Value::Null));
        let reply = function.answers().await;
        assert_eq!(
            (reply.status, reply.headers.contains_key("x-came-as")),
            (200, streams),
            "{:?}",
            reply.headers
        );
        assert_eq!(
            reply.headers["content-disposition"],
            "attachment; filename=\"farebox-export.json\""
        );
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        assert_eq!(ids(&reply.body["chats"]), new);
        function.takes(&event("export", PATH, &[], &Value::Null));
        let refused = function.answers().await;
        assert_eq!((refused.status, refused.code()), (401, "not_authenticated"));
        function.end();
    }
}
