//! `POST /api/user/password`.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::store::{Ending, StoreError};
use shared::values::Session;

use crate::support::client::{Answer, Api, Person, unique};
use crate::support::function::ask;
use crate::support::proxy::Fault;
use crate::support::rig::Rig;

const NEW: &str = "another-one";

async fn change(person: &Person, current: &str, new: &str) -> Answer {
    person
        .post("/api/user/password/", json!({ "current_password": current, "new_password": new }))
        .await
}

#[tokio::test]
async fn password_changes_end_old_sessions_and_begin_a_new_one() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let elsewhere = ann.log_in().await.is(200);
    let changed = change(&ann, &ann.password, NEW).await.is(200);

    let token = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    for dead in [&ann.access, &ann.token, &token(&elsewhere, "access"), &token(&elsewhere, "token")]
    {
        ann.using(dead).profile().await.expect(401, "token_not_valid");
    }
    for dead in [&ann.refresh, &token(&elsewhere, "refresh")] {
        api.refresh(dead).await.expect(401, "token_not_valid");
    }
    for alive in ["access", "token"] {
        ann.using(token(&changed, alive)).profile().await.is(200);
    }
    api.refresh(&token(&changed, "refresh")).await.is(200);
    ann.log_in().await.expect(401, "invalid_credentials");
    api.log_in(json!({ "username": ann.name, "password": NEW })).await.is(200);
}

#[tokio::test]
async fn wrong_and_invalid_passwords_change_nothing() {
    let api = Api::start().await;
    let ann =
        api.person_with(json!({ "username": unique("annabella"), "password": "secret123" })).await;
    let before = api.items(&ann.id).await;
    change(&ann, "secret124", NEW).await.expect(403, "wrong_password");
    for (new, sentence) in [
        ("short", "8 characters"),
        (ann.name.as_str(), "the username"),
        (&"x".repeat(257), "256 bytes"),
    ] {
        let refused = change(&ann, &ann.password, new).await.expect(400, "invalid_fields");
        assert!(
            refused["errors"]["new_password"][0].as_str().unwrap().contains(sentence),
            "{refused}"
        );
    }
    let refused = ann
        .post("/api/user/password/", json!({ "new_password": "", "current_password": null }))
        .await
        .expect(400, "invalid_fields");
    assert_eq!(refused["errors"].as_object().unwrap().len(), 2, "{refused}");
    assert_eq!(api.items(&ann.id).await, before);
    ann.profile().await.is(200);
}

#[tokio::test]
async fn one_of_two_parallel_changes_wins() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let passwords: Vec<String> = (0..4).map(|n| format!("another-one-{n}")).collect();
    let answers = join_all(passwords.iter().map(|new| change(&ann, &ann.password, new))).await;
    let mut winners = Vec::new();
    for (new, answer) in passwords.iter().zip(answers) {
        match answer.status.as_u16() {
            200 => winners.push(new),
            // Requests after the first successful change fail, because the session has ended or the
            // current password is no longer correct.
            401 => drop(answer.expect(401, "invalid_token")),
            _ => drop(answer.expect(403, "wrong_password")),
        }
    }
    let [winner] = winners.as_slice() else { panic!("{winners:?}") };
    api.log_in(json!({ "username": ann.name, "password": winner })).await.is(200);
}

#[tokio::test]
async fn sessions_that_ended_meanwhile_cannot_change_the_password() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let ((account, caller), store) = (api.caller(&ann).await, api.store());
    let next = Session::new(
        &account,
        Some("another device".into()),
        &api.clock(),
        Duration::from_secs(3600),
    );
    store
        .end_sessions(&caller, Ending::One { session: &caller.session, ends: u64::MAX }, 1)
        .await
        .unwrap();
    assert_eq!(
        store.change_password(&caller, &account, "a hash", &next).await,
        Err(StoreError::NotAccepted)
    );
    assert_eq!(api.account(&ann).await.password, account.password);
}

#[tokio::test]
async fn retried_changes_succeed_and_late_copies_do_nothing() {
    let rig = Rig::start().await;
    for fault in
        Fault::ALL.into_iter().filter(|fault| fault.suits("TransactWriteItems") && fault.is_done())
    {
        let ann = rig.api.person("ann").await;
        let lane = rig.proxy.lane();
        let app = rig.api.function_over("password_change", &lane);
        lane.strike_once("TransactWriteItems", 1, fault);
        let body = json!({ "current_password": ann.password, "new_password": NEW });
        let reply = ask(
            &app,
            "password_change",
            "/api/user/password",
            &[("authorization", &ann.bearer())],
            body,
        )
        .await;
        assert!(lane.strikes().await, "{fault:?}");
        reply.succeeds_despite(fault);
        let account = rig.api.account(&ann).await;
        assert_eq!(account.auth_epoch, 2, "{fault:?}");
        lane.deliver_much_later().await;
        assert_eq!(
            format!("{:?}", rig.api.account(&ann).await),
            format!("{account:?}"),
            "{fault:?}"
        );
        if let Some(access) = reply.body["access"].as_str() {
            ann.using(access).profile().await.is(200);
        }
    }
}
