//! The access key of an embedded DynamoDB: random, and valid for one run. Callers use it like an
//! AWS access key to sign requests ([version
//! 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)).

use std::time::SystemTime;

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::new_secret;

/// An id and a secret for signing calls to an embedded DynamoDB.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
}

impl AccessKey {
    /// Generates a random key.
    pub fn random() -> Self {
        Self { id: new_secret(), secret: new_secret() }
    }

    /// Returns the `DYNAMODB_ENDPOINT` of the embedded DynamoDB at `host`.
    pub fn url(&self, host: &str) -> String {
        format!("http://{}:{}@{host}", self.id, self.secret)
    }

    /// Returns true if the call names this key. The check doesn't read the body.
    pub fn is_named_by(&self, parts: &Parts) -> bool {
        Signature::from_headers(parts).is_some_and(|signature| signature.key == self.id)
    }

    /// Returns true if the call is signed with this key. The signature covers the method, host,
    /// target and body.
    pub fn signed(&self, parts: &Parts, body: &[u8]) -> bool {
        let Some(signature) = Signature::from_headers(parts)
            .filter(|signature| signature.key == self.id && signature.covers("x-amz-target"))
        else {
            return false;
        };
        let expected = self.signature(&signature, parts, body).unwrap_or_default();
        // Compare in constant time.
        let differences =
            expected.bytes().zip(signature.signature.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        !expected.is_empty() && expected.len() == signature.signature.len() && differences == 0
    }

    /// Computes the call's signature with this key.
    fn signature(&self, given: &Signature<'_>, parts: &Parts, body: &[u8]) -> Option<String> {
        let mut settings = SigningSettings::default();
        // Don't exclude any headers, because the signature must cover exactly the headers that the
        // caller lists.
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

/// The signature in the `Authorization` header:
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
    fn from_headers(parts: &'r Parts) -> Option<Self> {
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
