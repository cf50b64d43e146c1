//! Every setting, read once at start from a lookup that is passed in. No other file names an
//! environment variable.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Tokens;
use crate::aws::{self, Endpoint};
use crate::secret::Secret;
use crate::user::Email;

/// All settings of a function. `template.yaml` sets them on AWS, and gives the local server its
/// defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The five tables' names.
    pub tables: Tables,
    /// `DYNAMODB_ENDPOINT`: where DynamoDB answers, when it isn't AWS's.
    pub dynamodb_endpoint: Option<Endpoint>,
    /// `SIGNING_SECRET`: what the signing key is derived from. Only functions that issue tokens
    /// are given it.
    pub signing_secret: Option<Secret>,
    /// `TOKEN_ISSUER`: the `iss` and `aud` of every token.
    pub issuer: String,
    /// `ACCESS_TOKEN_SECONDS`: how long an access token lives.
    pub access_token_life: Duration,
    /// `SESSION_SECONDS`: how long a session lives, with its refresh tokens and the long-lived
    /// `token`.
    pub session_life: Duration,
    /// `CHAT_PRICE`: what a chat costs.
    pub chat_price: Tokens,
    /// `FIRST_GRANT`: what a new account is given.
    pub first_grant: Tokens,
    /// `PARALLEL_CHATS`: how many chats of one account may be waiting for the AI at a time.
    pub parallel_chats: u32,
    /// `CHATS_PER_MINUTE`: how many chats of one account may begin in a minute.
    pub chats_per_minute: u32,
    /// `REFUNDS_PER_MINUTE`: how many chats of one account that fail may be refunded in a minute,
    /// on average.
    pub refunds_per_minute: u32,
    /// `LOGIN_ATTEMPTS`: how many wrong passwords a day an account may be tried with by strangers,
    /// and beside its tokens.
    pub login_attempts: u32,
    /// `LOGIN_FAILURES_PER_ADDRESS`: how many log-ins from one source address may fail in an hour;
    /// 0 is any number.
    pub login_failures_per_address: u32,
    /// `REGISTRATIONS_PER_ADDRESS`: how many accounts one source address may open in an hour; 0 is
    /// any number.
    pub registrations_per_address: u32,
    /// `AI_PROVIDER`: who answers; where one fails, the next one is asked.
    pub ai_providers: Vec<AiProvider>,
    /// `AI_SYSTEM_PROMPT`: what the AI is told before every conversation.
    pub ai_system_prompt: Option<String>,
    /// `AI_TEMPERATURE`: how freely the AI chooses its words, where it isn't the provider's
    /// default.
    pub ai_temperature: Option<f64>,
    /// `AI_MAX_TOKENS`: how many of the model's tokens an answer may have.
    pub ai_max_tokens: u32,
    /// `AI_TIMEOUT_SECONDS`: how long the AI may take, whoever answers in the end.
    pub ai_timeout: Duration,
    /// `ANSWER_LIMIT`: how many bytes an answer may have; a longer one is none.
    pub answer_limit: usize,
    /// `CONTEXT_CHATS`: how many earlier chats of a conversation go along with a message.
    pub context_chats: usize,
    /// `CONTEXT_BYTES`: how many bytes those may have.
    pub context_bytes: usize,
    /// `MESSAGE_LIMIT`: how many characters a message may have.
    pub message_limit: usize,
    /// `BODY_LIMIT`: how many bytes a request's body may have.
    pub body_limit: usize,
    /// `ALLOWED_ORIGINS`: the web origins that browsers may call from, separated by commas.
    pub allowed_origins: Vec<String>,
    /// `MAIL_FROM`: the address that mails come from. Without one, none are sent. Only the
    /// function `mail` is given it.
    pub mail_from: Option<String>,
    /// `MAIL_URL`: the web page that mailed links lead to. Without one, mails hold the bare token.
    pub mail_url: Option<String>,
    /// `AWS_SAM_LOCAL`: whether SAM CLI runs this function, which passes no streams on.
    pub sam_local: bool,
}

/// The names of the five tables: `USERS_TABLE`, `TOKENS_TABLE`, `KEYS_TABLE`, `CHATS_TABLE` and
/// `LEDGER_TABLE`.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Accounts and the claims of e-mail addresses.
    pub users: String,
    /// Sessions.
    pub tokens: String,
    /// Public signing keys.
    pub keys: String,
    /// Chats.
    pub chats: String,
    /// The immutable rows behind every balance.
    pub ledger: String,
}

/// Who answers messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AiProvider {
    /// `echo`: answers offline with the message itself.
    Echo,
    /// `openai` and `openai2`: a server that speaks OpenAI's chat completions.
    OpenAi(OpenAiServer),
    /// `bedrock`: Amazon Bedrock, in the region of the function.
    Bedrock {
        /// `BEDROCK_MODEL`: the id of a model or of an inference profile.
        model: String,
        /// `BEDROCK_ENDPOINT`: where Bedrock answers, when it isn't at AWS's usual place.
        endpoint: Option<String>,
    },
    /// `scripted`: fails, hangs or answers too much where a message asks for it. For tests.
    Scripted,
}

impl AiProvider {
    /// What it is called here.
    pub fn name(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) => &server.name,
            Self::Bedrock { .. } => "bedrock",
            Self::Scripted => "scripted",
        }
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::OpenAi(server) => &server.model,
            Self::Bedrock { model, .. } => model,
            Self::Scripted => "scripted",
        }
    }
}

/// A server that speaks OpenAI's chat completions: `OPENAI_..`, and `OPENAI2_..` for a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAiServer {
    /// What it is called here: `openai` or `openai2`.
    pub name: String,
    /// `.._BASE_URL`, without a slash at its end.
    pub url: String,
    /// `.._API_KEY`, where the server asks for one.
    pub key: Option<Secret>,
    /// `.._MODEL`: the model that is asked.
    pub model: String,
}

/// A setting that can't be used, by name.
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

/// The longest that a session may be set to live.
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(366 * 86_400);

/// The fewest characters of a signing secret; the template makes one of 64.
const SECRET_LENGTH: usize = 32;

impl Config {
    /// The settings of this process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The settings that `lookup` knows. An empty value counts as none.
    ///
    /// ```
    /// let table = |name: &str| name.ends_with("_TABLE").then(|| name.to_owned());
    /// let config = shared::config::Config::from_lookup(table).unwrap();
    /// assert_eq!(config.chat_price.get(), 100);
    ///
    /// let error = shared::config::Config::from_lookup(|name| match name {
    ///     "CHAT_PRICE" => Some("-1".to_owned()),
    ///     _ => table(name),
    /// });
    /// assert_eq!(error.unwrap_err().to_string(), r#"CHAT_PRICE must be a whole number from 1 to 1000000 (got "-1")"#);
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let settings = Settings(|name: &str| lookup(name).filter(|value| !value.is_empty()));
        Ok(Self {
            tables: Tables {
                users: settings.required("USERS_TABLE")?,
                tokens: settings.required("TOKENS_TABLE")?,
                keys: settings.required("KEYS_TABLE")?,
                chats: settings.required("CHATS_TABLE")?,
                ledger: settings.required("LEDGER_TABLE")?,
            },
            dynamodb_endpoint: settings.endpoint("DYNAMODB_ENDPOINT")?,
            signing_secret: settings.signing_secret("SIGNING_SECRET")?,
            issuer: settings.text("TOKEN_ISSUER", "farebox"),
            access_token_life: settings.seconds("ACCESS_TOKEN_SECONDS", 3600, 60, 86_400)?,
            session_life: settings.seconds(
                "SESSION_SECONDS",
                30 * 86_400,
                3600,
                LONGEST_SESSION.as_secs(),
            )?,
            chat_price: settings.tokens("CHAT_PRICE", 100, 1)?,
            first_grant: settings.tokens("FIRST_GRANT", 4000, 0)?,
            parallel_chats: settings.number("PARALLEL_CHATS", 64, 1, 64)?,
            chats_per_minute: settings.number("CHATS_PER_MINUTE", 300, 1, 10_000)?,
            // With fewer, what the minutes before have over is more conditions than an expression
            // has room for.
            refunds_per_minute: settings.number("REFUNDS_PER_MINUTE", 20, 2, 10_000)?,
            login_attempts: settings.number("LOGIN_ATTEMPTS", 100, 3, 100)?,
            login_failures_per_address: settings.number(
                "LOGIN_FAILURES_PER_ADDRESS",
                100,
                0,
                1000,
            )?,
            registrations_per_address: settings.number(
                "REGISTRATIONS_PER_ADDRESS",
                20,
                0,
                10_000,
            )?,
            ai_providers: settings.ai_providers("AI_PROVIDER")?,
            ai_system_prompt: (settings.0)("AI_SYSTEM_PROMPT"),
            ai_temperature: settings.temperature("AI_TEMPERATURE")?,
            ai_max_tokens: settings.number("AI_MAX_TOKENS", 1024, 1, 65_536)?,
            ai_timeout: settings.seconds("AI_TIMEOUT_SECONDS", 20, 1, 840)?,
            answer_limit: settings.number("ANSWER_LIMIT", 65_536, 1, 131_072)?,
            context_chats: settings.number("CONTEXT_CHATS", 20, 0, 50)?,
            context_bytes: settings.number("CONTEXT_BYTES", 32_768, 0, 1_048_576)?,
            message_limit: settings.number("MESSAGE_LIMIT", 8000, 1, 32_000)?,
            body_limit: settings.number("BODY_LIMIT", 65_536, 1024, 1_048_576)?,
            allowed_origins: settings.origins("ALLOWED_ORIGINS")?,
            mail_from: settings.address("MAIL_FROM")?,
            mail_url: settings.url("MAIL_URL")?.map(|url| url.trim_end_matches('/').to_owned()),
            sam_local: settings.text("AWS_SAM_LOCAL", "false") == "true",
        })
    }
}

struct Settings<F>(F);

impl<F: Fn(&str) -> Option<String>> Settings<F> {
    fn required(&self, name: &str) -> Result<String, ConfigError> {
        self.0(name).ok_or_else(|| ConfigError(format!("{name} must be set")))
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.0(name).unwrap_or_else(|| default.to_owned())
    }

    fn number<N: FromStr + PartialOrd + fmt::Display>(
        &self,
        name: &str,
        default: N,
        least: N,
        most: N,
    ) -> Result<N, ConfigError> {
        let Some(text) = self.0(name) else { return Ok(default) };
        match text.parse::<N>() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => Err(ConfigError(format!(
                "{name} must be a whole number from {least} to {most} (got {text:?})"
            ))),
        }
    }

    fn seconds(
        &self,
        name: &str,
        default: u64,
        least: u64,
        most: u64,
    ) -> Result<Duration, ConfigError> {
        self.number(name, default, least, most).map(Duration::from_secs)
    }

    fn tokens(&self, name: &str, default: u64, least: u64) -> Result<Tokens, ConfigError> {
        let number = self.number(name, default, least, 1_000_000)?;
        Tokens::new(number).ok_or_else(|| ConfigError(format!("{name} is too large")))
    }

    fn url(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let url = self.0(name);
        match &url {
            Some(text) if !text.starts_with("http://") && !text.starts_with("https://") => Err(
                ConfigError(format!("{name} must begin with http:// or https:// (got {text:?})")),
            ),
            _ => Ok(url),
        }
    }

    /// A complaint doesn't show the value, which may hold a secret.
    fn endpoint(&self, name: &str) -> Result<Option<Endpoint>, ConfigError> {
        let Some(text) = self.0(name) else { return Ok(None) };
        let wrong = || {
            ConfigError(format!(
                "{name} must begin with http:// or https://; an access key is written as http://ID:SECRET@host"
            ))
        };
        Endpoint::parse(&text).map(Some).ok_or_else(wrong)
    }

    fn address(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.0(name) else { return Ok(None) };
        let address = Email::parse(&text)
            .map_err(|_| ConfigError(format!("{name} must be an e-mail address (got {text:?})")))?;
        Ok(Some(address.shown().to_owned()))
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        match self.0(name) {
            None => Ok(None),
            Some(text) if text.starts_with("arn:") => Ok(Some(Secret::Arn(text))),
            Some(text) => match text.strip_prefix("file://").map(PathBuf::from) {
                Some(path) if path.is_absolute() => Ok(Some(Secret::File(path))),
                Some(_) => Err(ConfigError(format!(
                    "{name} must name its file by an absolute path, as file:///path"
                ))),
                None => Ok(Some(Secret::Value(text))),
            },
        }
    }

    /// Fails closed: a secret that is too short to be random isn't one.
    fn signing_secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        match self.secret(name)? {
            Some(Secret::Value(text)) => checked_secret(name, text).map(Secret::Value).map(Some),
            elsewhere => Ok(elsewhere),
        }
    }

    fn ai_providers(&self, name: &str) -> Result<Vec<AiProvider>, ConfigError> {
        let names = self.text(name, "echo");
        names.split(',').map(str::trim).map(|provider| self.ai_provider(name, provider)).collect()
    }

    fn ai_provider(&self, name: &str, provider: &str) -> Result<AiProvider, ConfigError> {
        match provider {
            "echo" => Ok(AiProvider::Echo),
            "scripted" => Ok(AiProvider::Scripted),
            "openai" => {
                self.openai("OPENAI", Some("https://api.openai.com/v1")).map(AiProvider::OpenAi)
            }
            // A forgotten address must not send another server's key to OpenAI.
            "openai2" => self.openai("OPENAI2", None).map(AiProvider::OpenAi),
            "bedrock" => Ok(AiProvider::Bedrock {
                model: self.required("BEDROCK_MODEL")?,
                endpoint: self.url("BEDROCK_ENDPOINT")?,
            }),
            other => Err(ConfigError(format!(
                "{name} must list echo, openai, openai2 and bedrock, separated by commas (got {other:?})"
            ))),
        }
    }

    fn openai(&self, prefix: &str, usual: Option<&str>) -> Result<OpenAiServer, ConfigError> {
        let name = format!("{prefix}_BASE_URL");
        let url = self
            .url(&name)?
            .or(usual.map(str::to_owned))
            .ok_or_else(|| ConfigError(format!("{name} must be set")))?;
        Ok(OpenAiServer {
            name: prefix.to_ascii_lowercase(),
            url: url.trim_end_matches('/').to_owned(),
            key: self.secret(&format!("{prefix}_API_KEY"))?,
            model: self.required(&format!("{prefix}_MODEL"))?,
        })
    }

    fn temperature(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        let Some(text) = self.0(name) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if (0.0..=2.0).contains(&number) => Ok(Some(number)),
            _ => Err(ConfigError(format!("{name} must be a number from 0 to 2 (got {text:?})"))),
        }
    }

    fn origins(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(name, "");
        let origins: Vec<String> = text
            .split(',')
            .map(|origin| origin.trim().to_owned())
            .filter(|origin| !origin.is_empty())
            .collect();
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(ConfigError(format!(
                "{name} must list origins such as https://app.example.com (got {bad:?})"
            ))),
            None => Ok(origins),
        }
    }
}

/// `secret`, where it is long enough to be random and no sample; `name` is what to complain about.
pub(crate) fn checked_secret(name: &str, secret: String) -> Result<String, ConfigError> {
    let distinct = secret.chars().collect::<std::collections::BTreeSet<_>>().len();
    if secret.len() < SECRET_LENGTH || distinct < 10 {
        return Err(ConfigError(format!(
            "{name} must be at least {SECRET_LENGTH} random characters"
        )));
    }
    Ok(secret)
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Config, ConfigError> {
        Config::from_lookup(move |asked| {
            if asked == name {
                return Some(value.to_owned());
            }
            asked.ends_with("_TABLE").then(|| asked.to_owned())
        })
    }

    #[test]
    fn every_setting_that_cant_be_used_is_named() {
        for (name, value) in [
            ("USERS_TABLE", ""),
            ("ACCESS_TOKEN_SECONDS", "1 hour"),
            ("SESSION_SECONDS", "0"),
            ("FIRST_GRANT", "4000.5"),
            ("PARALLEL_CHATS", "65"),
            ("CHATS_PER_MINUTE", "0"),
            ("REFUNDS_PER_MINUTE", "1"),
            ("LOGIN_ATTEMPTS", "101"),
            ("LOGIN_FAILURES_PER_ADDRESS", "-1"),
            ("REGISTRATIONS_PER_ADDRESS", "many"),
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
            ("MAIL_URL", "app.example.com"),
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "https://app.example.com/"),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(error.0.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let config = with("SIGNING_SECRET", "0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
        assert!(!format!("{config:?}").contains("abcdef"));
        let config = with("DYNAMODB_ENDPOINT", "http://id:abcdef@127.0.0.1:8000/0").unwrap();
        assert!(!format!("{config:?}").contains("abcdef"));
        let key = Some(("id".to_owned(), "abcdef".to_owned()));
        assert_eq!(
            config.dynamodb_endpoint,
            Some(Endpoint { url: "http://127.0.0.1:8000/0".into(), key })
        );
        let refused = with("DYNAMODB_ENDPOINT", "ftp://id:abcdef@127.0.0.1:8000").unwrap_err();
        assert!(!refused.0.contains("abcdef"), "{refused}");
    }

    #[test]
    fn an_arn_or_a_file_is_where_the_secret_is_read() {
        let file = with("SIGNING_SECRET", "file:///var/lib/farebox/signing-secret")
            .unwrap()
            .signing_secret;
        assert_eq!(file, Some(Secret::File("/var/lib/farebox/signing-secret".into())));
        let arn = "arn:aws:secretsmanager:eu-central-1:1:secret:x";
        assert_eq!(
            with("SIGNING_SECRET", arn).unwrap().signing_secret,
            Some(Secret::Arn(arn.into()))
        );
    }
}
