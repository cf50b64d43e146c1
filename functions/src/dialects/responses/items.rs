//! The items of an answer
//! ([reference](https://platform.openai.com/docs/api-reference/responses/object)): the reasoning, a
//! message, and calls of functions and custom tools.

use serde::Serialize;
use shared::values::{AnswerBlock, Chat, Reasoning, is_json_object};
use utoipa::ToSchema;

use super::encrypted_content;
use crate::dialects::programs::custom::{CustomTools, input_of};

/// An item of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseItem)]
#[serde(untagged)]
pub(super) enum Item<'a> {
    Reasoning(ReasoningItem<'a>),
    Message(MessageItem<'a>),
    Call(CallItem<'a>),
    CustomCall(CustomCallItem<'a>),
}

/// A part of the model's reasoning. A client sends it back unchanged with the items that follow,
/// because some models continue a series of function calls only with their earlier reasoning.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseReasoningItem)]
pub(super) struct ReasoningItem<'a> {
    /// `rs_`, the id of the message, and the index of the part.
    #[schema(examples("rs_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36_0"))]
    pub(super) id: String,
    /// Always `reasoning`.
    #[schema(pattern = "^reasoning$", examples("reasoning"))]
    r#type: &'static str,
    /// The status of the part.
    status: Status,
    /// The text. Empty in the event that begins the item, and if the provider shows no text.
    #[schema(max_items = 1)]
    pub(super) summary: Vec<SummaryText<'a>>,
    /// The provider's signature of the text, or the reasoning in a form that only the provider can
    /// read. If there is neither, a fixed word, because some clients don't send the item back
    /// without this field. Null in the event that begins the item.
    #[schema(required, examples("farebox.1.signature.EqQBCgIYAhIM"))]
    encrypted_content: Option<String>,
}

/// Text of the model's reasoning.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseSummaryText)]
pub(super) struct SummaryText<'a> {
    /// Always `summary_text`.
    #[schema(pattern = "^summary_text$", examples("summary_text"))]
    r#type: &'static str,
    /// The text.
    #[schema(examples("The user greets me."))]
    pub(super) text: &'a str,
}

/// A text of the AI's. An answer may have several, with reasoning and calls between them.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseMessage)]
pub(super) struct MessageItem<'a> {
    /// `msg_` and the id of the message. After the first text, also the index of the text.
    #[schema(examples("msg_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    pub(super) id: String,
    /// Always `message`.
    #[schema(pattern = "^message$", examples("message"))]
    r#type: &'static str,
    /// The status of the message.
    status: Status,
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The text. Empty in the event that begins the message.
    #[schema(max_items = 1)]
    pub(super) content: Vec<ContentPart<'a>>,
}

/// The text of a message: an answer, or the model's refusal to answer.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseContentPart)]
#[serde(untagged)]
pub(super) enum ContentPart<'a> {
    Text(OutputText<'a>),
    Refusal(RefusalPart<'a>),
}

/// The model's refusal to answer.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseRefusal)]
pub(super) struct RefusalPart<'a> {
    /// Always `refusal`.
    #[schema(pattern = "^refusal$", examples("refusal"))]
    r#type: &'static str,
    /// The text of the refusal.
    #[schema(examples("I can't help with that."))]
    pub(super) refusal: &'a str,
}

/// Text from the AI.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseOutputText)]
pub(super) struct OutputText<'a> {
    /// Always `output_text`.
    #[schema(pattern = "^output_text$", examples("output_text"))]
    r#type: &'static str,
    /// The answer's text. An empty answer is charged like any other answer.
    #[schema(examples("You said: Hello!"))]
    pub(super) text: &'a str,
    /// Always empty.
    #[schema(value_type = Vec<Object>, max_items = 0)]
    annotations: [(); 0],
    /// Always empty.
    #[schema(value_type = Vec<Object>, max_items = 0)]
    pub(super) logprobs: [(); 0],
}

/// A function call.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseFunctionCall)]
pub(super) struct CallItem<'a> {
    /// `fc_`, the id of the message, and the index of the call.
    #[schema(examples("fc_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36_0"))]
    pub(super) id: String,
    /// Always `function_call`.
    #[schema(pattern = "^function_call$", examples("function_call"))]
    r#type: &'static str,
    /// The status of the call.
    status: Status,
    /// The call's id. The item with the call's result must contain this id.
    #[schema(examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    call_id: &'a str,
    /// The function's name.
    #[schema(examples("get_weather"))]
    pub(super) name: &'a str,
    /// The arguments, usually as JSON.
    #[schema(examples(r#"{"city": "Paris"}"#))]
    pub(super) arguments: &'a str,
}

/// A call of a custom tool.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseCustomToolCall)]
pub(super) struct CustomCallItem<'a> {
    /// `ctc_`, the id of the message, and the index of the call.
    #[schema(examples("ctc_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36_0"))]
    pub(super) id: String,
    /// Always `custom_tool_call`.
    #[schema(pattern = "^custom_tool_call$", examples("custom_tool_call"))]
    r#type: &'static str,
    /// The status of the call.
    status: Status,
    /// The call's id. The item with the call's result must contain this id.
    #[schema(examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    call_id: &'a str,
    /// The tool's name.
    #[schema(examples("apply_patch"))]
    name: &'a str,
    /// The text for the tool.
    #[schema(examples("*** Begin Patch"))]
    pub(super) input: String,
}

/// The status of a response or of one of its items.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// The AI is still writing the item.
    InProgress,
    /// The item is complete.
    Completed,
    /// The item is cut off.
    Incomplete,
    /// There is no answer.
    Failed,
}

/// The part of the answer that an item contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The part of the reasoning with this index.
    Reasoning(usize),
    /// A part of the text.
    Text(TextPart),
    /// The function call with this index.
    Call(usize),
    /// The call with this index, which is of a custom tool.
    CustomCall(usize),
}

/// A part of an answer's text, between two other blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextPart {
    /// The part's index among the parts of the text.
    pub index: usize,
    /// The byte of the answer's text at which the part begins.
    from: usize,
    /// The byte at which it ends.
    pub to: usize,
}

impl Source {
    /// Returns the items of a stored answer, in the order of its blocks. An answer without calls
    /// always contains a text item, which may be empty.
    pub(super) fn all(chat: &Chat, custom: &CustomTools) -> Vec<Self> {
        let mut sources = Vec::new();
        let mut parts = 0..;
        for block in chat.in_blocks(true) {
            let source = match block {
                AnswerBlock::Reasoning(_) => parts.next().map(Self::Reasoning),
                AnswerBlock::Text(text) => Some(Self::Text(Self::next_text(&sources, text))),
                AnswerBlock::Call(index, call) => Some(Self::of_call(index, &call.name, custom)),
            };
            sources.extend(source);
        }
        if !sources.iter().any(|source| source.is_answer()) {
            sources.push(Self::Text(Self::next_text(&sources, "")));
        }
        sources
    }

    /// Returns the part for the text after those of the other items.
    pub(super) fn next_text(before: &[Self], text: &str) -> TextPart {
        let end = |source: &Self| match source {
            Self::Text(part) => Some((part.index + 1, part.to)),
            _ => None,
        };
        let (index, from) = before.iter().rev().find_map(end).unwrap_or_default();
        TextPart { index, from, to: from + text.len() }
    }

    /// Returns true for an item of the answer itself.
    pub(super) fn is_answer(self) -> bool {
        !matches!(self, Self::Reasoning(_))
    }

    /// Returns true for a call.
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::Call(_) | Self::CustomCall(_))
    }

    /// Returns the item that contains a call of the function or custom tool with this name.
    pub(super) fn of_call(index: usize, name: &str, custom: &CustomTools) -> Self {
        match custom.contains_key(name) {
            true => Self::CustomCall(index),
            false => Self::Call(index),
        }
    }
}

/// Returns the items of an answer in the order of `sources`. `reasoning` replaces the reasoning of
/// the stored answer, because a stream may have sent more than is stored.
pub(super) fn items<'a>(
    chat: &'a Chat,
    reasoning: &'a [Reasoning],
    sources: &[Source],
) -> Vec<Item<'a>> {
    let item = |place| item(chat, reasoning, sources, place);
    (0..sources.len()).filter_map(item).collect()
}

/// Returns the item at this place in the order of `sources`. If the answer is cut off, the last item
/// is incomplete, unless it is reasoning, and so are calls whose arguments aren't complete.
pub(super) fn item<'a>(
    chat: &'a Chat,
    reasoning: &'a [Reasoning],
    sources: &[Source],
    place: usize,
) -> Option<Item<'a>> {
    let is_last = place + 1 == sources.len();
    let status = |is_complete: bool| match chat.cut.is_some() && (is_last || !is_complete) {
        true => Status::Incomplete,
        false => Status::Completed,
    };
    match *sources.get(place)? {
        Source::Reasoning(index) => {
            let part = reasoning.get(index)?;
            Some(Item::Reasoning(ReasoningItem::of(&chat.chat_id, index, part)))
        }
        Source::Text(TextPart { index, from, to }) => {
            let text = chat.response.get(from..to).unwrap_or_default();
            let content = vec![ContentPart::of(text, chat.refused)];
            let id = message_id(&chat.chat_id, index);
            Some(Item::Message(MessageItem::new(id, content, status(true))))
        }
        Source::Call(index) => {
            let call = chat.calls.get(index)?;
            let begun = CallItem::begun(&chat.chat_id, index, &call.id, &call.name);
            let status = status(is_json_object(&call.arguments));
            Some(Item::Call(CallItem { status, arguments: &call.arguments, ..begun }))
        }
        Source::CustomCall(index) => {
            let call = chat.calls.get(index)?;
            let begun = CustomCallItem::begun(&chat.chat_id, index, &call.id, &call.name);
            let input = input_of(&call.arguments);
            let status = status(is_json_object(&call.arguments));
            Some(Item::CustomCall(CustomCallItem { status, input, ..begun }))
        }
    }
}

impl<'a> ReasoningItem<'a> {
    /// Returns the item for a part that has just begun and doesn't have text yet.
    pub(super) fn begun(chat_id: &str, index: usize) -> Self {
        Self {
            id: reasoning_item_id(chat_id, index),
            r#type: "reasoning",
            status: Status::InProgress,
            summary: Vec::new(),
            encrypted_content: None,
        }
    }

    /// Returns the item for a whole part.
    pub(super) fn of(chat_id: &str, index: usize, part: &'a Reasoning) -> Self {
        let text = Some(part.text.as_str()).filter(|text| !text.is_empty());
        Self {
            status: Status::Completed,
            summary: text.map(SummaryText::of).into_iter().collect(),
            encrypted_content: Some(encrypted_content::of(part)),
            ..Self::begun(chat_id, index)
        }
    }
}

/// Returns the id of the item that contains the part of the reasoning with this index.
pub(super) fn reasoning_item_id(chat_id: &str, index: usize) -> String {
    format!("rs_{chat_id}_{index}")
}

impl<'a> SummaryText<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { r#type: "summary_text", text }
    }
}

impl<'a> MessageItem<'a> {
    pub(super) fn new(id: String, content: Vec<ContentPart<'a>>, status: Status) -> Self {
        Self { id, r#type: "message", status, role: "assistant", content }
    }
}

/// Returns the id of the item that contains the text with this index.
pub(super) fn message_id(chat_id: &str, index: usize) -> String {
    match index {
        0 => format!("msg_{chat_id}"),
        index => format!("msg_{chat_id}_{index}"),
    }
}

impl<'a> ContentPart<'a> {
    pub(super) fn of(text: &'a str, is_refusal: bool) -> Self {
        match is_refusal {
            true => Self::Refusal(RefusalPart { r#type: "refusal", refusal: text }),
            false => {
                let (annotations, logprobs) = ([], []);
                Self::Text(OutputText { r#type: "output_text", text, annotations, logprobs })
            }
        }
    }
}

impl<'a> CallItem<'a> {
    /// Returns the item for a call that has just begun and doesn't have arguments yet.
    pub(super) fn begun(chat_id: &str, index: usize, call_id: &'a str, name: &'a str) -> Self {
        Self {
            id: call_item_id(chat_id, index),
            r#type: "function_call",
            status: Status::InProgress,
            call_id,
            name,
            arguments: "",
        }
    }
}

impl<'a> CustomCallItem<'a> {
    /// Returns the item for a call that has just begun and doesn't have a text yet.
    pub(super) fn begun(chat_id: &str, index: usize, call_id: &'a str, name: &'a str) -> Self {
        Self {
            id: format!("ctc_{chat_id}_{index}"),
            r#type: "custom_tool_call",
            status: Status::InProgress,
            call_id,
            name,
            input: String::new(),
        }
    }
}

/// Returns the id of the item that contains the function call with this index.
pub(super) fn call_item_id(chat_id: &str, index: usize) -> String {
    format!("fc_{chat_id}_{index}")
}
