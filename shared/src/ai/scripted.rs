//! A provider for tests, which does what the message says: `!fail`, `!hang`, `!empty`, `!long`, `!slow <ms>`; anything else is echoed.

use std::time::Duration;

use crate::{Error, Result};

pub async fn answer(message: &str) -> Result<String> {
    match message {
        "!fail" => Err(Error::AiFailed),
        "!hang" => std::future::pending().await,
        "!empty" => Ok(" \n".into()),
        "!long" => Ok("😀".repeat(250_000)),
        other => {
            if let Some(Ok(millis)) = other.strip_prefix("!slow ").map(str::parse) {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            Ok(super::echo::answer(other))
        }
    }
}
