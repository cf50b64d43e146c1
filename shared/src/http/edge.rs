//! The steps that are common to all requests: checking the method and size, catching panics,
//! rendering failures, setting headers, and writing the log line.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::RequestExt;
use lambda_http::http::header::{self, HeaderName};
use tracing::Instrument;

use crate::config::{EdgeConfig, HEADER_LIMIT};
use crate::http::{
    Body, Failures, HeaderMap, HeaderValue, Method, PROBLEMS, Reply, Request, Response, Route,
    StatusCode, base_path, function_name, function_request_id, is_form, not_found, parameters,
    pattern, request_id, wants_html,
};
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::trace::{self, Parent, Root, Trace, Traces};
use crate::{Error, Result};

/// Answers one request, on Lambda and on the local server. If `traces` is given, records the
/// request as a trace.
pub async fn answer<F>(
    routes: &'static [Route],
    handle: impl FnOnce(Request) -> F,
    config: &EdgeConfig,
    traces: Option<&Traces>,
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
    let function_request_id = function_request_id(&req);
    let trace = traces.map(|traces| traces.begin(parent(&req)));
    let function = trace.as_ref().map(|_| function_name(&req)).unwrap_or_default();

    // Every line that is logged during the request contains these fields. The account's id is
    // filled in when the credential is read. The span's level is `error`, because a span with a
    // lower level would be disabled if only errors were logged.
    let span = tracing::error_span!(
        "request",
        request_id,
        function_request_id,
        trace_id = trace.as_ref().map(Trace::id),
        user = tracing::field::Empty,
        api_key = tracing::field::Empty
    );

    let pattern = pattern(routes.iter().map(|route| route.path), &path);
    let route = closest(routes, pattern, &path);
    let failures = route.failures_for(req.headers());
    let page = page_of(routes, &req);
    let reply = match gate(routes, pattern, route, config, &req) {
        Ok(None) => {
            let handled =
                async { handle(for_handler(req, pattern, &path)).await }.instrument(span.clone());
            let handled = pin!(AssertUnwindSafe(handled).catch_unwind());
            trace::scope(trace.as_ref(), handled)
                .await
                .unwrap_or_else(|_| Err(Error::Internal("the handler panicked".into())))
        }
        Ok(Some(preflight)) => Ok(preflight),
        Err(error) => Err(error),
    };

    let entered = span.enter();
    let (mut response, code) = match reply {
        Ok(response) => (response.map(|body| body.watched(&request_id)), ""),
        Err(error) => {
            error.log();
            metrics::record_by(error.code(), &[(Metric::Failures, 1)]);
            let reply = match &page {
                Some((page, base)) if error == Error::NotFound => not_found(page, base),
                _ => failures.reply(&error, &request_id, config.statuses),
            };
            (reply, error.code())
        }
    };
    set_common_headers(response.headers_mut(), &request_id, origin);
    if let Some(name) = failures.request_id_header()
        && let Ok(id) = HeaderValue::try_from(&request_id)
    {
        response.headers_mut().insert(name, id);
    }
    if method == Method::HEAD {
        response = response.map(|_| Body::Empty);
    }
    let status = response.status().as_u16();
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(name) = route.failures.duration_header() {
        // In a stream, it is the time until the first event.
        response.headers_mut().insert(name, HeaderValue::from(ms));
    }
    tracing::info!(%method, path = ?logged(pattern, &path), status, code, ms, "request");
    drop(entered);
    let Some(trace) = trace else { return response };
    let root = root(function, &method, pattern, (status, code), &function_request_id);
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.traced(trace, root).await)
}

/// Returns the path for the log. A path that contains the link of a shared chat, which is a secret,
/// appears as its pattern.
fn logged<'p>(pattern: Option<&'p str>, path: &'p str) -> &'p str {
    pattern.filter(|pattern| pattern.contains("{link}")).unwrap_or(path)
}

/// Returns the trace that the request continues.
fn parent(req: &Request) -> Parent {
    let traceparent = req.headers().get("traceparent").map(HeaderValue::as_bytes);
    let of_lambda = req.lambda_context_ref().and_then(|context| context.xray_trace_id.as_deref());
    Parent::from_headers(traceparent, of_lambda)
}

/// Returns a request's span
/// ([attributes](https://opentelemetry.io/docs/specs/semconv/http/http-spans/)). The span contains
/// the route but not the path, because clients can write anything into the path.
fn root(
    function: String,
    method: &Method,
    route: Option<&str>,
    (status, code): (u16, &str),
    invocation: &str,
) -> Root {
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "_OTHER",
    };
    let mut attributes = vec![
        ("http.request.method", method.into()),
        ("http.response.status_code", u32::from(status).into()),
        ("faas.trigger", "http".into()),
        ("faas.invocation_id", invocation.into()),
    ];
    attributes.extend(route.map(|route| ("http.route", route.into())));
    if !code.is_empty() {
        attributes.push(("error.type", code.into()));
    }
    let name = match (method, route) {
        ("_OTHER", Some(route)) => format!("HTTP {route}"),
        ("_OTHER", None) => "HTTP".to_owned(),
        (method, Some(route)) => format!("{method} {route}"),
        (method, None) => method.to_owned(),
    };
    Root { function, name, attributes, has_failed: status >= 500, is_request: true }
}

/// Returns the first route with this pattern. Without a pattern, returns a route whose path begins
/// with the same segment, if possible one that two APIs share: the clients of both call unknown
/// paths there.
fn closest(routes: &[Route], pattern: Option<&str>, path: &str) -> Route {
    let first = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
    let found = match pattern {
        Some(pattern) => routes.iter().find(|route| route.path == pattern),
        None => {
            let mut near = routes.iter().filter(|route| first(route.path) == first(path));
            near.clone().find(|route| route.other_clients.is_some()).or_else(|| near.next())
        }
    };
    found.copied().unwrap_or(Route::without_path(PROBLEMS))
}

/// Returns the page that browsers get for [`Error::NotFound`], and the prefix of this API's paths.
/// Returns `None` for other clients.
fn page_of(routes: &[Route], req: &Request) -> Option<(&'static str, String)> {
    if !wants_html(req) {
        return None;
    }
    routes.iter().find_map(|route| route.page).map(|page| (page, base_path(req).to_owned()))
}

/// Checks a request before the handler runs. Answers `OPTIONS` requests. Refuses methods that the
/// path doesn't accept, and headers and bodies above the limits.
fn gate(
    routes: &[Route],
    pattern: Option<&str>,
    route: Route,
    config: &EdgeConfig,
    req: &Request,
) -> Result<Option<Response<Body>>> {
    let of_path =
        routes.iter().filter(|route| Some(route.path) == pattern && route.method != "ANY");
    let accepted: Vec<&str> = of_path.flat_map(|route| accepted_with(route.method)).collect();
    if !accepted.is_empty() && !accepted.contains(&req.method().as_str()) {
        let allow = format!("{}, OPTIONS", accepted.join(", "));
        if req.method() == Method::OPTIONS {
            return preflight(&allow, route.failures).map(Some);
        }
        return Err(Error::MethodNotAllowed { allow });
    }
    if req.headers().values().any(|value| value.len() > HEADER_LIMIT) {
        return Err(Error::HeaderTooLarge { limit: HEADER_LIMIT });
    }
    let limit = route.body_limit.bytes(config);
    if req.body().len() > limit {
        return Err(Error::BodyTooLarge { limit });
    }
    // Browsers send forms to any origin without a preflight, whereas JSON needs a preflight.
    let is_of_a_page = req.headers().contains_key(header::ORIGIN);
    if is_of_a_page && is_form(req) && allowed_origin(config, req).is_none() {
        return Err(Error::UnsupportedMediaType);
    }
    Ok(None)
}

/// Returns the maximum size of a request's body at this path, in bytes.
pub fn body_limit(config: &EdgeConfig, routes: &[Route], path: &str) -> usize {
    let pattern = pattern(routes.iter().map(|route| route.path), path);
    closest(routes, pattern, path).body_limit.bytes(config)
}

/// Returns the methods that a route accepts. A `GET` route also accepts `HEAD`.
fn accepted_with(method: &'static str) -> impl Iterator<Item = &'static str> {
    [method].into_iter().chain((method == "GET").then_some("HEAD"))
}

/// Prepares the request for the handler. Converts `HEAD` to `GET`; the reply's body is dropped
/// later. Sets the path parameters, because some gateways don't.
fn for_handler(mut req: Request, pattern: Option<&str>, path: &str) -> Request {
    if req.method() == Method::HEAD {
        *req.method_mut() = Method::GET;
    }
    let found = pattern.and_then(|pattern| parameters(pattern, path)).unwrap_or_default();
    let found: HashMap<String, String> =
        found.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    req.with_path_parameters(found)
}

/// Returns the 204 reply to an `OPTIONS` request, such as a browser's CORS preflight.
/// [`set_common_headers`] adds the origin if it is allowed.
fn preflight(allow: &str, failures: &dyn Failures) -> Reply {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::try_from(allow).map_err(|error| Error::Internal(error.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(header::ALLOW, allow);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, failures.request_headers());
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Ok(response)
}

fn set_common_headers(headers: &mut HeaderMap, request_id: &str, origin: Option<HeaderValue>) {
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-request-id", id);
    }
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("Origin"));
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

/// The reply headers that pages from other origins may read, in addition to the headers that CORS
/// always allows.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, idempotent-replayed, link, ratelimit, ratelimit-policy, request-id, retry-after, x-device-token, \
     x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-request-id, x-should-retry",
);

/// The headers that every reply contains, including failures.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Returns the request's `Origin` if it equals one of the allowed origins.
fn allowed_origin(config: &EdgeConfig, req: &Request) -> Option<HeaderValue> {
    let origin = req.headers().get(header::ORIGIN)?;
    config
        .allowed_origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
        .then(|| origin.clone())
}
