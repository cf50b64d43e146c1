//! Which endpoint serves which method and path.

use super::Failures;

/// A method and a path, and their endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` and so on, or `ANY`.
    pub method: &'static str,
    /// The path without a trailing slash, in API Gateway's notation: `{id}` matches one segment,
    /// `/{proxy+}` any path.
    pub path: &'static str,
    /// The name of the endpoint, its file and its binary.
    pub endpoint: &'static str,
    /// The form of its failures.
    pub failures: Failures,
}

/// The pattern that matches `path`, with or without its trailing slash. Literal patterns come
/// before patterns with parameters.
pub fn pattern<'p>(
    mut patterns: impl Iterator<Item = &'p str> + Clone,
    path: &str,
) -> Option<&'p str> {
    let path = without_slash(path);
    // Most requests are for such a path, and comparing it as a whole is cheap.
    let literal = patterns.clone().find(|pattern| *pattern == path && !pattern.contains('{'));
    literal.or_else(|| patterns.find(|pattern| matches(pattern, path)))
}

/// The parameters of `pattern` in `path` by name, as they were sent. `None` if the path doesn't
/// match. A parameter is one whole segment that isn't empty.
pub fn parameters<'p>(pattern: &'p str, path: &'p str) -> Option<Vec<(&'p str, &'p str)>> {
    let path = without_slash(path);
    let parameter = |(expected, segment): (&'p str, &'p str)| Some((name(expected)?, segment));
    matches(pattern, path)
        .then(|| pattern.split('/').zip(path.split('/')).filter_map(parameter).collect())
}

fn without_slash(path: &str) -> &str {
    if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path }
}

/// Whether each segment matches. Allocates nothing: a request may be compared with every route.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut expected, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (expected.next(), segments.next()) {
            (None, None) => return true,
            (Some(expected), Some(segment)) if expected == segment => {}
            (Some(expected), Some(segment)) if name(expected).is_some() && !segment.is_empty() => {}
            _ => return false,
        }
    }
}

/// The name of a parameter of one segment.
fn name(expected: &str) -> Option<&str> {
    expected.strip_prefix('{')?.strip_suffix('}').filter(|name| !name.ends_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_one_whole_segment() {
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
}
