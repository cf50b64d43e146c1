//! The outbox and its e-mails: who gets them, what they contain, and what is stored of them.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use local::dynamo;
use serde_json::{Value, json};
use shared::App;
use shared::app::Mailing;
use shared::mail::Carrier;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, unbounded_channel};

use crate::support::client::{Api, token_in, unique};
use crate::support::lambda::Instance;
use crate::support::log;

const PASSWORD: &str = "secret123";

#[tokio::test]
async fn a_registration_with_an_address_sends_a_link_to_it_and_one_without_sends_nothing() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    api.person("ben").await;
    let address = format!("{}@example.com", unique("Ann"));
    api.person_with(json!({ "username": unique("ann"), "email": address, "password": PASSWORD }))
        .await;
    let mails = api.mails_to(&address, 1).await;
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.subject, "Confirm your e-mail address");
    let link = format!("https://app.example.com/verify-email/?token={}", token_in(mail));
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert_eq!(api.server().mails.as_ref().unwrap().borrow().len(), 1);
}

#[tokio::test]
async fn no_mail_holds_what_a_stranger_chose() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    let (name, address, new) =
        ("paypal.com-login.evil.example", "victim@example.com", "new.evil.example@example.org");
    let eve =
        api.person_with(json!({ "username": name, "email": address, "password": PASSWORD })).await;
    // An address that the account no longer has gets no e-mail.
    api.mails_to(address, 1).await;
    eve.change(json!({ "email": new, "first_name": "evil.example" })).await.is(200);
    api.post("/api/password/reset/", json!({ "email": new })).await.is(202);
    let mails = [api.mails_to(address, 2).await, api.mails_to(new, 2).await].concat();
    assert_eq!(mails.len(), 4, "two that verify, a notice and a reset");
    for mail in mails {
        let own: String = mail
            .text
            .lines()
            .filter(|line| !line.starts_with("https://app.example.com/"))
            .collect();
        assert!(
            !own.contains("evil")
                && !own.contains('@')
                && !own.contains("http")
                && !own.contains("paypal"),
            "{}",
            mail.text
        );
    }
}

#[tokio::test]
async fn an_account_that_was_replaced_or_ended_its_sessions_since_is_sent_no_link() {
    let api = Api::own(&[]).await;
    let ann = api
        .person_with(
            json!({ "username": unique("ann"), "email": "ann@example.com", "password": PASSWORD }),
        )
        .await;
    api.outbox_is_empty().await;
    for (user_id, auth_epoch) in [(ann.id.as_str(), 0), ("somebody-else", 1)] {
        let letter = json!({ "verify": { "user_id": user_id, "name": ann.name, "shown": "Ann", "address": "ann@example.com", "auth_epoch": auth_epoch } });
        let posted = json!({ "pk": format!("outbox:{user_id}"), "letter": letter, "expires_at": 4_000_000_000_u64 });
        let item = serde_dynamo::to_item(posted).unwrap();
        dynamo::client(&api.dynamodb)
            .put_item()
            .table_name("TokensTable")
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
    }
    api.outbox_is_empty().await;
    assert_eq!(api.mails_to("ann@example.com", 1).await.len(), 1, "the one of the registration");
}

#[tokio::test]
async fn without_a_link_to_a_page_a_mail_contains_the_bare_token() {
    let api = Api::own(&[]).await;
    api.person_with(
        json!({ "username": unique("ann"), "email": "ann@example.com", "password": PASSWORD }),
    )
    .await;
    let mail = &api.mails_to("ann@example.com", 1).await[0];
    let token = token_in(mail);
    assert_eq!(token.len(), 43);
    assert!(mail.text.lines().any(|line| line == token), "{}", mail.text);
}

#[tokio::test]
async fn no_token_of_a_link_is_in_the_store_or_in_the_log() {
    let api = Api::own(&[]).await;
    log::clear();
    let ann = api
        .person_with(
            json!({ "username": unique("ann"), "email": "ann@example.com", "password": PASSWORD }),
        )
        .await;
    let verify = api.token_to("ann@example.com").await;
    let mut stored = format!("{:?}", api.items(&ann.id).await);
    api.post("/api/user/email/verify/", json!({ "token": verify })).await.is(200);
    api.post("/api/password/reset/", json!({ "email": "ann@example.com" })).await.is(202);
    let reset = token_in(&api.mails_to("ann@example.com", 2).await[1]);
    stored += &format!("{:?}", api.items(&ann.id).await);
    assert!(stored.contains("link:") && !stored.contains("outbox:"), "{stored}");
    api.post("/api/password/reset/confirm/", json!({ "token": reset, "password": "another-one" }))
        .await
        .is(200);
    let after = format!("{:?}", api.items(&ann.id).await);
    let logged = log::text();
    assert!(logged.contains("address verified") && logged.contains("password reset"), "{logged}");
    for token in [verify, reset] {
        assert!(![&stored, &after, &logged].iter().any(|text| text.contains(&token)));
    }
    assert!(!logged.contains("ann@example.com"), "{logged}");
}

/// Writes an outbox item that the reader of the stream ignores. Returns its key.
async fn letter(api: &Api, expires_at: u64) -> String {
    posted(&api.dynamodb, "kept:1", expires_at).await;
    "kept:1".into()
}

async fn posted(dynamodb: &str, key: &str, expires_at: u64) {
    let changes = json!({ "shown": "ann", "address": "ann@example.com", "new": "ann@example.org" });
    let item =
        json!({ "pk": key, "expires_at": expires_at, "letter": { "address_changes": changes } });
    let put = local::dynamo::client(dynamodb).put_item().table_name("TokensTable");
    put.set_item(Some(serde_dynamo::to_item(item).unwrap())).send().await.unwrap();
}

async fn exists(api: &Api, key: &str) -> bool {
    api.items(key).await["TokensTable"].iter().any(|item| item["pk"] == key)
}

const FAR: u64 = 9_999_999_999;

/// The function `mail` with this carrier.
fn mailing(app: &App, carrier: Carrier) -> Mailing {
    Mailing { app: app.clone(), carrier, url: None }
}

#[tokio::test]
async fn a_letter_leaves_the_outbox_only_after_its_mail_was_taken() {
    let api = Api::own(&[]).await;
    let key = letter(&api, FAR).await;
    let app = api.server().apps["mail"].clone();
    let work = |carrier| functions::mail::work(mailing(&app, carrier), key.clone());
    let (away, nobody) = unbounded_channel();
    drop(nobody);
    work(Carrier::Hand(away)).await.unwrap_err();
    assert!(exists(&api, &key).await);

    let (give, mut taken) = unbounded_channel();
    work(Carrier::Hand(give.clone())).await.unwrap();
    work(Carrier::Hand(give)).await.unwrap();
    let mail = taken.recv().await.unwrap();
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        ("ann@example.com", "Your e-mail address changes")
    );
    assert!(taken.recv().await.is_none(), "it was sent once");
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn a_letter_of_yesterday_is_sent_no_more_and_one_without_a_carrier_is_dropped() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let (give, mut taken) = unbounded_channel();
    let key = letter(&api, app.clock.seconds()).await;
    functions::mail::work(mailing(&app, Carrier::Hand(give)), key).await.unwrap();
    assert!(taken.try_recv().is_err());

    let key = letter(&api, FAR).await;
    log::clear();
    functions::mail::work(mailing(&app, Carrier::Nobody), key.clone()).await.unwrap();
    assert!(log::text().contains("MAIL_FROM is not set"), "{}", log::text());
    assert!(!exists(&api, &key).await, "it is not sent again");
}

/// A carrier for which Amazon SES gives this reply, and the requests that it sends.
async fn ses(status: u16, reply: Value) -> (Carrier, mpsc::UnboundedReceiver<Value>) {
    let (saw, seen) = unbounded_channel();
    let answer = move |body: Bytes| async move {
        saw.send(serde_json::from_slice(&body).unwrap()).unwrap();
        let kind = reply["__type"].as_str().unwrap_or_default().to_owned();
        (StatusCode::from_u16(status).unwrap(), [("x-amzn-errortype", kind)], reply.to_string())
    };
    let router = Router::new().route("/v2/email/outbound-emails", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = aws_sdk_sesv2::Config::from(&shared::aws::emulated())
        .to_builder()
        .endpoint_url(url)
        .build();
    (
        Carrier::Ses {
            client: aws_sdk_sesv2::Client::from_conf(config),
            from: "no-reply@example.com".into(),
        },
        seen,
    )
}

#[tokio::test]
async fn amazon_ses_is_given_plain_text_from_the_one_address_to_one_reader() {
    let api = Api::own(&[]).await;
    let (carrier, mut seen) = ses(200, json!({ "MessageId": "1" })).await;
    let key = letter(&api, FAR).await;
    functions::mail::work(mailing(&api.server().apps["mail"], carrier), key.clone()).await.unwrap();
    let sent = seen.recv().await.unwrap();
    assert_eq!(sent["FromEmailAddress"], "no-reply@example.com");
    assert_eq!(sent["Destination"], json!({ "ToAddresses": ["ann@example.com"] }));
    let message = &sent["Content"]["Simple"];
    assert_eq!(
        message["Subject"],
        json!({ "Data": "Your e-mail address changes", "Charset": "UTF-8" })
    );
    assert!(
        message["Body"]["Text"]["Data"].as_str().unwrap().contains("another e-mail address"),
        "{message}"
    );
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn what_ses_does_not_take_now_comes_again_and_what_it_never_takes_is_dropped() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    for (status, kind, comes_again) in [
        (429, "TooManyRequestsException", true),
        (500, "InternalServiceErrorException", true),
        (400, "SendingPausedException", true),
        (400, "MailFromDomainNotVerifiedException", true),
        (400, "MessageRejected", false),
        (400, "BadRequestException", false),
    ] {
        let (carrier, _seen) =
            ses(status, json!({ "__type": kind, "message": "not to ann@example.com" })).await;
        let key = letter(&api, FAR).await;
        log::clear();
        assert_eq!(
            functions::mail::work(mailing(&app, carrier), key.clone()).await.is_err(),
            comes_again,
            "{kind}"
        );
        assert_eq!(exists(&api, &key).await, comes_again, "{kind}");
        assert!(!log::text().contains("ann@example.com"), "{}", log::text());
    }
}

#[tokio::test]
async fn the_real_function_reports_the_letters_that_must_come_again_and_no_other() {
    let api = Api::own(&[]).await;
    let record = |key: &str, number: &str| json!({ "eventName": "INSERT", "dynamodb": { "Keys": { "pk": { "S": key } }, "SequenceNumber": number, "StreamViewType": "KEYS_ONLY" } });
    let event = json!({ "Records": [record("kept:gone", "6"), record("kept:1", "7")] });
    let key = letter(&api, FAR).await;
    // There is no Amazon SES here.
    let mut sending = Instance::of(
        "mail",
        &[("DYNAMODB_ENDPOINT", &api.dynamodb), ("MAIL_FROM", "no-reply@example.com")],
    )
    .await;
    assert_eq!(
        sending.does(&event).await,
        json!({ "batchItemFailures": [{ "itemIdentifier": "7" }] })
    );
    assert!(exists(&api, &key).await);
    let mut off = Instance::of("mail", &[("DYNAMODB_ENDPOINT", &api.dynamodb)]).await;
    assert_eq!(off.does(&event).await, json!({ "batchItemFailures": [] }));
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn what_waits_in_the_outbox_of_a_folder_is_sent_by_the_next_run() {
    let folder = std::env::temp_dir().join(unique("farebox-mail"));
    let data = local::dynamo::Data::Folder(folder.clone());
    let dynamo = local::dynamo::Dynamo::start(&data, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    posted(&dynamo.url, "outbox:1", FAR).await;
    dynamo.stop().await;

    let server = local::server::Server::start(0, &data, |_| None).await.unwrap();
    let mut mails = server.mails.clone().unwrap();
    let sent =
        tokio::time::timeout(Duration::from_secs(20), mails.wait_for(|mails| !mails.is_empty()))
            .await
            .unwrap()
            .unwrap()[0]
            .clone();
    let files: Vec<_> =
        std::fs::read_dir(folder.join("mail")).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        format!("To: ann@example.com\nSubject: {}\n\n{}", sent.subject, sent.text)
    );
    server.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}
