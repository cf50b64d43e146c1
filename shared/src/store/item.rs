//! Conversions between Rust values and DynamoDB's items and attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::store::error::{Result, StoreError};

/// An item in the SDK's representation.
pub(in crate::store) type Item = HashMap<String, AttributeValue>;

pub(in crate::store) fn to_item(value: impl Serialize) -> Result<Item> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::Internal(error.to_string()))
}

pub(in crate::store) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T> {
    serde_dynamo::from_item(item)
        .map_err(|error| StoreError::Internal(format!("a stored item: {error}")))
}

/// A string attribute.
pub(in crate::store) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(in crate::store) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A boolean attribute.
pub(in crate::store) fn flag(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// An empty map attribute.
pub(in crate::store) fn no_entries() -> AttributeValue {
    AttributeValue::M(Item::new())
}

/// Returns a string attribute, or an empty string if the attribute is missing.
pub(in crate::store) fn text<'i>(item: &'i Item, attribute: &str) -> &'i str {
    item.get(attribute).map(AttributeValue::as_s).and_then(Result::ok).map_or("", String::as_str)
}

/// Returns the ids of a chat's files. `chat` is the chat's item, or a part of it that contains
/// `files`.
pub(in crate::store) fn files_of(chat: &Item) -> impl Iterator<Item = &str> {
    let files = chat.get("files").and_then(|files| files.as_l().ok());
    let maps = files.into_iter().flatten().filter_map(|file| file.as_m().ok());
    maps.map(|file| text(file, "id"))
}

/// Returns true if `text` is a UUID in its canonical form. All items' ids have this form.
pub(in crate::store) fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text)
}
