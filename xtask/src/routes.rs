//! Generates the routes for `cargo lambda watch` and for scripts.

use functions::ROUTES;
use shared::http::Route;

use crate::Failure;
use crate::files::Files;
use crate::functions::Function;

pub fn generate(files: &mut Files, functions: &[Function]) -> Result<(), Failure> {
    let row = |Route { method, path, endpoint, .. }: &Route| {
        format!(
            "  {{\"method\": \"{method}\", \"path\": \"{path}\", \"function\": \"{endpoint}\"}}"
        )
    };
    let rows: Vec<String> = ROUTES.iter().map(row).collect();
    files.put("functions/routes.json", format!("[\n{}\n]\n", rows.join(",\n")));
    files.put_part("CargoLambda.toml", "routes", &watched(functions))
}

/// Returns the routes of `cargo lambda watch`. `cargo lambda watch` matches paths exactly and
/// doesn't support `ANY`, so each path is listed with and without the trailing slash, unless the
/// path is `/` or ends with a greedy parameter.
fn watched(functions: &[Function]) -> String {
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
            for (endpoint, methods) in owners(functions, path) {
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

/// Returns the functions of a path, each with its methods. If a path has only one function, the
/// list of methods is empty: the function gets all methods, and rejects those that it doesn't
/// serve.
fn owners(functions: &[Function], path: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let methods = |function: &Function| {
        let own = function.methods().into_iter().filter(|method| method.path == path);
        let mut methods: Vec<&str> = own.map(|method| method.name).collect();
        methods.sort_unstable();
        (function.name, methods)
    };
    let owners = functions.iter().map(methods);
    let mut owners: Vec<_> = owners.filter(|(_, methods)| !methods.is_empty()).collect();
    if let [(_, methods)] = owners.as_mut_slice() {
        methods.clear();
    }
    owners
}
