//! A fake AWS service with a JSON API. Like AWS, the service refuses requests without a valid
//! signature.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::aws::SdkConfig;
use time::PrimitiveDateTime;
use time::macros::format_description;
use tokio::net::TcpListener;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "a-session-token";

/// A request with a valid signature.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// The `X-Amz-Target` header. Empty if it is missing.
    pub target: String,
    pub content_type: String,
    pub body: Value,
}

/// How the service replies to a request.
pub enum Does {
    Says(u16, Value),
    /// Sends no reply.
    Hangs,
}

type Answer = dyn Fn(&Asked) -> Does + Send + Sync;

/// A handle to the service. Cloning it is cheap.
#[derive(Clone)]
pub struct Amazon {
    url: String,
    /// The service's name in signatures.
    service: &'static str,
    answer: Arc<Answer>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Amazon {
    pub async fn start(
        service: &'static str,
        answer: impl Fn(&Asked) -> Does + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let amazon = Self { url, service, answer: Arc::new(answer), asked: Arc::default() };
        let router = Router::new().fallback(receive).with_state(amazon.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        amazon
    }

    /// Returns the configuration for a client of this service. Like functions, the client has
    /// temporary credentials.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new(KEY, SECRET, Some(SESSION.into()), None, "test");
        shared::aws::emulated()
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.url)
            .build()
    }

    /// Returns all requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn receive(State(amazon): State<Amazon>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let reply = |status, body: Value| {
        let kind = body["__type"].as_str().unwrap_or_default().to_owned();
        let status = StatusCode::from_u16(status).unwrap();
        (status, [("x-amzn-errortype", kind)], body.to_string()).into_response()
    };
    if !is_signed(&parts, &body, amazon.service).unwrap_or_default() {
        return reply(403, json!({ "__type": "InvalidSignatureException" }));
    }
    let header = |name| header(&parts, name).unwrap_or_default().to_owned();
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        target: header("x-amz-target"),
        content_type: header("content-type"),
        body: serde_json::from_slice(&body).unwrap(),
    };
    amazon.asked.lock().unwrap().push(asked.clone());
    match (amazon.answer)(&asked) {
        Does::Says(status, body) => reply(status, body),
        Does::Hangs => pending().await,
    }
}

fn header<'r>(parts: &'r Parts, name: &str) -> Option<&'r str> {
    parts.headers.get(name)?.to_str().ok()
}

/// Returns true if the request is signed for this service in the emulator's region ([Signature
/// Version
/// 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)),
/// and if the signature covers the headers that matter.
fn is_signed(parts: &Parts, body: &[u8], service: &str) -> Option<bool> {
    let fields = header(parts, "authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &'static str| fields.split(", ").find_map(|field| field.strip_prefix(name));
    let (signed, date) = (field("SignedHeaders=")?, header(parts, "x-amz-date")?);
    let covers = |name: &str| signed.split(';').any(|covered| covered == name);
    let named = ["host", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"];
    let are_covered = named.iter().all(|name| !parts.headers.contains_key(*name) || covers(name));
    let scope = format!("{KEY}/{}/us-east-1/{service}/aws4_request", date.get(..8)?);
    let is_own =
        field("Credential=")? == scope && header(parts, "x-amz-security-token")? == SESSION;

    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time: SystemTime = PrimitiveDateTime::parse(date, format).ok()?.assume_utc().into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
    let params = v4::SigningParams::builder().identity(&identity).region("us-east-1");
    let params = params.name(service).time(time).settings(settings).build().ok()?.into();
    let headers = parts.headers.iter().filter(|(name, _)| covers(name.as_str()));
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let uri = format!("http://{}{}", header(parts, "host")?, parts.uri);
    let body = SignableBody::Bytes(body);
    let request = SignableRequest::new(parts.method.as_str(), uri, headers, body).ok()?;
    let expected = sign(request, &params).ok()?.into_parts().1;
    Some(are_covered && is_own && field("Signature=")? == expected)
}
