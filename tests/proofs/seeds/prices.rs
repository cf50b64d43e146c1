//! The price lists that an administrator sets in a schedule, and the prices of chats with these
//! lists. The prices are computed here independently of the product's code.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use serde_json::{Value, json};
use shared::App;
use shared::cache::{Prices, Refused};
use shared::charge::prompt_overhead;
use shared::clock::Clock;
use shared::values::{Fare, PriceList, Rates, TokenEstimate};

use super::stored_chat::thought;
use super::task::ChatRequest;
use super::wire::text_after;
use super::{Checked, PRICE, ensure};

/// How long a function keeps the price list, in seconds.
const KEPT: u64 = 60;

/// The minimum number of model tokens that a hold must allow for an answer.
const LEAST_ANSWER: u32 = 64;

/// The number of model tokens that a bound adds to a text whose embeddings are requested.
const OF_TEXT: u64 = 16;

/// The maximum number of model tokens that earlier chats add to a prompt: `CONTEXT_BYTES`, and the
/// model tokens that templates add to the turns of `CONTEXT_CHATS` chats.
const CONTEXT: u64 = 32_768 + 40 * 17;

/// The maximum number of model tokens that the instructions of a user and of a conversation add to
/// a prompt, as far as a function knows before it reads them.
const UNREAD_INSTRUCTIONS: u64 = 2 * (3 * 2000 + 200);

/// The user's instructions for the AI.
pub const INSTRUCTIONS: &str = "Be brief.";

/// A chat's model, and the command before its message.
pub type Chosen = (Option<&'static str>, &'static str);

/// The models that chats request. Some lists lack some of these models.
pub const MODELS: [Option<&str>; 5] =
    [None, Some("quick"), Some("deep"), Some("deep"), Some("wide")];

/// The models that are charged by usage in every list that contains them.
pub const BY_USAGE: &[Option<&str>] = &[Some("deep"), Some("deep"), Some("wide")];

/// Commands that precede a message. They make the provider report the model tokens of the prompt,
/// of the part read from the cache (and the part written into it), and of the answer. Without a
/// command, these counts are estimated. Some counts exceed the upper bound for every prompt, or are
/// impossible. Some answers are cut off, some report their counts too early, some fail at the very
/// end, and some are followed by a failure.
pub const USED: [&str; 11] = [
    "",
    "",
    "!used 700 200+300 90 ",
    "!used 1000 900+500 64 ",
    "!used 50000 9 3000 ",
    "!used 900 0 0 ",
    "!ends length 700 200 90 ",
    "!ends early 700 200 1 ",
    "!ends early 700 200+100 90 ",
    "!ends late 700 200 90 ",
    FAILS,
];

/// The name of the model for embeddings, which every list contains.
pub const EMBEDDER: &str = "small";

/// The reasoning before an answer, and a command that makes the provider reason in this way. The
/// answer repeats the rest of the message.
pub const THOUGHT: &str = "Hm.";
pub const THINKS: &str = "!think Hm. ";

/// A command that makes the provider fail at the end of its answer.
pub const FAILS: &str = "!ends error 700 200 90 ";

/// The price lists. In these lists, holds and charges are about as large as the accounts' grants.
pub static LISTS: LazyLock<Vec<PriceList>> = LazyLock::new(|| {
    let model = |name: &str, fare: Value, most: u32| json!({ "name": name, "via": ["scripted", "echo"], "fare": fare, "most": most });
    let usage = |input: u32, cached: u32, output: u32| json!({ "input": input, "cached": cached, "output": output });
    let writes = |mut fare: Value, write: u32| {
        fare["write"] = json!(write);
        fare
    };
    let flat = |price: u32| json!({ "message": price });
    let embedder = |fare: Value| json!({ "name": EMBEDDER, "kind": "embedding", "via": ["scripted", "echo"], "fare": fare });
    let lists = [
        [
            model("quick", flat(70), 1000),
            model("deep", usage(5000, 1000, 400_000), 200),
            model("wide", writes(usage(20_000, 30_000, 100_000), 10_000), 500),
            embedder(json!({ "input": 1_000_000 })),
        ]
        .to_vec(),
        [
            model("deep", writes(usage(10_000, 2000, 900_000), 12_500), 200),
            model("quick", flat(120), 1000),
            model("wide", usage(9000, 9000, 200_000), 300),
            embedder(json!({ "input": 2_300_000 })),
        ]
        .to_vec(),
        [
            model("quick", flat(0), 1000),
            model("deep", usage(2000, 500, 150_000), 400),
            embedder(flat(30)),
        ]
        .to_vec(),
    ];
    let read = |models| PriceList::read(&json!({ "models": models })).unwrap();
    lists.map(read).to_vec()
});

/// A function instance, which keeps its own copy of the price list.
pub struct Instance {
    pub app: App,
    /// The accounts that the instance has just refused a message.
    pub refused: Refused,
    /// The versions that the instance has read, each with the time until which it is kept, in
    /// seconds.
    reads: Vec<(Option<String>, u64)>,
    /// True if the instance failed to read the list at some point, so an older list may be in use.
    has_failed: bool,
}

impl Instance {
    /// Starts an instance, which reads the list.
    pub async fn start(app: &App, clock: &Clock) -> Self {
        let prices = Prices::new(app.store.clone(), clock.clone());
        let version = prices.read().await.unwrap().map(|prices| prices.of.version.clone());
        let app = App { prices, ..app.clone() };
        Self {
            app,
            refused: Refused::default(),
            reads: vec![(version, clock.seconds() + KEPT)],
            has_failed: false,
        }
    }

    /// Records that the instance has read the list. `reply` is the store's reply, or `None` for a
    /// fault.
    pub fn reads(&mut self, reply: Option<&str>, now: u64) {
        match reply {
            None => self.has_failed = true,
            Some(reply) => {
                let version = text_after(reply, r#""version":{"S":""#).map(str::to_owned);
                self.reads.push((version, now + KEPT));
            }
        }
    }

    /// Returns the list versions that may price a request that began at `since`, a time in seconds.
    pub fn known(&self, since: u64) -> Vec<Option<&str>> {
        let kept = self.reads.iter().filter(|(_, until)| self.has_failed || *until > since);
        kept.map(|(version, _)| version.as_deref()).collect()
    }
}

/// A chat, as requested by its client.
pub struct Asked<'a> {
    pub chat: &'a ChatRequest,
    /// True if the account has instructions for the AI.
    pub instructed: bool,
}

/// The name, the fare and the longest answer of a model.
type Terms = (&'static str, Fare, u32);

impl Asked<'_> {
    /// Returns the terms of the chat's model in a version of the price list. `None` if the list
    /// doesn't contain the model.
    pub fn terms(&self, version: Option<&str>) -> Option<Terms> {
        let Some(version) = version else {
            let price = shared::Credits::new(PRICE.unsigned_abs()).unwrap();
            return Some(("", Fare::Message(price), 0));
        };
        let list = LISTS.iter().find(|list| list.version() == version)?;
        let model = match self.chat.model {
            None => list.models.first()?,
            Some(name) => list.model(name)?,
        };
        let most = if self.chat.kind.embeds() { 0 } else { model.most? };
        Some((model.name.as_str(), model.fare, most))
    }

    /// Returns the maximum numbers of model tokens in the prompt: the high count without earlier
    /// chats, and the bound with them.
    fn prompts(&self) -> RangeInclusive<u64> {
        let message = self.chat.message.as_str();
        if self.chat.kind.embeds() {
            let bound = message.len() as u64 + OF_TEXT;
            return bound..=bound;
        }
        let overhead = prompt_overhead(None, self.instructed.then_some(INSTRUCTIONS));
        let high = TokenEstimate::high_of(message).min(message.len());
        overhead.high + high as u64..=*self.bounds().end()
    }

    /// Returns the bounds of the prompt, without and with earlier chats.
    fn bounds(&self) -> RangeInclusive<u64> {
        let overhead = prompt_overhead(None, self.instructed.then_some(INSTRUCTIONS));
        let alone = overhead.bound + self.chat.message.len() as u64;
        alone..=alone + if self.chat.conversation.is_some() { CONTEXT } else { 0 }
    }

    /// Returns the minimum number of credits that the chat needs, with and without earlier chats.
    pub fn least(&self, (_, fare, most): Terms) -> RangeInclusive<i64> {
        let of = |prompt| bound(fare, prompt, most.min(LEAST_ANSWER));
        of(*self.prompts().start())..=of(*self.prompts().end())
    }

    /// Returns the price of embeddings.
    pub fn of_embeddings(&self, terms: Terms) -> i64 {
        let (_, fare, _) = terms;
        let held = *self.least(terms).start();
        match fare {
            Fare::Message(_) => held,
            Fare::Usage(rates) => whole(self.tokens() * rates.input).min(held),
        }
    }

    /// Returns the number of model tokens in a text whose embeddings are requested: the provider's
    /// number, or otherwise an estimate.
    fn tokens(&self) -> u64 {
        let text = self.chat.message.as_str();
        let told = text.strip_prefix("!used ").and_then(|words| words.split(' ').next());
        told.map_or_else(|| TokenEstimate::of(text) as u64, |number| number.parse().unwrap())
    }

    /// Returns true if `cost` can be the lowest price of the refused chat under one of these
    /// versions, or enough for every conversation if the function hasn't read the chat's.
    pub fn costs(&self, cost: i64, known: &[Option<&str>]) -> bool {
        let unread = match self.chat.conversation {
            Some(_) => self.prompts().end() + UNREAD_INSTRUCTIONS,
            None => *self.prompts().end(),
        };
        let costs = |terms: Terms| {
            let (_, fare, most) = terms;
            let least = *self.least(terms).start();
            (least..=bound(fare, unread, most.min(LEAST_ANSWER))).contains(&cost)
        };
        known.iter().any(|version| self.terms(*version).is_some_and(costs))
    }

    /// Checks the price of a paid chat in its item and in its ledger row. `held` credits were held
    /// for the chat. For embeddings, `chat` has the contents of the row, because there is no item.
    pub fn is_priced(
        &self,
        known: &[Option<&str>],
        chat: &Value,
        row: &Value,
        held: i64,
        underheld: i64,
    ) -> Checked {
        let wrong = |what: &str| Err(format!("{what}: {held} were held for {chat}, with {row}"));
        let (receipt, cost) = (&chat["receipt"], chat["cost"].as_i64().unwrap());
        if row["receipt"] != *receipt || row["units"] != chat["units"] || row["amount"] != -cost {
            return wrong("a chat and its row differ");
        }
        let list = receipt["list"].as_str();
        let Some(terms) = self.terms(list).filter(|_| known.contains(&list)) else {
            return wrong("a chat was priced by a list that its function didn't know");
        };
        let (name, fare, most) = terms;
        if !self.underheld(terms, chat, held).contains(&underheld) {
            return wrong(&format!("{underheld} are counted above the hold"));
        }
        if list.is_none() {
            return if (cost, held) == (PRICE, PRICE) {
                Ok(())
            } else {
                wrong("not the flat price")
            };
        }
        if row["usage"] != chat["usage"] {
            return wrong("a chat and its row have different numbers");
        }
        if receipt["model"] != name || receipt["fare"] != json!(fare) || receipt["held"] != held {
            return wrong("a receipt isn't true");
        }
        let Fare::Usage(rates) = fare else {
            let is_fare = self.least(terms) == (cost..=cost) && cost == held;
            return if is_fare { Ok(()) } else { wrong("not the price of a message") };
        };
        let is_whole = receipt["whole"] == true;
        if is_whole != (chat["stopped"] == true && self.chat.kind.is_whole()) {
            return wrong("a hold was charged as a whole, or should have been");
        }
        let price = price_of(rates, &chat["usage"]).min(held);
        if cost != if is_whole { held } else { price } {
            return wrong("the charge isn't the price of the usage");
        }
        let bounds = self.prompts();
        let pays = |prompt| held >= bound(fare, prompt, most);
        let is_enough = match receipt["shortened"] == true {
            // Vectors can't be shortened.
            _ if self.chat.kind.embeds() => held == *self.least(terms).start(),
            true => !pays(*bounds.end()) && held >= *self.least(terms).start(),
            false => pays(*bounds.start()),
        };
        if !is_enough {
            return wrong("the hold doesn't pay for the longest answer");
        }
        self.is_counted(chat).or_else(|what| wrong(&what))
    }

    /// Returns by how much a paid chat's price may exceed its hold, without what neither its prompt
    /// nor its answer can have.
    fn underheld(&self, (_, fare, most): Terms, chat: &Value, held: i64) -> RangeInclusive<i64> {
        let (Fare::Usage(rates), false) = (fare, self.chat.kind.embeds()) else { return 0..=0 };
        let usage = &chat["usage"];
        let above = |limit: u32| {
            let mut usage = usage.clone();
            let answer = usage["completion_tokens"].as_u64().unwrap();
            usage["completion_tokens"] = json!(answer.min(limit.into()));
            (price_of(rates, &usage) - held).max(0)
        };
        let least = match chat["receipt"]["shortened"] == true {
            true => most.min(LEAST_ANSWER),
            false => most,
        };
        let prompt = usage["prompt_tokens"].as_u64().unwrap();
        let (alone, longest) = self.bounds().into_inner();
        let from = if prompt > alone { 0 } else { above(least) };
        from..=if prompt > longest { 0 } else { above(most) }
    }

    /// Returns how much free work a paid chat may count that was cut off before its model tokens were
    /// counted: at least `least`, and what its prompt may cost besides the charge.
    pub fn uncounted(&self, chat: &Value, least: i64) -> RangeInclusive<i64> {
        let prompt = chat["usage"]["prompt_tokens"].as_u64().unwrap();
        let input = chat["receipt"]["fare"]["input"].as_u64().unwrap();
        let of = |count: u64| whole(count.saturating_sub(prompt) * input).max(least);
        let (high, longest) = self.prompts().into_inner();
        // The provider may have counted the prompt.
        let may_be_counted = ["!used ", "!ends "].iter().any(|of| self.chat.message.contains(of));
        (if may_be_counted { least } else { of(high) })..=of(longest)
    }

    /// Checks a chat's token counts.
    fn is_counted(&self, chat: &Value) -> Checked {
        let usage = &chat["usage"];
        if self.chat.kind.embeds() {
            let is_right =
                usage["prompt_tokens"] == self.tokens() && usage["completion_tokens"] == 0;
            return ensure(is_right, "the model tokens of a text are counted wrongly");
        }
        let (how, words) = match self.chat.message.strip_prefix("!ends ") {
            Some(ends) => ends.split_once(' ').unwrap(),
            None => ("used", self.chat.message.strip_prefix("!used ").unwrap_or_default()),
        };
        // The second provider answers without token counts.
        let words = if chat["model"] == "echo" { "" } else { words };
        let (words, told_written) = match words.split_once('+') {
            None => (words.to_owned(), 0),
            Some((before, after)) => {
                let (written, rest) = after.split_once(' ').unwrap();
                (format!("{before} {rest}"), written.parse().unwrap())
            }
        };
        let told: Vec<u64> = words.split(' ').map_while(|word| word.parse().ok()).collect();
        let [prompt, cached, written, answer] =
            ["prompt_tokens", "cached_tokens", "written_tokens", "completion_tokens"]
                .map(|name| usage[name].as_u64().unwrap_or(0));
        let said = format!("{}{}", thought(chat), chat["response"].as_str().unwrap());
        let estimate = TokenEstimate::of(&said) as u64;
        let is_right = match told[..] {
            [told_prompt, told_cached, told_answer] if how == "early" => {
                let higher = estimate.max(told_answer);
                (prompt, cached, answer) == (told_prompt, told_cached, higher)
            }
            [told_prompt, told_cached, 0] => {
                (prompt, cached, answer) == (told_prompt, told_cached, estimate)
            }
            [told_prompt, told_cached, told_answer] => {
                (prompt, cached, answer) == (told_prompt, told_cached, told_answer)
            }
            _ => cached == 0 && answer == estimate,
        };
        let is_right = is_right && written == told_written.min(prompt - cached);
        let is_estimate = told.is_empty() || told[2] == 0 || how == "early";
        match is_right && usage["estimated"] == is_estimate {
            true => Ok(()),
            false => Err("the model tokens are counted wrongly".into()),
        }
    }
}

/// Returns the price of the longest prompt and an answer of `answer` model tokens.
fn bound(fare: Fare, prompt: u64, answer: u32) -> i64 {
    match fare {
        Fare::Message(price) => price.signed(),
        Fare::Usage(Rates { input, cached, write, output }) => {
            // The first provider may write into its cache.
            let dearest = input.max(cached).max(write.unwrap_or(0));
            whole(prompt * dearest + u64::from(answer) * output)
        }
    }
}

/// Returns the price of a stored usage.
fn price_of(Rates { input, cached, write, output }: Rates, usage: &Value) -> i64 {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let (from_cache, into_cache) = (number("cached_tokens"), number("written_tokens"));
    let rest = number("prompt_tokens") - from_cache - into_cache;
    let of_prompt = rest * input + from_cache * cached + into_cache * write.unwrap_or(input);
    whole(of_prompt + number("completion_tokens") * output)
}

/// Returns this many millionths of a credit as credits, rounded up.
fn whole(millionths: u64) -> i64 {
    i64::try_from(millionths.div_ceil(1_000_000)).unwrap()
}
