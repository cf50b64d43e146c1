//! `X-Refresh-Token: cookie`: refresh tokens in cookies, which a page's scripts can't read
//! (`POST /api/login`, `POST /api/register`, `POST /api/token/refresh`, `POST /api/logout`).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::store::Purpose;

use crate::support::client::{Answer, Api, Person, unique};
use crate::support::{forge, function};

const MONTH: u64 = 30 * 86_400;

/// A page served from this origin, in a browser that keeps its cookies.
struct Page {
    api: Api,
    kept: Option<String>,
    /// The device token in the page's cookie.
    device: Option<String>,
    /// The page key: a random value in the storage of the page's origin.
    key: String,
}

impl Page {
    fn of(api: &Api) -> Self {
        Self { api: api.clone(), kept: None, device: None, key: unique("").repeat(8) }
    }

    /// The headers that the page sends to ask for cookies.
    fn wish(&self) -> [(&'static str, &str); 2] {
        [("x-refresh-token", "cookie"), ("x-page-key", &self.key)]
    }

    /// Sends a refresh request with this token in the body, as a page served from this origin does.
    async fn present(&self, token: &str) -> Answer {
        let body = json!({ "refresh": token });
        self.api.send(Method::POST, "/api/token/refresh/", &self.wish(), Some(body)).await
    }

    /// Registers a user on this page. The page gets only an access token.
    async fn register(&mut self) -> Person {
        self.person_with(json!({ "username": unique("ann"), "password": "secret123" })).await
    }

    async fn person_with(&mut self, registration: Value) -> Person {
        let mut registered = self.post("/api/register/", &[], registration.clone()).await.is(201);
        assert!(
            registered.get("refresh").is_none() && registered.get("token").is_none(),
            "{registered}"
        );
        registered["refresh"] = json!("");
        registered["token"] = json!("");
        Person::of(&self.api, &registration, &registered)
    }

    async fn refresh(&mut self) -> Answer {
        self.post("/api/token/refresh/", &[], json!({})).await
    }

    async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        self.send(Method::POST, path, headers, Some(body)).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let kept = self.kept.as_ref().map(|token| format!("farebox_refresh={token}"));
        let device = self.device.as_ref().map(|token| format!("farebox_device={token}"));
        let cookie = ["theme=dark".to_owned()]
            .into_iter()
            .chain(kept)
            .chain(device)
            .collect::<Vec<_>>()
            .join("; ");
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend(self.wish());
        all.extend_from_slice(headers);
        let answer = self.api.send(method, path, &all, body).await;
        assert!(answer.headers.get("x-device-token").is_none(), "no script is to see it");
        if let Some(cookie) = cookie_named("farebox_device", &answer) {
            let (token, attributes) = cookie.split_once("; ").unwrap();
            assert_eq!(attributes, "Path=/; Max-Age=15811200; HttpOnly; SameSite=Strict");
            self.device = token.strip_prefix("farebox_device=").map(str::to_owned);
        }
        if let Some(cookie) = cookie_of(&answer) {
            let attributes: Vec<&str> = cookie.split("; ").collect();
            let [token, "Path=/", seconds, "HttpOnly", "SameSite=Strict"] = attributes[..] else {
                panic!("{cookie}")
            };
            let token = token.strip_prefix("farebox_refresh=").unwrap();
            self.kept = (seconds != "Max-Age=0").then(|| token.to_owned());
            assert_eq!(self.kept.is_none(), token.is_empty(), "{cookie}");
        }
        answer
    }

    fn token(&self) -> &str {
        self.kept.as_deref().expect("a cookie")
    }
}

/// The cookie in a reply that contains the refresh token.
fn cookie_of(answer: &Answer) -> Option<&str> {
    let refresh = cookie_named("farebox_refresh", answer);
    refresh.or_else(|| cookie_named("__Host-farebox_refresh", answer))
}

fn cookie_named<'a>(name: &str, answer: &'a Answer) -> Option<&'a str> {
    let cookies =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let mut cookies = cookies.filter(|cookie| cookie.starts_with(&format!("{name}=")));
    let cookie = cookies.next();
    assert!(cookies.next().is_none(), "{:?}", answer.headers);
    cookie
}

fn fields(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn pages_get_an_access_token_and_browsers_a_cookie() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    let ann = page.register().await;
    ann.profile().await.is(200);
    assert_eq!(forge::claims(page.token())["generation"], 0);

    let session = page
        .post("/api/login/", &[], json!({ "username": ann.name, "password": ann.password }))
        .await
        .is(200);
    assert_eq!(
        fields(&session),
        [
            "access",
            "message",
            "remaining_tokens",
            "tokens",
            "tokens_left",
            "tokens_remaining",
            "user",
            "username"
        ]
    );
    let ann = ann.using(session["access"].as_str().unwrap());
    assert_eq!(forge::claims(page.token())["sid"], json!(ann.session()));

    let before = page.token().to_owned();
    let body = json!({ "current_password": ann.password, "new_password": "secret456" });
    let changed =
        page.post("/api/user/password/", &[("authorization", &ann.bearer())], body).await.is(200);
    assert_eq!(fields(&changed), ["access", "message"]);
    page.present(&before).await.expect(401, "token_not_valid");
    page.refresh().await.is(200);
}

#[tokio::test]
async fn cookies_are_replaced_at_each_refresh() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    let ann = page.register().await;
    for generation in 1..4 {
        let refreshed = page.refresh().await.is(200);
        assert_eq!(fields(&refreshed), ["access"]);
        ann.using(refreshed["access"].as_str().unwrap()).profile().await.is(200);
        assert_eq!(forge::claims(page.token())["generation"], generation);
    }
    // A missing body is treated like an empty one. A refresh token in the body takes precedence
    // over the cookie.
    page.send(Method::POST, "/api/token/refresh/", &[], None).await.is(200);
    let ben = api.person("ben").await;
    let refreshed =
        page.post("/api/token/refresh/", &[], json!({ "refresh": ben.refresh })).await.is(200);
    assert_eq!(
        ben.using(refreshed["access"].as_str().unwrap()).profile().await.is(200)["id"],
        json!(ben.id)
    );
    assert_eq!(forge::claims(page.token())["sub"], json!(ben.id));
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_share_the_next_cookie() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    page.register().await;
    let mut other = Page { kept: page.kept.clone(), key: page.key.clone(), ..Page::of(&api) };
    let (one, two) = tokio::join!(page.refresh(), other.refresh());
    one.is(200);
    two.is(200);
    assert_eq!(page.kept, other.kept);
    page.refresh().await.is(200);
}

#[tokio::test]
async fn cookies_live_as_long_as_their_session() {
    let api = Api::at_an_hour(&[]).await;
    let mut page = Page::of(&api);
    let seconds = |answer: &Answer| {
        let cookie = cookie_of(answer).unwrap().to_owned();
        cookie
            .split("; ")
            .find_map(|attribute| attribute.strip_prefix("Max-Age=")?.parse::<u64>().ok())
            .unwrap()
    };
    let registered = page
        .post("/api/register/", &[], json!({ "username": "ann", "password": "secret123" }))
        .await;
    assert_eq!(seconds(&registered), MONTH, "{:?}", registered.headers);
    api.server().clock.advance(Duration::from_secs(29 * 86_400));
    assert_eq!(seconds(&page.refresh().await), 86_400);
    api.server().clock.advance(Duration::from_secs(86_400 + 1));
    page.refresh().await.expect(401, "token_not_valid");
}

/// Another site can make a browser send the cookies, but not the `X-Refresh-Token` header.
#[tokio::test]
async fn without_the_header_cookies_are_neither_read_nor_set() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    let ann = page.register().await;
    let before = api.items(&ann.id).await;
    let cookie =
        format!("farebox_refresh={0}; __Host-farebox_refresh={0}; refresh={0}", page.token());
    for header in [
        None,
        Some(""),
        Some("body"),
        Some("cookies"),
        Some("true"),
        Some("cookie, cookie"),
        Some("cookie"),
    ] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(header.map(|value| ("x-refresh-token", value)));
        let ask = |body| api.send(Method::POST, "/api/token/refresh/", &headers, body);
        ask(Some(json!({}))).await.expect(400, "invalid_fields");
        ask(None).await.expect(400, "malformed_request");
    }
    assert_eq!(api.items(&ann.id).await, before);

    let headers = [("cookie", cookie.as_str())];
    let login = api
        .send(
            Method::POST,
            "/api/login/",
            &headers,
            Some(json!({ "username": ann.name, "password": ann.password })),
        )
        .await;
    assert_eq!(cookie_of(&login), None);
    let login = login.is(200);
    assert!(login["token"].is_string());
    let refreshed = api
        .send(
            Method::POST,
            "/api/token/refresh/",
            &headers,
            Some(json!({ "refresh": login["refresh"] })),
        )
        .await;
    assert_eq!(cookie_of(&refreshed), None);
    assert_eq!(fields(&refreshed.is(200)), ["access", "refresh"]);
}

#[tokio::test]
async fn pages_without_a_valid_cookie_have_no_session() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    for body in [json!({}), json!({ "refresh": null }), json!({ "refresh": "" })] {
        page.post("/api/token/refresh/", &[], body).await.expect(401, "not_authenticated");
    }
    page.send(Method::POST, "/api/token/refresh/", &[], None)
        .await
        .expect(401, "not_authenticated");

    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for token in [
        "nonsense",
        "a.b.c",
        &ann.access,
        &ann.token,
        &format!("{}x", ann.refresh),
        &format!("\"{}\"", ann.refresh),
    ] {
        page.kept = Some(token.to_owned());
        page.refresh().await.expect(401, "token_not_valid");
    }
    assert_eq!(api.items(&ann.id).await, before);
    // No other endpoint accepts a cookie instead of an access token.
    page.kept = Some(ann.refresh.clone());
    page.send(Method::GET, "/api/user/profile/", &[], None).await.expect(401, "not_authenticated");
    page.post("/api/chat/", &[], json!({ "message": "hi" })).await.expect(401, "not_authenticated");
}

#[tokio::test]
async fn ending_a_session_clears_its_cookie() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    for end in ["logout", "deletion", "reset"] {
        let name = unique("ann");
        let address = format!("{name}@example.com");
        let ann = page
            .person_with(json!({ "username": name, "email": address, "password": "secret123" }))
            .await;
        let (bearer, kept) = (ann.bearer(), page.token().to_owned());
        let headers = [("authorization", bearer.as_str())];
        match end {
            "logout" => drop(page.send(Method::POST, "/api/logout/", &headers, None).await.is(200)),
            "deletion" => drop(
                page.send(
                    Method::DELETE,
                    "/api/user/",
                    &headers,
                    Some(json!({ "password": ann.password })),
                )
                .await
                .is(202),
            ),
            _ => {
                let token = api.link(&ann, Purpose::Reset, &address).await;
                page.post(
                    "/api/password/reset/confirm/",
                    &[],
                    json!({ "token": token, "password": "secret456" }),
                )
                .await
                .is(200);
            }
        }
        assert_eq!(page.kept, None, "{end}");
        page.refresh().await.expect(401, "not_authenticated");
        page.present(&kept).await.expect(401, "token_not_valid");
    }
    // A failed request doesn't end the session.
    let ann = page.register().await;
    page.send(
        Method::DELETE,
        "/api/user/",
        &[("authorization", &ann.bearer())],
        Some(json!({ "password": "wrong" })),
    )
    .await
    .expect(403, "wrong_password");
    page.refresh().await.is(200);
    // The API sends no cookie to a client that doesn't ask for cookies.
    assert_eq!(cookie_of(&ann.log_out().await), None);
}

#[tokio::test]
async fn retried_registrations_set_the_cookie_again() {
    let api = Api::start().await;
    let mut page = Page::of(&api);
    let registration = json!({ "username": unique("ann"), "password": "secret123" });
    let headers = [("idempotency-key", "k1")];
    let first = page.post("/api/register/", &headers, registration.clone()).await.is(201);
    let lost = page.kept.take();
    let again = page.post("/api/register/", &headers, registration).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.is(201);
    assert_eq!(fields(&again), fields(&first));
    assert_eq!(again["id"], first["id"]);
    assert_ne!(page.kept, lost);
    page.refresh().await.is(200);
}

#[tokio::test]
async fn cookies_with_tls_are_bound_to_one_host() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    // Send an API Gateway event, because the local server refuses this host name.
    let refresh = api.server().functions["token_refresh"].clone();
    let ask = |host: &'static str, cookie: String| {
        let refresh = refresh.clone();
        async move {
            let key = "k".repeat(32);
            let headers = [
                ("host", host),
                ("x-refresh-token", "cookie"),
                ("x-page-key", key.as_str()),
                ("cookie", cookie.as_str()),
            ];
            let reply = function::ask(
                &refresh,
                "token_refresh",
                "/api/token/refresh/",
                &headers,
                json!({}),
            )
            .await;
            Answer {
                asked: "refresh".into(),
                status: reply.status.try_into().unwrap(),
                headers: reply.headers,
                body: reply.body,
            }
        }
    };
    let refreshed = ask("api.example.com", format!("__Host-farebox_refresh={}", ann.refresh)).await;
    let cookie = cookie_of(&refreshed).unwrap().to_owned();
    refreshed.is(200);
    let (token, attributes) =
        cookie.strip_prefix("__Host-farebox_refresh=").unwrap().split_once("; ").unwrap();
    assert!(
        attributes.starts_with("Path=/; Max-Age=")
            && attributes.ends_with("; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    // Another host in the same domain can set a cookie without the `__Host-` prefix.
    ask("api.example.com", format!("farebox_refresh={token}"))
        .await
        .expect(401, "not_authenticated");
    ask("localhost:3000", format!("__Host-farebox_refresh={token}"))
        .await
        .expect(401, "not_authenticated");
    ask("localhost:3000", format!("farebox_refresh={token}")).await.is(200);
}

#[tokio::test]
async fn listed_origins_cannot_ask_for_cookies() {
    let api = Api::own(&[("ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let preflight = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type, x-refresh-token"),
    ];
    for path in ["/api/login/", "/api/register/", "/api/token/refresh/"] {
        let answer = api.send(Method::OPTIONS, path, &preflight, None).await;
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "authorization, content-type, idempotency-key, x-device-token"
        );
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        answer.is(204);
    }
}

#[tokio::test]
async fn known_pages_log_in_although_strangers_guess() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let mut page = Page::of(&api);
    let ann = page.register().await;
    let log_in = json!({ "username": ann.name, "password": ann.password });
    page.post("/api/login/", &[], log_in.clone()).await.is(200);
    page.post("/api/logout/", &[("authorization", &ann.bearer())], json!({})).await.is(200);
    assert!(page.device.is_some(), "a log-out is not the end of a device");
    let account = api.account(&ann).await;
    api.store().forget_attempts(&account.label, None).await.unwrap();
    api.moves(&ann).await;
    let wrong = json!({ "username": ann.name, "password": "secret124" });
    api.log_in(wrong.clone()).await.expect(401, "invalid_credentials");
    api.log_in(log_in.clone()).await.expect(429, "too_many_attempts");
    page.post("/api/login/", &[], wrong).await.expect(401, "invalid_credentials");
    page.post("/api/login/", &[], log_in.clone()).await.is(200);
    // Without the `X-Refresh-Token` header, the API doesn't read cookies.
    let cookie = format!("farebox_device={}", page.device.as_ref().unwrap());
    api.send(Method::POST, "/api/login/", &[("cookie", &cookie)], Some(log_in))
        .await
        .expect(429, "too_many_attempts");
}

/// A browser sends cookies to every port of a host, so a server on another port can replay them.
#[tokio::test]
async fn cookies_are_useless_on_another_port() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "9")]).await;
    let mut page = Page::of(&api);
    let ann = page.register().await;
    let log_in = json!({ "username": ann.name, "password": ann.password });
    let token = page.token().to_owned();
    let cookie =
        format!("farebox_refresh={token}; farebox_device={}", page.device.as_ref().unwrap());
    let before = api.items(&ann.id).await;
    let asked = ("x-refresh-token", "cookie");
    let other = ("x-page-key", "00000000000000000000000000000000");
    for sent in [vec![], vec![asked], vec![asked, other], vec![other]] {
        let headers: Vec<_> =
            [("cookie", cookie.as_str())].into_iter().chain(sent.iter().copied()).collect();
        let ask = |path, body| api.send(Method::POST, path, &headers, Some(body));
        let in_cookie = ask("/api/token/refresh/", json!({})).await;
        assert!([400, 401].contains(&in_cookie.status.as_u16()), "{in_cookie:?}");
        for path in ["/api/token/refresh/", "/api/token/verify/", "/api/token/blacklist/"] {
            let body = json!({ "refresh": token, "token": token });
            assert_eq!(ask(path, body).await.status, 401, "{path} {sent:?}");
        }
    }
    assert_eq!(api.items(&ann.id).await, before);

    // The page's device token doesn't give a client on another port a separate count of guesses.
    let wrong = json!({ "username": ann.name, "password": "secret124" });
    let log_in_elsewhere = async |headers: &[(&str, &str)]| {
        let mut event = function::event("login", "/api/login/", headers, &log_in);
        event["requestContext"]["identity"]["sourceIp"] = json!("192.0.2.66");
        let login = &api.server().functions["login"];
        let reply = function::invoke(login, &event, function::TIME).await;
        function::Reply::of(reply).await.status
    };
    while api.log_in(wrong.clone()).await.status != 429 {}
    let device = page.device.clone().unwrap();
    for headers in [
        vec![("x-device-token", device.as_str())],
        vec![("host", "localhost"), ("cookie", cookie.as_str()), asked, other],
    ] {
        assert_eq!(log_in_elsewhere(&headers).await, 429, "{headers:?}");
    }
    let [asked, own] = page.wish();
    let headers = [("host", "localhost"), ("cookie", cookie.as_str()), asked, own];
    assert_eq!(log_in_elsewhere(&headers).await, 200);
    page.refresh().await.is(200);
}

#[tokio::test]
async fn old_cookies_are_bound_at_their_next_refresh() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let mut page = Page { kept: Some(ann.refresh.clone()), ..Page::of(&api) };
    page.refresh().await.is(200);
    let bound = page.token().to_owned();
    api.refresh(&bound).await.expect(401, "token_not_valid");
    Page::of(&api).present(&bound).await.expect(401, "token_not_valid");
    page.refresh().await.is(200);
    assert_eq!(forge::claims(page.token())["origin"], forge::claims(&bound)["origin"]);
}

/// Pages that were loaded before page keys existed keep working, except on loopback.
#[tokio::test]
async fn old_pages_keep_working_on_single_port_hosts() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let refresh = &api.server().functions["token_refresh"];
    let cookie = format!("__Host-farebox_refresh={}", ann.refresh);
    let headers =
        [("host", "api.example.com"), ("x-refresh-token", "cookie"), ("cookie", cookie.as_str())];
    let reply =
        function::ask(refresh, "token_refresh", "/api/token/refresh/", &headers, json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(fields(&reply.body), ["access"]);
}
