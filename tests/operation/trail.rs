//! The audit lines in the log. Each account event has a line with its time, request, account, IP
//! address and outcome.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{Api, unique};
use crate::support::log;

#[tokio::test]
async fn account_events_are_logged_with_request_account_and_address() {
    log::clear();
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let wrong = json!({ "username": ann.name, "password": "wrong-password" });
    api.log_in(wrong).await.expect(401, "invalid_credentials");
    let here = ann.elsewhere("a test").await;
    here.change(json!({ "first_name": "Ann" })).await.is(200);
    here.change(json!({ "email": format!("{}@example.com", unique("ann")) })).await.is(200);
    here.chat("!fail").await.expect(502, "ai_failed");
    api.set(&ann, "tokens", AttributeValue::N("0".into())).await;
    here.chat("hi").await.expect(402, "insufficient_tokens");
    ann.is_robbed().await;
    let there = ann.elsewhere("a test").await;
    here.ends(&there.session()).await.is(200);
    let key = here.makes_a_key("a program").await.is(201);
    here.revokes(key["id"].as_str().unwrap()).await.is(200);
    let passwords =
        json!({ "current_password": "wrong-password", "new_password": "another-password" });
    here.post("/api/user/password/", passwords).await.expect(403, "wrong_password");
    let passwords = json!({ "current_password": ann.password, "new_password": "another-password" });
    let changed = here.post("/api/user/password/", passwords).await.is(200);
    let here = here.using(changed["access"].as_str().unwrap());
    let key = here.makes_a_key("another program").await.is(201);
    here.log_out().await.is(200);
    let (root, user) = (api.administrator("root").await, format!("/api/admin/users/{}", ann.id));
    root.post(&format!("{user}/password-reset"), json!({})).await.is(202);
    root.post(&format!("{user}/adjustments"), json!({ "amount": 5, "reason": "a correction" }))
        .await
        .is(201);
    root.patch(&user, json!({ "active": false })).await.is(200);
    root.delete(&format!("{user}/sessions")).await.is(200);
    root.delete(&format!("{user}/api-keys/{}", key["id"].as_str().unwrap())).await.is(200);
    root.delete(&format!("{user}/api-keys")).await.is(200);
    root.delete(&user).await.is(202);
    let body = json!({ "username": unique("joe"), "password": "secret123" });
    root.post("/api/admin/users", body).await.is(201);
    root.get("/api/admin/export/users.csv").await.is(200);
    api.send(Method::GET, "/api/tokens/", &[("authorization", "Bearer x")], None)
        .await
        .expect(401, "token_not_valid");

    let text = log::text();
    for (what, of_ann) in [
        ("registered", true),
        ("log-in refused", true),
        ("logged in", true),
        ("refreshed", true),
        ("an outdated refresh token was presented", true),
        ("profile changed", true),
        ("refunded", true),
        ("code=\"ai_failed\"", true),
        ("code=\"insufficient_tokens\"", true),
        ("a session was ended", true),
        ("an API key was made", true),
        ("an API key was revoked", true),
        ("a current password was wrong", true),
        ("password changed", true),
        ("logged out", true),
        ("a balance was adjusted", true),
        ("standing was changed", true),
        ("all sessions of a user were ended", true),
        ("an API key of a user was revoked", true),
        ("all API keys of a user were revoked", true),
        ("a user was sent a link for a new password", true),
        ("account deleted", true),
        ("a user was created", false),
        ("exporting", false),
        ("code=\"invalid_token\"", false),
    ] {
        let mut lines = text.lines().filter(|line| line.contains(what)).peekable();
        assert!(lines.peek().is_some(), "no line says {what}: {text}");
        let complete = |line: &str| {
            let timed = line.starts_with("20") && line.contains('Z');
            timed && line.contains("request_id=\"") && (!of_ann || line.contains(&ann.id))
        };
        assert!(lines.any(complete), "no line says all of {what}: {text}");
    }
    assert!(!text.contains("127.0.0.1"), "a line contains an IP address: {text}");
}
