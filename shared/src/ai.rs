//! Calls AI providers to answer a conversation. The answer is delivered as a whole or piece by
//! piece.
//!
//! Providers are called in their configured order until one answers. Once a listener has received a
//! piece of an answer, no further provider is called. Reasoning isn't a piece of an answer: if its
//! provider fails, the next provider is called, and the reasoning of the two is kept separate.

mod answer;
mod answer_builder;
mod answer_function;
mod anthropic;
mod bedrock;
mod blocks;
mod bound;
mod breakpoints;
mod call_ids;
mod echo;
mod embed;
mod embeddings;
mod ending;
mod events;
mod failure;
mod json;
mod openai;
mod options;
mod prompt;
mod provider;
mod reading;
mod schema;
mod scripted;
mod server;
mod texts;
mod tools;
mod traced;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::Clock;
use crate::config::{AiConfig, ConfigError};
use crate::error::TooLong;
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::model_calls::ModelCall;
use crate::telemetry::trace;
use crate::values::{CacheWrites, CountsAs, Factor, Model, ModelKind, PriceList, Via};
use crate::{Error, Result};

pub use crate::ai::answer::Answer;
pub use crate::ai::answer_builder::{Listener, Piece, ReasoningPiece};
pub use crate::ai::anthropic::{BETA_HEADER, known_betas};
pub use crate::ai::bound::{TokenCounts, turn_bound};
pub use crate::ai::embeddings::{
    EmbeddingInput, EmbeddingRequest, Embeddings, MOST_DIMENSIONS, vector_in_base64,
};
pub use crate::ai::options::{Display, Effort, LEAST_BUDGET, Options, Thinking, Verbosity};
pub use crate::ai::prompt::{Prompt, instructions_bound};
pub use crate::ai::schema::JsonSchema;
pub use crate::ai::tools::{AnswerSchema, CallPiece, Format, Tool, ToolChoice};

use crate::ai::answer_builder::{AnswerBuilder, Close, Progress, Unanswered};
pub use crate::ai::failure::{AnswerFailure, Failure};
use crate::ai::failure::{Refusal, UNKNOWN_WAIT};
use crate::ai::provider::Provider;

/// The maximum time for opening a connection when the function starts.
const OPENING: Duration = Duration::from_secs(1);

/// The configured providers. Cloning is cheap.
#[derive(Clone)]
pub struct Ai {
    providers: Arc<[Provider]>,
    /// The model's name in the price list. `None` if the settings select the model.
    listed: Option<Arc<str>>,
    /// The maximum number of model tokens in an answer.
    most: u32,
    /// The model's maximum size of a prompt, in bytes. `None` if `PROMPT_LIMIT` applies, which only
    /// limits prompts under `/v1`.
    prompt_limit: Option<usize>,
    /// The maximum size of an answer, in bytes.
    answer_limit: usize,
    /// True if prompts may contain pictures.
    takes_pictures: bool,
    /// The operator's system prompt, which begins every prompt.
    system_prompt: Option<Arc<str>>,
    /// The settings.
    pub config: Arc<AiConfig>,
}

impl Ai {
    /// Connects to the configured providers. Reads the providers' API keys from files and Secrets
    /// Manager.
    ///
    /// # Errors
    /// Returns an error if an API key can't be read or a URL is invalid.
    pub async fn connect(config: AiConfig, clock: &Clock) -> Result<Self, ConfigError> {
        let mut providers = Vec::new();
        for provider in &config.providers {
            providers.push(Provider::connect(provider, clock).await?);
        }
        Ok(Self {
            providers: providers.into(),
            listed: None,
            most: config.max_tokens,
            prompt_limit: None,
            answer_limit: config.answer_limit,
            takes_pictures: true,
            system_prompt: config.system_prompt.as_deref().map(Arc::from),
            config: Arc::new(config),
        })
    }

    /// Returns a copy for a model in the price list. The copy uses the model's limits, its system
    /// prompt, and its providers in the order that the list gives. Providers that aren't configured
    /// are left out.
    #[must_use]
    pub fn through(&self, list: &PriceList, model: &Model) -> Self {
        let provider = |via: &Via| {
            let provider = self.providers.iter().find(|provider| provider.name == via.provider)?;
            Some(provider.with_model(via.model.as_deref()))
        };
        let setting = self.config.system_prompt.as_deref();
        Self {
            providers: model.via.iter().filter_map(provider).collect(),
            listed: Some(model.name.as_str().into()),
            most: model.most.unwrap_or(self.config.max_tokens),
            prompt_limit: bytes(model.prompt_limit),
            answer_limit: bytes(model.answer_limit).unwrap_or(self.config.answer_limit),
            takes_pictures: model.takes_pictures(),
            system_prompt: list.system_prompt(model, setting).map(Arc::from),
            config: self.config.clone(),
        }
    }

    /// Returns a copy with this system prompt for a model that no user chooses: a model of the price
    /// list, or otherwise a model of the first provider.
    #[must_use]
    pub fn through_own(&self, list: Option<&PriceList>, name: &str, system_prompt: &str) -> Self {
        let listed = list.and_then(|list| {
            list.chosen(name, ModelKind::Chat).map(|(_, model)| self.through(list, model))
        });
        let ai = listed.unwrap_or_else(|| {
            let first = self.providers.first().map(|provider| provider.with_model(Some(name)));
            Self { providers: first.into_iter().collect(), listed: None, ..self.clone() }
        });
        Self { system_prompt: Some(system_prompt.into()), ..ai }
    }

    /// Returns true if there is no provider to call.
    pub fn has_no_provider(&self) -> bool {
        self.providers.is_empty()
    }

    /// Returns the operator's system prompt.
    pub fn system_prompt(&self) -> Option<&str> {
        self.system_prompt.as_deref()
    }

    /// Returns the maximum number of model tokens in an answer to this prompt.
    pub fn longest_answer(&self, prompt: Option<&Prompt>) -> u32 {
        prompt.and_then(|prompt| prompt.max_tokens).unwrap_or(u32::MAX).min(self.most)
    }

    /// Returns how many more model tokens than public tokenizers the models of the providers count,
    /// judging by their names.
    pub fn counts_as(&self) -> CountsAs {
        let factors = self.providers.iter().map(|provider| Factor::of_model(&provider.model));
        CountsAs::both(factors.max().unwrap_or(Factor::SECRET))
    }

    /// Returns whether one of the providers may write a part of this prompt into its cache.
    pub fn cache_writes(&self, prompt: &Prompt) -> CacheWrites {
        let is_possible = prompt.has_cache_breakpoints()
            || self.providers.iter().any(Provider::writes_cache_unasked);
        if is_possible { CacheWrites::Possible } else { CacheWrites::Excluded }
    }

    /// Opens the connection to the first provider, so that the first chat doesn't have to wait for
    /// it. Gives up after [`OPENING`], so that an unavailable provider can't prevent the function
    /// from starting.
    pub async fn open(&self) {
        let Some(provider) = self.providers.first() else { return };
        if timeout(OPENING, provider.open()).await.is_err() {
            tracing::warn!(provider = provider.name, "the provider has not answered at start");
        }
    }

    /// Reads the providers' API keys again if they are due for renewal. Call this in parallel with
    /// other work.
    pub async fn renew_keys(&self) {
        join_all(self.providers.iter().map(Provider::renew_key)).await;
    }

    /// Checks whether at least one provider may be called with this prompt.
    ///
    /// # Errors
    /// Returns [`Error::PromptTooLong`] if the prompt exceeds the limit, and [`Error::Invalid`] if
    /// no provider supports all features that the prompt uses.
    pub fn check(&self, prompt: &Prompt) -> Result<()> {
        within(prompt.size(), self.prompt_limit.unwrap_or(self.config.prompt_limit))?;
        if prompt.has_pictures() && !self.takes_pictures {
            return Err(Refusal::Pictures.into());
        }
        self.capable(prompt).map(drop).map_err(Into::into)
    }

    /// Checks the size of a message in a conversation, in bytes.
    ///
    /// # Errors
    /// Returns [`Error::PromptTooLong`] if the message alone exceeds the model's limit.
    pub fn check_message(&self, bytes: usize) -> Result<()> {
        within(bytes, self.prompt_limit.unwrap_or(usize::MAX))
    }

    /// Checks the size of a message with all files that the AI gets, in bytes.
    ///
    /// # Errors
    /// Returns [`Error::PromptTooLong`] if they exceed the model's limit.
    pub fn check_files(&self, bytes: usize) -> Result<()> {
        within(bytes, self.prompt_limit.unwrap_or(self.config.prompt_limit))
    }

    /// Returns true if prompts may contain pictures.
    pub fn takes_pictures(&self) -> bool {
        self.takes_pictures
    }

    /// Returns how many bytes of earlier messages and instructions fit into a prompt with a message
    /// of this size.
    pub fn context_room(&self, message: usize) -> usize {
        let most = self.prompt_limit.unwrap_or(usize::MAX);
        self.config.context_bytes.min(most.saturating_sub(message))
    }

    /// Removes the reasoning that none of the model's providers gets, so that it isn't charged.
    pub fn leave_out_unsent(&self, prompt: &mut Prompt) {
        let takes_proofs = self.providers.iter().any(Provider::takes_proven_reasoning);
        let takes_text = self.providers.iter().any(Provider::takes_reasoning);
        for turn in &mut prompt.turns {
            for part in &mut turn.reasoning {
                if !takes_proofs {
                    (part.signature, part.encrypted) = (None, None);
                }
                if !takes_text && !part.is_proven() {
                    part.text.clear();
                }
            }
            // The order of the blocks refers to all parts.
            if !takes_proofs {
                turn.reasoning.retain(|part| !part.text.is_empty());
            }
        }
    }

    /// Returns the providers that support the prompt's features, as far as this is known before a
    /// call.
    fn capable(&self, prompt: &Prompt) -> Result<Vec<&Provider>, Refusal> {
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

    /// Calls the providers until one answers, for at most `patience`. Each provider gets an equal
    /// share of `patience` to begin an answer, or reasoning that the listener gets. A listener
    /// receives each piece immediately. If the time runs out or the answer reaches its maximum
    /// length, the text delivered so far becomes the answer, marked as [cut
    /// off](crate::values::CutReason). It may be empty if reasoning was delivered. If `stop`
    /// completes, the connection to the provider is closed, and the text delivered so far also
    /// becomes the answer.
    ///
    /// # Errors
    /// If all providers fail, returns the last provider's failure. A refusal is returned only if
    /// every called provider refused a feature of the prompt. Returns [`Failure::Stopped`] if the
    /// prompt is short, the answer is streamed, and `stop` completes before any part of it was
    /// delivered.
    pub async fn answer(
        &self,
        mut prompt: Prompt,
        patience: Duration,
        listener: Option<&Listener>,
        stop: impl Future<Output = ()>,
    ) -> Result<Answer, AnswerFailure> {
        let mut stop = pin!(stop);
        prompt.begin(self.system_prompt());
        prompt.has_own_temperature = prompt.temperature.is_some();
        // Some models refuse requests with both `temperature` and `top_p`.
        prompt.temperature =
            prompt.temperature.or(self.config.temperature.filter(|_| prompt.top_p.is_none()));
        prompt.max_tokens = Some(self.longest_answer(Some(&prompt)));

        let until = Instant::now() + patience;
        let providers = self.capable(&prompt).map_err(Failure::Refused)?;
        let mut waiting = u32::try_from(providers.len()).unwrap_or(u32::MAX);
        let mut last: Option<Failure> = None;
        let mut worked = Vec::new();
        let mut has_shown_reasoning = false;
        for (place, provider) in providers.into_iter().enumerate() {
            let share = until.saturating_duration_since(Instant::now()) / waiting.max(1);
            waiting = waiting.saturating_sub(1);
            // Usually the first provider has given the ids of the calls.
            prompt.has_foreign_ids = place > 0;
            let asked = Instant::now();
            let (progress, limit) = (Progress::default(), self.answer_limit);
            let mut builder =
                AnswerBuilder::new(&prompt, &provider.model, limit, listener, &progress);
            builder.follows_reasoning = has_shown_reasoning;
            let outcome = ask(provider, &prompt, share, until, builder, stop.as_mut()).await;
            if let Some(trace) = trace::recorded() {
                let outcome = outcome.as_ref().map_err(|unanswered| &unanswered.failure);
                provider.record(&trace, asked.into_std(), &prompt, outcome);
            }
            match outcome {
                Ok(answer) if answer.stopped => {
                    self.call(provider).record();
                    return Ok(answer);
                }
                Ok(answer) => {
                    self.record_answer(provider, asked, progress.begun());
                    return Ok(answer);
                }
                Err(Unanswered { failure: failure @ Failure::Stopped, worked: work }) => {
                    self.call(provider).record();
                    worked.extend(work);
                    return Err(AnswerFailure { failure, worked });
                }
                Err(Unanswered { failure, worked: work }) => {
                    worked.extend(work);
                    self.record_failure(provider, &failure);
                    last = Some(last_failure(last, failure));
                }
            }
            if progress.is_delivered() {
                break;
            }
            has_shown_reasoning |= progress.has_shown_reasoning();
        }
        let failure = last.unwrap_or(Failure::TimedOut);
        Err(AnswerFailure { failure, worked })
    }

    /// Returns a call to a provider that has neither failed nor completed an answer. The model's
    /// name comes from the price list or the settings, even if a request contains another name.
    fn call<'c>(&'c self, provider: &'c Provider) -> ModelCall<'c> {
        let model = self.listed.as_deref().unwrap_or(&provider.model);
        let provider = &provider.name;
        ModelCall { provider, model, has_failed: false, first_token: None, answer: None }
    }

    /// Records how long a provider took to answer, and to begin a streamed answer.
    fn record_answer(&self, provider: &Provider, asked: Instant, begun: Option<Instant>) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let first_token = begun.map(|begun| ms(begun.saturating_duration_since(asked)));
        let answer = Some(ms(asked.elapsed()));
        ModelCall { first_token, answer, ..self.call(provider) }.record();
    }

    /// Records a provider's failure.
    fn record_failure(&self, provider: &Provider, failure: &Failure) {
        // A refusal doesn't count as the provider's failure, because the request is the cause. A
        // refusal for an unknown reason does count, because a wrong setting may be the cause.
        let call = ModelCall { has_failed: !failure.is_refusal(), ..self.call(provider) };
        let model = call.model;
        call.record();
        if *failure == Failure::Unfunded {
            metrics::record_by(&provider.name, &[(Metric::AiUnfunded, 1)]);
        }
        let cause = failure.cause();
        tracing::warn!(provider = provider.name, model, cause, "the AI has not answered");
    }
}

/// Calls one provider, which must begin the answer within its `share` of the time.
async fn ask(
    provider: &Provider,
    prompt: &Prompt,
    share: Duration,
    until: Instant,
    mut builder: AnswerBuilder<'_>,
    stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Answer, Unanswered> {
    let progress = builder.progress;
    let close = {
        let mut answering = pin!(provider.answer(prompt, &mut builder));
        let in_time = pin!(async {
            let outcome = match timeout(share, &mut answering).await {
                Err(_) if progress.has_begun() || progress.has_ended() => {
                    timeout_at(until, &mut answering).await
                }
                outcome => outcome,
            };
            outcome.map_or(Close::TimeOver, Close::Read)
        });
        match select(in_time, stop).await {
            Either::Left((close, _)) => close,
            // An answer that has ended can't be stopped. Wait for its token counts, which arrive
            // soon.
            Either::Right(((), in_time)) if progress.has_ended() => in_time.await,
            Either::Right(_) => Close::Stopped,
        }
    };
    builder.answer(close, prompt)
}

/// Returns [`Error::PromptTooLong`] if a prompt of this size exceeds the limit.
fn within(bytes: usize, most: usize) -> Result<()> {
    match bytes > most {
        true => Err(Error::PromptTooLong(Some(TooLong { bytes, most }))),
        false => Ok(()),
    }
}

/// Returns a limit of a model in bytes.
fn bytes(limit: Option<u32>) -> Option<usize> {
    limit.and_then(|bytes| usize::try_from(bytes).ok())
}

/// Returns the failure for the client, given an earlier provider's failure. A refusal doesn't replace
/// an earlier failure that may pass, because a busy provider may support a prompt that its backup
/// refuses. A refusal with a known reason doesn't replace one without, because the reason may not be
/// the other provider's. If both are overloaded, the client waits for the one that is available
/// first.
fn last_failure(earlier: Option<Failure>, failure: Failure) -> Failure {
    let rank = |failure: &Failure| match failure {
        Failure::Refused(_) => 0,
        Failure::Denied(_) => 1,
        _ => 2,
    };
    match (earlier, failure) {
        (Some(Failure::Overloaded(one)), Failure::Overloaded(other)) => {
            let seconds = [one, other].map(|seconds| seconds.unwrap_or(UNKNOWN_WAIT));
            Failure::Overloaded(seconds.into_iter().min())
        }
        (Some(earlier), failure) if rank(&earlier) > rank(&failure) => earlier,
        (_, failure) => failure,
    }
}

/// Reads a recorded reply in the format of OpenAI's chat completions, from the pieces in which it
/// arrived.
///
/// # Errors
/// Returns the failure if the reply ends with one.
pub fn replay<'p>(
    prompt: &Prompt,
    limit: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    listener: Option<&Listener>,
) -> Result<Answer, Failure> {
    let progress = Progress::default();
    let mut builder = AnswerBuilder::new(prompt, "", limit, listener, &progress);
    let read = openai::read_pieces(pieces, &mut builder);
    builder.answer(Close::Read(read), prompt).map_err(|unanswered| unanswered.failure)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::config::Settings;
    use crate::values::{CutReason, Speaker, Turn};

    async fn ai(providers: &'static str) -> Ai {
        let settings = Settings::new(|name| match name {
            "AI_PROVIDER" => Some(providers.to_owned()),
            "AI_SYSTEM_PROMPT" => Some("Be kind.".to_owned()),
            "ANSWER_LIMIT" => Some("1000".to_owned()),
            _ => None,
        });
        Ai::connect(AiConfig::read(&settings).unwrap(), &Clock::default()).await.unwrap()
    }

    async fn answer(providers: &'static str, message: &str) -> Result<Answer, Error> {
        ai(providers)
            .await
            .answer(Prompt::after(vec![], message), Duration::from_millis(60), None, pending())
            .await
            .map_err(Error::from)
    }

    /// Requests an answer, and passes its pieces to a listener.
    async fn answer_to_listener(
        providers: &'static str,
        message: &str,
        patience: u64,
        listener: &Listener,
    ) -> Result<Answer> {
        let (prompt, patience) = (Prompt::after(vec![], message), Duration::from_millis(patience));
        let asked = ai(providers).await;
        asked.answer(prompt, patience, Some(listener), pending()).await.map_err(Error::from)
    }

    #[tokio::test]
    async fn provider_failures_fall_back_to_the_next_provider() {
        for (message, error) in [
            ("!fail", Error::AiFailed),
            ("!empty", Error::AiFailed),
            ("!long", Error::AiFailed),
            ("!cut a b", Error::AiFailed),
            ("!overloaded", Error::AiOverloaded(5)),
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
    async fn the_last_failure_is_returned() {
        assert_eq!(answer("scripted,scripted", "!overloaded").await, Err(Error::AiOverloaded(5)));
    }

    #[tokio::test]
    async fn the_system_prompt_precedes_the_conversation() {
        let earlier = vec![
            Turn::new(Speaker::User, "I am Ann."),
            Turn::new(Speaker::Assistant, "Hello, Ann."),
        ];
        let answer = ai("scripted")
            .await
            .answer(Prompt::after(earlier, "!recall"), Duration::from_secs(1), None, pending())
            .await
            .unwrap();
        assert_eq!(
            answer.text,
            "system: Be kind.\nuser: I am Ann.\nassistant: Hello, Ann.\nuser: !recall"
        );
    }

    #[tokio::test]
    async fn a_models_system_prompt_replaces_the_setting() {
        let list = r#"{"system": "Be brief.", "models": [
            {"name": "quick", "via": ["scripted"], "fare": {"message": 1}},
            {"name": "deep", "via": ["scripted"], "fare": {"message": 1}, "system": "Be bold."}]}"#;
        let list: PriceList = list.parse().unwrap();
        let asked = ai("scripted").await;
        for (model, system) in list.models.iter().zip(["Be brief.", "Be bold."]) {
            let through = asked.through(&list, model);
            assert_eq!(through.system_prompt(), Some(system));
            let prompt = Prompt::after(vec![], "!recall");
            let answer = through.answer(prompt, Duration::from_secs(1), None, pending()).await;
            assert_eq!(answer.unwrap().text, format!("system: {system}\nuser: !recall"));
        }
        assert_eq!(asked.system_prompt(), Some("Be kind."));
    }

    #[tokio::test]
    async fn some_providers_write_their_cache_unasked() {
        let settings = Settings::new(|name| {
            let value = match name {
                "AI_PROVIDER" => "echo,openai,anthropic",
                "OPENAI_BASE_URL" | "ANTHROPIC_BASE_URL" => "http://127.0.0.1:9",
                "OPENAI_MODEL" | "ANTHROPIC_MODEL" => "tiny",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let config = AiConfig::read(&settings).unwrap();
        let ai = Ai::connect(config, &Clock::default()).await.unwrap();
        for (via, writes) in [
            (r#"["echo"]"#, CacheWrites::Excluded),
            (r#"["anthropic"]"#, CacheWrites::Excluded),
            (r#"["openai"]"#, CacheWrites::Possible),
            (r#"["anthropic", "openai:gpt-5"]"#, CacheWrites::Possible),
        ] {
            let list = format!(
                r#"{{"models": [{{"name": "deep", "via": {via}, "fare": {{"message": 1}}}}]}}"#
            );
            let list: PriceList = list.parse().unwrap();
            let through = ai.through(&list, &list.models[0]);
            assert_eq!(through.cache_writes(&Prompt::after(vec![], "hi")), writes, "{via}");
        }
    }

    #[tokio::test]
    async fn listeners_get_pieces_from_one_provider_only() {
        let (sender, mut pieces) = unbounded_channel();
        let answer =
            answer_to_listener("scripted", "!words one two three", 5000, &sender).await.unwrap();
        let mut heard = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            assert_eq!(piece.model, "scripted");
            heard.push(piece.text);
        }
        assert_eq!((heard.len(), heard.concat()), (3, answer.text));

        let cut = answer_to_listener("scripted,echo", "!cut one two", 5000, &sender).await;
        let mut hear = || pieces.try_recv().map(|piece| piece.text);
        assert_eq!((cut, hear()), (Err(Error::AiFailed), Ok("one ".into())));
        assert!(hear().is_err(), "after a part of an answer no other answer is delivered");
        let empty = answer_to_listener("scripted,echo", "!empty", 5000, &sender).await.unwrap();
        assert_eq!(
            (empty.model, hear()),
            ("echo".into(), Ok("You ".into())),
            "white space is not delivered alone"
        );
    }

    #[tokio::test]
    async fn streamed_answers_are_cut_at_the_maximum_length() {
        let (sender, mut pieces) = unbounded_channel();
        let long = answer_to_listener("scripted,echo", "!long", 5000, &sender).await.unwrap();
        assert_eq!(
            (long.text.len(), long.cut, long.model.as_str()),
            (1000, Some(CutReason::Length), "scripted")
        );
        assert_eq!(pieces.try_recv().unwrap().text, long.text);
    }

    #[tokio::test]
    async fn stopped_answers_end_without_a_fallback() {
        let (sender, mut pieces) = unbounded_channel();
        let long = Duration::from_secs(5);
        let ai = ai("scripted,echo").await;
        let stop = async {
            while pieces.len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        let prompt = Prompt::after(vec![], "!hold one two three");
        let stopped = ai.answer(prompt, long, Some(&sender), stop).await.unwrap();
        assert_eq!(
            (stopped.text.as_str(), stopped.stopped, stopped.cut, stopped.model.as_str()),
            ("one two", true, Some(CutReason::Length), "scripted")
        );
        let mut hear = || pieces.try_recv().map(|piece| piece.text);
        assert_eq!((hear(), hear()), (Ok("one ".into()), Ok("two".into())));

        // The prompt is short and no part of the answer was delivered, so the chat isn't charged.
        let hang = |message: &str| Prompt::after(vec![], message);
        let soon = || tokio::time::sleep(Duration::from_millis(20));
        let silent = ai.answer(hang("!hang"), long, Some(&sender), soon()).await;
        let unanswered = silent.unwrap_err();
        assert_eq!((unanswered.failure, unanswered.worked.len()), (Failure::Stopped, 1));
        // If the prompt is long or the answer isn't streamed, stopping it before the first piece
        // results in an empty answer.
        let at_length = hang(&format!("!hang {}", "x".repeat(32_768)));
        let listened = ai.answer(at_length, long, Some(&sender), soon()).await.unwrap();
        let awaited = ai.answer(hang("!hang"), long, None, ready(())).await.unwrap();
        for empty in [listened, awaited] {
            assert_eq!(
                (empty.text.as_str(), empty.stopped, empty.cut),
                ("", true, Some(CutReason::Length))
            );
        }
        // An answer that is already complete isn't stopped.
        let whole = ai.answer(Prompt::after(vec![], "hi"), long, None, ready(())).await.unwrap();
        assert_eq!((whole.text.as_str(), whole.stopped), ("You said: hi", false));
    }

    #[tokio::test]
    async fn a_provider_that_has_begun_may_exceed_its_time_share() {
        let (sender, _pieces) = unbounded_channel();
        // The answer takes 2.4 seconds, and the provider's share of the time is 2 seconds. On a
        // busy machine the answer may take longer.
        let slow = "!words 300 one two three four five six seven eight";
        let whole = answer_to_listener("scripted,echo", slow, 4000, &sender).await.unwrap();
        assert_eq!(whole.model, "scripted");
        let slow = "!words 30 one two three four five six seven eight";
        let cut = answer_to_listener("scripted", slow, 100, &sender).await.unwrap();
        assert!(
            cut.cut == Some(CutReason::Length)
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
