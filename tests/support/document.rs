//! Checks that each request and reply in a test conforms to the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use functions::ROUTES;
use functions::service::openapi::{DocumentSettings, FORM, document};
use jsonschema::Validator;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::config::Settings;
use shared::http::Route;

/// Headers that the document doesn't list for each reply: the headers of every reply, HTTP's own
/// headers, and headers for browsers.
const UNDESCRIBED: [&str; 12] = [
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "openai-processing-ms",
    "referrer-policy",
    "strict-transport-security",
    "transfer-encoding",
    "x-content-type-options",
    "x-robots-tag",
];

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&stated(&[]), "").unwrap());

static OPERATIONS: LazyLock<BTreeMap<(String, String), Operation>> = LazyLock::new(|| {
    operations(&DOCUMENT)
        .map(|(method, path, operation)| ((method, path), Operation::of(operation)))
        .collect()
});

pub fn stated(settings: &[(&str, &str)]) -> DocumentSettings {
    let settings: BTreeMap<&str, &str> = settings.iter().copied().collect();
    let settings = Settings::new(|name| {
        settings
            .get(name)
            .map(|value| (*value).to_owned())
            .or_else(|| name.ends_with("_TABLE").then(|| name.to_owned()))
    });
    DocumentSettings::read(&settings).unwrap()
}

/// Returns true if the document describes a request body for this route.
pub fn takes_a_body(route: &Route) -> bool {
    OPERATIONS[&(route.method.to_owned(), route.path.to_owned())].body.is_some()
}

/// Returns true if the document says that the request body may be a form.
pub fn takes_a_form(route: &Route) -> bool {
    OPERATIONS[&(route.method.to_owned(), route.path.to_owned())].takes_a_form
}

/// Returns true if the document says that a request on this route may need a credential.
pub fn takes_a_credential(route: &Route) -> bool {
    let operation = OPERATIONS.get(&(route.method.to_owned(), route.path.to_owned()));
    operation.is_some_and(|operation| operation.takes_a_credential)
}

/// Returns the status of a successful reply on this route.
pub fn success(route: &Route) -> u16 {
    let replies = &OPERATIONS[&(route.method.to_owned(), route.path.to_owned())].replies;
    *replies.keys().find(|status| (200..300).contains(*status)).unwrap()
}

/// Returns a route's path with its parameters filled in. No session or API key has this id, and no
/// page file has this name.
pub fn concrete(path: &str) -> String {
    path.replace("{id}", "00000000-0000-7000-8000-000000000000")
        .replace("{key}", "00000000-0000-7000-8000-000000000000")
        .replace("{link}", "00000000000000000000000000000000")
        .replace("{report}", "00000000-0000-7000-8000-000000000000")
        .replace("{list}", "users.csv")
        .replace("{version}", "0")
        .replace("{file}", "logo.svg")
        .replace("{file+}", "nothing.js")
}

/// Returns an endpoint's event from `events/`, whose body and parameters are the document's
/// examples.
pub fn example_event(endpoint: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = root.join(format!("events/{endpoint}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Returns the body in an event. `None` if there is no body.
pub fn example_body(event: &Value) -> Option<Value> {
    event["body"].as_str().map(|body| serde_json::from_str(body).unwrap())
}

/// A value in an operation's reply that another operation's request needs.
pub struct Link {
    pub from: String,
    /// The value's position in the reply, as a JSON pointer.
    pub pointer: String,
    pub to: String,
    /// The parameter of the path, or the field of the body, that gets the value.
    pub input: String,
    pub is_field: bool,
}

/// Every link in the document.
pub static LINKS: LazyLock<Vec<Link>> = LazyLock::new(|| {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all = Vec::new();
    for (_, _, operation) in operations(&DOCUMENT) {
        let replies = operation["responses"].as_object().unwrap().values();
        for (to, link) in replies.filter_map(|reply| reply["links"].as_object()).flatten() {
            for (part, is_field) in [("parameters", false), ("x-body", true)] {
                let inputs = link[part].as_object().into_iter().flatten();
                all.extend(inputs.map(|(input, value)| Link {
                    from: text(&operation["operationId"]),
                    pointer: text(value).replace("$response.body#", ""),
                    to: to.clone(),
                    input: input.clone(),
                    is_field,
                }));
            }
        }
    }
    all
});

impl Link {
    /// Returns the value that the input has in the event of the endpoint that needs it.
    pub fn example(&self, event: &Value) -> String {
        let body = || example_body(event).unwrap();
        let inputs = if self.is_field { body() } else { event["pathParameters"].clone() };
        inputs[&self.input].as_str().unwrap().to_owned()
    }
}

/// Returns the operations, each with its method and its route's path.
pub fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let path = if path == "/" { path } else { path.trim_end_matches('/') };
        methods
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.to_owned(), operation))
    })
}

/// An operation, prepared for the comparison with requests and replies.
struct Operation {
    body: Option<Validator>,
    needs_a_body: bool,
    takes_a_form: bool,
    takes_a_credential: bool,
    replies: BTreeMap<u16, Reply>,
}

struct Reply {
    /// The body's schema for each media type.
    bodies: BTreeMap<String, Validator>,
    headers: BTreeSet<String>,
}

impl Operation {
    fn of(operation: &Value) -> Self {
        let body = operation
            .pointer("/requestBody/content/application~1json/schema")
            .map(|schema| validator(&inlined(schema)));
        let reply = |(status, reply): (&String, &Value)| {
            (status.parse().unwrap(), Reply::of(&inlined(reply)))
        };
        let replies = operation["responses"].as_object().unwrap().iter().map(reply).collect();
        Self {
            body,
            takes_a_form: operation["description"].as_str().unwrap().contains(FORM),
            needs_a_body: operation.pointer("/requestBody/required") == Some(&json!(true)),
            takes_a_credential: operation["security"] != json!([]),
            replies,
        }
    }
}

impl Reply {
    fn of(reply: &Value) -> Self {
        let body = |(media_type, content): (&String, &Value)| {
            let mut schema = opened(&content["schema"]);
            close(&mut schema);
            (media_type.clone(), validator(&schema))
        };
        let bodies = reply.get("content").and_then(Value::as_object);
        let bodies = bodies.into_iter().flatten().map(body).collect();
        Self {
            bodies,
            headers: reply["headers"]
                .as_object()
                .unwrap()
                .keys()
                .map(|name| name.to_lowercase())
                .collect(),
        }
    }
}

pub fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("{error} in {schema}"))
}

/// Returns a part of the document with its references resolved.
pub fn inlined(part: &Value) -> Value {
    match part {
        Value::Object(fields) => match fields.get("$ref") {
            Some(reference) => {
                let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                inlined(
                    DOCUMENT
                        .pointer(pointer)
                        .unwrap_or_else(|| panic!("{reference} leads nowhere")),
                )
            }
            None => fields.iter().map(|(name, field)| (name.clone(), inlined(field))).collect(),
        },
        Value::Array(items) => items.iter().map(inlined).collect(),
        plain => plain.clone(),
    }
}

/// Returns the schema with one change: if a string contains JSON, the JSON's schema replaces the
/// string's schema.
fn opened(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => match fields.get("contentSchema") {
            Some(held) => opened(held),
            None => {
                let held = fields
                    .get("anyOf")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .any(|one| one.get("contentSchema").is_some());
                let fields = fields.iter().filter(|(name, _)| !held || *name != "type");
                fields.map(|(name, field)| (name.clone(), opened(field))).collect()
            }
        },
        Value::Array(items) => items.iter().map(opened).collect(),
        plain => plain.clone(),
    }
}

/// Returns the events in a stream, with their data parsed.
fn events(text: &str) -> Vec<Value> {
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        (
            name.to_owned(),
            if name == "data" {
                serde_json::from_str(value).unwrap_or(json!(value))
            } else {
                json!(value)
            },
        )
    };
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| event.lines().map(field).collect())
        .collect()
}

const TOGETHER: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Forbids fields that an object's schema doesn't list. Clients must accept new fields, but the
/// document must list all existing fields.
fn close(schema: &mut Value) {
    fn members(schema: &Value) -> impl Iterator<Item = &Value> {
        TOGETHER.iter().filter_map(|name| schema.get(name)?.as_array()).flatten()
    }
    fn is_object(schema: &Value) -> bool {
        (schema["type"] == "object" && schema.get("properties").is_some())
            || members(schema).any(is_object)
    }
    fn go_in(schema: &mut Value) {
        for field in schema
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .map(|(_, field)| field)
        {
            close(field);
        }
        schema.get_mut("items").into_iter().for_each(close);
        for name in TOGETHER {
            schema
                .get_mut(name)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .for_each(go_in);
        }
    }
    go_in(schema);
    if is_object(schema) {
        schema["unevaluatedProperties"] = json!(false);
    }
}

/// Asserts that the document describes this reply and, if the API accepted the request, the
/// request.
pub fn describes(
    method: &Method,
    path: &str,
    sent: &[u8],
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
) {
    let path = path.split('?').next().unwrap();
    let Some(pattern) = shared::http::pattern(ROUTES.iter().map(|route| route.path), path) else {
        return;
    };
    let Some(operation) = OPERATIONS.get(&(method.to_string(), pattern.to_owned())) else { return };
    let asked = format!("{method} {path} -> {status}");
    let reply = operation
        .replies
        .get(&status.as_u16())
        .unwrap_or_else(|| panic!("{asked} is not in the document: {text}"));
    let media_type = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let media_type = media_type.split(';').next().unwrap();
    let said = match media_type {
        "text/event-stream" => events(text),
        "text/csv" => vec![json!(text)],
        _ => serde_json::from_str(text).into_iter().collect(),
    };
    assert!(
        !said.is_empty() || reply.bodies.is_empty() || pattern == "/api/user/export",
        "{asked} says nothing, or no JSON: {text}"
    );
    assert!(
        reply.bodies.contains_key(media_type) || (reply.bodies.is_empty() && text.is_empty()),
        "{asked} is not described as {media_type}"
    );
    for (said, body) in said.iter().filter_map(|said| Some((said, reply.bodies.get(media_type)?))) {
        let wrong: Vec<String> = body
            .iter_errors(said)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{asked} is not what the document says: {wrong:?} in {said}");
    }
    for name in headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| !UNDESCRIBED.contains(name) && !name.starts_with("access-control-"))
    {
        assert!(
            name == "vary" || reply.headers.contains(name),
            "{asked} has a header that is not described: {name}"
        );
    }
    let Some(body) = operation.body.as_ref().filter(|_| status.is_success()) else { return };
    assert!(!sent.is_empty() || !operation.needs_a_body, "{asked} took no body");
    if let Ok(sent) = serde_json::from_slice::<Value>(sent) {
        let wrong: Vec<String> = body
            .iter_errors(&sent)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{asked} took what the document refuses: {wrong:?} in {sent}");
    }
}
