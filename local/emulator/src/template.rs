//! Reads `template.yaml`, which is compiled into the program. The local server therefore has the
//! same routes, tables and environment as a deployment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_norway::Value;

/// The content of `template.yaml`.
pub const TEXT: &str = include_str!("../../../template.yaml");

/// The parts of the template that the local server uses.
#[derive(Debug)]
pub struct Template {
    /// All functions in the template.
    pub functions: Vec<Function>,
    /// All tables in the template.
    pub tables: Vec<Table>,
    /// The minimum size of a reply that the gateway compresses, in bytes.
    pub compressed_from: usize,
    parameters: BTreeSet<String>,
}

/// A function in the template.
#[derive(Debug)]
pub struct Function {
    /// The name of the function's binary, which is also the endpoint's name.
    pub name: String,
    /// The function's time-out in seconds.
    pub timeout: u64,
    /// The methods and paths that the function serves.
    pub routes: Vec<(String, String)>,
    /// The function's environment. Where a value in the template is a parameter or depends on one,
    /// the parameter's default is used. A reference to a resource becomes the resource's name.
    pub environment: HashMap<String, String>,
}

/// A table in the template.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    /// The table's name in the template, which the local server also uses.
    #[serde(skip)]
    pub name: String,
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<Key>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    local_secondary_indexes: Vec<Index>,
    time_to_live_specification: Option<TimeToLive>,
    stream_specification: Option<Stream>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    attribute_name: String,
    key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<Key>,
    projection: IndexProjection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexProjection {
    projection_type: String,
    non_key_attributes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    stream_view_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    conditions: BTreeMap<String, Value>,
    globals: Globals,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    default: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Globals {
    function: FunctionProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    r#type: String,
    #[serde(default)]
    properties: Value,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionProperties {
    timeout: Option<u64>,
    #[serde(default)]
    environment: Environment,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    variables: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Gateway {
    minimum_compression_size: usize,
    definition_body: Definition,
}

/// The API in OpenAPI's format, with API Gateway's extensions.
#[derive(Deserialize)]
struct Definition {
    paths: BTreeMap<String, BTreeMap<String, Operation>>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(rename = "x-amazon-apigateway-integration")]
    integration: Integration,
}

#[derive(Deserialize)]
struct Integration {
    uri: Value,
}

/// Parses a template.
///
/// # Errors
/// Fails if `text` isn't YAML.
pub fn parse(text: &str) -> Result<Value, serde_norway::Error> {
    serde_norway::from_str(text)
}

impl Template {
    /// Returns the project's template, with the default value of every parameter. The template is
    /// read only once.
    ///
    /// # Errors
    /// Fails with an error message that names the part that can't be read.
    pub fn load() -> Result<&'static Self, String> {
        static LOADED: LazyLock<Result<Template, String>> =
            LazyLock::new(|| Template::with_parameters(&[]));
        LOADED.as_ref().map_err(Clone::clone)
    }

    /// Returns the project's template as it is deployed with these parameters.
    ///
    /// # Errors
    /// Fails with an error message that names the part that can't be read, or the parameter that
    /// doesn't exist.
    pub fn with_parameters(parameters: &[(&str, &str)]) -> Result<Self, String> {
        let document = parse(TEXT).map_err(|error| format!("template.yaml: {error}"))?;
        Self::read(document, parameters)
    }

    /// Reads a parsed template as it is deployed with these parameters.
    ///
    /// # Errors
    /// Fails with an error message that names the part that can't be read, or the parameter that
    /// doesn't exist.
    pub fn read(document: Value, parameters: &[(&str, &str)]) -> Result<Self, String> {
        let mut document: Document = serde_norway::from_value(document)
            .map_err(|error| format!("template.yaml: {error}"))?;
        for (name, value) in parameters {
            let parameter = document
                .parameters
                .get_mut(*name)
                .ok_or_else(|| format!("template.yaml has no parameter {name}"))?;
            parameter.default = Value::String((*value).to_owned());
        }
        let mut tables = Vec::new();
        let mut compressed_from = usize::MAX;
        let mut routes: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for (name, resource) in &document.resources {
            match resource.r#type.as_str() {
                "AWS::DynamoDB::Table" => {
                    let table: Table = read(name, &resource.properties)?;
                    tables.push(Table { name: name.clone(), ..table });
                }
                "AWS::Serverless::Api" => {
                    let api: Gateway = read(name, &resource.properties)?;
                    compressed_from = api.minimum_compression_size;
                    for (path, methods) in &api.definition_body.paths {
                        for (method, Operation { integration }) in methods {
                            let function = integration.function().ok_or_else(|| {
                                format!("template.yaml: {method} {path} calls no function")
                            })?;
                            let method = match method.as_str() {
                                "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                                method => method.to_uppercase(),
                            };
                            routes.entry(function).or_default().push((method, path.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut functions = Vec::new();
        for (name, resource) in &document.resources {
            if resource.r#type == "AWS::Serverless::Function" {
                let routes = routes.remove(name).unwrap_or_default();
                functions.push(document.function(name, resource, routes)?);
            }
        }
        if let Some(unknown) = routes.keys().next() {
            return Err(format!("template.yaml: a route calls the unknown function {unknown}"));
        }
        let parameters = document.parameters.into_keys().collect();
        Ok(Self { functions, tables, compressed_from, parameters })
    }

    /// Returns true if the template has this parameter.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.parameters.contains(name)
    }
}

impl Integration {
    /// Returns the logical id of the function that API Gateway calls. The function's ARN is in
    /// `!Sub arn:..:functions/${Function.Arn}/invocations`, which may also name an alias.
    fn function(&self) -> Option<String> {
        let Value::Tagged(tagged) = &self.uri else { return None };
        let (_, target) = tagged.value.as_str()?.split_once("/functions/${")?;
        Some(target.split_once(".Arn}")?.0.to_owned())
    }
}

impl Document {
    fn function(
        &self,
        name: &str,
        resource: &Resource,
        routes: Vec<(String, String)>,
    ) -> Result<Function, String> {
        let binary = resource
            .metadata
            .get("BuildProperties")
            .and_then(|properties| properties.get("Binary"))
            .and_then(Value::as_str);
        let own: FunctionProperties = read(name, &resource.properties)?;
        let global = &self.globals.function;
        let variables = global.environment.variables.iter().chain(&own.environment.variables);
        Ok(Function {
            name: binary.ok_or_else(|| format!("template.yaml: {name} has no binary"))?.to_owned(),
            timeout: own
                .timeout
                .or(global.timeout)
                .ok_or_else(|| format!("template.yaml: {name} has no time-out"))?,
            routes,
            environment: variables
                .map(|(name, value)| (name.clone(), self.resolve(value)))
                .collect(),
        })
    }

    /// Returns the value of an environment variable as a string. `!Ref` becomes a parameter's value
    /// or a resource's name. `!Join` always joins the values of a list parameter with commas, so it
    /// becomes the parameter's default, which already contains the commas. `!If` becomes the value
    /// that the parameters select.
    fn resolve(&self, value: &Value) -> String {
        match value {
            Value::Tagged(tagged) if tagged.tag == "!Join" => {
                tagged.value.get(1).map_or_else(String::new, |list| self.resolve(list))
            }
            Value::Tagged(tagged) if tagged.tag == "!If" => {
                let name = tagged.value.get(0).and_then(Value::as_str).unwrap_or_default();
                let holds = self.conditions.get(name).is_some_and(|test| self.holds(test));
                let chosen = tagged.value.get(if holds { 1 } else { 2 });
                chosen.map(|chosen| self.resolve(chosen)).unwrap_or_default()
            }
            Value::Tagged(tagged) => {
                let target = tagged.value.as_str().unwrap_or_default();
                self.parameters
                    .get(target)
                    .map_or_else(|| target.to_owned(), |parameter| self.resolve(&parameter.default))
            }
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(bool) => bool.to_string(),
            _ => String::new(),
        }
    }

    /// Returns true if a condition holds for the parameters. The condition is
    /// `!Equals [one, other]`, or `!Not` of another condition.
    fn holds(&self, condition: &Value) -> bool {
        let Value::Tagged(tagged) = condition else { return false };
        let text = |index: usize| tagged.value.get(index).map(|part| self.resolve(part));
        if tagged.tag == "!Not" {
            return tagged.value.get(0).is_some_and(|other| !self.holds(other));
        }
        tagged.tag == "!Equals" && text(0) == text(1)
    }
}

fn read<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, String> {
    serde_norway::from_value(value.clone())
        .map_err(|error| format!("template.yaml: {name}: {error}"))
}

impl Table {
    /// Returns the name of the attribute that contains an item's expiry time. `None` if items don't
    /// expire.
    pub fn time_to_live(&self) -> Option<&str> {
        self.time_to_live_specification.as_ref().map(|ttl| ttl.attribute_name.as_str())
    }

    /// Returns the table's stream. `None` if the table has no stream.
    pub(crate) fn stream(&self) -> Result<Option<StreamSpecification>, BuildError> {
        let build = |stream: &Stream| {
            let view = StreamViewType::from(stream.stream_view_type.as_str());
            StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build()
        };
        self.stream_specification.as_ref().map(build).transpose()
    }

    /// Returns the key attributes of the table and of its indexes.
    pub(crate) fn attributes(&self) -> Result<Vec<AttributeDefinition>, BuildError> {
        let build = |attribute: &Attribute| {
            let kind = ScalarAttributeType::from(attribute.attribute_type.as_str());
            AttributeDefinition::builder()
                .attribute_name(&attribute.attribute_name)
                .attribute_type(kind)
                .build()
        };
        self.attribute_definitions.iter().map(build).collect()
    }

    pub(crate) fn keys(&self) -> Result<Vec<KeySchemaElement>, BuildError> {
        keys(&self.key_schema)
    }

    pub(crate) fn global_indexes(&self) -> Result<Option<Vec<GlobalSecondaryIndex>>, BuildError> {
        let build = |index: &Index| {
            let builder = GlobalSecondaryIndex::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?));
            builder.projection(index.projection.build()).build()
        };
        let indexes: Vec<_> =
            self.global_secondary_indexes.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Some(indexes).filter(|indexes| !indexes.is_empty()))
    }

    pub(crate) fn local_indexes(&self) -> Result<Option<Vec<LocalSecondaryIndex>>, BuildError> {
        let build = |index: &Index| {
            let builder = LocalSecondaryIndex::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?));
            builder.projection(index.projection.build()).build()
        };
        let indexes: Vec<_> =
            self.local_secondary_indexes.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Some(indexes).filter(|indexes| !indexes.is_empty()))
    }
}

impl IndexProjection {
    fn build(&self) -> Projection {
        let kind = ProjectionType::from(self.projection_type.as_str());
        Projection::builder()
            .projection_type(kind)
            .set_non_key_attributes(self.non_key_attributes.clone())
            .build()
    }
}

fn keys(keys: &[Key]) -> Result<Vec<KeySchemaElement>, BuildError> {
    let build = |key: &Key| {
        KeySchemaElement::builder()
            .attribute_name(&key.attribute_name)
            .key_type(KeyType::from(key.key_type.as_str()))
            .build()
    };
    keys.iter().map(build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_routes_and_environment() {
        let template = Template::load().unwrap();
        let chat = template.functions.iter().find(|function| function.name == "chat").unwrap();
        assert_eq!(chat.timeout, 28);
        assert!(chat.routes.contains(&("POST".into(), "/api/chat".into())));
        assert_eq!(chat.environment["CHAT_PRICE"], "100");
        assert_eq!(chat.environment["USERS_TABLE"], "UsersTable");
        assert_eq!(chat.environment["AI_PROVIDER"], "echo");
        assert!(!chat.environment.contains_key("SIGNING_SECRET"));
    }

    #[test]
    fn function_environments_include_the_parameters() {
        let given = [("ChatPrice", "7"), ("AiProvider", "bedrock,echo")];
        let template = Template::with_parameters(&given).unwrap();
        let chat = template.functions.iter().find(|function| function.name == "chat").unwrap();
        assert_eq!(chat.environment["CHAT_PRICE"], "7");
        assert_eq!(chat.environment["AI_PROVIDER"], "bedrock,echo");
        let unknown = Template::with_parameters(&[("ChatPrize", "7")]).unwrap_err();
        assert_eq!(unknown, "template.yaml has no parameter ChatPrize");
    }
}
