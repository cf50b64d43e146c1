//! Secrets in files and in AWS Secrets Manager.

use std::fmt;

use aws_config::SdkConfig;
use lambda_http::http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::aws::{self, Call, CallError, JsonApi, Service};
use crate::config::{ConfigError, Secret};

/// Secrets Manager
/// ([reference](https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html)).
const SECRETS_MANAGER: Service = Service { host: "secretsmanager", name: "secretsmanager" };

/// The reason why a secret can't be read or replaced. The text doesn't contain the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl From<CallError> for SecretError {
    fn from(error: CallError) -> Self {
        Self(aws::cause(&error))
    }
}

impl From<serde_json::Error> for SecretError {
    /// The error's text is left out, because it may quote the secret.
    fn from(_: serde_json::Error) -> Self {
        Self("Secrets Manager's answer can't be read".into())
    }
}

/// Reads a secret's current text.
///
/// # Errors
/// Fails if the secret can't be read.
pub async fn read(secret: &Secret, aws: &SdkConfig) -> Result<String, SecretError> {
    match secret {
        Secret::Value(secret) => Ok(secret.clone()),
        Secret::File(path) => match std::fs::read_to_string(path) {
            Ok(secret) => Ok(secret.trim().to_owned()),
            Err(error) => Err(SecretError(format!("{} can't be read: {error}", path.display()))),
        },
        Secret::Arn(arn) => get(arn, aws).await,
    }
}

/// Reads a secret from Secrets Manager
/// ([`GetSecretValue`](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)).
async fn get(arn: &str, aws: &SdkConfig) -> Result<String, SecretError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        secret_string: Option<String>,
    }
    let asked = json!({ "SecretId": arn }).to_string();
    let call = Call::rpc("secretsmanager.GetSecretValue", asked);
    let answer = secrets_manager(aws)?.call(call).await?;
    let Answer { secret_string } = serde_json::from_slice(&answer)?;
    secret_string.ok_or_else(|| SecretError("the secret contains no text".into()))
}

/// Replaces a secret in Secrets Manager
/// ([`PutSecretValue`](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html)).
/// The call can be sent twice, because it has a token.
///
/// # Errors
/// Fails if Secrets Manager refuses the call or doesn't answer.
pub async fn put(arn: &str, secret: &str, aws: &SdkConfig) -> Result<(), SecretError> {
    let token = Uuid::new_v4().to_string();
    let asked = json!({ "SecretId": arn, "SecretString": secret, "ClientRequestToken": token });
    let call = Call::rpc("secretsmanager.PutSecretValue", asked.to_string());
    secrets_manager(aws)?.call(call).await?;
    Ok(())
}

fn secrets_manager(aws: &SdkConfig) -> Result<JsonApi, SecretError> {
    match aws.region() {
        Some(_) => Ok(JsonApi::new(&SECRETS_MANAGER, aws)),
        None => Err(SecretError("AWS_REGION must be set".into())),
    }
}

/// Reads the text of the secret that the setting `name` has. The error contains the name.
///
/// # Errors
/// Fails if TLS can't be configured or the secret can't be read.
pub(crate) async fn text_of(secret: &Secret, name: &str) -> Result<String, ConfigError> {
    let aws = aws::amazon().await?;
    read(secret, &aws).await.map_err(|SecretError(cause)| ConfigError(format!("{name}: {cause}")))
}

/// Reads an API key, as the value of the header `Authorization`.
///
/// # Errors
/// As [`text_of`], and if a header can't have the text.
pub(crate) async fn bearer_of(secret: &Secret, name: &str) -> Result<HeaderValue, ConfigError> {
    let key = text_of(secret, name).await?;
    let mut header = HeaderValue::try_from(format!("Bearer {}", key.trim()))
        .map_err(|_| ConfigError(format!("{name}: it can't be sent in a header")))?;
    header.set_sensitive(true);
    Ok(header)
}
