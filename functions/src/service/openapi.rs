//! `GET /api/openapi.json` - this API's OpenAPI document
//! ([3.1](https://spec.openapis.org/oas/v3.1.1.html)).
//!
//! The document lists every route with its fields, limits, replies, headers and failures under the
//! current settings. Each endpoint's file describes the endpoint, above its `handle` function: the
//! first paragraph of the comment is the summary, and the others are the description. This file
//! adds the parts that are common to all endpoints or can be derived.
//!
//! Five extensions in the endpoints' descriptions are instructions for this file. It removes them
//! from the document. `x-fails` lists an endpoint's failures. `x-form` says that the body may also
//! be a form. `x-gives` lists the values in the reply that other requests need; it is converted to
//! the reply's links. `x-narrow` adds constraints to the body. `x-status` says that the operator
//! chooses the reply's status. The document itself contains one extension, `x-price`: the price of
//! a message, in tokens, if there is no price list. The documentation page shows this price.

mod header;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use shared::app::{self, HandlerState, HasApp, UsesSettings};
use shared::clock::Clock;
use shared::config::{
    AccountConfig, ClientStatuses, Config, ConfigError, EdgeConfig, Names, Settings,
};
use shared::error::{ExampleSettings, Failure, REQUIRED, TokenFault};
use shared::http::{
    self, BodyLimit, FILES_BODY, Failures, HeaderMap, Layout, OtherClients, Problem, Route,
};
use shared::values::Limit;
use shared::{Error, Reply, Request, Result};
use utoipa::{OpenApi, PartialSchema};

use self::header::header;
use crate::ROUTES;
use crate::gateway::REFUSALS;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Describes the API as an OpenAPI document");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Farebox",
        description = include_str!("openapi.md"),
        contact(name = "The maintainers of Farebox"),
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "Accounts", description = "Registration, profile, e-mail address, password, export and deletion of an account."),
        (name = "Sessions", description = "Log-ins, and the sessions of an account."),
        (name = "Chat", description = "Messages to the AI, and their history."),
        (name = "Conversations", description = "Chats: messages that continue one another."),
        (name = "Folders", description = "Folders of conversations, with instructions for the AI."),
        (name = "Tokens", description = "The balance, and every change of it."),
        (name = "Shared chats", description = "Copies of chats that everybody who knows the link can read."),
        (name = "API keys", description = "Keys for programs."),
        (name = "OpenAI", description = "The API of OpenAI's clients: their base URL is `/v1`."),
        (name = "Anthropic", description = "The API of Anthropic's clients: their base URL is the URL before `/v1`."),
        (name = "Administration", description = "For administrators. These endpoints need an administrator's access token; API keys are refused."),
        (name = "Service", description = "Endpoints without an account."),
    ),
)]
struct Document;

/// Read this document
///
/// This API as an OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = super::path::openapi,
    tag = "Service",
    params((
        "If-None-Match" = Option<String>, Header,
        description = "The `ETag` of an earlier reply: if it is the current one, the reply is 304."
    )),
    responses(
        (status = 200, description = "The document.", body = Object, headers(("Cache-Control" = String), ("ETag" = String))),
        (status = 304, description = "The client has the current document.", headers(("Cache-Control" = String), ("ETag" = String))),
    ),
)]
pub async fn handle(stated: DocumentSettings, req: Request) -> Reply {
    let text = stated.text(http::base_path(&req))?;
    let response = http::text("application/json; charset=utf-8", text.to_string());
    http::tagged(&req, http::cached(response))
}

/// The failures that every operation may return. The gateway sends some of them, because it
/// throttles requests and rejects malformed ones.
const EVERYWHERE: [Failure; 6] = [
    Failure::Malformed,
    Failure::BodyTooLarge,
    Failure::HeaderTooLarge,
    Failure::Busy,
    Failure::Internal,
    Failure::Unavailable,
];

/// A base path, and the document in which this base path precedes each path.
type Written = (String, Arc<str>);

/// The settings that the document mentions. The endpoint doesn't use the store.
#[derive(Clone)]
pub struct DocumentSettings {
    config: Arc<Config>,
    accounts: Arc<AccountConfig>,
    edge: Arc<EdgeConfig>,
    /// The most recently written document, with its base path.
    written: Arc<Mutex<Option<Written>>>,
}

impl DocumentSettings {
    /// # Errors
    /// Returns an error if a setting is missing or invalid.
    pub fn read(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            config: Config::read(settings)?.into(),
            accounts: AccountConfig::read(settings)?.into(),
            edge: app::edge_config::<Self>(settings)?.into(),
            written: Arc::default(),
        })
    }

    /// Returns the document as JSON, with `base` before each path. The JSON is cached, because it
    /// is large and the same for every request.
    ///
    /// # Errors
    /// Returns [`Error::Internal`] if the document can't be built.
    pub fn text(&self, base: &str) -> Result<Arc<str>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = written.as_ref().filter(|(known, _)| known == base) {
            return Ok(text.clone());
        }
        let text: Arc<str> = document(self, base)?.to_string().into();
        *written = Some((base.to_owned(), text.clone()));
        Ok(text)
    }

    /// Returns the `iss` of every token.
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Returns an example of how this route reports a failure.
    pub fn example(&self, failure: Failure, route: &Route) -> Error {
        let Self { config, accounts, edge, .. } = self;
        match failure {
            Failure::BodyTooLarge if route.body_limit == BodyLimit::Conversation => {
                Error::BodyTooLarge { limit: edge.v1_body_limit }
            }
            Failure::BodyTooLarge if route.body_limit == BodyLimit::Files => {
                Error::BodyTooLarge { limit: FILES_BODY }
            }
            _ => failure.example(&ExampleSettings { config, accounts, edge }),
        }
    }
}

impl UsesSettings for DocumentSettings {
    const SETTINGS: &'static [Names] = &[AccountConfig::SETTINGS, ClientStatuses::SETTINGS];
}

impl HasApp for DocumentSettings {}

impl HandlerState for DocumentSettings {
    const CHOOSES_STATUSES: bool = true;

    async fn start(settings: &Settings<'_>, _: Clock) -> Result<Self, ConfigError> {
        Self::read(settings)
    }
}

/// Builds the document of an API with these settings. `base` precedes each path.
pub fn document(stated: &DocumentSettings, base: &str) -> Result<Value> {
    let described = serde_json::to_value(Document::openapi().merge_from(crate::described()))
        .map_err(|error| Error::Internal(error.to_string()))?;
    let mut document = described.clone();
    let mut paths = Map::new();
    let mut shared = Map::new();
    for route in ROUTES.iter().filter(|route| route.page.is_none()) {
        let mut operation =
            operation(&described, route).ok_or_else(|| broken(route, "is not described"))?;
        join_lines(&mut operation);
        without_null(&mut operation);
        with_empty_queries(&mut operation);
        with_form(&mut operation);
        with_status(&mut operation, stated.edge.statuses);
        narrow(&mut document, &mut operation);
        for (status, name, failure) in failing(&mut operation, route, stated, &document)? {
            put(
                &mut operation,
                "responses",
                &status,
                json!({ "$ref": format!("#/components/responses/{name}") }),
            );
            shared.insert(name, failure);
        }
        add_headers(&mut operation, route);
        // Write `security` for each operation, because the document doesn't define a default.
        operation.entry("security").or_insert_with(|| json!([]));
        let methods = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.method.to_lowercase(), Value::Object(operation));
        }
    }
    add_links(&mut paths)?;
    let server = if base.is_empty() { "/" } else { base };
    let settled = json!({
        "servers": [{ "url": server }],
        "x-price": stated.config.chat_price,
        "components": {
            "responses": shared,
            "schemas": { "Message": { "maxLength": stated.config.message_limit } },
            "securitySchemes": {
                "access_token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "`access` or `token` of a log-in. The scheme may be `Bearer`, `Token` or `JWT`.",
                },
                "api_key": { "type": "http", "scheme": "bearer", "description": "An API key, `sk-…`, or an access token." },
                "x_api_key": {
                    "type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "An API key, `sk-…`, as Anthropic's clients send it.",
                },
            },
        },
    });
    merge(&mut document, settled);
    put_value(&mut document, "paths", Value::Object(paths));
    simplify(&mut document);
    Ok(document)
}

/// Simplifies schemas for client generators without changing their meaning.
///
/// Most generators support `enum` better than `const`. If a schema contains both `anyOf` and
/// `properties`, generators lose the properties, so the `anyOf` is rewritten as nested `if`s in
/// which the last case must apply if no earlier case does. OpenAPI Generator fails on the schema of
/// a nullable object that may contain unknown fields, unless the schema explicitly allows such
/// fields.
fn simplify(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            if let Some(value) = fields.remove("const") {
                fields.insert("enum".into(), json!([value]));
            }
            if fields.contains_key("properties")
                && let Some(Value::Array(cases)) = fields.remove("anyOf")
            {
                let or = |then: Value, case: Value| json!({ "if": { "not": case }, "then": then });
                if let Some(Value::Object(narrower)) = cases.into_iter().rev().reduce(or) {
                    fields.extend(narrower);
                }
            }
            let types = fields.get("type").and_then(Value::as_array);
            let is_nullable_object = types.is_some_and(|types| types.contains(&json!("object")));
            if is_nullable_object && !fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(true));
            }
            // The `default`, `enum`, `example` and `examples` fields contain values, not schemas.
            let inner = fields.iter_mut().filter(|(name, _)| {
                !["default", "enum", "example", "examples"].contains(&name.as_str())
            });
            inner.for_each(|(_, field)| simplify(field));
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

fn broken(route: &Route, what: &str) -> Error {
    Error::Internal(format!("{} {} {what}", route.method, route.path))
}

/// Returns this route's description from the endpoint's file. An alias gets the description of its
/// original route.
fn operation(described: &Value, route: &Route) -> Option<Map<String, Value>> {
    let of = |route: &Route| {
        described
            .get("paths")?
            .get(route.path)?
            .get(route.method.to_lowercase())?
            .as_object()
            .cloned()
    };
    if let Some(mut operation) = of(route) {
        if operation.get("operationId").is_some_and(|id| id == "handle") {
            operation.insert("operationId".into(), json!(route.endpoint));
        }
        return Some(operation);
    }
    let same = |other: &&Route| (other.endpoint, other.method) == (route.endpoint, route.method);
    // If an endpoint has several operations, an alias ends with the path of its operation.
    let longer = |other: &&Route| route.path.ends_with(other.path);
    let others = ROUTES.iter().filter(same);
    let mut others = others.clone().filter(longer).chain(others);
    let (first, mut operation) = others.find_map(|other| Some((other, of(other)?)))?;
    let about = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = format!("{about}\n\nAnother name of `{} {}`.", first.method, first.path);
    let name = route.path.trim_start_matches("/api").trim_start_matches(['/', '.']);
    let name = name.replace(['/', '-'], "_").replace(['{', '}'], "");
    operation.insert("description".into(), json!(about));
    operation.insert("operationId".into(), json!(format!("{}_{name}", route.endpoint)));
    Some(operation)
}

/// Joins the lines of each paragraph in the descriptions of an operation and its parameters, because
/// some tools show the end of a line as a line break. These descriptions contain no lists.
fn join_lines(operation: &mut Map<String, Value>) {
    fn join(about: &mut Value) {
        if let Value::String(about) = about {
            let paragraphs = about.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
            *about = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
    }
    operation.get_mut("description").into_iter().for_each(join);
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    let parameters = parameters.into_iter().flatten();
    parameters.filter_map(|parameter| parameter.get_mut("description")).for_each(join);
}

/// Removes `null` from the schema of an optional body. The body may be missing, but not `null`.
fn without_null(operation: &mut Map<String, Value>) {
    let schema = operation
        .get_mut("requestBody")
        .and_then(|body| body.pointer_mut("/content/application~1json/schema"));
    let Some(schema) = schema else { return };
    let one = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .and_then(|kinds| kinds.iter().find(|kind| kind.get("$ref").is_some()))
        .cloned();
    if let Some(one) = one {
        *schema = one;
    }
}

/// A sentence for the descriptions of operations that also accept the body as a form. If the form
/// were declared as a second media type, some generated clients would send forms, and others would
/// fail.
pub const FORM: &str =
    "The body may also be a form (`application/x-www-form-urlencoded` or `multipart/form-data`).";

/// Says that query parameters may be empty. An empty one counts as missing.
fn with_empty_queries(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query")
    {
        parameter["allowEmptyValue"] = json!(true);
    }
}

/// Adds [`FORM`] to the description of an operation that accepts forms.
fn with_form(operation: &mut Map<String, Value>) {
    if operation.remove("x-form").is_some() {
        let about = operation.get("description").and_then(Value::as_str).unwrap_or_default();
        let about = format!("{about}\n\n{FORM}");
        operation.insert("description".into(), json!(about));
    }
}

/// If the operation contains `x-status`, gives its successful reply the status that the operator
/// has chosen.
fn with_status(operation: &mut Map<String, Value>, statuses: ClientStatuses) {
    if operation.remove("x-status").is_some()
        && let Some(Value::Object(replies)) = operation.get_mut("responses")
        && let Some(reply) = replies.remove("200")
    {
        replies.insert(statuses.message.to_string(), reply);
    }
}

/// Adds the constraints in `x-narrow` to the schema of an operation's body.
fn narrow(document: &mut Value, operation: &mut Map<String, Value>) {
    let Some(more) = operation.remove("x-narrow") else { return };
    let body = operation
        .get("requestBody")
        .and_then(|body| body.pointer("/content/application~1json/schema/$ref"));
    let pointer = body
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .map(str::to_owned);
    if let Some(schema) = pointer.and_then(|pointer| document.pointer_mut(&pointer)) {
        merge(schema, more);
    }
}

/// Returns an operation's failures, as one reply per status. Each tuple contains the status, the
/// reply's name in the document, and the reply.
fn failing(
    operation: &mut Map<String, Value>,
    route: &Route,
    stated: &DocumentSettings,
    document: &Value,
) -> Result<Vec<(String, String, Value)>> {
    let own = operation.remove("x-fails").unwrap_or_else(|| json!([]));
    let own: Vec<Failure> =
        serde_json::from_value(own).map_err(|error| broken(route, &error.to_string()))?;
    let mut fails: Vec<Failure> = EVERYWHERE.into_iter().chain(own).collect();
    if operation.contains_key("requestBody") {
        fails.extend([Failure::Invalid, Failure::UnsupportedMediaType]);
    }
    if operation.contains_key("security") {
        fails.extend([Failure::NotAuthenticated, Failure::InvalidToken]);
    }
    if route.path.starts_with("/api/admin/") {
        fails.push(Failure::Forbidden);
    }
    if has_parameter(operation, "cursor") {
        fails.extend([Failure::Invalid, Failure::InvalidCursor]);
    }
    let mut statuses: BTreeMap<u16, BTreeMap<&str, Error>> = BTreeMap::new();
    let inputs = Inputs::of(operation, document);
    for failure in fails {
        let example = match (failure, inputs.fields.first()) {
            (Failure::Invalid, Some(&"limit")) => http::invalid_limit(),
            (Failure::Invalid, Some(field)) if route.failures.lists_fields() => {
                Error::field(*field, REQUIRED)
            }
            _ => stated.example(failure, route),
        };
        let status = route.failures.reply(&example, "", stated.edge.statuses).status().as_u16();
        statuses.entry(status).or_default().insert(failure.name(), example);
    }
    let replies = statuses.into_iter().map(|(status, failures)| {
        let names: Vec<&str> = failures.keys().copied().collect();
        let mut shape = route.failures.name().to_owned();
        let has_fields =
            route.failures.lists_fields() && failures.contains_key(Failure::Invalid.name());
        let (of, fields) = match has_fields {
            true => (inputs.name, inputs.fields.as_slice()),
            false => ("", [].as_slice()),
        };
        let mut reply = failure(route.failures, &failures, fields, stated.edge.statuses);
        if let Some(OtherClients { failures: other, .. }) = route.other_clients {
            let their_reply = failure(other, &failures, &[], stated.edge.statuses);
            reply = either(&reply, &their_reply, other.name());
            shape += &format!("Or{}", other.name());
        }
        add_gateways(&mut reply, status);
        (status.to_string(), format!("Failure{status}{}{shape}{of}", names.concat()), reply)
    });
    Ok(replies.collect())
}

/// The names of a request's inputs: the fields of its body, with the required ones first, or its
/// query parameters.
struct Inputs<'d> {
    /// The name of the body's schema, or `Query`.
    name: &'d str,
    fields: Vec<&'d str>,
}

impl<'d> Inputs<'d> {
    fn of(operation: &'d Map<String, Value>, document: &'d Value) -> Self {
        let schema = operation
            .get("requestBody")
            .and_then(|body| body.pointer("/content/application~1json/schema/$ref")?.as_str())
            .and_then(|reference| reference.strip_prefix("#/components/schemas/"))
            .and_then(|name| {
                document.pointer("/components/schemas")?.as_object()?.get_key_value(name)
            });
        let Some((name, schema)) = schema else {
            let parameters = operation.get("parameters").and_then(Value::as_array);
            let of_query =
                parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query");
            let fields = of_query.filter_map(|parameter| parameter["name"].as_str()).collect();
            return Self { name: "Query", fields };
        };
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let all = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let others = all.map(|(name, _)| name.as_str()).filter(|name| !required.contains(name));
        Self { name, fields: required.iter().copied().chain(others).collect() }
    }
}

/// Describes a reply with one of these failures. The examples are rendered by the same code as real
/// failures. `fields` are the body's fields for which older clients get a list of sentences.
fn failure(
    format: &'static dyn Failures,
    failures: &BTreeMap<&str, Error>,
    fields: &[&str],
    statuses: ClientStatuses,
) -> Value {
    let mut codes = Vec::new();
    let mut about = Vec::new();
    let mut examples = Map::new();
    let mut more = Map::new();
    let mut headers: BTreeMap<String, usize> = BTreeMap::new();
    let mut status = 0;
    let document = |error: &Error| -> Value {
        let document = format.document(error, "6cfcdfc8-fcae-44f4-85ef-7253027842df", statuses);
        document.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    };
    let (code_at, detail_at) = match format.layout() {
        Layout::Nested { code, .. } => (format!("/error/{code}"), "/error/message"),
        Layout::Flat => ("/code".to_owned(), "/detail"),
    };
    let said = |document: &Value, pointer: &str| {
        document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for (name, error) in failures {
        let reply = format.reply(error, "", statuses);
        let example = document(error);
        let (code, detail) = (said(&example, &code_at), said(&example, detail_at));
        about.push(format!("`{code}`: {detail}"));
        if !codes.contains(&code) {
            codes.push(code);
        }
        // Some formats have another code for a malformed header.
        if error.kind() == Failure::InvalidToken {
            let code = said(&document(&Error::InvalidToken(TokenFault::Header)), &code_at);
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        status = reply.status().as_u16();
        for header in named(reply.headers()) {
            *headers.entry(header).or_default() += 1;
        }
        more.extend(members_beside_problem(&example));
        examples.insert((*name).to_owned(), json!({ "value": example }));
    }
    let narrowed = |schema: &str, narrower: Value| {
        let schema = format!("#/components/schemas/{schema}");
        json!({ "allOf": [{ "$ref": schema }, narrower] })
    };
    let (media_type, schema) = match format.layout() {
        Layout::Nested { document, error, code } => {
            let error = narrowed(error, json!({ "properties": { code: { "enum": codes } } }));
            (JSON, narrowed(document, json!({ "properties": { "error": error } })))
        }
        Layout::Flat => {
            let mut narrower = json!({ "properties": { "status": { "const": status }, "code": { "enum": codes } } });
            for field in fields.iter().filter(|field| !is_of_problem(field)) {
                let sentences = json!({ "type": "array", "items": { "type": "string" } });
                more.entry(*field).or_insert(sentences);
            }
            merge(&mut narrower, json!({ "properties": more }));
            (PROBLEM, narrowed("Problem", narrower))
        }
    };
    let mut shown: Map<String, Value> =
        headers.into_iter().map(|(name, count)| header(&name, count == failures.len())).collect();
    shown.extend([header("x-request-id", false)]);
    shown.extend(format.request_id_header().map(|name| header(name, false)));
    json!({ "description": about.join("\n\n"), "headers": shown, "content": { media_type: { "schema": schema, "examples": examples } } })
}

/// Describes a failed reply that has one of two forms, depending on the request's headers. `other` is
/// the name of the second form.
fn either(own: &Value, theirs: &Value, other: &str) -> Value {
    let part = |reply: &Value, name: &str| {
        reply.pointer(&format!("/content/application~1json/{name}")).cloned().unwrap_or_default()
    };
    let mut examples = part(own, "examples");
    for (name, example) in part(theirs, "examples").as_object().into_iter().flatten() {
        put_value(&mut examples, &format!("{name}For{other}"), example.clone());
    }
    let mut headers = theirs["headers"].clone();
    merge(&mut headers, own["headers"].clone());
    for (name, header) in headers.as_object_mut().into_iter().flatten() {
        let required = format!("/headers/{name}/required");
        let is_in_both =
            [own, theirs].iter().all(|reply| reply.pointer(&required) == Some(&json!(true)));
        put_value(header, "required", json!(is_in_both));
    }
    let schema = json!({ "anyOf": [part(own, "schema"), part(theirs, "schema")] });
    let content = json!({ JSON: { "schema": schema, "examples": examples } });
    json!({ "description": own["description"], "headers": headers, "content": content })
}

const JSON: &str = "application/json";

/// The media type of the gateway's replies.
const PROBLEM: &str = "application/problem+json";

/// Adds the gateway's own replies with this status, which are problem documents on every route.
fn add_gateways(reply: &mut Value, status: u16) {
    let refusals = REFUSALS.iter().filter(|refusal| refusal.status == Some(status));
    let mut codes: Vec<&str> = refusals.map(|refusal| refusal.code).collect();
    codes.dedup();
    let Some(Value::Object(content)) = reply.get_mut("content") else { return };
    if !codes.is_empty() && !content.contains_key(PROBLEM) {
        let narrower =
            json!({ "properties": { "status": { "const": status }, "code": { "enum": codes } } });
        let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, narrower] });
        content.insert(PROBLEM.into(), json!({ "schema": schema }));
    }
}

/// Returns true if this is the name of a member in problem documents.
fn is_of_problem(name: &str) -> bool {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        serde_json::to_value(<Problem as PartialSchema>::schema()).unwrap_or_default()
    });
    SCHEMA.pointer(&format!("/properties/{name}")).is_some()
}

/// Returns the schemas of an example's members that don't belong to problem documents: sentences,
/// lists of sentences, and lists of objects.
fn members_beside_problem(example: &Value) -> Map<String, Value> {
    let text = || json!({ "type": "string" });
    let schema = |value: &Value| match value {
        Value::Number(_) => json!({ "type": "integer" }),
        Value::Array(items) => match items.first() {
            Some(Value::Object(members)) => {
                let names: Vec<&String> = members.keys().collect();
                let members: Map<_, _> =
                    members.keys().map(|name| (name.clone(), text())).collect();
                let item = json!({ "type": "object", "required": names, "properties": members });
                json!({ "type": "array", "items": item })
            }
            _ => json!({ "type": "array", "items": text() }),
        },
        _ => text(),
    };
    let members = example.as_object().into_iter().flatten();
    let beside = members.filter(|(name, _)| !is_of_problem(name));
    beside.map(|(name, value)| (name.clone(), schema(value))).collect()
}

fn named(headers: &HeaderMap) -> Vec<String> {
    headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .filter(|name| name != "content-type")
        .collect()
}

/// Adds the headers of an operation's successful reply: those that the endpoint's file lists, and
/// those that follow from the operation's parameters and from the route's clients.
fn add_headers(operation: &mut Map<String, Value>, route: &Route) {
    let pages = has_parameter(operation, "cursor");
    let replays = has_parameter(operation, "Idempotency-Key");
    let cookies = has_parameter(operation, "X-Refresh-Token");
    let devices = has_parameter(operation, "X-Device-Token");
    let responses =
        operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
    for response in responses
        .filter_map(|(_, response)| response.as_object_mut())
        .filter(|response| !response.contains_key("$ref"))
    {
        let own = response.remove("headers");
        let own = own
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|headers| headers.keys().map(|name| name.to_lowercase()));
        let mut headers: Map<String, Value> =
            own.map(|name| header(&name, !replays && name != "set-cookie")).collect();
        if headers.contains_key("RateLimit") {
            let mut shown = HeaderMap::new();
            route.failures.show_limit(&Limit::at_once("messages", 1), &mut shown);
            headers.extend(named(&shown).iter().map(|name| header(name, !replays)));
        }
        let own_id = route.failures.request_id_header();
        let their_id = route.other_clients.and_then(|other| other.failures.request_id_header());
        headers.extend(own_id.or(their_id).map(|name| header(name, own_id.is_some())));
        headers.extend([header("x-request-id", true)]);
        headers.extend(pages.then(|| header("link", false)));
        headers.extend(replays.then(|| header("idempotent-replayed", false)));
        headers.extend(cookies.then(|| header("set-cookie", false)));
        headers.extend(devices.then(|| header("x-device-token", false)));
        response.insert("headers".into(), Value::Object(headers));
    }
}

/// Converts each operation's `x-gives` into links in its successful reply.
fn add_links(paths: &mut Map<String, Value>) -> Result<()> {
    let named = paths.iter().flat_map(|(path, methods)| {
        let operations = methods.as_object().into_iter().flatten();
        operations
            .filter_map(move |(_, operation)| Some((path, operation["operationId"].as_str()?)))
    });
    let named: Vec<_> = named.map(|(path, name)| (path.clone(), name.to_owned())).collect();
    let methods = paths.values_mut().filter_map(Value::as_object_mut);
    let operations = methods.flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    for operation in operations {
        let Some(Value::Object(gives)) = operation.remove("x-gives") else { continue };
        let mut links = Map::new();
        for (target, pointer) in &gives {
            let found = links_to(target, pointer.as_str().unwrap_or_default(), &named);
            if found.is_empty() {
                return Err(Error::Internal(format!("x-gives: no operation is {target}")));
            }
            links.extend(found);
        }
        let replies = operation.get_mut("responses").and_then(Value::as_object_mut);
        let success = replies.into_iter().flatten().find(|(status, _)| status.starts_with('2'));
        if let Some((_, reply)) = success {
            put_value(reply, "links", Value::Object(links));
        }
    }
    Ok(())
}

/// Where a value from a reply is used.
enum Target<'t> {
    /// In the last parameter of this path, in all operations at or below the path.
    Path { path: &'t str, parameter: &'t str },
    /// In a field of one operation's body, such as `voucher_redeem.code`. A link's own
    /// `requestBody` is either the whole body or one expression
    /// ([specification](https://spec.openapis.org/oas/v3.1.1.html#link-object)), so the fields are
    /// in the extension `x-body`.
    Field { operation: &'t str, field: &'t str },
}

impl<'t> Target<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        match text.strip_suffix('}').and_then(|path| path.rsplit_once('{')) {
            Some((_, parameter)) => Some(Self::Path { path: text, parameter }),
            None => {
                let (operation, field) = text.split_once('.')?;
                Some(Self::Field { operation, field })
            }
        }
    }

    /// Returns the link to the operation `name` at this path, if the operation uses `value`.
    fn link(&self, path: &str, name: &str, value: &str) -> Option<Value> {
        match self {
            Self::Path { path: target, parameter } => {
                let rest = path.strip_prefix(target)?;
                let is_below = rest.is_empty() || rest.starts_with('/');
                is_below
                    .then(|| json!({ "operationId": name, "parameters": { *parameter: value } }))
            }
            Self::Field { operation, field } => (*operation == name)
                .then(|| json!({ "operationId": name, "x-body": { *field: value } })),
        }
    }
}

/// Returns named links to the operations that use a reply's value at this JSON pointer. `named`
/// contains each operation's path and name.
fn links_to(target: &str, pointer: &str, named: &[(String, String)]) -> Vec<(String, Value)> {
    let Some(target) = Target::parse(target) else { return Vec::new() };
    let value = format!("$response.body#{pointer}");
    let link =
        |(path, name): &(String, String)| Some((name.clone(), target.link(path, name, &value)?));
    named.iter().filter_map(link).collect()
}

fn has_parameter(operation: &Map<String, Value>, name: &str) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters
        .into_iter()
        .flatten()
        .any(|parameter| parameter.get("name").is_some_and(|other| other == name))
}

fn put(object: &mut Map<String, Value>, field: &str, name: &str, value: Value) {
    if let Some(inner) = object.entry(field).or_insert_with(|| json!({})).as_object_mut() {
        inner.insert(name.to_owned(), value);
    }
}

fn put_value(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Merges the fields of `more` into `value` recursively.
fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, more) in more {
                merge(fields.entry(name).or_insert(Value::Null), more);
            }
        }
        (value, more) => *value = more,
    }
}
