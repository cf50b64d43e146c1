//! ARCHITECTURE.md has the floors of `shared` and of `site`, and each file imports only from floors
//! below its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The text after this heading, within its first code block: a floor a line, the highest first. The
/// modules of a line in parentheses import each other.
fn floors(heading: &str) -> BTreeMap<String, (usize, bool)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let block = section.split("```").nth(1).unwrap();
    let mut floors = BTreeMap::new();
    for (depth, line) in block.lines().skip(1).enumerate() {
        let (names, circle) = match line.trim().strip_prefix('(') {
            Some(names) => (names.trim_end_matches(')'), true),
            None => (line, false),
        };
        for name in names.split_whitespace() {
            let twice = floors.insert(name.to_owned(), (depth, circle));
            assert!(twice.is_none(), "{heading}: {name} is there twice");
        }
    }
    floors
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Fails if the picture and the files differ, or if an import goes up.
fn hold(heading: &str, imports: &BTreeMap<String, BTreeSet<String>>) {
    let floors = floors(heading);
    let (shown, there): (BTreeSet<_>, BTreeSet<_>) =
        (floors.keys().collect(), imports.keys().collect());
    assert_eq!(shown, there, "{heading} has other files than there are");
    for (from, targets) in imports {
        for to in targets {
            let (above, below) = (floors[from], floors[to]);
            let in_circle = above == below && above.1;
            assert!(
                above.0 < below.0 || in_circle,
                "{from} imports {to}, which is no floor below it"
            );
        }
    }
}

/// The code of a file without its comments and unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// All files of Rust below a folder.
pub fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The names that the code reaches through `crate::`, the first segment of each path.
fn of_the_crate(code: &str) -> BTreeSet<String> {
    code.split("crate::").skip(1).flat_map(first_segments).collect()
}

/// The first segment of the path that the code begins with, or of each path of its `{..}`.
fn first_segments(code: &str) -> Vec<String> {
    let first = |path: &str| {
        let end = |c: char| !c.is_alphanumeric() && c != '_';
        path.trim().split(end).next().unwrap().to_owned()
    };
    let Some(group) = code.strip_prefix('{') else { return vec![first(code)] };
    // Without the contents of inner groups: of `c::{self, d}, E` it is `c::, E`.
    let (mut depth, mut outer) = (1, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            _ if depth == 1 => outer.push(c),
            _ => {}
        }
    }
    outer.split(',').map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn each_file_of_shared_imports_only_from_the_floors_below_its_own() {
    let source = root().join("shared/src");
    let lib = code(&source.join("lib.rs"));
    // The names that `lib.rs` re-exports, such as `crate::Error`.
    let mut elsewhere = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let (module, names) =
            line.trim_end_matches(';').trim_start_matches("crate::").split_once("::").unwrap();
        for name in names.trim_matches(['{', '}']).split(", ") {
            elsewhere.insert(name.to_owned(), module.to_owned());
        }
    }
    let modules: BTreeSet<String> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let mut imports = BTreeMap::new();
    for module in &modules {
        let mut files = vec![source.join(format!("{module}.rs"))];
        if source.join(module).is_dir() {
            files_below(&source.join(module), &mut files);
        }
        let named = files.iter().flat_map(|file| of_the_crate(&code(file)));
        let targets = named.map(|name| elsewhere.get(&name).cloned().unwrap_or(name));
        let targets: BTreeSet<String> = targets.filter(|target| target != module).collect();
        assert!(targets.is_subset(&modules), "{module} names {targets:?}");
        imports.insert(module.clone(), targets);
    }
    assert!(imports["store"].contains("error") && imports["charge"].contains("store"));
    hold("## The floors of `shared`", &imports);
}

#[test]
fn each_script_of_the_pages_imports_only_from_the_floors_below_its_own() {
    let mut imports = BTreeMap::new();
    for entry in fs::read_dir(root().join("site")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".js") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let named = text.split("\"./").skip(1).filter_map(|rest| rest.split('"').next());
        let scripts = named.filter(|file| file.ends_with(".js")).map(str::to_owned);
        imports.insert(name, scripts.collect());
    }
    hold("## The floors of the pages", &imports);
}

#[test]
fn the_first_segments_of_paths_are_found() {
    let code = "use crate::a::b; use crate::{c::{self, d}, E, f}; crate::g::h(); use crate::i;";
    let expected = ["a", "c", "E", "f", "g", "i"].map(str::to_owned);
    assert_eq!(of_the_crate(code), BTreeSet::from(expected));
}
