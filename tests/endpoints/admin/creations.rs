//! `POST /api/admin/users`: accounts that administrators create, and invitations.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::store::{NewAccount, PlannedIntervention, StoreError};
use shared::values::{Intervention, Role, Username};
use shared::{Credits, Error};

use crate::support::client::{Answer, Api, DAY, GRANT, Person, token_in, unique};

const PASSWORD: &str = "secret123";

impl Person {
    async fn creates(&self, body: Value) -> Answer {
        self.post("/api/admin/users/", body).await
    }

    async fn creates_under(&self, key: &str, body: Value) -> Answer {
        let bearer = self.bearer();
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.api.send(Method::POST, "/api/admin/users", &headers, Some(body)).await
    }
}

/// Logs in to an account that an administrator created.
async fn enters(api: &Api, name: &str, password: &str) -> Person {
    let credentials = json!({ "username": name, "password": password });
    let mut session = api.log_in(credentials.clone()).await.is(200);
    session["id"] = session["user"]["id"].clone();
    Person::of(api, &credentials, &session)
}

/// Returns a username and an e-mail address that no account uses.
fn a_name_and_address(name: &str) -> (String, String) {
    let name = unique(name);
    (name.clone(), format!("{name}@example.com"))
}

async fn chooses(api: &Api, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    api.post("/api/password/reset/confirm/", body).await
}

#[tokio::test]
async fn created_users_log_in_with_a_grant_and_get_no_e_mail() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (name, address) = a_name_and_address("Joe");
    let made = root
        .creates(json!({
            "username": name, "email": address, "password": PASSWORD, "role": "user", "tokens": 50,
            "reason": "a new colleague",
        }))
        .await
        .is(201);
    let listed = root.admin("users").await.is(200);
    assert_eq!(made, listed[0]);
    let shown = json!({
        "id": made["id"], "username": name, "email": address, "role": "user", "is_staff": false,
        "active": true, "date_joined": made["date_joined"],
    });
    assert_eq!(made, shown);

    let joe = enters(&api, &address, PASSWORD).await;
    assert_eq!(joe.balance().await, 50);
    assert_eq!(joe.profile().await.is(200)["email_verified"], false);
    let rows = joe.get("/api/user/ledger/").await.is(200);
    let row = &rows.as_array().unwrap()[0];
    assert_eq!(
        (&row["kind"], &row["amount"], &row["reason"]),
        (&json!("grant"), &json!(50), &json!("created by an administrator"))
    );
    let rows = root.admin(&format!("users/{}/ledger", joe.id)).await.is(200);
    assert_eq!(rows[0]["actor"], root.id.as_str());
    let trail = root.trail_of(&joe).await;
    let [act] = trail.as_slice() else { panic!("{trail:?}") };
    assert_eq!(
        (&act["act"], &act["reason"], &act["actor"], &act["username"]),
        (&json!("creation"), &json!("a new colleague"), &json!(root.id), &json!(name))
    );
    assert_eq!((&act["amount"], &act["role"]), (&json!(50), &Value::Null));
    assert_eq!(api.store().audit(&name).await.unwrap().differences, []);
    api.outbox_is_empty().await;
    assert!(api.server().mails.as_ref().unwrap().borrow().is_empty());
}

#[tokio::test]
async fn creations_need_only_a_name_and_a_password() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (name, address) = a_name_and_address("joe");
    let made = root.creates(json!({ "username": name, "password": PASSWORD })).await.is(201);
    assert_eq!((&made["email"], &made["role"]), (&Value::Null, &json!("user")));
    assert_eq!(enters(&api, &name, PASSWORD).await.balance().await, GRANT);
    let whole = json!({ "username": unique("joe"), "password": PASSWORD, "tokens": 0.0 });
    let made = root.creates(whole).await.is(201);
    let joe = enters(&api, made["username"].as_str().unwrap(), PASSWORD).await;
    assert_eq!(joe.balance().await, 0);
    // The username may be the address.
    let made = root.creates(json!({ "username": address, "email": address })).await.is(201);
    assert_eq!(made["email"], address.as_str());
}

#[tokio::test]
async fn invitation_e_mails_name_no_one_and_set_the_password() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    let root = api.administrator("root").await;
    let (name, address) = a_name_and_address("joe");
    let body = json!({ "username": name, "email": address, "invite": true, "reason": "hired" });
    let made = root.creates(body).await.is(201);
    let guess = json!({ "username": name, "password": PASSWORD });
    api.log_in(guess).await.expect(401, "invalid_credentials");
    let mails = api.mails_to(&address, 1).await;
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.subject, "Your new account");
    let token = token_in(mail);
    let link = format!("https://app.example.com/reset-password/?token={token}");
    let own: String = mail.text.lines().filter(|line| *line != link).collect();
    assert!(own.len() < mail.text.len() - token.len(), "{}", mail.text);
    assert!(!own.contains(&name) && !own.contains('@') && !own.contains("http"), "{own}");

    chooses(&api, &token, "a-new-secret").await.is(200);
    chooses(&api, &token, "another-one").await.expect(400, "invalid_link");
    let joe = enters(&api, &address, "a-new-secret").await;
    assert_eq!(made["id"], joe.id.as_str());
    assert_eq!(joe.profile().await.is(200)["email_verified"], true);
    let trail = root.trail_of(&joe).await;
    assert_eq!((trail.len(), &trail[0]["act"]), (1, &json!("invitation")));
    assert_eq!(trail[0]["amount"], GRANT);
    assert!(!format!("{trail:?}").contains(&address));
}

#[tokio::test]
async fn invitations_expire_after_a_week_and_resets_replace_them() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let mut invited = Vec::new();
    for _ in 0..2 {
        let (name, address) = a_name_and_address("joe");
        root.creates(json!({ "username": name, "email": address, "invite": true })).await.is(201);
        invited.push((api.token_to(&address).await, address));
    }
    // An invitation is valid for a week from the time when the `mail` function sends the e-mail.
    api.server().clock.advance(7 * DAY - Duration::from_secs(60));
    chooses(&api, &invited[0].0, PASSWORD).await.is(200);
    enters(&api, &invited[0].1, PASSWORD).await;
    api.server().clock.advance(Duration::from_secs(120));
    let (token, address) = &invited[1];
    chooses(&api, token, PASSWORD).await.expect(400, "invalid_link");
    api.post("/api/password/reset/", json!({ "email": address })).await.is(202);
    let mail = api.mails_to(address, 2).await.remove(1);
    assert_eq!(mail.subject, "Choose a new password");
    chooses(&api, &token_in(&mail), PASSWORD).await.is(200);
    enters(&api, address, PASSWORD).await;
}

#[tokio::test]
async fn created_administrators_have_their_role_at_once() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let name = unique("ruth");
    let body = json!({ "username": name, "password": PASSWORD, "role": "admin" });
    let made = root.creates(body).await.is(201);
    assert_eq!((&made["role"], &made["is_staff"]), (&json!("admin"), &json!(true)));
    let ruth = enters(&api, &name, PASSWORD).await;
    ruth.admin("users").await.is(200);
    let trail = root.trail_of(&ruth).await;
    assert_eq!((&trail[0]["act"], &trail[0]["role"]), (&json!("creation"), &json!("admin")));
    root.deletes_the_account().await.is(202);
    ruth.deletes_the_account().await.expect(409, "last_administrator");
}

#[tokio::test]
async fn retried_creations_return_the_first_reply() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (name, address) = a_name_and_address("joe");
    let body = json!({ "username": name, "email": address, "invite": true });
    let made = root.creates_under("k1", body.clone()).await;
    assert!(!made.headers.contains_key("idempotent-replayed"));
    let made = made.is(201);
    let again = root.creates_under("k1", body.clone()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.is(201), made);

    let before = api.items("").await["UsersTable"].clone();
    let mut richer = body.clone();
    richer["tokens"] = json!(1);
    for answer in [
        root.creates(body.clone()).await,
        root.creates_under("k2", body.clone()).await,
        root.creates_under("k1", richer).await,
        other.creates_under("k1", body.clone()).await,
    ] {
        answer.expect(409, "username_taken");
    }
    // Wait for the e-mail before the clock advances: an e-mail that is a day late isn't sent.
    api.outbox_is_empty().await;
    api.server().clock.advance(DAY);
    let root = root.elsewhere("a test").await;
    root.creates_under("k1", body).await.expect(409, "username_taken");
    assert_eq!(api.items("").await["UsersTable"], before);
    api.outbox_is_empty().await;
    assert_eq!(api.mails_to(&address, 1).await.len(), 1);
}

#[tokio::test]
async fn one_of_eight_parallel_creations_succeeds() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (name, address) = a_name_and_address("joe");
    let bodies = (0..8).map(|number| {
        let email = format!("{number}{address}");
        root.creates(json!({ "username": name, "email": email, "invite": true }))
    });
    let mut made = Vec::new();
    for answer in join_all(bodies).await {
        if answer.status == 201 {
            made.push(answer.is(201));
        } else {
            answer.expect(409, "username_taken");
        }
    }
    let [made] = made.as_slice() else { panic!("{made:?}") };
    let users = api.items("").await["UsersTable"].clone();
    let of_it = users.iter().filter(|item| item["id"] == made["id"]);
    assert_eq!(of_it.count(), 2, "the account and its claim");
    assert_eq!(users.len(), 3, "and the administrator");
}

#[tokio::test]
async fn taken_names_and_addresses_are_refused() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (name, address) = a_name_and_address("ann");
    api.person_at(&name, &address).await;
    api.outbox_is_empty().await;
    let before = api.items("").await;
    for (username, email, code) in [
        (name.to_uppercase(), "new@example.com".to_owned(), "username_taken"),
        (unique("new"), address.to_uppercase(), "email_taken"),
        (address.clone(), address.clone(), "username_taken"),
        (name.clone(), address.clone(), "username_taken"),
    ] {
        for invite in [true, false] {
            let body = json!({ "username": username, "email": email, "invite": invite });
            root.creates(body).await.expect(409, code);
        }
    }
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn all_invalid_fields_are_named_and_nothing_is_written() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let before = api.items("").await;
    let good = || json!({ "username": "joe", "email": "joe@example.com", "password": PASSWORD });
    for (field, values) in [
        ("username", json!([null, "", "j\u{043e}e", "a b", "joe@nowhere", "x@example.com"])),
        ("email", json!(["joe", "joe@localhost", 5])),
        ("role", json!(["root", "", 5])),
        ("tokens", json!([-1, 0.5, 1_000_000_000_001_u64, "50"])),
        ("password", json!(["short", "password1", "joe@example.com", 5])),
        ("invite", json!(["yes", 1])),
        ("reason", json!(["two\nlines", "x".repeat(201), 5])),
    ] {
        for value in values.as_array().unwrap() {
            let mut body = good();
            body[field] = value.clone();
            let refused = root.creates(body).await.expect(400, "invalid_fields");
            let named: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
            assert_eq!(named, [field], "{value}: {refused}");
        }
    }
    for (body, fields) in [
        (json!({}), vec!["password", "username"]),
        (json!({ "username": "joe" }), vec!["password"]),
        (json!({ "username": "joe", "email": " ", "password": null }), vec!["password"]),
        (json!({ "username": "joe", "invite": true }), vec!["email"]),
        (
            json!({ "username": "joe", "email": "joe@example.com", "password": PASSWORD, "invite": true }),
            vec!["password"],
        ),
        (
            json!({ "username": "joe", "password": "short", "tokens": -1 }),
            vec!["password", "tokens"],
        ),
    ] {
        let refused = root.creates(body.clone()).await.expect(400, "invalid_fields");
        let named: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
        assert_eq!(named, fields, "{body}: {refused}");
    }
    ann.creates(good()).await.expect(403, "forbidden");
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn former_administrators_create_no_users() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let was = root.at_the_door().await;
    api.set(&root, "role", AttributeValue::S("user".into())).await;
    let before = api.items("").await;
    let new = NewAccount {
        name: Username::parse(&unique("joe")).unwrap(),
        email: None,
        password: "none".into(),
        key: None,
        role: Role::Admin,
        grant: Credits::ZERO,
        reason: "a test",
    };
    let clock = api.clock();
    let account = new.open(&clock);
    let doing =
        PlannedIntervention::new(&was, &account, Intervention::Creation, None, &clock).unwrap();
    let created = api.store().create_account(&doing, &new).await;
    assert_eq!(created.err(), Some(StoreError::Refused(Error::Forbidden)));
    assert_eq!(api.items("").await, before);
}
