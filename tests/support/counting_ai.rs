//! A provider that counts its requests: the scripted AI behind a server that implements OpenAI's
//! chat completions.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::post;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::ai::{
    Ai, Answer, EmbeddingInput, EmbeddingRequest, Embeddings, Piece, Prompt, ReasoningPiece, Tool,
};
use shared::clock::Clock;
use shared::config::{AiConfig, Settings};
use shared::values::{CutReason, Speaker, ToolCall, Turn, Usage};
use shared::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::support::wait::until;

/// Longer than the product waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handle to the server. Cloning it is cheap.
#[derive(Clone)]
pub struct CountingAi {
    url: String,
    scripted: Ai,
    /// How many times the provider has received each message.
    asked: Arc<Mutex<HashMap<String, usize>>>,
    /// For each message, how often a client disconnected before the answer was complete.
    left: Arc<Mutex<HashMap<String, usize>>>,
}

/// The fields that the provider reads from a request.
#[derive(Deserialize)]
struct ReceivedRequest {
    messages: Vec<Value>,
    #[serde(default)]
    tools: Vec<Value>,
    stream: bool,
}

impl ReceivedRequest {
    fn prompt(&self) -> Prompt {
        let turn = |message: &Value| {
            let role = match message["role"].as_str().unwrap() {
                "system" => Speaker::System,
                "assistant" => Speaker::Assistant,
                "tool" => Speaker::Tool,
                _ => Speaker::User,
            };
            let content = &message["content"];
            // The text of a message with files follows them.
            let last = || content.as_array()?.last()?["text"].as_str();
            Turn::new(role, content.as_str().or_else(last).unwrap_or_default())
        };
        let tool = |tool: &Value| {
            let name = tool["function"]["name"].as_str().unwrap().to_owned();
            Tool { name, ..Tool::default() }
        };
        Prompt {
            turns: self.messages.iter().map(turn).collect(),
            tools: self.tools.iter().map(tool).collect(),
            ..Prompt::default()
        }
    }
}

impl CountingAi {
    pub async fn start() -> Self {
        let settings = Settings::new(|name| (name == "AI_PROVIDER").then(|| "scripted".to_owned()));
        let config = AiConfig::read(&settings).unwrap();
        let scripted = Ai::connect(config, &Clock::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { url, scripted, asked: Arc::default(), left: Arc::default() };
        let router = Router::new()
            .route("/embeddings", post(embed))
            .fallback(answer)
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    /// The settings that make the product call this provider.
    pub fn settings(&self) -> [(&'static str, &str); 3] {
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", &self.url), ("OPENAI_MODEL", "scripted")]
    }

    /// How many times the provider has received this message.
    pub fn times(&self, message: &str) -> usize {
        self.asked.lock().unwrap().get(message).copied().unwrap_or(0)
    }

    /// How many times the provider has received a message that contains this text.
    pub fn times_with(&self, text: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(message, _)| message.contains(text)).map(|(_, times)| times).sum()
    }

    /// Returns when the provider has received this message.
    pub async fn is_asked(&self, message: &str) {
        until("the AI is asked", async || self.times(message) > 0).await;
    }

    /// How often a client disconnected before the answer to this message was complete.
    pub fn times_left(&self, message: &str) -> usize {
        self.left.lock().unwrap().get(message).copied().unwrap_or(0)
    }
}

/// The connection to a client that waits for an answer.
struct Client {
    provider: CountingAi,
    message: String,
    is_answered: bool,
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.is_answered {
            let mut left = self.provider.left.lock().unwrap();
            *left.entry(std::mem::take(&mut self.message)).or_default() += 1;
        }
    }
}

/// A streamed answer: the pieces that must still be sent, and the task that gets them from the
/// scripted AI.
struct StreamedAnswer {
    first: Option<Piece>,
    pieces: UnboundedReceiver<Piece>,
    answering: Option<JoinHandle<Result<Answer>>>,
    client: Client,
}

impl StreamedAnswer {
    /// Returns the next event. If the AI fails midway, the stream ends without its last event or,
    /// if the message asks for it, with an event that reports the failure.
    async fn next(mut self) -> Option<(Result<String, Infallible>, Self)> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => self.pieces.recv().await,
        };
        if let Some(piece) = piece {
            return Some((Ok(event(piece)), self));
        }
        let outcome = self.answering.take()?.await.unwrap();
        self.client.is_answered = true;
        let (reason, usage) = match outcome {
            Ok(answer) => (finish_reason(&answer), reported(&answer.usage)),
            Err(_) if self.client.message.starts_with("!ends ") => ("error", None),
            Err(_) => return None,
        };
        let mut end = json!({ "choices": [{ "delta": {}, "finish_reason": reason }] });
        if let Some(usage) = usage {
            end["usage"] = usage;
        }
        Some((Ok(format!("data: {end}\n\ndata: [DONE]\n\n")), self))
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    answer.cut.map_or("stop", CutReason::word)
}

/// Returns the counts that the scripted AI has reported. `None` if they are estimates.
fn reported(usage: &Usage) -> Option<Value> {
    (!usage.estimated).then(|| {
        let (cached, written) = (usage.cached_tokens, usage.written_tokens);
        json!({
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": cached, "cache_write_tokens": written },
        })
    })
}

fn event(piece: Piece) -> String {
    let mut delta = json!({ "content": piece.text });
    if let Some(ReasoningPiece::Text(thought)) = piece.reasoning {
        delta["reasoning_content"] = json!(thought);
    }
    if let Some(call) = piece.call {
        let (id, name) = call.begins.unzip();
        let function = json!({ "name": name, "arguments": call.arguments });
        delta["tool_calls"] =
            json!([{ "index": call.index, "id": id, "type": "function", "function": function }]);
    }
    let said = json!({ "choices": [{ "delta": delta }] });
    format!("data: {said}\n\n")
}

/// Returns the vectors of the scripted AI. The request is counted by its first text.
async fn embed(State(provider): State<CountingAi>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Received {
        input: Vec<String>,
    }
    let Received { input } = serde_json::from_slice(&body).unwrap();
    *provider.asked.lock().unwrap().entry(input[0].clone()).or_default() += 1;
    let cuts = input[0].starts_with("!cut ");
    let input = EmbeddingInput::Texts(input);
    let request = EmbeddingRequest { input, dimensions: Some(4) };
    match provider.scripted.embed(&request, PATIENCE).await {
        Ok(Embeddings { vectors, usage, .. }) => {
            let item = |(index, embedding)| json!({ "index": index, "embedding": embedding });
            let data: Vec<Value> = vectors.iter().enumerate().map(item).collect();
            let usage = json!({ "prompt_tokens": usage.prompt_tokens });
            Response::new(Body::from(json!({ "data": data, "usage": usage }).to_string()))
        }
        // The scripted AI has forgotten a vector, which the product must notice itself.
        Err(_) if cuts => Response::new(Body::from(r#"{"data":[],"usage":{"prompt_tokens":7}}"#)),
        Err(_) => Response::builder().status(500).body(Body::empty()).unwrap(),
    }
}

/// Answers as the scripted AI does, in a stream if the client asks for one.
async fn answer(State(provider): State<CountingAi>, method: Method, body: Bytes) -> Response {
    // A starting function sends `HEAD` to open its connection.
    if method == Method::HEAD {
        return Response::default();
    }
    let asked: ReceivedRequest = serde_json::from_slice(&body).unwrap();
    let (prompt, stream) = (asked.prompt(), asked.stream);
    let message = prompt.turns.last().unwrap().text().into_owned();
    *provider.asked.lock().unwrap().entry(message.clone()).or_default() += 1;

    let scripted = provider.scripted.clone();
    let mut client = Client { provider, message, is_answered: false };
    let outcome = if stream {
        let (listener, mut pieces) = unbounded_channel();
        let answering = tokio::spawn(async move {
            let answer = scripted.answer(prompt, PATIENCE, Some(&listener), pending()).await;
            answer.map_err(Error::from)
        });
        match pieces.recv().await {
            Some(first) => {
                let (first, answering) = (Some(first), Some(answering));
                let stream = StreamedAnswer { first, pieces, answering, client };
                return Response::new(Body::from_stream(unfold(stream, StreamedAnswer::next)));
            }
            None => answering.await.unwrap(),
        }
    } else {
        scripted.answer(prompt, PATIENCE, None, pending()).await.map_err(Error::from)
    };
    client.is_answered = true;
    match outcome {
        Ok(answer) => {
            let call = |call: &ToolCall| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            };
            let calls: Vec<Value> = answer.calls.iter().map(call).collect();
            let message = json!({ "content": answer.text, "tool_calls": calls });
            let said = json!({ "message": message, "finish_reason": finish_reason(&answer) });
            let mut body = json!({ "choices": [said] });
            if let Some(usage) = reported(&answer.usage) {
                body["usage"] = usage;
            }
            Response::new(Body::from(body.to_string()))
        }
        // The product distinguishes the AI's failures by the status.
        Err(error) => Response::builder().status(error.status()).body(Body::empty()).unwrap(),
    }
}
