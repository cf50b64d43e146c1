//! Connections to AWS. The region and the credentials are read from Lambda's environment.
//!
//! To start quickly, functions don't read profile files or the metadata service. The only trusted
//! certificates are the roots under which [Amazon Trust
//! Services](https://www.amazontrust.com/repository/) signs the certificates of all AWS endpoints.
//! Loading the hundreds of certificates that an operating system trusts would take longer than
//! everything else that a function does before its first request.

mod api;
pub(crate) mod http;

use std::fmt;
use std::time::Duration;

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::meta::region::ProvideRegion;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::http::Https;

pub use self::api::{Call, CallError, JsonApi, Service};
pub use aws_config::SdkConfig;

/// The error if TLS can't be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS: {}", self.0)
    }
}

impl std::error::Error for TlsError {}

const AMAZON_ROOTS: &[u8] = include_bytes!("aws/amazon_roots.pem");

/// The URL of a service. For an emulator that requires an access key, the URL contains the key:
/// `http://ID:SECRET@127.0.0.1:8000`. `Debug` hides the access key.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    /// The URL without the access key.
    pub url: String,
    /// The id and the secret of the access key.
    pub key: Option<(String, String)>,
}

impl ServiceUrl {
    /// Parses a URL that begins with `http://` or `https://`. Returns `None` for any other string.
    /// Only an `http://` URL may contain an access key, because AWS clients get their credentials
    /// from the environment.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("http://") else {
            return (text.starts_with("https://") && !text.contains('@'))
                .then(|| Self { url: text.to_owned(), key: None });
        };
        let Some((key, host)) = rest.split_once('@') else {
            return Some(Self { url: text.to_owned(), key: None });
        };
        let (id, secret) = key
            .split_once(':')
            .filter(|(id, secret)| !id.is_empty() && !secret.is_empty() && !key.contains('/'))?;
        Some(Self { url: format!("http://{host}"), key: Some((id.to_owned(), secret.to_owned())) })
    }

    /// Returns true if the endpoint is an emulator. AWS services require TLS, and emulators don't
    /// use it.
    pub fn is_emulator(&self) -> bool {
        self.url.starts_with("http://")
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceUrl").field(&self.url).finish()
    }
}

/// Returns the configuration for all AWS clients. `dynamodb` is the endpoint that replaces
/// DynamoDB, if any.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub async fn connect(dynamodb: Option<&ServiceUrl>) -> Result<SdkConfig, TlsError> {
    match dynamodb {
        Some(endpoint) if endpoint.is_emulator() => Ok(emulated()),
        _ => amazon().await,
    }
}

/// Returns the configuration for AWS clients, even if an emulator replaces DynamoDB.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub async fn amazon() -> Result<SdkConfig, TlsError> {
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    amazon_with(EnvironmentVariableRegionProvider::new().region().await, credentials)
}

/// Returns the configuration for AWS clients in this region, with these credentials.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub fn amazon_with(
    region: Option<Region>,
    credentials: SharedCredentialsProvider,
) -> Result<SdkConfig, TlsError> {
    let builder = configured(timeouts()).into_builder().region(region).http_client(http_client()?);
    Ok(builder.credentials_provider(credentials).build())
}

/// Returns the HTTP client for AWS clients. It trusts certificates from Amazon Trust Services.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub fn http_client() -> Result<SharedHttpClient, TlsError> {
    client(http::IDLE).map(http::for_sdk)
}

/// Returns an HTTP client that trusts certificates from Amazon Trust Services. It closes connections
/// that have been idle for this long.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub(crate) fn client(idle: Duration) -> Result<Https, TlsError> {
    let broken = |error: &dyn fmt::Display| TlsError(error.to_string());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(AMAZON_ROOTS) {
        roots.add(root.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
    }
    http::client(roots, idle)
}

/// Returns the configuration for clients of an emulator, which accepts any region and any
/// credentials.
pub fn emulated() -> SdkConfig {
    // Emulators don't use TLS. If TLS can't be configured, calls fail for lack of an HTTP client.
    let http = http::client(RootCertStore::empty(), http::IDLE).ok().map(http::for_sdk);
    let credentials = Credentials::new("local", "local", None, None, "emulator");
    let mut builder = configured(timeouts_of(EMULATED_ATTEMPT, 3 * EMULATED_ATTEMPT))
        .into_builder()
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    builder.set_http_client(http);
    builder.build()
}

/// Returns the settings that all clients share. The SDK's check for stalled bodies is disabled,
/// because the time-outs include the bodies. Calls to Bedrock use separate time-outs.
fn configured(timeouts: TimeoutConfig) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts)
        .build()
}

/// Returns the credentials in the endpoint's URL.
pub(crate) fn credentials(endpoint: &ServiceUrl) -> Option<SharedCredentialsProvider> {
    let (id, secret) = endpoint.key.as_ref()?;
    Some(SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "endpoint")))
}

/// Returns `aws` with a one-minute time-out. Use this configuration for terminal commands and daily
/// work, which can wait longer than requests.
pub fn patient(aws: SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build();
    aws.into_builder().timeout_config(timeouts).build()
}

/// Returns the configuration for clients that create and inspect the tables of the emulator at
/// `endpoint`.
pub fn emulated_at(endpoint: &ServiceUrl) -> SdkConfig {
    let at = patient(emulated()).into_builder().endpoint_url(&endpoint.url);
    match credentials(endpoint) {
        Some(credentials) => at.credentials_provider(credentials).build(),
        None => at.build(),
    }
}

/// The time-out for one attempt at an AWS call. Calls normally take milliseconds.
const ATTEMPT: Duration = Duration::from_millis(1500);

/// The time-out for a call, including the SDK's retries.
pub const OPERATION: Duration = Duration::from_secs(5);

/// The time-out for one attempt at a call to an emulator. An emulator shares a laptop's processors
/// with other programs.
const EMULATED_ATTEMPT: Duration = Duration::from_secs(5);

/// Returns the time-outs for AWS calls.
pub fn timeouts() -> TimeoutConfig {
    timeouts_of(ATTEMPT, OPERATION)
}

fn timeouts_of(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build()
}

/// Returns the cause of a failed call for the log: the service's code and message, or the kind of
/// failure. The bodies of requests and replies are left out, because they may contain private data.
pub fn cause<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ServiceError(service) => {
            let metadata = service.err().meta();
            format!(
                "{}: {}",
                metadata.code().unwrap_or("no code"),
                metadata.message().unwrap_or("no message")
            )
        }
        SdkError::ConstructionFailure(_) => "the request could not be made".into(),
        SdkError::TimeoutError(_) => "no answer in time".into(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => format!("no connection: {error}"),
            None => "no connection".into(),
        },
        SdkError::ResponseError(_) => "an answer that can't be read".into(),
        _ => "an unknown failure".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn aws_requires_tls_and_emulators_do_not() {
        for endpoint in [
            None,
            Some("http://127.0.0.1:8000"),
            Some("http://id:secret@127.0.0.1:8000"),
            Some("https://dynamodb.eu-central-1.amazonaws.com"),
        ] {
            let parsed = endpoint.map(|endpoint| ServiceUrl::parse(endpoint).unwrap());
            let aws = connect(parsed.as_ref()).await.unwrap();
            let emulated = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
            assert_eq!(
                aws.region().is_some_and(|region| region.as_ref() == "us-east-1"),
                emulated,
                "{endpoint:?}"
            );
        }
    }
}
