//! Holds: credits that are reserved for a chat until it is settled or released.

use uuid::Uuid;

use crate::Credits;
use crate::clock::{month, previous_month};
use crate::error::NextAllowance;
use crate::store::Record;
use crate::store::balance::limits::{
    ChatLimits, Earning, FreeWork, Refunds, chats_a_minute, day, days_over, free_work_over, minute,
};
use crate::store::balance::{OUTDATED, outdated};
use crate::store::schema::account_pk;
use crate::values::restrictions::ended_purses;
use crate::values::{Account, Ceiling, Credential, KeyLimit, Limit, Quote, StoredHold};

/// Credits that are held for a chat. All values that identify the charge are fixed before the first
/// attempt to reserve.
#[derive(Clone, Debug)]
pub struct Hold {
    pub(super) account: String,
    pub(super) user_id: String,
    pub(super) name: String,
    /// True if the account has instructions for the AI.
    pub(super) instructed: bool,
    pub(super) rid: String,
    pub(super) quote: Quote,
    pub(super) held: StoredHold,
    /// The id of the API key that was used to send the chat.
    pub(super) key_id: Option<String>,
    /// The limit of this API key.
    pub(super) limit: Option<KeyLimit>,
    pub(super) balance_after: Credits,
    /// The account's granted credits. `None` if the account's owner can't be notified of a low
    /// balance, or doesn't need to be.
    pub(super) granted_without_alert: Option<Credits>,
    /// The account's next allowance.
    next_allowance: Option<NextAllowance>,
    pub(super) sent_again: bool,
    /// The request token of the settle. A settle with different content needs a new token.
    pub(super) settle_token: String,
    /// The record of the chat's idempotency key.
    pub(super) record: Option<Record>,
    /// Outdated closed ids, which the settle or release removes.
    pub(super) outdated: Vec<String>,
    /// The minute in which the chat began, and how many chats began in that minute up to and
    /// including this chat.
    pub(super) begun_in_minute: (u64, u32),
    /// Outdated keys in the account's map of minutes. The settle or release removes them.
    pub(super) minutes_over: Vec<String>,
    /// Outdated purses. The settle or release removes them.
    pub(super) purses_over: Vec<String>,
    /// The account's counts of refunds when the chat began.
    pub(super) refunds: Refunds,
    /// The price of the AI's work that no user pays for.
    pub(super) free_work: Credits,
    /// The part of the answer's price that exceeds the hold.
    pub(super) underheld: Credits,
    /// True if the amount is an estimate, which the price of the answer may exceed.
    pub(super) is_estimated: bool,
    /// The free work that the account earns with the chat's charge. `None` if the account hasn't
    /// spent enough yet to earn free work.
    pub(super) earns: Option<Earning>,
    /// True if the account had a map of free work when the chat began.
    pub(super) has_free_work: bool,
    /// How many credits the account had spent when the chat began.
    spent: Credits,
    /// How many of the account's credits were held when the chat began, including those in this
    /// hold.
    held_by_account: Credits,
    /// Outdated keys in the account's map of free work. The settle or release removes them.
    pub(super) free_work_over: Vec<String>,
}

impl Hold {
    /// Creates a hold for the chat `chat_id`. Its lease ends at the Unix time `expires_at`.
    pub fn new(caller: &Credential, chat_id: Uuid, quote: Quote, expires_at: u64) -> Self {
        Self {
            account: account_pk(caller.name()),
            user_id: caller.user_id().to_owned(),
            key_id: caller.key_id().map(str::to_owned),
            name: String::new(),
            instructed: false,
            rid: Uuid::new_v4().simple().to_string(),
            held: StoredHold {
                cost: quote.hold(),
                owner: chat_id.to_string(),
                expires_at,
                fingerprint: String::new(),
                purse: None,
                stopped: false,
            },
            quote,
            limit: caller.limit(),
            balance_after: Credits::ZERO,
            granted_without_alert: None,
            next_allowance: None,
            sent_again: false,
            settle_token: chat_id.to_string(),
            record: None,
            outdated: Vec::new(),
            begun_in_minute: (0, 0),
            minutes_over: Vec::new(),
            purses_over: Vec::new(),
            refunds: Refunds::default(),
            free_work: Credits::ZERO,
            underheld: Credits::ZERO,
            is_estimated: false,
            earns: None,
            has_free_work: false,
            spent: Credits::ZERO,
            held_by_account: Credits::ZERO,
            free_work_over: Vec::new(),
        }
    }

    /// Sets the idempotency key, which is remembered until the Unix time `until`. The key's id
    /// becomes the hold's id, so that only one chat at a time can hold credits under this key.
    pub fn keyed(self, key_id: &str, fingerprint: &str, until: u64) -> Self {
        let record = Record::new(key_id, fingerprint, &self.held.owner, until);
        let held = StoredHold { fingerprint: fingerprint.to_owned(), ..self.held };
        Self { rid: key_id.to_owned(), held, record: Some(record), ..self }
    }

    /// Returns the same hold without the idempotency key's record.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        Self { record: None, ..self }
    }

    /// Returns the same hold with a new request token, for a settle that differs from a refused
    /// settle.
    #[must_use]
    pub fn with_new_settle_token(self) -> Self {
        Self { settle_token: Uuid::new_v4().to_string(), ..self }
    }

    /// If the API key has a limit, chooses the purse that counts the hold. The chat begins at the
    /// Unix time `now`.
    pub(super) fn choose_purse(&mut self, now: u64) {
        let of_key = self.limit.zip(self.key_id.as_deref());
        self.held.purse = of_key.map(|(limit, key)| limit.per.purse(key, &month(now * 1000)));
    }

    /// Sets whether the amount is an estimate, which the price of the answer may exceed. Then the
    /// hold is reserved only if the account's underheld credits of this month allow it. Called
    /// before the hold is reserved.
    pub fn set_estimated(&mut self, is_estimated: bool) {
        self.is_estimated = is_estimated;
    }

    /// Returns the chat's quote, which contains the amount of the hold.
    pub fn quote(&self) -> &Quote {
        &self.quote
    }

    /// Sets the ceiling of the prompt and the limit that the AI gets.
    pub fn set_ceiling(&mut self, ceiling: Ceiling) {
        self.quote = self.quote.clone().up_to(ceiling);
    }

    /// Changes the amount. Called before the hold is reserved again, or if an earlier reserve of
    /// this hold turns out to have been applied with a different amount.
    pub fn change_amount(&mut self, amount: Credits) {
        self.held.cost = amount;
        self.quote = self.quote.clone().holding(amount);
    }

    /// Adds the price of work that no user pays for. The settle or the release adds it to the
    /// account's free work for the day.
    pub fn add_free_work(&mut self, credits: Credits) {
        self.free_work = self.free_work.checked_add(credits).unwrap_or(Credits::MAX);
    }

    /// Sets the part of the answer's price that exceeds the hold. The settle adds it to the account's
    /// underheld credits for the month.
    pub fn set_underheld(&mut self, credits: Credits) {
        self.underheld = credits;
    }

    /// Sets the free work that the account earns with this charge.
    pub fn set_earned(&mut self, charge: Credits, limits: ChatLimits) {
        self.earns = Earning::by(charge, self.spent, self.held_by_account, limits);
    }

    /// Discards the credits that the settle would count or the account would earn.
    pub fn count_no_free_work(&mut self) {
        (self.earns, self.free_work, self.underheld) = (None, Credits::ZERO, Credits::ZERO);
    }

    /// Returns true if the chat's API key has a limit.
    pub fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Returns the price of the work that no user pays for.
    pub fn free_work(&self) -> Credits {
        self.free_work
    }

    /// Returns the account's free work on the day that contains the Unix time `now`, for the kind
    /// of caller that sent the chat.
    pub(super) fn free_work_at(&self, now: u64) -> FreeWork {
        FreeWork::at(now, self.limit.is_some())
    }

    /// Returns true if a reserve of this hold was sent more than once. A copy may then still arrive
    /// at the store after a refusal.
    pub fn was_sent_again(&self) -> bool {
        self.sent_again
    }

    /// Returns the Unix time at which the lease ends.
    pub fn lease_ends(&self) -> u64 {
        self.held.expires_at
    }

    /// Returns the balance right after the credits were reserved.
    pub fn balance_after(&self) -> Credits {
        self.balance_after
    }

    /// Returns the account's next allowance, as of the moment the credits were reserved.
    pub fn next_allowance(&self) -> Option<NextAllowance> {
        self.next_allowance
    }

    /// Returns how many more chats may begin in this minute.
    pub fn left_this_minute(&self, limits: ChatLimits, now: u64) -> Limit {
        let (began_in, begun) = self.begun_in_minute;
        chats_a_minute(limits, if began_in == minute(now) { begun } else { 0 }, now)
    }

    /// Returns the username as the user typed it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if the account has instructions for the AI.
    pub fn is_instructed(&self) -> bool {
        self.instructed
    }

    /// Returns the chat's id.
    pub fn chat_id(&self) -> &str {
        &self.held.owner
    }

    /// Returns the account's id.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns true if the account contains this hold.
    pub(super) fn is_on(&self, account: &Account) -> bool {
        let held = account.reservations.get(&self.rid);
        account.id == self.user_id && held.is_some_and(|held| held.owner == self.held.owner)
    }

    /// Copies data from the account, as it was right after the credits were reserved.
    pub(super) fn taken_from(&mut self, account: &Account, limits: ChatLimits, now: u64) {
        self.balance_after = account.balance(now);
        self.next_allowance =
            limits.allowances.for_role(&account.role).map(|allowance| allowance.next(now));
        let is_untold = |granted: &Credits| account.alerted != Some(*granted);
        self.granted_without_alert =
            account.verified_email().map(|_| account.granted).filter(is_untold);
        self.name.clone_from(&account.name);
        self.instructed = account.instructions.is_some();
        self.outdated = outdated(account, now);
        self.refunds = Refunds::of(account);
        self.begun_in_minute = (minute(now), account.chats_in(minute(now)));
        let over = account
            .minutes
            .iter()
            .flat_map(|minutes| minutes.keys())
            .filter(|of| of.parse::<u64>().is_ok_and(|of| of < minute(now)));
        let over = over.cloned().chain(self.refunds.expired_keys(minute(now), limits));
        self.has_free_work = account.free_work.is_some();
        self.spent = account.spent;
        let held = account.reservations.values();
        self.held_by_account = held
            .fold(Credits::ZERO, |sum, held| sum.checked_add(held.cost).unwrap_or(Credits::MAX));
        self.free_work_over = free_work_over(account, day(now)).take(OUTDATED).collect();
        self.minutes_over = over.chain(days_over(account, day(now))).take(OUTDATED).collect();
        // Keep last month's purses, because credits from open holds may still be returned to them.
        // A function whose clock is slow may even begin a chat in that month.
        let last_month = previous_month(&month(now * 1000));
        let is_free = |purse: &&String| !account.holds_in(purse);
        let purses = account.purses.iter().flat_map(|purses| purses.keys());
        let over = ended_purses(purses, &last_month).filter(is_free);
        self.purses_over = over.take(OUTDATED).cloned().collect();
    }
}
