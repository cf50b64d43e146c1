//! `GET /api/admin/export/{list}`: usernames in the ledger, and the addresses of chosen users.

use serde_json::json;

use crate::endpoints::account::ledger::{csv_columns, csv_line};
use crate::endpoints::admin::administration::{at_noon, texts};

#[tokio::test]
async fn ledger_exports_include_usernames_on_request() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    root.adjusts(&ann, 5, "a gift").await.is(201);
    ben.deletes_the_account().await.is(202);
    let export = async |query: &str| {
        let file = root.admin(&format!("export/ledger.csv{query}")).await.is(200);
        file.as_str().unwrap().to_owned()
    };
    let file = export("?names=true").await;
    let mut lines = file.lines();
    let columns = "id timestamp user_id username kind amount reason chat_id actor actor_name";
    assert_eq!(lines.next(), Some(csv_columns(columns).trim_end()));
    // Each expected string is the end of a line, after the id and the time. A deleted account has
    // no name.
    let grant = |id: &str, name: &str| {
        csv_line(&["", id, name, "grant", "4000", "registration", "", id, name])
    };
    let expected = [
        grant(&root.id, &root.name),
        grant(&ann.id, &ann.name),
        grant(&ben.id, ""),
        csv_line(&["", &ann.id, &ann.name, "adjustment", "5", "a gift", "", &root.id, &root.name]),
    ];
    for (line, end) in lines.by_ref().zip(&expected) {
        assert!(line.ends_with(end.trim_start_matches('"').trim_end()), "{line} {end}");
    }
    assert_eq!((lines.next(), file.lines().count()), (None, 5));

    assert_eq!(export("?names=false").await, export("").await);
    assert!(!export("").await.contains(&ann.name), "by default there are no names");
    root.admin("export/ledger.csv?names=yes").await.expect(400, "invalid_fields");
    let users = root.admin("export/users.csv").await.is(200);
    assert_eq!(root.admin("export/users.csv?names=true").await.is(200), users);
}

#[tokio::test]
async fn exported_addresses_are_in_the_audit_log() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let ann = api.person_at("ann", "ann@example.com").await;
    let ben = api.person_at("ben", "ben@example.com").await;
    let ida = api.person_at("ida", "ida@example.com").await;
    let (kim, gone) = (api.person("kim").await, api.person("gone").await);
    gone.deletes_the_account().await.is(202);
    root.changes(&ben, json!({ "active": false })).await.is(200);
    root.changes(&ida, json!({ "role": "admin" })).await.is(200);
    let ida = ida.elsewhere("a laptop").await;
    let columns = csv_columns("username email active");
    let of_ann = csv_line(&["ann", "ann@example.com", "true"]);
    let of_ben = csv_line(&["ben", "ben@example.com", "false"]);
    let ids = [&ben.id, &ann.id, &kim.id, &ann.id, &gone.id].map(String::as_str).join(",");
    let file = root.admin(&format!("export/addresses.csv?users={ids}")).await.is(200);
    // The file begins with the user who registered first.
    assert_eq!(file, [columns.as_str(), &of_ann, &of_ben].concat());
    let file = root.admin(&format!("export/addresses.csv?users={}", kim.id)).await.is(200);
    assert_eq!(file, columns, "kim has no address");

    let acts = root.every("trail", "?act=addresses").await.0;
    assert_eq!(acts.len(), 2, "{acts:?}");
    for user in [&ann, &ben] {
        let act = acts.iter().find(|act| act["user_id"] == user.id.as_str()).unwrap();
        assert_eq!([&act["actor"], &act["username"]], [&root.id, &user.name]);
        assert_eq!((&act["reason"], &act["role"]), (&json!(""), &json!(null)));
    }

    // An administrator's own address is in no entry.
    let both = format!("export/addresses.csv?users={},{}", ida.id, ann.id);
    let file = ida.admin(&both).await.is(200);
    assert!(file.as_str().unwrap().contains("ida@example.com"), "{file}");
    let acts = root.every("trail", &format!("?act=addresses&actor={}", ida.id)).await.0;
    assert_eq!(texts(&acts, "user_id"), [ann.id.as_str()]);
}

#[tokio::test]
async fn refused_exports_of_addresses_are_in_no_log() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let ann = api.person_at("ann", "ann@example.com").await;
    let many = vec![ann.id.clone(); 51].join(",");
    root.admin(&format!("export/addresses.csv?users={many}")).await.is(200);
    let others: Vec<String> = (0..51).map(|_| api.clock().id().to_string()).collect();
    for users in ["", "ann", &format!("{},", ann.id), &others.join(",")] {
        let refused = root.admin(&format!("export/addresses.csv?users={users}")).await;
        assert!(refused.expect(400, "invalid_fields")["errors"]["users"].is_array(), "{users}");
    }
    let own = format!("export/addresses.csv?users={}", ann.id);
    ann.admin(&own).await.expect(403, "forbidden");
    assert_eq!(root.every("trail", "?act=addresses").await.0.len(), 1);
}
