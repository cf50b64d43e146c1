//! The one seam to the outside world: a message goes in, an answer comes out, or a failure does.

mod echo;
mod scripted;

#[cfg(feature = "seeded-bugs")]
pub use scripted::asked;

use std::time::Duration;

use crate::config::{AiProvider, Config};
use crate::{Error, Result};

/// Who answers messages.
#[derive(Clone, Copy, Debug)]
pub struct Ai {
    provider: AiProvider,
    answer_limit: usize,
}

/// An answer, cut to the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the AI said.
    pub text: String,
    /// The model that said it.
    pub model: &'static str,
}

impl Ai {
    /// The provider that the settings name.
    pub fn new(config: &Config) -> Self {
        Self { provider: config.ai_provider, answer_limit: config.answer_limit }
    }

    /// Asks for an answer to `message`, and waits for it at most `patience`.
    ///
    /// # Errors
    /// [`Error::AiFailed`] where the provider fails, says nothing or is too slow.
    pub async fn answer(&self, message: &str, patience: Duration) -> Result<Answer> {
        let asked = async {
            match self.provider {
                AiProvider::Echo => Ok::<_, Error>(Answer { text: echo::answer(message), model: "echo" }),
                AiProvider::Scripted => Ok(Answer { text: scripted::answer(message).await?, model: "scripted" }),
            }
        };
        let mut answer = tokio::time::timeout(patience, asked).await.map_err(|_| Error::AiFailed)??;
        if answer.text.trim().is_empty() {
            return Err(Error::AiFailed);
        }
        answer.text.truncate(answer.text.floor_char_boundary(self.answer_limit));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripted() -> Ai {
        Ai { provider: AiProvider::Scripted, answer_limit: 1001 }
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_cut_between_two_characters() {
        let answer = scripted().answer("!long", Duration::from_secs(1)).await.unwrap();
        assert_eq!(answer.text.len(), 1000, "the emoji of the answer have four bytes");
    }

    #[tokio::test]
    async fn a_provider_that_fails_hangs_or_says_nothing_has_failed() {
        for message in ["!fail", "!hang", "!empty"] {
            assert_eq!(scripted().answer(message, Duration::from_millis(20)).await, Err(Error::AiFailed), "{message}");
        }
    }
}
