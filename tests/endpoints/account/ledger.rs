//! `GET /api/user/ledger`, `GET /api/user/ledger/months`.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Day;
use shared::store::AdjustOutcome;

use crate::endpoints::chats::fares::scripted;
use crate::endpoints::openai::completions::asking;
use crate::support::client::{Answer, Api, DAY, GRANT, PRICE, Person};
use crate::support::world::put;

impl Person {
    /// Requests a page of the statement. `query` is appended to the path.
    async fn statement(&self, query: &str) -> Answer {
        self.get(&format!("/api/user/ledger/{query}")).await
    }

    pub async fn statement_as(&self, accept: &str, query: &str) -> Answer {
        let path = format!("/api/user/ledger{query}");
        self.send(Method::GET, &path, &[("accept", accept)], None).await
    }

    /// Reads all rows, from the page that `query` requests to the last page. Also returns how many
    /// pages it has read.
    async fn whole_statement(&self, query: &str) -> (Vec<Value>, usize) {
        let pages = self.pages_of(&format!("/api/user/ledger/{query}")).await;
        (pages.concat(), pages.len())
    }

    /// All pages of a list, read by following the links.
    async fn pages_of(&self, path: &str) -> Vec<Vec<Value>> {
        let (list, query) = path.split_once('?').unwrap_or((path, ""));
        let (mut pages, mut next) = (Vec::new(), Some(format!("?{query}")));
        while let Some(query) = next {
            let page = self.get(&format!("{list}{query}")).await;
            next = page.next_page();
            pages.push(page.is(200).as_array().unwrap().clone());
            assert!(pages.len() < 50, "the pages have no end");
        }
        pages
    }

    /// Advances the clock by some days and logs in again.
    async fn days_later(&self, days: u32) -> Self {
        self.api.server().clock.advance(days * DAY);
        self.elsewhere("a test").await
    }

    /// Writes this many rows with today's date directly to the store. The rows alternate between
    /// adding and deducting one credit.
    async fn has_rows(&self, count: usize) {
        let clock = &self.api.server().clock;
        let row = |number: usize| {
            let amount = if number.is_multiple_of(2) { 1 } else { -1 };
            json!({
                "user_id": self.id, "entry_id": clock.id().to_string(), "amount": amount, "kind": "adjustment",
                "reason": "a test", "actor": "manage", "time": clock.millis(),
            })
        };
        put(&self.api.dynamodb, "LedgerTable", &(0..count).map(row).collect::<Vec<_>>()).await;
    }

    /// A user whose statement has seven rows.
    async fn with_seven_rows(api: &Api) -> Self {
        let ann = api.person("ann").await;
        for amount in [500, -50, 1] {
            ann.chat("hi").await.is(200);
            assert_eq!(api.adjust(&ann, amount, "a correction").await, AdjustOutcome::Applied);
        }
        ann
    }
}

/// Asserts that each row's balance is the previous row's balance plus the row's amount.
#[track_caller]
fn adds_up(rows: &[Value]) {
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap();
    let before = rows.iter().skip(1).map(|row| number(row, "balance")).chain([0]);
    for (row, before) in rows.iter().zip(before) {
        assert_eq!(number(row, "balance"), before + number(row, "amount"), "{rows:#?}");
    }
}

#[tokio::test]
async fn statements_explain_every_credit_newest_first() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let first = ann.chat("hi").await.is(200);
    api.adjust(&ann, 500, "for the outage").await;
    let second = ann.chat("hi").await.is(200);
    api.adjust(&ann, -4300, "a mistake").await;
    ann.chat("hi").await.expect(402, "insufficient_tokens");

    let answer = ann.statement("").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.next_page(), None);
    let mut rows = answer.is(200);
    for row in rows.as_array_mut().unwrap() {
        let (id, time) = (row["id"].take(), row["timestamp"].take());
        assert!(id.as_str().is_some_and(|id| id.len() == 36), "{id}");
        assert!(
            time.as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
            "{time}"
        );
    }
    let row = |kind, amount: i64, reason, chat_id: Value, balance: u64| {
        let excerpt = if kind == "chat" { json!("hi") } else { Value::Null };
        json!({ "id": null, "timestamp": null, "kind": kind, "amount": amount, "reason": reason, "chat_id": chat_id, "balance": balance, "excerpt": excerpt, "key_name": null })
    };
    let expected = json!([
        row("adjustment", -4300, "a mistake", Value::Null, 0),
        row("chat", -100, "chat", second["id"].clone(), 4300),
        row("adjustment", 500, "for the outage", Value::Null, 4400),
        row("chat", -100, "chat", first["id"].clone(), GRANT - PRICE),
        row("grant", 4000, "registration", Value::Null, GRANT),
    ]);
    assert_eq!(rows, expected);
    assert_eq!(ann.balance().await, 0);
}

#[tokio::test]
async fn rows_show_their_message_and_api_key() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let long = format!("Explain\n compound interest {}", "é".repeat(60));
    let first = ann.chat(&long).await.is(200)["id"].as_str().unwrap().to_owned();
    let key = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    program.post("/v1/chat/completions", asking("By a program")).await.is(200);
    program.post("/v1/responses", json!({ "input": "A response" })).await.is(200);
    let gone = ann.chat("To be deleted").await.is(200)["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/api/chat/{gone}")).await.is(200);

    let about = async || {
        let rows = ann.statement("").await.is(200);
        let about = rows.as_array().unwrap().iter();
        about.map(|row| [row["excerpt"].clone(), row["key_name"].clone()]).collect::<Vec<_>>()
    };
    let beginning = format!("Explain compound interest {}…", "é".repeat(33));
    let expected = |key: Value| {
        vec![
            [Value::Null, Value::Null],
            [json!("A response"), key.clone()],
            [json!("By a program"), key],
            [json!(beginning), Value::Null],
            [Value::Null, Value::Null],
        ]
    };
    assert_eq!(about().await, expected(json!("a program")));
    let id = key["id"].as_str().unwrap();
    ann.delete(&format!("/api/user/api-keys/{id}")).await.is(200);
    assert_eq!(about().await, expected(Value::Null), "a revoked key has no name");
    // Ledger rows are kept when chats are deleted, so they must not contain the chats' text.
    let ledger = api.items(&ann.id).await["LedgerTable"].clone();
    let ledger = json!(ledger).to_string();
    assert!(ledger.contains(&first) && !ledger.contains("Explain"), "{ledger}");
}

#[tokio::test]
async fn held_and_returned_credits_have_no_row() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    ann.chat("!fail").await.expect(502, "ai_failed");
    ann.holds(&[("running", u64::from(u32::MAX))]).await;
    ann.has_left(GRANT - PRICE).await;
    let (rows, _) = ann.whole_statement("").await;
    assert_eq!((rows.len(), &rows[0]["balance"]), (1, &json!(GRANT)));
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn users_see_only_their_own_statement() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chat("hi").await.is(200);
    let asked = ann
        .statement(&format!(
            "?user={}&id={}&user_id={}&username={}",
            ben.id, ben.id, ben.id, ben.name
        ))
        .await
        .is(200);
    assert_eq!(asked.as_array().map(Vec::len), Some(1));
    assert_eq!(asked[0]["id"], json!(ann.id), "the row of the grant");
}

#[tokio::test]
async fn pages_are_consecutive_and_carry_the_balance() {
    let api = Api::start().await;
    let ann = Person::with_seven_rows(&api).await;
    let (all, pages) = ann.whole_statement("").await;
    assert_eq!((all.len(), pages), (7, 1));
    adds_up(&all);
    for (limit, expected) in [(1, 7), (2, 4), (3, 3), (6, 2), (7, 1), (100, 1)] {
        let (rows, pages) = ann.whole_statement(&format!("?limit={limit}")).await;
        assert_eq!((rows, pages), (all.clone(), expected), "limit {limit}");
    }
}

#[tokio::test]
async fn pages_have_twenty_rows_by_default() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for _ in 0..20 {
        ann.chat("hi").await.is(200);
    }
    let first = ann.statement("").await;
    let rest = ann.statement(&first.next_page().unwrap()).await.is(200);
    assert_eq!(first.is(200).as_array().map(Vec::len), Some(20));
    assert_eq!(
        (&rest[0]["kind"], &rest[0]["balance"], rest.as_array().unwrap().len()),
        (&json!("grant"), &json!(GRANT), 1)
    );
}

#[tokio::test]
async fn rows_written_between_pages_shift_no_page() {
    let api = Api::start().await;
    let ann = Person::with_seven_rows(&api).await;
    let (all, _) = ann.whole_statement("").await;
    let first = ann.statement("?limit=2").await;
    ann.chat("hi").await.is(200);
    api.adjust(&ann, 7, "more").await;
    let rest =
        ann.statement(&first.next_page().unwrap().replace("limit=2", "limit=100")).await.is(200);
    assert_eq!(rest.as_array().unwrap()[..], all[2..]);
}

#[tokio::test]
async fn statements_read_during_settlements_add_up() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chats = async {
        for _ in 0..4 {
            let answers = futures_util::future::join_all((0..6).map(|_| ann.chat("hi"))).await;
            answers.into_iter().for_each(|answer| drop(answer.is(200)));
        }
    };
    let statements = async {
        let mut read = 0;
        for _ in 0..40 {
            let answer = ann.statement("?limit=100").await;
            if answer.status == 503 {
                answer.expect(503, "unavailable");
                continue;
            }
            adds_up(answer.is(200).as_array().unwrap());
            read += 1;
        }
        assert!(read > 0, "no statement was ever shown");
    };
    tokio::join!(chats, statements);
    let (rows, _) = ann.whole_statement("?limit=100").await;
    assert_eq!((rows.len(), &rows[0]["balance"]), (25, &json!(GRANT - 24 * PRICE)));
}

/// A line of a CSV file. All cells are quoted.
pub fn csv_line(cells: &[&str]) -> String {
    format!("\"{}\"\r\n", cells.join("\",\""))
}

/// The first line of a CSV file with these columns.
pub fn csv_columns(names: &str) -> String {
    csv_line(&names.split(' ').collect::<Vec<_>>())
}

#[tokio::test]
async fn statements_are_csv_on_request() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let chat = ann.chat("=hi").await.is(200)["id"].as_str().unwrap().to_owned();
    api.adjust(&ann, -7, "=HYPERLINK(\"https://evil.test\", 1)").await;
    api.adjust(&ann, 1, "-2+3;@a").await;

    let rows = ann.statement("").await.is(200);
    let text = |row: usize, field: &str| rows[row][field].as_str().unwrap().to_owned();
    let (ids, times) =
        ([0, 1, 2, 3].map(|row| text(row, "id")), [0, 1, 2, 3].map(|row| text(row, "timestamp")));
    let header = "id timestamp kind amount reason chat_id balance excerpt key_name model prompt_tokens cached_tokens completion_tokens written_tokens money currency";
    let (ids, times) = (ids.each_ref().map(String::as_str), times.each_ref().map(String::as_str));
    let rows_of = [
        [ids[0], times[0], "adjustment", "1", "'-2+3;'@a", "", "3894", ""],
        [
            ids[1],
            times[1],
            "adjustment",
            "-7",
            "'=HYPERLINK(\"\"https://evil.test\"\", 1)",
            "",
            "3893",
            "",
        ],
        [ids[2], times[2], "chat", "-100", "chat", &chat, "3900", "'=hi"],
        [ids[3], times[3], "grant", "4000", "registration", "", "4000", ""],
    ];
    // Without a price list, the key, the model and its tokens are empty. No money was paid.
    let rows_of = rows_of.map(|cells| csv_line(&[&cells[..], &[""; 8]].concat()));
    let header = csv_columns(header);
    let [one, two, three, four] = rows_of;
    let expected = [header, one, two, three, four];
    for accept in ["text/csv", "text/csv, application/json;q=0.5, */*;q=0.1"] {
        let csv = ann.statement_as(accept, "").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(csv.is(200), json!(expected.concat()));
    }
    for accept in
        ["*/*", "application/json", "text/csv;q=0", "text/csv, application/json", "image/png", ""]
    {
        assert_eq!(ann.statement_as(accept, "").await.is(200), rows, "{accept}");
    }

    let first = ann.statement_as("text/csv", "?limit=3").await.next_page().unwrap();
    let second = ann.statement_as("text/csv", &first).await;
    assert_eq!(second.next_page(), None);
    assert_eq!(second.is(200), json!([expected[0].clone(), expected[4].clone()].concat()));
    assert_eq!(
        ann.statement(&first).await.is(200),
        json!([rows[3]]),
        "a page may have another form than the one before"
    );
    ann.statement_as("text/csv", "?limit=0").await.expect(400, "invalid_fields");
}

#[tokio::test]
async fn invalid_page_requests_are_refused() {
    let api = Api::start().await;
    let (ann, ben) = (Person::with_seven_rows(&api).await, Person::with_seven_rows(&api).await);
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=-1",
        "?limit=1.5",
        "?limit=ten",
        "?limit=99999999999999999999999",
    ] {
        let refused = ann.statement(query).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["limit"].is_array(), "{query}: {refused}");
    }
    let page = ann.statement("?limit=1").await.next_page().unwrap();
    let cursor = page.split_once("cursor=").unwrap().1;
    ben.statement(&page).await.expect(400, "invalid_cursor");
    let of_chats = ann.history("?limit=1").await.next_page().unwrap();
    ann.statement(&of_chats).await.expect(400, "invalid_cursor");
    ann.history(&page).await.expect(400, "invalid_cursor");
    let flipped = format!("{}{}", if cursor.starts_with('A') { "B" } else { "A" }, &cursor[1..]);
    // The third forged cursor decodes to " 5" and sixteen more bytes, and contains no valid id.
    for forged in [
        flipped.as_str(),
        &cursor[..cursor.len() - 2],
        "IDVBQUFBQUFBQUFBQUFBQUFB",
        "AAAA",
        "not!base64",
        "%00",
        &"A".repeat(2000),
    ] {
        ann.statement(&format!("?cursor={forged}")).await.expect(400, "invalid_cursor");
    }
    ann.statement(&page).await.is(200);
}

/// The day on which a row was written, as `YYYY-MM-DD`.
fn day(row: &Value) -> &str {
    &row["timestamp"].as_str().unwrap()[..10]
}

#[tokio::test]
async fn statements_of_a_span_keep_the_running_balance() {
    let api = Api::own(&[]).await;
    let mut ann = Person::with_seven_rows(&api).await;
    for chats in [1, 2] {
        ann = ann.days_later(2).await;
        for _ in 0..chats {
            ann.chat("hi").await.is(200);
        }
    }
    ann = ann.days_later(1).await;
    let (whole, _) = ann.whole_statement("").await;
    assert_eq!(whole.len(), 10);
    adds_up(&whole);
    let today = Day::from_millis(api.server().clock.millis());
    let days: Vec<String> = (0..8).map(|before| today.before(before).to_string()).collect();
    let all = [None].into_iter().chain(days.iter().map(|day| Some(day.as_str())));
    let text =
        |name: &str, day: Option<&str>| day.map_or("".into(), |day| format!("&{name}={day}"));
    let mut seen = 0;
    for from in all.clone() {
        for to in all.clone().filter(|to| from.is_none() || to.is_none_or(|to| Some(to) >= from)) {
            let is_within = |row: &&Value| {
                from.is_none_or(|from| day(row) >= from) && to.is_none_or(|to| day(row) <= to)
            };
            let expected: Vec<Value> = whole.iter().filter(is_within).cloned().collect();
            for limit in [1, 3, 100] {
                let query = format!("?limit={limit}{}{}", text("from", from), text("to", to));
                let (rows, _) = ann.whole_statement(&query).await;
                assert_eq!(rows, expected, "{query}");
            }
            seen += expected.len();
        }
    }
    assert!(seen > 100, "{seen} rows were compared");

    let query = format!("?limit=1&from={}", days[7]);
    let csv = ann.statement_as("text/csv", &query).await;
    let next = csv.next_page().unwrap();
    assert_eq!(csv.is(200).as_str().unwrap().lines().count(), 2);
    // A cursor is valid only for the range of days in its request.
    let cursor = next.split_once("&cursor=").unwrap().1;
    for other in ["".to_owned(), format!("&from={}", days[6]), format!("{query}&to={}", days[0])] {
        let other = format!("?limit=1{}&cursor={cursor}", other.replace("?limit=1", ""));
        ann.statement(&other).await.expect(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn invalid_days_are_refused_by_name() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    for (query, field) in [
        ("?from=2026-11-31", "from"),
        ("?from=yesterday", "from"),
        ("?to=2026-11-20T00:00:00Z", "to"),
        ("?from=2026-11-20&to=2026-11-19", "to"),
    ] {
        let refused = ann.statement(query).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{query}: {refused}");
    }
    for query in ["?from=&to=", "?from=1970-01-01&to=9999-12-31", "?from=2026-11-01"] {
        let (rows, _) = ann.whole_statement(query).await;
        assert_eq!(rows.len(), 1, "{query}");
    }
    for query in ["?to=2026-10-31", "?from=9999-12-31"] {
        assert_eq!(ann.statement(query).await.is(200), json!([]), "{query}");
    }
}

#[tokio::test]
async fn statements_are_limited_to_a_model_and_an_api_key() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    let key = ann.makes_a_key("a program").await.is(201);
    let program = ann.using(key["key"].as_str().unwrap());
    for model in ["quick", "deep"] {
        ann.asks_model(model, "hi").await.is(200);
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        program.post("/v1/chat/completions", body).await.is(200);
    }
    assert_eq!(api.adjust(&ann, 500, "a correction").await, AdjustOutcome::Applied);
    ann.asks_model("quick", "hi").await.is(200);
    // The rows of a revoked key are still found.
    let id = key["id"].as_str().unwrap();
    ann.delete(&format!("/api/user/api-keys/{id}")).await.is(200);

    let (whole, _) = ann.whole_statement("").await;
    assert_eq!(whole.len(), 7);
    adds_up(&whole);
    let mut counts = Vec::new();
    for model in ["", "quick", "deep", "slow"] {
        for key in ["", id, ann.id.as_str()] {
            let is_shown = |row: &&Value| {
                (model.is_empty() || row["model"] == model)
                    && (key.is_empty() || row["key_id"] == key)
            };
            let expected: Vec<Value> = whole.iter().filter(is_shown).cloned().collect();
            for limit in [1, 2, 100] {
                let query = format!("?limit={limit}&model={model}&key={key}");
                assert_eq!(ann.whole_statement(&query).await.0, expected, "{query}");
            }
            counts.push(expected.len());
        }
    }
    assert_eq!(counts, [7, 2, 0, 3, 1, 0, 2, 1, 0, 0, 0, 0]);

    let csv = ann.statement_as("text/csv", &format!("?model=deep&key={id}")).await.is(200);
    assert_eq!(csv.as_str().unwrap().lines().count(), 2, "{csv}");
    // A cursor is valid only for the filter in its request.
    let next = ann.statement("?limit=1&model=quick").await.next_page().unwrap();
    let cursor = next.split_once("&cursor=").unwrap().1;
    ann.statement(&format!("?model=quick&cursor={cursor}")).await.is(200);
    for other in
        ["", "model=deep&", "model=quick&from=2026-01-01&", &format!("model=quick&key={id}&")]
    {
        let other = ann.statement(&format!("?{other}cursor={cursor}")).await;
        other.expect(400, "invalid_cursor");
    }
    let long = format!("?model={}", "x".repeat(201));
    for (query, field) in [(long.as_str(), "model"), ("?key=a+program", "key")] {
        let refused = ann.statement(query).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field].is_array(), "{query}: {refused}");
    }
}

#[tokio::test]
async fn filtered_pages_read_at_most_five_hundred_rows() {
    let api = scripted(&[]).await;
    let ann = api.person("ann").await;
    ann.asks_model("quick", "hi").await.is(200);
    let (expected, _) = ann.whole_statement("?model=quick").await;
    assert_eq!(expected.len(), 1);
    ann.has_rows(1100).await;
    let pages = ann.pages_of("/api/user/ledger?model=quick").await;
    assert_eq!(pages, [vec![], vec![], expected]);
}

/// The months that the API should list for the rows of a whole statement.
fn months_of(rows: &[Value]) -> Vec<Value> {
    let mut months: Vec<Value> = Vec::new();
    for row in rows {
        let month = &day(row)[..7];
        if months.last().is_none_or(|last| last["month"] != month) {
            let balance = &row["balance"];
            months.push(
                json!({ "month": month, "chats": 0, "spent": 0, "granted": 0, "balance": balance }),
            );
        }
        let amount = row["amount"].as_i64().unwrap();
        let (field, change) =
            if row["kind"] == "chat" { ("spent", -amount) } else { ("granted", amount) };
        let totals = months.last_mut().unwrap();
        totals[field] = json!(totals[field].as_i64().unwrap() + change);
        totals["chats"] = json!(totals["chats"].as_u64().unwrap() + u64::from(field == "spent"));
    }
    months
}

#[tokio::test]
async fn months_are_listed_newest_first_with_their_totals() {
    let api = Api::own(&[]).await;
    let mut ann = Person::with_seven_rows(&api).await;
    // Write a row in every month of this span except one.
    for days in [31, 62, 31] {
        ann = ann.days_later(days).await;
        ann.chat("hi").await.is(200);
    }
    let (rows, _) = ann.whole_statement("").await;
    let expected = months_of(&rows);
    assert_eq!((rows.len(), expected.len()), (10, 4));
    let oldest = &expected[3];
    assert_eq!(
        [&oldest["chats"], &oldest["spent"], &oldest["granted"]],
        [&json!(3), &json!(3 * PRICE), &json!(GRANT + 451)]
    );
    for (limit, pages) in [(1, 4), (2, 2), (3, 2), (100, 1)] {
        let read = ann.pages_of(&format!("/api/user/ledger/months/?limit={limit}")).await;
        assert_eq!((read.concat(), read.len()), (expected.clone(), pages), "limit {limit}");
    }
    let ben = api.person("ben").await;
    let of_ben = ben.get("/api/user/ledger/months").await;
    assert_eq!(of_ben.next_page(), None);
    assert_eq!(of_ben.is(200)[0]["granted"], json!(GRANT));

    let next = ann.get("/api/user/ledger/months?limit=1").await.next_page().unwrap();
    ben.get(&format!("/api/user/ledger/months{next}")).await.expect(400, "invalid_cursor");
    ann.statement(&next).await.expect(400, "invalid_cursor");
    let of_rows = ann.statement("?limit=1").await.next_page().unwrap();
    ann.get(&format!("/api/user/ledger/months{of_rows}")).await.expect(400, "invalid_cursor");
    ann.get("/api/user/ledger/months?limit=0").await.expect(400, "invalid_fields");
}

#[tokio::test]
async fn requests_read_at_most_two_thousand_rows() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    ann.chat("hi").await.is(200);
    let yesterday = Day::from_millis(api.server().clock.millis());
    let (past, _) = ann.whole_statement("").await;
    let ann = ann.days_later(31).await;
    ann.has_rows(2100).await;

    let pages = ann.pages_of(&format!("/api/user/ledger?to={yesterday}")).await;
    assert_eq!(pages, [vec![], past.clone()]);
    let today = Day::from_millis(api.server().clock.millis());
    let pages = ann.pages_of(&format!("/api/user/ledger?limit=100&to={today}")).await;
    assert_eq!((pages[0].len(), pages.concat().len()), (100, 2102), "nothing is skipped");

    let pages = ann.pages_of("/api/user/ledger/months").await;
    let [empty, months] = pages.as_slice() else { panic!("{pages:?}") };
    assert!(empty.is_empty() && months.len() == 2, "{pages:?}");
    assert_eq!(months[1], months_of(&past)[0]);
    assert_eq!(
        [&months[0]["chats"], &months[0]["granted"], &months[0]["balance"]],
        [&json!(0), &json!(0), &json!(GRANT - PRICE)]
    );
}
