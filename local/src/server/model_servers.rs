//! The search for a chat model on this machine. If no setting selects an AI, messages are answered
//! by such a model instead of the offline echo.
//!
//! Any program may listen on the usual ports of model servers. Therefore only 127.0.0.1 is queried,
//! replies are limited in time and size, and redirects aren't followed. A server's models count
//! only if the server also describes them in its own API. The requests don't contain an API key and
//! don't use a proxy, even if the environment names one.

use std::fmt;
use std::future::ready;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// How long the local server waits for the replies of all model servers when it starts.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// The maximum size of a reply, in bytes. A list of a hundred models is less than half as large.
const REPLY_LIMIT: usize = 1024 * 1024;

/// The maximum number of models that are read from a list.
const MODELS: usize = 500;

/// The maximum length of a model's name, in bytes.
const NAME_LIMIT: usize = 200;

/// Parts of the names of models that don't answer messages.
const NOT_FOR_CHATS: [&str; 6] = ["embed", "bge-", "e5-", "gte-", "minilm", "rerank"];

type Http = Client<HttpConnector, Body>;

/// A program that serves models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Ollama ([its list](https://docs.ollama.com/api/tags)).
    Ollama,
    /// LM Studio ([its list](https://lmstudio.ai/docs/developer/rest/endpoints)).
    LmStudio,
    /// llama.cpp's server
    /// ([its endpoints](https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md)).
    LlamaCpp,
}

impl Program {
    /// Returns the port that the program listens on if it is started without options.
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Ollama => 11434,
            Self::LmStudio => 1234,
            Self::LlamaCpp => 8080,
        }
    }

    /// Returns the path at which the program describes its models. llama.cpp's server describes
    /// only itself there. If it has an API key, it requires the key there, but never at
    /// `/v1/models`.
    const fn own_path(self) -> &'static str {
        match self {
            Self::Ollama => "/api/tags",
            Self::LmStudio => "/api/v0/models",
            Self::LlamaCpp => "/props",
        }
    }

    /// Returns the first chat model in the list at `/v1/models`. Prefers models that are already in
    /// memory. `own` is the reply at [`Program::own_path`].
    fn chat_model(self, models: &Value, own: &Value) -> Option<String> {
        entries(models, "data")
            .filter(|model| can_be_for_chats(text(model, "id")))
            .filter_map(|model| Some((self.needs_loading(model, own)?, text(model, "id"))))
            .min_by_key(|(needs_loading, _)| *needs_loading)
            .map(|(_, name)| name.to_owned())
    }

    /// Returns true if the program says that the model must be loaded before it answers. `None` if
    /// the model isn't for chats, or doesn't run on this machine.
    fn needs_loading(self, model: &Value, own: &Value) -> Option<bool> {
        let id = text(model, "id");
        match self {
            Self::Ollama => {
                let described = entries(own, "models")
                    .find(|tag| text(tag, "model") == id || text(tag, "name") == id)?;
                (is_local(described, id) && is_for_chats(described)).then_some(false)
            }
            // `/v1/models` lists all downloaded models only if LM Studio loads models on demand.
            Self::LmStudio => {
                let described = entries(own, "data").find(|other| text(other, "id") == id)?;
                matches!(text(described, "type"), "llm" | "vlm")
                    .then(|| text(described, "state") != "loaded")
            }
            // With several models, the server loads them on demand, and says which are loaded.
            Self::LlamaCpp => {
                let status = model.pointer("/status/value").and_then(Value::as_str);
                (text(model, "owned_by") == "llamacpp")
                    .then(|| status.is_some_and(|status| status != "loaded"))
            }
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ollama => "Ollama",
            Self::LmStudio => "LM Studio",
            Self::LlamaCpp => "llama.cpp's server",
        })
    }
}

/// Returns true if Ollama runs the model on this machine, rather than in its cloud.
fn is_local(described: &Value, id: &str) -> bool {
    text(described, "remote_host").is_empty()
        && text(described, "remote_model").is_empty()
        && !id.ends_with(":cloud")
        && !id.ends_with("-cloud")
}

/// Returns true if Ollama's model answers messages. Earlier versions of Ollama don't list
/// capabilities, but most embedding models belong to the BERT families.
fn is_for_chats(described: &Value) -> bool {
    let capabilities: Vec<&Value> = entries(described, "capabilities").collect();
    match capabilities.as_slice() {
        [] => {
            let family = described.pointer("/details/family").and_then(Value::as_str);
            !family.unwrap_or_default().contains("bert")
        }
        capabilities => capabilities.iter().any(|capability| *capability == "completion"),
    }
}

/// Returns true if a chat model can have this name. The name is printed, so it must be a single
/// line of ASCII: characters from other writing systems could imitate ASCII letters, or reverse the
/// line's direction.
fn can_be_for_chats(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.is_empty()
        && name.len() <= NAME_LIMIT
        && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !NOT_FOR_CHATS.iter().any(|part| lower.contains(part))
}

/// Returns the values in a list. Empty if the list is missing or null, as it is in Ollama's reply
/// if there are no models.
fn entries<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().take(MODELS)
}

/// Returns a string in an object. Empty if it is missing.
fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A program that may listen on a port of 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelServer {
    /// The program.
    pub program: Program,
    /// The port.
    pub port: u16,
}

impl ModelServer {
    async fn chat_model(self, http: Http) -> Option<String> {
        let own = self.program.own_path();
        let (models, own) = join(self.get(&http, "/v1/models"), self.get(&http, own)).await;
        self.program.chat_model(&models?, &own?)
    }

    /// Returns the JSON at this path. `None` if the server replies with anything else.
    async fn get(self, http: &Http, path: &str) -> Option<Value> {
        let url = format!("http://{}:{}{path}", Ipv4Addr::LOCALHOST, self.port);
        let request = Request::get(url).body(Body::empty()).ok()?;
        let reply = http.request(request).await.ok()?;
        if reply.status() != StatusCode::OK {
            return None;
        }
        let body = to_bytes(Body::new(reply.into_body()), REPLY_LIMIT).await.ok()?;
        serde_json::from_slice(&body).ok()
    }
}

/// A chat model that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatModel {
    /// The server that serves the model.
    pub server: ModelServer,
    /// The model's name on the server.
    pub name: String,
}

/// Queries all servers at the same time. Returns the first chat model of the first listed server
/// that has one. Ignores replies that take longer than `patience`.
pub async fn find(servers: &[ModelServer], patience: Duration) -> Option<ChatModel> {
    let until = Instant::now() + patience;
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let count = servers.len().max(1);
    let asked = servers.iter().copied().map(move |server| {
        let name = timeout_at(until, server.chat_model(http.clone()));
        async move { Some(ChatModel { server, name: name.await.ok()?? }) }
    });
    // Don't wait for the servers after the first one with a chat model.
    let found = stream::iter(asked).buffered(count).filter_map(ready);
    pin!(found).next().await
}

/// The AI that answers messages on the local server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// The providers that `AI_PROVIDER` names.
    Providers(String),
    /// The providers of the models in the price list.
    PriceList,
    /// A chat model on this machine.
    Model(ChatModel),
    /// The offline echo, because there is no chat model on this machine.
    Echo,
}

impl Answering {
    /// Returns the value of a setting for calls to the chat model. These settings replace all
    /// settings of the `openai` provider. The empty API key prevents a key in the environment from
    /// being sent to the model's server. `None` for other settings, or if there is no model.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let Self::Model(ChatModel { server, name: model }) = self else { return None };
        match name {
            "AI_PROVIDER" => Some("openai".to_owned()),
            "OPENAI_BASE_URL" => Some(format!("http://{}:{}/v1", Ipv4Addr::LOCALHOST, server.port)),
            "OPENAI_MODEL" => Some(model.clone()),
            "OPENAI_API_KEY" => Some(String::new()),
            _ => None,
        }
    }
}

/// Displays a line that says what answers messages, and how to change that.
impl fmt::Display for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Providers(names) => write!(f, "AI_PROVIDER={names} answers messages."),
            Self::PriceList => f.write_str("The providers in the price list answer messages."),
            Self::Model(ChatModel { server: ModelServer { program, port }, name }) => write!(
                f,
                "{program} on port {port} answers messages, with the model {name}. AI_PROVIDER=echo chooses the offline echo instead."
            ),
            Self::Echo => f.write_str(
                "An offline echo answers messages, because no model server on this machine has \
                 offered a chat model. For real answers, install Ollama (https://ollama.com), run \
                 `ollama pull llama3.2`, and start Farebox again, or choose a provider with \
                 AI_PROVIDER.",
            ),
        }
    }
}
