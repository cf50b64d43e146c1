//! Spans for calls to providers
//! ([attributes](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/)). Spans never
//! contain the text of a conversation.

use std::time::Instant;

use crate::ai::{Answer, Embeddings, Failure, Prompt, Provider};
use crate::telemetry::trace::{Attributes, Trace, Value};

impl Provider {
    /// Adds the span of a call to the given trace. The span ends now.
    pub(super) fn record(
        &self,
        trace: &Trace,
        asked: Instant,
        prompt: &Prompt,
        outcome: Result<&Answer, &Failure>,
    ) {
        let mut builder = self.attributes("chat");
        builder.extend(prompt.max_tokens.map(|most| ("gen_ai.request.max_tokens", most.into())));
        let temperature = prompt.temperature.map(Value::Fraction);
        builder.extend(temperature.map(|number| ("gen_ai.request.temperature", number)));
        if let Ok(answer) = outcome {
            builder.push(("gen_ai.response.model", answer.model.as_str().into()));
            let reason = match answer.cut {
                _ if answer.stopped => Failure::Stopped.code(),
                Some(cut) => cut.word(),
                None if answer.calls.is_empty() => "stop",
                None => "tool_call",
            };
            builder.push(("gen_ai.response.finish_reasons", Value::Texts(vec![reason.into()])));
            let usage = answer.usage;
            if !usage.estimated {
                builder.push(("gen_ai.usage.input_tokens", usage.prompt_tokens.into()));
                builder.push(("gen_ai.usage.output_tokens", usage.completion_tokens.into()));
            }
        }
        let failure = outcome.err().map(Failure::code);
        trace.call(format!("chat {}", self.model), asked, builder, failure);
    }

    /// Adds the span of a request for vectors to the given trace. The span ends now.
    pub(super) fn record_embeddings(
        &self,
        trace: &Trace,
        asked: Instant,
        outcome: Result<&Embeddings, &Failure>,
    ) {
        let mut attributes = self.attributes("embeddings");
        if let Ok(Embeddings { model, usage, .. }) = outcome {
            attributes.push(("gen_ai.response.model", model.as_str().into()));
            if !usage.estimated {
                attributes.push(("gen_ai.usage.input_tokens", usage.prompt_tokens.into()));
            }
        }
        let failure = outcome.err().map(Failure::code);
        trace.call(format!("embeddings {}", self.model), asked, attributes, failure);
    }

    /// Returns the attributes that every call has.
    fn attributes(&self, operation: &'static str) -> Attributes {
        let name = if self.name == "bedrock" { "aws.bedrock" } else { self.name.as_str() };
        vec![
            ("gen_ai.operation.name", operation.into()),
            ("gen_ai.provider.name", name.into()),
            ("gen_ai.request.model", self.model.as_str().into()),
        ]
    }
}
