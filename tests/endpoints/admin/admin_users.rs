//! `GET /api/admin/users`: filters, sort orders, searches, and the fields that `details` adds.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Day;
use shared::store::USER_SHARDS;

use crate::endpoints::admin::administration::{at_noon, texts};
use crate::support::client::{Api, DAY, GRANT, PRICE, Person};
use crate::support::function::{event, invoke};
use crate::support::proxy::Proxy;
use crate::support::world::put;

/// Returns the names of the users that a query finds, page by page.
async fn names(root: &Person, query: &str) -> Vec<String> {
    texts(&root.every("users", query).await.0, "username")
}

/// Asserts that a query finds these users in this order, with small and large pages.
async fn finds(root: &Person, query: &str, expected: &[&Person]) {
    let expected: Vec<String> = expected.iter().map(|person| person.name.clone()).collect();
    for limit in [1, 2, 100] {
        assert_eq!(names(root, &format!("?{query}&limit={limit}")).await, expected, "{query}");
    }
}

/// Writes this many copies of an account, with different names and ids, directly to the store. The
/// copies are spread over all partitions of the administrators' list.
async fn with_copies(api: &Api, person: &Person, count: usize) {
    let (account, clock) = (json!(api.account(person).await), api.clock());
    let copy = |number: usize| {
        let (name, mut copy) = (format!("copy{number:06}"), account.clone());
        copy["pk"] = json!(format!("user:{name}"));
        copy["id"] = json!(clock.id().to_string());
        (copy["name"], copy["label"]) = (json!(name), json!(name));
        let month = account["month"].as_str().unwrap();
        let shard = (number % usize::from(USER_SHARDS)).to_string();
        copy["month"] = json!(format!("{}#{shard}", &month[..7]));
        copy["shard"] = json!(shard);
        copy
    };
    let copies: Vec<Value> = (0..count).map(copy).collect();
    put(&api.dynamodb, "UsersTable", &copies).await;
}

#[tokio::test]
async fn users_are_filtered_by_role_and_state() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let (ann, other) = (api.person("ann").await, api.administrator("other").await);
    let (ben, out) = (api.person("ben").await, api.administrator("out").await);
    for person in [&ben, &out] {
        root.changes(person, json!({ "active": false })).await.is(200);
    }
    finds(&root, "role=admin", &[&out, &other, &root]).await;
    finds(&root, "role=user", &[&ben, &ann]).await;
    finds(&root, "active=true", &[&other, &ann, &root]).await;
    finds(&root, "active=false", &[&out, &ben]).await;
    finds(&root, "role=admin&active=false", &[&out]).await;
    finds(&root, "role=&active=", &[&out, &ben, &other, &ann, &root]).await;
    finds(&root, "q=o&role=admin", &[&other, &out]).await;
    finds(&root, "q=o&role=user", &[]).await;
    for bad in ["role=root", "role=Admin", "active=yes", "active=1", "details=all"] {
        root.admin(&format!("users?{bad}")).await.expect(400, "invalid_fields");
    }
    let next = root.admin("users?role=admin&limit=1").await.next_page().unwrap();
    root.admin(&format!("users{}", next.replace("admin", "user")))
        .await
        .expect(400, "invalid_cursor");
}

#[tokio::test]
async fn details_have_balance_spending_and_last_message() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let plain = root.admin("users").await.is(200);
    let before = api.server().clock.millis();
    ann.chat("hi").await.is(200);
    ann.chat("!fail").await.expect(502, "ai_failed");
    let after = api.server().clock.millis();
    ann.holds(&[("expired", 1)]).await;

    let mut users = root.admin("users?details=true").await.is(200);
    let minutes = [before, after].map(|time| shared::clock::rfc3339(time / 60_000 * 60_000));
    let last = users[0]["last_message"].as_str().unwrap().to_owned();
    assert!(minutes.contains(&last), "{last} of {minutes:?}");
    assert_eq!(users[0]["tokens"], GRANT, "a reservation whose lease has ended counts as free");
    assert_eq!(users[0]["spent"], PRICE);
    assert_eq!(users[1]["tokens"], GRANT);
    assert_eq!((&users[1]["spent"], &users[1]["last_message"]), (&json!(0), &Value::Null));
    for user in users.as_array_mut().unwrap() {
        for field in ["tokens", "spent", "last_message"] {
            assert!(user.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
    }
    assert_eq!(users, plain);
    for same in ["users?details=false", "users?details="] {
        assert_eq!(root.admin(same).await.is(200), plain);
    }
    let found = root.admin(&format!("users?q={}&details=true", ann.name)).await.is(200);
    assert_eq!(found[0]["spent"], PRICE);
}

#[tokio::test]
async fn users_are_filtered_by_balance_and_last_message() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let (ann, ben, cat) =
        (api.person("ann").await, api.person("ben").await, api.person("cat").await);
    let first = Day::from_millis(api.server().clock.millis());
    ann.chat("hi").await.is(200);
    api.server().clock.advance(DAY);
    let (root, second) = (root.elsewhere("a day later").await, first.after(1));
    ben.elsewhere("a day later").await.chat("hi").await.is(200);
    ben.elsewhere("a day later").await.chat("hi").await.is(200);

    let (one, two) = (GRANT - PRICE, GRANT - 2 * PRICE);
    finds(&root, &format!("tokens_to={one}"), &[&ben, &ann]).await;
    finds(&root, &format!("tokens_from={one}&tokens_to={one}"), &[&ann]).await;
    finds(&root, &format!("tokens_from={GRANT}"), &[&cat, &root]).await;
    finds(&root, "tokens_to=0", &[]).await;
    finds(&root, &format!("last_message_from={first}"), &[&ben, &ann]).await;
    finds(&root, &format!("last_message_from={second}"), &[&ben]).await;
    finds(&root, &format!("last_message_to={first}"), &[&cat, &ann, &root]).await;
    finds(&root, &format!("last_message_from={first}&last_message_to={first}"), &[&ann]).await;
    finds(&root, &format!("last_message_to={}", first.before(1)), &[&cat, &root]).await;
    finds(&root, &format!("q=a&tokens_to={one}"), &[&ann]).await;
    finds(&root, &format!("q=b&tokens_from={one}"), &[]).await;
    finds(&root, &format!("role=user&tokens_from={two}&tokens_to={one}"), &[&ben, &ann]).await;
    for bad in [
        "tokens_from=-1",
        "tokens_from=1.5",
        "tokens_to=many",
        "tokens_to=1000000000001",
        "last_message_from=yesterday",
        "last_message_to=2026-02-30",
    ] {
        root.admin(&format!("users?{bad}")).await.expect(400, "invalid_fields");
    }
}

#[tokio::test]
async fn filters_are_bounded_and_find_every_user() {
    let api = Api::own(&[]).await;
    let (root, rare) = (api.administrator("root").await, api.person("rare").await);
    let ann = api.person("ann").await;
    root.changes(&rare, json!({ "active": false })).await.is(200);
    rare.has_left(0).await;
    with_copies(&api, &ann, 6000).await;
    // To fill a page, a filter compares several thousand users if the index contains the filtered
    // field. If the index lacks the field, the filter reads at most three hundred accounts per
    // page.
    for (query, least) in [("?active=false&limit=20", 2), ("?tokens_to=0&limit=100", 21)] {
        let (found, pages) = root.every("users", query).await;
        assert_eq!(texts(&found, "username"), [rare.name.as_str()], "{query}");
        assert!((least..least + 3).contains(&pages), "{query}: {pages} pages");
    }
    let all = root.every("users", "?active=true&limit=100").await.0;
    assert_eq!(all.len(), 6002);
    assert!(texts(&all, "id").is_sorted_by(|one, other| one > other), "each once, newest first");
}

/// Runs the census, as the schedule does.
async fn counts(api: &Api) {
    functions::background::census::run(&api.server().apps["census"]).await.unwrap();
}

#[tokio::test]
async fn sorted_users_follow_the_census_and_show_live_data() {
    let api = at_noon().await;
    let root = api.administrator("root").await;
    let (ann, ben, cat) =
        (api.person("ann").await, api.person("ben").await, api.person("cat").await);
    finds(&root, "sort=tokens", &[]).await;
    for _ in 0..2 {
        cat.chat("hi").await.is(200);
    }
    api.server().clock.advance(Duration::from_secs(120));
    ben.chat("hi").await.is(200);
    for (person, tokens) in [(&ann, 10), (&cat, 500), (&ben, 3000)] {
        person.has_left(tokens).await;
    }
    counts(&api).await;
    // Of two users with equal values, the older one comes first.
    for (order, expected) in [
        ("tokens", [&ann, &cat, &ben, &root]),
        ("-tokens", [&root, &ben, &cat, &ann]),
        ("spent", [&root, &ann, &ben, &cat]),
        ("-spent", [&cat, &ben, &root, &ann]),
        ("last_message", [&root, &ann, &cat, &ben]),
        ("-last_message", [&ben, &cat, &root, &ann]),
    ] {
        finds(&root, &format!("sort={order}"), &expected).await;
    }
    finds(&root, "sort=tokens&role=user&tokens_from=100", &[&cat, &ben]).await;

    ann.has_left(9999).await;
    let now = root.admin("users?sort=tokens&details=true").await.is(200);
    assert_eq!((&now[0]["username"], &now[0]["tokens"]), (&json!(ann.name), &json!(9999)));
    finds(&root, "sort=tokens&tokens_to=100", &[]).await;
    cat.deletes_the_account().await.is(202);
    finds(&root, "sort=tokens", &[&ann, &ben, &root]).await;
    counts(&api).await;
    finds(&root, "sort=tokens", &[&ben, &root, &ann]).await;
    for bad in ["sort=name", "sort=Tokens", "sort=-", "sort=tokens&q=a"] {
        root.admin(&format!("users?{bad}")).await.expect(400, "invalid_fields");
    }
}

#[tokio::test]
async fn sorted_lists_have_the_first_thousand_users_once() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    with_copies(&api, &ann, 2500).await;
    ann.has_left(GRANT + 1).await;
    counts(&api).await;
    for (order, first) in [("tokens", &root), ("-tokens", &ann)] {
        let (users, pages) = root.every("users", &format!("?sort={order}&limit=90")).await;
        let names = texts(&users, "username");
        let once: BTreeSet<&String> = names.iter().collect();
        assert_eq!((names.len(), once.len(), pages), (1000, 1000, 12), "{order}");
        assert_eq!(names[0], first.name, "{order}");
    }
}

#[tokio::test]
async fn unreadable_accounts_do_not_stop_the_census() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    api.set(&ann, "spent", AttributeValue::S("broken".into())).await;
    let census = &api.server().apps["census"];
    assert!(functions::background::census::run(census).await.is_err());
    finds(&root, "sort=tokens", &[&root]).await;
}

#[tokio::test]
async fn searches_match_inside_names_and_addresses() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let person = async |name: &str, email: Option<&str>| {
        api.person_with(json!({ "username": name, "email": email, "password": "secret123" })).await
    };
    let hanna = person("Hanna", None).await;
    let anton = person("anton", Some("x@example.com")).await;
    let zoe = person("zoe", Some("Susanne@example.org")).await;
    let ben = person("ben@example.org", None).await;

    finds(&root, "match=anywhere&q=ann", &[&hanna, &zoe]).await;
    finds(&root, "match=anywhere&q=ANN", &[&hanna, &zoe]).await;
    finds(&root, "match=anywhere&q=nton", &[&anton]).await;
    finds(&root, "match=anywhere&q=xyz", &[]).await;
    finds(&root, "match=beginning&q=ann", &[]).await;
    finds(&root, "match=anywhere&q=ann&active=false", &[]).await;
    // An account whose name and address both match is listed once, even on small pages.
    finds(&root, "match=anywhere&q=%40example.org", &[&ben, &zoe]).await;
    finds(&root, "q=ben", &[&ben]).await;
    finds(&root, "q=ben&active=true", &[&ben]).await;
    let details = root.admin("users?match=anywhere&q=nton&details=true").await.is(200);
    assert_eq!(details[0]["tokens"], GRANT);
    root.admin("users?match=end&q=ann").await.expect(400, "invalid_fields");
    let all = names(&root, "").await;
    assert_eq!(names(&root, "?match=anywhere").await, all, "without a text there is no search");
}

#[tokio::test]
async fn substring_searches_are_bounded_and_find_every_match() {
    let api = Api::own(&[]).await;
    let (root, rare) = (api.administrator("root").await, api.person("zz-rare").await);
    let ann = api.person("ann").await;
    with_copies(&api, &ann, 25_000).await;
    let (found, pages) = root.every("users", "?match=anywhere&q=rare").await;
    assert_eq!(texts(&found, "username"), [rare.name.as_str()]);
    assert!((2..=4).contains(&pages), "{pages} pages");
    let found = root.every("users", "?match=anywhere&q=y0001&limit=100").await.0;
    assert_eq!(texts(&found, "username").len(), 100, "copy000100 to copy000199");
    let all = names(&root, "?match=anywhere&q=copy00&limit=100").await;
    assert!(all.len() == 10_000 && all.is_sorted_by(|one, other| one < other), "{}", all.len());
}

#[tokio::test]
async fn only_administrators_cause_the_reads_of_a_filter() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let proxy = Proxy::start(&api.dynamodb).await;
    for path in [
        "/api/admin/users?active=false",
        "/api/admin/users?details=true",
        "/api/admin/users?tokens_to=0",
        "/api/admin/users?match=anywhere&q=a",
    ] {
        let lane = proxy.lane();
        let bearer = ann.bearer();
        let event = event("admin_users", path, &[("authorization", &bearer)], &Value::Null);
        let function = api.function_over("admin_users", &lane);
        let reply = invoke(&function, &event, Duration::from_secs(10)).await;
        assert_eq!((reply.status().as_u16(), lane.calls().len()), (403, 1), "{path}");
    }
}
