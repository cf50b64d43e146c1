//! E-mails that warn users about a low balance after `POST /api/chat`.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shared::Credits;
use shared::mail::Mail;

use crate::support::client::{Api, Person, unique};
use crate::support::function::{ask, chat_with};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Plan};
use crate::support::rig::Rig;
use crate::support::world::World;

const SUBJECT: &str = "Your tokens are running out";

/// A server that warns users when their balance falls below 250 tokens. New accounts have 500.
async fn warning(settings: &[(&str, &str)]) -> Api {
    let usual = [("LOW_BALANCE", "250"), ("FIRST_GRANT", "500")];
    Api::own(&[&usual[..], settings].concat()).await
}

async fn registered(api: &Api, email: &str) -> Person {
    let registration =
        json!({ "username": unique("ann"), "email": email, "password": "secret123" });
    api.person_with(registration).await
}

/// A user with a verified address.
async fn reachable(api: &Api, email: &str) -> Person {
    let person = registered(api, email).await;
    api.mails_to(email, 1).await;
    api.set(&person, "email_verified", AttributeValue::Bool(true)).await;
    person
}

async fn warnings(api: &Api) -> Vec<Mail> {
    api.outbox_is_empty().await;
    let mails = api.server().mails.as_ref().unwrap().borrow().clone();
    mails.into_iter().filter(|mail| mail.subject == SUBJECT).collect()
}

#[tokio::test]
async fn one_e_mail_is_sent_after_each_grant() {
    let api = warning(&[
        ("TOP_UP_TEXT", "Buy more in our shop."),
        ("MAIL_URL", "https://app.example.com"),
    ])
    .await;
    let ann = reachable(&api, "ann@example.com").await;
    for sent in [0, 0, 1, 1, 1] {
        ann.chat("hi").await.is(200);
        assert_eq!(warnings(&api).await.len(), sent);
    }
    let mail = &warnings(&api).await[0];
    assert_eq!(mail.to, "ann@example.com");
    assert_eq!(
        mail.text,
        "Hello,\n\nYour account has 200 tokens left.\n\nBuy more in our shop.\n\nYour account: https://app.example.com\n\nWe won't send this e-mail again until your balance is topped up or adjusted.\n"
    );
    // After a grant, another e-mail is sent once the balance is low again.
    api.adjust(&ann, 300, "more").await;
    for sent in [2, 2] {
        ann.chat("hi").await.is(200);
        assert_eq!(warnings(&api).await.len(), sent);
    }
}

#[tokio::test]
async fn only_verified_addresses_get_it() {
    let api = warning(&[]).await;
    let (ann, ben) = (registered(&api, "ann@example.com").await, api.person("ben").await);
    for person in [&ann, &ben] {
        for _ in 0..4 {
            person.chat("hi").await.is(200);
        }
    }
    assert_eq!(warnings(&api).await.len(), 0);
    assert_eq!(api.account(&ann).await.alerted, None);
}

#[tokio::test]
async fn nothing_is_sent_unless_the_operator_wants_it() {
    let api = warning(&[("LOW_BALANCE", "0")]).await;
    let ann = reachable(&api, "ann@example.com").await;
    for _ in 0..5 {
        ann.chat("hi").await.is(200);
    }
    assert_eq!(warnings(&api).await.len(), 0);
}

#[tokio::test]
async fn held_credits_dont_count_as_gone() {
    let api = warning(&[("AI_TIMEOUT_SECONDS", "10")]).await;
    let ann = reachable(&api, "ann@example.com").await;
    // Three waiting chats leave a balance of 100 while another chat is answered.
    let waiting = (0..3).map(|_| ann.chat("!slow 4000 !fail"));
    let (_, ()) = tokio::join!(futures_util::future::join_all(waiting), async {
        ann.has_waiting(3).await;
        ann.chat("hi").await.is(200);
        assert_eq!(api.account(&ann).await.alerted, None);
    });
}

#[tokio::test]
async fn parallel_chats_send_one_e_mail() {
    let api = warning(&[]).await;
    let ann = reachable(&api, "ann@example.com").await;
    let chats = futures_util::future::join_all((0..5).map(|_| ann.chat("hi"))).await;
    assert!(chats.iter().all(|chat| chat.status == 200));
    assert_eq!(warnings(&api).await.len(), 1);
}

#[tokio::test]
async fn the_e_mail_never_frees_or_fails_an_answer() {
    let rig = Rig::start().await;
    for fault in Fault::ALL.into_iter().filter(|fault| fault.suits("TransactWriteItems")) {
        let ann = rig.person().await;
        let number = |number: u64| AttributeValue::N(number.to_string());
        for (attribute, value) in [
            ("email", AttributeValue::S(format!("{}@example.com", ann.name))),
            ("email_verified", AttributeValue::Bool(true)),
            ("tokens", number(150)),
            ("granted", number(150)),
        ] {
            rig.api.set(&ann, attribute, value).await;
        }
        let lane = rig.proxy.lane();
        let function = rig.api.function_over("chat", &lane);
        let low_balance = Credits::new(250).unwrap();
        let function = chat_with(&function, |ai| ai.low_balance = low_balance);
        // The first transaction settles the chat, and the second one writes the e-mail.
        lane.strike(Some(Plan {
            at: FaultPoint::Operation("TransactWriteItems", 2),
            fault,
            strikes: FaultRepeat::FromThenOn,
        }));
        let (bearer, body) = (ann.bearer(), json!({ "message": "hi" }));
        let headers = [("authorization", bearer.as_str())];
        let reply = ask(&function, "chat", "/api/chat", &headers, body).await;
        assert_eq!(reply.status, 200, "{fault:?}: {}", reply.body);
        assert!(lane.strikes().await, "{fault:?}");
        lane.calm();
        lane.deliver_much_later().await;
        let account = World::read(&rig.api.dynamodb).await.accounts[&ann.id].clone();
        assert_eq!([account.tokens, account.spent].map(|tokens| tokens.get()), [50, 100]);
    }
}
