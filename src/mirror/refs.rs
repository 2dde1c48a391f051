use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use gix::lock::acquire::Fail;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit};
use gix::refs::{FullName, Target};

use super::pack::sync_directory;
use super::{CommitId, MirrorError};

/// Refs of our own, which nobody else writes.
pub(super) const OWN: &str = "refs/strandline/";
/// How long to wait for a lock that a `git` command holds; Git's own default.
const LOCK_WAIT: Duration = Duration::from_millis(100);

/// The full name of a branch, checked by Git's rules:
/// <https://git-scm.com/docs/git-check-ref-format>.
pub(super) fn branch_ref(branch: &str) -> Result<FullName, MirrorError> {
    if branch.starts_with('-') || branch == "HEAD" {
        return Err(MirrorError::RefName {
            name: branch.to_owned(),
        });
    }
    full_name(&format!("refs/heads/{branch}"))
}

pub(super) fn full_name(name: &str) -> Result<FullName, MirrorError> {
    FullName::try_from(name).map_err(|_| MirrorError::RefName {
        name: name.to_owned(),
    })
}

/// An update of a ref to an object.
pub(super) fn edit(name: FullName, new: gix::ObjectId, expected: PreviousValue) -> RefEdit {
    RefEdit {
        change: Change::Update {
            log: LogChange::default(),
            expected,
            new: Target::Object(new),
        },
        name,
        deref: false,
    }
}

/// What compare-and-swap of the branch expects.
pub(super) fn expect(commit_id: Option<CommitId>) -> PreviousValue {
    match commit_id {
        Some(id) => PreviousValue::MustExistAndMatch(Target::Object(id.oid())),
        None => PreviousValue::MustNotExist,
    }
}

/// The object that a ref names; `None` where the ref is absent.
pub(super) fn read(
    repo: &gix::Repository,
    name: &FullName,
) -> Result<Option<gix::ObjectId>, MirrorError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| MirrorError::Head {
        reference: name.to_string(),
        path: repo.git_dir().to_owned(),
        source,
    };
    let found = repo
        .refs
        .try_find(name.as_ref())
        .map_err(|source| wrong(Box::new(source)))?;
    match found.map(|reference| reference.target) {
        None => Ok(None),
        Some(Target::Object(id)) => Ok(Some(id)),
        Some(Target::Symbolic(to)) => Err(wrong(format!("it is a link to {to}").into())),
    }
}

/// Points HEAD at the branch, so that `git log` and a clone show the mirror.
pub(super) fn point_head_at(repo: &gix::Repository, branch: &FullName) -> Result<(), MirrorError> {
    let head: FullName = full_name("HEAD")?;
    let wrong = |source: gix::Error| MirrorError::Head {
        reference: "HEAD".to_owned(),
        path: repo.git_dir().to_owned(),
        source: Box::new(source),
    };
    let target = repo
        .refs
        .try_find(head.as_ref())
        .map_err(wrong)?
        .map(|reference| reference.target);
    if target == Some(Target::Symbolic(branch.clone())) {
        return Ok(());
    }
    let edit = RefEdit {
        change: Change::Update {
            log: LogChange::default(),
            expected: PreviousValue::Any,
            new: Target::Symbolic(branch.clone()),
        },
        name: head,
        deref: false,
    };
    transact(repo, vec![edit], || Ok(()))
}

/// Writes refs in one transaction: all are locked and their new values on disk before the first
/// becomes visible. `locked` runs in between. The directories of the refs are the caller's to sync.
pub(super) fn transact(
    repo: &gix::Repository,
    edits: Vec<RefEdit>,
    locked: impl FnOnce() -> Result<(), MirrorError>,
) -> Result<(), MirrorError> {
    let Some(first) = edits.first().map(|edit| edit.name.clone()) else {
        return Ok(());
    };
    let refused = |source: gix::Error| MirrorError::Reference {
        reference: first.to_string(),
        source: Box::new(source),
    };
    let names: Vec<FullName> = edits.iter().map(|edit| edit.name.clone()).collect();
    let wait = Fail::AfterDurationWithBackoff(LOCK_WAIT);
    let prepared = repo
        .refs
        .transaction()
        .prepare(edits, wait, wait)
        .map_err(refused)?;
    for name in &names {
        sync_lock(repo, name)?;
    }
    locked()?;
    prepared.commit(None).map(drop).map_err(refused)
}

/// Makes the directories from the ref's own up to `refs` durable. `deep` says whether the upper
/// ones may be new.
pub(super) fn sync_parents(git_dir: &Path, name: &FullName, deep: bool) -> Result<(), MirrorError> {
    let file = git_dir.join(name.to_string());
    let mut directory = file.parent();
    while let Some(at) = directory.filter(|at| *at != git_dir) {
        sync_directory(at)?;
        directory = if deep { at.parent() } else { None };
    }
    Ok(())
}

/// Brings a ref's new value to disk while it still lies in the lock file, so that the rename can
/// never show an empty ref.
fn sync_lock(repo: &gix::Repository, name: &FullName) -> Result<(), MirrorError> {
    let lock = repo.git_dir().join(format!("{name}.lock"));
    match File::open(&lock).and_then(|file| file.sync_all()) {
        // The ref had the value already, so there is nothing to write.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(MirrorError::io("sync", &lock)),
    }
}
