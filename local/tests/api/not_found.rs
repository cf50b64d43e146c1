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
async fn a_browser_that_opens_an_unknown_path_is_led_to_a_page_that_says_so() {
    let api = Api::own(&[]).await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for (path, location) in [
        ("/nowhere", "./#/page-not-found"),
        ("/nowhere/", "../#/page-not-found"),
        ("/docs/nowhere.html", "../#/page-not-found"),
        ("/a/b/c", "../../#/page-not-found"),
    ] {
        let answer = api.send(Method::GET, path, &browser, None).await;
        assert_eq!(answer.header("location"), location, "{path}");
        answer.is(303);
        api.send(Method::GET, path, &[("accept", "*/*")], None).await.expect(404, "not_found");
        api.send(Method::POST, path, &browser, None).await.expect(404, "not_found");
    }
    for path in ["/api/nowhere", "/v1/nowhere"] {
        api.send(Method::GET, path, &browser, None).await.expect(404, "not_found");
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
