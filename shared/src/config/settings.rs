//! Reads and checks single settings. Errors contain the setting's name.

use std::path::PathBuf;
use std::time::Duration;

use lambda_http::http::Uri;

use super::setting::{Choice, Number, Text};
use super::{ConfigError, rows};
use crate::Credits;
use crate::aws::ServiceUrl;
use crate::config::Secret;
use crate::values::{Allowances, Email};

/// The minimum length of a signing secret, in characters. The template creates a secret of 64
/// characters.
const SECRET_LENGTH: usize = 32;

/// Looks settings up by name. An empty value counts as missing.
pub struct Settings<'a>(Box<Lookup<'a>>);

type Lookup<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;

impl Settings<'static> {
    /// Reads settings from the environment of this process.
    pub fn from_env() -> Self {
        Self::new(variable)
    }
}

/// Reads a variable from this process's environment. Bytes that aren't UTF-8 become U+FFFD, so that
/// the setting is reported as invalid, not treated as missing.
pub fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl<'a> Settings<'a> {
    /// Reads settings through `lookup`.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'a) -> Self {
        Self(Box::new(lookup))
    }

    /// Reads `SIGNING_SECRET`, the secret from which the signing key is derived. Returns an error
    /// if the secret is missing or too short to be random.
    pub fn signing_secret(&self) -> Result<Secret, ConfigError> {
        let setting = rows::SIGNING_SECRET;
        match self.secret(setting)? {
            None => Err(ConfigError(format!("{} must be set", setting.name))),
            Some(Secret::Value(text)) => checked_secret(setting.name, text).map(Secret::Value),
            Some(elsewhere) => Ok(elsewhere),
        }
    }

    /// Reads `AWS_SAM_LOCAL`, which is `true` if SAM CLI runs this function. SAM CLI doesn't stream
    /// replies, and reports its own start time with every request.
    pub fn sam_local(&self) -> bool {
        self.0("AWS_SAM_LOCAL").as_deref() == Some("true")
    }

    /// Looks up a setting. An empty value counts as missing.
    fn value(&self, name: &str) -> Option<String> {
        self.0(name).filter(|value| !value.is_empty())
    }

    /// Returns the setting's value or, if it isn't set, its default. `None` if the result is empty.
    pub(super) fn optional(&self, Text { name, default }: Text) -> Option<String> {
        self.value(name).or_else(|| (!default.is_empty()).then(|| default.to_owned()))
    }

    pub(super) fn required(&self, setting: Text) -> Result<String, ConfigError> {
        let value = self.optional(setting);
        value.ok_or_else(|| ConfigError(format!("{} must be set", setting.name)))
    }

    pub(super) fn text(&self, setting: Text) -> String {
        self.optional(setting).unwrap_or_default()
    }

    /// Reads a setting whose value is one of a few words.
    pub(super) fn choice<T: Copy>(&self, setting: Choice<T>) -> Result<T, ConfigError> {
        let Choice { name, default, words, values } = setting;
        let word = self.value(name);
        let word = word.as_deref().unwrap_or(default);
        let place = words.iter().position(|of| *of == word);
        let value = place.and_then(|place| values.get(place)).copied();
        value.ok_or_else(|| unknown_word(name, words, word))
    }

    pub(super) fn number<N: TryFrom<u64>>(&self, setting: Number) -> Result<N, ConfigError> {
        let number = self.whole(setting)?;
        number.try_into().map_err(|_| out_of_range(setting, &number.to_string()))
    }

    fn whole(&self, setting: Number) -> Result<u64, ConfigError> {
        let Some(text) = self.value(setting.name) else { return Ok(setting.default) };
        match text.parse() {
            Ok(number) if (setting.least..=setting.most).contains(&number) => Ok(number),
            _ => Err(out_of_range(setting, &text)),
        }
    }

    pub(super) fn seconds(&self, setting: Number) -> Result<Duration, ConfigError> {
        self.whole(setting).map(Duration::from_secs)
    }

    pub(super) fn credits(&self, setting: Number) -> Result<Credits, ConfigError> {
        let credits = Credits::new(self.whole(setting)?);
        credits.ok_or_else(|| ConfigError(format!("{} is too large", setting.name)))
    }

    /// Reads every role's allowance.
    pub(super) fn allowances(&self) -> Result<Allowances, ConfigError> {
        let setting = rows::ALLOWANCE;
        let text = self.text(setting);
        Allowances::parse(&text).ok_or_else(|| {
            ConfigError(format!(
                "{} must be none, or an allowance such as 1000/day, 5000/week or 1000/day,admin=none (got {text:?})",
                setting.name
            ))
        })
    }

    /// Reads a name that is passed to an AWS service. It may contain ASCII letters, digits and the
    /// characters in `marks`.
    pub(super) fn name(
        &self,
        setting: Text,
        most: usize,
        marks: &str,
    ) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        let is_known = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        if text.len() <= most && text.chars().all(is_known) {
            return Ok(Some(text));
        }
        Err(ConfigError(format!(
            "{name} must be at most {most} letters, digits and {marks} (got {text:?})"
        )))
    }

    pub(super) fn url(&self, setting: Text) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let url = self.optional(setting);
        match &url {
            Some(text) if !text.starts_with("http://") && !text.starts_with("https://") => Err(
                ConfigError(format!("{name} must begin with http:// or https:// (got {text:?})")),
            ),
            _ => Ok(url),
        }
    }

    /// Reads a one-line string of at most `most` characters.
    pub(super) fn line(&self, setting: Text, most: usize) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        if text.chars().count() <= most && !text.chars().any(char::is_control) {
            return Ok(Some(text));
        }
        Err(ConfigError(format!("{name} must be at most {most} characters on one line")))
    }

    /// Reads a link for the pages. Only schemes that can't run a script are accepted.
    pub(super) fn link(&self, setting: Text) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let link = self.optional(setting);
        let leads = |text: &str| {
            let begins = ["https://", "http://", "mailto:"].iter().any(|way| text.starts_with(way));
            begins && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        };
        match &link {
            Some(text) if !leads(text) => Err(ConfigError(format!(
                "{name} must begin with https://, http:// or mailto:, without spaces (got {text:?})"
            ))),
            _ => Ok(link),
        }
    }

    /// Reads DynamoDB's URL. The error doesn't contain the value, which may include a secret.
    pub(super) fn endpoint(&self, setting: Text) -> Result<Option<ServiceUrl>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        let wrong = || {
            ConfigError(format!(
                "{name} must begin with http:// or https://; an access key is written as http://ID:SECRET@host"
            ))
        };
        ServiceUrl::parse(&text).map(Some).ok_or_else(wrong)
    }

    pub(super) fn address(&self, setting: Text) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        let address = Email::parse(&text)
            .map_err(|_| ConfigError(format!("{name} must be an e-mail address (got {text:?})")))?;
        Ok(Some(address.shown().to_owned()))
    }

    pub(super) fn secret(&self, setting: Text) -> Result<Option<Secret>, ConfigError> {
        let name = setting.name;
        match self.optional(setting) {
            None => Ok(None),
            Some(text) if text.starts_with("arn:") => Ok(Some(Secret::Arn(text))),
            Some(text) => match text.strip_prefix("file://").map(PathBuf::from) {
                Some(path) if path.is_absolute() => Ok(Some(Secret::File(path))),
                Some(_) => Err(ConfigError(format!(
                    "{name} must name its file by an absolute path, as file:///path"
                ))),
                None => Ok(Some(Secret::Value(text))),
            },
        }
    }

    /// Reads a decimal number from 0 to `most`.
    pub(super) fn fraction(&self, setting: Text, most: f64) -> Result<Option<f64>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if (0.0..=most).contains(&number) => Ok(Some(number)),
            _ => {
                Err(ConfigError(format!("{name} must be a number from 0 to {most} (got {text:?})")))
            }
        }
    }

    /// Reads the base URL of a collector, without a trailing slash. URLs with a password or a query
    /// are refused, because these parts wouldn't be sent. The error doesn't contain the value,
    /// which may include a secret.
    pub(super) fn collector(&self, setting: Text) -> Result<Option<String>, ConfigError> {
        let name = setting.name;
        let Some(text) = self.optional(setting) else { return Ok(None) };
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        let is_plain = |url: &Uri| url.query().is_none() && !text.contains(['@', '#']);
        if is_http && text.parse::<Uri>().is_ok_and(|url| is_plain(&url)) {
            return Ok(Some(text.trim_end_matches('/').to_owned()));
        }
        Err(ConfigError(format!(
            "{name} must be a URL that begins with http:// or https://, without a user, a password or a query"
        )))
    }

    pub(super) fn origins(&self, setting: Text) -> Result<Vec<String>, ConfigError> {
        let name = setting.name;
        let text = self.text(setting);
        let origins: Vec<String> = text
            .split(',')
            .map(|origin| origin.trim().to_owned())
            .filter(|origin| !origin.is_empty())
            .collect();
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(ConfigError(format!(
                "{name} must list origins such as https://app.example.com (got {bad:?})"
            ))),
            None => Ok(origins),
        }
    }
}

fn out_of_range(Number { name, least, most, .. }: Number, got: &str) -> ConfigError {
    ConfigError(format!("{name} must be a whole number from {least} to {most} (got {got:?})"))
}

fn unknown_word(name: &str, words: &[&str], got: &str) -> ConfigError {
    let mut listed = String::new();
    for (index, word) in words.iter().enumerate() {
        listed += match words.len() - index {
            _ if index == 0 => "",
            1 => " or ",
            _ => ", ",
        };
        listed += word;
    }
    ConfigError(format!("{name} must be {listed} (got {got:?})"))
}

/// Returns `secret` if it is long enough to be random and contains at least 10 different
/// characters. The error contains the setting's `name`.
pub(crate) fn checked_secret(name: &str, secret: String) -> Result<String, ConfigError> {
    let distinct = secret.chars().collect::<std::collections::BTreeSet<_>>().len();
    if secret.len() < SECRET_LENGTH || distinct < 10 {
        return Err(ConfigError(format!(
            "{name} must be at least {SECRET_LENGTH} random characters"
        )));
    }
    Ok(secret)
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#', '@']))
}
