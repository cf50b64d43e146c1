//! Administrators' changes to the roles and states of accounts.
//!
//! The transaction that changes an account also checks that the caller is an active administrator,
//! and administrators can't change their own account. Therefore, if two administrators demote or
//! delete each other at the same time, one of them remains. The system could lose its last
//! administrator only if administrators delete their own accounts. Such a deletion checks the
//! `admins` item, which lists the ids of active administrators and is updated whenever an
//! administrator is added or removed. Every id in `admins` belongs to an active administrator.
//! Users who became administrators before `admins` existed may be missing from it until a deletion
//! searches for all administrators.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use uuid::Uuid;

use crate::Error;
use crate::clock::Clock;
use crate::store::read::{names, values};
use crate::store::schema::{ADMINISTRATORS, account_pk, pk};
use crate::store::{
    Backoff, Item, ListedAccount, Result, Store, StoreError, Transaction, Write, flag, from_item,
    n, no_entries, s,
};
use crate::values::{AccessToken, Account, Act, AdminAct, Administrator, Reason, Role, STANDING};

/// A change to an account's role or state. `None` leaves the field unchanged.
#[derive(Clone, Debug)]
pub struct StandingChange {
    /// The account's new state. A deactivated account can't be used.
    pub active: Option<bool>,
    /// The account's new role.
    pub role: Option<Role>,
    /// The reason, which the ledger records.
    pub reason: Option<Reason>,
}

/// The maximum number of administrators who are notified of a dispute.
const TOLD: usize = 20;

/// The `admins` item.
#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    ids: BTreeSet<String>,
}

impl Store {
    /// Changes an account's role or state and ends all its sessions. A ledger row records who made
    /// the change and why. `account` is the account to change, and must be freshly read. Writes
    /// nothing if the role and state stay the same. Idempotent.
    ///
    /// # Errors
    /// [`Error::OwnStanding`] if an administrator tries to change their own account,
    /// [`Error::NoSuchUser`] if the account was deleted since it was read, and
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`] if the caller is no longer an
    /// administrator.
    pub async fn change_standing(
        &self,
        by: &Administrator,
        account: &Account,
        change: &StandingChange,
        clock: &Clock,
    ) -> Result<Account> {
        let (ids, time) = ([clock.id(), clock.id()].map(|id| id.to_string()), clock.millis());
        let mut seen = account.clone();
        let mut backoff = Backoff::new();
        loop {
            let after = Account {
                active: change.active.unwrap_or(seen.active),
                role: change.role.clone().unwrap_or_else(|| seen.role.clone()),
                auth_epoch: seen.auth_epoch + 1,
                ..seen.clone()
            };
            let acts = [
                (after.active != seen.active).then_some(if after.active {
                    Act::Activation
                } else {
                    Act::Deactivation
                }),
                (after.role != seen.role).then(|| Act::Role(after.role.clone())),
            ];
            if acts == [None, None] {
                return Ok(seen);
            }
            if seen.id == by.account().id {
                return Err(StoreError::Refused(Error::OwnStanding));
            }
            let mut writes =
                vec![self.set_standing(&seen, &after), self.is_administrator(by.caller())];
            for (act, id) in acts.into_iter().zip(&ids) {
                let Some(act) = act else { continue };
                let act = AdminAct {
                    user_id: seen.id.clone(),
                    id: id.clone(),
                    kind: STANDING.into(),
                    act: Some(act),
                    intervention: None,
                    reason: change
                        .reason
                        .as_ref()
                        .map(|reason| reason.text().to_owned())
                        .unwrap_or_default(),
                    actor: by.account().id.clone(),
                    granted: None,
                    time,
                };
                writes.push(self.put_act(&act)?);
            }
            writes.extend(self.note_change(&seen, &after));
            // Each attempt needs a new request token, because the transaction's bytes depend on the
            // account that was just read.
            if matches!(
                self.transact(writes, &Uuid::new_v4().to_string()).await?,
                Transaction::Applied
            ) {
                return Ok(after);
            }
            // If an earlier attempt was applied, the ledger contains a row with one of the
            // attempts' ids.
            let current = self
                .account_named(&account.label)
                .await?
                .filter(|current| current.id == account.id && current.deleted.is_none());
            for id in &ids {
                if self.has_act(&account.id, id).await? {
                    return current.ok_or(StoreError::Refused(Error::NoSuchUser));
                }
            }
            self.administrator(by.caller()).await?;
            seen = current.ok_or(StoreError::Refused(Error::NoSuchUser))?;
            backoff
                .try_again("the account kept changing while its role or state was updated")
                .await?;
        }
    }

    /// Deactivates an imported account after its user has lost access to the other system. The user
    /// can't log in, all sessions end, and API keys don't work while the account is inactive.
    /// Returns false and changes nothing if the account is inactive or deleted, belongs to an
    /// administrator, or was activated by an administrator. Idempotent.
    pub async fn end_imported(&self, account: &Account, clock: &Clock) -> Result<bool> {
        let act = AdminAct {
            user_id: account.id.clone(),
            id: clock.id().to_string(),
            kind: STANDING.into(),
            act: Some(Act::Deactivation),
            intervention: None,
            reason: "imported".into(),
            actor: self.operator().into(),
            granted: None,
            time: clock.millis(),
        };
        let mut backoff = Backoff::new();
        loop {
            let found = self.account_named(&account.label).await?;
            let Some(seen) = found.filter(|found| found.id == account.id) else { return Ok(false) };
            // An earlier attempt may have been applied.
            if !seen.active || seen.deleted.is_some() {
                return self.has_act(&seen.id, &act.id).await;
            }
            if seen.administers() || self.was_activated(&seen.id).await? {
                return Ok(false);
            }
            let after = Account { active: false, auth_epoch: seen.auth_epoch + 1, ..seen.clone() };
            let writes = vec![self.set_standing(&seen, &after), self.put_act(&act)?];
            let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
            if matches!(sent, Transaction::Applied) {
                return Ok(true);
            }
            backoff.try_again("the account kept changing while it was ended").await?;
        }
    }

    /// Changes the role and state, if they still equal the role and state in `seen`. The write
    /// requires that the epoch still equals the epoch in `seen`, and raises it, so a delayed copy
    /// of the write has no effect.
    fn set_standing(&self, seen: &Account, after: &Account) -> Write {
        Write::update(
            &self.tables.users,
            pk(&seen.pk),
            "SET active = :active, #role = :role, auth_epoch = :next, revoked = :none",
        )
        .condition("id = :id AND attribute_not_exists(deleted) AND active = :was_active AND #role = :was_role AND auth_epoch = :seen")
        .names([("#role", "role")])
        .values([
            (":id", s(&seen.id)),
            (":active", flag(after.active)),
            (":was_active", flag(seen.active)),
            (":role", s(after.role.word())),
            (":was_role", s(seen.role.word())),
            (":seen", n(seen.auth_epoch)),
            (":next", n(after.auth_epoch)),
            (":none", no_entries()),
        ])
    }

    /// A check that refuses the transaction if the caller is no longer an active administrator.
    pub(in crate::store) fn is_administrator(&self, caller: &AccessToken) -> Write {
        let check = Write::check(&self.tables.users, pk(account_pk(&caller.name)));
        administers(check, caller).condition(ADMINISTERS)
    }

    /// Updates the `admins` item if the change adds or removes an active administrator. `None` for
    /// any other change.
    fn note_change(&self, seen: &Account, after: &Account) -> Option<Write> {
        match (seen.administers(), after.administers()) {
            (false, true) => Some(self.note_administrator(&after.id)),
            (true, false) => Some(self.dismiss_administrator(&seen.id)),
            _ => None,
        }
    }

    /// Adds an administrator to the `admins` item.
    pub(in crate::store) fn note_administrator(&self, id: &str) -> Write {
        self.administrators("ADD ids :id", id)
    }

    /// Removes an administrator from the `admins` item when another administrator deletes or
    /// demotes them.
    pub(in crate::store) fn dismiss_administrator(&self, id: &str) -> Write {
        self.administrators("DELETE ids :id", id)
    }

    /// Removes an administrator from the `admins` item, on condition that another administrator
    /// remains. If the write is refused, the refusal contains the item.
    pub(in crate::store) fn leave_administrators(&self, id: &str) -> Write {
        self.dismiss_administrator(id)
            .condition(
                "attribute_exists(ids) AND (size(ids) > :one OR NOT contains(ids, :leaving))",
            )
            .values([(":one", n(1)), (":leaving", s(id))])
            .shows_item()
    }

    /// Replaces the ids in the `admins` item. Used on restored tables, where the item may be older
    /// or newer than the accounts. Returns true if the item was changed. Idempotent.
    pub(in crate::store) async fn list_administrators(
        &self,
        ids: BTreeSet<String>,
    ) -> Result<bool> {
        let users = &self.tables.users;
        let listed: Option<Listing> = self.get(users, pk(ADMINISTRATORS)).await?;
        if listed.map(|listed| listed.ids).unwrap_or_default() == ids {
            return Ok(false);
        }
        let list = if ids.is_empty() {
            Write::delete(users, pk(ADMINISTRATORS))
        } else {
            Write::update(users, pk(ADMINISTRATORS), "SET ids = :ids, #complete = :true")
                .names([("#complete", "complete")])
                .values([
                    (":ids", AttributeValue::Ss(ids.into_iter().collect())),
                    (":true", flag(true)),
                ])
        };
        self.send(&list).await.map(|_| true)
    }

    /// Returns up to [`TOLD`] administrators who have a verified e-mail address.
    pub(in crate::store) async fn administrators_by_email(&self) -> Result<Vec<Account>> {
        let listed: Option<Listing> = self.get(&self.tables.users, pk(ADMINISTRATORS)).await?;
        let ids = listed.map(|listed| listed.ids).unwrap_or_default();
        let mut administrators = Vec::new();
        for id in ids {
            if administrators.len() == TOLD {
                break;
            }
            let account = self.account_with_id(&id).await?;
            administrators.extend(
                account
                    .filter(|account| account.administers() && account.verified_email().is_some()),
            );
        }
        Ok(administrators)
    }

    fn administrators(&self, expression: &str, id: &str) -> Write {
        Write::update(&self.tables.users, pk(ADMINISTRATORS), expression)
            .values([(":id", AttributeValue::Ss(vec![id.to_owned()]))])
    }

    /// Adds all missing administrators to the `admins` item, after a deletion was refused because
    /// the item didn't list any other administrator. Returns `false` if the item was already
    /// complete; the refusal is then final.
    pub(in crate::store) async fn find_administrators(&self, refused: &Item) -> Result<bool> {
        if refused.contains_key("complete") {
            return Ok(false);
        }
        let active_admin = [(":admin", s(Role::Admin.word())), (":true", flag(true))];
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.users)
            .index_name("by_time")
            .filter_expression("#role = :admin AND active = :true")
            .set_expression_attribute_names(names([("#role", "role")]))
            .set_expression_attribute_values(values(active_admin.clone()));
        let mut found = scan.into_paginator().items().send();
        while let Some(item) = found.try_next().await? {
            let ListedAccount { id, pk: key, .. } = from_item(item)?;
            let check = Write::check(&self.tables.users, pk(key))
                .condition("id = :id AND #role = :admin AND active = :true")
                .names([("#role", "role")])
                .values([(":id", s(&id))])
                .values(active_admin.clone());
            let writes = vec![check, self.note_administrator(&id)];
            // A refusal means that the account no longer belongs to an administrator.
            self.transact(writes, &Uuid::new_v4().to_string()).await?;
        }
        let complete =
            Write::update(&self.tables.users, pk(ADMINISTRATORS), "SET #complete = :true")
                .names([("#complete", "complete")])
                .values([(":true", flag(true))]);
        Ok(self.send(&complete).await?.is_applied())
    }
}

/// The condition that the caller is an active administrator.
pub(in crate::store) const ADMINISTERS: &str = "id = :by AND active = :by_active AND #by_role = :by_admin AND auth_epoch = :by_epoch \
     AND attribute_not_exists(revoked.#by_session)";

/// Adds the names and values that [`ADMINISTERS`] uses.
fn administers(write: Write, caller: &AccessToken) -> Write {
    write.names([("#by_role", "role"), ("#by_session", caller.session.as_str())]).values([
        (":by", s(&caller.user_id)),
        (":by_active", flag(true)),
        (":by_admin", s(Role::Admin.word())),
        (":by_epoch", n(caller.auth_epoch)),
    ])
}
