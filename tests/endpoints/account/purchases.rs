//! Purchases: `GET /api/user/purchases`, `POST /api/user/purchases`, `POST /api/stripe/webhook`,
//! `GET /api/admin/purchases`, `GET /api/admin/packs`, `PUT /api/admin/packs`.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::checkout::{Checkout, signature};
use emulator::dynamo;
use futures_util::future::join_all;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use shared::BalanceChange;
use shared::clock::{Clock, Day};
use shared::config::{Settings, StripeConfig};
use shared::payments::{self, Difference, Repair};
use shared::store::{Adjustment, Order};
use shared::stripe::Stripe;
use shared::values::{PaymentFacts, Progress, Reason};

use crate::endpoints::account::ledger::csv_line;
use crate::support::client::{Answer, Api, DAY, GRANT, Person};
use crate::support::world::put;

const PATH: &str = "/api/user/purchases/";
const WEBHOOK: &str = "/api/stripe/webhook/";
const ORDERS: &str = "/api/admin/purchases/";
const PACKS: &str = "/api/admin/packs/";
const SIMULATED: [(&str, &str); 1] = [("PAYMENTS", "simulated")];

/// The tokens and the price of the `small` pack.
const TOKENS: u64 = 1000;
const PRICE: u64 = 299;

pub(crate) async fn shop() -> Api {
    Api::own(&SIMULATED).await
}

impl Person {
    pub(crate) async fn orders(&self, pack: &str) -> Value {
        self.post(PATH, json!({ "pack": pack })).await.is(201)
    }

    async fn purchase(&self) -> Value {
        self.get(PATH).await.is(200)["purchases"][0].clone()
    }

    /// Waits until the newest purchase has this state.
    async fn buys_until(&self, state: &str) -> Value {
        for _ in 0..500 {
            let purchase = self.purchase().await;
            if purchase["state"] == state {
                return purchase;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the purchase is never {state}: {:?}", self.purchase().await);
    }
}

impl Api {
    /// Presses a button on a page of the simulated Stripe.
    pub(crate) async fn presses(&self, url: &str, action: &str) -> String {
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let form = format!("action={action}");
        let reply = client.post(url).body(form).send().await.unwrap();
        let back = reply.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        back.unwrap_or_default()
    }

    /// Presses a button on the page that lists all payments.
    pub(crate) async fn acts(&self, order: &Value, action: &str) {
        let session = order["url"].as_str().unwrap().rsplit('/').next().unwrap();
        let checkout = self.server().checkout.as_ref().unwrap();
        self.presses(&format!("{}act/{session}", checkout.dashboard), action).await;
    }

    /// Sends an event as Stripe would.
    pub(crate) async fn hears(&self, kind: &str, object: Value) -> Answer {
        let now = self.now();
        let event = json!({ "id": "evt_1", "object": "event", "type": kind, "created": now, "data": { "object": object } });
        let secret = &self.server().checkout.as_ref().unwrap().secret;
        let body = event.to_string();
        let header = signature(secret, &body, now);
        self.sends(&header, &body).await
    }

    pub(crate) async fn sends(&self, signature: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("stripe-signature", signature)];
        self.raw(reqwest::Method::POST, WEBHOOK, &headers, body.as_bytes().to_vec()).await
    }

    pub(crate) async fn audits(&self, person: &Person) {
        assert_eq!(self.store().audit(&person.name).await.unwrap().differences, []);
        assert_eq!(self.store().audit_sources(None).await.unwrap(), (vec![], None));
    }
}

pub(crate) fn session(order: &Value, changes: &Value) -> Value {
    let id = order["id"].as_str().unwrap();
    let mut session = json!({
        "object": "checkout.session", "id": format!("cs_{id}"), "client_reference_id": id,
        "metadata": { "order": id }, "status": "complete", "payment_status": "paid",
        "amount_total": PRICE, "amount_subtotal": PRICE, "currency": "eur",
        "payment_intent": format!("pi_{id}"),
    });
    for (name, value) in changes.as_object().unwrap() {
        session[name] = value.clone();
    }
    session
}

pub(crate) fn refund(order: &Value, id: &str, amount: u64, status: &str) -> Value {
    let payment = format!("pi_{}", order["id"].as_str().unwrap());
    json!({ "object": "refund", "id": id, "amount": amount, "status": status, "payment_intent": payment })
}

pub(crate) fn dispute(order: &Value, status: &str) -> Value {
    let payment = format!("pi_{}", order["id"].as_str().unwrap());
    json!({ "object": "dispute", "id": "dp_1", "status": status, "payment_intent": payment })
}

#[tokio::test]
async fn paid_packs_grant_their_tokens_once() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let order = ann.orders("small").await;
    assert_eq!(
        [&order["tokens"], &order["price"], &order["state"]],
        [&json!(TOKENS), &json!(PRICE), &json!("open")]
    );
    let url = order["url"].as_str().unwrap();
    assert_eq!(api.presses(url, "decline").await, "");
    assert_eq!(ann.balance().await, GRANT);
    let back = api.presses(url, "pay").await;
    assert_eq!(back, format!("{}/#/buy?order={}", api.url, order["id"].as_str().unwrap()));
    let paid = ann.buys_until("paid").await;
    assert_eq!(paid["tokens_granted"], TOKENS);
    assert_eq!(ann.balance().await, GRANT + TOKENS);
    // The page can be paid only once.
    api.presses(url, "pay").await;
    let rows = ann.get("/api/user/ledger/").await.is(200);
    let purchase = json!({ "id": order["id"], "money": PRICE, "currency": "EUR" });
    assert_eq!([&rows[0]["amount"], &rows[0]["purchase"]], [&json!(TOKENS), &purchase]);
    let shown = &root.get(ORDERS).await.is(200)[0];
    assert_eq!([&shown["username"], &shown["state"]], [&json!(ann.name), &json!("paid")]);
    let figures = root.get("/api/admin/figures/").await.is(200);
    assert_eq!(figures["totals"]["revenue"], json!({ "EUR": PRICE }));
    api.audits(&ann).await;
}

#[tokio::test]
async fn simulated_payments_have_a_secret_page_and_check_origins() {
    // Earlier releases used this value.
    let api = Api::own(&[("PAYMENTS", "played")]).await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    let url = order["url"].as_str().unwrap();
    let session = url.rsplit('/').next().unwrap();
    let checkout = api.server().checkout.as_ref().unwrap();
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let page = async |url: &str| client.get(url).send().await.unwrap();
    let press = async |url: &str, origin: &str, action: &str| {
        let form = client.post(url).header("origin", origin).body(format!("action={action}"));
        form.send().await.unwrap().status().as_u16()
    };
    for other in ["https://evil.example", "http://127.0.0.1:1", "null"] {
        assert_eq!(press(url, other, "pay").await, 403, "{other}");
    }
    assert_eq!(press(url, &checkout.url, "pay").await, 303);
    ann.buys_until("paid").await;

    let all = page(&checkout.dashboard).await;
    assert_eq!(all.headers()["referrer-policy"], "same-origin");
    assert!(all.text().await.unwrap().contains(&format!("action=\"act/{session}\"")));
    // Without the random path, payments can't be seen or refunded.
    for path in ["", "/", "/act", "/dashboard/"] {
        assert_eq!(page(&format!("{}{path}", checkout.url)).await.status(), 404, "{path}");
    }
    let guessed = format!("{}/act/{session}", checkout.url);
    assert_eq!(press(&guessed, &checkout.url, "refund").await, 404);
    let refund = format!("{}act/{session}", checkout.dashboard);
    assert_eq!(press(&refund, "https://evil.example", "refund").await, 403);
    assert_eq!(ann.purchase().await["state"], "paid");
    assert_eq!(press(&refund, &checkout.url, "refund").await, 303);
    ann.buys_until("refunded").await;
    let other = Checkout::start("http://127.0.0.1:9/", Clock::default()).await.unwrap();
    let path = |checkout: &Checkout| checkout.dashboard.replace(&checkout.url, "");
    assert_ne!(path(&other), path(checkout));
    other.stop().await;
}

#[tokio::test]
async fn money_that_comes_later_grants_tokens_later() {
    let api = shop().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    for (person, action, state, tokens) in
        [(&ann, "arrive", "paid", TOKENS), (&ben, "fail", "failed", 0)]
    {
        let order = person.orders("small").await;
        api.presses(order["url"].as_str().unwrap(), "later").await;
        person.buys_until("pending").await;
        assert_eq!(person.balance().await, GRANT);
        api.acts(&order, action).await;
        person.buys_until(state).await;
        assert_eq!(person.balance().await, GRANT + tokens);
        api.audits(person).await;
    }
}

#[tokio::test]
async fn refunds_take_the_tokens_of_their_share() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let order = ann.orders("small").await;
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    ann.buys_until("paid").await;
    api.acts(&order, "half").await;
    let refunded = ann.buys_until("refunded").await;
    // 150 of 299 cents remain: 501 tokens, rounded down.
    assert_eq!([&refunded["refunded"], &refunded["tokens_granted"]], [&json!(149), &json!(501)]);
    assert_eq!(ann.balance().await, GRANT + 501);
    let csv = ann.statement_as("text/csv", "").await.is(200);
    let ends = [r#""money","currency""#, r#""-1.49","EUR""#, r#""2.99","EUR""#, r#""","""#];
    let lines: Vec<&str> = csv.as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), ends.len(), "{csv}");
    for (line, end) in lines.into_iter().zip(ends) {
        assert!(line.ends_with(end), "{line}");
    }
    api.acts(&order, "dispute").await;
    api.acts(&order, "lost").await;
    ann.buys_until("lost").await;
    assert_eq!(ann.balance().await, GRANT);
    api.audits(&ann).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_have_one_result_in_any_order() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let mut expected = GRANT;
    for turn in 0..12 {
        let order = ann.orders("small").await;
        let charge = json!({
            "object": "charge", "id": "ch_1", "metadata": { "order": order["id"] },
            "payment_intent": format!("pi_{}", order["id"].as_str().unwrap()),
            "receipt_url": "https://pay.stripe.com/receipts/1",
        });
        let unpaid = json!({ "payment_status": "unpaid" });
        let events = [
            ("checkout.session.completed", session(&order, &unpaid)),
            ("checkout.session.async_payment_succeeded", session(&order, &json!({}))),
            ("charge.succeeded", charge),
            ("refund.created", refund(&order, "re_1", 99, "pending")),
            ("refund.failed", refund(&order, "re_1", 99, "failed")),
            ("refund.created", refund(&order, "re_2", 29, "succeeded")),
            ("charge.dispute.created", dispute(&order, "needs_response")),
            ("charge.dispute.closed", dispute(&order, "won")),
        ];
        // Send five copies of each event at the same time. Each round begins with a different
        // event.
        let mut all: Vec<_> = events.iter().cycle().skip(turn).take(5 * events.len()).collect();
        if turn % 2 == 1 {
            all.reverse();
        }
        let answers =
            join_all(all.iter().map(|(kind, object)| api.hears(kind, object.clone()))).await;
        for answer in answers {
            // Stripe resends events until they are confirmed.
            if answer.status != 503 {
                answer.is(200);
            }
        }
        for (kind, object) in &events {
            api.hears(kind, object.clone()).await.is(200);
        }
        // 270 of 299 cents remain.
        expected += 903;
        let purchase = ann.purchase().await;
        assert_eq!(
            [&purchase["state"], &purchase["tokens_granted"], &purchase["refunded"]],
            [&json!("refunded"), &json!(903), &json!(29)]
        );
        assert_eq!(purchase["receipt_url"], "https://pay.stripe.com/receipts/1");
        assert_eq!(ann.balance().await, expected);
        api.audits(&ann).await;
    }
}

#[tokio::test]
async fn forged_events_are_refused_before_anything_is_read() {
    let (api, _) = Api::without_a_store_and(&SIMULATED).await;
    let now = api.now();
    let secret = api.server().checkout.as_ref().unwrap().secret.clone();
    let order = json!({ "id": "01a21599-d153-7264-af99-44d0c4f5f166" });
    let body = json!({ "type": "checkout.session.completed", "created": now, "data": { "object": session(&order, &json!({})) } });
    let text = body.to_string();
    for (header, body) in [
        (String::new(), text.clone()),
        (signature("whsec_0123456789abcdef0123456789abcdef", &text, now), text.clone()),
        (signature(&secret, &text, now - 301), text.clone()),
        (signature(&secret, &text, now + 301), text.clone()),
        // The same event, formatted differently.
        (signature(&secret, &text, now), format!("{body:#}")),
        (signature(&secret, &text, now).replace("v1=", "v0="), text.clone()),
    ] {
        api.sends(&header, &body).await.expect(400, "invalid_signature");
    }
    // To process an event with a valid signature, the function needs the store, which isn't
    // available here.
    api.sends(&signature(&secret, &text, now), &text).await.expect(503, "unavailable");
}

#[tokio::test]
async fn events_about_other_payments_change_nothing() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let unknown = json!({ "id": "01a21599-d153-7264-af99-44d0c4f5f166" });
    let completed = "checkout.session.completed";
    api.hears(completed, session(&unknown, &json!({}))).await.expect(503, "unknown_order");
    let foreign = json!({ "client_reference_id": null, "metadata": {} });
    api.hears(completed, session(&unknown, &foreign)).await.is(200);
    api.hears("invoice.paid", json!({ "object": "invoice" })).await.is(200);
    // A refund of another product's payment, which no order ever claims.
    api.hears("refund.created", refund(&unknown, "re_9", 5, "succeeded")).await.is(200);
    assert_eq!(ann.balance().await, GRANT);
    api.hears(completed, json!({ "object": "checkout.session" }))
        .await
        .expect(500, "internal_error");
}

#[tokio::test]
async fn payments_that_cannot_grant_tokens_are_stranded() {
    let api = shop().await;
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let (wrong, gone) = (ann.orders("small").await, ben.orders("small").await);
    let completed = "checkout.session.completed";
    api.hears(completed, session(&wrong, &json!({ "amount_total": 2 }))).await.is(200);
    ben.deletes_the_account().await.is(202);
    api.hears(completed, session(&gone, &json!({}))).await.is(200);
    let listed = root.get(&format!("{ORDERS}?attention=true")).await.is(200);
    let stranded: HashMap<&str, &str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|order| (order["id"].as_str().unwrap(), order["stranded"].as_str().unwrap()))
        .collect();
    let id = |order: &Value| order["id"].as_str().unwrap().to_owned();
    assert_eq!(stranded[id(&wrong).as_str()], "wrong_amount");
    assert_eq!(stranded[id(&gone).as_str()], "account_deleted");
    assert_eq!(ann.balance().await, GRANT);
    // The operator returns the money. Returning only a part of it isn't enough.
    api.hears("refund.created", refund(&gone, "re_1", PRICE, "succeeded")).await.is(200);
    for (id, left) in [("re_2", 1), ("re_3", 0)] {
        api.hears("refund.created", refund(&wrong, id, 1, "succeeded")).await.is(200);
        let listed = root.get(&format!("{ORDERS}?attention=true")).await.is(200);
        assert_eq!(listed.as_array().unwrap().len(), left);
    }
    // Without a payment, there are no tokens to grant and no money to return.
    let free = ann.orders("small").await;
    let nothing = json!({ "payment_status": "no_payment_required", "amount_total": 0 });
    api.hears(completed, session(&free, &nothing)).await.is(200);
    assert_eq!(root.get(&format!("{ORDERS}?attention=true")).await.is(200), json!([]));
    let newest = root.get(ORDERS).await.is(200)[0].clone();
    assert_eq!([&newest["id"], &newest["state"]], [&free["id"], &json!("wrong_amount")]);
    assert_eq!(ann.balance().await, GRANT);
    api.audits(&ann).await;
}

#[tokio::test]
async fn signed_events_of_unknown_shapes_are_confirmed() {
    let (api, _) = Api::without_a_store_and(&SIMULATED).await;
    let (now, secret) = (api.now(), api.server().checkout.as_ref().unwrap().secret.clone());
    let thin = json!({
        "id": "evt_1", "object": "v2.core.event", "type": "v1.checkout.session.completed",
        "livemode": false, "created": "2026-11-26T19:00:00.000Z",
        "related_object": { "id": "cs_1", "type": "checkout.session", "url": "/v1/checkout/sessions/cs_1" },
    });
    for body in [thin.to_string(), "{}".into()] {
        api.sends(&signature("whsec_0123456789abcdef0123456789abcdef", &body, now), &body)
            .await
            .expect(400, "invalid_signature");
        let confirmed = api.sends(&signature(&secret, &body, now), &body).await.is(200);
        assert_eq!(confirmed, json!({ "received": true }), "{body}");
    }
    let incomplete = json!({ "type": "checkout.session.completed", "created": now }).to_string();
    let answer = api.sends(&signature(&secret, &incomplete, now), &incomplete).await;
    answer.expect(500, "internal_error");
}

#[tokio::test]
async fn refunded_tokens_that_were_spent_are_owed() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let order = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    api.adjust(&ann, 300 - i64::try_from(GRANT + TOKENS).unwrap(), "spent").await;
    api.hears("refund.created", refund(&order, "re_1", PRICE, "succeeded")).await.is(200);
    assert_eq!(ann.balance().await, 0);
    assert_eq!(ann.get(PATH).await.is(200)["tokens_owed"], 700);
    let listed = root.get(&format!("{ORDERS}?attention=true")).await.is(200);
    assert_eq!([&listed[0]["tokens_owed"], &listed[0]["stranded"]], [&json!(700), &Value::Null]);
    api.audits(&ann).await;

    // The owed credits are deducted from the next grants.
    let grant = json!({ "amount": 500, "reason": "gift" });
    root.post(&format!("/api/admin/users/{}/adjustments/", ann.id), grant).await.is(201);
    assert_eq!(ann.balance().await, 0);
    assert_eq!(ann.get(PATH).await.is(200)["tokens_owed"], 200);
    api.audits(&ann).await;
    let another = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&another, &json!({}))).await.is(200);
    assert_eq!(ann.balance().await, TOKENS - 200);
    assert_eq!(ann.get(PATH).await.is(200)["tokens_owed"], 0);
    assert_eq!(api.store().collect(&api.server().clock).await.unwrap(), 0);
    api.audits(&ann).await;
}

#[tokio::test]
async fn orders_are_limited_and_need_a_pack() {
    let api = Api::at_an_hour(&SIMULATED).await;
    let ann = api.person("ann").await;
    ann.post(PATH, json!({ "pack": "huge" })).await.expect(404, "no_such_pack");
    ann.post(PATH, json!({})).await.expect(400, "invalid_fields");
    for _ in 0..20 {
        ann.orders("small").await;
    }
    ann.post(PATH, json!({ "pack": "small" })).await.expect(429, "too_many_orders");
    api.server().clock.advance(DAY);
    ann.using(ann.log_in().await.is(200)["access"].as_str().unwrap()).orders("small").await;

    let closed = Api::own(&[]).await;
    let ben = closed.person("ben").await;
    ben.post(PATH, json!({ "pack": "small" })).await.expect(404, "nothing_sold");
    assert_eq!(ben.get(PATH).await.is(200)["packs"], json!([]));
    closed.sends("t=1,v1=00", "{}").await.expect(404, "nothing_sold");
}

#[tokio::test]
async fn orders_keep_the_price_of_their_time() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let order = ann.orders("small").await;
    let current = root.get(PACKS).await.is(200);
    let packs =
        json!([{ "id": "small", "name": "Fewer", "tokens": 10, "price": 999, "currency": "USD" }]);
    let wrong =
        json!([{ "id": "small", "name": "Fewer", "tokens": 10, "price": 0, "currency": "USD" }]);
    let answer = root.put(PACKS, json!({ "packs": wrong, "version": current["version"] })).await;
    assert!(answer.expect(400, "invalid_fields")["errors"]["packs[0].price"].is_array());
    let change = json!({ "packs": packs, "version": current["version"] });
    let set = root.put(PACKS, change.clone()).await.is(200);
    assert_eq!(set["packs"], packs);
    // Administrators can't buy tokens for themselves.
    root.post(PATH, json!({ "pack": "small" })).await.expect(409, "own_balance");
    root.put(PACKS, change).await.expect(409, "packs_changed");
    assert_eq!(ann.get(PATH).await.is(200)["packs"], packs);
    api.presses(order["url"].as_str().unwrap(), "pay").await;
    assert_eq!(ann.buys_until("paid").await["tokens_granted"], TOKENS);
    let act = &root.get("/api/admin/trail/").await.is(200)[0];
    assert_eq!([&act["act"], &act["reason"]], [&json!("packs"), &set["version"]]);
    let none = root.put(PACKS, json!({ "packs": null, "version": set["version"] })).await.is(200);
    assert_eq!(none["packs"], Value::Null);
    ann.post(PATH, json!({ "pack": "small" })).await.expect(404, "nothing_sold");
}

#[tokio::test]
async fn tokens_taken_by_hand_and_by_a_refund_can_be_given_back() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let order = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    let adjust = async |amount: i64, reason: &str| {
        let adjustment = json!({ "amount": amount, "reason": reason });
        root.post(&format!("/api/admin/users/{}/adjustments/", ann.id), adjustment).await.is(201)
    };
    let tokens = i64::try_from(TOKENS).unwrap();
    adjust(-tokens, "will be refunded").await;
    adjust(400 - i64::try_from(GRANT).unwrap(), "spent").await;
    api.hears("refund.created", refund(&order, "re_1", PRICE, "succeeded")).await.is(200);
    assert_eq!(
        (ann.balance().await, &ann.get(PATH).await.is(200)["tokens_owed"]),
        (0, &json!(600))
    );
    // docs/operate/sell.md recommends this adjustment.
    adjust(tokens, "was taken twice").await;
    assert_eq!(
        (ann.balance().await, &ann.get(PATH).await.is(200)["tokens_owed"]),
        (400, &json!(0))
    );
    api.audits(&ann).await;
}

#[tokio::test]
async fn missed_events_are_found_in_the_lists_of_stripe() {
    // The events from this simulated Stripe don't arrive.
    let nowhere = "http://127.0.0.1:9/api/stripe/webhook";
    let checkout = Checkout::start(nowhere, Clock::default()).await.unwrap();
    let settings = [
        ("STRIPE_URL", checkout.url.as_str()),
        ("STRIPE_MODE", "test"),
        ("STRIPE_API_KEY", &checkout.key),
        ("STRIPE_WEBHOOK_SECRET", &checkout.secret),
    ];
    let api = Api::own(&settings).await;
    let lookup = |name: &str| {
        settings.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
    };
    let config = StripeConfig::read(&Settings::new(lookup)).unwrap();
    let stripe = Stripe::connect(&config, Clock::default()).await.unwrap().unwrap();
    let (root, ann, ben) =
        (api.administrator("root").await, api.person("ann").await, api.person("ben").await);
    let pack =
        json!({ "id": "small", "name": "A", "tokens": TOKENS, "price": PRICE, "currency": "EUR" });
    root.put(PACKS, json!({ "packs": [pack], "version": null })).await.is(200);
    let app = &api.server().apps["admin_purchases"];
    let compare = async || {
        let mut lines = Vec::new();
        let each = |found: Difference| lines.push(format!("{}: {}", found.order, found.line));
        payments::compare_and_repair(app, &stripe, 30, Repair::Restore, each).await.unwrap();
        lines
    };

    let (lost, refunded) = (ann.orders("small").await, ben.orders("small").await);
    let expired = ann.orders("small").await;
    assert_eq!(compare().await, [""; 0]);
    for order in [&lost, &refunded] {
        api.presses(order["url"].as_str().unwrap(), "pay").await;
    }
    for (order, action) in [(&refunded, "half"), (&expired, "expire")] {
        let session = order["url"].as_str().unwrap().rsplit('/').next().unwrap();
        api.presses(&format!("{}act/{session}", checkout.dashboard), action).await;
    }
    // The first order was lost when the tables were restored. The second order was never paid, and
    // has been deleted.
    for order in [&lost, &expired] {
        let key = AttributeValue::S(format!("order:{}", text_of(order, "id")));
        let delete = dynamo::client(&api.dynamodb).delete_item().table_name("TokensTable");
        delete.key("pk", key).send().await.unwrap();
    }

    let id = text_of(&lost, "id");
    let lines = compare().await;
    let restored = format!("{id}: restored from Stripe; paid now, 1000 tokens given");
    assert!(lines.contains(&restored) && lines.len() == 3, "{lines:?}");
    assert_eq!(compare().await, [""; 0]);
    assert_eq!([ann.balance().await, ben.balance().await], [GRANT + TOKENS, GRANT + 501]);
    for person in [&ann, &ben] {
        api.audits(person).await;
    }
    // A payment that Stripe doesn't list.
    let app = &api.server().apps["admin_purchases"];
    let account = api.account(&ann).await;
    let packs = api.store().packs().await.unwrap().unwrap();
    let order = Order::new(&account, &packs.list.packs[0], &app.clock);
    app.store.create_order(&account, &order).await.unwrap();
    let paid = PaymentFacts { progress: Progress::Paid, ..PaymentFacts::default() };
    app.store.merge_facts(order.clone(), &paid, &app.clock).await.unwrap();
    let unlisted = format!("{}: paid here, but Stripe doesn't list the payment", order.id());
    assert_eq!(compare().await, [unlisted]);
    checkout.stop().await;
}

#[tokio::test]
async fn collections_cut_by_a_restore_are_made_again() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let early = api.account(&ann).await;
    let order = ann.orders("small").await;
    let id = order["id"].as_str().unwrap();
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    api.adjust(&ann, -i64::try_from(GRANT + TOKENS).unwrap(), "spent").await;
    api.hears("refund.created", refund(&order, "re_1", PRICE, "succeeded")).await.is(200);
    // This copy of the account doesn't record the owed credits, so the grant doesn't collect them.
    // The restore has cut the transaction that collected them, so only its source remains.
    let (store, clock) = (api.store(), &api.server().clock);
    let change = BalanceChange::new(500).unwrap();
    let reason = Reason::parse("gift").unwrap();
    let grant = Adjustment::new(&early, change, reason, "manage", clock);
    store.adjust(&grant, api.now()).await.unwrap();
    let version = store.order(id).await.unwrap().unwrap().version;
    let source = json!({
        "pk": format!("source:stripe:{id}:{}", version + 1), "account": ann.id,
        "row": clock.id().to_string(), "amount": -500,
    });
    put(&api.dynamodb, "TokensTable", &[source]).await;
    let second = api.now();
    store.reconcile(second, clock).await.unwrap().unwrap();
    assert_eq!(ann.balance().await, 0);
    assert_eq!(store.order(id).await.unwrap().unwrap().owed.get(), TOKENS - 500);
    api.audits(&ann).await;
    assert_eq!(store.reconcile(second, clock).await.unwrap().unwrap().repairs, [""; 0]);
}

/// The ids and states of listed purchases.
fn states(listed: &Value) -> HashMap<&str, &str> {
    let pair = |order| (text_of(order, "id"), text_of(order, "state"));
    listed.as_array().unwrap().iter().map(pair).collect()
}

fn text_of<'a>(order: &'a Value, field: &str) -> &'a str {
    order[field].as_str().unwrap()
}

#[tokio::test]
async fn unpaid_orders_are_deleted_after_a_week_and_others_stay() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let clock = &api.server().clock;
    let expire = async || api.store().expire_orders(clock).await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(ann.orders("small").await);
    }
    let [open, expired, pending, failed, paid, late] = orders.try_into().unwrap();
    let unpaid = json!({ "payment_status": "unpaid", "payment_intent": null });
    let ended = json!({ "payment_status": "unpaid", "payment_intent": null, "status": "expired" });
    for (kind, order, changes) in [
        ("checkout.session.expired", &expired, &ended),
        ("checkout.session.completed", &pending, &unpaid),
        ("checkout.session.async_payment_failed", &failed, &unpaid),
        ("checkout.session.completed", &paid, &json!({})),
    ] {
        api.hears(kind, session(order, changes)).await.is(200);
    }
    clock.advance(6 * DAY);
    assert_eq!(expire().await, 0);
    clock.advance(DAY + Duration::from_secs(1));
    api.hears("checkout.session.completed", session(&late, &json!({}))).await.is(200);
    assert_eq!(expire().await, 2);
    assert_eq!(expire().await, 0);

    let ann = ann.using(ann.log_in().await.is(200)["access"].as_str().unwrap());
    let listed = ann.get(PATH).await.is(200);
    let left: HashMap<&str, &str> = [
        (text_of(&pending, "id"), "pending"),
        (text_of(&failed, "id"), "failed"),
        (text_of(&paid, "id"), "paid"),
        (text_of(&late, "id"), "paid"),
    ]
    .into();
    assert_eq!(states(&listed["purchases"]), left);
    assert_eq!(ann.balance().await, GRANT + 2 * TOKENS);
    // Events about deleted orders: an event without consequences, and a payment. The payment's
    // order is restored later.
    api.hears("checkout.session.expired", session(&expired, &ended)).await.is(200);
    let answer = api.hears("checkout.session.completed", session(&open, &json!({}))).await;
    answer.expect(503, "unknown_order");
    api.audits(&ann).await;
}

#[tokio::test]
async fn unpaid_orders_are_also_deleted_after_a_pause() {
    let start = Day::parse("2027-03-01").unwrap();
    let api = Api::with_clock(Clock::standing(start.begins()), &SIMULATED).await;
    let ann = api.person("ann").await;
    let (open, paid) = (ann.orders("small").await, ann.orders("small").await);
    api.hears("checkout.session.completed", session(&paid, &json!({}))).await.is(200);
    let (store, clock) = (api.store(), &api.server().clock);
    // After two months without daily runs, seven periods contain older orders.
    clock.advance(60 * DAY);
    let mut deleted = 0;
    for _ in 0..8 {
        deleted += store.expire_orders(clock).await.unwrap();
        clock.advance(DAY);
    }
    assert_eq!(deleted, 1);
    assert_eq!(store.order(text_of(&open, "id")).await.unwrap(), None);
    assert!(store.order(text_of(&paid, "id")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_paid_while_they_are_deleted_lose_nothing() {
    let api = shop().await;
    let ann = api.person("ann").await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(ann.orders("small").await);
    }
    let (store, clock) = (api.store(), &api.server().clock);
    clock.advance(8 * DAY);
    let pay = |order: &Value| api.hears("checkout.session.completed", session(order, &json!({})));
    let (deleted, answers) =
        tokio::join!(store.expire_orders(clock), join_all(orders.iter().map(pay)));
    let (mut paid, mut gone) = (0, 0);
    for (order, first) in orders.iter().zip(answers) {
        // Stripe resends events until they are confirmed.
        let answer = if first.status == 200 { first } else { pay(order).await };
        match (answer.status.as_u16(), store.order(text_of(order, "id")).await.unwrap()) {
            (200, Some(order)) if order.granted.get() == TOKENS => paid += 1,
            (503, None) => gone += 1,
            (status, order) => panic!("{status}: {order:?}"),
        }
    }
    assert_eq!((deleted.unwrap(), paid), (gone, 20 - gone));
    let ann = ann.using(ann.log_in().await.is(200)["access"].as_str().unwrap());
    assert_eq!(ann.balance().await, GRANT + TOKENS * u64::try_from(paid).unwrap());
    api.audits(&ann).await;
}

#[tokio::test]
async fn purchases_are_filtered_by_state_across_pages() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let paid = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&paid, &json!({}))).await.is(200);
    let account = api.account(&ann).await;
    let pack = api.store().packs().await.unwrap().unwrap().list.packs[0].clone();
    for _ in 0..240 {
        let order = Order::new(&account, &pack, &api.server().clock);
        api.store().create_order(&account, &order).await.unwrap();
    }
    let refunded = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&refunded, &json!({}))).await.is(200);
    api.hears("refund.created", refund(&refunded, "re_1", PRICE, "succeeded")).await.is(200);

    let pages = async |query: &str| {
        let (mut pages, mut next) = (Vec::new(), Some(query.to_owned()));
        while let Some(query) = next {
            let page = root.get(&format!("{ORDERS}{query}")).await;
            next = page.next_page();
            pages.push(page.is(200).as_array().unwrap().len());
        }
        pages
    };
    assert_eq!(pages("?limit=100").await, [100, 100, 42]);
    assert_eq!(pages("?limit=100&state=open").await, [100, 100, 40]);
    assert_eq!(pages("?state=paid").await, [1]);
    assert_eq!(pages("?state=refunded,paid").await, [2]);
    assert_eq!(pages("?state=paid,refunded&limit=1").await, [1, 1]);
    assert_eq!(pages("?state=failed").await, [0]);
    assert_eq!(pages("?state=&limit=100").await, [100, 100, 42]);
    assert_eq!(pages("?attention=true&state=refunded").await, [0]);
    let first = root.get(&format!("{ORDERS}?state=open")).await.next_page().unwrap();
    let other = first.replace("state=open", "state=paid");
    root.get(&format!("{ORDERS}{other}")).await.expect(400, "invalid_cursor");
    for wrong in ["unpaid", "paid,", "Paid", "paid refunded"] {
        let answer = root.get(&format!("{ORDERS}?state={wrong}")).await;
        let refused = answer.expect(400, "invalid_fields");
        assert!(refused["errors"]["state"].is_array(), "{wrong}: {refused}");
    }
    ann.get(&format!("{ORDERS}?state=paid")).await.expect(403, "forbidden");
}

#[tokio::test]
async fn purchases_are_filtered_by_buyer_and_day() {
    let start = Day::parse("2027-03-01").unwrap();
    let api = Api::with_clock(Clock::standing(start.begins()), &SIMULATED).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let (mut ids, clock) = (Vec::new(), &api.server().clock);
    let packs = api.store().packs().await.unwrap().unwrap();
    for person in [&ann, &ben, &ann] {
        let order = Order::new(&api.account(person).await, &packs.list.packs[0], clock);
        api.store().create_order(&api.account(person).await, &order).await.unwrap();
        let paid = session(&json!({ "id": order.id() }), &json!({}));
        api.hears("checkout.session.completed", paid).await.is(200);
        ids.push(order.id().to_owned());
        clock.advance(DAY);
    }
    let root = api.administrator("root").await;
    let listed = async |query: &str| {
        let page = root.get(&format!("{ORDERS}?{query}")).await.is(200);
        let place = |order: &Value| ids.iter().position(|id| order["id"] == **id).unwrap();
        page.as_array().unwrap().iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [2, 1, 0]);
    assert_eq!(listed(&format!("user_id={}", ann.id)).await, [2, 0]);
    assert_eq!(listed("from=2027-03-02").await, [2, 1]);
    assert_eq!(listed("to=2027-03-02").await, [1, 0]);
    assert_eq!(listed("from=2027-03-02&to=2027-03-02").await, [1]);
    assert_eq!(listed(&format!("user_id={}&from=2027-03-02&state=paid", ann.id)).await, [2]);
    assert_eq!(listed(&format!("user_id={}&state=open", ann.id)).await, [0; 0]);
    assert_eq!(listed(&format!("user_id={}&attention=true", ann.id)).await, [0; 0]);
    assert_eq!(listed("from=2027-04-01").await, [0; 0]);

    let first =
        root.get(&format!("{ORDERS}?limit=1&user_id={}", ann.id)).await.next_page().unwrap();
    let second = root.get(&format!("{ORDERS}{first}")).await;
    assert_eq!(second.next_page(), None);
    assert_eq!(second.is(200)[0]["id"], *ids[0]);
    let other = first.replace(&ann.id, &ben.id);
    root.get(&format!("{ORDERS}{other}")).await.expect(400, "invalid_cursor");
    for (wrong, field) in [
        ("user_id=ann", "user_id"),
        ("from=yesterday", "from"),
        ("from=2027-03-03&to=2027-03-01", "to"),
    ] {
        let refused = root.get(&format!("{ORDERS}?{wrong}")).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn purchases_are_csv_with_money_in_units_on_request() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let first = ann.orders("small").await;
    api.hears("checkout.session.completed", session(&first, &json!({}))).await.is(200);
    api.hears("refund.created", refund(&first, "re_1", 100, "succeeded")).await.is(200);
    ann.orders("small").await;
    let csv = async |query: &str| root.get_csv(&format!("{ORDERS}{query}")).await;
    let shown = root.get(&format!("{ORDERS}?state=refunded")).await.is(200)[0].clone();
    let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
    let whole = csv("?state=refunded").await;
    assert_eq!(whole.header("content-type"), "text/csv; charset=utf-8");
    let (columns, row) = (
        "id,created,paid,user_id,username,pack,name",
        [
            text("id"),
            text("created"),
            text("paid"),
            ann.id.clone(),
            ann.name.clone(),
            "small".to_owned(),
            text("name"),
            TOKENS.to_string(),
            shown["tokens_granted"].to_string(),
            "0".to_owned(),
            "refunded".to_owned(),
            "2.99".to_owned(),
            "1.00".to_owned(),
            "1.99".to_owned(),
            "EUR".to_owned(),
            String::new(),
            text("session"),
            text("payment"),
        ],
    );
    let counted = "tokens,tokens_granted,tokens_owed,state,price,refunded,kept,currency";
    let columns = format!("{columns},{counted},stranded,session,payment");
    let columns: Vec<_> = columns.split(',').collect();
    let row = csv_line(&row.each_ref().map(String::as_str));
    assert_eq!(whole.is(200), json!(csv_line(&columns) + &row));
    // Each page begins with the column names.
    let page = csv("?limit=1").await;
    let next = csv(&page.next_page().unwrap()).await.is(200);
    assert_eq!(next, json!(csv_line(&columns) + &row));
}

#[tokio::test]
async fn purchases_list_the_money_that_is_kept() {
    let api = shop().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let kept = async || root.get(ORDERS).await.is(200)[0]["kept"].clone();
    let order = ann.orders("small").await;
    assert_eq!(kept().await, 0);
    api.hears("checkout.session.completed", session(&order, &json!({}))).await.is(200);
    assert_eq!(kept().await, PRICE);
    api.hears("refund.created", refund(&order, "re_1", 100, "succeeded")).await.is(200);
    assert_eq!(kept().await, PRICE - 100);
}
