//! `DELETE /api/user/sessions/{id}`.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Api, Person};

#[tokio::test]
async fn a_session_can_be_ended_from_another_one() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (lost, phone) = (ann.elsewhere("lost").await, ann.elsewhere("phone").await);
    assert_eq!(
        ann.ends(&lost.session()).await.is(200),
        json!({ "message": "The session has ended." })
    );
    lost.is_out().await;
    ann.is_in().await;
    phone.is_in().await;
    assert!(
        !api.items(&ann.id).await["TokensTable"]
            .iter()
            .any(|item| item.to_string().contains(&lost.session())),
        "it is deleted"
    );
}

#[tokio::test]
async fn sessions_can_end_themselves() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.ends(&format!("{}/", ann.session())).await.is(200);
    ann.is_out().await;
    ann.ends(&ann.session()).await.expect(401, "invalid_token");
}

#[tokio::test]
async fn foreign_and_ended_sessions_are_not_found() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let lost = ann.elsewhere("lost").await;
    let before = api.items(&ben.id).await;
    let refused = ann.ends(&ben.session()).await.expect(404, "not_found");
    assert_eq!(refused["detail"], "You have no session with this id, or it has ended.");
    assert_eq!(api.items(&ben.id).await, before);
    ben.is_in().await;

    ann.ends(&lost.session()).await.is(200);
    ann.ends(&lost.session()).await.expect(404, "not_found");
    let out = ann.elsewhere("out").await;
    out.log_out().await.is(200);
    ann.ends(&out.session()).await.expect(404, "not_found");
    ann.log_out_everywhere().await.is(200);
    let again = ann.elsewhere("again").await;
    again.ends(&ann.session()).await.expect(404, "not_found");
}

#[tokio::test]
async fn invalid_session_ids_are_not_found() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let own = ann.session();
    let encoded: String = own.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for id in [
        "x",
        "0",
        "null",
        "..%2f..%2fetc",
        "%00",
        "%0d%0aSet-Cookie:x",
        "%ff",
        "%",
        "%zz",
        "%F0%9F%8E%AB",
        "session:x",
        "{id}",
        "'%20OR%201=1%20--",
        "00000000-0000-7000-8000-000000000000",
        &encoded,
        &own.to_uppercase(),
        &own.replace('-', ""),
        &format!("session:{own}"),
        &format!("{own}%20"),
        &format!("{own}%2f"),
        &format!("{{{own}}}"),
        &format!("urn:uuid:{own}"),
        &"x".repeat(3000),
    ] {
        let answer = ann.ends(id).await;
        // `cargo lambda watch` and `sam local` may decode the path or refuse the request.
        match api.is_own() {
            true => drop(answer.expect(404, "not_found")),
            false => assert!([200, 400, 404].contains(&answer.status.as_u16()), "{answer:?}"),
        }
        if !api.is_own() && id == encoded {
            return;
        }
    }
    for path in ["/api/user/sessions//", "/api/user/sessions//x", "/api/user/sessions/x/y"] {
        ann.delete(path).await.expect(404, "not_found");
    }
    assert_eq!(api.items(&ann.id).await, before);
    ann.is_in().await;
}

#[tokio::test]
async fn parallel_ends_of_a_session_succeed_or_find_it_gone() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let lost = ann.elsewhere("lost").await;
    let session = lost.session();
    let answers = join_all((0..10).map(|_| ann.ends(&session))).await;
    assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    assert!(
        answers.iter().all(|answer| [200, 404].contains(&answer.status.as_u16())),
        "{answers:?}"
    );
    lost.is_out().await;
    ann.is_in().await;
}

#[tokio::test]
async fn at_most_one_of_two_sessions_ending_each_other_remains() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for _ in 0..10 {
        let (one, other) = (ann.elsewhere("one").await, ann.elsewhere("other").await);
        let (of_one, of_other) = (other.session(), one.session());
        let (by_one, by_other) = tokio::join!(one.ends(&of_one), other.ends(&of_other));
        for (answer, ended) in [(&by_one, &other), (&by_other, &one)] {
            match answer.status.as_u16() {
                200 => ended.is_out().await,
                401 | 404 => {}
                _ => panic!("{answer:?}"),
            }
        }
        assert!(by_one.status == 200 || by_other.status == 200, "{by_one:?} {by_other:?}");
    }
    ann.is_in().await;
}

#[tokio::test]
async fn a_refresh_during_the_end_keeps_no_session() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for _ in 0..10 {
        let lost = ann.elsewhere("lost").await;
        let session = lost.session();
        let (ended, refreshed) = tokio::join!(ann.ends(&session), api.refresh(&lost.refresh));
        ended.is(200);
        lost.is_out().await;
        if refreshed.status == 200 {
            let text = |field: &str| refreshed.body[field].as_str().unwrap().to_owned();
            Person { access: text("access"), refresh: text("refresh"), ..lost.clone() }
                .is_out()
                .await;
        }
    }
}
