//! The settings for payments.

use super::{ConfigError, Names, Settings, StripeMode, rows};
use crate::config::Secret;

impl StripeMode {
    /// Reads `STRIPE_MODE`: `live` or `test`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::STRIPE_MODE)
    }

    /// Returns false if this API key belongs to the other mode.
    pub fn accepts_key(self, key: &str) -> bool {
        match self {
            Self::Live => !key.contains("_test_"),
            Self::Test => !key.contains("_live_"),
        }
    }

    /// Returns false if an object with this `livemode` belongs to the other mode.
    pub fn accepts(self, livemode: bool) -> bool {
        (self == Self::Live) == livemode
    }
}

/// The settings for calling Stripe's API.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_URL`: the URL of Stripe's API, without a trailing slash.
    pub url: String,
    /// `STRIPE_MODE`: whether payments use real money.
    pub mode: StripeMode,
    /// `STRIPE_API_KEY`: the API key, or `None` if nothing is sold.
    pub key: Option<Secret>,
}

impl StripeConfig {
    /// The names of the settings that functions need to call Stripe's API.
    pub const SETTINGS: Names =
        &[rows::STRIPE_URL.name, rows::STRIPE_MODE.name, rows::STRIPE_API_KEY.name];

    /// The names of the settings that [`Self::return_url`] reads.
    pub const RETURN_URL: Names = &[rows::STRIPE_RETURN_URL.name];

    /// The names of the settings that functions need to accept Stripe's events.
    pub const WEBHOOK: Names = &[rows::STRIPE_MODE.name, rows::STRIPE_WEBHOOK_SECRET.name];

    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let url = settings.url(rows::STRIPE_URL)?.unwrap_or_default();
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            mode: StripeMode::read(settings)?,
            key: settings.secret(rows::STRIPE_API_KEY)?,
        })
    }

    /// Reads `STRIPE_RETURN_URL`, the web page to which buyers return. Returns `None` if they
    /// return to this server's own pages.
    ///
    /// # Errors
    /// Returns an error if the setting is invalid.
    pub fn return_url(settings: &Settings<'_>) -> Result<Option<String>, ConfigError> {
        settings.url(rows::STRIPE_RETURN_URL)
    }

    /// Reads `STRIPE_WEBHOOK_SECRET`, the secrets with which Stripe signs events. Returns `None` if
    /// events aren't accepted.
    ///
    /// # Errors
    /// Returns an error if the setting is invalid.
    pub fn webhook_secret(settings: &Settings<'_>) -> Result<Option<Secret>, ConfigError> {
        settings.secret(rows::STRIPE_WEBHOOK_SECRET)
    }
}
