//! The pace of an import. DynamoDB [throttles][capacity] calls that exceed the capacity of a table
//! or of a partition. A throttled import sends fewer writes at a time, and retries the throttled
//! writes before it begins another write. Whenever a write is answered, the import may send more
//! writes at a time again.
//!
//! [capacity]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use shared::store::StoreError;
use tokio::sync::Notify;

use super::progress::Progress;
use crate::manage::{counted, sentence};
use crate::note;

/// How many users are written at a time, unless DynamoDB throttles the import.
pub(super) const USERS_AT_ONCE: usize = 8;

/// The time between two lines about throttling.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// How long a throttled import waits.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// The pause before the first retry of a throttled write. Each subsequent pause is twice as
    /// long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// The import gives up if DynamoDB hasn't answered a write for this long.
    pub standstill: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
            standstill: Duration::from_secs(10 * 60),
        }
    }
}

/// Why a write wasn't applied.
#[derive(Debug)]
pub(super) enum Stop {
    /// The store has failed.
    Failed(StoreError),
    /// DynamoDB has throttled the import for too long. Contains an error message for the terminal.
    Standstill(String),
}

impl Stop {
    /// Returns the message for the terminal.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Failed(error) => sentence(error),
            Self::Standstill(why) => why,
        }
    }
}

/// Decides when each write of an import begins.
pub(super) struct Pace {
    waits: Waits,
    progress: Progress,
    state: Mutex<State>,
    /// Wakes the writes that are waiting for their turn to begin.
    changed: Notify,
}

struct State {
    /// How many writes may be under way.
    allowed: usize,
    /// The number of writes under way, including those that are waiting for a retry.
    under_way: usize,
    /// How many throttled writes DynamoDB hasn't answered yet.
    throttled: usize,
    /// The number of answered writes since `allowed` changed.
    answered: usize,
    /// How many times `allowed` was halved.
    slowdowns: u64,
    /// When DynamoDB last answered a write, or when the import began.
    progress: Instant,
    /// When the last line about throttling was printed.
    last_line: Option<Instant>,
}

impl Pace {
    /// Begins an import.
    pub(super) fn new(waits: Waits, progress: Progress) -> Self {
        let state = State {
            allowed: USERS_AT_ONCE,
            under_way: 0,
            throttled: 0,
            answered: 0,
            slowdowns: 0,
            progress: Instant::now(),
            last_line: None,
        };
        Self { waits, progress, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Sends a call, and retries it while DynamoDB throttles it. `call` receives the number of
    /// times that it has been throttled. The call must be idempotent.
    pub(super) async fn keep<T>(
        &self,
        mut call: impl AsyncFnMut(u32) -> Result<T, StoreError>,
    ) -> Result<T, Stop> {
        self.begin().await;
        let (mut times, mut pause) = (0, self.waits.first);
        loop {
            let slowdowns = self.state().slowdowns;
            match call(times).await {
                Err(StoreError::Throttled(_)) => {
                    times += 1;
                    self.slow_down(times, slowdowns)?;
                    tokio::time::sleep(jittered(pause)).await;
                    pause = (pause * 2).min(self.waits.longest);
                }
                answer => {
                    self.end(times);
                    return answer.map_err(Stop::Failed);
                }
            }
        }
    }

    /// Waits until a write may begin. A write may begin when no other write is waiting for a retry,
    /// and not too many writes are under way.
    async fn begin(&self) {
        loop {
            // Create this future first, so that it also completes for a change that happens before
            // its first poll.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.throttled == 0 && state.under_way < state.allowed {
                    state.under_way += 1;
                    return;
                }
            }
            changed.await;
        }
    }

    /// Records that DynamoDB has answered a write, after throttling the write `times` times.
    fn end(&self, times: u32) {
        let mut state = self.state();
        state.under_way -= 1;
        state.throttled -= usize::from(times > 0);
        state.progress = Instant::now();
        state.answered += 1;
        if state.answered >= state.allowed && state.allowed < USERS_AT_ONCE {
            state.allowed += 1;
            state.answered = 0;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Records that a write was throttled for the `times`-th time. `seen` is the number of
    /// slow-downs when the write was sent: writes that were sent together slow the import down only
    /// once.
    ///
    /// # Errors
    /// Returns [`Stop::Standstill`] if DynamoDB hasn't answered a write for too long.
    fn slow_down(&self, times: u32, seen: u64) -> Result<(), Stop> {
        let mut state = self.state();
        state.throttled += usize::from(times == 1);
        if state.slowdowns == seen {
            state.slowdowns += 1;
            state.allowed = state.allowed.div_ceil(2);
            state.answered = 0;
        }
        if state.progress.elapsed() >= self.waits.standstill {
            return Err(Stop::Standstill(self.standstill()));
        }
        if state.last_line.is_none_or(|printed| printed.elapsed() >= BETWEEN_LINES) {
            state.last_line = Some(Instant::now());
            let (allowed, progress) = (counted(state.allowed, "user"), &self.progress);
            note!(
                "DynamoDB throttles the import, which goes on with {allowed} at a time. Imported so far: {progress}."
            );
        }
        Ok(())
    }

    fn standstill(&self) -> String {
        let minutes = counted(self.waits.standstill.as_secs() / 60, "minute");
        let progress = &self.progress;
        format!(
            "For {minutes}, DynamoDB has throttled every write. {progress} are imported. Run the \
             same command again: it goes on from there. If DynamoDB throttles it again, first \
             raise the tables' warm throughput, as \"Move from Django\" describes."
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a random time between half of the pause and one and a half times the pause, so that
/// writes that were throttled together aren't retried together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8; 1];
    // If the system can't provide random bytes, the pause is merely longer.
    let random = rand::fill(&mut random).map_or(u8::MAX, |()| random[0]);
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    fn pace() -> Pace {
        let moment = Duration::from_millis(1);
        let waits = Waits { first: moment, longest: moment, standstill: Duration::from_secs(60) };
        Pace::new(waits, Progress::default())
    }

    fn throttled<T>() -> Result<T, StoreError> {
        Err(StoreError::Throttled("ThrottlingException".into()))
    }

    #[tokio::test]
    async fn each_throttled_round_halves_the_writes_at_a_time() {
        let pace = pace();
        for expected in [4, 2, 1, 1] {
            // All writes in a round were sent before the first of them was throttled.
            let seen = pace.state().slowdowns;
            for _ in 0..8 {
                pace.slow_down(2, seen).unwrap();
            }
            assert_eq!(pace.state().allowed, expected);
        }
    }

    #[tokio::test]
    async fn answered_writes_raise_the_writes_at_a_time_by_one_a_round() {
        let pace = pace();
        pace.state().allowed = 1;
        let mut raised = Vec::new();
        for _ in 0..8 {
            pace.keep(async |_: u32| Ok(())).await.unwrap();
            raised.push(pace.state().allowed);
        }
        assert_eq!(raised, [2, 2, 3, 3, 3, 4, 4, 4]);
        for _ in 0..100 {
            pace.keep(async |_: u32| Ok(())).await.unwrap();
        }
        assert_eq!(pace.state().allowed, USERS_AT_ONCE);
    }

    #[tokio::test]
    async fn no_write_begins_before_the_throttled_ones_are_answered() {
        let pace = pace();
        let (answer, answered) = oneshot::channel::<()>();
        let answered = answered.shared();
        let first = pace.keep(async |times: u32| match times {
            0 => throttled(),
            _ => {
                answered.clone().await.unwrap();
                Ok(())
            }
        });
        let mut first = Box::pin(first);
        let second = pace.keep(async |_: u32| Ok(()));
        let mut second = Box::pin(second);
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none(), "a write began");
        answer.send(()).unwrap();
        let (first, second) = tokio::join!(first, second);
        first.unwrap();
        second.unwrap();
    }

    #[tokio::test]
    async fn other_failures_are_not_repeated() {
        let pace = pace();
        let failed = pace.keep(async |times: u32| {
            assert_eq!(times, 0);
            Err::<(), _>(StoreError::Internal("ValidationException".into()))
        });
        assert!(matches!(failed.await, Err(Stop::Failed(StoreError::Internal(_)))));
        assert_eq!(pace.state().under_way, 0);
    }

    #[tokio::test]
    async fn a_standstill_ends_the_import() {
        let pace = Pace { waits: Waits { standstill: Duration::ZERO, ..pace().waits }, ..pace() };
        let stopped = pace.keep(async |_: u32| throttled::<()>()).await;
        let Err(Stop::Standstill(why)) = stopped else { panic!("{stopped:?}") };
        assert!(why.contains("Run the same command again"), "{why}");
    }
}
