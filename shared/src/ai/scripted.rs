//! A provider for tests, which does what the message's first word says: `!fail`, `!hang`, `!empty`, `!long`, `!slow <ms>`; anything else
//! is echoed.

use std::time::Duration;

use crate::{Error, Result};

pub async fn answer(message: &str) -> Result<String> {
    #[cfg(feature = "seeded-bugs")]
    asked::count(message);
    let mut words = message.split(' ');
    match words.next() {
        Some("!fail") => Err(Error::AiFailed),
        Some("!hang") => std::future::pending().await,
        Some("!empty") => Ok(" \n".into()),
        Some("!long") => Ok("😀".repeat(250_000)),
        Some("!slow") => {
            let millis = words.next().and_then(|millis| millis.parse().ok()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(super::echo::answer(message))
        }
        _ => Ok(super::echo::answer(message)),
    }
}

/// How often each message was asked in this process, so that tests see who asked and who did not.
#[cfg(feature = "seeded-bugs")]
pub mod asked {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};

    static ASKED: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

    pub(super) fn count(message: &str) {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.get_or_insert_default().entry(message.to_owned()).or_default() += 1;
    }

    /// The number for this message.
    pub fn times(message: &str) -> usize {
        let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        asked.as_ref().and_then(|asked| asked.get(message).copied()).unwrap_or(0)
    }
}
