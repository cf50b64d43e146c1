//! Reads strings that each end with a zero byte, and prints an estimate for each string, one per
//! line.

#[path = "../../../../shared/src/values/model_tokens.rs"]
mod model_tokens;

use std::io::{BufRead, Result, Write, stdin, stdout};

use model_tokens::TokenEstimate;

fn main() -> Result<()> {
    for text in stdin().lock().split(0) {
        let text = text?;
        writeln!(stdout(), "{}", TokenEstimate::of(&String::from_utf8_lossy(&text)))?;
    }
    Ok(())
}
