//! A bank test: sends five hundred parallel requests from twenty accounts to the program that `cargo
//! run` starts, while the wire to the program's store injects random faults. The requests are chats,
//! some of them streamed, and embeddings. A third of the chats are charged by usage, and a third are
//! requested in the formats of OpenAI's and Anthropic's APIs. `BANK_SEED` repeats the faults of an
//! earlier run, if parallel requests arrive in the same order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use shared::values::{Entry, EntryKind};
use uuid::Uuid;

use crate::endpoints::chats::fares;
use crate::support::client::{Api, GRANT, PRICE, Person};
use crate::support::function::Reply;
use crate::support::program::{RunningServer, command, over_tables};
use crate::support::proxy::{Proxy, Storm};
use crate::support::world::EMBEDDINGS;

const PEOPLE: usize = 20;
const CHATS: usize = 500;

/// How many users can pay for only some of their chats, and how many credits each of them has.
const POOR: usize = 4;
const LEFT: u64 = 10 * PRICE;

/// The percentage of attempted store calls that get a fault.
const PERCENT: u64 = 20;

/// How many times a client sends a request with the same idempotency key.
const TRIES: usize = 3;

/// The endpoint to which a request is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Chat,
    /// A streamed chat.
    Stream,
    /// Anthropic's API. The API key is in `x-api-key`.
    Message,
    /// OpenAI's API for text completions.
    TextCompletion,
    /// OpenAI's API for embeddings, which aren't stored.
    Embeddings,
}

/// A chat to send, with a unique message; or embeddings, whose price is unique for the account.
struct Wish {
    who: Person,
    /// An API key of the same user.
    api_key: String,
    door: Door,
    message: String,
    key: Option<String>,
    /// The model of a chat. Only `quick` has a flat fare.
    model: &'static str,
    /// The price of embeddings.
    price: u64,
}

impl Wish {
    fn new(number: usize, people: &[Person], api_keys: &[String]) -> Self {
        let (who, api_key) = (people[number % PEOPLE].clone(), api_keys[number % PEOPLE].clone());
        let number = number / PEOPLE;
        let begins = match number % 5 {
            3 if number.is_multiple_of(2) => "!ends error 3000 1000+500 300 hi",
            3 => "!fail",
            4 if number.is_multiple_of(2) => "!ends length 3000 1000 300 hi",
            4 => "!used 3000 1000+500 300 hi",
            _ => "hi",
        };
        let (door, price) = (Door::of(number), number as u64 + 1);
        let message = match (door, begins) {
            // The text has at least as many bytes as model tokens.
            (Door::Embeddings, "hi" | "!used 3000 1000+500 300 hi") => {
                format!("!used {price} and enough words for this price, {number}")
            }
            (Door::Embeddings, _) => format!("!fail {number}"),
            _ => format!("{begins} {number}"),
        };
        let key = number.is_multiple_of(2).then(|| format!("key-{number}"));
        let model = if number.is_multiple_of(3) { "deep" } else { "quick" };
        Self { who, api_key, door, message, key, model, price }
    }

    /// Returns the path and the body of the request, and its header with a credential.
    fn request(&self) -> (&'static str, Value, (&'static str, String)) {
        let Self { message, model, .. } = self;
        let bearer = ("authorization", format!("Bearer {}", self.api_key));
        match self.door {
            Door::Chat => {
                let body = json!({ "message": message, "model": model });
                ("/api/chat/", body, ("authorization", self.who.bearer()))
            }
            Door::Message => {
                let messages = json!([{ "role": "user", "content": message }]);
                let body = json!({ "messages": messages, "model": model, "max_tokens": 1000 });
                ("/v1/messages", body, ("x-api-key", self.api_key.clone()))
            }
            Door::Stream => {
                let body = json!({ "message": message, "model": model });
                ("/api/chat/stream/", body, ("authorization", self.who.bearer()))
            }
            Door::TextCompletion => {
                ("/v1/completions", json!({ "prompt": message, "model": model }), bearer)
            }
            Door::Embeddings => {
                ("/v1/embeddings", json!({ "input": message, "model": "small" }), bearer)
            }
        }
    }

    /// Sends the request. A request with an idempotency key is sent again with the same key while
    /// its outcome is unknown, as the API recommends. Returns the last status. The status of a
    /// stream is that of its last event.
    async fn send(&self) -> u16 {
        let (path, body, (name, credential)) = self.request();
        let mut headers = vec![(name, credential.as_str())];
        headers.extend(self.key.as_deref().map(|key| ("idempotency-key", key)));
        let mut tries = 0;
        loop {
            tries += 1;
            let reply = self.who.api.send(Method::POST, path, &headers, Some(body.clone())).await;
            let (status, headers, body) = (reply.status.as_u16(), reply.headers, reply.body);
            let reply = Reply { status, headers, body }.at_its_end();
            if !matches!(reply.status, 409 | 503) || self.key.is_none() || tries == TRIES {
                return reply.status;
            }
            let wait = reply
                .headers
                .get("retry-after")
                .map_or(1, |seconds| seconds.to_str().unwrap().parse().unwrap());
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }
}

impl Door {
    /// Each of an account's requests has a number.
    fn of(number: usize) -> Self {
        match number % 7 {
            0 => Self::Message,
            1 => Self::TextCompletion,
            2 => Self::Embeddings,
            3 | 4 => Self::Stream,
            _ => Self::Chat,
        }
    }
}

/// Runs a `manage` command that must succeed, on the store at `dynamodb`. Returns its output.
#[track_caller]
fn manage(dynamodb: &str, what: &str) -> String {
    let output = over_tables(&mut command(&["manage", what]), dynamodb).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Repeatedly reads all accounts until all chats have ended, both directly from the store and
/// through the API with the owners' credentials. A fault may prevent a read through the API.
/// Returns how many balances the owners saw.
async fn read_balances(people: &[Person], granted: u64, over: &AtomicBool) -> usize {
    let mut read = 0;
    while !over.load(Ordering::Relaxed) {
        let mut sum = 0;
        for person in people {
            let account = person.api.account(person).await;
            let held: u64 = account.reservations.values().map(|held| held.cost.get()).sum();
            assert_eq!(
                account.granted.get(),
                account.tokens.get() + held + account.spent.get(),
                "{}",
                person.name
            );
            let reply = person.get("/api/tokens/").await;
            if reply.status == 200 {
                sum += reply.is(200)["tokens"].as_u64().expect("a balance below zero");
                read += 1;
            }
        }
        assert!(sum <= granted, "{sum} tokens of {granted}");
    }
    read
}

/// Moves the end of every lease into the past, because a test can't change the clock of another
/// process. Returns the number of leases.
async fn end_leases(api: &Api, people: &[Person]) -> usize {
    let mut ended = 0;
    for person in people {
        for rid in api.account(person).await.reservations.into_keys() {
            let update =
                emulator::dynamo::client(&api.dynamodb).update_item().table_name("UsersTable");
            let update = update.key("pk", AttributeValue::S(format!("user:{}", person.name)));
            let update =
                update.update_expression("SET reservations.#rid.expires_at = :past, due = :past");
            let update = update
                .expression_attribute_names("#rid", rid)
                .expression_attribute_values(":past", AttributeValue::N("1".into()));
            update.send().await.unwrap();
            ended += 1;
        }
    }
    ended
}

/// Compares an account that has no holds with its history, its ledger and the reply to each of its
/// requests. Returns how many chats and embeddings the account has paid for, and their total price.
async fn is_right(person: &Person, told: &[(&Wish, u16)]) -> (u64, u64) {
    let account = person.api.account(person).await;
    let history = person.history("?limit=100").await.is(200);
    let chats = history.as_array().unwrap();
    let (entries, more) = person.api.store().entries(&person.id, None, 100).await.unwrap();
    assert!(!more);
    let rows = entries.iter().filter(|entry| entry.kind == EntryKind::Chat);
    let (embedded, rows): (Vec<&Entry>, Vec<&Entry>) =
        rows.partition(|row| row.reason == EMBEDDINGS);
    for (wish, status) in told {
        let stored = match wish.door {
            Door::Embeddings => {
                let price = i64::try_from(wish.price).unwrap();
                embedded.iter().filter(|row| row.amount == -price).count()
            }
            _ => chats.iter().filter(|chat| chat["message"] == wish.message).count(),
        };
        let may_be = match status {
            200 => 1..=1,
            402 | 502 => 0..=0,
            // The client doesn't know whether the chat was stored.
            _ => 0..=1,
        };
        assert!(
            may_be.contains(&stored),
            "{}: {:?} was answered with {status} and stored {stored} times",
            person.name,
            wish.message
        );
    }

    let rows = rows.iter();
    let mut paid: Vec<_> = rows.map(|row| (row.chat_id.clone().unwrap(), -row.amount)).collect();
    let mut said: Vec<_> = chats
        .iter()
        .map(|chat| {
            (chat["id"].as_str().unwrap().to_owned(), chat["tokens_deducted"].as_i64().unwrap())
        })
        .collect();
    paid.sort();
    said.sort();
    assert_eq!(paid, said, "{}: each chat is paid once", person.name);

    for chat in chats {
        let price = match chat["receipt"]["model"].as_str().unwrap() {
            "quick" => PRICE,
            _ => fares::price_with_writes(&chat["usage"]).min(fares::held(chat)),
        };
        assert_eq!(chat["tokens_deducted"], price, "{}: {chat}", person.name);
    }
    let spent = account.spent.get();
    let of_chats = said.iter().map(|(_, price)| price.unsigned_abs()).sum::<u64>();
    let of_embeddings = embedded.iter().map(|row| row.amount.unsigned_abs()).sum::<u64>();
    assert_eq!(of_chats + of_embeddings, spent, "{}", person.name);
    assert!(account.reservations.is_empty(), "{}", person.name);
    assert_eq!(
        account.tokens.get() + account.spent.get(),
        account.granted.get(),
        "{}",
        person.name
    );
    ((chats.len() + embedded.len()).try_into().unwrap(), spent)
}

/// Starts the program with this test's store.
fn program(dynamodb: &str) -> RunningServer {
    let mut program = command(&["--port", "0", "--memory"]);
    program.env("DYNAMODB_ENDPOINT", dynamodb).env("AI_PROVIDER", "scripted");
    RunningServer::of(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_balance_after_500_requests_over_a_breaking_wire() {
    // The output is printed if the test fails.
    let seed = std::env::var("BANK_SEED")
        .map_or_else(|_| Uuid::new_v4().as_u64_pair().0, |seed| seed.parse().unwrap());
    println!("BANK_SEED={seed}");
    // The test's process opens three connections per chat, and many systems allow a process only a
    // thousand open files.
    rlimit::increase_nofile_limit(8192).unwrap();
    let mut api = Api::own(&[]).await;
    let list = fares::list_with_writes("scripted");
    api.stores_prices(&fares::with_embeddings(list, "scripted")).await;
    let proxy = Proxy::start(&api.dynamodb).await;
    let lane = proxy.lane();
    let running = program(&lane.url);
    api.url.clone_from(&running.url);

    let people = join_all((0..PEOPLE).map(|_| api.person("ann"))).await;
    let taken = i64::try_from(GRANT - LEFT).unwrap();
    join_all(people[..POOR].iter().map(|person| api.adjust(person, -taken, "spent elsewhere")))
        .await;
    let granted = GRANT * (PEOPLE - POOR) as u64 + LEFT * POOR as u64;

    let api_keys = join_all(people.iter().map(async |person| {
        person.makes_a_key("a program").await.is(201)["key"].as_str().unwrap().to_owned()
    }));
    let api_keys = api_keys.await;
    let wishes: Vec<_> = (0..CHATS).map(|number| Wish::new(number, &people, &api_keys)).collect();
    let (over, started) = (AtomicBool::new(false), Instant::now());
    lane.storm(Storm { seed, percent: PERCENT });
    let chats = async {
        let statuses = join_all(wishes.iter().map(Wish::send)).await;
        over.store(true, Ordering::Relaxed);
        statuses
    };
    let (statuses, read) = join(chats, read_balances(&people, granted, &over)).await;
    let struck = lane.times_struck();
    lane.calm();
    let mut counted = BTreeMap::<u16, u64>::new();
    for status in &statuses {
        *counted.entry(*status).or_default() += 1;
    }
    println!(
        "{CHATS} requests in {:.1?}: {counted:?}; {struck} faults; {read} balances read meanwhile",
        started.elapsed()
    );
    assert!(
        [200, 402, 502].iter().all(|status| counted.contains_key(status)) && struck > 0 && read > 0
    );
    assert!(counted.keys().all(|status| [200, 402, 409, 502, 503].contains(status)));
    assert!(!lane.overdrawn(), "the store showed a negative balance");

    // Delivers the calls that were lost earlier. If such a call reserves credits, the audit accepts
    // the new hold, and the credits are returned when the lease ends.
    lane.deliver().await;
    manage(&api.dynamodb, "audit");
    let ended = end_leases(&api, &people).await;
    let settled = manage(&api.dynamodb, "settle");
    assert!(settled.starts_with(&format!("{ended} holds of ")), "{settled}");

    let (mut stored, mut spent) = (0, 0);
    for (index, person) in people.iter().enumerate() {
        let told: Vec<_> =
            wishes.iter().zip(statuses.iter().copied()).skip(index).step_by(PEOPLE).collect();
        let (chats, price) = is_right(person, &told).await;
        (stored, spent) = (stored + chats, spent + price);
    }
    let unknown = [409, 503].iter().filter_map(|status| counted.get(status)).sum::<u64>();
    assert!((counted[&200]..=counted[&200] + unknown).contains(&stored), "{stored} chats");
    let accounts = join_all(people.iter().map(|person| api.account(person))).await;
    assert_eq!(accounts.iter().map(|account| account.tokens.get()).sum::<u64>(), granted - spent);
    let rows = PEOPLE + POOR + usize::try_from(stored).unwrap();
    assert_eq!(
        manage(&api.dynamodb, "audit"),
        format!("{PEOPLE} accounts, {rows} rows, no difference\n")
    );
}
