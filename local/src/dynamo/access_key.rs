//! The access key of an embedded DynamoDB: random, for one run. A caller proves to hold it by AWS's
//! signature ([version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)), as every SDK makes it.

use std::time::SystemTime;

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::new_secret;

/// What signs the calls to an embedded DynamoDB.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
}

impl AccessKey {
    /// One that no caller can guess.
    pub fn random() -> Self {
        Self { id: new_secret(), secret: new_secret() }
    }

    /// The URL of the embedded DynamoDB at `host`, as `DYNAMODB_ENDPOINT` has it.
    pub fn url(&self, host: &str) -> String {
        format!("http://{}:{}@{host}", self.id, self.secret)
    }

    /// Whether the call is said to be signed by this key: what is asked before the body is read.
    pub fn is_named_by(&self, parts: &Parts) -> bool {
        Signature::of(parts).is_some_and(|signature| signature.key == self.id)
    }

    /// Whether the call is signed by this key: its method, host, target and body are what the
    /// caller sent.
    pub fn signed(&self, parts: &Parts, body: &[u8]) -> bool {
        let Some(signature) = Signature::of(parts)
            .filter(|signature| signature.key == self.id && signature.covers("x-amz-target"))
        else {
            return false;
        };
        let expected = self.signature(&signature, parts, body).unwrap_or_default();
        // In the same time wherever they differ.
        let differences =
            expected.bytes().zip(signature.signature.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        !expected.is_empty() && expected.len() == signature.signature.len() && differences == 0
    }

    /// What this key would sign the call with.
    fn signature(&self, given: &Signature<'_>, parts: &Parts, body: &[u8]) -> Option<String> {
        let mut settings = SigningSettings::default();
        // What is covered is what the caller names.
        settings.excluded_headers = None;
        let identity = Credentials::new(&self.id, &self.secret, None, None, "run").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(given.region)
            .name(given.service)
            .time(given.time);
        let params = params.settings(settings).build().ok()?.into();
        let headers = parts.headers.iter().filter(|(name, _)| given.covers(name.as_str()));
        let headers =
            headers.map(|(name, value)| value.to_str().map(|value| (name.as_str(), value)));
        let headers = headers.collect::<Result<Vec<_>, _>>().ok()?;
        let uri = format!("http://{}{}", parts.headers.get("host")?.to_str().ok()?, parts.uri);
        let request = SignableRequest::new(
            parts.method.as_str(),
            uri,
            headers.into_iter(),
            SignableBody::Bytes(body),
        )
        .ok()?;
        Some(sign(request, &params).ok()?.into_parts().1)
    }
}

/// What the header `Authorization` says of a signature:
/// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=NAME;NAME,
/// Signature=HEX`.
struct Signature<'r> {
    key: &'r str,
    region: &'r str,
    service: &'r str,
    headers: &'r str,
    signature: &'r str,
    time: SystemTime,
}

impl<'r> Signature<'r> {
    fn of(parts: &'r Parts) -> Option<Self> {
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let fields = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = field("Credential")?.split('/');
        let (key, _date, region, service) =
            (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time =
            PrimitiveDateTime::parse(header("x-amz-date")?, format).ok()?.assume_utc().into();
        Some(Self {
            key,
            region,
            service,
            headers: field("SignedHeaders")?,
            signature: field("Signature")?,
            time,
        })
    }

    fn covers(&self, header: &str) -> bool {
        self.headers.split(';').any(|covered| covered == header)
    }
}
