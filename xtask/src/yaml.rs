//! Writes YAML in the style of the handwritten parts of `template.yaml`.

/// The maximum length of a line.
const WIDTH: usize = 100;

/// Returns a string as a scalar. Adds quotes if YAML would interpret the plain string differently.
pub fn scalar(text: &str) -> String {
    let begins = |characters: &str| text.starts_with(|first| characters.contains(first));
    let is_word = ["on", "off", "yes", "no", "true", "false", "null", "y", "n"]
        .contains(&text.to_lowercase().as_str());
    let is_plain = !text.is_empty()
        && !is_word
        && !begins("-?:,[]{}#&*!|>'\"%@`+=.~0123456789 ")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(char::is_control);
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// Returns a string in quotes. Strings in single quotes don't need escapes, but can't contain
/// control characters.
fn quoted(text: &str) -> String {
    match text.contains(char::is_control) {
        // JSON is YAML.
        true => serde_json::Value::from(text).to_string(),
        false if text.contains(['\\', '"']) => format!("'{}'", text.replace('\'', "''")),
        false => format!("\"{text}\""),
    }
}

/// Returns a list of strings on one line.
pub fn list(texts: &[&str]) -> String {
    let item = |text: &&str| match text.contains([',', '[', ']', '{', '}']) {
        true => quoted(text),
        false => scalar(text),
    };
    let texts: Vec<String> = texts.iter().map(item).collect();
    format!("[{}]", texts.join(", "))
}

/// Returns a string of several words after `key`. A long string is folded over several lines.
pub fn folded(text: &str, key: &str, indent: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = scalar(&words.join(" "));
    if key.len() + plain.len() <= WIDTH {
        return plain;
    }
    let margin = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => *line += &format!(" {word}"),
            _ => lines.push(format!("{margin}{word}")),
        }
    }
    format!(">-\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_norway::{Value, from_str};

    use super::{folded, list, scalar};

    const TEXTS: [&str; 12] = [
        "plain words",
        "",
        "on",
        "0123",
        "a: b # c",
        "it's \"quoted\"",
        r"[ -~\n]*|'",
        "a line\nand a tab\t",
        "[a, b]",
        "~",
        "arn:aws:x",
        " spaces ",
    ];

    #[test]
    fn yaml_reads_each_text_as_it_was() {
        for text in TEXTS {
            let read: Value = from_str(&format!("key: {}", scalar(text))).unwrap();
            assert_eq!(read["key"], text);
        }
        let read: Value = from_str(&format!("key: {}", list(&TEXTS))).unwrap();
        assert_eq!(read["key"], Value::from(TEXTS.map(Value::from).to_vec()));
    }

    #[test]
    fn long_texts_are_folded_at_spaces() {
        let text = ["a word"; 40].join(" ");
        let folded = format!("key: {}\n", folded(&text, "key: ", 2));
        assert!(folded.lines().all(|line| line.len() <= 100), "{folded}");
        let read: Value = from_str(&folded).unwrap();
        assert_eq!(read["key"], text);
    }
}
