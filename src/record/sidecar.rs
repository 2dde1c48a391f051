//! What the sidecar holds of each object, and what of it waits for a commit. Pure.
//!
//! An object's owners are positions in its file, so the two go together: what belongs to a change
//! of a file waits and is committed with it. Owners that change alone go in a commit of the sidecar
//! alone. Times are no change by themselves: an operator's heartbeat moves nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::stage::SidecarFile;
use crate::mirror::{BlobId, SidecarBlobs};

/// What HEAD's sidecar holds, by path; about 60 bytes an object.
///
/// A path is kept as its digest: all that is ever asked is what lies at a given one.
#[derive(Debug, Default)]
pub(super) struct SidecarIndex(HashMap<BlobId, SidecarBlobs>);

impl SidecarIndex {
    pub(super) fn get(&self, path: &str) -> Option<SidecarBlobs> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&BlobId::of(path.as_bytes())).copied()
    }

    pub(super) fn set(&mut self, path: &str, blobs: Option<SidecarBlobs>) {
        let path = BlobId::of(path.as_bytes());
        match blobs {
            Some(blobs) => self.0.insert(path, blobs),
            None => self.0.remove(&path),
        };
    }
}

/// With what a change of the sidecar is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    /// With its file, which is staged.
    WithFile,
    /// By itself.
    Alone,
    /// By itself, with the next sample of the damped objects.
    Damped,
}

/// One object's change.
#[derive(Clone, Debug)]
pub(super) struct SidecarChange {
    /// Path of its file below the prefix.
    pub(super) path: Arc<str>,
    /// What the sidecar shall hold of it.
    pub(super) blobs: Option<SidecarBlobs>,
    /// The bytes of these blobs, unless they went into the open pack already.
    pub(super) bytes: Option<Box<SidecarFile>>,
    goes: Goes,
    spilled: bool,
}

/// The changes of a batch: boxed as they waited, for a first sync has no memory for them twice.
pub(super) type SidecarBatch = Vec<Box<SidecarChange>>;

/// All changes since the last commit.
#[derive(Debug, Default)]
pub(super) struct SidecarStage {
    pending: BTreeMap<Arc<str>, Box<SidecarChange>>,
    /// Paths of those whose bytes are not in the open pack: a spill looks at what came since the
    /// last one alone.
    unspilled: BTreeSet<Arc<str>>,
    bytes: usize,
    alone: usize,
    damped: usize,
    /// It has to be written, whatever its objects: its facts changed, or it belongs to another
    /// commit than HEAD.
    pub(super) facts_changed: bool,
}

fn weight(change: &SidecarChange) -> usize {
    let bytes = change.bytes.as_ref();
    bytes.map_or(0, |file| file.owners.len() + file.times.len())
}

impl SidecarStage {
    /// Changes of any kind.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Bytes that are not in the open pack.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes that wait for nothing but the window, and for no file.
    pub(super) fn alone(&self) -> usize {
        self.alone
    }

    /// The owners at `path` once everything is committed.
    pub(super) fn owners(&self, index: &SidecarIndex, path: &str) -> Option<BlobId> {
        match self.pending.get(path) {
            Some(change) => change.blobs,
            None => index.get(path),
        }
        .map(|blobs| blobs.owners)
    }

    fn insert(&mut self, change: Box<SidecarChange>) {
        self.bytes += weight(&change);
        match change.goes {
            Goes::WithFile => {}
            Goes::Alone => self.alone += 1,
            Goes::Damped => self.damped += 1,
        }
        if change.bytes.is_some() {
            self.unspilled.insert(change.path.clone());
        }
        self.pending.insert(change.path.clone(), change);
    }

    fn drop_pending(&mut self, path: &str) -> Option<Box<SidecarChange>> {
        let change = self.pending.remove(path)?;
        self.unspilled.remove(path);
        self.bytes -= weight(&change);
        match change.goes {
            Goes::WithFile => {}
            Goes::Alone => self.alone -= 1,
            Goes::Damped => self.damped -= 1,
        }
        Some(change)
    }

    /// Stages what the sidecar shall hold of an object whose file was just staged, or is in HEAD.
    ///
    /// `file` comes with the id of its owners. `as_in_head`: HEAD's file is the object's.
    /// `file_changed`: it is another one than the last that was seen. Returns whether it now waits by
    /// itself, which it did not before.
    pub(super) fn put(
        &mut self,
        index: &SidecarIndex,
        path: &Arc<str>,
        (owners, file): (BlobId, SidecarFile),
        (as_in_head, file_changed): (bool, bool),
        goes: Goes,
    ) -> bool {
        let before = index.get(path);
        if as_in_head && before.is_some_and(|before| before.owners == owners) {
            // With what HEAD says of times: they are those of what HEAD holds.
            self.drop_pending(path);
            return false;
        }
        if !file_changed
            && let Some(pending) = self.pending.get(path)
            && pending.blobs.is_some_and(|blobs| blobs.owners == owners)
            && pending.goes == goes
        {
            return false;
        }
        self.drop_pending(path);
        let times = (!file.times.is_empty()).then(|| BlobId::of(&file.times));
        self.insert(Box::new(SidecarChange {
            path: path.clone(),
            blobs: Some(SidecarBlobs { owners, times }),
            bytes: Some(Box::new(file)),
            goes,
            spilled: false,
        }));
        goes != Goes::WithFile
    }

    /// Stages the removal of what the sidecar holds of an object.
    pub(super) fn remove(&mut self, index: &SidecarIndex, path: &str, goes: Goes) {
        self.drop_pending(path);
        if index.get(path).is_some() {
            self.insert(Box::new(SidecarChange {
                path: path.into(),
                blobs: None,
                bytes: None,
                goes,
                spilled: false,
            }));
        }
    }

    /// Lets go of every damped change.
    pub(super) fn release_damped(&mut self) {
        if self.damped > 0 {
            for change in self.pending.values_mut() {
                if change.goes == Goes::Damped {
                    change.goes = Goes::Alone;
                }
            }
            self.alone += std::mem::take(&mut self.damped);
        }
    }

    /// Lets go of the damped change at `path`; returns whether there was one.
    pub(super) fn release_damped_at(&mut self, path: &str) -> bool {
        let Some(change) = self.pending.get_mut(path) else {
            return false;
        };
        if change.goes != Goes::Damped {
            return false;
        }
        change.goes = Goes::Alone;
        self.damped -= 1;
        self.alone += 1;
        true
    }

    /// Hands out all bytes, and counts them as spilled.
    pub(super) fn spill(&mut self) -> Vec<(BlobId, Vec<u8>)> {
        let mut spilled = Vec::new();
        for path in std::mem::take(&mut self.unspilled) {
            if let Some(change) = self.pending.get_mut(&path)
                && let (Some(blobs), Some(file)) = (change.blobs, change.bytes.take())
            {
                spilled.extend(blobs.with(*file));
                change.spilled = true;
            }
        }
        self.bytes = 0;
        spilled
    }

    /// Takes every change that waits for nothing, in the order of paths. `held` says whether the
    /// file at a path still waits.
    pub(super) fn take(&mut self, held: impl Fn(&str) -> bool) -> SidecarBatch {
        let mut taken = Vec::with_capacity(self.pending.len());
        for (path, change) in std::mem::take(&mut self.pending) {
            let waits = match change.goes {
                Goes::WithFile => held(&path),
                Goes::Alone => false,
                Goes::Damped => true,
            };
            if waits {
                self.pending.insert(path, change);
            } else {
                taken.push(change);
            }
        }
        self.alone = 0;
        self.bytes = self.pending.values().map(|change| weight(change)).sum();
        let pending = &self.pending;
        self.unspilled.retain(|path| pending.contains_key(path));
        taken
    }

    /// Puts back what a commit did not write. Where the open pack was `lost`, what had been spilled
    /// into it is staged no more, and has to be read again: returns whether there was any. So is
    /// what belongs to a file that is not staged any more.
    pub(super) fn restore(
        &mut self,
        changes: SidecarBatch,
        lost: bool,
        is_staged: impl Fn(&str) -> bool,
    ) -> bool {
        for mut change in changes {
            if !self.pending.contains_key(&change.path) {
                if !lost && change.goes == Goes::WithFile {
                    change.goes = Goes::Alone;
                }
                self.insert(change);
            }
        }
        if !lost {
            return false;
        }
        let gone: Vec<_> = self
            .pending
            .values()
            .filter(|change| {
                change.spilled || (change.goes == Goes::WithFile && !is_staged(&change.path))
            })
            .map(|change| change.path.clone())
            .collect();
        for path in &gone {
            self.drop_pending(path);
        }
        !gone.is_empty()
    }
}

impl SidecarBlobs {
    /// The blobs with their bytes.
    pub(super) fn with(self, file: SidecarFile) -> impl Iterator<Item = (BlobId, Vec<u8>)> {
        let times = self.times.map(|id| (id, file.times));
        std::iter::once((self.owners, file.owners)).chain(times)
    }
}
