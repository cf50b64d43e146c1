//! Embeddings: vectors that represent the meaning of texts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::ai::answer_builder::Unanswered;
use crate::ai::failure::{Failure, Reason, Refusal};
use crate::values::text::bound;
use crate::values::{Estimates, Final, ReportedUsage, TokenEstimate, Usage};

/// The maximum number of dimensions of a vector.
pub const MOST_DIMENSIONS: usize = 4096;

/// The maximum number of model tokens that a server adds to a text, such as the markers of its
/// beginning and end.
const OF_TEXT: usize = 16;

/// The size of a token's id, in bytes.
const OF_ID: usize = 4;

/// The texts whose vectors a client requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EmbeddingInput {
    /// Texts.
    Texts(Vec<String>),
    /// Texts that the client has already split into tokens. Each token is given by its id.
    Tokens(Vec<Vec<u32>>),
}

impl EmbeddingInput {
    /// Returns the number of texts.
    pub fn count(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
        }
    }

    /// Returns the size in bytes. A token's id counts as four bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.iter().map(String::len).sum(),
            Self::Tokens(_) => self.ids() * OF_ID,
        }
    }

    /// Returns an upper bound on the number of model tokens.
    pub fn bound(&self) -> u64 {
        let given = match self {
            Self::Texts(texts) => texts.iter().map(|text| bound(text)).sum(),
            Self::Tokens(_) => self.ids(),
        };
        u64::try_from(given + self.count() * OF_TEXT).unwrap_or(u64::MAX)
    }

    /// Returns the number of token ids. 0 for texts.
    fn ids(&self) -> usize {
        match self {
            Self::Texts(_) => 0,
            Self::Tokens(lists) => lists.iter().map(Vec::len).sum(),
        }
    }

    /// Returns the usage: the number of model tokens, or an estimate if the provider doesn't count
    /// them.
    pub(super) fn usage(&self, tokens: Option<u64>) -> Usage {
        let estimate = match self {
            Self::Texts(texts) => texts.iter().map(|text| TokenEstimate::of(text)).sum(),
            Self::Tokens(_) => self.ids(),
        };
        // A zero is replaced by the estimate, which is positive, because no text is empty. There is
        // no answer, so its count is known.
        let reported =
            ReportedUsage { prompt: tokens, completion: Some(0), ..ReportedUsage::default() };
        reported.usage(Estimates::new(estimate.max(1), 0), Final::Yes)
    }
}

/// A request for vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The texts. There is at least one, and none is empty.
    pub input: EmbeddingInput,
    /// The number of dimensions of each vector. `None` for the model's default.
    pub dimensions: Option<u32>,
}

/// The vectors of all texts in a request, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// The provider's name for the model.
    pub model: String,
    /// The model token counts.
    pub usage: Usage,
}

/// Returns the base64 of a vector's numbers, each in four bytes, the lowest first.
pub fn vector_in_base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// A provider's reply.
#[derive(Debug, Default)]
pub(super) struct ProvidedVectors {
    pub(super) vectors: Vec<Vec<f32>>,
    /// The provider's name for the model. Empty if the reply doesn't contain it.
    pub(super) model: String,
    /// The number of model tokens, if the provider counts them.
    pub(super) tokens: Option<u64>,
}

/// Returns the failure. If the provider may have worked, adds an estimate for the whole request.
pub(super) fn unanswered(failure: Failure, request: &EmbeddingRequest) -> Unanswered {
    let worked = failure.may_have_worked().then(|| request.input.usage(None));
    Unanswered { failure, worked }
}

/// Returns the failure for a provider that refuses a request for this reason. `cause` is the HTTP
/// status or the error code.
pub(super) fn refused(reason: &Reason, request: &EmbeddingRequest, cause: &str) -> Failure {
    let words = reason.words.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let names_input = reason.param.starts_with("input") || has(&["input"]);
    let too_long = ["too many input tokens", "must have less than", "too large to process"];
    if reason.is_unfunded() {
        return Failure::Unfunded;
    }
    // "batch size 100 > maximum allowed batch size 32"
    if has(&["maximum allowed batch size"]) {
        return Failure::Refused(Refusal::TooManyTexts);
    }
    if Refusal::is_too_long(&words) || has(&too_long) || has(&["expected maxlength"]) {
        return Failure::Refused(Refusal::TextTooLong);
    }
    if request.dimensions.is_some() && has(&["dimension", "matryoshka"]) {
        return Failure::Refused(Refusal::Field("dimensions"));
    }
    match request.input {
        EmbeddingInput::Tokens(_) if names_input || has(&["token"]) => {
            Failure::Refused(Refusal::TokenIds)
        }
        _ if reason.param.starts_with("input") => Failure::Refused(Refusal::Field("input")),
        _ if reason.says_unfunded() => Failure::Unfunded,
        _ => Failure::Denied(cause.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(input: EmbeddingInput) -> EmbeddingRequest {
        EmbeddingRequest { input, dimensions: Some(8) }
    }

    #[test]
    fn bounds_count_bytes_or_ids_and_markers() {
        let texts = EmbeddingInput::Texts(vec!["ab".into(), "\u{fdfa}".into()]);
        assert_eq!((texts.size(), texts.bound()), (5, 2 + 33 + 2 * 16));
        let tokens = EmbeddingInput::Tokens(vec![vec![1, 2, 3], vec![4]]);
        assert_eq!((tokens.size(), tokens.bound()), (16, 4 + 2 * 16));
        assert_eq!(tokens.usage(None).prompt_tokens, 4);
        assert_eq!(tokens.usage(Some(0)).prompt_tokens, 4, "a zero is replaced");
        assert!(!tokens.usage(Some(5)).estimated && tokens.usage(None).estimated);
    }

    #[test]
    fn refused_embeddings_are_recognized_by_their_wording() {
        let texts = || EmbeddingInput::Texts(vec!["a".into()]);
        let ids = || EmbeddingInput::Tokens(vec![vec![1]]);
        for (words, input, refusal) in [
            (
                "This model's maximum context length is 8192 tokens",
                texts(),
                Some(Refusal::TextTooLong),
            ),
            ("the input length exceeds the context length", texts(), Some(Refusal::TextTooLong)),
            (
                "`inputs` must have less than 512 tokens. Given: 600",
                ids(),
                Some(Refusal::TextTooLong),
            ),
            ("Too many input tokens. Max input tokens: 8192", texts(), Some(Refusal::TextTooLong)),
            (
                "#/texts/0: expected maxLength: 2048, actual: 5086",
                texts(),
                Some(Refusal::TextTooLong),
            ),
            (
                "batch size 100 > maximum allowed batch size 32",
                texts(),
                Some(Refusal::TooManyTexts),
            ),
            (
                "input (600 tokens) is too large to process. increase the physical batch size",
                texts(),
                Some(Refusal::TextTooLong),
            ),
            (
                "This model does not support specifying dimensions.",
                texts(),
                Some(Refusal::Field("dimensions")),
            ),
            ("invalid input type", ids(), Some(Refusal::TokenIds)),
            ("invalid input type", texts(), None),
            ("", ids(), None),
        ] {
            let reason = Reason { words: words.into(), ..Reason::default() };
            let failure = refused(&reason, &request(input), "status 400");
            let expected = refusal.map(Failure::Refused);
            let expected = expected.unwrap_or_else(|| Failure::Denied("status 400".into()));
            assert_eq!(failure, expected, "{words}");
        }
    }
}
