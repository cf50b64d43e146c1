//! `POST /api/chat`, `POST /api/chat_msg`.

use serde_json::json;

use crate::client::{Api, GRANT, PRICE};

#[tokio::test]
async fn two_hundred_parallel_chats_on_four_thousand_tokens_succeed_forty_times() {
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
async fn a_chat_that_costs_more_than_the_balance_is_refused_and_charges_nothing() {
    let api = Api::own(&[("FIRST_GRANT", "99")]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(ann.balance().await, 99);
    assert_eq!(ann.history("").await.is(200), json!([]));
}
