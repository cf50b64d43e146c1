//! Verifies arbitrary strings as JWTs. Only issued JWTs are accepted, and only as the kind of token
//! that they were issued as.

#![no_main]

use fuzz::{ANN, RUNTIME, app};
use libfuzzer_sys::fuzz_target;
use shared::Error;
use shared::values::{AccessToken, RefreshToken};

fuzz_target!(|input: (Vec<(u16, u8)>, &str)| {
    let (edits, text) = input;
    let genuine = |name: &str| ANN.registered[name].as_str().expect("a token").to_owned();
    let (access, token, refresh) = (genuine("access"), genuine("token"), genuine("refresh"));
    for (index, start) in [access.as_str(), &refresh, text].into_iter().enumerate() {
        // Replace some of the characters.
        let mut forged = start.as_bytes().to_vec();
        for (at, byte) in &edits {
            if !forged.is_empty() {
                let at = usize::from(*at) % forged.len();
                forged[at] = *byte;
            }
        }
        let Ok(forged) = String::from_utf8(forged) else { continue };
        RUNTIME.block_on(async {
            let as_access = AccessToken::verify(app("chat"), &forged).await;
            assert!(
                matches!(as_access, Err(Error::InvalidToken(_)))
                    || forged == access
                    || forged == token,
                "{index}: {forged}"
            );
            let as_refresh = RefreshToken::verify(app("token_refresh"), &forged, None).await;
            assert!(as_refresh.is_err() || forged == refresh, "{index}: {forged}");
        });
    }
});
