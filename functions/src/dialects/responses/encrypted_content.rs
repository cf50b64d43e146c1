//! The field `encrypted_content` of a reasoning item: the signature of the reasoning, or the
//! reasoning itself in a form that only the provider can read. Clients that store the conversation
//! send the field back unchanged. Some refuse to send back an item without the field, so reasoning
//! with neither has a fixed word in it.

use shared::values::Reasoning;

/// The beginnings of the field. Fields with other beginnings come from other servers.
const SIGNATURE: &str = "farebox.1.signature.";
const ENCRYPTED: &str = "farebox.1.encrypted.";

/// The field of reasoning that the provider has neither signed nor encrypted.
const UNSIGNED: &str = "farebox.1.unsigned";

/// Returns the field for a part of the reasoning.
pub(super) fn of(part: &Reasoning) -> String {
    match (&part.signature, &part.encrypted) {
        (Some(signature), _) => format!("{SIGNATURE}{signature}"),
        (None, Some(encrypted)) => format!("{ENCRYPTED}{encrypted}"),
        (None, None) => UNSIGNED.to_owned(),
    }
}

/// Returns the part with this text and this field. Ignores fields from other servers. `None` if
/// nothing remains.
pub(super) fn read(text: String, field: Option<&str>) -> Option<Reasoning> {
    let after = |beginning: &str| field?.strip_prefix(beginning).map(str::to_owned);
    let part = Reasoning { text, signature: after(SIGNATURE), encrypted: after(ENCRYPTED) };
    Some(part).filter(|part| *part != Reasoning::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_restored_and_unknown_forms_are_ignored() {
        let text = Reasoning { text: "Let me think.".into(), ..Reasoning::default() };
        let signed = Reasoning { signature: Some("s".into()), ..text.clone() };
        let encrypted = Reasoning { encrypted: Some("e".into()), ..Reasoning::default() };
        for part in [&text, &signed, &encrypted] {
            assert_eq!(read(part.text.clone(), Some(&of(part))).as_ref(), Some(part));
        }
        assert_eq!(read("Let me think.".into(), Some("gAAAAABo")), Some(text));
        assert_eq!(
            (read(String::new(), Some("gAAAAABo")), read(String::new(), None)),
            (None, None)
        );
    }
}
