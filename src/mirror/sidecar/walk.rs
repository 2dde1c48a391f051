//! Reading the chain and its trees; for the reader and for the writer.

use std::collections::{BTreeMap, HashMap};

use gix::objs::FindExt as _;

use super::names;
use super::write::SidecarBlobs;
use crate::mirror::read::Files;
use crate::mirror::{BlobId, CommitId, MirrorError, TreeId};
use crate::object::Prefix;

/// One commit of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mirror) struct SidecarHead {
    pub(in crate::mirror) commit_id: CommitId,
    pub(in crate::mirror) tree_id: TreeId,
    pub(in crate::mirror) committed_at: i64,
    /// The commit of the mirror that it names; `None` where it names none, so that it belongs to
    /// nothing.
    pub(in crate::mirror) mirror_commit_id: Option<CommitId>,
}

/// Reads one commit of the chain; returns it with its first parent.
pub(in crate::mirror) fn head(
    repo: &gix::Repository,
    commit_id: CommitId,
) -> Result<(SidecarHead, Option<CommitId>), MirrorError> {
    let mut buffer = Vec::new();
    let commit = repo
        .objects
        .find_commit(&commit_id.oid(), &mut buffer)
        .map_err(|source| MirrorError::object(&commit_id, "", source))?;
    let committed_at = commit
        .time()
        .map_err(|source| MirrorError::object(&commit_id, "", source))?
        .seconds;
    let head = SidecarHead {
        commit_id,
        tree_id: commit.tree().into(),
        committed_at,
        mirror_commit_id: names::mirror_commit(commit.message),
    };
    Ok((head, commit.parents().next().map(CommitId::from)))
}

/// The files of one commit of the chain.
pub(super) struct SideFiles<'a> {
    pub(super) repo: &'a gix::Repository,
    pub(super) tree_id: TreeId,
    pub(super) prefix: &'a Prefix,
}

impl SideFiles<'_> {
    fn files(&self) -> Files<'_> {
        Files {
            repo: self.repo,
            root: Some(self.tree_id),
            prefix: self.prefix,
        }
    }

    /// A file, by its path below the prefix.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.files().read(path)
    }

    /// The tree of one part; `None` where it has no files.
    pub(super) fn part(&self, part: &str) -> Result<Option<TreeId>, MirrorError> {
        self.files().directory(part)
    }

    /// Calls `each` with every object's path in the mirror and its blobs.
    pub(super) fn objects(
        &self,
        each: &mut dyn FnMut(&str, SidecarBlobs) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        let Some(owners) = self.part("owners")? else {
            return Ok(());
        };
        let times = self.part("times")?;
        self.walk(owners, times, &mut String::new(), 0, each)
    }

    fn walk(
        &self,
        owners: TreeId,
        times: Option<TreeId>,
        path: &mut String,
        depth: u8,
        each: &mut dyn FnMut(&str, SidecarBlobs) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        // `namespaces/<namespace>/<directory>/<file>` is as deep as our layout goes.
        const DEEPEST: u8 = 3;
        let length = path.len();
        let times = times.map_or_else(|| Ok(Vec::new()), |id| self.list(id, path))?;
        let times: HashMap<&str, &Listed> = times
            .iter()
            .map(|entry| (entry.name.as_str(), entry))
            .collect();
        for Listed { name, id, is_tree } in self.list(owners, path)? {
            let beside = times.get(name.as_str()).filter(|t| t.is_tree == is_tree);
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
            if !is_tree {
                if let Some(object) = names::object(path) {
                    let blobs = SidecarBlobs {
                        owners: BlobId(id),
                        times: beside.map(|entry| BlobId(entry.id)),
                    };
                    each(&object, blobs)?;
                }
            } else if depth < DEEPEST {
                let beside = beside.map(|entry| TreeId(entry.id));
                self.walk(TreeId(id), beside, path, depth + 1, each)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// The files below `facts/`, by name.
    pub(super) fn facts(&self) -> Result<BTreeMap<String, BlobId>, MirrorError> {
        let Some(facts) = self.part("facts")? else {
            return Ok(BTreeMap::new());
        };
        let mut found = BTreeMap::new();
        let mut open = vec![(String::new(), facts, 0)];
        while let Some((path, tree_id, depth)) = open.pop() {
            for entry in self.list(tree_id, &path)? {
                let path = format!("{path}{}", entry.name);
                if !entry.is_tree {
                    found.insert(path, BlobId(entry.id));
                } else if depth < names::DEEPEST_FACT {
                    open.push((format!("{path}/"), TreeId(entry.id), depth + 1));
                }
            }
        }
        Ok(found)
    }

    fn list(&self, id: TreeId, path: &str) -> Result<Vec<Listed>, MirrorError> {
        let mut buffer = Vec::new();
        let tree = self
            .repo
            .objects
            .find_tree(&id.oid(), &mut buffer)
            .map_err(|source| MirrorError::object(&id, path, source))?;
        let listed = tree.entries.iter().filter_map(|entry| {
            Some(Listed {
                // Ours are of plain characters; what is not is none of ours.
                name: std::str::from_utf8(entry.filename).ok()?.to_owned(),
                id: BlobId::from(entry.oid.to_owned()).0,
                is_tree: entry.mode.is_tree(),
            })
        });
        Ok(listed.collect())
    }
}

struct Listed {
    name: String,
    id: [u8; 20],
    is_tree: bool,
}
