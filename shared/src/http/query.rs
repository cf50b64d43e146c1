//! Reads a request's query parameters.

use lambda_http::RequestExt;

use super::Request;
use crate::clock::Day;
use crate::values::Search;
use crate::{Error, Result};

/// Returns the decoded query parameter `name`. An empty parameter counts as missing.
pub fn query<'r>(req: &'r Request, name: &str) -> Option<&'r str> {
    req.query_string_parameters_ref()?.first(name).filter(|value| !value.is_empty())
}

/// The maximum length of a search string, in characters.
pub const SEARCH_LENGTH: usize = 200;

/// Returns the words in the query parameter `q`.
///
/// # Errors
/// Returns [`Error::Invalid`] if the string is too long.
pub fn query_search(req: &Request) -> Result<Option<Search>> {
    let text = query(req, "q");
    match text.is_some_and(|text| text.chars().count() > SEARCH_LENGTH) {
        true => {
            let sentence = format!("A search can have at most {SEARCH_LENGTH} characters.");
            Err(Error::field("q", sentence))
        }
        false => Ok(text.map(Search::new)),
    }
}

/// Reads the `model` query parameter, the name of a model.
///
/// # Errors
/// Returns [`Error::Invalid`] if the name is longer than any model's name.
pub fn query_model(req: &Request) -> Result<Option<String>> {
    let model = query(req, "model");
    match model.is_some_and(|name| name.chars().count() > SEARCH_LENGTH) {
        true => Err(Error::field("model", "No model has such a long name.")),
        false => Ok(model.map(str::to_owned)),
    }
}

/// Reads the query parameter `name` as a day in UTC, such as `2026-11-20`.
pub fn query_day(req: &Request, name: &str) -> Result<Option<Day>> {
    let day = |text: &str| {
        Day::parse(text).ok_or_else(|| Error::field(name, "Write the day like this: 2026-11-20."))
    };
    query(req, name).map(day).transpose()
}

/// Reads the `from` and `to` query parameters, the first and last day of a list.
///
/// # Errors
/// Returns [`Error::Invalid`] if a parameter isn't a day, or the last day is before the first.
pub fn query_days(req: &Request) -> Result<(Option<Day>, Option<Day>)> {
    let (from, to) = (query_day(req, "from")?, query_day(req, "to")?);
    match from.zip(to) {
        Some((from, to)) if from > to => {
            Err(Error::field("to", "The last day must not be before the first."))
        }
        _ => Ok((from, to)),
    }
}

/// Reads the query parameter `name`, which must be `true` or `false`.
pub fn query_flag(req: &Request, name: &str) -> Result<Option<bool>> {
    match query(req, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Error::field(name, "This must be true or false.")),
    }
}
