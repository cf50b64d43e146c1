//! The log and metrics that the functions of a test's server write.

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;

use serde_json::Value;
use shared::telemetry::metrics::{self, Metric};

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static METRICS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Starts to collect the log, at production's level, and the metrics. Each test runs with its
/// server on one thread, so each thread keeps its own lines.
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| ThisThread).init();
        metrics::start("tests".into(), keep);
    });
}

fn keep(line: &str) {
    METRICS.with_borrow_mut(|written| written.push_str(line));
}

/// Discards the log and metrics collected for this test.
pub fn clear() {
    WRITTEN.take();
    METRICS.take();
}

/// Returns the lines of this test's metrics.
pub fn metrics() -> Vec<Value> {
    let written = METRICS.with_borrow(String::clone);
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns how often this test recorded a metric, and the sum of the values. If the metric has
/// dimensions, `by` selects the value of one of them.
pub fn recorded(metric: Metric, by: Option<&str>) -> (usize, u64) {
    let has = |line: &Value, by: &str| metric.dimensions().iter().any(|name| line[*name] == by);
    let is_meant = |line: &Value| by.is_none_or(|by| has(line, by));
    let lines = metrics();
    let values = lines.iter().filter(|line| is_meant(line));
    let values = values.filter_map(|line| line[metric.name()].as_u64());
    values.fold((0, 0), |(samples, sum), value| (samples + 1, sum + value))
}

/// Returns this test's log.
pub fn text() -> String {
    WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap())
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
