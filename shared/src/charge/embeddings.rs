//! Charges embeddings in the same steps as a chat (hold, request, settle), but stores only the
//! ledger entry. A retry of a paid request therefore can't get a stored result. The vectors are
//! computed again without a charge, at most [`REPEATS`] times, which counts as free work.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::ai::{EmbeddingRequest, Embeddings};
use crate::app::AiApp;
use crate::charge::begin::{PendingHold, RETRY_SECONDS};
use crate::charge::chosen_model::ChosenModel;
use crate::charge::paid_work::PaidWork;
use crate::charge::request::RequestKey;
use crate::error::Failure;
use crate::store::{Refund, ReserveOutcome, SettleOutcome};
use crate::telemetry::metrics::{self, Metric};
use crate::values::{Credential, Limit, Quote};
use crate::{Credits, Error, Request, Result};

/// The maximum time that the AI may take. The rest of the function's time is for the reply: Lambda
/// streams 2 MB a second, and the longest reply has 120 MB.
const LONGEST: Duration = Duration::from_secs(50);

/// How often a paid request may be repeated without a charge. Most programs retry twice.
const REPEATS: u32 = 2;

// The sentence of `RepeatedTooOften` and the description of `/v1/embeddings` say `twice`.
const _: () = assert!(REPEATS == 2);

/// The ways in which a request for embeddings can fail, beyond the failures that are common to all
/// requests.
pub const EMBEDDING_FAILURES: &[Failure] = &[
    Failure::InsufficientTokens,
    Failure::KeyLimitReached,
    Failure::OutOfQuota,
    Failure::ApiKeyExpired,
    Failure::NoSuchModel,
    Failure::NoEmbeddings,
    Failure::KeyRunning,
    Failure::KeyReused,
    Failure::RepeatedTooOften,
    Failure::TooManyChats,
    Failure::TooManyChatsThisMinute,
    Failure::TooManyRefunds,
    Failure::TextTooLong,
    Failure::AiFailed,
    Failure::AiDenied,
    Failure::AiFailedTokensHeld,
    Failure::AiOverloaded,
    Failure::AiTimedOut,
    Failure::NotCharged,
];

/// The embeddings that a request asks for.
pub struct NewEmbeddings {
    /// The texts.
    pub request: EmbeddingRequest,
    /// The idempotency key, if there is one.
    pub key: Option<RequestKey>,
    /// The requested model.
    pub model: ChosenModel,
}

/// Embeddings that were paid for, now or by an earlier request with the same idempotency key.
pub struct PaidEmbeddings {
    /// The vectors.
    pub embeddings: Embeddings,
    /// The model's name in the price list, or the provider's name for it.
    pub model: String,
    /// How many more chats may begin in this minute.
    pub this_minute: Limit,
    /// True if an earlier request paid for the vectors.
    pub is_repeat: bool,
}

/// Holds the credits, calls the AI, and then spends the price or returns the credits. If an earlier
/// request with the same idempotency key was paid for, the vectors are computed again without a
/// charge. Must be called after all other checks.
///
/// # Errors
/// Returns an error from [`Store::reserve`](crate::store::Store::reserve),
/// [`Error::InsufficientTokens`], [`Error::KeyLimitReached`], [`Error::KeyReused`],
/// [`Error::RepeatedTooOften`], the errors of [`Ai::embed`](crate::ai::Ai::embed),
/// [`Error::AiFailedTokensHeld`] if the credits couldn't be returned yet, and
/// [`Error::NotCharged`] or [`Error::Unavailable`] if the charge couldn't be stored.
pub fn embed<'a>(
    app: &'a AiApp,
    req: &'a Request,
    caller: &'a Credential,
    asked: NewEmbeddings,
) -> BoxFuture<'a, Result<PaidEmbeddings>> {
    embed_or_repeat(app, req, caller, asked).boxed()
}

/// Like [`embed`], which boxes this large future.
async fn embed_or_repeat(
    app: &AiApp,
    req: &Request,
    caller: &Credential,
    asked: NewEmbeddings,
) -> Result<PaidEmbeddings> {
    let NewEmbeddings { request, key, model } = asked;
    let asking = Asking { app, req, caller, request, model, started: app.clock.millis() };
    let key = key.as_ref();
    if let Some(key) = key.filter(|key| !key.fresh)
        && asking.is_paid(key).await?
    {
        return asking.repeat(key).await;
    }
    match asking.reserve(asking.quote(), key).await? {
        Some(work) => asking.charge(work).await,
        // An earlier request with the same key ended a moment ago.
        None => match key {
            Some(key) if asking.is_paid(key).await? => asking.repeat(key).await,
            _ => Err(Error::KeyRunning { seconds: RETRY_SECONDS }),
        },
    }
}

/// A request whose checks are done.
struct Asking<'a> {
    app: &'a AiApp,
    req: &'a Request,
    caller: &'a Credential,
    request: EmbeddingRequest,
    model: ChosenModel,
    /// When the request began, in milliseconds since 1970.
    started: u64,
}

impl Asking<'_> {
    fn quote(&self) -> Quote {
        self.model.quote_for_embeddings(self.app, &self.request.input)
    }

    /// Returns true if an earlier request with this idempotency key was paid for.
    async fn is_paid(&self, key: &RequestKey) -> Result<bool> {
        let Some(record) = self.app.store.record(&key.id, self.app.clock.seconds()).await? else {
            return Ok(false);
        };
        match record.fingerprint == key.fingerprint {
            true => Ok(true),
            // Only a caller that the account accepts may learn that the key was used.
            false => {
                self.app.store.account_with(self.caller).await?;
                Err(Error::KeyReused)
            }
        }
    }

    /// Holds the quote's bound. Returns `None` if an earlier request with the same idempotency key
    /// has ended.
    async fn reserve(&self, quote: Quote, key: Option<&RequestKey>) -> Result<Option<PaidWork>> {
        let Self { app, req, caller, started, .. } = *self;
        let work = PaidWork::new(app, req, caller, app.clock.id(), quote, key, started);
        let mut pending = PendingHold::new(work, caller, key, None);
        let (reserved, ()) = tokio::join!(pending.reserve(), app.ai.renew_keys());
        match reserved? {
            ReserveOutcome::Held => Ok(Some(pending.work)),
            // The amount isn't an estimate.
            ReserveOutcome::Ended | ReserveOutcome::Underheld => Ok(None),
            // The price depends only on the texts, so no smaller hold would be enough.
            ReserveOutcome::Short(shortage) => {
                let error = shortage.failure(pending.work.hold.quote().hold(), None);
                Err(pending.abandon(error).await)
            }
        }
    }

    /// Calls the AI. If it fails, returns the credits, and counts the AI's work at the prices of
    /// `quote`.
    async fn ask(&self, work: &mut PaidWork, quote: &Quote) -> Result<Embeddings> {
        let patience = work.patience().min(LONGEST);
        let (answered, ()) =
            tokio::join!(self.model.ai.embed(&self.request, patience), work.note_use());
        match answered {
            Ok(embeddings) => Ok(embeddings),
            Err(unanswered) => {
                let worked = unanswered.worked.iter().map(|usage| quote.work(usage));
                let worked: Vec<Credits> = worked.collect();
                Err(work.fail(unanswered, &worked).await)
            }
        }
    }

    /// Calls the AI, and settles the hold.
    async fn charge(&self, mut work: PaidWork) -> Result<PaidEmbeddings> {
        let (app, quote) = (self.app, work.hold.quote().clone());
        let embeddings = self.ask(&mut work, &quote).await?;
        let (usage, model) = (embeddings.usage, embeddings.model.clone());
        let receipt = self.model.receipt(&work.hold, false, false);
        let paid = work.pay(quote.charge(&usage), usage, model, receipt);
        work.prepare_free_work(paid.cost).await;
        let now = app.clock.seconds();
        let settled = app.store.settle_embeddings(&work.hold, &paid, now).await?;
        if settled != SettleOutcome::Stored {
            metrics::record(&[(Metric::SettleConflicts, 1)]);
            return Err(work.unsettled(&usage, Error::NotCharged).await);
        }
        let this_minute = work.settled(paid.cost, &usage, paid.tokens_left, now).await;
        Ok(self.paid(embeddings, this_minute, false))
    }

    /// Computes the vectors of a paid request again. The hold has no credits: it only makes the
    /// store check the caller and the limits, and count the work.
    async fn repeat(&self, key: &RequestKey) -> Result<PaidEmbeddings> {
        let (app, quote) = (self.app, self.quote());
        let free = Quote::flat(Credits::ZERO);
        let Some(mut work) = self.reserve(free, None).await? else {
            return Err(Error::KeyRunning { seconds: RETRY_SECONDS });
        };
        let by = app.clock.id().to_string();
        let counted = app.store.count_repeat(&key.id, &by, REPEATS, self.started / 1000).await;
        let refused = match counted {
            Ok(true) => None,
            Ok(false) => Some(Error::RepeatedTooOften),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = refused {
            return Err(work.refund(Refund::Uncounted, error).await);
        }
        let embeddings = match self.ask(&mut work, &quote).await {
            Ok(embeddings) => embeddings,
            Err(error) => {
                // The provider has done no work, so this wasn't a repetition.
                if work.hold.free_work() == Credits::ZERO {
                    let uncounting = app.store.uncount_repeat(&key.id, &by).await;
                    if let Err(error) = uncounting {
                        tracing::warn!(cause = error.cause(), "a repetition stays counted");
                    }
                }
                return Err(error);
            }
        };
        work.hold.add_free_work(quote.work(&embeddings.usage));
        let now = app.clock.seconds();
        // The vectors are paid for. Without the release, the hold ends with its lease.
        let released = app.store.release(&work.hold, Refund::Uncounted, work.limits, now).await;
        if let Err(error) = released {
            tracing::warn!(cause = error.cause(), "free work can't be counted");
        }
        Ok(self.paid(embeddings, work.left_this_minute(now), true))
    }

    fn paid(&self, embeddings: Embeddings, this_minute: Limit, is_repeat: bool) -> PaidEmbeddings {
        let model = self.model.listed_name().unwrap_or(&embeddings.model).to_owned();
        PaidEmbeddings { embeddings, model, this_minute, is_repeat }
    }
}
