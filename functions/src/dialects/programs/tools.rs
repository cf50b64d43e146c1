//! The tools that a request offers to the model, and whether the model may call them.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use shared::ai::{JsonSchema, Tool, ToolChoice};
use shared::error::FieldErrors;
use shared::values::Invalid;
use utoipa::ToSchema;

use crate::dialects::programs::custom::{CustomTool, CustomTools};
use crate::dialects::programs::json::at_most;

/// The maximum number of functions in a request.
pub(crate) const TOOLS: usize = 128;

/// Reads a list of functions, or null.
pub(crate) fn functions_or_null<'de, D, T>(json: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    at_most(json, TOOLS, "functions")
}

/// The maximum number of characters in a name.
pub(crate) const NAME_LENGTH: usize = 64;

/// Returns the name of a function or schema, if it is valid.
pub(crate) fn checked_name(name: String) -> Result<String, Invalid> {
    checked_name_up_to(NAME_LENGTH, name)
}

/// Returns the name, if it consists of 1 to `most` characters that names may contain.
pub(crate) fn checked_name_up_to(most: usize, name: String) -> Result<String, Invalid> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match (1..=most).contains(&name.len()) && name.bytes().all(is_valid) {
        true => Ok(name),
        false => Err(format!("A name must have 1 to {most} letters, digits, _ and -.").into()),
    }
}

/// A function that the model may call. The client runs it.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OfferedFunction {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("get_weather"))]
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The JSON Schema of the arguments, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    pub(crate) parameters: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

/// The valid tools that a request offers.
#[derive(Default)]
pub(crate) struct Offered {
    /// All tools, in order.
    tools: Vec<Tool>,
    /// Those of the tools that are custom tools.
    custom: CustomTools,
}

impl Offered {
    /// Creates the tools of a request that offers only these functions.
    pub(crate) fn functions(tools: Vec<Tool>) -> Self {
        Self { tools, custom: CustomTools::new() }
    }

    /// Adds the function in this request field, if it is valid.
    pub(crate) fn add_function(
        &mut self,
        field: &str,
        function: OfferedFunction,
        errors: &mut FieldErrors,
    ) {
        self.tools.extend(tool(field, function, errors));
    }

    /// Adds the custom tool in this request field, if it is valid.
    pub(crate) fn add_custom(&mut self, field: &str, tool: CustomTool, errors: &mut FieldErrors) {
        let name = checked_name(tool.name.clone());
        let Some(name) = errors.check(&format!("{field}.name"), name) else { return };
        self.tools.push(tool.function());
        self.custom.insert(name, tool);
    }

    /// Checks that no other tool has the name of a custom tool.
    fn check_names(&self, errors: &mut FieldErrors) {
        let is_custom = |tool: &&Tool| self.custom.contains_key(&tool.name);
        if self.tools.iter().filter(is_custom).count() > self.custom.len() {
            errors.note("tools", "Each custom tool must have its own name.");
        }
    }
}

fn tool(field: &str, function: OfferedFunction, errors: &mut FieldErrors) -> Option<Tool> {
    let OfferedFunction { name, description, parameters, strict } = function;
    let name = errors.check(&format!("{field}.name"), checked_name(name));
    let parameters = parameters.map(JsonSchema::parse).transpose();
    let parameters = errors.check(&format!("{field}.parameters"), parameters)?;
    Some(Tool { name: name?, description, parameters, strict, ..Tool::default() })
}

/// A request's `tool_choice` or `function_call`: whether the model may, must or must not call
/// tools.
pub(crate) enum Wish {
    /// `auto`, `none` or `required`.
    Word(String),
    /// The model must call this function or custom tool.
    Function(String),
    /// `mode` applies to the tools with these names. The model must not call any other tools.
    Allowed { mode: String, names: HashSet<String> },
    /// A value that this API doesn't support.
    Unknown,
}

/// The tools that a request offers, and whether the model must call one of them.
pub(crate) struct Tools {
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: ToolChoice,
    pub(crate) custom: CustomTools,
}

impl Tools {
    /// Converts the `wish` in this request field to a [`ToolChoice`] among the offered tools.
    pub(crate) fn choose(
        offered: Offered,
        field: &str,
        wish: Option<Wish>,
        errors: &mut FieldErrors,
    ) -> Self {
        offered.check_names(errors);
        let Offered { mut tools, custom } = offered;
        let choice = match wish {
            None => Ok(ToolChoice::Auto),
            Some(Wish::Word(word)) => of_word(&word),
            Some(Wish::Function(name)) => Ok(ToolChoice::Function(name)),
            Some(Wish::Allowed { mode, names }) => {
                tools.retain(|tool| names.contains(&tool.name));
                of_word(&mode)
            }
            Some(Wish::Unknown) => {
                Err("This must be auto, none, required, a function or allowed_tools.".into())
            }
        };
        let choice = errors.check(field, choice).unwrap_or_default();
        // If the model must call a function, the request must offer that function.
        let missing = match &choice {
            ToolChoice::Required if tools.is_empty() => Some("The request has no functions."),
            ToolChoice::Function(name) if tools.iter().all(|tool| tool.name != *name) => {
                Some("The request has no function with this name.")
            }
            _ => None,
        };
        if let Some(missing) = missing.filter(|_| errors.is_empty()) {
            errors.note(field, missing);
        }
        Self { tools, choice, custom }
    }
}

fn of_word(word: &str) -> Result<ToolChoice, Invalid> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err("This must be auto, none, required or a function.".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_schemas_have_the_lengths_of_names() {
        const OF_ANTHROPIC: usize = 128;
        let document = serde_json::to_string(&crate::described()).unwrap();
        let patterns = document.split("^[a-zA-Z0-9_-]{1,").skip(1);
        let lengths: BTreeSet<&str> = patterns.filter_map(|rest| rest.split('}').next()).collect();
        let expected = [NAME_LENGTH, OF_ANTHROPIC].map(|length| length.to_string());
        assert_eq!(lengths, expected.iter().map(String::as_str).collect());
    }
}
