//! A provider that counts: the scripted AI behind a server that speaks OpenAI's chat completions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::ai::{Ai, Prompt, Speaker, Tool, ToolCall, Turn};
use shared::config::{AiConfig, Settings};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

/// Longer than the product waits for any answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handle to the server. Cloning it is cheap.
#[derive(Clone)]
pub struct CountingAi {
    url: String,
    scripted: Ai,
    /// How often each message was sent.
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

/// The fields of a request that are read.
#[derive(Deserialize)]
struct Asked {
    messages: Vec<Value>,
    #[serde(default)]
    tools: Vec<Value>,
    stream: bool,
}

impl Asked {
    fn prompt(&self) -> Prompt {
        let turn = |message: &Value| {
            let role = match message["role"].as_str().unwrap() {
                "system" => Speaker::System,
                "assistant" => Speaker::Assistant,
                "tool" => Speaker::Tool,
                _ => Speaker::User,
            };
            Turn::of(role, message["content"].as_str().unwrap_or_default())
        };
        let tool = |tool: &Value| {
            let name = tool["function"]["name"].as_str().unwrap().to_owned();
            Tool { name, description: None, parameters: None, strict: None }
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
        let scripted = Ai::connect(AiConfig::read(&settings).unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { url, scripted, asked: Arc::default() };
        let router = Router::new().fallback(answer).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    /// The settings with which the product asks this provider.
    pub fn settings(&self) -> [(&'static str, &str); 3] {
        [("AI_PROVIDER", "openai"), ("OPENAI_BASE_URL", &self.url), ("OPENAI_MODEL", "scripted")]
    }

    /// How often it received this message.
    pub fn times(&self, message: &str) -> usize {
        self.asked.lock().unwrap().get(message).copied().unwrap_or(0)
    }
}

/// Answers as the scripted AI does. A stream is sent as a whole when its answer is complete; if the
/// AI fails after a part, the stream ends without its last event.
async fn answer(State(provider): State<CountingAi>, method: Method, body: Bytes) -> Response {
    // A function that starts only opens its connection.
    if method == Method::HEAD {
        return Response::default();
    }
    let asked: Asked = serde_json::from_slice(&body).unwrap();
    let (prompt, stream) = (asked.prompt(), asked.stream);
    let message = prompt.turns.last().unwrap().text().into_owned();
    *provider.asked.lock().unwrap().entry(message).or_default() += 1;

    let (listener, mut pieces) = unbounded_channel();
    let outcome = provider.scripted.answer(prompt, PATIENCE, stream.then_some(&listener)).await;
    drop(listener);
    let mut events = String::new();
    while let Some(piece) = pieces.recv().await {
        let mut delta = json!({ "content": piece.text });
        if let Some(call) = piece.call {
            let (id, name) = call.begins.unzip();
            let function = json!({ "name": name, "arguments": call.arguments });
            delta["tool_calls"] = json!([{ "index": call.index, "id": id, "type": "function", "function": function }]);
        }
        let said = json!({ "choices": [{ "delta": delta }] });
        events.push_str(&format!("data: {said}\n\n"));
    }
    match outcome {
        Ok(_) if stream => {
            let end = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
            Response::new(Body::from(format!("{events}data: {end}\n\ndata: [DONE]\n\n")))
        }
        Ok(answer) => {
            let call = |call: &ToolCall| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            };
            let calls: Vec<Value> = answer.calls.iter().map(call).collect();
            let message = json!({ "content": answer.text, "tool_calls": calls });
            let said = json!({ "message": message, "finish_reason": "stop" });
            Response::new(Body::from(json!({ "choices": [said] }).to_string()))
        }
        Err(_) if !events.is_empty() => Response::new(Body::from(events)),
        // The product distinguishes the AI's failures by these statuses.
        Err(error) => Response::builder().status(error.status()).body(Body::empty()).unwrap(),
    }
}
