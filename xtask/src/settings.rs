//! Generates the parameters in `template.yaml` and their groups in the console, the settings in
//! every function's environment, and the tables in docs/operate/configuration.md.

use shared::config::COMMON;
use shared::config::rows::GROUPS;
use shared::config::setting::{DefaultValue, Described, Parameter, Setting, Source, Values};

use crate::Failure;
use crate::files::Files;
use crate::functions::Function;
use crate::yaml::{folded, list, scalar};

pub fn generate(files: &mut Files, functions: &[Function]) -> Result<(), Failure> {
    check(functions)?;
    let (mut labels, mut parameters) = (String::new(), String::new());
    for group in GROUPS {
        labels += &format!("      - Label:\n          default: {}\n", scalar(group.label));
        labels += "        Parameters:\n";
        parameters += &format!("  # {}.\n", group.label);
        for setting in group.settings {
            if let Some(parameter) = setting.parameter() {
                labels += &format!("          - {}\n", parameter.name);
                parameters += &described(setting, parameter);
                parameters.push('\n');
            }
        }
    }
    files.put_part("template.yaml", "groups of parameters", &labels)?;
    files.put_part("template.yaml", "parameters", &parameters)?;
    let common = environment(COMMON.iter().copied().flatten().copied(), "        ", None)?;
    files.put_part("template.yaml", "settings of every function", &common)?;
    documents(files)
}

/// Checks each row.
///
/// # Errors
/// Fails with an error message that names the row.
fn check(functions: &[Function]) -> Result<(), Failure> {
    for setting in GROUPS.iter().flat_map(|group| group.settings) {
        let Described { source, docs, .. } = setting.described;
        let parameter = setting.parameter();
        let name = setting.variable.map(|variable| variable.name);
        let name = name.or(parameter.map(|parameter| parameter.name)).unwrap_or_default();
        if docs.is_empty() || docs.contains(['|', '\n']) {
            return Err(format!("{name} needs a sentence for the documents, on one line").into());
        }
        let Some(variable) = setting.variable else { continue };
        let own = parameter.and_then(|parameter| parameter.values);
        if own.is_some_and(|values| values != Values::List) {
            return Err(format!("{name} accepts what its variable accepts").into());
        }
        let is_read = COMMON.iter().copied().flatten().any(|common| *common == variable.name)
            || functions.iter().any(|function| function.settings().contains(&variable.name));
        if !is_read && !matches!(source, Source::LocalOnly) {
            return Err(format!("{name} is in the list SETTINGS of no type").into());
        }
    }
    Ok(())
}

/// Returns the lines of a parameter.
fn described(setting: &Setting, parameter: &Parameter) -> String {
    let name = parameter.name;
    let values = setting.values();
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
        match setting.default() {
            DefaultValue::Number(number) => number.to_string(),
            DefaultValue::Text(text) => scalar(text),
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
    lines.join("\n") + "\n"
}

/// Returns the lines of an environment with these settings. `streams` is the time-out of a function
/// that streams its replies, in seconds.
///
/// # Errors
/// Fails with an error message if a setting has no row, or isn't available to functions on AWS.
pub fn environment(
    names: impl IntoIterator<Item = &'static str>,
    indent: &str,
    streams: Option<u32>,
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
            Source::Fixed(value) => scalar(value),
            Source::ByReply { whole, rest } => match streams {
                Some(timeout) => format!("\"{}\"", timeout.saturating_sub(rest)),
                None => scalar(whole),
            },
            Source::Expression(yaml) => yaml.to_owned(),
            Source::AsByDefault => match row.default() {
                DefaultValue::Number(number) => format!("\"{number}\""),
                DefaultValue::Text(text) => scalar(text),
            },
            Source::LocalOnly => return Err(format!("{name} is a setting of `cargo run`").into()),
        };
        lines += &format!("{indent}{name}: {value}\n");
    }
    Ok(lines)
}

/// Writes the tables of settings.
fn documents(files: &mut Files) -> Result<(), Failure> {
    let (mut variables, mut parameters) = (String::new(), String::new());
    for setting in GROUPS.iter().flat_map(|group| group.settings) {
        let default = match setting.default() {
            DefaultValue::Number(number) => number.to_string(),
            DefaultValue::Text("") => "none".to_owned(),
            DefaultValue::Text(text) => text.to_owned(),
        };
        let Described { shown, docs, .. } = setting.described;
        let default = shown.map_or(default, str::to_owned);
        let row = |name: &str| format!("| {name} | {default} | {docs} |\n");
        match (setting.variable, setting.parameter()) {
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
    files.put_part(path, "settings", &table("variable (parameter)", &variables))?;
    files.put_part(path, "parameters", &table("parameter", &parameters))
}
