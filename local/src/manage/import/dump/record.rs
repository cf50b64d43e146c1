//! The rows of a file, and how their values are read.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The fields that refer to the user, unless the file says otherwise.
pub(super) const RELATIONS: [&str; 5] = ["user", "owner", "author", "account", "sender"];

/// The field in which [`Source::read`] returns a row's primary key. Django's queries use the same
/// name.
pub(super) const PK: &str = "pk";

/// A file that contains the rows of Django's models.
pub(super) trait Source: Send {
    /// Returns the models sorted by name.
    fn models(&self) -> &[Model];

    /// Returns the ids of a model's rows, in the order of the file.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    fn row_ids(&self, model: &str) -> Result<Vec<RowId>, String>;

    /// Reads the row at `id`, with these fields only. The [`PK`] field is the primary key.
    fn read(&self, model: &str, id: RowId, fields: &[&str]) -> Record;

    /// Returns true if the file is in Farebox's own format, written by a program other than Django.
    fn is_plain(&self) -> bool {
        false
    }

    /// Returns true if the file says which models the fields refer to.
    fn has_foreign_keys(&self) -> bool {
        false
    }

    /// Returns a warning about the file, if the operator needs one.
    fn warning(&self) -> Option<&str> {
        None
    }
}

/// The id of a row among the rows of its model. Ids sort in the order of the file.
pub(super) type RowId = i64;

/// A model in a file.
pub(super) struct Model {
    /// The label, such as `chat.user`, or the table's name if the label is unknown.
    pub name: String,
    /// The fields, sorted by name.
    pub fields: Vec<Field>,
    /// True if the model has no rows.
    pub is_empty: bool,
}

/// A field of a model.
pub(super) struct Field {
    /// The name in Django: `user`, not `user_id`.
    pub name: String,
    /// The model that the field refers to. `None` if it isn't a relation, or the file doesn't say.
    pub refers_to: Option<String>,
    /// True if the file says that no two rows have the same value. `dumpdata` doesn't say so.
    pub is_unique: bool,
}

/// How the rows of a model refer to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    /// The row's field that refers to the user, or to the model in `via`. [`PK`] if the row's
    /// primary key equals the user's.
    pub field: String,
    /// The model that the field refers to, and that model's field for the user. `None` if the field
    /// refers to the user model.
    pub via: Option<(String, String)>,
    /// True if each user is known to have at most one such row.
    pub is_unique: bool,
}

/// A row with the fields that were read.
pub(super) struct Record {
    /// The primary key as a string. `None` if the row has no primary key.
    pub pk: Option<String>,
    /// The line on which the row starts, counted from 1. `None` if the file isn't divided into
    /// lines.
    pub line: Option<usize>,
    /// The values of the row's fields, or the reason why the row can't be read.
    pub fields: Result<BTreeMap<String, Value>, String>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No value.
    Null,
    /// True or false. SQLite stores the numbers 1 and 0 instead.
    Bool(bool),
    /// A number as written in the file.
    Number(String),
    /// A string.
    Text(String),
    /// A list. Natural keys are lists of strings.
    List(Vec<String>),
    /// A value of a type that no imported field can have.
    Other,
}

impl Record {
    /// Returns the value of a required field.
    pub fn required(&self, field: &str) -> Result<&Value, String> {
        match self.fields.as_ref().map_err(String::clone)?.get(field) {
            None => Err(format!("`{field}` is missing")),
            Some(Value::Null) => Err(format!("`{field}` is null")),
            Some(value) => Ok(value),
        }
    }

    /// Returns the value of a field. `None` if the field is missing, or its value is null.
    fn optional(&self, field: Option<&str>) -> Result<Option<&Value>, String> {
        let fields = self.fields.as_ref().map_err(String::clone)?;
        let value = field.and_then(|field| fields.get(field));
        Ok(value.filter(|value| **value != Value::Null))
    }

    /// Returns a string, which may be empty but must not be missing.
    pub fn text(&self, field: &str) -> Result<String, String> {
        match self.required(field)? {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(format!("`{field}` isn't a text")),
        }
    }

    /// Returns a string. `None` if it is missing, null or empty.
    pub fn optional_text(&self, field: Option<&str>) -> Result<Option<String>, String> {
        match self.optional(field)? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(format!("`{}` isn't a text", field.unwrap_or_default())),
        }
    }

    /// Returns the value of a boolean field, or `default` if the row doesn't have the field.
    pub fn flag(&self, field: Option<&str>, default: bool) -> Result<bool, String> {
        let fields = self.fields.as_ref().map_err(String::clone)?;
        let Some(name) = field.filter(|field| fields.contains_key(*field)) else {
            return Ok(default);
        };
        match self.required(name)? {
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) if number == "0" => Ok(false),
            Value::Number(number) if number == "1" => Ok(true),
            _ => Err(format!("`{name}` is neither true nor false")),
        }
    }

    /// Returns a number multiplied by `scale`. The product must be a whole number. The number can
    /// also be written as `4000.0` or `"4000.00"`.
    pub fn whole(&self, field: &str, scale: u32) -> Result<i128, String> {
        let whole = match self.required(field)? {
            Value::Number(number) | Value::Text(number) => whole(number, scale),
            _ => None,
        };
        whole.ok_or_else(|| match scale {
            1 => format!("`{field}` isn't a whole number"),
            _ => format!("`{field}` times {scale} isn't a whole number"),
        })
    }

    /// Returns a time in milliseconds since 1970.
    pub fn time(&self, field: &str) -> Result<u64, String> {
        let Value::Text(text) = self.required(field)? else {
            return Err(format!("`{field}` isn't a time"));
        };
        let millis = millis(text)
            .ok_or_else(|| format!("`{field}` isn't a time such as 2026-11-24T18:05:46.226Z"))?;
        u64::try_from(millis).map_err(|_| format!("`{field}` is before 1970"))
    }

    /// Returns a time in milliseconds since 1970. `None` if it is missing or null.
    pub fn optional_time(&self, field: Option<&str>) -> Result<Option<u64>, String> {
        match (field, self.optional(field)?) {
            (Some(field), Some(_)) => self.time(field).map(Some),
            _ => Ok(None),
        }
    }
}

/// Parses a number and multiplies it by `scale`. `None` if `text` isn't a number, or the product
/// isn't whole.
fn whole(text: &str, scale: u32) -> Option<i128> {
    if text.contains(['e', 'E']) {
        let number = text.parse::<f64>().ok()? * f64::from(scale);
        // Every number below 1e38 fits into an i128.
        return (number.fract() == 0.0 && number.abs() < 1e38).then_some(number as i128);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let ten = 10_i128.checked_pow(fraction.len().try_into().ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(scale.into())?;
    (product % ten == 0).then_some(product / ten)
}

/// Converts an ISO 8601 time to milliseconds since 1970. A space may replace the `T`. A time
/// without an offset is in UTC. A date without a time means midnight.
fn millis(text: &str) -> Option<i128> {
    let (day, clock) = text.split_at_checked(10)?;
    let clock = match clock.strip_prefix(['T', ' ']) {
        Some(clock) if clock.contains(['Z', '+', '-']) => clock.to_owned(),
        Some(clock) => format!("{clock}Z"),
        None if clock.is_empty() => "00:00:00Z".to_owned(),
        None => return None,
    };
    let time = OffsetDateTime::parse(&format!("{day}T{clock}"), &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos().div_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Value) -> Record {
        Record { pk: None, line: None, fields: Ok([("field".to_owned(), value)].into()) }
    }

    fn text(text: &str) -> Record {
        record(Value::Text(text.to_owned()))
    }

    fn number(text: &str) -> Record {
        record(Value::Number(text.to_owned()))
    }

    #[test]
    fn whole_numbers_may_be_decimals_and_floats() {
        for (written, expected) in [
            ("4000", 4000),
            ("-5", -5),
            ("4000.00", 4000),
            ("4000.0", 4000),
            ("-0.0", 0),
            ("1e+16", 10_000_000_000_000_000),
            ("170141183460469231731687303715884105727", i128::MAX),
        ] {
            assert_eq!(number(written).whole("field", 1), Ok(expected), "{written}");
            assert_eq!(text(written).whole("field", 1), Ok(expected), "{written}");
        }
        for bad in
            ["12.5", "", "4000.0x", "four", "1e-3", "1e400", ".", "1.2.3", "9".repeat(40).as_str()]
        {
            let expected = Err("`field` isn't a whole number".to_owned());
            assert_eq!(number(bad).whole("field", 1), expected, "{bad}");
            assert_eq!(text(bad).whole("field", 1), expected, "{bad}");
        }
        assert!(record(Value::Bool(true)).whole("field", 1).is_err());
        assert_eq!(record(Value::Null).whole("field", 1), Err("`field` is null".into()));
    }

    #[test]
    fn fractions_are_whole_in_a_smaller_unit() {
        for (written, scale, expected) in [
            ("12.50", 100, 1250),
            ("12.5", 2, 25),
            ("-0.01", 100, -1),
            ("1.5e1", 10, 150),
            ("7", 100, 700),
        ] {
            assert_eq!(text(written).whole("field", scale), Ok(expected), "{written}");
        }
        let refused = text("0.001").whole("field", 100);
        assert_eq!(refused, Err("`field` times 100 isn't a whole number".into()));
    }

    #[test]
    fn times_may_have_an_offset_and_a_fraction() {
        let second = 1_795_543_546_000;
        for (written, millis) in [
            ("2026-11-24T18:05:46Z", 0),
            ("2026-11-24T18:05:46.226Z", 226),
            ("2026-11-24T20:05:46.226+02:00", 226),
            ("2026-11-24T13:05:46.2-05:00", 200),
            ("2026-11-24T18:05:46.226974", 226),
            ("2026-11-24 18:05:46.226974", 226),
            ("2026-11-24 18:05:46", 0),
            ("2026-11-24 18:05:46+00:00", 0),
        ] {
            assert_eq!(text(written).time("field"), Ok(second + millis), "{written}");
        }
        assert_eq!(text("2026-11-24").time("field"), Ok(1_795_478_400_000));
        for bad in ["", "now", "18:05:46", "2026-11-24x", "2026-11-24T", "2026-13-24T18:05:46Z"] {
            assert!(text(bad).time("field").unwrap_err().contains("isn't a time such as"), "{bad}");
        }
        let early = text("1969-12-31T23:59:59.999Z").time("field");
        assert_eq!(early, Err("`field` is before 1970".into()));
        assert!(number("1795543546").time("field").is_err());
    }

    #[test]
    fn flags_are_booleans_or_one_and_zero() {
        assert_eq!(record(Value::Bool(false)).flag(Some("field"), true), Ok(false));
        assert_eq!(number("1").flag(Some("field"), false), Ok(true));
        assert_eq!(number("0").flag(Some("field"), true), Ok(false));
        assert_eq!(number("0").flag(Some("other"), true), Ok(true));
        assert_eq!(number("0").flag(None, true), Ok(true));
        for bad in [Value::Null, Value::Number("2".into()), Value::Text("true".into())] {
            assert!(record(bad.clone()).flag(Some("field"), true).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn optional_texts_are_not_empty() {
        assert_eq!(text("a").optional_text(Some("field")), Ok(Some("a".into())));
        assert_eq!(text("").optional_text(Some("field")), Ok(None));
        assert_eq!(text("a").optional_text(Some("other")), Ok(None));
        assert_eq!(record(Value::Null).optional_text(Some("field")), Ok(None));
        assert!(number("1").optional_text(Some("field")).is_err());
    }
}
