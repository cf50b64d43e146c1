//! The product's metrics. Each metric is a line of JSON on the standard output, from which
//! CloudWatch Logs extracts the metric ([embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html)).
//! Recording a metric doesn't need a network call, and requests don't wait for it.
//!
//! Metrics are written only after a call to [`start`]. Functions call `start` when they start; the
//! local server calls it only if `METRICS_NAMESPACE` is set.

use std::io::Write;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::clock::{Clock, rfc3339};

/// Defines [`Metric`] from a table of names, units and dimensions.
macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident: $unit:ident $(by $($dimension:ident),+)?;)+) => {
        /// A metric. `docs/operate/observe.md` lists all metrics; a test compares the two lists.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[$doc])* $metric,)+
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &[Self] = &[$(Self::$metric),+];

            /// Returns the metric's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($metric),)+
                }
            }

            /// Returns CloudWatch's name for the metric's unit.
            pub fn unit(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($unit),)+
                }
            }

            /// Returns the names of the metric's dimensions. CloudWatch keeps a separate metric for
            /// each value of each dimension, and none for pairs of values.
            pub fn dimensions(self) -> &'static [&'static str] {
                match self {
                    $(Self::$metric => &[$($(stringify!($dimension)),+)?],)+
                }
            }
        }
    };
}

// CloudWatch bills each value of a dimension as a separate metric. Therefore dimensions have only a
// few values, which come from the code, the settings or the price list, and never from requests.
metrics! {
    /// Chats that were answered, stored and charged.
    Chats: Count;
    /// Failed chats whose credits were returned.
    Refunds: Count;
    /// Events about orders whose credits can't be granted.
    StrandedOrders: Count;
    /// Orders that are stranded or disputed, counted every hour.
    OrdersToLookAt: Count;
    /// Disputes about which administrators were notified by e-mail.
    Disputes: Count;
    /// Payments, refunds and disputes in Stripe's lists that no event has reported.
    MissedPayments: Count;
    /// Finished comparisons with Stripe's lists.
    PaymentsChecked: Count;
    /// Requests that Stripe refused because of the API key.
    StripeKeyRefused: Count;
    /// Events with a valid signature that couldn't be processed.
    EventsFailed: Count;
    /// Events whose signature was refused. Anyone can send such requests.
    SignaturesRefused: Count;
    /// Credits of failed chats that remain held until the lease ends, because the store didn't
    /// confirm their release.
    TokensHeld: Count;
    /// The credits that users paid for chats and embeddings.
    Charged: Count;
    /// The part of the prices of answered chats, in credits, that exceeded their holds. It is never
    /// charged.
    Underheld: Count;
    /// The part of the prices of answered chats, in credits, for model tokens that neither the
    /// prompt nor the answer can have had, by the provider's report. It is never charged.
    Uncovered: Count;
    /// Answered chats that the store refused to settle, because the lease had ended, the
    /// conversation was deleted, or the idempotency key already had a record.
    SettleConflicts: Count;
    /// Log-ins with the correct password.
    LogIns: Count;
    /// Requests that failed or were refused, by the failure's code.
    Failures: Count by Code;
    /// How long a provider takes to complete an answer.
    AiLatency: Milliseconds by Provider, Model;
    /// How long a provider takes to begin an answer that is streamed to the client.
    AiFirstToken: Milliseconds by Provider, Model;
    /// 1 if a provider fails to answer, otherwise 0. The average is the share of failed calls.
    AiFailures: Count by Provider, Model;
    /// Calls that a provider refused because the operator's account has run out of money.
    AiUnfunded: Count by Provider;
    /// Titles that a model has written for conversations.
    Titles: Count;
    /// The model tokens of the calls for titles, which no user pays for.
    TitleTokens: Count;
    /// Accounts that a sweep has inspected. A failed sweep doesn't record this metric.
    SweptAccounts: Count;
    /// Credits from expired holds that a sweep has returned.
    TokensReturned: Count;
    /// Deleted accounts whose data was erased completely. A failed erasure doesn't record this
    /// metric.
    ErasedAccounts: Count;
    /// E-mails that Amazon SES has accepted.
    MailsSent: Count;
    /// Failed attempts to send an e-mail. The kind is `temporary` if the attempt is retried,
    /// otherwise `permanent`.
    MailsFailed: Count by Kind;
    /// How many differences `manage audit` has found.
    AuditDifferences: Count;
}

/// The kind of [`Metric::MailsFailed`] for attempts that are retried.
pub const TEMPORARY: &str = "temporary";

/// The kind of [`Metric::MailsFailed`] for attempts that aren't retried.
pub const PERMANENT: &str = "permanent";

/// The maximum length of a dimension's value, in bytes.
const DIMENSION_VALUE: usize = 1024;

struct Sink {
    namespace: String,
    write: fn(&str),
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts recording metrics in this CloudWatch namespace. `write` gets a line for each record. Only
/// the first call in a process has an effect.
pub fn start(namespace: String, write: fn(&str)) {
    let _ = SINK.set(Sink { namespace, write });
}

/// Writes a line to the standard output in one call. If the write fails, the line is lost, like a
/// log line.
pub fn to_stdout(line: &str) {
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Records metrics without a dimension in one line.
pub fn record(values: &[(Metric, u64)]) {
    write(&[], values);
}

/// Records metrics that share a dimension in one line. `value` is the dimension's value.
pub fn record_by(value: &str, values: &[(Metric, u64)]) {
    write(&[value], values);
}

/// Records metrics that share several dimensions in one line. `by` contains the dimensions' values,
/// in the order of [`Metric::dimensions`].
pub fn record_by_each(by: &[&str], values: &[(Metric, u64)]) {
    write(by, values);
}

fn write(by: &[&str], values: &[(Metric, u64)]) {
    if let Some(Sink { namespace, write }) = SINK.get() {
        // Use the system clock, because a test's clock may be ahead, and CloudWatch refuses
        // timestamps in the future.
        write(&line(namespace, Clock::default().millis(), by, values));
    }
}

/// Returns true if CloudWatch accepts this value of a dimension
/// ([rules](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html)). A
/// colon at the beginning is forbidden only in names of dimensions, but isn't risked.
fn is_valid(value: &str) -> bool {
    value.len() <= DIMENSION_VALUE
        && !value.starts_with(':')
        && !value.trim().is_empty()
        && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Returns the line for these values, including the line break. Lambda recognizes a JSON log line
/// by its `level` and `timestamp`
/// ([rules](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html)).
fn line(namespace: &str, millis: u64, by: &[&str], values: &[(Metric, u64)]) -> String {
    let names: &[&str] = values.first().map(|(metric, _)| metric.dimensions()).unwrap_or_default();
    let dimensions = || names.iter().zip(by);
    // Each dimension is a set of its own, because a set of two would be a metric for each pair. With
    // an invalid value, the other metrics of the line could be lost too.
    let valid = dimensions().filter(|(_, value)| is_valid(value));
    let mut sets: Vec<Vec<&str>> = valid.map(|(name, _)| vec![*name]).collect();
    if sets.is_empty() {
        sets.push(Vec::new());
    }
    let metrics: Vec<Value> = values
        .iter()
        .map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit() }))
        .collect();
    let directive = json!({ "Namespace": namespace, "Dimensions": sets, "Metrics": metrics });
    let mut fields = Map::new();
    fields.insert("timestamp".to_owned(), Value::from(rfc3339(millis)));
    fields.insert("level".to_owned(), Value::from("INFO"));
    fields.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": millis, "CloudWatchMetrics": [directive] }),
    );
    fields.extend(dimensions().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    fields.extend(
        values.iter().map(|(metric, value)| (metric.name().to_owned(), Value::from(*value))),
    );
    format!("{}\n", Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_lines_have_names_units_dimensions_and_values() {
        let values = [(Metric::AiLatency, 1250), (Metric::AiFailures, 0)];
        let line = line("farebox-prod", 1_795_132_800_000, &["openai", "deep"], &values);
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({
                "timestamp": rfc3339(1_795_132_800_000), "level": "INFO",
                "_aws": { "Timestamp": 1_795_132_800_000_u64, "CloudWatchMetrics": [{
                    "Namespace": "farebox-prod", "Dimensions": [["Provider"], ["Model"]],
                    "Metrics": [
                        { "Name": "AiLatency", "Unit": "Milliseconds" },
                        { "Name": "AiFailures", "Unit": "Count" },
                    ],
                }] },
                "Provider": "openai", "Model": "deep", "AiLatency": 1250, "AiFailures": 0,
            })
        );
    }

    #[test]
    fn values_that_cloudwatch_refuses_are_no_dimensions() {
        let longest = "x".repeat(1024);
        let sets = |model: &str| {
            let line = line("x", 0, &["openai", model], &[(Metric::AiFailures, 0)]);
            let mut line: Value = serde_json::from_str(&line).unwrap();
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"].take()
        };
        for model in ["deep", "a:b", "a b", longest.as_str()] {
            assert_eq!(sets(model), json!([["Provider"], ["Model"]]), "{model}");
        }
        let longer = format!("{longest}x");
        for model in ["", " ", ":deep", "tïny", "a\tb", longer.as_str()] {
            assert_eq!(sets(model), json!([["Provider"]]), "{model}");
        }
    }

    #[test]
    fn lines_without_a_dimension_have_an_empty_set() {
        let line: Value = serde_json::from_str(&line("x", 0, &[], &[(Metric::Chats, 1)])).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Dimensions"], &line["Chats"]), (&json!([[]]), &json!(1)));
    }

    #[test]
    fn metric_names_are_unique() {
        let mut names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}
