//! What the autoscalers in the mirror name, for a start that lists nothing.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::warn;

use crate::canonical;
use crate::filter::{ScaleTarget, is_autoscaler, scale_target};
use crate::mirror::{Index, MirrorError, Store};
use crate::object::{ApiType, ObjectKey};

/// Types whose objects scale others, by group and resource.
const AUTOSCALERS: [(&str, &str); 2] = [
    ("autoscaling", "horizontalpodautoscalers"),
    ("keda.sh", "scaledobjects"),
];

/// Reads the autoscalers' files of HEAD; returns the workloads that they name, by path.
pub(super) fn scale_targets(
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
