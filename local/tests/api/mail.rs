//! The outbox and what comes of it: who is mailed, what, and what of it is at rest.

use std::time::Duration;

use serde_json::json;
use shared::mail::Carrier;
use tokio::sync::mpsc::unbounded_channel;

use crate::client::{Api, token_in, unique};
use crate::log;

const PASSWORD: &str = "secret123";

#[tokio::test]
async fn a_registration_with_an_address_mails_a_link_to_it_and_one_without_mails_nobody() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    api.person("ben").await;
    let address = format!("{}@example.com", unique("Ann"));
    let ann = api.somebody(json!({ "username": unique("ann"), "email": address, "password": PASSWORD })).await;
    let mails = api.mails_to(&address, 1).await;
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.subject, "Confirm your e-mail address");
    assert!(mail.text.contains(&ann.name), "{}", mail.text);
    let link = format!("https://app.example.com/verify-email/?token={}", token_in(mail));
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert_eq!(api.server().mails.as_ref().unwrap().borrow().len(), 1);
}

#[tokio::test]
async fn without_a_page_to_lead_to_a_mail_holds_the_bare_token() {
    let api = Api::own(&[]).await;
    api.somebody(json!({ "username": unique("ann"), "email": "ann@example.com", "password": PASSWORD })).await;
    let mail = &api.mails_to("ann@example.com", 1).await[0];
    let token = token_in(mail);
    assert_eq!(token.len(), 43);
    assert!(mail.text.lines().any(|line| line == token), "{}", mail.text);
}

#[tokio::test]
async fn no_token_of_a_link_is_in_the_store_or_in_the_log() {
    let api = Api::own(&[]).await;
    log::clear();
    let ann = api.somebody(json!({ "username": unique("ann"), "email": "ann@example.com", "password": PASSWORD })).await;
    let verify = api.token_to("ann@example.com").await;
    api.post("/api/password/reset/", json!({ "email": "ann@example.com" })).await.is(202);
    let reset = token_in(&api.mails_to("ann@example.com", 2).await[1]);
    let stored = format!("{:?}", api.items(&ann.id).await);
    assert!(stored.contains("link:") && !stored.contains("outbox:"), "{stored}");
    api.post("/api/user/email/verify/", json!({ "token": verify })).await.is(200);
    api.post("/api/password/reset/confirm/", json!({ "token": reset, "password": "another-one" })).await.is(200);
    let after = format!("{:?}", api.items(&ann.id).await);
    let logged = log::text();
    assert!(logged.contains("address verified") && logged.contains("password reset"), "{logged}");
    for token in [verify, reset] {
        assert!(![&stored, &after, &logged].iter().any(|text| text.contains(&token)));
    }
    assert!(!logged.contains("ann@example.com"), "{logged}");
}

#[tokio::test]
async fn a_letter_leaves_the_outbox_only_after_its_mail_was_taken() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let (give, mut taken) = unbounded_channel();
    // Nobody takes it: as where the mail server is away.
    let (away, nobody) = unbounded_channel();
    drop(nobody);
    app.store.post_reset(&shared::user::Email::parse("ann@example.com").unwrap(), app.clock.seconds()).await.unwrap();
    let posted = json!({ "pk": "outbox:1", "expires_at": app.clock.seconds() + 60, "letter": {
        "address_changes": { "shown": "ann", "address": "ann@example.com", "new": "ann@example.org" } } });
    let put = local::dynamo::client(&api.dynamodb).put_item().table_name("TokensTable");
    // Under a key of its own that the stream's reader doesn't look for.
    let mut item: std::collections::HashMap<_, _> = serde_dynamo::to_item(posted).unwrap();
    item.insert("pk".into(), aws_sdk_dynamodb::types::AttributeValue::S("kept:1".into()));
    put.set_item(Some(item)).send().await.unwrap();

    let work = |carrier| functions::mail::work(app.clone(), carrier, "kept:1".into());
    work(Carrier::Hand(away)).await.unwrap_err();
    work(Carrier::Hand(give.clone())).await.unwrap();
    work(Carrier::Hand(give)).await.unwrap();
    let mail = taken.recv().await.unwrap();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@example.com", "Your e-mail address changes"));
    assert!(taken.recv().await.is_none(), "it was sent once");
}

#[tokio::test]
async fn a_letter_of_yesterday_is_sent_no_more_and_one_without_a_carrier_is_dropped() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let put = async |expires_at: u64| {
        let posted = json!({ "pk": "kept:1", "expires_at": expires_at, "letter": {
            "address_changes": { "shown": "ann", "address": "ann@example.com", "new": "ann@example.org" } } });
        let put = local::dynamo::client(&api.dynamodb).put_item().table_name("TokensTable");
        put.set_item(Some(serde_dynamo::to_item(posted).unwrap())).send().await.unwrap();
    };
    let (give, mut taken) = unbounded_channel();
    put(app.clock.seconds()).await;
    functions::mail::work(app.clone(), Carrier::Hand(give), "kept:1".into()).await.unwrap();
    assert!(taken.try_recv().is_err());
    put(app.clock.seconds() + 60).await;
    log::clear();
    functions::mail::work(app.clone(), Carrier::Nobody, "kept:1".into()).await.unwrap();
    assert!(log::text().contains("MAIL_FROM is not set"), "{}", log::text());
    assert!(api.items("kept:1").await["TokensTable"].is_empty(), "it doesn't come again");
}

#[tokio::test]
async fn what_waits_in_the_outbox_of_a_folder_is_sent_by_the_next_run() {
    let folder = std::env::temp_dir().join(unique("farebox-mail"));
    let data = local::dynamo::Data::Folder(folder.clone());
    let dynamo = local::dynamo::Dynamo::start(&data, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let posted = json!({ "pk": "outbox:1", "expires_at": 9_999_999_999_u64, "letter": {
        "address_changes": { "shown": "ann", "address": "ann@example.com", "new": "ann@example.org" } } });
    let put = local::dynamo::client(&dynamo.url).put_item().table_name("TokensTable");
    put.set_item(Some(serde_dynamo::to_item(posted).unwrap())).send().await.unwrap();
    dynamo.stop().await;

    let server = local::server::Server::start(0, &data, |_| None).await.unwrap();
    let mut mails = server.mails.clone().unwrap();
    let sent = tokio::time::timeout(Duration::from_secs(20), mails.wait_for(|mails| !mails.is_empty())).await.unwrap().unwrap()[0].clone();
    let files: Vec<_> = std::fs::read_dir(folder.join("mail")).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(std::fs::read_to_string(file).unwrap(), format!("To: ann@example.com\nSubject: {}\n\n{}", sent.subject, sent.text));
    server.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}
