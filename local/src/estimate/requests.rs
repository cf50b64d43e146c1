//! What one request needs from AWS. Round trips and units come from the table in docs/internals/money.md.
//! `tests/proofs/budget.rs` compares that table with what requests consume.

use functions::ROUTES;
use shared::config::STOP_PACE;

use super::assumptions::{
    CHAT_ITEM, CONVERSATION, CPU, HASH, LOG, REPLIES, REPLY, ROUND_TRIP, START, STARTS, TEXT,
};
use super::stack::Stack;

/// A row of the table of costs in docs/internals/money.md.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The request.
    pub request: String,
    /// Steps to the store, each of which waits for the one before.
    pub round_trips: u32,
    /// Write units.
    pub writes: f64,
    /// Read units.
    pub reads: f64,
}

/// The functions that answer the requests of the table, where the function and the request have
/// different names.
const FUNCTIONS: &[(&str, &str)] = &[
    ("chat with a key", "chat"),
    ("first chat after a rest", "chat"),
    ("chat while 5 others wait", "chat"),
    ("chat while 63 others wait", "chat"),
    ("chat in a conversation", "chat"),
    ("chat in a conversation after an earlier message", "chat"),
    ("chat in a conversation after a message far back", "chat"),
    ("chat in a conversation with instructions", "chat"),
    ("chat of an account with instructions", "chat"),
    (CHAT, "chat"),
    (STREAMED, "chat_stream"),
    ("keyed chat whose answer takes 2.5 seconds", "chat"),
    ("keyed chat that is stopped before its answer", "chat"),
    ("streamed keyed chat that is stopped before its answer", "chat_stream"),
    ("chat stop by API key", "chat_stop"),
    ("chat stop after the answer", "chat_stop"),
    ("replayed chat", "chat"),
    ("chat whose AI fails", "chat"),
    ("refused chat", "chat"),
    ("chat with expired holds in the way", "chat"),
    ("chat without a message", "chat"),
    ("completion by API key", "completions"),
    ("completion by a client that counts", "completions"),
    ("completion that is sent again", "completions"),
    ("response by API key", "responses"),
    ("response by a client that counts", "responses"),
    ("response that is sent again", "responses"),
    ("response of Codex", "responses"),
    ("response that Codex sends again", "responses"),
    ("list of the models", "models"),
    ("registration", "register"),
    ("registration with an e-mail address", "register"),
    ("log-in", "login"),
    ("log-in by e-mail address", "login"),
    ("refresh", "token_refresh"),
    ("check of an access token", "token_verify"),
    ("check of a refresh token", "token_verify"),
    ("end of a session by its refresh token", "token_blacklist"),
    ("deletion of an account", "account_delete"),
    ("other title", "conversation_rename"),
    ("instructions of a conversation", "conversation_rename"),
    ("pin of a conversation", "conversation_rename"),
    ("end of a pin", "conversation_rename"),
    ("page of a conversation's history", "chat_history"),
    ("page of the conversations", "conversations"),
    ("search of the conversations", "conversations"),
    ("single chat", "chat_read"),
    ("deletion of a chat", "chat_delete"),
    ("deletion of a chat of a branch", "chat_delete"),
    ("page of the history", "chat_history"),
    ("page of a search", "chat_history"),
    ("first page of a statement", "ledger"),
    ("later page of a statement", "ledger"),
    ("statement of earlier days", "ledger"),
    ("months of a statement", "ledger"),
    ("page of the sessions", "sessions"),
    ("end of another session", "session_end"),
    ("new API key", "api_key_create"),
    ("list of the API keys", "api_keys"),
    ("end of an API key", "api_key_revoke"),
    ("log-out", "logout"),
    ("change of names", "profile_change"),
    ("instructions of an account", "profile_change"),
    ("profile of an account with instructions", "profile"),
    ("change of the address", "profile_change"),
    ("another e-mail to verify", "email_resend"),
    ("verification of an address", "email_verify"),
    ("verification of an address with a new password", "email_verify"),
    ("request of a reset", "password_reset"),
    ("request of a reset for an unknown address", "password_reset"),
    ("reset of the password", "password_reset_confirm"),
    ("change of the password", "password_change"),
    ("export of a page", "export"),
    ("page of the users", "admin_users"),
    ("page of the users with details", "admin_users"),
    ("filtered page of the users", "admin_users"),
    ("sorted page of the users", "admin_users"),
    ("search of the users", "admin_users"),
    ("search inside of names", "admin_users"),
    ("user, for administrators", "admin_user"),
    ("first page of a user's statement, for administrators", "admin_ledger"),
    ("page of all chats", "admin_chats"),
    ("page of one user's chats", "admin_chats"),
    ("search of the messages", "admin_chats"),
    ("adjustment", "admin_adjustment"),
    ("adjustment with a key", "admin_adjustment"),
    ("replayed adjustment", "admin_adjustment"),
    ("preview of a grant", "admin_grants"),
    ("preview of a grant that was made", "admin_grants"),
    ("grant of a file", "admin_grants"),
    ("grant of a file that is sent again", "admin_grants"),
    ("deactivation of a user", "admin_user_change"),
    ("change that changes nothing", "admin_user_change"),
    ("end of a user's sessions", "admin_sessions_end"),
    ("list of a user's API keys", "admin_api_keys"),
    ("end of a user's API key", "admin_api_keys_revoke"),
    ("end of all API keys of a user", "admin_api_keys_revoke"),
    ("reset e-mail to a user", "admin_password_reset"),
    ("deletion of a user", "admin_user_delete"),
    ("creation of a user", "admin_user_create"),
    ("invitation of a user", "admin_user_create"),
    ("page of the trail", "admin_trail"),
    ("filtered page of the trail", "admin_trail"),
    ("figures of today", "admin_figures"),
    ("figures of a closed day for the first time", "admin_figures"),
    ("figures of a closed day", "admin_figures"),
    ("top users of a closed day", "admin_figures"),
    ("figures with the sums of all accounts", "admin_figures"),
    ("export of the users of a day", "admin_export"),
    ("export of the ledger of a day", "admin_export"),
    ("public keys", "jwks"),
    ("place of the public keys", "discovery"),
    ("this API as a document", "openapi"),
    (SWEEP, "sweep"),
    (CENSUS, "census"),
];

/// A chat as most clients send it.
pub const CHAT: &str = "chat in a conversation with a key";
/// A streamed chat as most clients send it.
pub const STREAMED: &str = "streamed chat in a conversation with a key";
/// What a sweep does for each account that began a chat since the last sweep.
pub const SWEEP: &str = "sweep of one account";
/// A census of a store with one account. Every further account takes one read unit more.
pub const CENSUS: &str = "census of one account";
/// A file of the pages. It is not in the table, because its function doesn't use the store.
pub const FILE: &str = "file of the pages";

/// Requests that are answered without the AI, by functions that otherwise ask it.
const WITHOUT_AI: &[&str] = &[
    "replayed chat",
    "refused chat",
    "chat without a message",
    "completion that is sent again",
    "response that is sent again",
    "response that Codex sends again",
];

/// Requests that ask the AI and store nothing.
const NOT_STORED: &[&str] =
    &["chat whose AI fails", "streamed keyed chat that is stopped before its answer"];

/// Reads the table of docs/internals/money.md.
///
/// # Errors
/// A sentence that names the row that can't be read.
pub fn costs() -> Result<Vec<Cost>, String> {
    let section = include_str!("../../../docs/internals/money.md")
        .split("\n## ")
        .find_map(|section| section.strip_prefix("Cost\n"))
        .ok_or("docs/internals/money.md has no section Cost")?;
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| cost(row).ok_or_else(|| format!("docs/internals/money.md: bad row {row}")))
        .collect()
}

fn cost(row: &str) -> Option<Cost> {
    let mut cells = row.split('|').skip(1).map(str::trim);
    let (request, round_trips, units) = (cells.next()?, cells.next()?, cells.next()?);
    let (writes, reads) = units.split_once(" / ")?;
    Some(Cost {
        request: request.into(),
        round_trips: round_trips.parse().ok()?,
        writes: writes.parse().ok()?,
        reads: reads.parse().ok()?,
    })
}

/// The function that answers a request of the table.
pub fn function_of(request: &str) -> Option<&'static str> {
    let named = FUNCTIONS.iter().find(|(name, _)| *name == request).map(|(_, function)| *function);
    named.or_else(|| {
        let endpoint = request.replace(' ', "_");
        ROUTES.iter().find(|route| route.endpoint == endpoint).map(|route| route.endpoint)
    })
}

/// What a request, or anything else that a function does, needs from AWS.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceUse {
    /// Requests to the gateway.
    pub requests: f64,
    /// Invocations of functions.
    pub invocations: f64,
    /// Seconds that functions run.
    pub seconds: f64,
    /// The memory of functions over these seconds, without the time in which they wait for the AI.
    pub gb_seconds: f64,
    /// The memory of functions over the time in which they wait for the AI.
    pub waiting_gb_seconds: f64,
    /// Write units.
    pub writes: f64,
    /// Read units.
    pub reads: f64,
    /// Bytes to the internet.
    pub bytes_out: f64,
    /// Bytes of log lines.
    pub log_bytes: f64,
}

impl ResourceUse {
    /// What `count` of these need.
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

    /// What both need together.
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

/// The requests of the table, with an AI that takes `ai_seconds` for an answer.
#[derive(Debug)]
pub struct Requests<'s> {
    stack: &'s Stack,
    costs: Vec<Cost>,
    ai_seconds: f64,
}

impl<'s> Requests<'s> {
    /// Reads the table of docs/internals/money.md.
    ///
    /// # Errors
    /// A sentence that names the row that can't be read.
    pub fn new(stack: &'s Stack, ai_seconds: f64) -> Result<Self, String> {
        let costs = costs()?;
        Ok(Self { stack, costs, ai_seconds })
    }

    /// Every row of the table except the sweep and the census, which are no requests.
    pub fn rows(&self) -> impl Iterator<Item = &Cost> {
        self.costs.iter().filter(|cost| ![SWEEP, CENSUS].contains(&cost.request.as_str()))
    }

    /// A row of the table.
    ///
    /// # Errors
    /// A sentence if the table has no such row.
    pub fn row(&self, request: &str) -> Result<Cost, String> {
        if request == FILE {
            let request = FILE.into();
            return Ok(Cost { request, round_trips: 0, writes: 0.0, reads: 0.0 });
        }
        let found = self.costs.iter().find(|cost| cost.request == request);
        found.cloned().ok_or_else(|| format!("docs/internals/money.md has no row {request:?}"))
    }

    /// What one request needs if its usual function answers it.
    ///
    /// # Errors
    /// A sentence if the request or its function is unknown.
    pub fn one(&self, request: &str) -> Result<ResourceUse, String> {
        let function = if request == FILE { Some("site") } else { function_of(request) };
        let function = function.ok_or_else(|| format!("no function answers {request:?}"))?;
        self.answered_by(request, function)
    }

    /// What one request needs if this function answers it.
    ///
    /// # Errors
    /// A sentence if the request or the function is unknown.
    pub fn answered_by(&self, request: &str, function: &str) -> Result<ResourceUse, String> {
        let cost = self.row(request)?;
        let deployed = self.stack.function(function)?;
        let (gb, processors) = (deployed.memory / 1024.0, (deployed.memory / 1769.0).min(1.0));
        let cpu = if deployed.memory >= 1769.0 { HASH } else { CPU };
        let work = f64::from(cost.round_trips) * ROUND_TRIP.value
            + cpu.value / processors
            + STARTS.value * START.value;
        let asks = deployed.asks_for.is_some() && !WITHOUT_AI.contains(&request);
        let waits = if asks { self.ai_seconds } else { 0.0 };
        let stores = asks && !NOT_STORED.contains(&request);
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
            bytes_out: reply.unwrap_or(REPLY.value),
            log_bytes: LOG.value,
        })
    }
}

/// The write units that a chat takes beyond its row. The table's chats have less than 1 KB. Each
/// further KB takes two units, because a transaction writes it.
pub(super) fn units_of_text() -> f64 {
    2.0 * (((CHAT_ITEM.value + TEXT.value) / 1024.0).ceil() - 1.0)
}

/// How often a function looks whether a chat with an idempotency key was stopped, while it waits
/// this many seconds for the AI. Each look is one read unit.
fn looks(waits: f64) -> f64 {
    ((waits / STOP_PACE.as_secs_f64()).ceil() - 1.0).max(0.0)
}

/// How many earlier chats a chat in a conversation reads on average, beyond the one in its row.
/// Each takes one read unit.
fn earlier() -> f64 {
    // The second chat reads one earlier chat, and the last chat reads all others.
    CONVERSATION.value / 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_rows_and_functions_match() {
        let stack = Stack::load().unwrap();
        let rows: Vec<String> = costs().unwrap().into_iter().map(|cost| cost.request).collect();
        for row in &rows {
            let function = function_of(row).unwrap_or_else(|| panic!("no function for {row:?}"));
            stack.function(function).unwrap();
        }
        let named = FUNCTIONS.iter().map(|(name, _)| name).chain(WITHOUT_AI).chain(NOT_STORED);
        for name in named {
            assert!(
                rows.iter().any(|row| row == name),
                "docs/internals/money.md has no row {name:?}"
            );
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
