//! Reads strings that each end with a zero byte, and prints the low and the high estimate of each
//! string, in a line.

#[path = "../../../../shared/src/values/model_tokens.rs"]
mod model_tokens;

use std::io::{BufRead, Result, Write, stdin, stdout};

use model_tokens::TokenEstimate;

fn main() -> Result<()> {
    for text in stdin().lock().split(0) {
        let text = text?;
        let text = String::from_utf8_lossy(&text);
        writeln!(stdout(), "{} {}", TokenEstimate::of(&text), TokenEstimate::high_of(&text))?;
    }
    Ok(())
}
