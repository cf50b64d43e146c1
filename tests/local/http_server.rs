//! The ports of the local server and its embedded DynamoDB. Both refuse pages from other origins,
//! and the store accepts only the run's access key.

use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::aws::ServiceUrl;

use crate::support::client::Api;
use crate::support::program::Folder;
use crate::support::proxy::signed;

/// Another program's call to the store.
struct Call {
    method: Method,
    headers: HeaderMap,
    body: String,
}

impl Call {
    /// A call, signed with `key`, that gives a user credits and makes the user an administrator.
    fn robbing(name: &str, url: &str, key: Credentials) -> Self {
        let body = json!({
            "TableName": "UsersTable", "Key": { "pk": { "S": format!("user:{name}") } },
            "UpdateExpression": "SET tokens = :tokens, #role = :role", "ExpressionAttributeNames": { "#role": "role" },
            "ExpressionAttributeValues": { ":tokens": { "N": "777777" }, ":role": { "S": "admin" } },
        });
        let (mut headers, body) = (HeaderMap::new(), body.to_string());
        headers.insert("content-type", "application/x-amz-json-1.0".parse().unwrap());
        headers.insert("x-amz-target", "DynamoDB_20120810.UpdateItem".parse().unwrap());
        signed(&mut headers, body.as_bytes(), url, key);
        Self { method: Method::POST, headers, body }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    async fn to(self, url: &str) -> (StatusCode, HeaderMap, String) {
        let sent = reqwest::Client::new()
            .request(self.method, url)
            .headers(self.headers)
            .body(self.body)
            .send()
            .await
            .unwrap();
        (sent.status(), sent.headers().clone(), sent.text().await.unwrap())
    }
}

#[tokio::test]
async fn dynamodb_refuses_web_pages_and_unknown_access_keys() {
    // With a data folder, the store is always the embedded one.
    let folder = Folder::new();
    let api = Api::in_folder(folder.path()).await;
    let ann = api.person("ann").await;
    let before = api.items("").await;
    let ServiceUrl { url, key } = ServiceUrl::parse(&api.server().dynamo.url).unwrap();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let (id, secret) = key.unwrap();
    let key = |id: &str, secret: &str| Credentials::new(id, secret, None, None, "test");
    let right = || Call::robbing(&ann.name, &url, key(&id, &secret));
    let unsigned = || {
        let mut call = right();
        call.headers.remove("authorization");
        call
    };
    let tampered = |from: &str, to: &str| {
        let call = right();
        let authorization = call.headers["authorization"].to_str().unwrap().replace(from, to);
        call.with("authorization", &authorization)
    };

    let refused = [
        ("no signature", unsigned(), 400),
        ("another key", Call::robbing(&ann.name, &url, key("local", "local")), 400),
        ("the right id and another secret", Call::robbing(&ann.name, &url, key(&id, "local")), 400),
        (
            "another id and the right secret",
            Call::robbing(&ann.name, &url, key("local", &secret)),
            400,
        ),
        (
            "the right id as a password",
            unsigned().with("authorization", &format!("Bearer {id}")),
            400,
        ),
        ("no signed target", tampered(";x-amz-target", ""), 400),
        ("an empty signature", tampered("Signature=", "Signature=,X="), 400),
        ("another body", Call { body: right().body.replace("777777", "888888"), ..right() }, 400),
        ("another target", right().with("x-amz-target", "DynamoDB_20120810.DeleteItem"), 400),
        ("a web page", right().with("origin", "http://localhost:3000"), 403),
        ("a page of a file", right().with("origin", "null"), 403),
        ("a foreign host", right().with("host", &format!("evil.example:{port}")), 403),
        ("another port", right().with("host", "127.0.0.1:1"), 403),
        (
            "a preflight",
            Call {
                method: Method::OPTIONS,
                ..right()
                    .with("origin", "http://localhost:3000")
                    .with("access-control-request-headers", "x")
            },
            403,
        ),
        ("OPTIONS", Call { method: Method::OPTIONS, ..right() }, 405),
        ("GET", Call { method: Method::GET, ..right() }, 405),
        (
            "a body without a type, as a page sends it",
            Call { headers: HeaderMap::new(), ..right() },
            400,
        ),
    ];
    for (what, call, status) in refused {
        let (answered, headers, text) = call.to(&url).await;
        assert_eq!(answered, status, "{what}: {text}");
        assert!(
            !headers.keys().any(|name| name.as_str().starts_with("access-control")),
            "{what}: {headers:?}"
        );
        assert!(text.contains("__type") && !text.contains(&secret), "{what}: {text}");
        assert_eq!(api.items("").await, before, "{what}");
    }

    // The store accepts the access key, even under the host name that containers use for this
    // machine.
    for name in ["127.0.0.1", "localhost", "host.docker.internal"] {
        let at = format!("http://{name}:{port}");
        let (answered, _, text) = Call::robbing(&ann.name, &at, key(&id, &secret))
            .with("host", &format!("{name}:{port}"))
            .to(&url)
            .await;
        assert_eq!(answered, 200, "{name}: {text}");
    }
    assert_eq!(api.account(&ann).await.tokens.get(), 777_777);
    let other = dynamo::client(&url)
        .get_item()
        .table_name("UsersTable")
        .key("pk", AttributeValue::S("x".into()))
        .send()
        .await
        .unwrap_err();
    assert!(format!("{other:?}").contains("access key of this run"), "{other:?}");
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing_under_any_host_name() {
    let api = Api::own(&[("ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let port = api.url.rsplit(':').next().unwrap();
    let body = json!({ "username": "ann", "password": "secret123" });
    // The OpenAPI document doesn't describe this refusal, because only the local server sends it.
    let refused = async |headers: &[(&str, &str)], status: u16, code: &str| {
        let mut request =
            reqwest::Client::new().post(format!("{}/api/register", api.url)).body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (answered, answer) =
            (answer.status(), answer.json::<serde_json::Value>().await.unwrap());
        assert_eq!(
            (answered.as_u16(), &answer["code"]),
            (status, &json!(code)),
            "{headers:?}: {answer}"
        );
    };
    let json = ("content-type", "application/json");

    // Without a preflight, a browser sends only these content types, or no content type.
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:1",
        "http://app.example.com",
        &format!("http://127.0.0.1.evil.example:{port}"),
    ] {
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[json],
        ] {
            refused(&[headers, &[("origin", origin)]].concat(), 403, "origin_not_allowed").await;
        }
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let preflight = api.send(Method::OPTIONS, "/api/register", &asked, None).await;
        assert!(
            preflight.status == 204
                && !preflight.headers.contains_key("access-control-allow-origin"),
            "{preflight:?}"
        );
    }
    for headers in [&[][..], &[("content-type", "text/plain")]] {
        refused(headers, 415, "unsupported_media_type").await;
    }
    // Through DNS rebinding, a page's host name may resolve to this machine. The page's origin then
    // equals the server's.
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "203.0.113.7",
        "[::2]",
        "",
        "a b.localhost",
        "xn--.localhost",
    ] {
        let (host, origin) = (format!("{host}:{port}"), format!("http://{host}:{port}"));
        for headers in [
            &[json, ("host", host.as_str()), ("origin", origin.as_str())][..],
            &[json, ("host", host.as_str())],
        ] {
            refused(headers, 400, "malformed_request").await;
        }
        assert_eq!(api.send(Method::GET, "/", &[("host", &host)], None).await.status, 400);
    }
    assert!(api.items("").await["UsersTable"].is_empty());
    assert!(!crate::support::log::text().contains("panicked"));

    let own = format!("http://127.0.0.1:{port}");
    let others = ["localhost", "a.localhost:9999", "[::1]:80"]
        .map(|host| (host.to_owned(), format!("http://{host}")));
    let welcome = others.into_iter().chain([
        (own.replace("http://", ""), own.clone()),
        (own.replace("http://", ""), "https://app.example.com".into()),
    ]);
    for (number, (host, origin)) in welcome.enumerate() {
        let body = json!({ "username": format!("ann{number}"), "password": "secret123" });
        let headers = [json, ("host", host.as_str()), ("origin", origin.as_str())];
        api.raw(Method::POST, "/api/register", &headers, body.to_string().into_bytes())
            .await
            .is(201);
    }
    api.send(Method::GET, "/api/health", &[("origin", "https://evil.example")], None).await.is(200);
}
