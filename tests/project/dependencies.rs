//! The packages of the product and its tests, and the packages that cargo compiles for the README's
//! two commands.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use spdx::{Expression, ParseMode};

/// The allowed licences. They require only that copies contain their text.
const LICENCES: [&str; 8] = [
    "Apache-2.0",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Returns the licence of each package, by name and version, as cargo would compile it for Lambda's
/// processors.
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
    let licences = licences();
    assert!(licences.len() > 100, "{licences:?}");
    for (package, licence) in licences {
        let terms = Expression::parse_mode(&licence, ParseMode::LAX).unwrap_or_else(|error| {
            panic!("{package} has the licence {licence:?}, which can't be read: {error}")
        });
        assert!(
            terms.evaluate(|term| LICENCES.contains(&term.to_string().as_str())),
            "{package} has the licence {licence}. If it requires nothing but its text, list it here."
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

/// The known vulnerabilities that the dependencies must not have. This test asks no advisory
/// database: run `cargo audit` or `cargo deny` for that.
#[test]
fn no_dependency_has_a_listed_vulnerability() {
    for package in licences().keys() {
        // The timing of `rsa` leaks the private key (RUSTSEC-2023-0071).
        assert!(!package.starts_with("rsa v"), "{package}");
        // Before 10.3, `jsonwebtoken` treated a time of the wrong type as missing
        // (GHSA-h395-gr6q-cpjc).
        if let Some(version) = package.strip_prefix("jsonwebtoken v") {
            let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
            assert!((numbers.next(), numbers.next()) >= (Some(10), Some(3)), "{package}");
        }
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
