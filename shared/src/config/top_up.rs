//! Settings that tell users how to get more credits.

use super::{ConfigError, Settings, rows};

/// The maximum length of the advice, in characters.
const TEXT_LENGTH: usize = 200;

/// The default advice for a link.
const UNNAMED: &str = "Get more tokens";

/// The operator's advice to users who need more credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// `TOP_UP_TEXT`: the advice, in the operator's words.
    pub text: String,
    /// `TOP_UP_URL`: a web page or an e-mail address (`mailto:`) where users can get more credits.
    pub url: Option<String>,
}

impl TopUp {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let (text, url) =
            (settings.line(rows::TOP_UP_TEXT, TEXT_LENGTH)?, settings.link(rows::TOP_UP_URL)?);
        let text = text.or_else(|| url.as_ref().map(|_| UNNAMED.to_owned()));
        Ok(text.map(|text| Self { text, url }))
    }

    /// Returns the advice and the URL on one line.
    ///
    /// ```
    /// use shared::config::TopUp;
    ///
    /// let url = Some("https://shop.example.com/tokens".to_owned());
    /// let top_up = TopUp { text: "Buy more in our shop.".to_owned(), url };
    /// assert_eq!(top_up.line(), "Buy more in our shop: https://shop.example.com/tokens");
    /// ```
    pub fn line(&self) -> String {
        match &self.url {
            Some(url) => format!("{}: {url}", self.text.trim_end_matches(['.', ':', ' '])),
            None => self.text.clone(),
        }
    }
}
