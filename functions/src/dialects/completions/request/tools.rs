//! The tools that a request offers to the model, in the form of `tools` or the older `functions`.

use serde::{Deserialize, Deserializer};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::dialects::programs::custom::{CustomTool, Grammar};
use crate::dialects::programs::json::{list, text_or_object};
use crate::dialects::programs::tools::{Offered, OfferedFunction, TOOLS, Tools, Wish};

/// The error message for a tool with the fields of both types.
const EITHER: &str = "Send either `function` or `custom`, as its type says, not both.";

/// A `function`, or a `custom` tool.
#[derive(Deserialize, ToSchema)]
pub(super) struct OfferedTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^(function|custom)$", examples("function"))]
    kind: String,
    function: Option<OfferedFunction>,
    custom: Option<OfferedCustomTool>,
}

/// A tool that the model may call with a text. The client runs it.
#[derive(Deserialize, ToSchema)]
struct OfferedCustomTool {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("apply_patch"))]
    name: String,
    description: Option<String>,
    format: Option<CustomFormat>,
}

/// The format of a custom tool's text: any `text`, or a `grammar`.
#[derive(Deserialize, ToSchema)]
#[schema(as = CustomToolFormat)]
struct CustomFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|grammar)$", examples("text"))]
    kind: String,
    grammar: Option<CustomGrammar>,
}

/// A grammar that the model is asked to follow.
#[derive(Deserialize, ToSchema)]
#[schema(as = CustomToolGrammar)]
struct CustomGrammar {
    #[schema(pattern = "^(lark|regex)$", examples("regex"))]
    syntax: String,
    #[schema(examples("[0-9]+"))]
    definition: String,
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
    custom: Option<NamedFunction>,
    allowed_tools: Option<AllowedTools>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AllowedTools)]
struct AllowedTools {
    mode: String,
    #[serde(deserialize_with = "read_functions")]
    tools: Vec<AllowedTool>,
}

fn read_functions<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<AllowedTool>, D::Error> {
    list(json, TOOLS, "functions")
}

#[derive(Deserialize, ToSchema)]
struct AllowedTool {
    function: Option<NamedFunction>,
    custom: Option<NamedFunction>,
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

/// Reads the tools in `tools` and `tool_choice`.
pub(super) fn offered(
    tools: Vec<OfferedTool>,
    choice: Option<Choice>,
    errors: &mut FieldErrors,
) -> Tools {
    let mut offered = Offered::default();
    for (number, OfferedTool { kind, function, custom }) in tools.into_iter().enumerate() {
        let field = format!("tools[{number}].{kind}");
        match kind.as_str() {
            "function" | "custom" if function.is_some() && custom.is_some() => {
                errors.note(&format!("tools[{number}]"), EITHER);
            }
            "function" => {
                let function = function.ok_or_else(|| REQUIRED.to_owned());
                if let Some(function) = errors.check(&field, function) {
                    offered.add_function(&field, function, errors);
                }
            }
            "custom" => {
                let custom = errors.check(&field, custom.ok_or_else(|| REQUIRED.to_owned()));
                if let Some(tool) = custom.and_then(|custom| custom.read(&field, errors)) {
                    offered.add_custom(&field, tool, errors);
                }
            }
            _ => errors.note(
                &format!("tools[{number}].type"),
                "Only functions and custom tools are supported.",
            ),
        }
    }
    Tools::choose(offered, "tool_choice", choice.map(Choice::wish), errors)
}

impl OfferedCustomTool {
    /// Returns the tool, if the format in this field is valid.
    fn read(self, field: &str, errors: &mut FieldErrors) -> Option<CustomTool> {
        let Self { name, description, format } = self;
        let grammar = format.map_or(Ok(None), |CustomFormat { kind, grammar }| {
            let (syntax, definition) =
                grammar.map(|grammar| (grammar.syntax, grammar.definition)).unzip();
            Grammar::read(&kind, syntax.as_deref(), definition)
        });
        let grammar = errors.check(&format!("{field}.format"), grammar)?;
        Some(CustomTool { name, description, grammar })
    }
}

/// Reads the functions in the older `functions` and `function_call`.
pub(super) fn older(
    functions: Vec<OfferedFunction>,
    choice: Option<FunctionChoice>,
    errors: &mut FieldErrors,
) -> Tools {
    let mut offered = Offered::default();
    for (number, function) in functions.into_iter().enumerate() {
        offered.add_function(&format!("functions[{number}]"), function, errors);
    }
    let wish = choice.map(|choice| match choice {
        FunctionChoice::Word(word) => Wish::Word(word),
        FunctionChoice::One(named) => Wish::Function(named.name),
    });
    Tools::choose(offered, "function_call", wish, errors)
}

impl Choice {
    fn wish(self) -> Wish {
        let chosen = match self {
            Self::Word(word) => return Wish::Word(word),
            Self::One(chosen) => chosen,
        };
        let ChosenTool { kind, function, custom, allowed_tools } = chosen;
        match (kind.as_str(), function, custom, allowed_tools) {
            ("function", Some(named), ..) | ("custom", _, Some(named), _) => {
                Wish::Function(named.name)
            }
            ("allowed_tools", .., Some(allowed)) => {
                let named = allowed.tools.into_iter().filter_map(|one| one.function.or(one.custom));
                let names = named.map(|named| named.name).collect();
                Wish::Allowed { mode: allowed.mode, names }
            }
            _ => Wish::Unknown,
        }
    }
}
