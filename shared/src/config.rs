//! The settings of all functions. They are read once, when a function starts, through a lookup that
//! the caller passes in. Each setting is defined by a row in [`rows`]. An endpoint reads only the
//! settings that it needs.

mod ai;
mod choices;
mod client_statuses;
mod payments;
mod secret;
#[macro_use]
pub mod setting;
pub mod rows;
mod settings;
mod titles;
mod top_up;
mod traces;

use std::fmt;
use std::time::Duration;

use tracing::Level;

use crate::Credits;
use crate::aws::{self, ServiceUrl};
use crate::values::Allowances;

pub use ai::{AiConfig, AiProvider, AiServer, CatalogConfig, STOP_PACE};
pub use choices::{ChatAccess, EmptyBalance, Sharing, StripeMode, UnknownModels, Unsupported};
pub use client_statuses::ClientStatuses;
pub use payments::StripeConfig;
pub use secret::Secret;
pub(crate) use settings::checked_secret;
pub use settings::{Settings, variable};
pub use titles::TitleConfig;
pub use top_up::TopUp;
pub use traces::TraceConfig;

/// The names of settings.
pub type Names = &'static [&'static str];

/// The settings in every function's environment. A setting that only some functions read is only in
/// those functions' environments, so that an invalid value doesn't stop the others.
pub const COMMON: &[Names] = &[LogConfig::SETTINGS, EdgeConfig::SETTINGS, Config::SETTINGS];

/// The settings for the logs and metrics that every function writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`: the least severe level that is logged. Levels below `info` aren't compiled in.
    pub level: Level,
    /// `METRICS_NAMESPACE`: the namespace of the metrics. Without this setting, metrics aren't
    /// written.
    pub metrics: Option<String>,
}

/// The settings for the checks that every request must pass.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// `BODY_LIMIT`: the maximum size of a request's body, in bytes.
    pub body_limit: usize,
    /// `V1_BODY_LIMIT`: the maximum size of a request's body under `/v1`, in bytes. Requests under
    /// `/v1` contain whole conversations.
    pub v1_body_limit: usize,
    /// `ALLOWED_ORIGINS`: the web origins whose pages may call the API, separated by commas.
    pub allowed_origins: Vec<String>,
    /// The statuses that depend on the older system for which a client was written. Endpoints that
    /// never reply with these statuses use the defaults.
    pub statuses: ClientStatuses,
}

/// The maximum size of a header, in bytes. API Gateway accepts 10 KB of headers in total
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html)).
pub(crate) const HEADER_LIMIT: usize = 8192;

/// The settings for accounts, JWTs and charges. On AWS, `template.yaml` defines these settings. The
/// local server uses the template's defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The names of the six tables.
    pub tables: Tables,
    /// `DYNAMODB_ENDPOINT`: DynamoDB's URL, or `None` for the AWS endpoint.
    pub dynamodb_endpoint: Option<ServiceUrl>,
    /// `TOKEN_ISSUER`: the `iss` of every JWT. The `aud` of every JWT begins with this name.
    pub issuer: String,
    /// `SESSION_SECONDS`: how long a session, its refresh tokens and its long-lived `token` are
    /// valid.
    pub session_life: Duration,
    /// `CHAT_PRICE`: the price of a chat.
    pub chat_price: Credits,
    /// How users get more credits, or `None` if the operator hasn't set this.
    pub top_up: Option<TopUp>,
    /// `ALLOWANCE`: the balance to which accounts are topped up in each period.
    pub allowances: Allowances,
    /// `PARALLEL_CHATS`: how many of an account's chats may wait for the AI at the same time.
    pub parallel_chats: u32,
    /// `CHATS_PER_MINUTE`: the maximum number of chats that an account may send per minute.
    pub chats_per_minute: u32,
    /// `REFUNDS_PER_MINUTE`: how many of an account's failed chats may be refunded per minute, on
    /// average.
    pub refunds_per_minute: u32,
    /// `FREE_WORK`: the minimum daily limit on an account's free work, in credits. Free work is AI
    /// usage that no user pays for.
    pub free_work: Credits,
    /// `MESSAGE_LIMIT`: the maximum length of a message, in characters.
    pub message_limit: usize,
    /// `AWS_SAM_LOCAL`: true if SAM CLI runs this function.
    pub sam_local: bool,
    /// The destination of traces, or `None` if traces aren't sent.
    pub traces: Option<TraceConfig>,
}

/// The settings for registering, logging in and issuing JWTs. Only the environments of functions
/// that create accounts, check passwords or issue JWTs contain these settings.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// `ACCESS_TOKEN_SECONDS`: how long an access token is valid.
    pub access_token_life: Duration,
    /// `FIRST_GRANT`: the balance of a new account.
    pub first_grant: Credits,
    /// `LOGIN_ATTEMPTS`: how many wrong passwords per day unknown clients may send for an account.
    /// Wrong passwords in requests with a valid access token are counted separately, with the same
    /// limit.
    pub login_attempts: u32,
    /// `LOGIN_FAILURES_PER_ADDRESS`: how many log-ins from one IP address may fail per hour. 0
    /// means no limit.
    pub login_failures_per_address: u32,
    /// `REGISTRATIONS_PER_ADDRESS`: how many accounts one IP address may create per hour. 0 means
    /// no limit.
    pub registrations_per_address: u32,
}

/// The settings for the function that sends e-mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `MAIL_FROM`: the sender's address. Without this setting, e-mails aren't sent.
    pub from: Option<String>,
    /// `MAIL_CONFIGURATION_SET`: the Amazon SES configuration set. Without this setting, SES uses
    /// the sender's default configuration set.
    pub configuration_set: Option<String>,
    /// `MAIL_URL`: the web page that links point to. Without this setting, e-mails contain the bare
    /// link token.
    pub url: Option<String>,
}

impl ChatAccess {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::ADMIN_CHATS.name];

    /// Reads `ADMIN_CHATS`: `off`, `read` or `search`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::ADMIN_CHATS)
    }
}

impl Sharing {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::SHARING.name];

    /// Reads `SHARING`: `on` or `off`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::SHARING)
    }
}

impl EmptyBalance {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::EMPTY_BALANCE_STATUS.name];

    /// Reads `EMPTY_BALANCE_STATUS`: `402` or `429`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::EMPTY_BALANCE_STATUS)
    }
}

impl UnknownModels {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::UNKNOWN_MODELS.name];

    /// Reads `UNKNOWN_MODELS`: `default` or `refuse`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::UNKNOWN_MODELS)
    }
}

impl Unsupported {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::UNSUPPORTED.name];

    /// Reads `UNSUPPORTED`: `refuse` or `ignore`.
    ///
    /// # Errors
    /// Returns an error for any other value.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        settings.choice(rows::UNSUPPORTED)
    }
}

/// Reads `CURRENCY`: the plural noun that the pages use for the product's tokens.
///
/// # Errors
/// Returns an error unless the word consists of 1 to 20 letters, possibly with spaces in between.
pub fn currency(settings: &Settings<'_>) -> Result<String, ConfigError> {
    let word = settings.text(rows::CURRENCY);
    let is_word = (1..=20).contains(&word.chars().count())
        && word.trim() == word
        && word.chars().all(|c| c.is_alphabetic() || c == ' ');
    match is_word {
        true => Ok(word),
        false => Err(ConfigError(format!("CURRENCY must have 1 to 20 letters (got {word:?})"))),
    }
}

/// The default of `CURRENCY`.
pub const DEFAULT_CURRENCY: &str = rows::CURRENCY.default;

/// The names of the six tables: `USERS_TABLE`, `TOKENS_TABLE`, `KEYS_TABLE`, `CHATS_TABLE`,
/// `LEDGER_TABLE` and `FILES_TABLE`.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Accounts, and their claims to e-mail addresses.
    pub users: String,
    /// Sessions, API keys, idempotency keys, attempts, links and the outbox.
    pub tokens: String,
    /// Public signing keys.
    pub keys: String,
    /// Chats and conversations.
    pub chats: String,
    /// Ledger entries: the immutable rows that explain every balance.
    pub ledger: String,
    /// The pictures and texts that users attach to messages.
    pub files: String,
}

/// An error for a missing or invalid setting. The message contains the setting's name.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl From<aws::TlsError> for ConfigError {
    fn from(error: aws::TlsError) -> Self {
        Self(error.to_string())
    }
}

/// The upper limit of `SESSION_SECONDS`.
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(rows::SESSION_SECONDS.most);

impl LogConfig {
    /// The names of the settings.
    pub const SETTINGS: Names = &[rows::LOG_LEVEL.name, rows::METRICS_NAMESPACE.name];

    /// Reads the settings for logs and metrics.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            level: settings.choice(rows::LOG_LEVEL)?,
            metrics: settings.name(rows::METRICS_NAMESPACE, 255, ".-_/#:")?,
        })
    }
}

impl EdgeConfig {
    /// The names of the settings.
    pub const SETTINGS: Names =
        &[rows::BODY_LIMIT.name, rows::V1_BODY_LIMIT.name, rows::ALLOWED_ORIGINS.name];

    /// Reads the settings for the checks that every request must pass.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            body_limit: settings.number(rows::BODY_LIMIT)?,
            v1_body_limit: settings.number(rows::V1_BODY_LIMIT)?,
            allowed_origins: settings.origins(rows::ALLOWED_ORIGINS)?,
            statuses: ClientStatuses::default(),
        })
    }
}

impl Config {
    /// The names of the settings.
    pub const SETTINGS: Names = &[
        rows::USERS_TABLE.name,
        rows::TOKENS_TABLE.name,
        rows::KEYS_TABLE.name,
        rows::CHATS_TABLE.name,
        rows::LEDGER_TABLE.name,
        rows::FILES_TABLE.name,
        rows::DYNAMODB_ENDPOINT.name,
        rows::TOKEN_ISSUER.name,
        rows::SESSION_SECONDS.name,
        rows::CHAT_PRICE.name,
        rows::ALLOWANCE.name,
        rows::TOP_UP_TEXT.name,
        rows::TOP_UP_URL.name,
        rows::PARALLEL_CHATS.name,
        rows::CHATS_PER_MINUTE.name,
        rows::REFUNDS_PER_MINUTE.name,
        rows::FREE_WORK.name,
        rows::MESSAGE_LIMIT.name,
        rows::TRACES_ENDPOINT.name,
        rows::TRACES_SAMPLING.name,
    ];

    /// Reads the settings for accounts, JWTs and charges.
    ///
    /// # Errors
    /// Returns an error for the first missing or invalid setting.
    ///
    /// ```
    /// use shared::config::{Config, Settings};
    ///
    /// let table = |name: &str| name.ends_with("_TABLE").then(|| name.to_owned());
    /// let config = Config::read(&Settings::new(table)).unwrap();
    /// assert_eq!(config.chat_price.get(), 100);
    ///
    /// let free = Settings::new(|name| match name {
    ///     "CHAT_PRICE" => Some("-1".to_owned()),
    ///     _ => table(name),
    /// });
    /// let error = Config::read(&free).unwrap_err();
    /// assert_eq!(error.to_string(), r#"CHAT_PRICE must be a whole number from 1 to 1000000 (got "-1")"#);
    /// ```
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            tables: Tables {
                users: settings.required(rows::USERS_TABLE)?,
                tokens: settings.required(rows::TOKENS_TABLE)?,
                keys: settings.required(rows::KEYS_TABLE)?,
                chats: settings.required(rows::CHATS_TABLE)?,
                ledger: settings.required(rows::LEDGER_TABLE)?,
                files: settings.required(rows::FILES_TABLE)?,
            },
            dynamodb_endpoint: settings.endpoint(rows::DYNAMODB_ENDPOINT)?,
            issuer: settings.text(rows::TOKEN_ISSUER),
            session_life: settings.seconds(rows::SESSION_SECONDS)?,
            chat_price: settings.credits(rows::CHAT_PRICE)?,
            top_up: TopUp::read(settings)?,
            allowances: settings.allowances()?,
            parallel_chats: settings.number(rows::PARALLEL_CHATS)?,
            chats_per_minute: settings.number(rows::CHATS_PER_MINUTE)?,
            refunds_per_minute: settings.number(rows::REFUNDS_PER_MINUTE)?,
            free_work: free_work(settings)?,
            message_limit: settings.number(rows::MESSAGE_LIMIT)?,
            sam_local: settings.sam_local(),
            traces: TraceConfig::read(settings)?,
        })
    }

    /// Returns one line of advice on how to get more credits.
    pub fn advice(&self) -> Option<String> {
        self.top_up.as_ref().map(TopUp::line)
    }
}

impl AccountConfig {
    /// The names of the settings.
    pub const SETTINGS: Names = &[
        rows::ACCESS_TOKEN_SECONDS.name,
        rows::FIRST_GRANT.name,
        rows::LOGIN_ATTEMPTS.name,
        rows::LOGIN_FAILURES_PER_ADDRESS.name,
        rows::REGISTRATIONS_PER_ADDRESS.name,
    ];

    /// Reads the settings for registering and logging in.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            access_token_life: settings.seconds(rows::ACCESS_TOKEN_SECONDS)?,
            first_grant: settings.credits(rows::FIRST_GRANT)?,
            login_attempts: settings.number(rows::LOGIN_ATTEMPTS)?,
            login_failures_per_address: settings.number(rows::LOGIN_FAILURES_PER_ADDRESS)?,
            registrations_per_address: settings.number(rows::REGISTRATIONS_PER_ADDRESS)?,
        })
    }
}

impl MailConfig {
    /// The names of the settings.
    pub const SETTINGS: Names =
        &[rows::MAIL_FROM.name, rows::MAIL_CONFIGURATION_SET.name, rows::MAIL_URL.name];

    /// Reads the settings for e-mail.
    ///
    /// # Errors
    /// Returns an error for the first invalid setting.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            from: mail_sender(settings)?,
            configuration_set: settings.name(rows::MAIL_CONFIGURATION_SET, 64, "-_")?,
            url: settings.url(rows::MAIL_URL)?.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }
}

/// Reads `MAIL_FROM`: the sender of e-mails, or `None` if e-mails aren't sent.
///
/// # Errors
/// Returns an error if the setting isn't an e-mail address.
pub fn mail_sender(settings: &Settings<'_>) -> Result<Option<String>, ConfigError> {
    settings.address(rows::MAIL_FROM)
}

/// Reads `FREE_WORK`. 0 means a hundred times `CHAT_PRICE`.
fn free_work(settings: &Settings<'_>) -> Result<Credits, ConfigError> {
    let price = settings.credits(rows::CHAT_PRICE)?;
    match settings.credits(rows::FREE_WORK)? {
        Credits::ZERO => Ok(price.times(100)),
        chosen => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn with(name: &'static str, value: &'static str) -> Settings<'static> {
        Settings::new(move |asked| {
            if asked == name {
                return Some(value.to_owned());
            }
            asked.ends_with("_TABLE").then(|| asked.to_owned())
        })
    }

    /// Returns the error from the one reader that fails with these settings.
    fn complaint(settings: &Settings<'_>) -> ConfigError {
        let read: [fn(&Settings<'_>) -> Option<ConfigError>; 13] = [
            |settings| LogConfig::read(settings).err(),
            |settings| EdgeConfig::read(settings).err(),
            |settings| Config::read(settings).err(),
            |settings| AccountConfig::read(settings).err(),
            |settings| AiConfig::read(settings).err(),
            |settings| MailConfig::read(settings).err(),
            |settings| ChatAccess::read(settings).err(),
            |settings| Sharing::read(settings).err(),
            |settings| EmptyBalance::read(settings).err(),
            |settings| UnknownModels::read(settings).err(),
            |settings| Unsupported::read(settings).err(),
            |settings| currency(settings).err(),
            |settings| settings.signing_secret().err().filter(|error| error.0 != NO_SECRET),
        ];
        let mut complaints = read.into_iter().filter_map(|read| read(settings));
        let complaint = complaints.next().expect("a complaint");
        assert_eq!(complaints.next(), None);
        complaint
    }

    const NO_SECRET: &str = "SIGNING_SECRET must be set";

    #[test]
    fn errors_name_every_invalid_setting() {
        for (name, value) in [
            ("LOG_LEVEL", "debug"),
            ("LOG_LEVEL", "INFO"),
            ("METRICS_NAMESPACE", "my metrics"),
            ("USERS_TABLE", ""),
            ("ACCESS_TOKEN_SECONDS", "1 hour"),
            ("SESSION_SECONDS", "0"),
            ("FIRST_GRANT", "4000.5"),
            ("TOP_UP_TEXT", "Buy\nmore"),
            ("TOP_UP_URL", "shop.example.com"),
            ("TOP_UP_URL", "javascript:alert(1)"),
            ("TOP_UP_URL", "https://shop.example.com/our tokens"),
            ("PARALLEL_CHATS", "65"),
            ("CHATS_PER_MINUTE", "0"),
            ("REFUNDS_PER_MINUTE", "1"),
            ("FREE_WORK", "-1"),
            ("PRICED_BYTES", "64 KB"),
            ("LOGIN_ATTEMPTS", "101"),
            ("LOGIN_FAILURES_PER_ADDRESS", "-1"),
            ("REGISTRATIONS_PER_ADDRESS", "many"),
            ("ADMIN_CHATS", "yes"),
            ("EMPTY_BALANCE_STATUS", "403"),
            ("UNKNOWN_MODELS", "echo"),
            ("CURRENCY", "<b>"),
            ("AI_PROVIDER", "parrot"),
            ("AI_PROVIDER", "echo,"),
            ("AI_TEMPERATURE", "warm"),
            ("AI_TEMPERATURE", "2.5"),
            ("AI_MAX_TOKENS", "0"),
            ("CONTEXT_CHATS", "51"),
            ("DYNAMODB_ENDPOINT", "localhost:8000"),
            ("DYNAMODB_ENDPOINT", "http://id@127.0.0.1:8000"),
            ("DYNAMODB_ENDPOINT", "https://id:abcdef@dynamodb.eu-central-1.amazonaws.com"),
            ("SIGNING_SECRET", "changeme"),
            ("SIGNING_SECRET", "file://a-secret-in-a-folder-of-this-name"),
            ("SIGNING_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("MAIL_FROM", "Farebox"),
            ("MAIL_FROM", "Farebox <no-reply@example.com>"),
            ("MAIL_CONFIGURATION_SET", "my set"),
            ("MAIL_URL", "app.example.com"),
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "https://app.example.com/"),
            ("TRACES_ENDPOINT", "localhost:4318"),
            ("TRACES_ENDPOINT", "http://local host:4318"),
            ("TRACES_ENDPOINT", "http://user:password@localhost:4318"),
            ("TRACES_ENDPOINT", "http://localhost:4318/?key=1"),
            ("TRACES_SAMPLING", "1.5"),
            ("TRACES_SAMPLING", "NaN"),
            ("TRACES_SAMPLING", "always"),
        ] {
            let error = complaint(&with(name, value));
            assert!(error.0.starts_with(name), "{error}");
        }
    }

    #[test]
    fn secrets_are_redacted_in_debug_output() {
        let secret =
            with("SIGNING_SECRET", "0123456789abcdefghijklmnopqrstuvwxyz").signing_secret();
        assert!(!format!("{secret:?}").contains("abcdef"));
        let endpoint = "http://id:abcdef@127.0.0.1:8000/0";
        let config = Config::read(&with("DYNAMODB_ENDPOINT", endpoint)).unwrap();
        assert!(!format!("{config:?}").contains("abcdef"));
        let key = Some(("id".to_owned(), "abcdef".to_owned()));
        assert_eq!(
            config.dynamodb_endpoint,
            Some(ServiceUrl { url: "http://127.0.0.1:8000/0".into(), key })
        );
        let refused = complaint(&with("DYNAMODB_ENDPOINT", "ftp://id:abcdef@127.0.0.1:8000"));
        assert!(!refused.0.contains("abcdef"), "{refused}");
    }

    #[test]
    fn secrets_are_read_from_an_arn_or_a_file() {
        let secret = |value| with("SIGNING_SECRET", value).signing_secret();
        let file = "/var/lib/farebox/signing-secret";
        assert_eq!(secret("file:///var/lib/farebox/signing-secret"), Ok(Secret::File(file.into())));
        let arn = "arn:aws:secretsmanager:eu-central-1:1:secret:x";
        assert_eq!(secret(arn), Ok(Secret::Arn(arn.into())));
    }

    #[test]
    fn top_up_text_and_link_are_optional() {
        let read = |name, value| Config::read(&with(name, value)).unwrap().top_up;
        assert_eq!(read("CHAT_PRICE", "7"), None);
        let text = read("TOP_UP_TEXT", "Ask Ann, on the second floor.").unwrap();
        assert_eq!(text.line(), "Ask Ann, on the second floor.");
        let link = read("TOP_UP_URL", "mailto:ann@example.com?subject=Tokens").unwrap();
        assert_eq!(link.line(), "Get more tokens: mailto:ann@example.com?subject=Tokens");
    }

    #[test]
    fn token_issuers_need_a_secret() {
        let refused = with("SIGNING_SECRET", "").signing_secret();
        assert_eq!(refused, Err(ConfigError(NO_SECRET.into())));
    }
}
