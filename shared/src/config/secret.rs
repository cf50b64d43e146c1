//! Settings that are secrets, or that say where a secret is stored.

use std::fmt;
use std::path::PathBuf;

use aws_config::SdkConfig;
use lambda_http::http::HeaderValue;

use crate::aws;
use crate::config::ConfigError;

/// A secret, or the place to read it from.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Value(String),
    /// The absolute path of a file that contains the secret.
    File(PathBuf),
    /// The ARN of a Secrets Manager secret.
    Arn(String),
}

impl Secret {
    /// Reads the secret's current text.
    ///
    /// # Errors
    /// Returns [`SecretError`] if the secret can't be read.
    pub async fn read(&self, aws: &SdkConfig) -> Result<String, SecretError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(secret) => Ok(secret.trim().to_owned()),
                Err(error) => {
                    Err(SecretError(format!("{} can't be read: {error}", path.display())))
                }
            },
            Self::Arn(arn) => {
                let get =
                    aws_sdk_secretsmanager::Client::new(aws).get_secret_value().secret_id(arn);
                let secret = get.send().await.map_err(|error| SecretError(aws::cause(&error)))?;
                secret
                    .secret_string
                    .ok_or_else(|| SecretError("the secret contains no text".into()))
            }
        }
    }
}

impl Secret {
    /// Reads the text of the secret that the setting `name` has. The error contains the name.
    ///
    /// # Errors
    /// Fails if TLS can't be configured or the secret can't be read.
    pub(crate) async fn text_of(&self, name: &str) -> Result<String, ConfigError> {
        let aws = aws::amazon().await?;
        self.read(&aws).await.map_err(|SecretError(cause)| ConfigError(format!("{name}: {cause}")))
    }

    /// Reads an API key, as the value of the header `Authorization`.
    ///
    /// # Errors
    /// As [`Secret::text_of`], and if a header can't have the text.
    pub(crate) async fn bearer_of(&self, name: &str) -> Result<HeaderValue, ConfigError> {
        let key = self.text_of(name).await?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", key.trim()))
            .map_err(|_| ConfigError(format!("{name}: it can't be sent in a header")))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// The reason why a secret can't be read. The text doesn't contain the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(redacted)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Arn(arn) => write!(f, "Arn({arn})"),
        }
    }
}
