//! The settings of payments.

use super::{ConfigError, Settings};
use crate::config::Secret;

/// The settings of the function that opens payment pages.
#[derive(Clone, Debug)]
pub struct CheckoutConfig {
    /// `STRIPE_URL`: the URL of Stripe's API, without a trailing slash.
    pub url: String,
    /// `STRIPE_API_KEY`: the API key. `None` if nothing is sold.
    pub key: Option<Secret>,
    /// `STRIPE_RETURN_URL`: the web page to which buyers return. `None` for the pages of this
    /// server.
    pub back: Option<String>,
}

impl CheckoutConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Fails at the first setting that can't be used.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let url = settings.url("STRIPE_URL")?.unwrap_or_else(|| "https://api.stripe.com".into());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            key: settings.secret("STRIPE_API_KEY")?,
            back: settings.url("STRIPE_RETURN_URL")?,
        })
    }

    /// Reads `STRIPE_WEBHOOK_SECRET`: the secrets that sign Stripe's events. `None` if no events are
    /// accepted.
    ///
    /// # Errors
    /// Fails if the setting can't be used.
    pub fn webhook_secret(settings: &Settings<'_>) -> Result<Option<Secret>, ConfigError> {
        settings.secret("STRIPE_WEBHOOK_SECRET")
    }
}
