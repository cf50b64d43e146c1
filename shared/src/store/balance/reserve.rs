//! Reserving the credits for a chat.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future::try_join_all;

use crate::clock::Day;
use crate::store::balance::CLOSED;
use crate::store::balance::allowance::{due, require_allowance};
use crate::store::balance::hold::Hold;
use crate::store::balance::limits::{
    ChatLimits, Refunds, chats_a_minute, free_work_a_day, minute, refunds_a_minute, refunds_key,
};
use crate::store::schema::pk;
use crate::store::{
    Outcome, Patience, Result, Store, StoreError, Write, flag, from_item, n, no_entries, s, to_item,
};
use crate::values::{Account, Credential, Limit, LimitPeriod, StoredHold};
use crate::{Credits, Error};

/// The number of closed ids that an account may have when a chat begins. This number of closed ids
/// takes 90 KB of the 400 KB that an item may have.
const MOST_CLOSED: usize = 2000;

/// The maximum number of obstacles that one reserve removes. The obstacles are an allowance that the
/// account hasn't got yet, an expired hold with
/// the reserve's idempotency key, an outdated closed id with this key, too many outdated closed
/// ids, other expired holds, and missing maps.
const CLEARINGS: u32 = 6;

/// Moves the credits from the balance into the hold, adds the account to the index `due`, and
/// counts the chat in its minute.
const TAKES: &str = "SET tokens = tokens - :cost, reservations.#rid = :reservation, due = if_not_exists(due, :expires), \
                 minutes.#minute = if_not_exists(minutes.#minute, :none) + :one";

/// The condition that the account accepts the caller and has enough credits, the hold is new, and
/// no limit is reached.
const RESERVES: &str = "id = :id AND active = :true AND auth_epoch BETWEEN :least AND :epoch AND attribute_not_exists(revoked.#session) \
    AND (attribute_not_exists(keys_from) OR keys_from <= :made) AND tokens >= :cost \
    AND attribute_not_exists(reservations.#rid) AND attribute_not_exists(closed.#rid) AND size(reservations) < :limit AND size(closed) < :most_closed \
    AND attribute_exists(minutes) AND (attribute_not_exists(minutes.#minute) OR minutes.#minute < :per_minute) \
    AND (attribute_not_exists(free_work.#free_work) OR free_work.#free_work < :free_work OR free_work.#free_work < free_work.#earned)";

/// Counts the credits in the purse of an API key with a limit.
const COUNTS_IN_PURSE: &str = ", purses.#purse = if_not_exists(purses.#purse, :none) + :cost";

/// The condition that the limit of an API key pays for the hold.
const HAS_ROOM: &str = " AND attribute_exists(purses) AND (attribute_not_exists(purses.#purse) OR purses.#purse <= :room)";

/// The condition for a hold above the whole limit, which no purse meets.
const NEVER_HAS_ROOM: &str = " AND purses.#purse < :none";

/// The outcome of a reserve that wasn't refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// The credits are held.
    Held,
    /// No credits were taken, because an earlier request with the same idempotency key ended a
    /// moment ago. If the earlier request succeeded, the key has a record.
    Ended,
}

/// Why a reserve was refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// A reserve of the same hold was applied before with this amount, and only its reply was lost.
    Ours(Credits),
    /// The account doesn't accept the credential.
    Identity,
    /// The idempotency key was used with another payload.
    KeyReused,
    /// A request with the same idempotency key is in progress, for at most this many seconds.
    KeyRunning(u64),
    /// A request with the same idempotency key ended a moment ago.
    KeyEnded,
    /// A request with the same idempotency key ended earlier. The request's closed id is still on
    /// the account, and has been outdated since this second.
    Outdated(u64),
    /// The account hasn't got its allowance in this period.
    Allowance,
    /// Expired holds block the reserve.
    Expired(Vec<(String, StoredHold)>),
    /// The balance is less than the cost.
    Balance,
    /// The limit of parallel chats is reached.
    Limit,
    /// The limit of chats in this minute is reached.
    Minute,
    /// The limit of refunds is reached until this minute.
    Refunds(u64),
    /// The free work of this day is used up. The field is the day's limit.
    FreeWork(Credits),
    /// The limit of closed ids is reached, at least until this second.
    Crammed(u64),
    /// The limit of closed ids is reached, but some of the closed ids are outdated.
    CrammedWithOutdated,
    /// The API key's limit is reached.
    KeyLimit,
    /// The account has no map of minutes, because it was created before minutes were counted, or no
    /// map of purses, because it was restored to a time before the API key was created.
    Uncounted,
    /// No reason applies any longer, because the account has changed since the refusal.
    Changed,
}

impl Store {
    /// Takes a chat's credits from the balance in one conditional write. The write also checks the
    /// caller. It limits how many of an account's chats may wait at a time, and how many may begin
    /// in a minute. Idempotent. A reserve that was refused for the balance may be sent again with
    /// [another amount](Hold::change_amount); if an earlier one arrives late, the hold has the
    /// amount of whichever came first.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], [`Error::InsufficientTokens`], [`Error::KeyLimitReached`],
    /// [`Error::TooManyChats`], [`Error::TooManyChatsThisMinute`], [`Error::TooManyRefunds`],
    /// [`Error::KeyRunning`] and [`Error::KeyReused`]; after these errors no credits are taken.
    /// [`StoreError::Unavailable`] if the outcome remains unknown; credits that were taken return
    /// after the lease ends.
    pub async fn reserve(
        &self,
        caller: &Credential,
        hold: &mut Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<ReserveOutcome> {
        hold.choose_purse(now);
        let mut cleared = 0;
        let mut patience = Patience::new();
        loop {
            let take = self.take_credits(caller, hold, limits, now)?;
            let refused: Option<Account> =
                match self.send_watched(&take, &mut hold.sent_again).await? {
                    Outcome::Applied(account) => {
                        hold.taken_from(&from_item(account)?, limits, now);
                        return Ok(ReserveOutcome::Held);
                    }
                    Outcome::Refused(account) => self.refused_by(&take, account).await?,
                };
            match refusal(refused.as_ref(), caller, hold, limits, now) {
                Refusal::Ours(amount) => {
                    let account = refused.as_ref().ok_or(StoreError::NotAccepted)?;
                    hold.change_amount(amount);
                    hold.taken_from(account, limits, now);
                    return Ok(ReserveOutcome::Held);
                }
                Refusal::Identity => return Err(StoreError::NotAccepted),
                Refusal::KeyReused => return Err(StoreError::Refused(Error::KeyReused)),
                Refusal::KeyRunning(seconds) => {
                    return Err(StoreError::Refused(Error::KeyRunning {
                        seconds: u32::try_from(seconds.clamp(1, 5)).unwrap_or(5),
                    }));
                }
                Refusal::KeyEnded => return Ok(ReserveOutcome::Ended),
                Refusal::Outdated(until) if cleared < CLEARINGS => {
                    cleared += 1;
                    self.forget_closed(hold, until).await?;
                }
                Refusal::Allowance if cleared < CLEARINGS => {
                    cleared += 1;
                    if let Some(account) = &refused {
                        self.fill_up(account, limits.allowances, now).await?;
                    }
                }
                Refusal::Expired(expired) if cleared < CLEARINGS => {
                    cleared += 1;
                    try_join_all(expired.iter().map(|(rid, held)| {
                        self.release_expired(&hold.account, &hold.user_id, rid, held)
                    }))
                    .await?;
                }
                Refusal::CrammedWithOutdated if cleared < CLEARINGS => {
                    cleared += 1;
                    self.keep_closed(hold, refused.as_ref().map(|account| &account.closed), now)
                        .await?;
                }
                Refusal::Uncounted if cleared < CLEARINGS => {
                    cleared += 1;
                    self.begin_counting(hold).await?;
                }
                Refusal::Limit => {
                    return Err(StoreError::Refused(Error::TooManyChats(Limit::at_once(
                        "parallel-chats",
                        limits.parallel,
                    ))));
                }
                Refusal::Minute => {
                    return Err(StoreError::Refused(Error::TooManyChatsThisMinute(
                        chats_a_minute(limits, limits.per_minute, now),
                    )));
                }
                Refusal::Crammed(until) => {
                    let limit = chats_a_minute(limits, limits.per_minute, now);
                    return Err(StoreError::Refused(Error::TooManyChatsThisMinute(Limit {
                        reset: until.saturating_sub(now).max(1),
                        ..limit
                    })));
                }
                Refusal::Refunds(minute) => {
                    return Err(StoreError::Refused(Error::TooManyRefunds(refunds_a_minute(
                        limits, minute, now,
                    ))));
                }
                Refusal::FreeWork(most) => {
                    return Err(StoreError::Refused(Error::TooManyRefunds(free_work_a_day(
                        most, now,
                    ))));
                }
                Refusal::KeyLimit => return Err(key_limit_error(refused.as_ref(), hold, now)),
                Refusal::Balance => {
                    hold.instructed =
                        refused.as_ref().is_some_and(|account| account.instructions.is_some());
                    let of_account = |count: fn(&Account, u64) -> Credits| {
                        refused.as_ref().map_or(Credits::ZERO, |account| count(account, now))
                    };
                    return Err(StoreError::Refused(Error::InsufficientTokens {
                        cost: hold.held.cost,
                        balance: of_account(Account::balance),
                        held: of_account(Account::held),
                        by_usage: false,
                        next: refused.as_ref().and_then(|account| {
                            Some(limits.allowances.of(&account.role)?.next(now))
                        }),
                        advice: None,
                    }));
                }
                _ if patience.lasts().await => {}
                _ => {
                    return Err(StoreError::Unavailable(
                        "a reserve kept being refused, each time for a reason that had passed"
                            .into(),
                    ));
                }
            }
        }
    }

    /// Closes the id of a refused hold, so that none of its reserves takes credits when it arrives
    /// late. Returns the credits of a reserve that has arrived already. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; credits that were taken return after the lease ends.
    pub async fn abandon(&self, hold: &Hold, now: u64) -> Result<()> {
        let mut patience = Patience::new();
        loop {
            let close = self
                .update_holder(hold, "SET closed.#rid = :closed")
                .condition("id = :id AND attribute_not_exists(reservations.#rid)")
                .names([("#rid", &hold.rid)])
                .values([(":closed", n(now + CLOSED))])
                .shows_item();
            let Outcome::Refused(account) = self.send(&close).await? else { return Ok(()) };
            let account: Option<Account> = self.refused_by(&close, account).await?;
            let is_held = |account: &Account| {
                let held = account.reservations.get(&hold.rid);
                account.id == hold.user_id && held.is_some_and(|held| held.owner == hold.held.owner)
            };
            if !account.as_ref().is_some_and(is_held) {
                return Ok(());
            }
            self.return_and_close(hold, now).await?;
            if !patience.lasts().await {
                return Err(StoreError::Unavailable(
                    "a hold kept being reserved while its id was being closed".into(),
                ));
            }
        }
    }

    /// Removes an outdated closed id from the account.
    async fn forget_closed(&self, hold: &Hold, until: u64) -> Result<()> {
        let forget = self
            .update_holder(hold, "REMOVE closed.#rid")
            .condition("id = :id AND closed.#rid = :until")
            .names([("#rid", &hold.rid)])
            .values([(":until", n(until))]);
        self.send(&forget).await.map(drop)
    }

    /// Removes the outdated closed ids from the account, if the account's closed ids haven't
    /// changed since `closed` was read.
    async fn keep_closed(
        &self,
        hold: &Hold,
        closed: Option<&BTreeMap<String, u64>>,
        now: u64,
    ) -> Result<()> {
        let Some(closed) = closed else { return Ok(()) };
        let map = |kept: &dyn Fn(u64) -> bool| {
            let kept = closed
                .iter()
                .filter(|(_, until)| kept(**until))
                .map(|(id, until)| (id.clone(), n(until)));
            AttributeValue::M(kept.collect())
        };
        let keep = self
            .update_holder(hold, "SET closed = :kept")
            .condition("id = :id AND closed = :closed")
            .values([(":closed", map(&|_| true)), (":kept", map(&|until| until > now))]);
        self.send(&keep).await.map(drop)
    }

    /// Adds the maps that the account lacks.
    async fn begin_counting(&self, hold: &Hold) -> Result<()> {
        let mut adds = String::from("SET minutes = if_not_exists(minutes, :none)");
        if hold.held.purse.is_some() {
            adds.push_str(", purses = if_not_exists(purses, :none)");
        }
        let begin =
            self.update_holder(hold, &adds).condition("id = :id").values([(":none", no_entries())]);
        self.send(&begin).await.map(drop)
    }

    /// An update of the hold's account, with the account's id as the value `:id`.
    fn update_holder(&self, hold: &Hold, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&hold.account), expression)
            .values([(":id", s(&hold.user_id))])
    }

    /// The write of a reserve. The outcome of this write contains the account: after the change if
    /// the write was applied, or unchanged if it was refused.
    fn take_credits(
        &self,
        caller: &Credential,
        hold: &Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<Write> {
        let (mut set, mut condition) = (String::from(TAKES), String::from(RESERVES));
        let (mut names, mut values) = (Vec::new(), Vec::new());
        if let (Some(limit), Some(purse)) = (hold.limit, &hold.held.purse) {
            set.push_str(COUNTS_IN_PURSE);
            names.push(("#purse".to_owned(), purse.clone()));
            match limit.tokens.checked_sub(hold.held.cost) {
                Some(room) => {
                    condition.push_str(HAS_ROOM);
                    values.push((":room".to_owned(), n(room)));
                }
                None => condition.push_str(NEVER_HAS_ROOM),
            }
        }
        for (back, of) in (0_u64..).zip(limits.refund_minutes(minute(now))) {
            let (name, most) = (format!("#r{back}"), format!(":r{back}"));
            condition.push_str(&format!(
                " AND (attribute_not_exists(minutes.{name}) OR minutes.{name} < {most})"
            ));
            names.push((name, refunds_key(of)));
            values.push((most, n(limits.refunds_to_wait(back))));
        }
        let free_work = hold.free_work_at(now);
        let of = limits.allowances;
        require_allowance(&mut condition, &mut names, &mut values, of, now);
        Ok(Write::update(&self.tables.users, pk(&hold.account), set)
            .condition(condition)
            .names(names)
            .names([
                ("#rid", hold.rid.as_str()),
                ("#session", caller.id()),
                ("#minute", &minute(now).to_string()),
                ("#free_work", &free_work.key()),
                ("#earned", &free_work.earned_key()),
            ])
            .values(values)
            .values([
                (":most_closed", n(MOST_CLOSED)),
                (":cost", n(hold.held.cost)),
                (":reservation", AttributeValue::M(to_item(&hold.held)?)),
                (":expires", n(hold.held.expires_at)),
                (":id", s(caller.user_id())),
                (":true", flag(true)),
                (":least", n(caller.epochs().start())),
                (":epoch", n(caller.epochs().end())),
                (":made", n(caller.auth_epoch())),
                (":limit", n(limits.parallel)),
                (":none", n(0)),
                (":one", n(1)),
                (":per_minute", n(limits.per_minute)),
                (":free_work", n(limits.free_work)),
            ])
            .returns(ReturnValue::AllNew)
            .shows_item())
    }
}

/// Finds the reason to report, by precedence. A reserve that was already applied isn't reported as
/// refused, an invalid caller learns nothing else, and an insufficient balance and then the limit of
/// the API key are reported before the limits on chats. If two limits are reached, the limit that lasts longer is reported.
fn refusal(
    account: Option<&Account>,
    caller: &Credential,
    hold: &Hold,
    limits: ChatLimits,
    now: u64,
) -> Refusal {
    let Some(account) = account else { return Refusal::Identity };
    let held = account.reservations.get(&hold.rid).filter(|_| account.id == caller.user_id());
    if let Some(held) = held.filter(|held| held.owner == hold.held.owner) {
        return Refusal::Ours(held.cost);
    }
    if caller.admits(Some(account.clone())).is_none() {
        return Refusal::Identity;
    }
    match held {
        Some(dead) if dead.expires_at <= now => {
            return Refusal::Expired(vec![(hold.rid.clone(), dead.clone())]);
        }
        Some(other) if other.fingerprint != hold.held.fingerprint => {
            return Refusal::KeyReused;
        }
        Some(running) => return Refusal::KeyRunning(running.expires_at - now),
        None => {}
    }
    match account.closed.get(&hold.rid) {
        Some(until) if *until > now => return Refusal::KeyEnded,
        Some(until) => return Refusal::Outdated(*until),
        None => {}
    }
    if due(account, limits.allowances, now).is_some() {
        return Refusal::Allowance;
    }
    let poor = account.tokens < hold.held.cost;
    let over_limit = hold.is_over_limit(account);
    let crowded =
        account.reservations.len() >= usize::try_from(limits.parallel).unwrap_or(usize::MAX);
    if !poor && !over_limit {
        let free_work = hold.free_work_at(now);
        let most = free_work.most(account, limits.free_work);
        if free_work.used(account) >= most {
            let [_, shown] = free_work.shown(account, limits.free_work);
            return Refusal::FreeWork(shown);
        }
        match Refunds::of(account).open_from(minute(now), limits) {
            open if open > minute(now) => return Refusal::Refunds(open),
            _ if account.chats_in(minute(now)) >= limits.per_minute => return Refusal::Minute,
            _ => {}
        }
        if account.closed.len() >= MOST_CLOSED {
            let first = account.closed.values().min().copied().unwrap_or(now);
            return if first <= now {
                Refusal::CrammedWithOutdated
            } else {
                Refusal::Crammed(first)
            };
        }
    }
    if !poor && !over_limit && !crowded {
        let lacks_purses = hold.held.purse.is_some() && account.purses.is_none();
        let lacks_map = account.minutes.is_none() || lacks_purses;
        return if lacks_map { Refusal::Uncounted } else { Refusal::Changed };
    }
    let expired = account.reservations.iter().filter(|(_, held)| held.expires_at <= now);
    let expired: Vec<_> = expired.map(|(rid, held)| (rid.clone(), held.clone())).collect();
    match (expired.is_empty(), poor) {
        (false, _) => Refusal::Expired(expired),
        (true, true) => Refusal::Balance,
        (true, false) if over_limit => Refusal::KeyLimit,
        (true, false) => Refusal::Limit,
    }
}

/// Returns the error for an API key whose limit is reached.
fn key_limit_error(account: Option<&Account>, hold: &Hold, now: u64) -> StoreError {
    let (Some(account), Some(limit), Some(purse)) = (account, hold.limit, &hold.held.purse) else {
        return StoreError::Internal("an API key without a limit has reached it".into());
    };
    StoreError::Refused(Error::KeyLimitReached {
        cost: hold.held.cost,
        limit,
        spent: account.purse(purse),
        resets: (limit.per == LimitPeriod::Month)
            .then(|| Day::from_millis(now * 1000).next_month()),
    })
}
