//! Counts of the model tokens in a prompt, including everything that servers add to it.
//!
//! A tokenizer that works on bytes produces at most one token per byte. Therefore a *bound* counts
//! the bytes of the longest form in which any known server writes a string. Tokenizers make far
//! fewer tokens of ordinary text, so the *high* count follows the [estimate](TokenEstimate) that is
//! at least what the dearest public tokenizer counts. It is never above the bound.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::values::text::bound;
use crate::values::{CountsAs, TokenEstimate};

/// Two counts of the model tokens in a prompt or in a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// At least as many as public tokenizers make of ordinary text.
    pub high: u64,
    /// At least as many as any tokenizer makes that works on bytes.
    pub bound: u64,
}

impl TokenCounts {
    /// Returns the counts of a part. The high count is at most the bound.
    fn new(high: usize, bound: usize) -> Self {
        let count = |tokens: usize| u64::try_from(tokens).unwrap_or(u64::MAX);
        Self { high: count(high.min(bound)), bound: count(bound) }
    }

    /// Returns the counts of a part of which only the bound is known.
    pub fn of_bound(bound: u64) -> Self {
        Self { high: bound, bound }
    }

    /// Returns how many model tokens providers usually count: for most prompts, they count about
    /// four fifths of the high count, and less than that count assumes for templates.
    pub fn usual(self) -> u64 {
        let of_template = u64::try_from(PREAMBLE.0 + OF_TURN.0).unwrap_or(0);
        self.high.saturating_sub(of_template).saturating_mul(4).div_ceil(5).max(1)
    }

    /// Returns these counts this many times.
    #[must_use]
    pub(super) fn times(self, times: usize) -> Self {
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        Self { high: self.high.saturating_mul(times), bound: self.bound.saturating_mul(times) }
    }
}

impl Add for TokenCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            high: self.high.saturating_add(other.high),
            bound: self.bound.saturating_add(other.bound),
        }
    }
}

impl AddAssign for TokenCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for TokenCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// What servers add to a prompt, as the high count and the bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added(usize, usize);

impl Added {
    pub(super) fn counts(self) -> TokenCounts {
        TokenCounts::new(self.0, self.1)
    }
}

/// What servers add to every prompt. These are template preambles: gpt-oss's has about 70 model
/// tokens.
pub(super) const PREAMBLE: Added = Added(96, 480);

/// What servers add to a prompt with functions: the instructions about functions that providers give
/// their models. Anthropic's are the longest: 530 model tokens for Claude 3 Opus
/// ([pricing](https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing)). A
/// bound always includes them, because a server may write a format of the answer as a function.
pub(super) const OF_TOOLS: Added = Added(544, 544);

/// What a template adds to a turn, for its role and for the markers of its beginning and end.
pub(super) const OF_TURN: Added = Added(8, 16);

/// What is added around the name and description of a function or schema.
pub(super) const OF_TOOL: Added = Added(40, 160);

/// What is added around an example of a function's arguments. Anthropic counts 20 to 50 for a simple
/// example
/// ([examples](https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use)).
pub(super) const OF_EXAMPLE: Added = Added(50, 64);

/// What separates a text from the text before it.
pub(super) const OF_PART: Added = Added(1, 1);

/// Returns the bound of what a template adds to a turn.
pub fn turn_bound() -> u64 {
    OF_TURN.counts().bound
}

/// The tokenizer of a model, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokenizer(pub(super) CountsAs);

impl Tokenizer {
    /// Counts text.
    pub(super) fn text(self, text: &str) -> TokenCounts {
        TokenCounts::new(self.0.text.times(TokenEstimate::high_of(text)), bound(text))
    }

    /// Counts text that a server may write as a JSON string.
    pub(super) fn text_in_json(self, text: &str) -> TokenCounts {
        TokenCounts::new(self.0.text.times(TokenEstimate::high_of(text)) + 2, text_in_json(text))
    }

    /// Counts the name or the description of a function, which some templates show twice.
    pub(super) fn described(self, text: &str) -> TokenCounts {
        let high = self.0.functions.times(TokenEstimate::high_of(text)) + 2;
        TokenCounts::new(high, 2 * text_in_json(text))
    }

    /// Counts the JSON of a schema, which a server may parse and write again.
    pub(super) fn json(self, json: &str) -> TokenCounts {
        TokenCounts::new(self.0.functions.times(TokenEstimate::high_of(json)), json_bound(json))
    }

    /// Counts the arguments of a call, which may be anything but JSON.
    pub(super) fn arguments(self, arguments: &str) -> TokenCounts {
        let high = self.0.functions.times(TokenEstimate::high_of(arguments)) + 2;
        TokenCounts::new(high, json_bound(arguments).max(text_in_json(arguments)))
    }
}

/// How many bytes of indentation servers add for each JSON level. Llama's template uses four
/// spaces.
const INDENT: usize = 4;

/// The longest form of a number in JSON, in bytes: Python writes `1e15` as `1000000000000000.0`.
const NUMBER: usize = 26;

/// Returns the bound for text that a server writes as a JSON string. By default, Python escapes all
/// non-ASCII characters, and needs twelve bytes for a character outside the Basic Multilingual
/// Plane.
fn text_in_json(text: &str) -> usize {
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
fn json_bound(json: &str) -> usize {
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
