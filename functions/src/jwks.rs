//! `GET /.well-known/jwks.json` - the public keys that access tokens can be checked with ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use serde_json::{Value, json};
use shared::http::HeaderValue;
use shared::store::PublicKey;
use shared::{App, Reply, Request, http};
use utoipa::ToSchema;

/// Shows every key that tokens may be signed with today. Others may keep the reply as long as this
/// API keeps keys itself.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "Service",
    summary = "Read the public keys",
    description = "Other services check access tokens with them ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).",
    responses((status = 200, description = "The keys that tokens may be signed with today.", body = Keys, headers(("Cache-Control" = String)))),
)]
pub async fn handle(app: App, _req: Request) -> Reply {
    let keys: Vec<Value> = app.keyring.published().await?.iter().map(jwk).collect();
    let mut response = http::ok(&json!({ "keys": keys }))?;
    response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

/// Public keys ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
#[derive(ToSchema)]
#[schema(as = PublicKeys)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A public key of Ed25519 ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
#[derive(ToSchema)]
#[schema(as = PublicKey)]
pub struct Jwk {
    /// Always `OKP`.
    #[schema(pattern = "^OKP$", examples("OKP"))]
    pub kty: String,
    /// Always `Ed25519`.
    #[schema(pattern = "^Ed25519$", examples("Ed25519"))]
    pub crv: String,
    /// Always `sig`.
    #[schema(pattern = "^sig$", examples("sig"))]
    pub r#use: String,
    /// Always `EdDSA`.
    #[schema(pattern = "^EdDSA$", examples("EdDSA"))]
    pub alg: String,
    /// The key's id, which tokens name in their header.
    #[schema(examples("K5ao2DU16VQ_OGSvkLEKEgtn6gbQ9VXIb0tLY8DOTdg"))]
    pub kid: String,
    /// The key itself.
    #[schema(
        pattern = "^[A-Za-z0-9_-]{43}$",
        examples("-w2sLTD4YYmfRFxqkRDc7I06NsOQrtq_N6WCCYcycGY")
    )]
    pub x: String,
}

/// A key in the form of [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2).
fn jwk(key: &PublicKey) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x })
}
