//! The strings that users write for the AI.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{BLANK, text};
use crate::values::{INSTRUCTIONS_LENGTH, Instructions, Message};

// The `openapi` function adds the maximum length, because it is a setting.
text!(Message, {
    let pattern = format!(r"^[^\x00]*[^\x00{BLANK}][^\x00]*$");
    text(
        "A message for the AI. It must not be only white space or contain NUL characters.",
        "Hello!",
    )
    .min_length(Some(1))
    .pattern(Some(pattern))
});

/// The id of a message's parent, `start`, or an empty string.
#[derive(Debug)]
pub struct AfterOrNone;

text!(AfterOrNone, {
    let pattern = "^(start|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$";
    text(
        "The id of a message, or `start` to begin the conversation again. An empty text counts as a missing field.",
        "01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342",
    )
    .pattern(Some(pattern))
});

text!(Instructions, {
    let about = format!(
        "A user's instructions for the AI, such as how to answer: at most {INSTRUCTIONS_LENGTH} \
         bytes, without control characters except tabs and line breaks. An empty text removes them."
    );
    text(&about, "Answer in one sentence.")
        .max_length(Some(INSTRUCTIONS_LENGTH))
        .pattern(Some(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"))
});
