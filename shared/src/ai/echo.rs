//! The default provider. It works offline and repeats the message, so that Farebox can be tried
//! without an AI.

use crate::ai::{AnswerBuilder, Failure, Prompt};

/// Answers `You said: <message>`, word by word.
pub fn answer(prompt: &Prompt, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    format!("You said: {}", prompt.last())
        .split_inclusive(' ')
        .try_for_each(|word| builder.push_text(word))
}
