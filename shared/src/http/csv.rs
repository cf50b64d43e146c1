//! Writes rows as CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)).

use std::borrow::Cow;

use super::reply::{attachment, response};
use super::{HeaderValue, Reply, StatusCode};
use crate::Result;
use crate::http::stream::Pieces;

const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");

/// Returns a 200 reply with rows of cells as CSV. The first row contains the column names.
pub fn csv<'c>(rows: impl IntoIterator<Item = Vec<Cow<'c, str>>>) -> Reply {
    let line = |cells: Vec<Cow<'_, str>>| csv_row(&cells) + "\r\n";
    Ok(response(StatusCode::OK, CSV, rows.into_iter().map(line).collect()))
}

/// Returns a CSV row without a line break.
pub fn csv_row(cells: &[Cow<'_, str>]) -> String {
    cells.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",")
}

/// Quotes a cell so that spreadsheets don't read it as a formula
/// ([OWASP](https://owasp.org/www-community/attacks/CSV_Injection)). An apostrophe is written
/// before each character that could begin a formula: at the start of the cell, and after characters
/// that some programs treat as separators. Numbers aren't changed.
fn csv_cell(text: &str) -> String {
    let number = is_number(text);
    let mut cell = String::from('"');
    let mut begins = !number;
    for c in text.chars() {
        if begins && matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') {
            cell.push('\'');
        }
        begins = !number
            && (matches!(c, ';' | '\t' | '\r' | '\n') || begins && (c.is_whitespace() || c == '"'));
        cell.extend(std::iter::repeat_n(c, if c == '"' { 2 } else { 1 }));
    }
    cell.push('"');
    cell
}

/// Returns true for an integer, or for a decimal number such as `-2.99`.
fn is_number(text: &str) -> bool {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<i64>().is_ok() && decimals.bytes().all(|byte| byte.is_ascii_digit())
}

/// Streams a CSV file, like [`download`](super::download). `write` sends a line break before each
/// row except the first, so that a file that is cut off doesn't end with a line break.
pub fn csv_download<F>(file: &'static str, write: impl FnOnce(Pieces) -> F) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    attachment(file, CSV, write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, cell) in [
            ("", ""),
            ("", ""),
            ("plain text", "plain text"),
            ("-100", "-100"),
            ("-2.99", "-2.99"),
            ("-0.05", "-0.05"),
            ("-2.9+1", "'-2.9+1"),
            ("a,b", "a,b"),
            ("say \"hi\"", "say \"\"hi\"\""),
            ("two\nlines", "two\nlines"),
            ("=1+1", "'=1+1"),
            ("+x", "'+x"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" ＝1", " '＝1"),
            ("\t=1", "\t'=1"),
            ("\r=1", "\r'=1"),
            ("0;=cmd|' /C calc'!A0", "0;'=cmd|' /C calc'!A0"),
            ("0\t\t＠a", "0\t\t'＠a"),
            ("0\r\n-a;+b", "0\r\n'-a;'+b"),
            ("0; =a", "0; '=a"),
            ("0;\"=a\"", "0;\"\"'=a\"\""),
            ("=HYPERLINK(\"x\",1)", "'=HYPERLINK(\"\"x\"\",1)"),
            ("a=1, b-2; c@d", "a=1, b-2; c@d"),
        ] {
            assert_eq!(csv_cell(text), format!("\"{cell}\""));
        }
    }
}
