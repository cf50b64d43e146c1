//! Amazon Bedrock, through its Converse API
//! ([reference](https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html)),
//! which is the same for all its models.

mod request;

use std::convert::Infallible;

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{Builder, StalledStreamProtectionConfig, retry::RetryConfig};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart,
    ContentBlockStartEvent, ConverseOutput, ConverseStreamOutput, StopReason, TokenUsage,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use self::request::Asked;
use super::{Cut, Failure, Prompt, Said, Usage};
use crate::aws;
use crate::config::ConfigError;

pub struct Bedrock {
    client: Client,
    model: String,
    open: Operation<(), (), Infallible>,
}

impl Bedrock {
    pub async fn connect(model: &str, endpoint: Option<&str>) -> Result<Self, ConfigError> {
        let aws = match endpoint {
            Some(endpoint) if endpoint.starts_with("http://") => aws::emulated(),
            _ => aws::amazon().await?,
        };
        // The caller limits how long an answer may take. No request is retried: a lost reply is
        // billed, too.
        let mut config = Builder::from(&aws)
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(endpoint.map(str::to_owned));
        let region = aws.region().map_or("us-east-1", |region| region.as_ref());
        let url = endpoint.map_or_else(
            || format!("https://bedrock-runtime.{region}.amazonaws.com"),
            str::to_owned,
        );
        Ok(Self {
            open: opening(&aws, &url),
            client: Client::from_conf(config.build()),
            model: model.to_owned(),
        })
    }

    /// Opens a connection, which the next request uses. Whatever Bedrock replies is ignored.
    pub async fn open(&self) {
        let _ = self.open.invoke(()).await;
    }

    /// Some models have formats of answers. Those that have functions instead answer by calling one
    /// that takes the answer. Nothing tells which model is which, except that it refuses.
    pub async fn answer(&self, prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
        let asked = Asked::of(prompt)?;
        let may_ask_otherwise = !asked.by_function;
        match self.ask(prompt, asked, said).await {
            Err(Failure::Refused(refusal)) if may_ask_otherwise => {
                match Asked::by_function(prompt)? {
                    Some(asked) => self.ask(prompt, asked, said).await,
                    None => Err(Failure::Refused(refusal)),
                }
            }
            outcome => outcome,
        }
    }

    async fn ask(&self, prompt: &Prompt, asked: Asked, said: &mut Said<'_>) -> Result<(), Failure> {
        if said.is_listened_to() {
            self.listen(prompt, asked, said).await
        } else {
            self.read(prompt, asked, said).await
        }
    }

    async fn read(
        &self,
        prompt: &Prompt,
        asked: Asked,
        said: &mut Said<'_>,
    ) -> Result<(), Failure> {
        let Asked { system, messages, inference, tools, output, by_function } = asked;
        let asked = self
            .client
            .converse()
            .model_id(&self.model)
            .set_system(Some(system))
            .set_messages(Some(messages))
            .set_tool_config(tools)
            .set_output_config(output);
        let reply = asked
            .inference_config(inference)
            .send()
            .await
            .map_err(|error| failure(&error, prompt))?;
        stopped(&reply.stop_reason, said)?;
        said.usage = reply.usage.as_ref().and_then(usage);
        let Some(ConverseOutput::Message(message)) = reply.output else {
            return Err(Failure::failed("no message"));
        };
        for (number, block) in (0..).zip(&message.content) {
            match block {
                ContentBlock::Text(text) if !by_function => said.say(text)?,
                ContentBlock::ToolUse(call) => {
                    let arguments = request::json(&call.input).to_string();
                    match by_function {
                        true => said.say(&arguments)?,
                        false => said.call(number, &call.tool_use_id, &call.name, &arguments)?,
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn listen(
        &self,
        prompt: &Prompt,
        asked: Asked,
        said: &mut Said<'_>,
    ) -> Result<(), Failure> {
        let Asked { system, messages, inference, tools, output, by_function } = asked;
        let asked = self
            .client
            .converse_stream()
            .model_id(&self.model)
            .set_system(Some(system))
            .set_messages(Some(messages))
            .set_tool_config(tools)
            .set_output_config(output);
        let mut reply = asked
            .inference_config(inference)
            .send()
            .await
            .map_err(|error| failure(&error, prompt))?;
        let mut finished = false;
        // The call whose arguments have not begun.
        let mut bare = None;
        while let Some(event) =
            reply.stream.recv().await.map_err(|error| failure(&error, prompt))?
        {
            match event {
                ConverseStreamOutput::ContentBlockStart(block) => bare = begin(&block, said)?,
                ConverseStreamOutput::ContentBlockDelta(block) => {
                    bare = bare.filter(|_| !is_of_a_call(&block));
                    go_on(&block, by_function, said)?;
                }
                ConverseStreamOutput::ContentBlockStop(_) => {
                    // A function without parameters is called without arguments; clients expect
                    // an object.
                    if let Some(number) = bare.take() {
                        said.call(number, "", "", "{}")?;
                    }
                }
                ConverseStreamOutput::MessageStop(stop) => {
                    stopped(&stop.stop_reason, said)?;
                    finished = true;
                }
                ConverseStreamOutput::Metadata(metadata) => {
                    said.usage = metadata.usage.as_ref().and_then(usage)
                }
                _ => {}
            }
        }
        if finished { Ok(()) } else { Err(Failure::failed("cut off")) }
    }
}

/// Reads the beginning of a block. Returns its number if it is a call of a function.
fn begin(block: &ContentBlockStartEvent, said: &mut Said<'_>) -> Result<Option<u64>, Failure> {
    let Some(ContentBlockStart::ToolUse(call)) = &block.start else { return Ok(None) };
    let number = number(block.content_block_index);
    said.call(number, &call.tool_use_id, &call.name, "")?;
    Ok(Some(number))
}

/// Whether it is a part of the arguments of a call.
fn is_of_a_call(block: &ContentBlockDeltaEvent) -> bool {
    matches!(&block.delta, Some(ContentBlockDelta::ToolUse(part)) if !part.input.is_empty())
}

/// Reads a part of a block.
fn go_on(
    block: &ContentBlockDeltaEvent,
    by_function: bool,
    said: &mut Said<'_>,
) -> Result<(), Failure> {
    match &block.delta {
        Some(ContentBlockDelta::Text(text)) if !by_function => said.say(text),
        Some(ContentBlockDelta::ToolUse(part)) if by_function => said.say(&part.input),
        Some(ContentBlockDelta::ToolUse(part)) => {
            said.call(number(block.content_block_index), "", "", &part.input)
        }
        _ => Ok(()),
    }
}

fn number(of_block: i32) -> u64 {
    u64::try_from(of_block).unwrap_or_default()
}

/// An unsigned `HEAD` with the HTTP client and the time-outs of the other operations: they share its
/// connections. The API has no operation that every caller may use.
fn opening(aws: &SdkConfig, url: &str) -> Operation<(), (), Infallible> {
    let mut opening = Operation::builder()
        .service_name("bedrock")
        .operation_name("open")
        .endpoint_url(url)
        .timeout_config(TimeoutConfig::disabled())
        .no_auth()
        .no_retry();
    if let Some(http) = aws.http_client() {
        opening = opening.http_client(http);
    }
    opening
        .serializer(|()| {
            let mut head = HttpRequest::empty();
            head.set_method("HEAD").map_err(BoxError::from)?;
            Ok(head)
        })
        .deserializer(|_| Ok(()))
        .build()
}

fn stopped(reason: &StopReason, said: &mut Said<'_>) -> Result<(), Failure> {
    match reason {
        StopReason::ContentFiltered | StopReason::GuardrailIntervened => {
            Err(Failure::Cut(Cut::ContentFilter))
        }
        reason => {
            said.cut = (*reason == StopReason::MaxTokens).then_some(Cut::Length);
            Ok(())
        }
    }
}

fn usage(usage: &TokenUsage) -> Option<Usage> {
    Some(Usage {
        prompt_tokens: usage.input_tokens.try_into().ok()?,
        completion_tokens: usage.output_tokens.try_into().ok()?,
        estimated: false,
    })
}

/// Only codes and kinds: an error message may contain the prompt.
fn failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, prompt: &Prompt) -> Failure {
    let service = error.as_service_error();
    match service.and_then(ProvideErrorMetadata::code) {
        Some("ThrottlingException" | "ServiceUnavailableException" | "ModelNotReadyException") => {
            Failure::Overloaded
        }
        Some("ModelTimeoutException") => Failure::TimedOut,
        Some("ValidationException") if prompt.given => {
            let words = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
            Failure::refused(&words.to_lowercase(), prompt, "ValidationException")
        }
        Some(code) => Failure::failed(code),
        None => Failure::failed(aws::cause(error)),
    }
}
