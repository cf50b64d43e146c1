//! `POST /api/token/verify`, as clients of djangorestframework-simplejwt call it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::client::{Answer, Api};
use crate::support::forge::{self, Forge};

impl Api {
    pub async fn verify(&self, token: &str) -> Answer {
        self.post("/api/token/verify/", json!({ "token": token })).await
    }
}

#[tokio::test]
async fn valid_tokens_of_either_kind_get_an_empty_object() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for token in [&ann.access, &ann.token, &ann.refresh] {
        assert_eq!(api.verify(token).await.is(200), json!({}));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let form = format!("token={token}").into_bytes();
        let answer = api.raw(Method::POST, "/api/token/verify", &headers, form).await;
        assert_eq!(answer.is(200), json!({}));
    }
    assert_eq!(api.items(&ann.id).await, before, "a check changes nothing");
}

#[tokio::test]
async fn invalid_tokens_are_refused_in_simplejwt_form() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let device = ann.log_in().await.header("x-device-token").to_owned();
    let key = ann.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
    let stranger = Forge::of_a_stranger();
    let forged = stranger.sign(&forge::header(&ann.access), &forge::claims(&ann.access));
    for token in ["x", "a.b.c", &forged, &device, &key] {
        let refused = api.verify(token).await.expect(401, "token_not_valid");
        assert_eq!(refused["detail"], "Token is invalid");
    }
    for body in [json!({}), json!({ "token": "" }), json!({ "token": null })] {
        let refused = api.post("/api/token/verify/", body).await.expect(400, "invalid_fields");
        assert_eq!(refused["token"], json!(["This field is required."]));
    }
    api.server().clock.advance(Duration::from_secs(3600 + 62));
    let expired = api.verify(&ann.access).await.expect(401, "token_not_valid");
    assert_eq!(expired["detail"], "Token is expired");
    api.verify(&ann.token).await.is(200);
    let ben = api.person("ben").await;
    ben.log_out().await.is(200);
    for token in [&ben.access, &ben.token] {
        api.verify(token).await.expect(401, "token_not_valid");
    }
    let ended = api.verify(&ben.refresh).await.expect(400, "token_blacklisted");
    assert_eq!(ended["non_field_errors"], json!(["Token is blacklisted"]));
}

#[tokio::test]
async fn refresh_tokens_are_valid_while_usable_and_stay_unspent() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let next = async |refresh: &str| {
        api.refresh(refresh).await.is(200)["refresh"].as_str().unwrap().to_owned()
    };
    let second = next(&ann.refresh).await;
    for token in [&ann.refresh, &second] {
        api.verify(token).await.is(200);
    }
    let third = next(&second).await;
    for _ in 0..2 {
        api.verify(&ann.refresh).await.expect(400, "token_blacklisted");
        api.verify(&second).await.is(200);
        api.verify(&third).await.is(200);
    }
    api.server().clock.advance(Duration::from_secs(601));
    api.verify(&second).await.expect(400, "token_blacklisted");
    let claims = forge::with(&forge::claims(&third), "generation", json!(9));
    let ahead = Forge::of(&api).sign(&forge::header(&third), &claims);
    api.verify(&ahead).await.expect(401, "token_not_valid");
    // The checks didn't count as uses of the refresh token.
    next(&third).await;
}
