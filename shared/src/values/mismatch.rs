//! Error messages about JSON values of the wrong type, in JSON terms. Serde's messages contain
//! names of Rust types, which are meaningless to clients.

use super::Problem;

/// The sentence for a required field that is missing.
pub const REQUIRED: &str = "This field is required.";

/// The maximum length of a name that a client has chosen, in characters.
const NAME: usize = 100;

impl Problem {
    /// Describes a value of the wrong type. The problem's field is empty if it is unknown.
    pub(crate) fn of_types(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let field = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
        let (inner, message) = (error.inner(), error.inner().to_string());
        let place = format!(" at line {} column {}", inner.line(), inner.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        if let Some(name) = message.strip_prefix("missing field ").map(unquoted) {
            let within = [field.as_str(), name].into_iter().filter(|name| !name.is_empty());
            let field = within.collect::<Vec<_>>().join(".");
            return Self { field, sentence: REQUIRED.into() };
        }
        Self { field, sentence: sentence(message) }
    }
}

/// Translates any message from serde
/// ([`de::Error`](https://docs.rs/serde/latest/serde/de/trait.Error.html)) except `missing field`.
fn sentence(message: &str) -> String {
    // A client's string may contain the word `expected`, but the expectation that follows it in
    // serde's message doesn't.
    let (found, wanted) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let starts = ["invalid type: ", "invalid value: "];
    if let Some(found) = starts.iter().find_map(|start| found.strip_prefix(start)) {
        return format!("This must be {}, not {}.", expected(wanted), unexpected(found));
    }
    if found.starts_with("invalid length ") {
        return format!("This must be {}.", expected(wanted));
    }
    if found.starts_with("unknown field ") {
        let known = wanted.trim_start_matches("one of ");
        return format!("This field is unknown. The known fields are {known}.");
    }
    if found.starts_with("unknown variant ") {
        return format!("This must be {wanted}.");
    }
    if let Some(name) = message.strip_prefix("duplicate field ").map(unquoted) {
        let name: String = name.chars().take(NAME).collect();
        return format!("The field `{name}` occurs twice.");
    }
    if message.starts_with("data did not match any variant") {
        return "This value has none of the supported forms.".into();
    }
    // The message comes from a deserializer in this program.
    format!("{message}.")
}

fn unquoted(name: &str) -> &str {
    name.trim_matches('`')
}

/// Returns the JSON term for a type that serde expected. Any other expectation comes from a
/// deserializer in this program and is returned unchanged.
fn expected(wanted: &str) -> &str {
    match wanted {
        "a string" | "string" | "a borrowed string" | "a character" => "a text",
        "a boolean" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" | "option" => "null",
        _ if wanted.starts_with("a tuple ") || wanted.starts_with("an array ") => "a list",
        _ if wanted.starts_with("enum ") || wanted.starts_with("variant ") => "a known word",
        _ if ["struct ", "enum ", "variant "].iter().any(|kind| wanted.contains(kind)) => {
            "an object"
        }
        _ => wanted,
    }
}

/// Returns the JSON term for the value that was found. Omits the content of strings, which may be
/// long or secret.
fn unexpected(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "null" | "unit" => "null".into(),
        "boolean" => unquoted(value).into(),
        "integer" => format!("the number {}", unquoted(value)),
        "floating" => format!("the number {}", unquoted(value.trim_start_matches("point "))),
        "string" | "character" | "byte" => "a text".into(),
        "sequence" => "a list".into(),
        "map" => "an object".into(),
        _ => "another value".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Whole {
        text: Option<String>,
        flag: Option<bool>,
        small: Option<u32>,
        count: Option<u64>,
        signed: Option<i64>,
        share: Option<f64>,
        list: Option<Vec<String>>,
        pair: Option<(u8, u8)>,
        part: Option<Part>,
        word: Option<Word>,
        either: Option<Either>,
        tagged: Option<Tagged>,
        map: Option<std::collections::BTreeMap<String, String>>,
        unit: Option<Unit>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Part {
        url: String,
    }

    #[derive(Debug, Deserialize)]
    struct Unit;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Low,
        High,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Either {
        Number(u64),
        Part(Part),
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type")]
    #[allow(dead_code)]
    enum Tagged {
        Part(Part),
    }

    fn problem(json: &str) -> Problem {
        let mut json = serde_json::Deserializer::from_str(json);
        let read: Result<Whole, _> = serde_path_to_error::deserialize(&mut json);
        Problem::of_types(&read.unwrap_err())
    }

    #[test]
    fn wrong_types_are_described_in_the_words_of_json() {
        for (field, value, wanted) in [
            ("text", "5", "This must be a text, not the number 5."),
            ("text", "-1.5", "This must be a text, not the number -1.5."),
            ("text", "true", "This must be a text, not true."),
            ("text", "[]", "This must be a text, not a list."),
            ("text", "{}", "This must be a text, not an object."),
            ("flag", "0", "This must be true or false, not the number 0."),
            ("small", "-1", "This must be a whole number from 0 to 4294967295, not the number -1."),
            ("count", "1.5", "This must be a whole number of at least 0, not the number 1.5."),
            ("signed", r#""secret, expected u8""#, "This must be a whole number, not a text."),
            ("share", r#""1""#, "This must be a number, not a text."),
            ("list", "{}", "This must be a list, not an object."),
            ("pair", "[1]", "This must be a list."),
            ("part", r#""https://a.b""#, "This must be an object, not a text."),
            ("part", "[]", "This must be an object."),
            ("word", r#""middle""#, "This must be `low` or `high`."),
            ("either", "[]", "This value has none of the supported forms."),
            ("tagged", "1", "This must be an object, not the number 1."),
            ("map", "[]", "This must be an object, not a list."),
            ("unit", "[1]", "This must be an object, not a list."),
        ] {
            let Problem { field: named, sentence } = problem(&format!("{{\"{field}\": {value}}}"));
            assert_eq!((named.as_str(), sentence.as_str()), (field, wanted), "{value}");
        }
    }

    #[test]
    fn missing_unknown_and_repeated_fields_are_named() {
        for (json, field, wanted) in [
            (r#"{"part": {}}"#, "part.url", REQUIRED),
            (r#"{"list": ["a", null]}"#, "list[1]", "This must be a text, not null."),
            (r#"{"text": "a", "text": "b"}"#, "", "The field `text` occurs twice."),
        ] {
            let problem = problem(json);
            assert_eq!((problem.field.as_str(), problem.sentence.as_str()), (field, wanted));
        }
        let unknown = problem(r#"{"other": 1}"#);
        assert_eq!(unknown.field, "other");
        assert!(
            unknown.sentence.starts_with("This field is unknown. The known fields are `text`, ")
        );
    }
}
