//! `ANY /{proxy+}`.

use reqwest::Method;

use crate::support::client::Api;

#[tokio::test]
async fn a_path_that_is_not_served_is_not_found_whatever_the_method() {
    let api = Api::start().await;
    let paths =
        ["/api", "/api/", "/api/nothing", "/API/LOGIN/", "/api/tokens/mine", "/api/tokens.json"];
    // Emulators handle these in their own way.
    let odd: &[&str] = if api.is_own() {
        &["/api//tokens", "/api/tokens//", "//api/tokens", "/api%2Ftokens"]
    } else {
        &[]
    };
    for path in paths.iter().chain(odd) {
        api.get(path).await.expect(404, "not_found");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        api.send(method, "/api/nothing", &[], None).await.expect(404, "not_found");
    }
}

#[tokio::test]
async fn a_refusal_says_nothing_back_that_the_client_made_up() {
    let api = Api::start().await;
    for path in [
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/api/%0d%0aSet-Cookie:%20evil=1",
        "/api/%00",
        "/api/%ff%fe",
        "/..%2f..%2fetc%2fpasswd",
    ] {
        let answer = api.get(path).await;
        assert!(answer.headers.get("set-cookie").is_none(), "{answer:?}");
        let refused = if api.is_own() {
            answer.expect(404, "not_found").to_string()
        } else {
            format!("{answer:?}").replace(path, "")
        };
        assert!(
            !["script", "evil", "passwd"].iter().any(|word| refused.contains(word)),
            "{refused}"
        );
    }
}
