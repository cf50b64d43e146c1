//! The functions that a request offers to the model, and whether the model may call them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use shared::ai::Tool;
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::asking::json::text_or_object;
use crate::asking::tools::{NAME_LENGTH, OfferedFunction, Wish, functions, functions_or_null};

#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseTool)]
pub(super) struct OfferedTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^function$", examples("function"))]
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
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

/// Whether the model may, must or must not call a function.
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

/// A `function`, or `allowed_tools` with their mode.
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
            ("function", Some(name), ..) => Wish::Function(name.clone()),
            ("allowed_tools", _, Some(mode), Some(tools)) => {
                let names = tools.iter().filter_map(|tool| tool.name.clone());
                Wish::Allowed { mode: mode.clone(), names: names.collect() }
            }
            _ => Wish::Unknown,
        }
    }
}

impl ChosenTool {
    /// Returns true if every string in this `tool_choice` is at most as long as a function's name
    /// may be. The length is limited because the response repeats the `tool_choice`.
    fn is_short(&self) -> bool {
        let allowed = self.tools.iter().flatten();
        let allowed = allowed.flat_map(|tool| [Some(&tool.kind), tool.name.as_ref()]);
        let texts = [Some(&self.kind), self.name.as_ref(), self.mode.as_ref()];
        texts.into_iter().chain(allowed).flatten().all(|text| text.len() <= NAME_LENGTH)
    }
}

/// Reads the functions in `tools`.
pub(super) fn offered(tools: Vec<OfferedTool>, errors: &mut FieldErrors) -> Vec<Tool> {
    let offered = tools.into_iter().enumerate().filter_map(|(number, tool)| {
        let field = format!("tools[{number}]");
        let OfferedTool { kind, name, description, parameters, strict } = tool;
        if kind != "function" {
            let sentence = "This API has no tools of its own: only functions are supported.";
            errors.note(&format!("{field}.type"), sentence);
            return None;
        }
        let name = name.ok_or_else(|| REQUIRED.to_owned());
        let name = errors.check(&format!("{field}.name"), name)?;
        Some((field, OfferedFunction { name, description, parameters, strict }))
    });
    let offered = offered.collect();
    functions(offered, errors)
}
