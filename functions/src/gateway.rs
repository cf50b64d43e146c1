//! The replies that API Gateway itself sends. `cargo xtask generate` writes them into
//! `template.yaml`, and the local gateway uses them, too.

/// A reply that the gateway itself sends, in the same form as a function's reply.
#[derive(Debug)]
pub struct Refusal {
    /// The kind of reply in API Gateway
    /// ([kinds](https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html)).
    pub kind: &'static str,
    /// The status, or `None` for the kind that covers refusals with different statuses.
    pub status: Option<u16>,
    /// The status in words.
    pub title: &'static str,
    /// The human-readable sentence.
    pub detail: &'static str,
    /// The machine-readable code.
    pub code: &'static str,
    /// The number of seconds after which a retry may succeed.
    pub retry_after: Option<u32>,
}

/// The headers of each reply.
pub const HEADERS: [(&str, &str); 6] = [
    ("Content-Type", "application/problem+json; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Content-Security-Policy", "sandbox"),
    ("Referrer-Policy", "no-referrer"),
];

/// The reply for all refusals that don't have a specific reply. API Gateway keeps each refusal's
/// own status, so the sentence must be true for all of them.
pub const REFUSED: Refusal = Refusal {
    kind: "DEFAULT_4XX",
    status: None,
    title: "Refused",
    detail: "The gateway refused this request.",
    code: "refused",
    retry_after: None,
};

/// The reply to a request whose parameters the gateway can't read.
pub const MALFORMED: Refusal = Refusal {
    kind: "BAD_REQUEST_PARAMETERS",
    status: Some(400),
    title: "Bad Request",
    detail: "The gateway could not read this request.",
    code: "malformed_request",
    retry_after: None,
};

/// The reply to a request whose body the gateway can't read.
pub const MALFORMED_BODY: Refusal = Refusal { kind: "BAD_REQUEST_BODY", ..MALFORMED };

/// The reply to a request that AWS WAF blocks.
pub const BLOCKED: Refusal = Refusal {
    kind: "WAF_FILTERED",
    status: Some(403),
    title: "Forbidden",
    detail: "The firewall refused this request: it looks like an attack, or too many requests came \
             from this IP address. Try again in a few minutes.",
    code: "blocked",
    retry_after: None,
};

/// The reply if a function fails or doesn't answer in time.
pub const UNAVAILABLE: Refusal = Refusal {
    kind: "DEFAULT_5XX",
    status: Some(503),
    title: "Service Unavailable",
    detail: "The server did not answer, so this may or may not have taken effect. Check your balance \
             before you try again.",
    code: "unavailable",
    retry_after: Some(5),
};

/// The reply to a request that has an `Authorization` header, but a method or path that isn't
/// served by any function.
pub const NOT_FOUND_WITH_TOKEN: Refusal = Refusal { kind: "INVALID_SIGNATURE", ..NOT_FOUND };

/// The reply to a request whose method or path isn't served by any function.
pub const NOT_FOUND: Refusal = Refusal {
    kind: "MISSING_AUTHENTICATION_TOKEN",
    status: Some(404),
    title: "Not Found",
    detail: "No endpoint has this path.",
    code: "not_found",
    retry_after: None,
};

/// The reply to a request whose body exceeds the gateway's limit of 10 MB.
pub const TOO_LARGE: Refusal = Refusal {
    kind: "REQUEST_TOO_LARGE",
    status: Some(413),
    title: "Payload Too Large",
    detail: "The body is too large.",
    code: "body_too_large",
    retry_after: None,
};

/// The reply to a request that exceeds a rate limit.
pub const BUSY: Refusal = Refusal {
    kind: "THROTTLED",
    status: Some(429),
    title: "Too Many Requests",
    detail: "Too many requests right now. Try again in a moment.",
    code: "busy",
    retry_after: Some(1),
};

/// All refusals, in the same order as in the template.
pub const REFUSALS: [Refusal; 9] = [
    REFUSED,
    MALFORMED,
    MALFORMED_BODY,
    BLOCKED,
    UNAVAILABLE,
    NOT_FOUND_WITH_TOKEN,
    NOT_FOUND,
    TOO_LARGE,
    BUSY,
];
