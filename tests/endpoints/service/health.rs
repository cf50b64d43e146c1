//! `GET /api/health`.

use serde_json::json;

use crate::support::client::Api;

#[tokio::test]
async fn healthy_apis_say_so_to_every_caller() {
    let version = env!("CARGO_PKG_VERSION");
    let healthy = json!({
        "status": "ok", "version": version, "first_grant": 4000, "chat_price": 100,
        "email_verification": false,
    });
    assert_eq!(Api::start().await.get("/api/health").await.is(200), healthy);
}

#[tokio::test]
async fn visitors_see_the_grant_of_new_accounts() {
    let api = Api::own(&[("FIRST_GRANT", "250"), ("CHAT_PRICE", "7")]).await;
    let healthy = api.get("/api/health").await.is(200);
    assert_eq!((&healthy["first_grant"], &healthy["chat_price"]), (&json!(250), &json!(7)));
}

#[tokio::test]
async fn visitors_see_the_allowance_of_users() {
    for (setting, seen) in [
        ("1000/week,admin=none", json!({ "tokens": 1000, "per": "week" })),
        ("none,admin=300/month", json!(null)),
    ] {
        let api = Api::own(&[("ALLOWANCE", setting)]).await;
        assert_eq!(api.get("/api/health").await.is(200)["allowance"], seen, "{setting}");
    }
}

#[tokio::test]
async fn visitors_see_whether_addresses_get_an_email() {
    let api = Api::own(&[("MAIL_FROM", "no-reply@example.com")]).await;
    assert_eq!(api.get("/api/health").await.is(200)["email_verification"], true);
}

#[tokio::test]
async fn apis_without_their_store_say_so_and_when_to_retry() {
    let (api, _) = Api::without_a_store().await;
    let answer = api.get("/api/health").await;
    assert_eq!(answer.header("retry-after"), "5");
    answer.expect(503, "unavailable");
}
