//! The field `encrypted_content` of a reasoning item: the signature of the reasoning, or the
//! reasoning itself in a form that only the provider can read. Clients that store the conversation
//! send the field back unchanged.

use shared::values::Reasoning;

/// The beginnings of the field. Fields with other beginnings come from other servers.
const SIGNATURE: &str = "farebox.1.signature.";
const ENCRYPTED: &str = "farebox.1.encrypted.";

/// Returns the field for a part of the reasoning. `None` if the provider has neither signed nor
/// encrypted the part.
pub(super) fn of(part: &Reasoning) -> Option<String> {
    let signature = part.signature.as_ref().map(|text| format!("{SIGNATURE}{text}"));
    signature.or_else(|| part.encrypted.as_ref().map(|text| format!("{ENCRYPTED}{text}")))
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
            assert_eq!(read(part.text.clone(), of(part).as_deref()).as_ref(), Some(part));
        }
        assert_eq!(read("Let me think.".into(), Some("gAAAAABo")), Some(text));
        assert_eq!(
            (read(String::new(), Some("gAAAAABo")), read(String::new(), None)),
            (None, None)
        );
    }
}
