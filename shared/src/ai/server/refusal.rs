//! Finds a server's reason for refusing a request. Only the known fields for reasons are read. The
//! rest of the reply may repeat the prompt, and the prompt's words could be mistaken for the
//! reason.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::ai::failure::Reason;
use crate::ai::json::Json;
use crate::ai::texts::{TextFinder, find_texts};

/// The maximum number of bytes that are read from a reply.
const REPLY: usize = 64 * 1024;

/// The maximum length of a string, in characters. Servers' reasons are shorter; a longer string may
/// repeat the prompt.
const TEXT: usize = 500;

/// Reads the reason from a reply's body.
pub async fn reason(mut body: Incoming) -> Reason {
    let mut reply = Vec::new();
    while reply.len() < REPLY
        && let Some(Ok(frame)) = body.frame().await
    {
        reply.extend(frame.data_ref().into_iter().flatten());
    }
    reply.truncate(REPLY);
    reason_in(&reply)
}

/// Returns the reason in a reply. If the reply is cut off, uses only the part before the cut.
pub fn reason_in(reply: &[u8]) -> Reason {
    find_reason(reply, JsonPlace::Reply)
}

/// Returns the reason in an error, which is the value of the field `error` in a reply.
pub fn reason_in_error(error: Json<'_>) -> Reason {
    let status = error.object().and_then(|error| error.get("code")?.count());
    let status = status.and_then(|status| u16::try_from(status).ok());
    Reason { status, ..find_reason(error.source().as_bytes(), JsonPlace::Error) }
}

fn find_reason(json: &[u8], place: JsonPlace) -> Reason {
    let mut reason = Reason::default();
    let _ = find_texts(json, place, &mut reason);
    reason
}

/// The position of a value in a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum JsonPlace {
    /// The reply itself, or one of its elements if the server replies with a list.
    Reply,
    /// The `error` field. Some servers send the reason directly as the value of `error`.
    Error,
    /// A string that contains the reason, or an object or a list with such strings.
    Words,
    /// A code for the reason.
    Code,
    /// The name of the refused field.
    Param,
    /// An element of a list of reasons. Servers that use FastAPI send such a list, and the elements
    /// may repeat the request.
    Listed,
    /// The names that lead to the refused field in such an element.
    Path,
    Elsewhere,
}

impl TextFinder for Reason {
    type Place = JsonPlace;

    fn field(&self, object: JsonPlace, name: &str) -> JsonPlace {
        use JsonPlace::{Code, Elsewhere, Error, Listed, Param, Path, Reply, Words};
        match (object, name) {
            (Reply, "error") => Error,
            // Mistral's list is in `detail` of `message`.
            (Reply, "message" | "detail") | (Error, "message") | (Words, "detail") => Words,
            (Reply | Error, "code") | (Error, "type") => Code,
            (Reply | Error, "param") => Param,
            (Listed, "loc") => Path,
            _ => Elsewhere,
        }
    }

    fn element(&self, list: JsonPlace, _: usize) -> JsonPlace {
        match list {
            JsonPlace::Reply | JsonPlace::Path => list,
            JsonPlace::Words => JsonPlace::Listed,
            _ => JsonPlace::Elsewhere,
        }
    }

    fn reads(&mut self, place: JsonPlace) -> bool {
        place != JsonPlace::Elsewhere
    }

    fn text(&mut self, place: JsonPlace, text: &str) {
        let text = text.chars().take(TEXT);
        match place {
            JsonPlace::Reply | JsonPlace::Listed | JsonPlace::Elsewhere => {}
            JsonPlace::Param => self.param = text.collect(),
            JsonPlace::Error | JsonPlace::Words | JsonPlace::Code | JsonPlace::Path => {
                if place == JsonPlace::Code {
                    self.codes.extend(text.clone());
                    self.codes.push('\n');
                }
                self.words.extend(text);
                self.words.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_error_texts_from_the_server_are_read() {
        let long = format!(r#"{{"message": "{}", "code": 400}}"#, "é".repeat(600));
        for (reply, words) in [
            (
                r#"{"error": {"message": "No.", "code": "why", "type": "t", "param": "p"}}"#,
                "No.|why|t",
            ),
            (r#"{"error": "No."}"#, "No."),
            (r#"[{"error": {"code": 400, "message": "No."}}]"#, "No."),
            (r#"{"object": "error", "message": "No.", "code": 400}"#, "No."),
            (r#"{"code": "why", "message": "No.", "type": "error"}"#, "why|No."),
            (r#"{"detail": "No.", "input": "a tool"}"#, "No."),
            (r#"{"detail": [{"msg": "a tool", "input": {"message": "a tool"}}]}"#, ""),
            (r#"{"detail": [{"loc": ["body", 1, "x"], "input": {"loc": "a tool"}}]}"#, "body|x"),
            (
                r#"{"message": {"detail": [{"loc": ["body", "seed"], "msg": "a tool"}]}}"#,
                "body|seed",
            ),
            (r#"{"message": {"message": "a tool", "input": {"detail": "a tool"}}}"#, ""),
            (
                r#"{"request": {"error": {"message": "a tool"}}, "error": {"message": "No."}}"#,
                "No.",
            ),
            (r#"{"error": {"message": ["a tool"], "metadata": {"message": "a tool"}}}"#, ""),
            (r#"{"error": {"message": "No."}, "request": ["cut o"#, "No."),
            (r#""a tool""#, ""),
            ("a tool", ""),
            ("", ""),
            (long.as_str(), "é".repeat(500).as_str()),
        ] {
            let reason = reason_in(reply.as_bytes());
            assert_eq!(reason.words.trim_end().replace('\n', "|"), words, "{reply}");
        }
    }

    #[test]
    fn the_refused_field_is_read() {
        for (reply, param) in [
            (r#"{"error": {"message": "No.", "param": "stop"}}"#, "stop"),
            (r#"{"object": "error", "message": "No.", "param": "stop"}"#, "stop"),
            (r#"{"error": {"param": null}}"#, ""),
            (r#"{"error": {"metadata": {"param": "stop"}}}"#, ""),
        ] {
            assert_eq!(reason_in(reply.as_bytes()).param, param, "{reply}");
        }
    }
}
