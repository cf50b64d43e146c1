//! Adjustments in the store: credits that administrators add to a balance or deduct from it.
//! `administration.rs` tests `POST /api/admin/users/{id}/adjustments`.

use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextMut;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use shared::clock::month;
use shared::store::{AdjustOutcome, Adjustment, Store};
use shared::values::Reason;
use shared::{BalanceChange, Credits};
use uuid::Uuid;

use crate::support::client::{Api, GRANT, PRICE, Person, unique};

/// Sends every transaction with a new request token, as if the store had forgotten the previous
/// token after ten minutes.
#[derive(Debug)]
struct Forgetful;

impl Intercept for Forgetful {
    fn name(&self) -> &'static str {
        "Forgetful"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<TransactWriteItemsInput>() {
            input.client_request_token = Some(Uuid::new_v4().to_string());
        }
        Ok(())
    }
}

fn forgetful(api: &Api) -> Store {
    api.store_over(
        aws_sdk_dynamodb::Config::from(&shared::aws::emulated())
            .to_builder()
            .interceptor(Forgetful),
    )
}

async fn adjustment(api: &Api, person: &Person, amount: i64) -> Adjustment {
    let reason = Reason::parse("a correction").unwrap();
    Adjustment::new(
        &api.account(person).await,
        BalanceChange::new(amount).unwrap(),
        reason,
        "manage",
        &api.clock(),
    )
}

/// The account's balance, granted credits and spent credits.
async fn numbers(api: &Api, person: &Person) -> [u64; 3] {
    let account = api.account(person).await;
    [account.tokens, account.granted, account.spent].map(Credits::get)
}

#[tokio::test]
async fn adjustments_change_balance_and_grants_and_are_audited() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    assert_eq!(api.adjust(&ann, 500, "for the outage").await, AdjustOutcome::Applied);
    assert_eq!(numbers(&api, &ann).await, [4400, 4500, PRICE]);
    assert_eq!(api.adjust(&ann, -4400, "a mistake").await, AdjustOutcome::Applied);
    assert_eq!(numbers(&api, &ann).await, [0, PRICE, PRICE]);
    assert_eq!(ann.balance().await, 0);

    let this_month = month(api.clock().millis());
    let trail = dynamo::client(&api.dynamodb)
        .query()
        .table_name("LedgerTable")
        .index_name("trail")
        .key_condition_expression("trail = :month");
    let trail = trail
        .expression_attribute_values(":month", AttributeValue::S(this_month))
        .into_paginator()
        .items()
        .send();
    let trail: Vec<_> = trail.collect::<Result<Vec<_>, _>>().await.unwrap();
    let own = trail.iter().filter(|row| row["user_id"].as_s() == Ok(&ann.id));
    let own: Vec<_> = own
        .map(|row| ["amount", "kind", "reason", "actor"].map(|field| row[field].clone()))
        .collect();
    let row = |amount: &str, reason: &str| {
        let text = |text: &str| AttributeValue::S(text.into());
        [AttributeValue::N(amount.into()), text("adjustment"), text(reason), text("manage")]
    };
    assert_eq!(
        own,
        [row("500", "for the outage"), row("-4400", "a mistake")],
        "grants and chats are not on the trail"
    );
}

#[tokio::test]
async fn retried_adjustments_act_once() {
    let api = Api::start().await;
    for store in [api.store(), forgetful(&api)] {
        let ann = api.person("ann").await;
        // The debit of 4,500 takes the whole balance, so the store would refuse to apply it twice.
        for (amount, left) in [(500, GRANT + 500), (-4500, 0)] {
            let adjustment = adjustment(&api, &ann, amount).await;
            for _ in 0..3 {
                assert_eq!(store.adjust(&adjustment, 0).await, Ok(AdjustOutcome::Applied));
                assert_eq!(numbers(&api, &ann).await, [left, left, 0]);
            }
        }
        assert_eq!(
            api.items(&ann.id).await["LedgerTable"]
                .iter()
                .filter(|row| row["user_id"] == ann.id.as_str())
                .count(),
            3
        );
    }
}

#[tokio::test]
async fn parallel_copies_of_an_adjustment_act_once() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (store, adjustment) = (forgetful(&api), adjustment(&api, &ann, -3000).await);
    for done in join_all((0..10).map(|_| store.adjust(&adjustment, 0))).await {
        assert_eq!(done, Ok(AdjustOutcome::Applied));
    }
    assert_eq!(numbers(&api, &ann).await, [1000, 1000, 0]);
}

#[tokio::test]
async fn debits_above_the_balance_are_refused() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    // Refused adjustments change only the account's closed ids, so that late copies of the
    // adjustments are refused.
    let items = async || {
        let mut items = api.items(&ann.id).await;
        items.get_mut("UsersTable").unwrap().iter_mut().for_each(|item| item["closed"] = json!({}));
        items
    };
    let before = items().await;
    let max = i64::try_from(Credits::MAX.get()).unwrap();
    let grant = Credits::new(GRANT).unwrap();
    for amount in [-4001, -max] {
        assert_eq!(
            api.adjust(&ann, amount, "too much").await,
            AdjustOutcome::TooLittle(grant),
            "{amount}"
        );
    }
    for amount in [max - 3999, max] {
        assert_eq!(api.adjust(&ann, amount, "too much").await, AdjustOutcome::TooMuch, "{amount}");
    }
    assert_eq!(items().await, before);
    assert_eq!(api.adjust(&ann, max - 4000, "as much as may be").await, AdjustOutcome::Applied);
    assert_eq!(numbers(&api, &ann).await[0], Credits::MAX.get());
    assert_eq!(api.adjust(&ann, -max, "everything").await, AdjustOutcome::Applied);
    assert_eq!(numbers(&api, &ann).await, [0, 0, 0]);
}

#[tokio::test]
async fn expired_holds_can_be_debited_and_live_ones_cannot() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.holds(&[("crashed", 1), ("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - 2 * PRICE).await;
    assert_eq!(
        api.adjust(&ann, -4000, "everything").await,
        AdjustOutcome::TooLittle(Credits::new(GRANT - PRICE).unwrap())
    );
    assert_eq!(api.adjust(&ann, -3900, "what is free").await, AdjustOutcome::Applied);
    assert_eq!(numbers(&api, &ann).await, [0, PRICE, 0]);
    assert_eq!(api.account(&ann).await.reservations.keys().collect::<Vec<_>>(), ["running"]);
}

#[tokio::test]
async fn deleted_and_replaced_accounts_are_not_adjusted() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let adjustment = adjustment(&api, &ann, 500).await;
    api.forget(&ann).await;
    assert_eq!(api.store().adjust(&adjustment, 0).await, Ok(AdjustOutcome::Gone));
    let other =
        api.person_with(json!({ "username": ann.name, "password": unique("secret") })).await;
    assert_eq!(api.store().adjust(&adjustment, 0).await, Ok(AdjustOutcome::Gone));
    assert_eq!(numbers(&api, &other).await, [GRANT, GRANT, 0]);
}

#[tokio::test]
async fn parallel_adjustments_and_chats_lose_no_credit() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chats = join_all((0..12).map(|_| ann.chat("hi")));
    let adjustments = join_all(
        [70, -30, 70, -30, 70, -30].map(|amount| api.adjust(&ann, amount, "back and forth")),
    );
    let (chats, adjustments) = tokio::join!(chats, adjustments);
    chats.into_iter().for_each(|chat| drop(chat.is(200)));
    assert!(adjustments.iter().all(|done| *done == AdjustOutcome::Applied), "{adjustments:?}");
    assert_eq!(numbers(&api, &ann).await, [GRANT + 120 - 12 * PRICE, GRANT + 120, 12 * PRICE]);
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn thousands_of_refused_adjustments_cost_like_one() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let (account, store, now) = (api.account(&ann).await, api.store(), api.now());
    let refuses = async || {
        let (change, reason) =
            (BalanceChange::new(-100_000).unwrap(), Reason::parse("too much").unwrap());
        let adjustment = Adjustment::new(&account, change, reason, "manage", &api.server().clock);
        assert_eq!(
            store.adjust(&adjustment, now).await,
            Ok(AdjustOutcome::TooLittle(Credits::new(GRANT).unwrap()))
        );
    };
    let size = async || api.items(&ann.id).await["UsersTable"][0].to_string().len();
    refuses().await;
    let of_one = size().await;
    stream::iter(0..7000).for_each_concurrent(50, async |_| refuses().await).await;
    refuses().await;
    assert_eq!(size().await, of_one);
    assert_eq!(numbers(&api, &ann).await, [GRANT, GRANT, 0]);
}
