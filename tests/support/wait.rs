//! Waits for an event that another task or process causes.

use std::panic::Location;
use std::time::Duration;

/// How long a test waits before it fails. A busy machine needs less.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two calls of `look`.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` returns true. Panics with `what` if that takes too long, because a test that
/// waits forever doesn't say what it is waiting for.
#[track_caller]
pub fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let at = Location::caller();
    async move {
        let waiting = async {
            while !look().await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("at {at}: waited in vain until {what}"));
    }
}
