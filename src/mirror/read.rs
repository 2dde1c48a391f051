//! Reading: the files of one tree, and the commit that names it.

use gix::objs::{Find as _, FindExt as _};

use super::index::key;
use super::{BlobId, CommitId, Head, IDENTITY_FILE, Index, MirrorError, TreeId};
use crate::object::{MirrorPath, Prefix};

/// The files of one tree below the prefix.
pub(super) struct Files<'a> {
    pub(super) repo: &'a gix::Repository,
    /// `None` while the branch is unborn: there are no files.
    pub(super) root: Option<TreeId>,
    pub(super) prefix: &'a Prefix,
}

struct Found {
    id: gix::ObjectId,
    is_tree: bool,
}

impl Files<'_> {
    /// All files below the prefix.
    pub(super) fn index(&self) -> Result<Index, MirrorError> {
        let mut walk = Walk {
            repo: self.repo,
            files: Vec::new(),
            foreign: 0,
        };
        match self.find(self.prefix.as_str())? {
            None => {}
            Some(root) if root.is_tree => walk.tree(root.id, &mut String::new(), 0)?,
            Some(_) => walk.foreign += 1,
        }
        Ok(Index::from_walk(walk.files, walk.foreign))
    }

    /// A file, by its path below the prefix.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        match self.find(&self.prefix.join(path))? {
            Some(found) if !found.is_tree => read_blob(self.repo, found.id.into(), path),
            _ => Ok(None),
        }
    }

    /// The tree of a directory, by its path below the prefix.
    pub(super) fn directory(&self, path: &str) -> Result<Option<TreeId>, MirrorError> {
        let found = self.find(&self.prefix.join(path))?;
        Ok(found
            .filter(|found| found.is_tree)
            .map(|found| found.id.into()))
    }

    /// The entry at `path`, from the root of the tree.
    fn find(&self, path: &str) -> Result<Option<Found>, MirrorError> {
        let Some(root) = self.root else {
            return Ok(None);
        };
        let mut at = Found {
            id: root.oid(),
            is_tree: true,
        };
        let mut buffer = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !at.is_tree {
                return Ok(None);
            }
            let tree = self
                .repo
                .objects
                .find_tree(&at.id, &mut buffer)
                .map_err(|source| MirrorError::object(&at.id, path, source))?;
            let Some(entry) = tree.entries.iter().find(|entry| entry.filename == name) else {
                return Ok(None);
            };
            at = Found {
                id: entry.oid.to_owned(),
                is_tree: entry.mode.is_tree(),
            };
        }
        Ok(Some(at))
    }
}

/// The bytes of a blob; `None` where it is not there. `path` is for the error.
pub(super) fn read_blob(
    repo: &gix::Repository,
    id: BlobId,
    path: &str,
) -> Result<Option<Vec<u8>>, MirrorError> {
    let mut buffer = Vec::new();
    let found = repo
        .objects
        .try_find(&id.oid(), &mut buffer)
        .map_err(|source| MirrorError::object(&id, path, source))?
        .is_some_and(|object| object.kind == gix::objs::Kind::Blob);
    Ok(found.then_some(buffer))
}

/// Reads a commit, and makes sure that its tree can be read.
pub(super) fn read_head(repo: &gix::Repository, commit_id: CommitId) -> Result<Head, MirrorError> {
    let mut buffer = Vec::new();
    let commit = repo
        .objects
        .find_commit(&commit_id.oid(), &mut buffer)
        .map_err(|source| MirrorError::object(&commit_id, "", source))?;
    let tree_id = TreeId::from(commit.tree());
    let committed_at = commit
        .time()
        .map_err(|source| MirrorError::object(&commit_id, "", source))?
        .seconds;
    repo.objects
        .find_tree(&tree_id.oid(), &mut Vec::new())
        .map_err(|source| MirrorError::object(&tree_id, "", source))?;
    Ok(Head {
        commit_id,
        tree_id,
        committed_at,
    })
}

/// A walk of the tree below the prefix.
struct Walk<'a> {
    repo: &'a gix::Repository,
    files: Vec<(Box<str>, BlobId)>,
    foreign: usize,
}

impl Walk<'_> {
    fn tree(&mut self, id: gix::ObjectId, path: &mut String, depth: u8) -> Result<(), MirrorError> {
        // `namespaces/<namespace>/<directory>/<file>` is as deep as our layout goes.
        const DEEPEST: u8 = 3;
        let mut buffer = Vec::new();
        let tree = self
            .repo
            .objects
            .find_tree(&id, &mut buffer)
            .map_err(|source| MirrorError::object(&id, path, source))?;
        let length = path.len();
        for entry in &tree.entries {
            let Ok(name) = std::str::from_utf8(entry.filename) else {
                self.foreign += 1;
                continue;
            };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            if entry.mode.is_tree() {
                let ours = depth > 0 || matches!(name, "cluster" | "namespaces");
                if ours && depth < DEEPEST {
                    self.tree(entry.oid.to_owned(), path, depth + 1)?;
                } else {
                    self.foreign += 1;
                }
            } else if MirrorPath::parse(path).is_some() {
                // A link or an executable at a path of ours is not what we wrote.
                let blob_id = if entry.mode.is_blob() && !entry.mode.is_executable() {
                    BlobId::from(entry.oid.to_owned())
                } else {
                    BlobId::NONE
                };
                self.files
                    .extend(key(path).map(|key| (key.into(), blob_id)));
            } else if depth > 0 || name != IDENTITY_FILE {
                self.foreign += 1;
            }
            path.truncate(length);
        }
        Ok(())
    }
}
