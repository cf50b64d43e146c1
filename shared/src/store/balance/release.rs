//! Releases holds: returns their credits to the balance.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::Credits;
use crate::store::balance::hold::Hold;
use crate::store::balance::limits::{
    ChatLimits, FreeWork, RUN_MINUTES, Refund, Refunds, minute, refunds_key,
};
use crate::store::balance::{CLOSED, FREE_WORK_UPDATE, append_removals};
use crate::store::schema::pk;
use crate::store::{Backoff, Item, Outcome, Result, Store, Write, n, s};
use crate::values::{Account, StoredHold};

impl Store {
    /// Returns a hold's credits to the balance because the chat wasn't answered. Also counts the
    /// refund and the free work. Idempotent.
    pub async fn release(
        &self,
        hold: &Hold,
        refund: Refund,
        limits: ChatLimits,
        now: u64,
    ) -> Result<()> {
        let mut refunds = hold.refunds.clone();
        let mut has_free_work = hold.has_free_work;
        let mut backoff = Backoff::new();
        loop {
            let mut returning =
                ReleaseWrite::new(&hold.account, &hold.user_id, &hold.rid, &hold.held);
            if hold.sent_again {
                returning.close(now + CLOSED);
            }
            returning.remove("closed", &hold.outdated);
            returning.remove("minutes", &hold.minutes_over);
            returning.remove("purses", &hold.purses_over);
            returning.remove("free_work", &hold.free_work_over);
            if hold.free_work > Credits::ZERO {
                returning.count_free_work(hold.free_work, hold.free_work_at(now), has_free_work);
            }
            if refund == Refund::Counted {
                returning.count(&refunds, hold.begun_in_minute.0, limits, minute(now));
            }
            let release = self.return_credits(returning);
            let Outcome::Refused(account) = self.send(&release).await? else {
                return Ok(());
            };
            let refused: Option<Account> = self.item_that_refused(&release, account).await?;
            let Some(refused) = refused else { return Ok(()) };
            if !hold.is_on(&refused) {
                return Ok(());
            }
            // Other refunds were counted after the reserve. They have changed the counts of earlier
            // minutes or created the map of free work.
            refunds = Refunds::of(&refused);
            has_free_work = refused.free_work.is_some();
            backoff
                .try_again("a release kept being refused, each time for a reason that had passed")
                .await?;
        }
    }

    /// Returns the credits of a refused chat's hold to the balance, and closes the hold's id.
    pub(super) async fn return_and_close(&self, hold: &Hold, now: u64) -> Result<()> {
        let mut returning = ReleaseWrite::new(&hold.account, &hold.user_id, &hold.rid, &hold.held);
        returning.close(now + CLOSED);
        self.send(&self.return_credits(returning)).await.map(drop)
    }

    /// Returns a hold's credits to the balance after the hold's lease has ended. Idempotent.
    pub(in crate::store) async fn release_expired(
        &self,
        account: &str,
        user_id: &str,
        rid: &str,
        held: &StoredHold,
    ) -> Result<()> {
        let returning = ReleaseWrite::new(account, user_id, rid, held);
        self.send(&self.return_credits(returning)).await.map(drop)
    }

    /// Releases several of an account's expired holds in parallel. Idempotent.
    pub(super) async fn release_all_expired(
        &self,
        account: &Account,
        expired: &BTreeMap<String, StoredHold>,
    ) -> Result<()> {
        let released = expired
            .iter()
            .map(|(rid, held)| self.release_expired(&account.pk, &account.id, rid, held));
        try_join_all(released).await.map(drop)
    }

    fn return_credits(&self, returning: ReleaseWrite<'_>) -> Write {
        let ReleaseWrite { account, set, remove, condition, names, values } = returning;
        Write::update(&self.tables.users, pk(account), set + &remove)
            .condition(condition)
            .names(names)
            .values(values)
            .shows_item()
    }
}

/// Returns the account's expired holds, keyed by hold id.
pub(super) fn expired_holds(account: &Account, now: u64) -> BTreeMap<String, StoredHold> {
    let expired = account.reservations.iter().filter(|(_, held)| held.expires_at <= now);
    expired.map(|(rid, held)| (rid.clone(), held.clone())).collect()
}

/// The condition that the hold belongs to this chat. Without this condition, a release could remove
/// a later hold with the same id.
const HELD_CONDITION: &str = "reservations.#rid.#owner = :owner";

/// Subtracts a hold's credits from the purse that counts them.
const PURSE_UPDATE: &str = ", purses.#purse = if_not_exists(purses.#purse, reservations.#rid.#cost) - reservations.#rid.#cost";

/// The parts of the write that returns a hold's credits.
struct ReleaseWrite<'a> {
    account: &'a str,
    set: String,
    remove: String,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
}

impl<'a> ReleaseWrite<'a> {
    fn new(account: &'a str, user_id: &str, rid: &str, held: &StoredHold) -> Self {
        let names = [("#rid", rid), ("#cost", "cost"), ("#owner", "owner")];
        let names = names.into_iter().chain(held.purse.as_deref().map(|purse| ("#purse", purse)));
        let values = [(":id", s(user_id)), (":owner", s(&held.owner))];
        let mut set = String::from("SET tokens = tokens + reservations.#rid.#cost");
        if held.purse.is_some() {
            set.push_str(PURSE_UPDATE);
        }
        Self {
            account,
            set,
            remove: " REMOVE reservations.#rid".into(),
            condition: format!("id = :id AND {HELD_CONDITION}"),
            names: names.map(|(name, key)| (name.to_owned(), key.to_owned())).collect(),
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Closes the hold's id until the Unix time `until`.
    fn close(&mut self, until: u64) {
        self.set.push_str(", closed.#rid = :closed");
        self.values.insert(":closed".into(), n(until));
    }

    /// Removes these keys from one of the account's maps.
    fn remove(&mut self, map: &str, keys: &[String]) {
        self.names.extend(append_removals(&mut self.remove, map, keys));
    }

    /// Counts the credits as free work for the day. Creates the map if the account doesn't have
    /// one.
    fn count_free_work(&mut self, credits: Credits, of: FreeWork, has_map: bool) {
        if !has_map {
            let days = AttributeValue::M([(of.key(), n(of.counted(credits)))].into());
            self.set.push_str(", free_work = :work");
            self.values.insert(":work".into(), days);
            self.condition.push_str(" AND attribute_not_exists(free_work)");
            return;
        }
        self.set.push_str(FREE_WORK_UPDATE);
        self.names.insert("#free_work".into(), of.key());
        self.values.extend([(":nothing".into(), n(0)), (":work".into(), n(of.counted(credits)))]);
    }

    /// Counts the refund in the minute `now`. If it is the first refund in this minute, adds the
    /// surplus of earlier minutes, on condition that their counts still equal those in `refunds`.
    /// `begun` is the minute in which the chat began.
    fn count(&mut self, refunds: &Refunds, begun: u64, limits: ChatLimits, now: u64) {
        self.set.push_str(", minutes.#refunds = if_not_exists(minutes.#refunds, :carried) + :one");
        self.names.insert("#refunds".into(), refunds_key(now));
        self.values.extend([
            (":carried".into(), n(refunds.surplus_before(now, limits))),
            (":one".into(), n(1)),
        ]);
        if refunds.in_minute(now).is_some() {
            return;
        }
        self.condition.push_str(" AND (attribute_exists(minutes.#refunds)");
        let mut joint = " OR ";
        // Include the minute before `begun`, because a release in that minute may arrive late.
        let since =
            begun.saturating_sub(1).clamp(now.saturating_sub(RUN_MINUTES), now.saturating_sub(1));
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
