//! Generates the Lambda binaries, `functions/src/bin/*.rs`, and their rows in the manifest, which
//! turn off the binaries' test harnesses. Also writes the routes into the first line of each
//! endpoint's file.

use functions::lambda::Trigger;
use functions::{ENDPOINTS, ROUTES};

use crate::Failure;
use crate::files::Files;
use crate::functions::Function;

pub fn generate(files: &mut Files, functions: &[Function]) -> Result<(), Failure> {
    let mut all: Vec<&Function> = functions.iter().collect();
    all.sort_unstable_by_key(|function| function.name);
    let mut rows = String::new();
    for function in all {
        let Function { name, module, .. } = function;
        let routes = format!("functions::routes_of!(\"{name}\")");
        let serving = match function.lambda.trigger {
            None if function.lambda.streams => format!("serve_streaming({routes}, handle)"),
            None => format!("serve({routes}, handle)"),
            Some(Trigger::Schedule(_)) => "serve_schedule(work)".to_owned(),
            Some(Trigger::Outbox) => "serve_outbox(work)".to_owned(),
        };
        let called = if function.lambda.trigger.is_none() { "handle" } else { "work" };
        let main = format!(
            "//! The Lambda binary for [`{module}`]. Written by `cargo xtask generate`.\n\n\
             use {module}::{called};\n\n\
             fn main() -> std::process::ExitCode {{\n    shared::lambda::{serving}\n}}\n"
        );
        files.put(&format!("functions/src/bin/{name}.rs"), main);
        rows += &format!("    {{ name = \"{name}\", test = false, doc = false }},\n");
    }
    files.delete_unlisted("functions/src/bin")?;
    files.put_part("functions/Cargo.toml", "bin", &rows)?;

    for endpoint in ENDPOINTS {
        let path = endpoint.module.replacen("functions::", "functions/src/", 1).replace("::", "/");
        first_line(files, &format!("{path}.rs"), endpoint.name)?;
    }
    Ok(())
}

/// Begins an endpoint's file with its routes. If the routes have changed, rewraps the first
/// paragraph.
fn first_line(files: &mut Files, path: &str, endpoint: &str) -> Result<(), Failure> {
    let routes: Vec<String> = ROUTES
        .iter()
        .filter(|route| route.endpoint == endpoint)
        .map(|route| format!("`{} {}`", route.method, route.path))
        .collect();
    let routes = routes.join(", ");
    let text = files.read(path)?;
    let end = text.find("\n//!\n").or_else(|| text.find("\n\n"));
    let end = end.ok_or_else(|| format!("{path} must begin with a paragraph of `//!`"))?;
    let (paragraph, rest) = text.split_at(end);
    let words = paragraph.replace("\n//! ", " ");
    let (old, about) = words
        .strip_prefix("//! ")
        .and_then(|words| words.split_once(" - "))
        .ok_or_else(|| format!("{path} must begin with `//! {routes} - ` and what it does"))?;
    if old == routes {
        return Ok(());
    }
    let mut lines = vec!["//!".to_owned()];
    for word in format!("{routes} - {about}").split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= 100 => *line += &format!(" {word}"),
            _ => lines.push(format!("//! {word}")),
        }
    }
    files.put(path, lines.join("\n") + rest);
    Ok(())
}
