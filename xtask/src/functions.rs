//! The Lambda functions, from the rows and files in `functions/src`.

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
    /// The names of the settings that the function reads, besides those of every function.
    settings: &'static [Names],
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

/// The methods that a path with several functions lists, in the order of the template.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Returns all functions: endpoints in the order of the rooms, then background functions.
///
/// # Errors
/// Fails with a sentence if an endpoint has a trigger, or a background function has none.
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
        routes: ROUTES.iter().filter(|route| route.endpoint == endpoint.name).collect(),
    });
    let background = background::FUNCTIONS.iter().map(|function| Function {
        name: function.name,
        id: id(function.name),
        module: function.module,
        lambda: function.lambda,
        settings: function.settings,
        routes: Vec::new(),
    });
    let all: Vec<Function> = endpoints.chain(background).collect();
    match all
        .iter()
        .find(|function| function.routes.is_empty() != function.lambda.trigger.is_some())
    {
        Some(Function { name, .. }) => {
            Err(format!("{name} must have either routes or a trigger").into())
        }
        None => Ok(all),
    }
}

/// Returns the function with this name.
///
/// # Errors
/// Fails with a sentence if no function has this name.
pub fn named<'f>(functions: &'f [Function], name: &str) -> Result<&'f Function, Failure> {
    let found = functions.iter().find(|function| function.name == name);
    found.ok_or_else(|| format!("no function has the name {name}").into())
}

impl Function {
    /// The logical id without `Function`, as in the ids of related resources.
    pub fn stem(&self) -> &str {
        self.id.strip_suffix("Function").unwrap_or(&self.id)
    }

    /// Returns true if API Gateway passes on each piece of the reply.
    pub fn streams(&self) -> bool {
        self.lambda.streams
    }

    /// Returns true if a schedule invokes the function.
    pub fn is_scheduled(&self) -> bool {
        matches!(self.lambda.trigger, Some(Trigger::Schedule(_)))
    }

    /// Returns the names of the settings in the function's own environment, each once.
    pub fn settings(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.settings.iter().copied().flatten() {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the methods and paths with which the gateway calls the function.
    ///
    /// The path of a single function has the method ANY, so the function itself answers OPTIONS and
    /// 405, with the headers of every reply. Such a path lists another method only if the method has
    /// a limit of its own. A path of several functions lists all methods instead: if one of the
    /// functions had ANY, `sam local` would call any of them for a GET. The first function of such a
    /// path gets the methods that no function serves.
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
                let listed = of_path().filter(|_| self.lambda.throttled).map(|route| route.method);
                listed.chain(["ANY"]).collect()
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
