//! `GET /.well-known/openid-configuration`, `GET /.well-known/oauth-authorization-server`.

use serde_json::{Value, json};

use crate::support::client::Api;
use crate::support::forge;
use crate::support::function::{Reply, TIME, event, invoke};

const PATHS: [&str; 2] =
    ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

/// The function's reply to a request with this host and stage. `stage` may be empty.
async fn at(api: &Api, host: &str, stage: &str) -> Reply {
    let mut event = event("discovery", PATHS[0], &[("host", host)], &Value::Null);
    event["requestContext"]["domainName"] = json!(host);
    event["requestContext"]["path"] = json!(format!("{stage}{}", PATHS[0]));
    Reply::of(invoke(&api.server().functions["discovery"], &event, TIME).await).await
}

#[tokio::test]
async fn services_find_the_issuer_and_the_public_keys() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    for path in PATHS {
        let answer = api.get(path).await;
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let found = answer.is(200);
        let claims = forge::claims(&ann.access);
        assert_eq!([&claims["iss"], &claims["aud"]], [&found["issuer"], &found["issuer"]]);
        let keys = found["jwks_uri"].as_str().unwrap().strip_prefix(&api.url).unwrap();
        let keys = api.get(keys).await.is(200);
        assert!(
            keys["keys"]
                .as_array()
                .unwrap()
                .iter()
                .any(|key| { key["kid"] == forge::header(&ann.access)["kid"] })
        );
        // The document lists no endpoints of an authorization server, because this API isn't one.
        let mut fields: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        let expected = [
            "grant_types_supported",
            "issuer",
            "jwks_uri",
            "response_types_supported",
            "service_documentation",
        ];
        assert_eq!(fields, expected);
        assert_eq!([&found[expected[0]], &found[expected[3]]], [&json!([]), &json!([])]);
    }
}

#[tokio::test]
async fn the_jwks_url_works_under_a_stage_and_a_domain() {
    let api = Api::own(&[]).await;
    for (host, stage, url) in [
        (
            "a1.execute-api.eu-central-1.amazonaws.com",
            "/live",
            "https://a1.execute-api.eu-central-1.amazonaws.com/live",
        ),
        ("api.example.com", "", "https://api.example.com"),
        ("localhost:3000", "", "http://localhost:3000"),
    ] {
        let found = at(&api, host, stage).await;
        assert_eq!(found.body["jwks_uri"], format!("{url}/.well-known/jwks.json"), "{host}");
        assert_eq!(found.body["service_documentation"], format!("{url}/docs/"));
    }
    assert_eq!(at(&api, "ann@evil.test", "").await.status, 400);
}

#[tokio::test]
async fn an_issuer_url_fixes_the_jwks_url_for_every_host() {
    let api = Api::own(&[("TOKEN_ISSUER", "https://api.example.com/live")]).await;
    let found = at(&api, "evil.test", "").await.body;
    assert_eq!(found["issuer"], "https://api.example.com/live");
    assert_eq!(found["jwks_uri"], "https://api.example.com/live/.well-known/jwks.json");
}
