//! Settings for the titles that a model gives to conversations.

use super::{ConfigError, Names, Settings, rows};

/// The settings for the titles of conversations.
#[derive(Clone, Debug)]
pub struct TitleConfig {
    /// `TITLE_MODEL`: the model that writes titles, or `None` if conversations keep the titles from
    /// their first messages.
    pub model: Option<String>,
    /// `TITLES_PER_DAY`: how many titles are written for one account per day.
    pub per_day: u32,
}

impl TitleConfig {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::TITLE_MODEL.name, rows::TITLES_PER_DAY.name];

    /// The name of the setting that [`Self::are_written`] reads.
    pub const MODEL: Names = &[rows::TITLE_MODEL.name];

    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            model: settings.optional(rows::TITLE_MODEL),
            per_day: settings.number(rows::TITLES_PER_DAY)?,
        })
    }

    /// Returns true if a model writes titles, for endpoints that don't call it.
    pub fn are_written(settings: &Settings<'_>) -> bool {
        settings.optional(rows::TITLE_MODEL).is_some()
    }
}
