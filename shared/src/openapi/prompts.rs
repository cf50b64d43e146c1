//! What users write to the AI.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{BLANK, text};
use crate::chat::Message;
use crate::user::{INSTRUCTIONS_LENGTH, Instructions};

// The maximum length is a setting: the function `openapi` adds it.
text!(Message, {
    let pattern = format!(r"^[^\x00]*[^\x00{BLANK}][^\x00]*$");
    text("A message for the AI: not only white space, and no NUL.", "Hello!")
        .min_length(Some(1))
        .pattern(Some(pattern))
});

text!(Instructions, {
    let about = format!(
        "A user's instructions for the AI, such as how to answer: at most {INSTRUCTIONS_LENGTH} bytes, without control characters but tabs and line breaks. An empty text is none."
    );
    text(&about, "Answer in one sentence.")
        .max_length(Some(INSTRUCTIONS_LENGTH))
        .pattern(Some(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"))
});
