//! Generates the routes for `cargo lambda watch` and for scripts.

use functions::ROUTES;
use shared::http::Route;

use crate::Failure;
use crate::files::Files;
use crate::template::{Function, Template};

pub fn generate(files: &mut Files, template: &Template) -> Result<(), Failure> {
    for route in ROUTES {
        let routes = &template.function(route.endpoint)?.routes;
        if !routes.iter().any(|(_, path)| path == route.path) {
            let Route { path, endpoint, .. } = route;
            return Err(
                format!("template.yaml: the function {endpoint} has no event for {path}").into()
            );
        }
    }
    let row = |Route { method, path, endpoint, .. }: &Route| {
        format!(
            "  {{\"method\": \"{method}\", \"path\": \"{path}\", \"function\": \"{endpoint}\"}}"
        )
    };
    let rows: Vec<String> = ROUTES.iter().map(row).collect();
    files.put("functions/routes.json", format!("[\n{}\n]\n", rows.join(",\n")));
    files.put_part("CargoLambda.toml", "routes", &watched(template))
}

/// Returns the routes of `cargo lambda watch`. `cargo lambda watch` matches paths exactly and
/// doesn't support `ANY`, so each path is listed with and without the trailing slash, unless the
/// path is `/` or ends with a greedy parameter.
fn watched(template: &Template) -> String {
    let mut rows = String::new();
    let mut paths: Vec<&str> = Vec::new();
    for route in ROUTES {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    for path in paths {
        let spellings = match path {
            "/" => vec!["/".to_owned()],
            path => match greedy(path) {
                Some(spelling) => vec![spelling],
                None => vec![path.to_owned(), format!("{path}/")],
            },
        };
        for spelling in &spellings {
            for (endpoint, methods) in owners(template, path) {
                let methods = match methods.as_slice() {
                    [] => String::new(),
                    methods => format!("methods = [\"{}\"], ", methods.join("\", \"")),
                };
                rows += &format!(
                    "    {{ path = \"{spelling}\", {methods}function = \"{endpoint}\" }},\n"
                );
            }
        }
    }
    rows
}

/// Converts a path with a greedy parameter, `{file+}`, to the notation of `cargo lambda watch`,
/// `{*file}`.
fn greedy(path: &str) -> Option<String> {
    let (start, name) = path.strip_suffix("+}")?.rsplit_once('{')?;
    Some(format!("{start}{{*{name}}}"))
}

/// Returns the functions of a path, each with its methods. If a path has only one function, its
/// list of methods is empty: the function gets all methods, and rejects some of them.
fn owners<'t>(template: &'t Template, path: &str) -> Vec<(&'t str, Vec<&'t str>)> {
    let methods = |function: &'t Function| {
        let own = function.routes.iter().filter(|(_, other)| other == path);
        let mut methods: Vec<&str> = own.map(|(method, _)| method.as_str()).collect();
        methods.sort_unstable();
        (function.name.as_str(), methods)
    };
    let functions = template.functions.iter().map(methods);
    let mut owners: Vec<_> = functions.filter(|(_, methods)| !methods.is_empty()).collect();
    if let [(_, methods)] = owners.as_mut_slice() {
        methods.clear();
    }
    owners
}
