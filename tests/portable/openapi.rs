//! `GET /api/openapi.json`. The document describes every route, and every reply in every test
//! conforms to the document.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use functions::service::openapi::document;
use functions::{ENDPOINTS, ROUTES, pages};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::Api;
use crate::support::document::{DOCUMENT, LINKS, Link, inlined, operations, stated, validator};
use shared::error::Failure;

const PATH: &str = "/api/openapi.json";

#[test]
fn the_document_has_exactly_the_served_routes() {
    let described: BTreeSet<(String, String)> =
        operations(&DOCUMENT).map(|(method, path, _)| (method, path)).collect();
    let served = ROUTES
        .iter()
        .filter(|route| pages::ROUTES.iter().all(|page| page.endpoint != route.endpoint))
        .map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(described, served.collect());
}

#[test]
fn operations_have_a_description_and_a_unique_name() {
    let tags: BTreeSet<&str> = DOCUMENT["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&DOCUMENT) {
        assert!(
            names.insert(operation["operationId"].as_str()),
            "{method} {path}: {}",
            operation["operationId"]
        );
        for field in ["summary", "description"] {
            let text = operation[field].as_str().unwrap_or_default();
            let is_public = !text.is_empty() && !text.contains("[`");
            let is_joined = !text.replace("\n\n", "").contains('\n');
            assert!(is_public && is_joined, "{field} of {method} {path}: {text}");
        }
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.ends_with('.') && !summary.contains('\n'), "{method} {path}: {summary}");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path}");
        let successes = operation["responses"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|status| status.starts_with('2'))
            .count();
        assert_eq!(successes, 1, "{method} {path}");
        assert!(
            operation.as_object().unwrap().keys().all(|name| !name.starts_with("x-")),
            "{method} {path}"
        );
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path: BTreeSet<&str> = parameters
            .filter(|one| one["in"] == "path")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let expected = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(in_path, expected, "{method} {path}");
    }
}

#[test]
fn the_document_says_where_failures_have_anthropics_format() {
    let about = DOCUMENT["info"]["description"].as_str().unwrap();
    let (_, about) = about.split_once("Under `/v1`, failures").unwrap();
    let (about, _) = about.split_once("the format of Anthropic's API").unwrap();
    let routes = ROUTES.iter().filter(|route| route.failures.name() == "Anthropic");
    for route in routes {
        let mut places = about.split('`').filter(|place| place.contains("/messages"));
        let is_named = places.any(|place| route.path.starts_with(place));
        assert!(is_named, "{}: {about}", route.path);
    }
}

#[test]
fn client_generators_can_name_everything() {
    fn look_at(part: &Value) {
        match part {
            Value::Object(fields) => {
                assert!(!fields.contains_key("const"), "{part}");
                let both = ["anyOf", "properties"].iter().all(|name| fields.contains_key(*name));
                assert!(!both, "{part}");
                let types = fields.get("type").and_then(Value::as_array);
                let is_open = ["properties", "additionalProperties"];
                let is_open = is_open.iter().any(|name| fields.contains_key(*name));
                let is_object = types.is_some_and(|types| types.contains(&json!("object")));
                assert!(is_open || !is_object, "{part}");
                let values = ["default", "enum", "example", "examples"];
                let inner = fields.iter().filter(|(name, _)| !values.contains(&name.as_str()));
                inner.for_each(|(_, field)| look_at(field));
            }
            Value::Array(items) => items.iter().for_each(look_at),
            _ => {}
        }
    }
    look_at(&DOCUMENT);
    for (name, _) in DOCUMENT["components"]["responses"].as_object().unwrap() {
        assert!(name.starts_with("Failure") && name.chars().all(char::is_alphanumeric), "{name}");
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert_ne!(schema["type"], "null", "{field} of {name}");
            // No field may have the same name as its schema, because openapi-python-client would
            // give a variable the name of a class.
            assert_ne!(field.to_lowercase(), name.to_lowercase());
        }
    }
    for (method, path, operation) in operations(&DOCUMENT) {
        assert!(operation["security"].is_array(), "{method} {path}");
        let kinds = operation["requestBody"]["content"].as_object();
        assert!(kinds.is_none_or(|kinds| kinds.len() == 1), "{method} {path}");
    }
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        assert!(!path.ends_with('/'), "{path}");
    }
}

#[test]
fn every_failure_is_described() {
    let text = DOCUMENT["components"]["responses"].to_string();
    for failure in Failure::all() {
        // Unknown methods, and endpoints that aren't offered, aren't operations, so no operation
        // can describe their refusal.
        let nowhere = [Failure::MethodNotAllowed, Failure::NotOffered].contains(failure);
        let example = format!("\"{}\":{{\"value\"", failure.name());
        assert_eq!(text.contains(&example), !nowhere, "{failure:?}");
    }
}

#[test]
fn references_resolve_and_examples_are_valid() {
    fn look_at(part: &Value, count: &mut usize) {
        match part {
            Value::Object(fields) => {
                for example in
                    fields.get("examples").and_then(Value::as_array).into_iter().flatten()
                {
                    let schema = validator(&inlined(part));
                    assert!(schema.is_valid(example), "{example} is no example of {part}");
                    *count += 1;
                }
                if let (Some(schema), Some(examples)) =
                    (fields.get("schema"), fields.get("examples").and_then(Value::as_object))
                {
                    let schema = validator(&inlined(schema));
                    for (name, example) in examples {
                        assert!(
                            schema.is_valid(&example["value"]),
                            "{name} is no example of {part}"
                        );
                        *count += 1;
                    }
                }
                fields.values().for_each(|field| look_at(field, count));
            }
            Value::Array(items) => items.iter().for_each(|item| look_at(item, count)),
            _ => {}
        }
    }
    let mut count = 0;
    inlined(&DOCUMENT);
    look_at(&DOCUMENT, &mut count);
    assert!(count > 100, "only {count} examples");
}

#[test]
fn links_give_values_that_requests_need() {
    for Link { from, to, input, is_field, .. } in LINKS.iter() {
        let (_, _, operation) = operations(&DOCUMENT)
            .find(|(_, _, operation)| operation["operationId"] == to.as_str())
            .unwrap_or_else(|| panic!("{from} gives a value to {to}, which doesn't exist"));
        let needs = if *is_field {
            let body = operation.pointer("/requestBody/content/application~1json/schema");
            inlined(body.unwrap())["required"].as_array().unwrap().contains(&json!(input))
        } else {
            let parameters = operation["parameters"].as_array().unwrap();
            parameters.iter().any(|parameter| parameter["name"] == input.as_str())
        };
        assert!(needs, "{to} doesn't need {input}, which {from} gives");
    }
}

#[tokio::test]
async fn the_document_is_public_and_cached_for_five_minutes() {
    let answer = Api::start().await.get(PATH).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let given = answer.is(200);
    assert_eq!(
        [&given["openapi"], &given["info"]["title"], &given["info"]["version"]],
        ["3.1.0", "Farebox", env!("CARGO_PKG_VERSION")]
    );
    assert_eq!(given["servers"], json!([{ "url": "/" }]));
    assert_eq!(given["paths"], DOCUMENT["paths"]);
}

#[tokio::test]
async fn unchanged_documents_are_304_until_a_setting_changes() {
    let (api, other) = (Api::start().await, Api::own(&[("CHAT_PRICE", "7")]).await);
    let tag = api.get(PATH).await.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "the gateway compresses what it tags: {tag}");
    let strong = tag.trim_start_matches("W/");
    for known in [&tag, strong, "*", &format!("\"x\", {tag}")] {
        let answer = api.send(Method::GET, PATH, &[("if-none-match", known)], None).await;
        assert_eq!((answer.header("etag"), &answer.body), (&*tag, &json!("")), "{known}");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert!(!answer.headers.contains_key("content-type"), "{answer:?}");
        answer.is(304);
    }
    for unknown in ["\"x\"", "", "W/"] {
        api.send(Method::GET, PATH, &[("if-none-match", unknown)], None).await.is(200);
    }
    let changed = other.send(Method::GET, PATH, &[("if-none-match", &tag)], None).await;
    assert_ne!(changed.header("etag"), tag);
    changed.is(200);
}

#[tokio::test]
async fn large_documents_are_compressed_and_small_replies_are_not() {
    let api = Api::own(&[]).await;
    let get = async |path: &str, accepted: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", api.url));
        let reply = request.header("accept-encoding", accepted).send().await.unwrap();
        let zipped = reply.headers().get("content-encoding").is_some_and(|coding| coding == "gzip");
        (zipped, reply.headers()["vary"].to_str().unwrap().to_owned(), reply.bytes().await.unwrap())
    };
    let (zipped, _, plain) = get(PATH, "identity").await;
    assert!(!zipped);
    for accepted in ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8"] {
        let (zipped, vary, bytes) = get(PATH, accepted).await;
        assert!(zipped && vary.contains("Accept-Encoding") && bytes.len() < plain.len() / 4);
        let mut text = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        assert!(text == plain, "{accepted}");
    }
    assert!(!get(PATH, "gzip;q=0, deflate").await.0);
    assert!(!get("/.well-known/jwks.json", "gzip").await.0);
}

#[test]
fn the_document_knows_its_stage_and_its_settings() {
    let changed = document(
        &stated(&[
            ("MESSAGE_LIMIT", "12"),
            ("CHAT_PRICE", "7"),
            ("BODY_LIMIT", "2048"),
            ("V1_BODY_LIMIT", "4096"),
        ]),
        "/live",
    )
    .unwrap();
    assert_eq!(changed["servers"], json!([{ "url": "/live" }]));
    assert_eq!(DOCUMENT["components"]["schemas"]["Message"]["maxLength"], 32_000);
    assert_eq!(changed["components"]["schemas"]["Message"]["maxLength"], 12);
    let text = changed.to_string();
    assert!(text.contains("A message costs 7 tokens") && text.contains("at most 2048 bytes"));
    assert!(text.contains("at most 4096 bytes"), "under /v1");
}

/// The documentation page recognizes paid requests by the example of an empty balance, and sends a
/// key with each, so that a repetition isn't charged again.
#[test]
fn paid_operations_show_an_empty_balance_and_take_a_key() {
    for (method, path, operation) in operations(&DOCUMENT) {
        let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
        let endpoint = route.unwrap().endpoint;
        let asks = ENDPOINTS.iter().any(|other| other.name == endpoint && other.lambda.asks_ai);
        let replies = inlined(&operation["responses"]);
        let replies = replies.as_object().unwrap().values();
        let mut contents = replies.filter_map(|reply| reply["content"].as_object()).flatten();
        let is_paid =
            contents.any(|(_, content)| !content["examples"]["InsufficientTokens"].is_null());
        let parameters = inlined(&operation["parameters"]);
        let mut parameters = parameters.as_array().into_iter().flatten();
        let takes_key = parameters.any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(is_paid, asks, "{method} {path}");
        assert!(takes_key || !is_paid, "{method} {path}");
    }
}

#[test]
fn the_document_has_the_price_of_a_message() {
    assert_eq!(DOCUMENT["x-price"], 100);
    let dearer = document(&stated(&[("CHAT_PRICE", "1500")]), "").unwrap();
    assert_eq!(dearer["x-price"], 1500);
    assert!(dearer.to_string().contains("A message costs 1500 tokens"));
}

#[test]
fn the_document_is_rendered_once() {
    let stated = stated(&[]);
    let first = stated.text("").unwrap();
    assert!(Arc::ptr_eq(&first, &stated.clone().text("").unwrap()));
    assert_eq!(first.parse::<Value>().unwrap(), *DOCUMENT);
    assert!(stated.text("/live").unwrap().contains("/live"));
    assert_eq!(stated.text("").unwrap(), first);
}
