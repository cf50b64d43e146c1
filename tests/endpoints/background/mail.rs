//! The outbox: who gets an e-mail, what the e-mail contains, and what the store contains.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emulator::dynamo;
use serde_json::{Value, json};
use shared::app::MailApp;
use shared::clock::Clock;
use shared::mail::MailTransport;
use shared::telemetry::metrics::{Metric, PERMANENT, TEMPORARY};
use shared::{App, Error};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::amazon::{Amazon, Asked, Does};
use crate::support::client::{Api, token_in, unique};
use crate::support::lambda::{Instance, Log};
use crate::support::log::{self, recorded};

#[tokio::test]
async fn only_registrations_with_an_address_send_a_link() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    api.person("ben").await;
    let address = format!("{}@example.com", unique("Ann"));
    api.person_at(&unique("ann"), &address).await;
    let mails = api.mails_to(&address, 1).await;
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.subject, "Verify your e-mail address");
    let link = format!("https://app.example.com/verify-email/?token={}", token_in(mail));
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert_eq!(api.server().mails.as_ref().unwrap().borrow().len(), 1);
}

#[tokio::test]
async fn e_mails_contain_no_text_from_strangers() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    let (name, address, new) =
        ("paypal.com-login.evil.example", "victim@example.com", "new.evil.example@example.org");
    let eve = api.person_at(name, address).await;
    // Wait for the first e-mail, because an address that no longer belongs to the account gets no
    // e-mail.
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
async fn replaced_or_signed_out_accounts_get_no_link() {
    let api = Api::own(&[]).await;
    let ann = api.person_at(&unique("ann"), "ann@example.com").await;
    api.outbox_is_empty().await;
    for (user_id, auth_epoch) in [(ann.id.as_str(), 0), ("somebody-else", 1)] {
        let email = json!({ "verify": { "user_id": user_id, "name": ann.name, "shown": "Ann", "address": "ann@example.com", "auth_epoch": auth_epoch } });
        let posted = json!({ "pk": format!("outbox:{user_id}"), "letter": email, "expires_at": 4_000_000_000_u64 });
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
async fn e_mails_without_a_link_page_contain_the_bare_token() {
    let api = Api::own(&[]).await;
    api.person_at(&unique("ann"), "ann@example.com").await;
    let mail = &api.mails_to("ann@example.com", 1).await[0];
    let token = token_in(mail);
    assert_eq!(token.len(), 43);
    assert!(mail.text.lines().any(|line| line == token), "{}", mail.text);
}

#[tokio::test]
async fn link_tokens_are_neither_stored_nor_logged() {
    let api = Api::own(&[]).await;
    log::clear();
    let ann = api.person_at(&unique("ann"), "ann@example.com").await;
    let verify = api.token_to("ann@example.com").await;
    let mut stored = format!("{:?}", api.items(&ann.id).await);
    ann.verifies(&verify).await.is(200);
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

/// Writes an outbox item under a key that the stream's reader ignores. Returns the key.
async fn outgoing(api: &Api, expires_at: u64) -> String {
    posted(&api.dynamodb, "kept:1", expires_at).await;
    "kept:1".into()
}

async fn posted(dynamodb: &str, key: &str, expires_at: u64) {
    let changes = json!({ "shown": "ann", "address": "ann@example.com", "new": "ann@example.org" });
    let item =
        json!({ "pk": key, "expires_at": expires_at, "letter": { "address_changes": changes } });
    let put = emulator::dynamo::client(dynamodb).put_item().table_name("TokensTable");
    put.set_item(Some(serde_dynamo::to_item(item).unwrap())).send().await.unwrap();
}

async fn exists(api: &Api, key: &str) -> bool {
    api.items(key).await["TokensTable"].iter().any(|item| item["pk"] == key)
}

const FAR: u64 = 9_999_999_999;

/// The `mail` function's app, with this transport.
fn mailing(app: &App, transport: MailTransport) -> MailApp {
    MailApp { app: app.clone(), transport, url: None }
}

#[tokio::test]
async fn e_mails_leave_the_outbox_only_after_they_are_accepted() {
    let api = Api::own(&[]).await;
    let key = outgoing(&api, FAR).await;
    let app = api.server().apps["mail"].clone();
    let work = |transport| functions::background::mail::work(mailing(&app, transport), key.clone());
    let (away, nobody) = unbounded_channel();
    drop(nobody);
    work(MailTransport::Channel(away)).await.unwrap_err();
    assert!(exists(&api, &key).await);

    let (give, mut taken) = unbounded_channel();
    work(MailTransport::Channel(give.clone())).await.unwrap();
    work(MailTransport::Channel(give)).await.unwrap();
    let mail = taken.recv().await.unwrap();
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        ("ann@example.com", "Your e-mail address is being changed")
    );
    assert!(taken.recv().await.is_none(), "it was sent once");
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn e_mails_are_dropped_if_expired_or_without_a_sender() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let (give, mut taken) = unbounded_channel();
    let key = outgoing(&api, app.clock.seconds()).await;
    functions::background::mail::work(mailing(&app, MailTransport::Channel(give)), key)
        .await
        .unwrap();
    assert!(taken.try_recv().is_err());

    let key = outgoing(&api, FAR).await;
    log::clear();
    functions::background::mail::work(mailing(&app, MailTransport::Disabled), key.clone())
        .await
        .unwrap();
    assert!(log::text().contains("MAIL_FROM is not set"), "{}", log::text());
    assert!(!exists(&api, &key).await, "it is not sent again");
}

/// A fake Amazon SES that gives this reply.
async fn ses(status: u16, reply: Value) -> Amazon {
    Amazon::start("ses", move |_| Does::Says(status, reply.clone())).await
}

/// A transport that sends through a fake Amazon SES.
fn transport(ses: &Amazon) -> MailTransport {
    MailTransport::ses(&ses.config(), "no-reply@example.com".into(), None)
}

#[tokio::test]
async fn ses_gets_plain_text_from_one_address_to_one_reader() {
    let api = Api::own(&[]).await;
    let ses = ses(200, json!({ "MessageId": "1" })).await;
    let key = outgoing(&api, FAR).await;
    let mailing = mailing(&api.server().apps["mail"], transport(&ses));
    functions::background::mail::work(mailing, key.clone()).await.unwrap();
    let [asked] = &ses.asked()[..] else { panic!("{:?}", ses.asked()) };
    assert_eq!(
        (asked.path.as_str(), asked.target.as_str(), asked.content_type.as_str()),
        ("/v2/email/outbound-emails", "", "application/json")
    );
    let sent = &asked.body;
    assert_eq!(sent["FromEmailAddress"], "no-reply@example.com");
    assert_eq!(sent["Destination"], json!({ "ToAddresses": ["ann@example.com"] }));
    assert!(sent.get("ConfigurationSetName").is_none(), "{sent}");
    let message = &sent["Content"]["Simple"];
    assert_eq!(
        message["Subject"],
        json!({ "Data": "Your e-mail address is being changed", "Charset": "UTF-8" })
    );
    assert_eq!(message["Body"]["Text"]["Charset"], "UTF-8");
    assert!(
        message["Body"]["Text"]["Data"].as_str().unwrap().contains("is being changed"),
        "{message}"
    );
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn ses_gets_the_configuration_set() {
    let api = Api::own(&[]).await;
    let ses = ses(200, json!({ "MessageId": "1" })).await;
    let from = "no-reply@example.com".into();
    let transport = MailTransport::ses(&ses.config(), from, Some("transactional".into()));
    let key = outgoing(&api, FAR).await;
    functions::background::mail::work(mailing(&api.server().apps["mail"], transport), key)
        .await
        .unwrap();
    assert_eq!(ses.asked()[0].body["ConfigurationSetName"], "transactional");
}

/// A transport that sends through a fake Amazon SES, with the time-outs that functions use.
fn timely(ses: &Amazon) -> MailTransport {
    let aws = ses.config().into_builder().timeout_config(shared::aws::timeouts()).build();
    MailTransport::ses(&aws, "no-reply@example.com".into(), None)
}

#[tokio::test]
async fn calls_of_ses_without_a_reply_are_repeated() {
    let api = Api::own(&[]).await;
    let hangs = AtomicBool::new(true);
    let answer = move |_: &Asked| match hangs.swap(false, Ordering::Relaxed) {
        true => Does::Hangs,
        false => Does::Says(200, json!({ "MessageId": "1" })),
    };
    let ses = Amazon::start("ses", answer).await;
    let key = outgoing(&api, FAR).await;
    let mailing = mailing(&api.server().apps["mail"], timely(&ses));
    functions::background::mail::work(mailing, key.clone()).await.unwrap();
    assert!(ses.times_asked() > 1);
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn e_mails_stay_if_ses_never_replies() {
    let api = Api::own(&[]).await;
    let ses = Amazon::start("ses", |_| Does::Hangs).await;
    let key = outgoing(&api, FAR).await;
    let mailing = mailing(&api.server().apps["mail"], timely(&ses));
    let failed = functions::background::mail::work(mailing, key.clone()).await.unwrap_err();
    assert_eq!(failed, Error::Unavailable("Amazon SES: no answer in time".into()));
    assert!(ses.times_asked() > 1);
    assert!(exists(&api, &key).await);
}

/// The fate of an e-mail that Amazon SES refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Lambda retries it.
    Again,
    /// The e-mail stays in the outbox for an operator.
    Stays,
    /// The e-mail is deleted.
    Gone,
}

#[tokio::test]
async fn ses_failures_are_retried_only_if_that_can_help() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    for (status, kind, attempts, then) in [
        (429, "TooManyRequestsException", 3, Then::Again),
        (400, "LimitExceededException", 3, Then::Again),
        (400, "ThrottlingException", 3, Then::Again),
        (500, "InternalServiceErrorException", 3, Then::Again),
        (503, "ServiceUnavailable", 3, Then::Again),
        (403, "ExpiredTokenException", 1, Then::Again),
        (400, "MessageRejected", 1, Then::Gone),
        (400, "BadRequestException", 1, Then::Gone),
        (400, "AccountSuspendedException", 1, Then::Stays),
        (400, "SendingPausedException", 1, Then::Stays),
        (400, "MailFromDomainNotVerifiedException", 1, Then::Stays),
        (404, "NotFoundException", 1, Then::Stays),
        (403, "AccessDeniedException", 1, Then::Stays),
        (400, "SomethingNewException", 1, Then::Stays),
    ] {
        let ses = ses(status, json!({ "__type": kind, "message": "not to ann@example.com" })).await;
        let transport = transport(&ses);
        let key = outgoing(&api, FAR).await;
        log::clear();
        let outcome =
            functions::background::mail::work(mailing(&app, transport), key.clone()).await;
        let found = match (outcome.is_err(), exists(&api, &key).await) {
            (true, true) => Then::Again,
            (false, true) => Then::Stays,
            (false, false) => Then::Gone,
            (true, false) => panic!("{kind}: lost"),
        };
        assert_eq!((found, ses.times_asked()), (then, attempts), "{kind}");
        let (text, again) = (log::text(), then == Then::Again);
        assert_eq!(text.contains("ERROR"), !again, "{kind}: {text}");
        assert_eq!(text.contains(kind), !again, "{kind}: {text}");
        let told = format!("{text}{outcome:?}");
        assert!(!told.contains("ann@example.com"), "{told}");
        let (of, other) = if again { (TEMPORARY, PERMANENT) } else { (PERMANENT, TEMPORARY) };
        assert_eq!(recorded(Metric::MailsFailed, Some(of)), (1, 1), "{kind}");
        assert_eq!(recorded(Metric::MailsFailed, Some(other)), (0, 0), "{kind}");
        assert_eq!(recorded(Metric::MailsSent, None), (0, 0), "{kind}");
    }
}

#[tokio::test]
async fn sent_e_mails_are_counted_and_unsent_ones_are_not() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let transport = transport(&ses(200, json!({ "MessageId": "1" })).await);
    for (transport, sent) in [(MailTransport::Disabled, 0), (transport, 1)] {
        let key = outgoing(&api, FAR).await;
        log::clear();
        functions::background::mail::work(mailing(&app, transport), key).await.unwrap();
        assert_eq!(recorded(Metric::MailsSent, None).1, sent);
        for kind in [TEMPORARY, PERMANENT] {
            assert_eq!(recorded(Metric::MailsFailed, Some(kind)), (0, 0), "{kind}");
        }
    }
}

/// Writes an outbox item that no release can read. Returns its key.
async fn poison(api: &Api) -> String {
    let item = json!({ "pk": "kept:poison", "expires_at": FAR, "letter": "garbage" });
    let put = dynamo::client(&api.dynamodb).put_item().table_name("TokensTable");
    put.set_item(Some(serde_dynamo::to_item(item).unwrap())).send().await.unwrap();
    "kept:poison".into()
}

#[tokio::test]
async fn unreadable_e_mails_are_not_retried_and_stay_stored() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["mail"].clone();
    let key = poison(&api).await;
    log::clear();
    functions::background::mail::work(mailing(&app, MailTransport::Disabled), key.clone())
        .await
        .unwrap();
    assert!(exists(&api, &key).await);
    assert_eq!(recorded(Metric::MailsFailed, Some(PERMANENT)), (1, 1));
    let text = log::text();
    let lines = text.lines().filter(|line| line.contains("ERROR") && line.contains(&key));
    assert_eq!(lines.count(), 1, "{text}");
}

/// A record in the table's stream about a new item with this key.
fn record(key: &str, number: &str) -> Value {
    json!({ "eventName": "INSERT", "dynamodb": { "Keys": { "pk": { "S": key } }, "SequenceNumber": number, "StreamViewType": "KEYS_ONLY" } })
}

/// The settings of a function that sends e-mail through Amazon SES. Tests have no SES, so sending
/// fails.
fn sending(api: &Api) -> [(&str, &str); 2] {
    [("DYNAMODB_ENDPOINT", api.dynamodb.as_str()), ("MAIL_FROM", "no-reply@example.com")]
}

#[tokio::test]
async fn the_lambda_binary_reports_only_retryable_e_mails() {
    let api = Api::own(&[]).await;
    let event = json!({ "Records": [record("kept:gone", "6"), record("kept:1", "7")] });
    let key = outgoing(&api, FAR).await;
    let mut function = Instance::of("mail", &sending(&api)).await;
    assert_eq!(
        function.does(&event).await,
        json!({ "batchItemFailures": [{ "itemIdentifier": "7" }] })
    );
    assert!(exists(&api, &key).await);
    let mut off = Instance::of("mail", &[("DYNAMODB_ENDPOINT", &api.dynamodb)]).await;
    assert_eq!(off.does(&event).await, json!({ "batchItemFailures": [] }));
    assert!(!exists(&api, &key).await);
}

#[tokio::test]
async fn bad_e_mails_and_records_do_not_block_the_others() {
    let api = Api::own(&[]).await;
    let (poison, key) = (poison(&api).await, outgoing(&api, FAR).await);
    let broken = json!({ "eventName": "INSERT", "dynamodb": { "Keys": { "pk": { "N": "1" } } } });
    let log = Log::new();
    let settings = [("DYNAMODB_ENDPOINT", api.dynamodb.as_str())];
    let mut function = Instance::logging("mail", &settings, &log).await;
    let event =
        json!({ "Records": [broken, record(&poison, "2"), record(&key, "3"), Value::Null] });
    assert_eq!(function.does(&event).await, json!({ "batchItemFailures": [] }));
    assert!(exists(&api, &poison).await);
    assert!(!exists(&api, &key).await, "it came behind them");
    let lines = log.lines();
    let counted = lines.iter().filter(|line| line["MailsFailed"] == 1 && line["Kind"] == PERMANENT);
    assert_eq!(counted.count(), 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line["level"] == "ERROR").count(), 3, "{lines:?}");
}

#[tokio::test]
async fn events_without_any_sent_e_mail_are_function_errors() {
    let api = Api::own(&[]).await;
    let key = outgoing(&api, FAR).await;
    let log = Log::new();
    let mut function = Instance::logging("mail", &sending(&api), &log).await;
    let failed = function.fails(&json!({ "Records": [record(&key, "7")] })).await;
    assert_eq!(failed["errorType"], "unavailable");
    assert!(exists(&api, &key).await);
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| line["level"] == "ERROR").count(), 1, "{lines:?}");
    let counted = lines.iter().filter(|line| line["MailsFailed"] == 1 && line["Kind"] == TEMPORARY);
    assert_eq!(counted.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn the_next_run_sends_the_outbox_of_a_folder() {
    let folder = std::env::temp_dir().join(unique("farebox-mail"));
    let data = emulator::dynamo::Data::Folder(folder.clone());
    let dynamo =
        emulator::dynamo::Dynamo::start(&data, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    posted(&dynamo.url, "outbox:1", FAR).await;
    dynamo.stop().await;

    let server = local::server::Server::start(0, &data, Clock::default(), |_| None).await.unwrap();
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
