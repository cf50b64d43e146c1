//! The log and the metrics of the functions of a test's own server.

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;

use serde_json::Value;
use shared::telemetry::metrics::{self, Metric};

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static METRICS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Collects the log and the metrics from now on, at the level of production. Each test and its
/// server run on a thread of their own, so each thread keeps its own lines.
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

/// Empties the log and the metrics of this test.
pub fn clear() {
    WRITTEN.take();
    METRICS.take();
}

/// The lines of this test's metrics.
pub fn metrics() -> Vec<Value> {
    let written = METRICS.with_borrow(String::clone);
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often this test has recorded a metric, and the sum of the values; of a metric with a
/// dimension, for this value of it.
pub fn recorded(metric: Metric, by: Option<&str>) -> (usize, u64) {
    let is_meant = |line: &Value| by.is_none_or(|by| line[metric.dimension().unwrap()] == by);
    let lines = metrics();
    let values = lines.iter().filter(|line| is_meant(line));
    let values = values.filter_map(|line| line[metric.name()].as_u64());
    values.fold((0, 0), |(samples, sum), value| (samples + 1, sum + value))
}

/// The log of this test.
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
