//! The order in which each route checks the credential, the body and the query. Clients rely on the
//! order, because it decides which failure they get if a request has several mistakes.

use emulator::checkout::signature;
use functions::ROUTES;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::http::Route;

use crate::endpoints::account::purchases::shop;
use crate::endpoints::openai::completions::Program;
use crate::support::client::{Answer, Api, Person, unique};
use crate::support::document::{self, concrete};
use crate::support::recorded::assert_recorded;

const JSON: &str = "application/json";

/// The recorded table. Each cell contains the status and the code of a reply.
const TABLE: &str = "tests/recorded/order_of_checks.tsv";

/// The columns that are filled in with the route's credential, and again without it.
const MISTAKES: [&str; 4] = ["not JSON", "not declared", "wrong types", "invalid query"];

/// The callers, one for each kind of credential.
struct Callers {
    api: Api,
    ann: Person,
    root: Person,
    program: Program,
}

/// A request without its credential.
struct Sent {
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Callers {
    async fn of(api: Api) -> Self {
        let (ann, root) = (api.person("ann").await, api.administrator("root").await);
        Self { program: Program::of(&ann).await, api, ann, root }
    }

    /// Sends a request with the kind of credential that the route needs.
    async fn send_with_credential(&self, route: &Route, sent: &Sent) -> Answer {
        let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
        let credential = match credential(route) {
            "signature" => {
                let secret = &self.api.server().checkout.as_ref().unwrap().secret;
                let body = std::str::from_utf8(&sent.body).unwrap();
                ("stripe-signature", signature(secret, body, self.api.now()))
            }
            "API key" => bearer(&self.program.key),
            "administrator" => bearer(&self.root.access),
            // The request may end the session.
            "user" if route.endpoint == "logout" => {
                bearer(&self.ann.elsewhere("another device").await.access)
            }
            "user" => bearer(&self.ann.access),
            _ => return self.send(route, sent, None).await,
        };
        self.send(route, sent, Some(credential)).await
    }

    async fn send(&self, route: &Route, sent: &Sent, credential: Option<(&str, String)>) -> Answer {
        let mut headers = vec![("content-type", sent.content_type)];
        headers.extend(credential.as_ref().map(|(name, value)| (*name, value.as_str())));
        let method = if route.method == "ANY" { "POST" } else { route.method };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.api.raw(method, &sent.path, &headers, sent.body.clone()).await
    }

    /// Returns the route's row in the table.
    async fn row(&self, route: &Route) -> String {
        let mut cells = vec![format!("{} {}", route.method, route.path), credential(route).into()];
        cells.push(cell(&self.send(route, &Sent::valid(route), None).await));
        for has_credential in [true, false] {
            for mistake in MISTAKES {
                cells.push(match (Sent::with(mistake, route), has_credential) {
                    (None, _) => "-".into(),
                    (Some(sent), true) => cell(&self.send_with_credential(route, &sent).await),
                    (Some(sent), false) => cell(&self.send(route, &sent, None).await),
                });
            }
        }
        cells.join("\t")
    }
}

impl Sent {
    /// Returns the endpoint's example. It has its own username, because other requests log in under
    /// the example's.
    fn valid(route: &Route) -> Self {
        let mut body = example(route).unwrap_or_default();
        if let Some(name) = body.get_mut("username") {
            *name = json!(unique("new"));
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let path = concrete(route.path).replace("{proxy+}", "nothing");
        Self { path, content_type: JSON, body }
    }

    /// Returns the example with one of the [`MISTAKES`]. `None` if the route has no query.
    fn with(mistake: &str, route: &Route) -> Option<Self> {
        let valid = Self::valid(route);
        Some(match mistake {
            "not JSON" => Self { body: b"{\"".to_vec(), ..valid },
            "not declared" => Self { content_type: "text/plain", ..valid },
            "wrong types" => {
                let body = mistyped(example(route).unwrap_or_default());
                Self { body: body.to_string().into_bytes(), ..valid }
            }
            _ => Self { path: format!("{}?{}", valid.path, invalid_query(route)?), ..valid },
        })
    }
}

/// Returns the kind of credential that a route needs.
fn credential(route: &Route) -> &'static str {
    match route.path {
        "/api/stripe/webhook" => "signature",
        _ if !document::takes_a_credential(route) => "none",
        path if path.starts_with("/v1/") => "API key",
        path if path.starts_with("/api/admin/") => "administrator",
        _ => "user",
    }
}

/// Returns the example of the endpoint's body. `None` if the endpoint takes no body.
fn example(route: &Route) -> Option<Value> {
    let is_documented = route.path.starts_with("/api/") || route.path.starts_with("/v1/");
    let event = is_documented.then(|| document::example_event(route.endpoint))?;
    document::example_body(&event)
}

/// Returns the body with a value of a different type in each field.
fn mistyped(mut body: Value) -> Value {
    let fields = body.as_object_mut().into_iter().flat_map(|fields| fields.values_mut());
    for value in fields {
        *value = if value.is_array() || value.is_object() { json!(0) } else { json!([[]]) };
    }
    if body.is_null() { json!([[]]) } else { body }
}

/// Returns a query with an invalid value for each of the route's parameters. `None` if the route
/// has no parameters.
fn invalid_query(route: &Route) -> Option<String> {
    let mut operations = document::operations(&document::DOCUMENT);
    let (_, _, operation) =
        operations.find(|(method, path, _)| [method, path] == [route.method, route.path])?;
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.filter(|parameter| parameter["in"] == "query");
    let invalid = |parameter: &Value| format!("{}=-", parameter["name"].as_str().unwrap());
    let query: Vec<String> = parameters.map(invalid).collect();
    (!query.is_empty()).then(|| query.join("&"))
}

/// Returns the reply's status and, if it is a failure, its code. Anthropic's form has types instead
/// of codes.
fn cell(answer: &Answer) -> String {
    let (status, body) = (answer.status.as_u16(), &answer.body);
    let codes = [&body["code"], &body["error"]["code"], &body["error"]["type"]];
    match codes.into_iter().find_map(Value::as_str).filter(|_| status >= 400) {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    }
}

#[tokio::test]
async fn checks_keep_their_recorded_order() {
    let callers = Callers::of(shop().await).await;
    let rows = join_all(ROUTES.iter().map(|route| callers.row(route))).await;
    let anonymous = MISTAKES.map(|mistake| format!("no credential, {mistake}"));
    let head = [&["route", "credential", "no credential"][..], &MISTAKES].concat().join("\t");
    let head = format!("{head}\t{}", anonymous.join("\t"));
    let table: Vec<String> = [head].into_iter().chain(rows).collect();
    assert_recorded(TABLE, &(table.join("\n") + "\n"));
}
