//! `POST /api/chat`, `POST /api/chat_msg`.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Api, GRANT, PRICE, Person};
use crate::support::world::is_chat;

impl Person {
    /// Asserts that no chat was charged or stored and that the account has no hold.
    async fn was_never_charged(&self) {
        assert_eq!(self.balance().await, GRANT);
        assert_eq!(self.history("").await.is(200), json!([]));
        let account = self.api.account(self).await;
        assert_eq!(
            [account.tokens.get(), account.granted.get(), account.spent.get()],
            [GRANT, GRANT, 0]
        );
        assert!(account.reservations.is_empty(), "{account:?}");
        assert_eq!(self.api.items(&self.id).await["LedgerTable"].len(), 1, "the grant alone");
    }
}

#[tokio::test]
async fn chats_are_answered_charged_and_stored() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chat = ann.chat("What is a fare?").await.is(200);
    assert_eq!(
        [&chat["message"], &chat["response"]],
        ["What is a fare?", "You said: What is a fare?"]
    );
    assert_eq!(chat["tokens_deducted"], PRICE);
    for field in ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"] {
        assert_eq!(chat[field], GRANT - PRICE, "{field}");
    }
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
            "remaining_tokens",
            "response",
            "timestamp",
            "tokens",
            "tokens_deducted",
            "tokens_left",
            "tokens_remaining",
            "usage",
            "user",
            "username"
        ],
        "nothing else"
    );

    let account = api.account(&ann).await;
    assert_eq!(
        [account.tokens.get(), account.granted.get(), account.spent.get()],
        [GRANT - PRICE, GRANT, PRICE]
    );
    assert!(account.reservations.is_empty() && account.closed.is_empty(), "{account:?}");
    let items = api.items(&ann.id).await;
    assert_eq!(items["ChatsTable"].iter().filter(|item| is_chat(item)).count(), 1);
    let row = items["LedgerTable"].iter().find(|row| row["kind"] == "chat").unwrap();
    assert_eq!([&row["amount"], &row["chat_id"]], [&json!(-100), &chat["id"]]);
    assert_eq!(ann.history("").await.is(200)[0]["id"], chat["id"]);
}

#[tokio::test]
async fn tokens_in_the_body_work_and_headers_take_precedence() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let chat = async |authorization: Option<String>, token: Value| {
        let headers = authorization.as_deref().map(|value| ("authorization", value));
        api.send(
            Method::POST,
            "/api/chat/",
            headers.as_slice(),
            Some(json!({ "message": "hi", "token": token })),
        )
        .await
    };
    chat(None, json!(ann.token)).await.is(200);
    chat(None, json!(ann.access)).await.is(200);
    chat(Some(ann.bearer()), json!(ben.token)).await.is(200);
    chat(Some(ann.bearer()), json!("nonsense")).await.is(200);
    assert_eq!([ann.balance().await, ben.balance().await], [GRANT - 4 * PRICE, GRANT]);

    chat(Some("Bearer nonsense".into()), json!(ann.token)).await.expect(401, "token_not_valid");
    chat(Some("Basic YW5uOnNlY3JldDEyMw==".into()), json!(ann.token))
        .await
        .expect(401, "token_not_valid");
    chat(None, json!(ann.refresh)).await.expect(401, "token_not_valid");
    chat(None, json!(format!("Bearer {}", ann.token))).await.expect(401, "token_not_valid");
    chat(None, json!("")).await.expect(401, "token_not_valid");
    chat(None, json!(null)).await.expect(401, "not_authenticated");
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn messages_have_one_to_thirty_two_thousand_characters() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for body in [
        json!({}),
        json!({ "message": null }),
        json!({ "message": "" }),
        json!({ "message": " \t\n\u{3000}" }),
        json!({ "message": "a\0b" }),
        json!({ "message": "x".repeat(32_001) }),
        json!({ "prompt": "hi" }),
    ] {
        let refused = ann.post("/api/chat/", body).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["message"].is_array(), "{refused}");
    }
    ann.was_never_charged().await;
    let longest = "x".repeat(32_000);
    assert_eq!(ann.chat(&longest).await.is(200)["message"], json!(longest));
}

#[tokio::test]
async fn the_longest_message_fits_into_any_kind_of_body() {
    // The AI repeats the message.
    let api = Api::own(&[("ANSWER_LIMIT", "131072")]).await;
    let ann = api.person("ann").await;
    let (bearer, longest) = (ann.bearer(), "🎫".repeat(32_000));
    let answer = json!(format!("You said: {longest}"));
    let escaped = format!(r#"{{ "message": "{}" }}"#, r"\ud83c\udfab".repeat(32_000));
    let form = format!("message={}", "%F0%9F%8E%AB".repeat(32_000));
    for (path, content_type, body) in [
        ("/api/chat/", "application/json", json!({ "message": longest }).to_string()),
        ("/api/chat_msg/", "application/json", escaped),
        ("/api/chat/", "application/x-www-form-urlencoded", form),
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        let chat = api.raw(Method::POST, path, &headers, body.into_bytes()).await.is(200);
        assert!(chat["message"] == longest && chat["response"] == answer, "{content_type}");
    }
    let streamed = ann.post("/api/chat/stream/", json!({ "message": longest })).await.is(200);
    assert!(streamed.as_str().unwrap().contains("event: done"));
    let kept = ann.history("?limit=2").await.is(200);
    let kept = kept.as_array().unwrap();
    assert!(kept.len() == 2 && kept.iter().all(|chat| chat["message"] == longest));
    assert_eq!(ann.balance().await, GRANT - 4 * PRICE);
}

#[tokio::test]
async fn texts_of_any_kind_are_returned_unchanged() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let messages = [
        "👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301} é ﷽ \u{202e}desrever",
        "#owner :cost SET tokens = :granted, attribute_not_exists(pk) AND size(reservations)",
        "{\"S\": \"x\", \"message\": {\"N\": \"1\"}}",
        "'; DROP TABLE UsersTable; --",
        "<script>alert(1)</script>&amp;&#x27;",
        "${jndi:ldap://example.com} {{7*7}} %s %n %00 ../../etc/passwd",
        "line\r\nSet-Cookie: a=b\r\n\r\nbody \u{7f}\u{1b}[31m\u{feff}\u{ffff}",
        " leading and trailing ",
        "\\u0000 \\ \" / \u{8}\u{c}",
    ];
    for message in messages {
        let chat = ann.chat(message).await.is(200);
        assert_eq!(
            [&chat["message"], &chat["response"]],
            [&json!(message), &json!(format!("You said: {message}"))]
        );
    }
    let chats = ann.history("").await.is(200);
    let kept: Vec<&str> = chats
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|chat| chat["message"].as_str().unwrap())
        .collect();
    assert_eq!(kept, messages);
}

#[tokio::test]
async fn ai_failures_cost_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let failures = [
        ("!fail", 502, "ai_failed"),
        ("!empty", 502, "ai_failed"),
        ("!long", 502, "ai_failed"),
        ("!cut a b", 502, "ai_failed"),
        ("!hang", 504, "ai_timed_out"),
    ];
    let answers =
        failures.map(async |(message, status, code)| ann.chat(message).await.expect(status, code));
    for refused in join_all(answers).await {
        assert!(refused["detail"].as_str().unwrap().contains("Nothing was charged"), "{refused}");
    }
    let overloaded = ann.chat("!overloaded").await;
    assert_eq!(overloaded.header("retry-after"), "5");
    overloaded.expect(503, "ai_overloaded");
    ann.was_never_charged().await;
}

#[tokio::test]
async fn the_next_provider_answers_for_one_price() {
    let api = Api::own(&[("AI_PROVIDER", "scripted,echo")]).await;
    let ann = api.person("ann").await;
    for (chats, message) in (1..).zip(["!fail", "!empty", "!long", "!overloaded", "!hang"]) {
        let chat = ann.chat(message).await.is(200);
        assert_eq!(
            (&chat["model"], &chat["response"]),
            (&json!("echo"), &json!(format!("You said: {message}")))
        );
        assert_eq!(chat["tokens_left"], GRANT - chats * PRICE);
    }
    assert_eq!(ann.chat("hi").await.is(200)["model"], "scripted");
}

#[tokio::test]
async fn the_last_credits_buy_the_last_chat() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.has_left(PRICE).await;
    assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], 0);
    let before = api.items(&ann.id).await;
    for path in ["/api/chat", "/api/chat/", "/api/chat_msg", "/api/chat_msg/"] {
        ann.post(path, json!({ "message": "hi" })).await.expect(402, "insufficient_tokens");
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn expired_holds_pay_for_the_next_chat() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.holds(&[("crashed", 1), ("crashed-too", 2), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(0).await;
    assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], PRICE);
    assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], 0);
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    let held = api.account(&ann).await.reservations;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["running"], "what is not over is not touched");
}

#[tokio::test]
async fn chats_above_the_waiting_limit_are_refused() {
    let api = Api::own(&[("PARALLEL_CHATS", "2"), ("AI_TIMEOUT_SECONDS", "6")]).await;
    let ann = api.person("ann").await;
    let waiting = [(); 2].map(|()| {
        let ann = ann.clone();
        tokio::spawn(async move { ann.chat("!hang").await })
    });
    while api.account(&ann).await.reservations.len() < 2 {
        assert!(waiting.iter().all(|chat| !chat.is_finished()), "a chat did not wait");
    }
    assert_eq!(ann.balance().await, GRANT - 2 * PRICE, "what is held can't be spent twice");
    let refused = ann.chat("hi").await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.expect(429, "too_many_chats");
    ann.has_left(PRICE - 1).await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    ann.has_left(GRANT - 2 * PRICE).await;
    for chat in waiting {
        chat.await.unwrap().expect(504, "ai_timed_out");
    }
    ann.was_never_charged().await;
}

#[tokio::test]
async fn the_balance_pays_forty_of_two_hundred_parallel_chats() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chats = (0..200).map(|n| {
        let ann = ann.clone();
        tokio::spawn(async move { ann.chat(&format!("chat {n}")).await })
    });
    let mut answered = 0;
    for chat in chats.collect::<Vec<_>>() {
        let answer = chat.await.unwrap();
        match answer.status.as_u16() {
            200 => {
                answered += 1;
                assert_eq!(answer.is(200)["tokens_deducted"], PRICE);
            }
            _ => drop(answer.expect(402, "insufficient_tokens")),
        }
    }
    assert_eq!(answered, GRANT / PRICE);
    assert_eq!(ann.balance().await, 0);
    let account = api.account(&ann).await;
    assert_eq!(account.granted, account.spent);
    assert_eq!(ann.history("?limit=100").await.is(200).as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn chats_above_the_balance_are_refused_for_free() {
    let api = Api::own(&[("FIRST_GRANT", "99")]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, 99);
    assert_eq!(ann.history("").await.is(200), json!([]));
}
