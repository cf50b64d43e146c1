//! Profiles and e-mail addresses: which account claims an address, which account has verified it,
//! and how an address moves between accounts.
//!
//! An account's `email` attribute and the claim under `email:<address>` are written together and
//! refer to each other. An unverified address goes to the first account that verifies it, even if
//! the address is another account's username.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::store::credentials::links::{Link, was_used_by};
use crate::store::credentials::outbox::{OutgoingEmail, pause_allows};
use crate::store::requests::quotas::mailed_enough;
use crate::store::schema::{claim_pk, pk, session_pk};
use crate::store::{
    Backoff, Item, Result, Store, StoreError, Transaction, Write, flag, from_item, n, no_entries,
    s, to_item,
};
use crate::values::text::key;
use crate::values::{AccessToken, Account, ProfileChange};

/// An account's claim to an e-mail address: an item in the Users table under
/// `email:<key form of the address>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store) struct Claim {
    pk: String,
    /// The account's id.
    pub(in crate::store) id: String,
    /// The key form of the account's username.
    pub(in crate::store) name: String,
    /// True once a link that was e-mailed to the address has been opened.
    pub(in crate::store) verified: bool,
    shard: String,
    label: String,
}

impl Claim {
    /// Creates this account's claim to the address whose key form is `address_key`.
    pub(in crate::store) fn new(account: &Account, address_key: &str, verified: bool) -> Self {
        Self {
            pk: claim_pk(address_key),
            id: account.id.clone(),
            name: account.label.clone(),
            verified,
            shard: account.shard.clone(),
            label: address_key.to_owned(),
        }
    }
}

/// The proof of identity that accompanies a verification link. The link alone isn't enough for the
/// first verification of an address, because an attacker may have registered the address with a
/// password of their own.
#[derive(Clone, Copy, Debug)]
pub enum Verifier<'a> {
    /// A caller who is logged in to the account. The caller's session continues; all others end.
    Session(&'a AccessToken),
    /// A caller who sets a new password for the account. Contains the password's hash. All of the
    /// account's sessions end.
    NewPassword(&'a str),
    /// A caller who has only the verification link.
    Reader,
}

impl Store {
    /// Changes the profile of the caller's account. `account` must be freshly read. A new address
    /// replaces the old address immediately, although it isn't verified yet. The old address can
    /// then be claimed by other accounts. If another account claims the new address without having
    /// verified it, the address stays pending until its owner opens the link in the e-mail. A link
    /// is e-mailed to the new address, whether or not it is pending, and a notice is e-mailed to
    /// the old address. Idempotent.
    ///
    /// # Errors
    /// [`Error::EmailTaken`] if another account has verified the address, and
    /// [`Error::TooManyMails`] if the last e-mail was sent less than a minute ago or if the address
    /// has received too many e-mails. After an error, nothing has changed.
    pub async fn change_profile(
        &self,
        caller: &AccessToken,
        mut account: Account,
        change: &ProfileChange,
        now: u64,
    ) -> Result<Account> {
        let mut pending = false;
        let mut backoff = Backoff::new();
        loop {
            let after = change.applied_to(&account, pending);
            // Write the instructions even if their mark hasn't changed, because in restored tables
            // the stored instructions may be older than the mark.
            if after.profile() == account.profile() && change.instructions.is_none() {
                return Ok(after);
            }
            let request = Uuid::new_v4().to_string();
            let mut writes =
                vec![self.update_profile(&account, &after, Some(&caller.session), None)];
            let mut claim_at = None;
            let new = change.address_for(&account);
            if let Some(new) = new {
                writes.push(self.pause(&account.id, &request, now)?);
                writes.push(self.count_mail(new.key(), now));
                if !pending {
                    claim_at = Some(writes.len());
                    writes.push(self.put_claim(&Claim::new(&account, new.key(), false), None)?);
                    writes.extend(self.free_address(&account));
                }
                writes.push(self.post(&OutgoingEmail::verify(&account, new.shown()), now)?);
                if let Some(old) = &account.email {
                    writes.push(
                        self.post(&OutgoingEmail::AddressChanges { address: old.clone() }, now)?,
                    );
                }
            }
            if let Some(instructions) = &change.instructions {
                writes.push(self.instruct(&account, instructions)?);
            }
            let refusals = match self.transact(writes, &request).await? {
                Transaction::Applied => return Ok(after),
                Transaction::Refused(refusals) => refusals,
            };
            if refusals.has(0) {
                // Either the account has changed since it was read, or this change was applied but
                // the reply was lost. In the second case, the next iteration finds nothing to
                // change.
                let current = self.account_named(&caller.name).await?;
                account = caller.admits(current).ok_or(StoreError::NotAccepted)?;
                backoff.try_again("the account kept changing during the profile update").await?;
                continue;
            }
            if new.is_some() {
                pause_allows(&refusals, 1, &request, now)?;
                if refusals.has(2) {
                    return Err(mailed_enough(now));
                }
            }
            let refused_claim = claim_at.and_then(|index| refusals.item(index));
            match refused_claim.map(from_item::<Claim>).transpose()? {
                Some(claim) if !claim.verified => pending = true,
                _ => return Err(StoreError::Refused(Error::EmailTaken)),
            }
        }
    }

    /// Verifies the e-mail address to which the link was sent, and makes it the account's address.
    /// If another account claimed the address without verifying it, that account loses the address.
    /// If two accounts verify the same address at the same time, only one of them succeeds. The
    /// first verification of an address requires either one of the account's sessions or a new
    /// password, and invalidates all of the account's other sessions, API keys and links. Later
    /// verifications change neither the password nor any sessions, API keys or links.
    ///
    /// # Errors
    /// [`Error::InvalidLink`] if the link was already used or the account's address was changed
    /// after the link was sent, [`Error::EmailTaken`] if another account has verified the address,
    /// [`Error::PasswordRequired`] if a [`Verifier::Reader`] attempts a first verification, and
    /// [`StoreError::NotAccepted`] if the session has ended.
    pub async fn verify_address(
        &self,
        link: &Link,
        verifier: Verifier<'_>,
        now: u64,
    ) -> Result<Account> {
        let request = Uuid::new_v4().to_string();
        let address = key(&link.address);
        let mut backoff = Backoff::new();
        loop {
            let (account, claim) =
                tokio::try_join!(self.account_named(&link.name), self.claim(&address))?;
            let account = link.admits(account)?;
            let after =
                account.proving(&link.address).ok_or(StoreError::Refused(Error::InvalidLink))?;
            let other = claim.as_ref().filter(|claim| claim.id != account.id);
            if other.is_some_and(|claim| claim.verified) {
                return Err(StoreError::Refused(Error::EmailTaken));
            }
            let is_first = after.auth_epoch > account.auth_epoch;
            let (session, password) = match verifier {
                _ if !is_first => (None, None),
                Verifier::Session(caller) => {
                    caller.admits(Some(account.clone())).ok_or(StoreError::NotAccepted)?;
                    (Some(caller.session.as_str()), None)
                }
                Verifier::NewPassword(hash) => (None, Some(hash)),
                Verifier::Reader => return Err(StoreError::Refused(Error::PasswordRequired)),
            };

            let mut writes = vec![
                self.mark_used(link, &request, now),
                self.update_profile(&account, &after, session, password),
            ];
            writes.push(self.put_claim(&Claim::new(&account, &address, true), other)?);
            let going_on = session.map(|session| (writes.len(), session));
            if let Some((_, session)) = going_on {
                writes.push(self.carry_over(&account, session, after.auth_epoch));
            }
            if let Some(other) = other {
                writes.extend(self.strip_address(other).await?);
            }
            if account.email.as_deref().map(key).as_deref() != Some(&address) {
                writes.extend(self.free_address(&account));
            }
            // Each attempt needs a new request token, because the transaction's bytes depend on the
            // account that was just read.
            let refusals = match self.transact(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Refused(refusals) if !was_used_by(&refusals, &request)? => refusals,
                Transaction::Applied | Transaction::Refused(_) => {
                    self.delete_ended_keys(&account, &after).await;
                    return Ok(after);
                }
            };
            if refusals.has(0) {
                return Err(StoreError::Refused(Error::InvalidLink));
            }
            if going_on.is_some_and(|(index, _)| refusals.has(index)) {
                return Err(StoreError::NotAccepted);
            }
            backoff.try_again("the address kept changing accounts during its verification").await?;
        }
    }

    /// Moves a session of `account` to the account's next epoch, which keeps the session's refresh
    /// tokens valid.
    fn carry_over(&self, account: &Account, session: &str, epoch: u64) -> Write {
        let key = pk(session_pk(session));
        Write::update(&self.tables.tokens, key, "SET auth_epoch = :next")
            .condition("user_id = :user AND auth_epoch = :seen")
            .values([
                (":next", n(epoch)),
                (":user", s(&account.id)),
                (":seen", n(account.auth_epoch)),
            ])
    }

    /// Repairs a claim in restored tables, where the claim may be older or newer than its account.
    /// If the account has the claimed address, copies the account's verification state to the
    /// claim; otherwise deletes the claim. Returns a description of the repair. Idempotent.
    pub(in crate::store) async fn check_claim(&self, item: Item) -> Result<Option<String>> {
        let claim: Claim = from_item(item)?;
        let has_it = |account: &Account| {
            account.email.as_deref().is_some_and(|email| claim_pk(&key(email)) == claim.pk)
        };
        let holder = self.account_of_claim(&claim).await?.filter(has_it);
        let Some(holder) = holder else {
            let delete = Write::delete(&self.tables.users, pk(&claim.pk))
                .condition("id = :id")
                .values([(":id", s(&claim.id))]);
            let is_deleted = self.send(&delete).await?.is_applied();
            return Ok(
                is_deleted.then(|| format!("{}: removed its stale address claim", claim.name))
            );
        };
        if holder.email_verified == claim.verified {
            return Ok(None);
        }
        let agree = Write::update(&self.tables.users, pk(&claim.pk), "SET verified = :verified")
            .condition("id = :id")
            .values([(":id", s(&claim.id)), (":verified", flag(holder.email_verified))]);
        let is_set = self.send(&agree).await?.is_applied();
        Ok(is_set.then(|| format!("{}: corrected the claim's verification state", claim.name)))
    }

    /// Restores the claim to the account's address, or removes the address from the account if
    /// another account claims it. Used on restored tables, after [`Store::check_claim`] has checked
    /// every claim. Returns a description of the repair. Idempotent.
    pub(in crate::store) async fn claim_again(&self, account: &Account) -> Result<Option<String>> {
        let address = account.email.as_deref().filter(|_| account.deleted.is_none()).map(key);
        let Some(address) = address else { return Ok(None) };
        match self.claim(&address).await? {
            Some(claim) if claim.id == account.id => Ok(None),
            Some(_) => {
                let strip = Write::update(
                    &self.tables.users,
                    pk(&account.pk),
                    "SET email_verified = :false REMOVE email",
                )
                .condition("id = :id")
                .values([(":false", flag(false)), (":id", s(&account.id))]);
                let is_removed = self.send(&strip).await?.is_applied();
                Ok(is_removed
                    .then(|| format!("{}: another account has its address", account.label)))
            }
            None => {
                let claim = Claim::new(account, &address, account.email_verified);
                let is_put = self.send(&self.put_claim(&claim, None)?).await?.is_applied();
                Ok(is_put.then(|| format!("{}: restored its address claim", account.label)))
            }
        }
    }

    pub(in crate::store) async fn claim(&self, address_key: &str) -> Result<Option<Claim>> {
        self.get(&self.tables.users, pk(claim_pk(address_key))).await
    }

    /// Replaces the profile in `seen` with the profile in `after`. If `password` is given, also
    /// replaces the password's hash. The write requires that the account hasn't changed since it
    /// was read. If a session is given, the write also requires that the session hasn't ended.
    fn update_profile(
        &self,
        seen: &Account,
        after: &Account,
        session: Option<&str>,
        password: Option<&str>,
    ) -> Write {
        let mut condition = String::from(
            "id = :id AND active = :true AND auth_epoch = :epoch AND (attribute_not_exists(email_verified) OR email_verified = :was_verified)",
        );
        let mut set = String::from("SET email_verified = :verified");
        let mut remove = Vec::new();
        let mut values = Vec::new();
        if session.is_some() {
            condition.push_str(" AND attribute_not_exists(revoked.#session)");
        }
        let begins_epoch = after.auth_epoch > seen.auth_epoch;
        if begins_epoch {
            set.push_str(&format!(", {BEGIN_EPOCH}"));
        }
        if password.is_some() {
            set.push_str(", #password = :hash");
        }
        for ((attribute, seen), (_, after)) in seen.profile().into_iter().zip(after.profile()) {
            match seen {
                Some(seen) => {
                    condition.push_str(&format!(" AND {attribute} = :seen_{attribute}"));
                    values.push((format!(":seen_{attribute}"), s(seen)));
                }
                None => condition.push_str(&format!(" AND attribute_not_exists({attribute})")),
            }
            match after {
                Some(after) => {
                    set.push_str(&format!(", {attribute} = :{attribute}"));
                    values.push((format!(":{attribute}"), s(after)));
                }
                None => remove.push(attribute),
            }
        }
        if !remove.is_empty() {
            set.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        let update = Write::update(&self.tables.users, pk(&seen.pk), set)
            .condition(condition)
            .names(session.map(|session| ("#session", session)))
            .names(password.map(|_| ("#password", "password")))
            .values(password.map(|hash| (":hash", s(hash))))
            .values(values)
            .values([
                (":id", s(&seen.id)),
                (":true", flag(true)),
                (":epoch", n(seen.auth_epoch)),
                (":was_verified", flag(seen.email_verified)),
                (":verified", flag(after.email_verified)),
            ])
            .shows_item();
        if begins_epoch { beginning_epoch(update, after.auth_epoch) } else { update }
    }

    /// Stores the claim. `other` is another account's unverified claim to the same address, which
    /// the write replaces. If `other` is `None`, the write requires that no other account claims
    /// the address.
    fn put_claim(&self, claim: &Claim, other: Option<&Claim>) -> Result<Write> {
        let put = Write::put(&self.tables.users, to_item(claim)?).shows_item();
        Ok(match other {
            None => put.condition(FREE_OR_OWN).values([(":id", s(&claim.id))]),
            Some(other) => put
                .condition("id = :other AND verified = :false")
                .values([(":other", s(&other.id)), (":false", flag(false))]),
        })
    }

    /// Deletes the claim to the account's address. `None` if the account has no address.
    pub(in crate::store) fn free_address(&self, account: &Account) -> Option<Write> {
        let address = account.email.as_ref()?;
        Some(
            Write::delete(&self.tables.users, pk(claim_pk(&key(address))))
                .condition(FREE_OR_OWN)
                .values([(":id", s(&account.id))]),
        )
    }

    /// Removes the address from the account that made this claim. `None` if the account was
    /// deleted.
    async fn strip_address(&self, claim: &Claim) -> Result<Option<Write>> {
        let Some(holder) = self.account_of_claim(claim).await? else { return Ok(None) };
        Ok(Some(
            Write::update(
                &self.tables.users,
                pk(&holder.pk),
                "SET email_verified = :false REMOVE email",
            )
            .condition("id = :id")
            .values([(":false", flag(false)), (":id", s(&holder.id))]),
        ))
    }
}

/// The condition that an address is unclaimed, or claimed by the account itself.
const FREE_OR_OWN: &str = "attribute_not_exists(pk) OR id = :id";

/// The assignments that invalidate all sessions, API keys and links of an account when its address
/// is verified for the first time.
pub(in crate::store) const BEGIN_EPOCH: &str =
    "auth_epoch = :next, revoked = :none, keys_from = :next, api_keys = :no_keys";

/// Adds to an update the values that [`BEGIN_EPOCH`] uses.
pub(in crate::store) fn beginning_epoch(update: Write, next: u64) -> Write {
    update.values([(":next", n(next)), (":no_keys", n(0)), (":none", no_entries())])
}
