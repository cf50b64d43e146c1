//! `GET /api/user/api-keys`, `POST /api/user/api-keys`, `DELETE /api/user/api-keys/{id}`, and the
//! sessions that `PATCH /api/user/api-keys/{id}` accepts.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::store::{Ending, StoreError};
use shared::values::api_key::API_KEYS;
use shared::values::{ApiKey, Restrictions};

use crate::support::client::{Answer, Api, Person};
use crate::support::function::ask;
use crate::support::log;
use crate::support::proxy::Fault;
use crate::support::rig::Rig;

const PATH: &str = "/api/user/api-keys";

impl Person {
    pub async fn makes_a_key(&self, name: &str) -> Answer {
        self.post(PATH, json!({ "name": name })).await
    }

    /// Sends a completion request, as a program with an API key does.
    pub async fn completes(&self) -> Answer {
        self.post(
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": "hi" }] }),
        )
        .await
    }

    pub async fn api_keys(&self) -> Value {
        self.get("/api/user/api-keys/").await.is(200)
    }

    pub async fn revokes(&self, key: &str) -> Answer {
        self.delete(&format!("{PATH}/{key}")).await
    }

    /// Asserts that the account has this many keys and that its counter agrees.
    pub async fn has_keys(&self, count: u32) {
        let counted = self.api.account(self).await.api_keys;
        let existing = self.api.items(&self.id).await["TokensTable"]
            .iter()
            .filter(|item| is_key_of(item, self))
            .count();
        assert_eq!((counted, existing), (count, count as usize));
    }
}

fn is_key_of(item: &Value, person: &Person) -> bool {
    item["pk"].as_str().unwrap().starts_with("apikey:") && item["user_id"] == person.id.as_str()
}

fn id(key: &Value) -> String {
    key["id"].as_str().unwrap().to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn keys_are_shown_once_then_listed_by_name_and_last_letters() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    assert_eq!(ann.api_keys().await, json!([]));
    let mut made = ann.makes_a_key(" build server ").await.is(201);
    assert_eq!(
        made.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "created",
            "expires",
            "hint",
            "id",
            "key",
            "last_used",
            "limit",
            "models",
            "name",
            "retries"
        ]
    );
    assert_eq!(made["name"], "build server");
    let text = made["key"].take().as_str().unwrap().to_owned();
    assert!(
        text.starts_with(&format!("sk-{}-", id(&made).replace('-', ""))) && text.len() == 79,
        "{}",
        text.len()
    );
    assert!(text.ends_with(made["hint"].as_str().unwrap()));
    assert!(made["created"].as_str().unwrap().ends_with('Z'));

    made.as_object_mut().unwrap().remove("key");
    let second = ann.makes_a_key("build server").await.is(201);
    assert_ne!(
        (&made["id"], &second["key"]),
        (&second["id"], &json!(text)),
        "two keys may have one name"
    );
    let list = ann.api_keys().await;
    assert_eq!(ids(&list), [id(&second), id(&made)], "newest first");
    assert_eq!(list[1], made);
    assert_eq!(
        list[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["created", "expires", "hint", "id", "last_used", "limit", "models", "name", "retries"]
    );
    ann.has_keys(2).await;
}

#[tokio::test]
async fn keys_are_stored_only_as_hashes() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let text = ann.makes_a_key("x").await.is(201)["key"].as_str().unwrap().to_owned();
    let key = ApiKey::parse(&text).unwrap();
    let stored = api.store().api_key(&key.id().to_string()).await.unwrap().unwrap();
    assert!(key.matches(stored.hash()));
    assert_eq!((&stored.user_id, &stored.name), (&ann.id, &ann.name));
    let other = ApiKey::parse(ben.makes_a_key("x").await.is(201)["key"].as_str().unwrap()).unwrap();
    assert!(!other.matches(stored.hash()));
    for unknown in
        ["", "x", &api.clock().id().to_string(), &key.id().simple().to_string(), &"x".repeat(3000)]
    {
        assert_eq!(api.store().api_key(unknown).await, Ok(None), "{unknown}");
    }
    for kept in api.items(&ann.id).await.into_values().flatten() {
        let kept = kept.to_string();
        assert!(!kept.contains(&text) && !kept.contains(&text[36..]), "{kept}");
    }
}

#[tokio::test]
async fn keys_stay_out_of_the_log_and_their_events_are_logged() {
    log::clear();
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let made = ann.makes_a_key("a private name").await.is(201);
    ann.api_keys().await;
    ann.revokes(&id(&made)).await.is(200);
    let logged = log::text();
    for what in ["an API key was made", "an API key was revoked"] {
        let line = logged
            .lines()
            .find(|line| line.contains(what))
            .unwrap_or_else(|| panic!("no line says {what}: {logged}"));
        assert!(line.contains(&ann.id) && line.contains(&id(&made)), "{line}");
    }
    let text = made["key"].as_str().unwrap();
    let hash = ApiKey::parse(text).unwrap().hash();
    for secret in [text, &text[36..], &hash, "private"] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}

#[tokio::test]
async fn keys_need_a_valid_name() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let name = |name: &str| json!({ "name": name });
    for body in [
        json!({}),
        name(""),
        json!({ "name": null }),
        name(" \t "),
        name("\u{200b}"),
        name("\u{3164}\u{2800}"),
        name("a\nb"),
        name("a\0b"),
        name("\u{7f}"),
        name(&"x".repeat(101)),
    ] {
        let refused = ann.post(PATH, body).await.expect(400, "invalid_fields");
        assert_eq!(
            refused["errors"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["name"],
            "{refused}"
        );
    }
    assert_eq!(api.items(&ann.id).await, before);
    for good in ["x", &"\u{1f511}".repeat(100), "<b>\"#tokens\" :one</b>"] {
        assert_eq!(ann.makes_a_key(good).await.is(201)["name"], good);
    }
}

#[tokio::test]
async fn keys_show_whether_equal_bodies_are_retries() {
    let api = Api::start().await;
    let (ann, admin) = (api.person("ann").await, api.administrator("root").await);
    let retries = |retries: Value| json!({ "name": "x", "retries": retries });
    for (sent, shown) in
        [(json!("equal_bodies"), json!("equal_bodies")), (Value::Null, Value::Null)]
    {
        let made = ann.post(PATH, retries(sent)).await.is(201);
        assert_eq!(made["retries"], shown);
        let renamed = ann.patch(&format!("{PATH}/{}", id(&made)), json!({ "name": "y" })).await;
        assert_eq!(renamed.is(200)["retries"], shown);
        assert_eq!(ann.api_keys().await[0]["retries"], shown);
        let seen = admin.get(&format!("/api/admin/users/{}/api-keys", ann.id)).await.is(200);
        assert_eq!(seen[0]["retries"], shown);
        let export = ann.get("/api/user/export/").await.is(200);
        assert_eq!(export["api_keys"][0]["retries"], shown);
    }
    for other in [json!("always"), json!(""), json!("EQUAL_BODIES"), json!(true), json!([])] {
        let refused = ann.post(PATH, retries(other)).await.expect(400, "invalid_fields");
        let fields: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["retries"], "{refused}");
    }
    ann.has_keys(2).await;
}

#[tokio::test]
async fn unknown_fields_of_a_key_are_ignored() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let body = json!({ "name": "x", "id": "x", "user_id": ben.id, "key": "sk-x", "hint": "x", "created": 1, "api_keys": 0 });
    let made = ann.post(PATH, body.clone()).await.is(201);
    assert!(
        ["id", "key", "hint", "created"].iter().all(|field| made[*field] != body[*field]),
        "{made}"
    );
    assert_eq!((ids(&ann.api_keys().await), ben.api_keys().await), (vec![id(&made)], json!([])));
}

#[tokio::test]
async fn revocations_end_one_key_at_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (lost, kept) =
        (ann.makes_a_key("lost").await.is(201), ann.makes_a_key("kept").await.is(201));
    assert_eq!(
        ann.revokes(&format!("{}/", id(&lost))).await.is(200),
        json!({ "message": "The API key is revoked." })
    );
    assert_eq!(api.store().api_key(&id(&lost)).await, Ok(None));
    assert_eq!(ids(&ann.api_keys().await), [id(&kept)]);
    ann.has_keys(1).await;
    ann.revokes(&id(&lost)).await.expect(404, "not_found");
    ann.revokes(&id(&kept)).await.is(200);
    ann.revokes(&id(&kept)).await.expect(404, "not_found");
    ann.has_keys(0).await;
}

#[tokio::test]
async fn keys_of_other_users_are_neither_seen_nor_revoked() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let key = ann.makes_a_key("Ann's").await.is(201);
    // Ben gets the same refusal with and without a key of his own.
    for keys in 0..2 {
        let before = api.items(&ann.id).await;
        let refused = ben.revokes(&id(&key)).await.expect(404, "not_found");
        assert_eq!(refused["detail"], "No API key has this id, or it was revoked.");
        assert_eq!(api.items(&ann.id).await, before);
        ben.has_keys(keys).await;
        ben.makes_a_key("Ben's").await.is(201);
    }
    let list = ben.get(&format!("{PATH}?user_id={}", ann.id)).await.is(200);
    assert!(!list.to_string().contains("Ann") && list.as_array().unwrap().len() == 2, "{list}");
    ann.has_keys(1).await;
}

#[tokio::test]
async fn invalid_key_ids_are_not_found() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let own = id(&ann.makes_a_key("x").await.is(201));
    let before = api.items(&ann.id).await;
    for other in [
        "x",
        "null",
        "%00",
        "..%2f..%2fetc",
        "{id}",
        "00000000-0000-7000-8000-000000000000",
        &ann.session(),
        &own.to_uppercase(),
        &own.replace('-', ""),
        &format!("apikey:{own}"),
        &format!("{own}%20"),
        &format!("urn:uuid:{own}"),
        &"x".repeat(3000),
    ] {
        ann.revokes(other).await.expect(404, "not_found");
    }
    assert_eq!(api.items(&ann.id).await, before);
    // A caller whose session has ended gets the same refusal for valid and invalid ids.
    ann.log_out().await.is(200);
    for key in ["x", &own] {
        ann.revokes(key).await.expect(401, "invalid_token");
    }
    let again = ann.log_in().await.is(200)["access"].as_str().unwrap().to_owned();
    ann.using(again).revokes(&own).await.is(200);
}

#[tokio::test]
async fn fifty_of_sixty_parallel_keys_are_created() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let answers = join_all((0..60).map(|_| ann.makes_a_key("x"))).await;
    let mut made = Vec::new();
    for answer in answers {
        match answer.status.as_u16() {
            201 => made.push(id(&answer.body)),
            _ => {
                let refused = answer.expect(409, "too_many_api_keys");
                assert_eq!(
                    refused["detail"],
                    "An account has at most 50 API keys. Revoke one that is no longer used."
                );
            }
        }
    }
    made.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(made.len(), API_KEYS as usize);
    assert_eq!(ids(&ann.api_keys().await), made);
    ann.has_keys(API_KEYS).await;

    // Revoking a key makes room for one new key, however often the key is revoked.
    let revoked = join_all((0..6).map(|_| ann.revokes(&made[0]))).await;
    assert_eq!(revoked.iter().filter(|answer| answer.status == 200).count(), 1, "{revoked:?}");
    let again = join_all((0..6).map(|_| ann.makes_a_key("x"))).await;
    assert_eq!(again.iter().filter(|answer| answer.status == 201).count(), 1, "{again:?}");
    ann.has_keys(API_KEYS).await;
}

#[tokio::test]
async fn accounts_from_before_api_keys_can_create_them() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let key = AttributeValue::S(format!("user:{}", ann.name));
    let update = emulator::dynamo::client(&api.dynamodb)
        .update_item()
        .table_name("UsersTable")
        .key("pk", key);
    update.update_expression("REMOVE api_keys").send().await.unwrap();
    ann.has_keys(0).await;
    ann.revokes(&api.clock().id().to_string()).await.expect(404, "not_found");
    let made = ann.makes_a_key("x").await.is(201);
    ann.has_keys(1).await;
    ann.revokes(&id(&made)).await.is(200);
    ann.has_keys(0).await;
}

#[tokio::test]
async fn keys_survive_log_outs_and_password_changes() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let made = id(&ann.makes_a_key("x").await.is(201));
    let passwords = json!({ "current_password": ann.password, "new_password": "another-one" });
    let access = ann.post("/api/user/password/", passwords).await.is(200)["access"]
        .as_str()
        .unwrap()
        .to_owned();
    ann.makes_a_key("x").await.expect(401, "invalid_token");
    let ann = Person { password: "another-one".into(), ..ann.using(access) };
    ann.log_out_everywhere().await.is(200);
    ann.get(PATH).await.expect(401, "invalid_token");
    let ann = ann.elsewhere("a test").await;
    assert_eq!(ids(&ann.api_keys().await), std::slice::from_ref(&made));
    ann.revokes(&made).await.is(200);
}

#[tokio::test]
async fn keys_ended_by_an_address_proof_are_not_listed_or_counted() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let ended = ann.makes_a_key("x").await.is(201);
    // Put the account into the state that it is in after an address was verified, but before the
    // older API keys are deleted.
    api.set(&ann, "auth_epoch", AttributeValue::N("2".into())).await;
    api.set(&ann, "keys_from", AttributeValue::N("2".into())).await;
    api.set(&ann, "api_keys", AttributeValue::N("0".into())).await;
    let ann = ann.elsewhere("a test").await;
    let kept = ann.makes_a_key("x").await.is(201);
    assert_eq!(ids(&ann.api_keys().await), [id(&kept)]);
    assert_eq!(ann.get("/api/user/export/").await.is(200)["api_keys"].as_array().unwrap().len(), 1);
    ann.revokes(&id(&ended)).await.expect(404, "not_found");
    assert_eq!(api.account(&ann).await.api_keys, 1);
    ann.using(ended["key"].as_str().unwrap()).get("/v1/models").await.expect(401, "invalid_token");
    ann.using(kept["key"].as_str().unwrap()).get("/v1/models").await.is(200);
    ann.revokes(&id(&kept)).await.is(200);
}

#[tokio::test]
async fn keys_from_before_epochs_work_and_can_be_revoked() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let made = ann.makes_a_key("x").await.is(201);
    let update = emulator::dynamo::client(&api.dynamodb).update_item().table_name("TokensTable");
    let update = update
        .key("pk", AttributeValue::S(format!("apikey:{}", id(&made))))
        .update_expression("REMOVE auth_epoch");
    update.send().await.unwrap();
    let program = ann.using(made["key"].as_str().unwrap());
    program.get("/v1/models").await.is(200);
    program.completes().await.is(200);
    ann.revokes(&id(&made)).await.is(200);
    ann.has_keys(0).await;
    program.completes().await.expect(401, "invalid_token");
}

#[tokio::test]
async fn ended_sessions_neither_create_nor_revoke_keys() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let made = ann.makes_a_key("x").await.is(201);
    let stranger = ApiKey::random(api.clock().id()).unwrap();
    let (_, caller) = api.caller(&ann).await;
    let name = shared::values::api_key::KeyName::parse("x").unwrap();
    let stored =
        shared::values::StoredApiKey::new(&stranger, &caller, &name, Restrictions::default(), 1);
    api.store()
        .end_sessions(&caller, Ending::One { session: &caller.session, ends: u64::MAX }, 1)
        .await
        .unwrap();
    assert_eq!(api.store().create_api_key(&caller, &stored).await, Err(StoreError::NotAccepted));
    assert_eq!(api.store().revoke_api_key(&caller, &id(&made)).await, Err(StoreError::NotAccepted));
    ann.has_keys(1).await;
}

#[tokio::test]
async fn sessions_that_end_during_a_change_raise_no_limit() {
    let rig = Rig::start().await;
    let ann = rig.person().await;
    let limited = json!({ "name": "x", "limit": { "tokens": 100 } });
    let key = id(&ann.post(PATH, limited).await.is(201));
    let lane = rig.proxy.lane();
    let app = rig.api.function_over("api_key_rename", &lane);
    // The SDK sends the write again when the session has ended.
    lane.strike_once("TransactWriteItems", 1, Fault::StallBefore);
    let (path, bearer) = (format!("{PATH}/{key}"), ann.bearer());
    let headers = [("authorization", bearer.as_str())];
    let raised = json!({ "limit": { "tokens": 1000 } });
    let (reply, ()) = tokio::join!(ask(&app, "api_key_rename", &path, &headers, raised), async {
        assert!(lane.strikes().await, "the change isn't a transaction");
        ann.ends(&ann.session()).await.is(200);
    });
    assert_eq!(reply.status, 401, "{}", reply.body);
    let stored = rig.api.store().api_key(&key).await.unwrap().unwrap();
    assert_eq!(stored.limit().map(|limit| limit.tokens.get()), Some(100));
}

#[tokio::test]
async fn retried_key_creations_return_the_same_key() {
    let rig = Rig::start().await;
    for fault in Fault::ALL.into_iter().filter(|fault| fault.suits("TransactWriteItems")) {
        for forgets in [false, true] {
            let ann = rig.person().await;
            let lane = rig.proxy.lane();
            let app = rig.api.function_over("api_key_create", &lane);
            if forgets {
                lane.forgets_tokens();
            }
            lane.strike_once("TransactWriteItems", 1, fault);
            let reply = ask(
                &app,
                "api_key_create",
                PATH,
                &[("authorization", &ann.bearer())],
                json!({ "name": "x" }),
            )
            .await;
            assert!(lane.strikes().await, "{fault:?}");
            // If the SDK doesn't retry the write, its outcome is unknown.
            assert_eq!(
                reply.status,
                if fault.is_sent_again() { 201 } else { 503 },
                "{fault:?}: {}",
                reply.body
            );
            let made = u32::from(fault.is_done());
            ann.has_keys(made).await;
            lane.deliver_much_later().await;
            ann.has_keys(made).await;
            if reply.status == 201 {
                let key = ApiKey::parse(reply.body["key"].as_str().unwrap()).unwrap();
                let stored = rig.api.store().api_key(&key.id().to_string()).await.unwrap().unwrap();
                assert!(key.matches(stored.hash()), "{fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_allowed_key_can_be_retried() {
    let rig = Rig::start().await;
    let ann = rig.person().await;
    rig.api.set(&ann, "api_keys", AttributeValue::N("49".into())).await;
    let lane = rig.proxy.lane();
    lane.forgets_tokens();
    lane.strike_once("TransactWriteItems", 1, Fault::ResetAfter);
    let app = rig.api.function_over("api_key_create", &lane);
    let ask = async || {
        ask(
            &app,
            "api_key_create",
            PATH,
            &[("authorization", &ann.bearer())],
            json!({ "name": "x" }),
        )
        .await
    };
    assert_eq!(ask().await.status, 201);
    assert_eq!(ask().await.body["code"], "too_many_api_keys");
}

#[tokio::test]
async fn retried_revocations_succeed_and_restore_no_key() {
    let rig = Rig::start().await;
    for fault in Fault::ALL.into_iter().filter(|fault| fault.suits("TransactWriteItems")) {
        let ann = rig.person().await;
        let bearer = ann.bearer();
        let headers = [("authorization", bearer.as_str())];
        let making = rig.proxy.lane();
        making.strike_once("TransactWriteItems", 1, Fault::Again);
        let made = ask(
            &rig.api.function_over("api_key_create", &making),
            "api_key_create",
            PATH,
            &headers,
            json!({ "name": "x" }),
        )
        .await;
        let kept = ann.makes_a_key("kept").await.is(201);

        let lane = rig.proxy.lane();
        let app = rig.api.function_over("api_key_revoke", &lane);
        lane.strike_once("TransactWriteItems", 1, fault);
        let path = format!("{PATH}/{}", id(&made.body));
        let reply = ask(&app, "api_key_revoke", &path, &headers, Value::Null).await;
        assert!(lane.strikes().await, "{fault:?}");
        assert_eq!(
            reply.status,
            if fault.is_sent_again() { 200 } else { 503 },
            "{fault:?}: {}",
            reply.body
        );
        if !fault.is_done() {
            lane.calm();
            assert_eq!(
                ask(&app, "api_key_revoke", &path, &headers, Value::Null).await.status,
                200,
                "{fault:?}"
            );
        }
        ann.has_keys(1).await;
        // A late copy of the write that created the API key has no effect, because the store
        // recognizes its request token.
        making.deliver().await;
        lane.deliver_much_later().await;
        ann.has_keys(1).await;
        assert_eq!(ids(&ann.api_keys().await), [id(&kept)], "{fault:?}");
    }
}
