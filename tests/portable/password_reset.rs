//! `POST /api/password/reset` and `POST /api/password/reset/confirm`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::store::Purpose;

use crate::support::client::{Answer, Api, Person, token_in, unique};
use crate::support::function::ask;
use crate::support::proxy::Fault;
use crate::support::rig::Rig;

const NEW: &str = "another-one";

/// A user with an address, and the address. The user's first e-mail has arrived.
async fn ann(api: &Api) -> (Person, String) {
    let (ann, address) = api.person_with_email().await;
    api.mails_to(&address, 1).await;
    (ann, address)
}

async fn reset(api: &Api, email: &str) -> Answer {
    api.post("/api/password/reset/", json!({ "email": email })).await
}

async fn confirm(api: &Api, token: &str, password: &str) -> Answer {
    api.post("/api/password/reset/confirm/", json!({ "token": token, "password": password })).await
}

#[tokio::test]
async fn links_reset_once_end_sessions_and_prove_the_address() {
    let api = Api::start().await;
    let (ann, address) = ann(&api).await;
    reset(&api, &address.to_uppercase()).await.is(202);
    let mails = api.mails_to(&address, 2).await;
    assert_eq!(mails[1].subject, "Choose a new password");
    let token = token_in(&mails[1]);
    confirm(&api, &token, NEW).await.is(200);
    confirm(&api, &token, "a-third-one").await.expect(400, "invalid_link");

    ann.profile().await.expect(401, "token_not_valid");
    ann.using(&ann.token).profile().await.expect(401, "token_not_valid");
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    ann.log_in().await.expect(401, "invalid_credentials");
    let tokens = api.log_in(json!({ "username": address, "password": NEW })).await.is(200);
    assert_eq!(tokens["user"]["email_verified"], true);
}

#[tokio::test]
async fn resets_that_prove_the_address_end_what_a_squatter_made() {
    let api = Api::start().await;
    let (squatter, address) = ann(&api).await;
    let program = squatter.using(squatter.makes_a_key("x").await.is(201)["key"].as_str().unwrap());
    program.completes().await.is(200);
    let verifies = api.link(&squatter, Purpose::Verify, &address).await;
    reset(&api, &address).await.is(202);
    confirm(&api, &token_in(&api.mails_to(&address, 2).await[1]), NEW).await.is(200);

    squatter.is_out().await;
    squatter.log_in().await.expect(401, "invalid_credentials");
    api.post("/api/user/email/verify/", json!({ "token": verifies }))
        .await
        .expect(400, "invalid_link");
    let owner = Person { password: NEW.into(), ..squatter }.elsewhere("the owner's").await;
    let before = owner.balance().await;
    program.completes().await.expect(401, "invalid_token");
    program.get("/v1/models").await.expect(401, "invalid_token");
    assert_eq!(owner.balance().await, before);
    assert_eq!(owner.api_keys().await, json!([]));
    owner.has_keys(0).await;
}

#[tokio::test]
async fn resets_of_proven_addresses_keep_the_api_keys() {
    let api = Api::start().await;
    let (owner, address) = ann(&api).await;
    let token = api.token_to(&address).await;
    owner.verifies(&token).await.is(200);
    let owner = owner.elsewhere("a test").await;
    let program = owner.using(owner.makes_a_key("x").await.is(201)["key"].as_str().unwrap());
    for password in [NEW, "a-third-one"] {
        confirm(&api, &api.link(&owner, Purpose::Reset, &address).await, password).await.is(200);
        owner.is_out().await;
        program.completes().await.is(200);
    }
    let owner = Person { password: "a-third-one".into(), ..owner }.elsewhere("a test").await;
    owner.has_keys(1).await;
    let key = owner.api_keys().await[0]["id"].as_str().unwrap().to_owned();
    owner.revokes(&key).await.is(200);
    owner.has_keys(0).await;
}

#[tokio::test]
async fn unknown_addresses_get_the_same_reply_and_no_e_mail() {
    let rig = Rig::start().await;
    let (_, known) = ann(&rig.api).await;
    let mut seen = Vec::new();
    for address in ["nobody@example.com", &known] {
        let lane = rig.proxy.lane();
        let app = rig.api.function_over("password_reset", &lane);
        let mut reply =
            ask(&app, "password_reset", "/api/password/reset", &[], json!({ "email": address }))
                .await;
        assert_eq!(reply.status, 202);
        reply.headers.remove("x-request-id");
        let calls: Vec<_> =
            lane.calls().into_iter().map(|call| (call.operation, call.attempts)).collect();
        seen.push((reply.body, format!("{:?}", reply.headers), calls));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].2, [("TransactWriteItems".to_owned(), 1)]);
    rig.api.mails_to(&known, 2).await;
    rig.api.outbox_is_empty().await;
    let mails = rig.api.server().mails.clone().unwrap();
    assert!(mails.borrow().iter().all(|mail| mail.to == known));
}

#[tokio::test]
async fn addresses_get_one_e_mail_a_minute_without_any_sign() {
    let api = Api::own(&[]).await;
    let (_, address) = ann(&api).await;
    let first = reset(&api, &address).await.is(202);
    assert_eq!(reset(&api, &address).await.is(202), first);
    api.server().clock.advance(Duration::from_secs(60));
    reset(&api, &address).await.is(202);
    api.mails_to(&address, 3).await;
    reset(&api, "other@example.com").await.is(202);
    api.outbox_is_empty().await;
    assert_eq!(
        api.server().mails.as_ref().unwrap().borrow().len(),
        3,
        "one to verify, two to reset"
    );
}

#[tokio::test]
async fn invalid_addresses_are_refused() {
    let api = Api::start().await;
    for bad in ["", "ann", "ann@example", "a@evil.example/x?y=", "a@evil.example#x"] {
        let refused = reset(&api, bad).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["email"].is_array(), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn deactivated_accounts_get_no_e_mail() {
    let api = Api::own(&[]).await;
    let ((ann_, gone), (_, there)) = (ann(&api).await, ann(&api).await);
    api.set(&ann_, "active", AttributeValue::Bool(false)).await;
    reset(&api, &gone).await.is(202);
    reset(&api, &there).await.is(202);
    api.mails_to(&there, 2).await;
    api.outbox_is_empty().await;
    assert_eq!(api.mails_to(&gone, 1).await.len(), 1);
}

#[tokio::test]
async fn links_expire_after_an_hour() {
    let api = Api::at_an_hour(&[]).await;
    let (person, address) = ann(&api).await;
    let [late, early] = [
        api.link(&person, Purpose::Reset, &address).await,
        api.link(&person, Purpose::Reset, &address).await,
    ];
    api.server().clock.advance(Duration::from_secs(3599));
    confirm(&api, &early, NEW).await.is(200);
    let another = api.link(&person, Purpose::Reset, &address).await;
    api.server().clock.advance(Duration::from_secs(3600));
    for token in [late, another] {
        confirm(&api, &token, "a-third-one").await.expect(400, "invalid_link");
    }
    api.log_in(json!({ "username": person.name, "password": NEW })).await.is(200);
}

#[tokio::test]
async fn links_end_if_password_address_or_account_change() {
    let api = Api::start().await;
    for change in ["password", "address", "active", "id"] {
        let (person, address) = ann(&api).await;
        let token = api.link(&person, Purpose::Reset, &address).await;
        match change {
            "password" => drop(
                person
                    .post(
                        "/api/user/password/",
                        json!({ "current_password": "secret123", "new_password": "a-second-one" }),
                    )
                    .await
                    .is(200),
            ),
            "address" => drop(
                person
                    .change(json!({ "email": format!("{}@example.org", unique("ann")) }))
                    .await
                    .is(200),
            ),
            "active" => api.set(&person, "active", AttributeValue::Bool(false)).await,
            _ => api.set(&person, "id", AttributeValue::S("another".into())).await,
        }
        let before = api.account(&person).await.password;
        confirm(&api, &token, NEW).await.expect(400, "invalid_link");
        assert_eq!(api.account(&person).await.password, before, "{change}");
    }
}

#[tokio::test]
async fn verification_links_and_garbage_reset_nothing() {
    let api = Api::start().await;
    let (person, address) = ann(&api).await;
    let verify = api.link(&person, Purpose::Verify, &address).await;
    let before = api.items(&person.id).await;
    for token in [
        verify.as_str(),
        "x",
        &"x".repeat(5000),
        &format!("{verify}x"),
        &"A".repeat(43),
        "link:1",
        "../../x",
    ] {
        confirm(&api, token, NEW).await.expect(400, "invalid_link");
    }
    for (body, fields) in [
        (json!({}), 2),
        (json!({ "token": verify, "password": "" }), 1),
        (json!({ "token": null, "password": NEW }), 1),
    ] {
        let refused =
            api.post("/api/password/reset/confirm/", body).await.expect(400, "invalid_fields");
        assert_eq!(refused["errors"].as_object().unwrap().len(), fields, "{refused}");
    }
    for email in [json!(null), json!(" "), json!("ann"), json!("ann@example.com\0")] {
        api.post("/api/password/reset/", json!({ "email": email }))
            .await
            .expect(400, "invalid_fields");
    }
    assert_eq!(api.items(&person.id).await, before);
}

#[tokio::test]
async fn invalid_passwords_leave_the_link_valid() {
    let api = Api::start().await;
    let (person, address) = ann(&api).await;
    let token = api.link(&person, Purpose::Reset, &address).await;
    for password in ["short", &address, &person.name] {
        let refused = confirm(&api, &token, password).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["password"].is_array(), "{refused}");
    }
    api.post("/api/password/reset/confirm/", json!({ "token": token, "new_password": NEW }))
        .await
        .is(200);
    api.log_in(json!({ "username": person.name, "password": NEW })).await.is(200);
}

#[tokio::test]
async fn one_of_many_uses_of_a_link_wins() {
    let api = Api::start().await;
    let (person, address) = ann(&api).await;
    let token = api.link(&person, Purpose::Reset, &address).await;
    let passwords: Vec<String> = (0..8).map(|n| format!("another-one-{n}")).collect();
    let answers = join_all(passwords.iter().map(|new| confirm(&api, &token, new))).await;
    let winners: Vec<_> = passwords
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.status == 200)
        .map(|(password, _)| password)
        .collect();
    let [winner] = winners.as_slice() else { panic!("{winners:?}") };
    api.log_in(json!({ "username": person.name, "password": winner })).await.is(200);
    assert_eq!(
        answers.into_iter().filter(|answer| answer.body["code"] == "invalid_link").count(),
        7
    );
}

#[tokio::test]
async fn retried_resets_succeed_and_late_copies_do_nothing() {
    let rig = Rig::start().await;
    // A reset needs one transaction for a verified address, and two for an unverified address,
    // because the store refuses the first one.
    let faults =
        Fault::ALL.into_iter().filter(|fault| fault.suits("TransactWriteItems") && fault.is_done());
    for (fault, nth) in faults.flat_map(|fault| [(fault, 1), (fault, 2)]) {
        let (person, address) = ann(&rig.api).await;
        person.makes_a_key("x").await.is(201);
        if nth == 1 {
            confirm(&rig.api, &rig.api.link(&person, Purpose::Reset, &address).await, NEW)
                .await
                .is(200);
        }
        let token = rig.api.link(&person, Purpose::Reset, &address).await;
        let epoch = rig.api.account(&person).await.auth_epoch;
        let lane = rig.proxy.lane();
        let app = rig.api.function_over("password_reset_confirm", &lane);
        lane.strike_once("TransactWriteItems", nth, fault);
        let body: Value = json!({ "token": token, "password": format!("{NEW}-{fault:?}") });
        let reply =
            ask(&app, "password_reset_confirm", "/api/password/reset/confirm", &[], body).await;
        assert!(lane.strikes().await, "{fault:?}");
        reply.succeeds_despite(fault);
        let account = rig.api.account(&person).await;
        assert_eq!(
            (account.auth_epoch, account.email_verified, account.api_keys),
            (epoch + 1, true, 0),
            "{fault:?}"
        );
        lane.deliver_much_later().await;
        assert_eq!(
            format!("{:?}", rig.api.account(&person).await),
            format!("{account:?}"),
            "{fault:?}"
        );
        rig.api
            .log_in(json!({ "username": person.name, "password": format!("{NEW}-{fault:?}") }))
            .await
            .is(200);
    }
}

/// Requests this many resets, with a pause after each. Returns the number of e-mails that the
/// store has counted.
async fn sent_in(api: &Api, address: &str, requests: u32, seconds: u64) -> usize {
    for _ in 0..requests {
        reset(api, address).await.is(202);
        api.server().clock.advance(Duration::from_secs(seconds));
    }
    let items = crate::support::world::scan::<Value>(&api.dynamodb, "TokensTable").await;
    items
        .iter()
        .filter(|item| item["pk"].as_str().is_some_and(|pk| pk.contains("#reset#d")))
        .map(|item| usize::try_from(item["counted"].as_u64().unwrap()).unwrap())
        .sum()
}

#[tokio::test]
async fn reset_e_mails_are_limited_by_hour_and_day() {
    let api = Api::own(&[]).await;
    let clock = &api.server().clock;
    let day = 86_400_000;
    clock.advance(Duration::from_millis(day - clock.millis() % day));
    let (ann, address) = ann(&api).await;
    assert_eq!(sent_in(&api, &address, 20, 61).await, 5, "in twenty minutes");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(sent_in(&api, &address, 20, 61).await, 10, "in the next hour");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(sent_in(&api, &address, 20, 61).await, 10, "on this day");
    assert_eq!(api.mails_to(&address, 11).await.len(), 11, "with the one of the registration");
    // Another address has a separate count, even if no account has this address.
    assert_eq!(sent_in(&api, "nobody@example.org", 7, 61).await, 15);
    clock.advance(Duration::from_millis(day - clock.millis() % day));
    assert_eq!(sent_in(&api, &address, 1, 61).await, 16, "on the next day");
    confirm(&api, &token_in(&api.mails_to(&address, 12).await[11]), NEW).await.is(200);
    Person { password: NEW.into(), ..ann }.log_in().await.is(200);
}
