//! The generated files, and the generated parts of handwritten files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// The expected content of each generated file.
pub struct Files {
    root: PathBuf,
    wanted: BTreeMap<String, String>,
    obsolete: BTreeSet<String>,
}

impl Files {
    pub fn new(root: PathBuf) -> Self {
        Self { root, wanted: BTreeMap::new(), obsolete: BTreeSet::new() }
    }

    /// Returns the content of a file, including earlier changes in this run.
    pub fn read(&self, path: &str) -> Result<String, Failure> {
        match self.wanted.get(path) {
            Some(text) => Ok(text.clone()),
            None => fs::read_to_string(self.root.join(path))
                .map_err(|error| format!("{path}: {error}").into()),
        }
    }

    /// Generates a whole file.
    pub fn put(&mut self, path: &str, text: String) {
        self.wanted.insert(path.to_owned(), text);
    }

    /// Generates a part of a file: the lines between the line with `generated: NAME` and the line
    /// with `end of generated`. Both lines are comments.
    pub fn put_part(&mut self, path: &str, name: &str, lines: &str) -> Result<(), Failure> {
        let text = self.read(path)?;
        let missing = || format!("{path} has no lines `generated: {name}` and `end of generated`");
        let ends = ["\n", " -->\n"];
        let mark = ends.iter().find_map(|end| text.find(&format!("generated: {name}{end}")));
        let mark = mark.ok_or_else(missing)?;
        let begin = mark + text.get(mark..).and_then(|rest| rest.find('\n')).ok_or_else(missing)?;
        let rest = text.get(begin + 1..).ok_or_else(missing)?;
        let length = rest.find("end of generated").ok_or_else(missing)?;
        let end = rest.get(..length).and_then(|part| part.rfind('\n')).map_or(0, |line| line + 1);
        let (before, after) = (text.get(..=begin), rest.get(end..));
        let (before, after) = before.zip(after).ok_or_else(missing)?;
        let text = format!("{before}{lines}{after}");
        self.put(path, text);
        Ok(())
    }

    /// Deletes all files in a folder that weren't generated.
    pub fn delete_unlisted(&mut self, folder: &str) -> Result<(), Failure> {
        for entry in fs::read_dir(self.root.join(folder))? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if !self.wanted.contains_key(&path) {
                self.obsolete.insert(path);
            }
        }
        Ok(())
    }

    /// # Errors
    /// Fails with the names of the files that would change.
    pub fn check(&self) -> Result<(), Failure> {
        let differs = |path: &Path, text: &str| {
            fs::read_to_string(self.root.join(path)).map_or(true, |current| current != text)
        };
        let changed = self.wanted.iter().filter(|(path, text)| differs(Path::new(path), text));
        let names: Vec<_> = changed
            .map(|(path, _)| path.as_str())
            .chain(self.obsolete.iter().map(String::as_str))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = names.join("\n  ");
        Err(format!("`cargo xtask generate` would change\n  {names}").into())
    }

    pub fn write(&self) -> Result<(), Failure> {
        for (path, text) in &self.wanted {
            let file = self.root.join(path);
            // Don't touch unchanged files: Cargo would recompile them because of their new
            // modification times.
            if fs::read_to_string(&file).is_ok_and(|current| current == *text) {
                continue;
            }
            fs::write(&file, text).map_err(|error| format!("{path}: {error}"))?;
            println!("wrote {path}");
        }
        for path in &self.obsolete {
            fs::remove_file(self.root.join(path))?;
            println!("deleted {path}");
        }
        Ok(())
    }
}
