//! The functions that a request offers to the model, in the form of `tools` or the older
//! `functions`.

use serde::{Deserialize, Deserializer};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::asking::json::{list, text_or_object};
use crate::asking::tools::{OfferedFunction, TOOLS, Tools, Wish, functions};

#[derive(Deserialize, ToSchema)]
pub(super) struct OfferedTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^function$", examples("function"))]
    kind: String,
    #[schema(required, nullable = false)]
    function: Option<OfferedFunction>,
}

#[derive(ToSchema)]
#[schema(as = ToolChoice)]
#[serde(untagged)]
pub(super) enum Choice {
    /// `auto`, `none` or `required`.
    Word(String),
    One(ChosenTool),
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_object(json, "auto, none, required, or a function", Self::Word, Self::One)
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ChosenTool {
    #[serde(rename = "type")]
    kind: String,
    function: Option<NamedFunction>,
    allowed_tools: Option<AllowedTools>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AllowedTools)]
struct AllowedTools {
    mode: String,
    #[serde(deserialize_with = "read_functions")]
    tools: Vec<ChosenFunction>,
}

fn read_functions<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<ChosenFunction>, D::Error> {
    list(json, TOOLS, "functions")
}

#[derive(Deserialize, ToSchema)]
struct ChosenFunction {
    function: NamedFunction,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NamedFunction)]
pub(super) struct NamedFunction {
    name: String,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum FunctionChoice {
    /// `auto` or `none`.
    Word(String),
    One(NamedFunction),
}

impl<'de> Deserialize<'de> for FunctionChoice {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text_or_object(json, "auto, none, or the name of a function", Self::Word, Self::One)
    }
}

/// Reads the functions in `tools` and `tool_choice`.
pub(super) fn offered(
    tools: Vec<OfferedTool>,
    choice: Option<Choice>,
    errors: &mut FieldErrors,
) -> Tools {
    let offered = tools.into_iter().enumerate().filter_map(|(number, tool)| {
        let field = format!("tools[{number}]");
        if tool.kind != "function" {
            errors.note(&format!("{field}.type"), "Only functions are supported.");
            return None;
        }
        let field = format!("{field}.function");
        let function = tool.function.ok_or_else(|| REQUIRED.to_owned());
        errors.check(&field, function).map(|function| (field, function))
    });
    let offered = offered.collect();
    let tools = functions(offered, errors);
    Tools::choose(tools, "tool_choice", choice.map(Choice::wish), errors)
}

/// Reads the functions in the older `functions` and `function_call`.
pub(super) fn older(
    offered: Vec<OfferedFunction>,
    choice: Option<FunctionChoice>,
    errors: &mut FieldErrors,
) -> Tools {
    let offered = offered.into_iter().enumerate();
    let offered = offered.map(|(number, function)| (format!("functions[{number}]"), function));
    let tools = functions(offered.collect(), errors);
    let wish = choice.map(|choice| match choice {
        FunctionChoice::Word(word) => Wish::Word(word),
        FunctionChoice::One(named) => Wish::Function(named.name),
    });
    Tools::choose(tools, "function_call", wish, errors)
}

impl Choice {
    fn wish(self) -> Wish {
        let chosen = match self {
            Self::Word(word) => return Wish::Word(word),
            Self::One(chosen) => chosen,
        };
        match chosen {
            ChosenTool { kind, function: Some(named), .. } if kind == "function" => {
                Wish::Function(named.name)
            }
            ChosenTool { kind, allowed_tools: Some(allowed), .. } if kind == "allowed_tools" => {
                let names = allowed.tools.into_iter().map(|one| one.function.name);
                Wish::Allowed { mode: allowed.mode, names: names.collect() }
            }
            _ => Wish::Unknown,
        }
    }
}
