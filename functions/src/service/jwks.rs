//! `GET /.well-known/jwks.json` - the public keys that verify access tokens.
//!
//! Lists every key that may have signed a JWT that is still valid. Clients may cache the reply for
//! as long as this API caches keys.

use serde::Serialize;
use shared::store::PublicKey;
use shared::{App, Reply, Request, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Shows the public signing keys").permits(permits![scan(Keys)]);

/// Read the public keys
///
/// Other services verify access tokens with these keys ([RFC
/// 7517](https://www.rfc-editor.org/rfc/rfc7517)).
#[utoipa::path(
    get,
    path = super::path::jwks,
    tag = "Service",
    responses((status = 200, description = "The keys of all valid tokens.", body = PublicKeys, headers(("Cache-Control" = String)))),
)]
pub async fn handle(app: App, _req: Request) -> Reply {
    let keys = app.keyring.published().await?;
    http::ok(&PublicKeys { keys: keys.iter().map(Jwk::of).collect() }).map(http::cached)
}

/// A set of public keys ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
#[derive(Serialize, ToSchema)]
struct PublicKeys<'a> {
    /// The keys.
    keys: Vec<Jwk<'a>>,
}

/// An Ed25519 public key ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
#[derive(Serialize, ToSchema)]
#[schema(as = PublicKey)]
struct Jwk<'a> {
    /// Always `OKP`.
    #[schema(pattern = "^OKP$", examples("OKP"))]
    kty: &'static str,
    /// Always `Ed25519`.
    #[schema(pattern = "^Ed25519$", examples("Ed25519"))]
    crv: &'static str,
    /// Always `sig`.
    #[schema(pattern = "^sig$", examples("sig"))]
    r#use: &'static str,
    /// Always `EdDSA`.
    #[schema(pattern = "^EdDSA$", examples("EdDSA"))]
    alg: &'static str,
    /// The key's id, which is in the header of each token that the key verifies.
    #[schema(examples("K5ao2DU16VQ_OGSvkLEKEgtn6gbQ9VXIb0tLY8DOTdg"))]
    kid: &'a str,
    /// The public key.
    #[schema(
        pattern = "^[A-Za-z0-9_-]{43}$",
        examples("-w2sLTD4YYmfRFxqkRDc7I06NsOQrtq_N6WCCYcycGY")
    )]
    x: &'a str,
}

impl<'a> Jwk<'a> {
    fn of(key: &'a PublicKey) -> Self {
        Self { kty: "OKP", crv: "Ed25519", r#use: "sig", alg: "EdDSA", kid: &key.kid, x: &key.x }
    }
}
