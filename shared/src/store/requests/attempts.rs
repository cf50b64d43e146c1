//! Counts of log-in attempts in the Tokens table, which limit how often an account's password can
//! be guessed and how often one network can guess.
//!
//! An attempt is counted before its password is checked, by the same write that admits it, so
//! parallel guesses can't exceed a limit. A successful attempt is removed from the count. Each
//! attempt has a random id, so it counts only once even if the SDK repeats the write.
//!
//! A client that logged in or registered before, from the same device or network, has a separate
//! count. Therefore, an attacker who uses up the count for unknown clients locks out only unknown
//! clients
//! ([OWASP](https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies)).

mod count;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::Error;
use crate::config::AccountConfig;
use crate::store::requests::attempts::count::{CountOutcome, Pace, Slot};
use crate::store::schema::{
    known_attempts_pk, login_attempts_pk, network_attempts_pk, owner_attempts_pk, pk,
};
use crate::store::{Result, Store, StoreError, Write, s};
use crate::values::idempotency::fingerprint;
use crate::values::limit::{DAY, HOUR};
use crate::values::{Account, DeviceToken, Email, Limit};

/// How many days after its last log-in a network counts as known.
const KNOWN_DAYS: u64 = 90;

/// The maximum number of known networks that are stored for a login. The most recent ones are kept.
const KNOWN: usize = 20;

/// How many guesses at one login are checked even if the network has too many failures. Users with
/// the correct password can then still log in, while a network that tries every account has only a
/// few guesses at each.
const FEW: usize = 3;

/// A log-in attempt in progress, and the counts that include it.
#[derive(Clone, Debug)]
pub struct Attempt {
    id: String,
    /// The pk of the count for unknown clients. It depends on the typed login and not on the
    /// account, so that a refusal doesn't reveal which usernames and addresses exist or belong
    /// together.
    login: String,
    pace: Pace,
    own_pace: Pace,
    /// True if the attempt checks the current password of a session's owner.
    is_owners: bool,
    /// The typed login. It identifies known clients if no account is found.
    who: String,
    /// The client's network, if a successful log-in makes this network known.
    place: Option<String>,
    /// The mark that identifies the client's network for this login.
    network: Option<String>,
    /// The pk and the limit of the count for the client's network. `None` if networks aren't
    /// limited.
    address: Option<(String, u32)>,
    /// How long the client's network will remain over its limit, in seconds. `None` if the network
    /// isn't over its limit.
    address_full: Option<u64>,
    /// The pk of the count that admitted the attempt, and the attempt's slot in that count.
    held: Option<(String, Slot)>,
    /// The networks from which clients have logged in with this login.
    known: BTreeSet<String>,
    /// The Unix time at which the count for unknown clients would be reset without this attempt.
    forgotten: u64,
    now: u64,
}

impl Attempt {
    /// Creates an attempt to log in. `login` is the key form of a username or an address, or any
    /// other string that was typed.
    pub fn new(login: &str, network: Option<&str>, config: &AccountConfig, now: u64) -> Self {
        let pace = Pace::strangers(login, config.login_attempts);
        Self {
            who: login.to_owned(),
            place: network.map(str::to_owned),
            network: network.map(|network| mark(login, "network", network)),
            ..Self::counted(login_key(login), pace, network, config, now)
        }
    }

    /// Creates an attempt to confirm the current password, for a client that has one of this
    /// session's access tokens. Each session has a separate count of such attempts, so neither
    /// log-ins nor a thief with another session's access token can use it up.
    pub fn of_owner(
        user_id: &str,
        session: &str,
        network: Option<&str>,
        config: &AccountConfig,
        now: u64,
    ) -> Self {
        let (key, pace) = (owner_attempts_pk(user_id, session), Pace::owner(config.login_attempts));
        Self { is_owners: true, ..Self::counted(key, pace, network, config, now) }
    }

    fn counted(
        login: String,
        pace: Pace,
        network: Option<&str>,
        config: &AccountConfig,
        now: u64,
    ) -> Self {
        let address = network.filter(|_| config.login_failures_per_address > 0);
        Self {
            id: Uuid::new_v4().simple().to_string().split_off(20),
            login,
            pace,
            own_pace: Pace::known(config.login_attempts),
            is_owners: false,
            who: String::new(),
            place: None,
            network: None,
            address: address.map(|network| {
                (network_attempts_pk(network, now / HOUR), config.login_failures_per_address)
            }),
            address_full: None,
            held: None,
            known: BTreeSet::new(),
            forgotten: 0,
            now,
        }
    }

    fn too_many(&self, pace: Pace, reset: u64) -> StoreError {
        let limit = Limit::log_ins(pace.a_day(), reset);
        if self.is_owners {
            StoreError::Refused(Error::TooManyConfirmations(limit))
        } else {
            StoreError::Refused(Error::TooManyAttempts(limit))
        }
    }

    /// Returns the error for a wrong password: `wrong`, or a different error if too many attempts
    /// from the client's network have failed.
    pub fn refused<E: From<StoreError>>(&self, wrong: E) -> E {
        self.address_full.map_or(wrong, |reset| self.too_many_from_address(reset).into())
    }

    fn too_many_from_address(&self, reset: u64) -> StoreError {
        let most = self.address.as_ref().map_or(0, |(_, most)| *most);
        StoreError::Refused(Error::TooManyAttempts(Limit::used_up(
            "failed-log-ins",
            most,
            HOUR,
            reset,
        )))
    }

    /// Returns the pk of the client's separate count, if the client logged in or registered before.
    /// A client is identified by its device token, or by its network if it has no device token. The
    /// count is the same whether the client logs in with the account's username or with its
    /// address.
    fn known_client_count(
        &self,
        device: Option<&DeviceToken>,
        account: Option<&Account>,
    ) -> Option<String> {
        let (kind, id) = match device {
            Some(device) => ("device", &device.id),
            None => {
                let known = self.network.as_deref().is_some_and(|network| self.knows(network));
                let known = known || account.is_some_and(|account| self.registered(account));
                ("network", self.place.as_ref().filter(|_| known)?)
            }
        };
        Some(known_attempts_pk(&mark(account.map_or(&self.who, |account| &account.id), kind, id)))
    }

    /// Returns true if the account was registered from this network so recently that the network is
    /// still known.
    fn registered(&self, account: &Account) -> bool {
        let here = self.place.as_deref().map(|place| registered_from(&account.id, place));
        let today = self.now / DAY;
        here.is_some() && here == account.home && account.created / 1000 / DAY + KNOWN_DAYS >= today
    }

    fn knows(&self, mark: &str) -> bool {
        let since = (self.now / DAY).saturating_sub(KNOWN_DAYS);
        self.known
            .iter()
            .filter_map(|entry| parts(entry))
            .any(|(day, known)| known == mark && day >= since)
    }

    /// Returns the Unix time until which the most recent network counts as known.
    fn known_until(&self) -> u64 {
        self.now + (KNOWN_DAYS + 1) * DAY
    }

    /// Returns the networks from which clients have logged in with this login, including the
    /// current network.
    fn known_from_now_on(&self) -> Vec<String> {
        let (today, since) = (self.now / DAY, (self.now / DAY).saturating_sub(KNOWN_DAYS));
        let mut days: BTreeMap<&str, u64> = self
            .known
            .iter()
            .filter_map(|entry| parts(entry))
            .map(|(day, mark)| (mark, day))
            .collect();
        days.extend(self.network.as_deref().map(|network| (network, today)));
        let mut entries: Vec<(u64, &str)> = days
            .into_iter()
            .map(|(mark, day)| (day, mark))
            .filter(|(day, _)| *day >= since)
            .collect();
        entries.sort_unstable_by(|one, other| other.cmp(one));
        entries.into_iter().take(KNOWN).map(|(day, mark)| format!("{day}:{mark}")).collect()
    }
}

/// Returns the mark of the network from which an account is registered. It is shorter than other
/// marks, because it is stored in the account.
pub fn registered_from(user_id: &str, network: &str) -> String {
    let mut mark = mark(user_id, "network", network);
    mark.truncate(10);
    mark
}

/// Splits an entry into the day and the mark of a known network.
fn parts(entry: &str) -> Option<(u64, &str)> {
    let (day, mark) = entry.split_once(':')?;
    Some((day.parse().ok()?, mark))
}

/// Returns a mark that identifies a network or a device under one login. The mark is short, and
/// reveals neither the network nor the device.
fn mark(login: &str, kind: &str, id: &str) -> String {
    let mut mark = fingerprint(format!("{kind} {id} {login}"));
    mark.truncate(16);
    mark
}

/// Returns the pk of a login's count. The login is hashed, because the typed string may be long or
/// may be a password that was typed into the wrong field.
fn login_key(login: &str) -> String {
    login_attempts_pk(&fingerprint(login))
}

/// The result of counting an attempt. At this point, the attempt's account isn't known yet.
#[derive(Debug)]
pub struct Counts {
    by_login: CountOutcome,
    address_full: Option<u64>,
}

impl Store {
    /// Counts a log-in under its login and its network, whether or not an account exists.
    /// [`Store::admit_attempt`] decides later, when the account is known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin_attempt(&self, attempt: &Attempt) -> Result<Counts> {
        let by_address = async {
            match &attempt.address {
                Some((key, most)) => self.count_in_hour(key, *most, &attempt.id, attempt.now).await,
                None => Ok(None),
            }
        };
        let (by_login, address_full) =
            tokio::try_join!(self.count(&attempt.login, attempt.pace, attempt), by_address)?;
        Ok(Counts { by_login, address_full })
    }

    /// Decides whether the password of a counted attempt may be checked. If unknown clients are
    /// locked out, a client that logged in before uses its separate count. `device` is the client's
    /// device token; it is ignored unless it belongs to `account`.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if there were too many failures for this login or from this
    /// network, so the password must not be checked.
    pub async fn admit_attempt(
        &self,
        attempt: &mut Attempt,
        counts: Counts,
        device: Option<&DeviceToken>,
        account: Option<&Account>,
    ) -> Result<()> {
        let device = device.filter(|device| account.is_some_and(|account| device.knows(account)));
        let Counts { by_login, address_full } = counts;
        attempt.address_full = address_full;
        match by_login {
            CountOutcome::In { slot, before } => {
                attempt.known = before.known;
                attempt.forgotten = before.forgotten;
                attempt.held = Some((attempt.login.clone(), slot));
                let Some(reset) = address_full else { return Ok(()) };
                let few = matches!(slot, Slot::Free(nth) if nth <= FEW);
                if few || attempt.known_client_count(device, account).is_some() {
                    return Ok(());
                }
                // A network that has exceeded its limit must not use up the counts for other
                // people's logins.
                self.take_back(attempt).await?;
                Err(attempt.too_many_from_address(reset))
            }
            CountOutcome::Full { reset, known } => {
                attempt.known = known;
                let own = attempt
                    .known_client_count(device, account)
                    .ok_or_else(|| attempt.too_many(attempt.pace, reset))?;
                match self.count(&own, attempt.own_pace, attempt).await? {
                    CountOutcome::In { slot, .. } => {
                        attempt.held = Some((own, slot));
                        Ok(())
                    }
                    CountOutcome::Full { reset, .. } => {
                        Err(attempt.too_many(attempt.own_pace, reset))
                    }
                }
            }
        }
    }

    /// Records that the password was correct. The attempt no longer counts, and its network is
    /// known from now on. The earlier failures of a known client are removed from its count. The
    /// failures of unknown clients and of the network still count.
    pub async fn pass_attempt(&self, attempt: &Attempt) -> Result<()> {
        let by_address = async {
            match &attempt.address {
                Some((key, _)) if attempt.address_full.is_none() => {
                    self.leave(key, &attempt.id).await
                }
                _ => Ok(()),
            }
        };
        let by_login = async {
            match &attempt.held {
                Some((key, slot)) if *key == attempt.login => {
                    self.leave_strangers(*slot, attempt).await
                }
                Some((key, _)) => {
                    // Delete the count only while it contains this attempt. Otherwise, a delayed
                    // copy of the delete could remove later failures.
                    let end = Write::delete(&self.tables.tokens, pk(key))
                        .condition("contains(tries, :id) OR latest = :id")
                        .values([(":id", s(&attempt.id))]);
                    self.send(&end).await.map(drop)
                }
                None => Ok(()),
            }
        };
        tokio::try_join!(by_login, by_address).map(drop)
    }

    /// Resets the counts of unknown clients' attempts to log in with the account's username and
    /// with its address.
    pub async fn forget_attempts(&self, name_key: &str, address: Option<&str>) -> Result<()> {
        let address = address.and_then(|address| Email::parse(address).ok());
        let logins =
            [Some(name_key), address.as_ref().map(Email::key)].into_iter().flatten().map(login_key);
        try_join_all(logins.map(|key| self.forget_login(key))).await.map(drop)
    }

    /// Resets the counts of attempts to confirm the current password, across all of the account's
    /// sessions.
    pub async fn forget_confirmations(&self, account: &Account, now: u64) -> Result<()> {
        let sessions = self.open_sessions(account, now).await?;
        let keys = sessions.iter().map(|session| owner_attempts_pk(&account.id, session.id()));
        try_join_all(keys.map(|key| self.forget_login(key))).await.map(drop)
    }

    async fn forget_login(&self, key: String) -> Result<()> {
        self.send(&Write::delete(&self.tables.tokens, pk(key))).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn twenty_networks_are_remembered_for_ninety_days() {
        let tables = Settings::new(|name| name.ends_with("_TABLE").then(|| name.to_owned()));
        let config = AccountConfig::read(&tables).unwrap();
        let attempt = |network: &str, day: u64, known: &[String]| {
            let attempt = Attempt::new("ann", Some(network), &config, day * DAY);
            Attempt { known: known.iter().cloned().collect(), ..attempt }
        };
        let mut known = Vec::new();
        for day in 1..=30 {
            known = attempt(&format!("192.0.2.{day}"), day, &known).known_from_now_on();
        }
        assert_eq!(known.len(), KNOWN);
        let is_known = |network: &str, day| {
            attempt(network, day, &known).known_client_count(None, None).is_some()
        };
        assert!(
            is_known("192.0.2.11", 31)
                && !is_known("192.0.2.10", 31)
                && !is_known("192.0.2.31", 31)
        );
        assert!(is_known("192.0.2.30", 120) && !is_known("192.0.2.30", 121));
        assert_eq!(attempt("192.0.2.30", 121, &known).known_from_now_on().len(), 1);
        assert_ne!(
            attempt("192.0.2.1", 1, &[]).network,
            Attempt::new("ben", Some("192.0.2.1"), &config, DAY).network
        );
    }
}
