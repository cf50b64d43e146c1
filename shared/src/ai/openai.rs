//! Servers that implement OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)): OpenAI itself, Ollama, vLLM,
//! llama.cpp, LiteLLM.
//!
//! Redirects aren't followed. A request is sent again only if the server refuses the API key and
//! the key was replaced.

mod events;
mod json;
mod refusal;
mod reply;
mod request;

use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use lambda_http::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use lambda_http::http::{Request, Response, Uri};
use rustls::RootCertStore;
use tokio::time::timeout;

use crate::ai::failure::Reason;
use crate::ai::openai::reply::ReplyReader;
use crate::ai::openai::request::CompletionRequest;
use crate::ai::reading::{self, Reply};
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::aws;
use crate::aws::http::Https;
use crate::clock::Clock;
use crate::config::{ConfigError, OpenAiServer};
use crate::secrets::{Bearer, CachedSecret};

/// The maximum time for reading the body of a refusal.
const FOR_A_REASON: Duration = Duration::from_secs(1);

/// The maximum number of bytes that are read from a reply for each byte of the answer. The JSON
/// around a piece of a few characters may be several hundred bytes long.
const WRAPPING: usize = 400;

pub struct OpenAi {
    base: Uri,
    completions: Uri,
    key: Option<CachedSecret<Bearer>>,
    /// True if the server is OpenAI itself.
    is_openai: bool,
    http: Https,
}

impl OpenAi {
    pub async fn connect(server: &OpenAiServer, clock: &Clock) -> Result<Self, ConfigError> {
        let prefix = server.name.to_ascii_uppercase();
        let url = format!("{}/chat/completions", server.url);
        let parse = |url: &str| {
            url.parse::<Uri>().map_err(|error| ConfigError(format!("{prefix}_BASE_URL: {error}")))
        };
        let (base, completions) = (parse(&server.url)?, parse(&url)?);
        let key = match server.key.clone() {
            None => None,
            Some(key) => {
                let (setting, aws) = (format!("{prefix}_API_KEY"), aws::amazon().await?);
                Some(CachedSecret::read(&setting, key, &aws, clock.clone()).await?)
            }
        };
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        Ok(Self {
            is_openai: completions.host() == Some("api.openai.com"),
            base,
            completions,
            key,
            http: aws::http::client(roots)?,
        })
    }

    /// Returns true unless it is known that the server doesn't have this parameter.
    pub fn supports(&self, parameter: &str) -> bool {
        match parameter {
            "web_search_options" => false,
            "top_k" => !self.is_openai,
            _ => true,
        }
    }

    /// Opens a connection for the next request. The server's reply is ignored. If the server can't
    /// be reached, the next request reports the failure.
    pub async fn open(&self) {
        if let Ok(head) = Request::head(&self.base).body(SdkBody::empty()) {
            let _ = self.http.request(head).await;
        }
    }

    /// Reads the API key again if it is due for renewal.
    pub async fn renew_key(&self) {
        if let Some(key) = &self.key {
            key.renew().await;
        }
    }

    /// Requests an answer from the server. If the server refuses the API key and the secret now
    /// contains a different key, calls the server again with that key.
    pub async fn answer(
        &self,
        model: &str,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let streamed = builder.has_listener();
        let used = self.key.as_ref().map(CachedSecret::current);
        let mut reply = self.ask(model, prompt, streamed, used.as_deref()).await;
        let is_refused = matches!(reply, Err(NoAnswer { of_key: true, .. }));
        if let (true, Some(key), Some(used)) = (is_refused, &self.key, &used)
            && let Some(renewed) = key.renew_refused(used).await
        {
            reply = self.ask(model, prompt, streamed, Some(&renewed)).await;
        }
        let body = reply.map_err(|NoAnswer { failure, .. }| failure)?.into_body();
        let body = Limited::new(body, (builder.limit + 1024) * WRAPPING);
        let mut reply = ArrivingReply { body, reader: ReplyReader::default() };
        reading::read(&mut reply, builder).await
    }

    /// Sends a request, and returns the reply if it contains an answer.
    async fn ask(
        &self,
        model: &str,
        prompt: &Prompt,
        streamed: bool,
        key: Option<&Bearer>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let reply = self.http.request(self.request(model, prompt, streamed, key)?).await;
        let reply =
            reply.map_err(|error| Failure::failed(format!("no connection: {}", cause(&error))))?;
        let status = reply.status().as_u16();
        let failed = || Failure::failed(format!("status {status}"));
        let (failure, of_key) = match status {
            200 => return Ok(reply),
            401 => (failed(), true),
            402 => (Failure::Unfunded, false),
            403 | 429 => match reason(reply.into_body()).await {
                reason if reason.is_unfunded() => (Failure::Unfunded, false),
                _ if status == 429 => (Failure::Overloaded, false),
                _ => (failed(), true),
            },
            503 | 529 => (Failure::Overloaded, false),
            408 | 504 => (Failure::TimedOut, false),
            400 | 413 | 422 => {
                let reason = reason(reply.into_body()).await;
                (refused(status, &reason, prompt), status == 400 && reason.names_key())
            }
            // Some servers reply with 404, 500 or 501 if the model doesn't support a feature of the
            // prompt. Usually these statuses have a different cause.
            404 | 500 | 501 if prompt.given && prompt.demands_more_than_words() => {
                let reason = reason(reply.into_body()).await;
                match refused(status, &reason, prompt) {
                    Failure::Denied(cause) => (Failure::Failed(cause), false),
                    failure => (failure, false),
                }
            }
            _ => (failed(), false),
        };
        Err(NoAnswer { failure, of_key })
    }

    fn request(
        &self,
        model: &str,
        prompt: &Prompt,
        streamed: bool,
        key: Option<&Bearer>,
    ) -> Result<Request<SdkBody>, Failure> {
        let body = CompletionRequest::of(prompt, model, self.is_openai, streamed);
        let body =
            serde_json::to_string(&body).map_err(|error| Failure::failed(error.to_string()))?;
        let mut request = Request::post(&self.completions).header(CONTENT_TYPE, "application/json");
        request =
            request.header(ACCEPT, if streamed { "text/event-stream" } else { "application/json" });
        if let Some(Bearer(authorization)) = key {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(SdkBody::from(body)).map_err(|error| Failure::failed(error.to_string()))
    }
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
struct ArrivingReply {
    body: Limited<Incoming>,
    reader: ReplyReader,
}

impl Reply for ArrivingReply {
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

/// Reads a reply from its pieces.
pub fn read_pieces<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    builder: &mut AnswerBuilder<'_>,
) -> Result<(), Failure> {
    let mut reader = ReplyReader::default();
    pieces.into_iter().try_for_each(|piece| reader.push(piece, builder))?;
    reader.finish(builder)
}

/// Returns why the rest of a reply can't be read. A reply that exceeds the limit counts as an
/// answer that is too long, because the provider has already done the work.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::failed("cut off") }
}

/// Returns the failure for a server that refuses a prompt for this reason.
fn refused(status: u16, reason: &Reason, prompt: &Prompt) -> Failure {
    Failure::refused(reason, prompt, &format!("status {status}"))
}

/// Reads the reason for a refusal. If the body doesn't arrive in time, the reason is empty.
async fn reason(body: Incoming) -> Reason {
    timeout(FOR_A_REASON, refusal::reason(body)).await.unwrap_or_default()
}

/// Returns the innermost cause of an error. The outer errors only say that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
