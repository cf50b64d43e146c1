//! The offline default: repeats the message, so that Farebox can be tried without a provider.

use crate::ai::{Failure, Prompt, Said};

/// `You said: <message>`, word by word.
pub fn answer(prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
    format!("You said: {}", prompt.last()).split_inclusive(' ').try_for_each(|word| said.say(word))
}
