//! The events of a streamed response
//! ([reference](https://platform.openai.com/docs/api-reference/responses-streaming)).

use serde::Serialize;
use shared::ai::{CallPiece, Piece};
use shared::http::{Events, FailureFormat, OpenAiFailure};
use shared::values::Chat;
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::items::{
    CallItem, Item, MessageItem, OutputText, Source, Status, call_item_id, items, message_id,
};
use super::reply::{Echo, Response};
use crate::openai::asking::AnswerWriter;

/// The events that contain the whole response.
const OF_RESPONSE: [&str; 5] = [
    "response.created",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
];

/// An event of a streamed response.
#[derive(Debug)]
pub struct ResponseEvent;

impl PartialSchema for ResponseEvent {
    fn schema() -> RefOr<Schema> {
        let of_response = OF_RESPONSE.map(|name| (name, StateEvent::name()));
        let others = [
            ("response.output_item.added", ItemEvent::name()),
            ("response.content_part.added", PartEvent::name()),
            ("response.output_text.delta", TextDelta::name()),
            ("response.output_text.done", TextDone::name()),
            ("response.content_part.done", PartEvent::name()),
            ("response.function_call_arguments.delta", ArgumentsDelta::name()),
            ("response.function_call_arguments.done", ArgumentsDone::name()),
            ("response.output_item.done", ItemEvent::name()),
            ("error", ErrorEvent::name()),
        ];
        let kinds = of_response.into_iter().chain(others);
        let events = kinds.fold(OneOf::builder(), |events, (name, schema)| {
            events.item(openapi::event(Some(name), &[&schema], None))
        });
        events.into()
    }
}

impl ToSchema for ResponseEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((T::name().into(), T::schema()));
            T::schemas(schemas);
        }
        add::<StateEvent<'_>>(schemas);
        add::<ItemEvent<'_>>(schemas);
        add::<PartEvent<'_>>(schemas);
        add::<TextDelta<'_>>(schemas);
        add::<TextDone<'_>>(schemas);
        add::<ArgumentsDelta<'_>>(schemas);
        add::<ArgumentsDone<'_>>(schemas);
        add::<ErrorEvent<'_>>(schemas);
    }
}

/// An event at the beginning or end of a response.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseStateEvent)]
struct StateEvent<'a> {
    /// The event's name.
    #[schema(
        pattern = "^response\\.(created|in_progress|completed|incomplete|failed)$",
        examples("response.completed")
    )]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    /// The response so far.
    response: Response<'a>,
}

/// An event at the beginning or end of an item of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseItemEvent)]
struct ItemEvent<'a> {
    /// The event's name.
    #[schema(
        pattern = "^response\\.output_item\\.(added|done)$",
        examples("response.output_item.added")
    )]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    /// The index of the item in the output.
    output_index: usize,
    /// The item.
    item: Item<'a>,
}

/// An event at the beginning or end of a message's text.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponsePartEvent)]
struct PartEvent<'a> {
    /// The event's name.
    #[schema(
        pattern = "^response\\.content_part\\.(added|done)$",
        examples("response.content_part.added")
    )]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    /// The id of the message.
    item_id: String,
    /// The index of the message in the output.
    output_index: usize,
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    content_index: u32,
    /// The part of the message that contains the text.
    part: OutputText<'a>,
}

/// A piece of a message's text.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseTextDelta)]
struct TextDelta<'a> {
    /// The event's name.
    #[schema(pattern = "^response\\.output_text\\.delta$", examples("response.output_text.delta"))]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
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
}

/// The whole text of a message.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseTextDone)]
struct TextDone<'a> {
    /// The event's name.
    #[schema(pattern = "^response\\.output_text\\.done$", examples("response.output_text.done"))]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
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
}

/// A piece of a call's arguments.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseArgumentsDelta)]
struct ArgumentsDelta<'a> {
    /// The event's name.
    #[schema(
        pattern = "^response\\.function_call_arguments\\.delta$",
        examples("response.function_call_arguments.delta")
    )]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    /// The id of the item that contains the call.
    item_id: String,
    /// The index of the item in the output.
    output_index: usize,
    /// The next piece of the arguments.
    #[schema(examples(r#"{"city": "#))]
    delta: &'a str,
}

/// The whole arguments of a call.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseArgumentsDone)]
struct ArgumentsDone<'a> {
    /// The event's name.
    #[schema(
        pattern = "^response\\.function_call_arguments\\.done$",
        examples("response.function_call_arguments.done")
    )]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
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
}

/// A failure. The event with the failed response follows.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseErrorEvent)]
struct ErrorEvent<'a> {
    /// Always `error`.
    #[schema(pattern = "^error$", examples("error"))]
    r#type: &'static str,
    /// The event's number in the stream.
    sequence_number: u32,
    /// The error code, for programs.
    #[schema(examples("ai_failed"))]
    code: &'static str,
    /// A sentence for people: the failure, and what to do.
    message: &'a str,
    /// The name of the invalid field. Null if no field is invalid.
    #[schema(required)]
    param: Option<&'a str>,
}

/// Sends a response event by event. An item begins with its first piece. All items end when the
/// answer ends, because providers may interleave the pieces of several calls.
pub(super) struct Steps {
    events: Events,
    echo: Echo,
    chat_id: String,
    created_at: u64,
    /// The name of the model, after the first piece has arrived.
    model: Option<String>,
    /// The items, in the order in which they began.
    sources: Vec<Source>,
    next: u32,
}

impl Steps {
    pub(super) fn of(events: Events, echo: Echo, chat_id: &str, began: u64) -> Self {
        Self {
            events,
            echo,
            chat_id: chat_id.to_owned(),
            created_at: began / 1000,
            model: None,
            sources: Vec::new(),
            next: 0,
        }
    }

    async fn begin(&mut self, model: &str) -> Result<()> {
        if self.model.is_some() {
            return Ok(());
        }
        self.model = Some(model.to_owned());
        for r#type in ["response.created", "response.in_progress"] {
            let sequence_number = self.number();
            let response = Response::begun(&self.chat_id, model, self.created_at, &self.echo);
            self.events.send(r#type, &StateEvent { r#type, sequence_number, response }).await?;
        }
        Ok(())
    }

    async fn send_text(&mut self, delta: &str) -> Result<()> {
        let output_index = self.place_of_text().await?;
        let event = TextDelta {
            r#type: "response.output_text.delta",
            sequence_number: self.number(),
            item_id: message_id(&self.chat_id),
            output_index,
            content_index: 0,
            delta,
            logprobs: [],
        };
        self.events.send(event.r#type, &event).await
    }

    async fn call(&mut self, piece: &CallPiece) -> Result<()> {
        let output_index = self.place_of_call(piece).await?;
        if piece.arguments.is_empty() {
            return Ok(());
        }
        let event = ArgumentsDelta {
            r#type: "response.function_call_arguments.delta",
            sequence_number: self.number(),
            item_id: call_item_id(&self.chat_id, piece.index),
            output_index,
            delta: &piece.arguments,
        };
        self.events.send(event.r#type, &event).await
    }

    /// Returns the index of the message in the output. Begins the message if necessary.
    async fn place_of_text(&mut self) -> Result<usize> {
        let (place, begins) = self.place_of(Source::Text);
        if begins {
            let item = MessageItem::of(&self.chat_id, Vec::new(), Status::InProgress);
            self.item("response.output_item.added", place, Item::Message(item)).await?;
            self.part("response.content_part.added", place, "").await?;
        }
        Ok(place)
    }

    /// Returns the index of a call in the output. Begins the call if necessary.
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

    /// Returns the index of an item in the output, and whether the item is new.
    fn place_of(&mut self, source: Source) -> (usize, bool) {
        match self.sources.iter().position(|known| *known == source) {
            Some(place) => (place, false),
            None => {
                self.sources.push(source);
                (self.sources.len() - 1, true)
            }
        }
    }

    async fn end_text(&mut self, output_index: usize, item_id: &str, text: &str) -> Result<()> {
        let event = TextDone {
            r#type: "response.output_text.done",
            sequence_number: self.number(),
            item_id: item_id.to_owned(),
            output_index,
            content_index: 0,
            text,
            logprobs: [],
        };
        self.events.send(event.r#type, &event).await?;
        self.part("response.content_part.done", output_index, text).await
    }

    async fn end_call(&mut self, output_index: usize, call: &CallItem<'_>) -> Result<()> {
        let event = ArgumentsDone {
            r#type: "response.function_call_arguments.done",
            sequence_number: self.number(),
            item_id: call.id.clone(),
            output_index,
            name: call.name,
            arguments: call.arguments,
        };
        self.events.send(event.r#type, &event).await
    }

    async fn item(&mut self, r#type: &'static str, place: usize, item: Item<'_>) -> Result<()> {
        let sequence_number = self.number();
        let event = ItemEvent { r#type, sequence_number, output_index: place, item };
        self.events.send(r#type, &event).await
    }

    async fn part(&mut self, r#type: &'static str, place: usize, text: &str) -> Result<()> {
        let event = PartEvent {
            r#type,
            sequence_number: self.number(),
            item_id: message_id(&self.chat_id),
            output_index: place,
            content_index: 0,
            part: OutputText::of(text),
        };
        self.events.send(r#type, &event).await
    }

    /// Returns the number of the next event.
    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}

impl AnswerWriter for Steps {
    async fn pass(&mut self, piece: &Piece) -> Result<()> {
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
        for (output_index, item) in items(chat, &self.sources).into_iter().enumerate() {
            match &item {
                Item::Message(message) => {
                    self.end_text(output_index, &message.id, &chat.response).await?;
                }
                Item::Call(call) => self.end_call(output_index, call).await?,
            }
            self.item("response.output_item.done", output_index, item).await?;
        }
        let is_cut = chat.cut.is_some();
        let r#type = if is_cut { "response.incomplete" } else { "response.completed" };
        let sequence_number = self.number();
        let response = Response::in_order(chat, &self.sources, &self.echo);
        self.events.send(r#type, &StateEvent { r#type, sequence_number, response }).await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.events.note(error);
        let failure = OpenAiFailure::of(error, FailureFormat::Responses).error;
        let (r#type, sequence_number) = ("error", self.number());
        let (message, param) = (failure.message.as_str(), failure.param.as_deref());
        let event = ErrorEvent { r#type, sequence_number, code: failure.code, message, param };
        self.events.send(r#type, &event).await?;
        let (r#type, sequence_number) = ("response.failed", self.number());
        let model = self.model.as_deref().unwrap_or_default();
        let response = Response::begun(&self.chat_id, model, self.created_at, &self.echo);
        let response = response.failed(failure.message);
        self.events.send(r#type, &StateEvent { r#type, sequence_number, response }).await
    }
}
