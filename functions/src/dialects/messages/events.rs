//! The events of a streamed message
//! ([reference](https://docs.anthropic.com/en/docs/build-with-claude/streaming)).

use std::mem;

use serde::Serialize;
use shared::ai::{CallPiece, Piece, ReasoningPiece};
use shared::http::Events;
use shared::values::{Chat, is_json_object};
use shared::{Error, Result, http, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::failures::AnthropicFailure;
use super::reply::{
    ContentBlock, End, Input, Message, StopDetails, StopReason, Usage, ending, message_id,
};
use super::{Messages, ShownReasoning};
use crate::dialects::AnswerWriter;
use crate::dialects::programs::null;

/// An event of a streamed message.
#[derive(Debug)]
pub struct MessageEvent;

impl PartialSchema for MessageEvent {
    fn schema() -> RefOr<Schema> {
        let events = [
            ("message_start", MessageStart::name()),
            ("ping", Ping::name()),
            ("content_block_start", BlockStart::name()),
            ("content_block_delta", BlockDelta::name()),
            ("content_block_stop", BlockStop::name()),
            ("message_delta", MessageDelta::name()),
            ("message_stop", MessageStop::name()),
            ("error", AnthropicFailure::name()),
        ];
        let events = events.into_iter().fold(OneOf::builder(), |events, (name, schema)| {
            events.item(openapi::event(Some(name), &[&schema], None))
        });
        events.into()
    }
}

impl ToSchema for MessageEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        register::<MessageStart<'_>>(schemas);
        register::<Ping>(schemas);
        register::<BlockStart<'_>>(schemas);
        register::<BlockDelta<'_>>(schemas);
        register::<BlockStop>(schemas);
        register::<MessageDelta<'_>>(schemas);
        register::<MessageStop>(schemas);
    }
}

/// Adds the schema of an event's data, and all schemas in it.
fn register<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into(), T::schema()));
    T::schemas(schemas);
}

/// The first event.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicMessageStart)]
struct MessageStart<'a> {
    /// Always `message_start`.
    #[schema(pattern = "^message_start$", examples("message_start"))]
    r#type: &'static str,
    /// The message without its content.
    message: Message<'a>,
}

/// An event that shows that the stream is alive.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicPing)]
struct Ping {
    /// Always `ping`.
    #[schema(pattern = "^ping$", examples("ping"))]
    r#type: &'static str,
}

/// The beginning of a block.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicBlockStart)]
struct BlockStart<'a> {
    /// Always `content_block_start`.
    #[schema(pattern = "^content_block_start$", examples("content_block_start"))]
    r#type: &'static str,
    /// The index of the block in the answer.
    #[schema(examples(0))]
    index: usize,
    /// The block without its content.
    content_block: ContentBlock<'a>,
}

/// A piece of a block.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicBlockDelta)]
struct BlockDelta<'a> {
    /// Always `content_block_delta`.
    #[schema(pattern = "^content_block_delta$", examples("content_block_delta"))]
    r#type: &'static str,
    /// The index of the block in the answer.
    #[schema(examples(0))]
    index: usize,
    /// The piece.
    delta: Delta<'a>,
}

/// A piece of a block: of a text, of reasoning or its signature, or of a call's arguments.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicDelta)]
#[serde(untagged)]
enum Delta<'a> {
    Text(TextDelta<'a>),
    Thinking(ThinkingDelta<'a>),
    Signature(SignatureDelta<'a>),
    Input(InputDelta<'a>),
}

/// A piece of a text.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicTextDelta)]
struct TextDelta<'a> {
    /// Always `text_delta`.
    #[schema(pattern = "^text_delta$", examples("text_delta"))]
    r#type: &'static str,
    /// The next text.
    #[schema(examples("You "))]
    text: &'a str,
}

/// A piece of reasoning.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicThinkingDelta)]
struct ThinkingDelta<'a> {
    /// Always `thinking_delta`.
    #[schema(pattern = "^thinking_delta$", examples("thinking_delta"))]
    r#type: &'static str,
    /// The next text.
    thinking: &'a str,
}

/// The signature of the reasoning.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicSignatureDelta)]
struct SignatureDelta<'a> {
    /// Always `signature_delta`.
    #[schema(pattern = "^signature_delta$", examples("signature_delta"))]
    r#type: &'static str,
    /// The provider's proof that the text is the model's own.
    signature: &'a str,
}

/// A piece of a call's arguments.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicInputDelta)]
struct InputDelta<'a> {
    /// Always `input_json_delta`.
    #[schema(pattern = "^input_json_delta$", examples("input_json_delta"))]
    r#type: &'static str,
    /// The next piece of the arguments' JSON.
    #[schema(examples(r#"{"city": "#))]
    partial_json: &'a str,
}

/// The end of a block.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicBlockStop)]
struct BlockStop {
    /// Always `content_block_stop`.
    #[schema(pattern = "^content_block_stop$", examples("content_block_stop"))]
    r#type: &'static str,
    /// The index of the block in the answer.
    #[schema(examples(0))]
    index: usize,
}

/// The event after the last block.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicMessageDelta)]
struct MessageDelta<'a> {
    /// Always `message_delta`.
    #[schema(pattern = "^message_delta$", examples("message_delta"))]
    r#type: &'static str,
    /// The fields of the message that were null at its beginning.
    delta: Ending<'a>,
    /// The model's token counts.
    usage: Usage,
}

/// The fields of a message that are known at its end.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicEnding)]
struct Ending<'a> {
    /// The reason why the answer ends.
    stop_reason: StopReason,
    /// The stop sequence that ended the answer, if the provider reports it.
    #[schema(required)]
    stop_sequence: Option<&'a str>,
    /// Present if the model refuses to answer, or the provider's content filter ended the answer.
    #[schema(required)]
    stop_details: Option<StopDetails<'a>>,
    /// Always null.
    #[schema(schema_with = null)]
    container: (),
}

/// The last event.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicMessageStop)]
struct MessageStop {
    /// Always `message_stop`.
    #[schema(pattern = "^message_stop$", examples("message_stop"))]
    r#type: &'static str,
}

/// A part of the answer, as a provider sends it.
enum Part {
    Text(String),
    Reasoning(ReasoningPiece),
    Call(CallPiece),
}

/// The block that is being sent. In Anthropic's API, a block ends before the next one begins.
enum OpenBlock {
    Text,
    Thinking,
    Redacted,
    Call(OpenCall),
}

/// A call whose arguments may not be complete yet.
struct OpenCall {
    /// The index of the call in the answer.
    index: usize,
    /// The arguments so far.
    input: String,
    /// True if the arguments are sent piece by piece. False if they don't begin like an object.
    is_streamed: bool,
}

/// Sends a message block by block.
pub(crate) struct EventWriter {
    events: Events,
    options: Messages,
    id: String,
    has_begun: bool,
    /// The number of blocks that have begun.
    blocks: usize,
    open: Option<OpenBlock>,
    /// The parts that arrived while a call before them was incomplete. Some providers mix the parts
    /// of several calls.
    held: Vec<Part>,
}

impl EventWriter {
    pub(super) fn new(events: Events, options: Messages, chat_id: &str) -> Self {
        let (id, held) = (message_id(chat_id), Vec::new());
        Self { events, options, id, has_begun: false, blocks: 0, open: None, held }
    }

    async fn begin(&mut self, model: &str) -> Result<()> {
        if mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        let usage = Usage::begun(self.options.prompt_estimate);
        let message = Message::begun(&self.id, model, usage);
        let r#type = "message_start";
        self.events.send(r#type, &MessageStart { r#type, message }).await?;
        let r#type = "ping";
        self.events.send(r#type, &Ping { r#type }).await
    }

    /// Sends a part of the answer, or holds it back if a call before it is incomplete.
    async fn take(&mut self, part: Part) -> Result<()> {
        let is_next = match (&self.open, &part) {
            (Some(OpenBlock::Call(open)), Part::Call(piece)) if open.index == piece.index => true,
            (Some(OpenBlock::Call(open)), _) => self.held.is_empty() && is_json_object(&open.input),
            _ => true,
        };
        if is_next {
            return self.send(part).await;
        }
        self.held.push(part);
        Ok(())
    }

    async fn send(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Text(text) => {
                if !matches!(self.open, Some(OpenBlock::Text)) {
                    self.start(OpenBlock::Text, ContentBlock::text("")).await?;
                }
                let delta = TextDelta { r#type: "text_delta", text: &text };
                self.send_delta(Delta::Text(delta)).await
            }
            Part::Reasoning(ReasoningPiece::Text(_))
                if self.options.shown != ShownReasoning::Everything =>
            {
                Ok(())
            }
            Part::Reasoning(ReasoningPiece::Text(text)) => {
                self.think().await?;
                let delta = ThinkingDelta { r#type: "thinking_delta", thinking: &text };
                self.send_delta(Delta::Thinking(delta)).await
            }
            Part::Reasoning(ReasoningPiece::Signature(signature)) => {
                self.think().await?;
                let delta = SignatureDelta { r#type: "signature_delta", signature: &signature };
                self.send_delta(Delta::Signature(delta)).await?;
                self.close().await
            }
            Part::Reasoning(ReasoningPiece::Broken) => self.close().await,
            Part::Reasoning(ReasoningPiece::Encrypted(data)) => {
                self.start(OpenBlock::Redacted, ContentBlock::redacted(&data)).await?;
                self.close().await
            }
            Part::Call(piece) => self.call(piece).await,
        }
    }

    /// Begins a block of reasoning, unless one is open.
    async fn think(&mut self) -> Result<()> {
        match self.open {
            Some(OpenBlock::Thinking) => Ok(()),
            _ => self.start(OpenBlock::Thinking, ContentBlock::thinking("", "")).await,
        }
    }

    async fn call(&mut self, piece: CallPiece) -> Result<()> {
        let CallPiece { index, begins, arguments } = piece;
        let is_open = matches!(&self.open, Some(OpenBlock::Call(open)) if open.index == index);
        if !is_open {
            // Only white space can follow a call that was already complete.
            let Some((id, name)) = begins else { return Ok(()) };
            let open = OpenCall { index, input: String::new(), is_streamed: false };
            self.start(OpenBlock::Call(open), ContentBlock::call_begun(&id, &name)).await?;
        }
        let Some(OpenBlock::Call(open)) = &mut self.open else { return Ok(()) };
        open.input.push_str(&arguments);
        if arguments.is_empty() || !open.input.trim_start().starts_with('{') {
            return Ok(());
        }
        let next = match mem::replace(&mut open.is_streamed, true) {
            true => arguments,
            false => open.input.clone(),
        };
        self.send_input(&next).await
    }

    /// Sends the parts that a complete call has held back.
    async fn release(&mut self) -> Result<()> {
        while !self.held.is_empty() && self.has_whole_call() {
            self.close().await?;
            self.take_held().await?;
        }
        Ok(())
    }

    async fn take_held(&mut self) -> Result<()> {
        for part in mem::take(&mut self.held) {
            self.take(part).await?;
        }
        Ok(())
    }

    fn has_whole_call(&self) -> bool {
        matches!(&self.open, Some(OpenBlock::Call(open)) if is_json_object(&open.input))
    }

    /// Ends the open block, and begins the next one.
    async fn start(&mut self, open: OpenBlock, content_block: ContentBlock<'_>) -> Result<()> {
        self.close().await?;
        let (r#type, index) = ("content_block_start", self.blocks);
        (self.blocks, self.open) = (index + 1, Some(open));
        self.events.send(r#type, &BlockStart { r#type, index, content_block }).await
    }

    /// Ends the open block, if there is one.
    async fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if let OpenBlock::Call(OpenCall { input, is_streamed: false, .. }) = open
            && !input.trim().is_empty()
        {
            let input = http::to_json(&Input::of(&input))?;
            self.send_input(&input).await?;
        }
        let (r#type, index) = ("content_block_stop", self.place());
        self.events.send(r#type, &BlockStop { r#type, index }).await
    }

    async fn send_input(&self, partial_json: &str) -> Result<()> {
        let delta = InputDelta { r#type: "input_json_delta", partial_json };
        self.send_delta(Delta::Input(delta)).await
    }

    async fn send_delta(&self, delta: Delta<'_>) -> Result<()> {
        let (r#type, index) = ("content_block_delta", self.place());
        self.events.send(r#type, &BlockDelta { r#type, index, delta }).await
    }

    /// Returns the index of the block that began last.
    fn place(&self) -> usize {
        self.blocks.saturating_sub(1)
    }
}

impl AnswerWriter for EventWriter {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        self.begin(&piece.model).await?;
        let reasoning =
            piece.reasoning.clone().filter(|_| self.options.shown != ShownReasoning::Nothing);
        let text = Some(piece.text.clone()).filter(|text| !text.is_empty());
        let parts = [
            reasoning.map(Part::Reasoning),
            text.map(Part::Text),
            piece.call.clone().map(Part::Call),
        ];
        for part in parts.into_iter().flatten() {
            self.take(part).await?;
        }
        self.release().await
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        self.begin(chat.model_name()).await?;
        self.close().await?;
        while !self.held.is_empty() {
            // The answer is complete, so all its calls are.
            self.take_held().await?;
            self.close().await?;
        }
        let End { reason: stop_reason, sequence: stop_sequence, details: stop_details } =
            ending(chat);
        let delta = Ending { stop_reason, stop_sequence, stop_details, container: () };
        let r#type = "message_delta";
        self.events.send(r#type, &MessageDelta { r#type, delta, usage: Usage::of(chat) }).await?;
        let r#type = "message_stop";
        self.events.send(r#type, &MessageStop { r#type }).await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.events.fail(error).await
    }
}
