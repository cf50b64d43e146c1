//! `GET /.well-known/jwks.json`.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::client::Api;
use crate::support::forge;

const PATH: &str = "/.well-known/jwks.json";

/// The ids of the public keys that the API publishes.
async fn kids(api: &Api) -> HashSet<Value> {
    api.get(PATH).await.is(200)["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].clone())
        .collect()
}

/// The id of the key that signed a JWT.
fn kid(token: &str) -> Value {
    forge::header(token)["kid"].clone()
}

#[tokio::test]
async fn keys_are_public_ed25519_and_cached_five_minutes() {
    let answer = Api::start().await.get(PATH).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let shown = answer.is(200);
    let keys = shown["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let fields: HashSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, HashSet::from(["kty", "crv", "use", "alg", "kid", "x"]), "{key}");
        assert_eq!(
            [&key["kty"], &key["crv"], &key["use"], &key["alg"]],
            ["OKP", "Ed25519", "sig", "EdDSA"],
            "{key}"
        );
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(),
            32,
            "{key}"
        );
    }
}

#[tokio::test]
async fn the_public_keys_verify_every_kind_of_token() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let device = ann.log_in().await.header("x-device-token").to_owned();
    let keys: JwkSet = serde_json::from_value(api.get(PATH).await.is(200)).unwrap();
    for (token, typ, audience) in [
        (&ann.access, "at+jwt", "farebox"),
        (&ann.token, "at+jwt", "farebox"),
        (&ann.refresh, "rt+jwt", "farebox/refresh"),
        (&device, "device+jwt", "farebox/device"),
    ] {
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = DecodingKey::from_jwk(keys.find(header.kid.as_ref().unwrap()).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_issuer(&["farebox"]);
        let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], json!(ann.id));
        assert_eq!(header.typ.as_deref(), Some(typ));
    }
}

#[tokio::test]
async fn rotations_keep_sessions_and_withdrawn_keys_end_quickly() {
    let old = Api::own(&[]).await;
    let ann = old.person("ann").await;
    // A second server that uses the same store has a new signing secret, like a function that
    // starts after a rotation.
    let new = old
        .beside(&[("SIGNING_SECRET", "another-secret-of-many-random-characters-0123456789")])
        .await;
    let ben = new.person("ben").await;
    assert_ne!(kid(&ann.access), kid(&ben.access));

    let both = HashSet::from([kid(&ann.access), kid(&ben.access)]);
    assert_eq!(kids(&new).await, both);
    for (person, door) in [(&ann, &new), (&ben, &old)] {
        person.at(door).profile().await.is(200);
        let refreshed = door.refresh(&person.refresh).await.is(200);
        person.at(door).using(refreshed["access"].as_str().unwrap()).profile().await.is(200);
    }

    old.withdraw_key(kid(&ann.access).as_str().unwrap()).await;
    new.server().clock.advance(Duration::from_secs(300));
    ann.at(&new).profile().await.expect(401, "token_not_valid");
    new.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    ben.at(&new).profile().await.is(200);
    assert_eq!(kids(&new).await, HashSet::from([kid(&ben.access)]));
}

#[tokio::test]
async fn accepted_tokens_are_refused_once_altered_or_expired() {
    let api = Api::own(&[]).await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    for person in [&ann, &ann, &ben] {
        person.profile().await.is(200);
    }
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (anns, bens) = (parts(&ann.access), parts(&ben.access));
    for forged in [
        [&*anns[0], &*anns[1], &*bens[2]],
        [&anns[0], &bens[1], &anns[2]],
        [&anns[0], &anns[1], ""],
        [&anns[0], &anns[1], &anns[2][1..]],
    ] {
        ann.using(forged.join(".")).profile().await.expect(401, "token_not_valid");
    }
    ann.profile().await.is(200);
    // The keys are read every five minutes. Verified signatures are cached until the keys are read
    // again.
    api.server().clock.advance(Duration::from_secs(3600 + 30));
    ann.profile().await.is(200);
    api.server().clock.advance(Duration::from_secs(32));
    ann.profile().await.expect(401, "token_not_valid");
}
