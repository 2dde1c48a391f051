use std::borrow::Cow;

use crate::object::Prefix;

/// Below which the refs of the sidecar lie, unless a remote takes them at another place only.
pub const SIDECAR_REFS: &str = "refs/strandline";
/// The branch whose refs lie at the top.
const FIRST_BRANCH: &str = "main";

/// The trailer that names the commit of the mirror.
pub(super) const MIRROR_COMMIT: &str = "Strandline-Mirror-Commit: ";
/// The trailer that names the format.
pub(super) const FORMAT: &str = "Strandline-Format: 1";

/// The names of the refs that go with one branch.
///
/// Those of `main` lie directly below the prefix (`refs/strandline/owners`); those of any other
/// branch below `branches/<branch>/`, so that several clusters, each with a branch of its own, can
/// share a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarRefs {
    root: String,
}

impl SidecarRefs {
    /// The refs of `branch` (with or without `refs/heads/`) below `prefix`, such as
    /// [`SIDECAR_REFS`].
    pub fn new(prefix: &str, branch: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        let root = match branch.strip_prefix("refs/heads/").unwrap_or(branch) {
            FIRST_BRANCH => prefix.to_owned(),
            branch => format!("{prefix}/branches/{branch}"),
        };
        Self { root }
    }

    /// The chain of the sidecar's commits.
    pub fn owners(&self) -> String {
        format!("{}/owners", self.root)
    }

    /// The proof of life.
    pub fn alive(&self) -> String {
        format!("{}/alive", self.root)
    }

    /// The chain of drift reports.
    pub fn drift(&self) -> String {
        format!("{}/drift", self.root)
    }
}

/// The directory of the sidecar's tree that holds `part`: `owners`, `times` or `facts`.
pub(super) fn directory(prefix: &Prefix, part: &str) -> String {
    prefix.join(part).into_owned()
}

/// The path of an object's file below `owners/` or `times/`, or its last part alone.
pub(super) fn file(path: &str) -> Cow<'_, str> {
    let stem = path.strip_suffix(".yaml").unwrap_or(path);
    format!("{stem}.json").into()
}

/// The path of the mirror's file that a file below `owners/` or `times/` belongs to.
pub(super) fn object(file: &str) -> Option<String> {
    Some(format!("{}.yaml", file.strip_suffix(".json")?))
}

/// The commit of the mirror that a sidecar's message names.
pub(super) fn mirror_commit(message: &[u8]) -> Option<super::super::CommitId> {
    std::str::from_utf8(message)
        .ok()?
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(MIRROR_COMMIT))?
        .trim()
        .parse()
        .ok()
}

/// Directories below `facts/` nest no deeper.
pub(super) const DEEPEST_FACT: u8 = 4;
