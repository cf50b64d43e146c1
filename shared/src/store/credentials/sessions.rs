//! Sessions, which are stored in the Tokens table. Every refresh token belongs to a session.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;

use crate::clock::Clock;
use crate::store::schema::{SESSION, account_pk, pk, session_pk};
use crate::store::{
    Backoff, NEW, Outcome, Result, Store, StoreError, Write, flag, from_item, is_id, n, no_entries,
    s, to_item,
};
use crate::values::LEEWAY;
use crate::values::{AccessToken, Account, RefreshToken, Session, unknown_device};

/// The outcome of redeeming a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The refresh token is the session's current or next refresh token.
    Current(Session),
    /// The refresh token is dead: either a later token of its session was redeemed, or this token
    /// was redeemed too long ago. Another client probably has a copy of the token.
    Dead(Session),
    /// The session has ended, or never existed.
    Gone,
}

/// The sessions that a log-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'s> {
    /// One session of the account.
    One {
        /// The session's id.
        session: &'s str,
        /// The Unix time at which the session's JWTs would have expired.
        ends: u64,
    },
    /// Every session of the account.
    All,
}

/// The maximum number of revoked sessions that an account stores. Each revoked session makes every
/// write to the account larger.
const REVOKED: usize = 50;

impl Session {
    /// Creates a session that begins now.
    pub fn new(account: &Account, device: Option<String>, clock: &Clock, life: Duration) -> Self {
        let now = clock.seconds();
        let ends = now + life.as_secs();
        Self {
            pk: session_pk(&clock.id().to_string()),
            user_id: account.id.clone(),
            device: device.unwrap_or_else(unknown_device),
            began: Some(now),
            used: Some(now),
            generation: 0,
            rotated: None,
            auth_epoch: account.auth_epoch,
            ends,
            expires_at: ends,
        }
    }
}

impl Store {
    /// Stores a new session. Idempotent, because the session's id is unique.
    pub async fn start_session(&self, session: &Session) -> Result<()> {
        let put = Write::put(&self.tables.tokens, to_item(session)?).condition(NEW);
        self.send(&put).await.map(drop)
    }

    /// Redeems a refresh token, in one conditional write. If the token belongs to the session's
    /// next generation, the session advances to that generation and records `now` as its last use.
    /// Idempotent.
    ///
    /// The current generation's refresh token can be redeemed again for a while, because the reply
    /// may have been lost, or several tabs may share the token. The first generation's refresh
    /// token can be redeemed again as long as this generation is current, because some clients
    /// never replace their refresh token.
    pub async fn rotate_session(&self, token: &RefreshToken, now: u64) -> Result<Rotation> {
        let present = |expression: &str, condition: &str| {
            Write::update(&self.tables.tokens, pk(session_pk(&token.session)), expression)
                .condition(condition)
                .values([
                    (":presented", n(token.generation)),
                    (":user", s(&token.user_id)),
                    (":now", n(now)),
                ])
                .returns(ReturnValue::AllNew)
                .shows_item()
        };
        let rotate = match token.generation.checked_sub(1) {
            None => present(
                "SET used = :now",
                "user_id = :user AND ends > :now AND generation = :presented",
            ),
            Some(before) => present(
                "SET generation = :presented, rotated = :now, used = :now",
                "user_id = :user AND ends > :now AND generation = :before",
            )
            .values([(":before", n(before))]),
        };
        let session: Option<Session> = match self.send(&rotate).await? {
            Outcome::Applied(session) => return from_item(session).map(Rotation::Current),
            Outcome::Refused(session) => self.item_that_refused(&rotate, session).await?,
        };
        let Some(session) =
            session.filter(|session| session.user_id == token.user_id && session.ends > now)
        else {
            return Ok(Rotation::Gone);
        };
        let again = token.generation == session.generation && session.may_come_again(now);
        Ok(match token.generation > session.generation {
            true => Rotation::Gone,
            false if again => Rotation::Current(session),
            false => Rotation::Dead(session),
        })
    }

    /// Returns a session. `None` if the session has ended, or the id is malformed.
    pub async fn session(&self, id: &str) -> Result<Option<Session>> {
        if !is_id(id) {
            return Ok(None);
        }
        self.get(&self.tables.tokens, pk(session_pk(id))).await
    }

    /// Returns the account and the session to which a refresh token belongs. Reads both in
    /// parallel. Strongly consistent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the session has ended, or the account doesn't accept the
    /// session.
    pub async fn session_of(&self, token: &RefreshToken, now: u64) -> Result<(Account, Session)> {
        let (account, session) =
            tokio::try_join!(self.account_named(&token.name), self.session(&token.session))?;
        let opened = account.zip(session).filter(|(account, session)| {
            account.id == token.user_id && account.active && session.opens(account, now)
        });
        opened.ok_or(StoreError::NotAccepted)
    }

    /// Returns a page of ids of the user's sessions that are older than the session `before`,
    /// newest first. Also returns whether there may be more. The ids come from an index, which may
    /// be slightly out of date.
    pub async fn session_ids(
        &self,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<String>, bool)> {
        self.ids_of_user(SESSION, user_id, before).await
    }

    /// Returns the sessions with these ids, in the same order, with strong consistency. Skips ended
    /// sessions.
    pub async fn sessions(&self, ids: &[String]) -> Result<Vec<Session>> {
        self.with_ids(SESSION, ids).await
    }

    /// Returns at most 100 of the account's sessions, newest first: those whose JWTs are valid at
    /// the Unix time `now`.
    pub async fn open_sessions(&self, account: &Account, now: u64) -> Result<Vec<Session>> {
        let (ids, _) = self.session_ids(&account.id, None).await?;
        let mut sessions = self.sessions(&ids).await?;
        sessions.retain(|session| account.active && session.opens(account, now));
        Ok(sessions)
    }

    /// Deletes one of the user's sessions, so that it can no longer be refreshed.
    pub async fn delete_session(&self, user_id: &str, id: &str) -> Result<()> {
        let delete = Write::delete(&self.tables.tokens, pk(session_pk(id)))
            .condition("attribute_not_exists(pk) OR user_id = :user")
            .values([(":user", s(user_id))]);
        self.send(&delete).await.map(drop)
    }

    /// Ends one session of the caller's account. Deletes the session last, so that a retry still
    /// finds it if an earlier step fails.
    ///
    /// # Errors
    /// The errors of [`Store::end_sessions`].
    pub async fn end_session(
        &self,
        caller: &AccessToken,
        session: &Session,
        now: u64,
    ) -> Result<()> {
        self.end_sessions(caller, Ending::One { session: session.id(), ends: session.ends }, now)
            .await?;
        self.delete_session(&caller.user_id, session.id()).await
    }

    /// Ends one session of the caller's account, or all of them. The JWTs of ended sessions are
    /// invalid from then on. Idempotent.
    ///
    /// One conditional write adds the session to the account's revoked sessions. If too many
    /// sessions are revoked, the write also removes the revoked sessions whose JWTs have expired.
    /// If it can't remove any, the write raises the epoch instead, which ends every session of the
    /// account.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the account no longer accepts the caller's access token.
    pub async fn end_sessions(
        &self,
        caller: &AccessToken,
        ending: Ending<'_>,
        now: u64,
    ) -> Result<()> {
        let mut outdated = Vec::new();
        let mut all = ending == Ending::All;
        let mut backoff = Backoff::new();
        loop {
            let update = match ending {
                Ending::One { session, ends } if !all => {
                    self.revoke(caller, session, ends, &outdated)
                }
                _ => self.raise_epoch(caller),
            };
            let account: Option<Account> = match self.send(&update).await? {
                Outcome::Applied(_) => return Ok(()),
                Outcome::Refused(account) => self.item_that_refused(&update, account).await?,
            };
            let account = account
                .filter(|account| account.id == caller.user_id && account.active)
                .ok_or(StoreError::NotAccepted)?;
            let noted = matches!(ending, Ending::One { session, .. } if account.revoked.contains_key(session));
            if noted || account.auth_epoch > caller.auth_epoch {
                return Ok(());
            }
            let account = caller.admits(Some(account)).ok_or(StoreError::NotAccepted)?;
            let (over, live): (Vec<_>, Vec<_>) =
                account.revoked.into_iter().partition(|(_, ends)| ends + LEEWAY < now);
            outdated = over.into_iter().map(|(session, _)| session).collect();
            all |= live.len() >= REVOKED;
            backoff
                .try_again("a log-out kept being refused, each time for a reason that had passed")
                .await?;
        }
    }

    /// Adds a session to the account's revoked sessions, and removes the sessions in `outdated`.
    fn revoke(&self, caller: &AccessToken, session: &str, ends: u64, outdated: &[String]) -> Write {
        let mut expression = String::from("SET revoked.#session = :ends");
        let (room, limit) = match outdated {
            [] => ("size(revoked) < :limit", Some((":limit", n(REVOKED)))),
            _ => ("attribute_exists(revoked.#old0)", None),
        };
        let mut names = Vec::new();
        for (index, old) in outdated.iter().enumerate() {
            expression.push_str(if index == 0 { " REMOVE" } else { "," });
            expression.push_str(&format!(" revoked.#old{index}"));
            names.push((format!("#old{index}"), old));
        }
        self.update_caller(caller, &expression)
            .condition(format!("{CALLER} AND {room}"))
            .names(names)
            .names([("#session", session)])
            .values(limit)
            .values([(":ends", n(ends))])
    }

    fn raise_epoch(&self, caller: &AccessToken) -> Write {
        self.update_caller(caller, "SET auth_epoch = :next, revoked = :none")
            .values([(":next", n(caller.auth_epoch + 1)), (":none", no_entries())])
    }

    /// A check that refuses the transaction if the account doesn't accept the caller.
    pub(in crate::store) fn check_caller(&self, caller: &AccessToken) -> Write {
        let account = pk(account_pk(&caller.name));
        admits(Write::check(&self.tables.users, account), caller)
    }

    /// An update of the caller's account, with [`CALLER`] as its condition.
    pub(in crate::store) fn update_caller(&self, caller: &AccessToken, expression: &str) -> Write {
        let account = pk(account_pk(&caller.name));
        admits(Write::update(&self.tables.users, account, expression), caller).shows_item()
    }
}

/// Adds [`CALLER`] as the condition.
fn admits(write: Write, caller: &AccessToken) -> Write {
    write.condition(CALLER).names([("#caller", &caller.session)]).values([
        (":id", s(&caller.user_id)),
        (":true", flag(true)),
        (":seen", n(caller.auth_epoch)),
    ])
}

/// The condition that the account accepts the caller's access token.
pub(in crate::store) const CALLER: &str =
    "id = :id AND active = :true AND auth_epoch = :seen AND attribute_not_exists(revoked.#caller)";
