//! The first parameter of a handler, created once before the first request: `()`, [`App`],
//! [`IssuerApp`], [`GuardApp`] or [`AiApp`], depending on what the endpoint needs.

use std::ops::Deref;
use std::sync::Arc;

use crate::ai::Ai;
use crate::aws;
use crate::clock::Clock;
use crate::config::{
    AccountConfig, AiConfig, Config, ConfigError, MailConfig, Settings, TraceConfig,
};
use crate::keys::{Keyring, Signer};
use crate::mail::Carrier;
use crate::passwords::Passwords;
use crate::store::Store;
use crate::telemetry::trace::Traces;

/// What an endpoint needs. Cloning it is cheap.
pub trait Start: Clone + Send + Sync + 'static {
    /// Whether starting it publishes the public key, with which the other functions verify tokens.
    const PUBLISHES: bool = false;

    /// Reads the settings that it needs, connects, and does what takes time, before the first
    /// request.
    ///
    /// # Errors
    /// A setting that can't be used, or a connection that can't be set up. It doesn't fail if the
    /// store doesn't answer: the first request tries again.
    fn start(
        settings: &Settings<'_>,
        clock: Clock,
    ) -> impl Future<Output = Result<Self, ConfigError>> + Send;

    /// The [`App`] that it contains. `None` for an endpoint without a store.
    fn app_mut(&mut self) -> Option<&mut App>;
}

/// An endpoint that needs nothing: its binary contains no client of AWS.
impl Start for () {
    async fn start(_: &Settings<'_>, _: Clock) -> Result<Self, ConfigError> {
        Ok(())
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        None
    }
}

/// Settings, clock and store, and the keys that verify tokens. Cloning it is cheap.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// DynamoDB.
    pub store: Store,
    /// The public keys that verify tokens.
    pub keyring: Keyring,
    /// The hashing of passwords.
    pub passwords: Passwords,
    /// The traces, if an operator has named a collector.
    pub traces: Option<Traces>,
}

impl App {
    /// Connects without reading anything: for work that verifies no tokens.
    ///
    /// # Errors
    /// A setting that can't be used, or TLS that can't be set up.
    pub async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = Config::read(settings)?;
        let aws = aws::connect(config.dynamodb_endpoint.as_ref()).await?;
        let store = Store::connect(&aws, &config);
        Ok(Self::from_parts(config, clock, store))
    }

    /// An `App` of these parts. It hasn't read anything yet.
    pub fn from_parts(config: Config, clock: Clock, store: Store) -> Self {
        let keyring = Keyring::new(store.clone(), clock.clone());
        let passwords = Passwords::new();
        let traces = config.traces.as_ref().and_then(|traces| {
            let TraceConfig { endpoint, service, share } = traces;
            Traces::for_endpoint(endpoint, service, *share)
        });
        Self { config: Arc::new(config), clock, store, keyring, passwords, traces }
    }
}

impl Start for App {
    /// Reads the public keys too, which opens the connection to DynamoDB.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let app = Self::connect(settings, clock).await?;
        if let Err(error) = app.keyring.read().await {
            tracing::warn!(
                cause = error.cause(),
                "the public keys could not be read at start; the first request reads them"
            );
        }
        Ok(app)
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(self)
    }
}

/// An [`App`] that creates accounts, checks passwords or states the limits of both.
#[derive(Clone)]
pub struct GuardApp {
    /// What it has in common with other endpoints.
    pub app: App,
    /// The limits of registrations and of wrong passwords.
    pub accounts: Arc<AccountConfig>,
}

impl Start for GuardApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let accounts = AccountConfig::read(settings)?.into();
        Ok(Self { app: App::start(settings, clock).await?, accounts })
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(&mut self.app)
    }
}

impl Deref for GuardApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// An [`App`] that issues tokens. Only the binaries of such endpoints contain the code that reads
/// the signing secret.
#[derive(Clone)]
pub struct IssuerApp {
    /// What it has in common with other endpoints.
    pub app: App,
    /// The limits of registrations and of wrong passwords, and how long an access token is valid.
    pub accounts: Arc<AccountConfig>,
    /// The key that signs tokens.
    pub signer: Signer,
}

impl Start for IssuerApp {
    const PUBLISHES: bool = true;

    /// Fails without a secret, or with one that isn't random. Publishes the public key.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let (config, accounts) = (Config::read(settings)?, AccountConfig::read(settings)?);
        let aws = aws::connect(config.dynamodb_endpoint.as_ref()).await?;
        let store = Store::connect(&aws, &config);
        let app = App::from_parts(config, clock.clone(), store);
        // The connections to both services are opened at the same time.
        let (signer, known) =
            tokio::join!(Signer::new(settings.signing_secret()?, &aws, clock), app.keyring.read());
        let issuing = Self { app, accounts: accounts.into(), signer: signer? };
        let published = match known {
            Ok(known) => {
                issuing
                    .signer
                    .publish_beside(known, &issuing.keyring, issuing.config.session_life)
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            tracing::warn!(
                cause = error.cause(),
                "the public key could not be published at start; the first request publishes it"
            );
        }
        Ok(issuing)
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(&mut self.app)
    }
}

impl Deref for IssuerApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// An [`App`] that asks the AI. Only the binaries of such endpoints contain the providers.
#[derive(Clone)]
pub struct AiApp {
    /// What it has in common with other endpoints.
    pub app: App,
    /// The providers.
    pub ai: Ai,
}

impl Start for AiApp {
    /// Fails if a provider's settings can't be used, or its key can't be read. Opens the connection
    /// to the first provider.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = AiConfig::read(settings)?;
        let ai = async {
            let ai = Ai::connect(config).await?;
            ai.open().await;
            Ok::<_, ConfigError>(ai)
        };
        let (ai, app) = tokio::join!(ai, App::start(settings, clock));
        Ok(Self { ai: ai?, app: app? })
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(&mut self.app)
    }
}

impl Deref for AiApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// An [`App`] that sends e-mail: the function `mail`.
#[derive(Clone)]
pub struct MailApp {
    /// What it has in common with other functions.
    pub app: App,
    /// What sends the e-mails.
    pub carrier: Carrier,
    /// The web page that links lead to. Without one, e-mails contain the bare token.
    pub url: Option<String>,
}

impl MailApp {
    /// # Errors
    /// A setting that can't be used, or TLS that can't be set up.
    // crate::mail says why.
    #[inline]
    pub async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let MailConfig { from, configuration_set, url } = MailConfig::read(settings)?;
        let app = App::connect(settings, clock).await?;
        let carrier = match from {
            None => Carrier::Nobody,
            Some(from) => {
                let aws = aws::connect(app.config.dynamodb_endpoint.as_ref()).await?;
                Carrier::ses(&aws, from, configuration_set)
            }
        };
        Ok(Self { app, carrier, url })
    }
}

impl Deref for MailApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}
