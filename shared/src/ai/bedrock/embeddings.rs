//! Vectors from Bedrock's embedding models
//! ([Titan](https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html),
//! [Cohere](https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html)).
//! Each maker's models use their own JSON format.

use std::fmt;

use aws_sdk_bedrockruntime::primitives::Blob;
use futures_util::future::join_all;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ai::answer_builder::Unanswered;
use crate::ai::bedrock::{Bedrock, failure_by, is_by, wait_of};
use crate::ai::embeddings::{EmbeddingInput, EmbeddingRequest, ProvidedVectors, refused};
use crate::ai::failure::{Failure, Reason, Refusal};
use crate::ai::json::Json;

/// The maximum number of texts in a call to one of Cohere's models.
const TEXTS: usize = 96;

/// The maximum number of a request's calls to Bedrock that run at the same time.
const CALLS_AT_ONCE: usize = 8;

/// The maker of a model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Amazon,
    Cohere,
}

impl Maker {
    /// Returns the maker of a model or an inference profile. `None` if its models have no
    /// embeddings.
    fn of(model: &str) -> Option<Self> {
        let id = model.rsplit('/').next().unwrap_or(model);
        match () {
            () if is_by(id, "amazon") && id.contains("embed-text") => Some(Self::Amazon),
            () if is_by(id, "cohere") && id.contains("embed") => Some(Self::Cohere),
            () => None,
        }
    }

    /// Returns true if a request may choose the number of dimensions.
    fn takes_dimensions(self, model: &str) -> bool {
        match self {
            Self::Amazon => model.contains("embed-text-v2"),
            Self::Cohere => model.contains("embed-v4"),
        }
    }
}

/// A request for Titan's models, which accept only one text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TitanRequest<'r> {
    input_text: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TitanReply {
    embedding: Vec<f32>,
    #[serde(default)]
    input_text_token_count: Option<Box<RawValue>>,
}

/// A request for Cohere's models. Text that is too long is refused, as by OpenAI.
#[derive(Serialize)]
struct CohereRequest<'r> {
    texts: &'r [String],
    input_type: &'static str,
    truncate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
}

#[derive(Deserialize)]
struct CohereReply {
    embeddings: CohereVectors,
}

/// The vectors in a reply: a list or, from newer models, an object with a list for each type of
/// numbers.
struct CohereVectors(Vec<Vec<f32>>);

impl<'de> Deserialize<'de> for CohereVectors {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ListOrTypes).map(Self)
    }
}

struct ListOrTypes;

impl<'de> Visitor<'de> for ListOrTypes {
    type Value = Vec<Vec<f32>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vectors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(value::SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut types: A) -> Result<Self::Value, A::Error> {
        let mut vectors = Vec::new();
        while let Some(name) = types.next_key::<String>()? {
            match name.as_str() {
                "float" => vectors = types.next_value()?,
                _ => drop(types.next_value::<IgnoredAny>()?),
            }
        }
        Ok(vectors)
    }
}

/// The vectors of some of the texts, and the number of model tokens in these texts, if Bedrock
/// counts them.
type Part = (Vec<Vec<f32>>, Option<u64>);

impl Bedrock {
    /// Requests the vectors from the model, in as many calls as it needs. After a failed call, no
    /// further calls are made.
    pub async fn embed(
        &self,
        model: &str,
        request: &EmbeddingRequest,
    ) -> Result<ProvidedVectors, Unanswered> {
        let not_sent = |failure| Unanswered { failure, worked: None };
        let Some(maker) = Maker::of(model) else {
            return Err(not_sent(Failure::failed("this model has no known embeddings")));
        };
        let EmbeddingInput::Texts(texts) = &request.input else {
            return Err(not_sent(Failure::Refused(Refusal::TokenIds)));
        };
        if request.dimensions.is_some() && !maker.takes_dimensions(model) {
            return Err(not_sent(Failure::Refused(Refusal::Field("dimensions"))));
        }
        let each = if maker == Maker::Cohere { TEXTS } else { 1 };
        let mut all = ProvidedVectors { tokens: Some(0), ..ProvidedVectors::default() };
        // Bedrock bills each call, whether or not another one fails.
        let mut billed = Vec::new();
        for some in texts.chunks(each * CALLS_AT_ONCE) {
            let calls =
                some.chunks(each).map(|texts| self.embed_some(model, maker, request, texts));
            let mut failed = None;
            for (texts, part) in some.chunks(each).zip(join_all(calls).await) {
                match part {
                    Ok((vectors, tokens)) => {
                        billed.extend_from_slice(texts);
                        all.vectors.extend(vectors);
                        all.tokens = all.tokens.zip(tokens).map(|(sum, tokens)| sum + tokens);
                    }
                    Err(failure) => {
                        if failure.may_have_worked() {
                            billed.extend_from_slice(texts);
                            all.tokens = None;
                        }
                        failed.get_or_insert(failure);
                    }
                }
            }
            if let Some(failure) = failed {
                let billed = Some(billed).filter(|texts| !texts.is_empty());
                let usage = |texts| EmbeddingInput::Texts(texts).usage(all.tokens);
                return Err(Unanswered { failure, worked: billed.map(usage) });
            }
        }
        Ok(all)
    }

    /// Requests the vectors of the texts in one call.
    async fn embed_some(
        &self,
        model: &str,
        maker: Maker,
        request: &EmbeddingRequest,
        texts: &[String],
    ) -> Result<Part, Failure> {
        let json = match (maker, texts) {
            (Maker::Amazon, [input_text, ..]) => {
                serde_json::to_vec(&TitanRequest { input_text, dimensions: request.dimensions })
            }
            _ => serde_json::to_vec(&CohereRequest {
                texts,
                input_type: "search_document",
                truncate: "NONE",
                output_dimension: request.dimensions,
            }),
        };
        let json = json.map_err(|error| Failure::failed(error.to_string()))?;
        let call = self.client.invoke_model().model_id(model).body(Blob::new(json));
        let reply = call.content_type("application/json").accept("application/json").send().await;
        let reply = reply.map_err(|error| {
            failure_by(&error, wait_of(&error), |words| {
                let reason = Reason { words, ..Reason::default() };
                refused(&reason, request, "ValidationException")
            })
        })?;
        let reply = reply.body.as_ref();
        let unreadable = |_| Failure::Empty("unreadable vectors");
        match maker {
            Maker::Amazon => {
                let TitanReply { embedding, input_text_token_count } =
                    serde_json::from_slice(reply).map_err(unreadable)?;
                let tokens = input_text_token_count.and_then(|count| Json::from(&*count).count());
                Ok((vec![embedding], tokens))
            }
            Maker::Cohere => {
                let CohereReply { embeddings: CohereVectors(vectors) } =
                    serde_json::from_slice(reply).map_err(unreadable)?;
                Ok((vectors, None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_maker() {
        for (model, maker, takes_dimensions) in [
            ("amazon.titan-embed-text-v2:0", Some(Maker::Amazon), true),
            ("amazon.titan-embed-text-v1", Some(Maker::Amazon), false),
            ("cohere.embed-english-v3", Some(Maker::Cohere), false),
            ("us.cohere.embed-v4:0", Some(Maker::Cohere), true),
            (
                "arn:aws:bedrock:eu-central-1::foundation-model/cohere.embed-english-v3",
                Some(Maker::Cohere),
                false,
            ),
            ("amazon.nova-lite-v1:0", None, false),
            ("cohere.command-r-v1:0", None, false),
        ] {
            let found = Maker::of(model);
            assert!(found == maker, "{model}");
            let takes = found.is_some_and(|maker| maker.takes_dimensions(model));
            assert_eq!(takes, takes_dimensions, "{model}");
        }
    }

    #[test]
    fn cohere_sends_a_list_or_a_list_for_each_type() {
        for reply in [
            r#"{"embeddings": [[1, 2.5]], "response_type": "embeddings_floats"}"#,
            r#"{"embeddings": {"int8": [[1]], "float": [[1, 2.5]]}}"#,
        ] {
            let CohereReply { embeddings } = serde_json::from_str(reply).unwrap();
            assert_eq!(embeddings.0, [[1.0, 2.5]], "{reply}");
        }
    }
}
