//! Sends arbitrary bytes as a body, and parses arbitrary text as a field of a body. Each username
//! and address has one key form, however it is typed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use shared::http;
use shared::passwords::NewPassword;
use shared::values::idempotency::{Key, Kind};
use shared::values::{ApiKey, Email, Message, Username, login_key};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Body {
    username: Option<String>,
    email: Option<String>,
    message: Option<String>,
    all: Option<bool>,
    limit: Option<u32>,
}

fuzz_target!(|data: &[u8]| {
    let mut request = shared::Request::new(lambda_http::Body::Binary(data.to_vec()));
    request
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    if let Err(error) = http::json::<Body>(&request) {
        assert!(error.status().is_client_error());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = Username::parse(text) {
        assert_eq!(name.shown(), text);
        let again = Username::parse(name.key()).expect("the key of a name is a name");
        assert_eq!(again.key(), name.key());
        assert_eq!(login_key(text).as_deref(), Some(name.key()));
    }
    if let Ok(email) = Email::parse(text) {
        let again = Email::parse(email.key()).expect("the key of an address is an address");
        assert_eq!(again.key(), email.key());
    }
    if let Ok(message) = Message::parse(text.to_owned(), 32_000) {
        assert_eq!(message.text(), text);
    }
    let _ = NewPassword::parse(text, &["ann"]);
    if let Ok(key) = ApiKey::parse(text) {
        assert_eq!(key.text(), text);
    }
    if let Some(key) = Key::parse(text) {
        assert_eq!(key.id(Kind::Chat, "ann").len(), 32);
    }
});
