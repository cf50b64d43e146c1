//! The key form of names and addresses, and the classes of characters that names must not contain.

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

/// Returns true if the character changes the direction of the text around it, so that the text
/// reads differently.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns true if a text has no visible characters.
pub(crate) fn is_blank(text: &str) -> bool {
    let is_format =
        |c: char| CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format;
    text.chars().all(|c| c.is_whitespace() || c == '\u{2800}' || is_invisible(c) || is_format(c))
}

/// Returns true if the character combines with the character before it.
pub(super) fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Returns true if the character is invisible, so that one visible name could be written in many
/// ways.
pub(super) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}
