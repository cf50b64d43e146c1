//! Replies: their status, content type and body.

use std::hash::{DefaultHasher, Hash, Hasher};

use lambda_http::http::header;
use serde::Serialize;

use super::{Body, HeaderValue, Request, Response, StatusCode, rate_limit};
use crate::http::stream::Pieces;
use crate::values::Limit;
use crate::{Error, Result};

/// What a handler returns: a reply, or a failure that the edge renders.
pub type Reply = Result<Response<Body>>;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// 200 with `body` as JSON.
pub fn ok(body: &impl Serialize) -> Reply {
    reply(StatusCode::OK, body)
}

/// 201 with `body` as JSON.
pub fn created(body: &impl Serialize) -> Reply {
    reply(StatusCode::CREATED, body)
}

/// 202 with `body` as JSON: the request is accepted, and takes effect later.
pub fn accepted(body: &impl Serialize) -> Reply {
    reply(StatusCode::ACCEPTED, body)
}

/// 200 with a text of this type.
pub fn text(content_type: &'static str, text: String) -> Response<Body> {
    response(StatusCode::OK, HeaderValue::from_static(content_type), text)
}

/// 308: the resource is permanently at `location`.
pub fn moved(location: &str) -> Reply {
    redirect(StatusCode::PERMANENT_REDIRECT, location)
}

/// 303: the client reads the result at `location`.
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

/// 200 with JSON that `write` sends piece by piece, as a file with this name. It runs as fast as
/// the client reads. All checks must come before: if `write` fails, the reply is cut off.
pub fn download<F>(file: &'static str, write: impl FnOnce(Pieces) -> F) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    attachment(file, JSON, write)
}

pub(super) fn attachment<F>(
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

fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    Ok(response(status, JSON, to_json(body)?))
}

/// A value as JSON text, as every reply renders it.
///
/// # Errors
/// [`Error::Internal`] if the value has no form in JSON.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}

pub(super) fn response(
    status: StatusCode,
    content_type: HeaderValue,
    body: String,
) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Lets clients keep a reply for five minutes, as long as this API itself keeps public keys.
pub fn cached(mut response: Response<Body>) -> Response<Body> {
    let public = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, public);
    response
}

/// Marks a reply as the repetition of an earlier one: the request had no effect this time.
pub fn replayed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

/// Adds a tag of the body (`ETag`), or makes the reply 304 without a body if the client has this
/// body already ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)). The tag is weak: the gateway compresses bodies,
/// and leaves the tag as it is.
pub fn tagged(req: &Request, mut response: Response<Body>) -> Reply {
    let Body::Text(text) = response.body() else { return Ok(response) };
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = req.headers().get_all(header::IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let is_known =
        known.map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag);
    let tag = HeaderValue::try_from(format!("W/{tag}"))
        .map_err(|error| Error::Internal(error.to_string()))?;
    response.headers_mut().insert(header::ETAG, tag);
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Origin, Accept-Encoding"));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Empty;
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(response)
}

/// Adds a limit and its remaining quota to a reply.
pub fn limited(mut response: Response<Body>, limit: &Limit) -> Response<Body> {
    rate_limit::show(limit, response.headers_mut());
    response
}
