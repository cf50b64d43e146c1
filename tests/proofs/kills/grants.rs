//! Kills (SIGKILL) the real Lambda binaries of functions that move credits in other ways: through
//! payment events, and through programs' chats. These chats use a limited API key, and the account
//! first receives its allowance. Each function is killed before and after each of its calls to the
//! store.

use emulator::checkout::signature;
use futures_util::stream::{StreamExt, iter};
use reqwest::Method;
use serde_json::{Value, json};
use shared::store::Order;

use crate::endpoints::chats::fares;
use crate::support::client::{GRANT, Person, a_pack};
use crate::support::function::{Reply, event};
use crate::support::lambda::{Instance, binary};
use crate::support::proxy::{Fault, FaultPoint, FaultRepeat, Lane, Plan};
use crate::support::rig::Rig;
use crate::support::world::World;

/// The secret that signs the events.
const SECRET: &str = "whsec_of_the_tests_that_kill_functions_0123456789";

/// The credits and the price of the pack.
const TOKENS: u64 = 1000;
const MONEY: u64 = 299;

/// The API key's limit, which covers the holds of several chats.
const LIMIT: u64 = 3000;

/// The program's message. The AI reads a part of the prompt from its cache, and writes another part
/// into it.
const MESSAGE: &str = "!used 30 10+5 20 hi";

/// The balance to which the allowance tops up the account.
const FILLED: u64 = GRANT + 500;

/// The work of the function that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Working {
    /// An event reports that an order is paid.
    Payment,
    /// A program sends a chat with a limited API key, and the account hasn't received its allowance
    /// yet.
    LimitedChat,
    /// The same with a text completion, and with a streamed message of Anthropic's API.
    LimitedText,
    LimitedMessage,
}

impl Working {
    fn endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::Payment => ("stripe_webhook", "/api/stripe/webhook"),
            Self::LimitedChat => ("completions", "/v1/chat/completions"),
            Self::LimitedText => ("text_completions", "/v1/completions"),
            Self::LimitedMessage => ("messages", "/v1/messages"),
        }
    }

    /// Returns the header with an API key.
    fn credential(self, key: &str) -> (&'static str, String) {
        match self {
            Self::LimitedMessage => ("x-api-key", key.to_owned()),
            _ => ("authorization", format!("Bearer {key}")),
        }
    }
}

/// Work whose function is killed.
struct Case {
    working: Working,
    lane: Lane,
    who: Person,
    /// The API key of a chat, or the order of a payment.
    about: String,
}

impl Case {
    async fn of(rig: &Rig, working: Working) -> Self {
        let who = rig.person().await;
        let about = match working {
            Working::Payment => {
                let account = rig.api.account(&who).await;
                let pack = a_pack(TOKENS, MONEY);
                let order = Order::new(&account, &pack, &rig.api.server().clock);
                rig.api.store().create_order(&account, &order).await.unwrap();
                order.id().to_owned()
            }
            Working::LimitedChat | Working::LimitedText | Working::LimitedMessage => {
                let key = json!({ "name": "a program", "limit": { "tokens": LIMIT } });
                let key = who.post("/api/user/api-keys", key).await.is(201);
                key["key"].as_str().unwrap().to_owned()
            }
        };
        Self { working, lane: rig.proxy.lane(), who, about }
    }

    async fn instance(&self) -> Instance {
        let settings = [
            ("DYNAMODB_ENDPOINT", self.lane.url.as_str()),
            ("AI_PROVIDER", "scripted"),
            ("ALLOWANCE", &format!("{FILLED}/month")),
            ("STRIPE_WEBHOOK_SECRET", SECRET),
        ];
        Instance::of(self.working.endpoint().0, &settings).await
    }

    fn body(&self) -> Value {
        match self.working {
            Working::Payment => {
                let session = json!({
                    "object": "checkout.session", "id": "cs_1", "client_reference_id": self.about,
                    "metadata": { "order": self.about }, "status": "complete",
                    "payment_status": "paid", "amount_total": MONEY, "amount_subtotal": MONEY,
                    "currency": "eur", "payment_intent": format!("pi_{}", self.about),
                });
                let completed = "checkout.session.completed";
                json!({ "type": completed, "created": 1_796_000_000, "data": { "object": session } })
            }
            Working::LimitedChat => {
                json!({ "model": "deep", "messages": [{ "role": "user", "content": MESSAGE }] })
            }
            Working::LimitedText => json!({ "model": "deep", "prompt": MESSAGE }),
            Working::LimitedMessage => json!({
                "model": "deep", "messages": [{ "role": "user", "content": MESSAGE }],
                "max_tokens": 1000, "stream": true,
            }),
        }
    }

    fn request(&self, now: u64, again: &str) -> Value {
        let (endpoint, path) = self.working.endpoint();
        let signed = signature(SECRET, &self.body().to_string(), now);
        let (name, credential) = self.working.credential(&self.about);
        let headers = match self.working {
            Working::Payment => vec![("Stripe-Signature", signed.as_str())],
            _ => vec![(name, credential.as_str()), ("x-stainless-retry-count", again)],
        };
        event(endpoint, path, &headers, &self.body())
    }

    /// Runs a function until it is killed before or after its call with this number.
    async fn is_killed(&self, now: u64, call: usize, fault: Fault) {
        let instance = self.instance().await;
        let at = FaultPoint::Call(call);
        self.lane.strike(Some(Plan { at, fault, strikes: FaultRepeat::FromThenOn }));
        instance.takes(&self.request(now, "0"));
        self.lane.struck().await;
        instance.kill();
        self.lane.calm();
    }

    /// Runs a function again, this time without killing it.
    async fn works(&self, now: u64) -> Reply {
        let mut instance = self.instance().await;
        instance.takes(&self.request(now, "1"));
        instance.answers().await.at_its_end()
    }

    async fn is_right(&self, rig: &Rig, world: &World, moment: &str) {
        let what = (moment, self.working);
        assert_eq!(world.audit(&self.who.id), [""; 0], "{what:?}");
        let found = rig.api.store().audit(&self.who.name).await.unwrap().differences;
        assert_eq!(found, [], "{what:?}");
        let allowances = world.ledger(&self.who.id).iter().filter(|row| row.allowance.is_some());
        assert!(allowances.count() <= 1, "{what:?}");
    }
}

/// Returns how many calls the work makes if the function isn't killed. Calls during the function's
/// start aren't counted.
async fn calls(rig: &Rig, working: Working) -> usize {
    let case = Case::of(rig, working).await;
    let mut instance = case.instance().await;
    let before = case.lane.calls().len();
    instance.takes(&case.request(rig.now(), "0"));
    let reply = instance.answers().await.at_its_end();
    assert_eq!(reply.status, 200, "{working:?}: {}", reply.body);
    case.lane.calls().len() - before
}

async fn killed_at_each_call(rig: &Rig, working: Working) -> Vec<Case> {
    binary(working.endpoint().0);
    let mut points = Vec::new();
    for call in 1..=calls(rig, working).await {
        points.extend([(call, Fault::StallBefore), (call, Fault::StallAfter)]);
    }
    let now = rig.now();
    // Don't run more functions at a time: on a busy machine, they would exceed their time limits.
    let cases = iter(points).map(|(call, fault)| async move {
        let case = Case::of(rig, working).await;
        case.is_killed(now, call, fault).await;
        case
    });
    let cases: Vec<Case> = cases.buffer_unordered(4).collect().await;
    let world = rig.world().await;
    for case in &cases {
        case.is_right(rig, &world, "after the kill").await;
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_events_of_payments_grant_once() {
    let rig = Rig::of_processes().await;
    let cases = killed_at_each_call(&rig, Working::Payment).await;
    // Stripe resends the event until it is confirmed, and sometimes even after that.
    for _ in 0..2 {
        for case in &cases {
            let reply = case.works(rig.now()).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
        let world = rig.world().await;
        for case in &cases {
            case.is_right(&rig, &world, "after the event again").await;
            assert_eq!(world.accounts[&case.who.id].tokens.get(), GRANT + TOKENS);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_chats_with_limited_keys_are_charged_once() {
    for working in [Working::LimitedChat, Working::LimitedText, Working::LimitedMessage] {
        // A program's retry is recognized for 15 minutes, and the lease takes most of them. So each
        // kind of work has a clock of its own.
        let rig = Rig::of_processes().await;
        rig.api.prices(&fares::list_with_writes_through(&["scripted", "openai"])).await;
        let cases = killed_at_each_call(&rig, working).await;
        rig.after_the_lease();
        rig.sweep().await;
        are_charged_once(&rig, &cases).await;
    }
}

/// Repeats the chats of these cases, and then sends each again as a new chat.
async fn are_charged_once(rig: &Rig, cases: &[Case]) {
    let world = rig.world().await;
    for case in cases {
        case.is_right(rig, &world, "after the sweep").await;
        assert_eq!(world.at_rest(&case.who.id), [""; 0]);
        let (name, credential) = case.working.credential(&case.about);
        for count in ["1", "0"] {
            let headers = [(name, credential.as_str()), ("x-stainless-retry-count", count)];
            let (_, path) = case.working.endpoint();
            rig.api.send(Method::POST, path, &headers, Some(case.body())).await.is(200);
        }
    }
    let world = rig.world().await;
    for case in cases {
        case.is_right(rig, &world, "after two chats").await;
        let account = &world.accounts[&case.who.id];
        // A chat that is charged by usage costs less than its hold, and the rest returns to the
        // purse.
        let purses = account.purses.as_ref().unwrap().values();
        assert_eq!(purses.map(|purse| purse.get()).sum::<u64>(), account.spent.get());
        assert!([GRANT, FILLED].contains(&account.granted.get()));
        let chats = world.chats(&case.who.id);
        assert_eq!(chats.len(), 2);
        assert!(chats.iter().all(|chat| chat.usage.is_some_and(|usage| usage.written_tokens == 5)));
    }
}
