//! The HTTP client for the AWS SDK and for AI providers. It supports HTTP/1.1 and TLS, and is built
//! on hyper and rustls.
//!
//! All services that Farebox calls support HTTP/1.1. The client that AWS maintains for the SDK also
//! supports HTTP/2 and proxies, which would add a megabyte to each function's binary. Lambda loads
//! the binary at each start.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as SdkConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::TlsError;

/// A client for `http` and `https` with a connection pool. Clones share the pool.
pub(crate) type Https = Client<HttpsConnector<HttpConnector>, SdkBody>;

/// How long a connection may be idle if its requests are sent again after a failure, or don't matter
/// much. A request that is sent while the server closes the connection fails.
pub(crate) const IDLE: Duration = Duration::from_secs(90);

/// How long a connection to an AI may be idle. Its requests aren't sent again, because the provider
/// may bill a request even if its reply is lost. Servers for models and gateways close idle
/// connections after five seconds or more: uvicorn
/// ([settings](https://uvicorn.dev/settings/#timeouts)) and Node
/// ([keepAliveTimeout](https://nodejs.org/api/http.html#serverkeepalivetimeout)) after five.
pub(crate) const AI_IDLE: Duration = Duration::from_secs(4);

/// Returns a client that trusts certificates issued under these root certificates. It closes
/// connections that have been idle for this long.
///
/// # Errors
/// Returns an error if TLS can't be configured.
pub(crate) fn client(roots: RootCertStore, idle: Duration) -> Result<Https, TlsError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Without this option, a request that is sent in two parts would wait for the receiver's
    // delayed acknowledgement.
    tcp.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    // The timer closes idle connections.
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle)
        .build(connector.wrap_connector(tcp)))
}

/// Adapts the client for the SDK. The SDK's time-outs for connecting and reading are ignored. The
/// SDK's time-outs for an attempt and for the whole call still apply.
pub(crate) fn for_sdk(client: Https) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(client));
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Debug)]
struct Connector(Https);

impl SdkConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let used = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&used));
        }
        let sent = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = sent.await.map_err(failure)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Returns the connection as the SDK represents it. After a failure such as a time-out, the SDK
/// prevents the connection from being used again.
fn metadata(used: &CaptureConnection) -> Option<ConnectionMetadata> {
    used.connection_metadata().as_ref()?;
    let used = used.clone();
    let poison = move || {
        if let Some(connection) = used.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// Converts an error for the SDK, which retries a request only after connection failures and
/// incomplete replies.
fn failure(error: legacy::Error) -> ConnectorError {
    let is_io = source::<std::io::Error>(&error).is_some();
    match source::<hyper::Error>(&error) {
        Some(cause) if cause.is_timeout() => ConnectorError::timeout(error.into()),
        Some(cause) if cause.is_user() => ConnectorError::user(error.into()),
        Some(cause) if is_io || cause.is_closed() || cause.is_canceled() => {
            ConnectorError::io(error.into())
        }
        Some(cause) if cause.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        None if is_io || error.is_connect() => ConnectorError::io(error.into()),
        _ => ConnectorError::other(error.into(), None),
    }
}

/// Returns the first error of type `E` in the chain of causes, beginning with the error itself.
fn source<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
