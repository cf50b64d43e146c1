//! Upper bounds on how many model tokens a prompt contains, including everything that servers add
//! to it.
//!
//! A tokenizer that works on bytes produces at most one token per byte. Therefore a bound counts
//! the bytes of the longest form in which any known server writes a string.

use crate::values::text::bound;

/// How many model tokens servers may add to a prompt. These are template preambles, such as
/// gpt-oss's, and the instructions about functions that providers give their models. Anthropic's
/// are the longest: 530 model tokens for Claude 3 Opus
/// ([pricing](https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing)).
pub const OVERHEAD: usize = 1024;

/// How many model tokens a template adds to a turn, for its role and for the markers of its
/// beginning and end.
pub const OF_TURN: usize = 16;

/// How many model tokens are added around the name and description of a function or schema.
pub(super) const OF_TOOL: usize = 160;

/// How many model tokens are added around an example of a function's arguments. Anthropic counts 20
/// to 50 for a simple example
/// ([examples](https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use)).
pub(super) const OF_EXAMPLE: usize = 64;

/// How many bytes of indentation servers add for each JSON level. Llama's template uses four
/// spaces.
const INDENT: usize = 4;

/// The longest form of a number in JSON, in bytes: Python writes `1e15` as `1000000000000000.0`.
const NUMBER: usize = 26;

/// Returns the bound for text that a server writes as a JSON string. By default, Python escapes all
/// non-ASCII characters, and needs twelve bytes for a character outside the Basic Multilingual
/// Plane.
pub(super) fn text_in_json(text: &str) -> usize {
    let of_char = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        // Go also escapes HTML's special characters.
        '\0'..='\u{1f}' | '\u{7f}' | '<' | '>' | '&' => 6,
        c if c.is_ascii() => 1,
        c => (6 * c.len_utf16()).max(4),
    };
    text.chars().map(of_char).sum::<usize>().max(bound(text)) + 2
}

/// Returns the bound for JSON that a server may parse and write again, with different white space
/// and indentation, with all non-ASCII characters escaped, and with numbers in their longest form.
/// Some templates show a function twice. The bound also holds for a string that isn't JSON, because
/// every character is counted.
pub(super) fn json_bound(json: &str) -> usize {
    let mut written = 0;
    let mut depth: usize = 0;
    let mut in_text = false;
    let mut escaped = false;
    let mut in_number = false;
    for c in json.chars() {
        let of_char = match c {
            c if !c.is_ascii() => (6 * c.len_utf16()).max(4),
            '\0'..='\u{1f}' | '\u{7f}' | '<' | '>' | '&' => 6,
            _ => 1,
        };
        written += of_char;
        if in_text {
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        let of_number = c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        if of_number && !in_number {
            written += NUMBER;
        }
        in_number = of_number;
        match c {
            '"' => in_text = true,
            '{' | '[' => {
                depth += 1;
                written += 1 + INDENT * depth;
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                written += 1 + INDENT * depth;
            }
            ',' => written += 1 + INDENT * depth,
            ':' => written += 1,
            _ => {}
        }
    }
    written.max(2 * bound(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_bounded_as_python_writes_it() {
        for (json, written) in [
            ("{}", "{}"),
            (r#"{"a":[1,2]}"#, "{\n    \"a\": [\n        1,\n        2\n    ]\n}"),
            ("\"\u{1f600}\"", r#""\ud83d\ude00""#),
            ("[1e15]", "[\n    1000000000000000.0\n]"),
            ("\"\u{e9}\"", r#""\u00e9""#),
        ] {
            assert!(json_bound(json) >= written.len(), "{json}");
        }
        assert!(text_in_json("\u{1f600}\n") >= r#""\ud83d\ude00\n""#.len());
    }
}
