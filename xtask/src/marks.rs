//! Generates the marks around thoughts in the pages' script.

use shared::values::thoughts::MARKS;

use crate::Failure;
use crate::files::Files;

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    let mark = |(begins, ends): &(&str, &str)| format!("  [{begins:?}, {ends:?}],\n");
    let marks: String = MARKS.iter().map(mark).collect();
    files.put_part("site/markdown/thoughts.js", "marks", &format!("const MARKS = [\n{marks}];\n"))
}
