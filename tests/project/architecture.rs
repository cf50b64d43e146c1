//! Checks that there are no circular imports: a module imports only from the modules below it. A
//! module and its submodules may import each other. ARCHITECTURE.md shows the floors of `shared`
//! and of the folders in `site`. Also checks that the search for a route that ARCHITECTURE.md shows
//! finds a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use functions::ROUTES;
use syn::visit::Visit;
use syn::{Ident, ItemMod, ItemUse, UseTree};

/// Returns the floors in the first code block after this heading: one line per floor, the highest
/// first.
fn floors(heading: &str) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let block = section.split("```").nth(1).unwrap();
    let mut floors = BTreeMap::new();
    for (depth, line) in block.lines().skip(1).enumerate() {
        for name in line.split_whitespace() {
            let twice = floors.insert(name.to_owned(), depth);
            assert!(twice.is_none(), "{heading}: {name} is there twice");
        }
    }
    floors
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Panics if the diagram and the files differ, or if a module imports from its own floor or above.
fn hold(heading: &str, imports: &BTreeMap<String, BTreeSet<String>>) {
    let floors = floors(heading);
    let (shown, there): (BTreeSet<_>, BTreeSet<_>) =
        (floors.keys().collect(), imports.keys().collect());
    assert_eq!(shown, there, "{heading} has other files than there are");
    for (from, targets) in imports {
        for to in targets {
            assert!(floors[from] < floors[to], "{from} imports {to}, which isn't on a floor below");
        }
    }
}

/// Collects the files below a folder whose names end with `end`.
fn files_below(folder: &Path, end: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, end, files);
        } else if path.to_str().unwrap().ends_with(end) {
            files.push(path);
        }
    }
}

/// A module's path from the root of its crate.
type ModulePath = Vec<String>;

/// The imports of one file.
#[derive(Default)]
struct Module {
    /// The paths to other modules that the file uses, from the root of the crate.
    named: Vec<ModulePath>,
    /// The names that the file imports or re-exports, with the paths of their origins.
    imported: BTreeMap<String, ModulePath>,
}

/// Reads one file, except its unit tests.
struct Reader<'m> {
    path: &'m ModulePath,
    /// The modules that the file declares.
    children: BTreeSet<String>,
    module: Module,
}

impl Reader<'_> {
    /// Returns a path from the root of the crate. `None` for local names and names in other crates.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let up = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&self.path[..], &path[1..]),
            "super" => (&self.path[..self.path.len().checked_sub(up)?], &path[up..]),
            first if self.children.contains(first) => (&self.path[..], path),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    fn read_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |segment: &Ident| [before, &[segment.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.read_use(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.read_use(item, before));
            }
            UseTree::Name(name) if name.ident == "self" => self.import(before.to_vec(), None),
            UseTree::Name(name) => self.import(with(&name.ident), None),
            UseTree::Rename(renamed) => {
                self.import(with(&renamed.ident), Some(renamed.rename.to_string()));
            }
            UseTree::Glob(_) => self.import(before.to_vec(), None),
        }
    }

    fn import(&mut self, path: Vec<String>, name: Option<String>) {
        if let Some(path) = self.absolute(&path) {
            let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
            self.module.imported.insert(name, path.clone());
            self.module.named.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let is_local = segments.len() < 2;
        self.module.named.extend(self.absolute(&segments).filter(|_| !is_local));
        syn::visit::visit_path(self, path);
    }

    /// Skips inline modules, which only unit tests and macros contain.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}
}

/// Returns the modules of a crate.
fn modules(source: &Path) -> BTreeMap<ModulePath, Module> {
    let mut files = Vec::new();
    files_below(source, ".rs", &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let inner = file.strip_prefix(source).unwrap().with_extension("");
        let mut path: ModulePath =
            inner.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if path.first().is_some_and(|first| first == "bin") {
            continue;
        }
        if path == ["lib"] || path == ["main"] {
            path.clear();
        }
        let code = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
        let declared = code.items.iter().filter_map(|item| match item {
            syn::Item::Mod(declared) => Some(declared.ident.to_string()),
            _ => None,
        });
        let mut reader =
            Reader { path: &path, children: declared.collect(), module: Module::default() };
        reader.visit_file(&code);
        let module = reader.module;
        modules.insert(path, module);
    }
    modules
}

/// Returns the module that defines the item at this path.
fn definition(modules: &BTreeMap<ModulePath, Module>, path: &[String]) -> ModulePath {
    let depth = (0..=path.len()).rev().find(|depth| modules.contains_key(&path[..*depth])).unwrap();
    let (module, rest) = path.split_at(depth);
    let imported = rest.first().and_then(|name| modules[module].imported.get(name));
    match imported {
        Some(from) if from.as_slice() != path => definition(modules, from),
        _ => module.to_vec(),
    }
}

/// Returns the imports between the submodules of each module, based on the files in those
/// submodules.
fn imports(source: &Path) -> BTreeMap<ModulePath, BTreeMap<String, BTreeSet<String>>> {
    let modules = modules(source);
    let mut levels = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
    for (path, module) in &modules {
        for (depth, name) in path.iter().enumerate() {
            levels.entry(path[..depth].to_vec()).or_default().entry(name.clone()).or_default();
        }
        for named in &module.named {
            let target = definition(&modules, named);
            let common = path.iter().zip(&target).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (path.get(common), target.get(common)) {
                let level = levels.entry(path[..common].to_vec()).or_default();
                level.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    levels
}

/// Panics if any of these modules import each other, directly or indirectly.
fn form_no_circle(among: &str, mut imports: BTreeMap<String, BTreeSet<String>>) {
    while !imports.is_empty() {
        let before = imports.len();
        let names: BTreeSet<String> = imports.keys().cloned().collect();
        imports.retain(|_, targets| !targets.is_disjoint(&names));
        assert!(imports.len() < before, "{among}: in a circle, or above one: {names:?}");
    }
}

#[test]
fn modules_have_no_import_circles() {
    for source in ["shared/src", "functions/src", "local/src", "local/emulator/src", "xtask/src"] {
        for (module, imports) in imports(&root().join(source)) {
            form_no_circle(&format!("{source} {}", module.join("::")), imports);
        }
    }
}

#[test]
fn shared_modules_import_only_from_floors_below() {
    let imports = imports(&root().join("shared/src")).remove(&Vec::new()).unwrap();
    assert!(imports["charge"].contains("store") && imports["store"].contains("values"));
    hold("## The floors of `shared`", &imports);
}

#[test]
fn http_and_charge_name_no_other_api() {
    let mut files = vec![root().join("shared/src/charge.rs")];
    files_below(&root().join("shared/src/charge"), ".rs", &mut files);
    files_below(&root().join("shared/src/http"), ".rs", &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let named = ["OpenAI", "OpenAi", "Anthropic", "Codex", "Claude", "Django"];
        let named: Vec<_> = named.into_iter().filter(|name| text.contains(name)).collect();
        assert!(named.is_empty(), "{}: {named:?}", file.display());
    }
}

/// Returns the pages' scripts, keyed by their paths in `site/`, each with the scripts that it
/// imports, statically or dynamically. Libraries, which are `.mjs` files, import nothing.
fn scripts() -> BTreeMap<String, BTreeSet<String>> {
    let site = root().join("site").canonicalize().unwrap();
    let mut files = Vec::new();
    files_below(&site, ".js", &mut files);
    files_below(&site, ".mjs", &mut files);
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
    assert!(scripts["chat/page.js"].contains("account/log-in.js"));
    scripts
}

#[test]
fn page_folders_import_only_from_folders_below() {
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
fn page_scripts_have_no_import_circles() {
    form_no_circle("site", scripts());
}

#[test]
fn header_comments_of_tests_name_every_route() {
    let mut files = Vec::new();
    for folder in ["tests/endpoints", "tests/portable"] {
        files_below(&root().join(folder), ".rs", &mut files);
    }
    let header = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().take_while(|line| line.starts_with("//!")).collect::<String>()
    };
    let headers: String = files.iter().map(header).collect();
    let routes = ROUTES.iter().map(|route| format!("`{} {}`", route.method, route.path));
    let unnamed: Vec<_> = routes.filter(|route| !headers.contains(route.as_str())).collect();
    assert_eq!(unnamed, Vec::<String>::new(), "no test's header comment names these routes");
}
