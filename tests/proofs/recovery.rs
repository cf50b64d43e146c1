//! Tests the holds of functions that died. Reads treat the credits in an expired hold as available,
//! and the sweep releases the hold once.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use shared::Credits;
use shared::store::SweepReport;

use crate::endpoints::chats::fares::{list, with_embeddings};
use crate::support::client::{Api, GRANT, PRICE};
use crate::support::lambda::LEASE;

async fn sweep(api: &Api) -> SweepReport {
    let app = &api.server().apps["sweep"];
    app.store.sweep(app.clock.seconds()).await.unwrap()
}

#[tokio::test]
async fn sweeps_release_the_holds_of_dead_functions_only() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chat("hi").await.is(200);
    ann.chats_that_die(3).await;
    api.server().clock.advance(LEASE);
    assert_eq!(ann.balance().await, GRANT, "reads count it as free");
    assert_eq!(api.account(&ann).await.tokens.get(), GRANT - 3 * PRICE, "and write nothing");

    assert_eq!(sweep(&api).await, SweepReport { accounts: 2, released: 3, credits: 3 * PRICE });
    let account = api.account(&ann).await;
    assert_eq!(account.tokens.get(), GRANT);
    assert!(account.reservations.is_empty());
    assert_eq!(sweep(&api).await, SweepReport::default(), "accounts at rest are in no index");
}

#[tokio::test]
async fn sweeps_release_the_holds_of_dead_embeddings() {
    let api = Api::own(&[]).await;
    api.prices(&with_embeddings(list("scripted"), "scripted")).await;
    let ann = api.person("ann").await;
    ann.pays_for_embeddings().await.is(200);
    ann.embeddings_that_die(2).await;
    let account = api.account(&ann).await;
    let held: u64 = account.reservations.values().map(|held| held.cost.get()).sum();
    assert!(held > 0 && account.tokens.get() == GRANT - 7 - held, "{account:?}");
    api.server().clock.advance(LEASE);
    assert_eq!(sweep(&api).await, SweepReport { accounts: 1, released: 2, credits: held });
    let account = api.account(&ann).await;
    assert_eq!([account.tokens, account.spent].map(Credits::get), [GRANT - 7, 7]);
    assert!(account.reservations.is_empty());
    assert_eq!(api.store().audit(&ann.name).await.unwrap().differences, []);
}

#[tokio::test]
async fn an_unreadable_account_does_not_stop_the_sweep_of_others() {
    let api = Api::own(&[]).await;
    let people = join_all(["ann", "ben", "cat"].map(|name| api.person(name))).await;
    join_all(people.iter().map(|person| person.chats_that_die(1))).await;
    api.server().clock.advance(LEASE);
    api.set(&people[1], "spent", AttributeValue::S("broken".into())).await;
    let app = &api.server().apps["sweep"];
    assert!(app.store.sweep(app.clock.seconds()).await.is_err(), "the sweep fails");
    for person in [&people[0], &people[2]] {
        assert_eq!(api.account(person).await.tokens.get(), GRANT);
    }
}

#[tokio::test]
async fn parallel_sweeps_release_each_hold_once() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.chats_that_die(5).await;
    api.server().clock.advance(LEASE);
    join_all((0..8).map(|_| sweep(&api))).await;
    assert_eq!(api.account(&ann).await.tokens.get(), GRANT);
}

#[tokio::test]
async fn a_live_chat_is_not_swept() {
    let api = Api::own(&[("AI_TIMEOUT_SECONDS", "5")]).await;
    let ann = api.person("ann").await;
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.chat("!hang").await }
    });
    ann.is_waiting().await;
    assert_eq!(sweep(&api).await, SweepReport::default());
    assert_eq!(ann.balance().await, GRANT - PRICE);
    waiting.await.unwrap().expect(504, "ai_timed_out");
    assert_eq!(ann.balance().await, GRANT);
}
