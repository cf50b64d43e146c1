//! Sends arbitrary strings as page cursors. Only a cursor that was sealed for this account and list
//! is accepted.

#![no_main]

use fuzz::ANN;
use libfuzzer_sys::fuzz_target;
use shared::http::{UnverifiedCursor, seal};

fuzz_target!(|input: (&str, &str, &str, Vec<(u8, u8)>)| {
    let (text, scope, position, edits) = input;
    let genuine = seal(&ANN.account, scope, position);
    let mut forged = genuine.clone().into_bytes();
    for (at, byte) in edits {
        let at = usize::from(at) % forged.len();
        forged[at] = byte;
    }
    let forged = String::from_utf8_lossy(&forged).into_owned();
    for cursor in [text, &forged] {
        if let Ok(parsed) = UnverifiedCursor::parse(cursor)
            && parsed.prove(&ANN.account, scope).is_ok()
        {
            assert_eq!(parsed.position(), position, "{cursor}");
        }
    }
});
