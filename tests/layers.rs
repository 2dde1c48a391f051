//! Which room may use which, enforced: the sources are parsed and every path, re-export, attribute
//! and macro is held against the table in `layers/rules.rs`.
//!
//! What it cannot see: what a called function does, and which methods of an allowed room are
//! called (that `drift` only reads the mirror is for the mirror's types to ensure).

#![expect(unreachable_pub, reason = "nothing in a test crate is reachable")]

#[path = "layers/names.rs"]
mod names;
#[path = "layers/planted.rs"]
mod planted;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/walk.rs"]
mod walk;

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use walk::Reached;

/// Files are near 500 lines; over this they are split by meaning.
const MOST_LINES: usize = 800;

const MOST_LINES_OF_MAIN: usize = 40;

/// Raise it when a new dependency is worth its weight; it is here so that nobody adds one unawares.
const MOST_PACKAGES: usize = 480;

/// A dependency under another name could hide from the table.
const RENAMED_DEPENDENCIES: [&str; 1] = ["serde_yaml"];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates of the package, by their root files, as `Cargo.toml` lists them.
fn roots() -> Vec<PathBuf> {
    let manifest = read_to_string(package().join("Cargo.toml")).expect("Cargo.toml is there");
    assert!(
        manifest.contains("autotests = false"),
        "targets must be listed for this test to find them"
    );
    let paths = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    paths.map(|path| package().join(path)).collect()
}

fn reached() -> Reached {
    let mut reached = Reached::new();
    for root in roots() {
        walk::crate_files(&root, &mut reached).expect("every module has a file that parses");
    }
    reached
}

fn all_files() -> Vec<PathBuf> {
    let folders = ["src", "tests"].map(|folder| walk::rust_files(&package().join(folder)));
    folders.concat()
}

#[test]
fn rooms_keep_to_the_table() {
    let src = package().join("src");
    let mut violations = Vec::new();
    let mut checked = 0;
    for (path, test_only) in reached() {
        let Ok(file) = path.strip_prefix(&src) else {
            continue;
        };
        if test_only {
            continue;
        }
        let source = read_to_string(&path).expect("it was read before");
        let file = file.to_str().expect("our file names are ASCII");
        violations.extend(rules::check(file, &source));
        checked += 1;
    }
    assert!(checked > 2, "the walk found only {checked} files");
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn lib_is_a_map() {
    let source = read_to_string(package().join("src/lib.rs")).expect("src/lib.rs is there");
    let lines: Vec<String> = rules::check_map(&source)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// A file that no target declares is never compiled, and its tests never run.
#[test]
fn no_file_is_forgotten() {
    let reached = reached();
    let all = all_files();
    let forgotten: Vec<&PathBuf> = all
        .iter()
        .filter(|path| !reached.contains_key(*path))
        .collect();
    assert!(forgotten.is_empty(), "no target reaches {forgotten:?}");
}

#[test]
fn files_are_of_readable_length() {
    for path in all_files() {
        let lines = read_to_string(&path)
            .expect("it was listed")
            .lines()
            .count();
        let most = match path.strip_prefix(package()) {
            Ok(path) if path == Path::new("src/main.rs") => MOST_LINES_OF_MAIN,
            _ => MOST_LINES,
        };
        assert!(
            lines <= most,
            "{} has {lines} lines; at most {most}",
            path.display()
        );
    }
}

#[test]
fn dependencies_stay_few_and_keep_their_names() {
    let lock = read_to_string(package().join("Cargo.lock")).expect("Cargo.lock is committed");
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(
        packages <= MOST_PACKAGES,
        "{packages} packages; raise the ceiling if it is worth it"
    );

    let manifest = read_to_string(package().join("Cargo.toml")).expect("Cargo.toml is there");
    let renamed: BTreeSet<&str> = manifest
        .lines()
        .filter(|line| line.contains("package = \""))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(renamed, BTreeSet::from(RENAMED_DEPENDENCIES));
}
