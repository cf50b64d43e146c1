//! Generates the parameters in `template.yaml` and their groups in the console, the settings that
//! every function has in its environment, and the tables in docs/operate/configuration.md.

use shared::config::rows::GROUPS;
use shared::config::setting::{Default, Parameter, Setting, Source, Values};
use shared::config::{COMMON, Names};

use crate::Failure;
use crate::files::Files;
use crate::yaml::{folded, list, scalar};

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    let (mut labels, mut parameters) = (String::new(), String::new());
    for group in GROUPS {
        labels += &format!("      - Label:\n          default: {}\n", scalar(group.label));
        labels += "        Parameters:\n";
        parameters += &format!("  # {}.\n", group.label);
        for setting in group.settings {
            if let Some(parameter) = parameter(setting) {
                labels += &format!("          - {}\n", parameter.name);
                parameters += &described(setting, parameter)?;
                parameters.push('\n');
            }
        }
    }
    files.put_part("template.yaml", "groups of parameters", &labels)?;
    files.put_part("template.yaml", "parameters", &parameters)?;
    let common = environment(COMMON.iter().copied().flatten().copied(), "        ", false)?;
    files.put_part("template.yaml", "settings of every function", &common)?;
    documents(files)
}

/// Returns a parameter of the stack.
fn parameter(setting: &Setting) -> Option<&Parameter> {
    match &setting.described.source {
        Source::Parameter(parameter) => Some(parameter),
        _ => None,
    }
}

fn described(setting: &Setting, parameter: &Parameter) -> Result<String, Failure> {
    let name = parameter.name;
    let values = parameter.values.or(setting.variable.map(|variable| variable.values));
    let values = values.unwrap_or(Values::Text);
    let default = parameter.default.or(setting.variable.map(|variable| variable.default));
    let mut lines = vec![format!("  {name}:")];
    let mut line = |key: &str, value: String| lines.push(format!("    {key}: {value}"));
    line(
        "Type",
        match values {
            Values::Range { .. } | Values::Numbers(_) => "Number".to_owned(),
            Values::List => "CommaDelimitedList".to_owned(),
            Values::Words(_) | Values::Text => "String".to_owned(),
        },
    );
    line(
        "Default",
        match default.unwrap_or(Default::Text("")) {
            Default::Number(number) => number.to_string(),
            Default::Text(text) => scalar(text),
        },
    );
    match values {
        Values::Range { least, most } => {
            line("MinValue", least.to_string());
            if let Some(most) = most {
                line("MaxValue", most.to_string());
            }
        }
        Values::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            line("AllowedValues", format!("[{}]", numbers.join(", ")));
        }
        Values::Words(words) => line("AllowedValues", list(words)),
        Values::Text | Values::List => {}
    }
    if let Some(shortest) = parameter.shortest {
        line("MinLength", shortest.to_string());
    }
    if let Some(longest) = parameter.longest {
        line("MaxLength", longest.to_string());
    }
    if let Some(pattern) = parameter.pattern {
        line("AllowedPattern", scalar(pattern));
    }
    if let Some(must_be) = parameter.must_be {
        line("ConstraintDescription", folded(must_be, "    ConstraintDescription: ", 6));
    }
    line("Description", folded(parameter.about, "    Description: ", 6));
    Ok(lines.join("\n") + "\n")
}

/// Returns the lines of an environment with these settings.
///
/// # Errors
/// Fails with a sentence if a setting has no row, or functions on AWS don't have it.
pub fn environment(
    names: impl IntoIterator<Item = &'static str>,
    indent: &str,
    streams: bool,
) -> Result<String, Failure> {
    let mut lines = String::new();
    for name in names {
        let rows = || GROUPS.iter().flat_map(|group| group.settings);
        let is_it = |row: &&Setting| row.variable.is_some_and(|variable| variable.name == name);
        let row = rows().find(is_it).ok_or_else(|| format!("the setting {name} has no row"))?;
        let value = match row.described.source {
            Source::Parameter(Parameter { name, values: Some(Values::List), .. }) => {
                format!("!Join [\",\", !Ref {name}]")
            }
            Source::Parameter(Parameter { name, .. }) => format!("!Ref {name}"),
            Source::Fixed(value) => quoted_if_number(value),
            Source::ByReply { whole, streamed } => {
                quoted_if_number(if streams { streamed } else { whole })
            }
            Source::Expression(yaml) => yaml.to_owned(),
            Source::Nowhere => return Err(format!("{name} is a setting of `cargo run`").into()),
        };
        lines += &format!("{indent}{name}: {value}\n");
    }
    Ok(lines)
}

/// Environment variables are texts.
fn quoted_if_number(value: &str) -> String {
    scalar(value)
}

fn documents(files: &mut Files) -> Result<(), Failure> {
    let (mut variables, mut parameters) = (String::new(), String::new());
    for Setting { variable, described } in GROUPS.iter().flat_map(|group| group.settings) {
        let parameter = match &described.source {
            Source::Parameter(parameter) => Some(parameter),
            _ => None,
        };
        let fixed = match described.source {
            Source::Fixed(value) => Some(Default::Text(value)),
            _ => None,
        };
        let default = parameter.and_then(|parameter| parameter.default).or(fixed);
        let default = default.or(variable.map(|variable| variable.default));
        let default = match default.unwrap_or(Default::Text("")) {
            Default::Number(number) => number.to_string(),
            Default::Text("") => "none".to_owned(),
            Default::Text(text) => text.to_owned(),
        };
        let default = described.shown.map_or(default, str::to_owned);
        let row = |name: &str| format!("| {name} | {default} | {} |\n", described.docs);
        match (variable, parameter) {
            (Some(variable), Some(parameter)) => {
                variables += &row(&format!("`{}` (`{}`)", variable.name, parameter.name));
            }
            (Some(variable), None) => variables += &row(&format!("`{}`", variable.name)),
            (None, Some(parameter)) => parameters += &row(&format!("`{}`", parameter.name)),
            (None, None) => return Err("a row is neither a variable nor a parameter".into()),
        }
    }
    let path = "docs/operate/configuration.md";
    let table = |head: &str, rows: &str| {
        format!("\n| {head} | default | meaning |\n|---|---|---|\n{rows}\n")
    };
    files.put_part(path, "settings -->", &table("variable (parameter)", &variables))?;
    files.put_part(path, "parameters -->", &table("parameter", &parameters))
}

/// All names, for the type of [`COMMON`].
const _: &[Names] = COMMON;
