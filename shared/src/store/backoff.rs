//! Pauses between retries.

use std::time::{Duration, Instant};

use crate::aws::OPERATION;
use crate::store::{Result, StoreError};

/// The pauses between retries. They are randomized, and get longer until the call's time limit is
/// reached.
pub(in crate::store) struct Backoff {
    until: Instant,
    /// The length of the next pause, before it is randomized.
    length: Duration,
}

impl Backoff {
    pub(in crate::store) fn new() -> Self {
        Self { until: Instant::now() + OPERATION, length: Duration::from_millis(10) }
    }

    /// Sleeps until the next retry. Returns `false` at once if the remaining time is too short.
    pub(in crate::store) async fn pause(&mut self) -> bool {
        let mut random = [0_u8; 1];
        // If no random byte is available, the pause is merely longer than necessary.
        let random = aws_lc_rs::rand::fill(&mut random).map_or(u8::MAX, |()| random[0]);
        let pause = self.length.mul_f64(0.5 + f64::from(random) / 255.0);
        if Instant::now() + pause > self.until {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.length = (self.length * 2).min(Duration::from_millis(500));
        true
    }

    /// Sleeps until the next attempt of an operation that conflicts with other writes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with this cause, without sleeping, if the remaining time is too
    /// short.
    pub(in crate::store) async fn try_again(&mut self, cause: &str) -> Result<()> {
        match self.pause().await {
            true => Ok(()),
            false => Err(StoreError::Unavailable(cause.to_owned())),
        }
    }
}
