//! Servers that answer over HTTP, with bodies in JSON: the connection, the API key and its renewal,
//! the meaning of a reply's status, and the limit of a reply's size.
//!
//! Redirects aren't followed. A request is sent again only if the server refuses the API key and
//! the key was replaced.

pub(super) mod refusal;

use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use hyper::body::Incoming;
use lambda_http::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::http::request::Builder;
use lambda_http::http::{Request, Response, Uri};
use rustls::RootCertStore;
use serde::Serialize;
use tokio::time::timeout;

use crate::ai::failure::{Reason, Refusal, seconds_to_wait};
use crate::ai::reading::{self, Reply};
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::aws;
use crate::aws::http::{self, Https};
use crate::clock::Clock;
use crate::config::{AiServer, ConfigError};
use crate::secrets::{CachedSecret, ServiceKey};

/// The maximum time for reading the body of a refusal.
const FOR_A_REASON: Duration = Duration::from_secs(1);

/// The maximum number of bytes that are read from a reply for each byte of the answer. The JSON
/// around a piece of a few characters may be several hundred bytes long.
const WRAPPING: usize = 400;

/// What all requests to an API have in common.
pub(super) struct Api {
    /// The path below the base URL.
    pub(super) path: &'static str,
    /// Adds the API's headers, with the API key if there is one.
    pub(super) with_headers: fn(Builder, Option<&ServiceKey>) -> Builder,
    /// Returns the header that only this prompt's request has, if there is one.
    pub(super) more_headers: fn(&Prompt) -> Option<(&'static str, String)>,
    /// Returns the field of a request that a refusal is about, in OpenAI's terms. `None` if only the
    /// refusal's `param` may name it.
    pub(super) refused_field: fn(&Reason, &Prompt) -> Option<&'static str>,
}

/// A server, with its API and its API key.
pub(super) struct Server {
    api: &'static Api,
    base: Uri,
    endpoint: Uri,
    key: Option<CachedSecret<ServiceKey>>,
    http: Https,
}

impl Server {
    /// Reads the API key. Doesn't connect yet.
    pub(super) async fn connect(
        api: &'static Api,
        server: &AiServer,
        clock: &Clock,
    ) -> Result<Self, ConfigError> {
        let prefix = server.name.to_ascii_uppercase();
        let url = format!("{}{}", server.url, api.path);
        let parse = |url: &str| {
            url.parse::<Uri>().map_err(|error| ConfigError(format!("{prefix}_BASE_URL: {error}")))
        };
        let (base, endpoint) = (parse(&server.url)?, parse(&url)?);
        let key = match server.key.clone() {
            None => None,
            Some(key) => {
                let (setting, aws) = (format!("{prefix}_API_KEY"), aws::amazon().await?);
                Some(CachedSecret::read(&setting, key, &aws, clock.clone()).await?)
            }
        };
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        Ok(Self { api, base, endpoint, key, http: http::client(roots, http::AI_IDLE)? })
    }

    /// Returns the server's host name.
    pub(super) fn host(&self) -> Option<&str> {
        self.endpoint.host()
    }

    /// Opens a connection for the next request. The server's reply is ignored. If the server can't
    /// be reached, the next request reports the failure.
    pub(super) async fn open(&self) {
        if let Ok(head) = Request::head(&self.base).body(SdkBody::empty()) {
            let _ = self.http.request(head).await;
        }
    }

    /// Reads the API key again if it is due for renewal.
    pub(super) async fn renew_key(&self) {
        if let Some(key) = &self.key {
            key.renew().await;
        }
    }

    /// Sends a request, and reads the answer.
    pub(super) async fn answer(
        &self,
        request: &(impl Serialize + Sync),
        prompt: &Prompt,
        reader: impl BodyReader,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let refused = |mut reason: Reason, cause: &str| {
            if let Some(field) = (self.api.refused_field)(&reason, prompt) {
                field.clone_into(&mut reason.param);
            }
            Failure::refused(&reason, prompt, cause)
        };
        let call = Call {
            endpoint: &self.endpoint,
            accepted: match builder.has_listener() {
                true => "text/event-stream",
                false => "application/json",
            },
            header: (self.api.more_headers)(prompt),
            refused: &refused,
        };
        let body = self.call(&call, &|| json(request)).await?.into_body();
        let body = Limited::new(body, (builder.limit + 1024) * WRAPPING);
        let mut reply = ArrivingReply { body, reader };
        let Err(failure) = reading::read(&mut reply, builder).await else { return Ok(()) };
        let Some(reason) = reply.reader.take_reason() else { return Err(failure) };
        match reason.failure_of_reply(refused) {
            // Once the model has begun to answer a request, the request isn't sent again in a
            // different form.
            Failure::Refused(_) if builder.has_content() => Err(failure),
            failure => Err(failure),
        }
    }

    /// Sends a request to the path below the base URL, and returns the whole reply, which may have
    /// at most `most` bytes. `refused` returns the failure for the reason of a refusal.
    pub(super) async fn fetch(
        &self,
        path: &str,
        request: &(impl Serialize + Sync),
        most: usize,
        refused: &Refused<'_>,
    ) -> Result<Collected<Bytes>, Failure> {
        let endpoint = format!("{}{path}", self.base.to_string().trim_end_matches('/'));
        let endpoint = endpoint.parse().map_err(|_| Failure::failed("an invalid URL"))?;
        let call =
            Call { endpoint: &endpoint, accepted: "application/json", header: None, refused };
        let body = self.call(&call, &|| json(request)).await?.into_body();
        let reply = Limited::new(body, most).collect().await;
        // The server has computed a reply whose beginning has arrived.
        reply.map_err(|_| Failure::Empty("a reply that was cut off"))
    }

    /// Sends a request with this body, and returns the reply if it contains an answer. If the server
    /// refuses the API key and the secret now contains a different key, sends the request again with
    /// that key.
    async fn call(
        &self,
        call: &Call<'_>,
        body: &(dyn Fn() -> Result<String, Failure> + Sync),
    ) -> Result<Response<Incoming>, Failure> {
        let used = self.key.as_ref().map(CachedSecret::current);
        let mut reply = self.ask(call, body()?, used.as_deref()).await;
        let is_refused = matches!(reply, Err(NoAnswer { of_key: true, .. }));
        if let (true, Some(key), Some(used)) = (is_refused, &self.key, &used)
            && let Some(renewed) = key.renew_refused(used).await
        {
            reply = self.ask(call, body()?, Some(&renewed)).await;
        }
        reply.map_err(|NoAnswer { failure, .. }| failure)
    }

    /// Sends a request, and returns the reply if it contains an answer.
    async fn ask(
        &self,
        call: &Call<'_>,
        body: String,
        key: Option<&ServiceKey>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let reply = self.http.request(self.request(call, body, key)?).await;
        let reply =
            reply.map_err(|error| Failure::failed(format!("no connection: {}", cause(&error))))?;
        let status = reply.status().as_u16();
        let failed = || Failure::failed(cause_of(status));
        let retry_after = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let of_status = Failure::of_status(status, retry_after.and_then(seconds_to_wait));
        let (failure, of_key) = match status {
            200 => return Ok(reply),
            401 => (failed(), true),
            403 | 429 => match reason(reply.into_body()).await {
                reason if reason.is_unfunded() => (Failure::Unfunded, false),
                _ => (of_status.unwrap_or_else(failed), status == 403),
            },
            400 | 413 | 422 => {
                let mut reason = reason(reply.into_body()).await;
                if status == 413 {
                    reason.words.push_str(Refusal::TOO_LARGE);
                }
                let of_key = status == 400 && reason.names_key();
                ((call.refused)(reason, &cause_of(status)), of_key)
            }
            // Some servers reply with 404, 500 or 501 if the prompt is too long, or if the model
            // doesn't support a feature of the prompt. Usually these statuses have a different
            // cause.
            404 | 500 | 501 => {
                let reason = reason(reply.into_body()).await;
                ((call.refused)(reason, &cause_of(status)).unless_unknown(), false)
            }
            _ => (of_status.unwrap_or_else(failed), false),
        };
        Err(NoAnswer { failure, of_key })
    }

    fn request(
        &self,
        call: &Call<'_>,
        body: String,
        key: Option<&ServiceKey>,
    ) -> Result<Request<SdkBody>, Failure> {
        let request = Request::post(call.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, call.accepted);
        let request = match &call.header {
            Some((name, value)) => request.header(*name, value),
            None => request,
        };
        let request = (self.api.with_headers)(request, key).body(SdkBody::from(body));
        request.map_err(|error| Failure::failed(error.to_string()))
    }
}

/// Returns the failure for a server that refuses a request for this reason. The text is the cause
/// of the failure for the log.
type Refused<'c> = dyn Fn(Reason, &str) -> Failure + Sync + 'c;

/// How to send a request, and how to read the server's reply.
struct Call<'c> {
    endpoint: &'c Uri,
    /// The content type of an answer.
    accepted: &'static str,
    /// A header that only this request has.
    header: Option<(&'static str, String)>,
    refused: &'c Refused<'c>,
}

/// Reads the reason for a refusal. If the body doesn't arrive in time, the reason is empty.
async fn reason(body: Incoming) -> Reason {
    timeout(FOR_A_REASON, refusal::reason(body)).await.unwrap_or_default()
}

/// Reads an answer from the pieces of a reply's body, no matter where the body is split.
pub(super) trait BodyReader {
    /// Reads a piece.
    ///
    /// # Errors
    /// Returns the provider's failure, or [`Failure::TooLong`]. After the end of an answer, only
    /// [`Failure::TooLong`] can be returned.
    fn push(&mut self, piece: &[u8], builder: &mut AnswerBuilder<'_>) -> Result<(), Failure>;

    /// Returns true if the rest of the reply doesn't need to be read.
    fn is_done(&self) -> bool;

    /// Takes the reason if the reply is an error.
    fn take_reason(&mut self) -> Option<Reason>;

    /// Ends the reply.
    ///
    /// # Errors
    /// Returns a failure if the reply ends before the answer is complete.
    fn finish(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure>;
}

/// A request that didn't get an answer.
struct NoAnswer {
    failure: Failure,
    /// True if the server may have refused the API key.
    of_key: bool,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self { failure, of_key: false }
    }
}

/// A reply whose body is still arriving.
struct ArrivingReply<R> {
    body: Limited<Incoming>,
    reader: R,
}

impl<R: BodyReader> Reply for ArrivingReply<R> {
    async fn read_next(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<bool, Failure> {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    self.reader.push(piece, builder)?;
                }
            }
            Some(Err(error)) if !builder.has_ended() => return Err(broken(&*error)),
            Some(Err(_)) | None => {
                self.reader.finish(builder)?;
                return Ok(false);
            }
        }
        if self.reader.is_done() {
            self.reader.finish(builder)?;
        }
        Ok(!self.reader.is_done())
    }
}

fn json(request: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(request).map_err(|error| Failure::failed(error.to_string()))
}

/// Returns why the rest of a reply can't be read. A reply that exceeds the limit counts as an
/// answer that is too long, because the provider has already done the work.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::failed("cut off") }
}

/// Returns the cause of a failure with this status, for the log.
fn cause_of(status: u16) -> String {
    format!("status {status}")
}

/// Returns the innermost cause of an error. The outer errors only say that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
