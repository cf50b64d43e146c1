//! Lists the files of `site/` for `src/site.rs`, which are built in: a new file needs no line
//! anywhere.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let site = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../site").canonicalize()?;
    println!("cargo:rerun-if-changed={}", site.display());
    let mut files = BTreeMap::new();
    list(&site, &mut files)?;

    // The same for the same files, and another as soon as one of them changes.
    let mut version = DefaultHasher::new();
    let mut listed = String::new();
    for (name, path) in &files {
        (name, fs::read(path)?).hash(&mut version);
        listed += &format!("    ({name:?}, include_str!({path:?})),\n");
    }
    let code = format!(
        "/// What changes whenever a file does.\npub const VERSION: &str = \"{:016x}\";\n\n\
         /// Every file of `site/`, by name.\npub static FILES: &[(&str, &str)] = &[\n{listed}];\n",
        version.finish()
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("site.rs"), code)?;
    Ok(())
}

/// The files of a folder and of those in it, by name alone: their URLs know no folders.
fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
            continue;
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or("a name that is no text")?
            .to_owned();
        if let Some(other) = files.insert(name, path.clone()) {
            return Err(
                format!("{} and {} would have one URL", path.display(), other.display()).into()
            );
        }
    }
    Ok(())
}
