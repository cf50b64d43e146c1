//! The hourly comparison of payments with Stripe, and the e-mails about disputes.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::checkout::{Checkout, signature};
use functions::background::payments_check;
use serde_json::json;
use shared::Credits;
use shared::app::PaymentsApp;
use shared::clock::Clock;
use shared::config::{Settings, StripeConfig};
use shared::mail::Mail;
use shared::payments::{self, Difference, Repair};
use shared::store::Order;
use shared::stripe::Stripe;
use shared::telemetry::metrics::Metric;
use shared::values::{PaymentFacts, RefundState, Refunded};

use crate::endpoints::account::purchases::{dispute, session, shop};
use crate::support::client::{Api, GRANT, Person, unique};
use crate::support::log::{self, recorded};
use crate::support::proxy::{Fault, Proxy};
use crate::support::world::put;

const ORDERS: &str = "/api/admin/purchases/";

/// A simulated Stripe whose events don't arrive, and a server that sells packs through it.
async fn deaf_shop() -> (Checkout, Api, PaymentsApp) {
    let nowhere = "http://127.0.0.1:9/api/stripe/webhook";
    let checkout = Checkout::start(nowhere, Clock::default()).await.unwrap();
    let key = checkout.key.clone();
    let (api, payments) = shop_of(&checkout, &key).await;
    (checkout, api, payments)
}

async fn shop_of(checkout: &Checkout, key: &str) -> (Api, PaymentsApp) {
    let settings = [
        ("STRIPE_URL", checkout.url.as_str()),
        ("STRIPE_MODE", "test"),
        ("STRIPE_API_KEY", key),
        ("STRIPE_WEBHOOK_SECRET", &checkout.secret),
    ];
    let api = Api::own(&settings).await;
    let root = api.administrator("seller").await;
    let pack =
        json!({ "id": "small", "name": "A", "tokens": 1000, "price": 299, "currency": "EUR" });
    root.put("/api/admin/packs/", json!({ "packs": [pack], "version": null })).await.is(200);
    let lookup = |name: &str| {
        settings.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
    };
    let config = StripeConfig::read(&Settings::new(lookup)).unwrap();
    let app = api.server().apps["payments_check"].clone();
    let stripe = Stripe::connect(&config, Clock::default()).await.unwrap();
    (api, PaymentsApp { app, stripe })
}

/// Runs a check that waits this long for late events. Returns the number of missed payments.
async fn missed_after(payments: &PaymentsApp, grace: Duration) -> u64 {
    log::clear();
    payments_check::run(payments, grace).await.unwrap();
    recorded(Metric::MissedPayments, None).1
}

async fn missed(payments: &PaymentsApp) -> u64 {
    missed_after(payments, Duration::ZERO).await
}

async fn waiting(api: &Api) -> (u64, u64) {
    let waiting = api.store().tell_disputes(&api.server().clock).await.unwrap();
    (waiting.orders, waiting.disputes)
}

/// An administrator with a verified address.
async fn reachable_administrator(api: &Api, email: &str) -> Person {
    let registration =
        json!({ "username": unique("root"), "email": email, "password": "secret123" });
    let person = api.person_with(registration).await;
    api.mails_to(email, 1).await;
    api.set(&person, "email_verified", AttributeValue::Bool(true)).await;
    let root = api.administrator("first").await;
    let change = json!({ "role": "admin", "reason": "a test" });
    root.patch(&format!("/api/admin/users/{}/", person.id), change).await.is(200);
    // The change has ended the sessions.
    let access = person.log_in().await.is(200)["access"].as_str().unwrap().to_owned();
    person.using(&access)
}

async fn notices(api: &Api) -> Vec<Mail> {
    api.outbox_is_empty().await;
    let mails = api.server().mails.as_ref().unwrap().borrow().clone();
    mails.into_iter().filter(|mail| mail.subject == "A payment is disputed").collect()
}

#[tokio::test]
async fn a_payment_that_no_event_told_is_granted_and_counted() {
    let (checkout, api, payments) = deaf_shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    assert_eq!(missed(&payments).await, 0);
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(missed(&payments).await, 1);
    assert_eq!(ann.balance().await, GRANT + 1000);
    assert_eq!(missed(&payments).await, 0);
    api.audits(&ann).await;
    checkout.stop().await;
}

#[tokio::test]
async fn an_event_on_its_way_is_not_a_missed_one() {
    let (checkout, api, payments) = deaf_shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    // The event arrives while the check waits for it.
    let grace = Duration::from_secs(2);
    let check = missed_after(&payments, grace);
    let event = async {
        tokio::time::sleep(grace / 4).await;
        let id = order["id"].as_str().unwrap();
        let stored = api.store().order(id).await.unwrap().unwrap();
        let paid = shared::values::PaymentFacts {
            progress: shared::values::Progress::Paid,
            ..Default::default()
        };
        api.store().merge_facts(stored, &paid, &api.server().clock).await.unwrap();
    };
    let (missed, ()) = tokio::join!(check, event);
    assert_eq!(missed, 0);
    checkout.stop().await;
}

#[tokio::test]
async fn runs_are_counted_and_a_refused_key_is_no_run() {
    let (checkout, _api, payments) = deaf_shop().await;
    log::clear();
    payments_check::work(payments).await.unwrap();
    assert_eq!(recorded(Metric::PaymentsChecked, None), (1, 1));
    assert_eq!(recorded(Metric::OrdersToLookAt, None), (1, 0));
    assert_eq!(recorded(Metric::MissedPayments, None), (1, 0));
    assert_eq!(recorded(Metric::StripeKeyRefused, None), (0, 0));

    let (api, dead) = shop_of(&checkout, "rk_test_revoked").await;
    log::clear();
    payments_check::work(dead).await.unwrap();
    assert_eq!(recorded(Metric::PaymentsChecked, None), (0, 0));
    assert_eq!(recorded(Metric::StripeKeyRefused, None), (1, 1));
    // Orders are counted even so.
    assert_eq!(recorded(Metric::OrdersToLookAt, None), (1, 0));
    api.person("ann")
        .await
        .post("/api/user/purchases/", json!({ "pack": "small" }))
        .await
        .expect(503, "payments_unavailable");
    assert_eq!(recorded(Metric::StripeKeyRefused, None), (2, 2));
    checkout.stop().await;
}

#[tokio::test]
async fn only_paid_pages_of_another_stack_are_differences() {
    let (checkout, _api, payments) = deaf_shop().await;
    let (other, _) = shop_of(&checkout, &checkout.key).await;
    let order = other.person("ann").await.orders("small").await;
    let differences = async || {
        let mut lines = Vec::new();
        let each = |found: Difference| lines.push(format!("{}: {}", found.order, found.line));
        let stripe = payments.stripe.as_ref().unwrap();
        payments::compare_and_repair(&payments.app, stripe, 30, Repair::Restore, each)
            .await
            .unwrap();
        lines
    };
    assert_eq!(differences().await, [""; 0]);
    other.presses(order["url"].as_str().unwrap(), "pay").await;
    let id = order["id"].as_str().unwrap();
    let line = format!("{id}: Stripe lists this purchase, and it can't be restored");
    assert_eq!(differences().await, [line]);
    checkout.stop().await;
}

/// The e-mail describes the states in the same words as this report.
#[tokio::test]
async fn missed_parts_of_refunds_and_disputes_are_found() {
    let (checkout, api, payments) = deaf_shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    let act = async |action: &str| {
        let session = order["url"].as_str().unwrap().rsplit('/').next().unwrap();
        api.presses(&format!("{}act/{session}", checkout.dashboard), action).await;
    };
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    act("half").await;
    assert_eq!(missed(&payments).await, 2);
    assert_eq!(ann.balance().await, GRANT + 501);
    act("half").await;
    assert_eq!(missed(&payments).await, 1);
    assert_eq!(ann.balance().await, GRANT + 3);
    act("dispute").await;
    assert_eq!((missed(&payments).await, waiting(&api).await), (1, (1, 0)));
    act("won").await;
    assert_eq!(missed(&payments).await, 1);
    assert_eq!(waiting(&api).await, (0, 0));
    assert_eq!(missed(&payments).await, 0);
    api.audits(&ann).await;
    checkout.stop().await;
}

/// A release before 0.14.0 stores a dispute without listing the order.
#[tokio::test]
async fn disputes_that_an_earlier_release_stored_are_told() {
    let (checkout, api, payments) = deaf_shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    let session = order["url"].as_str().unwrap().rsplit('/').next().unwrap();
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    api.presses(&format!("{}act/{session}", checkout.dashboard), "dispute").await;
    assert_eq!(missed(&payments).await, 2);
    let id = order["id"].as_str().unwrap();
    let pk = AttributeValue::S(format!("attention:{id}"));
    let client = emulator::dynamo::client(&api.dynamodb);
    client.delete_item().table_name("TokensTable").key("pk", pk).send().await.unwrap();
    assert_eq!(waiting(&api).await, (0, 0));
    assert_eq!(missed(&payments).await, 0);
    assert_eq!(waiting(&api).await.0, 1);
    checkout.stop().await;
}

#[tokio::test]
async fn without_a_shop_the_check_still_runs() {
    let api = Api::own(&[]).await;
    let app = api.server().apps["payments_check"].clone();
    log::clear();
    payments_check::work(PaymentsApp { app, stripe: None }).await.unwrap();
    assert_eq!(recorded(Metric::PaymentsChecked, None), (1, 1));
}

#[tokio::test]
async fn administrators_are_told_of_each_dispute_once() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let root = reachable_administrator(&api, "root@example.com").await;
    let order = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    assert_eq!(waiting(&api).await, (0, 0));
    api.hears("charge.dispute.created", dispute(&order, "needs_response")).await.is(200);

    let listed = root.get(&format!("{ORDERS}?attention=true")).await.is(200);
    assert_eq!([&listed[0]["state"], &listed[0]["disputed"]], [&json!("disputed"), &json!(true)]);
    assert_eq!(
        root.get(&format!("{ORDERS}?state=disputed")).await.is(200).as_array().unwrap().len(),
        1
    );
    assert_eq!(waiting(&api).await, (1, 1));
    let told = notices(&api).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to, "root@example.com");
    assert!(told[0].text.contains("a payment of 2.99 EUR"), "{}", told[0].text);
    assert!(told[0].text.contains(order["id"].as_str().unwrap()), "{}", told[0].text);
    assert_eq!(waiting(&api).await, (1, 0));
    assert_eq!(notices(&api).await.len(), 1);

    // A second dispute about the same payment is also reported.
    let mut second = dispute(&order, "needs_response");
    second["id"] = json!("dp_2");
    api.hears("charge.dispute.created", second.clone()).await.is(200);
    assert_eq!(waiting(&api).await, (1, 1));
    assert_eq!(notices(&api).await.len(), 2);
    for id in ["dp_1", "dp_2"] {
        second["id"] = json!(id);
        second["status"] = json!("won");
        api.hears("charge.dispute.closed", second.clone()).await.is(200);
    }
    assert_eq!(waiting(&api).await, (0, 0));
    assert_eq!(root.get(&format!("{ORDERS}?attention=true")).await.is(200), json!([]));
    api.audits(&ann).await;
}

#[tokio::test]
async fn a_dispute_that_cannot_be_told_delays_no_other_dispute() {
    let api = shop().await;
    let ann = api.person("ann").await;
    reachable_administrator(&api, "root@example.com").await;
    for _ in 0..2 {
        let order = ann.orders("small").await;
        api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
        api.hears("charge.dispute.created", dispute(&order, "needs_response")).await.is(200);
    }
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    lane.strike_once("TransactWriteItems", 1, Fault::Mismatch);
    let store = api.app_over("payments_check", &lane).store;
    let told = store.tell_disputes(&api.server().clock).await.unwrap();
    assert_eq!((told.orders, told.disputes, told.failure.is_some()), (2, 1, true));
    assert_eq!(notices(&api).await.len(), 1);
    assert_eq!(waiting(&api).await, (2, 1));
    assert_eq!(notices(&api).await.len(), 2);
}

#[tokio::test]
async fn an_order_that_owes_stays_listed_after_its_disputes_are_told() {
    let api = shop().await;
    let ann = api.person("ann").await;
    reachable_administrator(&api, "root@example.com").await;
    let order = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    api.hears("charge.dispute.created", dispute(&order, "needs_response")).await.is(200);
    api.hears("charge.dispute.closed", dispute(&order, "won")).await.is(200);
    let store = api.store();
    let read_before = store.order(order["id"].as_str().unwrap()).await.unwrap().unwrap();
    // The dispute is over, so the e-mail about it removes the order from the list.
    assert_eq!(waiting(&api).await, (0, 1));
    let balance = i64::try_from(ann.balance().await).unwrap();
    api.adjust(&ann, -balance, "a test").await;
    let back = Refunded { amount: read_before.price, state: RefundState::Made };
    let facts = PaymentFacts { refunds: [("re_1".into(), back)].into(), ..PaymentFacts::default() };
    let owing = store.merge_facts(read_before, &facts, &api.server().clock).await.unwrap();
    assert!(owing.owed > Credits::ZERO);
    let listed = store.all_orders_to_look_at().next().await.unwrap().unwrap();
    assert_eq!(listed.iter().map(Order::id).collect::<Vec<_>>(), [owing.id()]);
}

#[tokio::test]
async fn former_administrators_are_not_told() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let root = reachable_administrator(&api, "root@example.com").await;
    let order = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    api.hears("charge.dispute.created", dispute(&order, "needs_response")).await.is(200);
    let first = api.administrator("second").await;
    let change = json!({ "role": "user", "reason": "a test" });
    first.patch(&format!("/api/admin/users/{}/", root.id), change).await.is(200);
    assert_eq!(waiting(&api).await, (1, 1));
    assert!(notices(&api).await.is_empty());
}

/// An earlier release settles a dispute without removing the order from the list.
#[tokio::test]
async fn the_census_ends_the_listing_of_settled_orders() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let order = ann.orders("small").await;
    let id = order["id"].as_str().unwrap();
    let left = json!({ "pk": format!("attention:{id}"), "user_id": "attention:" });
    put(&api.dynamodb, "TokensTable", &[left]).await;
    let attention = format!("{ORDERS}?attention=true");
    assert_eq!(root.get(&attention).await.is(200).as_array().unwrap().len(), 1);
    assert_eq!(waiting(&api).await, (0, 0));
    let census = api.server().apps["census"].clone();
    functions::background::census::run(&census).await.unwrap();
    assert_eq!(root.get(&attention).await.is(200), json!([]));
}

#[tokio::test]
async fn failed_events_and_refused_signatures_are_counted_apart() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    log::clear();
    api.sends("t=1,v1=00", "{}").await.expect(400, "invalid_signature");
    assert_eq!(recorded(Metric::SignaturesRefused, None), (1, 1));
    assert_eq!(recorded(Metric::EventsFailed, None), (0, 0));
    let mut unknown = session(&order, &json!({}));
    let other = "01a21599-d153-7264-af99-44d0c4f5f166";
    unknown["client_reference_id"] = json!(other);
    unknown["metadata"]["order"] = json!(other);
    api.hears("checkout.session.completed", unknown).await.expect(503, "unknown_order");
    assert_eq!(recorded(Metric::EventsFailed, None), (1, 1));
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    assert_eq!(recorded(Metric::EventsFailed, None), (1, 1));
    assert_eq!(recorded(Metric::SignaturesRefused, None), (1, 1));
}

#[tokio::test]
async fn events_of_the_other_mode_buy_nothing() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    log::clear();
    let hears = async |livemode: bool| {
        let object = json!({ "object": session(&order, &json!({})) });
        let event = json!({
            "type": "checkout.session.completed", "created": api.now(), "livemode": livemode,
            "data": object,
        });
        let secret = &api.server().checkout.as_ref().unwrap().secret;
        let body = event.to_string();
        api.sends(&signature(secret, &body, api.now()), &body).await.is(200);
    };
    hears(true).await;
    assert_eq!(ann.balance().await, GRANT);
    assert_eq!(recorded(Metric::EventsFailed, None), (1, 1));
    hears(false).await;
    assert_eq!(ann.balance().await, GRANT + 1000);
    assert_eq!(recorded(Metric::EventsFailed, None), (1, 1));
}

#[tokio::test]
async fn keys_of_the_other_mode_sell_nothing() {
    let checkout = Checkout::start("http://127.0.0.1:9/", Clock::default()).await.unwrap();
    let (api, _) = shop_of(&checkout, "rk_live_0123456789").await;
    log::clear();
    let buy = json!({ "pack": "small" });
    let answer = api.person("ann").await.post("/api/user/purchases/", buy).await;
    answer.expect(503, "payments_unavailable");
    assert_eq!(recorded(Metric::StripeKeyRefused, None), (1, 1));
    assert!(log::text().contains("STRIPE_MODE is test"), "{}", log::text());
    checkout.stop().await;
}
