//! Generates `events/*.json`: one request to each endpoint, as API Gateway sends it to a function,
//! for `sam local invoke` and the tests. Bodies and parameters are the examples in the OpenAPI
//! document.

use std::collections::BTreeMap;

use functions::service::openapi::{DocumentSettings, document};
use functions::{ENDPOINTS, ROUTES};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::config::Settings;
use shared::http::Route;

use crate::Failure;
use crate::files::Files;

/// Values that differ for each account, by endpoint and field. A script that sends an event
/// replaces these placeholders.
const PLACEHOLDERS: [(&str, &str, &str); 6] = [
    ("admin_grants", "user", "USER_ID"),
    ("email_verify", "token", "VERIFY_TOKEN"),
    ("password_reset_confirm", "token", "RESET_TOKEN"),
    ("token_blacklist", "refresh", "REFRESH_TOKEN"),
    ("token_refresh", "refresh", "REFRESH_TOKEN"),
    ("token_verify", "token", "REFRESH_TOKEN"),
];

/// An event of a REST API
/// ([format](https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html)).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'r> {
    resource: &'r str,
    path: &'r str,
    http_method: &'r str,
    headers: BTreeMap<&'static str, String>,
    multi_value_headers: BTreeMap<&'static str, [String; 1]>,
    query_string_parameters: Option<()>,
    multi_value_query_string_parameters: Option<()>,
    path_parameters: Option<BTreeMap<String, String>>,
    stage_variables: Option<()>,
    request_context: Context<'r>,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'r> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'static str,
    http_method: &'r str,
    identity: Identity,
    /// The path, including the stage.
    path: String,
    protocol: &'static str,
    request_id: &'static str,
    request_time: &'static str,
    request_time_epoch: u64,
    resource_id: &'static str,
    resource_path: &'r str,
    stage: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: &'static str,
    user_agent: &'static str,
}

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    let stated = DocumentSettings::read(&Settings::new(|name| {
        name.ends_with("_TABLE").then(|| name.to_owned())
    }))
    .map_err(|error| error.to_string())?;
    let document = document(&stated, "").map_err(|error| format!("{error:?}"))?;
    for endpoint in ENDPOINTS {
        let route = ROUTES.iter().find(|route| route.endpoint == endpoint.name);
        let route = route.ok_or_else(|| format!("{} has no route", endpoint.name))?;
        files.put(&format!("events/{}.json", endpoint.name), event(&document, route)?);
    }
    files.delete_unlisted("events")
}

fn event(document: &Value, route: &Route) -> Result<String, Failure> {
    let operation = document
        .get("paths")
        .and_then(|paths| paths.get(route.path)?.get(route.method.to_lowercase()));
    let method = if route.method == "ANY" { "GET" } else { route.method };
    let parameters = parameters(document, operation, route.path);
    let mut path = route.path.to_owned();
    for (name, value) in &parameters {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    if let Some(proxy) = parameters.get("proxy") {
        path = format!("/{proxy}");
    }
    let body = operation.map(|operation| body(document, operation, route)).transpose()?.flatten();
    let mut headers = BTreeMap::from([
        ("Host", "api.example.com".to_owned()),
        ("User-Agent", "curl/8.5.0".to_owned()),
        ("X-Forwarded-Proto", "https".to_owned()),
    ]);
    if let Some(token) = operation.and_then(|operation| credential(operation, route.path)) {
        headers.insert("Authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        headers.insert("Content-Type", "application/json".to_owned());
    }
    let event = Event {
        resource: route.path,
        path: &path,
        http_method: method,
        multi_value_headers: headers.iter().map(|(name, value)| (*name, [value.clone()])).collect(),
        headers,
        query_string_parameters: None,
        multi_value_query_string_parameters: None,
        path_parameters: Some(parameters).filter(|parameters| !parameters.is_empty()),
        stage_variables: None,
        request_context: Context {
            account_id: "123456789012",
            api_id: "a1b2c3d4e5",
            domain_name: "api.example.com",
            http_method: method,
            identity: Identity { source_ip: "203.0.113.7", user_agent: "curl/8.5.0" },
            path: format!("/live{path}"),
            protocol: "HTTP/1.1",
            request_id: "11111111-2222-4333-8444-555555555555",
            request_time: "20/Nov/2026:00:00:00 +0000",
            request_time_epoch: 1_795_132_800_000,
            resource_id: "abc123",
            resource_path: route.path,
            stage: "live",
        },
        body,
        is_base64_encoded: false,
    };
    Ok(serde_json::to_string_pretty(&event)? + "\n")
}

/// Returns the placeholder for the credential that an operation accepts.
fn credential(operation: &Value, path: &str) -> Option<&'static str> {
    let schemes = operation.get("security")?.as_array()?;
    match path {
        _ if schemes.is_empty() => None,
        path if path.starts_with("/v1/") => Some("YOUR_API_KEY"),
        path if path.starts_with("/api/admin/") => Some("ADMIN_TOKEN"),
        _ => Some("ACCESS_TOKEN"),
    }
}

/// Returns a value for each parameter of a path. The value is the example in the document or, for
/// an id, a placeholder such as `CONVERSATION_ID`.
fn parameters(document: &Value, operation: Option<&Value>, path: &str) -> BTreeMap<String, String> {
    let described = |name: &str| {
        let parameters = operation?.get("parameters")?.as_array()?;
        let parameter = parameters
            .iter()
            .find(|parameter| parameter.get("name").is_some_and(|other| other == name));
        let schema = resolve(document, parameter?.get("schema")?);
        let is_id = schema.get("format").is_some_and(|format| format == "uuid");
        let choices = schema.get("enum").or_else(|| schema.get("examples"));
        choices.filter(|_| !is_id)?.as_array()?.last()?.as_str().map(str::to_owned)
    };
    let mut before = "";
    let mut parameters = BTreeMap::new();
    for segment in path.split('/') {
        if let Some(name) = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            let thing = before.strip_suffix('s').unwrap_or(before).replace('-', "_");
            let value = match name {
                "proxy+" => "api/nothing".to_owned(),
                name => described(name).unwrap_or_else(|| format!("{}_ID", thing.to_uppercase())),
            };
            parameters.insert(name.trim_end_matches('+').to_owned(), value);
        } else {
            before = segment;
        }
    }
    parameters
}

/// Returns an example of an operation's body: the schema's example, or the examples of its required
/// fields.
fn body(document: &Value, operation: &Value, route: &Route) -> Result<Option<String>, Failure> {
    let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
        return Ok(None);
    };
    let schema = resolve(document, schema);
    let mut example = match schema.pointer("/examples/0") {
        Some(example) => example.clone(),
        None => Value::Object(required(document, schema).map_err(|field| {
            let Route { method, path, .. } = route;
            format!("{method} {path}: neither the body nor its field {field} has an example")
        })?),
    };
    for (endpoint, field, placeholder) in PLACEHOLDERS {
        if endpoint == route.endpoint {
            replace(&mut example, field, placeholder);
        }
    }
    Ok(Some(serde_json::to_string(&example)?))
}

/// Returns the examples of a schema's required fields. Fails with the name of a field that lacks an
/// example.
fn required(document: &Value, schema: &Value) -> Result<Map<String, Value>, String> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names
        .filter_map(Value::as_str)
        .map(|name| {
            let field = schema.get("properties").and_then(|fields| fields.get(name));
            let example = field.and_then(|field| resolve(document, field).pointer("/examples/0"));
            Ok((name.to_owned(), example.ok_or(name)?.clone()))
        })
        .collect()
}

/// Resolves a schema's `$ref`. Returns other schemas unchanged.
fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

/// Replaces the value of each field with this name.
fn replace(value: &mut Value, field: &str, text: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == field {
                    *value = text.into();
                } else {
                    replace(value, field, text);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, field, text)),
        _ => {}
    }
}
