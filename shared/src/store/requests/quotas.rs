//! Hourly and daily limits on registrations from a network and on e-mails to an address. Their
//! counts are written in the transactions that they limit.

use crate::Error;
use crate::config::AccountConfig;
use crate::store::schema::{
    mails_pk, pk, registrations_pk, resets_of_day_pk, resets_of_hour_pk, titles_pk,
};
use crate::store::{Store, StoreError, Write, n};
use crate::values::Limit;
use crate::values::idempotency::fingerprint;
use crate::values::limit::{DAY, HOUR};

/// How many e-mails an unverified address may receive per hour: enough for its owner, but too few
/// for many accounts to flood the address.
const MAILS: u32 = 10;

/// How many password-reset e-mails an address may receive per hour and per day: enough for owners
/// who look in the wrong folder, but too few to flood the address.
const RESETS_AN_HOUR: u32 = 5;
const RESETS_A_DAY: u32 = 10;

/// The limit on how many accounts may be created from one network per hour.
#[derive(Clone, Debug)]
pub struct Quota {
    network: String,
    most: u32,
    now: u64,
}

impl Quota {
    /// Returns the network's quota. `None` if registrations aren't limited or the network is
    /// unknown.
    pub fn of(network: Option<&str>, config: &AccountConfig, now: u64) -> Option<Self> {
        let network = network.filter(|_| config.registrations_per_address > 0)?;
        Some(Self { network: network.to_owned(), most: config.registrations_per_address, now })
    }

    /// Returns the error for a refused registration.
    pub(in crate::store) fn exhausted(&self) -> StoreError {
        let reset = HOUR - self.now % HOUR;
        StoreError::Refused(Error::TooManyRegistrations(Limit::registrations(self.most, reset)))
    }
}

impl Store {
    /// A write that counts a registration. The transaction's request token prevents the
    /// registration from being counted twice.
    pub(in crate::store) fn count_registration(&self, quota: &Quota) -> Write {
        let key = registrations_pk(&quota.network, quota.now / HOUR);
        self.count_within(key, quota.most, HOUR, quota.now)
    }

    /// A write that counts an e-mail to the address whose key form is `address_key`. The address
    /// may belong to a person other than the account's user.
    pub(in crate::store) fn count_mail(&self, address_key: &str, now: u64) -> Write {
        let key = mails_pk(&fingerprint(address_key), now / HOUR);
        self.count_within(key, MAILS, HOUR, now)
    }

    /// Returns writes that count a reset e-mail to the address whose key form is `address_key`, for
    /// this hour and this day.
    pub(in crate::store) fn count_reset(&self, address_key: &str, now: u64) -> [Write; 2] {
        let address = fingerprint(address_key);
        let (hour, day) =
            (resets_of_hour_pk(&address, now / HOUR), resets_of_day_pk(&address, now / DAY));
        [
            self.count_within(hour, RESETS_AN_HOUR, HOUR, now),
            self.count_within(day, RESETS_A_DAY, DAY, now),
        ]
    }

    /// A write that counts a title that a model writes for this account.
    pub(in crate::store) fn count_title(&self, user_id: &str, most: u32, now: u64) -> Write {
        self.count_within(titles_pk(user_id, now / DAY), most, DAY, now)
    }

    /// A write that increments the count of this hour or day. `window` is the period's length in
    /// seconds.
    fn count_within(&self, key: String, most: u32, window: u64, now: u64) -> Write {
        Write::update(
            &self.tables.tokens,
            pk(key),
            "SET counted = if_not_exists(counted, :none) + :one, expires_at = :ends",
        )
        .condition("attribute_not_exists(counted) OR counted < :most")
        .values([
            (":none", n(0)),
            (":one", n(1)),
            (":most", n(most)),
            (":ends", n((now / window + 1) * window)),
        ])
    }
}

/// Returns the error for a refused e-mail.
pub(in crate::store) fn mailed_enough(now: u64) -> StoreError {
    StoreError::Refused(Error::TooManyMails(Limit::used_up(
        "mails",
        MAILS,
        HOUR,
        HOUR - now % HOUR,
    )))
}
