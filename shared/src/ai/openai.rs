//! Servers that implement OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)): OpenAI itself, Ollama, vLLM,
//! llama.cpp, LiteLLM.
//!
//! Additional or missing fields in a reply are ignored if the reply contains an answer. Redirects
//! aren't followed, and requests aren't retried.

mod refusal;
mod request;

use std::io;

use aws_smithy_types::body::SdkBody;
use futures_util::StreamExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lambda_http::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use lambda_http::http::{HeaderValue, Request, Uri};
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use sse_stream::SseStream;

use crate::ai::openai::request::CompletionRequest;
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::aws;
use crate::aws::http::Https;
use crate::config::{ConfigError, OpenAiServer};
use crate::values::{CacheCount, CutReason, ReportedUsage};

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

/// The fields that are read from a reply or a chunk.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Value>,
    model: Option<String>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    /// The model's explanation if it refuses to answer. OpenAI sends this explanation if the
    /// request has a schema for the answer.
    refusal: Option<String>,
    /// What the model thinks before it answers, in the field of DeepSeek, vLLM and llama.cpp. It
    /// isn't part of the answer, but it is paid for.
    reasoning_content: Option<Value>,
    /// The same in the field of OpenRouter and Ollama.
    reasoning: Option<Value>,
    tool_calls: Option<Vec<Call>>,
}

/// A function call, or a part of one.
#[derive(Deserialize)]
struct Call {
    /// The number of the call. Whole replies have no number, and some servers omit the number.
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
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
            Some(key) => Some(key.bearer_of(&format!("{prefix}_API_KEY")).await?),
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
            429 | 503 | 529 => return Err(Failure::Overloaded),
            408 | 504 => return Err(Failure::TimedOut),
            status @ (400 | 413 | 422) if prompt.given => {
                return Err(refused(status, response.into_body(), prompt).await);
            }
            // Some servers reply with 404, 500 or 501 if the model doesn't support a demand of the
            // prompt. Usually these statuses have another cause.
            status @ (404 | 500 | 501) if prompt.given && prompt.demands_more_than_words() => {
                return Err(match refused(status, response.into_body(), prompt).await {
                    Failure::Rejected(_) => Failure::failed(format!("status {status}")),
                    failure => failure,
                });
            }
            status @ (400 | 413 | 422) => {
                return Err(Failure::Denied(format!("status {status}")));
            }
            status => return Err(Failure::failed(format!("status {status}"))),
        }
        let body = Limited::new(response.into_body(), (builder.limit + 1024) * WRAPPING);
        if builder.has_listener() { listen(body, builder).await } else { read(body, builder).await }
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

type Reply = Limited<hyper::body::Incoming>;

/// Reads a whole reply.
async fn read(body: Reply, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    let body = body.collect().await.map_err(|error| broken(&*error, "cut off"))?.to_bytes();
    if take(&body, builder)? || !builder.is_empty() {
        Ok(())
    } else {
        Err(Failure::Empty("no answer"))
    }
}

/// Reads a streamed reply, whose last chunk says that it is the last.
async fn listen(body: Reply, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    let mut events = SseStream::new(body.map_err(io::Error::other));
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| match error {
            sse_stream::Error::Body(error) => broken(&*error, "cut off"),
            _ => Failure::failed("no events"),
        })?;
        match event.data.as_deref().map(str::trim) {
            None | Some("") => {}
            // Some servers never send a finish reason. A reply that has neither a finish reason nor
            // any content isn't an answer.
            Some("[DONE]") if finished || !builder.is_empty() => return Ok(()),
            Some("[DONE]") => break,
            Some(data) => finished |= take(data.as_bytes(), builder)?,
        }
    }
    if finished { Ok(()) } else { Err(Failure::failed("cut off")) }
}

/// Returns the reason why the rest of a reply can't be read. A reply over the limit counts as an
/// answer that is cut off, because the provider has worked for it.
fn broken(error: &(dyn std::error::Error + 'static), cause: &str) -> Failure {
    let inner = error.downcast_ref().and_then(io::Error::get_ref);
    let is_long =
        error.is::<LengthLimitError>() || inner.is_some_and(|error| error.is::<LengthLimitError>());
    if is_long { Failure::Cut(CutReason::Length) } else { Failure::failed(cause) }
}

/// Reads a reply or a chunk. Returns true if the chunk is the last one.
fn take(json: &[u8], builder: &mut AnswerBuilder<'_>) -> Result<bool, Failure> {
    // The log must not contain the content of the JSON.
    let completion: Completion = serde_json::from_slice(json)
        .map_err(|_| Failure::failed("an answer that can't be read"))?;
    if completion.error.is_some() {
        return Err(Failure::failed("an error in the middle"));
    }
    builder.usage = completion.usage.as_ref().and_then(usage).or(builder.usage);
    if let Some(model) = completion.model.filter(|model| !model.is_empty() && model.len() <= 200) {
        builder.model = model;
    }
    let Some(choice) = completion.choices.into_iter().next() else { return Ok(false) };
    match choice.finish_reason.as_deref() {
        Some("length") => builder.cut = Some(CutReason::Length),
        Some("content_filter") => return Err(Failure::Cut(CutReason::ContentFilter)),
        _ => {}
    }
    // Some servers send both the new text and the whole text so far. Only the new text is read.
    if let Some(message) = choice.delta.or(choice.message) {
        for thought in [message.reasoning_content, message.reasoning].into_iter().flatten() {
            builder.hear_reasoning(thought.as_str().unwrap_or_default());
        }
        for text in message.content.into_iter().chain(message.refusal) {
            builder.push_text(&text)?;
        }
        for (place, call) in message.tool_calls.into_iter().flatten().enumerate() {
            take_call(call, place, builder)?;
        }
    }
    Ok(choice.finish_reason.is_some())
}

/// Reads a function call or a part of one. `place` is the call's index in the reply.
fn take_call(call: Call, place: usize, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    let number = call.index.unwrap_or_else(|| u64::try_from(place).unwrap_or(u64::MAX));
    let Some(Function { name, arguments }) = call.function else { return Ok(()) };
    let arguments = match arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        // Some servers send the arguments as JSON instead of text.
        Some(other) => other.to_string(),
    };
    let (id, name) = (call.id.unwrap_or_default(), name.unwrap_or_default());
    builder.push_call(number, &id, &name, &arguments)
}

/// Returns the reason why a server refuses a program's prompt.
async fn refused(status: u16, body: hyper::body::Incoming, prompt: &Prompt) -> Failure {
    Failure::refused(&refusal::words(body).await, prompt, &format!("status {status}"))
}

/// Returns the server's numbers of model tokens. `None` if the server sends none.
fn usage(counted: &Value) -> Option<ReportedUsage> {
    let count = |name: &str| counted.get(name)?.as_u64();
    let detail = |of: &str, name: &str| counted.get(of)?.get(name)?.as_u64();
    let usage = ReportedUsage {
        prompt: count("prompt_tokens"),
        cached: detail("prompt_tokens_details", "cached_tokens"),
        written: None,
        completion: count("completion_tokens"),
        reasoning: detail("completion_tokens_details", "reasoning_tokens"),
        total: count("total_tokens"),
        cache_count: CacheCount::InPrompt,
    };
    (usage.prompt.is_some() || usage.completion.is_some()).then_some(usage)
}

/// Returns the innermost cause of an error. The outer errors only say that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
