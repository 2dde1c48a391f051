//! Stub until the room comes.
use std::collections::{BTreeMap, HashMap};
use std::fmt;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 20]);
impl BlobId {
    pub fn of(bytes: &[u8]) -> Self {
        let mut h = [0u8; 20];
        for (i, b) in bytes.iter().enumerate() {
            h[i % 20] = h[i % 20].wrapping_mul(31).wrapping_add(*b);
        }
        Self(h)
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub [u8; 20]);
impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
#[derive(Debug, Default)]
pub struct Index(HashMap<String, BTreeMap<String, BlobId>>);
impl Index {
    fn dir(path: &str) -> &str {
        crate::object::MirrorPath::parse(path).map_or("", |p| p.directory)
    }
    pub fn get(&self, path: &str) -> Option<BlobId> {
        self.0.get(Self::dir(path))?.get(path).copied()
    }
    pub fn insert(&mut self, path: &str, id: BlobId) {
        self.0
            .entry(Self::dir(path).to_owned())
            .or_default()
            .insert(path.to_owned(), id);
    }
    pub fn remove(&mut self, path: &str) {
        if let Some(m) = self.0.get_mut(Self::dir(path)) {
            m.remove(path);
        }
    }
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    pub fn paths(&self, directory: &str, namespace: Option<&str>) -> Vec<Box<str>> {
        self.0
            .get(directory)
            .into_iter()
            .flat_map(|m| m.keys())
            .filter(|p| {
                namespace.is_none_or(|n| {
                    crate::object::MirrorPath::parse(p).is_some_and(|x| x.namespace == Some(n))
                })
            })
            .map(|p| p.as_str().into())
            .collect()
    }
}
#[derive(Default)]
pub struct Commit {}
pub struct Committed {
    pub commit_id: CommitId,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct MirrorError;
impl MirrorError {
    pub fn is_fatal(&self) -> bool {
        false
    }
}
pub trait Store {
    fn index(&mut self) -> Result<Index, MirrorError>;
    fn read_blob(&mut self, id: BlobId) -> Result<Vec<u8>, MirrorError>;
    fn stage_blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), MirrorError>;
    fn commit(&mut self, commit: Commit) -> Result<Option<Committed>, MirrorError>;
}
