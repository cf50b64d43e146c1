//! Work by the AI that a user pays for: its hold, and the ways in which the hold ends.

use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use crate::ai::AnswerFailure;
use crate::app::AiApp;
use crate::charge::request::RequestKey;
use crate::store::{self, ChatLimits, Hold, Refund};
use crate::telemetry::metrics::{self, Metric};
use crate::values::idempotency::REMEMBERED;
use crate::values::{Credential, Limit, Paid, Quote, Receipt, StoredApiKey, Usage};
use crate::{Credits, Error, Request, http};

/// How much of a function's time is reserved for storing the result or returning the credits.
const TIME_TO_SETTLE: Duration = Duration::from_secs(6);

/// How long a lease outlasts its function's time limit, in seconds. During this time, the
/// function's last write may still arrive at the store.
pub const LEASE_AFTER: u64 = 30;

/// How long a finished answer may be delayed while the last use of its API key is recorded, or
/// while an e-mail about a low balance is queued.
const TIME_TO_NOTE: Duration = Duration::from_secs(1);

/// Work by the AI for a chat or for embeddings. Its credits are held before the AI is called, and
/// then either spent or returned. If neither happens, they stay held until the lease ends.
pub(super) struct PaidWork {
    pub(super) app: AiApp,
    pub(super) hold: Hold,
    pub(super) limits: ChatLimits,
    /// The API key with which the work was requested.
    api_key: Option<StoredApiKey>,
    /// When the request began, in milliseconds since 1970.
    pub(super) started: u64,
    /// How much time the function had when the request began.
    time_left: Duration,
}

impl PaidWork {
    /// Prepares a hold for the work. The hold isn't placed yet.
    pub(super) fn new(
        app: &AiApp,
        req: &Request,
        caller: &Credential,
        id: Uuid,
        quote: Quote,
        key: Option<&RequestKey>,
        started: u64,
    ) -> Self {
        let (now, time_left) = (started / 1000, http::time_left(req, started));
        let hold = Hold::new(caller, id, quote, now + time_left.as_secs() + LEASE_AFTER);
        let hold = match key {
            Some(key) => hold.keyed(&key.id, &key.fingerprint, now + REMEMBERED),
            None => hold,
        };
        Self {
            app: app.clone(),
            hold,
            limits: ChatLimits::of_caller(&app.config, caller),
            api_key: caller.api_key().cloned(),
            started,
            time_left,
        }
    }

    /// Returns how long the AI may take from now on.
    pub(super) fn patience(&self) -> Duration {
        let taken = Duration::from_millis(self.app.clock.millis().saturating_sub(self.started));
        self.app.ai.config.timeout.min(self.time_left.saturating_sub(taken + TIME_TO_SETTLE))
    }

    /// Records that the API key was used on this day.
    pub(super) async fn note_use(&self) {
        if let Some(key) = &self.api_key {
            let noting = self.app.store.note_use(key, self.started);
            write_best_effort("the last use of an API key", noting).await;
        }
    }

    /// Returns the credits after the AI has failed. What it has done nevertheless counts as free
    /// work, at these prices.
    pub(super) async fn fail(&mut self, unanswered: AnswerFailure, work: &[Credits]) -> Error {
        for price in work {
            self.hold.add_free_work(*price);
        }
        self.refund(Refund::Counted, unanswered.into()).await
    }

    /// Returns what the user pays for work that costs `cost`. Prepares the hold for the part of the
    /// price that exceeds it.
    pub(super) fn pay(
        &mut self,
        cost: Credits,
        usage: Usage,
        model: String,
        receipt: Option<Receipt>,
    ) -> Paid {
        let quote = self.hold.quote();
        let (underheld, uncovered) = (quote.underheld(&usage), quote.uncovered(&usage));
        if uncovered > Credits::ZERO {
            metrics::record(&[(Metric::Uncovered, uncovered.get())]);
        }
        self.hold.set_underheld(underheld);
        let quote = self.hold.quote();
        let back = quote.hold().checked_sub(cost).unwrap_or_default();
        Paid {
            user_id: self.hold.user_id().to_owned(),
            id: self.hold.chat_id().to_owned(),
            cost,
            usage: Some(usage),
            model,
            units: Some(quote.units()).filter(|units| *units > 1),
            receipt,
            tokens_left: self.hold.balance_after().checked_add(back).unwrap_or(Credits::MAX),
            time: self.started,
        }
    }

    /// Prepares the hold and its account for the free work that the charge earns. Must be called
    /// before the clock is read for the settle.
    pub(super) async fn prepare_free_work(&mut self, cost: Credits) {
        self.hold.set_earned(cost, self.limits);
        if let Err(error) = self.app.store.begin_free_work(&self.hold).await {
            tracing::warn!(cause = error.cause(), "free work can't be counted");
            self.hold.count_no_free_work();
        }
    }

    /// Records work that was settled at `now` for `cost`, and queues an e-mail if it leaves a low
    /// balance. Returns how many more chats may begin in this minute.
    pub(super) async fn settled(
        &self,
        cost: Credits,
        usage: &Usage,
        tokens_left: Credits,
        now: u64,
    ) -> Limit {
        metrics::record(&[
            (Metric::Chats, 1),
            (Metric::Charged, cost.get()),
            // Also if the account can't count it.
            (Metric::Underheld, self.hold.quote().underheld(usage).get()),
        ]);
        self.app.refused.forget(self.hold.user_id());
        let low = self.app.ai.config.low_balance;
        if tokens_left < low {
            let alert = self.app.store.alert(&self.hold, low, now);
            write_best_effort("an e-mail about a low balance", alert).await;
        }
        self.left_this_minute(self.app.clock.seconds())
    }

    /// Returns how many more chats may begin in this minute.
    pub(super) fn left_this_minute(&self, now: u64) -> Limit {
        self.hold.left_this_minute(self.limits, now)
    }

    /// Returns the credits of work that can't be settled. All of it is free work.
    pub(super) async fn unsettled(&mut self, usage: &Usage, error: Error) -> Error {
        let work = self.hold.quote().work(usage);
        self.hold.add_free_work(work);
        self.refund(Refund::Counted, error).await
    }

    /// Releases the hold. Returns `error`, or [`Error::AiFailedTokensHeld`] if the release fails.
    pub(super) async fn refund(&self, refund: Refund, error: Error) -> Error {
        let Self { app, hold, limits, .. } = self;
        let released = app.store.release(hold, refund, *limits, app.clock.seconds()).await;
        match released {
            Ok(()) => {
                let error = error.advised(app.config.advice());
                let free_work = hold.free_work().get();
                tracing::info!(user = hold.user_id(), code = error.code(), free_work, "refunded");
                if error != Error::Stopped && refund != Refund::Uncounted {
                    metrics::record(&[(Metric::Refunds, 1)]);
                }
                error
            }
            Err(unknown) => {
                tracing::error!(
                    cause = unknown.cause(),
                    "a release was not confirmed; the tokens return when the lease ends"
                );
                metrics::record(&[(Metric::TokensHeld, hold.quote().hold().get())]);
                Error::AiFailedTokensHeld
            }
        }
    }
}

/// Completes a write that the answer doesn't depend on. A failure is only logged, because the
/// user's next chat retries the write. `what` names the write in the log.
pub(super) async fn write_best_effort(
    what: &str,
    writing: impl Future<Output = store::Result<()>>,
) {
    match timeout(TIME_TO_NOTE, writing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = error.cause(), "{what} wasn't written"),
        Err(_) => tracing::warn!("{what} wasn't written in time"),
    }
}
