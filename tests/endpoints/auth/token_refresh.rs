//! `POST /api/token/refresh`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Answer, Api, Person};
use crate::support::forge::{self, Forge};

/// Returns the access token and the refresh token in the reply to a successful refresh.
fn tokens(granted: Answer) -> (String, String) {
    let body = granted.is(200);
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("access"), text("refresh"))
}

/// Returns Ann's refresh token with a different value for a claim, signed with the API's key.
fn claiming(api: &Api, ann: &Person, claim: &str, value: impl Into<serde_json::Value>) -> String {
    Forge::of(api).sign(
        &forge::header(&ann.refresh),
        &forge::with(&forge::claims(&ann.refresh), claim, value.into()),
    )
}

#[tokio::test]
async fn refreshes_return_an_access_token_and_a_successor() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let answer = api.refresh(&ann.refresh).await;
    let fields: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["access", "refresh"]);
    let (access, refresh) = tokens(answer);
    assert_ne!(refresh, ann.refresh);
    assert_eq!(ann.using(&access).profile().await.is(200)["id"], json!(ann.id));
    let [first, next] = [&ann.refresh, &refresh].map(|token| forge::claims(token));
    assert_eq!(
        forge::with(&next, "generation", None),
        forge::with(&first, "generation", None),
        "the end of the session stays"
    );
}

#[tokio::test]
async fn twenty_parallel_refreshes_return_one_successor() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let refreshed =
        join_all((0..20).map(|_| api.refresh(&ann.refresh))).await.into_iter().map(tokens);
    let (accesses, successors): (Vec<String>, Vec<String>) = refreshed.unzip();
    assert!(successors.iter().all(|successor| *successor == successors[0]), "{successors:?}");
    ann.using(&accesses[19]).profile().await.is(200);
    api.refresh(&successors[0]).await.is(200);
}

#[tokio::test]
async fn reused_refresh_tokens_end_the_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (_, second) = tokens(api.refresh(&ann.refresh).await);
    let (_, third) = tokens(api.refresh(&second).await);
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    for token in [&ann.refresh, &second, &third] {
        api.refresh(token).await.expect(401, "token_not_valid");
    }
    assert!(api.items(&ann.id).await["TokensTable"].is_empty(), "the session is gone");
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn a_thief_who_alternates_with_the_owner_is_detected() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (_, mut shared) = tokens(api.refresh(&ann.refresh).await);
    // The thief and the owner have the same refresh token, and take turns every half hour.
    for _ in 0..20 {
        let (_, next) = tokens(api.refresh(&shared).await);
        api.server().clock.advance(Duration::from_secs(1800));
        let second = api.refresh(&shared).await;
        if second.status == 401 {
            api.refresh(&next).await.expect(401, "token_not_valid");
            ann.profile().await.expect(401, "token_not_valid");
            return;
        }
        shared = next;
    }
    panic!("not noticed in twenty rounds");
}

#[tokio::test]
async fn refresh_tokens_can_be_retried_for_ten_minutes() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let (_, second) = tokens(api.refresh(&ann.refresh).await);
    let (_, third) = tokens(api.refresh(&second).await);
    for _ in 0..3 {
        api.server().clock.advance(Duration::from_secs(180));
        assert_eq!(tokens(api.refresh(&second).await).1, third, "a lost reply, or another tab");
    }
    for _ in 0..3 {
        api.server().clock.advance(Duration::from_secs(86_400));
        tokens(api.refresh(&ben.refresh).await);
    }
    let (_, fourth) = tokens(api.refresh(&third).await);
    api.server().clock.advance(Duration::from_secs(601));
    api.refresh(&third).await.expect(401, "token_not_valid");
    api.refresh(&fourth).await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn ending_one_session_ends_no_other() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let other = ann.log_in().await.is(200);
    ann.is_robbed().await;
    api.refresh(other["refresh"].as_str().unwrap()).await.is(200);
    ann.using(other["access"].as_str().unwrap()).profile().await.is(200);
}

/// RFC 9700, 4.14.2: a thief who has stolen a refresh token may also have an access token of the
/// same session.
#[tokio::test]
async fn sessions_ended_by_reuse_lose_their_access_tokens() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (access, second) = tokens(api.refresh(&ann.refresh).await);
    api.refresh(&second).await.is(200);
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    for token in [&access, &ann.access, &ann.token] {
        ann.using(token).profile().await.expect(401, "token_not_valid");
    }
}

#[tokio::test]
async fn forged_old_tokens_end_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (_, second) = tokens(api.refresh(&ann.refresh).await);
    api.refresh(&second).await.is(200);
    let ben = api.person("ben").await;
    let before = api.items(&ann.id).await;
    for token in [
        Forge::of_a_stranger().sign(&forge::header(&ann.refresh), &forge::claims(&ann.refresh)),
        forge::unsigned(&forge::header(&ann.refresh), &forge::claims(&ann.refresh)),
        claiming(&api, &ann, "sub", ben.id.as_str()),
        claiming(&api, &ann, "exp", 1),
        claiming(&api, &ann, "generation", 7),
        claiming(&api, &ann, "generation", -1),
        claiming(&api, &ann, "generation", u64::MAX),
        claiming(&api, &ann, "sid", "00000000-0000-4000-8000-000000000000"),
    ] {
        api.refresh(&token).await.expect(401, "token_not_valid");
    }
    assert_eq!(api.items(&ann.id).await, before);
    api.refresh(&second).await.is(200);
    // This test also signs an already replaced token with unchanged claims. That token is
    // recognized and ends the session, so the tokens above were refused because of their changed
    // claims, and not because of their signatures.
    let dead = claiming(&api, &ann, "generation", 0);
    assert_eq!(forge::claims(&dead), forge::claims(&ann.refresh));
    api.refresh(&dead).await.expect(401, "token_not_valid");
    api.refresh(&second).await.expect(401, "token_not_valid");
}

#[tokio::test]
async fn invalid_refresh_tokens_are_refused_and_change_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for body in [
        json!({}),
        json!({ "refresh": null }),
        json!({ "refresh": "" }),
        json!({ "token": ann.refresh }),
    ] {
        let refused = api.post("/api/token/refresh/", body).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["refresh"].is_array(), "{refused}");
    }
    let tampered = format!("{}x", ann.refresh);
    for token in [
        "nonsense",
        "..",
        "a.b.c",
        ann.access.as_str(),
        &ann.token,
        &tampered,
        &format!("Bearer {}", ann.refresh),
        &"x".repeat(20_000),
    ] {
        api.refresh(token).await.expect(401, "token_not_valid");
    }
    assert_eq!(api.items(&ann.id).await, before);
    api.refresh(&ann.refresh).await.is(200);
}

#[tokio::test]
async fn tokens_of_deactivated_or_replaced_accounts_are_refused() {
    let api = Api::start().await;
    for (attribute, value) in [
        ("active", AttributeValue::Bool(false)),
        ("auth_epoch", AttributeValue::N("2".into())),
        ("id", AttributeValue::S("00000000-0000-7000-8000-000000000000".into())),
    ] {
        let ann = api.person("ann").await;
        api.set(&ann, attribute, value).await;
        api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    }
}

#[tokio::test]
async fn refreshes_do_not_extend_the_session() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let mut refresh = ann.refresh.clone();
    for _ in 0..29 {
        api.server().clock.advance(Duration::from_secs(86_400));
        refresh = tokens(api.refresh(&refresh).await).1;
    }
    api.server().clock.advance(Duration::from_secs(86_400 + 1));
    api.refresh(&refresh).await.expect(401, "token_not_valid");
}
