//! `GET /api/admin/figures`: the totals across all accounts, and the most active users.

use serde_json::{Value, json};
use shared::clock::{Day, rfc3339};

use crate::endpoints::admin::administration::at_noon;
use crate::support::client::{Api, DAY, GRANT, PRICE, Person};
use crate::support::world::put;

#[tokio::test]
async fn a_census_sums_up_all_accounts_daily() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, ben, gone) =
        (api.person("ann").await, api.person("ben").await, api.person("gone").await);
    let figures = async |query: &str| root.admin(&format!("figures{query}")).await.is(200);
    assert_eq!(figures("?accounts=true").await["accounts"], Value::Null);
    assert!(figures("").await.get("accounts").is_none(), "only clients that ask get them");

    ann.chat("hi").await.is(200);
    root.adjusts(&ann, 50, "a gift").await.is(201);
    root.changes(&ben, json!({ "active": false })).await.is(200);
    gone.deletes_the_account().await.is(202);
    let census = api.server().apps["census"].clone();
    let before = census.clock.millis();
    functions::background::census::run(&census).await.unwrap();
    let counted = figures("?accounts=true").await["accounts"].clone();
    let expected = json!({
        "counted": counted["counted"], "users": 3, "administrators": 1, "deactivated": 1, "silent": 2,
        "tokens": 3 * GRANT + 50 - PRICE, "granted": 3 * GRANT + 50, "spent": PRICE,
    });
    assert_eq!(counted, expected);
    assert!(counted["counted"].as_str().unwrap() >= rfc3339(before).as_str());

    ben.has_left(0).await;
    assert_eq!(figures("?accounts=true").await["accounts"], counted, "until the next census");
    functions::background::census::run(&census).await.unwrap();
    let later = figures("?accounts=true").await;
    assert_eq!(later["accounts"]["tokens"], 2 * GRANT + 50 - PRICE);
    root.admin("figures?accounts=all").await.expect(400, "invalid_fields");
}

/// The names, message counts and spent credits of the most active users.
async fn top(root: &Person, query: &str) -> Vec<(Value, u64, u64)> {
    let top = root.admin(&format!("figures?{query}")).await.is(200)["top"].clone();
    assert_eq!(top["complete"], true, "{top}");
    let number = |user: &Value, field: &str| user[field].as_u64().unwrap();
    let users = top["users"].as_array().unwrap().iter();
    users
        .map(|user| (user["username"].clone(), number(user, "chats"), number(user, "spent")))
        .collect()
}

#[tokio::test]
async fn figures_rank_users_by_spending_and_by_messages() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let (ann, ben, gone) =
        (api.person("ann").await, api.person("ben").await, api.person("gone").await);
    let today = Day::from_millis(api.server().clock.millis());
    assert!(root.admin("figures").await.is(200).get("top").is_none());
    assert!(top(&root, "top=spent").await.is_empty());
    for person in [&ann, &ann, &ann, &ben, &gone, &gone] {
        person.chat("hi").await.is(200);
    }
    gone.deletes_the_account().await.is(202);
    // Raise the price of Ben's chat.
    let rows = api.items("").await["LedgerTable"].clone();
    let is_bens = |row: &&Value| row["user_id"] == ben.id.as_str() && row["kind"] == "chat";
    let mut dear = rows.iter().find(is_bens).unwrap().clone();
    dear["amount"] = json!(-10 * i64::try_from(PRICE).unwrap());
    put(&api.dynamodb, "LedgerTable", &[dear]).await;

    let name = |person: &Person| json!(person.name);
    let first =
        [(name(&ben), 1, 10 * PRICE), (name(&ann), 3, 3 * PRICE), (Value::Null, 2, 2 * PRICE)];
    assert_eq!(top(&root, "top=spent").await, first);
    let [dear, most, deleted] = first.clone();
    assert_eq!(top(&root, "top=chats").await, [most, deleted, dear]);
    for bad in ["top=tokens", "top=Spent"] {
        root.admin(&format!("figures?{bad}")).await.expect(400, "invalid_fields");
    }

    // On the next day, the previous day's figures are stored together with that day's most active
    // users.
    api.server().clock.advance(DAY);
    let (root, ann) = (root.elsewhere("a test").await, ann.elsewhere("a test").await);
    for _ in 0..8 {
        ann.chat("hi").await.is(200);
    }
    let range = format!("top=spent&from={today}&to={today}");
    for _ in 0..2 {
        assert_eq!(top(&root, &range).await, first);
    }
    let key = format!("figures:{today}#users");
    let items = api.items("").await["TokensTable"].clone();
    let stored = items.iter().find(|item| item["pk"] == key.as_str()).unwrap();
    assert_eq!((&stored["complete"], stored["users"].as_array().unwrap().len()), (&json!(true), 3));
    let both = format!("top=spent&from={today}&to={}", today.after(1));
    let sums = top(&root, &both).await;
    assert_eq!(sums[0], (name(&ann), 11, 11 * PRICE));
    assert_eq!(sums[1..], [(name(&ben), 1, 10 * PRICE), (Value::Null, 2, 2 * PRICE)]);
}
