//! Charging a chat: its tokens are taken before the AI is asked, and spent with the answer, or
//! given back. docs/money.md tells why that is right whatever breaks.

mod asked;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinError;
use tracing::Instrument;
use uuid::Uuid;

use crate::ai::{Listener, Piece, Prompt, Turn};
use crate::app::Asking;
use crate::auth::AccessToken;
use crate::chat::{Chat, Message};
use crate::idempotency::REMEMBERED;
use crate::limit::Limit;
use crate::store::{ChatLimits, Hold, Reserved, Settled, chat_month};
use crate::{App, Error, Request, Result, http};

pub use self::asked::{Asked, Body, Context, Keyed, conversation_id, read};

/// What is kept of the function's time for storing the answer, or giving the tokens back.
const TIME_TO_SETTLE: Duration = Duration::from_secs(6);

/// How long after the function's time a lease lasts, in seconds: its last write may be on its way
/// that long.
const LEASE_AFTER: u64 = 30;

/// What a chat fails with beside what everything fails with, by the names that
/// [`crate::openapi::failures`] has for them.
pub const FAILURES: &[&str] = &[
    "InsufficientTokens",
    "KeyRunning",
    "KeyReused",
    "ChatDeleted",
    "TooManyChats",
    "TooManyChatsThisMinute",
    "TooManyRefunds",
    "AiFailed",
    "AiFailedTokensHeld",
    "AiOverloaded",
    "AiTimedOut",
    "NotCharged",
];

/// What a request for a chat comes to.
pub enum Begun {
    /// The tokens are held; the AI is to be asked.
    Charge(Box<Charge>),
    /// Its key has finished before: this is the chat that it made. Nothing was taken.
    Replayed(Box<Chat>),
}

/// A chat whose tokens are held. It must be answered, or else they stay held until its lease ends.
pub struct Charge {
    app: Asking,
    chat_id: Uuid,
    message: Message,
    conversation: Option<String>,
    prompt: Prompt,
    hold: Hold,
    limits: ChatLimits,
    started: u64,
    patience: Duration,
}

/// A chat that is answered, stored and paid.
#[derive(Clone, Debug)]
pub struct Paid {
    /// The chat.
    pub chat: Chat,
    /// What is left of this minute's chats.
    pub this_minute: Limit,
}

impl Charge {
    /// Takes the tokens of a chat, and reads what was said before. Everything else that can be
    /// refused must have been before.
    ///
    /// # Errors
    /// Those of [`Store::reserve`](crate::store::Store::reserve), [`Error::KeyReused`],
    /// [`Error::ChatDeleted`] and [`Error::NoSuchConversation`]; after each of them nothing was
    /// taken.
    pub async fn begin(
        app: &Asking,
        req: &Request,
        caller: &AccessToken,
        asked: Asked,
    ) -> Result<Begun> {
        let started = app.clock.millis();
        let (now, time_left) = (started / 1000, http::time_left(req, started));
        let chat_id = app.clock.id();
        let mut hold = Hold::new(
            caller,
            chat_id,
            app.config.chat_price,
            now + time_left.as_secs() + LEASE_AFTER,
        );
        if let Some(key) = &asked.key {
            hold = hold.keyed(&key.id, &key.fingerprint, now + REMEMBERED);
        }
        let used_before = asked.key.as_ref().filter(|key| !key.fresh);
        let replayed = async {
            match used_before {
                Some(key) => finished(app, caller, key).await,
                None => Ok(None),
            }
        };
        let (replayed, ids) = tokio::join!(replayed, earlier(app, caller, &asked.context));
        if let Some(chat) = replayed? {
            return Ok(Begun::Replayed(chat));
        }
        let ids = ids?;
        let limits = ChatLimits::of(&app.config);
        let (reserved, chats) = tokio::join!(
            app.store.reserve(caller, &mut hold, limits, now),
            app.store.chats_by_id(&caller.user_id, &ids)
        );
        let reserved = reserved?;
        if let (Reserved::Ended, Some(key)) = (reserved, &asked.key) {
            let chat = finished(app, caller, key).await?;
            return chat.map(Begun::Replayed).ok_or(Error::KeyRunning { seconds: 5 });
        }
        let chats = match chats {
            Ok(chats) => chats,
            Err(error) => return Err(refund(app, &hold, error).await),
        };
        let Asked { message, context, .. } = asked;
        let (conversation, prompt) = match context {
            Context::New => (Some(chat_id.to_string()), Prompt::after(vec![], message.text())),
            Context::Conversation(id) => (
                Some(id),
                Prompt::after(remembered(chats, app.ai.config.context_bytes), message.text()),
            ),
            Context::Given(prompt) => (None, prompt),
        };
        let time_taken = Duration::from_millis(app.clock.millis().saturating_sub(started));
        let patience =
            app.ai.config.timeout.min(time_left.saturating_sub(time_taken + TIME_TO_SETTLE));
        Ok(Begun::Charge(Box::new(Self {
            app: app.clone(),
            chat_id,
            message,
            conversation,
            prompt,
            hold,
            limits,
            started,
            patience,
        })))
    }

    /// Asks the AI, and stores the chat or gives the tokens back. The chat is stored outside of any
    /// conversation where its own was deleted meanwhile. A listener is told each piece of the
    /// answer as it comes; whether it is still there changes nothing.
    ///
    /// # Errors
    /// Those of [`Ai::answer`](crate::ai::Ai::answer), [`Error::AiFailedTokensHeld`] where the
    /// tokens could not be given back yet, [`Error::NotCharged`] and [`Error::Unavailable`]
    /// where the answer could not be stored.
    pub async fn answer(self, listener: Option<Listener>) -> Result<Paid> {
        let Self {
            app,
            chat_id,
            message,
            conversation,
            prompt,
            mut hold,
            limits,
            started,
            patience,
        } = self;
        let answer = match app.ai.answer(prompt, patience, listener.as_ref()).await {
            Ok(answer) => answer,
            Err(error) => return Err(refund(&app, &hold, error).await),
        };
        let mut chat = Chat {
            user_id: hold.user_id().to_owned(),
            chat_id: chat_id.to_string(),
            message: message.text().to_owned(),
            response: answer.text,
            model: answer.model,
            cut: answer.cut,
            usage: answer.usage,
            cost: app.config.chat_price,
            tokens_left: hold.tokens_left(),
            time: started,
            month: chat_month(hold.user_id(), &chat_id.to_string()),
            name: hold.name().to_owned(),
            ..Chat::default()
        }
        .of(conversation);
        let now = app.clock.seconds();
        loop {
            match app.store.settle(&hold, &chat, now).await? {
                Settled::Stored => {
                    return Ok(Paid {
                        chat,
                        this_minute: hold.left_this_minute(limits, app.clock.seconds()),
                    });
                }
                // The AI has answered: deleting the conversation must not make that free.
                Settled::NoConversation => (hold, chat) = (hold.once_more(), chat.of(None)),
                // A client that has received the answer pays for it.
                Settled::KeyUsed if listener.is_some() => hold = hold.once_more().unrecorded(),
                Settled::KeyUsed | Settled::TooLate => {
                    return Err(refund(&app, &hold, Error::NotCharged).await);
                }
            }
        }
    }
}

/// An answer that comes piece by piece. It goes on to its end in a task of its own: whoever goes
/// away in the middle has been answered all the same, and pays once for what is stored.
pub struct Answering {
    chat_id: String,
    began: u64,
    first: Option<Piece>,
    pieces: UnboundedReceiver<Piece>,
    outcome: BoxFuture<'static, Result<Paid>>,
}

impl Answering {
    /// Asks the AI, and waits for the first piece, or for the end of an empty answer.
    ///
    /// # Errors
    /// Those of [`Charge::answer`], where there is no first piece.
    pub async fn begin(charge: Box<Charge>) -> Result<Self> {
        let (chat_id, began) = (charge.chat_id.to_string(), charge.started);
        let (listener, mut pieces) = unbounded_channel();
        let answering = tokio::spawn(charge.answer(Some(listener)).in_current_span());
        let outcome = async { answering.await.unwrap_or_else(broken) };
        let first = pieces.recv().await;
        let outcome = match first {
            Some(_) => outcome.boxed(),
            None => future::ok(outcome.await?).boxed(),
        };
        Ok(Self { chat_id, began, first, pieces, outcome })
    }

    /// The id of the chat.
    pub fn chat_id(&self) -> &str {
        &self.chat_id
    }

    /// When it began, in milliseconds since 1970.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// The next piece, until there are no more.
    pub async fn next(&mut self) -> Option<Piece> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.pieces.recv().await,
        }
    }

    /// What it came to.
    ///
    /// # Errors
    /// Those of [`Charge::answer`].
    pub async fn end(self) -> Result<Paid> {
        self.outcome.await
    }
}

fn broken<T>(_: JoinError) -> Result<T> {
    Err(Error::Internal("the answering panicked; the lease decides".into()))
}

/// The ids of the chats that were before a message, in a conversation that stands.
async fn earlier(app: &Asking, caller: &AccessToken, context: &Context) -> Result<Vec<String>> {
    let Context::Conversation(id) = context else { return Ok(Vec::new()) };
    let chats = app.store.thread(&caller.user_id, id, None, app.ai.config.context_chats);
    let (conversation, chats) =
        tokio::try_join!(app.store.conversation(&caller.user_id, id), chats)?;
    if conversation.is_none() {
        // Whom the account doesn't admit learns nothing else.
        app.store.account_of(caller).await?;
        return Err(Error::NoSuchConversation);
    }
    Ok(chats.0)
}

/// As many of the last turns as have room, in the order in which they were said.
fn remembered(newest_first: Vec<Chat>, room: usize) -> Vec<Turn> {
    let mut left = room;
    let fits = |chat: &Chat| {
        let rest = left.checked_sub(chat.message.len() + chat.response.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let mut last: Vec<Chat> = newest_first.into_iter().take_while(fits).collect();
    last.reverse();
    last.iter().flat_map(Chat::turns).collect()
}

/// The chat that a finished key stands for. Writes nothing, and asks no AI.
async fn finished(app: &App, caller: &AccessToken, key: &Keyed) -> Result<Option<Box<Chat>>> {
    let Some(record) = app.store.record(&key.id, app.clock.seconds()).await? else {
        return Ok(None);
    };
    let (account, chat) = tokio::join!(
        app.store.account_of(caller),
        app.store.chat(&caller.user_id, &record.result_id)
    );
    account?;
    if record.fingerprint != key.fingerprint {
        return Err(Error::KeyReused);
    }
    chat?.map(|chat| Some(Box::new(chat))).ok_or(Error::ChatDeleted)
}

/// Gives the tokens back, and says so in the failure only if they are.
async fn refund(app: &App, hold: &Hold, error: Error) -> Error {
    let released: Result<()> =
        app.store.release(hold, ChatLimits::of(&app.config), app.clock.seconds()).await;
    match released {
        Ok(()) => {
            tracing::info!(user = hold.user_id(), code = error.code(), "refunded");
            error
        }
        Err(unknown) => {
            tracing::error!(
                cause = unknown.cause(),
                "a release was not confirmed; the lease decides"
            );
            Error::AiFailedTokensHeld
        }
    }
}
