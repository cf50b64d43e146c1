//! `GET /api/admin/figures`: the sums of all accounts.

use serde_json::{Value, json};
use shared::clock::rfc3339;

use crate::support::client::{Api, GRANT, PRICE};

#[tokio::test]
async fn all_accounts_are_summed_up_once_a_day() {
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
    functions::census::work(census.clone()).await.unwrap();
    let counted = figures("?accounts=true").await["accounts"].clone();
    let expected = json!({
        "counted": counted["counted"], "users": 3, "administrators": 1, "deactivated": 1, "silent": 2,
        "tokens": 3 * GRANT + 50 - PRICE, "granted": 3 * GRANT + 50, "spent": PRICE,
    });
    assert_eq!(counted, expected);
    assert!(counted["counted"].as_str().unwrap() >= rfc3339(before).as_str());

    ben.has_left(0).await;
    assert_eq!(figures("?accounts=true").await["accounts"], counted, "until the next census");
    functions::census::work(census).await.unwrap();
    let later = figures("?accounts=true").await;
    assert_eq!(later["accounts"]["tokens"], 2 * GRANT + 50 - PRICE);
    root.admin("figures?accounts=all").await.expect(400, "invalid_fields");
}
