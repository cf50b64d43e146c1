//! Ids of function calls. Providers give them in many forms, and some contain a signature. So an id
//! is passed on unchanged to the client and back to the provider, unless one of them can't use it.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The length of an id that each provider accepts: Mistral refuses every other length, OpenAI refuses
/// more than 40 characters.
pub(crate) const SHORT: usize = 9;

/// The maximum length of an id for Bedrock
/// ([`toolUseId`](https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html)).
const MOST: usize = 64;

/// The beginning of an encoded id.
const ENCODED: &str = "id_";

/// Returns true if Anthropic's API and Bedrock accept the id.
pub fn is_plain(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MOST).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// Returns true if Mistral's API accepts the id.
pub(crate) fn is_short(id: &str) -> bool {
    id.len() == SHORT && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Derives an id of nine letters and digits. `number` tells apart the calls in a prompt that have
/// the same id.
pub(crate) fn short(id: &str, number: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = digest(&SHA256, format!("{number}:{id}").as_bytes());
    let digits =
        hash.as_ref().iter().take(SHORT).filter_map(|byte| {
            DIGITS.get(usize::from(*byte) % DIGITS.len()).copied().map(char::from)
        });
    digits.collect()
}

/// Returns the id for clients of Anthropic's API, which accepts only plain ids. [`decoded`] returns
/// the original, unless it is too long to be encoded.
pub fn encoded(id: &str) -> Cow<'_, str> {
    if is_plain(id) && !id.starts_with(ENCODED) {
        return Cow::Borrowed(id);
    }
    let encoded = format!("{ENCODED}{}", BASE64_URL_SAFE_NO_PAD.encode(id));
    Cow::Owned(if is_plain(&encoded) { encoded } else { short(id, 1) })
}

/// Returns the original of an [`encoded`] id.
pub fn decoded(id: &str) -> Cow<'_, str> {
    let bytes = id.strip_prefix(ENCODED).and_then(|rest| BASE64_URL_SAFE_NO_PAD.decode(rest).ok());
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(original) if encoded(&original) == id => Cow::Owned(original),
        _ => Cow::Borrowed(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_ids_are_plain_and_reversible_while_they_fit() {
        let long = "x".repeat(65);
        let longest = ".".repeat(45);
        for id in
            ["toolu_01A", "functions.Bash:0", "", "é", "id_", "id_ZnVu", longest.as_str(), " a"]
        {
            let encoded = encoded(id);
            assert!(is_plain(&encoded), "{id}: {encoded}");
            assert_eq!(decoded(&encoded), id);
            assert_eq!(encoded == id, is_plain(id) && !id.starts_with("id_"), "{id}");
        }
        for id in [long.as_str(), &".".repeat(46)] {
            assert!(is_short(&encoded(id)) && encoded(id) == encoded(id));
        }
        // A client's own ids are left alone.
        for id in ["id_a.b", "id_*", "id_toolu", "call_1"] {
            assert_eq!(decoded(id), id);
        }
    }

    #[test]
    fn short_ids_depend_on_the_id_and_its_number() {
        let ids = [short("a", 1), short("b", 1), short("a", 2)];
        assert!(ids.iter().all(|id| is_short(id)) && ids[0] != ids[1] && ids[0] != ids[2]);
        assert_eq!(ids[0], short("a", 1));
    }
}
