//! Finds a server's reason for refusing a request. Only the known fields for reasons are read,
//! because the rest of the reply may repeat the prompt, and the prompt's words would be mistaken
//! for the server's reason.

use std::fmt;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ai::failure::Reason;

/// The maximum number of bytes that are read from a reply.
const REPLY: usize = 64 * 1024;

/// The maximum length of a text, in characters. Servers' reasons are shorter; a longer text may
/// repeat the prompt.
const TEXT: usize = 500;

/// Returns the reason.
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

/// Returns the reason in a reply. If the reply is cut off, returns what precedes the cut.
fn reason_in(reply: &[u8]) -> Reason {
    let mut reason = Reason::default();
    let mut json = serde_json::Deserializer::from_slice(reply);
    let _ = ReplyTexts { place: Place::Reply, reason: &mut reason }.deserialize(&mut json);
    reason
}

/// Visits a value in a reply and collects the texts.
struct ReplyTexts<'r> {
    place: Place,
    reason: &'r mut Reason,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The reply, or an element of it. Some servers reply with a list.
    Reply,
    /// The field `error`. Some servers send the text directly as the value of `error`.
    Error,
    /// A text that contains the reason.
    Words,
    /// A code for the reason.
    Code,
    /// The name of the refused field.
    Param,
    Elsewhere,
}

impl Place {
    fn child(self, field: &str) -> Self {
        match (self, field) {
            (Self::Reply, "error") => Self::Error,
            (Self::Reply, "message" | "detail") | (Self::Error, "message") => Self::Words,
            (Self::Error, "code" | "type") => Self::Code,
            (Self::Reply | Self::Error, "param") => Self::Param,
            _ => Self::Elsewhere,
        }
    }
}

impl<'de> DeserializeSeed<'de> for ReplyTexts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.place {
            Place::Elsewhere => json.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ReplyTexts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let text = text.chars().take(TEXT);
        match self.place {
            Place::Reply => {}
            Place::Param => self.reason.param = text.collect(),
            _ => {
                if self.place == Place::Code {
                    self.reason.codes.extend(text.clone());
                    self.reason.codes.push('\n');
                }
                self.reason.words.extend(text);
                self.reason.words.push('\n');
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { place, reason } = self;
        let place = if place == Place::Reply { place } else { Place::Elsewhere };
        while items.next_element_seed(ReplyTexts { place, reason: &mut *reason })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { place, reason } = self;
        while let Some(field) = fields.next_key::<String>()? {
            let place = place.child(&field);
            fields.next_value_seed(ReplyTexts { place, reason: &mut *reason })?;
        }
        Ok(())
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
            (r#"{"detail": "No.", "input": "a tool"}"#, "No."),
            (r#"{"detail": [{"msg": "a tool", "input": {"message": "a tool"}}]}"#, ""),
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
