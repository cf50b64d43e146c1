//! The packages of the product and its tests, and the packages that cargo compiles for the README's
//! two commands. `cargo deny` also checks for known vulnerabilities, because it can download a list
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use spdx::{Expression, ParseMode};

const RULES: &str = include_str!("../../deny.toml");

/// Returns the licences that `deny.toml` allows.
fn allowed() -> Vec<&'static str> {
    let list = RULES.lines().find_map(|line| line.strip_prefix("allow = [")).unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

/// Returns the licence of each package that cargo would compile for Lambda's processors. The keys
/// are the packages' names and versions.
fn licences() -> BTreeMap<String, String> {
    let of_target = |target| {
        let tree = ["tree", "--workspace", "--all-features", "--offline", "--locked"];
        let lines = ["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}", "--target", target];
        let output = Command::new(env!("CARGO")).args(tree).args(lines).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"].map(of_target).concat();
    let licences = lines.lines().filter_map(|line| line.split_once('|'));
    licences.map(|(package, licence)| (package.to_owned(), licence.to_owned())).collect()
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    let (licences, allowed) = (licences(), allowed());
    assert!(licences.len() > 100 && allowed.contains(&"MIT"), "{licences:?} {allowed:?}");
    for (package, licence) in licences {
        let terms = Expression::parse_mode(&licence, ParseMode::LAX).unwrap_or_else(|error| {
            panic!("{package} has the licence {licence:?}, which can't be read: {error}")
        });
        assert!(
            terms.evaluate(|term| allowed.contains(&term.to_string().as_str())),
            "{package} has the licence {licence}. If it requires nothing but its text, list it in deny.toml."
        );
    }
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let lock =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let sources: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(sources.len() > 100);
    for source in sources {
        assert_eq!(source, "\"registry+https://github.com/rust-lang/crates.io-index\"");
    }
}

/// Returns each package with its features, as cargo compiles it for a command with these arguments.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--offline", "--prefix", "none", "--format", "{p} {f}"];
    let output = Command::new(env!("CARGO")).args(tree).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").trim().to_owned()).collect()
}

#[test]
fn cargo_run_and_cargo_test_share_dependency_builds() {
    let run = packages(&["--package", "local", "--edges", "normal,build"]);
    let test = packages(&["--workspace", "--edges", "normal,build,dev"]);
    let twice: Vec<_> = run.difference(&test).collect();
    assert!(
        !run.is_empty() && twice.is_empty(),
        "compiled again for the tests with other features: {twice:?}. `cargo tree --edges features \
         --invert NAME` shows what turns them on; turn them on in local/Cargo.toml too."
    );
}
