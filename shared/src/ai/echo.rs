//! The default provider. It works offline and repeats the message, so that Farebox can be tried
//! without an AI.

use aws_lc_rs::digest::{Context, SHA256};

use crate::ai::embeddings::{EmbeddingRequest, ProvidedVectors};
use crate::ai::{AnswerBuilder, EmbeddingInput, Failure, Prompt};

/// The number of dimensions of a vector, unless the request chooses another one.
const DIMENSIONS: u32 = 256;

/// Answers `You said: <message>`, word by word.
pub fn answer(prompt: &Prompt, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    format!("You said: {}", prompt.last())
        .split_inclusive(' ')
        .try_for_each(|word| builder.push_text(word))
}

/// Returns a vector of length 1 for each text. It consists of numbers from the text's hash, so equal
/// texts have equal vectors, and the vectors of different texts have nothing in common.
pub fn embed(request: &EmbeddingRequest) -> ProvidedVectors {
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS);
    let vectors = match &request.input {
        EmbeddingInput::Texts(texts) => {
            texts.iter().map(|text| vector(text.as_bytes(), dimensions)).collect()
        }
        EmbeddingInput::Tokens(lists) => {
            let bytes = |ids: &Vec<u32>| ids.iter().copied().flat_map(u32::to_le_bytes).collect();
            let texts = lists.iter().map(bytes);
            texts.map(|text: Vec<u8>| vector(&text, dimensions)).collect()
        }
    };
    ProvidedVectors { vectors, ..ProvidedVectors::default() }
}

fn vector(text: &[u8], dimensions: u32) -> Vec<f32> {
    // A hash has eight numbers.
    let numbers = (0..dimensions.div_ceil(8)).flat_map(|block| {
        let mut hash = Context::new(&SHA256);
        hash.update(&block.to_le_bytes());
        hash.update(text);
        let hash = hash.finish();
        let (quads, _) = hash.as_ref().as_chunks::<4>();
        let number = |[low, high, ..]: &[u8; 4]| f32::from(i16::from_le_bytes([*low, *high]));
        quads.iter().map(number).collect::<Vec<f32>>()
    });
    let count = usize::try_from(dimensions).unwrap_or(0);
    let mut vector: Vec<f32> = numbers.take(count).collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|number| *number /= length.max(1.0));
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_vectors_of_length_one() {
        for dimensions in [1, 8, 9, 4096] {
            let [one, same, other] = [b"hi", b"hi", b"ho"].map(|text| vector(text, dimensions));
            assert_eq!((one.len(), &one), (dimensions as usize, &same));
            assert!((one.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-3);
            assert!(dimensions < 8 || one != other);
        }
    }
}
