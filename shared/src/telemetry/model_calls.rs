//! Calls to AI models: records each call, and returns the figures of a day's calls for the
//! statistics.
//!
//! On AWS, a call is recorded as [`metrics`], and [`CloudWatch`] computes a day's figures from
//! them. The local server has no CloudWatch. After a call to [`keep`], this process keeps the calls
//! in memory until it ends.

mod cloudwatch;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::clock::{Clock, Day};
use crate::telemetry::metrics::{self, Metric};
use crate::values::ModelCalls;

pub use crate::telemetry::model_calls::cloudwatch::CloudWatch;

/// The maximum number of calls of one model and day whose times are kept. Later calls replace the
/// oldest.
const MOST_TIMES: usize = 2000;

/// The maximum number of pairs of a day and a model that are kept.
const MOST_PAIRS: usize = 500;

/// How many days are kept before the current day.
const EARLIER_DAYS: u64 = 7;

static MEMORY: OnceLock<Mutex<Memory>> = OnceLock::new();

/// A call to a provider that has ended. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct ModelCall<'c> {
    /// The provider's name in `AI_PROVIDER`.
    pub provider: &'c str,
    /// The model's name in the price list or in the settings. It never comes from a request,
    /// because CloudWatch bills each name as a separate metric.
    pub model: &'c str,
    /// True if the provider failed.
    pub has_failed: bool,
    /// The time until the client got the first part of a streamed answer. `None` if the answer
    /// wasn't streamed, failed or was stopped.
    pub first_token: Option<u64>,
    /// The time until the answer was complete. `None` if the call failed or was stopped.
    pub answer: Option<u64>,
}

impl ModelCall<'_> {
    /// Records the call.
    pub fn record(&self) {
        let mut values = Vec::new();
        values.extend(self.answer.map(|ms| (Metric::AiLatency, ms)));
        values.extend(self.first_token.map(|ms| (Metric::AiFirstToken, ms)));
        values.push((Metric::AiFailures, u64::from(self.has_failed)));
        metrics::record_by_each(&[self.provider, self.model], &values);
        if let Some(memory) = MEMORY.get() {
            let today = Day::from_millis(Clock::default().millis());
            memory.lock().unwrap_or_else(PoisonError::into_inner).add(today, self);
        }
    }
}

/// The source of a day's figures.
#[derive(Clone, Debug)]
pub enum CallSource {
    /// No calls are recorded.
    Disabled,
    /// The metrics of the stack's functions.
    CloudWatch(CloudWatch),
    /// The calls that this process has kept.
    Memory,
}

impl CallSource {
    /// Returns true if calls are recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        match self {
            Self::Disabled => false,
            Self::CloudWatch(_) => true,
            Self::Memory => MEMORY.get().is_some(),
        }
    }

    /// Returns the figures of the calls to each model on this day.
    ///
    /// # Errors
    /// Returns the cause for the log if CloudWatch doesn't answer.
    // The documentation of `crate::mail` explains why this function is inlined.
    #[inline]
    pub async fn on(&self, day: Day) -> Result<Vec<ModelCalls>, String> {
        match self {
            Self::Disabled => Ok(Vec::new()),
            Self::CloudWatch(metrics) => metrics.calls_on(day).await,
            Self::Memory => Ok(kept(day)),
        }
    }
}

/// Keeps the calls of this process in memory from now on.
pub fn keep() {
    MEMORY.get_or_init(Mutex::default);
}

/// Returns the figures of the kept calls on this day. Empty if calls aren't kept.
pub fn kept(day: Day) -> Vec<ModelCalls> {
    let memory = MEMORY.get().map(|memory| memory.lock().unwrap_or_else(PoisonError::into_inner));
    memory.map(|memory| memory.on(day)).unwrap_or_default()
}

/// The kept calls, by day and model.
#[derive(Debug, Default)]
struct Memory(BTreeMap<(Day, String), Calls>);

#[derive(Debug, Default)]
struct Calls {
    all: u64,
    failed: u64,
    first_token: Times,
    answer: Times,
}

/// The times of the latest calls, in milliseconds.
#[derive(Debug, Default)]
struct Times {
    kept: Vec<u64>,
    /// The index of the oldest time, once the maximum number is kept.
    oldest: usize,
}

impl Memory {
    fn add(&mut self, today: Day, call: &ModelCall<'_>) {
        self.0.retain(|(day, _), _| *day >= today.before(EARLIER_DAYS));
        let key = (today, call.model.to_owned());
        if self.0.len() >= MOST_PAIRS && !self.0.contains_key(&key) {
            return;
        }
        let calls = self.0.entry(key).or_default();
        calls.all += 1;
        calls.failed += u64::from(call.has_failed);
        call.first_token.into_iter().for_each(|ms| calls.first_token.add(ms));
        call.answer.into_iter().for_each(|ms| calls.answer.add(ms));
    }

    fn on(&self, day: Day) -> Vec<ModelCalls> {
        let calls = self.0.iter().filter(|((of, _), _)| *of == day);
        let calls = calls.map(|((_, model), calls)| ModelCalls {
            model: model.clone(),
            calls: calls.all,
            failed: calls.failed,
            first_token_p50: calls.first_token.percentile(50),
            first_token_p95: calls.first_token.percentile(95),
            answer_p50: calls.answer.percentile(50),
            answer_p95: calls.answer.percentile(95),
        });
        let mut calls: Vec<ModelCalls> = calls.collect();
        ModelCalls::sort(&mut calls);
        calls
    }
}

impl Times {
    fn add(&mut self, ms: u64) {
        if self.kept.len() < MOST_TIMES {
            self.kept.push(ms);
        } else if let Some(oldest) = self.kept.get_mut(self.oldest) {
            *oldest = ms;
            self.oldest = (self.oldest + 1) % MOST_TIMES;
        }
    }

    /// Returns the smallest time that is at least as long as this percentage of the times.
    fn percentile(&self, percent: usize) -> Option<u64> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(model: &str) -> ModelCall<'_> {
        ModelCall { provider: "echo", model, has_failed: false, first_token: None, answer: None }
    }

    #[test]
    fn kept_calls_are_counted_by_day_and_model() {
        let (mut memory, day) = (Memory::default(), Day::from_number(20_000));
        for ms in 1..=100 {
            memory.add(day, &ModelCall { answer: Some(ms), ..call("deep") });
        }
        memory.add(day, &ModelCall { first_token: Some(7), answer: Some(500), ..call("deep") });
        memory.add(day, &ModelCall { has_failed: true, ..call("quick") });
        memory.add(day.after(1), &call("quick"));
        let deep = ModelCalls {
            model: "deep".into(),
            calls: 101,
            failed: 0,
            first_token_p50: Some(7),
            first_token_p95: Some(7),
            answer_p50: Some(51),
            answer_p95: Some(96),
        };
        let quick = |failed| ModelCalls {
            model: "quick".into(),
            calls: 1,
            failed,
            ..ModelCalls::default()
        };
        assert_eq!(memory.on(day), [deep, quick(1)]);
        assert_eq!(memory.on(day.after(1)), [quick(0)]);
        assert_eq!(memory.on(day.after(2)), []);
    }

    #[test]
    fn the_memory_for_calls_is_bounded() {
        let (mut memory, day) = (Memory::default(), Day::from_number(20_000));
        for ms in 0..3 * MOST_TIMES as u64 {
            memory.add(day, &ModelCall { answer: Some(ms), ..call("deep") });
        }
        let calls = memory.0.values().next().unwrap();
        assert_eq!((calls.all, calls.answer.kept.len()), (3 * MOST_TIMES as u64, MOST_TIMES));
        assert_eq!(calls.answer.kept.iter().min(), Some(&(2 * MOST_TIMES as u64)), "the latest");
        for number in 0..2 * MOST_PAIRS {
            memory.add(day, &call(&format!("model-{number}")));
        }
        assert_eq!(memory.0.len(), MOST_PAIRS);
        memory.add(day.after(EARLIER_DAYS + 1), &call("deep"));
        assert_eq!(memory.0.len(), 1, "earlier days are dropped");
    }
}
