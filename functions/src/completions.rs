//! `POST /v1/chat/completions` - a chat, as OpenAI's API has it ([reference](https://platform.openai.com/docs/api-reference/chat/create)).
//!
//! In: an API key or an access token, and `messages`; the last one by the user is what the history
//! shows. `stream`, `stream_options`, `temperature`, `top_p`, `max_tokens`, `max_completion_tokens`
//! and `stop` are heeded, and whatever `model` is named, the settings say who answers. What would
//! change the form of the answer is refused, everything else ignored. Out: a completion, or its
//! chunks. It costs what a chat costs. Who says that the same is sent again
//! (`x-stainless-retry-count`) gets the completion that is paid for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::app::Asking;
use shared::ai::{Cut, Prompt, Role, Turn};
use shared::charge::{self, Answering, Asked, Begun, Charge, Context, Keyed};
use shared::chat::{Chat, Message};
use shared::error::{FieldErrors, REQUIRED};
use shared::http::{Events, Failures};
use shared::openapi::{self, IdempotencyKey};
use shared::{Error, Reply, Request, Result, auth, http};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// After how many seconds a call that is sent again while the first one runs may come once more.
/// OpenAI's SDKs come twice at most, so that it is longer than most answers take.
const COME_AGAIN: u32 = 10;

/// Before how many texts an answer may be told to end.
const STOPS: usize = 4;

/// Takes the tokens, asks the AI, and stores the chat or gives the tokens back.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "OpenAI",
    summary = "Send the AI a message, as OpenAI's API has it",
    description = "It costs what a chat costs, and whatever `model` is named, the settings say who answers. `stream`, `stream_options`, `temperature`, \
                   `top_p`, `max_tokens`, `max_completion_tokens` and `stop` are heeded. What would change the form of the answer is refused, everything \
                   else ignored. With `x-stainless-retry-count`, as OpenAI's SDKs send it, a call that is sent again costs nothing more.",
    security(("api_key" = []), ("access_token" = [])),
    params(
        IdempotencyKey,
        ("x-stainless-retry-count" = Option<String>, Header, description = "How often the same was sent before; what is no number says nothing.", example = "0"),
    ),
    request_body = Body,
    responses((
        status = 200,
        description = "A completion; with `stream` its chunks, as server-sent events.",
        content((Completion = "application/json"), (ChunkEvent = "text/event-stream")),
        headers(("RateLimit" = String), ("RateLimit-Policy" = String)),
    )),
    extensions(("x-fails" = json!(charge::FAILURES)), ("x-narrow" = json!(limits()))),
)]
pub async fn handle(app: Asking, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::json(&req)?;
    let caller = auth::program(&app, &req).await?;
    let (streamed, usage) = (body.stream == Some(true), body.wants_usage());
    let (message, prompt) = body.read(app.config.message_limit)?;
    let key = match (key, http::retry_count(&req)) {
        (Some(key), _) => Some(Keyed::of_completion(&key, &caller, &req)),
        (None, Some(count)) => Some(Keyed::of_call(&app, &req, &caller, count > 0).await?),
        (None, None) => None,
    };
    let asked = Asked { message, context: Context::Given(prompt), key };
    let begun = Charge::begin(&app, &req, &caller, asked).await.map_err(|error| match error {
        Error::KeyRunning { .. } => Error::KeyRunning { seconds: COME_AGAIN },
        error => error,
    });
    match begun? {
        Begun::Replayed(chat) if streamed => {
            let said = http::events(&req, Failures::OpenAi, async move |events| {
                let mut chunks = Chunks::of(events, &chat.chat_id, chat.time);
                chunks.say(&chat.model, &chat.response).await?;
                chunks.end(&chat, usage).await
            });
            said.map(http::replayed)
        }
        Begun::Replayed(chat) => http::ok(&Completion::of(&chat)).map(http::replayed),
        Begun::Charge(charge) if streamed => {
            let mut answering = Answering::begin(charge).await?;
            http::events(&req, Failures::OpenAi, async move |events| {
                let mut chunks = Chunks::of(events, answering.chat_id(), answering.began());
                while let Some(piece) = answering.next().await {
                    chunks.say(&piece.model, &piece.text).await?;
                }
                match answering.end().await {
                    Ok(paid) => chunks.end(&paid.chat, usage).await,
                    Err(error) => chunks.events.fail(&error).await,
                }
            })
        }
        Begun::Charge(charge) => {
            let paid = charge.answer(None).await?;
            Ok(http::limited(http::ok(&Completion::of(&paid.chat))?, &paid.this_minute))
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CompletionRequest)]
struct Body {
    /// What was said so far. The last one by the user is what the history shows; it must say
    /// something.
    #[schema(value_type = Vec<Said>)]
    messages: Option<Vec<Said>>,
    /// Whether the answer comes in chunks.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// How freely the AI chooses its words.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The older name of `max_completion_tokens`.
    max_tokens: Option<f64>,
    /// How many tokens the answer may have; -1 for any number.
    max_completion_tokens: Option<f64>,
    /// Before which texts the answer ends.
    stop: Option<Stop>,
    n: Option<f64>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    functions: Option<Vec<Value>>,
    response_format: Option<Typed>,
    logprobs: Option<bool>,
    audio: Option<Value>,
}

/// What [`Body::read`] asks of the fields beyond their types.
fn limits() -> Value {
    let tokens = || json!({ "anyOf": [{ "minimum": 1, "maximum": u32::MAX }, { "const": -1 }, { "type": "null" }] });
    let stop = json!({ "oneOf": [
        { "type": "null" },
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "contains": { "minLength": 1 }, "minContains": 0, "maxContains": STOPS },
    ] });
    let of_user = json!({ "properties": { "role": { "const": "user" }, "content": { "not": { "type": "null" } } }, "required": ["role", "content"] });
    let part = json!({ "anyOf": [
        { "properties": { "type": { "const": "text" }, "text": { "type": "string" } }, "required": ["text"] },
        { "properties": { "type": { "const": "refusal" }, "refusal": { "type": "string" } }, "required": ["refusal"] },
    ] });
    json!({
        "properties": {
            "messages": { "items": { "properties": { "content": { "items": part } } }, "contains": of_user, "minItems": 1 },
            "response_format": { "properties": { "type": { "const": "text" } } },
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "max_tokens": tokens(),
            "max_completion_tokens": tokens(),
            "stop": stop,
            "n": { "enum": [1, null] },
            "tools": { "type": ["array", "null"], "description": "None, unless `tool_choice` says `none`." },
            "functions": { "maxItems": 0 },
            "logprobs": { "enum": [false, null] },
            "audio": { "type": "null" },
        },
        "anyOf": [
            { "properties": { "tools": { "maxItems": 0 } } },
            { "properties": { "tool_choice": { "const": "none" } }, "required": ["tool_choice"] },
        ],
    })
}

#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    /// Whether the last chunk before `[DONE]` tells the usage.
    include_usage: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, or a list of texts")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Said)]
struct Said {
    #[schema(pattern = "^(system|developer|user|assistant)$", examples("user"))]
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Typed>),
}

/// A part of what is said, or another thing that has a type.
#[derive(Deserialize, ToSchema)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl Body {
    fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// What the history shows, and what the AI is asked.
    fn read(self, message_limit: usize) -> Result<(Message, Prompt)> {
        let mut errors = FieldErrors::default();
        for (field, asked) in [
            ("n", self.n.is_some_and(|n| n != 1.0)),
            (
                "tools",
                self.tools.is_some_and(|tools| !tools.is_empty())
                    && self.tool_choice.is_none_or(|choice| choice != "none"),
            ),
            ("functions", self.functions.is_some_and(|functions| !functions.is_empty())),
            ("response_format", self.response_format.is_some_and(|format| format.kind != "text")),
            ("logprobs", self.logprobs == Some(true)),
            ("audio", self.audio.is_some()),
        ] {
            if asked {
                errors.note(
                    field,
                    "This API answers with one text and nothing else. Leave this out.",
                );
            }
        }
        let within = |number: Option<f64>, most: f64| match number {
            Some(number) if !(0.0..=most).contains(&number) => {
                Err(format!("This is a number from 0 to {most}."))
            }
            number => Ok(number),
        };
        let temperature = errors.check("temperature", within(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", within(self.top_p, 1.0)).flatten();
        let older = errors.check("max_tokens", most(self.max_tokens)).flatten();
        let max_tokens = errors
            .check("max_completion_tokens", most(self.max_completion_tokens))
            .flatten()
            .or(older);
        let mut stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Several(texts)) => texts,
        };
        stop.retain(|text| !text.is_empty());
        if stop.len() > STOPS {
            errors.note("stop", format!("An answer may be told to end before {STOPS} texts."));
        }
        let turns = turns(self.messages.unwrap_or_default(), &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("messages", asked(turns, message_limit)));
        match (message, turns) {
            (Some(message), Some(mut turns)) if errors.is_empty() => {
                // Some providers refuse a turn in which nothing is said.
                turns.retain(|turn| !turn.content.trim().is_empty());
                Ok((
                    message,
                    Prompt {
                        turns,
                        temperature,
                        top_p,
                        max_tokens,
                        stop,
                        empty_is_an_answer: true,
                    },
                ))
            }
            _ => Err(errors.into_error()),
        }
    }
}

/// How many tokens an answer may have. Some clients say -1 where they don't mind.
fn most(tokens: Option<f64>) -> Result<Option<u32>, String> {
    match tokens {
        None | Some(-1.0) => Ok(None),
        Some(tokens) if (1.0..=f64::from(u32::MAX)).contains(&tokens) => Ok(Some(tokens as u32)),
        Some(_) => Err("An answer has at least one token.".into()),
    }
}

/// What was said so far, where all of it can be read.
fn turns(messages: Vec<Said>, errors: &mut FieldErrors) -> Option<Vec<Turn>> {
    let turns = messages.into_iter().enumerate().map(|(number, Said { role, content })| {
        let role = match role.as_str() {
            "system" | "developer" => Ok(Role::System),
            "user" => Ok(Role::User),
            "assistant" => Ok(Role::Assistant),
            _ => Err("This is system, developer, user or assistant.".to_owned()),
        };
        let role = errors.check(&format!("messages[{number}].role"), role);
        let content = errors.check(
            &format!("messages[{number}].content"),
            content.map_or(Ok(String::new()), Content::text),
        );
        Some(Turn { role: role?, content: content? })
    });
    turns.collect()
}

/// The last message by the user.
fn asked(turns: &[Turn], limit: usize) -> Result<Message, String> {
    let last = turns.iter().rev().find(|turn| turn.role == Role::User).ok_or(REQUIRED)?;
    Message::parse(last.content.clone(), limit)
}

impl Content {
    fn text(self) -> Result<String, String> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let text = |part: Typed| match part.kind.as_str() {
            "text" => part.text,
            "refusal" => part.refusal,
            _ => None,
        };
        let texts: Option<Vec<String>> = parts.into_iter().map(text).collect();
        texts.map(|texts| texts.join("\n")).ok_or_else(|| "Only texts can be answered.".into())
    }
}

/// A chat as a completion.
#[derive(Serialize, ToSchema)]
struct Completion<'a> {
    /// `chatcmpl-` and the chat's id.
    #[schema(examples("chatcmpl-01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: String,
    /// Always `chat.completion`.
    #[schema(pattern = "^chat\\.completion$", examples("chat.completion"))]
    object: &'static str,
    /// When it began, in seconds since 1970.
    #[schema(examples(1_795_132_800))]
    created: u64,
    /// The model that answered.
    #[schema(examples("echo"))]
    model: &'a str,
    /// One.
    #[schema(min_items = 1, max_items = 1)]
    choices: [Choice<'a>; 1],
    /// What the provider counted, where it did.
    #[schema(required)]
    usage: Option<Usage>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
struct Choice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// The answer.
    message: Answer<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// Why it ends.
    #[schema(pattern = "^(stop|length|content_filter)$", examples("stop"))]
    finish_reason: &'static str,
}

/// What the AI says.
#[derive(Serialize, ToSchema)]
struct Answer<'a> {
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The answer. Empty where the AI finished without a word, which costs the same.
    #[schema(examples("You said: Hello!"))]
    content: &'a str,
    /// Always null.
    #[schema(schema_with = null)]
    refusal: (),
}

/// What a provider counted, in the model's own tokens.
#[derive(Serialize, ToSchema)]
struct Usage {
    /// What it read.
    #[schema(examples(9))]
    prompt_tokens: u32,
    /// What it wrote.
    #[schema(examples(12))]
    completion_tokens: u32,
    /// Both.
    #[schema(examples(21))]
    total_tokens: u64,
}

/// An event of a streamed completion.
#[derive(Debug)]
pub struct ChunkEvent;

impl PartialSchema for ChunkEvent {
    fn schema() -> RefOr<Schema> {
        openapi::event(None, &["CompletionChunk", "OpenAiFailure"], Some("[DONE]")).into()
    }
}

impl ToSchema for ChunkEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Chunk::name().into(), Chunk::schema()));
        <Chunk as ToSchema>::schemas(schemas);
    }
}

/// A part of a completion.
#[derive(Serialize, ToSchema)]
#[schema(as = CompletionChunk)]
struct Chunk<'a> {
    /// `chatcmpl-` and the chat's id.
    #[schema(examples("chatcmpl-01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// Always `chat.completion.chunk`.
    #[schema(pattern = "^chat\\.completion\\.chunk$", examples("chat.completion.chunk"))]
    object: &'static str,
    /// When it began, in seconds since 1970.
    #[schema(examples(1_795_132_800))]
    created: u64,
    /// The model that answers.
    #[schema(examples("echo"))]
    model: &'a str,
    /// One, or none where only the usage is told.
    #[schema(max_items = 1)]
    choices: Vec<ChunkChoice<'a>>,
    /// In the last one, where it was asked for and the provider counted.
    #[schema(required)]
    usage: Option<Usage>,
}

/// A part of an answer.
#[derive(Serialize, ToSchema)]
struct ChunkChoice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// What comes next.
    delta: AnswerDelta<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// Why it ends, in the last one.
    #[schema(required, pattern = "^(stop|length|content_filter)$", examples("stop"))]
    finish_reason: Option<&'static str>,
}

impl<'a> ChunkChoice<'a> {
    fn of(delta: AnswerDelta<'a>, finish_reason: Option<&'static str>) -> Vec<Self> {
        vec![Self { index: 0, delta, logprobs: (), finish_reason }]
    }
}

/// A piece of what the AI says; nothing at the end.
#[derive(Default, Serialize, ToSchema)]
struct AnswerDelta<'a> {
    /// `assistant`, in the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^assistant$", examples("assistant"))]
    role: Option<&'static str>,
    /// What comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("You "))]
    content: Option<&'a str>,
}

fn null() -> Object {
    Object::with_type(Type::Null)
}

impl<'a> Completion<'a> {
    fn of(chat: &'a Chat) -> Self {
        let message = Answer { role: "assistant", content: &chat.response, refusal: () };
        let finish_reason = finish_reason(chat);
        Self {
            id: id(&chat.chat_id),
            object: "chat.completion",
            created: chat.time / 1000,
            model: &chat.model,
            choices: [Choice { index: 0, message, logprobs: (), finish_reason }],
            usage: Usage::of(chat),
        }
    }
}

fn id(chat_id: &str) -> String {
    format!("chatcmpl-{chat_id}")
}

fn finish_reason(chat: &Chat) -> &'static str {
    match chat.cut {
        None => "stop",
        Some(Cut::Length) => "length",
        Some(Cut::ContentFilter) => "content_filter",
    }
}

impl Usage {
    /// What the provider counted, where it did.
    fn of(chat: &Chat) -> Option<Self> {
        chat.usage.map(|usage| Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
        })
    }
}

/// A completion on its way, chunk by chunk ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).
struct Chunks {
    events: Events,
    id: String,
    created: u64,
    begun: bool,
}

impl Chunks {
    fn of(events: Events, chat_id: &str, began: u64) -> Self {
        Self { events, id: id(chat_id), created: began / 1000, begun: false }
    }

    async fn say(&mut self, model: &str, text: &str) -> Result<()> {
        let role = (!self.begun).then_some("assistant");
        self.begun = true;
        let delta = AnswerDelta { role, content: Some(text) };
        self.send(model, ChunkChoice::of(delta, None), None).await
    }

    async fn end(&mut self, chat: &Chat, with_usage: bool) -> Result<()> {
        if !self.begun {
            // Clients expect the role, though nothing was said.
            self.say(&chat.model, "").await?;
        }
        let end = ChunkChoice::of(AnswerDelta::default(), Some(finish_reason(chat)));
        self.send(&chat.model, end, None).await?;
        if with_usage {
            self.send(&chat.model, Vec::new(), Usage::of(chat)).await?;
        }
        self.events.send_data("[DONE]").await
    }

    async fn send(
        &self,
        model: &str,
        choices: Vec<ChunkChoice<'_>>,
        usage: Option<Usage>,
    ) -> Result<()> {
        let Self { id, created, .. } = self;
        let object = "chat.completion.chunk";
        self.events.send_json(&Chunk { id, object, created: *created, model, choices, usage }).await
    }
}
