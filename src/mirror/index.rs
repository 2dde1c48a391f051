use std::collections::BTreeMap;

use super::BlobId;

/// The files of one tree: path → blob id, without their contents.
///
/// Plain data, about 120 bytes a path, ordered by type, then namespace, then name: the question
/// that a complete list asks is "which files of this type (in this namespace) do we hold?".
/// Paths lie below the mirror's prefix. A path of another shape than
/// [`MirrorPath`](crate::object::MirrorPath) is never held: `insert` ignores it, `get` has
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Key: `<directory>/<namespace>/<file name>`; the namespace is empty below `cluster/`. No
    /// component holds a slash, and none is empty but that one.
    blobs: BTreeMap<Box<str>, BlobId>,
    /// Files and directories below the prefix that our layout could not have produced.
    foreign: usize,
}

/// One file of an [`Index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry<'a> {
    /// `<resource>[.<group>]`, escaped.
    pub directory: &'a str,
    /// The escaped namespace; `None` below `cluster/`.
    pub namespace: Option<&'a str>,
    /// The escaped name with its extension.
    pub file: &'a str,
    /// The file's blob.
    pub blob_id: BlobId,
}

impl IndexEntry<'_> {
    /// The file's path below the prefix.
    pub fn path(&self) -> String {
        match self.namespace {
            Some(namespace) => format!("namespaces/{namespace}/{}/{}", self.directory, self.file),
            None => format!("cluster/{}/{}", self.directory, self.file),
        }
    }
}

impl Index {
    /// An index of no files.
    pub fn new() -> Self {
        Self::default()
    }

    /// The blob at `path`.
    pub fn get(&self, path: &str) -> Option<BlobId> {
        self.blobs.get(&*key(path)?).copied()
    }

    /// Sets the blob at `path`; returns the one before.
    pub fn insert(&mut self, path: &str, blob_id: BlobId) -> Option<BlobId> {
        self.blobs.insert(key(path)?.into(), blob_id)
    }

    /// Takes `path` out; returns its blob.
    pub fn remove(&mut self, path: &str) -> Option<BlobId> {
        self.blobs.remove(&*key(path)?)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// How many entries below the prefix our layout could not have produced; a whole directory
    /// counts once. `.strandline.yaml` does not count.
    pub fn foreign(&self) -> usize {
        self.foreign
    }

    /// All files, by directory, namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = IndexEntry<'_>> {
        self.blobs.iter().filter_map(|(key, id)| entry(key, id))
    }

    /// The files of one type, over all namespaces. `directory` as in
    /// [`ApiType::directory`](crate::object::ApiType::directory).
    pub fn of_type(&self, directory: &str) -> impl Iterator<Item = IndexEntry<'_>> {
        self.below(format!("{directory}/"))
    }

    /// The files of one type in one escaped namespace; `None` asks for those below `cluster/`.
    pub fn of_type_in(
        &self,
        directory: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = IndexEntry<'_>> {
        self.below(format!("{directory}/{}/", namespace.unwrap_or_default()))
    }

    fn below(&self, start: String) -> impl Iterator<Item = IndexEntry<'_>> {
        let start: Box<str> = start.into();
        self.blobs
            .range(start.clone()..)
            .take_while(move |(key, _)| key.starts_with(&*start))
            .filter_map(|(key, id)| entry(key, id))
    }

    /// From what a walk of a tree found.
    pub(super) fn from_walk(files: Vec<(Box<str>, BlobId)>, foreign: usize) -> Self {
        Self {
            // Sorts, and fills its nodes to the brim.
            blobs: files.into_iter().collect(),
            foreign,
        }
    }
}

fn entry<'a>(key: &'a str, blob_id: &BlobId) -> Option<IndexEntry<'a>> {
    let (directory, rest) = key.split_once('/')?;
    let (namespace, file) = rest.split_once('/')?;
    Some(IndexEntry {
        directory,
        namespace: (!namespace.is_empty()).then_some(namespace),
        file,
        blob_id: *blob_id,
    })
}

/// The key of a path; `None` where it has not the shape of one of ours.
pub(super) fn key(path: &str) -> Option<String> {
    let (top, rest) = path.split_once('/')?;
    let (namespace, rest) = match top {
        "cluster" => ("", rest),
        "namespaces" => rest.split_once('/').filter(|(name, _)| !name.is_empty())?,
        _ => return None,
    };
    let (directory, file) = rest.split_once('/')?;
    if directory.is_empty() || file.is_empty() || file.contains('/') {
        return None;
    }
    Some(format!("{directory}/{namespace}/{file}"))
}
