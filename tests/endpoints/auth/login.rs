//! `POST /api/login`, `POST /api/token`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Answer, Api, GRANT, unique};
use crate::support::forge;

/// The status, headers and body of a reply, without the parts that differ in every reply.
pub fn looks(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let own = ["x-request-id", "date", "apigw-requestid"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, forge::with(&answer.body, "request_id", None))
}

#[tokio::test]
async fn names_and_addresses_log_in_with_the_password() {
    let api = Api::start().await;
    let (name, email) = (unique("Ann"), format!("{}@Example.com", unique("ann")));
    let ann = api.person_at(&name, &email).await;
    for login in [
        json!({ "username": name }),
        json!({ "username": name.to_uppercase() }),
        json!({ "username": email }),
        json!({ "username": email.to_lowercase() }),
        json!({ "email": email }),
        json!({ "email": name }),
        json!({ "username": "", "email": email }),
        json!({ "username": name, "email": "is-not-looked-at@example.com" }),
    ] {
        let mut login = login;
        login["password"] = json!("secret123");
        let session = api.log_in(login.clone()).await.is(200);
        assert_eq!(session["user"]["id"], json!(ann.id), "{login}");
        assert_eq!(
            [&session["tokens"], &session["tokens_left"], &session["remaining_tokens"]],
            [GRANT, GRANT, GRANT]
        );
        for token in ["token", "access"] {
            ann.using(session[token].as_str().unwrap()).profile().await.is(200);
        }
        api.refresh(session["refresh"].as_str().unwrap()).await.is(200);
    }
}

#[tokio::test]
async fn forms_register_log_in_and_refresh_like_json() {
    let api = Api::start().await;
    let send = async |path: &str, form: &str| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        api.raw(Method::POST, path, &headers, form.as_bytes().to_vec()).await
    };
    let name = unique("ann");
    let password = "password=two+words%2B%C3%A9&password2=two%20words%2b%c3%a9";
    let form = format!("username={name}&email={name}%40example.com&{password}&csrf=x");
    let registered = send("/api/register/", &form).await.is(201);
    assert_eq!(registered["email"], format!("{name}@example.com"));
    let json = json!({ "username": name, "password": "two words+\u{e9}" });
    api.log_in(json).await.is(200);
    for path in ["/api/login/", "/api/token"] {
        let session = send(path, &format!("username={name}&{password}")).await.is(200);
        let refresh = format!("refresh={}", session["refresh"].as_str().unwrap());
        send("/api/token/refresh/", &refresh).await.is(200);
        send(path, &format!("username={name}&password=another"))
            .await
            .expect(401, "invalid_credentials");
        let twice = format!("username={name}&{password}&password=x");
        send(path, &twice).await.expect(400, "malformed_request");
    }
    let missing = send("/api/token/", "username=&password=x").await.expect(400, "invalid_fields");
    assert_eq!(missing["errors"]["username"], json!(["This field is required."]));
}

#[tokio::test]
async fn each_log_in_begins_a_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let other = ann.log_in().await.is(200);
    let session = |token: &str| forge::claims(token)["sid"].clone();
    assert_ne!(session(&ann.refresh), session(other["refresh"].as_str().unwrap()));
    assert_eq!(api.items(&ann.id).await["TokensTable"].len(), 2);
}

#[tokio::test]
async fn failed_log_ins_do_not_show_their_reason() {
    let api = Api::start().await;
    let (ann, gone) = (api.person("ann").await, api.person("gone").await);
    api.set(&gone, "active", AttributeValue::Bool(false)).await;
    let before = (api.items(&ann.id).await, api.items(&gone.id).await);

    let mut seen = Vec::new();
    let longer = format!("{}x", "secret123".repeat(40));
    for (name, password) in [
        (ann.name.as_str(), "wrong-password"),
        (&ann.name, "secret12"),
        (&ann.name, "secret1234"),
        (&ann.name, "SECRET123"),
        (&ann.name, " secret123"),
        (&ann.name, &longer),
        (&gone.name, "secret123"),
        (&gone.name, "wrong-password"),
        (&unique("nobody"), "secret123"),
        (&format!("{}@example.com", unique("nobody")), "secret123"),
        ("no name at all \0 😀", "secret123"),
        (&format!("user:{}", ann.name), "secret123"),
        (&"x".repeat(10_000), "secret123"),
    ] {
        let answer = api.log_in(json!({ "username": name, "password": password })).await;
        seen.push(looks(&answer));
        answer.expect(401, "invalid_credentials");
    }
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    assert_eq!((api.items(&ann.id).await, api.items(&gone.id).await), before);
}

#[tokio::test]
async fn passwords_count_to_their_last_byte() {
    let api = Api::start().await;
    let password = "x".repeat(256);
    let ann = api.person_with(json!({ "username": unique("ann"), "password": password })).await;
    let other = format!("{}y", &password[1..]);
    api.log_in(json!({ "username": ann.name, "password": other }))
        .await
        .expect(401, "invalid_credentials");
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn passwords_ignore_the_unicode_form() {
    let api = Api::start().await;
    let composed = "caf\u{e9} cr\u{e8}me";
    let ann = api.person_with(json!({ "username": unique("ann"), "password": composed })).await;
    api.log_in(json!({ "username": ann.name, "password": "cafe\u{301} cre\u{300}me" }))
        .await
        .is(200);
}

#[tokio::test]
async fn missing_names_and_passwords_are_named() {
    let api = Api::start().await;
    for (login, fields) in [
        (json!({}), vec!["password", "username"]),
        (json!({ "username": "ann" }), vec!["password"]),
        (json!({ "email": "ann@example.com" }), vec!["password"]),
        (json!({ "password": "secret123" }), vec!["username"]),
        (json!({ "username": "", "email": "", "password": "secret123" }), vec!["username"]),
        (json!({ "username": "ann", "password": "" }), vec!["password"]),
        (json!({ "username": null, "password": null }), vec!["password", "username"]),
    ] {
        let refused = api.log_in(login).await.expect(400, "invalid_fields");
        let named: Vec<&str> =
            refused["errors"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named, fields, "{refused}");
    }
}

#[tokio::test]
async fn sessions_show_the_balance_without_expired_holds() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.holds(&[("crashed", 1)]).await;
    ann.has_left(GRANT - 100).await;
    assert_eq!(ann.log_in().await.is(200)["tokens"], GRANT);
}

#[tokio::test]
async fn sessions_last_thirty_days() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let clock = &api.server().clock;
    clock.advance(Duration::from_secs(30 * 86_400 - 60));
    api.refresh(&ann.refresh).await.is(200);
    ann.using(&ann.token).profile().await.is(200);
    clock.advance(Duration::from_secs(60 + 62));
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    ann.using(&ann.token).profile().await.expect(401, "token_not_valid");
    ann.log_in().await.is(200);
}
