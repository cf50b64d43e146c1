//! The AI: a conversation goes in, and an answer comes out, whole or piece by piece, or a failure.
//!
//! Providers are called in the order of the settings, until one answers. After a listener has got a
//! piece of an answer, no other provider is called.

mod bedrock;
mod echo;
mod failure;
mod openai;
mod said;
mod scripted;
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{AiConfig, AiProvider, ConfigError};
use crate::metrics::{self, Metric};
use crate::{Result, trace};

pub use self::said::{Listener, Piece};

use self::bedrock::Bedrock;
use self::failure::Failure;
use self::openai::OpenAi;
use self::said::Said;

/// The longest time that opening a connection at start may take.
const OPENING: Duration = Duration::from_secs(1);

/// The configured providers. Cheap to clone.
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

/// The protocol of a provider.
enum Wire {
    Echo,
    Scripted,
    OpenAi(Box<OpenAi>),
    Bedrock(Bedrock),
}

/// The speaker of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The instructions for the AI.
    System,
    /// The user.
    User,
    /// The AI.
    Assistant,
}

/// A turn of a conversation, as OpenAI's API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The speaker.
    pub role: Speaker,
    /// The text.
    pub content: String,
}

/// The input of the AI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The conversation; the last turn is the message to answer.
    pub turns: Vec<Turn>,
    /// The sampling temperature. `None` for that of the settings.
    pub temperature: Option<f64>,
    /// The probability mass for nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the model in the answer, if that is less than the settings allow.
    pub max_tokens: Option<u32>,
    /// The texts before which the answer ends.
    pub stop: Vec<String>,
    /// Whether a finished but empty answer counts as an answer. Set if the caller chooses what ends
    /// it: otherwise they could get a refund at will.
    pub empty_is_an_answer: bool,
}

impl Prompt {
    /// A message after the turns before it.
    pub fn after(mut turns: Vec<Turn>, message: &str) -> Self {
        turns.push(Turn { role: Speaker::User, content: message.to_owned() });
        Self { turns, ..Self::default() }
    }

    /// The message to answer.
    fn last(&self) -> &str {
        self.turns.last().map_or("", |turn| &turn.content)
    }
}

/// The model's token counts, as the provider reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the conversation.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The model that wrote it.
    pub model: String,
    /// Why it is cut off, if it is.
    pub cut: Option<Cut>,
    /// The token counts, if the provider reports them.
    pub usage: Option<Usage>,
}

/// Why an answer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// It has reached its maximum length, or the time is over.
    Length,
    /// The provider's content filter.
    ContentFilter,
}

impl Cut {
    /// As OpenAI's API and traces name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

impl Ai {
    /// The providers of the settings. Reads their keys from files and Secrets Manager.
    ///
    /// # Errors
    /// If a key can't be read, or a URL is invalid.
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

    /// Opens the connection to the first provider, so that the first message doesn't wait for it.
    /// Gives up after [`OPENING`]: a provider that is down must not keep a function from starting.
    pub async fn open(&self) {
        let Some(provider) = self.providers.first() else { return };
        let opened = async {
            match &provider.wire {
                Wire::Echo | Wire::Scripted => {}
                Wire::OpenAi(server) => server.open().await,
                Wire::Bedrock(bedrock) => bedrock.open().await,
            }
        };
        if timeout(OPENING, opened).await.is_err() {
            tracing::warn!(provider = provider.name, "the provider has not answered at start");
        }
    }

    /// Waits for an answer at most `patience`, of which each provider has an equal share until it
    /// begins to answer. A listener gets each piece at once. If the time or the maximum length is
    /// reached, the delivered text is the answer, [cut off](Cut).
    ///
    /// # Errors
    /// [`Error::AiFailed`], [`Error::AiOverloaded`] and [`Error::AiTimedOut`]: that of the last
    /// provider that was called.
    pub async fn answer(
        &self,
        mut prompt: Prompt,
        patience: Duration,
        listener: Option<&Listener>,
    ) -> Result<Answer> {
        if let Some(content) = self.config.system_prompt.clone() {
            prompt.turns.insert(0, Turn { role: Speaker::System, content });
        }
        // Some models refuse requests with both.
        prompt.temperature =
            prompt.temperature.or(self.config.temperature.filter(|_| prompt.top_p.is_none()));
        prompt.max_tokens = Some(prompt.max_tokens.unwrap_or(u32::MAX).min(self.config.max_tokens));

        let until = Instant::now() + patience;
        let mut waiting = u32::try_from(self.providers.len()).unwrap_or(u32::MAX);
        let mut last = Failure::TimedOut;
        for provider in self.providers.iter() {
            let share = until.saturating_duration_since(Instant::now()) / waiting.max(1);
            waiting = waiting.saturating_sub(1);
            let asked = Instant::now();
            let (outcome, heard) = self.ask(provider, &prompt, share, until, listener).await;
            if let Some(trace) = trace::recorded() {
                provider.record(&trace, asked.into_std(), &prompt, outcome.as_ref());
            }
            match outcome {
                Ok(answer) => {
                    let ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let values = [(Metric::AiLatency, ms), (Metric::AiFailures, 0)];
                    metrics::record_by(&provider.name, &values);
                    return Ok(answer);
                }
                Err(failure) => {
                    metrics::record_by(&provider.name, &[(Metric::AiFailures, 1)]);
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

    /// The answer of a provider, and whether the listener got any of it.
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
            // These futures are large, and every future around them would contain them.
            Wire::OpenAi(server) => Box::pin(server.answer(prompt, said)).await,
            Wire::Bedrock(bedrock) => Box::pin(bedrock.answer(prompt, said)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::Error;
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
        assert!(hear().is_err(), "after a part of an answer no other answer is delivered");
        let empty = ai("scripted,echo")
            .await
            .answer(Prompt::after(vec![], "!empty"), long, Some(&sender))
            .await
            .unwrap();
        assert_eq!(
            (empty.model, hear()),
            ("echo".into(), Ok("You ".into())),
            "white space is not delivered alone"
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
            "the delivered text is the answer: {cut:?}"
        );
        assert_eq!(
            answer("scripted", slow).await,
            Err(Error::AiTimedOut),
            "no piece was delivered"
        );
    }
}
