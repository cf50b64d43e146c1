//! Servers that implement OpenAI's chat completions
//! ([reference](https://platform.openai.com/docs/api-reference/chat)): OpenAI itself, Ollama, vLLM,
//! llama.cpp, LiteLLM.

mod embeddings;
mod reply;
mod request;

use lambda_http::http::header::AUTHORIZATION;
use lambda_http::http::request::Builder;

use crate::ai::call_ids::AcceptedIds;
use crate::ai::failure::{Reason, Refusal};
use crate::ai::openai::reply::ReplyReader;
use crate::ai::openai::request::CompletionRequest;
use crate::ai::server::{Api, BodyReader, Server};
use crate::ai::{AnswerBuilder, Failure, Prompt};
use crate::clock::Clock;
use crate::config::{AiServer, ConfigError};
use crate::secrets::ServiceKey;

static COMPLETIONS: Api =
    Api { path: "/chat/completions", with_headers, more_headers: |_| None, refused_field };

/// The name of the parameter for a model's effort.
const EFFORT: &str = "reasoning_effort";

/// Returns the parameter that a refusal is about if `param` doesn't name it. An effort may be sent
/// for a budget. Many servers name a field only in their sentence, sometimes in camel case, or in a
/// path.
fn refused_field(reason: &Reason, prompt: &Prompt) -> Option<&'static str> {
    let effort = prompt.options.effort_alone().map(|(parameter, _)| parameter);
    if !reason.param.is_empty() {
        return effort.filter(|_| reason.param == EFFORT);
    }
    let words = reason.words.to_lowercase();
    // A part of a model's name, as in `doubao-seed-1-6`, isn't a word.
    let is_between = |c: char| !c.is_alphanumeric() && !['_', '-'].contains(&c);
    let is_named = |name: &&str| {
        let joined = name.replace('_', "");
        words.split(is_between).any(|word| word.replace('_', "") == joined)
    };
    let mut others = prompt.options.given().filter(|name| ![EFFORT, "thinking"].contains(name));
    others.find(is_named).or(effort.filter(|_| Refusal::is_of_effort(&words)))
}

fn with_headers(request: Builder, key: Option<&ServiceKey>) -> Builder {
    match key {
        Some(key) => request.header(AUTHORIZATION, &key.bearer),
        None => request,
    }
}

pub struct OpenAi {
    server: Server,
    host: Host,
}

/// A server whose API is stricter than others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    OpenAi,
    Mistral,
    Other,
}

impl Host {
    fn of(name: Option<&str>) -> Self {
        match name {
            Some("api.openai.com") => Self::OpenAi,
            Some("api.mistral.ai") => Self::Mistral,
            _ => Self::Other,
        }
    }

    /// Returns the ids of calls that the server accepts.
    fn accepted_ids(self) -> AcceptedIds {
        match self {
            Self::OpenAi => AcceptedIds::AtMost40,
            Self::Mistral => AcceptedIds::Short,
            Self::Other => AcceptedIds::Any,
        }
    }
}

impl OpenAi {
    pub async fn connect(server: &AiServer, clock: &Clock) -> Result<Self, ConfigError> {
        let server = Server::connect(&COMPLETIONS, server, clock).await?;
        Ok(Self { host: Host::of(server.host()), server })
    }

    /// Returns true unless it is known that the server doesn't have this parameter.
    pub fn supports(&self, parameter: &str) -> bool {
        match parameter {
            "top_k" | "min_p" | "repetition_penalty" => self.host != Host::OpenAi,
            _ => true,
        }
    }

    /// Returns true if the server gets the text of earlier reasoning.
    pub fn takes_reasoning(&self) -> bool {
        self.host != Host::OpenAi
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
        let request = CompletionRequest::of(prompt, model, self.host, streamed);
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
