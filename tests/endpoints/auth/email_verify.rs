//! `POST /api/user/email/verify`, and `POST /api/user/email`, which sends the e-mail again.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::store::Purpose;

use crate::support::client::{Answer, Api, Person, token_in, unique};
use crate::support::function::ask;
use crate::support::proxy::Fault;
use crate::support::rig::Rig;

const NEW: &str = "another-one";

/// A user with an address, the address, and the link token that was sent to it.
async fn ann(api: &Api) -> (Person, String, String) {
    let (ann, address) = api.person_with_email().await;
    let token = api.token_to(&address).await;
    (ann, address, token)
}

async fn verify(api: &Api, token: &str) -> Answer {
    api.post("/api/user/email/verify/", json!({ "token": token })).await
}

async fn verify_with(api: &Api, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    api.post("/api/user/email/verify/", body).await
}

async fn logs_in(api: &Api, address: &str) -> Option<Value> {
    let answer = api.log_in(json!({ "username": address, "password": "secret123" })).await;
    (answer.status == 200).then(|| answer.is(200)["user"]["id"].clone())
}

#[tokio::test]
async fn e_mailed_links_prove_an_address_once() {
    let api = Api::start().await;
    let (ann, address, token) = ann(&api).await;
    assert_eq!(ann.profile().await.is(200)["email_verified"], false);
    let verified = ann.verifies(&token).await.is(200);
    assert_eq!((&verified["email"], &verified["email_verified"]), (&json!(address), &json!(true)));
    assert_eq!(ann.elsewhere("a test").await.profile().await.is(200)["email_verified"], true);
    verify(&api, &token).await.expect(400, "invalid_link");
    assert_eq!(logs_in(&api, &address).await, Some(json!(ann.id)));
}

#[tokio::test]
async fn the_first_proof_ends_sessions_and_keys_of_a_squatter() {
    let api = Api::start().await;
    let (squatter, address, token) = ann(&api).await;
    let program = squatter.using(squatter.makes_a_key("x").await.is(201)["key"].as_str().unwrap());
    program.get("/v1/models").await.is(200);
    let [verifies, resets] =
        [Purpose::Verify, Purpose::Reset].map(|purpose| api.link(&squatter, purpose, &address));
    let (verifies, resets) = (verifies.await, resets.await);
    verify_with(&api, &token, NEW).await.is(200);

    squatter.is_out().await;
    squatter.log_in().await.expect(401, "invalid_credentials");
    program.get("/v1/models").await.expect(401, "invalid_token");
    program.completes().await.expect(401, "invalid_token");
    verify(&api, &verifies).await.expect(400, "invalid_link");
    let reset = json!({ "token": resets, "password": "another-one" });
    api.post("/api/password/reset/confirm/", reset).await.expect(400, "invalid_link");
    let owner = Person { password: NEW.into(), ..squatter }.elsewhere("the owner's").await;
    assert_eq!(owner.api_keys().await, json!([]));
    owner.has_keys(0).await;
}

#[tokio::test]
async fn new_addresses_need_a_first_proof_unless_only_case_differs() {
    let api = Api::own(&[]).await;
    let (ann, address, token) = ann(&api).await;
    ann.verifies(&token).await.is(200);
    let ann = ann.elsewhere("a test").await;
    let program = ann.using(ann.makes_a_key("x").await.is(201)["key"].as_str().unwrap());
    ann.change(json!({ "email": address.to_uppercase() })).await.is(200);
    verify(&api, &api.link(&ann, Purpose::Verify, &address).await).await.is(200);
    ann.is_in().await;
    program.get("/v1/models").await.is(200);

    let new = format!("{}@example.org", unique("ann"));
    ann.change(json!({ "email": new })).await.is(200);
    program.get("/v1/models").await.is(200);
    let elsewhere = ann.elsewhere("another").await;
    elsewhere.verifies(&api.token_to(&new).await).await.is(200);
    ann.is_out().await;
    program.get("/v1/models").await.expect(401, "invalid_token");
}

#[tokio::test]
async fn links_expire_after_two_days_and_garbage_is_refused() {
    let api = Api::own(&[]).await;
    let (ann, address, token) = ann(&api).await;
    let reset = api.link(&ann, Purpose::Reset, &address).await;
    for bad in ["x", &"A".repeat(43), &format!("{token}x"), &reset] {
        verify(&api, bad).await.expect(400, "invalid_link");
    }
    for missing in [json!({}), json!({ "token": "" })] {
        api.post("/api/user/email/verify/", missing).await.expect(400, "invalid_fields");
    }
    api.server().clock.advance(Duration::from_secs(2 * 24 * 3600));
    verify(&api, &token).await.expect(400, "invalid_link");
    let fresh = api.link(&ann, Purpose::Verify, &address).await;
    ann.using(&ann.token).verifies(&fresh).await.is(200);
}

#[tokio::test]
async fn links_expire_if_the_password_or_the_address_changes() {
    let api = Api::start().await;
    let (changed, _, token) = ann(&api).await;
    changed
        .post(
            "/api/user/password/",
            json!({ "current_password": "secret123", "new_password": "another-one" }),
        )
        .await
        .is(200);
    verify(&api, &token).await.expect(400, "invalid_link");

    let (moved, old, token) = ann(&api).await;
    moved.change(json!({ "email": format!("{}@example.org", unique("ann")) })).await.is(200);
    verify(&api, &token).await.expect(400, "invalid_link");
    assert_eq!(logs_in(&api, &old).await, None);
}

#[tokio::test]
async fn a_proof_takes_an_address_from_an_unproven_claim() {
    let api = Api::start().await;
    let (squatter, address, old_token) = ann(&api).await;
    let owner = api.person("owner").await;
    let profile = owner.change(json!({ "email": address })).await.is(200);
    assert_eq!(
        (&profile["email"], &profile["pending_email"], &profile["email_verified"]),
        (&json!(null), &json!(address), &json!(false))
    );
    assert_eq!(logs_in(&api, &address).await, Some(json!(squatter.id)), "until a mail was read");

    let token = token_in(&api.mails_to(&address, 2).await[1]);
    owner.verifies(&token).await.is(200);
    assert_eq!(logs_in(&api, &address).await, Some(json!(owner.id)));
    let profile = owner.elsewhere("a test").await.profile().await.is(200);
    assert_eq!(
        (&profile["email"], &profile["pending_email"], &profile["email_verified"]),
        (&json!(address), &json!(null), &json!(true))
    );
    assert_eq!(squatter.profile().await.is(200)["email"], json!(null));
    verify(&api, &old_token).await.expect(400, "invalid_link");
    squatter.change(json!({ "email": address })).await.expect(409, "email_taken");
}

#[tokio::test]
async fn one_of_two_accounts_that_prove_an_address_wins() {
    let api = Api::start().await;
    for _ in 0..5 {
        let (claims, address, first) = ann(&api).await;
        let wants = api.person("ben").await;
        wants.change(json!({ "email": address })).await.is(200);
        let second = token_in(&api.mails_to(&address, 2).await[1]);
        let answers = join_all([claims.verifies(&first), wants.verifies(&second)]).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        let winner = match statuses.as_slice() {
            [200, 409] => claims,
            [400, 200] => wants,
            _ => panic!("{answers:?}"),
        };
        assert_eq!(logs_in(&api, &address).await, Some(json!(winner.id)));
        assert_eq!(
            winner.elsewhere("a test").await.profile().await.is(200)["email_verified"],
            true
        );
    }
}

#[tokio::test]
async fn addresses_used_as_names_go_to_the_account_that_proves_it() {
    let api = Api::start().await;
    let (squatter, address, _) = ann(&api).await;
    let wants = api.person("ben").await;
    wants.change(json!({ "email": address })).await.is(200);
    let token = token_in(&api.mails_to(&address, 2).await[1]);
    squatter.deletes_the_account().await.is(202);
    let named = api.person_with(json!({ "username": address, "password": "secret123" })).await;
    assert_eq!(logs_in(&api, &address).await, Some(json!(named.id)));
    wants.verifies(&token).await.is(200);
    assert_eq!(logs_in(&api, &address).await, Some(json!(wants.id)));
}

#[tokio::test]
async fn one_of_many_uses_of_a_link_wins() {
    let api = Api::start().await;
    let (ann, _, token) = ann(&api).await;
    let answers = join_all((0..8).map(|_| ann.verifies(&token))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!(
        answers.into_iter().filter(|answer| answer.body["code"] == "invalid_link").count(),
        7
    );
    assert_eq!(ann.elsewhere("a test").await.profile().await.is(200)["email_verified"], true);
}

#[tokio::test]
async fn unproven_addresses_get_at_most_one_e_mail_a_minute() {
    let api = Api::at_an_hour(&[]).await;
    let (ann, address, first) = ann(&api).await;
    let again = ann.post("/api/user/email/", json!({})).await.is(202);
    assert_eq!(again["email"], json!(address));
    api.server().clock.advance(Duration::from_secs(20));
    let refused = ann.post("/api/user/email/", json!({})).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(wait, 40);
    refused.expect(429, "too_many_mails");
    api.server().clock.advance(Duration::from_secs(wait));
    ann.post("/api/user/email/", json!({})).await.is(202);

    let mails = api.mails_to(&address, 3).await;
    assert_eq!(mails.len(), 3);
    ann.verifies(&token_in(&mails[2])).await.is(200);
    verify(&api, &first).await.expect(400, "invalid_link");
    let ann = ann.elsewhere("a test").await;
    ann.post("/api/user/email/", json!({})).await.expect(409, "nothing_to_verify");
}

#[tokio::test]
async fn retried_verifications_succeed_and_late_copies_do_nothing() {
    let rig = Rig::start().await;
    let address = |n: usize| format!("ann-{n}@example.com");
    for (n, fault) in Fault::ALL
        .into_iter()
        .filter(|fault| fault.suits("TransactWriteItems") && fault.is_done())
        .enumerate()
    {
        // The most complex case: Ann gives up an old address and takes one that another account has
        // claimed.
        rig.api.person_at(&unique("eve"), &address(n)).await;
        rig.api.mails_to(&address(n), 1).await;
        let ann = rig.api.person_at(&unique("ann"), &format!("old-{n}@example.com")).await;
        ann.change(json!({ "email": address(n) })).await.is(200);
        let token = token_in(&rig.api.mails_to(&address(n), 2).await[1]);

        let bearer = ann.bearer();
        let headers = [("authorization", bearer.as_str())];
        let lane = rig.proxy.lane();
        let app = rig.api.function_over("email_verify", &lane);
        lane.strike_once("TransactWriteItems", 1, fault);
        let reply = ask(
            &app,
            "email_verify",
            "/api/user/email/verify",
            &headers,
            json!({ "token": token }),
        )
        .await;
        assert!(lane.strikes().await, "{fault:?}");
        reply.succeeds_despite(fault);
        let users = rig.api.items("").await["UsersTable"].clone();
        lane.deliver_much_later().await;
        assert_eq!(rig.api.items("").await["UsersTable"], users, "{fault:?}");
        assert_eq!(logs_in(&rig.api, &address(n)).await, Some(json!(ann.id)), "{fault:?}");
        assert_eq!(logs_in(&rig.api, &format!("old-{n}@example.com")).await, None, "{fault:?}");
    }
}

/// The person who reads the e-mail may not be the person who registered, and may therefore not know
/// the password.
#[tokio::test]
async fn verifications_without_a_session_set_a_new_password() {
    let api = Api::start().await;
    let (squatter, address, token) = ann(&api).await;
    let reader = api.person("reader").await;
    for refused in [verify(&api, &token).await, reader.verifies(&token).await] {
        let refused = refused.expect(400, "password_required");
        assert!(refused["detail"].as_str().unwrap().contains("`password`"), "{refused}");
    }
    for password in ["", "short", "password1", &address] {
        let refused = verify_with(&api, &token, password).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["password"].is_array(), "{refused}");
    }
    squatter.is_in().await;
    assert_eq!(squatter.profile().await.is(200)["email_verified"], false);

    // With a new password in the body, an invalid access token is ignored.
    let headers = [("authorization", "Bearer ")];
    let body = json!({ "token": token, "password": NEW });
    api.send(Method::POST, "/api/user/email/verify/", &headers, Some(body)).await.is(200);
    squatter.is_out().await;
    squatter.log_in().await.expect(401, "invalid_credentials");
    let owner = api.log_in(json!({ "username": address, "password": NEW })).await.is(200);
    assert_eq!(
        (&owner["user"]["id"], &owner["user"]["email_verified"]),
        (&json!(squatter.id), &json!(true))
    );
    verify_with(&api, &token, "a-third-one").await.expect(400, "invalid_link");

    // A verification with a new password also takes an address that another account has claimed but
    // not verified.
    let (squatter, address, _) = ann(&api).await;
    let wants = api.person("ben").await;
    wants.change(json!({ "email": address })).await.is(200);
    let token = token_in(&api.mails_to(&address, 2).await[1]);
    squatter.verifies(&token).await.expect(400, "password_required");
    verify_with(&api, &token, NEW).await.is(200);
    let owner = api.log_in(json!({ "username": address, "password": NEW })).await.is(200);
    assert_eq!(owner["user"]["id"], json!(wants.id));
}

#[tokio::test]
async fn the_verifying_session_continues() {
    let api = Api::start().await;
    let (ann, _, token) = ann(&api).await;
    let other = ann.elsewhere("another").await;
    ann.verifies(&token).await.is(200);
    other.is_out().await;
    ann.profile().await.expect(401, "token_not_valid");
    let refreshed = api.refresh(&ann.refresh).await.is(200);
    let ann = ann.using(refreshed["access"].as_str().unwrap());
    assert_eq!(ann.profile().await.is(200)["email_verified"], true);
    // A client whose session has ended can't verify an address.
    let (ben, _, token) = self::ann(&api).await;
    ben.log_out().await.is(200);
    ben.verifies(&token).await.expect(401, "invalid_token");
    verify(&api, &token).await.expect(400, "password_required");
}

#[tokio::test]
async fn second_verifications_keep_the_password() {
    let api = Api::start().await;
    let (ann, address, token) = ann(&api).await;
    ann.verifies(&token).await.is(200);
    let again = api.link(&ann, Purpose::Verify, &address).await;
    verify_with(&api, &again, NEW).await.is(200);
    let again = api.link(&ann, Purpose::Verify, &address).await;
    verify(&api, &again).await.is(200);
    api.refresh(&ann.refresh).await.is(200);
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn unproven_claims_block_no_other_user() {
    let api = Api::start().await;
    let (squatter, address, _) = ann(&api).await;
    let registration =
        |name: &str| json!({ "username": name, "email": address, "password": "secret123" });
    let owner = registration(&unique("owner"));
    let registered = api.register(owner.clone()).await.is(201);
    assert_eq!(
        (&registered["email"], &registered["pending_email"], &registered["email_verified"]),
        (&json!(null), &json!(address), &json!(false))
    );
    // A retried registration returns the account of the first attempt.
    let headers = [("idempotency-key", "k1")];
    let keyed = registration(&unique("keyed"));
    let register = || api.send(Method::POST, "/api/register/", &headers, Some(keyed.clone()));
    let first = register().await.is(201);
    assert_eq!(register().await.is(201)["id"], first["id"]);
    assert_eq!(squatter.profile().await.is(200)["email"], json!(address));
    // A client that logs in with an address that is also a username gets the account with that
    // username.
    let named = api.person_with(json!({ "username": address, "password": "secret123" })).await;
    assert_eq!(logs_in(&api, &address).await, Some(json!(named.id)));

    // The address belongs to the first account that verifies it.
    let owner = Person::of(&api, &owner, &registered);
    let token = api.link(&owner, Purpose::Verify, &address).await;
    owner.verifies(&token).await.is(200);
    assert_eq!(logs_in(&api, &address).await, Some(json!(owner.id)));
    assert_eq!(squatter.profile().await.is(200)["email"], json!(null));
    api.register(registration(&unique("late"))).await.expect(400, "email_taken");
}
