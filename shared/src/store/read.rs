//! Functions that read items of any kind.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::de::DeserializeOwned;

use crate::store::backoff::Backoff;
use crate::store::schema::pk;
use crate::store::{Item, Result, Store, StoreError, from_item, s};

/// How many ids a page contains. One `BatchGetItem` accepts no more.
const LOOKED_AT: i32 = 100;

/// How many keys one `BatchGetItem` accepts.
const KEYS: usize = 100;

impl Store {
    /// Reads an item with strong consistency.
    pub(in crate::store) async fn get<T: DeserializeOwned>(
        &self,
        table: &str,
        key: Item,
    ) -> Result<Option<T>> {
        let get = self.client.get_item().table_name(table).set_key(Some(key));
        get.consistent_read(true).send().await?.item.map(from_item).transpose()
    }

    /// Prepares a query for at most `count` items in a user's partition that sort before `before`,
    /// newest first. `keys` is the key condition, which uses the `:user` and `:before` values.
    pub(in crate::store) fn newest_first(
        &self,
        table: &str,
        keys: &'static str,
        user_id: &str,
        before: &str,
        count: usize,
    ) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(table)
            .key_condition_expression(keys)
            .set_expression_attribute_values(values([
                (":user", s(user_id)),
                (":before", s(before)),
            ]))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Reads all rows in a ledger partition, with strong consistency. Reads only the given
    /// `attributes`, or all attributes if `attributes` is `None`.
    pub(in crate::store) async fn rows_of(
        &self,
        partition: &str,
        attributes: Option<&str>,
    ) -> Result<Vec<Item>> {
        let (mut rows, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.ledger)
                .key_condition_expression("user_id = :partition")
                .set_expression_attribute_values(values([(":partition", s(partition))]))
                .set_projection_expression(attributes.map(str::to_owned))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            rows.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Returns a page of ids of the user's items in the Tokens table, newest first. Includes only
    /// items whose keys begin with `kind` and that are older than the item with the id `before`.
    /// Also returns whether there may be more. The ids come from an index, which may be slightly
    /// out of date.
    pub(in crate::store) async fn ids_of_user(
        &self,
        kind: &str,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<String>, bool)> {
        let start = before.map(|id| {
            let mut key = pk(format!("{kind}{id}"));
            key.insert("user_id".to_owned(), s(user_id));
            key
        });
        let query = self
            .client
            .query()
            .table_name(&self.tables.tokens)
            .index_name("by_user")
            .key_condition_expression("user_id = :user AND begins_with(pk, :kind)")
            .set_expression_attribute_values(values([(":user", s(user_id)), (":kind", s(kind))]))
            .scan_index_forward(false)
            .limit(LOOKED_AT)
            .set_exclusive_start_key(start);
        let page = query.send().await?;
        let more = page.last_evaluated_key.is_some();
        let id = |item: Item| Some(item.get("pk")?.as_s().ok()?.strip_prefix(kind)?.to_owned());
        Ok((page.items.unwrap_or_default().into_iter().filter_map(id).collect(), more))
    }

    /// Returns the items with these ids, in the same order. `kind` is the prefix of the items'
    /// keys. Skips deleted items. Strongly consistent.
    pub(in crate::store) async fn with_ids<T: DeserializeOwned>(
        &self,
        kind: &str,
        ids: &[String],
    ) -> Result<Vec<T>> {
        let keys = ids.iter().map(|id| pk(format!("{kind}{id}"))).collect();
        let id = |item: &Item| {
            item.get("pk")
                .and_then(|pk| pk.as_s().ok())
                .and_then(|pk| pk.strip_prefix(kind))
                .unwrap_or_default()
                .to_owned()
        };
        let found = self.items(&self.tables.tokens, keys).await?;
        let mut found: HashMap<String, Item> =
            found.into_iter().map(|item| (id(&item), item)).collect();
        ids.iter().filter_map(|id| found.remove(id)).map(from_item).collect()
    }

    /// Returns the items with these keys, in any order. Skips deleted items. Strongly consistent.
    /// More than a hundred items take several reads.
    pub(in crate::store) async fn items(
        &self,
        table: &str,
        wanted: Vec<Item>,
    ) -> Result<Vec<Item>> {
        self.parts_of_items(table, wanted, None).await
    }

    /// Like [`Store::items`], but reads only the given attributes.
    pub(in crate::store) async fn parts_of_items(
        &self,
        table: &str,
        wanted: Vec<Item>,
        attributes: Option<&str>,
    ) -> Result<Vec<Item>> {
        self.named_parts_of_items(table, wanted, attributes, None).await
    }

    /// Like [`Store::parts_of_items`], with placeholders for attributes' names that DynamoDB
    /// reserves.
    pub(in crate::store) async fn named_parts_of_items(
        &self,
        table: &str,
        mut wanted: Vec<Item>,
        attributes: Option<&str>,
        names: Option<HashMap<String, String>>,
    ) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        let mut backoff = Backoff::new();
        while !wanted.is_empty() {
            let (asked, before) = (wanted.len(), found.len());
            let later = wanted.split_off(asked.min(KEYS));
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .set_projection_expression(attributes.map(str::to_owned))
                .set_expression_attribute_names(names.clone())
                .build();
            let keys = keys.map_err(|error| StoreError::Internal(error.to_string()))?;
            let read = self.client.batch_get_item().request_items(table, keys).send().await?;
            found.extend(read.responses.into_iter().flatten().flat_map(|(_, items)| items));
            // If the table is busy or its items are large, the reply contains only some of the
            // items, and the keys of the rest.
            wanted = read
                .unprocessed_keys
                .into_iter()
                .flatten()
                .flat_map(|(_, rest)| rest.keys)
                .chain(later)
                .collect();
            let goes_on = found.len() > before || wanted.len() < asked;
            if !wanted.is_empty() && !goes_on {
                backoff.try_again("a batch of items was not read in time").await?;
            }
        }
        Ok(found)
    }
}

/// Reads one page of items. Also returns whether there may be more items.
pub(in crate::store) async fn page<T: DeserializeOwned>(
    query: QueryFluentBuilder,
) -> Result<(Vec<T>, bool)> {
    let page = query.send().await?;
    let more = page.last_evaluated_key.is_some();
    let items = page.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_>>()?;
    Ok((items, more))
}

/// Returns attribute names for a query.
pub(in crate::store) fn names<const N: usize>(
    names: [(&str, &str); N],
) -> Option<HashMap<String, String>> {
    Some(names.map(|(name, of)| (name.to_owned(), of.to_owned())).into())
}

/// Returns attribute values for a query.
pub(in crate::store) fn values<const N: usize>(
    values: [(&str, AttributeValue); N],
) -> Option<Item> {
    Some(values.map(|(name, value)| (name.to_owned(), value)).into())
}
