//! Amazon Bedrock, through its Converse API
//! ([reference](https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html)).
//! The API is the same for all Bedrock models.

mod document;
mod embeddings;
mod request;

use std::convert::Infallible;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{Builder, retry::RetryConfig};
use aws_sdk_bedrockruntime::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::primitives::event_stream::EventReceiver;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart,
    ContentBlockStartEvent, ConverseOutput, ConverseStreamOutput, ReasoningContentBlock,
    ReasoningContentBlockDelta, StopReason, TokenUsage,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::ai::bedrock::request::ConverseRequest;
use crate::ai::blocks::Blocks;
use crate::ai::ending::Ending;
use crate::ai::failure::{Reason, seconds_to_wait};
use crate::ai::reading::{self, Reply};
use crate::ai::{AnswerBuilder, Failure, Format, Prompt, Refusal};
use crate::aws::{self, http};
use crate::config::ConfigError;
use crate::values::{CacheCount, Picture, ReportedUsage};

/// Returns a feature of the prompt that Bedrock doesn't support for any model. Bedrock can't fetch
/// pictures, and refuses long function names. Bedrock also can't combine function calls with an
/// answer that may be any JSON object, because such an answer is itself returned as a function
/// call.
pub fn refuses(prompt: &Prompt) -> Option<Refusal> {
    if prompt.pictures().any(Picture::is_linked) {
        return Some(Refusal::PicturesByUrl);
    }
    if prompt.offers_calls() && prompt.has_long_names() {
        return Some(Refusal::LongNames);
    }
    let is_any_object = matches!(prompt.format, Some(Format::JsonObject));
    (is_any_object && prompt.offers_calls()).then_some(Refusal::Format)
}

/// Returns true unless it is known that this Bedrock model doesn't have the parameter with this
/// name in OpenAI's API.
pub fn supports(model: &str, parameter: &str) -> bool {
    match parameter {
        "reasoning_effort" | "thinking" => is_by(model, "anthropic") || is_by(model, "openai"),
        "top_k" => is_by(model, "anthropic"),
        // Only Anthropic's models get it.
        "display" => true,
        _ => false,
    }
}

/// Returns true if a model's id names this maker. The id of an inference profile begins with a
/// region, as in `us.openai.gpt-oss-120b-1:0`.
pub fn is_by(model: &str, maker: &str) -> bool {
    model.split('.').take(2).any(|part| part == maker)
}

/// Sends a request with one of the client's operations, and returns the reply. The operations'
/// builders are different types with the same methods.
macro_rules! send {
    ($operation:expr, $model:expr, $prompt:expr, $request:expr) => {{
        let ConverseRequest { system, messages, inference, more, tools, output, .. } = $request;
        let request = $operation
            .model_id($model)
            .inference_config(inference)
            .set_system(Some(system))
            .set_messages(Some(messages))
            .set_tool_config(tools)
            .set_output_config(output)
            .set_additional_model_request_fields(more);
        let reply = request.send().await;
        reply.map_err(|error| failure(&error, wait_of(&error), $prompt))
    }};
}

pub struct Bedrock {
    client: Client,
    open: Operation<(), (), Infallible>,
}

impl Bedrock {
    pub async fn connect(endpoint: Option<&str>) -> Result<Self, ConfigError> {
        let aws = match endpoint {
            Some(endpoint) if endpoint.starts_with("http://") => aws::emulated(),
            _ => aws::amazon().await?,
        };
        // The caller limits the time for an answer. Requests aren't retried, because Bedrock bills
        // a request even if its reply is lost.
        let http = http::for_sdk(aws::client(http::AI_IDLE)?);
        let mut config = Builder::from(&aws)
            .http_client(http.clone())
            .timeout_config(TimeoutConfig::disabled())
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(endpoint.map(str::to_owned));
        let region = aws.region().map_or("us-east-1", |region| region.as_ref());
        let url = endpoint.map_or_else(
            || format!("https://bedrock-runtime.{region}.amazonaws.com"),
            str::to_owned,
        );
        Ok(Self { open: opening(http, &url), client: Client::from_conf(config.build()) })
    }

    /// Opens a connection for the next request. Bedrock's reply is ignored.
    pub async fn open(&self) {
        let _ = self.open.invoke(()).await;
    }

    /// Requests an answer from the model. Some models support answer formats. Other models answer
    /// in a format only by calling a function; the call's arguments are the answer. The format is
    /// tried first, because only a refusal reveals that a model doesn't support formats.
    pub async fn answer(
        &self,
        model: &str,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let asked = ConverseRequest::of(prompt, model)?;
        let has_format = asked.output.is_some();
        match self.ask(model, prompt, asked, builder).await {
            Err(
                refusal
                @ (Failure::Refused(Refusal::Format | Refusal::Schema) | Failure::Denied(_)),
            ) if has_format => match ConverseRequest::by_function(prompt, model)? {
                Some(asked) => self.ask(model, prompt, asked, builder).await,
                None => Err(refusal),
            },
            outcome => outcome,
        }
    }

    async fn ask(
        &self,
        model: &str,
        prompt: &Prompt,
        asked: ConverseRequest,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        if builder.has_listener() {
            self.listen(model, prompt, asked, builder).await
        } else {
            self.read(model, prompt, asked, builder).await
        }
    }

    async fn read(
        &self,
        model: &str,
        prompt: &Prompt,
        asked: ConverseRequest,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let answer = asked.answer;
        let reply = send!(self.client.converse(), model, prompt, asked)?;
        let Some(ConverseOutput::Message(message)) = reply.output else {
            return Err(Failure::Empty("no message"));
        };
        let mut blocks = Blocks::new(answer);
        for (number, block) in (0..).zip(&message.content) {
            match block {
                ContentBlock::Text(text) => blocks.text(text, builder)?,
                ContentBlock::ToolUse(call) => {
                    blocks.begin(number, &call.tool_use_id, &call.name, builder)?;
                    let arguments = document::to_json(&call.input).to_string();
                    blocks.push_arguments(number, &arguments, builder)?;
                }
                ContentBlock::ReasoningContent(thought) => read_reasoning(thought, builder),
                _ => {}
            }
        }
        let ending = ending(&reply.stop_reason);
        if !matches!(ending, Ending::Failed(_)) {
            blocks.finish(builder)?;
        }
        if let Some(counted) = &reply.usage {
            builder.count(usage(counted, model));
        }
        builder.end_turn(ending)
    }

    async fn listen(
        &self,
        model: &str,
        prompt: &Prompt,
        asked: ConverseRequest,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let blocks = Blocks::new(asked.answer);
        let stream = send!(self.client.converse_stream(), model, prompt, asked)?.stream;
        reading::read(&mut ArrivingReply { stream, blocks, model, prompt }, builder).await
    }
}

/// A reply whose events are still arriving.
struct ArrivingReply<'r> {
    stream: EventReceiver<ConverseStreamOutput, ConverseStreamOutputError>,
    blocks: Blocks,
    model: &'r str,
    prompt: &'r Prompt,
}

impl Reply for ArrivingReply<'_> {
    async fn read_next(&mut self, builder: &mut AnswerBuilder<'_>) -> Result<bool, Failure> {
        let event = self.stream.recv().await.map_err(|error| {
            match failure(&error.map_service_error(with_code), None, self.prompt) {
                // Once the model has begun to answer a request, the request isn't sent again in a
                // different form.
                Failure::Refused(_) if builder.has_content() => {
                    Failure::failed("an exception in the middle")
                }
                failure => failure.unless_unknown(),
            }
        })?;
        let blocks = &mut self.blocks;
        match event {
            None if builder.has_ended() => return Ok(false),
            None => return Err(Failure::failed("cut off")),
            Some(ConverseStreamOutput::ContentBlockStart(block)) => begin(&block, blocks, builder)?,
            Some(ConverseStreamOutput::ContentBlockDelta(block)) => {
                read_delta(&block, blocks, builder)?;
            }
            Some(ConverseStreamOutput::ContentBlockStop(_)) => blocks.end(builder)?,
            Some(ConverseStreamOutput::MessageStop(stop)) => {
                let ending = ending(&stop.stop_reason);
                if !matches!(ending, Ending::Failed(_)) {
                    blocks.finish(builder)?;
                }
                builder.end_turn(ending)?;
            }
            Some(ConverseStreamOutput::Metadata(metadata)) => {
                if let Some(counted) = &metadata.usage {
                    builder.count(usage(counted, self.model));
                }
            }
            Some(_) => {}
        }
        Ok(true)
    }
}

/// Reads the start of a content block.
fn begin(
    block: &ContentBlockStartEvent,
    blocks: &mut Blocks,
    builder: &mut AnswerBuilder<'_>,
) -> Result<(), Failure> {
    match &block.start {
        Some(ContentBlockStart::ToolUse(call)) => {
            blocks.begin(number(block.content_block_index), &call.tool_use_id, &call.name, builder)
        }
        _ => Ok(()),
    }
}

/// Reads a part of a content block.
fn read_delta(
    block: &ContentBlockDeltaEvent,
    blocks: &mut Blocks,
    builder: &mut AnswerBuilder<'_>,
) -> Result<(), Failure> {
    match &block.delta {
        Some(ContentBlockDelta::Text(text)) => blocks.text(text, builder),
        Some(ContentBlockDelta::ToolUse(part)) => {
            blocks.push_arguments(number(block.content_block_index), &part.input, builder)
        }
        Some(ContentBlockDelta::ReasoningContent(thought)) => {
            match thought {
                ReasoningContentBlockDelta::Text(text) => builder.push_reasoning(text),
                ReasoningContentBlockDelta::Signature(signature) => {
                    builder.sign_reasoning(signature);
                }
                ReasoningContentBlockDelta::RedactedContent(encrypted) => {
                    builder.push_encrypted(&BASE64_STANDARD.encode(encrypted));
                }
                _ => {}
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Reads a whole block of reasoning. Encrypted reasoning is bytes here, and base64 everywhere else.
fn read_reasoning(block: &ReasoningContentBlock, builder: &mut AnswerBuilder<'_>) {
    match block {
        ReasoningContentBlock::ReasoningText(thought) => {
            builder.push_reasoning(&thought.text);
            if let Some(signature) = &thought.signature {
                builder.sign_reasoning(signature);
            }
        }
        ReasoningContentBlock::RedactedContent(encrypted) => {
            builder.push_encrypted(&BASE64_STANDARD.encode(encrypted));
        }
        _ => {}
    }
}

fn number(of_block: i32) -> u64 {
    u64::try_from(of_block).unwrap_or_default()
}

/// Builds a `HEAD` request without a signature. The request uses the same HTTP client and time-outs
/// as the other operations, so that they share its connection. A `HEAD` is sent because the API
/// doesn't offer an operation that every caller may use.
fn opening(http: SharedHttpClient, url: &str) -> Operation<(), (), Infallible> {
    Operation::builder()
        .http_client(http)
        .service_name("bedrock")
        .operation_name("open")
        .endpoint_url(url)
        .timeout_config(TimeoutConfig::disabled())
        .no_auth()
        .no_retry()
        .serializer(|()| {
            let mut head = HttpRequest::empty();
            head.set_method("HEAD").map_err(BoxError::from)?;
            Ok(head)
        })
        .deserializer(|_| Ok(()))
        .build()
}

/// Returns how the answer ends. Bedrock's reason always means that the answer has ended.
fn ending(reason: &StopReason) -> Ending {
    Ending::from_word(reason.as_str()).unwrap_or(Ending::Complete)
}

/// Returns the token counts that Bedrock reports. Bedrock doesn't include cached tokens in the
/// prompt's count. The exception is OpenAI's models, for which the prompt's count includes them, as
/// in OpenAI's API ([pi#8752](https://github.com/earendil-works/pi/issues/8752)).
fn usage(counted: &TokenUsage, model: &str) -> ReportedUsage {
    let count = |number: i32| u64::try_from(number).ok();
    let is_openai = is_by(model, "openai");
    ReportedUsage {
        prompt: count(counted.input_tokens),
        cached: counted.cache_read_input_tokens.and_then(count),
        written: counted.cache_write_input_tokens.and_then(count),
        completion: count(counted.output_tokens),
        reasoning: None,
        total: None,
        cache_count: if is_openai { CacheCount::InPrompt } else { CacheCount::BesidePrompt },
    }
}

/// How many characters of an error message are read to find the reason for a refusal. The rest of a
/// longer message may repeat the prompt.
const SENTENCE: usize = 500;

/// The Bedrock fields, and the models' own parameters, that error messages mention. Each is paired
/// with the corresponding field in OpenAI's API.
const FIELDS: [(&str, &str); 13] = [
    ("toolConfig", "tools"),
    ("inferenceConfig.temperature", "temperature"),
    ("inferenceConfig.topP", "top_p"),
    ("inferenceConfig.stopSequences", "stop"),
    ("outputConfig", "response_format"),
    ("output_config", "reasoning_effort"),
    ("reasoning_effort", "reasoning_effort"),
    ("effort parameter", "reasoning_effort"),
    (".display", "display"),
    ("thinking", "thinking"),
    ("top_k", "top_k"),
    // These begin the path of a message's field, and the sentences of Anthropic's models.
    ("messages.", "messages"),
    ("messages:", "messages"),
];

/// Returns a streamed exception with its code. A stream contains the code in a header, and the SDK
/// looks for it only in the payload.
fn with_code(exception: ConverseStreamOutputError) -> ErrorMetadata {
    let code = match &exception {
        ConverseStreamOutputError::InternalServerException(_) => "InternalServerException",
        ConverseStreamOutputError::ModelStreamErrorException(_) => "ModelStreamErrorException",
        ConverseStreamOutputError::ServiceUnavailableException(_) => "ServiceUnavailableException",
        ConverseStreamOutputError::ThrottlingException(_) => "ThrottlingException",
        ConverseStreamOutputError::ValidationException(_) => "ValidationException",
        _ => return exception.meta().clone(),
    };
    let words = exception.message().unwrap_or_default();
    ErrorMetadata::builder().code(code).message(words).build()
}

/// Returns the number of seconds after which Bedrock accepts the next request, if its reply says
/// so.
fn wait_of<E>(error: &SdkError<E>) -> Option<u32> {
    seconds_to_wait(error.raw_response()?.headers().get("retry-after")?)
}

/// Converts an error. Keeps only the error's code or kind, because its message may contain the
/// prompt. `wait` is the number of seconds after which Bedrock accepts the next request.
fn failure<E: ProvideErrorMetadata, R>(
    error: &SdkError<E, R>,
    wait: Option<u32>,
    prompt: &Prompt,
) -> Failure {
    failure_by(error, wait, |words| {
        let named = FIELDS.iter().find(|(name, _)| words.contains(name));
        let param = match named {
            Some((_, "thinking")) => prompt.options.thinking_parameter().to_owned(),
            // The effort stands for a budget.
            Some((_, "reasoning_effort")) if prompt.options.effort.is_none() => "thinking".into(),
            Some((_, field)) => (*field).to_owned(),
            None => String::new(),
        };
        let reason = Reason { words, param, ..Reason::default() };
        Failure::refused(&reason, prompt, "ValidationException")
    })
}

/// Converts an error. `refused` gets the beginning of Bedrock's message if Bedrock refuses the
/// request.
fn failure_by<E: ProvideErrorMetadata, R>(
    error: &SdkError<E, R>,
    wait: Option<u32>,
    refused: impl FnOnce(String) -> Failure,
) -> Failure {
    let service = error.as_service_error();
    let words = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    let beginning = words.chars().take(SENTENCE).collect();
    match service.and_then(ProvideErrorMetadata::code) {
        Some("ThrottlingException" | "ServiceUnavailableException" | "ModelNotReadyException") => {
            Failure::Overloaded(wait)
        }
        Some("ModelTimeoutException") => Failure::TimedOut,
        Some("ValidationException") => refused(beginning),
        // A prompt that is too long for the model may be the cause.
        Some(
            code
            @ ("ModelErrorException" | "ModelStreamErrorException" | "InternalServerException"),
        ) => match refused(beginning) {
            Failure::Denied(_) => Failure::failed(code),
            failure => failure,
        },
        Some(code) => Failure::failed(code),
        None => Failure::failed(aws::cause(error)),
    }
}
