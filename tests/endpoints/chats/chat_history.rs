//! `GET /api/chat`.

use serde_json::{Value, json};
use shared::clock::Day;

use crate::endpoints::admin::admin_chats::said;
use crate::endpoints::admin::administration::at_noon;
use crate::support::client::{Answer, Api, GRANT, Person, unique};
use crate::support::function::{Reply, TIME, event, invoke};

impl Person {
    async fn says(&self, messages: &[&str]) {
        for message in messages {
            self.chat(message).await.is(200);
        }
    }

    /// The messages on the page that `query` requests, and on each page after it.
    pub async fn pages(&self, query: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut next = Some(query.to_owned());
        while let Some(query) = next {
            assert!(pages.len() < 50, "the pages have no end: {query}");
            let page = self.history(&query).await;
            next = page.next_page();
            pages.push(messages(page));
        }
        pages
    }
}

fn messages(page: Answer) -> Vec<String> {
    let chats = page.is(200);
    chats
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| chat["message"].as_str().unwrap().to_owned())
        .collect()
}

/// Converts a history to the form that exports use, without the fields that only old clients read.
pub fn exported(mut history: Value) -> Value {
    for chat in history.as_array_mut().unwrap() {
        let chat = chat.as_object_mut().unwrap();
        chat.retain(|name, _| !["chat_id", "user", "username"].contains(&name.as_str()));
    }
    history
}

#[tokio::test]
async fn histories_are_bare_lists_newest_first() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    assert_eq!(ann.history("").await.is(200), json!([]));
    ann.says(&["one", "two"]).await;
    ben.says(&["Ben's own"]).await;
    ann.says(&["three"]).await;
    let answer = ann.history("").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.next_page(), None);
    let chats = answer.is(200);
    let said: Vec<&Value> = chats.as_array().unwrap().iter().map(|chat| &chat["message"]).collect();
    assert_eq!(said, ["three", "two", "one"]);
    for chat in chats.as_array().unwrap() {
        let mut fields: Vec<&str> = chat.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "chat_id",
                "conversation_id",
                "finish_reason",
                "id",
                "message",
                "model",
                "response",
                "timestamp",
                "tokens_deducted",
                "usage",
                "user",
                "username"
            ]
        );
    }
    assert_eq!(
        messages(ben.history(&format!("?user_id={}&id={}", ann.id, ann.id)).await),
        ["Ben's own"]
    );
}

#[tokio::test]
async fn pages_have_no_gaps_or_repetitions() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let said: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
    ann.says(&said.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (limit, pages) in [(1, 7), (2, 4), (3, 3), (6, 2), (7, 1), (100, 1)] {
        let read = ann.pages(&format!("?limit={limit}")).await;
        assert_eq!(read.len(), pages, "the last page has no link: {read:?}");
        assert!(read.iter().all(|page| page.len() <= limit), "{read:?}");
        assert_eq!(read.concat(), said.iter().rev().cloned().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn only_searches_and_conversations_have_twenty_by_default() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.says(&["hi"]).await;
    let first = ann.history("").await.is(200);
    let conversation = first[0]["conversation_id"].as_str().unwrap();
    for _ in 1..21 {
        let body = json!({ "message": "hi", "conversation_id": conversation });
        ann.post("/api/chat/", body).await.is(200);
    }
    for (query, expected) in [
        ("", &[21][..]),
        ("?q=hi", &[20, 1]),
        (&format!("?conversation_id={conversation}"), &[20, 1]),
        ("?limit=20", &[20, 1]),
    ] {
        let sizes: Vec<usize> = ann.pages(query).await.iter().map(Vec::len).collect();
        assert_eq!(sizes, expected, "{query}");
    }
}

/// Old clients don't ask for pages, so they get everything that one call to the store reads.
#[tokio::test]
async fn whole_histories_end_at_a_megabyte() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let long = |number: usize| format!("{number} {}", "x".repeat(7_900));
    let said: Vec<String> = (0..80).map(long).collect();
    ann.says(&said.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let pages = ann.pages("").await;
    // Each answer is as long as its message.
    assert!(pages.len() == 2 && pages[0].len() > 50, "{}", pages.len());
    assert_eq!(pages.concat(), said.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn chats_begun_between_pages_shift_no_page() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.says(&["one", "two", "three"]).await;
    let first = ann.history("?limit=2").await;
    ann.says(&["four"]).await;
    assert_eq!(messages(ann.history(&first.next_page().unwrap()).await), ["one"]);
}

#[tokio::test]
async fn messages_and_answers_are_searched_in_any_case() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.says(&["A train to Genève", "a & b = 100%?", "#tokens :cost", "nothing"]).await;
    for (search, found) in [
        ("TRAIN", vec!["A train to Genève"]),
        ("gen%C3%88ve", vec!["A train to Genève"]),
        ("%26+b+%3D+100%25%3F", vec!["a & b = 100%?"]),
        ("%23tokens+:cost", vec!["#tokens :cost"]),
        ("you+said:+nothing", vec!["nothing"]),
        ("zebra", vec![]),
        ("%", vec!["a & b = 100%?"]),
        ("", vec!["nothing", "#tokens :cost", "a & b = 100%?", "A train to Genève"]),
    ] {
        assert_eq!(messages(ann.history(&format!("?q={search}")).await), found, "{search}");
    }
    let pages = ann.pages("?q=A&limit=1").await;
    assert_eq!(
        pages.concat(),
        ["nothing", "#tokens :cost", "a & b = 100%?", "A train to Genève"],
        "\"said\" has an a"
    );
}

#[tokio::test]
async fn histories_are_limited_to_days_and_models() {
    let api = at_noon().await;
    let ann = api.person("ann").await;
    let today = Day::from_millis(api.server().clock.millis());
    let yesterday = today.before(1);
    let (early, late) = (today.begins(), today.begins() - 1);
    let of_ann = [
        (late - 5, "an old bus", "It left."),
        (late, "the last tram", "It left."),
        (early, "the first tram", "It comes."),
        (early + 5000, "a bus", "Take the tram!"),
    ];
    said(&api, &ann, &of_ann).await;
    for (query, expected) in [
        (format!("from={today}"), "a bus, the first tram"),
        (format!("to={yesterday}"), "the last tram, an old bus"),
        (format!("from={yesterday}&to={yesterday}"), "the last tram, an old bus"),
        (format!("from={}", today.after(1)), ""),
        ("to=2026-01-01".into(), ""),
        ("model=bus".into(), "a bus, an old bus"),
        (format!("model=bus&from={today}"), "a bus"),
        (format!("q=tram&from={today}"), "a bus, the first tram"),
        ("q=tram&model=bus".into(), "a bus"),
        ("model=train".into(), ""),
    ] {
        for limit in [1, 2, 100] {
            let query = format!("?{query}&limit={limit}");
            assert_eq!(ann.pages(&query).await.concat().join(", "), expected, "{query}");
        }
    }
    let long = format!("?model={}", "x".repeat(201));
    for bad in ["?from=today", "?from=2026-11-20&to=2026-11-19", &long] {
        ann.history(bad).await.expect(400, "invalid_fields");
    }
    let next = ann.history("?model=bus&limit=1").await.next_page().unwrap();
    let cursor = next.split_once("cursor=").unwrap().1;
    for other in ["", "model=tram&", "from=2026-01-01&model=bus&"] {
        let other = ann.history(&format!("?{other}cursor={cursor}")).await;
        other.expect(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn the_days_of_a_conversation_are_selected_too() {
    let api = at_noon().await;
    let ann = api.person("ann").await;
    let begun = ann.chat("today").await.is(200);
    let id = begun["conversation_id"].as_str().unwrap();
    let today = Day::from_millis(api.server().clock.millis());
    for (query, expected) in [
        (format!("from={today}"), vec!["today"]),
        (format!("to={}", today.before(1)), vec![]),
        (format!("from={}", today.after(1)), vec![]),
    ] {
        let query = format!("?conversation_id={id}&{query}");
        assert_eq!(ann.pages(&query).await.concat(), expected, "{query}");
    }
}

#[tokio::test]
async fn searches_continue_after_pages_without_matches() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    ann.says(&["the needle"]).await;
    ann.says(&["hay"; 205]).await;
    assert_eq!(ann.pages("?q=needle").await, [vec![], vec!["the needle".to_owned()]]);
}

#[tokio::test]
async fn invalid_pages_are_refused_by_name() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let long = format!("?q={}", "x".repeat(201));
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=1.5", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=%00", "limit"),
        ("?limit=99999999999999999999999", "limit"),
        (&long, "q"),
    ] {
        let refused = ann.history(query).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{query}: {refused}");
    }
}

#[tokio::test]
async fn cursors_are_bound_to_their_list_and_user() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ann.says(&["one", "two"]).await;
    ben.says(&["one", "two"]).await;
    let page = ann.history("?limit=1").await.next_page().unwrap();
    let cursor = page.split_once("cursor=").unwrap().1;
    let flipped = format!("{}{}", if cursor.starts_with('A') { "B" } else { "A" }, &cursor[1..]);
    let chat_id = ann.history("").await.is(200)[0]["id"].as_str().unwrap().to_owned();

    ben.history(&page).await.expect(400, "invalid_cursor");
    let (shortened, lengthened, long) =
        (&cursor[..cursor.len() - 2], format!("{cursor}AAAA"), "A".repeat(2000));
    for forged in [
        &flipped,
        shortened,
        &lengthened,
        &chat_id,
        "AAAA",
        "not!base64",
        "%00",
        "%F0%9F%8E%AB",
        &long,
    ] {
        ann.history(&format!("?cursor={forged}")).await.expect(400, "invalid_cursor");
    }
    ann.history(&format!("?q=one&cursor={cursor}")).await.expect(400, "invalid_cursor");
    assert_eq!(messages(ann.history(&page).await), ["one"]);
    assert_eq!(messages(ann.history(&format!("?limit=5&cursor={cursor}")).await), ["one"]);
}

#[tokio::test]
async fn cursors_end_with_their_account() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.says(&["one", "two"]).await;
    let page = ann.history("?limit=1").await.next_page().unwrap();
    api.forget(&ann).await;
    let other =
        api.person_with(json!({ "username": ann.name, "password": unique("secret") })).await;
    other.history(&page).await.expect(400, "invalid_cursor");
    assert_eq!(messages(other.history("").await), [""; 0]);
    assert_eq!(other.balance().await, GRANT);
    for token in [&ann.access, &ann.token] {
        ann.using(token).history("").await.expect(401, "token_not_valid");
    }
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn next_page_urls_have_the_gateway_host() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.says(&["one", "two"]).await;
    let function = &api.server().functions["chat_history"];
    let aws = "a1.execute-api.eu-central-1.amazonaws.com";
    for path in ["/api/chat", "/api/chat/"] {
        for (written, reported, stage, base) in [
            // URLs with API Gateway's host name contain the stage. URLs with a custom domain don't.
            (aws, Some(aws), "/live", format!("https://{aws}/live")),
            ("api.example.com", Some("api.example.com"), "", "https://api.example.com".into()),
            ("evil.test", Some("api.example.com"), "", "https://api.example.com".into()),
            // `cargo run` and `cargo lambda watch` report no host. `sam local` reports the client's
            // `Host`.
            ("127.0.0.1:3000", None, "", "http://127.0.0.1:3000".into()),
            ("localhost:9000", None, "", "http://localhost:9000".into()),
            ("127.0.0.1:3001", Some("127.0.0.1:3001"), "", "http://127.0.0.1:3001".into()),
            // Without a known host, the link is a path.
            ("evil.test", None, "/live", "/live".into()),
            ("192.168.1.5:3001", Some("192.168.1.5:3001"), "", String::new()),
        ] {
            let headers = [("authorization", &*ann.bearer()), ("host", written)];
            let mut event =
                event("chat_history", &format!("{path}?limit=1"), &headers, &Value::Null);
            event["requestContext"]["path"] = json!(format!("{stage}{path}"));
            event["requestContext"]["domainName"] = json!(reported);
            let reply = Reply::of(invoke(function, &event, TIME).await).await;
            assert_eq!(reply.status, 200);
            let link = reply.headers["link"].to_str().unwrap();
            let expected = format!("<{base}{path}?limit=1&cursor=");
            assert!(link.starts_with(&expected), "{link} is not {expected}");
        }
    }
}

/// A hundred of the longest messages and answers would exceed Lambda's limit on the reply size.
#[tokio::test]
async fn pages_of_a_conversation_end_at_a_megabyte() {
    let api = Api::own(&[("CHAT_PRICE", "1")]).await;
    let ann = api.person("ann").await;
    let long = |number: usize| format!("{number} {}", "x".repeat(7_900));
    let first = ann.chat(&long(0)).await.is(200);
    let conversation = first["conversation_id"].as_str().unwrap();
    for number in 1..80 {
        let body = json!({ "message": long(number), "conversation_id": conversation });
        ann.post("/api/chat/", body).await.is(200);
    }
    for query in ["", "&q=x"] {
        let query = format!("?limit=100&conversation_id={conversation}{query}");
        let pages = ann.pages(&query).await;
        assert!(pages.len() > 1, "all on one page");
        // Each answer is as long as its message.
        let bytes = |page: &Vec<String>| 2 * page.iter().map(String::len).sum::<usize>();
        assert!(pages.iter().all(|page| bytes(page) <= 1_010_000));
        let listed: Vec<String> = pages.into_iter().flatten().collect();
        assert_eq!(listed, (0..80).rev().map(long).collect::<Vec<_>>());
    }
}
