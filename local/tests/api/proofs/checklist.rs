//! The tests that the checklist of `docs/internals/security.md` names exist.

use std::fs;
use std::path::Path;

const CHECKLIST: &str = include_str!("../../../../docs/internals/security.md");

#[test]
fn every_test_that_the_checklist_names_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api");
    let table =
        CHECKLIST.split("\n## ").find(|section| section.starts_with("The checklist")).unwrap();
    let named = table.split('`').filter(|word| word.contains("::") && !word.contains(' '));
    let named: Vec<_> = named.map(|word| word.split_once("::").unwrap()).collect();
    assert!(named.len() > 50, "{named:?}");
    for (file, test) in named {
        let text = ["", "proofs/", "proofs/faults/"]
            .iter()
            .find_map(|under| fs::read_to_string(folder.join(format!("{under}{file}.rs"))).ok());
        let text = text.unwrap_or_else(|| panic!("no file {file}.rs"));
        assert!(text.contains(&format!("fn {test}(")), "{file}.rs has no test {test}");
    }
}
