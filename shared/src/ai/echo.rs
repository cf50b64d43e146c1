//! The offline default: repeats the message, so that Farebox can be tried without a provider.

use crate::ai::{AnswerBuilder, Failure, Prompt};

/// `You said: <message>`, word by word.
pub fn answer(prompt: &Prompt, builder: &mut AnswerBuilder<'_>) -> Result<(), Failure> {
    format!("You said: {}", prompt.last())
        .split_inclusive(' ')
        .try_for_each(|word| builder.push_text(word))
}
