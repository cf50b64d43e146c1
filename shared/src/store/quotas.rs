//! Limits per hour, counted in the transactions that they limit: registrations from a network, and
//! e-mails to an address.

use super::schema::{mails_key, pk, registrations_key};
use super::{Store, Write, n};
use crate::Error;
use crate::config::AccountConfig;
use crate::idempotency::fingerprint;
use crate::limit::Limit;

/// The window of these counts, in seconds.
const HOUR: u64 = 3600;

/// How many e-mails are sent to an unverified address in an hour: enough for its owner, and no
/// flood from many accounts.
const MAILS: u32 = 10;

/// How many accounts one network may create in an hour.
#[derive(Clone, Debug)]
pub struct Quota {
    network: String,
    most: u32,
    now: u64,
}

impl Quota {
    /// `None` if registrations aren't limited, or the network is unknown.
    pub fn of(network: Option<&str>, config: &AccountConfig, now: u64) -> Option<Self> {
        let network = network.filter(|_| config.registrations_per_address > 0)?;
        Some(Self { network: network.to_owned(), most: config.registrations_per_address, now })
    }

    /// The error of a refused registration.
    pub(super) fn exhausted(&self) -> Error {
        let reset = HOUR - self.now % HOUR;
        Error::TooManyRegistrations(Limit {
            name: "registrations",
            most: self.most,
            window: Some(HOUR),
            left: 0,
            reset,
        })
    }
}

impl Store {
    /// Counts a registration. The request token of its transaction prevents counting it twice.
    pub(super) fn count_registration(&self, quota: &Quota) -> Write {
        let key = registrations_key(&quota.network, quota.now / HOUR);
        self.count_in_this_hour(key, quota.most, quota.now)
    }

    /// Counts an e-mail to the address with this key, which any account may have given as its own.
    pub(super) fn count_mail(&self, address_key: &str, now: u64) -> Write {
        let key = mails_key(&fingerprint(address_key), now / HOUR);
        self.count_in_this_hour(key, MAILS, now)
    }

    fn count_in_this_hour(&self, key: String, most: u32, now: u64) -> Write {
        Write::update(
            &self.tables.tokens,
            pk(key),
            "SET counted = if_not_exists(counted, :none) + :one, expires_at = :ends",
        )
        .when("attribute_not_exists(counted) OR counted < :most")
        .values([
            (":none", n(0)),
            (":one", n(1)),
            (":most", n(most)),
            (":ends", n((now / HOUR + 1) * HOUR)),
        ])
    }
}

/// The error of a refused e-mail.
pub(super) fn mailed_enough(now: u64) -> Error {
    Error::TooManyMails(Limit {
        name: "mails",
        most: MAILS,
        window: Some(HOUR),
        left: 0,
        reset: HOUR - now % HOUR,
    })
}
