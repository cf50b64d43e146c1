//! What `template.yaml` says of functions and tables.

use serde_norway::Value;

use crate::Failure;

/// The functions and tables in the order of the template.
pub struct Template {
    pub functions: Vec<Function>,
    pub tables: Vec<Table>,
}

/// A function.
pub struct Function {
    /// The name of its binary, which is the endpoint's.
    pub name: String,
    /// Its logical id.
    pub id: String,
    pub invoked: Invoked,
    /// The methods and paths of its events.
    pub routes: Vec<(String, String)>,
}

/// What invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// API Gateway, which waits for the whole reply.
    Request,
    /// API Gateway, which passes on each piece of the reply.
    StreamedRequest,
    Schedule,
    /// The stream of a table.
    TableStream,
}

/// A table.
pub struct Table {
    /// The names of its global secondary indexes.
    pub indexes: Vec<String>,
}

impl Template {
    /// # Errors
    /// A sentence that names what can't be read.
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
    /// A sentence, if there is no such function.
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
