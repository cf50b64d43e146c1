//! The functions that a request offers to the model.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use shared::ai::{JsonSchema, Tool};
use shared::error::FieldErrors;
use shared::values::Invalid;
use utoipa::ToSchema;

use crate::dialects::programs::cache::CacheControl;
use crate::dialects::programs::json::{at_most, object};
use crate::dialects::programs::tools::{Offered, Tools, Wish, checked_name_up_to};

/// The maximum number of functions in a request. Programs with many MCP servers offer hundreds.
pub(super) const TOOLS: usize = 512;

/// The maximum number of characters in a name. OpenAI and Bedrock accept only half as many, but the
/// names of an MCP server's functions also contain the server's name.
const NAME_LENGTH: usize = 128;

/// Returns the name of a function, if it is valid.
pub(super) fn checked_name(name: String) -> Result<String, Invalid> {
    checked_name_up_to(NAME_LENGTH, name)
}

/// The maximum number of characters of a tool's type in an error message.
const KIND: usize = 100;

/// The types of the tools that run at Anthropic begin with one of these words. Tools of other
/// types, such as `bash_20250124`, run at the client.
const OF_SERVER: [&str; 6] = [
    "web_search_",
    "web_fetch_",
    "code_execution_",
    "tool_search_tool_",
    "mcp_toolset",
    "advisor_",
];

/// A function that the model may call. The client runs it. Other fields are ignored: a function with
/// `defer_loading` is offered at once, because a `tool_reference` reaches the model as text.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicTool)]
pub(super) struct OfferedTool {
    /// `custom`, or missing. Tools that run at Anthropic, and tools that Anthropic defines, aren't
    /// available.
    #[serde(rename = "type")]
    #[schema(pattern = "^custom$", examples("custom"))]
    kind: Option<String>,
    #[serde(default)]
    #[schema(required, pattern = "^[a-zA-Z0-9_-]{1,128}$", examples("get_weather"))]
    name: String,
    description: Option<String>,
    /// The JSON Schema of the arguments, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<Box<RawValue>>,
    strict: Option<bool>,
    /// Examples of the arguments. Models of other providers than Anthropic get them in the
    /// description.
    #[serde(default, deserialize_with = "read_examples")]
    #[schema(value_type = Option<Vec<Object>>)]
    input_examples: Option<Vec<Box<RawValue>>>,
    /// Whether Anthropic streams the arguments before it has checked that they are JSON. Other
    /// providers aren't sent it.
    eager_input_streaming: Option<bool>,
    #[serde(default, deserialize_with = "object")]
    cache_control: Option<CacheControl>,
}

/// The maximum number of examples of a function's arguments.
pub(super) const EXAMPLES: usize = 64;

fn read_examples<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Vec<Box<RawValue>>>, D::Error> {
    at_most(json, EXAMPLES, "examples")
}

/// Whether the model may, must or must not call a function.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnthropicToolChoice)]
pub(super) struct ChosenTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^(auto|any|tool|none)$", examples("auto"))]
    kind: String,
    /// With the type `tool`: the name of the function that the model must call.
    name: Option<String>,
    /// True if an answer may contain only one call.
    disable_parallel_tool_use: Option<bool>,
}

/// Reads the functions in `tools` and `tool_choice`. Also returns whether the model may call
/// several functions in one answer, or `None` for the model's default.
pub(super) fn offered(
    tools: Vec<OfferedTool>,
    choice: Option<ChosenTool>,
    errors: &mut FieldErrors,
) -> (Tools, Option<bool>) {
    let offered = tools.into_iter().enumerate();
    let offered =
        offered.filter_map(|(number, tool)| tool.read(&format!("tools[{number}]"), errors));
    let offered: Vec<Tool> = offered.collect();
    let is_single = choice.as_ref().is_some_and(|one| one.disable_parallel_tool_use == Some(true));
    let parallel_calls = (is_single && !offered.is_empty()).then_some(false);
    let wish = choice.and_then(|choice| choice.wish(errors));
    (Tools::choose(Offered::functions(offered), "tool_choice", wish, errors), parallel_calls)
}

impl OfferedTool {
    fn read(self, field: &str, errors: &mut FieldErrors) -> Option<Tool> {
        let Self { kind, name, description, input_schema, strict, .. } = self;
        let Self { input_examples, eager_input_streaming, cache_control, .. } = self;
        if let Some(kind) = kind.filter(|kind| kind != "custom") {
            errors.note(&format!("{field}.type"), unavailable(&kind));
            return None;
        }
        let name = errors.check(&format!("{field}.name"), checked_name(name));
        let parameters = input_schema.map(JsonSchema::parse).transpose();
        let parameters = errors.check(&format!("{field}.input_schema"), parameters)?;
        let examples = input_examples.unwrap_or_default();
        let streams_early = eager_input_streaming == Some(true);
        if !examples.iter().all(|example| example.get().starts_with('{')) {
            errors.note(&format!("{field}.input_examples"), "Each example must be an object.");
        }
        // Some providers refuse empty descriptions.
        let description = description.filter(|text| !text.trim().is_empty());
        let cache = cache_control.and_then(CacheControl::ttl);
        Some(Tool { name: name?, description, parameters, strict, cache, examples, streams_early })
    }
}

/// Returns the error message for a tool of this type, which has no schema in the request.
fn unavailable(kind: &str) -> String {
    let is_of_server = OF_SERVER.iter().any(|word| kind.starts_with(word));
    let kind: String = kind.chars().take(KIND).collect();
    match is_of_server {
        true => format!(
            "The tool {kind} runs at Anthropic and isn't available here. Omit it, or offer a function of your own with an input_schema."
        ),
        false => format!(
            "This API offers the model only tools with an input_schema. Describe the arguments of \
             {kind} in an input_schema, and omit the type."
        ),
    }
}

impl ChosenTool {
    fn wish(self, errors: &mut FieldErrors) -> Option<Wish> {
        match (self.kind.as_str(), self.name) {
            ("auto", _) => Some(Wish::Word("auto".into())),
            ("any", _) => Some(Wish::Word("required".into())),
            ("none", _) => Some(Wish::Word("none".into())),
            ("tool", Some(name)) => Some(Wish::Function(name)),
            ("tool", None) => {
                errors.note("tool_choice.name", "Send the name of a function in tools.");
                None
            }
            _ => {
                errors.note("tool_choice.type", "This must be auto, any, tool or none.");
                None
            }
        }
    }
}
