//! Filtered lists of users, for administrators. Some filters only need data from the index; others
//! need the whole account. Each page reads a bounded number of accounts, and the next page
//! continues where the previous one ended.

use crate::store::lists::users::PlacedAccount;
use crate::store::{
    DataPeriod, ListedAccount, PageStart, Result, Span, Store, UserOrder, from_item,
};
use crate::values::text::key;
use crate::values::{Account, Role};

/// How many accounts are read at a time if the first `count` accounts don't fill a page.
const BATCH: usize = 100;

/// The maximum number of account batches that are read for one page.
const BATCHES: usize = 3;

/// A filter for a list of users. The default accepts all users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Accepts only accounts with this role.
    pub role: Option<Role>,
    /// `true` accepts only active accounts, and `false` accepts only deactivated accounts.
    pub active: Option<bool>,
    /// Accepts only accounts with at least this balance.
    pub least_balance: Option<u64>,
    /// Accepts only accounts with at most this balance.
    pub most_balance: Option<u64>,
    /// Accepts only accounts that sent their last message on these days. If the first day is
    /// missing, also accepts accounts that never sent a message.
    pub last_message: Span,
}

impl UserFilter {
    /// Returns true if the filter needs data that the index doesn't contain.
    pub fn asks_the_account(&self) -> bool {
        Self { role: None, active: None, ..self.clone() } != Self::default()
    }

    fn admits(&self, role: &Role, active: bool) -> bool {
        self.role.as_ref().is_none_or(|wanted| wanted == role)
            && self.active.is_none_or(|wanted| wanted == active)
    }

    /// Returns true if the filter accepts the account. `now` is in seconds.
    fn accepts(&self, account: &Account, now: u64) -> bool {
        let (tokens, sent) = (account.balance(now).get(), account.last_message());
        let Span { first, last } = self.last_message;
        self.admits(&account.role, account.active)
            && self.least_balance.is_none_or(|least| tokens >= least)
            && self.most_balance.is_none_or(|most| tokens <= most)
            && first.is_none_or(|first| sent.is_some_and(|sent| sent >= first.begins()))
            && last.is_none_or(|last| sent.is_none_or(|sent| sent < last.after(1).begins()))
    }
}

/// The accounts to which a filter is applied, and their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// All accounts, newest first.
    All,
    /// The accounts whose username or address begins with this string, in alphabetical order.
    Beginning(String),
    /// The accounts whose username or address contains this string, in alphabetical order.
    Containing(String),
    /// The first accounts in a sort order, as stored by the latest census.
    Ranked(UserOrder),
}

impl Store {
    /// Returns at most `count` accounts that the filter accepts according to the index, newest
    /// first, starting at `start`. Also returns where the next page begins.
    pub async fn users_of(
        &self,
        filter: &UserFilter,
        start: Option<&PageStart>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<ListedAccount>, Option<PageStart>)> {
        if filter.role.is_none() && filter.active.is_none() {
            return self.users(start, period, count).await;
        }
        let read = |item| {
            let listed: ListedAccount = from_item(item)?;
            Ok(Some(listed).filter(|listed| filter.admits(&listed.role, listed.active)))
        };
        self.newest_of(self.users_by_time(), start, period, "", count, read).await
    }

    /// Returns at most `count` of the source's accounts that the filter accepts, starting at
    /// `position`. Also returns where the next page begins. Strongly consistent.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`](crate::Error::InvalidCursor) if `position` doesn't belong to the
    /// source.
    pub async fn accounts_of(
        &self,
        source: &UserSource,
        filter: &UserFilter,
        position: Option<&str>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<Account>, Option<String>)> {
        let (mut position, mut found) = (position.map(str::to_owned), Vec::new());
        // First read only `count` accounts. If the filter accepts most accounts, the page then
        // costs no more than a page without a filter.
        for size in [count].into_iter().chain([BATCH; BATCHES - 1]) {
            let (candidates, next) =
                self.candidates(source, filter, position.as_deref(), period, size).await?;
            let mut candidates = candidates.into_iter();
            while let Some((place, account)) = candidates.next() {
                if filter.accepts(&account, period.now / 1000) {
                    found.push(account);
                }
                if found.len() == count {
                    let more = candidates.len() > 0 || next.is_some();
                    return Ok((found, Some(place).filter(|_| more)));
                }
            }
            if next.is_none() {
                return Ok((found, None));
            }
            position = next;
        }
        Ok((found, position))
    }

    /// Returns some of the source's accounts, starting at `position`, each with its position. Also
    /// returns where the next accounts begin.
    async fn candidates(
        &self,
        source: &UserSource,
        filter: &UserFilter,
        position: Option<&str>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<(String, Account)>, Option<String>)> {
        match source {
            UserSource::All => {
                let start = position.map(PageStart::parse).transpose()?;
                let (listed, next) = self.users_of(filter, start.as_ref(), period, count).await?;
                let placed = |listed: ListedAccount| {
                    let ListedAccount { id, pk, .. } = listed;
                    PlacedAccount { place: id.clone(), id, pk }
                };
                let placed = listed.into_iter().map(placed).collect();
                Ok((self.accounts_at(placed).await?, next.map(|next| next.to_string())))
            }
            UserSource::Beginning(text) => {
                let (labels, next) = self.labels(text, position, count).await?;
                let text = key(text);
                Ok((self.accounts_labelled(labels, |name| name.starts_with(&text)).await?, next))
            }
            UserSource::Containing(text) => {
                let (labels, next) = self.labels_containing(text, position, count).await?;
                let text = key(text);
                Ok((self.accounts_labelled(labels, |name| name.contains(&text)).await?, next))
            }
            UserSource::Ranked(order) => {
                let (placed, next) = self.ranked(*order, position, count).await?;
                Ok((self.accounts_at(placed).await?, next))
            }
        }
    }

    /// Returns the accounts in a list, in the same order, each with its position. Skips deleted
    /// accounts.
    async fn accounts_at(&self, placed: Vec<PlacedAccount>) -> Result<Vec<(String, Account)>> {
        let keys = placed.iter().map(|placed| placed.pk.clone()).collect();
        let mut items = self.users_with_keys(keys).await?;
        let mut found = Vec::new();
        for PlacedAccount { place, id, pk } in placed {
            let account: Option<Account> = items.remove(&pk).map(from_item).transpose()?;
            let account = account.filter(|account| account.id == id && account.deleted.is_none());
            found.extend(account.map(|account| (place, account)));
        }
        Ok(found)
    }
}
