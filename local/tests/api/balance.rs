//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/user/balance`.

use serde_json::json;

use crate::support::client::{Api, GRANT, PRICE};

#[tokio::test]
async fn a_balance_is_one_number_under_three_names_and_nothing_else() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let left = GRANT - PRICE;
    assert_eq!(
        ann.get("/api/tokens/").await.is(200),
        json!({ "tokens": left, "tokens_left": left, "remaining_tokens": left })
    );
}

#[tokio::test]
async fn users_see_their_own_balance_whatever_they_ask_for() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chat("hi").await.is(200);
    let asked = ann
        .get(&format!("/api/tokens/?user={}&id={}&username={}", ben.id, ben.id, ben.name))
        .await
        .is(200);
    assert_eq!(asked["tokens"], GRANT);
    assert_eq!(ben.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn tokens_held_for_a_chat_that_never_ended_are_free_again_when_its_lease_is_over() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.holds(&[("crashed", 1), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - 2 * PRICE).await;
    let before = api.items(&ann.id).await;
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.items(&ann.id).await, before, "asking for a balance writes nothing");
}
