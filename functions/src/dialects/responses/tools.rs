//! The tools that a request offers to the model, and whether the model may call them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::dialects::programs::custom::{CustomTool, Grammar};
use crate::dialects::programs::json::{raw_object, text_or_object};
use crate::dialects::programs::tools::{
    NAME_LENGTH, Offered, OfferedFunction, Wish, functions_or_null,
};

/// A `function`, or a `custom` tool, which the model calls with a text.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseTool)]
pub(super) struct OfferedTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^(function|custom)$", examples("function"))]
    kind: String,
    #[schema(
        required,
        nullable = false,
        pattern = "^[a-zA-Z0-9_-]{1,64}$",
        examples("get_weather")
    )]
    name: Option<String>,
    description: Option<String>,
    /// The JSON Schema of the arguments, at most 50 levels deep.
    #[serde(default, deserialize_with = "raw_object")]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
    /// The format of a custom tool's text.
    format: Option<CustomFormat>,
}

/// The format of a custom tool's text: any `text`, or a `grammar` with its syntax and definition.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseCustomToolFormat)]
struct CustomFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|grammar)$", examples("text"))]
    kind: String,
    #[schema(pattern = "^(lark|regex)$", examples("regex"))]
    syntax: Option<String>,
    #[schema(examples("[0-9]+"))]
    definition: Option<String>,
}

/// Returns the constraints on a tool, in addition to its fields' types.
pub(super) fn limits() -> Value {
    let text = json!({ "type": "string" });
    let format = json!({ "anyOf": [
        { "type": "null" },
        { "properties": { "type": { "const": "text" } } },
        {
            "properties": { "type": { "const": "grammar" }, "syntax": text, "definition": text },
            "required": ["syntax", "definition"],
        },
    ] });
    json!({ "properties": { "format": format } })
}

/// Whether the model may, must or must not call a tool.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseToolChoice)]
#[serde(untagged)]
pub(crate) enum Choice {
    /// `auto`, `none` or `required`.
    Word(String),
    One(ChosenTool),
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_object(json, "auto, none, required, or a function", Self::Word, Self::One)
    }
}

/// A `function`, a `custom` tool, or `allowed_tools` with a mode.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = ResponseChosenTool)]
pub(crate) struct ChosenTool {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(
        default,
        deserialize_with = "functions_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    tools: Option<Vec<AllowedTool>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = ResponseAllowedTool)]
struct AllowedTool {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Default for Choice {
    fn default() -> Self {
        Self::Word("auto".into())
    }
}

impl Choice {
    pub(super) fn wish(&self) -> Wish {
        let chosen = match self {
            Self::Word(word) => return Wish::Word(word.clone()),
            Self::One(chosen) => chosen,
        };
        if !chosen.is_short() {
            return Wish::Unknown;
        }
        match (chosen.kind.as_str(), &chosen.name, &chosen.mode, &chosen.tools) {
            ("function" | "custom", Some(name), ..) => Wish::Function(name.clone()),
            ("allowed_tools", _, Some(mode), Some(tools)) => {
                let names = tools.iter().filter_map(|tool| tool.name.clone());
                Wish::Allowed { mode: mode.clone(), names: names.collect() }
            }
            _ => Wish::Unknown,
        }
    }
}

impl ChosenTool {
    /// Returns true if every string in this `tool_choice` is no longer than a function name may be.
    /// The length is limited because the response repeats the `tool_choice`.
    fn is_short(&self) -> bool {
        let allowed = self.tools.iter().flatten();
        let allowed = allowed.flat_map(|tool| [Some(&tool.kind), tool.name.as_ref()]);
        let texts = [Some(&self.kind), self.name.as_ref(), self.mode.as_ref()];
        texts.into_iter().chain(allowed).flatten().all(|text| text.len() <= NAME_LENGTH)
    }
}

/// Reads the tools in `tools`.
pub(super) fn offered(tools: Vec<OfferedTool>, errors: &mut FieldErrors) -> Offered {
    let mut offered = Offered::default();
    for (number, tool) in tools.into_iter().enumerate() {
        let field = format!("tools[{number}]");
        let OfferedTool { kind, name, description, parameters, strict, format } = tool;
        if !["function", "custom"].contains(&kind.as_str()) {
            let sentence =
                "This API has no tools of its own: only functions and custom tools are supported.";
            errors.note(&format!("{field}.type"), sentence);
            continue;
        }
        let name = name.ok_or_else(|| REQUIRED.to_owned());
        let name = errors.check(&format!("{field}.name"), name);
        let grammar = format.map_or(Ok(None), |CustomFormat { kind, syntax, definition }| {
            Grammar::read(&kind, syntax.as_deref(), definition)
        });
        let grammar = errors.check(&format!("{field}.format"), grammar);
        let (Some(name), Some(grammar)) = (name, grammar) else { continue };
        if kind == "function" {
            let function = OfferedFunction { name, description, parameters, strict };
            offered.add_function(&field, function, errors);
        } else {
            offered.add_custom(&field, CustomTool { name, description, grammar }, errors);
        }
    }
    offered
}
