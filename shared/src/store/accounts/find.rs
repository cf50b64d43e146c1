//! Finding and reading accounts.

use crate::Error;
use crate::store::accounts::addresses::Claim;
use crate::store::schema::{account_pk, pk};
use crate::store::{Result, Store, StoreError};
use crate::values::{AccessToken, Account, Administrator, Credential};

impl Store {
    /// Returns the caller's account.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the account doesn't accept the access token.
    pub async fn account_of(&self, caller: &AccessToken) -> Result<Account> {
        caller.admits(self.account_named(&caller.name).await?).ok_or(StoreError::NotAccepted)
    }

    /// Returns the account that the credential belongs to.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the account doesn't accept the credential.
    pub async fn account_with(&self, credential: &Credential) -> Result<Account> {
        let account = self.account_named(credential.name()).await?;
        credential.admits(account).ok_or(StoreError::NotAccepted)
    }

    /// Checks that the caller is an administrator.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] if the account doesn't accept the access token, and
    /// [`Error::Forbidden`] if the account doesn't belong to an administrator.
    pub async fn administrator(&self, caller: &AccessToken) -> Result<Administrator> {
        let account = self.account_of(caller).await?;
        Administrator::new(caller.clone(), account).ok_or(StoreError::Refused(Error::Forbidden))
    }

    /// Returns the account whose username has the key form `name_key`. Strongly consistent, like
    /// every read of a whole account.
    pub async fn account_named(&self, name_key: &str) -> Result<Option<Account>> {
        self.account_at(&account_pk(name_key)).await
    }

    pub(in crate::store) async fn account_at(&self, key: &str) -> Result<Option<Account>> {
        self.get(&self.tables.users, pk(key)).await
    }

    /// Returns the account that claims the address whose key form is `address_key`.
    pub async fn account_with_address(&self, address_key: &str) -> Result<Option<Account>> {
        let Some(claim) = self.claim(address_key).await? else { return Ok(None) };
        self.account_of_claim(&claim).await
    }

    /// Returns the account that logs in as `login`, the key form of a username or an address. Looks
    /// up the username and the claim to the address in parallel. If only the claim exists, a second
    /// round trip reads its account. If `login` is the verified address of one account and the
    /// username of another, returns the account with the address.
    pub async fn account_with_login(&self, login: &str) -> Result<Option<Account>> {
        if !login.contains('@') {
            return self.account_named(login).await;
        }
        let (account, claim) = tokio::try_join!(self.account_named(login), self.claim(login))?;
        match (account, claim) {
            (account, None) => Ok(account),
            (Some(account), Some(claim))
                if account.deleted.is_none() && (account.id == claim.id || !claim.verified) =>
            {
                Ok(Some(account))
            }
            (_, Some(claim)) => self.account_of_claim(&claim).await,
        }
    }

    /// Returns every account that `login`, a key form, may refer to: the account with this
    /// username, and the account that claims this address.
    pub async fn accounts_matching(&self, login: &str) -> Result<Vec<Account>> {
        let (named, claiming) =
            tokio::try_join!(self.account_named(login), self.account_with_address(login))?;
        let mut meant: Vec<Account> =
            named.into_iter().chain(claiming).filter(|account| account.deleted.is_none()).collect();
        meant.dedup_by(|one, other| one.id == other.id);
        Ok(meant)
    }

    /// Returns the account that made the claim. `None` if the account was deleted.
    pub(in crate::store) async fn account_of_claim(
        &self,
        claim: &Claim,
    ) -> Result<Option<Account>> {
        Ok(self.account_named(&claim.name).await?.filter(|account| account.id == claim.id))
    }

    /// Reads an account again.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] if the account was deleted.
    pub async fn reread(&self, account: &Account) -> Result<Account> {
        self.account_with_id_and_name(&account.id, &account.label).await
    }

    pub(in crate::store) async fn account_with_id_and_name(
        &self,
        id: &str,
        name_key: &str,
    ) -> Result<Account> {
        let account = self.account_named(name_key).await?;
        account
            .filter(|account| account.id == id && account.deleted.is_none())
            .ok_or(StoreError::Refused(Error::NoSuchUser))
    }
}
