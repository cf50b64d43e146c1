//! Returning the tokens of a reservation.

use std::collections::HashMap;

use crate::store::balance::hold::Hold;
use crate::store::balance::limits::{
    ChatLimits, LONGEST, Refund, Refunds, day, day_key, minute, refunds_key,
};
use crate::store::balance::{CLOSED, also};
use crate::store::schema::pk;
use crate::store::{Item, Outcome, Patience, Result, Store, StoreError, Write, n, s};
use crate::values::{Account, Reservation};

impl Store {
    /// Returns the tokens of a chat that got no answer, and counts the refund. Idempotent.
    pub async fn release(
        &self,
        hold: &Hold,
        refund: Refund,
        limits: ChatLimits,
        now: u64,
    ) -> Result<()> {
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
            if refund == Refund::OfWork {
                returning.count_in_day(hold.fare.units(), day(now));
            }
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
            // Since the reserve, more refunds were counted in earlier minutes.
            refunds = Refunds::of(&refused);
            if !patience.lasts().await {
                return Err(StoreError::Unavailable(
                    "a release was refused without a reason that lasts".into(),
                ));
            }
        }
    }

    /// Returns the tokens of a reservation whose lease has ended. Idempotent.
    pub(in crate::store) async fn give_back(
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
}

/// The reservation belongs to this chat. The chat's id is compared, so that a later reservation
/// with the same id isn't touched.
const HELD: &str = "reservations.#rid.#owner = :owner";

/// The write that returns a reservation's tokens, with the other changes that it makes.
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

    /// Closes the reservation's id.
    fn close(&mut self, until: u64) {
        self.set.push_str(", closed.#rid = :closed");
        self.values.insert(":closed".into(), n(until));
    }

    /// Removes these keys of a map of the account.
    fn remove(&mut self, map: &str, keys: &[String]) {
        self.names.extend(also(&mut self.remove, map, keys));
    }

    /// Counts it towards the limit of the day, as many times as it costs the price.
    fn count_in_day(&mut self, units: u32, day: u64) {
        self.set.push_str(", minutes.#day = if_not_exists(minutes.#day, :none) + :units");
        self.names.insert("#day".into(), day_key(day));
        self.values.extend([(":none".into(), n(0)), (":units".into(), n(units))]);
    }

    /// Counts it as a refund of the minute `now`. The first refund of a minute adds what earlier
    /// minutes have over their limits, on condition that those are still as in `refunds`. The chat
    /// began in the minute `begun`.
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
        // A release of the minute before `begun` may have arrived late.
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
