//! The reply headers that show a rate limit
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)).

use super::{HeaderMap, HeaderValue};
use crate::values::Limit;

/// Writes the `RateLimit-Policy` and `RateLimit` headers.
pub(super) fn show(limit: &Limit, headers: &mut HeaderMap) {
    let Limit { name, most, left, reset, window } = limit;
    let kind = window
        .map_or_else(|| String::from("qu=\"concurrent-requests\""), |window| format!("w={window}"));
    for (header, value) in [
        ("ratelimit-policy", format!("\"{name}\";q={most};{kind}")),
        ("ratelimit", format!("\"{name}\";r={left};t={reset}")),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_show_their_policy_and_the_remainder() {
        let mut headers = HeaderMap::new();
        let chats = Limit { name: "chats", most: 300, window: Some(60), left: 297, reset: 31 };
        show(&chats, &mut headers);
        assert_eq!(
            [&headers["ratelimit-policy"], &headers["ratelimit"]],
            ["\"chats\";q=300;w=60", "\"chats\";r=297;t=31"]
        );
        show(&Limit::at_once("parallel-chats", 64), &mut headers);
        assert_eq!(
            headers["ratelimit-policy"],
            "\"parallel-chats\";q=64;qu=\"concurrent-requests\""
        );
    }
}
