//! `farebox estimate`: estimates what a deployment costs in a month, and which limit it reaches
//! first.
//!
//! [`prices`] contains AWS's prices, and [`assumptions`] contains the figures that only a running
//! deployment can show. [`stack`] describes the resources that the template creates, [`requests`]
//! describes the needs of each request, and [`quotas`] describes the limits. [`models`] prices the
//! models of a price list. [`table`] prints the result. The units that each request consumes are in
//! docs/internals/costs.tsv, and a test compares that table with measured requests.

pub mod assumptions;
pub mod models;
pub mod prices;
pub mod quotas;
pub mod requests;
pub mod stack;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, value_parser};
use serde::Serialize;
use serde_json::json;

use crate::list_file;
use crate::terminal::print_result;

use assumptions::{
    ACCOUNT, CHAT_COPIES, CHAT_ITEM, CONVERSATION, DAYS_PER_MONTH, EMAIL_READS, EMAIL_WRITES,
    FILES, INSTANCES, ITEM_OVERHEAD, LEDGER_ROW, LOG_INS, LOG_MONTHS, METRICS_AT_REST,
    METRICS_OF_REQUESTS, MONTHS, NEW_USERS, RESETS, STARTS, TEXT,
};
use models::{AverageChat, ModelsEstimate};
use prices::Price;
use quotas::Quota;
use requests::{CENSUS, CHAT, FILE, Requests, ResourceUse, STREAMED, SWEEP};
use stack::Stack;

/// Estimate the monthly costs of a deployment on AWS, and the limit that it reaches first
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    load: Load,
    /// The file of a price list whose models should be priced
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// The number of model tokens in an average prompt, instead of the assumption
    #[arg(long, value_name = "N", requires = "models")]
    prompt_tokens: Option<u32>,
    /// The number of model tokens in an average answer, instead of the assumption
    #[arg(long, value_name = "N", requires = "models")]
    answer_tokens: Option<u32>,
    /// The AWS account's quota of function instances
    #[arg(
        long,
        value_name = "N",
        default_value_t = INSTANCES as u32,
        value_parser = value_parser!(u32).range(1..)
    )]
    instances: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The load of a deployment.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// The number of people who chat every day
    #[arg(long, value_name = "N")]
    pub users: f64,
    /// The number of chats per user and day
    #[arg(long, value_name = "C")]
    pub chats_per_day: f64,
    /// The number of seconds that the AI takes to answer
    #[arg(long, value_name = "S")]
    pub ai_seconds: f64,
    /// The share of chats that are streamed, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub streamed: f64,
}

/// The costs and needs of a load.
#[derive(Debug, Serialize)]
pub struct Estimate {
    /// The load on which the estimate is based.
    pub load: Load,
    /// The monthly bill, by item.
    pub month: Vec<Item>,
    /// The total of the bill, in dollars.
    pub month_dollars: f64,
    /// The monthly costs if there are no users, in dollars.
    pub at_rest_dollars: f64,
    /// The cost per thousand chats, in dollars, including everything else that users do.
    pub dollars_per_thousand_chats: f64,
    /// How much each additional year of stored chats adds to the monthly costs, in dollars.
    pub further_year_dollars: f64,
    /// An audit of all accounts, which isn't part of the bill.
    pub audit: AuditEstimate,
    /// The needs at the daily peak. The limit that is reached with the fewest users comes first.
    pub quotas: Vec<Quota>,
    /// The limit that a growing deployment reaches first.
    pub first_that_breaks: ReachedLimit,
    /// The first limit that neither a setting nor a request to AWS can raise.
    pub first_of_the_design: ReachedLimit,
    /// The costs per million requests of each kind.
    pub per_million: Vec<Kind>,
    /// The cost and income of each model in a price list. `None` without a price list.
    #[serde(flatten)]
    pub models: Option<ModelsEstimate>,
}

/// How much an audit of all accounts reads, with as many months of chats as the bill includes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditEstimate {
    /// The total size of the items that are read, in GB.
    pub gigabytes: f64,
    /// The number of read units, in millions.
    pub million_read_units: f64,
    /// The price of the read units, in dollars.
    pub dollars: f64,
}

/// An item on the bill.
#[derive(Debug, Serialize)]
pub struct Item {
    /// What AWS charges for, such as a request.
    pub item: String,
    /// The quantity, in the unit of the price.
    pub quantity: f64,
    /// The unit of the price.
    pub unit: &'static str,
    /// The price of this quantity, in dollars.
    pub dollars: f64,
}

/// A limit, and the number of users at which a deployment reaches it.
#[derive(Debug, Serialize)]
pub struct ReachedLimit {
    /// The limit.
    pub what: String,
    /// The number of users.
    pub users: f64,
}

/// The costs per million requests of one kind, in dollars.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// The request's name in docs/internals/costs.tsv.
    pub request: String,
    /// The sum of the costs below.
    pub dollars: f64,
    /// The gateway's costs, including data transfer to the internet.
    pub gateway: f64,
    /// The functions' costs, excluding the time they wait for the AI.
    pub functions: f64,
    /// The functions' costs while they wait for the AI.
    pub waiting: f64,
    /// The store's costs.
    pub store: f64,
    /// The costs of logs and traces.
    pub logs: f64,
}

/// The number of requests of one kind in a month, and the function that answers them.
#[derive(Clone, Copy, Debug)]
struct RequestCount {
    request: &'static str,
    function: &'static str,
    count: f64,
}

/// The monthly price per stored GB, including backups, in dollars.
const STORED: f64 = prices::STORAGE.dollars + prices::RECOVERY.dollars;

const MILLION: f64 = 1e6;
const GB: f64 = 1e9;
const SECONDS: f64 = DAYS_PER_MONTH * 86_400.0;

/// How many bytes one read unit covers in a strongly consistent read.
const READ_UNIT: f64 = 4096.0;

/// How many times an audit reads an account: in the scan that lists the accounts, before the
/// account's ledger and chats, and after them.
const ACCOUNT_READS: f64 = 3.0;

/// The share of requests that X-Ray records in addition to the first request of each second.
const TRACED: f64 = 0.05;

/// How many metrics the gateway publishes for each method: the request count, two latencies and two
/// kinds of errors.
const METRICS_OF_A_METHOD: f64 = 5.0;

/// The largest number of users for which no sum overflows. Some limits are reached only with far
/// more users than there are people in the world.
const MOST_USERS: f64 = 1e18;

/// The largest number of chats per user and day: one per millisecond.
const MOST_CHATS: f64 = 86_400_000.0;

/// The longest time that a Lambda function may run.
const MOST_SECONDS: f64 = 900.0;

impl EstimateCommand {
    /// Prints the estimate.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub fn run(self) -> Result<(), String> {
        let list = self.models.as_deref().map(list_file::read).transpose()?;
        let assumed = AverageChat::default();
        let chat = AverageChat {
            prompt_tokens: self.prompt_tokens.unwrap_or(assumed.prompt_tokens),
            answer_tokens: self.answer_tokens.unwrap_or(assumed.answer_tokens),
        };
        let mut stack = Stack::load()?;
        stack.quota = self.instances.into();
        let mut estimate = self.load.estimate_on(&stack)?;
        estimate.models = list.map(|list| self.load.models(&list, chat)).transpose()?;
        match self.json {
            true => print_result(&format!("{:#}", json!(estimate))),
            false => print_result(estimate.to_string().trim_end()),
        }
    }
}

impl Load {
    /// Estimates what this load costs and needs on the stack that the compiled-in template creates.
    ///
    /// # Errors
    /// Fails with an error message that names the invalid value, or the part that can't be read.
    pub fn estimate(self) -> Result<Estimate, String> {
        self.estimate_on(&Stack::load()?)
    }

    /// Estimates what this load costs and needs on a stack.
    ///
    /// # Errors
    /// Fails with an error message that names the invalid value, or the part that can't be read.
    pub fn estimate_on(self, stack: &Stack) -> Result<Estimate, String> {
        self.check(stack)?;
        let requests = Requests::new(stack, self.ai_seconds)?;
        let month = self.month(stack, &requests)?;
        let at_rest = Self { users: 0.0, ..self }.month(stack, &requests)?;
        let sum = |items: &[Item]| items.iter().map(|item| item.dollars).sum::<f64>();
        let quotas = self.quotas(stack, &requests)?;
        let first = |of_design: bool| {
            let met = quotas.iter().filter(|quota| quota.of_design() || !of_design);
            let met = met.filter_map(|quota| Some((quota, quota.users?)));
            met.min_by(|(_, one), (_, other)| one.total_cmp(other))
                .map(|(quota, users)| ReachedLimit { what: quota.what.clone(), users })
                .ok_or("no limit depends on the number of users")
        };
        Ok(Estimate {
            load: self,
            month_dollars: sum(&month),
            at_rest_dollars: sum(&at_rest),
            dollars_per_thousand_chats: sum(&month) / self.chats() * 1000.0,
            further_year_dollars: 12.0 * self.stored_in_a_month() / GB * STORED,
            audit: self.audit(),
            first_that_breaks: first(false)?,
            first_of_the_design: first(true)?,
            per_million: per_million(stack, &requests)?,
            month,
            quotas,
            models: None,
        })
    }

    fn check(&self, stack: &Stack) -> Result<(), String> {
        for (option, value, most) in [
            ("--users", self.users, MOST_USERS),
            ("--chats-per-day", self.chats_per_day, MOST_CHATS),
            ("--ai-seconds", self.ai_seconds, MOST_SECONDS),
        ] {
            if value.is_nan() || value <= 0.0 || value > most {
                return Err(format!("{option} must be more than 0, and at most {most}."));
            }
        }
        if !(0.0..=1.0).contains(&self.streamed) {
            return Err("--streamed must be a share from 0 to 1.".into());
        }
        for (function, share) in [("chat", 1.0 - self.streamed), ("chat_stream", self.streamed)] {
            let most = stack.function(function)?.asks_for.unwrap_or_default();
            if share > 0.0 && self.ai_seconds > most {
                return Err(format!(
                    "The function {function} waits {most} seconds at most for the AI \
                     (AI_TIMEOUT_SECONDS): an answer that takes {} seconds fails.",
                    self.ai_seconds
                ));
            }
        }
        Ok(())
    }

    /// Returns the number of chats in a month.
    fn chats(&self) -> f64 {
        self.users * self.chats_per_day * DAYS_PER_MONTH
    }

    /// Returns the total size of the data that a month's chats store, in bytes.
    fn stored_in_a_month(&self) -> f64 {
        (CHAT_ITEM.value + TEXT.value + CHAT_COPIES.value) * self.chats()
    }

    /// Estimates how much an audit of all accounts reads. Doesn't count the sources, orders,
    /// conversations, price lists or the scan of the Tokens table.
    fn audit(&self) -> AuditEstimate {
        let of_chat = CHAT_ITEM.value - ITEM_OVERHEAD + TEXT.value + LEDGER_ROW.value;
        let bytes = self.chats() * MONTHS.value * of_chat;
        let units = bytes / READ_UNIT + ACCOUNT_READS * self.users;
        AuditEstimate {
            gigabytes: bytes / GB,
            million_read_units: units / MILLION,
            dollars: units / MILLION * prices::READS.dollars,
        }
    }

    /// Returns the number of visits in a month. Each visit is one conversation.
    fn visits(&self) -> f64 {
        self.chats() / CONVERSATION.value
    }

    /// Returns the number of e-mails in a month.
    fn emails(&self) -> f64 {
        self.users * (NEW_USERS.value + RESETS.value)
    }

    /// Returns the requests sent in a month.
    fn sent(&self) -> Vec<RequestCount> {
        let (users, visits) = (self.users, self.visits());
        let later = self.chats() - visits;
        let (streamed, whole) = (self.streamed, 1.0 - self.streamed);
        let sent = |request, function, count| RequestCount { request, function, count };
        vec![
            sent("chat with a key", "chat", visits * whole),
            sent(CHAT, "chat", later * whole),
            sent("chat with a key", "chat_stream", visits * streamed),
            sent(STREAMED, "chat_stream", later * streamed),
            sent("refresh", "token_refresh", visits),
            sent("profile", "profile", visits),
            sent("page of the history", "chat_history", visits),
            sent("page of a conversation's history", "chat_history", visits),
            sent("page of the conversations", "conversations", visits),
            sent(FILE, "site", visits + users * FILES.value),
            sent("log-in", "login", users * LOG_INS.value),
            sent("registration with an e-mail address", "register", users * NEW_USERS.value),
            sent("verification of an address", "email_verify", users * NEW_USERS.value),
            sent("request of a reset", "password_reset", users * RESETS.value),
            sent("reset of the password", "password_reset_confirm", users * RESETS.value),
        ]
    }

    /// Returns the resources that a month's background work needs: schedules, sweeps and e-mails.
    fn background(&self, stack: &Stack, requests: &Requests<'_>) -> Result<ResourceUse, String> {
        let behind = |needs: ResourceUse| ResourceUse { requests: 0.0, bytes_out: 0.0, ..needs };
        let mut needs = ResourceUse::default();
        // Each scheduled run reads an index, which costs half a read unit even if the index is
        // empty.
        for (function, count) in &stack.scheduled {
            let run = behind(requests.answered_by(FILE, function)?);
            needs = needs.plus(ResourceUse { reads: 0.5, ..run }.times(*count));
        }
        let swept = behind(requests.one(SWEEP)?);
        // One run sweeps many accounts, so the sweep of an account adds no invocation and no log
        // line. It still counts the read of the index, which is included in the table's row for a
        // sweep.
        needs = needs
            .plus(ResourceUse { invocations: 0.0, log_bytes: 0.0, ..swept }.times(self.visits()));
        // A census costs one read unit for each account. It also reads an index, which costs a
        // tenth as many units.
        let census = requests.row(CENSUS)?;
        let days = stack.scheduled.iter().filter(|(name, _)| name == "census");
        let days: f64 = days.map(|(_, count)| count).sum();
        needs.writes += census.writes * days;
        needs.reads += (census.reads + 1.1 * self.users) * days;
        // The first chat of a visit adds the account to the index that is read by sweeps.
        let rest = requests.row("first chat after a rest")?.writes - requests.row("chat")?.writes;
        needs.writes += rest * self.visits();
        let email = behind(requests.answered_by(FILE, "mail")?);
        let email = ResourceUse { writes: EMAIL_WRITES, reads: EMAIL_READS, ..email };
        Ok(needs.plus(email.times(self.emails())))
    }

    fn month(&self, stack: &Stack, requests: &Requests<'_>) -> Result<Vec<Item>, String> {
        // Reads of the price list aren't counted, because each instance reads it only once a
        // minute.
        let mut asked = ResourceUse::default();
        let mut methods: BTreeMap<&str, f64> = BTreeMap::new();
        for RequestCount { request, function, count } in self.sent() {
            asked = asked.plus(requests.answered_by(request, function)?.times(count));
            *methods.entry(function).or_default() += count;
        }
        // AWS charges for a method's metrics only in the hours in which the method gets a request.
        let hours = DAYS_PER_MONTH * 24.0;
        let methods: f64 = methods.values().map(|count| 1.0 - (-count / hours).exp()).sum();
        let busy = 1.0 - (-asked.requests / hours).exp();
        let behind = self.background(stack, requests)?;
        let all = asked.plus(behind);
        let stored = self.stored_in_a_month() * MONTHS.value + ACCOUNT.value * self.users;
        let rate = asked.requests / SECONDS;
        let traces = SECONDS * (rate.min(1.0) + TRACED * (rate - 1.0).max(0.0))
            + stack.scheduled.iter().map(|(_, count)| count).sum::<f64>();
        let recorded = if stack.recorded_by_x_ray { 1.0 } else { 0.0 };
        let metrics = if stack.metrics_per_method { METRICS_OF_A_METHOD } else { 0.0 };
        let item = |price: Price, quantity: f64| Item {
            item: price.item.into(),
            quantity,
            unit: price.unit,
            dollars: quantity * price.dollars,
        };
        let named = |name: &str, item: Item| Item { item: name.into(), ..item };
        Ok(vec![
            item(prices::REQUESTS, asked.requests / MILLION),
            item(prices::DATA_OUT, asked.bytes_out / GB),
            item(prices::INVOCATIONS, all.invocations / MILLION),
            named(
                "Lambda, memory while functions work",
                item(prices::GB_SECONDS, all.gb_seconds / MILLION),
            ),
            named(
                "Lambda, memory while functions wait for the AI",
                item(prices::GB_SECONDS, all.waiting_gb_seconds / MILLION),
            ),
            item(prices::WRITES, all.writes / MILLION),
            item(prices::READS, all.reads / MILLION),
            item(prices::STORAGE, stored / GB),
            item(prices::RECOVERY, stored / GB),
            item(prices::STREAMS, self.emails() / MILLION),
            item(prices::LOGS_IN, all.log_bytes / GB),
            item(prices::LOGS_KEPT, all.log_bytes * LOG_MONTHS.value / GB),
            named(
                "CloudWatch, the gateway's metrics for each method",
                item(prices::METRICS, methods * metrics),
            ),
            named(
                "CloudWatch, the metrics of the functions",
                item(prices::METRICS, METRICS_AT_REST + METRICS_OF_REQUESTS.value * busy),
            ),
            item(prices::ALARMS, stack.alarms),
            item(prices::DASHBOARDS, stack.dashboards),
            item(prices::TRACES, recorded * traces / MILLION),
            item(prices::SECRETS, stack.secrets),
            item(prices::SECRET_READS, asked.invocations * STARTS.value / MILLION),
            item(prices::EMAILS, self.emails() / 1000.0),
        ])
    }
}

/// Returns the costs per million requests of each kind in docs/internals/costs.tsv, and the costs
/// per million page files.
fn per_million(stack: &Stack, requests: &Requests<'_>) -> Result<Vec<Kind>, String> {
    let recorded = if stack.recorded_by_x_ray { TRACED } else { 0.0 };
    let names = requests.rows().map(|cost| cost.request.as_str()).chain([FILE]);
    let kind = |request: &str| {
        let needs = requests.one(request)?;
        // Returns the price for a million times this many bytes. Per-operation prices are already
        // quoted per million operations.
        let by_gb = |price: Price, bytes: f64| price.dollars * bytes * MILLION / GB;
        let gateway = prices::REQUESTS.dollars + by_gb(prices::DATA_OUT, needs.bytes_out);
        let functions = prices::INVOCATIONS.dollars + prices::GB_SECONDS.dollars * needs.gb_seconds;
        let waiting = prices::GB_SECONDS.dollars * needs.waiting_gb_seconds;
        let store = prices::WRITES.dollars * needs.writes + prices::READS.dollars * needs.reads;
        let logs = by_gb(prices::LOGS_IN, needs.log_bytes)
            + by_gb(prices::LOGS_KEPT, needs.log_bytes * LOG_MONTHS.value)
            + prices::TRACES.dollars * recorded;
        let dollars = gateway + functions + waiting + store + logs;
        Ok(Kind { request: request.into(), dollars, gateway, functions, waiting, store, logs })
    };
    names.map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load =
        Load { users: 10_000.0, chats_per_day: 10.0, ai_seconds: 4.0, streamed: 0.5 };

    fn dollars(estimate: &Estimate, item: &str) -> f64 {
        estimate.month.iter().find(|found| found.item == item).unwrap().dollars
    }

    #[test]
    fn doubling_the_users_doubles_only_the_request_costs() {
        let one = LOAD.estimate().unwrap();
        let two = Load { users: 20_000.0, ..LOAD }.estimate().unwrap();
        assert_eq!(
            dollars(&two, prices::REQUESTS.item),
            2.0 * dollars(&one, prices::REQUESTS.item)
        );
        assert_eq!(dollars(&two, prices::SECRETS.item), dollars(&one, prices::SECRETS.item));
        assert_eq!(two.at_rest_dollars, one.at_rest_dollars);
    }

    #[test]
    fn an_idle_deployment_costs_the_secret_and_the_schedules() {
        let estimate = LOAD.estimate().unwrap();
        let stack = Stack::load().unwrap();
        let fixed = prices::SECRETS.dollars * stack.secrets
            + prices::ALARMS.dollars * stack.alarms
            + prices::DASHBOARDS.dollars * stack.dashboards
            + prices::METRICS.dollars * METRICS_AT_REST;
        let rest = estimate.at_rest_dollars - fixed;
        assert!(rest > 0.005 && rest < 0.1, "{rest}");
    }

    #[test]
    fn the_bill_has_every_price() {
        let estimate = LOAD.estimate().unwrap();
        for price in prices::ALL {
            let by_unit = estimate.month.iter().any(|item| item.unit == price.unit);
            assert!(by_unit, "{price:?}");
        }
        let sum: f64 = estimate.month.iter().map(|item| item.dollars).sum();
        assert_eq!(sum, estimate.month_dollars);
    }

    #[test]
    fn a_slower_ai_raises_only_the_costs_of_waiting() {
        let (fast, slow) = (LOAD, Load { ai_seconds: 8.0, ..LOAD });
        let (fast, slow) = (fast.estimate().unwrap(), slow.estimate().unwrap());
        for (one, other) in fast.month.iter().zip(&slow.month) {
            if one.item == prices::READS.item {
                // Every second, the function does a read to check whether the chat was stopped.
                assert!(other.dollars > one.dollars);
                continue;
            }
            let more = if one.item.contains("wait") { 2.0 } else { 1.0 };
            assert_eq!(other.dollars, more * one.dollars, "{}", one.item);
        }
    }

    #[test]
    fn audits_read_every_stored_chat() {
        // Each of the year's 36 million chats is stored as an item of 1,520 bytes and a row of 230
        // bytes. Each of the 10,000 accounts is read three times.
        let audit = LOAD.estimate().unwrap().audit;
        assert!((audit.gigabytes - 63.0).abs() < 1e-9, "{audit:?}");
        assert!((audit.million_read_units - 15.410_859).abs() < 1e-6, "{audit:?}");
        assert!((audit.dollars - 1.926).abs() < 0.001, "{audit:?}");
    }

    #[test]
    fn each_further_year_adds_its_chats_to_the_storage() {
        let estimate = LOAD.estimate().unwrap();
        // 36 million chats of 2,890 bytes each take up 104.04 GB, and a GB costs 0.45 dollars.
        assert!((estimate.further_year_dollars - 46.818).abs() < 1e-6, "{estimate:?}");
        let stored =
            dollars(&estimate, prices::STORAGE.item) + dollars(&estimate, prices::RECOVERY.item);
        assert!(stored > estimate.further_year_dollars, "{stored}");
    }

    #[test]
    fn request_costs_add_up() {
        for kind in LOAD.estimate().unwrap().per_million {
            let parts = kind.gateway + kind.functions + kind.waiting + kind.store + kind.logs;
            assert!((parts - kind.dollars).abs() < 1e-9, "{kind:?}");
            assert!(kind.dollars > prices::REQUESTS.dollars, "{kind:?}");
        }
    }

    #[test]
    fn answers_beyond_the_function_timeout_have_no_price() {
        let refused = |load: Load| load.estimate().unwrap_err();
        let slow = Load { ai_seconds: 30.0, ..LOAD };
        assert!(refused(slow).contains("The function chat waits 20 seconds"), "{}", refused(slow));
        assert!(Load { streamed: 1.0, ..slow }.estimate().is_ok());
        assert!(refused(Load { streamed: 1.5, ..LOAD }).contains("share from 0 to 1"));
        assert!(refused(Load { users: 0.0, ..LOAD }).contains("more than 0"));
        assert!(refused(Load { chats_per_day: f64::NAN, ..LOAD }).contains("more than 0"));
    }
}
