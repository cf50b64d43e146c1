//! `cargo run -- estimate`: what a deployment costs in a month, and which limit it reaches first.
//!
//! [`prices`] has what AWS charges, [`assumptions`] the figures that only a running deployment can
//! show, [`stack`] what the template creates, [`requests`] what each request needs, and [`quotas`]
//! the limits; [`table`] prints the result. No module counts units: they come from the table in
//! docs/internals/money.md, which the tests compare with what requests consume.

pub mod assumptions;
pub mod prices;
pub mod quotas;
pub mod requests;
pub mod stack;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use assumptions::{
    ACCOUNT, CHAT_COPIES, CHAT_ITEM, CONVERSATION, DAYS, EMAIL_READS, EMAIL_WRITES, FILES, LOG_INS,
    LOG_MONTHS, METRICS_AT_REST, METRICS_OF_REQUESTS, MONTHS, NEW_USERS, RESETS, STARTS, TEXT,
};
use prices::Price;
use quotas::Quota;
use requests::{CENSUS, CHAT, FILE, Requests, ResourceUse, STREAMED, SWEEP};
use stack::Stack;

/// The load of a deployment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// People who chat every day.
    pub users: f64,
    /// How many chats each of them has in a day.
    pub chats_per_day: f64,
    /// How many seconds the AI takes for a whole answer.
    pub ai_seconds: f64,
    /// The share of chats that are streamed, from 0 to 1.
    pub streamed: f64,
}

/// What a load costs and needs.
#[derive(Debug, Serialize)]
pub struct Estimate {
    /// The load.
    pub load: Load,
    /// The bill of a month, by item.
    pub month: Vec<Item>,
    /// The sum of the bill, in dollars.
    pub month_dollars: f64,
    /// What a month costs without users, in dollars.
    pub at_rest_dollars: f64,
    /// What a thousand chats cost, including everything else that users do.
    pub dollars_per_thousand_chats: f64,
    /// What is needed at the peak of a day. The limit that a growing deployment reaches first comes
    /// first.
    pub quotas: Vec<Quota>,
    /// The limit that a growing deployment reaches first.
    pub first_that_breaks: ReachedLimit,
    /// The first limit that neither a setting nor a request to AWS raises.
    pub first_of_the_design: ReachedLimit,
    /// The dollars for a million requests, by kind.
    pub per_million: Vec<Kind>,
}

/// An item of the bill.
#[derive(Debug, Serialize)]
pub struct Item {
    /// What AWS charges for.
    pub item: String,
    /// How much of it, in the unit of the price.
    pub quantity: f64,
    /// The unit of the price.
    pub unit: &'static str,
    /// What the quantity costs.
    pub dollars: f64,
}

/// A limit, and the number of users that reach it.
#[derive(Debug, Serialize)]
pub struct ReachedLimit {
    /// The limit.
    pub what: String,
    /// The number of users.
    pub users: f64,
}

/// What a million requests of a kind cost, in dollars.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// The request, as docs/internals/money.md names it.
    pub request: String,
    /// The sum of the parts below.
    pub dollars: f64,
    /// The gateway, including data to the internet.
    pub gateway: f64,
    /// The functions, without waiting for the AI.
    pub functions: f64,
    /// The functions while they wait for the AI.
    pub waiting: f64,
    /// The store.
    pub store: f64,
    /// Logs and traces.
    pub logs: f64,
}

/// How often a request is sent in a month, and which function answers it.
#[derive(Clone, Copy, Debug)]
struct RequestCount {
    request: &'static str,
    function: &'static str,
    count: f64,
}

const MILLION: f64 = 1e6;
const GB: f64 = 1e9;
const SECONDS: f64 = DAYS * 86_400.0;

/// The share of requests that X-Ray records, beyond the first request of each second.
const TRACED: f64 = 0.05;

/// How many metrics the gateway publishes for a method: the count of requests, two latencies and
/// two kinds of errors.
const METRICS_OF_A_METHOD: f64 = 5.0;

impl Load {
    /// Computes what this load costs and needs.
    ///
    /// # Errors
    /// A sentence that says which value is invalid, or what can't be read.
    pub fn estimate(self) -> Result<Estimate, String> {
        let stack = Stack::load()?;
        self.check(&stack)?;
        let requests = Requests::new(&stack, self.ai_seconds)?;
        let month = self.month(&stack, &requests)?;
        let at_rest = Self { users: 0.0, ..self }.month(&stack, &requests)?;
        let sum = |items: &[Item]| items.iter().map(|item| item.dollars).sum::<f64>();
        let quotas = self.quotas(&stack, &requests)?;
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
            first_that_breaks: first(false)?,
            first_of_the_design: first(true)?,
            per_million: per_million(&stack, &requests)?,
            month,
            quotas,
        })
    }

    fn check(&self, stack: &Stack) -> Result<(), String> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(self.users) || !positive(self.chats_per_day) || !positive(self.ai_seconds) {
            return Err("--users, --chats-per-day and --ai-seconds must be more than 0.".into());
        }
        if !(0.0..=1.0).contains(&self.streamed) {
            return Err("--streamed must be a share from 0 to 1.".into());
        }
        for (function, share) in [("chat", 1.0 - self.streamed), ("chat_stream", self.streamed)] {
            let most = stack.function(function)?.asks_for.unwrap_or_default();
            if share > 0.0 && self.ai_seconds > most {
                return Err(format!(
                    "The function {function} waits {most} seconds at most for the AI (AI_TIMEOUT_SECONDS): an answer that takes {} seconds fails.",
                    self.ai_seconds
                ));
            }
        }
        Ok(())
    }

    /// The chats of a month.
    fn chats(&self) -> f64 {
        self.users * self.chats_per_day * DAYS
    }

    /// The visits of a month. Each visit is one conversation.
    fn visits(&self) -> f64 {
        self.chats() / CONVERSATION.value
    }

    /// The e-mails of a month.
    fn emails(&self) -> f64 {
        self.users * (NEW_USERS.value + RESETS.value)
    }

    /// The requests of a month.
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

    /// What runs in the background in a month: schedules, sweeps and e-mails.
    fn background(&self, stack: &Stack, requests: &Requests<'_>) -> Result<ResourceUse, String> {
        let behind = |needs: ResourceUse| ResourceUse { requests: 0.0, bytes_out: 0.0, ..needs };
        let mut needs = ResourceUse::default();
        // Each run reads its index. That takes half a unit, even if the index is empty.
        for (function, count) in &stack.scheduled {
            let run = behind(requests.answered_by(FILE, function)?);
            needs = needs.plus(ResourceUse { reads: 0.5, ..run }.times(*count));
        }
        let swept = behind(requests.one(SWEEP)?);
        // A run sweeps many accounts. The row also contains a read of the index.
        needs = needs
            .plus(ResourceUse { invocations: 0.0, log_bytes: 0.0, ..swept }.times(self.visits()));
        // A census reads every account, one unit each. Its index is a tenth of that.
        let census = requests.row(CENSUS)?;
        let days = stack.scheduled.iter().filter(|(name, _)| name == "census");
        let days: f64 = days.map(|(_, count)| count).sum();
        needs.writes += census.writes * days;
        needs.reads += (census.reads + 1.1 * self.users) * days;
        // The first chat of a visit adds the account to the index that sweeps read.
        let rest = requests.row("first chat after a rest")?.writes - requests.row("chat")?.writes;
        needs.writes += rest * self.visits();
        let email = behind(requests.answered_by(FILE, "mail")?);
        let email = ResourceUse { writes: EMAIL_WRITES, reads: EMAIL_READS, ..email };
        Ok(needs.plus(email.times(self.emails())))
    }

    fn month(&self, stack: &Stack, requests: &Requests<'_>) -> Result<Vec<Item>, String> {
        let mut asked = ResourceUse::default();
        let mut methods: BTreeMap<&str, f64> = BTreeMap::new();
        for RequestCount { request, function, count } in self.sent() {
            asked = asked.plus(requests.answered_by(request, function)?.times(count));
            *methods.entry(function).or_default() += count;
        }
        // AWS charges a metric for each hour in which the method gets a request.
        let hours = DAYS * 24.0;
        let methods: f64 = methods.values().map(|count| 1.0 - (-count / hours).exp()).sum();
        let busy = 1.0 - (-asked.requests / hours).exp();
        let behind = self.background(stack, requests)?;
        let all = asked.plus(behind);
        let stored =
            (CHAT_ITEM.value + TEXT.value + CHAT_COPIES.value) * self.chats() * MONTHS.value
                + ACCOUNT.value * self.users;
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

/// The dollars for a million of each request in docs/internals/money.md, and for a million of the
/// pages' files.
fn per_million(stack: &Stack, requests: &Requests<'_>) -> Result<Vec<Kind>, String> {
    let recorded = if stack.recorded_by_x_ray { TRACED } else { 0.0 };
    let names = requests.rows().map(|cost| cost.request.as_str()).chain([FILE]);
    let kind = |request: &str| {
        let needs = requests.one(request)?;
        // What a million requests of this many bytes cost. All other prices are for a million.
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
                // Each second the function looks whether the chat was stopped.
                assert!(other.dollars > one.dollars);
                continue;
            }
            let more = if one.item.contains("wait") { 2.0 } else { 1.0 };
            assert_eq!(other.dollars, more * one.dollars, "{}", one.item);
        }
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
