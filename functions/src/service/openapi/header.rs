//! The reply headers in the OpenAPI document.

use serde_json::{Value, json};

/// Returns a header for the document, with its name in the usual spelling.
pub(super) fn header(name: &str, required: bool) -> (String, Value) {
    let (spelled, about, schema) = match name {
        "allow" => (
            "Allow",
            "The methods that the path allows.",
            json!({ "type": "string", "examples": ["GET, HEAD, OPTIONS"] }),
        ),
        "cache-control" => (
            "Cache-Control",
            "How long clients may cache the reply.",
            json!({ "type": "string", "examples": ["public, max-age=300"] }),
        ),
        "content-disposition" => (
            "Content-Disposition",
            "The name of the file.",
            json!({ "type": "string", "examples": ["attachment; filename=\"farebox-export.json\""] }),
        ),
        "etag" => (
            "ETag",
            "The version of the reply, for `If-None-Match`.",
            json!({ "type": "string", "examples": ["W/\"5d41402abc4b2a76\""] }),
        ),
        "idempotent-replayed" => (
            "Idempotent-Replayed",
            "The request repeats an earlier one, and had no effect this time.",
            json!({ "type": "string", "const": "true" }),
        ),
        "link" => (
            "Link",
            "The URL of the next page, if there is one.",
            json!({ "type": "string", "examples": ["<https://api.example.com/api/chat/?limit=20&cursor=MDFh..>; rel=\"next\""] }),
        ),
        "ratelimit" => (
            "RateLimit",
            "The remaining quota, and the seconds until it grows again.",
            json!({ "type": "string", "examples": ["\"chats\";r=297;t=31"] }),
        ),
        "ratelimit-policy" => (
            "RateLimit-Policy",
            "The limit.",
            json!({ "type": "string", "examples": ["\"chats\";q=300;w=60"] }),
        ),
        "request-id" => (
            "Request-Id",
            "The id of this request in the log, for Anthropic's clients.",
            json!({ "type": "string" }),
        ),
        "retry-after" => (
            "Retry-After",
            "The seconds after which to retry.",
            json!({ "type": "integer", "minimum": 0, "examples": [5] }),
        ),
        "set-cookie" => (
            "Set-Cookie",
            "The refresh token, if the request has `X-Refresh-Token: cookie`; empty to delete the \
             cookie. After a log-in also the device token, as `__Host-farebox_device`. On the \
             local server the names are without `__Host-`.",
            json!({ "type": "string", "examples": ["__Host-farebox_refresh=eyJ0eXAiOi...; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure"] }),
        ),
        "www-authenticate" => (
            "WWW-Authenticate",
            "The authentication scheme.",
            json!({ "type": "string", "const": "Bearer" }),
        ),
        "x-device-token" => (
            "X-Device-Token",
            "The device token that this client sends at its next log-in to this account, unless it is in a cookie.",
            json!({ "type": "string", "examples": ["eyJ0eXAiOi..."] }),
        ),
        "x-ratelimit-limit-requests" => (
            "X-RateLimit-Limit-Requests",
            "The limit, as OpenAI's API writes it.",
            json!({ "type": "integer", "minimum": 0, "examples": [300] }),
        ),
        "x-ratelimit-remaining-requests" => (
            "X-RateLimit-Remaining-Requests",
            "The remaining quota, as OpenAI's API writes it.",
            json!({ "type": "integer", "minimum": 0, "examples": [297] }),
        ),
        "x-ratelimit-reset-requests" => (
            "X-RateLimit-Reset-Requests",
            "The time until the quota grows again, as OpenAI's API writes it.",
            json!({ "type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?[0-9]+s$", "examples": ["31s"] }),
        ),
        "x-should-retry" => (
            "X-Should-Retry",
            "Clients should not retry the request.",
            json!({ "type": "string", "const": "false" }),
        ),
        "x-request-id" => {
            ("X-Request-Id", "The id of this request in the log.", json!({ "type": "string" }))
        }
        other => (other, "", json!({ "type": "string" })),
    };
    (spelled.to_owned(), json!({ "description": about, "required": required, "schema": schema }))
}
