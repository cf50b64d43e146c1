//! `ANY /{proxy+}` - the 404 reply for every path without an endpoint.

use shared::{Error, Reply, Request, http};

use crate::lambda::Lambda;

// The function checks no credential, so its requests are limited like registrations.
pub(crate) const LAMBDA: Lambda = Lambda::new("Answers unknown paths").throttled();

/// The endpoints of OpenAI's and Anthropic's APIs that this API doesn't have: the beginning of the
/// path below `/v1`, and what the endpoint offers. The first match counts.
const NOT_OFFERED: [(&str, &str); 31] = [
    ("assistants", "assistants"),
    ("audio/speech", "speech"),
    ("audio", "transcriptions of audio"),
    ("batches", "batches"),
    ("chat/completions", "stored completions"),
    ("chatkit", "ChatKit"),
    ("completions", "stored completions"),
    ("containers", "containers"),
    ("conversations", "stored conversations; send the whole conversation with each request"),
    ("edits", "edits"),
    ("evals", "evaluations"),
    ("files", "files; send a file's content in the message"),
    ("fine-tunes", "fine-tuning"),
    ("fine_tuning", "fine-tuning"),
    ("generations", "images"),
    ("graders", "graders"),
    ("images", "images"),
    ("mcp", "MCP servers"),
    ("messages/batches", "batches"),
    ("moderations", "moderations"),
    ("organization", "OpenAI's administration"),
    ("organizations", "Anthropic's administration"),
    ("projects", "OpenAI's administration"),
    ("realtime", "realtime sessions"),
    ("rerank", "ranking"),
    ("responses", "stored responses; send the whole conversation with each request"),
    ("skills", "skills"),
    ("threads", "threads"),
    ("uploads", "files; send a file's content in the message"),
    ("vector_stores", "vector stores"),
    ("videos", "videos"),
];

/// Replies with a 404. For an unknown path, browsers get a page (`not_found.html`). Programs get a
/// problem document, and OpenAI's and Anthropic's clients get their API's error.
pub async fn handle((): (), req: Request) -> Reply {
    Err(not_offered(http::path(&req)).map_or(Error::NotFound, Error::NotOffered))
}

/// Returns what OpenAI's or Anthropic's endpoint at this path offers.
fn not_offered(path: &str) -> Option<&'static str> {
    // Some clients append `/v1` to a base URL that already ends with it.
    let path = path.strip_prefix("/v1/")?;
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let is_below = |beginning: &str| match path.strip_prefix(beginning) {
        // This API has the endpoint itself, so the base URL is wrong.
        Some("") => !["chat/completions", "completions", "responses"].contains(&beginning),
        Some(rest) => rest.starts_with('/'),
        None => false,
    };
    NOT_OFFERED.iter().find(|(beginning, _)| is_below(beginning)).map(|(_, what)| *what)
}
