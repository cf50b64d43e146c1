//! `PATCH /api/user/profile`.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Api, GRANT, unique};
use crate::support::proxy::Fault;
use crate::support::rig::Rig;

const PASSWORD: &str = "secret123";

#[tokio::test]
async fn names_change_and_empty_names_are_removed() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let names = async |first: &str, last: &str| {
        let profile = ann.profile().await.is(200);
        assert_eq!((&profile["first_name"], &profile["last_name"]), (&json!(first), &json!(last)));
    };
    let changed = ann
        .patch("/api/user/profile/", json!({ "first_name": " Ann-Zoë ", "last_name": "O'Neill" }))
        .await
        .is(200);
    assert_eq!(changed, ann.profile().await.is(200));
    names("Ann-Zoë", "O'Neill").await;
    ann.patch("/api/user/profile", json!({ "first_name": "安娜" })).await.is(200);
    names("安娜", "O'Neill").await;
    ann.patch("/api/user/profile/", json!({ "last_name": "", "first_name": null })).await.is(200);
    names("安娜", "").await;
    ann.patch("/api/user/profile/", json!({ "first_name": "\u{200b}\u{ad}" })).await.is(200);
    names("", "").await;
    ann.patch("/api/user/profile/", json!({ "first_name": "x".repeat(150) })).await.is(200);
}

#[tokio::test]
async fn all_invalid_fields_are_named_and_nothing_changes() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let long = "x".repeat(151);
    for (body, field) in [
        (json!({ "first_name": long }), "first_name"),
        (json!({ "last_name": "a\nb", "first_name": "Ann" }), "last_name"),
        (json!({ "first_name": "a\u{0}b" }), "first_name"),
        (json!({ "last_name": "a\u{202e}b" }), "last_name"),
        (json!({ "first_name": 5 }), "first_name"),
        (json!({ "email": "not an address", "current_password": PASSWORD }), "email"),
        (json!({ "email": "a@evil.example/x?y=", "current_password": PASSWORD }), "email"),
        (json!({ "email": "ann@example.com" }), "current_password"),
        (json!({ "email": "ann@example.com", "current_password": "" }), "current_password"),
    ] {
        let refused = ann.patch("/api/user/profile/", body).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{refused}");
    }
    let wrong = json!({ "email": "ann@example.com", "current_password": "secret124" });
    ann.patch("/api/user/profile/", wrong).await.expect(403, "wrong_password");
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn users_cannot_change_their_balance_role_name_or_id() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = format!("{:?}", api.account(&ann).await);
    let body = json!({
        "id": "x", "pk": "user:x", "username": "x", "name": "x", "role": "admin", "is_staff": true, "active": false, "tokens": 999_999,
        "tokens_left": 999_999, "granted": 999_999, "spent": 0, "auth_epoch": 7, "password": "x", "email_verified": true,
        "pending_email": "x@example.com", "reservations": {}, "email": "",
    });
    assert_eq!(ann.patch("/api/user/profile/", body).await.is(200)["tokens"], GRANT);
    assert_eq!(format!("{:?}", api.account(&ann).await), before);
}

#[tokio::test]
async fn a_free_address_moves_at_once_and_both_addresses_are_told() {
    let api = Api::start().await;
    let [old, new] = ["old", "new"].map(|name| format!("{}@example.com", unique(name)));
    let ann = api.person_at(&unique("ann"), &old).await;
    let first = api.token_to(&old).await;
    ann.verifies(&first).await.is(200);
    let ann = ann.elsewhere("a test").await;

    let profile = ann.change(json!({ "email": new, "first_name": "Ann" })).await.is(200);
    assert_eq!(
        (&profile["email"], &profile["email_verified"], &profile["first_name"]),
        (&json!(new), &json!(false), &json!("Ann"))
    );
    api.log_in(json!({ "username": new, "password": PASSWORD })).await.is(200);
    api.log_in(json!({ "username": old, "password": PASSWORD }))
        .await
        .expect(401, "invalid_credentials");
    let notice = &api.mails_to(&old, 2).await[1];
    assert!(
        notice.subject == "Your e-mail address is being changed"
            && !notice.text.contains(&new)
            && !notice.text.contains(&ann.name),
        "{}",
        notice.text
    );
    let token = api.token_to(&new).await;
    ann.verifies(&token).await.is(200);
    assert_eq!(ann.elsewhere("a test").await.profile().await.is(200)["email_verified"], true);

    let ben = api.person_at(&unique("ben"), &old).await;
    assert_eq!(
        api.log_in(json!({ "email": old, "password": PASSWORD })).await.is(200)["user"]["id"],
        json!(ben.id)
    );
}

#[tokio::test]
async fn changing_case_of_an_address_needs_no_password_or_e_mail() {
    let api = Api::own(&[]).await;
    let ann = api.person_at("ann", "ann@example.com").await;
    let token = api.token_to("ann@example.com").await;
    ann.verifies(&token).await.is(200);
    let ann = ann.elsewhere("a test").await;
    let profile =
        ann.patch("/api/user/profile/", json!({ "email": "Ann@Example.com" })).await.is(200);
    assert_eq!(
        (&profile["email"], &profile["email_verified"]),
        (&json!("Ann@Example.com"), &json!(true))
    );
    api.log_in(json!({ "username": "ann@example.com", "password": PASSWORD })).await.is(200);
    assert!(
        !format!("{:?}", api.items("").await["TokensTable"])
            .contains(&format!("mailed:{}", ann.id))
    );
}

#[tokio::test]
async fn proven_addresses_are_refused_and_claimed_ones_need_proof() {
    let api = Api::start().await;
    let [proven, name] = ["ben", "cleo"].map(|name| format!("{}@example.com", unique(name)));
    let ben = api.person_at(&unique("ben"), &proven).await;
    ben.verifies(&api.token_to(&proven).await).await.is(200);
    api.person_with(json!({ "username": name, "password": PASSWORD })).await;
    api.mails_to(&name, 1).await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for taken in [&proven, &proven.to_uppercase()] {
        ann.change(json!({ "email": taken, "first_name": "Ann" })).await.expect(409, "email_taken");
    }
    assert_eq!(api.items(&ann.id).await, before);
    let profile = ann.change(json!({ "email": name })).await.is(200);
    assert_eq!((&profile["email"], &profile["pending_email"]), (&json!(null), &json!(name)));
}

#[tokio::test]
async fn addresses_change_at_most_once_a_minute() {
    let api = Api::at_an_hour(&[]).await;
    let ann = api.person("ann").await;
    ann.change(json!({ "email": "one@example.com" })).await.is(200);
    let refused = ann.change(json!({ "email": "two@example.com", "first_name": "Ann" })).await;
    assert!(
        refused
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
    refused.expect(429, "too_many_mails");
    let profile = ann.profile().await.is(200);
    assert_eq!(
        (&profile["email"], &profile["first_name"]),
        (&json!("one@example.com"), &json!(""))
    );
    api.server().clock.advance(Duration::from_secs(60));
    ann.change(json!({ "email": "two@example.com" })).await.is(200);
}

#[tokio::test]
async fn one_of_many_parallel_claims_of_an_address_wins() {
    let api = Api::start().await;
    let address = format!("{}@example.com", unique("ann"));
    let mut people = Vec::new();
    for _ in 0..5 {
        people.push(api.person("ann").await);
    }
    let answers =
        join_all(people.iter().map(|person| person.change(json!({ "email": address })))).await;
    let profiles: Vec<_> = answers.into_iter().map(|answer| answer.is(200)).collect();
    assert_eq!(
        profiles.iter().filter(|profile| profile["email"] == json!(address)).count(),
        1,
        "{profiles:?}"
    );
    assert_eq!(
        profiles.iter().filter(|profile| profile["pending_email"] == json!(address)).count(),
        4,
        "{profiles:?}"
    );
}

#[tokio::test]
async fn parallel_changes_of_names_and_address_are_both_kept() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let changes = [
        json!({ "first_name": "Ann" }),
        json!({ "last_name": "Smith" }),
        json!({ "email": format!("{}@example.com", unique("ann")) }),
    ];
    for answer in join_all(changes.into_iter().map(|change| ann.change(change))).await {
        answer.is(200);
    }
    let profile = ann.profile().await.is(200);
    assert_eq!((&profile["first_name"], &profile["last_name"]), (&json!("Ann"), &json!("Smith")));
    assert!(profile["email"].is_string());
}

#[tokio::test]
async fn retried_changes_succeed_and_late_copies_do_nothing() {
    let rig = Rig::start().await;
    for (n, fault) in Fault::ALL
        .into_iter()
        .filter(|fault| fault.suits("TransactWriteItems") && fault.is_done())
        .enumerate()
    {
        let address = format!("old-{n}@example.com");
        let ann = rig.api.person_at(&unique("ann"), &address).await;
        rig.api.mails_to(&address, 1).await;
        let lane = rig.proxy.lane();
        let app = rig.api.app_over("profile_change", &lane);
        lane.strike_once("TransactWriteItems", 1, fault);
        let caller = shared::values::AccessToken::verify(&app, &ann.access).await.unwrap();
        let change = shared::values::ProfileChange {
            first_name: Some(shared::values::GivenName::parse("Ann").unwrap()),
            email: Some(shared::values::Email::parse(&format!("new-{n}@example.com")).unwrap()),
            ..Default::default()
        };
        let account = rig.api.account(&ann).await;
        let changed =
            app.store.change_profile(&caller, account, &change, app.clock.seconds()).await;
        // An unreadable reply from the store leaves the outcome unknown, although the write was
        // applied.
        assert_eq!(changed.is_ok(), fault != Fault::Garbled, "{fault:?}: {changed:?}");
        assert!(lane.strikes().await, "{fault:?}");
        rig.api.mails_to(&format!("new-{n}@example.com"), 1).await;
        rig.api.mails_to(&address, 2).await;
        let users = rig.api.items("").await["UsersTable"].clone();
        lane.deliver_much_later().await;
        assert_eq!(rig.api.items("").await["UsersTable"], users, "{fault:?}");
        assert_eq!(
            ann.profile().await.is(200)["email"],
            json!(format!("new-{n}@example.com")),
            "{fault:?}"
        );
    }
}
