//! An AI provider, with its model and its protocol.

use std::borrow::Cow;
use std::sync::Arc;

use crate::ai::answer_builder::{AnswerBuilder, Unanswered};
use crate::ai::anthropic::{self, Anthropic};
use crate::ai::bedrock::{self, Bedrock};
use crate::ai::embeddings::{EmbeddingRequest, ProvidedVectors};
use crate::ai::failure::{Failure, Refusal};
use crate::ai::openai::OpenAi;
use crate::ai::{Effort, Options, Prompt, echo, scripted};
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
            Wire::Bedrock(_) => bedrock::refuses(prompt).or_else(|| self.refused_option(prompt)),
            Wire::Anthropic(_) => {
                anthropic::refuses(prompt).or_else(|| self.refused_option(prompt))
            }
            _ => self.refused_option(prompt),
        }
    }

    /// Returns a parameter that this provider doesn't support, unless it may be left out.
    fn refused_option(&self, prompt: &Prompt) -> Option<Refusal> {
        let mut unsupported = self.unsupported(prompt);
        unsupported.find(|name| !prompt.options.may_leave_out(name)).map(Refusal::Field)
    }

    /// Returns the parameters in the prompt that this provider doesn't support, or that no provider
    /// is called with.
    fn unsupported(&self, prompt: &Prompt) -> impl Iterator<Item = &'static str> {
        let (given, unoffered) = (prompt.options.given(), &prompt.options.unoffered);
        given.filter(move |name| unoffered.contains(name) || !self.supports(name))
    }

    /// Returns true unless it is known that this provider's model doesn't have the parameter with
    /// this name in OpenAI's API.
    fn supports(&self, name: &str) -> bool {
        match self.wire.as_ref() {
            // These providers don't have a model whose answers a parameter could change.
            Wire::Echo | Wire::Scripted => true,
            Wire::OpenAi(server) => server.supports(name),
            Wire::Anthropic(_) => anthropic::supports(name),
            Wire::Bedrock(_) => bedrock::supports(&self.model, name),
        }
    }

    /// Returns true if the provider gets the text of earlier reasoning that isn't signed.
    pub(super) fn takes_reasoning(&self) -> bool {
        match self.wire.as_ref() {
            Wire::OpenAi(server) => server.takes_reasoning(),
            Wire::Echo | Wire::Scripted => true,
            Wire::Anthropic(_) | Wire::Bedrock(_) => false,
        }
    }

    /// Returns true if the provider gets the signatures of earlier reasoning, and encrypted
    /// reasoning.
    pub(super) fn takes_proven_reasoning(&self) -> bool {
        matches!(self.wire.as_ref(), Wire::Anthropic(_) | Wire::Bedrock(_))
    }

    /// Returns true unless it is known that this provider writes into its cache only the prompts
    /// that ask for it. OpenAI writes every long prompt into its cache, and has charged for this
    /// since GPT-5.6.
    pub(super) fn writes_cache_unasked(&self) -> bool {
        match self.wire.as_ref() {
            Wire::OpenAi(_) | Wire::Scripted => true,
            Wire::Bedrock(_) => bedrock::is_by(&self.model, "openai"),
            Wire::Anthropic(_) | Wire::Echo => false,
        }
    }

    /// Requests an answer from the provider. If the model refuses a part of the prompt that it can
    /// answer without, the request is repeated without this part.
    pub(super) async fn answer(
        &self,
        prompt: &Prompt,
        builder: &mut AnswerBuilder<'_>,
    ) -> Result<(), Failure> {
        let mut prompt = self.without_unsupported(prompt);
        let mut has_tried_no_effort = false;
        loop {
            let refusal = match self.ask(&prompt, builder).await {
                Err(Failure::Refused(Refusal::EffortWithTools)) if has_tried_no_effort => {
                    Refusal::Tools
                }
                Err(Failure::Refused(refusal)) => refusal,
                outcome => return outcome,
            };
            has_tried_no_effort |= refusal == Refusal::EffortWithTools;
            prompt = match without(&prompt, refusal) {
                Some(rest) => Cow::Owned(rest),
                None => return Err(Failure::Refused(refusal)),
            };
        }
    }

    /// Returns the prompt. If parameters may be left out, those that the provider doesn't support
    /// are removed.
    fn without_unsupported<'p>(&self, prompt: &'p Prompt) -> Cow<'p, Prompt> {
        let mut rest = Cow::Borrowed(prompt);
        for name in self.unsupported(prompt).filter(|name| prompt.options.may_leave_out(name)) {
            rest.to_mut().leave_out(name);
        }
        rest
    }

    /// Returns true if the provider works offline.
    pub(super) fn is_offline(&self) -> bool {
        matches!(self.wire.as_ref(), Wire::Echo | Wire::Scripted)
    }

    /// Requests the vectors of texts from the provider.
    pub(super) async fn embed(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<ProvidedVectors, Unanswered> {
        match self.wire.as_ref() {
            Wire::Echo => Ok(echo::embed(request)),
            Wire::Scripted => scripted::embed(request).await,
            Wire::OpenAi(server) => Box::pin(server.embed(&self.model, request)).await,
            Wire::Bedrock(bedrock) => Box::pin(bedrock.embed(&self.model, request)).await,
            Wire::Anthropic(_) => {
                let failure = Failure::failed("Anthropic has no embeddings");
                Err(Unanswered { failure, worked: None })
            }
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

/// Returns the prompt without the part that a model refuses. `None` if the answer depends on this
/// part. The following can be left out: earlier reasoning, the position of instructions, cache
/// breakpoints, newer parts of Anthropic's API, a limit of one function call per answer, functions
/// that needn't be called, and an effort for which the client doesn't ask.
fn without(prompt: &Prompt, refused: Refusal) -> Option<Prompt> {
    match refused {
        Refusal::Reasoning if prompt.has_reasoning() => Some(prompt.without_reasoning()),
        Refusal::LateInstructions if prompt.has_late_instructions() => {
            Some(prompt.with_instructions_first())
        }
        Refusal::Cache if prompt.has_cache_breakpoints() => Some(prompt.without_breakpoints()),
        Refusal::CallIds if !prompt.has_foreign_ids => {
            Some(Prompt { has_foreign_ids: true, ..prompt.clone() })
        }
        Refusal::Extensions if prompt.has_extensions() => Some(prompt.without_extensions()),
        Refusal::ParallelCalls if prompt.parallel_calls.is_some() => {
            Some(Prompt { parallel_calls: None, ..prompt.clone() })
        }
        Refusal::Tools if prompt.has_tools() && !prompt.demands_a_call() => {
            Some(prompt.without_tools())
        }
        Refusal::EffortWithTools => {
            let effort = prompt.options.effort_alone();
            effort.is_none_or(|(name, _)| prompt.options.may_leave_out(name)).then(|| {
                let (effort, thinking) = (Some(Effort::None), None);
                let options = Options { effort, thinking, ..prompt.options.clone() };
                Prompt { options, ..prompt.clone() }
            })
        }
        Refusal::Field(name) if prompt.options.may_leave_out(name) => {
            let mut prompt = prompt.clone();
            prompt.leave_out(name).then_some(prompt)
        }
        _ => None,
    }
}
