//! `GET /api/admin/trail`: filters and CSV.

use serde_json::{Value, json};
use shared::clock::{Day, month};
use shared::values::Act;

use crate::endpoints::account::ledger::csv_line;
use crate::endpoints::admin::administration::{at_noon, texts};
use crate::support::client::{Api, DAY, Person};
use crate::support::world::put;

/// Returns the reasons for the actions that a query finds, page by page.
async fn reasons(root: &Person, query: &str) -> String {
    texts(&root.every("trail", query).await.0, "reason").join(", ")
}

#[tokio::test]
async fn the_trail_is_filtered_by_action_user_admin_and_day() {
    let api = at_noon().await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    api.adjust(&ann, 7, "by hand").await;
    api.server().clock.advance(DAY);
    let [root, other] = [root.elsewhere("a day later").await, other.elsewhere("a day later").await];
    let today = Day::from_millis(api.clock().millis());
    root.adjusts(&ann, 5, "one").await.is(201);
    other.adjusts(&ben, 6, "two").await.is(201);
    root.changes(&ben, json!({ "active": false, "reason": "spam" })).await.is(200);
    api.server().clock.advance(DAY);
    let root = root.elsewhere("two days later").await;
    root.adjusts(&ann, 8, "four").await.is(201);

    let (before, after) = (today.before(1), today.after(1));
    for (query, expected) in [
        (String::new(), "four, spam, two, one, by hand"),
        ("act=adjustment".into(), "four, two, one, by hand"),
        ("act=deactivation".into(), "spam"),
        ("act=role".into(), ""),
        (format!("user_id={}", ben.id), "spam, two"),
        (format!("user_id={}", root.id), ""),
        (format!("actor={}", root.id), "four, spam, one"),
        (format!("actor={}", other.id), "two"),
        ("actor=manage".into(), "by hand"),
        (format!("from={today}&to={today}"), "spam, two, one"),
        (format!("to={before}"), "by hand"),
        (format!("from={after}"), "four"),
        (format!("from={}", after.after(1)), ""),
        ("to=1999-12-31".into(), ""),
        (format!("act=adjustment&actor={}&from={today}&to={today}", root.id), "one"),
        ("act=&user_id=&actor=&from=&to=".into(), "four, spam, two, one, by hand"),
    ] {
        for limit in [1, 2, 100] {
            let query = format!("?{query}&limit={limit}");
            assert_eq!(reasons(&root, &query).await, expected, "{query}");
        }
    }
    for bad in [
        "act=chat".into(),
        "act=Role".into(),
        "user_id=ann".into(),
        format!("actor={}", root.name),
        "from=yesterday".into(),
        format!("from={after}&to={today}"),
    ] {
        root.admin(&format!("trail?{bad}")).await.expect(400, "invalid_fields");
    }
    let next = root.admin("trail?act=adjustment&limit=1").await.next_page().unwrap();
    let other_filter = next.replace("adjustment", "role");
    root.admin(&format!("trail{other_filter}")).await.expect(400, "invalid_cursor");
    root.admin(&format!("trail{next}")).await.is(200);

    // The filter finds an intervention by its own name, although the item also contains the action
    // that earlier releases show instead.
    root.delete(&format!("/api/admin/users/{}/sessions/", ann.id)).await.is(200);
    for word in Act::words() {
        let acts = root.every("trail", &format!("?act={word}&user_id={}", ann.id)).await.0;
        let expected = match word.as_str() {
            "adjustment" => 3,
            "sessions" => 1,
            _ => 0,
        };
        assert_eq!(acts.len(), expected, "{word}: {acts:?}");
    }
}

#[tokio::test]
async fn trail_filters_are_bounded_and_continue_on_the_next_page() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    root.changes(&ann, json!({ "active": false, "reason": "spam" })).await.is(200);
    let clock = api.clock();
    let now = clock.millis();
    let row = |_| {
        json!({
            "user_id": ann.id, "entry_id": clock.id().to_string(), "trail": month(now), "amount": 1,
            "kind": "adjustment", "reason": "a gift", "actor": root.id, "time": now,
        })
    };
    put(&api.dynamodb, "LedgerTable", &(0..5000).map(row).collect::<Vec<Value>>()).await;
    let (acts, pages) = root.every("trail", "?act=deactivation").await;
    assert_eq!((texts(&acts, "reason").join(", "), pages), ("spam".to_owned(), 2));
    assert_eq!(root.every("trail", "?act=adjustment&limit=100").await.0.len(), 5000);
}

#[tokio::test]
async fn the_trail_is_csv_on_request() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    root.adjusts(&ann, -5, "=1+1").await.is(201);
    root.changes(&ann, json!({ "role": "admin" })).await.is(200);
    let get = async |query: &str| root.get_csv(&format!("/api/admin/trail{query}")).await;
    let acts = root.admin("trail").await.is(200);
    let columns = [
        "id",
        "timestamp",
        "act",
        "user_id",
        "username",
        "actor",
        "actor_name",
        "amount",
        "role",
        "reason",
    ];
    let line = |act: &Value| {
        let cells = columns.map(|column| match &act[column] {
            Value::Null => String::new(),
            Value::String(text) => text.replace("=1+1", "'=1+1"),
            other => other.to_string(),
        });
        csv_line(&cells.each_ref().map(String::as_str))
    };
    let expected: String =
        [csv_line(&columns)].into_iter().chain(acts.as_array().unwrap().iter().map(line)).collect();
    let whole = get("").await;
    assert_eq!(whole.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(whole.is(200), json!(expected));
    // Each page begins with the column names.
    let first = get("?limit=1").await;
    let next = first.next_page().unwrap();
    let (first, second) = (first.is(200), get(&next).await.is(200));
    let rest = second.as_str().unwrap().strip_prefix(&csv_line(&columns)).unwrap().to_owned();
    assert_eq!(format!("{}{rest}", first.as_str().unwrap()), expected);
}
