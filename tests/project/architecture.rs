//! ARCHITECTURE.md has the floors of `shared` and of the folders of `site`, and each imports only
//! from floors below its own.

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

/// The files below a folder whose names end like this.
pub fn files_below(folder: &Path, end: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, end, files);
        } else if path.to_str().unwrap().ends_with(end) {
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
            files_below(&source.join(module), ".rs", &mut files);
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

/// The scripts of the pages by their paths in `site/`, each with those that it imports, at once or
/// later. Libraries import nothing.
fn scripts() -> BTreeMap<String, BTreeSet<String>> {
    let site = root().join("site").canonicalize().unwrap();
    let mut files = Vec::new();
    files_below(&site, ".js", &mut files);
    let inner = |path: &Path| path.strip_prefix(&site).unwrap().to_str().unwrap().to_owned();
    let mut scripts = BTreeMap::<_, BTreeSet<String>>::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let folder = file.parent().unwrap();
        let after = |word| text.split(word).skip(1).filter_map(|rest| rest.split('"').next());
        let named = after("from \".").chain(after("import(\"."));
        let imports = named.map(|name| {
            let path = folder.join(format!(".{name}"));
            inner(&path.canonicalize().unwrap_or_else(|_| panic!("no {}", path.display())))
        });
        scripts.insert(inner(&file), imports.collect());
    }
    assert!(scripts["chat/page.js"].contains("chat/app.js"));
    assert!(scripts["chat/page.js"].contains("account/door.js"));
    scripts
}

#[test]
fn each_folder_of_the_pages_imports_only_from_folders_below_it() {
    let folder = |path: &str| path.split_once('/').expect("a folder").0.to_owned();
    let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
    for (script, targets) in scripts() {
        let own = folder(&script);
        let others = targets.iter().map(|target| folder(target)).filter(|other| *other != own);
        imports.entry(own.clone()).or_default().extend(others);
    }
    hold("## The folders of the pages", &imports);
}

#[test]
fn the_imports_of_the_pages_form_no_circle() {
    let mut left = scripts();
    while !left.is_empty() {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, imports| !imports.is_disjoint(&names));
        assert!(left.len() < before, "in circles, or above them: {names:?}");
    }
}

#[test]
fn the_first_segments_of_paths_are_found() {
    let code = "use crate::a::b; use crate::{c::{self, d}, E, f}; crate::g::h(); use crate::i;";
    let expected = ["a", "c", "E", "f", "g", "i"].map(str::to_owned);
    assert_eq!(of_the_crate(code), BTreeSet::from(expected));
}
