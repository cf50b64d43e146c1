//! The events of a streamed response
//! ([reference](https://platform.openai.com/docs/api-reference/responses-streaming)).

use serde::Serialize;
use shared::ai::{CallPiece, Piece};
use shared::http::{Events, OpenAiFailure};
use shared::values::Chat;
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Responses;
use super::items::{
    CallItem, Item, MessageItem, OutputText, Source, Status, call_item_id, items, message_id,
};
use super::reply::{RepeatedFields, Response};
use crate::asking::{AnswerWriter, Dialect};

/// The names of the events, and of their schemas.
const EVENTS: [(&str, &str); 14] = [
    ("response.created", "ResponseStateEvent"),
    ("response.in_progress", "ResponseStateEvent"),
    ("response.completed", "ResponseStateEvent"),
    ("response.incomplete", "ResponseStateEvent"),
    ("response.failed", "ResponseStateEvent"),
    ("response.output_item.added", "ResponseItemEvent"),
    ("response.content_part.added", "ResponsePartEvent"),
    ("response.output_text.delta", "ResponseTextDelta"),
    ("response.output_text.done", "ResponseTextDone"),
    ("response.content_part.done", "ResponsePartEvent"),
    ("response.function_call_arguments.delta", "ResponseArgumentsDelta"),
    ("response.function_call_arguments.done", "ResponseArgumentsDone"),
    ("response.output_item.done", "ResponseItemEvent"),
    ("error", "ResponseErrorEvent"),
];

/// An event of a streamed response.
#[derive(Debug)]
pub struct ResponseEvent;

impl PartialSchema for ResponseEvent {
    fn schema() -> RefOr<Schema> {
        let events = EVENTS.into_iter().fold(OneOf::builder(), |events, (name, schema)| {
            events.item(openapi::event(Some(name), &[schema], None))
        });
        events.into()
    }
}

impl ToSchema for ResponseEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Fields::schemas(schemas);
        if let RefOr::T(Schema::OneOf(kinds)) = Fields::schema() {
            schemas.extend(kinds.items.into_iter().filter_map(schema_with));
        }
    }
}

/// Returns the schema of the events that contain these [`Fields`], and the schema's name.
fn schema_with(fields: RefOr<Schema>) -> Option<(String, RefOr<Schema>)> {
    let RefOr::T(Schema::Object(fields)) = fields else { return None };
    let RefOr::T(Schema::Object(mut event)) = Event::schema() else { return None };
    let schema = fields.title?;
    event.description = fields.description;
    event.required.extend(fields.required);
    event.properties.extend(fields.properties);
    if let Some(RefOr::T(Schema::Object(name))) = event.properties.get_mut("type") {
        let events = EVENTS.into_iter().filter(|(_, of)| *of == schema);
        let names: Vec<&str> = events.map(|(name, _)| name).collect();
        name.pattern = Some(pattern(&names));
        name.examples = fields.examples;
        if names == ["error"] {
            name.description = Some("Always `error`.".into());
        }
    }
    Some((schema, event.into()))
}

/// Returns a pattern that matches these names, which differ only in their last words.
fn pattern(names: &[&str]) -> String {
    let ends = names.iter().filter_map(|name| name.rsplit_once('.'));
    match (names, ends.clone().next()) {
        ([_, _, ..], Some((stem, _))) => {
            let ends: Vec<&str> = ends.map(|(_, end)| end).collect();
            format!(r"^{}\.({})$", stem.replace('.', r"\."), ends.join("|"))
        }
        _ => format!("^{}$", names.concat().replace('.', r"\.")),
    }
}

/// An event, as it is sent.
#[derive(Serialize, ToSchema)]
struct Event<'a> {
    /// The event's name.
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    #[serde(flatten)]
    #[schema(ignore)]
    fields: Fields<'a>,
}

/// The fields of an event after its name and number. In the OpenAPI document, a variant's title is
/// the name of its schema, and its example is the name of an event.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Fields<'a> {
    /// An event at the beginning or end of a response.
    #[schema(title = "ResponseStateEvent", examples("response.completed"))]
    State {
        /// The response so far.
        response: Box<Response<'a>>,
    },
    /// An event at the beginning or end of an item of the answer.
    #[schema(title = "ResponseItemEvent", examples("response.output_item.added"))]
    Item {
        /// The index of the item in the output.
        output_index: usize,
        /// The item.
        item: Item<'a>,
    },
    /// An event at the beginning or end of a message's text.
    #[schema(title = "ResponsePartEvent", examples("response.content_part.added"))]
    Part {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The part of the message that contains the text.
        part: OutputText<'a>,
    },
    /// A piece of a message's text.
    #[schema(title = "ResponseTextDelta", examples("response.output_text.delta"))]
    TextDelta {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The next text.
        #[schema(examples("You "))]
        delta: &'a str,
        /// Always empty.
        #[schema(value_type = Vec<Object>, max_items = 0)]
        logprobs: [(); 0],
    },
    /// The whole text of a message.
    #[schema(title = "ResponseTextDone", examples("response.output_text.done"))]
    TextDone {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The whole text.
        #[schema(examples("You said: Hello!"))]
        text: &'a str,
        /// Always empty.
        #[schema(value_type = Vec<Object>, max_items = 0)]
        logprobs: [(); 0],
    },
    /// A piece of a call's arguments.
    #[schema(title = "ResponseArgumentsDelta", examples("response.function_call_arguments.delta"))]
    ArgumentsDelta {
        /// The id of the item that contains the call.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// The next piece of the arguments.
        #[schema(examples(r#"{"city": "#))]
        delta: &'a str,
    },
    /// The whole arguments of a call.
    #[schema(title = "ResponseArgumentsDone", examples("response.function_call_arguments.done"))]
    ArgumentsDone {
        /// The id of the item that contains the call.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// The function's name.
        #[schema(examples("get_weather"))]
        name: &'a str,
        /// The whole arguments.
        #[schema(examples(r#"{"city": "Paris"}"#))]
        arguments: &'a str,
    },
    /// A failure. The event with the failed response follows.
    #[schema(title = "ResponseErrorEvent", examples("error"))]
    Error {
        /// The error code, for programs.
        #[schema(examples("ai_failed"))]
        code: &'static str,
        /// A sentence for people: the failure, and what to do.
        message: &'a str,
        /// The name of the invalid field. Null if no field is invalid.
        #[schema(required)]
        param: Option<&'a str>,
    },
}

/// The sending end of a stream. It numbers the events.
struct Numbered {
    events: Events,
    next: u32,
}

impl Numbered {
    async fn send(&mut self, r#type: &'static str, fields: Fields<'_>) -> Result<()> {
        let sequence_number = self.next;
        self.next = self.next.saturating_add(1);
        self.events.send(r#type, &Event { r#type, sequence_number, fields }).await
    }
}

/// Sends a response as events. An item begins when its first piece arrives. All items end together
/// with the answer, because providers may interleave the pieces of several calls.
pub(super) struct EventWriter {
    stream: Numbered,
    repeated: RepeatedFields,
    chat_id: String,
    created_at: u64,
    /// The name of the model. `None` until the first piece arrives.
    model: Option<String>,
    /// The items, in the order in which they began.
    sources: Vec<Source>,
}

impl EventWriter {
    pub(super) fn of(events: Events, repeated: RepeatedFields, chat_id: &str, began: u64) -> Self {
        Self {
            stream: Numbered { events, next: 0 },
            repeated,
            chat_id: chat_id.to_owned(),
            created_at: began / 1000,
            model: None,
            sources: Vec::new(),
        }
    }

    async fn begin(&mut self, model: &str) -> Result<()> {
        if self.model.is_some() {
            return Ok(());
        }
        self.model = Some(model.to_owned());
        for name in ["response.created", "response.in_progress"] {
            let response = Response::begun(&self.chat_id, model, self.created_at, &self.repeated);
            self.stream.send(name, Fields::State { response: Box::new(response) }).await?;
        }
        Ok(())
    }

    async fn send_text(&mut self, delta: &str) -> Result<()> {
        let output_index = self.place_of_text().await?;
        let (item_id, content_index, logprobs) = (message_id(&self.chat_id), 0, []);
        let fields = Fields::TextDelta { item_id, output_index, content_index, delta, logprobs };
        self.stream.send("response.output_text.delta", fields).await
    }

    async fn call(&mut self, piece: &CallPiece) -> Result<()> {
        let output_index = self.place_of_call(piece).await?;
        if piece.arguments.is_empty() {
            return Ok(());
        }
        let item_id = call_item_id(&self.chat_id, piece.index);
        let fields = Fields::ArgumentsDelta { item_id, output_index, delta: &piece.arguments };
        self.stream.send("response.function_call_arguments.delta", fields).await
    }

    /// Returns the message's index in the output. Begins the message if it hasn't begun yet.
    async fn place_of_text(&mut self) -> Result<usize> {
        let (place, begins) = self.place_of(Source::Text);
        if begins {
            let item = MessageItem::of(&self.chat_id, Vec::new(), Status::InProgress);
            self.item("response.output_item.added", place, Item::Message(item)).await?;
            self.part("response.content_part.added", place, "").await?;
        }
        Ok(place)
    }

    /// Returns a call's index in the output. Begins the call if it hasn't begun yet.
    async fn place_of_call(&mut self, piece: &CallPiece) -> Result<usize> {
        let (place, begins) = self.place_of(Source::Call(piece.index));
        if begins {
            let begins = piece.begins.as_ref();
            let (id, name) = begins.map_or(("", ""), |(id, name)| (id.as_str(), name.as_str()));
            let item = CallItem::begun(&self.chat_id, piece.index, id, name);
            self.item("response.output_item.added", place, Item::Call(item)).await?;
        }
        Ok(place)
    }

    /// Returns an item's index in the output, and whether the item is new.
    fn place_of(&mut self, source: Source) -> (usize, bool) {
        match self.sources.iter().position(|known| *known == source) {
            Some(place) => (place, false),
            None => {
                self.sources.push(source);
                (self.sources.len() - 1, true)
            }
        }
    }

    async fn end_text(&mut self, output_index: usize, text: &str) -> Result<()> {
        let (item_id, content_index, logprobs) = (message_id(&self.chat_id), 0, []);
        let fields = Fields::TextDone { item_id, output_index, content_index, text, logprobs };
        self.stream.send("response.output_text.done", fields).await?;
        self.part("response.content_part.done", output_index, text).await
    }

    async fn end_call(&mut self, output_index: usize, call: &CallItem<'_>) -> Result<()> {
        let (item_id, name, arguments) = (call.id.clone(), call.name, call.arguments);
        let fields = Fields::ArgumentsDone { item_id, output_index, name, arguments };
        self.stream.send("response.function_call_arguments.done", fields).await
    }

    async fn item(&mut self, name: &'static str, place: usize, item: Item<'_>) -> Result<()> {
        self.stream.send(name, Fields::Item { output_index: place, item }).await
    }

    async fn part(&mut self, name: &'static str, place: usize, text: &str) -> Result<()> {
        let (item_id, part) = (message_id(&self.chat_id), OutputText::of(text));
        let fields = Fields::Part { item_id, output_index: place, content_index: 0, part };
        self.stream.send(name, fields).await
    }
}

impl AnswerWriter for EventWriter {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        self.begin(&piece.model).await?;
        match &piece.call {
            Some(call) => self.call(call).await,
            None => self.send_text(&piece.text).await,
        }
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        self.begin(chat.model_name()).await?;
        if self.sources.is_empty() {
            // Clients expect a message even if the answer is empty.
            self.place_of_text().await?;
        }
        for (place, item) in items(chat, &self.sources).into_iter().enumerate() {
            match &item {
                Item::Message(_) => self.end_text(place, &chat.response).await?,
                Item::Call(call) => self.end_call(place, call).await?,
            }
            self.item("response.output_item.done", place, item).await?;
        }
        let is_cut = chat.cut.is_some();
        let name = if is_cut { "response.incomplete" } else { "response.completed" };
        let response = Box::new(Response::in_order(chat, &self.sources, &self.repeated));
        self.stream.send(name, Fields::State { response }).await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.stream.events.note(error);
        // Clients expect `response.created` before a failure. The model's name arrives with the
        // first piece. If the stream fails earlier, the name is empty.
        let model = self.model.clone().unwrap_or_default();
        self.begin(&model).await?;
        let failure = OpenAiFailure::of(error, Responses::FAILURES).error;
        let (code, message) = (failure.code, failure.message.as_str());
        let fields = Fields::Error { code, message, param: failure.param.as_deref() };
        self.stream.send("error", fields).await?;
        let response = Response::begun(&self.chat_id, &model, self.created_at, &self.repeated);
        let response = Box::new(response.failed(failure.message));
        self.stream.send("response.failed", Fields::State { response }).await
    }
}
