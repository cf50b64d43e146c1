//! Accounts: finding and reading them.

use super::addresses::Claim;
use super::schema::{account_key, pk};
use super::{Listed, Store};
use crate::auth::AccessToken;
use crate::user::{Account, Role};
use crate::{Error, Result};

impl Store {
    /// The caller's account, if the token still opens it.
    pub async fn account(&self, caller: &AccessToken) -> Result<Account> {
        caller.admits(self.account_by_key(&caller.name).await?)
    }

    /// The caller's account, if the token still opens it and it is an administrator's.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], and [`Error::Forbidden`].
    pub(crate) async fn administrator(&self, caller: &AccessToken) -> Result<Account> {
        let account = self.account(caller).await?;
        if account.role == Role::Admin { Ok(account) } else { Err(Error::Forbidden) }
    }

    /// The account with this key of a name, strongly consistent.
    pub async fn account_by_key(&self, name_key: &str) -> Result<Option<Account>> {
        self.account_at(&account_key(name_key)).await
    }

    pub(super) async fn account_at(&self, key: &str) -> Result<Option<Account>> {
        self.get(&self.tables.users, pk(key)).await
    }

    /// The account whose claim of the address with this key stands.
    pub async fn account_by_address(&self, address_key: &str) -> Result<Option<Account>> {
        let Some(claim) = self.claim(address_key).await? else { return Ok(None) };
        self.holder(&claim).await
    }

    /// The account that logs in as `login`, which is the key of a name or of an address. Both are
    /// looked for at once; the account behind an address takes one more round trip. A proven
    /// address wins over another account's name.
    pub async fn find(&self, login: &str) -> Result<Option<Account>> {
        if !login.contains('@') {
            return self.account_by_key(login).await;
        }
        let (account, claim) = tokio::try_join!(self.account_by_key(login), self.claim(login))?;
        match (account, claim) {
            (account, None) => Ok(account),
            (Some(account), Some(claim))
                if account.deleted.is_none() && (account.id == claim.id || !claim.verified) =>
            {
                Ok(Some(account))
            }
            (_, Some(claim)) => self.holder(&claim).await,
        }
    }

    /// Every account that `login` may mean, which is the key of a name or of an address: the one
    /// with this name, and the one that claims this address.
    pub async fn meant_by(&self, login: &str) -> Result<Vec<Account>> {
        let (named, claiming) =
            tokio::try_join!(self.account_by_key(login), self.account_by_address(login))?;
        let mut meant: Vec<Account> =
            named.into_iter().chain(claiming).filter(|account| account.deleted.is_none()).collect();
        meant.dedup_by(|one, other| one.id == other.id);
        Ok(meant)
    }

    /// The account behind a claim, if it stands.
    pub(super) async fn holder(&self, claim: &Claim) -> Result<Option<Account>> {
        Ok(self.account_by_key(&claim.name).await?.filter(|account| account.id == claim.id))
    }

    /// The account that an index knew, strongly consistent.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] where it is gone.
    pub async fn user(&self, listed: &Listed) -> Result<Account> {
        self.user_again(listed.name_key(), &listed.id).await
    }

    /// The account with this key of a name, if it is still the one with this id.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub async fn user_again(&self, name_key: &str, id: &str) -> Result<Account> {
        let account = self.account_by_key(name_key).await?;
        account
            .filter(|account| account.id == id && account.deleted.is_none())
            .ok_or(Error::NoSuchUser)
    }
}
