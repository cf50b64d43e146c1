//! The resources that one request needs from AWS. The round trips and units of each request are in
//! docs/internals/costs.tsv, which `tests/proofs/budget.rs` measures.

use shared::config::STOP_PACE;

use super::assumptions::{
    ANSWERED, CHAT_ITEM, CONVERSATION, CPU, HASH, LOG, REPLIES, REPLY, ROUND_TRIP, START, STARTS,
    TEXT,
};
use super::stack::Stack;

/// The costs of all requests, which `tests/proofs/budget.rs` measures.
const COSTS: &str = include_str!("../../../docs/internals/costs.tsv");

/// A row in docs/internals/costs.tsv.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The name of the request.
    pub request: String,
    /// The function that answers the request.
    pub function: String,
    /// The number of consecutive steps in which the store is called. Each step waits for the
    /// previous one.
    pub round_trips: u32,
    /// The number of write units.
    pub writes: f64,
    /// The number of read units.
    pub reads: f64,
    /// A description of the steps. Semicolons separate round trips.
    pub steps: String,
}

/// The most common kind of chat.
pub const CHAT: &str = "chat in a conversation with a key";
/// The most common kind of streamed chat.
pub const STREAMED: &str = "streamed chat in a conversation with a key";
/// The work that a sweep does for each account that has begun a chat since the last sweep.
pub const SWEEP: &str = "sweep of one account";
/// A census of a store with one account. Each additional account costs one more read unit.
pub const CENSUS: &str = "census of one account";
/// A page file, such as a script. docs/internals/costs.tsv doesn't list files, because their
/// function doesn't use the store.
pub const FILE: &str = "file of the pages";

/// Requests that are answered without the AI, by functions that usually call it.
const WITHOUT_AI: &[&str] = &[
    "replayed chat",
    "refused chat",
    "chat without a message",
    "completion that is sent again",
    "response that is sent again",
    "response that Codex sends again",
];

/// Requests that call the AI and store no text.
const NOT_STORED: &[&str] = &[
    "chat whose AI fails",
    "streamed keyed chat that is stopped before its answer",
    "embeddings by API key",
    "embeddings by a client that counts",
    "embeddings that are requested again",
];

/// Reads docs/internals/costs.tsv.
///
/// # Errors
/// Fails with an error message that names the row that can't be read.
pub fn costs() -> Result<Vec<Cost>, String> {
    let rows = COSTS.lines().skip(1);
    rows.map(|row| cost(row).ok_or_else(|| format!("docs/internals/costs.tsv: bad row {row}")))
        .collect()
}

fn cost(row: &str) -> Option<Cost> {
    let mut cells = row.split('\t');
    Some(Cost {
        request: cells.next()?.into(),
        function: cells.next()?.into(),
        round_trips: cells.next()?.parse().ok()?,
        writes: cells.next()?.parse().ok()?,
        reads: cells.next()?.parse().ok()?,
        steps: cells.next()?.into(),
    })
}

/// The AWS resources needed by a request, or by a function's other work.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceUse {
    /// The number of requests to the gateway.
    pub requests: f64,
    /// The number of function invocations.
    pub invocations: f64,
    /// How many seconds functions run.
    pub seconds: f64,
    /// The functions' memory multiplied by their running time, not including the time that they
    /// wait for the AI.
    pub gb_seconds: f64,
    /// The functions' memory multiplied by the time that they wait for the AI.
    pub waiting_gb_seconds: f64,
    /// The number of write units.
    pub writes: f64,
    /// The number of read units.
    pub reads: f64,
    /// The number of bytes sent to the internet.
    pub bytes_out: f64,
    /// The number of bytes in log lines.
    pub log_bytes: f64,
}

impl ResourceUse {
    /// Returns the resources that `count` of these operations need.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        Self {
            requests: self.requests * count,
            invocations: self.invocations * count,
            seconds: self.seconds * count,
            gb_seconds: self.gb_seconds * count,
            waiting_gb_seconds: self.waiting_gb_seconds * count,
            writes: self.writes * count,
            reads: self.reads * count,
            bytes_out: self.bytes_out * count,
            log_bytes: self.log_bytes * count,
        }
    }

    /// Returns the sum of the resources that both operations need.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            invocations: self.invocations + other.invocations,
            seconds: self.seconds + other.seconds,
            gb_seconds: self.gb_seconds + other.gb_seconds,
            waiting_gb_seconds: self.waiting_gb_seconds + other.waiting_gb_seconds,
            writes: self.writes + other.writes,
            reads: self.reads + other.reads,
            bytes_out: self.bytes_out + other.bytes_out,
            log_bytes: self.log_bytes + other.log_bytes,
        }
    }
}

/// The requests in the table, with an AI that takes `ai_seconds` to answer.
#[derive(Debug)]
pub struct Requests<'s> {
    stack: &'s Stack,
    costs: Vec<Cost>,
    ai_seconds: f64,
}

impl<'s> Requests<'s> {
    /// Reads docs/internals/costs.tsv.
    ///
    /// # Errors
    /// Fails with an error message that names the row that can't be read.
    pub fn new(stack: &'s Stack, ai_seconds: f64) -> Result<Self, String> {
        let costs = costs()?;
        Ok(Self { stack, costs, ai_seconds })
    }

    /// Returns every row of the table except the sweep and the census, which aren't requests.
    pub fn rows(&self) -> impl Iterator<Item = &Cost> {
        self.costs.iter().filter(|cost| ![SWEEP, CENSUS].contains(&cost.request.as_str()))
    }

    /// Returns the row for this request.
    ///
    /// # Errors
    /// Fails with an error message if the table has no such row.
    pub fn row(&self, request: &str) -> Result<Cost, String> {
        if request == FILE {
            return Ok(Cost {
                request: FILE.into(),
                function: "site".into(),
                round_trips: 0,
                writes: 0.0,
                reads: 0.0,
                steps: String::new(),
            });
        }
        let found = self.costs.iter().find(|cost| cost.request == request);
        found.cloned().ok_or_else(|| format!("docs/internals/costs.tsv has no row {request:?}"))
    }

    /// Returns the resources that one request needs if its usual function answers it.
    ///
    /// # Errors
    /// Fails with an error message if the request or its function is unknown.
    pub fn one(&self, request: &str) -> Result<ResourceUse, String> {
        self.answered_by(request, &self.row(request)?.function)
            .map_err(|error| format!("docs/internals/costs.tsv, {request:?}: {error}"))
    }

    /// Returns the resources that one request needs if this function answers it.
    ///
    /// # Errors
    /// Fails with an error message if the request or the function is unknown.
    pub fn answered_by(&self, request: &str, function: &str) -> Result<ResourceUse, String> {
        let cost = self.row(request)?;
        let deployed = self.stack.function(function)?;
        let (gb, processors) = (deployed.memory / 1024.0, deployed.processors());
        let cpu = if deployed.memory >= 1769.0 { HASH } else { CPU };
        let work = f64::from(cost.round_trips) * ROUND_TRIP.value
            + cpu.value / processors
            + STARTS.value * START.value;
        let asks = deployed.asks_for.is_some() && !WITHOUT_AI.contains(&request);
        let waits = if asks { self.ai_seconds } else { 0.0 };
        let stores = asks && !NOT_STORED.contains(&request);
        let usual = if deployed.asks_ai { ANSWERED } else { REPLY.value };
        let reply = REPLIES.iter().find(|(name, _)| *name == function).map(|(_, bytes)| *bytes);
        Ok(ResourceUse {
            requests: 1.0,
            invocations: 1.0,
            seconds: work / 1000.0 + waits,
            gb_seconds: gb * work / 1000.0,
            waiting_gb_seconds: gb * waits,
            writes: cost.writes + if stores { units_of_text() } else { 0.0 },
            reads: cost.reads
                + if request.contains("in a conversation") { earlier() } else { 0.0 }
                + if stores && request.contains("with a key") { looks(waits) } else { 0.0 },
            bytes_out: reply.unwrap_or(usual),
            log_bytes: LOG.value,
        })
    }
}

/// Returns how many write units a chat costs in addition to those in the table, which assumes chats
/// below 1 KB. Each additional KB costs two units, because it is written in a transaction.
pub(super) fn units_of_text() -> f64 {
    2.0 * (((CHAT_ITEM.value + TEXT.value) / 1024.0).ceil() - 1.0)
}

/// Returns how many times a function that waits `waits` seconds for the AI checks whether a chat
/// with an idempotency key was stopped. Each check costs one read unit.
fn looks(waits: f64) -> f64 {
    ((waits / STOP_PACE.as_secs_f64()).ceil() - 1.0).max(0.0)
}

/// Returns how many earlier chats a chat in a conversation reads on average, in addition to the one
/// that is counted in the table. Each read costs one read unit.
fn earlier() -> f64 {
    // The second chat reads one earlier chat, and the last chat reads all earlier chats.
    CONVERSATION.value / 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_rows_and_functions_match() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        for row in &requests.costs {
            stack.function(&row.function).unwrap();
        }
        for name in WITHOUT_AI.iter().chain(NOT_STORED).chain(&[CHAT, STREAMED, SWEEP, CENSUS]) {
            requests.row(name).unwrap();
        }
        for (function, _) in REPLIES {
            stack.function(function).unwrap();
        }
    }

    #[test]
    fn waiting_for_the_ai_uses_the_memory_of_the_function() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let memory = stack.function("chat").unwrap().memory / 1024.0;
        assert_eq!(requests.one(CHAT).unwrap().waiting_gb_seconds, 4.0 * memory);
        assert!(requests.one(CHAT).unwrap().seconds > 4.0);
        assert_eq!(requests.one("refused chat").unwrap().waiting_gb_seconds, 0.0);
        assert_eq!(requests.one("balance").unwrap().waiting_gb_seconds, 0.0);
    }

    #[test]
    fn keyed_messages_poll_once_a_second() {
        let stack = Stack::load().unwrap();
        for (ai_seconds, looks) in [(0.5, 0.0), (1.0, 0.0), (1.5, 1.0), (4.0, 3.0)] {
            let requests = Requests::new(&stack, ai_seconds).unwrap();
            let more = |request: &str| {
                requests.one(request).unwrap().reads - requests.row(request).unwrap().reads
            };
            assert_eq!([more("chat with a key"), more("chat")], [looks, 0.0], "{ai_seconds}");
            assert_eq!(more(CHAT), looks + earlier());
        }
    }

    #[test]
    fn answers_over_a_kilobyte_cost_two_more_write_units() {
        let stack = Stack::load().unwrap();
        let requests = Requests::new(&stack, 4.0).unwrap();
        let more = |request: &str| {
            requests.one(request).unwrap().writes - requests.row(request).unwrap().writes
        };
        assert_eq!(units_of_text(), 2.0);
        assert_eq!(["chat", "chat whose AI fails", "balance"].map(more), [2.0, 0.0, 0.0]);
    }
}
