//! The settings of how users get more credits.

use super::{ConfigError, Settings};

/// The most characters of the text.
const TEXT_LENGTH: usize = 200;

/// The text of a link without one.
const UNNAMED: &str = "Get more tokens";

/// How the operator's users get more credits, for those who have too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// `TOP_UP_TEXT`: what to do, in the operator's words.
    pub text: String,
    /// `TOP_UP_URL`: where: a web page, or an e-mail address (`mailto:`).
    pub url: Option<String>,
}

impl TopUp {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let (text, url) =
            (settings.line("TOP_UP_TEXT", TEXT_LENGTH)?, settings.link("TOP_UP_URL")?);
        let text = text.or_else(|| url.as_ref().map(|_| UNNAMED.to_owned()));
        Ok(text.map(|text| Self { text, url }))
    }

    /// Both in one line.
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
