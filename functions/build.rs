//! Generates the list of files in `site/` that `src/pages/site.rs` embeds. New files are picked up
//! automatically.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::{env, fs};

/// Maps each file's path in `site/` to the file's text. The path uses `/` between folders.
type Files = BTreeMap<String, String>;

fn main() -> Result<(), Box<dyn Error>> {
    // Both paths are relative to this package, because several checkouts may share a target folder.
    println!("cargo:rerun-if-changed=../site");
    let mut files = Files::new();
    list(Path::new("../site"), "", &mut files)?;

    // Hash the path and the text of every file, so that the version changes whenever a file does.
    let mut version = DefaultHasher::new();
    let mut listed = String::new();
    for (path, text) in &files {
        (path, text).hash(&mut version);
        let value = if path.ends_with(".html") {
            format!("{:?}", with_preloads(path, text, &files)?)
        } else {
            format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../site/{path}\"))")
        };
        listed += &format!("    ({path:?}, {value}),\n");
    }
    let code = format!(
        "/// A version that changes whenever a file does.\npub const VERSION: &str = \"{:016x}\";\n\n\
         /// Every file of `site/`, by its path there.\npub static FILES: &[(&str, &str)] = &[\n{listed}];\n",
        version.finish()
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("site.rs"), code)?;
    Ok(())
}

/// Adds the files in a folder and its subfolders. `prefix` is the folder's path in `site/`.
fn list(folder: &Path, prefix: &str, files: &mut Files) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or("a name that is no text")?;
        if path.is_dir() {
            list(&path, &format!("{prefix}{name}/"), files)?;
        } else {
            files.insert(format!("{prefix}{name}"), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Replaces a page's `modulepreload` line with one line for each script that the page's script
/// imports, directly or indirectly. Without these lines, a browser would discover an import only
/// after reading the script that contains it.
fn with_preloads(page: &str, text: &str, files: &Files) -> Result<String, Box<dyn Error>> {
    let line = text
        .lines()
        .find(|line| line.contains("rel=\"modulepreload\""))
        .ok_or_else(|| format!("{page} has no line for preloading"))?;
    let (start, rest) = line.split_once("assets/").ok_or("a script outside of assets/")?;
    let (script, end) = rest.split_once('"').ok_or("a quote without an end")?;
    let mut found = Vec::new();
    imports(script, files, &mut found)?;
    let lines: Vec<String> =
        found.iter().map(|path| format!("{start}assets/{path}\"{end}")).collect();
    Ok(text.replacen(line, &lines.join("\n"), 1))
}

/// Adds the scripts that a script imports, directly or indirectly, to `found`.
fn imports(script: &str, files: &Files, found: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let text = files.get(script).ok_or_else(|| format!("there is no {script}"))?;
    let named = text.split(" from \".").skip(1).filter_map(|rest| rest.split('"').next());
    for name in named {
        let path = beside(script, &format!(".{name}"));
        if !found.contains(&path) {
            found.push(path.clone());
            imports(&path, files, found)?;
        }
    }
    Ok(())
}

/// Resolves `name`, a relative import such as `./name` or `../folder/name` in `script`, to a path
/// in `site/`.
fn beside(script: &str, name: &str) -> String {
    let mut path: Vec<&str> = script.split('/').collect();
    path.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.join("/")
}
