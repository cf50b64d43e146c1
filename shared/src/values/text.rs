//! How names and addresses are compared, and which characters are invisible.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// NFKC and case folding, twice: folding may produce characters that normalisation changes again.
pub(crate) fn key(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    let fold = CaseMapper::new();
    let once = nfkc.normalize(&fold.fold_string(&nfkc.normalize(text))).into_owned();
    nfkc.normalize(&fold.fold_string(&once)).into_owned()
}

/// Characters that change the direction of the text around them, so that it reads differently.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text has no visible character.
pub(crate) fn is_blank(text: &str) -> bool {
    let is_format =
        |c: char| CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format;
    text.chars().all(|c| c.is_whitespace() || c == '\u{2800}' || is_invisible(c) || is_format(c))
}

/// Characters that combine with the letter before them.
pub(super) fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Invisible characters, with which one name could be written in many ways.
pub(super) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}
