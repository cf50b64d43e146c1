//! A `dumpdata` JSON file: a list of rows such as
//! `{"model": "chat.chat", "pk": 17, "fields": {"user": 1, "message": "hi", ..}}`.
//!
//! The file's text stays in memory unchanged. A row is parsed again each time it is read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Field, Model, PK, Record, RowId, Source, Value};

/// How many rows of a model are scanned to collect its field names. Django writes all fields into
/// every row, but the first rows may have been edited.
const SAMPLE: usize = 1000;

/// The program that wrote a file. It determines the form of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `dumpdata`.
    Dump,
    /// Another program.
    Users,
}

impl Form {
    fn read(self, row: &str) -> serde_json::Result<Entry<'_>> {
        if self == Self::Dump {
            return serde_json::from_str(row);
        }
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(row)?;
        Ok(Entry { model: USERS.into(), pk: fields.remove("id"), fields })
    }
}

/// The name of the model in a file that contains only users.
const USERS: &str = "user";

/// A JSON file that contains rows.
pub(super) struct JsonFile {
    form: Form,
    text: String,
    models: Vec<Model>,
    /// The rows of each model.
    rows: BTreeMap<String, Vec<Span>>,
    /// False if all rows are on one line, as Django writes them without `--indent`.
    has_lines: bool,
}

/// The position of a row in the file's text.
struct Span {
    bytes: Range<usize>,
    /// Counted from 1.
    line: usize,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    /// `None` if the file was written with `--natural-primary`.
    #[serde(borrow)]
    pk: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: BTreeMap<String, &'a RawValue>,
}

impl JsonFile {
    /// Finds the rows in a file's text.
    ///
    /// # Errors
    /// Fails with the reason, the line and the column if `text` isn't a list of rows.
    pub fn parse(text: String) -> Result<Self, String> {
        Self::parse_as(text, Form::Dump)
    }

    /// Like [`JsonFile::parse`], for users as other programs write them. Each user is an object
    /// that contains the fields, and the primary key as `id`.
    pub fn parse_users(text: String) -> Result<Self, String> {
        Self::parse_as(text, Form::Users)
    }

    fn parse_as(text: String, form: Form) -> Result<Self, String> {
        let mut rows: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let list: Vec<&RawValue> = match text.trim_start().starts_with('[') {
            true => serde_json::from_str(&text),
            // One object on each line.
            false => serde_json::Deserializer::from_str(&text).into_iter().collect(),
        }
        .map_err(|error| error.to_string())?;
        let (mut before, mut line, mut line_start) = (0, 1, 0);
        for raw in list {
            let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
            // JSON escapes the newlines in strings, so there are few newlines to count.
            let between = text.get(before..start).unwrap_or_default();
            line += between.matches('\n').count();
            line_start = between.rfind('\n').map_or(line_start, |newline| before + newline + 1);
            before = start;

            let entry = form
                .read(raw.get())
                .map_err(|error| positioned(&error, line, start - line_start))?;
            let span = Span { bytes: start..start + raw.get().len(), line };
            let model = entry.model.into_owned();
            let spans = rows.entry(model.clone()).or_default();
            // Other programs may leave out fields, so read the field names of all rows.
            if spans.len() < SAMPLE || form == Form::Users {
                names.entry(model).or_default().extend(entry.fields.into_keys());
            }
            spans.push(span);
        }
        let field = |name| Field { name, refers_to: None, is_unique: false };
        let models = names.into_iter().map(|(name, fields)| Model {
            name,
            fields: fields.into_iter().map(field).collect(),
            is_empty: false,
        });
        Ok(Self { form, models: models.collect(), rows, has_lines: line > 1, text })
    }

    fn span(&self, model: &str, id: RowId) -> Option<&Span> {
        self.rows.get(model)?.get(usize::try_from(id).ok()?)
    }
}

impl Source for JsonFile {
    fn models(&self) -> &[Model] {
        &self.models
    }

    fn row_ids(&self, model: &str) -> Result<Vec<RowId>, String> {
        let count = self.rows.get(model).map_or(0, Vec::len);
        Ok((0..).take(count).collect())
    }

    fn read(&self, model: &str, id: RowId, fields: &[&str]) -> Record {
        let span = self.span(model, id);
        let line = span.filter(|_| self.has_lines).map(|span| span.line);
        let row = span.and_then(|span| self.text.get(span.bytes.clone())).unwrap_or_default();
        let entry = match self.form.read(row) {
            Ok(entry) => entry,
            Err(error) => return Record { pk: None, line, fields: Err(error.to_string()) },
        };
        let pk = entry.pk.filter(|pk| pk.get() != "null").map(key);
        let wanted = fields.iter().filter_map(|field| Some((*field, entry.fields.get(*field)?)));
        let key = fields.contains(&PK).then(|| pk.clone()).flatten();
        let key = key.map(|pk| Ok((PK.to_owned(), Value::Text(pk))));
        let fields = wanted.map(|(field, raw)| {
            let value = value(raw).map_err(|error| format!("`{field}` can't be read: {error}"))?;
            Ok((field.to_owned(), value))
        });
        Record { pk, line, fields: fields.chain(key).collect() }
    }

    fn is_plain(&self) -> bool {
        self.form == Form::Users
    }
}

/// Returns an error's reason with its position in the file. The error is in a row that starts on
/// `line`, after `column` bytes.
fn positioned(error: &serde_json::Error, line: usize, column: usize) -> String {
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
    let column = if error.line() == 1 { column } else { 0 } + error.column();
    format!("{reason} at line {} column {column}", line + error.line() - 1)
}

fn value(raw: &RawValue) -> serde_json::Result<Value> {
    let json = raw.get();
    Ok(match json.bytes().next() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'"') => Value::Text(serde_json::from_str(json)?),
        Some(b'[') => {
            let parts: Vec<&RawValue> = serde_json::from_str(json)?;
            Value::List(parts.into_iter().map(key).collect())
        }
        Some(b'{') | None => Value::Other,
        Some(_) => Value::Number(json.to_owned()),
    })
}

/// Converts a key, or a part of a natural key, to a string. Strings lose their quotes; other values
/// are kept as written.
fn key(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        JsonFile::parse(text.to_owned()).err().unwrap()
    }

    #[test]
    fn values_keep_their_types() {
        let list = r#"[{"model": "a.b", "pk": 1, "fields": {
            "n": null, "t": true, "f": false, "i": 12345678901234567890123, "d": -4.50,
            "s": "h\u00e9\n\ud83d\ude00", "l": ["ann", 7], "o": {"a": []}, "bad": "\ud800"}}]"#;
        let file = JsonFile::parse(list.to_owned()).unwrap();
        let record = file.read("a.b", 0, &["n", "t", "f", "i", "d", "s", "l", "o", "missing"]);
        let fields = record.fields.unwrap();
        for (name, value) in [
            ("n", Value::Null),
            ("t", Value::Bool(true)),
            ("f", Value::Bool(false)),
            ("i", Value::Number("12345678901234567890123".into())),
            ("d", Value::Number("-4.50".into())),
            ("s", Value::Text("hé\n😀".into())),
            ("l", Value::List(vec!["ann".into(), "7".into()])),
            ("o", Value::Other),
        ] {
            assert_eq!(fields.get(name), Some(&value), "{name}");
        }
        assert_eq!(fields.get("missing"), None);
        let bad = file.read("a.b", 0, &["bad"]).fields.unwrap_err();
        assert!(bad.starts_with("`bad` can't be read: "), "{bad}");
    }

    #[test]
    fn keys_may_be_numbers_texts_or_missing() {
        let list = r#"[{"model": "a.b", "pk": 17, "fields": {}},
            {"model": "a.b", "pk": "6f1c-\u00e9", "fields": {}},
            {"model": "a.b", "pk": null, "fields": {}}, {"model": "a.b", "fields": {}}]"#;
        let file = JsonFile::parse(list.to_owned()).unwrap();
        let pk = |id| file.read("a.b", id, &[]).pk;
        assert_eq!(pk(0).as_deref(), Some("17"));
        assert_eq!(pk(1).as_deref(), Some("6f1c-é"));
        assert_eq!((pk(2), pk(3)), (None, None));
    }

    #[test]
    fn rows_know_their_line_if_there_are_several() {
        let rows =
            [1, 2].map(|pk| format!("{{\"model\": \"a.b\",\n\"pk\": {pk}, \"fields\": {{}}}}"));
        let file = JsonFile::parse(format!("[\n{},\n{}]", rows[0], rows[1])).unwrap();
        assert_eq!(file.read("a.b", 0, &[]).line, Some(2));
        assert_eq!(file.read("a.b", 1, &[]).line, Some(4));
        let row = r#"{"model": "a.b", "pk": 1, "fields": {}}"#;
        let file = JsonFile::parse(format!("[{row}, {row}]\n")).unwrap();
        assert_eq!(file.read("a.b", 1, &[]).line, None);
    }

    #[test]
    fn other_json_is_refused_with_line_and_column() {
        let row = r#"{"model": "a.b", "pk": 1, "fields": {}}"#;
        for (text, reason) in [
            ("{}".into(), "missing field `model` at line 1 column 2"),
            (format!("[{row},\n"), "EOF while parsing a value at line 2 column 0"),
            (format!("[{row},\n {row} x"), "expected `,` or `]` at line 2 column 42"),
            (
                format!("[{row},\n {{\"fields\": {{}}}}]"),
                "missing field `model` at line 2 column 15",
            ),
            (format!("[{row},\n{{\n \"model\": 7}}]"), "expected a string at line 3 column 11"),
            (r#"[{"model": "a.b", "pk": 1}]"#.into(), "missing field `fields` at line 1 column 26"),
            (r#"[{"model": "a.b", "fields": []}]"#.into(), "expected a map at line 1 column 28"),
        ] {
            let refused = refused(&text);
            assert!(refused.ends_with(reason), "{refused}");
        }
    }
}
