//! Vectors from servers that implement OpenAI's embeddings
//! ([reference](https://platform.openai.com/docs/api-reference/embeddings/create)).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Buf;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::ai::Failure;
use crate::ai::answer_builder::Unanswered;
use crate::ai::embeddings::{
    EmbeddingInput, EmbeddingRequest, MOST_DIMENSIONS, ProvidedVectors, refused, unanswered,
};
use crate::ai::failure::Reason;
use crate::ai::json::{Json, is_blank};
use crate::ai::openai::{Host, OpenAi};
use crate::ai::server::refusal::reason_in_error;

/// The maximum number of bytes in a server's reply for each dimension of a vector. JSON numbers
/// have at most 24 characters, and a separator follows each.
const OF_NUMBER: usize = 26;

/// The maximum number of bytes in a reply for each vector, in addition to its numbers.
const AROUND_VECTOR: usize = 1024;

/// A request's body.
#[derive(Serialize)]
struct Body<'r> {
    model: &'r str,
    input: &'r EmbeddingInput,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    /// Base64 makes OpenAI's replies a quarter as long. A server that lacks the field replies with
    /// lists of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
}

/// A server's reply.
#[derive(serde::Deserialize)]
struct Reply {
    data: Vec<Item>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(serde::Deserialize)]
struct Item {
    /// The position of the text in the request. Some servers leave it out.
    #[serde(default)]
    index: Option<usize>,
    embedding: Vector,
}

#[derive(serde::Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
}

/// A vector, which servers send as numbers or as the base64 of its numbers' bytes.
struct Vector(Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Numbers)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Vector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, or base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vector, E> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("a part of a number"));
        }
        Ok(Vector(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vector, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element()? {
            if numbers.len() == MOST_DIMENSIONS {
                return Err(de::Error::custom("too many dimensions"));
            }
            numbers.push(number);
        }
        Ok(Vector(numbers))
    }
}

impl OpenAi {
    /// Requests the vectors from the server.
    pub async fn embed(
        &self,
        model: &str,
        request: &EmbeddingRequest,
    ) -> Result<ProvidedVectors, Unanswered> {
        let body = Body {
            model,
            input: &request.input,
            dimensions: request.dimensions,
            encoding_format: (self.host == Host::OpenAi).then_some("base64"),
        };
        let most = request.input.count() * (MOST_DIMENSIONS * OF_NUMBER + AROUND_VECTOR);
        let refused = |reason, cause: &str| refused(&reason, request, cause);
        let reply = self.server.fetch("/embeddings", &body, most, &refused).await;
        let reply = reply.map_err(|failure| unanswered(failure, request))?;
        // The server has computed the reply, even if it can't be read.
        vectors(reply.aggregate(), request.input.count()).ok_or_else(|| {
            let failure = Failure::Empty("unreadable vectors");
            unanswered(failure, request)
        })
    }
}

/// Reads a reply with `count` vectors. `None` if the reply has another form.
fn vectors(reply: impl Buf, count: usize) -> Option<ProvidedVectors> {
    let mut json = serde_json::Deserializer::from_reader(reply.reader());
    let Reply { data, model, usage } = Reply::deserialize(&mut json).ok()?;
    let mut vectors = vec![Vec::new(); count];
    for (place, Item { index, embedding: Vector(numbers) }) in data.into_iter().enumerate() {
        // Two vectors of one text leave the vector of another text empty, which is then refused.
        *vectors.get_mut(index.unwrap_or(place))? = numbers;
    }
    let tokens = usage.and_then(|usage| usage.prompt_tokens.or(usage.total_tokens));
    Some(ProvidedVectors { vectors, model: model.unwrap_or_default(), tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_base64_are_the_same_vectors() {
        let base64 = BASE64_STANDARD.encode([0.5_f32, -1.0].map(f32::to_le_bytes).concat());
        let reply = format!(
            r#"{{"object":"list","model":"m","data":[{{"index":1,"embedding":"{base64}"}},
            {{"index":0,"embedding":[0.5,-1]}}],"usage":{{"prompt_tokens":3,"total_tokens":3}}}}"#
        );
        let read = vectors(reply.as_bytes(), 2).unwrap();
        assert_eq!(read.vectors, [[0.5, -1.0], [0.5, -1.0]]);
        assert_eq!((read.model.as_str(), read.tokens), ("m", Some(3)));
    }

    #[test]
    fn unusable_replies_are_not_read() {
        for reply in [
            "",
            "{}",
            r#"{"data":[{"embedding":"AAA="}]}"#,
            r#"{"data":[{"embedding":["a"]}]}"#,
            r#"{"data":[{"index":1,"embedding":[1]}]}"#,
        ] {
            assert!(vectors(reply.as_bytes(), 1).is_none(), "{reply}");
        }
        let missing = vectors(r#"{"data":[]}"#.as_bytes(), 1).unwrap();
        assert_eq!(missing.vectors, [Vec::<f32>::new()]);
    }
}
