//! Signed calls to AWS services with JSON APIs. Farebox needs only one or two operations from each
//! of these services. An SDK crate contains all of a service's operations, and needs up to two
//! minutes of processor time to compile.
//!
//! The SDK's runtime performs these calls, as it does for DynamoDB: it signs each attempt
//! ([Signature Version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)),
//! limits the time, and decides whether to retry ([retry
//! behavior](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html)). This
//! module writes the requests and reads the errors.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::recursion_detection::RecursionDetectionInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput,
};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use lambda_http::http::Request;
use lambda_http::http::header::CONTENT_TYPE;
use serde_json::Value;

/// A service with a JSON API.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The first label of the service's host names, such as `email` for Amazon SES
    /// ([endpoints](https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html)).
    pub host: &'static str,
    /// The service's name in signatures, such as `ses`.
    pub name: &'static str,
}

/// A request to a JSON API.
pub struct Call {
    path: &'static str,
    content_type: &'static str,
    target: Option<&'static str>,
    body: String,
}

impl Call {
    /// Creates a [restJson1](https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html)
    /// request, in which the path specifies the operation.
    pub(crate) fn rest(path: &'static str, body: String) -> Self {
        Self { path, content_type: "application/json", target: None, body }
    }

    /// Creates an [awsJson1_0](https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html)
    /// request, in which the `X-Amz-Target` header specifies the operation.
    pub fn rpc_1_0(target: &'static str, body: String) -> Self {
        Self { path: "/", content_type: "application/x-amz-json-1.0", target: Some(target), body }
    }

    /// Creates an [awsJson1_1](https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html)
    /// request, which differs from awsJson1_0 in its media type.
    pub(crate) fn rpc_1_1(target: &'static str, body: String) -> Self {
        Self { content_type: "application/x-amz-json-1.1", ..Self::rpc_1_0(target, body) }
    }

    fn request(self) -> Result<HttpRequest, BoxError> {
        let mut request = Request::post(self.path).header(CONTENT_TYPE, self.content_type);
        if let Some(target) = self.target {
            request = request.header("x-amz-target", target);
        }
        Ok(request.body(SdkBody::from(self.body))?.try_into()?)
    }
}

/// Leaves out the body, because it may contain a secret or private data.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.target.unwrap_or(self.path)).finish()
    }
}

/// The body of a successful reply.
struct Reply(Vec<u8>);

/// Leaves out the body, because it may contain a secret.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The error from a failed call.
pub type CallError = SdkError<ErrorMetadata, HttpResponse>;

/// The JSON API of a service. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct JsonApi {
    operation: Operation<Call, Reply, ErrorMetadata>,
}

impl JsonApi {
    /// Creates a client. Like the SDK's clients, it makes at most three attempts, unless the retry
    /// configuration in `aws` differs.
    // The documentation of `crate::mail` explains why this function is inlined.
    #[inline]
    pub fn new(service: &Service, aws: &SdkConfig) -> Self {
        let region = aws.region().map_or("", |region| region.as_ref());
        let host = || format!("https://{}.{region}.{}", service.host, domain(region));
        let url = aws.endpoint_url().map_or_else(host, str::to_owned);
        let timeouts = aws.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled);
        let retries = aws.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        // The SDK's own clients use the same interceptors and classifiers.
        let mut operation = Operation::builder()
            .service_name(service.name)
            .operation_name("call")
            .endpoint_url(&url)
            .timeout_config(timeouts)
            .standard_retry(&retries)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
            .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
            .retry_classifier(ServiceClockSkewClassifier::<ErrorMetadata>::new())
            .with_connection_poisoning()
            .interceptor(ServiceClockSkewInterceptor::new())
            .interceptor(RequestInfoInterceptor::new())
            .interceptor(UserAgentInterceptor::new())
            .interceptor(InvocationIdInterceptor::new())
            .interceptor(RecursionDetectionInterceptor::new())
            .runtime_plugin(signer(service, aws));
        if let Some(http) = aws.http_client() {
            operation = operation.http_client(http);
        }
        Self { operation: operation.serializer(Call::request).deserializer(read).build() }
    }

    /// Performs a call, and returns the reply's body.
    ///
    /// # Errors
    /// Returns an error if the service refuses the call, or if there is no reply. Log the error's
    /// [`cause`](super::cause).
    pub async fn call(&self, call: Call) -> Result<Vec<u8>, CallError> {
        self.operation.invoke(call).await.map(|Reply(body)| body)
    }
}

/// Returns the part of the runtime that signs requests, with the credentials and the region of
/// `aws`.
fn signer(service: &Service, aws: &SdkConfig) -> StaticRuntimePlugin {
    let mut settings = Layer::new("signer");
    settings
        .store_put(AuthSchemeOptionResolverParams::new(()))
        .store_put(SigV4OperationSigningConfig {
            region: aws.region().cloned().map(Into::into),
            name: Some(service.name.into()),
            ..SigV4OperationSigningConfig::default()
        })
        .store_put(ApiMetadata::new(service.name, env!("CARGO_PKG_VERSION")))
        .store_put(SensitiveOutput);
    let mut components = RuntimeComponentsBuilder::new("signer");
    components
        .set_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .push_auth_scheme(SigV4AuthScheme::new());
    if let Some(credentials) = aws.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new().with_config(settings.freeze()).with_runtime_components(components)
}

/// The domains of AWS partitions, each with the prefix of its region names
/// ([list](https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json)). All other
/// regions use the domain `amazonaws.com`.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// Returns the domain of a region's services.
fn domain(region: &str) -> &'static str {
    let partition = PARTITIONS.iter().find(|(begins, _)| region.starts_with(begins));
    partition.map_or("amazonaws.com", |(_, domain)| domain)
}

/// Reads a reply.
fn read(reply: &HttpResponse) -> Result<Reply, OrchestratorError<ErrorMetadata>> {
    let body = reply.body().bytes().unwrap_or_default();
    if reply.status().is_success() {
        return Ok(Reply(body.to_owned()));
    }
    Err(OrchestratorError::operation(refusal(reply.headers().get("x-amzn-errortype"), body)))
}

/// Reads the code and message of a service's refusal. The code is in the `X-Amzn-Errortype` header
/// or in the body
/// ([restJson1](https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization)).
fn refusal(header: Option<&str>, body: &[u8]) -> ErrorMetadata {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str());
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = header.or_else(|| field(&["code", "__type"])) {
        // The code may be preceded by a namespace and `#`, and followed by `:` and a URL.
        let code = code.split(':').next().unwrap_or_default();
        refusal = refusal.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = field(&["message", "Message", "errorMessage"]) {
        refusal = refusal.message(message);
    }
    refusal.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_domain() {
        for (region, expected) in [
            ("eu-central-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
        ] {
            assert_eq!(domain(region), expected, "{region}");
        }
    }

    #[test]
    fn a_refusal_has_the_code_of_its_header_or_body() {
        for (header, body, code, message) in [
            (None, r#"{"__type": "AccessDeniedException"}"#, Some("AccessDeniedException"), None),
            (
                None,
                r#"{"__type": "com.amazon#Throttling", "Message": "no"}"#,
                Some("Throttling"),
                Some("no"),
            ),
            (
                Some("NotFoundException:http://internal.amazon.com/coral/"),
                r#"{"code": "other", "message": "no"}"#,
                Some("NotFoundException"),
                Some("no"),
            ),
            (Some("MessageRejected"), "<html>", Some("MessageRejected"), None),
            (None, r#"{"code": 5, "message": 5}"#, None, None),
            (None, "", None, None),
        ] {
            let refusal = refusal(header, body.as_bytes());
            assert_eq!((refusal.code(), refusal.message()), (code, message), "{body}");
        }
    }

    #[test]
    fn debug_output_leaves_bodies_out() {
        let call = Call::rpc_1_1("secretsmanager.PutSecretValue", "a secret".into());
        assert_eq!(format!("{call:?}"), r#"Call("secretsmanager.PutSecretValue")"#);
        assert_eq!(format!("{:?}", Reply(b"a secret".to_vec())), "8 bytes");
    }
}
