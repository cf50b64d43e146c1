//! Checks that run after an update. This release must work on the store of an earlier release.

use std::time::Duration;

use emulator::dynamo::{Data, Dynamo};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;

use super::life::{self, ClientCredentials, PASSWORD, completes, keyed, text};
use super::record::{self, Record};
use crate::support::client::{Api, DAY, PRICE, Person};
use crate::support::{forge, program};

/// Asserts that this release works on a recorded store, for users, programs, administrators and
/// scheduled work.
pub async fn works(record: &Record) -> (Dynamo, Api) {
    let (dynamo, api) = serve(record).await;
    let kept = &record.head.kept;
    reads_the_same(&api, kept).await;
    for kind in ["verify", "reset", "address_changes"] {
        api.mails_to(kept.said(&format!("letter {kind}")), 1).await;
    }
    opens_to_the_same(&api, kept).await;
    goes_on(&api, kept).await;
    is_clean(&api, kept).await;
    is_managed(&api, kept).await;
    own_data_changes(&api, kept).await;
    links_work(&api, kept).await;
    is_erased(&api, kept).await;
    is_clean(&api, kept).await;
    (dynamo, api)
}

/// Checks that the update doesn't change which log-ins, sessions, API keys and device tokens are
/// valid.
async fn opens_to_the_same(api: &Api, kept: &ClientCredentials) {
    let [root, ann, cat, tablet] =
        ["root", "ann", "cat", "tablet"].map(|session| kept.person(session, api));
    for person in [&root, &ann, &cat, &tablet] {
        person.is_in().await;
    }
    for session in ["ended session", "ben", "dan"] {
        kept.person(session, api).is_out().await;
    }
    for name in ["ann", "ann@example.com", "cat"] {
        api.log_in(json!({ "username": name, "password": PASSWORD })).await.is(200);
    }
    let root = json!({ "username": "root", "password": program::ADMIN_PASSWORD });
    api.log_in(root).await.is(200);
    // A failed log-in counts as an attempt. The test doesn't attempt a failing log-in for Ben,
    // because Ben must be able to log in later.
    for name in ["dan", "eve"] {
        let credentials = json!({ "username": name, "password": PASSWORD });
        api.log_in(credentials).await.expect(401, "invalid_credentials");
    }
    // Earlier wrong passwords are still counted, and names of deleted accounts remain taken for a
    // day.
    let nobody = json!({ "username": "nobody", "password": PASSWORD });
    api.log_in(nobody).await.expect(429, "too_many_attempts");
    for name in ["dan", "eve"] {
        let body = json!({ "username": name, "password": PASSWORD });
        api.register(body).await.expect(400, "username_taken");
    }
    let device = [("x-device-token", kept.said("device"))];
    let known = api.send(Method::POST, "/api/login", &device, Some(ann.credentials())).await;
    assert_eq!(
        forge::claims(known.header("x-device-token"))["sid"],
        forge::claims(device[0].1)["sid"]
    );
    known.is(200);

    let before = ann.balance().await;
    let program = ann.using(kept.said("api key"));
    // A program may retry a request that it sent before the update.
    completes(&program, "1").await.is(200);
    assert_eq!(ann.balance().await, before);
    // A request at the same instant would count as a retry.
    api.server().clock.advance(Duration::from_secs(1));
    completes(&program, "0").await.is(200);
    assert_eq!(ann.balance().await, before - PRICE);
    let revoked = ann.using(kept.said("revoked api key"));
    completes(&revoked, "0").await.expect(401, "invalid_token");
}

/// Checks that finished idempotency keys are replayed, that conversations continue, and that the
/// credits of waiting chats are returned once their leases have expired.
async fn goes_on(api: &Api, kept: &ClientCredentials) {
    let [ann, root] = ["ann", "root"].map(|session| kept.person(session, api));
    let (conversation, before) = (kept.said("conversation"), ann.balance().await);
    let once = json!({ "message": "only once", "conversation_id": conversation });
    let replayed = keyed(&ann, "/api/chat/", "message", once).await.is(200);
    let recorded: Value = serde_json::from_str(kept.said("keyed message")).unwrap();
    for field in ["id", "response", "tokens_deducted"] {
        assert_eq!(replayed[field], recorded[field], "{field}");
    }
    let path = format!("/api/admin/users/{}/adjustments", ann.id);
    let adjustment = json!({ "amount": 500, "reason": "for the outage" });
    let adjusted = keyed(&root, &path, "adjustment", adjustment).await.is(201);
    let recorded: Value = serde_json::from_str(kept.said("adjustment")).unwrap();
    assert_eq!(adjusted["id"], recorded["id"]);
    let hang = json!({ "message": "!hang" });
    keyed(&ann, "/api/chat/", "waiting", hang).await.expect(409, "idempotency_key_running");
    assert_eq!(ann.balance().await, before);

    for path in ["/api/chat/", "/api/chat/stream/"] {
        let more = json!({ "message": "after the update", "conversation_id": conversation });
        ann.post(path, more).await.is(200);
    }
    let gone = json!({ "message": "hi", "conversation_id": kept.said("deleted conversation") });
    kept.person("mia", api).post("/api/chat/", gone).await.expect(404, "not_found");
    let now = ann.history(&format!("?limit=100&conversation_id={conversation}")).await.is(200);
    let said = now.as_array().unwrap().iter().map(|chat| text(&chat["message"]));
    let said: Vec<String> = said.collect();
    let all =
        ["after the update", "after the update", "only once", "the second", "the first message"];
    assert_eq!(said, all);

    let held = record::items_of(&api.dynamodb, "UsersTable").await;
    let held = held.iter().filter_map(|item| item["reservations"]["M"].as_object());
    let held: usize = held.map(serde_json::Map::len).sum();
    let app = &api.server().apps["sweep"];
    app.clock.advance(Duration::from_secs(90));
    assert_eq!(ann.balance().await, before - PRICE, "the lease has ended");
    let swept = app.store.sweep(app.clock.seconds()).await.unwrap();
    assert_eq!((swept.released, swept.credits), (held, PRICE * held as u64));
    assert_eq!(ann.balance().await, before - PRICE);
}

/// Checks administrators' requests.
async fn is_managed(api: &Api, kept: &ClientCredentials) {
    let [root, ann, ben, cat] = ["root", "ann", "ben", "cat"].map(|name| kept.person(name, api));
    let user = |person: &Person| format!("/api/admin/users/{}", person.id);
    let before = ann.balance().await;
    let adjustment = json!({ "amount": 10, "reason": "after the update" });
    root.post(&format!("{}/adjustments", user(&ann)), adjustment).await.is(201);
    assert_eq!(ann.balance().await, before + 10);
    let again = json!({ "active": true, "reason": "is back" });
    root.patch(&user(&ben), again).await.is(200);
    ben.log_in().await.is(200);
    cat.get("/api/admin/users/").await.is(200);
    root.patch(&user(&cat), json!({ "role": "user", "reason": "helped" })).await.is(200);
    cat.is_out().await;
    let mia = kept.person("mia", api);
    root.delete(&format!("{}/sessions", user(&mia))).await.is(200);
    mia.is_out().await;
    for (path, mentions) in [
        ("/api/admin/users/?q=an", "ann@example.com"),
        ("/api/admin/trail", "helped"),
        ("/api/admin/trail", "for the outage"),
        ("/api/admin/chats?limit=100", "the first message"),
        ("/api/admin/export/users.csv", "ann@example.com"),
        ("/api/admin/export/chats.csv", "the first message"),
        ("/api/admin/export/ledger.csv", "too much"),
        ("/api/admin/figures", "granted"),
    ] {
        let reply = root.get(path).await.is(200).to_string();
        assert!(reply.contains(mentions), "{path} lacks {mentions:?}: {reply}");
    }
}

/// Checks a user's changes and deletions.
async fn own_data_changes(api: &Api, kept: &ClientCredentials) {
    let [ann, tablet] = ["ann", "tablet"].map(|session| kept.person(session, api));
    let export = ann.get("/api/user/export/").await.is(200).to_string();
    let parts = [
        "the first message",
        "Fares",
        "Travel",
        "a.txt",
        "a temporary one",
        "for the outage",
        "a tablet",
        "a program",
    ];
    for part in parts {
        assert!(export.contains(part), "the export lacks {part:?}: {export}");
    }
    let with_files = format!("/api/conversations/{}", kept.said("conversation with files"));
    for file in ann.get(&with_files).await.is(200)["files"].as_array().unwrap() {
        ann.get(&format!("/api/files/{}", text(&file["id"]))).await.is(200);
    }
    ann.delete(&with_files).await.is(202);
    ann.ends(&tablet.session()).await.is(200);
    tablet.is_out().await;
    ann.delete(&format!("/api/user/api-keys/{}", kept.said("api key id"))).await.is(200);
    completes(&ann.using(kept.said("api key")), "0").await.expect(401, "invalid_token");
    let conversation = format!("/api/conversations/{}", kept.said("conversation"));
    let renamed = ann.patch(&conversation, json!({ "title": "Tickets" })).await.is(200);
    assert_eq!(renamed["title"], "Tickets");
    ann.delete(&format!("/api/chat/{}", kept.said("message"))).await.is(200);
    ann.delete(&conversation).await.is(202);
    let changed = ann.change(json!({ "first_name": "Anna" })).await.is(200);
    assert_eq!((&changed["first_name"], &changed["last_name"]), (&json!("Anna"), &json!("Smith")));
    // Verifying another address ends all sessions.
    ann.elsewhere("a phone").await.verifies(kept.said("verify")).await.is(200);
    ann.is_out().await;
    let ann = ann.elsewhere("a laptop").await;
    assert_eq!(ann.profile().await.is(200)["email"], "ben@example.com");
    let new = json!({ "current_password": PASSWORD, "new_password": "another-one" });
    ann.post("/api/user/password/", new).await.is(200);
    ann.log_in().await.expect(401, "invalid_credentials");
}

/// Checks that links that were sent before the update work once.
async fn links_work(api: &Api, kept: &ClientCredentials) {
    let reset = json!({ "token": kept.said("reset"), "password": "after the update" });
    api.post("/api/password/reset/confirm/", reset.clone()).await.is(200);
    api.post("/api/password/reset/confirm/", reset).await.expect(400, "invalid_link");
    kept.person("lea", api).is_out().await;
    let lea = json!({ "username": "lea@example.com", "password": "after the update" });
    api.log_in(lea).await.is(200);
}

/// Checks that the scheduled erasure erases accounts and conversations that were deleted before or
/// after the update, and that names are free after a day.
async fn is_erased(api: &Api, kept: &ClientCredentials) {
    let app = api.server().apps["erase"].clone();
    for _ in 0..2 {
        functions::background::erase::work(app.clone()).await.unwrap();
        app.clock.advance(2 * DAY);
    }
    app.store.sweep_files(app.clock.seconds()).await.unwrap();
    let dan = kept.person("dan", api);
    let items = record::items(&api.dynamodb).await;
    for item in items["TokensTable"].iter().chain(&items["ChatsTable"]) {
        assert_ne!(item["user_id"]["S"], dan.id.as_str(), "{item}");
    }
    for item in &items["ChatsTable"] {
        for conversation in ["conversation", "deleted conversation", "conversation with files"] {
            assert!(!item.to_string().contains(kept.said(conversation)), "{item}");
        }
    }
    // The conversations with files were deleted, have expired, or had only a failed message.
    assert_eq!(items["FilesTable"], [Value::Null; 0]);
    for name in ["dan", "eve"] {
        api.register(json!({ "username": name, "password": PASSWORD })).await.is(201);
    }
}

/// Checks that the audit finds no difference, and that a restore would have nothing to repair. It
/// recounts a conversation whose message was deleted, because the message's charge is gone.
async fn is_clean(api: &Api, kept: &ClientCredentials) {
    let (store, now) = (api.store(), api.now());
    for item in record::items_of(&api.dynamodb, "UsersTable").await {
        let name = text(&item["pk"]["S"]);
        if let Some(name) = name.strip_prefix("user:") {
            assert_eq!(store.audit(name).await.unwrap().differences, [], "{item}");
        }
    }
    let mut repairs =
        store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap().repairs;
    let emptied = kept.said("emptied conversation");
    let recount = format!("forgot what the conversation {emptied} was charged");
    repairs.retain(|repair| !repair.ends_with(&recount));
    assert_eq!(repairs, [""; 0]);
}

async fn reads_the_same(api: &Api, kept: &ClientCredentials) {
    for seen in &kept.seen {
        let mut now = kept.person(&seen.by, api).get(&seen.path).await.is(200);
        // Reading the other paths adds entries to the audit log.
        if seen.path.starts_with("/api/admin/trail") {
            now.as_array_mut().unwrap().retain(|act| act["act"] != "reading");
        }
        if let Err(difference) = within(&seen.reply, &now) {
            panic!("{} read by {}: {difference}", seen.path, seen.by);
        }
    }
}

/// Returns an error if a reply lacks a field that it had before the update. New fields are allowed.
pub fn within(before: &Value, now: &Value) -> Result<(), String> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            before.iter().try_for_each(|(name, value)| {
                let now = now.get(name).ok_or_else(|| format!("{name} is gone"))?;
                within(value, now).map_err(|difference| format!("{name}: {difference}"))
            })
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            before.iter().zip(now).try_for_each(|(before, now)| within(before, now))
        }
        (before, now) if before == now => Ok(()),
        (before, now) => Err(format!("it was {before} and is {now}")),
    }
}

/// Starts a server of this release on the recorded store, at the time of the recording.
async fn serve(record: &Record) -> (Dynamo, Api) {
    let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
    record.load(&dynamo.url).await;
    let secret = record.head.signing_secret.as_str();
    let settings = [&life::SETTINGS[..], &[("SIGNING_SECRET", secret)]].concat();
    let api = Api::at(&dynamo.url, Clock::standing(record.head.at), &settings).await;
    (dynamo, api)
}
