//! Connects this process's functions to its embedded DynamoDB. The SDK passes requests to the
//! database directly, without a socket and without signatures.

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use tokio::task::yield_now;

use super::operations;

/// Returns a configuration for clients that call `database` in this process.
pub fn client(database: &Database) -> Builder {
    let connector = SharedHttpConnector::new(InProcess(database.clone()));
    let http: SharedHttpClient = http_client_fn(move |_, _| connector.clone());
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://in-process")
        .allow_no_auth()
        .http_client(http)
}

struct InProcess(Database);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.0.clone();
        HttpConnectorFuture::new(async move {
            // The call itself never waits. Yield, so that other requests can run before this
            // request ends.
            yield_now().await;
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let body = request.body().bytes().unwrap_or_default();
            let (status, reply) = operations::perform_once(&database, target, body);
            Ok(HttpResponse::new(status.into(), SdkBody::from(reply)))
        })
    }
}
