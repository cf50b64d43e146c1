//! Tests a store in which a later release has written kinds, roles and reasons that are unknown to
//! this release. This release reads such a store during a canary, and after a rollback of the later
//! release.

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::clock::month;
use shared::store::{AuditReport, Purpose};

use crate::endpoints::admin::administration::{at_noon, texts};
use crate::support::client::{Api, DAY, GRANT, PRICE, Person};
use crate::support::world::put;

/// The amount that a gift adds and a chat costs in a later release.
const GIFT: u64 = 70;
const VOICE: u64 = 30;

impl Person {
    /// Writes a gift and a charge of kinds that only a later release uses: the ledger rows, and the
    /// account's new numbers. Returns the charge's id.
    async fn has_later_rows(&self) -> String {
        let clock = &self.api.server().clock;
        let rows = self.api.items("").await["LedgerTable"].clone();
        let own = rows.iter().find(|row| row["user_id"] == self.id.as_str()).unwrap();
        let [gift, voice] = [clock.id(), clock.id()].map(|id| id.to_string());
        let row = |id: &str, kind: &str, amount: i64| {
            json!({
                "user_id": self.id, "entry_id": id, "amount": amount, "kind": kind, "reason": "later",
                "actor": self.id, "time": clock.millis(), "trail": own["trail"], "fare": { "output": 5 },
            })
        };
        let mut voices = row(&voice, "voice", -VOICE.cast_signed());
        voices["chat_id"] = json!(voice);
        let rows = [row(&gift, "gift_card", GIFT.cast_signed()), voices];
        put(&self.api.dynamodb, "LedgerTable", &rows).await;
        let account = self.api.account(self).await;
        for (attribute, tokens) in [
            ("granted", account.granted.get() + GIFT),
            ("spent", account.spent.get() + VOICE),
            ("tokens", account.tokens.get() + GIFT - VOICE),
        ] {
            self.api.set(self, attribute, AttributeValue::N(tokens.to_string())).await;
        }
        voice
    }

    /// Gets the reply as a CSV file.
    async fn file(&self, path: &str) -> String {
        self.get_csv(path).await.is(200).as_str().unwrap().to_owned()
    }
}

/// Creates a user with a grant, a chat and a later release's rows, and creates an administrator.
/// Returns the user, the id of the later release's charge, and the administrator.
async fn customer(api: &Api) -> (Person, String, Person) {
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    let voice = ann.has_later_rows().await;
    (ann, voice, root)
}

/// Returns the kind, amount and balance of each row.
fn amounts(rows: &Value) -> Vec<(&str, i64, u64)> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let (kind, balance) = (row["kind"].as_str().unwrap(), row["balance"].as_u64());
        (kind, row["amount"].as_i64().unwrap(), balance.unwrap_or_default())
    })
    .collect()
}

#[tokio::test]
async fn entries_of_unknown_kinds_count_and_are_listed() {
    let api = at_noon().await;
    let (ann, _, root) = customer(&api).await;
    let all = [
        ("voice", -30, GRANT - PRICE + GIFT - VOICE),
        ("gift_card", 70, GRANT - PRICE + GIFT),
        ("chat", -100, GRANT - PRICE),
        ("grant", 4000, GRANT),
    ];
    let of_ann = format!("/api/admin/users/{}/ledger", ann.id);
    for (reader, path) in [(&ann, "/api/user/ledger"), (&root, of_ann.as_str())] {
        let rows = reader.get(path).await.is(200);
        assert_eq!(amounts(&rows), all, "{path}");
        let file = reader.file(path).await;
        for part in [r#""gift_card","70","later""#, r#""voice","-30","later""#] {
            assert!(file.contains(part), "{path} lacks {part}: {file}");
        }
    }
    assert_eq!(ann.balance().await, GRANT - PRICE + GIFT - VOICE);

    let months = ann.get("/api/user/ledger/months").await.is(200);
    let totals = ["chats", "spent", "granted", "balance"].map(|field| months[0][field].as_u64());
    let expected = [2, PRICE + VOICE, GRANT + GIFT, GRANT - PRICE + GIFT - VOICE];
    assert_eq!(totals, expected.map(Some));

    let export = ann.get("/api/user/export").await.is(200);
    let exported = amounts(&export["ledger"]).into_iter().map(|(kind, amount, _)| (kind, amount));
    assert!(exported.eq(all.map(|(kind, amount, _)| (kind, amount))), "{export}");
    for query in ["", "?names=true"] {
        let file = root.file(&format!("/api/admin/export/ledger.csv{query}")).await;
        for part in [r#""gift_card","70","later""#, r#""voice","-30","later""#] {
            assert!(file.contains(part), "{query} lacks {part}: {file}");
        }
    }
}

#[tokio::test]
async fn entries_of_unknown_kinds_are_audited() {
    let api = at_noon().await;
    let (ann, voice, root) = customer(&api).await;
    let (store, now) = (api.store(), api.now());
    let clean = |rows| AuditReport { rows, differences: vec![] };
    let repairs = async || {
        let repairs =
            store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap().repairs;
        repairs.iter().filter(|repair| repair.starts_with(&ann.name)).count()
    };
    assert_eq!(store.audit(&ann.name).await.unwrap(), clean(4));
    assert_eq!(repairs().await, 0);
    // An administrator can refund a later release's chat like any other.
    let refund = json!({ "chat_id": voice, "reason": "no answer" });
    let path = format!("/api/admin/users/{}/adjustments", ann.id);
    assert_eq!(root.post(&path, refund).await.is(201)["amount"], VOICE);
    assert_eq!(store.audit(&ann.name).await.unwrap(), clean(5));

    // `reconcile` sets an account's numbers to the sums of its ledger rows, including rows of
    // unknown kinds.
    let granted = GRANT + GIFT + VOICE;
    let tokens = granted - PRICE - VOICE;
    for (attribute, wrong) in [("granted", GRANT), ("spent", 0), ("tokens", GRANT)] {
        api.set(&ann, attribute, AttributeValue::N(wrong.to_string())).await;
    }
    assert_eq!(repairs().await, 1);
    let account = api.account(&ann).await;
    let numbers = [account.granted, account.spent, account.tokens].map(shared::Credits::get);
    assert_eq!(numbers, [granted, PRICE + VOICE, tokens]);
    assert_eq!(store.audit(&ann.name).await.unwrap(), clean(5));
}

#[tokio::test]
async fn a_first_entry_of_an_unknown_kind_is_not_duplicated() {
    let api = at_noon().await;
    let ann = api.person("ann").await;
    let rows = api.items("").await["LedgerTable"].clone();
    let mut first = rows.iter().find(|row| row["entry_id"] == ann.id.as_str()).unwrap().clone();
    first["kind"] = json!("import");
    put(&api.dynamodb, "LedgerTable", &[first]).await;
    let (store, now) = (api.store(), api.now());
    let reconciled = store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
    assert_eq!(reconciled.repairs, Vec::<String>::new());
    assert_eq!(store.audit(&ann.name).await.unwrap(), AuditReport { rows: 1, differences: vec![] });
}

#[tokio::test]
async fn entries_of_unknown_kinds_are_in_the_figures() {
    let api = at_noon().await;
    let (ann, _, root) = customer(&api).await;
    let expected = json!({
        "users": 2, "chats": 2, "granted": 2 * GRANT + GIFT, "spent": PRICE + VOICE,
    });
    let day =
        root.admin("figures").await.is(200)["days"].as_array().unwrap().last().unwrap()["day"]
            .as_str()
            .unwrap()
            .to_owned();
    let path = format!("figures?from={day}&to={day}&top=spent");
    let top =
        json!([{ "user_id": ann.id, "username": ann.name, "chats": 2, "spent": PRICE + VOICE }]);
    let figures = root.admin(&path).await.is(200);
    assert_eq!((&figures["totals"], &figures["top"]["users"]), (&expected, &top));
    // The day's figures stay the same when the day ends and when the figures are stored.
    api.server().clock.advance(DAY);
    let root = root.elsewhere("a day later").await;
    for _ in 0..2 {
        let figures = root.admin(&path).await.is(200);
        assert_eq!((&figures["totals"], &figures["top"]["users"]), (&expected, &top));
    }
}

#[tokio::test]
async fn acts_of_unknown_kinds_are_on_the_trail_and_move_no_credits() {
    let api = at_noon().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let clock = &api.server().clock;
    let before = root.admin("figures").await.is(200);
    let act = |of: &str, of_act: Value| {
        let mut row = json!({
            "user_id": format!("{of}{}", ann.id), "entry_id": clock.id().to_string(), "amount": 0,
            "kind": "standing", "reason": "later", "actor": root.id, "time": clock.millis(),
            "trail": month(clock.millis()), "batch": { "number": 7 },
        });
        row.as_object_mut().unwrap().extend(of_act.as_object().unwrap().clone());
        row
    };
    let rows = [
        act("", json!({ "kind": "goodwill", "amount": 5 })),
        act("standing#", json!({ "kind": "freeze", "amount": 9 })),
        act("standing#", json!({ "act": { "limit": { "tokens": 5 } } })),
        act("standing#", json!({ "act": "unfreeze" })),
        act("standing#", json!({ "act": { "role": "support" } })),
        act("standing#", json!({ "act": { "role": "user" }, "intervention": "key_limit" })),
    ];
    put(&api.dynamodb, "LedgerTable", &rows).await;

    let words = "key_limit, role, unfreeze, limit, freeze, goodwill";
    let query = format!("?user_id={}", ann.id);
    let (trail, _) = root.every("trail", &query).await;
    assert_eq!(texts(&trail, "act").join(", "), words);
    let (trail, _) = root.every("trail", "").await;
    assert_eq!(texts(&trail, "act").join(", "), words);
    let shown = |place: usize| (&trail[place]["role"], &trail[place]["amount"]);
    assert_eq!(shown(0), (&Value::Null, &Value::Null));
    assert_eq!(shown(1), (&json!("support"), &Value::Null));
    assert_eq!(shown(5), (&Value::Null, &json!(5)));
    let file = root.file("/api/admin/trail").await;
    for word in words.split(", ") {
        assert!(file.contains(&format!(r#""{word}","{}""#, ann.id)), "{file}");
    }

    // The figures count only the row in the account's ledger, and not rows that are only on the
    // trail.
    let after = root.admin("figures").await.is(200);
    let granted = |figures: &Value| figures["totals"]["granted"].as_u64().unwrap();
    assert_eq!(granted(&after), granted(&before) + 5);
    let file = root.file("/api/admin/export/ledger.csv").await;
    assert!(file.contains(r#""goodwill","5""#) && !file.contains("freeze"), "{file}");
}

#[tokio::test]
async fn an_unknown_role_has_a_users_rights() {
    let api = at_noon().await;
    let (root, ben) = (api.administrator("root").await, api.person("ben").await);
    api.set(&ben, "role", AttributeValue::S("support".into())).await;
    let profile = ben.profile().await.is(200);
    assert_eq!((&profile["role"], &profile["is_staff"]), (&json!("support"), &json!(false)));
    ben.chat("hi").await.is(200);
    ben.admin("users").await.expect(403, "forbidden");
    ben.adjusts(&ben, 5, "for me").await.expect(403, "forbidden");
    assert_eq!(root.sees(&ben).await["role"], "support");
    for (query, found) in [("", 2), ("?role=user", 0), ("?role=admin", 1)] {
        let users = root.every("users", query).await.0;
        assert_eq!(users.len(), found, "{query}: {users:?}");
    }
    assert!(root.file("/api/admin/export/users.csv").await.contains(r#""support","false""#));
    let census = &api.server().apps["census"];
    functions::background::census::run(census).await.unwrap();
    let counted = root.admin("figures?accounts=true").await.is(200)["accounts"].clone();
    assert_eq!((&counted["users"], &counted["administrators"]), (&json!(2), &json!(1)));

    // Other changes keep the unknown role, and an administrator can replace it.
    for active in [false, true] {
        let changed = root.changes(&ben, json!({ "active": active })).await.is(200);
        assert_eq!(changed["role"], "support");
    }
    root.delete(&format!("/api/admin/users/{}/sessions", ben.id)).await.is(200);
    assert_eq!(api.account(&ben).await.role.word(), "support");
    assert_eq!(root.changes(&ben, json!({ "role": "user" })).await.is(200)["role"], "user");
    let (trail, _) = root.every("trail", "").await;
    assert_eq!(texts(&trail, "act").join(", "), "role, sessions, activation, deactivation");
    api.set(&ben, "role", AttributeValue::S("support".into())).await;
    root.changes(&ben, json!({ "role": "support" })).await.expect(400, "invalid_fields");
    let ben = ben.elsewhere("a phone").await;
    ben.deletes_the_account().await.is(202);
}

#[tokio::test]
async fn an_unknown_reason_for_a_cut_answer_is_shown_as_length() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = ann.chat("hi").await.is(200)["id"].clone();
    let chats = api.items("").await["ChatsTable"].clone();
    let mut chat = chats.into_iter().find(|chat| chat["chat_id"] == id).unwrap();
    chat["cut"] = json!("guardrail");
    put(&api.dynamodb, "ChatsTable", &[chat]).await;
    let history = ann.history("").await.is(200);
    assert_eq!((&history[0]["id"], &history[0]["finish_reason"]), (&id, &json!("length")));
}

#[tokio::test]
async fn a_link_for_an_unknown_purpose_is_invalid() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let token = api.link(&ann, Purpose::Reset, "ann@example.com").await;
    let items = api.items("").await["TokensTable"].clone();
    let is_link = |item: &Value| item["pk"].as_str().unwrap().starts_with("link:");
    let mut link = items.into_iter().find(is_link).unwrap();
    link["purpose"] = json!("unsubscribe");
    put(&api.dynamodb, "TokensTable", &[link]).await;
    let reset = json!({ "token": token, "password": "another-one" });
    api.post("/api/password/reset/confirm/", reset).await.expect(400, "invalid_link");
    ann.verifies(&token).await.expect(400, "invalid_link");
}

#[tokio::test]
async fn a_public_key_of_an_unknown_type_is_ignored() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let later = [("kid", "later"), ("jwk", "of another curve")];
    let later = later.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.into())));
    let put = dynamo::client(&api.dynamodb).put_item().table_name("KeysTable");
    put.set_item(Some(later.into())).send().await.unwrap();
    let fresh = api.beside(&[]).await;
    ann.at(&fresh).is_in().await;
    let keys = fresh.get("/.well-known/jwks.json").await.is(200);
    let keys = keys["keys"].as_array().unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key["kid"] != "later"), "{keys:?}");
}
