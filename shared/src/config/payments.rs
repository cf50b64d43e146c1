//! The settings of payments.

use super::{ConfigError, Settings};
use crate::config::Secret;

/// Whether money moves. Stripe keeps the payments of both modes apart
/// ([Stripe](https://docs.stripe.com/test-mode)). In test mode, test cards buy tokens, so a deployment
/// accepts keys and events of one mode only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeMode {
    /// Buyers pay with money.
    Live,
    /// Test cards pay, and no money moves.
    Test,
}

impl StripeMode {
    /// Reads `STRIPE_MODE`: `live` or `test`.
    ///
    /// # Errors
    /// Fails if the setting has another value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        match settings.text("STRIPE_MODE", "live").as_str() {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            other => Err(ConfigError(format!("STRIPE_MODE must be live or test (got {other:?})"))),
        }
    }

    /// Returns false if this is an API key of the other mode.
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

/// The settings of the client of Stripe's API.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_URL`: the URL of Stripe's API, without a trailing slash.
    pub url: String,
    /// `STRIPE_MODE`: whether money moves.
    pub mode: StripeMode,
    /// `STRIPE_API_KEY`: the API key. `None` if nothing is sold.
    pub key: Option<Secret>,
}

impl StripeConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Fails at the first setting that can't be used.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let url = settings.url("STRIPE_URL")?.unwrap_or_else(|| "https://api.stripe.com".into());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            mode: StripeMode::read(settings)?,
            key: settings.secret("STRIPE_API_KEY")?,
        })
    }

    /// Reads `STRIPE_RETURN_URL`: the web page to which buyers return. `None` for the pages of this
    /// server.
    ///
    /// # Errors
    /// Fails if the setting can't be used.
    pub fn return_url(settings: &Settings<'_>) -> Result<Option<String>, ConfigError> {
        settings.url("STRIPE_RETURN_URL")
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
