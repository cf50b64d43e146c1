//! What cargo compiles for README's two commands.

use std::collections::BTreeSet;
use std::process::Command;

/// Every package with its features, as cargo compiles it for a command with these arguments.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--offline", "--prefix", "none", "--format", "{p} {f}"];
    let output = Command::new(env!("CARGO")).args(tree).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").trim().to_owned()).collect()
}

#[test]
fn cargo_run_and_cargo_test_share_one_build_of_every_dependency() {
    let run = packages(&["--package", "local", "--edges", "normal,build"]);
    let test = packages(&["--workspace", "--edges", "normal,build,dev"]);
    let twice: Vec<_> = run.difference(&test).collect();
    assert!(
        !run.is_empty() && twice.is_empty(),
        "compiled again for the tests with other features: {twice:?}. `cargo tree --edges features \
         --invert NAME` shows what turns them on; turn them on in local/Cargo.toml too."
    );
}
