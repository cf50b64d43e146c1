//! `GET /api/user/profile`.

use serde_json::json;

use crate::support::client::{Api, GRANT, PRICE, unique};

#[tokio::test]
async fn profiles_have_only_the_data_and_balance_of_the_user() {
    let api = Api::start().await;
    let (name, email) = (unique("Ann"), format!("{}@Example.com", unique("Ann")));
    let ann = api.person_at(&name, &email).await;
    ann.chat("hi").await.is(200);

    let mut profile = ann.profile().await.is(200);
    let joined = profile["date_joined"].take();
    let left = GRANT - PRICE;
    let expected = json!({
        "id": ann.id, "username": name, "email": email, "email_verified": false, "pending_email": null, "first_name": "", "last_name": "", "role": "user", "is_staff": false, "date_joined": null,
        "tokens": left, "tokens_left": left, "remaining_tokens": left, "tokens_remaining": left, "tokens_held": 0, "chat_price": PRICE,
        "message_limit": 32_000,
        "top_up": { "text": "", "url": null }, "instructions": "",
    });
    assert_eq!(profile, expected);
    assert!(
        joined.as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
        "{joined}"
    );
}

#[tokio::test]
async fn profiles_have_the_price_and_the_way_to_more_credits() {
    let url = "https://shop.example.com/tokens";
    for (settings, text, url) in [
        (vec![("TOP_UP_TEXT", "Ask Ann.")], "Ask Ann.", json!(null)),
        (vec![("TOP_UP_URL", url)], "Get more tokens", json!(url)),
        (vec![("TOP_UP_TEXT", "Buy more."), ("TOP_UP_URL", url)], "Buy more.", json!(url)),
    ] {
        let api = Api::own(&[&settings[..], &[("CHAT_PRICE", "7")]].concat()).await;
        let ann = api.person("ann").await;
        let changed = ann.change(json!({ "first_name": "Ann" })).await.is(200);
        for profile in [changed, ann.profile().await.is(200)] {
            assert_eq!(profile["top_up"], json!({ "text": text, "url": url }));
            assert_eq!(profile["chat_price"], 7);
        }
    }
}

#[tokio::test]
async fn profiles_have_the_maximum_message_length() {
    let api = Api::own(&[("MESSAGE_LIMIT", "12")]).await;
    let ann = api.person("ann").await;
    let profile = ann.profile().await.is(200);
    assert_eq!(profile["message_limit"], 12);
    assert_eq!(ann.change(json!({})).await.is(200)["message_limit"], 12);
    ann.chat(&"x".repeat(13)).await.expect(400, "invalid_fields");
    ann.chat(&"x".repeat(12)).await.is(200);
}

#[tokio::test]
async fn profiles_without_an_address_say_so() {
    let ann = Api::start().await.person("ann").await;
    let profile = ann.profile().await.is(200);
    assert!(profile.as_object().unwrap().contains_key("email"), "{profile}");
    assert_eq!(profile["email"], json!(null));
}

#[tokio::test]
async fn users_see_only_their_own_profile() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let asked =
        ann.get(&format!("/api/user/profile/?id={}&username={}", ben.id, ben.name)).await.is(200);
    assert_eq!(asked["username"], json!(ann.name));
}
