//! Follows `mod name;` from a crate's root file to every file that belongs to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::names;

/// The files of some crates: path → whether it is compiled for tests only.
pub type Reached = BTreeMap<PathBuf, bool>;

/// Adds the files of the crate that begins with `root`.
///
/// Returns a sentence if a file cannot be read or parsed, or a module has none.
pub fn crate_files(root: &Path, reached: &mut Reached) -> Result<(), String> {
    let folder = root.parent().unwrap_or(Path::new(""));
    module_files(root, folder, false, reached)
}

/// `children` is the folder in which modules that `file` declares are looked for.
/// <https://doc.rust-lang.org/reference/items/modules.html#module-source-filenames>
fn module_files(
    file: &Path,
    children: &Path,
    test_only: bool,
    reached: &mut Reached,
) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let source = std::fs::read_to_string(file).map_err(|error| say(&error))?;
    // What is reached from both sides is compiled in both.
    let known = reached.entry(file.to_owned()).or_insert(test_only);
    *known = *known && test_only;
    let modules = names::read(&source, &[])
        .map_err(|error| say(&error))?
        .modules;
    for module in modules {
        let test_only = test_only || module.test_only;
        let (name, around) = module.path.split_last().expect("a module has a name");
        let folder = around
            .iter()
            .fold(children.to_owned(), |path, name| path.join(name));
        if let Some(path) = module.file {
            let base = if around.is_empty() {
                file.parent().unwrap_or(children)
            } else {
                &folder
            };
            let path = base.join(path);
            let children = path.parent().unwrap_or(base).to_owned();
            module_files(&path, &children, test_only, reached)?;
            continue;
        }
        let nested = folder.join(name);
        let flat = folder.join(format!("{name}.rs"));
        let path = if flat.is_file() {
            flat
        } else {
            nested.join("mod.rs")
        };
        module_files(&path, &nested, test_only, reached)?;
    }
    Ok(())
}

/// Every `.rs` file below a folder.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
