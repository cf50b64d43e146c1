//! What every handler is given.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;

use crate::ai::Ai;
use crate::auth::{Keyring, Passwords, Signer};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::store::Store;

/// A function's settings and its doors to the outside. Cloning it is cheap: everything inside is shared.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// DynamoDB.
    pub store: Store,
    /// The public keys that access and refresh tokens are checked with.
    pub keyring: Keyring,
    /// The key that signs them, where this function issues tokens.
    pub signer: Option<Signer>,
    /// The hashing of passwords.
    pub passwords: Passwords,
    /// Who answers messages.
    pub ai: Ai,
}

impl App {
    /// Connects to the services that the settings name, and does what costs time before the first request comes: the public keys
    /// are read, which opens the connection to DynamoDB too, and an issuing function reads its secret and publishes its key.
    ///
    /// # Errors
    /// Where a signing secret can't be read or isn't one: such a function must not start. A store that doesn't answer stops nobody.
    pub async fn start(config: Config) -> Result<Self, ConfigError> {
        let aws = aws(&config).await;
        let store = Store::connect(&aws, &config);
        Self::over(config, Clock::default(), store, &aws).await
    }

    /// The same over a store and a clock of the caller's.
    pub async fn over(config: Config, clock: Clock, store: Store, aws: &SdkConfig) -> Result<Self, ConfigError> {
        let signer = match &config.signing_secret {
            Some(secret) => Some(Signer::new(secret.clone(), aws, clock.clone()).await?),
            None => None,
        };
        let keyring = Keyring::new(store.clone(), clock.clone());
        let app = Self { ai: Ai::new(&config), passwords: Passwords::new(), config: Arc::new(config), clock, store, keyring, signer };
        if let Err(error) = app.warm_up().await {
            tracing::warn!(cause = error.cause(), "the public keys could not be read at start; the first request tries again");
        }
        Ok(app)
    }

    async fn warm_up(&self) -> crate::Result<()> {
        match &self.signer {
            Some(signer) => signer.publish(&self.keyring, &self.config).await,
            None => self.keyring.read().await,
        }
    }
}

/// The region and credentials of the environment; for an emulator, which takes any, some without looking for them.
pub async fn aws(config: &Config) -> SdkConfig {
    let aws = aws_config::defaults(BehaviorVersion::latest());
    // Without TLS it isn't AWS's.
    let emulated = config.dynamodb_endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if !emulated {
        return aws.load().await;
    }
    let credentials = Credentials::new("local", "local", None, None, "emulator");
    aws.region(Region::from_static("us-east-1")).credentials_provider(credentials).load().await
}
