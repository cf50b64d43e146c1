//! The words that a search looks for.

/// The words of a search, in lower case. A text matches if it contains all words, in any order and
/// case. Words between double quotes are one phrase.
///
/// ```
/// use shared::values::Search;
///
/// let search = Search::new("interest compound");
/// assert!(search.matches(&["Explain compound interest", ""]));
/// assert!(search.matches(&["What is interest?", "Compound interest is …"]));
/// assert!(!search.matches(&["Explain interest", ""]));
/// assert!(!Search::new("\"interest compound\"").matches(&["compound interest", ""]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    text: String,
    words: Vec<String>,
}

impl Search {
    /// Reads the words in a text.
    pub fn new(text: &str) -> Self {
        let text = text.to_lowercase();
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

    /// Returns the text that was searched for, in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true if each word is in one of the texts.
    pub fn matches(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        self.words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
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
}
