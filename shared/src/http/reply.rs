//! Replies: their status, content type and body.

use std::hash::{DefaultHasher, Hash, Hasher};

use lambda_http::http::header;
use serde::Serialize;

use super::{Body, HeaderValue, Request, Response, StatusCode};
use crate::http::stream::Pieces;
use crate::{Error, Result};

/// The result of a handler: a reply, or a failure that is rendered at the edge.
pub type Reply = Result<Response<Body>>;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Returns a 200 reply with `body` as JSON.
pub fn ok(body: &impl Serialize) -> Reply {
    reply(StatusCode::OK, body)
}

/// Returns a reply with `body` as JSON, and with a status that the operator has configured.
pub fn chosen(status: u16, body: &impl Serialize) -> Reply {
    reply(StatusCode::from_u16(status).unwrap_or_default(), body)
}

/// Returns a 201 reply with `body` as JSON.
pub fn created(body: &impl Serialize) -> Reply {
    reply(StatusCode::CREATED, body)
}

/// Returns a 202 reply with `body` as JSON: the request was accepted, and takes effect later.
pub fn accepted(body: &impl Serialize) -> Reply {
    reply(StatusCode::ACCEPTED, body)
}

/// Returns a 200 reply with this text and content type.
pub fn text(content_type: &'static str, text: String) -> Response<Body> {
    response(StatusCode::OK, HeaderValue::from_static(content_type), text)
}

/// Returns a 308 reply: the resource has moved permanently to `location`.
pub fn moved(location: &str) -> Reply {
    redirect(StatusCode::PERMANENT_REDIRECT, location)
}

/// Returns a 303 reply: the client can read the result at `location`.
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

/// Returns a 200 reply with the JSON that `write` sends piece by piece, as fast as the client reads.
/// Perform all checks before this call, because the reply is cut off if `write` fails.
pub fn written<F>(write: impl FnOnce(Pieces) -> F) -> Response<Body>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut response = Response::new(Body::written_by(write));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Returns a 200 reply with a JSON file named `file`. `write` sends the JSON piece by piece, as
/// fast as the client reads. Perform all checks before this call, because the reply is cut off if
/// `write` fails.
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

/// Serializes a reply's value as JSON.
///
/// # Errors
/// Returns [`Error::Internal`] if the value can't be represented in JSON.
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

/// Allows clients to cache a reply for five minutes, the time for which Farebox caches public keys.
pub fn cached(mut response: Response<Body>) -> Response<Body> {
    let public = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, public);
    response
}

/// Allows clients to cache a reply for a minute, so that a change is visible everywhere within a
/// minute. Search engines must not list the reply.
pub fn cached_for_a_minute(mut response: Response<Body>) -> Response<Body> {
    let public = HeaderValue::from_static("public, max-age=60, must-revalidate");
    response.headers_mut().insert(header::CACHE_CONTROL, public);
    unlisted(response)
}

/// Tells search engines not to list a reply.
pub fn unlisted(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

/// Marks a reply as a repetition of an earlier one, because this request had no effect.
pub fn replayed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

/// Adds an `ETag` with a hash of the body. If the client already has this body, returns a 304 reply
/// without a body ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)). The tag is
/// weak, because the gateway compresses bodies without changing the tag.
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
