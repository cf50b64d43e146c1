//! `GET /.well-known/jwks.json` - the public keys that access tokens can be checked with ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use serde_json::{Value, json};
use shared::http::HeaderValue;
use shared::store::PublicKey;
use shared::{App, Reply, Request, http};

/// Shows every key that tokens may be signed with today. Others may keep the reply as long as this API keeps keys itself.
pub async fn handle(app: App, _req: Request) -> Reply {
    let keys: Vec<Value> = app.keyring.published().await?.iter().map(jwk).collect();
    let mut response = http::ok(&json!({ "keys": keys }))?;
    response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

/// A key in the form of [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2).
fn jwk(key: &PublicKey) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x })
}
