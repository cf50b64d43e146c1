//! `GET /.well-known/openid-configuration`, `GET /.well-known/oauth-authorization-server` - where
//! services that verify access tokens can find the public keys.
//!
//! The reply has the format of an authorization server's metadata. Many libraries request only the
//! first path. Allows clients to cache the reply for as long as they cache the public keys.

use serde::Serialize;
use shared::{Error, Reply, Request, http};
use utoipa::ToSchema;

use super::openapi::DocumentSettings;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Says where the public signing keys are");

/// Find the public keys
///
/// The issuer of the access tokens, and the URL of the keys that verify them ([RFC
/// 8414](https://www.rfc-editor.org/rfc/rfc8414)). This API has no OAuth flows and issues no ID
/// tokens.
#[utoipa::path(
    get,
    path = super::path::discovery,
    tag = "Service",
    responses((status = 200, description = "The issuer, and the URL of its keys.", body = Discovery, headers(("Cache-Control" = String)))),
)]
pub async fn handle(stated: DocumentSettings, req: Request) -> Reply {
    let host = || Error::Malformed("The request names no host.".into());
    let base = http::base_url(&req).ok_or_else(host)?;
    let issuer = stated.issuer();
    // If the issuer begins with `https`, it is this API's base URL. Otherwise the base URL is
    // derived from the request's `Host` header, which the client controls.
    let at = if issuer.starts_with("https://") { issuer.trim_end_matches('/') } else { &base };
    let document = Discovery {
        issuer,
        jwks_uri: format!("{at}/.well-known/jwks.json"),
        service_documentation: format!("{at}/docs/"),
        response_types_supported: [],
        grant_types_supported: [],
    };
    http::ok(&document).map(http::cached)
}

/// The metadata that a service needs to verify access tokens.
#[derive(Serialize, ToSchema)]
struct Discovery<'a> {
    /// The `iss` and `aud` claims of every access token.
    #[schema(examples("farebox"))]
    issuer: &'a str,
    /// The URL of the public keys.
    #[schema(format = "uri", examples("https://api.example.com/.well-known/jwks.json"))]
    jwks_uri: String,
    /// The URL of the documentation.
    #[schema(format = "uri", examples("https://api.example.com/docs/"))]
    service_documentation: String,
    /// Always empty: the API has no authorization endpoint.
    #[schema(value_type = Vec<String>, max_items = 0)]
    response_types_supported: [&'static str; 0],
    /// Always empty. If this field were missing, clients would assume that the API supports two
    /// OAuth flows.
    #[schema(value_type = Vec<String>, max_items = 0)]
    grant_types_supported: [&'static str; 0],
}
