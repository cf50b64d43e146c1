//! Requests embeddings from the providers.
//!
//! Like answers, embeddings come from the first provider that sends them. Vectors of different
//! models can't be compared, so all providers of a model in the price list must run the same model.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::ai::answer_builder::Unanswered;
use crate::ai::embeddings::{
    EmbeddingRequest, Embeddings, MOST_DIMENSIONS, ProvidedVectors, unanswered,
};
use crate::ai::failure::{AnswerFailure, Failure, Refusal};
use crate::ai::provider::Provider;
use crate::ai::{Ai, last_failure};
use crate::telemetry::trace;

impl Ai {
    /// Returns true if the first configured provider works without a model of its own.
    pub fn embeds_offline(&self) -> bool {
        self.providers.first().is_some_and(Provider::is_offline)
    }

    /// Calls the providers until one sends the vectors, for at most `patience`. Each provider gets
    /// an equal share of the remaining time.
    ///
    /// # Errors
    /// If all providers fail, returns the last provider's failure. A refusal is returned only if
    /// every called provider refused the request.
    pub async fn embed(
        &self,
        request: &EmbeddingRequest,
        patience: Duration,
    ) -> Result<Embeddings, AnswerFailure> {
        let until = Instant::now() + patience;
        let mut waiting = u32::try_from(self.providers.len()).unwrap_or(u32::MAX);
        let mut last: Option<Failure> = None;
        let mut worked = Vec::new();
        for provider in self.providers.iter() {
            let share = until.saturating_duration_since(Instant::now()) / waiting.max(1);
            waiting = waiting.saturating_sub(1);
            let asked = Instant::now();
            let outcome = timeout(share, embed_by(provider, request)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(unanswered(Failure::TimedOut, request)));
            if let Some(trace) = trace::recorded() {
                let outcome = outcome.as_ref().map_err(|unanswered| &unanswered.failure);
                provider.record_embeddings(&trace, asked.into_std(), outcome);
            }
            match outcome {
                Ok(embeddings) => {
                    self.record_answer(provider, asked, None);
                    return Ok(embeddings);
                }
                Err(Unanswered { failure, worked: work }) => {
                    worked.extend(work);
                    self.record_failure(provider, &failure);
                    last = Some(last_failure(last, failure));
                }
            }
        }
        Err(AnswerFailure { failure: last.unwrap_or(Failure::TimedOut), worked })
    }
}

/// Requests the vectors from one provider, and checks its reply.
async fn embed_by(
    provider: &Provider,
    request: &EmbeddingRequest,
) -> Result<Embeddings, Unanswered> {
    let provided = provider.embed(request).await;
    let ProvidedVectors { vectors, model, tokens } = provided?;
    let usage = request.input.usage(tokens);
    // The provider has worked, even if its reply is unusable.
    let failed = |failure| Err(Unanswered { failure, worked: Some(usage) });
    if vectors.len() != request.input.count() {
        return failed(Failure::failed("the numbers of vectors and texts differ"));
    }
    let length = vectors.first().map_or(0, Vec::len);
    let is_sound = |vector: &Vec<f32>| {
        vector.len() == length && vector.iter().all(|number| number.is_finite())
    };
    if !(1..=MOST_DIMENSIONS).contains(&length) || !vectors.iter().all(is_sound) {
        return failed(Failure::failed("unusable vectors"));
    }
    // Some servers ignore `dimensions`.
    let wanted = request.dimensions.and_then(|wanted| usize::try_from(wanted).ok());
    if wanted.is_some_and(|wanted| wanted != length) {
        return failed(Failure::Refused(Refusal::Field("dimensions")));
    }
    let model = if model.is_empty() { provider.model.clone() } else { model };
    Ok(Embeddings { vectors, model, usage })
}
