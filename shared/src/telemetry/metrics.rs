//! Metrics of the product: each is a line of JSON on the standard output, which CloudWatch Logs turns
//! into metrics by itself ([embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html)).
//! So a metric costs no network call, and no request waits for one.
//!
//! Nothing is written before [`start`]. Functions call it at their start; the local server calls it
//! only if `METRICS_NAMESPACE` is set.

use std::io::Write;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::clock::{Clock, rfc3339};

/// Makes [`Metric`] of a table: name, unit and dimension.
macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident: $unit:ident $(by $dimension:ident)?;)+) => {
        /// A metric. `docs/operate/operations.md` lists the same ones; a test compares the two.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[$doc])* $metric,)+
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$metric),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($metric),)+
                }
            }

            /// Its unit, by CloudWatch's name.
            pub fn unit(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($unit),)+
                }
            }

            /// The name of its dimension, if it has one.
            pub fn dimension(self) -> Option<&'static str> {
                let names: &[&'static str] = match self {
                    $(Self::$metric => &[$(stringify!($dimension))?],)+
                };
                names.first().copied()
            }
        }
    };
}

// CloudWatch bills each value of a dimension as a metric of its own. So a dimension has a few values,
// all from the code, and none from requests.
metrics! {
    /// A message was answered, stored and charged.
    Chats: Count;
    /// The tokens of a failed message were returned.
    Refunds: Count;
    /// Tokens of a failed message whose return the store didn't confirm: they stay held until the
    /// lease ends.
    TokensHeld: Count;
    /// The store refused to settle an answered message: its lease had ended, its conversation was
    /// deleted, or its idempotency key had a record.
    SettleConflicts: Count;
    /// A log-in with the right password.
    LogIns: Count;
    /// A request failed, or was refused. By the failure's code.
    Failures: Count by Code;
    /// The time until a provider's answer was complete.
    AiLatency: Milliseconds by Provider;
    /// 1 if a provider that was asked has not answered, otherwise 0. The average is the share of
    /// failures.
    AiFailures: Count by Provider;
    /// Accounts that a sweep has inspected. A sweep that fails records nothing.
    SweptAccounts: Count;
    /// Tokens of dead functions that a sweep has returned.
    TokensReturned: Count;
    /// Deleted accounts that were erased completely. An erasure that fails records nothing.
    ErasedAccounts: Count;
    /// An e-mail was given to Amazon SES.
    MailsSent: Count;
    /// An attempt to send an e-mail failed. By `temporary` (it is retried) and `permanent`.
    MailsFailed: Count by Kind;
    /// Differences that `manage audit` has found, 0 if there were none.
    AuditDifferences: Count;
}

/// The kind of [`Metric::MailsFailed`] that is retried.
pub const TEMPORARY: &str = "temporary";

/// The kind of [`Metric::MailsFailed`] that is not retried.
pub const PERMANENT: &str = "permanent";

struct Sink {
    namespace: String,
    write: fn(&str),
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// From now on, every recorded metric is a line for `write`, in this namespace of CloudWatch. Only
/// the first call in a process has an effect.
pub fn start(namespace: String, write: fn(&str)) {
    let _ = SINK.set(Sink { namespace, write });
}

/// Writes a line to the standard output, as a whole. A line that can't be written is lost, like any
/// line of the log.
pub fn to_stdout(line: &str) {
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Records metrics without a dimension, as one line.
pub fn record(values: &[(Metric, u64)]) {
    write(None, values);
}

/// Records metrics that have the same dimension, with this value of it, as one line.
pub fn record_by(value: &str, values: &[(Metric, u64)]) {
    write(Some(value), values);
}

fn write(by: Option<&str>, values: &[(Metric, u64)]) {
    if let Some(Sink { namespace, write }) = SINK.get() {
        // The system's time: the clock of a test may run ahead, and CloudWatch refuses such times.
        write(&line(namespace, Clock::default().millis(), by, values));
    }
}

/// The line of these values, with its end. It has the `level` and the `timestamp` by which Lambda
/// recognizes a line of a JSON log
/// ([rules](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html)).
fn line(namespace: &str, millis: u64, by: Option<&str>, values: &[(Metric, u64)]) -> String {
    let dimension = values.first().and_then(|(metric, _)| metric.dimension()).zip(by);
    let dimensions: Vec<&str> = dimension.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<Value> = values
        .iter()
        .map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit() }))
        .collect();
    let directive =
        json!({ "Namespace": namespace, "Dimensions": [dimensions], "Metrics": metrics });
    let mut fields = Map::new();
    fields.insert("timestamp".to_owned(), Value::from(rfc3339(millis)));
    fields.insert("level".to_owned(), Value::from("INFO"));
    fields.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": millis, "CloudWatchMetrics": [directive] }),
    );
    fields.extend(dimension.map(|(name, value)| (name.to_owned(), Value::from(value))));
    fields.extend(
        values.iter().map(|(metric, value)| (metric.name().to_owned(), Value::from(*value))),
    );
    format!("{}\n", Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_lines_have_names_units_dimension_and_values() {
        let values = [(Metric::AiLatency, 1250), (Metric::AiFailures, 0)];
        let line = line("farebox-prod", 1_795_132_800_000, Some("openai"), &values);
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({
                "timestamp": rfc3339(1_795_132_800_000), "level": "INFO",
                "_aws": { "Timestamp": 1_795_132_800_000_u64, "CloudWatchMetrics": [{
                    "Namespace": "farebox-prod", "Dimensions": [["Provider"]],
                    "Metrics": [
                        { "Name": "AiLatency", "Unit": "Milliseconds" },
                        { "Name": "AiFailures", "Unit": "Count" },
                    ],
                }] },
                "Provider": "openai", "AiLatency": 1250, "AiFailures": 0,
            })
        );
    }

    #[test]
    fn lines_without_a_dimension_have_an_empty_set() {
        let line: Value = serde_json::from_str(&line("x", 0, None, &[(Metric::Chats, 1)])).unwrap();
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
