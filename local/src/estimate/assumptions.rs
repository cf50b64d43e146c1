//! The assumptions of an estimate, in one table. The same table is in docs/operate/cost.md.

/// An assumption.
#[derive(Clone, Copy, Debug)]
pub struct Assumption {
    /// The name of the assumed quantity in the table.
    pub what: &'static str,
    /// The figure.
    pub value: f64,
    /// The unit, and where the figure comes from.
    pub why: &'static str,
}

const fn assume(what: &'static str, value: f64, why: &'static str) -> Assumption {
    Assumption { what, value, why }
}

/// The days in a month.
pub const DAYS_PER_MONTH: f64 = 30.0;

/// The account's quota of function instances, unless the command states another
/// ([source](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)).
pub const INSTANCES: f64 = 1000.0;

/// The load in the busiest minute, as a multiple of the daily average.
pub const PEAK: Assumption = assume(
    "peak of a day",
    3.0,
    "times the average: the busiest hour has a tenth of the day's requests, and its busiest minute is a quarter above the hour's average",
);

/// The number of chats in a conversation.
pub const CONVERSATION: Assumption = assume(
    "chats in a conversation",
    5.0,
    "each visit is one conversation, within the five minutes between two sweeps",
);

/// How many bytes AWS adds to each stored item. These bytes aren't billed for reads.
pub const ITEM_OVERHEAD: f64 = 100.0;

/// The combined size of a chat's message and answer, in bytes.
pub const TEXT: Assumption =
    assume("message and answer", 1200.0, "bytes together: about 50 and 250 of a model's tokens");

/// The number of model tokens in a chat's prompt.
pub const PROMPT: Assumption = assume(
    "prompt",
    650.0,
    "model tokens: a message of 50, and on average two earlier chats with 300 each; none from a cache: OpenAI caches no prompts below 1,024",
);

/// The number of model tokens in a chat's answer.
pub const ANSWER: Assumption =
    assume("answer", 250.0, "model tokens, as in `message and answer`; without reasoning");

/// The size of a stored chat's item, excluding its text, in bytes.
pub const CHAT_ITEM: Assumption = assume(
    "a chat's other attributes",
    420.0,
    "bytes, including the 100 that AWS adds to each item",
);

/// The size of all data that a stored chat adds outside its item, in bytes.
pub const CHAT_COPIES: Assumption = assume(
    "a chat's other items",
    1270.0,
    "bytes: two index entries, the ledger row and its copy in the index, a fifth of a conversation",
);

/// How many bytes DynamoDB reads for a chat's ledger row.
pub const LEDGER_ROW: Assumption = assume(
    "a chat's ledger row",
    230.0,
    "bytes, without the 100 that AWS adds to each item; a price list adds about 150",
);

/// The size of a chat's line in an export, excluding its text, in bytes.
pub const EXPORTED: Assumption = assume(
    "a chat's other columns in an export",
    185.0,
    "bytes: three ids, the username, the model, the price, the time, quotes and commas",
);

/// How many bytes the administrators' statistics read for each chat.
pub const COUNTED: Assumption = assume(
    "a chat in the statistics of a day",
    510.0,
    "bytes of JSON: the page counts a day's rows three times, for the figures, the top users and the models",
);

/// How many bytes the census reads for each account.
pub const CENSUS_ITEM: Assumption =
    assume("an account in the census", 700.0, "bytes of JSON, for an account without holds");

/// The size of a user's data, excluding chats, in bytes.
pub const ACCOUNT: Assumption =
    assume("a user's other items", 3000.0, "bytes: account, session and their index entries");

/// How many months chats are stored.
pub const MONTHS: Assumption =
    assume("months of stored chats", 12.0, "chats are kept until their owner deletes them");

/// The round-trip time between a function and the store.
pub const ROUND_TRIP: Assumption = assume(
    "round trip to DynamoDB",
    6.0,
    "ms; not measured on AWS, which states single-digit milliseconds",
);

/// The processor time of a request.
pub const CPU: Assumption = assume(
    "processor time of a request",
    0.8,
    "ms of a whole processor, as measured for balance (0.5), chat (0.8) and history (0.9); a function gets memory / 1769 MB of a processor",
);

/// The processor time for each byte that a function reads from the store.
pub const BYTE: Assumption = assume(
    "processor time of a byte from the store",
    15.0,
    "ns of a whole processor, from the measured functions: without its second round trip, chat_history takes 144 us more than balance for 9,456 bytes more",
);

/// The processor time of a request that hashes a password.
pub const HASH: Assumption = assume(
    "processor time with a password",
    31.0,
    "ms, as measured for a log-in; for functions with 1769 MB or more",
);

/// The share of invocations that start a new instance.
pub const STARTS: Assumption = assume(
    "invocations that start an instance",
    0.01,
    "as a share; AWS states less than 1 % in production, a deployment with little traffic has more",
);

/// The billed time for starting an instance.
pub const START: Assumption =
    assume("start of an instance", 300.0, "ms; the largest part is TLS to AWS");

/// The size of a request's log lines, in bytes.
pub const LOG: Assumption = assume(
    "log of a request",
    1200.0,
    "bytes: one line of the function and two of Lambda, as JSON",
);

/// How many months logs are kept.
pub const LOG_MONTHS: Assumption = assume(
    "months of stored logs",
    3.0,
    "`LogRetentionDays=90` of the profile prod in samconfig.toml",
);

/// How many times a user logs in per month. In addition, each visit refreshes the session once, and
/// loads the profile and the lists once.
pub const LOG_INS: Assumption =
    assume("log-ins per user and month", 1.0, "a session lasts 30 days (`SessionSeconds`)");

/// How many users register in a month.
pub const NEW_USERS: Assumption = assume(
    "new users per month",
    0.05,
    "as a share of all users; they register with an e-mail address and verify it",
);

/// How many users reset their passwords in a month.
pub const RESETS: Assumption =
    assume("password resets per month", 0.01, "as a share of all users; one e-mail each");

/// How many page files a browser reloads in a month.
pub const FILES: Assumption = assume(
    "files of the pages per user and month",
    50.0,
    "after one release; otherwise a visit loads one file, and the browser's cache has the others",
);

/// How many metrics `sweep`, `erase` and `payments_check` write in each run.
pub const METRICS_AT_REST: f64 = 7.0;
/// How many other metrics the functions write. CloudWatch charges for each value of a dimension.
pub const METRICS_OF_REQUESTS: Assumption = assume(
    "metrics of the functions",
    25.0,
    "with one provider, one model and ten codes of failures; CloudWatch charges those that are written in an hour",
);

/// How many write units sending an e-mail costs. No test verifies this number.
pub const EMAIL_WRITES: f64 = 3.0;
/// How many read units sending an e-mail costs. No test verifies this number.
pub const EMAIL_READS: f64 = 2.0;

/// The size of replies with an answer of the AI, in bytes.
pub const ANSWERED: f64 = 2000.0;

/// The functions whose replies have other sizes, in bytes.
pub const REPLIES: &[(&str, f64)] = &[
    ("responses", 3000.0),
    ("embeddings", 30_000.0),
    ("chat_stream", 16_000.0),
    ("chat_history", 12_000.0),
    ("conversations", 4000.0),
    ("site", 6000.0),
    ("admin_users", 8000.0),
    ("admin_chats", 16_000.0),
    ("export", 100_000.0),
    ("admin_export", 100_000.0),
];

/// The size of all other replies, in bytes.
pub const REPLY: Assumption = assume(
    "reply",
    1200.0,
    "bytes with headers; except chats 2,000, responses 3,000, streamed chats 16,000, the history 12,000, conversations 4,000, pages' files 6,000",
);

/// Every assumption.
pub const ALL: &[Assumption] = &[
    PEAK,
    CONVERSATION,
    LOG_INS,
    NEW_USERS,
    RESETS,
    FILES,
    METRICS_OF_REQUESTS,
    TEXT,
    PROMPT,
    ANSWER,
    CHAT_ITEM,
    CHAT_COPIES,
    LEDGER_ROW,
    EXPORTED,
    COUNTED,
    ACCOUNT,
    CENSUS_ITEM,
    MONTHS,
    ROUND_TRIP,
    CPU,
    BYTE,
    HASH,
    STARTS,
    START,
    REPLY,
    LOG,
    LOG_MONTHS,
];

/// Returns the table as it appears in docs/operate/cost.md.
pub fn table() -> String {
    let rows =
        ALL.iter().map(|Assumption { what, value, why }| format!("| {what} | {value} | {why} |\n"));
    format!("| assumption | figure | meaning |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_shows_this_table() {
        let shown = include_str!("../../../docs/operate/cost.md");
        assert!(shown.contains(&table()), "docs/operate/cost.md needs this table:\n{}", table());
    }

    #[test]
    fn prompts_and_answers_match_the_sizes_of_chats() {
        let message = 50.0;
        // A model token is about four bytes.
        assert_eq!(TEXT.value, 4.0 * (message + ANSWER.value));
        let earlier = (CONVERSATION.value - 1.0) / 2.0;
        assert_eq!(PROMPT.value, message + earlier * (message + ANSWER.value));
    }

    #[test]
    fn log_retention_and_table_protection_match_prod() {
        let profiles = include_str!("../../../samconfig.toml");
        let prod = profiles.split("[prod.").nth(1).unwrap();
        let days = LOG_MONTHS.value * DAYS_PER_MONTH;
        for setting in [format!("LogRetentionDays={days}"), "Protection=on".into()] {
            assert!(prod.contains(&format!("\"{setting}\"")), "{setting} is not in {prod}");
        }
    }
}
