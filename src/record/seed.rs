//! What the autoscalers in the mirror name, for a start that lists nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tracing::warn;

use super::sidecar::SidecarIndex;
use crate::canonical;
use crate::filter::{ScaleTarget, is_autoscaler, scale_target};
use crate::mirror::{BlobId, Index, MirrorError, SidecarState, Store};
use crate::object::{ApiType, MirrorPath, ObjectKey};

/// Types whose objects scale others, by group and resource.
const AUTOSCALERS: [(&str, &str); 2] = [
    ("autoscaling", "horizontalpodautoscalers"),
    ("keda.sh", "scaledobjects"),
];

/// What a recorder goes on from.
pub(super) struct Seed {
    /// HEAD's files.
    pub(super) index: Index,
    /// The workloads that its autoscalers name, by path.
    pub(super) autoscalers: HashMap<Arc<str>, ScaleTarget>,
    /// What the sidecar holds of each object.
    pub(super) sidecar: SidecarIndex,
    /// Paths in it that HEAD has no file at.
    pub(super) orphans: Vec<Box<str>>,
    /// Whether the sidecar belongs to HEAD. While there is no HEAD, none is missing.
    pub(super) in_step: bool,
    /// The sidecar's facts.
    pub(super) facts: BTreeMap<String, BlobId>,
}

impl Seed {
    /// Reads all of it.
    pub(super) fn read(store: &impl Store) -> Result<Self, MirrorError> {
        let index = store.index()?;
        let autoscalers = scale_targets(store, &index)?;
        let mut sidecar = SidecarIndex::default();
        let mut orphans = Vec::new();
        let SidecarState { in_step, facts } = store.sidecar(&mut |path, blobs| {
            sidecar.set(path, Some(blobs));
            if index.get(path).is_none() && MirrorPath::parse(path).is_some() {
                orphans.push(path.into());
            }
        })?;
        Ok(Self {
            index,
            autoscalers,
            sidecar,
            orphans,
            in_step: in_step || store.head().is_none(),
            facts,
        })
    }
}

/// Reads the autoscalers' files of HEAD; returns the workloads that they name, by path.
fn scale_targets(
    store: &impl Store,
    index: &Index,
) -> Result<HashMap<Arc<str>, ScaleTarget>, MirrorError> {
    let mut targets = HashMap::new();
    for (group, resource) in AUTOSCALERS {
        debug_assert!(is_autoscaler(group, resource));
        let api_type = Arc::new(ApiType {
            group: group.into(),
            version: "".into(),
            resource: resource.into(),
            kind: "".into(),
            namespaced: true,
        });
        for entry in index.of_type(&api_type.directory()) {
            let path = entry.path();
            let file = store.read_blob(entry.blob_id)?;
            let Some(Ok(object)) = file.map(|bytes| canonical::read(&bytes)) else {
                // Somebody else wrote it; the next list sets it right.
                warn!(path, "an autoscaler's file cannot be read");
                continue;
            };
            // The path may hold a digest where these are long.
            let text = |field| object.get("metadata")?.get(field)?.as_str();
            let (Some(namespace), Some(name)) = (text("namespace"), text("name")) else {
                continue;
            };
            let key = ObjectKey {
                api_type: api_type.clone(),
                namespace: Some(namespace.into()),
                name: name.into(),
            };
            if let Some(target) = scale_target(&key, &object) {
                targets.insert(path.into(), target);
            }
        }
    }
    Ok(targets)
}
