//! The functions that a request offers, and whether the model may call them.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::ai::{JsonSchema, Tool, ToolChoice};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

/// The most functions of a request.
pub(super) const TOOLS: usize = 128;

/// What a name is.
pub(super) const NAME: &str = "A name has 1 to 64 letters, digits, _ and -.";

/// Whether it is a name of a function or of a schema.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[derive(Deserialize, ToSchema)]
pub(super) struct OfferedTool {
    #[serde(rename = "type")]
    #[schema(pattern = "^function$", examples("function"))]
    kind: String,
    #[schema(required, nullable = false)]
    function: Option<OfferedFunction>,
}

/// A function that the model may call. The client runs it.
#[derive(Deserialize, ToSchema)]
pub(super) struct OfferedFunction {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("get_weather"))]
    name: String,
    description: Option<String>,
    /// A JSON Schema, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ToolChoice)]
#[serde(untagged, expecting = "auto, none, required, or a function")]
pub(super) enum Choice {
    /// `auto`, `none` or `required`.
    Word(String),
    One(ChosenTool),
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ChosenTool {
    #[serde(rename = "type")]
    kind: String,
    function: Option<Named>,
    allowed_tools: Option<Allowed>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AllowedTools)]
struct Allowed {
    mode: String,
    tools: Vec<ChosenFunction>,
}

#[derive(Deserialize, ToSchema)]
struct ChosenFunction {
    function: Named,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NamedFunction)]
pub(super) struct Named {
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "auto, none, or the name of a function")]
pub(super) enum FunctionChoice {
    /// `auto` or `none`.
    Word(String),
    One(Named),
}

/// The functions, and the choice between them.
pub(super) struct Tools {
    pub(super) tools: Vec<Tool>,
    pub(super) choice: ToolChoice,
}

impl Tools {
    /// The functions of `tools` and `tool_choice`.
    pub(super) fn read(
        tools: Vec<OfferedTool>,
        choice: Option<Choice>,
        errors: &mut FieldErrors,
    ) -> Self {
        let functions = tools.into_iter().enumerate().filter_map(|(number, tool)| {
            let field = format!("tools[{number}]");
            if tool.kind != "function" {
                errors.note(&format!("{field}.type"), "Only functions are supported.");
                return None;
            }
            let field = format!("{field}.function");
            let function = tool.function.ok_or_else(|| REQUIRED.to_owned());
            errors.check(&field, function).map(|function| (field, function))
        });
        let functions = functions.collect();
        let tools = all("tools", functions, errors);
        let mut read = Self { tools, choice: ToolChoice::Auto };
        let choice = match choice {
            None => Ok(ToolChoice::Auto),
            Some(Choice::Word(word)) => of_word(&word),
            Some(Choice::One(chosen)) => read.chosen(chosen),
        };
        read.choice = errors.check("tool_choice", choice).unwrap_or_default();
        read.check("tool_choice", errors);
        read
    }

    /// The functions of the older `functions` and `function_call`.
    pub(super) fn of_functions(
        functions: Vec<OfferedFunction>,
        choice: Option<FunctionChoice>,
        errors: &mut FieldErrors,
    ) -> Self {
        let functions = functions.into_iter().enumerate();
        let functions =
            functions.map(|(number, function)| (format!("functions[{number}]"), function));
        let tools = all("functions", functions.collect(), errors);
        let choice = match choice {
            None => Ok(ToolChoice::Auto),
            Some(FunctionChoice::Word(word)) => of_word(&word),
            Some(FunctionChoice::One(named)) => Ok(ToolChoice::Function(named.name)),
        };
        let choice = errors.check("function_call", choice).unwrap_or_default();
        let read = Self { tools, choice };
        read.check("function_call", errors);
        read
    }

    /// A choice of one function, or of several, which are then the only ones.
    fn chosen(&mut self, chosen: ChosenTool) -> Result<ToolChoice, String> {
        match chosen {
            ChosenTool { kind, function: Some(named), .. } if kind == "function" => {
                Ok(ToolChoice::Function(named.name))
            }
            ChosenTool { kind, allowed_tools: Some(allowed), .. } if kind == "allowed_tools" => {
                let is_allowed =
                    |tool: &Tool| allowed.tools.iter().any(|one| one.function.name == tool.name);
                self.tools.retain(is_allowed);
                of_word(&allowed.mode)
            }
            _ => Err("This is auto, none, required, a function or allowed_tools.".into()),
        }
    }

    /// A function that must be called is one of those that are offered.
    fn check(&self, field: &str, errors: &mut FieldErrors) {
        let is_there = match &self.choice {
            ToolChoice::Auto | ToolChoice::None => true,
            ToolChoice::Required => !self.tools.is_empty(),
            ToolChoice::Function(name) => self.tools.iter().any(|tool| tool.name == *name),
        };
        if !is_there && errors.is_empty() {
            errors.note(field, "The request offers no such function.");
        }
    }
}

fn of_word(word: &str) -> Result<ToolChoice, String> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err("This is auto, none, required or a function.".into()),
    }
}

/// The functions, with the fields from which they come.
fn all(
    list: &str,
    functions: Vec<(String, OfferedFunction)>,
    errors: &mut FieldErrors,
) -> Vec<Tool> {
    if functions.len() > TOOLS {
        errors.note(list, format!("A request offers at most {TOOLS} functions."));
        return Vec::new();
    }
    functions.into_iter().filter_map(|(field, function)| tool(&field, function, errors)).collect()
}

fn tool(field: &str, function: OfferedFunction, errors: &mut FieldErrors) -> Option<Tool> {
    let OfferedFunction { name, description, parameters, strict } = function;
    let fits = is_name(&name);
    if !fits {
        errors.note(&format!("{field}.name"), NAME);
    }
    let parameters = parameters.map(JsonSchema::parse).transpose();
    let parameters = errors.check(&format!("{field}.parameters"), parameters)?;
    fits.then_some(Tool { name, description, parameters, strict })
}
