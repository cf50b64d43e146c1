//! What goes in and out of a handler, and the edge that every request passes: method, size, panics,
//! errors, headers, log.

pub mod cookie;
mod failure;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use lambda_http::RequestExt;
use lambda_http::http::header::{self, HeaderName};
use lambda_http::request::RequestContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::Instrument;
use uuid::Uuid;

pub use lambda_http::Request;
pub use lambda_http::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

pub use self::failure::Failures;
pub use crate::stream::Body;

use crate::clock::Day;
use crate::config::Config;
use crate::idempotency::Key;
use crate::limit::Limit;
use crate::store::unknown_device;
use crate::stream::Pieces;
use crate::{App, Error, Result};

/// What a handler gives: a reply, or the failure that the edge renders.
pub type Reply = Result<Response<Body>>;

/// A method and a path, and the endpoint that serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` and so on, or `ANY`.
    pub method: &'static str,
    /// The path without a trailing slash, in API Gateway's spelling: `{id}` stands for one
    /// segment, `/{proxy+}` for any path.
    pub path: &'static str,
    /// The endpoint's name, which is its file's and its binary's.
    pub endpoint: &'static str,
    /// How its failures are written.
    pub failures: Failures,
}

/// The one of `patterns` that serves `path`, with or without its trailing slash: one of the same
/// letters before one with parameters.
pub fn pattern<'p>(patterns: impl Iterator<Item = &'p str>, path: &str) -> Option<&'p str> {
    patterns
        .filter(|pattern| parameters(pattern, path).is_some())
        .min_by_key(|pattern| pattern.contains('{'))
}

/// What the parameters of `pattern` are in `path`, as they were sent, by name. Nothing where the
/// path doesn't fit. A parameter is one whole segment that isn't empty.
pub fn parameters<'p>(pattern: &'p str, path: &'p str) -> Option<Vec<(&'p str, &'p str)>> {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    if pattern.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut found = Vec::new();
    for (expected, segment) in pattern.split('/').zip(path.split('/')) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() && !name.ends_with('+') => {
                found.push((name, segment))
            }
            None if expected == segment => {}
            _ => return None,
        }
    }
    Some(found)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// What web pages may read of a reply, beside what they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "idempotent-replayed, link, ratelimit, ratelimit-policy, retry-after, x-device-token, x-request-id, x-should-retry",
);

/// On every reply, the failed ones included.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// 200 with `body` as JSON.
pub fn ok(body: &impl Serialize) -> Reply {
    reply(StatusCode::OK, body)
}

/// 201 with `body` as JSON.
pub fn created(body: &impl Serialize) -> Reply {
    reply(StatusCode::CREATED, body)
}

/// 202 with `body` as JSON: what was asked for happens later, if at all.
pub fn accepted(body: &impl Serialize) -> Reply {
    reply(StatusCode::ACCEPTED, body)
}

/// 200 with a text of this type.
pub fn text(content_type: &'static str, text: String) -> Response<Body> {
    response(StatusCode::OK, HeaderValue::from_static(content_type), text)
}

/// 308: what was asked for is, and stays, elsewhere.
pub fn moved(location: &str) -> Reply {
    redirect(StatusCode::PERMANENT_REDIRECT, location)
}

/// 303: what was asked for is shown elsewhere.
pub fn see_other(location: &str) -> Reply {
    redirect(StatusCode::SEE_OTHER, location)
}

fn redirect(status: StatusCode, location: &str) -> Reply {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    let location =
        HeaderValue::try_from(location).map_err(|error| Error::Internal(error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// 200 with rows of cells as CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)), the first of which names the columns.
pub fn csv<'c>(rows: impl IntoIterator<Item = Vec<Cow<'c, str>>>) -> Reply {
    let line = |cells: Vec<Cow<'_, str>>| csv_row(&cells) + "\r\n";
    Ok(response(StatusCode::OK, CSV, rows.into_iter().map(line).collect()))
}

/// A row of CSV, without the end of its line.
pub fn csv_row(cells: &[Cow<'_, str>]) -> String {
    cells.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",")
}

/// A quoted cell in which a spreadsheet finds no formula ([OWASP](https://owasp.org/www-community/attacks/CSV_Injection)): an apostrophe precedes what would
/// begin one, at the start and after what separates cells for some readers of the file. Numbers
/// stay numbers.
fn csv_cell(text: &str) -> String {
    let number = text.parse::<i64>().is_ok();
    let mut cell = String::from('"');
    let mut begins = !number;
    for c in text.chars() {
        if begins && matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') {
            cell.push('\'');
        }
        begins = !number
            && (matches!(c, ';' | '\t' | '\r' | '\n') || begins && (c.is_whitespace() || c == '"'));
        cell.extend(std::iter::repeat_n(c, if c == '"' { 2 } else { 1 }));
    }
    cell.push('"');
    cell
}

/// 200 with JSON that `write` puts together piece by piece, for the client to keep as a file of
/// this name. It goes on as fast as the client takes it. What can be refused must be refused
/// before: where `write` fails, the reply only ends in the middle.
pub fn download<F>(file: &'static str, write: impl FnOnce(Pieces) -> F) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    attachment(file, JSON, write)
}

/// The same with CSV. A line's end is written before the next one, so that a file that was cut off
/// doesn't end with one.
pub fn csv_download<F>(file: &'static str, write: impl FnOnce(Pieces) -> F) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    attachment(file, CSV, write)
}

fn attachment<F>(
    file: &'static str,
    content_type: HeaderValue,
    write: impl FnOnce(Pieces) -> F,
) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut response = Response::new(Body::written_by(write));
    let named = HeaderValue::try_from(format!("attachment; filename=\"{file}\""))
        .map_err(|error| Error::Internal(error.to_string()))?;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, named);
    Ok(response)
}

/// 200 with the server-sent events that `write` sends, as fast as the client takes them. What goes
/// wrong meanwhile is told as `failures` say.
pub fn events<F>(req: &Request, failures: Failures, write: impl FnOnce(Events) -> F) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let request_id = request_id(req);
    let mut response =
        Response::new(Body::written_by(|pieces| write(Events { pieces, failures, request_id })));
    response.headers_mut().insert(header::CONTENT_TYPE, EVENTS);
    Ok(response)
}

/// Where a reply's events are sent by whoever writes them.
pub struct Events {
    pieces: Pieces,
    failures: Failures,
    request_id: String,
}

impl Events {
    /// Sends an event.
    ///
    /// # Errors
    /// Where the client has gone away.
    pub async fn send(&self, name: &str, data: &Value) -> Result<()> {
        self.pieces.send(format!("event: {name}\ndata: {data}\n\n")).await
    }

    /// Sends an event without a name, whose data stand on one line.
    ///
    /// # Errors
    /// Where the client has gone away.
    pub async fn send_data(&self, data: impl Display) -> Result<()> {
        self.pieces.send(format!("data: {data}\n\n")).await
    }

    /// Sends what went wrong, as the body that a failed reply would have, and logs it.
    ///
    /// # Errors
    /// Where the client has gone away.
    pub async fn fail(&self, error: &Error) -> Result<()> {
        tracing::info_span!("request", request_id = self.request_id).in_scope(|| log_cause(error));
        let document = self.failures.document(error, &self.request_id);
        match self.failures {
            // An event has no headers: when to try again stands in it.
            Failures::Problem => {
                self.send(
                    "error",
                    &merge([document, json!({ "retry_after": error.retry_after() })]),
                )
                .await
            }
            Failures::OpenAi => self.send_data(document).await,
        }
    }
}

fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_string(body).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(response(status, JSON, body))
}

fn response(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// One JSON object with the fields of all `parts`; later ones win.
pub fn merge(parts: impl IntoIterator<Item = Value>) -> Value {
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect())
}

/// The body, read as JSON. A field of the wrong type is named in the failure.
pub fn json<T: DeserializeOwned>(req: &Request) -> Result<T> {
    let content_type =
        req.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    // Browsers send a body of no type, or of a few others, for any page without asking first.
    let is_json = |value: &str| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    };
    if !content_type.map_or(req.body().is_empty(), is_json) {
        return Err(Error::UnsupportedMediaType);
    }
    let body: &[u8] = req.body();
    let text =
        std::str::from_utf8(body).map_err(|_| Error::Malformed("The body is not UTF-8.".into()))?;
    if !text.trim_start().starts_with('{') {
        return Err(Error::Malformed("The body is not a JSON object.".into()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let sentence: String = error.inner().to_string().chars().take(200).collect();
        if error.inner().is_data() && field != "." {
            Error::field(field, sentence)
        } else {
            Error::Malformed(format!("The body is not valid JSON: {sentence}."))
        }
    })?;
    json.end().map_err(|_| Error::Malformed("The body goes on after its JSON object.".into()))?;
    Ok(value)
}

/// The same for an endpoint that needs no body: none, of whatever type, is `T`'s default.
pub fn json_or_nothing<T: DeserializeOwned + Default>(req: &Request) -> Result<T> {
    if req.body().is_empty() { Ok(T::default()) } else { json(req) }
}

/// The token of the `Authorization` header, whose scheme is `Bearer` or `Token` in any case.
/// Nothing where there is no such header; a failure where there is another scheme or no token in
/// it.
pub fn authorization(req: &Request) -> Result<Option<&str>> {
    let Some(value) = req.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or(Error::InvalidToken)?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    if known { Ok(Some(token.trim())) } else { Err(Error::InvalidToken) }
}

/// The `Idempotency-Key` header, where there is one.
pub fn idempotency_key(req: &Request) -> Result<Option<Key>> {
    let Some(value) = req.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().and_then(Key::parse);
    key.map(Some).ok_or_else(|| {
        Error::Malformed("An Idempotency-Key has 1 to 255 visible ASCII characters.".into())
    })
}

/// When the request came to the gateway, in milliseconds since 1970; where that doesn't say, or not
/// in milliseconds, `now` is when.
pub fn came(req: &Request, now: u64) -> u64 {
    let said = match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.request_time_epoch,
        Some(RequestContext::ApiGatewayV2(context)) => context.time_epoch,
        _ => 0,
    };
    u64::try_from(said).ok().filter(|said| said.abs_diff(now) < 24 * 3_600_000).unwrap_or(now)
}

/// How often a client of OpenAI's says that it has sent this request before: the header
/// `x-stainless-retry-count` ([the SDK](https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py)). Nothing where it doesn't say.
pub fn retry_count(req: &Request) -> Option<u32> {
    req.headers().get("x-stainless-retry-count")?.to_str().ok()?.parse().ok()
}

/// What the client calls itself in `User-Agent`, on one line of at most 200 characters.
pub fn device(req: &Request) -> String {
    let header =
        req.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let text: String = String::from_utf8_lossy(header)
        .chars()
        .filter(|c| !c.is_control())
        .take(DEVICE_LENGTH)
        .collect();
    if text.trim().is_empty() { unknown_device() } else { text.trim().to_owned() }
}

/// The most characters that are kept of what a client calls itself.
const DEVICE_LENGTH: usize = 200;

/// The path as it was sent, without the stage.
pub fn path(req: &Request) -> &str {
    req.raw_http_path()
}

/// The stage, where its bare name is what was asked for: `/live`, which the gateway takes for
/// `/live/`, though a browser does not.
pub fn bare_stage(req: &Request) -> Option<&str> {
    let Some(RequestContext::ApiGatewayV1(context)) = req.request_context_ref() else {
        return None;
    };
    let (stage, path) = (context.stage.as_deref()?, context.path.as_deref()?);
    (path.strip_prefix('/') == Some(stage)).then_some(stage)
}

/// A parameter of the path, as it was sent.
pub fn path_parameter<'r>(req: &'r Request, name: &str) -> &'r str {
    req.path_parameters_ref().and_then(|parameters| parameters.first(name)).unwrap_or_default()
}

/// A text as it stands in a URL.
pub fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The parameter `id` of the path, where it is a UUID, in its usual form.
pub fn path_id(req: &Request) -> Option<String> {
    id(path_parameter(req, "id"))
}

/// A UUID in its usual form, however it was written.
pub fn id(text: &str) -> Option<String> {
    Uuid::try_parse(text).ok().map(|id| id.to_string())
}

/// What stands before this API's own paths where the request came in: the stage under AWS's own
/// host name, nothing under a domain.
pub fn base_path(req: &Request) -> &str {
    let whole = match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.path.as_deref(),
        _ => None,
    };
    whole.and_then(|whole| whole.strip_suffix(req.raw_http_path())).unwrap_or_default()
}

/// Marks a reply as one that was given before: nothing was done this time.
pub fn replayed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

/// Shows a limit, and what is left of it, on a reply.
pub fn limited(mut response: Response<Body>, limit: &Limit) -> Response<Body> {
    limit.show(response.headers_mut());
    response
}

/// Whether the `Accept` header asks for CSV rather than JSON. Where it asks for neither, JSON it
/// is.
pub fn wants_csv(req: &Request) -> bool {
    let headers =
        req.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = headers.flat_map(|value| value.split(',')).collect();
    let weight = |media_type: &str| {
        ranges.iter().filter_map(|range| quality(range, media_type)).fold(0.0, f32::max)
    };
    let csv = weight("text/csv");
    csv > 0.0 && csv > weight("application/json")
}

/// How much a range of an `Accept` header wants this type, if it names it. A weight that can't be
/// read is none.
fn quality(range: &str, media_type: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media_type) {
        return None;
    }
    let weight = parts.find_map(|part| {
        part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
    });
    let Some((_, weight)) = weight else { return Some(1.0) };
    weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

/// How many items a page has where nobody says how many.
pub(crate) const PAGE: usize = 20;

/// The most items of a page.
pub(crate) const LARGEST_PAGE: usize = 100;

/// How many items a page may have: the query parameter `limit`, 1 to 100, normally 20.
pub fn page_limit(req: &Request) -> Result<usize> {
    match query(req, "limit").map(str::parse::<usize>) {
        None => Ok(PAGE),
        Some(Ok(limit @ 1..=LARGEST_PAGE)) => Ok(limit),
        Some(_) => Err(Error::field("limit", format!("A page has 1 to {LARGEST_PAGE} items."))),
    }
}

/// The query parameter `name`, decoded. An empty one counts as none.
pub fn query<'r>(req: &'r Request, name: &str) -> Option<&'r str> {
    req.query_string_parameters_ref()?.first(name).filter(|value| !value.is_empty())
}

/// The query parameter `name` as a day in UTC, such as `2026-11-20`.
pub fn query_day(req: &Request, name: &str) -> Result<Option<Day>> {
    let day = |text: &str| {
        Day::parse(text).ok_or_else(|| Error::field(name, "A day is written as 2026-11-20."))
    };
    query(req, name).map(day).transpose()
}

/// Links to the page that begins at `cursor` ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)), with those query parameters of the
/// request that are `kept`: relative, so that it holds under a stage, a custom domain and the local
/// server alike.
pub fn link_next(
    response: &mut Response<Body>,
    req: &Request,
    kept: &[&str],
    cursor: &str,
) -> Result<()> {
    let kept = kept.iter().filter_map(|name| query(req, name).map(|value| (*name, value)));
    response.headers_mut().insert(header::LINK, next_page(kept.chain([("cursor", cursor)]))?);
    Ok(())
}

fn next_page<'q>(query: impl Iterator<Item = (&'q str, &'q str)>) -> Result<HeaderValue> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let link = format!("<?{query}>; rel=\"next\"");
    HeaderValue::try_from(link).map_err(|error| Error::Internal(error.to_string()))
}

/// How long this call may still run, as the Lambda context says. An emulator's context may name a
/// moment long gone; it sets no limit.
pub fn time_left(req: &Request, now_ms: u64) -> Duration {
    let deadline = req.lambda_context_ref().map_or(0, |context| context.deadline);
    deadline.checked_sub(now_ms).map_or(UNLIMITED, Duration::from_millis)
}

/// The time of a call without a limit: API Gateway's, which nobody waits beyond
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html)).
const UNLIMITED: Duration = Duration::from_secs(29);

/// Answers one request: the same code on Lambda and in the local server.
pub async fn answer<F>(
    routes: &'static [Route],
    handle: impl FnOnce(App, Request) -> F,
    app: App,
    req: Request,
) -> Response<Body>
where
    F: Future<Output = Reply>,
{
    let config = app.config.clone();
    answer_cold(routes, |req| handle(app, req), &config, req).await
}

/// The same for an endpoint that needs no [`App`].
pub async fn answer_cold<F>(
    routes: &'static [Route],
    handle: impl FnOnce(Request) -> F,
    config: &Config,
    req: Request,
) -> Response<Body>
where
    F: Future<Output = Reply>,
{
    let started = Instant::now();
    let request_id = request_id(&req);
    let origin = allowed_origin(config, &req);
    let method = req.method().clone();
    let path = req.raw_http_path().to_owned();
    let address = source_address(&req);

    // On every line that is logged meanwhile; the account joins it when its token is read.
    let span = tracing::info_span!(
        "request",
        request_id,
        address,
        user = tracing::field::Empty,
        api_key = tracing::field::Empty
    );

    let pattern = pattern(routes.iter().map(|route| route.path), &path);
    let failures = failures(routes, pattern, &path);
    let reply = match gate(routes, pattern, config, &req) {
        Ok(None) => AssertUnwindSafe(
            async { handle(with_parameters(req, pattern, &path)).await }.instrument(span.clone()),
        )
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::Internal("the handler panicked".into()))),
        Ok(Some(preflight)) => Ok(preflight),
        Err(error) => Err(error),
    };

    let _entered = span.enter();
    let (mut response, code) = match reply {
        Ok(response) => (response.map(|body| body.watched(&request_id)), ""),
        Err(error) => {
            log_cause(&error);
            (failures.reply(&error, &request_id), error.code())
        }
    };
    dress(response.headers_mut(), &request_id, origin);
    let status = response.status().as_u16();
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, ?path, status, code, ms, "request");
    response
}

/// How the failures of a path are written; one that nothing serves is like its neighbours.
fn failures(routes: &[Route], pattern: Option<&str>, path: &str) -> Failures {
    let first = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
    let near = |route: &&Route| match pattern {
        Some(pattern) => route.path == pattern,
        None => first(route.path) == first(path),
    };
    routes.iter().find(near).map_or(Failures::Problem, |route| route.failures)
}

fn request_id(req: &Request) -> String {
    req.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default()
}

fn log_cause(error: &Error) {
    if let Some(cause) = error.cause() {
        tracing::error!(code = error.code(), cause, "request failed");
    }
}

/// The most bytes of a header; API Gateway takes 10 KB of them in all
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html)).
pub(crate) const HEADER_LIMIT: usize = 8192;

/// What is decided before the handler: `OPTIONS`, methods that the path doesn't take, headers and
/// bodies over the limit.
fn gate(
    routes: &[Route],
    pattern: Option<&str>,
    config: &Config,
    req: &Request,
) -> Result<Option<Response<Body>>> {
    let of_path =
        routes.iter().filter(|route| Some(route.path) == pattern && route.method != "ANY");
    let taken: Vec<&str> = of_path.map(|route| route.method).collect();
    if !taken.is_empty() && !taken.contains(&req.method().as_str()) {
        let allow = format!("{}, OPTIONS", taken.join(", "));
        if req.method() == Method::OPTIONS {
            return preflight(&allow, failures(routes, pattern, req.raw_http_path())).map(Some);
        }
        return Err(Error::MethodNotAllowed { allow });
    }
    if req.headers().values().any(|value| value.len() > HEADER_LIMIT) {
        return Err(Error::HeaderTooLarge { limit: HEADER_LIMIT });
    }
    let limit = config.body_limit;
    if req.body().len() > limit {
        return Err(Error::BodyTooLarge { limit });
    }
    Ok(None)
}

/// The request with the parameters of its path, which not every front door fills in.
fn with_parameters(req: Request, pattern: Option<&str>, path: &str) -> Request {
    let found = pattern.and_then(|pattern| parameters(pattern, path)).unwrap_or_default();
    let found: HashMap<String, String> =
        found.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    req.with_path_parameters(found)
}

/// 204 to an `OPTIONS` request, a browser's CORS preflight included; [`dress`] adds the origin
/// where it is allowed.
fn preflight(allow: &str, failures: Failures) -> Reply {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::try_from(allow).map_err(|error| Error::Internal(error.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(header::ALLOW, allow);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, failures.asked_with());
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Ok(response)
}

fn dress(headers: &mut HeaderMap, request_id: &str, origin: Option<HeaderValue>) {
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    match origin {
        Some(origin) => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        None => {
            headers.remove(header::ACCESS_CONTROL_ALLOW_METHODS);
            headers.remove(header::ACCESS_CONTROL_ALLOW_HEADERS);
            headers.remove(header::ACCESS_CONTROL_MAX_AGE);
        }
    }
}

/// The request's `Origin`, where it is one of the configured ones, letter for letter.
fn allowed_origin(config: &Config, req: &Request) -> Option<HeaderValue> {
    let origin = req.headers().get(header::ORIGIN)?;
    config
        .allowed_origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
        .then(|| origin.clone())
}

/// The address that API Gateway saw. Headers such as `X-Forwarded-For` are the client's own words
/// and aren't read.
fn source_address(req: &Request) -> String {
    match req.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    }
    .unwrap_or_default()
}

/// The network that a request comes from, as far as one customer has it: an IPv4 address, or the
/// first 64 bits of an IPv6 address.
pub fn source_network(req: &Request) -> Option<String> {
    network(&source_address(req))
}

fn network(address: &str) -> Option<String> {
    match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some(address.to_string()),
        IpAddr::V6(address) => {
            Some(format!("{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_body(content_type: &str, body: &str) -> Request {
        let mut request = Request::new(body.into());
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        request
    }

    #[derive(serde::Deserialize, Debug)]
    struct Body1 {
        #[allow(dead_code)]
        message: Option<String>,
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let error = json::<Body1>(&with_body("application/json", r#"{"message": 5}"#)).unwrap_err();
        assert_eq!(error.code(), "invalid_fields");
        assert!(
            error.detail().starts_with("message: invalid type: integer `5`, expected a string"),
            "{}",
            error.detail()
        );
    }

    #[test]
    fn only_json_objects_are_read() {
        for body in ["", " ", "{", "[1]", "null", "\"x\"", "{} {}", r#"{"message": 1e400}"#] {
            let error = json::<Body1>(&with_body("application/json", body)).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{body}");
        }
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "multipart/form-data",
        ] {
            assert_eq!(
                json::<Body1>(&with_body(content_type, "{}")).unwrap_err(),
                Error::UnsupportedMediaType
            );
        }
        for content_type in
            ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"]
        {
            json::<Body1>(&with_body(content_type, "{}")).unwrap();
        }
    }

    #[test]
    fn the_scheme_is_bearer_or_token_in_any_case() {
        let mut request = Request::default();
        assert_eq!(authorization(&request), Ok(None));
        for (value, token) in [
            ("Bearer x", Ok(Some("x"))),
            ("tOKEN  x ", Ok(Some("x"))),
            ("Basic x", Err(Error::InvalidToken)),
            ("x", Err(Error::InvalidToken)),
        ] {
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(authorization(&request), token, "{value}");
        }
    }

    #[test]
    fn a_device_is_one_line_of_two_hundred_characters_or_unknown() {
        let mut request = Request::new(().into());
        assert_eq!(device(&request), "unknown");
        for (header, shown) in [
            (&b""[..], "unknown"),
            (b" \t ", "unknown"),
            (b" curl/8.5.0 ", "curl/8.5.0"),
            (b"a\tb", "ab"),
            ("Gerät 1\u{85}".as_bytes(), "Gerät 1"),
            (b"\xff", "\u{fffd}"),
            (&[b'x'; 5000], "x".repeat(200).as_str()),
        ] {
            request
                .headers_mut()
                .insert(header::USER_AGENT, HeaderValue::from_bytes(header).unwrap());
            assert_eq!(device(&request), shown);
        }
    }

    #[test]
    fn a_parameter_is_one_whole_segment() {
        let patterns = ["/", "/a", "/a/{id}", "/a/b", "/a/{id}/c", "/{proxy+}"];
        for (path, served) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/a/", Some("/a")),
            ("/a/x", Some("/a/{id}")),
            ("/a/x/", Some("/a/{id}")),
            ("/a/b/", Some("/a/b")),
            ("/a/b%2Fc", Some("/a/{id}")),
            ("/a/x/c", Some("/a/{id}/c")),
            ("/a//", None),
            ("/a//c", None),
            ("/x", None),
            ("", None),
            ("/a/x/y/z", None),
        ] {
            assert_eq!(pattern(patterns.into_iter(), path), served, "{path}");
        }
        assert_eq!(parameters("/a/{id}", "/a/%2e%2e/"), Some(vec![("id", "%2e%2e")]));
    }

    #[test]
    fn an_ipv6_network_has_sixty_four_bits() {
        for (address, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::1", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:3::1", Some("2001:db8:1:3::/64")),
            ("", None),
            ("test-invoke-source-ip", None),
        ] {
            assert_eq!(network(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn csv_is_for_whoever_prefers_it_to_json() {
        for accept in [
            "text/csv",
            "TEXT/CSV;charset=utf-8",
            "text/csv, */*",
            "text/csv, application/json;q=0.9",
            "a/b, text/csv ; Q=0.1",
            "text/csv;q=1",
        ] {
            assert!(wants_csv(&accepting(&[accept])), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "text/csv;q=0",
            "text/csv;q=0.000",
            "text/csv, application/json",
            "text/csv;q=x",
            "text/csvx",
            ",;=,",
        ] {
            assert!(!wants_csv(&accepting(&[accept])), "{accept}");
        }
        assert!(wants_csv(&accepting(&["application/json;q=0.5", "text/csv"])));
        assert!(!wants_csv(&Request::default()));
    }

    fn accepting(values: &[&'static str]) -> Request {
        let mut request = Request::default();
        for value in values {
            request.headers_mut().append(header::ACCEPT, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        for (text, cell) in [
            ("", ""),
            ("", ""),
            ("plain text", "plain text"),
            ("-100", "-100"),
            ("a,b", "a,b"),
            ("say \"hi\"", "say \"\"hi\"\""),
            ("two\nlines", "two\nlines"),
            ("=1+1", "'=1+1"),
            ("+x", "'+x"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" ＝1", " '＝1"),
            ("\t=1", "\t'=1"),
            ("\r=1", "\r'=1"),
            ("0;=cmd|' /C calc'!A0", "0;'=cmd|' /C calc'!A0"),
            ("0\t\t＠a", "0\t\t'＠a"),
            ("0\r\n-a;+b", "0\r\n'-a;'+b"),
            ("0; =a", "0; '=a"),
            ("0;\"=a\"", "0;\"\"'=a\"\""),
            ("=HYPERLINK(\"x\",1)", "'=HYPERLINK(\"\"x\"\",1)"),
            ("a=1, b-2; c@d", "a=1, b-2; c@d"),
        ] {
            assert_eq!(csv_cell(text), format!("\"{cell}\""));
        }
    }

    #[test]
    fn a_link_to_the_next_page_is_relative_and_encoded() {
        let link = next_page([("q", "a b&c>"), ("cursor", "x-_")].into_iter()).unwrap();
        assert_eq!(link, "<?q=a+b%26c%3E&cursor=x-_>; rel=\"next\"");
    }
}
