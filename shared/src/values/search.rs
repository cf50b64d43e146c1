//! The words that a search looks for.

use crate::values::text::key;

/// The words of a search. A text matches if it contains all words, in any order, case and Unicode
/// form. Accents matter. Words between double quotes are one phrase.
///
/// ```
/// use shared::values::Search;
///
/// let search = Search::new("interest compound");
/// assert!(search.matches(&["Explain compound interest", ""]));
/// assert!(search.matches(&["What is interest?", "Compound interest is …"]));
/// assert!(!search.matches(&["Explain interest", ""]));
/// assert!(!Search::new("\"interest compound\"").matches(&["compound interest", ""]));
/// assert!(Search::new("cafe\u{301}").matches(&["CAFÉ", ""]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    text: String,
    words: Vec<String>,
}

impl Search {
    /// Reads the words in a text.
    pub fn new(text: &str) -> Self {
        let text = folded(text);
        let parts = text.split('"').enumerate();
        let words: Vec<String> = parts
            .flat_map(|(index, part)| match index.is_multiple_of(2) {
                true => part.split_whitespace().map(str::to_owned).collect(),
                false => vec![part.trim().to_owned()],
            })
            .filter(|word| !word.is_empty())
            .collect();
        let words = if words.is_empty() { vec![text.clone()] } else { words };
        Self { text, words }
    }

    /// Returns the text that was searched for, in the form in which it is compared.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true if each word is in one of the texts.
    pub fn matches(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| folded(text)).collect();
        self.words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

/// Returns the form in which texts are compared. Texts that are copied from file names on macOS or
/// from PDFs may be decomposed (NFD), and Turkish has an i with and without a dot in both cases.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let begin = folded.len();
        if !line.chars().all(|char| push_folded(&mut folded, char)) {
            folded.truncate(begin);
            folded.push_str(&folded_as_a_whole(line));
        }
    }
    folded
}

/// Folds a text with Unicode's algorithms, which take about eight times as long as
/// [`push_folded`].
fn folded_as_a_whole(text: &str) -> String {
    let mut folded = key(text);
    for turkish in ["i\u{307}", "ı"] {
        if folded.contains(turkish) {
            folded = folded.replace(turkish, "i");
        }
    }
    folded
}

/// Adds the folded form of a common character: of the Latin, Greek, Cyrillic, Chinese, Japanese and
/// Korean scripts, and of typographic signs. Returns false for other characters: their form may
/// depend on the characters beside them.
fn push_folded(folded: &mut String, char: char) -> bool {
    let last = match char {
        '\0'..='\x7f' => char.to_ascii_lowercase(),
        // Upper and lower case have one character each.
        'À'..='Þ' | 'à'..='ÿ' | 'Ā'..='į' | 'Ĵ'..='ľ' | 'Ł'..='ň' | 'Ŋ'..='ž' => {
            lower(char)
        }
        'Ơ' | 'ơ' | 'Ư' | 'ư' | 'Ḁ'..='ẕ' | 'Ạ'..='ỿ' => lower(char),
        'Ά' | 'Έ'..='Ί' | 'Ό' | 'Ύ'..='Ρ' | 'Τ'..='ρ' | 'τ'..='ώ' => lower(char),
        'Ѐ'..='џ' => lower(char),
        'Σ' | 'σ' | 'ς' => 'σ',
        'İ' | 'ı' => 'i',
        'ß' => {
            folded.push('s');
            's'
        }
        // Without case.
        '§'
        | '«'
        | '°'
        | '»'
        | '€'
        | '‒'..='―'
        | '‘'..='•'
        | '、'..='〃'
        | '々'
        | '「'..='】'
        | '\u{1f300}'..='\u{1f64f}' => char,
        'ぁ'..='ゖ' | 'ァ'..='ー' | '一'..='鿿' | '가'..='힣' => char,
        '…' => {
            folded.push_str("..");
            '.'
        }
        // The full-width forms of a space and of ASCII's other characters.
        '\u{3000}' => ' ',
        '！'..='～' => {
            let ascii = u32::from(char) - u32::from('！') + u32::from('!');
            char::from_u32(ascii).map_or(char, |ascii| ascii.to_ascii_lowercase())
        }
        _ => return false,
    };
    folded.push(last);
    true
}

fn lower(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_order_and_phrases_as_they_are() {
        let texts = ["Where is the ÖPNV in 5\" pipes?", "In Zürich, at the  main station."];
        for (search, found) in [
            ("öpnv", true),
            ("zürich where", true),
            ("station ÖPNV the", true),
            ("zurich", false),
            ("where bus", false),
            ("\"is the\"", true),
            ("\"the is\"", false),
            ("\"the öpnv\" station", true),
            ("\"main station", true),
            ("\"station main", false),
            ("?", true),
            ("\"", true),
            (" ", true),
        ] {
            assert_eq!(Search::new(search).matches(&texts), found, "{search}");
        }
    }

    #[test]
    fn unicode_forms_of_a_text_find_each_other() {
        for (one, other) in [
            ("Tiếng Việt", "Tie\u{302}\u{301}ng Vie\u{323}\u{302}t"),
            ("한국어", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165}"),
            ("café", "CAFE\u{301}"),
            ("file", "\u{fb01}le"),
            ("fullwidth", "ＦＵＬＬＷＩＤＴＨ"),
            ("テスト", "ﾃｽﾄ"),
            ("istanbul", "İstanbul"),
            ("ılık", "ILIK"),
            ("strasse", "Straße"),
            ("ΟΔΟΣ", "οδος"),
            ("Жара", "ЖАРА"),
        ] {
            for (search, text) in [(one, other), (other, one)] {
                let text = format!("Before, {text} and after.");
                assert!(Search::new(search).matches(&[&text, ""]), "{search} in {text}");
            }
        }
        assert!(!Search::new("cafe").matches(&["café", ""]), "accents matter");
    }

    #[test]
    fn common_characters_are_folded_as_unicode_folds_them() {
        let mut text = String::new();
        for char in '\0'..=char::MAX {
            let mut one = String::new();
            if push_folded(&mut one, char) {
                assert_eq!(one, folded_as_a_whole(&char.to_string()), "{char:?}");
                text.push(char);
            }
        }
        // No neighbours are composed: only marks and jamo compose with the character before them.
        let reversed: String = text.chars().rev().collect();
        for text in [text, reversed] {
            let mut common = String::new();
            assert!(text.chars().all(|char| push_folded(&mut common, char)));
            assert_eq!(common, folded_as_a_whole(&text));
        }
    }
}
