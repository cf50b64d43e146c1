//! Administrators' interventions in an account, other than changes to its role, state and balance:
//! `DELETE /api/admin/users/{id}/sessions`, `GET /api/admin/users/{id}/api-keys`,
//! `DELETE /api/admin/users/{id}/api-keys`, `DELETE /api/admin/users/{id}/api-keys/{key}`,
//! `POST /api/admin/users/{id}/password-reset`, `DELETE /api/admin/users/{id}`.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::store::{PlannedIntervention, Purpose};
use shared::values::Intervention;

use crate::endpoints::admin::administration::without_rights;
use crate::support::client::{Answer, Api, Person, token_in};

impl Person {
    /// Sends a request that intervenes in a user's account. The request has no body if `body` is
    /// null.
    async fn intervenes(&self, method: Method, user: &Person, place: &str, body: Value) -> Answer {
        let path = format!("/api/admin/users/{}{place}", user.id);
        let body = Some(body).filter(|body| !body.is_null());
        self.send(method, &path, &[], body).await
    }

    async fn signs_out(&self, user: &Person) -> Answer {
        self.intervenes(Method::DELETE, user, "/sessions/", json!({ "reason": " a theft " })).await
    }

    async fn keys_of(&self, user: &Person) -> Value {
        self.get(&format!("/api/admin/users/{}/api-keys/", user.id)).await.is(200)
    }

    async fn revokes_of(&self, user: &Person, key: &str, reason: &str) -> Answer {
        let place = format!("/api-keys/{key}");
        self.intervenes(Method::DELETE, user, &place, json!({ "reason": reason })).await
    }

    async fn deletes_user(&self, user: &Person, reason: &str) -> Answer {
        self.intervenes(Method::DELETE, user, "/", json!({ "reason": reason })).await
    }

    async fn resets(&self, user: &Person) -> Answer {
        let body = json!({ "reason": "asked by phone" });
        self.intervenes(Method::POST, user, "/password-reset/", body).await
    }
}

/// The methods and paths of the interventions that need no input other than an account.
const PLAIN: [(Method, &str); 4] = [
    (Method::DELETE, ""),
    (Method::DELETE, "/sessions"),
    (Method::DELETE, "/api-keys"),
    (Method::POST, "/password-reset"),
];

/// The actions on a trail, with their reasons.
fn acts(trail: &[Value]) -> Vec<(&str, &str)> {
    trail
        .iter()
        .map(|act| (act["act"].as_str().unwrap(), act["reason"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn signing_a_user_out_ends_sessions_and_keeps_api_keys() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, address) = api.person_with_email().await;
    let there = ann.elsewhere("a phone").await;
    let key = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    let link = api.link(&ann, Purpose::Reset, &address).await;
    let statement = ann.get("/api/user/ledger").await.is(200);

    let done = root.signs_out(&ann).await.is(200);
    assert_eq!(done, json!({ "message": "All sessions of this user have ended." }));
    ann.is_out().await;
    there.is_out().await;
    let reset = json!({ "token": link, "password": "another-one" });
    api.post("/api/password/reset/confirm/", reset).await.expect(400, "invalid_link");
    assert_eq!(root.sees(&ann).await["sessions"], json!([]));
    program.completes().await.is(200);

    // A second request, without a body, ends the sessions that began after the first.
    let again = ann.elsewhere("a laptop").await;
    again.is_in().await;
    root.intervenes(Method::DELETE, &ann, "/sessions", Value::Null).await.is(200);
    again.is_out().await;
    let trail = root.trail_of(&ann).await;
    assert_eq!(acts(&trail), [("sessions", ""), ("sessions", "a theft")]);
    for act in &trail {
        assert_eq!((&act["actor"], &act["username"]), (&json!(root.id), &json!(ann.name)));
        assert_eq!((&act["amount"], &act["role"]), (&Value::Null, &Value::Null));
    }
    let after = ann.elsewhere("a test").await.get("/api/user/ledger").await.is(200);
    let (before, after) = (statement.as_array().unwrap(), after.as_array().unwrap());
    assert_eq!(after[1..], before[..], "only the program's message is new");
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
    root.is_in().await;
}

#[tokio::test]
async fn revoking_keys_one_by_one_or_all_keeps_sessions() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let mut keys = Vec::new();
    for name in ["a robot", "a script", "a phone"] {
        keys.push(ann.makes_a_key(name).await.is(201));
    }
    let program = |key: usize| ann.using(keys[key]["key"].as_str().unwrap());
    assert_eq!(root.keys_of(&root).await, json!([]));
    let listed = root.keys_of(&ann).await;
    assert_eq!(listed, ann.api_keys().await);
    assert!(!listed.to_string().contains(keys[0]["key"].as_str().unwrap()));

    let one = keys[1]["id"].as_str().unwrap();
    let done = root.revokes_of(&ann, &one.to_uppercase(), "published").await.is(200);
    assert_eq!(done, json!({ "message": "The API key is revoked." }));
    program(1).completes().await.expect(401, "invalid_token");
    program(0).completes().await.is(200);
    ann.has_keys(2).await;
    root.revokes_of(&ann, one, "again").await.expect(404, "not_found");

    let done = root.revokes_of(&ann, "", "a theft").await.is(200);
    assert_eq!(done, json!({ "message": "All API keys of this user are revoked." }));
    for key in [0, 2] {
        program(key).completes().await.expect(401, "invalid_token");
    }
    assert_eq!(root.keys_of(&ann).await, json!([]));
    ann.has_keys(0).await;
    ann.is_in().await;
    let acted = [("api_keys", "a theft"), ("api_key", "published")];
    assert_eq!(acts(&root.trail_of(&ann).await), acted);
    let before = api.items("").await;
    root.intervenes(Method::DELETE, &ann, "/api-keys", Value::Null).await.is(200);
    assert_eq!(api.items("").await, before, "there was nothing left to revoke");

    // A deactivated user's keys are also revoked. Reactivation doesn't restore them.
    let key = ann.makes_a_key("a car").await.is(201);
    let user = format!("/api/admin/users/{}", ann.id);
    root.patch(&user, json!({ "active": false })).await.is(200);
    assert_eq!(root.keys_of(&ann).await[0]["id"], key["id"]);
    root.revokes_of(&ann, "", "gone").await.is(200);
    root.patch(&user, json!({ "active": true })).await.is(200);
    ann.using(key["key"].as_str().unwrap()).completes().await.expect(401, "invalid_token");
}

#[tokio::test]
async fn foreign_and_unknown_keys_are_not_found_and_stay() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let ben = api.person("ben").await;
    let key = ben.makes_a_key("Ben's").await.is(201);
    ann.makes_a_key("Ann's").await.is(201);
    let before = api.items("").await;
    let none = "00000000-0000-7000-8000-000000000000";
    for key in [key["id"].as_str().unwrap(), none, "x", "%20", "sk-x"] {
        let refused = root.revokes_of(&ann, key, "").await.expect(404, "not_found");
        assert_eq!(refused["detail"], "No API key has this id, or it was revoked.");
    }
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn keys_created_during_a_revocation_are_ended_or_counted() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    for _ in 0..5 {
        let ann = api.person("ann").await;
        for _ in 0..3 {
            ann.makes_a_key("old").await.is(201);
        }
        let (made, done) =
            tokio::join!(ann.makes_a_key("new"), root.revokes_of(&ann, "", "a theft"));
        done.is(200);
        let made = made.is(201);
        let left = ann.api_keys().await.as_array().unwrap().len();
        ann.has_keys(u32::try_from(left).unwrap()).await;
        let answer = ann.using(made["key"].as_str().unwrap()).completes().await;
        assert_eq!(answer.status == 200, left == 1, "{answer:?}");
    }
}

#[tokio::test]
async fn forced_resets_keep_the_old_password_until_used() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, address) = api.person_with_email().await;
    let done = root.resets(&ann).await.is(202);
    assert_eq!(done, json!({ "message": "An e-mail is on its way." }));
    let mails = api.mails_to(&address, 2).await;
    // The store's stream may report the e-mails in either order.
    let mail = mails.iter().find(|mail| mail.subject == "Choose a new password").unwrap();
    ann.is_in().await;
    ann.log_in().await.is(200);
    let trail = root.trail_of(&ann).await;
    assert_eq!(acts(&trail), [("password_reset", "asked by phone")]);
    let shown = format!("{trail:?}");
    assert!(!shown.contains(&token_in(mail)) && !shown.contains(&address));

    let new = json!({ "token": token_in(mail), "password": "another-one" });
    api.post("/api/password/reset/confirm/", new).await.is(200);
    ann.is_out().await;
    let ann = Person { password: "another-one".into(), ..ann };
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn addresses_get_at_most_one_reset_a_minute_from_anyone() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, address) = api.person_with_email().await;
    let first = root.resets(&ann).await.is(202);
    api.mails_to(&address, 2).await;
    api.outbox_is_empty().await;
    let before = api.items("").await;
    assert_eq!(root.resets(&ann).await.is(202), first);
    api.post("/api/password/reset/", json!({ "email": address })).await.is(202);
    assert_eq!(api.items("").await, before);
    api.server().clock.advance(Duration::from_secs(61));
    root.resets(&ann).await.is(202);
    api.mails_to(&address, 3).await;
    assert_eq!(root.trail_of(&ann).await.len(), 2);
}

#[tokio::test]
async fn accounts_without_address_or_deactivated_get_no_reset() {
    let api = Api::own(&[]).await;
    let (root, ben) = (api.administrator("root").await, api.person("ben").await);
    let (ann, _) = api.person_with_email().await;
    root.patch(&format!("/api/admin/users/{}", ann.id), json!({ "active": false })).await.is(200);
    api.outbox_is_empty().await;
    let before = api.items("").await;
    for user in [&ben, &ann] {
        root.resets(user).await.expect(409, "no_address");
    }
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn deleted_users_are_erased_and_their_ledger_remains() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let [(ann, address), (other, _)] =
        [api.person_with_email().await, api.person_with_email().await];
    for person in [&ann, &other] {
        person.change(json!({ "first_name": "Ann" })).await.is(200);
        person.chat("hi").await.is(200);
    }
    let program = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(program["key"].as_str().unwrap());
    let rows = api.items(&ann.id).await["LedgerTable"].clone();
    let done = root.deletes_user(&ann, "asked by letter").await.is(202);
    assert_eq!(other.deletes_the_account().await.is(202), done);
    ann.is_out().await;
    program.completes().await.expect(401, "invalid_token");
    ann.log_in().await.expect(401, "invalid_credentials");
    root.get(&format!("/api/admin/users/{}", ann.id)).await.expect(404, "not_found");
    let left = api.items("").await["UsersTable"].clone();
    let tombstone = |person: &Person| {
        let item = left.iter().find(|item| item["id"] == person.id.as_str()).unwrap();
        assert!(!item.to_string().contains(&address), "{item}");
        // Ignore the count of API keys, because only one of the two accounts has had a key.
        let names = item.as_object().unwrap().keys().filter(|name| *name != "api_keys");
        (item["active"].clone(), names.cloned().collect::<BTreeSet<_>>())
    };
    assert_eq!(tombstone(&ann), tombstone(&other));
    api.person_at(&address, &address).await;

    let trail = root.trail_of(&ann).await;
    assert_eq!(acts(&trail), [("deletion", "asked by letter")]);
    assert_eq!((&trail[0]["username"], &trail[0]["role"]), (&Value::Null, &Value::Null));
    root.deletes_user(&ann, "again").await.expect(404, "not_found");
    let app = &api.server().apps["erase"];
    app.store.erase(app.clock.seconds(), functions::background::erase::TIME).await.unwrap();
    let items = api.items("").await;
    let of_ann = |item: &&Value| item["user_id"] == ann.id.as_str();
    assert_eq!(items["ChatsTable"].iter().filter(of_ann).count(), 0);
    let kept: Vec<&Value> = items["LedgerTable"].iter().filter(of_ann).collect();
    assert_eq!(kept, rows.iter().filter(of_ann).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_of_two_admins_who_delete_each_other_remains() {
    let api = Api::own(&[]).await;
    let mut root = api.administrator("root").await;
    for _ in 0..10 {
        let other = api.person("other").await;
        let role = json!({ "role": "admin" });
        root.patch(&format!("/api/admin/users/{}", other.id), role).await.is(200);
        let other = other.elsewhere("a test").await;
        let (first, second) =
            tokio::join!(root.deletes_user(&other, ""), other.deletes_user(&root, ""));
        let (stays, refused) = if first.status == 202 { (root, second) } else { (other, first) };
        refused.expect(401, "invalid_token");
        root = stays;
        root.profile().await.is(200);
    }
    root.deletes_the_account().await.expect(409, "last_administrator");
}

#[tokio::test]
async fn administrators_cannot_intervene_in_their_own_account() {
    let api = Api::own(&[]).await;
    let (root, _) = (api.administrator("root").await, api.administrator("other").await);
    let before = api.items("").await;
    for (method, place) in PLAIN {
        let refused = root.intervenes(method, &root, place, Value::Null).await;
        refused.expect(409, "own_account");
    }
    assert_eq!(api.items("").await, before);
    root.is_in().await;
}

#[tokio::test]
async fn interventions_need_an_account_and_a_printable_reason() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let gone = api.person("gone").await;
    gone.deletes_the_account().await.is(202);
    let before = api.items("").await;
    let nobody = |id: &str| Person { id: id.into(), ..ann.clone() };
    for (method, place) in PLAIN {
        for id in ["x", "00000000-0000-7000-8000-000000000000", &gone.id] {
            let refused = root.intervenes(method.clone(), &nobody(id), place, json!({})).await;
            refused.expect(404, "not_found");
        }
        for reason in [json!("two\nlines"), json!("x".repeat(201)), json!("5\u{202e}0"), json!(5)] {
            let body = json!({ "reason": reason });
            let refused = root.intervenes(method.clone(), &ann, place, body.clone()).await;
            let refused = refused.expect(400, "invalid_fields");
            assert!(refused["errors"]["reason"].is_array(), "{body}: {refused}");
        }
        let refused = ann.intervenes(method, &root, place, json!({})).await;
        refused.expect(403, "forbidden");
    }
    assert_eq!(api.items("").await, before);
}

#[tokio::test]
async fn former_administrators_cannot_intervene() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, _) = api.person_with_email().await;
    ann.makes_a_key("a program").await.is(201);
    api.outbox_is_empty().await;
    without_rights(&root, async |was, refusal| {
        let account = api.account(&ann).await;
        let (store, clock) = (api.store(), api.clock());
        let doing = |what| PlannedIntervention::new(&was, &account, what, None, &clock).unwrap();
        let keys = store.revoke_keys_of_user(&doing(Intervention::ApiKeys), None).await;
        let outcomes = [
            store.end_sessions_of_user(&doing(Intervention::Sessions)).await,
            keys.map(drop),
            store.post_reset_of_user(&doing(Intervention::PasswordReset), api.now()).await,
            store.delete_user(&doing(Intervention::Deletion), "no hash", api.now()).await,
        ];
        assert!(outcomes.iter().all(|outcome| *outcome == Err(refusal.clone())), "{outcomes:?}");
    })
    .await;
}
