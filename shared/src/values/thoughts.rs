//! Thoughts: the reasoning that some models write into the text of their answer, between two marks,
//! because their server doesn't recognize it. Clients get the text as it is. Whatever shows or uses
//! only the answer leaves the thoughts out.

/// The marks around thoughts: those of DeepSeek and Qwen, of other models and gateways, of Mistral,
/// of Kimi, of Seed, and of gpt-oss, with its special tokens and without them. The pages have the
/// same list.
pub const MARKS: [(&str, &str); 9] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("analysis", "assistantfinal"),
];

/// Returns true if answers may contain the mark by chance. Both marks must then occur.
fn is_word(mark: &str) -> bool {
    mark.starts_with(|c: char| c.is_alphabetic())
}

/// Returns an answer's text without the model's thoughts.
///
/// Thoughts stand at the beginning, once or several times, or at the end. The thoughts of an answer
/// that was cut off lack their second mark. Many servers write the first mark themselves, so it may
/// be missing if the second one begins a line. Marks elsewhere are a part of the answer.
///
/// ```
/// use shared::values::without_thoughts;
///
/// assert_eq!(without_thoughts("<think>They ask.</think>\n\nHello."), "Hello.");
/// assert_eq!(without_thoughts("They ask.\n</think>\nHello."), "Hello.");
/// assert_eq!(without_thoughts("Write <think>x</think>."), "Write <think>x</think>.");
/// ```
pub fn without_thoughts(text: &str) -> &str {
    let mut rest = text;
    while let Some(after) = after_thoughts(rest).or_else(|| after_lone_mark(rest)) {
        rest = after;
    }
    before_last_thoughts(rest).unwrap_or(rest)
}

/// Returns the text after the thoughts at its beginning. `None` if it doesn't begin with thoughts.
fn after_thoughts(text: &str) -> Option<&str> {
    let begun = text.trim_start();
    MARKS.iter().find_map(|(begins, ends)| match find_mark(strip_mark(begun, begins)?, ends) {
        Some((_, after)) => Some(after.trim_start()),
        None => (!is_word(begins)).then_some(""),
    })
}

/// Returns the text after a line that begins with a second mark, if no first mark precedes it.
fn after_lone_mark(text: &str) -> Option<&str> {
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let begun = line.trim_start();
        let mut marks = MARKS.iter().filter(|(_, ends)| !is_word(ends));
        if let Some(after) = marks.find_map(|(_, ends)| strip_mark(begun, ends)) {
            let before = text.get(..place)?;
            // A first mark may have attributes.
            let has_begun = |(begins, _): &(&str, &str)| {
                let stem = begins.trim_end_matches(['>', ']', '▷', '|']);
                !is_word(begins) && find_mark(before, stem).is_some()
            };
            let is_answer = MARKS.iter().any(has_begun) || !is_outside_code(before);
            let after = place + line.len() - after.len();
            return text.get(after..).map(str::trim_start).filter(|_| !is_answer);
        }
        place += line.len();
    }
    None
}

/// Returns the text before the thoughts at its end. `None` if it doesn't end with thoughts.
fn before_last_thoughts(text: &str) -> Option<&str> {
    let end = text.trim_end();
    let (begins, _) = MARKS.into_iter().find(|(_, ends)| {
        let start = end.len().checked_sub(ends.len());
        start.and_then(|start| end.get(start..)).is_some_and(|last| last.eq_ignore_ascii_case(ends))
    })?;
    let mut place = 0;
    let mut before = None;
    for line in end.split_inclusive('\n') {
        if strip_mark(line, begins).is_some() {
            before = end.get(..place);
        }
        place += line.len();
    }
    before.filter(|before| is_outside_code(before)).map(str::trim_end)
}

/// Returns true if the end of this text isn't in a code block. Fences begin lines.
fn is_outside_code(before: &str) -> bool {
    let is_fence = |line: &&str| line.trim_start().starts_with("```");
    before.lines().filter(is_fence).count().is_multiple_of(2)
}

/// Returns the text after a mark in any case. `None` if the text doesn't begin with the mark.
fn strip_mark<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (begin, rest) = text.split_at_checked(mark.len())?;
    begin.eq_ignore_ascii_case(mark).then_some(rest)
}

/// Returns the texts before and after the first occurrence of a mark in any case.
fn find_mark<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    let first = mark.chars().next()?;
    let is_first = |c: char| c.eq_ignore_ascii_case(&first);
    text.match_indices(is_first).find_map(|(place, _)| {
        let (before, begun) = text.split_at(place);
        Some((before, strip_mark(begun, mark)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_left_out_in_every_form() {
        for (text, answer) in [
            ("Rice.", "Rice."),
            (" Rice.", " Rice."),
            ("<think>Hm.</think>\n\nRice.", "Rice."),
            ("\n<think>\nHm.\n</think>Rice.", "Rice."),
            ("<think>Hm.</think><think>So.</think>Rice.", "Rice."),
            ("<THINK>Hm.</Think>Rice.", "Rice."),
            ("<thinking>Hm.</thinking>Rice.", "Rice."),
            ("<thought>Hm.</thought>Rice.", "Rice."),
            ("<reasoning>\nHm.\n</reasoning>\nRice.", "Rice."),
            ("[THINK]Hm.[/THINK]Rice.", "Rice."),
            ("◁think▷Hm.◁/think▷Rice.", "Rice."),
            (
                "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Rice.",
                "Rice.",
            ),
            ("analysisHm.assistantfinalRice.", "Rice."),
            ("Hm.\n</think>\n\nRice.", "Rice."),
            ("Hm.\n[/think] Rice.", "Rice."),
            ("<think>Hm", ""),
            ("<think></think>", ""),
            ("Rice.\n\n<think>Was it right?</think>\n", "Rice."),
            ("<think>Hm.</think>Rice.\n<think>Right?</think>", "Rice."),
            // Marks that are a part of the answer.
            ("Write <think>x</think>.", "Write <think>x</think>."),
            ("<think></think>Close with </think>.", "Close with </think>."),
            ("Close with </think>.", "Close with </think>."),
            (
                "For example:\n<think>\nx\n</think>\nDone.",
                "For example:\n<think>\nx\n</think>\nDone.",
            ),
            ("```\n<think>\nx\n</think>\n```", "```\n<think>\nx\n</think>\n```"),
            (
                "```\n<reasoning a=\"b\">\n</reasoning>\n```",
                "```\n<reasoning a=\"b\">\n</reasoning>\n```",
            ),
            ("Emit:\n```\n</think>\n```\nDone.", "Emit:\n```\n</think>\n```\nDone."),
            ("analysis of rice", "analysis of rice"),
            ("<thinkers>", "<thinkers>"),
        ] {
            assert_eq!(without_thoughts(text), answer, "{text}");
            assert_eq!(without_thoughts(answer), answer, "nothing more is left out");
        }
    }
}
