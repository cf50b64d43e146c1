//! The key form of names and addresses, and classes of characters that names must not contain.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Returns the key form of a name or address. NFKC and case folding are applied twice, because
/// folding may produce characters that normalisation changes again.
pub(crate) fn key(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    let fold = CaseMapper::new();
    let once = nfkc.normalize(&fold.fold_string(&nfkc.normalize(text))).into_owned();
    nfkc.normalize(&fold.fold_string(&once)).into_owned()
}

/// Returns an upper bound on the number of model tokens in a string: the number of bytes in the
/// string or in its NFC or NFKC form, whichever is greatest. Tokenizers that work on bytes produce
/// at most one token for each byte. Qwen's tokenizer normalises the string to NFC first, and
/// [Claude 2's](https://www.npmjs.com/package/@anthropic-ai/tokenizer) to NFKC, in which `U+FDFA`
/// grows from 3 bytes to 33. Some models' tokenizers are secret, so a charge must never depend on
/// this bound alone.
pub fn bound(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let nfc = ComposingNormalizer::new_nfc().normalize(text).len();
    let nfkc = ComposingNormalizer::new_nfkc().normalize(text).len();
    text.len().max(nfc).max(nfkc)
}

/// Returns `text` without the byte order mark that some editors write at the start of a file. JSON
/// texts must not contain the mark, but parsers may ignore it ([RFC
/// 8259](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)).
pub(crate) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Converts line breaks to line feeds and trims white space around the string. `None` if it
/// contains control characters other than tabs and line breaks.
pub(super) fn lines(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
    (!text.chars().any(is_control)).then(|| text.trim().to_owned())
}

/// Returns true if the character changes the direction of the surrounding text, which can make the
/// text read differently.
pub fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns true if a string contains no visible characters.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\u{2800}' || is_unseen(c))
}

/// Returns true if the character is invisible, or only formats the characters around it.
pub(super) fn is_unseen(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    is_invisible(c) || category == GeneralCategory::Format
}

/// Returns true if the character combines with the character before it.
pub(super) fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Returns true if the character is invisible. With such characters, names that look the same could
/// be written in many ways.
pub(super) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

#[cfg(test)]
mod tests {
    use super::{bound, lines};

    #[test]
    fn texts_of_several_lines_have_no_other_control_characters() {
        assert_eq!(lines(" a\r\n\tb\rc \n").as_deref(), Some("a\n\tb\nc"));
        assert_eq!(lines(" \n").as_deref(), Some(""));
        for wrong in ["a\0b", "a\u{1b}b", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(lines(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn bounds_are_the_longest_form_in_bytes() {
        for (text, most) in [
            ("", 0),
            ("Hello!", 6),
            ("é", 2),
            // NFC splits the musical note into three characters, and NFKC spells out the Arabic
            // phrase.
            ("\u{1d160}", 12),
            ("\u{fdfa}", 33),
            ("e\u{301}", 3),
        ] {
            assert_eq!(bound(text), most, "{text:?}");
        }
    }
}
