//! Reports on the rows of an import: a summary by reason for the terminal, and a line for each row
//! in the `--report` file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use shared::http::csv_row;

use super::dump::{BadRow, Row};
use super::plan::{Difference, Differing};
use crate::manage::import::printable;

/// The maximum number of reasons in a summary.
const REASONS: usize = 20;

/// The maximum number of rows that a summary shows for each reason.
const ROWS: usize = 3;

/// The strings before and after names and keys in reasons. Rows whose reasons differ only in a name
/// or key are counted together.
const AROUND_NAMES: [(&str, &str); 6] = [
    ("the user can't be read: ", ""),
    ("the user ", " is refused"),
    ("the user ", " isn't in the dump"),
    ("several users are called ", ""),
    ("the username differs from that of ", " only in case or Unicode form"),
    ("the e-mail address is also that of ", ""),
];

/// A line of the report.
#[derive(Serialize)]
struct Line<'a> {
    /// `refused`, `renamed`, or the kind of difference from an earlier import: `balance`,
    /// `inactive`, `ended` or `password`.
    what: &'static str,
    model: &'a str,
    pk: &'a str,
    line: Option<usize>,
    /// The reason, or the username in the other system.
    reason: &'a str,
    /// The username in the other system if the user is refused, otherwise the username here. Null
    /// for a message.
    username: Option<&'a str>,
    /// The dump's balance minus the imported balance, in credits.
    difference: Option<i64>,
}

/// The rows that an import reports.
#[derive(Default)]
pub struct Report {
    pub(super) refused: Vec<BadRow>,
    /// The rows of users whose username was changed here, each with both names.
    pub(super) renamed: Vec<(Row, String, String)>,
    pub(super) differences: Vec<Difference>,
    /// The name of the user model.
    pub(super) users: String,
    /// The usernames in the other system, by primary key.
    pub(super) names: HashMap<String, String>,
}

impl Report {
    /// Summarizes the refused rows: how many rows are refused for each reason, and the first few of
    /// them.
    pub fn text(&self) -> String {
        let mut reasons: BTreeMap<(&str, String), Vec<&BadRow>> = BTreeMap::new();
        for bad in &self.refused {
            reasons.entry((bad.row.model.as_str(), kind(&bad.reason))).or_default().push(bad);
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        // Messages that are refused together with their user come last.
        let follows = |(_, kind): &(&str, String)| kind.starts_with("the user ");
        reasons.sort_by_key(|(kind, rows)| (follows(kind), std::cmp::Reverse(rows.len())));
        let mut lines = Vec::new();
        for (_, rows) in reasons.iter().take(REASONS) {
            lines.extend(match rows.as_slice() {
                rows if rows.len() <= ROWS => rows
                    .iter()
                    .map(|bad| printable(&format!("{}: {}", bad.row, bad.reason)))
                    .collect::<Vec<_>>(),
                rows => {
                    let first: Vec<String> =
                        rows.iter().take(ROWS).map(|bad| place(&bad.row)).collect();
                    let Some(bad) = rows.first() else { continue };
                    vec![printable(&format!(
                        "{} rows of {}: {} ({}, ..)",
                        rows.len(),
                        bad.row.model,
                        kind(&bad.reason),
                        first.join(", ")
                    ))]
                }
            });
        }
        if let Some(more) = reasons.get(REASONS..).filter(|more| !more.is_empty()) {
            let rows: usize = more.iter().map(|(_, rows)| rows.len()).sum();
            lines.push(format!("{rows} rows for {} other reasons", more.len()));
        }
        lines.join("\n")
    }

    /// Writes a line for each row: as CSV if the file's name ends with `.csv`, otherwise as JSON.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub(super) fn write(&self, file: File, path: &Path) -> Result<(), String> {
        let is_csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let write = || {
            let mut file = BufWriter::new(file);
            if is_csv {
                writeln!(file, "what,model,pk,line,reason,username,difference")?;
            }
            for line in self.lines() {
                match is_csv {
                    true => writeln!(file, "{}", line.csv())?,
                    false => {
                        serde_json::to_writer(&mut file, &line)?;
                        writeln!(file)?;
                    }
                }
            }
            file.flush()
        };
        write().map_err(|error| unwritable(path, &error))
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let of = |what, row: &'_ Row| Line {
            what,
            model: "",
            pk: "",
            line: row.line,
            reason: "",
            username: None,
            difference: None,
        };
        let refused = self.refused.iter().map(move |BadRow { row, reason }| Line {
            model: &row.model,
            pk: &row.pk,
            reason,
            username: self
                .names
                .get(&row.pk)
                .filter(|_| row.model == self.users)
                .map(String::as_str),
            ..of("refused", row)
        });
        let renamed = self.renamed.iter().map(move |(row, was, is)| Line {
            model: &row.model,
            pk: &row.pk,
            reason: was,
            username: Some(is),
            ..of("renamed", row)
        });
        let differing = self.differences.iter().map(move |Difference { row, name, what }| {
            let (what, difference) = match what {
                Differing::Balance { then, now } => ("balance", Some(now.saturating_sub(*then))),
                Differing::Inactive => ("inactive", None),
                Differing::Ended => ("ended", None),
                Differing::Password => ("password", None),
            };
            let line = of(what, row);
            Line { model: &row.model, pk: &row.pk, username: Some(name), difference, ..line }
        });
        refused.chain(renamed).chain(differing)
    }
}

impl Line<'_> {
    fn csv(&self) -> String {
        let line = self.line.map(|line| line.to_string()).unwrap_or_default();
        let difference = self.difference.map(|number| number.to_string()).unwrap_or_default();
        csv_row(&[
            self.what.into(),
            self.model.into(),
            self.pk.into(),
            line.into(),
            self.reason.into(),
            self.username.unwrap_or_default().into(),
            difference.into(),
        ])
    }
}

/// Creates a file that the operator named.
///
/// # Errors
/// Fails with an error message for the terminal.
pub(super) fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

/// Returns the message for the terminal about a file that can't be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("{} can't be written: {error}.", path.display())
}

fn place(row: &Row) -> String {
    match row.line {
        Some(line) => format!("{} in line {line}", row.pk),
        None => row.pk.clone(),
    }
}

/// Removes the names, keys and numbers from a reason.
fn kind(reason: &str) -> String {
    for (before, after) in AROUND_NAMES {
        let inner = reason.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        if inner.is_some() {
            return format!("{before}…{after}");
        }
    }
    let is_name = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    let words = reason.split(' ').map(|word| if is_name(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(model: &str, pk: &str, reason: &str) -> BadRow {
        let row = Row { model: model.into(), pk: pk.into(), line: Some(7) };
        BadRow { row, reason: reason.into() }
    }

    #[test]
    fn reasons_are_counted_whatever_their_names_are() {
        let mut refused: Vec<BadRow> = (0..5)
            .map(|pk| bad("shop.chat", &pk.to_string(), &format!("the user ann-{pk} is refused")))
            .collect();
        refused.push(bad("shop.user", "9", "the balance -5 isn't a number from 0 to 7"));
        let report = Report { refused, ..Report::default() };
        assert_eq!(
            report.text(),
            "shop.user 9 (line 7): the balance -5 isn't a number from 0 to 7\n\
             5 rows of shop.chat: the user … is refused (0 in line 7, 1 in line 7, 2 in line 7, ..)"
        );
    }

    #[test]
    fn fields_of_strangers_are_no_formulas() {
        let report =
            Report { refused: vec![bad("shop.chat", "=\"b\"", "why")], ..Report::default() };
        let lines: Vec<String> = report.lines().map(|line| line.csv()).collect();
        assert_eq!(lines, [r#""refused","shop.chat","'=""b""","7","why","","""#]);
    }
}
