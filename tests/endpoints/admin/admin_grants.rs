//! `POST /api/admin/grants`: previews, and grants that are made only once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::Credits;
use shared::clock::least_id;

use crate::endpoints::admin::administration::texts;
use crate::support::client::{Answer, Api, GRANT, Person, unique};

/// The lifetime of a preview's id: twelve hours.
const LASTS: Duration = Duration::from_secs(12 * 3600);

impl Person {
    /// Sends a file of users and amounts. Without an `id`, the API only previews the grants.
    async fn grants(&self, id: &Value, grants: &[(&str, i64)]) -> Answer {
        self.grants_for("a gift", id, grants).await
    }

    async fn grants_for(&self, reason: &str, id: &Value, grants: &[(&str, i64)]) -> Answer {
        let grant = |(user, amount): &(&str, i64)| json!({ "user": user, "amount": amount });
        let grants: Vec<Value> = grants.iter().map(grant).collect();
        let body = json!({ "id": id, "reason": reason, "grants": grants });
        self.post("/api/admin/grants/", body).await
    }

    /// Previews these grants. Returns the preview's id.
    async fn previews(&self, grants: &[(&str, i64)]) -> Value {
        let preview = self.grants(&Value::Null, grants).await.is(200);
        assert_eq!(preview["preview"], true, "{preview}");
        preview["id"].clone()
    }
}

fn outcomes(reply: &Value) -> String {
    texts(reply["grants"].as_array().unwrap(), "outcome").join(", ")
}

#[tokio::test]
async fn previews_show_each_result_and_change_nothing() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let name = unique("ann");
    let address = format!("{name}@example.com");
    let ann = api.person_at(&name, &address).await;
    let (ben, cat, gone) =
        (api.person("ben").await, api.person("cat").await, api.person("gone").await);
    let dan = api.person("dan").await;
    root.changes(&ben, json!({ "active": false })).await.is(200);
    gone.deletes_the_account().await.is(202);
    // Ignore the outbox: the e-mail to Ann may still be waiting.
    let stored = async || {
        let mut items = api.items("").await;
        let is_mail = |item: &Value| {
            let key = item["pk"].as_str().unwrap();
            ["outbox:", "link:"].iter().any(|kind| key.starts_with(kind))
        };
        items.get_mut("TokensTable").unwrap().retain(|item| !is_mail(item));
        items
    };
    let before = stored().await;

    let (max, shouted) = (i64::try_from(Credits::MAX.get()).unwrap(), address.to_uppercase());
    let unknown = least_id(0);
    let file = [
        (shouted.as_str(), 50),
        (ben.id.as_str(), -4000),
        (cat.name.as_str(), -4001),
        (cat.id.as_str(), 1),
        (dan.name.as_str(), max),
        (gone.name.as_str(), 1),
        (gone.id.as_str(), 1),
        (unknown.as_str(), 1),
        ("no user has this name", 1),
        (name.as_str(), 1),
        (root.name.as_str(), 1),
    ];
    let preview = root.grants(&Value::Null, &file).await.is(200);
    assert_eq!(preview["preview"], true);
    assert_eq!(
        outcomes(&preview),
        "ready, ready, balance_too_low, repeated, grant_too_large, no_such_user, no_such_user, no_such_user, no_such_user, repeated, own_account"
    );
    assert_eq!(
        preview["grants"][0],
        json!({
            "user": shouted, "user_id": ann.id, "username": name, "active": true, "email_verified": false, "tokens": GRANT,
            "amount": 50, "reason": "a gift", "outcome": "ready", "ledger_id": null, "earlier": null,
        })
    );
    assert_eq!(
        (&preview["grants"][1]["active"], &preview["grants"][5]["user_id"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(stored().await, before, "a preview writes nothing");
    let another = root.grants(&Value::Null, &file).await.is(200);
    assert_ne!(another["id"], preview["id"]);
}

#[tokio::test]
async fn grants_of_a_file_are_made_once_across_retries_and_admins() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (ann, ben, cat) =
        (api.person("ann").await, api.person("ben").await, api.person("cat").await);
    let dan = api.person("dan").await;
    let file = [
        (ann.id.as_str(), 500),
        (ben.name.as_str(), -100),
        ("no user has this name", 5),
        (cat.id.as_str(), -4001),
        (dan.id.as_str(), 7),
    ];
    let id = root.previews(&file).await;
    let made = root.grants(&id, &file).await.is(200);
    assert_eq!((&made["id"], &made["preview"]), (&id, &json!(false)));
    assert_eq!(outcomes(&made), "made, made, no_such_user, balance_too_low, made");
    assert_eq!(made["grants"][0]["tokens"], GRANT, "the balance before it");
    for person in [&root, &other] {
        let again = person.grants(&id, &file).await.is(200);
        let said = "made_before, made_before, no_such_user, balance_too_low, made_before";
        assert_eq!(outcomes(&again), said);
        for place in [0, 1, 4] {
            let row = |reply: &Value| reply["grants"][place]["ledger_id"].clone();
            assert_eq!(row(&again), row(&made));
        }
    }
    for (person, balance) in
        [(&ann, GRANT + 500), (&ben, GRANT - 100), (&cat, GRANT), (&dan, GRANT + 7)]
    {
        assert_eq!(person.balance().await, balance);
        assert_eq!(api.store().audit(&person.name).await.unwrap().differences, []);
    }

    // Each grant has a row in the statement and on the trail, like an adjustment.
    let statement = ann.get("/api/user/ledger/").await.is(200);
    assert_eq!(statement[0]["id"], made["grants"][0]["ledger_id"]);
    let row = |row: &Value| ["kind", "amount", "reason"].map(|field| row[field].clone());
    assert_eq!(row(&statement[0]), [json!("adjustment"), json!(500), json!("a gift")]);
    let trail = root.admin("trail").await.is(200);
    let trail = trail.as_array().unwrap();
    assert_eq!((trail.len(), texts(trail, "actor")), (3, vec![root.id.clone(); 3]));

    // A later request with the same id may retry refused grants and add users, but can't change a
    // grant that was made.
    let eve = api.person("eve").await;
    let later = [(cat.id.as_str(), -4000), (ann.id.as_str(), 501), (eve.id.as_str(), 1)];
    let later = root.grants(&id, &later).await.is(200);
    assert_eq!(outcomes(&later), "made, other_made, made");
    assert_eq!((cat.balance().await, ann.balance().await), (0, GRANT + 500));
    // A grant with a different reason is a new grant.
    let id = root.previews(&file[..1]).await;
    let more = root.grants_for("another gift", &id, &file[..1]).await.is(200);
    assert_eq!((outcomes(&more).as_str(), ann.balance().await), ("made", GRANT + 1000));
}

#[tokio::test]
async fn equal_grants_are_made_once_after_any_preview() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let file = [(ann.id.as_str(), 500), (ben.id.as_str(), 50)];
    // Two browsers preview the same file.
    let (id, others) = (root.previews(&file).await, other.previews(&file).await);
    let made = root.grants(&id, &file[..1]).await.is(200);
    assert_eq!(outcomes(&made), "made");

    // A later file with the same grants may identify the users differently, and list them in a
    // different order.
    let same = [(ben.name.as_str(), 50), (ann.name.as_str(), 500)];
    let preview = other.grants(&Value::Null, &same).await.is(200);
    assert_eq!(outcomes(&preview), "ready, granted_before");
    let sent = other.grants(&others, &same).await.is(200);
    assert_eq!(outcomes(&sent), "made, granted_before");
    for row in [&preview["grants"][1], &sent["grants"][1]] {
        assert_eq!(row["ledger_id"], made["grants"][0]["ledger_id"]);
        assert_eq!(row["earlier"]["actor_name"], json!(root.name));
        assert!(row["earlier"]["timestamp"].as_str().unwrap().ends_with('Z'), "{row}");
    }
    assert_eq!((ann.balance().await, ben.balance().await), (GRANT + 500, GRANT + 50));

    // A grant with a different amount or reason is a new grant.
    let id = root.previews(&file).await;
    assert_eq!(outcomes(&root.grants(&id, &[(ann.id.as_str(), 501)]).await.is(200)), "made");
    let id = root.previews(&file).await;
    let more = root.grants_for("for May", &id, &file).await.is(200);
    assert_eq!(outcomes(&more), "made, made");
    assert_eq!((ann.balance().await, ben.balance().await), (GRANT + 1501, GRANT + 100));

    // A grant is remembered for 90 days.
    for (days, outcome) in [(89, "granted_before"), (2, "ready")] {
        api.server().clock.advance(Duration::from_secs(days * 24 * 3600));
        let root = root.elsewhere("a test").await;
        let preview = root.grants(&Value::Null, &file[..1]).await.is(200);
        assert_eq!(outcomes(&preview), outcome, "after {days} more days");
    }
}

#[tokio::test]
async fn two_browsers_with_one_file_grant_once() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let ann = api.person("ann").await;
    let file = [(ann.id.as_str(), 500)];
    let mut previews = Vec::new();
    for who in [&root, &other].repeat(4) {
        previews.push((who, who.previews(&file).await));
    }
    let replies = join_all(previews.iter().map(|(who, id)| who.grants(id, &file))).await;
    let mut came: Vec<String> = replies.into_iter().map(|reply| outcomes(&reply.is(200))).collect();
    came.sort();
    let expected = [vec!["granted_before"; 7], vec!["made"]].concat();
    assert_eq!(came, expected);
    assert_eq!(ann.balance().await, GRANT + 500);
}

#[tokio::test]
async fn administrators_cannot_grant_themselves_credits() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    for amount in [7, -7] {
        let refused = root.adjusts(&root, amount, "my own").await.expect(409, "own_balance");
        let sentence = "Ask another administrator. Nothing was changed.";
        assert!(refused["detail"].as_str().unwrap().ends_with(sentence), "{refused}");
    }
    let id = api.clock().id().to_string();
    for id in [json!(id), Value::Null] {
        for user in [&root.id, &root.name, &root.name.to_uppercase()] {
            let file = [(user.as_str(), 500), (other.id.as_str(), -1_000_000)];
            let came = root.grants(&id, &file).await.is(200);
            assert_eq!(outcomes(&came), "own_account, balance_too_low");
        }
    }
    assert_eq!(root.balance().await, GRANT);
    // Another administrator and the operator can grant credits to an administrator.
    other.adjusts(&root, 7, "a gift").await.is(201);
    api.adjust(&root, 5, "by hand").await;
    assert_eq!(root.balance().await, GRANT + 12);
}

#[tokio::test]
async fn parallel_copies_of_a_file_grant_once() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let file = [(ann.id.as_str(), 500), (ben.id.as_str(), -3000)];
    let id = root.previews(&file).await;
    let replies = join_all((0..8).map(|_| root.grants(&id, &file))).await;
    let mut rows = BTreeSet::new();
    for reply in replies {
        let reply = reply.is(200);
        let grants = reply["grants"].as_array().unwrap();
        rows.insert(texts(grants, "ledger_id"));
        let is_made = |outcome: &String| ["made", "made_before"].contains(&outcome.as_str());
        assert!(texts(grants, "outcome").iter().all(is_made), "{reply}");
    }
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((ann.balance().await, ben.balance().await), (GRANT + 500, GRANT - 3000));
}

#[tokio::test]
async fn preview_ids_expire_after_twelve_hours() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let ann = api.person("ann").await;
    let file = [(ann.id.as_str(), 500)];
    let id = root.previews(&file).await;
    root.grants(&id, &file).await.is(200);
    api.server().clock.advance(LASTS - Duration::from_secs(60));
    let root = root.elsewhere("a test").await;
    assert_eq!(outcomes(&root.grants(&id, &file).await.is(200)), "made_before");
    api.server().clock.advance(Duration::from_secs(61));
    let root = root.elsewhere("a test").await;
    root.grants(&id, &file).await.expect(400, "invalid_fields");
    // The record of a grant outlives the preview's id.
    api.server().clock.advance(LASTS);
    let root = root.elsewhere("a test").await;
    let now = api.server().clock.millis();
    let lasts = u64::try_from(LASTS.as_millis()).unwrap();
    let later = least_id(now + lasts + 60_000);
    let made_up = "5a2f1c9e-0000-4000-8000-000000000000";
    for bad in [id, json!(later), json!(made_up), json!("x"), json!("")] {
        let refused = root.grants(&bad, &file).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["id"][0].as_str().unwrap().contains("12 hours"), "{refused}");
    }
    assert_eq!(ann.elsewhere("a test").await.balance().await, GRANT + 500);
}

#[tokio::test]
async fn invalid_files_name_their_rows_and_grant_nothing() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let ann = api.person("ann").await;
    let id = root.previews(&[(ann.id.as_str(), 5)]).await;
    let good = json!({ "user": ann.id, "amount": 5 });
    let rows = |count: usize| vec![good.clone(); count];
    for (grants, field) in [
        (json!(null), "grants"),
        (json!([]), "grants"),
        (json!(rows(51)), "grants"),
        (json!([good, { "user": "", "amount": 5 }]), "grants[1].user"),
        (json!([good, { "amount": 5 }]), "grants[1].user"),
        (json!([good, { "user": "ann" }]), "grants[1].amount"),
        (json!([good, { "user": "ann", "amount": 0 }]), "grants[1].amount"),
        (json!([good, { "user": "ann", "amount": 0.5 }]), "grants[1].amount"),
        (json!([good, { "user": "ann", "amount": "5" }]), "grants[1].amount"),
        (json!([good, { "user": "ann", "amount": 5, "reason": "a\nb" }]), "grants[1].reason"),
        (json!(["ann"]), "grants[0]"),
    ] {
        let body = json!({ "id": id, "reason": "a gift", "grants": grants });
        let refused = root.post("/api/admin/grants", body).await.expect(400, "invalid_fields");
        let fields: Vec<&String> = refused["errors"].as_object().unwrap().keys().collect();
        assert_eq!(fields, [field], "{refused}");
    }
    for reason in [json!(null), json!(""), json!(" ")] {
        let body = json!({ "id": id, "reason": reason, "grants": [good] });
        let refused = root.post("/api/admin/grants", body).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["reason"].is_array(), "{refused}");
    }
    assert_eq!(ann.balance().await, GRANT);

    // A row may have its own reason, or an empty one.
    let ben = api.person("ben").await;
    let grants = json!([
        { "user": ann.id, "amount": 5, "reason": "for the outage" },
        { "user": ben.id, "amount": 5.0, "reason": " " },
    ]);
    let body = json!({ "id": id, "reason": "a gift", "grants": grants });
    let made = root.post("/api/admin/grants", body).await.is(200);
    assert_eq!(outcomes(&made), "made, made");
    assert_eq!(texts(made["grants"].as_array().unwrap(), "reason"), ["for the outage", "a gift"]);
    assert_eq!((ann.balance().await, ben.balance().await), (GRANT + 5, GRANT + 5));
}

#[tokio::test]
async fn usernames_like_account_ids_get_no_foreign_grants() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let gone = api.person("gone").await;
    gone.deletes_the_account().await.is(202);
    let thief = json!({ "username": gone.id, "password": "secret123" });
    let thief = api.person_with(thief).await;
    let id = api.clock().id().to_string();
    // Other programs may write the id in capitals or without hyphens.
    for notation in [gone.id.clone(), gone.id.to_uppercase(), gone.id.replace('-', "")] {
        let made = root.grants(&json!(id), &[(notation.as_str(), 500)]).await.is(200);
        assert_eq!((outcomes(&made).as_str(), thief.balance().await), ("no_such_user", GRANT));
    }
}
