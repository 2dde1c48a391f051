//! Git itself is the oracle: every test of the store ends with `git fsck --strict`.

mod crash;
mod history;
mod index;
mod sidecar;
mod writing;

use std::path::Path;
use std::process::Command;

use super::*;
use crate::object::Prefix;

/// Runs `git` without anybody's configuration; returns its standard output.
fn git(repository: &Path, args: &[&str]) -> String {
    let output = git_command(repository)
        .args(args)
        .output()
        .expect("git is installed");
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn git_command(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "somebody")
        .env("GIT_AUTHOR_EMAIL", "s@example.org")
        .env("GIT_COMMITTER_NAME", "somebody")
        .env("GIT_COMMITTER_EMAIL", "s@example.org")
        .env("GIT_AUTHOR_DATE", "1000000000 +0000")
        .env("GIT_COMMITTER_DATE", "1000000000 +0000")
        .arg("--git-dir")
        .arg(repository);
    command
}

/// Asserts that the repository is sound, names and all.
fn fsck(repository: &Path) {
    let output = git_command(repository)
        .args(["-c", "core.protectNTFS=true", "-c", "core.protectHFS=true"])
        .args(["fsck", "--strict", "--no-dangling", "--full"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // An unborn branch is worth a notice.
    let clean = said
        .lines()
        .all(|line| line.is_empty() || line.starts_with("notice: "));
    assert!(output.status.success() && clean, "{said}");
}

fn options(path: &Path) -> MirrorOptions {
    MirrorOptions {
        path: path.to_owned(),
        branch: "main".to_owned(),
        prefix: Prefix::default(),
        author: Author {
            name: "strandline".to_owned(),
            email: "strandline@example.org".to_owned(),
        },
    }
}

fn open(path: &Path) -> Mirror {
    Mirror::open(options(path)).unwrap()
}

/// A commit of files with bytes, staged by [`stage`].
fn commit(changes: &[(&str, Option<&str>)]) -> Commit {
    Commit {
        changes: changes
            .iter()
            .map(|(path, text)| {
                let id = text.map(|text| BlobId::of(text.as_bytes()));
                ((*path).into(), id)
            })
            .collect(),
        message: "a change".to_owned(),
        seconds: 1_700_000_000,
        ..Commit::default()
    }
}

fn stage(mirror: &mut Mirror, changes: &[(&str, Option<&str>)]) -> Result<(), MirrorError> {
    for text in changes.iter().filter_map(|(_, text)| *text) {
        mirror.stage_blob(BlobId::of(text.as_bytes()), text.as_bytes())?;
    }
    Ok(())
}

/// Stages and commits.
fn write(mirror: &mut Mirror, changes: &[(&str, Option<&str>)]) -> Option<Committed> {
    stage(mirror, changes).unwrap();
    mirror.commit(&commit(changes)).unwrap()
}

/// All files of the repository's directory, with their sizes.
fn everything(path: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().unwrap().len()));
        }
    }
    found.sort();
    found
}
