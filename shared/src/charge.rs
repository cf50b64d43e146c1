//! Charging a chat. A chat's credits are reserved before the AI is called, and then spent with the
//! answer or returned. docs/internals/money.md explains why balances stay correct whatever fails.

mod context;
mod offer;
mod request;

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

use crate::ai::{Listener, Piece, Prompt};
use crate::app::AiApp;
use crate::error::Failure;
use crate::store::{
    self, Branch, ChatLimits, Conversation, Hold, Refund, ReserveOutcome, SettleOutcome,
    StoreError, chat_month,
};
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::trace;
use crate::values::idempotency::REMEMBERED;
use crate::values::{Chat, Credential, Limit, Message, ParentChat, StoredApiKey, Turn};
use crate::{App, Credits, Error, Request, Result, http};

pub use self::context::Context;
use self::offer::instructions_size;
pub use self::offer::{Offer, prompt_overhead};
use self::request::NOT_IN_CONVERSATION;
pub use self::request::{
    AnswerForm, Body, NewChat, RequestKey, conversation_id, read, read_of_old_client,
};

/// The time that a function reserves for storing the answer or returning the credits.
const TIME_TO_SETTLE: Duration = Duration::from_secs(6);

/// The longest time for which an answer waits for the note that its API key was used, or for the
/// e-mail about a low balance.
const TIME_TO_NOTE: Duration = Duration::from_secs(1);

/// How long a lease lasts after the function's time has ended, in seconds. During this time, the
/// function's last write may still arrive at the store.
const LEASE_AFTER: u64 = 30;

/// The failures that sending a message can have, in addition to the failures of every request.
pub const FAILURES: &[Failure] = &[
    Failure::InsufficientTokens,
    Failure::CostsMore,
    Failure::KeyRunning,
    Failure::KeyReused,
    Failure::ChatDeleted,
    Failure::Stopped,
    Failure::TooManyChats,
    Failure::TooManyChatsThisMinute,
    Failure::TooManyRefunds,
    Failure::PromptTooLong,
    Failure::Filtered,
    Failure::AiFailed,
    Failure::AiFailedTokensHeld,
    Failure::AiOverloaded,
    Failure::AiTimedOut,
    Failure::NotCharged,
];

/// The outcome of [`Charge::begin`].
pub enum BeginOutcome {
    /// The credits are held; the AI is called next.
    Charge(Box<Charge>),
    /// An earlier request with the same idempotency key has finished with this chat. No credits
    /// were taken.
    Replayed(Box<Chat>),
}

/// A chat whose credits are held. If the chat isn't answered, its credits stay held until
/// the lease ends.
pub struct Charge {
    app: AiApp,
    chat_id: Uuid,
    message: Message,
    conversation: Option<String>,
    /// The chat's parent. `None` if the chat continues the main line.
    after: Option<ParentChat>,
    prompt: Prompt,
    offer: Offer,
    /// True if the answer's maximum length was reduced, so that the hold can pay for it.
    shortened: bool,
    hold: Hold,
    /// The API key with which the chat was sent.
    api_key: Option<StoredApiKey>,
    limits: ChatLimits,
    started: u64,
    patience: Duration,
    /// True if the client knows the chat's idempotency key, with which it can stop the chat.
    can_be_stopped: bool,
}

/// A chat that was answered, stored and paid for.
#[derive(Clone, Debug)]
pub struct ChargedChat {
    /// The chat as it is stored.
    pub chat: Chat,
    /// The remaining quota of chats in this minute.
    pub this_minute: Limit,
}

impl Charge {
    /// Reserves the credits for a chat, and reads the conversation that precedes the chat. Call
    /// this after all other checks.
    ///
    /// # Errors
    /// The errors of [`Store::reserve`](crate::store::Store::reserve), [`Error::KeyReused`],
    /// [`Error::ChatDeleted`], [`Error::NoSuchConversation`], and [`Error::Invalid`] if the
    /// conversation lacks the new chat's parent. After an error no credits are taken, with one
    /// exception: the reserve may take credits although it returns [`Error::Unavailable`]. These
    /// credits return after the lease ends. If the conversation or the user's instructions can't be
    /// read after the reserve, the credits are returned. If the credits can't be returned yet, the
    /// error is [`Error::AiFailedTokensHeld`].
    pub async fn begin(
        app: &AiApp,
        req: &Request,
        caller: &Credential,
        asked: NewChat,
    ) -> Result<BeginOutcome> {
        let started = app.clock.millis();
        let (now, time_left) = (started / 1000, http::time_left(req, started));
        let chat_id = app.clock.id();
        let can_be_stopped = asked.key.as_ref().is_some_and(|key| key.by_client);
        let used_before = asked.key.as_ref().filter(|key| !key.fresh);
        let replayed = async {
            match used_before {
                Some(key) => finished(app, caller, key).await,
                None => Ok(None),
            }
        };
        let (replayed, earlier) = tokio::join!(replayed, earlier(app, caller, &asked.context));
        if let Some(chat) = replayed? {
            return Ok(BeginOutcome::Replayed(chat));
        }
        let NewChat { message, context, key, offer, max_cost } = asked;
        let ConversationContext { branch: Branch { ids, after }, instructions } = match earlier? {
            Ok(earlier) => earlier,
            Err(missing) => return refused(app, caller, key.as_ref(), missing, now).await,
        };
        let offer = offer?;
        let given = match &context {
            Context::Given(prompt) => offer.bound(prompt),
            Context::New | Context::Conversation { .. } => None,
        };
        let quote = match &given {
            Some(bound) => bound.quote(),
            None => offer.quote(app, &message, &context),
        };
        let quote = quote.within(max_cost)?;
        let lease_ends = now + time_left.as_secs() + LEASE_AFTER;
        let mut hold = Hold::new(caller, chat_id, quote, lease_ends);
        if let Some(key) = &key {
            hold = hold.keyed(&key.id, &key.fingerprint, now + REMEMBERED);
        }
        let limits = ChatLimits::of_caller(&app.config, caller);
        let (reserved, chats, ()) = tokio::join!(
            app.store.reserve(caller, &mut hold, limits, now),
            app.store.chats_by_id(caller.user_id(), &ids),
            app.ai.renew_keys()
        );
        let reserved = match reserved {
            Ok(ReserveOutcome::Ended) => return ended(app, caller, key.as_ref()).await,
            Ok(ReserveOutcome::Held) => Ok(()),
            Err(poor) if offer.rates().is_some() && available(&poor).is_some() => Err(poor),
            Err(error) => return Err(turned_away(app, &hold, error).await),
        };
        let read = match chats {
            Ok(chats) => own_instructions(app, &hold, &context).await.map(|own| (chats, own)),
            Err(error) => Err(error.into()),
        };
        let (chats, own) = match read {
            Ok(read) => read,
            Err(error) if reserved.is_err() => return Err(abandon(app, &hold, error).await),
            Err(error) => return Err(refund(app, &hold, limits, Refund::Counted, error).await),
        };
        let by_usage = offer.rates().is_some();
        let instructions: Vec<String> = own.into_iter().chain(instructions).collect();
        // Instructions count like earlier messages, so they don't raise the maximum length of a
        // prompt.
        let taken = instructions_size(&instructions, by_usage);
        let room = app.ai.config.context_bytes.saturating_sub(taken);
        let size = |chat: &Chat| match by_usage {
            true => chat.bound(),
            false => chat.size(),
        };
        let prompt = |turns| Prompt { instructions, ..Prompt::after(turns, message.text()) };
        let (conversation, mut prompt) = match context {
            Context::New => (Some(chat_id.to_string()), prompt(vec![])),
            Context::Conversation { id, .. } => (Some(id), prompt(remembered(chats, room, size))),
            Context::Given(prompt) => (None, *prompt),
        };
        let mut shortened = false;
        if let Some(bound) = given.or_else(|| offer.bound(&prompt)) {
            let least = bound.least();
            let mut reserved = reserved;
            // Other chats may lower the balance between two reserves. Each reserve is of less than
            // the one before it, and the last one of at least `least`.
            while let Err(poor) = reserved {
                // The key's owner keeps half of the balance.
                let most = match (&poor, hold.is_limited()) {
                    (StoreError::Refused(Error::InsufficientTokens { balance, .. }), true) => {
                        bound.most().min(balance.part_of(2).max(least))
                    }
                    _ => bound.most(),
                };
                match affordable(&poor, least, most, max_cost) {
                    Ok(held) => hold.change_amount(held),
                    Err(error) => return Err(abandon(app, &hold, error).await),
                }
                reserved = match app.store.reserve(caller, &mut hold, limits, now).await {
                    Ok(ReserveOutcome::Held) => Ok(()),
                    Ok(ReserveOutcome::Ended) => return ended(app, caller, key.as_ref()).await,
                    Err(poor) if available(&poor).is_some() => Err(poor),
                    Err(error) => return Err(turned_away(app, &hold, error).await),
                };
            }
            let held = hold.quote().bound();
            if let Some(tokens) = bound.fit(held) {
                if held < least {
                    let error = too_little(&hold, least, max_cost);
                    return Err(refund(app, &hold, limits, Refund::Uncounted, error).await);
                }
                prompt.max_tokens = Some(tokens);
                shortened = true;
            }
        }
        let time_taken = Duration::from_millis(app.clock.millis().saturating_sub(started));
        let patience =
            app.ai.config.timeout.min(time_left.saturating_sub(time_taken + TIME_TO_SETTLE));
        Ok(BeginOutcome::Charge(Box::new(Self {
            app: app.clone(),
            chat_id,
            message,
            conversation,
            after,
            prompt,
            offer,
            shortened,
            hold,
            api_key: caller.api_key().cloned(),
            limits,
            started,
            patience,
            can_be_stopped,
        })))
    }

    /// Calls the AI, and stores the answer or returns the credits. If the conversation was deleted
    /// meanwhile, the chat is stored without a conversation. A listener gets each piece of the
    /// answer immediately; if the listener disconnects, the chat continues. If the chat is
    /// [stopped](crate::store::Store::stop), the answer is the text that was delivered until then.
    ///
    /// # Errors
    /// The errors of [`Ai::answer`](crate::ai::Ai::answer), [`Error::AiFailedTokensHeld`] if the
    /// credits could not be returned yet, [`Error::NotCharged`] and [`Error::Unavailable`] if the
    /// answer could not be stored.
    pub async fn answer(self, listener: Option<Listener>) -> Result<ChargedChat> {
        let Self {
            app,
            chat_id,
            message,
            conversation,
            after,
            prompt,
            offer,
            shortened,
            mut hold,
            api_key,
            limits,
            started,
            patience,
            can_be_stopped,
        } = self;
        // Don't poll past the deadline.
        let is_watched = can_be_stopped && patience > app.ai.config.stop_pace;
        let answered = {
            let stop = stop(&app, &hold, is_watched);
            let answering = offer.ai.answer(prompt, patience, listener.as_ref(), stop);
            tokio::join!(answering, note_use(&app, api_key.as_ref(), started)).0
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(unanswered) => {
                for usage in &unanswered.worked {
                    let price = hold.quote().charge(usage);
                    // The provider may have written or reasoned more than it has sent.
                    let least = match usage.estimated && hold.quote().depends_on_usage() {
                        true => limits.of_cut(),
                        false => Credits::ZERO,
                    };
                    hold.add_free_work(price.max(least));
                }
                return Err(refund(&app, &hold, limits, Refund::Counted, unanswered.into()).await);
            }
        };
        let by_usage = hold.quote().depends_on_usage();
        // Unless a stopped answer was streamed, the function can't know how much of it the provider
        // has written.
        let whole = answer.stopped && listener.is_none() && by_usage;
        if by_usage && answer.closed && answer.usage.estimated && !whole {
            hold.add_free_work(limits.of_cut());
        }
        let quote = hold.quote();
        let cost = if whole { quote.bound() } else { quote.charge(&answer.usage) };
        let uncovered = quote.price(&answer.usage).checked_sub(quote.bound()).unwrap_or_default();
        if uncovered > Credits::ZERO {
            metrics::record(&[(Metric::Uncovered, uncovered.get())]);
        }
        let back = quote.bound().checked_sub(cost).unwrap_or_default();
        let mut chat = Chat {
            user_id: hold.user_id().to_owned(),
            chat_id: chat_id.to_string(),
            message: message.text().to_owned(),
            response: answer.text,
            calls: answer.calls,
            model: answer.model,
            cut: answer.cut,
            stopped: answer.stopped,
            usage: Some(answer.usage),
            cost,
            units: Some(quote.units()).filter(|units| *units > 1),
            receipt: offer.receipt(&hold, shortened, whole),
            tokens_left: hold.balance_after().checked_add(back).unwrap_or(Credits::MAX),
            time: started,
            month: chat_month(hold.user_id(), &chat_id.to_string()),
            name: hold.name().to_owned(),
            ..Chat::default()
        }
        .of(conversation, after.as_ref());
        hold.earn(cost, limits);
        if let Err(error) = app.store.begin_free_work(&hold).await {
            tracing::warn!(cause = error.cause(), "free work can't be counted");
            hold.count_no_free_work();
        }
        let now = app.clock.seconds();
        loop {
            let settled = app.store.settle(&hold, &chat, now).await?;
            if settled != SettleOutcome::Stored {
                metrics::record(&[(Metric::SettleConflicts, 1)]);
            }
            match settled {
                SettleOutcome::Stored => {
                    metrics::record(&[(Metric::Chats, 1)]);
                    let low = app.ai.config.low_balance;
                    if chat.tokens_left < low {
                        let alert = app.store.alert(&hold, low, now);
                        by_the_way("an e-mail about a low balance", alert).await;
                    }
                    return Ok(ChargedChat {
                        chat,
                        this_minute: hold.left_this_minute(limits, app.clock.seconds()),
                    });
                }
                // The AI has answered, so deleting the conversation must not make the answer free.
                SettleOutcome::NoConversation => {
                    (hold, chat) = (hold.with_new_request_token(), chat.of(None, None))
                }
                // A client that has received the answer pays for it.
                SettleOutcome::KeyUsed if listener.is_some() => {
                    hold = hold.with_new_request_token().unrecorded()
                }
                SettleOutcome::KeyUsed | SettleOutcome::TooLate => {
                    hold.add_free_work(cost);
                    return Err(
                        refund(&app, &hold, limits, Refund::Counted, Error::NotCharged).await
                    );
                }
            }
        }
    }
}

/// Completes a write that an answer doesn't depend on. A failure is only logged: `what` names the
/// thing that wasn't written, and the user's next chat tries again.
async fn by_the_way(what: &str, writing: impl Future<Output = store::Result<()>>) {
    match timeout(TIME_TO_NOTE, writing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = error.cause(), "{what} wasn't written"),
        Err(_) => tracing::warn!("{what} wasn't written in time"),
    }
}

/// Notes the day on which the API key was used.
async fn note_use(app: &AiApp, api_key: Option<&StoredApiKey>, now: u64) {
    if let Some(key) = api_key {
        by_the_way("the last use of an API key", app.store.note_use(key, now)).await;
    }
}

/// Completes when the user has stopped the chat of this hold. Polls the store. The first poll comes
/// after one interval, so an answer that is complete earlier costs no read. Never completes unless
/// `is_watched`.
async fn stop(app: &AiApp, hold: &Hold, is_watched: bool) {
    if !is_watched {
        future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(app.ai.config.stop_pace).await;
        match app.store.is_stopped(hold).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(cause = error.cause(), "can't read whether a message was stopped");
            }
        }
    }
}

/// An answer that arrives piece by piece. A separate task completes and stores the answer. If the
/// client disconnects, the answer is still stored, and charged once.
pub struct AnswerStream {
    chat_id: String,
    began: u64,
    /// The model's name in the price list, if there is one.
    listed: Option<String>,
    first: Option<Piece>,
    pieces: UnboundedReceiver<Piece>,
    outcome: BoxFuture<'static, Result<ChargedChat>>,
}

impl AnswerStream {
    /// Calls the AI, and waits for reasoning, a part of the answer, or the end of an empty answer.
    /// Waits only as long as a stream may be silent, so that proxies don't cut off a slow model's
    /// stream.
    ///
    /// # Errors
    /// The errors of [`Charge::answer`], if it fails during this wait.
    pub async fn begin(charge: Box<Charge>) -> Result<Self> {
        let (chat_id, began) = (charge.chat_id.to_string(), charge.started);
        let silence = charge.app.ai.config.silence;
        let listed = charge.offer.listed_name().map(str::to_owned);
        let (listener, mut pieces) = unbounded_channel();
        let (answer, trace) = (charge.answer(Some(listener)).boxed(), trace::current());
        let answering = async move { trace::scope(trace.as_ref(), pin!(answer)).await };
        let answering = tokio::spawn(answering.in_current_span());
        let outcome = async { answering.await.unwrap_or_else(broken) };
        let (first, outcome) = match timeout(silence, pieces.recv()).await {
            Ok(Some(first)) => (Some(first), outcome.boxed()),
            Ok(None) => (None, future::ok(outcome.await?).boxed()),
            Err(_) => (None, outcome.boxed()),
        };
        Ok(Self { chat_id, began, listed, first, pieces, outcome })
    }

    /// Returns the chat's id.
    pub fn chat_id(&self) -> &str {
        &self.chat_id
    }

    /// Returns when the chat was sent, in milliseconds since 1970.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Returns the next piece. `None` after the last piece. The piece has the model's name in the
    /// price list, if there is one.
    pub async fn next(&mut self) -> Option<Piece> {
        loop {
            let piece = match self.first.take() {
                Some(first) => first,
                None => self.pieces.recv().await?,
            };
            if piece.text.is_empty() && piece.call.is_none() {
                continue;
            }
            return Some(match &self.listed {
                Some(listed) => Piece { model: listed.clone(), ..piece },
                None => piece,
            });
        }
    }

    /// Waits until the answer is stored, or the credits are returned.
    ///
    /// # Errors
    /// The errors of [`Charge::answer`].
    pub async fn end(self) -> Result<ChargedChat> {
        self.outcome.await
    }
}

fn broken<T>(_: JoinError) -> Result<T> {
    Err(Error::Internal("answering panicked; the tokens return when the lease ends".into()))
}

/// The parts of a conversation that the AI gets with a new message.
#[derive(Default)]
struct ConversationContext {
    /// The chats that precede the new chat.
    branch: Branch,
    /// The user's instructions for the conversation.
    instructions: Option<String>,
}

/// Reads the part of the conversation that precedes the new message. The inner error means that the
/// conversation doesn't exist, or lacks the new chat's parent.
async fn earlier(
    app: &AiApp,
    caller: &Credential,
    context: &Context,
) -> Result<Result<ConversationContext>> {
    let Context::Conversation { id, after } = context else {
        return Ok(Ok(ConversationContext::default()));
    };
    let (user_id, count) = (caller.user_id(), app.ai.config.context_chats);
    let (conversation, newest) = tokio::try_join!(
        app.store.conversation(user_id, id),
        app.store.newest_chats(user_id, id, count)
    )?;
    let Some(Conversation { instructions, .. }) = conversation else {
        return Ok(Err(Error::NoSuchConversation));
    };
    let branch = app.store.branch(user_id, id, newest, after.as_ref(), count).await?;
    Ok(match branch {
        Some(branch) => Ok(ConversationContext { branch, instructions }),
        None => Err(Error::field("after", NOT_IN_CONVERSATION)),
    })
}

/// Handles a missing conversation or parent. A retried request may have started before the
/// deletion, so its idempotency key is checked first.
async fn refused(
    app: &App,
    caller: &Credential,
    key: Option<&RequestKey>,
    missing: Error,
    now: u64,
) -> Result<BeginOutcome> {
    // If the account doesn't accept the credential, the caller learns nothing else.
    let account = app.store.account_with(caller).await?;
    let Some(key) = key else { return Err(missing) };
    match account.reservations.get(&key.id).filter(|running| running.expires_at > now) {
        Some(running) if running.fingerprint != key.fingerprint => Err(Error::KeyReused),
        Some(_) => Err(Error::KeyRunning { seconds: 5 }),
        // Read the idempotency key's record after the account. In the reverse order, a request that
        // ends between the two reads would be missed.
        None => finished(app, caller, key).await?.map(BeginOutcome::Replayed).ok_or(missing),
    }
}

/// Returns the user's instructions for all conversations. Reads the store only if the account has
/// instructions, and only for a message in this API's own form, because OpenAI's clients send
/// everything that the AI should know.
async fn own_instructions(app: &App, hold: &Hold, context: &Context) -> Result<Option<String>> {
    match context {
        Context::New | Context::Conversation { .. } if hold.is_instructed() => {
            Ok(app.store.instructions(hold.user_id()).await?)
        }
        _ => Ok(None),
    }
}

/// Returns the last chats whose sizes fit into `room` together, as turns, oldest first.
fn remembered(newest_first: Vec<Chat>, room: usize, size: impl Fn(&Chat) -> usize) -> Vec<Turn> {
    let mut left = room;
    let fits = |chat: &Chat| {
        let rest = left.checked_sub(size(chat));
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let mut last: Vec<Chat> = newest_first.into_iter().take_while(fits).collect();
    last.reverse();
    // Leave out blank turns, such as the empty answer of a stopped chat, because some providers
    // refuse them.
    last.iter().flat_map(Chat::turns).filter(|turn| !turn.is_blank()).collect()
}

/// Returns the stored result of an earlier request with this idempotency key. `None` if no earlier
/// request with the key has finished. Writes nothing, and doesn't call the AI.
///
/// # Errors
/// [`Error::NoSuchModel`] if the caller may not use the model that has answered,
/// [`Error::KeyReused`], and [`Error::ChatDeleted`].
async fn finished(app: &App, caller: &Credential, key: &RequestKey) -> Result<Option<Box<Chat>>> {
    let Some(record) = app.store.record(&key.id, app.clock.seconds()).await? else {
        return Ok(None);
    };
    let (account, chat) = tokio::join!(
        app.store.account_with(caller),
        app.store.chat(caller.user_id(), &record.result_id)
    );
    account?;
    if record.fingerprint != key.fingerprint {
        return Err(Error::KeyReused);
    }
    let chat = chat?.ok_or(Error::ChatDeleted)?;
    // The request may name no model, so only the stored chat says which model has answered.
    match caller.may_use(chat.model_name()) {
        true => Ok(Some(Box::new(chat))),
        false => Err(Error::NoSuchModel(Some(chat.model_name().to_owned()))),
    }
}

/// Handles a reserve that found that an earlier request with the same idempotency key has ended.
async fn ended(app: &App, caller: &Credential, key: Option<&RequestKey>) -> Result<BeginOutcome> {
    let chat = match key {
        Some(key) => finished(app, caller, key).await?,
        None => None,
    };
    chat.map(BeginOutcome::Replayed).ok_or(Error::KeyRunning { seconds: 5 })
}

/// Returns the credits that a chat may hold, after a reserve was refused because there are too few.
/// `None` if the reserve was refused for another reason.
fn available(refused: &StoreError) -> Option<Credits> {
    match refused {
        StoreError::Refused(Error::InsufficientTokens { balance, .. }) => Some(*balance),
        StoreError::Refused(Error::KeyLimitReached { limit, spent, .. }) => {
            Some(limit.tokens.checked_sub(*spent).unwrap_or_default())
        }
        _ => None,
    }
}

/// Returns the amount to reserve, after the balance or the API key's limit was too low for the
/// quote's bound: enough for the longest answer to the real prompt, or all that is available if that
/// is less.
///
/// # Errors
/// [`Error::InsufficientTokens`], [`Error::KeyLimitReached`] or [`Error::CostsMore`] if the balance,
/// the limit or `max_cost` is less than `least`.
fn affordable(
    poor: &StoreError,
    least: Credits,
    most: Credits,
    max_cost: Option<Credits>,
) -> Result<Credits> {
    let Some(available) = available(poor) else { return Err(poor.clone().into()) };
    match max_cost.filter(|max_cost| *max_cost < least) {
        Some(most) => Err(Error::CostsMore { cost: least, most }),
        None if available < least => Err(match Error::from(poor.clone()) {
            Error::InsufficientTokens { balance, held, next, .. } => Error::InsufficientTokens {
                cost: least,
                balance,
                held,
                by_usage: true,
                next,
                advice: None,
            },
            Error::KeyLimitReached { limit, spent, resets, .. } => {
                Error::KeyLimitReached { cost: least, limit, spent, resets }
            }
            other => other,
        }),
        None => Ok(most.min(available).min(max_cost.unwrap_or(Credits::MAX))),
    }
}

/// Returns the failure of a hold that is less than `least`.
fn too_little(hold: &Hold, least: Credits, max_cost: Option<Credits>) -> Error {
    let held = hold.quote().bound();
    match max_cost.filter(|max_cost| *max_cost < least) {
        Some(most) => Error::CostsMore { cost: least, most },
        None => Error::InsufficientTokens {
            cost: least,
            balance: hold.balance_after().checked_add(held).unwrap_or(Credits::MAX),
            held: Credits::ZERO,
            by_usage: true,
            next: hold.next_allowance(),
            advice: None,
        },
    }
}

/// Returns the failure of a refused reserve whose amount can't be changed.
async fn turned_away(app: &AiApp, hold: &Hold, refused: StoreError) -> Error {
    match refused {
        StoreError::Refused(Error::KeyLimitReached { .. }) => {
            abandon(app, hold, refused.into()).await
        }
        refused => Error::from(refused).advised(app.config.advice()),
    }
}

/// Returns `error`, after a refused reserve. If the reserve may still arrive at the store, its hold's
/// id is closed first: the user may buy credits after the refusal, and a late copy must not take
/// them.
async fn abandon(app: &AiApp, hold: &Hold, error: Error) -> Error {
    let error = error.advised(app.config.advice());
    if !hold.may_be_late() {
        return error;
    }
    match app.store.abandon(hold, app.clock.seconds()).await {
        Ok(()) => error,
        Err(unknown) => unknown.into(),
    }
}

/// Releases the hold. Returns `error`, or a failure that says that the credits are still held.
async fn refund(
    app: &AiApp,
    hold: &Hold,
    limits: ChatLimits,
    refund: Refund,
    error: Error,
) -> Error {
    let released = app.store.release(hold, refund, limits, app.clock.seconds()).await;
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
            metrics::record(&[(Metric::TokensHeld, hold.quote().bound().get())]);
            Error::AiFailedTokensHeld
        }
    }
}
