//! A file's object as it is sent.

use serde_json::{Map, Value, json};

use super::facts::{Owner, is_token};
use super::order::is_root;
use crate::object::ObjectKey;

/// What the file does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill<'a> {
    /// Owner references whose uid is known, complete.
    pub owners: &'a [Value],
    /// Replicas of a workload that an autoscaler scales.
    pub replicas: Option<i64>,
    /// Suspends the root of a `GitOps` tool.
    pub suspend: bool,
}

/// Turns a file's object into what a create or apply takes.
pub fn render(key: &ObjectKey, object: &mut Value, fill: &Fill<'_>) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("ownerReferences");
        if !fill.owners.is_empty() {
            metadata.insert("ownerReferences".to_owned(), json!(fill.owners));
        }
        drop_deletion_finalizers(metadata);
    }
    if (&*key.api_type.group, &*key.api_type.resource) == ("", "persistentvolumes")
        && let Some(claim) = object
            .pointer_mut("/spec/claimRef")
            .and_then(Value::as_object_mut)
    {
        // https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
        claim.remove("uid");
        claim.remove("resourceVersion");
    }
    if is_token(key, object)
        && let Some(map) = object.as_object_mut()
    {
        map.remove("data");
        map.remove("stringData");
    }
    if let Some(replicas) = fill.replicas
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.entry("replicas").or_insert(json!(replicas));
    }
    if fill.suspend {
        suspend(key, object);
    }
}

/// Set by a deletion that was going on; on a new object they would hold up its own.
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#controlling-how-the-garbage-collector-deletes-dependents>
fn drop_deletion_finalizers(metadata: &mut Map<String, Value>) {
    let Some(Value::Array(finalizers)) = metadata.get_mut("finalizers") else {
        return;
    };
    finalizers.retain(|name| name != "foregroundDeletion" && name != "orphan");
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    }
}

/// Pulls the switch that a `GitOps` tool has; returns whether there is one.
///
/// Flux: <https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend>. Argo CD:
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/skip_reconcile/>; an `ApplicationSet` has
/// none.
pub(super) fn suspend(key: &ObjectKey, object: &mut Value) -> bool {
    if !is_root(key) {
        return false;
    }
    if &*key.api_type.group != "argoproj.io" {
        if let Some(map) = object.as_object_mut() {
            let spec = map.entry("spec").or_insert_with(|| json!({}));
            if let Some(spec) = spec.as_object_mut() {
                spec.insert("suspend".to_owned(), Value::Bool(true));
            }
        }
        return true;
    }
    if &*key.api_type.resource != "applications" {
        return false;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(
                "argocd.argoproj.io/skip-reconcile".to_owned(),
                json!("true"),
            );
        }
    }
    true
}

/// An owner reference of the file with a uid.
///
/// `controller` and `blockOwnerDeletion` stay as the file has them.
pub(in crate::restore) fn link(reference: &Value, uid: &str) -> Value {
    let mut reference = reference.clone();
    if let Some(map) = reference.as_object_mut() {
        map.insert("uid".to_owned(), json!(uid));
    }
    reference
}

/// The file's owner references, each with what it says of its owner.
pub(in crate::restore) fn references(object: &Value) -> Vec<(Owner, Value)> {
    let references = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    references
        .into_iter()
        .flatten()
        .filter_map(|reference| Some((Owner::read(reference)?, reference.clone())))
        .collect()
}
