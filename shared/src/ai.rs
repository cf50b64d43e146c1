//! The one seam to the outside world: a conversation goes in, an answer comes out, whole or piece
//! by piece, or a failure does.
//!
//! Providers are asked in the order of the settings, until one answers. Once somebody has heard a
//! piece of an answer no other one is asked.

mod bedrock;
mod echo;
mod openai;
mod said;
mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{AiConfig, AiProvider, ConfigError};
use crate::{Error, Result};

pub use self::said::{Listener, Piece};

use self::bedrock::Bedrock;
use self::openai::OpenAi;
use self::said::Said;

/// Who answers messages. Cloning it is cheap.
#[derive(Clone)]
pub struct Ai {
    providers: Arc<[Provider]>,
    /// The settings.
    pub config: Arc<AiConfig>,
}

struct Provider {
    name: String,
    model: String,
    wire: Wire,
}

/// The way to a provider.
enum Wire {
    Echo,
    Scripted,
    OpenAi(Box<OpenAi>),
    Bedrock(Bedrock),
}

/// Who says something in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// What the AI is told about how to answer.
    System,
    /// Who asks.
    User,
    /// The AI.
    Assistant,
}

/// What one of them says, as chat completions write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who says it.
    pub role: Speaker,
    /// What is said.
    pub content: String,
}

/// What an AI is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The conversation so far; the last turn is what is to be answered.
    pub turns: Vec<Turn>,
    /// How freely the AI is to choose its words, where it isn't what the settings say.
    pub temperature: Option<f64>,
    /// From how many of the likeliest words the AI is to choose: those that make up this part of
    /// all likelihood.
    pub top_p: Option<f64>,
    /// How many of the model's tokens the answer may have, where that is less than the settings
    /// say.
    pub max_tokens: Option<u32>,
    /// Before which words the answer is to end.
    pub stop: Vec<String>,
    /// Whether an answer that is finished and empty is an answer. Set where the caller chooses
    /// what ends it: a refund would be theirs for the asking.
    pub empty_is_an_answer: bool,
}

impl Prompt {
    /// A message after what was said before.
    pub fn after(mut turns: Vec<Turn>, message: &str) -> Self {
        turns.push(Turn { role: Speaker::User, content: message.to_owned() });
        Self { turns, ..Self::default() }
    }

    /// What is to be answered.
    fn last(&self) -> &str {
        self.turns.last().map_or("", |turn| &turn.content)
    }
}

/// How many of the model's tokens were read and written, as the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the conversation.
    pub prompt_tokens: u32,
    /// Of the answer.
    pub completion_tokens: u32,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the AI said.
    pub text: String,
    /// The model that said it.
    pub model: String,
    /// Why it ends before its end, where it does.
    pub cut: Option<Cut>,
    /// What the provider counted.
    pub usage: Option<Usage>,
}

/// Why an answer ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// It has reached the most that it may have, or the time is over.
    Length,
    /// The provider's filter.
    ContentFilter,
}

/// Why a provider has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// It refused, or its answer can't be read, ended too soon, or was none.
    Failed(String),
    /// It has too much to do.
    Overloaded,
    /// It was too slow.
    TimedOut,
    /// It has said all that may be heard, for this reason.
    Cut(Cut),
}

impl Failure {
    fn failed(cause: impl Into<String>) -> Self {
        Self::Failed(cause.into())
    }

    fn cause(&self) -> &str {
        match self {
            Self::Failed(cause) => cause,
            Self::Overloaded => "overloaded",
            Self::TimedOut => "too slow",
            Self::Cut(Cut::Length) => "the answer is over the limit",
            Self::Cut(Cut::ContentFilter) => "refused by the provider's filter",
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(_) | Failure::Cut(_) => Self::AiFailed,
            Failure::Overloaded => Self::AiOverloaded,
            Failure::TimedOut => Self::AiTimedOut,
        }
    }
}

impl Ai {
    /// The providers that the settings name. Reads their keys, where those are kept elsewhere.
    ///
    /// # Errors
    /// Where a key can't be read, or an address isn't one.
    pub async fn connect(config: AiConfig) -> Result<Self, ConfigError> {
        let mut providers = Vec::new();
        for provider in &config.providers {
            let wire = match provider {
                AiProvider::Echo => Wire::Echo,
                AiProvider::Scripted => Wire::Scripted,
                AiProvider::OpenAi(server) => {
                    Wire::OpenAi(Box::new(OpenAi::connect(server).await?))
                }
                AiProvider::Bedrock { model, endpoint } => {
                    Wire::Bedrock(Bedrock::connect(model, endpoint.as_deref()).await?)
                }
            };
            providers.push(Provider {
                name: provider.name().to_owned(),
                model: provider.model().to_owned(),
                wire,
            });
        }
        Ok(Self { providers: providers.into(), config: Arc::new(config) })
    }

    /// Asks for an answer, and waits for it at most `patience`, of which each provider has an equal
    /// share until it begins to answer. A listener is told each piece as it comes; what it has
    /// heard when the time or the room is over is the answer, [cut](Cut).
    ///
    /// # Errors
    /// [`Error::AiFailed`], [`Error::AiOverloaded`] and [`Error::AiTimedOut`]: that of the last provider that was asked.
    pub async fn answer(
        &self,
        mut prompt: Prompt,
        patience: Duration,
        listener: Option<&Listener>,
    ) -> Result<Answer> {
        if let Some(content) = self.config.system_prompt.clone() {
            prompt.turns.insert(0, Turn { role: Speaker::System, content });
        }
        // Some models refuse to be told both.
        prompt.temperature =
            prompt.temperature.or(self.config.temperature.filter(|_| prompt.top_p.is_none()));
        prompt.max_tokens = Some(prompt.max_tokens.unwrap_or(u32::MAX).min(self.config.max_tokens));

        let until = Instant::now() + patience;
        let mut waiting = u32::try_from(self.providers.len()).unwrap_or(u32::MAX);
        let mut last = Failure::TimedOut;
        for provider in self.providers.iter() {
            let share = until.saturating_duration_since(Instant::now()) / waiting.max(1);
            waiting = waiting.saturating_sub(1);
            let (outcome, heard) = self.ask(provider, &prompt, share, until, listener).await;
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    tracing::warn!(
                        provider = provider.name,
                        cause = failure.cause(),
                        "the AI has not answered"
                    );
                    last = failure;
                }
            }
            if heard {
                break;
            }
        }
        Err(last.into())
    }

    /// What a provider answers, and whether anything of it was heard.
    async fn ask(
        &self,
        provider: &Provider,
        prompt: &Prompt,
        share: Duration,
        until: Instant,
        listener: Option<&Listener>,
    ) -> (Result<Answer, Failure>, bool) {
        let heard = AtomicBool::new(false);
        let mut said = Said::new(&provider.model, self.config.answer_limit, listener, &heard);
        let outcome = {
            let mut answering = std::pin::pin!(provider.answer(prompt, &mut said));
            match timeout(share, &mut answering).await {
                Ok(outcome) => outcome,
                Err(_) if heard.load(Ordering::Relaxed) => {
                    timeout_at(until, answering).await.unwrap_or(Err(Failure::Cut(Cut::Length)))
                }
                Err(_) => Err(Failure::TimedOut),
            }
        };
        (said.answer(outcome, prompt), heard.into_inner())
    }
}

impl Provider {
    async fn answer(&self, prompt: &Prompt, said: &mut Said<'_>) -> Result<(), Failure> {
        match &self.wire {
            Wire::Echo => echo::answer(prompt, said),
            Wire::Scripted => scripted::answer(prompt, said).await,
            // Large ones, which every future around them would have to have room for.
            Wire::OpenAi(server) => Box::pin(server.answer(prompt, said)).await,
            Wire::Bedrock(bedrock) => Box::pin(bedrock.answer(prompt, said)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::config::Settings;

    async fn ai(providers: &'static str) -> Ai {
        let settings = Settings::new(|name| match name {
            "AI_PROVIDER" => Some(providers.to_owned()),
            "AI_SYSTEM_PROMPT" => Some("Be kind.".to_owned()),
            "ANSWER_LIMIT" => Some("1000".to_owned()),
            _ => None,
        });
        Ai::connect(AiConfig::read(&settings).unwrap()).await.unwrap()
    }

    async fn answer(providers: &'static str, message: &str) -> Result<Answer> {
        ai(providers)
            .await
            .answer(Prompt::after(vec![], message), Duration::from_millis(60), None)
            .await
    }

    #[tokio::test]
    async fn a_provider_that_fails_hangs_says_nothing_or_too_much_has_failed() {
        for (message, error) in [
            ("!fail", Error::AiFailed),
            ("!empty", Error::AiFailed),
            ("!long", Error::AiFailed),
            ("!cut a b", Error::AiFailed),
            ("!overloaded", Error::AiOverloaded),
            ("!hang", Error::AiTimedOut),
        ] {
            assert_eq!(answer("scripted", message).await, Err(error), "{message}");
            let instead = answer("scripted,echo", message).await.unwrap();
            assert_eq!(
                (instead.text, instead.model.as_str()),
                (format!("You said: {message}"), "echo")
            );
        }
    }

    #[tokio::test]
    async fn the_last_failure_is_the_one_that_is_told() {
        assert_eq!(answer("scripted,scripted", "!overloaded").await, Err(Error::AiOverloaded));
    }

    #[tokio::test]
    async fn the_whole_conversation_is_asked_after_the_system_prompt() {
        let earlier = vec![
            Turn { role: Speaker::User, content: "I am Ann.".into() },
            Turn { role: Speaker::Assistant, content: "Hello, Ann.".into() },
        ];
        let answer = ai("scripted")
            .await
            .answer(Prompt::after(earlier, "!recall"), Duration::from_secs(1), None)
            .await
            .unwrap();
        assert_eq!(
            answer.text,
            "system: Be kind.\nuser: I am Ann.\nassistant: Hello, Ann.\nuser: !recall"
        );
    }

    #[tokio::test]
    async fn a_listener_hears_the_answer_piece_by_piece_and_of_a_cut_one_its_beginning_and_no_other()
     {
        let (sender, mut pieces) = unbounded_channel();
        let long = Duration::from_secs(5);
        let answer = ai("scripted")
            .await
            .answer(Prompt::after(vec![], "!words one two three"), long, Some(&sender))
            .await
            .unwrap();
        let mut heard = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            assert_eq!(piece.model, "scripted");
            heard.push(piece.text);
        }
        assert_eq!((heard.len(), heard.concat()), (3, answer.text));

        let cut = ai("scripted,echo")
            .await
            .answer(Prompt::after(vec![], "!cut one two"), long, Some(&sender))
            .await;
        let mut hear = || pieces.try_recv().map(|piece| piece.text);
        assert_eq!((cut, hear()), (Err(Error::AiFailed), Ok("one ".into())));
        assert!(hear().is_err(), "who has heard a part of one answer hears no other one");
        let empty = ai("scripted,echo")
            .await
            .answer(Prompt::after(vec![], "!empty"), long, Some(&sender))
            .await
            .unwrap();
        assert_eq!(
            (empty.model, hear()),
            ("echo".into(), Ok("You ".into())),
            "spaces are nothing that was heard"
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_heard_ends_where_there_is_no_more_room() {
        let (sender, mut pieces) = unbounded_channel();
        let long = ai("scripted,echo")
            .await
            .answer(Prompt::after(vec![], "!long"), Duration::from_secs(5), Some(&sender))
            .await
            .unwrap();
        assert_eq!(
            (long.text.len(), long.cut, long.model.as_str()),
            (1000, Some(Cut::Length), "scripted")
        );
        assert_eq!(pieces.try_recv().unwrap().text, long.text);
    }

    #[tokio::test]
    async fn who_has_begun_to_answer_may_go_on_beyond_its_share() {
        let (sender, _pieces) = unbounded_channel();
        let slow = "!words 30 one two three four five six seven eight";
        let whole = ai("scripted,echo")
            .await
            .answer(Prompt::after(vec![], slow), Duration::from_millis(400), Some(&sender))
            .await
            .unwrap();
        assert_eq!(whole.model, "scripted");
        let cut = ai("scripted")
            .await
            .answer(Prompt::after(vec![], slow), Duration::from_millis(100), Some(&sender))
            .await
            .unwrap();
        assert!(
            cut.cut == Some(Cut::Length)
                && cut.text.starts_with("one ")
                && !cut.text.contains("eight"),
            "what was heard is the answer: {cut:?}"
        );
        assert_eq!(
            answer("scripted", slow).await,
            Err(Error::AiTimedOut),
            "nobody has heard a word"
        );
    }
}
