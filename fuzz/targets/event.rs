//! Sends arbitrary requests to every endpoint. No request causes a panic or a 500, and a client can
//! read every reply.

#![no_main]

use arbitrary::Arbitrary;
use fuzz::{ANN, RUNTIME, answer, event};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    endpoint: u8,
    method: Option<String>,
    path: Option<String>,
    headers: Vec<(Header, String)>,
    query: Vec<(Parameter, String)>,
    body: Content,
    as_ann: bool,
}

#[derive(Debug, Arbitrary)]
enum Header {
    Authorization,
    ContentType,
    Accept,
    IdempotencyKey,
    Origin,
    UserAgent,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Parameter {
    Limit,
    Cursor,
    Search,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
    Fields(Vec<(Field, String)>),
}

#[derive(Debug, Arbitrary)]
enum Field {
    Username,
    Email,
    Password2,
    Message,
    Token,
    Refresh,
    Other(String),
}

fuzz_target!(|input: Input| {
    let endpoints = functions::ENDPOINTS;
    let endpoint = endpoints[usize::from(input.endpoint) % endpoints.len()].name;
    let route = functions::ROUTES.iter().find(|route| route.endpoint == endpoint).expect("a route");
    let mut headers: Vec<_> =
        input.headers.into_iter().map(|(header, value)| (header.name(), value)).collect();
    if input.as_ann {
        headers.push((
            "authorization".into(),
            format!("Bearer {}", ANN.registered["access"].as_str().expect("a token")),
        ));
    }
    let query: Vec<_> =
        input.query.into_iter().map(|(parameter, value)| (parameter.name(), value)).collect();
    let (body, base64) = input.body.on_the_wire();
    let event = event(
        input.method.as_deref().unwrap_or(route.method),
        input.path.as_deref().unwrap_or(route.path),
        &headers,
        &query,
        &body,
        base64,
    );
    let Some(reply) = answer(endpoint, &event) else { return };
    let (parts, body) = reply.into_parts();
    let text = RUNTIME.block_on(body.text());
    assert!(parts.status.as_u16() != 500, "{event}: {text}");
    assert!(parts.headers.contains_key("x-content-type-options"));
    if parts
        .headers
        .get("content-type")
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")))
    {
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    }
});

impl Header {
    fn name(self) -> String {
        match self {
            Self::Authorization => "authorization".into(),
            Self::ContentType => "content-type".into(),
            Self::Accept => "accept".into(),
            Self::IdempotencyKey => "idempotency-key".into(),
            Self::Origin => "origin".into(),
            Self::UserAgent => "user-agent".into(),
            Self::Other(name) => name,
        }
    }
}

impl Parameter {
    fn name(self) -> String {
        match self {
            Self::Limit => "limit".into(),
            Self::Cursor => "cursor".into(),
            Self::Search => "q".into(),
            Self::Other(name) => name,
        }
    }
}

impl Content {
    fn on_the_wire(self) -> (String, bool) {
        match self {
            Self::Text(text) => (text, false),
            Self::Bytes(bytes) => {
                (base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes), true)
            }
            // Send no password, because hashing takes longer than everything else.
            Self::Fields(fields) => {
                let fields =
                    fields.into_iter().map(|(field, value)| (field.name(), value.into())).collect();
                (serde_json::Value::Object(fields).to_string(), false)
            }
        }
    }
}

impl Field {
    fn name(self) -> String {
        match self {
            Self::Username => "username".into(),
            Self::Email => "email".into(),
            Self::Password2 => "password2".into(),
            Self::Message => "message".into(),
            Self::Token => "token".into(),
            Self::Refresh => "refresh".into(),
            Self::Other(name) => name,
        }
    }
}
