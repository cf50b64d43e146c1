//! A local API Gateway, which builds a REST event from an HTTP request, lets lambda_http parse the
//! event, and calls the endpoint that the template routes the request to. A handler can't tell this
//! gateway from API Gateway and Lambda.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use functions::gateway::{HEADERS, MALFORMED, NOT_FOUND, REFUSED, Refusal, TOO_LARGE, UNAVAILABLE};
use functions::{Function, ROUTES};
use futures_util::StreamExt;
use lambda_http::RequestExt;
use lambda_http::http::{HeaderMap, HeaderValue, Method, Uri, header};
use lambda_http::lambda_runtime::{Config as Runtime, Context};
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::http::{Body as Streamed, edge};
use shared::lambda::with_repeated_headers;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;
use uuid::Uuid;

use crate::http_server::{self, BodyError};
use crate::template::Template;

/// API Gateway's limit for the size of a request body, in bytes.
const PAYLOAD_LIMIT: usize = 10 * 1024 * 1024;

/// The maximum number of cached compressed replies.
const COMPRESSED: usize = 64;

/// The template's routes, and the functions behind them.
#[derive(Clone)]
pub struct Gateway {
    /// The target of each route, by path, and then by method or `ANY`.
    routes: Arc<BTreeMap<String, BTreeMap<String, Target>>>,
    compressed_from: usize,
    compressed: Arc<Compressed>,
    clock: Clock,
}

/// The function behind a route.
#[derive(Clone)]
struct Target {
    name: Arc<str>,
    function: Function,
    timeout: Duration,
}

impl Gateway {
    /// Returns a gateway for these functions. The map's keys are the functions' names in the
    /// template.
    pub fn new(template: &Template, functions: &HashMap<String, Function>, clock: Clock) -> Self {
        let mut routes: BTreeMap<String, BTreeMap<String, Target>> = BTreeMap::new();
        for described in &template.functions {
            let Some(function) = functions.get(&described.name) else { continue };
            let target = Target {
                name: described.name.as_str().into(),
                function: function.clone(),
                timeout: Duration::from_secs(described.timeout),
            };
            for (method, path) in &described.routes {
                routes.entry(path.clone()).or_default().insert(method.clone(), target.clone());
            }
        }
        let compressed_from = template.compressed_from;
        Self { routes: Arc::new(routes), compressed_from, compressed: Arc::default(), clock }
    }

    /// Serves connections until `stop`, in a task. This function isn't async, because the body of
    /// an async function is compiled in the crate that awaits the function. That crate isn't
    /// optimized, and this body contains the code that handles every request.
    pub fn serve(self, listener: TcpListener, stop: oneshot::Receiver<()>) -> JoinHandle<()> {
        tokio::spawn(http_server::serve(
            listener,
            move |req, address| answer(self.clone(), address, req),
            stop,
        ))
    }

    /// Returns the resource and the function of a request. A path without a route gets the
    /// template's resource for all other paths.
    fn find(&self, method: &str, path: &str) -> Option<(&str, &Target)> {
        let resource = shared::http::pattern(self.routes.keys().map(String::as_str), path)
            .unwrap_or("/{proxy+}");
        let (resource, methods) = self.routes.get_key_value(resource)?;
        Some((resource, methods.get(method).or_else(|| methods.get("ANY"))?))
    }
}

/// Answers a request from the client at `address`.
async fn answer(gateway: Gateway, address: SocketAddr, req: Request) -> Response {
    let (parts, body) = req.into_parts();
    if !http_server::host(&parts.headers).is_some_and(|(name, _)| http_server::is_loopback(name)) {
        return refuse(&Refusal {
            detail: "This server answers only requests for localhost, its subdomains and loopback addresses.",
            ..MALFORMED
        });
    }
    if !makes_a_url(&parts.headers) {
        return refuse(&MALFORMED);
    }
    let Some((resource, Target { name, function, timeout })) =
        gateway.find(parts.method.as_str(), parts.uri.path())
    else {
        return refuse(&NOT_FOUND);
    };
    let config = &function.edge;
    if !changes_nothing(&parts.method)
        && !http_server::may_change(&parts.headers, &config.allowed_origins)
    {
        return refuse(&Refusal {
            status: Some(403),
            title: "Forbidden",
            detail: "Pages of this origin must not change anything here. To allow it, add it to ALLOWED_ORIGINS.",
            code: "origin_not_allowed",
            ..REFUSED
        });
    }
    // One byte beyond the limit is enough for the function to reject the body.
    let limit = edge::body_limit(config, ROUTES, parts.uri.path());
    let body = match http_server::read(body, limit + 1, PAYLOAD_LIMIT).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            return refuse(&TOO_LARGE);
        }
        Err(BodyError::Stopped) => {
            return refuse(&Refusal {
                status: Some(408),
                title: "Request Timeout",
                detail: "The body is incomplete.",
                ..MALFORMED
            });
        }
    };
    let event = event(resource, &parts, &body, address, gateway.clock.millis()).to_string();
    let Some(req) = request(&event, name, gateway.clock.millis() + millis(*timeout)) else {
        return refuse(&MALFORMED);
    };

    let ends = tokio::time::Instant::now() + *timeout;
    // Run the function in a separate task, so that it continues if the client disconnects, as it
    // does on AWS.
    let (function, timeout) = (function.clone(), *timeout);
    let answer =
        tokio::spawn(tokio::time::timeout(timeout, async move { function.answer(req).await }));
    match answer.await {
        Ok(Ok(reply)) => {
            let (mut head, body) = reply.into_parts();
            let body = match body {
                // If the time-out ends a stream, the pieces that were already sent remain valid.
                Streamed::Pieces(pieces) => Body::new(Streamed::Pieces(Box::pin(
                    pieces.take_until(tokio::time::sleep_until(ends)),
                ))),
                Streamed::Text(text)
                    if text.len() >= gateway.compressed_from && takes_gzip(&parts.headers) =>
                {
                    let cache = head.headers.get(header::CACHE_CONTROL);
                    let is_public =
                        cache.is_some_and(|cache| cache.as_bytes().starts_with(b"public"));
                    let zipped = if is_public {
                        gateway.compressed.reply(parts.uri.path(), &text)
                    } else {
                        gzip(&text)
                    };
                    match zipped {
                        Ok(zipped) => {
                            let gzip = HeaderValue::from_static("gzip");
                            head.headers.insert(header::CONTENT_ENCODING, gzip);
                            Body::from(zipped)
                        }
                        Err(_) => Body::from(text),
                    }
                }
                whole => Body::new(whole),
            };
            Response::from_parts(head, body)
        }
        _ => refuse(&UNAVAILABLE),
    }
}

/// Returns the event of a REST API's proxy integration
/// ([format](https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html)).
fn event(
    resource: &str,
    parts: &lambda_http::http::request::Parts,
    body: &[u8],
    address: SocketAddr,
    now: u64,
) -> Value {
    let path = parts.uri.path();
    let (headers, all_headers) = both_forms(header_pairs(&parts.headers));
    let (query, all_query) = both_forms(
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.into(), value.into())),
    );
    let text = std::str::from_utf8(body);
    let encoded = || base64::Engine::encode(&base64::prelude::BASE64_STANDARD, body);
    json!({
        "resource": resource,
        "path": path,
        "httpMethod": parts.method.as_str(),
        "headers": headers,
        "multiValueHeaders": all_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": all_query,
        "pathParameters": path_parameters(resource, path),
        "stageVariables": null,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "extendedRequestId": Uuid::new_v4().to_string(),
            "httpMethod": parts.method.as_str(),
            "identity": { "sourceIp": address.ip().to_string() },
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": Uuid::new_v4().to_string(),
            "requestTimeEpoch": now,
            "resourcePath": resource,
            "stage": "local",
        },
        "body": if body.is_empty() { Value::Null } else { text.map_or_else(|_| encoded().into(), Value::from) },
        "isBase64Encoded": text.is_err(),
    })
}

/// Returns true if lambda_http can build a URL from these headers. Otherwise lambda_http would
/// panic.
fn makes_a_url(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let makes_one = |scheme: &str| {
        Url::parse(&format!("{scheme}://{host}/"))
            .is_ok_and(|url| Uri::try_from(url.as_str()).is_ok())
    };
    makes_one("https")
        && headers
            .get_all("x-forwarded-proto")
            .iter()
            .all(|scheme| scheme.to_str().is_ok_and(makes_one))
}

fn changes_nothing(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Returns true if the client accepts gzip with a quality above zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_ok_and(|quality| quality > 0.0)
    })
}

fn gzip(text: &str) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish().map(Bytes::from)
}

/// By path, the compressed forms of replies that are the same for all clients. Compressing the
/// OpenAPI document takes longer than most requests, and would delay other clients.
#[derive(Default)]
struct Compressed(Mutex<HashMap<String, (String, Bytes)>>);

impl Compressed {
    /// Returns the compressed form of a path's reply. Compresses the reply only if it differs from
    /// the cached reply for this path.
    fn reply(&self, path: &str, text: &str) -> io::Result<Bytes> {
        // Other requests for the same reply wait for this lock instead of compressing the reply
        // again.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, zipped)) = kept.get(path).filter(|(same, _)| same == text) {
            return Ok(zipped.clone());
        }
        let zipped = gzip(text)?;
        if kept.len() >= COMPRESSED {
            kept.clear();
        }
        kept.insert(path.to_owned(), (text.to_owned(), zipped.clone()));
        Ok(zipped)
    }
}

fn path_parameters(resource: &str, path: &str) -> Value {
    match shared::http::parameters(resource, path) {
        Some(none) if none.is_empty() => Value::Null,
        Some(found) => found.into_iter().collect(),
        None => json!({ "proxy": path.trim_start_matches('/') }),
    }
}

fn header_pairs(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
}

/// Returns two maps: from each name to its last value, and from each name to all its values. A REST
/// API's event contains both maps.
fn both_forms(
    pairs: impl Iterator<Item = (String, String)>,
) -> (BTreeMap<String, String>, BTreeMap<String, Vec<String>>) {
    let (mut last, mut all) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    for (name, value) in pairs {
        all.entry(name.clone()).or_default().push(value.clone());
        last.insert(name, value);
    }
    (last, all)
}

/// Returns the request that a function gets for an event. `name` is the function's name. The
/// function must end at `deadline`, in milliseconds since 1970. `None` if the event can't be
/// parsed.
pub fn request(event: &str, name: &str, deadline: u64) -> Option<lambda_http::Request> {
    let event: LambdaRequest = serde_json::from_str(event).ok()?;
    let request = lambda_http::Request::from(with_repeated_headers(event));
    let mut headers = HeaderMap::new();
    headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(deadline));
    headers.insert("lambda-runtime-invoked-function-arn", HeaderValue::from_static("local"));
    let runtime = Runtime { function_name: name.into(), ..Runtime::default() };
    let context = Context::new(&Uuid::new_v4().to_string(), Arc::new(runtime), &headers).ok()?;
    Some(request.with_lambda_context(context))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a reply that the gateway sends without calling a function.
fn refuse(refusal: &Refusal) -> Response {
    let Refusal { status, title, detail, code, retry_after, .. } = refusal;
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": Uuid::new_v4().to_string(),
    });
    let mut response = Response::builder().status(status.unwrap_or(400));
    for (name, value) in HEADERS {
        response = response.header(name, value);
    }
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, *seconds);
    }
    response.body(Body::from(body.to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_replies_are_compressed_once() {
        let (compressed, path) = (Compressed::default(), "/api/openapi.json");
        let first = compressed.reply(path, "a document").unwrap();
        assert_eq!(first.as_ptr(), compressed.reply(path, "a document").unwrap().as_ptr());
        let changed = compressed.reply(path, "another document").unwrap();
        assert_eq!(changed, gzip("another document").unwrap());
        for number in 0..COMPRESSED * 3 {
            compressed.reply(&format!("/assets/{number}"), "a file").unwrap();
        }
        assert!(compressed.0.lock().unwrap().len() <= COMPRESSED);
    }
}
