//! Attempts in the table Tokens: how often somebody may guess the password of a name, and how often an address may guess or register.
//!
//! A log-in is counted before its password is looked at, in the write that admits it, so that no number of parallel guesses gets past a
//! limit; one that succeeds is taken back. What is counted is a set of random ids: a log-in whose write the SDK sends again counts once.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, TransactWriteItem, Update};
use futures_util::future::try_join_all;
use serde::Deserialize;
use uuid::Uuid;

use super::{Store, applied, from_item, n, refused_item, s, send, updates};
use crate::config::Config;
use crate::idempotency::fingerprint;
use crate::limit::Limit;
use crate::user::Email;
use crate::{Error, Result};

/// How long after the last log-in that was let in a name's count is forgotten, in seconds.
const FORGOTTEN: u64 = 24 * 3600;

/// How many failures in a row cost no waiting. The one after them costs a second, and each further one twice as much.
const FREE: usize = 10;

/// The longest that a failure makes the next log-in wait, in seconds.
const LONGEST: u64 = 15 * 60;

/// The window of what is counted per address, in seconds.
const HOUR: u64 = 3600;

/// How many mails go to an address that nobody has proven, in an hour: enough for whoever it belongs to, and no flood from many accounts.
const MAILS: u32 = 10;

/// How often one count begins anew where an outdated one is in the way.
const RENEWALS: u32 = 3;

/// What the table holds of a name or an address.
#[derive(Deserialize)]
struct Count {
    /// The log-ins that failed or are under way.
    #[serde(default)]
    tries: BTreeSet<String>,
    /// The second from which the next one is let in, if no later than now.
    #[serde(default)]
    opens_at: u64,
    /// The second at which all of it is forgotten.
    expires_at: u64,
}

/// A log-in under way, and the counts that it stands in.
#[derive(Clone, Debug)]
pub struct Attempt {
    id: String,
    /// Under what was typed, and not under the account that it leads to: who is refused must not learn which names and addresses are
    /// one account's, or anybody's.
    login: String,
    login_most: u32,
    /// The address that it comes from, and how many failures it may have, where that is limited.
    address: Option<(String, u32)>,
    /// Which in a row it is.
    tries: usize,
}

impl Attempt {
    /// A log-in as `login`, which is the key of a name or an address or anything else that was typed, from the network `network`.
    pub fn new(login: &str, network: Option<&str>, config: &Config, now: u64) -> Self {
        Self::counted(login_key(login), share(login, config.login_attempts), network, config, now)
    }

    /// A guess at the current password by somebody who holds a token of the account with this id. No log-in can fill its count.
    pub fn of_owner(user_id: &str, network: Option<&str>, config: &Config, now: u64) -> Self {
        Self::counted(owner_key(user_id), small_share(config.login_attempts), network, config, now)
    }

    fn counted(login: String, login_most: u32, network: Option<&str>, config: &Config, now: u64) -> Self {
        let address = network.filter(|_| config.login_failures_per_address > 0);
        Self {
            id: Uuid::new_v4().simple().to_string().split_off(20),
            login,
            login_most,
            address: address.map(|network| (format!("attempt:address:{}", this_hour(network, now)), config.login_failures_per_address)),
            tries: 0,
        }
    }
}

/// An account is found by a name and by an e-mail address, and its owner is asked for the password again. Each of the three has a count of its
/// own, so that who fills one leaves the others open, and all together are never more than `most`. Names have most of it: log-ins that are right
/// are counted too, while they are under way, and many may begin at once.
fn share(login: &str, most: u32) -> u32 {
    if login.contains('@') { small_share(most) } else { most - 2 * small_share(most) }
}

/// What addresses have, and owners.
fn small_share(most: u32) -> u32 {
    (most * 18 / 100).max(1)
}

fn owner_key(user_id: &str) -> String {
    format!("attempt:login:owner:{user_id}")
}

/// Hashed: what strangers type may be long, and may be a password in the wrong field.
fn login_key(login: &str) -> String {
    format!("attempt:login:{}", fingerprint(login))
}

fn this_hour(network: &str, now: u64) -> String {
    format!("{network}#{}", now / HOUR)
}

/// How long the next log-in waits after so many failures in a row, in seconds.
fn delay(failures: usize) -> u64 {
    match u32::try_from(failures.saturating_sub(FREE)) {
        Ok(0) => 0,
        Ok(beyond) => 2_u64.saturating_pow(beyond - 1).min(LONGEST),
        Err(_) => LONGEST,
    }
}

impl Store {
    /// Counts a log-in whose password is to be checked.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] where it must not be: too soon after a failure, after too many of them, or from an address with too many.
    pub async fn begin_attempt(&self, attempt: &mut Attempt, now: u64) -> Result<()> {
        let by_login = self.count(&attempt.login, attempt, attempt.login_most, now + FORGOTTEN, now);
        let by_address = async {
            match &attempt.address {
                Some((pk, most)) => self.count(pk, attempt, *most, (now / HOUR + 1) * HOUR, now).await.map(Some),
                None => Ok(None),
            }
        };
        match tokio::try_join!(by_login, by_address)? {
            (Err(reset), _) => {
                Err(Error::TooManyAttempts(Limit { name: "log-ins", most: attempt.login_most, window: Some(FORGOTTEN), left: 0, reset }))
            }
            (Ok(_), Some(Err(reset))) => {
                // An address that is stopped must not stop other people's names.
                self.take_back(&attempt.login, attempt).await?;
                let most = attempt.address.as_ref().map_or(0, |(_, most)| *most);
                Err(Error::TooManyAttempts(Limit { name: "failed-log-ins", most, window: Some(HOUR), left: 0, reset }))
            }
            (Ok(tries), _) => {
                attempt.tries = tries;
                Ok(())
            }
        }
    }

    /// Counts an attempt under `pk`: how many there are now, or the seconds until another is let in.
    async fn count(&self, pk: &str, attempt: &Attempt, most: u32, ends: u64, now: u64) -> Result<Result<usize, u64>> {
        for _ in 0..RENEWALS {
            let update = self
                .client
                .update_item()
                .table_name(&self.tables.tokens)
                .key("pk", s(pk))
                .update_expression("SET opens_at = if_not_exists(opens_at, :now), expires_at = :ends ADD tries :ids")
                .condition_expression(
                    "attribute_not_exists(tries) OR contains(tries, :id) OR (expires_at > :now AND opens_at <= :now AND size(tries) < :most)",
                )
                .expression_attribute_values(":ids", AttributeValue::Ss(vec![attempt.id.clone()]))
                .expression_attribute_values(":id", s(&attempt.id))
                .expression_attribute_values(":now", n(now))
                .expression_attribute_values(":ends", n(ends))
                .expression_attribute_values(":most", n(most))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(AllOld);
            let refused = match send(|| update.clone().send()).await {
                Ok(updated) => return Ok(Ok(from_item::<Count>(updated.attributes.unwrap_or_default())?.tries.len())),
                Err(error) => match refused_item(error)? {
                    Some(item) => Some(item),
                    // Where the refusal came without the item, a read tells.
                    None => self.client.get_item().table_name(&self.tables.tokens).key("pk", s(pk)).consistent_read(true).send().await?.item,
                },
            };
            let Some(standing) = refused.map(from_item::<Count>).transpose()? else { continue };
            if standing.expires_at > now {
                let full = u32::try_from(standing.tries.len()).is_ok_and(|tries| tries >= most);
                let opens_at = if full { standing.expires_at } else { standing.opens_at };
                return Ok(Err(opens_at.saturating_sub(now).max(1)));
            }
            let outdated = self.client.delete_item().table_name(&self.tables.tokens).key("pk", s(pk));
            let outdated = outdated.condition_expression("expires_at = :seen").expression_attribute_values(":seen", n(standing.expires_at));
            applied(send(|| outdated.clone().send()).await)?;
        }
        Err(Error::Unavailable("a count of attempts was refused without a reason that lasts".into()))
    }

    /// Notes that the password was wrong: the next log-in under this name waits.
    pub async fn fail_attempt(&self, attempt: &Attempt, now: u64) -> Result<()> {
        let delay = delay(attempt.tries);
        if delay == 0 {
            return Ok(());
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.tokens)
            .key("pk", s(&attempt.login))
            .update_expression("SET opens_at = :opens")
            // Where somebody has logged in since, nothing is left to wait for.
            .condition_expression("contains(tries, :id) AND opens_at < :opens")
            .expression_attribute_values(":id", s(&attempt.id))
            .expression_attribute_values(":opens", n(now + delay));
        applied(send(|| update.clone().send()).await).map(drop)
    }

    /// Notes that the password was right: the failures in a row are over. Those of the address stay.
    pub async fn pass_attempt(&self, attempt: &Attempt) -> Result<()> {
        let by_address = async {
            match &attempt.address {
                Some((pk, _)) => self.take_back(pk, attempt).await,
                None => Ok(()),
            }
        };
        // Only as long as it is counted itself: a copy that arrives late forgets nothing of what failed since.
        let ended = self.client.delete_item().table_name(&self.tables.tokens).key("pk", s(&attempt.login));
        let ended = ended.condition_expression("contains(tries, :id)").expression_attribute_values(":id", s(&attempt.id));
        let by_login = async { applied(send(|| ended.clone().send()).await) };
        tokio::try_join!(by_login, by_address).map(drop)
    }

    /// Forgets every failed log-in of an account, whatever it was found by, the key of its name or its address, and its owner's failures.
    pub async fn forget_attempts(&self, user_id: &str, name_key: &str, address: Option<&str>) -> Result<()> {
        let address = address.and_then(|address| Email::parse(address).ok());
        let logins = [Some(name_key), address.as_ref().map(Email::key)].into_iter().flatten().map(login_key);
        try_join_all(logins.chain([owner_key(user_id)]).map(|pk| self.forget_login(pk))).await.map(drop)
    }

    async fn forget_login(&self, pk: String) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.tables.tokens).key("pk", s(pk));
        send(|| delete.clone().send()).await?;
        Ok(())
    }

    async fn take_back(&self, pk: &str, attempt: &Attempt) -> Result<()> {
        let update = self.client.update_item().table_name(&self.tables.tokens).key("pk", s(pk)).update_expression("DELETE tries :ids");
        let update = update.condition_expression("contains(tries, :id)").expression_attribute_values(":id", s(&attempt.id));
        let update = update.expression_attribute_values(":ids", AttributeValue::Ss(vec![attempt.id.clone()]));
        applied(send(|| update.clone().send()).await).map(drop)
    }

    /// The count of a registration from `network`, as a part of its transaction, which the transaction's token keeps from counting twice.
    pub(super) fn count_registration(&self, quota: &Quota) -> Result<TransactWriteItem> {
        self.count_in_this_hour("attempt:register:", &quota.network, quota.most, quota.now)
    }

    /// The count of a mail to the address with this key, which anybody may have given for their own, as a part of the transaction that posts it.
    pub(super) fn count_mail(&self, address_key: &str, now: u64) -> Result<TransactWriteItem> {
        self.count_in_this_hour("mailed:", &fingerprint(address_key), MAILS, now)
    }

    fn count_in_this_hour(&self, prefix: &str, whose: &str, most: u32, now: u64) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.tables.tokens)
            .key("pk", s(format!("{prefix}{}", this_hour(whose, now))))
            .update_expression("SET counted = if_not_exists(counted, :none) + :one, expires_at = :ends")
            .condition_expression("attribute_not_exists(counted) OR counted < :most")
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":most", n(most))
            .expression_attribute_values(":ends", n((now / HOUR + 1) * HOUR));
        updates(update)
    }
}

/// What the refusal of a counted mail says.
pub(super) fn mailed_enough(now: u64) -> Error {
    Error::TooManyMails(Limit { name: "mails", most: MAILS, window: Some(HOUR), left: 0, reset: HOUR - now % HOUR })
}

/// How many accounts one network may open in an hour.
#[derive(Clone, Debug)]
pub struct Quota {
    network: String,
    most: u32,
    now: u64,
}

impl Quota {
    /// The quota of `network`; nothing where registrations are not limited, or the network is not known.
    pub fn of(network: Option<&str>, config: &Config, now: u64) -> Option<Self> {
        let network = network.filter(|_| config.registrations_per_address > 0)?;
        Some(Self { network: network.to_owned(), most: config.registrations_per_address, now })
    }

    /// What a refusal says.
    pub(super) fn exhausted(&self) -> Error {
        let reset = HOUR - self.now % HOUR;
        Error::TooManyRegistrations(Limit { name: "registrations", most: self.most, window: Some(HOUR), left: 0, reset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_an_address_and_an_owner_together_never_have_more_than_the_limit() {
        for most in 3..=100 {
            let (name, address, owner) = (share("ann", most), share("ann@example.com", most), small_share(most));
            assert!(name + address + owner == most && name >= 1, "{most}");
        }
        assert_eq!([share("ann", 100), share("ann@example.com", 100)], [64, 18]);
    }

    #[test]
    fn each_failure_waits_twice_as_long_after_the_first_ten() {
        assert_eq!([0, 1, 10, 11, 12, 13, 20, 21, 100].map(delay), [0, 0, 0, 1, 2, 4, 512, 900, 900]);
    }
}
