//! The requests that the clients of five existing systems send. Every field that a client reads
//! must exist and have the right type, whether or not the path ends with a slash. The balance has
//! the paths `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/balance` and
//! `GET /api/user/balance`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::openai::completions::{Program, asking, streamed};
use crate::endpoints::openai::responses::input;
use crate::support::client::{Api, GRANT, PRICE, unique};

const SLASHES: [&str; 2] = ["/", ""];

/// Asserts that each field is a nonempty string.
#[track_caller]
pub fn reads_texts(body: &Value, fields: &[&str]) {
    for field in fields {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {body}");
    }
}

/// Asserts that each field is this number.
#[track_caller]
fn reads_numbers(body: &Value, fields: &[&str], number: u64) {
    for field in fields {
        assert_eq!(body[field], json!(number), "{field} of {body}");
    }
}

/// The value of an `Authorization` header that contains the access token from this field of `body`.
fn header(scheme: &str, body: &Value, field: &str) -> String {
    format!("{scheme} {}", body[field].as_str().unwrap())
}

async fn get(api: &Api, path: &str, authorization: &str) -> Value {
    api.send(Method::GET, path, &[("authorization", authorization)], None).await.is(200)
}

async fn post(api: &Api, path: &str, authorization: &str, body: Value) -> Value {
    api.send(Method::POST, path, &[("authorization", authorization)], Some(body)).await.is(200)
}

#[tokio::test]
async fn dialect_a_says_token_and_reads_tokens_left() {
    let api = Api::start().await;
    for slash in SLASHES {
        let ann = json!({ "username": unique("ann"), "password": "testpass123" });
        let registered = api.post(&format!("/api/register{slash}"), ann.clone()).await.is(201);
        reads_texts(&registered, &["message"]);
        reads_numbers(&registered, &["tokens"], GRANT);

        let session = api.post(&format!("/api/login{slash}"), ann).await.is(200);
        reads_texts(&session, &["message", "token"]);
        reads_numbers(&session, &["tokens_left"], GRANT);

        let token = header("Token", &session, "token");
        let chat = post(
            &api,
            &format!("/api/chat{slash}"),
            &token,
            json!({ "message": "What is a fare?" }),
        )
        .await;
        reads_texts(&chat, &["message", "response"]);
        reads_numbers(&chat, &["tokens_left"], GRANT - PRICE);

        reads_numbers(
            &get(&api, &format!("/api/tokens{slash}"), &token).await,
            &["tokens_left"],
            GRANT - PRICE,
        );
    }
}

#[tokio::test]
async fn dialect_b_may_send_its_token_in_the_body() {
    let api = Api::start().await;
    for slash in SLASHES {
        let ben = json!({ "username": unique("ben"), "password": "secret123" });
        let registered = api.post(&format!("/api/register{slash}"), ben.clone()).await.is(201);
        reads_texts(&registered, &["message"]);
        reads_numbers(&registered, &["tokens"], GRANT);

        let session = api.post(&format!("/api/login{slash}"), ben).await.is(200);
        reads_texts(&session, &["token"]);

        let (path, token) = (format!("/api/chat{slash}"), header("Bearer", &session, "token"));
        let by_header = post(&api, &path, &token, json!({ "message": "hi" })).await;
        let by_body =
            api.post(&path, json!({ "message": "hi", "token": session["token"] })).await.is(200);
        for chat in [by_header, by_body] {
            reads_texts(&chat, &["response"]);
            reads_numbers(&chat, &["tokens_deducted"], PRICE);
        }

        reads_numbers(
            &get(&api, &format!("/api/token_balance{slash}"), &token).await,
            &["tokens"],
            GRANT - 2 * PRICE,
        );
    }
}

#[tokio::test]
async fn dialect_c_registers_with_password1_and_logs_in_by_address() {
    let api = Api::start().await;
    for slash in SLASHES {
        let (name, email) = (unique("cleo"), format!("{}@example.com", unique("cleo")));
        let register = format!("/api/register{slash}");
        let plain = api
            .post(&register, json!({ "username": unique("cleo"), "password": "strongpassword" }))
            .await
            .is(201);
        let with_email =
            api.post(&register, json!({ "username": name, "email": email, "password1": "StrongPass123!", "password2": "StrongPass123!" })).await;
        for registered in [plain, with_email.is(201)] {
            reads_texts(&registered, &["message", "token"]);
        }

        for login in
            [json!({ "username": name }), json!({ "username": email }), json!({ "email": email })]
        {
            let mut login = login;
            login["password"] = json!("StrongPass123!");
            let session = api.post(&format!("/api/login{slash}"), login).await.is(200);
            reads_texts(&session, &["token"]);
            get(&api, &format!("/api/tokens{slash}"), &header("Token", &session, "token")).await;
        }

        let session = api
            .post(
                &format!("/api/login{slash}"),
                json!({ "username": email, "password": "StrongPass123!" }),
            )
            .await
            .is(200);
        let token = header("Token", &session, "token");
        let chat =
            post(&api, &format!("/api/chat{slash}"), &token, json!({ "message": "hi" })).await;
        reads_texts(&chat, &["response"]);
        reads_numbers(&chat, &["remaining_tokens"], GRANT - PRICE);
        reads_numbers(
            &get(&api, &format!("/api/tokens{slash}"), &token).await,
            &["tokens"],
            GRANT - PRICE,
        );
    }
}

#[tokio::test]
async fn dialect_d_reads_the_refusals_of_simplejwt() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let wrong = api.log_in(json!({ "username": ann.name, "password": "wrong-password" })).await;
    let wrong = wrong.expect(401, "invalid_credentials");
    assert_eq!(wrong["detail"], "No active account found with the given credentials");
    let two = "Authorization header must contain two space-delimited values";
    let refresh = format!("Bearer {}", ann.refresh);
    for (authorization, code, detail, message) in [
        (None, "not_authenticated", "Authentication credentials were not provided.", None),
        (Some("Bearer"), "bad_authorization_header", two, None),
        (Some("Bearer a b"), "bad_authorization_header", two, None),
        (Some("Bearer x"), "token_not_valid", NO_TYPE, Some("Token is invalid")),
        (Some(refresh.as_str()), "token_not_valid", NO_TYPE, Some("Token has wrong type")),
    ] {
        let headers = authorization.map(|value| ("authorization", value));
        for path in ["/api/tokens/", "/api/user/profile/", "/api/chat/"] {
            let answer = api.send(Method::GET, path, headers.as_slice(), None).await;
            let refused = answer.expect(401, code);
            assert_eq!(refused["detail"], detail);
            assert_eq!(refused["messages"][0]["message"].as_str(), message, "{refused}");
        }
    }
}

/// The error message for an access token that isn't accepted.
const NO_TYPE: &str = "Given token not valid for any token type";

#[tokio::test]
async fn dialect_d_refreshes_access_and_reads_a_bare_chat_list() {
    let api = Api::start().await;
    for slash in SLASHES {
        let name = unique("dora");
        let dora = json!({ "username": name, "password": "StrongPass123!", "password2": "StrongPass123!" });
        let registered = api.post(&format!("/api/register{slash}"), dora).await.is(201);
        reads_texts(&registered, &["id", "username"]);
        reads_numbers(&registered, &["tokens"], GRANT);

        let session = api
            .post(
                &format!("/api/token{slash}"),
                json!({ "username": name, "password": "StrongPass123!" }),
            )
            .await
            .is(200);
        reads_texts(&session, &["access", "refresh"]);
        let refreshed = api
            .post(&format!("/api/token/refresh{slash}"), json!({ "refresh": session["refresh"] }))
            .await
            .is(200);
        reads_texts(&refreshed, &["access"]);

        let access = header("Bearer", &refreshed, "access");
        let chat =
            post(&api, &format!("/api/chat{slash}"), &access, json!({ "message": "hi" })).await;
        reads_texts(&chat, &["response"]);
        reads_numbers(
            &chat,
            &["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"],
            GRANT - PRICE,
        );

        let chats = get(&api, &format!("/api/chat{slash}"), &access).await;
        assert_eq!(chats.as_array().map(Vec::len), Some(1), "{chats}");
        reads_texts(&chats[0], &["message", "response"]);
        reads_numbers(
            &get(&api, &format!("/api/user/balance{slash}"), &access).await,
            &["tokens"],
            GRANT - PRICE,
        );

        let profile = get(&api, &format!("/api/user/profile{slash}"), &access).await;
        assert_eq!(profile["username"], json!(name));
        assert_eq!(profile["id"], registered["id"]);
    }
}

#[tokio::test]
async fn dialect_e_logs_in_at_either_path_and_sends_chat_msg() {
    let api = Api::start().await;
    for slash in SLASHES {
        let eve = json!({ "username": unique("eve"), "password": "secret123" });
        api.post(&format!("/api/register{slash}"), eve.clone()).await.is(201);

        let mut left = GRANT;
        for login in ["/api/login", "/api/token"] {
            let session = api.post(&format!("{login}{slash}"), eve.clone()).await.is(200);
            reads_texts(&session, &["access", "refresh"]);
            let refreshed = api
                .post(
                    &format!("/api/token/refresh{slash}"),
                    json!({ "refresh": session["refresh"] }),
                )
                .await
                .is(200);
            reads_texts(&refreshed, &["access"]);

            let access = header("Bearer", &refreshed, "access");
            let chat =
                post(&api, &format!("/api/chat_msg{slash}"), &access, json!({ "message": "hi" }))
                    .await;
            left -= PRICE;
            let chats = get(&api, &format!("/api/chat{slash}"), &access).await;
            for chat in [&chat, &chats[0]] {
                reads_texts(chat, &["message", "response", "timestamp"]);
            }
            reads_numbers(
                &get(&api, &format!("/api/tokenbalance{slash}"), &access).await,
                &["tokens"],
                left,
            );
        }
    }
}

#[tokio::test]
async fn balance_paths_take_every_token_under_each_scheme() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for path in [
        "/api/tokens",
        "/api/token_balance",
        "/api/tokenbalance",
        "/api/balance",
        "/api/user/balance",
    ] {
        for scheme in ["Token", "token", "TOKEN", "Bearer", "bearer", "bEARER", "JWT", "jwt"] {
            for token in [&ann.token, &ann.access] {
                let balance = get(&api, path, &format!("{scheme} {token}")).await;
                reads_numbers(
                    &balance,
                    &["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"],
                    GRANT,
                );
            }
        }
    }
}

#[tokio::test]
async fn refusals_mention_the_top_up_only_in_their_sentence() {
    let advised = Api::own(&[
        ("TOP_UP_TEXT", "Buy more in our shop."),
        ("TOP_UP_URL", "https://shop.example.com/tokens"),
    ])
    .await;
    let plain = Api::own(&[]).await;
    let refusals = async |api: &Api| {
        let ann = api.person("ann").await;
        let program = Program::of(&ann).await;
        ann.has_left(PRICE - 1).await;
        let token = json!({ "message": "hi", "token": ann.token });
        [
            ann.chat("hi").await.expect(402, "insufficient_tokens"),
            ann.post("/api/chat/stream/", json!({ "message": "hi" }))
                .await
                .expect(402, "insufficient_tokens"),
            api.post("/api/chat_msg", token).await.expect(402, "insufficient_tokens"),
            program.send(&[], asking("hi")).await.expect(402, "insufficient_tokens"),
            program.send(&[], streamed("hi")).await.expect(402, "insufficient_tokens"),
            program.responds(&[], input("hi")).await.expect(402, "insufficient_tokens"),
        ]
    };
    for (mut told, mut untold) in refusals(&advised).await.into_iter().zip(refusals(&plain).await) {
        let sentence = |refusal: &mut Value| {
            refusal.as_object_mut().unwrap().remove("request_id");
            // Clients of Django systems also read the error message in `error`.
            if refusal["error"].is_string() {
                assert_eq!(refusal["error"].take(), refusal["detail"]);
            }
            let is_openai = refusal["error"].is_object();
            let field =
                if is_openai { &mut refusal["error"]["message"] } else { &mut refusal["detail"] };
            field.take().as_str().unwrap().to_owned()
        };
        let (with, without) = (sentence(&mut told), sentence(&mut untold));
        let advice = "Buy more in our shop: https://shop.example.com/tokens";
        assert_eq!(with, format!("{without} {advice}"));
        assert!(without.ends_with("Nothing was charged."), "{without}");
        assert_eq!(told, untold);
    }
}

/// The clients of systems D and E use djangorestframework-simplejwt, and refresh their token when
/// they get the error code `token_not_valid`.
#[tokio::test]
async fn simplejwt_clients_read_its_code_and_fields() {
    let api = Api::start().await;
    let invalid = [("authorization", "Bearer x")];
    let message = Some(json!({ "message": "hi" }));
    for (method, path, body) in [
        (Method::GET, "/api/user/profile/", None),
        (Method::GET, "/api/user/balance/", None),
        (Method::GET, "/api/tokenbalance/", None),
        (Method::GET, "/api/chat/", None),
        (Method::POST, "/api/chat/", message.clone()),
        (Method::POST, "/api/chat_msg/", message),
    ] {
        let refused = api.send(method, path, &invalid, body).await.expect(401, "token_not_valid");
        let kind = &refused["messages"][0];
        assert_eq!(
            (&kind["token_class"], &kind["token_type"]),
            (&json!("AccessToken"), &json!("access"))
        );
        reads_texts(kind, &["message"]);
        reads_texts(&refused, &["detail"]);
    }
    for (path, fields) in [
        ("/api/token/", &["username", "password"][..]),
        ("/api/login/", &["username", "password"]),
        ("/api/token/refresh/", &["refresh"]),
        ("/api/token/verify/", &["token"]),
        ("/api/token/blacklist/", &["refresh"]),
    ] {
        let refused = api.post(path, json!({})).await.expect(400, "invalid_fields");
        for field in fields {
            assert_eq!(refused[field], json!(["This field is required."]), "{path}: {refused}");
            assert_eq!(refused["errors"][field], refused[field]);
        }
    }
    api.refresh("x").await.expect(401, "token_not_valid");
}
