//! A batch becomes one commit of the branch, the sidecar, or both.

use super::events::Batch;
use super::message::sidecar_message;
use super::stage::{Action, Change};
use crate::mirror::{Commit, Committed, IDENTITY_FILE, MirrorError, SidecarChanges, Store};

/// Stages what is not in the open pack yet and makes the commit.
pub(super) fn write<S: Store>(
    store: &mut S,
    batch: &Batch,
    message: String,
    identity: Vec<u8>,
    facts: Vec<(String, Option<Vec<u8>>)>,
    seconds: i64,
) -> Result<Option<Committed>, MirrorError> {
    let mut changes = Vec::with_capacity(batch.changes.len());
    for change in &batch.changes {
        let Change { path, action, .. } = &**change;
        match action {
            Action::Put {
                blob_id,
                bytes,
                spilled,
                ..
            } => {
                if let (Some(bytes), false) = (bytes, spilled) {
                    store.stage_blob(*blob_id, bytes)?;
                }
                changes.push((path.clone(), Some(*blob_id)));
            }
            Action::Remove(_) => changes.push((path.clone(), None)),
        }
    }
    let mut objects = Vec::with_capacity(batch.sidecar.len());
    for change in batch.sidecar.iter() {
        if let (Some(blobs), Some(file)) = (change.blobs, &change.bytes) {
            store.stage_blob(blobs.owners, &file.owners)?;
            if let Some(times) = blobs.times {
                store.stage_blob(times, &file.times)?;
            }
        }
        objects.push((change.path.clone(), change.blobs));
    }
    let sidecar = SidecarChanges {
        message: sidecar_message(objects.len(), facts.len()),
        objects,
        facts,
    };
    // Without a change of a file there is no commit of the branch.
    let files = if changes.is_empty() {
        Vec::new()
    } else {
        vec![(IDENTITY_FILE.to_owned(), identity)]
    };
    let commit = Commit {
        changes,
        files,
        message,
        seconds,
        attachments: Vec::new(),
        sidecar: Some(sidecar),
    };
    store.commit(&commit)
}
