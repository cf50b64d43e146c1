//! The types that handlers and background functions take as their first parameter: `()`, [`App`],
//! and types that extend an [`App`] for some endpoints, such as [`HistoryApp`], [`IssuerApp`] and
//! [`AiApp`]. The parameter is created once, before the first request.
//!
//! | trait | what it says about a type | implemented for |
//! |---|---|---|
//! | [`UsesSettings`] | the settings that it reads | all types |
//! | [`HasApp`] | where its [`App`] is | all types, mostly through [`extends!`](crate::extends) |
//! | [`HandlerState`] | how it starts before the first request | types of endpoints |
//! | [`Scheduled`] | how it connects for scheduled work | [`App`], [`CensusApp`] and [`PaymentsApp`] |
//!
//! [`extends!`](crate::extends) also dereferences a type to its [`App`]. [`MailApp`] has its own
//! function for connecting, because that function must be inlined.

use std::sync::Arc;

use aws_config::SdkConfig;

use crate::ai::Ai;
use crate::aws::{self, ServiceUrl};
use crate::cache::{Cached, CurrentBrand, Prices, Refused, is_unusable};
use crate::clock::{Clock, Day, FIRST_DAY};
use crate::config::{
    AccountConfig, AiConfig, ClientStatuses, Config, ConfigError, EdgeConfig, LogConfig,
    MailConfig, Names, Settings, StripeConfig, StripeMode, TraceConfig, rows,
};
use crate::keys::{Keyring, Signer};
use crate::mail::MailTransport;
use crate::passwords::Passwords;
use crate::secrets::CachedSecret;
use crate::store::{DataPeriod, Store, UsualUsage};
use crate::stripe::{Secrets, Stripe};
use crate::telemetry::model_calls::{CallSource, CloudWatch};
use crate::telemetry::trace::Traces;
use crate::values::Imports;

/// The settings that a type reads when it is created. `cargo xtask generate` uses these lists to
/// write each function's environment in `template.yaml`.
pub trait UsesSettings {
    /// The names of the settings, in addition to [`COMMON`](crate::config::COMMON).
    const SETTINGS: &'static [Names] = &[];
}

/// The [`App`] inside a parameter.
pub trait HasApp {
    /// Returns the [`App`], or `None` for an endpoint without a store.
    fn app(&self) -> Option<&App> {
        None
    }

    /// Like [`HasApp::app`], but returns a mutable reference, for a server that replaces the
    /// [`App`].
    fn app_mut(&mut self) -> Option<&mut App> {
        None
    }
}

/// The type of a handler's first parameter. Cloning is cheap.
pub trait HandlerState: UsesSettings + HasApp + Clone + Send + Sync + 'static {
    /// True if `start` publishes the public key. All functions verify JWTs with this key.
    const PUBLISHES: bool = false;

    /// True if the endpoint uses the [`ClientStatuses`] that the operator has configured.
    const CHOOSES_STATUSES: bool = false;

    /// Reads the settings, connects, and does other slow work before the first request.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or a client can't be created. If the store doesn't
    /// answer, `start` still succeeds, and the first request tries again.
    fn start(
        settings: &Settings<'_>,
        clock: Clock,
    ) -> impl Future<Output = Result<Self, ConfigError>> + Send;
}

/// Reads the settings for the checks that every request to an endpoint must pass.
///
/// # Errors
/// Returns an error for the first invalid setting.
pub fn edge_config<A: HandlerState>(settings: &Settings<'_>) -> Result<EdgeConfig, ConfigError> {
    let mut edge = EdgeConfig::read(settings)?;
    if A::CHOOSES_STATUSES {
        edge.statuses = ClientStatuses::read(settings)?;
    }
    Ok(edge)
}

impl UsesSettings for () {}

impl HasApp for () {}

/// The state of an endpoint without settings or connections. Its binary doesn't contain an AWS
/// client.
impl HandlerState for () {
    async fn start(_: &Settings<'_>, _: Clock) -> Result<Self, ConfigError> {
        Ok(())
    }
}

/// The settings, the clock, the store, and the public keys. Cloning is cheap.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The clock.
    pub clock: Clock,
    /// The access to DynamoDB.
    pub store: Store,
    /// The public keys that verify JWTs.
    pub keyring: Keyring,
    /// The price list.
    pub prices: Prices,
    /// The operator's brand.
    pub brand: CurrentBrand,
    /// How many model tokens messages usually use.
    pub usual: Cached<UsualUsage>,
    /// The record of imports.
    pub imports: Cached<Imports>,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Records and sends traces. `None` if the operator hasn't configured a collector.
    pub traces: Option<Traces>,
}

impl App {
    /// Connects without reading anything. Use this function for work that doesn't verify JWTs.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or TLS can't be configured.
    pub async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::connect_with_aws(settings, clock).await.map(|(app, _)| app)
    }

    /// Connects like [`App::connect`]. Also returns the configuration for clients of other AWS
    /// services.
    async fn connect_with_aws(
        settings: &Settings<'_>,
        clock: Clock,
    ) -> Result<(Self, SdkConfig), ConfigError> {
        let config = Config::read(settings)?;
        let aws = aws::connect(config.dynamodb_endpoint.as_ref()).await?;
        let store = Store::connect(&aws, &config);
        Ok((Self::from_parts(config, clock, store), aws))
    }

    /// Reads the public keys, which opens the connection to DynamoDB.
    async fn read_keys(&self) {
        if let Err(error) = self.keyring.read().await {
            tracing::warn!(
                cause = error.cause(),
                "the public keys could not be read at start; the first request reads them"
            );
        }
    }

    /// Returns the period for which the store may contain data.
    ///
    /// # Errors
    /// Returns the same errors as [`Cached::current`].
    pub async fn data_period(&self) -> crate::Result<DataPeriod> {
        let imports = self.imports.current().await?;
        let first = imports.map_or(FIRST_DAY, |imports| Day::from_number(imports.first_day));
        Ok(DataPeriod { first: first.min(FIRST_DAY), now: self.clock.millis() })
    }

    /// Creates an `App` from these parts. Nothing is read yet.
    pub fn from_parts(config: Config, clock: Clock, store: Store) -> Self {
        let keyring = Keyring::new(store.clone(), clock.clone());
        let prices = Prices::new(store.clone(), clock.clone());
        let brand = Cached::new(store.clone(), clock.clone());
        let usual = Cached::new(store.clone(), clock.clone());
        let imports = Cached::new(store.clone(), clock.clone());
        let passwords = Passwords::new();
        let traces = config.traces.as_ref().and_then(|traces| {
            let TraceConfig { endpoint, service, share } = traces;
            Traces::for_endpoint(endpoint, service, *share)
        });
        let config = Arc::new(config);
        Self { config, clock, store, keyring, prices, brand, usual, imports, passwords, traces }
    }
}

impl UsesSettings for App {}

impl HasApp for App {
    fn app(&self) -> Option<&App> {
        Some(self)
    }

    fn app_mut(&mut self) -> Option<&mut App> {
        Some(self)
    }
}

impl HandlerState for App {
    /// Connects and reads the public keys, which opens the connection to DynamoDB.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let app = Self::connect(settings, clock).await?;
        app.read_keys().await;
        Ok(app)
    }
}

/// Implements [`Deref`](std::ops::Deref) and [`HasApp`] for a type that contains the app in one of
/// its fields: `extends!(PasswordApp, app: App)`.
#[macro_export]
macro_rules! extends {
    ($outer:ty, $field:ident: $inner:ty) => {
        impl std::ops::Deref for $outer {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.$field
            }
        }

        impl $crate::app::HasApp for $outer {
            fn app(&self) -> Option<&$crate::App> {
                $crate::app::HasApp::app(&self.$field)
            }

            fn app_mut(&mut self) -> Option<&mut $crate::App> {
                $crate::app::HasApp::app_mut(&mut self.$field)
            }
        }
    };
}

/// An [`App`] that shows the brand to everyone, and doesn't verify JWTs.
#[derive(Clone)]
pub struct BrandApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
}

extends!(BrandApp, app: App);

impl UsesSettings for BrandApp {}

impl HandlerState for BrandApp {
    /// Connects and reads the brand.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let app = App::connect(settings, clock).await?;
        app.brand.read_at_start().await;
        Ok(Self { app })
    }
}

/// An [`App`] that lists the data of all users, sorted by time.
#[derive(Clone)]
pub struct HistoryApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
}

extends!(HistoryApp, app: App);

impl UsesSettings for HistoryApp {}

impl HandlerState for HistoryApp {
    /// Connects, and reads the public keys and the record of imports.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let app = App::connect(settings, clock).await?;
        tokio::join!(app.read_keys(), app.imports.read_at_start());
        Ok(Self { app })
    }
}

/// An [`App`] that creates accounts, checks passwords, or shows the limits on both.
#[derive(Clone)]
pub struct PasswordApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
    /// The limits on registrations and wrong passwords.
    pub accounts: Arc<AccountConfig>,
}

extends!(PasswordApp, app: App);

impl UsesSettings for PasswordApp {
    const SETTINGS: &'static [Names] = &[AccountConfig::SETTINGS];
}

impl HandlerState for PasswordApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let accounts = AccountConfig::read(settings)?.into();
        Ok(Self { app: App::start(settings, clock).await?, accounts })
    }
}

/// An [`App`] that issues JWTs. Only the binaries of endpoints with this type contain the code that
/// reads the signing secret.
#[derive(Clone)]
pub struct IssuerApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
    /// The limits on registrations and wrong passwords, and the lifetime of access tokens.
    pub accounts: Arc<AccountConfig>,
    /// Signs JWTs.
    pub signer: Signer,
}

extends!(IssuerApp, app: App);

impl UsesSettings for IssuerApp {
    const SETTINGS: &'static [Names] = &[AccountConfig::SETTINGS, &[rows::SIGNING_SECRET.name]];
}

impl HandlerState for IssuerApp {
    const PUBLISHES: bool = true;

    /// Connects and publishes the public key. Returns an error if the secret is missing or doesn't
    /// look random.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::start_with(settings, clock, async |_: &App| ()).await
    }
}

impl IssuerApp {
    /// Like [`HandlerState::start`], but also runs `also` while the connections are opened.
    async fn start_with(
        settings: &Settings<'_>,
        clock: Clock,
        also: impl AsyncFnOnce(&App),
    ) -> Result<Self, ConfigError> {
        let (app, aws) = App::connect_with_aws(settings, clock.clone()).await?;
        let accounts = AccountConfig::read(settings)?;
        // Open the connections to DynamoDB and Secrets Manager in parallel.
        let (signer, known, ()) = tokio::join!(
            Signer::new(settings.signing_secret()?, &aws, clock),
            app.keyring.read(),
            also(&app)
        );
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
}

/// An [`IssuerApp`] that checks passwords for logins that may not belong to an account.
#[derive(Clone)]
pub struct LoginApp {
    /// The settings and connections that all endpoints with a store share, and the signer.
    pub app: IssuerApp,
}

extends!(LoginApp, app: IssuerApp);

impl UsesSettings for LoginApp {
    const SETTINGS: &'static [Names] =
        &[AccountConfig::SETTINGS, &[rows::SIGNING_SECRET.name], ClientStatuses::SETTINGS];
}

impl HandlerState for LoginApp {
    const PUBLISHES: bool = true;
    const CHOOSES_STATUSES: bool = true;

    /// Starts like an [`IssuerApp`], and also reads the record of imports.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let read = async |app: &App| app.imports.read_at_start().await;
        Ok(Self { app: IssuerApp::start_with(settings, clock, read).await? })
    }
}

/// An [`App`] that calls the AI. Only the binaries of endpoints with this type contain the code for
/// the providers.
#[derive(Clone)]
pub struct AiApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
    /// The AI with its providers.
    pub ai: Ai,
    /// The accounts that this function has just refused a message.
    pub refused: Refused,
}

extends!(AiApp, app: App);

impl UsesSettings for AiApp {
    const SETTINGS: &'static [Names] = &[AiConfig::SETTINGS];
}

impl HandlerState for AiApp {
    /// Connects, opens the connection to the first provider and reads the price list. Returns an
    /// error if a provider's settings are invalid, its API key can't be read, or the list is
    /// invalid.
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = AiConfig::read(settings)?;
        let ai = async {
            let ai = Ai::connect(config, &clock).await?;
            ai.open().await;
            Ok::<_, ConfigError>(ai)
        };
        let app = async {
            let app = App::connect(settings, clock.clone()).await?;
            let ((), prices) = tokio::join!(app.read_keys(), app.prices.read());
            match prices {
                Err(error) if is_unusable(&error) => {
                    Err(ConfigError(error.cause().unwrap_or_default().to_owned()))
                }
                Err(error) => {
                    tracing::warn!(
                        cause = error.cause(),
                        "the price list could not be read at start; the first request reads it"
                    );
                    Ok(app)
                }
                Ok(_) => Ok(app),
            }
        };
        let (ai, app) = tokio::join!(ai, app);
        Ok(Self { ai: ai?, app: app?, refused: Refused::default() })
    }
}

/// An [`App`] that opens payment pages. Only the functions of endpoints with this type get Stripe's
/// API key.
#[derive(Clone)]
pub struct CheckoutApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
    /// The client for Stripe's API, or `None` if the operator doesn't sell packs.
    pub stripe: Option<Stripe>,
    /// The page to which buyers return, or `None` for this server's pages.
    pub back: Option<String>,
}

extends!(CheckoutApp, app: App);

impl UsesSettings for CheckoutApp {
    const SETTINGS: &'static [Names] = &[StripeConfig::SETTINGS, StripeConfig::RETURN_URL];
}

impl HandlerState for CheckoutApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = StripeConfig::read(settings)?;
        let stripe = Stripe::connect(&config, clock.clone());
        let (stripe, app) = tokio::try_join!(stripe, App::start(settings, clock))?;
        Ok(Self { app, stripe, back: StripeConfig::return_url(settings)? })
    }
}

/// An [`App`] that compares orders with Stripe's lists, for the `payments_check` function.
#[derive(Clone)]
pub struct PaymentsApp {
    /// The settings and connections that all functions with a store share.
    pub app: App,
    /// The client for Stripe's API, or `None` if the operator doesn't sell packs.
    pub stripe: Option<Stripe>,
}

extends!(PaymentsApp, app: App);

/// The type of a scheduled function's parameter. Cloning is cheap.
pub trait Scheduled: UsesSettings + HasApp + Clone + Send + Sync + 'static {
    /// Reads the settings and connects. Doesn't read the public keys, because scheduled work
    /// doesn't verify JWTs.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or a client can't be created.
    fn connect(
        settings: &Settings<'_>,
        clock: Clock,
    ) -> impl Future<Output = Result<Self, ConfigError>> + Send;
}

impl Scheduled for App {
    async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        Self::connect(settings, clock).await
    }
}

impl UsesSettings for PaymentsApp {
    const SETTINGS: &'static [Names] = &[StripeConfig::SETTINGS];
}

impl Scheduled for PaymentsApp {
    async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let config = StripeConfig::read(settings)?;
        let stripe = Stripe::connect(&config, clock.clone()).await?;
        Ok(Self { app: App::connect(settings, clock).await?, stripe })
    }
}

/// An [`App`] that also reads the calls to AI models from the metrics, for the `census` function.
#[derive(Clone)]
pub struct CensusApp {
    /// The settings and connections that all functions with a store share.
    pub app: App,
    /// Where the calls to AI models are read.
    pub calls: CallSource,
}

extends!(CensusApp, app: App);

impl UsesSettings for CensusApp {}

impl Scheduled for CensusApp {
    // The documentation of `crate::mail` explains why this function is inlined.
    #[inline]
    async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let namespace = LogConfig::read(settings)?.metrics;
        let (app, aws) = App::connect_with_aws(settings, clock).await?;
        let is_emulated =
            app.config.dynamodb_endpoint.as_ref().is_some_and(ServiceUrl::is_emulator);
        let calls = match namespace {
            Some(namespace) if !is_emulated => {
                CallSource::CloudWatch(CloudWatch::new(&aws::patient(aws), namespace))
            }
            _ => CallSource::Disabled,
        };
        Ok(Self { app, calls })
    }
}

/// An [`App`] that receives Stripe's events.
#[derive(Clone)]
pub struct WebhookApp {
    /// The settings and connections that all endpoints with a store share.
    pub app: App,
    /// The secrets with which Stripe signs events, or `None` if the operator doesn't sell packs.
    pub secrets: Option<CachedSecret<Secrets>>,
    /// The mode of the events that are accepted.
    pub mode: StripeMode,
}

extends!(WebhookApp, app: App);

impl UsesSettings for WebhookApp {
    const SETTINGS: &'static [Names] = &[StripeConfig::WEBHOOK];
}

impl HandlerState for WebhookApp {
    async fn start(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let secrets = match StripeConfig::webhook_secret(settings)? {
            Some(secret) => {
                let (setting, aws) = (rows::STRIPE_WEBHOOK_SECRET.name, aws::amazon().await?);
                Some(CachedSecret::read(setting, secret, &aws, clock.clone()).await?)
            }
            None => None,
        };
        let mode = StripeMode::read(settings)?;
        Ok(Self { app: App::connect(settings, clock).await?, secrets, mode })
    }
}

/// An [`App`] that sends e-mail, for the `mail` function.
#[derive(Clone)]
pub struct MailApp {
    /// The settings and connections that all functions with a store share.
    pub app: App,
    /// Sends the e-mails.
    pub transport: MailTransport,
    /// The web page that links point to, or `None` if e-mails contain the bare link token.
    pub url: Option<String>,
}

extends!(MailApp, app: App);

impl UsesSettings for MailApp {
    const SETTINGS: &'static [Names] = &[MailConfig::SETTINGS];
}

impl MailApp {
    /// Reads the settings and connects.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or TLS can't be configured.
    // The documentation of `crate::mail` explains why this function is inlined.
    #[inline]
    pub async fn connect(settings: &Settings<'_>, clock: Clock) -> Result<Self, ConfigError> {
        let MailConfig { from, configuration_set, url } = MailConfig::read(settings)?;
        let (app, aws) = App::connect_with_aws(settings, clock).await?;
        let transport = match from {
            None => MailTransport::Disabled,
            Some(from) => MailTransport::ses(&aws, from, configuration_set),
        };
        Ok(Self { app, transport, url })
    }
}
