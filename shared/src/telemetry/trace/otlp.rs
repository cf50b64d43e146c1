//! Writes spans as OTLP JSON
//! ([format](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding)). The code is
//! handwritten, because a crate that generates OTLP would end up in every function's binary.

use std::fmt::Write;

use crate::telemetry::trace::{Span, Value};

/// The maximum length of a string, in bytes.
const TEXT: usize = 256;

/// Returns a request's body with spans from one trace.
pub fn request(service: &str, function: &str, trace: &str, spans: &[Span]) -> String {
    let mut json = String::from(r#"{"resourceSpans":[{"resource":{"attributes":["#);
    attribute(&mut json, "service.name", &service.into());
    if !function.is_empty() {
        json.push(',');
        attribute(&mut json, "faas.name", &function.into());
    }
    json.push_str(r#"]},"scopeSpans":[{"scope":{"name":"farebox"},"spans":["#);
    for (index, one) in spans.iter().enumerate() {
        separate(&mut json, index);
        span(&mut json, trace, one);
    }
    json.push_str("]}]}]}");
    json
}

fn span(json: &mut String, trace: &str, span: &Span) {
    let Span { id, parent, name, kind, from, to, attributes, has_failed } = span;
    // The ids consist of hexadecimal digits and don't need to be escaped. Writing to a `String`
    // can't fail.
    let _ = write!(json, r#"{{"traceId":"{trace}","spanId":"{id}","#);
    if let Some(parent) = parent {
        let _ = write!(json, r#""parentSpanId":"{parent}","#);
    }
    json.push_str(r#""name":"#);
    quoted(json, name);
    let kind = *kind as u8;
    // In OTLP JSON, 64-bit numbers are written as strings.
    let _ = write!(
        json,
        r#","kind":{kind},"startTimeUnixNano":"{from}","endTimeUnixNano":"{to}","attributes":["#
    );
    for (index, (key, value)) in attributes.iter().enumerate() {
        separate(json, index);
        attribute(json, key, value);
    }
    json.push_str(if *has_failed { r#"],"status":{"code":2}}"# } else { "]}" });
}

fn attribute(json: &mut String, key: &str, value: &Value) {
    let _ = write!(json, r#"{{"key":"{key}","value":"#);
    push_value(json, value);
    json.push('}');
}

fn push_value(json: &mut String, value: &Value) {
    let _ = match value {
        Value::Text(text) => {
            json.push_str(r#"{"stringValue":"#);
            quoted(json, text);
            Ok(())
        }
        Value::Texts(texts) => {
            json.push_str(r#"{"arrayValue":{"values":["#);
            for (index, text) in texts.iter().enumerate() {
                separate(json, index);
                json.push_str(r#"{"stringValue":"#);
                quoted(json, text);
                json.push('}');
            }
            json.push_str("]}");
            Ok(())
        }
        Value::Number(number) => write!(json, r#"{{"intValue":"{number}""#),
        // JSON can't represent infinity or NaN, but attributes never have these values.
        Value::Fraction(number) => write!(json, r#"{{"doubleValue":{number}"#),
        Value::Flag(flag) => write!(json, r#"{{"boolValue":{flag}"#),
    };
    json.push('}');
}

fn separate(json: &mut String, index: usize) {
    if index > 0 {
        json.push(',');
    }
}

fn quoted(json: &mut String, text: &str) {
    let text = text.split_at(text.floor_char_boundary(TEXT)).0;
    json.push_str(&serde_json::to_string(text).unwrap_or_else(|_| r#""""#.to_owned()));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::telemetry::trace::Kind;

    #[test]
    fn spans_are_encoded_as_otlp() {
        let call = Span {
            id: "00f067aa0ba902b7".into(),
            parent: Some("53995c3f42cd8ad8".into()),
            name: "a \"call\"\n".into(),
            kind: Kind::Client,
            from: 1_795_132_800_000_000_001,
            to: 1_795_132_800_000_000_002,
            attributes: vec![
                ("text", "\u{1f}\u{20ac}".into()),
                ("texts", Value::Texts(vec!["a".into(), "b".into()])),
                ("number", 7_u32.into()),
                ("fraction", Value::Fraction(0.5)),
                ("flag", Value::Flag(true)),
                ("long", "\u{20ac}".repeat(1000).as_str().into()),
            ],
            has_failed: true,
        };
        let root = Span {
            id: "53995c3f42cd8ad8".into(),
            parent: None,
            name: "root".into(),
            attributes: vec![],
            has_failed: false,
            kind: Kind::Server,
            ..call
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let written = request("farebox-prod", "chat", trace, &[call, root]);
        let text = |text: &str| json!({ "stringValue": text });
        let attribute = |key: &str, value: Json| json!({ "key": key, "value": value });
        assert_eq!(
            serde_json::from_str::<Json>(&written).unwrap(),
            json!({ "resourceSpans": [{
                "resource": { "attributes": [
                    attribute("service.name", text("farebox-prod")),
                    attribute("faas.name", text("chat")),
                ] },
                "scopeSpans": [{ "scope": { "name": "farebox" }, "spans": [
                    {
                        "traceId": trace, "spanId": "00f067aa0ba902b7",
                        "parentSpanId": "53995c3f42cd8ad8", "name": "a \"call\"\n", "kind": 3,
                        "startTimeUnixNano": "1795132800000000001",
                        "endTimeUnixNano": "1795132800000000002",
                        "attributes": [
                            attribute("text", text("\u{1f}\u{20ac}")),
                            attribute("texts", json!({ "arrayValue": { "values": [text("a"), text("b")] } })),
                            attribute("number", json!({ "intValue": "7" })),
                            attribute("fraction", json!({ "doubleValue": 0.5 })),
                            attribute("flag", json!({ "boolValue": true })),
                            attribute("long", text(&"\u{20ac}".repeat(85))),
                        ],
                        "status": { "code": 2 },
                    },
                    {
                        "traceId": trace, "spanId": "53995c3f42cd8ad8", "name": "root", "kind": 2,
                        "startTimeUnixNano": "1795132800000000001",
                        "endTimeUnixNano": "1795132800000000002", "attributes": [],
                    },
                ] }],
            }] })
        );
    }
}
