//! Charges embeddings in the same steps as a chat (hold, request, settle), but stores only the
//! ledger entry. A retry of a paid request therefore can't get a stored result. The vectors are
//! computed again without a charge, at most [`REPEATS`] times, which counts as free work.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::ai::{EmbeddingRequest, Embeddings};
use crate::app::AiApp;
use crate::charge::begin::{COME_AGAIN, LEASE_AFTER, PendingHold, TIME_TO_SETTLE};
use crate::charge::chosen_model::ChosenModel;
use crate::charge::request::RequestKey;
use crate::charge::{earn, note_use, record_uncovered, refund, settled_now};
use crate::error::Failure;
use crate::store::{ChatLimits, Hold, Refund, ReserveOutcome, SettleOutcome};
use crate::telemetry::metrics::{self, Metric};
use crate::values::{Chat, Credential, Limit, Quote, Usage};
use crate::{Credits, Error, Request, Result, http};

/// The maximum time that the AI may take. The rest of the function's time is for the reply: Lambda
/// streams 2 MB a second, and the longest reply has 120 MB.
const LONGEST: Duration = Duration::from_secs(50);

/// How often a paid request may be repeated without a charge. By default, OpenAI's SDKs retry
/// twice.
const REPEATS: u32 = 2;

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
        Some(placed) => asking.charge(placed).await,
        // An earlier request with the same key ended a moment ago.
        None => match key {
            Some(key) if asking.is_paid(key).await? => asking.repeat(key).await,
            _ => Err(Error::KeyRunning { seconds: COME_AGAIN }),
        },
    }
}

/// A hold that is placed, and the caller's limits.
struct Placed {
    hold: Hold,
    limits: ChatLimits,
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

    fn now(&self) -> u64 {
        self.started / 1000
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
    async fn reserve(&self, quote: Quote, key: Option<&RequestKey>) -> Result<Option<Placed>> {
        let (app, now) = (self.app, self.now());
        let lease_ends = now + http::time_left(self.req, self.started).as_secs() + LEASE_AFTER;
        let hold = Hold::new(self.caller, app.clock.id(), quote, lease_ends);
        let mut pending = PendingHold::new(app, self.caller, key, None, hold, now);
        let limits = pending.limits;
        let (reserved, ()) = tokio::join!(
            app.store.reserve(self.caller, &mut pending.hold, limits, now),
            app.ai.renew_keys()
        );
        match reserved? {
            ReserveOutcome::Held => Ok(Some(Placed { hold: pending.hold, limits })),
            ReserveOutcome::Ended => Ok(None),
            // The price depends only on the texts, so no smaller hold would be enough.
            ReserveOutcome::Short(shortage) => {
                let error = shortage.failure(pending.hold.quote().bound(), false);
                Err(pending.abandon(error).await)
            }
        }
    }

    /// Calls the AI. If it fails, returns the credits, and counts the AI's work at the prices of
    /// `quote`.
    async fn ask(&self, placed: &mut Placed, quote: &Quote) -> Result<Embeddings> {
        let app = self.app;
        let taken = Duration::from_millis(app.clock.millis().saturating_sub(self.started));
        let left = http::time_left(self.req, self.started).saturating_sub(taken + TIME_TO_SETTLE);
        let patience = app.ai.config.timeout.min(left).min(LONGEST);
        let (answered, ()) = tokio::join!(
            self.model.ai.embed(&self.request, patience),
            note_use(app, self.caller.api_key(), self.started)
        );
        let unanswered = match answered {
            Ok(embeddings) => return Ok(embeddings),
            Err(unanswered) => unanswered,
        };
        let Placed { hold, limits } = placed;
        for usage in &unanswered.worked {
            hold.add_free_work(quote.charge(usage));
        }
        Err(refund(app, hold, *limits, Refund::Counted, unanswered.into()).await)
    }

    /// Calls the AI, and settles the hold.
    async fn charge(&self, mut placed: Placed) -> Result<PaidEmbeddings> {
        let (app, quote) = (self.app, placed.hold.quote().clone());
        let embeddings = self.ask(&mut placed, &quote).await?;
        let Placed { mut hold, limits } = placed;
        record_uncovered(&quote, &embeddings.usage);
        let chat = self.charged(&hold, &embeddings.model, embeddings.usage);
        earn(app, &mut hold, chat.cost, limits).await;
        let now = app.clock.seconds();
        let settled = app.store.settle_embeddings(&hold, &chat, now).await?;
        if settled != SettleOutcome::Stored {
            metrics::record(&[(Metric::SettleConflicts, 1)]);
            hold.add_free_work(chat.cost);
            return Err(refund(app, &hold, limits, Refund::Counted, Error::NotCharged).await);
        }
        let this_minute = settled_now(app, &hold, &chat, limits, now).await;
        Ok(self.paid(embeddings, this_minute, false))
    }

    /// Computes the vectors of a paid request again. The hold has no credits: it only makes the
    /// store check the caller and the limits, and count the work.
    async fn repeat(&self, key: &RequestKey) -> Result<PaidEmbeddings> {
        let (app, quote) = (self.app, self.quote());
        let free = Quote::flat(Credits::ZERO);
        let Some(mut placed) = self.reserve(free, None).await? else {
            return Err(Error::KeyRunning { seconds: COME_AGAIN });
        };
        let by = app.clock.id().to_string();
        let counted = app.store.count_repeat(&key.id, &by, REPEATS, self.now()).await;
        let refused = match counted {
            Ok(true) => None,
            Ok(false) => Some(Error::RepeatedTooOften),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = refused {
            let Placed { hold, limits } = &placed;
            return Err(refund(app, hold, *limits, Refund::Uncounted, error).await);
        }
        let embeddings = match self.ask(&mut placed, &quote).await {
            Ok(embeddings) => embeddings,
            Err(error) => {
                // The provider has done no work, so this wasn't a repetition.
                if placed.hold.free_work() == Credits::ZERO {
                    let uncounting = app.store.uncount_repeat(&key.id, &by).await;
                    if let Err(error) = uncounting {
                        tracing::warn!(cause = error.cause(), "a repetition stays counted");
                    }
                }
                return Err(error);
            }
        };
        let Placed { mut hold, limits } = placed;
        hold.add_free_work(quote.charge(&embeddings.usage));
        let now = app.clock.seconds();
        // The vectors are paid for. Without the release, the hold ends with its lease.
        if let Err(error) = app.store.release(&hold, Refund::Uncounted, limits, now).await {
            tracing::warn!(cause = error.cause(), "free work can't be counted");
        }
        let this_minute = hold.left_this_minute(limits, now);
        Ok(self.paid(embeddings, this_minute, true))
    }

    /// Returns the charge in the form of a chat. The ledger entry is made from the chat, which is
    /// never stored.
    fn charged(&self, hold: &Hold, model: &str, usage: Usage) -> Chat {
        let quote = hold.quote();
        let cost = quote.charge(&usage);
        let back = quote.bound().checked_sub(cost).unwrap_or_default();
        Chat {
            user_id: hold.user_id().to_owned(),
            chat_id: hold.chat_id().to_owned(),
            model: model.to_owned(),
            usage: Some(usage),
            cost,
            units: Some(quote.units()).filter(|units| *units > 1),
            receipt: self.model.receipt(hold, false, false),
            tokens_left: hold.balance_after().checked_add(back).unwrap_or(Credits::MAX),
            time: self.started,
            ..Chat::default()
        }
    }

    fn paid(&self, embeddings: Embeddings, this_minute: Limit, is_repeat: bool) -> PaidEmbeddings {
        let model = self.model.listed_name().unwrap_or(&embeddings.model).to_owned();
        PaidEmbeddings { embeddings, model, this_minute, is_repeat }
    }
}
