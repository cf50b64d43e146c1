//! An AI provider, with its model and its protocol.

use std::sync::Arc;

use crate::ai::answer_builder::AnswerBuilder;
use crate::ai::anthropic::{self, Anthropic};
use crate::ai::bedrock::{self, Bedrock};
use crate::ai::failure::{Failure, Refusal};
use crate::ai::openai::OpenAi;
use crate::ai::{Prompt, echo, scripted};
use crate::clock::Clock;
use crate::config::{AiProvider, ConfigError};

#[derive(Clone)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) model: String,
    wire: Arc<Wire>,
}

/// The protocol for calling a provider.
enum Wire {
    Echo,
    Scripted,
    OpenAi(Box<OpenAi>),
    Anthropic(Box<Anthropic>),
    Bedrock(Bedrock),
}

impl Provider {
    pub(super) async fn connect(provider: &AiProvider, clock: &Clock) -> Result<Self, ConfigError> {
        let wire = Arc::new(match provider {
            AiProvider::Echo => Wire::Echo,
            AiProvider::Scripted => Wire::Scripted,
            AiProvider::OpenAi(server) => {
                Wire::OpenAi(Box::new(OpenAi::connect(server, clock).await?))
            }
            AiProvider::Anthropic(server) => {
                Wire::Anthropic(Box::new(Anthropic::connect(server, clock).await?))
            }
            AiProvider::Bedrock { endpoint, .. } => {
                Wire::Bedrock(Bedrock::connect(endpoint.as_deref()).await?)
            }
        });
        Ok(Self { name: provider.name().to_owned(), model: provider.model().to_owned(), wire })
    }

    /// Returns the same provider with a different model.
    pub(super) fn with_model(&self, model: Option<&str>) -> Self {
        match model {
            Some(model) => Self { model: model.to_owned(), ..self.clone() },
            None => self.clone(),
        }
    }

    /// Opens a connection for the next request.
    pub(super) async fn open(&self) {
        match self.wire.as_ref() {
            Wire::Echo | Wire::Scripted => {}
            Wire::OpenAi(server) => server.open().await,
            Wire::Anthropic(server) => server.open().await,
            Wire::Bedrock(bedrock) => bedrock.open().await,
        }
    }

    /// Reads the API key again if it is due for renewal.
    pub(super) async fn renew_key(&self) {
        match self.wire.as_ref() {
            Wire::OpenAi(server) => server.renew_key().await,
            Wire::Anthropic(server) => server.renew_key().await,
            Wire::Echo | Wire::Scripted | Wire::Bedrock(_) => {}
        }
    }

    /// Returns a feature of the prompt that this provider doesn't support, or `None` if no such
    /// feature is known before the call.
    pub(super) fn refuses(&self, prompt: &Prompt) -> Option<Refusal> {
        match self.wire.as_ref() {
            Wire::Echo if prompt.demands_a_call() => Some(Refusal::Tools),
            Wire::Echo | Wire::Scripted if prompt.format.is_some() => Some(Refusal::Format),
            Wire::Bedrock(_) => bedrock::refuses(prompt),
            Wire::Anthropic(_) => anthropic::refuses(prompt),
            _ => None,
        }
    }

    /// Calls the provider for an answer. If the model refuses a limit of one function call per
    /// answer, the call is repeated without the limit. If the model doesn't support functions, and
    /// the answer doesn't have to call one, the call is repeated without functions.
    pub(super) async fn answer(
        &self,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let outcome = match self.ask(prompt, builder).await {
            Err(Failure::Refused(Refusal::ParallelCalls)) => {
                let prompt = Prompt { parallel_calls: None, ..prompt.clone() };
                self.ask(&prompt, builder).await
            }
            outcome => outcome,
        };
        match outcome {
            Err(Failure::Refused(Refusal::Tools)) if !prompt.demands_a_call() => {
                self.ask(&prompt.without_tools(), builder).await
            }
            outcome => outcome,
        }
    }

    async fn ask(&self, prompt: &Prompt, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
        match self.wire.as_ref() {
            Wire::Echo => echo::answer(prompt, builder),
            Wire::Scripted => scripted::answer(prompt, builder).await,
            // The providers' futures are boxed because they are large, and every outer future would
            // contain them.
            Wire::OpenAi(server) => Box::pin(server.answer(&self.model, prompt, builder)).await,
            Wire::Anthropic(server) => Box::pin(server.answer(&self.model, prompt, builder)).await,
            Wire::Bedrock(bedrock) => Box::pin(bedrock.answer(&self.model, prompt, builder)).await,
        }
    }
}
