//! The reply headers that show a rate limit, both in the standard form
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)) and in
//! OpenAI's form
//! ([reference](https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers)).

use super::{HeaderMap, HeaderValue};
use crate::values::Limit;

/// Writes the `RateLimit-Policy` and `RateLimit` headers.
pub(super) fn show(limit: &Limit, headers: &mut HeaderMap) {
    let Limit { name, most, left, reset, window } = limit;
    let kind = window
        .map_or_else(|| String::from("qu=\"concurrent-requests\""), |window| format!("w={window}"));
    write(
        headers,
        [
            ("ratelimit-policy", format!("\"{name}\";q={most};{kind}")),
            ("ratelimit", format!("\"{name}\";r={left};t={reset}")),
        ],
    );
}

/// Writes the headers that OpenAI's clients read.
pub(super) fn show_as_openai(limit: &Limit, headers: &mut HeaderMap) {
    write(
        headers,
        [
            ("x-ratelimit-limit-requests", limit.most.to_string()),
            ("x-ratelimit-remaining-requests", limit.left.to_string()),
            ("x-ratelimit-reset-requests", duration(limit.reset)),
        ],
    );
}

fn write(headers: &mut HeaderMap, shown: impl IntoIterator<Item = (&'static str, String)>) {
    for (header, value) in shown {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header, value);
        }
    }
}

/// Formats a duration as OpenAI does: `1s`, `6m0s`, `1h0m0s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
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
        assert!(!headers.contains_key("x-ratelimit-limit-requests"));
        show(&Limit::at_once("parallel-chats", 64), &mut headers);
        assert_eq!(
            headers["ratelimit-policy"],
            "\"parallel-chats\";q=64;qu=\"concurrent-requests\""
        );
    }

    #[test]
    fn openai_clients_read_times_in_its_form() {
        for (reset, shown) in [
            (0, "0s"),
            (1, "1s"),
            (60, "1m0s"),
            (360, "6m0s"),
            (3600, "1h0m0s"),
            (90_061, "25h1m1s"),
        ] {
            let mut headers = HeaderMap::new();
            let chats = Limit { name: "chats", most: 300, window: Some(60), left: 297, reset };
            show_as_openai(&chats, &mut headers);
            let shows = ["limit", "remaining", "reset"]
                .map(|what| headers[format!("x-ratelimit-{what}-requests")].to_str().unwrap());
            assert_eq!(shows, ["300", "297", shown]);
        }
    }
}
