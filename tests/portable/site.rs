//! The pages for browsers and their files: `GET /`, `GET /admin`, `GET /docs`, `GET /verify-email`,
//! `GET /reset-password`, `GET /assets/{version}/{file+}`.

use std::collections::{BTreeMap, BTreeSet};

use functions::pages::site::{FILES, VERSION};
use serde_json::{Value, json};

use crate::support::client::{Answer, Api};
use crate::support::function::{TIME, event, invoke};
use crate::support::lambda::Instance;

const PAGES: [(&str, &str); 4] = [
    ("/", "chat/page.html"),
    ("/admin/", "admin/page.html"),
    ("/docs/", "docs/page.html"),
    ("/s/00000000000000000000000000000000", "share/page.html"),
];

fn text(answer: Answer) -> String {
    answer.is(200).as_str().expect("a text").to_owned()
}

/// The absolute paths of the files that a page's attributes refer to.
fn files_of(page: &str, path: &str) -> Vec<String> {
    let values =
        ["src=\"", "href=\""].into_iter().flat_map(|attribute| page.split(attribute).skip(1));
    let values = values.map(|rest| rest.split('"').next().unwrap());
    let base = reqwest::Url::parse("http://x").unwrap().join(path).unwrap();
    values
        .map(|value| base.join(value).unwrap().path().to_owned())
        .filter(|path| path.starts_with("/assets/"))
        .collect()
}

#[tokio::test]
async fn pages_run_only_their_own_files_cached_for_a_year() {
    let api = Api::start().await;
    for (path, name) in PAGES {
        let answer = api.get(path).await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(
            (
                answer.header("cross-origin-opener-policy"),
                answer.header("cross-origin-resource-policy")
            ),
            ("same-origin", "same-origin")
        );
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "font-src data:",
            "img-src 'self' data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|part| part == rule), "{rule} of {policy}");
        }
        assert!(policy.contains("; style-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let page = text(answer);
        for inline in
            ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"]
        {
            assert!(!page.contains(inline), "{inline} in {name}");
        }
        assert!(
            page.split("<script").skip(1).all(|script| script
                .split('>')
                .next()
                .unwrap()
                .contains(" src=\"")),
            "a script in {name}"
        );
        let files = files_of(&page, path);
        assert!(!files.is_empty(), "{page}");
        for file in files {
            assert!(file.starts_with(&format!("/assets/{VERSION}/")), "{file}");
            let answer = api.get(&file).await;
            assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
            answer.is(200);
        }
    }
}

#[tokio::test]
async fn pages_get_no_camera_microphone_or_location() {
    let api = Api::start().await;
    for (path, _) in PAGES {
        let answer = api.get(path).await;
        let permissions: BTreeMap<&str, &str> = answer
            .header("permissions-policy")
            .split(", ")
            .map(|one| one.split_once('=').expect("a feature and its origins"))
            .collect();
        for feature in ["camera", "microphone", "geolocation", "payment", "usb", "clipboard-read"] {
            assert_eq!(permissions.get(feature), Some(&"()"), "{feature} at {path}");
        }
        // The copy buttons need the `clipboard-write` permission.
        assert_eq!(permissions["clipboard-write"], "(self)");
        let others = permissions.iter().filter(|(_, origins)| **origins != "()");
        assert_eq!(others.count(), 1, "{permissions:?}");
    }
}

/// Every part of `text` between `start` and `end`.
fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

/// Without preloads a browser finds a script only after it has read the importing script, so a deep
/// import would take many round trips.
#[test]
fn pages_preload_all_scripts_that_they_import() {
    let texts: BTreeMap<&str, &str> = FILES.iter().copied().collect();
    let root = reqwest::Url::parse("http://x/").unwrap();
    let path = |base: &reqwest::Url, name: &str| base.join(name).unwrap().path()[1..].to_owned();
    for (_, page) in PAGES {
        let named = |tag| {
            between(texts[page], tag, "\"")
                .map(|path| path.split_once("assets/").unwrap().1.to_owned())
        };
        let mut imported = BTreeSet::new();
        let mut unread: Vec<String> = named("<script type=\"module\" src=\"").collect();
        while let Some(script) = unread.pop() {
            let imports = between(texts[script.as_str()], " from \".", "\"");
            let base = root.join(&script).unwrap();
            let imports = imports.map(|name| path(&base, &format!(".{name}")));
            unread.extend(imports.filter(|import| imported.insert(import.clone())));
        }
        let preloaded: Vec<String> = named("<link rel=\"modulepreload\" href=\"").collect();
        assert!(imported.len() > 10, "{page}");
        assert_eq!(preloaded.len(), imported.len(), "{page}");
        assert_eq!(BTreeSet::from_iter(preloaded), imported, "{page}");
    }
}

#[tokio::test]
async fn files_are_served_unchanged_with_their_type() {
    let api = Api::start().await;
    for (name, content) in FILES.iter().filter(|(name, _)| !name.ends_with(".html")) {
        let answer = api.get(&format!("/assets/{VERSION}/{name}")).await;
        let expected = match name.rsplit_once('.').unwrap().1 {
            "js" | "mjs" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            "webmanifest" => "application/manifest+json",
            "txt" => "text/plain",
            other => panic!("the type of .{other} is not known"),
        };
        assert_eq!(answer.header("content-type"), format!("{expected}; charset=utf-8"));
        let decodes = answer.header("content-security-policy").contains("wasm-unsafe-eval");
        assert_eq!(decodes, *name == "vendor/pdfjs/pdf.worker.min.mjs", "{name}");
        // The test's client has already parsed JSON files.
        let is_alike = match answer.is(200) {
            Value::String(text) => text == *content,
            manifest => manifest == serde_json::from_str::<Value>(content).unwrap(),
        };
        assert!(is_alike, "{name}");
    }
}

#[tokio::test]
async fn old_pages_get_current_files_uncached() {
    let api = Api::start().await;
    for version in ["0", "0000000000000000", "x%20y"] {
        let answer = api.get(&format!("/assets/{version}/docs/page.js")).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        answer.is(200);
    }
}

#[tokio::test]
async fn unknown_files_are_not_found() {
    let api = Api::start().await;
    for path in [
        format!("/assets/{VERSION}/nothing.js"),
        format!("/assets/{VERSION}/chat/nothing.js"),
        format!("/assets/{VERSION}/chat/page.html"),
        format!("/assets/{VERSION}/vendor"),
        format!("/assets/{VERSION}/vendor/temml"),
        format!("/assets/{VERSION}/.."),
        format!("/assets/{VERSION}/temml.css"),
        format!("/assets/{VERSION}/chat/chat/page.js"),
        format!("/assets/{VERSION}/Docs/page.js"),
        format!("/assets/{VERSION}"),
        "/assets".into(),
        "/assets/docs/page.js".into(),
        "/docs.js".into(),
        "/docs/page.js".into(),
        "/admin/users".into(),
        "/chat/page.html".into(),
        "/index.html".into(),
    ] {
        api.get(&path).await.expect(404, "not_found");
    }
    // Emulators may rewrite or refuse such paths.
    let odd: &[&str] = if api.is_own() {
        &[
            "%2e%2e%2fCargo.toml",
            "docs%2fpage.js",
            "docs/page.js%00",
            "docs/%70age.js",
            "docs//page.js",
        ]
    } else {
        &[]
    };
    for name in odd {
        api.get(&format!("/assets/{VERSION}/{name}")).await.expect(404, "not_found");
    }
}

#[tokio::test]
async fn pages_without_the_final_slash_redirect() {
    let api = Api::start().await;
    for (path, location) in [("/admin", "admin/"), ("/docs", "docs/")] {
        let answer = api.get(path).await;
        assert_eq!(answer.header("location"), location);
        answer.is(308);
    }
}

#[tokio::test]
async fn e_mailed_links_pass_their_token_to_the_chat_in_the_hash() {
    let api = Api::start().await;
    for (asked, location) in [
        ("/verify-email/?token=a-b_c", "../#/verify-email?token=a-b_c"),
        ("/verify-email?token=a-b_c", "./#/verify-email?token=a-b_c"),
        ("/reset-password/?token=a-b_c&x=1", "../#/reset-password?token=a-b_c"),
        ("/reset-password/", "../#/reset-password?token="),
        (
            "/reset-password/?token=%0d%0aSet-Cookie:%20x%3d1%23%26%3c",
            "../#/reset-password?token=%0D%0ASet-Cookie%3A+x%3D1%23%26%3C",
        ),
    ] {
        let answer = api.get(asked).await;
        assert_eq!(answer.header("location"), location);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.is(303);
    }
}

/// In an API Gateway event, the path is `/` if the request's path is only the stage's name.
#[tokio::test]
async fn bare_stages_redirect_to_their_slash() {
    let api = Api::own(&[]).await;
    for (asked, location) in [("/live", Some("live/")), ("/live/", None), ("/", None), ("", None)] {
        let host = [("host", "x.execute-api.eu-central-1.amazonaws.com")];
        let mut event = event("site", "/", &host, &Value::Null);
        event["requestContext"]["path"] = json!(asked);
        let reply = invoke(&api.server().functions["site"], &event, TIME).await;
        assert_eq!(
            reply.headers().get("location").map(|location| location.to_str().unwrap()),
            location,
            "{asked}"
        );
        assert_eq!(reply.status(), if location.is_some() { 308 } else { 200 }, "{asked}");
    }
}

#[tokio::test]
async fn pages_need_no_store_and_reveal_nothing_of_it() {
    let (api, ann) = Api::without_a_store().await;
    for (path, _) in PAGES {
        assert_eq!(text(ann.get(path).await), text(api.get(path).await));
    }
}

/// The gateway can only forward text.
#[tokio::test]
async fn the_lambda_binary_serves_text_without_store_or_keys() {
    let mut function = Instance::of("site", &[]).await;
    let of = |path: &str| {
        let mut event = event("site", path, &[("host", "api.example.com")], &Value::Null);
        event["requestContext"]["path"] = json!(path);
        event
    };
    for (name, content) in FILES {
        let page = PAGES.iter().find(|(_, page)| page == name).map(|(path, _)| (*path).to_owned());
        let path = page.clone().unwrap_or_else(|| format!("/assets/{VERSION}/{name}"));
        let reply = function.does(&of(&path)).await;
        assert_eq!(
            (&reply["statusCode"], &reply["isBase64Encoded"]),
            (&json!(200), &json!(false)),
            "{name}"
        );
        assert!(page.is_some() || reply["body"].as_str() == Some(*content), "{name}");
    }
    let reply = function.does(&of("/admin")).await;
    assert_eq!(
        (&reply["statusCode"], &reply["multiValueHeaders"]["location"][0]),
        (&json!(308), &json!("admin/"))
    );
}
