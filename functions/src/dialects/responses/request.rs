//! Requests to `POST /v1/responses`
//! ([reference](https://platform.openai.com/docs/api-reference/responses/create)).

mod input;
mod metadata;
mod references;
mod text;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use shared::Result;
use shared::ai::{Effort, Options, Prompt, Verbosity};
use shared::error::FieldErrors;
use shared::values::{Credential, Speaker, Turn};
use utoipa::ToSchema;

use self::input::{Input, turns};
use self::metadata::{Metadata, PAIRS};
use self::text::Text;
use super::reply::RepeatedFields;
use super::tools::{self, Choice, OfferedTool};
use crate::dialects::openai::options::{
    CACHE_KEY, LogitBias, Sampling, TOP_LOGPROBS, bias_limits, cache_key, effort as effort_of,
    one_of, penalty_limits, repetition_limits, summary, summary_limits,
};
use crate::dialects::programs::json::{at_most, object};
use crate::dialects::programs::numbers::{
    max_model_tokens, model_token_limits, number_up_to, top_k_limits,
};
use crate::dialects::programs::tools::{TOOLS, Tools, functions_or_null};
use crate::dialects::programs::turns::asked;
use crate::dialects::programs::{Asked, CompletionApp};

/// The error message for fields that refer to an earlier response.
const STATELESS: &str = "This API stores no responses. Omit this field, and send the whole \
    conversation in `input`: clients do that with `store: false`.";

/// The maximum number of characters in `user`.
const USER: usize = 512;

#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseRequest, examples(json!({ "input": "Hello!" })))]
pub(crate) struct Body {
    /// The message, or the conversation as a list of items. The history shows the user's last
    /// message, which must not be blank.
    #[schema(value_type = Input)]
    input: Option<Input>,
    /// The instructions for the AI, before the conversation.
    instructions: Option<String>,
    /// The model's name in the price list, in upper or lower case, with or without a provider
    /// prefix (`openai/`). Ignored if there is no price list.
    #[schema(examples("echo"))]
    model: Option<String>,
    /// Whether to send the response as events.
    stream: Option<bool>,
    /// The sampling temperature.
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The maximum number of tokens in the answer. -1 means no limit.
    max_output_tokens: Option<f64>,
    /// The functions and custom tools that the model may call. Other tools are refused.
    #[serde(default, deserialize_with = "functions_or_null")]
    tools: Option<Vec<OfferedTool>>,
    /// Whether the model may, must or must not call a tool.
    tool_choice: Option<Choice>,
    /// Whether the model may call several functions in one answer.
    parallel_tool_calls: Option<bool>,
    /// The format of the answer: text or JSON.
    #[serde(default, deserialize_with = "object")]
    text: Option<Text>,
    /// Pairs of strings that the response repeats.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
    /// A string that the response repeats.
    user: Option<String>,
    /// How much the model reasons.
    #[serde(default, deserialize_with = "object")]
    reasoning: Option<ReasoningOptions>,
    /// The name under which the provider caches the beginning of the prompt.
    prompt_cache_key: Option<String>,
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
    /// Refused unless it is `disabled`: a prompt that is too long is refused, not shortened.
    truncation: Option<String>,
    /// Refused unless it is 0: the probabilities of tokens aren't stored with an answer.
    top_logprobs: Option<f64>,
    /// The fields that the response should contain in addition. Those of reasoning are always in it,
    /// and `message.output_text.logprobs` is refused like `top_logprobs`.
    #[serde(default, deserialize_with = "read_included")]
    include: Option<Vec<String>>,
    /// Refused if true: this API answers at once.
    background: Option<bool>,
    /// Refused: this API stores no responses.
    #[schema(value_type = Option<Value>)]
    conversation: Option<IgnoredAny>,
    /// Refused like `conversation`.
    #[schema(value_type = Option<Value>)]
    previous_response_id: Option<IgnoredAny>,
    /// Refused: this API stores no prompts.
    #[schema(value_type = Option<Value>)]
    prompt: Option<IgnoredAny>,
}

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ResponseReasoningOptions)]
struct ReasoningOptions {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`. Which of these words a model
    /// knows depends on its provider.
    #[schema(examples("low"))]
    effort: Option<String>,
    /// `auto`, `concise` or `detailed`: models that otherwise hide their reasoning show a summary.
    #[schema(examples("auto"))]
    summary: Option<String>,
    /// The older name of `summary`.
    generate_summary: Option<String>,
}

/// The maximum number of names in `include`.
const INCLUDED: usize = 64;

/// The name of the probabilities of tokens in `include`.
const LOGPROBS_OF_TEXT: &str = "message.output_text.logprobs";

fn read_included<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<String>>, D::Error> {
    at_most(json, INCLUDED, "names")
}

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(crate) fn limits() -> Value {
    let (pairs, name, value) = PAIRS;
    let metadata = json!({
        "maxProperties": pairs,
        "propertyNames": { "maxLength": name },
        "additionalProperties": { "maxLength": value },
    });
    json!({
        "properties": {
            "temperature": { "minimum": 0, "maximum": 2 },
            "top_p": { "minimum": 0, "maximum": 1 },
            "max_output_tokens": model_token_limits(),
            "tools": { "items": tools::limits(), "maxItems": TOOLS },
            "metadata": metadata,
            "user": { "maxLength": USER },
            "reasoning": { "properties": {
                "effort": one_of::<Effort>(),
                "summary": summary_limits(),
                "generate_summary": summary_limits(),
            } },
            "text": { "properties": { "verbosity": one_of::<Verbosity>() } },
            "prompt_cache_key": { "maxLength": CACHE_KEY },
            "presence_penalty": penalty_limits(),
            "frequency_penalty": penalty_limits(),
            "repetition_penalty": repetition_limits(),
            "logit_bias": bias_limits(),
            "top_k": top_k_limits(),
            "min_p": { "minimum": 0, "maximum": 1 },
            "truncation": { "enum": ["disabled", null] },
            "top_logprobs": { "enum": [0, null] },
            "include": { "maxItems": INCLUDED, "items": { "not": { "const": LOGPROBS_OF_TEXT } } },
            "background": { "not": { "const": true } },
            "conversation": { "type": ["object", "null"], "enum": [null] },
            "previous_response_id": { "type": ["string", "null"], "enum": [null] },
            "prompt": { "type": ["object", "null"], "enum": [null] },
        },
    })
}

impl Body {
    /// Returns the names of the parameters in the request that no provider is called with.
    fn unoffered(&self) -> Vec<&'static str> {
        let fields = [
            ("truncation", self.truncation.as_deref().is_some_and(|word| word != "disabled")),
            (TOP_LOGPROBS, self.top_logprobs.is_some_and(|number| number != 0.0)),
            ("include", self.include.iter().flatten().any(|name| name == LOGPROBS_OF_TEXT)),
        ];
        fields.into_iter().filter_map(|(field, is_sent)| is_sent.then_some(field)).collect()
    }

    /// Replaces references to items of earlier answers by the items. If an item can't be read, a
    /// valid input that is never sent to a provider replaces all of them.
    pub(super) async fn resolve(&mut self, app: &CompletionApp, caller: &Credential) -> Result<()> {
        let Some(Input::Items(items)) = &mut self.input else { return Ok(()) };
        let resolved = references::resolve(app, caller, items).await;
        if resolved.is_err() {
            self.input = Some(Input::Text("unread".to_owned()));
        }
        resolved
    }

    /// Returns the message for the history, the prompt for the AI, and the fields that the response
    /// repeats.
    pub(super) fn read(self, message_limit: usize) -> Result<(Asked, RepeatedFields)> {
        let mut errors = FieldErrors::default();
        let unoffered = self.unoffered();
        let at_once = "This API answers at once. Omit this field.";
        let templates = "This API stores no prompts. Send `instructions` and `input`.";
        for (field, is_sent, sentence) in [
            ("background", self.background == Some(true), at_once),
            ("conversation", self.conversation.is_some(), STATELESS),
            ("previous_response_id", self.previous_response_id.is_some(), STATELESS),
            ("prompt", self.prompt.is_some(), templates),
        ] {
            if is_sent {
                errors.note(field, sentence);
            }
        }
        // Report only these errors. If the request continues an earlier response, `input` may
        // contain results for that response's calls, and the next checks would report the calls as
        // missing.
        if !errors.is_empty() {
            return Err(errors.into_error());
        }
        let temperature =
            errors.check("temperature", number_up_to(self.temperature, 2.0)).flatten();
        let top_p = errors.check("top_p", number_up_to(self.top_p, 1.0)).flatten();
        let max_tokens = max_model_tokens(self.max_output_tokens);
        let max_tokens = errors.check("max_output_tokens", max_tokens).flatten();
        let metadata = self.metadata.map(|Metadata(pairs)| pairs).unwrap_or_default();
        if self.user.as_ref().is_some_and(|user| user.chars().count() > USER) {
            errors.note("user", format!("This must have at most {USER} characters."));
        }
        let (format, verbosity) = match self.text {
            Some(text) => text.read(&mut errors),
            None => (None, None),
        };
        let reasoning = self.reasoning.unwrap_or_default();
        let (word, older) = (reasoning.summary.as_deref(), reasoning.generate_summary.as_deref());
        let of_word = summary("reasoning.summary", word, &mut errors);
        let of_older = summary("reasoning.generate_summary", older, &mut errors);
        let sampling = Sampling {
            seed: self.seed,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repetition_penalty: self.repetition_penalty,
            logit_bias: self.logit_bias,
        };
        let options = Options {
            effort: effort_of("reasoning.effort", reasoning.effort.as_deref(), &mut errors),
            display: of_word.or(of_older),
            verbosity,
            unoffered,
            cache_key: cache_key(self.prompt_cache_key, &mut errors),
            ..sampling.read(&mut errors)
        };
        let offered = tools::offered(self.tools.unwrap_or_default(), &mut errors);
        let choice = self.tool_choice.unwrap_or_default();
        let wish = Some(choice.wish());
        let tools = Tools::choose(offered, "tool_choice", wish, &mut errors);
        let turns = turns(self.input, &mut errors);
        let message =
            turns.as_ref().and_then(|turns| errors.check("input", asked(turns, message_limit)));
        let (Some(message), Some(mut turns), true) = (message, turns, errors.is_empty()) else {
            return Err(errors.into_error());
        };
        if let Some(instructions) = &self.instructions {
            turns.insert(0, Turn::new(Speaker::System, instructions.as_str()));
        }
        // Some providers reject blank turns.
        turns.retain(|turn| !turn.is_blank());
        let repeated = RepeatedFields {
            instructions: self.instructions,
            max_output_tokens: max_tokens,
            metadata,
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            temperature,
            format: format.clone(),
            effort: options.effort,
            summary: reasoning.summary.or(reasoning.generate_summary),
            verbosity,
            tool_choice: choice,
            tools: tools.tools.clone(),
            custom: tools.custom,
            top_p,
            user: self.user,
        };
        let prompt = Prompt {
            turns,
            temperature,
            top_p,
            max_tokens,
            tools: tools.tools,
            tool_choice: tools.choice,
            parallel_calls: self.parallel_tool_calls,
            format,
            options,
            given: true,
            has_blocks: true,
            ..Prompt::default()
        };
        let streamed = self.stream == Some(true);
        Ok((Asked { model: self.model, message, prompt, streamed }, repeated))
    }
}
