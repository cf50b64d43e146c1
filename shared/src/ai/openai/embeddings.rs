//! Vectors from servers that implement OpenAI's embeddings
//! ([reference](https://platform.openai.com/docs/api-reference/embeddings/create)).
//!
//! Only the vectors must have the expected form. The model has already done its work, so no other
//! field makes a reply unreadable.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Buf;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

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

/// The size in bytes from which a reply is large: reading it takes tens of milliseconds.
const LARGE: usize = 1024 * 1024;

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

/// A server's reply. Only the vectors may be large, so the rest is kept as JSON.
#[derive(serde::Deserialize)]
struct Reply {
    #[serde(default)]
    data: Option<Vec<Item>>,
    #[serde(default)]
    model: Option<Box<RawValue>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

#[derive(serde::Deserialize)]
struct Item {
    /// The position of the text in the request. Gemini leaves out a zero, some servers leave out
    /// all positions.
    #[serde(default)]
    index: Option<Box<RawValue>>,
    embedding: Vector,
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
        let refused = |reason: Reason, cause: &str| refused(&reason, request, cause);
        let reply = self.server.fetch("/embeddings", &body, most, &refused).await;
        let read =
            async { vectors(read(reply?.aggregate()).await?, request.input.count(), refused) };
        read.await.map_err(|failure| unanswered(failure, request))
    }
}

/// Reads a reply. A large one is read on a thread for blocking work, because the async threads serve
/// all requests to this process.
///
/// # Errors
/// Returns [`Failure::Empty`] if the vectors can't be read, because the server has computed them.
/// Returns [`Failure::Failed`] if the reply isn't an object, but for example a web page.
async fn read(reply: impl Buf + Send + 'static) -> Result<Reply, Failure> {
    if reply.remaining() < LARGE {
        return parse(reply);
    }
    spawn_blocking(move || parse(reply)).await.map_err(|_| unreadable())?
}

fn parse(mut reply: impl Buf) -> Result<Reply, Failure> {
    while reply.chunk().first().is_some_and(|first| is_blank(*first)) {
        reply.advance(1);
    }
    if reply.chunk().first() != Some(&b'{') {
        return Err(no_vectors());
    }
    let mut json = serde_json::Deserializer::from_reader(reply.reader());
    Reply::deserialize(&mut json).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    Failure::Empty("unreadable vectors")
}

/// Returns the failure for a server that hasn't computed any vectors, so that its reply isn't free
/// work. A wrong address in the settings could otherwise block all users for a day.
fn no_vectors() -> Failure {
    Failure::failed("a reply without vectors")
}

/// Returns the `count` vectors of a reply.
///
/// # Errors
/// Returns [`Failure::Empty`] if the vectors aren't complete, and [`Failure::Failed`] if the reply
/// has no list of vectors. If the reply is an error, `refused` returns the failure for its reason.
fn vectors(
    reply: Reply,
    count: usize,
    refused: impl FnOnce(Reason, &str) -> Failure,
) -> Result<ProvidedVectors, Failure> {
    if let Some(error) = reply.error.as_deref().map(Json::from).filter(|error| !error.is_nothing())
    {
        return Err(reason_in_error(error).failure_of_reply(refused));
    }
    let (mut vectors, mut without_place) = (vec![Vec::new(); count], Vec::new());
    for Item { index, embedding: Vector(numbers) } in reply.data.ok_or_else(no_vectors)? {
        match index.as_deref().and_then(|index| Json::from(index).count()) {
            // Two vectors of one text leave the vector of another text empty, which is then refused.
            Some(place) => {
                let place = usize::try_from(place).ok().and_then(|place| vectors.get_mut(place));
                *place.ok_or_else(unreadable)? = numbers;
            }
            None => without_place.push(numbers),
        }
    }
    // The vectors without a position belong to the other texts, in the order of the texts.
    let mut others = vectors.iter_mut().filter(|vector| vector.is_empty());
    for numbers in without_place {
        *others.next().ok_or_else(unreadable)? = numbers;
    }
    let model = reply.model.and_then(|model| Json::from(&*model).text());
    let usage = reply.usage.as_deref().and_then(|usage| Json::from(usage).object());
    let count = |name: &str| usage.as_ref()?.get(name)?.count();
    let tokens = count("prompt_tokens").or_else(|| count("total_tokens"));
    Ok(ProvidedVectors { vectors, model: model.unwrap_or_default(), tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &str, count: usize) -> Result<ProvidedVectors, Failure> {
        vectors(parse(reply.as_bytes())?, count, |_, cause| Failure::Denied(cause.into()))
    }

    #[test]
    fn numbers_and_base64_are_the_same_vectors() {
        let base64 = BASE64_STANDARD.encode([0.5_f32, -1.0].map(f32::to_le_bytes).concat());
        let reply = format!(
            r#"{{"object":"list","model":"m","data":[{{"index":1,"embedding":"{base64}"}},
            {{"index":0,"embedding":[0.5,-1]}}],"usage":{{"prompt_tokens":3,"total_tokens":3}}}}"#
        );
        let read = read(&reply, 2).unwrap();
        assert_eq!(read.vectors, [[0.5, -1.0], [0.5, -1.0]]);
        assert_eq!((read.model.as_str(), read.tokens), ("m", Some(3)));
    }

    #[test]
    fn fields_beside_the_vectors_are_read_by_their_meaning() {
        for (fields, tokens) in [
            (r#""usage":{"prompt_tokens":7.0}"#, Some(7)),
            (r#""usage":{"prompt_tokens":1e3}"#, Some(1000)),
            (r#""usage":{"prompt_tokens":"7"}"#, Some(7)),
            (r#""usage":{"prompt_tokens":null,"total_tokens":7}"#, Some(7)),
            (r#""usage":{"prompt_tokens":-1,"total_tokens":7}"#, Some(7)),
            (r#""usage":{"prompt_tokens":-1}"#, None),
            (r#""usage":{"prompt_tokens":1e308}"#, None),
            (r#""usage":{"prompt_tokens":true}"#, None),
            (r#""usage":{"prompt_tokens":[7]}"#, None),
            (r#""usage":"""#, None),
            (r#""usage":[7]"#, None),
            (r#""usage":null"#, None),
            (r#""model":7"#, None),
            (r#""model":{"id":"m"}"#, None),
            (r#""error":null"#, None),
            (r#""error":{}"#, None),
        ] {
            let reply = format!("\u{feff}\n{{\"data\":[{{\"embedding\":[1]}}],{fields}}}");
            let read = read(&reply, 1).unwrap();
            assert_eq!((read.vectors, read.tokens), (vec![vec![1.0]], tokens), "{fields}");
        }
    }

    #[test]
    fn positions_are_read_by_their_meaning() {
        let read = |first: &str, second: &str| {
            let reply =
                format!(r#"{{"data":[{{{first}"embedding":[1]}},{{{second}"embedding":[2]}}]}}"#);
            read(&reply, 2).map(|read| read.vectors.concat())
        };
        for (first, second, vectors) in [
            (r#""index":1,"#, r#""index":0,"#, [2.0, 1.0]),
            (r#""index":1.0,"#, r#""index":"0","#, [2.0, 1.0]),
            (r#""index":1,"#, "", [2.0, 1.0]),
            ("", r#""index":0,"#, [2.0, 1.0]),
            ("", "", [1.0, 2.0]),
            (r#""index":null,"#, r#""index":null,"#, [1.0, 2.0]),
            (r#""index":"a","#, r#""index":[],"#, [1.0, 2.0]),
        ] {
            assert_eq!(read(first, second), Ok(vectors.to_vec()), "{first} {second}");
        }
        let unreadable = Err(Failure::Empty("unreadable vectors"));
        assert_eq!(read(r#""index":2,"#, r#""index":1,"#), unreadable);
        assert_eq!(read(r#""index":1,"#, r#""index":1,"#), Ok(vec![2.0]), "one is missing");
    }

    #[tokio::test]
    async fn large_replies_are_read_like_small_ones() {
        let item = format!("{{\"embedding\":[{}]}}", vec!["0.25"; 1024].join(","));
        let reply = format!("{{\"data\":[{}]}}", vec![item; 400].join(","));
        assert!(reply.len() > LARGE);
        let reply = super::read(bytes::Bytes::from(reply)).await.unwrap();
        let read = vectors(reply, 400, |_, cause| Failure::failed(cause)).unwrap();
        assert_eq!(read.vectors, vec![vec![0.25; 1024]; 400]);
    }

    #[test]
    fn errors_with_status_200_are_refusals() {
        for (error, failure) in [
            (r#"{"message":"No."}"#, Failure::failed("an error in the reply")),
            (r#"{"message":"No.","code":429}"#, Failure::Overloaded(None)),
            (r#"{"message":"No.","type":"rate_limit_error"}"#, Failure::Overloaded(None)),
            (r#"{"message":"No.","code":"insufficient_quota"}"#, Failure::Unfunded),
            (r#""No.""#, Failure::failed("an error in the reply")),
        ] {
            let reply = format!(r#"{{"error":{error}}}"#);
            assert_eq!(read(&reply, 1).unwrap_err(), failure, "{error}");
        }
    }

    #[test]
    fn unusable_vectors_are_not_read() {
        for reply in [
            r#"{"data":[{"embedding":[0.5"#,
            r#"{"data":[{"embedding":"AAA="}]}"#,
            r#"{"data":[{"embedding":["a"]}]}"#,
            r#"{"data":[{"index":1,"embedding":[1]}]}"#,
        ] {
            let unreadable = Failure::Empty("unreadable vectors");
            assert_eq!(read(reply, 1).unwrap_err(), unreadable, "{reply}");
        }
        let missing = read(r#"{"data":[]}"#, 1).unwrap();
        assert_eq!(missing.vectors, [Vec::<f32>::new()]);
    }

    #[test]
    fn a_reply_without_vectors_is_not_free_work() {
        for reply in ["", "<html></html>", "[]", "{}", r#"{"data":null}"#, r#"{"detail":"No."}"#] {
            let failure = read(reply, 1).unwrap_err();
            assert_eq!(failure, no_vectors(), "{reply}");
            assert!(!failure.may_have_worked());
        }
    }
}
