//! `CLIENT_STATUSES`, which gives some replies the statuses that one system's clients expect:
//! `POST /api/login`, `POST /api/token`, `POST /api/chat`, `POST /api/chat_msg`.

use serde_json::json;

use crate::endpoints::openai::completions::{Program, asking};
use crate::support::client::{Api, PRICE, unique};

/// The statuses for a message, for an empty balance, and for a refused log-in.
type Statuses = (u16, u16, u16);

#[tokio::test]
async fn messages_and_log_ins_have_the_statuses_of_the_setting() {
    for (setting, (message, balance, login)) in [
        ("", (200, 402, 401)),
        ("message=200,balance=402,login=401", (200, 402, 401)),
        ("message=201", (201, 402, 401)),
        ("balance=403,login=400", (200, 403, 400)),
        ("login=400,message=201,balance=400", (201, 400, 400)),
    ] as [(&str, Statuses); 5]
    {
        let api = Api::own(&[("CLIENT_STATUSES", setting)]).await;
        let ann = api.person("ann").await;
        let program = Program::of(&ann).await;
        for path in ["/api/chat/", "/api/chat_msg/"] {
            ann.post_once(path, path, json!({ "message": "hi" })).await.is(message);
            ann.post_once(path, path, json!({ "message": "hi" })).await.is(message);
        }
        let wrong = json!({ "username": ann.name, "password": "wrong-password" });
        for path in ["/api/login/", "/api/token/"] {
            let refused = api.post(path, wrong.clone()).await.expect(login, "invalid_credentials");
            assert_eq!(refused["status"], json!(login));
            api.post(path, ann.credentials()).await.is(200);
        }
        ann.has_left(PRICE - 1).await;
        for path in ["/api/chat/", "/api/chat_msg/"] {
            let refused = ann.post(path, json!({ "message": "hi" })).await;
            let refused = refused.expect(balance, "insufficient_tokens");
            assert_eq!(refused["status"], json!(balance));
        }

        // Endpoints that no old client calls keep their statuses, and so do replies in which the
        // systems don't differ.
        program.send(&[], asking("hi")).await.expect(402, "insufficient_tokens");
        let streamed = ann.post("/api/chat/stream/", json!({ "message": "hi" })).await;
        streamed.expect(402, "insufficient_tokens");
        api.get("/api/tokens/").await.expect(401, "not_authenticated");
        api.refresh("x").await.expect(401, "token_not_valid");
        ann.history("").await.is(200);
        let ben = json!({ "username": unique("ben"), "password": "secret123" });
        api.register(ben.clone()).await.is(201);
        api.register(ben).await.expect(400, "username_taken");
    }
}
