//! A release's recorded store, in a JSON Lines file: first the clients' credentials, then the
//! tables, then the items. `scripts/dev/record-store` writes the file.

use std::collections::BTreeMap;
use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, IndexStatus, KeySchemaElement, KeyType, Projection, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use emulator::dynamo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::life::ClientCredentials;
use super::list::Schema;

pub const TABLES: [&str; 6] =
    ["UsersTable", "TokensTable", "KeysTable", "ChatsTable", "LedgerTable", "FilesTable"];

/// The first line of the file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Head {
    /// A description of the file, for human readers.
    pub note: String,
    /// The release's commit.
    pub release: String,
    /// When the store was read, in milliseconds since 1970.
    pub at: u64,
    /// The secret that signed the JWTs. The secret was created for this file.
    pub signing_secret: String,
    /// The lines of the release's schema list that are marked as unneeded.
    pub unneeded: String,
    pub kept: ClientCredentials,
}

#[derive(Clone)]
pub struct Record {
    pub head: Head,
    /// Each table's keys and indexes, as lines of the schema list.
    pub tables: Vec<String>,
    /// Each table's items in DynamoDB's JSON.
    pub items: BTreeMap<String, Vec<Value>>,
}

impl Record {
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let head = serde_json::from_str(lines.next().unwrap()).unwrap();
        let mut tables = Vec::new();
        // A release may lack one of the tables.
        let mut items: BTreeMap<_, Vec<_>> =
            TABLES.map(|table| (table.to_owned(), Vec::new())).into();
        for line in lines {
            let line: Value = serde_json::from_str(line).unwrap();
            match line["in"].as_str() {
                Some(table) => {
                    items.entry(table.to_owned()).or_default().push(line["item"].clone())
                }
                None => tables.push(line["table"].as_str().unwrap().to_owned()),
            }
        }
        Self { head, tables, items }
    }

    pub fn text(&self) -> String {
        let mut lines = vec![json!(self.head).to_string()];
        lines.extend(self.tables.iter().map(|table| json!({ "table": table }).to_string()));
        for (table, items) in &self.items {
            let mut of_table: Vec<String> =
                items.iter().map(|item| json!({ "in": table, "item": item }).to_string()).collect();
            of_table.sort();
            lines.extend(of_table);
        }
        lines.join("\n") + "\n"
    }

    /// Returns the release's schema, with the marks in its list.
    pub fn schema(&self) -> Schema {
        let mut schema = Schema::of(&self.items);
        schema.0.extend(Schema::parse(&self.tables.join("\n")).0);
        for place in Schema::parse(&self.head.unneeded).0.keys() {
            if let Some(fact) = schema.0.get_mut(place) {
                fact.unneeded = true;
            }
        }
        schema
    }

    /// Writes the items into tables with all indexes of the current template, as the tables are
    /// after CloudFormation has updated them.
    ///
    /// The items contain the times of the recording. According to the system clock, which the
    /// emulator uses, all items with a time to live have expired, so the tables get no time to
    /// live. Functions on these tables need a clock that shows the time of the recording.
    pub async fn load(&self, dynamodb: &str) {
        let client = dynamo::client(dynamodb);
        for (table, items) in &self.items {
            if let Some(attribute) = time_to_live(&client, table).await {
                let off = TimeToLiveSpecification::builder().enabled(false);
                let off = off.attribute_name(attribute).build().unwrap();
                let switch = client.update_time_to_live().table_name(table);
                switch.time_to_live_specification(off).send().await.unwrap();
            }
            for item in items {
                let put = client.put_item().table_name(table).set_item(Some(attributes(item)));
                put.send().await.unwrap();
            }
        }
    }
}

/// Returns all items in a store, in DynamoDB's JSON.
pub async fn items(dynamodb: &str) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for table in TABLES {
        all.insert(table.to_owned(), items_of(dynamodb, table).await);
    }
    all
}

pub async fn items_of(dynamodb: &str, table: &str) -> Vec<Value> {
    let scan = dynamo::client(dynamodb).scan().table_name(table).consistent_read(true);
    let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    items.unwrap().iter().map(json_of).collect()
}

/// Returns each table's keys, indexes, time to live and stream, as lines of the schema list.
pub async fn tables(dynamodb: &str) -> Vec<String> {
    let client = dynamo::client(dynamodb);
    let mut lines = Vec::new();
    for name in TABLES {
        let table = client.describe_table().table_name(name).send().await.unwrap().table.unwrap();
        let types: HashMap<String, String> = table
            .attribute_definitions()
            .iter()
            .map(|of| (of.attribute_name.clone(), of.attribute_type.to_string()))
            .collect();
        let keys = |keys: &[KeySchemaElement]| {
            let mut keys: Vec<_> = keys.iter().collect();
            keys.sort_by_key(|key| key.key_type != KeyType::Hash);
            let keys = keys.iter().map(|key| {
                let name = &key.attribute_name;
                format!("{name}:{}", types[name])
            });
            keys.collect::<Vec<_>>().join(",")
        };
        let projection = |projection: Option<&Projection>| {
            let projection = projection.unwrap();
            let mut others = projection.non_key_attributes().to_vec();
            others.sort();
            format!("{}({})", projection.projection_type.as_ref().unwrap(), others.join(","))
        };
        lines.push(format!("{name} table key {}", keys(table.key_schema())));
        for index in table.global_secondary_indexes() {
            assert!(index.index_status.as_ref().is_none_or(|is| *is == IndexStatus::Active));
            let (keys, others) = (keys(index.key_schema()), projection(index.projection()));
            lines.push(format!("{name} index {} {keys},{others}", index.index_name().unwrap()));
        }
        for index in table.local_secondary_indexes() {
            let (keys, others) = (keys(index.key_schema()), projection(index.projection()));
            lines.push(format!(
                "{name} local-index {} {keys},{others}",
                index.index_name().unwrap()
            ));
        }
        if let Some(attribute) = time_to_live(&client, name).await {
            lines.push(format!("{name} table time-to-live {attribute}"));
        }
        if let Some(view) =
            table.stream_specification().and_then(|stream| stream.stream_view_type())
        {
            lines.push(format!("{name} table stream {view}"));
        }
    }
    lines
}

/// Returns the attribute that contains the expiry time of the table's items. `None` if the items
/// don't expire.
async fn time_to_live(client: &aws_sdk_dynamodb::Client, table: &str) -> Option<String> {
    let described = client.describe_time_to_live().table_name(table).send().await.unwrap();
    let description = described.time_to_live_description?;
    let is_on = description.time_to_live_status == Some(TimeToLiveStatus::Enabled);
    description.attribute_name.filter(|_| is_on)
}

/// Returns an item in DynamoDB's JSON.
fn json_of(item: &HashMap<String, AttributeValue>) -> Value {
    item.iter()
        .map(|(name, value)| (name.clone(), json_of_value(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn json_of_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(is) => json!({ "BOOL": is }),
        AttributeValue::B(bytes) => json!({ "B": BASE64_STANDARD.encode(bytes) }),
        AttributeValue::Null(is) => json!({ "NULL": is }),
        AttributeValue::Ss(texts) => {
            let mut texts = texts.clone();
            texts.sort();
            json!({ "SS": texts })
        }
        AttributeValue::M(map) => json!({ "M": json_of(map) }),
        AttributeValue::L(list) => {
            json!({ "L": list.iter().map(json_of_value).collect::<Vec<_>>() })
        }
        other => panic!("no item has {other:?}"),
    }
}

/// Parses an item in DynamoDB's JSON.
fn attributes(item: &Value) -> HashMap<String, AttributeValue> {
    let fields = item.as_object().unwrap().iter();
    fields.map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (is, value) = value.as_object().and_then(|value| value.iter().next()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match is.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "B" => AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text(value)).unwrap())),
        "NULL" => AttributeValue::Null(true),
        "SS" => AttributeValue::Ss(value.as_array().unwrap().iter().map(text).collect()),
        "M" => AttributeValue::M(attributes(value)),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(attribute).collect()),
        other => panic!("no item has {other}"),
    }
}
