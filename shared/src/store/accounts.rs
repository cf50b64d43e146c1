//! Accounts: reading them, and the only writes that move tokens. `docs/money.md` tells the whole
//! protocol.
//!
//! A chat is paid in two steps. [`Store::reserve`] takes the tokens off the balance in one
//! conditional write and keeps them on the account; [`Store::settle`] turns them into a stored
//! chat, or [`Store::release`] gives them back. At every moment `granted = tokens + reservations +
//! spent`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::administration::{ADMINISTERS, administers};
use super::chats::NEW_CHAT;
use super::schema::{self, account_key, entry_key, pk};
use super::{
    Adjustment, Entry, EntryKind, Item, Outcome, Patience, Record, Store, Transaction, Write, flag,
    from_item, n, no_entries, s, to_item,
};
use crate::auth::AccessToken;
use crate::chat::Chat;
use crate::config::Config;
use crate::limit::Limit;
use crate::user::{Account, Reservation, Role};
use crate::{Change, Error, Result, Tokens};

/// How long a reservation id stays closed after its chat, in seconds: until no copy of its reserve
/// can still be on its way.
const CLOSED: u64 = 60;

/// How many outdated closed ids one write removes: an expression has 4 KB at most.
const OUTDATED: usize = 60;

/// How many closed ids an account may have when a chat begins. They take 90 KB of the 400 that an
/// item may have.
const MOST_CLOSED: usize = 2000;

/// How often one reserve clears what is in its way: its key's dead reservation, its key's outdated
/// closed id, too many outdated closed ids, other dead reservations, an account that counts no
/// minutes yet.
const CLEARINGS: u32 = 5;

/// What a reserve writes: the tokens go from the balance into the reservation, the account comes
/// into the index `due`, and the chat is counted in its minute.
const TAKES: &str = "SET tokens = tokens - :cost, reservations.#rid = :reservation, due = if_not_exists(due, :expires), \
                 minutes.#minute = if_not_exists(minutes.#minute, :none) + :one";

/// On what condition a reserve takes tokens: the account admits the caller and has enough, this
/// reservation is a new one, and no limit is reached.
const RESERVES: &str = "id = :id AND active = :true AND auth_epoch BETWEEN :least AND :epoch AND attribute_not_exists(revoked.#session) \
    AND (attribute_not_exists(keys_from) OR keys_from <= :made) AND tokens >= :cost \
    AND attribute_not_exists(reservations.#rid) AND attribute_not_exists(closed.#rid) AND size(reservations) < :limit AND size(closed) < :most_closed \
    AND attribute_exists(minutes) AND (attribute_not_exists(minutes.#minute) OR minutes.#minute < :per_minute)";

/// On what condition an adjustment is made: the account stands, has what is taken, and isn't
/// granted too much.
const ADJUSTS: &str = "id = :id AND attribute_not_exists(deleted) AND tokens >= :taken AND granted >= :taken AND granted <= :room \
    AND attribute_not_exists(closed.#entry)";

/// The seconds in which the chats of an account are counted together.
const MINUTE: u64 = 60;

/// The most minutes that a function takes.
const LONGEST: u64 = 15;

/// How many chats an account may have.
#[derive(Clone, Copy, Debug)]
pub struct ChatLimits {
    /// Waiting for the AI at a time.
    pub parallel: u32,
    /// Begun in one minute.
    pub per_minute: u32,
    /// Refunded in one minute.
    pub refunds: u32,
}

impl ChatLimits {
    /// The limits that the settings name.
    pub fn of(config: &Config) -> Self {
        Self {
            parallel: config.parallel_chats,
            per_minute: config.chats_per_minute,
            refunds: config.refunds_per_minute,
        }
    }

    /// The minutes whose refunds can close the minute `now`, this one first. When the last chat of
    /// a minute is admitted, fewer refunds than the limit are counted, and at most `parallel`
    /// chats are under way.
    fn refund_minutes(self, now: u64) -> impl Iterator<Item = u64> {
        let before = (self.refunds.saturating_sub(1) + self.parallel) / self.refunds.max(1);
        (0..=u64::from(before)).map_while(move |back| now.checked_sub(back))
    }

    /// How many refunds these minutes may have together.
    fn refunds_in(self, minutes: u64) -> u64 {
        minutes.saturating_mul(self.refunds.into())
    }
}

/// How many chats of an account were refunded in which minute, each with what the minutes before
/// had over their limit.
///
/// A minute with `c` refunds uses up its own limit and that of the minutes after it until all are
/// covered. On average no more than the limit are refunded in a minute, although all chats under
/// way when it is reached may still fail.
#[derive(Clone, Debug, Default)]
struct Refunds(BTreeMap<u64, u32>);

impl Refunds {
    fn of(account: &Account) -> Self {
        let counted = |(key, count): (&String, &u32)| {
            Some((key.strip_prefix(REFUNDS)?.parse().ok()?, *count))
        };
        Self(account.minutes.iter().flatten().filter_map(counted).collect())
    }

    fn in_minute(&self, minute: u64) -> Option<u32> {
        self.0.get(&minute).copied()
    }

    /// What the minutes before this one have over their limits.
    fn carried_to(&self, minute: u64, limits: ChatLimits) -> u64 {
        let over = |(of, count): (&u64, &u32)| {
            u64::from(*count).saturating_sub(limits.refunds_in(minute - of))
        };
        self.0.range(..minute).map(over).max().unwrap_or(0)
    }

    /// The first minute from `now` on in which a chat may begin.
    fn open_from(&self, now: u64, limits: ChatLimits) -> u64 {
        let relevant = limits.refund_minutes(now).filter_map(|minute| {
            Some(minute + u64::from(self.in_minute(minute)?) / u64::from(limits.refunds.max(1)))
        });
        relevant.max().unwrap_or(now).max(now)
    }

    /// The keys of the minutes that no longer count at `now`.
    fn over(&self, now: u64, limits: ChatLimits) -> impl Iterator<Item = String> {
        let is_over =
            move |(of, count): &(&u64, &u32)| u64::from(**count) <= limits.refunds_in(now - **of);
        self.0.range(..now).filter(is_over).map(|(minute, _)| refunds_key(*minute))
    }
}

/// How the keys of refunds begin among the minutes of an account.
const REFUNDS: &str = "r";

fn refunds_key(minute: u64) -> String {
    format!("{REFUNDS}{minute}")
}

/// Everything that a reservation is, fixed before the first send.
#[derive(Clone, Debug)]
pub struct Hold {
    account: String,
    user_id: String,
    name: String,
    rid: String,
    reservation: Reservation,
    tokens_left: Tokens,
    sent_again: bool,
    /// What a settle is known by that is sent again: a settle of other bytes has another one.
    request: String,
    /// What the idempotency key comes to stand for, where there is one.
    record: Option<Record>,
    /// Closed ids whose time is over: whoever settles next removes them.
    outdated: Vec<String>,
    /// The minute in which it began, and how many chats had then, itself included.
    begun: (u64, u32),
    /// Minutes that are over: whoever settles or releases next removes them.
    minutes_over: Vec<String>,
    /// The refunds before it.
    refunds: Refunds,
}

impl Hold {
    /// A reservation of `cost` for the chat `chat_id`, whose lease ends at the second `expires_at`.
    pub fn new(caller: &AccessToken, chat_id: Uuid, cost: Tokens, expires_at: u64) -> Self {
        Self {
            account: account_key(&caller.name),
            user_id: caller.user_id.clone(),
            name: String::new(),
            rid: Uuid::new_v4().simple().to_string(),
            reservation: Reservation {
                cost,
                owner: chat_id.to_string(),
                expires_at,
                fingerprint: String::new(),
            },
            tokens_left: Tokens::ZERO,
            sent_again: false,
            request: chat_id.to_string(),
            record: None,
            outdated: Vec::new(),
            begun: (0, 0),
            minutes_over: Vec::new(),
            refunds: Refunds::default(),
        }
    }

    /// The same under an idempotency key: its id is the reservation's, so that the key can be held
    /// once only, and it is remembered until the second `until`.
    pub fn keyed(self, key_id: &str, fingerprint: &str, until: u64) -> Self {
        let record = Record::new(key_id, fingerprint, &self.reservation.owner, until);
        let reservation = Reservation { fingerprint: fingerprint.to_owned(), ..self.reservation };
        Self { rid: key_id.to_owned(), reservation, record: Some(record), ..self }
    }

    /// The same, but the idempotency key is not recorded.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        Self { record: None, ..self }
    }

    /// The same for a settle that differs from the one before, which was refused.
    #[must_use]
    pub fn once_more(&self) -> Self {
        Self { request: Uuid::new_v4().to_string(), ..self.clone() }
    }

    /// The balance right after the tokens were taken.
    pub fn tokens_left(&self) -> Tokens {
        self.tokens_left
    }

    /// What is left of this minute's chats.
    pub fn left_this_minute(&self, limits: ChatLimits, now: u64) -> Limit {
        let (began_in, begun) = self.begun;
        chats_a_minute(limits, if began_in == minute(now) { begun } else { 0 }, now)
    }

    /// The account's name as it was typed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account's id.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }
}

/// What became of a reserve that nobody refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The tokens are held.
    Held,
    /// Nothing was taken: a request with the same idempotency key ended a moment ago. Its record
    /// tells how, if it was a success.
    Ended,
}

/// What became of a chat whose answer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is stored and paid.
    Stored,
    /// Its lease had ended: it is not stored, and the tokens are or will be given back.
    TooLate,
    /// Its conversation was deleted meanwhile: it is not stored, and the tokens are still held.
    NoConversation,
    /// Its idempotency key has a record already: it is not stored, and the tokens are still held.
    KeyUsed,
}

/// What became of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// It is in the balance and in the ledger.
    Applied,
    /// The account no longer stands; nothing was changed.
    Gone,
    /// The balance, which this is, is less than was to be taken; nothing was changed.
    TooLittle(Tokens),
    /// Everything ever granted would be more than [`Tokens::MAX`]; nothing was changed.
    TooMuch,
    /// Its idempotency key stands for something already: its record tells what. Nothing was
    /// changed.
    KeyUsed,
}

/// Why a reserve was refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It wasn't: this very reservation stands, only the reply was lost.
    Ours,
    /// The token no longer opens the account.
    Identity,
    /// The idempotency key was used with another payload.
    KeyReused,
    /// A request with the same idempotency key holds its tokens, for so many seconds at most.
    KeyRunning(u64),
    /// A request with the same idempotency key ended a moment ago.
    KeyEnded,
    /// It ended longer ago than that: its closed id, kept until this second, is in the way.
    Outdated(u64),
    /// Reservations whose lease is over are in the way.
    Expired(Vec<(String, Reservation)>),
    /// The balance is less than the cost.
    Tokens,
    /// As many reservations stand as may.
    Limit,
    /// As many chats have begun in this minute as may.
    Minute,
    /// As many chats have been refunded as may. The next one may begin in this minute.
    Refunds(u64),
    /// As many ids are closed as may be, until this second or later.
    Crammed(u64),
    /// As many ids are closed as may be, and some are over.
    CrammedWithOutdated,
    /// The account is from before minutes were counted.
    Uncounted,
    /// Nothing of this holds any more: the account has changed since.
    Changed,
}

impl Store {
    /// The caller's account, if the token still opens it.
    pub async fn account(&self, caller: &AccessToken) -> Result<Account> {
        caller.admits(self.account_by_key(&caller.name).await?)
    }

    /// The account with this key of a name, strongly consistent.
    pub async fn account_by_key(&self, name_key: &str) -> Result<Option<Account>> {
        self.account_at(&account_key(name_key)).await
    }

    pub(super) async fn account_at(&self, pk: &str) -> Result<Option<Account>> {
        self.get(&self.tables.users, schema::pk(pk)).await
    }

    /// The caller's account, if the token still opens it and it is an administrator's.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], and [`Error::Forbidden`].
    pub(crate) async fn administrator(&self, caller: &AccessToken) -> Result<Account> {
        let account = self.account(caller).await?;
        if account.role == Role::Admin { Ok(account) } else { Err(Error::Forbidden) }
    }

    /// Takes the tokens of a chat off the balance, in one conditional write that also checks the
    /// caller against the account, limits how many chats of an account may wait at a time and
    /// begin in a minute, and is safe to be sent twice.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::InsufficientTokens`], [`Error::TooManyChats`],
    /// [`Error::TooManyChatsThisMinute`], [`Error::TooManyRefunds`], [`Error::KeyRunning`] and
    /// [`Error::KeyReused`]; after each of them nothing was taken.
    pub async fn reserve(
        &self,
        caller: &AccessToken,
        hold: &mut Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<Reserved> {
        let mut cleared = 0;
        let mut patience = Patience::new();
        loop {
            let take = self.take_tokens(caller, hold, limits, now)?;
            let refused: Option<Account> =
                match self.send_watched(&take, &mut hold.sent_again).await? {
                    Outcome::Applied(account) => {
                        return Ok(hold.taken_from(&from_item(account)?, limits, now));
                    }
                    Outcome::Refused(account) => self.refused_by(&take, account).await?,
                };
            match refusal(refused.as_ref(), caller, hold, limits, now) {
                Refusal::Ours => {
                    return Ok(hold.taken_from(
                        refused.as_ref().ok_or(Error::InvalidToken)?,
                        limits,
                        now,
                    ));
                }
                Refusal::Identity => return Err(Error::InvalidToken),
                Refusal::KeyReused => return Err(Error::KeyReused),
                Refusal::KeyRunning(seconds) => {
                    return Err(Error::KeyRunning {
                        seconds: u32::try_from(seconds.clamp(1, 5)).unwrap_or(5),
                    });
                }
                Refusal::KeyEnded => return Ok(Reserved::Ended),
                Refusal::Outdated(until) if cleared < CLEARINGS => {
                    cleared += 1;
                    self.forget_closed(hold, until).await?;
                }
                Refusal::Expired(expired) if cleared < CLEARINGS => {
                    cleared += 1;
                    try_join_all(expired.iter().map(|(rid, reservation)| {
                        self.give_back(&hold.account, &hold.user_id, rid, reservation)
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
                    return Err(Error::TooManyChats(Limit::at_once(
                        "parallel-chats",
                        limits.parallel,
                    )));
                }
                Refusal::Minute => {
                    return Err(Error::TooManyChatsThisMinute(chats_a_minute(
                        limits,
                        limits.per_minute,
                        now,
                    )));
                }
                Refusal::Crammed(until) => {
                    let limit = chats_a_minute(limits, limits.per_minute, now);
                    return Err(Error::TooManyChatsThisMinute(Limit {
                        reset: until.saturating_sub(now).max(1),
                        ..limit
                    }));
                }
                Refusal::Refunds(minute) => {
                    return Err(Error::TooManyRefunds(refunds_a_minute(limits, minute, now)));
                }
                Refusal::Tokens => {
                    return Err(Error::InsufficientTokens { cost: hold.reservation.cost });
                }
                _ if patience.lasts().await => {}
                _ => {
                    return Err(Error::Unavailable(
                        "a reserve was refused without a reason that lasts".into(),
                    ));
                }
            }
        }
    }

    /// Removes a closed id whose minute is over.
    async fn forget_closed(&self, hold: &Hold, until: u64) -> Result<()> {
        let forget = self
            .update_holder(hold, "REMOVE closed.#rid")
            .when("id = :id AND closed.#rid = :until")
            .names([("#rid", &hold.rid)])
            .values([(":until", n(until))]);
        self.send(&forget).await.map(drop)
    }

    /// Replaces the closed ids, which are `closed`, by those that are not over yet.
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
            .when("id = :id AND closed = :closed")
            .values([(":closed", map(&|_| true)), (":kept", map(&|until| until > now))]);
        self.send(&keep).await.map(drop)
    }

    /// Gives an account from before minutes were counted the map that they are counted in.
    async fn begin_counting(&self, hold: &Hold) -> Result<()> {
        let begin = self
            .update_holder(hold, "SET minutes = :none")
            .when("id = :id AND attribute_not_exists(minutes)")
            .values([(":none", no_entries())]);
        self.send(&begin).await.map(drop)
    }

    /// A write to the account that a reservation is of, with the value `:id`.
    fn update_holder(&self, hold: &Hold, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&hold.account), expression)
            .values([(":id", s(&hold.user_id))])
    }

    /// The write that reserves, and returns the account after it or the one that refused it.
    fn take_tokens(
        &self,
        caller: &AccessToken,
        hold: &Hold,
        limits: ChatLimits,
        now: u64,
    ) -> Result<Write> {
        let mut condition = String::from(RESERVES);
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (back, of) in (0_u64..).zip(limits.refund_minutes(minute(now))) {
            let (name, most) = (format!("#r{back}"), format!(":r{back}"));
            condition.push_str(&format!(
                " AND (attribute_not_exists(minutes.{name}) OR minutes.{name} < {most})"
            ));
            names.push((name, refunds_key(of)));
            values.push((most, n(limits.refunds_in(back + 1))));
        }
        Ok(Write::update(&self.tables.users, pk(&hold.account), TAKES)
            .when(condition)
            .names(names)
            .names([
                ("#rid", &hold.rid),
                ("#session", &caller.session),
                ("#minute", &minute(now).to_string()),
            ])
            .values(values)
            .values([
                (":most_closed", n(MOST_CLOSED)),
                (":cost", n(hold.reservation.cost)),
                (":reservation", AttributeValue::M(to_item(&hold.reservation)?)),
                (":expires", n(hold.reservation.expires_at)),
                (":id", s(&caller.user_id)),
                (":true", flag(true)),
                (":least", n(caller.epochs().start())),
                (":epoch", n(caller.epochs().end())),
                (":made", n(caller.auth_epoch)),
                (":limit", n(limits.parallel)),
                (":none", n(0)),
                (":one", n(1)),
                (":per_minute", n(limits.per_minute)),
            ])
            .returns(ReturnValue::AllNew)
            .shows_item())
    }

    /// Stores the chat, its conversation and its ledger row and spends the tokens that were held
    /// for it, in one transaction: all or nothing, and only while the lease lasts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the outcome stays unknown; then the lease decides.
    pub async fn settle(&self, hold: &Hold, chat: &Chat, now: u64) -> Result<Settled> {
        let entry = Entry {
            user_id: hold.user_id.clone(),
            entry_id: chat.chat_id.clone(),
            amount: -hold.reservation.cost.signed(),
            kind: EntryKind::Chat,
            reason: "chat".into(),
            actor: hold.user_id.clone(),
            chat_id: Some(chat.chat_id.clone()),
            act: None,
            time: chat.time,
        };
        let mut writes = vec![
            self.spend(hold, now),
            Write::put(&self.tables.chats, to_item(chat)?).when(NEW_CHAT).shows_item(),
            self.enter(&entry)?,
        ];
        let conversation_at = writes.len();
        writes.extend(self.converse(chat)?);
        let record_at = writes.len();
        if let Some(record) = &hold.record {
            writes.push(self.remember(record, now)?);
        }
        match self.transact(writes, &hold.request).await? {
            Transaction::Applied => Ok(Settled::Stored),
            // The reservation is gone, or its lease is over. If that was a copy of this very
            // settle, its row stands.
            Transaction::Refused(_) if self.has_entry(&hold.user_id, &entry.entry_id).await? => {
                Ok(Settled::Stored)
            }
            Transaction::Refused(refusals)
                if chat.conversation.is_some() && refusals.has(conversation_at) =>
            {
                Ok(Settled::NoConversation)
            }
            Transaction::Refused(refusals) if hold.record.is_some() && refusals.has(record_at) => {
                Ok(Settled::KeyUsed)
            }
            Transaction::Refused(_) => Ok(Settled::TooLate),
        }
    }

    fn spend(&self, hold: &Hold, now: u64) -> Write {
        let mut set = String::from("SET spent = spent + reservations.#rid.#cost");
        let mut remove = String::from(" REMOVE reservations.#rid");
        let mut values = Vec::new();
        // A key's id stays closed too: a racing caller may have read its record before it stood,
        // and reserve after this.
        if hold.sent_again || hold.record.is_some() {
            set.push_str(", closed.#rid = :closed");
            values.push((":closed", n(now + CLOSED)));
        }
        let mut names = also(&mut remove, "closed", &hold.outdated);
        names.extend(also(&mut remove, "minutes", &hold.minutes_over));
        Write::update(&self.tables.users, pk(&hold.account), set + &remove)
            .when("id = :id AND reservations.#rid.#owner = :owner AND reservations.#rid.expires_at > :now")
            .names(names)
            .names([("#rid", hold.rid.as_str()), ("#cost", "cost"), ("#owner", "owner")])
            .values(values)
            .values([
                (":id", s(&hold.user_id)),
                (":owner", s(&hold.reservation.owner)),
                (":now", n(now)),
            ])
    }

    /// The write of what an idempotency key stands for, on condition that it stands for nothing at
    /// `now`.
    fn remember(&self, record: &Record, now: u64) -> Result<Write> {
        Ok(Write::put(&self.tables.tokens, to_item(record)?)
            .when("attribute_not_exists(pk) OR expires_at <= :now")
            .values([(":now", n(now))]))
    }

    pub(super) async fn has_entry(&self, user_id: &str, entry_id: &str) -> Result<bool> {
        let get = self
            .client
            .get_item()
            .table_name(&self.tables.ledger)
            .set_key(Some(entry_key(user_id, entry_id)));
        Ok(get.projection_expression("entry_id").consistent_read(true).send().await?.item.is_some())
    }

    /// Gives back the tokens of a chat that got no answer, and counts that. Released twice, it acts
    /// once.
    pub async fn release(&self, hold: &Hold, limits: ChatLimits, now: u64) -> Result<()> {
        let mut refunds = hold.refunds.clone();
        let mut patience = Patience::new();
        loop {
            let mut returning =
                Returning::of(&hold.account, &hold.user_id, &hold.rid, &hold.reservation);
            if hold.sent_again {
                returning.close(now + CLOSED);
            }
            returning.remove("closed", &hold.outdated);
            returning.remove("minutes", &hold.minutes_over);
            returning.count(&refunds, hold.begun.0, limits, minute(now));
            let give_back = self.return_tokens(returning);
            let Outcome::Refused(account) = self.send(&give_back).await? else { return Ok(()) };
            let refused: Option<Account> = self.refused_by(&give_back, account).await?;
            let Some(refused) = refused else { return Ok(()) };
            let is_held = refused.id == hold.user_id
                && refused
                    .reservations
                    .get(&hold.rid)
                    .is_some_and(|held| held.owner == hold.reservation.owner);
            if !is_held {
                return Ok(());
            }
            // Others were refunded in the minute before since the reserve, which showed fewer.
            refunds = Refunds::of(&refused);
            if !patience.lasts().await {
                return Err(Error::Unavailable(
                    "a release was refused without a reason that lasts".into(),
                ));
            }
        }
    }

    /// Gives back the tokens of a reservation whose lease is over. Given back twice, they come back
    /// once.
    pub(super) async fn give_back(
        &self,
        account: &str,
        user_id: &str,
        rid: &str,
        reservation: &Reservation,
    ) -> Result<()> {
        let returning = Returning::of(account, user_id, rid, reservation);
        self.send(&self.return_tokens(returning)).await.map(drop)
    }

    fn return_tokens(&self, returning: Returning<'_>) -> Write {
        let Returning { account, set, remove, condition, names, values } = returning;
        Write::update(&self.tables.users, pk(account), set + &remove)
            .when(condition)
            .names(names)
            .values(values)
            .shows_item()
    }

    /// Gives or takes tokens and writes the ledger row that says why, in one transaction. The same
    /// adjustment sent again acts once. Where expired reservations hold what is to be taken,
    /// they are released first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the outcome stays unknown; [`Error::InvalidToken`] and
    /// [`Error::Forbidden`] where whoever does it was an administrator a moment ago.
    pub async fn adjust(&self, adjustment: &Adjustment, now: u64) -> Result<Adjusted> {
        let Adjustment { name_key, change, entry, by, record } = adjustment;
        let (given, taken) = match *change {
            Change::Give(tokens) => (tokens, Tokens::ZERO),
            Change::Take(tokens) => (Tokens::ZERO, tokens),
        };
        let room = Tokens::MAX.checked_sub(given).unwrap_or(Tokens::ZERO);
        let account = account_key(name_key);
        let move_tokens = Write::update(
            &self.tables.users,
            pk(&account),
            "SET tokens = tokens + :amount, granted = granted + :amount",
        )
        .when(ADJUSTS)
        .names([("#entry", &entry.entry_id)])
        .values([
            (":id", s(&entry.user_id)),
            (":amount", n(change.amount())),
            (":taken", n(taken)),
            (":room", n(room)),
        ]);
        let mut writes = match by {
            None => vec![move_tokens],
            // A transaction writes to an account once: the condition on their own says that they
            // are one.
            Some(by) if by.user_id == entry.user_id => {
                vec![administers(move_tokens, by).when(format!("{ADJUSTS} AND {ADMINISTERS}"))]
            }
            Some(by) => vec![move_tokens, self.is_administrator(by)],
        };
        writes.push(self.enter(entry)?);
        if let Some(record) = record {
            writes.push(self.remember(record, now)?);
        }

        let mut cleared = false;
        let mut sent_again = false;
        let mut patience = Patience::new();
        loop {
            if matches!(
                self.transact_watched(writes.clone(), &entry.entry_id, &mut sent_again).await?,
                Transaction::Applied
            ) {
                return Ok(Adjusted::Applied);
            }
            // If a copy of this very adjustment was applied, its row stands: read last, so that no
            // balance is judged that the copy made.
            let standing = self.account_by_key(name_key).await?;
            if self.has_entry(&entry.user_id, &entry.entry_id).await? {
                return Ok(Adjusted::Applied);
            }
            if let Some(by) = by {
                self.administrator(by).await?;
            }
            if let Some(record) = record
                && self.record(record.key_id(), now).await?.is_some()
            {
                return Ok(Adjusted::KeyUsed);
            }
            let standing = standing
                .filter(|standing| standing.id == entry.user_id && standing.deleted.is_none());
            let Some(standing) = standing else { return Ok(Adjusted::Gone) };
            let refused = match standing.balance(now) {
                balance if balance < taken => Some(Adjusted::TooLittle(balance)),
                _ if standing.granted > room => Some(Adjusted::TooMuch),
                _ => None,
            };
            if let Some(refused) = refused {
                // No copy that is still on its way may make this untrue. Where none can be, the
                // next write may remove the id.
                let until = if sent_again { now + CLOSED } else { now };
                self.close(&standing, &entry.entry_id, until, now).await?;
                return Ok(if self.has_entry(&entry.user_id, &entry.entry_id).await? {
                    Adjusted::Applied
                } else {
                    refused
                });
            }
            if standing.tokens < taken && !cleared {
                cleared = true;
                let expired = standing
                    .reservations
                    .iter()
                    .filter(|(_, reservation)| reservation.expires_at <= now);
                try_join_all(expired.map(|(rid, reservation)| {
                    self.give_back(&account, &entry.user_id, rid, reservation)
                }))
                .await?;
            } else if !patience.lasts().await {
                return Err(Error::Unavailable(
                    "an adjustment was refused without a reason that lasts".into(),
                ));
            }
        }
    }

    /// Has the account refuse whatever still comes under this id, until the second `until` has come
    /// and another write removes it; removes those that were over before.
    async fn close(&self, account: &Account, id: &str, until: u64, now: u64) -> Result<()> {
        let mut remove = String::new();
        let mut outdated = outdated(account, now);
        outdated.retain(|other| other != id);
        let names = also(&mut remove, "closed", &outdated);
        let remove = if remove.is_empty() {
            remove
        } else {
            format!(" REMOVE {}", remove.trim_start_matches(", "))
        };
        let close = Write::update(
            &self.tables.users,
            pk(&account.pk),
            format!("SET closed.#id = :until{remove}"),
        )
        .when("id = :user AND (attribute_not_exists(closed.#id) OR closed.#id < :until)")
        .names(names)
        .names([("#id", id)])
        .values([(":user", s(&account.id)), (":until", n(until))]);
        self.send(&close).await.map(drop)
    }
}

impl Hold {
    fn taken_from(&mut self, account: &Account, limits: ChatLimits, now: u64) -> Reserved {
        self.tokens_left = account.balance(now);
        self.name.clone_from(&account.name);
        self.outdated = outdated(account, now);
        self.refunds = Refunds::of(account);
        self.begun = (minute(now), account.chats_in(minute(now)));
        let over = account
            .minutes
            .iter()
            .flat_map(|minutes| minutes.keys())
            .filter(|of| of.parse::<u64>().is_ok_and(|of| of < minute(now)));
        self.minutes_over =
            over.cloned().chain(self.refunds.over(minute(now), limits)).take(OUTDATED).collect();
        Reserved::Held
    }
}

/// On what condition a reservation is its owner's: the id of its chat is compared, so that one that
/// was released and made again under the same id isn't touched.
const HELD: &str = "reservations.#rid.#owner = :owner";

/// The write that gives a reservation's tokens back, and what it does besides.
struct Returning<'a> {
    account: &'a str,
    set: String,
    remove: String,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
}

impl<'a> Returning<'a> {
    fn of(account: &'a str, user_id: &str, rid: &str, reservation: &Reservation) -> Self {
        let names = [("#rid", rid), ("#cost", "cost"), ("#owner", "owner")];
        let values = [(":id", s(user_id)), (":owner", s(&reservation.owner))];
        Self {
            account,
            set: "SET tokens = tokens + reservations.#rid.#cost".into(),
            remove: " REMOVE reservations.#rid".into(),
            condition: format!("id = :id AND {HELD}"),
            names: names.map(|(name, key)| (name.to_owned(), key.to_owned())).into(),
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Leaves the reservation's id closed.
    fn close(&mut self, until: u64) {
        self.set.push_str(", closed.#rid = :closed");
        self.values.insert(":closed".into(), n(until));
    }

    /// Removes these keys of a map of the account.
    fn remove(&mut self, map: &str, keys: &[String]) {
        self.names.extend(also(&mut self.remove, map, keys));
    }

    /// Counts it as a refund of the minute `now`. The first one of a minute begins with what is
    /// left over from those before, which were as in `refunds` when the chat began in the
    /// minute `begun`: that is a condition.
    fn count(&mut self, refunds: &Refunds, begun: u64, limits: ChatLimits, now: u64) {
        self.set.push_str(", minutes.#refunds = if_not_exists(minutes.#refunds, :carried) + :one");
        self.names.insert("#refunds".into(), refunds_key(now));
        self.values.extend([
            (":carried".into(), n(refunds.carried_to(now, limits))),
            (":one".into(), n(1)),
        ]);
        if refunds.in_minute(now).is_some() {
            return;
        }
        self.condition.push_str(" AND (attribute_exists(minutes.#refunds)");
        let mut joint = " OR ";
        // A release of the minute before `begun` may have come late.
        let since =
            begun.saturating_sub(1).clamp(now.saturating_sub(LONGEST), now.saturating_sub(1));
        for (index, before) in (since..now).enumerate() {
            let (name, value) = (format!("#before{index}"), format!(":before{index}"));
            self.condition.push_str(joint);
            match refunds.in_minute(before) {
                Some(count) => {
                    self.condition.push_str(&format!("minutes.{name} = {value}"));
                    self.values.insert(value, n(count));
                }
                None => self.condition.push_str(&format!("attribute_not_exists(minutes.{name})")),
            }
            self.names.insert(name, refunds_key(before));
            joint = " AND ";
        }
        self.condition.push(')');
    }
}

/// Closed ids of the account that are over, as many as one write removes.
fn outdated(account: &Account, now: u64) -> Vec<String> {
    account
        .closed
        .iter()
        .filter(|(_, until)| **until <= now)
        .map(|(id, _)| id.clone())
        .take(OUTDATED)
        .collect()
}

/// Removes these keys of a map of the account too: the names that the expression has for them.
fn also(remove: &mut String, map: &str, keys: &[String]) -> Vec<(String, String)> {
    let named = |(index, key): (usize, &String)| {
        let name = format!("#{map}{index}");
        remove.push_str(&format!(", {map}.{name}"));
        (name, key.clone())
    };
    keys.iter().enumerate().map(named).collect()
}

/// The minute that the second `now` is in.
fn minute(now: u64) -> u64 {
    now / MINUTE
}

fn chats_a_minute(limits: ChatLimits, begun: u32, now: u64) -> Limit {
    let most = limits.per_minute;
    Limit {
        name: "chats",
        most,
        window: Some(MINUTE),
        left: most.saturating_sub(begun),
        reset: MINUTE - now % MINUTE,
    }
}

fn refunds_a_minute(limits: ChatLimits, open_from: u64, now: u64) -> Limit {
    let reset = (open_from * MINUTE).saturating_sub(now).max(1);
    Limit { name: "refunds", most: limits.refunds, window: Some(MINUTE), left: 0, reset }
}

/// Reads a refusal in the order that clients are owed: a lost reply is no failure, who may not call
/// learns nothing else, and "not enough tokens" wins over "too many", of which the one that lasts
/// longer wins.
fn refusal(
    account: Option<&Account>,
    caller: &AccessToken,
    hold: &Hold,
    limits: ChatLimits,
    now: u64,
) -> Refusal {
    let Some(account) = account else { return Refusal::Identity };
    let standing = account.reservations.get(&hold.rid).filter(|_| account.id == caller.user_id);
    if standing.is_some_and(|standing| standing.owner == hold.reservation.owner) {
        return Refusal::Ours;
    }
    if caller.admits(Some(account.clone())).is_err() {
        return Refusal::Identity;
    }
    match standing {
        Some(dead) if dead.expires_at <= now => {
            return Refusal::Expired(vec![(hold.rid.clone(), dead.clone())]);
        }
        Some(other) if other.fingerprint != hold.reservation.fingerprint => {
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
    let poor = account.tokens < hold.reservation.cost;
    let crowded =
        account.reservations.len() >= usize::try_from(limits.parallel).unwrap_or(usize::MAX);
    if !poor {
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
    if !poor && !crowded {
        return if account.minutes.is_some() { Refusal::Changed } else { Refusal::Uncounted };
    }
    let expired =
        account.reservations.iter().filter(|(_, reservation)| reservation.expires_at <= now);
    let expired: Vec<_> =
        expired.map(|(rid, reservation)| (rid.clone(), reservation.clone())).collect();
    match (expired.is_empty(), poor) {
        (false, _) => Refusal::Expired(expired),
        (true, true) => Refusal::Tokens,
        (true, false) => Refusal::Limit,
    }
}
