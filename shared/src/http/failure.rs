//! The formats in which clients get failures. Problem documents are defined here. The other formats
//! belong to certain clients, and are defined with their endpoints.

mod problem;

use std::fmt;

use lambda_http::http::header;

pub use self::problem::{PROBLEMS, Problem, StreamProblem};
use super::reply::{JSON, response};
use super::{Body, HeaderMap, HeaderValue, Response, StatusCode, rate_limit};
use crate::config::ClientStatuses;
use crate::values::Limit;
use crate::{Error, Result};

const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The content security policy of the 404 page. The page doesn't contain scripts.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The format of a route's failures, and the headers that only its clients know. The default methods
/// are those of problem documents.
///
/// Each format is a type, so that a function's binary contains only the formats of its own routes.
pub trait Failures: Sync {
    /// Returns the name by which the OpenAPI document refers to the format. Empty for [`PROBLEMS`].
    fn name(&self) -> &'static str;

    /// Returns the body of a failed reply.
    ///
    /// # Errors
    /// Returns [`Error::Internal`] if the document can't be represented in JSON.
    fn document(&self, error: &Error, request_id: &str, statuses: ClientStatuses)
    -> Result<String>;

    /// Returns where a document's code and sentence are.
    fn layout(&self) -> Layout {
        Layout::Flat
    }

    /// Returns the reply's status. `statuses` are the operator's, for clients of older systems.
    fn status(&self, error: &Error, _statuses: ClientStatuses) -> StatusCode {
        error.status()
    }

    /// Returns true if clients would retry in vain unless the `x-should-retry` header tells them
    /// not to.
    fn is_final(&self, _error: &Error, _status: StatusCode) -> bool {
        false
    }

    /// Returns the name and the data of the event that ends a stream.
    ///
    /// # Errors
    /// Returns the same errors as [`document`](Self::document).
    fn event(&self, error: &Error, request_id: &str) -> Result<(Option<&'static str>, String)> {
        Ok((Some("error"), StreamProblem::data(error, request_id)?))
    }

    /// Returns the event that shows that a stream is alive after its first event. With `None`, a
    /// comment shows it.
    fn ping(&self) -> Option<&'static str> {
        None
    }

    /// Writes the headers that show a limit and the remaining quota.
    fn show_limit(&self, limit: &Limit, headers: &mut HeaderMap) {
        rate_limit::show(limit, headers);
    }

    /// Returns the header of every reply that repeats `x-request-id` for this format's clients.
    fn request_id_header(&self) -> Option<&'static str> {
        None
    }

    /// Returns the header of every reply that contains the time until the reply, in milliseconds.
    fn duration_header(&self) -> Option<&'static str> {
        None
    }

    /// Returns the request headers that web pages from other origins may send.
    fn request_headers(&self) -> HeaderValue {
        HeaderValue::from_static("authorization, content-type, idempotency-key, x-device-token")
    }

    /// Returns true if a document contains a list of sentences under the name of each invalid field.
    fn lists_fields(&self) -> bool {
        false
    }
}

/// The position of the code and the sentence in a document.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// In `code` and `detail` of a [`Problem`].
    Flat,
    /// In the object `error`. Its sentence is in `message`.
    Nested {
        /// The name of the document's schema.
        document: &'static str,
        /// The name of the object's schema.
        error: &'static str,
        /// The name of the object's member with the code.
        code: &'static str,
    },
}

impl dyn Failures {
    /// Returns the reply.
    pub fn reply(
        &self,
        error: &Error,
        request_id: &str,
        statuses: ClientStatuses,
    ) -> Response<Body> {
        let status = self.status(error, statuses);
        let content_type = match self.layout() {
            Layout::Flat => problem::CONTENT_TYPE,
            Layout::Nested { .. } => JSON,
        };
        // Every failure can be represented in JSON.
        let document = self.document(error, request_id, statuses).unwrap_or_default();
        let mut response = response(status, content_type, document);
        let headers = response.headers_mut();
        if let Error::MethodNotAllowed { allow } = error
            && let Ok(allow) = HeaderValue::try_from(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = error.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limit) = error.limit() {
            self.show_limit(limit, headers);
        }
        if self.is_final(error, status) {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }

    /// Adds the headers that show a limit and the remaining quota to a reply.
    pub fn limited(&self, mut response: Response<Body>, limit: &Limit) -> Response<Body> {
        self.show_limit(limit, response.headers_mut());
        response
    }
}

impl fmt::Debug for dyn Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the 404 reply with this page from [`Route::page`](super::Route::page). `base` is the
/// prefix of this API's paths.
pub(crate) fn not_found(page: &str, base: &str) -> Response<Body> {
    // `base` comes from the gateway and contains the stage name.
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let base = if base.bytes().all(is_path) { base } else { "" };
    let page = page.replace("\"./", &format!("\"{base}/"));
    let mut response = response(StatusCode::NOT_FOUND, PAGE, page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin, Accept"));
    response
}
