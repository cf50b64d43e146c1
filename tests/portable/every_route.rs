//! The rules for all routes: the callers, methods, web pages and bodies that each route accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use functions::ROUTES;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::http::Route;

use crate::support::client::{Answer, Api, GRANT, PRICE, Person, unique};
use crate::support::document::{self, LINKS, concrete};
use crate::support::function::{TIME, event, invoke};

/// The endpoints that don't require a credential.
const OPEN: [&str; 19] = [
    "brand",
    "discovery",
    "email_verify",
    "health",
    "jwks",
    "login",
    "model_list",
    "not_found",
    "openapi",
    "password_reset",
    "password_reset_confirm",
    "register",
    "share",
    "share_report",
    "site",
    "stripe_webhook",
    "token_blacklist",
    "token_refresh",
    "token_verify",
];

/// The endpoints that don't use the store. The webhook uses it only if a request is signed, and the
/// function for the brand's files reads the brand when it starts.
const COLD: [&str; 5] = ["brand", "discovery", "openapi", "site", "stripe_webhook"];

/// The error code in a route's reply to an invalid access token.
fn refusal(route: &Route) -> &'static str {
    match route.failures.name() {
        "SimplejwtGuarded" => "token_not_valid",
        _ => "invalid_token",
    }
}

fn known() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| route.method != "ANY")
}

fn guarded() -> impl Iterator<Item = &'static Route> {
    known().filter(|route| !OPEN.contains(&route.endpoint))
}

/// The guarded routes whose requests don't end the session.
fn lasting() -> impl Iterator<Item = &'static Route> {
    guarded().filter(|route| route.endpoint != "logout")
}

/// A path with and without its trailing slash.
fn spellings(path: &str) -> impl Iterator<Item = String> {
    let other = format!("{path}/");
    [path.to_owned(), other].into_iter().filter(|spelling| spelling != "//")
}

/// Returns true if only administrators may use a route.
fn is_administrators(route: &Route) -> bool {
    route.path.starts_with("/api/admin/")
}

fn posted() -> impl Iterator<Item = &'static Route> {
    known().filter(|route| route.method == "POST")
}

/// The methods of each path. A path with `GET` also has `HEAD`.
fn paths() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut paths = BTreeMap::<_, BTreeSet<_>>::new();
    for route in known() {
        let methods = paths.entry(concrete(route.path)).or_default();
        methods.extend([route.method].into_iter().chain((route.method == "GET").then_some("HEAD")));
    }
    paths
}

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

/// The methods in the `Allow` header of a reply.
fn allowed(answer: &Answer) -> BTreeSet<&str> {
    answer.header("allow").split(", ").collect()
}

/// Sends a request that a guarded route accepts with a valid access token and enough credits. The
/// request doesn't change the session.
async fn ask(api: &Api, route: &Route, headers: &[(&str, &str)]) -> Answer {
    ask_at(api, route, &concrete(route.path), headers).await
}

async fn ask_at(api: &Api, route: &Route, path: &str, headers: &[(&str, &str)]) -> Answer {
    let name = unique("new");
    let body = body(
        route,
        &[
            ("username", &name),
            ("email", &format!("{name}@example.com")),
            ("password", "not-the-one"),
            ("current_password", "not-the-one"),
        ],
    );
    api.send(method(route.method), path, headers, body).await
}

/// Returns the body of the event for a route's endpoint, with different values in some fields, and
/// without the fields that can only come from another endpoint's reply.
fn body(route: &Route, values: &[(&str, &str)]) -> Option<Value> {
    let mut body = document::example_body(&document::example_event(route.endpoint))?;
    let (fields, given) = (body.as_object_mut().unwrap(), given_fields(route));
    fields.retain(|name, _| !given.contains(&name.as_str()));
    for (name, value) in values {
        if let Some(field) = fields.get_mut(*name) {
            *field = json!(value);
        }
    }
    Some(body)
}

/// Returns the fields of a route's body that get their values from another endpoint's reply.
fn given_fields(route: &Route) -> Vec<&'static str> {
    let fields = LINKS.iter().filter(|link| link.is_field && link.to == route.endpoint);
    fields.map(|link| link.input.as_str()).collect()
}

async fn ask_as(person: &Person, route: &Route) -> Answer {
    ask(&person.api, route, &[("authorization", &person.bearer())]).await
}

/// Asserts that the route's guard accepts this user or, if only administrators may use the route,
/// that the request is refused with 403.
async fn grants(person: &Person, route: &Route) {
    let answer = ask_as(person, route).await;
    match route.endpoint {
        _ if is_administrators(route) => drop(answer.expect(403, "forbidden")),
        "account_delete" | "password_change" => drop(answer.expect(403, "wrong_password")),
        "chat_stop" | "conversation_title" => drop(answer.expect(404, "not_found")),
        "email_resend" => drop(answer.expect(409, "nothing_to_verify")),
        "share_end" => drop(answer.expect(404, "no_such_share")),
        // The body lacks a field, so the request is refused before it counts as a guess or stores
        // an order.
        _ if !given_fields(route).is_empty() => drop(answer.expect(400, "invalid_fields")),
        "models" if route.path.ends_with("{id}") => drop(answer.expect(404, "model_not_found")),
        _ if route.path.ends_with("{id}") => drop(answer.expect(404, "not_found")),
        _ => drop(answer.is(document::success(route))),
    }
}

#[tokio::test]
async fn paths_list_their_methods_and_refuse_others() {
    let api = Api::start().await;
    for (path, methods) in paths() {
        let expected: BTreeSet<&str> = methods.iter().copied().chain(["OPTIONS"]).collect();
        for path in spellings(&path) {
            let options = api.send(Method::OPTIONS, &path, &[], None).await;
            assert_eq!(allowed(&options), expected, "{options:?}");
            options.is(204);
            for name in ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
                .into_iter()
                .filter(|name| !methods.contains(name))
            {
                let refused = api.send(method(name), &path, &[], None).await;
                assert_eq!(allowed(&refused), expected, "{refused:?}");
                match name {
                    "HEAD" => drop(refused.is(405)),
                    _ => drop(refused.expect(405, "method_not_allowed")),
                }
            }
        }
    }
}

/// The headers that are the same in all replies to the same request.
fn lasting_headers(answer: &Answer) -> BTreeMap<String, String> {
    let once = [
        "connection",
        "content-length",
        "date",
        "openai-processing-ms",
        "transfer-encoding",
        "x-request-id",
    ];
    let headers = answer.headers.iter().filter(|(name, _)| !once.contains(&name.as_str()));
    headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn head_replies_equal_get_without_the_body() {
    let api = Api::start().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    for route in known().filter(|route| route.method == "GET") {
        let person = if is_administrators(route) { &root } else { &ann };
        for headers in [vec![], vec![("authorization", person.bearer())]] {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let path = concrete(route.path);
            let get = api.send(Method::GET, &path, &headers, None).await;
            let head = api.send(Method::HEAD, &path, &headers, None).await;
            assert_eq!(head.status, get.status, "{head:?}");
            assert_eq!(head.body, json!(""), "{head:?}");
            // Emulators set `Content-Length` to the length of the empty body.
            if api.is_own() {
                let length = |answer: &Answer| answer.headers.get("content-length").cloned();
                let (of_head, of_get) = (length(&head), length(&get));
                assert!(of_head.is_none() || of_head == of_get, "{head:?} {get:?}");
                assert_eq!(lasting_headers(&head), lasting_headers(&get), "{path}");
            }
        }
    }
    for path in ["/api/nothing", "/nothing"] {
        let head = api.send(Method::HEAD, path, &[], None).await;
        assert_eq!((head.status.as_u16(), &head.body), (404, &json!("")), "{head:?}");
    }
}

#[tokio::test]
async fn unknown_methods_change_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    // `sam local` refuses these methods before they reach a function.
    let refusals: &[u16] = if api.is_own() { &[404, 405] } else { &[403, 404, 405] };
    for path in paths().keys() {
        for name in ["TRACE", "PURGE", "BREW"] {
            let answer = api
                .send(
                    method(name),
                    path,
                    &[("authorization", &ann.bearer())],
                    Some(json!({ "message": "hi" })),
                )
                .await;
            assert!(refusals.contains(&answer.status.as_u16()), "{answer:?}");
            assert!(!answer.body.to_string().contains(&ann.access), "the token is not echoed");
        }
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn guarded_routes_need_a_token() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let long = format!("Bearer {}", "x".repeat(5000));
    let bare = ann.access.as_str();
    let headers = [
        "Bearer",
        "Bearer ",
        "Token ",
        "Bearer null",
        "Bearer undefined",
        "Bearer a.b.c",
        "Bearer ..",
        "Basic YW5uOnNlY3JldDEyMw==",
        &long,
    ];
    let twice = format!("Bearer {bare} {bare}");
    let quoted = format!("Bearer \"{bare}\"");
    let refresh = format!("Bearer {}", ann.refresh);
    for route in guarded() {
        let stranger = ask(&api, route, &[]).await;
        assert_eq!(stranger.header("www-authenticate"), "Bearer");
        stranger.expect(401, "not_authenticated");
        // Only old clients may omit the scheme.
        let strict = (!route.failures.name().starts_with("Simplejwt")).then_some(bare);
        let values = headers.iter().copied().chain([twice.as_str(), &quoted, &refresh]);
        for value in values.chain(strict) {
            let refused = ask(&api, route, &[("authorization", value)]).await;
            assert_eq!(refused.header("www-authenticate"), "Bearer");
            let is_malformed = value.trim() == "Bearer" || value == "Token " || value == twice;
            refused.expect(
                401,
                match refusal(route) {
                    "token_not_valid" if is_malformed => "bad_authorization_header",
                    code => code,
                },
            );
        }
        for (name, value) in [
            ("cookie", format!("access={bare}; token={bare}")),
            ("x-authorization", ann.bearer()),
            ("x-api-key", bare.to_owned()),
        ] {
            ask(&api, route, &[(name, &value)]).await.expect(401, "not_authenticated");
        }
        ask_at(
            &api,
            route,
            &format!("{}?token={bare}&access_token={bare}", concrete(route.path)),
            &[],
        )
        .await
        .expect(401, "not_authenticated");
    }
    assert_eq!(api.items(&ann.id).await, before);
    for route in lasting() {
        grants(&ann, route).await;
    }
}

#[tokio::test]
async fn tokens_of_ended_sessions_or_accounts_are_refused() {
    let api = Api::start().await;
    for end in ["session", "active", "auth_epoch", "id"] {
        let ann = api.person("ann").await;
        for route in lasting() {
            grants(&ann, route).await;
        }
        match end {
            "session" => ann.is_robbed().await,
            "active" => api.set(&ann, end, AttributeValue::Bool(false)).await,
            "auth_epoch" => api.set(&ann, end, AttributeValue::N("2".into())).await,
            _ => {
                api.set(&ann, end, AttributeValue::S("00000000-0000-7000-8000-000000000000".into()))
                    .await
            }
        }
        let before = api.items(&ann.name).await;
        for person in [ann.clone(), ann.using(&ann.token)] {
            for route in lasting() {
                ask_as(&person, route).await.expect(401, refusal(route));
            }
        }
        assert_eq!(api.items(&ann.name).await, before, "{end}");
    }
}

#[tokio::test]
async fn administrators_use_user_routes_only_for_their_own_data() {
    let api = Api::start().await;
    let (root, ann) = (api.person("root").await, api.person("ann").await);
    api.set(&root, "role", AttributeValue::S("admin".into())).await;
    ann.chat("nobody else's business").await.is(200);
    for route in lasting().filter(|route| !is_administrators(route)) {
        grants(&root, route).await;
        let answer = ask_as(&root, route).await;
        let said = answer.body.to_string();
        assert!(!said.contains(&ann.id) && !said.contains("nobody else's business"), "{answer:?}");
    }
    assert_eq!(root.profile().await.is(200)["role"], "admin");
    assert_eq!(ann.balance().await, GRANT - PRICE);
}

#[tokio::test]
async fn administrator_routes_need_an_administrators_session() {
    let api = Api::start().await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("nobody else's business").await.is(200);
    let key = root.makes_a_key("a program").await.is(201);
    let before = json!(api.account(&ann).await);
    for route in known().filter(|route| is_administrators(route)) {
        let answer = ask_as(&root, route).await;
        match route.path {
            "/api/admin/shares/{id}" => drop(answer.expect(404, "no_such_share")),
            path if path.contains("{id}") => drop(answer.expect(404, "not_found")),
            _ => drop(answer.is(document::success(route))),
        }
        ask_as(&root.using(key["key"].as_str().unwrap()), route).await.expect(401, "invalid_token");
        let path = concrete(&route.path.replace("{id}", &ann.id));
        let refused = ask_at(&api, route, &path, &[("authorization", &ann.bearer())]).await;
        let said = refused.body.to_string();
        assert!(
            !said.contains(&ann.name) && !said.contains("nobody else's business"),
            "{refused:?}"
        );
        refused.expect(403, "forbidden");
    }
    api.set(&root, "role", AttributeValue::S("user".into())).await;
    for route in known().filter(|route| is_administrators(route)) {
        ask_as(&root, route).await.expect(403, "forbidden");
    }
    assert_eq!(json!(api.account(&ann).await), before);
}

#[tokio::test]
async fn access_tokens_expire_after_an_hour_and_a_minute() {
    let api = Api::at_an_hour(&[]).await;
    let ann = api.person("ann").await;
    api.server().clock.advance(Duration::from_secs(3600 + 30));
    for route in lasting() {
        grants(&ann, route).await;
    }
    api.server().clock.advance(Duration::from_secs(32));
    for route in guarded() {
        ask_as(&ann, route).await.expect(401, refusal(route));
    }
    for route in lasting() {
        grants(&ann.using(&ann.token), route).await;
    }
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let api = Api::start().await;
    let body = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2)).into_bytes();
    for route in posted() {
        let send = |bytes| {
            api.raw(Method::POST, route.path, &[("content-type", "application/json")], body(bytes))
        };
        let limit = match route.path {
            "/api/stripe/webhook" => 524_288,
            // These messages may carry files.
            "/api/chat" | "/api/chat_msg" | "/api/chat/stream" => 2_097_152,
            path if path.starts_with("/v1/") => 2_097_152,
            _ => 65_536,
        };
        let answer = send(limit).await;
        assert_ne!(answer.status, 413, "{answer:?}");
        send(limit + 1).await.expect(413, "body_too_large");
        send(4_194_304).await.expect(413, "body_too_large");
    }
}

#[tokio::test]
async fn only_bodies_declared_as_json_are_read() {
    let api = Api::start().await;
    for route in posted().filter(|route| document::takes_a_body(route)) {
        let send = async |content_type: Option<&str>| {
            let headers = content_type.map(|value| ("content-type", value));
            api.raw(Method::POST, route.path, headers.as_slice(), b"{}".to_vec()).await
        };
        for content_type in [
            "text/plain",
            "text/plain; charset=application/json",
            "text/json",
            "application/jsonp",
            "application/xml",
            "json",
            "*/*",
            ";",
        ] {
            send(Some(content_type)).await.expect(415, "unsupported_media_type");
        }
        if !document::takes_a_form(route) {
            for form in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
                send(Some(form)).await.expect(415, "unsupported_media_type");
            }
        }
        let undeclared = send(None).await.expect(415, "unsupported_media_type");
        assert!(
            undeclared.to_string().contains("-H 'Content-Type: application/json'"),
            "{undeclared}"
        );
        for content_type in
            ["application/json", "APPLICATION/JSON ; charset=UTF-8", "application/vnd.api+json"]
        {
            let answer = send(Some(content_type)).await;
            let nothing_sold = route.endpoint == "stripe_webhook" && answer.status == 404;
            let status = answer.status.as_u16();
            assert!([400, 401].contains(&status) || nothing_sold, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn forms_are_read_only_of_old_clients_and_from_listed_origins() {
    const LISTED: &str = "https://app.example.com";
    let api = Api::own(&[("ALLOWED_ORIGINS", LISTED)]).await;
    let forms = posted().filter(|route| document::takes_a_body(route));
    let forms: Vec<_> = forms.filter(|route| document::takes_a_form(route)).collect();
    let names: BTreeSet<&str> = forms.iter().map(|route| route.endpoint).collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "chat",
            "login",
            "register",
            "token_blacklist",
            "token_refresh",
            "token_verify"
        ])
    );
    for route in forms {
        // Call the function directly, as on AWS, where the gateway doesn't check the origin.
        let send = async |headers: &[(&str, &str)]| {
            let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
            let mut event =
                event(route.endpoint, route.path, &[&form, headers].concat(), &json!(1));
            event["body"] = json!("username=%21&x=1");
            invoke(&api.server().functions[route.endpoint], &event, TIME).await.status().as_u16()
        };
        // A message without a token is refused before its fields are read.
        let read = if route.endpoint == "chat" { 401 } else { 400 };
        for headers in [&[][..], &[("origin", LISTED)]] {
            assert_eq!(send(headers).await, read, "{}", route.path);
        }
        for origin in ["null", "https://evil.test", "https://app.example.com.evil.test"] {
            assert_eq!(send(&[("origin", origin)]).await, 415, "{} for {origin}", route.path);
        }
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    const LISTED: [&str; 2] = ["https://app.example.com", "http://localhost:5173"];
    let api = Api::own(&[("ALLOWED_ORIGINS", &LISTED.join(", "))]).await;
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, content-type"),
        ]
    };
    for path in paths().keys().map(String::as_str).chain(["/api/nothing"]) {
        for origin in LISTED {
            let get = api.send(Method::GET, path, &[("origin", origin)], None).await;
            assert_eq!(
                get.header("access-control-allow-origin"),
                origin,
                "refusals can be read too: {get:?}"
            );
            assert_eq!(
                get.header("access-control-expose-headers"),
                "etag, idempotent-replayed, link, ratelimit, ratelimit-policy, request-id, retry-after, x-device-token, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-request-id, x-should-retry"
            );
            assert!(get.header("vary").split(", ").any(|name| name == "Origin"), "{get:?}");
        }
        for origin in [
            "null",
            "*",
            "https://app.example.com.evil.test",
            "https://evil-app.example.com",
            "https://sub.app.example.com",
            "https://example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com/",
            "https://APP.example.com",
            "https://app.example.com, http://localhost:5173",
            "http://localhost:5174",
        ] {
            for answer in [
                api.send(Method::GET, path, &[("origin", origin)], None).await,
                api.send(Method::OPTIONS, path, &preflight(origin), None).await,
            ] {
                let cors: Vec<_> = answer
                    .headers
                    .keys()
                    .filter(|name| name.as_str().starts_with("access-control-"))
                    .collect();
                assert!(cors.is_empty(), "{origin}: {cors:?} on {answer:?}");
                let mut varies = answer.header("vary").split(", ");
                assert!(varies.any(|name| name == "Origin"), "{answer:?}");
            }
        }
    }
    for (path, methods) in paths() {
        let answer = api.send(Method::OPTIONS, &path, &preflight(LISTED[0]), None).await;
        assert_eq!(answer.header("access-control-allow-origin"), LISTED[0]);
        let may: BTreeSet<&str> =
            answer.header("access-control-allow-methods").split(", ").collect();
        assert!(may.is_superset(&methods), "{answer:?}");
        let may = answer.header("access-control-allow-headers").split(", ").collect::<Vec<_>>();
        assert_eq!(may[..3], ["authorization", "content-type", "idempotency-key"]);
        // The headers that openai-node sends for an organization and a project, the headers that
        // its helpers send, and the headers that Anthropic's and OpenRouter's SDKs send.
        for header in [
            "anthropic-beta",
            "anthropic-dangerous-direct-browser-access",
            "anthropic-user-profile-id",
            "anthropic-version",
            "anthropic-workspace-id",
            "http-referer",
            "openai-beta",
            "openai-organization",
            "openai-project",
            "user-agent",
            "x-api-key",
            "x-app",
            "x-stainless-arch",
            "x-stainless-helper",
            "x-stainless-helper-method",
            "x-stainless-lang",
            "x-stainless-os",
            "x-stainless-package-version",
            "x-stainless-retry-count",
            "x-stainless-runtime",
            "x-stainless-runtime-version",
            "x-stainless-timeout",
            "x-title",
        ] {
            assert_eq!(may[3..].contains(&header), path.starts_with("/v1/"), "{answer:?}");
        }
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        answer.is(204);
    }
}

#[tokio::test]
async fn without_listed_origins_no_other_page_may_call() {
    let api = Api::own(&[]).await;
    let answer = api
        .send(
            Method::OPTIONS,
            "/api/login/",
            &[("origin", "https://app.example.com"), ("access-control-request-method", "POST")],
            None,
        )
        .await;
    assert!(
        answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
        "{answer:?}"
    );
    answer.is(204);
}

#[tokio::test]
async fn apis_without_their_store_ask_for_a_retry_without_details() {
    let (api, ann) = Api::without_a_store().await;
    let token = "A".repeat(43);
    let answers = known().filter(|route| !COLD.contains(&route.endpoint)).map(|route| {
        let token = if route.endpoint == "token_verify" { &ann.access } else { &token };
        let body = body(route, &[("refresh", &ann.refresh), ("token", token)]);
        let (api, bearer) = (&api, ann.bearer());
        async move {
            api.send(
                method(route.method),
                &concrete(route.path),
                &[("authorization", &bearer)],
                body,
            )
            .await
        }
    });
    for answer in join_all(answers).await {
        let seconds = answer.header("retry-after").parse::<u32>();
        assert!(seconds.is_ok(), "{answer:?}");
        let refused = answer.expect(503, "unavailable").to_string().to_lowercase();
        for internal in
            ["dispatch", "dynamo", "sdk", "127.0.0.1", "hyper", "connect", "table", "panick"]
        {
            assert!(!refused.contains(internal), "{internal} in {refused}");
        }
    }
}

#[tokio::test]
async fn internal_failures_are_hidden_and_break_no_later_call() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    api.set(&ann, "tokens", AttributeValue::S("a-broken-item".into())).await;
    // The writes that create an API key or delete a conversation don't depend on the balance.
    let others = ["api_key_create", "conversation_delete"];
    for route in lasting().filter(|route| !others.contains(&route.endpoint)) {
        let refused = ask_as(&ann, route).await.expect(500, "internal_error").to_string();
        assert!(
            !["broken", "invalid type", "expected", "stored"]
                .iter()
                .any(|word| refused.contains(word)),
            "{refused}"
        );
    }
    ann.log_in().await.expect(500, "internal_error");
    ann.has_left(crate::support::client::GRANT).await;
    for route in lasting() {
        grants(&ann, route).await;
    }
}
