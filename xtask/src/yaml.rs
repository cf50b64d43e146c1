//! Writes YAML as people write it in `template.yaml`.

/// The longest line.
const WIDTH: usize = 100;

/// Returns a text as a scalar, in quotes if YAML would read it otherwise.
pub fn scalar(text: &str) -> String {
    let begins = |characters: &str| text.starts_with(|first| characters.contains(first));
    let is_word = ["on", "off", "yes", "no", "true", "false", "null", "~", "y", "n"]
        .contains(&text.to_lowercase().as_str());
    let is_number = text.parse::<f64>().is_ok() || begins("0123456789") && !text.contains(' ');
    let is_plain = !text.is_empty()
        && !is_word
        && !is_number
        && !begins("-?:,[]{}#&*!|>'\"%@`+=.")
        && !text.ends_with([' ', ':'])
        && !text.starts_with(' ')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(char::is_control);
    if is_plain {
        return text.to_owned();
    }
    match text.contains('\\') || text.contains('"') {
        true => format!("'{}'", text.replace('\'', "''")),
        false => format!("\"{text}\""),
    }
}

/// Returns a list of texts on one line.
pub fn list(texts: &[&str]) -> String {
    let texts: Vec<String> = texts
        .iter()
        .map(|text| match text.contains([',', '[', ']', '{', '}']) {
            true => format!("\"{text}\""),
            false => scalar(text),
        })
        .collect();
    format!("[{}]", texts.join(", "))
}

/// Returns a text behind `key`, which is folded onto further lines if it is long.
pub fn folded(text: &str, key: &str, indent: usize) -> String {
    let plain = scalar(text);
    if key.len() + plain.len() <= WIDTH {
        return plain;
    }
    let mut lines = vec![">-".to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if lines_fit(line, word) => *line += &format!(" {word}"),
            _ => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
    }
    lines.join("\n")
}

fn lines_fit(line: &str, word: &str) -> bool {
    line != ">-" && line.len() + 1 + word.len() <= WIDTH
}
