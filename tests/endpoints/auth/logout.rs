//! `POST /api/logout`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{Api, Person};
use crate::support::forge::{self, Forge};

impl Person {
    /// Writes this many revoked sessions directly to the account. They end at `ends`, in seconds
    /// since 1970.
    async fn has_revoked(&self, sessions: usize, ends: u64) {
        let revoked = (0..sessions)
            .map(|index| (format!("old-{index}"), AttributeValue::N(ends.to_string())));
        self.api.set(self, "revoked", AttributeValue::M(revoked.collect())).await;
    }
}

/// A time in the far future and a time in the past, in seconds since 1970.
const FAR: u64 = 9_999_999_999;
const GONE: u64 = 1;

#[tokio::test]
async fn log_outs_end_only_their_session_at_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (phone, tablet, ben) =
        (ann.elsewhere("phone").await, ann.elsewhere("tablet").await, api.person("ben").await);
    assert_eq!(phone.log_out().await.is(200), json!({ "message": "Logged out." }));
    phone.is_out().await;
    for other in [&ann, &tablet, &ben] {
        other.is_in().await;
    }
    assert_eq!(
        api.items(&ann.id).await["TokensTable"]
            .iter()
            .filter(|item| item.to_string().contains(&phone.session()))
            .count(),
        0
    );
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn each_session_token_logs_out_with_any_scheme_and_body() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for scheme in ["Bearer", "Token", "tOKEN"] {
        for (headers, body) in [
            (vec![], ""),
            (vec![("content-type", "text/plain")], ""),
            (vec![("content-type", "application/json")], "{}"),
            (vec![("content-type", "application/json")], "{\"all\": false}"),
            (vec![("content-type", "application/json")], "{\"all\": null, \"refresh\": \"x\"}"),
        ] {
            let here = ann.elsewhere("x").await;
            let authorization =
                format!("{scheme} {}", if body.is_empty() { &here.token } else { &here.access });
            let headers = [vec![("authorization", authorization.as_str())], headers].concat();
            api.raw(Method::POST, "/api/logout", &headers, body.into()).await.is(200);
            here.is_out().await;
        }
    }
    ann.is_in().await;
}

#[tokio::test]
async fn invalid_log_outs_are_refused_and_end_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for all in [json!("true"), json!(1), json!([]), json!({})] {
        let refused =
            ann.post("/api/logout", json!({ "all": all })).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["all"].is_array(), "{refused}");
    }
    let headers = [("authorization", ann.bearer()), ("content-type", "application/json".into())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for body in [" ", "[]", "true", "{", "{\"all\": true", "\0", "{\"all\": true, \"all\": false}"]
    {
        api.raw(Method::POST, "/api/logout", &headers, body.into())
            .await
            .expect(400, "malformed_request");
    }
    ann.using(&ann.refresh).log_out().await.expect(401, "invalid_token");
    let stranger =
        Forge::of_a_stranger().sign(&forge::header(&ann.access), &forge::claims(&ann.access));
    ann.using(stranger).log_out_everywhere().await.expect(401, "invalid_token");
    assert_eq!(api.items(&ann.id).await, before);
    ann.is_in().await;
}

#[tokio::test]
async fn retried_log_outs_succeed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let replies = join_all((0..10).map(|_| ann.log_out())).await;
    for reply in replies {
        reply.is(200);
    }
    ann.log_out().await.is(200);
    ann.is_out().await;
    let ann = ann.elsewhere("x").await;
    ann.log_out_everywhere().await.is(200);
    ann.log_out_everywhere().await.is(200);
    ann.log_out().await.is(200);
    assert_eq!(api.account(&ann).await.auth_epoch, 2, "it rose once");
}

#[tokio::test]
async fn log_outs_everywhere_end_every_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (phone, ben) = (ann.elsewhere("phone").await, api.person("ben").await);
    assert_eq!(
        phone.log_out_everywhere().await.is(200),
        json!({ "message": "Logged out everywhere." })
    );
    phone.is_out().await;
    ann.is_out().await;
    ben.is_in().await;
    let again = ann.elsewhere("phone").await;
    again.is_in().await;
    // A late copy of the request doesn't end sessions that began later.
    ann.log_out_everywhere().await.is(200);
    ann.log_out().await.is(200);
    again.is_in().await;
}

#[tokio::test]
async fn tokens_of_ended_sessions_end_no_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let stolen = ann.elsewhere("thief").await;
    ann.ends(&stolen.session()).await.is(200);
    stolen.log_out_everywhere().await.expect(401, "invalid_token");
    ann.is_in().await;
}

#[tokio::test]
async fn tokens_of_deactivated_or_replaced_accounts_end_nothing() {
    let api = Api::start().await;
    for (attribute, value) in [
        ("active", AttributeValue::Bool(false)),
        ("id", AttributeValue::S("00000000-0000-7000-8000-000000000000".into())),
    ] {
        let ann = api.person("ann").await;
        api.set(&ann, attribute, value).await;
        let before = api.account(&ann).await;
        ann.log_out().await.expect(401, "invalid_token");
        ann.log_out_everywhere().await.expect(401, "invalid_token");
        let after = api.account(&ann).await;
        assert_eq!(
            (before.auth_epoch, before.revoked),
            (after.auth_epoch, after.revoked),
            "{attribute}"
        );
    }
    let ann = api.person("ann").await;
    api.forget(&ann).await;
    ann.log_out().await.expect(401, "invalid_token");
    ann.log_out_everywhere().await.expect(401, "invalid_token");
    let users = &api.items(&ann.name).await["UsersTable"];
    assert!(
        !users.iter().any(|item| item.to_string().contains(&ann.name)),
        "nothing was made in its place"
    );
}

#[tokio::test]
async fn log_outs_are_kept_until_the_last_token_expires() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let ends = forge::claims(&ann.refresh)["exp"].as_u64().unwrap();
    ann.log_out().await.is(200);
    assert_eq!(api.account(&ann).await.revoked, [(ann.session(), ends)].into());
    // If the access token doesn't say when its session ends, the account remembers the log-out for
    // longer.
    let ann = ann.elsewhere("x").await;
    let silent = forge::with(&forge::claims(&ann.access), "session_exp", None);
    ann.using(Forge::of(&api).sign(&forge::header(&ann.access), &silent)).log_out().await.is(200);
    assert!(api.account(&ann).await.revoked[&ann.session()] > ends);
    ann.is_out().await;
}

#[tokio::test]
async fn expired_log_outs_make_room_for_new_ones() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.has_revoked(49, FAR).await;
    let phone = ann.elsewhere("phone").await;
    phone.log_out().await.is(200);
    assert_eq!(api.account(&ann).await.revoked.len(), 50);
    ann.is_in().await;

    ann.has_revoked(50, GONE).await;
    let phone = ann.elsewhere("phone").await;
    phone.log_out().await.is(200);
    phone.is_out().await;
    let account = api.account(&ann).await;
    assert_eq!(account.revoked.keys().collect::<Vec<_>>(), [&phone.session()]);
    assert_eq!(account.auth_epoch, 1);
    ann.is_in().await;
}

#[tokio::test]
async fn the_fifty_first_log_out_ends_all_sessions() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.has_revoked(50, FAR).await;
    let phone = ann.elsewhere("phone").await;
    phone.log_out().await.is(200);
    phone.is_out().await;
    ann.is_out().await;
    let account = api.account(&ann).await;
    assert_eq!((account.auth_epoch, account.revoked.len()), (2, 0));
    phone.log_out().await.is(200);
    ann.elsewhere("phone").await.is_in().await;
}

#[tokio::test]
async fn parallel_log_outs_are_all_remembered() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.has_revoked(47, GONE).await;
    let here = join_all((0..8).map(|_| ann.elsewhere("x"))).await;
    for reply in join_all(here.iter().map(Person::log_out)).await {
        reply.is(200);
    }
    for session in &here {
        session.is_out().await;
    }
    assert!(api.account(&ann).await.revoked.len() <= 50);
    ann.is_in().await;
}

#[tokio::test]
async fn a_refresh_during_a_log_out_keeps_no_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for round in 0..20 {
        let here = ann.elsewhere("x").await;
        let leave = async {
            if round % 2 == 0 { here.log_out().await } else { here.log_out_everywhere().await }
        };
        let (left, refreshed) =
            tokio::join!(leave, join_all((0..4).map(|_| api.refresh(&here.refresh))));
        left.is(200);
        here.is_out().await;
        for reply in refreshed {
            assert!([200, 401].contains(&reply.status.as_u16()), "{reply:?}");
            if reply.status == 200 {
                let text = |field: &str| reply.body[field].as_str().unwrap().to_owned();
                Person { access: text("access"), refresh: text("refresh"), ..here.clone() }
                    .is_out()
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn log_outs_hold_for_the_life_of_the_session() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.log_out().await.is(200);
    for _ in 0..3 {
        api.server().clock.advance(Duration::from_secs(9 * 86_400));
        ann.elsewhere("x").await.log_out().await.is(200);
        ann.is_out().await;
    }
}
