//! Replies to `POST /v1/embeddings`
//! ([reference](https://platform.openai.com/docs/api-reference/embeddings/object)).

use serde::{Serialize, Serializer};
use shared::Result;
use shared::ai::{Embeddings, vector_in_base64};
use shared::charge::PaidEmbeddings;
use shared::http::{self, Body, Pieces, Response};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, Object, OneOf, Schema, SchemaType, Type};

use super::request::Encoding;

/// The size, in bytes, at which a part of the reply is sent.
const PIECE: usize = 64 * 1024;

/// The vectors, in the order of the texts.
// Describes the reply, which is written piece by piece.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(super) struct EmbeddingList {
    /// Always `list`.
    #[schema(pattern = "^list$", examples("list"))]
    object: &'static str,
    /// A vector for each text.
    data: Vec<Embedding>,
    /// The model.
    #[schema(examples("echo"))]
    model: String,
    /// The model's token counts.
    usage: EmbeddingUsage,
}

/// A text's vector.
#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddedText)]
struct Embedding {
    /// Always `embedding`.
    #[schema(pattern = "^embedding$", examples("embedding"))]
    object: &'static str,
    /// The text's position in the request.
    #[schema(examples(0))]
    index: usize,
    /// The vector.
    #[schema(schema_with = vector)]
    embedding: Vector,
}

/// The model's token counts.
#[derive(Serialize, ToSchema)]
struct EmbeddingUsage {
    /// The number of tokens in the texts.
    #[schema(examples(5))]
    prompt_tokens: u32,
    /// The same number.
    #[schema(examples(5))]
    total_tokens: u32,
}

/// A vector in the form that the request asks for.
struct Vector {
    numbers: Vec<f32>,
    encoding: Encoding,
}

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        match self.encoding {
            Encoding::Float => self.numbers.serialize(json),
            Encoding::Base64 => json.serialize_str(&vector_in_base64(&self.numbers)),
        }
    }
}

/// Returns the schema of a vector: numbers, or base64.
fn vector() -> Schema {
    let number = Object::with_type(SchemaType::new(Type::Number));
    let base64 = Object::with_type(SchemaType::new(Type::String));
    Schema::OneOf(OneOf::builder().item(Array::new(number)).item(base64).build())
}

/// Returns a reply that is written while the client reads it. Each vector is freed when it is
/// written.
pub(super) fn write(paid: PaidEmbeddings, encoding: Encoding) -> Response<Body> {
    http::written(move |pieces| send(paid, encoding, pieces))
}

async fn send(paid: PaidEmbeddings, encoding: Encoding, pieces: Pieces) -> Result<()> {
    let PaidEmbeddings { embeddings: Embeddings { vectors, usage, .. }, model, .. } = paid;
    let mut json = String::from(r#"{"object":"list","data":["#);
    for (index, numbers) in vectors.into_iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        let embedding = Vector { numbers, encoding };
        json.push_str(&http::to_json(&Embedding { object: "embedding", index, embedding })?);
        if json.len() >= PIECE {
            pieces.send(std::mem::take(&mut json)).await?;
        }
    }
    let tokens = usage.prompt_tokens;
    let usage = EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens };
    let (model, usage) = (http::to_json(&model)?, http::to_json(&usage)?);
    json.push_str(&format!(r#"],"model":{model},"usage":{usage}}}"#));
    pieces.send(json).await
}
