//! Reads arbitrary bytes as a provider's reply, split at arbitrary points. The answer or the
//! failure doesn't depend on where the reply is split, and a listener gets the answer's text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::ai::{Answer, Failure, Prompt, Tool, replay};

/// The maximum size of an answer in bytes.
const LIMIT: usize = 1000;

/// How many pieces have their lengths set by the last bytes of an input.
const PIECES: usize = 8;

/// Removes the ids of function calls, because a call that arrives without an id gets a random one.
fn without_ids(answer: Result<Answer, Failure>) -> Result<Answer, Failure> {
    answer.map(|mut answer| {
        answer.calls.iter_mut().for_each(|call| call.id.clear());
        answer
    })
}

fuzz_target!(|input: &[u8]| {
    let (reply, lengths) = input.split_at(input.len().saturating_sub(PIECES));
    let mut rest = reply;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let tool = Tool { name: "f".into(), ..Tool::default() };
    for given in [false, true] {
        let tools = vec![tool.clone()];
        let prompt = Prompt { tools, given, ..Prompt::after(Vec::new(), "hi") };
        let whole = replay(&prompt, LIMIT, [reply], None);
        if let Ok(answer) = &whole {
            assert!(answer.text.len() <= LIMIT);
            assert!(given || !answer.text.trim().is_empty() || !answer.calls.is_empty());
        }
        let split = replay(&prompt, LIMIT, pieces.clone(), None);
        assert_eq!(without_ids(whole), without_ids(split));

        let (listener, mut heard) = tokio::sync::mpsc::unbounded_channel();
        if let Ok(answer) = replay(&prompt, LIMIT, pieces.clone(), Some(&listener)) {
            let mut text = String::new();
            while let Ok(piece) = heard.try_recv() {
                text += &piece.text;
            }
            assert_eq!(text, answer.text);
        }
    }
});
