//! A mirror in memory: what a recorder writes, without a repository.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::drift::live::RecordedFile;
use crate::mirror::{
    Attachment, BlobId, Commit, CommitId, Committed, Head, Index, MirrorError, SidecarBlobs, Store,
    TreeId,
};

/// What was recorded.
#[derive(Default)]
struct Contents {
    blobs: HashMap<BlobId, Vec<u8>>,
    files: BTreeMap<Arc<str>, BlobId>,
    sidecar: HashMap<Arc<str>, SidecarBlobs>,
}

/// Takes what a recorder writes; clones share it.
#[derive(Clone, Default)]
pub(super) struct MemoryStore(Arc<Mutex<Contents>>);

impl MemoryStore {
    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        // Nothing that holds it can panic half way.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every file that was recorded, taken out.
    pub(super) fn take(&self) -> Vec<RecordedFile> {
        self.with(|contents| {
            let Contents {
                blobs,
                files,
                sidecar,
            } = std::mem::take(contents);
            // Objects of one shape share its bytes.
            let shapes: HashMap<BlobId, Arc<[u8]>> = sidecar
                .values()
                .flat_map(|side| [Some(side.owners), side.times])
                .flatten()
                .filter_map(|id| Some((id, blobs.get(&id)?.as_slice().into())))
                .collect();
            files
                .into_iter()
                .filter_map(|(path, blob_id)| {
                    let side = sidecar.get(&path);
                    let shared = |id: BlobId| shapes.get(&id).cloned();
                    Some(RecordedFile {
                        bytes: blobs.get(&blob_id)?.clone(),
                        owners: side.and_then(|side| shared(side.owners)),
                        times: side.and_then(|side| side.times).and_then(shared),
                        path: (*path).into(),
                    })
                })
                .collect()
        })
    }
}

impl Store for MemoryStore {
    fn head(&self) -> Option<Head> {
        None
    }

    fn index(&self) -> Result<Index, MirrorError> {
        Ok(Index::new())
    }

    fn read_file(&self, _: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        Ok(None)
    }

    fn read_blob(&self, id: BlobId) -> Result<Option<Vec<u8>>, MirrorError> {
        Ok(self.with(|contents| contents.blobs.get(&id).cloned()))
    }

    fn stage_blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), MirrorError> {
        self.with(|contents| contents.blobs.insert(id, bytes.to_vec()));
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<Option<Committed>, MirrorError> {
        self.with(|contents| {
            for (path, blob_id) in &commit.changes {
                match blob_id {
                    Some(blob_id) => contents.files.insert(path.clone(), *blob_id),
                    None => contents.files.remove(path),
                };
            }
            for (path, blobs) in commit.sidecar.iter().flat_map(|side| &side.objects) {
                match blobs {
                    Some(blobs) => contents.sidecar.insert(path.clone(), *blobs),
                    None => contents.sidecar.remove(path),
                };
            }
        });
        Ok(Some(Committed {
            commit_id: CommitId([0; 20]),
            branch_moved: true,
            in_step: true,
            tree_id: TreeId([0; 20]),
            objects_written: commit.changes.len(),
            bytes_written: 0,
        }))
    }

    fn attach(&mut self, _: &Attachment) -> Result<(), MirrorError> {
        Ok(())
    }
}
