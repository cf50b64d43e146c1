//! Reads functions and tables from `template.yaml`.

use serde_norway::Value;

use crate::Failure;

/// The template's functions and tables, in order.
pub struct Template {
    pub functions: Vec<Function>,
    pub tables: Vec<Table>,
}

/// A function in the template.
pub struct Function {
    /// The name of the function's binary, which is also the endpoint's name.
    pub name: String,
    /// The function's logical id.
    pub id: String,
    pub invoked: Invoked,
    /// The methods and paths of the function's events.
    pub routes: Vec<(String, String)>,
}

/// The service or event that invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// API Gateway invokes the function, and waits for the whole reply.
    Request,
    /// API Gateway invokes the function, and passes on each piece of the reply.
    StreamedRequest,
    Schedule,
    /// A table's stream invokes the function.
    TableStream,
}

/// A table in the template.
pub struct Table {
    /// The names of the table's global secondary indexes.
    pub indexes: Vec<String>,
}

impl Template {
    /// # Errors
    /// Fails with a sentence that names the part that can't be read.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let unreadable = |error| format!("template.yaml: {error}");
        let document = emulator::template::parse(text).map_err(unreadable)?;
        let resources = document.get("Resources").and_then(Value::as_mapping);
        let (mut functions, mut tables) = (Vec::new(), Vec::new());
        for (id, resource) in resources.ok_or("template.yaml has no Resources")? {
            let id = id.as_str().unwrap_or_default().to_owned();
            let properties = resource.get("Properties").unwrap_or(&Value::Null);
            match resource.get("Type").and_then(Value::as_str) {
                Some("AWS::Serverless::Function") => {
                    let binary = resource
                        .get("Metadata")
                        .and_then(|metadata| {
                            metadata.get("BuildProperties")?.get("Binary")?.as_str()
                        })
                        .ok_or_else(|| format!("template.yaml: {id} has no Binary"))?;
                    let invoked = invoked(properties).ok_or_else(|| {
                        format!("template.yaml: {id} has no event of a known kind")
                    })?;
                    let routes = routes(properties);
                    functions.push(Function { name: binary.to_owned(), id, invoked, routes });
                }
                Some("AWS::DynamoDB::Table") => {
                    let indexes =
                        properties.get("GlobalSecondaryIndexes").and_then(Value::as_sequence);
                    let name = |index: &Value| index.get("IndexName")?.as_str().map(str::to_owned);
                    let indexes = indexes.into_iter().flatten().filter_map(name).collect();
                    tables.push(Table { indexes });
                }
                _ => {}
            }
        }
        Ok(Self { functions, tables })
    }

    /// # Errors
    /// Fails with a sentence if the template has no such function.
    pub fn function(&self, name: &str) -> Result<&Function, Failure> {
        self.functions.iter().find(|function| function.name == name).ok_or_else(|| {
            format!("template.yaml has no function with the binary {name}: add its block").into()
        })
    }
}

fn routes(properties: &Value) -> Vec<(String, String)> {
    let events = properties.get("Events").and_then(Value::as_mapping);
    let text = |event: &Value, name: &str| event.get(name)?.as_str().map(str::to_owned);
    let route = |event: &Value| {
        let event = event.get("Properties")?;
        text(event, "Method").zip(text(event, "Path"))
    };
    events.into_iter().flat_map(|events| events.values()).filter_map(route).collect()
}

fn invoked(properties: &Value) -> Option<Invoked> {
    let event = properties.get("Events")?.as_mapping()?.values().next()?;
    match event.get("Type")?.as_str()? {
        "Api" => {
            let mode = event.get("Properties").and_then(|event| event.get("ResponseTransferMode"));
            let is_streamed = mode.and_then(Value::as_str) == Some("RESPONSE_STREAM");
            Some(if is_streamed { Invoked::StreamedRequest } else { Invoked::Request })
        }
        "Schedule" => Some(Invoked::Schedule),
        "DynamoDB" => Some(Invoked::TableStream),
        _ => None,
    }
}
