//! Charging a chat. A chat's credits are held before the AI is called, and then either spent when
//! the answer is stored, or returned. docs/internals/money.md explains why balances are always
//! correct, even after failures.

mod begin;
mod chosen_model;
mod context;
mod embeddings;
mod files;
mod paid_work;
mod request;

use std::collections::HashSet;
use std::mem;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::Instrument;

use crate::ai::{Answer, Listener, Piece, Prompt};
use crate::app::AiApp;
use crate::charge::paid_work::{PaidWork, write_best_effort};
use crate::error::Failure;
use crate::store::{Hold, SettleOutcome, chat_month, temporary_chats};
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::trace;
use crate::values::{Chat, FileInfo, Limit, Message, ParentChat, Usage};
use crate::{Credits, Error, Result};

pub use self::begin::BeginOutcome;
pub use self::chosen_model::{ChosenModel, prompt_overhead};
pub use self::context::Context;
pub use self::embeddings::{EMBEDDING_FAILURES, NewEmbeddings, PaidEmbeddings, embed};
pub use self::paid_work::LEASE_AFTER;
pub use self::request::{
    AnswerForm, Body, NewChat, RequestKey, conversation_id, folder_id, read, read_of_old_client,
};

/// The time limit for an answer that isn't streamed. API Gateway closes a connection that is silent
/// for five minutes
/// ([limits](https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html)),
/// and the client would pay for an answer that it doesn't get.
const LONGEST_SILENCE: Duration = Duration::from_secs(280);

/// The ways in which sending a message can fail, beyond the failures that are common to all
/// requests.
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
    Failure::AiDenied,
    Failure::AiFailedTokensHeld,
    Failure::AiOverloaded,
    Failure::AiTimedOut,
    Failure::NotCharged,
    Failure::ChatsFull,
];

/// A chat whose credits are held. If the chat is never answered, the credits stay held until the
/// lease ends.
pub struct Charge {
    work: PaidWork,
    message: Message,
    conversation: Option<String>,
    /// When the chat is deleted, in seconds since 1970, if it is temporary.
    expires_at: Option<u64>,
    /// The id of the folder of a new conversation.
    new_folder: Option<String>,
    /// The chat's parent. `None` if the chat continues the main line.
    after: Option<ParentChat>,
    prompt: Prompt,
    /// The high count of the prompt's model tokens. 0 for a flat fare.
    high: u64,
    /// The message's files, which are stored.
    files: Vec<FileInfo>,
    /// The ids of the conversation's pictures that the AI no longer gets.
    over: HashSet<String>,
    model: ChosenModel,
    /// True if the maximum length of the answer was reduced to fit the hold.
    shortened: bool,
    /// True if the client chose the chat's idempotency key, and can therefore use the key to stop
    /// the chat.
    can_be_stopped: bool,
}

/// A chat that was answered, stored and paid for.
#[derive(Clone, Debug)]
pub struct ChargedChat {
    /// The stored chat.
    pub chat: Chat,
    /// How many more chats may begin in this minute.
    pub this_minute: Limit,
}

impl Charge {
    /// Calls the AI, and stores the answer or returns the credits. If the conversation is deleted
    /// in the meantime, the chat is stored without a conversation. A listener receives each piece
    /// of the answer immediately; if it disconnects, the chat continues. If the chat is
    /// [stopped](crate::store::Store::stop), the answer is the text that was delivered up to then.
    ///
    /// # Errors
    /// Returns the same errors as [`Ai::answer`](crate::ai::Ai::answer),
    /// [`Error::AiFailedTokensHeld`] if the credits couldn't be returned yet, and
    /// [`Error::NotCharged`], [`Error::ChatsFull`] or [`Error::Unavailable`] if the answer couldn't
    /// be stored.
    pub async fn answer(mut self, listener: Option<Listener>) -> Result<ChargedChat> {
        let answer = self.ask(listener.as_ref()).await?;
        let chat = self.priced(answer, listener.is_some());
        self.settle(chat, listener.is_some()).await
    }

    /// Calls the AI. If the AI doesn't answer, returns the credits.
    async fn ask(&mut self, listener: Option<&Listener>) -> Result<Answer> {
        let prompt = mem::take(&mut self.prompt);
        let (app, hold) = (&self.work.app, &self.work.hold);
        let patience = patience(self.work.patience(), listener.is_some());
        // Don't poll past the deadline.
        let is_watched = self.can_be_stopped && patience > app.ai.config.stop_pace;
        let stop = stop(app, hold, is_watched);
        let answering = self.model.ai.answer(prompt, patience, listener, stop);
        let (answered, ()) = tokio::join!(answering, self.work.note_use());
        let unanswered = match answered {
            Ok(answer) => return Ok(answer),
            Err(unanswered) => unanswered,
        };
        if !self.files.is_empty() {
            // The store has written the files, and the sweep deletes them.
            self.work.hold.add_free_work(self.work.limits.free_work_of_cut());
        }
        let quote = self.work.hold.quote();
        let price = |usage: &Usage| quote.work(usage).max(self.uncounted_work(usage));
        let worked: Vec<Credits> = unanswered.worked.iter().map(price).collect();
        Err(self.work.fail(unanswered, &worked).await)
    }

    /// Returns how much free work to count for work whose model tokens the provider hasn't counted.
    /// It may have generated more text or reasoning than it has sent, and the prompt may have more
    /// model tokens than the estimate that the user pays for.
    fn uncounted_work(&self, usage: &Usage) -> Credits {
        let quote = self.work.hold.quote();
        if !usage.estimated || !quote.depends_on_usage() {
            return Credits::ZERO;
        }
        let counted = u64::from(usage.prompt_tokens);
        let of_prompt = match usage.prompt_estimated {
            true => quote.of_prompt(self.high.saturating_sub(counted)),
            false => Credits::ZERO,
        };
        self.work.limits.free_work_of_cut().max(of_prompt)
    }

    /// Returns the chat with its answer and its cost. If the answer was cut off before its model
    /// tokens were counted, adds an estimate to the hold's free work.
    fn priced(&mut self, answer: Answer, is_streamed: bool) -> Chat {
        let by_usage = self.work.hold.quote().depends_on_usage();
        // A stopped answer that wasn't streamed costs the whole hold, because the function can't
        // tell how much of it the provider has generated.
        let costs_whole_hold = answer.stopped && !is_streamed && by_usage;
        if answer.closed && !costs_whole_hold {
            self.work.hold.add_free_work(self.uncounted_work(&answer.usage));
        }
        let quote = self.work.hold.quote();
        let cost = if costs_whole_hold { quote.hold() } else { quote.charge(&answer.usage) };
        let receipt = self.model.receipt(&self.work.hold, self.shortened, costs_whole_hold);
        let paid = self.work.pay(cost, answer.usage, answer.model, receipt);
        Chat {
            month: match self.expires_at {
                None => chat_month(&paid.user_id, &paid.id),
                Some(_) => temporary_chats(&paid.user_id),
            },
            user_id: paid.user_id,
            expires_at: self.expires_at,
            folder: self.new_folder.clone(),
            chat_id: paid.id,
            message: self.message.text().to_owned(),
            files: self.files.clone(),
            response: answer.text,
            refused: answer.refused,
            reasoning: answer.reasoning,
            calls: answer.calls,
            blocks: answer.blocks,
            model: paid.model,
            cut: answer.cut,
            stop_details: answer.stop_details,
            stopped: answer.stopped,
            usage: paid.usage,
            cost: paid.cost,
            units: paid.units,
            receipt: paid.receipt,
            tokens_left: paid.tokens_left,
            time: paid.time,
            name: self.work.hold.name().to_owned(),
            ..Chat::default()
        }
        .with_place(self.conversation.clone(), self.after.as_ref())
    }

    /// Stores the chat and spends its cost. If the chat can't be stored, returns the credits.
    async fn settle(mut self, mut chat: Chat, is_streamed: bool) -> Result<ChargedChat> {
        self.work.prepare_free_work(chat.cost).await;
        // All attempts use the same time. If the conversation was deleted or the key was used, a
        // second attempt follows, which must not be refused just because the lease has ended in the
        // meantime.
        let now = self.work.app.clock.seconds();
        let mut is_stored = true;
        loop {
            let store = &self.work.app.store;
            let settled = match is_stored {
                true => store.settle(&self.work.hold, &chat, now).await?,
                false => store.settle_unstored(&self.work.hold, &chat, now).await?,
            };
            if settled != SettleOutcome::Stored {
                metrics::record(&[(Metric::SettleConflicts, 1)]);
            }
            match settled {
                SettleOutcome::Stored => {
                    let (usage, left) = (chat.usage.unwrap_or_default(), chat.tokens_left);
                    let this_minute = self.work.settled(chat.cost, &usage, left, now).await;
                    self.forget_old_pictures(&chat).await;
                    return Ok(ChargedChat { chat, this_minute });
                }
                // The AI has answered, so deleting the conversation must not make the answer free.
                SettleOutcome::NoConversation => {
                    self.work.hold = self.work.hold.with_new_settle_token();
                    // Without a conversation, nothing erases a temporary chat's files in time. If
                    // the chat lists none, the sweep deletes them.
                    if chat.is_temporary() {
                        chat.files.clear();
                    }
                    chat = chat.with_place(None, None);
                }
                // The client has already received the answer, so it is charged.
                SettleOutcome::KeyUsed if is_streamed => {
                    self.work.hold = self.work.hold.with_new_settle_token().unrecorded();
                }
                SettleOutcome::Full { .. } if is_streamed => {
                    self.work.hold = self.work.hold.with_new_settle_token();
                    is_stored = false;
                    // The sweep deletes files that no chat lists.
                    chat.files.clear();
                    chat = chat.with_place(None, None);
                }
                SettleOutcome::Full { in_doubt: true } => {
                    return Err(Error::Unavailable("the settle may still be applied".into()));
                }
                SettleOutcome::KeyUsed
                | SettleOutcome::TooLate
                | SettleOutcome::Full { in_doubt: false } => {
                    let error = match settled {
                        SettleOutcome::Full { .. } => Error::ChatsFull,
                        _ => Error::NotCharged,
                    };
                    let usage = chat.usage.unwrap_or_default();
                    return Err(self.work.unsettled(&usage, error).await);
                }
            }
        }
    }
}

impl Charge {
    /// Removes the pictures from the conversation's list that the AI no longer gets. If this fails,
    /// the conversation's next message with pictures removes them.
    async fn forget_old_pictures(&self, chat: &Chat) {
        let Some(conversation) = chat.conversation.as_deref() else { return };
        if self.over.is_empty() || chat.files.is_empty() {
            return;
        }
        let is_over = |file: &FileInfo| self.over.contains(&file.id);
        let leaving = self.work.app.store.leave_context(&chat.user_id, conversation, is_over);
        write_best_effort("the list of a conversation's pictures", leaving).await;
    }
}

/// Returns how long the AI may take for an answer, if the function can wait this long.
fn patience(of_function: Duration, is_streamed: bool) -> Duration {
    if is_streamed { of_function } else { of_function.min(LONGEST_SILENCE) }
}

/// Completes once the user has stopped this hold's chat. Polls the store at regular intervals. The
/// first poll comes after one interval, so a fast answer doesn't cost a read. Never completes if
/// `is_watched` is false.
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
    /// The model's name in the price list. `None` without a price list.
    listed: Option<String>,
    this_minute: Limit,
    first: Option<Piece>,
    pieces: UnboundedReceiver<Piece>,
    outcome: BoxFuture<'static, Result<ChargedChat>>,
}

impl AnswerStream {
    /// Calls the AI, and waits until it sends reasoning or a part of the answer, or finishes an
    /// empty answer. If the model is slow, returns before proxies would cut off a silent stream.
    ///
    /// # Errors
    /// Returns the same errors as [`Charge::answer`] if the answer fails during this wait.
    pub async fn begin(charge: Box<Charge>) -> Result<Self> {
        let (chat_id, began) = (charge.work.hold.chat_id().to_owned(), charge.work.started);
        let silence = charge.work.app.ai.config.silence;
        let now = charge.work.app.clock.seconds();
        let this_minute = charge.work.left_this_minute(now);
        let listed = charge.model.listed_name().map(str::to_owned);
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
        Ok(Self { chat_id, began, listed, this_minute, first, pieces, outcome })
    }

    /// Returns the chat's id.
    pub fn chat_id(&self) -> &str {
        &self.chat_id
    }

    /// Returns how many more chats could begin in this minute when the answer began.
    pub fn this_minute(&self) -> &Limit {
        &self.this_minute
    }

    /// Returns when the chat was sent, in milliseconds since 1970.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Returns the next piece. `None` after the last piece. If the model is in the price list, the
    /// piece contains its name in the list.
    pub async fn next(&mut self) -> Option<Piece> {
        loop {
            let piece = match self.first.take() {
                Some(first) => first,
                None => self.pieces.recv().await?,
            };
            if piece.is_empty() {
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
    /// Returns the same errors as [`Charge::answer`].
    pub async fn end(self) -> Result<ChargedChat> {
        self.outcome.await
    }
}

fn broken<T>(error: JoinError) -> Result<T> {
    // A panic's message may quote a user's text, so it stays out of the log.
    let how = if error.is_panic() { "panicked" } else { "was cancelled" };
    Err(Error::Internal(format!("answering {how}; the tokens return when the lease ends")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn panics() {
        panic!("a bug");
    }

    #[test]
    fn whole_answers_end_before_the_gateway_closes_the_connection() {
        let seconds = Duration::from_secs;
        for (of_function, streamed, whole) in [(20, 20, 20), (100, 100, 100), (580, 580, 280)] {
            assert_eq!(patience(seconds(of_function), true), seconds(streamed));
            assert_eq!(patience(seconds(of_function), false), seconds(whole));
        }
    }

    #[tokio::test]
    async fn an_answer_that_panics_is_told_from_a_cancelled_one() {
        let (panicked, stopped) = (tokio::spawn(panics()), tokio::spawn(future::pending()));
        stopped.abort();
        for (task, cause) in [(panicked, "panicked"), (stopped, "was cancelled")] {
            let error = task.await.map_or_else(broken::<()>, Ok).unwrap_err();
            assert!(error.cause().is_some_and(|text| text.contains(cause)), "{error:?}");
        }
    }
}
