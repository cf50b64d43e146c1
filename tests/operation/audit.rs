//! The audit of accounts, ledgers and chats.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use serde_json::{Value, json};
use shared::Credits;
use shared::clock::Clock;
use shared::store::{AuditReport, Difference, Order};
use shared::values::{Entry, PaymentFacts, PriceList, Progress};

use crate::endpoints::chats::fares::{list, scripted, with_embeddings};
use crate::support::client::{Api, GRANT, PRICE, Person, a_pack};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Plan, Proxy};
use crate::support::world::{EMBEDDINGS, World, put, scan};

/// A user with a grant, two chats and an adjustment, and the ids of the chats.
async fn customer(api: &Api) -> (Person, [String; 2]) {
    let ann = api.person("ann").await;
    let mut chats = Vec::new();
    for _ in 0..2 {
        chats.push(ann.chat("hi").await.is(200)["id"].as_str().unwrap().to_owned());
    }
    api.adjust(&ann, 500, "for the outage").await;
    (ann, chats.try_into().unwrap())
}

impl Person {
    async fn audit(&self) -> AuditReport {
        self.api.store().audit(&self.name).await.unwrap()
    }

    async fn differs(&self) -> Vec<Difference> {
        self.audit().await.differences
    }

    fn key(&self, sort: &str, id: &str) -> HashMap<String, AttributeValue> {
        [("user_id", self.id.as_str()), (sort, id)]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.into())))
            .into()
    }

    /// Changes one attribute of a row or a chat directly in the store.
    async fn tampers(
        &self,
        table: &str,
        sort: &str,
        id: &str,
        attribute: &str,
        value: AttributeValue,
    ) {
        let update = dynamo::client(&self.api.dynamodb)
            .update_item()
            .table_name(table)
            .set_key(Some(self.key(sort, id)));
        let update = update
            .update_expression("SET #attribute = :value")
            .expression_attribute_names("#attribute", attribute);
        update.expression_attribute_values(":value", value).send().await.unwrap();
    }

    async fn loses(&self, table: &str, sort: &str, id: &str) {
        dynamo::client(&self.api.dynamodb)
            .delete_item()
            .table_name(table)
            .set_key(Some(self.key(sort, id)))
            .send()
            .await
            .unwrap();
    }

    /// Changes the priced chat or its row directly in the store.
    async fn edits(&self, table: &str, edit: impl Fn(&mut Value)) {
        let mut items = self.api.items(&self.id).await[table].clone();
        items.retain(|item| item["user_id"] == self.id.as_str() && !item["receipt"].is_null());
        items.iter_mut().for_each(edit);
        put(&self.api.dynamodb, table, &items).await;
    }

    /// Changes the priced chat and its row in the same way.
    async fn edits_both(&self, edit: impl Fn(&mut Value)) {
        self.edits("ChatsTable", &edit).await;
        self.edits("LedgerTable", &edit).await;
    }

    /// Deletes the ledger row of a payment, and returns it.
    async fn loses_the_payment(&self) -> Entry {
        let rows = World::read(&self.api.dynamodb).await.ledger(&self.id).to_vec();
        let row = rows.into_iter().find(|row| row.payment.is_some()).unwrap();
        self.loses("LedgerTable", "entry_id", &row.entry_id).await;
        row
    }

    async fn tokens(&self, attribute: &str, tokens: u64) {
        self.api.set(self, attribute, number(tokens)).await;
    }
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn granted(account: i128, ledger: i128) -> Difference {
    Difference::Granted { account, ledger }
}

fn spent(account: i128, ledger: i128) -> Difference {
    Difference::Spent { account, ledger }
}

fn sum(granted: i128, accounted: i128) -> Difference {
    Difference::Account { granted, accounted }
}

#[tokio::test]
async fn normal_use_passes_the_audit() {
    let api = Api::start().await;
    let (ann, [first, _]) = customer(&api).await;
    ann.chat("!fail").await.expect(502, "ai_failed");
    assert_eq!(ann.audit().await, AuditReport { rows: 4, differences: vec![] });
    // The audit accepts held credits both before and after their lease expires.
    ann.holds(&[("crashed", 1), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT + 500 - 4 * PRICE).await;
    assert_eq!(ann.differs().await, []);
    // The audit accepts a deleted chat. Its ledger row is kept.
    ann.loses("ChatsTable", "chat_id", &first).await;
    assert_eq!(ann.differs().await, []);
    // The audit accepts a deleted account.
    api.forget(&ann).await;
    assert_eq!(ann.audit().await, AuditReport::default());
}

#[tokio::test]
async fn embeddings_pass_the_audit_unless_their_row_is_changed() {
    let api = Api::own(&[]).await;
    api.prices(&with_embeddings(list("scripted"), "scripted")).await;
    let ann = api.person("ann").await;
    ann.pays_for_embeddings().await.is(200);
    ann.chat("hi").await.is(200);
    assert_eq!(ann.audit().await, AuditReport { rows: 3, differences: vec![] });
    let rows = World::read(&api.dynamodb).await.ledger(&ann.id).to_vec();
    let row = rows.into_iter().find(|row| row.reason == EMBEDDINGS).unwrap();
    let (id, price) = (row.entry_id, Credits::new(7).unwrap());
    ann.tampers("LedgerTable", "entry_id", &id, "amount", number(-8)).await;
    let wrong = Difference::Price { chat_id: id.clone(), price, ledger: 8 };
    assert_eq!(ann.differs().await, [wrong, spent(107, 108)]);
    ann.loses("LedgerTable", "entry_id", &id).await;
    assert_eq!(ann.differs().await, [spent(107, 100)]);
}

#[tokio::test]
async fn changed_accounts_are_found() {
    let api = Api::start().await;
    let (ann, _) = customer(&api).await;
    for (attribute, right, differences) in [
        ("tokens", 4300, vec![sum(4500, 4600)]),
        ("granted", 4500, vec![sum(4600, 4500), granted(4600, 4500)]),
        ("spent", 200, vec![sum(4500, 4600), spent(300, 200)]),
    ] {
        ann.tokens(attribute, right + 100).await;
        assert_eq!(ann.differs().await, differences, "{attribute}");
        ann.tokens(attribute, right).await;
        assert_eq!(ann.differs().await, []);
    }
    ann.holds(&[("nobody's", 1)]).await;
    assert_eq!(ann.differs().await, [sum(4500, 4600)]);
    api.set(&ann, "tokens", number(-1)).await;
    let differences = ann.differs().await;
    assert!(
        matches!(&differences[..], [Difference::Unreadable { what }] if what.starts_with("the account can't be read")),
        "{differences:?}"
    );
}

#[tokio::test]
async fn missing_rows_are_found() {
    let api = Api::start().await;
    let (ann, [first, _]) = customer(&api).await;
    ann.loses("LedgerTable", "entry_id", &first).await;
    assert_eq!(ann.differs().await, [Difference::Uncharged { chat_id: first }, spent(200, 100)]);
    let (ann, [_, last]) = customer(&api).await;
    ann.loses("LedgerTable", "entry_id", &last).await;
    assert_eq!(ann.differs().await, [Difference::Uncharged { chat_id: last }, spent(200, 100)]);
    let (ann, _) = customer(&api).await;
    ann.loses("LedgerTable", "entry_id", &ann.id).await;
    assert_eq!(ann.audit().await, AuditReport { rows: 3, differences: vec![granted(4500, 500)] });
}

#[tokio::test]
async fn extra_chats_are_found_wherever_they_sort() {
    let api = Api::start().await;
    let (ann, [first, last]) = customer(&api).await;
    let mut extra = Vec::new();
    for chat_id in [
        "00000000-0000-7000-8000-000000000000".to_owned(),
        format!("{}ffff", &first[..32]),
        format!("f{}", &last[1..]),
    ] {
        ann.tampers("ChatsTable", "chat_id", &chat_id, "cost", number(PRICE)).await;
        extra.push(Difference::Uncharged { chat_id });
    }
    // The audit doesn't mistake a conversation's item for a chat.
    ann.tampers("ChatsTable", "chat_id", "c#1", "title", AttributeValue::S("x".into())).await;
    let mut differences = ann.differs().await;
    differences.sort_by_key(ToString::to_string);
    extra.sort_by_key(ToString::to_string);
    assert_eq!(differences, extra);
}

#[tokio::test]
async fn changed_amounts_are_found() {
    // Use a separate store, because figures can't be computed from the rows that this test leaves
    // behind.
    let api = Api::own(&[]).await;
    let (ann, [first, _]) = customer(&api).await;
    let (chat_id, price) = (first.clone(), Credits::new(PRICE).unwrap());
    ann.tampers("LedgerTable", "entry_id", &first, "amount", number(-50)).await;
    assert_eq!(
        ann.differs().await,
        [Difference::Cost { chat_id, chat: price, ledger: 50 }, spent(200, 150)]
    );
    ann.tampers("LedgerTable", "entry_id", &first, "amount", number(-100)).await;
    ann.tampers("ChatsTable", "chat_id", &first, "cost", number(99)).await;
    assert_eq!(
        ann.differs().await,
        [Difference::Cost { chat_id: first, chat: Credits::new(99).unwrap(), ledger: 100 }]
    );

    let (ann, [first, _]) = customer(&api).await;
    ann.tampers("LedgerTable", "entry_id", &ann.id, "amount", number(i64::MAX)).await;
    assert_eq!(ann.differs().await, [granted(4500, i128::from(i64::MAX) + 500)]);
    ann.tampers("LedgerTable", "entry_id", &ann.id, "amount", number(4000)).await;
    ann.tampers("LedgerTable", "entry_id", &first, "chat_id", AttributeValue::S("another".into()))
        .await;
    assert_eq!(ann.differs().await, [Difference::Unnamed { entry_id: first.clone() }]);
    ann.tampers("LedgerTable", "entry_id", &first, "kind", number(1)).await;
    let differences = ann.differs().await;
    assert!(
        differences[0]
            .to_string()
            .starts_with(&format!("the ledger's row {first} can't be read: ")),
        "{differences:?}"
    );
    assert_eq!(differences[1..], [spent(200, 100)]);
}

/// A user with a chat that was charged by usage, the chat's id, and its charge.
async fn priced_customer(api: &Api) -> (Person, String, Credits) {
    let ann = api.person("ann").await;
    let chat = ann.asks_model("deep", "hi").await.is(200);
    assert_eq!(ann.audit().await, AuditReport { rows: 2, differences: vec![] });
    let charge = chat["tokens_deducted"].as_u64().unwrap();
    (ann, chat["id"].as_str().unwrap().to_owned(), Credits::new(charge).unwrap())
}

#[tokio::test]
async fn charges_that_are_not_the_fares_are_found() {
    let api = scripted(&[]).await;
    let (ann, chat_id, price) = priced_customer(&api).await;
    // The account, the chat and the row agree on a charge that the receipt doesn't explain.
    let wrong = price.get() + 1;
    ann.edits("ChatsTable", |chat| chat["cost"] = json!(wrong)).await;
    ann.edits("LedgerTable", |row| row["amount"] = json!(-i64::try_from(wrong).unwrap())).await;
    ann.tokens("spent", wrong).await;
    ann.tokens("tokens", GRANT - wrong).await;
    let ledger = i128::from(wrong);
    let conversation = Difference::Conversation {
        conversation: chat_id.clone(),
        charged: price.get().into(),
        chats: wrong.into(),
    };
    assert_eq!(ann.differs().await, [Difference::Price { chat_id, price, ledger }, conversation]);

    let (ann, chat_id, price) = priced_customer(&api).await;
    let ledger = i128::from(price.get());
    for (edit, differs) in [
        ("held", Difference::Price { chat_id: chat_id.clone(), price: Credits::ZERO, ledger }),
        ("usage", Difference::Price { chat_id, price: Credits::new(50).unwrap(), ledger }),
    ] {
        ann.edits_both(|item| match edit {
            // A charge is never above its hold.
            "held" => item["receipt"]["held"] = json!(0),
            _ => {
                item["receipt"]["held"] = json!(GRANT);
                item["usage"]["prompt_tokens"] = json!(1000);
                item["usage"]["completion_tokens"] = json!(0);
            }
        })
        .await;
        assert_eq!(ann.differs().await, [differs], "{edit}");
    }
}

#[tokio::test]
async fn fares_that_are_not_the_lists_are_found() {
    let api = scripted(&[]).await;
    let (ann, chat_id, _) = priced_customer(&api).await;
    let known = PriceList::read(&list("scripted")).unwrap().version();
    let deep = json!({ "input": 50_000, "cached": 5000, "output": 400_000 });
    let other = json!({ "input": 50_000, "cached": 5001, "output": 400_000 });
    for (version, model, fare) in [
        (known.as_str(), "deep", &other),
        (&known, "quick", &deep),
        (&known, "unknown", &deep),
        ("0000000000000000", "deep", &deep),
    ] {
        ann.edits_both(|item| {
            item["receipt"]["list"] = json!(version);
            item["receipt"]["model"] = json!(model);
            item["receipt"]["fare"] = fare.clone();
        })
        .await;
        let (chat_id, list, model) = (chat_id.clone(), version.to_owned(), model.to_owned());
        assert_eq!(ann.differs().await, [Difference::Fare { chat_id, list, model }]);
    }
}

#[tokio::test]
async fn earlier_lists_explain_earlier_fares() {
    let api = scripted(&[]).await;
    let (ann, ..) = priced_customer(&api).await;
    for changed in [json!({ "models": [list("scripted")["models"][0]] }), Value::Null] {
        api.prices(&changed).await;
        assert_eq!(ann.differs().await, []);
    }
}

#[tokio::test]
async fn chats_priced_unlike_their_rows_are_found() {
    let api = scripted(&[]).await;
    let edits: [fn(&mut Value); 3] = [
        |chat| chat["receipt"]["held"] = json!(GRANT),
        |chat| chat["usage"]["estimated"] = json!(false),
        |chat| drop(chat.as_object_mut().unwrap().remove("receipt")),
    ];
    for edit in edits {
        let (ann, chat_id, _) = priced_customer(&api).await;
        ann.edits("ChatsTable", edit).await;
        assert_eq!(ann.differs().await, [Difference::Receipt { chat_id }]);
    }
}

/// A user whose message was refunded, and the refund's row and source.
async fn refunded_customer(api: &Api) -> (Person, String, String) {
    let (ann, [chat, _]) = customer(api).await;
    let root = api.administrator("root").await;
    let path = format!("/api/admin/users/{}/adjustments", ann.id);
    let row = root.post(&path, json!({ "chat_id": chat, "reason": "a bad answer" })).await.is(201);
    assert_eq!(ann.audit().await, AuditReport { rows: 5, differences: vec![] });
    (ann.clone(), row["id"].as_str().unwrap().to_owned(), format!("refund:{}:{chat}", ann.id))
}

/// Returns all sources in the store that have no row.
async fn rowless(api: &Api) -> Vec<Difference> {
    let (differences, next) = api.store().audit_sources(None).await.unwrap();
    assert_eq!(next, None);
    differences
}

#[tokio::test]
async fn sources_and_rows_without_each_other_are_found() {
    let api = Api::own(&[]).await;
    let (ann, entry_id, source) = refunded_customer(&api).await;
    let key = format!("source:{source}");
    let tokens = api.items(&ann.id).await["TokensTable"].clone();
    let stored = tokens.into_iter().find(|item| item["pk"] == key.as_str()).unwrap();
    assert_eq!(stored["account"], ann.id.as_str());
    let found = [Difference::Source { entry_id: entry_id.clone(), source: source.clone() }];
    let unexplained = [Difference::Rowless { source: source.clone() }];
    assert_eq!(rowless(&api).await, []);
    for (field, value) in [("amount", json!(99)), ("row", json!("x")), ("account", json!("x"))] {
        let mut other = stored.clone();
        other[field] = value;
        put(&api.dynamodb, "TokensTable", &[other]).await;
        assert_eq!(ann.differs().await, found, "{field}");
        assert_eq!(rowless(&api).await, unexplained, "{field}");
    }
    put(&api.dynamodb, "TokensTable", &[stored]).await;
    assert_eq!((ann.differs().await, rowless(&api).await), (vec![], vec![]));
    ann.loses("LedgerTable", "entry_id", &entry_id).await;
    assert_eq!(rowless(&api).await, unexplained);
    assert_eq!(ann.differs().await, [granted(4600, 4500)]);
}

#[tokio::test]
async fn one_row_does_not_explain_two_sources() {
    let api = Api::own(&[]).await;
    let (ann, _, source) = refunded_customer(&api).await;
    let tokens = api.items(&ann.id).await["TokensTable"].clone();
    let key = format!("source:{source}");
    let mut other = tokens.into_iter().find(|item| item["pk"] == key.as_str()).unwrap();
    other["pk"] = json!(format!("{key}x"));
    put(&api.dynamodb, "TokensTable", &[other]).await;
    assert_eq!(rowless(&api).await, [Difference::Rowless { source: format!("{source}x") }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sources_are_compared_at_the_same_time() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let id = |index: u64| format!("01a1f7d1-6dd1-703a-9600-{index:012x}");
    let source = |index: u64| format!("voucher:x{index}:{}", ann.id);
    let rows = (0..400).map(|index| {
        json!({
            "user_id": ann.id, "entry_id": id(index), "amount": 5, "kind": "adjustment",
            "reason": "Spring", "actor": ann.id, "source": source(index), "time": 1,
        })
    });
    let sources = (0..400).map(|index| {
        let pk = format!("source:{}", source(index));
        json!({ "pk": pk, "account": ann.id, "row": id(index), "amount": 5 })
    });
    put(&api.dynamodb, "LedgerTable", &rows.skip(1).collect::<Vec<_>>()).await;
    put(&api.dynamodb, "TokensTable", &sources.collect::<Vec<_>>()).await;

    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // The store doesn't answer any batch until all four are in flight.
    lane.gathers("BatchGetItem", 4);
    let store = api.app_over("sweep", &lane).store;
    let (found, next) = store.audit_sources(None).await.unwrap();
    assert_eq!((found, next), (vec![Difference::Rowless { source: source(0) }], None));
    let calls: Vec<_> = lane.calls().into_iter().map(|call| call.operation).collect();
    // The last batch reads the missing row again.
    assert_eq!(calls, [&["Scan"][..], &["BatchGetItem"; 5]].concat());
    assert_eq!(lane.weak_reads(), [""; 0]);
}

#[tokio::test]
async fn missing_rows_are_restored_with_their_receipt() {
    let api = scripted(&[]).await;
    let (ann, chat_id, _) = priced_customer(&api).await;
    let (store, now) = (api.store(), api.now());
    let rows = async || store.entries(&ann.id, None, 100).await.unwrap().0;
    let before = rows().await;
    assert!(before[0].receipt.is_some() && before[0].usage.is_some(), "{before:?}");
    ann.loses("LedgerTable", "entry_id", &chat_id).await;
    assert_ne!(ann.differs().await, []);
    let repaired = store.reconcile(now, &Clock::standing(now * 1000)).await.unwrap().unwrap();
    assert!(!repaired.repairs.is_empty());
    assert_eq!(rows().await, before);
    assert_eq!(ann.differs().await, []);
}

#[tokio::test]
async fn audits_during_chats_find_no_difference() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chats = async {
        for _ in 0..4 {
            futures_util::future::join_all((0..6).map(|_| ann.chat("hi")))
                .await
                .into_iter()
                .for_each(|answer| drop(answer.is(200)));
        }
    };
    let audits = async {
        for _ in 0..10 {
            let differences = ann.differs().await;
            assert!(
                differences.is_empty() || differences == [Difference::Moving],
                "{differences:?}"
            );
        }
    };
    tokio::join!(chats, audits);
    assert_eq!(ann.audit().await, AuditReport { rows: 25, differences: vec![] });
}

#[tokio::test]
async fn accounts_are_listed_once_without_their_addresses() {
    let api = Api::own(&[]).await;
    for name in ["ann", "ben", "cleo"] {
        api.register(serde_json::json!({ "username": name, "email": format!("{name}@example.com"), "password": "secret123" })).await.is(201);
    }
    let (mut keys, next) = api.store().account_keys(None).await.unwrap();
    keys.sort_unstable();
    assert_eq!((keys, next), (["ann", "ben", "cleo"].map(str::to_owned).to_vec(), None));
    let (all, _) = api.store().account_keys(Some("user:ann")).await.unwrap();
    assert!(all.len() < 3 && !all.contains(&"ann".to_owned()), "{all:?}");
    let before: Vec<Value> = api.items("").await.remove("UsersTable").unwrap();
    api.store().audit("ann").await.unwrap();
    assert_eq!(api.items("").await["UsersTable"], before, "an audit writes nothing");
}

#[tokio::test]
async fn orders_that_moved_other_credits_are_found() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (store, clock) = (api.store(), &api.server().clock);
    let pack = a_pack(1000, 300);
    let order = Order::new(&api.account(&ann).await, &pack, clock);
    store.create_order(&api.account(&ann).await, &order).await.unwrap();
    let payment = Some("pi_1".to_owned());
    let paid = PaymentFacts { progress: Progress::Paid, payment, ..PaymentFacts::default() };
    store.merge_facts(order.clone(), &paid, clock).await.unwrap();
    assert_eq!(ann.differs().await, []);

    let stored = async || {
        let items = scan::<Value>(&api.dynamodb, "TokensTable").await;
        let is_it = |item: &Value| item["pk"] == format!("order:{}", order.id());
        items.into_iter().find(is_it).unwrap()
    };
    let usual = stored().await;
    let difference = Difference::Order { order: order.id().to_owned() };
    // The order's granted or owed credits differ from those in its rows.
    for (attribute, value) in [("given", json!(900)), ("owed", json!(5)), ("given", json!(0))] {
        let mut planted = usual.clone();
        planted[attribute] = value;
        put(&api.dynamodb, "TokensTable", &[planted]).await;
        assert!(ann.differs().await.contains(&difference), "{attribute}");
        put(&api.dynamodb, "TokensTable", std::slice::from_ref(&usual)).await;
    }
    assert_eq!(ann.differs().await, []);
    // The account has owed credits, but its orders don't.
    api.set(&ann, "owed", AttributeValue::N("7".into())).await;
    assert_eq!(ann.differs().await, [Difference::Owed { account: 7, orders: 0 }]);
    api.set(&ann, "owed", AttributeValue::N("0".into())).await;
    // The payment's row is lost, so the order and the source have no row.
    let row = ann.loses_the_payment().await;
    let (found, _) = store.audit_sources(None).await.unwrap();
    let source = row.source.as_ref().unwrap().text().to_owned();
    assert!(
        found.contains(&difference) && found.contains(&Difference::Rowless { source }),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_arrive_after_their_order_are_no_difference() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (store, clock) = (api.store(), &api.server().clock);
    let order = Order::new(&api.account(&ann).await, &a_pack(1000, 300), clock);
    store.create_order(&api.account(&ann).await, &order).await.unwrap();
    let payment = Some("pi_1".to_owned());
    let paid = PaymentFacts { progress: Progress::Paid, payment, ..PaymentFacts::default() };
    store.merge_facts(order, &paid, clock).await.unwrap();
    let row = ann.loses_the_payment().await;

    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    // The second read waits until the row exists.
    let at = FaultPoint::Operation("BatchGetItem", 2);
    let strikes = FaultRepeat::FromThenOn;
    lane.strike(Some(Plan { at, fault: Fault::StallBefore, strikes }));
    let late = async {
        assert!(lane.strikes().await, "there was no second reading");
        put(&api.dynamodb, "LedgerTable", &[json!(row)]).await;
        lane.calm();
    };
    let audited = api.app_over("sweep", &lane).store;
    let (audited, ()) = tokio::join!(audited.audit_sources(None), late);
    assert_eq!(audited.unwrap(), (vec![], None));
}
