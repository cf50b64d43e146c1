//! The recognition of requests that programs send again, by the headers of their SDKs.

use serde::Deserialize;
use shared::charge::{AnswerForm, RequestKey};
use shared::values::Credential;
use shared::values::idempotency::{Key, fingerprint, fingerprint_without};
use shared::{App, Request, Result, http};

/// A unit of a client's work, such as a session, that has many requests with different bodies. A
/// request with the same body in the same unit is a retry.
pub(crate) struct Work {
    /// The kind of unit and the client. Part of stored ids, so it must never change.
    pub(crate) kind: &'static str,
    /// The unit's id, which the client has chosen.
    pub(crate) id: String,
}

/// Returns a request's idempotency key: the key that the client sent, a key for the request's Codex
/// turn or other `work`, or a key for a call that is recognized by its retry count or by its body.
/// `None` if none of these applies.
///
/// # Errors
/// Returns [`Error::Unavailable`](shared::Error::Unavailable) if the store doesn't answer.
pub(crate) async fn request_key(
    app: &App,
    req: &Request,
    caller: &Credential,
    key: Option<&Key>,
    form: AnswerForm,
    work: Option<Work>,
) -> Result<Option<RequestKey>> {
    let whole = || fingerprint(req.body());
    if let Some(key) = key {
        return Ok(Some(RequestKey::sent(key, caller, form.fingerprint(&whole()))));
    }
    if let Some(id) = codex_turn(req) {
        // Codex may reorder the contents of this field when it sends a request again.
        let payload = fingerprint_without("client_metadata", req.body()).unwrap_or_else(whole);
        let turn = ("codex", id.as_str());
        return Ok(Some(RequestKey::within(turn, caller, form.fingerprint(&payload))));
    }
    if let Some(Work { kind, id }) = work {
        return Ok(Some(RequestKey::within((kind, &id), caller, form.fingerprint(&whole()))));
    }
    match retry_count(req) {
        Some(count) => RequestKey::of_call(app, req, caller, form, count > 0).await.map(Some),
        None if form.key_of_equal_bodies(caller).is_some() => {
            RequestKey::of_call(app, req, caller, form, false).await.map(Some)
        }
        None => Ok(None),
    }
}

/// Returns how many times a client of OpenAI or Anthropic has already sent this request, as
/// reported by the `x-stainless-retry-count` header ([the
/// SDK](https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py)). `None` if
/// the header is missing.
fn retry_count(req: &Request) -> Option<u32> {
    req.headers().get("x-stainless-retry-count")?.to_str().ok()?.parse().ok()
}

/// Returns the id of the turn in which Codex sends this request. The id is part of the JSON in the
/// `x-codex-turn-metadata` header
/// ([Codex](https://github.com/openai/codex/blob/main/codex-rs/core/src/turn_metadata.rs)). A retry
/// by Codex repeats both the id and the body; other requests in the same turn contain different
/// bodies. Returns `None` if the header is missing or doesn't contain a UUID.
fn codex_turn(req: &Request) -> Option<String> {
    let metadata = req.headers().get("x-codex-turn-metadata")?.as_bytes();
    let CodexMetadata { turn_id } = serde_json::from_slice(metadata).ok()?;
    http::id(turn_id)
}

#[derive(Deserialize)]
struct CodexMetadata<'h> {
    turn_id: &'h str,
}

#[cfg(test)]
mod tests {
    use shared::http::HeaderValue;

    use super::*;

    #[test]
    fn codex_turn_ids_are_uuids() {
        let mut request = Request::default();
        assert_eq!(codex_turn(&request), None);
        let turn = "01a20f2e-df49-7d50-9892-dddfbb391acf";
        for (metadata, found) in [
            (format!(r#"{{"session_id":"x","turn_id":"{turn}","window_number":0}}"#), Some(turn)),
            (format!(r#"{{"turn_id":"{}"}}"#, turn.to_uppercase()), Some(turn)),
            (r#"{"turn_id":"1"}"#.into(), None),
            (r#"{"turn_id":null}"#.into(), None),
            (r#"{"session_id":"x"}"#.into(), None),
            (turn.into(), None),
            (String::new(), None),
        ] {
            let value = HeaderValue::from_str(&metadata).unwrap();
            request.headers_mut().insert("x-codex-turn-metadata", value);
            assert_eq!(codex_turn(&request).as_deref(), found, "{metadata}");
        }
    }
}
