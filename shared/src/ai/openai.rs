//! Servers that implement OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)): OpenAI itself, Ollama, vLLM,
//! llama.cpp, LiteLLM.
//!
//! Redirects aren't followed, and requests aren't retried.

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
use lambda_http::http::{HeaderValue, Request, Uri};
use rustls::RootCertStore;
use tokio::time::timeout;

use crate::ai::failure::Reason;
use crate::ai::openai::reply::ReplyReader;
use crate::ai::openai::request::CompletionRequest;
use crate::ai::reading::{self, Reply};
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::aws::http::Https;
use crate::config::{ConfigError, OpenAiServer};
use crate::{aws, secrets};

/// How long the body of a refusal is read.
const FOR_A_REASON: Duration = Duration::from_secs(1);

/// The number of bytes that are read from a reply for each byte of the answer. The JSON around a
/// piece of a few characters has several hundred bytes.
const WRAPPING: usize = 400;

pub struct OpenAi {
    base: Uri,
    completions: Uri,
    authorization: Option<HeaderValue>,
    /// True if the server is OpenAI itself.
    is_openai: bool,
    http: Https,
}

impl OpenAi {
    pub async fn connect(server: &OpenAiServer) -> Result<Self, ConfigError> {
        let prefix = server.name.to_ascii_uppercase();
        let url = format!("{}/chat/completions", server.url);
        let parse = |url: &str| {
            url.parse::<Uri>().map_err(|error| ConfigError(format!("{prefix}_BASE_URL: {error}")))
        };
        let (base, completions) = (parse(&server.url)?, parse(&url)?);
        let authorization = match &server.key {
            None => None,
            Some(key) => Some(secrets::bearer_of(key, &format!("{prefix}_API_KEY")).await?),
        };
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        Ok(Self {
            is_openai: completions.host() == Some("api.openai.com"),
            base,
            completions,
            authorization,
            http: aws::http::client(roots)?,
        })
    }

    /// Opens a connection for the next request. The server's reply is ignored. If the server can't
    /// be reached, the next request reports the failure.
    pub async fn open(&self) {
        if let Ok(head) = Request::head(&self.base).body(SdkBody::empty()) {
            let _ = self.http.request(head).await;
        }
    }

    pub async fn answer(
        &self,
        model: &str,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let response =
            self.http.request(self.request(model, prompt, builder.has_listener())?).await;
        let response = response
            .map_err(|error| Failure::failed(format!("no connection: {}", cause(&error))))?;
        match response.status().as_u16() {
            200 => {}
            402 => return Err(Failure::Unfunded),
            status @ (403 | 429) => {
                let reason = reason(response.into_body()).await;
                return Err(match status {
                    _ if reason.is_unfunded() => Failure::Unfunded,
                    429 => Failure::Overloaded,
                    status => Failure::failed(format!("status {status}")),
                });
            }
            503 | 529 => return Err(Failure::Overloaded),
            408 | 504 => return Err(Failure::TimedOut),
            status @ (400 | 413 | 422) => {
                return Err(refused(status, response.into_body(), prompt).await);
            }
            // Some servers reply with 404, 500 or 501 if the model doesn't support a demand of the
            // prompt. Usually these statuses have another cause.
            status @ (404 | 500 | 501) if prompt.given && prompt.demands_more_than_words() => {
                return Err(match refused(status, response.into_body(), prompt).await {
                    Failure::Denied(cause) => Failure::Failed(cause),
                    failure => failure,
                });
            }
            status => return Err(Failure::failed(format!("status {status}"))),
        }
        let body = Limited::new(response.into_body(), (builder.limit + 1024) * WRAPPING);
        let mut reply = ArrivingReply { body, reader: ReplyReader::default() };
        reading::read(&mut reply, builder).await
    }

    fn request(
        &self,
        model: &str,
        prompt: &Prompt,
        streamed: bool,
    ) -> Result<Request<SdkBody>, Failure> {
        let body = CompletionRequest::of(prompt, model, self.is_openai, streamed);
        let body =
            serde_json::to_string(&body).map_err(|error| Failure::failed(error.to_string()))?;
        let mut request = Request::post(&self.completions).header(CONTENT_TYPE, "application/json");
        request =
            request.header(ACCEPT, if streamed { "text/event-stream" } else { "application/json" });
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(SdkBody::from(body)).map_err(|error| Failure::failed(error.to_string()))
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

/// Returns the reason why the rest of a reply can't be read. A reply over the limit counts as an
/// answer that is too long, because the provider has worked for it.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::failed("cut off") }
}

/// Returns the reason why a server refuses a prompt.
async fn refused(status: u16, body: Incoming, prompt: &Prompt) -> Failure {
    Failure::refused(&reason(body).await, prompt, &format!("status {status}"))
}

/// Reads the reason for a refusal. A refusal whose body doesn't arrive soon has no reason.
async fn reason(body: Incoming) -> Reason {
    timeout(FOR_A_REASON, refusal::reason(body)).await.unwrap_or_default()
}

/// Returns the innermost cause of an error. The outer errors only say that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
