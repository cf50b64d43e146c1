//! `GET /api/user/sessions`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use serde_json::{Value, json};

use crate::support::client::{Answer, Api, Person};
use crate::support::forge;

impl Api {
    /// Changes a session directly in the store.
    async fn change_session(
        &self,
        person: &Person,
        expression: &str,
        value: Option<AttributeValue>,
    ) {
        let key = AttributeValue::S(format!("session:{}", person.session()));
        let update = dynamo::client(&self.dynamodb)
            .update_item()
            .table_name("TokensTable")
            .key("pk", key)
            .update_expression(expression);
        update
            .set_expression_attribute_values(value.map(|value| [(":value".into(), value)].into()))
            .send()
            .await
            .unwrap();
    }
}

fn ids(page: Answer) -> Vec<String> {
    page.is(200)
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The ids on all pages, beginning with the page that `query` requests, and how many ids each of
/// these pages contains.
async fn pages(person: &Person, query: &str) -> (Vec<String>, Vec<usize>) {
    let (mut all, mut sizes) = (Vec::new(), Vec::new());
    let mut next = Some(query.to_owned());
    while let Some(query) = next {
        assert!(sizes.len() < 50, "the pages have no end: {query}");
        let page = person.sessions(&query).await;
        next = page.next_page();
        let page = ids(page);
        sizes.push(page.len());
        all.extend(page);
    }
    (all, sizes)
}

#[tokio::test]
async fn the_list_has_the_live_sessions_of_the_user_newest_first() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let (phone, tablet) = (ann.elsewhere("Phone 1").await, ann.elsewhere("Tablet 2").await);
    let answer = phone.sessions("").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.next_page(), None);
    let list = answer.is(200);
    let shown: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|session| [&session["id"], &session["device"], &session["current"]])
        .collect();
    let expected = [
        [json!(tablet.session()), json!("Tablet 2"), json!(false)],
        [json!(phone.session()), json!("Phone 1"), json!(true)],
        [json!(ann.session()), json!("unknown"), json!(false)],
    ];
    assert_eq!(shown, expected.iter().map(|row| row.each_ref()).collect::<Vec<_>>());
    for session in list.as_array().unwrap() {
        let mut fields: Vec<&str> =
            session.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["began", "current", "device", "ends", "id", "last_used"]);
        for time in ["began", "last_used", "ends"] {
            assert!(session[time].as_str().unwrap().ends_with(".000Z"), "{session}");
        }
    }
    assert_eq!(ids(ben.sessions(&format!("?user_id={}", ann.id)).await), [ben.session()]);
}

#[tokio::test]
async fn sessions_have_times_of_log_in_last_refresh_and_end() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let shown = |list: Value| {
        ["began", "last_used", "ends"].map(|field| list[0][field].as_str().unwrap().to_owned())
    };
    let [began, used, ends] = shown(ann.sessions("").await.is(200));
    assert_eq!(began, used);
    api.server().clock.advance(Duration::from_secs(1800));
    let refreshed = api.refresh(&ann.refresh).await.is(200);
    let at = api.server().clock.seconds();
    ann.profile().await.is(200);
    let later = shown(ann.using(refreshed["access"].as_str().unwrap()).sessions("").await.is(200));
    assert_eq!((&later[0], &later[2]), (&began, &ends));
    let near = [at - 1, at].map(|second| shared::clock::rfc3339(second * 1000));
    assert!(near.contains(&later[1]), "{later:?}");
    assert_eq!(
        shared::clock::rfc3339(forge::claims(&ann.refresh)["exp"].as_u64().unwrap() * 1000),
        ends
    );
}

#[tokio::test]
async fn ended_sessions_are_not_listed() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let out = ann.elsewhere("logged out").await;
    let robbed = ann.elsewhere("robbed").await;
    let ended = ann.elsewhere("ended").await;
    let late = ann.elsewhere("at its end").await;
    out.log_out().await.is(200);
    robbed.is_robbed().await;
    ann.ends(&ended.session()).await.is(200);
    api.change_session(
        &late,
        "SET ends = :value",
        Some(AttributeValue::N(api.server().clock.seconds().to_string())),
    )
    .await;
    assert_eq!(ids(ann.sessions("").await), [ann.session()]);

    // After a log-out the session's item may still exist for a while. The account shows that the
    // session has ended.
    let phone = ann.elsewhere("phone").await;
    let revoked =
        AttributeValue::M([(phone.session(), AttributeValue::N("9999999999".into()))].into());
    api.set(&ann, "revoked", revoked).await;
    assert_eq!(ids(ann.sessions("").await), [ann.session()]);

    ann.log_out_everywhere().await.is(200);
    let again = ann.elsewhere("again").await;
    assert_eq!(ids(again.sessions("").await), [again.session()]);
}

#[tokio::test]
async fn pages_have_no_gaps_or_repetitions() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let mut began = vec![ann.session()];
    for _ in 0..6 {
        began.push(ann.elsewhere("x").await.session());
    }
    began.reverse();
    for (limit, expected) in
        [(1, vec![1; 7]), (2, vec![2, 2, 2, 1]), (6, vec![6, 1]), (7, vec![7]), (100, vec![7])]
    {
        assert_eq!(
            pages(&ann, &format!("?limit={limit}")).await,
            (began.clone(), expected),
            "{limit}"
        );
    }
    let first = ann.sessions("?limit=2").await.next_page().unwrap();
    ann.elsewhere("a new one moves no page").await;
    assert_eq!(ids(ann.sessions(&first).await), began[2..4]);
}

#[tokio::test]
async fn pages_continue_past_many_ended_sessions() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let app = &api.server().apps["login"];
    let account = api.account(&ann).await;
    for _ in 0..150 {
        let session = shared::values::Session::new(
            &account,
            Some("x".into()),
            &app.clock,
            Duration::from_secs(1),
        );
        app.store.start_session(&session).await.unwrap();
    }
    api.server().clock.advance(Duration::from_secs(2));
    assert_eq!(pages(&ann, "").await, (vec![ann.session()], vec![0, 1]));
}

#[tokio::test]
async fn invalid_pages_are_refused() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ann.elsewhere("x").await;
    ann.chat("one").await.is(200);
    ann.chat("two").await.is(200);
    for limit in ["0", "101", "-1", "ten", "%00"] {
        let refused = ann.sessions(&format!("?limit={limit}")).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["limit"].is_array(), "{refused}");
    }
    let page = ann.sessions("?limit=1").await.next_page().unwrap();
    let chats = ann.history("?limit=1").await.next_page().unwrap();
    ben.sessions(&page).await.expect(400, "invalid_cursor");
    ann.sessions(&chats).await.expect(400, "invalid_cursor");
    for forged in
        ["AAAA", "not!base64", "%00", &"A".repeat(2000), &"A".repeat(40), ann.session().as_str()]
    {
        ann.sessions(&format!("?cursor={forged}")).await.expect(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn sessions_without_device_and_times_continue() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    api.change_session(&ann, "REMOVE device, began, used", None).await;
    let list = ann.sessions("").await.is(200);
    assert_eq!(
        [&list[0]["device"], &list[0]["began"], &list[0]["last_used"]],
        [&json!("unknown"), &Value::Null, &Value::Null]
    );
    ann.is_in().await;
    assert!(ann.sessions("").await.is(200)[0]["last_used"].is_string());
    ann.ends(&ann.session()).await.is(200);
    ann.is_out().await;
}

#[tokio::test]
async fn devices_are_plain_text_of_two_hundred_characters() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (sent, shown) in [
        ("Mozilla/5.0 (X11; <b>\"Linux\"</b>) #tokens :cost", None),
        ("", Some("unknown")),
        (&"x".repeat(1000), Some(&*"x".repeat(200))),
    ] {
        let here = ann.elsewhere(sent).await;
        assert_eq!(
            here.sessions("?limit=1").await.is(200)[0]["device"],
            json!(shown.unwrap_or(sent))
        );
    }
}
