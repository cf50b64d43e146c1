//! The reply headers in which OpenAI's clients read a rate limit
//! ([reference](https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers)).

use shared::http::{HeaderMap, HeaderValue, PROBLEMS};
use shared::values::Limit;

/// Writes these headers, and those that all clients get.
pub(super) fn show(limit: &Limit, headers: &mut HeaderMap) {
    PROBLEMS.show_limit(limit, headers);
    for (header, value) in [
        ("x-ratelimit-limit-requests", limit.most.to_string()),
        ("x-ratelimit-remaining-requests", limit.left.to_string()),
        ("x-ratelimit-reset-requests", duration(limit.reset)),
    ] {
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
            show(&chats, &mut headers);
            let shows = ["limit", "remaining", "reset"]
                .map(|what| headers[format!("x-ratelimit-{what}-requests")].to_str().unwrap());
            assert_eq!(shows, ["300", "297", shown]);
        }
    }
}
