//! `ANY /{proxy+}`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::Api;
use crate::support::function::{Reply, TIME, event, invoke};

#[tokio::test]
async fn unknown_paths_are_not_found_with_any_method() {
    let api = Api::start().await;
    let paths =
        ["/api", "/api/", "/api/nothing", "/API/LOGIN/", "/api/tokens/mine", "/api/tokens.json"];
    // Emulators may rewrite or refuse such paths.
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

/// The `Accept` header that Chromium sends for a page.
const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

#[tokio::test]
async fn browsers_get_a_page_and_programs_a_problem_document() {
    let api = Api::start().await;
    let get = async |path: &str, accept: &str| {
        api.send(Method::GET, path, &[("accept", accept)], None).await
    };
    let paths =
        ["/nothing", "/nothing/more/", "/api/nothing", "/v1/nothing", "/assets/0/nothing.js"];
    for path in paths {
        for accept in [BROWSER, "text/html", "text/html, application/json;q=0.9"] {
            let answer = get(path, accept).await;
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let policy = answer.header("content-security-policy");
            assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
            let page = answer.is(404);
            let page = page.as_str().unwrap();
            assert!(page.contains("<h1>Page not found</h1>") && !page.contains("nothing"));
            assert!(!page.contains("<script") && !page.contains(" style="), "{page}");
        }
        for accept in ["*/*", "application/json", "text/html, application/problem+json", ""] {
            get(path, accept).await.expect(404, "not_found");
        }
    }
    // An endpoint's failure is a problem document, whatever the client accepts.
    get("/api/tokens/", BROWSER).await.expect(401, "not_authenticated");
}

#[tokio::test]
async fn endpoints_that_are_not_offered_say_so() {
    let api = Api::start().await;
    for (path, what) in [
        ("/v1/images/generations", "images"),
        ("/v1/audio/speech", "speech"),
        ("/v1/audio/transcriptions", "transcriptions"),
        ("/v1/files", "files"),
        ("/v1/files/file-1/content", "files"),
        ("/v1/batches", "batches"),
        ("/v1/moderations", "moderations"),
        ("/v1/vector_stores", "vector stores"),
        ("/v1/fine_tuning/jobs", "fine-tuning"),
        ("/v1/conversations", "stored conversations"),
        ("/v1/assistants", "assistants"),
        ("/v1/threads/thread_1/runs", "threads"),
        ("/v1/videos", "videos"),
        ("/v1/containers", "containers"),
        ("/v1/responses/resp_1", "stored responses"),
        ("/v1/responses/compact", "stored responses"),
        ("/v1/chat/completions/chatcmpl-1", "stored completions"),
        ("/v1/realtime", "realtime sessions"),
        ("/v1/v1/images/generations", "images"),
        ("/v1/messages/batches", "batches"),
        ("/v1/skills", "skills"),
    ] {
        let sentence = format!("This server doesn't offer {what}");
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let headers = [("accept", "application/json")];
            let refused = api.send(method.clone(), path, &headers, None).await;
            let refused = refused.expect(404, "not_offered");
            let message = refused["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(&sentence), "{method} {path}: {message}");
            let refused =
                api.send(method, path, &[("anthropic-version", "2023-06-01")], None).await;
            let refused = refused.expect_anthropic(404);
            assert_eq!(refused["error"]["type"], "not_found_error", "{path}");
            assert!(refused["error"]["message"].as_str().unwrap().starts_with(&sentence));
        }
    }
    for path in
        ["/v1/nothing", "/v1/imagesque", "/images", "/api/images", "/v1/v1/chat/completions"]
    {
        api.get(path).await.expect(404, "not_found");
    }
    let unknown =
        api.send(Method::GET, "/v1/nothing", &[("anthropic-version", "2023-06-01")], None);
    unknown.await.expect_anthropic(404);
}

#[tokio::test]
async fn links_of_the_page_also_work_under_a_stage() {
    let api = Api::own(&[]).await;
    for (stage, root) in [("/live", "/live/"), ("", "/"), ("/li\"ve", "/")] {
        let mut event = event("not_found", "/no/thing", &[("accept", BROWSER)], &Value::Null);
        event["httpMethod"] = json!("GET");
        event["requestContext"]["path"] = json!(format!("{stage}/no/thing"));
        let function = &api.server().functions["not_found"];
        let reply = Reply::of(invoke(function, &event, TIME).await).await;
        let page = reply.body.as_str().unwrap();
        let links: Vec<&str> =
            page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(links.len(), 4, "{page}");
        for link in links {
            let path = link.strip_prefix(root).unwrap_or_else(|| panic!("{link} is not in {root}"));
            api.get(&format!("/{path}")).await.is(200);
        }
    }
}

#[tokio::test]
async fn refusals_echo_nothing_from_the_client() {
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
