//! The part of the table of routes that one function's binary contains. With the whole table, each
//! binary would contain the formats of all failures.

#![expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]

use shared::http::Route;

use crate::ROUTES;

/// The gateway's resource for paths without a route.
const OTHERS: &str = "/{proxy+}";

/// Returns the routes that the binary of the endpoint with this name contains:
///
/// - all routes at its paths, because replies list the methods of a path,
/// - the resource for other paths, whose page browsers get,
/// - for the endpoint that serves this resource, the routes that two APIs share. Near them, unknown
///   paths have the format of their failures, and all other unknown paths have problem documents.
#[macro_export]
macro_rules! routes_of {
    ($endpoint:expr) => {
        const { &$crate::own_routes::<{ $crate::count_routes($endpoint) }>($endpoint) }
    };
}

/// Returns the number of routes that [`routes_of!`] returns.
pub const fn count_routes(endpoint: &str) -> usize {
    let (served, mut at, mut count) = (served_by(endpoint), 0, 0);
    while at < ROUTES.len() {
        if is_needed(at, served) {
            count += 1;
        }
        at += 1;
    }
    count
}

/// Returns the routes for [`routes_of!`], which also counts them.
pub const fn own_routes<const COUNT: usize>(endpoint: &str) -> [Route; COUNT] {
    let (served, mut at, mut count) = (served_by(endpoint), 0, 0);
    let mut routes = [ROUTES[0]; COUNT];
    while at < ROUTES.len() {
        if is_needed(at, served) {
            routes[count] = ROUTES[at];
            count += 1;
        }
        at += 1;
    }
    routes
}

/// Returns an endpoint's routes, which are adjacent in the table.
const fn served_by(endpoint: &str) -> &'static [Route] {
    let mut start = 0;
    while !is_same(ROUTES[start].endpoint, endpoint) {
        start += 1;
    }
    let mut end = start;
    while end < ROUTES.len() && is_same(ROUTES[end].endpoint, endpoint) {
        end += 1;
    }
    ROUTES.split_at(end).0.split_at(start).1
}

/// Returns true if the endpoint that serves the routes `served` needs the route at this index.
const fn is_needed(at: usize, mut served: &[Route]) -> bool {
    let route = &ROUTES[at];
    while let Some((own, others)) = served.split_first() {
        let is_of_two_apis = route.other_clients.is_some();
        if is_same(own.path, route.path) || is_of_two_apis && is_same(own.path, OTHERS) {
            return true;
        }
        served = others;
    }
    is_same(route.path, OTHERS)
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    fn names(routes: &[super::Route]) -> BTreeSet<String> {
        routes.iter().map(|route| format!("{:?}", route.failures)).collect()
    }

    fn paths(routes: &[super::Route]) -> Vec<String> {
        routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect()
    }

    #[test]
    fn functions_contain_the_methods_of_their_paths() {
        let rows = ["POST /api/chat", "POST /api/chat_msg", "GET /api/chat", "ANY /{proxy+}"];
        assert_eq!(paths(routes_of!("chat")), rows);
        assert_eq!(paths(routes_of!("responses")), ["POST /v1/responses", "ANY /{proxy+}"]);
    }

    #[test]
    fn no_function_contains_all_formats() {
        assert_eq!(names(routes_of!("responses")), ["", "Responses"].map(String::from).into());
        let of_unknown_paths = ["", "OpenAi"].map(String::from).into();
        assert_eq!(names(routes_of!("not_found")), of_unknown_paths);
        assert_eq!(names(crate::ROUTES).len(), 7);
    }
}
