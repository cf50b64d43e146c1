//! The recognition of requests that Claude Code sends again.

use shared::{Request, http};

use crate::dialects::programs::retries::Work;

/// Returns the id of the session in which Claude Code sends this request, from the header
/// `x-claude-code-session-id`. A retry repeats both the id and the body. Returns `None` if the
/// header is missing or isn't a UUID.
pub(super) fn session(req: &Request) -> Option<Work> {
    let id = http::id(req.headers().get("x-claude-code-session-id")?.to_str().ok()?)?;
    Some(Work { kind: "claude-code", id })
}

#[cfg(test)]
mod tests {
    use shared::http::HeaderValue;

    use super::*;

    #[test]
    fn claude_code_session_ids_are_uuids() {
        let mut request = Request::default();
        assert!(session(&request).is_none());
        let sent = "01a20f2e-df49-7d50-9892-dddfbb391acf";
        for (value, found) in [(sent, Some(sent)), ("1", None), ("", None)] {
            request
                .headers_mut()
                .insert("x-claude-code-session-id", HeaderValue::from_static(value));
            assert_eq!(session(&request).as_ref().map(|work| work.id.as_str()), found, "{value}");
        }
    }
}
