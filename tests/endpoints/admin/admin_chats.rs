//! `GET /api/admin/chats`: the message search, and the setting that limits what administrators may
//! read.

use std::time::Duration;

use serde_json::{Value, json};
use shared::Credits;
use shared::clock::{Day, least_id};
use shared::store::chat_month;
use shared::values::Chat;

use crate::endpoints::admin::administration::{at_noon, texts};
use crate::support::client::{Api, Person};
use crate::support::world::put;

/// An hour in milliseconds.
const HOUR: u64 = 3_600_000;

/// Stores chats that began at these times, in milliseconds since 1970. The model that answered a
/// chat has the name of the message's last word.
pub async fn said(api: &Api, person: &Person, chats: &[(u64, &str, &str)]) {
    let chat = |(time, message, response): &(u64, &str, &str)| {
        let id = least_id(*time);
        Chat {
            user_id: person.id.clone(),
            month: chat_month(&person.id, &id),
            chat_id: id,
            message: (*message).to_owned(),
            response: (*response).to_owned(),
            model: message.split(' ').next_back().unwrap().to_owned(),
            cost: Credits::new(100).unwrap(),
            time: *time,
            name: person.name.clone(),
            ..Chat::default()
        }
    };
    let chats: Vec<Chat> = chats.iter().map(chat).collect();
    put(&api.dynamodb, "ChatsTable", &chats).await;
}

/// Returns the messages that a query finds, page by page.
async fn found(root: &Person, query: &str) -> String {
    texts(&root.every("chats", query).await.0, "message").join(", ")
}

#[tokio::test]
async fn messages_are_searched_by_text_user_and_day() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let now = api.server().clock.millis();
    let (today, yesterday) = (Day::from_millis(now), Day::from_millis(now).before(1));
    let (early, late) = (today.begins(), today.begins() - 1);
    let of_ann = [
        (late, "The last tram", "It left."),
        (early, "the first TRAM", "It comes."),
        (early + 5000, "a bus", "Take the Tram!"),
        (early + 9000, "a bike", "Good."),
    ];
    said(&api, &ann, &of_ann).await;
    said(&api, &ben, &[(early + 7000, "trams everywhere", "Yes."), (late - 9, "50%_", "?")]).await;

    let (user, days) = (format!("user_id={}", ann.id), format!("from={today}&to={today}"));
    for (query, expected) in [
        ("q=tram".to_owned(), "trams everywhere, a bus, the first TRAM, The last tram"),
        ("q=TRAM".into(), "trams everywhere, a bus, the first TRAM, The last tram"),
        ("q=good.".into(), "a bike"),
        ("q=50%25_".into(), "50%_"),
        ("q=train".into(), ""),
        (format!("q=tram&{user}"), "a bus, the first TRAM, The last tram"),
        (format!("q=tram&{days}"), "trams everywhere, a bus, the first TRAM"),
        (format!("q=tram&to={yesterday}"), "The last tram"),
        (format!("q=tram&from={today}&{user}"), "a bus, the first TRAM"),
        (days.clone(), "a bike, trams everywhere, a bus, the first TRAM"),
        (format!("{days}&{user}"), "a bike, a bus, the first TRAM"),
        (format!("to={yesterday}"), "The last tram, 50%_"),
        (format!("from={}", today.after(1)), ""),
        ("to=2026-11-01".into(), ""),
        ("model=bus".into(), "a bus"),
        (format!("model=tram&to={yesterday}"), "The last tram"),
        (format!("model=tram&from={today}"), ""),
        (format!("model=TRAM&q=first&{user}&{days}"), "the first TRAM"),
        (format!("q=&from=&to=&model=&{user}"), "a bike, a bus, the first TRAM, The last tram"),
    ] {
        for limit in [1, 2, 100] {
            let query = format!("?{query}&limit={limit}");
            assert_eq!(found(&root, &query).await, expected, "{query}");
        }
    }
    let long = format!("q={}", "x".repeat(201));
    let one = format!("{user}&chat_id={}", ann.id);
    let (searched, dated) = (format!("{one}&q=tram"), format!("{one}&from={today}"));
    let answered = format!("{one}&model=bus");
    for bad in [
        long.as_str(),
        "from=yesterday",
        "from=2026-11-20&to=2026-11-19",
        "user_id=ann&q=a",
        &searched,
        &dated,
        &answered,
    ] {
        root.admin(&format!("chats?{bad}")).await.expect(400, "invalid_fields");
    }
    // A cursor is valid only for its search.
    let next = root.admin("chats?q=tram&limit=1").await.next_page().unwrap();
    let cursor = next.split("cursor=").nth(1).unwrap();
    root.admin(&format!("chats?q=tram&cursor={cursor}")).await.is(200);
    for other in ["", "q=bus&", "q=tram&from=2026-11-02&", "q=tram&model=bus&"] {
        let other = root.admin(&format!("chats?{other}cursor={cursor}")).await;
        other.expect(400, "invalid_cursor");
    }
    ann.get("/api/admin/chats?q=tram").await.expect(403, "forbidden");
}

#[tokio::test]
async fn searches_are_bounded_and_continue_on_the_next_page() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let first = Day::from_millis(api.server().clock.millis()).begins();
    let mut chats: Vec<_> = (1..450).map(|number| (first + number, "hi", "Hello.")).collect();
    chats.push((first, "the needle", "Found."));
    said(&api, &ann, &chats).await;
    for query in ["?q=needle".to_owned(), format!("?q=needle&user_id={}", ann.id)] {
        let (items, pages) = root.every("chats", &query).await;
        assert_eq!(texts(&items, "message"), ["the needle"]);
        assert!((3..=12).contains(&pages), "{pages} pages");
    }
    let page = root.admin("chats?q=needle").await;
    assert!(page.next_page().is_some());
    assert_eq!(page.is(200), Value::Array(Vec::new()));
    // A search compares fewer messages per page if the messages are long.
    let long = "x".repeat(30_000);
    let long: Vec<_> = (1000..1200).map(|number| (first + number, long.as_str(), "y")).collect();
    said(&api, &ann, &long).await;
    let (items, pages) = root.every("chats", "?q=needle").await;
    assert_eq!(texts(&items, "message"), ["the needle"]);
    assert!((4..=12).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn operators_can_disable_the_search_or_all_messages() {
    for (access, listed, searched) in
        [("off", false, false), ("read", true, false), ("search", true, true), ("", true, false)]
    {
        let api = Api::own(&[("ADMIN_CHATS", access)]).await;
        let (root, ann) = (api.administrator("root").await, api.person("ann").await);
        let chat = ann.chat("nobody else's business").await.is(200);
        let chat_id = chat["id"].as_str().unwrap();
        let this_one = format!("chats?user_id={}&chat_id={chat_id}", ann.id);
        let of_ann = format!("chats?user_id={}", ann.id);
        for (path, may) in [
            ("chats", listed),
            (of_ann.as_str(), listed),
            (this_one.as_str(), listed),
            ("chats?from=2026-11-01", listed),
            ("export/chats.csv", listed),
            ("chats?q=business", searched),
        ] {
            let answer = root.admin(path).await;
            if may {
                let said = answer.is(200).to_string();
                assert!(said.contains("nobody else's business"), "{access}: {path}: {said}");
            } else {
                let said = answer.expect(403, "chats_closed").to_string();
                assert!(!said.contains("business"), "{access}: {path}: {said}");
            }
            ann.admin(path).await.expect(403, "forbidden");
        }
        // The statement shows excerpts of messages only if administrators may read them.
        let rows = root.admin(&format!("users/{}/ledger", ann.id)).await.is(200);
        let expected = if listed { json!("nobody else's business") } else { Value::Null };
        assert_eq!(rows[0]["excerpt"], expected, "{access}");
        for list in ["export/users.csv", "export/ledger.csv"] {
            root.admin(list).await.is(200);
        }
        assert_eq!(ann.history("").await.is(200).as_array().unwrap().len(), 1, "one's own");
    }
}

#[tokio::test]
async fn readings_are_in_the_audit_log_once_an_hour() {
    let api = Api::own(&[("ADMIN_CHATS", "search")]).await;
    let clock = &api.server().clock;
    clock.advance(Duration::from_millis(HOUR - clock.millis() % HOUR));
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    ann.chat("a secret").await.is(200);
    root.chat("one's own").await.is(200);
    let of_ann = format!("chats?user_id={}", ann.id);
    let readings = async || {
        let trail = root.admin("trail?act=reading").await.is(200);
        let reading = |act: &Value| (act["user_id"].clone(), act["reason"].clone());
        trail.as_array().unwrap().iter().map(reading).collect::<Vec<_>>()
    };
    // Nothing is read.
    root.admin(&format!("chats?user_id={}", root.id)).await.is(200);
    root.admin(&format!("chats?user_id={}", ben.id)).await.is(200);
    ann.admin(&of_ann).await.expect(403, "forbidden");
    assert_eq!(readings().await, []);

    for _ in 0..2 {
        root.admin(&of_ann).await.is(200);
        root.admin(&format!("{of_ann}&from=2026-11-01")).await.is(200);
        root.admin(&format!("users/{}/ledger", ann.id)).await.is(200);
        root.admin("chats").await.is(200);
        root.admin("chats?q=secret").await.is(200);
        root.admin("chats?q=another").await.is(200);
        root.admin("export/chats.csv").await.is(200);
    }
    let mut seen = readings().await;
    seen.sort_by_key(|(_, reason)| reason.to_string());
    let expected = [
        (Value::Null, json!("export of all messages")),
        (Value::Null, json!("messages of all users")),
        (json!(ann.id), json!("messages of this user")),
        (Value::Null, json!("search")),
    ];
    assert_eq!(seen, expected);

    // In the next hour, and by another administrator, a reading is recorded again.
    clock.advance(Duration::from_millis(HOUR));
    root.admin(&of_ann).await.is(200);
    let eve = api.administrator("eve").await;
    eve.admin(&of_ann).await.is(200);
    assert_eq!(readings().await.len(), 6);
}

#[tokio::test]
async fn administrators_read_a_message_by_its_id() {
    let api = Api::own(&[]).await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let chat = ann.chat("this one").await.is(200);
    ann.chat("another one").await.is(200);
    let chat_id = chat["id"].as_str().unwrap();
    let list = format!("chats?user_id={}&chat_id={chat_id}", ann.id);
    let answer = root.admin(&list).await;
    assert_eq!(answer.next_page(), None);
    let found = answer.is(200);
    assert_eq!(texts(found.as_array().unwrap(), "message"), ["this one"]);
    assert_eq!(found[0]["user_id"], json!(ann.id));
    let of_ben = format!("chats?user_id={}&chat_id={chat_id}", ben.id);
    assert_eq!(root.admin(&of_ben).await.is(200), json!([]));
    for bad in [format!("chats?chat_id={chat_id}"), format!("chats?user_id={}&chat_id=x", ann.id)] {
        let refused = root.admin(&bad).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["chat_id"].is_array(), "{refused}");
    }
    ann.delete(&format!("/api/chat/{chat_id}")).await.is(200);
    assert_eq!(root.admin(&list).await.is(200), json!([]));
}
