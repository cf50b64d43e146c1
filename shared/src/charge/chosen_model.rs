//! The model that is chosen for a chat, with its fare.

use std::sync::Arc;

use crate::ai::{Ai, EmbeddingInput, Prompt, TokenCounts, instructions_bound, turn_bound};
use crate::app::AiApp;
use crate::charge::context::Context;
use crate::charge::files::PromptFiles;
use crate::config::UnknownModels;
use crate::error::TooLong;
use crate::store::{Hold, StoredPrices};
use crate::values::INSTRUCTIONS_BOUND;
use crate::values::{
    CacheWrites, Ceiling, CountsAs, Credential, Factor, Fare, Message, MessagePrices, Model,
    ModelKind, Quote, Rates, Receipt,
};
use crate::{Credits, Error, Result};

/// The lowest acceptable limit on an answer's length, in model tokens. If the credits don't cover
/// an answer of this length, the chat is refused.
const LEAST_ANSWER: u64 = 64;

/// Like [`LEAST_ANSWER`], but for requests under `/v1`. It is greater, because programs can't use
/// an incomplete function call.
const LEAST_FOR_PROGRAMS: u64 = 1024;

/// The maximum number of model tokens that the user's instructions take up in a prompt, including
/// the sentence that introduces them.
const INSTRUCTIONS: usize = INSTRUCTIONS_BOUND + 200;

/// A model, its providers and its fare.
#[derive(Clone)]
pub struct ChosenModel {
    /// The AI that answers, through the model's providers.
    pub ai: Ai,
    fare: Fare,
    /// The factors between the model's count of model tokens and the estimate, for holds.
    counts_as: CountsAs,
    listed: Option<Listed>,
}

/// A model in the price list.
#[derive(Clone)]
struct Listed {
    prices: Arc<StoredPrices>,
    index: usize,
}

impl Listed {
    fn model(&self) -> Option<&Model> {
        self.prices.list.models.get(self.index)
    }
}

impl ChosenModel {
    /// Returns the model of this kind that
    /// [`PriceList::chosen`](crate::values::PriceList::chosen) finds under this name, or the
    /// default model if the request doesn't name one. The default is the first model of this kind
    /// in the list that the caller may use. Without a price list, the name is ignored: the
    /// configured providers answer at the configured price.
    ///
    /// # Errors
    /// Returns [`Error::NoSuchModel`] if the list doesn't contain the model and `unknown` refuses
    /// such names, if the name belongs to a model of another kind, or if the caller isn't allowed to
    /// use the model. Also returns the errors from
    /// [`Prices::current`](crate::cache::Cached::current).
    pub async fn choose(
        app: &AiApp,
        kind: ModelKind,
        name: Option<&str>,
        unknown: UnknownModels,
        caller: &Credential,
    ) -> Result<Self> {
        let name = name.filter(|name| !name.is_empty());
        let missing = || Error::NoSuchModel(name.map(str::to_owned));
        let Some(prices) = app.prices.current().await? else {
            if caller.models().is_some() {
                return Err(missing());
            }
            let fare = Fare::Message(app.config.chat_price);
            return Ok(Self::new(app.ai.clone(), fare, None));
        };
        let may_use = |(_, model): &(usize, &Model)| caller.may_use(&model.name);
        let first = prices.list.of_kind(kind).find(may_use).map(|(index, _)| index);
        let index = match name {
            None => first,
            Some(name) => match prices.list.chosen(name, kind) {
                Some((index, model)) => caller.may_use(&model.name).then_some(index),
                // The name of a model for embeddings isn't unknown.
                None if unknown == UnknownModels::Default && prices.list.model(name).is_none() => {
                    first
                }
                None => None,
            },
        };
        let index = index.ok_or_else(missing)?;
        let listed = Listed { prices, index };
        let model = listed.model().ok_or_else(missing)?;
        let (ai, fare) = (app.ai.through(&listed.prices.list, model), model.fare);
        if ai.has_no_provider() {
            tracing::error!(model = model.name, "no provider of this model is in AI_PROVIDER");
            return Err(Error::AiFailed);
        }
        Ok(Self::new(ai, fare, Some(listed)))
    }

    fn new(ai: Ai, fare: Fare, listed: Option<Listed>) -> Self {
        let model = listed.as_ref().and_then(Listed::model);
        let counts_as = model.and_then(|model| model.counts_as).unwrap_or_else(|| ai.counts_as());
        Self { ai, fare, counts_as, listed }
    }

    /// Returns the model for embeddings with this name. An unknown name never selects another
    /// model, because a program that compares vectors of different models gets useless results.
    /// Without a price list, only providers that work offline have embeddings: the setting of any
    /// other provider names a model for messages.
    ///
    /// # Errors
    /// Returns [`Error::NoEmbeddings`] if the operator offers no model for embeddings, and the
    /// errors of [`ChosenModel::choose`].
    pub async fn choose_for_embeddings(
        app: &AiApp,
        name: &str,
        caller: &Credential,
    ) -> Result<Self> {
        let kind = ModelKind::Embedding;
        let is_offered = match app.prices.current().await? {
            Some(prices) => prices.list.of_kind(kind).next().is_some(),
            None => app.ai.embeds_offline(),
        };
        match is_offered {
            true => Self::choose(app, kind, Some(name), UnknownModels::Refuse, caller).await,
            false => Err(Error::NoEmbeddings),
        }
    }

    /// Checks the size of texts against the limit on a prompt, which the price list may set for the
    /// model.
    ///
    /// # Errors
    /// Returns [`Error::TextTooLong`].
    pub fn check_texts(&self, app: &AiApp, input: &EmbeddingInput) -> Result<()> {
        let own = self.listed.as_ref().and_then(Listed::model).and_then(|model| model.prompt_limit);
        let own = own.and_then(|bytes| usize::try_from(bytes).ok());
        // The number of token ids has a limit of its own.
        let most = match input {
            EmbeddingInput::Texts(_) => own.unwrap_or(app.ai.config.prompt_limit),
            EmbeddingInput::Tokens(_) => own.unwrap_or(usize::MAX),
        };
        let bytes = input.size();
        match bytes > most {
            true => Err(Error::TextTooLong(Some(TooLong { bytes, most }))),
            false => Ok(()),
        }
    }

    /// Returns the quote for embeddings.
    pub(super) fn quote_for_embeddings(&self, app: &AiApp, input: &EmbeddingInput) -> Quote {
        match self.fare {
            Fare::Message(price) => {
                Quote::by_length(price, input.size(), app.ai.config.priced_bytes)
            }
            Fare::Usage(rates) => {
                let ceiling = Ceiling { prompt: input.bound(), answer: 0 };
                // Servers have no cache for the prompts of embeddings.
                let hold = rates.bound(ceiling.prompt, 0, CacheWrites::Excluded);
                Quote::by_usage(rates, hold, ceiling)
            }
        }
    }

    /// Returns the model's name in the price list.
    pub(super) fn listed_name(&self) -> Option<&str> {
        self.listed.as_ref().and_then(Listed::model).map(|model| model.name.as_str())
    }

    /// Returns the maximum number of model tokens in a picture.
    fn picture(&self) -> Option<u32> {
        self.listed.as_ref().and_then(Listed::model).and_then(|model| model.picture)
    }

    /// Returns the prices that apply before the conversation is read. If the model is charged by
    /// usage, they assume the longest context that the settings allow. A request under `/v1` already
    /// contains its whole prompt. `is_in_folder` is true if the prompt may also contain a folder's
    /// instructions.
    pub(super) fn first_prices(
        &self,
        app: &AiApp,
        message: &Message,
        context: &Context,
        files: &PromptFiles,
        is_in_folder: bool,
    ) -> FirstPrices {
        let config = &app.ai.config;
        let rates = match (self.fare, context) {
            (Fare::Message(price), Context::Given(prompt)) => {
                let bytes = prompt.priced_size();
                return FirstPrices::Fixed(Quote::by_length(price, bytes, config.priced_bytes));
            }
            (Fare::Message(price), Context::New { .. } | Context::Conversation { .. }) => {
                let bytes = files.priced_size();
                return FirstPrices::Fixed(Quote::by_length(price, bytes, config.priced_bytes));
            }
            (Fare::Usage(rates), _) => rates,
        };
        let of_folder = if is_in_folder { INSTRUCTIONS } else { 0 };
        let unread = match context {
            Context::Given(prompt) => {
                return FirstPrices::Known(self.prices_by_usage(rates, prompt));
            }
            Context::New { .. } => INSTRUCTIONS + of_folder,
            Context::Conversation { .. } => {
                let turns = 2 * config.context_chats + 1;
                let of_turn = usize::try_from(turn_bound()).unwrap_or(usize::MAX);
                let instructions = 2 * INSTRUCTIONS + of_folder;
                instructions + config.context_bytes + turns * (of_turn + 1)
            }
        };
        let alone = Prompt::after(Vec::new(), message.text());
        let known = self.prices_by_usage(rates, &alone);
        let tokens = known.tokens + files.tokens(self.picture().unwrap_or(0), self.counts_as.text);
        let unread = TokenCounts::of_bound(u64::try_from(unread).unwrap_or(u64::MAX));
        FirstPrices::Unread {
            longest: PromptPrices { tokens: tokens + unread, ..known },
            shortest: PromptPrices { tokens, ..known },
        }
    }

    /// Returns the prices of a known prompt. `None` if the model is charged by message.
    pub(super) fn prices(&self, prompt: &Prompt) -> Option<PromptPrices> {
        match self.fare {
            Fare::Message(_) => None,
            Fare::Usage(rates) => Some(self.prices_by_usage(rates, prompt)),
        }
    }

    fn prices_by_usage(&self, rates: Rates, prompt: &Prompt) -> PromptPrices {
        let longest = self.ai.longest_answer(Some(prompt));
        let least = match prompt.given {
            false => LEAST_ANSWER,
            // A program that sets a maximum length doesn't expect a shorter answer.
            true if longest < self.ai.longest_answer(None) => longest.into(),
            true => LEAST_FOR_PROGRAMS,
        };
        let picture = self.picture().unwrap_or(0);
        let tokens = prompt.tokens(self.ai.system_prompt(), picture, self.counts_as);
        let (writes, longest) = (self.ai.cache_writes(prompt), longest.into());
        PromptPrices { rates, writes, tokens, longest, least: least.min(longest) }
    }

    /// Returns how a chat was priced. `None` without a price list.
    pub(super) fn receipt(&self, hold: &Hold, shortened: bool, whole: bool) -> Option<Receipt> {
        let listed = self.listed.as_ref()?;
        Some(Receipt {
            list: listed.prices.of.version.clone(),
            model: listed.model()?.name.clone(),
            fare: self.fare,
            held: hold.quote().hold(),
            shortened,
            whole,
            million_tokens: listed.prices.list.million_tokens,
        })
    }
}

/// The prices of a message before its conversation is read.
pub(super) enum FirstPrices {
    /// The price doesn't depend on the answer.
    Fixed(Quote),
    /// The prompt is known.
    Known(PromptPrices),
    /// The earlier messages and the instructions aren't read yet.
    Unread {
        /// The prices with the longest context.
        longest: PromptPrices,
        /// The prices of what is surely in the prompt: the message and the files.
        shortest: PromptPrices,
    },
}

impl FirstPrices {
    /// Returns the quote that is held first.
    pub(super) fn quote(&self) -> Quote {
        match self {
            Self::Fixed(quote) => quote.clone(),
            Self::Known(prices) | Self::Unread { longest: prices, .. } => prices.quote(Basis::High),
        }
    }

    /// Returns the amount that the price can't exceed. `None` if the price is fixed.
    pub(super) fn most_by_bound(&self) -> Option<Credits> {
        match self {
            Self::Fixed(_) => None,
            Self::Known(prices) | Self::Unread { longest: prices, .. } => {
                Some(prices.most(Basis::Bound))
            }
        }
    }
}

/// The count of a prompt's model tokens that decides how much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// The high count.
    High,
    /// The bound, for accounts whose messages have exceeded their holds by too much.
    Bound,
}

/// The prices of a prompt and its answer, for a model that is charged by usage.
#[derive(Clone, Copy)]
pub(super) struct PromptPrices {
    rates: Rates,
    writes: CacheWrites,
    pub(super) tokens: TokenCounts,
    /// The maximum length of the answer, in model tokens, if the credits cover it.
    longest: u64,
    /// The lowest maximum length, in model tokens, that is acceptable if the credits don't cover
    /// the longest answer.
    least: u64,
}

impl PromptPrices {
    /// Returns the quote for the prompt with the longest answer.
    pub(super) fn quote(&self, basis: Basis) -> Quote {
        Quote::by_usage(self.rates, self.most(basis), self.ceiling(None))
    }

    /// Returns the most model tokens that the prompt and an answer of at most `answer` model tokens
    /// can have. `None` for an answer of the maximum length.
    pub(super) fn ceiling(&self, answer: Option<u32>) -> Ceiling {
        Ceiling { prompt: self.tokens.bound, answer: answer.map_or(self.longest, u64::from) }
    }

    /// Returns the price of the prompt with the longest answer.
    pub(super) fn most(&self, basis: Basis) -> Credits {
        self.of_answer(basis, self.longest)
    }

    /// Returns the smallest amount of credits for which the AI is called.
    pub(super) fn least(&self, basis: Basis) -> Credits {
        self.of_answer(basis, self.least)
    }

    /// Returns the length of the longest answer that `held` covers, in model tokens. `None` if
    /// `held` covers an answer of the maximum length.
    pub(super) fn fit(&self, basis: Basis, held: Credits) -> Option<u32> {
        let tokens = self.rates.affords(held, self.prompt(basis), self.writes).unwrap_or(0);
        (tokens < self.longest).then(|| u32::try_from(tokens).unwrap_or(u32::MAX))
    }

    /// Returns the prices that a refusal of the message tells.
    pub(super) fn shown(&self) -> MessagePrices {
        MessagePrices {
            prompt: self.rates.price(self.tokens.usual(), 0, 0, 0),
            most: self.most(Basis::Bound),
        }
    }

    fn of_answer(&self, basis: Basis, answer: u64) -> Credits {
        self.rates.bound(self.prompt(basis), answer, self.writes)
    }

    fn prompt(&self, basis: Basis) -> u64 {
        match basis {
            Basis::High => self.tokens.high,
            Basis::Bound => self.tokens.bound,
        }
    }
}

/// Counts the model tokens in a prompt that consists of an empty message in a new conversation, for
/// a user with these instructions. The web pages add the counts of the message and of the
/// conversation.
pub fn prompt_overhead(system: Option<&str>, instructions: Option<&str>) -> TokenCounts {
    let instructions = instructions.map(str::to_owned).into_iter().collect();
    let prompt = Prompt { instructions, ..Prompt::after(Vec::new(), "") };
    prompt.tokens(system, 0, CountsAs::both(Factor::ONE))
}

/// Returns the number of bytes by which instructions shorten the context.
pub(super) fn instructions_size(instructions: &[String], by_usage: bool) -> usize {
    let size = |text: &String| if by_usage { instructions_bound(text) } else { text.len() };
    instructions.iter().map(size).sum()
}
