//! The AI: a conversation goes in, and an answer comes out, whole or piece by piece, or a failure.
//!
//! Providers are called in the order of the settings, until one answers. After a listener has got a
//! piece of an answer, no other provider is called.

mod bedrock;
mod echo;
mod failure;
mod openai;
mod picture;
mod prompt;
mod provider;
mod said;
mod schema;
mod scripted;
mod tools;
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::ToSchema;

use crate::config::{AiConfig, ConfigError};
use crate::error::TooLong;
use crate::metrics::{self, Metric};
use crate::{Error, Result, trace};

pub use self::picture::Picture;
pub use self::prompt::{Part, Prompt, Speaker, Turn};
pub use self::said::{Listener, Piece};
pub use self::schema::JsonSchema;
pub use self::tools::{AnswerSchema, CallPiece, Format, Tool, ToolCall, ToolChoice};

use self::failure::{Failure, Refusal};
use self::provider::Provider;
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

/// The model's token counts: the provider's, or an estimate if it reports none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TokenUsage)]
pub struct Usage {
    /// Tokens of the message and the conversation before it.
    #[schema(examples(2))]
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    #[schema(examples(4))]
    pub completion_tokens: u32,
    /// Whether they are an estimate, because the model's provider doesn't count.
    #[serde(default)]
    #[schema(required)]
    pub estimated: bool,
}

impl Usage {
    /// An estimate from the lengths of a prompt and its answer.
    pub(crate) fn estimate(prompt_bytes: usize, answer_bytes: usize) -> Self {
        let tokens = |bytes: usize| u32::try_from(tokens_of(bytes)).unwrap_or(u32::MAX);
        Self {
            prompt_tokens: tokens(prompt_bytes),
            completion_tokens: tokens(answer_bytes),
            estimated: true,
        }
    }
}

/// About how many tokens of a model these bytes are: a token has about four.
pub fn tokens_of(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The functions that it calls.
    pub calls: Vec<ToolCall>,
    /// The model that wrote it.
    pub model: String,
    /// Why it is cut off, if it is.
    pub cut: Option<Cut>,
    /// The token counts.
    pub usage: Usage,
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
            providers.push(Provider::connect(provider).await?);
        }
        Ok(Self { providers: providers.into(), config: Arc::new(config) })
    }

    /// Opens the connection to the first provider, so that the first message doesn't wait for it.
    /// Gives up after [`OPENING`]: a provider that is down must not keep a function from starting.
    pub async fn open(&self) {
        let Some(provider) = self.providers.first() else { return };
        if timeout(OPENING, provider.open()).await.is_err() {
            tracing::warn!(provider = provider.name, "the provider has not answered at start");
        }
    }

    /// Whether the providers may be asked this at all.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`], and [`Error::Invalid`] if none of the providers can do what the
    /// prompt demands.
    pub fn check(&self, prompt: &Prompt) -> Result<()> {
        let (bytes, most) = (prompt.size(), self.config.prompt_limit);
        if bytes > most {
            return Err(Error::PromptTooLong(Some(TooLong { bytes, most })));
        }
        self.able(prompt).map(drop).map_err(Into::into)
    }

    /// The providers that can do what the prompt demands, as far as is known before they are called.
    fn able(&self, prompt: &Prompt) -> Result<Vec<&Provider>, Refusal> {
        let mut refused = None;
        let able = |provider: &&Provider| {
            let refusal = provider.refuses(prompt);
            refused = refused.or(refusal);
            refusal.is_none()
        };
        let able: Vec<&Provider> = self.providers.iter().filter(able).collect();
        match refused {
            Some(refusal) if able.is_empty() => Err(refusal),
            _ => Ok(able),
        }
    }

    /// Waits for an answer at most `patience`, of which each provider has an equal share until it
    /// begins to answer. A listener gets each piece at once. If the time or the maximum length is
    /// reached, the delivered text is the answer, [cut off](Cut).
    ///
    /// # Errors
    /// [`Error::AiFailed`], [`Error::AiOverloaded`] and [`Error::AiTimedOut`]: that of the last
    /// provider that failed. [`Error::Invalid`] and [`Error::PromptTooLong`] if all that were called
    /// have refused what the prompt demands.
    pub async fn answer(
        &self,
        mut prompt: Prompt,
        patience: Duration,
        listener: Option<&Listener>,
    ) -> Result<Answer> {
        if let Some(content) = self.config.system_prompt.clone() {
            prompt.turns.insert(0, Turn::of(Speaker::System, content));
        }
        // Some models refuse requests with both.
        prompt.temperature =
            prompt.temperature.or(self.config.temperature.filter(|_| prompt.top_p.is_none()));
        prompt.max_tokens = Some(prompt.max_tokens.unwrap_or(u32::MAX).min(self.config.max_tokens));

        let until = Instant::now() + patience;
        let providers = self.able(&prompt)?;
        let mut waiting = u32::try_from(providers.len()).unwrap_or(u32::MAX);
        let mut last: Option<Failure> = None;
        for provider in providers {
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
                    // A request that a model can't answer is not its failure. One that it rejects for
                    // an unknown reason may be.
                    let failed = u64::from(!matches!(failure, Failure::Refused(_)));
                    metrics::record_by(&provider.name, &[(Metric::AiFailures, failed)]);
                    tracing::warn!(
                        provider = provider.name,
                        cause = failure.cause(),
                        "the AI has not answered"
                    );
                    // What a backup refuses may be possible for a provider that was only busy.
                    last = match last {
                        Some(earlier) if failure.is_refusal() && !earlier.is_refusal() => {
                            Some(earlier)
                        }
                        _ => Some(failure),
                    };
                }
            }
            if heard {
                break;
            }
        }
        Err(last.unwrap_or(Failure::TimedOut).into())
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
        let limit = self.config.answer_limit;
        let mut said = Said::new(prompt, &provider.model, limit, listener, &heard);
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
        let earlier =
            vec![Turn::of(Speaker::User, "I am Ann."), Turn::of(Speaker::Assistant, "Hello, Ann.")];
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
