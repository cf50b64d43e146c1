//! Amazon Bedrock, through its Converse API
//! ([reference](https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html)),
//! which is the same for all its models.

use std::convert::Infallible;

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{Builder, StalledStreamProtectionConfig, retry::RetryConfig};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseOutput, ConverseStreamOutput, InferenceConfiguration,
    Message, StopReason, SystemContentBlock, TokenUsage,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::{Cut, Failure, Prompt, Said, Speaker, Turn, Usage};
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

    pub async fn answer(&self, prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
        if said.is_listened_to() {
            self.listen(prompt, said).await
        } else {
            self.read(prompt, said).await
        }
    }

    async fn read(&self, prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
        let (system, messages) = split(prompt)?;
        let asked = self
            .client
            .converse()
            .model_id(&self.model)
            .set_system(Some(system))
            .set_messages(Some(messages));
        let reply = asked
            .inference_config(inference(prompt))
            .send()
            .await
            .map_err(|error| failure(&error))?;
        stopped(&reply.stop_reason, said)?;
        said.usage = reply.usage.as_ref().and_then(usage);
        let Some(ConverseOutput::Message(message)) = reply.output else {
            return Err(Failure::failed("no message"));
        };
        message
            .content
            .iter()
            .filter_map(|block| block.as_text().ok())
            .try_for_each(|text| said.say(text))
    }

    async fn listen(&self, prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
        let (system, messages) = split(prompt)?;
        let asked = self
            .client
            .converse_stream()
            .model_id(&self.model)
            .set_system(Some(system))
            .set_messages(Some(messages));
        let mut reply = asked
            .inference_config(inference(prompt))
            .send()
            .await
            .map_err(|error| failure(&error))?;
        let mut finished = false;
        while let Some(event) = reply.stream.recv().await.map_err(|error| failure(&error))? {
            match event {
                ConverseStreamOutput::ContentBlockDelta(block) => {
                    if let Some(text) = block.delta.as_ref().and_then(|delta| delta.as_text().ok())
                    {
                        said.say(text)?;
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

/// The instructions and the conversation. Bedrock requires that the user begins and that speakers
/// alternate.
fn split(prompt: &Prompt) -> Result<(Vec<SystemContentBlock>, Vec<Message>), Failure> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for turn in &prompt.turns {
        match (turn.role, turns.last_mut()) {
            (Speaker::System, _) => system.push(SystemContentBlock::Text(turn.content.clone())),
            (Speaker::Assistant, None) => {}
            (role, Some(last)) if last.role == role => {
                last.content = format!("{}\n\n{}", last.content, turn.content)
            }
            _ => turns.push(turn.clone()),
        }
    }
    let message = |turn: Turn| {
        let role = if turn.role == Speaker::Assistant {
            ConversationRole::Assistant
        } else {
            ConversationRole::User
        };
        Message::builder().role(role).content(ContentBlock::Text(turn.content)).build()
    };
    let messages: Result<Vec<Message>, _> = turns.into_iter().map(message).collect();
    Ok((system, messages.map_err(|error| Failure::failed(error.to_string()))?))
}

fn inference(prompt: &Prompt) -> InferenceConfiguration {
    let most = prompt.max_tokens.map(|most| i32::try_from(most).unwrap_or(i32::MAX));
    let stop = Some(prompt.stop.clone()).filter(|stop| !stop.is_empty());
    // Other providers accept temperatures up to 2, Bedrock up to 1.
    let temperature = prompt.temperature.map(|temperature| temperature.min(1.0) as f32);
    let inference =
        InferenceConfiguration::builder().set_max_tokens(most).set_temperature(temperature);
    inference.set_top_p(prompt.top_p.map(|top_p| top_p as f32)).set_stop_sequences(stop).build()
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
    })
}

/// Only codes and kinds: an error message may contain the prompt.
fn failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Failure {
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("ThrottlingException" | "ServiceUnavailableException" | "ModelNotReadyException") => {
            Failure::Overloaded
        }
        Some("ModelTimeoutException") => Failure::TimedOut,
        Some(code) => Failure::failed(code),
        None => Failure::failed(aws::cause(error)),
    }
}
