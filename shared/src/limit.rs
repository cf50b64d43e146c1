//! Limits against abuse, and how replies show them
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)).

use http::{HeaderMap, HeaderValue};

/// A limit and its remaining quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The policy's name in the headers.
    pub name: &'static str,
    /// The quota.
    pub most: u32,
    /// The window in seconds. `None` for a limit of concurrent requests.
    pub window: Option<u64>,
    /// The remaining quota.
    pub left: u32,
    /// The seconds until the quota grows again.
    pub reset: u64,
}

impl Limit {
    /// A limit of concurrent requests that is reached.
    pub fn at_once(name: &'static str, most: u32) -> Self {
        Self { name, most, window: None, left: 0, reset: 1 }
    }

    /// When to retry, in words: `in 2 minutes`.
    pub fn when(&self) -> String {
        let (number, unit) = match self.reset {
            ..120 => (self.reset, "second"),
            120..7200 => (self.reset.div_ceil(60), "minute"),
            _ => (self.reset.div_ceil(3600), "hour"),
        };
        format!("in {number} {unit}{}", if number == 1 { "" } else { "s" })
    }

    /// Writes `RateLimit-Policy` and `RateLimit`.
    pub fn show(&self, headers: &mut HeaderMap) {
        let Self { name, most, left, reset, .. } = self;
        let kind = self.window.map_or_else(
            || String::from("qu=\"concurrent-requests\""),
            |window| format!("w={window}"),
        );
        for (header, value) in [
            ("ratelimit-policy", format!("\"{name}\";q={most};{kind}")),
            ("ratelimit", format!("\"{name}\";r={left};t={reset}")),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(header, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_shows_its_policy_and_what_is_left() {
        let mut headers = HeaderMap::new();
        Limit { name: "chats", most: 300, window: Some(60), left: 297, reset: 31 }
            .show(&mut headers);
        assert_eq!(
            [&headers["ratelimit-policy"], &headers["ratelimit"]],
            ["\"chats\";q=300;w=60", "\"chats\";r=297;t=31"]
        );
        Limit::at_once("parallel-chats", 64).show(&mut headers);
        assert_eq!(
            headers["ratelimit-policy"],
            "\"parallel-chats\";q=64;qu=\"concurrent-requests\""
        );
    }
}
