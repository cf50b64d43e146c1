//! Allowances: balances that are topped up once per period. The tests read `GET /api/tokens` and
//! `GET /api/user/ledger`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::clock::{Clock, Day};
use shared::store::Difference;

use crate::support::client::{Api, DAY, PRICE, Person};
use crate::support::world::{World, put};

/// A Monday evening, an hour before midnight in UTC, on the last day of a month.
const EVENING: u64 = 1_796_079_600_000;

/// A server with a daily allowance of a thousand tokens, and its clock, which tests can advance.
async fn daily(settings: &[(&str, &str)]) -> (Clock, Api) {
    let clock = Clock::standing(EVENING + 500);
    let settings = [&[("ALLOWANCE", "1000/day"), ("FIRST_GRANT", "0")], settings].concat();
    (clock.clone(), Api::with_clock(clock, &settings).await)
}

fn midnight(clock: &Clock) {
    clock.advance(Duration::from_secs(3600));
}

impl Person {
    /// The amounts of the account's allowances, oldest first.
    async fn allowances(&self) -> Vec<(i64, String)> {
        let world = World::read(&self.api.dynamodb).await;
        assert_eq!(world.audit(&self.id), Vec::<String>::new());
        assert_eq!(self.api.store().audit(&self.name).await.unwrap().differences, []);
        let rows = world.ledger(&self.id).iter();
        let mut rows: Vec<_> = rows.filter(|row| row.allowance.is_some()).collect();
        rows.sort_by(|one, other| one.entry_id.cmp(&other.entry_id));
        rows.into_iter().map(|row| (row.amount, row.reason.clone())).collect()
    }
}

fn granted(amounts: &[(i64, &str)]) -> Vec<(i64, String)> {
    amounts.iter().map(|(amount, day)| (*amount, format!("allowance for {day}"))).collect()
}

#[tokio::test]
async fn a_chat_fills_the_balance_up_once_a_day() {
    let (clock, api) = daily(&[]).await;
    let ann = api.person("ann").await;
    clock.advance(Duration::from_secs(2));
    for left in [900, 800] {
        assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], left);
    }
    midnight(&clock);
    let ann = ann.elsewhere("a browser").await;
    assert_eq!(ann.chat("hi").await.is(200)["tokens_left"], 900);
    assert_eq!(ann.allowances().await, granted(&[(1000, "2026-11-30"), (200, "2026-12-01")]));
    let rows = ann.get("/api/user/ledger").await.is(200);
    let shown: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["amount"]).collect();
    assert_eq!(shown, [-100, 200, -100, -100, 1000, 0].map(Value::from).iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_balance_is_filled_up_before_it_is_read() {
    let (clock, api) = daily(&[]).await;
    let ann = api.person("ann").await;
    let shown = ann.get("/api/tokens/").await.is(200);
    assert_eq!(
        shown,
        json!({
            "tokens": 1000, "tokens_left": 1000, "remaining_tokens": 1000, "tokens_remaining": 1000,
            "tokens_held": 0, "user": ann.id, "username": ann.name,
            "allowance": { "tokens": 1000, "per": "day", "next": "2026-12-01" },
        })
    );
    ann.chat("hi").await.is(200);
    assert_eq!(ann.balance().await, 900);
    midnight(&clock);
    let ann = ann.elsewhere("a browser").await;
    let profile = ann.profile().await.is(200);
    assert_eq!(
        [&profile["tokens"], &profile["allowance"]["next"]],
        [&json!(1000), &json!("2026-12-02")]
    );
    assert_eq!(ann.balance().await, 1000);
    assert_eq!(ann.allowances().await, granted(&[(1000, "2026-11-30"), (100, "2026-12-01")]));
}

#[tokio::test]
async fn parallel_requests_fill_up_once() {
    let (_, api) = daily(&[]).await;
    let ann = api.person("ann").await;
    let chats = join_all((0..12).map(|_| ann.chat("hi")));
    let reads = join_all((0..12).map(|_| ann.get("/api/tokens/")));
    let (chats, reads) = tokio::join!(chats, reads);
    assert!(reads.iter().all(|read| read.status == 200), "{reads:?}");
    let answered = chats.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((answered, ann.balance().await), (10, 0));
    assert_eq!(ann.allowances().await, granted(&[(1000, "2026-11-30")]));
}

#[tokio::test]
async fn richer_accounts_get_nothing() {
    let (clock, api) = daily(&[("FIRST_GRANT", "1050")]).await;
    let ann = api.person("ann").await;
    assert_eq!(ann.balance().await, 1050);
    // The day began with enough credits, so the balance isn't topped up later in the day.
    ann.chat("hi").await.is(200);
    assert_eq!(ann.balance().await, 950);
    assert_eq!(ann.allowances().await, []);
    midnight(&clock);
    let ann = ann.elsewhere("a browser").await;
    assert_eq!(ann.balance().await, 1000);
    assert_eq!(ann.allowances().await, granted(&[(50, "2026-12-01")]));
}

#[tokio::test]
async fn held_credits_count_as_owned() {
    let (clock, api) = daily(&[("AI_TIMEOUT_SECONDS", "30"), ("CHAT_PRICE", "1000")]).await;
    let ann = api.person("ann").await;
    ann.balance().await;
    // The whole balance is held at midnight, and returned afterwards.
    clock.advance(Duration::from_secs(3590));
    let browser = ann.clone();
    let (answer, ()) = tokio::join!(ann.chat("!hang"), async {
        browser.is_waiting().await;
        clock.advance(Duration::from_secs(20));
        let browser = browser.elsewhere("a browser").await;
        assert_eq!(browser.balance().await, 0);
        browser.chat("hi").await.expect(402, "insufficient_tokens");
        clock.advance(Duration::from_secs(3600));
        api.store().sweep(api.now()).await.unwrap();
    });
    assert!(answer.status != 200, "{answer:?}");
    let ann = ann.elsewhere("a browser").await;
    assert_eq!(ann.balance().await, 1000);
    assert_eq!(ann.allowances().await, granted(&[(1000, "2026-11-30")]));
}

#[tokio::test]
async fn refusals_say_when_the_next_allowance_comes() {
    let (_, api) = daily(&[("ALLOWANCE", "150/week"), ("TOP_UP_TEXT", "Ask Ann.")]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let refused = ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(
        refused["detail"],
        "You have 50 tokens. A message costs 100 tokens. Nothing was charged. On 2026-12-07 (UTC) your balance is filled up to 150 tokens. Ask Ann."
    );
    assert_eq!(ann.allowances().await, granted(&[(150, "the week of 2026-11-30")]));
}

#[tokio::test]
async fn administrators_can_have_another_allowance() {
    for (allowance, user, administrator) in [
        ("1000/day,admin=5000/month", 1000_u64, 5000),
        ("1000/day,admin=none", 1000, 0),
        ("none,admin=300/week", 0, 300),
        ("200/day", 200, 200),
    ] {
        let settings = [("ALLOWANCE", allowance), ("FIRST_GRANT", "0")];
        let api = Api::with_clock(Clock::standing(EVENING), &settings).await;
        let (ann, root) = (api.person("ann").await, api.administrator("root").await);
        for (person, tokens) in [(ann, user), (root, administrator)] {
            let expected = if tokens > 0 { 200 } else { 402 };
            person.chat("hi").await.is(expected);
            assert_eq!(person.balance().await, tokens.saturating_sub(PRICE), "{allowance}");
        }
    }
}

#[tokio::test]
async fn programs_get_the_allowance_too() {
    let (clock, api) = daily(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned();
    for day in ["2026-11-30", "2026-12-01"] {
        ann.using(key.clone()).completes().await.is(200);
        assert_eq!(ann.allowances().await.last().unwrap().1, format!("allowance for {day}"));
        midnight(&clock);
    }
}

#[tokio::test]
async fn without_allowances_nothing_is_filled_up() {
    let api = Api::own(&[("FIRST_GRANT", "0")]).await;
    let ann = api.person("ann").await;
    let shown = ann.get("/api/tokens/").await.is(200);
    assert_eq!((&shown["tokens"], &shown["allowance"]), (&json!(0), &Value::Null));
    let refused = ann.chat("hi").await.expect(402, "insufficient_tokens");
    assert_eq!(
        refused["detail"],
        "You have 0 tokens. A message costs 100 tokens. Nothing was charged."
    );
    assert_eq!((ann.allowances().await, api.account(&ann).await.allowance), (vec![], None));
}

#[tokio::test]
async fn allowances_that_were_granted_twice_are_found() {
    let (_, api) = daily(&[]).await;
    let ann = api.person("ann").await;
    ann.balance().await;
    let number = |number: u64| AttributeValue::N(number.to_string());
    let today = Day::from_millis(EVENING);
    let found = async || api.store().audit(&ann.name).await.unwrap().differences;
    // Make the account forget that it has received its allowance.
    api.set(&ann, "allowance", number(today.before(1).number())).await;
    let difference = Difference::Allowance { period: today };
    assert_eq!(found().await, std::slice::from_ref(&difference));
    // The account has received its allowance twice.
    api.set(&ann, "allowance", number(today.number())).await;
    let mut row = World::read(&api.dynamodb).await.ledger(&ann.id).to_vec();
    row.retain(|row| row.allowance.is_some());
    row[0].entry_id = shared::clock::least_id(EVENING + 2000);
    put(&api.dynamodb, "LedgerTable", &row).await;
    for (attribute, amount) in [("granted", 2000), ("tokens", 2000)] {
        api.set(&ann, attribute, number(amount)).await;
    }
    assert_eq!(found().await, [difference]);
}

#[tokio::test]
async fn deactivated_accounts_get_nothing() {
    let (clock, api) = daily(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.balance().await;
    let path = format!("/api/admin/users/{}", ann.id);
    let bearer = root.bearer();
    let headers = [("authorization", bearer.as_str())];
    let body = Some(json!({ "active": false }));
    api.send(reqwest::Method::PATCH, &path, &headers, body).await.is(200);
    clock.advance(DAY);
    ann.get("/api/tokens/").await.is(401);
    let account = api.account(&ann).await;
    let of = shared::values::Allowances::parse("5000/day").unwrap();
    assert_eq!(api.store().fill_up(&account, of, api.now()).await, Ok(false));
    assert_eq!(api.account(&ann).await.granted.get(), 1000);
}
