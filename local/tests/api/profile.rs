//! `GET /api/user/profile`.

use serde_json::json;

use crate::support::client::{Api, GRANT, PRICE, unique};

#[tokio::test]
async fn a_profile_is_the_users_data_and_balance_and_nothing_else() {
    let api = Api::start().await;
    let (name, email) = (unique("Ann"), format!("{}@Example.com", unique("Ann")));
    let ann =
        api.person_with(json!({ "username": name, "email": email, "password": "secret123" })).await;
    ann.chat("hi").await.is(200);

    let mut profile = ann.profile().await.is(200);
    let joined = profile["date_joined"].take();
    let left = GRANT - PRICE;
    let expected = json!({
        "id": ann.id, "username": name, "email": email, "email_verified": false, "pending_email": null, "first_name": "", "last_name": "", "role": "user", "is_staff": false, "date_joined": null,
        "tokens": left, "tokens_left": left, "remaining_tokens": left,
    });
    assert_eq!(profile, expected);
    assert!(
        joined.as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
        "{joined}"
    );
}

#[tokio::test]
async fn a_user_without_an_address_has_a_profile_that_says_so() {
    let ann = Api::start().await.person("ann").await;
    let profile = ann.profile().await.is(200);
    assert!(profile.as_object().unwrap().contains_key("email"), "{profile}");
    assert_eq!(profile["email"], json!(null));
}

#[tokio::test]
async fn users_see_their_own_profile_whatever_they_ask_for() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let asked =
        ann.get(&format!("/api/user/profile/?id={}&username={}", ben.id, ben.name)).await.is(200);
    assert_eq!(asked["username"], json!(ann.name));
}
