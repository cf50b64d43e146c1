//! Malicious and broken clients. Every request is refused cleanly and changes nothing.

use reqwest::Method;
use serde_json::json;

use crate::support::client::{Answer, Api, Person, unique};
use crate::support::forge::{self, Forge, with};
use crate::support::log;

/// The routes that read a body, with one field for each kind of string.
const BODIES: [(&str, &[&str]); 9] = [
    ("/api/register/", &["username", "email", "password", "password1", "password2"]),
    ("/api/login/", &["username", "email", "password"]),
    ("/api/token/refresh/", &["refresh"]),
    ("/api/chat/", &["message", "token"]),
    ("/api/user/password/", &["current_password", "new_password"]),
    ("/api/user/api-keys/", &["name"]),
    ("/api/user/email/verify/", &["token"]),
    ("/api/password/reset/", &["email"]),
    ("/api/password/reset/confirm/", &["token", "password", "new_password"]),
];

/// Sends bytes as JSON with a valid access token.
async fn send(ann: &Person, path: &str, body: Vec<u8>) -> Answer {
    ann.api
        .raw(
            Method::POST,
            path,
            &[("content-type", "application/json"), ("authorization", &ann.bearer())],
            body,
        )
        .await
}

/// Asserts that the API refuses a JWT in a header, in the body of a chat, and as a refresh token.
async fn opens_nothing(api: &Api, what: &str, token: &str) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    for answer in [
        api.send(Method::GET, "/api/tokens/", &headers, None).await,
        api.send(Method::POST, "/api/chat/", &headers, Some(json!({ "message": "hi" }))).await,
        api.post("/api/chat/", json!({ "message": "hi", "token": token })).await,
        api.refresh(token).await,
    ] {
        // A long token may exceed the limit on headers.
        match answer.status.as_u16() {
            431 if token.len() > 8000 => drop(answer.expect(431, "header_too_large")),
            status => {
                assert_eq!(status, 401, "{what}: {answer:?}");
                answer.expect(401, "token_not_valid");
            }
        }
    }
}

#[tokio::test]
async fn tokens_need_a_signature_by_the_key() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let (real, stranger) = (Forge::of(&api), Forge::of_a_stranger());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64_url(&stranger.public_key()) });

    for (kind, token) in [("access", &ann.access), ("refresh", &ann.refresh)] {
        let (header, claims) = (forge::header(token), forge::claims(token));
        let alg = |name: &str| with(&header, "alg", json!(name));
        let public_text = base64_url(&real.public_key());
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}")
        };
        for (what, forged) in [
            ("another key", stranger.sign(&header, &claims)),
            (
                "another key and its own id",
                stranger.sign(&with(&header, "kid", json!("mine")), &claims),
            ),
            (
                "another key, in the header",
                stranger.sign(&with(&header, "jwk", jwk.clone()), &claims),
            ),
            (
                "another key, under a URL",
                stranger.sign(&with(&header, "jku", json!("https://evil.test/jwks.json")), &claims),
            ),
            (
                "another key, as a certificate",
                stranger.sign(&with(&header, "x5u", json!("https://evil.test/cert.pem")), &claims),
            ),
            ("no key: none", forge::unsigned(&alg("none"), &claims)),
            ("no key: None", forge::unsigned(&alg("None"), &claims)),
            ("no key: nOnE", forge::unsigned(&alg("nOnE"), &claims)),
            ("no key: EdDSA", forge::unsigned(&header, &claims)),
            ("no algorithm", forge::unsigned(&with(&header, "alg", None), &claims)),
            ("none with the right signature", real.sign(&alg("none"), &claims)),
            (
                "the public key as the secret",
                forge::with_mac(&alg("HS256"), &claims, &real.public_key()),
            ),
            (
                "the public key's text as the secret",
                forge::with_mac(&alg("HS256"), &claims, public_text.as_bytes()),
            ),
            ("a MAC under EdDSA", forge::with_mac(&header, &claims, &real.public_key())),
            ("an empty secret", forge::with_mac(&alg("HS256"), &claims, b"")),
            ("RS256 with the right signature", real.sign(&alg("RS256"), &claims)),
            ("ES256 with the right signature", real.sign(&alg("ES256"), &claims)),
            (
                "other claims under an old signature",
                format!(
                    "{head}.{}.{signature}",
                    base64_url(
                        with(&claims, "exp", json!(9_999_999_999_u64)).to_string().as_bytes()
                    )
                ),
            ),
            ("a short signature", format!("{head}.{body}.{}", &signature[..signature.len() - 4])),
            ("two signatures", format!("{token}.{signature}")),
            ("no claims", format!("{head}..{signature}")),
            ("padding", format!("{token}==")),
            ("a header that is no JSON", format!("{}.{body}.{signature}", base64_url(b"{"))),
            (
                "a header of broken UTF-8",
                format!("{}.{body}.{signature}", base64_url(b"{\"alg\":\"\xff\"}")),
            ),
        ] {
            opens_nothing(&api, &format!("{what} ({kind})"), &forged).await;
        }
    }
    assert_eq!(api.items(&ann.id).await, before);
    ann.profile().await.is(200);
    api.refresh(&ann.refresh).await.is(200);
}

#[tokio::test]
async fn tokens_with_a_wrong_header_or_claim_are_refused() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let before = api.items(&ann.id).await;
    let real = Forge::of(&api);
    let (header, claims) = (forge::header(&ann.access), forge::claims(&ann.access));
    // Without any change, the token is valid.
    ann.using(real.sign(&header, &claims)).profile().await.is(200);

    let long = "k".repeat(10_240);
    let mut wrong = Vec::new();
    for kid in [
        json!(null),
        json!(""),
        json!(5),
        json!("unknown"),
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
        json!("http://evil.test/"),
        json!(long),
        json!([header["kid"]]),
    ] {
        wrong.push((format!("kid {kid:.40}"), real.sign(&with(&header, "kid", kid), &claims)));
    }
    wrong.push(("no kid".into(), real.sign(&with(&header, "kid", None), &claims)));
    for typ in [json!("JWT"), json!("rt+jwt"), json!(""), json!(null)] {
        wrong.push((format!("typ {typ}"), real.sign(&with(&header, "typ", typ), &claims)));
    }
    wrong.push(("no typ".into(), real.sign(&with(&header, "typ", None), &claims)));
    wrong.push((
        "crit".into(),
        real.sign(&with(&with(&header, "crit", json!(["exp"])), "exp", json!(1)), &claims),
    ));
    let exp = claims["exp"].as_u64().unwrap();
    for (claim, values) in [
        (
            "exp",
            vec![
                json!(exp.to_string()),
                json!(exp as f64 + 0.5),
                json!(-1),
                json!(0),
                json!(1),
                json!(1.0e300),
                json!(1.844_674_407_370_955_2e19),
                json!(null),
                json!([exp]),
            ],
        ),
        ("iss", vec![json!("evil"), json!(""), json!(null), json!(["farebox"])]),
        ("aud", vec![json!("evil"), json!(""), json!(null), json!({ "0": "farebox" })]),
        ("sub", vec![json!(ben.id), json!(""), json!(null), json!(5)]),
        (
            "name",
            vec![
                json!(ben.name),
                json!("nobody-at-all"),
                json!(""),
                json!(null),
                json!({ "S": ann.name }),
            ],
        ),
        ("epoch", vec![json!(0), json!(2), json!("1"), json!(-1), json!(null)]),
        ("sid", vec![json!(null), json!(5)]),
    ] {
        for value in values {
            wrong.push((
                format!("{claim} {value}"),
                real.sign(&header, &with(&claims, claim, value)),
            ));
        }
        wrong.push((format!("no {claim}"), real.sign(&header, &with(&claims, claim, None))));
    }
    for (what, token) in &wrong {
        opens_nothing(&api, what, token).await;
    }
    assert_eq!(api.items(&ann.id).await, before);
    assert_eq!(ann.balance().await, ben.balance().await);
}

#[tokio::test]
async fn tokens_from_the_future_are_refused() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let (header, claims) = (forge::header(&ann.access), forge::claims(&ann.access));
    for nbf in [claims["exp"].clone(), json!("now"), json!(1.0e300), json!(u64::MAX)] {
        let token = Forge::of(&api).sign(&header, &with(&claims, "nbf", nbf.clone()));
        opens_nothing(&api, &format!("nbf {nbf}"), &token).await;
    }
}

#[tokio::test]
async fn tokens_that_outlive_every_session_are_refused() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let claims = with(&forge::claims(&ann.access), "exp", json!(u64::MAX));
    opens_nothing(&api, "exp", &Forge::of(&api).sign(&forge::header(&ann.access), &claims)).await;
}

/// Returns the claims of a JWT as read by a verifier that checks the issuer, audience and
/// signature, but not the type.
fn as_others_verify(
    api: &Api,
    token: &str,
) -> Result<serde_json::Value, jsonwebtoken::errors::ErrorKind> {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_issuer(&["farebox"]);
    validation.set_audience(&["farebox"]);
    let key = jsonwebtoken::DecodingKey::from_ed_der(&Forge::of(api).public_key());
    jsonwebtoken::decode(token, &key, &validation)
        .map(|token| token.claims)
        .map_err(|error| error.into_kind())
}

#[tokio::test]
async fn verifiers_without_a_type_check_accept_only_access_tokens() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let log_in = ann.log_in().await;
    let device = log_in.header("x-device-token").to_owned();
    let body = log_in.is(200);
    let mut ids = Vec::new();
    for token in [&ann.access, &ann.token, body["access"].as_str().unwrap()] {
        // RFC 9068 requires these claims in a JWT of the type `at+jwt`.
        let claims = as_others_verify(&api, token).unwrap();
        assert_eq!((&claims["client_id"], &claims["sub"]), (&json!("farebox"), &json!(ann.id)));
        assert!(claims["iat"].as_u64().unwrap() < claims["exp"].as_u64().unwrap());
        // Clients of djangorestframework-simplejwt read these claims.
        assert_eq!((&claims["token_type"], &claims["user_id"]), (&json!("access"), &json!(ann.id)));
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "no two tokens have one id");
    for token in [&ann.refresh, body["refresh"].as_str().unwrap(), &device] {
        assert_eq!(
            as_others_verify(&api, token),
            Err(jsonwebtoken::errors::ErrorKind::InvalidAudience)
        );
    }
}

#[tokio::test]
async fn tokens_from_before_audiences_are_valid_until_they_expire() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let real = Forge::of(&api);
    let mut claims = forge::claims(&ann.access);
    for claim in ["iat", "jti", "client_id", "token_type", "user_id"] {
        claims = with(&claims, claim, None);
    }
    ann.using(real.sign(&forge::header(&ann.access), &claims)).profile().await.is(200);
    let refresh = with(&forge::claims(&ann.refresh), "aud", json!("farebox"));
    let refreshed = api.refresh(&real.sign(&forge::header(&ann.refresh), &refresh)).await.is(200);
    assert_eq!(forge::claims(refreshed["refresh"].as_str().unwrap())["aud"], "farebox/refresh");
    let access = with(&forge::claims(&ann.access), "aud", json!("farebox/refresh"));
    opens_nothing(&api, "aud", &real.sign(&forge::header(&ann.access), &access)).await;
}

#[tokio::test]
async fn access_and_refresh_tokens_are_not_interchangeable() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let real = Forge::of(&api);
    let (access, refresh) = (forge::header(&ann.access), forge::header(&ann.refresh));
    let mut both = forge::claims(&ann.access);
    both["generation"] = json!(0);
    assert_ne!(access["typ"], refresh["typ"]);
    let before = api.items(&ann.id).await;

    for token in [&ann.access, &ann.token, &real.sign(&access, &both)] {
        api.refresh(token).await.expect(401, "token_not_valid");
    }
    for token in [&ann.refresh, &real.sign(&refresh, &both)] {
        ann.using(token).chat("hi").await.expect(401, "token_not_valid");
        ann.using(token).profile().await.expect(401, "token_not_valid");
    }
    assert_eq!(api.items(&ann.id).await, before);
    // If a JWT contains the claims of both access and refresh tokens, its type determines how it
    // can be used.
    ann.using(real.sign(&access, &both)).profile().await.is(200);
    api.refresh(&real.sign(&refresh, &both)).await.is(200);
}

#[tokio::test]
async fn bodies_that_are_not_json_objects_are_refused() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let deep = |levels: usize, end: &str| format!("{{\"x\": {}{end}", "[".repeat(levels));
    for (path, fields) in BODIES {
        let field = fields[0];
        for body in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "[{}]",
            "null",
            "true",
            "1",
            "\"text\"",
            "{} {}",
            "{},",
            "{}x",
            "{'x': 1}",
            "{x: 1}",
            "{\"x\": 1,}",
            "{\"x\": NaN}",
            "{\"x\": 01}",
            "\u{feff}\u{feff}{}",
            "message=hi&username=ann",
            "<message>hi</message>",
            "{\"x\": 1 /* ! */}",
            "\0",
            "{\"x\": \"\n\"}",
            &format!("{{\"{field}\": \"\\ud800\"}}"),
            &format!("{{\"{field}\": \"\\x41\"}}"),
            &format!("{{\"{field}\": \"a\0b\"}}"),
            &format!("{{\"{field}\": \"never closed"),
            &format!("{{\"{field}\": 1e400}}"),
            &deep(20_000, ""),
            &deep(20_000, "}"),
        ] {
            let answer = send(&ann, path, body.into()).await;
            assert_eq!(answer.status, 400, "{body:.60}: {answer:?}");
            answer.expect(400, "malformed_request");
        }
        let twice = format!("{{\"{field}\": \"one\", \"{field}\": \"two\"}}");
        send(&ann, path, twice.into()).await.expect(400, "malformed_request");
        let nested = deep(20_000, &format!("{}, \"x\": {{}}}}", "]".repeat(20_000)));
        let answer = send(&ann, path, nested.into()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_named() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let good = json!({ "username": unique("ann"), "password": "secret123", "refresh": ann.refresh, "message": "hi" });
    for (path, fields) in BODIES {
        for field in fields {
            for value in [
                json!(5),
                json!(-1.5),
                json!(true),
                json!([]),
                json!(["hi"]),
                json!({}),
                json!({ "S": "hi" }),
                json!(u64::MAX),
            ] {
                let refused =
                    ann.post(path, with(&good, field, value)).await.expect(400, "invalid_fields");
                let sentence = refused["errors"][field][0].as_str().unwrap();
                assert!(sentence.starts_with("This must be a text, not "), "{refused}");
            }
        }
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn broken_utf_8_is_refused_and_changes_nothing() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    for (path, fields) in BODIES {
        for broken in [
            &b"\xff"[..],
            b"\xc3\x28",
            b"\xed\xa0\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xc0\xaf",
            b"ok\xe2\x82",
        ] {
            let body = [format!("{{\"{}\": \"", fields[0]).as_bytes(), broken, b"\"}"].concat();
            let answer = send(&ann, path, body).await;
            match api.is_own() {
                true => drop(answer.expect(400, "malformed_request")),
                // The emulators fail on such bytes before a function receives them.
                false => assert!([400, 500, 502].contains(&answer.status.as_u16()), "{answer:?}"),
            }
        }
        if api.is_own() {
            // The limit counts the bytes that the client sent, and not the gateway's longer
            // encoding. Messages may carry files.
            let limit = if path == "/api/chat/" { 2_097_152 } else { 65_536 };
            send(&ann, path, vec![0xff; limit]).await.expect(400, "malformed_request");
            send(&ann, path, vec![0xff; limit + 1]).await.expect(413, "body_too_large");
        }
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn names_with_other_scripts_or_dots_belong_to_one_owner() {
    let api = Api::start().await;
    // A Greek name can't contain Latin letters. Make it unique with digits, which names in every
    // writing system may contain.
    let greek = format!("Ωμέγα-{}", uuid::Uuid::new_v4().as_u128());
    let names =
        ["安娜", "..", "user", "email+", "-_-", "constructor", "__proto__", "null"].map(unique);
    for name in names.into_iter().chain([greek]) {
        let ann = api.person_with(json!({ "username": name, "password": "secret123" })).await;
        assert_eq!(ann.log_in().await.is(200)["user"]["id"], json!(ann.id), "{name}");
        assert_eq!(ann.profile().await.is(200)["username"], json!(ann.name));
    }
}

#[tokio::test]
async fn headers_cannot_override_path_method_or_user() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    ben.chat("hi").await.is(200);
    let before = api.items(&ann.id).await;
    let long = "x".repeat(8000);
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "POST"),
        ("x-original-url", "/api/health"),
        ("x-rewrite-url", "/admin/"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "203.0.113.7, 127.0.0.1"),
        ("forwarded", "for=203.0.113.7;host=evil.test"),
        ("x-user-id", &ben.id),
        ("x-amzn-request-context", "{\"authorizer\": {\"principalId\": \"admin\"}}"),
        ("cookie", "role=admin"),
        ("accept", "text/html"),
        ("accept-encoding", "br, gzip"),
        ("range", "bytes=0-1"),
        ("if-none-match", "*"),
        ("x-long", &long),
    ] {
        let answer = ann.send(Method::GET, "/api/user/profile/", &[(name, value)], None).await;
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8", "{name}");
        assert!(!format!("{:?}", answer.headers).contains("evil.test"), "{answer:?}");
        assert_eq!(answer.is(200)["id"], json!(ann.id), "{name}");
    }
    let many = [("x-many", "x"); 60];
    ann.send(Method::GET, "/api/user/profile/", &many, None).await.is(200);
    let get = [("x-http-method-override", "GET")];
    let overridden = ann.send(Method::POST, "/api/tokens/", &get, None).await;
    overridden.expect(405, "method_not_allowed");
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn gateway_refusals_look_like_all_other_refusals() {
    let api = Api::own(&[]).await;
    let ann = api.person("ann").await;
    let before = api.items(&ann.id).await;
    let balance = async |name: &str, value: &str| {
        ann.send(Method::GET, "/api/tokens/", &[(name, value)], None).await
    };
    for (answer, status) in [
        (balance("host", "a b").await, 400),
        (balance("host", "[").await, 400),
        (balance("host", "x:99999").await, 400),
        (balance("x-forwarded-proto", "a b").await, 400),
        (send(&ann, "/api/chat/", vec![b' '; 11 * 1024 * 1024]).await, 413),
        (ann.send(Method::TRACE, "/api/chat/", &[], None).await, 404),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.body["status"], status, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    assert_eq!(api.items(&ann.id).await, before);
}

#[tokio::test]
async fn headers_are_limited_to_eight_kilobytes() {
    let api = Api::start().await;
    let ann = api.person("ann").await;
    let send = async |bytes: usize| {
        let long = "x".repeat(bytes);
        ann.send(Method::GET, "/api/tokens/", &[("x-long", &long)], None).await
    };
    send(8000).await.is(200);
    send(8193).await.expect(431, "header_too_large");
}

#[tokio::test]
async fn the_log_has_no_ip_addresses() {
    log::clear();
    let api = Api::own(&[]).await;
    let headers = [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.8"),
        ("x-real-ip", "203.0.113.9"),
        ("true-client-ip", "203.0.113.10"),
    ];
    let answer = api.send(Method::GET, "/api/health", &headers, None).await;
    let request = answer.header("x-request-id").to_owned();
    let text = log::text();
    assert!(text.contains(&request), "{text}");
    assert!(!["127.0.0.1", "203.0.113."].iter().any(|address| text.contains(address)), "{text}");
}

#[tokio::test]
async fn the_log_has_no_secrets_messages_or_forged_lines() {
    log::clear();
    let api = Api::own(&[]).await;
    let password = "correct-horse-battery";
    let ann = api.person_with(json!({ "username": unique("ann"), "email": format!("{}@example.com", unique("ann")), "password": password })).await;
    ann.log_in().await.is(200);
    api.log_in(json!({ "username": ann.name, "password": "wrong-horse-battery" }))
        .await
        .expect(401, "invalid_credentials");
    ann.chat("a most private message").await.is(200);
    ann.history("?q=private").await.is(200);
    api.post("/api/chat/", json!({ "message": "another private message", "token": "not-a-token" }))
        .await
        .expect(401, "token_not_valid");
    let made = ann.makes_a_key("a program").await.is(201);
    let (key, hidden) = (made["key"].as_str().unwrap(), &made["key"].as_str().unwrap()[36..]);
    ann.using(key).profile().await.expect(401, "token_not_valid");
    ann.revokes(made["id"].as_str().unwrap()).await.is(200);
    let second = api.refresh(&ann.refresh).await.is(200)["refresh"].as_str().unwrap().to_owned();
    api.refresh(&second).await.is(200);
    api.refresh(&ann.refresh).await.expect(401, "token_not_valid");
    api.get("/api/%0d%0a2026-01-01%20INFO%20forged%20line").await.expect(404, "not_found");

    let text = log::text();
    assert!(
        text.contains("outdated refresh token")
            && text.contains("logged in")
            && text.contains("registered"),
        "{text}"
    );
    for secret in [
        password,
        "horse",
        "private",
        "not-a-token",
        "@example.com",
        &ann.token,
        &ann.access,
        &ann.refresh,
        &second,
        key,
        hidden,
        "argon2id",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(
        text.contains("forged") && text.lines().all(|line| !line.starts_with("2026-01-01 INFO")),
        "{text}"
    );
}

fn base64_url(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes)
}
