//! Text files in messages.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::values::Invalid;
use crate::values::data_url::data_url;

/// The maximum length of a file's name, in characters.
const NAME_LENGTH: usize = 255;

/// A text file in a message. It becomes a part of the message's text, after a line with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    name: Option<String>,
    text: String,
}

impl TextFile {
    /// Parses a file's name and its `data` URL.
    ///
    /// # Errors
    /// Fails unless the URL contains UTF-8 text in Base64, with a text type or `application/json`,
    /// and the name is a line of at most 255 characters.
    pub fn parse(name: Option<String>, url: &str) -> Result<Self, Invalid> {
        let is_line = |name: &String| {
            name.chars().count() <= NAME_LENGTH && !name.chars().any(char::is_control)
        };
        if !name.iter().all(is_line) {
            return Err(no_name());
        }
        let (kind, data) = data_url(url).ok_or(NO_TEXT)?;
        if !kind.starts_with("text/") && kind != "application/json" {
            return Err(NO_TEXT.into());
        }
        let bytes = BASE64_STANDARD.decode(data).map_err(|_| NO_DATA)?;
        let text = String::from_utf8(bytes).map_err(|_| NO_DATA)?;
        Ok(Self { name: name.filter(|name| !name.is_empty()), text })
    }
}

fn no_name() -> Invalid {
    format!("The name of a file must be one line of at most {NAME_LENGTH} characters.").into()
}

const NO_TEXT: &str = "Only text files are supported: a data URL (data:text/plain;base64,..) of a \
    text type or application/json. Send other files, such as PDFs, as their text.";

const NO_DATA: &str = "The data of this file isn't UTF-8 text in Base64 with padding.";

/// Writes the text for the model.
impl fmt::Display for TextFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}:\n{}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_files_become_text_after_their_name() {
        for (name, url, text) in [
            (Some("a.txt"), "data:text/plain;base64,aGVsbG8=", "a.txt:\nhello"),
            (Some("a.json"), "data:application/json;base64,e30=", "a.json:\n{}"),
            (Some(""), "data:text/x-rust;charset=utf-8;base64,w6k=", "é"),
            (None, "data:text/csv;base64,", ""),
            (None, "DATA:Text/Plain; charset=UTF-8 ;BASE64,aGVsbG8=", "hello"),
            (None, "data:text/plain;name=\"a,b\";base64,aGVsbG8=", "hello"),
        ] {
            let file = TextFile::parse(name.map(str::to_owned), url).unwrap();
            assert_eq!(file.to_string(), text);
        }
    }

    #[test]
    fn other_files_and_broken_data_are_refused() {
        let refused = |name: &str, url: &str| {
            TextFile::parse(Some(name.into()), url).unwrap_err().sentence().to_owned()
        };
        for url in [
            "",
            "aGVsbG8=",
            "https://example.com/a.txt",
            "data:text/plain,hello",
            "data:application/pdf;base64,aGVsbG8=",
            "data:image/png;base64,aGVsbG8=",
            "data:;base64,aGVsbG8=",
        ] {
            assert_eq!(refused("a", url), NO_TEXT, "{url}");
        }
        for data in ["hello!", "aGVsbG8", "/w=="] {
            let url = format!("data:text/plain;base64,{data}");
            assert_eq!(refused("a", &url), NO_DATA, "{data}");
        }
        for name in ["a\nb", "a\0", &"é".repeat(256)] {
            let sentence = refused(name, "data:text/plain;base64,aGVsbG8=");
            assert_eq!(sentence, "The name of a file must be one line of at most 255 characters.");
        }
    }
}
