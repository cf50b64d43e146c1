//! `GET /api/admin/export/{list}`: usernames in the ledger.

use crate::endpoints::account::ledger::{csv_columns, csv_line};
use crate::endpoints::admin::administration::at_noon;

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
