//! The mapping from methods and paths to endpoints.

use super::{Failures, HeaderMap};
use crate::config::EdgeConfig;

/// A method, a path and the endpoint that serves them.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The HTTP method, or `ANY`.
    pub method: &'static str,
    /// The path without a trailing slash, in API Gateway's notation. `{id}` matches one segment,
    /// `{file+}` matches all remaining segments, and `/{proxy+}` matches any path.
    pub path: &'static str,
    /// The name of the endpoint, which is also the name of its file and its binary.
    pub endpoint: &'static str,
    /// The format of the route's failures.
    pub failures: &'static dyn Failures,
    /// The clients that get their failures in a different format, if two APIs share the route.
    pub other_clients: Option<OtherClients>,
    /// The maximum size of the route's request bodies.
    pub body_limit: BodyLimit,
    /// On routes for browsers, the page that they get instead of
    /// [`Error::NotFound`](crate::Error::NotFound). The page's links begin with `./`, which refers
    /// to the API's root.
    pub page: Option<&'static str>,
}

/// The clients that send a certain header, and the format of their failures.
#[derive(Clone, Copy, Debug)]
pub struct OtherClients {
    /// The header's name, in lower case.
    pub header: &'static str,
    /// The format of failures.
    pub failures: &'static dyn Failures,
}

impl Route {
    /// Returns a route without a method, a path or an endpoint; these are added for each route in a
    /// group. The route uses the usual limit on bodies, and doesn't have a page.
    pub const fn without_path(failures: &'static dyn Failures) -> Self {
        let body_limit = BodyLimit::Usual;
        Self {
            method: "",
            path: "",
            endpoint: "",
            failures,
            other_clients: None,
            body_limit,
            page: None,
        }
    }

    /// Returns the format of the failures that a client with these request headers gets.
    pub(super) fn failures_for(&self, headers: &HeaderMap) -> &'static dyn Failures {
        let other = self.other_clients.filter(|other| headers.contains_key(other.header));
        other.map_or(self.failures, |other| other.failures)
    }
}

/// The maximum size of the request bodies on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// `BODY_LIMIT`.
    Usual,
    /// `V1_BODY_LIMIT`, for requests that contain whole conversations.
    Conversation,
    /// 2 MiB, for messages with files.
    Files,
    /// 512 KiB, for Stripe's events. Events contain whole objects, and a dispute with its evidence
    /// can be larger than any client's request.
    Event,
}

/// The maximum size of a message with files, in bytes: four pictures of the maximum size as Base64,
/// with a large text.
pub const FILES_BODY: usize = 2_097_152;

impl BodyLimit {
    /// Returns the maximum size of a body in bytes.
    pub fn bytes(self, config: &EdgeConfig) -> usize {
        match self {
            Self::Usual => config.body_limit,
            Self::Conversation => config.v1_body_limit,
            Self::Files => FILES_BODY,
            Self::Event => 524_288,
        }
    }
}

/// Returns the pattern that matches `path`, with or without a trailing slash. Patterns without
/// parameters take precedence. Among the others, the first match wins.
pub fn pattern<'p>(
    mut patterns: impl Iterator<Item = &'p str> + Clone,
    path: &str,
) -> Option<&'p str> {
    let path = without_slash(path);
    // Try patterns without parameters first, because they match most requests, and comparing whole
    // paths is cheap.
    let literal = patterns.clone().find(|pattern| *pattern == path && !pattern.contains('{'));
    literal.or_else(|| patterns.find(|pattern| matches(pattern, path)))
}

/// Returns the values that `pattern`'s parameters have in `path`, without decoding them, or `None`
/// if the path doesn't match. A parameter matches one non-empty segment; a greedy parameter matches
/// all remaining segments.
pub fn parameters<'p>(pattern: &'p str, path: &'p str) -> Option<Vec<(&'p str, &'p str)>> {
    let path = without_slash(path);
    if !matches(pattern, path) {
        return None;
    }
    // If the pattern ends with a greedy parameter, the last part of the split path contains all
    // remaining segments.
    let segments = path.splitn(pattern.split('/').count(), '/');
    let parameter = |(expected, segment)| Some((name(expected)?, segment));
    Some(pattern.split('/').zip(segments).filter_map(parameter).collect())
}

fn without_slash(path: &str) -> &str {
    if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path }
}

/// Returns true if each segment matches. Doesn't allocate memory, because a request may be compared
/// with all routes.
fn matches(pattern: &str, path: &str) -> bool {
    // `/{proxy+}` is the gateway's resource for paths without a route.
    if pattern == "/{proxy+}" {
        return false;
    }
    let (mut expected, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (expected.next(), segments.next()) {
            (None, None) => return true,
            (Some(expected), Some(segment)) if expected == segment => {}
            (Some(expected), Some(segment)) if name(expected).is_some() && !segment.is_empty() => {
                if expected.ends_with("+}") {
                    return segments.all(|segment| !segment.is_empty());
                }
            }
            _ => return false,
        }
    }
}

/// Returns the name of the parameter in a pattern's segment.
fn name(expected: &str) -> Option<&str> {
    let name = expected.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_match_one_whole_segment() {
        let patterns = ["/", "/a", "/a/{id}", "/a/b", "/a/{id}/c", "/{proxy+}"];
        for (path, served) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/a/", Some("/a")),
            ("/a/x", Some("/a/{id}")),
            ("/a/x/", Some("/a/{id}")),
            ("/a/b/", Some("/a/b")),
            ("/a/b%2Fc", Some("/a/{id}")),
            ("/a/x/c", Some("/a/{id}/c")),
            ("/a//", None),
            ("/a//c", None),
            ("/x", None),
            ("", None),
            ("/a/x/y/z", None),
        ] {
            assert_eq!(pattern(patterns.into_iter(), path), served, "{path}");
        }
        assert_eq!(parameters("/a/{id}", "/a/%2e%2e/"), Some(vec![("id", "%2e%2e")]));
    }

    #[test]
    fn greedy_parameters_match_all_remaining_segments() {
        let patterns = ["/a", "/a/{id}/b", "/a/{id}/{file+}", "/{proxy+}"];
        for (path, served) in [
            ("/a", Some("/a")),
            ("/a/x", None),
            ("/a/x/", None),
            ("/a/x/b", Some("/a/{id}/b")),
            ("/a/x/y", Some("/a/{id}/{file+}")),
            ("/a/x/b/z/", Some("/a/{id}/{file+}")),
            ("/a//b/z", None),
            ("/a/x//z", None),
            ("/a/x/y//", None),
        ] {
            assert_eq!(pattern(patterns.into_iter(), path), served, "{path}");
        }
        let of = |path| parameters("/a/{id}/{file+}", path);
        assert_eq!(of("/a/x/y"), Some(vec![("id", "x"), ("file", "y")]));
        assert_eq!(of("/a/x/y/%2e%2e/z/"), Some(vec![("id", "x"), ("file", "y/%2e%2e/z")]));
        assert_eq!(of("/a/x"), None);
    }
}
