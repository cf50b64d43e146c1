//! DynamoDB's protocol over HTTP: the operation is in a header, and both bodies are JSON. The
//! embedded database has no access control, so this module refuses all web pages, and all callers
//! without the run's access key.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use dynoxide::Database;
use serde_json::json;
use uuid::Uuid;

use super::access_key::AccessKey;
use super::operations::perform;
use crate::http_server::{self, BodyError};

/// DynamoDB's limit for the size of a request body, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Answers a call if its caller has the access key.
pub async fn answer(
    database: Database,
    key: AccessKey,
    listens: SocketAddr,
    req: Request,
) -> Response {
    let (parts, body) = req.into_parts();
    if parts.headers.contains_key(header::ORIGIN) {
        return refuse(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            "This store refuses requests from web pages.",
        );
    }
    if !is_for(listens, &parts) {
        return refuse(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            "This store doesn't answer requests for this host.",
        );
    }
    if parts.method != Method::POST {
        return refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "UnknownOperationException",
            "The method must be POST.",
        );
    }
    if !key.is_named_by(&parts) {
        return refuse(StatusCode::BAD_REQUEST, "UnrecognizedClientException", UNSIGNED);
    }
    let body = match http_server::read(body, LARGEST, LARGEST).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            return refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
                "The body is over the limit.",
            );
        }
        Err(BodyError::Stopped) => {
            return refuse(
                StatusCode::REQUEST_TIMEOUT,
                "RequestTimeoutException",
                "The body is incomplete.",
            );
        }
    };
    if !key.signed(&parts, &body) {
        return refuse(StatusCode::BAD_REQUEST, "InvalidSignatureException", UNSIGNED);
    }
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let (status, reply) = perform(&database, header("x-amz-target"), header("host"), &body);
    reply_with(status, reply)
}

const UNSIGNED: &str = "Sign with the access key of this run: it is in the data folder, in \
    dynamodb-url, lambda.env and sam.json. With --memory the program prints it.";

/// Returns true if the `Host` header contains this store's port, and a host name by which only this
/// machine or its containers can reach the store.
fn is_for(listens: SocketAddr, parts: &Parts) -> bool {
    let Some((name, port)) = http_server::host(&parts.headers) else { return false };
    let named = || match http_server::address(name) {
        // A store that listens on all addresses accepts any IP address as the host. DNS rebinding
        // needs a domain name, and no domain name is an IP address.
        Some(address) => address == listens.ip() || listens.ip().is_unspecified(),
        None => name == "host.docker.internal",
    };
    port.unwrap_or(80) == listens.port() && (http_server::is_loopback(name) || named())
}

fn refuse(status: StatusCode, code: &str, sentence: &str) -> Response {
    reply_with(
        status,
        json!({ "__type": format!("com.amazon.coral.service#{code}"), "message": sentence })
            .to_string(),
    )
}

fn reply_with(status: StatusCode, body: String) -> Response {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.0");
    let response = response.header("x-amzn-requestid", Uuid::new_v4().to_string());
    response.body(Body::from(body)).unwrap_or_default()
}
