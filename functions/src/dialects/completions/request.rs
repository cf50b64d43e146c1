//! Requests to `POST /v1/chat/completions`
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).

mod format;
mod messages;
mod tools;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use shared::Result;
use shared::ai::{Effort, LEAST_BUDGET, Options, Prompt, Thinking, Verbosity};
use shared::error::FieldErrors;
use utoipa::ToSchema;

use self::format::ResponseFormat;
use self::messages::{CALLS, MESSAGES, PromptMessage, turns};
use self::tools::{Choice, FunctionChoice, OfferedTool};
use crate::dialects::completions::reasoning::DETAILS;
use crate::dialects::openai::options::{
    CACHE_KEY, LOGPROBS, LogitBias, Sampling, TOP_LOGPROBS, bias_limits, cache_key, effort, one_of,
    penalty_limits, repetition_limits, summary, summary_limits, verbosity,
};
use crate::dialects::programs::Asked;
use crate::dialects::programs::custom::CustomTools;
use crate::dialects::programs::json::{at_most, object, text_or_list};
use crate::dialects::programs::numbers::{
    max_model_tokens, model_token_limits, number_up_to, top_k_limits,
};
use crate::dialects::programs::tools::{OfferedFunction, TOOLS, functions_or_null};
use crate::dialects::programs::turns::{PARTS, asked};

/// The maximum number of non-empty strings in `stop`, and the maximum number of strings in total.
const STOPS: (usize, usize) = (4, 64);

#[derive(Deserialize, ToSchema)]
#[schema(as = CompletionRequest, examples(json!({ "messages": [{ "role": "user", "content": "Hello!" }] })))]
pub(crate) struct Body {
    /// The conversation. The history shows the user's last message, which must not be blank.
    #[serde(default, deserialize_with = "read_messages")]
    #[schema(required, value_type = Vec<PromptMessage>)]
    messages: Option<Vec<PromptMessage>>,
    /// The model's name in the price list, in upper or lower case, with or without a provider
    /// prefix (`openai/`). Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// Whether to send the answer in chunks.
    stream: Option<bool>,
    #[serde(default, deserialize_with = "object")]
    stream_options: Option<StreamOptions>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The older name for `max_completion_tokens`.
    max_tokens: Option<f64>,
    /// The maximum number of tokens in the answer. -1 means no limit.
    max_completion_tokens: Option<f64>,
    /// The answer ends before the first occurrence of any of these strings.
    #[schema(value_type = Option<Value>)]
    stop: Option<Stop>,
    /// Refused unless it is 1: this API gives one answer only.
    n: Option<f64>,
    /// The functions and custom tools that the model may call.
    #[serde(default, deserialize_with = "functions_or_null")]
    tools: Option<Vec<OfferedTool>>,
    /// Whether the model may, must or must not call a tool.
    tool_choice: Option<Choice>,
    /// Whether the model may call several functions in one answer.
    parallel_tool_calls: Option<bool>,
    /// The older form of `tools`. If a request contains `functions`, its answer contains the older
    /// `function_call`.
    #[serde(default, deserialize_with = "functions_or_null")]
    functions: Option<Vec<OfferedFunction>>,
    /// The older form of `tool_choice`.
    function_call: Option<FunctionChoice>,
    /// The format of the answer: text or JSON.
    response_format: Option<ResponseFormat>,
    /// Refused: this API answers with a text only.
    #[schema(value_type = Option<Value>)]
    audio: Option<IgnoredAny>,
    /// How much the model reasons: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
    /// Which of these words a model knows depends on its provider.
    #[schema(examples("low"))]
    reasoning_effort: Option<String>,
    /// How much the model reasons, in OpenRouter's form.
    #[serde(default, deserialize_with = "object")]
    reasoning: Option<ReasoningOptions>,
    /// False is the older form of `exclude` in `reasoning`.
    include_reasoning: Option<bool>,
    /// How long the answer is: `low`, `medium` or `high`.
    #[schema(examples("low"))]
    verbosity: Option<String>,
    /// Requests with the same seed get similar answers.
    seed: Option<i64>,
    /// How many of the most likely tokens are considered at each step. 0 sets no limit.
    top_k: Option<f64>,
    /// From 0 to 1: how likely a token must be to be considered, as a fraction of the most likely
    /// token's probability. 0 sets no limit.
    min_p: Option<f64>,
    /// From -2 to 2: by how much tokens that are already in the text become less likely.
    presence_penalty: Option<f64>,
    /// From -2 to 2: by how much tokens become less likely each time they occur.
    frequency_penalty: Option<f64>,
    /// Above 0, up to 2: by what factor tokens that are already in the text or in the prompt become
    /// less likely. 1 changes nothing.
    repetition_penalty: Option<f64>,
    /// From -100 to 100: by how much tokens become more likely, by the tokens' ids.
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    logit_bias: Option<LogitBias>,
    /// Refused if true, unless the operator ignores such parameters: the probabilities of tokens
    /// aren't stored with an answer.
    logprobs: Option<bool>,
    /// Refused unless it is 0, like `logprobs`.
    top_logprobs: Option<f64>,
    /// Refused like `logprobs`, because searches cost money that no price covers.
    #[schema(value_type = Option<Value>)]
    web_search_options: Option<IgnoredAny>,
    /// The name under which the provider caches the beginning of the prompt.
    prompt_cache_key: Option<String>,
}

/// How much a model reasons, and whether the answer contains its reasoning
/// ([reference](https://openrouter.ai/docs/use-cases/reasoning-tokens)).
#[derive(Default, Deserialize, ToSchema)]
struct ReasoningOptions {
    /// The same as `reasoning_effort`.
    effort: Option<String>,
    /// The maximum number of tokens for the reasoning, which count as part of the answer. Models
    /// without such a limit get an effort instead.
    max_tokens: Option<f64>,
    /// False means the effort `none`, and true alone `medium`.
    enabled: Option<bool>,
    /// True if the answer shouldn't contain the reasoning.
    exclude: Option<bool>,
    /// `auto`, `concise` or `detailed`: models that otherwise hide their reasoning show a summary.
    summary: Option<String>,
}

impl ReasoningOptions {
    /// Returns the options. `effort` is the request's `reasoning_effort`, which takes precedence.
    fn read(self, effort: Option<Effort>, errors: &mut FieldErrors) -> Options {
        let word = self.effort.as_deref();
        let effort = effort.or(self::effort("reasoning.effort", word, errors));
        let budget = max_model_tokens(self.max_tokens);
        let budget = errors.check("reasoning.max_tokens", budget).flatten();
        // As at OpenRouter, because Anthropic's models accept no smaller budget.
        let budget = budget.map(|tokens| Thinking::Enabled { budget: tokens.max(LEAST_BUDGET) });
        let display = summary("reasoning.summary", self.summary.as_deref(), errors);
        let (effort, thinking) = match self.enabled {
            Some(false) => (Some(Effort::None), None),
            Some(true) if effort.is_none() && budget.is_none() => (Some(Effort::Medium), None),
            _ => (effort, budget),
        };
        Options { effort, thinking, display, ..Options::default() }
    }
}

fn read_messages<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<PromptMessage>>, D::Error> {
    at_most(json, MESSAGES, "messages")
}

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(crate) fn limits() -> Value {
    let of_user = json!({
        "properties": { "role": { "const": "user" }, "content": { "not": { "type": "null" } } },
        "required": ["role", "content"],
    });
    let file = json!({ "properties": { "file_data": { "type": "string" } }, "required": ["file_data"], "type": "object" });
    let part = json!({ "anyOf": [
        { "properties": { "type": { "const": "text" }, "text": { "type": "string" } }, "required": ["text"] },
        { "properties": { "type": { "const": "refusal" }, "refusal": { "type": "string" } }, "required": ["refusal"] },
        { "properties": { "type": { "const": "image_url" }, "image_url": { "not": { "type": "null" } } }, "required": ["image_url"] },
        { "properties": { "type": { "const": "file" }, "file": file }, "required": ["file"] },
    ] });
    let format = json!({ "anyOf": [
        { "type": "null" },
        { "properties": { "type": { "const": "text" } } },
        { "properties": { "type": { "const": "grammar" }, "grammar": { "not": { "type": "null" } } }, "required": ["grammar"] },
    ] });
    let custom = json!({ "not": { "type": "null" }, "properties": { "format": format } });
    let tool = json!({ "anyOf": [
        { "properties": { "type": { "const": "function" }, "function": { "not": { "type": "null" } }, "custom": { "type": "null" } }, "required": ["function"] },
        { "properties": { "type": { "const": "custom" }, "custom": custom, "function": { "type": "null" } }, "required": ["custom"] },
    ] });
    let message = json!({ "properties": {
        "content": { "items": part, "maxItems": PARTS },
        "tool_calls": { "maxItems": CALLS },
        "reasoning_details": { "maxItems": DETAILS },
    } });
    json!({
        "properties": {
            "messages": { "items": message, "contains": of_user, "minItems": 1, "maxItems": MESSAGES },
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "max_tokens": model_token_limits(),
            "max_completion_tokens": model_token_limits(),
            "stop": Stop::limits(),
            "n": { "enum": [1, null] },
            "tools": { "items": tool, "maxItems": TOOLS },
            "functions": { "maxItems": TOOLS },
            "audio": { "type": ["object", "null"], "enum": [null] },
            "web_search_options": { "type": ["object", "null"], "enum": [null] },
            "reasoning_effort": one_of::<Effort>(),
            "reasoning": { "properties": {
                "effort": one_of::<Effort>(),
                "max_tokens": model_token_limits(),
                "summary": summary_limits(),
            } },
            "logprobs": { "not": { "const": true } },
            "top_logprobs": { "enum": [0, null] },
            "verbosity": one_of::<Verbosity>(),
            "presence_penalty": penalty_limits(),
            "frequency_penalty": penalty_limits(),
            "logit_bias": bias_limits(),
            "top_k": top_k_limits(),
            "min_p": { "minimum": 0, "maximum": 1 },
            "repetition_penalty": repetition_limits(),
            "prompt_cache_key": { "maxLength": CACHE_KEY },
        },
    })
}

/// The options of a streamed completion.
#[derive(Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether to send the usage in the last chunk before `[DONE]`.
    include_usage: Option<bool>,
}

impl StreamOptions {
    pub(crate) fn wants_usage(&self) -> bool {
        self.include_usage == Some(true)
    }
}

/// The strings that end an answer: one string, or a list of strings.
pub(crate) enum Stop {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_list(json, (STOPS.1, "texts"), Self::One, Self::Several)
    }
}

impl Stop {
    /// Returns the constraints that [`Self::read`] enforces, for the OpenAPI document.
    pub(crate) fn limits() -> Value {
        json!({ "oneOf": [
            { "type": "null" },
            { "type": "string" },
            {
                "type": "array", "items": { "type": "string" }, "contains": { "minLength": 1 },
                "minContains": 0, "maxContains": STOPS.0, "maxItems": STOPS.1,
            },
        ] })
    }

    /// Returns the strings that aren't empty.
    pub(crate) fn read(stop: Option<Self>, errors: &mut FieldErrors) -> Vec<String> {
        let mut stop = match stop {
            None => Vec::new(),
            Some(Self::One(text)) => vec![text],
            Some(Self::Several(texts)) => texts,
        };
        stop.retain(|text| !text.is_empty());
        if stop.len() > STOPS.0 {
            errors.note("stop", format!("Send at most {} texts that end an answer.", STOPS.0));
        }
        stop
    }
}

impl Body {
    pub(super) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(StreamOptions::wants_usage)
    }

    /// Returns true if the answer shouldn't contain the model's reasoning.
    pub(super) fn hides_reasoning(&self) -> bool {
        let is_excluded = |of: &ReasoningOptions| of.exclude == Some(true);
        self.include_reasoning == Some(false) || self.reasoning.as_ref().is_some_and(is_excluded)
    }

    /// Returns the names of the parameters in the request that no provider is called with.
    fn unoffered(&self) -> Vec<&'static str> {
        let fields = [
            (LOGPROBS, self.logprobs == Some(true)),
            (TOP_LOGPROBS, self.top_logprobs.is_some_and(|number| number != 0.0)),
            ("web_search_options", self.web_search_options.is_some()),
        ];
        fields.into_iter().filter_map(|(field, is_sent)| is_sent.then_some(field)).collect()
    }

    /// Returns true if function calls in the answer must use the older form.
    pub(super) fn is_older(&self) -> bool {
        self.functions.as_ref().is_some_and(|functions| !functions.is_empty())
    }

    /// Returns the message for the history, the prompt for the AI, and the custom tools.
    pub(super) fn read(self, message_limit: usize) -> Result<(Asked, CustomTools)> {
        let mut errors = FieldErrors::default();
        let (is_older, hides_reasoning) = (self.is_older(), self.hides_reasoning());
        let unoffered = self.unoffered();
        let streamed = self.stream == Some(true);
        if self.n.is_some_and(|n| n != 1.0) {
            errors.note("n", "This API gives one answer only. Omit this field.");
        }
        if self.audio.is_some() {
            errors.note("audio", "This API answers with a text only. Omit this field.");
        }
        let format = self.response_format.and_then(|format| format.read(&mut errors));
        let temperature =
            errors.check("temperature", number_up_to(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", number_up_to(self.top_p, 1.0)).flatten();
        let older = errors.check("max_tokens", max_model_tokens(self.max_tokens)).flatten();
        let max_tokens = errors
            .check("max_completion_tokens", max_model_tokens(self.max_completion_tokens))
            .flatten()
            .or(older);
        let stop = Stop::read(self.stop, &mut errors);
        let sampling = Sampling {
            seed: self.seed,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repetition_penalty: self.repetition_penalty,
            logit_bias: self.logit_bias,
        };
        let effort = effort("reasoning_effort", self.reasoning_effort.as_deref(), &mut errors);
        let reasoning = self.reasoning.unwrap_or_default().read(effort, &mut errors);
        let options = Options {
            effort: reasoning.effort,
            thinking: reasoning.thinking,
            display: reasoning.display,
            verbosity: verbosity("verbosity", self.verbosity.as_deref(), &mut errors),
            unoffered,
            cache_key: cache_key(self.prompt_cache_key, &mut errors),
            ..sampling.read(&mut errors)
        };
        let tools = self.tools.unwrap_or_default();
        let tools = match self.functions.filter(|functions| !functions.is_empty()) {
            Some(_) if !tools.is_empty() => {
                errors.note("functions", "Send either tools or functions, not both.");
                None
            }
            Some(functions) => Some(tools::older(functions, self.function_call, &mut errors)),
            None => Some(tools::offered(tools, self.tool_choice, &mut errors)),
        };
        let turns = turns(self.messages.unwrap_or_default(), &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("messages", asked(turns, message_limit)));
        match (message, turns, tools) {
            (Some(message), Some(mut turns), Some(tools)) if errors.is_empty() => {
                // Some providers reject blank turns.
                turns.retain(|turn| !turn.is_blank());
                let prompt = Prompt {
                    turns,
                    temperature,
                    top_p,
                    max_tokens,
                    stop,
                    tools: tools.tools,
                    tool_choice: tools.choice,
                    // The older form can represent only one call.
                    parallel_calls: if is_older { Some(false) } else { self.parallel_tool_calls },
                    format,
                    options,
                    hides_reasoning,
                    given: true,
                    has_blocks: true,
                    ..Prompt::default()
                };
                Ok((Asked { model: self.model, message, prompt, streamed }, tools.custom))
            }
            _ => Err(errors.into_error()),
        }
    }
}
