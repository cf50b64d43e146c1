//! Servers that implement OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)): OpenAI itself, Ollama, vLLM,
//! llama.cpp, LiteLLM.

mod embeddings;
mod reply;
mod request;

use lambda_http::http::header::AUTHORIZATION;
use lambda_http::http::request::Builder;

use crate::ai::openai::reply::ReplyReader;
use crate::ai::openai::request::CompletionRequest;
use crate::ai::server::{Api, BodyReader, Server};
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::clock::Clock;
use crate::config::{AiServer, ConfigError};
use crate::secrets::ServiceKey;

static COMPLETIONS: Api =
    Api { path: "/chat/completions", with_headers, field_in_words: |_, _| None };

fn with_headers(request: Builder, key: Option<&ServiceKey>) -> Builder {
    match key {
        Some(key) => request.header(AUTHORIZATION, &key.bearer),
        None => request,
    }
}

pub struct OpenAi {
    server: Server,
    /// True if the server is OpenAI itself.
    is_openai: bool,
}

impl OpenAi {
    pub async fn connect(server: &AiServer, clock: &Clock) -> Result<Self, ConfigError> {
        let server = Server::connect(&COMPLETIONS, server, clock).await?;
        Ok(Self { is_openai: server.host() == Some("api.openai.com"), server })
    }

    /// Returns true unless it is known that the server doesn't have this parameter.
    pub fn supports(&self, parameter: &str) -> bool {
        match parameter {
            "web_search_options" => false,
            "top_k" => !self.is_openai,
            _ => true,
        }
    }

    /// Opens a connection for the next request.
    pub async fn open(&self) {
        self.server.open().await;
    }

    /// Reads the API key again if it is due for renewal.
    pub async fn renew_key(&self) {
        self.server.renew_key().await;
    }

    /// Requests an answer from the server.
    pub async fn answer(
        &self,
        model: &str,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let streamed = builder.has_listener();
        let request = CompletionRequest::of(prompt, model, self.is_openai, streamed);
        self.server.answer(&request, prompt, ReplyReader::default(), builder).await
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
