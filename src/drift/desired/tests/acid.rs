//! The acid sets: every object is found, and every place of them has its line.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::drift::desired::files;

/// The folder of `STRANDLINE_ACID_DIR`; without it this test says that it did nothing, and fails
/// where beds are required.
fn acid() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("STRANDLINE_ACID_DIR") {
        return Some(folder.into());
    }
    assert!(
        std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_none(),
        "STRANDLINE_ACID_DIR is not set"
    );
    eprintln!("SKIPPED: STRANDLINE_ACID_DIR is not set");
    None
}

/// Counts objects by their lines alone: a document, or an element of a list's, has one `kind:` at
/// its own depth.
fn count(folder: &Path) -> usize {
    let mut objects = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            objects += count(&path);
            continue;
        }
        if !path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("kind: ") {
                objects += usize::from(!kind.trim().ends_with("List"));
            }
            // In these files a list's `kind` comes after its elements.
            let element = line.starts_with("  kind: ") || line.starts_with("- kind: ");
            if element && text.contains("\nitems:") {
                objects += 1;
            }
        }
    }
    objects
}

/// Every leaf's place.
fn leaves(value: &Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                at.push(key(name));
                leaves(value, at, out);
                at.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (position, value) in items.iter().enumerate() {
                at.push(Step::Index(position));
                leaves(value, at, out);
                at.pop();
            }
        }
        _ => out.push(at.clone()),
    }
}

#[test]
fn every_object_is_read_and_every_place_has_its_line() {
    let Some(folder) = acid() else { return };
    let read = files::folder(&folder);
    assert_eq!(lines(&read.problems), [""; 0]);
    assert_eq!(read.manifests.len(), count(&folder));
    assert!(read.manifests.len() > 100, "{}", read.manifests.len());

    let seed = 0x5eed;
    println!("seed {seed:#x}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut checked = 0;
    for manifest in &read.manifests {
        let text = std::fs::read_to_string(folder.join(&*manifest.file)).unwrap();
        let file: Vec<&str> = text.lines().collect();
        assert!(file[manifest.line - 1].contains(':'), "{manifest:?}");
        let mut places = Vec::new();
        leaves(&manifest.value(), &mut Vec::new(), &mut places);
        random.shuffle(&mut places);
        let lines = manifest.lines();
        for place in places.iter().take(200) {
            let line = lines.of(place);
            let shown = file[line - 1];
            match place.last().unwrap() {
                Step::Key(name) => assert!(
                    shown.contains(&**name),
                    "{manifest:?} {place:?}: line {line} is {shown:?}"
                ),
                // Of a block of text, the line that the text begins on.
                Step::Index(_) => assert!(
                    shown.trim_start().starts_with('-')
                        || shown.contains('[')
                        || file[line - 2].trim_start().starts_with("- |"),
                    "{manifest:?} {place:?}: line {line} is {shown:?}"
                ),
            }
            checked += 1;
        }
    }
    println!("{} objects, {checked} places", read.manifests.len());
    assert!(checked > 5_000);
}
