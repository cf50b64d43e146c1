//! What every handler is given.

use std::sync::Arc;

use crate::ai::Ai;
use crate::auth::{Keyring, Passwords, Signer};
use crate::aws;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::store::Store;

/// A function's settings and its doors to the outside. Cloning it is cheap: everything inside is
/// shared.
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
    /// Who answers messages, where this function asks.
    pub ai: Option<Ai>,
}

impl App {
    /// Connects to the services that the settings name, and does what costs time before the first
    /// request comes: the public keys are read, which opens the connection to DynamoDB too. A
    /// store that doesn't answer stops nobody.
    ///
    /// # Errors
    /// Where the connection can't be set up.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, ConfigError> {
        let app = Self::start_cold(config, clock).await?;
        if let Err(error) = app.keyring.read().await {
            tracing::warn!(
                cause = error.cause(),
                "the public keys could not be read at start; the first request reads them"
            );
        }
        Ok(app)
    }

    /// The same for a function that issues tokens: it reads its secret and publishes its key too.
    ///
    /// # Errors
    /// Also where there is no secret, or one that isn't random: such a function must not start.
    pub async fn start_issuing(config: Config, clock: Clock) -> Result<Self, ConfigError> {
        let aws = aws::connect(config.dynamodb_endpoint.as_ref()).await?;
        let signer = Signer::new(&config, &aws, clock.clone()).await?;
        let store = Store::connect(&aws, &config);
        let app = Self::over(config, clock, store, Some(signer.clone()));
        if let Err(error) = signer.publish(&app.keyring, &app.config).await {
            tracing::warn!(
                cause = error.cause(),
                "the public key could not be published at start; the first request publishes it"
            );
        }
        Ok(app)
    }

    /// The same for a function that asks the AI.
    ///
    /// # Errors
    /// Also where a provider's settings can't be used.
    pub async fn start_asking(config: Config, clock: Clock) -> Result<Self, ConfigError> {
        let ai = Ai::connect(&config).await?;
        Ok(Self { ai: Some(ai), ..Self::start(config, clock).await? })
    }

    /// The same for a function that verifies no tokens: it reads nothing before its first event.
    ///
    /// # Errors
    /// Where the connection can't be set up.
    pub async fn start_cold(config: Config, clock: Clock) -> Result<Self, ConfigError> {
        let store =
            Store::connect(&aws::connect(config.dynamodb_endpoint.as_ref()).await?, &config);
        Ok(Self::over(config, clock, store, None))
    }

    /// An `App` of these parts, which has read nothing yet.
    pub fn over(config: Config, clock: Clock, store: Store, signer: Option<Signer>) -> Self {
        let keyring = Keyring::new(store.clone(), clock.clone());
        Self {
            ai: None,
            passwords: Passwords::new(),
            config: Arc::new(config),
            clock,
            store,
            keyring,
            signer,
        }
    }
}
