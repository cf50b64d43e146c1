//! Checks recorded files. A recorded file describes the product's behaviour in a form that people
//! can review.

use std::path::{Path, PathBuf};

/// Returns the content of a file in the repository.
pub fn recorded(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap()
}

/// Asserts that a file in the repository contains exactly this content. With `RECORD=1` in the
/// environment, first writes the content to the file.
pub fn assert_recorded(path: &str, text: &str) {
    if std::env::var_os("RECORD").is_some() {
        std::fs::write(in_repository(path), text).unwrap();
    }
    let recorded = recorded(path);
    let changed: Vec<_> =
        text.lines().filter(|line| !recorded.lines().any(|other| other == *line)).collect();
    assert!(
        text == recorded,
        "{path} is outdated. Run this test with RECORD=1, and review the difference:\n{}",
        changed.join("\n")
    );
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
