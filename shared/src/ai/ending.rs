//! The words that each provider uses to report how an answer ended.

use crate::values::CutReason;

/// How an answer ended, according to its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The answer is complete, or calls a function.
    Complete,
    /// The provider cut the answer off.
    Cut(CutReason),
    /// The provider cut the answer off because the model's context is full.
    ContextFull,
    /// The provider failed, so the part that it sent doesn't count as an answer. Contains the
    /// provider's word.
    Failed(&'static str),
}

const LENGTH: Ending = Ending::Cut(CutReason::Length);
const FILTER: Ending = Ending::Cut(CutReason::ContentFilter);
const FAILED: Ending = Ending::Failed("");

/// The finish reasons for an answer that isn't complete, grouped by provider. Gateways forward the
/// original provider's reason, so a reason has the same meaning for all providers. A reason that
/// several providers use is listed under the first of them.
#[rustfmt::skip]
const WORDS: &[(&str, Ending)] = &[
    // OpenAI, Azure, xAI, Groq (https://platform.openai.com/docs/api-reference/chat/object)
    ("length", LENGTH),
    ("content_filter", FILTER),
    // OpenAI's Responses API; some servers send a response's status as the reason
    // (https://platform.openai.com/docs/api-reference/responses/object)
    ("incomplete", LENGTH),
    ("max_output_tokens", LENGTH),
    ("failed", FAILED),
    ("cancelled", FAILED),
    // Mistral (https://docs.mistral.ai/api/endpoint/chat)
    ("model_length", LENGTH),
    ("error", FAILED),
    // DeepSeek (https://api-docs.deepseek.com/api/create-chat-completion)
    ("insufficient_system_resource", FAILED),
    // vLLM (https://docs.vllm.ai/en/latest/api/vllm/v1/engine) and SGLang
    ("abort", FAILED),
    // Anthropic (https://docs.anthropic.com/en/api/handling-stop-reasons)
    ("max_tokens", LENGTH),
    ("pause_turn", LENGTH),
    ("refusal", FILTER),
    ("model_context_window_exceeded", Ending::ContextFull),
    // Gemini (https://ai.google.dev/api/generate-content#FinishReason)
    ("safety", FILTER),
    ("recitation", FILTER),
    ("language", FILTER),
    ("blocklist", FILTER),
    ("prohibited_content", FILTER),
    ("spii", FILTER),
    ("image_safety", FILTER),
    ("image_prohibited_content", FILTER),
    ("image_recitation", FILTER),
    ("image_other", FAILED),
    ("no_image", FAILED),
    ("malformed_function_call", FAILED),
    ("unexpected_tool_call", FAILED),
    ("too_many_tool_calls", FAILED),
    ("missing_thought_signature", FAILED),
    ("malformed_response", FAILED),
    // Cohere (https://docs.cohere.com/reference/chat, and its first version)
    ("error_limit", LENGTH),
    ("error_toxic", FILTER),
    ("timeout", FAILED),
    ("user_cancel", FAILED),
    // Z.ai (https://docs.z.ai/api-reference/llm/chat-completion)
    ("sensitive", FILTER),
    ("network_error", FAILED),
    // watsonx.ai (https://cloud.ibm.com/apidocs/watsonx-ai#text-generation)
    ("token_limit", LENGTH),
    ("time_limit", LENGTH),
    // Ollama, when it loads or unloads a model without answering
    // (https://github.com/ollama/ollama/blob/main/docs/api.md)
    ("load", FAILED),
    ("unload", FAILED),
    // Amazon Bedrock
    // (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html)
    ("content_filtered", FILTER),
    ("guardrail_intervened", FILTER),
    ("malformed_model_output", FAILED),
    ("malformed_tool_use", FAILED),
];

/// The values that servers send instead of a reason while the answer continues: placeholders, and
/// Python's notation for a missing value.
const GOES_ON: [&str; 6] = ["", "0", "null", "none", "not_finished", "finish_reason_unspecified"];

impl Ending {
    /// Returns true if a finish reason is one of Claude's for a complete answer
    /// ([reasons](https://docs.anthropic.com/en/api/handling-stop-reasons)).
    pub(super) fn is_of_claude(word: &str) -> bool {
        ["end_turn", "stop_sequence", "tool_use"].contains(&word)
    }

    /// Returns the meaning of a provider's finish reason, ignoring case, or `None` if the answer
    /// continues. An unknown reason means that the answer is complete, because many servers use
    /// their own words for this, such as `eos` and `end_turn`.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        if GOES_ON.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return None;
        }
        let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        Some(match known {
            Some((word, Self::Failed(_))) => Self::Failed(word),
            Some((_, ending)) => *ending,
            None => Self::Complete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_in_any_case() {
        for (word, ending) in [
            ("stop", Some(Ending::Complete)),
            ("tool_calls", Some(Ending::Complete)),
            ("eos", Some(Ending::Complete)),
            ("MAX_TOKENS", Some(LENGTH)),
            ("model_length", Some(LENGTH)),
            ("SAFETY", Some(FILTER)),
            ("abort", Some(Ending::Failed("abort"))),
            ("", None),
            ("None", None),
            ("FINISH_REASON_UNSPECIFIED", None),
        ] {
            assert_eq!(Ending::from_word(word), ending, "{word}");
        }
    }

    #[test]
    fn each_word_has_one_meaning() {
        for (index, (word, _)) in WORDS.iter().enumerate() {
            assert!(WORDS.iter().skip(index + 1).all(|(later, _)| later != word), "{word}");
            assert_eq!(*word, word.to_ascii_lowercase());
        }
    }
}
