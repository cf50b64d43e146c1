//! `DELETE /api/user`, and the erasure that follows it.

use std::collections::HashSet;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use emulator::template::Template;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::passwords;
use shared::store::{AdjustOutcome, Ending, ErasureReport, StoreError};
use shared::values::Account;

use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person, unique};
use crate::support::world::put;

impl Person {
    async fn deletes(&self, body: Value) -> Answer {
        self.send(Method::DELETE, "/api/user/", &[], Some(body)).await
    }

    async fn is_deleted(&self) {
        self.deletes_the_account().await.is(202);
    }

    async fn agrees(&self) {
        assert_eq!(self.api.store().audit(&self.name).await.unwrap().differences, []);
    }
}

/// Runs the erasure. Returns how many accounts the erasure visited, and how many it deleted.
async fn erase(api: &Api) -> (usize, usize) {
    let app = &api.server().apps["erase"];
    let ErasureReport { accounts, gone, .. } =
        app.store.erase(app.clock.seconds(), functions::background::erase::TIME).await.unwrap();
    (accounts, gone)
}

async fn with_an_address(api: &Api) -> (Person, String) {
    let email = format!("{}@Example.com", unique("Ann"));
    (api.person_at(&unique("ann"), &email).await, email)
}

/// The body of a refused log-in.
async fn refused(api: &Api, name: &str) -> Value {
    let mut refused = api
        .log_in(json!({ "username": name, "password": "secret123" }))
        .await
        .expect(401, "invalid_credentials");
    refused["request_id"].take();
    refused
}

#[tokio::test]
async fn deleted_accounts_stop_at_once_and_keep_no_personal_data() {
    let api = Api::start().await;
    let (ann, email) = with_an_address(&api).await;
    let again = ann.log_in().await.is(200);
    ann.chat("hi").await.is(200);
    let hash = api.account(&ann).await.password;
    let reply = ann.deletes(json!({ "password": ann.password })).await.is(202);
    assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ["message"]);

    for token in [&ann.access, &ann.token, again["access"].as_str().unwrap()] {
        let ann = ann.using(token);
        for path in ["/api/tokens/", "/api/user/profile/", "/api/chat/"] {
            ann.get(path).await.expect(401, "token_not_valid");
        }
        ann.get("/api/user/ledger/").await.expect(401, "invalid_token");
        ann.chat("hi").await.expect(401, "token_not_valid");
        ann.deletes(json!({ "password": ann.password })).await.expect(401, "invalid_token");
    }
    for refresh in [&ann.refresh, again["refresh"].as_str().unwrap()] {
        api.refresh(refresh).await.expect(401, "token_not_valid");
    }
    let unknown = refused(&api, &unique("nobody")).await;
    for login in [ann.name.as_str(), &email] {
        assert_eq!(refused(&api, login).await, unknown);
    }

    let account = api.account(&ann).await;
    assert_eq!(
        (account.active, account.auth_epoch, account.email, account.key),
        (false, 2, None, None)
    );
    PasswordHash::new(&account.password).unwrap();
    let users = api.items(&ann.id).await["UsersTable"]
        .iter()
        .map(Value::to_string)
        .collect::<String>()
        .to_lowercase();
    for personal in [&email.to_lowercase(), &hash] {
        assert!(!users.contains(personal), "{personal} in {users}");
    }
}

#[tokio::test]
async fn only_the_password_deletes_an_account() {
    let api = Api::start().await;
    let ((ann, _), ben) = (with_an_address(&api).await, api.person("ben").await);
    let before = api.items(&ann.id).await["UsersTable"].clone();
    for wrong in
        ["secret12", "SECRET123", " secret123", &"x".repeat(300), &api.account(&ann).await.password]
    {
        ann.deletes(json!({ "password": wrong })).await.expect(403, "wrong_password");
    }
    for missing in [
        json!({}),
        json!({ "password": "" }),
        json!({ "password": null }),
        json!({ "password": 5 }),
    ] {
        let refused = ann.deletes(missing).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["password"].is_array(), "{refused}");
    }
    let bearer = ann.bearer();
    for body in ["", "[]", "{", "\"secret123\""] {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        api.raw(Method::DELETE, "/api/user/", &headers, body.into())
            .await
            .expect(400, "malformed_request");
    }
    ben.deletes(json!({ "password": "wrong-password", "id": ann.id, "username": ann.name }))
        .await
        .expect(403, "wrong_password");
    assert_eq!(api.items(&ann.id).await["UsersTable"], before);
    ann.profile().await.is(200);
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn parallel_deletions_all_succeed() {
    let api = Api::start().await;
    let (ann, _) = with_an_address(&api).await;
    let answers = join_all((0..6).map(|_| ann.deletes(json!({ "password": ann.password })))).await;
    assert!(answers.iter().any(|answer| answer.status == 202), "{answers:?}");
    for answer in answers {
        if answer.status != 202 {
            answer.expect(401, "invalid_token");
        }
    }
    assert_eq!(api.account(&ann).await.auth_epoch, 2);
}

#[tokio::test]
async fn addresses_are_free_at_once_and_names_after_a_day() {
    let api = Api::at_an_hour(&[]).await;
    let (ann, email) = with_an_address(&api).await;
    let registration = json!({ "username": ann.name, "password": "another-secret" });
    ann.is_deleted().await;
    api.person_at(&unique("ben"), &email).await;

    assert_eq!(erase(&api).await, (1, 0));
    api.register(registration.clone()).await.expect(400, "username_taken");
    api.server().clock.advance(DAY - Duration::from_secs(2));
    assert_eq!(erase(&api).await, (0, 0), "who waits for the day to end is not looked at");
    api.register(registration.clone()).await.expect(400, "username_taken");
    api.server().clock.advance(Duration::from_secs(3));
    assert_eq!(erase(&api).await, (1, 1));
    api.register(registration).await.is(201);
    assert_eq!(erase(&api).await, (0, 0), "accounts that live are in no index");
}

#[tokio::test]
async fn a_registration_key_does_not_restore_a_deleted_account() {
    let api = Api::start().await;
    let registration = json!({ "username": unique("ann"), "password": "secret123" });
    let register = || {
        api.send(
            Method::POST,
            "/api/register/",
            &[("idempotency-key", "k1")],
            Some(registration.clone()),
        )
    };
    let ann = Person::of(&api, &registration, &register().await.is(201));
    ann.is_deleted().await;
    register().await.expect(400, "username_taken");
}

#[tokio::test]
async fn a_new_account_with_an_old_name_sees_no_old_data() {
    let api = Api::own(&[]).await;
    let (ann, _) = with_an_address(&api).await;
    for message in ["one", "two"] {
        ann.chat(message).await.is(200);
    }
    let (history, ledger) = (
        ann.history("?limit=1").await.next_page().unwrap(),
        ann.get("/api/user/ledger/?limit=1").await.next_page().unwrap(),
    );
    ann.agrees().await;
    ann.is_deleted().await;
    ann.agrees().await;
    assert_eq!(erase(&api).await, (1, 0));
    ann.agrees().await;
    api.server().clock.advance(DAY);
    assert_eq!(erase(&api).await, (1, 1));
    ann.agrees().await;

    let new = api.person_with(json!({ "username": ann.name, "password": "another-secret" })).await;
    assert_eq!(new.history("").await.is(200), json!([]));
    assert_eq!(new.get("/api/user/ledger/").await.is(200).as_array().unwrap().len(), 1);
    assert_eq!(new.balance().await, GRANT);
    assert_eq!(new.profile().await.is(200)["email"], json!(null));
    new.history(&history).await.expect(400, "invalid_cursor");
    new.get(&format!("/api/user/ledger/{ledger}")).await.expect(400, "invalid_cursor");
    for token in [&ann.access, &ann.token] {
        ann.using(token).profile().await.expect(401, "token_not_valid");
    }
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    api.log_in(json!({ "username": ann.name, "password": ann.password }))
        .await
        .expect(401, "invalid_credentials");
    let items = api.items("").await;
    let kept: Vec<_> =
        items["LedgerTable"].iter().filter(|row| row["user_id"] == ann.id.as_str()).collect();
    assert_eq!(kept.len(), 3, "the ledger stays: {kept:?}");
    assert!(
        !items["UsersTable"]
            .iter()
            .chain(&items["ChatsTable"])
            .any(|item| item.to_string().contains(&ann.id)),
        "{items:?}"
    );
    new.agrees().await;
}

/// Writes this many chats for the account directly to the Chats table.
async fn has_chats(ann: &Person, count: usize) {
    let chat = |index: usize| json!({ "user_id": ann.id, "chat_id": format!("{index:08}"), "message": "x".repeat(1500) });
    let chats: Vec<_> = (0..count).map(chat).collect();
    put(&ann.api.dynamodb, "ChatsTable", &chats).await;
}

async fn items_of(api: &Api, person: &Person) -> usize {
    api.items("").await["ChatsTable"]
        .iter()
        .filter(|item| item["user_id"] == person.id.as_str())
        .count()
}

#[tokio::test]
async fn any_number_of_chats_is_erased_over_several_runs() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chat("hi").await.is(200);
    has_chats(&ann, 1203).await;
    ann.is_deleted().await;

    let app = &api.server().apps["erase"];
    assert_eq!(
        app.store.erase(app.clock.seconds(), Duration::ZERO).await,
        Ok(ErasureReport::default())
    );
    assert_eq!(items_of(&api, &ann).await, 1203, "no time, no work");
    let mut gone = 0;
    for time in [1, 2, 3] {
        gone +=
            app.store.erase(app.clock.seconds(), Duration::from_millis(time)).await.unwrap().items;
    }
    // The items in `gone` include a session, which `items_of` doesn't count.
    assert!(items_of(&api, &ann).await + gone >= 1203);
    gone += app
        .store
        .erase(app.clock.seconds(), functions::background::erase::TIME)
        .await
        .unwrap()
        .items;
    assert_eq!(gone, 1204);
    assert_eq!(
        (items_of(&api, &ann).await, items_of(&api, &ben).await),
        (0, 2),
        "the chat of another user, and its conversation"
    );
    assert_eq!(erase(&api).await, (0, 0));
}

#[tokio::test]
async fn api_keys_end_with_their_account() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let made = join_all((0..50).map(|_| ann.makes_a_key("a program"))).await;
    let ids: HashSet<String> =
        made.into_iter().map(|made| made.is(201)["id"].as_str().unwrap().to_owned()).collect();
    let kept = ben.makes_a_key("a program").await.is(201);
    ann.is_deleted().await;
    ann.makes_a_key("too late").await.expect(401, "invalid_token");
    ann.revokes(ids.iter().next().unwrap()).await.expect(401, "invalid_token");
    assert_eq!(erase(&api).await, (1, 0));
    for id in &ids {
        assert_eq!(api.store().api_key(id).await, Ok(None));
    }
    assert!(
        !api.items("").await["TokensTable"].iter().any(|item| item["user_id"] == ann.id.as_str())
    );
    assert_eq!(ben.api_keys().await[0]["id"], kept["id"]);
}

#[tokio::test]
async fn parallel_erasures_erase_once() {
    let api = Api::own(&[]).await;
    let people = join_all((0..3).map(|_| api.person("ann"))).await;
    for ann in &people {
        has_chats(ann, 60).await;
        ann.is_deleted().await;
    }
    join_all((0..4).map(|_| erase(&api))).await;
    assert!(api.items("").await["ChatsTable"].is_empty());
    api.server().clock.advance(DAY);
    let gone: usize =
        join_all((0..4).map(|_| erase(&api))).await.iter().map(|(_, gone)| gone).sum();
    assert_eq!(gone, people.len());
    assert!(api.items("").await["UsersTable"].is_empty(), "no deleted account came back");
}

#[tokio::test]
async fn a_running_chat_ends_before_its_account_is_erased() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "20")]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chats_that_die(1).await;
    let slow = tokio::spawn({
        let ann = ann.clone();
        async move { ann.chat("!slow 4000").await }
    });
    ann.is_waiting().await;
    for person in [&ann, &ben] {
        person.is_deleted().await;
        person.agrees().await;
    }
    assert_eq!(erase(&api).await, (2, 0));
    assert_eq!(
        slow.await.unwrap().is(200)["tokens"],
        GRANT - PRICE,
        "an admitted chat is answered"
    );
    ann.agrees().await;
    assert_eq!(api.account(&ann).await.spent.get(), PRICE);
    assert_eq!(erase(&api).await, (2, 0));

    api.server().clock.advance(DAY);
    assert_eq!(erase(&api).await, (2, 1), "what is held keeps the account");
    let sweep = &api.server().apps["sweep"];
    sweep.store.sweep(sweep.clock.seconds()).await.unwrap();
    ben.agrees().await;
    assert_eq!(api.account(&ben).await.tokens.get(), GRANT);
    assert_eq!(erase(&api).await, (1, 1));
    let ids: HashSet<_> = api.items("").await["LedgerTable"]
        .iter()
        .map(|row| row["user_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, HashSet::from([ann.id, ben.id]));
}

#[tokio::test]
async fn deletions_free_a_changed_address_and_need_a_live_session() {
    let api = Api::own(&[]).await;
    let (ann, email) = with_an_address(&api).await;
    let (store, hash) = (api.store(), passwords::none().unwrap());
    let (seen, caller) = api.caller(&ann).await;
    let other = format!("{}@example.com", unique("ann"));
    api.set(&ann, "email", AttributeValue::S(other.clone())).await;
    let claim = dynamo::client(&api.dynamodb)
        .put_item()
        .table_name("UsersTable")
        .item("pk", AttributeValue::S(format!("email:{other}")));
    claim.item("id", AttributeValue::S(ann.id.clone())).send().await.unwrap();

    let mut stale = caller.clone();
    stale.auth_epoch = 0;
    assert_eq!(
        store.delete_account(&stale, &Account { auth_epoch: 0, ..seen.clone() }, &hash, 1).await,
        Err(StoreError::NotAccepted)
    );
    let (_, ended) = api.caller(&ann).await;
    store
        .end_sessions(&ended, Ending::One { session: &ended.session, ends: u64::MAX }, 1)
        .await
        .unwrap();
    assert_eq!(
        store.delete_account(&ended, &seen, &hash, 1).await,
        Err(StoreError::NotAccepted),
        "ended since it was read"
    );
    ann.profile().await.is(200);
    store.delete_account(&caller, &seen, &hash, 1).await.unwrap();
    let claims: Vec<String> = api.items("").await["UsersTable"]
        .iter()
        .map(|item| item["pk"].as_str().unwrap().to_owned())
        .collect();
    assert!(!claims.contains(&format!("email:{other}")), "{claims:?}");
    assert!(
        claims.contains(&format!("email:{}", email.to_lowercase())),
        "what isn't the account's address is left alone: {claims:?}"
    );
    store.delete_account(&caller, &seen, &hash, 1).await.unwrap();
    assert_eq!(api.account(&ann).await.auth_epoch, 2, "deleted again, it stays so");
}

#[tokio::test]
async fn deleted_accounts_cannot_be_credited() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.is_deleted().await;
    assert_eq!(api.adjust(&ann, 500, "too late").await, AdjustOutcome::Gone);
    ann.agrees().await;
}

#[test]
fn erasures_end_before_their_function_times_out() {
    let template = Template::load().unwrap();
    let function = template.functions.iter().find(|function| function.name == "erase").unwrap();
    assert!(
        functions::background::erase::TIME + 2 * shared::aws::OPERATION
            < Duration::from_secs(function.timeout)
    );
}
