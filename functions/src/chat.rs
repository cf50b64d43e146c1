//! `POST /api/chat`, `POST /api/chat_msg` - send the AI a message for the price of a chat.
//!
//! In: `{message}` with an `Authorization` header, or `{message, token}` without.
//! `Idempotency-Key` makes it safe to be sent again. Out: the answer, what was deducted and the balance. Nothing is charged unless the chat is stored.

use std::time::Duration;

use serde::Deserialize;
use shared::auth::AccessToken;
use shared::chat::{Chat, Message};
use shared::error::REQUIRED;
use shared::http::{Body, Response};
use shared::idempotency::{REMEMBERED, fingerprint};
use shared::store::{ChatLimits, Hold, Reserved, Settled, chat_month};
use shared::user::balance_fields;
use shared::{App, Error, Reply, Request, Result, http};

#[derive(Deserialize)]
struct Ask {
    message: Option<String>,
    token: Option<String>,
}

/// What is kept of the function's time for storing the answer, or giving the tokens back.
const TIME_TO_SETTLE: Duration = Duration::from_secs(6);

/// How long after the function's time a lease lasts, in seconds: its last write may be on its way that long.
const LEASE_AFTER: u64 = 30;

/// Takes the tokens, asks the AI, and stores the chat or gives the tokens back.
pub async fn handle(app: App, req: Request) -> Reply {
    let started = app.clock.millis();
    let (now, time_left) = (started / 1000, http::time_left(&req, started));
    let key = http::idempotency_key(&req)?;
    let Ask { message, token } = http::json(&req)?;
    let caller = match http::authorization(&req)? {
        Some(token) => AccessToken::verify(&app, token).await?,
        None => AccessToken::verify(&app, &token.ok_or(Error::NotAuthenticated)?).await?,
    };
    let message = message.ok_or_else(|| REQUIRED.to_owned());
    let message = message.and_then(|text| Message::parse(text, app.config.message_limit)).map_err(|sentence| Error::field("message", sentence))?;

    let (price, chat_id) = (app.config.chat_price, app.clock.id());
    let mut hold = Hold::new(&caller, chat_id, price, now + time_left.as_secs() + LEASE_AFTER);
    let key = key.map(|key| (key.id(&caller.user_id), fingerprint(message.text())));
    if let Some((key_id, fingerprint)) = &key {
        if let Some(reply) = replay(&app, &caller, key_id, fingerprint).await? {
            return Ok(reply);
        }
        hold = hold.keyed(key_id, fingerprint, now + REMEMBERED);
    }
    let limits = ChatLimits { parallel: app.config.parallel_chats, per_minute: app.config.chats_per_minute };
    let reserved = app.store.reserve(&caller, &mut hold, limits, now).await?;
    if let (Reserved::Ended, Some((key_id, fingerprint))) = (reserved, &key) {
        return replay(&app, &caller, key_id, fingerprint).await?.ok_or(Error::KeyRunning { seconds: 5 });
    }

    let time_taken = Duration::from_millis(app.clock.millis().saturating_sub(started));
    let patience = app.config.ai_timeout.min(time_left.saturating_sub(time_taken + TIME_TO_SETTLE));
    let answer = match app.ai.answer(message.text(), patience).await {
        Ok(answer) => answer,
        Err(error) => return Err(refund(&app, &hold, error).await),
    };

    let chat = Chat {
        user_id: caller.user_id.clone(),
        chat_id: chat_id.to_string(),
        message: message.text().to_owned(),
        response: answer.text,
        model: answer.model.to_owned(),
        cost: price,
        tokens_left: hold.tokens_left(),
        time: started,
        month: chat_month(&caller.user_id, started),
        name: hold.name().to_owned(),
    };
    match app.store.settle(&hold, &chat, app.clock.seconds()).await? {
        Settled::Stored => Ok(http::limited(show(&chat)?, &hold.left_this_minute(limits, app.clock.seconds()))),
        Settled::TooLate => Err(refund(&app, &hold, Error::NotCharged).await),
    }
}

fn show(chat: &Chat) -> Reply {
    http::ok(&http::merge([chat.data(), balance_fields(chat.tokens_left)]))
}

/// What a finished key stands for, as it was answered the first time. Writes nothing, and asks no AI.
async fn replay(app: &App, caller: &AccessToken, key_id: &str, fingerprint: &str) -> Result<Option<Response<Body>>> {
    let Some(record) = app.store.record(key_id, app.clock.seconds()).await? else { return Ok(None) };
    let (account, chat) = tokio::join!(app.store.account(caller), app.store.chat(&caller.user_id, &record.chat_id));
    account?;
    if record.fingerprint != fingerprint {
        return Err(Error::KeyReused);
    }
    let chat = chat?.ok_or_else(|| Error::Internal("a finished key without its chat".into()))?;
    show(&chat).map(http::replayed).map(Some)
}

/// Gives the tokens back, and says so in the failure only if they are.
async fn refund(app: &App, hold: &Hold, error: Error) -> Error {
    let released: Result<()> = app.store.release(hold, app.clock.seconds()).await;
    match released {
        Ok(()) => {
            tracing::info!(user = hold.user_id(), code = error.code(), "refunded");
            error
        }
        Err(unknown) => {
            tracing::error!(cause = unknown.cause(), "a release was not confirmed; the lease decides");
            Error::AiFailedTokensHeld
        }
    }
}
