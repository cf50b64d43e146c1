//! Reserves credits for a chat by placing a hold.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use crate::clock::Day;
use crate::error::NextAllowance;
use crate::store::balance::CLOSED;
use crate::store::balance::allowance::{due, require_allowance};
use crate::store::balance::hold::Hold;
use crate::store::balance::limits::{
    ChatLimits, Refunds, chats_a_minute, free_work_a_day, minute, refunds_a_minute, refunds_key,
    underheld, underheld_key,
};
use crate::store::balance::release::expired_holds;
use crate::store::schema::pk;
use crate::store::{
    Backoff, Outcome, Result, Store, StoreError, Write, flag, from_item, n, no_entries, s, to_item,
};
use crate::values::{Account, Credential, KeyLimit, Limit, LimitPeriod, MessagePrices, StoredHold};
use crate::{Credits, Error};

/// How many closed ids an account may have when a chat begins. These ids take up at most 90 KB of
/// the 400 KB that DynamoDB allows for an item.
const MOST_CLOSED: usize = 2000;

/// The maximum number of [obstacles](Obstacle) that one reserve removes.
const CLEARINGS: u32 = 6;

/// Moves the credits from the balance into the hold, adds the account to the `due` index, and
/// counts the chat in its minute.
const TAKE_UPDATE: &str = "SET tokens = tokens - :cost, reservations.#rid = :reservation, due = if_not_exists(due, :expires), \
                 minutes.#minute = if_not_exists(minutes.#minute, :none) + :one";

/// The condition that the account accepts the caller and has enough credits, that the hold is new,
/// and that no limit is reached.
const RESERVE_CONDITION: &str = "id = :id AND active = :true AND auth_epoch BETWEEN :least AND :epoch AND attribute_not_exists(revoked.#session) \
    AND (attribute_not_exists(keys_from) OR keys_from <= :made) AND tokens >= :cost \
    AND attribute_not_exists(reservations.#rid) AND attribute_not_exists(closed.#rid) AND size(reservations) < :limit AND size(closed) < :most_closed \
    AND attribute_exists(minutes) AND (attribute_not_exists(minutes.#minute) OR minutes.#minute < :per_minute) \
    AND (attribute_not_exists(free_work.#free_work) OR free_work.#free_work < :free_work OR free_work.#free_work < free_work.#earned)";

/// The condition for a hold of an estimated amount: the account's underheld credits of this month
/// are below the limit on free work.
const UNDERHELD_CONDITION: &str =
    " AND (attribute_not_exists(free_work.#underheld) OR free_work.#underheld < :free_work)";

/// Counts the credits in the purse of an API key with a limit.
const PURSE_UPDATE: &str = ", purses.#purse = if_not_exists(purses.#purse, :none) + :cost";

/// The condition that the limit of an API key covers the hold.
const PURSE_CONDITION: &str = " AND attribute_exists(purses) AND (attribute_not_exists(purses.#purse) OR purses.#purse <= :room)";

/// The condition for a hold that exceeds the entire limit. This condition is never met.
const IMPOSSIBLE_CONDITION: &str = " AND purses.#purse < :none";

/// The outcome of a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// The credits are held.
    Held,
    /// No credits were reserved, because an earlier request with the same idempotency key ended a
    /// moment ago. If that request succeeded, the key has a record.
    Ended,
    /// No credits were reserved, because too few are available. The reserve may be sent again with
    /// a [different amount](Hold::change_amount). If a delayed copy of an earlier reserve arrives
    /// first, the hold has the amount of that copy.
    Short(Shortage),
    /// No credits were reserved, because the amount is an estimate, and the account's messages have
    /// exceeded their holds by too much in this month. The reserve may be sent again with the
    /// highest possible price.
    Underheld,
}

/// The reason why a balance or an API key's limit is too low for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The balance is less than the hold.
    Balance {
        /// The balance.
        balance: Credits,
        /// The credits that are held for the account's other chats.
        held: Credits,
        /// The account's next allowance. `None` if its role has no allowance.
        next: Option<NextAllowance>,
    },
    /// The API key's remaining limit doesn't cover the hold.
    KeyLimit {
        /// The limit.
        limit: KeyLimit,
        /// The credits that were spent with the key, or are held for its chats, in this period.
        spent: Credits,
        /// The day on which a monthly limit is reset.
        resets: Option<Day>,
    },
}

impl Shortage {
    /// Returns the shortage for this hold. If both the balance and the API key's limit are too low,
    /// reports the balance.
    fn of(hold: &Hold, account: &Account, limits: ChatLimits, now: u64) -> Option<Self> {
        if account.tokens < hold.held.cost {
            let allowance = limits.allowances.for_role(&account.role);
            return Some(Self::Balance {
                balance: account.balance(now),
                held: account.held(now),
                next: allowance.map(|allowance| allowance.next(now)),
            });
        }
        let (limit, purse) = hold.limit.zip(hold.held.purse.as_deref())?;
        if hold.held.cost == Credits::ZERO {
            return None;
        }
        let spent = account.purse(purse);
        let after = spent.checked_add(hold.held.cost);
        after.is_none_or(|after| after > limit.tokens).then(|| Self::KeyLimit {
            limit,
            spent,
            resets: (limit.per == LimitPeriod::Month)
                .then(|| Day::from_millis(now * 1000).next_month()),
        })
    }

    /// Returns the credits that are available for a hold.
    pub fn available(self) -> Credits {
        match self {
            Self::Balance { balance, .. } => balance,
            Self::KeyLimit { limit, spent, .. } => {
                limit.tokens.checked_sub(spent).unwrap_or_default()
            }
        }
    }

    /// Returns the failure that the client receives if `cost` exceeds the available credits.
    /// `by_usage` has the prices of a message by usage, for which `cost` is enough for a short
    /// answer.
    pub fn failure(self, cost: Credits, by_usage: Option<MessagePrices>) -> Error {
        match self {
            Self::Balance { balance, held, next } => {
                Error::InsufficientTokens { cost, balance, held, by_usage, next, advice: None }
            }
            Self::KeyLimit { limit, spent, resets } => {
                Error::KeyLimitReached { cost, limit, spent, resets }
            }
        }
    }
}

/// The reason why a reserve was refused, as found in the account.
enum Refusal {
    /// An earlier reserve of the same hold was applied with this amount, but the reply was lost.
    Held(Credits),
    /// A request with the same idempotency key ended a moment ago.
    Ended,
    /// The balance or the API key's limit is too low for the hold.
    Short(Shortage),
    /// The account's underheld credits don't allow an estimated amount.
    Underheld,
    /// The account doesn't accept the credential.
    NotAccepted,
    /// The client receives this failure.
    Refuse(Error),
    /// The function removes this obstacle and sends the reserve again.
    Clear(Obstacle),
    /// The account has changed since the refusal, and the reserve would no longer be refused.
    Changed,
}

/// Something on the account that blocks a reserve and can be removed.
enum Obstacle {
    /// The account hasn't received its allowance for this period.
    AllowanceDue,
    /// These holds have expired. They are either the hold with the same idempotency key, or all
    /// expired holds if the account has too few credits or too many holds.
    ExpiredHolds(BTreeMap<String, StoredHold>),
    /// A request with the same idempotency key ended earlier. Its closed id has been outdated since
    /// this Unix time.
    OutdatedId(u64),
    /// The limit on closed ids is reached, but some of the closed ids are outdated.
    TooManyClosedIds,
    /// A map is missing from the account. An account that was created before minutes were counted
    /// has no map of minutes; an account that was restored to a time before the API key was created
    /// may have no map of purses.
    MissingMaps,
}

impl Store {
    /// Reserves a chat's credits in one conditional write. The write also checks the caller, and
    /// enforces the limits on how many of the account's chats may wait at a time and how many may
    /// begin per minute. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], [`Error::TooManyChats`], [`Error::TooManyChatsThisMinute`],
    /// [`Error::TooManyRefunds`], [`Error::KeyRunning`] and [`Error::KeyReused`]; after these
    /// errors, no credits are held. [`StoreError::Unavailable`] if the outcome remains unknown; if
    /// the credits were reserved, they are returned after the lease ends.
    pub async fn reserve(
        &self,
        caller: &Credential,
        hold: &mut Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<ReserveOutcome> {
        hold.choose_purse(now);
        let mut cleared = 0;
        let mut backoff = Backoff::new();
        loop {
            let take = self.take_credits(caller, hold, limits, now)?;
            let account: Option<Account> =
                match self.send_watched(&take, &mut hold.sent_again).await? {
                    Outcome::Applied(account) => {
                        hold.taken_from(&from_item(account)?, limits, now);
                        return Ok(ReserveOutcome::Held);
                    }
                    Outcome::Refused(account) => self.item_that_refused(&take, account).await?,
                };
            let account = account.ok_or(StoreError::NotAccepted)?;
            match reason_of_refusal(&account, caller, hold, limits, now) {
                Refusal::Held(amount) => {
                    hold.change_amount(amount);
                    hold.taken_from(&account, limits, now);
                    return Ok(ReserveOutcome::Held);
                }
                Refusal::Ended => return Ok(ReserveOutcome::Ended),
                Refusal::Short(shortage) => {
                    hold.instructed = account.instructions.is_some();
                    return Ok(ReserveOutcome::Short(shortage));
                }
                Refusal::Underheld => return Ok(ReserveOutcome::Underheld),
                Refusal::NotAccepted => return Err(StoreError::NotAccepted),
                Refusal::Refuse(error) => return Err(StoreError::Refused(error)),
                Refusal::Clear(obstacle) if cleared < CLEARINGS => {
                    cleared += 1;
                    self.clear(obstacle, &account, hold, limits, now).await?;
                }
                Refusal::Clear(_) => {
                    backoff
                        .try_again("a reserve kept being refused, although obstacles were removed")
                        .await?;
                }
                Refusal::Changed => {
                    backoff
                        .try_again(
                            "a reserve kept being refused, each time for a reason that had passed",
                        )
                        .await?;
                }
            }
        }
    }

    /// Removes an obstacle from `account`, which the refused reserve has just returned.
    async fn clear(
        &self,
        obstacle: Obstacle,
        account: &Account,
        hold: &Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<()> {
        match obstacle {
            Obstacle::AllowanceDue => self.fill_up(account, limits.allowances, now).await.map(drop),
            Obstacle::ExpiredHolds(expired) => self.release_all_expired(account, &expired).await,
            Obstacle::OutdatedId(until) => self.drop_outdated_id(hold, until).await,
            Obstacle::TooManyClosedIds => self.drop_outdated_ids(hold, &account.closed, now).await,
            Obstacle::MissingMaps => self.add_missing_maps(hold).await,
        }
    }

    /// Closes the id of a refused hold, so that delayed copies of its reserves have no effect. If a
    /// copy has already reserved credits, returns them. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]. If a copy has reserved credits, they are returned after the
    /// lease ends.
    pub async fn abandon(&self, hold: &Hold, now: u64) -> Result<()> {
        let mut backoff = Backoff::new();
        loop {
            let close = self
                .update_holder(hold, "SET closed.#rid = :closed")
                .condition("id = :id AND attribute_not_exists(reservations.#rid)")
                .names([("#rid", &hold.rid)])
                .values([(":closed", n(now + CLOSED))])
                .shows_item();
            let Outcome::Refused(account) = self.send(&close).await? else { return Ok(()) };
            let account: Option<Account> = self.item_that_refused(&close, account).await?;
            if !account.is_some_and(|account| hold.is_on(&account)) {
                return Ok(());
            }
            self.return_and_close(hold, now).await?;
            backoff.try_again("a hold kept being reserved while its id was being closed").await?;
        }
    }

    /// Removes an outdated closed id from the account.
    async fn drop_outdated_id(&self, hold: &Hold, until: u64) -> Result<()> {
        let forget = self
            .update_holder(hold, "REMOVE closed.#rid")
            .condition("id = :id AND closed.#rid = :until")
            .names([("#rid", &hold.rid)])
            .values([(":until", n(until))]);
        self.send(&forget).await.map(drop)
    }

    /// Removes the outdated ids from the account's closed ids, if the closed ids still equal
    /// `closed`.
    async fn drop_outdated_ids(
        &self,
        hold: &Hold,
        closed: &BTreeMap<String, u64>,
        now: u64,
    ) -> Result<()> {
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

    /// Adds the missing maps to the account.
    async fn add_missing_maps(&self, hold: &Hold) -> Result<()> {
        let mut adds = String::from("SET minutes = if_not_exists(minutes, :none)");
        if hold.held.purse.is_some() {
            adds.push_str(", purses = if_not_exists(purses, :none)");
        }
        let begin =
            self.update_holder(hold, &adds).condition("id = :id").values([(":none", no_entries())]);
        self.send(&begin).await.map(drop)
    }

    /// An update of the hold's account that can use the account's id as the `:id` value.
    fn update_holder(&self, hold: &Hold, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&hold.account), expression)
            .values([(":id", s(&hold.user_id))])
    }

    /// The write of a reserve. Its outcome contains the account: after the change if the write was
    /// applied, otherwise unchanged.
    fn take_credits(
        &self,
        caller: &Credential,
        hold: &Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<Write> {
        let (mut set, mut condition) = (String::from(TAKE_UPDATE), String::from(RESERVE_CONDITION));
        let (mut names, mut values) = (Vec::new(), Vec::new());
        if let (Some(limit), Some(purse)) = (hold.limit, &hold.held.purse) {
            set.push_str(PURSE_UPDATE);
            names.push(("#purse".to_owned(), purse.clone()));
            // A hold without credits fits even if the limit was lowered below the purse.
            let room = match hold.held.cost {
                Credits::ZERO => Some(Credits::MAX),
                cost => limit.tokens.checked_sub(cost),
            };
            match room {
                Some(room) => {
                    condition.push_str(PURSE_CONDITION);
                    values.push((":room".to_owned(), n(room)));
                }
                None => condition.push_str(IMPOSSIBLE_CONDITION),
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
        if hold.is_estimated {
            condition.push_str(UNDERHELD_CONDITION);
            names.push(("#underheld".to_owned(), underheld_key(now)));
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

/// Finds the reason for a refused reserve in the account. A reserve that was already applied isn't
/// reported as refused. If the caller isn't accepted, no other reason is revealed. An estimated
/// amount isn't compared with the balance if another amount has to be reserved. A shortage takes
/// precedence over the limits on chats. If several limits are reached, the longest-lasting one is
/// reported.
fn reason_of_refusal(
    account: &Account,
    caller: &Credential,
    hold: &Hold,
    limits: ChatLimits,
    now: u64,
) -> Refusal {
    if hold.is_on(account)
        && let Some(own) = account.reservations.get(&hold.rid)
    {
        return Refusal::Held(own.cost);
    }
    if caller.admits(Some(account.clone())).is_none() {
        return Refusal::NotAccepted;
    }
    if let Some(refusal) = key_in_use(account, hold, now) {
        return refusal;
    }
    if due(account, limits.allowances, now).is_some() {
        return Refusal::Clear(Obstacle::AllowanceDue);
    }
    if hold.is_estimated && underheld(account, now) >= limits.free_work {
        return Refusal::Underheld;
    }
    if let Some(shortage) = Shortage::of(hold, account, limits, now) {
        return unless_expired(account, Refusal::Short(shortage), now);
    }
    limit_reached(account, hold, limits, now)
        .or_else(|| too_many_chats(account, limits, now))
        .or_else(|| missing_maps(account, hold))
        .unwrap_or(Refusal::Changed)
}

/// Returns the refusal if another request with the same idempotency key holds credits, or has
/// ended.
fn key_in_use(account: &Account, hold: &Hold, now: u64) -> Option<Refusal> {
    match account.reservations.get(&hold.rid) {
        Some(dead) if dead.expires_at <= now => {
            let dead = [(hold.rid.clone(), dead.clone())].into();
            return Some(Refusal::Clear(Obstacle::ExpiredHolds(dead)));
        }
        Some(other) if other.fingerprint != hold.held.fingerprint => {
            return Some(Refusal::Refuse(Error::KeyReused));
        }
        Some(running) => {
            let seconds = (running.expires_at - now).clamp(1, 5);
            let seconds = u32::try_from(seconds).unwrap_or(5);
            return Some(Refusal::Refuse(Error::KeyRunning { seconds }));
        }
        None => {}
    }
    let until = *account.closed.get(&hold.rid)?;
    Some(match until > now {
        true => Refusal::Ended,
        false => Refusal::Clear(Obstacle::OutdatedId(until)),
    })
}

/// Returns the refusal if too many of the account's chats wait for an answer.
fn too_many_chats(account: &Account, limits: ChatLimits, now: u64) -> Option<Refusal> {
    let most = usize::try_from(limits.parallel).unwrap_or(usize::MAX);
    if account.reservations.len() < most {
        return None;
    }
    let limit = Limit::at_once("parallel-chats", limits.parallel);
    Some(unless_expired(account, Refusal::Refuse(Error::TooManyChats(limit)), now))
}

/// Returns the refusal. If the account has expired holds, returns them as the obstacle instead,
/// because releasing them may be enough.
fn unless_expired(account: &Account, refusal: Refusal, now: u64) -> Refusal {
    let expired = expired_holds(account, now);
    match expired.is_empty() {
        true => refusal,
        false => Refusal::Clear(Obstacle::ExpiredHolds(expired)),
    }
}

/// Returns the obstacle if a map that the reserve changes is missing from the account.
fn missing_maps(account: &Account, hold: &Hold) -> Option<Refusal> {
    let lacks_purses = hold.held.purse.is_some() && account.purses.is_none();
    let lacks_maps = account.minutes.is_none() || lacks_purses;
    lacks_maps.then_some(Refusal::Clear(Obstacle::MissingMaps))
}

/// Returns the refusal if the limit on free work, refunds, chats per minute, or closed ids is
/// reached.
fn limit_reached(account: &Account, hold: &Hold, limits: ChatLimits, now: u64) -> Option<Refusal> {
    let free_work = hold.free_work_at(now);
    if free_work.used(account) >= free_work.most(account, limits.free_work) {
        let [_, most] = free_work.shown(account, limits.free_work);
        return Some(Refusal::Refuse(Error::TooManyRefunds(free_work_a_day(most, now))));
    }
    let open_from = Refunds::of(account).open_from(minute(now), limits);
    if open_from > minute(now) {
        let limit = refunds_a_minute(limits, open_from, now);
        return Some(Refusal::Refuse(Error::TooManyRefunds(limit)));
    }
    let limit = chats_a_minute(limits, limits.per_minute, now);
    if account.chats_in(minute(now)) >= limits.per_minute {
        return Some(Refusal::Refuse(Error::TooManyChatsThisMinute(limit)));
    }
    // Closed ids are removed when they expire. Until then, they take up space in the account's
    // item.
    if account.closed.len() < MOST_CLOSED {
        return None;
    }
    let first = account.closed.values().min().copied().unwrap_or(now);
    Some(match first.checked_sub(now).filter(|seconds| *seconds > 0) {
        None => Refusal::Clear(Obstacle::TooManyClosedIds),
        Some(reset) => Refusal::Refuse(Error::TooManyChatsThisMinute(Limit { reset, ..limit })),
    })
}
