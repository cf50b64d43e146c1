//! Reads the tables in `template.yaml`.

use serde_norway::Value;

use crate::Failure;

/// A table in the template.
pub struct Table {
    /// The names of the table's global secondary indexes.
    pub indexes: Vec<String>,
}

/// Returns the tables in a template, in order.
///
/// # Errors
/// Fails with an error message that names the part that can't be read.
pub fn read(text: &str) -> Result<Vec<Table>, Failure> {
    let document =
        emulator::template::parse(text).map_err(|error| format!("template.yaml: {error}"))?;
    let resources = document.get("Resources").and_then(Value::as_mapping);
    let resources = resources.ok_or("template.yaml has no Resources")?.values();
    let is_table = |resource: &&Value| {
        resource.get("Type").and_then(Value::as_str) == Some("AWS::DynamoDB::Table")
    };
    let table = |resource: &Value| {
        let indexes = resource
            .get("Properties")
            .and_then(|properties| properties.get("GlobalSecondaryIndexes")?.as_sequence());
        let name = |index: &Value| index.get("IndexName")?.as_str().map(str::to_owned);
        Table { indexes: indexes.into_iter().flatten().filter_map(name).collect() }
    };
    Ok(resources.filter(is_table).map(table).collect())
}
