//! A whole message ([reference](https://docs.anthropic.com/en/api/messages)).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use shared::values::call_id::encoded;
use shared::values::{AnswerBlock, Chat, FinishReason, Reasoning, ToolCall, lacks_arguments};
use utoipa::ToSchema;

use super::ShownReasoning;
use crate::dialects::programs::null;

/// The AI's message.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicMessage)]
pub(crate) struct Message<'a> {
    /// `msg_` followed by the id of the message.
    #[schema(examples("msg_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// Always `message`.
    #[schema(pattern = "^message$", examples("message"))]
    r#type: &'static str,
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The model.
    #[schema(examples("echo"))]
    model: &'a str,
    /// The answer: reasoning, texts, and calls of functions, in the model's order. Empty at the
    /// beginning of a stream, and if the answer is empty.
    content: Vec<ContentBlock<'a>>,
    /// The reason why the answer ends. Null at the beginning of a stream.
    #[schema(required)]
    stop_reason: Option<StopReason>,
    /// The stop sequence that ended the answer, if the provider reports it.
    #[schema(required)]
    stop_sequence: Option<&'a str>,
    /// Present if the model refuses to answer, or the provider's content filter ended the answer.
    #[schema(required)]
    stop_details: Option<StopDetails<'a>>,
    /// Always null.
    #[schema(schema_with = null)]
    container: (),
    /// Always null, because this API doesn't edit the context.
    #[schema(schema_with = null)]
    context_management: (),
    /// Always null.
    #[schema(schema_with = null)]
    diagnostics: (),
    /// The model's token counts.
    usage: Usage,
}

/// A block of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicBlock)]
#[serde(untagged)]
pub(super) enum ContentBlock<'a> {
    Text(TextBlock<'a>),
    Thinking(ThinkingBlock<'a>),
    Redacted(RedactedBlock<'a>),
    Call(CallBlock<'a>),
}

/// A text.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicTextBlock)]
pub(super) struct TextBlock<'a> {
    /// Always `text`.
    #[schema(pattern = "^text$", examples("text"))]
    r#type: &'static str,
    /// The text. Empty at the beginning of the block in a stream.
    #[schema(examples("You said: Hello!"))]
    text: &'a str,
    /// Always null.
    #[schema(schema_with = null)]
    citations: (),
}

/// The model's reasoning.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicThinkingBlock)]
pub(super) struct ThinkingBlock<'a> {
    /// Always `thinking`.
    #[schema(pattern = "^thinking$", examples("thinking"))]
    r#type: &'static str,
    /// The text, which may be a summary. Empty at the beginning of the block in a stream.
    thinking: &'a str,
    /// The provider's proof that the text is the model's own. Empty if the provider sends none.
    signature: &'a str,
}

/// Reasoning that only the provider can read.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicRedactedBlock)]
pub(super) struct RedactedBlock<'a> {
    /// Always `redacted_thinking`.
    #[schema(pattern = "^redacted_thinking$", examples("redacted_thinking"))]
    r#type: &'static str,
    /// The encrypted reasoning.
    data: &'a str,
}

/// A call of a function.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicCallBlock)]
pub(super) struct CallBlock<'a> {
    /// Always `tool_use`.
    #[schema(pattern = "^tool_use$", examples("tool_use"))]
    r#type: &'static str,
    /// The call's id. The block with the call's result must contain this id.
    #[schema(value_type = String, examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    id: Cow<'a, str>,
    /// The function's name.
    #[schema(examples("get_weather"))]
    name: &'a str,
    /// The arguments. Empty at the beginning of the block in a stream. Arguments that aren't an
    /// object are in the field `arguments`, as a string.
    #[schema(value_type = Object)]
    input: Input<'a>,
    /// The caller, which is always the model.
    caller: Caller,
}

/// The arguments of a call.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    Empty {},
    Object(&'a RawValue),
    Other { arguments: &'a str },
}

/// The model.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicCaller)]
struct Caller {
    /// Always `direct`.
    #[schema(pattern = "^direct$", examples("direct"))]
    r#type: &'static str,
}

/// The reason why an answer ends.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AnthropicStopReason)]
#[serde(rename_all = "snake_case")]
pub(super) enum StopReason {
    /// The answer is complete.
    EndTurn,
    /// The answer has reached its maximum length or its time limit, or the user stopped it.
    MaxTokens,
    /// The answer ended before a stop sequence, and the provider reports which. Otherwise such an
    /// answer counts as complete.
    StopSequence,
    /// The prompt and the answer have filled the model's context.
    ModelContextWindowExceeded,
    /// The answer calls functions.
    ToolUse,
    /// The text is the model's refusal to answer, or the provider's content filter ended the
    /// answer.
    Refusal,
}

/// Details of a refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicStopDetails)]
pub(super) struct StopDetails<'a> {
    /// Always `refusal`.
    #[schema(pattern = "^refusal$", examples("refusal"))]
    r#type: &'static str,
    /// The provider's category of the refusal, if it reports one.
    #[schema(required)]
    category: Option<&'a str>,
    /// The provider's explanation, if it gives one.
    #[schema(required)]
    explanation: Option<&'a str>,
}

/// How an answer ends.
pub(super) struct End<'a> {
    pub(super) reason: StopReason,
    pub(super) sequence: Option<&'a str>,
    pub(super) details: Option<StopDetails<'a>>,
}

/// The model's token counts; estimates if the provider reports none.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicUsage)]
pub(super) struct Usage {
    /// The number of tokens in the prompt, without those that were read from the provider's cache
    /// or written into it. At the beginning of a stream, an estimate of the whole prompt.
    #[schema(examples(9))]
    input_tokens: u32,
    /// The number of tokens in the prompt that were written into the provider's cache.
    #[schema(examples(0))]
    cache_creation_input_tokens: u32,
    /// The number of tokens in the prompt that were read from the provider's cache.
    #[schema(examples(0))]
    cache_read_input_tokens: u32,
    /// The number of tokens that were written into the provider's cache, by how long the provider
    /// keeps them. Null if there are any, because this isn't stored.
    #[schema(required)]
    cache_creation: Option<CacheCreation>,
    /// The number of tokens in the answer. 0 at the beginning of a stream.
    #[schema(examples(12))]
    output_tokens: u32,
    /// Details about the answer's tokens.
    output_tokens_details: OutputTokens,
    /// Always null.
    #[schema(schema_with = null)]
    server_tool_use: (),
    /// Always `standard`.
    #[schema(pattern = "^standard$", examples("standard"))]
    service_tier: &'static str,
    /// Always null.
    #[schema(schema_with = null)]
    inference_geo: (),
    /// Always null.
    #[schema(schema_with = null)]
    speed: (),
}

/// The tokens that were written into the provider's cache.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicCacheCreation)]
struct CacheCreation {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    ephemeral_5m_input_tokens: u32,
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    ephemeral_1h_input_tokens: u32,
}

/// Details about the answer's tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = AnthropicOutputTokens)]
struct OutputTokens {
    /// The number of tokens that the model used to reason.
    #[schema(examples(0))]
    thinking_tokens: u32,
}

/// Returns the id of a stored answer's message.
pub(super) fn message_id(chat_id: &str) -> String {
    format!("msg_{chat_id}")
}

impl<'a> Message<'a> {
    /// Returns the message that begins a stream.
    pub(super) fn begun(id: &'a str, model: &'a str, usage: Usage) -> Self {
        Self {
            id,
            r#type: "message",
            role: "assistant",
            model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            stop_details: None,
            container: (),
            context_management: (),
            diagnostics: (),
            usage,
        }
    }

    /// Returns the message of a stored answer. `id` is the message's id.
    pub(super) fn of(chat: &'a Chat, id: &'a str, shown: ShownReasoning) -> Self {
        let blocks = chat.in_blocks(shown != ShownReasoning::Nothing).into_iter();
        let End { reason, sequence, details } = ending(chat);
        Self {
            content: blocks.filter_map(|block| ContentBlock::of(block, shown)).collect(),
            stop_reason: Some(reason),
            stop_sequence: sequence,
            stop_details: details,
            ..Self::begun(id, chat.model_name(), Usage::of(chat))
        }
    }
}

/// Returns how an answer ends.
pub(super) fn ending(chat: &Chat) -> End<'_> {
    let known = chat.stop_details.as_ref();
    let sequence = known.and_then(|known| known.sequence.as_deref());
    let is_context_full = known.is_some_and(|known| known.is_context_full);
    let reason = match chat.finish_reason() {
        _ if chat.refused => StopReason::Refusal,
        FinishReason::Stop if sequence.is_some() => StopReason::StopSequence,
        FinishReason::Stop => StopReason::EndTurn,
        FinishReason::Length if is_context_full => StopReason::ModelContextWindowExceeded,
        FinishReason::Length | FinishReason::Stopped => StopReason::MaxTokens,
        FinishReason::ContentFilter => StopReason::Refusal,
        FinishReason::ToolCalls | FinishReason::FunctionCall => StopReason::ToolUse,
    };
    let is_refusal = reason == StopReason::Refusal;
    let details = StopDetails {
        r#type: "refusal",
        category: known.and_then(|known| known.category.as_deref()),
        explanation: known.and_then(|known| known.explanation.as_deref()),
    };
    let sequence = sequence.filter(|_| reason == StopReason::StopSequence);
    End { reason, sequence, details: is_refusal.then_some(details) }
}

impl<'a> ContentBlock<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(TextBlock { r#type: "text", text, citations: () })
    }

    pub(super) fn thinking(thinking: &'a str, signature: &'a str) -> Self {
        Self::Thinking(ThinkingBlock { r#type: "thinking", thinking, signature })
    }

    pub(super) fn redacted(data: &'a str) -> Self {
        Self::Redacted(RedactedBlock { r#type: "redacted_thinking", data })
    }

    /// Returns the block for a call that has just begun and doesn't have arguments yet.
    pub(super) fn call_begun(id: &'a str, name: &'a str) -> Self {
        Self::Call(CallBlock::new(id, name, Input::Empty {}))
    }

    /// Returns `None` if no part of the reasoning is shown.
    fn of(block: AnswerBlock<'a>, shown: ShownReasoning) -> Option<Self> {
        match block {
            AnswerBlock::Reasoning(part) => Self::reasoning(part, shown),
            AnswerBlock::Text(text) => Some(Self::text(text)),
            AnswerBlock::Call(_, call) => Some(Self::call(call)),
        }
    }

    fn reasoning(part: &'a Reasoning, shown: ShownReasoning) -> Option<Self> {
        let signature = part.signature.as_deref();
        match (&part.encrypted, shown) {
            (_, ShownReasoning::Nothing) => None,
            (Some(encrypted), _) => Some(Self::redacted(encrypted)),
            (None, ShownReasoning::Everything) => {
                Some(Self::thinking(&part.text, signature.unwrap_or_default()))
            }
            (None, ShownReasoning::Signatures) => {
                signature.map(|signature| Self::thinking("", signature))
            }
        }
    }

    fn call(call: &'a ToolCall) -> Self {
        Self::Call(CallBlock::new(&call.id, &call.name, Input::of(&call.arguments)))
    }
}

impl<'a> CallBlock<'a> {
    fn new(id: &'a str, name: &'a str, input: Input<'a>) -> Self {
        let caller = Caller { r#type: "direct" };
        Self { r#type: "tool_use", id: encoded(id), name, input, caller }
    }
}

impl<'a> Input<'a> {
    /// Returns the arguments of a call, which the model may have written in any form.
    pub(super) fn of(arguments: &'a str) -> Self {
        let object = Some(arguments.trim()).filter(|text| text.starts_with('{'));
        match object.map(serde_json::from_str::<&RawValue>) {
            _ if lacks_arguments(arguments) => Self::Empty {},
            Some(Ok(object)) => Self::Object(object),
            _ => Self::Other { arguments },
        }
    }
}

impl Usage {
    /// Returns the counts at the beginning of a stream.
    pub(super) fn begun(prompt_estimate: u32) -> Self {
        Self {
            input_tokens: prompt_estimate,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: 0,
            cache_creation: Some(CacheCreation {
                ephemeral_5m_input_tokens: 0,
                ephemeral_1h_input_tokens: 0,
            }),
            output_tokens: 0,
            output_tokens_details: OutputTokens { thinking_tokens: 0 },
            server_tool_use: (),
            service_tier: "standard",
            inference_geo: (),
            speed: (),
        }
    }

    pub(super) fn of(chat: &Chat) -> Self {
        let usage = chat.usage();
        let (read, written) = (usage.cached_tokens, usage.written_tokens);
        let begun = Self::begun(usage.prompt_tokens.saturating_sub(read).saturating_sub(written));
        Self {
            cache_creation_input_tokens: written,
            cache_read_input_tokens: read,
            cache_creation: begun.cache_creation.filter(|_| written == 0),
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputTokens { thinking_tokens: usage.reasoning_tokens },
            ..begun
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_an_object_in_any_form() {
        for (arguments, input) in [
            (r#"{"b": 1, "a": [2]}"#, r#"{"b": 1, "a": [2]}"#),
            (" {} ", "{}"),
            ("", "{}"),
            (" ", "{}"),
            ("null", "{}"),
            ("Paris", r#"{"arguments":"Paris"}"#),
            ("[1]", r#"{"arguments":"[1]"}"#),
            (r#"{"a": "#, r#"{"arguments":"{\"a\": "}"#),
        ] {
            assert_eq!(serde_json::to_string(&Input::of(arguments)).unwrap(), input);
        }
    }
}
