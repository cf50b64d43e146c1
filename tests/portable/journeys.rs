//! Whole sessions of people who use the API.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{Api, GRANT, PRICE, unique};

#[tokio::test]
async fn a_user_registers_chats_and_reads_it_after_another_log_in() {
    let api = Api::start().await;
    let (name, email) = (unique("Ann"), format!("{}@example.com", unique("ann")));
    let ann = api
        .person_with(json!({ "username": name, "email": email, "password": "StrongPass123!" }))
        .await;
    let mut left = GRANT;
    for n in 1..=5 {
        left -= PRICE;
        assert_eq!(ann.chat(&format!("message {n}")).await.is(200)["tokens_left"], left);
    }
    ann.chat("!fail").await.expect(502, "ai_failed");

    let session =
        api.log_in(json!({ "username": email, "password": "StrongPass123!" })).await.is(200);
    assert_eq!(session["tokens_left"], left);
    let ann = ann.using(session["access"].as_str().unwrap());
    let pages = ann.pages("?limit=2").await;
    assert_eq!(
        pages,
        [vec!["message 5", "message 4"], vec!["message 3", "message 2"], vec!["message 1"]]
    );
    assert_eq!(ann.pages("?q=message+3").await, [["message 3"]]);
    assert_eq!(ann.balance().await, left);
    assert_eq!(ann.profile().await.is(200)["email"], json!(email));
}

#[tokio::test]
async fn sessions_survive_ten_refreshes() {
    let api = Api::start().await;
    let mut ann = api.person("ann").await;
    for n in 1..=10 {
        let refreshed = api.refresh(&ann.refresh).await.is(200);
        ann = ann.using(refreshed["access"].as_str().unwrap());
        ann.refresh = refreshed["refresh"].as_str().unwrap().to_owned();
        assert_eq!(ann.chat("still here").await.is(200)["tokens_left"], GRANT - n * PRICE);
    }
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_continue() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let mut shared = ann.refresh.clone();
    for _ in 0..3 {
        let (one, other) = tokio::join!(api.refresh(&shared), api.refresh(&shared));
        let (one, other) = (one.is(200), other.is(200));
        assert_eq!(one["refresh"], other["refresh"]);
        for tab in [&one, &other] {
            ann.using(tab["access"].as_str().unwrap()).profile().await.is(200);
        }
        shared = one["refresh"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn refreshes_with_a_lost_reply_can_be_retried() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let lost = api.refresh(&ann.refresh).await.is(200);
    let again = api.refresh(&ann.refresh).await.is(200);
    assert_eq!(again["refresh"], lost["refresh"]);
    api.refresh(again["refresh"].as_str().unwrap()).await.is(200);
}

#[tokio::test]
async fn stolen_refresh_tokens_end_the_session_for_both() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let stolen = ann.refresh.clone();
    let second = api.refresh(&ann.refresh).await.is(200);
    let third = api.refresh(second["refresh"].as_str().unwrap()).await.is(200);

    api.refresh(&stolen).await.expect(401, "token_not_valid");
    api.refresh(third["refresh"].as_str().unwrap()).await.expect(401, "token_not_valid");
    let session = ann.log_in().await.is(200);
    api.refresh(session["refresh"].as_str().unwrap()).await.is(200);
}

#[tokio::test]
async fn clients_may_keep_their_first_refresh_token() {
    let api = Api::own(&[]).await;
    let dora = api.person("dora").await;
    for day in 1..=29 {
        api.server().clock.advance(Duration::from_secs(86_400));
        dora.profile().await.expect(401, "token_not_valid");
        let refreshed = api.refresh(&dora.refresh).await.is(200);
        let today = dora.using(refreshed["access"].as_str().unwrap());
        assert_eq!(today.chat("another day").await.is(200)["tokens_left"], GRANT - day * PRICE);
    }
    api.server().clock.advance(Duration::from_secs(86_400 + 1));
    api.refresh(&dora.refresh).await.expect(401, "token_not_valid");
    api.log_in(json!({ "username": dora.name, "password": dora.password })).await.is(200);
}
