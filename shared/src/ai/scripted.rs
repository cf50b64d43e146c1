//! A provider for tests, which does what the message says: `!fail`, `!hang`, `!empty`, `!long`; anything else is echoed.

use crate::{Error, Result};

pub async fn answer(message: &str) -> Result<String> {
    match message {
        "!fail" => Err(Error::AiFailed),
        "!hang" => std::future::pending().await,
        "!empty" => Ok(" \n".into()),
        "!long" => Ok("😀".repeat(250_000)),
        other => Ok(super::echo::answer(other)),
    }
}
