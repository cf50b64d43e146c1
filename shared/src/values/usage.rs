//! How many model tokens a message and its answer used, and why an answer was cut off.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Rates;
use crate::Credits;

/// The model token counts for a message and its answer. Counts that the provider doesn't report are
/// estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TokenUsage)]
pub struct Usage {
    /// The number of model tokens in the message and the conversation before it.
    #[schema(examples(2))]
    pub prompt_tokens: u32,
    /// The number of model tokens in the answer.
    #[schema(examples(4))]
    pub completion_tokens: u32,
    /// The number of tokens in the prompt that the provider read from its cache. Missing if zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u32,
    /// The number of tokens in the prompt that the provider wrote into its cache. Missing if zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub written_tokens: u32,
    /// The number of tokens in the answer that the model used to reason. Missing if zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u32,
    /// True if any of the counts is an estimate, because the provider didn't report it, or because
    /// the answer was cut off before the provider reported it.
    #[serde(default)]
    #[schema(required)]
    pub estimated: bool,
    /// True if the number of tokens in the prompt is an estimate. Isn't stored.
    #[serde(skip)]
    pub prompt_estimated: bool,
}

// Takes a reference, because serde calls the function with one.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Usage {
    /// Estimates the counts from the lengths of the prompt and the answer.
    pub(crate) fn estimate(prompt_bytes: usize, answer_bytes: usize) -> Self {
        let estimates = Estimates::new(
            estimate_model_tokens(prompt_bytes),
            estimate_model_tokens(answer_bytes),
        );
        ReportedUsage::default().usage(estimates, Final::Yes)
    }

    /// Returns the price of these model token counts.
    pub fn price(&self, rates: Rates) -> Credits {
        rates.price(
            self.prompt_tokens.into(),
            self.cached_tokens.into(),
            self.written_tokens.into(),
            self.completion_tokens.into(),
        )
    }
}

/// How a provider counts the tokens that it reads from its cache or writes into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheCount {
    /// They are part of the prompt's tokens.
    #[default]
    InPrompt,
    /// They are counted separately from the prompt's tokens.
    BesidePrompt,
}

/// The model token counts that a provider reports. Missing counts are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// The tokens in the prompt.
    pub prompt: Option<u64>,
    /// The tokens that were read from the cache.
    pub cached: Option<u64>,
    /// The tokens that were written into the cache.
    pub written: Option<u64>,
    /// The tokens in the answer.
    pub completion: Option<u64>,
    /// The tokens in the answer that the model used to reason.
    pub reasoning: Option<u64>,
    /// The total number of tokens.
    pub total: Option<u64>,
    /// How the provider counts tokens in its cache.
    pub cache_count: CacheCount,
}

/// Estimates of how many model tokens a prompt and its answer contain. They replace counts that a
/// provider doesn't report, reports before the end of the answer, or wrongly reports as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimates {
    /// The tokens in the prompt.
    pub prompt: u32,
    /// The tokens in the answer, including visible reasoning.
    pub completion: u32,
}

impl Estimates {
    /// Creates the estimates. Numbers are capped at `u32::MAX`.
    pub fn new(prompt: usize, completion: usize) -> Self {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { prompt: count(prompt), completion: count(completion) }
    }
}

/// Whether a provider's counts cover the whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Final {
    /// The provider sent the counts after the answer.
    Yes,
    /// The answer continued after the provider had sent the counts.
    No,
}

impl ReportedUsage {
    /// Updates the counts with a later report. If the later report's count for the prompt or the
    /// answer is missing or zero, the earlier count is kept, because some servers end with zeros.
    /// The total always comes from the later report.
    pub fn replace_with(&mut self, later: Self) {
        let is_positive = |number: &Option<u64>| number.is_some_and(|number| number > 0);
        if !is_positive(&later.prompt) && !is_positive(&later.completion) {
            *self = if *self == Self::default() { later } else { *self };
            return;
        }
        // Beside the cached tokens, a prompt may have no other tokens.
        let beside = later.prompt.filter(|_| later.cache_count == CacheCount::BesidePrompt);
        *self = Self {
            prompt: later.prompt.filter(|number| *number > 0).or(self.prompt).or(beside),
            cached: later.cached.or(self.cached),
            written: later.written.or(self.written),
            completion: later.completion.filter(|number| *number > 0).or(self.completion),
            reasoning: later.reasoning.or(self.reasoning),
            total: later.total,
            cache_count: later.cache_count,
        };
    }

    /// Returns the counts that determine the price. Servers count differently, so the counts are
    /// corrected:
    ///
    /// - If the total exceeds the sum of prompt and completion by the number of cached tokens, of
    ///   tokens written into the cache, or of both, the excess belongs to the prompt. Any other
    ///   excess belongs to the answer, up to the number of reasoning tokens if the server reports
    ///   it.
    /// - A count is estimated if it is missing, or if it is zero although the prompt or the answer
    ///   isn't empty.
    ///
    /// If the counts aren't final, the count for the answer is at least the estimate.
    pub fn usage(&self, estimates: Estimates, numbers: Final) -> Usage {
        let cached = self.cached.unwrap_or(0);
        let (mut prompt, mut completion) = (self.prompt, self.completion);
        match self.cache_count {
            CacheCount::BesidePrompt => {
                let beside = cached.saturating_add(self.written.unwrap_or(0));
                prompt = prompt.map(|prompt| prompt.saturating_add(beside));
            }
            CacheCount::InPrompt => {
                let counted = prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0));
                let excess = self.total.unwrap_or(0).saturating_sub(counted);
                let written = self.written.unwrap_or(0);
                let beside = [cached, written, cached.saturating_add(written)];
                if let (Some(counted), true) = (prompt, excess > 0 && beside.contains(&excess)) {
                    prompt = Some(counted.saturating_add(excess));
                } else if prompt.is_some() && excess > 0 {
                    let reasoned = self.reasoning.map_or(excess, |reasoned| reasoned.min(excess));
                    completion = Some(completion.unwrap_or(0).saturating_add(reasoned));
                }
            }
        }
        if numbers == Final::No {
            completion = completion.max(Some(estimates.completion.into()));
        }
        let possible = |number: Option<u64>, estimate: u32| {
            number.filter(|number| *number > 0 || estimate == 0)
        };
        let prompt = possible(prompt, estimates.prompt);
        let completion = possible(completion, estimates.completion);
        let or_estimate = |number: Option<u64>, estimate: u32| {
            number.map_or(estimate, |number| u32::try_from(number).unwrap_or(u32::MAX))
        };
        let prompt_tokens = or_estimate(prompt, estimates.prompt);
        let completion_tokens = or_estimate(completion, estimates.completion);
        let at_most = |number: Option<u64>, most: u32| {
            u32::try_from(number.unwrap_or(0)).unwrap_or(u32::MAX).min(most)
        };
        let cached_tokens = at_most(self.cached, prompt_tokens);
        Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            written_tokens: at_most(self.written, prompt_tokens - cached_tokens),
            reasoning_tokens: at_most(self.reasoning, completion_tokens),
            estimated: numbers == Final::No || prompt.is_none() || completion.is_none(),
            prompt_estimated: prompt.is_none(),
        }
    }
}

/// Estimates the number of model tokens in this many bytes. A model token is about four bytes long.
pub fn estimate_model_tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// Why an answer was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutReason {
    /// The provider's content filter ended the answer.
    ContentFilter,
    /// The answer reached its maximum length or its time limit. Stored reasons from later releases
    /// are also read as this reason.
    #[serde(other)]
    Length,
}

impl CutReason {
    /// Returns the reason's name in OpenAI's API and in traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: Estimates = Estimates { prompt: 1000, completion: 100 };

    /// Reads counts in the form in which OpenAI's API reports them. A `total` of zero means that it
    /// is missing.
    fn openai(
        prompt: u64,
        cached: u64,
        completion: u64,
        reasoning: Option<u64>,
        total: u64,
    ) -> Usage {
        let reported = ReportedUsage {
            prompt: Some(prompt),
            cached: Some(cached),
            completion: Some(completion),
            reasoning,
            total: Some(total).filter(|total| *total > 0),
            ..ReportedUsage::default()
        };
        reported.usage(ESTIMATES, Final::Yes)
    }

    fn bedrock(input: u64, read: u64, written: u64, cache_count: CacheCount) -> Usage {
        let reported = ReportedUsage {
            prompt: Some(input),
            cached: Some(read),
            written: Some(written),
            completion: Some(5),
            cache_count,
            ..ReportedUsage::default()
        };
        reported.usage(ESTIMATES, Final::Yes)
    }

    #[test]
    fn cached_tokens_are_not_counted_twice() {
        // litellm#14849: 0.7642 dollars were charged instead of 0.1849, at rates of 1.25, 0.625 and
        // 10 dollars. Here, the rates are in millionths of a dollar.
        let usage = openai(262_960, 257_955, 1_744, None, 264_704);
        let rates = Rates { input: 1_250_000, cached: 625_000, write: None, output: 10_000_000 };
        assert_eq!(usage.price(rates).get(), 184_919);
        // aider#5516: the charge was 10.9 times too high.
        let usage = openai(17_111, 17_102, 0, None, 17_111);
        assert_eq!((usage.prompt_tokens, usage.cached_tokens), (17_111, 17_102));
        // litellm#31714: all but one token of the prompt are cached.
        let usage = openai(27_147, 27_146, 351, None, 27_498);
        assert_eq!((usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens), (1, 351));
        // More cached tokens than the prompt contains.
        assert_eq!(openai(10, 99, 5, None, 15).cached_tokens, 10);
    }

    #[test]
    fn an_excess_as_large_as_the_cache_is_the_cache() {
        let usage = openai(100, 900, 10, None, 1_010);
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
            (1000, 900, 10)
        );
    }

    #[test]
    fn an_excess_as_large_as_the_cache_writes_is_of_the_prompt() {
        for (cached, written, total) in [(0, 900, 1010), (900, 500, 1510), (900, 500, 610)] {
            let reported = ReportedUsage {
                prompt: Some(100),
                cached: Some(cached),
                written: Some(written),
                completion: Some(10),
                total: Some(total),
                ..ReportedUsage::default()
            };
            let usage = reported.usage(Estimates::new(1, 1), Final::Yes);
            let counts = (u64::from(usage.prompt_tokens), usage.completion_tokens);
            assert_eq!(counts, (total - 10, 10), "{cached} {written}");
        }
    }

    #[test]
    fn reasoning_outside_of_the_completion_is_output() {
        // CLIProxyAPI#5733.
        assert_eq!(openai(21, 0, 0, Some(60), 81).completion_tokens, 60);
        // fast-agent#276: the sum is 4643 + 1187 + 860.
        assert_eq!(openai(4643, 0, 1187, Some(860), 6690).completion_tokens, 2047);
        // The excess is greater than the number of reasoning tokens.
        assert_eq!(openai(10, 0, 5, Some(3), 99).completion_tokens, 8);
        // The server doesn't report the reasoning tokens.
        assert_eq!(openai(10, 0, 5, None, 99).completion_tokens, 89);
    }

    #[test]
    fn reasoning_inside_of_the_completion_counts_once() {
        // model-hotel#991: 261 of the 266 tokens are reasoning.
        let usage = openai(2008, 0, 266, Some(261), 2274);
        assert_eq!((usage.completion_tokens, usage.reasoning_tokens), (266, 261));
        // llmgateway#3486.
        assert_eq!(openai(51, 0, 136, Some(31), 187).completion_tokens, 136);
    }

    #[test]
    fn bedrock_counts_caches_beside_the_prompt_or_in_it() {
        let counts =
            |usage: Usage| (usage.prompt_tokens, usage.cached_tokens, usage.written_tokens);
        // pi#8752: 12,401 = 8,367 read + 4,032 written + 2.
        let gross = bedrock(12_401, 8_367, 4_032, CacheCount::InPrompt);
        assert_eq!(counts(gross), (12_401, 8_367, 4_032));
        let beside = bedrock(2, 13_923, 7_262, CacheCount::BesidePrompt);
        assert_eq!(counts(beside), (21_187, 13_923, 7_262));
    }

    #[test]
    fn written_tokens_are_a_part_of_the_prompt_that_was_not_read() {
        let counts =
            |usage: Usage| (usage.prompt_tokens, usage.cached_tokens, usage.written_tokens);
        let gross = |cached, written| counts(bedrock(100, cached, written, CacheCount::InPrompt));
        assert_eq!(gross(0, 100), (100, 0, 100));
        assert_eq!(gross(60, 100), (100, 60, 40));
        assert_eq!(gross(200, 100), (100, 100, 0));
        let rates = Rates { input: 1_000_000, cached: 0, write: Some(2_000_000), output: 0 };
        assert_eq!(bedrock(100, 60, 30, CacheCount::InPrompt).price(rates).get(), 70);
        assert_eq!(bedrock(10, 60, 30, CacheCount::BesidePrompt).price(rates).get(), 70);
        // A stored chat without this count has no such tokens.
        let stored = r#"{"prompt_tokens":1,"completion_tokens":2,"estimated":false}"#;
        let usage: Usage = serde_json::from_str(stored).unwrap();
        assert_eq!(usage.written_tokens, 0);
        assert_eq!(serde_json::to_string(&usage).unwrap(), stored);
        let with = Usage { written_tokens: 3, ..usage };
        assert_eq!(serde_json::to_value(with).unwrap()["written_tokens"], 3);
    }

    #[test]
    fn impossible_zeros_are_estimated_each_alone() {
        // ollama#5370: no tokens for a cached prompt, although the answer is counted.
        let usage = openai(0, 0, 42, None, 42);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (1000, 42));
        assert!(usage.estimated);
        let usage = openai(7, 0, 0, None, 7);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, 100));
        assert!(usage.estimated && !openai(7, 0, 1, None, 8).estimated);
        let silent = openai(7, 0, 0, None, 7);
        let nothing = ReportedUsage { prompt: Some(7), completion: Some(0), ..Default::default() };
        let heard_nothing = nothing.usage(Estimates { completion: 0, ..ESTIMATES }, Final::Yes);
        assert!(silent.estimated && !heard_nothing.estimated);
        assert_eq!(ReportedUsage::default().usage(ESTIMATES, Final::Yes).completion_tokens, 100);
    }

    #[test]
    fn no_numbers_overflow() {
        let usage = openai(u64::MAX, u64::MAX, u64::MAX, Some(u64::MAX), u64::MAX);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (u32::MAX, u32::MAX));
        for cache_count in [CacheCount::BesidePrompt, CacheCount::InPrompt] {
            let usage = bedrock(u64::MAX, u64::MAX, u64::MAX, cache_count);
            assert_eq!((usage.prompt_tokens, usage.written_tokens), (u32::MAX, 0));
        }
    }

    #[test]
    fn zeros_replace_no_numbers() {
        let of = |prompt, completion| ReportedUsage {
            prompt: Some(prompt),
            completion: Some(completion),
            ..ReportedUsage::default()
        };
        let mut usage = ReportedUsage::default();
        for (later, expected) in
            [((0, 0), (0, 0)), ((9, 1), (9, 1)), ((9, 5), (9, 5)), ((0, 0), (9, 5))]
        {
            usage.replace_with(of(later.0, later.1));
            assert_eq!(usage, of(expected.0, expected.1));
        }
    }

    #[test]
    fn a_prompt_may_be_entirely_in_the_cache() {
        let mut usage = ReportedUsage::default();
        usage.replace_with(ReportedUsage {
            prompt: Some(0),
            cached: Some(500),
            completion: Some(1),
            cache_count: CacheCount::BesidePrompt,
            ..ReportedUsage::default()
        });
        let usage = usage.usage(ESTIMATES, Final::Yes);
        assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.estimated), (500, 500, false));
    }

    #[test]
    fn early_numbers_are_at_least_the_estimate() {
        let reported = |completion| ReportedUsage {
            prompt: Some(7),
            completion: Some(completion),
            ..ReportedUsage::default()
        };
        for (number, counted) in [(1, 100), (100, 100), (2000, 2000)] {
            let usage = reported(number).usage(ESTIMATES, Final::No);
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, counted));
            assert!(usage.estimated);
        }
        assert_eq!(reported(1).usage(ESTIMATES, Final::Yes).completion_tokens, 1);
    }
}
