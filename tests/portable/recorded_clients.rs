//! Replays what the clients of eleven recorded Django back ends send and read, step by step. Each
//! field that a client reads must exist, with the same type as in the client's own back end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::portable::dialects::reads_texts;
use crate::support::client::{Answer, Api, GRANT, PRICE, Person, unique};

const PASSWORD: &str = "secret123";

/// The paths that return the balance.
const BALANCES: [&str; 5] = [
    "/api/tokens/",
    "/api/token_balance/",
    "/api/tokenbalance/",
    "/api/balance/",
    "/api/user/balance/",
];

/// Asserts that each of the balance's fields contains this value.
#[track_caller]
fn reads_balance(body: &Value, balance: u64) {
    for name in ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"] {
        assert_eq!(body[name], json!(balance), "{name} of {body}");
    }
}

/// Asserts that a failure contains its error message in both fields, and returns the failure.
#[track_caller]
fn reads_sentence(refused: Value) -> Value {
    reads_texts(&refused, &["detail", "error", "code", "title"]);
    assert_eq!(refused["error"], refused["detail"]);
    refused
}

/// Asserts that the failure contains exactly one error message about the field, at the top level
/// and in `errors`.
#[track_caller]
fn reads_list(refused: &Value, field: &str) {
    assert_eq!(refused[field].as_array().map(Vec::len), Some(1), "{field} of {refused}");
    assert!(refused[field][0].is_string(), "{refused}");
    assert_eq!(refused["errors"][field], refused[field]);
}

/// Sends a message with this `Authorization` header, in a body with this content type.
async fn sends(api: &Api, authorization: &str, content_type: &str, body: &str) -> Answer {
    let headers = [("authorization", authorization), ("content-type", content_type)];
    api.raw(Method::POST, "/api/chat/", &headers, body.into()).await
}

#[tokio::test]
async fn registrations_have_every_name_of_the_account() {
    let api = Api::start().await;
    let name = unique("ann");
    let registered = api.register(json!({ "username": name, "password": PASSWORD })).await.is(201);
    reads_texts(&registered, &["message", "id", "token", "access", "refresh"]);
    reads_balance(&registered, GRANT);
    for account in [&registered, &registered["user"]] {
        assert_eq!((&account["username"], &account["id"]), (&json!(name), &registered["id"]));
        assert_eq!(account["tokens"], json!(GRANT));
    }
}

#[tokio::test]
async fn taken_names_and_addresses_are_invalid_fields() {
    let api = Api::start().await;
    let (name, address) = (unique("ann"), format!("{}@example.com", unique("ann")));
    let ann = json!({ "username": name, "email": address, "password": PASSWORD });
    let ann = Person::of(&api, &ann, &api.register(ann.clone()).await.is(201));
    let taken = api.register(json!({ "username": name, "password": PASSWORD })).await;
    let taken = reads_sentence(taken.expect(400, "username_taken"));
    assert_eq!(taken["username"], json!([taken["detail"]]));
    assert_eq!(taken["errors"], json!({ "username": taken["username"] }));
    assert_eq!(taken["message"], taken["detail"]);

    let token = api.token_to(&address).await;
    ann.verifies(&token).await.is(200);
    let other = json!({ "username": unique("eve"), "email": address, "password": PASSWORD });
    let taken = reads_sentence(api.register(other).await.expect(400, "email_taken"));
    assert_eq!(taken["email"], json!([taken["detail"]]));
    // On other paths, the name or address of another account still causes a conflict.
    let ben = api.person("ben").await;
    ben.change(json!({ "email": address })).await.expect(409, "email_taken");
}

#[tokio::test]
async fn invalid_registrations_have_a_list_for_each_field() {
    let api = Api::start().await;
    for (body, fields) in [
        (json!({}), &["username", "password"][..]),
        (json!({ "username": "a b", "password": PASSWORD }), &["username"]),
        (json!({ "username": unique("ann"), "password": "12345678" }), &["password"]),
        (
            json!({ "username": unique("ann"), "password": PASSWORD, "email": "nowhere" }),
            &["email"],
        ),
    ] {
        let refused = reads_sentence(api.register(body).await.expect(400, "invalid_fields"));
        for field in fields {
            reads_list(&refused, field);
        }
    }
}

#[tokio::test]
async fn log_ins_have_every_name_of_the_session_and_the_account() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for path in ["/api/login/", "/api/token/"] {
        let session = api.post(path, ann.credentials()).await.is(200);
        reads_texts(&session, &["token", "access", "refresh", "message"]);
        reads_balance(&session, GRANT);
        assert_eq!(session["username"], json!(ann.name));
        assert_eq!(session["user"]["username"], json!(ann.name));
        assert_eq!(session["user"]["id"], json!(ann.id));
        assert_eq!(session["user"]["tokens"], json!(GRANT));
    }
}

#[tokio::test]
async fn refused_log_ins_have_the_sentence_under_each_name() {
    let api = Api::start().await;
    let (ann, inactive) = (api.person("ann").await, api.person("ben").await);
    let active = aws_sdk_dynamodb::types::AttributeValue::Bool(false);
    api.set(&inactive, "active", active).await;
    for path in ["/api/login/", "/api/token/"] {
        for body in [
            json!({ "username": ann.name, "password": "wrong-password" }),
            json!({ "username": unique("unknown"), "password": PASSWORD }),
            inactive.credentials(),
        ] {
            let refused = api.post(path, body).await.expect(401, "invalid_credentials");
            let refused = reads_sentence(refused);
            assert_eq!(refused["non_field_errors"], json!([refused["detail"]]));
            assert_eq!(refused["message"], refused["detail"]);
        }
        let empty = api.post(path, json!({ "username": ann.name })).await;
        reads_list(&reads_sentence(empty.expect(400, "invalid_fields")), "password");
    }
}

#[tokio::test]
async fn refreshed_tokens_and_their_refusals_are_those_of_simplejwt() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    reads_texts(&api.refresh(&ann.refresh).await.is(200), &["access"]);
    let refused = reads_sentence(api.refresh("x").await.expect(401, "token_not_valid"));
    assert_eq!(refused["detail"], "Token is invalid");
}

#[tokio::test]
async fn balances_have_every_name_at_each_path() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for path in BALANCES {
        let balance = ann.get(path).await.is(200);
        reads_balance(&balance, GRANT);
        assert_eq!((&balance["username"], &balance["user"]), (&json!(ann.name), &json!(ann.id)));
        for (authorization, code) in
            [(None, "not_authenticated"), (Some("Bearer x"), "token_not_valid")]
        {
            let headers = authorization.map(|value| ("authorization", value));
            let refused = api.send(Method::GET, path, headers.as_slice(), None).await;
            reads_sentence(refused.expect(401, code));
        }
    }
    let profile = ann.profile().await.is(200);
    reads_texts(&profile, &["id", "username"]);
    reads_balance(&profile, GRANT);
}

#[tokio::test]
async fn tokens_may_come_without_a_scheme() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for token in [&ann.token, &ann.access] {
        let bare = [("authorization", token.as_str())];
        for path in BALANCES {
            reads_balance(&api.send(Method::GET, path, &bare, None).await.is(200), GRANT);
        }
        api.send(Method::GET, "/api/chat/", &bare, None).await.is(200);
    }
    sends(&api, &ann.token, "application/json", r#"{"message": "hi"}"#).await.is(200);
    for refused in ["abc", "a.b", "a.b.", "a.b.c.d"] {
        let answer = api.send(Method::GET, BALANCES[0], &[("authorization", refused)], None).await;
        answer.expect(401, "token_not_valid");
    }
    // OpenAI's clients don't send bare tokens, so `/v1` refuses them.
    let bare = [("authorization", ann.token.as_str())];
    let models = api.send(Method::GET, "/v1/models", &bare, None).await;
    models.expect(401, "invalid_api_key");
}

#[tokio::test]
async fn messages_have_every_name_from_json_and_from_forms() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let bearer = ann.bearer();
    let part = "Content-Disposition: form-data; name=\"message\"\r\n\r\nIs 1 + 1 = 2?";
    let multipart = format!("--limit\r\n{part}\r\n--limit--\r\n");
    let mut left = GRANT;
    for (content_type, body) in [
        ("application/json", r#"{"message": "Is 1 + 1 = 2?"}"#),
        ("application/x-www-form-urlencoded", "message=Is+1+%2B+1+%3D+2%3F&max_cost=4000"),
        ("multipart/form-data; boundary=limit", &multipart),
    ] {
        let chat = sends(&api, &bearer, content_type, body).await.is(200);
        left -= PRICE;
        reads_texts(&chat, &["response", "timestamp", "id"]);
        reads_balance(&chat, left);
        assert_eq!(chat["message"], "Is 1 + 1 = 2?", "{content_type}");
        assert_eq!(chat["chat_id"], chat["id"]);
        assert_eq!((&chat["user"], &chat["username"]), (&json!(ann.id), &json!(ann.name)));
        assert_eq!(chat["tokens_deducted"], json!(PRICE));

        let listed = &ann.history("").await.is(200)[0];
        for name in ["id", "chat_id", "message", "response", "timestamp", "user", "username"] {
            assert_eq!(listed[name], chat[name], "{name}");
        }
    }
    let costly =
        sends(&api, &bearer, "application/x-www-form-urlencoded", "message=hi&max_cost=%2B5");
    costly.await.expect(400, "invalid_fields");
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", "message="),
        ("multipart/form-data; boundary=limit", "--limit--\r\n"),
    ] {
        let refused = sends(&api, &bearer, content_type, body).await;
        reads_list(&reads_sentence(refused.expect(400, "invalid_fields")), "message");
    }
    for content_type in ["multipart/form-data", "multipart/form-data; boundary=other"] {
        let refused = sends(&api, &bearer, content_type, &multipart).await;
        reads_sentence(refused.expect(400, "malformed_request"));
    }
}

#[tokio::test]
async fn refused_messages_have_lists_and_the_sentence() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for path in ["/api/chat/", "/api/chat_msg/"] {
        for body in [json!({}), json!({ "message": "" }), json!({ "message": " " })] {
            let refused = ann.post(path, body).await.expect(400, "invalid_fields");
            reads_list(&reads_sentence(refused), "message");
        }
    }
    ann.has_left(PRICE - 1).await;
    for path in ["/api/chat/", "/api/chat_msg/"] {
        let refused = ann.post(path, json!({ "message": "hi" })).await;
        let refused = reads_sentence(refused.expect(402, "insufficient_tokens"));
        reads_balance(&refused, PRICE - 1);
    }
}
