//! Edits of trees: the old tree and a sorted list of changes in, the new trees out.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use gix::objs::FindExt as _;

use super::id::{ObjectKind, object_id};
use super::{BlobId, MirrorError, TreeId};

/// One change: a path from the root of the tree, and the blob that it gets.
pub(super) type Edit<'a> = (Cow<'a, str>, Option<BlobId>);

/// What the tree calls a file, by the last part of its path.
pub(super) type Naming = fn(&str) -> Cow<'_, str>;

/// As its path says.
pub(super) fn as_it_is(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(name)
}

/// By path, each once; of two changes of one path the later counts.
pub(super) fn sorted(mut edits: Vec<Edit<'_>>) -> Vec<Edit<'_>> {
    // Stable, and `dedup_by` keeps the first of a run: reversed, that is the last one.
    edits.reverse();
    edits.sort_by(|a, b| a.0.cmp(&b.0));
    edits.dedup_by(|later, earlier| later.0 == earlier.0);
    edits
}

/// Trees that are new, by id.
pub(super) type NewTrees = HashMap<[u8; 20], Vec<u8>>;

/// Applies `edits` to the tree `old`; returns the new root with all trees on the way to it that
/// are new.
///
/// `edits` are [`sorted`], and `naming` tells them apart as their paths do. Removing what is not
/// there, or a directory, changes nothing. Directories that become empty go.
pub(super) fn apply(
    objects: &gix::OdbHandle,
    old: Option<TreeId>,
    edits: &[Edit<'_>],
    naming: Naming,
) -> Result<(TreeId, NewTrees), MirrorError> {
    let mut editor = Editor {
        objects,
        trees: NewTrees::new(),
        naming,
    };
    let root = match editor.tree(old, edits, 0)? {
        Some(root) => root,
        None => editor.put(Vec::new()),
    };
    Ok((root, editor.trees))
}

/// Puts the tree `sub` at `path`, a directory, in place of what is there; `None` takes it out.
/// `trees` holds what is new already, and gets what becomes new; returns the root.
pub(super) fn graft(
    objects: &gix::OdbHandle,
    trees: &mut NewTrees,
    root: TreeId,
    path: &str,
    sub: Option<TreeId>,
) -> Result<TreeId, MirrorError> {
    let mut editor = Editor {
        objects,
        trees: std::mem::take(trees),
        naming: as_it_is,
    };
    let grafted = match editor.graft(Some(root), path, sub)? {
        Some(root) => root,
        None => editor.put(Vec::new()),
    };
    *trees = editor.trees;
    Ok(grafted)
}

/// Drops the new trees that `root` does not hold: those that a graft replaced.
pub(super) fn keep_reachable(trees: &mut NewTrees, root: TreeId) {
    let mut kept = NewTrees::with_capacity(trees.len());
    let mut wanted = vec![root.0];
    while let Some(id) = wanted.pop() {
        let Some(bytes) = trees.remove(&id) else {
            continue;
        };
        let below = lines(&bytes).into_iter().flatten();
        wanted.extend(below.filter(Line::is_tree).map(|line| line.id));
        kept.insert(id, bytes);
    }
    *trees = kept;
}

struct Editor<'a> {
    objects: &'a gix::OdbHandle,
    trees: NewTrees,
    naming: Naming,
}

/// One line of a tree.
struct Line<'a> {
    mode: &'a [u8],
    name: Cow<'a, [u8]>,
    id: [u8; 20],
}

const FILE: &[u8] = b"100644";
const DIRECTORY: &[u8] = b"40000";

impl Line<'_> {
    fn is_tree(&self) -> bool {
        self.mode == DIRECTORY
    }
}

impl Editor<'_> {
    /// Returns the tree `old` after `edits`, whose paths share their first `skip` bytes; `None`
    /// where nothing is left.
    fn tree(
        &mut self,
        old: Option<TreeId>,
        edits: &[Edit<'_>],
        skip: usize,
    ) -> Result<Option<TreeId>, MirrorError> {
        let mut buffer = Vec::new();
        let mut lines = self.read(old, &mut buffer, edits, skip)?;
        let mut changed = false;
        let mut rest = edits;
        while let Some((path, blob_id)) = rest.first() {
            let name = path[skip..].split('/').next().unwrap_or_default();
            let end = skip + name.len();
            let is_directory = end < path.len();
            let group = if is_directory {
                rest.iter()
                    .take_while(|(other, _)| other.starts_with(&path[..=end]))
                    .count()
            } else {
                1
            };
            let (group, after) = rest.split_at(group);
            rest = after;
            let name = if is_directory {
                Cow::Borrowed(name.as_bytes())
            } else {
                match (self.naming)(name) {
                    Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
                    Cow::Owned(name) => Cow::Owned(name.into_bytes()),
                }
            };
            let existing = find(&lines, &name);
            // What is foreign stays: it is neither replaced nor removed.
            let other_kind = existing.is_some_and(|at| lines[at].is_tree() != is_directory);
            if other_kind {
                if let Some((path, _)) = group.iter().find(|(_, blob_id)| blob_id.is_some()) {
                    return Err(MirrorError::Occupied {
                        path: path.to_string(),
                        by: format!("{}{}", &path[..skip], String::from_utf8_lossy(&name)),
                    });
                }
                continue;
            }
            let (mode, new) = if is_directory {
                let old = existing.map(|at| TreeId(lines[at].id));
                (DIRECTORY, self.tree(old, group, end + 1)?.map(|id| id.0))
            } else {
                (FILE, blob_id.map(|id| id.0))
            };
            match (existing, new) {
                (Some(at), Some(id)) => {
                    changed |= lines[at].id != id || lines[at].mode != mode;
                    lines[at].id = id;
                    lines[at].mode = mode;
                }
                (Some(at), None) => {
                    changed = true;
                    lines.remove(at);
                }
                (None, Some(id)) => {
                    changed = true;
                    let line = Line { mode, name, id };
                    let at = lines.partition_point(|other| order(other, &line).is_lt());
                    lines.insert(at, line);
                }
                (None, None) => {}
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        if let Some(old) = old.filter(|_| !changed) {
            return Ok(Some(old));
        }
        let bytes = encode(&lines);
        drop(lines);
        Ok(Some(self.put(bytes)))
    }

    /// Returns the tree `old` with `sub` at `path`; `None` where nothing is left.
    fn graft(
        &mut self,
        old: Option<TreeId>,
        path: &str,
        sub: Option<TreeId>,
    ) -> Result<Option<TreeId>, MirrorError> {
        let mut buffer = match old.map(|id| self.trees.get(&id.0).cloned()) {
            None => Vec::new(),
            Some(Some(bytes)) => bytes,
            Some(None) => {
                let mut buffer = Vec::new();
                self.read(old, &mut buffer, &[], 0)?;
                buffer
            }
        };
        let (name, rest) = path
            .split_once('/')
            .map_or((path, None), |(name, rest)| (name, Some(rest)));
        let at = {
            let lines = lines(&buffer).ok_or_else(|| MirrorError::missing(&"tree", path))?;
            let at = find(&lines, name.as_bytes());
            if let Some(at) = at
                && !lines[at].is_tree()
            {
                return Err(MirrorError::Occupied {
                    path: path.to_owned(),
                    by: name.to_owned(),
                });
            }
            at.map(|at| TreeId(lines[at].id))
        };
        let new = match rest {
            Some(rest) => self.graft(at, rest, sub)?,
            None => sub,
        };
        let buffer = std::mem::take(&mut buffer);
        let mut lines = lines(&buffer).ok_or_else(|| MirrorError::missing(&"tree", path))?;
        match (find(&lines, name.as_bytes()), new) {
            (Some(at), Some(id)) => lines[at].id = id.0,
            (Some(at), None) => drop(lines.remove(at)),
            (None, Some(id)) => {
                let line = Line {
                    mode: DIRECTORY,
                    name: name.as_bytes().into(),
                    id: id.0,
                };
                let at = lines.partition_point(|other| order(other, &line).is_lt());
                lines.insert(at, line);
            }
            (None, None) => {}
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let bytes = encode(&lines);
        Ok(Some(self.put(bytes)))
    }

    fn read<'b>(
        &self,
        id: Option<TreeId>,
        buffer: &'b mut Vec<u8>,
        edits: &[Edit<'_>],
        skip: usize,
    ) -> Result<Vec<Line<'b>>, MirrorError> {
        let Some(id) = id else {
            return Ok(Vec::new());
        };
        let path = edits.first().map_or("", |(path, _)| &path[..skip]);
        self.objects
            .find_tree(&id.oid(), buffer)
            .map_err(|source| MirrorError::object(&id, path, source))?;
        lines(buffer).ok_or_else(|| MirrorError::missing(&id, path))
    }

    fn put(&mut self, bytes: Vec<u8>) -> TreeId {
        let id = object_id(ObjectKind::Tree, &bytes);
        self.trees.insert(id, bytes);
        TreeId(id)
    }
}

fn encode(lines: &[Line<'_>]) -> Vec<u8> {
    let length = |line: &Line<'_>| line.mode.len() + 1 + line.name.len() + 1 + line.id.len();
    let mut bytes = Vec::with_capacity(lines.iter().map(length).sum());
    for line in lines {
        bytes.extend_from_slice(line.mode);
        bytes.push(b' ');
        bytes.extend_from_slice(&line.name);
        bytes.push(0);
        bytes.extend_from_slice(&line.id);
    }
    bytes
}

/// Takes a tree apart: `<mode> <name>\0<20 bytes>`, again and again. Modes are kept as they are
/// written, so that a foreign entry never changes.
fn lines(mut bytes: &[u8]) -> Option<Vec<Line<'_>>> {
    let mut lines = Vec::with_capacity(bytes.len() / 40);
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
        let null = rest.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&rest[..null], &rest[null + 1..]);
        let (id, rest) = rest.split_first_chunk::<20>()?;
        lines.push(Line {
            mode,
            name: name.into(),
            id: *id,
        });
        bytes = rest;
    }
    Some(lines)
}

/// Git sorts a directory as if its name ended in a slash:
/// <https://git-scm.com/docs/git-mktree>.
fn order(a: &Line<'_>, b: &Line<'_>) -> Ordering {
    let shared = a.name.len().min(b.name.len());
    let after = |line: &Line<'_>| {
        let slash = if line.is_tree() { b'/' } else { 0 };
        line.name.get(shared).copied().unwrap_or(slash)
    };
    a.name[..shared]
        .cmp(&b.name[..shared])
        .then_with(|| after(a).cmp(&after(b)))
}

/// The place of `name`, whether it is a file or a directory.
fn find(lines: &[Line<'_>], name: &[u8]) -> Option<usize> {
    for mode in [FILE, DIRECTORY] {
        let wanted = Line {
            mode,
            name: name.into(),
            id: [0; 20],
        };
        let found = lines.binary_search_by(|line| order(line, &wanted));
        if let Ok(at) = found
            && *lines[at].name == *name
        {
            return Some(at);
        }
    }
    None
}
