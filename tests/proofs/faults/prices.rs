//! Chats that are priced by usage are charged once, as stated in their receipts. A refused chat
//! holds nothing. A price list is set once or not at all.

use serde_json::{Value, json};
use shared::store::{SetPricesOutcome, StoreError};
use shared::values::{Chat, Entry, PriceList};

use super::{Case, Matrix, OwnStore, Scenario, none, one_store_each, side_by_side};
use crate::endpoints::chats::fares::{list_with_writes, price_with_writes};
use crate::portable::chat_stop::free_work;
use crate::support::client::{GRANT, Person};
use crate::support::function::{Reply, ask};
use crate::support::proxy::{Fault, Plan};
use crate::support::rig::Rig;
use crate::support::world::{World, scan};

/// A balance that covers a short answer, but not the hold of a new conversation.
const POOR: u64 = 300;

/// A balance, and a `max_cost`, that are too low for any answer.
const TOO_LITTLE: u64 = 20;

/// The command for an answer whose provider has read 1,000 of 3,000 model tokens from its cache, and
/// written 500 into it.
const WRITES: &str = "!used 3000 1000+500 30";

/// The model tokens that the provider has written, and the price of that answer.
const WRITTEN: (u32, u64) = (500, 124);

/// The command for an answer whose provider has written a prompt of 18,000 bytes into its cache, and
/// counts almost every byte as a model token. The price exceeds the hold.
const DEAR: &str = "!used 17500 0+17500 1024";

/// The price of that answer.
fn price_of_dear() -> u64 {
    let written = json!({
        "prompt_tokens": 17_500, "written_tokens": 17_500, "completion_tokens": 1024,
    });
    price_with_writes(&written)
}

/// The command for an answer whose provider reports more model tokens than there can be.
const WRONG: &str = "!used 4294967295 0 4294967295";

/// The chat under test. The model is charged by usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pricing {
    Chat,
    KeyedChat,
    StreamedChat,
    /// The provider has written a part of the prompt into its cache.
    WrittenChat,
    WrittenStream,
    FailingChat,
    /// The price exceeds the hold, which the account counts.
    DearChat,
    DearStream,
    /// The price exceeds the ceiling ten thousand times, which nobody counts.
    WrongChat,
    /// The credits are reserved twice, because the balance covers only the actual prompt.
    PoorChat,
    KeyedPoorChat,
    /// `max_cost` shortens the answer.
    CheapChat,
    /// `max_cost` is too low for any answer, so the hold is released.
    TooDear,
    KeyedTooDear,
    /// The balance is too low for any answer. The user then buys credits.
    TooPoor,
    KeyedTooPoor,
}

impl Pricing {
    const ALL: [Self; 16] = [
        Self::Chat,
        Self::KeyedChat,
        Self::StreamedChat,
        Self::WrittenChat,
        Self::WrittenStream,
        Self::FailingChat,
        Self::DearChat,
        Self::DearStream,
        Self::WrongChat,
        Self::PoorChat,
        Self::KeyedPoorChat,
        Self::CheapChat,
        Self::TooDear,
        Self::KeyedTooDear,
        Self::TooPoor,
        Self::KeyedTooPoor,
    ];

    fn has_a_key(self) -> bool {
        matches!(
            self,
            Self::KeyedChat | Self::KeyedPoorChat | Self::KeyedTooDear | Self::KeyedTooPoor
        )
    }

    /// The balance before the chat.
    fn balance(self) -> u64 {
        match self {
            Self::PoorChat | Self::KeyedPoorChat => POOR,
            Self::TooPoor | Self::KeyedTooPoor => TOO_LITTLE,
            _ => GRANT,
        }
    }

    fn is_too_poor(self) -> bool {
        self.balance() == TOO_LITTLE
    }

    fn max_cost(self) -> Option<u64> {
        match self {
            Self::CheapChat => Some(POOR),
            Self::TooDear | Self::KeyedTooDear => Some(TOO_LITTLE),
            _ => None,
        }
    }

    fn endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::StreamedChat | Self::WrittenStream | Self::DearStream => {
                ("chat_stream", "/api/chat/stream")
            }
            _ => ("chat", "/api/chat"),
        }
    }

    /// A message that no other case sends.
    fn message(self, who: &Person) -> String {
        let command = match self {
            Self::FailingChat => "!fail",
            Self::WrittenChat | Self::WrittenStream => WRITES,
            Self::WrongChat => WRONG,
            Self::DearChat | Self::DearStream => {
                let text = "The quick brown fox jumps over the lazy dog. ".repeat(400);
                return format!("{DEAR} {text}{}", who.name);
            }
            _ => "hi",
        };
        format!("{command} {}", who.name)
    }

    /// The price of the answer up to its ceiling, if it exceeds the hold.
    fn price_above_the_hold(self) -> Option<u64> {
        matches!(self, Self::DearChat | Self::DearStream).then(price_of_dear)
    }

    /// The expected reply if there is no fault.
    fn usual(self) -> (u16, &'static str) {
        match self {
            Self::FailingChat => (502, "ai_failed"),
            Self::TooDear | Self::KeyedTooDear => (409, "costs_more"),
            Self::TooPoor | Self::KeyedTooPoor => (402, "insufficient_tokens"),
            _ => (200, ""),
        }
    }

    /// The replies to a retry while the first request's hold may exist.
    fn retried(self) -> Vec<(u16, &'static str)> {
        let mut expected = vec![self.usual()];
        expected.extend(self.has_a_key().then_some((409, "idempotency_key_running")));
        // The first request's hold may contain the whole balance.
        expected.extend((self == Self::PoorChat).then_some((402, "insufficient_tokens")));
        // The user has bought credits.
        expected.extend(self.is_too_poor().then_some((200, "")));
        expected
    }

    /// The replies to a retry after the lease has expired.
    fn retried_later(self) -> Vec<(u16, &'static str)> {
        match self {
            Self::KeyedTooPoor => self.retried(),
            _ => vec![self.usual()],
        }
    }
}

impl Scenario for Pricing {
    type Reply = Reply;
    /// The price list's version.
    type Own = String;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let who = rig.person().await;
        if self.balance() < GRANT {
            let lost = i64::try_from(GRANT - self.balance()).unwrap();
            rig.api.adjust(&who, -lost, "a test").await;
        }
        let version = PriceList::read(&list_with_writes("openai")).unwrap().version();
        let case = Case::new(rig, self.endpoint().0, self, plan, retries, who, version);
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Reply {
        let (bearer, scenario) = (case.who.bearer(), case.scenario);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(scenario.has_a_key().then_some(("idempotency-key", "k1")));
        let message = scenario.message(&case.who);
        let body = json!({ "message": message, "model": "deep", "max_cost": scenario.max_cost() });
        let (endpoint, path) = scenario.endpoint();
        ask(case.function(), endpoint, path, &headers, body).await
    }

    fn is_usual(self, reply: &Reply) -> bool {
        (reply.status, reply.code()) == self.usual()
    }
}

/// Returns the rules about prices that a chat and its row violate.
fn mispriced(chat: &Chat, rows: &[Entry], version: &str) -> Vec<String> {
    let Some(receipt) = &chat.receipt else {
        return vec![format!("a chat without a receipt: {chat:?}")];
    };
    let mut wrong = Vec::new();
    if (receipt.list.as_str(), receipt.model.as_str()) != (version, "deep") {
        wrong.push(format!("another list or model: {chat:?}"));
    }
    if chat.cost != receipt.charge(chat.usage.as_ref(), chat.units) || chat.cost > receipt.held {
        wrong.push(format!("a charge that isn't the receipt's: {chat:?}"));
    }
    let row = rows.iter().find(|row| row.entry_id == chat.chat_id);
    let of_row = row.map(|row| (row.receipt.as_ref(), row.usage, row.units));
    if of_row != Some((chat.receipt.as_ref(), chat.usage, chat.units)) {
        wrong.push(format!("a row that was priced differently: {row:?} for {chat:?}"));
    }
    wrong
}

impl Case<Pricing> {
    /// Sends the request with its fault injected. A user whose balance is too low buys credits
    /// before the late copies arrive.
    async fn runs_and_buys(&mut self, rig: &Rig) {
        self.asks().await;
        let struck = self.plan.is_none() || self.lane.strikes().await;
        if self.scenario.is_too_poor() {
            rig.api.adjust(&self.who, 10_000, "bought").await;
        }
        self.lane.deliver().await;
        self.was_met(struck);
    }

    /// Checks the rules that hold whenever no request is running.
    fn audit(&mut self, moment: &str, world: &World, now: u64) {
        let (id, scenario) = (self.who.id.clone(), self.scenario);
        let mut wrong = world.audit(&id);
        if self.lane.overdrawn() {
            wrong.push("the balance was negative".into());
        }
        let mut expected = scenario.retried();
        expected.extend([(502, "ai_failed"), (503, "unavailable"), (503, "not_charged")]);
        for reply in &self.replies {
            wrong.extend(reply.audit(&expected));
        }
        let (chats, account) = (world.chats(&id), &world.accounts[&id]);
        for chat in chats {
            wrong.extend(mispriced(chat, world.ledger(&id), &self.own));
            let written = chat.usage.map_or(0, |usage| usage.written_tokens);
            let is_written = matches!(scenario, Pricing::WrittenChat | Pricing::WrittenStream);
            if is_written && (written, chat.cost.get()) != WRITTEN {
                wrong.push(format!("the written tokens aren't charged: {chat:?}"));
            }
            let most = scenario.max_cost().unwrap_or(u64::MAX);
            if chat.cost.get() > most
                || chat.receipt.as_ref().is_some_and(|of| of.held.get() > most)
            {
                wrong.push(format!("more than max_cost: {chat:?}"));
            }
        }
        // Free work that can't be prepared for isn't counted.
        let above: u64 = scenario.price_above_the_hold().map_or(0, |price| {
            chats.iter().map(|chat| price.saturating_sub(chat.cost.get())).sum()
        });
        let counted = free_work(account, "h");
        if counted > above || (self.plan.is_none() && counted < above) {
            wrong.push(format!("{counted} are counted, and {above} exceed the holds"));
        }
        if scenario.price_above_the_hold().is_some() && above == 0 && !chats.is_empty() {
            wrong.push("the price didn't exceed the hold".into());
        }
        let mut known = Vec::new();
        for reply in self.replies.iter().filter(|reply| reply.status == 200) {
            let Some(chat) = chats.iter().find(|chat| reply.body["id"] == chat.chat_id) else {
                wrong.push(format!("an answer was served and no chat is stored: {}", reply.body));
                continue;
            };
            known.push(chat.chat_id.as_str());
            let shown = ["tokens_deducted", "tokens_left"].map(|field| reply.body[field].clone());
            if shown != [json!(chat.cost), json!(chat.tokens_left)] {
                wrong.push(format!("{} is not the chat {chat:?}", reply.body));
            }
        }
        known.sort_unstable();
        known.dedup();
        let unknown = self.replies.iter().filter(|reply| reply.is_unknown()).count();
        let most = if scenario.has_a_key() { 1 } else { known.len() + unknown };
        if !(known.len()..=most.min(known.len() + unknown)).contains(&chats.len()) {
            wrong.push(format!(
                "{} chats were charged, {} were answered and {unknown} are unknown",
                chats.len(),
                known.len()
            ));
        }

        // Refusals hold nothing. After other replies, credits may be held until the lease ends.
        let is_open = |reply: &&Reply| reply.is_unknown() || reply.detail().contains("tokens held");
        let open = self.replies.iter().filter(is_open).count();
        // If the wire duplicates a reserve, the duplicate may place one more hold.
        let copied = usize::from(self.plan.is_some_and(|plan| plan.fault == Fault::Again));
        let live: Vec<u64> = account
            .reservations
            .values()
            .filter(|held| held.expires_at > now)
            .map(|held| held.cost.get())
            .collect();
        if live.len() > open + copied {
            wrong.push(format!("{live:?} are held and {open} requests have an unknown outcome"));
        }
        let free = account.balance(now).get() + live.iter().sum::<u64>() + account.spent.get();
        if free != account.granted.get() {
            let shown = account.balance(now);
            wrong.push(format!("the balance that is shown, {shown}, is not what is free"));
        }
        self.notes(moment, wrong);
    }
}

async fn run(rig: &Rig, matrix: Matrix<Pricing>) -> (usize, Vec<String>) {
    rig.api.prices(&list_with_writes("openai")).await;
    // All cases share the functions' cached list, so that no request with an injected fault reads
    // the list.
    for app in rig.api.server().apps.values() {
        app.prices.read().await.unwrap();
    }
    let mut cases = matrix.cases(rig).await;
    side_by_side(&mut cases, async |case| {
        if case.plan.is_some() {
            case.runs_and_buys(rig).await;
        }
    })
    .await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("after the request", &world, rig.now());
        case.lane.calm();
    }

    side_by_side(&mut cases, async |case| {
        if case.retries {
            case.runs_again(&case.scenario.retried()).await;
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after it was sent again", &world, rig.now()));

    rig.after_the_lease();
    side_by_side(&mut cases, async |case| {
        if case.retries && case.scenario.has_a_key() {
            case.runs_again(&case.scenario.retried_later()).await;
        }
    })
    .await;
    let world = rig.world().await;
    cases.iter_mut().for_each(|case| case.audit("after the lease", &world, rig.now()));

    // The chats that began after the first lease hold nothing, but are still in the `due` index.
    rig.after_the_lease();
    rig.sweep().await;
    let rest = rig.world().await;
    for case in &mut cases {
        case.audit("after the sweep", &rest, rig.now());
        case.notes("after the sweep", rest.at_rest(&case.who.id));
    }

    side_by_side(&mut cases, async |case| case.lane.deliver_much_later().await).await;
    rig.after_the_lease();
    rig.sweep().await;
    let world = rig.world().await;
    for case in &mut cases {
        case.audit("at the end", &world, rig.now());
        case.notes("at the end", world.at_rest(&case.who.id));
        let numbers = |of: &World| {
            let account = &of.accounts[&case.who.id];
            (account.tokens, account.spent, of.chats(&case.who.id).len())
        };
        let changed = numbers(&rest) != numbers(&world);
        case.notes("at the end", changed.then(|| "a late copy changed something for good".into()));
    }
    (cases.len(), cases.iter().flat_map(Case::verdict).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_by_usage_are_charged_their_receipt_at_most_once() {
    let rig = Rig::start().await;
    none(run(&rig, Matrix::of(&Pricing::ALL)).await);
}

/// A change of the price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    First,
    Replacing,
    Removing,
}

impl Setting {
    /// The list before the change.
    fn before(self) -> Option<PriceList> {
        (self != Self::First).then(|| PriceList::read(&list_with_writes("echo")).unwrap())
    }

    fn after(self) -> Option<PriceList> {
        (self != Self::Removing).then(|| PriceList::read(&list_with_writes("scripted")).unwrap())
    }

    /// The current version and the number of actions, before or after the change.
    fn state(self, is_done: bool) -> (Option<String>, usize) {
        let current = if is_done { self.after() } else { self.before() };
        let acts = usize::from(self != Self::First) + usize::from(is_done);
        (current.as_ref().map(PriceList::version), acts)
    }
}

impl Scenario for Setting {
    type Reply = Result<SetPricesOutcome, StoreError>;
    type Own = OwnStore;

    async fn begin(self, rig: &Rig, plan: Option<Plan>, retries: bool) -> Case<Self> {
        let case = Case::scheduled(rig, "admin_models_change", self, plan, retries).await;
        if let Some(before) = self.before() {
            let (store, clock) = (&case.app.store, &case.app.clock);
            store.set_list(None, Some(&before), None, clock).await.unwrap();
        }
        case.lane.strike(plan);
        case
    }

    async fn ask(case: &Case<Self>) -> Self::Reply {
        let (before, after) = (case.scenario.before(), case.scenario.after());
        let seen = before.as_ref().map(PriceList::version);
        let clock = &case.app.clock;
        case.app.store.set_list(None, after.as_ref(), seen.as_deref(), clock).await
    }

    fn is_usual(self, reply: &Self::Reply) -> bool {
        matches!(reply, Ok(SetPricesOutcome::Set(_)))
    }
}

impl Case<Setting> {
    async fn sets_once(&mut self) {
        self.runs().await;
        self.lane.calm();
        self.audit("after the request").await;
        // The retry finds the change, or makes it.
        self.lane.forgets_tokens();
        self.asks().await;
        let unanswered = self.replies.last().filter(|reply| reply.is_err());
        let unanswered = unanswered.map(|reply| format!("{reply:?}"));
        self.notes("sent again", unanswered);
        self.audit("after it was sent again").await;
        self.lane.deliver_much_later().await;
        self.audit("after late copies").await;
    }

    async fn audit(&mut self, moment: &str) {
        let (scenario, mut wrong) = (self.scenario, Vec::new());
        for reply in &self.replies {
            if !matches!(reply, Ok(_) | Err(StoreError::Unavailable(_) | StoreError::Throttled(_)))
            {
                wrong.push(format!("this reply is wrong: {reply:?}"));
            }
        }
        let is_set = self.replies.iter().any(|reply| scenario.is_usual(reply));
        let is_changed = self.replies.contains(&Ok(SetPricesOutcome::Changed));
        let url = &self.own.dynamo.url;
        let tokens: Vec<Value> = scan(url, "TokensTable").await;
        let stored = |key: &str| tokens.iter().find(|item| item["pk"] == key);
        let current = stored("models:current").map(|item| item["version"].as_str().unwrap());
        let rows: Vec<Value> = scan(url, "LedgerTable").await;
        let acts = rows.iter().filter(|row| row["kind"] == "prices").count();
        let state = (current.map(str::to_owned), acts);
        let is_done = state == scenario.state(true);
        if !is_done && (is_set || is_changed || state != scenario.state(false)) {
            wrong.push(format!("the list and its acts are {state:?}"));
        }
        if let Some(version) = current
            && stored(&format!("models:{version}")).is_none()
        {
            wrong.push(format!("the version {version} isn't kept"));
        }
        self.notes(moment, wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn price_lists_are_set_once_or_not_at_all_under_any_fault() {
    let rig = Rig::start().await;
    let matrix = Matrix::of(&[Setting::First, Setting::Replacing, Setting::Removing]);
    none(one_store_each(&rig, matrix, async |case| case.sets_once().await).await);
}
