//! An operator's AWS credentials.
//!
//! Environment variables, profiles, web identities, containers and instances are read here. All
//! other sources, such as a log-in with IAM Identity Center, would need crates that slow down every
//! build, so `aws configure export-credentials` reads them instead.

use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use serde::Deserialize;
use shared::aws;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stack;

/// The time limit for the sources that don't need the AWS CLI. On a laptop, the address that serves
/// an instance's credentials may never answer.
const DIRECT: Duration = Duration::from_secs(5);

/// Returns the configuration for AWS clients with the operator's credentials. `by_cli` is true if
/// the AWS CLI has found the store. The AWS CLI's own credentials then take precedence, because the
/// SDK might select a different profile.
///
/// # Errors
/// Fails with an error message for the terminal if there are no credentials.
pub(crate) async fn operator(region: String, by_cli: bool) -> Result<SdkConfig, String> {
    let region = Region::new(region);
    let tls = |error: aws::TlsError| format!("{error}.");
    let sources = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_http_client(aws::http_client().map_err(tls)?);
    let chain = DefaultCredentialsChain::builder().configure(sources).region(region.clone());
    let operator = Operator { chain: chain.build().await, by_cli };
    let credentials = SharedCredentialsProvider::new(operator);
    credentials.provide_credentials().await.map_err(|error| {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        format!(
            "There are no AWS credentials: log in, for example with `aws sso login`, or set AWS_PROFILE. ({})",
            why.unwrap_or_else(|| error.to_string()).trim_end_matches('.')
        )
    })?;
    aws::amazon_with(Some(region), credentials).map_err(tls)
}

/// The sources of credentials. The SDK keeps the credentials until shortly before they expire.
#[derive(Debug)]
struct Operator {
    chain: DefaultCredentialsChain,
    by_cli: bool,
}

impl Operator {
    async fn credentials(&self) -> provider::Result {
        if self.by_cli
            && let Ok(credentials) = exported().await
        {
            return Ok(credentials);
        }
        match tokio::time::timeout(DIRECT, self.chain.provide_credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(_)) | Err(_) => exported().await,
        }
    }
}

impl ProvideCredentials for Operator {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Credentials as the AWS CLI prints them
/// ([format](https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html)).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

async fn exported() -> provider::Result {
    let json = stack::aws(&["configure", "export-credentials", "--format", "process"]).await;
    let exported: Exported = serde_json::from_value(json.map_err(CredentialsError::not_loaded)?)
        .map_err(CredentialsError::invalid_configuration)?;
    let ends = exported.expiration.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    Ok(Credentials::new(
        exported.access_key_id,
        exported.secret_access_key,
        exported.session_token,
        ends.map(SystemTime::from),
        "aws configure export-credentials",
    ))
}
