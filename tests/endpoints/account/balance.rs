//! `GET /api/tokens`. `portable/dialects.rs` tests the other paths of the balance.

use serde_json::json;

use crate::support::client::{Api, GRANT, PRICE};

#[tokio::test]
async fn balances_have_four_names_and_the_held_credits() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let left = GRANT - PRICE;
    assert_eq!(
        ann.get("/api/tokens/").await.is(200),
        json!({
            "tokens": left, "tokens_left": left, "remaining_tokens": left, "tokens_remaining": left,
            "tokens_held": 0, "user": ann.id, "username": ann.name,
        })
    );
}

#[tokio::test]
async fn users_see_only_their_own_balance() {
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
async fn expired_holds_are_free_again() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.holds(&[("crashed", 1), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - 2 * PRICE).await;
    let before = api.items(&ann.id).await;
    assert_eq!(ann.balance().await, GRANT - PRICE);
    assert_eq!(api.items(&ann.id).await, before, "asking for a balance writes nothing");
}

#[tokio::test]
async fn held_credits_are_shown_with_every_balance() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.holds(&[
        ("crashed", 1),
        ("running", u64::from(u32::MAX)),
        ("another", u64::from(u32::MAX)),
    ])
    .await;
    ann.has_left(0).await;
    let user = format!("users/{}", ann.id);
    for (shown, place) in [
        (ann.get("/api/tokens/").await.is(200), "balance"),
        (ann.profile().await.is(200), "profile"),
        (root.admin(&user).await.is(200), "administrators"),
    ] {
        // The crashed chat's credits are available again.
        assert_eq!(
            (&shown["tokens"], &shown["tokens_held"]),
            (&json!(100), &json!(200)),
            "{place}"
        );
    }
}

#[tokio::test]
async fn refusals_for_a_low_balance_show_the_held_credits() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.has_left(PRICE - 1).await;
    let refused = ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(
        refused["detail"],
        "You have 99 tokens. A message costs 100 tokens. Nothing was charged."
    );
    assert_eq!([&refused["tokens_left"], &refused["tokens_held"]], [&json!(99), &json!(0)]);

    ann.holds(&[("running", u64::from(u32::MAX))]).await;
    ann.has_left(0).await;
    let refused = ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(
        refused["detail"],
        "You have 0 tokens, and 100 are held for an unfinished message. A message costs 100 tokens. Nothing was charged."
    );
    assert_eq!([&refused["tokens_left"], &refused["tokens_held"]], [&json!(0), &json!(PRICE)]);
    let streamed = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
    let streamed = streamed.expect(402, "insufficient_tokens");
    assert_eq!(
        [&streamed["detail"], &streamed["tokens_held"]],
        [&refused["detail"], &json!(PRICE)]
    );
    // Only failures that are caused by a low balance contain `tokens_left` and `tokens_held`.
    let other = ann.chat("").await.expect(400, "invalid_fields");
    assert!(other.get("tokens_held").is_none() && other.get("tokens_left").is_none(), "{other}");
}
