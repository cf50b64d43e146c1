//! The Lambda functions, as defined by the rows and files in `functions/src`.

use functions::lambda::{Lambda, Trigger};
use functions::{ENDPOINTS, ROUTES, background};
use shared::config::Names;
use shared::http::Route;

use crate::Failure;

/// A Lambda function.
pub struct Function {
    /// The name of the function's file and binary.
    pub name: &'static str,
    /// The function's logical id in the template.
    pub id: String,
    /// The path of the function's module.
    pub module: &'static str,
    pub lambda: Lambda,
    /// The names of the settings that the function reads, in addition to those that every function
    /// reads.
    settings: &'static [Names],
    /// True if the function calls the AI.
    pub calls_ai: bool,
    /// The template parameter that contains the function's reserved concurrency.
    pub concurrency: Option<&'static str>,
    /// The function's routes. Empty for a background function.
    pub routes: Vec<&'static Route>,
}

/// A method and a path in the gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Method {
    /// The method, or `ANY`.
    pub name: &'static str,
    pub path: &'static str,
}

/// How long API Gateway waits for a reply that isn't streamed, in seconds
/// ([limits](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html)).
const GATEWAY_SECONDS: u32 = 29;

/// The methods that are listed for a path with several functions, in the template's order.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Returns all functions: first the endpoints, in the order of the rooms, and then the background
/// functions.
///
/// # Errors
/// Fails with an error message if a function's `LAMBDA` contradicts itself.
pub fn all() -> Result<Vec<Function>, Failure> {
    let id = |name: &str| {
        let words = name.split('_').map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        });
        words.chain(["Function".to_owned()]).collect::<String>()
    };
    let endpoints = ENDPOINTS.iter().map(|endpoint| Function {
        name: endpoint.name,
        id: id(endpoint.name),
        module: endpoint.module,
        lambda: endpoint.lambda,
        settings: endpoint.settings,
        calls_ai: endpoint.calls_ai(),
        concurrency: endpoint.concurrency(),
        routes: ROUTES.iter().filter(|route| route.endpoint == endpoint.name).collect(),
    });
    let background = background::FUNCTIONS.iter().map(|function| Function {
        name: function.name,
        id: id(function.name),
        module: function.module,
        lambda: function.lambda,
        settings: function.settings,
        calls_ai: false,
        concurrency: None,
        routes: Vec::new(),
    });
    let all: Vec<Function> = endpoints.chain(background).collect();
    for function in &all {
        function.check().map_err(|wrong| format!("{}: {wrong}", function.name))?;
    }
    Ok(all)
}

impl Function {
    /// Returns the logical id without `Function`, as it occurs in the ids of related resources.
    pub fn stem(&self) -> &str {
        self.id.strip_suffix("Function").unwrap_or(&self.id)
    }

    /// Returns the name of the function's room, which is the folder of its file.
    pub fn room(&self) -> &'static str {
        self.module.split("::").nth(1).unwrap_or_default()
    }

    /// Rejects a `LAMBDA` constant that contradicts itself.
    fn check(&self) -> Result<(), &'static str> {
        let Lambda { canary, timeout, streams, throttled, trigger, .. } = self.lambda;
        match trigger {
            None if self.routes.is_empty() => Err("a function without routes needs a trigger"),
            Some(_) if !self.routes.is_empty() => Err("a function with routes has no trigger"),
            Some(_) if canary || streams || throttled => {
                Err("only a function with routes can have a canary, stream, or be throttled")
            }
            None if !streams && timeout.is_some_and(|timeout| timeout > GATEWAY_SECONDS) => {
                Err("API Gateway waits at most 29 seconds for a reply that isn't streamed")
            }
            _ => Ok(()),
        }
    }

    /// Returns true if a schedule invokes the function.
    pub fn is_scheduled(&self) -> bool {
        matches!(self.lambda.trigger, Some(Trigger::Schedule(_)))
    }

    /// Returns the names of the settings in the function's own environment, without duplicates.
    pub fn settings(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.settings.iter().copied().flatten() {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the methods and paths for which the gateway calls the function.
    ///
    /// A path with only one function gets the ANY method, so the function itself answers OPTIONS
    /// requests and unsupported methods, with the same headers as in every other reply. Such a path
    /// lists another method only if the method has its own limit. HEAD gets the same limit as GET,
    /// because it does the same work.
    ///
    /// A path with several functions lists all methods instead: if one of the functions had ANY,
    /// `sam local` would send a GET to an arbitrary function. The path's first function gets the
    /// methods that no function serves.
    pub fn methods(&self) -> Vec<Method> {
        let mut methods: Vec<Method> = Vec::new();
        let mut paths: Vec<&str> = Vec::new();
        for route in &self.routes {
            if !paths.contains(&route.path) {
                paths.push(route.path);
            }
        }
        for path in paths {
            let of_path = || ROUTES.iter().filter(move |route| route.path == path);
            let names: Vec<&str> = if of_path().all(|route| route.endpoint == self.name) {
                let limited = of_path().filter(|_| self.lambda.throttled);
                let limited = limited.flat_map(|route| match route.method {
                    "GET" => vec!["GET", "HEAD"],
                    method => vec![method],
                });
                // A limit on ANY holds for every method.
                limited.filter(|method| *method != "ANY").chain(["ANY"]).collect()
            } else {
                let owner = |method: &str| {
                    let asked = if method == "HEAD" { "GET" } else { method };
                    let serves = |route: &&Route| [method, asked].contains(&route.method);
                    let owner = of_path().find(serves).or_else(|| of_path().next());
                    owner.map(|route| route.endpoint)
                };
                METHODS.into_iter().filter(|method| owner(method) == Some(self.name)).collect()
            };
            methods.extend(names.into_iter().map(|name| Method { name, path }));
        }
        methods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(name: &str) -> Vec<String> {
        let functions = all().unwrap();
        let function = functions.iter().find(|function| function.name == name).unwrap();
        let methods = function.methods().into_iter();
        methods.map(|Method { name, path }| format!("{name} {path}")).collect()
    }

    #[test]
    fn the_path_of_one_function_lists_only_limited_methods() {
        assert_eq!(methods("logout"), ["ANY /api/logout"]);
        assert_eq!(methods("register"), ["POST /api/register", "ANY /api/register"]);
        assert_eq!(methods("not_found"), ["ANY /{proxy+}"]);
        let export = ["GET", "HEAD", "ANY"].map(|method| format!("{method} /api/user/export"));
        assert_eq!(methods("export"), export);
    }

    #[test]
    fn the_path_of_two_functions_lists_every_method_once() {
        let reads = ["GET /api/chat", "HEAD /api/chat"];
        assert_eq!(methods("chat_history"), reads);
        let mut all = methods("chat");
        all.retain(|method| method.ends_with(" /api/chat"));
        assert_eq!(
            all,
            ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
                .map(|method| format!("{method} /api/chat"))
        );
    }
}
