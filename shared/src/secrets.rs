//! Secrets in files and in AWS Secrets Manager. Functions cache a secret for a few minutes and then
//! read it again, so that a replaced secret takes effect without a restart.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use aws_config::SdkConfig;
use aws_smithy_types::retry::RetryConfig;
use lambda_http::http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::aws::{self, Call, CallError, JsonApi, Service};
use crate::clock::Clock;
use crate::config::{ConfigError, Secret};

/// Secrets Manager
/// ([reference](https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html)).
const SECRETS_MANAGER: Service = Service { host: "secretsmanager", name: "secretsmanager" };

/// The minimum time between two reads that are caused by refusals, and the delay before a failed
/// read is retried, in seconds.
const REREAD_SECONDS: u64 = 60;

/// The minimum time between a failed read and the next read that is caused by a refusal, in
/// seconds.
const SOON: u64 = 5;

/// Why a secret can't be read or replaced. The message doesn't contain the secret.
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
    /// Leaves out the error's message, because it may quote the secret.
    fn from(_: serde_json::Error) -> Self {
        Self("Secrets Manager's answer can't be read".into())
    }
}

/// Reads a secret's current text.
///
/// # Errors
/// Returns an error if the secret can't be read.
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
    let call = Call::rpc_1_1("secretsmanager.GetSecretValue", asked);
    let answer = secrets_manager(aws)?.call(call).await?;
    let Answer { secret_string } = serde_json::from_slice(&answer)?;
    secret_string.ok_or_else(|| SecretError("the secret contains no text".into()))
}

/// Replaces a secret in Secrets Manager
/// ([`PutSecretValue`](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html)).
/// The call contains a request token, so it can safely be retried.
///
/// # Errors
/// Returns an error if Secrets Manager refuses the call or doesn't answer.
pub async fn put(arn: &str, secret: &str, aws: &SdkConfig) -> Result<(), SecretError> {
    let token = Uuid::new_v4().to_string();
    let asked = json!({ "SecretId": arn, "SecretString": secret, "ClientRequestToken": token });
    let call = Call::rpc_1_1("secretsmanager.PutSecretValue", asked.to_string());
    secrets_manager(aws)?.call(call).await?;
    Ok(())
}

fn secrets_manager(aws: &SdkConfig) -> Result<JsonApi, SecretError> {
    match aws.region() {
        Some(_) => Ok(JsonApi::new(&SECRETS_MANAGER, aws)),
        None => Err(SecretError("AWS_REGION must be set".into())),
    }
}

/// A value that is read from a secret.
pub trait FromSecret: Sized {
    /// How long the value is used before the secret is read again, in seconds.
    const CACHED_SECONDS: u64 = 900;

    /// Reads the value from the secret's text.
    ///
    /// # Errors
    /// Returns an error with the name of the `setting` if the text is invalid. The error doesn't
    /// contain the text.
    fn from_secret(setting: &str, text: &str) -> Result<Self, ConfigError>;
}

/// An API key for another service, as the value of a header.
pub(crate) struct ServiceKey {
    /// The key itself, for a header such as `x-api-key`.
    pub(crate) bare: HeaderValue,
    /// The key after `Bearer`, for the `Authorization` header.
    pub(crate) bearer: HeaderValue,
}

impl FromSecret for ServiceKey {
    fn from_secret(setting: &str, text: &str) -> Result<Self, ConfigError> {
        let unusable = |why: &str| ConfigError(format!("{setting}: {why}"));
        let key = text.trim();
        if key.is_empty() {
            return Err(unusable("it is empty"));
        }
        let header = |value: String| match HeaderValue::try_from(value) {
            Ok(mut header) => {
                header.set_sensitive(true);
                Ok(header)
            }
            Err(_) => Err(unusable("it can't be sent in a header")),
        };
        Ok(Self { bare: header(key.to_owned())?, bearer: header(format!("Bearer {key}"))? })
    }
}

/// A secret's value. It is read again from time to time, and after a refusal. If it can't be read,
/// the last value is still used. Clones share the value.
pub struct CachedSecret<V>(Arc<Shared<V>>);

struct Shared<V> {
    /// The setting's name.
    setting: String,
    secret: Secret,
    /// The configuration for clients that don't retry, because a request may be waiting for the
    /// call.
    aws: SdkConfig,
    clock: Clock,
    known: RwLock<Known<V>>,
    /// Locked while the secret is being read again.
    reading: Mutex<()>,
}

struct Known<V> {
    text: String,
    value: Arc<V>,
    /// When the secret is due to be read again, in seconds since 1970.
    due: u64,
    /// When the secret was last read after a refusal, in seconds since 1970.
    refused_at: Option<u64>,
}

impl<V> Clone for CachedSecret<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Leaves out the secret.
impl<V> fmt::Debug for CachedSecret<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedSecret").field(&self.0.setting).finish()
    }
}

impl<V: FromSecret> CachedSecret<V> {
    /// Reads the secret that the setting contains or points to.
    ///
    /// # Errors
    /// Returns an error if the secret can't be read or is invalid. The error contains the setting's
    /// name.
    pub async fn read(
        setting: &str,
        secret: Secret,
        aws: &SdkConfig,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        let text = read(&secret, aws).await;
        let text = text.map_err(|error| ConfigError(format!("{setting}: {error}")))?;
        let value = Arc::new(V::from_secret(setting, &text)?);
        let due = clock.seconds().saturating_add(V::CACHED_SECONDS);
        Ok(Self(Arc::new(Shared {
            setting: setting.to_owned(),
            secret,
            aws: aws.to_builder().retry_config(RetryConfig::disabled()).build(),
            clock,
            known: RwLock::new(Known { text, value, due, refused_at: None }),
            reading: Mutex::default(),
        })))
    }

    /// Returns the last value.
    pub fn current(&self) -> Arc<V> {
        self.known().value.clone()
    }

    /// Reads the secret again if it is due for renewal, or a minute after a failure. Does nothing
    /// while another request is reading it. Call this in parallel with other work, so that requests
    /// don't wait for it.
    pub async fn renew(&self) {
        let Ok(_reading) = self.0.reading.try_lock() else { return };
        if self.0.clock.seconds() >= self.known().due {
            self.read_again().await;
        }
    }

    /// Returns a newer value after the value `refused` was refused, or `None` if there is no newer
    /// value. Refusals cause at most one read of the secret per minute.
    pub async fn renew_refused(&self, refused: &Arc<V>) -> Option<Arc<V>> {
        let _reading = self.0.reading.lock().await;
        // Another request may have read a new value during the wait.
        if Arc::ptr_eq(&self.current(), refused) && self.may_read_after_refusal() {
            self.read_again().await;
        }
        Some(self.current()).filter(|current| !Arc::ptr_eq(current, refused))
    }

    fn may_read_after_refusal(&self) -> bool {
        let now = self.0.clock.seconds();
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let may = known.refused_at.is_none_or(|last| now >= last.saturating_add(REREAD_SECONDS));
        if may {
            known.refused_at = Some(now);
        }
        may
    }

    async fn read_again(&self) {
        let Shared { setting, secret, aws, clock, known, .. } = &*self.0;
        let now = clock.seconds();
        // Boxed, because the future is large and every outer future would contain it.
        let text = Box::pin(read(secret, aws)).await.map_err(|SecretError(cause)| cause);
        let is_known = |text: &String| *text == self.known().text;
        let renewed = text.and_then(|text| match is_known(&text) {
            true => Ok(None),
            false => V::from_secret(setting, &text)
                .map(|value| Some((text, Arc::new(value))))
                .map_err(|ConfigError(cause)| cause),
        });
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        known.due =
            now.saturating_add(if renewed.is_ok() { V::CACHED_SECONDS } else { REREAD_SECONDS });
        if renewed.is_err() {
            // After this failed read, the next refusal doesn't have to wait for a minute.
            known.refused_at = known.refused_at.map(|at| at.saturating_sub(REREAD_SECONDS - SOON));
        }
        match renewed {
            Ok(None) => {}
            Ok(Some((text, value))) => {
                (known.text, known.value) = (text, value);
                tracing::info!(setting, "a replaced secret is in use");
            }
            Err(cause) => {
                tracing::warn!(setting, cause, "a secret can't be read again; the last one stays");
            }
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known<V>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}
