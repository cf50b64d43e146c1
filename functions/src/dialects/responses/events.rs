//! The events of a streamed response
//! ([reference](https://platform.openai.com/docs/api-reference/responses-streaming)).

use std::mem;

use serde::Serialize;
use shared::ai::{CallPiece, Piece, ReasoningPiece};
use shared::http::Events;
use shared::values::{Chat, Reasoning, ToolCall, is_json_object};
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::FORMAT;
use super::items::{
    CallItem, ContentPart, CustomCallItem, Item, MessageItem, OutputText, ReasoningItem,
    RefusalPart, Source, Status, SummaryText, call_item_id, item, message_id, reasoning_item_id,
};
use super::reply::{RepeatedFields, Response};
use crate::dialects::AnswerWriter;
use crate::dialects::openai::reasoning::ReasoningParts;

/// The names of the events and their schemas.
const EVENTS: [(&str, &str); 22] = [
    ("response.created", "ResponseStateEvent"),
    ("response.in_progress", "ResponseStateEvent"),
    ("response.completed", "ResponseStateEvent"),
    ("response.incomplete", "ResponseStateEvent"),
    ("response.failed", "ResponseStateEvent"),
    ("response.output_item.added", "ResponseItemEvent"),
    ("response.reasoning_summary_part.added", "ResponseSummaryPartEvent"),
    ("response.reasoning_summary_text.delta", "ResponseSummaryTextDelta"),
    ("response.reasoning_summary_text.done", "ResponseSummaryTextDone"),
    ("response.reasoning_summary_part.done", "ResponseSummaryPartEvent"),
    ("response.content_part.added", "ResponsePartEvent"),
    ("response.output_text.delta", "ResponseTextDelta"),
    ("response.output_text.done", "ResponseTextDone"),
    ("response.refusal.delta", "ResponseRefusalDelta"),
    ("response.refusal.done", "ResponseRefusalDone"),
    ("response.content_part.done", "ResponsePartEvent"),
    ("response.function_call_arguments.delta", "ResponseArgumentsDelta"),
    ("response.function_call_arguments.done", "ResponseArgumentsDone"),
    ("response.custom_tool_call_input.delta", "ResponseCustomInputDelta"),
    ("response.custom_tool_call_input.done", "ResponseCustomInputDone"),
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

/// The fields of an event other than its name and number. In the OpenAPI document, a variant's
/// title is the name of its schema, and its example is the name of an event.
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
    /// An event at the beginning or end of the text of reasoning.
    #[schema(title = "ResponseSummaryPartEvent", examples("response.reasoning_summary_part.added"))]
    SummaryPart {
        /// The id of the reasoning item.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        summary_index: u32,
        /// The part of the item that contains the text.
        part: SummaryText<'a>,
    },
    /// A piece of the text of reasoning.
    #[schema(title = "ResponseSummaryTextDelta", examples("response.reasoning_summary_text.delta"))]
    SummaryDelta {
        /// The id of the reasoning item.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        summary_index: u32,
        /// The next text.
        #[schema(examples("The user "))]
        delta: &'a str,
    },
    /// The whole text of reasoning.
    #[schema(title = "ResponseSummaryTextDone", examples("response.reasoning_summary_text.done"))]
    SummaryDone {
        /// The id of the reasoning item.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        summary_index: u32,
        /// The whole text.
        #[schema(examples("The user greets me."))]
        text: &'a str,
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
        part: ContentPart<'a>,
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
        /// The next piece of text.
        #[schema(examples("You "))]
        delta: &'a str,
        /// Always empty.
        #[schema(value_type = Vec<Object>, max_items = 0)]
        logprobs: [(); 0],
    },
    /// The complete text of a message.
    #[schema(title = "ResponseTextDone", examples("response.output_text.done"))]
    TextDone {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The complete text.
        #[schema(examples("You said: Hello!"))]
        text: &'a str,
        /// Always empty.
        #[schema(value_type = Vec<Object>, max_items = 0)]
        logprobs: [(); 0],
    },
    /// A piece of the model's refusal to answer.
    #[schema(title = "ResponseRefusalDelta", examples("response.refusal.delta"))]
    RefusalDelta {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The next text.
        #[schema(examples("I can't "))]
        delta: &'a str,
    },
    /// The whole refusal to answer.
    #[schema(title = "ResponseRefusalDone", examples("response.refusal.done"))]
    RefusalDone {
        /// The id of the message.
        item_id: String,
        /// The index of the message in the output.
        output_index: usize,
        /// Always 0.
        #[schema(maximum = 0, examples(0))]
        content_index: u32,
        /// The whole text.
        #[schema(examples("I can't help with that."))]
        refusal: &'a str,
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
    /// The complete arguments of a call.
    #[schema(title = "ResponseArgumentsDone", examples("response.function_call_arguments.done"))]
    ArgumentsDone {
        /// The id of the item that contains the call.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// The function's name.
        #[schema(examples("get_weather"))]
        name: &'a str,
        /// The complete arguments.
        #[schema(examples(r#"{"city": "Paris"}"#))]
        arguments: &'a str,
    },
    /// A piece of the text with which a custom tool is called.
    #[schema(title = "ResponseCustomInputDelta", examples("response.custom_tool_call_input.delta"))]
    CustomInputDelta {
        /// The id of the item that contains the call.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// The next text.
        #[schema(examples("*** Begin Patch"))]
        delta: &'a str,
    },
    /// The whole text with which a custom tool is called.
    #[schema(title = "ResponseCustomInputDone", examples("response.custom_tool_call_input.done"))]
    CustomInputDone {
        /// The id of the item that contains the call.
        item_id: String,
        /// The index of the item in the output.
        output_index: usize,
        /// The whole text.
        #[schema(examples("*** Begin Patch"))]
        input: &'a str,
    },
    /// A failure. The event with the failed response follows.
    #[schema(title = "ResponseErrorEvent", examples("error"))]
    Error {
        /// The machine-readable error code.
        #[schema(examples("ai_failed"))]
        code: &'static str,
        /// A human-readable sentence that describes the failure and what to do.
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

/// Sends a response as events. An item begins when its first piece arrives, and ends before the next
/// item begins, because programs keep the items in the order in which they end. Providers may
/// interleave the pieces of several calls, so a call doesn't end when another call begins. A call
/// whose arguments aren't complete ends with the answer, and so do the items after it.
pub(crate) struct EventWriter {
    stream: Numbered,
    repeated: RepeatedFields,
    chat_id: String,
    created_at: u64,
    /// The name of the model. `None` until the first piece arrives.
    model: Option<String>,
    /// The items, in the order in which they began.
    sources: Vec<Source>,
    /// The number of items that have ended.
    ended: usize,
    /// The text and the calls so far, and whether the text is a refusal.
    so_far: Chat,
    parts: ReasoningParts,
    /// The complete parts of the reasoning.
    reasoning: Vec<Reasoning>,
}

impl EventWriter {
    pub(super) fn new(events: Events, repeated: RepeatedFields, chat_id: &str, began: u64) -> Self {
        Self {
            stream: Numbered { events, next: 0 },
            repeated,
            chat_id: chat_id.to_owned(),
            created_at: began / 1000,
            model: None,
            sources: Vec::new(),
            ended: 0,
            so_far: Chat { chat_id: chat_id.to_owned(), ..Chat::default() },
            parts: ReasoningParts::default(),
            reasoning: Vec::new(),
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

    async fn send_reasoning(&mut self, piece: &ReasoningPiece) -> Result<()> {
        if let ReasoningPiece::Text(delta) = piece {
            let index = self.parts.index();
            let (output_index, begins) = self.place_of_reasoning(index).await?;
            if begins {
                let id = reasoning_item_id(&self.chat_id, index);
                let name = "response.reasoning_summary_part.added";
                self.summary_part(name, output_index, id, "").await?;
            }
            let (item_id, summary_index) = (reasoning_item_id(&self.chat_id, index), 0);
            let fields = Fields::SummaryDelta { item_id, output_index, summary_index, delta };
            self.stream.send("response.reasoning_summary_text.delta", fields).await?;
        }
        for (index, part) in self.parts.add(piece) {
            self.end_reasoning(index, part).await?;
        }
        Ok(())
    }

    async fn send_text(&mut self, delta: &str) -> Result<()> {
        let (output_index, item_id) = self.place_of_text(delta, false).await?;
        self.so_far.response.push_str(delta);
        let (content_index, logprobs) = (0, []);
        let fields = Fields::TextDelta { item_id, output_index, content_index, delta, logprobs };
        self.stream.send("response.output_text.delta", fields).await
    }

    async fn send_refusal(&mut self, delta: &str) -> Result<()> {
        let (output_index, item_id) = self.place_of_text(delta, true).await?;
        self.so_far.response.push_str(delta);
        self.so_far.refused = true;
        let fields = Fields::RefusalDelta { item_id, output_index, content_index: 0, delta };
        self.stream.send("response.refusal.delta", fields).await
    }

    async fn call(&mut self, piece: &CallPiece) -> Result<()> {
        self.collect(piece);
        // The arguments are the text in JSON, so the text follows when they are complete.
        if self.begin_custom_call(piece).await? {
            return Ok(());
        }
        let output_index = self.place_of_call(piece).await?;
        // Only white space can follow a call that has ended.
        if piece.arguments.is_empty() || output_index < self.ended {
            return Ok(());
        }
        let item_id = call_item_id(&self.chat_id, piece.index);
        let fields = Fields::ArgumentsDelta { item_id, output_index, delta: &piece.arguments };
        self.stream.send("response.function_call_arguments.delta", fields).await
    }

    /// Adds a piece to the calls so far.
    fn collect(&mut self, piece: &CallPiece) {
        let calls = &mut self.so_far.calls;
        // A later call may get its name first.
        if calls.len() <= piece.index {
            calls.resize_with(piece.index + 1, ToolCall::default);
        }
        let Some(call) = calls.get_mut(piece.index) else { return };
        if let Some((id, name)) = &piece.begins {
            (call.id, call.name) = (id.clone(), name.clone());
        }
        call.arguments.push_str(&piece.arguments);
    }

    /// Returns the index in the output of a part of the reasoning, and whether the part is new. If
    /// so, begins its item.
    async fn place_of_reasoning(&mut self, index: usize) -> Result<(usize, bool)> {
        let (place, begins) = self.place_of(Source::Reasoning(index)).await?;
        if begins {
            let item = ReasoningItem::begun(&self.chat_id, index);
            self.item("response.output_item.added", place, Item::Reasoning(item)).await?;
        }
        Ok((place, begins))
    }

    /// Adds text to the last message, or begins a message if the last item is another one. Returns
    /// the message's index in the output, and its id.
    async fn place_of_text(&mut self, delta: &str, is_refusal: bool) -> Result<(usize, String)> {
        if let Some(Source::Text(part)) = self.sources.last_mut() {
            part.to += delta.len();
            let id = message_id(&self.chat_id, part.index);
            return Ok((self.sources.len() - 1, id));
        }
        let part = Source::next_text(&self.sources, delta);
        let (place, _) = self.place_of(Source::Text(part)).await?;
        let id = message_id(&self.chat_id, part.index);
        let item = MessageItem::new(id.clone(), Vec::new(), Status::InProgress);
        self.item("response.output_item.added", place, Item::Message(item)).await?;
        let part = ContentPart::of("", is_refusal);
        self.part("response.content_part.added", place, id.clone(), part).await?;
        Ok((place, id))
    }

    /// Begins a call of a custom tool if it hasn't begun yet. Returns false for other calls.
    async fn begin_custom_call(&mut self, piece: &CallPiece) -> Result<bool> {
        let Some((id, name)) = &piece.begins else {
            return Ok(self.sources.contains(&Source::CustomCall(piece.index)));
        };
        let source = Source::of_call(piece.index, name, &self.repeated.custom);
        if source == Source::Call(piece.index) {
            return Ok(false);
        }
        let (place, _) = self.place_of(source).await?;
        let item = CustomCallItem::begun(&self.chat_id, piece.index, id, name);
        self.item("response.output_item.added", place, Item::CustomCall(item)).await?;
        Ok(true)
    }

    /// Returns a function call's index in the output. Begins the call if it hasn't begun yet.
    async fn place_of_call(&mut self, piece: &CallPiece) -> Result<usize> {
        let (place, begins) = self.place_of(Source::Call(piece.index)).await?;
        if begins {
            let begins = piece.begins.as_ref();
            let (id, name) = begins.map_or(("", ""), |(id, name)| (id.as_str(), name.as_str()));
            let item = CallItem::begun(&self.chat_id, piece.index, id, name);
            self.item("response.output_item.added", place, Item::Call(item)).await?;
        }
        Ok(place)
    }

    /// Returns an item's index in the output, and whether the item is new. Before a new item begins,
    /// ends the items that are complete.
    async fn place_of(&mut self, source: Source) -> Result<(usize, bool)> {
        if let Some(place) = self.sources.iter().position(|known| *known == source) {
            return Ok((place, false));
        }
        self.end_complete(Some(source)).await?;
        self.sources.push(source);
        Ok((self.sources.len() - 1, true))
    }

    /// Returns true if no more pieces can arrive for the item at this place. `next` is the item that
    /// begins now.
    fn is_complete(&self, place: usize, next: Option<Source>) -> bool {
        let mut later = self.sources.iter().skip(place + 1).copied().chain(next);
        match self.sources.get(place) {
            Some(Source::Reasoning(index)) => *index < self.reasoning.len(),
            Some(Source::Text(_)) => later.next().is_some(),
            Some(Source::Call(index) | Source::CustomCall(index)) => {
                let call = self.so_far.calls.get(*index);
                later.any(|source| !source.is_call())
                    && call.is_some_and(|call| is_json_object(&call.arguments))
            }
            None => false,
        }
    }

    /// Ends the items that are complete and don't follow one that isn't.
    async fn end_complete(&mut self, next: Option<Source>) -> Result<()> {
        let open = self.ended..self.sources.len();
        let complete = open.take_while(|place| self.is_complete(*place, next)).count();
        let (so_far, reasoning) = (mem::take(&mut self.so_far), mem::take(&mut self.reasoning));
        let ended = self.end_items(&so_far, &reasoning, self.ended + complete).await;
        (self.so_far, self.reasoning) = (so_far, reasoning);
        ended
    }

    /// Ends the items up to this index in the output, as they are in this answer.
    async fn end_items(
        &mut self,
        chat: &Chat,
        reasoning: &[Reasoning],
        until: usize,
    ) -> Result<()> {
        for place in mem::replace(&mut self.ended, until)..until {
            let Some(item) = item(chat, reasoning, &self.sources, place) else { continue };
            match &item {
                Item::Reasoning(part) => self.end_summary(place, part).await?,
                Item::Message(message) => self.end_text(place, message).await?,
                Item::Call(call) => self.end_call(place, call).await?,
                Item::CustomCall(call) => self.end_custom_call(place, call).await?,
            }
            self.item("response.output_item.done", place, item).await?;
        }
        Ok(())
    }

    /// Ends the last part of the reasoning if it hasn't ended yet.
    async fn end_last_reasoning(&mut self) -> Result<()> {
        match self.parts.end() {
            Some((index, part)) => self.end_reasoning(index, part).await,
            None => Ok(()),
        }
    }

    /// Completes a part of the reasoning.
    async fn end_reasoning(&mut self, index: usize, part: Reasoning) -> Result<()> {
        self.place_of_reasoning(index).await?;
        self.reasoning.push(part);
        self.end_complete(None).await
    }

    async fn end_summary(&mut self, output_index: usize, part: &ReasoningItem<'_>) -> Result<()> {
        let summary_index = 0;
        for SummaryText { text, .. } in &part.summary {
            let item_id = part.id.clone();
            let fields = Fields::SummaryDone { item_id, output_index, summary_index, text };
            self.stream.send("response.reasoning_summary_text.done", fields).await?;
            let name = "response.reasoning_summary_part.done";
            self.summary_part(name, output_index, part.id.clone(), text).await?;
        }
        Ok(())
    }

    async fn end_text(&mut self, output_index: usize, message: &MessageItem<'_>) -> Result<()> {
        let content_index = 0;
        for part in &message.content {
            let item_id = message.id.clone();
            let (name, fields) = match *part {
                ContentPart::Refusal(RefusalPart { refusal, .. }) => {
                    let fields =
                        Fields::RefusalDone { item_id, output_index, content_index, refusal };
                    ("response.refusal.done", fields)
                }
                ContentPart::Text(OutputText { text, logprobs, .. }) => {
                    let fields =
                        Fields::TextDone { item_id, output_index, content_index, text, logprobs };
                    ("response.output_text.done", fields)
                }
            };
            self.stream.send(name, fields).await?;
            let id = message.id.clone();
            self.part("response.content_part.done", output_index, id, *part).await?;
        }
        Ok(())
    }

    async fn end_call(&mut self, output_index: usize, call: &CallItem<'_>) -> Result<()> {
        let (item_id, name, arguments) = (call.id.clone(), call.name, call.arguments);
        let fields = Fields::ArgumentsDone { item_id, output_index, name, arguments };
        self.stream.send("response.function_call_arguments.done", fields).await
    }

    async fn end_custom_call(
        &mut self,
        output_index: usize,
        call: &CustomCallItem<'_>,
    ) -> Result<()> {
        let input = call.input.as_str();
        if !input.is_empty() {
            let fields =
                Fields::CustomInputDelta { item_id: call.id.clone(), output_index, delta: input };
            self.stream.send("response.custom_tool_call_input.delta", fields).await?;
        }
        let fields = Fields::CustomInputDone { item_id: call.id.clone(), output_index, input };
        self.stream.send("response.custom_tool_call_input.done", fields).await
    }

    async fn item(&mut self, name: &'static str, place: usize, item: Item<'_>) -> Result<()> {
        self.stream.send(name, Fields::Item { output_index: place, item }).await
    }

    async fn summary_part(
        &mut self,
        name: &'static str,
        output_index: usize,
        item_id: String,
        text: &str,
    ) -> Result<()> {
        let part = SummaryText::of(text);
        let fields = Fields::SummaryPart { item_id, output_index, summary_index: 0, part };
        self.stream.send(name, fields).await
    }

    async fn part(
        &mut self,
        name: &'static str,
        place: usize,
        item_id: String,
        part: ContentPart<'_>,
    ) -> Result<()> {
        let fields = Fields::Part { item_id, output_index: place, content_index: 0, part };
        self.stream.send(name, fields).await
    }
}

impl AnswerWriter for EventWriter {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        self.begin(&piece.model).await?;
        if let Some(reasoning) = &piece.reasoning {
            return self.send_reasoning(reasoning).await;
        }
        self.end_last_reasoning().await?;
        match &piece.call {
            Some(call) => self.call(call).await,
            None if piece.is_refusal => self.send_refusal(&piece.text).await,
            None => self.send_text(&piece.text).await,
        }
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        self.begin(chat.model_name()).await?;
        self.end_last_reasoning().await?;
        if !self.sources.iter().any(|source| source.is_answer()) {
            // Clients expect a message even if the answer is empty.
            self.place_of_text("", chat.refused).await?;
        }
        let reasoning = mem::take(&mut self.reasoning);
        self.end_items(chat, &reasoning, self.sources.len()).await?;
        let is_cut = chat.cut.is_some();
        let name = if is_cut { "response.incomplete" } else { "response.completed" };
        let response = Response::in_order(chat, &reasoning, &self.sources, &self.repeated);
        self.stream.send(name, Fields::State { response: Box::new(response) }).await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.stream.events.note(error);
        // Clients expect `response.created` before a failure. The model's name arrives with the
        // first piece. If the stream fails earlier, the name is empty.
        let model = self.model.clone().unwrap_or_default();
        self.begin(&model).await?;
        let failure = FORMAT.failure(error).error;
        let (code, message) = (failure.code, failure.message.as_str());
        let fields = Fields::Error { code, message, param: failure.param.as_deref() };
        self.stream.send("error", fields).await?;
        let response = Response::begun(&self.chat_id, &model, self.created_at, &self.repeated);
        let response = Box::new(response.failed(failure.message));
        self.stream.send("response.failed", Fields::State { response }).await
    }
}
