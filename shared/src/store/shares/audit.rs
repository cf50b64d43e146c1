//! The audit of shared chats: each item must match the other items of its shared chat.

use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::store::schema::{SHARE, SHARES_OF, pk, share_part_pk, share_pk, shares_of_pk};
use crate::store::shares::SharesOf;
use crate::store::{Item, Result, Store, from_item, text};

/// The attributes that the audit reads. It doesn't read the messages.
const ATTRIBUTES: &str = "pk, user_id, parts, ids";

/// How many items are compared in parallel.
const AT_ONCE: usize = 4;

/// The pause before the second comparison. Within this time, all items of a transaction become
/// visible.
const PAUSE: Duration = Duration::from_millis(50);

/// What the other items must contain because of one item.
struct Demand {
    /// The pk of the item.
    item: String,
    /// The pks of the other items.
    others: Vec<String>,
}

impl Demand {
    /// Returns the demand of an item in the Tokens table. `None` if the item isn't part of a shared
    /// chat.
    fn of(item: &Item) -> Result<Option<Self>> {
        let key = text(item, "pk");
        let others = if key.starts_with(SHARES_OF) {
            let SharesOf { ids } = from_item(item.clone())?;
            ids.iter().map(|id| share_pk(id)).collect()
        } else if let Some(id) = key.strip_prefix(SHARE) {
            match id.split_once('#') {
                Some((id, _)) => vec![share_pk(id)],
                None => {
                    let list = shares_of_pk(text(item, "user_id"));
                    let parts = (0..parts(item)).map(|part| share_part_pk(id, part));
                    parts.chain([list]).collect()
                }
            }
        } else {
            return Ok(None);
        };
        Ok(Some(Self { item: key.to_owned(), others }))
    }

    /// Returns true if `item`, which was read again, and the `others` match.
    fn is_met(&self, item: &Item, others: &[Item]) -> Result<bool> {
        let is_found = |wanted: &String| {
            others.iter().any(|other| {
                text(other, "pk") == wanted && text(other, "user_id") == text(item, "user_id")
            })
        };
        if !self.others.iter().all(is_found) {
            return Ok(false);
        }
        let Some(id) = self.item.strip_prefix(SHARE) else { return Ok(true) };
        match id.split_once('#') {
            Some((_, part)) => Ok(part
                .parse()
                .is_ok_and(|part: u32| others.iter().all(|share| part < parts(share)))),
            None => {
                let list = others.iter().find(|other| text(other, "pk").starts_with(SHARES_OF));
                let list: Option<SharesOf> = list.cloned().map(from_item).transpose()?;
                Ok(list.is_some_and(|list| list.ids.contains(id)))
            }
        }
    }
}

/// Returns how many parts a shared chat has.
fn parts(share: &Item) -> u32 {
    let parts = share.get("parts").and_then(|parts| parts.as_n().ok());
    parts.and_then(|parts| parts.parse().ok()).unwrap_or(0)
}

impl Store {
    /// Compares the items of shared chats on a page of the Tokens table with their other items.
    /// Returns the pk of each item that doesn't match. An item is reported only if a second
    /// comparison also finds it, because the reads of one comparison aren't a snapshot.
    pub(in crate::store) async fn audit_shares(&self, items: &[Item]) -> Result<Vec<String>> {
        let mut unmet = Vec::new();
        for item in items {
            unmet.extend(Demand::of(item)?.map(|demand| demand.item));
        }
        let unmet = self.differing(unmet).await?;
        if unmet.is_empty() {
            return Ok(unmet);
        }
        tokio::time::sleep(PAUSE).await;
        self.differing(unmet).await
    }

    async fn differing(&self, keys: Vec<String>) -> Result<Vec<String>> {
        let compared = iter(keys).map(|key| self.differs(key)).buffered(AT_ONCE);
        let differing: Vec<Option<String>> = compared.try_collect().await?;
        Ok(differing.into_iter().flatten().collect())
    }

    /// Reads an item again, and compares it with its other items. Returns the item's pk if they
    /// differ. An item that no longer exists doesn't differ.
    async fn differs(&self, key: String) -> Result<Option<String>> {
        let read = async |keys: Vec<String>| {
            let keys = keys.into_iter().map(pk).collect();
            self.parts_of_items(&self.tables.tokens, keys, Some(ATTRIBUTES)).await
        };
        let Some(item) = read(vec![key.clone()]).await?.into_iter().next() else {
            return Ok(None);
        };
        let Some(demand) = Demand::of(&item)? else { return Ok(None) };
        let others = read(demand.others.clone()).await?;
        Ok((!demand.is_met(&item, &others)?).then_some(key))
    }
}
