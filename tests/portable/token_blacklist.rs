//! `POST /api/token/blacklist`, as clients of djangorestframework-simplejwt call it.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Answer, Api};

impl Api {
    pub async fn blacklist(&self, refresh: &str) -> Answer {
        self.post("/api/token/blacklist/", json!({ "refresh": refresh })).await
    }
}

#[tokio::test]
async fn blacklisted_refresh_tokens_end_only_their_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let other = ann.log_in().await.is(200);
    assert_eq!(api.blacklist(&ann.refresh).await.is(200), json!({}));
    let again = api.blacklist(&ann.refresh).await.expect(401, "token_not_valid");
    assert_eq!(again["detail"], "Token is blacklisted");
    let refused = api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    assert_eq!(refused["detail"], "Token is blacklisted");
    for token in [&ann.access, &ann.token] {
        ann.using(token).profile().await.expect(401, "token_not_valid");
    }
    ann.using(other["access"].as_str().unwrap()).profile().await.is(200);
    api.refresh(other["refresh"].as_str().unwrap()).await.is(200);
}

#[tokio::test]
async fn only_refresh_tokens_can_be_blacklisted() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (token, detail) in [
        ("x", "Token is invalid"),
        ("a.b.c", "Token is invalid"),
        (&ann.access, "Token has wrong type"),
        (&ann.token, "Token has wrong type"),
    ] {
        let refused = api.blacklist(token).await.expect(401, "token_not_valid");
        assert_eq!(refused["detail"], detail, "{token}");
    }
    for body in [json!({}), json!({ "refresh": "" }), json!({ "refresh": null })] {
        let refused = api.post("/api/token/blacklist/", body).await.expect(400, "invalid_fields");
        assert_eq!(refused["refresh"], json!(["This field is required."]));
    }
    ann.profile().await.is(200);
    api.refresh(&ann.refresh).await.is(200);
}

#[tokio::test]
async fn outdated_refresh_tokens_are_refused_and_end_their_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let next = async |refresh: &str| {
        api.refresh(refresh).await.is(200)["refresh"].as_str().unwrap().to_owned()
    };
    let second = next(&ann.refresh).await;
    let third = next(&second).await;
    api.blacklist(&ann.refresh).await.expect(401, "token_not_valid");
    api.refresh(&third).await.expect(401, "token_not_valid");
    ann.profile().await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn twenty_parallel_requests_end_the_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let answers = join_all((0..20).map(|_| api.blacklist(&ann.refresh))).await;
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status.as_u16())));
    assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(api.account(&ann).await.revoked.len(), 1);
    ann.profile().await.expect(401, "token_not_valid");
    ann.log_in().await.is(200);
}
