mod acid;
mod fetching;
mod reading;
mod sources;

use std::sync::Arc;

use super::*;

/// Reads a text as the file `f.yaml`.
fn read_text(text: &str) -> Read {
    read(&Arc::from("f.yaml"), text.as_bytes())
}

/// `Kind/name@line` of each manifest.
fn names(read: &Read) -> Vec<String> {
    read.manifests
        .iter()
        .map(|manifest| {
            let identity = manifest.identity().unwrap();
            format!("{}/{}@{}", identity.kind, identity.name, manifest.line)
        })
        .collect()
}

/// `line: reason` of each problem.
fn lines(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| format!("{}: {}", problem.line.unwrap_or(0), problem.reason))
        .collect()
}

fn key(name: &str) -> Step {
    Step::Key(name.into())
}
